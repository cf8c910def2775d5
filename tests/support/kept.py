"""Everything that a state folder holds, as one text in which a word can be looked for.

What enters: the folder. What leaves: the bytes of its files as they lie there, and all values of its journals, of which
those that were packed, also those that came packed, are unpacked again.
"""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing, suppress
from pathlib import Path

from ditad.errors import JournalError
from ditad.journal.packing import unpack


def everything_kept(state: Path) -> str:
    """Read it all."""
    found = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
    for journal in state.glob("*.journal"):
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as base:
            for (table,) in base.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
                for row in base.execute(f"SELECT * FROM {table}"):  # noqa: S608 - the file's own names
                    found += [unpacked(value) for value in row if isinstance(value, bytes)]
                    found += [value.encode(errors="replace") for value in row if isinstance(value, str)]
    return b"\n".join(found).decode("latin-1")


def unpacked(data: bytes) -> bytes:
    """Undo the journal's packing, of either kind, and that of the wire, wherever they were applied."""
    for undo in (unpack, zlib.decompress, _from_the_wire):
        with suppress(JournalError, zlib.error, ValueError):
            data = undo(data)
    return data


def _from_the_wire(data: bytes) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data)
