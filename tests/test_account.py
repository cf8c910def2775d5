"""The public names of account.md §4 and their keywords, as a user imports them."""

from __future__ import annotations

import dataclasses
import inspect
from decimal import Decimal

import pytest

from ditad import account
from ditad.account import (
    AccountProjection,
    AccountProjectionV2,
    AccountSnapshot,
    AccountSnapshotV2,
    EBlock,
    EPosition,
    KBlock,
    ReconcileConfig,
    ReconcileResult,
    ReconcileStatus,
    TradeSide,
    TradeSlot,
    TradeStage,
)

FIELDS = {
    AccountSnapshotV2: "event_seq source_event_id k e reconcile ts",
    KBlock: "capital realized_pnl unrealized_pnl fees_paid funding_paid open_notional equity used_margin"
    " available_margin open_positions peak_capital",
    EBlock: "wallet_balance available_margin used_margin maint_margin positions last_fill_price last_fill_qty"
    " last_fill_fee last_fill_realized_pnl last_funding",
    EPosition: "symbol qty entry_price mark_price unrealized_pnl leverage side",
    ReconcileResult: "status deltas explanations worst_field ts",
    ReconcileConfig: "capital_epsilon pending_fee_bound realized_rounding lot_step mark_staleness_factor"
    " leverage_rounding_band",
    AccountSnapshot: "capital equity realized_pnl unrealized_pnl open_positions open_notional fees_paid trade_seq"
    " peak_capital",
    TradeSlot: "slot_id trade_id asset side size entry_price unrealized_pnl closed fsm_state metadata",
}


@pytest.mark.parametrize("record", FIELDS, ids=lambda record: record.__name__)
def test_records_have_the_promised_fields(record: type) -> None:
    """More may follow; none of these is missing."""
    assert set(FIELDS[record].split()) <= {field.name for field in dataclasses.fields(record)}


KEYWORDS = {
    AccountProjectionV2: "seed_capital min_capital max_capital reconcile_config",
    AccountProjectionV2.apply_fill: "fill_price fill_qty fee realized_pnl",
    AccountProjectionV2.apply_funding: "amount",
    AccountProjectionV2.apply_balance_update: "wallet_balance available_margin used_margin maint_margin",
    AccountProjectionV2.apply_position_update: "positions",
    AccountProjectionV2.build_snapshot: "source_event_id slots ts",
    AccountProjection: "runtime_namespace strategy_namespace event_namespace actor_name exec_venue data_venue"
    " ledger_authority min_capital max_capital snapshot",
    AccountProjection.observe_slots: "slots",
    AccountProjection.settle: "realized_pnl fees",
    AccountProjection.to_account_event: "timestamp trade_id asset side stage reason pnl pnl_pct bars_held metadata",
}


@pytest.mark.parametrize("called", KEYWORDS, ids=lambda called: called.__qualname__)
def test_calls_take_the_promised_keywords(called: type) -> None:
    """In this order, more may follow."""
    names = [name for name in inspect.signature(called).parameters if name != "self"]
    promised = KEYWORDS[called].split()
    assert promised == names[: len(promised)]


def test_whatever_is_exported_is_there() -> None:
    """`__all__` names every name of the table and nothing else."""
    promised = {
        "AccountProjection", "AccountProjectionV2", "AccountSnapshot", "AccountSnapshotV2", "EBlock", "EPosition",
        "KBlock", "ReconcileConfig", "ReconcileResult", "ReconcileStatus", "TradeSide", "TradeSlot", "TradeStage",
    }  # fmt: skip
    assert promised == set(account.__all__)
    assert all(hasattr(account, name) for name in account.__all__)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (ReconcileStatus, "OK WARN ERROR UNKNOWN"),
        (TradeSide, "LONG SHORT FLAT"),
        (TradeStage, "IDLE ENTRY_WORKING POSITION_OPEN POSITION_OPENED EXIT_WORKING CLOSED"),
    ],
)
def test_enums_are_text(words: type[ReconcileStatus | TradeSide | TradeStage], values: str) -> None:
    """Each member is its own name."""
    assert set(values.split()) == {str(word) for word in words}
    assert all(isinstance(word, str) for word in words)


def test_a_new_slot_ledger_begins_with_the_promised_capital() -> None:
    """25 000 and every name as the table says."""
    ledger = AccountProjection()
    assert (Decimal(25_000), Decimal(25_000), Decimal(25_000)) == (
        ledger.snapshot.capital,
        ledger.snapshot.equity,
        ledger.snapshot.peak_capital,
    )
    event = ledger.to_account_event(timestamp=0, trade_id="", asset="", side="", stage="", reason="")
    names = ("runtime_namespace", "strategy_namespace", "event_namespace", "actor_name", "exec_venue", "data_venue")
    assert ("dita_v2", "dita_v2", "dita_v2", "ExecutionKernel", "bingx", "binance", "exchange") == tuple(
        event[name] for name in (*names, "ledger_authority")
    )
