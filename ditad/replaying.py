"""A journal folded again from its beginning, and compared with what it says folding led to. (interfaces.md §5)

What enters: a journal that is there, with its daemon running or not. What leaves: how much was compared, and a sentence
for everything that is not as stored. What holds: nothing is written; digests are compared where this version of the
fold wrote them, sums where another did; one commit, one shelf and two states are in memory, however long the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Final

from ditad.events import Event
from ditad.journal import Checkpoint, Commit, Reader, digest_of
from ditad.journal.shelves import Shelf
from ditad.pipeline import sums_of
from ditad.projection import Projection
from ditad.records import Record, RecordType
from ditad.state import FOLD_VERSION

PROBLEMS_MAX: Final = 20
"""After so many the rest of the journal is not looked at: the first ones say what to do."""

PROGRESS_EVENTS: Final = 1_000
ROWS_MAX: Final = 1_000

Progress = Callable[[int, int], None]


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What was compared, and what is not as it should be."""

    account: str
    events: int = 0
    snapshots: int = 0
    commits: int = 0
    commits_of_others: int = 0
    records: int = 0
    checkpoints: int = 0
    shelved: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Say whether enough was found to stop."""
        return len(self.problems) >= PROBLEMS_MAX


def replayed(reader: Reader, account: str, *, progress: Progress) -> Replayed:
    """Fold the journal again and compare every snapshot that it led to with the stored digests.

    Raises `JournalDamagedError` naming the event where the journal cannot be read on.
    """
    return Replay(reader, account, thorough=False, progress=progress).run()


def verified(reader: Reader, account: str, *, progress: Progress) -> Replayed:
    """Check the file, then do as `replayed`, and compare stored records, snapshots and checkpoints too."""
    progress(0, reader.last_n)
    damage = reader.integrity()
    if damage:  # what cannot be trusted is not worth folding
        return Replayed(account=account, problems=[f"the file: {what}" for what in damage[:PROBLEMS_MAX]])
    return Replay(reader, account, thorough=True, progress=progress).run()


class Replay:
    """One pass over a journal, from its beginning as far as it reached then, or over a section of it."""

    def __init__(
        self,
        reader: Reader,
        account: str,
        *,
        thorough: bool,
        progress: Progress = lambda _done, _all: None,
        start: Checkpoint | None = None,
        last_n: int | None = None,
    ) -> None:
        """`start` is where a section begins, `last_n` the event that it ends with; a commit ends at both."""
        self._reader = reader
        self._progress = progress
        state, self._seams = start.state if start else None, reader.seams(FOLD_VERSION)
        self._projection = Projection.restored(account, state, seams=self._seams)
        self._first_n, first_seq = (1, 0) if start is None else (start.n + 1, start.seq)
        self._last_n = reader.last_n if last_n is None else last_n
        self._shelved_seq = reader.shelved_seq() if thorough else 0
        self._checkpoints: Iterator[Checkpoint] = reader.checkpoints(self._first_n - 1) if thorough else iter(())
        self._checkpoint = next(self._checkpoints, None)
        self._shelf = self._shelf_behind(first_seq)
        self._lines: list[tuple[int, bytes]] = []
        self._thorough = thorough
        self._sums: bytes | None = None
        self._found = Replayed(account=account)

    def run(self) -> Replayed:
        """Fold to the end, or until enough was found."""
        found = self._found
        events = self._reader.events(self._first_n, self._last_n)
        for commit in self._reader.commits(self._first_n - 1):
            if commit.last_n > self._last_n or found.over:
                break
            some = islice(events, commit.last_n - commit.first_n + 1)
            self._compare(commit, [record for event in some for record in self._fold(event)])
        if not found.over:
            for event in events:  # what these led to comes with the next commit
                self._fold(event)
        return found

    def state(self) -> bytes:
        """Write the state that it stands at, as a checkpoint does."""
        return self._projection.checkpoint()

    def _fold(self, event: Event) -> tuple[Record, ...]:
        found = self._found
        records = self._projection.fold(event).records
        found.events += 1
        if found.events % PROGRESS_EVENTS == 0:
            self._progress(found.events, self._last_n)
        snapshots = [record for record in records if record.type is RecordType.SNAPSHOT]
        found.snapshots += len(snapshots)
        if self._shelf is not None:
            self._lines += [(record.seq, record.line) for record in snapshots]
        if event.n + 1 in self._seams:  # what comes behind is told by the numbers that are stored
            self._projection.cross(event.n + 1)
            self._lines, self._shelf = [], self._shelf_behind(self._projection.state.seq)
        if self._checkpoint is not None and self._checkpoint.n <= event.n:
            self._compare_checkpoint(self._checkpoint)
            self._checkpoint = next(self._checkpoints, None)
        return records

    def _compare(self, commit: Commit, records: list[Record]) -> None:
        found = self._found
        where = f"commit of the events {commit.first_n} to {commit.last_n}"
        own = commit.fold_version == FOLD_VERSION
        self._sums = self._sums if commit.sums is None else commit.sums
        if own:
            found.commits += 1
            if digest_of(records) != commit.digest:
                found.problems.append(f"{where}: the snapshots that folding leads to are not those of its digest")
            if self._projection.state.seq != commit.last_seq:
                seq = self._projection.state.seq
                found.problems.append(f"{where}: folding leads to record {seq}, it says {commit.last_seq}")
            if self._thorough:
                self._compare_records(commit, records, where)
        else:
            found.commits_of_others += 1
            if self._sums is not None and self._sums != sums_of(self._projection.state):
                found.problems.append(f"{where}: its sums, written by fold version {commit.fold_version}, are others")
        self._compare_shelves(own=own)

    def _compare_records(self, commit: Commit, records: list[Record], where: str) -> None:
        due = [record for record in records if record.type is not RecordType.SNAPSHOT]
        self._found.records += len(due)
        after_seq = commit.first_seq - 1
        for start in range(0, len(due), ROWS_MAX):
            made = [(one.seq, one.n, one.type, one.key, one.line) for one in due[start : start + ROWS_MAX]]
            rows = self._reader.records_after(after_seq, limit=len(made))
            stored = [(row.seq, row.n, row.type, row.key, row.line) for row in rows]
            after_seq = made[-1][0]
            wrong = next((one[0] for one, there in zip_longest(made, stored) if one != there), None)
            if wrong is not None:
                self._found.problems.append(f"{where}: record {wrong} is not stored as folding makes it")
                return
        there = sum(self._reader.counts(after_seq=commit.first_seq - 1, through_seq=commit.last_seq).values())
        if there != len(due):
            self._found.problems.append(f"{where}: {there} records are stored, folding makes {len(due)}")

    def _compare_shelves(self, *, own: bool) -> None:
        """Compare the snapshots put away of which all are folded; what another version published stays as it is."""
        reached = self._projection.state.seq
        while self._shelf is not None and self._shelf.last_seq <= reached:
            shelf = self._shelf
            made = [line for seq, line in self._lines if shelf.first_seq <= seq <= shelf.last_seq]
            if own:
                self._found.shelved += len(shelf.lines)
                if made != list(shelf.lines):
                    where = f"the snapshots put away of the records {shelf.first_seq} to {shelf.last_seq}"
                    self._found.problems.append(f"{where} are not those that folding leads to")
            self._shelf = self._shelf_behind(shelf.last_seq)
        first_seq = reached + 1 if self._shelf is None else self._shelf.first_seq
        self._lines = [(seq, line) for seq, line in self._lines if seq >= first_seq]

    def _shelf_behind(self, seq: int) -> Shelf | None:
        return self._reader.shelf_from(seq + 1) if seq < self._shelved_seq else None

    def _compare_checkpoint(self, checkpoint: Checkpoint) -> None:
        if checkpoint.fold_version != FOLD_VERSION:
            return
        self._found.checkpoints += 1
        state = self._projection.state
        where = f"the checkpoint at event {checkpoint.n}"
        if checkpoint.n != state.n:
            self._found.problems.append(f"{where} is of no event that there is")
        elif self._projection.checkpoint() != checkpoint.state:
            self._found.problems.append(f"{where} does not hold what folding leads to")
        elif (checkpoint.seq, checkpoint.event_seq, checkpoint.at_us) != (state.seq, state.event_seq, state.at_us):
            self._found.problems.append(f"{where} stands at another record, snapshot or time than it says")
