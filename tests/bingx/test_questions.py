"""Questions asked to the end: pages, halves, nulls, void answers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from ditad.bingx.network import Internet
from ditad.bingx.options import Credentials, FeedOptions, Hosts
from ditad.bingx.questions import Asker
from ditad.bingx.rest import Rest
from ditad.errors import Refusal, VenueError, VenueUnavailableError
from ditad.events import OrderNeed, Question
from tests.bingx.scripted_venue import Asked, Reply, ScriptedVenue
from tests.bingx.test_rest import START_US, HandClock
from tests.bingx.test_rows import BALANCE, FILL, INCOME, ORDER, POSITION

NOW_MS = START_US // 1000
DAY_MS = 86_400_000
BALANCE_PATH = "/openApi/swap/v2/user/balance"
POSITIONS_PATH = "/openApi/swap/v2/user/positions"
HISTORY_PATH = "/openApi/swap/v2/trade/fillHistory"
OLD_PATH = "/openApi/swap/v2/trade/allFillOrders"
ORDER_PATH = "/openApi/swap/v2/trade/order"
ORDERS_PATH = "/openApi/swap/v2/trade/allOrders"
OPEN_PATH = "/openApi/swap/v2/trade/openOrders"
FORCED_PATH = "/openApi/swap/v2/trade/forceOrders"
INCOME_PATH = "/openApi/swap/v2/user/income"
CREDENTIALS = Credentials(api_key="k", api_secret="s")


@asynccontextmanager
async def asking(
    venue: ScriptedVenue, touched: Callable[[], tuple[int, int]] = lambda: (0, 0), **options: Any
) -> AsyncIterator[Asker]:
    """Give an asker of the scripted venue."""
    clock = HandClock()
    async with Rest(
        hosts=Hosts(rest_url=venue.rest_url, ws_url=venue.ws_url),
        credentials=CREDENTIALS,
        requests_per_s=1000.0,
        network=Internet(),
        clock=clock,
        random=random.Random(1),  # noqa: S311 - jitter is no secret
        log=structlog.get_logger(),
        sleep=clock.sleep,
    ) as rest:
        chosen = FeedOptions(**{"environment": "custom", "margin_asset": "USDT", **options})
        yield Asker(rest=rest, options=chosen, touched=touched)


def stamp(at_ms: int) -> str:
    """Write a time as the exchange's rows do: in whole seconds, with its offset."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms // 1000 * 1000, hours=8)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0800")


def between(names: tuple[str, str], asked: Asked, at_ms: int) -> bool:
    """Say whether a moment lies in the span asked for."""
    return int(asked.query[names[0]]) < at_ms <= int(asked.query[names[1]])


async def test_the_balance_has_eight_decimals_where_it_can() -> None:
    """v2 answers for the margin asset; v3 is asked only where it does not."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[BALANCE_PATH] = [Reply(data={"balance": BALANCE})]
        report, raw = await asker.balance()
        assert [row.asset for row in report.rows] == ["USDT"]
        assert b"15.61280000" in raw
        venue.scripts[BALANCE_PATH] = [Reply(data={"balance": {**BALANCE, "asset": "USDC"}})]
        venue.scripts["/openApi/swap/v3/user/balance"] = [Reply(data=[BALANCE])]
        report, _ = await asker.balance()
        assert [row.asset for row in report.rows] == ["USDT"]


async def test_a_balance_without_the_margin_asset_is_no_answer() -> None:
    """It never becomes a wallet of 0."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[BALANCE_PATH] = [Reply(data=None)]
        venue.scripts["/openApi/swap/v3/user/balance"] = [Reply(data=[])]
        with pytest.raises(Refusal, match="no row for USDT"):
            await asker.balance()


@pytest.mark.parametrize("pushes", [0, 1, 2])
async def test_a_report_that_a_push_crossed_is_void_and_asked_again(pushes: int) -> None:
    """Three times at most."""
    touches = [0]

    async def push() -> None:
        if touches[0] < pushes:
            touches[0] += 1

    async with ScriptedVenue() as venue, asking(venue, lambda: (touches[0], touches[0])) as asker:
        venue.scripts[BALANCE_PATH] = [Reply(data={"balance": BALANCE}, before=push)]
        venue.scripts[POSITIONS_PATH] = [Reply(data=[POSITION], before=push)]
        await asker.balance()
        assert len(venue.questions(BALANCE_PATH)) == pushes + 1
        touches[0] = 0
        await asker.positions()
        assert len(venue.questions(POSITIONS_PATH)) == pushes + 1


