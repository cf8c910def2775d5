"""The stream on the wire: a feed's batches into one connection, never faster than its reader reads.

What enters: a feed and a connection. What leaves: NDJSON until the feed ends, the reader leaves, or is too slow. What
holds: of a reader that stops reading, at most `BUFFER_BYTES_MAX`, one batch and what the kernel takes are in memory;
it is dropped when the ring overtakes it or after `STALL_S_MAX`, and cut off if it does not even take that line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from aiohttp import web

from ditad.api.feed import Feed

BUFFER_BYTES_MAX: Final = 131_072
"""The transport's buffer takes one batch beyond this, then the writer waits; a snapshot of 200 positions has 72 KB."""

AT_ONCE_BYTES_MAX: Final = BUFFER_BYTES_MAX - 1_024
"""Of a batch and the frame around it so much always has room in an empty buffer, so that its write does not wait."""

LOOK_S: Final = 0.5
"""How often a waiting writer looks whether the ring has overtaken its reader."""

STALL_S_MAX: Final = 60.0
"""A reader that takes nothing for so long is dropped even if the ring still has all it needs; it can resume."""

GRACE_S_MAX: Final = 5.0
"""A dropped reader has this long to read that it was."""

TAKE_S_MAX: Final = 30.0
"""A peer has this long to take an answer."""

CONTENT_TYPE: Final = "application/x-ndjson"
CURSOR_HEADER: Final = "Ditad-After-Seq"
"""Says after which `seq` the stream begins, so that a reader can resume before it has seen a record."""


async def stream(feed: Feed, response: web.StreamResponse, request: web.BaseRequest) -> None:
    """Send the feed's batches to the end; the caller has opened the feed and closes it."""
    response.headers[CURSOR_HEADER] = str(feed.cursor)
    response.content_type = CONTENT_TYPE
    transport = request.transport
    if transport is None:
        return
    transport.set_write_buffer_limits(high=BUFFER_BYTES_MAX)
    await response.prepare(request)
    last = b""
    # A write that waits for room is never cancelled: aiohttp's writers share one future, and a cancelled one would
    # end them all. It ends when the reader makes room or when the connection is cut off.
    async with asyncio.TaskGroup() as writes:
        async for batch in feed.batches():
            if len(batch) <= AT_ONCE_BYTES_MAX and not transport.get_write_buffer_size():
                if not await _written(response.write(batch)):
                    return
                continue
            writing = writes.create_task(_written(response.write(batch)))
            if not await _taken(feed, writing):
                response.force_close()
                last = feed.drop()
                break
            if not writing.result():
                return
        ending = writes.create_task(_written(response.write_eof(last)))
        await asyncio.wait({ending}, timeout=GRACE_S_MAX)
        if not ending.done():
            transport.abort()


async def send(response: web.StreamResponse, request: web.BaseRequest) -> None:
    """Send an answer whole; a peer that does not take it in time is cut off."""
    await response.prepare(request)
    try:
        async with asyncio.timeout(TAKE_S_MAX):
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the peer did not read its answer") from None


async def _taken(feed: Feed, writing: asyncio.Task[bool]) -> bool:
    """Wait until the reader makes room for what was written, or has been overtaken, or takes nothing for too long."""
    loop = asyncio.get_running_loop()
    stalled_mono = loop.time() + STALL_S_MAX
    while True:
        await asyncio.wait({writing}, timeout=LOOK_S)
        if writing.done():
            return True
        if feed.overtaken or loop.time() >= stalled_mono:
            return False


async def _written(write: Awaitable[None]) -> bool:
    """Wait for a write; `False` where the reader has left."""
    try:
        await write
    except ConnectionError:
        return False
    return True
