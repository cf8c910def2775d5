"""One account's whole conversation, against a scripted venue."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import structlog

from ditad.bingx import baseline as baseline_module
from ditad.bingx import feed as feed_module
from ditad.bingx.bootstrap import CONTRACTS_ASKED_MAX
from ditad.bingx.feed import Feed
from ditad.bingx.network import Internet
from ditad.bingx.options import Credentials, FeedOptions, Hosts
from ditad.bingx.questions import NAMELESS_MAX
from ditad.bingx.rest import ATTEMPTS_MAX
from ditad.clock import SystemClock
from ditad.errors import VenueFatalError
from ditad.events import (
    AccountPush,
    AuditDone,
    BalanceReport,
    BaselineTaken,
    Body,
    FillsReport,
    IncomeReport,
    Marks,
    Needs,
    OrderNeed,
    OrderPush,
    OrdersReport,
    PositionsReport,
    PushRejected,
    Question,
    QuestionFailed,
    StreamChanged,
    StreamState,
    Terms,
)
from tests.bingx.frames import packed, payload
from tests.bingx.recording_sink import RecordingSink
from tests.bingx.scripted_venue import KEY_PATH, TIME_PATH, Asked, Reply, ScriptedVenue, Socket
from tests.bingx.test_market import mark
from tests.bingx.test_questions import (
    BALANCE_PATH,
    FORCED_PATH,
    HISTORY_PATH,
    INCOME_PATH,
    OPEN_PATH,
    ORDER_PATH,
    ORDERS_PATH,
    POSITIONS_PATH,
)
from tests.bingx.test_rows import BALANCE, FILL, ORDER, POSITION
from tests.support.running import WAIT_S_MAX

API_KEY = "the-api-key-of-the-tests"
SECRET = "a-secret-for-tests-only"
ROUND = [Question.BALANCE, Question.POSITIONS, Question.FILLS, Question.FORCED_ORDERS, Question.INCOME]
MODE_PATH = "/openApi/swap/v1/positionSide/dual"
ASSET_MODE_PATH = "/openApi/swap/v1/trade/assetMode"
RATES_PATH = "/openApi/swap/v2/user/commissionRate"
CONTRACTS_PATH = "/openApi/swap/v2/quote/contracts"
LEVERAGE_PATH = "/openApi/swap/v2/trade/leverage"
PERMISSIONS_PATH = "/openApi/v1/account/apiPermissions"


def server_time(_: Asked) -> Reply:
    """Answer with this machine's clock, three seconds on."""
    return Reply(data={"serverTime": int(time.time() * 1000) + 3000})


def issue(venue: ScriptedVenue) -> Reply:
    """Issue a new key each time."""
    number = sum(asked.method == "POST" for asked in venue.asked)
    return Reply(body=b'{"listenKey":"' + f"{number:064x}".encode() + b'"}')


def standing(venue: ScriptedVenue) -> None:
    """Script an account that stands still: flat, 15.6128 USDT."""
    venue.scripts |= {
        TIME_PATH: server_time,
        f"POST {KEY_PATH}": lambda _: issue(venue),
        BALANCE_PATH: [Reply(data={"balance": BALANCE})],
        POSITIONS_PATH: [Reply(data=[])],
        OPEN_PATH: [Reply(data={"orders": []})],
        ORDERS_PATH: [Reply(data={"orders": []})],
        HISTORY_PATH: [Reply(data={"fill_history_orders": []})],
        FORCED_PATH: [Reply(data={"orders": []})],
        INCOME_PATH: [Reply(data=[])],
        MODE_PATH: [Reply(data={"dualSidePosition": "true"})],
        ASSET_MODE_PATH: [Reply(data={"assetMode": "singleAssetMode"})],
        RATES_PATH: [Reply(data={"commission": {"takerCommissionRate": 0.0005, "makerCommissionRate": 0.0002}})],
        CONTRACTS_PATH: [Reply(data=[{"symbol": "BTC-USDT", "pricePrecision": 1, "quantityPrecision": 4}])],
        LEVERAGE_PATH: [Reply(data={"longLeverage": 5, "shortLeverage": 7})],
        PERMISSIONS_PATH: [Reply(data={"permissions": [2, 3]})],
    }


