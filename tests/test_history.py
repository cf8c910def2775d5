"""The account as it was: looked up where it was put away, folded where it was not, and always what was published."""

from __future__ import annotations

import sqlite3
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad import history
from ditad.errors import JournalError
from ditad.events import StreamChanged, StreamState
from ditad.hub import Hub
from ditad.journal import Reader, queries
from ditad.journal.shelves import Shelf
from ditad.projection import Projection
from ditad.records import Record, RecordType
from tests.benchmarks.long_life import Life
from tests.support.journaled import NAME, journaled
from tests.support.story import Story

EVENTS = 400


def published(count: int = EVENTS) -> list[Record]:
    """Give all records that a life leads to."""
    projection = Projection(NAME)
    return [record for event in islice(Life().events(), count) for record in projection.fold(event).records]


def snapshots(records: list[Record]) -> list[Record]:
    """Give those that are snapshots."""
    return [record for record in records if record.type is RecordType.SNAPSHOT]


def number(line: bytes) -> int:
    """Read a snapshot's number."""
    return int(orjson.loads(line)["snapshot"]["event_seq"])


async def life(folder: Path, *, sealed: bool = True) -> None:
    """Write a journal of a life."""
    await journaled(folder, islice(Life().events(), EVENTS), checkpoint_events=150, sealed=sealed)


def without_shelves(folder: Path, which: str = "1") -> None:
    """Take shelves away behind the journal's back."""
    database = sqlite3.connect(folder / f"{NAME}.journal")
    database.execute(f"DELETE FROM shelves WHERE {which}")  # noqa: S608 - a test's own words
    database.commit()
    database.close()


@pytest.mark.parametrize("missing", ["0", "1", "first_seq BETWEEN 100 AND 300", "last_seq > 500"])
async def test_every_snapshot_is_found_as_it_was_published(tmp_path: Path, missing: str) -> None:
    """By number and by moment, with all shelves, with none, and with a hole in them."""
    await life(tmp_path)
    without_shelves(tmp_path, missing)
    for record in snapshots(published())[::23]:
        asked = number(record.line)
        assert record.line == history.line_at(tmp_path, NAME, at_us=None, event_seq=asked), asked
        assert record.line == history.line_at(tmp_path, NAME, at_us=record.at_us, event_seq=None), asked
        assert history.body_of(record.line) == history.snapshot_at(tmp_path, NAME, at_us=None, event_seq=asked)


def comparable(record: Record) -> tuple[object, ...]:
    """Give what a reader of history gets."""
    return record.seq, record.n, record.type, record.at_us, record.key, record.line


@pytest.mark.parametrize("missing", ["0", "1", "first_seq BETWEEN 100 AND 300", "last_seq > 500"])
@pytest.mark.parametrize("after_seq", [0, 1, 63, 250, 480])
async def test_records_are_given_again_as_they_were_published(tmp_path: Path, after_seq: int, missing: str) -> None:
    """From any record on, with all shelves, with none, and with a hole in them: each once, in order, byte for byte."""
    await life(tmp_path, sealed=False)
    without_shelves(tmp_path, missing)
    known = [comparable(record) for record in published() if record.seq > after_seq]
    assert known == [comparable(record) async for record in history.records_after(tmp_path, NAME, after_seq)]


async def test_records_that_are_stored_are_not_folded_again(tmp_path: Path) -> None:
    """A reader that comes back after days costs the daemon what reading takes, not what folding took."""
    await life(tmp_path)
    known = [comparable(record) for record in published()]
    with Reader.open(tmp_path, NAME) as reader:
        assert known == [comparable(record) for record in history.stored_after(reader, 0)]


