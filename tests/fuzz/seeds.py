"""Well-formed inputs to begin from: captured frames, and stories of the simulated exchange in drawn dialects.

What enters: nothing but a number per story. What leaves: decoded JSON, and `Story`s: what an account's socket said and
what REST answered, in order. What holds: the same number gives the same story on any machine.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Final

import orjson

from ditad.exchange import AccountSpec, Dialect, Send, Trader
from tests.exchange.stage import CoreStage
from tests.support.captures import PAYLOADS

STORIES: Final = 16
ACTS: Final = 36
ASK_EVERY: Final = 12
ROWS: Final = 3
SYMBOLS: Final = ("BTC-USDT", "ETH-USDT", "FET-USDT")

PATHS: Final = {
    "balance": "/swap/v2/user/balance",
    "balance_v3": "/swap/v3/user/balance",
    "positions": "/swap/v2/user/positions",
    "income": "/swap/v2/user/income",
    "fills": "/swap/v2/trade/fillHistory",
    "old_fills": "/swap/v2/trade/allFillOrders",
    "orders": "/swap/v2/trade/allOrders",
    "open_orders": "/swap/v2/trade/openOrders",
    "forced": "/swap/v2/trade/forceOrders",
    "order": "/swap/v2/trade/order",
    "time": "/swap/v2/server/time",
    "contracts": "/swap/v2/quote/contracts",
    "rates": "/swap/v2/user/commissionRate",
    "leverage": "/swap/v2/trade/leverage",
    "margin_type": "/swap/v2/trade/marginType",
    "modes": "/swap/v1/positionSide/dual",
    "assets": "/swap/v1/trade/assetMode",
    "permissions": "/v1/account/apiPermissions",
}
STATEMENTS: Final = ("balance", "positions", "fills", "orders", "forced", "income")

MARKET_FRAMES: Final = (
    b'{"code":0,"dataType":"BTC-USDT@markPrice","data":{"e":"markPriceUpdate","E":1760001628357,"s":"BTC-USDT","p":"121570.0"}}',
    b'{"id":"d2e1","code":0,"msg":"","dataType":"","data":null}',
    b'{"id":"","code":80014,"msg":"invalid params","dataType":"","data":null}',
    b'{"ping":"2177c68e4d0e45679965f482929b59c2","time":"2026-06-07T16:27:36.323+0800"}',
)
"""From bingx.md §3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One thing that the exchange said: a frame, or an answer to the question `kind`."""

    at_ms: int
    kind: str
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """A story as an account hears it: the answers before it began, then all that was said."""

    start_ms: int
    hedge: bool
    wallet: str
    said: tuple[Said, ...]


@cache
def tale(number: int) -> Tale:
    """Let the simulated exchange trade, and write down what it says."""
    rng = Random(f"tale:{number}")  # noqa: S311 - a story is no secret
    hedge = number % 2 == 0
    stage = CoreStage(dialect=Dialect.drawn(rng), spec=AccountSpec(name="main", hedge=hedge))
    start_ms, wallet = stage.clock.now_ms, str(stage.main.books.wallet)
    stream = stage.core.connect(stage.listen_key())
    trader = Trader(stage.main, seed=number, symbols=SYMBOLS, forced=True)
    said: list[Said] = []
    for act in range(1, ACTS + 1):
        stage.clock.now_ms += rng.choice((50, 900, 1_100, 2_500, 12_000))
        trader.step()
        said += _frames(stage, stream)
        if act % ASK_EVERY == 0:
            stage.clock.now_ms += rng.choice((500, 5_500, 160_000))
            said += _frames(stage, stream)
            said += _answers(stage, start_ms)
    return Tale(start_ms=start_ms, hedge=hedge, wallet=wallet, said=tuple(said))


def _frames(stage: CoreStage, stream: int) -> list[Said]:
    frames, seen = [], set()
    for act in stage.core.poll():
        if isinstance(act, Send) and act.stream == stream:
            text = gzip.decompress(act.data)
            if b'"SNAPSHOT"' in text and text in seen:  # the flood of configurations, once is enough
                continue
            seen.add(text)
            frames.append(Said(at_ms=stage.clock.now_ms, kind="frame", text=text))
            stage.core.streams.receive(stream, "Pong")
    configurations = [frame for frame in frames if b'"SNAPSHOT"' in frame.text]
    return [frame for frame in frames if frame not in configurations] + configurations[:3]


def _asked(stage: CoreStage, kind: str, start_ms: int) -> list[Said]:
    """Ask one question as the audit does, for every symbol where it wants one."""
    now_ms = stage.clock.now_ms
    span: dict[str, Any] = {"startTs": start_ms, "endTs": now_ms, "startTime": start_ms, "endTime": now_ms}
    variants = [span | {"limit": 100}]
    if kind in {"fills", "old_fills", "leverage", "margin_type"}:
        paged = span | {"pageIndex": 1, "pageSize": 1000, "tradingUnit": "COIN"}
        variants = [paged | {"symbol": symbol} for symbol in SYMBOLS]
    elif kind == "forced":
        variants = [variants[0] | {"autoCloseType": word} for word in ("LIQUIDATION", "ADL")]
    elif kind == "order":
        variants = [{"symbol": order.symbol, "orderId": order.order_id} for order in stage.main.open_orders()[:2]]
    said = [stage.ask(PATHS[kind], **parameters).body for parameters in variants]
    return [Said(at_ms=now_ms, kind=kind, text=body) for body in said]


def _answers(stage: CoreStage, start_ms: int) -> list[Said]:
    return [answer for kind in STATEMENTS for answer in _asked(stage, kind, start_ms)]


@cache
def answers() -> dict[str, tuple[bytes, ...]]:
    """Give answers of every question, in several dialects, with a few rows in them and without."""
    found: dict[str, list[bytes]] = {kind: [] for kind in PATHS}
    for number in range(8):
        rng = Random(f"answers:{number}")  # noqa: S311 - a story is no secret
        stage = CoreStage(dialect=Dialect.drawn(rng), spec=AccountSpec(name="main", hedge=number % 2 == 0))
        start_ms = stage.clock.now_ms
        trader = Trader(stage.main, seed=number, symbols=SYMBOLS, forced=True)
        for act in range(40):
            if act in {0, 39}:
                for kind in PATHS:
                    found[kind] += [_shortened(answer.text) for answer in _asked(stage, kind, start_ms)]
            stage.clock.now_ms += 1_500
            trader.step()
    return {kind: tuple(dict.fromkeys(texts)) for kind, texts in found.items()}


def _shortened(text: bytes) -> bytes:
    """Leave the first rows of an answer: one place among four rows is as good as one among forty, and cheaper."""
    body = orjson.loads(text)
    data = body["data"]
    if isinstance(data, list):
        body["data"] = data[:ROWS]
    elif isinstance(data, dict):
        body["data"] = {name: value[:ROWS] if isinstance(value, list) else value for name, value in data.items()}
    return orjson.dumps(body)


@cache
def private_frames() -> tuple[bytes, ...]:
    """Give every captured and synthetic payload, and what the simulated exchange pushed in the stories."""
    files = [path.read_bytes().strip() for path in sorted(PAYLOADS.glob("*.json"))]
    pushed = [
        said.text for number in range(8) for said in tale(number).said if said.kind == "frame" and said.text != b"Ping"
    ]
    return tuple(dict.fromkeys([*files, *pushed, *MARKET_FRAMES[1:]]))
