"""The border against the simulated exchange, the other reading of the same specification, over real sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal

import pytest
import structlog

from ditad.bingx.feed import Feed
from ditad.bingx.network import Internet
from ditad.bingx.options import Credentials, FeedOptions, Hosts
from ditad.clock import SystemClock
from ditad.errors import VenueFatalError
from ditad.events import AuditDone, Body, FillRow, FillsReport, OrderPush, PositionsReport, PushRejected, Raw
from ditad.exchange import AccountSpec, Dialect, FaultSpec, SimulatedExchange, trade
from tests.bingx.recording_sink import RecordingSink
from tests.support.running import WAIT_S_MAX


class Symbols(RecordingSink):
    """Wants to be told of every symbol that a push names, as the fold does."""

    async def submit(self, body: Body, *, at_us: int, raw: Raw | None = None) -> None:
        """Keep a body and remember its symbol."""
        await super().submit(body, at_us=at_us, raw=raw)
        if isinstance(body, OrderPush) and body.symbol not in self.needs().symbols:
            self.want(replace(self.needs(), symbols=(*self.needs().symbols, body.symbol)))


def make_feed(exchange: SimulatedExchange, sink: RecordingSink, secret: str | None = None) -> Feed:
    """Make a feed of the account ``main``."""
    api_key, api_secret = exchange.credentials["main"]
    return Feed(
        account="main",
        hosts=Hosts(rest_url=exchange.rest_url, ws_url=exchange.ws_url),
        credentials=Credentials(api_key=api_key, api_secret=secret or api_secret),
        options=FeedOptions(
            environment="custom", margin_asset="USDT", requests_per_s=200, backoff_s_min=0.02, backoff_s_max=0.1
        ),
        sink=sink,
        network=Internet(),
        clock=SystemClock(),
        random=random.Random(1),  # noqa: S311 - jitter is no secret
        log=structlog.get_logger(),
    )


@asynccontextmanager
async def conversing(exchange: SimulatedExchange) -> AsyncIterator[tuple[Feed, RecordingSink]]:
    """Run a feed of the account ``main`` for the time of a test."""
    sink = Symbols()
    feed = make_feed(exchange, sink)
    task = asyncio.create_task(feed.run())
    try:
        yield feed, sink
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def audited(feed: Feed, sink: RecordingSink) -> list[Body]:
    """Have everything asked until a round is wholly answered, and give what it brought.

    Frames that are still arriving make reports void, and then the round says so.
    """
    while not requested(sink) or requested(sink)[-1].failed:
        before = len(requested(sink))
        feed.request_audit()
        await sink.until(lambda before=before: len(requested(sink)) > before)  # type: ignore[misc]
    end = next(place for place, body in enumerate(sink.bodies) if body is requested(sink)[-1])
    ends = [place for place, body in enumerate(sink.bodies) if isinstance(body, AuditDone) and place < end]
    return sink.bodies[ends[-1] : end]


def requested(sink: RecordingSink) -> list[AuditDone]:
    """Give the ends of the rounds that a person wanted."""
    return [done for done in sink.all(AuditDone) if done.cause == "requested"]


FAULTS = FaultSpec(
    drop=0.05,
    dup=0.05,
    reorder=0.05,
    cut=0.01,
    cut_abrupt=0.01,
    unknown_event=0.02,
    rest_error=0.02,
    rest_truncate=0.02,
    rest_type=0.05,
)


@pytest.mark.parametrize("hedge", [True, False])
@pytest.mark.parametrize("faults", [None, FAULTS])
async def test_what_is_asked_equals_the_exchanges_books(hedge: bool, faults: FaultSpec | None) -> None:
    """Every fill, each position and the wallet, whatever the stream lost on the way."""
    async with (
        SimulatedExchange(seed=3, faults=faults, accounts=[AccountSpec(name="main", hedge=hedge)]) as exchange,
        conversing(exchange) as (feed, sink),
    ):
        await sink.first(AuditDone)
        await trade(exchange, "main", actions=60, seed=3)
        exchange.faults.calm()
        books = exchange.books("main")
        answers = await audited(feed, sink)
    rows: set[FillRow] = {row for body in answers if isinstance(body, FillsReport) for row in body.rows}
    assert books["fills"] == len(rows)
    assert abs(sum((row.fee or Decimal(0) for row in rows), Decimal(0)) - books["fees"]) < Decimal("0.001")
    (positions,) = [body for body in answers if isinstance(body, PositionsReport)]
    assert {(held["symbol"], held["side"]): held["qty"] for held in books["positions"]} == {
        (row.symbol, row.side.value): row.quantity for row in positions.rows
    }
    assert not [body for body in sink.all(PushRejected) if body.money]


async def test_every_push_of_the_exchange_is_understood() -> None:
    """No frame of an ordinary day is refused, under either order name."""
    async with (
        SimulatedExchange(seed=5, dialect=Dialect(last_fields=True), accounts=[AccountSpec(name="main")]) as exchange,
        conversing(exchange) as (_, sink),
    ):
        await sink.until(sink.has_baseline)
        await trade(exchange, "main", actions=60, seed=5, forced=True)
        wallet = exchange.books("main")["wallet_balance"]
        exchange.account("main").deposit(1)
        await sink.until(lambda: str(wallet + 1) in str(sink.bodies[-1]))
    assert sink.all(PushRejected) == []
    assert {"TRADE_UPDATE", "ORDER_TRADE_UPDATE"} == {body.name for body in sink.all(OrderPush)}


async def test_a_wrong_secret_is_told_as_the_exchange_answers_it() -> None:
    """The exchange checks the signature, and the feed says what to do."""
    async with SimulatedExchange(seed=5, accounts=[AccountSpec(name="main")]) as exchange:
        with pytest.raises(VenueFatalError, match="check the API secret"):
            async with asyncio.timeout(WAIT_S_MAX):
                await make_feed(exchange, RecordingSink(), secret="another-secret").run()