def make_feed(
    venue: ScriptedVenue, sink: RecordingSink, *, conceal: Callable[[str], None] = lambda _: None, **options: Any
) -> Feed:
    """Make a feed of the scripted venue, with short pauses."""
    chosen: dict[str, Any] = {
        "environment": "custom",
        "margin_asset": "USDT",
        "requests_per_s": 1000.0,
        "backoff_s_min": 0.01,
        "backoff_s_max": 0.02,
        "mark_interval_s": 0.02,
    }
    return Feed(
        account="main",
        hosts=Hosts(rest_url=venue.rest_url, ws_url=venue.ws_url),
        credentials=Credentials(api_key=API_KEY, api_secret=SECRET),
        options=FeedOptions(**{**chosen, **options}),
        sink=sink,
        network=Internet(),
        clock=SystemClock(),
        random=random.Random(1),  # noqa: S311 - jitter is no secret
        log=structlog.get_logger(),
        conceal=conceal,
    )


@asynccontextmanager
async def conversing(
    venue: ScriptedVenue, sink: RecordingSink | None = None, **options: Any
) -> AsyncIterator[tuple[Feed, RecordingSink]]:
    """Run a feed for the time of a test."""
    sink = sink or RecordingSink()
    feed = make_feed(venue, sink, **options)
    task = asyncio.create_task(feed.run())
    try:
        yield feed, sink
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def private(venue: ScriptedVenue, number: int = 0) -> Socket:
    """Wait for the n-th private socket; the market's have no key."""
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            found = [socket for socket in venue.sockets if socket.key]
            if len(found) > number:
                return found[number]
            await venue.socket(len(venue.sockets))


def kinds(bodies: list[Body]) -> list[str]:
    """Name the kinds of bodies."""
    return [type(body).__name__ for body in bodies]


async def test_a_start_has_its_order() -> None:
    """Terms, key, stream, baseline, and then a whole round of questions."""
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue) as (feed, sink):
            done = await sink.first(AuditDone)
            expected = ["Terms", "StreamChanged", "StreamChanged", "BaselineTaken"]
            expected += ["BalanceReport", "PositionsReport", "OrdersReport", "IncomeReport", "AuditDone"]
            assert expected == kinds(sink.bodies)
            assert (done.cause, done.questions, done.failed) == ("start", tuple(ROUND), ())
            stats = feed.stats
            assert stats.connected
            assert stats.session_state == "live"
            assert 2000 < stats.clock_offset_ms < 4000
    states = [body.state for body in sink.all(StreamChanged)]
    assert states == [StreamState.KEY_ISSUED, StreamState.CONNECTED]
    (terms,) = sink.all(Terms)
    assert terms.hedge_mode is True
    assert terms.fee_rates == (Decimal("0.0002"), Decimal("0.0005"))
    assert (len(terms.contracts), terms.leverages, terms.notes) == (1, (), ())


async def test_the_baseline_is_what_read_the_same_twice() -> None:
    """Its moment is on the exchange's clock, and every listed order is covered with what is executed of it."""
    open_order = {**ORDER, "orderId": 9, "status": "NEW", "executedQty": "0", "avgPrice": "0"}
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[POSITIONS_PATH] = [Reply(data=[POSITION])]
        venue.scripts[OPEN_PATH] = [Reply(data={"orders": [open_order]})]
        venue.scripts[ORDERS_PATH] = [Reply(data={"orders": [ORDER]})]
        async with conversing(venue) as (_, sink):
            baseline = await sink.first(BaselineTaken)
    assert baseline.wallet == Decimal("15.6128")
    assert [row.quantity for row in baseline.positions] == [Decimal("0.0006")]
    assert [("9", Decimal(0)), (str(ORDER["orderId"]), Decimal("0.0001"))] == [
        (order.order_id, order.executed) for order in baseline.orders
    ]
    assert 2000 < baseline.taken_ms - sink.at_us[sink.bodies.index(baseline)] // 1000 < 4000
    assert (baseline.adopted_by, baseline.why) == (None, None)


