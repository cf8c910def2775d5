"""Several accounts in one daemon: what happens to one is nothing to another."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from ditad.api.client import AnsweredError
from ditad.cli.status import judged, lines
from ditad.exchange import AccountSpec, SimulatedExchange
from ditad.records import RecordType
from tests.support.running import WAIT_S_MAX, Running, account_settings, running, settings_file
from tests.support.venue import ScriptedVenue

QUICK = "[account.audit]\ninterval_s = 5\nrequests_per_s = 10\n"


@pytest.mark.parametrize(
    ("code", "word"),
    [(100413, "key"), (100001, "secret"), (100419, "address")],
    ids=["unknown key", "wrong signature", "address not allowed"],
)
async def test_an_account_that_is_refused_says_what_to_do_and_touches_no_other(
    folder: Path, code: int, word: str
) -> None:
    """The other account is ready, trades and stays OK; the refused one names the remedy and is UNKNOWN."""
    async with (
        SimulatedExchange(seed=5, accounts=[AccountSpec(name="good")]) as exchange,
        ScriptedVenue(at_ms=exchange.now_ms()) as venue,
    ):
        venue.refused_keys["key-for-tests-only"] = code
        key, secret = exchange.credentials["good"]
        settings = settings_file(
            folder,
            account_settings(
                folder,
                "good",
                rest_url=exchange.rest_url,
                ws_url=exchange.ws_url,
                api_key=key,
                api_secret=secret,
                more=QUICK,
            ),
            account_settings(folder, "bad", rest_url=venue.rest_url, ws_url=venue.ws_url, more=QUICK),
        )
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None, "good")
            since = exchange.mark("good")
            exchange.account("good").market_order("BTC-USDT", "BUY", "LONG", "0.01")
            traded = await daemon.now(
                lambda seen: seen["k"]["open_positions"] == 1 and seen["reconcile"]["status"] == "OK", "good"
            )
            assert str(exchange.books_since(since)["wallet_balance"].normalize()) == traded["k"]["capital_raw"]

            bad = daemon.daemon.accounts["bad"]
            await daemon.now(lambda _: bool(bad.refusal), "bad")
            ready = await daemon.client.get("/v1/accounts/good/readyz")
            assert ready["ready"]
            assert word in daemon.daemon.refused()["bad"]
            assert any(daemon.daemon.refused()["bad"] in reason for reason in bad.not_ready())
            assert "UNKNOWN" == (await daemon.snapshot("bad"))["reconcile"]["status"]


async def status_of(daemon: Running, account: str) -> list[str]:
    """Ask as `ditad status` does; gives the lines beneath the account's first."""
    items = (await daemon.client.get("/v1/accounts"))["items"]
    (item,) = [item for item in items if item["account"] == account]
    return lines(judged(item, await daemon.snapshot(account)))[1]


async def test_an_exchange_that_is_not_reached_is_told_by_its_reason(folder: Path) -> None:
    """Where nothing could begin, readers are told why, as the log is, and what to do; no account is refused for it."""
    urls = {"rest_url": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:1/swap-market"}
    async with running(settings_file(folder, account_settings(folder, "main", **urls, more=QUICK))) as daemon:
        hub = daemon.daemon.accounts["main"].hub
        async with asyncio.timeout(WAIT_S_MAX):
            with hub.subscribe(0, frozenset({RecordType.STREAM})) as batches:
                async for batch in batches:
                    if b"no start yet" in batch:
                        break
        told = await status_of(daemon, "main")
        with pytest.raises(AnsweredError, match=r"no living stream: no start yet: .*reached"):
            await daemon.client.get("/v1/accounts/main/readyz")
    reason = r"there is no living stream: no start yet: the exchange cannot be reached \(\w+\).*"
    assert [line for line in told if re.fullmatch(reason, line)], told
    assert "to do: if this lasts, run `ditad doctor`, which asks the exchange" == told[-1]


async def test_a_remedy_is_said_once(folder: Path) -> None:
    """Of a key that is refused there is one sentence that says what to do, not one for every place that knows it."""
    async with ScriptedVenue(at_ms=1_780_000_000_000) as venue:
        venue.answers["/swap/v2/user/balance"] = venue.balance("100")
        urls = {"rest_url": venue.rest_url, "ws_url": venue.ws_url}
        async with running(settings_file(folder, account_settings(folder, "main", **urls, more=QUICK))) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
        venue.refused_keys["key-for-tests-only"] = 100413
        async with running(folder / "ditad.toml") as daemon:
            service = daemon.daemon.accounts["main"]
            await daemon.now(lambda _: bool(service.refusal))
            told = await status_of(daemon, "main")
            remedy = service.refusal
    assert [f"to do: {remedy}"] == [line for line in told if remedy in line]
    assert "the exchange refuses this account" in told
    assert any("there is no living stream" == line for line in told), told


async def test_an_account_that_was_mended_at_the_exchange_is_served_without_a_restart(folder: Path) -> None:
    """After the remedy, asking for an audit tries the account again, and it takes its baseline."""
    async with ScriptedVenue(at_ms=1_780_000_000_000) as venue:
        venue.answers["/swap/v2/user/balance"] = venue.balance("100")
        venue.refused_keys["key-for-tests-only"] = 100413
        settings = settings_file(
            folder, account_settings(folder, "main", rest_url=venue.rest_url, ws_url=venue.ws_url, more=QUICK)
        )
        async with running(settings) as daemon:
            service = daemon.daemon.accounts["main"]
            await daemon.now(lambda _: bool(service.refusal))
            venue.refused_keys.clear()
            await service.audit(0)
            served = await daemon.now(lambda seen: seen["baseline"] is not None and seen["reconcile"]["status"] == "OK")
            assert ("100", "") == (served["published"]["capital"], service.refusal)
