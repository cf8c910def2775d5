"""The slot-driven ledger: what a bot believes of its own positions and settlements.

What enters: `TradeSlot`s and settled **net** profits, as numbers in any exact form. What leaves: an immutable
`AccountSnapshot` and account events. What holds: fees are counted beside a net profit and never subtracted again; the
clamp applies at each settlement; leverage does not enter profit. (account.md §4)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from ditad.money import ZERO, add, exact_sum, mul, number_of, ratio, sub

Number = Decimal | str | int | float


class TradeSide(StrEnum):
    """The direction of a slot."""

    LONG = "LONG"
    SHORT = "SHORT"
    FLAT = "FLAT"


class TradeStage(StrEnum):
    """Where a slot stands; unknown stages are accepted and do not count as open."""

    IDLE = "IDLE"
    ENTRY_WORKING = "ENTRY_WORKING"
    POSITION_OPEN = "POSITION_OPEN"
    POSITION_OPENED = "POSITION_OPENED"
    EXIT_WORKING = "EXIT_WORKING"
    CLOSED = "CLOSED"


OPEN_STAGES = frozenset(
    {
        TradeStage.POSITION_OPEN.value,
        TradeStage.POSITION_OPENED.value,
        TradeStage.ENTRY_WORKING.value,
        TradeStage.EXIT_WORKING.value,
    }
)


@dataclass(frozen=True, slots=True)
class TradeSlot:
    """A position as a bot holds it; `size` in base coin, `metadata` may carry `mark_price` and `leverage`."""

    slot_id: str | int = 0
    trade_id: str = ""
    asset: str = ""
    side: TradeSide | str = TradeSide.FLAT
    size: Number = ZERO
    entry_price: Number = ZERO
    unrealized_pnl: Number = ZERO
    closed: bool = False
    fsm_state: TradeStage | str = TradeStage.IDLE
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Say whether the slot counts: not closed, something in it, and at a stage that holds a position."""
        return not self.closed and self.quantity > 0 and str(self.fsm_state) in OPEN_STAGES

    @property
    def quantity(self) -> Decimal:
        """Give the size as a decimal; raises `ValueError` where it is none."""
        return number_of(self.size, "size")

    @property
    def mark(self) -> Decimal:
        """Give the mark that came with the slot if it is above 0, else the entry price."""
        told = self._metadata("mark_price")
        return told if told > 0 else number_of(self.entry_price, "entry_price")

    @property
    def leverage(self) -> Decimal:
        """Give the slot's leverage, at least 1."""
        return max(Decimal(1), self._metadata("leverage"))

    @property
    def profit(self) -> Decimal:
        """Give the unrealised profit: (mark − entry)·size with the side's sign where a mark was told, else as told."""
        if self._metadata("mark_price") <= 0:
            return number_of(self.unrealized_pnl, "unrealized_pnl")
        gained = mul(sub(self.mark, number_of(self.entry_price, "entry_price")), self.quantity)
        return -gained if str(self.side) == TradeSide.SHORT else gained

    def _metadata(self, name: str) -> Decimal:
        value = self.metadata.get(name)
        if value is None:
            return ZERO
        if not isinstance(value, (Decimal, str, int, float)):
            raise ValueError(f"{name}: a finite number is due, got {value!r}")
        return number_of(value, name)


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """The slot-driven ledger at one moment; amounts in the margin asset. `peak_capital` starts at the capital."""

    capital: Decimal
    equity: Decimal
    realized_pnl: Decimal = ZERO
    unrealized_pnl: Decimal = ZERO
    open_positions: int = 0
    open_notional: Decimal = ZERO
    fees_paid: Decimal = ZERO
    trade_seq: int = 0
    peak_capital: Decimal | None = None

    def __post_init__(self) -> None:
        """Take numbers in any exact form."""
        for name in ("capital", "equity", "realized_pnl", "unrealized_pnl", "open_notional", "fees_paid"):
            object.__setattr__(self, name, _exact(getattr(self, name), name))
        peak = self.capital if self.peak_capital is None else _exact(self.peak_capital, "peak_capital")
        object.__setattr__(self, "peak_capital", peak)

    @property
    def leverage(self) -> Decimal:
        """Give open notional over capital; 0 where either is not above 0."""
        if self.open_notional <= 0 or self.capital <= 0:
            return ZERO
        return ratio(self.open_notional, self.capital)


def _exact(value: Number, name: str) -> Decimal:
    """Read a number of the ledger; sums and products of what was read may have more digits than what is read."""
    return value if isinstance(value, Decimal) and value.is_finite() else number_of(value, name)


