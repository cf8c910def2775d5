"""The exchange's side of a benchmark, in a process of its own, so that its CPU is nobody else's.

What enters: one command a line on stdin: `prepare FRAMES`, `send KIND`, and the end of stdin. What leaves: one JSON
object a line on stdout: where it listens, what is prepared (and the books that it leads to), what was sent. What
holds: frames are built and compressed before any is sent, and then go out as fast as the socket takes them.
"""

from __future__ import annotations

import asyncio
import gzip
import sys
import time
from collections.abc import Mapping
from typing import Any

import orjson

from tests.benchmarks.synthetic import FEE_RATE, OPENING, ROUND, SYMBOLS, Account
from tests.support.venue import ScriptedVenue

WARM_FRAMES = 40 * ROUND + 2 * len(SYMBOLS)
"""Pairs sent before anything is measured; they leave every position open."""


async def main() -> None:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with ScriptedVenue(at_ms=time.time_ns() // 1_000_000) as venue:
        answer(venue)
        tell({"rest_url": venue.rest_url, "ws_url": venue.ws_url})
        prepared: dict[str, list[bytes]] = {}
        while words := (await commands.readline()).split():
            match words:
                case [b"prepare", frames]:
                    prepared, expected = prepare(int(frames), venue.now_ms)
                    tell({"prepared": {kind: len(frames) for kind, frames in prepared.items()}, "expected": expected})
                case [b"send", kind]:
                    for data in prepared[kind.decode()]:
                        await venue.send(data, compress=False)
                    tell({"sent": len(prepared[kind.decode()])})
                case _:
                    raise SystemExit(f"unknown command {words}")


def prepare(frames: int, at_ms: int) -> tuple[dict[str, list[bytes]], Mapping[str, Any]]:
    """Build the frames of each kind, in the order in which they are to be sent, and the books after each."""
    account = Account(at_ms)
    prepared, expected = {}, {}
    for kind, made in (
        ("warm", account.pairs(WARM_FRAMES)),
        ("pairs", account.pairs(frames)),
        ("level", account.level()),
        ("orders", account.orders(frames)),
        ("accounts", account.accounts(frames)),
    ):
        prepared[kind] = [gzip.compress(text) for text in made]
        expected[kind] = account.standing()
    return prepared, expected


def answer(venue: ScriptedVenue) -> None:
    """Let REST know the symbols and the wallet at the beginning."""
    venue.answers["/swap/v2/quote/contracts"] = {
        "list": [
            {"symbol": name, "pricePrecision": 1, "quantityPrecision": 4, "asset": name[:3], "currency": "USDT"}
            for name in SYMBOLS
        ]
    }
    venue.answers["/swap/v2/user/balance"] = venue.balance(str(OPENING))
    rates = {"takerCommissionRate": float(FEE_RATE), "makerCommissionRate": float(FEE_RATE)}
    venue.answers["/swap/v2/user/commissionRate"] = {"commission": rates}


def tell(answer: Mapping[str, Any]) -> None:
    """Write one line for whoever started us."""
    sys.stdout.write(orjson.dumps(answer).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
