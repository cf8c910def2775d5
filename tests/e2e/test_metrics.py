"""What a scrape of a running daemon shows."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ditad.exchange import SimulatedExchange
from tests.support.running import account_settings, running, settings_file


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
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["ditad_capital", "main", "k"] == samples["ditad_capital", "main", "e"]
    assert (1, 1, 1, 1) == (
        samples["ditad_status", "main", "OK"],
        samples["ditad_stream_connects_total", "main"],
        samples["ditad_stream_connected", "main"],
        samples["ditad_open_positions", "main"],
    )
    assert "BTC" not in text
