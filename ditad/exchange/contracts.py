"""The contracts that the simulated exchange lists, and where their prices begin.

Enters: nothing. Leaves: frozen `Contract` records. Quantities are in the base coin, prices are
multiples of one tick, which is the last digit of `price_precision`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

CONTRACTS_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One perpetual: its grid of prices and quantities, and the price its random walk starts from."""

    symbol: str
    price_precision: int
    quantity_precision: int
    start_price: Decimal
    tick: Decimal = field(init=False)  # the smallest step of a price
    lot: Decimal = field(init=False)  # the smallest step of a quantity

    def __post_init__(self) -> None:
        """Derive both steps once."""
        object.__setattr__(self, "tick", Decimal(1).scaleb(-self.price_precision))
        object.__setattr__(self, "lot", Decimal(1).scaleb(-self.quantity_precision))

    @property
    def base(self) -> str:
        """The coin that quantities are counted in."""
        return self.symbol.partition("-")[0]

    @property
    def quote(self) -> str:
        """The coin that prices are counted in."""
        return self.symbol.partition("-")[2]


def _contract(symbol: str, price_precision: int, quantity_precision: int, price: str) -> Contract:
    return Contract(
        symbol=symbol,
        price_precision=price_precision,
        quantity_precision=quantity_precision,
        start_price=Decimal(price),
    )


# The first five appear in the captured frames or in the account's founding incident.
DEFAULT_CONTRACTS: Final[tuple[Contract, ...]] = (
    _contract("BTC-USDT", 1, 4, "112848.1"),
    _contract("ETH-USDT", 2, 2, "4021.37"),
    _contract("LTC-USDT", 2, 1, "64.36"),
    _contract("FET-USDT", 4, 0, "0.1878"),
    _contract("MTL-USDT", 4, 1, "0.7210"),
    _contract("SOL-USDT", 3, 2, "188.430"),
    _contract("XRP-USDT", 4, 1, "2.4106"),
    _contract("DOGE-USDT", 5, 0, "0.19873"),
)


def numbered_contracts(count: int) -> tuple[Contract, ...]:
    """Make `count` further contracts (C001-USDT …) of varied grids, for stories over many symbols."""
    if not 0 <= count <= CONTRACTS_MAX:
        message = f"count must lie between 0 and {CONTRACTS_MAX}, not {count}"
        raise ValueError(message)
    return tuple(
        _contract(f"C{n:03d}-USDT", 1 + n % 5, n % 4, str(Decimal(10 + 7 * n).scaleb(-(n % 3))))
        for n in range(1, count + 1)
    )
