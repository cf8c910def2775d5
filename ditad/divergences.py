"""The life of a difference: asked about while it is a residual, an object once it is one, closed when the books agree.

What enters: the findings of a comparison and the ends of audit rounds, on a `Turn`. What leaves: inquiries that the
audit answers, and a record for each change of a divergence's state. What holds: a divergence is opened once, updated
quietly and closed once; it is confirmed only after every kind of question was answered since it arose.
(account.md §5, §6)
"""

from __future__ import annotations

from ditad import reconcile
from ditad.events import PositionSide, Question
from ditad.money import ZERO, plain, plain_or_none, sub
from ditad.reconcile import DivergenceClass, Finding, ReconcileStatus
from ditad.records import RecordType, rfc3339
from ditad.state import Divergence, Inquiry, State
from ditad.turn import Turn, capital_raw

EXPLAINED = frozenset(
    {
        DivergenceClass.UNSETTLED,
        DivergenceClass.ENTRY_ROUNDING,
        DivergenceClass.MARK_PRICE_STALENESS,
        DivergenceClass.LEVERAGE_ROUNDING,
        DivergenceClass.MARGIN_BASIS,
        DivergenceClass.DERIVED,
    }
)
"""Classes that explain themselves and open no divergence."""

ASKED = frozenset({"R1", "R3"})
"""The rules whose differences are asked about: the others follow from these or compare nothing stated."""


def follow_inquiries(turn: Turn, findings: list[Finding]) -> None:
    """Begin to ask about a residual, and stop when it is gone."""
    inquiries = turn.state.inquiries
    live: set[str] = set()
    for finding in findings:
        asked = finding.rule in ASKED and finding.klass is not None and finding.klass not in EXPLAINED
        if asked:
            live.add(finding.field)
            if finding.field not in inquiries:
                inquiries[finding.field] = Inquiry(since_us=turn.event.at_us)
    for name in [name for name in inquiries if name not in live]:
        standing_waits = any(
            finding.field == name and finding.klass is DivergenceClass.UNSETTLED for finding in findings
        )
        if not (standing_waits and inquiries[name].confirmed):
            del inquiries[name]


def answer_inquiries(turn: Turn, asked_us: int, failed: str) -> None:
    """Hear that a round of questions asked at `asked_us` is over: what it leaves is confirmed, or still unknown.

    A difference is confirmed once every kind of question that the exchange answers has been answered after it arose,
    in one round or in several.
    """
    state = turn.state
    wanted = [Question.BALANCE, Question.POSITIONS]
    wanted += [Question.FILLS] if state.coverage.fills_available else []
    wanted += [Question.INCOME] if state.coverage.income_available else []
    for name, inquiry in state.inquiries.items():
        before = (inquiry.failed, inquiry.confirmed)
        if all(state.answered_us.get(question.value, 0) > inquiry.since_us for question in wanted):
            inquiry.failed, inquiry.confirmed = "", True
            _confirm_twins(state, name)
        elif failed and asked_us > inquiry.since_us:
            inquiry.failed = failed
        turn.changed = turn.changed or before != (inquiry.failed, inquiry.confirmed)


def _confirm_twins(state: State, name: str) -> None:
    """Remember the confirmed residual, so that facts on their way do not make it look like another."""
    if name == reconcile.R1_FIELD:
        twins, k = state.wallet_twins, capital_raw(state)
    else:
        _, symbol, side = name.split(":")
        key = key_of(state, symbol, side)
        position = state.positions.get(key)
        twins, k = state.quantity_twins[key], position.run.quantity if position is not None else ZERO
    twins.confirmed = sub(k, twins.statements[-1].value)


