"""Who is wrong and because of what: each cause named with its evidence, what nobody knows called unexplained.

All payloads are synthetic.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditad.attribution import attribute, searched
from ditad.candidates import STEP, Candidate
from ditad.causes import Attribution, Cause, Move
from ditad.events import FillRow, LeveragePush, Mark, Marks, OrderStatus, PositionRow, PositionSide, Question, Side
from ditad.moves import hear_change
from ditad.reconcile import Finding, ReconcileStatus
from ditad.state import Divergence, Untold
from ditad.turn import Turn
from ditad.witnesses import FEE, PROFIT, Witness
from tests.support.reading import audit
from tests.support.story import Story

LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH
D = Decimal


def row(qty: str = "1", entry: str = "100", **figures: Any) -> PositionRow:
    """Make a row of a positions report."""
    return Story(baseline=False).position_row(qty, entry, **figures)


def buy(story: Story, order_id: str | None = None, **figures: Any) -> str:
    """Tell a filled market order of 1 at 100 with a fee of 0.05, some figures changed."""
    told = {"z": "1", "ap": "100.00000000", "fee": "0.05", "last": ("1", "100")}
    return story.order(order_id, **{**told, **figures})


def agree(story: Story, qty: str, wallet: str | None = None) -> None:
    """Tell an account frame with this much LONG, and K's wallet unless another is given."""
    story.account(wallet or str(story.k["capital_raw"]), ("BTC-USDT", LONG, qty, "100"))


def last(story: Story, field: str) -> dict[str, Any]:
    """Give the last record about a field's divergence."""
    return [body for body in story.of_type("divergence") if body["field"] == field][-1]


def causes(story: Story, field: str) -> list[tuple[Any, ...]]:
    """Give cause, amount and exactness of a field's last attribution."""
    return [(one["cause"], one["amount"], one.get("exact")) for one in last(story, field)["attribution"]]


def divergence(rule: str, delta: Decimal, **figures: Any) -> Divergence:
    """Make a confirmed divergence as the search reads it."""
    figures = {"field": "", "symbol": None, "side": None, "k": D(0), "e": -delta, **figures}
    return Divergence(
        id="div-1",
        rule=rule,
        delta=delta,
        tolerance=D(0),
        klass="MISMATCH",
        severity="ERROR",
        first_seq=1,
        first_us=0,
        last_seq=1,
        **figures,
    )


def after(story: Story, wallet: str, *positions: PositionRow, **told: Any) -> None:
    """Let the settle window end and tell a round in which wallet and positions read like this."""
    story.tick()
    audit(story, wallet, *positions, **told)


# ---- nothing explains it ----------------------------------------------------------------------------------------------


def test_a_change_without_a_cause_is_unexplained_and_says_what_was_tried() -> None:
    """No candidate at all, and with candidates that are not it."""
    story = Story()
    story.account("995")
    after(story, "995")
    assert [("unexplained", "5", None)] == causes(story, "capital_vs_wallet")
    assert ["no fact was found that could explain it"] == last(story, "capital_vs_wallet")["attribution"][0]["tried"]
    buy(story, order_id := story.new_order())
    assert order_id
    story.account("1000", ("BTC-USDT", LONG, "1", "100"))
    tried = last(story, "capital_vs_wallet")["attribution"][0]
    assert "unexplained" == tried["cause"] or tried["ids"]


def test_a_divergence_that_heals_for_no_reason_says_what_moved() -> None:
    """E goes back to what K has: the statement is what healed it."""
    story = Story()
    story.account("995")
    story.tick()
    story.account("1000")
    assert [("statement", "-5", True)] == causes(story, "capital_vs_wallet")


# ---- what K lacks, healed by hearing it -------------------------------------------------------------------------------


def test_a_transfer_that_no_push_told_is_named_when_its_row_heals() -> None:
    """The row's tranId is the evidence."""
    story = Story()
    story.pass_s(200)
    story.account("1007")
    after(story, "1007", incomes=(story.income_row("77", "TRANSFER", "7"),))
    assert [("transfer", "7", True)] == causes(story, "capital_vs_wallet")
    assert ["transfer:77"] == last(story, "capital_vs_wallet")["attribution"][0]["ids"]
    assert "OK" == story.status


def test_funding_and_a_transfer_together_are_both_named() -> None:
    """Two rows of one answer, each with its own part."""
    story = Story(positions=(row(),))
    story.pass_s(200)
    story.account("1006.5")
    rows = (story.income_row("1", "FUNDING_FEE", "-0.5"), story.income_row("2", "TRANSFER", "7"))
    after(story, "1006.5", row(), incomes=rows)
    assert {("funding", "-0.5", True), ("transfer", "7", True)} == set(causes(story, "capital_vs_wallet"))


