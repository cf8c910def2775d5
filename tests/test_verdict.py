"""The comparison after every event: the settle window, inquiries, doubts, the life of a divergence.

All payloads are synthetic.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from ditad.divergences import SEEN_MAX
from ditad.events import (
    BaselineTaken,
    Mark,
    Marks,
    OrderStatus,
    PositionRow,
    PositionSide,
    PushRejected,
    Question,
    Side,
    StreamChanged,
    StreamState,
)
from tests.support.reading import at, audit, explained, snapshots
from tests.support.story import Story

LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH
D = Decimal


def row(**figures: Any) -> PositionRow:
    """Make a row of a positions report."""
    return Story(baseline=False).position_row(figures.pop("qty", "1"), figures.pop("entry", "100"), **figures)


def buy(story: Story, order_id: str | None = None, **figures: Any) -> str:
    """Tell a filled market order of 1 at 100 with a fee of 0.05, some figures changed."""
    return story.order(order_id, **{"z": "1", "ap": "100.00000000", "fee": "0.05", **figures})


def told(story: Story, field: str) -> list[tuple[str, str]]:
    """Give state and class of every record about a field's divergence."""
    return [(str(body["state"]), str(body["class"])) for body in story.of_type("divergence") if body["field"] == field]


# ---- the settle window ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wallet_first", [True, False])
def test_no_alarm_inside_the_window(*, wallet_first: bool) -> None:
    """A fill and its balance come as two frames in either order: WARN between them, OK after, no divergence."""
    story = Story()
    if wallet_first:
        story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    else:
        buy(story)
    assert "WARN" == story.status
    assert all(line.startswith("UNSETTLED|") for line in at(story.snap, "reconcile.explanations"))
    if wallet_first:
        buy(story)
    else:
        story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    assert ("OK", []) == (story.status, story.of_type("divergence"))


def test_a_real_loss_is_not_hidden_by_what_waits() -> None:
    """A wallet 5 short is a residual although a fill waits for its twin at the same time."""
    story = Story()
    story.account("995")
    story.tick()
    buy(story)
    assert "CONFIRMING|capital_vs_wallet" in explained(story)


def test_waiting_is_never_extended_by_later_facts() -> None:
    """The first fill's window ends 2 s after it, however many follow."""
    story = Story()
    buy(story)
    first_us = story.us
    story.pass_s(1.9)
    buy(story)
    assert first_us + 2_000_000 == story.projection.deadline_us()
    story.tick()
    assert "CONFIRMING|capital_vs_wallet" in explained(story)


def test_a_glitch_of_one_frame_stays_visible_and_is_over_with_the_next() -> None:
    """`pa` times ten with the same entry: shown as E, WARN, then CONFIRMING, and healed by the next frame."""
    story = Story(positions=(row(),))
    story.account(None, ("BTC-USDT", LONG, "10", "100"))
    assert ("10", "WARN") == (at(story.snap, "e.positions.0.qty"), story.status)
    story.tick()
    assert "CONFIRMING|position_qty:BTC-USDT:LONG" in explained(story)
    story.account(None, ("BTC-USDT", LONG, "1", "100"))
    assert "OK" == story.status
    assert [("open", "CONFIRMING"), ("healed", "CONFIRMING")] == told(story, "position_qty:BTC-USDT:LONG")


# ---- asking -----------------------------------------------------------------------------------------------------------


def lost_five() -> Story:
    """Leave the wallet 5 short of K, asked about."""
    story = Story()
    story.account("995")
    story.tick()
    return story


def test_a_residual_is_asked_about_at_once() -> None:
    """What the audit must know: everything, after now."""
    story = lost_five()
    needs = story.projection.needs()
    assert (story.us, story.us) == (needs.statements_after_us, needs.facts_after_us)


def test_an_answer_to_an_earlier_question_confirms_nothing() -> None:
    """A round that began before the residual was seen proves nothing about it."""
    story = lost_five()
    story.balance("995")
    story.positions()
    story.fills()
    story.income()
    story.audit_done(asked_us=story.us - 5_000_000)
    assert ("WARN", ["CONFIRMING|capital_vs_wallet"]) == (story.status, explained(story))


