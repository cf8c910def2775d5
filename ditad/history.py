"""The account as it was: records and snapshots folded again from the journal, without disturbing who writes it.

What enters: a journal folder and what is asked for. What leaves: the same records, byte for byte, that were published
then. What holds: folding starts at the newest checkpoint before what is asked and happens in another thread; what is
held at a time has a bound. (interfaces.md §5)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import orjson

from ditad.errors import JournalError
from ditad.journal import Checkpoint, Reader
from ditad.projection import Projection
from ditad.records import Record, RecordType
from ditad.state import FOLD_VERSION

PAGE_RECORDS_MAX = 32
"""Records that travel between the threads at once: few, for whoever reads takes a long wait for one for the end."""


def folded_again(reader: Reader, account: str, checkpoint: Checkpoint | None) -> Iterator[Record]:
    """Fold the journal again from a checkpoint (`None`: from its beginning) and give every record."""
    projection = Projection(account) if checkpoint is None else Projection.restored(account, checkpoint.state)
    for event in reader.events(1 if checkpoint is None else checkpoint.n + 1):
        yield from projection.fold(event).records


async def records_after(folder: Path, account: str, after_seq: int) -> AsyncIterator[Record]:
    """Give the records after `after_seq`, oldest first, as far as the journal reaches now."""
    reader = await asyncio.to_thread(Reader.open, folder, account)
    try:
        checkpoint = await asyncio.to_thread(reader.checkpoint_at_or_before, seq=after_seq, fold_version=FOLD_VERSION)
        records = (record for record in folded_again(reader, account, checkpoint) if record.seq > after_seq)
        while page := await asyncio.to_thread(_page, records):
            for record in page:
                yield record
    finally:
        await asyncio.to_thread(reader.close)


def _page(records: Iterator[Record]) -> list[Record]:
    return [record for _, record in zip(range(PAGE_RECORDS_MAX), records, strict=False)]


def snapshot_at(folder: Path, account: str, *, at_us: int | None, event_seq: int | None) -> bytes | None:
    """Give the last snapshot at or before a moment, or the one of a number; `None` where there is none such."""
    with Reader.open(folder, account) as reader:
        if event_seq is not None:
            checkpoint = reader.checkpoint_at_or_before(event_seq=event_seq - 1, fold_version=FOLD_VERSION)
        elif at_us is not None:
            checkpoint = reader.checkpoint_at_or_before(at_us=at_us, fold_version=FOLD_VERSION)
        else:
            raise JournalError("a moment or an event_seq is due")
        found = checkpoint_snapshot = None
        if checkpoint is not None and at_us is not None and checkpoint.event_seq:
            checkpoint_snapshot = checkpoint.event_seq
        for record in folded_again(reader, account, checkpoint):
            if at_us is not None and record.at_us > at_us:
                break
            if record.type is not RecordType.SNAPSHOT:
                continue
            found = _body(record)
            if event_seq is not None:
                number = orjson.loads(found)["event_seq"]
                if number == event_seq:
                    return found
                if number > event_seq:
                    return None
    if event_seq is not None:
        return None
    if found is None and checkpoint_snapshot is not None:
        return snapshot_at(folder, account, at_us=None, event_seq=checkpoint_snapshot)
    return found


def _body(record: Record) -> bytes:
    return orjson.dumps(orjson.loads(record.line)[RecordType.SNAPSHOT.value])
