"""The journal's tables, as steps from one schema version to the next.

What enters and leaves: SQL text. What holds: a step, once released, is never changed; a journal of version `v` becomes
the present one by the steps from `v` on. Everything is append-only except `records.superseded_by`, the thinning of
`checkpoints`, and `raw`, which is kept for a stated time.

| table | holds |
|---|---|
| `meta` | the account's name; its `environment`; `sealed` is the last event's number after a clean end, else empty |
| `raw` | what was received, packed, under the number of the first event made of it |
| `events` | the one order. `quiet_us` is `at_us - heard_us`, `raw_back` how many numbers before this one its raw row stands (small integers cost a byte, absolute ones eight) |
| `commits` | what folding the events up to `through_n` (from the row before) led to: last `seq`, digest, sums |
| `records` | what was handed on, except snapshots |
| `checkpoints` | the fold's state after event `n` |
| `archive` | what the fold has put out of its memory, per key and event |
| `shelves` | of the records `first_seq` to `last_seq` every snapshot, packed together; what no row has is folded again |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ditad.errors import JournalDamagedError, JournalTooNewError

APPLICATION_ID: Final = 0x64697461
"""What SQLite keeps in the file's head to tell whose it is: ``"dita"``."""

_VERSION_1: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE raw (n INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, source TEXT NOT NULL, data BLOB NOT NULL) STRICT",
    """CREATE TABLE events (
        n INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, quiet_us INTEGER, kind TEXT NOT NULL, body BLOB NOT NULL,
        raw_back INTEGER
    ) STRICT""",
    """CREATE TABLE commits (
        through_n INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, fold_version INTEGER NOT NULL, digest BLOB NOT NULL,
        sums BLOB
    ) STRICT""",
    """CREATE TABLE records (
        seq INTEGER PRIMARY KEY, n INTEGER NOT NULL, type TEXT NOT NULL, at_us INTEGER NOT NULL, key TEXT,
        superseded_by INTEGER, line BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX records_of_type ON records (type, seq)",
    "CREATE UNIQUE INDEX records_current ON records (type, key) WHERE superseded_by IS NULL AND key IS NOT NULL",
    """CREATE TABLE checkpoints (
        n INTEGER PRIMARY KEY, seq INTEGER NOT NULL, event_seq INTEGER NOT NULL, at_us INTEGER NOT NULL,
        fold_version INTEGER NOT NULL, state BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX checkpoints_seq ON checkpoints (seq)",
    "CREATE INDEX checkpoints_event_seq ON checkpoints (event_seq)",
    "CREATE INDEX checkpoints_at ON checkpoints (at_us)",
    "CREATE TABLE archive (key TEXT, n INTEGER, body BLOB NOT NULL, PRIMARY KEY (key, n)) STRICT, WITHOUT ROWID",
)

_VERSION_2: Final = (
    """CREATE TABLE shelves (
        last_seq INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, first_at_us INTEGER NOT NULL, lines BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX shelves_at ON shelves (first_at_us)",
    "CREATE INDEX records_superseded ON records (superseded_by, type) WHERE superseded_by IS NOT NULL",
)

STEPS: Final[tuple[tuple[str, ...], ...]] = (_VERSION_1, _VERSION_2)
"""The statements that take a journal of version `i` to `i + 1`; version 0 is an empty file."""

SCHEMA_VERSION: Final = len(STEPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a database says in its head, and how many tables and indexes it has."""

    application_id: int
    version: int
    tables: int


def pending(path: str, head: Head, steps: tuple[tuple[str, ...], ...] = STEPS) -> tuple[str, ...]:
    """Say which statements are still to be run on a file with this head, in order.

    Raises `JournalDamagedError` for a database that is not ours and `JournalTooNewError` for a later version than
    `steps` lead to.
    """
    ours = head.application_id == APPLICATION_ID
    empty = head == Head(application_id=0, version=0, tables=0)
    if not ours and not empty:
        raise JournalDamagedError(f"{path} is a database, but not a journal of ditad: move it out of the state folder")
    if head.version > len(steps):
        raise JournalTooNewError(
            f"{path} has schema version {head.version} and this ditad knows up to {len(steps)}: use the newer ditad"
        )
    return tuple(statement for step in steps[head.version :] for statement in step)
