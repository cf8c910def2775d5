"""A tiny venue that answers what a test scripts: HTTP and a websocket on one loopback port.

It knows nothing of the exchange but its paths: each is answered from its script, one reply after the other (the last
one stays), and every question and every message is recorded.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

from tests.support.running import WAIT_S_MAX

KEY_PATH = "/openApi/user/auth/userDataStream"
TIME_PATH = "/openApi/swap/v2/server/time"


@dataclass(frozen=True)
class Asked:
    """A question as it came."""

    method: str
    path: str
    query: dict[str, str]
    raw_query: str
    headers: dict[str, str]


@dataclass
class Reply:
    """What to answer: `data` in an envelope, or `body` as it is."""

    data: Any = None
    code: int | str = 0
    msg: str = ""
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    before: Callable[[], Awaitable[None]] | None = None
    close: bool = False


Script = list[Reply] | Callable[[Asked], Reply]


class Socket:
    """One websocket of a client."""

    def __init__(self, key: str, ws: web.WebSocketResponse) -> None:
        self.key = key
        self.ws = ws
        self.received: asyncio.Queue[str] = asyncio.Queue()
        self.ended = asyncio.Event()

    async def send(self, text: str | bytes, *, packed: bool = True) -> None:
        """Send a frame, compressed as the exchange does."""
        data = text.encode() if isinstance(text, str) else text
        await self.ws.send_bytes(gzip.compress(data, mtime=0) if packed else data)

    async def close(self) -> None:
        """Close from the venue's side."""
        await self.ws.close(code=1001)

    async def message(self) -> str:
        """Give the next message of the client."""
        async with asyncio.timeout(WAIT_S_MAX):
            return await self.received.get()


class ScriptedVenue:
    """Use as an async context manager."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {TIME_PATH: lambda _: Reply(data={"serverTime": 0})}
        self.asked: list[Asked] = []
        self.sockets: list[Socket] = []
        self.refuse_handshake: int | None = None
        self.refused = asyncio.Event()
        self._opened = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def rest_url(self) -> str:
        """Where to ask."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where to connect."""
        return f"ws://127.0.0.1:{self.port}/swap-market"

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        app = web.Application()
        app.router.add_get("/swap-market", self._socket)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        server = site._server
        assert isinstance(server, asyncio.Server)
        self.port = server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all sockets and stop."""
        for socket in self.sockets:
            if not socket.ws.closed and socket.ws._req is not None and socket.ws._req.transport is not None:
                socket.ws._req.transport.abort()
        assert self._runner is not None
        await self._runner.cleanup()

    def paths(self) -> list[str]:
        """Give the paths asked so far, in order."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def questions(self, path: str) -> list[Asked]:
        """Give the questions of one path."""
        return [asked for asked in self.asked if asked.path == path]

    async def socket(self, number: int) -> Socket:
        """Wait for the client's n-th websocket (from 0)."""
        async with asyncio.timeout(WAIT_S_MAX):
            while len(self.sockets) <= number:
                self._opened.clear()
                await self._opened.wait()
        return self.sockets[number]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            raw_query=request.rel_url.raw_query_string,
            headers=dict(request.headers),
        )
        self.asked.append(asked)
        script = self.scripts.get(f"{asked.method} {asked.path}", self.scripts.get(asked.path))
        if script is None:
            reply = Reply(code=100400, msg="no script for this path")
        elif callable(script):
            reply = script(asked)
        else:
            reply = script.pop(0) if len(script) > 1 else script[0]
        if reply.before is not None:
            await reply.before()
        body = reply.body
        if body is None:
            body = json.dumps({"code": reply.code, "msg": reply.msg, "data": reply.data}).encode()
        if reply.close:
            response = web.StreamResponse(headers={"Content-Length": str(len(body) + 10)})
            await response.prepare(request)
            await response.write(body)
            assert request.transport is not None
            request.transport.abort()
            return response
        return web.Response(body=body, status=reply.status, headers=reply.headers)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_handshake is not None:
            self.refused.set()
            headers = {"Location": "/elsewhere"} if self.refuse_handshake in {301, 302, 307} else {}
            return web.Response(status=self.refuse_handshake, headers=headers)
        ws = web.WebSocketResponse(compress=False, autoclose=True)
        await ws.prepare(request)
        socket = Socket(request.query.get("listenKey", ""), ws)
        self.sockets.append(socket)
        self._opened.set()
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                socket.received.put_nowait(message.data)
        socket.ended.set()
        return ws
