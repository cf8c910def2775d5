"""What of a `Derived` is new, and which rows it becomes.

What enters: a `Derived`, and how far what folding led to is stored already. What leaves: rows and supersessions, in
the order in which they may be applied. What holds: after a restart the daemon folds again from a checkpoint and hands
on again what is stored already; that part is only compared, so storing is idempotent; the rest continues the
numbering without a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ditad.journal.packing import pack
from ditad.journal.rows import Derived, RecordRow, digest_of
from ditad.records import Record, RecordType


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """What a commit adds to the tables for the events up to `through_n`.

    `known` are records that should be stored already. Apply `superseded_keys` (by, type, key) and `superseded_seqs`
    (by, seq) before `rows`; neither touches a row that was superseded before.
    """

    through_n: int
    last_seq: int
    digest: bytes
    known: tuple[Record, ...]
    superseded_keys: tuple[tuple[int, str, str], ...]
    superseded_seqs: tuple[tuple[int, int], ...]
    rows: tuple[RecordRow, ...]


def advance(derived: Derived, *, through_n: int, derived_n: int, last_seq: int) -> Advance:
    """Work out what is new since `derived_n` and `last_seq`; `through_n` is the last event folded for it.

    The numbering is the caller's duty and asserted here.
    """
    known = tuple(record for record in derived.records if record.n <= derived_n)
    new = derived.records[len(known) :]
    seq = last_seq
    for record in new:
        assert derived_n < record.n <= through_n, f"record {record.seq} is of event {record.n}, {through_n} are folded"
        assert record.seq == seq + 1, f"record {record.seq} follows {seq}"
        seq = record.seq
    if derived.checkpoint is not None:
        assert derived.checkpoint.n <= through_n, "a checkpoint is of events that are folded"
        assert derived.checkpoint.seq <= seq, "a checkpoint is of records that are handed on"
    for archived in derived.archive:
        assert archived.n <= through_n, "what is archived is of events that are folded"
    keys, seqs, rows = _rows([record for record in new if record.type is not RecordType.SNAPSHOT])
    return Advance(
        through_n=max(through_n, derived_n),
        last_seq=seq,
        digest=digest_of(new),
        known=tuple(record for record in known if record.type is not RecordType.SNAPSHOT),
        superseded_keys=keys,
        superseded_seqs=seqs,
        rows=rows,
    )


def _rows(
    records: Sequence[Record],
) -> tuple[tuple[tuple[int, str, str], ...], tuple[tuple[int, int], ...], tuple[RecordRow, ...]]:
    """Settle among these records who supersedes whom; the first successor stays the one named."""
    by_seq = {record.seq for record in records}
    latest: dict[tuple[str, str], int] = {}
    successor: dict[int, int] = {}
    keys: list[tuple[int, str, str]] = []
    seqs: list[tuple[int, int]] = []
    for record in records:
        for replaced in record.replaces:
            assert replaced < record.seq, f"record {record.seq} cannot replace {replaced}"
            if replaced in by_seq:
                successor.setdefault(replaced, record.seq)
            else:
                seqs.append((record.seq, replaced))
        if record.key is None:
            continue
        about = (record.type.value, record.key)
        if about in latest:
            successor.setdefault(latest[about], record.seq)
        else:
            keys.append((record.seq, *about))
        latest[about] = record.seq
    rows = tuple(
        (
            record.seq,
            record.n,
            record.type.value,
            record.at_us,
            record.key,
            successor.get(record.seq),
            pack(record.line),
        )
        for record in records
    )
    return tuple(keys), tuple(seqs), rows
