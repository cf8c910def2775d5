"""What exact witnesses say of fills: the TRADING_FEE and REALIZED_PNL rows of a second, and the fills they restate.

What enters: the fills of one symbol and second, what the rows tell, the account's fee rates. What leaves: the exact fee
of each fill whose fee a fill history rounded, the profit of each fill that a history did not tell, or nothing. What
holds: a sum alone never decides how two unknown amounts share it; of fees each must be its quote at a known rate, and
then all together must be what the rows tell; of profits each must have its own row.
(account.md §3, Transfers and other income)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from itertools import pairwise

from ditad.money import DERIVED, ZERO, exact_sum, mul, sub
from ditad.orders import Piece

FEE, PROFIT = "TRADING_FEE", "REALIZED_PNL"
"""The types of income rows that restate fills."""

FEE_STEP = Decimal("1e-8")
"""Fees move the wallet in steps of this; whether they are cut or rounded to it is tried both ways (bingx.md §4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """An income row that restates a fill; `amount` as K counts it: a fee is positive when paid, a profit when received."""

    kind: str
    amount: Decimal
    trade_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restated:
    """A fill whose second is known; `opens` says that it can only open, and so has no profit but 0."""

    piece: Piece
    opens: bool


def begins_ms(second: str) -> int:
    """Give the moment at which a second begins that witnesses are kept by: ``SYMBOL|SECONDS``."""
    return int(second.rpartition("|")[2]) * 1_000


def amounts_of(told: Sequence[Witness], kind: str) -> list[Decimal]:
    """Give the amounts of one type of row."""
    return [row.amount for row in told if row.kind == kind]


def proven_fees(pieces: Sequence[Piece], told: Sequence[Witness], rates: Sequence[Decimal]) -> dict[int, Decimal]:
    """Give the exact fees of the pieces whose fee is rounded, by their place, as far as the rows of their second prove them.

    A row that names one of a piece's trades is that trade's; the others share what is left.
    """
    left = [row for row in told if row.kind == FEE]
    named: dict[int, Decimal] = {}
    for place, piece in enumerate(pieces):
        own = [row for row in left if row.trade_id in piece.trade_ids] if piece.fee_slack else []
        fee = exact_sum(row.amount for row in own)
        if own and sorted(piece.trade_ids) == sorted(row.trade_id or "" for row in own) and _may_be(piece, fee):
            named[place] = fee
            left = [row for row in left if row not in own]
    others = [place for place in range(len(pieces)) if place not in named]
    exact = exact_fees([pieces[place] for place in others], [row.amount for row in left], rates)
    return named | dict(
        zip([place for place in others if pieces[place].fee_slack], exact or (), strict=exact is not None)
    )


def exact_fees(pieces: Sequence[Piece], told: Sequence[Decimal], rates: Sequence[Decimal]) -> list[Decimal] | None:
    """Give the exact fees of the pieces whose fee is rounded, in their order; `None` where that is not proven."""
    rounded = [piece for piece in pieces if piece.fee_slack]
    fees = [piece.fee for piece in pieces]
    if not rounded or any(fee is None for fee in fees):
        return None
    alone = _one_to_one(pieces, told)
    if alone is not None:
        return [fee for piece, fee in zip(pieces, alone, strict=True) if piece.fee_slack]
    due = sub(
        exact_sum(told), exact_sum(piece.fee for piece in pieces if not piece.fee_slack and piece.fee is not None)
    )
    ways = [[_at_a_rate(piece, rates, rounding) for piece in rounded] for rounding in (ROUND_DOWN, ROUND_HALF_EVEN)]
    if len(rounded) == 1:
        ways.append([None])  # nobody shares with it
    for way in ways:
        open_ = [place for place, fee in enumerate(way) if fee is None]
        rest = sub(due, exact_sum(fee for fee in way if fee is not None))
        if len(open_) == 1 and _may_be(rounded[open_[0]], rest):
            return [rest if fee is None else fee for fee in way]
        if not open_ and not rest:
            return [fee for fee in way if fee is not None]
    return None


def _one_to_one(pieces: Sequence[Piece], told: Sequence[Decimal]) -> list[Decimal] | None:
    """Give each piece the row that is its own, where there are as many rows and only one way to do it."""
    places = sorted(range(len(pieces)), key=lambda place: pieces[place].fee or ZERO)
    rows = sorted(told)
    if len(rows) != len(pieces) or not all(
        _may_be(pieces[place], fee) for place, fee in zip(places, rows, strict=True)
    ):
        return None
    for (place, fee), (after, next_fee) in pairwise(zip(places, rows, strict=True)):
        if fee != next_fee and _may_be(pieces[place], next_fee) and _may_be(pieces[after], fee):
            return None
    fees = dict(zip(places, rows, strict=True))
    return [fees[place] for place in range(len(pieces))]


def _at_a_rate(piece: Piece, rates: Sequence[Decimal], rounding: str) -> Decimal | None:
    """Give the one fee that the piece's quote has at a known rate, as far as its rounded fee allows."""
    if not piece.single or piece.quote_slack:
        return None
    fees = {mul(piece.quote, rate).quantize(FEE_STEP, rounding=rounding, context=DERIVED) for rate in rates}
    possible = [fee for fee in fees if _may_be(piece, fee)]
    return possible[0] if len(possible) == 1 else None


def _may_be(piece: Piece, fee: Decimal) -> bool:
    return piece.fee is not None and abs(sub(fee, piece.fee)) <= piece.fee_slack


def told_profits(fills: Sequence[Restated], told: Sequence[Witness], executions: int) -> dict[int, Decimal]:
    """Give the profits that the fills of one second lack, by their place, as far as their rows prove them.

    `told` are all rows of that second, `executions` is of how many it is known: more rows than that tell of a fill that
    nobody else told, and then they prove nothing. A fill without profit has no row.
    """
    open_ = [place for place, fill in enumerate(fills) if fill.piece.realized_pnl is None]
    profits = {place: ZERO for place in open_ if fills[place].opens}
    closing = [place for place in open_ if place not in profits]
    rows = _beside_known([fill.piece for fill in fills], amounts_of(told, PROFIT))
    if rows is None or max(len(amounts_of(told, kind)) for kind in (FEE, PROFIT)) > executions:
        return profits
    if len(closing) == 1:
        return profits | {closing[0]: exact_sum(rows)}
    if not rows:
        return profits | dict.fromkeys(closing, ZERO)
    if len(rows) == len(closing) and len(set(rows)) == 1:
        return profits | dict.fromkeys(closing, rows[0])
    return profits | _by_trade([fill.piece for fill in fills], closing, told, rows)


def told_fees(fills: Sequence[Restated], told: Sequence[Witness], executions: int) -> dict[int, Decimal]:
    """Give the one fee of a second that nobody told, by its place, if each execution has its row and all else is exact."""
    open_ = [place for place, fill in enumerate(fills) if fill.piece.fee is None]
    fees = amounts_of(told, FEE)
    if len(open_) != 1 or len(fees) != executions or any(fill.piece.fee_slack for fill in fills):
        return {}
    return {open_[0]: sub(exact_sum(fees), exact_sum(fill.piece.fee for fill in fills if fill.piece.fee is not None))}


def _beside_known(pieces: Sequence[Piece], profits: Sequence[Decimal]) -> list[Decimal] | None:
    """Give the rows that are left when each known profit has taken its own; `None` if one does not find it."""
    left = list(profits)
    for piece in pieces:
        for profit in [part.realized_pnl for part in piece.parts] if piece.parts else [piece.realized_pnl]:
            if profit and profit not in left:
                return None
            if profit:
                left.remove(profit)
    return left


def _by_trade(
    pieces: Sequence[Piece], closing: Sequence[int], told: Sequence[Witness], rows: Sequence[Decimal]
) -> dict[int, Decimal]:
    """Give each closing fill the row of its own trade: the trade whose fee can be this fill's alone."""
    trades: dict[int, str | None] = {}
    for place in closing:
        fitting = {row.trade_id for row in told if row.kind == FEE and _may_be(pieces[place], row.amount)}
        named = {row.trade_id for row in told if row.trade_id is not None and row.trade_id in pieces[place].trade_ids}
        trades[place] = next(iter(named or fitting)) if len(named or fitting) == 1 else None
    found = set(trades.values())
    if None in found or len(found) < len(closing):
        return {}
    own = {
        place: exact_sum(row.amount for row in told if row.kind == PROFIT and row.trade_id == trade)
        for place, trade in trades.items()
    }
    return own if exact_sum(own.values()) == exact_sum(rows) else {}
