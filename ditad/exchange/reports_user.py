"""REST reports about the account itself: balance, positions, income, modes, rates (bingx.md §5).

Enters: one authorised question. Leaves: the value of `data`. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from ditad.exchange.amounts import EXACT, fixed, round_to_tick
from ditad.exchange.books import PositionSide
from ditad.exchange.dialect import EntryBasis, OneWayRest, Permissions
from ditad.exchange.pushes import Holding, Payload
from ditad.exchange.records import Income
from ditad.exchange.reporting import DAY_MS, Asked, unrealized, used_margin

INCOME_KEPT_MS: Final = 90 * DAY_MS
INCOME_LIMIT_MAX: Final = 1000
INCOME_LIMIT_DEFAULT: Final = 100
OUR_SPELLING: Final = ("realisedProfit", "freezedMargin")
PERMISSION_INTS: Final = {"read": 2, "trade": 3, "withdraw": 5}


def balance_v2(asked: Asked) -> Payload:
    """`swap/v2/user/balance`: one object, eight decimals."""
    return {"balance": _balance(asked, 8)}


def balance_v3(asked: Asked) -> list[Payload]:
    """`swap/v3/user/balance`: a row per asset, four decimals; the other assets' row is empty."""
    row = _balance(asked, 4)
    return [row, dict.fromkeys(row, "")]


def _balance(asked: Asked, decimals: int) -> Payload:
    desk = asked.owner
    wallet, open_profit, used = desk.books.wallet, unrealized(desk), used_margin(desk)
    frozen = sum(
        (EXACT.divide(EXACT.multiply(o.remaining, o.price), Decimal(o.leverage)) for o in desk.open_orders()),
        Decimal(0),
    )
    free = max(Decimal(0), wallet + open_profit - used - frozen)
    realized, frozen_name = ("realizedProfit", "frozenMargin") if asked.dialect.other_spelling else OUR_SPELLING
    return {
        "userId": "116000000000000295",
        "asset": desk.spec.margin_asset,
        "balance": asked.number(wallet, decimals),
        "equity": asked.number(wallet + open_profit, decimals),
        "unrealizedProfit": asked.number(open_profit, decimals),
        realized: asked.number(desk.books.sums.net - desk.books.sums.transfers, decimals),
        "availableMargin": asked.number(free, decimals),
        "usedMargin": asked.number(used, decimals),
        frozen_name: asked.number(frozen, decimals),
        "shortUid": "12851936",
    }


def positions(asked: Asked) -> list[Payload] | Payload | None:
    """`swap/v2/user/positions`: the open ones only; absence means flat here."""
    symbol = asked.symbol()
    held = [holding for holding in asked.owner.holdings() if symbol in {None, holding.position.symbol}]
    if asked.dialect.split_isolated:
        held = [piece for holding in held for piece in _pieces(asked, holding)]
    return asked.rows([_position(asked, holding) for holding in held])


def _pieces(asked: Asked, holding: Holding) -> list[Holding]:
    """Give an isolated position as two, as an account without `onlyOnePosition` may hold it.

    Their quantities add up to it and their entries average to its own. Pushes know one position only.
    """
    position, contract = holding.position, asked.venue.market.contract(holding.position.symbol)
    half = position.qty / 2
    if holding.margin_type != "isolated" or half % contract.lot or position.entry_price <= contract.tick:
        return [holding]
    pieces = []
    for number, away in enumerate((contract.tick, -contract.tick)):
        entry = position.entry + Fraction(away)
        piece = replace(
            position,
            qty=half,
            entry=entry,
            entry_price=position.entry_price + away,
            position_id=position.position_id + number * 10**15,
            realized_net=position.realized_net if number == 0 else Decimal(0),
        )
        pieces.append(replace(holding, position=piece))
    return pieces


