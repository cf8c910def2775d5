"""A long hostile story and the hash of every byte that the exchange gave in it.

Enters: a seed. Leaves: a digest; run as a module it prints one, so that another process can compare.
"""

from __future__ import annotations

import hashlib
import sys
from random import Random

import orjson

from ditad.exchange import (
    AccountSpec,
    CutKind,
    Dialect,
    ExchangeCore,
    Faults,
    FaultSpec,
    Freeze,
    Request,
    Send,
    StreamRefused,
    VariedTrader,
    signature_of,
)
from ditad.exchange.rest import LISTEN_KEY_PATH, ROUTES

STEPS = 150
OFTEN = FaultSpec(
    drop=0.03, dup=0.03, reorder=0.03, delay=0.05, glitch=0.02, unknown_event=0.02,
    cut=0.005, cut_abrupt=0.005, half_open=0.005, expire=0.005, expire_silent=0.005, refuse=0.1, replay=0.5,
    rest_error=0.03, rest_http=0.03, rest_ban=0.002, rest_truncate=0.03, rest_type=0.02, rest_label=0.02,
    rest_null=0.02, rest_drop=0.02, rest_delay=0.05, step=0.05, ban_ms=3000, skew_ms=250, skew_ppm=400, step_ms_max=300,
)  # fmt: skip


def digest(seed: int) -> str:
    """Tell the story of `seed` and give the hash of all frames, answers, deadlines and facts."""
    now = [1_760_001_628_357]
    rng = Random(f"{seed}:story")  # noqa: S311 — a story
    core = ExchangeCore(
        seed=seed,
        clock=lambda: now[0],
        accounts=[AccountSpec(name="main"), AccountSpec(name="other", hedge=False, margin_type="isolated")],
        dialect=Dialect.drawn(rng, row_delay_s_max=20, funding_stamp_s_max=60),
        faults=Faults(OFTEN, seed=seed),
    )
    heard = hashlib.sha256()
    traders = [VariedTrader(core.venue.account(n), seed=seed, forced=True, vouchers=True) for n in ("main", "other")]
    for _ in range(STEPS):
        now[0] += rng.randint(1, 2500)
        for trader in traders:
            heard.update(repr(trader.step()).encode())
        _listen(core, heard)
        _ask(core, rng, heard)
        if rng.random() < 0.02:
            core.streams.cut("main", rng.choice(list(CutKind)))
        for act in core.poll():
            heard.update(act.data if isinstance(act, Send) else repr(act).encode())
            if not isinstance(act, Freeze) and rng.random() < 0.9:
                core.streams.receive(act.stream, "Pong")
        heard.update(str((core.next_due_ms(), core.now_ms())).encode())
    for name in core.venue.accounts:
        facts = core.venue.facts(name)
        heard.update(repr([*facts.executions, *facts.movements, core.venue.books(name)]).encode())
    heard.update(repr(sorted(core.faults.happened.items())).encode())
    return heard.hexdigest()


def _listen(core: ExchangeCore, heard: hashlib._Hash) -> None:
    for name, desk in core.venue.accounts.items():
        if core.streams.count(name):
            continue
        request = Request(method="POST", path=LISTEN_KEY_PATH, headers={"x-bx-apikey": desk.spec.api_key})
        reply = core.rest(request)
        heard.update(reply.body)
        try:
            key = orjson.loads(reply.body).get("listenKey")
            heard.update(str(core.connect(key) if key else None).encode())
        except (orjson.JSONDecodeError, StreamRefused) as exc:
            heard.update(str(exc).encode())


def _ask(core: ExchangeCore, rng: Random, heard: hashlib._Hash) -> None:
    path, desk = rng.choice(list(ROUTES)), rng.choice(list(core.venue.accounts.values()))
    stamp = core.now_ms()
    params = {
        "symbol": rng.choice(list(core.venue.market.contracts)),
        "startTs": "0",
        "endTs": str(stamp),
        "startTime": str(stamp - 86_400_000),
        "endTime": str(stamp),
        "tradingUnit": "COIN",
        "timestamp": str(stamp),
    }
    params["signature"] = signature_of(desk.spec.api_secret, params)
    query = "&".join(f"{name}={value}" for name, value in params.items())
    reply = core.rest(Request(method="GET", path=path, query=query, headers={"x-bx-apikey": desk.spec.api_key}))
    heard.update(repr((reply.status, reply.content_type, reply.headers, reply.delay_ms, reply.drop)).encode())
    heard.update(reply.body)


if __name__ == "__main__":
    sys.stdout.write(digest(int(sys.argv[1])) + "\n")
