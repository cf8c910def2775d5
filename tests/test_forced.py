"""Forced closes: told by frames, by income rows, by both or by neither, their money is counted once.

All payloads are synthetic: nobody has captured a liquidation.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from ditad.closes import assign, followed, told_once
from ditad.events import OrderStatus, PositionSide, Question, Side, StreamChanged, StreamState
from ditad.incomes import IncomeFact, IncomeKind
from ditad.orders import ForcedClose, Order, Piece
from tests.support.reading import at, audit
from tests.support.story import Story

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
FLAT = ("BTC-USDT", LONG, "0", "0")
D = Decimal


def current(story: Story, kind: str) -> list[dict[str, Any]]:
    """Give the fills (or incomes) that no later record replaces."""
    found = [record for record in story.records if record["type"] == kind]
    gone = {seq for record in found for seq in at(record, kind).get("replaces", [])}
    return [at(record, kind) for record in found if record["seq"] not in gone]


def holding(*quantities: str, **figures: Any) -> Story:
    """Begin with LONG positions at 100, of BTC first, a while after the baseline."""
    rows = zip(quantities or ("1",), ("BTC-USDT", "ETH-USDT"), strict=False)
    row = Story(baseline=False).position_row
    story = Story(
        positions=tuple(row(quantity, "100", symbol=symbol) for quantity, symbol in rows),
        symbols=("BTC-USDT", "ETH-USDT"),
        **figures,
    )
    story.pass_s(100)
    return story


def frame(story: Story, order_id: str | None = None, **figures: Any) -> str:
    """Tell a liquidation of 1 at 90 that states a profit of −10, some figures changed."""
    told = {"side": Side.SELL, "z": "1", "ap": "90.00000000", "fee": "0.045", "rp": "-10", "kind": "LIQUIDATION"}
    return story.order(order_id, **{**told, **figures})


def money(story: Story) -> tuple[object, ...]:
    """Give capital, realised profit, other income, how many amounts are unknown, and the status."""
    names = ("capital_raw", "realized_pnl", "other_income")
    return (*(story.k[name] for name in names), len(at(story.snap, "k.unknown")), story.status)


# ---- by which road it is told -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True], ids=["frame first", "wallet first"])
def test_told_by_its_frame_the_wallet_confirms_the_profit(*, turned: bool) -> None:
    """Until the wallet moves by it the stated profit is unknown; then it is realised profit."""
    story = holding()
    if turned:
        story.account("989.955", FLAT)
    frame(story)
    if not turned:
        assert ("999.955", "0", "0", 1, "UNKNOWN") == money(story)
        story.account("989.955", FLAT)
    assert ("989.955", "-10", "0", 0, "OK") == money(story)
    assert ["-10"] == [fill["realized_pnl"] for fill in current(story, "fill")]


ROADS = list(itertools.permutations(["frame", "wallet", "row"]))


@pytest.mark.parametrize("road", ROADS, ids=["-".join(road) for road in ROADS])
@pytest.mark.parametrize("kind", ["INSURANCE_CLEAR", "ADL"])
def test_told_by_frame_and_row_it_is_counted_once(road: tuple[str, ...], kind: str) -> None:
    """In any order: 10 lost, booked as other income because a row exists, and nothing twice in the lists."""
    story = holding()
    order_id = story.new_order()
    for step in road:
        match step:
            case "frame":
                frame(story, order_id, kind="LIQUIDATION" if kind != "ADL" else "ADL")
            case "wallet":
                story.account("989.955", FLAT)
            case _:
                story.income(story.income_row("1", kind, "-10", symbol="BTC-USDT"))
    assert ("989.955", "0", "-10", 0, "OK") == money(story)
    assert (["0"], ["-10"]) == (
        [fill["realized_pnl"] for fill in current(story, "fill")],
        [income["amount"] for income in current(story, "income")],
    )


def test_told_by_rest_and_row_alone_the_position_closes_by_the_list_of_forced_orders() -> None:
    """No frame and no row of a fill history yet: the order's executed quantity and average price prove the fill."""
    story = holding()
    story.account("989.955", FLAT)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-10", symbol="BTC-USDT"))
    order_id = story.new_order()
    listed: dict[str, Any] = {"side": Side.SELL, "question": Question.FORCED_ORDERS, "forced": "LIQUIDATION"}
    story.executed(order_id, "1", ap="90.00000000", **listed)
    assert (0, "0", []) == (
        story.k["open_positions"],
        story.delta("position_qty:BTC-USDT:LONG"),
        at(story.snap, "coverage.gaps"),
    )
    assert [order_id] == [need.order_id for need in story.projection.needs().orders]
    story.fills(story.fill_row(order_id, "1", "90", "0.045", rp="-10", side=Side.SELL, trade_id="7"))
    assert ("989.955", "0", "-10", 0, "OK") == money(story)


