"""The standing a ledger starts from, or starts anew from: an account that reads the same twice with nothing heard between.

What enters: an `Asker`, a count of what the stream says meanwhile. What leaves: `BaselineTaken`.
What holds: the two readings agree on wallet, positions and executed quantities, and no account or order push and no
change of the stream came from before the first to after the second; no await lies between that look and the
baseline's place in the sink's queue (account.md §3, Baseline).
"""

from __future__ import annotations

import asyncio
import random as randomness
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog

from ditad.bingx.answer import is_refused
from ditad.bingx.options import FeedOptions
from ditad.bingx.questions import Asker
from ditad.bingx.sink import Sink
from ditad.clock import Clock
from ditad.errors import Refusal, VenueError, VenueFatalError
from ditad.events import BalanceReport, BaselineTaken, CoveredOrder, OrderRow, PositionRow, Question, QuestionFailed

COVERED_MS = 600_000
STILL_S = 0.5
"""Pause before the next two readings of an account that moved."""
AGAIN_S_MAX = 30.0
REASON_LENGTH_MAX = 200
EXACT_ASKED_MAX = 5
"""Readings that fail while no wallet with 8 decimals is told; then one with 4 has to do, and that is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The account's standing as read once; `asked_ms` is before the first question of it."""

    asked_ms: int
    wallet: Decimal
    positions: tuple[PositionRow, ...]
    orders: tuple[CoveredOrder, ...]

    @property
    def standing(self) -> tuple[object, ...]:
        """Give what must read the same twice; marks and what follows from them may move."""
        held = tuple((row.symbol, row.side, row.quantity, row.entry_price) for row in self.positions)
        executed = tuple((order.order_id, order.executed) for order in self.orders)
        return (self.wallet, held, executed)


@dataclass(slots=True, kw_only=True)
class Adoption:
    """A new baseline that somebody wants, and waits for: `done` is cancelled when they no longer do.

    `taking`: it is being journaled, and can be withdrawn no more. `reason` is what was last in the way.
    """

    uid: int
    why: str
    done: asyncio.Future[BaselineTaken]
    taking: bool = False
    reason: str = "the questions of the round before it are not answered yet"


def _covered(orders: Iterable[OrderRow]) -> tuple[CoveredOrder, ...]:
    """List each order once, with what was executed of it; one that only left the list of open orders stays itself."""
    listed = {row.order_id: row for row in orders}
    return tuple(
        CoveredOrder(order_id=row.order_id, symbol=row.symbol, executed=row.executed, average_price=row.average_price)
        for row in sorted(listed.values(), key=lambda row: int(row.order_id))
    )


