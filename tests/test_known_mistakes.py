"""Every mistake that a bot once made in its books, each with a test that would catch it here.

Where it applies a mistake is tried on the daemon's fold and on the public library. All payloads are synthetic, except
where a test says that they are captured.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from ditad.account import AccountProjection, AccountProjectionV2, ReconcileStatus, TradeSide, TradeSlot, TradeStage
from ditad.bingx.intake import read_private
from ditad.bingx.normalize import ConfigFilter
from ditad.events import OrderPush, OrderStatus, PositionSide, PushRejected, Side
from ditad.projection import Projection
from tests.support.captures import FIRST_PAIR, PAYLOADS, before_first_pair, begin, hear
from tests.support.reading import at, audit, explained, lines_of, state_bytes
from tests.support.story import Story

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
D = Decimal
FET = "FET-USDT"


def fet_round_trip() -> Story:
    """Tell the real case of account.md §1: a short of 202 000 FET, closed; order ids, times and wallets made up."""
    story = Story(wallet="20000", tick="0.0001", symbols=(FET,))
    story.order(side=Side.SELL, ps=SHORT, z="202000", ap="0.18780000", fee="18.9678", symbol=FET)
    story.account("19981.0322", (FET, SHORT, "202000", "0.1878"))
    story.pass_s(60)
    story.order(side=Side.BUY, ps=SHORT, z="202000", ap="0.18660000", fee="18.8466", rp="242.4", symbol=FET)
    story.account("20204.5856", (FET, SHORT, "0", "0"))
    return story


def fet_in_library(**fill: str) -> AccountProjectionV2:
    """Fold the same case by hand; `fill` bends the closing fill."""
    projection = AccountProjectionV2("20000")
    projection.apply_fill(
        fill_price="0.1878",
        fill_qty=202000,
        fee="18.9678",
        realized_pnl=0,
        symbol=FET,
        side="SELL",
        position_side="SHORT",
    )
    closing = {"fill_price": "0.1866", "fee": "18.8466", "realized_pnl": "242.4", **fill}
    projection.apply_fill(fill_qty=202000, symbol=FET, side="BUY", position_side="SHORT", **closing)
    return projection


# ---- the fill booked at `p` -------------------------------------------------------------------------------------------


def test_no_order_price_reaches_the_fold() -> None:
    """The captured LTC frame's bound price 64.3501 is no field of the event: its fill is booked at 64.36."""
    story = begin("100", 1_696_843_600_000, symbols=("LTC-USDT",), tick="0.01")
    hear(story, "captured_order_2023_10")
    assert "64.36" == story.of_type("fill")[0]["price"]


def test_a_bound_price_far_from_the_fill_changes_nothing() -> None:
    """The captured first frame with its `p` bent to 0.229 leads to the very same event."""
    data = (PAYLOADS / "captured_order_1a.json").read_bytes()
    bent = data.replace(b'"p":"28397.20000000"', b'"p":"0.229"')
    assert data != bent
    assert read_private(data, ConfigFilter(), 65_536).bodies == read_private(bent, ConfigFilter(), 65_536).bodies


def test_the_real_case_nets_what_it_netted() -> None:
    """242.40 gross and 37.8144 of fees leave +204.5856, not −6 000."""
    story = fet_round_trip()
    assert ("20204.5856", "242.4", "37.8144") == (
        story.k["capital_raw"],
        story.k["book_realized_pnl"],
        story.k["fees_paid"],
    )


def test_the_library_nets_what_the_real_case_netted() -> None:
    """The same round trip by hand leaves the same capital."""
    assert D("20204.5856") == fet_in_library().k_capital


def test_a_fill_booked_at_the_bound_price_is_an_error() -> None:
    """Booked at 0.229 the book's own profit is −8 322.4 and contradicts what the exchange stated."""
    snapshot = fet_in_library(fill_price="0.229").build_snapshot("x", [])
    assert (ReconcileStatus.ERROR, D("-8564.8")) == (
        snapshot.reconcile.status,
        snapshot.reconcile.deltas["realized_pnl"],
    )


