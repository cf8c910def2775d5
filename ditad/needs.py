"""What the fold cannot know by itself, as a value: the audit turns it into questions.

What enters: the fold's state. What leaves: `Needs`. What holds: the same state needs the same things.
"""

from __future__ import annotations

from ditad import fills
from ditad.events import NO_NEEDS, Needs, OrderNeed
from ditad.state import State


def symbols_of(state: State) -> tuple[str, ...]:
    """Give every symbol the account has to do with, in this ledger."""
    symbols = {position.symbol for position in state.positions.values()}
    symbols.update(order.symbol for order in state.orders.values())
    symbols.update(stated.symbol for stated in state.stated.positions.values())
    symbols.update(group_row.symbol for group in state.incomes.groups for group_row in group.rows if group_row.symbol)
    symbols.update(key.partition("|")[0] for key in state.witnesses)
    return tuple(sorted(symbols))


def needs_of(state: State) -> Needs:
    """Turn what the fold lacks into a value that the audit can plan from."""
    if state.baseline is None or state.settings is None:
        return NO_NEEDS
    wanted = [inquiry.since_us for inquiry in state.inquiries.values() if not inquiry.confirmed]
    if state.coverage.is_open() and state.streaming:
        ended = [gap.opened_us for gap in state.coverage.gaps if gap.to_ms is not None]
        wanted.append(max([state.connected_us, *ended]))
    after_us = max(wanted, default=None)
    return Needs(
        baseline=False,
        statements_after_us=after_us,
        facts_after_us=after_us,
        fills_from_ms=state.coverage.fills_ms,
        income_from_ms=state.coverage.income_ms,
        orders=tuple(_order_need(state, order_id) for order_id in state.incomplete),
        symbols=symbols_of(state),
    )


def _order_need(state: State, order_id: str) -> OrderNeed:
    assert state.baseline is not None, "orders are needed after a baseline"
    order = state.orders[order_id]
    created = fills.created_ms(order_id)
    return OrderNeed(
        order_id=order_id, symbol=order.symbol, from_ms=created if created is not None else state.baseline.taken_ms
    )