def test_a_residual_that_changed_more_often_than_is_remembered_is_confirmed_all_the_same() -> None:
    """Whatever is forgotten of its history, since when it is what it is now is not."""
    story = lost_five()
    for cents in range(SEEN_MAX + 1):
        story.account(str(995 - Decimal(cents + 1) / 100))
        story.tick()
    wallet = str(995 - Decimal(SEEN_MAX + 1) / 100)
    story.pass_s(200)
    audit(story, wallet)
    story.balance(wallet)
    assert ("ERROR", str(1000 - Decimal(wallet))) == (story.status, story.delta("capital_vs_wallet"))


def test_a_round_of_some_questions_confirms_nothing() -> None:
    """Absence is proven by a complete audit only."""
    story = lost_five()
    story.pass_s(1)
    story.balance("995")
    story.audit_done(questions=(Question.BALANCE,))
    assert "WARN" == story.status


def test_a_complete_audit_that_finds_nothing_makes_it_an_error() -> None:
    """Opened once, confirmed once, healed once: three records, and no line repeated every cycle."""
    story = lost_five()
    for _ in range(3):
        audit(story, "995")
    assert ("ERROR", "capital_vs_wallet") == (story.status, at(story.snap, "reconcile.worst_field"))
    story.account("1000")
    assert "OK" == story.status
    assert [("open", "CONFIRMING"), ("confirmed", "MISMATCH"), ("healed", "MISMATCH")] == told(
        story, "capital_vs_wallet"
    )


def test_a_failed_question_makes_it_unknown_until_it_is_answered() -> None:
    """UNKNOWN while nobody answers, ERROR when a complete answer leaves it."""
    story = lost_five()
    story.pass_s(1)
    story.failed(Question.INCOME, "timeout")
    story.audit_done(failed=("income",))
    assert ("UNKNOWN", ["QUESTION_FAILED|capital_vs_wallet"]) == (story.status, explained(story))
    audit(story, "995")
    assert "ERROR" == story.status


def test_what_was_asked_while_an_amount_was_unknown_proves_no_other_difference() -> None:
    """The first difference was never said to be wrong; the one behind it is asked about like any other."""
    story = lost_five()
    untold = buy(story, fee=None)
    audit(story, "995", row())
    assert ["AMOUNT_UNKNOWN|capital_vs_wallet"] == explained(story)[:1]
    buy(story)
    story.income(story.income_row("1", "TRANSFER", "-5"))
    buy(story, untold)
    for hear in (story.tick, partial(story.balance, "995")):
        hear()
        assert ("CONFIRMING|capital_vs_wallet", "-0.1") == (explained(story)[0], story.delta("capital_vs_wallet"))
    audit(story, "995", row(qty="2"))
    assert "MISMATCH|capital_vs_wallet" == explained(story)[0]


def test_what_the_rows_of_an_answer_leave_of_a_difference_is_no_other_difference() -> None:
    """Five are lacking and one answer tells of two: it is the answer to the three as well, as no wallet has moved."""
    story = lost_five()
    audit(story, "995", incomes=(story.income_row("1", "TRANSFER", "-2"),))
    assert ("ERROR", "3") == (story.status, story.delta("capital_vs_wallet"))


def test_a_confirmed_difference_stays_confirmed_while_later_fills_settle() -> None:
    """Facts on their way do not make a confirmed residual look like another, nor like none."""
    story = lost_five()
    audit(story, "995")
    buy(story)
    assert ("ERROR", "5") == (story.status, story.delta("capital_vs_wallet"))
    story.account("994.95", ("BTC-USDT", LONG, "1", "100"))
    assert ("ERROR", "5") == (story.status, story.delta("capital_vs_wallet"))


def test_a_confirmed_difference_of_a_quantity_stays_confirmed_while_later_fills_settle() -> None:
    """The same for R3."""
    story = Story(positions=(row(),))
    story.account(None, ("BTC-USDT", LONG, "3", "100"))
    story.tick()
    audit(story, "1000", row(qty="3"))
    assert ("ERROR", "-2") == (story.status, story.delta("position_qty:BTC-USDT:LONG"))
    buy(story)
    assert "ERROR" == story.status
    story.account("999.95", ("BTC-USDT", LONG, "4", "100"))
    assert ("ERROR", "-2") == (story.status, story.delta("position_qty:BTC-USDT:LONG"))