async def test_a_push_between_the_readings_makes_them_void() -> None:
    """An account that moves is read again until it stands still."""
    pushes = [3]

    async def push() -> None:
        if pushes[0]:
            pushes[0] -= 1
            await (await private(venue)).send(payload("captured_account_withdraw"))
            await sink.until(lambda: len(sink.all(AccountPush)) == 3 - pushes[0])

    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[OPEN_PATH] = [Reply(data={"orders": []}, before=push)]
        async with conversing(venue) as (_, sink):
            await sink.first(BaselineTaken)
    assert len(sink.all(AccountPush)) == 3
    assert kinds(sink.bodies).index("BaselineTaken") > max(
        place for place, kind in enumerate(kinds(sink.bodies)) if kind == "AccountPush"
    )


async def test_readings_that_differ_are_no_baseline() -> None:
    """A wallet that moved without a push is read again too."""
    wallets = ["1", "2", "3", "3"]

    def answer(_: Asked) -> Reply:
        wallet = wallets.pop(0) if len(wallets) > 1 else wallets[0]
        return Reply(data={"balance": {**BALANCE, "balance": wallet}})

    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[BALANCE_PATH] = answer
        async with conversing(venue) as (_, sink):
            baseline = await sink.first(BaselineTaken)
    assert baseline.wallet == Decimal(3)


@pytest.mark.parametrize(("nameless", "wallet"), [(4, "15.61280001"), (10**6, "15.6128")])
async def test_a_baseline_has_a_rounded_wallet_only_where_no_other_is_told(
    nameless: int, wallet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`data: null` for the wallet with 8 decimals is no reason to be off by the other's rounding for good."""
    monkeypatch.setattr(baseline_module, "STILL_S", 0.0)
    count = iter(range(10**7))

    def answer(_: Asked) -> Reply:
        exact = {"balance": {**BALANCE, "balance": "15.61280001"}}
        return Reply(data=None if next(count) < nameless * NAMELESS_MAX else exact)

    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[BALANCE_PATH] = answer
        venue.scripts["/openApi/swap/v3/user/balance"] = [Reply(data=[{**BALANCE, "balance": "15.6128"}])]
        async with conversing(venue) as (_, sink):
            baseline = await sink.first(BaselineTaken)
    assert baseline.wallet == Decimal(wallet)


async def test_an_account_that_never_stands_still_is_told() -> None:
    """It goes on trying and says so."""
    count = iter(range(10**6))
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[BALANCE_PATH] = lambda _: Reply(data={"balance": {**BALANCE, "balance": str(next(count))}})
        async with conversing(venue, baseline_s_max=0.01) as (_, sink):
            failed = await sink.first(QuestionFailed, 2)
    assert failed.subject == "baseline"
    assert "did not stand still" in failed.reason
    assert sink.all(BaselineTaken) == []


async def test_pushes_are_submitted_with_the_bytes_they_came_in() -> None:
    """In their order, stamped when they came; what changes nothing is counted."""
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue) as (feed, sink):
            await sink.first(AuditDone)
            socket = await private(venue)
            names = ["captured_account_order_1a", "captured_order_1a", "captured_snapshot_2026"]
            for name in names:
                await socket.send(payload(name))
            await socket.send("Ping")
            assert await socket.message() == "Pong"
            await sink.until(lambda: sink.counts.get("ping") == 1)
            assert feed.stats.frames == 4
            assert feed.stats.last_frame_age_s is not None
    assert len(sink.heard_us) == 4
    tail = sink.bodies[-3:]
    assert kinds(tail) == ["AccountPush", "OrderPush", "LeveragePush"]
    assert [packed(payload(name)) for name in names] == [raw.data for raw in sink.raws[-3:] if raw is not None]
    assert sink.at_us[-3:] == sink.heard_us[:3]


async def test_a_bad_frame_is_rejected_and_the_next_one_handled() -> None:
    """Kept raw, with its reason; the stream lives on."""
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue) as (_, sink):
            await sink.first(AuditDone)
            socket = await private(venue)
            await socket.send(b"\x1f\x8b\x08", packed=False)
            await socket.send(payload("captured_order_1a"))
            await sink.first(OrderPush)
            (rejected,) = sink.all(PushRejected)
            raw = sink.raws[sink.bodies.index(rejected)]
    assert (rejected.source, rejected.reason, rejected.money) == ("private", "truncated gzip", True)
    assert raw is not None
    assert raw.data == b"\x1f\x8b\x08"


