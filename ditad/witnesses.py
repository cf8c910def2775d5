"""What exact witnesses say of rounded fees: the TRADING_FEE rows of a second, and the fills that they restate.

What enters: the fills of one symbol and second, Σ of what the rows tell, the account's fee rates. What leaves: the
exact fee of each fill whose fee a fill history rounded, or nothing. What holds: a sum alone never decides how two
unknown fees share it; each must be its quote at a known rate, and then all together must be what the rows tell.
(account.md §3, Transfers and other income)
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from itertools import pairwise

from ditad.money import DERIVED, ZERO, exact_sum, mul, sub
from ditad.orders import Piece

FEE_STEP = Decimal("1e-8")
"""Fees move the wallet in steps of this; whether they are cut or rounded to it is tried both ways (bingx.md §4)."""


def exact_fees(pieces: Sequence[Piece], told: Sequence[Decimal], rates: Sequence[Decimal]) -> list[Decimal] | None:
    """Give the exact fees of the pieces whose fee is rounded, in their order; `None` where that is not proven."""
    rounded = [piece for piece in pieces if piece.fee_slack]
    fees = [piece.fee for piece in pieces]
    if not rounded or any(fee is None for fee in fees):
        return None
    alone = _one_to_one(pieces, told)
    if alone is not None:
        return [fee for piece, fee in zip(pieces, alone, strict=True) if piece.fee_slack]
    due = sub(exact_sum(told), exact_sum(piece.fee for piece in pieces if not piece.fee_slack and piece.fee is not None))
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
    if len(rows) != len(pieces) or not all(_may_be(pieces[place], fee) for place, fee in zip(places, rows, strict=True)):
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
