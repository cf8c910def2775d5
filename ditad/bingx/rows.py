"""From the rows of the exchange's answers to the account's own words.

What enters: the `data` of an answer, decoded by `wire.decode_json`. What leaves: rows of `ditad.events`.
What holds: an answer of a shape not known here raises `Refusal`, it is never read as an empty one; numbers may come as
text, as integers or as floats with artefacts, which are taken off; a row that cannot be read fails its answer.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from ditad.bingx.fields import (
    described,
    id_of,
    ms_of,
    objects_of,
    optional_id,
    optional_ms,
    optional_switch,
    text_of,
)
from ditad.bingx.normalize import bounded_quote, paid, position_side_of, side_of, status_of
from ditad.bingx.wire import NumberText
from ditad.errors import Refusal
from ditad.events import BalanceRow, FillRow, IncomeRow, OrderRow, PositionRow, PositionSide
from ditad.money import DERIVED, decimal_of, mark_bounded, optional_decimal

ROWS_MAX = 10_000
FORCED_KINDS = ("LIQUIDATION", "ADL")
BEIJING = "+08:00"
_DECIMALS_PLAUSIBLE = 12
_ARTEFACT_SHARE = Decimal(2) ** -48
_ARTEFACT_FLOOR = Decimal("1e-15")


def rows_under(data: object, *names: str) -> list[dict[str, Any]]:
    """Give the rows of an answer: a list, or the list under one of the names; ``[]``, ``{}`` and null are empty."""
    if isinstance(data, dict) and data:
        found = [name for name in names if name in data]
        if not found:
            raise Refusal(f"data: one of {', '.join(names)} is due")
        data = data[found[0]]
    if data is None or data == {}:
        return []
    rows = [data] if isinstance(data, dict) else objects_of(data, "data")
    if len(rows) > ROWS_MAX:
        raise Refusal(f"data: more than {ROWS_MAX} rows")
    return rows


def stated(value: object, field: str) -> Decimal:
    """Read a number of a row, without what binary floats add (``-0.33699650000000003`` is -0.3369965, CAP).

    Digits finer than a double holds, or than 1e-15, are taken for such: the exchange's money has 8 decimals.
    """
    return decimal_of(_without_artefact(value), field)


def optionally_stated(value: object, field: str) -> Decimal | None:
    """Read a number of a row that may be absent or empty: then it was not stated."""
    return optional_decimal(_without_artefact(value), field)


def _without_artefact(value: object) -> object:
    if not isinstance(value, str) or len(value) <= _DECIMALS_PLAUSIBLE or len(value) > 64:
        return value
    if not value.isascii() or "_" in value:  # `Decimal` would read it, `decimal_of` refuses it
        return value
    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= -_DECIMALS_PLAUSIBLE or number.adjusted() > 20:
        return value
    tolerance = max(DERIVED.multiply(abs(number), _ARTEFACT_SHARE), _ARTEFACT_FLOOR)
    # At 15 decimals the rest is below the floor, so that one is always found.
    roundings = (DERIVED.quantize(number, Decimal(1).scaleb(-places)) for places in range(8, 16))
    short = next(short for short in roundings if abs(DERIVED.subtract(number, short)) <= tolerance)
    return short.normalize(DERIVED) if short else Decimal(0)


def _first(row: dict[str, Any], *names: str) -> object:
    """Give the first of several spellings that is there."""
    return next((row[name] for name in names if name in row), None)


def _loose_id(value: object, field: str) -> str:
    """Read an id that may hold other characters than digits; digits become canonical."""
    if isinstance(value, str) and not isinstance(value, NumberText) and not value.isdigit():
        return text_of(value.strip(), field)
    return id_of(value, field)


def balance_rows(data: object) -> tuple[BalanceRow, ...]:
    """Read both versions of the balance: v2 has one object, v3 a list in which other assets may be all empty."""
    rows = rows_under(data, "balance")
    return tuple(_balance_row(row) for row in rows if row.get("balance") not in (None, ""))


def _balance_row(row: dict[str, Any]) -> BalanceRow:
    return BalanceRow(
        asset=text_of(row.get("asset"), "asset"),
        wallet=stated(row.get("balance"), "balance"),
        equity=optionally_stated(row.get("equity"), "equity"),
        unrealized_pnl=optionally_stated(row.get("unrealizedProfit"), "unrealizedProfit"),
        available_margin=optionally_stated(row.get("availableMargin"), "availableMargin"),
        used_margin=optionally_stated(row.get("usedMargin"), "usedMargin"),
    )


def position_rows(data: object) -> tuple[PositionRow, ...]:
    """Read the open positions; a row of size 0 is flat and left out, as one that is not named."""
    rows = [_position_row(row) for row in rows_under(data, "positions")]
    return tuple(row for row in rows if row.quantity)


def _position_row(row: dict[str, Any]) -> PositionRow:
    amount = stated(row.get("positionAmt"), "positionAmt")
    said = position_side_of(text_of(row.get("positionSide"), "positionSide"), "positionSide")
    short = said is PositionSide.SHORT or amount < 0
    entry = optionally_stated(_first(row, "avgPrice", "entryPrice"), "avgPrice")
    mark = optionally_stated(row.get("markPrice"), "markPrice")
    bounded_quote(abs(amount), entry, "positionAmt * avgPrice")
    return PositionRow(
        symbol=text_of(row.get("symbol"), "symbol"),
        side=PositionSide.SHORT if short else PositionSide.LONG,
        quantity=abs(amount),
        entry_price=entry or None,
        mark_price=mark_bounded(mark, "markPrice") if mark else None,
        unrealized_pnl=optionally_stated(row.get("unrealizedProfit"), "unrealizedProfit"),
        leverage=optionally_stated(row.get("leverage"), "leverage") or None,
        initial_margin=optionally_stated(_first(row, "initialMargin", "margin"), "initialMargin"),
        isolated=optional_switch(row.get("isolated")),
    )


def _row_position_side(row: dict[str, Any]) -> PositionSide:
    """Read the position side of a fill or an order; one-way rows that leave it out are `BOTH`."""
    said = described(row.get("positionSide"))
    if said is None and optional_switch(row.get("onlyOnePosition")):
        return PositionSide.BOTH
    return position_side_of(said or "", "positionSide")


def instant_ms(value: object, field: str, offset: str | None = None) -> int:
    """Read a time as ms: a number of ms, or ISO 8601 with its offset; `offset` overrides what is written there."""
    if not isinstance(value, str) or value.isdigit():
        return ms_of(value, field)
    text = value.strip()
    if offset is not None:
        text = text.removesuffix("Z") + offset
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(f"{field}: a time is due") from None
    if moment.tzinfo is None:
        raise Refusal(f"{field}: a time with its offset is due")
    return ms_of(round(moment.timestamp() * 1000), field)


def _fill_ms(row: dict[str, Any]) -> int:
    if row.get("filledTime") not in (None, ""):
        return instant_ms(row["filledTime"], "filledTime")
    # `filledTm` ends in Z but is +08:00 (bingx.md §5).
    return instant_ms(row.get("filledTm"), "filledTm", BEIJING)


def fill_rows(data: object) -> tuple[FillRow, ...]:
    """Read the executions of `fillHistory` or of `allFillOrders` (no trade id, other names), in the order given."""
    return tuple(_fill_row(row) for row in rows_under(data, "fill_history_orders", "fill_orders"))


def _fill_row(row: dict[str, Any]) -> FillRow:
    quantity = stated(_first(row, "qty", "volume"), "qty")
    price = stated(row.get("price"), "price")
    if quantity <= 0 or price <= 0:
        raise Refusal("qty, price: above 0 are due")
    bounded_quote(quantity, price, "qty * price")
    at_ms = _fill_ms(row)
    return FillRow(
        order_id=id_of(row.get("orderId"), "orderId"),
        trade_id=optional_id(row.get("tradeId"), "tradeId"),
        symbol=text_of(row.get("symbol"), "symbol"),
        side=side_of(text_of(row.get("side"), "side"), "side"),
        position_side=_row_position_side(row),
        quantity=quantity,
        price=price,
        fee=paid(optionally_stated(row.get("commission"), "commission")),
        fee_asset=described(_first(row, "commissionAsset", "currency")),
        realized_pnl=optionally_stated(_first(row, "realisedPNL", "realisedPnl", "realizedPnl"), "realisedPNL"),
        at_ms=at_ms,
        whole_second=at_ms % 1000 == 0,
    )


def total_of(data: object) -> int | None:
    """Give the number of rows that the answer says there are in all its pages, where it says so."""
    total = data.get("total") if isinstance(data, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) else None


def order_rows(data: object, forced: str | None = None) -> tuple[OrderRow, ...]:
    """Read orders; `forced` is the automatic close that was asked for, where a row does not name its own."""
    return tuple(_order_row(row, forced) for row in rows_under(data, "orders", "order"))


def _order_row(row: dict[str, Any], forced: str | None) -> OrderRow:
    executed = stated(row.get("executedQty"), "executedQty")
    average = optionally_stated(row.get("avgPrice"), "avgPrice")
    quantity = optionally_stated(_first(row, "origQty", "quantity"), "origQty")
    if executed < 0:
        raise Refusal("executedQty: must not be negative")
    bounded_quote(executed, average, "executedQty * avgPrice")
    order_type = described(row.get("type")) or ""
    named = [word for word in (described(row.get("autoCloseType")), order_type) if word in FORCED_KINDS]
    return OrderRow(
        order_id=id_of(row.get("orderId"), "orderId"),
        symbol=text_of(row.get("symbol"), "symbol"),
        side=side_of(text_of(row.get("side"), "side"), "side"),
        position_side=_row_position_side(row),
        order_type=order_type,
        status=status_of(text_of(row.get("status"), "status")),
        quantity=quantity,
        executed=executed,
        average_price=average or None,
        fee=paid(optionally_stated(row.get("commission"), "commission")),
        realized_pnl=optionally_stated(row.get("profit"), "profit"),
        created_ms=optional_ms(row.get("time"), "time"),
        updated_ms=optional_ms(row.get("updateTime"), "updateTime"),
        forced=named[0] if named else forced,
    )


def income_rows(data: object) -> tuple[IncomeRow, ...]:
    """Read income rows; the sign is the account's view already."""
    return tuple(_income_row(row) for row in rows_under(data, "income", "incomes", "list"))


def _income_row(row: dict[str, Any]) -> IncomeRow:
    trade_id = row.get("tradeId")
    return IncomeRow(
        tran_id=_loose_id(row.get("tranId"), "tranId"),
        kind=text_of(row.get("incomeType"), "incomeType"),
        amount=stated(row.get("income"), "income"),
        asset=text_of(row.get("asset"), "asset"),
        symbol=described(row.get("symbol")),
        at_ms=ms_of(row.get("time"), "time"),
        info=described(row.get("info")),
        trade_id=None if trade_id in (None, "", 0, "0") else _loose_id(trade_id, "tradeId"),
    )