async def test_a_loss_is_submitted_and_the_stream_comes_back() -> None:
    """With a key of its own, and no second baseline."""
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue) as (feed, sink):
            await sink.first(AuditDone)
            await (await private(venue)).close()
            await sink.first(StreamChanged, 5)
            assert feed.stats.connects == 2
    states = [body.state for body in sink.all(StreamChanged)]
    assert states[2:5] == [StreamState.LOST, StreamState.KEY_ISSUED, StreamState.CONNECTED]
    assert len(sink.all(BaselineTaken)) == 1
    assert all(body.at_ms is not None for body in sink.all(StreamChanged))


SINCE_MS = int(time.time() * 1000) - 60_000
NEEDS = Needs(
    baseline=False,
    statements_after_us=None,
    facts_after_us=None,
    fills_from_ms=SINCE_MS,
    income_from_ms=SINCE_MS,
    orders=(),
    symbols=("BTC-USDT",),
)


async def test_after_a_restart_the_audit_asks_at_once() -> None:
    """The baseline stands; leverage of the symbols of interest is asked for, and their fills."""
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue, RecordingSink(NEEDS)) as (_, sink):
            done = await sink.first(AuditDone)
    assert done.cause == "start"
    assert sink.all(BaselineTaken) == []
    assert [report.symbol for report in sink.all(FillsReport)] == ["BTC-USDT"]
    (terms,) = sink.all(Terms)
    assert [(said.symbol, said.long, said.short) for said in terms.leverages] == [("BTC-USDT", Decimal(5), Decimal(7))]


async def test_what_the_fold_needs_is_asked_at_once() -> None:
    """A need that appears is a round of its own; an order is followed by its executions."""
    need = OrderNeed(order_id=str(ORDER["orderId"]), symbol="BTC-USDT", from_ms=SINCE_MS)
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[ORDER_PATH] = [Reply(data={"order": ORDER})]
        async with conversing(venue, RecordingSink(NEEDS)) as (_, sink):
            await sink.first(AuditDone)
            sink.want(replace(NEEDS, orders=(need,)))
            done = await sink.first(AuditDone, 2)
            sink.want(NEEDS)
            tail = sink.bodies[-3:]
    assert (done.cause, done.questions) == ("needs", (Question.ORDER,))
    assert kinds(tail) == ["OrdersReport", "FillsReport", "AuditDone"]
    order, fills = tail[:2]
    assert isinstance(order, OrdersReport)
    assert isinstance(fills, FillsReport)
    assert (order.question, fills.order_id) == (Question.ORDER, need.order_id)


async def test_a_person_may_want_an_audit() -> None:
    """`request_audit` asks everything now."""
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue) as (feed, sink):
            await sink.first(AuditDone)
            feed.request_audit()
            done = await sink.first(AuditDone, 2)
    assert (done.cause, done.questions) == ("requested", tuple(ROUND))