def test_a_fill_that_no_push_told_is_an_uncovered_interval() -> None:
    """Both the wallet and the position say which interval of which order it was."""
    story = Story()
    story.pass_s(200)
    order_id = story.new_order()
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    told = (story.fill_row(order_id, "1", "100", "0.05"),)
    after(story, "999.95", row(), fills=told)
    story.executed(order_id, "1")
    for field, amount in (("capital_vs_wallet", "-0.05"), ("position_qty:BTC-USDT:LONG", "1")):
        assert [("uncovered_interval", amount, True)] == causes(story, field)
        assert [f"order:{order_id}:(0, 1]"] == last(story, field)["attribution"][0]["ids"]
    assert ("uncovered_interval", "1", True) in causes(story, "open_positions")


def test_what_two_answers_brought_is_added_up() -> None:
    """Fills of two symbols come in two reports: together they are the difference."""
    story = Story(symbols=("BTC-USDT", "ETH-USDT"))
    story.pass_s(200)
    first, second = story.new_order(), story.new_order()
    story.account("999.85", ("BTC-USDT", LONG, "1", "100"), ("ETH-USDT", LONG, "1", "100"))
    rows = (
        story.fill_row(first, "1", "100", "0.05"),
        story.fill_row(second, "1", "100", "0.1", symbol="ETH-USDT"),
    )
    after(story, "999.85", row(), row(symbol="ETH-USDT"), fills=rows, symbols=("BTC-USDT", "ETH-USDT"))
    for order_id in (first, second):
        story.executed(order_id, "1", symbol="BTC-USDT")
    assert {("uncovered_interval", "-0.05", True), ("uncovered_interval", "-0.1", True)} == set(
        causes(story, "capital_vs_wallet")
    )


def test_a_statement_that_came_late_is_what_healed() -> None:
    """The account push of a fill was lost: until a report comes E lacks it, and afterwards nothing is missing."""
    story = Story()
    story.pass_s(200)
    order_id = buy(story)
    after(story, "999.95", row(), fills=(story.fill_row(order_id, "1", "100", "0.05"),))
    assert [("statement", "-0.05", True)] == [one for one in causes(story, "capital_vs_wallet") if one[1] == "-0.05"]
    assert "OK" == story.status


# ---- what stays -------------------------------------------------------------------------------------------------------


def test_a_fill_that_no_row_confirms_is_one_too_many() -> None:
    """A forged frame: K has it in wallet and position, the exchange in neither, and no row tells it."""
    story = Story()
    story.pass_s(200)
    order_id = buy(story)
    after(story, "1000")
    assert "ERROR" == story.status
    for field, amount in (("capital_vs_wallet", "-0.05"), ("position_qty:BTC-USDT:LONG", "1")):
        assert [("extra_fill", amount, True)] == causes(story, field)
        assert [f"order:{order_id}:(0, 1]"] == last(story, field)["attribution"][0]["ids"]


def test_a_fill_that_rows_tell_is_not_stated_late_by_an_e_that_was_asked_later() -> None:
    """A part of a position is gone untold, and two ordinary buys happen to add up to it: reports came after them."""
    story = Story(positions=(row("2"),))
    story.pass_s(200)
    true = [buy(story), buy(story)]
    story.account("999.9", ("BTC-USDT", LONG, "2", "100"))
    rows = tuple(story.fill_row(order_id, "1", "100", "0.05") for order_id in true)
    after(story, "999.9", row("2"), fills=rows)
    audit(story, "999.9", row("2"), fills=rows)
    assert ["untold_close"] == [one[0] for one in causes(story, "position_qty:BTC-USDT:LONG")]


def test_of_two_equal_fills_the_one_that_no_row_confirms_is_too_many() -> None:
    """The true one came last and would make the same difference: it was not merely stated late."""
    story = Story()
    story.pass_s(200)
    forged, true = buy(story), buy(story)
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    after(story, "999.95", row(), fills=(story.fill_row(true, "1", "100", "0.05"),))
    for field, amount in (("capital_vs_wallet", "-0.05"), ("position_qty:BTC-USDT:LONG", "1")):
        assert [("extra_fill", amount, True)] == causes(story, field)
        assert [f"order:{forged}:(0, 1]"] == last(story, field)["attribution"][0]["ids"]


