"""Forced closes into K: which of the profits told of one the wallet followed, booked once.

What enters: the forced orders and incomes of a `Turn`, after its event. What leaves: pieces laid again and incomes
counted by another amount, where the wallet, a row or a decision tells more than was known. What holds: a profit counts
once a row exists or the wallet equals K with it and not without it; it is other income once a row exists, realised
profit until then; which one the wallet follows is journaled once rows must all have come. (account.md §3)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from decimal import Decimal

from ditad.booking import lay, position_key
from ditad.cashflows import apply
from ditad.closes import assign, followed, total
from ditad.incomes import ROW_BEFORE_MS, IncomeFact, follow
from ditad.money import ZERO, add, exact_sum, sub
from ditad.orders import ForcedClose, Order
from ditad.state import State
from ditad.trades import hear_forced, told_by_rows
from ditad.turn import Turn, capital_raw, tolerance

DECISION = "forced_close"
"""The name of what is decided from the wallet: it follows `rp`, or the income row."""

STATED, ROW = "rp", "row"

OPEN_US_MAX = 86_400_000_000
"""A close of which two profits are told waits so long for the wallet's word."""

TRIED_MAX = 8
"""Of closes whose profit is open the oldest this many are tried together, in every selection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """A forced order with its income rows, and what K holds of its profit now."""

    order: Order
    close: ForcedClose
    rows: list[IncomeFact]
    booked: Decimal

    @property
    def choices(self) -> list[Decimal | None]:
        """Give the profits it may have; `None` is none yet."""
        stated, now = self.close.stated, total(self.rows) if self.rows else self.close.profit
        if stated is None or stated == (now or ZERO):
            return [now if stated is None else stated]
        return [now, stated]


def join_forced_closes(turn: Turn) -> None:
    """Let every forced close count once, by what is known of it now."""
    state = turn.state
    if not state.forced:
        return
    orders = [state.orders[order_id] for order_id in state.forced]
    rows = assign(orders, [fact for fact in state.incomes.joined if fact.key not in state.forced_rows])
    before = [(_known(order), told_by_rows(order)) for order in orders]
    closes = [_opened(turn, order, rows[order.order_id]) for order in orders]
    told = _told_by_wallet(turn, closes)
    amounts = {key: amount for key, amount in state.incomes.followed.items() if key in state.forced_rows}
    for one in closes:
        _settle(turn, one, told.get(one.order.order_id))
        if one.rows and one.close.profit is not None:
            amounts |= followed(one.rows, one.close.profit)
    if amounts != state.incomes.followed:
        apply(turn, follow(state.incomes, amounts))
    for order, (known, by_rows) in zip(orders, before, strict=True):
        if _known(order) != known:
            lay(turn, order)
            hear_forced(turn, position_key(turn, order.symbol, order.position_side), order, by_rows)


def _known(order: Order) -> tuple[object, ...]:
    assert order.close is not None, "forced orders alone are listed"
    return order.close.profit, order.close.through, order.close.by_row


def retire(state: State, before_ms: int) -> None:
    """Let go of closes from before this time that are wholly told: neither a row nor the wallet can say more.

    Where `rp` and rows differ the wallet says which it was, once K equals it; so long, but no longer than a day, they wait.
    """
    orders = [state.orders[order_id] for order_id in state.forced]
    rows = assign(orders, [fact for fact in state.incomes.joined if fact.key not in state.forced_rows])
    kept = {fact.key for fact in state.incomes.joined}
    state.forced_rows = [key for key in state.forced_rows if key in kept]
    for order in orders:
        assert order.close is not None, "forced orders alone are listed"
        told = order.close.profit is not None and order.close.through == order.close.reached
        own = rows[order.order_id]
        differ = bool(own) and order.close.stated is not None and order.close.stated != total(own)
        if differ and abs(_missing(state)) > state.sums.slack and order.heard_us > state.at_us - OPEN_US_MAX:
            continue
        if told and order.ended and order.pieces[-1].at_ms < before_ms:
            state.forced.remove(order.order_id)
            state.forced_rows += [fact.key for fact in own]


def rows_from_ms(state: State) -> int | None:
    """Say from when on income rows still tell a close that is not let go; `None`: there is none."""
    orders = [state.orders[order_id] for order_id in state.forced]
    told = [order.pieces[0].at_ms for order in orders if order.close is not None and order.close.by_row]
    return min(told) - ROW_BEFORE_MS if told else None


def _opened(turn: Turn, order: Order, rows: list[IncomeFact]) -> _Open:
    assert order.close is not None, "forced orders alone are listed"
    if order.close.by_row and not rows:  # they turned out to be another's
        order.close.profit, order.close.through, order.close.by_row = None, ZERO, False
    counted = turn.state.incomes.followed
    booked = exact_sum(piece.realized_pnl or ZERO for piece in order.pieces)
    held = exact_sum(counted.get(fact.key, fact.amount or ZERO) for fact in rows)
    return _Open(order=order, close=order.close, rows=rows, booked=add(booked, held))


def _told_by_wallet(turn: Turn, closes: list[_Open]) -> dict[str, Decimal | None]:
    """Find the one selection of profits with which K equals the wallet exactly; nothing if there is none, or several."""
    state = turn.state
    tried = [one.order.order_id for one in closes if len(one.choices) > 1][:TRIED_MAX]
    choices = [one.choices if one.order.order_id in tried else one.choices[:1] for one in closes]
    missing, slack = add(_missing(state), exact_sum(one.booked for one in closes)), state.sums.slack
    found = [
        chosen
        for chosen in itertools.product(*choices)
        if abs(sub(missing, exact_sum(amount or ZERO for amount in chosen))) <= slack
    ]
    if len(found) == 1:
        return {one.order.order_id: amount for one, amount in zip(closes, found[0], strict=True)}
    return _moved(turn, [one for one in closes if not one.rows and one.close.through < one.close.reached])


def _missing(state: State) -> Decimal:
    """Give how much more the wallet is than K; K beginning with another seed than the wallet was is as equal as it can be."""
    assert state.stated.wallet is not None, "a baseline states the wallet"
    assert state.baseline is not None, "facts are folded after a baseline"
    return add(sub(state.stated.wallet.value, capital_raw(state)), sub(state.seed, state.baseline.wallet))


def _moved(turn: Turn, waiting: list[_Open]) -> dict[str, Decimal | None]:
    """Read a single close's profit off the wallet's movement, under Funding's conditions.

    The push before equalled K without the close, nothing else is unknown, in flight or in a gap. Where another difference
    has been confirmed, that it stood before the close as it was is as good as being equal.
    """
    state = turn.state
    statements, wallet = state.wallet_twins.statements, state.stated.wallet
    if len(waiting) != 1 or len(statements) != 2 or wallet is None or wallet.source != "push":
        return {}
    (one,) = waiting
    fresh = [piece for piece in one.order.pieces if piece.z1 > one.close.through]
    own = {f"fill:{one.order.order_id}:{piece.z1}" for piece in fresh}
    fees = [piece.fee for piece in fresh if piece.fee is not None]
    if state.coverage.is_open() or state.incomplete or state.unknown.keys() != own or len(fees) < len(fresh):
        return {}
    paid = exact_sum(fees)
    before, after = (statement.value for statement in statements)
    off, known = sub(add(capital_raw(state), paid), before), state.wallet_twins.confirmed or ZERO
    if min(abs(off), abs(sub(off, known))) > tolerance(turn):
        return {}
    return {one.order.order_id: exact_sum([one.close.profit or ZERO, sub(after, before), paid])}


def _settle(turn: Turn, one: _Open, told: Decimal | None) -> None:
    """Take a close's profit: as the wallet tells, else as it was, else by its rows as was decided."""
    close, rows = one.close, one.rows
    if not rows:
        if told is None and close.stated == ZERO and _rows_are_complete(turn, one.order):
            told = ZERO  # what is nothing has no row, and none came
        if told is not None and (told != close.profit or told == close.stated):
            close.profit, close.through = told, close.reached
        return
    row_sum = total(rows)
    if told is None and close.by_row and close.profit in one.choices:
        told = close.profit
    elif told is None:
        told = close.stated if turn.state.decisions.get(DECISION) == STATED else row_sum
    elif len(one.choices) > 1 and _rows_are_complete(turn, one.order):
        kind = ROW if told == row_sum else STATED
        turn.decide(DECISION, kind, f"order {one.order.order_id}: the wallet equals K with {told} alone")
    close.profit = row_sum if told is None else told
    close.through, close.by_row = close.reached, True


def _rows_are_complete(turn: Turn, order: Order) -> bool:
    """Say whether every income row of an order must have come."""
    return order.pieces[-1].at_ms <= turn.state.coverage.income_ms - turn.settings.income_lag_ms
