"""What income alone tells of fills, into K: profits that no fill history told, and fees likewise.

What enters: the fills and income rows of a `Turn`, at the end of a round of questions. What leaves: orders laid again.
What holds: a second is judged only when its fills and its income were both asked about to the end (report lags passed),
nothing of it is kept no more, and it lies wholly after the baseline; what is not proven stays unknown.
(account.md §3, Transfers and other income)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from ditad.booking import lay
from ditad.events import PositionSide, Side
from ditad.money import ZERO, add, exact_sum
from ditad.orders import Money, Order, Piece, interval
from ditad.state import State
from ditad.turn import Turn, baseline_second_ms, owns
from ditad.witnesses import PROFIT, Restated, Witness, amounts_of, told_fees, told_profits

FRAME_LATE_MS = 2_000
"""A frame may be stamped up to this after its execution: a fill that only frames told may be of an earlier second."""


@dataclass(slots=True, kw_only=True)
class _Second:
    """The fills of one symbol and second; `unsure`: one that may be of it has no row that says so."""

    fills: list[tuple[Order, Piece]] = field(default_factory=list)
    executions: int = 0
    unsure: bool = False


def hear_restated(turn: Turn) -> None:
    """Take profits and fees that nobody told from the income rows of their second, where these prove them."""
    state = turn.state
    lacking = dict.fromkeys(told.order_id for told in state.unknown.values() if told.order_id is not None)
    orders = [state.orders[order_id] for order_id in lacking if order_id in state.orders]
    wanted = {
        (order.symbol, second)
        for order in orders
        if owns(state, order.symbol)
        for piece, second in _placed(order)
        if (piece.fee is None or piece.realized_pnl is None) and _is_asked(turn, second)
    }
    changed: dict[str, Order] = {}
    for (symbol, second), found in _seconds(state, wanted).items():
        told = state.witnesses.get(f"{symbol}|{second}", [])
        for order, piece, money in _told(state, found, told):
            order.restated[interval(piece)] = money
            changed[order.order_id] = order
    for order in changed.values():
        lay(turn, order)


def _is_asked(turn: Turn, second: int) -> bool:
    """Say whether all that can be told of a second must have come, and nothing of it is out of reach."""
    state, (fills_lag, income_lag) = turn.state, turn.lags_ms
    coverage, begin_ms, end_ms = state.coverage, second * 1_000, (second + 1) * 1_000
    lost = any(gap.from_ms < end_ms and begin_ms < until for gap in coverage.gaps for until in gap.beyond.values())
    return (
        coverage.income_available
        and begin_ms > max(baseline_second_ms(turn), state.relieved_ms)
        and end_ms + fills_lag <= coverage.fills_ms
        and end_ms + income_lag <= coverage.income_ms
        and not lost
    )


def _placed(order: Order) -> list[tuple[Piece, int]]:
    """Give the pieces of an order with the second that its rows, a complete set, say they were executed in."""
    z = order.unkept.quantity if order.unkept is not None else ZERO
    if add(z, exact_sum(row.quantity for row in order.rows)) != order.known:
        return []
    spans: list[tuple[Decimal, Decimal, int]] = []
    for second, rows in itertools.groupby(order.rows, key=lambda row: row.at_ms // 1_000):
        begin, z = z, add(z, exact_sum(row.quantity for row in rows))
        spans.append((begin, z, second))
    return [
        (piece, second)
        for piece in order.pieces
        for begin, end, second in spans
        if begin <= piece.z0 and piece.z1 <= end
    ]


def _seconds(state: State, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], _Second]:
    """Gather everything that was executed in the wanted seconds."""
    found = {key: _Second() for key in sorted(wanted)}
    symbols = {symbol for symbol, _ in wanted}
    for order in state.orders.values():
        if order.symbol not in symbols:
            continue
        for row in order.rows:
            if (order.symbol, row.at_ms // 1_000) in found:
                found[order.symbol, row.at_ms // 1_000].executions += 1
        placed = _placed(order)
        for piece, second in placed:
            if (order.symbol, second) in found:
                found[order.symbol, second].fills.append((order, piece))
        sure = {piece.z1 for piece, _ in placed}
        for piece in order.pieces:
            if piece.z1 not in sure:
                for second in range((piece.at_ms - FRAME_LATE_MS) // 1_000, piece.at_ms // 1_000 + 1):
                    if (order.symbol, second) in found:
                        found[order.symbol, second].unsure = True
    return found


def _told(state: State, found: _Second, told: list[Witness]) -> Iterable[tuple[Order, Piece, Money]]:
    """Give what the rows of a second prove of its fills.

    A forced close tells its profit by a row of its own type as well as not: beside it only what needs no row is proven.
    """
    forced = any(order.is_forced for order, _ in found.fills)
    if found.unsure or (forced and (len(found.fills) > 1 or not amounts_of(told, PROFIT))):
        return
    fills = [Restated(piece=piece, opens=_opens(state, order)) for order, piece in found.fills]
    profits = told_profits(fills, told, found.executions)
    fees = told_fees(fills, told, found.executions)
    for place in sorted(profits.keys() | fees.keys()):
        order, piece = found.fills[place]
        known = order.restated.get(interval(piece), Money())
        yield (
            order,
            piece,
            Money(fee=fees.get(place, known.fee), realized_pnl=profits.get(place, known.realized_pnl)),
        )


def _opens(state: State, order: Order) -> bool:
    """Say whether an order can only open: in hedge mode its side and that of its position say so."""
    hedged = not state.one_way and order.position_side is not PositionSide.BOTH
    return hedged and (order.side is Side.BUY) == (order.position_side is PositionSide.LONG)
