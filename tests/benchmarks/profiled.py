"""Where the daemon's CPU goes: a profile of it at saturation, for figures that are not reached.

What runs: `ditad run` under `cProfile`, which sees the loop's thread alone and makes every call dearer: shares count, not
times. What leaves: the functions with the greatest times of their own, the modules, and all of ours together, as shares.
What holds: the start is in it too, so many pushes are sent; K, E and verdict are verified.
"""

from __future__ import annotations

import pstats
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.children import ended
from tests.benchmarks.figures import SATURATED, Figure
from tests.benchmarks.lane import lane
from tests.benchmarks.machine import ROOT
from tests.benchmarks.options import Options

PART = "profile"
FUNCTIONS = 25
MODULES = 15
WAITING = "<method 'poll' of 'select.epoll' objects>"

Place = tuple[str, int, str]
"""File, line and function, as `pstats` has them."""


async def measure(folder: Path, options: Options) -> list[Figure]:
    """Push, end the daemon in order, and read what the profiler wrote then."""
    out = folder / "profile"
    async with lane(folder / "profiled", profile=out) as daemon:
        await daemon.warm()
        for _ in range(options.rounds):
            await daemon.push("pairs", options.frames)
        await ended(daemon.daemon.process)
    own = {place: row[2] for place, row in pstats.Stats(str(out)).stats.items()}  # type: ignore[attr-defined]
    return rows(own, options.rounds * options.frames)


def rows(own: Mapping[Place, float], pushes: int) -> list[Figure]:
    """Give functions and modules by their share of all that was not waiting."""
    worked = {place: spent for place, spent in own.items() if place[2] != WAITING}
    total = sum(worked.values())
    modules: Counter[str] = Counter()
    for place, spent in worked.items():
        modules[module(place)] += spent  # type: ignore[assignment]
    functions = sorted(worked, key=lambda place: -worked[place])[:FUNCTIONS]
    pacing = f"{SATURATED}, under cProfile, {pushes} pushes"
    figures = [(f"{module(place)}: {place[2]}", worked[place]) for place in functions]
    figures += [(f"in all: {name}", spent) for name, spent in modules.most_common(MODULES)]
    figures.append(("in all: ditad", sum(spent for name, spent in modules.items() if name.startswith("ditad/"))))
    return [
        Figure(part=PART, what=what, value=100 * spent / total, unit="%", pacing=pacing, beside={"s": spent})
        for what, spent in figures
    ]


def module(place: Place) -> str:
    """Name a file shortly: of ours its path, of libraries the last two parts of it, of what is built in nothing."""
    path = Path(place[0])
    if path.is_relative_to(ROOT / "ditad"):
        return str(path.relative_to(ROOT))
    return "built in" if place[0] in {"~", ""} else "/".join(path.parts[-2:])
