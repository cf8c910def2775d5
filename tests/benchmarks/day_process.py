"""A busy account's day in virtual time, looked over every hour.

What enters: how many hours, their seconds (fewer for a short day), a seed. What leaves: one JSON line an hour: memory
that the product's own modules hold, tasks, file descriptors, events, bytes of the journal; and a last one. What holds: the
product's own service runs, from the session to the journal, with marks, audits, renewals of the key and broken streams;
what the simulated exchange holds in the same process is not counted; at the end the books of both are equal, or there are
no figures.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Final

import ditad
from ditad.exchange import CutKind
from ditad.journal import journal_path
from tests.benchmarks.accuracy_life import Life, Terms, tell_story
from tests.benchmarks.children import tell
from tests.simulation.world import NAME

TRADE_EVERY_S = 5.0
CUT_EVERY_HOURS = 3
TURNS_MAX = 200_000_000

PACKAGE: Final = Path(ditad.__file__).parent
COUNTED: Final = (
    tracemalloc.Filter(inclusive=True, filename_pattern=f"{PACKAGE}/*"),
    tracemalloc.Filter(inclusive=False, filename_pattern=f"{PACKAGE}/exchange/*"),
)


def held_bytes() -> int:
    """Give what the product's modules have allocated and still hold."""
    gc.collect()
    found = tracemalloc.take_snapshot().filter_traces(COUNTED)
    return sum(statistic.size for statistic in found.statistics("filename"))


async def live(life: Life, hours: int, hour_s: int) -> None:
    """Trade for so many hours, with a broken stream now and then, and tell every hour how things stand."""
    assert await life.calm(), f"the account begins: {life.untrue()}"
    tracemalloc.start()
    for hour in range(1, hours + 1):
        end_s = life.loop.time() + hour_s
        while life.loop.time() < end_s:
            await life.trade(1, TRADE_EVERY_S)
        if hour % CUT_EVERY_HOURS == 0:
            life.core.streams.cut(NAME, CutKind.ABRUPT)
            life.flush_soon()
        life.listen()  # what the benchmark itself remembers
        state = life.service.pipeline.projection.state
        tell(
            hour=hour,
            held_bytes=held_bytes(),
            tasks=len(asyncio.all_tasks(life.loop)),
            descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()),
            events=state.n,
            trades=life.desk.books.sums.fills,
            journal_bytes=journal_path(life.folder, NAME).stat().st_size,
        )
    tracemalloc.stop()
    assert await life.calm(), f"the account ends: {life.untrue()}"


def main(hours: int, hour_s: int, seed: int) -> None:
    """Live the day."""
    began = time.perf_counter()

    async def story(life: Life) -> None:
        await live(life, hours, hour_s)

    tell_story(seed, Terms(marks=True), story, turns_max=TURNS_MAX)
    tell(took_s=time.perf_counter() - began)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
