"""The life of a difference: asked about while it is a residual, an object once it is one, closed when the books agree.

What enters: the findings of a comparison and the ends of audit rounds, on a `Turn`. What leaves: inquiries that the
audit answers, and a record for each change of a divergence's state. What holds: a divergence is opened once, updated
quietly and closed once; it is confirmed only after every kind of question was answered since it arose.
(account.md §5, §6)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ditad import reconcile
from ditad.attribution import attribute, since_us
from ditad.causes import Attribution, Cause
from ditad.events import AuditDone, FillsReport, IncomeReport, OrdersReport, Question
from ditad.money import ZERO, plain, plain_or_none, sub
from ditad.moves import healed_by as moved_back
from ditad.moves import hear_change, heard_before
from ditad.reconcile import DivergenceClass, Finding, ReconcileStatus
from ditad.records import RecordType, rfc3339
from ditad.settle import Twins
from ditad.state import Divergence, Inquiry, State, key_of
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

SEEN_MAX = 64
"""Residuals of one field whose beginnings are remembered while it is asked about."""

HEALED_MAX = 8
"""Facts named that have healed a part of one divergence."""

LASTING = frozenset({DivergenceClass.MARK_PRICE_STALENESS, DivergenceClass.MARGIN_BASIS})
"""Of these what lasts for an audit's interval is a divergence all the same: nobody else would say why."""

FOLLOWING = frozenset({"R4", "R6"})
"""The rules that say of all positions together what R3 says of each."""

EXPLAINED_FIRST = ("R3", "R1", "R2", "FILL", "FUNDING", "INCOME", "B", "R4", "R5", "R6")
"""The order in which rules are explained: R1 reads what R3 says of its positions, R4 and R6 take it over."""

ASKED = frozenset({"R1", "R3"})
"""The rules whose differences are asked about: the others follow from these or compare nothing stated."""


def follow_inquiries(turn: Turn, findings: list[Finding]) -> None:
    """Begin to ask about a residual, and stop when it is gone.

    What was asked proves something of a residual that was there when it was asked: another one is asked about anew. One
    that comes back, as it does between two facts on their way, is as old as when it was seen first; and what the rows of
    an answer leave of one is as old as the whole.
    """
    is_answer = isinstance(turn.event.body, FillsReport | OrdersReport | IncomeReport)
    inquiries = turn.state.inquiries
    live: set[str] = set()
    for finding in findings:
        if finding.rule not in ASKED or finding.klass is None or finding.klass in EXPLAINED:
            continue
        live.add(finding.field)
        inquiry = inquiries.get(finding.field)
        if inquiry is None:
            inquiry = inquiries[finding.field] = Inquiry(since_us=turn.event.at_us)
        residual, known = plain(finding.delta), turn.state.divergences.get(finding.field)
        if residual not in inquiry.seen and not is_answer and (known is None or known.state != "confirmed"):
            inquiry.confirmed = False
        first_us = inquiry.since_us if is_answer else turn.event.at_us
        inquiry.since_us = inquiry.seen[residual] = inquiry.seen.pop(residual, first_us)
        if len(inquiry.seen) > SEEN_MAX:
            del inquiry.seen[next(iter(inquiry.seen))]  # what comes back stays, however many others come between
        _confirm(turn, finding.field, inquiry)
    for name in [name for name in inquiries if name not in live]:
        standing_waits = any(
            finding.field == name and finding.klass is DivergenceClass.UNSETTLED for finding in findings
        )
        if not (standing_waits and inquiries[name].confirmed):
            del inquiries[name]


def answer_inquiries(turn: Turn, asked_us: int, failed: str) -> None:
    """Hear that a round of questions asked at `asked_us` is over: what it leaves is confirmed, or still unknown."""
    for name, inquiry in turn.state.inquiries.items():
        if not _confirm(turn, name, inquiry) and failed and asked_us > inquiry.since_us and inquiry.failed != failed:
            inquiry.failed = failed
            turn.changed = True