# ---- profit multiplied by leverage ------------------------------------------------------------------------------------


def test_leverage_does_not_enter_profit() -> None:
    """A short at leverage 3 realises what it would at leverage 1, and the ledgers agree."""
    story = Story(wallet="20000", tick="0.0001", symbols=(FET,))
    story.order(side=Side.SELL, ps=SHORT, z="202000", ap="0.18780000", fee="18.9678", symbol=FET)
    story.account("19981.0322")
    story.positions(story.position_row("202000", "0.1878", symbol=FET, side=SHORT, leverage="3", mark="0.1866"))
    assert "242.4" == story.k["unrealized_pnl"]


def test_profit_stated_times_leverage_is_an_error_of_r2() -> None:
    """A stated profit of three times (exit − entry)·qty contradicts the book."""
    snapshot = fet_in_library(realized_pnl="727.2").build_snapshot("x", [])
    assert ReconcileStatus.ERROR == snapshot.reconcile.status
    assert "realized_pnl" == snapshot.reconcile.worst_field


def test_leverage_does_not_enter_a_slots_profit() -> None:
    """A bot's slot with leverage 3 shows (mark − entry)·size and no more."""
    ledger = AccountProjection()
    slot = TradeSlot(
        asset="FET",
        side=TradeSide.SHORT,
        size=202000,
        entry_price="0.1878",
        fsm_state=TradeStage.POSITION_OPEN,
        metadata={"mark_price": "0.1866", "leverage": 3},
    )
    assert D("242.4") == ledger.observe_slots([slot]).unrealized_pnl


# ---- a baseline lost by a restart -------------------------------------------------------------------------------------


def test_a_restart_keeps_seed_and_sums() -> None:
    """Restored from a checkpoint the next event leads to the same snapshot as without a restart."""
    story = fet_round_trip()
    restored = Projection.restored("main", story.projection.checkpoint())
    before = len(story.events)
    story.account("20204.5856", (FET, SHORT, "0", "0"), reason="ORDER")
    story.order(side=Side.SELL, ps=SHORT, z="1000", ap="0.19000000", fee="0.095", symbol=FET)
    assert lines_of(story.events[before:], restored)[-1].endswith(b"}")
    assert "20204.4906" == story.k["capital_raw"]
    assert state_bytes(story.projection) == state_bytes(restored)


def test_terms_told_at_a_restart_do_not_reset_the_ledger() -> None:
    """Settings and terms are told anew at each start; seed, sums and baseline stay."""
    story = fet_round_trip()
    before = {name: story.k[name] for name in ("capital_raw", "realized_pnl", "fees_paid", "peak_capital")}
    for event in story.events[:2]:
        story.tell(event.body)
    assert before == {name: story.k[name] for name in before}
    assert "b1" == at(story.snap, "baseline.id")


# ---- a running total compared with the last fill only -----------------------------------------------------------------


def test_r2_compares_sums_with_sums() -> None:
    """Two profitable closes agree although the second stated profit is far from the total."""
    story = Story()
    story.order(z="2", ap="100.00000000", fee="0.1")
    story.pass_s(1)
    story.order(side=Side.SELL, z="1", ap="110.00000000", fee="0.055", rp="10")
    story.pass_s(1)
    story.order(side=Side.SELL, z="1", ap="101.00000000", fee="0.0505", rp="1")
    story.account("1010.7945", ("BTC-USDT", LONG, "0", "0"))
    assert ("OK", "0", "11") == (story.status, story.delta("realized_pnl"), at(story.snap, "e.realized_pnl"))


def test_r2_sees_a_wrong_profit_that_is_not_the_last() -> None:
    """A first close stated 5 too high is still an error after a right second one."""
    story = Story()
    story.order(z="2", ap="100.00000000", fee="0.1")
    story.pass_s(1)
    story.order(side=Side.SELL, z="1", ap="110.00000000", fee="0.055", rp="15")
    story.pass_s(1)
    story.order(side=Side.SELL, z="1", ap="101.00000000", fee="0.0505", rp="1")
    story.account("1015.7945", ("BTC-USDT", LONG, "0", "0"))
    assert ("ERROR", "-5") == (story.status, story.delta("realized_pnl"))


