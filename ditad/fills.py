"""Fills heard: order frames, fill rows and order reports, each execution counted once.

What enters: bodies of events, on a `Turn`. What leaves: orders with that evidence, laid again (`ditad.booking`). What
holds: rows and the quantity that makes them a complete set are heard together; an order that began before the baseline
is asked about before it is folded (`ditad.beginnings`). (account.md §3)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from ditad.beginnings import began_before, hear_unkept, release
from ditad.booking import contradict, lay, note_incomplete, rebook
from ditad.events import Contract, FillRow, FillsReport, OrderPush, OrderRow, OrdersReport, PositionSide, Question
from ditad.money import ZERO, exact_sum, mul
from ditad.orders import Order, Piece, hear_forced, hear_rows, order_from
from ditad.orders import hear_push as hear_order_push
from ditad.settle import Twins, settle_at
from ditad.turn import Turn, baseline_second_ms
from ditad.witnesses import begins_ms, proven_fees

COVERED_AWAY_MS = 2_000
"""So far a baseline's time may be from the frames', for it is read off our clock."""


def hear_mode(turn: Turn, sides: Iterable[PositionSide]) -> None:
    """Learn from a side of `BOTH` that the account is in one-way mode: what was kept by side becomes one, signed."""
    state, both = turn.state, PositionSide.BOTH
    if state.one_way or both not in sides:
        return
    state.one_way = True
    stated, twins = state.stated.positions, state.quantity_twins

    def open_first(key: str) -> tuple[bool, str]:
        held = key in state.positions and state.positions[key].run.quantity
        return not (held or (key in stated and stated[key].quantity)), key

    for key in sorted({*state.positions, *stated}, key=open_first):
        symbol, _, side = key.rpartition(":")
        new = f"{symbol}:{both}"
        if new in state.positions or new in stated:
            continue
        sign = Decimal(-1 if side == PositionSide.SHORT else 1)
        position = state.positions.pop(key, None)
        if position is not None:
            base = replace(position.base, quantity=mul(position.base.quantity, sign))
            state.positions[new] = replace(position, side=both, base=base, fills=[], runs=[])
            state.positions[new].change(removed=(), added=position.fills)
        said = stated.pop(key, None)
        if said is not None:
            stated[new] = replace(said, side=both, quantity=mul(said.quantity, sign))
        twins.pop(key, None)
        twins[new] = Twins()
        settle_at(twins[new], stated[new].quantity if said is not None else ZERO)
    turn.changed = True


def hear_contracts(turn: Turn, contracts: Iterable[Contract]) -> None:
    """Learn the price steps, and read again what was read without; those that nobody tells again stay known."""
    state = turn.state
    known = {symbol: contract.tick for symbol, contract in state.contracts.items()}
    state.contracts |= {contract.symbol: contract for contract in contracts}
    fresh = {symbol: one.tick for symbol, one in state.contracts.items() if known.get(symbol) != one.tick}
    for position in state.positions.values():
        if position.symbol in fresh:
            position.learn_tick(fresh[position.symbol])
    for order in list(state.orders.values()):
        if order.symbol in fresh and (order.incomplete or any(piece.quote_slack for piece in order.pieces)):
            lay(turn, order)


def fold_order_push(turn: Turn, push: OrderPush) -> None:
    """Fold an order frame: what its `z` proves and nobody covered becomes facts."""
    state = turn.state
    hear_mode(turn, {push.position_side})
    order = state.orders.get(push.order_id)
    if order is None:
        order = order_from(push)
        order.held = began_before(turn, push.order_id)
        state.orders[push.order_id] = order
    order.heard_us = turn.event.at_us
    assert state.baseline is not None, "facts are folded after a baseline"
    changed, contradiction = hear_order_push(order, push, covered_ms=state.baseline.taken_ms + COVERED_AWAY_MS)
    if contradiction:
        contradict(turn, order, contradiction)
    if changed:
        lay(turn, order)


def fold_fills_report(turn: Turn, report: FillsReport) -> None:
    """Lay the rows of a completed question on their orders' axes; rows from before the baseline are no facts."""
    state = turn.state
    assert state.baseline is not None, "facts are folded after a baseline"
    hear_mode(turn, {row.position_side for row in report.rows})
    if report.order_id is None:
        known = state.round.fills.get(report.symbol)
        state.round.fills[report.symbol] = report.to_ms if known is None else max(known, report.to_ms)
        earliest = state.round.fills_from.get(report.symbol)
        state.round.fills_from[report.symbol] = report.from_ms if earliest is None else min(earliest, report.from_ms)
        state.round.fill_rows += len(report.rows)
    rows = sorted(report.rows, key=lambda row: int(row.order_id) if row.order_id.isdigit() else 0)
    for order_id, grouped in itertools.groupby(rows, key=lambda row: row.order_id):
        _fold_rows(turn, order_id, list(grouped))
    if report.order_id is not None and report.order_id in state.orders:
        order = state.orders[report.order_id]
        hear_unkept(turn, order, report)
        release(turn, order, report)
    witness_fees(turn)


