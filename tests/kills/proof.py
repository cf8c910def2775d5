"""What must hold after a death, and at the end of all: nothing lost, nothing twice, nothing told otherwise.

What enters: a copy of a dead daemon's files, what a reader was told, and the exchange's own books. What leaves:
sentences about what does not hold, or `AssertionError`. What holds: the proof reads files and answers only; of the
exchange it takes the books that no client can ask for.
"""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ditad.demo import SUMS, differences
from ditad.exchange import BooksTruth, Desk, Mark
from ditad.history import folded_again
from ditad.journal import Journal, Reader
from ditad.journal.rows import digest_of
from ditad.projection import Projection
from ditad.records import Record
from tests.kills.reader import StreamReader

ZERO = Decimal(0)
ROWS_MAX = 10_000
Body = Mapping[str, Any]


def copy_of(state: Path, account: str, target: Path) -> Path:
    """Copy a dead daemon's journal as it lies, for looking at it recovers it."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in (f"{account}.journal", f"{account}.journal-wal"):
        if (state / name).exists():
            shutil.copyfile(state / name, target / name)
    return target


class Refold:
    """The account folded from its first event on by one who never dies, death after death.

    Each dead daemon folded only what lay behind its last checkpoint, or in its memory; all of them together must have
    published what this one gives.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self._projection = Projection(account)
        self._events = b""
        self._records: list[bytes] = []
        self._checked_seq = 0
        self.checkpoints: set[int] = set()
        """The events whose checkpoints were found to be the state."""

    def after_a_death(self, folder: Path, reader: StreamReader, told: int, told_n: int) -> None:
        """Open what a dead daemon left, and find in it all `told` records that it had published, with the same bytes.

        No event of an earlier death may be gone or changed, and a checkpoint must be the state at its event.
        """
        if not (folder / f"{self._account}.journal").exists():
            assert told == 0, "the journal is gone"
            return
        journal = Journal.open(folder, self._account)
        try:
            assert journal.last_n >= told_n, f"event {told_n} was published, the journal ends with {journal.last_n}"
        finally:
            journal.abandon()
        with Reader.open(folder, self._account) as stored:
            for row in stored.records_after(self._checked_seq, limit=ROWS_MAX):
                if row.seq <= told:
                    reader.same(row.seq, row.line)
            self._go_on(folder, stored)
        assert len(self._records) >= told, (
            f"{told} were published, folding the journal again gives {len(self._records)}"
        )
        for seq in range(self._checked_seq + 1, told + 1):
            reader.same(seq, self._records[seq - 1])
        self._records[self._checked_seq : told] = [b""] * (told - self._checked_seq)
        self._checked_seq = told

    def _go_on(self, folder: Path, stored: Reader) -> None:
        """Fold the events that are new since the death before, and compare with the checkpoints written since."""
        before = self._projection.state.n
        with closing(sqlite3.connect(folder / f"{self._account}.journal")) as rows:
            assert self._events == _digest_of_events(rows, before), f"of {before} events some are gone or changed"
            written = {n for (n,) in rows.execute("SELECT n FROM checkpoints")} - self.checkpoints
            self._compare(stored, written)  # a start may write the state that it found
            for event in stored.events(before + 1):
                self._records += [record.line for record in self._projection.fold(event).records]
                self._compare(stored, written)
            self._events = _digest_of_events(rows, self._projection.state.n)

    def _compare(self, stored: Reader, written: Collection[int]) -> None:
        """Where a daemon wrote a checkpoint of the event that was folded last, compare it with the state."""
        n = self._projection.state.n
        if n not in written:
            return
        checkpoint = stored.checkpoint_at_or_before(n=n)
        assert checkpoint is not None
        assert checkpoint.n == n
        assert checkpoint.state == self._projection.checkpoint(), f"the checkpoint of {n} is another"
        self.checkpoints.add(n)


def _digest_of_events(journal: sqlite3.Connection, through_n: int) -> bytes:
    """Digest all rows of a journal's events up to a number; nothing where that is 0."""
    if not through_n:
        return b""
    digest = blake2b(digest_size=16)
    for row in journal.execute("SELECT * FROM events WHERE n <= ? ORDER BY n", (through_n,)):
        digest.update(repr(row).encode())
    return digest.digest()


def whole_journal(folder: Path, account: str, reader: StreamReader) -> None:
    """Check every page of a journal, fold it from its first event, and compare with what was published and stored."""
    with Reader.open(folder, account) as stored:
        assert stored.integrity() == []
        records = list(folded_again(stored, account, None))
        for record in records:
            if record.seq <= reader.seq:
                reader.same(record.seq, record.line)
        assert [record.seq for record in records] == [*range(1, len(records) + 1)]
        _digests_agree(records, stored)


