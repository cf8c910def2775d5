"""Published snapshots put away some at a time, so that the account as it was is looked up instead of folded.

What enters: records in the order of their `seq`. What leaves: shelves, each of the snapshots among a run of records,
packed together: one alone takes ten times as much. What holds: of the records `first_seq` to `last_seq` a shelf has
every snapshot, as it was published; what no shelf has is folded again, so that a missing one costs time and no truth.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Final

from ditad.journal.failures import damaged
from ditad.records import Record, RecordType

SHELF_SNAPSHOTS: Final = 64
SHELF_BYTES: Final = 256 * 1024
"""A shelf is full at either bound."""

LINE_BYTES_MAX: Final = 24 * 1024
"""A longer snapshot, of some sixty open positions, is not put away: zlib looks back 32 KiB and would find no other."""

LEVEL: Final = 6
"""Some ten µs a snapshot more than level 3, outside the interpreter's lock, and a third less on disk, for ever."""
SEPARATOR: Final = b"\n"

ShelfRow = tuple[int, int, int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The snapshots among the records `first_seq` to `last_seq`, as they were published, the first one at `first_at_us`."""

    first_seq: int
    last_seq: int
    first_at_us: int
    lines: tuple[bytes, ...]


@dataclass(slots=True)
class Shelving:
    """What waits until a shelf is full; `through_seq` is the last record whose snapshots are put away or wait."""

    through_seq: int
    _from_seq: int = 0
    _first_at_us: int = 0
    _bytes: int = 0
    _lines: list[bytes] = field(default_factory=list)

    def take(self, record: Record) -> Shelf | None:
        """Take the next record; gives a shelf when it is full, or when it cannot go on to this record.

        One that was taken before is not taken again.
        """
        if record.seq <= self.through_seq:
            return None
        whole = record.seq == self.through_seq + 1
        too_long = record.type is RecordType.SNAPSHOT and len(record.line) > LINE_BYTES_MAX
        shelf = None if whole and not too_long else self.close()
        if not whole or too_long:
            self._from_seq = record.seq + too_long
        self.through_seq = record.seq
        if record.type is not RecordType.SNAPSHOT or too_long:
            return shelf
        if not self._lines:
            self._first_at_us = record.at_us
        self._lines.append(record.line)
        self._bytes += len(record.line)
        full = len(self._lines) >= SHELF_SNAPSHOTS or self._bytes >= SHELF_BYTES
        return self.close() if full else shelf

    def close(self) -> Shelf | None:
        """Give the shelf as full as it is; `None` where nothing waits."""
        if not self._lines:
            return None
        shelf = Shelf(
            first_seq=self._from_seq,
            last_seq=self.through_seq,
            first_at_us=self._first_at_us,
            lines=tuple(self._lines),
        )
        self._lines, self._bytes, self._from_seq = [], 0, self.through_seq + 1
        return shelf


def shelving_after(last_seq: int) -> Shelving:
    """Begin behind the last shelf that is stored."""
    return Shelving(last_seq, last_seq + 1)


def shelf_row(shelf: Shelf) -> ShelfRow:
    """Write a shelf as its row."""
    return (shelf.last_seq, shelf.first_seq, shelf.first_at_us, zlib.compress(SEPARATOR.join(shelf.lines), LEVEL))


def shelf_of(row: ShelfRow) -> Shelf:
    """Read a shelf back; raises `JournalDamagedError` naming it where its bytes do not hold together."""
    last_seq, first_seq, first_at_us, lines = row
    try:
        plain = zlib.decompress(lines)
    except (zlib.error, TypeError) as exc:
        raise damaged("the journal", f"the snapshots up to record {last_seq} cannot be read back ({exc})") from exc
    return Shelf(first_seq=first_seq, last_seq=last_seq, first_at_us=first_at_us, lines=tuple(plain.split(SEPARATOR)))
