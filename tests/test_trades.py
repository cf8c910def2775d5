"""The life of K's positions as account events: opened, ended, crossed, corrected, adopted.

All payloads are synthetic.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ditad import trades
from ditad.events import (
    BaselineTaken,
    BotSlot,
    BotSlots,
    FillRow,
    Mark,
    Marks,
    OrderRow,
    OrdersReport,
    OrderStatus,
    PositionRow,
    PositionSide,
    Question,
    Side,
    Terms,
)
from ditad.legs import money_of
from ditad.orders import Order
from ditad.projection import Projection
from ditad.stepping import BookFill
from ditad.turn import Turn
from tests.support.reading import at, audit, lines_of, lines_told, state_bytes
from tests.support.story import Story

LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH
BUY, SELL = Side.BUY, Side.SELL
D = Decimal
quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def told(story: Story) -> list[dict[str, Any]]:
    """Give all account events so far, each with its number."""
    return [{**body, "seq": body_of["seq"]} for body_of, body in _events(story)]


def _events(story: Story) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(dict(one), dict(one["account_event"])) for one in story.records if one["type"] == "account_event"]  # type: ignore[call-overload]  # JSON


def current(story: Story) -> list[dict[str, Any]]:
    """Give the ends of trades that nothing has replaced."""
    events = told(story)
    gone = {seq for event in events for seq in event["metadata"].get("replaces", ())}
    return [
        event
        for event in events
        if event["stage"] == "CLOSED" and event["seq"] not in gone and "withdrawn" not in event["metadata"]
    ]


def brief(event: dict[str, Any]) -> tuple[str, str, str, str | None]:
    """Give what an event is about."""
    return event["stage"], event["side"], event["reason"], event["pnl"]


def buy(story: Story, order_id: str | None = None, **figures: Any) -> str:
    """Tell a filled buy of 1 LONG at 100 for a fee of 0.05, some figures changed."""
    return story.order(order_id, **{"z": "1", "ap": "100.00000000", "fee": "0.05", **figures})


def sell(story: Story, order_id: str | None = None, **figures: Any) -> str:
    """Tell a filled sale of 1 LONG at 110 for a profit of 10 and a fee of 0.055, some figures changed."""
    return story.order(
        order_id, **{"side": SELL, "z": "1", "ap": "110.00000000", "fee": "0.055", "rp": "10", **figures}
    )


def slot(**changes: Any) -> BotSlot:
    """Give a slot of the bot: 1 LONG at 100, called t1."""
    values: dict[str, Any] = {
        "slot_id": "0",
        "trade_id": "t1",
        "asset": "BTC-USDT",
        "side": "LONG",
        "size": D(1),
        "entry_price": D(100),
        "unrealized_pnl": D(0),
        "closed": False,
        "fsm_state": "POSITION_OPEN",
        "mark_price": None,
        "leverage": None,
    }
    return BotSlot(**{**values, **changes})


def say(story: Story, *slots: BotSlot) -> None:
    """Let the bot tell its slots."""
    story.tell(BotSlots(slots=slots, uid=0))


def executed(story: Story, *rows: FillRow) -> None:
    """Tell the list of orders that these rows are all of."""
    listed = [
        OrderRow(
            order_id=row.order_id,
            symbol=row.symbol,
            side=row.side,
            position_side=row.position_side,
            order_type="MARKET",
            status=OrderStatus.FILLED,
            quantity=row.quantity,
            executed=row.quantity,
            average_price=row.price,
            fee=None,
            realized_pnl=None,
            created_ms=None,
            updated_ms=None,
            forced=None,
        )
        for row in rows
    ]
    report = OrdersReport(
        question=Question.ORDERS, symbol="BTC-USDT", asked_us=story.us, asked_ms=story.ms, rows=tuple(listed)
    )
    story.tell(report)


# ---- one trade --------------------------------------------------------------------------------------------------------


def test_a_trade_is_told_when_it_opens_and_when_it_ends() -> None:
    """Bought at 100, sold at 110 three minutes later: 10 gross, 0.105 of fees, with K's figures of the moment."""
    story = Story(namespaces={"actor_name": "kernel"}, bar_us=60_000_000)
    buy(story)
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(110), event_ms=story.ms),)))
    story.pass_s(185)
    sell(story)
    opened, closed = told(story)
    assert [("POSITION_OPENED", "LONG", "fill", "0"), ("CLOSED", "LONG", "fill", "9.895")] == [
        brief(opened),
        brief(closed),
    ]
    assert ("kernel", "dita_v2", "1009.895", "1009.895", 0, "0", 3, "9.895") == tuple(
        closed[name]
        for name in (
            "actor_name",
            "runtime_namespace",
            "capital",
            "equity",
            "open_positions",
            "current_open_notional",
            "bars_held",
            "pnl_pct",
        )
    )
    assert opened["trade_id"] == closed["trade_id"] == opened["metadata"]["trade"]
    assert ("10", "0.105", "1", "100", "110", "100", "110", "1") == tuple(
        closed["metadata"][name]
        for name in ("gross", "fees", "qty", "entry_price", "exit_price", "entry_quote", "exit_quote", "max_qty")
    )
    assert 2 == len(closed["metadata"]["order_ids"])


