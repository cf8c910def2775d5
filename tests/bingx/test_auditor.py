"""Whole rounds: how far back they reach, what they deliver in which order, and which symbols they find."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ditad.events import (
    AuditDone,
    Body,
    FillsReport,
    IncomeReport,
    OrderNeed,
    OrdersReport,
    PositionsReport,
    Question,
)
from tests.bingx.recording_sink import RecordingSink
from tests.bingx.scripted_venue import Asked, Reply, ScriptedVenue
from tests.bingx.test_feed import NEEDS, SINCE_MS, conversing, standing
from tests.bingx.test_questions import (
    FORCED_PATH,
    HISTORY_PATH,
    INCOME_PATH,
    ORDER_PATH,
    ORDERS_PATH,
    POSITIONS_PATH,
    stamp,
)
from tests.bingx.test_rows import FILL, INCOME, ORDER, POSITION


async def test_every_question_of_facts_reaches_back_beyond_its_watermark() -> None:
    """Rows come late: what lies a little before the watermark is asked for again, whatever the kind."""
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue, RecordingSink(NEEDS), overlap_s=90.0) as (_, sink):
            await sink.first(AuditDone)
        began_ms = SINCE_MS - 90_000
        begun = {
            path: {int(asked.query[name]) for asked in venue.questions(path)}
            for path, name in (
                (HISTORY_PATH, "startTs"),
                (INCOME_PATH, "startTime"),
                (ORDERS_PATH, "startTime"),
                (FORCED_PATH, "startTime"),
            )
        }
    assert {path: {began_ms} for path in begun} == begun
    (fills,), (income,) = sink.all(FillsReport), sink.all(IncomeReport)
    assert (began_ms, began_ms) == (fills.from_ms, income.from_ms)


async def test_what_orders_executed_is_delivered_before_their_rows() -> None:
    """Rows are facts as complete sets only: one list makes them so, and no order is asked about alone."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[ORDERS_PATH] = [Reply(data={"orders": [ORDER]})]
        async with conversing(venue, RecordingSink(NEEDS)) as (_, sink):
            await sink.first(AuditDone)
    told = [body for body in sink.bodies if isinstance(body, OrdersReport | FillsReport)]
    assert isinstance(told[0], OrdersReport)
    assert (Question.ORDERS, [str(ORDER["orderId"])]) == (told[0].question, [row.order_id for row in told[0].rows])
    assert isinstance(told[1], FillsReport)


async def test_an_empty_list_of_orders_is_not_delivered() -> None:
    """It says nothing: every minute of an idle account would leave an event for ever."""
    async with ScriptedVenue() as venue:
        standing(venue)
        async with conversing(venue, RecordingSink(NEEDS)) as (_, sink):
            await sink.first(AuditDone)
    assert [Question.FORCED_ORDERS] == [report.question for report in sink.all(OrdersReport)]


class Naming(RecordingSink):
    """A fold that knows a further symbol once a report of some kind has named it."""

    def __init__(self, kind: type[Body], *, question: Question | None = None) -> None:
        super().__init__(NEEDS)
        self._kind = kind
        self._question = question

    async def deliver(self, body: Body, **told: Any) -> None:
        """Take a report."""
        await super().deliver(body, **told)
        if isinstance(body, self._kind) and getattr(body, "question", None) == self._question:
            self.want(replace(NEEDS, symbols=("BTC-USDT", "XRP-USDT")))


class Told(RecordingSink):
    """A fold that lacks two orders, of which a report of fills tells what was missing of the first."""

    def __init__(self) -> None:
        needs = [OrderNeed(order_id=name, symbol="BTC-USDT", from_ms=SINCE_MS) for name in ("1001", "1002")]
        super().__init__(replace(NEEDS, orders=tuple(needs)))

    async def deliver(self, body: Body, **told: Any) -> None:
        """Take a report."""
        await super().deliver(body, **told)
        if isinstance(body, FillsReport) and body.order_id is None:
            self.want(replace(self.needs(), orders=self.needs().orders[1:]))


