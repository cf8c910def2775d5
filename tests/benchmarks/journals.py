"""What an account's age costs: start-up, CPU per push, memory, replay and verification, by events in the journal.

What runs: daemons that begin with journals of 10 thousand, 1 million (and, if asked for, 5 million) events, each started
again and again, next to one that begins with none; then all at the same time, having their frames in turn; then
`ditad replay` and `ditad verify` as processes of their own. What leaves: medians; growth is the median of ratios within
rounds. What holds: every daemon's K, E and verdict are what was sent, on top of what its journal says.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import statistics
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from ditad.api.client import ApiClient
from ditad.journal import Reader
from tests.benchmarks.children import ended
from tests.benchmarks.figures import SATURATED, Figure, Goal, ratio
from tests.benchmarks.growing import books_of, grown
from tests.benchmarks.lane import QUIET, Lane, daemon_process, lane, written
from tests.benchmarks.machine import ROOT
from tests.benchmarks.options import Options
from tests.benchmarks.rivals import Rivals, rivals
from tests.benchmarks.sizes import with_goals

PART = "the journal's age"
SMALL, REPLAYED, LARGE, LARGEST = 10_000, 100_000, 1_000_000, 5_000_000
SIZE_MIN = 3_000
GROWTH_MAX = 1.05
START_S_MAX = 2.0
EVENTS_PER_S, FLOOR_US = 20_000, 45.0
"""So many a second are to be replayed where one floor pass takes so long."""

STARTS_MAX = 5
NOWHERE = {"rest_url": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:1/swap-market"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a start or a verb took."""

    took_s: float
    cpu_s: float