async def test_symbols_that_orders_name_are_asked_for() -> None:
    """A daemon that was off learns of symbols that it never heard of."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[ORDERS_PATH] = [Reply(data={"orders": [{**ORDER, "symbol": "ETH-USDT"}]})]
        async with conversing(venue, RecordingSink(NEEDS)) as (_, sink):
            await sink.first(AuditDone)
    assert ["BTC-USDT", "ETH-USDT"] == [report.symbol for report in sink.all(FillsReport)]


async def test_symbols_that_income_names_are_asked_for_in_the_same_round() -> None:
    """Before the round is over, so that its end claims what it says."""

    class Naming(RecordingSink):
        async def deliver(self, body: Body, **told: Any) -> None:
            await super().deliver(body, **told)
            if isinstance(body, IncomeReport):
                self.want(replace(NEEDS, symbols=("BTC-USDT", "XRP-USDT")))

    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue, Naming(NEEDS)) as (_, sink):
            done = await sink.first(AuditDone)
            names = [report.symbol for report in sink.all(FillsReport)]
    assert names == ["BTC-USDT", "XRP-USDT"]
    assert Question.FILLS in done.questions


async def test_a_late_symbol_that_fails_takes_the_claim_back() -> None:
    """Fills are answered when those of all symbols are."""

    class Naming(RecordingSink):
        async def deliver(self, body: Body, **told: Any) -> None:
            await super().deliver(body, **told)
            if isinstance(body, IncomeReport):
                self.want(replace(NEEDS, symbols=("BTC-USDT", "XRP-USDT")))

    def answer(asked: Asked) -> Reply:
        return Reply(code=109421) if asked.query["symbol"] == "XRP-USDT" else Reply(data=[])

    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[HISTORY_PATH] = answer
        async with conversing(venue, Naming(NEEDS)) as (_, sink):
            done = await sink.first(AuditDone)
    assert Question.FILLS not in done.questions
    assert done.failed == ("fills XRP-USDT",)


async def test_a_failed_question_leaves_the_others_their_answers() -> None:
    """It is told as failed, with its reason, and never as an empty answer."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[POSITIONS_PATH] = [Reply(data=[]), Reply(code=109421, msg="no")]
        venue.scripts[HISTORY_PATH] = [Reply(data=[{**FILL, "qty": "NaN"}])]
        async with conversing(venue, RecordingSink(NEEDS)) as (_, sink):
            done = await sink.first(AuditDone)
            (rejected,) = sink.all(PushRejected)
            raw = sink.raws[sink.bodies.index(rejected)]
    assert (Question.BALANCE, Question.FORCED_ORDERS, Question.INCOME) == done.questions
    assert done.failed == ("positions", "fills BTC-USDT")
    assert [(failed.question, failed.subject) for failed in sink.all(QuestionFailed)] == [
        (Question.POSITIONS, ""),
        (Question.FILLS, "BTC-USDT"),
    ]
    assert sink.all(PositionsReport) == []
    assert (rejected.source, rejected.reason[:10], rejected.money) == ("rest", "fills: qty", False)
    assert raw is not None
    assert b"NaN" in raw.data


async def test_what_this_key_may_not_ask_degrades() -> None:
    """100004 is told once and the account goes on."""
    async with ScriptedVenue() as venue:
        standing(venue)
        for path in (INCOME_PATH, ORDERS_PATH, RATES_PATH, MODE_PATH, PERMISSIONS_PATH, LEVERAGE_PATH):
            venue.scripts[path] = [Reply(code=100004)]
        async with conversing(venue, RecordingSink(NEEDS)) as (feed, sink):
            await sink.first(AuditDone)
            feed.request_audit()
            done = await sink.first(AuditDone, 2)
    assert done.failed == ()
    assert Question.INCOME not in done.questions
    assert Question.FILLS in done.questions
    assert [(failed.question, failed.unavailable) for failed in sink.all(QuestionFailed)] == [(Question.INCOME, True)]
    (terms,) = sink.all(Terms)
    assert (terms.hedge_mode, terms.fee_rates, terms.leverages) == (None, (), ())
    assert len(terms.notes) == 5
    assert len(venue.questions(ORDERS_PATH)) == 1


async def test_a_failing_list_of_orders_fails_the_fills() -> None:
    """Without it no one knows whether all symbols were asked for."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[ORDERS_PATH] = [Reply(data="no rows"), *[Reply(code=100500)] * ATTEMPTS_MAX]
        async with conversing(venue, RecordingSink(NEEDS)) as (feed, sink):
            done = await sink.first(AuditDone)
            feed.request_audit()
            again = await sink.first(AuditDone, 2)
    assert done.failed == ("fills allOrders",)
    assert again.failed == ("fills allOrders",)
    assert len(sink.all(PushRejected)) == 1


async def test_a_baseline_is_tried_again_when_the_exchange_fails() -> None:
    """And where the list of orders is refused, the open ones are enough."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[OPEN_PATH] = [Reply(data="no rows"), Reply(data={"orders": []})]
        venue.scripts[ORDERS_PATH] = [Reply(code=109400, msg="symbol is due")]
        async with conversing(venue) as (_, sink):
            baseline = await sink.first(BaselineTaken)
    assert baseline.orders == ()
    assert len(venue.questions(ORDERS_PATH)) == 1


