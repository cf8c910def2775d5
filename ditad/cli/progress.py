"""How far something long is, on stderr at a terminal and nowhere else.

Enters: which phases there are, and how far the present one is. Leaves: click's bar, drawn at once and then as it moves.
What holds: a pipe, a log and a file never get any of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

PHASE_STEPS: Final = 1_000
BAR_WIDTH: Final = 24

Step = Callable[[str, int, int], None]
"""Takes a phase, how much of it is done, and of how much."""

Count = Callable[[int, int], None]
"""Takes how much is done, and of how much."""


@contextmanager
def progress(name: str, *phases: str) -> Iterator[Step]:
    """Show a bar until the block ends; gives what is to be told: the phase, how much of it is done, and of how much."""
    with click.progressbar(
        length=PHASE_STEPS * len(phases),
        label=name,
        width=BAR_WIDTH,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        item_show_func=lambda phase: phase,
        show_eta=False,
    ) as bar:

        def step(phase: str, done: int, total: int) -> None:
            reached = PHASE_STEPS * phases.index(phase) + PHASE_STEPS * min(done, total) // max(1, total)
            if reached > bar.pos or bar.current_item != phase:
                bar.update(max(0, reached - bar.pos), phase)

        step(phases[0], 0, 1)
        yield step
        bar.update(bar.length - bar.pos if bar.length else 0, "done")


@contextmanager
def counted(label: str) -> Iterator[Count]:
    """Show a bar from the first call on until the block ends: `done` of `whole`."""
    if not sys.stderr.isatty():
        yield lambda _done, _whole: None
        return
    with click.progressbar(length=1, label=label, width=BAR_WIDTH, file=sys.stderr, show_pos=True) as bar:

        def come(done: int, whole: int) -> None:
            bar.length = max(whole, 1)
            bar.update(min(done, whole) - bar.pos)

        yield come
