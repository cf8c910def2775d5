"""From the exchange's pushes to the account's own words, in this one direction.

What enters: the typed frames of `push`. What leaves: bodies of `ditad.events`.
What holds: a fee is positive when paid (`n` is negative then); a time of 0 is `None`; the order's own price never
passes; what cannot be said in our words without inventing something raises `Refusal` (bingx.md §4, account.md §3).
"""

from __future__ import annotations

from decimal import Decimal
from sys import intern

from ditad.bingx.push import AccountFrame, ConfigFrame, MarkFrame, OrderFrame, PositionFields
from ditad.errors import Refusal
from ditad.events import (
    AccountPush,
    BalanceLine,
    LeveragePush,
    Mark,
    OrderPush,
    OrderStatus,
    PositionLine,
    PositionSide,
    Side,
)
from ditad.money import QUOTE_BOUND, mul

SYMBOLS_MAX = 4096
"""Symbols whose configuration is remembered; the exchange lists some 700. Reports speak for those beyond it."""

REPEATED_BYTES_MAX = 256 * 1024
"""The words of repeated configurations that are remembered; those of a symbol have some 60."""

_SIDES = {side.value: side for side in Side}
_POSITION_SIDES = {side.value: side for side in PositionSide}
_STATUS = {
    "NEW": OrderStatus.NEW,
    "PENDING": OrderStatus.NEW,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "CANCELLED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.EXPIRED,
}


def status_of(word: str) -> OrderStatus:
    """Give the status; a word not known, on which a fill may hang, stays `UNKNOWN` (CAP: seen on a filled order)."""
    return _STATUS.get(word.upper(), OrderStatus.UNKNOWN)


def side_of(word: str, field: str) -> Side:
    """Give the side of an order; raises `Refusal` for any other word."""
    side = _SIDES.get(word.upper())
    if side is None:
        raise Refusal(f"{field}: BUY or SELL is due, got {word[:16]!r}")
    return side


def position_side_of(word: str, field: str) -> PositionSide:
    """Give the position side; raises `Refusal` for any other word."""
    side = _POSITION_SIDES.get(word.upper())
    if side is None:
        raise Refusal(f"{field}: LONG, SHORT or BOTH is due, got {word[:16]!r}")
    return side


def margin_type_of(word: str | None) -> str | None:
    """Give ``cross`` or ``isolated`` in one spelling; the exchange's case varies (bingx.md §4)."""
    if word is None:
        return None
    spelled = word.lower()
    return "cross" if spelled == "crossed" else intern(spelled)


def paid(commission: Decimal | None) -> Decimal | None:
    """Turn a commission, negative when paid, into a fee, positive when paid; no minus zero."""
    return commission.copy_negate() if commission else commission


def bounded_quote(quantity: Decimal | None, price: Decimal | None, field: str) -> None:
    """Refuse a notional no account has, before anything is computed with it."""
    if quantity is not None and price is not None and mul(quantity, price) >= QUOTE_BOUND:
        raise Refusal(f"{field}: out of bounds")


def order_push(frame: OrderFrame) -> OrderPush:
    """Give the one fact that both names of an order frame are views of."""
    status = status_of(frame.X)
    filled = frame.z
    if filled is None and status is OrderStatus.FILLED:
        # Then `q` is the cumulative quantity (CAP, early 2023); the fold reads it so, here it is only checked.
        traded: Decimal | None = frame.q
    else:
        traded = filled
    if traded and not frame.ap:
        raise Refusal("o.ap: an average price is due where something is filled")
    bounded_quote(traded, frame.ap, "o.z * o.ap")
    bounded_quote(frame.l, frame.L, "o.l * o.L")
    return OrderPush(
        name=intern(frame.e),
        order_id=frame.i,
        symbol=intern(frame.s),
        side=side_of(frame.S, "o.S"),
        position_side=position_side_of(frame.ps, "o.ps"),
        order_type=intern(frame.o),
        status=status,
        quantity=frame.q,
        filled=filled,
        average_price=frame.ap,
        last_quantity=frame.l or None,
        last_price=frame.L or None,
        fee=paid(frame.n),
        fee_asset=None if frame.N is None else intern(frame.N),
        realized_pnl=frame.rp,
        trade_id=frame.td,
        event_ms=frame.E,
        trade_ms=frame.T,
        client_order_id=frame.c,
    )


def account_push(frame: AccountFrame) -> AccountPush:
    """Give the statements of an account frame; a position line of a funding frame that names no symbol says nothing."""
    return AccountPush(
        reason=intern(frame.m),
        event_ms=frame.E,
        balances=tuple(BalanceLine(asset=intern(line.a), wallet=line.wb, change=line.bc) for line in frame.B),
        positions=tuple(
            _position_line(line, line.s) for line in frame.P if line.s is not None or _needs_symbol(frame.m)
        ),
    )


def _needs_symbol(reason: str) -> bool:
    return reason != "FUNDING_FEE"


def _position_line(line: PositionFields, symbol: str | None) -> PositionLine:
    if symbol is None:
        raise Refusal("a.P.s: text is due")
    side = position_side_of(line.ps, "a.P.ps")
    if line.pa < 0 and side is not PositionSide.BOTH:
        raise Refusal("a.P.pa: unsigned in hedge mode, got a negative size")
    bounded_quote(abs(line.pa), line.ep, "a.P.pa * a.P.ep")
    return PositionLine(
        symbol=intern(symbol),
        position_side=side,
        amount=line.pa,
        entry_price=line.ep,
        unrealized_pnl=line.up,
        margin_type=margin_type_of(line.mt),
    )


def leverage_pushes(frame: ConfigFrame) -> tuple[LeveragePush, ...]:
    """Give what a configuration frame says of each symbol; leverage 0 was not stated."""
    return tuple(
        LeveragePush(
            symbol=line.s,
            long=line.l or None,
            short=line.S or None,
            margin_type=margin_type_of(line.mt),
            event_ms=frame.E,
        )
        for line in frame.ac
    )


def mark_of(frame: MarkFrame) -> Mark:
    """Give a mark as the exchange states it."""
    return Mark(symbol=frame.s, price=frame.p, event_ms=frame.E)


class ConfigFilter:
    """Passes a symbol's configuration on when it differs from what was last said of it.

    The exchange repeats all symbols every 5 s (bingx.md §4). At most `SYMBOLS_MAX` symbols are remembered; what is
    said of others is not passed on. What was no news is none in the same words, until something is news.
    """

    def __init__(self) -> None:
        self._said: dict[str, tuple[Decimal | None, Decimal | None, str | None]] = {}
        self._repeated: set[bytes] = set()
        self._repeated_bytes = 0

    def repeats(self, text: bytes) -> bool:
        """Say whether a configuration in these words is known to be no news."""
        return text in self._repeated

    def remember(self, text: bytes) -> None:
        """Remember the words of one that was no news; what is beyond `REPEATED_BYTES_MAX` is read each time."""
        if self._repeated_bytes + len(text) <= REPEATED_BYTES_MAX:
            self._repeated.add(text)
            self._repeated_bytes += len(text)

    def changed(self, push: LeveragePush) -> bool:
        """Say whether this is news, and remember it."""
        said = (push.long, push.short, push.margin_type)
        if self._said.get(push.symbol) == said:
            return False
        if push.symbol not in self._said and len(self._said) >= SYMBOLS_MAX:
            return False
        self._said[push.symbol] = said
        self._repeated.clear()
        self._repeated_bytes = 0
        return True
