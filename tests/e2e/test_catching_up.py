"""A daemon that was off while the account went on trading: it says so, asks, and ends with the exchange's own books."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad.api.client import ApiClient
from ditad.demo import differences
from ditad.errors import DitadError
from ditad.exchange import AccountSpec, BooksTruth, SimulatedExchange, numbered_contracts
from ditad.hub import Hub
from tests.support.elapsing import Era, days
from tests.support.running import Running, running, settings_of
from tests.support.season import Season

BEGAN_MS = 1_790_000_000_123
SYMBOLS = 30
FILLS = 5_000
AWAY_DAYS = 2
LONG_FILLS = 1_500
LONG_DAYS = 20
ORDERS_ASKED_MAX = 10
READY_S_MAX = 120

SETTINGS = """
[account.audit]
interval_s = 2
requests_per_s = 10
fills_page_rows = {rows}
income_page_rows = {rows}
pages_max = 2000
[account.stream]
marks = false
"""


@asynccontextmanager
async def offline(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    rows: int = 1_000,
    fills: int = FILLS,
    away_days: int = AWAY_DAYS,
) -> AsyncIterator[tuple[SimulatedExchange, BooksTruth, Path]]:
    """Give an exchange that traded while the daemon was off, its truth since the baseline, and the settings."""
    era = Era(BEGAN_MS)
    monkeypatch.setattr("ditad.daemon.SystemClock", era.machine_clock)
    async with SimulatedExchange(
        seed=30,
        clock=era.now_ms,
        contracts=numbered_contracts(SYMBOLS),
        accounts=[AccountSpec(name="main", opening=Decimal(100_000))],
    ) as exchange:
        settings = settings_of(folder, exchange, SETTINGS.format(rows=rows))
        desk = exchange.account("main")
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            since = exchange.mark("main")
            desk.market_order("C001-USDT", "BUY", "LONG", 5)
            resting = desk.limit_order("C002-USDT", "SELL", "SHORT", "9.00", desk.around.market.price("C002-USDT"))
            await daemon.now(lambda seen: seen["k"]["open_positions"] == 1 and seen["reconcile"]["status"] == "OK")
        with era.held():
            era.put_forward(60_000)
            desk.fill(resting, "4.00")
            Season(desk, era, seed=1).trade(fills, over_ms=days(away_days))
            era.put_forward(600_000)  # rows of income may be late; of this story none is
        yield exchange, exchange.books_since(since), settings


async def why_not_ready(client: ApiClient, path: str) -> list[str]:
    """Ask whether one or all are ready; gives the reasons against it."""
    try:
        answer = await client.get(path)
    except DitadError as refusal:
        return [str(refusal)]
    assert answer["ready"]
    return []


class Watching:
    """What a daemon says while it catches up: its snapshots and gaps, and at each of them whether it was ready."""

    def __init__(self, daemon: Running) -> None:
        self.daemon = daemon
        self.snapshots: list[dict[str, Any]] = []
        self.gaps: list[dict[str, Any]] = []
        self.reasons: list[list[str]] = []

    async def until_ready(self) -> dict[str, Any]:
        """Follow the records and ask after each batch of them, over the socket, until the account is ready."""
        hub = self.daemon.daemon.accounts["main"].hub
        async with asyncio.timeout(READY_S_MAX):
            return await self._until_ready(hub)

    async def _until_ready(self, hub: Hub) -> dict[str, Any]:
        with hub.subscribe(None, None) as batches:
            async for batch in batches:  # the first one comes after the socket stands
                for line in batch.splitlines():
                    self._note(orjson.loads(line))
                own = await why_not_ready(self.daemon.client, "/v1/accounts/main/readyz")
                self.reasons.append(own)
                if not own:
                    assert [] == await why_not_ready(self.daemon.client, "/v1/readyz")
                    return await self.daemon.snapshot()
        raise AssertionError("the records ended")

    def _note(self, record: dict[str, Any]) -> None:
        if record["type"] == "snapshot":
            self.snapshots.append(record["snapshot"])
        elif record["type"] == "gap":
            self.gaps.append(record["gap"])


@pytest.mark.parametrize("rows", [200, 1_000], ids=["short pages", "pages by default"])
async def test_what_was_traded_while_it_was_off_is_caught_up_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None], *, rows: int
) -> None:
    """Over several pages to equality to the last digit; not ready, and never `live`, before nothing can be missing."""
    async with offline(folder, monkeypatch, rows=rows) as (exchange, truth, settings):
        desk = exchange.account("main")
        began_s = time.monotonic()
        async with running(settings) as daemon:
            watching = Watching(daemon)
            await watching.until_ready()
            record_property("caught_up_s", round(time.monotonic() - began_s, 1))
            last = await daemon.now(lambda seen: seen["reconcile"]["status"] == "OK")
            calls = daemon.daemon.accounts["main"].feed.stats.rest_calls
            # The account is heard again: the next trade comes as a push, and the ledgers go on together.
            desk.market_order("C003-USDT", "BUY", "LONG", 1)
            await daemon.now(
                lambda seen: (
                    seen["k"]["fees_paid"] != last["k"]["fees_paid"]
                    and seen["k"]["capital_raw"] == seen["e"]["wallet_balance"]
                )
            )
    assert truth["fills"] >= FILLS
    assert SYMBOLS == len({done.symbol for done in desk.executions})
    assert [] == differences(truth, last)
    assert {} == last["k"]["precision"]
    assert any("gap-1 is open: lost: start" in reason for reason in watching.reasons[0])
    assert all(watching.reasons[:-1]), "once it is ready it stays so"
    early = [seen for seen in watching.snapshots if seen["coverage"]["state"] == "live"]
    assert [] == [found for seen in early for found in differences(truth, seen)], "live, and something is missing"
    assert {"gap-1"} == {gap["id"] for gap in watching.gaps}
    income_pages = -(-len(desk.incomes) // rows)
    assert calls["/openApi/swap/v2/user/income"] >= income_pages > 1
    assert calls["/openApi/swap/v2/trade/fillHistory"] >= SYMBOLS
    # One list of orders makes the rows complete sets: what is asked one by one are orders from before the absence.
    assert calls.get("/openApi/swap/v2/trade/order", 0) <= ORDERS_ASKED_MAX


async def test_what_was_traded_over_weeks_is_caught_up_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """What `fillHistory` keeps no more comes from `allFillOrders`, which tells no profit: income rows tell it exactly."""
    async with offline(folder, monkeypatch, fills=LONG_FILLS, away_days=LONG_DAYS) as (_, truth, settings):
        began_s = time.monotonic()
        async with running(settings) as daemon:
            watching = Watching(daemon)
            await watching.until_ready()
            record_property("caught_up_s", round(time.monotonic() - began_s, 1))
            last = await daemon.now(lambda seen: seen["reconcile"]["status"] == "OK")
            calls = daemon.daemon.accounts["main"].feed.stats.rest_calls
    assert truth["fills"] >= LONG_FILLS
    assert [] == differences(truth, last)
    assert ([], {}) == (last["k"]["unknown"], last["k"]["precision"])
    assert all(watching.reasons[:-1]), "once it is ready it stays so"
    assert calls["/openApi/swap/v2/trade/allFillOrders"] >= SYMBOLS
