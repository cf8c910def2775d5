"""The account as it was: records and snapshots out of the journal, without disturbing who writes it.

What enters: a journal folder and what is asked for. What leaves: the same records, byte for byte, that were published
then. What holds: a snapshot is read where it was put away, any other record where it is stored; folding, for the rest,
starts at the newest checkpoint before what is asked; all of it happens in another thread, and what is held at a time
has a bound. (interfaces.md §5)
"""

from __future__ import annotations

import asyncio
import heapq
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from ditad.difference import difference, lives
from ditad.errors import JournalError
from ditad.hub import Hub
from ditad.journal import Checkpoint, Reader
from ditad.projection import Projection
from ditad.records import EPOCH, Record, RecordType, rfc3339
from ditad.state import FOLD_VERSION

SNAPSHOT_HEAD = re.compile(
    rb'\{"seq":(?P<seq>\d+),"type":"snapshot","ts":"(?P<ts>[^"]+)",'
    rb'"snapshot":\{.{0,200}?"source_event_id":"[a-z_]+:(?P<n>\d+)"'
)
MICROSECOND = timedelta(microseconds=1)

ROWS_PAGE = 1_000
"""Stored records that are read at once at most; hardly a shelf has so many."""

PAGE_RECORDS_MAX = 32
"""Records that travel between the threads at once: few, for whoever reads takes a long wait for one for the end."""


def folded_again(reader: Reader, account: str, checkpoint: Checkpoint | None) -> Iterator[Record]:
    """Fold the journal again from a checkpoint (`None`: from its beginning) and give every record."""
    state, seams = checkpoint.state if checkpoint else None, reader.seams(FOLD_VERSION)
    projection = Projection.restored(account, state, seams=seams)
    for event in reader.events(1 if checkpoint is None else checkpoint.n + 1):
        yield from projection.fold(event).records


def stored_after(reader: Reader, after_seq: int) -> Iterator[Record]:
    """Give the records after `after_seq` as they are stored, up to the first that is not; `replaces` is left out.

    A shelf says of which records it has the snapshots: all the others of them are rows of their own, thousands where one
    report told much.
    """
    seq = after_seq
    while (shelf := reader.shelf_from(seq + 1)) is not None and shelf.first_seq <= seq + 1:
        snapshots = [one for one in map(_snapshot_of, shelf.lines) if one is not None and one.seq > seq]
        for record in heapq.merge(_rows(reader, seq, shelf.last_seq), snapshots, key=lambda one: one.seq):
            if record.seq != seq + 1:
                return
            yield record
            seq = record.seq
        if seq != shelf.last_seq:
            return


def _rows(reader: Reader, after_seq: int, last_seq: int) -> Iterator[Record]:
    """Give the stored records behind one and up to another, a page at a time."""
    seq = after_seq
    while seq < last_seq and (rows := reader.records_after(seq, limit=min(ROWS_PAGE, last_seq - seq))):
        for row in rows:
            if row.seq > last_seq:
                return
            yield Record(seq=row.seq, n=row.n, type=row.type, at_us=row.at_us, key=row.key, replaces=(), line=row.line)
        seq = rows[-1].seq


def _snapshot_of(line: bytes) -> Record | None:
    """Read of a snapshot's line what a record has beside it, without reading all of it; `None` where it begins otherwise."""
    head = SNAPSHOT_HEAD.match(line)
    if head is None:
        return None
    at = datetime.fromisoformat(head["ts"].decode())
    return Record(
        seq=int(head["seq"]),
        n=int(head["n"]),
        type=RecordType.SNAPSHOT,
        at_us=(at - EPOCH) // MICROSECOND,
        key=None,
        replaces=(),
        line=line,
    )


def _after(reader: Reader, account: str, after_seq: int) -> Iterator[Record]:
    """Give what is stored, and fold the rest again."""
    seq = after_seq
    for record in stored_after(reader, after_seq):
        seq = record.seq
        yield record
    checkpoint = reader.checkpoint_at_or_before(seq=seq, fold_version=FOLD_VERSION)
    yield from (record for record in folded_again(reader, account, checkpoint) if record.seq > seq)