def test_figures_that_k_lacks_are_null() -> None:
    """Without a mark nobody knows equity, notional or leverage; the capital is known."""
    story = Story()
    buy(story)
    (opened,) = told(story)
    assert (None, None, None, "999.95", 1) == tuple(
        opened[name]
        for name in ("equity", "current_open_notional", "current_account_leverage", "capital", "open_positions")
    )


def test_with_a_mark_the_event_carries_equity_and_leverage() -> None:
    """The figures are those of the snapshot of the same event."""
    story = Story()
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(110), event_ms=story.ms),)))
    buy(story)
    (opened,) = told(story)
    assert (at(story.snap, "k.equity"), "110", at(story.snap, "k.leverage")) == (
        opened["equity"],
        opened["current_open_notional"],
        opened["current_account_leverage"],
    )


def test_growing_and_shrinking_are_one_trade() -> None:
    """Two buys, two sales: one beginning, one end, averages over all of it."""
    story = Story()
    buy(story)
    buy(story, z="3", ap="104.00000000", fee="0.156")
    sell(story, z="1", rp="7", ap="110.00000000")
    assert 1 == len(told(story))
    sell(story, z="3", rp="21", ap="110.00000000", fee="0.165")
    closed = told(story)[-1]
    assert ("27.574", "103", "110", "4", "4") == (
        closed["pnl"],
        *(closed["metadata"][name] for name in ("entry_price", "exit_price", "qty", "max_qty")),
    )


def test_the_orders_of_a_trade_are_bounded() -> None:
    """The first ones are named, and always the last; that there are more is said."""
    story = Story()
    ids = [buy(story) for _ in range(40)]
    last = sell(story, z="40", ap="100.00000000", rp="0", fee="2")
    (closed,) = current(story)
    assert ([*ids[:31], last], True) == (closed["metadata"]["order_ids"], closed["metadata"]["more_orders"])


def test_several_trades_of_one_report_are_each_told() -> None:
    """Rows that open, end, open and end again: four events, with names of their own."""
    story = Story()
    ids = [story.new_order() for _ in range(4)]
    at_ms = story.ms + 5_000
    rows = [
        story.fill_row(ids[0], "1", "100", "0.05", at_ms=at_ms),
        story.fill_row(ids[1], "1", "110", "0.055", side=SELL, rp="10", at_ms=at_ms + 1_000),
        story.fill_row(ids[2], "1", "120", "0.06", at_ms=at_ms + 2_000),
        story.fill_row(ids[3], "1", "115", "0.0575", side=SELL, rp="-5", at_ms=at_ms + 3_000),
    ]
    story.pass_s(20)
    executed(story, *rows)
    story.fills(*rows)
    events = told(story)
    assert [
        ("POSITION_OPENED", "0"),
        ("CLOSED", "9.895"),
        ("POSITION_OPENED", "0"),
        ("CLOSED", "-5.1175"),
    ] == [(event["stage"], event["pnl"]) for event in events]
    assert 2 == len({event["trade_id"] for event in events})


# ---- crossings --------------------------------------------------------------------------------------------------------


def one_way() -> Story:
    """Give a one-way account."""
    return Story(hedge=False)


def test_a_crossing_ends_one_trade_and_begins_the_other() -> None:
    """Long 1, sold 3: the close has the whole profit and a third of the fee, the short the rest of the fee."""
    story = one_way()
    story.order(ps=BOTH, z="1", ap="100.00000000", fee="0.05", last=("1", "100"))
    story.order(ps=BOTH, side=SELL, z="3", ap="110.00000000", fee="0.165", rp="10", last=("3", "110"))
    events = told(story)
    assert [
        ("POSITION_OPENED", "LONG", "fill", "0"),
        ("CLOSED", "LONG", "flip", "9.895"),
        ("POSITION_OPENED", "SHORT", "flip", "0"),
    ] == [brief(event) for event in events]
    assert ("2", "110") == (events[2]["metadata"]["qty"], events[2]["metadata"]["entry_price"])
    story.order(ps=BOTH, z="2", ap="100.00000000", fee="0.1", rp="20", last=("2", "100"))
    assert ("CLOSED", "SHORT", "fill", "19.79") == brief(told(story)[-1])


