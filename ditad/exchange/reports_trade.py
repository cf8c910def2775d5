"""REST reports about orders and executions, with all their traps (bingx.md §5).

Enters: one authorised question. Leaves: the value of `data`. Pure.
"""

from __future__ import annotations

from typing import Final

from ditad.exchange import pushes
from ditad.exchange.amounts import EXACT, fixed
from ditad.exchange.dialect import RowOrder
from ditad.exchange.pushes import Payload
from ditad.exchange.records import Execution, Order, OrderStatus
from ditad.exchange.reporting import (
    CODE_INVALID,
    DAY_MS,
    Asked,
    RestRefusal,
    second_of,
    venue_time,
)

FILL_HISTORY_KEPT_MS: Final = 7 * DAY_MS
FILL_HISTORY_PAGE_MAX: Final = 1000
ALL_FILLS_KEPT_MS: Final = 30 * DAY_MS
ALL_FILLS_ROWS_MAX: Final = 512
ORDERS_SPAN_MS_MAX: Final = 7 * DAY_MS
ORDERS_LIMIT_MAX: Final = 1000
FORCE_ORDERS_LIMIT_MAX: Final = 100
COMMISSION_DECIMALS: Final = 6
CODE_NO_ORDER: Final = 109421

Rows = list[Payload] | Payload | None


def fill_history(asked: Asked) -> Rows:
    """`trade/fillHistory`: startTs < t ≤ endTs in whole seconds, seven days back, in pages."""
    symbol = asked.symbol(needed=True)
    found = _executions(asked, symbol, kept_ms=FILL_HISTORY_KEPT_MS)
    size = asked.limit("pageSize", default=50, most=FILL_HISTORY_PAGE_MAX)
    index = max(1, asked.integer("pageIndex") or 1)
    descending = asked.dialect.row_order is RowOrder.DESCENDING
    found.sort(key=lambda e: (second_of(e.at_ms), e.trade_id), reverse=descending)
    page = found[(index - 1) * size : index * size]
    if asked.dialect.row_order is RowOrder.RANDOM:
        asked.rng.shuffle(page)
    return asked.rows_under("fill_history_orders", [_fill_row(asked, e) for e in page])


def _fill_row(asked: Asked, done: Execution) -> Payload:
    contract = asked.venue.market.contract(done.symbol)
    return {
        "symbol": done.symbol,
        "qty": asked.number(done.qty, contract.quantity_precision),
        "quoteQty": asked.number(done.quote, 4),
        "role": "maker" if done.maker else "taker",
        "commission": asked.number(-done.fee, COMMISSION_DECIMALS),
        "commissionAsset": asked.owner.spec.margin_asset,
        "price": asked.number(done.price, contract.price_precision),
        "orderId": asked.order_id(done.order_id),
        "tradeId": str(done.trade_id) if asked.dialect.rest_trade_id else "",
        "filledTime": venue_time(done.at_ms, ".000+08:00"),
        "realisedPNL": asked.number(done.realized_pnl, 8),
        "side": str(done.side),
        "positionSide": str(done.position_side),
    }


def all_fill_orders(asked: Asked) -> Rows:
    """`trade/allFillOrders`: thirty days back, at most 512 rows, `filledTm` ends in a wrong Z."""
    if asked.text("tradingUnit") not in {"COIN", "CONT"}:
        raise RestRefusal(CODE_INVALID, "Invalid parameters, err:tradingUnit: COIN or CONT")
    found = _executions(asked, asked.symbol(), kept_ms=ALL_FILLS_KEPT_MS)
    page = asked.page(found, ALL_FILLS_ROWS_MAX, lambda e: e.trade_id)
    return asked.rows_under("fill_orders", [_all_fill_row(asked, e) for e in page])


def _all_fill_row(asked: Asked, done: Execution) -> Payload:
    contract = asked.venue.market.contract(done.symbol)
    order = asked.owner.orders.get(done.order_id)
    return {
        "filledTm": venue_time(done.at_ms, "Z"),
        "volume": asked.number(done.qty, contract.quantity_precision),
        "price": asked.number(done.price, contract.price_precision),
        "amount": asked.number(done.quote, 4),
        "commission": asked.number(-done.fee, COMMISSION_DECIMALS),
        "currency": asked.owner.spec.margin_asset,
        "orderId": asked.order_id(done.order_id),
        "liquidatedPrice": "0.00",
        "liquidatedMarginRatio": "0.00",
        "filledTime": venue_time(done.at_ms, ".000+0800"),
        "clientOrderId": order.client_id.lower() if order else "",
        "symbol": done.symbol,
        "side": str(done.side),
        "positionSide": str(done.position_side),
    }


