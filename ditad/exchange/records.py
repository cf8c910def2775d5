"""What the exchange keeps about an account besides its money: orders, executions, income rows.

Enters and leaves: frozen records; a change of an order is a new record. Lists of them are bounded by
`HISTORY_MAX`; the oldest go first, long after the exchange would have forgotten them too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from ditad.exchange.amounts import EXACT
from ditad.exchange.books import PositionSide, Side

HISTORY_MAX: Final = 200_000
# Snowflake: the creation time of an order stands in its id (account.md §3, Baseline).
ID_EPOCH_MS: Final = 1_288_834_974_657
ID_TIME_SHIFT: Final = 22


class OrderStatus(StrEnum):
    """Where an order stands."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def open(self) -> bool:
        """Whether more can happen to the order."""
        return self in {OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED}


class OrderType(StrEnum):
    """What kind of order; LIQUIDATION is what the exchange does to the account."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    LIQUIDATION = "LIQUIDATION"


class ForcedKind(StrEnum):
    """Why the exchange closed a position."""

    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order with all that was executed of it so far."""

    order_id: int
    symbol: str
    side: Side
    position_side: PositionSide
    kind: OrderType
    qty: Decimal
    price: Decimal  # the limit; on a market order a protective bound, never the fill price
    client_id: str
    leverage: int
    created_ms: int
    updated_ms: int
    status: OrderStatus = OrderStatus.NEW
    reduce_only: bool = False
    forced: ForcedKind | None = None
    told: bool = True  # False: no report of the exchange mentions it
    filled: Decimal = Decimal(0)
    quote: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    profit: Decimal = Decimal(0)

    @property
    def remaining(self) -> Decimal:
        """What is still to be executed."""
        return self.qty - self.filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution of an order, as `fillHistory` lists it."""

    trade_id: int
    order_id: int
    symbol: str
    side: Side
    position_side: PositionSide
    qty: Decimal
    price: Decimal
    fee: Decimal
    realized_pnl: Decimal
    maker: bool
    at_ms: int
    told: bool = True

    @property
    def quote(self) -> Decimal:
        """Quantity times price, exactly."""
        return EXACT.multiply(self.qty, self.price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Income:
    """One row of `user/income`; the sign is the account's view, `at_ms` a whole second."""

    tran_id: int
    symbol: str
    kind: str
    amount: Decimal
    asset: str
    at_ms: int
    visible_ms: int  # rows come late
    trade_id: str = ""
    info: str = field(default="")


def order_id_at(now_ms: int, sequence: int) -> int:
    """Mint an order id whose creation time reads back as `now_ms`."""
    assert now_ms > ID_EPOCH_MS, "order ids exist since 2010"
    return ((now_ms - ID_EPOCH_MS) << ID_TIME_SHIFT) | (sequence % (1 << ID_TIME_SHIFT))


def created_ms_of(order_id: int) -> int:
    """Read the creation time out of an order id."""
    return (order_id >> ID_TIME_SHIFT) + ID_EPOCH_MS
