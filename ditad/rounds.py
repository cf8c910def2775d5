"""Rounds of questions into the fold: what failed, what was answered over its whole span, and how far that reaches.

What enters: failed questions and the ends of rounds, on a `Turn`. What leaves: watermarks, closed gaps, answered
inquiries. What holds: only a completed question moves a watermark; a failed one is never an empty answer.
(account.md §7)
"""

from __future__ import annotations

from ditad import cashflows, fills, trades
from ditad.codec import encode
from ditad.coverage import KEPT_MS, answered, reaches
from ditad.divergences import answer_inquiries
from ditad.events import AuditDone, FactKind, Question, QuestionFailed
from ditad.forced import retire, rows_from_ms
from ditad.incomes import forget
from ditad.needs import symbols_of
from ditad.orders import Order
from ditad.restated import FRAME_LATE_MS, hear_restated
from ditad.state import Round, State
from ditad.turn import Turn, hear_clock
from ditad.witnesses import begins_ms

RANK_MAX = 2**63 - 1
"""What a checkpoint can write: an id has up to 32 digits, whole numbers in JSON have 19. No exchange's id is larger."""

SETTLED_AFTER_MS = 7_200_000
"""Incomes and witnesses are kept this long behind the watermark, and behind the oldest divergence, whose cause they may be:
no question reaches further back than the report lag, which is an hour at most.
"""

FORGET_AFTER_MS = 86_400_000
"""What a forced close may be is kept this long behind the watermark, for a close waits up to a day for what tells it; and
divergences keep nothing for longer.
"""

COLLAPSE_AFTER_MS = 600_000
"""Single fills are kept this long behind the watermark; older ones are folded into their position's base."""

ORDERS_MAX = 1_000
"""So many orders are held in memory before the oldest are put away, although no round of questions has covered them."""

ORDERS_HELD = 800
"""So many stay then: those of the last minutes, unless ten end in a second; what rows tell of others is recalled."""

INEXACT_ORDERS_MAX = 50_000
"""So many are held while something of the oldest is not known to the last digit: rows may still tell it."""

WAITING_FILLS_MAX = 5_000
"""Where fills of an order are still to be told, those of its time are kept, but no more than this of a position."""


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
    fills.hear_listed(turn)
    round_, state.round = state.round, Round()
    asked = set(audit.questions)
    failed = [*round_.failed, *(name for name in audit.failed if name not in round_.failed)]
    fills_span = _fills_span(state, audit, round_, asked)
    fills_lag, income_lag = turn.lags_ms

    def move(kind: FactKind, span: tuple[int, int], *, rows: int, by: str, lag_ms: int) -> None:
        now_us, (from_ms, through_ms) = turn.event.at_us, span
        changed = answered(
            state.coverage,
            kind,
            from_ms=from_ms,
            through_ms=through_ms,
            rows=rows,
            by=by,
            lag_ms=lag_ms,
            now_us=now_us,
        )
        turn.touch_gaps(changed)

    if fills_span is not None:
        state.coverage.fills_available = True
        move(FactKind.FILLS, fills_span, rows=round_.fill_rows, by="fill_history", lag_ms=fills_lag)
    income_span = _income_span(state, round_)
    if income_span is not None:
        kept_from_ms = income_span[0] if income_span[0] > state.coverage.income_ms else 0
        move(FactKind.INCOME, income_span, rows=round_.income_rows, by="income", lag_ms=income_lag)
        cashflows.close_funding(turn, income_span[1], kept_from_ms)
    for question, span in ((Question.FILLS, fills_span), (Question.INCOME, income_span)):
        if span is not None:
            state.answered_us[question.value] = audit.asked_us
    hear_restated(turn)
    answer_inquiries(turn, audit.asked_us, ", ".join(failed[:4]))
    _forget(turn, audit.asked_ms)
    turn.changed = True


def _fills_span(state: State, audit: AuditDone, round_: Round, asked: set[Question]) -> tuple[int, int] | None:
    """Give the span over which fills were answered for every symbol; `None` if it left out what could be asked."""
    if {Question.FILLS, Question.ORDER} & set(round_.failed_kinds):
        return None
    wanted = symbols_of(state)
    if not wanted:
        standing = {Question.BALANCE, Question.POSITIONS}
        answered_all = standing <= asked and not standing & set(round_.failed_kinds)
        return (state.coverage.fills_ms, audit.asked_ms) if answered_all else None
    if any(symbol not in round_.fills for symbol in wanted):
        return None
    span = max(round_.fills_from[symbol] for symbol in wanted), min(round_.fills[symbol] for symbol in wanted)
    return span if reaches(state.coverage, FactKind.FILLS, *span) else None


def _income_span(state: State, round_: Round) -> tuple[int, int] | None:
    """As `_fills_span`, for income."""
    if round_.income_from_ms is None or round_.income_to_ms is None or Question.INCOME in round_.failed_kinds:
        return None
    span = round_.income_from_ms, round_.income_to_ms
    return span if reaches(state.coverage, FactKind.INCOME, *span) else None


