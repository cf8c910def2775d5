"""A journal read from its beginning to its end, for reports and exports: facts as they stand now, snapshots as published.

What enters: a journal, with its daemon running or not. What leaves: facts in their current form, once each; snapshots
in their order; the baselines. What holds: all of it reaches to the same event, whatever is written meanwhile; what is
not stored yet, and snapshots that were not put away, are folded again, a checkpoint's span at most once; a page of rows
and one state are in memory, however long the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ditad.bookkeeping import Began
from ditad.errors import JournalError, UsageError
from ditad.events import BaselineTaken, Event, SettingsInForce
from ditad.journal import Checkpoint, Reader
from ditad.projection import Projection
from ditad.records import Record, RecordType, rfc3339
from ditad.state import FOLD_VERSION

PAGE_ROWS: Final = 1_000
PROGRESS_LINES: Final = 500
"""Snapshots after which the way is told."""

RARE: Final = ("baseline", "settings")
"""The kinds of events that say when a ledger began and under which settings; there are a handful of them."""

RARE_EVENTS: Final = 50_000
"""Events that are looked through for these before the way is told again."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A record of a fact, a divergence, a gap or a trade: its number and its body."""

    seq: int
    type: RecordType
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chronicle:
    """One account's journal as far as it reached when it was opened, through event `last_n` and record `last_seq`.

    Records up to `stored_seq` are read as they were current then; those in `gone`, and those with one of the `keys`, were
    replaced by `fresh` ones, which are not stored yet. `settings` are the last ones in force. `last_us` is the end on the
    machine's clock or on the exchange's, by which facts are stamped, whichever is ahead.
    """

    reader: Reader
    account: str
    last_n: int
    last_seq: int
    stored_seq: int
    first_us: int
    last_us: int
    fresh: tuple[Told, ...]
    gone: frozenset[int]
    keys: frozenset[tuple[RecordType, str]]
    began: tuple[Began, ...]
    settings: SettingsInForce

    def span(self, since_us: int | None, until_us: int | None) -> tuple[int, int]:
        """Bring a period into what the journal holds: from where the first ledger begins to behind the last event.

        `None` is that end. Raises `UsageError` where none of the period is in it.
        """
        begun_us = self.began[0].baseline.taken_ms * 1_000
        since = begun_us if since_us is None else max(since_us, begun_us)
        until = self.last_us + 1 if until_us is None else min(until_us, self.last_us + 1)
        if since >= until:
            ends = f"{rfc3339(begun_us)} to {rfc3339(self.last_us)}"
            raise UsageError(
                f"--since, --until: the ledger of {self.account} goes from {ends}, and none of it is in this period"
            )
        return since, until

    def told(self, *kinds: RecordType) -> Iterator[Told]:
        """Give the current records of some types, by their number."""
        cursor = 0
        while True:
            rows = self.reader.facts(
                kinds, after_seq=cursor, through_seq=self.stored_seq, at_seq=self.stored_seq, limit=PAGE_ROWS
            )
            for row in rows:
                if row.seq not in self.gone and (row.type, row.key) not in self.keys:
                    yield _told(row.seq, row.type, row.line)
            if len(rows) < PAGE_ROWS:
                break
            cursor = rows[-1].seq
        yield from (one for one in self.fresh if one.type in kinds)

    def snapshots(self, since_us: int, until_us: int, progress: Progress) -> Iterator[Mapping[str, Any]]:
        """Give the records of the snapshots from the last one before `since_us` on, up to `until_us`, oldest first."""
        found = self.reader.shelf_at(since_us - 1)
        due = first = found[0].first_seq if found is not None else 1
        until, count = rfc3339(until_us), 0
        while due <= self.last_seq:
            shelf = self.reader.shelf_from(due)
            if shelf is not None and shelf.first_seq <= due:
                lines = iter(shelf.lines)
                due = shelf.last_seq + 1
            else:
                checkpoint, due_then = self._hole(due)
                lines = self._folded(checkpoint, due, due_then)
                due = due_then
            for line in lines:
                record = orjson.loads(line)
                if record["ts"] >= until or record["seq"] > self.last_seq:
                    return
                if count % PROGRESS_LINES == 0:
                    progress(record["seq"] - first, self.last_seq - first + 1)
                count += 1
                yield record

    def snapshots_around(self, at_us: int, most: int) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """Give the last snapshots before a moment and the first ones at or behind it, the nearest first, `most` of each."""
        before: list[Mapping[str, Any]] = []
        behind: list[Mapping[str, Any]] = []
        moment = rfc3339(at_us)
        for record in self.snapshots(at_us, self.last_us + 1, _unseen):
            if record["ts"] < moment:
                before.append(record)
                del before[:-most]
            else:
                behind.append(record)
                if len(behind) == most:
                    break
        return before[::-1], behind

    def _hole(self, due: int) -> tuple[Checkpoint | None, int]:
        """Say where folding begins for what was not put away from a record on, and before which record it may end."""
        checkpoint = self.reader.checkpoint_at_or_before(seq=due - 1, fold_version=FOLD_VERSION)
        behind = (
            one
            for one in self.reader.checkpoints(0 if checkpoint is None else checkpoint.n)
            if _is_own(one) and one.seq >= due
        )
        following = next(behind, None)
        return checkpoint, self.last_seq + 1 if following is None else following.seq + 1

    def _folded(self, checkpoint: Checkpoint | None, due: int, end: int) -> Iterator[bytes]:
        projection = _restored(self.reader, self.account, checkpoint)
        for event in self.reader.events(projection.state.n + 1, self.last_n):
            for record in projection.fold(event).records:
                if record.type is RecordType.SNAPSHOT and due <= record.seq < end:
                    yield record.line
            if projection.state.seq >= end - 1:
                return