def clamp(amount: Decimal, minimum: Decimal, maximum: Decimal | None) -> Decimal:
    """Give what a bot sizes with: never under the minimum, never over the maximum."""
    raised = max(minimum, amount)
    return raised if maximum is None else min(maximum, raised)


def bounds(min_capital: Number, max_capital: Number | None) -> tuple[Decimal, Decimal | None]:
    """Read the clamp's bounds; raises `ValueError` where the minimum is above the maximum."""
    least = number_of(min_capital, "min_capital")
    most = None if max_capital is None else number_of(max_capital, "max_capital")
    if most is not None and least > most:
        raise ValueError(f"min_capital {least} is above max_capital {most}")
    return least, most


START = AccountSnapshot(Decimal(25_000), Decimal(25_000))


class AccountProjection:
    """Fold slots and settlements; `snapshot` is always the latest immutable state."""

    def __init__(
        self,
        runtime_namespace: str = "dita_v2",
        strategy_namespace: str = "dita_v2",
        event_namespace: str = "dita_v2",
        actor_name: str = "ExecutionKernel",
        exec_venue: str = "bingx",
        data_venue: str = "binance",
        ledger_authority: str = "exchange",
        min_capital: Number = 0,
        max_capital: Number | None = None,
        snapshot: AccountSnapshot = START,
    ) -> None:
        self.namespaces = {
            "runtime_namespace": runtime_namespace,
            "strategy_namespace": strategy_namespace,
            "event_namespace": event_namespace,
            "actor_name": actor_name,
            "exec_venue": exec_venue,
            "data_venue": data_venue,
            "ledger_authority": ledger_authority,
        }
        self.min_capital, self.max_capital = bounds(min_capital, max_capital)
        self.snapshot = snapshot

    def observe_slots(self, slots: Iterable[TradeSlot]) -> AccountSnapshot:
        """Take the bot's positions: how many, their notional and unrealised profit, equity, and the peak while open."""
        held = [slot for slot in slots if slot.is_open]
        unrealized = exact_sum(slot.profit for slot in held)
        before = self.snapshot
        self.snapshot = replace(
            before,
            open_positions=len(held),
            open_notional=exact_sum(mul(slot.quantity, slot.mark) for slot in held),
            unrealized_pnl=unrealized,
            equity=add(before.capital, unrealized),
            peak_capital=self._peak(before.capital) if held else before.peak_capital,
        )
        return self.snapshot

    def settle(self, realized_pnl: Number, fees: Number = 0) -> AccountSnapshot:
        """Book a settled **net** profit; `fees` are counted beside it. Raises `ValueError` on no finite number."""
        profit, paid = number_of(realized_pnl, "realized_pnl"), number_of(fees, "fees")
        before = self.snapshot
        capital = clamp(add(before.capital, profit), self.min_capital, self.max_capital)
        self.snapshot = replace(
            before,
            capital=capital,
            equity=add(capital, before.unrealized_pnl),
            realized_pnl=add(before.realized_pnl, profit),
            fees_paid=add(before.fees_paid, paid),
            trade_seq=before.trade_seq + 1,
            peak_capital=self._peak(capital),
        )
        return self.snapshot

    def _peak(self, capital: Decimal) -> Decimal:
        peak = self.snapshot.peak_capital
        return capital if peak is None else max(peak, capital)

    def to_account_event(
        self,
        *,
        timestamp: datetime | str | float,
        trade_id: str,
        asset: str,
        side: TradeSide | str,
        stage: TradeStage | str,
        reason: str,
        pnl: Number = 0,
        pnl_pct: Number = 0,
        bars_held: int = 0,
        metadata: Mapping[str, object] | None = None,
    ) -> dict[str, object]:
        """Write an account event; `timestamp` as a datetime, ISO text or seconds since the epoch (0 is a time)."""
        now = self.snapshot
        return {
            "timestamp": iso(timestamp),
            **self.namespaces,
            "capital": now.capital,
            "equity": now.equity,
            "open_positions": now.open_positions,
            "current_open_notional": now.open_notional,
            "current_account_leverage": now.leverage,
            "trade_id": trade_id,
            "asset": asset,
            "side": str(side),
            "reason": reason,
            "stage": str(stage),
            "pnl": number_of(pnl, "pnl"),
            "pnl_pct": number_of(pnl_pct, "pnl_pct"),
            "bars_held": bars_held,
            "metadata": dict(metadata or {}),
        }


def iso(timestamp: datetime | str | float) -> str:
    """Write a moment as ISO text in UTC; text is taken as it is."""
    if isinstance(timestamp, str):
        return timestamp
    if isinstance(timestamp, datetime):
        return timestamp.isoformat()
    return datetime.fromtimestamp(timestamp, UTC).isoformat()
