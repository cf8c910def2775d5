"""Forced closes: their one profit, told by frames, by income rows, by both or by neither.

What enters: the pieces of forced orders with the `rp` they state, and the facts that income tells of such closes. What
leaves: pieces whose profit is what this ledger books as realised, and which facts belong to which order. What holds:
`rp` and rows are joined per order by sum and never added; what nobody has confirmed is `None`. (account.md §3)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from ditad.incomes import FORCED_INCOMES, GROUP_CHAIN_MS, ROW_BEFORE_MS, IncomeFact
from ditad.money import ZERO, add, exact_sum, sub
from ditad.orders import ForcedClose, Order, Piece


def told_once(close: ForcedClose, pieces: Sequence[Piece]) -> list[Piece]:
    """Note what pieces state, and give them with what they add to the realised profit (`None`: not known yet)."""
    pieces = [replace(piece, stated_pnl=piece.realized_pnl) for piece in pieces]
    close.stated = _sum_or_none(piece.stated_pnl for piece in pieces)
    close.reached = pieces[-1].z1 if pieces else ZERO
    if close.by_row:
        return [replace(piece, realized_pnl=ZERO) for piece in pieces]
    known = [piece for piece in pieces if close.profit is not None and piece.z1 <= close.through]
    untold = [replace(piece, realized_pnl=None) for piece in pieces[len(known) :]]
    if not known or close.profit is None:
        return untold
    *before, last = (replace(piece, realized_pnl=piece.realized_pnl or ZERO) for piece in known)
    rest = sub(close.profit, exact_sum(piece.realized_pnl or ZERO for piece in before))
    return [*before, replace(last, realized_pnl=rest), *untold]


def _sum_or_none(figures: Iterable[Decimal | None]) -> Decimal | None:
    told = list(figures)
    known = [figure for figure in told if figure is not None]
    return exact_sum(known) if told and len(known) == len(told) else None


def assign(orders: Sequence[Order], facts: Iterable[IncomeFact]) -> dict[str, list[IncomeFact]]:
    """Find the forced order that each income restates, of those near it.

    Its trade id tells it, or the sum that the order states, or the second that it is stamped with; else it is of one
    whose sum is not there yet, and of those of the first one without any.
    """
    found: dict[str, list[IncomeFact]] = {order.order_id: [] for order in orders}
    for fact in facts:
        near = [order for order in orders if fact.name in FORCED_INCOMES and _near(order, fact)]
        if near:
            order = min(near, key=lambda order: _strangeness(order, found[order.order_id], fact))
            found[order.order_id].append(fact)
    return found


def _strangeness(order: Order, told: Sequence[IncomeFact], fact: IncomeFact) -> tuple[bool, ...]:
    """Say what speaks against an income being of an order that has these already, most telling first."""
    assert order.close is not None, "forced orders alone are asked for"
    first, last = order.pieces[0].at_ms // 1_000, order.pieces[-1].at_ms // 1_000
    return (
        not any(fact.trade_id in piece.trade_ids for piece in order.pieces),
        order.close.stated != total([*told, fact]),
        not first <= fact.at_ms // 1_000 <= last,
        bool(told) and order.close.stated == total(told),
        bool(told),
    )


def _near(order: Order, fact: IncomeFact) -> bool:
    if fact.symbol != order.symbol or not order.pieces:  # what names no symbol is a happening of its own
        return False
    first, last = order.pieces[0].at_ms, order.pieces[-1].at_ms
    return first - ROW_BEFORE_MS <= fact.at_ms <= last + GROUP_CHAIN_MS


def total(facts: Iterable[IncomeFact]) -> Decimal:
    """Add up what income tells of a close."""
    return exact_sum(fact.amount or ZERO for fact in facts)


def followed(facts: Sequence[IncomeFact], profit: Decimal) -> dict[str, Decimal]:
    """Say what each income counts so that together they are the profit that the wallet followed; only what differs."""
    off = sub(profit, total(facts))
    return {facts[-1].key: add(facts[-1].amount or ZERO, off)} if off else {}