@pytest.mark.parametrize("told", ["0", None], ids=["nothing executed", "no average price"])
def test_a_forced_order_without_a_price_proves_no_fill(told: str | None) -> None:
    """It is known, and asked about; with nothing executed there is nothing to know."""
    story = holding()
    order_id = frame(story, z="0", status=OrderStatus.NEW)
    listed: dict[str, Any] = {"question": Question.FORCED_ORDERS, "forced": "LIQUIDATION", "side": Side.SELL}
    story.executed(order_id, told or "1", ap=None if told is None else "90.0", **listed)
    assert ([], 1) == (current(story, "fill"), story.k["open_positions"])


def test_a_frame_is_better_than_the_list_of_forced_orders() -> None:
    """What the frame told stands; the list adds nothing to it."""
    story = holding()
    order_id = frame(story)
    story.account("989.955", FLAT)
    listed: dict[str, Any] = {"side": Side.SELL, "question": Question.FORCED_ORDERS, "forced": "LIQUIDATION"}
    story.executed(order_id, "1", ap="91.00000000", **listed)
    assert ("OK", ["90"], ["ORDER_TRADE_UPDATE"]) == (
        story.status,
        [fill["price"] for fill in current(story, "fill")],
        current(story, "fill")[0]["sources"],
    )


def test_told_by_nobody_it_is_an_error_and_nothing_is_invented() -> None:
    """K holds a position that E has not, and 10 that the wallet has not: confirmed by questions, and said so."""
    story = holding()
    story.account("989.955", FLAT)
    for _ in range(3):
        audit(story, "989.955")
    assert ("1000", "0", "0", 0, "ERROR") == money(story)
    assert ("1", "10.045") == (story.delta("position_qty:BTC-USDT:LONG"), story.delta("capital_vs_wallet"))


def test_a_close_in_another_asset_is_kept_as_it_was_stated() -> None:
    """No wallet of that asset is stated here: nothing could confirm it."""
    story = holding()
    frame(story, symbol="BTC-USDC", last=("1", "90"))
    assert ([], ["-10"], D("-10.045")) == (
        story.projection.state.forced,
        [fill["realized_pnl"] for fill in current(story, "fill")],
        story.projection.state.other_assets["USDC"],
    )


def test_a_row_of_no_forced_order_is_other_income_of_its_own() -> None:
    """Of another symbol, or minutes apart, it restates nothing that is known here."""
    story = holding()
    frame(story)
    story.account("989.955", FLAT)
    story.income(
        story.income_row("1", "INSURANCE_CLEAR", "-3", symbol="ETH-USDT"),
        story.income_row("2", "INSURANCE_CLEAR", "-4", symbol="BTC-USDT", at_ms=story.ms - 60_000),
        story.income_row("3", "SYSTEM_DEDUCTION", "-5", symbol="BTC-USDT"),
    )
    assert ("977.955", "-10", "-12") == money(story)[:3]


def test_a_push_of_its_own_tells_it_as_a_row_does() -> None:
    """INSURANCE_CLEAR by an account push and `rp` by the order's frame are one loss; the row then identifies it."""
    story = holding()
    story.account("990", FLAT, reason="INSURANCE_CLEAR", change="-10")
    frame(story)
    story.account("989.955")
    assert ("989.955", "0", "-10", 0, "OK") == money(story)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-10", symbol="BTC-USDT"))
    assert ("989.955", "0", "-10", 0, "OK") == money(story)


