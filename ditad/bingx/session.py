"""The private stream's life: key, socket, renewal, silence, rotation and backoff, as values.

What enters: events (what became of a key call or a socket, a frame heard, a suspicion, time), each with `now` on the
monotonic clock and a `jitter` in [0, 1). What leaves: acts for the driver, and the next `deadline`.
What holds (bingx.md §2):

- one key call at a time, and never two sockets on one key: a key is opened again only when the socket that had it is
  reported ended; sockets are numbered, and what is said of one that was given up is ignored;
- a loss is reported at the loss: CONNECTED and LOST bracket every time in which a socket lives; a successor that
  overlaps is reported CONNECTED without a LOST before it;
- a reconnect always asks for a key: the old socket may live on half-open, and its key may be what died;
- nothing is ever deleted; `Ping` proves the socket, the age since the last successful POST or PUT proves the key.

    IDLE ▸ ASKING ▸ (CLOSING ▸) OPENING ▸ LIVE ▸ RENEWING ▸ LIVE      WAITING: nothing lives, until the backoff ends
                                          LIVE ▸ ROTATING ▸ OVERLAPPING ▸ LIVE      STOPPED: over, by us or for good
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ditad.bingx.turns import (
    Act,
    AskKey,
    Close,
    Ended,
    Expired,
    GiveUp,
    Heard,
    Input,
    KeyFailed,
    KeyIssued,
    KeyRefused,
    KeyRenewed,
    KeyUnknown,
    Open,
    Opened,
    RenewFailed,
    RenewKey,
    Report,
    Start,
    Stop,
    Suspected,
    Wake,
)
from ditad.errors import VenueFatalError
from ditad.events import StreamState

KEY_LIFE_S = 3600.0
KEY_MARGIN_S = 300.0
RENEW_AGAIN_S = 30.0
STEADY_S = 30.0
SUSPECT_S_MIN = 20.0
LATE_S = 1.0
ATTEMPTS_MAX = 32


class State(enum.Enum):
    """Where the stream's life stands."""

    IDLE = "idle"
    ASKING = "asking"
    CLOSING = "closing"
    OPENING = "opening"
    LIVE = "live"
    RENEWING = "renewing"
    ROTATING = "rotating"
    OVERLAPPING = "overlapping"
    WAITING = "waiting"
    STOPPED = "stopped"


