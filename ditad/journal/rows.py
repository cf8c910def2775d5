"""What a journal takes and gives, besides events: the words between the journal and those who use it.

What enters and leaves: frozen records, and the rows of the tables as tuples. What holds: an event read back equals
the one written; a digest is over the snapshot lines in their order, a newline behind each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from xxhash import xxh3_128

from ditad import codec
from ditad.errors import JournalTooNewError
from ditad.events import KIND_OF, KINDS, Event, Raw
from ditad.journal.failures import damaged
from ditad.journal.packing import pack, unpack
from ditad.records import Record, RecordType

EventRow = tuple[int, int, int | None, str, bytes, int | None]
RawRow = tuple[int, int, str, bytes]
RecordRow = tuple[int, int, str, int, str | None, int | None, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The fold's state after event `n`, whose last record was `seq` and whose last snapshot was `event_seq`."""

    n: int
    seq: int
    event_seq: int
    at_us: int
    fold_version: int
    state: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """Something the fold put out of its memory at event `n`; a later one of the same key takes its place from there."""

    key: str
    n: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What folding events led to, which the next commit makes durable.

    `records` are all of them, snapshots included, in the order of their `seq`. `through_n` is the last event that was
    folded for it; `None` says all that had been committed. `sums` is what a later fold version can be compared with
    (any bytes; stored when they change). A checkpoint and what is archived belong to events up to `through_n`.
    """

    records: tuple[Record, ...]
    fold_version: int
    checkpoint: Checkpoint | None
    archive: tuple[Archived, ...]
    sums: bytes | None = None
    through_n: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What folding the events `first_n` to `last_n` led to: the records `first_seq` to `last_seq` (none if smaller)."""

    first_n: int
    last_n: int
    first_seq: int
    last_seq: int
    fold_version: int
    digest: bytes
    sums: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record as it was written; `superseded_by` is the `seq` that took its place in lists."""

    seq: int
    n: int
    type: RecordType
    at_us: int
    key: str | None
    superseded_by: int | None
    line: bytes


def nothing_derived(fold_version: int) -> Derived:
    """Give what a first commit has to hand on."""
    return Derived(records=(), fold_version=fold_version, checkpoint=None, archive=())


def digest_of(records: Iterable[Record]) -> bytes:
    """Digest the snapshot lines among these records."""
    return digest_of_lines(record.line for record in records if record.type is RecordType.SNAPSHOT)


def digest_of_lines(lines: Iterable[bytes]) -> bytes:
    """Digest snapshot lines: XXH3 of 16 bytes over the lines, a newline behind each.

    It tells whether folding comes to the same, and is no seal. Versions of the fold before 7 took BLAKE2b: digests are
    compared within one version alone.
    """
    digest = xxh3_128()
    for line in lines:
        digest.update(line)
        digest.update(b"\n")
    return digest.digest()


def event_row(event: Event, raw_n: int | None) -> EventRow:
    """Write an event as its row; `raw_n` is the number under which its raw form is kept."""
    return (
        event.n,
        event.at_us,
        None if event.heard_us is None else event.at_us - event.heard_us,
        KIND_OF[type(event.body)],
        pack(codec.encode(event.body)),
        None if raw_n is None else event.n - raw_n,
    )


def event_of(row: tuple[Any, ...]) -> Event:
    """Read an event back; raises `JournalDamagedError` or `JournalTooNewError` naming its number."""
    n, at_us, quiet_us, kind, body, _ = row
    if not isinstance(at_us, int) or not isinstance(quiet_us, int | None):
        raise damaged("the journal", f"event {n} has no time")
    known = KINDS.get(kind)
    if known is None:
        raise JournalTooNewError(
            f"event {n} is of the kind {kind!r}, which this ditad does not know: use the newer one"
        )
    plain = unpack(body)
    try:
        read = codec.decode(known, plain)
    except (ValueError, ArithmeticError, TypeError) as exc:
        raise damaged("the journal", f"event {n} cannot be read back ({exc})") from exc
    return Event(n=n, at_us=at_us, heard_us=None if quiet_us is None else at_us - quiet_us, body=read)


def raw_row(n: int, raw: Raw) -> RawRow:
    """Write what was received as its row, under the number of the first event made of it."""
    return (n, raw.at_us, raw.source, pack(raw.data))


def raw_of(row: RawRow) -> Raw:
    """Read back what was received."""
    _, at_us, source, data = row
    return Raw(source=source, at_us=at_us, data=unpack(data))


def record_of(row: RecordRow) -> StoredRecord:
    """Read a stored record back."""
    seq, n, kind, at_us, key, superseded_by, line = row
    if kind not in set(RecordType):
        raise damaged("the journal", f"record {seq} is of no kind that there is")
    return StoredRecord(
        seq=seq,
        n=n,
        type=RecordType(kind),
        at_us=at_us,
        key=key,
        superseded_by=superseded_by,
        line=unpack(line),
    )
