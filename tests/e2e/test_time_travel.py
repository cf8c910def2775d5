"""A living daemon asked about its past: every figure explained to the last digit, every snapshot as it was published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ditad.api.client import AnsweredError
from ditad.exchange import AccountSpec, SimulatedExchange, trade
from tests.support.running import running, settings_of

MAIN = "/v1/accounts/main"


async def test_every_figure_and_every_snapshot(folder: Path) -> None:
    """While it trades: what `why` says adds up, what `at` says was published, and `diff` counts what lies between."""
    async with SimulatedExchange(seed=21, accounts=[AccountSpec(name="main")]) as exchange:
        async with running(settings_of(folder, exchange)) as daemon:
            await daemon.until(lambda snapshot: snapshot["baseline"] is not None)
            await trade(exchange, "main", actions=15, seed=3)
            with pytest.raises(AnsweredError, match="there are") as refused:
                await daemon.client.get(f"{MAIN}/why", field="nothing")
            names = str(refused.value).partition("there are ")[2].split(", ")
            assert {"fees_paid", "published.capital", "deltas.capital_vs_wallet"} <= set(names)
            first: dict[str, Any] = await daemon.client.get(f"{MAIN}/why", field="fees_paid")
            number = first["event_seq"]
            then = await daemon.client.get(f"{MAIN}/snapshot", event_seq=number)
            assert (then["k"]["fees_paid"], then["ts"]) == (first["value"], first["ts"])
            for name in names:
                told = await daemon.client.get(f"{MAIN}/why", field=name, event_seq=number)
                assert (name, number, True) == (name, told["event_seq"], told["exact"])
            told = await daemon.client.get(f"{MAIN}/diff", a=1, b=number)
            assert (1, number, number - 1) == (
                told["a"]["event_seq"],
                told["b"]["event_seq"],
                told["records"]["snapshot"],
            )
            fills = await daemon.client.get(f"{MAIN}/fills")
            assert told["records"]["fill"] >= len([item for item in fills["items"] if item["seq"] <= told["b"]["seq"]])
        # Again, by a daemon that has to look it up.
        async with running(settings_of(folder, exchange)) as daemon:
            await daemon.now(lambda snapshot: snapshot["coverage"]["state"] == "live")
            again = await daemon.client.get(f"{MAIN}/snapshot", event_seq=number)
            assert then == again
            told = await daemon.client.get(f"{MAIN}/why", field="capital_raw", event_seq=number)
            assert (then["k"]["capital_raw"], True) == (told["value"], told["exact"])
