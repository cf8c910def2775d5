"""The private stream over real websockets, against a scripted venue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import structlog
from websockets.exceptions import InvalidStatus, PayloadTooBig

from ditad.bingx.answer import KeyUnknownError
from ditad.bingx.network import Internet, failure
from ditad.bingx.session import Timing
from ditad.bingx.stream import PrivateStream
from ditad.bingx.turns import Report
from ditad.clock import SystemClock
from ditad.errors import VenueError, VenueFatalError
from ditad.events import StreamState
from tests.bingx.frames import packed
from tests.bingx.scripted_venue import ScriptedVenue
from tests.support.running import WAIT_S_MAX

TIMING = Timing(silence_s=5.0, renew_s=1800.0, rotate_s=0.0, backoff_s_min=0.01, backoff_s_max=0.02)


@dataclass
class ScriptedKeys:
    """Gives keys as scripted (the last one stays), and counts calls under way."""

    script: list[str | Exception]
    renewals: list[Exception | None] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    async def issue_key(self) -> str:
        """Give the next key, or raise what is scripted."""
        await self._call()
        given = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(given, Exception):
            raise given
        self.issued.append(given)
        return given

    async def renew_key(self, key: str) -> None:
        """Accept, or raise what is scripted."""
        await self._call()
        self.renewed.append(key)
        outcome = self.renewals.pop(0) if self.renewals else None
        if outcome is not None:
            raise outcome

    async def _call(self) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
        finally:
            self.under_way -= 1


@dataclass
class Listener:
    """Takes frames and reports of a stream."""

    frames: list[bytes | str] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    order: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def receive(self, data: bytes | str) -> tuple[str | None, str | None]:
        """Take a frame."""
        if self.gate is not None:
            await self.gate.wait()
        self.frames.append(data)
        self.order.append("frame")
        self.changed.set()
        if data == packed(b"Ping"):
            return "Pong", None
        return None, "" if data == packed(b"expired") else None

    async def report(self, told: Report) -> None:
        """Take a report."""
        self.reports.append(told)
        self.order.append(told.state)
        self.changed.set()

    def states(self) -> list[StreamState]:
        """Give the states told so far."""
        return [told.state for told in self.reports]

    async def until(self, *states: StreamState) -> None:
        """Wait until exactly these states have been told."""
        async with asyncio.timeout(WAIT_S_MAX):
            while [*states] != self.states()[: len(states)] or len(self.reports) < len(states):
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def streaming(
    venue: ScriptedVenue, keys: ScriptedKeys, timing: Timing = TIMING, frame_bytes_max: int = 65536
) -> AsyncIterator[tuple[PrivateStream, Listener]]:
    """Run a stream for the time of a test."""
    listener = Listener()
    stream = PrivateStream(
        url=venue.ws_url,
        timing=timing,
        frame_bytes_max=frame_bytes_max,
        network=Internet(),
        keys=keys,
        receive=listener.receive,
        report=listener.report,
        clock=SystemClock(),
        random=random.Random(1),  # noqa: S311 - jitter is no secret
        log=structlog.get_logger(),
    )
    task = asyncio.create_task(stream.run())
    try:
        yield stream, listener
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


ISSUED, CONNECTED, LOST = StreamState.KEY_ISSUED, StreamState.CONNECTED, StreamState.LOST


async def test_ping_is_answered_and_nothing_else_is_ever_sent() -> None:
    """A stray message on the private socket broke a client library."""
    async with ScriptedVenue() as venue, streaming(venue, ScriptedKeys(["A"])) as (stream, listener):
        socket = await venue.socket(0)
        await listener.until(ISSUED, CONNECTED)
        assert stream.connected
        assert stream.key_age_s is not None
        await socket.send("{}")
        await socket.send("Ping")
        assert await socket.message() == "Pong"
        assert socket.received.empty()
        assert socket.key == "A"
    assert socket.received.empty()


async def test_connected_is_told_before_the_first_frame() -> None:
    """The account knows that the stream lives before it hears of anything on it."""
    async with ScriptedVenue() as venue, streaming(venue, ScriptedKeys(["A"])) as (_, listener):
        socket = await venue.socket(0)
        await socket.send("first")
        async with asyncio.timeout(WAIT_S_MAX):
            while not listener.frames:
                listener.changed.clear()
                await listener.changed.wait()
        assert listener.order == [ISSUED, CONNECTED, "frame"]


async def test_a_loss_is_told_at_the_loss_and_a_new_key_is_asked_for() -> None:
    """Not at the reconnect: the order of the reports shows it."""
    keys = ScriptedKeys(["A", VenueError("busy", retryable=True), "B"])
    async with ScriptedVenue() as venue, streaming(venue, keys) as (stream, listener):
        await (await venue.socket(0)).close()
        await listener.until(ISSUED, CONNECTED, LOST, StreamState.REFUSED, ISSUED, CONNECTED)
        assert stream.connected
        assert (await venue.socket(1)).key == "B"
    assert "closed with 1001" in [told.detail for told in listener.reports]
    assert keys.most_under_way == 1


async def test_an_abrupt_cut_is_a_loss() -> None:
    """The transport goes without a word."""
    async with ScriptedVenue() as venue, streaming(venue, ScriptedKeys(["A", "B"])) as (_, listener):
        socket = await venue.socket(0)
        await listener.until(ISSUED, CONNECTED)
        assert socket.ws._req is not None
        assert socket.ws._req.transport is not None
        socket.ws._req.transport.abort()
        await listener.until(ISSUED, CONNECTED, LOST, ISSUED, CONNECTED)


async def test_silence_ends_in_a_new_connection() -> None:
    """A socket that says nothing is given up, whatever it looks like."""
    quick = Timing(silence_s=0.1, renew_s=1800.0, rotate_s=0.0, backoff_s_min=0.01, backoff_s_max=0.02)
    async with ScriptedVenue() as venue, streaming(venue, ScriptedKeys(["A", "B"]), quick) as (_, listener):
        await listener.until(ISSUED, CONNECTED, StreamState.SILENT, LOST, ISSUED, CONNECTED)
        assert (await venue.socket(1)).key == "B"


async def test_our_own_slowness_is_not_the_exchanges_silence() -> None:
    """While a frame is still being queued, nobody is silent."""
    quick = Timing(silence_s=0.05, renew_s=0.2, rotate_s=0.0, backoff_s_min=0.01, backoff_s_max=0.02)
    keys = ScriptedKeys(["A"])
    async with ScriptedVenue() as venue, streaming(venue, keys, quick) as (_, listener):
        listener.gate = asyncio.Event()
        socket = await venue.socket(0)
        await socket.send("slow")
        await listener.until(ISSUED, CONNECTED, StreamState.KEY_RENEWED)
        listener.gate.set()
    assert keys.renewed == ["A"]


async def test_an_expired_key_is_followed_by_a_new_one() -> None:
    """The socket may stay open and ping for ever; it is closed by us."""
    async with ScriptedVenue() as venue, streaming(venue, ScriptedKeys(["A", "B"])) as (_, listener):
        socket = await venue.socket(0)
        await socket.send("expired")
        await listener.until(ISSUED, CONNECTED, StreamState.KEY_EXPIRED, LOST, ISSUED, CONNECTED)
        async with asyncio.timeout(WAIT_S_MAX):
            await socket.ended.wait()


RENEW_AT_ONCE = Timing(silence_s=5.0, renew_s=0.01, rotate_s=0.0, backoff_s_min=0.01, backoff_s_max=0.02)


async def test_a_dead_keys_successor_overlaps() -> None:
    """404 on a renewal: the new socket comes first, then the old one goes, and there is no loss."""
    keys = ScriptedKeys(["A", "B"], renewals=[KeyUnknownError("404")])
    async with ScriptedVenue() as venue, streaming(venue, keys, RENEW_AT_ONCE) as (_, listener):
        old = await venue.socket(0)
        new = await venue.socket(1)
        assert (old.key, new.key) == ("A", "B")
        await listener.until(ISSUED, CONNECTED, StreamState.KEY_EXPIRED, ISSUED, CONNECTED)
        async with asyncio.timeout(WAIT_S_MAX):
            await old.ended.wait()
        assert not new.ended.is_set()
    assert LOST not in listener.states()[:5]


async def test_frames_of_the_old_socket_are_still_taken_while_it_goes() -> None:
    """What it had received before it was closed is not lost."""
    keys = ScriptedKeys(["A", "B"], renewals=[KeyUnknownError("404")])
    async with ScriptedVenue() as venue, streaming(venue, keys, RENEW_AT_ONCE) as (_, listener):
        listener.gate = asyncio.Event()
        old = await venue.socket(0)
        for number in range(5):
            await old.send(f"frame {number}")
        await listener.until(ISSUED, CONNECTED, StreamState.KEY_EXPIRED, ISSUED, CONNECTED)
        listener.gate.set()
        async with asyncio.timeout(WAIT_S_MAX):
            while len(listener.frames) < 5:
                listener.changed.clear()
                await listener.changed.wait()
    assert [packed(f"frame {number}".encode()) for number in range(5)] == listener.frames


async def test_the_key_in_use_returned_again_is_a_reconnect_with_a_gap() -> None:
    """Never two sockets on one key: the second is opened when the first has ended."""
    keys = ScriptedKeys(["A"], renewals=[KeyUnknownError("404")])
    async with ScriptedVenue() as venue, streaming(venue, keys, RENEW_AT_ONCE) as (_, listener):
        await listener.until(ISSUED, CONNECTED, StreamState.KEY_EXPIRED, LOST, CONNECTED)
        first, second = await venue.socket(0), await venue.socket(1)
        assert first.ended.is_set()
        assert (first.key, second.key) == ("A", "A")


async def test_a_renewal_that_fails_leaves_the_stream_alone() -> None:
    """The key lives on for half its life."""
    keys = ScriptedKeys(["A"], renewals=[VenueError("busy", retryable=True)])
    async with ScriptedVenue() as venue, streaming(venue, keys, RENEW_AT_ONCE) as (stream, listener):
        socket = await venue.socket(0)
        await listener.until(ISSUED, CONNECTED)
        async with asyncio.timeout(WAIT_S_MAX):
            while not keys.renewed:
                await socket.send("Ping")
                await socket.message()
        assert stream.connected
    assert listener.states() == [ISSUED, CONNECTED]


async def test_a_refused_key_ends_the_stream_for_good() -> None:
    """A person must act; the error that says what to do comes out."""
    keys = ScriptedKeys([VenueFatalError("check the key")])
    async with ScriptedVenue() as venue:
        stream = PrivateStream(
            url=venue.ws_url,
            timing=TIMING,
            frame_bytes_max=65536,
            network=Internet(),
            keys=keys,
            receive=Listener().receive,
            report=Listener().report,
            clock=SystemClock(),
            random=random.Random(1),  # noqa: S311 - jitter is no secret
            log=structlog.get_logger(),
        )
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(WAIT_S_MAX):
                await stream.run()
    (error,) = caught.value.exceptions
    assert str(error) == "check the key"


@pytest.mark.parametrize("status", [403, 500, 302])
async def test_a_refused_handshake_is_told_once_and_tried_again(status: int) -> None:
    """A redirection is a refusal too; then the venue lets us in."""
    async with ScriptedVenue() as venue:
        venue.refuse_handshake = status
        async with streaming(venue, ScriptedKeys(["A"])) as (_, listener):
            await listener.until(ISSUED, StreamState.REFUSED)
            venue.refuse_handshake = None
            await listener.until(ISSUED, StreamState.REFUSED, CONNECTED)
    assert [f"the handshake was answered HTTP {status}"] == [
        told.detail for told in listener.reports if told.state is StreamState.REFUSED
    ]


async def test_a_message_beyond_the_bound_ends_the_socket() -> None:
    """The library cuts it off before it is in memory."""
    async with (
        ScriptedVenue() as venue,
        streaming(venue, ScriptedKeys(["A", "B"]), frame_bytes_max=1024) as (_, listener),
    ):
        await (await venue.socket(0)).send(b"x" * 4096, packed=False)
        await listener.until(ISSUED, CONNECTED, LOST, ISSUED, CONNECTED)


async def test_a_suspicion_is_the_sessions_to_judge() -> None:
    """A key that is brand new is not suspected."""
    async with ScriptedVenue() as venue, streaming(venue, ScriptedKeys(["A"])) as (stream, listener):
        socket = await venue.socket(0)
        await listener.until(ISSUED, CONNECTED)
        for _ in range(1000):
            stream.suspect()
        await socket.send("Ping")
        assert await socket.message() == "Pong"
    assert listener.states() == [ISSUED, CONNECTED]


def test_a_failure_is_told_without_a_url() -> None:
    """Texts of the library may hold the listen key."""
    assert failure(OSError("ws://x?listenKey=A")) == "OSError"
    assert failure(PayloadTooBig(10, 5)) == "PayloadTooBig"
    assert InvalidStatus is not None
