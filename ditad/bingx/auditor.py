"""Carrying the audit's rounds out: asks what `audit` planned, delivers reports and failures, and says when it is over.

What enters: rounds. What leaves: reports, `QuestionFailed`, `PushRejected` for answers that cannot be read, and one
`AuditDone` per round.
What holds: a failed question leaves no report and the others of its round are still asked; every report is folded
before the next question, so that symbols it names are asked for in the same round, and an order of which it told what
was missing is asked about no more; what only a person can mend is
raised as `VenueFatalError`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import structlog

from ditad.bingx import wire
from ditad.bingx.answer import is_refused
from ditad.bingx.audit import FACTS, STATEMENTS, Ask, Round, Schedule
from ditad.bingx.options import FeedOptions
from ditad.bingx.questions import Asker
from ditad.bingx.rest import Rest
from ditad.bingx.sink import Sink
from ditad.bingx.watch import Watch
from ditad.clock import Clock
from ditad.errors import Refusal, VenueError, VenueFatalError, VenueUnavailableError
from ditad.events import (
    AuditDone,
    BalanceReport,
    FillsReport,
    IncomeReport,
    OrdersReport,
    PositionsReport,
    PushRejected,
    Question,
    QuestionFailed,
    Raw,
)

SYMBOLS_MAX = 1000
REASON_LENGTH_MAX = 200
EXCERPT_BYTES_MAX = 64 * 1024
Report = TypeVar("Report", BalanceReport, PositionsReport, FillsReport, OrdersReport, IncomeReport)


@dataclass(slots=True)
class _Progress:
    """What became of a round so far."""

    answered: list[Question] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unavailable: set[Question] = field(default_factory=set)
    symbols: set[str] = field(default_factory=set)
    wallet: Decimal | None = None
    held: tuple[object, ...] | None = None


class Auditor:
    """Asks one account's rounds, one at a time."""

    def __init__(
        self,
        *,
        rest: Rest,
        asker: Asker,
        options: FeedOptions,
        schedule: Schedule,
        watch: Watch,
        sink: Sink,
        clock: Clock,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._rest = rest
        self._asker = asker
        self._overlap_ms = int(options.overlap_s * 1000)
        self._margin_asset = options.margin_asset
        self._schedule = schedule
        self._watch = watch
        self._sink = sink
        self._clock = clock
        self._log = log
        self._orders_listed = True

    async def ask(self, planned: Round) -> None:
        """Ask a round to its end."""
        asked_us, asked_ms = self._rest.now()
        progress = _Progress()
        pushes = self._watch.pushes
        for ask in planned.asks:
            if not self._is_wanted(ask):
                continue
            before_us = asked_us if ask.question in FACTS else self._clock.now_us()
            if await self._ask_one(ask, progress):
                progress.answered.append(ask.question)
            self._settle(ask, before_us, progress)
            if ask.question in STATEMENTS and progress.wallet is not None and progress.held is not None:
                self._watch.reported(progress.wallet, progress.held, pushes, self._clock.mono_s())
        await self._ask_late_symbols(planned, progress)
        done = AuditDone(
            cause=planned.cause,
            asked_us=asked_us,
            asked_ms=asked_ms,
            questions=tuple(dict.fromkeys(progress.answered)),
            failed=tuple(progress.failed),
        )
        await self._sink.deliver(done, at_us=self._clock.now_us())

    def _is_wanted(self, ask: Ask) -> bool:
        """Say whether the fold still wants to be told this: the round's facts may have told it of an order."""
        return ask.order is None or any(need.order_id == ask.order.order_id for need in self._sink.needs().orders)

    def _settle(self, ask: Ask, asked_us: int, progress: _Progress) -> None:
        """Tell the schedule what became of a question."""
        unavailable = ask.question in progress.unavailable
        if ask.order is not None:
            self._schedule.order_asked(ask.order.order_id, self._clock.now_us(), unavailable=unavailable)
        elif ask.question in progress.answered:
            self._schedule.answered(ask.question, asked_us)
        else:
            self._schedule.failed(ask.question, self._clock.now_us(), unavailable=unavailable)

    async def _ask_one(self, ask: Ask, progress: _Progress) -> bool:
        """Ask one question of a round, and say whether it was answered completely."""
        from_ms = (ask.from_ms or 0) - self._overlap_ms
        match ask.question:
            case Question.BALANCE:
                balance = await self._deliver(ask.question, "", self._asker.balance, progress)
                if balance is not None:
                    progress.wallet = next(row.wallet for row in balance.rows if row.asset == self._margin_asset)
                return balance is not None
            case Question.POSITIONS:
                positions = await self._deliver(ask.question, "", self._asker.positions, progress)
                if positions is not None:
                    progress.held = tuple(sorted((row.symbol, row.side, row.quantity) for row in positions.rows))
                return positions is not None
            case Question.ORDER:
                return await self._ask_order(ask, progress)
            case Question.FILLS:
                return await self._ask_fills(from_ms, progress)
            case Question.FORCED_ORDERS:
                forced = await self._deliver(ask.question, "", lambda: self._asker.forced_orders(from_ms), progress)
                return forced is not None
            case Question.INCOME:
                income = await self._deliver(ask.question, "", lambda: self._asker.income(from_ms), progress)
                return income is not None
            case Question.OPEN_ORDERS | Question.ORDERS:
                raise AssertionError("lists of orders are asked for at the baseline and with the fills only")

    async def _ask_order(self, ask: Ask, progress: _Progress) -> bool:
        """Ask for the order's own figures, then for its executions: complete sets need both."""
        need = ask.order
        assert need is not None, "a question about an order names it"
        order = await self._deliver(Question.ORDER, need.order_id, lambda: self._asker.order(need), progress)
        from_ms = need.from_ms - self._overlap_ms
        fills = await self._deliver(
            Question.FILLS, need.order_id, lambda: self._asker.fills(need.symbol, from_ms, need.order_id), progress
        )
        return order is not None and fills is not None

    async def _ask_fills(self, from_ms: int, progress: _Progress) -> bool:
        """Ask for the executions of every symbol that is known, or that orders of this time name."""
        named = await self._symbols_ordered(from_ms, progress)
        if named is None:
            return False
        answered = True
        for symbol in self._pending(progress, named):
            answered &= await self._ask_symbol(symbol, from_ms, progress)
        return answered

    def _pending(self, progress: _Progress, named: set[str]) -> list[str]:
        symbols = [*dict.fromkeys([*self._sink.needs().symbols, *sorted(named)])]
        return [symbol for symbol in symbols if symbol not in progress.symbols][:SYMBOLS_MAX]

    async def _ask_symbol(self, symbol: str, from_ms: int, progress: _Progress) -> bool:
        progress.symbols.add(symbol)
        report = await self._deliver(Question.FILLS, symbol, lambda: self._asker.fills(symbol, from_ms), progress)
        return report is not None

    async def _ask_late_symbols(self, planned: Round, progress: _Progress) -> None:
        """Ask for the symbols that the round's own answers, income above all, have named meanwhile."""
        if Question.FILLS not in progress.answered:
            return
        ask = next(ask for ask in planned.asks if ask.question is Question.FILLS)
        for symbol in self._pending(progress, set()):
            if not await self._ask_symbol(symbol, (ask.from_ms or 0) - self._overlap_ms, progress):
                progress.answered = [question for question in progress.answered if question is not Question.FILLS]
                self._schedule.failed(Question.FILLS, self._clock.now_us())

    async def _symbols_ordered(self, from_ms: int, progress: _Progress) -> set[str] | None:
        """Deliver what was executed of recent orders, and give their symbols.

        `None` where that failed, none where this key is refused the question. What was executed comes before the rows
        of it: together they are complete sets, and nobody needs to ask about each order alone.
        """
        if not self._orders_listed:
            return set()
        asked_us = self._clock.now_us()
        try:
            report, raw = await self._asker.orders_since(from_ms)
        except VenueFatalError:
            raise
        except VenueError as error:
            if not is_refused(error):
                await self._fail(Question.FILLS, "allOrders", str(error), asked_us, progress)
                return None
            # Then symbols are known from pushes, positions and income only.
            self._orders_listed = False
            self._log.warning("audit.degraded", question="allOrders", reason=str(error))
            return set()
        except Refusal as refusal:
            await self._reject(Question.FILLS, refusal)
            await self._fail(Question.FILLS, "allOrders", refusal.reason, asked_us, progress)
            return None
        if report.rows:
            at_us = self._clock.now_us()
            await self._sink.deliver(report, at_us=at_us, raw=Raw(source="rest", at_us=at_us, data=raw))
        return {row.symbol for row in report.rows}

    async def _deliver(
        self,
        question: Question,
        subject: str,
        make: Callable[[], Awaitable[tuple[Report, bytes]]],
        progress: _Progress,
    ) -> Report | None:
        """Ask one question and deliver its report, or deliver that it failed."""
        asked_us = self._clock.now_us()
        try:
            report, raw = await make()
        except VenueFatalError:
            raise
        except VenueError as error:
            unavailable = isinstance(error, VenueUnavailableError)
            await self._fail(question, subject, str(error), asked_us, progress, unavailable=unavailable)
            return None
        except Refusal as refusal:
            await self._reject(question, refusal)
            await self._fail(question, subject, refusal.reason, asked_us, progress)
            return None
        at_us = self._clock.now_us()
        await self._sink.deliver(report, at_us=at_us, raw=Raw(source="rest", at_us=at_us, data=raw))
        return report

    async def _reject(self, question: Question, refusal: Refusal) -> None:
        """Keep an answer that could not be read; the failed question stands for what was in it."""
        at_us = self._clock.now_us()
        data = self._rest.last_raw
        body = PushRejected(
            source="rest",
            reason=f"{question}: {refusal.reason}"[:REASON_LENGTH_MAX],
            money=False,
            excerpt=wire.excerpt(data[:EXCERPT_BYTES_MAX], EXCERPT_BYTES_MAX),
        )
        await self._sink.submit(body, at_us=at_us, raw=Raw(source="rest", at_us=at_us, data=data))

    async def _fail(
        self,
        question: Question,
        subject: str,
        reason: str,
        asked_us: int,
        progress: _Progress,
        *,
        unavailable: bool = False,
    ) -> None:
        progress.failed.append(f"{question} {subject}".strip())
        if unavailable:
            progress.unavailable.add(question)
        body = QuestionFailed(
            question=question,
            subject=subject,
            reason=reason[:REASON_LENGTH_MAX],
            unavailable=unavailable,
            asked_us=asked_us,
        )
        await self._sink.deliver(body, at_us=self._clock.now_us())
