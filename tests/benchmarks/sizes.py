"""How the cost of a push grows with the accounts of a daemon and with the open positions of an account.

What runs: daemons of 1, 20 and 200 open positions (and of 1, 10 and 50 accounts) at the same time, which have their
frames in turn. What leaves: CPU per push of each, its ratio to the smallest in the same round, its snapshot's size and
the floor with a snapshot of that size; resident memory. What holds: K, E and verdict of every account are what was sent.
"""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from pathlib import Path

import orjson

from tests.benchmarks.figures import Figure, Goal, ratio
from tests.benchmarks.lane import Lane, lane
from tests.benchmarks.options import Options, whole
from tests.benchmarks.rivals import Rivals, rivals

POSITIONS_PART, ACCOUNTS_PART = "open positions", "accounts"
POSITIONS = (1, 20, 200)
ACCOUNTS = (1, 10, 50)
TIMES_ONE = 1.5
RESIDENT_MIB = {1: 80.0, 50: 250.0}
ROUNDS_MAX = 5
IN_FLIGHT = 64
PACING = f"saturation, {IN_FLIGHT} pushes in flight at a time"

Row = tuple[float, float]
"""CPU per push of the daemon, and of the floor."""


async def in_turn(lanes: dict[int, Lane], others: dict[int, Rivals], options: Options) -> dict[int, list[Row]]:
    """Push to every daemon in turn, some rounds; each has so many frames in all, however many accounts."""
    found: dict[int, list[Row]] = {size: [] for size in lanes}
    for _ in range(min(options.rounds, ROUNDS_MAX)):
        for size, daemon in lanes.items():
            pushed = await daemon.push("pairs", whole(options.frames // len(daemon.names)), in_flight=IN_FLIGHT)
            floor = await others[size].floor_us(daemon, pushed.pushes, daemon.readers[0].last)
            found[size].append((pushed.us_per_push, sum(floor.values())))
    return found


async def positions(folder: Path, options: Options) -> list[Figure]:
    """Compare accounts of different sizes."""
    async with AsyncExitStack() as stack:
        lanes, others = {}, {}
        for size in POSITIONS:
            lanes[size] = await stack.enter_async_context(lane(folder / f"p{size}", symbols=size, steady=True))
            others[size] = await stack.enter_async_context(rivals(lanes[size], folder / f"r{size}"))
            await lanes[size].warm(size, in_flight=IN_FLIGHT)
        found = await in_turn(lanes, others, options)
        figures = [row(POSITIONS_PART, f"{size} open positions", size, found, lanes[size]) for size in POSITIONS]
    times = figures[-1].beside["× the smallest"]
    goal = Goal(text="1.5 × from 1 to 200 open positions", judged=times, limit=TIMES_ONE)
    return [*figures[:-1], with_goals(figures[-1], goal)]


async def accounts(folder: Path, options: Options) -> list[Figure]:
    """Compare daemons of different numbers of accounts, each with a reader."""
    figures = []
    async with AsyncExitStack() as stack:
        lanes, others = {}, {}
        for size in ACCOUNTS:
            lanes[size] = await stack.enter_async_context(lane(folder / f"a{size}", accounts=size))
            others[size] = await stack.enter_async_context(rivals(lanes[size], folder / f"r{size}"))
            await lanes[size].warm()
        found = await in_turn(lanes, others, options)
        for size in ACCOUNTS:
            figures.append(row(ACCOUNTS_PART, f"{size} accounts", size, found, lanes[size]))
            resident = lanes[size].daemon.resident_bytes / 2**20
            limit = RESIDENT_MIB.get(size)
            goal = None if limit is None else Goal(text=f"{limit:.0f} MiB with {size}", judged=resident, limit=limit)
            memory = Figure(
                part=ACCOUNTS_PART,
                what=f"{size} accounts: resident memory",
                value=resident,
                unit="MiB",
                pacing=f"after {len(found[size])} rounds of {options.frames} pushes at {PACING}",
                beside={"per account": resident / size, "threads": float(lanes[size].daemon.threads)},
                goals=() if goal is None else (goal,),
            )
            figures.append(memory)
    return figures


def row(part: str, what: str, size: int, found: dict[int, list[Row]], daemon: Lane) -> Figure:
    """Give one size next to the smallest one and to its floor."""
    smallest = found[min(found)]
    own = found[size]
    return Figure(
        part=part,
        what=what,
        value=statistics.median(us for us, _ in own),
        unit="µs CPU",
        pacing=f"{PACING}; {len(own)} rounds in turn",
        beside={
            "× the smallest": ratio([(us, least) for (us, _), (least, _) in zip(own, smallest, strict=True)]),
            "floor": statistics.median(floor for _, floor in own),
            "× floor": ratio(own),
            "snapshot bytes": float(len(orjson.dumps(daemon.readers[0].last))),
        },
    )


def with_goals(figure: Figure, *goals: Goal) -> Figure:
    """Give a figure with what it must reach."""
    return Figure(
        part=figure.part,
        what=figure.what,
        value=figure.value,
        unit=figure.unit,
        pacing=figure.pacing,
        beside=figure.beside,
        goals=goals,
        remark=figure.remark,
    )
