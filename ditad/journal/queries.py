"""The questions asked of a journal, over whatever connection: the same for the writer's start and for readers.

What enters: `ask`, which runs one statement to its end and gives its rows. What leaves: events, checkpoints, records
and commits as records. What holds: no statement stays open between two pages, so that nobody who reads slowly keeps
the write-ahead log from being folded back; the events given have no hole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from ditad.events import Event, Raw
from ditad.journal.failures import damaged
from ditad.journal.packing import unpack
from ditad.journal.rows import Archived, Checkpoint, Commit, StoredRecord, event_of, raw_of, record_of
from ditad.journal.shelves import Shelf, shelf_of
from ditad.records import RecordType

PAGE_ROWS: Final = 500
LIMIT_MAX: Final = 10_000
"""Rows that one question may ask for."""

SCANNED_MAX: Final = 20_000
"""Events that one question may pass over on its way to those of a rare kind."""


class Ask(Protocol):
    """Run one statement with its parameters and give all its rows."""

    def __call__(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Raise an error of our tree where the database does not answer."""


def meta(ask: Ask) -> dict[str, str]:
    """Give what the journal says about itself."""
    return dict(ask("SELECT key, value FROM meta"))


def last_n(ask: Ask) -> int:
    """Give the number of the last event, 0 where there is none."""
    return int(ask("SELECT coalesce(max(n), 0) FROM events")[0][0])


def derived_through(ask: Ask) -> tuple[int, int]:
    """Give up to which event, and up to which `seq`, what folding led to is stored."""
    rows = ask("SELECT through_n, last_seq FROM commits ORDER BY through_n DESC LIMIT 1")
    if not rows:
        return (0, 0)
    if not all(isinstance(number, int) for number in rows[0]):
        raise damaged("the journal", "its last commit says no numbers")
    return rows[0][0], rows[0][1]


def seams(ask: Ask, fold_version: int) -> dict[int, tuple[int, int]]:
    """Give where this fold goes on behind another one's commits, and with which numbers.

    By the first event behind them: the last `seq` and the last `event_seq` that are stored. Versions follow each other:
    each is one span of commits.
    """
    found: dict[int, tuple[int, int]] = {}
    last = ask("SELECT coalesce(max(through_n), 0) FROM commits")[0][0]
    rows = ask(_COMMIT + " ORDER BY through_n LIMIT 1")
    while rows and rows[0][2] != fold_version:
        end, beyond = rows[0][0], last + 1
        while beyond - end > 1:  # its version is that of `end`, and that of `beyond` is another
            middle = (end + beyond) // 2
            same = ask(_COMMIT + " WHERE through_n <= ? ORDER BY through_n DESC LIMIT 1", middle)[0][2] == rows[0][2]
            end, beyond = (middle, beyond) if same else (end, middle)
        through_n, seq, version = ask(_COMMIT + " WHERE through_n <= ? ORDER BY through_n DESC LIMIT 1", end)[0]
        found[through_n + 1] = seq, _snapshots(ask, version, through_n, seq)
        rows = ask(_COMMIT + " WHERE through_n > ? ORDER BY through_n LIMIT 1", end)
    return found


def _snapshots(ask: Ask, fold_version: int, n: int, seq: int) -> int:
    """Give how many snapshots there are up to `seq`: none has a row among the records, and checkpoints say a number."""
    rows = ask(
        "SELECT seq, event_seq FROM checkpoints WHERE fold_version = ? AND n <= ? ORDER BY n DESC LIMIT 1",
        fold_version,
        n,
    )
    known_seq, known = rows[0] if rows else (0, 0)
    records = ask("SELECT count(*) FROM records WHERE seq > ? AND seq <= ?", known_seq, seq)[0][0]
    return int(known + seq - known_seq - records)


_COMMIT: Final = "SELECT through_n, last_seq, fold_version FROM commits"


