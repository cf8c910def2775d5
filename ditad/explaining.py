"""The entries of a figure, read from the journal: one snapshot folded again, then facts page by page.

What enters: a journal, which snapshot (`None`: the newest), a field, a page. What leaves: the answer of `why`, plain
JSON. What holds: all of an answer is as of one snapshot, whatever the daemon does meanwhile; the running total of a
page is found from the checkpoint before it, so that a page costs the same wherever it begins; a page of facts and one
state are in memory, never all entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

import orjson

from ditad import history
from ditad.codec import decode
from ditad.entries import Column, Entry, Moment, Operation, Recipe, entry_body, step
from ditad.errors import UsageError
from ditad.journal import Checkpoint, Reader
from ditad.money import ZERO, plain_or_none
from ditad.projection import Projection
from ditad.records import Record, RecordType, rfc3339
from ditad.state import FOLD_VERSION, State
from ditad.why import fields, recipe_of

PAGE_ROWS: Final = 1_000
SCANNED_MAX: Final = 20_000
"""Facts that are looked at for one page; where few have a part in the figure, the page is shorter and says where to go on."""

COUNTED_MAX: Final = 100_000
"""Facts that are looked at to count those with a part in a figure, about a second; beyond it the count is `None`."""

LOOKED_BACK_MAX: Final = 64
"""Events of one moment among which that of a statement is looked for."""

FACTS: Final = frozenset({RecordType.FILL, RecordType.INCOME})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A record of a fact: where it stands, and its body."""

    seq: int
    type: RecordType
    body: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Standing:
    """The account as of one snapshot, ready to be explained. `seq` is that snapshot's.

    The facts as they were then: those that are stored up to `stored_seq`, without the ones in `gone`, and `fresh`, which
    are not stored yet. `baseline_seq` is the last record before the ledger began; `counted` is what was counted already.
    """

    account: str
    moment: Moment
    event_seq: int
    seq: int
    ts: str
    stored_seq: int
    fresh: tuple[Fact, ...]
    gone: tuple[Fact, ...]
    baseline_seq: int
    counted: dict[str, int | None] = field(default_factory=dict)


def standing_at(reader: Reader, account: str, event_seq: int | None) -> Standing | None:
    """Fold the journal again up to a snapshot (`None`: the newest one); `None` where there is none such."""
    derived_n, stored_seq = reader.derived_n, reader.last_seq
    if event_seq is None:
        checkpoint = reader.checkpoint_at_or_before(n=2**62, fold_version=FOLD_VERSION)
    else:
        checkpoint = reader.checkpoint_at_or_before(event_seq=event_seq - 1, fold_version=FOLD_VERSION)
    state, seams = checkpoint.state if checkpoint else None, reader.seams(FOLD_VERSION)
    projection = Projection.restored(account, state, seams=seams)
    unstored: list[Record] = []
    last = None
    for event in reader.events(projection.state.n + 1):
        folded = projection.fold(event)
        if event.n > derived_n:
            unstored += [record for record in folded.records if record.type in FACTS]
        if folded.verdict is not None:
            last = folded
            if event_seq is not None and projection.state.event_seq >= event_seq:
                break
    if last is None:
        # Nothing was published since the checkpoint: what it stands at was published before it.
        behind = projection.state.event_seq
        return standing_at(reader, account, behind) if event_seq is None and behind else None
    if event_seq is not None and projection.state.event_seq != event_seq:
        return None
    record, body = last.records[-1], last.bodies[-1]
    assert last.verdict is not None, "what was published has a verdict"
    stored_seq = min(stored_seq, record.seq)
    known, gone = _overlaid(reader, unstored, stored_seq)
    return Standing(
        account=account,
        moment=Moment(state=projection.state, findings=last.verdict.findings, body=body),
        event_seq=projection.state.event_seq,
        seq=record.seq,
        ts=rfc3339(record.at_us),
        stored_seq=stored_seq,
        fresh=known,
        gone=gone,
        baseline_seq=_baseline_seq(reader, projection.state),
    )


def _overlaid(reader: Reader, unstored: list[Record], stored_seq: int) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    """Give the facts that are not stored yet and current, and those stored that they take the place of."""
    replaced = {seq for record in unstored for seq in record.replaces}
    fresh = tuple(_fact(record.seq, record.type, record.line) for record in unstored if record.seq not in replaced)
    old = [row for seq in sorted(replaced) if seq <= stored_seq for row in reader.records_after(seq - 1, limit=1)]
    current = [row for row in old if row.superseded_by is None or row.superseded_by > stored_seq]
    return fresh, tuple(_fact(row.seq, row.type, row.line) for row in current)