def test_the_librarys_r2_compares_sums_with_sums() -> None:
    """By hand too, the total is compared with the total."""
    projection = AccountProjectionV2(1000)
    for price, quantity, side, profit in ((100, 2, "BUY", 0), (110, 1, "SELL", 10), (101, 1, "SELL", 1)):
        projection.apply_fill(
            fill_price=price,
            fill_qty=quantity,
            fee=0,
            realized_pnl=profit,
            symbol="BTC-USDT",
            side=side,
            position_side="LONG",
        )
    projection.apply_balance_update(wallet_balance=1011)
    snapshot = projection.build_snapshot("x", [])
    assert (ReconcileStatus.OK, D(0)) == (snapshot.reconcile.status, snapshot.reconcile.deltas["realized_pnl"])


# ---- notional compared with margin ------------------------------------------------------------------------------------


def test_r4_compares_notional_with_notional_and_r5_margin_with_margin() -> None:
    """At leverage 10 a notional of 1000 stands beside a margin of 100, and nothing is wrong with either."""
    story = Story()
    story.order(z="10", ap="100.00000000", fee="0.5")
    story.account("999.5", ("BTC-USDT", LONG, "10", "100"))
    story.positions(story.position_row("10", "100", mark="100", leverage="10"))
    story.balance("999.5", used="100")
    assert ("OK", "0", "0") == (story.status, story.delta("open_notional"), story.delta("used_margin"))
    assert ("1000", "100") == (story.k["open_notional"], story.k["used_margin"])


def test_the_library_compares_notional_with_notional() -> None:
    """By hand too: 1000 of notional against a used margin of 100 is no difference at leverage 10."""
    projection = AccountProjectionV2(1000)
    projection.apply_fill(
        fill_price=100, fill_qty=10, fee=0, realized_pnl=0, symbol="BTC-USDT", side="BUY", position_side="LONG"
    )
    projection.apply_balance_update(wallet_balance=1000, used_margin=100, available_margin=900)
    projection.apply_position_update(
        [{"symbol": "BTC-USDT", "qty": 10, "entry_price": 100, "mark_price": 100, "leverage": 10, "side": "LONG"}]
    )
    deltas = projection.build_snapshot("x", []).reconcile.deltas
    assert (D(0), D(0)) == (deltas["open_notional"], deltas["used_margin"])


# ---- no per-position quantity check -----------------------------------------------------------------------------------


def test_a_wrong_quantity_is_found_although_count_and_wallet_agree() -> None:
    """Two positions each, equal wallets, equal notional in total: only R3 sees that one unit is in the wrong symbol."""
    story = Story(symbols=("BTC-USDT", "ETH-USDT"))
    story.order(z="2", ap="100.00000000", fee="0.1")
    story.order(z="2", ap="100.00000000", fee="0.1", symbol="ETH-USDT")
    story.account("999.8", ("BTC-USDT", LONG, "1", "100"), ("ETH-USDT", LONG, "3", "100"))
    story.tick()
    rows = (
        story.position_row("1", "100", mark="100"),
        story.position_row("3", "100", mark="100", symbol="ETH-USDT"),
    )
    audit(story, "999.8", *rows, symbols=("BTC-USDT", "ETH-USDT"))
    assert ("1", "-1", "0", "0") == tuple(
        story.delta(name)
        for name in ("position_qty:BTC-USDT:LONG", "position_qty:ETH-USDT:LONG", "open_positions", "open_notional")
    )
    assert "ERROR" == story.status