def test_what_was_missing_may_come_while_something_else_is_on_its_way() -> None:
    """The row that explains a confirmed difference arrives with a fill in flight: UNSETTLED, and healed when it lands."""
    story = Story(positions=(row(qty="9"),))
    story.pass_s(300)
    story.account("995")
    story.tick()
    audit(story, "995", row(qty="9"))
    buy(story, side=Side.SELL, ap="103.00000000", fee="0.0515", rp="3")
    story.income(story.income_row("1", "TRANSFER", "-5"))
    assert "UNSETTLED|capital_vs_wallet" in explained(story)
    story.account("997.9485", ("BTC-USDT", LONG, "8", "100"))
    assert "OK" == story.status
    assert ["open", "confirmed", "healed"] == [state for state, _ in told(story, "capital_vs_wallet")]


def test_a_quantity_nobody_holds_in_k_is_confirmed_too() -> None:
    """E open and K without any record of the symbol: ERROR after a complete audit."""
    story = Story()
    story.account(None, ("BTC-USDT", LONG, "3", "100"))
    story.tick()
    audit(story, "1000", row(qty="3"))
    assert ("ERROR", "-3", "-1") == (
        story.status,
        story.delta("position_qty:BTC-USDT:LONG"),
        story.delta("open_positions"),
    )


def test_rules_of_quantity_say_what_the_quantities_say() -> None:
    """R4 and R6 follow R3's standing: waiting, asked about, confirmed, never more and never less."""
    story = Story(positions=(row(mark="100"),))
    story.account(None, ("BTC-USDT", LONG, "0", "0"))
    classes = [at(story.snap, "reconcile.explanations")]
    story.tick()
    classes.append(at(story.snap, "reconcile.explanations"))
    audit(story, "1000")
    classes.append(at(story.snap, "reconcile.explanations"))
    assert [{"UNSETTLED"}, {"CONFIRMING"}, {"MISMATCH"}] == [
        {line.split("|")[0] for line in lines} for lines in classes
    ]


# ---- doubts -----------------------------------------------------------------------------------------------------------


def test_without_a_baseline_nothing_is_known() -> None:
    """E was never stated: UNKNOWN, never OK."""
    story = Story(baseline=False)
    assert ("UNKNOWN", "wallet_balance", ["NOT_STATED|wallet_balance"]) == (
        story.status,
        at(story.snap, "reconcile.worst_field"),
        explained(story),
    )


def test_an_open_gap_is_unknown() -> None:
    """Facts may have been missed."""
    story = Story()
    story.tell(StreamChanged(state=StreamState.LOST, detail="closed", at_ms=None))
    assert ("UNKNOWN", "coverage", ["GAP|coverage"]) == (
        story.status,
        at(story.snap, "reconcile.worst_field"),
        explained(story),
    )


def test_an_error_stays_an_error_in_a_gap() -> None:
    """ERROR is worse than UNKNOWN, and its field stays the worst."""
    story = lost_five()
    audit(story, "995")
    story.tell(StreamChanged(state=StreamState.LOST, detail="closed", at_ms=None))
    assert ("ERROR", "capital_vs_wallet") == (story.status, at(story.snap, "reconcile.worst_field"))


def test_a_residual_with_an_amount_untold_is_unknown() -> None:
    """What K itself cannot know may be the whole difference."""
    story = Story()
    buy(story, fee=None)
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    story.tick()
    assert ("UNKNOWN", "AMOUNT_UNKNOWN|capital_vs_wallet") == (story.status, explained(story)[0])


# ---- R2 ---------------------------------------------------------------------------------------------------------------


def agree(story: Story, qty: str) -> None:
    """Tell an account frame that agrees with K: its wallet, and this much LONG."""
    story.account(str(story.k["capital_raw"]), ("BTC-USDT", LONG, qty, "100"))


