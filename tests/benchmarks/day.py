"""A day in the life: 24 simulated hours of a busy account, compressed into minutes.

What runs: `day_process`, the product's own service in virtual time. What leaves: memory, tasks and file descriptors in
the last quarter of the day next to those in the second one, bytes of the journal per event. What holds: growth is what
the last quarter has more than the second: by then every bounded memory has been full once.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.children import child
from tests.benchmarks.figures import Figure, Goal
from tests.benchmarks.options import Options

PART = "a day in the life"
HOURS = 24
HOUR_S, HOUR_S_MIN = 3_600, 60
SEED = 7
QUARTERS = 4
GROWTH_MAX = 1.05


async def measure(folder: Path, options: Options) -> list[Figure]:  # noqa: ARG001 - the day keeps its journal in memory
    """Live a day."""
    hour_s = max(HOUR_S_MIN, HOUR_S // options.scale)
    async with child("-m", "tests.benchmarks.day_process", str(HOURS), str(hour_s), str(SEED)) as process:
        found = [await process.heard() for _ in range(HOURS)]
        took_s = float((await process.heard())["took_s"])
    return rows(found, hour_s, took_s)


def rows(found: Sequence[Mapping[str, Any]], hour_s: int, took_s: float) -> list[Figure]:
    """Compare the last quarter with the second."""
    last, minutes = found[-1], len(found) * hour_s / 60
    pacing = f"{minutes:.0f} minutes in {took_s:.0f} s, {last['trades']} fills, {last['events']} events"
    figures = []
    for name, what, unit, per in (
        ("held_bytes", "memory held by the product", "MiB", 2**20),
        ("tasks", "tasks", "", 1),
        ("descriptors", "file descriptors", "", 1),
    ):
        early, late = quarter(found, 1, name), quarter(found, QUARTERS - 1, name)
        grown = late / early
        goal = Goal(text="no growth", judged=grown, limit=GROWTH_MAX if name == "held_bytes" else 1.0)
        figures.append(
            Figure(
                part=PART,
                what=f"{what}, last quarter",
                value=late / per,
                unit=unit,
                pacing=pacing,
                beside={"second quarter": early / per, "× second quarter": grown},
                goals=(goal,),
            )
        )
    per_event = last["journal_bytes"] / last["events"]
    return [*figures, Figure(part=PART, what="journal", value=per_event, unit="bytes/event", pacing=pacing)]


def quarter(found: Sequence[Mapping[str, Any]], place: int, name: str) -> float:
    """Give the median of a quarter of the day."""
    hours = len(found)
    return statistics.median(
        float(one[name]) for one in found[hours * place // QUARTERS : hours * (place + 1) // QUARTERS]
    )
