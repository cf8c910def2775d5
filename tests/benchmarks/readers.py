"""Readers of the daemon's socket, cheap enough that two hundred of them fit into one process.

What enters: the socket, an account. What leaves: per push the moment at which its snapshot was read, and the newest
snapshot. What holds: a line's time is taken before anything is done with it; a reader that was dropped, or whose stream
ends, ends the benchmark, for a slow load generator is no measurement of a daemon.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import orjson

from tests.benchmarks.children import STEP_S_MAX

READ_BYTES_MAX = 1024 * 1024
HEAD = 48
"""A record's `seq` and `type` stand within so many bytes."""

SOURCE = b'"source_event_id":"'
SOURCE_WITHIN = 512
PUSHES = (b"order:", b"account:")


class Reader(asyncio.Protocol):
    """One reader of an account's records. `read_ns` has the wall time of each snapshot that a push led to.

    `stalled`: it asks, and then reads nothing.
    """

    def __init__(self, account: str, *, stalled: bool = False) -> None:
        self._asked = f"/v1/accounts/{account}/events?follow=1&snapshot=1"
        self._stalled = stalled
        self._rest = b""
        self._line = b""
        self._came = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self.failure = ""
        self.read_ns: list[int] = []

    # ---- the protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(f"GET {self._asked} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        if self._stalled:
            self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Take lines; what stands between them belongs to HTTP."""
        now_ns = time.time_ns()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line[:1] == b"{":
                self._take(line, now_ns)
            elif line.startswith(b"HTTP/1.1") and not line.startswith(b"HTTP/1.1 200"):
                self.failure = f"a reader was answered {line.decode().strip()}"
        self._came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that there will be nothing more."""
        self.failure = self.failure or f"the stream ended ({exc})"
        self._came.set()

    def _take(self, line: bytes, now_ns: int) -> None:
        head = line[:HEAD]
        if b'"type":"snapshot"' in head:
            first, self._line = not self._line, line
            at = line.find(SOURCE, 0, SOURCE_WITHIN) + len(SOURCE)
            if line.startswith(PUSHES, at) and not first:  # the first one is what was there already
                self.read_ns.append(now_ns)
        elif b'"type":"dropped"' in head:
            self.failure = "a reader could not keep up and was dropped"

    # ---- what the benchmark asks

    def leave(self) -> None:
        """Close."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def ready(self) -> bool:
        """Say whether it was sent the present snapshot; one that never reads is ready when it has asked."""
        return bool(self._line) or self._stalled

    @property
    def heard(self) -> int:
        """Count the pushes that led to a snapshot."""
        return len(self.read_ns)

    @property
    def last(self) -> dict[str, Any]:
        """Give the newest snapshot, empty before the first."""
        return dict(orjson.loads(self._line)["snapshot"]) if self._line else {}

    async def until(self, why: Callable[[], list[str]]) -> None:
        """Wait until nothing is wrong any more, looking when something came; fails with what is."""
        try:
            async with asyncio.timeout(STEP_S_MAX):
                while why():
                    if self.failure:
                        raise SystemExit(f"{self.failure}; {'; '.join(why())}")
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise SystemExit(f"a benchmark of wrong results is none: {'; '.join(why())}") from None

    async def answered(self) -> None:
        """Wait until it is ready."""
        await self.until(lambda: [] if self.ready else ["a reader was not answered"])

    async def came(self, heard: int) -> None:
        """Wait for so many pushes."""
        await self.until(lambda: self._missing(heard))

    async def told(self, heard: int, standing: Mapping[str, Any]) -> None:
        """Wait for so many pushes, and until both ledgers stand so and agree."""
        await self.until(lambda: self._missing(heard) or wrong(self.last, standing))

    def _missing(self, heard: int) -> list[str]:
        return [f"{self.heard} of {heard} pushes led to a snapshot"] if self.heard < heard else []

    async def begun(self) -> None:
        """Wait until there is a baseline, a living stream without a gap, and a verdict of OK."""
        await self.until(self._unready)

    def _unready(self) -> list[str]:
        last = self.last
        if not last or last["baseline"] is None:
            return ["there is no baseline"]
        reconcile, coverage = last["reconcile"], last["coverage"]
        ready = reconcile["status"] == "OK" and coverage["state"] == "live" and not open_gaps(last)
        return [] if ready else [f"{reconcile['status']} {reconcile['explanations']}, {coverage}"]


def open_gaps(snapshot: Mapping[str, Any]) -> list[str]:
    """Name the gaps that still may hide something."""
    return [gap["id"] for gap in snapshot["coverage"]["gaps"] if gap["state"] == "open"]


def wrong(snapshot: Mapping[str, Any], standing: Mapping[str, Any]) -> list[str]:
    """Compare a snapshot with what was sent, to the last digit."""
    k, e = snapshot["k"], snapshot["e"]
    seen = {name: k[name] for name in ("trade_seq", "capital_raw", "realized_pnl", "fees_paid")}
    seen["positions"] = {row["symbol"]: [row["qty"], row["entry_price"]] for row in k["positions"]}
    found = [f"{name} is {seen[name]}, sent was {due}" for name, due in standing.items() if seen[name] != due]
    if e["wallet_balance"] != standing["capital_raw"]:
        found.append(f"E has wallet {e['wallet_balance']}, sent was {standing['capital_raw']}")
    if snapshot["reconcile"]["status"] != "OK":
        found.append(f"the verdict is {snapshot['reconcile']['status']}: {snapshot['reconcile']['explanations']}")
    return found


@asynccontextmanager
async def reading(socket: Path, account: str, count: int = 1, *, stalled: int = 0) -> AsyncIterator[list[Reader]]:
    """Have so many readers of an account, the last `stalled` of which never read, until the block ends."""
    readers: list[Reader] = []
    loop = asyncio.get_running_loop()
    try:
        for number in range(count):
            make = partial(Reader, account, stalled=number >= count - stalled)
            _, reader = await loop.create_unix_connection(make, str(socket))
            readers.append(reader)
            # One after the other: where the queue of those that wait to be accepted is full, connecting fails.
            await reader.answered()
        yield readers
    finally:
        for reader in readers:
            reader.leave()
