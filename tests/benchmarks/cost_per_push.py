"""CPU per push of the whole daemon at saturation, next to floor, peer and disk of the same run over the same frames.

    .venv/bin/python tests/benchmarks/cost_per_push.py [--frames N] [--rounds N] [--json FILE]

What runs: in each round the daemon has frames of a kind, then the floor has the very same ones, then the peer. What
leaves: medians over the rounds; ratios are medians of what was measured in turn. What holds: a run whose K, E or verdict
is not what was sent fails instead of giving figures.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

if __package__ in {None, ""}:  # run as a script from a clone
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.benchmarks.figures import SATURATED, Figure, Goal, ratio
from tests.benchmarks.floor_process import PARTS
from tests.benchmarks.lane import Lane, Pushed, lane
from tests.benchmarks.options import Options
from tests.benchmarks.rivals import Rivals, rivals

PART = "cost per push"
KINDS = {
    "pairs": "order and account frames in turn",
    "orders": "order frame, alone",
    "accounts": "account frame, alone",
}
TIMES_FLOOR = 4.0
OF_THE_PEER = {"orders": 1 / 12, "accounts": 1 / 2}
RESIDENT_MIB = 80.0


class Round:
    """What one round gave of a kind."""

    def __init__(self, pushed: Pushed, floor: dict[str, float], peer: float | None) -> None:
        self.us = pushed.us_per_push
        self.per_s = pushed.pushes / pushed.took_s
        self.floor = floor
        self.floor_us = sum(floor.values())
        self.peer = peer


async def measure(folder: Path, options: Options) -> list[Figure]:
    """Run rounds of each kind in turn."""
    async with lane(folder / "cost") as daemon, rivals(daemon, folder / "rivals", peer=True) as others:
        await daemon.warm()
        commits = [await others.commit_us()]
        rounds: dict[str, list[Round]] = {kind: [] for kind in KINDS}
        for _ in range(options.rounds):
            for kind in KINDS:
                rounds[kind].append(await one(daemon, others, kind, options.frames))
                if kind == "pairs":  # orders alone begin where all positions were bought low
                    await daemon.push("level", 0)
            commits.append(await others.commit_us())
        resident = daemon.daemon.resident_bytes / 2**20
    figures = [cost(kind, rounds[kind]) for kind in KINDS]
    figures += [sustained(kind, rounds[kind]) for kind in KINDS]
    figures.append(
        Figure(
            part=PART,
            what="resident memory, one account",
            value=resident,
            unit="MiB",
            pacing=f"after {options.rounds} rounds of {len(KINDS)} × {options.frames} pushes at saturation",
            goals=(Goal(text="80 MiB with one account", judged=resident, limit=RESIDENT_MIB),),
        )
    )
    figures.append(
        Figure(
            part=PART,
            what="one durable commit (time)",
            value=statistics.median(commits),
            unit="µs",
            pacing="one after the other, between the rounds",
        )
    )
    return figures


async def one(daemon: Lane, others: Rivals, kind: str, frames: int) -> Round:
    """Have the daemon, the floor and the peer handle the same frames, one after the other."""
    pushed = await daemon.push(kind, frames)
    floor = await others.floor_us(daemon, pushed.pushes, daemon.readers[0].last)
    return Round(pushed, floor, await others.peer_us(daemon, pushed.pushes))


def cost(kind: str, rounds: list[Round]) -> Figure:
    """Give the CPU per push of a kind."""
    times = ratio([(one.us, one.floor_us) for one in rounds])
    floor = {name: statistics.median(one.floor[name] for one in rounds) for name in PARTS}
    beside = {"× floor": times, "floor": sum(floor.values())}
    goals = [Goal(text="4 × the floor", judged=times, limit=TIMES_FLOOR)]
    peers = [(one.us, one.peer) for one in rounds if one.peer is not None]
    if peers:
        beside |= {"peer": statistics.median(peer for _, peer in peers), "× peer": ratio(peers)}
        if kind in OF_THE_PEER:
            part = OF_THE_PEER[kind]
            goals.append(Goal(text=f"1/{1 / part:.0f} of the peer's handling", judged=ratio(peers), limit=part))
    return Figure(
        part=PART,
        what=KINDS[kind],
        value=statistics.median(one.us for one in rounds),
        unit="µs CPU",
        pacing=SATURATED,
        beside={**beside, "least": min(one.us for one in rounds)},
        goals=tuple(goals),
        remark="floor: " + ", ".join(f"{name} {us:.1f}" for name, us in floor.items()),
    )


def sustained(kind: str, rounds: list[Round]) -> Figure:
    """Give the pushes per second of a kind, which the floor's CPU bounds."""
    return Figure(
        part=PART,
        what=f"sustained: {KINDS[kind]}",
        value=statistics.median(one.per_s for one in rounds),
        unit="pushes/s",
        pacing=SATURATED,
        beside={
            "most": max(one.per_s for one in rounds),
            "floor on a core": 1e6 / statistics.median(one.floor_us for one in rounds),
        },
        remark="until the last snapshot is read",
    )


if __name__ == "__main__":
    from tests.benchmarks.__main__ import main

    main(["cost", *sys.argv[1:]])
