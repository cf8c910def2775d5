"""Read a journal from any thread, with the daemon running or not: replay, lists, time travel, verification, copies.

What enters: a folder and an account's name. What leaves: what `ditad.journal.rows` names. What holds: the connection
cannot write; each question runs to its end under a lock and sees whole commits only; what is read is durable.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from ditad.errors import JournalError
from ditad.events import Event, Raw
from ditad.journal import queries
from ditad.journal.failures import explain
from ditad.journal.opening import journal_path, open_for_reading
from ditad.journal.rows import Archived, Checkpoint, Commit, StoredRecord
from ditad.journal.shelves import Shelf
from ditad.records import RecordType

PROBLEMS_MAX: Final = 100
STEPS_BETWEEN_LOOKS: Final = 100_000
"""Of SQLite's machine, between two looks at the clock: some milliseconds."""


class Reader:
    """A read-only view of one account's journal; close it, or use it as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `open`; this takes a read-only connection."""
        self.path = path
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path, account: str) -> Reader:
        """Open a journal that exists; raises `JournalError` and its kinds, saying what to do."""
        return cls.open_file(journal_path(folder, account), account)

    @classmethod
    def open_file(cls, path: Path, account: str) -> Reader:
        """Open a journal wherever it lies, a backup for example; raises as `open`."""
        return cls(path, open_for_reading(path, account))

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def last_n(self) -> int:
        """The number of the last event, 0 where there is none."""
        return queries.last_n(self._ask)

    @property
    def event_count(self) -> int:
        """How many events there are: their numbers have no holes."""
        return self.last_n

    @property
    def derived_n(self) -> int:
        """The last event whose records are stored; those of later ones come with the next commit."""
        return queries.derived_through(self._ask)[0]

    @property
    def last_seq(self) -> int:
        """The last `seq` (snapshots counted) of the events up to `derived_n`."""
        return queries.derived_through(self._ask)[1]

    def derived_through(self) -> tuple[int, int]:
        """Give `derived_n` and `last_seq` as they belong together, whatever is written meanwhile."""
        return queries.derived_through(self._ask)

    def seams(self, fold_version: int) -> dict[int, tuple[int, int]]:
        """Give where a fold of this version goes on behind another one's commits: by event, `seq` and `event_seq`."""
        return queries.seams(self._ask, fold_version)

    @property
    def environment(self) -> str:
        """On which environment the account lives, as its first start said; empty where none has said it yet."""
        return queries.meta(self._ask).get("environment", "")

    @property
    def sealed(self) -> bool:
        """Whether the daemon ended in order and has not written since."""
        return queries.meta(self._ask).get("sealed") != ""

    def events(self, from_n: int = 1, to_n: int | None = None) -> Iterator[Event]:
        """Give the events of these numbers, both included; `to_n` of `None` is the end."""
        return queries.events(self._ask, from_n, to_n)

    def events_of(self, kinds: Sequence[str], from_n: int = 1, to_n: int | None = None) -> Iterator[Event]:
        """Give the events of some rare kinds among these numbers; `to_n` of `None` is the end."""
        end = self.last_n if to_n is None else to_n
        for start in range(from_n, end + 1, queries.SCANNED_MAX):
            yield from queries.events_of(self._ask, kinds, start, min(end, start + queries.SCANNED_MAX - 1))

    def n_at(self, at_us: int) -> int:
        """Give the number of the last event heard at or before this moment, 0 where there is none."""
        return queries.n_at(self._ask, at_us)

    def raw(self, n: int) -> Raw | None:
        """Give what event `n` was made of, `None` where it was made of nothing or that is no longer kept."""
        return queries.raw(self._ask, n)

    def checkpoint_at_or_before(
        self,
        *,
        n: int | None = None,
        seq: int | None = None,
        event_seq: int | None = None,
        at_us: int | None = None,
        fold_version: int | None = None,
    ) -> Checkpoint | None:
        """Give the newest checkpoint not past exactly one of these, written by `fold_version` if that is given."""
        asked = {"n": n, "seq": seq, "event_seq": event_seq, "at_us": at_us}
        given = [(by, value) for by, value in asked.items() if value is not None]
        assert len(given) == 1, "one of n, seq, event_seq, at_us is due"
        return queries.checkpoint_at_or_before(self._ask, *given[0], fold_version)

    def current_records(self, kind: RecordType, *, after_seq: int = 0, limit: int) -> list[tuple[int, bytes]]:
        """Give `(seq, line)` of the records of a type that nothing has superseded, oldest first."""
        return queries.current_records(self._ask, kind, after_seq, limit)

    def records_after(self, seq: int, *, limit: int, kind: RecordType | None = None) -> list[StoredRecord]:
        """Give the stored records (all but snapshots) after `seq`, superseded ones included, oldest first."""
        return queries.records_after(self._ask, seq, limit, kind)

    def archived(self, key: str, *, up_to_n: int | None = None) -> Archived | None:
        """Give what was archived last under a key; with `up_to_n` as a replay standing at that event would see it."""
        return queries.archived(self._ask, key, up_to_n)

    def shelved_seq(self) -> int:
        """Give the last record whose snapshots are put away, 0 where none is."""
        return queries.shelved_seq(self._ask)

    def seqs_around(self, event_seq: int) -> tuple[int, int]:
        """Give two records between which checkpoints say a snapshot's number lies; another fold version's may be wrong."""
        return queries.seqs_around(self._ask, event_seq)

    def shelf_from(self, seq: int) -> Shelf | None:
        """Give the first shelf of snapshots that ends at a record or after it."""
        return queries.shelf_from(self._ask, seq)

    def shelf_at(self, at_us: int) -> tuple[Shelf, bool] | None:
        """Give the last shelf that begins at or before a moment, and whether the one behind it goes on where it ends."""
        return queries.shelf_at(self._ask, at_us)

    def checkpoints(self, after_n: int = 0) -> Iterator[Checkpoint]:
        """Give the checkpoints behind an event, in order, one at a time."""
        return queries.checkpoints(self._ask, after_n)

    def facts(
        self, kinds: Sequence[RecordType], *, after_seq: int, through_seq: int, at_seq: int, limit: int
    ) -> list[StoredRecord]:
        """Give records of some types up to `through_seq` that were current once record `at_seq` was made, oldest first."""
        return queries.facts(self._ask, kinds, after_seq, through_seq, at_seq, limit)

    def count_facts(self, kinds: Sequence[RecordType], *, after_seq: int, through_seq: int) -> int:
        """Count the records of some types that were current once `through_seq` was made; reads none of them."""
        return queries.count_facts(self._ask, kinds, after_seq, through_seq)

    def straddling(self, kinds: Sequence[RecordType], *, at_seq: int, through_seq: int) -> Iterator[StoredRecord]:
        """Give the records that were current once record `at_seq` was made, and no longer once `through_seq` was."""
        return queries.straddling(self._ask, kinds, at_seq, through_seq)

    def seq_before(self, n: int) -> int:
        """Give the last stored record (snapshots left out) of the events before `n`, 0 where there is none."""
        return queries.seq_before(self._ask, n)

    def counts(self, *, after_seq: int, through_seq: int) -> dict[str, int]:
        """Count the stored records (all but snapshots) behind one and up to another, by their type."""
        return queries.counts(self._ask, after_seq, through_seq)

    def commits(self, after_n: int = 0) -> Iterator[Commit]:
        """Give digests and sums of what folding led to, commit by commit, from the one that ends after `after_n`."""
        return queries.commits(self._ask, after_n)

    def integrity(self) -> list[str]:
        """Check every page, index and constraint of the file; give the problems found, at most `PROBLEMS_MAX`.

        Takes time in proportion to the file; whether the values can be read and folded is for the caller to try.
        """
        found = [str(row[0]) for row in self._ask(f"PRAGMA integrity_check({PROBLEMS_MAX})")]
        problems = [] if found == ["ok"] else found
        numbers = self._ask("SELECT count(*), coalesce(min(n), 1), coalesce(max(n), 0) FROM events")[0]
        if numbers[1] != 1 or numbers[0] != numbers[2]:
            problems.append(f"{numbers[0]} events are numbered {numbers[1]} to {numbers[2]}: some are missing")
        derived = self.derived_n
        if derived > numbers[2]:
            problems.append(f"records are derived from event {derived}, but the last event is {numbers[2]}")
        return problems

    def integrity_within(self, seconds: float) -> list[str] | None:
        """Check as `integrity` does, for at most so long; `None` where that was not long enough to know."""
        deadline_mono = time.monotonic() + seconds
        late = False

        def ended() -> bool:
            nonlocal late
            late = time.monotonic() > deadline_mono
            return late

        self._connection.set_progress_handler(ended, STEPS_BETWEEN_LOOKS)
        try:
            return self.integrity()
        except JournalError:
            if late:
                return None
            raise
        finally:
            self._connection.set_progress_handler(None, 0)

    def copy_to(self, out: Path) -> None:
        """Write a consistent copy, whole or not at all, while the daemon goes on; `out` must not exist.

        Restoring is copying it back with the daemon stopped, and taking away a `-wal` file left beside the old one.
        Raises `JournalError` where it cannot be written.
        """
        if out.exists():
            raise JournalError(f"{out} exists already: name a file that does not")
        partial = out.with_name(out.name + ".partial")
        try:
            partial.unlink(missing_ok=True)
            descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                self._copy_into(partial)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            partial.rename(out)
        except (sqlite3.Error, OSError) as exc:
            partial.unlink(missing_ok=True)
            raise explain(str(out), exc) from exc

    def _copy_into(self, partial: Path) -> None:
        target = sqlite3.connect(partial, isolation_level=None)
        try:
            with self._lock:
                self._connection.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        finally:
            target.close()

    def _ask(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as exc:
            raise explain(str(self.path), exc) from exc
