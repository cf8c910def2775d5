"""The exchange's side of a benchmark, in a process of its own, so that its CPU is nobody else's.

What enters: one command a line on stdin, and the end of stdin. What leaves: one JSON object a line on stdout: where it
listens, what is prepared (and the books that it leads to), what was sent and when. What holds: frames are built and
compressed before any is sent; they go out as fast as the socket takes them, or at a pace, never more at once than are
due; a frame's time is taken before the socket is given it.

| command | does |
|---|---|
| `open` | begins an account: listen key, symbols, and what it did before |
| `prepare` | builds frames of a kind, which go on from those before |
| `send` | sends what was prepared last, or a part of it, to the listeners of a key |
| `cut` | breaks the streams of a key off |
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from tests.benchmarks.children import commands, tell
from tests.benchmarks.synthetic import FEE_RATE, OPENING, Account, numbered_symbols
from tests.support.venue import ScriptedVenue

LATE_S = 0.001
"""A pause shorter than this is none: timers have no finer grain. So at 2000 a second two frames go at once."""


class Books:
    """One account of this exchange, and the frames that are ready to be sent of it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.ready: list[bytes] = []

    def prepare(self, kind: str, frames: int, now_ms: int) -> None:
        """Build frames that go on from those before: the first ones begin now, later ones end now, a millisecond each.

        None is from the future for long, which no exchange would send: orders are put away by their time.
        """
        account = self.account
        account.at_ms = max(account.at_ms, now_ms - frames) if self.ready else now_ms
        made: dict[str, Callable[[], Iterator[bytes]]] = {
            "pairs": lambda: account.pairs(frames),
            "level": account.level,
            "orders": lambda: account.orders(frames),
            "accounts": lambda: account.accounts(frames),
            "config": lambda: account.configured(frames),
        }
        self.ready = [gzip.compress(text) for text in made[kind]()]


async def main() -> None:
    """Serve until stdin ends."""
    async with ScriptedVenue(at_ms=time.time_ns() // 1_000_000) as venue:
        tell(rest_url=venue.rest_url, ws_url=venue.ws_url)
        books: dict[str, Books] = {}
        async for command in commands():
            name = command.get("account", "main")
            match command.pop("do"):
                case "open":
                    books[name] = Books(opened(venue, command))
                    tell(opened=name)
                case "prepare":
                    books[name].prepare(command["kind"], command["frames"], venue.now_ms)
                    tell(prepared=len(books[name].ready), expected=books[name].account.standing())
                case "send":
                    part = slice(command["first"], command["last"])
                    frames = [books[one].ready[part] for one in command["accounts"]]
                    tell(**await send(venue, frames, command["keys"], command["rate"]))
                case "cut":
                    for socket in venue.listeners(command["key"]):
                        await socket.close()
                    tell(cut=True)
                case unknown:
                    raise SystemExit(f"unknown command {unknown}")


def opened(venue: ScriptedVenue, command: dict[str, Any]) -> Account:
    """Begin an account, and let REST know its symbols and its wallet, which all accounts of a venue have alike."""
    symbols = numbered_symbols(command["symbols"])
    wallet = command.get("wallet", str(OPENING))
    venue.listen_keys[command["api_key"]] = command["key"]
    venue.answers["/swap/v2/quote/contracts"] = {
        "list": [
            {"symbol": name, "pricePrecision": 1, "quantityPrecision": 4, "asset": name[:4], "currency": "USDT"}
            for name in symbols
        ]
    }
    venue.answers["/swap/v2/user/balance"] = venue.balance(wallet)
    rates = {"takerCommissionRate": float(FEE_RATE), "makerCommissionRate": float(FEE_RATE)}
    venue.answers["/swap/v2/user/commissionRate"] = {"commission": rates}
    return Account(
        venue.now_ms,
        symbols=symbols,
        steady=command["steady"],
        wallet=Decimal(wallet),
        realized=Decimal(command.get("realized", "0")),
        fees=Decimal(command.get("fees", "0")),
        trades=command.get("trades", 0),
    )


async def send(venue: ScriptedVenue, frames: list[list[bytes]], keys: list[str], rate: float) -> dict[str, Any]:
    """Send the frames of some accounts in turn, each to the listeners of its key; a rate of 0 is as fast as it goes."""
    sent_ns: list[int] = []
    began = time.perf_counter()
    for number, row in enumerate(zip(*frames, strict=True)):
        for place, (data, key) in enumerate(zip(row, keys, strict=True)):
            if rate:
                due_s = began + (number * len(keys) + place) / rate - time.perf_counter()
                if due_s > LATE_S:
                    await asyncio.sleep(due_s)
                sent_ns.append(time.time_ns())
            await venue.send(data, compress=False, listen_key=key)
    return {"sent": sum(map(len, frames)), "took_s": time.perf_counter() - began, "sent_ns": sent_ns}


if __name__ == "__main__":
    asyncio.run(main())