def _confirm(turn: Turn, name: str, inquiry: Inquiry) -> bool:
    """Say whether every kind of question that the exchange answers has been answered after a difference arose.

    In one round or in several; then it is confirmed.
    """
    state = turn.state
    wanted = [Question.BALANCE, Question.POSITIONS]
    wanted += [Question.FILLS] if state.coverage.fills_available else []
    wanted += [Question.INCOME] if state.coverage.income_available else []
    if any(state.answered_us.get(question.value, 0) <= inquiry.since_us for question in wanted):
        return False
    if not inquiry.confirmed or inquiry.failed:
        inquiry.failed, inquiry.confirmed = "", True
        _confirm_twins(state, name)
        turn.changed = True
    return True


def _confirm_twins(state: State, name: str) -> None:
    """Remember the confirmed residual, so that facts on their way do not make it look like another."""
    twins, k = _twins_of(state, name), capital_raw(state)
    if name != reconcile.R1_FIELD:
        _, symbol, side = name.split(":")
        position = state.positions.get(key_of(state, symbol, side))
        k = position.run.quantity if position is not None else ZERO
    twins.confirmed = sub(k, twins.statements[-1].value)


def follow_divergences(turn: Turn, spoken: Sequence[Finding], findings: Sequence[Finding]) -> None:
    """Open, update and close divergences as the findings of all fields say; what only waits for its twin closes none.

    `spoken` are those of `findings` that may be a divergence: all but what R3 finds equal.
    """
    state = turn.state
    live = {
        finding.field: finding
        for finding in spoken
        if (finding.klass is not None or state.lasting) and _is_divergence(turn, finding)
    }
    if not live and not state.divergences:
        return
    for name, finding in live.items():
        known = state.divergences.get(name)
        if known is None:
            _open_divergence(turn, finding)
        else:
            _update_divergence(turn, known, finding)
    of_positions: list[Attribution] = []
    others = [name for name in state.divergences if name not in live]
    found = {finding.field: finding for finding in findings} if others else {}
    for name in others:
        known, now = state.divergences[name], found.get(name)
        if now is not None or known.rule == "R3":
            hear_change(turn, known, now)
        if now is not None and now.klass is DivergenceClass.UNSETTLED:
            continue
        if known.rule in FOLLOWING:
            known.attribution = [*_explained(known), *of_positions] or known.attribution
        close_divergence(turn, name, turn.event.source_id)
        of_positions += attribution_of(known) if known.rule == "R3" else []
    _explain(turn, live)


def _is_divergence(turn: Turn, finding: Finding) -> bool:
    """Say whether a finding is a difference to be an object of; what explains itself is one only where it lasts."""
    lasting = turn.state.lasting
    if finding.klass not in LASTING:
        lasting.pop(finding.field, None)
        if finding.rule == "R2" and finding.klass is DivergenceClass.AMOUNT_UNKNOWN:
            return finding.field in turn.state.divergences  # a profit that is not told yet is a doubt, no difference
        return finding.klass is not None and finding.klass not in EXPLAINED
    since_us = lasting.setdefault(finding.field, turn.event.at_us)
    return turn.event.at_us - since_us >= turn.settings.audit_interval_us


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
        first_delta=finding.delta,
        confirmed_delta=finding.delta,
    )
    if finding.status is ReconcileStatus.ERROR:
        made.state, made.confirmations = "confirmed", 1
    if finding.rule in ASKED:
        made.healed = heard_before(state, made, since_us(state, made))[-HEALED_MAX:]
    state.divergences[finding.field] = made
    turn.unpublished.append(made)


def _update_divergence(turn: Turn, known: Divergence, finding: Finding) -> None:
    """Follow a divergence quietly; only its confirmation, or another severity, is a record."""
    before = (known.state, known.severity, known.klass)
    hear_change(turn, known, finding)
    known.delta = finding.delta
    known.klass, known.severity = str(finding.klass), finding.status.value
    known.last_seq = turn.state.event_seq + 1
    if finding.status is ReconcileStatus.ERROR and known.state == "open":
        known.state, known.confirmations = "confirmed", known.confirmations + 1
        known.confirmed_delta = finding.delta
    if (known.state, known.severity, known.klass) != before:
        turn.unpublished.append(known)


