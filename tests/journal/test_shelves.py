"""Snapshots put away: which shelf holds which, across full shelves, long lines, holes and restarts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ditad.errors import JournalDamagedError
from ditad.journal import Journal, Reader
from ditad.journal.shelves import LINE_BYTES_MAX, SHELF_BYTES, SHELF_SNAPSHOTS, shelf_of, shelf_row, shelving_after
from ditad.records import Record, RecordType
from tests.journal.making import checkpoint, derived, record, reopened, snapshot, ticks


def spans(records: list[Record], *, after: int = 0) -> list[tuple[int, int, int]]:
    """Put records away; gives first and last record of each shelf, and how many snapshots it has."""
    shelving = shelving_after(after)
    shelves = [shelving.take(one) for one in records]
    return [(one.first_seq, one.last_seq, len(one.lines)) for one in [*shelves, shelving.close()] if one is not None]


def test_a_shelf_is_full_at_its_bound() -> None:
    """A full shelf ends with its last snapshot, and the next one goes on with the record behind it."""
    records = [snapshot(seq, seq) for seq in range(1, SHELF_SNAPSHOTS + 3)]
    assert [(1, SHELF_SNAPSHOTS, SHELF_SNAPSHOTS), (SHELF_SNAPSHOTS + 1, SHELF_SNAPSHOTS + 2, 2)] == spans(records)


def test_a_shelf_of_long_snapshots_is_full_sooner() -> None:
    """The bytes of a shelf have a bound of their own, so that reading one is always quick."""
    size = LINE_BYTES_MAX - 100
    records = [record(seq, seq, RecordType.SNAPSHOT, line=b"x" * size) for seq in range(1, 13)]
    fits = -(-SHELF_BYTES // size)
    assert [(1, fits, fits), (fits + 1, 12, 12 - fits)] == spans(records)


def test_other_records_belong_to_the_shelf_they_stand_in() -> None:
    """A shelf says from which to which record it has every snapshot, also where there is none."""
    kinds = [RecordType.FILL, RecordType.SNAPSHOT, RecordType.GAP, RecordType.SNAPSHOT, RecordType.FILL]
    assert [(1, 5, 2)] == spans([record(seq, 1, kind) for seq, kind in enumerate(kinds, 1)])


def test_a_snapshot_that_is_too_long_ends_a_shelf() -> None:
    """What is too long is folded when somebody asks; no shelf claims to have it."""
    long = record(3, 3, RecordType.SNAPSHOT, line=b"x" * (LINE_BYTES_MAX + 1))
    records = [snapshot(1, 1), snapshot(2, 2), long, record(4, 4), snapshot(5, 5)]
    assert [(1, 2, 2), (4, 5, 1)] == spans(records)


def test_a_hole_ends_a_shelf() -> None:
    """Between two shelves that do not join there may be snapshots that nobody put away."""
    assert [(1, 1, 1), (7, 8, 2)] == spans([snapshot(1, 1), snapshot(7, 7), snapshot(8, 8)])
    assert [(7, 7, 1)] == spans([record(1, 1), snapshot(7, 7)])


def test_nothing_is_put_away_twice() -> None:
    """A restart hands on again what may be on a shelf already."""
    assert [(3, 4, 2)] == spans([snapshot(seq, seq) for seq in range(1, 5)], after=2)


def test_a_shelf_is_read_back_as_it_was() -> None:
    """Packing keeps every byte, and a flipped one is noticed."""
    shelving = shelving_after(0)
    for seq in (1, 2):
        shelving.take(snapshot(seq, seq))
    shelf = shelving.close()
    assert shelf is not None
    row = shelf_row(shelf)
    assert shelf == shelf_of(row)
    with pytest.raises(JournalDamagedError, match="up to record 2"):
        shelf_of((*row[:3], row[3][:-1] + bytes([row[3][-1] ^ 1])))


async def put(journal: Journal, first: int, last: int, *, with_checkpoint: bool = False) -> None:
    """Commit one event and what the ones before led to: a snapshot each."""
    known = [snapshot(seq, seq) for seq in range(first, last + 1)]
    point = checkpoint(last, seq=last, event_seq=last) if with_checkpoint else None
    await journal.commit(ticks(last + 1, last + 1), derived(*known, point=point, through_n=last))


async def test_a_journal_keeps_shelves_to_the_checkpoint(tmp_path: Path) -> None:
    """What waits is stored with the next checkpoint, since a restart folds again from there and no earlier."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), derived())
    await put(journal, 1, 1)
    assert 1 == journal.shelved_seq
    with Reader.open(tmp_path, "main") as reader:
        assert 0 == reader.shelved_seq()
    await put(journal, 2, 2, with_checkpoint=True)
    await put(journal, 3, 3)
    journal.abandon()
    with Reader.open(tmp_path, "main") as reader:
        shelf = reader.shelf_from(1)
        assert shelf is not None
        assert (1, 2, 2) == (shelf.first_seq, shelf.last_seq, len(shelf.lines))
        assert reader.shelf_from(3) is None
    again = reopened(tmp_path)
    assert (2, 3) == (again.shelved_seq, again.last_seq)
    await again.close(derived(snapshot(3, 3), snapshot(4, 4), through_n=4))
    with Reader.open(tmp_path, "main") as reader:
        assert 4 == reader.shelved_seq()
        first = reader.shelf_at(snapshot(1, 1).at_us)
        assert first is not None
        assert (1, True) == (first[0].first_seq, first[1])
        second = reader.shelf_at(snapshot(9, 9).at_us)
        assert second is not None
        assert (3, False) == (second[0].first_seq, second[1])
        assert reader.shelf_at(0) is None