def follow_divergences(turn: Turn, findings: list[Finding]) -> None:
    """Open, update and close divergences as the findings say; what only waits for its twin closes none."""
    state = turn.state
    live: dict[str, Finding] = {
        finding.field: finding for finding in findings if finding.klass is not None and finding.klass not in EXPLAINED
    }
    for name, finding in live.items():
        known = state.divergences.get(name)
        if known is None:
            _open_divergence(turn, finding)
        else:
            _update_divergence(turn, known, finding)
    for name in [name for name in state.divergences if name not in live]:
        waits = any(finding.field == name and finding.klass is DivergenceClass.UNSETTLED for finding in findings)
        known = state.divergences[name]
        if not waits:
            close_divergence(turn, name, turn.event.source_id)


def _open_divergence(turn: Turn, finding: Finding) -> None:
    state = turn.state
    state.divergence_count += 1
    made = Divergence(
        id=f"div-{state.divergence_count}",
        rule=finding.rule,
        field=finding.field,
        symbol=finding.symbol,
        side=finding.side,
        k=finding.k,
        e=finding.e,
        delta=finding.delta,
        tolerance=finding.tolerance,
        klass=str(finding.klass),
        severity=finding.status.value,
        first_seq=state.event_seq + 1,
        first_us=turn.event.at_us,
        last_seq=state.event_seq + 1,
    )
    if finding.status is ReconcileStatus.ERROR:
        made.state, made.confirmations = "confirmed", 1
    state.divergences[finding.field] = made
    publish_divergence(turn, made)


def _update_divergence(turn: Turn, known: Divergence, finding: Finding) -> None:
    """Follow a divergence quietly; only its confirmation, or another severity, is a record."""
    before = (known.state, known.severity, known.klass)
    known.k, known.e, known.delta = finding.k, finding.e, finding.delta
    known.klass, known.severity = str(finding.klass), finding.status.value
    known.last_seq = turn.state.event_seq + 1
    if finding.status is ReconcileStatus.ERROR and known.state == "open":
        known.state, known.confirmations = "confirmed", known.confirmations + 1
    if (known.state, known.severity, known.klass) != before:
        publish_divergence(turn, known)


def close_divergence(turn: Turn, name: str, healed_by: str, *, as_state: str = "healed") -> None:
    """Close a divergence because the ledgers agree (or E was adopted); what made them agree is named."""
    known = turn.state.divergences.pop(name)
    known.state, known.healed_by, known.closed_us = as_state, healed_by, turn.event.at_us
    known.severity, known.last_seq = ReconcileStatus.OK.value, turn.state.event_seq + 1
    publish_divergence(turn, known)


def divergence_body(known: Divergence) -> dict[str, object]:
    """Write a divergence as readers get it. (account.md §6)"""
    body: dict[str, object] = {
        "id": known.id,
        "rule": known.rule,
        "field": known.field,
        "symbol": known.symbol,
        "side": known.side,
        "k": plain_or_none(known.k),
        "e": plain_or_none(known.e),
        "delta": plain(known.delta),
        "tolerance": plain(known.tolerance),
        "class": known.klass,
        "severity": known.severity,
        "first_seq": known.first_seq,
        "first_at": rfc3339(known.first_us),
        "last_seq": known.last_seq,
        "confirmations": known.confirmations,
        "state": known.state,
        "attribution": [dict(cause) for cause in known.attribution],
    }
    if known.closed_us is not None:
        body["healed_by"] = known.healed_by
        body["closed_at"] = rfc3339(known.closed_us)
        body["duration_s"] = (known.closed_us - known.first_us) / 1_000_000
    return body


def publish_divergence(turn: Turn, known: Divergence) -> None:
    """Make a record of a divergence as it stands."""
    turn.draft(RecordType.DIVERGENCE, known.id, divergence_body(known))


def key_of(state: State, symbol: str, side: str) -> str:
    """Find the key of a finding's position; one that outlived a change of the position mode keeps its own."""
    own, both = f"{symbol}:{side}", f"{symbol}:{PositionSide.BOTH}"
    first, second = (both, own) if state.one_way else (own, both)
    return first if first in state.quantity_twins else second
