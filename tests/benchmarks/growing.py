"""Long journals for the benchmarks: one account's life, written by the product's own fold and writer, kept at each size.

What enters: a folder and sizes. What leaves: a folder with a sealed journal for each size, which `verify` accepts, and
the books at its end. What holds: every journal has a quiet end, in which all is closed and asked about, so that a daemon
which goes on with it agrees with an exchange that has the same wallet and nothing open; each life ends a few minutes
before it was written.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from ditad import history
from ditad.clock import US_PER_S
from ditad.events import Event
from ditad.journal import journal_path
from ditad.projection import Projection
from tests.benchmarks.long_life import Life
from tests.support.journaled import NAME, journaled

BATCH = 100
QUIET_EVENTS = 1_500
"""The end of each size: some ten minutes without a trade, longer than questions look back."""

SAMPLE = 20_000
BEFORE_NOW_S = 120
BOOKS = "books.json"


def grown(folder: Path, sizes: Sequence[int]) -> dict[int, Path]:
    """Give a folder with a journal of each size; those that are there are used again.

    The longest is grown first: an hour without a daemon is nothing, but of weeks no exchange tells everything.
    """
    homes = {size: folder / f"{size}" for size in sizes}
    for size in sorted(sizes, reverse=True):
        if not (homes[size] / BOOKS).exists():
            asyncio.run(_grow(folder / "growing", size, homes[size]))
    return homes


def books_of(home: Path) -> dict[str, Any]:
    """Give what the account of such a journal did, as the exchange's side of a benchmark wants it."""
    return dict(orjson.loads((home / BOOKS).read_bytes()))


async def _grow(work: Path, size: int, home: Path) -> None:
    """Write a journal, and keep it."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    projection = await journaled(work, _events(size), batch=BATCH)
    _keep(work, home, projection)
    shutil.rmtree(work)


def _events(count: int) -> Iterator[Event]:
    """Give so many events of a life, the last of them quiet."""
    life = Life(start_us=_start_us(count))
    events = life.events()
    yield from islice(events, max(0, count - QUIET_EVENTS))
    life.resting = True
    yield from islice(events, min(count, QUIET_EVENTS))


def _start_us(count: int) -> int:
    """Give the beginning of a life that ends some minutes before now; a quiet event takes a second at most."""
    some = min(SAMPLE, count)
    first, *_, last = islice(Life().events(), some)
    ends_us = time.time_ns() // 1_000 - (BEFORE_NOW_S + QUIET_EVENTS) * US_PER_S
    return ends_us - (last.at_us - first.at_us) * count // some


def _keep(work: Path, home: Path, projection: Projection) -> None:
    """Copy a sealed journal, which is one file, and write down how the account stands."""
    shutil.rmtree(home, ignore_errors=True)
    state = home / "state"
    state.mkdir(parents=True, mode=0o700)
    shutil.copy(journal_path(work, NAME), journal_path(state, NAME))
    with suppress(FileNotFoundError):
        shutil.copy(f"{journal_path(work, NAME)}-wal", f"{journal_path(state, NAME)}-wal")
    line = history.line_at(state, NAME, at_us=None, event_seq=projection.state.event_seq)
    assert line is not None, "the newest snapshot is there"
    k = orjson.loads(line)["snapshot"]["k"]
    assert not k["positions"], "all is closed at the end"
    books = {
        "wallet": k["capital_raw"],
        "realized": k["realized_pnl"],
        "fees": k["fees_paid"],
        "trades": k["trade_seq"],
    }
    (home / BOOKS).write_bytes(orjson.dumps(books))
