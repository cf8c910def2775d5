"""A trader on the real clock: bursts of acts on any symbol, also several on one position within one second.

What enters: an exchange, an account's name, a seed. What leaves: acts, until it is told to rest. What holds: what is
done depends on the seed and the books; when it is done, on the machine. History is stamped in whole seconds, so that
the order of a burst that no daemon lived to hear must be found by what it realised (account.md §4).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Any, Final, cast

from ditad.exchange import Desk, SimulatedExchange, Trader

FUNDING_APART_MS: Final = 181_000
"""How far apart settlements are at least; real ones are hours apart.

Settlements less than 120 s apart are one group by contract, and so are rows stamped up to 120 s after a push; rows come
up to 60 s after theirs (account.md §3, Funding). Of a group only sums are compared: where a daemon heard one push of it
and was dead at another, nobody can say which row the push told.
The first settlement mostly falls into the minute after the baseline, whose rows are ambiguous until a statement decides
(§3, Baseline): trading begins at once. One alone can be decided; of several in that minute no statement could tell them
apart, and this distance rules those out as well.
"""

BREATHS_S: Final = (0.0, 0.0, 0.0, 0.0, 0.1, 0.3, 0.6, 1.0)
"""The pauses between acts: half of them none, so that several acts share a second, and some even a millisecond."""


class SeldomFunded:
    """The account's desk, at which funding is settled as seldom as the contract wants it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._settled_ms: int | None = None

    def settle_funding(self, rate: Decimal) -> Decimal:
        """Settle, unless it is too early: then nothing is paid."""
        now_ms = self._desk.now_ms()
        if self._settled_ms is not None and now_ms < self._settled_ms + FUNDING_APART_MS:
            return Decimal(0)
        self._settled_ms = now_ms
        return self._desk.settle_funding(rate)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk, name)


class Trading:
    """The one who trades on an account, whether a daemon lives or not."""

    def __init__(self, exchange: SimulatedExchange, name: str, *, seed: int) -> None:
        self._trader = Trader(cast("Desk", SeldomFunded(exchange.account(name))), seed=seed)
        self._chance = Random(f"{seed}:breaths")  # noqa: S311 - a story
        self._resting = asyncio.Event()
        self.acts = 0

    async def trade(self) -> None:
        """Act until `rest` is called; then cancel what still waits."""
        while not self._resting.is_set():
            self._trader.step()
            self.acts += 1
            await self._breathe(self._chance.choice(BREATHS_S))
        self.acts += len(self._trader.settle(flatten=False))

    def rest(self) -> None:
        """Let it end."""
        self._resting.set()

    async def _breathe(self, seconds: float) -> None:
        """Let others run, for so long or until it is to rest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._resting.wait()