async def test_without_a_stream_there_is_no_baseline() -> None:
    """The stream comes first: what happens while the account is read must be heard."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.refuse_handshake = 503
        async with conversing(venue, baseline_s_max=0.01) as (_, sink):
            failed = await sink.first(QuestionFailed)
            assert failed.reason == "the private stream is not connected"
            assert venue.questions(OPEN_PATH) == []
            venue.refuse_handshake = None
            await sink.first(BaselineTaken)


async def test_a_fatal_answer_during_the_baseline_ends_the_feed() -> None:
    """A person must act before there is anything to start from."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[OPEN_PATH] = [Reply(code=100413)]
        assert "check the key" in await fatal(venue)


async def test_leverage_is_asked_for_a_bounded_number_of_symbols() -> None:
    """The stream tells the rest; the terms say so. What cannot be read is noted too."""
    needs = replace(NEEDS, symbols=tuple(f"S{number}-USDT" for number in range(25)))
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[RATES_PATH] = [Reply(data={"commission": {}})]
        async with conversing(venue, RecordingSink(needs)) as (_, sink):
            terms = await sink.first(Terms)
    assert len(terms.leverages) == 20
    assert [note.split(":")[0] for note in terms.notes] == ["fee rates", "leverage"]


async def fatal(venue: ScriptedVenue, **options: Any) -> str:
    """Run a feed that must end for a person to act, and give what it says."""
    with pytest.raises(VenueFatalError) as caught:
        async with asyncio.timeout(WAIT_S_MAX):
            await make_feed(venue, RecordingSink(), **options).run()
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "reply", "advice"),
    [
        (BALANCE_PATH, Reply(code=100413), "check the key"),
        (BALANCE_PATH, Reply(code=100001), "check the API secret"),
        (BALANCE_PATH, Reply(code=100419), "whitelist"),
        (BALANCE_PATH, Reply(code=100004), "give the key the permissions"),
        (f"POST {KEY_PATH}", Reply(code=100004), "private stream"),
        (ASSET_MODE_PATH, Reply(data={"assetMode": "multiAssetsMode"}), "switch it to single-asset mode"),
        (PERMISSIONS_PATH, Reply(data={"permissions": [2, 5]}), "allow_withdraw_permission = true"),
    ],
)
async def test_what_only_a_person_can_mend_ends_the_feed(path: str, reply: Reply, advice: str) -> None:
    """The error says exactly what to do, and shows no secret."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[path] = [reply]
        said = await fatal(venue)
    assert advice in said
    assert API_KEY not in said
    assert SECRET not in said


async def test_a_key_that_may_withdraw_is_served_where_the_settings_allow_it() -> None:
    """The setting is explicit."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[PERMISSIONS_PATH] = [Reply(data={"permissions": [5]})]
        async with conversing(venue, allow_withdraw_permission=True) as (_, sink):
            await sink.first(BaselineTaken)


@pytest.mark.parametrize(
    ("data", "said", "warned"),
    [
        ({"permissions": [2]}, ["read"], None),
        ({"permissions": [2, 3]}, ["read", "trade perpetual futures"], ["trade perpetual futures"]),
        ({"permissions": [2, 5]}, ["read", "withdraw"], ["withdraw"]),
        ({}, None, None),
    ],
)
async def test_the_start_says_what_the_key_may_do(data: object, said: object, warned: object) -> None:
    """Where the exchange tells; whatever reading does not need is warned of, with what to do."""
    with structlog.testing.capture_logs() as lines:
        async with ScriptedVenue() as venue:
            standing(venue)
            venue.scripts[PERMISSIONS_PATH] = [Reply(data=data)]
            async with conversing(venue, allow_withdraw_permission=True) as (_, sink):
                await sink.first(BaselineTaken)
    told = {line["event"]: line for line in lines}
    assert said == told["key.permissions"]["may"]
    assert warned == told.get("key.may_do_more", {"may": None})["may"]
    if warned:
        line = told["key.may_do_more"]
        assert ("warning", True) == (line["log_level"], "may read and nothing else" in line["what_to_do"])