def test_a_push_of_money_that_e_never_states_is_named() -> None:
    """A deposit told by its push while the wallet stays."""
    story = Story()
    story.pass_s(200)
    story.account("1000", reason="DEPOSIT", change="5")
    after(story, "1000")
    assert [("transfer", "5", True)] == causes(story, "capital_vs_wallet")


def test_before_all_was_asked_a_fact_that_e_lacks_is_only_a_late_statement() -> None:
    """Absence proves nothing yet."""
    story = Story()
    story.pass_s(200)
    buy(story)
    agree(story, "1", "1000")
    story.tick()
    assert [("statement", "-0.05", True)] == causes(story, "capital_vs_wallet")


def test_a_fee_told_differently_by_push_and_row() -> None:
    """K keeps what it heard first and says by how much the row differs; the wallet moved by the true one."""
    story = Story()
    story.pass_s(200)
    order_id = buy(story, fee="0.15")
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    after(story, "999.95", row(), fills=(story.fill_row(order_id, "1", "100", "0.05"),))
    ((cause, amount, _),) = causes(story, "capital_vs_wallet")
    assert ("fee", "-0.1") == (cause, amount)
    ((cause, amount, _),) = causes(story, f"fill:{order_id}")
    assert ("fee", "-0.1") == (cause, amount)


def test_a_profit_told_differently_by_push_and_row() -> None:
    """As with fees; and a row that tells no fee is compared in what it tells."""
    story = Story(positions=(row("2"),))
    story.pass_s(200)
    order_id = buy(story, side=Side.SELL, rp="7")
    story.account("1004.95", ("BTC-USDT", LONG, "1", "100"))
    told = story.fill_row(order_id, "1", "100", "0.05", rp="5", side=Side.SELL)
    after(story, "1004.95", row(), fills=(FillRow(**{**_fields(told), "fee": None}),))
    assert ("fee", "2") == causes(story, f"fill:{order_id}")[0][:2]
    assert ("fee", "2") == causes(story, "capital_vs_wallet")[0][:2]


def test_a_contradiction_without_rows_says_what_was_told() -> None:
    """Two frames of one `z` with different fees: no row to compare with yet."""
    story = Story()
    story.pass_s(200)
    order_id = buy(story)
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    buy(story, order_id, fee="0.06")
    (found,) = last(story, f"fill:{order_id}")["attribution"]
    assert ("fee", "0.06" in found["evidence"]) == (found["cause"], True)


def test_a_seed_of_the_settings_is_named() -> None:
    """R1 shows it until somebody adopts."""
    story = Story(seed_capital=D(600))
    assert [("baseline", "-400", True)] == causes(story, "capital_vs_wallet")


def test_a_position_that_is_gone_untold_says_so_for_wallet_and_quantity() -> None:
    """No fill, no forced order, no row: only adopt ends it."""
    story = Story(positions=(row("2"),))
    story.pass_s(200)
    story.account("1010")
    after(story, "1010")
    after(story, "1010")
    assert "ERROR" == story.status
    for field in ("position_qty:BTC-USDT:LONG", "capital_vs_wallet", "open_positions"):
        assert ["untold_close"] == [one[0] for one in causes(story, field)]
    (found,) = last(story, "capital_vs_wallet")["attribution"]
    assert "about 105" in found["evidence"]


@pytest.mark.parametrize("wallet", ["1012", "700"])
def test_an_untold_close_at_a_price_nobody_believes_explains_no_wallet(wallet: str) -> None:
    """Further than half from the entry: the wallet moved for another reason."""
    story = Story(positions=(row("2"),))
    story.pass_s(200)
    story.account(wallet)
    after(story, wallet)
    after(story, wallet)
    assert ["unexplained"] == [one[0] for one in causes(story, "capital_vs_wallet")]


def test_more_on_the_exchange_than_k_has_is_unexplained() -> None:
    """A position that nobody opened is no close."""
    story = Story(positions=(row("2"),))
    story.pass_s(200)
    after_report = row("3")
    audit(story, "1000", after_report)
    story.tick()
    audit(story, "1000", after_report)
    assert ["unexplained"] == [one[0] for one in causes(story, "position_qty:BTC-USDT:LONG")]


def test_an_untold_close_of_an_unknown_entry_explains_no_wallet() -> None:
    """The baseline stated no entry."""
    story = Story(positions=(PositionRow(**{**_fields(row("2")), "entry_price": None}),))
    story.pass_s(200)
    story.account("1010")
    after(story, "1010")
    after(story, "1010")
    assert ["unexplained"] == [one[0] for one in causes(story, "capital_vs_wallet")]


def _fields(found: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__slots__}


