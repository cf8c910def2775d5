import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ditad.errors import (
    JournalDamagedError,
    JournalError,
    JournalTooNewError,
    StateFolderInUseError,
)
from ditad.journal import Journal, Reader, StateFolder, failures, opening, schema
from ditad.records import RecordType
from tests.journal.making import (
    NOTHING,
    account,
    as_after_power_loss,
    checkpoint,
    derived,
    frame,
    log_size,
    order,
    record,
    reopened,
    snapshot,
    ticks,
)

PAGE_AND_HEAD = 4096 + 24
"""A frame of SQLite's write-ahead log: a page and its head (sqlite.org/fileformat2.html, section 4)."""


class Breaking(sqlite3.Connection):
    """A connection that fails at a chosen statement, as SQLite does when the operating system says so."""

    breaks_at = ""
    errorname = ""

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        """Run a statement, or fail."""
        if self.breaks_at and statement.startswith(self.breaks_at):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = self.errorname
            raise error
        return super().execute(statement, *parameters)


def breaking(errorname: str) -> Callable[[Path], sqlite3.Connection]:
    """Give a connector whose connections can be made to fail with this error."""

    def connector(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Breaking)
        assert isinstance(connection, Breaking)
        connection.errorname = errorname
        return connection

    return connector


def break_now(journal: Journal, at: str) -> None:
    """Let the connection fail from now on."""
    connection = journal._connection
    assert isinstance(connection, Breaking)
    connection.breaks_at = at


@pytest.mark.parametrize(
    ("at", "errorname", "said"),
    [
        ("COMMIT", "SQLITE_IOERR_FSYNC", "the disk failed under"),
        ("BEGIN", "SQLITE_BUSY", "is locked by another program"),
        ("COMMIT", "SQLITE_FULL", "the disk is full"),
        ("BEGIN", "SQLITE_IOERR_SHMSIZE", "the disk is full"),
        ("INSERT INTO commits", "SQLITE_IOERR_WRITE", "the disk failed under"),
        ("COMMIT", "SQLITE_CORRUPT", "is damaged"),
        ("BEGIN", "SQLITE_READONLY_DBMOVED", "cannot be opened or written"),
    ],
)
async def test_after_a_failure_nothing_more_is_taken(tmp_path: Path, at: str, errorname: str, said: str) -> None:
    """A commit that fails says why and what to do, leaves nothing half, and is the last: the journal stops."""
    journal = Journal.open(tmp_path, "main", connector=breaking(errorname))
    await journal.commit(ticks(1, 2), NOTHING)
    break_now(journal, at)
    with pytest.raises(JournalError, match=said):
        await journal.commit([(order(3), frame(3))], derived(record(1, 1), snapshot(2, 1)))
    break_now(journal, "")
    with pytest.raises(JournalError, match=f"takes nothing more since it failed.*{said}"):
        await journal.commit(ticks(3, 3), NOTHING)
    with pytest.raises(JournalError, match="takes nothing more"):
        await journal.prune_raw(0)
    await journal.close(NOTHING)
    again = reopened(tmp_path)
    assert (2, 0) == (again.last_n, again.last_seq)
    assert not again.sealed_at_open
    again.abandon()
    with Reader.open(tmp_path, "main") as reader:
        assert [] == reader.records_after(0, limit=10)
        assert [] == reader.integrity()


async def test_a_full_disk_is_named_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """SQLite itself runs out of room: what was acknowledged is there when there is room again, and it goes on."""

    def small(path: Path) -> sqlite3.Connection:
        connection = opening.connect(path)
        connection.execute("PRAGMA max_page_count = 60")
        return connection

    noise = random.Random(3)  # noqa: S311 - incompressible, and the same in every run
    journal = Journal.open(tmp_path, "main", connector=small)
    acknowledged = 0
    said = ""
    while not said:
        point = checkpoint(acknowledged, state=noise.randbytes(20_000))
        try:
            await journal.commit(ticks(acknowledged + 1, acknowledged + 1), derived(point=point))
        except JournalError as exc:
            said = str(exc)
        else:
            acknowledged += 1
    assert (
        f"the disk is full, {tmp_path}/main.journal takes no more events: free space, then start the daemon again"
        == said
    )
    await journal.close(NOTHING)
    assert acknowledged > 1
    again = reopened(tmp_path)
    assert [event for event, _ in ticks(1, acknowledged)] == list(again.events_from(1))
    await again.commit(ticks(acknowledged + 1, acknowledged + 1), NOTHING)
    await again.close(NOTHING)


