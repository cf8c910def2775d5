"""What a person reads: one line per change of state, with the names of interfaces.md §4.

All payloads are synthetic.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from ditad.events import (
    Body,
    Event,
    Mark,
    Marks,
    PositionSide,
    PushRejected,
    Question,
    Side,
    StreamChanged,
    StreamState,
)
from ditad.projection import Folded
from ditad.records import Record, RecordType
from ditad.reporting import Reporter
from tests.support.reading import audit
from tests.support.story import Story

LONG = PositionSide.LONG
D = Decimal
KIB = 1024


class Lines:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **fields: object) -> None:
        """Keep a line of level info."""
        self.told.append(("info", event, dict(fields)))

    def warning(self, event: str, **fields: object) -> None:
        """Keep a line of level warning."""
        self.told.append(("warning", event, dict(fields)))

    def error(self, event: str, **fields: object) -> None:
        """Keep a line of level error."""
        self.told.append(("error", event, dict(fields)))

    def of(self, prefix: str) -> list[tuple[str, str]]:
        """Give level and name of the lines whose name begins so."""
        return [(level, event) for level, event, _ in self.told if event.startswith(prefix)]


class Reported(Story):
    """A story whose every event is reported."""

    def __init__(self, **options: Any) -> None:
        self.log = Lines()
        self.reporter = Reporter(self.log)
        super().__init__(**options)

    def tell(self, body: Body) -> Folded:
        """Fold an event and report what it led to."""
        folded = super().tell(body)
        event = next(event for event in reversed(self.events) if event.body is body)
        self.reporter.report(event, folded)
        return folded


def shorts(story: Reported) -> list[dict[str, Any]]:
    """Give the log's form of every snapshot."""
    return [fields["snapshot"] for _, event, fields in story.log.told if event == "snapshot"]


# ---- snapshots --------------------------------------------------------------------------------------------------------


def test_one_snapshot_line_per_event_that_changed_something() -> None:
    """Numbered by the record's seq; an event that changes nothing leads to no line."""
    story = Reported()
    before = len(shorts(story))
    order_id = story.order(z="1", ap="100.00000000", fee="0.05")
    story.order(order_id, z="1", ap="100.00000000", fee="0.05")
    assert before + 1 == len(shorts(story))
    assert story.records[-1]["seq"] == story.log.told[-1][2]["seq"]


def test_a_snapshots_line_has_totals_verdict_coverage_and_what_changed() -> None:
    """Positions are named when they change, and when they are gone."""
    story = Reported()
    story.order(z="1", ap="100.00000000", fee="0.05")
    first = shorts(story)[-1]
    assert ("999.95", "live", 1, 0) == (
        first["k"]["capital"],
        first["coverage"]["state"],
        first["positions"],
        first["unknown"],
    )
    assert [("BTC-USDT", "LONG", "1")] == [
        (row["symbol"], row["side"], row["qty"]) for row in first["positions_changed"]
    ]
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    assert ([], "OK", {}) == (
        shorts(story)[-1]["positions_changed"],
        shorts(story)[-1]["reconcile"]["status"],
        shorts(story)[-1]["reconcile"]["deltas"],
    )
    story.order(side=Side.SELL, z="1", ap="100.00000000", fee="0.05")
    gone = shorts(story)[-1]
    assert (0, [{"symbol": "BTC-USDT", "side": "LONG", "qty": "0"}]) == (gone["positions"], gone["positions_changed"])


def test_of_many_positions_those_are_named_that_opened_changed_or_are_gone() -> None:
    """Wherever among the others a row comes, changes or goes."""
    symbols = [f"{letter}-USDT" for letter in "ABCDE"]
    story = Reported(symbols=tuple(symbols))
    for symbol in ("B-USDT", "D-USDT", "E-USDT"):
        story.order(z="1", ap="100.00000000", fee="0", symbol=symbol)
    told = []
    for symbol, side in (("C", Side.BUY), ("D", Side.SELL), ("A", Side.BUY), ("E", Side.SELL), ("C", Side.BUY)):
        story.order(z="1", ap="100.00000000", fee="0", symbol=f"{symbol}-USDT", side=side)
        told.append([(row["symbol"][0], row["qty"]) for row in shorts(story)[-1]["positions_changed"]])
    assert [[("C", "1")], [("D", "0")], [("A", "1")], [("E", "0")], [("C", "2")]] == told