async def test_a_journal_of_the_first_schema_gets_shelves(tmp_path: Path) -> None:
    """A journal from before there were shelves is brought forward; what it had published is folded when asked for."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), derived())
    await put(journal, 1, 1)
    journal.abandon()
    database = sqlite3.connect(tmp_path / "main.journal")
    database.executescript("DROP TABLE shelves; DROP INDEX records_superseded; PRAGMA user_version = 1")
    database.close()
    again = reopened(tmp_path)
    await again.close(derived(snapshot(2, 2), through_n=2))
    with Reader.open(tmp_path, "main") as reader:
        shelf = reader.shelf_from(1)
        assert shelf is not None
        assert (2, 2) == (shelf.first_seq, shelf.last_seq)


async def test_facts_are_read_as_they_were(tmp_path: Path) -> None:
    """A fact that was corrected later counts as it stood, and the correction does not; counts and sums agree with it."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 3), derived())
    facts = [record(seq, seq, key=f"f{seq}") for seq in (1, 2)]
    corrected = record(3, 3, key="f3", replaces=(1,))
    await journal.commit(ticks(4, 4), derived(*facts, corrected, through_n=3))
    await journal.close(derived())
    kinds = (RecordType.FILL,)
    with Reader.open(tmp_path, "main") as reader:

        def seqs(at_seq: int, after_seq: int = 0) -> list[int]:
            rows = reader.facts(kinds, after_seq=after_seq, through_seq=at_seq, at_seq=at_seq, limit=10)
            return [row.seq for row in rows]

        assert ([1, 2], [2, 3], [2]) == (seqs(2), seqs(3), seqs(2, after_seq=1))
        assert (2, 2, 1) == tuple(
            reader.count_facts(kinds, after_seq=after, through_seq=at) for after, at in ((0, 2), (0, 3), (2, 3))
        )
        assert [1] == [row.seq for row in reader.straddling(kinds, at_seq=2, through_seq=3)]
        assert [] == list(reader.straddling(kinds, at_seq=2, through_seq=2))
        assert {"fill": 2} == reader.counts(after_seq=1, through_seq=3)
        assert (0, 1, 3) == tuple(reader.seq_before(n) for n in (1, 2, 9))