async def test_a_torn_last_write_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Wherever the write-ahead log is cut, whole commits remain: all whose bytes were there, none in part."""
    journal = reopened(tmp_path)
    acknowledged: list[tuple[int, int]] = [(log_size(tmp_path), 0)]
    for k in range(1, 9):
        n = 3 * k
        before = derived(record(2 * k - 3, n - 3, key="a"), snapshot(2 * k - 2, n - 3)) if k > 1 else NOTHING
        await journal.commit([(order(n - 2), frame(n - 2)), (account(n - 1), None), *ticks(n, n)], before)
        acknowledged.append((log_size(tmp_path), n))
    start, end = acknowledged[0][0], acknowledged[-1][0]
    frames = range(start + 8, end, PAGE_AND_HEAD)
    near = {at + d for at in frames for d in (-9, -8, -1, 0, 1, 23, 24, 25)}
    for offset in sorted(at for at in {end, *range(start, end, 1009), *near} if start <= at <= end):
        lost = as_after_power_loss(tmp_path, tmp_path / "lost", log_bytes=offset)
        again = reopened(lost)
        due = max(n for size, n in acknowledged if size <= offset)
        assert due == again.last_n, f"cut at {offset} of {end}"
        assert due == len(list(again.events_from(1)))
        assert max(0, due // 3 - 1) * 2 == again.last_seq
        again.abandon()
    journal.abandon()
    with Reader.open(lost, "main") as reader:
        assert [] == reader.integrity()
        assert 1 == len(reader.current_records(RecordType.FILL, limit=9))


async def test_a_torn_write_with_rubbish_behind_it_is_no_commit(tmp_path: Path) -> None:
    """A disk may leave old or random bytes where the last commit was to stand: it counts as not written."""
    noise = random.Random(5)  # noqa: S311 - the same rubbish in every run
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), NOTHING)
    kept = log_size(tmp_path)
    await journal.commit(ticks(2, 2), NOTHING)
    whole = (tmp_path / "main.journal-wal").read_bytes()
    for at in range(kept, len(whole), 509):
        lost = as_after_power_loss(tmp_path, tmp_path / "lost")
        (lost / "main.journal-wal").write_bytes(whole[:at] + noise.randbytes(len(whole) - at))
        again = reopened(lost)
        assert 1 == again.last_n, f"rubbish from {at} of {len(whole)}"
        again.abandon()
    journal.abandon()


CHILD = """
import asyncio, sys
from pathlib import Path
from ditad.journal import Journal
from tests.journal.making import derived, order, frame, record, snapshot, NOTHING
async def main():
    journal = Journal.open(Path(sys.argv[1]), "main")
    n, seq = journal.last_n, journal.last_seq
    print("open", n, journal.derived_n, seq, flush=True)
    done = journal.derived_n
    while True:
        records = []
        for m in range(done + 1, n + 1):
            records += [record(seq + 1, m, key="k"), snapshot(seq + 2, m)]
            seq += 2
        done = n
        await journal.commit([(order(n + 1), frame(n + 1)), (order(n + 2), None)], derived(*records))
        n += 2
        print("durable", n, flush=True)
