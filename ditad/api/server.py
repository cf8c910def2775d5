"""The server on the unix socket: connections and requests in, answers out, each bounded.

What enters: bytes of peers whose uid the kernel tells. What leaves: answers of `answering` and streams of `feed`, all
with the API's version; every error in the one envelope, also of what is no HTTP. What holds: connections, request
lines, headers, bodies, rates and waits have bounds; a stop ends every stream and leaves no socket behind.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Final

from aiohttp import web

from ditad.api.answering import ANSWER_S_MAX, API_VERSION, account_of, answer_to, change, problem_of
from ditad.api.answers import ErrorCode, Problem
from ditad.api.doors import DaemonDoor
from ditad.api.feed import Feed
from ditad.api.listening import Listener
from ditad.api.rate import RateLimit
from ditad.api.routes import ChangeRequest, EventsRequest, Page, PageRequest, parse
from ditad.api.streaming import send, stream
from ditad.errors import DitadError

CONNECTIONS_MAX: Final = 256
BODY_BYTES_MAX: Final = 262_144
BODY_S_MAX: Final = 10.0
LINE_BYTES_MAX: Final = 4_096
HEADERS_MAX: Final = 64
IDLE_S_MAX: Final = 30.0
"""A connection that says nothing, or never ends its headers, is closed after this."""

FULL_S_MAX: Final = 1.0
"""A connection too many has this long to ask, so that it can be told."""

STOP_S_MAX: Final = 0.5
"""Requests under way may end within this when the server stops; twice this until a peer that does not read is cut off."""

VERSION_HEADER: Final = "Ditad-Api-Version"
JSON: Final = "application/json"
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_CREDENTIALS: Final = struct.Struct("3i")


class ApiServer:
    """Serves one daemon on one listener, from `start` to `stop`."""

    def __init__(
        self,
        daemon: DaemonDoor,
        *,
        admin_uids: frozenset[int],
        connections_max: int = CONNECTIONS_MAX,
        rate: RateLimit | None = None,
    ) -> None:
        """Prepare; `admin_uids` may audit and adopt, by peer credentials."""
        self._daemon = daemon
        self._admin_uids = admin_uids
        self._connections_max = connections_max
        self._rate = rate or RateLimit()
        self._runner: web.ServerRunner | None = None
        self._listener: Listener | None = None
        self._feeds: set[Feed] = set()

    def admit(self, admin_uids: frozenset[int]) -> None:
        """Let these audit and adopt from now on, and nobody else."""
        self._admin_uids = admin_uids

    async def start(self, listener: Listener) -> None:
        """Answer whoever connects to the listener, which is from now on this server's to close."""
        assert self._listener is None, "a server is started once"
        self._listener = listener
        server = BoundedServer(self._handle, connections_max=self._connections_max)
        self._runner = web.ServerRunner(server, shutdown_timeout=STOP_S_MAX)
        await self._runner.setup()
        await web.SockSite(self._runner, listener.socket).start()

    async def stop(self) -> None:
        """End every stream after the batch it is sending, let answers end, close, remove the socket's file."""
        for feed in tuple(self._feeds):
            feed.end()
        try:
            if self._runner is not None:
                await self._runner.cleanup()
        finally:
            if self._listener is not None:
                self._listener.close()
            self._runner = self._listener = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except Problem as problem:
            response = error_response(problem)
            if request.can_read_body and not request.content.is_eof():
                response.force_close()  # what the peer is still sending is of no use
            return await _sent(response, request)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        uid = _peer_uid(request)
        if not self._rate.allows(uid, asyncio.get_running_loop().time()):
            raise Problem(ErrorCode.RATE_LIMITED, f"uid {uid} asks too often: wait a second, or follow the events")
        asked = parse(request.method, request.path, request.query.items())
        if isinstance(asked, EventsRequest):
            return await self._stream(asked, request)
        if isinstance(asked, ChangeRequest):
            body = await _body(request)
            done = await change(self._daemon, asked, body=body, uid=uid, admin_uids=self._admin_uids)
            return await _sent(response_of(done), request)
        is_metrics = asked == PageRequest(page=Page.METRICS)
        content = await answer_to(self._daemon, asked)
        return await _sent(response_of(content, METRICS_TYPE if is_metrics else JSON), request)

    async def _stream(self, asked: EventsRequest, request: web.BaseRequest) -> web.StreamResponse:
        feed = Feed(account_of(self._daemon, asked.account), asked)
        response = web.StreamResponse(headers=_headers())
        connection = request.protocol
        assert isinstance(connection, _Connection), "every connection is made by our server"
        self._feeds.add(feed)
        connection.feed = feed
        try:
            await _opened(feed)
            await stream(feed, response, request)
        finally:
            connection.feed = None
            self._feeds.discard(feed)
            await feed.close()
        return response


