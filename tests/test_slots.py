"""The slot-driven ledger: what a bot believes of its own positions and settlements."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ditad.account import AccountProjection, AccountSnapshot, TradeSide, TradeSlot, TradeStage

D = Decimal


def slot(**changes: Any) -> TradeSlot:
    """Make an open LONG slot of 2 at 100, some of it changed."""
    values: dict[str, Any] = {
        "asset": "BTC-USDT",
        "side": TradeSide.LONG,
        "size": 2,
        "entry_price": 100,
        "fsm_state": TradeStage.POSITION_OPEN,
    }
    return TradeSlot(**{**values, **changes})


# ---- which slots count ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "counts"),
    [
        ("POSITION_OPEN", True),
        ("POSITION_OPENED", True),
        ("ENTRY_WORKING", True),
        ("EXIT_WORKING", True),
        (TradeStage.EXIT_WORKING, True),
        ("IDLE", False),
        ("CLOSED", False),
        ("SOMETHING_NEW", False),
    ],
)
def test_a_slot_counts_at_the_stages_that_hold_a_position(stage: str, *, counts: bool) -> None:
    """Unknown stages are accepted and don't count."""
    assert int(counts) == AccountProjection().observe_slots([slot(fsm_state=stage)]).open_positions


@pytest.mark.parametrize("change", [{"closed": True}, {"size": 0}, {"size": "-1"}], ids=repr)
def test_a_slot_that_is_closed_or_empty_does_not_count(change: dict[str, Any]) -> None:
    """It must be open and hold something."""
    assert 0 == AccountProjection().observe_slots([slot(**change)]).open_positions


# ---- what a slot is worth ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "mark"),
    [
        ({}, "100"),
        ({"mark_price": 110}, "110"),
        ({"mark_price": 0}, "100"),
        ({"mark_price": "-1"}, "100"),
        ({"mark_price": None}, "100"),
    ],
    ids=repr,
)
def test_the_mark_is_the_slots_own_if_above_zero_else_its_entry(metadata: dict[str, Any], mark: str) -> None:
    """account.md §4."""
    assert D(mark) == slot(metadata=metadata).mark


@pytest.mark.parametrize(("metadata", "leverage"), [({}, 1), ({"leverage": 5}, 5), ({"leverage": "0.5"}, 1)], ids=repr)
def test_leverage_is_at_least_one(metadata: dict[str, Any], leverage: int) -> None:
    """max(1, metadata)."""
    assert D(leverage) == slot(metadata=metadata).leverage


@pytest.mark.parametrize("value", ["NaN", [], True, float("inf")], ids=repr)
def test_a_slots_garbage_never_becomes_zero(value: object) -> None:
    """A mark, leverage or size that is no finite number raises."""
    with pytest.raises(ValueError, match="mark_price"):
        _ = slot(metadata={"mark_price": value}).mark
    with pytest.raises(ValueError, match="size"):
        AccountProjection().observe_slots([slot(size=value)])


@pytest.mark.parametrize(
    ("side", "metadata", "told", "expected"),
    [
        ("LONG", {"mark_price": 110}, 0, 20),
        ("SHORT", {"mark_price": 110}, 0, -20),
        (TradeSide.SHORT, {"mark_price": 90, "leverage": 7}, 0, 20),
        ("LONG", {}, "3.5", "3.5"),
    ],
    ids=["long", "short", "leverage does not enter", "as told without a mark"],
)
def test_unrealised_profit_has_the_sides_sign(side: str, metadata: dict[str, Any], told: Any, expected: Any) -> None:
    """(mark − entry)·size where a mark was told."""
    snapshot = AccountProjection().observe_slots([slot(side=side, metadata=metadata, unrealized_pnl=told)])
    assert (D(expected), D(25000) + D(expected)) == (snapshot.unrealized_pnl, snapshot.equity)


def test_observing_sets_positions_notional_and_leverage() -> None:
    """Two slots: 2·110 + 1·50 of notional on a capital of 100."""
    ledger = AccountProjection(snapshot=AccountSnapshot(D(100), D(100)))
    snapshot = ledger.observe_slots(
        [slot(metadata={"mark_price": 110}), slot(size=1, entry_price=50), slot(closed=True)]
    )
    assert (2, D(270), D("2.7")) == (snapshot.open_positions, snapshot.open_notional, snapshot.leverage)
    assert 0 == ledger.observe_slots([]).open_notional


def test_the_peak_follows_capital_while_something_is_open() -> None:
    """Flat, observing leaves the peak."""
    start = AccountSnapshot(D(100), D(100), peak_capital=D(90))
    assert D(100) == AccountProjection(snapshot=start).observe_slots([slot()]).peak_capital
    assert D(90) == AccountProjection(snapshot=start).observe_slots([]).peak_capital


# ---- settlements ------------------------------------------------------------------------------------------------------


