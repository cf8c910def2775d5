"""The dual ledger by hand: the same book and the same rules as the daemon's, without clock and I/O."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from decimal import Decimal
from typing import Any

import pytest

from ditad.account import (
    AccountProjectionV2,
    AccountSnapshotV2,
    EPosition,
    ReconcileConfig,
    ReconcileStatus,
    TradeSide,
    TradeSlot,
    TradeStage,
)

D = Decimal
OK, WARN, ERROR, UNKNOWN = (ReconcileStatus.OK, ReconcileStatus.WARN, ReconcileStatus.ERROR, ReconcileStatus.UNKNOWN)


def fill(projection: AccountProjectionV2, price: Any = 100, qty: Any = 1, side: str = "BUY", **more: Any) -> bool:
    """Apply a fill of BTC-USDT, LONG unless said otherwise, free of charge unless said otherwise."""
    told = {"fee": 0, "realized_pnl": 0, "symbol": "BTC-USDT", "position_side": "LONG", **more}
    return projection.apply_fill(fill_price=price, fill_qty=qty, side=side, **told)


def bare(projection: AccountProjectionV2, fee: Any = 0, profit: Any = 0) -> None:
    """Apply a fill without symbol and side."""
    projection.apply_fill(fill_price=100, fill_qty=1, fee=fee, realized_pnl=profit)


def state(symbol: str = "BTC-USDT", qty: Any = 1, **more: Any) -> dict[str, Any]:
    """Make a stated position."""
    return {"symbol": symbol, "qty": qty, "side": "LONG", **more}


def slot(**changes: Any) -> TradeSlot:
    """Make an open LONG slot of 1 BTC-USDT at 100."""
    values: dict[str, Any] = {
        "asset": "BTC-USDT",
        "side": TradeSide.LONG,
        "size": 1,
        "entry_price": 100,
        "fsm_state": TradeStage.POSITION_OPEN,
    }
    return TradeSlot(**{**values, **changes})


def explained(snapshot: AccountSnapshotV2) -> list[str]:
    """Give class and field of each explanation."""
    return ["|".join(line.split("|")[:2]) for line in snapshot.reconcile.explanations]


# ---- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [D("0.1"), "0.1", 0.1], ids=repr)
def test_numbers_in_any_exact_form_come_back_as_decimals(number: Any) -> None:
    """A float counts by its shortest decimal text, everywhere."""
    projection = AccountProjectionV2(number)
    projection.apply_fill(fill_price=number, fill_qty=number, fee=number, realized_pnl=number)
    projection.apply_funding(number)
    projection.apply_balance_update(
        wallet_balance=number, available_margin=number, used_margin=number, maint_margin=number
    )
    projection.apply_position_update([EPosition("BTC-USDT", number, number, number, number, number)])
    snapshot = projection.build_snapshot("x", [])
    e = snapshot.e
    assert e.positions is not None
    assert [D("0.1")] * 14 == [
        e.wallet_balance,
        e.available_margin,
        e.used_margin,
        e.maint_margin,
        e.last_fill_price,
        e.last_fill_qty,
        e.last_fill_fee,
        e.last_fill_realized_pnl,
        e.last_funding,
        e.positions[0].qty,
        e.positions[0].entry_price,
        e.positions[0].leverage,
        snapshot.k.fees_paid,
        snapshot.k.realized_pnl,
    ]


def test_an_int_comes_back_as_a_decimal() -> None:
    """Whole numbers too."""
    assert (D(7), Decimal) == (AccountProjectionV2(7).k_capital, type(AccountProjectionV2(7).k_capital))


@pytest.mark.parametrize(
    ("bend", "match"),
    [
        ({"fill_price": 0}, "above 0"),
        ({"fill_qty": "-1"}, "above 0"),
        ({"realized_pnl": "NaN"}, "realized_pnl"),
        ({"side": "UP"}, "BUY or SELL"),
        ({"position_side": "UP"}, "LONG, SHORT or BOTH"),
    ],
)
def test_a_fill_that_makes_no_sense_raises_and_changes_nothing(bend: dict[str, Any], match: str) -> None:
    """Sums, book, last fill and identities stand as before: told right, the same fill then counts."""
    projection = AccountProjectionV2(1000)
    right: dict[str, Any] = {
        "fill_price": 100, "fill_qty": 1, "fee": 5, "realized_pnl": 0, "symbol": "BTC-USDT", "side": "BUY",
        "position_side": "LONG", "identity": "f1",
    }  # fmt: skip
    with pytest.raises(ValueError, match=match):
        projection.apply_fill(**{**right, **bend})
    assert (D(1000), None) == (projection.k_capital, projection.build_snapshot("x", []).e.last_fill_price)
    assert projection.apply_fill(**right)
    assert (D(995), 1) == (projection.k_capital, projection.build_snapshot("x", []).k.open_positions)


@pytest.mark.parametrize(
    "position",
    [
        {"symbol": "BTC-USDT", "qty": "NaN"},
        {"symbol": "BTC-USDT", "qty": None},
        {"symbol": "", "qty": 1},
        {"symbol": None, "qty": 1},
        {"qty": 1},
        {"symbol": "BTC-USDT", "qty": 1, "size": 1},
        {"symbol": "BTC-USDT", "qty": 1, "mark_price": "inf"},
    ],
    ids=repr,
)
def test_a_stated_position_that_makes_no_sense_raises_and_changes_nothing(position: dict[str, Any]) -> None:
    """What was stated before stays stated."""
    projection = AccountProjectionV2(1000)
    projection.apply_position_update([state(qty=3)])
    with pytest.raises(ValueError, match=r"due|has symbol|got"):
        projection.apply_position_update([state(), position])
    positions = projection.build_snapshot("x", []).e.positions
    assert positions is not None
    assert [D(3)] == [row.qty for row in positions]


def test_a_minimum_above_the_maximum_is_refused() -> None:
    """As in the daemon."""
    with pytest.raises(ValueError, match="above"):
        AccountProjectionV2(1, min_capital=2, max_capital=1)


@pytest.mark.parametrize(
    ("qty", "side", "expected"),
    [
        (1, "LONG", "LONG"),
        (1, "short", "SHORT"),
        (-1, "BOTH", "SHORT"),
        (1, "BOTH", "LONG"),
        (-1, None, "SHORT"),
        (2, None, "LONG"),
    ],
)
def test_the_sign_tells_the_side_where_none_was_told(qty: int, side: str | None, expected: str) -> None:
    """BOTH, or no side at all: a negative quantity is a SHORT."""
    position = EPosition("BTC-USDT", D(qty)) if side is None else EPosition("BTC-USDT", D(qty), side=side)
    assert expected == position.side


# ---- K ----------------------------------------------------------------------------------------------------------------


def test_the_equation_is_the_contracts() -> None:
    """Seed + realised − fees − funding + transfers + other."""
    projection = AccountProjectionV2(1000)
    bare(projection, fee="1.5", profit=20)
    projection.apply_funding(2)
    projection.apply_transfer(-100)
    projection.apply_other("0.25")
    k = projection.build_snapshot("x", []).k
    assert (D("916.75"), D("916.75"), D(1020 - D("1.5"))) == (k.capital, k.capital_raw, k.peak_capital)


def test_the_peak_does_not_fall() -> None:
    """The highest capital seen, by any fact."""
    projection = AccountProjectionV2(1000)
    for raise_by, fall_by in ((5, -5), (7, -7)):
        projection.apply_transfer(raise_by)
        projection.apply_other(fall_by)
    projection.apply_funding(-9)
    projection.apply_funding(9)
    assert D(1009) == projection.build_snapshot("x", []).k.peak_capital


def test_with_symbol_and_side_ks_positions_come_from_the_book() -> None:
    """Marks and leverage are the exchange's; what a slot says does not enter."""
    projection = AccountProjectionV2(1000)
    fill(projection, 100, 2)
    fill(projection, 110, 2)
    projection.apply_balance_update(wallet_balance=1000, used_margin=96)
    projection.apply_position_update([state(qty=4, mark_price=120, leverage=5)])
    snapshot = projection.build_snapshot("x", [slot(size=99)])
    k = snapshot.k
    assert (1, D(480), D(60), D(96), D(1060), D("0.48")) == (
        k.open_positions,
        k.open_notional,
        k.unrealized_pnl,
        k.used_margin,
        k.equity,
        k.leverage,
    )
    assert OK == snapshot.reconcile.status


