"""What to ask the exchange, and when: the decisions of the audit, as values.

What enters: what the fold needs (`events.Needs`), what was answered so far, the time. What leaves: rounds of `Ask`s.
What holds: a question that failed is asked again with growing pauses, one that is never answered to this key once an
hour; statements are asked before facts, and single orders last: where facts are due the list of orders and the rows of
the round mostly tell what was missing; every round of fills asks for all symbols, so that its end claims what it says. How an answer is collected from pages and windows is in `spans`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ditad.bingx.options import FeedOptions
from ditad.clock import US_PER_S
from ditad.events import Needs, OrderNeed, Question

FAILED_S_MIN = 2.0
FAILED_S_MAX = 60.0
ROUND_S_MIN = 0.5
UNAVAILABLE_S = 3600.0
SLACK_SHARE = 10
ORDERS_MAX = 20
"""Orders asked about in one round; the rest follow in the next."""
ORDERS_REMEMBERED_MAX = 10_000
STATEMENTS = (Question.BALANCE, Question.POSITIONS)
FACTS = (Question.FILLS, Question.FORCED_ORDERS, Question.INCOME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question: of one symbol or order where it is about one. `from_ms` is the moment it must reach back to."""

    question: Question
    symbol: str | None = None
    order: OrderNeed | None = None
    from_ms: int | None = None

    @property
    def subject(self) -> str:
        """Name what the question is about."""
        return self.order.order_id if self.order is not None else self.symbol or ""

    @property
    def name(self) -> str:
        """Name the question with its subject."""
        return f"{self.question} {self.subject}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Questions to ask one after the other, and why."""

    cause: str
    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    count: int
    again_us: int


class Schedule:
    """Remembers what was answered and what failed, and plans rounds. Times are `_us` of the machine's clock."""

    def __init__(self, options: FeedOptions) -> None:
        self._every_us = {
            Question.BALANCE: _us(options.interval_s),
            Question.POSITIONS: _us(options.interval_s),
            Question.FILLS: _us(options.fills_interval_s),
            Question.FORCED_ORDERS: _us(options.fills_interval_s),
            Question.INCOME: _us(options.income_interval_s),
        }
        self._answered_us: dict[Question, int] = {}
        self._failed: dict[Question, _Failure] = {}
        self._orders: dict[str, _Failure] = {}
        self._round_us = -_us(ROUND_S_MIN)
        self._demanded: str | None = None

    def demand(self, cause: str) -> None:
        """Want a round of everything now, whatever failed before."""
        self._demanded = cause

    def plan(self, needs: Needs, now_us: int) -> Round | None:
        """Give the round that is due, or `None`."""
        if needs.baseline or now_us < self._round_us + _us(ROUND_S_MIN):
            return None
        dues_us = {question: self._due_us(question, needs) for question in (*STATEMENTS, *FACTS)}
        due: list[Question] = []
        if min(dues_us.values()) <= now_us:
            # What is nearly due goes along, so that rounds stay whole; facts are of use beside a statement.
            due = [name for name, due_us in dues_us.items() if due_us <= now_us + self._every_us[name] // SLACK_SHARE]
            due = [question for question in STATEMENTS if question in due or self._may_ask(question, now_us)] + [
                question for question in due if question in FACTS
            ]
        orders = [need for need in needs.orders if self._order_due_us(need) <= now_us][:ORDERS_MAX]
        if not due and not orders:
            return None
        cause = self._demanded or ("needs" if orders or _wants(needs) else "regular")
        self._demanded = None
        self._round_us = now_us
        asks = [Ask(question=question) for question in due if question in STATEMENTS]
        for question in due:
            asks += _fact_asks(question, needs)
        asks += [Ask(question=Question.ORDER, symbol=need.symbol, order=need) for need in orders]
        return Round(cause=cause, asks=tuple(asks))

    def next_due_us(self, needs: Needs) -> int | None:
        """Give the moment at which `plan` may have a round; `None` while there is no baseline."""
        if needs.baseline:
            return None
        dues = [self._due_us(question, needs) for question in (*STATEMENTS, *FACTS)]
        dues += [self._order_due_us(need) for need in needs.orders]
        return max(min(dues), self._round_us + _us(ROUND_S_MIN))

    def answered(self, question: Question, asked_us: int) -> None:
        """Note that a question was answered completely; for fills, that of all symbols."""
        self._answered_us[question] = asked_us
        self._failed.pop(question, None)

    def failed(self, question: Question, now_us: int, *, unavailable: bool = False) -> None:
        """Note that a question was not answered: it is asked again, but not at once."""
        self._answered_us.pop(question, None)
        self._failed[question] = _again(self._failed.get(question), now_us, unavailable=unavailable)

    def order_asked(self, order_id: str, now_us: int, *, unavailable: bool = False) -> None:
        """Note that an order was asked about; what the fold still wants of it is asked for with growing pauses."""
        if len(self._orders) >= ORDERS_REMEMBERED_MAX:
            self._orders.pop(next(iter(self._orders)))
        self._orders[order_id] = _again(self._orders.pop(order_id, None), now_us, unavailable=unavailable)

    def _due_us(self, question: Question, needs: Needs) -> int:
        if _from_ms(question, needs) is None and question in FACTS:
            return _NEVER_US
        failure = self._failed.get(question)
        if self._demanded is not None and (failure is None or not _is_unavailable(failure)):
            return 0
        last_us = self._answered_us.get(question)
        wanted_us = needs.statements_after_us if question in STATEMENTS else needs.facts_after_us
        if last_us is None or (wanted_us is not None and last_us <= wanted_us):
            due_us = 0
        else:
            due_us = last_us + self._every_us[question]
        return max(due_us, failure.again_us) if failure is not None else due_us

    def _may_ask(self, question: Question, now_us: int) -> bool:
        failure = self._failed.get(question)
        return failure is None or failure.again_us <= now_us

    def _order_due_us(self, need: OrderNeed) -> int:
        asked = self._orders.get(need.order_id)
        return asked.again_us if asked is not None else 0


_NEVER_US = 2**62
_UNAVAILABLE = -1


def _us(seconds: float) -> int:
    return int(seconds * US_PER_S)


def _is_unavailable(failure: _Failure) -> bool:
    return failure.count == _UNAVAILABLE


def _again(before: _Failure | None, now_us: int, *, unavailable: bool) -> _Failure:
    """Put the next attempt off: by an hour where the key is never answered, else by twice the pause before."""
    if unavailable:
        return _Failure(count=_UNAVAILABLE, again_us=now_us + _us(UNAVAILABLE_S))
    count = 0 if before is None else min(max(before.count, 0) + 1, 16)
    return _Failure(count=count, again_us=now_us + _us(min(FAILED_S_MAX, FAILED_S_MIN * 2**count)))


def _wants(needs: Needs) -> bool:
    return needs.statements_after_us is not None or needs.facts_after_us is not None


def _from_ms(question: Question, needs: Needs) -> int | None:
    return needs.income_from_ms if question is Question.INCOME else needs.fills_from_ms


def _fact_asks(question: Question, needs: Needs) -> list[Ask]:
    if question is Question.FILLS:
        return [Ask(question=question, from_ms=needs.fills_from_ms)]
    if question in FACTS:
        return [Ask(question=question, from_ms=_from_ms(question, needs))]
    return []
