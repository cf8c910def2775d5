"""Incomes into K: funding, transfers and other income, and the rows of the baseline's own second.

All payloads are synthetic: nobody has captured a funding frame.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ditad.events import (
    FillRow,
    IncomeRow,
    OrderStatus,
    PositionRow,
    PositionSide,
    Question,
    Side,
    StreamChanged,
    StreamState,
)
from tests.support.reading import at, audit, explained
from tests.support.story import START_US, Story

LONG = PositionSide.LONG
SECOND_MS = START_US // 1_000


def current(story: Story) -> list[dict[str, Any]]:
    """Give the incomes that no later record replaces."""
    incomes = [record for record in story.records if record["type"] == "income"]
    gone = {seq for record in incomes for seq in at(record, "income").get("replaces", [])}
    return [at(record, "income") for record in incomes if record["seq"] not in gone]


def test_funding_paid_is_positive_and_subtracted() -> None:
    """A push with a change of −0.4 is 0.4 paid; an amount from a push is provisional and worsens nothing."""
    story = Story()
    story.account("999.6", reason="FUNDING_FEE", change="-0.4")
    assert ("0.4", "999.6", "OK", "0.4") == (
        story.k["funding_paid"],
        story.k["capital_raw"],
        story.status,
        at(story.snap, "e.last_funding"),
    )
    assert [("funding", "0.4", True)] == [
        (fact["kind"], fact["amount"], fact["provisional"]) for fact in current(story)
    ]


def test_funding_received_is_negative() -> None:
    """A push with a change of +0.4 is a payment of −0.4."""
    story = Story()
    story.account("1000.4", reason="FUNDING_FEE", change="0.4")
    assert ("-0.4", "1000.4") == (story.k["funding_paid"], story.k["capital_raw"])


def test_a_funding_push_without_its_change_is_read_off_an_agreed_wallet() -> None:
    """The statement before it agreed with K, nothing was unsettled and no gap open: the movement is the amount."""
    story = Story()
    story.account("999.6", reason="FUNDING_FEE")
    assert ("0.4", "OK") == (story.k["funding_paid"], story.status)


def test_a_change_that_the_wallet_contradicts_is_unknown() -> None:
    """A frame from before may still be on its way: neither figure is taken before a row tells, or the wallet explains."""
    story = Story()
    story.account("999.5", reason="FUNDING_FEE", change="-0.4")
    assert ("0", "UNKNOWN", 1) == (story.k["funding_paid"], story.status, len(at(story.snap, "k.unknown")))


def unsettled(story: Story) -> None:
    """Leave the wallet ahead of K."""
    story.account("990")


def in_a_gap(story: Story) -> None:
    """Leave a gap open."""
    story.tell(StreamChanged(state=StreamState.LOST, detail="x", at_ms=None))


def with_an_unknown_fee(story: Story) -> None:
    """Leave a fee untold."""
    story.order(z="1", ap="100.00000000", fee=None)


@pytest.mark.parametrize("before", [unsettled, in_a_gap, with_an_unknown_fee])
def test_funding_whose_amount_nobody_told_is_unknown(before: Any) -> None:
    """It is never 0 and never whatever was left over: that would hide a loss for good."""
    story = Story()
    before(story)
    story.account("980", reason="FUNDING_FEE")
    assert ("0", "UNKNOWN", None) == (story.k["funding_paid"], story.status, at(story.snap, "e.last_funding"))
    assert "funding" in [amount["kind"] for amount in at(story.snap, "k.unknown")]


def test_a_change_is_believed_while_the_wallet_cannot_speak() -> None:
    """Unsettled, the frame's own figure is all there is."""
    story = Story()
    unsettled(story)
    story.account("989.6", reason="FUNDING_FEE", change="-0.4")
    assert "0.4" == story.k["funding_paid"]