asyncio.run(main())
"""


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    """`kill -9` at any moment: each start finds all that the one before had acknowledged, whole and once."""
    chance = random.Random(11)  # noqa: S311 - chooses when to kill
    acknowledged = 0
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert child.stdout is not None
        opened = child.stdout.readline().split()
        assert acknowledged <= int(opened[1])
        lines = chance.randrange(1, 60)
        for _ in range(lines):
            acknowledged = int(child.stdout.readline().split()[1])
        os.kill(child.pid, signal.SIGKILL)
        for line in child.stdout:
            if line.endswith(b"\n"):
                acknowledged = int(line.split()[1])
        child.stdout.close()
        assert -signal.SIGKILL == child.wait()
    with Reader.open(tmp_path, "main") as reader:
        assert acknowledged <= reader.last_n
        assert [*range(1, reader.last_n + 1)] == [event.n for event in reader.events()]
        assert 2 * reader.derived_n == reader.last_seq
        assert [] == reader.integrity()


async def test_files_that_vanish_are_noticed(tmp_path: Path) -> None:
    """SQLite would go on writing into a deleted file; the commit says instead that it was not kept."""
    for taken in ("main.journal", "main.journal-wal", ""):
        folder = tmp_path / f"state{taken}"
        folder.mkdir()
        journal = reopened(folder)
        await journal.commit(ticks(1, 1), NOTHING)
        gone = folder / taken
        gone.rename(tmp_path / f"gone{taken}")
        with pytest.raises(JournalError, match="was taken away while in use"):
            await journal.commit(ticks(2, 2), NOTHING)
        journal.abandon()


async def test_a_file_that_was_exchanged_is_noticed(tmp_path: Path) -> None:
    """A journal put in the place of the open one is not the one we write."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), NOTHING)
    data = (tmp_path / "main.journal").read_bytes()
    (tmp_path / "main.journal").unlink()
    (tmp_path / "main.journal").write_bytes(data)
    with pytest.raises(JournalError, match="was taken away while in use"):
        await journal.commit(ticks(2, 2), NOTHING)
    journal.abandon()


