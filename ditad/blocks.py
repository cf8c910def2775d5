"""The frozen records that the library gives and takes: K, E and the verdict of one moment.

What enters: figures in any exact form (a float by its shortest decimal text). What leaves: decimals. What holds: a
field never stated is `None`. (account.md §4)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ditad.money import number_of
from ditad.reconcile import ReconcileResult

Moment = datetime | int | float | str | None
"""A time as the caller keeps it; 0 is a time, `None` is none."""


@dataclass(frozen=True, slots=True)
class EPosition:
    """A position as the exchange states it; `qty` in base coin, `side` LONG or SHORT (told by the sign for BOTH)."""

    symbol: str
    qty: Decimal
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    leverage: Decimal | None = None
    side: str = "BOTH"

    def __post_init__(self) -> None:
        """Take numbers in any exact form; raises `ValueError` where a figure is no finite number."""
        symbol: object = self.symbol
        if not isinstance(symbol, str) or not symbol:
            raise ValueError(f"symbol: a name is due, got {symbol!r}")
        object.__setattr__(self, "qty", number_of(self.qty, "qty"))
        for name in ("entry_price", "mark_price", "unrealized_pnl", "leverage"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else number_of(value, name))
        side = str(self.side).upper()
        if side not in {"LONG", "SHORT"}:
            side = "SHORT" if self.qty < 0 else "LONG"
        object.__setattr__(self, "side", side)


@dataclass(frozen=True, slots=True, kw_only=True)
class KBlock:
    """K at one moment, in the margin asset; `capital` is clamped, `capital_raw` is not."""

    capital: Decimal
    capital_raw: Decimal
    realized_pnl: Decimal
    book_realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees_paid: Decimal
    funding_paid: Decimal
    transfers: Decimal
    other_income: Decimal
    open_notional: Decimal
    equity: Decimal
    used_margin: Decimal
    available_margin: Decimal
    open_positions: int
    peak_capital: Decimal
    leverage: Decimal
    trade_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EBlock:
    """E at one moment; a field never stated is `None`, and so is `positions` before the first statement."""

    wallet_balance: Decimal | None = None
    available_margin: Decimal | None = None
    used_margin: Decimal | None = None
    maint_margin: Decimal | None = None
    positions: tuple[EPosition, ...] | None = None
    last_fill_price: Decimal | None = None
    last_fill_qty: Decimal | None = None
    last_fill_fee: Decimal | None = None
    last_fill_realized_pnl: Decimal | None = None
    last_funding: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshotV2:
    """K, E and the verdict at one moment; `ts` as it was given (0 is a time, `None` is none)."""

    event_seq: int
    source_event_id: str
    k: KBlock
    e: EBlock
    reconcile: ReconcileResult
    ts: Moment