def test_rows_of_equal_sum_become_the_facts() -> None:
    """One cross push covers two positions; the two rows replace it, one per `tranId`, and K does not move."""
    story = Story()
    story.pass_s(100)
    story.account("999.6", reason="FUNDING_FEE", change="-0.4")
    story.income(
        story.income_row("1", "FUNDING_FEE", "-0.3", symbol="BTC-USDT"),
        story.income_row("2", "FUNDING_FEE", "-0.1", symbol="ETH-USDT"),
    )
    assert [("1", "0.3"), ("2", "0.1")] == [(fact["tran_id"], fact["amount"]) for fact in current(story)]
    assert ("0.4", "OK") == (story.k["funding_paid"], story.status)
    assert ("BTC-USDT", "ETH-USDT") == story.projection.needs().symbols


def test_a_difference_between_push_and_rows_is_a_divergence_when_the_group_closes() -> None:
    """Told −0.5 by push and −0.6 by rows: FUNDING speaks once the rows must all have come, and the rows count."""
    story = Story()
    story.pass_s(100)
    story.account("999.5", reason="FUNDING_FEE", change="-0.5")
    story.tell(StreamChanged(state=StreamState.KEY_RENEWED, detail="", at_ms=None))
    row = story.income_row("1", "FUNDING_FEE", "-0.6", symbol="BTC-USDT")
    audit(story, "999.5", incomes=(row,))
    audit(story, "999.5", incomes=(row,), symbols=("BTC-USDT",), after_s=200)
    fields = [body["field"] for body in story.of_type("divergence") if body["rule"] == "FUNDING"]
    assert [f"funding:USDT:{SECOND_MS + 100_004}"] == list(dict.fromkeys(fields))
    assert "0.6" == story.k["funding_paid"]


def test_a_funding_difference_is_no_error_where_the_wallet_agrees() -> None:
    """The rows made K right, a push was lost: the divergence is a warning, which closes with the next tick."""
    story = Story()
    story.pass_s(100)
    story.account("999.5")
    story.account("999.4", reason="FUNDING_FEE", change="-0.4")
    row = story.income_row("1", "FUNDING_FEE", "-0.6", symbol="BTC-USDT")
    audit(story, "999.4", incomes=(row,))
    audit(story, "999.4", incomes=(row,), after_s=200)
    assert "WARN" == story.status
    story.tick()
    states = [body["state"] for body in story.of_type("divergence") if body["rule"] == "FUNDING"]
    assert (["open", "healed"], "OK") == (states, story.status)
    assert "ERROR" not in {body["severity"] for body in story.of_type("divergence")}


def test_an_unknown_amount_is_told_by_its_rows_after_a_completed_question() -> None:
    """Rows give what no push told, once all of them must have come."""
    story = Story()
    story.pass_s(100)
    unsettled(story)
    story.account("989.6", reason="FUNDING_FEE")
    row = story.income_row("1", "FUNDING_FEE", "-0.4", symbol="BTC-USDT")
    audit(story, "989.6", incomes=(row,))
    assert 1 == len(at(story.snap, "k.unknown"))
    audit(story, "989.6", incomes=(row,), after_s=200)
    assert ([], "0.4") == (at(story.snap, "k.unknown"), story.k["funding_paid"])


@pytest.mark.parametrize(
    ("reason", "change", "kind"),
    [
        ("DEPOSIT", "5", "transfer"),
        ("WITHDRAW", "-5", "transfer"),
        ("ASSET_TRANSFER", "5", "transfer"),
        ("ADJUSTMENT", "-5", "other"),
    ],
)
def test_other_reasons_are_kept_by_their_name(reason: str, change: str, kind: str) -> None:
    """DEPOSIT, WITHDRAW and names with TRANSFER are transfers; all else is other income. Positive is in."""
    story = Story()
    story.account(str(1000 + int(change)), reason=reason, change=change)
    assert [(kind, reason, change)] == [(fact["kind"], fact["name"], fact["amount"]) for fact in current(story)]
    assert "OK" == story.status


