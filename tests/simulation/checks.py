"""What must hold of a world that has been run to its end.

What enters: an `Outcome`. What leaves: a sentence for everything that does not hold; none is the good answer.
What holds: nothing here asks the daemon for its opinion of itself; the lines it published, its journal and the
exchange's own facts are laid beside each other.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from ditad.events import BaselineTaken, Event
from ditad.exchange import ExecutionFact, MovementFact
from ditad.journal import Reader
from ditad.projection import Projection
from tests.simulation.world import NAME, Outcome, Standing

FOUND_MAX = 8
"""Sentences per run; the first ones tell the story."""

PAGE = 1_000
ZERO = Decimal(0)
UNIT = Decimal("1e-18")
"""Averages are kept to 18 decimals: the last of them may differ by how it was rounded."""

SUMS = {
    "fees": "fees_paid",
    "funding": "funding_paid",
    "transfers": "transfers",
}
"""The exchange's words for what a forced close does not touch, and K's."""

AMBIGUOUS_MS = 61_000
"""Funding rows stamped this soon after the baseline may be of before it (account.md §3, Baseline)."""

SAME_MS = 1_500
"""Statements this close may change places: a burst has one event time, and a report is dated by its asking."""

PUSH_SPAN_MS = 150_000
"""A funding known from its push only counts as told around its row's time this far."""


def check(outcome: Outcome) -> list[str]:
    """Say everything that does not hold."""
    found = list(outcome.trouble)
    found += [f"a task was left: {name}" for name in outcome.tasks_left]
    found += [f"the loop caught: {failure}" for failure in outcome.loop_failures]
    if outcome.open_sockets or outcome.open_pools:
        found.append(f"{outcome.open_sockets} sockets and {outcome.open_pools} pools were left open")
    with Reader.open(outcome.folder, NAME) as reader:
        if not reader.sealed:
            found.append("the journal is not sealed")
        found += [f"the journal's integrity: {problem}" for problem in reader.integrity()]
        events = list(reader.events())
        stored = _stored(reader)
    lines = _replayed(events)
    found += _replay_differs(outcome, lines, stored)
    baseline = next((event.body for event in events if isinstance(event.body, BaselineTaken)), None)
    if baseline is None:
        return [*found, "there is no baseline"][:FOUND_MAX]
    standing = standing_of(outcome, baseline)
    if standing is None:
        return [*found, f"the account never stood as the baseline says: {baseline}"][:FOUND_MAX]
    truth = Truth.after(outcome, standing, baseline)
    records = [orjson.loads(line) for _, line in lines]
    found += Watcher(truth).watch(records)
    found += _goes_back(outcome, records)
    found += _final(outcome, standing, truth, last_snapshot(reversed(records)))
    return found[:FOUND_MAX]


def _stored(reader: Reader) -> dict[int, bytes]:
    """Read all records that are stored, page by page."""
    stored: dict[int, bytes] = {}
    while page := reader.records_after(max(stored, default=0), limit=PAGE):
        stored |= {row.seq: row.line for row in page}
    return stored


def _replayed(events: list[Event]) -> list[tuple[int, bytes]]:
    """Fold the journal again, from its beginning, with nothing kept from one event to the next, as the service keeps it."""
    projection = Projection(NAME)
    lines = []
    for event in events:
        projection.forget()
        lines += [(record.seq, record.line) for record in projection.fold(event).records]
    return lines


def _replay_differs(outcome: Outcome, lines: list[tuple[int, bytes]], stored: Mapping[int, bytes]) -> Iterator[str]:
    """The replay must give what was published and what is stored, byte by byte, with no number left out."""
    for number, (seq, line) in enumerate(lines, 1):
        published = outcome.lines.get(seq, line)
        if seq != number:
            yield f"record {seq} stands in the place of {number}"
        elif published != line:
            yield f"record {seq} was published as {published!r} and replayed as {line!r}"
        elif stored.get(seq, line) != line:
            yield f"record {seq} is stored as {stored[seq]!r} and replayed as {line!r}"
    beyond = [seq for seq in outcome.lines if seq > len(lines)]
    if beyond:
        yield f"records {beyond[:5]} were published, and the journal does not lead to them"


