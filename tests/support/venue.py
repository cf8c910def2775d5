"""A scripted venue: real HTTP and a real websocket on loopback that say exactly what a test tells them to.

A third reading of the wire, beside the border and the simulated exchange; it keeps no books. REST answers are plain
values by path, replaceable at any moment; frames go out as the bytes they are given, gzip-compressed like the real
ones. Every answer made up here is synthetic.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import orjson
from aiohttp import WSMsgType, web

Answer = Mapping[str, Any] | bytes | int | None
"""A `data` object; raw bytes; an HTTP status without a body; `None` for ``data: null``."""

PREFIX = "/openApi"
KEY = "a" * 64
PING_S = 2.0
RECV_WINDOW_MS = 5_000


class ScriptedVenue:
    """An async context manager; `at_ms` is the exchange's clock when it is entered, and it runs on from there."""

    def __init__(self, *, at_ms: int) -> None:
        self._offset_ms = at_ms - time.time_ns() // 1_000_000
        self._runner: web.AppRunner | None = None
        self._sockets: dict[web.WebSocketResponse, str] = {}
        self._connected = asyncio.Event()
        self._heart: asyncio.Task[None] | None = None
        self.port = 0
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.refused_keys: dict[str, int] = {}
        self.listen_keys: dict[str, str] = {}
        self.answers: dict[str, Answer | Callable[[dict[str, str]], Answer]] = {
            "/swap/v2/quote/contracts": {"list": None},
            "/swap/v2/user/balance": self.balance("0"),
            "/swap/v2/user/positions": {"list": []},
            "/swap/v2/trade/openOrders": {"orders": []},
            "/swap/v2/trade/allOrders": {"orders": []},
            "/swap/v2/trade/forceOrders": {"orders": []},
            "/swap/v2/trade/fillHistory": {"fill_history_orders": []},
            "/swap/v2/user/income": {"list": []},
            "/swap/v2/user/commissionRate": {
                "commission": {"takerCommissionRate": 0.0005, "makerCommissionRate": 0.0002}
            },
            "/swap/v1/positionSide/dual": {"dualSidePosition": "true"},
            "/swap/v1/trade/assetMode": {"assetMode": "singleAssetMode"},
            "/v1/account/apiPermissions": {"permissions": [2]},
            "/swap/v2/trade/leverage": {"longLeverage": 5, "shortLeverage": 5},
            "/swap/v2/trade/marginType": {"marginType": "CROSSED"},
        }
        self.answers["/swap/v2/quote/contracts"] = {
            "list": [
                {"symbol": "BTC-USDT", "pricePrecision": 1, "quantityPrecision": 4, "asset": "BTC", "currency": "USDT"}
            ]
        }

    @staticmethod
    def balance(wallet: str, asset: str = "USDT", used: str = "0") -> dict[str, Any]:
        """Make a balance answer."""
        return {
            "balance": {
                "asset": asset,
                "balance": wallet,
                "equity": wallet,
                "unrealizedProfit": "0",
                "realisedProfit": "0",
                "availableMargin": wallet,
                "usedMargin": used,
                "freezedMargin": "0",
            }
        }

    def at(self, at_ms: int) -> None:
        """Move the exchange's clock; signed requests that are off by more than their window are refused (100421)."""
        self._offset_ms = at_ms - time.time_ns() // 1_000_000

    @property
    def rest_url(self) -> str:
        """Give the base URL of the REST side."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Give the URL of the websocket side."""
        return f"ws://127.0.0.1:{self.port}/swap-market"

    @property
    def now_ms(self) -> int:
        """Give the exchange's clock."""
        return time.time_ns() // 1_000_000 + self._offset_ms

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/swap-market", self._stream)
        app.router.add_route("*", "/{path:.*}", self._rest)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._heart = asyncio.get_running_loop().create_task(self._beat())
        return self

    async def _beat(self) -> None:
        """Ping every few seconds, as the exchange does (bingx.md §3), until the venue is left."""
        while True:
            try:
                async with asyncio.timeout(PING_S):
                    await asyncio.Event().wait()
            except TimeoutError:
                for socket in tuple(self._sockets):
                    await socket.send_bytes(gzip.compress(b"Ping"))

    async def __aexit__(self, *_: object) -> None:
        assert self._heart is not None
        self._heart.cancel()
        for socket in list(self._sockets):
            await socket.close()
        assert self._runner is not None
        await self._runner.cleanup()

    async def send(self, data: bytes, *, compress: bool = True, listen_key: str | None = None) -> None:
        """Send one frame to every private stream (or to those of one key), byte for byte inside its gzip envelope."""
        await self._connected.wait()
        for socket in self.listeners(listen_key):
            await socket.send_bytes(gzip.compress(data) if compress else data)

    def listeners(self, listen_key: str | None = None) -> list[web.WebSocketResponse]:
        """Give the private streams that stand at this moment, or those of one key."""
        return [socket for socket, key in self._sockets.items() if listen_key in {None, key}]

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        private = "listenKey" in request.query
        if private:
            self._sockets[socket] = request.query["listenKey"]
            self._connected.set()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and not private:
                    asked = orjson.loads(message.data)
                    await socket.send_bytes(gzip.compress(orjson.dumps({"id": asked["id"], "code": 0, "msg": ""})))
        finally:
            self._sockets.pop(socket, None)
        return socket

    async def _rest(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix(PREFIX)
        self.asked.append((path, dict(request.query)))
        refused = self.refused_keys.get(request.headers.get("X-BX-APIKEY", ""))
        if path == "/swap/v2/server/time":
            return self._json({"code": 0, "msg": "", "data": {"serverTime": self.now_ms}})
        stamp = request.query.get("timestamp")
        if stamp is not None and abs(int(stamp) - self.now_ms) > RECV_WINDOW_MS:
            return self._json({"code": 100421, "msg": "timestamp is outside the recvWindow", "data": {}})
        if refused is not None:
            return self._json({"code": refused, "msg": "synthetic refusal", "data": {}})
        if path == "/user/auth/userDataStream":
            key = self.listen_keys.get(request.headers.get("X-BX-APIKEY", ""), KEY)
            return self._json({"listenKey": key}) if request.method == "POST" else web.Response()
        answer = self.answers.get(path)
        if callable(answer):
            answer = answer(dict(request.query))
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/json")
        if path not in self.answers:
            return self._json({"code": 100400, "msg": f"no such path {path}", "data": {}})
        data = answer["list"] if isinstance(answer, Mapping) and set(answer) == {"list"} else answer
        return self._json({"code": 0, "msg": "", "data": data})

    @staticmethod
    def _json(body: Any) -> web.Response:
        return web.Response(body=orjson.dumps(body), content_type="application/json")
