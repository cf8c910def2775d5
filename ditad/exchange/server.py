"""The simulated exchange on real sockets: HTTP and gzip websockets on one loopback port.

Enters: requests and frames of clients. Leaves: what the pure core decided, byte for byte. This module
decides nothing; it owns the sockets, one task group for all streams' writers, and the clock. Acting on
an account hands its frames to the connected sockets before the call returns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final, Self

from aiohttp import WSMsgType, web

from ditad.exchange.account import AccountSpec
from ditad.exchange.contracts import DEFAULT_CONTRACTS, Contract
from ditad.exchange.core import ExchangeCore
from ditad.exchange.desk import Desk
from ditad.exchange.dialect import Dialect
from ditad.exchange.faults import CutKind, Faults, FaultSpec
from ditad.exchange.keys import KEY_LIFE_MS
from ditad.exchange.pushes import Payload
from ditad.exchange.rest import RateLimit, Request
from ditad.exchange.streams import CODE_ABNORMAL, Close, Freeze, Send, StreamRefused, Timing
from ditad.exchange.venue import BooksTruth, Mark, Venue

HOST: Final = "127.0.0.1"
STREAM_PATH: Final = "/swap-market"
BODY_BYTES_MAX: Final = 65_536
TEXT_BYTES_MAX: Final = 65_536
OUT_QUEUE_MAX: Final = 100_000
SHUTDOWN_S_MAX: Final = 0.5
HANDSHAKE_REFUSED: Final = 401


def wall_ms() -> int:
    """Read the machine's clock."""
    return time.time_ns() // 1_000_000


