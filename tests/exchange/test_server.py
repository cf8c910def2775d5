"""The exchange on real sockets: HTTP, gzip websockets, cuts, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from ditad.exchange import (
    LISTEN_KEY_PATH,
    AccountSpec,
    Dialect,
    FaultSpec,
    SimulatedExchange,
    Timing,
    signature_of,
    trade,
)
from ditad.exchange.dialect import UnknownKey
from tests.support.running import WAIT_S_MAX

QUICK = Timing(ping_ms=50, pong_wait_ms=300, config_ms=60_000, mark_ms=50)


@pytest.fixture
async def ex() -> AsyncIterator[SimulatedExchange]:
    """Serve two accounts with a quick heartbeat."""
    accounts = [AccountSpec(name="main"), AccountSpec(name="bot", hedge=False)]
    async with SimulatedExchange(seed=3, accounts=accounts, timing=QUICK) as exchange:
        yield exchange


@pytest.fixture
async def http(ex: SimulatedExchange) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client session towards the exchange."""
    timeout = aiohttp.ClientTimeout(total=WAIT_S_MAX)
    async with aiohttp.ClientSession(ex.rest_url, timeout=timeout) as session:
        yield session


async def listen_key(ex: SimulatedExchange, http: aiohttp.ClientSession, name: str = "main") -> str:
    """Ask for a key over HTTP."""
    headers = {"X-BX-APIKEY": ex.credentials[name][0]}
    async with http.post(LISTEN_KEY_PATH, headers=headers) as answer:
        return str(orjson.loads(await answer.read())["listenKey"])


async def private(ex: SimulatedExchange, http: aiohttp.ClientSession, name: str = "main") -> ClientConnection:
    """Open a private stream with the client library of the product."""
    key = await listen_key(ex, http, name)
    return await websockets.connect(f"{ex.ws_url}?listenKey={key}", ping_interval=None)


async def told(ws: ClientConnection) -> dict[str, Any]:
    """Read the next frame that is no ping; pings on the way are answered."""
    while (text := gzip.decompress(await ws.recv(decode=False))) == b"Ping":
        await ws.send("Pong")
    return dict(orjson.loads(text))


async def heard(ws: ClientConnection, event: str) -> dict[str, Any]:
    """Read until an event comes, answering pings on the way."""
    async with asyncio.timeout(WAIT_S_MAX):
        while (frame := await told(ws)).get("e") != event:
            pass
    return frame


async def closed(ws: ClientConnection) -> websockets.ConnectionClosed:
    """Read until the stream ends, answering pings on the way."""
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            try:
                await told(ws)
            except websockets.ConnectionClosed as exc:
                return exc


