"""A season of trading, in no time at all: thousands of fills over many symbols, funding, transfers, a liquidation.

What enters: a desk, a clock to put forward, a seed. What leaves: acts on the desk. What holds: the same seed tells the
same story; something stays open at the end. It is a story of its own beside the exchange's `Trader`: coarser, with
funding every eight hours as on the real exchange.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from random import Random

from ditad.exchange import Desk, Side
from tests.support.elapsing import Era

FUNDING_MS = 8 * 3_600_000
STAKE = Decimal(500)
HELD_MAX = 12


class Season:
    """Trades one hedge-mode account."""

    def __init__(self, desk: Desk, era: Era, *, seed: int) -> None:
        self.desk = desk
        self._era = era
        self._rng = Random(f"{seed}:season")  # noqa: S311 - a story, no secret
        self._symbols = tuple(desk.around.market.contracts)

    @property
    def fills(self) -> int:
        """Count the account's executions."""
        return self.desk.books.sums.fills

    def trade(self, fills: int, *, over_ms: int) -> None:
        """Make so many fills over a time, a funding every eight hours of it, transfers, and one liquidation."""
        begun, first = self._era.now_ms(), self.fills
        step_ms = over_ms // fills
        funded = begun // FUNDING_MS
        liquidated = False
        for symbol in self._symbols:  # each of them at least once
            self._open(symbol)
        while self.fills - first < fills:
            self._act()
            self._era.put_forward(step_ms)
            while funded < self._era.now_ms() // FUNDING_MS:
                funded += 1
                self.desk.settle_funding(Decimal(self._rng.randint(1, 30)).scaleb(-5) * self._rng.choice((-1, 1)))
                self._move_money()
            if not liquidated and self.fills - first > fills // 2:
                self._liquidate()
                liquidated = True
        assert liquidated, "a season has a liquidation"
        for order in self.desk.open_orders():
            self.desk.cancel(order.order_id)

    def _act(self) -> None:
        chance = self._rng.random()
        held = list(self.desk.books.positions.values())
        if chance < 0.5 and len(held) > HELD_MAX:
            position = self._rng.choice(held)
            self.desk.close(position.symbol, position.side)
        elif chance < 0.65:
            self._rest()
        else:
            self._open(self._rng.choice(self._symbols))

    def _open(self, symbol: str) -> None:
        """Open at the market, now and then in several executions of one order."""
        long = self._rng.random() < 0.5
        lot = self.desk.around.market.contract(symbol).lot
        tick = self.desk.around.market.contract(symbol).tick
        price = self.desk.around.market.walk(symbol)
        parts = [(self._stake(symbol), price)]
        if self._rng.random() < 0.2:
            parts += [(lot * self._rng.randint(1, 9), price + tick * away) for away in (0, 1, 2)]
        quantity = sum((part for part, _ in parts), Decimal(0))
        self.desk.market_order(symbol, *_ways(long=long), quantity, parts=parts)

    def _rest(self) -> None:
        """Place a limit order and fill it in two steps, some minutes apart."""
        symbol = self._rng.choice(self._symbols)
        contract = self.desk.around.market.contract(symbol)
        quantity = self._stake(symbol) + contract.lot
        order_id = self.desk.limit_order(
            symbol, *_ways(long=self._rng.random() < 0.5), quantity, self.desk.around.market.walk(symbol)
        )
        self.desk.fill(order_id, contract.lot)
        self._era.put_forward(self._rng.randint(0, 300_000))
        self.desk.fill(order_id, maker=self._rng.random() < 0.5)

    def _move_money(self) -> None:
        amount = Decimal(self._rng.randint(1, 10_000_000_000)).scaleb(-8)
        if self._rng.random() < 0.5:
            self.desk.deposit(amount)
        else:
            self.desk.withdraw(amount)

    def _liquidate(self) -> None:
        position = self._rng.choice(list(self.desk.books.positions.values()))
        self.desk.force_close(position.symbol, position.side, told="both")

    def _stake(self, symbol: str) -> Decimal:
        market = self.desk.around.market
        lot = market.contract(symbol).lot
        return max(lot, (STAKE / market.price(symbol)).quantize(lot, rounding=ROUND_DOWN))


def _ways(*, long: bool) -> tuple[Side, str]:
    return (Side.BUY, "LONG") if long else (Side.SELL, "SHORT")
