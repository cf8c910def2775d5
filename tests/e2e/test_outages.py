"""Outages over real sockets: each is noticed, repaired, and leaves exactly one gap with its cause and its proof.

Nothing here waits for the clock: every wait is for a record of the daemon's, and durations are read off its own
timestamps. The bounds on them are wide, for busy machines; what they exclude is waiting for the next regular turn of
something slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad import service
from ditad.bingx.options import FeedOptions
from ditad.config import AccountSettings
from ditad.demo import differences
from ditad.exchange import CutKind, Dialect, SimulatedExchange, Timing
from ditad.exchange.dialect import ListenKeyPost
from tests.support.running import WAIT_S_MAX, Running, running, settings_of

INTERVAL_S = 2
SLOW_S = 10
"""What a busy machine may add to a duration."""

SETTINGS = f"""
[account.reconcile]
settle_window_s = 0.5
[account.audit]
interval_s = {INTERVAL_S}
fills_interval_s = {INTERVAL_S}
income_interval_s = {INTERVAL_S}
report_lag_s = 1
fills_lag_s = 1
requests_per_s = 10
[account.stream]
silence_s = 3
backoff_s_min = 0.1
backoff_s_max = 1
marks = false
"""
TIMING = Timing(ping_ms=500)


class Life:
    """An account that trades on an exchange, the daemon that watches it, and every record it told."""

    def __init__(self, exchange: SimulatedExchange, daemon: Running) -> None:
        self.exchange = exchange
        self.daemon = daemon
        self.since = exchange.mark("main")
        self._bought = 0

    def trade(self) -> None:
        """Buy a little, and move money."""
        self._bought += 1
        self.exchange.account("main").market_order("BTC-USDT", "BUY", "LONG", "0.01")
        self.exchange.account("main").deposit("0.00000001")

    async def agrees(self) -> dict[str, Any]:
        """Wait until nothing is open and both ledgers are equal to the books; gives the snapshot."""
        return await self.daemon.now(
            lambda seen: (
                seen["reconcile"]["status"] == "OK"
                and seen["coverage"]["state"] == "live"
                and not differences(self.exchange.books_since(self.since), seen)
            )
        )

    async def records(self, kind: str) -> list[dict[str, Any]]:
        """Give all records of a kind so far, each with its time."""
        raw = await self.daemon.client.ask(f"/v1/accounts/main/events?after_seq=0&type={kind}")
        lines = [orjson.loads(line) for line in raw.splitlines()]
        return [{**line[kind], "ts": line["ts"]} for line in lines if line["type"] == kind]

    async def streams(self) -> list[tuple[str, str]]:
        """Give the states of the stream, with their details."""
        return [(record["state"], record["detail"]) for record in await self.records("stream")]

    async def until_final(self) -> list[dict[str, Any]]:
        """Wait until the newest gap is final; gives the lives of all gaps so far, without repetitions of a state."""
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                event_seq = (await self.daemon.snapshot())["event_seq"]
                gaps = await self.records("gap")
                if gaps and gaps[-1]["state"] == "final":
                    return gaps
                await self.daemon.now(lambda seen, known=event_seq: seen["event_seq"] > known)  # type: ignore[misc]


@asynccontextmanager
async def living(folder: Path, *, dialect: Dialect | None = None) -> AsyncIterator[Life]:
    """Give a life whose ledgers agree and whose stream has told something."""
    async with SimulatedExchange(seed=8, dialect=dialect, timing=TIMING) as exchange:
        settings = settings_of(folder, exchange, SETTINGS)
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            life = Life(exchange, daemon)
            life.trade()
            await life.agrees()
            yield life


def at_s(text: str) -> float:
    """Read a time of a record."""
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def check_one_life(gaps: list[dict[str, Any]], cause: str) -> None:
    """See that there was one gap, that it went its way once, and what proves that it is over."""
    assert {"gap-1"} == {gap["id"] for gap in gaps}
    states = [gap["state"] for gap in gaps]
    assert ["open", "provisional", "final"] == list(dict.fromkeys(states))
    assert sorted(states, key=["open", "provisional", "final"].index) == states
    assert cause in gaps[0]["cause"]
    last = gaps[-1]
    assert {"fills": "fill_history", "income": "income"} == {kind: told["by"] for kind, told in last["closed"].items()}
    assert all(told["rows"] >= 1 and told["at"] for told in last["closed"].values())
    assert at_s(last["from"]) <= at_s(last["opened_at"]) <= at_s(last["to"]) + SLOW_S


CUTS = {
    "abrupt cut": (CutKind.ABRUPT, "closed with 1006"),
    "clean close": (CutKind.CLEAN, "closed with 1001"),
    "half-open": (CutKind.HALF_OPEN, "no frame for 3 s"),
}


@pytest.mark.parametrize(("kind", "cause"), CUTS.values(), ids=CUTS.keys())
async def test_a_lost_socket_is_repaired_within_seconds(folder: Path, *, kind: CutKind, cause: str) -> None:
    """What was traded while nobody listened is found; one gap says why and what proved that it is over."""
    async with living(folder) as life:
        life.exchange.cut("main", kind)
        life.trade()
        gaps = await life.until_final()
        await life.agrees()
        check_one_life(gaps, cause)
        provisional = next(gap for gap in gaps if gap["state"] == "provisional")
        connected = (await life.records("stream"))[-1]
        assert "connected" == connected["state"]
        assert at_s(provisional["ts"]) - at_s(connected["ts"]) <= INTERVAL_S + SLOW_S
        assert at_s(connected["ts"]) - at_s(gaps[0]["ts"]) <= SLOW_S
        assert "fill_history" == gaps[-1]["closed"]["fills"]["by"]


async def test_a_key_that_expires_with_notice_is_replaced(folder: Path) -> None:
    """The exchange says so; the socket would stay open and silent for ever."""
    async with living(folder) as life:
        life.exchange.expire_key("main", notice=True)
        life.trade()
        gaps = await life.until_final()
        await life.agrees()
        check_one_life(gaps, "key_expired: the exchange says so")
        assert ["key_expired", "lost", "key_issued", "connected"] == [state for state, _ in (await life.streams())[-4:]]


async def test_a_silent_key_death_is_noticed_within_an_audit_interval(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Ping` goes on, the account moves, nothing is pushed: two reports differ, and the key is taken for dead."""
    monkeypatch.setattr("ditad.bingx.session.SUSPECT_S_MIN", 0.0)  # a key is usually older when it dies
    monkeypatch.setattr("ditad.bingx.watch.GRACE_S", 0.5)
    async with living(folder) as life:
        life.exchange.expire_key("main", notice=False)
        moved_s = life.exchange.now_ms() / 1_000
        life.trade()
        gaps = await life.until_final()
        await life.agrees()
        check_one_life(gaps, "the account moved and the stream said nothing")
        assert ["key_expired", "key_issued", "connected"] == [state for state, _ in (await life.streams())[-3:]]
        assert at_s(gaps[0]["ts"]) - moved_s <= INTERVAL_S + SLOW_S
        life.trade()
        await life.agrees()
        assert len(gaps) == len(await life.records("gap"))  # the new key hears again