def test_a_market_order_that_turns_out_to_be_forced_is_joined_with_its_row() -> None:
    """Its frame did not say so; the list of forced orders does."""
    story = holding()
    order_id = frame(story, kind="MARKET")
    story.account("989.955", FLAT)
    story.income(story.income_row("1", "ADL", "-10", symbol="BTC-USDT"))
    assert "979.955" == story.k["capital_raw"]
    listed: dict[str, Any] = {"side": Side.SELL, "question": Question.FORCED_ORDERS, "forced": "ADL"}
    story.executed(order_id, "1", ap="90.00000000", **listed)
    assert ("989.955", "0", "-10", 0, "OK") == money(story)


# ---- which one the wallet followed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wallet", "profit", "decided"),
    [("989.955", "-10", "rp"), ("991.955", "-8", "row")],
    ids=["the wallet follows rp", "the wallet follows the row"],
)
@pytest.mark.parametrize("road", ROADS, ids=["-".join(road) for road in ROADS])
def test_where_rp_and_row_differ_the_wallet_decides(
    road: tuple[str, ...], wallet: str, profit: str, decided: str
) -> None:
    """Stated −10, the row says −8: what the wallet moved by counts; journaled once all rows must have come."""
    story = holding()
    order_id = story.new_order()
    for step in road:
        match step:
            case "frame":
                frame(story, order_id)
            case "wallet":
                story.account(wallet, FLAT)
            case _:
                story.income(story.income_row("1", "INSURANCE_CLEAR", "-8", symbol="BTC-USDT"))
    assert (wallet, "0", profit, 0, "OK", {}) == (*money(story), story.projection.state.decisions)
    audit(story, wallet, symbols=("BTC-USDT", "ETH-USDT"), after_s=300)
    assert (wallet, "0", profit, 0, "OK", decided) == (
        *money(story),
        story.projection.state.decisions.get("forced_close"),
    )
    assert [profit] == [income["amount"] for income in current(story, "income")]


@pytest.mark.parametrize(("wallet", "profit"), [("989.955", "-20"), ("991.955", "-16")], ids=["rp", "row"])
def test_what_was_decided_counts_where_the_wallet_cannot_tell(wallet: str, profit: str) -> None:
    """The second close is told while the wallet is away from K by something else."""
    story = holding("1", "1")
    frame(story)
    story.account(wallet, FLAT)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-8", symbol="BTC-USDT"))
    audit(
        story, wallet, story.position_row("1", "100", symbol="ETH-USDT"), symbols=("BTC-USDT", "ETH-USDT"), after_s=300
    )
    story.account("900")
    frame(story, symbol="ETH-USDT")
    story.income(story.income_row("2", "INSURANCE_CLEAR", "-8", symbol="ETH-USDT"))
    assert profit == story.k["other_income"]


def test_before_anything_is_decided_the_row_counts() -> None:
    """The wallet equals neither: a row is what the exchange has booked."""
    story = holding()
    story.account("900")
    frame(story)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-8", symbol="BTC-USDT"))
    assert ("-8", 0) == (story.k["other_income"], money(story)[3])


def test_what_the_wallet_told_once_stays_while_it_moves_on() -> None:
    """A later difference that is nobody's business here does not turn the choice around."""
    story = holding()
    frame(story)
    story.account("989.955", FLAT)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-8", symbol="BTC-USDT"))
    story.account("900")
    assert ("989.955", "-10") == (story.k["capital_raw"], story.k["other_income"])


def test_rows_of_each_execution_are_joined_by_their_sum() -> None:
    """The first of two rows alone is no proof of what the wallet follows; together they are what was stated."""
    story = holding()
    frame(story)
    story.account("989.955", FLAT)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-4", symbol="BTC-USDT"))
    half = money(story)
    story.income(story.income_row("2", "INSURANCE_CLEAR", "-6", symbol="BTC-USDT"))
    assert [("989.955", "0", "-10", 0, "OK")] * 2 == [half, money(story)]
    assert ["-4", "-6"] == sorted(income["amount"] for income in current(story, "income"))


