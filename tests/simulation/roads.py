"""The network of a simulated world: HTTP and websockets between one machine and an `ExchangeCore`, by virtual time.

What enters: the exchange, a generator, how slow and how lossy the roads are. What leaves: the border's `Network`.
What holds: bytes of one connection arrive in the order they left or not at all; each incarnation of the machine has
roads of its own, and when it dies the exchange sees its sockets go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from random import Random
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import aiohttp
import yarl
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.frames import Close as CloseFrame
from websockets.http11 import Response

from ditad.bingx.network import CLOSE_S_MAX, OPEN_S_MAX, Received
from ditad.exchange.core import ExchangeCore
from ditad.exchange.rest import Request
from ditad.exchange.streams import Act, Close, Freeze, Send, StreamRefused

ABNORMAL = 1006
APART_S = 1e-7
"""The loop gives no order to what is due at one moment; a connection does."""


class Roads:
    """Everything between the machine and the exchange."""

    def __init__(self, core: ExchangeCore, rng: Random, *, latency_s_max: float) -> None:
        self._core = core
        self._rng = rng
        self._latency_s_max = latency_s_max
        self._sockets: dict[int, Socket] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due_ms: int | None = None
        self.down = False
        self.requests = 0

    def latency_s(self) -> float:
        """Draw how long one way takes."""
        return self._latency_s_max * self._rng.random() ** 3

    # ---- the exchange's clockwork

    def flush(self) -> None:
        """Carry out what the exchange has to do now, and look again when it has more."""
        for act in self._core.poll():
            self._carry(act)
        due_ms = self._core.next_due_ms()
        if self._timer is not None and due_ms == self._due_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ms is not None:
            self._due_ms = due_ms
            loop = asyncio.get_running_loop()
            wait_s = max(0.0, (due_ms - self._core.now_ms()) / 1000) + 0.0005
            self._timer = loop.call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.flush()

    def _carry(self, act: Act) -> None:
        socket = self._sockets.get(act.stream)
        if socket is None:
            return
        match act:
            case Send(data=data):
                socket.approach(data)
            case Close(code=code):
                self._sockets.pop(act.stream)
                socket.approach(code)
            case Freeze():
                socket.frozen = True

    # ---- what the machine's roads ask for

    def open(self, listen_key: str | None) -> Socket:
        """Let the exchange accept a stream."""
        try:
            number = self._core.connect(listen_key)
        except StreamRefused as exc:
            raise InvalidStatus(Response(403, "Forbidden", Headers(), str(exc).encode())) from None
        socket = self._sockets[number] = Socket(self, number)
        self.flush()
        return socket

    def leave(self, number: int) -> None:
        """Let the exchange see that a socket is gone."""
        self._sockets.pop(number, None)
        self._core.streams.disconnect(number)

    def tell(self, number: int, text: str) -> None:
        """Let the exchange receive a client's text."""
        self._core.streams.receive(number, text)
        self.flush()

    def answer(self, method: str, url: yarl.URL, headers: Mapping[str, str]) -> tuple[Received, float, bool]:
        """Let the exchange answer: the answer, its delay in seconds, and whether it never comes."""
        self.requests += 1
        reply = self._core.rest(
            Request(
                method=method,
                path=url.raw_path,
                query=url.raw_query_string,
                headers={name.lower(): value for name, value in headers.items()},
            )
        )
        received = Received(status=reply.status, headers=dict(reply.headers), body=reply.body)
        return received, reply.delay_ms / 1000, reply.drop

    # ---- misfortune

    def cut(self, *, reset: bool) -> None:
        """Take the network away: sockets are reset, or stay half-open for ever."""
        self.down = True
        for number, socket in list(self._sockets.items()):
            if reset:
                self.leave(number)
                socket.arrive(ABNORMAL)
            else:
                socket.frozen = True

    def abandon(self, sockets: set[int]) -> None:
        """A machine has died: its kernel resets its connections."""
        for number in sockets:
            self.leave(number)

    @property
    def open_sockets(self) -> int:
        """Count the sockets the exchange still has."""
        return len(self._sockets)