def test_the_fee_of_a_crossing_is_split_to_the_last_digit() -> None:
    """A third of 0.1 has no end: what one side does not bear the other does."""
    story = one_way()
    story.order(ps=BOTH, z="1", ap="100.00000000", fee="0.05", last=("1", "100"))
    story.order(ps=BOTH, side=SELL, z="3", ap="110.00000000", fee="0.1", rp="10", last=("3", "110"))
    story.order(ps=BOTH, z="2", ap="110.00000000", fee="0.1", rp="0", last=("2", "110"))
    nets = [book.net for one in story.projection.state.trades.books.values() for book in one.ended]
    assert (2, D("9.75")) == (len(nets), sum(nets))
    assert ["9.916666666666666667", "-0.166666666666666667"] == [event["pnl"] for event in current(story)]


def test_a_crossing_of_several_executions_leaves_prices_unknown() -> None:
    """Nobody tells where it crossed, and nobody its profit: pnl, percentage and averages are null, never 0."""
    story = one_way()
    story.order(ps=BOTH, z="1", ap="100.00000000", fee="0.05", last=("1", "100"))
    story.order(
        ps=BOTH, side=SELL, z="3", ap="110.00000000", fee=None, rp=None, last=("1", "111"), status=OrderStatus.FILLED
    )
    closed, opened = told(story)[1:]
    assert (None, None, None) == (closed["pnl"], closed["pnl_pct"], opened["metadata"]["entry_price"])
    assert closed["metadata"]["unknown"]


def test_what_was_kept_by_side_goes_on_as_one_way() -> None:
    """An account that turns out to be one-way ends the trade that it began, under its name."""
    story = Story()
    buy(story, last=("1", "100"))
    story.account("999.95", ("BTC-USDT", BOTH, "1", "100"))
    story.order(ps=BOTH, side=SELL, z="1", ap="110.00000000", fee="0.055", rp="10", last=("1", "110"))
    opened, closed = told(story)
    assert (opened["trade_id"], "9.895") == (closed["trade_id"], closed["pnl"])


# ---- what is not told yet ---------------------------------------------------------------------------------------------


def test_an_unknown_amount_is_null_and_corrected_once_it_is_told() -> None:
    """The fee of a close comes with its row: the event of the end is told again, and says which one it replaces."""
    story = Story()
    buy(story)
    order_id = story.new_order()
    story.order(order_id, side=SELL, z="1", ap="110.00000000", fee=None, rp="10")
    unknown = told(story)[-1]
    assert (None, None, True, None, None) == (
        unknown["pnl"],
        unknown["pnl_pct"],
        unknown["metadata"]["unknown"],
        unknown["metadata"]["gross"],
        unknown["metadata"]["fees"],
    )
    story.pass_s(3)
    story.fills(story.fill_row(order_id, "1", "110", "0.055", side=SELL, rp="10"))
    known = told(story)[-1]
    assert ("CLOSED", "LONG", "corrected", "9.895") == brief(known)
    assert ([unknown["seq"]], None, "fill") == tuple(
        known["metadata"][name] for name in ("replaces", "was", "ended_by")
    )
    assert "unknown" not in known["metadata"]
    assert [known] == current(story)


def test_a_rounded_fee_that_becomes_exact_is_a_correction() -> None:
    """A row tells 0.006793, a witness 0.00679317: what is open by rounding is said until then."""
    story = Story(rates=("0.0005",))
    first, second = story.new_order(), story.new_order()
    story.pass_s(5)
    rows = [
        story.fill_row(first, "0.1234", "100", "0.00617"),
        story.fill_row(second, "0.1234", "110.1", "0.006793", side=SELL, rp="1.24634", at_ms=story.ms + 2_000),
    ]
    story.pass_s(5)
    executed(story, *rows)
    story.fills(*rows)
    (rounded,) = current(story)
    assert "precision" in rounded["metadata"]
    story.pass_s(200)
    exact = [
        story.income_row("1", "TRADING_FEE", "-0.00617", at_ms=rows[0].at_ms, symbol="BTC-USDT"),
        story.income_row("2", "TRADING_FEE", "-0.00679317", at_ms=rows[1].at_ms, symbol="BTC-USDT"),
    ]
    audit(story, "1009", fills=tuple(rows), incomes=tuple(exact))
    (known,) = current(story)
    assert ("1.23337683", "corrected", "1.233377") == (known["pnl"], known["reason"], known["metadata"]["was"])
    assert "precision" not in known["metadata"]


def test_who_told_it_changes_nothing() -> None:
    """A row that says what the frames said is no news."""
    story = Story()
    first = buy(story, last=("1", "100"))
    second = sell(story, last=("1", "110"))
    before = len(told(story))
    rows = (
        story.fill_row(first, "1", "100", "0.05", trade_id="7"),
        story.fill_row(second, "1", "110", "0.055", side=SELL, rp="10", trade_id="8"),
    )
    audit(story, "1009.895", fills=rows)
    assert before == len(told(story))


# ---- late facts -------------------------------------------------------------------------------------------------------


