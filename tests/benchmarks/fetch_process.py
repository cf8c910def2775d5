"""The least that asking for missed fills costs: bare signed requests, `orjson.loads`, one insert a page, `orjson.dumps`.

What enters: the exchange, the key, a span of time, the symbols. What leaves: one JSON line: rows and CPU in µs per row.
What holds: the same pages are asked for as the daemon asks for, one after the other, and every row is told once.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from ditad.exchange import signature_of
from tests.benchmarks.children import tell
from tests.benchmarks.floor_process import durable
from tests.benchmarks.gap_process import SYMBOLS

PATH = "/openApi/swap/v2/trade/fillHistory"
PAGE = 1_000


async def main(where: Mapping[str, Any], folder: Path) -> None:
    """Fetch every page, twice, and tell what the second pass cost."""
    database = durable(folder / "fetched.db")
    async with aiohttp.ClientSession(headers={"X-BX-APIKEY": where["api_key"]}) as session:
        await fetched(session, where, database)  # connections and code warm up
        began = time.process_time()
        rows = await fetched(session, where, database)
        spent_s = time.process_time() - began
    database.close()
    tell(rows=rows, us=spent_s * 1e6 / rows)


async def fetched(session: aiohttp.ClientSession, where: Mapping[str, Any], database: sqlite3.Connection) -> int:
    """Fetch the pages of every symbol; gives how many rows there were."""
    count = 0
    for symbol in SYMBOLS:
        page = 1
        while rows := await one(session, where, symbol, page):
            database.execute("INSERT INTO raw (data) VALUES (?)", (orjson.dumps(rows),))
            count += len(rows)
            page += 1
    return count


async def one(session: aiohttp.ClientSession, where: Mapping[str, Any], symbol: str, page: int) -> list[Any]:
    """Fetch a page."""
    parameters = {
        "symbol": symbol,
        "startTs": str(where["from_ms"]),
        "endTs": str(where["to_ms"]),
        "pageIndex": str(page),
        "pageSize": str(PAGE),
        "timestamp": str(time.time_ns() // 1_000_000 + where["ahead_ms"]),
    }
    parameters["signature"] = signature_of(where["api_secret"], parameters)
    async with session.get(where["rest_url"] + PATH, params=parameters) as response:
        answer = orjson.loads(await response.read())
    if answer["code"] != 0:
        raise SystemExit(f"the exchange refuses: {answer}")
    return list(answer["data"]["fill_history_orders"] or [])


if __name__ == "__main__":
    asyncio.run(main(orjson.loads(sys.argv[1]), Path(sys.argv[2])))
