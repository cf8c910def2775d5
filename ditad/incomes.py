"""Funding, transfers and other income: their identity, and how pushes and rows become one fact.

What enters: account pushes that are no order's, and income rows. What leaves: `IncomeFact`s, the current ones.
What holds: a row and a push of one happening are counted once; an amount that nobody told is `None`, never "whatever
was left over". (account.md §3, Funding, Transfers and other income)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from ditad.events import IncomeRow
from ditad.money import add, exact_sum

GROUP_CHAIN_MS = 120_000
"""Funding pushes of one asset closer than this are one settlement; rows stamped up to this after the last belong."""

GROUP_OPEN_MS = 150_000
"""A group may still get rows until this long after its last push."""

ROW_BEFORE_MS = 1_000
"""A row's stamp is a whole second: it may lie up to this before the push it restates."""

WITNESSES = frozenset({"REALIZED_PNL", "TRADING_FEE"})
"""Rows that restate fills; they are no facts. (account.md §3)"""

FORCED = frozenset({"INSURANCE_CLEAR", "ADL"})
"""Rows that may restate a forced close."""


class IncomeKind(StrEnum):
    """Where K books a fact."""

    FUNDING = "funding"
    TRANSFER = "transfer"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomeFact:
    """One happening. `amount` is positive when paid for funding and positive when received for all else.

    `name` is the exchange's own word. `provisional`: known from a push alone, a row will confirm it.
    """

    key: str
    kind: IncomeKind
    name: str
    amount: Decimal | None
    asset: str
    symbol: str | None
    tran_id: str | None
    at_ms: int
    provisional: bool
    sources: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class FundingGroup:
    """One settlement of one asset as pushes and rows tell it; `facts` are those that count now."""

    asset: str
    pushes: list[IncomeFact] = field(default_factory=list)
    rows: list[IncomeFact] = field(default_factory=list)
    facts: list[IncomeFact] = field(default_factory=list)
    closed: bool = False

    def span(self) -> tuple[int, int]:
        """Give the first and last millisecond that rows of this group may be stamped with."""
        times = [fact.at_ms for fact in self.pushes] or [fact.at_ms for fact in self.rows]
        return min(times) - ROW_BEFORE_MS, max(times) + GROUP_CHAIN_MS

    def last_ms(self) -> int:
        """Give the time of the group's last push (of its last row where no push was heard)."""
        return max(fact.at_ms for fact in self.pushes or self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a push or row did to the current facts, and the funding difference it left (`None`: none)."""

    removed: tuple[IncomeFact, ...] = ()
    added: tuple[IncomeFact, ...] = ()
    difference: tuple[FundingGroup, Decimal] | None = None


@dataclass(slots=True, kw_only=True)
class Incomes:
    """All current income facts that may still meet their twin, and the ids of all rows heard."""

    groups: list[FundingGroup] = field(default_factory=list)
    moves: list[IncomeFact] = field(default_factory=list)
    heard: dict[str, int] = field(default_factory=dict)


def kind_of(name: str) -> IncomeKind:
    """Say where a happening of this name is booked."""
    if name == "FUNDING_FEE":
        return IncomeKind.FUNDING
    if name in {"DEPOSIT", "WITHDRAW"} or "TRANSFER" in name:
        return IncomeKind.TRANSFER
    return IncomeKind.OTHER


def fact_of_row(row: IncomeRow) -> IncomeFact:
    """Make the fact that a row identifies."""
    kind = kind_of(row.kind)
    return IncomeFact(
        key=f"tran:{row.tran_id}",
        kind=kind,
        name=row.kind,
        amount=-row.amount if kind is IncomeKind.FUNDING else row.amount,
        asset=row.asset,
        symbol=row.symbol,
        tran_id=row.tran_id,
        at_ms=row.at_ms,
        provisional=False,
        sources=("income",),
    )


def hear_push(incomes: Incomes, fact: IncomeFact) -> Change:
    """Take a push's fact in; a repetition changes nothing."""
    if fact.key in incomes.heard:
        return Change()
    incomes.heard[fact.key] = fact.at_ms
    if fact.kind is not IncomeKind.FUNDING:
        return _hear_move(incomes, fact)
    group = _group_for_push(incomes, fact)
    group.pushes.append(fact)
    return _choose(group)


def hear_row(incomes: Incomes, row: IncomeRow) -> Change:
    """Take an income row in, once per `tran_id`; witnesses and repetitions change nothing."""
    fact = fact_of_row(row)
    if row.kind in WITNESSES or fact.key in incomes.heard:
        return Change()
    incomes.heard[fact.key] = fact.at_ms
    if fact.kind is not IncomeKind.FUNDING:
        return _hear_move(incomes, fact)
    group = _group_for_row(incomes, fact)
    group.rows.append(fact)
    return _choose(group)


def close_groups(incomes: Incomes, asked_through_ms: int) -> list[Change]:
    """Close the groups whose rows a completed question must have brought; `asked_through_ms` is that question's end.

    The rows then are the facts, also of amounts that no push told; a difference to what pushes told is returned.
    """
    changes = []
    for group in incomes.groups:
        if group.closed or group.last_ms() + GROUP_OPEN_MS > asked_through_ms:
            continue
        group.closed = True
        if not group.rows or not group.pushes:
            continue
        change = _take_rows(group)
        told = [fact.amount for fact in group.pushes]
        known = [amount for amount in told if amount is not None]
        difference = add(exact_sum(known), -exact_sum(_amounts(group.rows)))
        if len(known) == len(told) and difference:
            change = replace(change, difference=(group, difference))
        changes.append(change)
    return changes


def forget(incomes: Incomes, before_ms: int) -> None:
    """Drop what can meet no twin any more: closed groups and moves from before this time.

    Row identities are kept: a question may reach back as far as the exchange keeps rows.
    """
    incomes.groups = [group for group in incomes.groups if not group.closed or group.last_ms() >= before_ms]
    incomes.moves = [move for move in incomes.moves if move.at_ms >= before_ms]


def _amounts(facts: list[IncomeFact]) -> list[Decimal]:
    return [fact.amount for fact in facts if fact.amount is not None]


def _group_for_push(incomes: Incomes, fact: IncomeFact) -> FundingGroup:
    for group in incomes.groups:
        if group.asset != fact.asset or group.closed:
            continue
        times = [push.at_ms for push in group.pushes]
        if times and min(times) - GROUP_CHAIN_MS < fact.at_ms < max(times) + GROUP_CHAIN_MS:
            return group
        if not times and any(-ROW_BEFORE_MS <= row.at_ms - fact.at_ms <= GROUP_CHAIN_MS for row in group.rows):
            return group
    group = FundingGroup(asset=fact.asset)
    incomes.groups.append(group)
    return group


def _group_for_row(incomes: Incomes, fact: IncomeFact) -> FundingGroup:
    for group in incomes.groups:
        first, last = group.span()
        if group.asset == fact.asset and first <= fact.at_ms <= last:
            return group
    group = FundingGroup(asset=fact.asset)
    incomes.groups.append(group)
    return group


def _choose(group: FundingGroup) -> Change:
    """Let rows be the facts where no push was heard, where the group is closed, or where the sums are equal."""
    pushed = [fact.amount for fact in group.pushes]
    equal = group.rows and None not in pushed and exact_sum(_amounts(group.pushes)) == exact_sum(_amounts(group.rows))
    if not group.pushes or group.closed or equal:
        return _take_rows(group)
    return _take(group, group.pushes)


def _take_rows(group: FundingGroup) -> Change:
    sources = tuple(dict.fromkeys(source for push in group.pushes for source in push.sources))
    return _take(group, [replace(row, sources=(*sources, *row.sources)) for row in group.rows])


def _take(group: FundingGroup, facts: list[IncomeFact]) -> Change:
    before = group.facts
    group.facts = list(facts)
    return Change(
        removed=tuple(fact for fact in before if fact not in group.facts),
        added=tuple(fact for fact in group.facts if fact not in before),
    )


def _hear_move(incomes: Incomes, fact: IncomeFact) -> Change:
    """Join a row and a push of one transfer: equal asset and amount, close in time, one to one, oldest first."""
    for index, other in enumerate(incomes.moves):
        row, push = (fact, other) if fact.tran_id is not None else (other, fact)
        if row.tran_id is None or push.tran_id is not None or "push" in row.sources:
            continue
        near = -ROW_BEFORE_MS <= row.at_ms - push.at_ms <= GROUP_CHAIN_MS
        if near and (row.asset, row.amount) == (push.asset, push.amount):
            joined = replace(row, sources=(*push.sources, *row.sources))
            incomes.moves[index] = joined
            return Change(removed=(other,), added=(joined,))
    incomes.moves.append(fact)
    incomes.moves.sort(key=lambda move: move.at_ms)
    return Change(added=(fact,))