def test_the_library_checks_each_quantity() -> None:
    """By hand too, one unit in the wrong symbol is an error of R3."""
    projection = AccountProjectionV2(1000)
    for symbol in ("BTC-USDT", "ETH-USDT"):
        projection.apply_fill(
            fill_price=100, fill_qty=2, fee=0, realized_pnl=0, symbol=symbol, side="BUY", position_side="LONG"
        )
    projection.apply_balance_update(wallet_balance=1000)
    projection.apply_position_update(
        [
            {"symbol": "BTC-USDT", "qty": 1, "mark_price": 100, "side": "LONG"},
            {"symbol": "ETH-USDT", "qty": 3, "mark_price": 100, "side": "LONG"},
        ]
    )
    result = projection.build_snapshot("x", []).reconcile
    assert (ReconcileStatus.ERROR, "position_qty:BTC-USDT:LONG") == (result.status, result.worst_field)


# ---- silence when the exchange says flat, zero or negative --------------------------------------------------------------


def test_flat_on_the_exchange_is_an_error_while_k_is_open() -> None:
    """R6 and R3 speak when the exchange says "no positions" and a complete audit finds nothing that explains it."""
    story = Story()
    story.order(z="1", ap="100.00000000", fee="0.05")
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    audit(story, "999.95")  # its report says flat
    story.tick()  # which no twin explained in time, so it is asked about
    audit(story, "999.95")
    assert ("ERROR", "1", "1") == (
        story.status,
        story.delta("open_positions"),
        story.delta("position_qty:BTC-USDT:LONG"),
    )


def test_the_librarys_r6_speaks_when_the_exchange_says_flat() -> None:
    """An empty statement of positions is a statement."""
    projection = AccountProjectionV2(1000)
    projection.apply_fill(
        fill_price=100, fill_qty=1, fee=0, realized_pnl=0, symbol="BTC-USDT", side="BUY", position_side="LONG"
    )
    projection.apply_balance_update(wallet_balance=1000)
    projection.apply_position_update([])
    result = projection.build_snapshot("x", []).reconcile
    assert (ReconcileStatus.ERROR, D(1)) == (result.status, result.deltas["open_positions"])


@pytest.mark.parametrize("wallet", ["0", "-12.5"], ids=["zero", "negative"])
def test_r1_speaks_when_the_wallet_is_not_above_zero(wallet: str) -> None:
    """A wallet of zero or less is a statement like any other."""
    story = Story()
    story.account(wallet)
    assert str(1000 - D(wallet)) == story.delta("capital_vs_wallet")
    story.tick()
    assert ["CONFIRMING|capital_vs_wallet"] == explained(story)


@pytest.mark.parametrize("wallet", [0, "-12.5"], ids=["zero", "negative"])
def test_the_librarys_r1_speaks_when_the_wallet_is_not_above_zero(wallet: int | str) -> None:
    """By hand too."""
    projection = AccountProjectionV2(1000)
    projection.apply_balance_update(wallet_balance=wallet)
    assert ReconcileStatus.ERROR == projection.build_snapshot("x", []).reconcile.status


# ---- LONG and SHORT of one symbol merged ------------------------------------------------------------------------------


def test_long_and_short_of_one_symbol_stay_two() -> None:
    """A LONG of 2 and a SHORT of 2 are two positions, not none."""
    story = Story()
    story.order(z="2", ap="100.00000000", fee="0.1")
    story.order(side=Side.SELL, ps=SHORT, z="2", ap="110.00000000", fee="0.11")
    story.account("999.79", ("BTC-USDT", LONG, "2", "100"), ("BTC-USDT", SHORT, "2", "110"))
    assert [("LONG", "2", "100"), ("SHORT", "2", "110")] == [
        (row["side"], row["qty"], row["entry_price"]) for row in at(story.snap, "k.positions")
    ]
    assert ("OK", 2) == (story.status, story.k["open_positions"])


def test_the_library_keeps_long_and_short_apart() -> None:
    """By hand too, each side has its own quantity check."""
    projection = AccountProjectionV2(1000)
    for side, where in (("BUY", "LONG"), ("SELL", "SHORT")):
        projection.apply_fill(
            fill_price=100, fill_qty=2, fee=0, realized_pnl=0, symbol="BTC-USDT", side=side, position_side=where
        )
    projection.apply_position_update([{"symbol": "BTC-USDT", "qty": 2, "side": "LONG", "mark_price": 100}])
    deltas = projection.build_snapshot("x", []).reconcile.deltas
    assert (D(0), D(2)) == (deltas["position_qty:BTC-USDT:LONG"], deltas["position_qty:BTC-USDT:SHORT"])


