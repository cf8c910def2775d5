"""Synthetic frames with correct money: what a benchmark sends, and what the books must be afterwards.

What enters: how many frames, and from which moment on. What leaves: the text of order and account frames in the
exchange's own form, and the standing they lead to. What holds: a few positions open and close in turn at exact
prices, so that entry price, profit and fee are known to the last digit without a division. None of it was captured.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "LTC-USDT")
QUANTITY = Decimal("0.01")
PRICE = Decimal("28000.0")
TICK = Decimal("0.1")
FEE_RATE = Decimal("0.0005")
OPENING = Decimal(100_000)
ZERO = Decimal(0)
EPOCH_MS = 1_288_834_974_657
"""Order ids hold their time of creation, counted from here. (bingx.md)"""

LOW, HIGH = Decimal("27986.0"), Decimal("28014.0")
"""Bought low and sold high, a position earns exactly the fees of both orders: HIGH − LOW is FEE_RATE · (HIGH + LOW)."""

CONFIGURED = 300
"""Symbols of which the configuration is repeated."""

PRICES = 500
"""Prices walk up and down over so many ticks."""

ROUND = 2 * len(SYMBOLS)
"""After so many orders every position is as it was: open, with another entry price."""


def numbered_symbols(count: int) -> tuple[str, ...]:
    """Name so many symbols; few are the known ones."""
    return SYMBOLS if count == len(SYMBOLS) else tuple(f"S{number:03}-USDT" for number in range(count))


class Account:
    """An account whose every frame is known beforehand; it starts flat and the first orders open a position each.

    By default all positions are opened, then all closed, in turn. `steady`: once open they stay so, the next one being
    closed and opened again at once. What the account did before, it may begin with.
    """

    def __init__(
        self,
        at_ms: int,
        *,
        symbols: tuple[str, ...] = SYMBOLS,
        steady: bool = False,
        wallet: Decimal = OPENING,
        realized: Decimal = ZERO,
        fees: Decimal = ZERO,
        trades: int = 0,
    ) -> None:
        self.at_ms = at_ms
        self.symbols = symbols
        self.steady = steady
        self.number = 0
        self.trades = trades
        self.wallet = wallet
        self.realized = realized
        self.fees = fees
        self.entries: dict[str, Decimal] = {}

    def standing(self) -> dict[str, Any]:
        """Give the books as they must be once everything so far was heard; figures in plain notation."""
        return {
            "trade_seq": self.trades,
            "capital_raw": plain(self.wallet),
            "realized_pnl": plain(self.realized),
            "fees_paid": plain(self.fees),
            "positions": {symbol: [plain(QUANTITY), plain(entry)] for symbol, entry in sorted(self.entries.items())},
        }

    def pairs(self, count: int) -> Iterator[bytes]:
        """Give an order frame and its account frame in turn, `count` frames in all, at prices that walk."""
        for _ in range(count // 2):
            yield from self._pair(even=False)

    def level(self) -> Iterator[bytes]:
        """Give the pairs after which every position stands as `orders` expects it: bought low."""
        unopened = max(0, len(self.symbols) - self.number)
        for _ in range(unopened + 2 * len(self.symbols)):
            yield from self._pair(even=True)

    def orders(self, count: int) -> Iterator[bytes]:
        """Give order frames without account frames: after each round wallet and positions are what they were."""
        for _ in range(count):
            yield self._order(even=True)[1]

    def accounts(self, count: int) -> Iterator[bytes]:
        """Give account frames that state again, at a later moment, what holds."""
        for place in range(count):
            self.at_ms += 1
            yield self._account(self.symbols[place % len(self.symbols)])

    def configured(self, count: int) -> Iterator[bytes]:
        """Give configuration frames as the exchange repeats them, a symbol each: after the first round nothing new."""
        for place in range(count):
            self.at_ms += 1
            said = {"s": f"C{place % CONFIGURED:03}-USDT", "l": 10, "S": 10, "mt": "cross"}
            yield orjson.dumps({"e": "SNAPSHOT", "E": self.at_ms, "ac": said})

    def _pair(self, *, even: bool) -> Iterator[bytes]:
        symbol, order = self._order(even=even)
        yield order
        yield self._account(symbol)

    def _order(self, *, even: bool) -> tuple[str, bytes]:
        """Open the next symbol's position, or close it if it is open."""
        symbol = self.symbols[self._turn() % len(self.symbols)]
        self.number += 1
        self.at_ms += 1
        price = self._price(symbol, even=even)
        entry = self.entries.pop(symbol, None)
        fee = (QUANTITY * price * FEE_RATE).quantize(Decimal("1e-8"))
        profit = Decimal(0) if entry is None else (price - entry) * QUANTITY
        if entry is None:
            self.entries[symbol] = price
        else:
            self.trades += 1
        self.fees += fee
        self.realized += profit
        self.wallet += profit - fee
        return symbol, orjson.dumps(
            {
                "e": "ORDER_TRADE_UPDATE",
                "E": self.at_ms,
                "o": {
                    "s": symbol,
                    "c": "",
                    "i": ((self.at_ms - EPOCH_MS) << 22) | (self.number % 4096),
                    "S": "BUY" if entry is None else "SELL",
                    "o": "MARKET",
                    "q": wire(QUANTITY),
                    "p": wire(price * 2),
                    "ap": wire(price),
                    "x": "TRADE",
                    "X": "FILLED",
                    "N": "USDT",
                    "n": wire(-fee),
                    "T": self.at_ms,
                    "wt": "MARK_PRICE",
                    "ps": "LONG",
                    "rp": wire(profit),
                    "z": wire(QUANTITY),
                },
            }
        )

    def _turn(self) -> int:
        """Count which symbol's turn it is; steady ones come twice in a row once all are open."""
        return (
            self.number
            if not self.steady or self.number < len(self.symbols)
            else (self.number - len(self.symbols)) // 2
        )

    def _price(self, symbol: str, *, even: bool) -> Decimal:
        """Walk up and down, or buy low and sell high."""
        if even:
            return HIGH if symbol in self.entries else LOW
        step = self.number % (2 * PRICES)
        return PRICE + TICK * min(step, 2 * PRICES - step)

    def _account(self, symbol: str) -> bytes:
        entry = self.entries.get(symbol)
        return orjson.dumps(
            {
                "e": "ACCOUNT_UPDATE",
                "E": self.at_ms,
                "a": {
                    "m": "ORDER",
                    "B": [{"a": "USDT", "wb": wire(self.wallet), "cw": wire(self.wallet), "bc": "0"}],
                    "P": [
                        {
                            "s": symbol,
                            "pa": wire(Decimal(0) if entry is None else QUANTITY),
                            "ep": wire(entry or Decimal(0)),
                            "up": "0.00000000",
                            "mt": "cross",
                            "iw": "0",
                            "ps": "LONG",
                            "cr": "",
                        }
                    ],
                },
            }
        )


def wire(figure: Decimal) -> str:
    """Write a figure as the exchange does."""
    return f"{figure + 0:.8f}"


def plain(figure: Decimal) -> str:
    """Write a figure as the socket does: no exponent, no trailing zeros."""
    text = f"{figure:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
