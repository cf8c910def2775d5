"""The baselines of one run: the floor, the peer and the disk, each heard from processes of their own.

What enters: an exchange and the frames that the daemon has just had. What leaves: CPU per frame of each; times of a
durable commit. What holds: they get the very same frames, from the same sender, in turn with the daemon.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.children import Child, child
from tests.benchmarks.lane import Lane

FLOOR, PEER = "floor", "peer"
COMMITS = 50


@dataclass(slots=True, kw_only=True)
class Rivals:
    """The processes; `peer` is `None` where ccxt is not installed."""

    bare: Child
    peer: Child | None

    async def floor_us(self, lane: Lane, frames: int, snapshot: Mapping[str, Any]) -> dict[str, float]:
        """Send what the lane's daemon had, and give the floor's CPU per frame, by part."""
        self.bare.say(frames=frames, snapshot=snapshot)
        await lane.send(keys=(FLOOR,) * len(lane.names))
        return dict((await self.bare.heard())["us"])

    async def receive_us(self, lane: Lane, frames: int, *, rate: float) -> float:
        """Send what the lane's daemon had at the same pace, and give the CPU per frame of receiving it bare."""
        before = await self.bare.still()
        self.bare.say(frames=frames, snapshot=None)
        await lane.send(keys=(FLOOR,) * len(lane.names), rate=rate)
        await self.bare.heard()
        return (await self.bare.still() - before) * 1e6 / frames

    async def peer_us(self, lane: Lane, frames: int) -> float | None:
        """Send what the lane's daemon had, and give the peer's CPU per frame of handling it."""
        if self.peer is None:
            return None
        self.peer.say(frames=frames)
        await lane.send(keys=(PEER,) * len(lane.names))
        return float((await self.peer.heard())["us"])

    async def commit_us(self, *, rate: float = 0.0, count: int = COMMITS) -> float:
        """Give the median time of a durable commit, one after the other or at a pace."""
        answer = await self.bare.ask(commits=count, rate=rate)
        return statistics.median(map(float, answer["commit_us"]))


@asynccontextmanager
async def rivals(lane: Lane, folder: Path, *, peer: bool = False) -> AsyncIterator[Rivals]:
    """Run them until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    url = lane.where["ws_url"]
    async with AsyncExitStack() as stack:
        words = ("-m", "tests.benchmarks.floor_process", url, FLOOR, str(folder))
        bare = await stack.enter_async_context(child(*words))
        await bare.heard()
        other = None
        if peer and importlib.util.find_spec("ccxt") is not None:
            other = await stack.enter_async_context(child("-m", "tests.benchmarks.peer_process", url, PEER))
            await other.heard()
        yield Rivals(bare=bare, peer=other)
