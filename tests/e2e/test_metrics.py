"""What a scrape of a running daemon shows."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from ditad.exchange import SimulatedExchange
from tests.support.running import WAIT_S_MAX, account_settings, running, settings_file, settings_of


async def test_a_scrape_tells_of_both_ledgers_and_of_the_stream(folder: Path) -> None:
    """K, E, the verdict and the stream's health are there, and no label is a symbol or an id."""
    async with SimulatedExchange(seed=6) as exchange:
        key, secret = exchange.credentials["main"]
        settings = settings_file(
            folder,
            account_settings(
                folder, "main", rest_url=exchange.rest_url, ws_url=exchange.ws_url, api_key=key, api_secret=secret
            ),
        )
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            exchange.account("main").market_order("BTC-USDT", "BUY", "LONG", "0.01")
            await daemon.now(lambda seen: seen["k"]["open_positions"] == 1 and seen["reconcile"]["status"] == "OK")
            text = (await daemon.client.ask("/v1/metrics")).decode()
            now_s = time.time()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["ditad_capital", "main", "k"] == samples["ditad_capital", "main", "e"]
    ones = ("ditad_ready", "ditad_published_usable", "ditad_stream_connected", "ditad_stream_connects_total")
    assert [1] * 4 == [samples[name, "main"] for name in ones]
    assert (1, 0, 1) == (
        samples["ditad_verdict", "main", "OK"],
        samples["ditad_verdict", "main", "ERROR"],
        samples["ditad_open_positions", "main"],
    )
    assert [0, 0, 0] == [samples["ditad_gaps", "main", state] for state in ("open", "provisional", "unclosable")]
    assert [0, 0] == [samples["ditad_divergences", "main", state] for state in ("open", "confirmed")]
    moments = ("stream_last_frame", "listen_key", "covered_through", "last_event")
    assert [] == [
        name for name in moments if abs(samples[f"ditad_{name}_timestamp_seconds", "main"] - now_s) > WAIT_S_MAX
    ]
    counted = ("ditad_commit_duration_seconds_count", "ditad_push_to_snapshot_seconds_count", "ditad_journal_bytes")
    assert [] == [name for name in counted if samples[name, "main"] < 1]
    assert samples["ditad_state_free_bytes",] > 0
    assert "BTC" not in text


async def test_what_was_never_stated_has_no_sample(folder: Path) -> None:
    """Before a baseline nothing is 0: capital, coverage and a stream's age are left out, and the verdict is UNKNOWN."""
    nobody = account_settings(folder, "main", rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9/swap-market")
    async with running(settings_file(folder, nobody)) as daemon:
        await daemon.until(lambda seen: seen["reconcile"]["status"] == "UNKNOWN")
        text = (await daemon.client.ask("/v1/metrics")).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    missing = ("ditad_capital", "ditad_covered_through", "ditad_stream_last_frame", "ditad_listen_key")
    assert [] == [line for line in lines if line.startswith((*missing, "ditad_rest_allowance"))]
    assert {'ditad_verdict{account="main",verdict="UNKNOWN"} 1.0', 'ditad_published_usable{account="main"} 0.0'} <= set(
        lines
    )


async def test_a_port_that_is_taken_does_not_keep_the_books_from_being_kept(folder: Path) -> None:
    """The daemon goes on without it and says so; the socket answers the same text, and a free port does too."""
    free = '[daemon]\nmetrics_listen = "127.0.0.1:0"\n'
    async with SimulatedExchange(seed=6) as exchange:
        settings = settings_of(folder, exchange)
        settings.write_text(settings.read_text().replace("[daemon]\n", free))
        async with running(settings) as first:
            await first.until(lambda seen: seen["baseline"] is not None)
            address = first.daemon.scrapes.address
            async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
                assert (200, True) == (answer.status, b"ditad_ready" in await answer.read())
            other = folder / "other"
            other.mkdir()
            taken = settings_of(other, exchange)
            taken.write_text(taken.read_text().replace("[daemon]\n", free.replace("127.0.0.1:0", address)))
            async with running(taken) as second:
                await second.until(lambda seen: seen["baseline"] is not None)  # asked for once the socket answers
                assert "" == second.daemon.scrapes.address
                assert b"ditad_ready" in await second.client.ask("/v1/metrics")
