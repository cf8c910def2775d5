"""Write a journal: one durable transaction for many events, in a thread of its own, and nothing after a failure.

What enters: events with what was received, and what folding the ones before led to. What leaves: the promise, when
`commit` returns, that all of it survives the loss of power. What holds: events are numbered without holes; a
transaction is stored whole or not at all; after the first failure nothing more is taken, because a journal that
skips an event would lie (interfaces.md §5).
The one caller commits one batch at a time, and folds a batch only after its commit has returned.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ditad.errors import JournalError
from ditad.events import Event, Raw
from ditad.journal import opening, queries
from ditad.journal.derivation import Advance, advance
from ditad.journal.failures import damaged, explain
from ditad.journal.packing import pack
from ditad.journal.rows import Checkpoint, Derived, EventRow, RawRow, event_row, raw_row, record_of
from ditad.journal.shelves import shelf_row, shelving_after
from ditad.records import Record

CHECKPOINTS_NEWEST_KEPT: Final = 8
CHECKPOINT_SPACING: Final = 1_000
"""Of checkpoints older than the newest ones, the first in each span of this many events stays, for time travel."""
RAW_ROWS_PRUNED_MAX: Final = 2_000
"""Rows that one `prune_raw` takes away, so that a commit behind it waits milliseconds."""
KNOWN_ROWS_PAGE: Final = 500


class Journal:
    """The one writer of an account's journal. Open it, replay, then commit; close it, or abandon it after a failure."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, checkpoint_spacing: int) -> None:
        """Use `open`; this takes a connection that was brought to the present schema."""
        self.path = path
        self._connection = connection
        self._spacing = checkpoint_spacing
        self._failure: str | None = None
        self._closed = False
        self._sealed = self._sealed_at_open = queries.meta(self._ask)["sealed"] != ""
        self._last_n = queries.last_n(self._ask)
        self._derived_n, self._last_seq = queries.derived_through(self._ask)
        newest = queries.checkpoint_at_or_before(self._ask, "n", 2**63 - 1, None)
        if max(self._derived_n, newest.n if newest else 0) > self._last_n:
            raise damaged(str(path), f"it was folded beyond its last event {self._last_n}")
        sums = self._ask("SELECT sums FROM commits WHERE sums IS NOT NULL ORDER BY through_n DESC LIMIT 1")
        self._sums: bytes | None = sums[0][0] if sums else None
        self._shelving = shelving_after(queries.shelved_seq(self._ask))
        self._acknowledged_n = self._last_n
        self._files = (str(path), f"{path}-wal")
        self._identities = self._identify()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"journal-{path.stem}")

    @classmethod
    def open(
        cls,
        folder: Path,
        account: str,
        *,
        environment: str = "",
        connector: opening.Connect = opening.connect,
        checkpoint_spacing: int = CHECKPOINT_SPACING,
    ) -> Journal:
        """Open or create the journal of an account in a state folder that this process holds.

        Raises as `opening.open_for_writing`, which says what `environment` is.
        """
        path = opening.journal_path(folder, account)
        connection = opening.open_for_writing(path, account, environment=environment, connector=connector)
        try:
            return cls(path, connection, checkpoint_spacing=checkpoint_spacing)
        except (sqlite3.Error, OSError) as exc:
            connection.close()
            raise explain(str(path), exc) from exc
        except JournalError:
            connection.close()
            raise

    @property
    def last_n(self) -> int:
        """The number of the last durable event, 0 where there is none."""
        return self._last_n

    @property
    def last_seq(self) -> int:
        """The last `seq` (snapshots counted) that is stored or digested: that of the events up to `derived_n`."""
        return self._last_seq

    @property
    def derived_n(self) -> int:
        """The last event whose records are stored; a restart hands on those of later events."""
        return self._derived_n

    @property
    def shelved_seq(self) -> int:
        """The last record whose snapshots are put away; a restart may hand on again what it knows of later ones."""
        return self._shelving.through_seq

    def bytes_on_disk(self) -> int:
        """Say how many bytes the file takes with its log; what is not there at this moment takes none."""
        return sum(_size(name) for name in self._files)

    @property
    def sealed_at_open(self) -> bool:
        """Whether the run before ended in order."""
        return self._sealed_at_open

    def newest_checkpoint(self, fold_version: int | None = None) -> Checkpoint | None:
        """Give the checkpoint to start from, of this fold version if one is given; for use before the first commit."""
        return queries.checkpoint_at_or_before(self._ask, "n", self._last_n, fold_version)

    def seams(self, fold_version: int) -> dict[int, tuple[int, int]]:
        """Give where a fold of this version goes on behind another one's commits, as `Reader.seams` does."""
        return queries.seams(self._ask, fold_version)

    def events_from(self, n: int) -> Iterator[Event]:
        """Give the events from `n` to the last, for the replay at the start; for use before the first commit."""
        return queries.events(self._ask, n, self._last_n)

    async def commit(self, events: Sequence[tuple[Event, Raw | None]], derived: Derived) -> None:
        """Make events, and what folding earlier ones led to, durable in one transaction; return once they are.

        The caller's duty: events are numbered from `last_n + 1` without a hole; events made of the same frame carry
        the same `Raw` object and stand together; the records up to `derived_n` may be handed on again, and must then
        be the same. Raises `JournalError` (a full disk named as such) and refuses everything from then on. Cancelled
        while it runs, it still becomes durable, and counts as not folded.
        """
        await self._in_thread(events, derived, seal=False)

    async def close(self, derived: Derived) -> None:
        """Store what the last events led to, seal the journal and give it back; after a failure only give it back."""
        if self._closed:
            return
        try:
            if self._failure is None:
                await self._in_thread((), derived, seal=True)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give the journal back as it is, unsealed; waits for a commit that is under way."""
        self._closed = True
        self._thread.shutdown(wait=True)
        self._connection.close()

    async def prune_raw(self, before_us: int) -> int:
        """Take away what was received before this moment, at most `RAW_ROWS_PRUNED_MAX` rows; give how many went.

        There may be more while that many went. Raises as `commit`.
        """
        self._refuse_after_failure()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._prune_raw, before_us)

    async def _in_thread(self, events: Sequence[tuple[Event, Raw | None]], derived: Derived, *, seal: bool) -> None:
        self._refuse_after_failure()
        through_n = self._acknowledged_n if derived.through_n is None else derived.through_n
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._store, events, derived, through_n, seal)
        if events:
            self._acknowledged_n = events[-1][0].n

    def _refuse_after_failure(self) -> None:
        assert not self._closed, "the journal is closed"
        if self._failure is not None:
            raise JournalError(f"the journal takes nothing more since it failed: {self._failure}")

    # ---- in the journal's thread --------------------------------------------------------------------------------

    def _store(self, events: Sequence[tuple[Event, Raw | None]], derived: Derived, through_n: int, seal: bool) -> None:
        with self._one_transaction():
            assert through_n <= self._last_n, f"event {through_n} is folded, but {self._last_n} is the last durable one"
            event_rows, raw_rows = _rows_of(events, self._last_n)
            step = advance(derived, through_n=through_n, derived_n=self._derived_n, last_seq=self._last_seq)
            execute = self._connection.execute
            execute("BEGIN IMMEDIATE")
            self._confirm(step.known, derived.fold_version)
            self._connection.executemany("INSERT INTO raw VALUES (?, ?, ?, ?)", raw_rows)
            self._connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", event_rows)
            self._insert_records(step)
            self._shelve(derived, seal=seal)
            if step.through_n > self._derived_n:
                sums = derived.sums if derived.sums != self._sums else None
                execute(
                    "INSERT INTO commits VALUES (?, ?, ?, ?, ?)",
                    (step.through_n, step.last_seq, derived.fold_version, step.digest, sums),
                )
                self._sums = derived.sums or self._sums
            self._connection.executemany(
                "INSERT OR REPLACE INTO archive VALUES (?, ?, ?)",
                [(archived.key, archived.n, pack(archived.body)) for archived in derived.archive],
            )
            if derived.checkpoint is not None:
                self._insert_checkpoint(derived.checkpoint)
            self._mark_sealed(seal=seal)
        self._last_n += len(event_rows)
        self._derived_n, self._last_seq = step.through_n, step.last_seq
        if seal:
            with self._stopping_at_failure():
                self._ask("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _one_transaction(self) -> Iterator[None]:
        """Commit what the block did. After any failure the journal takes nothing more, and closing it undoes the rest."""
        with self._stopping_at_failure():
            yield
            self._connection.execute("COMMIT")
            self._check_still_there()

    @contextmanager
    def _stopping_at_failure(self) -> Iterator[None]:
        if self._failure is not None:
            raise JournalError(f"the journal takes nothing more since it failed: {self._failure}")
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            error = explain(str(self.path), exc)
            self._failure = str(error)
            raise error from exc
        except BaseException as exc:
            self._failure = str(exc) or type(exc).__name__
            raise

    def _confirm(self, known: tuple[Record, ...], fold_version: int) -> None:
        """Check that records handed on again are those stored; what another fold version published stays as it is."""
        if not known:
            return
        versions = [
            (through_n, version)
            for through_n, version in self._ask(
                "SELECT through_n, fold_version FROM commits WHERE through_n >= ? ORDER BY through_n", known[0].n
            )
        ]
        at = 0
        for start in range(0, len(known), KNOWN_ROWS_PAGE):
            page = known[start : start + KNOWN_ROWS_PAGE]
            rows = self._ask(
                "SELECT seq, n, type, at_us, key, superseded_by, line FROM records WHERE seq BETWEEN ? AND ?",
                page[0].seq,
                page[-1].seq,
            )
            stored = {row[0]: record_of(row) for row in rows}
            for record in page:
                while versions[at][0] < record.n:
                    at += 1
                if versions[at][1] != fold_version:
                    continue
                there = stored.get(record.seq)
                same = there is not None and (
                    (there.n, there.type, there.at_us, there.key, there.line)
                    == (record.n, record.type, record.at_us, record.key, record.line)
                )
                if not same:
                    raise damaged(str(self.path), f"record {record.seq} is not what folding event {record.n} leads to")

    def _insert_records(self, step: Advance) -> None:
        many = self._connection.executemany
        if step.superseded_keys:
            many(
                "UPDATE records SET superseded_by = ? WHERE type = ? AND key = ? AND superseded_by IS NULL",
                step.superseded_keys,
            )
        if step.superseded_seqs:
            many("UPDATE records SET superseded_by = ? WHERE seq = ? AND superseded_by IS NULL", step.superseded_seqs)
        many("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", step.rows)

    def _shelve(self, derived: Derived, *, seal: bool) -> None:
        """Put snapshots away, a shelf at a time; none waits beyond a checkpoint, for a restart folds again from there."""
        filled = [self._shelving.take(record) for record in derived.records]
        if seal or derived.checkpoint is not None:
            filled.append(self._shelving.close())
        rows = [shelf_row(shelf) for shelf in filled if shelf is not None]
        if rows:
            self._connection.executemany("INSERT INTO shelves VALUES (?, ?, ?, ?)", rows)

    def _insert_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)",
            (
                checkpoint.n,
                checkpoint.seq,
                checkpoint.event_seq,
                checkpoint.at_us,
                checkpoint.fold_version,
                pack(checkpoint.state),
            ),
        )
        aged = self._ask("SELECT n FROM checkpoints ORDER BY n DESC LIMIT 2 OFFSET ?", CHECKPOINTS_NEWEST_KEPT)
        if len(aged) == 2 and aged[0][0] // self._spacing == aged[1][0] // self._spacing:
            self._connection.execute("DELETE FROM checkpoints WHERE n = ?", aged[0])

    def _mark_sealed(self, *, seal: bool) -> None:
        """Write the seal at the end, and take it away with the first transaction after it."""
        if seal or self._sealed:
            self._connection.execute(
                "UPDATE meta SET value = ? WHERE key = 'sealed'", (str(self._last_n) if seal else "",)
            )
            self._sealed = seal

    def _prune_raw(self, before_us: int) -> int:
        with self._one_transaction():
            self._connection.execute("BEGIN IMMEDIATE")
            oldest = self._ask("SELECT n, at_us FROM raw ORDER BY n LIMIT ?", RAW_ROWS_PRUNED_MAX)
            past = next((at for at, (_, at_us) in enumerate(oldest) if at_us >= before_us), len(oldest))
            if past:
                self._connection.execute("DELETE FROM raw WHERE n <= ?", (oldest[past - 1][0],))
        return past

    # ---- the file -----------------------------------------------------------------------------------------------

    def _identify(self) -> list[tuple[int, int]]:
        return [(stat.st_dev, stat.st_ino) for stat in map(os.stat, self._files)]

    def _check_still_there(self) -> None:
        """Notice that the files were taken away or exchanged, for SQLite would go on writing into nothing."""
        try:
            there = self._identify()
        except FileNotFoundError:
            there = []
        if there != self._identities:
            raise JournalError(f"{self.path} was taken away while in use: put it back, then start the daemon again")

    def _ask(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as exc:
            raise explain(str(self.path), exc) from exc


def _rows_of(events: Sequence[tuple[Event, Raw | None]], last_n: int) -> tuple[list[EventRow], list[RawRow]]:
    """Write events as rows; a `Raw` that several events share is stored once, under the first one's number."""
    event_rows: list[EventRow] = []
    raw_rows: list[RawRow] = []
    shared: Raw | None = None
    shared_n = 0
    for n, (event, raw) in enumerate(events, last_n + 1):
        assert event.n == n, f"event {event.n} follows {n - 1}"
        if raw is not None and raw is not shared:
            shared, shared_n = raw, n
            raw_rows.append(raw_row(n, raw))
        event_rows.append(event_row(event, None if raw is None else shared_n))
    return event_rows, raw_rows


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0