# ---- the truth since the baseline


def standing_of(outcome: Outcome, baseline: BaselineTaken) -> Standing | None:
    """Find the moment that a baseline describes: wallet and positions alike, nearest in time."""
    held: dict[tuple[str, str], Decimal] = {}
    for row in baseline.positions:
        side = str(row.side) if str(row.side) != "BOTH" else ("LONG" if row.quantity > 0 else "SHORT")
        key = (row.symbol, side)
        held[key] = held.get(key, ZERO) + abs(row.quantity)
    standings = outcome.standings
    best: tuple[int, Standing] | None = None
    for place, standing in enumerate(standings):
        if standing.mark.wallet != baseline.wallet or standing.positions != held:
            continue
        until_ms = standings[place + 1].at_ms if place + 1 < len(standings) else baseline.taken_ms + 10**9
        away_ms = max(standing.at_ms - baseline.taken_ms, baseline.taken_ms - until_ms, 0)
        if best is None or away_ms < best[0]:
            best = (away_ms, standing)
    return best[1] if best is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What really happened since the baseline, in the order of its times; `started` are orders begun before it.

    `second_ms` is the beginning of the baseline's own second: what of it no wallet can tell is no fact of the ledger.
    """

    executions: list[ExecutionFact]
    movements: list[MovementFact]
    started: dict[str, Decimal]
    ambiguous_ms: int
    second_ms: int

    @classmethod
    def after(cls, outcome: Outcome, standing: Standing, baseline: BaselineTaken) -> Truth:
        """Take the facts behind a standing."""
        return cls(
            executions=sorted(outcome.facts.executions[standing.executions :], key=lambda fact: fact.at_ms),
            movements=sorted(outcome.facts.movements[standing.movements :], key=lambda fact: fact.at_ms),
            started={order.order_id: order.executed for order in baseline.orders},
            ambiguous_ms=baseline.taken_ms + AMBIGUOUS_MS,
            second_ms=baseline.taken_ms // 1_000 * 1_000,
        )

    def untold(self) -> list[str]:
        """Name what no question can ever bring: whoever missed its push will never know."""
        found = [f"execution of {fact.order_id}" for fact in self.executions if not fact.in_rows]
        found += [f"{fact.kind} of {fact.amount}" for fact in self.movements if fact.row_at_ms is None]
        near = (fact for fact in self.movements if fact.kind == "FUNDING_FEE" and fact.row_at_ms is not None)
        return found + [
            f"funding near the baseline, {f.amount}" for f in near if (f.row_at_ms or 0) < self.ambiguous_ms
        ]


# ---- what was published, record by record


@dataclass(slots=True)
class Watcher:
    """Follows the published lines: nothing twice, and never surer than it may be."""

    truth: Truth
    fills: dict[int, tuple[str, Decimal, Decimal]] = field(default_factory=dict)
    incomes: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    covered: dict[str, list[tuple[Decimal, Decimal]]] = field(default_factory=dict)
    seen_executions: int = 0
    seen_movements: int = 0

    def watch(self, records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
        """Go through all records and say what does not hold; those of one event end with its snapshot."""
        together: list[Mapping[str, Any]] = []
        for record in records:
            if record["type"] in {"fill", "income"}:
                together.append(record)
            elif record["type"] == "snapshot":
                yield from self._facts(together)
                together = []
                yield from self._snapshot(record["snapshot"])

    def _facts(self, records: list[Mapping[str, Any]]) -> Iterator[str]:
        """Take the facts of one event: first what they replace goes, which several may do in common."""
        gone = {seq for record in records for seq in record[record["type"]].get("replaces", [])}
        for seq in gone:
            if seq in self.fills:
                order_id, z0, z1 = self.fills.pop(seq)
                self.covered[order_id].remove((z0, z1))
            elif self.incomes.pop(seq, None) is None:
                yield f"record {seq} is replaced, and was so before"
        for record in records:
            if record["type"] == "fill":
                yield from self._fill(record["seq"], record["fill"])
            else:
                yield from self._income(record["seq"], record["income"])

    def _fill(self, seq: int, fill: Mapping[str, Any]) -> Iterator[str]:
        order_id, z0, z1 = fill["order_id"], Decimal(fill["z0"]), Decimal(fill["z1"])
        pieces = self.covered.setdefault(order_id, [])
        place = bisect.bisect(pieces, (z0, z1))
        before = pieces[place - 1][1] if place else ZERO
        after = pieces[place][0] if place < len(pieces) else z1
        if before > z0 or after < z1 or z0 >= z1:
            yield f"fill {order_id} ({z0}, {z1}] is told twice: there are {pieces} already (record {seq})"
        pieces.insert(place, (z0, z1))
        self.fills[seq] = (order_id, z0, z1)

    def _income(self, seq: int, income: Mapping[str, Any]) -> Iterator[str]:
        told = income["tran_id"]
        if told is not None and any(there["tran_id"] == told for there in self.incomes.values()):
            yield f"income {told} is told twice (record {seq})"
        self.incomes[seq] = income

    def _snapshot(self, snapshot: Mapping[str, Any]) -> Iterator[str]:
        """Where it says live and OK, nothing from before `covered_through` may be missing."""
        coverage = snapshot["coverage"]
        if coverage["state"] != "live" or snapshot["reconcile"]["status"] != "OK":
            return
        through_ms = _ms(coverage["covered_through"])
        executions = self.truth.executions
        while self.seen_executions < len(executions) and executions[self.seen_executions].at_ms < through_ms:
            fact = executions[self.seen_executions]
            self.seen_executions += 1
            if fact.in_rows and not self._is_covered(fact):
                yield (
                    f"event_seq {snapshot['event_seq']} is live and OK, covered through {coverage['covered_through']}, "
                    f"without the execution {fact.order_id} ({fact.z0}, {fact.z1}] of {fact.at_ms}"
                )
        movements = self.truth.movements
        missing: list[MovementFact] = []
        while self.seen_movements < len(movements) and movements[self.seen_movements].at_ms < through_ms:
            movement = movements[self.seen_movements]
            self.seen_movements += 1
            if movement.row_at_ms is not None and not self._is_told(movement):
                missing.append(movement)
        # Rows of the baseline's own second that cancel each other out: the wallet is the same with them and without.
        if sum((movement.amount for movement in missing if movement.row_at_ms == self.truth.second_ms), ZERO) == ZERO:
            missing = [movement for movement in missing if movement.row_at_ms != self.truth.second_ms]
        for movement in missing:
            yield (
                f"event_seq {snapshot['event_seq']} is live and OK, covered through {coverage['covered_through']}, "
                f"without the {movement.kind} {movement.tran_id} of {movement.amount} at {movement.at_ms}"
            )

    def _is_covered(self, fact: ExecutionFact) -> bool:
        at = max(fact.z0, self.truth.started.get(str(fact.order_id), ZERO))
        for z0, z1 in self.covered.get(str(fact.order_id), []):
            if z0 <= at < z1:
                at = z1
        return at >= fact.z1

    def _is_told(self, movement: MovementFact) -> bool:
        """Its row is there, or a push stands for its group until the group is over."""
        for income in self.incomes.values():
            if income["tran_id"] == str(movement.tran_id):
                return True
            near = abs(_ms(income["at"]) - (movement.row_at_ms or movement.at_ms)) <= PUSH_SPAN_MS
            if income["tran_id"] is None and near and income["kind"] in _kinds_of(movement):
                return True
        return False


def _goes_back(outcome: Outcome, records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What E states must not return to what the exchange has left behind."""
    times: dict[Decimal, list[int]] = {}
    for standing in outcome.standings:
        times.setdefault(standing.mark.wallet, []).append(standing.at_ms)
    latest_ms = 0
    for record in records:
        stated = record["snapshot"]["e"]["wallet_balance"] if record["type"] == "snapshot" else None
        if stated is None or Decimal(stated) not in times:
            continue  # between two acts there are wallets that no standing shows
        there_ms = times[Decimal(stated)]
        if there_ms[-1] + SAME_MS < latest_ms:
            yield f"E went back to a wallet of {stated} (record {record['seq']})"
            return
        latest_ms = max(latest_ms, there_ms[0])


