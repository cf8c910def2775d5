"""Everything that a real daemon answers, after a life with a gap, a divergence and a bot: as the schema says, and typed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from ditad.api.schema import schema
from ditad.client import Client, Snapshot
from ditad.client.answers import BODIES
from ditad.client.asking import record_of
from ditad.exchange import SimulatedExchange, trade
from tests.e2e.test_outages import SETTINGS
from tests.support.running import Running, running, settings_of

MAIN = "/v1/accounts/main"
SLOT = {
    "trade_id": "t-1",
    "asset": "BTC-USDT",
    "side": "LONG",
    "size": "0.01",
    "entry_price": "50000",
    "fsm_state": "POSITION_OPEN",
}


@asynccontextmanager
async def lived(folder: Path) -> AsyncIterator[tuple[SimulatedExchange, Running]]:
    """Give a daemon that has traded, lost its stream, found money gone without a cause, and heard from a bot."""
    async with SimulatedExchange(seed=8) as exchange:
        settings = settings_of(folder, exchange, SETTINGS)
        settings.write_text(settings.read_text().replace("[daemon]\n", f"[daemon]\nadmin_uids = [{os.getuid()}]\n"))
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            await trade(exchange, "main", actions=25, seed=4)
            exchange.account("main").market_order("BTC-USDT", "BUY", "LONG", "0.01")
            exchange.account("main").deposit("5")
            exchange.inject("main", {"e": "ORDER_TRADE_UPDATE", "o": {"z": "NaN"}})
            exchange.cut("main")
            await exchange.wait_connected("main")
            exchange.account("main").silent_change("-12.5")
            await daemon.until(lambda seen: seen["reconcile"]["status"] == "ERROR")
            yield exchange, daemon


def wrong(answer: Any, reference: dict[str, str]) -> list[str]:
    """Say where an answer is not as the schema says."""
    validator = jsonschema.Draft202012Validator({**schema(), **reference})
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(answer)]


async def told(daemon: Running, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Ask, and give status and body whatever they are."""
    async with daemon.client._open.request(method, path, data=body) as answer:
        return answer.status, await answer.read()


ASKED = {
    "GET /v1/livez": "/v1/livez",
    "GET /v1/readyz": "/v1/readyz",
    "GET /v1/version": "/v1/version",
    "GET /v1/schema": "/v1/schema",
    "GET /v1/accounts": "/v1/accounts",
    "GET /v1/accounts/{account}/why": f"{MAIN}/why?field=capital_raw",
    "GET /v1/accounts/{account}/diff": f"{MAIN}/diff?a=2&b=9",
    "GET /v1/accounts/{account}/events": f"{MAIN}/events?after_seq=0&snapshot=1",
}
"""The question to each path that wants more than its account's name."""

SENT = {
    "PUT /v1/accounts/{account}/bot/slots": {"slots": [SLOT]},
    "POST /v1/accounts/{account}/bot/settlements": {"settlement_id": "t-0", "realized_pnl": "1.5", "fees": "0.25"},
    "POST /v1/accounts/{account}/audit": {},
    "POST /v1/accounts/{account}/adopt": {"why": "ticket 7"},
}

REFUSED = {
    "bad_request": ("GET", f"{MAIN}/fills?limit=0", None),
    "not_found": ("GET", "/v1/accounts/nobody/snapshot", None),
    "conflict": ("POST", f"{MAIN}/bot/settlements", b'{"settlement_id":"t-0","realized_pnl":"9"}'),
    "too_large": ("PUT", f"{MAIN}/bot/slots", b" " * 262_145),
    "unavailable": ("GET", f"{MAIN}/readyz", None),
}