def test_a_glitch_is_the_exchanges_own_word() -> None:
    """Ten times the quantity with entry and wallet as they were; the next frame takes it back."""
    story = Story(positions=(row("2"),))
    story.pass_s(200)
    story.account(None, ("BTC-USDT", LONG, "20", "100"))
    story.tick()
    field = "position_qty:BTC-USDT:LONG"
    assert [("statement", "-18", False)] == causes(story, field)
    story.account(None, ("BTC-USDT", LONG, "2", "100"))
    assert "healed" == last(story, field)["state"]


def test_a_short_in_one_way_mode_has_its_own_sign() -> None:
    """K's signed book and the shown side agree in what a fill too many means."""
    story = Story(hedge=False)
    story.pass_s(200)
    story.order(side=Side.SELL, ps=BOTH, z="1", ap="100.00000000", fee="0.05", last=("1", "100"))
    after(story, "1000")
    assert [("extra_fill", "1", True)] == causes(story, "position_qty:BTC-USDT:SHORT")


def test_an_order_of_which_something_is_uncovered_is_named() -> None:
    """More was executed than rows tell yet: the quantity that is missing is the cause."""
    story = Story()
    story.pass_s(200)
    order_id = buy(story, q="2", status=OrderStatus.PARTIALLY_FILLED)
    agree(story, "1")
    story.executed(order_id, "2")
    story.account(str(D(str(story.k["capital_raw"])) - D("0.05")), ("BTC-USDT", LONG, "2", "100"))
    story.tick()
    assert "uncovered_interval" == causes(story, "position_qty:BTC-USDT:LONG")[0][0]
    assert any(
        "uncovered_interval of order" in text for text in last(story, "capital_vs_wallet")["attribution"][0]["tried"]
    )


# ---- amounts that are known to be open --------------------------------------------------------------------------------


def test_a_forced_close_told_in_two_ways_is_named() -> None:
    """`rp` says −10, a row −8; whichever of them K holds, the other may be what the wallet followed."""
    story = Story(positions=(row(),))
    story.pass_s(200)
    frame: dict[str, Any] = {"side": Side.SELL, "z": "1", "ap": "90.00000000", "fee": "0.045", "last": ("1", "90")}
    order_id = story.order(rp="-10", kind="LIQUIDATION", **frame)
    story.account("993.955", ("BTC-USDT", LONG, "0", "0"))
    audit(story, "993.955", incomes=(story.income_row("5", "INSURANCE_CLEAR", "-8", symbol="BTC-USDT"),))
    state = story.projection.state
    order = state.orders[order_id]
    assert order.close is not None
    for profit, amount, other in (("-8", D(2), "rp says -10"), ("-10", D(-2), "its row says -8")):
        order.close.profit = D(profit)
        (found,) = attribute(state, divergence("R1", amount))
        assert ("forced_close", (f"order:{order_id}",), amount, True) == (
            found.cause,
            found.ids,
            found.amount,
            found.exact,
        )
        assert other in found.evidence


@pytest.mark.parametrize(
    ("change", "moved", "delta", "named"),
    [
        pytest.param(0, -3, 3, ["funding"], id="none told: what the wallet moved by"),
        pytest.param(0, None, 3, ["unexplained"], id="none told, and no statement came before"),
        pytest.param(-1, -3, 1, ["funding"], id="one told that the wallet contradicts: that one"),
        pytest.param(-1, -3, 3, ["unexplained"], id="... and never all that the wallet moved by"),
    ],
)
def test_a_settlement_of_an_unknown_amount(change: int, moved: int | None, delta: int, named: list[str]) -> None:
    """What it told is its part, what the wallet moved by only where it told nothing."""
    story = Story()
    unknown = Untold(change=D(change), moved=None if moved is None else D(moved), agreed=False, heard_us=0)
    story.projection.state.untold = {"push:1": unknown}
    assert named == [found.cause for found in attribute(story.projection.state, divergence("R1", D(delta)))]


@pytest.mark.parametrize(("kind", "cause", "delta"), [("FUNDING_FEE", "funding", "2"), ("TRANSFER", "transfer", "2")])
def test_a_happening_that_two_rows_tell_differently(kind: str, cause: str, delta: str) -> None:
    """One `tranId`, two amounts: K keeps the first and says by how much; it is over when the first is told again."""
    story = Story()
    story.pass_s(200)
    first, other = story.income_row("9", kind, "-3"), story.income_row("9", kind, "-5")
    story.account("997")
    audit(story, "997", incomes=(first,))
    assert "OK" == story.status
    for _ in range(2):
        story.income(other)
    assert ("ERROR", [(cause, delta, True)]) == (story.status, causes(story, "income:9"))
    story.income(first)
    assert ("OK", "healed") == (story.status, last(story, "income:9")["state"])