def test_a_row_that_turns_out_to_be_anothers_is_given_back() -> None:
    """The second close's row came before its frame: it completes what that states, and the first is told by the wallet."""
    story = holding("2")
    frame(story)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-7", symbol="BTC-USDT"))
    assert ("-7", 0) == (story.k["other_income"], len(at(story.snap, "k.unknown")))
    frame(story, rp="-7", ap="93.00000000", fee="0.0465")
    assert ("0", "-7", 1) == money(story)[1:4]
    story.account("982.9085", FLAT)
    assert ("982.9085", "-10", "-7", 0, "OK") == money(story)


# ---- what the wallet alone tells --------------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True], ids=["frame first", "wallet first"])
def test_a_single_close_costs_what_the_wallet_moved_by(*, turned: bool) -> None:
    """The statement before equalled K and nothing else is on its way: the movement is the profit, less the fee."""
    story = holding()
    if turned:
        story.account("992.955", FLAT)
    frame(story)
    if not turned:
        story.account("992.955", FLAT)
    assert ("992.955", "-7", "0", 0, "OK") == money(story)
    assert ["-7"] == [fill["realized_pnl"] for fill in current(story, "fill")]


def test_a_close_whose_frame_states_no_profit_is_asked_about() -> None:
    """Its row states it, and the wallet that moved by it before confirms it."""
    story = holding()
    order_id = frame(story, rp=None)
    story.account("989.955", FLAT)
    assert ("0", 1) == (story.k["realized_pnl"], len(story.projection.needs().orders))
    story.executed(order_id, "1", side=Side.SELL)
    story.fills(story.fill_row(order_id, "1", "90", "0.045", rp="-10", side=Side.SELL), order_id=order_id)
    assert ("989.955", "-10", "0", 0) == money(story)[:4]


@pytest.mark.parametrize("lacks", ["a gap", "a fee", "another amount", "agreement", "a push", "a single close"])
def test_the_wallet_tells_nothing_unless_all_else_is_known(lacks: str) -> None:
    """Its movement may be anything's then: the profit stays unknown."""
    story = holding("1", "1")
    told: dict[str, Any] = {}
    match lacks:
        case "a gap":
            story.tell(StreamChanged(state=StreamState.LOST, detail="x", at_ms=None))
        case "a fee":
            told = {"fee": None}
        case "another amount":
            story.order(z="1", ap="100.00000000", fee=None)
        case "agreement":
            story.order(z="1", ap="100.00000000", fee="0.05")
        case "a single close":
            frame(story, symbol="ETH-USDT")
    frame(story, **told)
    if lacks == "a push":
        story.balance("992.955")
    else:
        story.account("992.955", FLAT)
    assert "0" == story.k["realized_pnl"]
    assert 1 <= len(at(story.snap, "k.unknown"))


def test_several_closes_of_one_moment_are_told_by_their_sum() -> None:
    """The wallet equals K with both and with neither alone."""
    story = holding("1", "1")
    frame(story)
    frame(story, symbol="ETH-USDT", rp="-30", ap="70.00000000", fee="0.035")
    story.account("959.92", FLAT, ("ETH-USDT", LONG, "0", "0"))
    assert ("959.92", "-40", "0", 0, "OK") == money(story)


def test_of_equal_closes_the_wallet_does_not_say_which() -> None:
    """It moved by one of two equal losses: K would equal it with either, so neither counts yet."""
    story = holding("1", "1")
    frame(story)
    frame(story, symbol="ETH-USDT")
    story.account("989.91", FLAT)
    assert ("0", "0", 2) == money(story)[1:4]
    story.account("979.91", ("ETH-USDT", LONG, "0", "0"))
    assert ("979.91", "-20", "0", 0, "OK") == money(story)


def test_a_movement_that_holds_untold_funding_too_tells_neither() -> None:
    """One statement after both: how much of it is the close's nobody knows."""
    story = holding()
    frame(story)
    story.account("989.555", FLAT, reason="FUNDING_FEE")
    assert ("0", "0", 2) == money(story)[1:4]


