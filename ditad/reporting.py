"""What a person reads at breakfast: log lines made of the records an event led to.

What enters: events and what folding them led to. What leaves: structured log calls with the short names of
interfaces.md §4. What holds: one snapshot line per event that changed something, each divergence and gap once per
change of its state; a snapshot's line stays small however many positions there are.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from operator import is_
from typing import Any, Protocol, TypeAlias

from ditad.events import AuditDone, BaselineTaken, Event, QuestionFailed, StreamState
from ditad.money import plain
from ditad.projection import Folded
from ditad.records import Record, RecordType, rfc3339_ms

POSITIONS_LOGGED_MAX = 32
"""A snapshot's log line names at most this many changed positions; how many there are is said beside."""

EXPLANATIONS_LOGGED_MAX = 16
DELTAS_LOGGED_MAX = 32

NOT_LOGGED = frozenset({"positions", "precision", "unknown", "stated"})
"""Fields of K and of E that grow with what is open; how much of each there is stands beside them."""

ZEROS = frozenset({"0"})

Rows: TypeAlias = list[Mapping[str, Any]]
"""Rows of positions, in the order of their keys."""

STREAM_EVENTS = {
    StreamState.CONNECTED: "stream.connected",
    StreamState.LOST: "stream.lost",
    StreamState.SILENT: "stream.silent",
    StreamState.KEY_ISSUED: "key.issued",
    StreamState.KEY_RENEWED: "key.renewed",
    StreamState.KEY_EXPIRED: "key.expired",
    StreamState.REFUSED: "stream.refused",
}


class Log(Protocol):
    """What a reporter needs of a logger."""

    def info(self, event: str, **fields: object) -> object:
        """Write a line of level info."""

    def warning(self, event: str, **fields: object) -> object:
        """Write a line of level warning."""

    def error(self, event: str, **fields: object) -> object:
        """Write a line of level error."""