def _fold_rows(turn: Turn, order_id: str, rows: list[FillRow]) -> None:
    state = turn.state
    assert state.baseline is not None, "facts are folded after a baseline"
    order = state.orders.get(order_id)
    if order is None:
        if all(row.at_ms < baseline_second_ms(turn) for row in rows):
            return
        order = order_from(rows[0])
        order.held = began_before(turn, order_id)
        order.heard_us = turn.event.at_us
        state.orders[order_id] = order
    listed = state.round.listed.pop(order_id, None)
    more = listed is not None and _hear_executed(order, listed, state.round.listed_ms)
    heard = hear_rows(order, rows)
    order.later = exact_sum(row.quantity for row in order.rows if row.at_ms >= baseline_second_ms(turn) + 1_000)
    if heard or more:
        if not order.held:
            lay(turn, order)
        else:
            turn.changed = True
    if order.held:
        note_incomplete(turn, order, "it began before the baseline")


def fold_orders_report(turn: Turn, report: OrdersReport) -> None:
    """Hear what the exchange says was executed of orders that are known or were asked about."""
    state = turn.state
    hear_mode(turn, {row.position_side for row in report.rows})
    if report.question is Question.ORDERS:  # rows and the quantity that makes them a complete set are heard together
        state.round.listed = {row.order_id: row for row in report.rows if row.executed and row.forced is None}
        state.round.listed_ms = report.asked_ms
        return
    for row in report.rows:
        order = state.orders.get(row.order_id)
        if order is None:
            if report.question is Question.FORCED_ORDERS and row.executed:
                order = order_from(row)
                order.held = began_before(turn, row.order_id)
                order.heard_us = turn.event.at_us
                state.orders[row.order_id] = order
            else:
                continue
        if row.forced is not None and order.forced is None:
            order.forced = row.forced
            rebook(turn, order)
            lay(turn, order)
        if not order.ended:
            order.status = row.status
        if _hear_executed(order, row, report.asked_ms):
            if order.is_forced:
                hear_forced(order, row, row.updated_ms or row.created_ms or report.asked_ms)
            if not order.held:
                lay(turn, order)
            turn.changed = True
    witness_fees(turn)


def _hear_executed(order: Order, row: OrderRow, asked_ms: int) -> bool:
    """Take what a report says was executed of an order, and say whether it is more than was known from reports."""
    if row.executed == order.executed and row.average_price is not None:
        order.executed_price = row.average_price
    if order.executed is not None and row.executed <= order.executed:
        return False
    order.executed, order.executed_price, order.executed_ms = row.executed, row.average_price, asked_ms
    return True


def hear_listed(turn: Turn) -> None:
    """Hear, at the end of a round, what was executed of known orders of which no rows came."""
    listed = turn.state.round.listed
    for order_id, row in listed.items():
        order = turn.state.orders.get(order_id)
        if order is None or row.executed <= order.known:
            continue
        _hear_executed(order, row, turn.state.round.listed_ms)
        if not order.held:
            lay(turn, order)
        turn.changed = True


def witness_fees(turn: Turn) -> None:
    """Replace rounded fees by what TRADING_FEE rows tell exactly, per symbol and second."""
    state = turn.state
    if not state.sums.fees_slack or not state.witnesses:
        return
    orders = list(state.orders.values())
    rounded = {_second_of(order, piece) for order in orders for piece in order.pieces if piece.fee_slack}
    found: dict[str, list[tuple[Order, Piece]]] = {
        key: [] for key in state.witnesses if key in rounded and begins_ms(key) > state.relieved_ms
    }
    for order in orders if found else ():
        for piece in order.pieces:
            if (key := _second_of(order, piece)) in found:
                found[key].append((order, piece))
    for key, pieces in found.items():
        proven = proven_fees([piece for _, piece in pieces], state.witnesses[key], state.fee_rates)
        for place, fee in proven.items():
            order, piece = pieces[place]
            order.exact_fees[str(piece.z1)] = fee
        for order in {pieces[place][0].order_id: pieces[place][0] for place in proven}.values():
            lay(turn, order)


def _second_of(order: Order, piece: Piece) -> str:
    """Name the symbol and second of a piece as its witnesses are named."""
    return f"{order.symbol}|{piece.at_ms // 1_000}"
