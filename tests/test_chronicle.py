"""A journal read from its beginning to its end: facts once, in their current form; snapshots as they were published."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad import chronicle
from ditad.chronicle import Chronicle, chronicle_of
from ditad.errors import JournalError
from ditad.events import BalanceReport, IncomeReport
from ditad.history import folded_again
from ditad.journal import Journal, Reader, journal_path, queries
from ditad.records import RecordType, micros_of, rfc3339
from tests.benchmarks.long_life import Life
from tests.support.booked import Booked, some_days
from tests.support.journaled import NAME, journaled
from tests.support.story import Story

EVENTS = 400
FOREVER_US = 10**16
FACTS = (RecordType.FILL, RecordType.INCOME)


def silent(_done: int, _all: int) -> None:
    """Tell nobody how far it is."""


async def lived(folder: Path, *, sealed: bool = True) -> None:
    """Write the journal of a life, with checkpoints close together."""
    await journaled(folder, islice(Life(trade_every_s=2).events(), EVENTS), checkpoint_events=100, sealed=sealed)


def opened(reader: Reader) -> Chronicle:
    """Open a chronicle without telling anybody how far it is."""
    return chronicle_of(reader, NAME, silent)


def published(reader: Reader) -> list[Mapping[str, Any]]:
    """Fold all of it again and give every snapshot's record."""
    folded = folded_again(reader, NAME, None)
    return [orjson.loads(record.line) for record in folded if record.type is RecordType.SNAPSHOT]


@pytest.mark.parametrize("rows", [3, 1_000])
@pytest.mark.parametrize("sealed", [True, False])
async def test_facts_are_told_once_in_their_current_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: bool, rows: int
) -> None:
    """What readers of the stream hold in the end is told, page by page, also where the last records are not stored."""
    monkeypatch.setattr(chronicle, "PAGE_ROWS", rows)
    story = some_days()
    await story.kept(tmp_path, sealed=sealed)
    current: dict[int, Mapping[str, Any]] = {}
    for record in story.records:
        if record["type"] in set(FACTS):
            body: Any = record[str(record["type"])]
            for seq in body.get("replaces", ()):
                current.pop(seq)
            current[int(str(record["seq"]))] = body
    with Reader.open(tmp_path, NAME) as reader:
        told = {one.seq: one.body for one in opened(reader).told(*FACTS)}
    assert current == told
    assert any("replaces" in body for body in told.values())


@pytest.mark.parametrize("sealed", [True, False])
async def test_a_divergence_is_told_once_as_it_ended(tmp_path: Path, sealed: bool) -> None:
    """Records that share a key are told once, also where the last of them is not stored yet."""
    story = some_days()
    await story.kept(tmp_path, sealed=sealed)
    with Reader.open(tmp_path, NAME) as reader:
        found = [one.body for one in opened(reader).told(RecordType.DIVERGENCE, RecordType.GAP)]
    ended = {str(body["id"]): body for kind in ("divergence", "gap") for body in story.of_type(kind)}
    assert sorted(ended) == sorted(body["id"] for body in found)
    assert ended == {body["id"]: body for body in found}


async def test_an_ending_that_is_not_stored_takes_the_place_of_what_is(tmp_path: Path) -> None:
    """A gap that was stored open and closed by the last, unstored commit is told closed, and once."""
    story = some_days()
    last = max(n for n, event in enumerate(story.events) if event.body == _closing(story))
    del story.events[last + 1 :]
    await journaled(tmp_path, story.events, batch=1, checkpoint_events=16, sealed=False)
    with Reader.open(tmp_path, NAME) as reader:
        told_by = opened(reader)
        told = [one.body for one in told_by.told(RecordType.DIVERGENCE)]
    assert told_by.fresh
    assert ["healed"] == [body["state"] for body in told]


async def test_a_fact_that_is_not_stored_takes_the_place_of_one_by_another_name(tmp_path: Path) -> None:
    """A deposit that a push told and that the last, unstored commit knows by its row is told once, by the row."""
    story = some_days()
    heard = next(n for n, event in enumerate(story.events) if isinstance(event.body, IncomeReport) and event.body.rows)
    await journaled(tmp_path, story.events[: heard + 1], batch=1, checkpoint_events=16, sealed=False)
    with Reader.open(tmp_path, NAME) as reader:
        told = [one.body for one in opened(reader).told(RecordType.INCOME)]
    assert [("250.25", "1")] == [(body["amount"], body["tran_id"]) for body in told]


