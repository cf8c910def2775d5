"""A trader whose acts can be told apart afterwards: in each second of the exchange's at most one act on each symbol.

What enters: a desk. What leaves: acts. What holds: rows of history are stamped in whole seconds, so that of two acts
on one symbol in one second nobody could say later which came first, and what a position cost might stay unknown by a
little; here every figure can be known to the last digit, whoever listened when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Any, Final, cast

from ditad.exchange import Action, Desk, SimulatedExchange, Trader

SECOND_MS: Final = 1_000
FUNDING_APART_MS: Final = 300_000
"""Real settlements are hours apart; those less than two minutes apart are one group, of which only sums are compared."""


class _Positions:
    """The part of the books that one lane sees."""

    def __init__(self, desk: Desk, symbol: str) -> None:
        self._desk = desk
        self._symbol = symbol

    @property
    def wallet(self) -> Decimal:
        return self._desk.books.wallet

    @property
    def positions(self) -> dict[Any, Any]:
        return {key: held for key, held in self._desk.books.positions.items() if held.symbol == self._symbol}


class _Lane:
    """A desk at which only one symbol can be seen; what it does is done at the real one."""

    def __init__(self, desk: Desk, symbol: str, funded: dict[str, int]) -> None:
        self._desk = desk
        self._symbol = symbol
        self._funded = funded
        self.books = _Positions(desk, symbol)

    def open_orders(self) -> list[Any]:
        return [order for order in self._desk.open_orders() if order.symbol == self._symbol]

    def settle_funding(self, rate: Decimal) -> Decimal:
        if self._desk.now_ms() < self._funded.get("at_ms", 0) + FUNDING_APART_MS:
            return Decimal(0)
        self._funded["at_ms"] = self._desk.now_ms()
        return self._desk.settle_funding(rate, symbols=[self._symbol])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk, name)


class Lanes:
    """One trader per symbol, all of one account."""

    def __init__(self, exchange: SimulatedExchange, name: str, *, seed: int) -> None:
        self._exchange = exchange
        desk = exchange.account(name)
        funded: dict[str, int] = {}
        self._traders = [
            Trader(cast("Desk", _Lane(desk, symbol, funded)), seed=seed + at, symbols=[symbol])
            for at, symbol in enumerate(exchange.venue.market.contracts)
        ]
        self._chance = Random(f"{seed}:lanes")  # noqa: S311 - a story
        self.acts = 0
        self._resting = asyncio.Event()

    async def trade(self, on_action: Callable[[Action], None] = lambda _: None) -> None:
        """Act on every symbol once a second, in any order, until `rest` is called; then cancel what still waits."""
        while not self._resting.is_set():
            second = self._second()
            order = self._chance.sample(self._traders, len(self._traders))
            for left, trader in zip(range(len(order), 0, -1), order, strict=True):
                await self._pause(self._left_s() / left * self._chance.uniform(0.2, 1.0))
                if self._resting.is_set() or self._second() != second:
                    break
                on_action(trader.step())
                self.acts += 1
            if self._second() == second:
                await self._pause(self._left_s())
        self.acts += sum(len(trader.settle(flatten=False)) for trader in self._traders)

    def rest(self) -> None:
        """Let all of them end."""
        self._resting.set()

    def _second(self) -> int:
        return self._exchange.now_ms() // SECOND_MS

    def _left_s(self) -> float:
        """Say how long the exchange's second still lasts."""
        return (SECOND_MS - self._exchange.now_ms() % SECOND_MS) / SECOND_MS

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._resting.wait()
