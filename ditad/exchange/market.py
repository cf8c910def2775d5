"""Prices of the simulated exchange: a seeded random walk per symbol, and the mark beside it.

Enters: contracts and two generators. Leaves: prices on the tick. The price moves only when somebody
acts, so one seed tells one story at any speed; the mark adds a few ticks that move with time, so that
an idle market still looks alive. What is booked hangs on the price, never on the mark's shiver.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from ditad.exchange.amounts import round_to_tick
from ditad.exchange.books import VenueError
from ditad.exchange.contracts import CONTRACTS_MAX, Contract

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

STEP_PERMILLE_MAX: Final = 3
SHIVER_TICKS_MAX: Final = 3
# The walk is held between a tenth and ten times its start, where every contract's grid makes sense.
PRICE_RANGE: Final = 10


class Market:
    """All contracts with their prices; symbols are refused when they are not listed."""

    def __init__(self, contracts: Iterable[Contract], *, rng: Random, shiver: Random) -> None:
        """Start every contract at its own price."""
        self.contracts = {contract.symbol: contract for contract in contracts}
        assert 0 < len(self.contracts) <= CONTRACTS_MAX, "list between one and CONTRACTS_MAX contracts"
        self._rng = rng
        self._shiver_rng = shiver
        self._price = {
            symbol: round_to_tick(contract.start_price, contract.tick) for symbol, contract in self.contracts.items()
        }
        self._shiver = dict.fromkeys(self.contracts, 0)
        self._marks: dict[str, Decimal] = {}  # worked out when asked for, until something moves

    def contract(self, symbol: str) -> Contract:
        """Find a contract; raise `VenueError` when it is not listed."""
        try:
            return self.contracts[symbol]
        except KeyError:
            message = f"{symbol} is not listed: choose from {', '.join(self.contracts)}"
            raise VenueError(message) from None

    def price(self, symbol: str) -> Decimal:
        """Give the last price; only acting moves it."""
        self.contract(symbol)
        return self._price[symbol]

    def mark(self, symbol: str) -> Decimal:
        """Give the mark price, at most a few ticks beside the price."""
        known = self._marks.get(symbol)
        if known is None:
            tick = self.contract(symbol).tick
            known = self._marks[symbol] = max(tick, self._price[symbol] + self._shiver[symbol] * tick)
        return known

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Put the price, and the mark with it, where the story wants them."""
        self._price[symbol] = round_to_tick(price, self.contract(symbol).tick)
        self._shiver[symbol] = 0
        self._marks.pop(symbol, None)

    def walk(self, symbol: str) -> Decimal:
        """Move one symbol by one random step and give the new price."""
        contract = self.contract(symbol)
        step = 1 + Decimal(self._rng.randint(-10, 10) * STEP_PERMILLE_MAX).scaleb(-4)
        low, high = contract.start_price / PRICE_RANGE, contract.start_price * PRICE_RANGE
        moved = round_to_tick(min(max(self._price[symbol] * step, low), high), contract.tick)
        self._price[symbol] = max(contract.tick, moved)
        self._marks.pop(symbol, None)
        return self._price[symbol]

    def shiver(self) -> None:
        """Let time pass: redraw how far each mark stands from its price."""
        for symbol in self._shiver:
            self._shiver[symbol] = self._shiver_rng.randint(-SHIVER_TICKS_MAX, SHIVER_TICKS_MAX)
        self._marks.clear()