def test_a_push_without_change_is_no_fact() -> None:
    """A difference names its reason instead."""
    story = Story()
    story.account("1005", reason="ADJUSTMENT", change="0")
    assert ([], "WARN") == (current(story), story.status)


def test_an_order_push_is_no_income() -> None:
    """Its change is 0 although a fee was taken, and what it is belongs to fills."""
    story = Story()
    story.account("999", reason="ORDER", change="-1")
    assert [] == current(story)


def test_a_repeated_push_counts_once() -> None:
    """Asset, reason, time, change and wallet are its identity."""
    story = Story()
    for _ in range(2):
        story.account("1005", reason="DEPOSIT", change="5", event_ms=SECOND_MS + 50)
    assert "5" == story.k["transfers"]


@pytest.mark.parametrize("row_first", [True, False])
def test_a_push_and_a_row_of_one_transfer_are_one_fact(*, row_first: bool) -> None:
    """Equal asset and amount, close in time: the `tranId` becomes its identity, whichever came first."""
    story = Story()
    story.pass_s(100)
    row = story.income_row("77", "TRANSFER", "5")
    if row_first:
        story.income(row)
    story.account("1005", reason="DEPOSIT", change="5")
    story.income(row)
    assert [("77", "5", {"push", "income"})] == [
        (fact["tran_id"], fact["amount"], set(fact["sources"])) for fact in current(story)
    ]
    assert ("5", "OK") == (story.k["transfers"], story.status)


def test_an_income_names_all_that_readers_are_promised() -> None:
    """The body of an income has every key of interfaces.md §3."""
    story = Story()
    story.account("1005", reason="DEPOSIT", change="5")
    assert {"kind", "amount", "asset", "symbol", "tran_id", "at", "sources"} <= set(story.of_type("income")[0])


def test_the_symbol_of_an_isolated_funding_push_is_kept() -> None:
    """A push that names one position is about its symbol."""
    story = Story()
    story.account("999.6", ("BTC-USDT", LONG, "0", "0"), reason="FUNDING_FEE", change="-0.4")
    assert "BTC-USDT" == story.of_type("income")[0]["symbol"]


def test_income_in_another_asset_stays_out_of_this_ledger() -> None:
    """Pushes and rows in USDC move nothing here, and the snapshot says that they exist."""
    story = Story()
    story.account("5", reason="DEPOSIT", change="5", asset="USDC")
    story.income(story.income_row("1", "TRANSFER", "7", asset="EUR"))
    story.account("1000")
    assert ("1000", ["EUR", "USDC"]) == (story.k["capital_raw"], at(story.snap, "coverage.other_assets"))


def test_rows_that_restate_fills_are_no_facts() -> None:
    """REALIZED_PNL and TRADING_FEE rows move nothing by themselves, also in the baseline's own second."""
    story = Story()
    rows = [
        story.income_row("1", "REALIZED_PNL", "5", symbol="BTC-USDT"),
        story.income_row("2", "TRADING_FEE", "-1", symbol="BTC-USDT"),
        story.income_row("3", "TRADING_FEE", "-1"),
    ]
    story.income(*rows)
    story.pass_s(100)
    story.income(*rows, story.income_row("4", "TRADING_FEE", "-1", symbol="BTC-USDT"))
    assert ("1000", []) == (story.k["capital_raw"], story.projection.state.ambiguous)


def test_where_the_exchange_keeps_no_income_that_is_said() -> None:
    """Demo income is always null: the kind is unavailable, told once, until it is answered after all."""
    story = Story()
    story.income(available=False)
    assert "unavailable" == at(story.snap, "coverage.kinds.income")
    before = len(story.records)
    story.income(available=False)
    assert before == len(story.records)
    story.income()
    story.audit_done()
    assert "live" == at(story.snap, "coverage.kinds.income")


# ---- funding where no income is kept ------------------------------------------------------------------------------------


def paid(story: Story) -> object:
    """Give what K says was paid as funding."""
    return story.k["funding_paid"]