def test_a_close_heard_before_an_earlier_open_is_no_error_of_r2() -> None:
    """Its stated profit has an entry that the book does not know yet: UNSETTLED, and right once the open is heard."""
    story = Story()
    first, second, close = (story.new_order() for _ in range(3))
    times = [story.ms + after for after in (1, 2, 3)]
    story.pass_s(0.01)
    buy(story, first, trade_ms=times[0])
    buy(story, close, side=Side.SELL, ap="110.00000000", fee="0.055", rp="5", trade_ms=times[2])
    assert ("WARN", "5") == (story.status, story.delta("realized_pnl"))
    assert "UNSETTLED|realized_pnl" in explained(story)
    buy(story, second, ap="110.00000000", fee="0.055", trade_ms=times[1])
    agree(story, "1")
    assert ("OK", "0", []) == (story.status, story.delta("realized_pnl"), story.of_type("divergence"))


def test_r2_waits_on_its_own_clock_never_extended() -> None:
    """Fills that keep coming excuse a wrong profit for one window only, although R1 and R3 still settle."""
    story = Story(positions=(row(qty="9"),))
    buy(story, side=Side.SELL, ap="110.00000000", fee="0.055", rp="15")
    due_us, wallet = story.us + 2_000_000, str(story.k["capital_raw"])
    story.pass_s(1)
    buy(story)
    story.account(wallet, ("BTC-USDT", LONG, "8", "100"))
    assert {"UNSETTLED"} == {line.split("|")[0] for line in explained(story)}
    story.tick()
    assert (due_us, "ERROR", "MISMATCH|realized_pnl", "UNSETTLED|capital_vs_wallet") == (
        story.us - 1_000,
        story.status,
        next(line for line in explained(story) if line.endswith("realized_pnl")),
        explained(story)[0],
    )


def test_r2_waits_anew_where_its_difference_changes_but_for_three_windows_in_all() -> None:
    """Each fill may be the one that another one's profit waits for; that cannot go on for ever."""
    story = Story(positions=(row(qty="9"),))
    began_us, wallet = story.us + 1_000, "1000"
    for closed in range(4):
        story.pass_s(1.5 if closed else 0)
        buy(story, side=Side.SELL, ap="110.00000000", fee="0.055", rp="15")
        story.account(wallet, ("BTC-USDT", LONG, str(9 - closed), "100"))
        wallet = str(story.k["capital_raw"])
        assert "UNSETTLED|realized_pnl" in explained(story)
    while story.us < began_us + 6_000_000:
        assert "MISMATCH|realized_pnl" not in explained(story)
        story.tick()
    assert ("MISMATCH|realized_pnl", True) == (
        next(line for line in explained(story) if line.endswith("realized_pnl")),
        "UNSETTLED|capital_vs_wallet" in explained(story),
    )


def test_r2_follows_what_is_being_asked_about() -> None:
    """While a missing fill is asked about its profit is CONFIRMING; when nobody answers UNKNOWN; then ERROR."""
    story = Story(positions=(row(qty="9"),))
    buy(story, side=Side.SELL, ap="110.00000000", fee="0.055", rp="15")
    story.tick()
    assert "CONFIRMING|realized_pnl" in explained(story)
    story.pass_s(1)
    story.failed(Question.FILLS)
    story.audit_done(failed=("fills",))
    assert "QUESTION_FAILED|realized_pnl" in explained(story)
    audit(story, "1014.945", row(qty="8"))
    assert ("ERROR", ["MISMATCH|realized_pnl"]) == (story.status, explained(story))


def test_a_confirmed_error_of_r2_is_not_excused_by_later_fills() -> None:
    """Once confirmed it stays an ERROR while other fills settle."""
    story = Story(positions=(row(qty="9"),))
    buy(story, side=Side.SELL, ap="110.00000000", fee="0.055", rp="15")
    agree(story, "8")
    buy(story)
    assert ("ERROR", "MISMATCH|realized_pnl") == (
        story.status,
        next(line for line in explained(story) if line.endswith("realized_pnl")),
    )


def scaled(story: Story, *profits: str) -> None:
    """Enter 3 at an average that is no tick (100.0333…) and close 1 at 110 for each stated profit."""
    buy(story, z="2", ap="100.00000000", fee="0.1")
    story.pass_s(1)
    buy(story, ap="100.10000000", fee="0.05005")
    for profit in profits:
        story.pass_s(1)
        buy(story, side=Side.SELL, ap="110.00000000", fee="0.055", rp=profit)