async def test_a_report_that_pushes_keep_crossing_fails() -> None:
    """A void report is no statement."""
    touches = [0]

    async def push() -> None:
        touches[0] += 1

    async with ScriptedVenue() as venue, asking(venue, lambda: (touches[0], touches[0])) as asker:
        venue.scripts[BALANCE_PATH] = [Reply(data={"balance": BALANCE}, before=push)]
        venue.scripts[POSITIONS_PATH] = [Reply(data=[POSITION], before=push)]
        with pytest.raises(VenueError, match="balance: void"):
            await asker.balance()
        with pytest.raises(VenueError, match="positions: void"):
            await asker.positions()
    assert len(venue.asked) == 6


async def test_null_is_believed_when_it_is_said_twice() -> None:
    """An answer cut to null once does not make positions flat."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[POSITIONS_PATH] = [Reply(data=None), Reply(data=[POSITION])]
        report, _ = await asker.positions()
        assert len(report.rows) == 1
        venue.scripts[POSITIONS_PATH] = [Reply(data=None)]
        report, _ = await asker.positions()
        assert report.rows == ()


async def test_null_that_was_said_twice_of_facts_is_believed_at_once() -> None:
    """Asked twice for each of a hundred symbols, a round would take longer than a difference may wait."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[HISTORY_PATH] = [Reply(data=None)]
        for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT"):
            assert (await asker.fills(symbol, NOW_MS - DAY_MS))[0].rows == ()
        assert ["BTC-USDT", "BTC-USDT", "ETH-USDT", "SOL-USDT"] == [asked.query["symbol"] for asked in venue.asked]


@pytest.mark.parametrize("nothing", [[], {}, {"fill_history_orders": [], "total": 0}])
async def test_null_is_asked_again_where_nothing_is_told_otherwise(nothing: object) -> None:
    """There it is the form of an answer that was cut."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[HISTORY_PATH] = [*[Reply(data=None)] * 2, Reply(data=nothing), *[Reply(data=None)] * 4]
        for _ in range(4):
            assert (await asker.fills("BTC-USDT", NOW_MS - DAY_MS))[0].rows == ()
        assert len(venue.asked) == 7


async def test_null_positions_are_always_asked_for_twice() -> None:
    """A statement is what tells that a fact is missing, so that nothing stands behind it."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[POSITIONS_PATH] = [Reply(data=None)]
        for _ in range(3):
            assert (await asker.positions())[0].rows == ()
        assert len(venue.asked) == 6


async def test_a_balance_that_names_nothing_is_asked_for_again() -> None:
    """Before the one that rounds to four decimals."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[BALANCE_PATH] = [Reply(data=None), Reply(data={}), Reply(data={"balance": BALANCE})]
        report, raw = await asker.balance()
        assert [row.asset for row in report.rows] == ["USDT"]
        assert b"15.61280000" in raw


def history(venue: ScriptedVenue, times_ms: list[int], *, newest_first: bool, total: bool) -> None:
    """Script a fill history that pages as the exchange does."""

    def answer(asked: Asked) -> Reply:
        found: list[dict[str, Any]] = [
            {**FILL, "tradeId": number + 1, "filledTime": stamp(at_ms)}
            for number, at_ms in enumerate(times_ms)
            if between(("startTs", "endTs"), asked, at_ms)
        ]
        found.sort(key=lambda row: row["tradeId"], reverse=newest_first)
        size, page = int(asked.query["pageSize"]), int(asked.query["pageIndex"])
        data: dict[str, Any] = {"fill_history_orders": found[(page - 1) * size : page * size]}
        return Reply(data={**data, "total": len(found)} if total else data)

    venue.scripts[HISTORY_PATH] = answer


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 12])
async def test_every_page_of_a_fill_history_is_turned(newest_first: bool, total: bool, count: int) -> None:
    """Whatever the order of the rows, and whether a total is stated or not."""
    times = [NOW_MS - 1_000_000 + 700 * number for number in range(count)]
    async with ScriptedVenue() as venue, asking(venue, page_rows_max=4) as asker:
        history(venue, times, newest_first=newest_first, total=total)
        report, raw = await asker.fills("BTC-USDT", NOW_MS - DAY_MS)
    assert [str(number + 1) for number in range(count)] == [row.trade_id for row in report.rows]
    assert (NOW_MS - DAY_MS, NOW_MS) == (report.from_ms, report.to_ms)
    assert raw.count(b"fill_history_orders") == len(venue.asked)
    assert {"BTC-USDT"} == {asked.query["symbol"] for asked in venue.asked}


async def test_executions_that_come_while_pages_are_turned_double_nothing() -> None:
    """Newest first, a new row shifts the pages; without trade ids a row told twice would be two executions."""
    times = [NOW_MS - 60_000 + 1_000 * number for number in range(9)]

    async with ScriptedVenue() as venue, asking(venue, page_rows_max=4) as asker:
        history(venue, times, newest_first=True, total=False)
        page_of = venue.scripts[HISTORY_PATH]
        assert callable(page_of)

        def answer(asked: Asked) -> Reply:
            times.append(NOW_MS)  # it executes on, within the second that is being asked for
            reply = page_of(asked)
            return Reply(
                data={"fill_history_orders": [{**row, "tradeId": ""} for row in reply.data["fill_history_orders"]]}
            )

        venue.scripts[HISTORY_PATH] = answer
        report, _ = await asker.fills("BTC-USDT", NOW_MS - DAY_MS)
    past = [row.at_ms for row in report.rows if row.at_ms < NOW_MS // 1000 * 1000]
    assert [at_ms // 1000 * 1000 for at_ms in times[:9]] == past


async def test_pages_cut_shorter_than_asked_are_noticed() -> None:
    """The stated total says that there is more."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        page = Reply(data={"fill_history_orders": [FILL], "total": 3})
        venue.scripts[HISTORY_PATH] = [page, page, Reply(data={"fill_history_orders": [], "total": 3})]
        with pytest.raises(VenueError, match="page 2 came empty after 1 of 3 rows"):
            await asker.fills("BTC-USDT", NOW_MS - 1000)