def test_a_short_in_the_book_gains_when_the_mark_falls() -> None:
    """The side's sign, in hedge and in one-way mode."""
    for position_side in ("SHORT", None):
        projection = AccountProjectionV2(1000)
        fill(projection, 100, 2, "SELL", position_side=position_side)
        projection.apply_position_update([state(qty=2, side="SHORT", mark_price=90)])
        assert D(20) == projection.build_snapshot("x", []).k.unrealized_pnl


def test_a_one_way_fill_can_flip_the_position() -> None:
    """The closing part realises, the rest opens at the fill's price; one closed trade."""
    projection = AccountProjectionV2(1000)
    fill(projection, 100, 2, position_side=None)
    fill(projection, 110, 5, "SELL", position_side="BOTH", realized_pnl=20)
    projection.apply_balance_update(wallet_balance=1020)
    projection.apply_position_update([EPosition("BTC-USDT", D(-3), D(110), D(110))])
    snapshot = projection.build_snapshot("x", [])
    assert (OK, 1, D(20)) == (snapshot.reconcile.status, snapshot.k.trade_seq, snapshot.k.book_realized_pnl)


def test_without_symbol_and_side_ks_positions_come_from_the_slots() -> None:
    """One bare fill is enough: the book is not whole, so R2 is silent."""
    projection = AccountProjectionV2(1000)
    fill(projection, realized_pnl=7)
    bare(projection)
    projection.apply_position_update([state(qty=3, mark_price=110)])
    snapshot = projection.build_snapshot(
        "x", [slot(size=3, metadata={"mark_price": 110, "leverage": 2}), slot(closed=True)]
    )
    assert (1, D(330), D(30), D(165)) == (
        snapshot.k.open_positions,
        snapshot.k.open_notional,
        snapshot.k.unrealized_pnl,
        snapshot.k.used_margin,
    )
    assert "realized_pnl" not in snapshot.reconcile.deltas


