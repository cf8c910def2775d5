"""A journal folded again by several processes: they find what one finds, and where something is wrong one says it."""

from __future__ import annotations

import sqlite3
from concurrent.futures.process import BrokenProcessPool
from itertools import islice, pairwise
from pathlib import Path

import pytest

from ditad import sections
from ditad.journal import Reader, journal_path
from ditad.journal.packing import pack, unpack
from ditad.replaying import Replayed, replayed, verified
from ditad.sections import checked, cuts, jobs_here, section
from tests.benchmarks.long_life import Life
from tests.support.journaled import NAME, journaled

EVENTS = 300


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut journals that are short."""
    monkeypatch.setattr(sections, "SECTION_EVENTS_MIN", 60)


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Give a folder with the journal of a life, whose last batch is not derived yet."""
    await journaled(tmp_path, islice(Life(trade_every_s=2).events(), EVENTS), checkpoint_events=40, sealed=False)
    return tmp_path


def change(folder: Path, statement: str, *parameters: object) -> None:
    """Change a journal behind its back."""
    database = sqlite3.connect(journal_path(folder, NAME))
    assert database.execute(statement, parameters).rowcount == 1
    database.commit()
    database.close()


def by_many(folder: Path, *, thorough: bool, told: list[tuple[int, int]] | None = None) -> Replayed:
    """Let two processes do it."""
    with Reader.open(folder, NAME) as reader:
        progress = (lambda *_: None) if told is None else (lambda *so_far: told.append(so_far))
        return checked(reader, NAME, thorough=thorough, jobs=2, progress=progress)


def by_one(folder: Path, *, thorough: bool) -> Replayed:
    """Let one pass do it."""
    with Reader.open(folder, NAME) as reader:
        return (verified if thorough else replayed)(reader, NAME, progress=lambda *_: None)


@pytest.mark.parametrize("thorough", [True, False])
def test_many_find_what_one_finds(folder: Path, thorough: bool) -> None:
    """Every count is the same, and the way is told section by section, to the end."""
    told: list[tuple[int, int]] = []
    assert by_one(folder, thorough=thorough) == by_many(folder, thorough=thorough, told=told)
    assert (EVENTS, EVENTS) == told[-1]
    assert 5 == len(told)


def test_sections_meet_where_a_checkpoint_is(folder: Path) -> None:
    """Each of them alone leads from its beginning to the state with which the next one begins."""
    with Reader.open(folder, NAME) as reader:
        places = [0, *cuts(reader, EVENTS, 2), EVENTS]
        stored = {checkpoint.n for checkpoint in reader.checkpoints()}
        assert 6 == len(places)
        assert set(places[1:-1]) <= stored
        for first_n, last_n in pairwise(places):
            found = section(reader.path, NAME, first_n, last_n, thorough=True)
            assert found is not None
            assert last_n - first_n == found.events


@pytest.mark.parametrize("thorough", [True, False])
def test_a_section_does_not_end_in_another_state(folder: Path, thorough: bool) -> None:
    """Sections prove something together only if each begins as the one before it ended."""
    with Reader.open(folder, NAME) as reader:
        (first_n, *_) = cuts(reader, EVENTS, 2)
        checkpoint = reader.checkpoint_at_or_before(n=first_n)
        assert checkpoint is not None
    bent = checkpoint.state.replace(b'"peak":"', b'"peak":"1')
    assert bent != checkpoint.state
    change(folder, "UPDATE checkpoints SET state = ? WHERE n = ?", pack(bent), first_n)
    with Reader.open(folder, NAME) as reader:
        assert section(reader.path, NAME, 0, first_n, thorough=thorough) is None


@pytest.mark.parametrize("thorough", [True, False])
def test_a_checkpoint_that_is_thinned_out_meanwhile_proves_nothing(folder: Path, thorough: bool) -> None:
    """A daemon that writes on keeps fewer old ones: the sections at such a place are left to the one pass."""
    with Reader.open(folder, NAME) as reader:
        (first_n, second_n, *_) = cuts(reader, EVENTS, 2)
    change(folder, "DELETE FROM checkpoints WHERE n = ?", first_n)
    with Reader.open(folder, NAME) as reader:
        assert section(reader.path, NAME, 0, first_n, thorough=thorough, goes_on=True) is None
        assert section(reader.path, NAME, first_n, second_n, thorough=thorough, goes_on=True) is None


def test_what_is_wrong_is_said_as_by_one(folder: Path) -> None:
    """A digest, an event, a checkpoint: the report names the place and nothing that follows from having been cut."""
    with Reader.open(folder, NAME) as reader:
        (*_, last_cut) = cuts(reader, EVENTS, 2)
    change(folder, "UPDATE commits SET digest = zeroblob(32) WHERE through_n = 160")
    change(folder, "UPDATE checkpoints SET seq = seq + 1 WHERE n = ?", last_cut)
    one = by_one(folder, thorough=True)
    assert one == by_many(folder, thorough=True)
    assert 2 == len(one.problems)


def test_an_event_that_was_changed_is_found_by_whoever_has_its_section(folder: Path) -> None:
    """Its own section notices, although it begins from a checkpoint that is sound."""
    database = sqlite3.connect(journal_path(folder, NAME))
    (n, body) = database.execute("SELECT n, body FROM events WHERE kind = 'marks' AND n > 200 LIMIT 1").fetchone()
    database.close()
    change(folder, "UPDATE events SET body = ? WHERE n = ?", pack(unpack(body).replace(b"28", b"29", 1)), n)
    one = by_one(folder, thorough=False)
    assert one == by_many(folder, thorough=False)
    assert one.problems


async def test_a_short_journal_is_not_cut(tmp_path: Path) -> None:
    """A process that has to load the program first would take longer; nor is one cut that has no checkpoints."""
    await journaled(tmp_path, islice(Life().events(), EVENTS), checkpoint_events=10_000, sealed=False)
    with Reader.open(tmp_path, NAME) as reader:
        assert [] == cuts(reader, EVENTS, 2)
        assert [] == cuts(reader, 50, 2)
    assert by_one(tmp_path, thorough=True) == by_many(tmp_path, thorough=True)


@pytest.mark.parametrize("error", [BrokenProcessPool("ended from outside"), OSError("no semaphores")])
def test_processes_that_cannot_work_leave_it_to_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """One that ran out of memory, or a machine that allows none, says nothing of the journal."""

    def refused(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sections, "ProcessPoolExecutor", refused)
    assert by_one(folder, thorough=True) == by_many(folder, thorough=True)


def test_this_machine_has_a_processor() -> None:
    """The default is what the process may run on, within the bound."""
    assert 1 <= jobs_here() <= sections.JOBS_MAX
