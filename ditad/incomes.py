"""Funding, transfers and other income: their identity, and how pushes and rows become one fact.

What enters: account pushes that are no order's, and income rows. What leaves: `IncomeFact`s, the current ones.
What holds: a row and a push of one happening are counted once; an amount that nobody told is `None`, never "whatever
was left over". (account.md §3, Funding, Transfers and other income)
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
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

FORCED_INCOMES = frozenset({"INSURANCE_CLEAR", "ADL"})
"""Names under which what a forced close brought is told once more."""


class IncomeKind(StrEnum):
    """Where K books a fact."""

    FUNDING = "funding"
    TRANSFER = "transfer"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomeFact:
    """One happening. `amount` is positive when paid for funding and positive when received for all else.

    `name` is the exchange's own word. `provisional`: known from a push alone, a row will confirm it. `derived`: nobody
    told the amount, it is the difference between statements.
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
    derived: bool = False
    trade_id: str | None = None


@dataclass(slots=True, kw_only=True)
class FundingGroup:
    """One settlement of one asset as pushes and rows tell it; `facts` are those that count now.

    `proven`: the wallet agreed with the rows and not with the pushes.
    """

    asset: str
    pushes: list[IncomeFact] = field(default_factory=list)
    rows: list[IncomeFact] = field(default_factory=list)
    facts: list[IncomeFact] = field(default_factory=list)
    closed: bool = False
    proven: bool = False

    def span(self) -> tuple[int, int]:
        """Give the first and last millisecond that rows of this group may be stamped with."""
        times = [fact.at_ms for fact in self.pushes] or [fact.at_ms for fact in self.rows]
        return min(times) - ROW_BEFORE_MS, max(times) + GROUP_CHAIN_MS

    def last_ms(self) -> int:
        """Give the time of the group's last push (of its last row where no push was heard)."""
        return max(fact.at_ms for fact in self.pushes or self.rows)

    def is_told(self) -> bool:
        """Say whether nothing is left to be told of it."""
        return self.closed and all(fact.amount is not None for fact in self.facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a push or row did to the current facts, and the funding difference it left (`None`: none)."""

    removed: tuple[IncomeFact, ...] = ()
    added: tuple[IncomeFact, ...] = ()
    difference: tuple[FundingGroup, Decimal] | None = None


@dataclass(slots=True, kw_only=True)
class Incomes:
    """All income that may still meet its twin, and the ids of what may be told again.

    `moves` are transfers and other income as pushes and rows tell them; `joined` are those that count now, `followed`
    the amounts by which they do where the wallet followed another one, by their key. Whatever is told of forced closes
    from before `closes_ms`, and of all else from before `settled_ms`, was told before.
    """

    groups: list[FundingGroup] = field(default_factory=list)
    moves: list[IncomeFact] = field(default_factory=list)
    joined: list[IncomeFact] = field(default_factory=list)
    followed: dict[str, Decimal] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    settled_ms: int = 0
    closes_ms: int = 0

    def remembered(self) -> list[IncomeFact]:
        """Give every fact that may still change, or be replaced by its twin."""
        return [*self.joined, *(fact for group in self.groups for fact in (*group.pushes, *group.rows))]


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
        trade_id=row.trade_id,
    )


def hear_push(incomes: Incomes, fact: IncomeFact) -> Change:
    """Take a push's fact in; a repetition changes nothing."""
    if is_known(incomes, fact.key, fact.name, fact.at_ms):
        return Change()
    incomes.heard[fact.key] = fact.at_ms
    if fact.kind is not IncomeKind.FUNDING:
        return _hear_move(incomes, fact)
    return _hear_funding(incomes, fact)


def hear_row(incomes: Incomes, row: IncomeRow) -> Change:
    """Take an income row in, once per `tran_id`; witnesses and repetitions change nothing."""
    fact = fact_of_row(row)
    if row.kind in WITNESSES or fact.key in incomes.heard:
        return Change()
    incomes.heard[fact.key] = fact.at_ms
    if fact.kind is not IncomeKind.FUNDING:
        return _hear_move(incomes, fact)
    return _hear_funding(incomes, fact)


def is_known(incomes: Incomes, key: str, name: str, at_ms: int) -> bool:
    """Say whether a push or row is one that was heard already, be it so long ago that it is not remembered."""
    return key in incomes.heard or at_ms < (incomes.closes_ms if name in FORCED_INCOMES else incomes.settled_ms)


def told_before(incomes: Incomes, tran_ids: AbstractSet[str]) -> dict[str, IncomeFact]:
    """Give what rows said of these happenings when they were first heard, as far as it is remembered."""
    rows = [row for group in incomes.groups for row in group.rows]
    rows += [move for move in incomes.moves if move.tran_id is not None]
    return {row.tran_id: row for row in rows if row.tran_id is not None and row.tran_id in tran_ids}


def contested(incomes: Incomes) -> list[tuple[FundingGroup, Decimal]]:
    """Give the open groups whose rows say otherwise than what counts now, and how much more was paid by the rows."""
    found = []
    for group in incomes.groups:
        if group.rows and group.pushes and not (group.closed or group.proven):
            more = add(exact_sum(_amounts(group.rows)), -exact_sum(_amounts(group.facts)))
            if more:
                found.append((group, more))
    return found


def prove(group: FundingGroup) -> Change:
    """Take a group's rows on the wallet's word, before its time is over."""
    group.proven = True
    return _choose(group)


def untold_group(incomes: Incomes, keys: AbstractSet[str]) -> FundingGroup | None:
    """Give the settlement that all these pushes belong to; `None` if they are of several."""
    return next((group for group in incomes.groups if keys <= {push.key for push in group.pushes}), None)


def tell(group: FundingGroup, amounts: Mapping[str, Decimal]) -> Change:
    """Take amounts that no push told from the difference between statements, by the pushes' keys."""
    group.pushes = [
        replace(push, amount=amounts[push.key], derived=True, sources=(*push.sources, "statements"))
        if push.key in amounts
        else push
        for push in group.pushes
    ]
    return _choose(group)


def close_groups(incomes: Incomes, asked_through_ms: int, kept_from_ms: int = 0) -> list[Change]:
    """Close the groups whose rows a completed question must have brought; `asked_through_ms` is that question's end.

    The rows then are the facts, also of amounts that no push told; a difference to what pushes told is returned. Where
    no row came, what pushes told stays (the wallet moved by it) and all of it is the difference; but of a group from
    before `kept_from_ms` no row can come, and that says nothing.
    """
    changes = []
    for group in incomes.groups:
        if group.closed or group.last_ms() + GROUP_OPEN_MS > asked_through_ms:
            continue
        group.closed = True
        if not group.pushes or (not group.rows and group.last_ms() < kept_from_ms):
            continue
        change = _choose(group)
        told = [fact.amount for fact in group.pushes]
        known = [amount for amount in told if amount is not None]
        difference = add(exact_sum(known), -exact_sum(_amounts(group.rows)))
        if len(known) == len(told) and difference:
            change = replace(change, difference=(group, difference))
        if change != Change():
            changes.append(change)
    return changes


def forget(incomes: Incomes, *, settled_ms: int, closes_ms: int, unkept_ms: int = 0) -> None:
    """Drop what can meet no twin and what no question can bring again: all from before these times.

    A question begins at the watermark or a little before it; the caller stays far enough behind. What a forced close may
    be, and a settlement of which an amount is unknown, wait until `closes_ms`; an open settlement waits for its rows,
    but not where they would be of before `unkept_ms`.
    """
    incomes.settled_ms, incomes.closes_ms = max(incomes.settled_ms, settled_ms), max(incomes.closes_ms, closes_ms)
    incomes.groups = [group for group in incomes.groups if group.last_ms() >= _kept_from(incomes, group, unkept_ms)]
    waiting = [move for move in incomes.moves if move.at_ms >= incomes.closes_ms]
    amounts = {(move.asset, move.amount) for move in waiting if move.name in FORCED_INCOMES}
    incomes.moves = [
        move for move in waiting if move.at_ms >= incomes.settled_ms or (move.asset, move.amount) in amounts
    ]
    kept = {move.key for move in incomes.moves}
    incomes.joined = [fact for fact in incomes.joined if fact.key in kept]
    incomes.followed = {key: amount for key, amount in incomes.followed.items() if key in kept}
    kept.update(fact.key for fact in incomes.remembered())
    incomes.heard = {key: at_ms for key, at_ms in incomes.heard.items() if at_ms >= incomes.settled_ms or key in kept}


def _kept_from(incomes: Incomes, group: FundingGroup, unkept_ms: int) -> int:
    if group.is_told():
        return incomes.settled_ms
    return incomes.closes_ms if group.closed else min(incomes.closes_ms, unkept_ms)


def _amounts(facts: list[IncomeFact]) -> list[Decimal]:
    return [fact.amount for fact in facts if fact.amount is not None]


def _hear_funding(incomes: Incomes, fact: IncomeFact) -> Change:
    """Put a push or row into its group; after a push the open groups of its asset are formed anew.

    A row changes no group but its own, and after a long absence there are thousands of them.
    """
    for group in incomes.groups:
        if group.closed and group.asset == fact.asset and _belongs(group, fact):
            _members(group, fact).append(fact)
            return _choose(group)
    if fact.tran_id is not None:
        return _hear_funding_row(incomes, fact)
    open_ = [group for group in incomes.groups if not group.closed and group.asset == fact.asset]
    before = [known for group in open_ for known in group.facts]
    told = sorted([*(f for group in open_ for f in (*group.pushes, *group.rows)), fact], key=_by_time)
    formed: list[FundingGroup] = []
    for push in (known for known in told if known.tran_id is None):
        if not formed or push.at_ms - formed[-1].last_ms() >= GROUP_CHAIN_MS:
            formed.append(FundingGroup(asset=fact.asset))
        formed[-1].pushes.append(push)
    settlements = list(formed)
    for row in (known for known in told if known.tran_id is not None):
        home = next((group for group in reversed(settlements) if _belongs(group, row)), None)
        if home is None:
            home = FundingGroup(asset=fact.asset)
            formed.append(home)
        home.rows.append(row)
    kept = [group for group in incomes.groups if all(group is not other for other in open_)]
    incomes.groups = [*kept, *formed]
    for group in formed:
        _choose(group)
    return _difference(before, [known for group in formed for known in group.facts])


def _hear_funding_row(incomes: Incomes, row: IncomeFact) -> Change:
    """Put a row into the last open settlement it may belong to, else into a group of its own."""
    settlements = (group for group in reversed(incomes.groups) if group.pushes and not group.closed)
    home = next((group for group in settlements if group.asset == row.asset and _belongs(group, row)), None)
    if home is None:
        home = FundingGroup(asset=row.asset)
        incomes.groups.append(home)
    home.rows.append(row)
    home.rows.sort(key=_by_time)
    return _choose(home)


def _by_time(fact: IncomeFact) -> tuple[int, str]:
    return fact.at_ms, fact.key


def _members(group: FundingGroup, fact: IncomeFact) -> list[IncomeFact]:
    return group.pushes if fact.tran_id is None else group.rows


def _belongs(group: FundingGroup, fact: IncomeFact) -> bool:
    """Say whether a push chains with a group's pushes, or a row is stamped within its span."""
    if fact.tran_id is not None:
        first, last = group.span()
        return bool(group.pushes) and first <= fact.at_ms <= last
    return any(abs(push.at_ms - fact.at_ms) < GROUP_CHAIN_MS for push in group.pushes)


def _choose(group: FundingGroup) -> Change:
    """Let rows be the facts where no push was heard, the group is closed or proven, or the sums are equal."""
    pushed = [fact.amount for fact in group.pushes]
    equal = None not in pushed and exact_sum(_amounts(group.pushes)) == exact_sum(_amounts(group.rows))
    before = group.facts
    if group.rows and (not group.pushes or group.closed or group.proven or equal):
        sources = tuple(dict.fromkeys(source for push in group.pushes for source in push.sources))
        group.facts = [replace(row, sources=(*sources, *row.sources)) for row in group.rows]
    else:
        group.facts = list(group.pushes)
    return _difference(before, group.facts)


def _difference(before: list[IncomeFact], after: list[IncomeFact]) -> Change:
    held, kept = set(before), set(after)
    return Change(
        removed=tuple(fact for fact in before if fact not in kept),
        added=tuple(fact for fact in after if fact not in held),
    )


def _hear_move(incomes: Incomes, fact: IncomeFact) -> Change:
    """Join rows and pushes of one transfer: equal asset and amount, close in time, one to one, oldest first.

    All of this asset and amount are matched anew, so that it does not matter in which order they came.
    """
    incomes.moves.append(fact)
    incomes.moves.sort(key=_by_time)
    before, others = _parted(incomes.joined, fact)
    equal, _ = _parted(incomes.moves, fact)
    rows = [move for move in equal if move.tran_id is not None]
    after = []
    for push in (move for move in equal if move.tran_id is None):
        row = next((row for row in rows if _is_near(row, push)), None)
        if row is None:
            after.append(push)
        else:
            rows.remove(row)
            after.append(replace(row, sources=(*push.sources, *row.sources)))
    after = sorted([*after, *rows], key=_by_time)
    incomes.joined = sorted([*others, *after], key=_by_time)
    return _difference(_counted(incomes, before), _counted(incomes, after))


def _parted(moves: list[IncomeFact], fact: IncomeFact) -> tuple[list[IncomeFact], list[IncomeFact]]:
    """Part what may be told by the same happening as a fact, by asset and amount, from all else."""
    equal: list[IncomeFact] = []
    others: list[IncomeFact] = []
    for move in moves:
        (equal if (move.amount, move.asset) == (fact.amount, fact.asset) else others).append(move)
    return equal, others


def follow(incomes: Incomes, amounts: dict[str, Decimal]) -> Change:
    """Let incomes of forced closes count what the wallet followed instead of what they say."""
    before = _counted(incomes, incomes.joined)
    incomes.followed = amounts
    return _difference(before, _counted(incomes, incomes.joined))


def _counted(incomes: Incomes, facts: list[IncomeFact]) -> list[IncomeFact]:
    """Give facts with the amounts by which they count."""
    told = incomes.followed
    return [replace(fact, amount=told[fact.key]) if fact.key in told else fact for fact in facts]


def _is_near(row: IncomeFact, push: IncomeFact) -> bool:
    return -ROW_BEFORE_MS <= row.at_ms - push.at_ms <= GROUP_CHAIN_MS
