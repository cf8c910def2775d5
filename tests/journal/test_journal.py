import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ditad.errors import JournalDamagedError, JournalElsewhereError, JournalError
from ditad.journal import Archived, Commit, Journal, Reader, digest_of_lines, nothing_derived
from ditad.journal.writer import CHECKPOINTS_NEWEST_KEPT, RAW_ROWS_PRUNED_MAX
from ditad.records import RecordType
from tests.journal.making import (
    FOLD,
    NOTHING,
    START_US,
    STEP_US,
    account,
    as_after_power_loss,
    checkpoint,
    connected,
    derived,
    frame,
    order,
    record,
    reopened,
    snapshot,
    tick,
    ticks,
)


def current(folder: Path, kind: RecordType = RecordType.FILL) -> list[int]:
    """Give the `seq`s that a list of this type shows."""
    with Reader.open(folder, "main") as reader:
        return [seq for seq, _ in reader.current_records(kind, limit=1000)]


def names(folder: Path) -> list[str]:
    """Say what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def test_events_come_back_equal_and_in_order(tmp_path: Path) -> None:
    """What the fold reads after a restart is what was committed, digit for digit."""
    events = [order(1), account(2), connected(3), tick(4)]
    journal = reopened(tmp_path)
    await journal.commit([(event, None) for event in events[:3]], NOTHING)
    await journal.commit([(events[3], None)], NOTHING)
    await journal.close(NOTHING)
    again = reopened(tmp_path)
    assert events == list(again.events_from(1))
    assert events[2:] == list(again.events_from(3))
    assert 4 == again.last_n
    again.abandon()


async def test_a_new_journal_is_empty_and_private(tmp_path: Path) -> None:
    """A first start finds nothing, and nobody else can read the file."""
    journal = reopened(tmp_path)
    assert (0, 0, 0, None) == (journal.last_n, journal.last_seq, journal.derived_n, journal.newest_checkpoint())
    assert 0o600 == (tmp_path / "main.journal").stat().st_mode & 0o777
    assert 0o600 == (tmp_path / "main.journal-wal").stat().st_mode & 0o777
    journal.abandon()


async def test_a_commit_is_durable_when_it_returns(tmp_path: Path) -> None:
    """If the power fails right after `commit`, its events and the records before them are there."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 2), NOTHING)
    await journal.commit(ticks(3, 3), derived(record(1, 1), snapshot(2, 1)))
    lost = as_after_power_loss(tmp_path, tmp_path / "lost")
    journal.abandon()
    again = reopened(lost)
    assert (3, 2, 2) == (again.last_n, again.last_seq, again.derived_n)
    again.abandon()
    assert [1] == current(lost)


async def test_numbers_have_no_holes(tmp_path: Path) -> None:
    """An event that skips a number is our own mistake, nothing of its batch is stored, and nothing after it."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), NOTHING)
    with pytest.raises(AssertionError, match="event 4 follows 2"):
        await journal.commit([(tick(2), None), (tick(4), None)], NOTHING)
    with pytest.raises(JournalError, match="takes nothing more since it failed: event 4 follows 2"):
        await journal.commit(ticks(2, 2), NOTHING)
    journal.abandon()
    again = reopened(tmp_path)
    assert [tick(1)] == list(again.events_from(1))
    again.abandon()


async def test_records_are_numbered_without_holes(tmp_path: Path) -> None:
    """Readers prove by `seq` that they missed nothing, so a skipped one is refused."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), NOTHING)
    with pytest.raises(AssertionError, match="record 3 follows 1"):
        await journal.commit(ticks(2, 2), derived(snapshot(1, 1), snapshot(3, 1)))
    journal.abandon()


async def test_nothing_is_derived_from_what_is_not_durable(tmp_path: Path) -> None:
    """Records, checkpoints and archived orders of an event that no commit has confirmed are refused."""
    for early in (
        derived(snapshot(1, 2)),
        derived(point=checkpoint(2)),
        derived(archive=[Archived(key="a", n=2, body=b"")]),
        derived(through_n=2),
    ):
        journal = Journal.open(tmp_path, f"a{id(early)}")
        await journal.commit(ticks(1, 1), NOTHING)
        with pytest.raises(AssertionError):
            await journal.commit(ticks(2, 2), early)
        journal.abandon()