def test_a_position_is_named_again_only_when_its_quantity_or_entry_changed() -> None:
    """What another one did, or a mark, leaves it out; what grew is named as it is now."""
    story = Reported(symbols=("BTC-USDT", "ETH-USDT"))
    for _ in range(2):
        story.order(z="1", ap="100.00000000", fee="0.05")
    grown = [(row["symbol"], row["qty"]) for row in shorts(story)[-1]["positions_changed"]]
    story.order(z="1", ap="10.00000000", fee="0.01", symbol="ETH-USDT")
    other = [(row["symbol"], row["qty"]) for row in shorts(story)[-1]["positions_changed"]]
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(101), event_ms=story.ms),)))
    assert ([("BTC-USDT", "2")], [("ETH-USDT", "1")], []) == (grown, other, shorts(story)[-1]["positions_changed"])


def test_a_snapshots_line_stays_small_with_500_positions() -> None:
    """All of them new, each with a difference of its own, in the deepest doubt: under 32 KiB."""
    base = Story(baseline=False)
    symbols = tuple(f"LONGNAMED{number:04d}-USDT" for number in range(500))
    rows = tuple(
        base.position_row("123456789.12345678", "98765.43210987", symbol=symbol, mark="98765.43210987", leverage="125")
        for symbol in symbols
    )
    story = Reported(symbols=symbols, positions=rows)
    for number in range(20):
        story.tell(PushRejected(source="private", reason=f"{number}" + "r" * 200, money=True, excerpt="e" * 256))
    story.account("-1", *((symbol, LONG, "0.00000001", "98765.43210987") for symbol in symbols))
    lines = [orjson.dumps(short) for short in shorts(story)]
    assert 500 == orjson.loads(lines[-1])["positions"]
    assert max(len(line) for line in lines) < 32 * KIB


# ---- divergences and gaps ---------------------------------------------------------------------------------------------


def test_a_divergence_is_one_line_per_change_of_its_state() -> None:
    """Opened, confirmed, healed: three lines in as many audits as it takes."""
    story = Reported()
    story.account("995")
    story.tick()
    for _ in range(3):
        audit(story, "995")
    story.failed(Question.BALANCE)
    story.account("1000")
    assert [
        ("warning", "divergence.opened"),
        ("error", "divergence.confirmed"),
        ("info", "divergence.healed"),
    ] == story.log.of("divergence.")
    assert all("seq" in fields for _, event, fields in story.log.told if event.startswith("divergence."))


def test_a_quiet_change_of_a_divergence_is_no_line() -> None:
    """A severity that goes from WARN to UNKNOWN and back is not a change of its state."""
    story = Reported()
    story.account("995")
    story.tick()
    story.pass_s(1)
    story.failed(Question.INCOME)
    story.audit_done(failed=("income",))
    assert [("warning", "divergence.opened")] == story.log.of("divergence.")


def test_a_divergence_that_comes_back_is_told_again() -> None:
    """What is over is forgotten: the next one is another."""
    story = Reported()
    for _ in range(2):
        story.account("995")
        story.tick()
        story.account("1000")
    assert ["divergence.opened", "divergence.healed"] * 2 == [name for _, name in story.log.of("divergence.")]


def test_a_gap_is_opened_once_and_closed_with_how() -> None:
    """Later causes are added quietly; provisional and final are each said once."""
    story = Reported()
    story.tell(StreamChanged(state=StreamState.LOST, detail="a", at_ms=None))
    story.tell(StreamChanged(state=StreamState.SILENT, detail="b", at_ms=None))
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    story.pass_s(1)
    story.balance("1000")
    story.positions()
    audit(story, "1000", after_s=300)
    assert [("warning", "gap.opened"), ("info", "gap.closed"), ("info", "gap.closed")] == story.log.of("gap.")
    states = [fields["gap"]["state"] for _, event, fields in story.log.told if event == "gap.closed"]
    assert ["provisional", "final"] == states


