"""All websocket streams of the exchange, without a socket: who gets which bytes when.

Enters: frames of the venue, texts of clients, connects and disconnects, and the time through a clock.
Leaves: acts (`Send`, `Close`, `Freeze`) by `poll`, and the moment of the next one by `next_due_ms`.
Truths held (bingx.md §2, §3): every frame is gzip; a `Ping` proves the socket, not the key; of two
sockets on one key each gets a part; a dead key leaves its sockets open, pinging and silent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import heappop, heappush
from random import Random
from typing import Final

from ditad.exchange import pushes
from ditad.exchange.amounts import fixed
from ditad.exchange.dialect import UnknownKey
from ditad.exchange.faults import GOOD_CONNECT, REPLAYED_MAX, CutKind, Faults
from ditad.exchange.keys import ListenKeys
from ditad.exchange.packing import PING, encoded, stored
from ditad.exchange.pushes import Frame, Payload
from ditad.exchange.topics import CODE_INVALID, Topics, answer, mark_push
from ditad.exchange.venue import Venue

STREAMS_MAX: Final = 1000
# Nobody notices when a half-open stream's peer is gone; beyond this many the oldest are reset.
FROZEN_MAX: Final = 100
WAITING_MAX: Final = 200_000
HELD_MS_MAX: Final = 1000
GLITCH_FACTOR: Final = 10
CODE_GOING_AWAY: Final = 1001
CODE_ABNORMAL: Final = 1006


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The stream's clockwork in milliseconds; the defaults are the real exchange's."""

    ping_ms: int = 5000
    pong_wait_ms: int = 30_500
    config_ms: int = 5000
    mark_ms: int = 1000
    expiry_notice: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Put one binary frame on a stream."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """End a stream; 1006 is a reset without a closing handshake."""

    stream: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Leave a stream open and never touch it again: a half-open connection."""

    stream: int


Act = Send | Close | Freeze


class StreamRefused(Exception):
    """The handshake is refused; the message says why."""


@dataclass(slots=True, kw_only=True)
class _Stream:
    key: str | None
    topics: Topics
    ping_due_ms: int
    config_due_ms: int
    unanswered_ms: int | None = None
    frozen: bool = False
    expiry_told: bool = False
    held: list[Payload] = field(default_factory=list)
    held_until_ms: int = 0