def test_rows_that_may_lie_before_the_baseline_are_named() -> None:
    """Not counted without proof; if they are the difference they are its reason."""
    story = Story(positions=(row(),))
    story.pass_s(20)
    rows = (story.income_row("1", "FUNDING_FEE", "-0.5"), story.income_row("2", "FUNDING_FEE", "-0.25"))
    story.account("999")
    after(story, "999", row(), incomes=rows, after_s=1)
    tried = last(story, "capital_vs_wallet")["attribution"][0]
    assert "unexplained" == tried["cause"]
    assert any("income:1" in text for text in tried["tried"])


# ---- marks and margins ------------------------------------------------------------------------------------------------


def test_stale_marks_that_last_are_a_divergence_with_their_ages() -> None:
    """Within an audit's interval it is a line of explanation alone."""
    story = Story(positions=(row(mark="100"),))
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(101), event_ms=story.ms),)))
    assert [] == story.of_type("divergence")
    story.pass_s(31)
    story.account("1000")
    story.balance("1000")
    assert [("mark_age", "1", False)] == causes(story, "open_notional")
    assert "31.0 s old" in last(story, "open_notional")["attribution"][0]["evidence"]
    story.positions(row(mark="101"))
    assert "healed" == last(story, "open_notional")["state"]


def test_equal_marks_are_no_reason() -> None:
    """Whatever is stale, it is not a mark that both have."""
    story = Story(positions=(row(mark="100"),))
    stale = divergence("R4", D(1), k=D(101), e=D(100))
    stale.klass = "MARK_PRICE_STALENESS"
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(100), event_ms=story.ms),)))
    assert ["unexplained"] == [found.cause for found in attribute(story.projection.state, stale)]


def test_a_leverage_that_k_and_e_have_differently_explains_the_margin() -> None:
    """The push of the change was lost: the report states another leverage than K reckons with."""
    story = Story(positions=(row("10", leverage="10"),))
    push = LeveragePush(symbol="BTC-USDT", long=D(10), short=D(10), margin_type="cross", event_ms=story.ms)
    story.tell(push)
    for _ in range(2):
        story.pass_s(20)
        story.positions(row("10", leverage="20", mark="100"))
        story.balance("1000", used="50")
        story.pass_s(20)
        story.balance("1000", used="50")
    assert [("leverage", "50", False)] == causes(story, "used_margin")


def test_a_margin_that_nothing_explains_says_so() -> None:
    """Leverages agree."""
    story = Story(positions=(row("10", leverage="10"),))
    for _ in range(3):
        story.pass_s(20)
        story.positions(row("10", leverage="10", mark="100"))
        story.balance("1000", used="500")
    assert ["unexplained"] == [one[0] for one in causes(story, "used_margin")]


def test_a_failed_question_is_no_proof() -> None:
    """UNKNOWN, with the failed question named in the verdict."""
    story = Story()
    story.pass_s(200)
    story.account("995")
    story.tick()
    asked_us = story.us
    story.pass_s(1)
    story.failed(Question.BALANCE)
    story.audit_done(asked_us=asked_us + 1, failed=("balance",))
    assert "UNKNOWN" == story.status
    assert ["unexplained"] == [one[0] for one in causes(story, "capital_vs_wallet")]


# ---- what no push told is lacking, also where both ledgers move with it -------------------------------------------------


def test_a_lost_transfer_is_named_beside_what_lasts() -> None:
    """Its balance and its row come in one round: K and E move together, and the push was lost all the same."""
    story = Story()
    story.pass_s(200)
    story.account("995")
    after(story, "995")
    audit(story, "1002", incomes=(story.income_row("77", "TRANSFER", "7"),))
    story.tick()
    story.tick()
    assert [("unexplained", "5", None), ("transfer", "7", True)] == causes(story, "capital_vs_wallet")
    assert "ERROR" == story.status


def test_a_lost_transfer_is_named_though_its_row_came_before_the_difference_was_one() -> None:
    """Both waited within the window; what opens after it still says what was lacking."""
    story = Story()
    story.pass_s(200)
    story.account("995")
    audit(story, "1002", incomes=(story.income_row("77", "TRANSFER", "7"),), after_s=0.5)
    story.tick()
    assert ("transfer", "7", True) in causes(story, "capital_vs_wallet")


