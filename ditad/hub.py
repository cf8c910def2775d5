"""The fan-out of one account's numbered records to any number of readers.

What enters: records in the order of their `seq`, published by the one who folds. What leaves: batches of NDJSON lines,
pulled by each reader from one shared ring with a cursor of its own.
What holds: publishing costs the same whatever the number of readers and never waits for one; a reader costs no memory
here, for it has no queue; the ring is bounded by count and by bytes, and where it holds many records by fewer bytes; a
reader that is overtaken by the ring's old end is told which records it lost, and is ended. One event loop, no locks.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from ditad.records import Record, RecordType, rfc3339

BOOKMARK_S: Final = 15.0
"""After this much quiet a reader is told how far the account is. (interfaces.md §3)"""

BATCH_BYTES_MAX: Final = 65_536
"""A batch ends with the line that passes this; a reader holds one batch at a time."""

SCAN_MAX: Final = 1_024
"""A reader looks at this many records before it lets the others run; a filter may find nothing for long."""


def wall_us() -> int:
    """Give wall time in microseconds since the epoch, for bookmarks, which have no place in the order."""
    return time.time_ns() // 1_000


def dropped_line(first: int, last: int) -> bytes:
    """Write the line that says which records a reader lost."""
    return b'{"type":"dropped","from":%d,"to":%d}\n' % (first, last)


def bookmark_line(seq: int, at_us: int) -> bytes:
    """Write the line that says how far a reader is when there was nothing to send."""
    return b'{"type":"bookmark","seq":%d,"ts":"%s"}\n' % (seq, rfc3339(at_us).encode())


class Hub:
    """The newest records of one account, and whoever reads them."""

    def __init__(
        self,
        capacity_records: int,
        capacity_bytes: int,
        *,
        ample_records: int = 0,
        ample_bytes: int | None = None,
        newest_seq: int = 0,
        bookmark_s: float = BOOKMARK_S,
        now_us: Callable[[], int] = wall_us,
    ) -> None:
        """Hold at most so many records, and no more bytes of lines than this beyond the newest record.

        Of more than `ample_records` no more than `ample_bytes` are held (`None`: as many as of few): what lies further
        back is the journal's to tell, and a ring of long lines still holds enough of them for a reader to keep up.
        `newest_seq` is that of the last record before this process (0: none); those are history, not in the ring.
        """
        assert capacity_records > 0, "a ring holds something"
        assert capacity_bytes > 0, "a ring holds something"
        assert ample_bytes is None or 0 < ample_bytes <= capacity_bytes, "many are held in no more bytes than few"
        self._slots: list[Record | None] = [None] * capacity_records
        self._bytes_max = capacity_bytes
        self._ample_records = ample_records
        self._ample_bytes = capacity_bytes if ample_bytes is None else ample_bytes
        self._bytes = 0
        self.published_bytes = 0
        self._oldest = newest_seq + 1
        self._newest = newest_seq
        self.bookmark_s = bookmark_s
        self.now_us = now_us
        self.readers: set[Subscription] = set()
        self._waiting: dict[asyncio.Future[None], None] = {}  # in the order in which they came
        self._waking = False

    @property
    def oldest_seq(self) -> int:
        """The `seq` of the oldest record in the ring; one more than `newest_seq` where it is empty."""
        return self._oldest

    @property
    def newest_seq(self) -> int:
        """The `seq` of the newest record of the account, in the ring or before it; 0 where there is none."""
        return self._newest

    @property
    def held_bytes(self) -> int:
        """The bytes of the lines in the ring."""
        return self._bytes

    @property
    def subscribers(self) -> int:
        """How many read at this moment."""
        return len(self.readers)

    def continue_from(self, newest_seq: int) -> None:
        """Go on numbering after a record that was published by an earlier process; only before the first `publish`."""
        assert self._oldest > self._newest, "records were published already"
        self._newest = newest_seq
        self._oldest = newest_seq + 1

    def publish(self, records: Sequence[Record]) -> None:
        """Take the next records in their order; readers are woken when the caller has returned to the event loop."""
        for record in records:
            assert record.seq == self._newest + 1, f"record {record.seq} does not follow {self._newest}"
            if record.seq - self._oldest == len(self._slots):
                self._forget_oldest()
            self._slots[record.seq % len(self._slots)] = record
            self._newest = record.seq
            self._bytes += len(record.line)
            self.published_bytes += len(record.line)
            while self._bytes > self._ample_bytes and self._holds_too_much():
                self._forget_oldest()
        if records and self._waiting and not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self.wake)

    def subscribe(self, after_seq: int | None, types: frozenset[RecordType] | None) -> Subscription:
        """Read what comes after `after_seq` (`None`: after the newest), of these types (`None`: of all).

        Use it as a context manager. Older than the ring, it gives a `dropped` line and ends.
        """
        return Subscription(self, self._newest if after_seq is None else after_seq, types)

    def seq_at(self, at_us: int) -> int | None:
        """Give the last `seq` made at or before a moment; `None` where that lies before the ring."""
        if self._oldest > self._newest or self.record(self._oldest).at_us > at_us:
            return None
        numbers = range(self._oldest, self._newest + 1)
        return self._oldest + bisect_right(numbers, at_us, key=lambda seq: self.record(seq).at_us) - 1

    def end_readers(self) -> None:
        """End every subscription after what it is sending now; new ones may follow."""
        for reader in tuple(self.readers):
            reader.end()

    def record(self, seq: int) -> Record:
        """Give a record that is in the ring; the caller knows `oldest_seq` and `newest_seq`."""
        record = self._slots[seq % len(self._slots)]
        assert record is not None, f"record {seq} left the ring"
        assert record.seq == seq, f"record {record.seq} stands in the place of {seq}"
        return record

    def _holds_too_much(self) -> bool:
        held = self._newest - self._oldest + 1
        return held > 1 and (held > self._ample_records or self._bytes > self._bytes_max)

    def _forget_oldest(self) -> None:
        self._bytes -= len(self.record(self._oldest).line)
        self._slots[self._oldest % len(self._slots)] = None
        self._oldest += 1

    def wake(self) -> None:
        """Let every waiting reader look again."""
        self._waking = False
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            _end_wait(waiter)

    async def changed(self, timeout_s: float) -> None:
        """Wait for the next `wake`, or for the time to pass; `asyncio.wait` would take a reader a turn of the loop more."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting[waiter] = None
        timer = loop.call_later(max(timeout_s, 0.0), _end_wait, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiting.pop(waiter, None)


def _end_wait(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Subscription:
    """One reader's place in the ring: an async iterator of batches of lines.

    `cursor` is the `seq` of the last record considered; `end_seq` is where to end (`None`: go on for ever).
    """

    def __init__(self, hub: Hub, after_seq: int, types: frozenset[RecordType] | None) -> None:
        """Use `Hub.subscribe`."""
        self._hub = hub
        self._types = types
        self._ended = False
        self.cursor = after_seq
        self.end_seq: int | None = None

    def __enter__(self) -> Self:
        self._hub.readers.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._hub.readers.discard(self)

    @property
    def overtaken(self) -> bool:
        """Whether records that this reader has not had have left the ring."""
        return self.cursor + 1 < self._hub.oldest_seq

    @property
    def ended(self) -> bool:
        """Whether there will be no further batch."""
        return self._ended

    def end(self) -> None:
        """Give nothing more; wakes the reader if it waits."""
        self._ended = True
        self._hub.wake()

    def drop(self) -> bytes:
        """End, and give the line that names what the reader will not get: all from its cursor to the newest."""
        self._ended = True
        return dropped_line(self.cursor + 1, self._hub.newest_seq)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Give the next lines as soon as there are any, a bookmark after a time of quiet, `dropped` as the last."""
        loop = asyncio.get_running_loop()
        bookmark_mono = loop.time() + self._hub.bookmark_s
        while not self._ended:
            if self.overtaken:
                return self.drop()
            batch = self._take()
            if batch:
                return batch
            if self.end_seq is not None and self.cursor >= self.end_seq:
                break
            remaining_s = bookmark_mono - loop.time()
            if remaining_s <= 0:
                return bookmark_line(self.cursor, self._hub.now_us())
            if self.cursor < self._hub.newest_seq:
                await asyncio.sleep(0)
            else:
                await self._hub.changed(remaining_s)
        raise StopAsyncIteration

    def _take(self) -> bytes:
        """Move the cursor over the next records and give the lines among them that are wanted."""
        last = min(self._hub.newest_seq, self.cursor + SCAN_MAX)
        if self.end_seq is not None:
            last = min(last, self.end_seq)
        lines: list[bytes] = []
        size = 0
        while self.cursor < last and size < BATCH_BYTES_MAX:
            record = self._hub.record(self.cursor + 1)
            self.cursor = record.seq
            if self._types is None or record.type in self._types:
                lines.append(record.line)
                size += len(record.line)
        return b"\n".join([*lines, b""]) if lines else b""