class Streams:
    """Every stream of one exchange."""

    def __init__(
        self,
        *,
        venue: Venue,
        keys: ListenKeys,
        faults: Faults,
        rng: Random,
        timing: Timing,
        clock: Callable[[], int],
        elapsed: Callable[[], int],
        compress: bool = True,
    ) -> None:
        """Start without streams; `rng` picks the socket where a key has two.

        `tamper`, while it is set, gets each private frame first and gives what becomes of it: the same, a
        forged one, or None where it is lost, which no replay brings back. Books and reports never notice.
        `clock` stamps what is said; `elapsed`, whose jumps nobody sees, decides when. Without
        `compress` the gzip frames hold their text as it is, which is many times faster to make.
        """
        self._venue = venue
        self._keys = keys
        self._faults = faults
        self._rng = rng
        self._timing = timing
        self._clock = clock
        self._elapsed = elapsed
        self._encoded = encoded if compress else stored
        self.tamper: Callable[[Payload], Payload | None] | None = None
        self._recent: dict[str, deque[Payload]] = {}
        self._look_ms: int | None = None  # until then `poll` has nothing to do
        self._stale = False  # whether `_look_ms` may be too early
        self._streams: dict[int, _Stream] = {}
        self._waiting: list[tuple[int, int, int, Payload | bytes | Close | Freeze]] = []
        self._number = 0
        self._mark_due_ms = elapsed()

    # What comes in.

    def connect(self, listen_key: str | None) -> int:
        """Open a private stream, or a market stream without a key, and give its number."""
        now_ms = self._elapsed()
        if len(self._streams) >= STREAMS_MAX:
            message = f"more than {STREAMS_MAX} streams"
            raise StreamRefused(message)
        fate = GOOD_CONNECT if listen_key is None else self._faults.for_connect()
        if fate.refused:
            message = "the exchange is busy"
            raise StreamRefused(message)
        living = listen_key is None or self._keys.find(listen_key, now_ms) is not None
        if not living and self._venue.dialect.unknown_key is UnknownKey.REFUSED:
            message = "unknown listen key"
            raise StreamRefused(message)
        self._number += 1
        number = self._number
        self._streams[number] = _Stream(
            key=listen_key,
            topics=Topics(self._venue.market.contracts),
            ping_due_ms=now_ms + self._timing.ping_ms,
            config_due_ms=now_ms,
            expiry_told=not living,
        )
        self._look_at(now_ms)
        if living and fate.replayed and listen_key is not None:
            recent = self._recent.get(self._keys.owner(listen_key), deque())
            for payload in list(recent)[-fate.replayed :]:
                self._wait(number, now_ms, payload)
        return number

    def disconnect(self, number: int) -> None:
        """Forget a stream whose socket is gone; what waits for it is lost."""
        self._streams.pop(number, None)
        self._stale = True

    def receive(self, number: int, text: str) -> None:
        """Take a client's text frame: `Pong`, a market question, or something stray."""
        stream = self._streams.get(number)
        if stream is None or stream.frozen:
            return
        if text == "Pong":
            stream.unanswered_ms = None
        elif stream.key is None:
            self._wait(number, self._elapsed(), stream.topics.receive(text, self._elapsed()))
        else:
            self._wait(number, self._elapsed(), answer(CODE_INVALID, message="invalid params"))

    def publish(self, frame: Frame) -> None:
        """Send an account's frame to one socket of each of its living keys, as the faults allow."""
        now_ms = self._elapsed()
        payload = frame.payload if self.tamper is None else self.tamper(frame.payload)
        if payload is None:
            return
        self._recent.setdefault(frame.account, deque(maxlen=REPLAYED_MAX)).append(payload)
        for key in self._keys.living(frame.account, now_ms):
            number = self._socket_of(key.text)
            if number is not None:
                self._send_or_harm(number, key.text, payload, now_ms)

    def expire_key(self, account: str, *, notice: bool) -> None:
        """Let all keys of an account die now, with or without `listenKeyExpired`."""
        now_ms = self._elapsed()
        for key in self._keys.living(account, now_ms):
            self._expire(key.text, now_ms, notice=notice)

    def cut(self, account: str | None, kind: CutKind) -> int:
        """End the streams of an account (None: the market streams) and say how many there were."""
        now_ms = self._elapsed()
        numbers = [n for n, s in self._streams.items() if self._owner(s) == account]
        for number in numbers:
            self._end(number, kind, now_ms)
        return len(numbers)

    def count(self, account: str | None) -> int:
        """Count the streams of an account, or the market streams."""
        return sum(self._owner(s) == account for s in self._streams.values())

    def inject(self, account: str, payload: Payload | bytes) -> None:
        """Send a payload of the caller's making on every private stream of an account; bytes go as they are."""
        for number, stream in self._streams.items():
            if stream.key is not None and self._owner(stream) == account:
                self._wait(number, self._elapsed(), payload)

    # What goes out.

    def poll(self) -> list[Act]:
        """Give all acts that are due, in their order."""
        now_ms = self._elapsed()
        self._freshen()
        if self._look_ms is None or now_ms < self._look_ms:
            return []
        self._turn_clockwork(now_ms)
        acts: list[Act] = []
        while self._waiting and self._waiting[0][0] <= now_ms:
            _, _, number, what = heappop(self._waiting)
            stream = self._streams.get(number)
            if stream is None or stream.frozen:
                continue
            if isinstance(what, dict | bytes):
                data = what if isinstance(what, bytes) else self._encoded(what)
                acts.append(Send(stream=number, data=data))
                continue
            acts.append(what)
            stream.frozen = isinstance(what, Freeze)
            if isinstance(what, Close):
                self.disconnect(number)
        frozen = [n for n, s in self._streams.items() if s.frozen]
        for number in frozen[: max(0, len(frozen) - FROZEN_MAX)]:
            acts.append(Close(stream=number, code=CODE_ABNORMAL))
            self.disconnect(number)
        self._stale = True
        self._freshen()
        return acts

    def next_due_ms(self) -> int | None:
        """Say, by `clock`, when `poll` has something to do again; None while there is no stream."""
        self._freshen()
        return None if self._look_ms is None else self._look_ms + self._clock() - self._elapsed()

    def _freshen(self) -> None:
        if self._stale:
            self._stale = False
            self._look_ms = self._first_due_ms()

    def _look_at(self, due_ms: int) -> None:
        if self._look_ms is None or due_ms < self._look_ms:
            self._look_ms = due_ms

    def _first_due_ms(self) -> int | None:
        living = [s for s in self._streams.values() if not s.frozen]
        due = [s.ping_due_ms for s in living]
        for stream in living:
            if stream.key is not None and not stream.expiry_told:
                due += [stream.config_due_ms, self._keys.expires_ms(stream.key)]
        due += [s.held_until_ms for s in living if s.held]
        due += [self._mark_due_ms] if any(s.topics.symbols for s in living) else []
        due += [s.unanswered_ms + self._timing.pong_wait_ms for s in living if s.unanswered_ms is not None]
        due += [self._waiting[0][0]] if self._waiting else []
        return min(due, default=None)

    def _turn_clockwork(self, now_ms: int) -> None:
        marks = now_ms >= self._mark_due_ms
        if marks:
            self._venue.market.shiver()
            self._mark_due_ms = now_ms + self._timing.mark_ms
        for number, stream in list(self._streams.items()):
            if stream.frozen:
                continue
            if stream.held and now_ms >= stream.held_until_ms:
                self._release(number, stream, now_ms)
            if stream.key is not None and not stream.expiry_told:
                self._turn_private(number, stream, stream.key, now_ms)
            if marks:
                self._push_marks(number, stream, now_ms)
            self._turn_heartbeat(number, stream, now_ms)

    def _turn_private(self, number: int, stream: _Stream, key: str, now_ms: int) -> None:
        living = self._keys.find(key, now_ms)
        if living is None:
            stream.expiry_told = True
            if self._timing.expiry_notice:
                self._wait(number, now_ms, pushes.listen_key_expired(key, event_ms=self._clock()))
        elif now_ms >= stream.config_due_ms:
            stream.config_due_ms = now_ms + self._timing.config_ms
            desk = self._venue.account(living.account)
            for symbol in desk.leverage:
                self._wait(number, now_ms, desk.config_frame(symbol))

    def _push_marks(self, number: int, stream: _Stream, now_ms: int) -> None:
        for symbol in stream.topics.symbols:
            contract = self._venue.market.contract(symbol)
            price = fixed(self._venue.market.mark(symbol), contract.price_precision)
            self._wait(number, now_ms, mark_push(symbol, price, self._clock()))

    def _turn_heartbeat(self, number: int, stream: _Stream, now_ms: int) -> None:
        silent_ms = now_ms - (now_ms if stream.unanswered_ms is None else stream.unanswered_ms)
        if silent_ms >= self._timing.pong_wait_ms:
            self._wait(number, now_ms, Close(stream=number, code=CODE_ABNORMAL))
            stream.unanswered_ms = None
        elif now_ms >= stream.ping_due_ms:
            stream.ping_due_ms = now_ms + self._timing.ping_ms
            if stream.unanswered_ms is None:
                stream.unanswered_ms = now_ms
            self._wait(number, now_ms, PING)

    # One frame and its fate.

    def _send_or_harm(self, number: int, key: str, payload: Payload, now_ms: int) -> None:
        fate = self._faults.for_frame()
        stream = self._streams[number]
        if fate.glitch:
            payload = glitched(payload)
        if fate.held and fate.copies:
            stream.held.append(payload)
            stream.held_until_ms = now_ms + HELD_MS_MAX
            self._look_at(stream.held_until_ms)
        else:
            for delay_ms in fate.copies:
                self._wait(number, now_ms + delay_ms, payload)
            self._release(number, stream, now_ms)
        if fate.unknown_event:
            self._wait(number, now_ms, {"e": "SOMETHING_NEW", "E": self._clock(), "x": {"synthetic": True}})
        if fate.expire:
            self._expire(key, now_ms, notice=fate.expire_notice)
        if fate.cut is not None:
            self._end(number, fate.cut, now_ms)

    def _release(self, number: int, stream: _Stream, now_ms: int) -> None:
        held, stream.held = stream.held, []
        for payload in held:
            self._wait(number, now_ms, payload)

    def _expire(self, key: str, now_ms: int, *, notice: bool) -> None:
        self._keys.expire(key, now_ms)
        for number, stream in self._streams.items():
            if stream.key == key and not stream.expiry_told:
                stream.expiry_told = True
                if notice:
                    self._wait(number, now_ms, pushes.listen_key_expired(key, event_ms=self._clock()))

    def _end(self, number: int, kind: CutKind, now_ms: int) -> None:
        if kind is CutKind.HALF_OPEN:
            self._wait(number, now_ms, Freeze(stream=number))
            return
        code = CODE_GOING_AWAY if kind is CutKind.CLEAN else CODE_ABNORMAL
        self._wait(number, now_ms, Close(stream=number, code=code))

    def _socket_of(self, key: str) -> int | None:
        numbers = [n for n, s in self._streams.items() if s.key == key]
        return self._rng.choice(numbers) if len(numbers) > 1 else next(iter(numbers), None)

    def _owner(self, stream: _Stream) -> str | None:
        return None if stream.key is None else self._keys.owner(stream.key)

    def _wait(self, number: int, due_ms: int, what: Payload | bytes | Close | Freeze) -> None:
        if len(self._waiting) >= WAITING_MAX:
            what = Close(stream=number, code=CODE_ABNORMAL)
        self._number += 1
        self._look_at(due_ms)
        heappush(self._waiting, (due_ms, self._number, number, what))


def glitched(payload: Payload) -> Payload:
    """Give a copy of an account frame in which every `pa` is ten times what it should be."""
    body = payload.get("a")
    if not isinstance(body, dict):
        return payload
    rows = [{**row, "pa": fixed(Decimal(row["pa"]) * GLITCH_FACTOR)} for row in body.get("P", [])]
    if not rows:
        return payload
    return {**payload, "a": {**body, "P": rows}}