async def test_snapshots_are_digested_and_not_stored(tmp_path: Path) -> None:
    """A snapshot is folded again when asked for; its line leaves only its digest, in the commit that says its range."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 2), NOTHING)
    await journal.commit(ticks(3, 3), derived(record(1, 1), snapshot(2, 1), snapshot(3, 2), sums=b"a"))
    await journal.close(derived(snapshot(4, 3), sums=b"a"))
    with Reader.open(tmp_path, "main") as reader:
        lines = [b'{"seq":%d,"type":"snapshot"}' % seq for seq in (2, 3, 4)]
        first = Commit(
            first_n=1,
            last_n=2,
            first_seq=1,
            last_seq=3,
            fold_version=FOLD,
            digest=digest_of_lines(lines[:2]),
            sums=b"a",
        )
        second = Commit(
            first_n=3,
            last_n=3,
            first_seq=4,
            last_seq=4,
            fold_version=FOLD,
            digest=digest_of_lines(lines[2:]),
            sums=None,
        )
        assert [first, second] == list(reader.commits())
        assert [second] == list(reader.commits(after_n=2))
        assert [1] == [stored.seq for stored in reader.records_after(0, limit=10)]
        assert 4 == reader.last_seq


async def test_commits_are_read_in_pages(tmp_path: Path) -> None:
    """More commits than one page holds join without a seam."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1201), nothing_derived(FOLD))
    await journal.close(NOTHING)
    connection = sqlite3.connect(tmp_path / "main.journal")
    connection.execute("DELETE FROM commits")
    connection.executemany("INSERT INTO commits VALUES (?, 0, 1, x'00', NULL)", [(n,) for n in range(1, 1202)])
    connection.commit()
    connection.close()
    with Reader.open(tmp_path, "main") as reader:
        assert [(n, n) for n in range(1, 1202)] == [(one.first_n, one.last_n) for one in reader.commits()]


async def test_a_later_record_supersedes_those_of_its_key(tmp_path: Path) -> None:
    """Lists show the newest record of a type and key, whether the older one was stored before or in the same batch."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 3), NOTHING)
    await journal.commit((), derived(record(1, 1, key="a"), record(2, 1, key="b"), through_n=1))
    gap = record(4, 2, RecordType.GAP, key="a")
    await journal.commit((), derived(record(3, 2, key="a"), gap, record(5, 2, key="a"), through_n=2))
    await journal.close(derived(record(6, 3, key=None)))
    assert [2, 5, 6] == current(tmp_path)
    assert [4] == current(tmp_path, RecordType.GAP)
    with Reader.open(tmp_path, "main") as reader:
        stored = {one.seq: one.superseded_by for one in reader.records_after(0, limit=10)}
    assert {1: 3, 2: None, 3: 5, 4: None, 5: None, 6: None} == stored


async def test_a_record_supersedes_what_it_replaces(tmp_path: Path) -> None:
    """A split takes the place of the piece it split, before or in the same batch; the first successor stays."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 2), NOTHING)
    await journal.commit((), derived(record(1, 1, key="0-3"), record(2, 1, key="3-4"), through_n=1))
    split = [record(3, 2, key="0-1", replaces=(1,)), record(4, 2, key="1-3", replaces=(1,))]
    await journal.close(derived(*split, record(5, 2, key="1-2", replaces=(4,)), record(6, 2, key="2-3", replaces=(4,))))
    assert [2, 3, 5, 6] == current(tmp_path)
    with Reader.open(tmp_path, "main") as reader:
        assert [3, None, None, 5] == [one.superseded_by for one in reader.records_after(0, limit=4)]


