"""REST reports that need no key: time, contracts, marks; and what ccxt asks for while it starts.

Enters: one question. Leaves: the value of `data`. Pure.
"""

from __future__ import annotations

from typing import Final

from ditad.exchange.amounts import fixed, plain
from ditad.exchange.pushes import Payload
from ditad.exchange.reporting import Asked

FUNDING_EVERY_MS: Final = 8 * 3600 * 1000


def server_time(asked: Asked) -> Payload:
    """`swap/v2/server/time`."""
    return {"serverTime": asked.now_ms}


def contracts(asked: Asked) -> list[Payload]:
    """`swap/v2/quote/contracts`."""
    symbol = asked.symbol()
    return [
        {
            "contractId": str(100 + number),
            "symbol": contract.symbol,
            "size": plain(contract.lot),
            "quantityPrecision": contract.quantity_precision,
            "pricePrecision": contract.price_precision,
            "feeRate": 0.0005,
            "makerFeeRate": 0.0002,
            "takerFeeRate": 0.0005,
            "tradeMinLimit": 0,
            "tradeMinQuantity": float(contract.lot),
            "tradeMinUSDT": 2,
            "maxLongLeverage": 150,
            "maxShortLeverage": 150,
            "currency": contract.quote,
            "asset": contract.base,
            "status": 1,
            "apiStateOpen": "true",
            "apiStateClose": "true",
        }
        for number, contract in enumerate(asked.venue.market.contracts.values())
        if symbol in {None, contract.symbol}
    ]


def premium_index(asked: Asked) -> Payload | list[Payload]:
    """`swap/v2/quote/premiumIndex`: one object for a symbol, else a list."""
    symbol = asked.symbol()
    rows = [_premium(asked, name) for name in asked.venue.market.contracts if symbol in {None, name}]
    return rows if symbol is None else rows[0]


def _premium(asked: Asked, symbol: str) -> Payload:
    market = asked.venue.market
    places = market.contract(symbol).price_precision
    return {
        "symbol": symbol,
        "markPrice": fixed(market.mark(symbol), places),
        "indexPrice": fixed(market.price(symbol), places),
        "lastFundingRate": "0.00010000",
        "nextFundingTime": (asked.now_ms // FUNDING_EVERY_MS + 1) * FUNDING_EVERY_MS,
    }


def coins(asked: Asked) -> list[Payload]:
    """`wallets/v1/capital/config/getall`: the coins, without networks."""
    bases = {c.base for c in asked.venue.market.contracts.values()}
    return [{"coin": c, "name": c, "networkList": []} for c in sorted(bases | {"USDT", "VST"})]


def no_spot_symbols(_asked: Asked) -> Payload:
    """`spot/v1/common/symbols`: this exchange lists no spot pairs."""
    return {"symbols": []}


def no_coin_contracts(_asked: Asked) -> list[Payload]:
    """`cswap/v1/market/contracts`: nor contracts margined in coins."""
    return []