def demo(**figures: Any) -> Story:
    """Begin on an exchange that keeps no income."""
    story = Story(**figures)
    story.income(available=False)
    return story


def asked(story: Story, wallet: str, *rows: FillRow, positions: tuple[PositionRow, ...] = ()) -> None:
    """Tell a whole round of such an exchange, asked after some seconds."""
    story.pass_s(10)
    asked_us = story.us
    story.balance(wallet)
    story.positions(*positions)
    story.fills(*rows)
    story.income(available=False)
    story.audit_done(asked_us=asked_us, questions=(Question.BALANCE, Question.POSITIONS, Question.FILLS))


def test_without_income_funding_is_derived_from_agreed_statements() -> None:
    """Untold in a gap: once all else was asked about, the difference is what was paid, marked, and no better than WARN."""
    story = demo()
    in_a_gap(story)
    for _ in range(2):  # told again it is no other
        story.account("999.6", reason="FUNDING_FEE", event_ms=START_US // 1_000 + 50)
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    assert ("UNKNOWN", "0") == (story.status, story.k["funding_paid"])
    asked(story, "999.6")
    (fact,) = current(story)
    assert ("WARN", "0.4", [], ["DERIVED|funding:USDT"]) == (
        story.status,
        story.k["funding_paid"],
        at(story.snap, "k.unknown"),
        [line.rpartition(":")[0] for line in explained(story)],
    )
    assert (True, "0.4", ["push", "statements"]) == (fact["derived"], fact["amount"], fact["sources"])
    assert [] == [body for body in story.of_type("divergence") if body["rule"] == "FUNDING"]


def test_with_income_funding_is_never_derived() -> None:
    """Rows will tell: until then the amount is unknown."""
    story = Story()
    in_a_gap(story)
    story.account("999.6", reason="FUNDING_FEE")
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    for _ in range(3):
        audit(story, "999.6", after_s=200)
    assert ("UNKNOWN", "0") == (story.status, story.k["funding_paid"])


def test_funding_beside_a_late_fill_is_what_the_wallet_moved_by() -> None:
    """The statement before it did not equal K, but does with the fill that REST brought: then the movement is funding."""
    story = demo()
    order_id = story.new_order()
    story.account("999.95")
    story.account("999.55", reason="FUNDING_FEE")
    held = (story.position_row("1", "100"),)
    asked(story, "999.55", positions=held)
    assert "UNKNOWN" == story.status
    row = story.fill_row(order_id, "1", "100", "0.05", trade_id="1")
    story.executed(order_id, "1", ap="100")
    asked(story, "999.55", row, positions=held)
    story.executed(order_id, "1", ap="100")
    story.fills(row, order_id=order_id)
    asked(story, "999.55", positions=held)
    assert ("0.4", "0.05", "WARN") == (story.k["funding_paid"], story.k["fees_paid"], story.status)


def test_funding_beside_a_fill_that_was_missed_is_what_is_left_of_the_movement() -> None:
    """The statement before the gap equalled K; the wallet moved by both, and the fill's fee is known by its row."""
    story = demo()
    order_id = story.new_order()
    in_a_gap(story)
    story.account("999.55", reason="FUNDING_FEE")
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    held = (story.position_row("1", "100"),)
    row = story.fill_row(order_id, "1", "100", "0.05", trade_id="1")
    story.executed(order_id, "1", ap="100")
    for _ in range(2):
        asked(story, "999.55", row, positions=held)
        story.executed(order_id, "1", ap="100")
        story.fills(row, order_id=order_id)
    asked(story, "999.55", positions=held)
    assert ("0.4", "0.05", "WARN") == (story.k["funding_paid"], story.k["fees_paid"], story.status)


def test_funding_is_derived_only_after_all_else_was_asked_about() -> None:
    """K equals the statement before it by now, yet another fact may be on its way: the next round tells."""
    story = demo()
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    story.account("999.55", reason="FUNDING_FEE")
    story.order(z="1", ap="100.00000000", fee="0.05")
    story.pass_s(5)
    story.account(None, ("BTC-USDT", LONG, "1", "100"))
    assert "0" == paid(story)
    asked(story, "999.55", positions=(story.position_row("1", "100"),))
    assert "0.4" == paid(story)


def test_funding_is_not_derived_while_a_fact_waits_for_its_wallet() -> None:
    """A fill came between the report and the end of the round: K moved by its fee, the stated wallet did not yet."""
    story = demo()
    in_a_gap(story)
    story.account("999.6", reason="FUNDING_FEE")
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    story.pass_s(10)
    asked_us = story.us
    story.balance("999.6")
    story.positions()
    story.fills()
    story.order(z="1", ap="100.00000000", fee="0.05")
    story.account(None, ("BTC-USDT", LONG, "1", "100"))
    story.audit_done(asked_us=asked_us, questions=(Question.BALANCE, Question.POSITIONS, Question.FILLS))
    assert "0" == paid(story)
    story.account("999.55")
    asked(story, "999.55", positions=(story.position_row("1", "100"),))
    assert "0.4" == paid(story)


def test_a_loss_that_nobody_explains_is_not_taken_for_funding() -> None:
    """The wallet fell by 10 before it: that is not funding, and the amount stays unknown."""
    story = demo()
    unsettled(story)
    story.account("989.6", reason="FUNDING_FEE")
    for _ in range(3):
        asked(story, "989.6")
    assert ("0", "UNKNOWN") == (story.k["funding_paid"], story.status)


@pytest.mark.parametrize("lacks", ["a position", "a fee", "a profit", "an order", "a closed gap", "an answer"])
def test_funding_is_derived_only_if_it_is_all_that_is_unknown(lacks: str) -> None:
    """While anything else may be missing, what is left over is nobody's."""
    story = demo(positions=(Story(baseline=False).position_row("1", "100"),) if lacks == "a profit" else ())
    in_a_gap(story)
    story.account("999.6", reason="FUNDING_FEE")
    if lacks != "a closed gap":
        story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    held: tuple[PositionRow, ...] = ()
    match lacks:
        case "a position":
            held = (story.position_row("1", "100"),)
        case "a fee":
            story.order(z="1", ap="100.00000000", fee=None)
            held = (story.position_row("1", "100"),)
        case "a profit":
            story.order(z="1", side=Side.SELL, ap="90.00000000", fee="0.045", rp="-10", kind="LIQUIDATION")
        case "an order":
            story.order(z=None, ap="100.00000000", fee="0", status=OrderStatus.PARTIALLY_FILLED)
    for _ in range(3):
        if lacks == "an answer":
            story.failed(Question.FILLS)
        asked(story, "999.6", positions=held)
    assert "0" == story.k["funding_paid"]


def test_several_pushes_of_one_settlement_are_derived_together() -> None:
    """One isolated position after the other was charged: each later one by its own movement, the first by the rest."""
    story = demo()
    in_a_gap(story)
    for wallet in ("999.6", "999.5", "999.3"):
        story.account(wallet, reason="FUNDING_FEE")
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    for _ in range(3):
        asked(story, "999.3")
    assert (["0.4", "0.1", "0.2"], "0.7", "WARN") == (
        [fact["amount"] for fact in current(story)],
        story.k["funding_paid"],
        story.status,
    )


def test_untold_settlements_apart_are_not_derived() -> None:
    """Of two amounts nobody told only the sum is known: neither is."""
    story = demo()
    in_a_gap(story)
    story.account("999.6", reason="FUNDING_FEE")
    story.pass_s(600)
    story.account("999.5", reason="FUNDING_FEE")
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    for _ in range(3):
        asked(story, "999.5")
    assert ("0", "UNKNOWN") == (story.k["funding_paid"], story.status)


def test_a_settlement_heard_late_lies_between_no_statements() -> None:
    """Its own statement is older than the last: the wallet's movement around it is not known."""
    story = demo()
    in_a_gap(story)
    late_ms = story.ms
    story.pass_s(1)
    story.account("1000")
    story.account("999.6", reason="FUNDING_FEE", event_ms=late_ms)
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    for _ in range(3):
        asked(story, "1000")
    assert (1, "UNKNOWN") == (len(at(story.snap, "k.unknown")), story.status)


def test_rows_that_are_kept_after_all_take_the_derived_amounts_place() -> None:
    """The exchange answers with income: the row is the fact, and nothing is derived any more."""
    story = demo()
    story.pass_s(100)
    in_a_gap(story)
    story.account("999.6", reason="FUNDING_FEE")
    settled_ms = story.ms
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    for _ in range(3):
        asked(story, "999.6")
    story.income(story.income_row("1", "FUNDING_FEE", "-0.4", at_ms=settled_ms))
    assert (["1"], "OK") == ([fact["tran_id"] for fact in current(story)], story.status)


# ---- rows around the baseline -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "after_ms", "wallet", "counted"),
    [
        ("TRANSFER", -1_000, "1005", "1000"),
        ("TRANSFER", 0, "1005", "1005"),
        ("TRANSFER", 0, "1000", "1000"),
        ("TRANSFER", 1_000, "1000", "1005"),
        ("FUNDING_FEE", 59_000, "1005", "1005"),
        ("FUNDING_FEE", 59_000, "1000", "1000"),
        ("FUNDING_FEE", 61_000, "1000", "1005"),
    ],
    ids=[
        "earlier never counts",
        "own second, wallet says yes",
        "own second, wallet says no",
        "later always counts",
        "funding within 60 s, wallet says yes",
        "funding within 60 s, wallet says no",
        "funding later counts",
    ],
)
def test_a_row_that_may_lie_before_the_baseline_counts_on_a_statements_word(
    kind: str, after_ms: int, wallet: str, counted: str
) -> None:
    """It counts if and only if a later statement equals K exactly with it and not without it."""
    story = Story()
    story.pass_s(90)
    row = story.income_row("1", kind, "5", at_ms=SECOND_MS + after_ms)
    story.income(row)
    story.income(row)
    story.account(wallet)
    assert counted == story.k["capital_raw"]