def test_an_entry_rounded_to_the_tick_is_attributed() -> None:
    """Stated from the entry 100.0 instead of 100.0333…: within half a tick, OK and named."""
    story = Story()
    scaled(story, "10")
    assert "ENTRY_ROUNDING|realized_pnl" in explained(story)
    assert "-0.033333333333333333" == story.delta("realized_pnl")
    assert "rounded" == at(story.snap, "coverage.decisions.entry_basis")


def test_once_the_exact_entry_is_decided_half_a_tick_is_no_excuse() -> None:
    """A first close fits the exact entry alone; a later one off by 0.04 is an ERROR."""
    story = Story()
    scaled(story, "9.96666667")
    assert "exact" == at(story.snap, "coverage.decisions.entry_basis")
    story.pass_s(1)
    buy(story, side=Side.SELL, ap="110.00000000", fee="0.055", rp="9.92666667")
    agree(story, "1")
    assert ("ERROR", ["MISMATCH|realized_pnl"]) == (story.status, explained(story))


def test_contradicting_closes_decide_nothing() -> None:
    """One close fits the exact entry alone, another the rounded one alone, in one moment: open."""
    story = Story()
    buy(story, z="2", ap="100.00000000", fee="0.1")
    story.pass_s(1)
    buy(story, ap="100.10000000", fee="0.05005")
    story.pass_s(1)
    order_id = story.order(side=Side.SELL, z="2", ap="110.00000000", fee=None, rp=None, status=OrderStatus.CANCELED)
    rows = [
        story.fill_row(order_id, "1", "110", "0.055", rp=profit, side=Side.SELL, trade_id=trade)
        for trade, profit in (("1", "9.96666667"), ("2", "10"))
    ]
    rows[1] = story.fill_row(
        order_id, "1", "110", "0.055", rp="10", side=Side.SELL, trade_id="2", at_ms=story.ms + 1_000
    )
    story.fills(*rows)
    assert {} == at(story.snap, "coverage.decisions")


def test_without_a_tick_a_small_difference_of_profit_is_rounding() -> None:
    """Where no contract tells the tick, up to `realized_rounding` is WARN."""
    story = Story(symbols=())
    story.order(z="2", ap="100.00000000", fee="0.1", last=("2", "100"))
    story.pass_s(1)
    story.order(side=Side.SELL, z="1", ap="110.00000000", fee="0.055", rp="10.04", last=("1", "110"))
    story.account("1009.885", ("BTC-USDT", LONG, "1", "100"))
    assert ("WARN", ["LOT_STEP_ROUNDING|realized_pnl"]) == (story.status, explained(story))


# ---- R4 ---------------------------------------------------------------------------------------------------------------


def test_marks_too_far_apart_are_staleness_not_a_mismatch() -> None:
    """Equal at E's mark, but K's own is 1 % away: WARN, and no divergence is opened."""
    story = Story(positions=(row(mark="100"),))
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(101), event_ms=story.ms),)))
    assert ("WARN", ["MARK_PRICE_STALENESS|open_notional"], "1", []) == (
        story.status,
        explained(story),
        story.delta("open_notional"),
        story.of_type("divergence"),
    )


def test_marks_close_together_are_fine() -> None:
    """Within the factor the marks' ages do not matter."""
    story = Story(positions=(row(mark="100"),))
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D("100.2"), event_ms=story.ms),)))
    assert "OK" == story.status


def test_without_any_mark_notional_is_not_compared() -> None:
    """A rule speaks only where both can be said; the quantities are compared all the same."""
    story = Story(positions=(row(),))
    assert (None, "0") == (story.delta("open_notional"), story.delta("position_qty:BTC-USDT:LONG"))


def test_a_position_that_e_lacks_is_valued_at_ks_mark() -> None:
    """K open and E flat: E states no mark, the market's is there."""
    story = Story(positions=(row(),))
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(110), event_ms=story.ms),)))
    story.pass_s(3)
    story.positions()
    assert "110" == story.delta("open_notional")


# ---- one-way mode -----------------------------------------------------------------------------------------------------


