"""A journal folded again: a sound one is found sound, and whatever is not as it was is named with its place."""

from __future__ import annotations

import sqlite3
from itertools import islice
from pathlib import Path

import pytest

from ditad.errors import JournalDamagedError
from ditad.journal import Reader, journal_path
from ditad.journal.packing import pack, unpack
from ditad.replaying import PROBLEMS_MAX, Replayed, replayed, verified
from ditad.state import FOLD_VERSION
from tests.benchmarks.long_life import Life
from tests.support.journaled import NAME, journaled

EVENTS = 300


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Give a folder with the journal of a life, whose last batch is not derived yet."""
    await journaled(tmp_path, islice(Life(trade_every_s=2).events(), EVENTS), checkpoint_events=100, sealed=False)
    return tmp_path


def change(folder: Path, *statements: str, parameters: tuple[object, ...] = ()) -> None:
    """Change a journal behind its back."""
    database = sqlite3.connect(journal_path(folder, NAME))
    for statement in statements:
        database.execute(statement, parameters)
    database.commit()
    database.close()


def value(folder: Path, statement: str) -> bytes:
    """Read one value."""
    database = sqlite3.connect(journal_path(folder, NAME))
    (found,) = database.execute(statement).fetchone()
    database.close()
    assert isinstance(found, bytes)
    return found


def replay(folder: Path, *, thorough: bool = True, told: list[tuple[int, int]] | None = None) -> Replayed:
    """Fold the journal again."""
    check = verified if thorough else replayed
    with Reader.open(folder, NAME) as reader:
        return check(reader, NAME, progress=lambda *so_far: None if told is None else told.append(so_far))


@pytest.mark.parametrize("thorough", [True, False])
def test_a_sound_journal_is_sound(folder: Path, thorough: bool) -> None:
    """Every event is folded, every digest compared, and nothing is complained about."""
    found = replay(folder, thorough=thorough)
    assert [] == found.problems
    assert (EVENTS, 0) == (found.events, found.commits_of_others)
    assert found.commits > 30
    assert found.snapshots > 200
    if thorough:
        assert (2, True, True) == (found.checkpoints, found.records > 20, found.shelved >= 192)


async def test_the_way_is_shown(tmp_path: Path) -> None:
    """Whoever waits is told how far it is, now and then."""
    await journaled(tmp_path, islice(Life(trade_every_s=60).events(), 2_100), batch=100)
    told: list[tuple[int, int]] = []
    assert [] == replay(tmp_path, thorough=False, told=told).problems
    assert [(1_000, 2_100), (2_000, 2_100)] == told


def test_a_digest_that_is_not_that_of_the_snapshots(folder: Path) -> None:
    """The commit is named by its events."""
    change(folder, "UPDATE commits SET digest = x'00' WHERE through_n = 104")
    for thorough in (True, False):
        (problem,) = replay(folder, thorough=thorough).problems
        assert "commit of the events 97 to 104" in problem


def test_an_event_that_was_changed(folder: Path) -> None:
    """A forged event is found although it can be read and folded: what it leads to is not what was published."""
    place = "FROM events WHERE kind = 'account' AND n > 100 ORDER BY n LIMIT 1"
    body = unpack(value(folder, f"SELECT body {place}"))
    forged = body.replace(b'"wallet":"9', b'"wallet":"8')
    assert forged != body
    change(folder, f"UPDATE events SET body = ? WHERE n = (SELECT n {place})", parameters=(pack(forged),))  # noqa: S608
    problems = replay(folder, thorough=False).problems
    assert "not those of its digest" in problems[0]
    assert len(problems) <= PROBLEMS_MAX + 1


def test_an_event_that_cannot_be_read(folder: Path) -> None:
    """Damage ends the reading, with the event's number."""
    change(folder, "UPDATE events SET body = x'00' WHERE n = 150")
    with pytest.raises(JournalDamagedError):
        replay(folder, thorough=False)