async def test_a_page_that_fails_fails_the_question() -> None:
    """What came before it is no answer."""
    async with ScriptedVenue() as venue, asking(venue, page_rows_max=1) as asker:
        venue.scripts[HISTORY_PATH] = [Reply(data={"fill_history_orders": [FILL]}), Reply(code=100500)]
        with pytest.raises(VenueError, match="100500"):
            await asker.fills("BTC-USDT", NOW_MS - 1000)


async def test_pages_have_a_bound() -> None:
    """A history that never ends is given up."""
    async with ScriptedVenue() as venue, asking(venue, page_rows_max=1, pages_max=3) as asker:
        venue.scripts[HISTORY_PATH] = [Reply(data={"fill_history_orders": [FILL]})]
        with pytest.raises(VenueError, match="more than 3 pages"):
            await asker.fills("BTC-USDT", NOW_MS - DAY_MS)


async def test_an_orders_executions_are_asked_by_its_id() -> None:
    """Rows of other orders and symbols are not its own."""
    other = {**FILL, "orderId": "5"}
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[HISTORY_PATH] = [Reply(data={"fill_history_orders": [FILL, other], "total": 99})]
        report, _ = await asker.fills("BTC-USDT", NOW_MS - 1000, str(FILL["orderId"]))
    assert (FILL["orderId"],) == tuple(row.order_id for row in report.rows)
    assert FILL["orderId"] == report.order_id
    assert FILL["orderId"] == venue.asked[0].query["orderId"]


def older(venue: ScriptedVenue, times_ms: list[int], limit: int = 512) -> None:
    """Script the older history: no pages, no trade ids, cut off at its limit."""

    def answer(asked: Asked) -> Reply:
        found = [
            {**FILL, "tradeId": "", "qty": f"{number + 1}", "filledTime": stamp(at_ms)}
            for number, at_ms in enumerate(times_ms)
            if between(("startTs", "endTs"), asked, at_ms)
        ]
        return Reply(data={"fill_orders": found[:limit]})

    venue.scripts[OLD_PATH] = answer


