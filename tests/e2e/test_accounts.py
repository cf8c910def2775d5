"""Several accounts in one daemon: what happens to one is nothing to another."""

from __future__ import annotations

from pathlib import Path

import pytest

from ditad.exchange import AccountSpec, SimulatedExchange
from tests.support.running import account_settings, running, settings_file
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
