"""Running seeds, one after the other or side by side, and saying how to run one again.

What enters: seeds. What leaves: for each that does not hold, what does not.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext

from tests.simulation.checks import check
from tests.simulation.plan import PUSHES, plan_of
from tests.simulation.planted import PLANTED
from tests.simulation.world import discard, run

SEEDS_AT_ONCE = 10


def failures_of(seed: int, *, pushes: int = PUSHES, planted: str | None = None) -> list[str]:
    """Run a seed's world and say what does not hold of it."""
    with PLANTED[planted]() if planted is not None else nullcontext():
        try:
            outcome = run(plan_of(seed, pushes=pushes))
        except Exception:  # noqa: BLE001 - whatever breaks a world is a failure of it
            return [traceback.format_exc(limit=-4)]
        try:
            return check(outcome)
        finally:
            discard(outcome)


def _failures_of_some(seeds: list[int], pushes: int, planted: str | None) -> list[tuple[int, list[str]]]:
    return [(seed, failures_of(seed, pushes=pushes, planted=planted)) for seed in seeds]


def failing(
    seeds: Iterable[int], *, processes: int, pushes: int = PUSHES, planted: str | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Give every seed with what does not hold of it, in the order in which they end."""
    queue = list(seeds)
    some = [queue[at : at + SEEDS_AT_ONCE] for at in range(0, len(queue), SEEDS_AT_ONCE)]
    with ProcessPoolExecutor(processes) as pool:
        try:
            for done in as_completed([pool.submit(_failures_of_some, part, pushes, planted) for part in some]):
                yield from done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
