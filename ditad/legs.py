"""Trades read off the position book: from flat to flat, with what their fills cost and brought.

What enters: a position's fills in the book's order, the run after each, and the money of each. What leaves: `Trade`s,
those that ended and the one that is open. What holds: the book alone says what a fill opened or closed; every fill
belongs to one trade, a crossing one to two: its profit to the trade that it closes, its fee by quantity; an amount
that nobody told is counted as unknown and never as 0. (account.md §4, §8)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum

from ditad.book import Position
from ditad.events import PositionSide
from ditad.money import DERIVED, ZERO, add, exact_sum, share, sub
from ditad.orders import Order, Piece
from ditad.stepping import BookFill, Run

ORDERS_MAX = 32
"""A trade names so many of its orders: the first ones, and always the last."""

FILL, FLIP = "fill", "flip"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMoney:
    """What is told of a fill's money; `None` is not told. `slack` is what rounded sources leave open."""

    fee: Decimal | None
    profit: Decimal | None
    slack: Decimal
    forced: str = ""


MoneyOf = Callable[[BookFill], LegMoney]


class Telling(Enum):
    """What is told of a trade."""

    OPENED = "opened"
    ENDED = "ended"
    CORRECTED = "corrected"
    WITHDRAWN = "withdrawn"


@dataclass(slots=True, kw_only=True)
class Trade:
    """A position from flat to flat, so far.

    `first` and `last` name the fills that opened and ended it (``""``: it was open before this ledger; it is open).
    `pool` is what opening cost of what is still open, `parts` the net of what was closed, by quantity. `unknown` counts
    fills of which an amount is not told. `covered`: open before this ledger, so its money counts since `since_ms`.
    `uncertain`: a crossing left its prices unknown. `own_id` is ours, `trade_id` the bot's name for it; `seq` is the
    record that told its end, at `told_us`, `told` what that said, `counted` its net as it was counted last; `settled`
    says that the book no longer holds its fills.
    """

    short: bool
    first: str
    last: str = ""
    since_ms: int
    opened_ms: int | None
    closed_ms: int | None = None
    held: Decimal = ZERO
    held_max: Decimal = ZERO
    opened: Decimal = ZERO
    opened_quote: Decimal = ZERO
    closed: Decimal = ZERO
    closed_quote: Decimal = ZERO
    gross: Decimal = ZERO
    fees: Decimal = ZERO
    slack: Decimal = ZERO
    pool: Decimal = ZERO
    parts: Decimal = ZERO
    unknown: int = 0
    orders: list[str] = field(default_factory=list)
    more_orders: bool = False
    came: str = FILL
    went: str = FILL
    covered: bool = False
    uncertain: bool = False
    own_id: str = ""
    trade_id: str = ""
    seq: int | None = None
    told: str = ""
    told_us: int = 0
    counted: Decimal = ZERO
    settled: bool = False

    @property
    def net(self) -> Decimal:
        """Give Σ profits − Σ fees of what was told."""
        return sub(self.gross, self.fees)

    @property
    def side(self) -> PositionSide:
        """Give its direction."""
        return PositionSide.SHORT if self.short else PositionSide.LONG


@dataclass(slots=True, kw_only=True)
class TradeBook:
    """The trades of one position.

    `carried` is the one that is open at the book's base, `open` the one that is open now; `ended` are those told, oldest
    first. `walked` fills of the book are counted in, and `at` is the run after the last of them.
    """

    carried: Trade | None = None
    open: Trade | None = None
    ended: list[Trade] = field(default_factory=list)
    walked: int = 0
    at: Run = field(default_factory=Run)