async def test_an_order_that_the_facts_have_told_of_is_not_asked_about() -> None:
    """The other one is; and the round's end claims no more than was asked."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[ORDER_PATH] = [Reply(data={"order": {**ORDER, "orderId": "1002"}})]
        async with conversing(venue, Told()) as (_, sink):
            done = await sink.first(AuditDone)
        asked = [asked.query["orderId"] for asked in venue.questions(ORDER_PATH)]
    assert ["1002"] == asked
    assert Question.ORDER in done.questions
    assert not done.failed


NAMERS: dict[str, tuple[str, Any, type[Body], Question | None]] = {
    "positions": (POSITIONS_PATH, [{**POSITION, "symbol": "XRP-USDT"}], PositionsReport, None),
    "income": (INCOME_PATH, [{**INCOME, "symbol": "XRP-USDT"}], IncomeReport, None),
    "forced orders": (
        FORCED_PATH,
        {"orders": [{**ORDER, "symbol": "XRP-USDT", "autoCloseType": "LIQUIDATION"}]},
        OrdersReport,
        Question.FORCED_ORDERS,
    ),
}


@pytest.mark.parametrize(("path", "data", "kind", "question"), NAMERS.values(), ids=NAMERS.keys())
async def test_a_symbol_that_turns_up_in_a_round_is_asked_for_in_it(
    *, path: str, data: object, kind: type[Body], question: Question | None
) -> None:
    """Whoever names it: the round's end claims that the fills of all symbols were asked for."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[path] = [Reply(data=data)]
        async with conversing(venue, Naming(kind, question=question)) as (_, sink):
            done = await sink.first(AuditDone)
            symbols = [report.symbol for report in sink.all(FillsReport)]
    assert ["BTC-USDT", "XRP-USDT"] == sorted(symbols)
    assert Question.FILLS in done.questions


async def test_a_symbol_that_only_orders_name_is_asked_for() -> None:
    """Of an account that is flat again nothing else may speak."""
    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[ORDERS_PATH] = [Reply(data={"orders": [{**ORDER, "symbol": "XRP-USDT"}]})]
        async with conversing(venue, RecordingSink(NEEDS)) as (_, sink):
            await sink.first(AuditDone)
    assert ["BTC-USDT", "XRP-USDT"] == sorted(report.symbol for report in sink.all(FillsReport))


async def test_a_later_page_that_fails_fails_the_fills() -> None:
    """No report is delivered of what came before it, and the round's end does not claim it."""
    page = [{**FILL, "tradeId": str(number), "filledTime": stamp(SINCE_MS)} for number in range(2)]

    def answer(asked: Asked) -> Reply:
        whole = asked.query["pageIndex"] == "1"
        return Reply(data={"fill_history_orders": page}) if whole else Reply(code=109421, msg="no")

    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[HISTORY_PATH] = answer
        async with conversing(venue, RecordingSink(NEEDS), page_rows_max=2) as (_, sink):
            done = await sink.first(AuditDone)
    assert [] == sink.all(FillsReport)
    assert (False, True) == (Question.FILLS in done.questions, Question.INCOME in done.questions)
    assert ("fills BTC-USDT",) == done.failed


async def test_half_of_the_income_that_fails_fails_the_income() -> None:
    """Its first half was answered; that is no answer."""
    row = {**INCOME, "time": SINCE_MS}

    def answer(asked: Asked) -> Reply:
        whole, half = [{**row, "tranId": "1"}, {**row, "tranId": "2"}], [row]
        number = len(venue.questions(asked.path))
        return Reply(data={1: whole, 2: half}[number]) if number < 3 else Reply(code=109421, msg="no")

    async with ScriptedVenue() as venue:
        standing(venue)
        venue.scripts[INCOME_PATH] = answer
        async with conversing(venue, RecordingSink(NEEDS), page_rows_max=2) as (_, sink):
            done = await sink.first(AuditDone)
    assert [] == sink.all(IncomeReport)
    assert (True, False) == (Question.FILLS in done.questions, Question.INCOME in done.questions)
    assert ("income",) == done.failed
