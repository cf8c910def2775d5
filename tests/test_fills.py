"""Fills into K: identity, orders from before the baseline, corrections, forced closes, the position mode.

All payloads are synthetic, except where a test says that they are captured.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ditad.events import (
    Contract,
    CoveredOrder,
    FillRow,
    FillsReport,
    OrdersReport,
    OrderStatus,
    PositionSide,
    Question,
    Side,
    Terms,
)
from ditad.money import plain
from ditad.orders import created_ms
from ditad.projection import Projection
from tests.support.captures import (
    FIRST_PAIR,
    audit_short,
    before_first_pair,
    begin,
    both_pairs,
    hear,
    missing_fees,
    missing_rows,
)
from tests.support.reading import at, audit, explained, snapshots, state_bytes
from tests.support.story import START_US, Story, order_id_at

LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH
BEFORE = order_id_at(START_US // 1_000 - 60_000)
D = Decimal


def buy(story: Story, order_id: str | None = None, **figures: Any) -> str:
    """Tell a filled market order of 1 at 100 with a fee of 0.05, some figures changed."""
    return story.order(order_id, **{"z": "1", "ap": "100.00000000", "fee": "0.05", **figures})


def current(story: Story) -> list[dict[str, Any]]:
    """Give the fills that no later record replaces."""
    fills = [record for record in story.records if record["type"] == "fill"]
    gone = {seq for record in fills for seq in at(record, "fill").get("replaces", [])}
    return [at(record, "fill") for record in fills if record["seq"] not in gone]


# ---- captured frames --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [FIRST_PAIR, FIRST_PAIR[::-1]], ids=["account first", "order first"])
def test_the_first_captured_pair_reconciles_in_either_order(order: tuple[str, str]) -> None:
    """Whichever frame comes first, wallet, quantity and entry agree to the last digit."""
    story = before_first_pair()
    for name in order:
        hear(story, name)
    assert ("OK", "0", "0", "0.0003", "28396.5") == (
        story.status,
        story.delta("capital_vs_wallet"),
        story.delta("position_qty:BTC-USDT:SHORT"),
        at(story.snap, "k.positions.0.qty"),
        at(story.snap, "k.positions.0.entry_price"),
    )


def test_half_of_a_captured_pair_is_unsettled() -> None:
    """Between the two frames the difference is WARN, whatever its size."""
    story = before_first_pair()
    hear(story, FIRST_PAIR[0])
    assert ("WARN", ["UNSETTLED|capital_vs_wallet", "UNSETTLED|position_qty:BTC-USDT:SHORT"]) == (
        story.status,
        explained(story)[:2],
    )


def test_the_second_captured_pair_ends_with_what_the_capture_lacks() -> None:
    """K ends 0.00284552 above E and 0.0002 BTC short of it, within the settle window: a fill may be on its way."""
    story = both_pairs()
    assert ("0.00284552", "-0.0002", "WARN") == (
        story.delta("capital_vs_wallet"),
        story.delta("position_qty:BTC-USDT:SHORT"),
        story.status,
    )


def test_the_second_captured_pair_is_confirming_after_the_window() -> None:
    """When the settle window is over what is missing is asked about."""
    story = both_pairs()
    story.tick()
    assert ("WARN", "CONFIRMING|capital_vs_wallet") == (story.status, explained(story)[0])
    assert story.projection.needs().facts_after_us is not None


def test_the_second_captured_pair_is_unknown_when_rest_cannot_be_asked() -> None:
    """A failed question is never an empty answer."""
    story = both_pairs()
    story.tick()
    story.pass_s(1)
    story.failed(Question.FILLS)
    story.audit_done(failed=("fills",))
    assert ("UNKNOWN", "QUESTION_FAILED|capital_vs_wallet") == (story.status, explained(story)[0])
    assert ("0.00284552", False) == (story.delta("capital_vs_wallet"), at(story.snap, "published.usable"))


def test_the_second_captured_pair_is_an_error_when_rest_has_nothing() -> None:
    """A complete audit that found no row confirms the difference; E's figure is published as disputed."""
    story = both_pairs()
    story.tick()
    audit_short(story)
    assert ("ERROR", "0.00284552", "-0.0002") == (
        story.status,
        story.delta("capital_vs_wallet"),
        story.delta("position_qty:BTC-USDT:SHORT"),
    )
    assert ("e_disputed", "3.99129163", False) == tuple(
        at(story.snap, "published")[name] for name in ("source", "capital", "usable")
    )


def test_the_second_captured_pair_heals_when_rest_has_the_rows() -> None:
    """Two rows with fees rounded to six decimals close the difference within what their rounding leaves open."""
    story = both_pairs()
    story.tick()
    audit_short(story)
    audit_short(story, *missing_rows(story))
    assert ("OK", "-0.00000048", "0.000001", "0.0006", "28432.5") == (
        story.status,
        story.delta("capital_vs_wallet"),
        at(story.snap, "k.precision.fees_paid"),
        at(story.snap, "k.positions.0.qty"),
        at(story.snap, "k.positions.0.entry_price"),
    )
    assert ["confirmed", "healed"] == [
        body["state"] for body in story.of_type("divergence") if body["field"] == "capital_vs_wallet"
    ][-2:]


def test_the_second_captured_pair_heals_to_the_digit_with_the_exact_fees() -> None:
    """The TRADING_FEE rows remove the rounding: K equals the captured wallet digit by digit."""
    story = both_pairs()
    story.tick()
    audit_short(story)
    audit_short(story, *missing_rows(story), incomes=missing_fees(story))
    audit_short(story, incomes=missing_fees(story))
    assert ("OK", "3.99129163", "0", {}) == (
        story.status,
        story.k["capital_raw"],
        story.delta("capital_vs_wallet"),
        {name: slack for name, slack in at(story.k, "precision").items() if name != "entry_price:BTC-USDT:SHORT"},
    )


def test_the_captured_ltc_frame_is_exact() -> None:
    """A frame of October 2023 with `z` and `T` 0: one execution of 0.1 at 64.36."""
    story = begin("100", 1_696_843_600_000, symbols=("LTC-USDT",), tick="0.01")
    hear(story, "captured_order_2023_10")
    assert ("99.996782", "0.1", "6.436") == (
        story.k["capital_raw"],
        at(story.snap, "k.positions.0.qty"),
        story.of_type("fill")[0]["quote"],
    )