@dataclass(slots=True, kw_only=True)
class Trades:
    """All of them by the position's key; `ended` is the net of all that ended, `forced` what rows told of forced closes."""

    books: dict[str, TradeBook] = field(default_factory=dict)
    ended: Decimal = ZERO
    forced: Decimal = ZERO

    def all(self) -> Iterator[Trade]:
        """Give every trade that is remembered."""
        for book in self.books.values():
            yield from book.ended
            yield from (trade for trade in (book.carried, book.open) if trade is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """Something of a trade that this event's records tell; `reason` is one of its own, or why beside it."""

    symbol: str
    trade: Trade
    telling: Telling
    reason: str


@dataclass(slots=True, kw_only=True)
class Walked:
    """What a walk over fills found. `legs` names the first and last fill of every leg of each, in the same order."""

    ended: list[Trade] = field(default_factory=list)
    open: Trade | None = None
    legs: list[set[str]] = field(default_factory=list)
    open_legs: set[str] = field(default_factory=set)


def copied(trade: Trade | None) -> Trade | None:
    """Give a trade that may be walked on without touching this one."""
    return None if trade is None else replace(trade, orders=list(trade.orders))


def covered_trade(base: Run, *, short: bool, since_ms: int) -> Trade:
    """Begin with a position that was open before this ledger; its money counts from here on."""
    quantity = abs(base.quantity)
    return Trade(
        short=short,
        first="",
        since_ms=since_ms,
        opened_ms=None,
        held=quantity,
        held_max=quantity,
        opened=quantity,
        opened_quote=base.cost,
        covered=True,
        uncertain=base.uncertain,
    )


def is_short(side: PositionSide, quantity: Decimal) -> bool:
    """Say whether a position of this side and signed quantity is a short one."""
    return side is PositionSide.SHORT or quantity < 0


def money_of(order: Order, fill: BookFill) -> LegMoney:
    """Find the money of a fill in its order's pieces: of a part of one by quantity, but profits as rows tell them."""
    piece = next((one for one in order.pieces if one.z0 <= fill.z0 and fill.z1 <= one.z1), None)
    if piece is None:
        return LegMoney(fee=None, profit=None, slack=ZERO)
    forced = (order.forced or order.order_type).lower() if order.is_forced else ""
    fee, profit = piece_money(order, piece)
    slack = add(piece.fee_slack, piece.realized_slack)
    if (fill.z0, fill.z1) == (piece.z0, piece.z1):
        return LegMoney(fee=fee, profit=profit, slack=slack, forced=forced)
    last = fill.z1 == piece.z1
    if profit is not None and piece.parts and not forced:  # the last one has what then makes up the piece's
        others = exact_sum(part.realized_pnl for part in piece.parts[:-1])
        profit = sub(profit, others) if last else fill.stated_pnl
    else:
        profit = _part(profit, fill, piece)
    return LegMoney(fee=_part(fee, fill, piece), profit=profit, slack=slack if last else ZERO, forced=forced)


def _part(amount: Decimal | None, fill: BookFill, piece: Piece) -> Decimal | None:
    """Give a fill's part of its piece's amount by quantity, so that all parts make up the whole."""
    if amount is None:
        return None
    before = share(amount, sub(fill.z0, piece.z0), piece.quantity)
    through = amount if fill.z1 == piece.z1 else share(amount, sub(fill.z1, piece.z0), piece.quantity)
    return DERIVED.subtract(through, before)


def piece_money(order: Order, piece: Piece) -> tuple[Decimal | None, Decimal | None]:
    """Give a piece's fee and profit; a forced close's profit counts once, also where an income row told it."""
    close = order.close
    if close is None or not close.by_row:
        return piece.fee, piece.realized_pnl
    return piece.fee, close.profit if piece.z1 == close.through else ZERO


def walk(
    trade: Trade | None,
    before: Run,
    position: Position,
    start: int,
    told: MoneyOf,
) -> Walked:
    """Go through a position's fills from `start` on, where `trade` was open at the run `before`; changes that trade."""
    found = Walked(open=trade)
    waiting: list[BookFill] = []
    fills, runs = position.fills, position.runs
    for fill, after in zip(fills[start:], runs[start:], strict=True):
        if after.waiting > before.waiting:
            waiting.append(fill)
        else:
            _take(found, fill, before.quantity, after, told(fill), position.side)
            freed = sub(before.waiting, after.waiting)
            for held in [one for one in waiting if freed]:
                if held.quantity <= freed:  # as the book frees them: each that now fits
                    freed = sub(freed, held.quantity)
                    waiting.remove(held)
                    _close(found, held, held.quantity, held.quote, told(held), FILL)
        before = after
    return found


def _take(found: Walked, fill: BookFill, held: Decimal, after: Run, money: LegMoney, side: PositionSide) -> None:
    """Let a fill open, close or cross."""
    if side is PositionSide.BOTH:
        opens = not held or (held > 0) == fill.buy
        crosses = not opens and fill.quantity > abs(held)
    else:
        opens, crosses = fill.buy == (side is PositionSide.LONG), False
    if opens:
        _open(found, fill, (fill.quantity, fill.quote), money, short=is_short(side, after.quantity or _sign(fill)))
    elif crosses:
        _cross(found, fill, abs(held), after, money)
    else:
        _close(found, fill, fill.quantity, fill.quote, money, FILL)


def _sign(fill: BookFill) -> Decimal:
    """Give the direction of a fill that the book has closed again within the same step."""
    return Decimal(1 if fill.buy else -1)


def _cross(found: Walked, fill: BookFill, held: Decimal, after: Run, money: LegMoney) -> None:
    """End a trade and begin the opposite one by one fill; the book has split its quote."""
    fee = rest = None
    if money.fee is not None:
        fee = share(money.fee, held, fill.quantity)
        rest = DERIVED.subtract(money.fee, fee)
    closing = DERIVED.subtract(fill.quote, after.cost)
    assert found.open is not None, "what is crossed is open"
    found.open.uncertain = found.open.uncertain or after.uncertain
    _close(found, fill, held, closing, replace(money, fee=fee), FLIP)
    opened = (sub(fill.quantity, held), after.cost)
    begun = LegMoney(fee=rest, profit=ZERO, slack=ZERO, forced=money.forced)
    _open(found, fill, opened, begun, short=after.quantity < 0)
    assert found.open is not None, "a crossing opens the other side"
    found.open.came, found.open.uncertain = FLIP, after.uncertain


def _open(found: Walked, fill: BookFill, opened: tuple[Decimal, Decimal], money: LegMoney, *, short: bool) -> None:
    trade = found.open
    if trade is None:
        trade = found.open = Trade(short=short, first=begins(fill), since_ms=fill.at_ms, opened_ms=fill.at_ms)
    quantity, quote = opened
    trade.held = add(trade.held, quantity)
    trade.held_max = max(trade.held_max, trade.held)
    trade.opened = add(trade.opened, quantity)
    trade.opened_quote = DERIVED.add(trade.opened_quote, quote)
    trade.pool = DERIVED.add(trade.pool, money.fee or ZERO)
    _count(found, trade, fill, money)
    trade.parts = DERIVED.add(trade.parts, money.profit or ZERO)


def _close(found: Walked, fill: BookFill, quantity: Decimal, quote: Decimal, money: LegMoney, how: str) -> None:
    trade = found.open
    assert trade is not None, "the book closes only what is open"
    paid = trade.pool if quantity == trade.held else share(trade.pool, quantity, trade.held)
    trade.pool = DERIVED.subtract(trade.pool, paid)
    trade.held = sub(trade.held, quantity)
    trade.closed = add(trade.closed, quantity)
    trade.closed_quote = DERIVED.add(trade.closed_quote, quote)
    _count(found, trade, fill, money)
    cost = DERIVED.add(paid, money.fee or ZERO)
    trade.parts = DERIVED.add(trade.parts, DERIVED.subtract(money.profit or ZERO, cost))
    if not trade.held:
        trade.last, trade.closed_ms, trade.went = ends(fill), fill.at_ms, money.forced or how
        found.ended.append(trade)
        found.legs.append(found.open_legs)
        found.open, found.open_legs = None, set()


def _count(found: Walked, trade: Trade, fill: BookFill, money: LegMoney) -> None:
    """Count a leg's money and order into its trade."""
    found.open_legs |= {begins(fill), ends(fill)}
    trade.gross = DERIVED.add(trade.gross, money.profit or ZERO)
    trade.fees = DERIVED.add(trade.fees, money.fee or ZERO)
    trade.slack = add(trade.slack, money.slack)
    trade.unknown += money.fee is None or money.profit is None
    if fill.order_id in trade.orders:
        return
    if len(trade.orders) == ORDERS_MAX:
        trade.orders.pop()
        trade.more_orders = True
    trade.orders.append(fill.order_id)


def begins(fill: BookFill) -> str:
    """Name a fill by where it begins."""
    return f"{fill.order_id}:{fill.z0}"


def ends(fill: BookFill) -> str:
    """Name a fill by where it ends."""
    return f"{fill.order_id}>{fill.z1}"