async def _opened(feed: Feed) -> None:
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            await feed.open()
    except TimeoutError as exc:
        raise Problem(ErrorCode.UNAVAILABLE, "the journal takes too long: ask again, or for newer records") from exc
    except DitadError as exc:
        raise problem_of(exc) from exc


async def _body(request: web.BaseRequest) -> bytes:
    """Read a body inside its bounds of length and time."""
    too_large = Problem(ErrorCode.TOO_LARGE, f"the body is longer than {BODY_BYTES_MAX} bytes")
    if (request.content_length or 0) > BODY_BYTES_MAX:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            while not request.content.at_eof():
                body += await request.content.readany()
                if len(body) > BODY_BYTES_MAX:
                    raise too_large
    except TimeoutError as exc:
        raise Problem(ErrorCode.BAD_REQUEST, f"the body did not come within {BODY_S_MAX:g} s") from exc
    except web.RequestPayloadError as exc:
        raise Problem(ErrorCode.BAD_REQUEST, "the body broke off") from exc
    return bytes(body)


def _peer_uid(request: web.BaseRequest) -> int:
    """Ask the kernel who is at the other end. (SO_PEERCRED, unix(7))"""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the peer left")
    peer = transport.get_extra_info("socket")
    _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    assert isinstance(uid, int), "a uid is a number"
    return uid


def _headers() -> dict[str, str]:
    return {VERSION_HEADER: str(API_VERSION), "Server": "ditad", "Cache-Control": "no-store"}


def response_of(body: bytes, content_type: str = JSON, status: int = 200) -> web.Response:
    """Write a body as an answer."""
    return web.Response(body=body, status=status, headers={**_headers(), "Content-Type": content_type})


def error_response(problem: Problem) -> web.Response:
    """Write a problem as an answer."""
    return response_of(problem.body(), status=problem.status)


async def _sent(response: web.Response, request: web.BaseRequest) -> web.StreamResponse:
    await send(response, request)
    return response


class _Connection(web.RequestHandler):
    """One peer's connection; what is no request at all is answered in the envelope too."""

    feed: Feed | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the stream of a reader that left, although nothing is being written to it."""
        if self.feed is not None:
            self.feed.end()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the HTTP parser refused, and what is our own fault, which is logged with its traceback."""
        if isinstance(exc, ConnectionError):
            raise exc  # the peer left, there is nobody to answer
        if status >= 500:
            self.log_exception("our own fault in answering %s %s", request.method, request.path, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        if status >= 500:
            problem = Problem(ErrorCode.INTERNAL, "our own fault: the daemon's log says more")
        else:
            said = " ".join((message or "malformed").split())[:200]
            problem = Problem(ErrorCode.BAD_REQUEST, f"this is not a request: {said}")
        response = error_response(problem)
        response.force_close()
        return response


class _Full(asyncio.Protocol):
    """One connection too many: told so when it has asked, and closed.

    A unix socket that is closed with unread bytes resets its peer, who then never reads the answer; so it waits for
    the request, for `FULL_S_MAX`, and beyond twice the bound on connections it does not even do that.
    """

    def __init__(self, waiting: set[_Full], waiting_max: int) -> None:
        self._waiting = waiting
        self._waiting_max = waiting_max
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a stream socket has a stream transport"
        if len(self._waiting) >= self._waiting_max:
            transport.abort()
            return
        self._waiting.add(self)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(FULL_S_MAX, transport.abort)

    def data_received(self, data: bytes) -> None:
        transport, self._transport = self._transport, None
        if transport is None or not data:
            return
        body = Problem(ErrorCode.UNAVAILABLE, "too many connections are open: close some, or ask again").body()
        head = {"Content-Type": JSON, "Content-Length": str(len(body)), "Connection": "close", **_headers()}
        lines = ["HTTP/1.1 503 Service Unavailable", *(f"{name}: {value}" for name, value in head.items()), "\r\n"]
        transport.write("\r\n".join(lines).encode() + body)
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        assert exc is None or isinstance(exc, OSError), "a connection ends, or its socket fails"
        self._waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()


class BoundedServer(web.Server):
    """Makes the connections, each within its bounds, and no more of them than agreed."""

    def __init__(self, handler: Any, *, connections_max: int) -> None:
        """Answer with `handler`; whoever comes beyond `connections_max` is told so."""
        super().__init__(handler)
        self._connections_max = connections_max
        self._refused: set[_Full] = set()

    def __call__(self) -> Any:
        """Make the connection of one more peer."""
        if len(self._connections) >= self._connections_max:
            return _Full(self._refused, self._connections_max)
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_S_MAX,
            tcp_keepalive=False,
            access_log=None,  # type: ignore[arg-type]  # what aiohttp documents for none
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
            auto_decompress=False,  # a body is small; one that inflates is not
            lingering_time=0,
        )