async def records_after(folder: Path, account: str, after_seq: int) -> AsyncIterator[Record]:
    """Give the records after `after_seq`, oldest first, as far as the journal reaches now."""
    reader = await asyncio.to_thread(Reader.open, folder, account)
    try:
        records = _after(reader, account, after_seq)
        while page := await asyncio.to_thread(_page, records):
            for record in page:
                yield record
    finally:
        await asyncio.to_thread(reader.close)


def _page(records: Iterator[Record]) -> list[Record]:
    return [record for _, record in zip(range(PAGE_RECORDS_MAX), records, strict=False)]


def snapshot_at(folder: Path, account: str, *, at_us: int | None, event_seq: int | None) -> bytes | None:
    """Give the last snapshot at or before a moment, or the one of a number; `None` where there is none such."""
    line = line_at(folder, account, at_us=at_us, event_seq=event_seq)
    return None if line is None else body_of(line)


def line_at(folder: Path, account: str, *, at_us: int | None, event_seq: int | None) -> bytes | None:
    """Give the record of the last snapshot at or before a moment, or of a number, as it was published.

    It is looked up among those that were put away; the newest ones, and what is not there, are folded again.
    """
    if at_us is None and event_seq is None:
        raise JournalError("a moment or an event_seq is due")
    with Reader.open(folder, account) as reader:
        found = _put_away(reader, at_us=at_us, event_seq=event_seq)
        return found or folded_line(reader, account, at_us=at_us, event_seq=event_seq)


def held_line(hub: Hub, *, at_us: int | None, event_seq: int | None) -> bytes | None:
    """Give what `line_at` gives, if the hub still has it; `None` says nothing of whether there is such a one."""
    if at_us is not None:
        seq = hub.seq_at(at_us)
        while seq is not None and seq >= hub.oldest_seq:
            record = hub.record(seq)
            if record.type is RecordType.SNAPSHOT:
                return record.line
            seq -= 1
        return None
    low, high = hub.oldest_seq, hub.newest_seq
    while low <= high:
        middle = seq = (low + high) // 2
        while seq <= high and hub.record(seq).type is not RecordType.SNAPSHOT:
            seq += 1
        if seq > high:
            high = middle - 1
            continue
        line = hub.record(seq).line
        number = _event_seq(line)
        if number == event_seq:
            return line
        assert event_seq is not None, "a moment or an event_seq is due"
        low, high = (seq + 1, high) if number < event_seq else (low, middle - 1)
    return None


def first_where(
    reader: Reader, holds: Callable[[Mapping[str, Any]], bool], span: tuple[int, int] | None = None
) -> bytes | None:
    """Give the first snapshot that was put away of which something holds that holds of all later ones.

    `holds` is asked about the record of a snapshot; a dozen of them are read, however long the journal, and fewer
    where it is known between which two records (`span`) that one lies.
    """
    low, high = span or (1, reader.shelved_seq())
    found = None
    while low <= high:
        middle = (low + high) // 2
        shelf = reader.shelf_from(middle)
        if shelf is None:
            high = middle - 1
        elif holds(orjson.loads(shelf.lines[-1])):
            found, high = shelf, min(middle, shelf.first_seq) - 1
        else:
            low = shelf.last_seq + 1
    if found is None:
        return None
    return next(line for line in found.lines if holds(orjson.loads(line)))


def body_of(line: bytes) -> bytes:
    """Give the snapshot that a record carries."""
    return orjson.dumps(orjson.loads(line)[RecordType.SNAPSHOT.value])


def _event_seq(line: bytes) -> int:
    return int(orjson.loads(line)[RecordType.SNAPSHOT.value]["event_seq"])