def test_a_settled_profit_is_net_and_its_fees_are_only_counted() -> None:
    """204.5856 net with 37.8144 of fees adds 204.5856 to the capital."""
    ledger = AccountProjection()
    ledger.observe_slots([slot(metadata={"mark_price": 110})])
    snapshot = ledger.settle("204.5856", fees="37.8144")
    assert (D("25204.5856"), D("204.5856"), D("37.8144"), 1, D("25224.5856"), D("25204.5856")) == (
        snapshot.capital,
        snapshot.realized_pnl,
        snapshot.fees_paid,
        snapshot.trade_seq,
        snapshot.equity,
        snapshot.peak_capital,
    )


def test_the_clamp_applies_at_each_settlement() -> None:
    """What was cut off at the top or filled up at the bottom does not come back."""
    ledger = AccountProjection(min_capital=50, max_capital=150, snapshot=AccountSnapshot(100, 100))  # type: ignore[arg-type]  # any form
    assert [D(150), D(140), D(50), D(60)] == [ledger.settle(profit).capital for profit in (200, -10, -500, 10)]


def test_a_minimum_above_the_maximum_is_refused() -> None:
    """Nothing could be inside."""
    with pytest.raises(ValueError, match="min_capital 2 is above max_capital 1"):
        AccountProjection(min_capital=2, max_capital=1)


@pytest.mark.parametrize("value", ["NaN", None, "x"], ids=repr)
def test_a_settlement_that_is_no_number_changes_nothing(value: object) -> None:
    """It raises, and the ledger stands as before."""
    ledger = AccountProjection()
    before = ledger.snapshot
    with pytest.raises(ValueError, match="realized_pnl"):
        ledger.settle(value)  # type: ignore[arg-type]  # garbage
    assert before is ledger.snapshot


# ---- the snapshot and the event ---------------------------------------------------------------------------------------


def test_numbers_in_any_form_come_back_as_decimals() -> None:
    """A float by its shortest text."""
    snapshot = AccountSnapshot(0.1, "2", realized_pnl=3, peak_capital="4")  # type: ignore[arg-type]  # any form
    assert (D("0.1"), D(2), D(3), D(4)) == (
        snapshot.capital,
        snapshot.equity,
        snapshot.realized_pnl,
        snapshot.peak_capital,
    )


@pytest.mark.parametrize(("capital", "notional"), [(0, 5), (-1, 5), (5, 0)])
def test_leverage_is_zero_where_either_is_not_above_zero(capital: int, notional: int) -> None:
    """account.md §4."""
    assert D(0) == AccountSnapshot(D(capital), D(capital), open_notional=D(notional)).leverage


def test_a_snapshot_cannot_be_changed() -> None:
    """Each is the ledger at one moment."""
    with pytest.raises(FrozenInstanceError):
        AccountProjection().snapshot.capital = D(0)  # type: ignore[misc]  # the point


def test_the_account_event_has_the_promised_keys() -> None:
    """account.md §4's account event, in its order."""
    ledger = AccountProjection(runtime_namespace="r", actor_name="a", exec_venue="v")
    ledger.observe_slots([slot()])
    event = ledger.to_account_event(
        timestamp=datetime(2026, 11, 22, tzinfo=UTC),
        trade_id="t1",
        asset="BTC-USDT",
        side=TradeSide.LONG,
        stage=TradeStage.CLOSED,
        reason="exit",
        pnl="1.5",
        pnl_pct=0.1,
        bars_held=3,
        metadata={"note": "x"},
    )
    assert [
        "timestamp",
        "runtime_namespace",
        "strategy_namespace",
        "event_namespace",
        "actor_name",
        "exec_venue",
        "data_venue",
        "ledger_authority",
        "capital",
        "equity",
        "open_positions",
        "current_open_notional",
        "current_account_leverage",
        "trade_id",
        "asset",
        "side",
        "reason",
        "stage",
        "pnl",
        "pnl_pct",
        "bars_held",
        "metadata",
    ] == list(event)
    assert ["2026-11-22T00:00:00+00:00", "r", "dita_v2", "dita_v2", "a", "v", "binance", "exchange"] == [
        *event.values()
    ][:8]
    assert (D("1.5"), D("0.1"), 3, {"note": "x"}, "LONG", "CLOSED", 1, D(200)) == (
        event["pnl"],
        event["pnl_pct"],
        event["bars_held"],
        event["metadata"],
        event["side"],
        event["stage"],
        event["open_positions"],
        event["current_open_notional"],
    )


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (0, "1970-01-01T00:00:00+00:00"),
        (1.5, "1970-01-01T00:00:01.500000+00:00"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    ],
)
def test_an_account_events_time_is_iso_text(timestamp: float | str, text: str) -> None:
    """Seconds since the epoch, 0 included, or text as it is."""
    event = AccountProjection().to_account_event(
        timestamp=timestamp, trade_id="t", asset="a", side="FLAT", stage="IDLE", reason=""
    )
    assert (text, {}) == (event["timestamp"], event["metadata"])
