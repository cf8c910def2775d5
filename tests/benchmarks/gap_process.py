"""The simulated exchange of a benchmark, in a process of its own: an account trades while nobody listens.

What enters: a command a line: `trade` so many fills over so many seconds of its clock. What leaves: where it is, and
its own books. What holds: its clock begins as far in the past as the trading will take, and ends at the machine's time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from decimal import Decimal

from ditad.exchange import AccountSpec, Desk, SimulatedExchange
from tests.benchmarks.children import commands, tell
from tests.benchmarks.synthetic import plain
from tests.support.elapsing import Era

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "LTC-USDT")
QUANTITY = Decimal("0.1")
OPENING = Decimal(1_000_000)
EDGE_MS = 2_000
"""Rows stand in whole seconds, and those of the first one are left out of a span."""


async def main(past_s: int) -> None:
    """Serve until stdin ends."""
    era = Era(time.time_ns() // 1_000_000 - past_s * 1_000)
    accounts = [AccountSpec(name="main", opening=OPENING)]
    async with SimulatedExchange(seed=3, accounts=accounts, clock=era.now_ms) as exchange:
        key, secret = exchange.credentials["main"]
        tell(rest_url=exchange.rest_url, ws_url=exchange.ws_url, api_key=key, api_secret=secret)
        since = None
        async for command in commands():
            since = exchange.mark("main") if since is None else since  # the first command comes after the baseline
            trade(exchange.account("main"), era, command["fills"], command["over_ms"])
            books = exchange.books_since(since)
            tell(
                wallet=plain(books["wallet_balance"]),
                fills=books["fills"],
                positions=len(books["positions"]),
                from_ms=since.at_ms - EDGE_MS,
                to_ms=era.now_ms(),
                ahead_ms=era.now_ms() - time.time_ns() // 1_000_000,
            )


def trade(desk: Desk, era: Era, fills: int, over_ms: int) -> None:
    """Open and close a position of each symbol in turn, evenly over a time that is over at once."""
    with era.held():
        for number in range(fills):
            buys = number // len(SYMBOLS) % 2 == 0
            desk.market_order(SYMBOLS[number % len(SYMBOLS)], "BUY" if buys else "SELL", "LONG", QUANTITY)
            era.put_forward(over_ms // fills)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
