"""What really happened on an account, in order, for checkers that follow along.

Enters: each execution and each other movement of the wallet, once, when the books have it. Leaves: two
lists that only grow, readable by number. Truths held:
- opening + Σ (`realized_pnl` − `fee`) of the executions + Σ `amount` of the movements = wallet;
- a fact says how it was told, so that a checker knows who could have heard it, and from when on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Generic, TypeVar, overload

from ditad.exchange.books import PositionSide, Side
from ditad.exchange.dialect import ForcedTold
from ditad.exchange.records import ForcedKind

# Past twice this many the oldest are forgotten; the numbers of the others stay.
FACTS_MAX: Final = 200_000

Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFact:
    """One execution: the piece (`z0`, `z1`] of its order, and what the wallet gained and paid."""

    at_ms: int  # the exchange's time, as `T` and `filledTime` tell it
    order_id: int
    trade_id: int
    symbol: str
    side: Side
    position_side: PositionSide  # BOTH in one-way mode
    z0: Decimal
    z1: Decimal
    price: Decimal
    fee: Decimal  # what the wallet paid; negative for a rebate, 0 where a voucher paid
    realized_pnl: Decimal  # what the wallet followed
    maker: bool
    pushed: bool = True  # whether an order frame told it
    in_rows: bool = True  # whether `fillHistory` lists it
    stated_fee: Decimal  # what frames and rows call the commission, negated
    stated_pnl: Decimal  # what frames and rows call the profit
    forced: ForcedKind | None = None
    road: ForcedTold | None = None  # how a forced close was told
    income_tran_id: int | None = None  # the row that restates a forced close's profit
    income_amount: Decimal | None = None

    @property
    def qty(self) -> Decimal:
        """What was executed."""
        return self.z1 - self.z0


@dataclass(frozen=True, slots=True, kw_only=True)
class MovementFact:
    """One movement of the wallet that is no execution; `amount` has the sign of the income row."""

    at_ms: int  # when it happened, in the exchange's time
    event_ms: int | None  # `E` of the push that told it
    row_at_ms: int | None  # the row's own time; None where no row tells it
    row_visible_ms: int | None  # when the row can first be read, by the clock that never jumps
    tran_id: int | None
    kind: str  # `incomeType`
    reason: str  # `a.m`
    asset: str
    symbol: str
    amount: Decimal


class Facts(Generic[Fact]):
    """A list that only grows and whose numbers stay, though its oldest entries are forgotten."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._kept: list[Fact] = []
        self.first = 0

    def append(self, fact: Fact) -> None:
        """Add the newest."""
        self._kept.append(fact)
        if len(self._kept) >= 2 * FACTS_MAX:
            del self._kept[:FACTS_MAX]
            self.first += FACTS_MAX

    def __len__(self) -> int:
        """Count all there ever were: the number of the next."""
        return self.first + len(self._kept)

    def __iter__(self) -> Iterator[Fact]:
        """Go through what is kept, oldest first."""
        return iter(self._kept)

    @overload
    def __getitem__(self, number: int) -> Fact: ...

    @overload
    def __getitem__(self, number: slice) -> list[Fact]: ...

    def __getitem__(self, number: int | slice) -> Fact | list[Fact]:
        """Give one by its number, or `[start:]` and `[start:stop]`; refuse what is forgotten."""
        if isinstance(number, int):
            if not self.first <= number < len(self):
                message = f"kept are the numbers {self.first} to {len(self) - 1}"
                raise IndexError(message)
            return self._kept[number - self.first]
        start = number.start or 0
        if start < self.first or number.step is not None or (number.stop or 0) < 0:
            message = f"read [start:] or [start:stop] from {self.first} on"
            raise IndexError(message)
        stop = None if number.stop is None else max(0, number.stop - self.first)
        return self._kept[start - self.first : stop]


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksFacts:
    """All facts of an account; the lists live on, so that a checker may keep them."""

    executions: Facts[ExecutionFact]
    movements: Facts[MovementFact]