async def test_lists_page_and_streams_filter(tmp_path: Path) -> None:
    """A page goes on after the last `seq` of the one before; a stream of one type leaves the others out."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), NOTHING)
    await journal.close(
        derived(*(record(seq, 1, RecordType.STREAM if seq % 3 else RecordType.GAP) for seq in range(1, 10)))
    )
    with Reader.open(tmp_path, "main") as reader:
        assert [(3, b'{"seq":3,"type":"gap"}'), (6, b'{"seq":6,"type":"gap"}')] == reader.current_records(
            RecordType.GAP, limit=2
        )
        assert [9] == [seq for seq, _ in reader.current_records(RecordType.GAP, after_seq=6, limit=2)]
        assert [5, 7] == [one.seq for one in reader.records_after(4, limit=2, kind=RecordType.STREAM)]
        assert [5, 6, 7] == [one.seq for one in reader.records_after(4, limit=3)]


async def test_records_of_the_last_commit_may_come_again(tmp_path: Path) -> None:
    """After a crash the daemon folds again from a checkpoint: what is stored stays, what was missing is added."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 2), NOTHING)
    early = [record(1, 1, key="a"), snapshot(2, 1), record(3, 2, key="a"), snapshot(4, 2)]
    await journal.commit(ticks(3, 3), derived(*early))
    lost = as_after_power_loss(tmp_path, tmp_path / "lost")
    journal.abandon()
    again = reopened(lost)
    late = [record(5, 3, key="a"), snapshot(6, 3)]
    await again.commit(ticks(4, 4), derived(*early, *late))
    await again.close(derived(*early, *late, snapshot(7, 4)))
    assert [5] == current(lost)
    with Reader.open(lost, "main") as reader:
        assert [(1, 2), (3, 3), (4, 4)] == [(commit.first_n, commit.last_n) for commit in reader.commits()]
        assert digest_of_lines([b'{"seq":6,"type":"snapshot"}']) == list(reader.commits())[1].digest


@pytest.mark.parametrize(
    "other",
    [
        record(1, 1, key="a", line=b"{}"),
        record(1, 1, key="b"),
        record(1, 1, RecordType.GAP, key="a"),
        record(2, 1, key="a"),
    ],
    ids=["line", "key", "type", "seq"],
)
async def test_a_record_that_comes_again_differently_is_damage(tmp_path: Path, other: object) -> None:
    """The same fold of the same events gives the same records; if not, one of them is wrong and we stop."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), NOTHING)
    await journal.commit(ticks(2, 2), derived(record(1, 1, key="a")))
    with pytest.raises(JournalDamagedError, match="is not what folding event 1 leads to"):
        await journal.commit((), derived(other))  # type: ignore[arg-type]  # a record, as parametrized
    journal.abandon()
    assert [1] == current(tmp_path)


async def test_another_fold_version_does_not_rewrite_what_was_published(tmp_path: Path) -> None:
    """After an upgrade the records of the version before stay as readers saw them; the numbering goes on."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), NOTHING)
    await journal.commit(ticks(2, 2), derived(record(1, 1, line=b"old")))
    await journal.close(derived(record(1, 1, line=b"new"), record(2, 2), fold=FOLD + 1))
    with Reader.open(tmp_path, "main") as reader:
        assert [b"old", b'{"seq":2,"type":"fill"}'] == [one.line for one in reader.records_after(0, limit=9)]
        assert [FOLD, FOLD + 1] == [commit.fold_version for commit in reader.commits()]


@pytest.mark.parametrize("own", [True, False], ids=["its own checkpoint", "another version's"])
async def test_where_another_version_goes_on_is_counted_from_the_last_checkpoint(tmp_path: Path, *, own: bool) -> None:
    """No start reads all records again: those behind the last checkpoint of the version before tell the number."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 4), NOTHING)
    told = record(1, 1), snapshot(2, 1), record(3, 2), snapshot(4, 2)
    point = checkpoint(2, seq=4, event_seq=2, fold=FOLD) if own else checkpoint(2, seq=4, event_seq=3, fold=FOLD - 1)
    await journal.commit((), derived(*told, point=point, through_n=2))
    await journal.close(derived(record(5, 3), snapshot(6, 3), snapshot(7, 4)))
    with sqlite3.connect(tmp_path / "main.journal") as connection:
        connection.execute("DELETE FROM records WHERE seq <= ?", (4 if own else 0,))
    with Reader.open(tmp_path, "main") as reader:
        assert ({5: (7, 4)}, {}) == (reader.seams(FOLD + 1), reader.seams(FOLD))


async def test_each_record_that_comes_again_is_judged_by_its_own_fold_version(tmp_path: Path) -> None:
    """Where a refold reaches back over an upgrade, only what the present version published must be the same."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 2), NOTHING)
    await journal.commit((), derived(record(1, 1), through_n=1))
    await journal.commit((), derived(record(2, 2), fold=FOLD + 1))
    await journal.commit((), derived(record(1, 1, line=b"new"), record(2, 2), fold=FOLD + 1))
    with pytest.raises(JournalDamagedError, match="record 2 is not what folding event 2 leads to"):
        await journal.commit((), derived(record(1, 1, line=b"new"), record(2, 2, line=b"new"), fold=FOLD + 1))
    journal.abandon()