def chronicle_of(reader: Reader, account: str, progress: Progress) -> Chronicle:
    """Open a journal up to where it reaches now; raises `JournalError` where there is no ledger yet."""
    derived_n, stored_seq = reader.derived_through()  # before the end: what a commit stores from now on is folded here
    last_n = reader.last_n
    baselines, settings = [], None
    for event in _rare(reader, last_n, progress):
        if isinstance(event.body, BaselineTaken):
            baselines.append((event.n, event.body))
        elif isinstance(event.body, SettingsInForce):
            settings = event.body
    if not baselines or settings is None:
        raise JournalError(f"{reader.path} has no baseline yet: start the daemon and wait until `ditad status` says OK")
    projection = _restored(reader, account, reader.checkpoint_at_or_before(n=derived_n, fold_version=FOLD_VERSION))
    unstored: list[Record] = []
    before: dict[int, int] = {}
    for event in reader.events(projection.state.n + 1, last_n):
        if isinstance(event.body, BaselineTaken):
            before[event.n] = projection.state.seq  # of what is not stored yet no table says what lies before it
        records = projection.fold(event).records
        if event.n > derived_n:
            unstored += [record for record in records if record.type is not RecordType.SNAPSHOT]
    replaced = {seq for record in unstored for seq in record.replaces}
    keys = {(record.type, record.key): record.seq for record in unstored if record.key is not None}
    fresh = [
        record
        for record in unstored
        if record.seq not in replaced and (record.key is None or keys[record.type, record.key] == record.seq)
    ]
    return Chronicle(
        reader=reader,
        account=account,
        last_n=last_n,
        last_seq=projection.state.seq,
        stored_seq=stored_seq,
        first_us=next(reader.events(1, 1)).at_us,
        last_us=projection.state.at_us + max(0, projection.state.offset_ms or 0) * 1_000,
        fresh=tuple(_told(record.seq, record.type, record.line) for record in fresh),
        gone=frozenset(replaced),
        keys=frozenset(keys),
        began=tuple(_began(reader, n, body, before) for n, body in baselines),
        settings=settings,
    )


def _began(reader: Reader, n: int, baseline: BaselineTaken, before: Mapping[int, int]) -> Began:
    if baseline.adopted_by is None:
        return Began(after_seq=0, baseline=baseline)
    return Began(after_seq=before[n] if n in before else reader.seq_before(n), baseline=baseline)


def _rare(reader: Reader, last_n: int, progress: Progress) -> Iterator[Event]:
    for start in range(1, last_n + 1, RARE_EVENTS):
        progress(start, last_n)
        yield from reader.events_of(RARE, start, min(last_n, start + RARE_EVENTS - 1))


def _restored(reader: Reader, account: str, checkpoint: Checkpoint | None) -> Projection:
    state = checkpoint.state if checkpoint else None
    return Projection.restored(account, state, seams=reader.seams(FOLD_VERSION))


def _is_own(checkpoint: Checkpoint) -> bool:
    return checkpoint.fold_version == FOLD_VERSION


def _told(seq: int, kind: RecordType, line: bytes) -> Told:
    return Told(seq=seq, type=kind, body=orjson.loads(line)[kind.value])


def _unseen(_done: int, _all: int) -> None:
    """Tell nobody."""