def _fact(seq: int, kind: RecordType, line: bytes) -> Fact:
    return Fact(seq=seq, type=kind, body=orjson.loads(line)[kind.value])


def _baseline_seq(reader: Reader, state: State) -> int:
    """Give the last record before the present baseline: 0 for the first one, before which nothing was a fact."""
    if state.baseline is None or state.baseline.adopted_by is None:
        return 0
    n = _event_of(reader, state.baseline_us, ("baseline",))
    return 0 if n is None else reader.seq_before(n)


def _event_of(reader: Reader, at_us: int, kinds: tuple[str, ...]) -> int | None:
    """Find the number of the event of a moment by what `Event.source_id` calls it; the last of several."""
    n = reader.n_at(at_us)
    for number in range(n, max(0, n - LOOKED_BACK_MAX), -1):
        event = next(reader.events(number, number))
        if event.at_us != at_us:
            return None
        if event.source_id.partition(":")[0] in kinds:
            return number
    return None


# ---- an answer ------------------------------------------------------------------------------------------------------


def explained(reader: Reader, standing: Standing, name: str, *, after_seq: int, limit: int) -> dict[str, object]:
    """Answer why a figure is what it is, a page of it; raises `UsageError` naming the figures there are."""
    recipe = recipe_of(standing.moment, name)
    if recipe is None:
        known = ", ".join(fields(standing.moment))
        raise UsageError(f"field: {name[:80]!r} is no figure of this snapshot; there are {known}")
    page = _Page(recipe)
    if after_seq == 0:
        page.opening(_told(reader, standing, recipe))
    cursor: int | None = None
    count: int | None = len(recipe.opening) + len(recipe.closing)
    if recipe.column is not None:
        if after_seq:
            page.total = _total_at(reader, standing, recipe, after_seq)
        cursor = _facts(reader, standing, recipe.column, page, after_seq, max(1, limit - len(page.items)))
        facts = _count(reader, standing, name, recipe.column)
        count = None if facts is None or count is None else count + facts
    if cursor is None:
        page.closing()
    return {
        "account": standing.account,
        "field": recipe.field,
        "event_seq": standing.event_seq,
        "seq": standing.seq,
        "ts": standing.ts,
        "value": recipe.value,
        "note": recipe.note,
        "count": count,
        "exact": page.exact if cursor is None else None,
        "items": page.items,
        "next_after_seq": cursor,
    }


class _Page:
    """The entries of one page, each with the running total behind it."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.items: list[dict[str, object]] = []
        self.total: Decimal | None = ZERO

    @property
    def exact(self) -> bool:
        """Say whether the entries give the figure: of one that is not known, nothing can."""
        return self._recipe.value is None or plain_or_none(self.total) == self._recipe.value

    def add(self, entry: Entry) -> None:
        unknown = entry.amount is None and entry.operation is not Operation.ROUND
        self.total = None if unknown and self._recipe.value is None else step(self.total, entry)
        self.items.append(entry_body(entry, self.total))

    def opening(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.add(entry)

    def closing(self) -> None:
        for entry in self._recipe.closing:
            self.add(entry)


def _told(reader: Reader, standing: Standing, recipe: Recipe) -> Iterator[Entry]:
    """Give the opening entries, and of a statement or a peak which event it was."""
    first = True
    for entry in recipe.opening:
        found: dict[str, object] = {}
        at = entry.at
        if first and recipe.stated_us is not None:
            found = {"event_n": _event_of(reader, recipe.stated_us, recipe.stated_by)}
        if first and recipe.peak:
            at, found = _peak(reader, standing, recipe)
        first = False
        yield replace(entry, at=at, told={**entry.told, **found})


def _peak(reader: Reader, standing: Standing, recipe: Recipe) -> tuple[str | None, dict[str, object]]:
    """Find the snapshot in which the present peak was first reached, among those put away."""
    baseline, n = standing.moment.body["baseline"], standing.event_seq

    def reached(record: Mapping[str, Any]) -> bool:
        body = record[RecordType.SNAPSHOT.value]
        same = baseline is not None and body["baseline"] is not None and body["baseline"]["id"] == baseline["id"]
        return bool(body["event_seq"] >= n or (same and body["k"]["peak_capital"] == recipe.value))

    line = history.first_where(reader, reached)
    if line is None:
        return None, {}
    body = orjson.loads(line)[RecordType.SNAPSHOT.value]
    if body["k"]["peak_capital"] != recipe.value:
        return None, {}
    return body["ts"], {"event_seq": body["event_seq"]}


# ---- facts ----------------------------------------------------------------------------------------------------------


def _facts(reader: Reader, standing: Standing, column: Column, page: _Page, after_seq: int, limit: int) -> int | None:
    """Add facts to a page; gives the `seq` to go on after, `None` where no fact is left."""
    cursor, added, scanned = after_seq, 0, 0
    for fact in _current(reader, standing, column, after_seq, standing.seq):
        if added == limit or scanned == SCANNED_MAX:
            return cursor
        scanned, cursor = scanned + 1, fact.seq
        entry = _entry(column, fact)
        if entry is not None:
            added += 1
            page.add(entry)
    return None


def _entry(column: Column, fact: Fact) -> Entry | None:
    entry = column.entry_of(fact.type, fact.body)
    return None if entry is None else replace(entry, seq=fact.seq)


def _current(reader: Reader, standing: Standing, column: Column, after_seq: int, through_seq: int) -> Iterator[Fact]:
    """Give the facts of a column's types that counted then, oldest first, a page of rows at a time."""
    gone = {fact.seq for fact in standing.gone}
    cursor = max(after_seq, standing.baseline_seq)
    stored_seq = min(standing.stored_seq, through_seq)
    while True:
        rows = reader.facts(
            column.kinds, after_seq=cursor, at_seq=standing.stored_seq, through_seq=stored_seq, limit=PAGE_ROWS
        )
        yield from (_fact(row.seq, row.type, row.line) for row in rows if row.seq not in gone)
        if len(rows) < PAGE_ROWS:
            break
        cursor = rows[-1].seq
    for fact in standing.fresh:
        if fact.type in column.kinds and max(after_seq, standing.baseline_seq) < fact.seq <= through_seq:
            yield fact


