"""Facts as bookkeepers count them: exact sums, nothing that was not told, one wallet from baseline to baseline."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ditad.bookkeeping import Began, Ledger, Sums, asset_of, closed_trade, movement_of
from ditad.events import BaselineTaken
from ditad.records import RecordType

D = Decimal
AT = "2023-03-28T23:59:59.999999Z"


def fill(fee: str | None = "1.5", profit: str | None = "10", symbol: str = "BTC-USDT") -> dict[str, Any]:
    """Make the part of a fill's body that moves money."""
    return {"order_id": "1", "symbol": symbol, "fee": fee, "realized_pnl": profit, "at": AT}


def income(kind: str, amount: str | None, asset: str = "USDT") -> dict[str, Any]:
    """Make the part of an income's body that moves money."""
    return {"kind": kind, "amount": amount, "asset": asset, "symbol": None, "at": AT}


@pytest.mark.parametrize(
    ("kind", "body", "change", "unknown"),
    [
        (RecordType.FILL, fill(), "8.5", ()),
        (RecordType.FILL, fill(fee="-0.1"), "10.1", ()),
        (RecordType.FILL, fill(fee=None), "10", ("fees",)),
        (RecordType.FILL, fill(fee=None, profit=None), "0", ("profit", "fees")),
        (RecordType.INCOME, income("funding", "2"), "-2", ()),
        (RecordType.INCOME, income("transfer", "-7"), "-7", ()),
        (RecordType.INCOME, income("other", "3"), "3", ()),
        (RecordType.INCOME, income("funding", None), "0", ("funding",)),
    ],
)
def test_what_a_fact_moves(kind: RecordType, body: dict[str, Any], change: str, unknown: tuple[str, ...]) -> None:
    """Fees and funding are paid, all else is received; what nobody told moves nothing and is named."""
    movement = movement_of(7, kind, body, "USDT")
    assert (D(change), unknown, "2023-03-28") == (movement.change, movement.unknown, movement.day)


@pytest.mark.parametrize(
    ("symbol", "margin", "asset"),
    [
        ("BTC-USDT", "USDT", "USDT"),
        ("BTC-USDC", "USDT", "USDC"),
        ("BTC-USDT", "VST", "VST"),
        ("BTC-USDC", "VST", "USDC"),
    ],
)
def test_in_which_asset_a_symbol_pays(symbol: str, margin: str, asset: str) -> None:
    """That of its quote, and on the demo the demo's own."""
    assert asset == asset_of(symbol, margin)


def test_sums_are_exact_and_count_what_is_unknown() -> None:
    """Each part adds up by itself, and nothing is rounded."""
    sums, more = Sums(), Sums()
    for kind, body in (
        (RecordType.FILL, fill(fee="0.000000000000000001", profit="1")),
        (RecordType.FILL, fill(fee=None)),
        (RecordType.INCOME, income("funding", "2")),
    ):
        sums.take(movement_of(1, kind, body, "USDT"))
    more.take(movement_of(2, RecordType.INCOME, income("transfer", "100"), "USDT"))
    more.take(movement_of(3, RecordType.INCOME, income("other", "-0.5"), "USDT"))
    sums.join(more)
    assert (D(11), D("1e-18"), D(2), D(100), D("-0.5")) == (
        sums.profit,
        sums.fees,
        sums.funding,
        sums.transfers,
        sums.other,
    )
    assert (2, 3, 1) == (sums.fills, sums.incomes, sums.unknown)
    assert D("8.499999999999999999") == sums.net
    assert D("108.499999999999999999") == sums.change


def baseline(wallet: str, adopted_by: int | None = None) -> BaselineTaken:
    """Make a baseline."""
    return BaselineTaken(
        baseline_id="b",
        taken_ms=1_680_000_000_000,
        wallet=D(wallet),
        positions=(),
        orders=(),
        adopted_by=adopted_by,
        why="seen" if adopted_by else None,
    )


def test_a_wallet_goes_from_baseline_to_baseline() -> None:
    """The first opens it, an adopted one moves it to what was accepted, and the books say by how much."""
    began = (
        Began(after_seq=0, baseline=baseline("100")),
        Began(after_seq=20, baseline=baseline("90", adopted_by=1000)),
    )
    ledger = Ledger(margin_asset="USDT", began=began)
    assert [(D(100), None)] == [(one.moved, one.adopted_by) for one in ledger.openings(5)]
    ledger.take(movement_of(5, RecordType.FILL, fill(), "USDT"))
    assert [] == list(ledger.openings(20))
    ledger.take(movement_of(20, RecordType.FILL, fill(symbol="BTC-USDC"), "USDT"))
    assert D("108.5") == ledger.total
    assert [(D("-18.5"), 1000, "seen")] == [(one.moved, one.adopted_by, one.why) for one in ledger.openings(21)]
    ledger.take(movement_of(21, RecordType.INCOME, income("transfer", "1"), "USDT"))
    assert ([], D(91)) == (list(ledger.openings(None)), ledger.total)


def ended(**more: Any) -> dict[str, Any]:
    """Make an account event that tells the end of a trade."""
    told = {
        "trade": "BTC-USDT:LONG:3",
        "opened_at": AT,
        "closed_at": AT,
        "qty": "1",
        "entry_price": "2",
        "exit_price": None,
        "entry_quote": "2",
        "exit_quote": "3",
        "gross": "1",
        "fees": "0.1",
        "order_ids": ["1", "2"],
    }
    body = {"stage": "CLOSED", "trade_id": "t", "asset": "BTC-USDT", "side": "LONG", "reason": "fill"}
    return {**body, "pnl": "0.9", "pnl_pct": "45", "metadata": {**told, **more}}


def test_the_end_of_a_trade() -> None:
    """It is read with what is told of it; what is not is `None`."""
    trade = closed_trade(9, ended())
    assert trade is not None
    assert (D("0.9"), D(45), None, "fill", ("1", "2")) == (
        trade.net,
        trade.net_percent,
        trade.exit_price,
        trade.ended_by,
        trade.order_ids,
    )
    corrected = closed_trade(9, {**ended(ended_by="flip", gross=None), "reason": "corrected", "pnl": None})
    assert corrected is not None
    assert ("flip", None, None) == (corrected.ended_by, corrected.gross, corrected.net)


@pytest.mark.parametrize(
    "body",
    [{**ended(), "stage": "POSITION_OPENED"}, ended(withdrawn=True), ended(closed_at=None)],
)
def test_what_is_no_end(body: dict[str, Any]) -> None:
    """An opening, and an end that was taken back, are none."""
    assert closed_trade(9, body) is None
