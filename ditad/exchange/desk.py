"""The trading verbs of an account: what its bot does, and what the exchange does to it.

Enters: orders, executions, cancels, amendments and forced closes, each checked against the contract's
grid and against what is open. Leaves: executions and order frames, by `executing`. Truth held: a fill's
price is never the bound of a market order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Final

from ditad.exchange.account import AccountSpec, Surroundings
from ditad.exchange.amounts import decimal_of, round_to_tick
from ditad.exchange.books import Position, PositionSide, Side, VenueError
from ditad.exchange.dialect import ForcedTold
from ditad.exchange.executing import ExecutingAccount
from ditad.exchange.records import (
    ForcedKind,
    Order,
    OrderStatus,
    OrderType,
    created_ms_of,
    order_id_at,
)

# A market order's protective bound stands this far beyond the price.
BOUND_DISTANCE: Final = Decimal("0.05")
SLIPPAGE_TICKS_MAX: Final = 2
PARTS_MAX: Final = 1000

Number = Decimal | str | int


class Desk(ExecutingAccount):
    """An account that trades."""

    def __init__(self, spec: AccountSpec, around: Surroundings, *, rng: Random) -> None:
        """Start without orders; `rng` draws slippage."""
        super().__init__(spec, around)
        self._rng = rng

    # Verbs.

    def market_order(
        self,
        symbol: str,
        side: Side | str,
        position_side: PositionSide | str,
        qty: Number,
        *,
        price: Number | None = None,
        parts: Sequence[tuple[Number, Number]] | None = None,
        one_frame: bool = False,
        bound: Number | None = None,
        reduce_only: bool = False,
        client_id: str = "",
        order_id: int | None = None,
        voucher: bool = False,
    ) -> int:
        """Execute at once, at `price` or in `parts` of (quantity, price), and give the order id.

        Without a price the symbol's walk gives one, with some slippage. `one_frame` pushes only the
        last of several executions, so that the cumulative quantity jumps. An `order_id` of the caller's
        tells a captured story; its creation time must not lie ahead. A `voucher` pays the commission:
        it is stated, and the wallet does not move by it.
        """
        contract = self.around.market.contract(symbol)
        amount = decimal_of(qty)
        filled_at = self._slipped(symbol, Side(side)) if price is None else decimal_of(price)
        slices = self._slices(symbol, amount, [(amount, filled_at)] if parts is None else parts)
        away = 1 + BOUND_DISTANCE * (1 if side == Side.BUY else -1)
        drawn = round_to_tick(slices[-1][1] * away, contract.tick)
        order = self._new_order(
            symbol,
            Side(side),
            PositionSide(position_side),
            amount,
            price=drawn if bound is None else decimal_of(bound),
            kind=OrderType.MARKET,
            reduce_only=reduce_only,
            client_id=client_id,
            order_id=order_id,
        )
        for number, (part, part_price) in enumerate(slices, start=1):
            quiet = one_frame and number < len(slices)
            self._execute(order.order_id, part, part_price, maker=False, quiet=quiet, voucher=voucher)
        return order.order_id

    def limit_order(
        self,
        symbol: str,
        side: Side | str,
        position_side: PositionSide | str,
        qty: Number,
        price: Number,
        *,
        reduce_only: bool = False,
        client_id: str = "",
        order_id: int | None = None,
    ) -> int:
        """Place a resting order, push its NEW frame and give the order id; `fill` executes it."""
        self._check_price(symbol, decimal_of(price))
        order = self._new_order(
            symbol,
            Side(side),
            PositionSide(position_side),
            decimal_of(qty),
            price=decimal_of(price),
            kind=OrderType.LIMIT,
            reduce_only=reduce_only,
            client_id=client_id,
            order_id=order_id,
        )
        self._tell_order(order)
        return order.order_id

    def fill(
        self,
        order_id: int,
        qty: Number | None = None,
        *,
        price: Number | None = None,
        maker: bool = True,
        quiet: bool = False,
    ) -> None:
        """Execute `qty` (default: the rest) of a resting order; `quiet` pushes nothing of it."""
        order = self._open_order(order_id)
        amount = order.remaining if qty is None else decimal_of(qty)
        if not 0 < amount <= order.remaining:
            message = f"fill at most {order.remaining} of order {order_id}"
            raise VenueError(message)
        at = order.price if price is None else decimal_of(price)
        self._check_price(order.symbol, at)
        self._execute(order_id, amount, at, maker=maker, quiet=quiet)

    def cancel(self, order_id: int, *, expired: bool = False) -> None:
        """Cancel the rest of a resting order, or let it expire, and push it."""
        order, status = self._open_order(order_id), OrderStatus.EXPIRED if expired else OrderStatus.CANCELED
        self._tell_order(self._keep(replace(order, status=status)))

    def amend(self, order_id: int, qty: Number) -> None:
        """Change a resting order's quantity; it must stay above what is filled."""
        order, amount = self._open_order(order_id), decimal_of(qty)
        self._check_qty(order.symbol, amount)
        if amount <= order.filled:
            message = f"{order.filled} of order {order_id} is filled: amend to more, or cancel"
            raise VenueError(message)
        self._tell_order(self._keep(replace(order, qty=amount)))

    def close(self, symbol: str, position_side: PositionSide | str, *, price: Number | None = None) -> int:
        """Close a whole position at the market and give the order id."""
        held = self._held(symbol, PositionSide(position_side))
        side = Side.SELL if held.side is PositionSide.LONG else Side.BUY
        return self.market_order(symbol, side, position_side, held.qty, price=price, reduce_only=True)

    def flip(self, symbol: str, *, qty: Number | None = None, price: Number | None = None) -> int:
        """Turn a one-way position around in one execution; `qty` opens beyond the close."""
        held = self._held(symbol, PositionSide.BOTH)
        side = Side.SELL if held.side is PositionSide.LONG else Side.BUY
        opened = held.qty if qty is None else decimal_of(qty)
        return self.market_order(symbol, side, PositionSide.BOTH, held.qty + opened, price=price)

    def force_close(
        self,
        symbol: str,
        position_side: PositionSide | str,
        *,
        kind: ForcedKind | str = ForcedKind.LIQUIDATION,
        price: Number | None = None,
        parts: Sequence[tuple[Number, Number]] | None = None,
        told: ForcedTold | str | None = None,
    ) -> int:
        """Close a position against its owner's will, told as the dialect says, and give the order id.

        In `parts` of (quantity, price) each has its own execution and its own row. The loss moves the wallet once; it counts as other income where an income row tells it, else
        as realised profit (account.md §3, Forced closes). Told by NEITHER, no report knows the order.
        """
        road = ForcedTold(told or self.around.dialect.forced_told)
        held = self._held(symbol, PositionSide(position_side))
        side = Side.SELL if held.side is PositionSide.LONG else Side.BUY
        at = self.around.market.walk(symbol) if price is None else decimal_of(price)
        slices = self._slices(symbol, held.qty, [(held.qty, at)] if parts is None else parts)
        order = self._new_order(
            symbol,
            side,
            PositionSide(position_side),
            held.qty,
            price=at,
            kind=OrderType.LIQUIDATION,
            forced=ForcedKind(kind),
            told=road is not ForcedTold.NEITHER,
        )
        for part, part_price in slices:
            self._execute(order.order_id, part, part_price, maker=False, road=road)
        return order.order_id

    # What the verbs stand on.

    def _new_order(
        self,
        symbol: str,
        side: Side,
        position_side: PositionSide,
        qty: Decimal,
        *,
        price: Decimal,
        kind: OrderType,
        reduce_only: bool = False,
        client_id: str = "",
        order_id: int | None = None,
        forced: ForcedKind | None = None,
        told: bool = True,
    ) -> Order:
        self._check_qty(symbol, qty)
        self._check_close(symbol, side, position_side, qty)
        if order_id is None:
            order_id = order_id_at(self.now_ms(), next(self.around.order_sequence))
        elif order_id in self.orders or created_ms_of(order_id) > self.now_ms():
            raise VenueError(f"order id {order_id} is in use, or of the future: leave it out to mint one")
        long, short = self.leverage[symbol]
        self._forget_old_orders()
        return self._keep(
            Order(
                order_id=order_id,
                symbol=symbol,
                side=side,
                position_side=position_side,
                kind=kind,
                qty=qty,
                price=price,
                client_id=client_id,
                leverage=short if position_side is PositionSide.SHORT else long,
                created_ms=created_ms_of(order_id),
                updated_ms=self.now_ms(),
                reduce_only=reduce_only,
                forced=forced,
                told=told,
            )
        )

    def _slices(
        self, symbol: str, amount: Decimal, parts: Sequence[tuple[Number, Number]]
    ) -> list[tuple[Decimal, Decimal]]:
        slices = [(decimal_of(q), decimal_of(p)) for q, p in parts]
        if not 1 <= len(slices) <= PARTS_MAX or sum(q for q, _ in slices) != amount:
            message = f"give 1 to {PARTS_MAX} parts that add up to {amount}"
            raise VenueError(message)
        for part, price in slices:
            self._check_qty(symbol, part)
            self._check_price(symbol, price)
        return slices

    def _open_order(self, order_id: int) -> Order:
        order = self.orders.get(order_id)
        if order is None or not order.status.open:
            message = f"order {order_id} is not open: see open_orders()"
            raise VenueError(message)
        return order

    def _held(self, symbol: str, position_side: PositionSide) -> Position:
        held = self.books.positions.get(self.books.key_of(symbol, position_side))
        if held is None:
            message = f"{symbol} {position_side} is flat: open it first"
            raise VenueError(message)
        return held

    def _check_close(self, symbol: str, side: Side, position_side: PositionSide, qty: Decimal) -> None:
        key = self.books.key_of(symbol, position_side)
        closes = {PositionSide.LONG: Side.SELL, PositionSide.SHORT: Side.BUY}.get(position_side)
        held = self.books.positions.get(key)
        if closes is side and (held is None or qty > held.qty):
            message = f"close at most {held.qty if held else 0} of {symbol} {position_side}"
            raise VenueError(message)

    def _check_qty(self, symbol: str, qty: Decimal) -> None:
        lot = self.around.market.contract(symbol).lot
        if qty <= 0 or qty % lot:
            message = f"quantities of {symbol} are multiples of {lot} above zero, not {qty}"
            raise VenueError(message)

    def _check_price(self, symbol: str, price: Decimal) -> None:
        tick = self.around.market.contract(symbol).tick
        if price <= 0 or price % tick:
            message = f"prices of {symbol} are multiples of {tick} above zero, not {price}"
            raise VenueError(message)

    def _slipped(self, symbol: str, side: Side) -> Decimal:
        price = self.around.market.walk(symbol)
        tick = self.around.market.contract(symbol).tick
        away = self._rng.randint(0, SLIPPAGE_TICKS_MAX) * (1 if side is Side.BUY else -1)
        return max(tick, price + away * tick)
