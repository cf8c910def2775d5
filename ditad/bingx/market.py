"""The market stream's driver: mark prices of the symbols that the account has to do with.

What enters: the symbols wanted. What leaves: at most one `Marks` per interval, and refusals of frames.
What holds: a socket of its own, apart from the private one; at most `TOPICS_MAX` topics, subscribed to at most
`SUBSCRIPTIONS_PER_S` a second (bingx.md §3). A lost market stream costs freshness of marks and no fact, so it is
logged and not reported.
"""

from __future__ import annotations

import asyncio
import random as randomness
import uuid
from collections.abc import Awaitable, Callable, Iterable

import orjson
import structlog
from websockets.exceptions import WebSocketException

from ditad.bingx import intake
from ditad.bingx.network import Connection, Network, failure
from ditad.bingx.stream import SEND_S_MAX
from ditad.events import Mark, Marks, PushRejected

TOPICS_MAX = 200
SUBSCRIPTIONS_PER_S = 10
REFUSALS_MAX = 10
"""Refused frames told per connection; further ones are counted."""


class SilenceError(ConnectionError):
    """The market stream said nothing for too long."""


class MarketStream:
    """Mark prices over one socket. `run` is until cancelled."""

    def __init__(
        self,
        *,
        url: str,
        frame_bytes_max: int,
        network: Network,
        silence_s: float,
        backoff_s: tuple[float, float],
        mark_interval_s: float,
        submit: Callable[[Marks | PushRejected], Awaitable[None]],
        counted: Callable[[str], None],
        random: randomness.Random,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._url = url
        self._frame_bytes_max = frame_bytes_max
        self._network = network
        self._silence_s = silence_s
        self._backoff_s_min, self._backoff_s_max = backoff_s
        self._mark_interval_s = mark_interval_s
        self._submit = submit
        self._counted = counted
        self._random = random
        self._log = log
        self._wanted: tuple[str, ...] = ()
        self._changed = asyncio.Event()
        self._moved: dict[str, Mark] = {}
        self._refusals = 0
        self.connects = 0

    def want(self, symbols: Iterable[str]) -> None:
        """Name the symbols; those beyond `TOPICS_MAX` have marks from reports only."""
        named = tuple(dict.fromkeys(symbols))
        if len(named) > TOPICS_MAX:
            self._log.warning("marks.bounded", symbols=len(named), topics_max=TOPICS_MAX)
        if named[:TOPICS_MAX] != self._wanted:
            self._wanted = named[:TOPICS_MAX]
            self._changed.set()

    async def run(self) -> None:
        """Keep a connection while symbols are wanted, and hand the marks on once per interval."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hand_on())
            attempts = 0
            while True:
                while not self._wanted:
                    self._changed.clear()
                    await self._changed.wait()
                before = self.connects
                detail = await self._connect()
                attempts = 0 if self.connects > before else attempts + 1
                backoff_s = min(self._backoff_s_max, self._backoff_s_min * 2.0 ** min(attempts, 16))
                self._log.info("market.lost", detail=detail)
                await asyncio.sleep(backoff_s * (0.5 + 0.5 * self._random.random()))

    async def _connect(self) -> str:
        """Hold one connection until its end, and say how it ended."""
        ends: list[str] = []
        try:
            async with self._network.dial(self._url, self._frame_bytes_max) as connection:
                self.connects += 1
                self._refusals = 0
                self._log.info("market.connected")
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._subscribe(connection))
                    await self._read(connection)
        except* (OSError, WebSocketException) as failures:
            ends = [failure(error) for error in failures.exceptions]
        return ", ".join(ends) or "closed"

    async def _subscribe(self, connection: Connection) -> None:
        """Subscribe to each wanted symbol once; what is no longer wanted is dropped at the next connection."""
        asked: set[str] = set()
        while True:
            self._changed.clear()
            for symbol in self._wanted:
                if symbol in asked or len(asked) >= TOPICS_MAX:
                    continue
                asked.add(symbol)
                topic = {
                    "id": str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
                    "reqType": "sub",
                    "dataType": f"{symbol}@markPrice",
                }
                await self._send(connection, orjson.dumps(topic).decode())
                await asyncio.sleep(1 / SUBSCRIPTIONS_PER_S)
            await self._changed.wait()

    async def _send(self, connection: Connection, text: str) -> None:
        async with asyncio.timeout(SEND_S_MAX):
            await connection.send(text)

    async def _read(self, connection: Connection) -> None:
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    message = await connection.recv()
            except TimeoutError:
                raise SilenceError from None
            await self._take(connection, message)

    async def _take(self, connection: Connection, message: bytes | str) -> None:
        taken = intake.read_market(message, self._frame_bytes_max)
        if taken.pong is not None:
            await self._send(connection, taken.pong)
        for mark in taken.marks:
            if mark.symbol in self._wanted:
                self._moved[mark.symbol] = mark
        for body in taken.bodies:
            self._refusals += 1
            if self._refusals <= REFUSALS_MAX and isinstance(body, PushRejected):
                await self._submit(body)
            else:
                self._counted("market_rejected")

    async def _hand_on(self) -> None:
        while True:
            await asyncio.sleep(self._mark_interval_s)
            if self._moved:
                moved, self._moved = self._moved, {}
                await self._submit(Marks(marks=tuple(moved.values())))
