"""Mark prices over a real websocket, against a scripted venue."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

import structlog

from ditad.bingx.market import REFUSALS_MAX, TOPICS_MAX, MarketStream
from ditad.bingx.network import Internet
from ditad.events import Marks, PushRejected
from tests.bingx.recording_sink import RecordingSink
from tests.bingx.scripted_venue import ScriptedVenue, Socket
from tests.support.running import WAIT_S_MAX


@asynccontextmanager
async def marking(venue: ScriptedVenue, *, silence_s: float = 5.0) -> AsyncIterator[tuple[MarketStream, RecordingSink]]:
    """Run a market stream for the time of a test."""
    sink = RecordingSink()

    async def submit(body: Marks | PushRejected) -> None:
        await sink.submit(body, at_us=1)

    market = MarketStream(
        url=venue.ws_url,
        frame_bytes_max=65536,
        network=Internet(),
        silence_s=silence_s,
        backoff_s=(0.01, 0.02),
        mark_interval_s=0.02,
        submit=submit,
        counted=sink.counted,
        random=random.Random(1),  # noqa: S311 - jitter is no secret
        log=structlog.get_logger(),
    )
    task = asyncio.create_task(market.run())
    try:
        yield market, sink
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def mark(symbol: str, price: str) -> str:
    """Give a mark price push in its documented form."""
    data = {"e": "markPriceUpdate", "E": 1760001628357, "s": symbol, "p": price}
    return json.dumps({"code": 0, "dataType": f"{symbol}@markPrice", "data": data})


async def topic(socket: Socket) -> str:
    """Give the topic of the client's next message, which must be a subscription."""
    message = json.loads(await socket.message())
    assert message["reqType"] == "sub"
    assert len(message["id"]) == 36
    return str(message["dataType"])


async def test_marks_are_subscribed_to_and_folded() -> None:
    """The last price of each symbol in an interval is one event; other symbols are dropped."""
    async with ScriptedVenue() as venue, marking(venue) as (market, sink):
        market.want(["BTC-USDT"])
        socket = await venue.socket(0)
        assert await topic(socket) == "BTC-USDT@markPrice"
        assert socket.key == ""
        for price in ("1", "2", "3"):
            await socket.send(mark("BTC-USDT", price))
        await socket.send(mark("XRP-USDT", "9"))
        await sink.until(lambda: sum(len(body.marks) for body in sink.all(Marks)) >= 1)
        await sink.until(lambda: sink.all(Marks)[-1].marks[0].price == Decimal(3))
    assert {"BTC-USDT"} == {each.symbol for body in sink.all(Marks) for each in body.marks}


async def test_a_new_symbol_is_subscribed_to_on_the_same_socket() -> None:
    """And the old one is not asked for again."""
    async with ScriptedVenue() as venue, marking(venue) as (market, _):
        market.want(["BTC-USDT"])
        socket = await venue.socket(0)
        assert await topic(socket) == "BTC-USDT@markPrice"
        market.want(["BTC-USDT", "ETH-USDT"])
        assert await topic(socket) == "ETH-USDT@markPrice"


async def test_topics_have_a_bound() -> None:
    """The exchange takes 200 a socket."""
    async with ScriptedVenue() as venue, marking(venue) as (market, _):
        market.want([f"S{number}-USDT" for number in range(TOPICS_MAX + 1)])
        assert len(market._wanted) == TOPICS_MAX


async def test_ping_is_answered_and_silence_ends_in_a_new_socket() -> None:
    """The market stream has its own liveness."""
    async with ScriptedVenue() as venue, marking(venue, silence_s=0.1) as (market, _):
        market.want(["BTC-USDT"])
        socket = await venue.socket(0)
        await topic(socket)
        await socket.send("Ping")
        assert await socket.message() == "Pong"
        again = await venue.socket(1)
        assert await topic(again) == "BTC-USDT@markPrice"


async def test_a_refused_handshake_is_tried_again() -> None:
    """With pauses, until the venue lets us in."""
    async with ScriptedVenue() as venue, marking(venue) as (market, _):
        venue.refuse_handshake = 503
        market.want(["BTC-USDT"])
        async with asyncio.timeout(WAIT_S_MAX):
            await venue.refused.wait()
        venue.refuse_handshake = None
        assert await topic(await venue.socket(0)) == "BTC-USDT@markPrice"


async def test_refused_frames_are_told_up_to_a_bound() -> None:
    """A stream of garbage fills neither the journal nor the log."""
    async with ScriptedVenue() as venue, marking(venue) as (market, sink):
        market.want(["BTC-USDT"])
        socket = await venue.socket(0)
        for _ in range(REFUSALS_MAX + 3):
            await socket.send("{garbage")
        await sink.until(lambda: sink.counts.get("market_rejected", 0) == 3)
        await socket.send(mark("BTC-USDT", "7"))
        await sink.first(Marks)
    assert len(sink.all(PushRejected)) == REFUSALS_MAX
    assert not any(body.money for body in sink.all(PushRejected))