def test_the_captured_pair_of_2025_reconciles() -> None:
    """From 117.85650000 the TRADE_UPDATE frame and its account frame agree, and the trade id is kept."""
    story = begin("117.85650000", 1_758_608_890_000)
    hear(story, "captured_trade_update_2025")
    hear(story, "captured_account_order_2025")
    assert ("OK", "117.80007595", ["511178071"]) == (
        story.status,
        story.k["capital_raw"],
        story.of_type("fill")[0]["trade_ids"],
    )


# ---- identity and corrections -----------------------------------------------------------------------------------------


def test_a_fill_names_all_that_readers_are_promised() -> None:
    """The body of a fill has every key of interfaces.md §3."""
    story = Story()
    buy(story, trade_ms=START_US // 1_000 + 5)
    assert {
        "order_id", "z0", "z1", "symbol", "side", "position_side", "price", "qty", "quote", "fee", "fee_asset",
        "realized_pnl", "trade_ids", "at", "sources",
    } == set(story.of_type("fill")[0])  # fmt: skip


def test_a_late_cumulative_quantity_splits_the_fill_it_lies_in() -> None:
    """(0, 2] told first and z=1 told late are two fills, which replace the one; the sums do not move twice."""
    story = Story()
    order_id = buy(story, z="2", ap="100.00000000", fee="0.1")
    buy(story, order_id, z="1", status=OrderStatus.PARTIALLY_FILLED)
    assert [("0", "1"), ("1", "2")] == [(fill["z0"], fill["z1"]) for fill in current(story)]
    assert "2" == at(story.snap, "k.positions.0.qty")


def test_a_fill_that_is_laid_elsewhere_replaces_what_was_told_of_its_first_place() -> None:
    """Frames without `z`, rows of executions before them, and then a frame from between: the last one's place moves."""
    story = Story()
    order_id = story.new_order()
    row = story.fill_row(order_id, "5", "100", "0.25")
    story.pass_s(200)
    at_ms = story.ms

    def hear(qty: str, fee: str, after_ms: int) -> None:
        told = {"z": None, "q": "20", "last": (qty, "100"), "fee": fee, "trade_ms": at_ms + after_ms}
        buy(story, order_id, status=OrderStatus.PARTIALLY_FILLED, **told)

    hear("2", "0.1", 0)
    hear("1", "0.05", 20)
    story.fills(row)
    hear("3", "0.15", 10)
    assert [("0", "2"), ("8", "9")] == [(fill["z0"], fill["z1"]) for fill in current(story)]


def test_a_contradicting_frame_is_a_divergence_and_no_overwrite() -> None:
    """Another average price at the same z stays out of the book and is an ERROR of rule FILL, told once."""
    story = Story()
    order_id = buy(story)
    buy(story, order_id, ap="101.00000000")
    buy(story, order_id, ap="102.00000000")
    assert ("ERROR", "100") == (story.status, at(story.snap, "k.positions.0.entry_price"))
    assert [f"fill:{order_id}"] == [body["field"] for body in story.of_type("divergence")]


def test_rows_across_a_stated_boundary_contradict_it() -> None:
    """One row of 2 that reaches over the boundary z=1 is a divergence."""
    story = Story()
    order_id = buy(story, q="2", status=OrderStatus.PARTIALLY_FILLED)
    story.fills(story.fill_row(order_id, "2", "100", "0.1", trade_id="1"))
    story.executed(order_id, "2")
    assert f"MISMATCH|fill:{order_id}" in explained(story)


def test_how_partial_amounts_are_read_is_decided_by_evidence() -> None:
    """A second fee that fits only its own growth proves `per_fill`, and the decision is journaled and shown."""
    story = Story()
    order_id = buy(story, status=OrderStatus.PARTIALLY_FILLED, q="3")
    buy(story, order_id, z="3", ap="100.00000000", fee="0.1")
    assert ("per_fill", "0.15", "OK") == (
        at(story.snap, "coverage.decisions.partial_amounts"),
        story.k["fees_paid"],
        "OK" if not at(story.snap, "k.unknown") else "unknown",
    )


def test_a_setting_forces_how_partial_amounts_are_read() -> None:
    """With `cumulative` in force the second frame's fee is for the whole order."""
    story = Story(partial_amounts="cumulative", tick="0.1")
    order_id = buy(story, status=OrderStatus.PARTIALLY_FILLED, q="3")
    buy(story, order_id, z="3", ap="100.00000000", fee="0.15")
    assert ("0.15", {}) == (story.k["fees_paid"], at(story.snap, "coverage.decisions"))


def test_a_decision_lets_orders_that_waited_for_it_be_read_again() -> None:
    """Fees of an order without a fitting rate stay unknown until another order decides."""
    story = Story()
    odd = buy(story, fee="0.07", rp="0", status=OrderStatus.PARTIALLY_FILLED, q="2", last=("1", "100"))
    buy(story, odd, z="2", ap="100.00000000", fee="0.08", last=("1", "100"))
    assert 1 == len(at(story.snap, "k.unknown"))
    plain = buy(story, status=OrderStatus.PARTIALLY_FILLED, q="3", last=("1", "100"))
    buy(story, plain, z="3", ap="100.00000000", fee="0.1", last=("2", "100"))
    assert ([], "0.3") == (at(story.snap, "k.unknown"), story.k["fees_paid"])


def test_a_fee_learnt_when_its_fill_was_long_folded_away_does_not_end_the_fold() -> None:
    """A fill older than what the book keeps one by one still takes its fee, and the position stays what it was."""
    story = Story()
    order_id = buy(story, fee=None, rp=None, status=OrderStatus.CANCELED)
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    audit(story, "999.95", story.position_row("1", "100"), after_s=3600)
    buy(story, order_id)
    assert ("999.95", "1", "100", []) == (
        story.k["capital_raw"],
        at(story.snap, "k.positions.0.qty"),
        at(story.snap, "k.positions.0.entry_price"),
        at(story.snap, "k.unknown"),
    )


def test_the_last_fill_is_the_latest_not_the_last_corrected() -> None:
    """An earlier order whose fee is learnt late does not become E's last fill."""
    story = Story()
    first = buy(story, fee=None)
    story.pass_s(1)
    buy(story, z="2", ap="200.00000000", fee="0.2")
    buy(story, first)
    assert ("200", "2", "0.2", "0") == tuple(
        at(story.snap, "e")[f"last_fill_{name}"] for name in ("price", "qty", "fee", "realized_pnl")
    )


def test_an_order_frame_without_any_quantity_is_a_gap() -> None:
    """Without z, q on FILLED, or l nobody knows what was filled: the order is asked about."""
    story = Story()
    order_id = story.order(status=OrderStatus.PARTIALLY_FILLED, fee="0.05")
    assert "UNKNOWN" == story.status
    assert [order_id] == [need.order_id for need in story.projection.needs().orders]


def test_a_repeated_frame_leads_to_nothing() -> None:
    """What says nothing new makes no record."""
    story = Story()
    order_id = buy(story)
    before = len(story.records)
    buy(story, order_id)
    assert before == len(story.records)


def test_fills_of_symbols_in_another_asset_stay_out_of_this_ledger() -> None:
    """A USDC-margined fill moves neither capital nor positions, and the snapshot says that such facts exist."""
    story = Story(symbols=("BTC-USDT", "BTC-USDC"))
    buy(story, symbol="BTC-USDC", rp="3")
    assert ("1000", [], ["USDC"]) == (
        story.k["capital_raw"],
        at(story.snap, "k.positions"),
        at(story.snap, "coverage.other_assets"),
    )
    assert "2.95" == str(story.projection.state.other_assets["USDC"])


def test_a_demo_account_owns_its_usdt_symbols() -> None:
    """On the demo host the margin asset is VST on -USDT symbols."""
    story = Story(margin_asset="VST")
    buy(story)
    assert "999.95" == story.k["capital_raw"]


# ---- orders from before the baseline ----------------------------------------------------------------------------------


def test_the_part_of_an_order_that_a_baseline_covers_is_no_fact() -> None:
    """Of an open order of which 1 lay before the baseline only the growth to 3 is folded."""
    covered = CoveredOrder(order_id=BEFORE, symbol="BTC-USDT", executed=D(1), average_price=D("100.00000000"))
    story = Story(covered=(covered,))
    buy(story, BEFORE, z="1", status=OrderStatus.PARTIALLY_FILLED, q="3")
    assert [] == story.of_type("fill")
    buy(story, BEFORE, z="3", ap="106.00000000", fee="0.109", last=("2", "109"))
    assert [("1", "3", "109")] == [(fill["z0"], fill["z1"], fill["price"]) for fill in story.of_type("fill")]


def test_an_unlisted_order_from_before_the_baseline_is_asked_about_before_it_is_folded() -> None:
    """Its id says when it was created; until REST tells its rows the verdict is UNKNOWN and nothing is booked."""
    story = Story()
    buy(story, BEFORE)
    assert ("1000", "UNKNOWN") == (story.k["capital_raw"], story.status)
    (need,) = story.projection.needs().orders
    assert (BEFORE, START_US // 1_000 - 60_000) == (need.order_id, need.from_ms)


@pytest.mark.parametrize("order_first", [True, False])
def test_an_unlisted_orders_rows_after_the_baseline_are_new(*, order_first: bool) -> None:
    """Of its two rows the one before the baseline is covered and the one after it is a fact, whoever answers first."""
    story = Story()
    story.pass_s(60)
    buy(story, BEFORE, z="2", ap="100.00000000", fee="0.05")
    rows = (
        story.fill_row(BEFORE, "1", "100", "0.05", trade_id="1", at_ms=START_US // 1_000 - 30_000),
        story.fill_row(BEFORE, "1", "100", "0.05", trade_id="2"),
    )
    if order_first:
        story.executed(BEFORE, "2")
    story.fills(*rows, order_id=BEFORE)
    if not order_first:
        story.executed(BEFORE, "2")
        story.fills(*rows, order_id=BEFORE)
    assert [("1", "2")] == [(fill["z0"], fill["z1"]) for fill in current(story)]
    assert "999.95" == story.k["capital_raw"]


def test_an_unlisted_order_waits_until_its_rows_are_a_complete_set() -> None:
    """Rows of 1 where 2 were executed do not release it."""
    story = Story()
    buy(story, BEFORE, z="2", ap="100.00000000")
    story.executed(BEFORE, "2")
    story.fills(story.fill_row(BEFORE, "1", "100", "0.05", trade_id="1"), order_id=BEFORE)
    assert "UNKNOWN" == story.status
    assert [] == story.of_type("fill")


@pytest.mark.parametrize(
    ("wallet", "counted"),
    [("999.85", ["0"]), ("999.9", ["1"]), ("990", ["1"])],
    ids=["counts", "lay before", "no proof"],
)
def test_a_row_of_the_baselines_own_second_counts_on_a_statements_word(wallet: str, counted: list[str]) -> None:
    """Rows of an unlisted order in that second count only if K then equals E exactly, and not without them."""
    story = Story()
    story.pass_s(60)
    buy(story, BEFORE, z="3", ap="100.00000000")
    story.account(wallet)
    story.executed(BEFORE, "3")
    story.fills(
        story.fill_row(BEFORE, "1", "100", "0.05", trade_id="1", at_ms=START_US // 1_000),
        story.fill_row(BEFORE, "2", "100", "0.1", trade_id="2"),
        order_id=BEFORE,
    )
    assert counted == [fill["z0"] for fill in current(story)][:1]


def test_fill_rows_from_before_the_baseline_of_an_order_nobody_heard_of_are_no_facts() -> None:
    """A fill history reaches back further than the ledger."""
    story = Story()
    story.fills(story.fill_row(BEFORE, "1", "100", "0.05", at_ms=START_US // 1_000 - 5_000))
    assert {} == story.projection.state.orders


def test_fill_rows_of_an_unheard_old_order_after_the_baseline_are_asked_about() -> None:
    """The order began before, its row is newer: only its own rows tell what is new."""
    story = Story()
    story.pass_s(60)
    row = story.fill_row(BEFORE, "1", "100", "0.05", trade_id="1")
    story.fills(row)
    assert "UNKNOWN" == story.status
    story.executed(BEFORE, "1")
    story.fills(row, order_id=BEFORE)
    assert "999.95" == story.k["capital_raw"]


def test_an_order_known_from_rows_alone_is_asked_about_until_its_executed_quantity_is_told() -> None:
    """Rows are laid only as a complete set."""
    story = Story()
    order_id = story.new_order()
    row = story.fill_row(order_id, "1", "100", "0.05", trade_id="1", at_ms=story.ms + 2_000)
    story.fills(row)
    assert ("UNKNOWN", "1000") == (story.status, story.k["capital_raw"])
    story.executed(order_id, "1")
    assert ("WARN", "999.95") == (story.status, story.k["capital_raw"])


def test_a_fills_question_about_an_order_nobody_heard_of_changes_nothing() -> None:
    """An empty answer about an unknown order is heard without harm."""
    story = Story()
    story.fills(order_id="12345")
    assert {} == story.projection.state.orders


@pytest.mark.parametrize(
    ("order_id", "expected"),
    [("1641061451231662080", 1680094514078), ("17", None), ("a-b-c", None)],
    ids=["snowflake", "small number", "no number"],
)
def test_creation_time_is_read_off_an_order_id(order_id: str, expected: int | None) -> None:
    """Only an id that is such a number tells when the order was created; the first is captured."""
    assert expected == created_ms(order_id)


# ---- orders reports ---------------------------------------------------------------------------------------------------


def test_orders_nobody_asked_about_are_not_taken_from_a_report() -> None:
    """Open orders that are told at a baseline are no facts."""
    story = Story()
    story.executed(story.new_order(), "1", question=Question.OPEN_ORDERS)
    assert {} == story.projection.state.orders


def test_an_executed_quantity_beyond_what_was_heard_is_missing() -> None:
    """The order's own figure says that 2 were executed where 1 was heard: the rest is asked for."""
    story = Story()
    order_id = buy(story, status=OrderStatus.PARTIALLY_FILLED, q="2")
    story.executed(order_id, "2", status=OrderStatus.PARTIALLY_FILLED)
    story.executed(order_id, "1")
    assert "UNKNOWN" == story.status
    assert "(1, 2] not told" in str(at(story.snap, "reconcile.explanations"))


def test_a_forced_order_that_no_push_told_becomes_known() -> None:
    """A liquidation that only REST tells is asked about and then booked; its record says what it was."""
    story = Story(positions=(Story(baseline=False).position_row("1", "100"),))
    story.pass_s(5)
    order_id = story.new_order()
    story.executed(order_id, "1", side=Side.SELL, question=Question.FORCED_ORDERS, forced="LIQUIDATION")
    assert "UNKNOWN" == story.status
    story.fills(story.fill_row(order_id, "1", "90", "0.045", rp="-10", side=Side.SELL))
    story.balance("989.955")
    assert (0, "LIQUIDATION", "989.955") == (
        story.k["open_positions"],
        story.of_type("fill")[-1]["forced"],
        story.k["capital_raw"],
    )


def test_a_forced_order_without_execution_is_nothing() -> None:
    """A forced order that executed nothing is not taken in."""
    story = Story()
    story.executed(story.new_order(), "0", question=Question.FORCED_ORDERS, forced="ADL")
    assert {} == story.projection.state.orders


@pytest.mark.parametrize("kind", ["LIQUIDATION", "MARKET"], ids=["told by its frame", "told by REST"])
def test_r2_leaves_a_forced_close_out(kind: str) -> None:
    """Its stated profit is no fill's: 30 stated where the book says −10 is no error of R2, before and after its rows."""
    story = Story(positions=(Story(baseline=False).position_row("1", "100"),))
    story.pass_s(5)
    order_id = buy(story, side=Side.SELL, ap="90.00000000", fee="0.045", rp="30", kind=kind)
    story.account("1029.955", ("BTC-USDT", LONG, "0", "0"))
    story.executed(order_id, "1", side=Side.SELL, question=Question.FORCED_ORDERS, forced="LIQUIDATION")
    story.executed(order_id, "1", side=Side.SELL, question=Question.FORCED_ORDERS, forced="LIQUIDATION")
    assert ("OK", "0") == (story.status, story.delta("realized_pnl"))
    story.fills(story.fill_row(order_id, "1", "90", "0.045", rp="30", side=Side.SELL, trade_id="5"))
    assert ("OK", "0") == (story.status, story.delta("realized_pnl"))


def test_a_forced_close_in_another_asset_is_known_without_a_position() -> None:
    """A USDC liquidation that REST names touches no position of this ledger."""
    story = Story()
    order_id = buy(story, side=Side.SELL, symbol="BTC-USDC")
    story.executed(order_id, "1", side=Side.SELL, symbol="BTC-USDC", question=Question.FORCED_ORDERS, forced="ADL")
    assert [] == at(story.snap, "k.positions")


# ---- rows that are kept no more ---------------------------------------------------------------------------------------

DAY_S = 86_400
KEPT_MS = 30 * 86_400_000 - 600_000


def asked(
    story: Story, order_id: str, executed: str, *rows: FillRow, from_ms: int | None = None, **figures: Any
) -> None:
    """Answer a question about an order: its own figures, then the rows of it that are kept."""
    story.pass_s(10)
    story.executed(order_id, executed, **figures)
    story.fills(*rows, order_id=order_id, from_ms=story.ms - KEPT_MS if from_ms is None else from_ms)


def resting(story: Story, days: int = 40) -> str:
    """Rest an order and hear nothing of it for some days."""
    order_id = story.order(z="0", q="3", status=OrderStatus.NEW, kind="LIMIT")
    story.pass_s(days * DAY_S)
    return order_id


def test_rows_that_are_kept_no_more_become_one_opening_interval() -> None:
    """3 at 101 executed, one row of 1 at 103: (0, 2] costs 200; its fee and profit are unknown, and that is said."""
    story = Story()
    order_id = resting(story)
    row = story.fill_row(order_id, "1", "103", "0.05", trade_id="9", at_ms=story.ms - DAY_S * 1_000)
    asked(story, order_id, "3", row, ap="101.00000000")
    assert ([], "UNKNOWN") == (current(story), story.status)
    asked(story, order_id, "3", row, ap="101.00000000")
    assert [("0", "2", "200", None, None), ("2", "3", "103", "0.05", "0")] == [
        tuple(fill[name] for name in ("z0", "z1", "quote", "fee", "realized_pnl")) for fill in current(story)
    ]
    assert [("fill", order_id, "0", "2")] == [
        tuple(amount[name] for name in ("kind", "order_id", "z0", "z1")) for amount in at(story.snap, "k.unknown")
    ]
    assert ((), "3", "UNKNOWN") == (
        story.projection.needs().orders,
        at(story.snap, "k.positions.0.qty"),
        story.status,
    )


@pytest.mark.parametrize(
    ("days", "figures"),
    [
        (29, {}),
        (40, {"from_ms": 0}),
        (40, {"from_ms": START_US // 1_000 + 39 * DAY_S * 1_000}),
        (40, {"ap": None}),
    ],
    ids=["all rows are kept", "the answer reached back", "not all that is kept was asked for", "no average price"],
)
def test_an_order_that_the_exchange_can_still_tell_is_asked_about(days: int, figures: dict[str, Any]) -> None:
    """Rows that lack are no reason to believe that they are kept no more."""
    story = Story()
    order_id = resting(story, days)
    for _ in range(3):
        asked(story, order_id, "3", **{"ap": "101.00000000", **figures})
    assert ([], [order_id]) == (current(story), [need.order_id for need in story.projection.needs().orders])


def test_an_id_that_tells_no_creation_time_proves_nothing() -> None:
    """Nobody knows whether rows of it were ever older than what is kept."""
    story = Story()
    story.order("12", z="0", q="3", status=OrderStatus.NEW)
    story.pass_s(40 * DAY_S)
    for _ in range(3):
        asked(story, "12", "3", ap="101.00000000")
    assert [] == current(story)


def test_an_order_that_still_executes_waits_until_its_figures_stand_still() -> None:
    """A row later than what the executed quantity speaks of would be counted into the opening."""
    story = Story()
    order_id = resting(story)
    active: dict[str, Any] = {"status": OrderStatus.PARTIALLY_FILLED, "ap": "100.00000000"}
    asked(story, order_id, "2", **active)
    row = story.fill_row(order_id, "1", "103", "0.05", trade_id="9")
    asked(story, order_id, "2", row, **active)
    assert [] == current(story)
    asked(story, order_id, "3", row, status=OrderStatus.PARTIALLY_FILLED, ap="101.00000000")
    asked(story, order_id, "3", row, status=OrderStatus.PARTIALLY_FILLED, ap="101.00000000")
    assert [("0", "2", "200"), ("2", "3", "103")] == [
        tuple(fill[name] for name in ("z0", "z1", "quote")) for fill in current(story)
    ]


def test_an_average_price_told_late_is_heard() -> None:
    """The executed quantity alone was told first."""
    story = Story()
    order_id = resting(story)
    asked(story, order_id, "3")
    asked(story, order_id, "3", ap="101.00000000")
    assert [("0", "3", "303")] == [tuple(fill[name] for name in ("z0", "z1", "quote")) for fill in current(story)]


def test_rows_that_come_after_all_take_the_opening_intervals_place() -> None:
    """What was taken for kept no more is told by rows: they count, each with its own figures."""
    story = Story()
    order_id = resting(story)
    for _ in range(2):
        asked(story, order_id, "3", ap="101.00000000")
    story.fills(story.fill_row(order_id, "3", "101", "0.15", trade_id="9"), order_id=order_id)
    assert ([("0", "3", "0.15")], []) == (
        [tuple(fill[name] for name in ("z0", "z1", "fee")) for fill in current(story)],
        at(story.snap, "k.unknown"),
    )


@pytest.mark.parametrize("days", [20, 40], ids=["the baseline is within what is kept", "it is older"])
def test_rows_kept_no_more_of_an_order_from_before_the_baseline(days: int) -> None:
    """They lie before the baseline if the answer reached back to it; else nobody knows, and the order stays asked about."""
    story = Story()
    order_id = order_id_at(START_US // 1_000 - 25 * DAY_S * 1_000)
    story.pass_s(days * DAY_S)
    row = story.fill_row(order_id, "1", "103", "0.05", trade_id="9")
    story.fills(row)
    for _ in range(2):
        asked(story, order_id, "3", row, ap="101.00000000")
    booked = [(fill["z0"], fill["z1"], fill["quote"]) for fill in current(story)]
    assert (([("2", "3", "103")], "") if days == 20 else ([], "it began before the baseline")) == (
        booked,
        story.projection.state.orders[order_id].incomplete,
    )


# ---- exact fees -------------------------------------------------------------------------------------------------------


def rounded(story: Story, *trades: str) -> list[str]:
    """Tell orders of 1 at 100 from REST alone, each with a fee rounded to six decimals."""
    story.pass_s(5)
    orders = []
    for trade_id in trades:
        order_id = story.new_order()
        story.fills(
            story.fill_row(order_id, "1", "100.01", "0.050005", trade_id=trade_id, at_ms=START_US // 1_000 + 9_000)
        )
        story.executed(order_id, "1")
        orders.append(order_id)
    return orders


def test_a_trading_fee_row_removes_the_rounding_of_a_rows_fee() -> None:
    """The witness tells 0.0500050 exactly, per symbol and second."""
    story = Story()
    rounded(story, "1")
    assert "0.0000005" == at(story.snap, "k.precision.fees_paid")
    story.income(
        story.income_row("5", "TRADING_FEE", "-0.05000512", symbol="BTC-USDT", at_ms=START_US // 1_000 + 9_000)
    )
    assert ("0.05000512", False) == (story.k["fees_paid"], "fees_paid" in at(story.snap, "k.precision"))


def test_trading_fee_rows_are_laid_on_all_fills_of_their_second() -> None:
    """Two fills of one second share what two witnesses tell; the sum is exact."""
    story = Story()
    rounded(story, "1", "2")
    rows = [
        story.income_row(tran, "TRADING_FEE", "-0.05000540", symbol="BTC-USDT", at_ms=START_US // 1_000 + 9_000)
        for tran in ("5", "6")
    ]
    story.income(*rows)
    assert "0.1000108" == story.k["fees_paid"]


@pytest.mark.parametrize(
    ("amount", "symbol"),
    [("-0.07", "BTC-USDT"), ("-0.05000512", "ETH-USDT")],
    ids=["beyond rounding", "other symbol"],
)
def test_a_trading_fee_row_that_restates_another_fill_is_not_taken(amount: str, symbol: str) -> None:
    """A remainder beyond the rounding means that another fill is missing."""
    story = Story()
    rounded(story, "1")
    story.income(story.income_row("5", "TRADING_FEE", amount, symbol=symbol, at_ms=START_US // 1_000 + 9_000))
    assert "0.050005" == story.k["fees_paid"]


def test_a_trading_fee_row_does_not_tell_fees_of_a_second_with_an_unknown_one() -> None:
    """While another fee of that second is unknown the witness's sum cannot be shared out."""
    story = Story()
    rounded(story, "1")
    buy(story, fee=None, trade_ms=START_US // 1_000 + 9_500)
    story.income(
        story.income_row("5", "TRADING_FEE", "-0.05000512", symbol="BTC-USDT", at_ms=START_US // 1_000 + 9_000)
    )
    assert "0.050005" == story.k["fees_paid"]


# ---- the position mode ------------------------------------------------------------------------------------------------


def test_one_way_mode_is_shown_as_long_or_short_with_a_quantity_above_zero() -> None:
    """One signed position per symbol flips: the closing part realises, the rest opens at the fill's price."""
    story = Story(hedge=False)
    buy(story, ps=BOTH, z="2", ap="100.00000000", fee="0.1")
    story.account("999.9", ("BTC-USDT", BOTH, "2", "100"))
    assert [("LONG", "2")] == [(row["side"], row["qty"]) for row in at(story.snap, "k.positions")]
    story.pass_s(1)
    buy(story, ps=BOTH, side=Side.SELL, z="5", ap="110.00000000", fee="0.275", rp="20", last=("5", "110"))
    story.account("1019.625", ("BTC-USDT", BOTH, "-3", "110"))
    shown = [("SHORT", "3", "110")]
    assert shown == [(row["side"], row["qty"], row["entry_price"]) for row in at(story.snap, "k.positions")]
    assert shown == [(row["side"], row["qty"], row["entry_price"]) for row in at(story.snap, "e.positions")]
    assert ("OK", 1, "0") == (story.status, story.k["trade_seq"], story.delta("position_qty:BTC-USDT:SHORT"))


def test_a_flip_of_several_executions_leaves_the_entry_unknown() -> None:
    """What crossed zero is not known to be one execution and its profit is not told: entry unknown, UNKNOWN."""
    story = Story(hedge=False, positions=(Story(baseline=False).position_row("2", "100"),))
    story.order(side=Side.SELL, ps=BOTH, z="5", ap="110.003", fee="0.275", rp=None)
    assert ("UNKNOWN", None, None) == (
        story.status,
        at(story.snap, "k.positions.0.entry_price"),
        at(story.snap, "k.positions.0.unrealized_pnl"),
    )
    assert "its entry is not known" in str(at(story.snap, "reconcile.explanations"))


def test_a_close_beyond_what_is_open_waits() -> None:
    """In hedge mode a position is never negative: the close waits, UNKNOWN, until what it closes is heard."""
    story = Story()
    opened = story.new_order()
    early = story.ms
    story.pass_s(0.1)
    buy(story, side=Side.SELL, rp="0", trade_ms=story.ms)
    assert ("UNKNOWN", []) == (story.status, at(story.snap, "k.positions"))
    assert "a close beyond what is open waits" in str(at(story.snap, "reconcile.explanations"))
    buy(story, opened, trade_ms=early)
    story.account("999.9")
    assert ("OK", 1) == (story.status, story.k["trade_seq"])


@pytest.mark.parametrize("side", [LONG, SHORT])
@pytest.mark.parametrize("road", ["order push", "account push", "fill row", "orders report", "terms"])
def test_an_account_that_turns_out_to_be_one_way_keeps_its_positions(side: PositionSide, road: str) -> None:
    """The key may not ask for the mode: a side of BOTH tells it, and the baseline's position goes on as one, signed."""
    story = Story(positions=(Story(baseline=False).position_row("2", "100", side=side, mark="100", leverage="5"),))
    order_id = story.new_order()
    sign = "" if side is LONG else "-"
    row = replace(story.fill_row(order_id, "1", "100", "0.05"), position_side=BOTH)
    terms = story.events[1].body
    assert isinstance(terms, Terms)
    if road == "order push":
        story.order(order_id, ps=BOTH, status=OrderStatus.NEW, z="0", q="1")
    elif road == "account push":
        story.account("1000", ("BTC-USDT", BOTH, f"{sign}2", "100"))
    elif road == "fill row":
        story.tell(
            FillsReport(symbol="ETH-USDT", order_id=None, from_ms=0, to_ms=1, asked_us=0, asked_ms=0, rows=(row,))
        )
    elif road == "orders report":
        story.executed(order_id, "0", ps=BOTH, question=Question.OPEN_ORDERS)
    else:
        story.tell(replace(terms, hedge_mode=False))
    story.account("1000", ("BTC-USDT", BOTH, f"{sign}3", "100"))
    story.order(ps=BOTH, side=Side.BUY if side is LONG else Side.SELL, z="1", ap="100.00000000", fee="0")
    shown = [(side.value, "3")]
    assert (shown, shown) == tuple(
        [(row["side"], row["qty"]) for row in at(story.snap, f"{ledger}.positions")] for ledger in "ke"
    )
    assert "0" == story.delta(f"position_qty:BTC-USDT:{side}")
    assert {"open_positions": "0"}.items() <= at(story.snap, "reconcile.deltas").items()


def test_a_one_way_difference_is_asked_about_and_confirmed() -> None:
    """A BOTH position that the exchange denies becomes an ERROR of its side, in an account believed to be in hedge mode."""
    story = Story()
    buy(story, ps=BOTH)
    story.account("999.95")
    story.tick()
    audit(story, "999.95")
    assert ("ERROR", "1") == (story.status, story.delta("position_qty:BTC-USDT:LONG"))


def test_a_return_to_hedge_mode_is_told_by_the_terms() -> None:
    """Fills of both sides are kept apart again after a start in hedge mode."""
    story = Story(hedge=False)
    terms = story.events[1].body
    assert isinstance(terms, Terms)
    story.tell(replace(terms, hedge_mode=True))
    buy(story)
    buy(story, ps=SHORT, side=Side.SELL)
    assert 2 == story.k["open_positions"]


def test_terms_that_may_not_ask_for_the_mode_leave_it() -> None:
    """`None` is not stated: the mode stays what it was, and so do known fee rates."""
    story = Story(hedge=False)
    terms = story.events[1].body
    assert isinstance(terms, Terms)
    story.tell(replace(terms, hedge_mode=None, fee_rates=()))
    assert (True, 2) == (story.projection.state.one_way, len(story.projection.state.fee_rates))


def test_every_orders_report_is_heard_after_a_baseline_only() -> None:
    """Facts from before the ledger began are left out."""
    story = Story(baseline=False)
    buy(story)
    story.tell(OrdersReport(question=Question.ORDER, symbol=None, asked_us=0, asked_ms=0, rows=()))
    assert [] == story.of_type("fill")
    assert all(body["baseline"] is None for body in snapshots(story))


def test_both_sides_known_before_one_way_mode_leave_the_open_one() -> None:
    """A side that is flat by then stays out of sight; only the open one goes on."""
    story = Story(positions=(Story(baseline=False).position_row("2", "100", side=SHORT),))
    buy(story)
    story.pass_s(1)
    buy(story, side=Side.SELL, rp="0")
    story.account("999.9", ("BTC-USDT", LONG, "0", "0"), ("BTC-USDT", SHORT, "2", "100"))
    story.account("999.9", ("BTC-USDT", BOTH, "-2", "100"))
    assert {"position_qty:BTC-USDT:SHORT": "0", "open_positions": "0"}.items() <= at(
        story.snap, "reconcile.deltas"
    ).items()
    assert "position_qty:BTC-USDT:LONG" not in at(story.snap, "reconcile.deltas")


def test_what_only_e_states_goes_on_in_one_way_mode() -> None:
    """A position that K lacks stays E's, signed, and the difference stays."""
    story = Story()
    story.account("1000", ("BTC-USDT", SHORT, "2", "100"))
    story.order(ps=BOTH, status=OrderStatus.NEW, z="0", q="1")
    assert ("-2", "2") == (story.delta("position_qty:BTC-USDT:SHORT"), at(story.snap, "e.positions.0.qty"))


def test_what_only_k_holds_goes_on_in_one_way_mode() -> None:
    """A position that nobody stated stays K's."""
    story = Story()
    buy(story)
    story.order(ps=BOTH, status=OrderStatus.NEW, z="0", q="1")
    assert ("1", "1") == (story.delta("position_qty:BTC-USDT:LONG"), at(story.snap, "k.positions.0.qty"))


def test_executions_without_a_cumulative_quantity_are_laid_by_their_time() -> None:
    """Early frames that have `l` alone: one of 2 that is heard after a later one of 1 moves that one's boundary."""
    story = Story()
    order_id = story.new_order()
    early_ms, late_ms = story.ms + 1, story.ms + 2
    story.pass_s(0.1)
    part = OrderStatus.PARTIALLY_FILLED
    story.order(order_id, status=part, q="5", fee="0.05", ap=None, last=("1", "100"), trade_ms=late_ms)
    story.order(order_id, status=part, q="5", fee="0.1", ap=None, last=("2", "100"), trade_ms=early_ms)
    assert [("0", "2"), ("2", "3")] == [(fill["z0"], fill["z1"]) for fill in current(story)]
    assert ({"2", "3"}, "3") == (
        set(story.projection.state.orders[order_id].numbers),
        at(story.snap, "k.positions.0.qty"),
    )


def test_a_fill_corrected_within_one_event_is_told_once() -> None:
    """Rounded by its row and made exact by a witness that was there already: no list shows it twice."""
    story = Story()
    story.pass_s(5)
    story.income(story.income_row("5", "TRADING_FEE", "-0.05000512", symbol="BTC-USDT"))
    order_id = story.order(z="1", ap="100.01000000", fee=None, rp=None, status=OrderStatus.CANCELED)
    story.fills(story.fill_row(order_id, "1", "100.01", "0.050005", trade_id="1", at_ms=story.ms))
    story.income()
    assert ["0.05000512"] == [fill["fee"] for fill in current(story)]


# ---- executions of one second -----------------------------------------------------------------------------------------


def test_a_fill_whose_rows_were_complete_stays_when_the_exchange_says_that_more_was_executed() -> None:
    """What the rows told is folded; only the rest is asked for."""
    story = Story()
    order_id = story.new_order()
    story.pass_s(2)
    story.fills(
        story.fill_row(order_id, "1", "100", "0.05", trade_id="1"),
        story.fill_row(order_id, "1", "102", "0.051", trade_id="2", at_ms=story.ms + 1_000),
    )
    story.executed(order_id, "2", status=OrderStatus.PARTIALLY_FILLED)
    story.executed(order_id, "3")
    assert ("2", "101", "999.899") == (
        at(story.snap, "k.positions.0.qty"),
        at(story.snap, "k.positions.0.entry_price"),
        story.k["capital_raw"],
    )
    assert "(2, 3] not told" in str(at(story.snap, "reconcile.explanations"))


def two_of_one_second(story: Story, *trade_ids: str | None, forced: str | None = None) -> str:
    """Tell an order of two executions in one second, at 100 and at 104, by its rows."""
    order_id = story.new_order()
    story.pass_s(1)
    if forced is not None:
        story.executed(order_id, "2", question=Question.FORCED_ORDERS, forced=forced)
    story.fills(
        *(
            story.fill_row(order_id, "1", price, "0.05", trade_id=trade_id)
            for price, trade_id in zip(("100", "104"), trade_ids, strict=True)
        )
    )
    story.executed(order_id, "2")
    return order_id


def booked(story: Story, order_id: str, key: str = "BTC-USDT:LONG") -> list[tuple[str, str, int | None]]:
    """Give quote, end of the piece and trade number of an order's fills in the book."""
    fills = story.projection.state.positions[key].fills
    return [(plain(one.quote), str(one.within), one.trade_number) for one in fills if one.order_id == order_id]


@pytest.mark.parametrize(
    ("trade_ids", "numbers"),
    [(("7", "9"), [7, 9]), (("7", "9-1"), [7, None]), (("7", None), [7, None])],
    ids=["numbers", "another kind of id", "untold"],
)
def test_executions_of_one_second_are_booked_one_by_one(
    trade_ids: tuple[str | None, ...], numbers: list[int | None]
) -> None:
    """One fill for readers, two for the book, each with its price and, where it is one, the number of its trade."""
    story = Story()
    order_id = two_of_one_second(story, *trade_ids)
    assert 1 == len(current(story))
    assert [("100", "2"), ("104", "2")] == sorted((quote, within) for quote, within, _ in booked(story, order_id))
    assert dict(zip(("100", "104"), numbers, strict=True)) == {quote: n for quote, _, n in booked(story, order_id)}


def test_each_execution_of_one_second_is_compared_by_its_own_profit() -> None:
    """2 from 100 were closed at 110 and 106: R2 holds 10 against 10 and 6 against 6."""
    story = Story(positions=(Story(baseline=False).position_row("2", "100"),))
    closing = story.new_order()
    story.pass_s(1)
    figures: dict[str, Any] = {"side": Side.SELL, "at_ms": story.ms}
    story.fills(
        story.fill_row(closing, "1", "110", "0.055", rp="10", trade_id="1", **figures),
        story.fill_row(closing, "1", "106", "0.053", rp="6", trade_id="2", **figures),
    )
    story.executed(closing, "2", side=Side.SELL)
    fills = story.projection.state.positions["BTC-USDT:LONG"].fills
    assert ([D(6), D(10)], "0", "16") == (
        sorted(one.stated_pnl for one in fills if one.stated_pnl is not None),
        story.delta("realized_pnl"),
        story.k["realized_pnl"],
    )


def test_a_frame_dates_none_of_the_executions_that_it_told_together() -> None:
    """It is as late as the last of them, and nobody tells which that is: in the book each is good to its second."""
    story = Story()
    story.pass_s(0.4)
    order_id = buy(story, z="2", ap="102.00000000", fee="0.102")
    rows = [story.fill_row(order_id, "1", price, "0.051", trade_id=price) for price in ("100", "104")]
    story.fills(*rows)
    fills = story.projection.state.positions["BTC-USDT:LONG"].fills
    assert [(START_US // 1_000, True)] * 2 == [(one.at_ms, one.whole_second) for one in fills]


def test_the_executions_of_a_forced_close_are_booked_as_they_were_stated() -> None:
    """What counts as its profit is told otherwise: what they state tells their place, and is never compared."""
    story = Story()
    order_id = two_of_one_second(story, "7", "9", forced="LIQUIDATION")
    fills = story.projection.state.positions["BTC-USDT:LONG"].fills
    assert [("100", "2", 7), ("104", "2", 9)] == booked(story, order_id)
    assert [(D(0), False)] * 2 == [(one.stated_pnl, one.compared) for one in fills]


def test_a_fill_of_one_execution_has_its_number_from_whoever_told_it() -> None:
    """One trade id is the fill's; a fill without has none."""
    story = Story()
    told = story.new_order()
    story.pass_s(1)
    story.fills(story.fill_row(told, "1", "100", "0.05", trade_id="12"))
    story.executed(told, "1")
    untold = buy(story)
    assert ([("100", "None", 12)], [("100", "None", None)]) == (booked(story, told), booked(story, untold))


@pytest.mark.parametrize(("rp", "entry"), [("10", "104"), ("6", "100")], ids=["after the first", "after the second"])
def test_another_orders_fill_stands_between_executions_of_one_second(rp: str, entry: str) -> None:
    """Opened at 100 and 104, 1 closed at 110 in the same second: what it made says which of both is still open."""
    story = Story()
    two_of_one_second(story, "z1", "z2")
    closing = story.new_order()
    story.fills(
        story.fill_row(
            closing, "1", "110", "0.055", rp=rp, side=Side.SELL, trade_id="z3", at_ms=story.ms // 1_000 * 1_000
        )
    )
    story.executed(closing, "1", side=Side.SELL)
    assert ("1", entry, "0") == (
        at(story.snap, "k.positions.0.qty"),
        at(story.snap, "k.positions.0.entry_price"),
        story.delta("realized_pnl"),
    )


def test_rows_from_after_the_baseline_go_beyond_what_it_covers_of_an_order() -> None:
    """Of 3 executed before no row came, of 2 since one did: less than was known, and yet more was executed."""
    covered = CoveredOrder(order_id=BEFORE, symbol="BTC-USDT", executed=D(3), average_price=D(100))
    story = Story(positions=(Story(baseline=False).position_row("3", "100"),), covered=(covered,))
    story.pass_s(5)
    new = story.fill_row(BEFORE, "2", "100", "0.1")
    story.fills(new)
    assert {BEFORE: "what was executed in all is not known"} == story.projection.state.incomplete
    story.executed(BEFORE, "5")
    story.fills(story.fill_row(BEFORE, "3", "100", "0.15", at_ms=story.ms - 60_000), new, order_id=BEFORE)
    assert ({}, "5") == (story.projection.state.incomplete, at(story.snap, "k.positions.0.qty"))


# ---- contracts ------------------------------------------------------------------------------------------------------------


def terms(*ticks: str) -> Terms:
    """Tell the price step of BTC-USDT, if there is one."""
    contracts = tuple(Contract(symbol="BTC-USDT", tick=D(tick), lot=D("0.0001")) for tick in ticks)
    return Terms(hedge_mode=True, fee_rates=(), contracts=contracts, leverages=(), notes=())


def test_a_price_step_that_is_told_late_is_learnt_by_what_was_read_without() -> None:
    """An average price may have been rounded to any step while none was known: then to half of this one."""
    story = Story(symbols=())
    buy(story, z="2", ap="100.10000000", fee="0.1003")
    before = at(story.snap, "k.precision")["entry_price:BTC-USDT:LONG"]
    story.tell(terms("0.01"))
    after = at(story.snap, "k.precision")["entry_price:BTC-USDT:LONG"]
    assert ("0.05", "0.005", D("0.01")) == (before, after, story.projection.state.positions["BTC-USDT:LONG"].tick)


def test_contracts_that_are_not_told_again_stay_known() -> None:
    """A start at which they could not be asked takes nothing from what an earlier one learnt."""
    story = Story()
    buy(story)
    story.tell(terms())
    assert (D("0.1"), D("0.1")) == (
        story.projection.state.contracts["BTC-USDT"].tick,
        story.projection.state.positions["BTC-USDT:LONG"].tick,
    )


def test_a_trade_id_that_no_checkpoint_could_hold_orders_nothing() -> None:
    """It is told as it is; the state is written and read back."""
    story = Story()
    story.pass_s(10)
    told = "9" * 31
    order_id = story.order(z="1", ap="100.00000000", fee="0.05", last=("1", "100"))
    story.fills(story.fill_row(order_id, "1", "100", "0.05", trade_id=told))
    restored = Projection.restored("main", story.projection.checkpoint())
    assert state_bytes(restored) == state_bytes(story.projection)
    assert [told] == story.of_type("fill")[-1]["trade_ids"]