async def test_a_cancelled_commit_is_durable_and_counts_as_not_folded(tmp_path: Path) -> None:
    """Whoever gives up waiting does not take the events back; what they lead to is handed on after the restart."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 1), NOTHING)
    waiting = journal.commit(ticks(2, 2), derived(snapshot(1, 1)))
    waiting.send(None)
    waiting.close()
    await journal.close(NOTHING)
    again = reopened(tmp_path)
    assert (2, 1, 1) == (again.last_n, again.derived_n, again.last_seq)
    again.abandon()


# ---- opening --------------------------------------------------------------------------------------------------------


def head(folder: Path, statement: str) -> None:
    """Change a journal's head behind our back."""
    connection = sqlite3.connect(folder / "main.journal")
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("opener", [Journal.open, Reader.open])
def test_a_newer_schema_is_refused(tmp_path: Path, opener: Callable[[Path, str], Any]) -> None:
    """What a newer version wrote is not touched by an older one."""
    reopened(tmp_path).abandon()
    head(tmp_path, f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    with pytest.raises(JournalTooNewError, match="use the newer ditad"):
        opener(tmp_path, "main")


def test_an_older_schema_is_brought_forward(tmp_path: Path) -> None:
    """The steps from the file's version on are run in one transaction; a reader asks for the daemon to do it first."""
    reopened(tmp_path).abandon()
    path = tmp_path / "main.journal"
    steps = (
        *schema.STEPS,
        ("CREATE TABLE later (a) STRICT",),
        ("DROP TABLE later", "CREATE TABLE latest (a INT) STRICT"),
    )
    broken = (*schema.STEPS, ("CREATE TABLE latest (a INT) STRICT", "CREATE TABLE wrong"))
    with pytest.raises(JournalError):
        opening.open_for_writing(path, "main", steps=broken)
    connection = opening.open_for_writing(path, "main", steps=(*schema.STEPS, ("CREATE TABLE latest (a INT) STRICT",)))
    assert schema.SCHEMA_VERSION + 1 == connection.execute("PRAGMA user_version").fetchone()[0]
    assert [] == connection.execute("SELECT * FROM latest").fetchall()
    connection.close()
    assert len(steps) == schema.SCHEMA_VERSION + 2
    assert ("DROP TABLE later", "CREATE TABLE latest (a INT) STRICT") == schema.pending(
        "x", schema.Head(application_id=schema.APPLICATION_ID, version=schema.SCHEMA_VERSION + 1, tables=9), steps
    )


def test_a_reader_does_not_migrate(tmp_path: Path) -> None:
    """An older journal is brought forward by the daemon alone; a reader says so."""
    path = tmp_path / "main.journal"
    reopened(tmp_path).abandon()
    head(tmp_path, "PRAGMA user_version = 0")
    with pytest.raises(JournalError, match="start `ditad run` once"):
        opening.open_for_reading(path, "main")


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """A database with tables of somebody else's is left alone."""
    head(tmp_path, "CREATE TABLE somebody (a)")
    with pytest.raises(JournalDamagedError, match="not a journal of ditad"):
        reopened(tmp_path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """Rubbish, and a database whose pages contradict each other, are called damaged at the start."""
    (tmp_path / "main.journal").write_bytes(b"not a database at all" * 500)
    with pytest.raises(JournalDamagedError, match=r"is damaged: .* restore the last"):
        reopened(tmp_path)


async def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    """A journal that lost its end, as after a copy that ran out of room, is called damaged at the start."""
    journal = reopened(tmp_path)
    await journal.commit([(order(n), frame(n)) for n in range(1, 200)], NOTHING)
    await journal.close(NOTHING)
    os.truncate(tmp_path / "main.journal", (tmp_path / "main.journal").stat().st_size - 3 * 4096)
    with pytest.raises(JournalDamagedError, match="is damaged"):
        reopened(tmp_path)


async def test_pages_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    """A file that SQLite can open, but whose parts do not add up, is called damaged at the start."""
    reopened(tmp_path).abandon()
    with (tmp_path / "main.journal").open("r+b") as file:
        file.seek(36)  # the number of free pages (sqlite.org/fileformat2.html, section 1.3.7)
        file.write((5).to_bytes(4))
    with pytest.raises(JournalDamagedError, match="is damaged"):
        reopened(tmp_path)


async def test_a_fold_beyond_the_last_event_is_damage(tmp_path: Path) -> None:
    """Events that are gone from the end, with what they led to still there, stop the start."""
    journal = reopened(tmp_path)
    await journal.commit(ticks(1, 3), NOTHING)
    await journal.close(derived(snapshot(1, 3)))
    head(tmp_path, "DELETE FROM events WHERE n = 3")
    with pytest.raises(JournalDamagedError, match="folded beyond its last event 2"):
        reopened(tmp_path)
    with Reader.open(tmp_path, "main") as reader:
        assert ["records are derived from event 3, but the last event is 2"] == reader.integrity()


def test_a_missing_journal_and_a_missing_folder_are_said(tmp_path: Path) -> None:
    """A reader names the journal that is not there; a writer the folder."""
    with pytest.raises(JournalError, match=r"there is no journal .*/main\.journal"):
        Reader.open(tmp_path, "main")
    with pytest.raises(JournalError, match="No such file or directory"):
        reopened(tmp_path / "nowhere")


def test_a_folder_in_the_place_of_a_journal_is_said(tmp_path: Path) -> None:
    """What cannot be opened is named, by the writer and by readers."""
    (tmp_path / "main.journal").mkdir()
    for opener in (Journal.open, Reader.open):
        with pytest.raises(JournalError, match=r"/main\.journal"):
            opener(tmp_path, "main")


def test_a_file_system_without_write_ahead_logs_is_refused(tmp_path: Path) -> None:
    """Where SQLite cannot keep its promise, there is no journal."""
    with pytest.raises(JournalError, match="use a local disk"):
        Journal.open(tmp_path, "main", connector=lambda _: sqlite3.connect(":memory:", isolation_level=None))


def test_a_journal_of_nobody_is_damaged(tmp_path: Path) -> None:
    """A journal says whose it is."""
    reopened(tmp_path).abandon()
    head(tmp_path, "DELETE FROM meta WHERE key = 'account'")
    with pytest.raises(JournalDamagedError, match="does not say whose it is"):
        reopened(tmp_path)


def test_a_large_file_is_not_read_through_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a size the pages are checked by `verify`, so that the start does not take longer with age."""
    reopened(tmp_path).abandon()
    with (tmp_path / "main.journal").open("r+b") as file:
        file.seek(36)
        file.write((5).to_bytes(4))
    monkeypatch.setattr(opening, "QUICK_CHECK_BYTES_MAX", 0)
    reopened(tmp_path).abandon()
    with Reader.open(tmp_path, "main") as reader:
        assert 1 == len(reader.integrity())


def test_a_reader_that_fails_says_so(tmp_path: Path) -> None:
    """A question that SQLite does not answer is an error of our tree."""
    reopened(tmp_path).abandon()
    reader = Reader.open(tmp_path, "main")
    reader.close()
    with pytest.raises(JournalError, match="run `ditad verify`"):
        _ = reader.last_n


def test_a_kind_of_a_newer_version_is_said(tmp_path: Path) -> None:
    """An event that this version has no word for is a newer version's; one that cannot be decoded is damage."""
    reopened(tmp_path).abandon()
    head(tmp_path, "INSERT INTO events VALUES (1, 5, NULL, 'dividend', x'00', NULL), (2, 5, NULL, 'tick', x'00', NULL)")
    with Reader.open(tmp_path, "main") as reader:
        with pytest.raises(JournalTooNewError, match="event 1 is of the kind 'dividend'"):
            list(reader.events(1, 1))
        with pytest.raises(JournalDamagedError):
            list(reader.events(2, 2))


async def test_an_event_whose_fields_are_wrong_is_damage(tmp_path: Path) -> None:
    """A body that unpacks but does not fit its kind is named by its number."""
    journal = reopened(tmp_path)
    await journal.commit([(order(1), None)], NOTHING)
    await journal.close(NOTHING)
    head(tmp_path, "UPDATE events SET kind = 'tick'")
    with (
        Reader.open(tmp_path, "main") as reader,
        pytest.raises(JournalDamagedError, match="event 1 cannot be read back"),
    ):
        list(reader.events())


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (sqlite3.OperationalError("odd"), "run `ditad verify`"),
    ],
)
def test_every_failure_says_what_to_do(exc: OSError | sqlite3.Error, said: str) -> None:
    """The sentence names the file and the remedy, whatever failed."""
    error = failures.explain("/var/lib/ditad/main.journal", exc)
    assert said in str(error)
    assert "/var/lib/ditad/main.journal" in str(error)
    assert 74 == error.exit_code