def test_a_one_way_position_speaks_for_the_sides_on_which_anybody_has_something() -> None:
    """K long and E short are two differences; flat is one line that says so."""
    story = Story(hedge=False, positions=(row(),))
    story.account(None, ("BTC-USDT", BOTH, "-1", "100"))
    assert ("1", "-1") == (
        story.delta("position_qty:BTC-USDT:LONG"),
        story.delta("position_qty:BTC-USDT:SHORT"),
    )
    flat = Story(hedge=False, positions=(row(),))
    flat.order(side=Side.SELL, ps=BOTH, z="1", ap="100.00000000", fee="0")
    flat.account("1000", ("BTC-USDT", BOTH, "0", "0"))
    assert ["capital_vs_wallet", "position_qty:BTC-USDT:LONG", "realized_pnl", "open_notional", "open_positions"] == [
        *at(flat.snap, "reconcile.deltas")
    ]


# ---- the divergence as an object --------------------------------------------------------------------------------------


def test_a_divergence_has_every_field_of_the_contract() -> None:
    """account.md §6, and when it is over what healed it and how long it took."""
    story = lost_five()
    body = story.of_type("divergence")[0]
    assert {
        "id", "rule", "field", "symbol", "side", "k", "e", "delta", "tolerance", "class", "severity", "first_seq",
        "first_at", "last_seq", "confirmations", "state", "attribution",
    } == set(body)  # fmt: skip
    assert ("R1", "1000", "995", "5", "0.0001") == tuple(
        body[name] for name in ("rule", "k", "e", "delta", "tolerance")
    )
    assert at(story.snap, "event_seq") == body["first_seq"]
    story.account("1000")
    healed = story.of_type("divergence")[-1]
    assert (f"account:{story.n}", 0.001) == (healed["healed_by"], healed["duration_s"])
    assert [] == at(story.snap, "reconcile.divergences")


def test_deltas_are_of_the_moment_and_named_by_field() -> None:
    """`deltas[field]` = K − E, plain; the snapshot lists the ids of what is open."""
    story = lost_five()
    assert ("5", ["div-1"]) == (story.delta("capital_vs_wallet"), at(story.snap, "reconcile.divergences"))


def test_the_seed_of_the_settings_shows_its_difference_until_it_is_adopted() -> None:
    """A number overrides the wallet, and R1 says by how much; `adopt` takes the wallet."""
    story = Story(seed_capital=D(600))
    assert ("-400", "600") == (story.delta("capital_vs_wallet"), story.k["capital_raw"])
    story.pass_s(1)
    story.tell(
        BaselineTaken(
            baseline_id="b2", taken_ms=story.ms, wallet=D(1000), positions=(), orders=(), adopted_by=0, why="told so"
        )
    )
    assert ("OK", "1000", "b2") == (story.status, story.k["capital_raw"], at(story.snap, "baseline.id"))
    assert "adopted" == story.of_type("divergence")[-1]["state"]


def test_an_error_that_was_there_at_once_is_born_confirmed() -> None:
    """R2 needs no question: stated and booked profit are both known."""
    story = Story(positions=(row(),))
    buy(story, side=Side.SELL, ap="110.00000000", fee="0.055", rp="15")
    agree(story, "0")
    assert [("confirmed", "MISMATCH")] == told(story, "realized_pnl")


def test_a_rejected_push_that_may_hold_money_is_visible_in_the_verdict() -> None:
    """It opens a gap, and the gap says why."""
    story = Story()
    story.tell(PushRejected(source="private", reason="o.z: a number is due", money=True, excerpt="{}"))
    assert "o.z: a number is due" in at(story.snap, "coverage.gaps.0.cause")
    assert "UNKNOWN" == story.status
    assert all(not at(snap, "published.usable") for snap in snapshots(story)[-1:])


def test_a_profit_that_nobody_told_yet_opens_no_divergence_of_r2() -> None:
    """A close before an earlier open, while an amount is unknown: UNKNOWN says so; an ERROR of before stays open."""
    story = Story(positions=(row(qty="2"),))
    story.account("999.5", reason="FUNDING_FEE", change="-0.4")
    buy(story, side=Side.SELL, ap="110.00000000", fee="0.055", rp="15")
    assert ("UNKNOWN", "-5") == (story.status, story.delta("realized_pnl"))
    assert [] == told(story, "realized_pnl")
