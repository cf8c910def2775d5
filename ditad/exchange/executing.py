"""One execution's way from the books to the frames that tell it.

Enters: an order and what is executed of it. Leaves: the booked outcome, its row of `fillHistory`, its
income rows, and the frames, twins kept together. Truths held: execution times never go back; where `T`
is told as 0, `E` is the execution's own time, so that one of them always orders the fills.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from ditad.exchange import pushes
from ditad.exchange.account import Account, AccountSpec, Surroundings
from ditad.exchange.books import Outcome, VenueError
from ditad.exchange.dialect import EntryBasis, ForcedTold, FrameOrder, OrderNames, TradeTime
from ditad.exchange.pushes import Payload
from ditad.exchange.records import Execution, ForcedKind, Order, OrderStatus

ORDERS_MAX: Final = 200_000
# Executions of one millisecond are set apart by one each, until they lead the clock by this much.
EXECUTION_LEAD_MS_MAX: Final = 200


class ExecutingAccount(Account):
    """An account whose orders can be executed and told."""

    def __init__(self, spec: AccountSpec, around: Surroundings) -> None:
        """Start without orders."""
        super().__init__(spec, around)
        self._execution_ms = 0
        self._resting: dict[int, Order] = {}

    def open_orders(self) -> list[Order]:
        """Give the resting orders, oldest first."""
        return list(self._resting.values())

    def _execute(
        self,
        order_id: int,
        qty: Decimal,
        price: Decimal,
        *,
        maker: bool,
        quiet: bool = False,
        road: ForcedTold | None = None,
    ) -> None:
        order = self.orders[order_id]
        rate = self.spec.maker_rate if maker else self.spec.taker_rate
        at_ms = self._next_execution_ms()
        tick = self.around.market.contract(order.symbol).tick
        exact = self.around.dialect.profit_entry is EntryBasis.EXACT
        by_row = self.has_income and road in {ForcedTold.INCOME, ForcedTold.BOTH}
        outcome = self.books.execute(
            symbol=order.symbol,
            side=order.side,
            position_side=order.position_side,
            qty=qty,
            price=price,
            fee=self.books.fee_of(qty=qty, price=price, rate=rate),
            profit_tick=None if exact else tick,
            profit_to_other=by_row,
            now_ms=at_ms,
        )
        self.around.market.set_price(order.symbol, price)
        done = Execution(
            trade_id=next(self.around.trade_ids),
            order_id=order_id,
            symbol=order.symbol,
            side=order.side,
            position_side=order.position_side,
            qty=qty,
            price=price,
            fee=outcome.fee,
            realized_pnl=outcome.realized_pnl,
            maker=maker,
            at_ms=at_ms,
            told=road is not ForcedTold.NEITHER,
        )
        self.executions.append(done)
        self._write_rows(order, done, by_row=by_row)
        order = self._keep(_advanced(order, done))
        self._tell_execution(order, done, outcome, quiet=quiet, road=road)

    def _write_rows(self, order: Order, done: Execution, *, by_row: bool) -> None:
        if not done.told:
            return
        kind = "REALIZED_PNL"
        if by_row:
            kind = "ADL" if order.forced is ForcedKind.ADL else "INSURANCE_CLEAR"
        for name, amount in (("TRADING_FEE", -done.fee), (kind, done.realized_pnl)):
            self.add_income(
                name,
                amount,
                stamp_ms=done.at_ms,
                symbol=done.symbol,
                trade_id=str(done.trade_id),
            )

    def _tell_execution(
        self,
        order: Order,
        done: Execution,
        outcome: Outcome,
        *,
        quiet: bool,
        road: ForcedTold | None,
    ) -> None:
        if quiet:
            return
        account, _ = self.account_frame("ORDER", None, [self._row_after(order, outcome)])
        if road in {ForcedTold.INCOME, ForcedTold.NEITHER}:
            self.tell(account)
            return
        order_frames = self._order_frames(order, done)
        first = self.around.dialect.frame_order is FrameOrder.ACCOUNT_FIRST
        if self.around.dialect.frame_order is FrameOrder.RANDOM:
            first = self.around.rng.random() < 0.5
        for frame in [account, *order_frames] if first else [*order_frames, account]:
            self.tell(frame)

    def _row_after(self, order: Order, outcome: Outcome) -> Payload:
        if outcome.after is not None:
            return self.position_row(outcome.after)
        return pushes.flat_row(
            symbol=order.symbol,
            position_side=order.position_side,
            margin_type=self.margin_type[order.symbol],
        )

    def _tell_order(self, order: Order) -> None:
        for frame in self._order_frames(order, None):
            self.tell(frame)

    def _order_frames(self, order: Order, last: Execution | None) -> list[Payload]:
        """Build the views of one fact that the dialect sends.

        Where `T` is 0 the event time must order the fills, so there `E` is the execution's own time.
        """
        dialect = self.around.dialect
        at_ms = last.at_ms if last else self._next_execution_ms()
        zero = dialect.trade_time is TradeTime.ZERO or (
            dialect.trade_time is TradeTime.SOMETIMES and self.around.rng.random() < 0.5
        )
        event_ms = at_ms if zero else at_ms + self.around.rng.randint(1, 9)
        contract = self.around.market.contract(order.symbol)
        body = pushes.order_body(
            order,
            last,
            contract,
            dialect,
            asset=self.spec.margin_asset,
            trade_ms=0 if zero else at_ms,
        )
        views = []
        if dialect.order_names in {OrderNames.BOTH, OrderNames.TRADE_UPDATE}:
            views.append(pushes.trade_update(body, event_ms=event_ms))
        if dialect.order_names in {OrderNames.BOTH, OrderNames.ORDER_TRADE_UPDATE}:
            views.append(pushes.order_trade_update(body, event_ms=event_ms))
        return views

    def _keep(self, order: Order) -> Order:
        kept = self.orders[order.order_id] = replace(order, updated_ms=self.now_ms())
        if kept.status.open:
            self._resting[order.order_id] = kept
        else:
            self._resting.pop(order.order_id, None)
        return kept

    def _forget_old_orders(self) -> None:
        while len(self.orders) >= ORDERS_MAX:
            done = next((i for i, o in self.orders.items() if not o.status.open), None)
            if done is None:
                message = f"cancel some of the {ORDERS_MAX} open orders first"
                raise VenueError(message)
            del self.orders[done]

    def _next_execution_ms(self) -> int:
        now_ms = self.now_ms()
        apart = self._execution_ms + (self._execution_ms - now_ms < EXECUTION_LEAD_MS_MAX)
        self._execution_ms = max(now_ms, apart)
        return self._execution_ms


def _advanced(order: Order, done: Execution) -> Order:
    filled = order.filled + done.qty
    assert filled <= order.qty, "an order cannot be filled beyond its quantity"
    whole = filled == order.qty
    return replace(
        order,
        filled=filled,
        quote=order.quote + done.quote,
        fee=order.fee + done.fee,
        profit=order.profit + done.realized_pnl,
        status=OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED,
    )