def test_what_only_a_row_told_is_no_late_statement() -> None:
    """E does not hold it yet: neither did K, until somebody asked."""
    story = Story()
    story.pass_s(200)
    audit(story, "1000", incomes=(story.income_row("77", "TRANSFER", "7"),))
    story.tick()
    assert [("transfer", "7", True)] == causes(story, "capital_vs_wallet")


def test_an_ordinary_trade_heals_no_part_of_what_lasts() -> None:
    """A frame that moves K while a difference stands is no fact that was lacking."""
    story = Story()
    story.pass_s(200)
    story.account("995")
    after(story, "995")
    buy(story)
    story.account("994.5", ("BTC-USDT", LONG, "1", "100"))
    after(story, "994.5", row())
    assert {"unexplained"} == {one[0] for one in causes(story, "capital_vs_wallet")}


# ---- what is certain, and what follows ----------------------------------------------------------------------------------


def test_a_seed_is_named_beside_what_nothing_explains() -> None:
    """The seed's part is certain; the rest alone is unexplained."""
    story = Story(seed_capital=D(600))
    story.pass_s(200)
    story.account("995")
    after(story, "995")
    assert [("baseline", "-400", True), ("unexplained", "5", None)] == causes(story, "capital_vs_wallet")


def test_what_is_explained_no_more_is_told_once() -> None:
    """A confirmed difference gets a part that nothing explains: that is news, and later rounds are none."""
    story = Story(seed_capital=D(600))
    story.pass_s(200)
    audit(story, "1000")
    assert [("baseline", "-400", True)] == causes(story, "capital_vs_wallet")
    story.account("995")
    after(story, "995")
    assert [("baseline", "-400", True), ("unexplained", "5", None)] == causes(story, "capital_vs_wallet")
    told = len(story.of_type("divergence"))
    audit(story, "995")
    assert told == len(story.of_type("divergence"))


def test_what_a_row_tells_again_at_the_same_cost_is_no_news() -> None:
    """One answer confirms an order and brings another one's fee: only the fee was lacking."""
    story = Story()
    story.pass_s(200)
    story.account("995")
    after(story, "995")
    known, lacking = buy(story), buy(story, fee=None)
    rows = [story.fill_row(order_id, "1", "100", "0.05") for order_id in (known, lacking)]
    story.account("994.9", ("BTC-USDT", LONG, "2", "100"))
    after(story, "994.9", row("2"), fills=tuple(rows))
    after(story, "994.9", row("2"))
    healed = [one for one in last(story, "capital_vs_wallet")["attribution"] if one["cause"] != "unexplained"]
    assert [("fee", [f"order:{lacking}:(0, 1]"], "-0.05")] == [(o["cause"], o["ids"], o["amount"]) for o in healed]


def test_a_row_that_only_names_a_transfer_has_no_part_in_what_others_of_its_answer_brought() -> None:
    """A transfer's push had told its amount; the settlement's row beside it brings what was lacking."""
    story = Story(positions=(row(),))
    story.pass_s(200)
    story.account("1007", reason="DEPOSIT", change="7")
    story.account("1006", reason="FUNDING_FEE", change="-1")
    story.account("1004")
    paid = [story.income_row(str(number), "FUNDING_FEE", str(-number)) for number in (1, 2)]
    after(story, "1004", row(), incomes=(story.income_row("9", "TRANSFER", "7"), *paid))
    assert [("funding", "-2", True)] == causes(story, "capital_vs_wallet")
    assert ["funding:1", "funding:2"] == last(story, "capital_vs_wallet")["attribution"][0]["ids"]


def test_an_interval_that_rows_make_longer_is_uncovered_however_little_it_costs() -> None:
    """A frame told one of an order's executions, and the cumulative fee of all of them: rows bring the others."""
    story = Story()
    story.pass_s(200)
    order_id = buy(story, z=None, q="3", fee="0.15", status=OrderStatus.UNKNOWN)
    agree(story, "3", "999.85")
    rows = [story.fill_row(order_id, qty, "100", fee) for qty, fee in (("2", "0.1"), ("1", "0.05"))]
    after(story, "999.85", row("3"), fills=tuple(rows))
    story.executed(order_id, "3")
    assert [("uncovered_interval", "2", True)] == causes(story, "position_qty:BTC-USDT:LONG")


def test_of_many_facts_the_first_and_the_last_are_named() -> None:
    """And how many more there are."""
    story = Story(positions=(row(),))
    story.pass_s(200)
    story.account("999", reason="FUNDING_FEE", change="-1")
    story.account("988")
    rows = [story.income_row(str(number), "FUNDING_FEE", "-1") for number in range(11, 23)]
    after(story, "988", row(), incomes=tuple(rows))
    ids = [one["ids"] for one in last(story, "capital_vs_wallet")["attribution"] if one["cause"] == "funding"]
    tran = [f"funding:{number}" for number in range(11, 23)]
    assert [[*tran[:4], "and 4 more", *tran[-4:]]] == ids