# ---- garbage or NaN turned into 0 -------------------------------------------------------------------------------------

GARBAGE = ["NaN", "Infinity", "-Infinity", "1e400", "", "twelve"]


@pytest.mark.parametrize("value", GARBAGE)
def test_a_garbage_wallet_is_refused_and_opens_a_gap(value: str) -> None:
    """The captured account frame with its wallet bent is no statement; it stays visible in the verdict."""
    data = (PAYLOADS / "captured_account_order_1a.json").read_bytes().replace(b'"3.99556190"', f'"{value}"'.encode())
    story = before_first_pair()
    (body,) = read_private(data, ConfigFilter(), 65_536).bodies
    assert isinstance(body, PushRejected)
    story.tell(body)
    assert ("3.99982137", "UNKNOWN", 1, "open") == (
        at(story.snap, "e.wallet_balance"),
        story.status,
        at(story.snap, "coverage.rejected"),
        at(story.snap, "coverage.gaps.0.state"),
    )


@pytest.mark.parametrize("value", [*GARBAGE, None, float("nan"), float("inf"), True], ids=repr)
def test_garbage_in_the_library_raises_and_changes_nothing(value: object) -> None:
    """What is no finite number never becomes 0: the call raises and the ledger stands as before."""
    projection = AccountProjectionV2(1000)
    with pytest.raises(ValueError, match=r"due|bounds"):
        projection.apply_fill(fill_price=100, fill_qty=1, fee=value, realized_pnl=0)  # type: ignore[arg-type]  # garbage
    with pytest.raises(ValueError, match=r"due|bounds"):
        projection.apply_balance_update(wallet_balance=value)  # type: ignore[arg-type]  # garbage
    snapshot = projection.build_snapshot("x", [])
    assert (D(1000), None, None) == (snapshot.k.capital, snapshot.e.wallet_balance, snapshot.e.last_fill_fee)


def test_a_fee_that_nobody_told_is_unknown_not_zero() -> None:
    """K does not book 0 for it: the amount is listed and the verdict is UNKNOWN."""
    story = Story()
    order_id = story.order(z="1", ap="100.00000000", fee=None)
    assert (order_id, "UNKNOWN") == (at(story.snap, "k.unknown.0.order_id"), story.status)
    assert None is story.of_type("fill")[0]["fee"]


# ---- ts=0 taken for "no time" -----------------------------------------------------------------------------------------


def test_a_trade_time_of_zero_falls_back_to_the_event_time() -> None:
    """The captured LTC frame has `T` 0: its fill is dated by `E`, not 1970."""
    story = begin("100", 1_696_843_600_000, symbols=("LTC-USDT",), tick="0.01")
    hear(story, "captured_order_2023_10")
    assert "2023-10-09T09:27:15.475000Z" == story.of_type("fill")[0]["at"]


def test_zero_is_a_time_for_the_library() -> None:
    """A snapshot asked for at ts=0 says 0; only `None` is no time."""
    projection = AccountProjectionV2(1000)
    at_zero, without = projection.build_snapshot("x", [], ts=0), projection.build_snapshot("x", [])
    assert (0, 0, None) == (at_zero.ts, at_zero.reconcile.ts, without.ts)


def test_zero_is_a_time_for_an_account_event() -> None:
    """Seconds since the epoch may be 0."""
    event = AccountProjection().to_account_event(
        timestamp=0, trade_id="t", asset="FET", side="LONG", stage="CLOSED", reason="r"
    )
    assert "1970-01-01T00:00:00+00:00" == event["timestamp"]


# ---- R1 through the clamp ---------------------------------------------------------------------------------------------


def test_r1_compares_what_is_not_clamped() -> None:
    """With a maximum of 500 and a wallet of 1000 the ledgers agree, and the bot is told 500."""
    story = Story(max_capital=D(500))
    story.account("1000")
    assert ("OK", "0", "500", "1000") == (
        story.status,
        story.delta("capital_vs_wallet"),
        story.k["capital"],
        story.k["capital_raw"],
    )