async def test_an_early_suspicion_is_not_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that dies before it is old enough to be suspected is replaced once it is, without another movement."""
    monkeypatch.setattr("ditad.bingx.session.SUSPECT_S_MIN", 6.0)
    monkeypatch.setattr("ditad.bingx.watch.GRACE_S", 0.2)
    async with living(folder) as life:
        life.exchange.expire_key("main", notice=False)
        life.trade()
        gaps = await life.until_final()
        await life.agrees()
        check_one_life(gaps, "the account moved and the stream said nothing")


@pytest.mark.parametrize("status", [429, 503])
async def test_refused_handshakes_are_tried_again_with_growing_pauses(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, status: int
) -> None:
    """It is told once, the gap stays the one that the loss has opened, and what was missed is found."""
    monkeypatch.setattr("ditad.exchange.server.HANDSHAKE_REFUSED", status)
    async with living(folder) as life:
        life.exchange.faults.force("refuse", 4)
        life.exchange.cut("main", CutKind.ABRUPT)
        life.trade()
        gaps = await life.until_final()
        await life.agrees()
        check_one_life(gaps, "closed with 1006")
        told = [(state, detail) for state, detail in await life.streams() if state == "refused"]
        assert [("refused", f"the handshake was answered HTTP {status}")] == told
        assert 4 == life.exchange.faults.happened["refuse"]


def rotating(monkeypatch: pytest.MonkeyPatch, after_s: float) -> None:
    """Let keys be rotated, sooner than a setting may ask for."""
    given: Callable[[AccountSettings], FeedOptions] = service.feed_options

    def rotated(settings: AccountSettings) -> FeedOptions:
        return replace(given(settings), key_rotate_s=after_s)

    monkeypatch.setattr(service, "feed_options", rotated)


async def test_a_planned_rotation_overlaps_and_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new socket comes first; every trade of three rotations is heard from pushes.

    Each new key is a gap all the same, until the next report says that nothing is missing.
    """
    rotating(monkeypatch, 2.0)
    async with living(folder) as life:
        connects = 0
        async with asyncio.timeout(WAIT_S_MAX):
            while connects < 4:
                life.trade()
                await life.agrees()
                connects = [state for state, _ in await life.streams()].count("connected")
        states = [state for state, _ in await life.streams()]
        assert "lost" not in states
        lives: dict[str, list[dict[str, Any]]] = {}
        for gap in await life.records("gap"):
            lives.setdefault(gap["id"], []).append(gap)
        assert {"key_issued: a new listen key"} == {gap["cause"] for told in lives.values() for gap in told}
        for told in [*lives.values()][:-1]:  # the last key may be newer than the last report
            assert ["open", "provisional"] == list(dict.fromkeys(gap["state"] for gap in told))[:2]
            ended = next(gap for gap in told if gap["state"] == "provisional")
            assert at_s(ended["ts"]) - at_s(told[0]["ts"]) <= INTERVAL_S + SLOW_S
        assert 2 <= len(lives) <= states.count("key_issued")
        fills = await life.records("fill")
        assert all(any("UPDATE" in source for source in fill["sources"]) for fill in fills)


async def test_the_key_in_use_returned_by_post_is_a_reconnect_with_a_gap(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never two sockets on one key: the old one goes first, and the gap between them says so."""
    rotating(monkeypatch, 3.0)
    async with living(folder, dialect=Dialect(listen_key=ListenKeyPost.SAME)) as life:
        gaps: list[dict[str, Any]] = []
        async with asyncio.timeout(WAIT_S_MAX):
            while not gaps:
                life.trade()
                await life.agrees()
                gaps = await life.records("gap")
        monkeypatch.undo()
        await life.agrees()
        assert "the exchange returned the listen key in use" in gaps[0]["cause"]
        states = [state for state, _ in await life.streams()]
        first = states.index("lost")
        assert ["lost", "connected"] == states[first : first + 2]  # no new key was issued