# ---- the stream, refusals, audits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "level", "name"),
    [
        (StreamState.CONNECTED, "info", "stream.connected"),
        (StreamState.LOST, "warning", "stream.lost"),
        (StreamState.SILENT, "warning", "stream.silent"),
        (StreamState.KEY_ISSUED, "info", "key.issued"),
        (StreamState.KEY_RENEWED, "info", "key.renewed"),
        (StreamState.KEY_EXPIRED, "warning", "key.expired"),
        (StreamState.REFUSED, "warning", "stream.refused"),
    ],
)
def test_each_state_of_the_stream_has_its_name(state: StreamState, level: str, name: str) -> None:
    """interfaces.md §4's names."""
    story = Reported()
    story.tell(StreamChanged(state=state, detail="why", at_ms=None))
    assert [(level, name)] == [(told, event) for told, event, fields in story.log.told if fields.get("detail") == "why"]


@pytest.mark.parametrize(("money", "name"), [(True, "push.rejected"), (False, "push.unknown")])
def test_a_refused_frame_is_told_with_its_reason(*, money: bool, name: str) -> None:
    """Whether money may have been in it decides its name; the excerpt stays in the record."""
    story = Reported()
    story.tell(PushRejected(source="private", reason="why", money=money, excerpt="{}"))
    (line,) = [fields for _, event, fields in story.log.told if event == name]
    assert {"seq", "reason", "source"} == set(line)


def test_an_audit_is_told_when_it_is_done_and_when_it_begins_to_fail() -> None:
    """The same failure again is no line; recovery is."""
    story = Reported()
    audit(story, "1000")
    for _ in range(2):
        story.failed(Question.BALANCE)
        story.audit_done(failed=("balance",))
    audit(story, "1000")
    assert [("info", "audit.done"), ("warning", "audit.failed"), ("info", "audit.done")] == story.log.of("audit.")


def test_a_question_that_is_never_answered_to_this_key_is_told() -> None:
    """With what was asked and why not."""
    story = Reported()
    story.failed(Question.INCOME, "no permission", unavailable=True)
    (fields,) = [fields for _, event, fields in story.log.told if event == "audit.unavailable"]
    assert {"question": "income", "reason": "no permission"} == fields


def made(kind: RecordType, body: dict[str, object]) -> Folded:
    """Make a record as a fold would."""
    line = orjson.dumps({"seq": 7, "type": kind.value, "ts": "", kind.value: body})
    record = Record(seq=7, n=1, type=kind, at_us=0, key=None, replaces=(), line=line)
    return Folded(records=(record,), bodies=(body,), decisions=(), verdict=None)


def event() -> Event:
    """Make an event that says nothing itself."""
    return Event(n=1, at_us=0, heard_us=None, body=StreamChanged(state=StreamState.LOST, detail="", at_ms=None))


def test_an_account_event_is_a_line() -> None:
    """Under its own name."""
    log = Lines()
    Reporter(log).report(event(), made(RecordType.ACCOUNT_EVENT, {"trade_id": "t"}))
    assert [("info", "account_event", {"seq": 7, "account_event": {"trade_id": "t"}})] == log.told


def test_facts_are_no_lines_of_their_own() -> None:
    """Fills and incomes are in the stream and in the snapshot's totals."""
    log = Lines()
    Reporter(log).report(event(), made(RecordType.FILL, {"order_id": "1"}))
    assert [] == log.told


def test_a_divergence_repeated_in_the_same_state_is_no_line() -> None:
    """Each change of state once, whatever the fold hands on."""
    log = Lines()
    reporter = Reporter(log)
    for _ in range(2):
        reporter.report(event(), made(RecordType.DIVERGENCE, {"id": "div-1", "state": "open"}))
    assert [("warning", "divergence.opened")] == log.of("divergence.")


def test_an_adopted_divergence_is_over() -> None:
    """Its own name, at level info."""
    log = Lines()
    Reporter(log).report(event(), made(RecordType.DIVERGENCE, {"id": "div-1", "state": "adopted"}))
    assert [("info", "divergence.adopted")] == log.of("divergence.")


def test_changes_are_counted_as_often_as_they_are_said() -> None:
    """Of each divergence and gap once per change of its state, for whoever draws them over time."""
    reporter = Reporter(Lines())
    for number in (1, 2):
        for state in ("open", "open", "confirmed", "healed"):
            reporter.report(event(), made(RecordType.DIVERGENCE, {"id": f"div-{number}", "state": state}))
    for state in ("open", "provisional", "final"):
        reporter.report(event(), made(RecordType.GAP, {"id": "gap-1", "state": state}))
    assert {"open": 2, "confirmed": 2, "healed": 2} == reporter.divergences
    assert {"open": 1, "provisional": 1, "final": 1} == reporter.gaps
