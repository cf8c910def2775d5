"""Whoever hears the same frames as the daemon does, and nothing more: a bare `websockets` client.

What enters: where they come from, how many are due. What leaves: the frames, as received, and the CPU of receiving
them in this process. What holds: the exchange's signs of life between them are not frames.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect

PING_BYTES_MAX = 40
"""The exchange's sign of life is shorter than this; no push is."""

GZIP_WBITS = 31


@asynccontextmanager
async def listening(url: str, key: str) -> AsyncIterator[ClientConnection]:
    """Connect as the daemon does: no compression, no pings of the protocol, no proxy."""
    async with connect(f"{url}?listenKey={key}", compression=None, ping_interval=None, proxy=None) as stream:
        yield stream


async def received(stream: ClientConnection, frames: int) -> tuple[list[bytes], float]:
    """Receive so many frames; gives them and the CPU seconds of this process meanwhile."""
    taken: list[bytes] = []
    began = time.process_time()
    while len(taken) < frames:
        message = await stream.recv()
        assert isinstance(message, bytes), "frames are binary"
        if len(message) > PING_BYTES_MAX:
            taken.append(message)
    return taken, time.process_time() - began


def inflated(data: bytes) -> bytes:
    """Give a frame's text."""
    return zlib.decompress(data, GZIP_WBITS)