async def measure(folder: Path, options: Options) -> list[Figure]:
    """Grow the journals, then measure."""
    sizes = [max(SIZE_MIN, size // options.scale) for size in (SMALL, REPLAYED, LARGE)]
    sizes += [LARGEST // options.scale] if options.long else []
    sizes = sorted(set(sizes))
    homes = await asyncio.to_thread(grown, options.journals or folder / "journals", sizes)
    aged = {size: homes[size] for size in sizes if size != REPLAYED // options.scale}
    figures = await starts(folder, aged, options)
    figures += await pushes(folder, aged, options)
    replayed = sizes[min(1, len(sizes) - 1)]
    figures += await replays(folder, homes[replayed], replayed, options)
    return figures


# ---- start-up


async def starts(folder: Path, homes: dict[int, Path], options: Options) -> list[Figure]:
    """Start daemons of each age in turn, and end them in order."""
    took: dict[int, list[Ran]] = {size: [] for size in (0, *homes)}
    settings = {}
    for size in (0, *homes):
        home = folder / f"start{size}"
        copied(homes.get(size), home)
        settings[size] = written(home, NOWHERE, ("main",), QUIET)
    for _ in range(min(options.rounds, STARTS_MAX) + 1):  # the first one warms the disk's cache up
        for size, path in settings.items():
            took[size].append(await start(path))
    return [started(f"{named(size)}, after an orderly end", own[1:], took[0][1:]) for size, own in took.items()]


async def start(settings: Path) -> Ran:
    """Start a daemon, and end it; gives what it took until its socket answered."""
    began = time.perf_counter()
    async with daemon_process(settings.parent, settings) as daemon:
        took = Ran(took_s=time.perf_counter() - began, cpu_s=daemon.cpu_s)
        await ended(daemon.process)
    return took


def started(what: str, took: list[Ran], empty: list[Ran]) -> Figure:
    """Give the time of a start next to that with an empty journal, or after an orderly end."""
    middle = statistics.median(one.took_s for one in took)
    goal = Goal(text="2 s to the socket answering", judged=middle, limit=START_S_MAX)
    return Figure(
        part=PART,
        what=f"start-up, {what}",
        value=middle,
        unit="s",
        pacing=f"nothing else to do, {len(took)} starts, files in the system's cache",
        beside={
            "s CPU": statistics.median(one.cpu_s for one in took),
            "empty or in order": statistics.median(one.took_s for one in empty),
            "its s CPU": statistics.median(one.cpu_s for one in empty),
        },
        goals=(goal,),
    )


# ---- pushes


async def pushes(folder: Path, homes: dict[int, Path], options: Options) -> list[Figure]:
    """Have daemons of each age in turn."""
    found: dict[int, list[float]] = {size: [] for size in homes}
    async with AsyncExitStack() as stack:
        lanes: dict[int, Lane] = {}
        for size, home in homes.items():
            place = folder / f"push{size}"
            copied(home, place)
            lanes[size] = await stack.enter_async_context(lane(place, before=books_of(home)))
            await lanes[size].warm()
        others = await stack.enter_async_context(rivals(lanes[min(homes)], folder / "rivals"))
        floor: list[float] = []
        for _ in range(options.rounds):
            for size, daemon in lanes.items():
                found[size].append((await daemon.push("pairs", options.frames)).us_per_push)
            floor.append(await floor_of(lanes[min(homes)], others, options.frames))
        memory = {size: daemon.daemon.resident_bytes / 2**20 for size, daemon in lanes.items()}
        figures = [*grown_cost(found, floor, memory), await resumed(lanes[max(homes)])]
        for daemon in lanes.values():
            daemon.daemon.process.kill()
            await daemon.daemon.process.wait()
    for size, daemon in lanes.items():
        took, again = await start(daemon.settings), await start(daemon.settings)
        figures.append(started(f"{named(size)}, killed under load", [took], [again]))
    return figures


async def floor_of(daemon: Lane, others: Rivals, frames: int) -> float:
    """Give the floor's CPU per frame."""
    return sum((await others.floor_us(daemon, frames, daemon.readers[0].last)).values())


def grown_cost(found: dict[int, list[float]], floor: list[float], memory: dict[int, float]) -> list[Figure]:
    """Give the cost per push by age, next to the youngest in the same round."""
    figures = []
    for size, own in found.items():
        grown_by = ratio(list(zip(own, found[min(found)], strict=True)))
        figure = Figure(
            part=PART,
            what=f"CPU per push, {named(size)}",
            value=statistics.median(own),
            unit="µs CPU",
            pacing=f"{SATURATED}; {len(own)} rounds in turn",
            beside={
                "× the youngest": grown_by,
                "floor": statistics.median(floor),
                "resident MiB": memory[size],
            },
        )
        goal = Goal(text=f"5 % from {named(min(found))} to {named(size)}", judged=grown_by, limit=GROWTH_MAX)
        figures.append(figure if size == min(found) else with_goals(figure, goal))
    return figures


async def resumed(daemon: Lane) -> Figure:
    """Let a reader resume from records that are far behind, as fast as it is sent them."""
    async with ApiClient(daemon.socket) as client:
        newest = int((await client.ask("/v1/accounts/main/events", snapshot=1)).partition(b'"seq":')[2].split(b",")[0])
        began, cpu_s, count = time.perf_counter(), daemon.daemon.cpu_s, 0
        far = {"after_seq": str(max(0, newest - 20_000))}
        async for _, line in client.lines("/v1/accounts/main/events", far):
            count += bool(line)
    took_s, spent_s = time.perf_counter() - began, daemon.daemon.cpu_s - cpu_s
    return Figure(
        part=PART,
        what="a reader that resumes, from journal and ring",
        value=count / took_s,
        unit="records/s",
        pacing=f"as fast as it is sent, {count} records",
        beside={"µs CPU per record": spent_s * 1e6 / count},
    )


# ---- replay


async def replays(folder: Path, home: Path, size: int, options: Options) -> list[Figure]:
    """Replay and verify a long life's journal, and one that holds pushes alone."""
    async with lane(folder / "pushed") as daemon, rivals(daemon, folder / "floor") as others:
        await daemon.warm()
        for _ in range(options.rounds):
            await daemon.push("pairs", options.frames)
        floor_us = await floor_of(daemon, others, options.frames)
        settings = daemon.settings
    place = folder / "replayed"
    copied(home, place)
    pushed = events_in(folder / "pushed")
    lived = written(place, NOWHERE, ("main",), QUIET)
    return [
        rate(verb, what, await ran(verb, path), events, floor_us)
        for what, path, events in (("pushes alone", settings, pushed), (f"a life, {named(size)}", lived, size))
        for verb in ("replay", "verify")
    ]


def rate(verb: str, what: str, took: Ran, events: int, floor_us: float) -> Figure:
    """Give the events per second, and what is due where the floor is as it is."""
    per_s, due = events / took.took_s, EVENTS_PER_S * FLOOR_US / floor_us
    goal = Goal(text="20 000 events/s where one floor pass takes 45 µs, scaled", judged=per_s, limit=due, least=True)
    return Figure(
        part=PART,
        what=f"{verb}, {what}",
        value=per_s,
        unit="events/s",
        pacing=f"as fast as it goes, {events} events",
        beside={"µs CPU per event": took.cpu_s * 1e6 / events, "floor": floor_us},
        goals=(goal,),
    )


async def ran(verb: str, settings: Path) -> Ran:
    """Run a verb of the command line on a journal; it must find nothing wrong."""
    before, began = _children_s(), time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ditad", verb, "--config", str(settings), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    code = await process.wait()
    if code != 0:
        raise SystemExit(f"{verb} ended with {code}: a benchmark of wrong results is none")
    return Ran(took_s=time.perf_counter() - began, cpu_s=_children_s() - before)


def _children_s() -> float:
    """Give the CPU seconds of children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def events_in(home: Path) -> int:
    """Count the events of a journal."""
    with Reader.open(home / "state", "main") as reader:
        return reader.event_count


def copied(home: Path | None, place: Path) -> None:
    """Begin a folder with a copy of a journal, or with none."""
    place.mkdir()
    if home is not None:
        shutil.copytree(home / "state", place / "state")


def named(size: int) -> str:
    """Say a size."""
    return f"{size:,} events".replace(",", " ")