def test_several_ambiguous_rows_count_together() -> None:
    """One settlement has a row per position; together they are what the wallet says."""
    story = Story()
    story.pass_s(90)
    story.income(
        story.income_row("1", "FUNDING_FEE", "-5", symbol="BTC-USDT", at_ms=SECOND_MS),
        story.income_row("2", "FUNDING_FEE", "-2", symbol="ETH-USDT", at_ms=SECOND_MS),
    )
    story.account("996")
    assert "1000" == story.k["capital_raw"]
    story.account("993")
    assert ("993", "OK") == (story.k["capital_raw"], story.status)


def test_those_ambiguous_rows_count_that_the_wallet_confirms_and_no_other() -> None:
    """Of three rows that may lie before the baseline two were new: only they make K equal."""
    story = Story()
    story.pass_s(90)
    story.income(
        story.income_row("1", "FUNDING_FEE", "-5", symbol="BTC-USDT", at_ms=SECOND_MS),
        story.income_row("2", "FUNDING_FEE", "-2", symbol="ETH-USDT", at_ms=SECOND_MS),
        story.income_row("3", "FUNDING_FEE", "-1", symbol="LTC-USDT", at_ms=SECOND_MS),
    )
    story.account("994")
    left = [row.tran_id for row in story.projection.state.ambiguous]
    assert ("994", ["2"]) == (story.k["capital_raw"], left)