def test_a_symbol_without_a_side_does_not_enter_the_book() -> None:
    """Both are needed to know what a fill did."""
    projection = AccountProjectionV2(1000)
    projection.apply_fill(fill_price=100, fill_qty=1, fee=0, realized_pnl=0, symbol="BTC-USDT")
    assert 0 == projection.build_snapshot("x", []).k.open_positions


# ---- R1 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fee", "expected"),
    [
        ("19.9", (WARN, ["UNSETTLED_FEE|capital_vs_wallet"])),
        ("20", (WARN, ["UNSETTLED_FEE|capital_vs_wallet"])),
        ("20.1", (ERROR, ["MISMATCH|capital_vs_wallet"])),
    ],
)
def test_a_fill_since_the_last_balance_is_unsettled_up_to_a_bound(fee: str, expected: tuple[Any, Any]) -> None:
    """Without a clock `pending_fee_bound` says how much a fill on its way may explain."""
    projection = AccountProjectionV2(1000)
    projection.apply_balance_update(wallet_balance=1000)
    bare(projection, fee=fee)
    snapshot = projection.build_snapshot("x", [])
    assert expected == (snapshot.reconcile.status, explained(snapshot))


def test_after_a_balance_nothing_is_unsettled() -> None:
    """The balance was stated after the fill: what is left is an error."""
    projection = AccountProjectionV2(1000)
    bare(projection, fee=5)
    projection.apply_balance_update(wallet_balance=1000)
    assert ERROR == projection.build_snapshot("x", []).reconcile.status


