"""Killing a real daemon again and again under load, and proving that nothing was lost and nothing came twice.

The exchange and its trader live in this process, the daemon in its own; see `killing` for the loop, `moments` for when
it is killed, `reader` for who remembers what was published, `proof` for what must hold. ``python -m tests.kills``.
"""