def ambiguous(story: Story, *amounts: str) -> list[IncomeRow]:
    """Make funding rows of the seconds after the baseline, one per second."""
    return [
        story.income_row(str(100 + place), "FUNDING_FEE", amount, symbol="BTC-USDT", at_ms=SECOND_MS + place * 1_000)
        for place, amount in enumerate(amounts)
    ]


MANY = tuple(f"{2**place}.{place:08}" for place in range(15))


@pytest.mark.parametrize(
    ("amounts", "new"),
    [(MANY, range(15)), (MANY, range(9, 15)), (MANY, (0, 3, 4, 9, 14)), ([*MANY, *MANY], range(12, 30))],
    ids=["all", "the last ones", "some", "the last of thirty"],
)
def test_many_ambiguous_rows_count_as_far_as_the_wallet_confirms_them(amounts: list[str], new: range) -> None:
    """An account of many positions took its baseline amid a settlement; what is in the baseline counts no more."""
    story = Story()
    story.pass_s(90)
    paid = sum((Decimal(amounts[place]) for place in new), Decimal(0))
    wallet = format(Decimal(1_000) + paid, "f")
    story.balance(wallet)
    story.pass_s(5)
    story.income(*ambiguous(story, *amounts))
    story.audit_done()
    story.balance(wallet)
    assert (paid, "OK") == (Decimal(str(story.k["capital_raw"])) - 1_000, story.status)
    assert [] == story.projection.state.ambiguous