async def test_what_is_older_than_a_week_is_asked_elsewhere_by_halves() -> None:
    """An answer as long as its limit is asked again in two halves, and no row is lost or doubled at their seams."""
    begin = NOW_MS - 9 * DAY_MS
    old = [begin + 1 + 97_003 * number for number in range(1300)]
    fresh = [NOW_MS - 3_600_000]
    async with ScriptedVenue() as venue, asking(venue) as asker:
        older(venue, [at_ms for at_ms in old if at_ms < NOW_MS - 7 * DAY_MS + 600_000])
        history(venue, [*old, *fresh], newest_first=False, total=True)
        report, _ = await asker.fills("BTC-USDT", begin)
    assert begin == report.from_ms
    assert sorted([at_ms // 1000 * 1000 for at_ms in [*old, *fresh]]) == [row.at_ms for row in report.rows]
    assert {"COIN"} == {asked.query["tradingUnit"] for asked in venue.questions(OLD_PATH)}


async def test_more_rows_in_a_second_than_can_be_asked_fails() -> None:
    """Then the answer cannot be known to be complete."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        older(venue, [NOW_MS - 8 * DAY_MS] * 600)
        venue.scripts[HISTORY_PATH] = [Reply(data=[])]
        with pytest.raises(VenueError, match="512 rows and more"):
            await asker.fills("BTC-USDT", NOW_MS - 9 * DAY_MS)


async def test_income_is_asked_with_both_bounds_and_by_halves() -> None:
    """One bound alone answers nothing; rows of one second and of either order are all kept."""
    begin = NOW_MS // 1000 * 1000 - 100_000
    times = [begin + 1000 * (number // 2) for number in range(30)]

    def answer(asked: Asked) -> Reply:
        start, end = int(asked.query["startTime"]), int(asked.query["endTime"])
        found = [
            {**INCOME, "tranId": str(number + 1), "time": at_ms}
            for number, at_ms in enumerate(times)
            if start <= at_ms <= end
        ]
        return Reply(data=found[::-1][: int(asked.query["limit"])])

    async with ScriptedVenue() as venue, asking(venue, page_rows_max=4) as asker:
        venue.scripts[INCOME_PATH] = answer
        report, _ = await asker.income(begin - 5)
    assert report.available
    assert {str(number + 1) for number in range(30)} == {row.tran_id for row in report.rows}
    assert len(report.rows) == 30
    assert (begin - 5, NOW_MS) == (report.from_ms, report.to_ms)


@pytest.mark.parametrize(
    ("asset", "data", "available"), [("VST", None, False), ("VST", [], True), ("USDT", None, True), ("USDT", {}, True)]
)
async def test_the_demo_keeps_no_income(asset: str, data: object, available: bool) -> None:
    """There null says that it is not kept; on live it is one of the forms of nothing."""
    async with ScriptedVenue() as venue, asking(venue, margin_asset=asset) as asker:
        venue.scripts[INCOME_PATH] = [Reply(data=data)]
        report, _ = await asker.income(NOW_MS - 1000)
    assert available is report.available
    assert report.rows == ()


async def test_one_order_is_asked_for() -> None:
    """The answer must be about it."""
    need = OrderNeed(order_id=str(ORDER["orderId"]), symbol="BTC-USDT", from_ms=1)
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[ORDER_PATH] = [Reply(data={"order": ORDER})]
        report, _ = await asker.order(need)
        assert (Question.ORDER, "BTC-USDT") == (report.question, report.symbol)
        venue.scripts[ORDER_PATH] = [Reply(data={"order": {**ORDER, "orderId": 7}})]
        with pytest.raises(Refusal, match="not about the order"):
            await asker.order(need)
        venue.scripts[ORDER_PATH] = [Reply(data={})]
        with pytest.raises(Refusal, match="not about the order"):
            await asker.order(need)


async def test_orders_of_all_symbols_are_asked_for() -> None:
    """Open ones, and those since a moment."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[OPEN_PATH] = [Reply(data={"orders": [ORDER]})]
        venue.scripts[ORDERS_PATH] = [Reply(data={"orders": [ORDER]})]
        report, _ = await asker.open_orders()
        assert Question.OPEN_ORDERS is report.question
        since, _ = await asker.orders_since(NOW_MS - 10 * DAY_MS)
        assert (Question.ORDERS, report.rows) == (since.question, since.rows)
    assert len(venue.questions(ORDERS_PATH)) == 2


async def test_both_kinds_of_forced_orders_are_asked_for() -> None:
    """Each row carries the kind that was asked for."""

    def answer(asked: Asked) -> Reply:
        return Reply(data={"orders": [ORDER] if asked.query["autoCloseType"] == "ADL" else []})

    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[FORCED_PATH] = answer
        report, _ = await asker.forced_orders(NOW_MS - 1000)
    assert [row.forced for row in report.rows] == ["ADL"]
    assert len(venue.asked) == 2


async def test_what_the_key_may_not_ask_is_unavailable() -> None:
    """100004 is not an empty answer and not the end of the account."""
    async with ScriptedVenue() as venue, asking(venue) as asker:
        venue.scripts[INCOME_PATH] = [Reply(code=100004)]
        with pytest.raises(VenueUnavailableError):
            await asker.income(NOW_MS - 1000)