class Baseline:
    """Takes an account's first baseline, and those that somebody adopts later.

    `disturbances` counts pushes and changes of the stream; it is `None` while no stream lives.
    """

    def __init__(
        self,
        *,
        asker: Asker,
        options: FeedOptions,
        sink: Sink,
        clock: Clock,
        random: randomness.Random,
        disturbances: Callable[[], int | None],
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._asker = asker
        self._margin_asset = options.margin_asset
        self._tell_s = options.baseline_s_max
        self._sink = sink
        self._clock = clock
        self._random = random
        self._disturbances = disturbances
        self._log = log
        self._all_orders = True
        self._inexact = 0

    async def take(self, connected: asyncio.Event) -> None:
        """Take the baseline and deliver it; of an account that never stands still, go on trying and say so."""
        told_s = self._clock.mono_s()
        failures = 0
        while True:
            reason, least_s = "the private stream is not connected", 0.0
            try:
                async with asyncio.timeout(self._tell_s):
                    await connected.wait()
                reason = "the account did not stand still between two readings"
                taken = await self._read_twice()
                failures = 0
                if taken is not None:
                    await self._sink.deliver(taken, at_us=self._clock.now_us())
                    return
            except TimeoutError:
                pass
            except VenueFatalError:
                raise
            except (VenueError, Refusal) as error:
                reason, failures = str(error), failures + 1
                least_s = error.retry_after_s if isinstance(error, VenueError) else 0.0
            if self._clock.mono_s() - told_s >= self._tell_s:
                told_s = self._clock.mono_s()
                await self._say(reason)
            await asyncio.sleep(self._pause_s(failures, least_s))

    async def adopt(self, adoption: Adoption) -> None:
        """Take a new baseline on somebody's word and deliver it, as long as somebody waits for it.

        Raises `VenueFatalError` where only a person can help; what else is in the way is noted in the adoption.
        """
        failures = 0
        while not adoption.done.done():
            least_s = 0.0
            try:
                taken = await self._read_twice()
                if taken is not None and not adoption.done.done():
                    adoption.taking = True
                    adopted = replace(taken, adopted_by=adoption.uid, why=adoption.why)
                    await self._sink.deliver(adopted, at_us=self._clock.now_us())
                    if not adoption.done.done():
                        adoption.done.set_result(adopted)
                    return
                adoption.reason, failures = "the account did not stand still between two readings", 0
            except VenueFatalError:
                raise
            except (VenueError, Refusal) as error:
                adoption.reason, failures = str(error), failures + 1
                least_s = error.retry_after_s if isinstance(error, VenueError) else 0.0
            await asyncio.wait({adoption.done}, timeout=self._pause_s(failures, least_s))

    def _pause_s(self, failures: int, least_s: float) -> float:
        backoff_s = min(AGAIN_S_MAX, STILL_S * 2.0 ** min(failures, 16))
        return max(least_s, backoff_s * (0.5 + 0.5 * self._random.random()))

    async def _say(self, reason: str) -> None:
        self._log.warning("baseline.waiting", reason=reason)
        now_us = self._clock.now_us()
        body = QuestionFailed(
            question=Question.BALANCE,
            subject="baseline",
            reason=reason[:REASON_LENGTH_MAX],
            unavailable=False,
            asked_us=now_us,
        )
        await self._sink.submit(body, at_us=now_us)

    async def _read_twice(self) -> BaselineTaken | None:
        """Read twice and give the baseline if nothing moved.

        Its moment is before the second reading, when wallet, positions and orders all stood as both readings say.
        """
        before = self._disturbances()
        first = await self._read()
        second = await self._read()
        if before is None or self._disturbances() != before or first.standing != second.standing:
            return None
        return BaselineTaken(
            baseline_id=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            taken_ms=second.asked_ms,
            wallet=second.wallet,
            positions=second.positions,
            orders=second.orders,
            adopted_by=None,
            why=None,
        )

    async def _read(self) -> Reading:
        """Read the standing once: wallet, positions, open orders, orders of the last 10 minutes."""
        balance = await self._balance()
        positions, _ = await self._asker.positions_once()
        orders, _ = await self._asker.open_orders()
        recent = await self._recent_orders(balance.asked_ms - COVERED_MS)
        wallet = next(row.wallet for row in balance.rows if row.asset == self._margin_asset)
        return Reading(
            asked_ms=balance.asked_ms,
            wallet=wallet,
            positions=tuple(sorted(positions.rows, key=lambda row: (row.symbol, row.side))),
            orders=_covered([*recent, *orders.rows]),
        )

    async def _balance(self) -> BalanceReport:
        """Ask for the wallet with all its decimals: what a baseline is rounded by, its ledger is off for good."""
        exact = await self._asker.balance_exact()
        if exact is not None:
            self._inexact = 0
            return exact[0]
        self._inexact = min(self._inexact + 1, EXACT_ASKED_MAX)
        if self._inexact < EXACT_ASKED_MAX:
            raise VenueError("balance: no wallet with 8 decimals is told; it is asked for again.", retryable=True)
        self._log.warning("baseline.degraded", question="balance", reason="a wallet is told with 4 decimals only")
        rounded, _ = await self._asker.balance_rounded()
        return rounded

    async def _recent_orders(self, from_ms: int) -> tuple[OrderRow, ...]:
        if not self._all_orders:
            return ()
        try:
            report, _ = await self._asker.orders_since(from_ms)
        except VenueError as error:
            if not is_refused(error):
                raise
            # Then the fold asks about each order that is not listed (account.md §3).
            self._log.warning("baseline.degraded", question="allOrders", reason=str(error))
            self._all_orders = False
            return ()
        return report.rows