def test_profits_of_a_position_that_k_holds_otherwise_are_named() -> None:
    """A fill too many gives the closes another entry: R2 takes over what is said of the position."""
    story = Story(positions=(row(),))
    story.pass_s(200)
    buy(story, ap="110.00000000", last=("1", "110"))
    after(story, "1000", row())
    story.order(side=Side.SELL, z="1", ap="120.00000000", fee="0.06", last=("1", "120"), rp="20")
    story.account("1019.94", ("BTC-USDT", LONG, "0", "0"))
    after(story, "1019.94")
    assert [("untold_close", "-5")] == [one[:2] for one in causes(story, "realized_pnl")]


def test_a_position_of_which_nothing_is_known_explains_no_profit() -> None:
    """Neither an unexplained difference, nor one of a position that the book never had."""
    story = Story()
    for name, cause in (("position_qty:BTC-USDT:LONG", Cause.UNEXPLAINED), ("position_qty:X:LONG", Cause.EXTRA_FILL)):
        other = divergence("R3", D(1), symbol=name.split(":")[1], side="LONG")
        other.attribution = [Attribution(cause=cause, amount=D(1))]
        story.projection.state.divergences[name] = other
    (found,) = attribute(story.projection.state, divergence("R2", D(5)))
    assert Cause.UNEXPLAINED is found.cause


def test_an_untold_close_still_explains_the_wallet_when_it_moves_again() -> None:
    """R6 says what R3 says: there is one position that is gone, not two."""
    story = Story(positions=(row("2"),))
    story.pass_s(200)
    story.account("1010")
    after(story, "1010")
    after(story, "1010")
    story.account("1008")
    after(story, "1008")
    assert [("untold_close", "-8", False)] == causes(story, "capital_vs_wallet")


@pytest.mark.parametrize(("mark", "cause"), [("105", "untold_close"), ("105.6", "unexplained"), ("118", "unexplained")])
def test_an_untold_close_is_believed_near_the_mark(mark: str, cause: str) -> None:
    """Where the market is known, a close elsewhere is no explanation."""
    story = Story(positions=(row("2"),))
    story.pass_s(200)
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(mark), event_ms=story.ms),)))
    story.account("1010")
    after(story, "1010")
    after(story, "1010")
    assert [cause] == [one[0] for one in causes(story, "capital_vs_wallet")]


def test_a_fill_too_many_across_zero_is_named_on_both_sides() -> None:
    """K is long where E is short: the fill is the cause of both findings."""
    story = Story(hedge=False)
    story.pass_s(200)
    story.order(side=Side.SELL, ps=BOTH, z="1", ap="100.00000000", fee="0.05", last=("1", "100"))
    story.account("999.95", ("BTC-USDT", BOTH, "-1", "100"))
    story.order(side=Side.BUY, ps=BOTH, z="3", ap="100.00000000", fee="0.15", last=("3", "100"))
    after(story, "999.95", row("1", side=SHORT))
    for side, amount in (("LONG", "2"), ("SHORT", "-1")):
        assert [("extra_fill", amount, True)] == causes(story, f"position_qty:BTC-USDT:{side}")


@pytest.mark.parametrize(
    ("had", "side", "now", "held", "beyond"),
    [(row("3"), Side.SELL, SHORT, "LONG", "SHORT"), (row("3", side=SHORT), Side.BUY, LONG, "SHORT", "LONG")],
    ids=["long", "short"],
)
def test_a_close_that_nobody_tells_is_named_on_both_sides_where_the_exchange_went_on_beyond_it(
    had: PositionRow, side: Side, now: PositionSide, held: str, beyond: str
) -> None:
    """One way, 3 closed untold, then 1 traded: K has 2 on one side, the exchange 1 on the other."""
    story = Story(hedge=False, positions=(had,))
    story.pass_s(200)
    order_id = story.order(side=side, ps=BOTH, z="1", ap="100.00000000", fee="0.05", last=("1", "100"))
    rows = (story.fill_row(order_id, "1", "100", "0.05", side=side, ps=BOTH),)
    for _ in range(2):
        after(story, "1002.95", row("1", side=now), fills=rows)
    assert [("untold_close", "-3", False)] == causes(story, "capital_vs_wallet")
    for name, amount in ((held, "2"), (beyond, "-1")):
        assert [("untold_close", amount, False)] == causes(story, f"position_qty:BTC-USDT:{name}")
    (found,) = last(story, f"position_qty:BTC-USDT:{beyond}")["attribution"]
    assert [f"position:BTC-USDT:{held}"] == found["ids"]