async def test_whoever_hides_secrets_is_told_every_listen_key() -> None:
    """Each key that is issued, before it is used."""
    told: list[str] = []
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue, conceal=told.append) as (_, sink):
            await sink.first(BaselineTaken)
            assert (await venue.socket(0)).key in told


async def test_an_exchange_that_is_away_is_waited_for() -> None:
    """The first failure is told, then the start goes on when it answers."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[CONTRACTS_PATH] = [*[Reply(body=b"{}")] * ATTEMPTS_MAX, Reply(data=[])]
        async with conversing(venue) as (_, sink):
            await sink.first(BaselineTaken)
    assert sink.all(StreamChanged)[0].state is StreamState.REFUSED
    assert "no start yet: contracts" in sink.all(StreamChanged)[0].detail


@pytest.mark.parametrize(("empty", "told"), [(CONTRACTS_ASKED_MAX - 1, True), (CONTRACTS_ASKED_MAX, False)])
async def test_contracts_that_are_not_named_are_asked_for_again(empty: int, *, told: bool) -> None:
    """`data: null` is no exchange without contracts: without their price steps much is a guess, and that is said."""
    async with ScriptedVenue() as venue:
        standing(venue)
        named = Reply(data=[{"symbol": "BTC-USDT", "pricePrecision": 1, "quantityPrecision": 4}])
        venue.scripts[CONTRACTS_PATH] = [*[Reply(data=None)] * empty, named]
        async with conversing(venue) as (_, sink):
            terms = await sink.first(Terms)
    assert told == bool(terms.contracts)
    assert told != any(note.startswith("contracts: none is named") for note in terms.notes)


async def test_a_fatal_answer_later_on_ends_the_feed_too() -> None:
    """Out of all its tasks comes the one error that a person must read."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[INCOME_PATH] = [Reply(code=100419)]
        assert "whitelist" in await fatal(venue)


async def test_multi_asset_mode_switched_on_later_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at again now and then, as is the clock."""
    monkeypatch.setattr(feed_module, "MODES_EVERY_S", 0.0)
    monkeypatch.setattr(feed_module, "CLOCK_EVERY_S", 0.0)
    async with ScriptedVenue() as venue:
        standing(venue)
        single = Reply(data={"assetMode": "singleAssetMode"})
        venue.scripts[ASSET_MODE_PATH] = [single, Reply(code=100500), Reply(data={"assetMode": "multiAssetsMode"})]
        assert "multi-asset" in await fatal(venue)
        assert len(venue.questions(TIME_PATH)) >= 2


async def test_marks_of_the_accounts_symbols_are_submitted() -> None:
    """Over a socket of their own."""
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue, RecordingSink(NEEDS)) as (feed, sink):
            await sink.first(AuditDone)
            async with asyncio.timeout(WAIT_S_MAX):
                while not any(not socket.key for socket in venue.sockets):
                    await venue.socket(len(venue.sockets))
            market = next(socket for socket in venue.sockets if not socket.key)
            await market.message()
            await market.send(mark("BTC-USDT", "121570.0"))
            marks = await sink.first(Marks)
            assert feed.stats.market_connects == 1
    assert marks.marks[0].price == Decimal("121570.0")


async def test_a_dead_key_behind_a_living_ping_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """REST shows a movement that nobody pushed: a new key, and the stream overlaps."""
    monkeypatch.setattr("ditad.bingx.watch.GRACE_S", 0.05)
    monkeypatch.setattr("ditad.bingx.session.SUSPECT_S_MIN", 0.0)
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue, interval_s=0.05) as (_, sink):
            await sink.first(AuditDone)
            venue.scripts[BALANCE_PATH] = [Reply(data={"balance": {**BALANCE, "balance": "20"}})]
            await sink.first(StreamChanged, 5)
            assert (await private(venue, 1)).key != (await private(venue, 0)).key
    states = [body.state for body in sink.all(StreamChanged)]
    assert states[2:5] == [StreamState.KEY_EXPIRED, StreamState.KEY_ISSUED, StreamState.CONNECTED]
    assert len(sink.all(BalanceReport)) >= 2