async def test_every_answer_is_as_the_schema_says(folder: Path) -> None:
    """Each path, each type of record, each refusal, before and after an adoption and the bot's first word."""
    document = schema()
    problems: dict[str, list[str]] = {}
    seen: set[str] = set()

    async def check(daemon: Running, words: str) -> None:
        method, _, path = words.partition(" ")
        body = orjson.dumps(SENT[words]) if words in SENT else None
        status, answer = await told(daemon, method, ASKED.get(words, path.replace("{account}", "main")), body)
        reference = document["answers"][words] if status == 200 else document["errors"][str(status)]
        lines = [orjson.loads(line) for line in answer.splitlines()] if "events" in words else [orjson.loads(answer)]
        seen.update(str(line["type"]) for line in lines if "events" in words)
        found = [problem for line in lines for problem in wrong(line, reference)]
        if found or (status != 200 and "readyz" not in words):
            problems[f"{words} {status}"] = found[:3]

    async with lived(folder) as (exchange, daemon):
        for words in [*SENT, *document["answers"]]:
            if words != "GET /v1/metrics" and words not in list(SENT)[3:]:
                await check(daemon, words)
        exchange.faults.force("refuse", 1_000_000, code=503)  # until it is let go of below
        exchange.cut("main")
        await daemon.now(lambda now: now["coverage"]["state"] == "stale")
        for code, (method, path, body) in REFUSED.items():
            status, answer = await told(daemon, method, path, body)
            error = orjson.loads(answer)
            assert (code, []) == (error["error"]["code"], wrong(error, document["errors"][str(status)])), error
        exchange.faults._forced.clear()
        await daemon.now(lambda now: now["coverage"]["state"] == "live")
        await check(daemon, "POST /v1/accounts/{account}/adopt")
        for words in document["answers"]:
            if words.startswith("GET") and words != "GET /v1/metrics":
                await check(daemon, words)
    assert {} == problems
    assert set(BODIES) <= seen


async def test_every_answer_is_typed(folder: Path) -> None:
    """The client reads all of it; every record of the stream has the body of its type, and the newest is the snapshot."""
    async with lived(folder) as (_, daemon), Client(folder / "s") as client:
        await client.put_slots([SLOT])
        await client.settle("t-0", realized_pnl="1.5")
        snapshot = await client.snapshot()
        assert (True, "main") == (snapshot.b is not None, snapshot.account)
        lists = (client.fills(), client.income(), client.divergences(), client.gaps())
        counts = [len([item async for item in source]) for source in lists]
        assert min(counts) > 0
        assert len(await client.positions()) > 0
        raw = await daemon.client.ask(f"{MAIN}/events?after_seq=0")
        records = [record_of(orjson.loads(line)) for line in raw.splitlines()]
        assert [] == [record.seq for record in records if record.type in BODIES and record.body is None]
        assert list(range(1, len(records) + 1)) == [record.seq for record in records if record.type != "bookmark"]
        last = next(record.body for record in reversed(records) if record.type == "snapshot")
        assert isinstance(last, Snapshot)
        assert last.event_seq >= snapshot.event_seq
        found = await client.usable()
        assert (False, True) == (bool(found), "the verdict is ERROR" in found.reasons[0])


@pytest.mark.parametrize("types", [(), ("fill", "gap")])
async def test_a_follower_lives_through_a_restart_of_the_daemon(folder: Path, types: tuple[str, ...]) -> None:
    """The same stream goes on over two daemons on one journal, without a hole."""
    async with SimulatedExchange(seed=8) as exchange:
        settings = settings_of(folder, exchange, SETTINGS)
        seqs: list[int] = []
        client = Client(folder / "s", account="main")
        events = client.events(after_seq=0, types=types)
        async with client, aclosing(events):
            async with running(settings) as daemon:
                await daemon.until(lambda seen: seen["baseline"] is not None)
                exchange.account("main").market_order("BTC-USDT", "BUY", "LONG", "0.01")
                await daemon.until(lambda seen: seen["k"]["open_positions"] == 1)
                seqs.append((await anext(events)).seq)
                newest = daemon.daemon.accounts["main"].hub.newest_seq
            async with running(settings) as daemon:
                exchange.account("main").market_order("BTC-USDT", "SELL", "LONG", "0.01")
                await daemon.now(lambda seen: seen["k"]["open_positions"] == 0)
                async for record in events:
                    seqs.append(record.seq)
                    if record.seq > newest:
                        break
    assert sorted(set(seqs)) == seqs
    assert types or list(range(1, seqs[-1] + 1)) == seqs