def test_without_a_balance_the_verdict_is_unknown() -> None:
    """Never OK, and an error of another rule stays an error."""
    projection = AccountProjectionV2(1000)
    snapshot = projection.build_snapshot("x", [])
    assert (UNKNOWN, "wallet_balance", ["NOT_STATED|wallet_balance"]) == (
        snapshot.reconcile.status,
        snapshot.reconcile.worst_field,
        explained(snapshot),
    )
    projection.apply_position_update([state(mark_price=100)])
    assert ERROR == projection.build_snapshot("x", []).reconcile.status


def test_margins_that_were_not_stated_stay_what_they_were() -> None:
    """`None` is never stated."""
    projection = AccountProjectionV2(1000)
    projection.apply_balance_update(wallet_balance=1000, used_margin=5)
    projection.apply_balance_update(wallet_balance=1000, available_margin=3)
    e = projection.build_snapshot("x", []).e
    assert (D(5), D(3), None) == (e.used_margin, e.available_margin, e.maint_margin)


# ---- R3, R4, R5, R6 ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "step", "status"),
    [
        ("1", "0.001", OK),
        ("1.0004", "0.001", OK),
        ("1.0005", "0.001", WARN),
        ("1.0009", "0.001", WARN),
        ("1.001", "0.001", ERROR),
        ("1.0001", "0", ERROR),
    ],
)
def test_quantities_without_contracts_may_be_off_by_part_of_a_lot(
    stated: str, step: str, status: ReconcileStatus
) -> None:
    """Under half a lot is equal, under one is rounding; without a lot they must be equal."""
    projection = AccountProjectionV2(1000, reconcile_config=ReconcileConfig(lot_step=D(step), capital_epsilon=D(1)))
    fill(projection)
    projection.apply_balance_update(wallet_balance=1000)
    projection.apply_position_update([state(qty=stated, mark_price=100)])
    assert status == projection.build_snapshot("x", []).reconcile.status


def test_slots_and_stated_positions_of_one_side_are_added() -> None:
    """Two slots of one symbol stand against one position of the exchange, and two isolated ones against one slot."""
    projection = AccountProjectionV2(1000)
    projection.apply_balance_update(wallet_balance=1000)
    projection.apply_position_update([state(qty=2, mark_price=100)])
    assert OK == projection.build_snapshot("x", [slot(), slot()]).reconcile.status
    projection.apply_position_update([state(qty=2, mark_price=100), state(qty=3, mark_price=100)])
    assert OK == projection.build_snapshot("x", [slot(size=5)]).reconcile.status


def test_a_stated_position_of_nothing_is_flat() -> None:
    """A qty of 0 is a statement of flat, and agrees with an empty book."""
    projection = AccountProjectionV2(1000)
    projection.apply_balance_update(wallet_balance=1000)
    projection.apply_position_update([state(qty=0)])
    assert OK == projection.build_snapshot("x", []).reconcile.status


def test_marks_too_far_apart_are_staleness() -> None:
    """A slot valued at 100 against a stated mark of 101: equal at E's mark, WARN."""
    projection = AccountProjectionV2(1000)
    projection.apply_balance_update(wallet_balance=1000)
    projection.apply_position_update([state(mark_price=101)])
    snapshot = projection.build_snapshot("x", [slot()])
    assert (WARN, ["MARK_PRICE_STALENESS|open_notional"]) == (snapshot.reconcile.status, explained(snapshot))