def _digests_agree(records: Sequence[Record], stored: Reader) -> None:
    """Check that each commit's digest is that of the snapshots its events led to."""
    seq = 0
    for commit in stored.commits():
        made = records[seq : commit.last_seq]
        assert digest_of(made) == commit.digest, f"the digest of events up to {commit.last_n} differs"
        assert all(commit.first_n <= record.n <= commit.last_n for record in made), "a commit counts other records"
        seq = commit.last_seq


def books_differ(truth: BooksTruth, snapshot: Body) -> list[str]:
    """Compare the exchange's books with K: to the last digit, or within the precision that the snapshot states."""
    found = differences(truth, snapshot)
    precision = {name: Decimal(text) for name, text in snapshot["k"]["precision"].items()}
    if not found or not precision:
        return found
    k = snapshot["k"]
    excused = {
        ours
        for theirs, ours in SUMS.items()
        if abs(truth[theirs] - Decimal(k[ours])) <= precision.get(ours, ZERO)  # type: ignore[literal-required]  # its words
    }
    return [text for text in found if text.split(":", 1)[0] not in excused]


def current(records: Iterable[Body], kind: str) -> list[Body]:
    """Give the bodies of a kind that no later record replaces."""
    bodies = {record["seq"]: record[kind] for record in records if record["type"] == kind}
    gone = {seq for body in bodies.values() for seq in body.get("replaces", ())}
    return [body for seq, body in bodies.items() if seq not in gone]


def fills_differ(fills: Sequence[Body], desk: Desk, since: Mark) -> list[str]:
    """Compare current fills with the exchange's executions, order by order; no piece of an order may stand twice."""
    found: list[str] = []
    ours: dict[str, list[Body]] = defaultdict(list)
    for fill in fills:
        ours[fill["order_id"]].append(fill)
    theirs: dict[str, list[tuple[Decimal, Decimal, Decimal, Decimal]]] = defaultdict(list)
    for done in desk.executions:
        if done.at_ms >= since.at_ms:
            theirs[str(done.order_id)].append((done.qty, done.quote, done.fee, done.realized_pnl))
    for order_id in sorted({*ours, *theirs}):
        pieces = sorted(ours[order_id], key=lambda fill: Decimal(fill["z0"]))
        for before, after in itertools.pairwise(pieces):
            if Decimal(after["z0"]) < Decimal(before["z1"]):
                found.append(f"order {order_id}: ({after['z0']}, {after['z1']}] overlaps up to {before['z1']}")
        told = [
            sum((Decimal(piece[name] or 0) for piece in pieces), ZERO)
            for name in ("qty", "quote", "fee", "realized_pnl")
        ]
        due = [sum(column, ZERO) for column in zip(*theirs[order_id], strict=True)] or [ZERO] * 4
        slack = _slack(pieces)
        if any(abs(a - b) > open_ for a, b, open_ in zip(told, due, slack, strict=True)):
            found.append(f"order {order_id}: qty, quote, fee, profit are {due} at the exchange, K has {told}")
    return found


def _slack(pieces: Sequence[Body]) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Give what rounded sources leave open of an order's quantity, quote, fee and profit."""
    told = Counter[str]()
    sums = {"quote": ZERO, "fee": ZERO}
    for piece in pieces:
        for name, text in piece.get("precision", {}).items():
            sums[name] += Decimal(text)
            told[name] += 1
    return ZERO, sums["quote"], sums["fee"], ZERO


def incomes_differ(incomes: Sequence[Body], desk: Desk, since: Mark) -> list[str]:
    """Compare current income with the exchange's rows; no row may stand twice, none be missing, none be made up."""
    restated = {"REALIZED_PNL", "TRADING_FEE"}
    rows = {
        str(row.tran_id): row.amount
        for row in desk.incomes
        if row.kind not in restated and row.at_ms >= since.at_ms // 1000 * 1000
    }
    found: list[str] = []
    heard = Counter(income["tran_id"] for income in incomes if income["tran_id"] is not None)
    found += [f"row {tran_id} stands {count} times" for tran_id, count in heard.items() if count > 1]
    found += [f"row {tran_id} of {rows[tran_id]} is missing" for tran_id in rows if tran_id not in heard]
    found += [f"row {tran_id} is not one of the exchange's" for tran_id in heard if tran_id not in rows]
    found += [f"an income of {income['amount']} never got its row" for income in incomes if income["tran_id"] is None]
    return found