# ---- a forced close's profit while something else differs --------------------------------------------------------------


CLOSED: dict[str, Any] = {"side": Side.SELL, "z": "1", "ap": "90.00000000", "fee": "0.045", "last": ("1", "90")}


def test_the_wallet_tells_a_forced_close_beside_a_seed() -> None:
    """K begins elsewhere by a known amount: it is as equal as it can be with what was stated, and not without."""
    story = Story(positions=(row(),), seed_capital=D(600))
    story.order(rp="-10", kind="LIQUIDATION", **CLOSED)
    story.balance("989.955")
    assert ("-10", []) == (story.k["realized_pnl"], story.k["unknown"])


def test_the_wallet_tells_a_forced_close_beside_a_confirmed_difference() -> None:
    """That stood before the close as it was: what the wallet moved by is the close's profit, less its fee."""
    story = Story(positions=(row(),))
    story.pass_s(200)
    story.account("995")
    after(story, "995", row())
    story.order(rp="-10", kind="LIQUIDATION", **CLOSED)
    story.account("987.955", ("BTC-USDT", LONG, "0", "0"))
    assert ("-7", [], "ERROR") == (story.k["realized_pnl"], story.k["unknown"], story.status)


# ---- witnesses, and moves that do not add up ------------------------------------------------------------------------------


@pytest.mark.parametrize(("ago_s", "expected"), [(10, 1), (100_000, 0)])
def test_only_seconds_that_can_matter_are_witnesses(ago_s: int, expected: int) -> None:
    """What is long over was in both ledgers when they agreed: its orders are out of memory."""
    story = Story()
    state = story.projection.state
    second = story.ms // 1_000 - ago_s
    state.witnesses[f"BTC-USDT|{second}"] = [
        Witness(kind=FEE, amount=D("0.5"), trade_id="1"),
        Witness(kind=PROFIT, amount=D(0), trade_id="1"),
    ]
    known = divergence("R1", D("0.5"))
    known.first_us = story.us
    found = attribute(state, known)
    assert expected == sum(one.cause is Cause.UNCOVERED for one in found)


@pytest.mark.parametrize("wallets", [(), ("1",)])
def test_a_change_of_k_that_its_moves_do_not_add_up_to_is_told_as_one(wallets: tuple[str, ...]) -> None:
    """Nothing is left out, and nothing is made up."""
    story = Story()
    turn = Turn(state=story.projection.state, event=story.events[-1])
    turn.moves = [
        Move(cause=Cause.TRANSFER, ids=("transfer:1",), n=1, at_us=1, wallet=D(wallet), told_by="income:1")
        for wallet in wallets
    ]
    known = divergence("R1", D(5), k=D(5), e=D(0))
    hear_change(turn, known, replace(R1, k=D(7), e=D(0)))
    cause = Cause.TRANSFER if wallets else Cause.FEE
    assert [(cause, D(2))] == [(one.cause, one.amount) for one in known.heard]


R1 = Finding(
    rule="R1",
    field="capital_vs_wallet",
    k=D(0),
    e=D(0),
    delta=D(0),
    tolerance=D(0),
    status=ReconcileStatus.OK,
    klass=None,
)


@given(
    st.integers(-30, 30),
    st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 4)), max_size=9),
    st.integers(0, 3),
)
def test_the_few_that_are_found_are_those_that_trying_all_finds_first(
    delta: int, told: list[tuple[int, int]], slack: int
) -> None:
    """However they are looked for: the fewest, of those the first, and what is exact before what is nearly so."""
    candidates = [
        Candidate(cause=Cause.FEE, ids=(f"{place}",), amount=STEP * amount, evidence="", slack=STEP * open_)
        for place, (amount, open_) in enumerate(told)
    ]
    looked = [one for one in candidates if one.amount or one.slack]
    expected = next(
        (
            [one.ids for one in chosen]
            for exactly in (True, False)
            for size in (1, 2, 3)
            for chosen in combinations(looked, size)
            if abs(sum((one.amount for one in chosen), -STEP * delta))
            <= (STEP if exactly else STEP * slack + sum(one.slack + STEP for one in chosen))
        ),
        [()],
    )
    assert expected == [one.ids for one in searched(STEP * delta, candidates, (), STEP * slack)]
