"""The pass that every format shares: facts of a period in their current form, day by day, and the balances at their ends.

What enters: a chronicle and a period. What leaves: movements, openings and trades, one by one; then sums by day, and for
each day's end the snapshots around it. What holds: everything is counted by its own time; the balance before the period
is what all facts before it make, from the first baseline on; days and one page of records are in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from ditad.bookkeeping import ClosedTrade, End, Ledger, Movement, Opening, Sums, closed_trade, movement_of
from ditad.chronicle import Chronicle
from ditad.money import ZERO, add
from ditad.records import RecordType, micros_of, rfc3339

PROGRESS_RECORDS: Final = 1_000
DAY_US: Final = 86_400_000_000
DAYS_MAX: Final = 20_000
"""Half a century; a journal that claims more is not counted day by day beyond it."""

AROUND: Final = 16
"""Snapshots on either side of a day's end that are looked at for a statement that fits between the facts."""

Step = Callable[[str, int, int], None]
Item = Movement | Opening | ClosedTrade


@dataclass(slots=True, kw_only=True)
class Books:
    """One account's period. `items` is to be read to its end before the days are looked at."""

    chronicle: Chronicle
    since_us: int
    until_us: int
    whole: bool
    step: Step
    before: Decimal = ZERO
    other_before: dict[str, Decimal] = field(default_factory=dict)
    by_day: dict[str, Sums] = field(default_factory=dict)
    moved: dict[str, Decimal] = field(default_factory=dict)
    trades: Counter[str] = field(default_factory=Counter)
    sums: Sums = field(default_factory=Sums)

    @property
    def asset(self) -> str:
        """Give the account's margin asset."""
        return self.chronicle.settings.margin_asset

    def items(self) -> Iterator[Item]:
        """Give all of the period in the order of the records, once; what lies before it only moves the balance before."""
        since, until = "" if self.whole else rfc3339(self.since_us), rfc3339(self.until_us)
        ledger = Ledger(margin_asset=self.asset, began=self.chronicle.began)
        kinds = (RecordType.FILL, RecordType.INCOME, RecordType.ACCOUNT_EVENT)
        for count, told in enumerate(self.chronicle.told(*kinds)):
            if count % PROGRESS_RECORDS == 0:
                self.step("records", told.seq, self.chronicle.last_seq)
            if told.type is RecordType.ACCOUNT_EVENT:
                trade = closed_trade(told.seq, told.body)
                if trade is not None and since <= trade.closed_at < until:
                    self.trades[trade.closed_at[:10]] += 1
                    yield trade
                continue
            yield from self._openings(ledger, told.seq, since, until)
            movement = movement_of(told.seq, told.type, told.body, self.asset)
            ledger.take(movement)
            if movement.at < since:
                self._before(movement)
            elif movement.at < until:
                self._count(movement)
                yield movement
        yield from self._openings(ledger, None, since, until)

    def _openings(self, ledger: Ledger, seq: int | None, since: str, until: str) -> Iterator[Opening]:
        for opening in ledger.openings(seq):
            if opening.at < since:
                self.before = add(self.before, opening.moved)
            elif opening.at < until:
                self.moved[opening.at[:10]] = add(self.moved.get(opening.at[:10], ZERO), opening.moved)
                yield opening

    def _before(self, movement: Movement) -> None:
        if movement.asset == self.asset:
            self.before = add(self.before, movement.change)
        else:
            known = self.other_before.get(movement.asset, ZERO)
            self.other_before[movement.asset] = add(known, movement.change)

    def _count(self, movement: Movement) -> None:
        if movement.asset != self.asset:
            return
        self.sums.take(movement)
        day = movement.day if len(self.by_day) < DAYS_MAX or movement.day in self.by_day else max(self.by_day)
        self.by_day.setdefault(day, Sums()).take(movement)

    def balances(self) -> Iterator[tuple[str, Decimal]]:
        """Give every day of the period with the wallet at its end as facts make it."""
        days = {*self.by_day, *self.moved}
        day = date.fromisoformat(min({rfc3339(self.since_us)[:10], *days}))
        last = date.fromisoformat(rfc3339(self.until_us - 1)[:10])
        total = self.before
        while day <= last:
            name = day.isoformat()
            sums = self.by_day.get(name)
            total = add(add(total, ZERO if sums is None else sums.change), self.moved.get(name, ZERO))
            yield name, total
            day += timedelta(days=1)

    def end_of(self, day: str) -> End:
        """Look at the snapshots around a day's end, or around the period's where that is earlier."""
        at_us = min(micros_of(f"{day}T00:00:00Z") + DAY_US, self.until_us)
        before, behind = self.chronicle.snapshots_around(at_us, AROUND)
        told = (
            [one["snapshot"] for one in side if one["snapshot"]["baseline"] is not None] for side in (before, behind)
        )
        first, second = (tuple(side) for side in told)
        return End(day=day, at_us=at_us, before=first, behind=second)


def books_of(chronicle: Chronicle, since_us: int | None, until_us: int | None, step: Step) -> Books:
    """Open the books of `[since_us, until_us)`; `None` is where the first ledger begins, and the end of the journal."""
    since, until = chronicle.span(since_us, until_us)
    whole = since == chronicle.began[0].baseline.taken_ms * 1_000
    return Books(chronicle=chronicle, since_us=since, until_us=until, whole=whole, step=step)