ALIVE = frozenset({State.LIVE, State.RENEWING, State.ROTATING, State.OVERLAPPING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The durations a session keeps to, in seconds; `rotate_s` 0 means never."""

    silence_s: float
    renew_s: float
    rotate_s: float
    backoff_s_min: float
    backoff_s_max: float


class Session:
    """The machine. `handle` is the only place where `state` changes; it never waits and never fails."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.state = State.IDLE
        self.sock: int | None = None  # the socket that lives
        self.key = ""  # the key of the socket that lives, or that is being opened
        self.key_at = 0.0  # last successful POST or PUT of it
        self._key_born = 0.0
        self._key_dead = False
        self._before = ("", 0.0, 0.0, False)  # the key that a successor is to follow
        self._next: int | None = None  # the socket being opened
        self._sockets: dict[int, str] = {}  # every socket not reported ended, with its key
        self._sock_count = 0
        self._heard = 0.0
        self._live_since = 0.0
        self._renew_at = 0.0
        self._retry_at = 0.0
        self._attempts = 0
        self._failure_told = False
        self._acts: list[Act] = []

    def deadline(self) -> float | None:
        """Give the monotonic moment at which `Wake` is due, if any."""
        if self.state is State.WAITING:
            return self._retry_at
        if self.state not in ALIVE:
            return None
        deadlines = [self._heard + self.timing.silence_s]
        if self.state is State.LIVE:
            deadlines.append(self._renew_at)
            if not self._key_dead:
                deadlines.append(self.key_at + KEY_LIFE_S)
            if self.timing.rotate_s:
                deadlines.append(self._key_born + self.timing.rotate_s)
        return min(deadlines)

    def handle(self, event: Input, *, now: float, jitter: float) -> list[Act]:
        """Take an event and give the acts it leads to, in order."""
        self._acts = []
        match event:
            case Heard(sock=sock):  # first, for it is nearly all that comes
                if sock == self.sock:
                    self._heard = now
            case Start():
                self._start()
            case KeyIssued(key=key):
                self._issued(key, now)
            case KeyFailed(detail=detail, wait_s=wait_s):
                self._key_failed(detail, wait_s, now, jitter)
            case KeyRefused(error=error):
                self._key_refused(error)
            case KeyRenewed():
                self._renewed(now, jitter)
            case RenewFailed():
                self._renew_failed(now, jitter)
            case KeyUnknown():
                self._key_unknown()
            case Opened(sock=sock):
                self._opened(sock, now)
            case Ended(sock=sock, detail=detail):
                self._ended(sock, detail, now, jitter)
            case Expired(sock=sock, key=key):
                self._expired(sock, key, now, jitter)
            case Suspected():
                self._suspected(now)
            case Wake():
                self._wake(now, jitter)
            case _:
                assert isinstance(event, Stop), "every event has its case"
                self._stop()
        return self._acts

    # ---- keys ----

    def _start(self) -> None:
        if self.state is State.IDLE:
            self._ask(State.ASKING)

    def _ask(self, state: State) -> None:
        self.state = state
        self._acts.append(AskKey())

    def _issued(self, key: str, now: float) -> None:
        if self.state not in {State.ASKING, State.ROTATING}:
            return
        rotating = self.state is State.ROTATING
        in_use = key in self._sockets.values()
        if rotating and in_use:
            # The socket that holds the key must go first, and there is a gap.
            self._drop("the exchange returned the listen key in use")
        if key != self.key:
            self._before = (self.key, self.key_at, self._key_born, self._key_dead)
            self.key, self._key_born = key, now
            if in_use or not rotating:
                self._report(StreamState.KEY_ISSUED, "a new listen key")
        self.key_at = now
        self._key_dead = False
        if in_use:
            self.state = State.CLOSING
        else:
            self._open(State.OVERLAPPING if rotating else State.OPENING)

    def _open(self, state: State) -> None:
        assert self.key not in self._sockets.values(), "never two sockets on one key"
        self._sock_count += 1
        self._next = self._sock_count
        self._sockets[self._next] = self.key
        self.state = state
        self._acts.append(Open(sock=self._next, key=self.key))

    def _key_failed(self, detail: str, wait_s: float, now: float, jitter: float) -> None:
        if self.state is State.ASKING:
            self._refused(f"no listen key: {detail}", now, jitter, wait_s)
        elif self.state is State.ROTATING:
            self._keep(now, jitter, wait_s)

    def _key_refused(self, error: VenueFatalError) -> None:
        if self.state in {State.ASKING, State.ROTATING}:
            self._stop()
            self._acts.append(GiveUp(error=error))

    def _renewed(self, now: float, jitter: float) -> None:
        if self.state is State.RENEWING:
            self.state = State.LIVE
            self.key_at = now
            self._renew_at = now + self.timing.renew_s * (1 - 0.1 * jitter)
            self._report(StreamState.KEY_RENEWED, "")

    def _renew_failed(self, now: float, jitter: float) -> None:
        if self.state is State.RENEWING:
            self._keep(now, jitter, 0.0)

    def _keep(self, now: float, jitter: float, wait_s: float) -> None:
        """Stay with the socket and the key there are, and try again before the key's life ends."""
        self.state = State.LIVE
        self._renew_at = now + max(wait_s, RENEW_AGAIN_S * (0.5 + 0.5 * jitter))

    def _key_unknown(self) -> None:
        if self.state is State.RENEWING:
            self._dead("the exchange no longer knows the listen key; if this recurs, another program uses this API key")

    def _dead(self, detail: str) -> None:
        """Seek a successor to a key that has ended behind a socket that may live on."""
        self._key_dead = True
        self._report(StreamState.KEY_EXPIRED, detail)
        self._ask(State.ROTATING)

    def _expired(self, sock: int, key: str, now: float, jitter: float) -> None:
        if sock != self.sock or (key and key != self._sockets.get(sock)):
            return
        self._report(StreamState.KEY_EXPIRED, "the exchange says so")
        self._lost("the listen key expired", now, jitter)

    def _suspected(self, now: float) -> None:
        if self.state is State.LIVE and now - max(self.key_at, self._live_since) >= SUSPECT_S_MIN:
            self._dead("the account moved and the stream said nothing: the listen key is taken for dead")

    # ---- sockets ----

    def _opened(self, sock: int, now: float) -> None:
        if sock != self._next:
            return
        if self.state is State.OVERLAPPING:
            assert self.sock is not None, "an overlap has an old socket"
            self._acts.append(Close(sock=self.sock))
            self._report(StreamState.KEY_ISSUED, "a new listen key")
        self.sock, self._next = sock, None
        self.state = State.LIVE
        self._heard = self._live_since = now
        self._renew_at = self.key_at + self.timing.renew_s
        self._failure_told = False
        self._report(StreamState.CONNECTED, "")

    def _ended(self, sock: int, detail: str, now: float, jitter: float) -> None:
        if self._sockets.pop(sock, None) is None:
            return
        if sock == self.sock:
            self._lost(detail, now, jitter, ended=True)
        elif sock == self._next:
            self._next = None
            if self.state is State.OVERLAPPING:
                # The successor did not come; the old socket stands, with its own key.
                assert self.sock is not None, "an overlap has an old socket"
                self.key, self.key_at, self._key_born, self._key_dead = self._before
                self._keep(now, jitter, 0.0)
            else:
                assert self.state is State.OPENING, "a socket is awaited in these two states only"
                self._refused(detail, now, jitter)
        elif self.state is State.CLOSING and self.key not in self._sockets.values():
            self._open(State.OPENING)

    def _drop(self, detail: str) -> None:
        """Give the living socket up."""
        assert self.sock is not None, "only a living socket is given up"
        self._acts.append(Close(sock=self.sock))
        self.sock = None
        self._report(StreamState.LOST, detail)

    def _lost(self, detail: str, now: float, jitter: float, *, ended: bool = False) -> None:
        """Take the living socket for gone: what goes on beside it goes on alone, else begin again."""
        if ended:
            self.sock = None
            self._report(StreamState.LOST, detail)
        else:
            self._drop(detail)
        if now - self._live_since >= STEADY_S:
            self._attempts = 0
        if self.state is State.ROTATING:
            self.state = State.ASKING
        elif self.state is State.OVERLAPPING:
            self.state = State.OPENING
        else:
            self._wait(now, jitter, 0.0)

    def _refused(self, detail: str, now: float, jitter: float, wait_s: float = 0.0) -> None:
        """Tell that no connection came about, once until one does, and wait."""
        if not self._failure_told:
            self._failure_told = True
            self._report(StreamState.REFUSED, detail)
        self._wait(now, jitter, wait_s)

    def _wait(self, now: float, jitter: float, wait_s: float) -> None:
        backoff_s = min(self.timing.backoff_s_max, self.timing.backoff_s_min * 2**self._attempts)
        self._attempts = min(self._attempts + 1, ATTEMPTS_MAX)
        self._retry_at = now + max(wait_s, backoff_s * (0.5 + 0.5 * jitter))
        self.state = State.WAITING

    # ---- time ----

    def _wake(self, now: float, jitter: float) -> None:
        if self.state is State.WAITING and now >= self._retry_at:
            self._ask(State.ASKING)
        elif self.state in ALIVE:
            self._watch(now, jitter)

    def _watch(self, now: float, jitter: float) -> None:
        silent_at = self._heard + self.timing.silence_s
        if now >= silent_at:
            if now >= silent_at + LATE_S:
                # We come late: it was us who slept, and what came meanwhile is still unread.
                self._heard = now - self.timing.silence_s + LATE_S
                return
            self._report(StreamState.SILENT, f"no frame for {self.timing.silence_s:g} s")
            self._lost("silent", now, jitter)
        elif self.state is State.LIVE:
            self._watch_key(now)

    def _watch_key(self, now: float) -> None:
        age_s = now - self.key_at
        if age_s >= KEY_LIFE_S and not self._key_dead:
            self._dead("the listen key was not renewed within its life")
        elif now >= self._renew_at:
            if self._key_dead or age_s >= KEY_LIFE_S - KEY_MARGIN_S:
                self._ask(State.ROTATING)
            else:
                self.state = State.RENEWING
                self._acts.append(RenewKey(key=self.key))
        elif self.timing.rotate_s and now >= self._key_born + self.timing.rotate_s:
            self._key_born = now
            self._ask(State.ROTATING)

    def _stop(self) -> None:
        if self.state is State.STOPPED:
            return
        if self.sock is not None:
            self._drop("stopping")
        if self._next is not None:
            self._acts.append(Close(sock=self._next))
            self._next = None
        self.state = State.STOPPED

    def _report(self, state: StreamState, detail: str) -> None:
        self._acts.append(Report(state=state, detail=detail))