def _total_at(reader: Reader, standing: Standing, recipe: Recipe, after_seq: int) -> Decimal | None:
    """Give the running total of the opening and of all facts up to a record."""
    column = recipe.column
    assert column is not None, "facts make this figure"
    total: Decimal | None = ZERO
    for entry in recipe.opening:
        total = step(total, entry)
    begun = _checkpoint(reader, standing, after_seq)
    seq = standing.baseline_seq
    if begun is not None:
        checkpoint, state = begun
        seq = checkpoint.seq
        # What the ledger counted then, without what was corrected since: that is counted where its correction stands.
        total = step(total, _sum_entry(column.sum_of(state)))
        corrected = reader.straddling(column.kinds, at_seq=seq, through_seq=standing.stored_seq)
        old = [_fact(row.seq, row.type, row.line) for row in corrected if row.seq > standing.baseline_seq]
        old += [fact for fact in standing.gone if fact.type in column.kinds and fact.seq <= seq]
        for fact in old:
            part = column.entry_of(fact.type, fact.body)
            if part is not None:
                total = step(total, replace(part, operation=Operation.SUBTRACT))
    for fact in _current(reader, standing, column, seq, after_seq):
        part = column.entry_of(fact.type, fact.body)
        total = total if part is None else step(total, part)
    return total


def _sum_entry(amount: Decimal) -> Entry:
    return Entry(operation=Operation.ADD, amount=amount, what="facts before")


def _checkpoint(reader: Reader, standing: Standing, seq: int) -> tuple[Checkpoint, State] | None:
    """Give the newest checkpoint of this ledger up to a record."""
    found = reader.checkpoint_at_or_before(seq=min(seq, standing.stored_seq), fold_version=FOLD_VERSION)
    if found is None:
        return None
    state = decode(State, found.state)
    own = standing.moment.state.baseline
    same = state.baseline is not None and own is not None and state.baseline.baseline_id == own.baseline_id
    return (found, state) if same else None


def _count(reader: Reader, standing: Standing, name: str, column: Column) -> int | None:
    """Count the facts that have a part in a figure; `None` where too many would have to be looked at."""
    if name in standing.counted:
        return standing.counted[name]
    after_seq, through_seq = standing.baseline_seq, standing.stored_seq
    gone = sum(fact.type in column.kinds and fact.seq > after_seq for fact in standing.gone)
    count: int | None = reader.count_facts(column.kinds, after_seq=after_seq, through_seq=through_seq) - gone
    assert count is not None, "it was counted"
    if column.whole:
        count += sum(fact.type in column.kinds and fact.seq > after_seq for fact in standing.fresh)
    elif count > COUNTED_MAX:
        count = None
    else:
        facts = _current(reader, standing, column, after_seq, standing.seq)
        count = sum(column.entry_of(fact.type, fact.body) is not None for fact in facts)
    standing.counted[name] = count
    return count
