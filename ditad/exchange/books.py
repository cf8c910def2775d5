"""The exchange's own exact books of one account: wallet, positions and what they were made of.

Enters: executions, funding, transfers and other income, each with its final amount. Leaves: the
outcome of each (stated profit, the positions it touched) and, at any time, the sums. Truths held:
- wallet = opening + realised profit − fees − funding + transfers + other income, to the last digit;
- leverage enters nowhere; profit is (exit − entry)·quantity with the side's sign;
- a position keeps its average entry as an exact fraction, so that no rounding adds up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from ditad.exchange.amounts import (
    ENTRY_DECIMALS_MAX,
    EXACT,
    WALLET_DECIMALS,
    cut_to_wallet,
    ratio_rounded,
    round_to_tick,
    round_to_wallet,
    rounded,
)

# An entry that was averaged for long grows a long denominator; past this many bits it is cut to
# sixty decimals, which no comparison at eighteen decimals can see.
ENTRY_DENOMINATOR_BITS_MAX: Final = 4096
ENTRY_CUT_DECIMALS: Final = 60


class Side(StrEnum):
    """The side of an order."""

    BUY = "BUY"
    SELL = "SELL"


class PositionSide(StrEnum):
    """The side of a position; BOTH is the one position of a symbol in one-way mode."""

    LONG = "LONG"
    SHORT = "SHORT"
    BOTH = "BOTH"


class VenueError(Exception):
    """The venue refuses what its bot asked for; the message says what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """An open position. `side` is LONG or SHORT also in one-way mode, `qty` is above zero."""

    symbol: str
    side: PositionSide
    qty: Decimal
    entry: Fraction
    entry_price: Decimal  # the entry to eighteen decimals
    position_id: int
    realized_net: Decimal  # `cr`: realised so far including fees
    updated_ms: int

    @property
    def direction(self) -> int:
        """+1 for LONG, −1 for SHORT."""
        return 1 if self.side is PositionSide.LONG else -1

    def unrealized(self, mark: Decimal) -> Decimal:
        """Give the profit that closing at `mark` would realise, on the wallet's grid."""
        return _profit_of(self.entry, mark, self.qty, self.direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What moved the wallet since the account's opening; fees and funding are positive when paid."""

    realized_pnl: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    funding: Decimal = Decimal(0)
    transfers: Decimal = Decimal(0)
    other_income: Decimal = Decimal(0)
    fills: int = 0

    def since(self, earlier: Sums) -> Sums:
        """Give what was added after `earlier`."""
        return Sums(**{f.name: getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)})

    @property
    def net(self) -> Decimal:
        """What the wallet gained through all of them."""
        return self.realized_pnl - self.fees - self.funding + self.transfers + self.other_income


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one execution did: its stated profit, its fee, what the wallet gained, and the position after it."""

    realized_pnl: Decimal
    gained: Decimal  # what the wallet followed
    fee: Decimal
    after: Position | None


class Books:
    """One account's ledger; every change goes through one of its five verbs."""

    def __init__(self, *, opening: Decimal, hedge: bool) -> None:
        """Open with a wallet balance on the wallet's grid, in hedge or one-way mode."""
        assert opening == round_to_wallet(opening), "the opening balance has eight decimals at most"
        self.hedge = hedge
        self.opening = opening
        self.wallet = opening
        self.sums = Sums()
        self.positions: dict[tuple[str, PositionSide], Position] = {}
        self._next_position_id = 1_792_480_725_958_881_280

    def fee_of(self, *, qty: Decimal, price: Decimal, rate: Decimal) -> Decimal:
        """Compute a commission as the exchange does: cut down to eight decimals."""
        return cut_to_wallet(EXACT.multiply(EXACT.multiply(qty, price), rate))

    def execute(
        self,
        *,
        symbol: str,
        side: Side,
        position_side: PositionSide,
        qty: Decimal,
        price: Decimal,
        fee: Decimal,
        profit_tick: Decimal | None,
        profit_to_other: bool = False,
        moved: Callable[[Decimal], Decimal] | None = None,
        now_ms: int,
    ) -> Outcome:
        """Book one execution; `profit_tick` rounds the entry that profit is computed from.

        `profit_to_other` books the profit as other income: a forced close that an income row tells.
        `moved` says what the wallet gains by a stated profit, where that is not the same.
        Raises `VenueError` for a close beyond what is open in hedge mode.
        """
        key = self.key_of(symbol, position_side)
        held = self.positions.get(key)
        opens = self._opening_side(side, position_side)
        closing = Decimal(0) if held is None or held.side is opens else min(held.qty, qty)
        if self.hedge and self._closes(side, position_side) and closing < qty:
            message = f"close at most {held.qty if held else 0} of {symbol} {position_side}"
            raise VenueError(message)
        profit = Decimal(0)
        after = held
        if held is not None and closing:
            profit = _profit(held, qty=closing, price=price, profit_tick=profit_tick)
            after = self._reduced(held, closing, now_ms)
        if qty > closing:
            after = self._grown(after, symbol, opens, qty - closing, price, now_ms)
        gained = profit if moved is None else moved(profit)
        if after is None:
            self.positions.pop(key, None)
        else:
            net = after.realized_net + gained - fee
            after = self.positions[key] = replace(after, realized_net=net)
        self._book(
            realized_pnl=Decimal(0) if profit_to_other else gained,
            other_income=gained if profit_to_other else Decimal(0),
            fees=fee,
            fills=1,
        )
        return Outcome(realized_pnl=profit, gained=gained, fee=fee, after=after)

    def pay_funding(self, amount: Decimal) -> None:
        """Book funding; positive is paid, negative received."""
        self._book(funding=amount)

    def transfer(self, amount: Decimal) -> None:
        """Book money that came in (positive) or went out."""
        self._book(transfers=amount)

    def other(self, amount: Decimal) -> None:
        """Book any other income; positive is in."""
        self._book(other_income=amount)

    def key_of(self, symbol: str, position_side: PositionSide) -> tuple[str, PositionSide]:
        """Say where a position is kept; one-way mode has one place per symbol."""
        if self.hedge == (position_side is PositionSide.BOTH):
            wanted = "LONG or SHORT in hedge mode" if self.hedge else "BOTH in one-way mode"
            message = f"position_side {position_side} does not exist here: use {wanted}"
            raise VenueError(message)
        return (symbol, position_side)

    def _opening_side(self, side: Side, position_side: PositionSide) -> PositionSide:
        if position_side is not PositionSide.BOTH:
            return position_side if not self._closes(side, position_side) else _other(position_side)
        return PositionSide.LONG if side is Side.BUY else PositionSide.SHORT

    @staticmethod
    def _closes(side: Side, position_side: PositionSide) -> bool:
        return (side, position_side) in {
            (Side.SELL, PositionSide.LONG),
            (Side.BUY, PositionSide.SHORT),
        }

    @staticmethod
    def _reduced(held: Position, closing: Decimal, now_ms: int) -> Position | None:
        if closing == held.qty:
            return None
        return replace(held, qty=held.qty - closing, updated_ms=now_ms)

    def _grown(
        self,
        held: Position | None,
        symbol: str,
        side: PositionSide,
        qty: Decimal,
        price: Decimal,
        now_ms: int,
    ) -> Position:
        if held is None:
            self._next_position_id += 1
            return Position(
                symbol=symbol,
                side=side,
                qty=qty,
                entry=Fraction(price),
                entry_price=price,
                position_id=self._next_position_id,
                realized_net=Decimal(0),
                updated_ms=now_ms,
            )
        quote = held.entry * Fraction(held.qty) + Fraction(price) * Fraction(qty)
        entry = quote / Fraction(held.qty + qty)
        if entry.denominator.bit_length() > ENTRY_DENOMINATOR_BITS_MAX:
            entry = Fraction(rounded(entry, ENTRY_CUT_DECIMALS))
        shown = rounded(entry, ENTRY_DECIMALS_MAX)
        return replace(held, qty=held.qty + qty, entry=entry, entry_price=shown, updated_ms=now_ms)

    def _book(
        self,
        *,
        realized_pnl: Decimal = Decimal(0),
        fees: Decimal = Decimal(0),
        funding: Decimal = Decimal(0),
        transfers: Decimal = Decimal(0),
        other_income: Decimal = Decimal(0),
        fills: int = 0,
    ) -> None:
        before = self.sums
        self.sums = Sums(
            realized_pnl=before.realized_pnl + realized_pnl,
            fees=before.fees + fees,
            funding=before.funding + funding,
            transfers=before.transfers + transfers,
            other_income=before.other_income + other_income,
            fills=before.fills + fills,
        )
        self.wallet += realized_pnl - fees - funding + transfers + other_income
        assert self.wallet == self.opening + self.sums.net, "the wallet left its own sums"
        assert self.wallet == round_to_wallet(self.wallet), "the wallet left its grid"


def _profit(held: Position, *, qty: Decimal, price: Decimal, profit_tick: Decimal | None) -> Decimal:
    entry = held.entry if profit_tick is None else round_to_tick(held.entry, profit_tick)
    return _profit_of(entry, price, qty, held.direction)


def _profit_of(entry: Fraction | Decimal, price: Decimal, qty: Decimal, direction: int) -> Decimal:
    """Compute (price − entry)·qty·direction in integers, which is many times faster than in fractions."""
    entry_top, entry_bottom = entry.as_integer_ratio()
    price_top, price_bottom = price.as_integer_ratio()
    qty_top, qty_bottom = qty.as_integer_ratio()
    top = (price_top * entry_bottom - entry_top * price_bottom) * qty_top * direction
    return ratio_rounded(top, price_bottom * entry_bottom * qty_bottom, WALLET_DECIMALS)


def _other(side: PositionSide) -> PositionSide:
    return PositionSide.SHORT if side is PositionSide.LONG else PositionSide.LONG
