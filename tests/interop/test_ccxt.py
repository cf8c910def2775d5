"""A third party reads the same wire: what `ccxt` fetches and watches equals the exchange's books."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from decimal import Decimal
from typing import Any

import pytest

from ditad.exchange import AccountSpec, Desk, Dialect, SimulatedExchange
from ditad.exchange.dialect import EntryBasis, OrderNames
from tests.support.running import WAIT_S_MAX

ccxt_pro = pytest.importorskip(
    "ccxt.pro", reason="ccxt is not installed: pip install -e '.[interop]', to hear a third party"
)

HOUR_MS = 3_600_000
BTC, FET = "BTC/USDT:USDT", "FET/USDT:USDT"
# ccxt believes `p` unless `l` and `L` are there, so it needs the documented dialect of 2026.
DIALECT = Dialect(last_fields=True, order_names=OrderNames.ORDER_TRADE_UPDATE, entry_shown=EntryBasis.EXACT)


async def bounded(waiting: Awaitable[Any]) -> Any:
    """Wait for something of the network, but not for ever."""
    async with asyncio.timeout(WAIT_S_MAX):
        return await waiting


@pytest.fixture
async def ex() -> AsyncIterator[SimulatedExchange]:
    """Serve one hedge account."""
    async with SimulatedExchange(seed=11, dialect=DIALECT, accounts=[AccountSpec(name="main")]) as exchange:
        yield exchange


@pytest.fixture
async def client(ex: SimulatedExchange) -> AsyncIterator[Any]:
    """Point ccxt's own class at the simulated exchange, and change nothing else of it."""
    key, secret = ex.credentials["main"]
    bingx = ccxt_pro.bingx({"apiKey": key, "secret": secret, "options": {"defaultType": "swap"}})
    ws = bingx.urls["api"].pop("ws")
    bingx.urls["api"] = dict.fromkeys(bingx.urls["api"], f"{ex.rest_url}/openApi")
    bingx.urls["api"]["ws"] = {**ws, "linear": ex.ws_url}
    # Snapshots by REST would race with the pushes that these tests are about.
    bingx.options["watchBalance"] = {"fetchBalanceSnapshot": False, "awaitBalanceSnapshot": False}
    bingx.options["watchPositions"] = {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False}
    await bounded(bingx.load_markets())
    yield bingx
    await bingx.close()


async def test_ccxt_fetches_what_the_books_hold(ex: SimulatedExchange, client: Any) -> None:
    """Balance, positions, fills and funding history, asked by ccxt, are the books' own numbers."""
    main = ex.account("main")
    since = ex.now_ms() - 1000
    main.market_order("BTC-USDT", "BUY", "LONG", "0.02", parts=[("0.015", "112000.1"), ("0.005", "112000.4")])
    main.market_order("FET-USDT", "SELL", "SHORT", 5000, price="0.1878")
    main.market_order("FET-USDT", "BUY", "SHORT", 2000, price="0.1866", bound="0.2290")
    main.settle_funding("0.0001")
    books = ex.books("main")
    until = ex.now_ms() + 2000  # funding rows are stamped in the second after the settlement

    positions = await bounded(client.fetch_positions())
    fills = [
        fill
        for symbol in (BTC, FET)
        for fill in await bounded(client.fetch_my_trades(symbol, since, params={"until": until}))
    ]
    funding = await bounded(client.fetch_funding_history(None, since, params={"until": until}))
    main.close("BTC-USDT", "LONG", price="112500.0")
    main.close("FET-USDT", "SHORT", price="0.1870")
    balance = await bounded(client.fetch_balance())

    held = {(p["symbol"], p["side"].upper()): (exact(p["contracts"]), exact(p["entryPrice"])) for p in positions}
    assert {
        (unified(p["symbol"]), p["side"]): (p["qty"].normalize(), round(p["entry_price"], 8).normalize())
        for p in books["positions"]
    } == held
    assert [e for e in main.executions if e.at_ms <= until][:4] == list(main.executions)[:4]
    told = sorted((f["order"], exact(f["amount"]), exact(f["price"])) for f in fills)
    assert sorted((str(e.order_id), e.qty.normalize(), e.price.normalize()) for e in list(main.executions)[:4]) == told
    assert abs(books["fees"] - sum(exact(f["fee"]["cost"]) for f in fills)) <= 4 * Decimal("5e-7")
    assert -books["funding"] == sum(exact(row["amount"]) for row in funding)
    assert sorted(unified(p["symbol"]) for p in books["positions"]) == sorted(row["symbol"] for row in funding)
    assert round(ex.books("main")["wallet_balance"], 4) == exact(balance["USDT"]["total"])