def test_a_late_fill_that_was_part_of_the_trade_corrects_it() -> None:
    """A buy and its sale between: the first end becomes that of the earlier one, and the later is told."""
    story = Story()
    first, end, start, last = (story.new_order() for _ in range(4))
    base_ms = story.ms + 1_000
    story.pass_s(10)
    buy(story, first, trade_ms=base_ms)
    sell(story, last, trade_ms=base_ms + 3_000)
    assert ["9.895"] == [event["pnl"] for event in current(story)]
    sell(story, end, ap="105.00000000", rp="5", fee="0.0525", trade_ms=base_ms + 1_000)
    assert "UNKNOWN" == story.status
    buy(story, start, ap="107.00000000", fee="0.0535", trade_ms=base_ms + 2_000)
    assert [("LONG", "4.8975"), ("LONG", "9.8915")] == [(event["side"], event["pnl"]) for event in current(story)]


def test_a_trade_that_never_ended_is_withdrawn() -> None:
    """A late buy shows that the sale left something open: the end is taken back, and told when it comes."""
    story = Story()
    first, late, end = (story.new_order() for _ in range(3))
    base_ms = story.ms + 1_000
    story.pass_s(10)
    buy(story, first, trade_ms=base_ms)
    sell(story, end, trade_ms=base_ms + 2_000)
    (was,) = current(story)
    buy(story, late, trade_ms=base_ms + 1_000)
    gone = told(story)[-1]
    assert ("CLOSED", "corrected", "0", True, [was["seq"]], "9.895") == (
        gone["stage"],
        gone["reason"],
        gone["pnl"],
        gone["metadata"]["withdrawn"],
        gone["metadata"]["replaces"],
        gone["metadata"]["was"],
    )
    assert [] == current(story)
    sell(story, ap="110.00000000", rp="10")
    (closed,) = current(story)
    assert ("19.79", was["trade_id"]) == (closed["pnl"], closed["trade_id"])


STEPS = st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=8)