def _explain(turn: Turn, live: Mapping[str, Finding]) -> None:
    """Give what is opened or has changed its reasons, and publish it; those that others take over come first.

    What nothing explained is looked at again whenever another divergence changes or a round of questions is over; what
    is another amount now, at once: a part of it may have healed.
    """
    changed, turn.unpublished = turn.unpublished, []
    open_ = [known for known in turn.state.divergences.values() if known.field in live]
    again = bool(changed) or isinstance(turn.event.body, AuditDone)
    moved = [
        known
        for known in open_
        if known.rule in ASKED
        and (known.delta != known.explained_delta or _news(known))
        and (known in changed or _is_still(turn, known))
    ]
    due = [known for known in open_ if known in changed or known in moved or (again and _is_unexplained(known))]
    for known in sorted(due, key=lambda known: EXPLAINED_FIRST.index(known.rule)):
        before, healed = known.attribution, known in moved and _hear_news(known)
        known.attribution = attribute(turn.state, known)
        known.explained_delta = known.delta
        explained, was_explained = not _is_unexplained(known), not any(map(_unexplains, before))
        if known not in changed and (healed or (known.attribution != before and (explained or was_explained))):
            changed.append(known)
    for known in changed:
        publish_divergence(turn, known)


def _is_still(turn: Turn, known: Divergence) -> bool:
    """Say whether nothing waits for its twin: what a difference is now it will be."""
    twins, now = _twins_of(turn.state, known.field), turn.event.at_us
    deadlines = [fact.deadline_us for fact in twins.facts] + [one.deadline_us for one in twins.statements[1:]]
    return not any(deadline > now for deadline in deadlines)


def _twins_of(state: State, name: str) -> Twins:
    """Find the comparison of a field of R1 or R3."""
    if name == reconcile.R1_FIELD:
        return state.wallet_twins
    _, symbol, side = name.split(":")
    return state.quantity_twins[key_of(state, symbol, side)]


def _hear_news(known: Divergence) -> bool:
    """Name what no push told, though E may have moved with it: it was lacking; says whether there was any."""
    news = _news(known)
    known.healed = [*known.healed, *news]
    return bool(news)


def _hear_healed(turn: Turn, known: Divergence) -> None:
    """Name what has healed a divergence; a statement only where there is nothing else."""
    _hear_news(known)
    slack = sub(known.tolerance, turn.settings.capital_epsilon) if known.rule == "R1" else ZERO
    moved, named = moved_back(known, slack), {found.ids for found in known.healed}
    if any(found.cause is not Cause.STATEMENT for found in moved) or not (known.healed or _explained(known)):
        known.healed = [*known.healed, *(found for found in moved if found.ids not in named)][-HEALED_MAX:]


def _news(known: Divergence) -> list[Attribution]:
    """Give what no push told and is not named yet, as far as there is room: the first ones are nearest to the cause."""
    named = {found.ids for found in known.healed}
    found = {one.ids: one for one in known.heard if one.is_news and one.ids not in named}
    return list(found.values())[: HEALED_MAX - len(known.healed)]


def attribution_of(known: Divergence) -> list[Attribution]:
    """Give what explains a divergence as it stands, and then what has healed a part of it."""
    ids = {found.ids for found in known.attribution}
    return [*known.attribution, *(found for found in known.healed if found.ids not in ids)]


def _explained(known: Divergence) -> list[Attribution]:
    return [found for found in known.attribution if not _unexplains(found)]


def _is_unexplained(known: Divergence) -> bool:
    return any(map(_unexplains, known.attribution))


def _unexplains(found: Attribution) -> bool:
    return found.cause is Cause.UNEXPLAINED


def close_divergence(turn: Turn, name: str, healed_by: str, *, as_state: str = "healed") -> None:
    """Close a divergence because the ledgers agree (or E was adopted); what made them agree is named."""
    known = turn.state.divergences.pop(name)
    known.state, known.healed_by, known.closed_us = as_state, healed_by, turn.event.at_us
    known.severity, known.last_seq = ReconcileStatus.OK.value, turn.state.event_seq + 1
    if as_state == "healed":
        _hear_healed(turn, known)
        if known.healed:
            known.attribution = _explained(known)
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
        "attribution": [found.body for found in attribution_of(known)],
    }
    if known.closed_us is not None:
        body["healed_by"] = known.healed_by
        body["closed_at"] = rfc3339(known.closed_us)
        body["duration_s"] = (known.closed_us - known.first_us) / 1_000_000
    return body


def publish_divergence(turn: Turn, known: Divergence) -> None:
    """Make a record of a divergence as it stands."""
    turn.draft(RecordType.DIVERGENCE, known.id, divergence_body(known))