# ---- the state folder -----------------------------------------------------------------------------------------------


def test_a_second_daemon_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    """Two writers of one folder are impossible; the second learns who the first is."""
    with StateFolder.acquire(tmp_path / "state") as held:
        assert 0o700 == (tmp_path / "state").stat().st_mode & 0o777
        with pytest.raises(StateFolderInUseError, match=rf"pid {os.getpid()}\b.*stop it first") as refused:
            StateFolder.acquire(tmp_path / "state")
        assert 75 == refused.value.exit_code
        held.release()
        StateFolder.acquire(tmp_path / "state").release()


def test_a_lock_file_left_behind_means_nothing(tmp_path: Path) -> None:
    """After a crash the file is there with an old pid, and nobody holds it."""
    (tmp_path / "ditad.lock").write_text("999999999 and more than a pid has digits\n")
    with StateFolder.acquire(tmp_path):
        assert f"{os.getpid()}\n" == (tmp_path / "ditad.lock").read_text()


def test_a_killed_holder_frees_the_folder(tmp_path: Path) -> None:
    """The lock goes with the process that held it, however it ended."""
    holds = (
        "import sys, time, pathlib; from ditad.journal import StateFolder;"
        "held = StateFolder.acquire(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", holds, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert b"held\n" == child.stdout.readline()
    with pytest.raises(StateFolderInUseError, match=f"pid {child.pid}"):
        StateFolder.acquire(tmp_path)
    child.kill()
    child.communicate()
    StateFolder.acquire(tmp_path).release()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A state folder below a file is a setting to correct."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be used"):
        StateFolder.acquire(tmp_path / "file" / "state")


def test_a_lock_file_without_a_pid_is_still_a_lock(tmp_path: Path) -> None:
    """A holder that had no time to write its pid is refused to others all the same."""
    held = StateFolder.acquire(tmp_path)
    (tmp_path / "ditad.lock").write_text("")
    with pytest.raises(StateFolderInUseError, match="its pid is not known"):
        StateFolder.acquire(tmp_path)
    held.release()