def events(ask: Ask, from_n: int, to_n: int | None) -> Iterator[Event]:
    """Give the events from `from_n` to `to_n` (the end where `None`), in order.

    Raises `JournalDamagedError` at a hole or at an event that cannot be read.
    """
    due = max(1, from_n)
    end = 2**63 - 1 if to_n is None else to_n
    while due <= end:
        page = ask(
            "SELECT n, at_us, quiet_us, kind, body, raw_back FROM events WHERE n BETWEEN ? AND ? ORDER BY n LIMIT ?",
            due,
            end,
            PAGE_ROWS,
        )
        for row in page:
            if row[0] != due:
                raise damaged("the journal", f"event {due} is missing")
            yield event_of(row)
            due += 1
        if len(page) < PAGE_ROWS:
            return


def events_of(ask: Ask, kinds: Sequence[str], from_n: int, to_n: int) -> list[Event]:
    """Give the few events of some kinds among at most `SCANNED_MAX` numbers; the others are passed over unread."""
    assert to_n - from_n < SCANNED_MAX, f"a page looks at {SCANNED_MAX} events"
    rows = ask(
        "SELECT n, at_us, quiet_us, kind, body, raw_back FROM events WHERE n BETWEEN ? AND ?"  # noqa: S608 - question marks
        f" AND kind IN ({_marks(kinds)}) ORDER BY n",
        from_n,
        to_n,
        *kinds,
    )
    return [event_of(row) for row in rows]


def n_at(ask: Ask, at_us: int) -> int:
    """Give the number of the last event heard at or before this moment, 0 where there is none (binary search)."""
    low, high = 0, last_n(ask)
    while low < high:
        middle = (low + high + 1) // 2
        heard = ask("SELECT at_us FROM events WHERE n = ?", middle)
        if not heard or not isinstance(heard[0][0], int):
            raise damaged("the journal", f"event {middle} is missing, or its time")
        low, high = (middle, high) if heard[0][0] <= at_us else (low, middle - 1)
    return low


def raw(ask: Ask, n: int) -> Raw | None:
    """Give what event `n` was made of, `None` where it was made of nothing or that is no longer kept."""
    rows = ask(
        "SELECT raw.n, raw.at_us, raw.source, raw.data FROM events JOIN raw ON raw.n = events.n - events.raw_back"
        " WHERE events.n = ?",
        n,
    )
    return raw_of(rows[0]) if rows else None


_CHECKPOINT_BY: Final = {
    name: (
        "SELECT n, seq, event_seq, at_us, fold_version, state FROM checkpoints"  # noqa: S608 - four constants
        f" WHERE {name} <= ?1 AND (?2 IS NULL OR fold_version = ?2) ORDER BY {name} DESC, n DESC LIMIT 1"
    )
    for name in ("n", "seq", "event_seq", "at_us")
}


def checkpoint_at_or_before(ask: Ask, by: str, value: int, fold_version: int | None) -> Checkpoint | None:
    """Give the newest checkpoint whose `by` (n, seq, event_seq, at_us) is not past `value`."""
    rows = ask(_CHECKPOINT_BY[by], value, fold_version)
    if not rows:
        return None
    return _checkpoint_of(rows[0])


def _checkpoint_of(row: tuple[Any, ...]) -> Checkpoint:
    n, seq, event_seq, at_us, version, state = row
    return Checkpoint(n=n, seq=seq, event_seq=event_seq, at_us=at_us, fold_version=version, state=unpack(state))