async def test_a_long_refold_may_be_handed_on_in_parts(tmp_path: Path) -> None:
    """`through_n` says how far a part reaches; the parts cover the events once each."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 6), NOTHING)
    await journal.commit((), derived(snapshot(1, 1), through_n=2))
    assert (2, 1) == (journal.derived_n, journal.last_seq)
    await journal.commit((), derived(snapshot(2, 4), through_n=4))
    await journal.commit((), derived(through_n=4))
    await journal.close(derived(snapshot(3, 6)))
    with Reader.open(tmp_path, "main") as reader:
        assert [(1, 2), (3, 4), (5, 6)] == [(commit.first_n, commit.last_n) for commit in reader.commits()]


async def test_what_was_received_is_kept_once(tmp_path: Path) -> None:
    """Several events of one frame share its raw form; an event made of nothing has none."""
    shared, own = frame(2), frame(4)
    journal = reopened(tmp_path)
    await journal.commit([(tick(1), None), (tick(2), shared), (tick(3), shared), (tick(4), own)], NOTHING)
    await journal.close(NOTHING)
    with Reader.open(tmp_path, "main") as reader:
        assert [None, shared, shared, own, None] == [reader.raw(n) for n in range(1, 6)]
    assert 2 == sqlite3.connect(tmp_path / "main.journal").execute("SELECT count(*) FROM raw").fetchone()[0]


async def test_old_raw_forms_are_pruned_in_bounded_chunks(tmp_path: Path) -> None:
    """What was received before a moment goes, at most a bounded number a time; the events made of it stay."""
    count = RAW_ROWS_PRUNED_MAX + 10
    journal = reopened(tmp_path)
    await journal.commit([(tick(n), frame(n)) for n in range(1, count + 1)], NOTHING)
    before_us = START_US + (count - 2) * STEP_US
    assert [RAW_ROWS_PRUNED_MAX, 7, 0] == [await journal.prune_raw(before_us) for _ in range(3)]
    await journal.close(NOTHING)
    with Reader.open(tmp_path, "main") as reader:
        assert [None, frame(count - 2)] == [reader.raw(count - 3), reader.raw(count - 2)]
        assert count == reader.event_count
        assert [] == reader.integrity()


async def test_a_pruned_number_is_never_taken_for_another_frame(tmp_path: Path) -> None:
    """After everything raw is gone and a restart, an old event does not find the frame of a new one."""
    journal = reopened(tmp_path)
    await journal.commit([(tick(1), frame(1))], NOTHING)
    assert 1 == await journal.prune_raw(2**62)
    await journal.close(NOTHING)
    again = reopened(tmp_path)
    await again.commit([(tick(2), frame(2))], NOTHING)
    await again.close(NOTHING)
    with Reader.open(tmp_path, "main") as reader:
        assert [None, frame(2)] == [reader.raw(1), reader.raw(2)]


async def test_the_newest_checkpoint_of_a_fold_version_starts_the_fold(tmp_path: Path) -> None:
    """A version starts from its own newest checkpoint, never from one it cannot read."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 5), NOTHING)
    await journal.commit((), derived(point=checkpoint(2, state=b"\0" * 5000)))
    await journal.close(derived(point=checkpoint(4, fold=FOLD + 1)))
    again = reopened(tmp_path)
    assert checkpoint(2, state=b"\0" * 5000) == again.newest_checkpoint(FOLD)
    assert checkpoint(4, fold=FOLD + 1) == again.newest_checkpoint()
    assert None is again.newest_checkpoint(FOLD - 1)
    again.abandon()