def _closing(story: Booked) -> object:
    """Find the event that closed the divergence."""
    healed = next(body for body in story.of_type("divergence") if body["state"] == "healed")
    n = int(str(healed["healed_by"]).partition(":")[2])
    return story.events[n - 1].body


async def test_snapshots_are_those_published(tmp_path: Path) -> None:
    """All of them in their order, the ones behind the last shelf included."""
    await lived(tmp_path, sealed=False)
    with Reader.open(tmp_path, NAME) as reader:
        assert reader.shelved_seq() < opened(reader).last_seq
        assert published(reader) == list(opened(reader).snapshots(0, FOREVER_US, silent))


@pytest.mark.parametrize("kept", ["last_seq < 200", "first_seq > 150", "last_seq < 100 OR first_seq > 300", "0"])
async def test_snapshots_that_were_not_put_away_are_folded_again(tmp_path: Path, kept: str) -> None:
    """Wherever shelves lack, as those of too large snapshots do, nothing is missing and nothing comes twice."""
    await lived(tmp_path)
    database = sqlite3.connect(journal_path(tmp_path, NAME))
    database.execute(f"DELETE FROM shelves WHERE NOT ({kept})")  # noqa: S608 - the test's own words
    database.commit()
    database.close()
    with Reader.open(tmp_path, NAME) as reader:
        assert published(reader) == list(opened(reader).snapshots(0, FOREVER_US, silent))


async def test_a_period_begins_with_the_snapshot_before_it(tmp_path: Path) -> None:
    """What held when the period began was published before; what comes at its end is left out."""
    await lived(tmp_path)
    with Reader.open(tmp_path, NAME) as reader:
        told_by, every = opened(reader), published(reader)
        since, until = every[120]["ts"], every[200]["ts"]
        found = list(told_by.snapshots(micros_of(since), micros_of(until), silent))
    seqs = [record["seq"] for record in found]
    due = [record["seq"] for record in every if since <= record["ts"] < until]
    before = [record["seq"] for record in every if record["ts"] < since]
    assert due == [seq for seq in seqs if seq in set(due)]
    assert before[-1] in seqs


async def test_the_snapshots_around_a_moment(tmp_path: Path) -> None:
    """The nearest come first on either side; the moment itself is behind."""
    await lived(tmp_path)
    with Reader.open(tmp_path, NAME) as reader:
        told_by, every = opened(reader), published(reader)
        moment = every[150]["ts"]
        before, behind = told_by.snapshots_around(micros_of(moment), 3)
    assert [record["seq"] for record in every if record["ts"] < moment][-1] == before[0]["seq"]
    assert [record["seq"] for record in every if record["ts"] >= moment][:3] == [record["seq"] for record in behind]
    assert sorted((one["seq"] for one in before), reverse=True) == [one["seq"] for one in before]


async def test_what_is_written_meanwhile_is_not_told(tmp_path: Path) -> None:
    """A chronicle reaches to where the journal reached when it was opened, whatever comes to stand behind it."""
    events = list(islice(Life(trade_every_s=2).events(), EVENTS))
    await journaled(tmp_path, events[:200], checkpoint_events=50)
    with Reader.open(tmp_path, NAME) as reader:
        told_by = opened(reader)
        before = [one.seq for one in told_by.told(*FACTS)], list(told_by.snapshots(0, FOREVER_US, silent))
        (tmp_path / "other").mkdir()
        await journaled(tmp_path / "other", events, checkpoint_events=50)
        source = sqlite3.connect(journal_path(tmp_path / "other", NAME))
        target = sqlite3.connect(journal_path(tmp_path, NAME))
        source.backup(target)
        source.close()
        target.close()
        assert EVENTS == reader.last_n
        after = [one.seq for one in told_by.told(*FACTS)], list(told_by.snapshots(0, FOREVER_US, silent))
    assert before == after