def current_records(ask: Ask, kind: RecordType, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
    """Give `(seq, line)` of the records of a type that nothing has superseded, oldest first."""
    assert 0 < limit <= LIMIT_MAX, f"a page has 1 to {LIMIT_MAX} rows"
    rows = ask(
        "SELECT seq, line FROM records WHERE type = ? AND seq > ? AND superseded_by IS NULL ORDER BY seq LIMIT ?",
        kind.value,
        after_seq,
        limit,
    )
    return [(seq, unpack(line)) for seq, line in rows]


def records_after(ask: Ask, seq: int, limit: int, kind: RecordType | None) -> list[StoredRecord]:
    """Give the stored records (all but snapshots) after `seq`, superseded ones included, oldest first."""
    assert 0 < limit <= LIMIT_MAX, f"a page has 1 to {LIMIT_MAX} rows"
    columns = "SELECT seq, n, type, at_us, key, superseded_by, line FROM records"
    if kind is None:
        rows = ask(columns + " WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)
    else:
        rows = ask(columns + " WHERE type = ? AND seq > ? ORDER BY seq LIMIT ?", kind.value, seq, limit)
    return [record_of(row) for row in rows]


def shelved_seq(ask: Ask) -> int:
    """Give the last record whose snapshots are put away, 0 where none is."""
    return int(ask("SELECT coalesce(max(last_seq), 0) FROM shelves")[0][0])


_SHELF: Final = "SELECT last_seq, first_seq, first_at_us, lines FROM shelves"


def seqs_around(ask: Ask, event_seq: int) -> tuple[int, int]:
    """Give two records between which checkpoints say a snapshot's number lies; the second may be one past all."""
    before = ask("SELECT coalesce(max(seq), 0) FROM checkpoints WHERE event_seq < ?", event_seq)[0][0]
    behind = ask("SELECT min(seq) FROM checkpoints WHERE event_seq >= ?", event_seq)[0][0]
    return int(before) + 1, shelved_seq(ask) if behind is None else int(behind)


def shelf_from(ask: Ask, seq: int) -> Shelf | None:
    """Give the first shelf that ends at a record or after it."""
    rows = ask(_SHELF + " WHERE last_seq >= ? ORDER BY last_seq LIMIT 1", seq)
    return shelf_of(rows[0]) if rows else None


def shelf_at(ask: Ask, at_us: int) -> tuple[Shelf, bool] | None:
    """Give the last shelf that begins at or before a moment, and whether the one behind it goes on where it ends."""
    rows = ask(_SHELF + " WHERE first_at_us <= ? ORDER BY first_at_us DESC, last_seq DESC LIMIT 1", at_us)
    if not rows:
        return None
    shelf = shelf_of(rows[0])
    behind = ask("SELECT first_seq FROM shelves WHERE last_seq > ? ORDER BY last_seq LIMIT 1", shelf.last_seq)
    return shelf, bool(behind) and behind[0][0] == shelf.last_seq + 1


def checkpoints(ask: Ask, after_n: int) -> Iterator[Checkpoint]:
    """Give the checkpoints behind an event, in order, one at a time."""
    while rows := ask(
        "SELECT n, seq, event_seq, at_us, fold_version, state FROM checkpoints WHERE n > ? ORDER BY n LIMIT 1", after_n
    ):
        yield _checkpoint_of(rows[0])
        after_n = rows[0][0]


def facts(
    ask: Ask, kinds: Sequence[RecordType], after_seq: int, through_seq: int, at_seq: int, limit: int
) -> list[StoredRecord]:
    """Give records of some types up to `through_seq` that were current once record `at_seq` was made, oldest first."""
    assert 0 < limit <= LIMIT_MAX, f"a page has 1 to {LIMIT_MAX} rows"
    rows = ask(
        "SELECT seq, n, type, at_us, key, superseded_by, line FROM records"  # noqa: S608 - question marks
        f" WHERE type IN ({_marks(kinds)}) AND seq > ? AND seq <= ? AND (superseded_by IS NULL OR superseded_by > ?)"
        " ORDER BY seq LIMIT ?",
        *(kind.value for kind in kinds),
        after_seq,
        through_seq,
        at_seq,
        limit,
    )
    return [record_of(row) for row in rows]


def count_facts(ask: Ask, kinds: Sequence[RecordType], after_seq: int, through_seq: int) -> int:
    """Count the records of some types that were current once `through_seq` was made; read from indexes alone."""
    words = [kind.value for kind in kinds]
    current = ask(
        f"SELECT count(*) FROM records WHERE type IN ({_marks(kinds)}) AND seq > ? AND seq <= ?"  # noqa: S608
        " AND superseded_by IS NULL AND key IS NOT NULL",
        *words,
        after_seq,
        through_seq,
    )
    later = ask(
        f"SELECT count(*) FROM records WHERE type IN ({_marks(kinds)}) AND superseded_by > ?"  # noqa: S608
        " AND seq > ? AND seq <= ?",
        *words,
        through_seq,
        after_seq,
        through_seq,
    )
    return int(current[0][0]) + int(later[0][0])


def straddling(ask: Ask, kinds: Sequence[RecordType], at_seq: int, through_seq: int) -> Iterator[StoredRecord]:
    """Give the records that were current once record `at_seq` was made, and no longer once `through_seq` was."""
    after = 0
    while True:
        rows = ask(
            "SELECT seq, n, type, at_us, key, superseded_by, line FROM records"  # noqa: S608 - question marks
            f" WHERE type IN ({_marks(kinds)}) AND superseded_by > ? AND superseded_by <= ? AND seq <= ? AND seq > ?"
            " ORDER BY seq LIMIT ?",
            *(kind.value for kind in kinds),
            at_seq,
            through_seq,
            at_seq,
            after,
            PAGE_ROWS,
        )
        yield from (record_of(row) for row in rows)
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1][0]


def seq_before(ask: Ask, n: int) -> int:
    """Give the last stored record (snapshots left out) of the events before `n`, 0 where there is none (binary search)."""
    low, high = 0, int(ask("SELECT coalesce(max(seq), 0) FROM records")[0][0])
    while low < high:
        middle = (low + high + 1) // 2
        row = ask("SELECT seq, n FROM records WHERE seq >= ? ORDER BY seq LIMIT 1", middle)[0]
        low, high = (row[0], high) if row[1] < n else (low, middle - 1)
    return low


def counts(ask: Ask, after_seq: int, through_seq: int) -> dict[str, int]:
    """Count the stored records behind one and up to another, by their type."""
    rows = ask(
        "SELECT type, count(*) FROM records WHERE seq > ? AND seq <= ? GROUP BY type ORDER BY type",
        after_seq,
        through_seq,
    )
    return dict(rows)


def _marks(kinds: Sequence[str]) -> str:
    return ", ".join("?" * len(kinds))


def archived(ask: Ask, key: str, up_to_n: int | None) -> Archived | None:
    """Give what was archived last under a key, at or before event `up_to_n`."""
    rows = ask(
        "SELECT key, n, body FROM archive WHERE key = ?1 AND (?2 IS NULL OR n <= ?2) ORDER BY n DESC LIMIT 1",
        key,
        up_to_n,
    )
    return Archived(key=rows[0][0], n=rows[0][1], body=unpack(rows[0][2])) if rows else None


def commits(ask: Ask, after_n: int) -> Iterator[Commit]:
    """Give what each commit says folding led to, in order, for those that end after event `after_n`."""
    before = ask(
        "SELECT through_n, last_seq FROM commits WHERE through_n <= ? ORDER BY through_n DESC LIMIT 1", after_n
    )
    through_n, through_seq = before[0] if before else (0, 0)
    while True:
        page = ask(
            "SELECT through_n, last_seq, fold_version, digest, sums FROM commits WHERE through_n > ?"
            " ORDER BY through_n LIMIT ?",
            through_n,
            PAGE_ROWS,
        )
        for n, seq, fold_version, digest, sums in page:
            if not isinstance(n, int) or not isinstance(seq, int):
                raise damaged("the journal", f"the commit behind event {through_n} says no numbers")
            yield Commit(
                first_n=through_n + 1,
                last_n=n,
                first_seq=through_seq + 1,
                last_seq=seq,
                fold_version=fold_version,
                digest=digest,
                sums=sums,
            )
            through_n, through_seq = n, seq
        if len(page) < PAGE_ROWS:
            return