@pytest.mark.parametrize(("fee", "wallet"), [("0.045", "979.91"), ("0", "979.955")], ids=["with a fee", "without"])
def test_a_close_in_parts_is_told_part_by_part(fee: str, wallet: str) -> None:
    """What the wallet confirmed of the first stays known while the second is not."""
    story = holding("2", partial_amounts="per_fill")
    order_id = frame(story, q="2", status=OrderStatus.PARTIALLY_FILLED)
    story.account("989.955", ("BTC-USDT", LONG, "1", "100"))
    told = [fill["realized_pnl"] for fill in current(story, "fill")]
    frame(story, order_id, z="2", ap="90.00000000", fee=fee, last=("1", "90"))
    assert (["-10"], ["-10", None]) == (told, [fill["realized_pnl"] for fill in current(story, "fill")])
    story.account(wallet, FLAT)
    assert (wallet, "-20", "0", 0, "OK") == money(story)


def test_a_profit_that_was_read_off_the_wallet_gives_way_to_the_stated_one() -> None:
    """The movement held something else too, which came late: K equals the wallet with what was stated, and not without."""
    story = holding()
    frame(story)
    story.account("989.905", FLAT, ("BTC-USDT", LONG, "1", "100"))
    assert "-10.05" == story.k["realized_pnl"]
    story.order(z="1", ap="100.00000000", fee="0.05")
    assert ("989.905", "-10", "0", 0) == money(story)[:4]


def test_a_stated_profit_of_nothing_is_confirmed_by_the_fee_alone() -> None:
    """The wallet moved by the fee, and nothing else was stated."""
    story = holding()
    frame(story, rp="0")
    story.account("999.955", FLAT)
    assert ("999.955", "0", "0", 0, "OK") == money(story)


# ---- long after -------------------------------------------------------------------------------------------------------


def test_a_stated_profit_of_nothing_is_taken_once_a_row_of_it_must_have_come() -> None:
    """The wallet is 5 short by something else, and so proves nothing; what is nothing has no row."""
    story = holding()
    story.balance("995")
    frame(story, ap="100.00000000", fee="0.05", rp="0")
    assert 1 == len(at(story.snap, "k.unknown"))
    audit(story, "994.95", after_s=300, symbols=("BTC-USDT", "ETH-USDT"))
    assert ("999.95", "0", "0", 0) == money(story)[:-1]


def test_a_close_that_is_told_is_let_go_and_its_row_is_nobody_elses() -> None:
    """Its order is put away with its rows past; another close of the symbol cannot take them."""
    story = holding()
    frame(story)
    story.account("989.955", FLAT)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-8", symbol="BTC-USDT"))
    for _ in range(3):
        audit(story, "989.955", symbols=("BTC-USDT", "ETH-USDT"), after_s=500)
    state = story.projection.state
    assert ([], ["tran:1"], {}) == (state.forced, state.forced_rows, state.orders)
    audit(story, "989.955", symbols=("BTC-USDT", "ETH-USDT"), after_s=90_000)
    assert ([], "989.955", "-10") == (state.forced_rows, story.k["capital_raw"], story.k["other_income"])


@pytest.mark.parametrize(
    ("after_s", "profit"), [(500, "-10"), (90_000, "-8")], ids=["the wallet's word comes", "it came too late"]
)
def test_a_close_of_two_profits_waits_for_the_wallets_word_for_a_day(after_s: int, profit: str) -> None:
    """Stated −10, the row says −8; the wallet is 3 away by something else, of which a row tells at last."""
    story = holding()
    frame(story)
    story.account("986.955", FLAT)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-8", symbol="BTC-USDT"))
    for _ in range(3):
        audit(story, "986.955", symbols=("BTC-USDT", "ETH-USDT"), after_s=after_s)
    story.income(story.income_row("2", "TRANSFER", "-3"))
    story.balance("986.955")
    assert {"1": profit, "2": "-3"} == {income["tran_id"]: income["amount"] for income in current(story, "income")}