def _kinds_of(movement: MovementFact) -> tuple[str, ...]:
    return ("funding",) if movement.kind == "FUNDING_FEE" else ("transfer", "other")


def _ms(text: str) -> int:
    """Read a time of a record in ms."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


# ---- the end


def _final(outcome: Outcome, standing: Standing, truth: Truth, snapshot: Mapping[str, Any]) -> Iterator[str]:
    """Compare K with the exchange's own books once everything has settled."""
    status = snapshot["reconcile"]["status"]
    books = outcome.core.venue.books(NAME, standing.mark)
    differences = list(_differences(books, snapshot))
    untold = truth.untold()
    if status in {"OK", "WARN"}:
        yield from (f"at the end, {status}: {difference}" for difference in differences)
    elif not untold:
        yield f"at the end {status}: {snapshot['reconcile']['explanations'][:3]} {differences[:3]}"
    if not outcome.settled and not untold:
        yield f"not settled: {snapshot['coverage']['state']} {snapshot['coverage']['gaps'][:2]} {status}"


def last_snapshot(records: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Give the first snapshot of records that come newest first."""
    return next(record["snapshot"] for record in records if record["type"] == "snapshot")


def _differences(books: Mapping[str, Any], snapshot: Mapping[str, Any]) -> Iterator[str]:
    """Name every figure in which K is further from the books than its stated precision."""
    k, precision = snapshot["k"], snapshot["k"]["precision"]
    figures = {theirs: (books[theirs], Decimal(k[ours]), ours) for theirs, ours in SUMS.items()}
    figures["profit"] = (
        books["realized_pnl"] + books["other_income"],
        Decimal(k["realized_pnl"]) + Decimal(k["other_income"]),
        "realized_pnl",
    )
    figures["wallet_balance"] = (books["wallet_balance"], _or_zero(k["capital_raw"]), "capital_raw")
    for theirs, (there, here, ours) in figures.items():
        if abs(there - here) > Decimal(precision.get(ours, 0)):
            yield f"{theirs} is {there}, K has {here} (precision {precision.get(ours, 0)})"
    held = {(row["symbol"], row["side"]): row for row in books["positions"]}
    shown = {(row["symbol"], row["side"]): row for row in k["positions"]}
    for key in sorted({*held, *shown}):
        books_row, shown_row = held.get(key), shown.get(key)
        if books_row is None or shown_row is None or books_row["qty"] != Decimal(shown_row["qty"]):
            yield f"position {key} is {books_row}, K has {shown_row}"
            continue
        slack = UNIT + max(Decimal(precision.get(f"entry_price:{key[0]}:{side}", 0)) for side in (key[1], "BOTH"))
        if (
            shown_row["entry_price"] is None
            or abs(books_row["entry_price"] - Decimal(shown_row["entry_price"])) > slack
        ):
            yield f"entry price of {key} is {books_row['entry_price']}, K has {shown_row['entry_price']} (precision {slack})"


def _or_zero(text: str | None) -> Decimal:
    return ZERO if text is None else Decimal(text)