class SimulatedExchange:
    """A BingX-compatible exchange for tests, the demo and `ditad exchange`; an async context manager."""

    def __init__(
        self,
        *,
        seed: int = 0,
        port: int = 0,
        dialect: Dialect | None = None,
        faults: Faults | FaultSpec | None = None,
        accounts: Iterable[AccountSpec] = (),
        contracts: Iterable[Contract] = DEFAULT_CONTRACTS,
        timing: Timing | None = None,
        limit: RateLimit | None = None,
        key_life_ms: int = KEY_LIFE_MS,
        clock: Callable[[], int] = wall_ms,
    ) -> None:
        """Prepare the exchange; `port` 0 takes a free one when it is entered.

        `clock` gives milliseconds since 1970 and may live in another year, as long as it runs.
        """
        if isinstance(faults, FaultSpec):
            faults = Faults(faults, seed=seed)
        self.core = ExchangeCore(
            seed=seed,
            clock=clock,
            accounts=accounts,
            contracts=contracts,
            dialect=dialect,
            faults=faults,
            timing=timing,
            limit=limit,
            key_life_ms=key_life_ms,
            on_publish=self.flush,
        )
        self._port = port
        self._sockets: dict[int, _Socket] = {}
        self._wake = asyncio.Event()
        self._connected = asyncio.Event()
        self._stack = AsyncExitStack()
        self._heart: asyncio.Task[None] | None = None

    # Life.

    async def __aenter__(self) -> Self:
        """Listen on loopback and let the clockwork run."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("GET", STREAM_PATH, self._stream)
        app.router.add_route("*", "/{path:.*}", self._rest)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S_MAX)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, HOST, self._port)
        await site.start()
        _, self._port = runner.addresses[0][:2]
        # The one task of this class; `__aexit__` owns its end and raises what it died of.
        self._heart = asyncio.create_task(self._beat(), name="exchange-clockwork")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Reset every stream and stop listening."""
        assert self._heart is not None, "left without having been entered"
        self._heart.cancel()
        with suppress(asyncio.CancelledError):
            await self._heart
        for socket in list(self._sockets.values()):
            socket.abort()
        await self._stack.aclose()

    # Where it is.

    @property
    def rest_url(self) -> str:
        """The REST host, as `custom` settings want it."""
        return f"http://{HOST}:{self._port}"

    @property
    def ws_url(self) -> str:
        """The websocket address, private with `?listenKey=`, market without."""
        return f"ws://{HOST}:{self._port}{STREAM_PATH}"

    @property
    def credentials(self) -> dict[str, tuple[str, str]]:
        """API key and secret of each account."""
        return {n: (d.spec.api_key, d.spec.api_secret) for n, d in self.venue.accounts.items()}

    # Acting and asking.

    @property
    def venue(self) -> Venue:
        """The pure venue behind the sockets."""
        return self.core.venue

    @property
    def faults(self) -> Faults:
        """The seeded misfortune; `force` and `calm` work at any time."""
        return self.core.faults

    def account(self, name: str) -> Desk:
        """Give an account to act on; its frames go out before the call returns."""
        return self.venue.account(name)

    def now_ms(self) -> int:
        """Read the exchange's own time."""
        return self.core.now_ms()

    def books(self, name: str) -> BooksTruth:
        """Tell the exchange's own truth since the account's opening; see `Venue.books`."""
        return self.venue.books(name)

    def mark(self, name: str) -> Mark:
        """Remember this moment, for `books_since`."""
        return self.venue.mark(name)

    def books_since(self, mark: Mark) -> BooksTruth:
        """Tell the truth with sums counted from `mark`; wallet and positions are of now."""
        return self.venue.books(mark.account, mark)

    def cut(self, account: str | None, kind: CutKind | str = CutKind.ABRUPT) -> int:
        """End an account's streams (None: the market streams) and say how many there were."""
        number = self.core.streams.cut(account, CutKind(kind))
        self.flush()
        return number

    def expire_key(self, account: str, *, notice: bool = True) -> None:
        """Let an account's listen keys die now."""
        self.core.streams.expire_key(account, notice=notice)
        self.flush()

    async def wait_connected(self, account: str | None, count: int = 1) -> None:
        """Wait until an account (None: the market) has `count` streams; the caller bounds the wait."""
        while self.core.streams.count(account) < count:
            self._connected.clear()
            await self._connected.wait()

    def inject(self, account: str, payload: Payload | bytes) -> None:
        """Send what no story produces: a payload as gzip JSON, bytes as they are in one binary frame."""
        self.core.streams.inject(account, payload)
        self.flush()

    def flush(self) -> None:
        """Hand what is due to the sockets and let the clockwork look at its next deadline."""
        for act in self.core.poll():
            socket = self._sockets.get(act.stream)
            if socket is not None:
                socket.take(act)
        self._wake.set()

    async def _beat(self) -> None:
        while True:
            self._wake.clear()
            self.flush()
            self._wake.clear()  # our own flush needs no second look
            due_ms = self.core.next_due_ms()
            wait_s = None if due_ms is None else max(0, due_ms - self.now_ms()) / 1000
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)

    # What clients reach.

    async def _rest(self, request: web.Request) -> web.Response:
        reply = self.core.rest(
            Request(
                method=request.method,
                path=request.path,
                query=request.url.raw_query_string,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.text() if request.can_read_body else "",
            )
        )
        if reply.delay_ms:
            await asyncio.sleep(reply.delay_ms / 1000)
        if reply.drop and request.transport is not None:
            request.transport.abort()
        headers = dict(reply.headers)
        if reply.body:
            headers["Content-Type"] = reply.content_type
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        try:
            number = self.core.connect(request.query.get("listenKey"))
        except StreamRefused as exc:
            return web.Response(status=HANDSHAKE_REFUSED, text=str(exc))
        ws = web.WebSocketResponse(compress=False, max_msg_size=TEXT_BYTES_MAX, timeout=0.1)
        await ws.prepare(request)
        socket = self._sockets[number] = _Socket(ws, request.transport)
        self._connected.set()
        try:
            self.flush()
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(socket.write(), name=f"exchange-writer-{number}")
                await self._read(number, socket)
                writer.cancel()
        finally:
            self.core.streams.disconnect(number)
            self._sockets.pop(number, None)
        return ws

    async def _read(self, number: int, socket: _Socket) -> None:
        async for message in socket.ws:
            if message.type is WSMsgType.TEXT:
                self.core.streams.receive(number, message.data)
                self.flush()
            elif message.type is WSMsgType.BINARY:
                # No client of this exchange sends binary frames; it is as stray as any other.
                self.core.streams.receive(number, "")
                self.flush()


class _Socket:
    """One accepted websocket with its queue of outgoing acts, bounded by `OUT_QUEUE_MAX`."""

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.BaseTransport | None) -> None:
        assert isinstance(transport, asyncio.Transport), "websockets are served over TCP"
        self.ws = ws
        self._transport = transport
        self._acts: asyncio.Queue[Send | Close] = asyncio.Queue(OUT_QUEUE_MAX)

    def take(self, act: Send | Close | Freeze) -> None:
        """Queue an act; a reader too slow for the bound is reset."""
        if isinstance(act, Freeze):
            if not self._transport.is_closing():
                self._transport.pause_reading()
        elif self._acts.full():
            self.abort()
        else:
            self._acts.put_nowait(act)

    def abort(self) -> None:
        """Reset the connection: the peer sees 1006."""
        self._transport.abort()

    async def write(self) -> None:
        """Carry out the acts in their order until the socket is closed."""
        while not self.ws.closed:
            act = await self._acts.get()
            if isinstance(act, Send):
                with suppress(ConnectionError):
                    await self.ws.send_bytes(act.data)
            elif act.code == CODE_ABNORMAL:
                self.abort()
            else:
                await self.ws.close(code=act.code)