async def test_what_is_written_while_it_is_opened_is_not_told(tmp_path: Path) -> None:
    """To look through a long journal takes a while, in which a daemon goes on: all of it still reaches to one event."""
    events = list(islice(Life(trade_every_s=2).events(), EVENTS))
    (tmp_path / "other").mkdir()
    await journaled(tmp_path / "other", events, checkpoint_events=3)
    await journaled(tmp_path, events[:203], checkpoint_events=50, sealed=False)

    def grow(_done: int, _all: int) -> None:
        source = sqlite3.connect(journal_path(tmp_path / "other", NAME))
        target = sqlite3.connect(journal_path(tmp_path, NAME))
        source.backup(target)
        source.close()
        target.close()

    with Reader.open(tmp_path, NAME) as reader:
        due = opened(reader)
        facts = list(due.told(*FACTS))
        assert due.fresh
        found = chronicle_of(reader, NAME, grow)
        assert EVENTS == reader.last_n
        assert (due.last_n, due.last_seq, due.last_us) == (found.last_n, found.last_seq, found.last_us)
        assert facts == list(found.told(*FACTS))


@pytest.mark.parametrize("scanned", [1, 7, 10_000])
async def test_rare_events_are_found_wherever_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scanned: int
) -> None:
    """However many events one question passes over, each of the kind asked for is given once, in order."""
    monkeypatch.setattr(queries, "SCANNED_MAX", scanned)
    story = some_days()
    story.adopted("10000", "seen")
    await story.kept(tmp_path)
    kinds = ("baseline", "settings", "stream")
    with Reader.open(tmp_path, NAME) as reader:
        every = [event for event in reader.events() if event.source_id.partition(":")[0] in kinds]
        assert every == list(reader.events_of(kinds))
        first, last = every[1].n, every[-1].n
        assert every[1:-1] == list(reader.events_of(kinds, first, last - 1))


@pytest.mark.parametrize(("batch", "sealed"), [(4, True), (1_000, False)])
async def test_baselines_and_where_their_ledgers_begin(tmp_path: Path, batch: int, sealed: bool) -> None:
    """The first one has nothing before it; what lies before an adopted one belongs to the ledger before, stored or not."""
    story = Booked()
    story.trade("BTC-USDT", "0.5", "28000", "28100")
    story.adopted("5000", "it was so")
    facts = sum(record["type"] == "fill" for record in story.records)
    story.trade("BTC-USDT", "0.5", "28000", "28100")
    await journaled(tmp_path, story.events, batch=batch, sealed=sealed)
    with Reader.open(tmp_path, NAME) as reader:
        told_by = opened(reader)
        told = list(told_by.told(RecordType.FILL))
    assert [None, 1000] == [one.baseline.adopted_by for one in told_by.began]
    assert 0 == told_by.began[0].after_seq
    assert facts == sum(one.seq <= told_by.began[1].after_seq for one in told)
    assert len(told) > facts


async def test_the_end_lies_behind_what_a_clock_ahead_of_ours_has_stamped(tmp_path: Path) -> None:
    """Facts are stamped by the exchange: where its clock is ahead, the last ones are of the period all the same."""
    story = Booked()
    story.round()
    story.tell(BalanceReport(asked_us=story.us + 500, asked_ms=story.ms + 5_000, rows=()))
    story.order(z="1", ap="100", fee="0.05", trade_ms=story.ms + 4_900)
    await story.kept(tmp_path)
    with Reader.open(tmp_path, NAME) as reader:
        told_by = opened(reader)
        (fill,) = told_by.told(RecordType.FILL)
        _, until_us = told_by.span(None, None)
    assert micros_of(fill.body["at"]) > story.us
    assert micros_of(fill.body["at"]) < until_us


async def test_a_journal_without_a_ledger(tmp_path: Path) -> None:
    """Where there is no baseline yet there is nothing to tell, and it is said what to do."""
    await journaled(tmp_path, Story(baseline=False).events)
    with Reader.open(tmp_path, NAME) as reader, pytest.raises(JournalError, match="no baseline yet"):
        opened(reader)
    (tmp_path / "empty").mkdir()
    Journal.open(tmp_path / "empty", NAME).abandon()
    with Reader.open(tmp_path / "empty", NAME) as reader, pytest.raises(JournalError, match="no baseline yet"):
        opened(reader)


def test_a_moment_is_read_back_exactly() -> None:
    """What `rfc3339` writes is read to the microsecond; what has no zone is no moment."""
    assert 1_680_000_000_123_457 == micros_of(rfc3339(1_680_000_000_123_457))
    with pytest.raises(ValueError, match="with a zone"):
        micros_of("2026-01-01T00:00:00")
