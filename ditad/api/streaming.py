"""The stream on the wire: a feed's batches into one connection, never faster than its reader reads.

What enters: a feed and a connection. What leaves: NDJSON until the feed ends, the reader leaves, or is too slow. What
holds: of a reader that stops reading, at most `BUFFER_BYTES_MAX`, one batch and what the kernel takes are in memory;
it is dropped when the ring overtakes it or after `STALL_S_MAX`, and cut off if it does not even take that line.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from ditad.api.feed import Feed

BUFFER_BYTES_MAX: Final = 65_536
"""The transport's buffer takes one batch beyond this, then the writer waits."""

LOOK_S: Final = 0.5
"""How often a waiting writer looks whether the ring has overtaken its reader."""

STALL_S_MAX: Final = 60.0
"""A reader that takes nothing for so long is dropped even if the ring still has all it needs; it can resume."""

GRACE_S_MAX: Final = 5.0
"""A dropped reader has this long to read that it was."""

CONTENT_TYPE: Final = "application/x-ndjson"
CURSOR_HEADER: Final = "Ditad-After-Seq"
"""Says after which `seq` the stream begins, so that a reader can resume before it has seen a record."""


class Stalled(Exception):
    """The reader did not take what it was sent."""


async def stream(feed: Feed, response: web.StreamResponse, request: web.BaseRequest) -> None:
    """Send the feed's batches to the end; the caller has opened the feed and closes it."""
    response.headers[CURSOR_HEADER] = str(feed.cursor)
    response.content_type = CONTENT_TYPE
    transport = request.transport
    if transport is None:
        return
    transport.set_write_buffer_limits(high=BUFFER_BYTES_MAX)
    await response.prepare(request)
    try:
        async for batch in feed.batches():
            await _send(feed, response, batch)
    except Stalled:
        response.force_close()
        await finish(response, request, feed.drop())
    else:
        await finish(response, request)


async def finish(response: web.StreamResponse, request: web.BaseRequest, last: bytes = b"") -> None:
    """Send the last bytes and end the answer; a peer that does not read them in time is cut off."""
    try:
        async with asyncio.timeout(GRACE_S_MAX):
            await response.write_eof(last)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the reader did not read the end") from None


async def _send(feed: Feed, response: web.StreamResponse, batch: bytes) -> None:
    """Write a batch and wait until the reader makes room; raises `Stalled`, with the batch in the buffer whole."""
    loop = asyncio.get_running_loop()
    stalled_mono = loop.time() + STALL_S_MAX
    handle: asyncio.TimerHandle | None = None
    try:
        async with asyncio.timeout(None) as limit:

            def look() -> None:
                nonlocal handle
                now_mono = loop.time()
                if feed.overtaken or now_mono >= stalled_mono:
                    limit.reschedule(now_mono)
                else:
                    handle = loop.call_later(LOOK_S, look)

            handle = loop.call_later(LOOK_S, look)
            try:
                await response.write(batch)
            finally:
                if handle is not None:
                    handle.cancel()
    except TimeoutError:
        raise Stalled from None