async def test_checkpoints_thin_out_with_age(tmp_path: Path) -> None:
    """The newest stay; of the older ones the first in each span, so that time travel replays a bounded stretch."""
    journal = Journal.open(tmp_path, "main", checkpoint_spacing=100)
    await journal.commit(ticks(1, 1000), NOTHING)
    for n in range(30, 1001, 30):
        await journal.commit((), derived(point=checkpoint(n)))
    await journal.close(NOTHING)
    kept = [n for (n,) in sqlite3.connect(tmp_path / "main.journal").execute("SELECT n FROM checkpoints ORDER BY n")]
    newest = list(range(990 - 30 * (CHECKPOINTS_NEWEST_KEPT - 1), 991, 30))
    assert [30, 120, 210, 300, 420, 510, 600, 720, *newest] == kept


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"n": 9}, None),
        ({"n": 10}, 10),
        ({"n": 29}, 20),
        ({"seq": 99}, None),
        ({"seq": 250}, 20),
        ({"event_seq": 10}, 10),
        ({"event_seq": 31}, 30),
        ({"at_us": START_US + 20 * STEP_US - 1}, 10),
        ({"at_us": START_US + 99 * STEP_US}, 30),
        ({"n": 99, "fold_version": FOLD + 1}, None),
    ],
)
async def test_time_travel_finds_the_checkpoint_before(
    tmp_path: Path, asked: dict[str, int], found: int | None
) -> None:
    """Whether one asks by event, record, snapshot or time, the newest checkpoint not past it is given."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 40), derived())
    await journal.commit((), derived(*(snapshot(seq, 1 + seq // 20) for seq in range(1, 400))))
    for n in (10, 20, 30):
        await journal.commit((), derived(point=checkpoint(n, seq=n * 10, event_seq=n)))
    await journal.close(NOTHING)
    with Reader.open(tmp_path, "main") as reader:
        there = reader.checkpoint_at_or_before(**asked)
        assert found == (None if there is None else there.n)


async def test_a_moment_finds_its_event(tmp_path: Path) -> None:
    """`n_at` gives the last event heard by then, from before the first to after the last."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 33), NOTHING)
    await journal.close(NOTHING)
    with Reader.open(tmp_path, "main") as reader:
        assert 0 == reader.n_at(START_US)
        assert list(range(1, 34)) == [reader.n_at(START_US + n * STEP_US + 1) for n in range(1, 34)]
        assert 33 == reader.n_at(2**62)


async def test_the_archive_answers_as_of_an_event(tmp_path: Path) -> None:
    """A replay that stands at an early event sees what was archived then, not what came later."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 5), NOTHING)
    first, second = Archived(key="order:1", n=2, body=b"a"), Archived(key="order:1", n=4, body=b"b")
    await journal.commit((), derived(archive=[first], through_n=3))
    await journal.commit((), derived(archive=[first, second]))
    await journal.close(derived(archive=[second]))
    with Reader.open(tmp_path, "main") as reader:
        assert [None, first, first, second] == [reader.archived("order:1", up_to_n=n) for n in (1, 2, 3, 4)]
        assert second == reader.archived("order:1")
        assert None is reader.archived("order:2")


async def test_a_clean_end_is_sealed_and_the_next_write_breaks_the_seal(tmp_path: Path) -> None:
    """A start knows whether the run before ended in order; while one runs there is no seal."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), NOTHING)
    with Reader.open(tmp_path, "main") as reader:
        assert not reader.sealed
    await journal.close(NOTHING)
    assert ["main.journal"] == names(tmp_path)
    again = reopened(tmp_path)
    assert again.sealed_at_open
    await again.commit(ticks(2, 2), NOTHING)
    again.abandon()
    third = reopened(tmp_path)
    assert not third.sealed_at_open
    third.abandon()


async def test_a_reader_follows_a_daemon_that_writes(tmp_path: Path) -> None:
    """One reader sees each commit once it is durable, and can neither write nor stop the writer."""
    journal = reopened(tmp_path)
    with Reader.open(tmp_path, "main") as reader:
        pages = reader.events()
        for n in range(1, 4):
            await journal.commit(ticks(n, n), NOTHING)
            assert n == reader.event_count
        assert [tick(1), tick(2), tick(3)] == list(pages)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM events")
    await journal.close(NOTHING)


