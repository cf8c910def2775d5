"""What one reader of the stream is sent: the journal's records, then without a seam the hub's.

What enters: where to begin, which types, whether to follow. What leaves: batches of lines. What holds: every record
after the beginning is given once and in order, or a `dropped` line says from where on none is; the change from journal
to hub happens where the ring has the next record, with no await between looking and subscribing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from ditad.api.answers import ErrorCode, Problem, snapshot_line
from ditad.api.doors import AccountDoor, GoneError
from ditad.api.routes import EventsRequest
from ditad.errors import DitadError
from ditad.hub import BATCH_BYTES_MAX, Subscription, dropped_line
from ditad.records import Record

SCANNED_MAX: Final = 64
"""Of history so many records are looked at until what was found is sent: a filter may find the next one much later."""

HISTORY_STEP_S_MAX: Final = 60.0
"""The journal's next record comes within this, or the reader is dropped."""


class Feed:
    """One reader's way through an account's records. `cursor` is the `seq` it has been brought to."""

    def __init__(self, door: AccountDoor, request: EventsRequest) -> None:
        """Prepare; `open` finds the beginning."""
        self._door = door
        self._hub = door.hub
        self._types = request.types
        self._request = request
        self._since_us: int | None = None
        self._preface = b""
        self._end_seq: int | None = None
        self._history: AsyncIterator[Record] | None = None
        self._first: Record | None = None
        self._subscription: Subscription | None = None
        self._ended = False
        self.cursor = 0

    async def open(self) -> None:
        """Find the beginning and the first record of history, so that a refusal comes before any line.

        Raises `Problem` where the beginning lies beyond the newest record, `GoneError` where it is not kept.
        """
        newest = self._hub.newest_seq
        asked = self._request.after_seq
        if asked is not None and asked > newest:
            told = f"after_seq: {asked} lies beyond the newest record {newest}: this journal is not the one you read"
            raise Problem(ErrorCode.CONFLICT, told, newest=newest)
        self.cursor = newest if asked is None else asked
        self._end_seq = None if self._request.follow else newest
        snapshot = self._door.snapshot() if self._request.snapshot else None
        if snapshot is not None:
            self._preface = snapshot_line(snapshot, newest)
        if self._request.since_us is not None:
            await self._find(self._request.since_us)
        if self._before_the_ring():
            await self._enter_history(from_oldest=asked == 0 or self._since_us is not None)

    @property
    def overtaken(self) -> bool:
        """Whether the ring has left behind a reader that reads from it."""
        return self._subscription is not None and self._subscription.overtaken

    def end(self) -> None:
        """Give nothing more: the reader left, or the daemon stops."""
        self._ended = True
        if self._subscription is not None:
            self._subscription.end()

    def drop(self) -> bytes:
        """End, and name what the reader will not get."""
        self.end()
        return dropped_line(self.cursor + 1, self._hub.newest_seq)

    async def close(self) -> None:
        """Give back what history holds, wherever the reader stopped."""
        if self._history is not None:
            history, self._history = self._history, None
            if isinstance(history, AsyncGenerator):
                await history.aclose()

    async def batches(self) -> AsyncIterator[bytes]:
        """Give what there is to send, one batch at a time, until the end."""
        if self._preface:
            yield self._preface
        while self._before_the_ring():
            before = self.cursor
            async for batch in self._from_history():
                yield batch
            if self._ended:
                return
            if self.cursor == before:  # the journal does not reach to the ring: a hole that must be told
                yield self.drop()
                return
        async for batch in self._from_hub():
            yield batch

    def _before_the_ring(self) -> bool:
        over = self._ended or (self._end_seq is not None and self.cursor >= self._end_seq)
        return not over and self.cursor + 1 < self._hub.oldest_seq

    async def _find(self, since_us: int) -> None:
        """Begin with the first record after a moment; history's may be found short of it and is passed over."""
        found = self._hub.seq_at(since_us)
        self.cursor = await self._door.seq_at(since_us) if found is None else found
        self._since_us = since_us if found is None else None

    async def _enter_history(self, *, from_oldest: bool) -> None:
        try:
            self._first = await self._step(self._start_history())
        except GoneError as gone:
            await self.close()
            if not from_oldest:
                raise
            self.cursor = gone.oldest - 1
            if self._before_the_ring():
                self._first = await self._step(self._start_history())

    def _start_history(self) -> AsyncIterator[Record]:
        self._history = self._door.history(self.cursor)
        return self._history

    async def _next(self, history: AsyncIterator[Record]) -> Record | None:
        """Give the next record of history; one that fails ends it, and the reader learns why when it asks again."""
        try:
            return await self._step(history)
        except (DitadError, TimeoutError):
            return None

    async def _step(self, history: AsyncIterator[Record]) -> Record | None:
        async with asyncio.timeout(HISTORY_STEP_S_MAX):
            return await anext(history, None)

    async def _from_history(self) -> AsyncIterator[bytes]:
        """Give the journal's records until the ring has the next one, or they end."""
        history = self._history or self._start_history()
        record = self._first or await self._next(history)
        self._first = None
        lines: list[bytes] = []
        size = scanned = 0
        while record is not None and not self._ended:
            if record.seq > self.cursor + 1:
                lines.append(self.drop().rstrip())
                break
            if record.seq == self.cursor + 1:
                self.cursor = record.seq
                if self._wanted(record):
                    lines.append(record.line)
                    size += len(record.line)
            if not self._before_the_ring():
                break
            scanned += 1
            if size >= BATCH_BYTES_MAX or (lines and scanned >= SCANNED_MAX):
                yield b"\n".join([*lines, b""])
                lines, size, scanned = [], 0, 0
            record = await self._next(history)
        await self.close()
        if lines:
            yield b"\n".join([*lines, b""])

    def _wanted(self, record: Record) -> bool:
        if self._since_us is not None and record.at_us <= self._since_us:
            return False
        return self._types is None or record.type in self._types

    async def _from_hub(self) -> AsyncIterator[bytes]:
        with self._hub.subscribe(self.cursor, self._types) as subscription:
            subscription.end_seq = self._end_seq
            self._subscription = subscription
            if self._ended:
                return
            async for batch in subscription:
                self.cursor = subscription.cursor
                yield batch