def test_the_book_hears_what_a_close_states_whatever_counts() -> None:
    """Its row tells other money; the stated profit is what tells its place among fills of one second."""
    story = holding()
    frame(story)
    story.account("991.955", FLAT)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-8", symbol="BTC-USDT"))
    (close,) = story.projection.state.positions["BTC-USDT:LONG"].fills
    assert ("0", "-8", D(-10), False) == (
        story.k["realized_pnl"],
        story.k["other_income"],
        close.stated_pnl,
        close.compared,
    )


def test_the_rows_of_a_close_are_kept_while_it_is() -> None:
    """Income was asked about long after, fills were not: the close is not let go yet, and its rows still tell it."""
    story = holding()
    frame(story)
    story.account("989.955", FLAT)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-8", symbol="BTC-USDT"))
    for _ in range(3):
        story.pass_s(90_000)
        asked_us = story.us
        story.balance("989.955")
        story.positions()
        story.failed(Question.FILLS)
        story.income()
        story.audit_done(asked_us=asked_us, failed=("fills",))
    assert ("989.955", "0", "-10", 0) == money(story)[:4]


def test_a_close_whose_profit_nobody_told_is_kept() -> None:
    """However long ago: a row or the wallet may still tell it."""
    story = holding()
    order_id = frame(story)
    for _ in range(3):
        audit(story, "1000", symbols=("BTC-USDT", "ETH-USDT"), after_s=500)
    assert [order_id] == list(story.projection.state.orders)


def test_the_row_of_a_close_that_was_let_go_is_not_taken_by_the_next() -> None:
    """The row was late and the next close is near it: it stays with the first, which it was joined to."""
    story = holding("2")
    frame(story)
    story.account("989.955", ("BTC-USDT", LONG, "1", "100"))
    story.pass_s(50)
    frame(story)
    story.account("979.91", FLAT)
    story.pass_s(5)
    story.income(story.income_row("1", "INSURANCE_CLEAR", "-8", symbol="BTC-USDT"))
    audit(story, "979.91", symbols=("BTC-USDT", "ETH-USDT"), after_s=570)
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    state = story.projection.state
    assert (1, ["tran:1"]) == (len(state.forced), state.forced_rows)
    assert ("979.91", "-10", "-10", 0, "OK") == money(story)


# ---- joining, by values -----------------------------------------------------------------------------------------------


def piece(z0: str, z1: str, rp: str | None, *, at_ms: int = 0, trade_id: str = "") -> Piece:
    """Make a piece that states a profit."""
    return Piece(
        z0=D(z0),
        z1=D(z1),
        quote=D(90),
        quote_slack=D(0),
        fee=D(0),
        fee_slack=D(0),
        fee_asset=None,
        realized_pnl=None if rp is None else D(rp),
        realized_slack=D(0),
        single=True,
        trade_ids=(trade_id,) if trade_id else (),
        at_ms=at_ms,
        whole_second=False,
        sources=(),
    )


def closing(order_id: str, *pieces: Piece, symbol: str = "BTC-USDT") -> Order:
    """Make a forced order of these pieces."""
    order = Order(
        order_id=order_id,
        symbol=symbol,
        side=Side.SELL,
        position_side=LONG,
        order_type="LIQUIDATION",
        status=OrderStatus.FILLED,
        pieces=list(pieces),
        close=ForcedClose(),
    )
    assert order.close is not None
    told_once(order.close, pieces)
    return order


def income(
    key: str, amount: str, *, at_ms: int = 0, trade_id: str | None = None, symbol: str | None = "BTC-USDT"
) -> IncomeFact:
    """Make what income tells of a forced close."""
    return IncomeFact(
        key=key,
        kind=IncomeKind.OTHER,
        name="INSURANCE_CLEAR",
        amount=D(amount),
        asset="USDT",
        symbol=symbol,
        tran_id=key,
        at_ms=at_ms,
        provisional=False,
        sources=("income",),
        trade_id=trade_id,
    )


def homes(orders: list[Order], *facts: IncomeFact) -> list[list[str]]:
    """Give the keys of the facts that each order is assigned."""
    found = assign(orders, facts)
    return [[fact.key for fact in found[order.order_id]] for order in orders]