def _executions(asked: Asked, symbol: str | None, *, kept_ms: int) -> list[Execution]:
    start, end = asked.required("startTs"), asked.required("endTs")
    start = max(start, asked.now_ms - kept_ms)
    order_id = asked.integer("orderId")
    return [
        done
        for done in asked.owner.executions
        if done.told
        and start < second_of(done.at_ms) <= end
        and symbol in {None, done.symbol}
        and order_id in {None, done.order_id}
    ]


def open_orders(asked: Asked) -> Rows:
    """`trade/openOrders`: all that rests, in one answer."""
    symbol = asked.symbol()
    found = [o for o in asked.owner.open_orders() if symbol in {None, o.symbol}]
    page = asked.page(found, len(found), lambda o: o.order_id)
    return asked.rows_under("orders", [_order_row(asked, o) for o in page])


def all_orders(asked: Asked) -> Rows:
    """`trade/allOrders`: by creation time, a span of seven days at most."""
    limit = asked.limit("limit", default=500, most=ORDERS_LIMIT_MAX)
    found = _orders_between(asked, ORDERS_SPAN_MS_MAX)
    first = asked.integer("orderId") or 0
    found = [o for o in found if o.order_id >= first]
    page = asked.page(found, limit, lambda o: o.order_id)
    return asked.rows_under("orders", [_order_row(asked, o) for o in page])


def force_orders(asked: Asked) -> Rows:
    """`trade/forceOrders`: what the exchange closed, by `autoCloseType`."""
    limit = asked.limit("limit", default=50, most=FORCE_ORDERS_LIMIT_MAX)
    kind = asked.text("autoCloseType")
    found = [
        o for o in _orders_between(asked, ORDERS_SPAN_MS_MAX) if o.forced is not None and kind in {None, str(o.forced)}
    ]
    page = asked.page(found, limit, lambda o: o.order_id)
    return asked.rows_under("orders", [_order_row(asked, o) for o in page])


def order(asked: Asked) -> Payload:
    """`trade/order`: one order by its id or its client's id."""
    order_id, client_id = asked.integer("orderId"), asked.text("clientOrderId")
    symbol = asked.symbol(needed=True)
    for found in reversed(asked.owner.orders.values()):
        named = found.order_id == order_id or (
            order_id is None and client_id is not None and found.client_id.lower() == client_id
        )
        if named and found.told and found.symbol == symbol:
            return {"order": _order_row(asked, found)}
    raise RestRefusal(CODE_NO_ORDER, "order not exist")


def _orders_between(asked: Asked, span_ms_max: int) -> list[Order]:
    start, end = asked.integer("startTime"), asked.integer("endTime")
    end = asked.now_ms if end is None else end
    start = end - span_ms_max if start is None else start
    if end - start > span_ms_max:
        raise RestRefusal(CODE_INVALID, "Invalid parameters, err:span of more than 7 days")
    symbol = asked.symbol()
    return [
        o for o in asked.owner.orders.values() if o.told and start <= o.created_ms <= end and symbol in {None, o.symbol}
    ]


def _order_row(asked: Asked, found: Order) -> Payload:
    contract = asked.venue.market.contract(found.symbol)
    status = str(found.status)
    if found.status is OrderStatus.CANCELED:
        status = "CANCELLED"  # REST spells it with two L
    return {
        "symbol": found.symbol,
        "orderId": asked.order_id(found.order_id),
        "side": str(found.side),
        "positionSide": str(found.position_side),
        "type": str(found.kind),
        "origQty": asked.number(found.qty, contract.quantity_precision),
        "price": asked.number(found.price, contract.price_precision),
        "executedQty": asked.number(found.filled, contract.quantity_precision),
        "avgPrice": pushes.average_price(found, contract, asked.dialect),
        "cumQuote": fixed(EXACT.to_integral_value(found.quote), 0),
        "stopPrice": "",
        "profit": asked.number(found.profit, 4),
        "commission": asked.number(-found.fee, COMMISSION_DECIMALS),
        "status": status,
        "time": found.created_ms,
        "updateTime": found.updated_ms,
        "clientOrderId": found.client_id.lower(),
        "leverage": f"{found.leverage}X",
        "workingType": "MARK_PRICE",
        "reduceOnly": found.reduce_only,
        "autoCloseType": str(found.forced or ""),
    }