def test_a_hole(folder: Path) -> None:
    """A missing event is found before anything is folded, and by the folding itself."""
    change(folder, "DELETE FROM events WHERE n = 150")
    assert "some are missing" in replay(folder).problems[0]
    with pytest.raises(JournalDamagedError, match="event 150 is missing"):
        replay(folder, thorough=False)


def test_a_commit_that_ends_at_another_record(folder: Path) -> None:
    """The numbering of records is compared too."""
    change(folder, "UPDATE commits SET last_seq = last_seq + 1 WHERE through_n = 104")
    problems = replay(folder, thorough=False).problems
    assert ["commit of the events 97 to 104" in problem for problem in problems] == [True]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE records SET line = ? WHERE seq = (SELECT min(seq) FROM records WHERE seq > 50)", "is not stored as"),
        (
            "DELETE FROM records WHERE seq = (SELECT min(seq) FROM records WHERE seq > 50) AND ? != 0",
            "is not stored as",
        ),
        ("UPDATE checkpoints SET state = ? WHERE n = (SELECT max(n) FROM checkpoints)", "the checkpoint at event"),
    ],
)
def test_what_is_stored_beside_the_events(folder: Path, statement: str, said: str) -> None:
    """Records and checkpoints that are not what folding makes are named; replay alone does not read them."""
    record = value(folder, "SELECT line FROM records WHERE seq = (SELECT min(seq) FROM records)")
    change(folder, statement, parameters=(record,))
    problems = replay(folder).problems
    assert problems
    assert said in problems[0]
    assert [] == replay(folder, thorough=False).problems


@pytest.mark.parametrize("place", ["min", "max"])
def test_a_record_too_many(folder: Path, place: str) -> None:
    """A record that no event led to is found, wherever it stands."""
    free = f"(SELECT {place}(seq) + 1 FROM records WHERE seq + 1 NOT IN (SELECT seq FROM records) AND seq < 300)"  # noqa: S608
    change(folder, f"INSERT INTO records SELECT {free}, n, type, at_us, NULL, NULL, line FROM records LIMIT 1")  # noqa: S608
    assert "commit of the events" in replay(folder).problems[0]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE checkpoints SET at_us = 5 WHERE n = (SELECT max(n) FROM checkpoints)", "stands at another"),
        ("UPDATE shelves SET lines = (SELECT lines FROM shelves ORDER BY last_seq DESC LIMIT 1)", "snapshots put away"),
    ],
)
def test_what_only_makes_answers_quick(folder: Path, statement: str, said: str) -> None:
    """What is looked up instead of folded must be what would be folded."""
    change(folder, statement)
    assert said in replay(folder).problems[0]


def test_a_checkpoint_of_no_event(folder: Path) -> None:
    """A checkpoint that says to be of an event beyond the last is passed by; one in between is compared."""
    change(folder, "UPDATE checkpoints SET fold_version = 1")
    assert (0, []) == ((found := replay(folder)).checkpoints, found.problems)


def test_damage_of_the_file_is_said_first(folder: Path) -> None:
    """What SQLite finds is told, and nothing of such a file is folded."""
    change(folder, "PRAGMA writable_schema = 1", "UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'records_of_type'")
    try:
        found = replay(folder)
    except JournalDamagedError:
        return
    assert (0, True) == (found.events, bool(found.problems))


def test_another_versions_commits_are_compared_by_their_sums(folder: Path) -> None:
    """What another version of the fold published may look different; what it added up may not."""
    change(folder, "UPDATE commits SET fold_version = ?, digest = x'00'", parameters=(FOLD_VERSION - 1,))
    found = replay(folder)
    assert ([], 0) == (found.problems, found.commits)
    assert found.commits_of_others > 30
    change(folder, "UPDATE commits SET sums = CAST('1 2 3' AS BLOB) WHERE through_n = 104")
    assert "its sums" in replay(folder).problems[0]


def test_enough_is_enough(folder: Path) -> None:
    """After so many problems the rest is not looked at."""
    change(folder, "UPDATE commits SET digest = x'00'")
    found = replay(folder)
    assert (PROBLEMS_MAX, True) == (len(found.problems), found.events < EVENTS)
