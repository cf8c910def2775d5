"""Fuzzing of everything that the world hands to `ditad`: ``python -m tests.fuzz --help``.

`seeds` has well-formed inputs, `mutation` bends them, the `*_targets` hand them to the product and say what must hold,
`running` counts, reports and replays.
"""