async def test_ranges_of_events_are_read_in_pages(tmp_path: Path) -> None:
    """A range longer than a page comes whole, and both its ends are included."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1203), NOTHING)
    await journal.close(NOTHING)
    with Reader.open(tmp_path, "main") as reader:
        assert [event for event, _ in ticks(1, 1203)] == list(reader.events())
        assert [7, 8, 9] == [event.n for event in reader.events(7, 9)]
        assert [] == list(reader.events(1204))


async def test_a_copy_is_whole_while_the_daemon_goes_on(tmp_path: Path) -> None:
    """A copy taken in the middle opens by itself, holds what was durable, and is never half written."""
    journal = reopened(tmp_path)
    await journal.commit([(order(1), frame(1))], NOTHING)
    copy = tmp_path / "copy"
    copy.mkdir()
    with Reader.open(tmp_path, "main") as reader:
        reader.copy_to(copy / "main.journal")
        with pytest.raises(JournalError, match="exists already"):
            reader.copy_to(copy / "main.journal")
        with pytest.raises(JournalError, match="cannot be used"):
            reader.copy_to(tmp_path / "nowhere" / "main.journal")
    await journal.commit(ticks(2, 2), NOTHING)
    assert ["main.journal"] == names(copy)
    restored = reopened(copy)
    assert [order(1)] == list(restored.events_from(1))
    await restored.commit(ticks(2, 2), NOTHING)
    restored.abandon()
    await journal.close(NOTHING)


async def test_closing_twice_and_closing_after_failure_are_quiet(tmp_path: Path) -> None:
    """The end of a daemon may come from two sides, and after a failure there is nothing left to say."""
    journal = reopened(tmp_path)
    await journal.close(NOTHING)
    await journal.close(NOTHING)
    broken = reopened(tmp_path)
    with pytest.raises(AssertionError):
        await broken.commit(ticks(5, 5), NOTHING)
    await broken.close(NOTHING)


def test_accounts_do_not_share_a_journal(tmp_path: Path, make: Callable[[str], None]) -> None:
    """A journal that was renamed to another account's is refused, by the writer and by readers."""
    make("main")
    (tmp_path / "main.journal").rename(tmp_path / "other.journal")
    with pytest.raises(JournalError, match="'main', not of 'other'"):
        Journal.open(tmp_path, "other")
    with pytest.raises(JournalError, match="'main', not of 'other'"):
        Reader.open(tmp_path, "other")


def test_a_journal_stays_on_the_environment_it_was_begun_on(tmp_path: Path, make: Callable[[str], None]) -> None:
    """The first one that is said counts, also for a journal from before it was asked; another one is refused."""
    make("main")
    with Reader.open(tmp_path, "main") as reader:
        assert "" == reader.environment
    for environment in ("vst", "vst", ""):
        Journal.open(tmp_path, "main", environment=environment).abandon()
    with pytest.raises(JournalElsewhereError, match="begun on environment vst, and the settings say live") as refused:
        Journal.open(tmp_path, "main", environment="live")
    assert 78 == refused.value.exit_code
    with Reader.open(tmp_path, "main") as reader:
        assert "vst" == reader.environment


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], None]:
    """Give a function that leaves an empty journal of an account behind."""

    def maker(name: str) -> None:
        Journal.open(tmp_path, name).abandon()

    return maker


def test_an_event_that_is_missing_stops_a_replay(tmp_path: Path, make: Callable[[str], None]) -> None:
    """A hole in the order is damage, wherever it is met."""
    make("main")
    connection = sqlite3.connect(tmp_path / "main.journal")
    connection.executemany("INSERT INTO events VALUES (?, 5, NULL, 'tick', x'00', NULL)", [(1,), (3,)])
    connection.commit()
    connection.close()
    with Reader.open(tmp_path, "main") as reader:
        assert ["2 events are numbered 1 to 3: some are missing"] == reader.integrity()
        with pytest.raises(JournalDamagedError, match="event 2 is missing"):
            reader.n_at(5)
        with pytest.raises(JournalDamagedError, match=r"event 2 is missing; .* restore the last"):
            list(reader.events(2))