@quick
@given(steps=STEPS, hedge=st.booleans(), data=st.data())
def test_the_order_of_arrival_leaves_the_same_trades(steps: list[tuple[int, bool]], *, hedge: bool, data: Any) -> None:
    """Whatever comes late or twice: what is told in the end is what would have been told in order."""
    fills = made_up(steps, hedge=hedge)
    shuffled = data.draw(st.permutations([*fills, *fills[: len(fills) // 2]]))
    stories = []
    for order in (fills, shuffled):
        story = Story(hedge=hedge)
        story.pass_s(100)
        for figures in order:
            story.order(**figures)
        stories.append(story)
    expected, found = (sorted(told_money(event) for event in current(story)) for story in stories)
    assert expected == found
    assert stories[0].projection.state.trades.ended == stories[1].projection.state.trades.ended
    flat = not any(position.run.quantity for position in stories[1].projection.state.positions.values())
    sums = stories[1].projection.state.sums
    if flat:
        assert stories[1].projection.state.trades.ended == sums.realized_pnl - sums.fees


def told_money(event: dict[str, Any]) -> tuple[str, ...]:
    """Give what an end says of its trade's money."""
    names = ("gross", "fees", "qty", "entry_price", "exit_price", "opened_at", "closed_at", "max_qty")
    return (event["side"], str(event["pnl"]), *(str(event["metadata"][name]) for name in names))


def made_up(steps: list[tuple[int, bool]], *, hedge: bool) -> list[dict[str, Any]]:
    """Make fills of one position by an exact book of one's own; each is one execution of one order."""
    held, cost = D(0), D(0)
    fills: list[dict[str, Any]] = []
    start_ms = Story(baseline=False).ms + 1_000
    for number, (size, buys) in enumerate(steps):
        quantity, price = D(size), D(100 + number)
        if hedge and not buys:
            quantity = min(quantity, held)
        if not quantity:
            continue
        sign = 1 if buys else -1
        profit = D(0)
        if held * sign >= 0:
            cost += price * quantity * sign
        else:
            closed = min(quantity, abs(held))
            entry = cost / held
            profit = (entry - price) * closed * sign
            cost = cost - entry * closed * -sign if quantity <= abs(held) else price * (quantity - abs(held)) * sign
        held += quantity * sign
        if not held:
            cost = D(0)
        fills.append(
            {
                "order_id": str(((start_ms - 1_288_834_974_657) << 22) + number + 7),
                "side": BUY if buys else SELL,
                "ps": LONG if hedge else BOTH,
                "z": str(quantity),
                "ap": f"{price}.00000000",
                "fee": str(price * quantity * D("0.0005")),
                "rp": str(profit.quantize(D("1e-8"))),
                "trade_ms": start_ms + number * 1_000,
                "last": (str(quantity), str(price)),
            }
        )
    return fills


def test_executions_of_one_piece_may_lie_in_several_trades() -> None:
    """Long 1, one order sells 1 and 2 more in a second: its first execution ends the trade, the fee goes by quantity."""
    story = one_way()
    story.order(ps=BOTH, z="1", ap="100.00000000", fee="0.05", last=("1", "100"))
    story.pass_s(2)
    order_id = story.order(ps=BOTH, side=SELL, z="3", ap="110.00000000", fee="0.165", rp="10")
    rows = [
        story.fill_row(order_id, "1", "110", "0.055", ps=BOTH, side=SELL, rp="10", trade_id="1"),
        story.fill_row(order_id, "2", "110", "0.11", ps=BOTH, side=SELL, rp="0", trade_id="2"),
    ]
    story.fills(*rows)
    assert ["9.895"] == [event["pnl"] for event in current(story)]
    state = story.projection.state
    assert state.sums.realized_pnl - state.sums.fees == sum(
        trade.net for book in state.trades.books.values() for trade in [*book.ended, book.open] if trade is not None
    )


def test_a_close_that_waits_is_of_the_trade_that_it_ends() -> None:
    """Sales stamped before their buy wait: the one that fits ends it, the other goes on waiting."""
    story = Story()
    story.pass_s(60)
    base_ms = story.ms - 50_000
    sell(story, z="2", ap="110.00000000", rp="20", fee="0.11", trade_ms=base_ms, last=("2", "110"))
    sell(story, trade_ms=base_ms + 1_000, last=("1", "110"))
    assert [] == told(story)
    buy(story, trade_ms=base_ms + 2_000, last=("1", "100"))
    assert [("POSITION_OPENED", "LONG", "fill", "0"), ("CLOSED", "LONG", "fill", "9.895")] == [
        brief(event) for event in told(story)
    ]
    buy(story, z="2", fee="0.1", trade_ms=base_ms + 3_000, last=("2", "100"))
    assert ["9.895", "19.79"] == [event["pnl"] for event in current(story)]


def test_parts_of_a_piece_make_up_the_whole() -> None:
    """A close told by one frame and by two rows: both executions are of the one trade, to the last digit."""
    story = Story()
    buy(story, z="3", fee="0.15", last=("3", "100"))
    story.pass_s(2)
    order_id = story.new_order()
    story.order(order_id, side=SELL, z="3", ap="110.00000000", fee="0.165", rp="30.00000001")
    rows = [
        story.fill_row(order_id, "1", "109", "0.0545", side=SELL, rp="9", trade_id="1"),
        story.fill_row(order_id, "2", "110.5", "0.1105", side=SELL, rp="21", trade_id="2"),
    ]
    story.fills(*rows)
    assert ["29.68500001"] == [event["pnl"] for event in current(story)]


def test_a_fill_of_no_piece_is_unknown() -> None:
    """What cannot be looked up is never 0."""
    order = Order(order_id="1", symbol="X", side=BUY, position_side=LONG, order_type="", status=OrderStatus.UNKNOWN)
    fill = BookFill(
        order_id="1",
        z0=D(0),
        z1=D(1),
        buy=True,
        quantity=D(1),
        quote=D(1),
        quote_slack=D(0),
        single=True,
        stated_pnl=None,
        compared=True,
        at_ms=0,
        whole_second=False,
    )
    assert (None, None) == (money_of(order, fill).fee, money_of(order, fill).profit)


def test_a_part_of_a_piece_that_no_row_tells_apart_has_its_share() -> None:
    """The book holds the rest of a piece whose beginning it has let go of: half of what is told, none of what is not."""
    story = Story()
    order_id = buy(story, z="2", fee="0.1", last=("2", "100"))
    order = story.projection.state.orders[order_id]
    (fill,) = story.projection.state.positions["BTC-USDT:LONG"].fills
    rest = replace(fill, z0=D(1), quantity=D(1))
    assert (D("0.05"), D(0)) == (money_of(order, rest).fee, money_of(order, rest).profit)
    order.pieces = [replace(order.pieces[0], fee=None)]
    assert money_of(order, rest).fee is None


# ---- what the book lets go of -----------------------------------------------------------------------------------------


def forgotten(story: Story, wallet: str, *rows: PositionRow) -> None:
    """Let so much time pass, and be answered for, that the book keeps sums only."""
    audit(story, wallet, *rows, after_s=700)
    audit(story, wallet, *rows, after_s=700)
    assert [] == [fill for position in story.projection.state.positions.values() for fill in position.fills]


def test_a_trade_goes_on_when_the_book_lets_go_of_its_fills() -> None:
    """Half of a position is closed, hours pass, the other half: the end knows the whole trade."""
    story = Story()
    buy(story, z="2", fee="0.1", last=("2", "100"))
    sell(story, last=("1", "110"))
    row = story.position_row("1", "100")
    forgotten(story, "1009.845", row)
    sell(story, ap="120.00000000", rp="20", fee="0.06", last=("1", "120"))
    (closed,) = current(story)
    assert ("29.785", "2", "115", "100") == (
        closed["pnl"],
        *(closed["metadata"][name] for name in ("qty", "exit_price", "entry_price")),
    )


def test_a_late_amount_of_a_forgotten_fill_still_corrects_its_trade() -> None:
    """The fee of a close is told after the book has let go of it, which here is done by hand."""
    story = Story()
    buy(story, last=("1", "100"))
    order_id = story.new_order()
    story.order(order_id, side=SELL, z="1", ap="110.00000000", fee=None, rp="10", last=("1", "110"))
    state = story.projection.state
    for key in state.positions:
        trades.collapse(state, key, story.ms + 10_000)
    assert (None,) == tuple(event["pnl"] for event in current(story))
    story.fills(story.fill_row(order_id, "1", "110", "0.055", side=SELL, rp="10"))
    assert [("corrected", "9.895")] == [(event["reason"], event["pnl"]) for event in current(story)]


@pytest.mark.parametrize("opening", [True, False])
def test_a_late_amount_of_a_forgotten_part_reaches_the_trade_that_goes_on(*, opening: bool) -> None:
    """As above, of a trade that is open."""
    story = Story()
    first, second = story.new_order(), story.new_order()
    story.order(first, z="2", ap="100.00000000", fee=None if opening else "0.1", rp="0", last=("2", "100"))
    fee = "0.055" if opening else None
    story.order(second, side=SELL, z="1", ap="110.00000000", fee=fee, rp="10", last=("1", "110"))
    trades.collapse(story.projection.state, "BTC-USDT:LONG", story.ms + 10_000)
    story.fills(
        story.fill_row(first, "2", "100", "0.1"), story.fill_row(second, "1", "110", "0.055", side=SELL, rp="10")
    )
    book = story.projection.state.trades.books["BTC-USDT:LONG"]
    assert book.open is not None
    assert (D("9.895"), D("0.05"), 0) == (book.open.parts, book.open.pool, book.open.unknown)
    sell(story, ap="120.00000000", rp="20", fee="0.06", last=("1", "120"))
    assert ["29.785"] == [event["pnl"] for event in current(story)]


def test_a_trade_keeps_its_name_when_its_end_comes_with_a_change_behind_it() -> None:
    """Its beginning is a sum already; the close and a fee that is learnt late come in one report."""
    story = Story()
    buy(story, z="2", fee="0.1", last=("2", "100"))
    part = story.new_order()
    story.order(
        part, side=SELL, z="1", ap="110.00000000", fee=None, rp="10", last=("1", "110"), trade_ms=story.ms + 9_000
    )
    trades.collapse(story.projection.state, "BTC-USDT:LONG", story.ms + 2_000)
    story.pass_s(20)
    end = story.fill_row(story.new_order(), "1", "120", "0.06", side=SELL, rp="20")
    executed(story, end)
    story.fills(story.fill_row(part, "1", "110", "0.055", side=SELL, rp="10", at_ms=story.ms - 11_000), end)
    opened, closed = told(story)
    assert (opened["trade_id"], "29.785") == (closed["trade_id"], closed["pnl"])


def test_of_a_piece_that_the_book_holds_in_part_each_part_counts_once() -> None:
    """Two pieces become one after the first was let go of: its half stays with the sums, the other with the book."""
    story = Story()
    order_id = story.new_order()
    first_ms = story.ms
    common: dict[str, Any] = {"q": "2", "status": OrderStatus.PARTIALLY_FILLED}
    story.order(order_id, z="1", ap="100.00000000", fee="0.05", last=("1", "100"), trade_ms=first_ms, **common)
    story.order(order_id, z="2", ap="100.00000000", fee="0.06", last=("1", "100"), trade_ms=first_ms + 5_000, **common)
    state = story.projection.state
    trades.collapse(state, "BTC-USDT:LONG", first_ms + 1_000)
    order = state.orders[order_id]
    before = order.pieces
    order.pieces = [replace(before[0], z1=D(2), fee=D("0.11"), quote=D(200))]
    turn = Turn(state=state, event=story.events[-1])
    trades.catch_up(turn)
    trades.hear_pieces(turn, "BTC-USDT:LONG", order, before, order.pieces)
    trades.follow(turn)
    book = state.trades.books["BTC-USDT:LONG"]
    assert book.carried is not None
    assert book.open is not None
    assert (D("0.055"), D("0.11")) == (book.carried.fees, book.open.fees)


def traded(story: Story, times: int) -> None:
    """Buy and sell so many times, for 9.895 each."""
    for _ in range(times):
        buy(story, last=("1", "100"))
        sell(story, last=("1", "110"))


def test_old_trades_are_forgotten_in_the_end() -> None:
    """Only so many are remembered once the book holds them as a sum, and few of which no order is in memory."""
    story = Story()
    traded(story, 70)
    forgotten(story, str(D(1000) + 70 * D("9.895")))
    book = story.projection.state.trades.books["BTC-USDT:LONG"]
    assert (64, {True}) == (len(book.ended), {trade.settled for trade in book.ended})
    traded(story, 1)
    forgotten(story, str(D(1000) + 71 * D("9.895")))
    assert ({}, 8) == (story.projection.state.orders, len(book.ended))
    traded(story, 1)
    assert 144 == len(told(story))


def test_a_trade_is_remembered_for_as_long_as_its_money_may_change() -> None:
    """A fee that nobody told keeps its order, and the order its trade, however many come behind it."""
    story = Story()
    buy(story, last=("1", "100"))
    waiting = sell(story, fee=None, last=("1", "110"))
    row = story.fill_row(waiting, "1", "110", "0.055", side=SELL, rp="10")
    for _ in range(2):
        traded(story, 10)
        story.pass_s(700)
        trades.collapse(story.projection.state, "BTC-USDT:LONG", story.ms)
        put_away(story, waiting)
    book = story.projection.state.trades.books["BTC-USDT:LONG"]
    assert 1 + 10 == len(book.ended), "the one that waits, and those whose orders were in memory a moment ago"
    story.fills(row)
    assert ["9.895"] * 21 == [event["pnl"] for event in current(story)]


def put_away(story: Story, but: str) -> None:
    """Let every order go, as rounds of questions would in the end, but the one that waits."""
    state = story.projection.state
    state.orders = {order_id: order for order_id, order in state.orders.items() if order_id == but}


# ---- before the ledger, and adoption ----------------------------------------------------------------------------------


def held(quantity: str = "1", side: PositionSide = LONG) -> PositionRow:
    """Give a position as a baseline states it, entered at 100."""
    return Story(baseline=False).position_row(quantity, "100", side=side)


def adopt(story: Story, *positions: PositionRow) -> None:
    """Take E for a new baseline."""
    story.pass_s(60)
    story.tell(
        BaselineTaken(
            baseline_id="b2",
            taken_ms=story.ms,
            wallet=D(900),
            positions=positions,
            orders=(),
            adopted_by=0,
            why="a test",
        )
    )


def test_a_position_from_before_the_ledger_counts_from_there() -> None:
    """Its opening is no event, its end says that it began earlier; the percentage is of its stated entry."""
    story = Story(positions=(held(),))
    assert [] == told(story)
    sell(story)
    (closed,) = told(story)
    assert ("9.945", "9.945", True, None, "100") == (
        closed["pnl"],
        closed["pnl_pct"],
        closed["metadata"]["opened_before_ledger"],
        closed["metadata"]["opened_at"],
        closed["metadata"]["entry_price"],
    )
    assert "BTC-USDT:LONG:4" == closed["trade_id"]


def test_an_entry_that_nobody_told_leaves_the_percentage_unknown() -> None:
    """The profit is what the exchange states."""
    row = Story(baseline=False).position_row("1", "100")
    story = Story(positions=(PositionRow(**{**_fields(row), "entry_price": None}),))
    sell(story)
    (closed,) = told(story)
    assert ("9.945", None, None) == (closed["pnl"], closed["pnl_pct"], closed["metadata"]["entry_price"])


def _fields(row: PositionRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PositionRow.__slots__}


def test_an_adoption_that_ends_a_position_says_that_nobody_told_how() -> None:
    """K held 1, E nothing: closed by adoption, with an unknown profit."""
    story = Story()
    buy(story)
    adopt(story)
    closed = told(story)[-1]
    assert ("CLOSED", "LONG", "adopted", None) == brief(closed)
    assert closed["metadata"]["unknown"]


def test_an_adoption_that_finds_a_position_opens_it() -> None:
    """K held nothing, E 1."""
    story = Story()
    adopt(story, held())
    (opened,) = told(story)
    assert ("POSITION_OPENED", "LONG", "adopted", "0") == brief(opened)


def test_a_position_that_outlives_an_adoption_keeps_its_name() -> None:
    """Nothing is told; its end says that its money counts since the adoption."""
    story = Story()
    buy(story)
    adopt(story, held())
    assert 1 == len(told(story))
    sell(story)
    opened, closed = told(story)
    assert (opened["trade_id"], "9.945", opened["metadata"]["opened_at"], True) == (
        closed["trade_id"],
        closed["pnl"],
        closed["metadata"]["opened_at"],
        closed["metadata"]["opened_before_ledger"],
    )


def test_an_adoption_that_turns_a_position_ends_and_opens() -> None:
    """K held 1 long, E 1 short."""
    story = Story()
    buy(story)
    adopt(story, held(side=SHORT))
    assert {("POSITION_OPENED", "SHORT", "adopted", "0"), ("CLOSED", "LONG", "adopted", None)} == {
        brief(event) for event in told(story)[1:]
    }


# ---- forced closes ----------------------------------------------------------------------------------------------------


def test_a_liquidation_is_named_and_its_profit_is_never_guessed() -> None:
    """Until the wallet or a row tells it the profit is null; the row's amount then counts once."""
    story = Story()
    buy(story, last=("1", "100"))
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    story.pass_s(5)
    order_id = story.order(
        side=SELL, z="1", ap="90.00000000", fee="0.045", rp="-10", kind="LIQUIDATION", last=("1", "90")
    )
    first = told(story)[-1]
    assert ("CLOSED", "LONG", "liquidation") == brief(first)[:3]
    assert first["pnl"] is None
    row = story.income_row("9", "INSURANCE_CLEAR", "-10.5", symbol="BTC-USDT")
    story.account("989.405")
    fill = story.fill_row(order_id, "1", "90", "0.045", side=SELL, rp="-10")
    audit(story, "989.405", fills=(fill,), incomes=(row,), after_s=200)
    (closed,) = current(story)
    assert ("-10.595", "liquidation") == (closed["pnl"], closed["metadata"]["ended_by"])
    assert D("-10.595") == story.projection.state.trades.ended
    assert D("-10.5") == story.projection.state.trades.forced


def test_an_order_of_the_forced_list_is_named_by_it() -> None:
    """The exchange lists it as an ADL."""
    story = Story()
    buy(story, last=("1", "100"))
    story.pass_s(5)
    order_id = story.new_order()
    story.executed(order_id, "1", ap="110", side=SELL, question=Question.FORCED_ORDERS, forced="ADL", rp="10")
    assert "adl" == told(story)[-1]["reason"]


# ---- the bot's names --------------------------------------------------------------------------------------------------


def test_the_bots_name_is_taken_where_it_gave_one() -> None:
    """Its slot was there before the fill."""
    story = Story()
    say(story, slot(fsm_state="ENTRY_WORKING"))
    buy(story)
    sell(story)
    assert ["t1", "t1"] == [event["trade_id"] for event in told(story)]


def test_a_name_that_comes_late_is_that_of_the_end() -> None:
    """The slot came after the fill and is closed before the end; our own name stands in the metadata of both."""
    story = Story()
    buy(story)
    say(story, slot(asset="BTCUSDT"))
    say(story, slot(closed=True, fsm_state="CLOSED"))
    sell(story)
    say(story)
    opened, closed = told(story)
    assert (opened["metadata"]["trade"], "t1") == (opened["trade_id"], closed["trade_id"])
    assert opened["metadata"]["trade"] == closed["metadata"]["trade"]


def test_a_slot_of_the_trade_before_names_nothing() -> None:
    """The bot has not heard of the end yet: the next trade is not the last one."""
    story = Story()
    say(story, slot())
    buy(story)
    sell(story)
    buy(story)
    assert "t1" != told(story)[-1]["trade_id"]
    say(story, slot(trade_id="t2"))
    sell(story)
    assert "t2" == told(story)[-1]["trade_id"]


@pytest.mark.parametrize("other", [{"side": "SHORT"}, {"asset": "ETH-USDT"}, {"trade_id": ""}, {"closed": True}])
def test_another_slot_names_nothing(other: dict[str, Any]) -> None:
    """Its symbol, side and state must be the trade's."""
    story = Story()
    say(story, slot(**other))
    buy(story)
    assert "BTC-USDT:LONG:6" == told(story)[-1]["trade_id"]


# ---- the same everywhere ----------------------------------------------------------------------------------------------


def test_a_replay_and_a_checkpoint_tell_the_same() -> None:
    """Folded again, and from every checkpoint, the records are the same bytes."""
    story = one_way()
    say(story, slot())
    for figures in made_up([(2, True), (1, False), (3, False), (2, True), (1, True)], hedge=False):
        story.pass_s(1)
        story.order(**figures)
    assert lines_told(story) == lines_of(story.events)
    for cut in range(5, len(story.events)):
        fold = Projection("main")
        lines_of(story.events[:cut], fold)
        restored = Projection.restored("main", fold.checkpoint())
        rest = lines_of(story.events[cut:], restored)
        assert lines_told(story)[-len(rest) :] == rest
        assert state_bytes(restored) == state_bytes(story.projection)


def test_other_margin_assets_have_no_events() -> None:
    """A USDC-margined symbol is no position of this ledger."""
    story = Story(symbols=("BTC-USDC",))
    buy(story, symbol="BTC-USDC")
    assert [] == told(story)


def test_a_mode_that_is_told_by_the_terms_keeps_the_trade() -> None:
    """The account was switched to one-way while flat on one side."""
    story = Story()
    buy(story, last=("1", "100"))
    story.tell(Terms(hedge_mode=False, fee_rates=(), contracts=(), leverages=(), notes=()))
    story.order(ps=BOTH, side=SELL, z="1", ap="110.00000000", fee="0.055", rp="10", last=("1", "110"))
    assert ["9.895"] == [event["pnl"] for event in current(story)]