def test_what_is_in_flight_is_not_made_of_many_ambiguous_rows() -> None:
    """A fee that K does not know yet may by chance be the sum of a few of them."""
    story = Story()
    story.pass_s(90)
    story.income(*ambiguous(story, *MANY))
    story.account(str(Decimal(1_000) + Decimal(MANY[0]) + Decimal(MANY[5])))
    assert (15, "1000") == (len(story.projection.state.ambiguous), story.k["capital_raw"])


def test_an_ambiguous_row_that_a_later_statement_does_without_is_let_go() -> None:
    """K equals the wallet without it, so it lies before the baseline; nothing that comes later is made of it."""
    story = Story()
    story.pass_s(30)
    story.income(*ambiguous(story, "-5"))
    story.balance("1000")
    assert 1 == len(story.projection.state.ambiguous), "a row may be stamped up to a minute after its settlement"
    story.pass_s(60)
    story.balance("1000")
    story.account("995")
    assert ([], "1000") == (story.projection.state.ambiguous, story.k["capital_raw"])


def test_a_funding_row_just_after_the_baseline_is_not_ambiguous_when_its_push_was_heard() -> None:
    """The push came after the baseline, so what its row restates did too."""
    story = Story()
    story.pass_s(20)
    story.account("999.6", reason="FUNDING_FEE", change="-0.4")
    story.income(story.income_row("1", "FUNDING_FEE", "-0.4", symbol="BTC-USDT"))
    assert [("1", "0.4")] == [(fact["tran_id"], fact["amount"]) for fact in current(story)]


def test_a_push_of_a_later_settlement_says_nothing_of_a_row_from_before_it() -> None:
    """A row just after the baseline may restate what lies before it, whatever is settled a minute later."""
    story = Story()
    story.pass_s(20)
    row = story.income_row("1", "FUNDING_FEE", "-0.4", symbol="BTC-USDT")
    story.pass_s(90)
    story.account("999", reason="FUNDING_FEE", change="-1")
    story.income(row)
    assert ("999", "1") == (story.k["capital_raw"], story.k["funding_paid"])


def test_a_push_from_before_the_baseline_is_no_fact() -> None:
    """Buffered pushes stamped earlier are in the baseline's wallet."""
    story = Story()
    story.account("1005", reason="DEPOSIT", change="5", event_ms=SECOND_MS - 1)
    assert ("1000", "1000") == (story.k["capital_raw"], at(story.snap, "e.wallet_balance"))


def test_a_row_that_another_of_the_same_answer_corrects_is_not_told() -> None:
    """The first row equals the push, with the second it does not: the push stands, and no list counts it twice."""
    story = Story()
    story.pass_s(100)
    story.account("999.6", reason="FUNDING_FEE", change="-0.4")
    story.income(
        story.income_row("1", "FUNDING_FEE", "-0.4", symbol="BTC-USDT"),
        story.income_row("2", "FUNDING_FEE", "-0.1", symbol="ETH-USDT"),
    )
    assert ("0.4", ["0.4"]) == (story.k["funding_paid"], [fact["amount"] for fact in current(story)])