async def test_ccxt_reads_the_wrong_z_of_filledtm_eight_hours_late(ex: SimulatedExchange, client: Any) -> None:
    """`filledTm` ends in Z but is +08:00: the trap catches ccxt exactly as the real exchange does."""
    since = ex.now_ms() - 1000
    ex.account("main").market_order("BTC-USDT", "BUY", "LONG", "0.01")
    (done,) = ex.account("main").executions
    (fill,) = await bounded(client.fetch_my_trades(BTC, since, params={"until": ex.now_ms() + 1000}))
    assert done.at_ms // 1000 * 1000 + 8 * HOUR_MS == fill["timestamp"]


async def test_ccxt_watches_what_the_books_do(ex: SimulatedExchange, client: Any) -> None:
    """Act by act, ccxt's four watchers see the wallet, the position, the order and the execution."""
    main = ex.account("main")
    await bounded(client.authenticate())
    watching = start_watching(client)
    await bounded(ex.wait_connected("main"))
    for act in acts(main):
        act()
        seen = await bounded(asyncio.gather(*watching))
        watching = start_watching(client)
        await asyncio.sleep(0)  # one turn: each watcher asks for its next update
        assert_seen(ex, seen)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    assert main.books.sums.fills == len(main.executions) == 6


def start_watching(client: Any) -> list[asyncio.Task[Any]]:
    """Ask for the next update of each kind."""
    kinds = (client.watch_balance, client.watch_positions, client.watch_orders, client.watch_my_trades)
    return [asyncio.ensure_future(kind()) for kind in kinds]


def acts(main: Desk) -> list[Any]:
    """Six executions: openings, a partial fill and its rest, a partial close and a close."""
    resting = [0]

    def rest_and_fill() -> None:
        resting[0] = main.limit_order("BTC-USDT", "BUY", "LONG", "0.03", "111000.0", client_id="Mine")
        main.fill(resting[0], "0.01")

    return [
        lambda: main.market_order("BTC-USDT", "BUY", "LONG", "0.02", price="112000.1"),
        lambda: main.market_order("FET-USDT", "SELL", "SHORT", 5000, price="0.1878"),
        rest_and_fill,
        lambda: main.fill(resting[0]),
        lambda: main.market_order("FET-USDT", "BUY", "SHORT", 2000, price="0.1866", bound="0.2290"),
        lambda: main.close("BTC-USDT", "LONG"),
    ]


def assert_seen(ex: SimulatedExchange, seen: list[Any]) -> None:
    """Compare one round of updates with the books of the same moment."""
    balance, positions, orders, trades = seen
    main, books = ex.account("main"), ex.books("main")
    last = main.executions[-1]
    order = main.orders[last.order_id]
    assert books["wallet_balance"] == exact(balance["USDT"]["free"])
    (position,) = positions
    key = (last.symbol, last.position_side)
    held = main.books.positions.get(key)
    assert unified(last.symbol) == position["symbol"]
    assert (held.qty if held else 0) == exact(position["contracts"])
    assert (round(held.entry_price, 8) if held else 0) == exact(position["entryPrice"] or 0)
    assert (str(order.order_id), order.filled, order.qty) == (
        orders[-1]["id"],
        exact(orders[-1]["filled"]),
        exact(orders[-1]["amount"]),
    )
    assert (str(last.order_id), last.qty, last.price, last.fee) == (
        trades[-1]["order"],
        exact(trades[-1]["amount"]),
        exact(trades[-1]["price"]),
        exact(trades[-1]["fee"]["cost"]),
    )


def exact(number: float | str) -> Decimal:
    """Read ccxt's floats by their shortest text."""
    return Decimal(str(number)).normalize()


def unified(symbol: str) -> str:
    """Name a symbol as ccxt does."""
    base, quote = symbol.split("-")
    return f"{base}/{quote}:{quote}"