class Socket:
    """One websocket: what has arrived, and who waits for it."""

    def __init__(self, roads: Roads, number: int) -> None:
        self._roads = roads
        self.number = number
        self.frozen = False
        self.closed: int | None = None
        self._arrived: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._last_s = 0.0

    def approach(self, what: bytes | int) -> None:
        """Send a frame, or the end with its code, on its way."""
        if self.frozen or self._roads.down:
            return
        loop = asyncio.get_running_loop()
        self._last_s = max(self._last_s + APART_S, loop.time() + self._roads.latency_s())
        loop.call_at(self._last_s, self.arrive, what)

    def arrive(self, what: bytes | int) -> None:
        """Let a frame, or the end, be there."""
        if self.frozen or self.closed is not None:
            return
        if isinstance(what, int):
            self.closed = what
        else:
            self._arrived.append(what)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def recv(self) -> bytes | str:
        """Give the next frame; raises as the library does once the socket has ended."""
        while not self._arrived:
            if self.closed == ABNORMAL:
                raise ConnectionClosedError(None, None)
            if self.closed is not None:
                raise ConnectionClosedOK(CloseFrame(self.closed, ""), None)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._arrived.popleft()

    async def send(self, message: str) -> None:
        """Send a text."""
        if self.closed is not None:
            raise ConnectionClosedError(None, None)
        if not self.frozen and not self._roads.down:
            asyncio.get_running_loop().call_later(self._roads.latency_s(), self._roads.tell, self.number, message)

    async def close(self) -> None:
        """Close in order; what is on its way still arrives. A half-open socket is given up after a while."""
        if self.closed is None:
            await asyncio.sleep(CLOSE_S_MAX if self.frozen or self._roads.down else 2 * self._roads.latency_s())
        self._roads.leave(self.number)
        self.frozen = False
        self.arrive(1000)


class MachineNetwork:
    """The roads as one incarnation of the machine has them; after `die` nothing comes or goes."""

    def __init__(self, roads: Roads) -> None:
        self.roads = roads
        self.dead = False
        self.sockets: set[int] = set()
        self.pools = 0

    def http(self, answer_s: float) -> _Pool:
        """Prepare a pool."""
        return _Pool(self, answer_s)

    def dial(self, url: str, frame_bytes_max: int) -> _Dial:
        """Prepare a websocket; the simulated exchange never sends frames near the bound."""
        assert frame_bytes_max > 0
        return _Dial(self, url)

    def die(self) -> None:
        """End all of it at once."""
        self.dead = True
        self.roads.abandon(self.sockets)

    def check(self) -> None:
        """Raise as a network does that is not there."""
        if self.dead or self.roads.down:
            raise ConnectionRefusedError("the network is down")


class _Dial:
    def __init__(self, network: MachineNetwork, url: str) -> None:
        self._network = network
        self._key = next(iter(parse_qs(urlsplit(url).query).get("listenKey", [])), None)
        self._socket: Socket | None = None

    async def __aenter__(self) -> Socket:
        network = self._network
        async with asyncio.timeout(OPEN_S_MAX):
            await asyncio.sleep(network.roads.latency_s())
            network.check()
            self._socket = network.roads.open(self._key)
            network.sockets.add(self._socket.number)
            try:
                await asyncio.sleep(network.roads.latency_s())
            except asyncio.CancelledError:
                # Who gives a handshake up resets the connection, as the library does.
                network.roads.leave(self._socket.number)
                network.sockets.discard(self._socket.number)
                raise
        return self._socket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._socket is not None
        if not self._network.dead:
            await self._socket.close()
        self._network.sockets.discard(self._socket.number)


class _Pool:
    def __init__(self, network: MachineNetwork, answer_s: float) -> None:
        self._network = network
        self._answer_s = answer_s

    async def __aenter__(self) -> Self:
        self._network.pools += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._network.pools -= 1

    async def request(self, method: str, url: yarl.URL, headers: Mapping[str, str]) -> Received:
        """Send a request; it, or its answer, may be lost."""
        network = self._network
        async with asyncio.timeout(self._answer_s):
            await asyncio.sleep(network.roads.latency_s())
            network.check()
            received, delay_s, dropped = network.roads.answer(method, url, headers)
            await asyncio.sleep(network.roads.latency_s() + delay_s)
        network.check()
        if dropped:
            raise aiohttp.ServerDisconnectedError
        return received