def test_a_settlement_that_only_rows_tell_beside_a_pushed_one_counts_on_the_wallets_word() -> None:
    """A second settlement within the first one's group was pushed to nobody: with its row K equals E, so it counts."""
    story = Story(wallet="1000")
    story.pass_s(200)
    story.account("999", reason="FUNDING_FEE", change="-1")
    story.pass_s(18)
    story.balance("997")
    story.income(
        story.income_row("1", "FUNDING_FEE", "-1", at_ms=story.ms - 18_000),
        story.income_row("2", "FUNDING_FEE", "-2"),
    )
    assert ("997", "3", "0") == (story.k["capital_raw"], story.k["funding_paid"], story.delta("capital_vs_wallet"))


def test_rows_that_the_wallet_does_not_confirm_wait_until_their_group_closes() -> None:
    """While rows may still come, what a push told counts unless the wallet says otherwise."""
    story = Story(wallet="1000")
    story.pass_s(200)
    story.account("999", reason="FUNDING_FEE", change="-1")
    story.income(story.income_row("1", "FUNDING_FEE", "-0.4"))
    assert "1" == story.k["funding_paid"]


def settle(story: Story, wallet: str, *rows: IncomeRow) -> None:
    """Tell a completed round of questions, asked just now."""
    story.balance(wallet)
    story.positions()
    story.fills()
    story.income(*rows)
    story.audit_done()


@pytest.mark.parametrize("other", ["0", "0.003828"], ids=["nothing else is off", "a fee is missing as well"])
def test_a_settlement_of_which_one_push_was_missed_ends_as_its_rows(other: str) -> None:
    """An outage within the chain of pushes: at once if the wallet proves it, else when all its rows must have come."""
    story = Story(wallet="1000")
    story.pass_s(200)
    story.account("999.9", reason="FUNDING_FEE", change="-0.1")
    pushed_ms = story.ms
    story.tell(StreamChanged(state=StreamState.LOST, detail="reset", at_ms=story.ms))
    story.pass_s(60)
    missed_ms = story.ms
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    wallet = str(Decimal("999.5") - Decimal(other))
    rows = (
        story.income_row("1", "FUNDING_FEE", "-0.1", at_ms=pushed_ms, symbol="BTC-USDT"),
        story.income_row("2", "FUNDING_FEE", "-0.4", at_ms=missed_ms, symbol="ETH-USDT"),
    )
    story.pass_s(30)
    settle(story, wallet, *rows)
    assert ("0.5" if other == "0" else "0.1") == story.k["funding_paid"]
    story.pass_s(200)
    settle(story, wallet)
    assert ("0.5", ["1", "2"]) == (story.k["funding_paid"], [fact["tran_id"] for fact in current(story)])
    settle(story, "999.5")
    settle(story, "999.5")
    assert ("OK", "999.5") == (story.status, story.k["capital_raw"])


def test_two_settlements_of_which_pushes_were_missed_are_proven_together() -> None:
    """Neither alone makes K equal the wallet, both do."""
    story = Story(wallet="1000")
    story.pass_s(200)
    in_a_gap(story)
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    rows = []
    for tran_id, wallet in (("1", "999.9"), ("3", "999.4")):
        story.account(wallet, reason="FUNDING_FEE", change="-0.1")
        rows.append(story.income_row(tran_id, "FUNDING_FEE", "-0.1", symbol="BTC-USDT"))
        story.pass_s(20)
        rows.append(story.income_row(f"{tran_id}1", "FUNDING_FEE", "-0.4", symbol="ETH-USDT"))
        story.pass_s(101)
    story.balance("999")
    story.income(*rows)
    assert ("1", "999") == (story.k["funding_paid"], story.k["capital_raw"])
