"""Seeded worlds: the real daemon's account, an exchange, a network, a disk and a clock in one thread.

`python -m tests.simulation` runs seeds; `world` tells what a run is, `checks` what must hold of it, `planted` which
bugs the checks must find.
"""