def test_the_clamp_hides_no_loss() -> None:
    """With a minimum of 900 a loss down to 800 that K does not know of is still seen."""
    story = Story(wallet="900", min_capital=D(900))
    story.account("800")
    story.tick()
    assert ("100", "WARN") == (story.delta("capital_vs_wallet"), story.status)


@pytest.mark.parametrize(("least", "most"), [(0, 500), (2000, None)], ids=["above", "below"])
def test_the_librarys_r1_compares_what_is_not_clamped(least: int, most: int | None) -> None:
    """By hand too, the clamp is for sizing alone."""
    projection = AccountProjectionV2(1000, min_capital=least, max_capital=most)
    projection.apply_balance_update(wallet_balance=1000)
    snapshot = projection.build_snapshot("x", [])
    assert (ReconcileStatus.OK, D(most or least)) == (snapshot.reconcile.status, snapshot.k.capital)


# ---- deposits and withdrawals missing from the equation ---------------------------------------------------------------


def test_a_withdrawal_is_part_of_the_equation() -> None:
    """The captured WITHDRAW frame moves K by its change of −1, and the ledgers agree."""
    story = begin("50.81083984", 1_696_244_240_000)
    hear(story, "captured_account_withdraw")
    assert ("OK", "-1", "49.81083984") == (story.status, story.k["transfers"], story.k["capital_raw"])


def test_a_deposit_is_part_of_the_equation() -> None:
    """A deposit adds to K."""
    story = Story()
    story.account("1250", reason="DEPOSIT", change="250")
    assert ("OK", "250", "1250") == (story.status, story.k["transfers"], story.k["capital_raw"])


def test_transfers_are_part_of_the_librarys_equation() -> None:
    """By hand too, with funding and other income beside."""
    projection = AccountProjectionV2(1000)
    projection.apply_transfer("250")
    projection.apply_transfer("-50")
    projection.apply_funding("3")
    projection.apply_other("0.5")
    projection.apply_balance_update(wallet_balance="1197.5")
    snapshot = projection.build_snapshot("x", [])
    assert (ReconcileStatus.OK, D(200), D(3), D("0.5")) == (
        snapshot.reconcile.status,
        snapshot.k.transfers,
        snapshot.k.funding_paid,
        snapshot.k.other_income,
    )


# ---- the same fill under two event names ------------------------------------------------------------------------------


def test_a_fill_heard_under_both_names_counts_once() -> None:
    """The captured first order frame, and again under the other event name, is one fill."""
    story = before_first_pair()
    for name in FIRST_PAIR:
        hear(story, name)
    data = (PAYLOADS / "captured_order_1a.json").read_bytes().replace(b"ORDER_TRADE_UPDATE", b"TRADE_UPDATE")
    (body,) = read_private(data, ConfigFilter(), 65_536).bodies
    assert isinstance(body, OrderPush)
    assert "TRADE_UPDATE" == body.name
    story.tell(body)
    assert (1, "0.00425947", "OK") == (len(story.of_type("fill")), story.k["fees_paid"], story.status)


def test_a_fill_heard_again_from_rest_counts_once() -> None:
    """A fill that pushes told and a fill history tells again is one fill."""
    story = Story()
    order_id = story.order(z="1", ap="100.00000000", fee="0.05")
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    story.executed(order_id, "1", status=OrderStatus.FILLED)
    story.fills(story.fill_row(order_id, "1", "100", "0.05", trade_id="9"))
    assert ("0.05", "OK") == (story.k["fees_paid"], story.status)


def test_a_fill_told_twice_to_the_library_counts_once() -> None:
    """With an identity the second telling says that it did not count."""
    projection = AccountProjectionV2(1000)

    def told() -> bool:
        return projection.apply_fill(fill_price=100, fill_qty=1, fee=1, realized_pnl=0, identity="o1:0:1")

    assert (True, False, D(999)) == (told(), told(), projection.k_capital)
