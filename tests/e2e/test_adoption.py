"""A wallet that moved for no cause at all, through the whole daemon: called unexplained, and ended by a person alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ditad.api.client import AnsweredError
from ditad.exchange import SimulatedExchange
from tests.e2e.test_outages import SETTINGS
from tests.support.running import Running, running, settings_of

ADMIN = f"admin_uids = [{os.getuid()}]"


@asynccontextmanager
async def served(folder: Path, line: str) -> AsyncIterator[tuple[SimulatedExchange, Running]]:
    """Give an exchange and a daemon whose settings say by this line who may adopt."""
    async with SimulatedExchange(seed=8) as exchange:
        settings = settings_of(folder, exchange, SETTINGS)
        settings.write_text(settings.read_text().replace("[daemon]\n", f"[daemon]\n{line}\n"))
        async with running(settings) as daemon:
            yield exchange, daemon


async def divergences(daemon: Running) -> list[dict[str, object]]:
    """Ask for all divergences, as an operator would."""
    answer = await daemon.client.get("/v1/accounts/main/divergences")
    return [dict(item) for item in answer["items"]]


async def test_a_change_without_a_cause_is_said_and_adopted(folder: Path) -> None:
    """R1 asks, finds nothing, calls it unexplained with what it tried; an adoption ends it and is told with its reason."""
    async with served(folder, ADMIN) as (exchange, daemon):
        first = await daemon.until(lambda seen: seen["baseline"] is not None)
        exchange.account("main").silent_change("-12.5")
        await daemon.until(lambda seen: seen["reconcile"]["status"] == "ERROR")
        (known,) = await divergences(daemon)
        assert ("confirmed", "12.5", "R1") == (known["state"], known["delta"], known["rule"])
        assert [
            {"cause": "unexplained", "amount": "12.5", "tried": ["no fact was found that could explain it"]}
        ] == known["attribution"]
        answer = await daemon.client.send("POST", "/v1/accounts/main/adopt", {"why": "support ticket 7"})
        assert ("support ticket 7", os.getuid()) == (answer["why"], answer["adopted_by"])
        after = await daemon.now(lambda seen: seen["reconcile"]["status"] == "OK")
        assert first["baseline"]["id"] != after["baseline"]["id"] == answer["baseline"]["id"]
        assert after["k"]["capital_raw"] == after["e"]["wallet_balance"] == answer["baseline"]["wallet"]
        (known,) = await divergences(daemon)
        assert "adopted" == known["state"]


async def test_nobody_else_may_adopt(folder: Path) -> None:
    """A uid that the settings do not name is refused, and nothing changes."""
    async with served(folder, "admin_uids = [4242]") as (_, daemon):
        before = await daemon.until(lambda seen: seen["baseline"] is not None)
        with pytest.raises(AnsweredError, match="admin_uids"):
            await daemon.client.send("POST", "/v1/accounts/main/adopt", {"why": "I want to"})
        assert before["baseline"] == (await daemon.snapshot())["baseline"]


async def test_an_exchange_that_does_not_answer_lets_nothing_be_adopted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal names the reason, and the ledger goes on from where it was."""
    monkeypatch.setattr("ditad.bingx.feed.ADOPT_S_MAX", 1.0)
    async with served(folder, ADMIN) as (exchange, daemon):
        before = await daemon.until(lambda seen: seen["baseline"] is not None)
        exchange.faults.force("rest_error", 1000, code=100410)
        with pytest.raises(AnsweredError, match="nothing was adopted"):
            await daemon.client.send("POST", "/v1/accounts/main/adopt", {"why": "now"})
        exchange.faults.calm()
        assert before["baseline"] == (await daemon.snapshot())["baseline"]
