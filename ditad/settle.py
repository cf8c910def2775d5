"""Numbers of one moment: which facts and statements still wait for their twin, and what is left when they are set aside.

What enters: a field's statements, the facts that move K's side of it, and K's value. What leaves: a `Reading` of how
the two stand. What holds: each fact or statement waits on its own clock, never extended by later ones; the residual is
K − E without a subset of waiting ones that explains it; a statement repeated word for word starts no new clock.
(account.md §5, The same moment)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

from ditad.money import ZERO, add, sub

SEARCHED_FACTS_MAX = 12
"""Up to this many waiting facts every subset is tried; beyond it, their first or last ones, and each alone."""

WAITING_FACTS_MAX = 512
"""Older waiting facts than this many are given up: they explain nothing any more."""

WAITING_STATEMENTS_MAX = 512
"""As above, for statements."""


class Standing(StrEnum):
    """How K and E of a field stand to each other, mildest first."""

    SILENT = "silent"
    SETTLED = "settled"
    UNSETTLED = "unsettled"
    RESIDUAL = "residual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A stated value; it waits for its twin until `deadline_us`."""

    value: Decimal
    deadline_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFact:
    """A fact's effect on K's value; it waits for its twin until `deadline_us`."""

    amount: Decimal
    deadline_us: int


@dataclass(slots=True, kw_only=True)
class Twins:
    """One compared field: the statements since the last agreement, and the facts folded since.

    `agreed_us` is when both last came to agree: E held every fact from before.
    """

    statements: list[Statement] = field(default_factory=list)
    facts: list[WaitingFact] = field(default_factory=list)
    confirmed: Decimal | None = None
    agreed_us: int = 0


class Balance(NamedTuple):
    """How a field stands now. `delta` is K − E (of a confirmed difference: without the facts on their
    way), `residual` what waiting twins do not explain.

    `deadline_us` is when waiting ends and the field must be read again (`None`: nothing waits).
    """

    standing: Standing
    delta: Decimal
    residual: Decimal
    deadline_us: int | None


_amount_of: Callable[[WaitingFact], Decimal] = attrgetter("amount")
_deadline_of: Callable[[WaitingFact], int] = attrgetter("deadline_us")


def state(twins: Twins, value: Decimal, now_us: int, window_us: int) -> None:
    """Hear a statement; one equal to the last only says again what was said."""
    if twins.statements and twins.statements[-1].value == value:
        return
    twins.statements.append(Statement(value=value, deadline_us=now_us + window_us))
    del twins.statements[:-WAITING_STATEMENTS_MAX]


def move(twins: Twins, amount: Decimal, now_us: int, window_us: int) -> None:
    """Hear that a fact moved K's value."""
    if amount:
        twins.facts.append(WaitingFact(amount=amount, deadline_us=now_us + window_us))
        del twins.facts[:-WAITING_FACTS_MAX]


def settle_at(twins: Twins, value: Decimal) -> None:
    """Begin anew: E is this, and nothing waits (a baseline)."""
    twins.statements = [Statement(value=value, deadline_us=0)]
    twins.facts = []
    twins.confirmed = None


def expire(twins: Twins, now_us: int) -> int | None:
    """Let go of what no longer waits; the statement before those that do stays, for K may still be there.

    Gives until when the first of the facts that are left waits (`None`: none is).
    """
    until_us = min(map(_deadline_of, twins.facts), default=None)  # there may be hundreds
    if until_us is not None and until_us <= now_us:
        twins.facts = [fact for fact in twins.facts if fact.deadline_us > now_us]
        until_us = min(map(_deadline_of, twins.facts), default=None)
    oldest = len(twins.statements) - 1
    while oldest > 0 and twins.statements[oldest].deadline_us > now_us:
        oldest -= 1
    del twins.statements[: max(oldest, 0)]
    return until_us


def balance(twins: Twins, k: Decimal, tolerance: Decimal, now_us: int) -> Balance:
    """Compare, and let go of what no longer waits."""
    if not twins.statements:
        return Balance(standing=Standing.SILENT, delta=ZERO, residual=ZERO, deadline_us=None)
    delta = sub(k, twins.statements[-1].value)
    if abs(delta) <= tolerance:
        del twins.statements[:-1]
        twins.facts.clear()
        twins.confirmed, twins.agreed_us = None, now_us
        return Balance(standing=Standing.SETTLED, delta=delta, residual=ZERO, deadline_us=None)
    clocks = [expire(twins, now_us), *[item.deadline_us for item in twins.statements[1:]]]
    deadline = min([until_us for until_us in clocks if until_us is not None and until_us > now_us], default=None)
    latest = accumulate(map(_amount_of, reversed(twins.facts)), add, initial=ZERO)
    if delta in latest:  # mostly the latest ones alone explain it: K is ahead of E
        return Balance(standing=Standing.UNSETTLED, delta=delta, residual=ZERO, deadline_us=deadline)
    sums = sorted(_sums([fact.amount for fact in twins.facts]))
    if _explains(sums, twins, k, tolerance):
        return Balance(standing=Standing.UNSETTLED, delta=delta, residual=ZERO, deadline_us=deadline)
    known = twins.confirmed
    if known and _explains(sums, twins, sub(k, known), tolerance):
        return Balance(standing=Standing.RESIDUAL, delta=known, residual=known, deadline_us=deadline)
    return Balance(standing=Standing.RESIDUAL, delta=delta, residual=delta, deadline_us=deadline)


def _explains(ordered: Sequence[Decimal], twins: Twins, k: Decimal, tolerance: Decimal) -> bool:
    """Say whether one of these sums of waiting facts, in their order, is what K is ahead of one of the statements."""
    for statement in reversed(twins.statements):
        wanted = sub(k, statement.value)
        place = bisect_left(ordered, sub(wanted, tolerance))
        if place < len(ordered) and ordered[place] <= add(wanted, tolerance):
            return True
    return False


def _sums(amounts: list[Decimal]) -> list[Decimal]:
    """Give what waiting facts can explain: each subset's sum, or those of their first, last and single ones if many."""
    if len(amounts) <= SEARCHED_FACTS_MAX:
        sums = [ZERO]
        for amount in amounts:
            sums += [add(total, amount) for total in sums]
        return sums
    tails = list(accumulate(reversed(amounts), add, initial=ZERO))
    heads = list(accumulate(amounts, add, initial=ZERO))
    return list(dict.fromkeys([*tails, *heads, *amounts]))
