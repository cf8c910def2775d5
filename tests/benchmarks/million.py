"""Whether a daemon is after a million pushes what it was at the beginning.

What runs: order and account frames in turn at saturation, chunk after chunk. What leaves: resident memory over the
chunks after the first tenth, CPU per push of the last tenth next to that of the first, threads and file descriptors.
What holds: each chunk is verified in K, E and verdict; the log is emptied between them, the journal is not.
"""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import SATURATED, Figure, Goal
from tests.benchmarks.lane import Lane, lane
from tests.benchmarks.options import Options, whole

PART = "a million pushes"
PUSHES = 1_000_000
CHUNKS = 50
FLAT = 0.05
TENTHS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the daemon stands after a chunk."""

    us_per_push: float
    resident: int
    threads: int
    descriptors: int


async def measure(folder: Path, options: Options) -> list[Figure]:
    """Push, chunk after chunk."""
    async with lane(folder / "million") as daemon:
        await daemon.warm()
        frames = whole(PUSHES // CHUNKS // options.scale)
        found = [await chunk(daemon, frames) for _ in range(CHUNKS)]
        journal = (folder / "million" / "state" / "main.journal").stat().st_size
    return rows(found, PUSHES // options.scale, journal)


async def chunk(daemon: Lane, frames: int) -> Standing:
    """Push a chunk, and empty what the orchestrator keeps of it."""
    pushed = await daemon.push("pairs", frames)
    daemon.readers[0].read_ns.clear()
    os.truncate(daemon.log, 0)
    return Standing(
        us_per_push=pushed.us_per_push,
        resident=daemon.daemon.resident_bytes,
        threads=daemon.daemon.threads,
        descriptors=daemon.daemon.descriptors,
    )


def rows(found: list[Standing], pushes: int, journal_bytes: int) -> list[Figure]:
    """Compare what came after the first tenth."""
    tenth = len(found) // TENTHS
    steady = [one.resident for one in found[tenth:]]
    middle = statistics.median(steady)
    away = max(abs(one - middle) for one in steady) / middle
    first = statistics.median(one.us_per_push for one in found[:tenth])
    last = statistics.median(one.us_per_push for one in found[-tenth:])
    pacing = f"{SATURATED}, {pushes} pushes"
    return [
        Figure(
            part=PART,
            what="resident memory",
            value=middle / 2**20,
            unit="MiB",
            pacing=pacing,
            beside={"after the first tenth": steady[0] / 2**20, "at the end": steady[-1] / 2**20, "± share": away},
            goals=(Goal(text="flat (± 5 %) over a million pushes", judged=away, limit=FLAT),),
        ),
        Figure(
            part=PART,
            what="CPU per push, last tenth",
            value=last,
            unit="µs CPU",
            pacing=pacing,
            beside={"first tenth": first, "× first tenth": last / first},
        ),
        Figure(
            part=PART,
            what="file descriptors at the end",
            value=float(found[-1].descriptors),
            unit="",
            pacing=pacing,
            beside={
                "after the first tenth": float(found[tenth].descriptors),
                "threads": float(found[-1].threads),
                "threads after the first tenth": float(found[tenth].threads),
            },
        ),
        Figure(part=PART, what="journal", value=journal_bytes / pushes, unit="bytes/push", pacing=pacing),
    ]
