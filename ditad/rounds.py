"""Rounds of questions into the fold: what failed, what was answered over its whole span, and how far that reaches.

What enters: failed questions and the ends of rounds, on a `Turn`. What leaves: watermarks, closed gaps, answered
inquiries. What holds: only a completed question moves a watermark; a failed one is never an empty answer.
(account.md §7)
"""

from __future__ import annotations

from ditad import cashflows
from ditad.codec import encode
from ditad.coverage import answered
from ditad.divergences import answer_inquiries
from ditad.events import AuditDone, FactKind, Question, QuestionFailed
from ditad.incomes import forget
from ditad.needs import symbols_of
from ditad.state import Round, State
from ditad.turn import Turn, hear_clock

FORGET_AFTER_MS = 86_400_000
"""Closed groups, transfers and witnesses are kept this long behind the watermark: no question reaches further back."""

COLLAPSE_AFTER_MS = 600_000
"""Single fills are kept this long behind the watermark; older ones are folded into their position's base."""


def fold_failure(turn: Turn, failure: QuestionFailed) -> None:
    """Hear that a question was not answered: nothing is known from it, and that is said."""
    state = turn.state
    if failure.unavailable:
        if failure.question in {Question.FILLS, Question.ORDER}:
            state.coverage.fills_available = False
        elif failure.question is Question.INCOME:
            state.coverage.income_available = False
        note = f"{failure.question.value}: {failure.reason}"
        if note not in state.notes:
            state.notes = (*state.notes, note)
        turn.changed = True
        return
    state.round.failed.append(f"{failure.question.value} {failure.subject}".strip())
    state.round.failed_kinds.append(failure.question)


def fold_audit(turn: Turn, audit: AuditDone) -> None:
    """End a round of questions: watermarks move for what was wholly answered, inquiries hear what is left."""
    state = turn.state
    hear_clock(turn, audit)
    if state.baseline is None:
        return
    round_, state.round = state.round, Round()
    asked = set(audit.questions)
    failed = [*round_.failed, *(name for name in audit.failed if name not in round_.failed)]
    fills_through = _fills_through(state, audit, round_, asked)
    fills_lag, income_lag = turn.lags_ms
    if fills_through is not None:
        state.coverage.fills_available = True
        turn.touch_gaps(
            answered(
                state.coverage,
                FactKind.FILLS,
                through_ms=fills_through,
                rows=round_.fill_rows,
                by="fill_history",
                lag_ms=fills_lag,
                now_us=turn.event.at_us,
            )
        )
    income_done = False
    if round_.income_to_ms is not None and round_.income_from_ms is not None:
        income_done = round_.income_from_ms <= state.coverage.income_ms and Question.INCOME not in round_.failed_kinds
    if income_done and round_.income_to_ms is not None:
        turn.touch_gaps(
            answered(
                state.coverage,
                FactKind.INCOME,
                through_ms=round_.income_to_ms,
                rows=round_.income_rows,
                by="income",
                lag_ms=income_lag,
                now_us=turn.event.at_us,
            )
        )
        cashflows.close_funding(turn, round_.income_to_ms)
    for question, done in ((Question.FILLS, fills_through is not None), (Question.INCOME, income_done)):
        if done:
            state.answered_us[question.value] = audit.asked_us
    answer_inquiries(turn, audit.asked_us, ", ".join(failed[:4]))
    _forget(turn)
    turn.changed = True


def _fills_through(state: State, audit: AuditDone, round_: Round, asked: set[Question]) -> int | None:
    """Give the end of a fills question that reached over the whole span for every symbol; `None` if it did not."""
    if {Question.FILLS, Question.ORDER} & set(round_.failed_kinds):
        return None
    wanted = symbols_of(state)
    if not wanted:
        standing = {Question.BALANCE, Question.POSITIONS}
        return audit.asked_ms if standing <= asked and not standing & set(round_.failed_kinds) else None
    if any(symbol not in round_.fills for symbol in wanted):
        return None
    if any(round_.fills_from[symbol] > state.coverage.fills_ms for symbol in wanted):
        return None
    return min(round_.fills[symbol] for symbol in wanted)


def _forget(turn: Turn) -> None:
    """Let go of what no question can touch any more."""
    state = turn.state
    assert state.baseline is not None, "only after a baseline is there anything to forget"
    through = min(state.coverage.fills_ms, state.coverage.income_ms)
    forget(state.incomes, through - FORGET_AFTER_MS)
    kept_s = (through - FORGET_AFTER_MS) // 1_000
    state.witnesses = {
        moment: told for moment, told in state.witnesses.items() if int(moment.rpartition("|")[2]) >= kept_s
    }
    for position in state.positions.values():
        position.collapse(through - COLLAPSE_AFTER_MS)
    _put_away(turn, through - COLLAPSE_AFTER_MS)


def _put_away(turn: Turn, before_ms: int) -> None:
    """Put orders out of memory that have ended and are wholly told, some while ago; the journal keeps them."""
    state = turn.state
    for order_id, order in list(state.orders.items()):
        over = order.ended and not order.incomplete and not order.held and order_id not in state.contradicted
        last_ms = max([order.heard_us // 1_000 + (state.offset_ms or 0), *(piece.at_ms for piece in order.pieces)])
        if over and order_id.isdigit() and last_ms < before_ms:
            turn.archived.append((order_id, encode(state.orders.pop(order_id))))
            state.archived_max = max(state.archived_max, int(order_id))