def _position(asked: Asked, holding: Holding) -> Payload:
    position, desk = holding.position, asked.owner
    contract = asked.venue.market.contract(position.symbol)
    entry = position.entry_price
    if asked.dialect.entry_shown is EntryBasis.TICK:
        entry = round_to_tick(entry, contract.tick)
    by_side = desk.spec.hedge or asked.dialect.one_way_rest is OneWayRest.SIDE
    amount = position.qty if by_side else position.qty * position.direction
    open_profit = position.unrealized(holding.mark)
    return {
        "positionId": str(position.position_id),
        "symbol": position.symbol,
        "currency": desk.spec.margin_asset,
        "positionAmt": asked.number(amount, contract.quantity_precision),
        "availableAmt": asked.number(amount, contract.quantity_precision),
        "positionSide": str(position.side if by_side else PositionSide.BOTH),
        "isolated": holding.margin_type == "isolated",
        "avgPrice": asked.number(entry, max(contract.price_precision, _decimals(entry))),
        "initialMargin": asked.number(desk.margin_of(holding), 4),
        "margin": asked.number(holding.initial_margin + open_profit, 4),
        "leverage": holding.leverage,
        "unrealizedProfit": asked.number(open_profit, 4),
        "realisedProfit": asked.number(position.realized_net, 4),
        "liquidationPrice": 0,
        "pnlRatio": "0.0000",
        "maxMarginReduction": "0.0000",
        "riskRate": "0.0008",
        "markPrice": asked.number(holding.mark, contract.price_precision),
        "positionValue": asked.number(EXACT.multiply(position.qty, holding.mark), 8),
        "onlyOnePosition": not (desk.spec.hedge or asked.dialect.split_isolated),
        "updateTime": position.updated_ms,
    }


def _decimals(value: Decimal) -> int:
    """Count the decimals a price needs, up to eight."""
    text = fixed(value).rstrip("0")
    return len(text.partition(".")[2])


def income(asked: Asked) -> list[Payload] | Payload | None:
    """`swap/v2/user/income`: whole seconds, both bounds or nothing, null for ever on the demo flavour."""
    desk = asked.owner
    if not desk.has_income:
        return None
    limit = asked.limit("limit", default=INCOME_LIMIT_DEFAULT, most=INCOME_LIMIT_MAX)
    start, end = asked.integer("startTime"), asked.integer("endTime")
    if (start is None) != (end is None):
        return asked.rows([])
    if start is None or end is None:
        start, end = asked.now_ms - 7 * DAY_MS, asked.now_ms
    start = max(start, asked.now_ms - INCOME_KEPT_MS)
    symbol, kind = asked.symbol(), asked.text("incomeType")
    found = [
        row
        for row in desk.incomes
        if start <= row.at_ms <= end
        and row.visible_ms <= asked.elapsed_ms
        and symbol in {None, row.symbol}
        and kind in {None, row.kind}
    ]
    page = asked.page(found, limit, lambda row: row.at_ms)
    return asked.rows([_income(asked, row) for row in page])


def _income(asked: Asked, row: Income) -> Payload:
    return {
        "symbol": row.symbol,
        "incomeType": row.kind,
        "income": asked.number(row.amount, 8),
        "asset": row.asset,
        "info": row.info,
        "time": row.at_ms,
        "tranId": str(row.tran_id),
        "tradeId": row.trade_id,
    }


def commission_rate(asked: Asked) -> Payload:
    """`swap/v2/user/commissionRate`."""
    spec = asked.owner.spec
    return {
        "commission": {
            "takerCommissionRate": float(spec.taker_rate),
            "makerCommissionRate": float(spec.maker_rate),
        }
    }


def leverage(asked: Asked) -> Payload:
    """`swap/v2/trade/leverage`."""
    long, short = asked.owner.leverage[asked.symbol(needed=True) or ""]
    return {
        "longLeverage": long,
        "shortLeverage": short,
        "maxLongLeverage": 150,
        "maxShortLeverage": 150,
    }


def margin_type(asked: Asked) -> Payload:
    """`swap/v2/trade/marginType`."""
    kind = asked.owner.margin_type[asked.symbol(needed=True) or ""]
    return {"marginType": "ISOLATED" if kind == "isolated" else "CROSSED"}


def dual_side(asked: Asked) -> Payload:
    """`swap/v1/positionSide/dual`: the text "true" in hedge mode."""
    return {"dualSidePosition": "true" if asked.owner.spec.hedge else "false"}


def asset_mode(asked: Asked) -> Payload:
    """`swap/v1/trade/assetMode`."""
    multi = asked.owner.multi_asset
    return {"assetMode": "multiAssetsMode" if multi else "singleAssetMode"}


def api_permissions(asked: Asked) -> Payload:
    """`v1/account/apiPermissions`, in one of the two forms that clients have seen."""
    spec = asked.owner.spec
    if asked.dialect.permissions is Permissions.INTS:
        ints = sorted(PERMISSION_INTS[name] for name in spec.permissions)
        return {"apiKey": spec.api_key, "permissions": ints, "ipAddresses": [], "note": ""}
    return {
        "ipRestrict": False,
        "createTime": asked.now_ms - DAY_MS,
        "enableReading": "read" in spec.permissions,
        "enableFutures": "trade" in spec.permissions,
        "enableWithdrawals": "withdraw" in spec.permissions,
    }
