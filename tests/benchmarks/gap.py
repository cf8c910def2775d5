"""How fast a daemon catches up after a gap: it was off while the account traded.

What runs: a daemon over the simulated exchange begins, is stopped, misses some hours of trading, and is started again.
What leaves: missed fills per second from its socket answering until it has all of them, both ledgers agree and no gap
is open; its CPU per fill next to bare requests for the same rows. What holds: its wallet and its number of fills are
the exchange's own; requests go out at the most that settings allow, which is what bounds small gaps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from tests.benchmarks.children import Child, child, ended
from tests.benchmarks.figures import Figure
from tests.benchmarks.lane import daemon_process
from tests.benchmarks.options import Options
from tests.benchmarks.readers import open_gaps, reading
from tests.support.running import account_settings, settings_file

PART = "catching up after a gap"
GAPS = (500, 5_000)
SPACING_MS = 5_000
"""Fills stand so far apart, a few of each symbol in a minute."""

BEGUN_FILLS = 8
SLACK_S = 60
REQUESTS_PER_S = 10
MORE = f"""
[account.audit]
requests_per_s = {REQUESTS_PER_S}
[account.stream]
marks = false
"""


async def measure(folder: Path, options: Options) -> list[Figure]:
    """Miss a short gap, and a long one."""
    figures = []
    for number, fills in enumerate(GAPS):
        home = folder / f"gap{number}"
        home.mkdir()
        figures += await missed(home, max(BEGUN_FILLS, fills // options.scale))
    return figures


async def missed(folder: Path, fills: int) -> list[Figure]:
    """Miss so many fills."""
    past_s = fills * SPACING_MS // 1_000
    async with child("-m", "tests.benchmarks.gap_process", str(past_s + SLACK_S)) as exchange:
        where = await exchange.heard()
        urls = {name: where[name] for name in ("rest_url", "ws_url", "api_key", "api_secret")}
        settings = settings_file(folder, account_settings(folder, "main", **urls, more=MORE))
        async with daemon_process(folder, settings) as daemon:
            async with reading(folder / "s", "main") as (reader,):
                await reader.begun()
                books = await exchange.ask(fills=BEGUN_FILLS, over_ms=0)
                await reader.until(lambda: behind(reader.last, books))
            await ended(daemon.process)
        books = await exchange.ask(fills=fills, over_ms=fills * SPACING_MS)
        async with daemon_process(folder, settings) as daemon:
            began, cpu_s = time.perf_counter(), daemon.cpu_s
            async with reading(folder / "s", "main") as (reader,):
                await reader.until(lambda: behind(reader.last, books))
                took_s, spent_s = time.perf_counter() - began, daemon.cpu_s - cpu_s
        floor = await bare(exchange, {**where, **books}, folder)
    pacing = f"{fills} fills of {past_s / 3_600:.1f} hours missed, {REQUESTS_PER_S} requests/s of a kind at most"
    return [
        Figure(part=PART, what=f"{fills} fills", value=fills / took_s, unit="fills/s", pacing=pacing),
        Figure(
            part=PART,
            what=f"{fills} fills: CPU per fill",
            value=spent_s * 1e6 / fills,
            unit="µs CPU",
            pacing=pacing,
            beside={"bare requests for the rows": floor, "×": spent_s * 1e6 / fills / floor},
        ),
    ]


async def bare(exchange: Child, where: Mapping[str, Any], folder: Path) -> float:
    """Fetch the same rows with nothing around it; gives the CPU per row."""
    assert exchange.process.returncode is None, "the exchange still answers"
    text = orjson.dumps(where).decode()
    async with child("-m", "tests.benchmarks.fetch_process", text, str(folder)) as fetching:
        told = await fetching.heard()
    assert told["rows"] >= where["fills"] - BEGUN_FILLS, f"every missed fill has a row: {told} of {where}"
    return float(told["us"])


def behind(snapshot: Mapping[str, Any], books: Mapping[str, Any]) -> list[str]:
    """Say what of the exchange's books K and E do not have yet."""
    k, e, reconcile = snapshot["k"], snapshot["e"], snapshot["reconcile"]
    found = []
    for name, seen in (("K", k["capital_raw"]), ("E", e["wallet_balance"])):
        if seen != books["wallet"]:
            found.append(f"{name} has {seen}, the exchange {books['wallet']}")
    if len(k["positions"]) != books["positions"]:
        found.append(f"K has {len(k['positions'])} positions, the exchange {books['positions']}")
    if open_gaps(snapshot):
        found.append(f"open: {open_gaps(snapshot)}")
    if reconcile["status"] != "OK":
        found.append(f"the verdict is {reconcile['status']}: {reconcile['explanations'][:3]}")
    return found