def _put_away(reader: Reader, *, at_us: int | None, event_seq: int | None) -> bytes | None:
    if event_seq is not None:
        for span in (reader.seqs_around(event_seq), None):
            line = first_where(reader, lambda record: record["snapshot"]["event_seq"] >= event_seq, span)
            if line is not None and _event_seq(line) == event_seq:
                return line
        return None
    assert at_us is not None, "a moment or an event_seq is due"
    found = reader.shelf_at(at_us)
    if found is None:
        return None
    shelf, goes_on = found
    moment = rfc3339(at_us)
    earlier = [line for line in shelf.lines if orjson.loads(line)["ts"] <= moment]
    # Behind the last one of a shelf there may be others that no shelf has.
    return earlier[-1] if earlier and (goes_on or len(earlier) < len(shelf.lines)) else None


def folded_line(reader: Reader, account: str, *, at_us: int | None, event_seq: int | None) -> bytes | None:
    """Give what `line_at` gives, from the newest checkpoint before it."""
    if event_seq is not None:
        checkpoint = reader.checkpoint_at_or_before(event_seq=event_seq - 1, fold_version=FOLD_VERSION)
    else:
        checkpoint = reader.checkpoint_at_or_before(at_us=at_us, fold_version=FOLD_VERSION)
    found: bytes | None = None
    for record in folded_again(reader, account, checkpoint):
        if at_us is not None and record.at_us > at_us:
            break
        if record.type is not RecordType.SNAPSHOT:
            continue
        found = record.line
        if event_seq is not None and (number := _event_seq(found)) >= event_seq:
            return found if number == event_seq else None
    if event_seq is not None:
        return None
    if found is None and checkpoint is not None and checkpoint.event_seq:
        return folded_line(reader, account, at_us=None, event_seq=checkpoint.event_seq)
    return found


LIVES_MAX = 1_000
"""Records of divergences, and of gaps, that are read to say what became of them between two snapshots."""


def difference_between(
    folder: Path, account: str, first: bytes, second: bytes, unstored: Sequence[Record]
) -> dict[str, object]:
    """Say what changed from one snapshot's record to another's; `unstored` are records that are not stored yet."""
    before, after = orjson.loads(first), orjson.loads(second)
    if before["seq"] > after["seq"]:
        before, after = after, before
    span = {"after_seq": before["seq"], "through_seq": after["seq"]}
    with Reader.open(folder, account) as reader:
        stored_seq = reader.last_seq
        counts = Counter(reader.counts(**span))
        fresh = [one for one in unstored if max(stored_seq, before["seq"]) < one.seq <= after["seq"]]
        counts.update(record.type.value for record in fresh if record.type is not RecordType.SNAPSHOT)
        became = {}
        for kind, listed in ((RecordType.DIVERGENCE, _divergences_of), (RecordType.GAP, _gaps_of)):
            rows = reader.records_after(before["seq"], limit=LIVES_MAX, kind=kind)
            lines = [row.line for row in rows if row.seq <= after["seq"]]
            lines += [record.line for record in fresh if record.type is kind]
            became[kind.value] = lives(map(orjson.loads, lines), kind.value, listed(before))
    counts["snapshot"] = after["snapshot"]["event_seq"] - before["snapshot"]["event_seq"]
    return {
        "account": account,
        **{name: _named(record) for name, record in (("a", before), ("b", after))},
        **difference(before["snapshot"], after["snapshot"]),
        "divergences": became["divergence"],
        "gaps": became["gap"],
        "records": {kind.value: counts[kind.value] for kind in RecordType},
    }


def _named(record: Mapping[str, Any]) -> dict[str, object]:
    return {"event_seq": record["snapshot"]["event_seq"], "seq": record["seq"], "ts": record["ts"]}


def _divergences_of(record: Mapping[str, Any]) -> list[str]:
    return [str(name) for name in record["snapshot"]["reconcile"]["divergences"]]


def _gaps_of(record: Mapping[str, Any]) -> list[str]:
    return [str(gap["id"]) for gap in record["snapshot"]["coverage"]["gaps"]]
