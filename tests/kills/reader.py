"""A reader of the stream that remembers what it was told, across any number of deaths of the daemon.

What enters: the socket. What leaves: how far it is, and a digest of every line. What holds: each connection asks for
what comes after the last `seq` it had, and must be given exactly the next one: a hole, a repetition or a daemon that
knows less than it has published raises `AssertionError`. A line that was cut off by a death was not published.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import orjson

from ditad.api.client import LOST, AnsweredError, ApiClient
from tests.support.process import pause

AGAIN_S: Final = 0.01
"""How long it waits before it looks for the daemon again."""

REREAD_MAX: Final = 400
"""So many of the last records it was told are read a second time after each restart."""


READS_MAX: Final = 4
"""How often that is tried where nothing comes in time."""


def digest(line: bytes) -> bytes:
    """Digest one line."""
    return blake2b(line, digest_size=16).digest()


class StreamReader:
    """One reader of one account; run `follow` as long as there is a daemon to come."""

    def __init__(self, socket: Path, account: str) -> None:
        self._socket = socket
        self._path = f"/v1/accounts/{account}/events"
        self._account = account
        self._moved = asyncio.Condition()
        self.digests: list[bytes] = []
        self.baselines: set[str] = set()
        self.connections = 0
        self.last_n = 0

    @property
    def seq(self) -> int:
        """The last `seq` it was told."""
        return len(self.digests)

    async def follow(self) -> None:
        """Follow the stream until cancelled, whoever serves it."""
        async with ApiClient(self._socket) as client:
            while True:
                try:
                    await self._once(client)
                except AnsweredError as exc:
                    if exc.code != "unavailable":
                        raise AssertionError(f"what follows {self.seq} was refused: {exc}") from exc
                except LOST:
                    pass  # the daemon is dead; the next one is asked
                await pause(AGAIN_S)

    async def _once(self, client: ApiClient) -> None:
        params = {"follow": "1", "after_seq": str(self.seq)}
        async with aclosing(client.lines(self._path, params)) as lines:
            async for header, line in lines:
                if not line:
                    assert header == str(self.seq), f"asked for what follows {self.seq}, it begins after {header}"
                    self.connections += 1
                    continue
                await self._take(line)

    async def _take(self, line: bytes) -> None:
        record = orjson.loads(line)
        if record["type"] == "dropped":
            raise ConnectionResetError("read too slowly")  # what was dropped is asked for again
        if record["type"] == "bookmark":
            assert record["seq"] == self.seq, f"a bookmark says {record['seq']} after {self.seq}"
            return
        assert record["seq"] == self.seq + 1, f"record {record['seq']} came after {self.seq}"
        if record["type"] == "snapshot":
            snapshot = record["snapshot"]
            self.last_n = int(snapshot["source_event_id"].rpartition(":")[2])
            if snapshot["baseline"] is not None:
                self.baselines.add(snapshot["baseline"]["id"])
        async with self._moved:
            self.digests.append(digest(line))
            self._moved.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait, record by record, until something holds."""
        async with self._moved:
            await self._moved.wait_for(holds)

    async def reread(self, client: ApiClient, after_seq: int, up_to: int) -> list[dict[str, Any]]:
        """Read records a second time; each must be what it was at first. Gives all that is there now."""
        records = [record async for record in self._read(client, after_seq, up_to)]
        assert after_seq + len(records) >= up_to, f"{up_to} were published, there are {after_seq + len(records)}"
        return records

    async def reread_last(self, client: ApiClient, up_to: int) -> None:
        """Read the last records before a death a second time; who has to fold far for them may need a second try."""
        for left in reversed(range(READS_MAX)):
            try:
                await self.reread(client, max(0, up_to - REREAD_MAX), up_to)
            except TimeoutError:
                if not left:
                    raise
            else:
                return

    async def _read(self, client: ApiClient, after_seq: int, up_to: int) -> AsyncIterator[dict[str, Any]]:
        seq, before = after_seq, -1
        dropped = True
        while dropped:  # a busy daemon may let a reader of history go, who then asks for the rest
            assert seq > before, f"dropped after {seq} without having been given a record"
            before, dropped = seq, False
            async with aclosing(client.lines(self._path, {"after_seq": str(seq)})) as lines:
                async for _, line in lines:
                    record = orjson.loads(line) if line else {"type": "bookmark"}
                    dropped = dropped or record["type"] == "dropped"
                    if record["type"] in {"bookmark", "dropped"}:
                        continue
                    seq += 1
                    assert record["seq"] == seq, f"record {record['seq']} stands in the place of {seq}"
                    if seq <= up_to:
                        self.same(seq, line)
                    yield record

    def same(self, seq: int, line: bytes) -> None:
        """Check that a record is what was published under its number."""
        assert self.digests[seq - 1] == digest(line), f"record {seq} was published otherwise: now {line!r:.2000}"