@pytest.mark.parametrize(
    ("position", "delta"),
    [
        (state("ETH-USDT", entry_price=50), -50),
        (state("ETH-USDT", mark_price=60), -60),
        (state("ETH-USDT"), 0),
        (state("BTC-USDT", 2), -100),
    ],
    ids=["at its entry", "at its mark", "never valued", "at k's mark"],
)
def test_notional_is_valued_at_the_best_mark_there_is(position: dict[str, Any], delta: int) -> None:
    """E's mark, else K's, else E's entry; and R3 and R6 speak in any case."""
    projection = AccountProjectionV2(1000)
    projection.apply_position_update([state(), position] if position["symbol"] == "ETH-USDT" else [position])
    result = projection.build_snapshot("x", [slot()]).reconcile
    assert (D(delta), ERROR) == (result.deltas["open_notional"], result.status)


def test_a_book_without_a_stated_mark_is_valued_at_its_entry() -> None:
    """Nothing gained and nothing lost until somebody tells a mark."""
    projection = AccountProjectionV2(1000)
    fill(projection, 100, 2)
    k = projection.build_snapshot("x", []).k
    assert (D(200), D(0), D(200)) == (k.open_notional, k.unrealized_pnl, k.used_margin)


@pytest.mark.parametrize(
    ("used", "explanation"), [(50, []), (51, ["LEVERAGE_ROUNDING|used_margin"]), (60, ["MARGIN_BASIS|used_margin"])]
)
def test_margin_is_compared_at_the_stated_leverage(used: int, explanation: list[str]) -> None:
    """WARN at most."""
    projection = AccountProjectionV2(1000)
    fill(projection)
    projection.apply_balance_update(wallet_balance=1000, used_margin=used)
    projection.apply_position_update([state(mark_price=100, leverage=2)])
    snapshot = projection.build_snapshot("x", [])
    assert explanation == explained(snapshot)
    assert snapshot.reconcile.status in {OK, WARN}


def test_margin_is_not_compared_while_a_leverage_is_not_known() -> None:
    """A rule speaks only where both sides can be said."""
    projection = AccountProjectionV2(1000)
    fill(projection)
    projection.apply_balance_update(wallet_balance=1000, used_margin=50)
    assert "used_margin" not in projection.build_snapshot("x", []).reconcile.deltas


def test_a_close_beyond_what_is_open_never_makes_a_position_negative() -> None:
    """In hedge mode it waits, and the quantities disagree."""
    projection = AccountProjectionV2(1000)
    fill(projection)
    fill(projection, 110, 2, "SELL")
    projection.apply_balance_update(wallet_balance=1000)
    projection.apply_position_update([])
    snapshot = projection.build_snapshot("x", [])
    assert (ERROR, D(1)) == (snapshot.reconcile.status, snapshot.reconcile.deltas["position_qty:BTC-USDT:LONG"])


# ---- the snapshot -----------------------------------------------------------------------------------------------------


def test_snapshots_are_numbered_and_kept() -> None:
    """`snapshot` is the last one built; before the first there is none."""
    projection = AccountProjectionV2(1000)
    assert None is projection.snapshot
    first, second = projection.build_snapshot("a", [], ts=1), projection.build_snapshot("b", [], ts=2)
    assert (1, "a", 1, 2, "b", 2) == (
        first.event_seq,
        first.source_event_id,
        first.ts,
        second.event_seq,
        second.source_event_id,
        second.ts,
    )
    assert second is projection.snapshot


def test_a_snapshot_is_of_its_moment() -> None:
    """Later facts do not reach into it, and nobody can change it."""
    projection = AccountProjectionV2(1000)
    before = projection.build_snapshot("x", [])
    projection.apply_transfer(5)
    assert D(1000) == before.k.capital
    with pytest.raises(FrozenInstanceError):
        before.event_seq = 9  # type: ignore[misc]  # the point


def test_before_any_statement_e_is_never_stated() -> None:
    """Every field is None, positions too: unknown is not flat."""
    e = AccountProjectionV2(1000).build_snapshot("x", []).e
    assert (None, None, None, None) == (e.wallet_balance, e.positions, e.last_fill_price, e.last_funding)
