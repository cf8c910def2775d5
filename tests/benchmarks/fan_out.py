"""What 1, 20 and 200 readers of one account cost, and whether any of them slows the fold or another reader.

What runs: order and account frames in turn at 50 a second, with so many readers; then with 200 of which twenty never
read. What leaves: frame to fold (by the daemon's log), frame to the first and to the last reader, CPU per push and per
line sent. What holds: every living reader was sent every snapshot.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import Figure, Goal, spread
from tests.benchmarks.lane import Lane, Pushed, lane
from tests.benchmarks.options import Options, whole
from tests.benchmarks.readers import Reader, reading
from tests.benchmarks.rivals import rivals

PART = "fan-out"
RATE = 50
CROWDS = ((1, 0), (20, 0), (200, 0), (200, 20))
"""How many readers there are, and how many of them never read."""

JUDGED = (200, 0)
TIMES_ONE = 1.5
PUSHES_MIN = 64
ROUNDS_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What one crowd gave: medians and most in ms, CPU in µs, memory in MiB."""

    folded_ms: float
    folded_p99_ms: float
    first_ms: float
    last_ms: float
    last_most_ms: float
    us_per_push: float
    resident_mib: float


async def measure(folder: Path, options: Options) -> list[Figure]:
    """Have each crowd in turn, several times over."""
    found: dict[tuple[int, int], list[Crowd]] = {crowd: [] for crowd in CROWDS}
    async with lane(folder / "fan") as daemon, rivals(daemon, folder / "rivals") as others:
        await daemon.warm()
        commit_ms = await others.commit_us(rate=RATE) / 1e3
        for _ in range(min(options.rounds, ROUNDS_MAX)):
            for count, stalled in CROWDS:
                held = daemon.daemon.descriptors
                async with reading(daemon.socket, "main", count, stalled=stalled) as readers:
                    found[count, stalled].append(await crowd(daemon, readers[: count - stalled], options))
                await daemon.daemon.holding(held)
    return [figure for each in CROWDS for figure in rows(each, found, options, commit_ms)]


async def crowd(daemon: Lane, readers: list[Reader], options: Options) -> Crowd:
    """Keep the pace for a while before a crowd, and wait until each of it has read all."""
    before = [reader.heard for reader in readers]
    pushed = await daemon.push("pairs", whole(max(PUSHES_MIN, int(RATE * options.seconds))), rate=RATE)
    for reader, heard in zip(readers, before, strict=True):
        await reader.told(heard + pushed.pushes, daemon.expected["main"])
    read = [reader.read_ns[heard:] for reader, heard in zip(readers, before, strict=True)]
    return told(pushed, list(daemon.folded_ns())[-pushed.pushes :], read, daemon.daemon.resident_bytes)


def told(pushed: Pushed, folded: list[int], read: list[list[int]], resident: int) -> Crowd:
    """Take the times together, per push."""
    fold = spread(max(0, after - before) for before, after in zip(pushed.sent_ns, folded, strict=True))
    first = spread(min(row) - before for before, *row in zip(pushed.sent_ns, *read, strict=True))
    last = spread(max(row) - before for before, *row in zip(pushed.sent_ns, *read, strict=True))
    return Crowd(
        folded_ms=fold.p50,
        folded_p99_ms=fold.p99,
        first_ms=first.p50,
        last_ms=last.p50,
        last_most_ms=last.most,
        us_per_push=pushed.us_per_push,
        resident_mib=resident / 2**20,
    )


def rows(
    each: tuple[int, int], found: dict[tuple[int, int], list[Crowd]], options: Options, commit_ms: float
) -> list[Figure]:
    """Give the rows of one crowd, next to that of one reader in the same round."""
    crowds, alone = found[each], found[CROWDS[0]]
    times = statistics.median(one.folded_ms / single.folded_ms for one, single in zip(crowds, alone, strict=True))
    name = f"{each[0]} readers" + (f", {each[1]} of them never read" if each[1] else "")
    pacing = f"{RATE} pushes/s for {options.seconds:g} s, {len(crowds)} times"

    def middle(field: str) -> float:
        return statistics.median(float(getattr(one, field)) for one in crowds)

    goal = Goal(text="frame → folded within 1.5 × of one subscriber", judged=times, limit=TIMES_ONE)
    return [
        Figure(
            part=PART,
            what=f"{name}: frame → folded",
            value=middle("folded_ms"),
            unit="ms",
            pacing=pacing,
            beside={"p99": middle("folded_p99_ms"), "× one reader": times, "a commit at this pace": commit_ms},
            goals=(goal,) if each == JUDGED else (),
        ),
        Figure(
            part=PART,
            what=f"{name}: frame → last reader",
            value=middle("last_ms"),
            unit="ms",
            pacing=pacing,
            beside={"most": middle("last_most_ms"), "first reader": middle("first_ms")},
        ),
        Figure(
            part=PART,
            what=f"{name}: CPU per push",
            value=middle("us_per_push"),
            unit="µs CPU",
            pacing=pacing,
            beside={"per line sent": middle("us_per_push") / each[0], "resident MiB": middle("resident_mib")},
        ),
    ]
