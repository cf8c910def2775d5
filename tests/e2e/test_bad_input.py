"""Hostile and broken frames through a real websocket into the whole daemon.

Each is kept raw, counted, visible in the verdict where money hangs on it; the next good frame is handled as if
nothing had happened. All payloads here are synthetic, most of them broken on purpose.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from ditad.exchange import SimulatedExchange
from ditad.journal import Reader
from tests.support.running import running, settings_of

QUICK = "[account.audit]\ninterval_s = 60\nrequests_per_s = 10\n[account.stream]\nmarks = false\n"


def order(**changes: object) -> bytes:
    """Make a synthetic order frame with some fields changed; `None` takes a field away."""
    fields: dict[str, object] = {
        "s": "BTC-USDT",
        "c": "",
        "i": 1970374651259388000,
        "S": "BUY",
        "o": "MARKET",
        "q": "0.00100000",
        "p": "113000.00000000",
        "ap": "112848.10000000",
        "x": "TRADE",
        "X": "FILLED",
        "N": "USDT",
        "n": "-0.05642405",
        "T": 1758608899316,
        "ps": "LONG",
        "rp": "0.00000000",
        "z": "0.00100000",
    }
    fields.update(changes)
    kept = {name: value for name, value in fields.items() if value is not None}
    return orjson.dumps({"e": "ORDER_TRADE_UPDATE", "E": 1758608899350, "o": kept})


def account(**changes: object) -> bytes:
    """Make a synthetic account frame with some fields of its balance line changed."""
    line: dict[str, object] = {"a": "USDT", "wb": "117.8", "cw": "117.8", "bc": "0"}
    line.update(changes)
    return orjson.dumps({"e": "ACCOUNT_UPDATE", "E": 1758608899352, "a": {"m": "ORDER", "B": [line], "P": []}})


BROKEN = {
    "truncated gzip": (gzip.compress(order())[:-12], True),
    "inflates past the bound": (gzip.compress(b" " * 64 * 1024 * 1024), True),
    "not JSON": (gzip.compress(b"{not json"), True),
    "wrong types": (gzip.compress(order(z=["0.001"])), True),
    "missing fields": (gzip.compress(order(i=None)), True),
    "NaN": (gzip.compress(account(wb="NaN")), True),
    "Infinity": (gzip.compress(account(wb="Infinity")), True),
    "1e400": (gzip.compress(order(ap="1e400")), True),
    "a JSON number of 1e400": (gzip.compress(order().replace(b'"112848.10000000"', b"1e400")), True),
    "empty text where a number is due": (gzip.compress(account(wb="")), True),
    "unknown event": (gzip.compress(b'{"e":"MADE_UP","E":1,"o":{}}'), False),
    "unknown side": (gzip.compress(order(S="SIDEWAYS")), True),
}


@pytest.mark.parametrize(("data", "money"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_frame_is_kept_counted_and_survived(folder: Path, data: bytes, *, money: bool) -> None:
    """It is rejected with its bytes kept; a gap opens where a fact may have been in it; the next frame is folded."""
    async with SimulatedExchange(seed=3) as exchange:
        settings = settings_of(folder, exchange, QUICK)
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            exchange.inject("main", data)
            hurt = await daemon.until(lambda seen: seen["coverage"]["rejected"] == 1)
            assert money == bool(hurt["coverage"]["gaps"])
            assert ("UNKNOWN" if money else "OK") == hurt["reconcile"]["status"]

            exchange.account("main").market_order("BTC-USDT", "BUY", "LONG", "0.01")
            good = await daemon.now(
                lambda seen: seen["k"]["open_positions"] == 1 and seen["reconcile"]["status"] == "OK"
            )
            assert (1, "0") == (good["coverage"]["rejected"], good["reconcile"]["deltas"]["capital_vs_wallet"])
    with Reader.open(folder / "state", "main") as reader:
        rejected = [event.n for event in reader.events() if event.source_id.startswith("rejected:")]
        kept = [reader.raw(n) for n in rejected]
    assert [data] == [raw.data for raw in kept if raw is not None]


async def test_an_order_id_beyond_two_to_the_53_keeps_every_digit(folder: Path) -> None:
    """The fill's record carries the id as the exchange wrote it, quoted or not."""
    async with SimulatedExchange(seed=4) as exchange:
        settings = settings_of(folder, exchange, QUICK)
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            made = exchange.account("main").market_order("BTC-USDT", "BUY", "LONG", "0.01")
            await daemon.now(lambda seen: seen["k"]["open_positions"] == 1)
            fills = await daemon.client.get("/v1/accounts/main/fills")
            assert [str(made)] == [fill["order_id"] for fill in fills["items"]]
            assert made > 2**53
