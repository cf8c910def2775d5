"""A third party's handling of the same frames: `ccxt.pro`'s BingX `handle_message`, with nothing around it.

What enters: where the frames come from; then a command a line: how many are due. What leaves: one JSON line each, CPU
in µs per frame of `handle_message` alone, the frames being received, inflated and decoded before. What holds: ccxt asks
nobody anything; its caches hold what the frames said, or there is no figure.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import ccxt.pro
import orjson

from tests.benchmarks.children import commands, tell
from tests.benchmarks.listening import inflated, listening, received
from tests.benchmarks.synthetic import SYMBOLS


async def main(url: str, key: str) -> None:
    """Measure what is asked for until stdin ends."""
    peer = ccxt.pro.bingx({"options": {"defaultType": "swap"}})
    peer.set_markets([peer.parse_market(contract(name)) for name in SYMBOLS])
    client = peer.client(f"{url}?listenKey={key}")  # made, never connected
    try:
        async with listening(url, key) as stream:
            tell(connected=True, version=ccxt.pro.__version__)
            async for command in commands():
                data, _ = await received(stream, command["frames"])
                messages = [orjson.loads(inflated(one)) for one in data]
                began = time.process_time()
                for message in messages:
                    peer.handle_message(client, message)
                spent_s = time.process_time() - began
                understood(peer, messages)
                tell(us=spent_s * 1e6 / len(messages))
    finally:
        await peer.close()


def contract(name: str) -> dict[str, object]:
    """Write a contract as the exchange lists it."""
    return {
        "contractId": "1",
        "symbol": name,
        "pricePrecision": 1,
        "quantityPrecision": 4,
        "size": "0.0001",
        "asset": name[:3],
        "currency": "USDT",
        "status": 1,
        "apiStateOpen": "true",
        "apiStateClose": "true",
    }


def understood(peer: Any, messages: list[dict[str, Any]]) -> None:
    """Check that the last frame of each kind stands in the peer's caches: a frame that it ignores costs nothing."""
    orders = [message["o"] for message in messages if "o" in message]
    accounts = [message["a"] for message in messages if "a" in message]
    assert not orders or str(orders[-1]["i"]) == peer.orders[-1]["id"], "the peer took the order in"
    assert not orders or str(orders[-1]["i"]) == peer.myTrades[-1]["order"], "and its fill"
    wallet = accounts[-1]["B"][0]["wb"] if accounts else None
    assert not accounts or wallet == peer.balance["swap"]["USDT"]["info"]["wb"], "and the wallet"


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
