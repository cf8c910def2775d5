"""What the exchange's repeated configuration costs: 300 frames a second that change nothing.

What runs: the daemon has the frames at this pace for a while, then a bare `websockets` receive has them at the same
one, in turn. What leaves: CPU per frame of each and their ratio; what the daemon takes when nothing comes at all. What
holds: nothing of it was journaled or published: the record that a reader has is still the newest.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from ditad.api.client import ApiClient
from tests.benchmarks.figures import Figure, Goal, ratio
from tests.benchmarks.lane import Lane, lane
from tests.benchmarks.options import Options, whole
from tests.benchmarks.rivals import rivals
from tests.benchmarks.synthetic import CONFIGURED

PART = "the configuration flood"
RATE = 300
TIMES_BARE = 1.5
QUIET_S = 2.0


async def measure(folder: Path, options: Options) -> list[Figure]:
    """Flood the daemon and the bare client in turn."""
    pairs: list[tuple[float, float]] = []
    async with lane(folder / "flood") as daemon, rivals(daemon, folder / "rivals") as others:
        await daemon.warm()
        await daemon.prepare("config", CONFIGURED)
        await daemon.send()  # heard for the first time all of it is news
        await daemon.daemon.still()
        quiet_us = await quiet(daemon, min(QUIET_S, options.seconds))
        frames = whole(int(RATE * options.seconds))
        for _ in range(options.rounds):
            seq = await newest_seq(daemon)
            await daemon.prepare("config", frames)
            pairs.append((await flooded(daemon, frames), await others.receive_us(daemon, frames, rate=RATE)))
            assert seq == await newest_seq(daemon), "what changes nothing leads to no record"
    times = ratio(pairs)
    return [
        Figure(
            part=PART,
            what="a frame that changes nothing",
            value=statistics.median(own for own, _ in pairs),
            unit="µs CPU",
            pacing=f"{RATE} frames/s for {frames / RATE:.1f} s, {len(pairs)} times in turn",
            beside={"bare receive": statistics.median(bare for _, bare in pairs), "× bare": times},
            goals=(Goal(text="1.5 × the CPU of a bare receive", judged=times, limit=TIMES_BARE),),
            remark=f"with nothing to hear the daemon takes {quiet_us:.0f} µs a second",
        )
    ]


async def flooded(daemon: Lane, frames: int) -> float:
    """Send the daemon what is prepared, at the pace; gives its CPU per frame."""
    cpu_s = await daemon.daemon.still()
    await daemon.send(rate=RATE)
    return (await daemon.daemon.still() - cpu_s) * 1e6 / frames


async def quiet(daemon: Lane, seconds: float) -> float:
    """Give the daemon's CPU in a second in which only the exchange's sign of life comes, in µs."""
    began, cpu_s = time.monotonic(), daemon.daemon.cpu_s
    await asyncio.sleep(seconds)
    return (daemon.daemon.cpu_s - cpu_s) * 1e6 / (time.monotonic() - began)


async def newest_seq(daemon: Lane) -> int:
    """Ask how many records there are."""
    async with ApiClient(daemon.socket) as client:
        told = await client.ask("/v1/accounts/main/events", snapshot=1)
    return int(told.partition(b'"seq":')[2].partition(b",")[0])