def _forget(turn: Turn, asked_ms: int) -> None:
    """Let go of what no question can touch any more: of a kind that is not answered none can.

    Where income is not answered its pushes are kept for as long as the exchange keeps rows: when these are told at last,
    each must find its push.
    """
    state, coverage = turn.state, turn.state.coverage
    through = min((coverage.asked_ms(kind) for kind in FactKind if coverage.available(kind)), default=asked_ms)
    settled_ms = max(through - FORGET_AFTER_MS, min([through, *_open_since(state)]) - SETTLED_AFTER_MS)
    kept_ms = asked_ms - KEPT_MS[FactKind.INCOME]
    told_ms = [at_ms for at_ms in (coverage.income_ms - FORGET_AFTER_MS, rows_from_ms(state)) if at_ms is not None]
    incomes_ms = min(settled_ms, coverage.income_ms - SETTLED_AFTER_MS)
    forget(state.incomes, settled_ms=max(incomes_ms, kept_ms), closes_ms=max(min(told_ms), kept_ms), unkept_ms=kept_ms)
    remembered = {fact.key for fact in state.incomes.remembered()}
    state.income_numbers = {key: seq for key, seq in state.income_numbers.items() if key in remembered}
    waiting = [state.orders[order_id].created_ms or 0 for order_id in state.incomplete]
    witnessed_ms = min([settled_ms, *waiting]) // 1_000 * 1_000
    state.witnesses = {second: told for second, told in state.witnesses.items() if begins_ms(second) >= witnessed_ms}
    _collapse(state, through - COLLAPSE_AFTER_MS)
    retire(state, through - COLLAPSE_AFTER_MS)
    _put_away(turn, through - COLLAPSE_AFTER_MS)


def _open_since(state: State) -> list[int]:
    """Give the moments of the exchange's clock since when divergences are open: their causes are still sought."""
    return [known.first_us // 1_000 + (state.offset_ms or 0) for known in state.divergences.values()]


def relieve(turn: Turn) -> None:
    """Put the oldest orders away where there are more than memory is meant for, without waiting for a round of questions.

    What is not known to the last digit is waited for, up to `INEXACT_ORDERS_MAX`. Of the seconds let go income rows
    prove nothing more: only a part of their fills is left.
    """
    state = turn.state
    if len(state.orders) <= ORDERS_MAX:
        return
    eldest = sorted(state.orders.values(), key=lambda order: _latest_ms(state, order))
    excess = len(eldest) - ORDERS_HELD
    before_ms = _latest_ms(state, eldest[excess])
    if len(eldest) <= INEXACT_ORDERS_MAX:
        inexact = (order for order in eldest[:excess] if _is_inexact(order))
        before_ms = min([before_ms, *(order.pieces[0].at_ms - FRAME_LATE_MS for order in inexact)])
    _collapse(state, before_ms)
    _put_away(turn, before_ms)
    if turn.archived:
        state.relieved_ms = max(state.relieved_ms, before_ms)


def _is_inexact(order: Order) -> bool:
    """Say whether something of an order's pieces is not known, or only rounded."""
    return any(
        piece.fee is None or piece.realized_pnl is None or piece.fee_slack or piece.quote_slack
        for piece in order.pieces
    )


def _collapse(state: State, before_ms: int) -> None:
    """Fold the single fills from before this time into the bases of their positions, but for what is still to be told."""
    lacking = _lacking_since(state)
    for key, position in state.positions.items():
        waiting = len(position.fills) <= WAITING_FILLS_MAX
        kept_ms = lacking.get(position.symbol, before_ms) if waiting else before_ms
        trades.collapse(state, key, min(before_ms, kept_ms))


def _lacking_since(state: State) -> dict[str, int]:
    """Give the moment per symbol since when fills of known orders are still to be told."""
    since: dict[str, int] = {}
    for order in (state.orders[order_id] for order_id in state.incomplete):
        at_ms = order.lacks_since_ms
        if at_ms is not None:
            since[order.symbol] = min(at_ms, since.get(order.symbol, at_ms))
    return since


def _put_away(turn: Turn, before_ms: int) -> None:
    """Put orders out of memory that have ended and are wholly told, some while ago; the journal keeps them."""
    state = turn.state
    booked = trades.booked(state)
    for order_id, order in list(state.orders.items()):
        if _latest_ms(state, order) >= before_ms:
            continue
        over = order.ended and not order.incomplete and not order.held and order_id not in state.contradicted
        if over and order_id.isdigit() and order_id not in state.forced and order_id not in booked:
            turn.archived.append((order_id, encode(state.orders.pop(order_id))))
            state.archived_max = max(state.archived_max, rank(order_id))


def _latest_ms(state: State, order: Order) -> int:
    """Give the moment of the exchange's clock of the latest fill of an order, or at which it was heard of last."""
    heard_ms = order.heard_us // 1_000 + (state.offset_ms or 0)
    return max(heard_ms, *[piece.at_ms for piece in order.pieces]) if order.pieces else heard_ms


def rank(order_id: str) -> int:
    """Give an order id's place among the others, for ids rise with their creation; all beyond `RANK_MAX` share that."""
    return min(int(order_id), RANK_MAX)