async def test_an_act_is_heard_as_binary_gzip_frames(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """What is done on an account arrives on its stream, with the id beyond 2^53 unharmed."""
    async with await private(ex, http) as ws:
        order_id = ex.account("main").market_order("BTC-USDT", "BUY", "LONG", "0.01")
        assert order_id == (await heard(ws, "TRADE_UPDATE"))["o"]["i"]


async def test_accounts_do_not_hear_each_other(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """A deposit of one account is followed, on the other's stream, by that one's own deposit only."""
    async with await private(ex, http, "bot") as ws:
        ex.account("main").deposit(1)
        ex.account("bot").deposit(2)
        assert "2.00000000" == (await heard(ws, "ACCOUNT_UPDATE"))["a"]["B"][0]["bc"]


async def test_a_signed_question_over_http_is_answered(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """Headers, query and envelope survive the real server."""
    key, secret = ex.credentials["main"]
    params = {"symbol": "BTC-USDT", "timestamp": str(ex.now_ms())}
    params["signature"] = signature_of(secret, params)
    headers = {"X-BX-APIKEY": key}
    async with http.get("/openApi/swap/v2/trade/leverage", params=params, headers=headers) as answer:
        assert "499" == answer.headers["X-RateLimit-Requests-Remain"]
        assert 10 == (await answer.json())["data"]["longLeverage"]


async def test_listen_key_answers_are_empty_over_http(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """200 with an empty body, 204, 404."""
    key = await listen_key(ex, http)
    headers = {"X-BX-APIKEY": ex.credentials["main"][0]}
    seen = []
    for params in ({"listenKey": key}, {}, {"listenKey": "0" * 64}):
        async with http.put(LISTEN_KEY_PATH, params=params, headers=headers) as answer:
            seen.append((answer.status, await answer.read()))
    assert [(200, b""), (204, b""), (404, b"")] == seen


@pytest.mark.parametrize(("kind", "code"), [("cut", 1001), ("cut_abrupt", 1006)])
async def test_a_cut_is_seen_with_its_code(
    ex: SimulatedExchange, http: aiohttp.ClientSession, kind: str, code: int
) -> None:
    """A clean end has a close frame, an abrupt one has none."""
    async with await private(ex, http) as ws:
        assert 1 == ex.cut("main", kind)
        exc = await closed(ws)
        assert code == (exc.rcvd.code if exc.rcvd else 1006)
        assert 0 == ex.cut("main", kind)


async def test_no_pong_ends_in_1006(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """Who does not answer is reset."""
    ws = await private(ex, http)
    async with asyncio.timeout(WAIT_S_MAX):
        await ws.wait_closed()
    assert ws.close_code == 1006


async def test_marks_come_on_a_market_stream(ex: SimulatedExchange) -> None:
    """Subscribed, acknowledged, pushed."""
    async with websockets.connect(ex.ws_url) as ws:
        await ws.send('{"id":"a","reqType":"sub","dataType":"ETH-USDT@markPrice"}')
        async with asyncio.timeout(WAIT_S_MAX):
            frames = [await told(ws), await told(ws)]
        assert ("a", "ETH-USDT@markPrice") == (frames[0]["id"], frames[1]["dataType"])


async def test_an_injected_payload_arrives_as_it_is(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """For frames that no story produces (this one is synthetic)."""
    async with await private(ex, http) as ws:
        ex.inject("main", {"e": "MADE_UP", "n": "NaN"})
        assert {"e": "MADE_UP", "n": "NaN"} == await heard(ws, "MADE_UP")


async def test_injected_bytes_are_one_binary_frame(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """For frames that are not even gzip (these bytes are synthetic)."""
    async with await private(ex, http) as ws:
        async with asyncio.timeout(WAIT_S_MAX):
            await ex.wait_connected("main")
            ex.inject("main", b"torn")
            while (data := await ws.recv(decode=False)) != b"torn":
                assert gzip.decompress(data)


async def test_a_half_open_stream_falls_silent_and_stays(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """Not even a ping of the protocol is answered any more; other streams live on."""
    async with asyncio.timeout(WAIT_S_MAX):
        frozen, living = await private(ex, http), await private(ex, http)
        await ex.wait_connected("main", 2)
        await (await frozen.ping())
        ex.core.streams.inject("main", {"e": "BEFORE"})
        ex.flush()
        await heard(frozen, "BEFORE")
        ex.cut("main", "half_open")
        pong = asyncio.ensure_future(await frozen.ping())
        again = await private(ex, http)
        ex.account("main").deposit(1)
        await heard(again, "ACCOUNT_UPDATE")
        assert not pong.done()
        for ws in (frozen, living):
            ws.transport.abort()
        await again.close()


async def test_a_key_that_dies_is_told_over_the_wire(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """With its own text."""
    async with await private(ex, http) as ws:
        await ex.wait_connected("main")
        ex.expire_key("main")
        assert "listenKeyExpired" == (await heard(ws, "listenKeyExpired"))["e"]


async def test_binary_frames_of_a_client_are_stray(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """Even a binary Pong is answered 80014."""
    async with await private(ex, http) as ws, asyncio.timeout(WAIT_S_MAX):
        await ws.send(b"Pong")
        while (text := gzip.decompress(await ws.recv(decode=False))) == b"Ping" or b"80014" not in text:
            pass


async def test_a_refused_handshake_is_http_401() -> None:
    """In the dialect that refuses unknown keys."""
    async with SimulatedExchange(dialect=Dialect(unknown_key=UnknownKey.REFUSED)) as ex:
        with pytest.raises(websockets.InvalidStatus, match="401"):
            await websockets.connect(f"{ex.ws_url}?listenKey=nobody")


async def test_a_delayed_answer_comes(http: aiohttp.ClientSession, ex: SimulatedExchange) -> None:
    """Late and unharmed."""
    ex.faults.spec = FaultSpec(delay_ms_max=1)
    ex.faults.force("rest_delay")
    async with http.get("/openApi/swap/v2/server/time") as answer:
        assert 0 == (await answer.json())["code"]


async def test_books_can_be_asked_since_a_mark() -> None:
    """The sums of a later baseline start at zero."""
    async with SimulatedExchange(faults=FaultSpec()) as ex:
        ex.account("main").deposit(5)
        mark = ex.mark("main")
        ex.account("main").deposit(2)
        assert [Decimal(7), Decimal(2)] == [ex.books("main")["transfers"], ex.books_since(mark)["transfers"]]


async def test_a_dropped_answer_is_a_broken_connection(ex: SimulatedExchange, http: aiohttp.ClientSession) -> None:
    """The fault closes the connection without an answer."""
    ex.faults.force("rest_drop", 5)  # the client retries an idempotent question on its own
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get("/openApi/swap/v2/server/time")


async def test_a_long_story_arrives_whole_and_in_order() -> None:
    """Hundreds of acts without a pause: the last wallet told is the books', and no fill is missing."""
    async with (
        SimulatedExchange(seed=3) as ex,
        aiohttp.ClientSession(ex.rest_url) as http,
        await private(ex, http) as ws,
    ):
        await trade(ex, "main", actions=300, seed=2, settle=True)
        ex.inject("main", {"e": "THE_END"})
        wallet, fills = "", set()
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                frame = await told(ws)
                if frame.get("e") == "ACCOUNT_UPDATE":
                    wallet = frame["a"]["B"][0]["wb"]
                if frame.get("e") == "TRADE_UPDATE" and frame["o"]["td"]:
                    fills.add(frame["o"]["td"])
                if frame.get("e") == "THE_END":
                    break
        assert f"{ex.books('main')['wallet_balance']:.8f}" == wallet
        assert fills <= {e.trade_id for e in ex.account("main").executions}
        assert len(fills) > 200


async def test_leaving_resets_all_streams_and_frees_the_port() -> None:
    """After the context no task is left, and the port can be taken again."""
    before = asyncio.all_tasks()
    async with SimulatedExchange() as first:
        ws = await websockets.connect(first.ws_url)
        port = int(first.rest_url.rpartition(":")[2])
    await closed(ws)
    await ws.wait_closed()
    async with SimulatedExchange(port=port) as second:
        assert first.rest_url == second.rest_url
    assert before == {task for task in asyncio.all_tasks() if not task.done()}
