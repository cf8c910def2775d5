"""What the fold cannot know by itself, as a value: the audit turns it into questions.

What enters: the fold's state. What leaves: `Needs`. What holds: the same state needs the same things.
"""

from __future__ import annotations

from collections.abc import Iterable

from ditad.events import (
    NO_NEEDS,
    AccountPush,
    BalanceReport,
    Body,
    BotSettlement,
    BotSlots,
    LeveragePush,
    Marks,
    Needs,
    OrderNeed,
    OrderPush,
    PushRejected,
    QuestionFailed,
    StreamChanged,
    Tick,
)
from ditad.state import State

QUIET = (
    OrderPush,
    AccountPush,
    LeveragePush,
    Marks,
    BalanceReport,
    QuestionFailed,
    StreamChanged,
    PushRejected,
    Tick,
    BotSlots,
    BotSettlement,
)
"""Bodies that let go of no symbol and bring none but those they name, where no ambiguous row is counted meanwhile."""


class Symbols:
    """The symbols of a state, found again only after an event that may have changed them."""

    def __init__(self) -> None:
        self._found: tuple[str, ...] | None = None
        self._ambiguous = 0

    def of(self, state: State) -> tuple[str, ...]:
        """Give what `symbols_of` gives."""
        if self._found is None:
            self._found, self._ambiguous = symbols_of(state), len(state.ambiguous)
        return self._found

    def follow(self, state: State, body: Body, *, let_go: bool = False) -> None:
        """Hear which event the state has folded since, and whether it let go of orders."""
        if self._found is None:
            return
        quiet = isinstance(body, QUIET) and len(state.ambiguous) == self._ambiguous and not let_go
        if not quiet or any(symbol not in self._found for symbol in _named(body)):
            self._found = None


def _named(body: Body) -> Iterable[str]:
    """Give the symbols that a push speaks of."""
    if isinstance(body, OrderPush):
        return (body.symbol,)
    return [line.symbol for line in body.positions] if isinstance(body, AccountPush) else ()


def symbols_of(state: State) -> tuple[str, ...]:
    """Give every symbol the account has to do with, in this ledger."""
    symbols = {position.symbol for position in state.positions.values()}
    symbols.update(order.symbol for order in state.orders.values())
    symbols.update(stated.symbol for stated in state.stated.positions.values())
    symbols.update(group_row.symbol for group in state.incomes.groups for group_row in group.rows if group_row.symbol)
    symbols.update(key.partition("|")[0] for key in state.witnesses)
    return tuple(sorted(symbols))


def needs_of(state: State, symbols: Symbols) -> Needs:
    """Turn what the fold lacks into a value that the audit can plan from; `symbols` follow the state."""
    if state.baseline is None or state.settings is None:
        return NO_NEEDS
    wanted = [inquiry.since_us for inquiry in state.inquiries.values() if not inquiry.confirmed]
    if state.coverage.is_open() and state.streaming:
        ended = [gap.extended_us for gap in state.coverage.gaps if gap.to_ms is not None]
        wanted.append(max([state.connected_us, *ended]))
    after_us = max(wanted, default=None)
    return Needs(
        baseline=False,
        statements_after_us=after_us,
        facts_after_us=after_us,
        # A row may come as late as the lags say: what was asked for up to the watermark is covered only up to here.
        fills_from_ms=state.coverage.fills_ms - state.settings.fills_lag_ms,
        income_from_ms=state.coverage.income_ms - state.settings.income_lag_ms,
        orders=tuple(_order_need(state, order_id) for order_id in state.incomplete),
        symbols=symbols.of(state),
    )


def _order_need(state: State, order_id: str) -> OrderNeed:
    assert state.baseline is not None, "orders are needed after a baseline"
    order = state.orders[order_id]
    created = order.created_ms
    return OrderNeed(
        order_id=order_id, symbol=order.symbol, from_ms=created if created is not None else state.baseline.taken_ms
    )