def test_an_income_belongs_to_the_order_of_its_trade() -> None:
    """Whatever the sums say."""
    orders = [closing("1", piece("0", "1", "-5", trade_id="a")), closing("2", piece("0", "1", "-7", trade_id="b"))]
    assert [["y"], ["x"]] == homes(orders, income("x", "-5", trade_id="b"), income("y", "-7", trade_id="a"))


def test_without_a_trade_id_the_stated_sum_tells_the_order() -> None:
    """Of two closes of one symbol each row goes where it completes what was stated, else to one that has none."""
    orders = [closing("1", piece("0", "1", "-5")), closing("2", piece("0", "1", "-7"))]
    assert [["y"], ["x"]] == homes(orders, income("x", "-7"), income("y", "-5"))
    assert [["x"], ["y"]] == homes(orders, income("x", "-1"), income("y", "-2"))
    assert [["x", "z"], ["y"]] == homes(orders, income("x", "-1"), income("y", "-2"), income("z", "-3"))


def test_an_income_is_of_the_close_of_its_own_second() -> None:
    """A row for each execution of two closes within two minutes: the first one has its rows, however near they are."""
    orders = [
        closing("1", piece("0", "1", "3", at_ms=25_159)),
        closing("2", piece("0", "1", "-5", at_ms=103_935), piece("1", "2", "-2", at_ms=103_938)),
    ]
    late = [income(key, amount, at_ms=103_000) for key, amount in (("p", "-3"), ("q", "-2"), ("r", "-2"))]
    early = [income(key, amount, at_ms=25_000) for key, amount in (("x", "1"), ("y", "2"))]
    assert [["x", "y"], ["p", "q", "r"]] == homes(orders, *early, *late)
    assert [[], ["p", "q", "r"]] == homes(orders, *late), "though nothing is told of the first one yet"


def test_an_income_of_no_closes_second_is_of_the_one_whose_sum_is_not_there_yet() -> None:
    """What is all told has no further row."""
    orders = [closing("1", piece("0", "1", "-3")), closing("2", piece("0", "1", "-9"))]
    rows = [income(key, amount, at_ms=9_000) for key, amount in (("x", "-3"), ("y", "-1"), ("z", "-2"))]
    assert [["x"], ["y", "z"]] == homes(orders, *rows)


@pytest.mark.parametrize(("at_ms", "near"), [(-1_001, False), (-1_000, True), (120_000, True), (120_001, False)])
def test_an_income_is_stamped_near_the_close(at_ms: int, *, near: bool) -> None:
    """A second before it (stamps are whole seconds) to two minutes after it."""
    assert [["x"] if near else []] == homes([closing("1", piece("0", "1", "-5"))], income("x", "-5", at_ms=at_ms))


@pytest.mark.parametrize("symbol", ["ETH-USDT", None])
def test_an_income_of_another_symbol_or_none_is_a_happening_of_its_own(symbol: str | None) -> None:
    """A deduction from the account as a whole restates no order."""
    assert [[]] == homes([closing("1", piece("0", "1", "-5"))], income("x", "-5", symbol=symbol))


def test_an_order_of_which_nothing_executed_has_no_income() -> None:
    """There is nothing to restate."""
    assert [[]] == homes([closing("1")], income("x", "-5"))


def test_what_was_followed_is_told_by_the_last_income() -> None:
    """Two rows make −8 where the wallet followed −10: the last one counts the difference; nothing where they agree."""
    rows = [income("x", "-3"), income("y", "-5")]
    assert ({"y": D(-7)}, {}) == (followed(rows, D(-10)), followed(rows, D(-8)))


def test_a_told_profit_lies_on_the_pieces_as_they_state_it() -> None:
    """What differs is the last one's; a piece beyond what is told is unknown."""
    close = ForcedClose(profit=D(-9), through=D(2))
    pieces = [piece("0", "1", "-5"), piece("1", "2", None), piece("2", "3", "-1")]
    assert [D(-5), D(-4), None] == [one.realized_pnl for one in told_once(close, pieces)]
    assert (None, D(3)) == (close.stated, close.reached)
