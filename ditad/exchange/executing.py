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
from ditad.exchange.amounts import EXACT, cut_to_wallet
from ditad.exchange.books import Outcome, VenueError
from ditad.exchange.dialect import EntryBasis, ForcedTold, ForcedWallet, FrameOrder, OrderNames, TradeTime
from ditad.exchange.facts import ExecutionFact
from ditad.exchange.pushes import Payload
from ditad.exchange.records import Execution, ForcedKind, Income, Order, OrderStatus

ORDERS_MAX: Final = 200_000
# Executions of one millisecond are set apart by one each, until they lead the clock by this much.
EXECUTION_LEAD_MS_MAX: Final = 200
UNKNOWN_STATUS_CHANCE: Final = 0.25
INSURED_PERCENT_MAX: Final = 9


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
        voucher: bool = False,
    ) -> None:
        order = self.orders[order_id]
        dialect, trade_id = self.around.dialect, next(self.around.trade_ids)
        rate = self.spec.maker_rate if maker else self.spec.taker_rate
        at_ms = self._next_execution_ms()
        tick = self.around.market.contract(order.symbol).tick
        exact = dialect.profit_entry is EntryBasis.EXACT
        by_row = self.has_income and road in {ForcedTold.INCOME, ForcedTold.BOTH}
        stated_fee = self.books.fee_of(qty=qty, price=price, rate=rate)
        row_differs = by_row and road is ForcedTold.BOTH and dialect.forced_differ
        by_other = row_differs and dialect.forced_wallet is ForcedWallet.ROW
        outcome = self.books.execute(
            symbol=order.symbol,
            side=order.side,
            position_side=order.position_side,
            qty=qty,
            price=price,
            fee=Decimal(0) if voucher else stated_fee,
            profit_tick=None if exact else tick,
            profit_to_other=by_row,
            moved=(lambda profit: _as_insured(profit, trade_id)) if by_other else None,
            now_ms=at_ms,
        )
        self.around.market.set_price(order.symbol, price)
        done = Execution(
            trade_id=trade_id,
            order_id=order_id,
            symbol=order.symbol,
            side=order.side,
            position_side=order.position_side,
            qty=qty,
            price=price,
            fee=stated_fee,
            realized_pnl=outcome.realized_pnl,
            maker=maker,
            at_ms=at_ms,
            told=road is not ForcedTold.NEITHER,
        )
        self.executions.append(done)
        amount = _as_insured(done.realized_pnl, trade_id) if row_differs else done.realized_pnl
        row = self._write_rows(order, done, fee=outcome.fee, profit=amount, by_row=by_row)
        order = self._keep(_advanced(order, done))
        self.facts.executions.append(
            ExecutionFact(
                at_ms=at_ms,
                order_id=order_id,
                trade_id=done.trade_id,
                symbol=done.symbol,
                side=done.side,
                position_side=done.position_side,
                z0=order.filled - qty,
                z1=order.filled,
                price=price,
                fee=outcome.fee,
                realized_pnl=outcome.gained,
                maker=maker,
                pushed=not quiet and road not in {ForcedTold.INCOME, ForcedTold.NEITHER},
                in_rows=done.told,
                stated_fee=done.fee,
                stated_pnl=done.realized_pnl,
                forced=order.forced,
                road=road,
                income_tran_id=row.tran_id if row else None,
                income_amount=row.amount if row else None,
            )
        )
        self._tell_execution(order, done, outcome, quiet=quiet, road=road)

    def _write_rows(
        self, order: Order, done: Execution, *, fee: Decimal, profit: Decimal, by_row: bool
    ) -> Income | None:
        """Write the rows that restate an execution; give the one that tells a forced close.

        A fee that a voucher paid has no row: it moved no wallet.
        """
        if not done.told:
            return None
        trade_id = str(done.trade_id)
        self.add_income("TRADING_FEE", -fee, stamp_ms=done.at_ms, symbol=done.symbol, trade_id=trade_id)
        kind = "REALIZED_PNL"
        if by_row:
            kind = "ADL" if order.forced is ForcedKind.ADL else "INSURANCE_CLEAR"
        row = self.add_income(kind, profit, stamp_ms=done.at_ms, symbol=done.symbol, trade_id=trade_id)
        return row if by_row else None

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
            margin_type=pushes.shown_margin_type(self.margin_type[order.symbol], self.around.dialect),
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
        filled = order.status is OrderStatus.FILLED and dialect.unknown_status
        body = pushes.order_body(
            order,
            last,
            contract,
            dialect,
            asset="USDT" if dialect.usdt_commission else self.spec.margin_asset,
            trade_ms=0 if zero else at_ms,
            unknown_status=filled and self.around.rng.random() < UNKNOWN_STATUS_CHANCE,
        )
        names = dialect.order_names
        if names is OrderNames.ANY:
            names = self.around.rng.choice((OrderNames.BOTH, OrderNames.TRADE_UPDATE, OrderNames.ORDER_TRADE_UPDATE))
        views = []
        if names is not OrderNames.ORDER_TRADE_UPDATE:
            views.append(pushes.trade_update(body, event_ms=event_ms))
        if names is not OrderNames.TRADE_UPDATE:
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


def _as_insured(profit: Decimal, trade_id: int) -> Decimal:
    """Give the amount of a row that differs from the stated profit: some percent of it are taken over."""
    return profit - cut_to_wallet(EXACT.multiply(profit, Decimal(1 + trade_id % INSURED_PERCENT_MAX).scaleb(-2)))


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