class Reporter:
    """Turns records into log lines, and remembers just enough to say things once; counts what it said of changes."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.divergences: Counter[str] = Counter()
        self.gaps: Counter[str] = Counter()
        self._states: dict[str, str] = {}
        self._rows: Rows = []
        """The last snapshot's rows of positions: of one that did not change the next has the very same."""
        self._k: tuple[Mapping[str, Any], Mapping[str, Any]] = {}, {}
        """K's block of the last snapshot, and what of it is logged: most events leave it as it is."""
        self._failing = ""

    def report(self, event: Event, folded: Folded) -> None:
        """Log what an event led to."""
        if isinstance(event.body, AuditDone):
            self._audit(event.body)
        elif isinstance(event.body, BaselineTaken):
            self._baseline(event.body)
        elif isinstance(event.body, QuestionFailed) and event.body.unavailable:
            self._log.warning("audit.unavailable", question=event.body.question.value, reason=event.body.reason)
        for record, body in zip(folded.records, folded.bodies, strict=True):
            self._record(record, body)

    def _baseline(self, taken: BaselineTaken) -> None:
        """Say where the ledger begins, and of one that was adopted who wanted it, and why."""
        about = {"baseline": taken.baseline_id, "at": rfc3339_ms(taken.taken_ms), "wallet": plain(taken.wallet)}
        if taken.adopted_by is None:
            self._log.info("baseline.taken", **about)
        else:
            self._log.warning("baseline.adopted", **about, uid=taken.adopted_by, why=taken.why)

    def _audit(self, audit: AuditDone) -> None:
        failing = ", ".join(audit.failed)
        if failing and failing != self._failing:
            self._log.warning("audit.failed", cause=audit.cause, failed=list(audit.failed))
        elif not failing:
            questions = [question.value for question in audit.questions]
            self._log.info("audit.done", cause=audit.cause, questions=questions)
        self._failing = failing

    def _record(self, record: Record, body: Mapping[str, Any]) -> None:
        if record.type is RecordType.SNAPSHOT:
            self._log.info("snapshot", seq=record.seq, snapshot=self._short(body))
        elif record.type is RecordType.DIVERGENCE:
            self._divergence(record.seq, body)
        elif record.type is RecordType.GAP:
            self._gap(record.seq, body)
        elif record.type is RecordType.STREAM:
            tell = self._log.info if body["state"] in {"connected", "key_issued", "key_renewed"} else self._log.warning
            tell(STREAM_EVENTS[StreamState(body["state"])], seq=record.seq, detail=body["detail"])
        elif record.type is RecordType.REJECTED:
            name = "push.rejected" if body["money"] else "push.unknown"
            self._log.warning(name, seq=record.seq, reason=body["reason"], source=body["source"])
        elif record.type is RecordType.ACCOUNT_EVENT:
            self._log.info("account_event", seq=record.seq, account_event=body)

    def _changed(self, key: str, state: str, *, over: bool) -> bool:
        """Say whether a thing's state is news; what is over is forgotten."""
        news = self._states.get(key) != state
        if over:
            self._states.pop(key, None)
        else:
            self._states[key] = state
        return news

    def _divergence(self, seq: int, body: Mapping[str, Any]) -> None:
        over = body["state"] in {"healed", "adopted"}
        if not self._changed(body["id"], body["state"], over=over):
            return
        name = {"open": "opened"}.get(body["state"], body["state"])
        self.divergences[body["state"]] += 1
        tell = self._log.info if over else self._log.error if body["state"] == "confirmed" else self._log.warning
        tell(f"divergence.{name}", seq=seq, divergence=body)

    def _gap(self, seq: int, body: Mapping[str, Any]) -> None:
        over = body["state"] in {"final", "unclosable"}
        if not self._changed(body["id"], body["state"], over=over):
            return
        self.gaps[body["state"]] += 1
        if body["state"] == "open":
            self._log.warning("gap.opened", seq=seq, gap=body)
        else:
            self._log.info("gap.closed", seq=seq, gap=body)

    def _changed_positions(self, rows: Rows) -> Rows:
        """Give the rows of positions that are opened, changed or gone since the last snapshot; a row is never changed."""
        if rows is self._rows:
            return []
        before, self._rows = self._rows, rows
        left, came = ({_key(row): row for row in some} for some in _parted(before, rows))
        changed = {key: row for key, row in came.items() if key not in left or _figures(left[key]) != _figures(row)}
        for symbol, side in left.keys() - came.keys():
            changed[symbol, side] = {"symbol": symbol, "side": side, "qty": "0"}
        return [changed[key] for key in sorted(changed)][:POSITIONS_LOGGED_MAX]

    def _short(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give the log's form of a snapshot: totals, verdict, coverage, and the positions that changed."""
        k, coverage, reconcile = body["k"], body["coverage"], body["reconcile"]
        deltas: dict[str, str] = {}
        if not ZEROS.issuperset(reconcile["deltas"].values()):  # of hundreds nearly always each is 0
            deltas = {name: delta for name, delta in reconcile["deltas"].items() if delta != "0"}
        if k is not self._k[0]:
            self._k = k, {name: value for name, value in k.items() if name not in NOT_LOGGED}
        return {
            "event_seq": body["event_seq"],
            "source_event_id": body["source_event_id"],
            "ts": body["ts"],
            "exchange_ts_ms": body["exchange_ts_ms"],
            "published": body["published"],
            "k": self._k[1],
            "e": {name: value for name, value in body["e"].items() if name not in NOT_LOGGED},
            "positions": len(k["positions"]),
            "positions_changed": self._changed_positions(k["positions"]),
            "coverage": {
                "state": coverage["state"],
                "covered_through": coverage["covered_through"],
                "gaps": len(coverage["gaps"]),
                "rejected": coverage["rejected"],
            },
            "unknown": len(k["unknown"]),
            "reconcile": {
                "status": reconcile["status"],
                "worst_field": reconcile["worst_field"],
                "deltas": dict(list(deltas.items())[:DELTAS_LOGGED_MAX]),
                "explanations": reconcile["explanations"][:EXPLANATIONS_LOGGED_MAX],
                "divergences": len(reconcile["divergences"]),
            },
        }


def _parted(before: Rows, now: Rows) -> tuple[Rows, Rows]:
    """Leave of two lists out what is the same row at the same place, counted from the beginning or from the end."""
    if len(before) == len(now):
        pairs = [(old, new) for old, new in zip(before, now, strict=True) if old is not new]
        return [old for old, _ in pairs], [new for _, new in pairs]
    first = sum(1 for _ in itertools.takewhile(bool, map(is_, before, now)))
    left, came = before[first:], now[first:]
    last = sum(1 for _ in itertools.takewhile(bool, map(is_, reversed(left), reversed(came))))
    return left[: len(left) - last], came[: len(came) - last]


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["symbol"], row["side"]


def _figures(row: Mapping[str, Any]) -> tuple[str, str | None]:
    return row["qty"], row["entry_price"]