async def test_a_shelf_may_stand_for_more_records_than_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One report may tell thousands of facts between two snapshots: they are read page by page, within the bound."""
    monkeypatch.setattr(queries, "LIMIT_MAX", 5)
    monkeypatch.setattr(history, "ROWS_PAGE", 5)
    await life(tmp_path)
    known = [comparable(record) for record in published()]
    with Reader.open(tmp_path, NAME) as reader:
        assert known[7:] == [comparable(record) for record in history.stored_after(reader, 7)]


async def test_what_is_stored_ends_where_a_record_is_missing(tmp_path: Path) -> None:
    """A row that is gone is no record passed over: from there on nothing is taken for whole."""
    await life(tmp_path)
    database = sqlite3.connect(tmp_path / f"{NAME}.journal")
    ((gone,),) = database.execute("SELECT seq FROM records WHERE seq > 300 ORDER BY seq LIMIT 1")
    database.execute("DELETE FROM records WHERE seq = ?", (gone,))
    database.commit()
    database.close()
    with Reader.open(tmp_path, NAME) as reader:
        seqs = [record.seq for record in history.stored_after(reader, 0)]
    assert list(range(1, len(seqs) + 1)) == seqs
    assert 200 < len(seqs) < gone


async def test_between_two_snapshots_the_earlier_one_holds(tmp_path: Path) -> None:
    """A moment has the last snapshot at or before it, also at the seams of shelves."""
    await life(tmp_path, sealed=False)
    known = snapshots(published())
    for place in (0, 1, 62, 63, 64, 65, 140, 200, len(known) - 20):
        found = history.line_at(tmp_path, NAME, at_us=known[place + 1].at_us - 1, event_seq=None)
        assert known[place].line == found, place


async def test_beyond_the_ends_there_is_none_or_the_last(tmp_path: Path) -> None:
    """Before the first snapshot there is none; long after the last one it still holds."""
    await life(tmp_path)
    known = snapshots(published())
    assert history.line_at(tmp_path, NAME, at_us=known[0].at_us - 1, event_seq=None) is None
    assert known[-1].line == history.line_at(tmp_path, NAME, at_us=known[-1].at_us + 10**12, event_seq=None)
    assert history.line_at(tmp_path, NAME, at_us=None, event_seq=len(known) + 1) is None
    assert history.snapshot_at(tmp_path, NAME, at_us=None, event_seq=len(known) + 1) is None
    with pytest.raises(JournalError, match="is due"):
        history.line_at(tmp_path, NAME, at_us=None, event_seq=None)


async def test_a_lookup_reads_a_few_shelves_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the journal, a number is found by halving, and nothing is folded."""
    await life(tmp_path)
    read: list[int] = []
    shelf_from = Reader.shelf_from

    def counted(reader: Reader, seq: int) -> Shelf | None:
        read.append(seq)
        return shelf_from(reader, seq)

    monkeypatch.setattr(Reader, "shelf_from", counted)
    monkeypatch.setattr(Projection, "fold", lambda *_: pytest.fail("it was folded"))
    assert history.line_at(tmp_path, NAME, at_us=None, event_seq=200) is not None
    assert len(read) <= 4


def test_the_newest_ones_are_in_the_hub() -> None:
    """What the ring still has is found there, by number and by moment; what it has not is not."""
    records = published()
    hub = Hub(100, 10_000_000)
    for record in records:
        hub.publish([record])
    held = snapshots(records[-100:])
    for record in held:
        assert record.line == history.held_line(hub, at_us=None, event_seq=number(record.line))
        assert record.line == history.held_line(hub, at_us=record.at_us, event_seq=None)
    older = snapshots(records)[-len(held) - 1]
    assert history.held_line(hub, at_us=None, event_seq=number(older.line)) is None
    assert history.held_line(hub, at_us=older.at_us - 1, event_seq=None) is None
    assert history.held_line(hub, at_us=None, event_seq=10**6) is None
    assert history.held_line(Hub(10, 1_000), at_us=1, event_seq=None) is None


def test_a_ring_without_snapshots_says_nothing() -> None:
    """Where the ring begins behind the last snapshot, the journal is asked."""
    others = [record for record in published() if record.type is not RecordType.SNAPSHOT][:3]
    hub = Hub(10, 1_000_000)
    made = [
        Record(seq=at, n=at, type=r.type, at_us=r.at_us, key=None, replaces=(), line=r.line)
        for at, r in enumerate(others, 1)
    ]
    hub.publish(made)
    assert history.held_line(hub, at_us=made[-1].at_us, event_seq=None) is None
    assert history.held_line(hub, at_us=None, event_seq=1) is None


async def test_what_changed_between_two_moments(tmp_path: Path) -> None:
    """A difference names both snapshots, counts every record between them, and says what became of gaps."""
    story = Story()
    first = story.records[-1]
    story.order(z="1", ap="100", fee="0.05")
    story.account("900")
    story.pass_s(10)
    story.audit_done()
    story.tell(StreamChanged(state=StreamState.LOST, detail="cut", at_ms=None))
    story.account("999.95")
    await journaled(tmp_path, story.events, batch=3, sealed=False)
    last = story.records[-1]
    again = Projection(NAME)
    made = [record for event in story.events for record in again.fold(event).records]
    unstored = [record for record in made if record.seq > 3]
    second, first_line = [next(one.line for one in made if one.seq == record["seq"]) for record in (last, first)]
    told: dict[str, Any] = history.difference_between(tmp_path, NAME, second, first_line, unstored)
    assert (first["seq"], last["seq"]) == (told["a"]["seq"], told["b"]["seq"])
    between = [record["type"] for record in story.records if first["seq"] < record["seq"] <= last["seq"]]  # type: ignore[operator]
    assert {kind.value: between.count(kind.value) for kind in RecordType} == told["records"]
    assert {"k.fees_paid", "e.wallet_balance"} <= {row["field"] for row in told["figures"]}
    assert [("gap-1", True, False)] == [(one["id"], one["opened"], one["closed"]) for one in told["gaps"]]
    ids = {body["id"] for body in story.of_type("divergence")}
    assert ids == {one["id"] for one in told["divergences"]}
    other: dict[str, Any] = history.difference_between(tmp_path, NAME, first_line, second, unstored)
    assert told == other
