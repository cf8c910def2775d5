"""The private stream's driver: carries the session's acts out over real sockets, and tells it what became of them.

What enters: frames of the exchange, which are handed to `receive` one by one, in order. What leaves: `Pong`s, and
nothing else on the socket; the session's reports.
What holds: every handshake, key call and close has a time limit and ends in an event; each socket's task and the key
call's belong to one task group; a frame is understood and queued before the next one is read.
"""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import structlog
from websockets.exceptions import WebSocketException

from ditad.bingx import turns
from ditad.bingx.answer import KeyUnknownError
from ditad.bingx.network import CLOSE_S_MAX, Connection, Network, failure
from ditad.bingx.session import Session, Timing
from ditad.clock import Clock
from ditad.errors import VenueError, VenueFatalError

SEND_S_MAX = 5.0
EVENTS_MAX = 256


class Keys(Protocol):
    """What the stream needs of the REST client."""

    async def issue_key(self) -> str:
        """Get a listen key."""

    async def renew_key(self, key: str) -> None:
        """Prolong a listen key."""


Receive = Callable[[bytes | str], Awaitable[tuple[str | None, str | None]]]
"""Takes a frame; gives the text to answer with, if any, and the key that the frame says has ended, if any."""


class PrivateStream:
    """One account's private stream. `run` is until cancelled, or until a person must act."""

    def __init__(
        self,
        *,
        url: str,
        timing: Timing,
        frame_bytes_max: int,
        network: Network,
        keys: Keys,
        receive: Receive,
        report: Callable[[turns.Report], Awaitable[None]],
        clock: Clock,
        random: randomness.Random,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._url = url
        self._frame_bytes_max = frame_bytes_max
        self._network = network
        self._keys = keys
        self._receive = receive
        self._tell = report
        self._clock = clock
        self._random = random
        self._log = log
        self.session = Session(timing)
        # Key calls and sockets leave an event or two each; what may repeat is dropped at `EVENTS_MAX`.
        self._events: asyncio.Queue[turns.Input] = asyncio.Queue()
        self._sockets: dict[int, asyncio.Task[None]] = {}
        self._connections: dict[int, Connection] = {}
        self._admitted: dict[int, asyncio.Event] = {}
        self._busy: set[int] = set()
        self._key_call: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Live the session's life; raises `VenueFatalError` where the session gives up."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._step(turns.Start(), group)
                while True:
                    await self._step(await self._next_event(), group)
        finally:
            self.session.handle(turns.Stop(), now=self._clock.mono_s(), jitter=0.0)

    def suspect(self) -> None:
        """Tell the session that the stream kept silent about something that REST shows."""
        self._repeatable(turns.Suspected())

    def _repeatable(self, event: turns.Input) -> None:
        if self._events.qsize() < EVENTS_MAX:
            self._events.put_nowait(event)

    @property
    def connected(self) -> bool:
        """Say whether a socket lives."""
        return self.session.sock is not None

    @property
    def key_age_s(self) -> float | None:
        """Give the seconds since the listen key was last proven; `None` before the first."""
        return self._clock.mono_s() - self.session.key_at if self.session.key else None

    async def _next_event(self) -> turns.Input:
        deadline = self.session.deadline()
        timeout_s = None if deadline is None else max(deadline - self._clock.mono_s(), 0.0)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._events.get()
        except TimeoutError:
            if self.session.sock in self._busy:
                # What came is still being queued: it is us who are slow, not the exchange who is silent.
                self._hear(self.session.sock)
            return turns.Wake()

    def _handle(self, event: turns.Input) -> list[turns.Act]:
        return self.session.handle(event, now=self._clock.mono_s(), jitter=self._random.random())

    def _hear(self, sock: int) -> None:
        acts = self._handle(turns.Heard(sock=sock))
        assert not acts, "to hear a frame asks for nothing"

    async def _step(self, event: turns.Input, group: asyncio.TaskGroup) -> None:
        """Let the session decide, and do what it says, in order."""
        for act in self._handle(event):
            match act:
                case turns.AskKey():
                    await self._call_key(group, self._issue())
                case turns.RenewKey(key=key):
                    await self._call_key(group, self._renew(key))
                case turns.Open(sock=sock, key=key):
                    self._admitted[sock] = asyncio.Event()
                    self._sockets[sock] = group.create_task(self._hold(sock, key))
                case turns.Close(sock=sock):
                    self._close(sock, group)
                case turns.Report():
                    await self._tell(act)
                case turns.GiveUp(error=error):
                    raise error
        if isinstance(event, turns.Opened) and event.sock in self._admitted:
            self._admitted[event.sock].set()

    def _close(self, sock: int, group: asyncio.TaskGroup) -> None:
        """Close a socket without losing what it has received: its reader goes on to the end."""
        connection = self._connections.get(sock)
        if connection is not None:
            group.create_task(connection.close())
        elif sock in self._sockets:
            self._sockets[sock].cancel()

    # ---- keys ----

    async def _call_key(self, group: asyncio.TaskGroup, call: Coroutine[Any, Any, None]) -> None:
        """Begin a key call when the one before is over: single flight."""
        before = self._key_call
        if before is not None and not before.done():
            before.cancel()
            await asyncio.wait({before}, timeout=CLOSE_S_MAX)
        self._key_call = group.create_task(call)

    async def _issue(self) -> None:
        event: turns.Input
        try:
            event = turns.KeyIssued(key=await self._keys.issue_key())
        except VenueFatalError as error:
            event = turns.KeyRefused(error=error)
        except VenueError as error:
            event = turns.KeyFailed(detail=str(error), wait_s=error.retry_after_s)
        self._events.put_nowait(event)

    async def _renew(self, key: str) -> None:
        event: turns.Input
        try:
            await self._keys.renew_key(key)
            event = turns.KeyRenewed()
        except KeyUnknownError:
            event = turns.KeyUnknown()
        except VenueError as error:
            # Also a fatal one: the key there is lives on, and a new one will be refused in its own time.
            self._log.warning("key.not_renewed", reason=str(error))
            event = turns.RenewFailed()
        self._events.put_nowait(event)

    # ---- sockets ----

    async def _hold(self, sock: int, key: str) -> None:
        """Open a socket, read it until its end, and say how it ended, whatever happens."""
        detail = "closed by us"
        try:
            await self._read(sock, key)
        except (OSError, WebSocketException) as exc:
            detail = failure(exc)
        finally:
            self._busy.discard(sock)
            for held in (self._sockets, self._connections, self._admitted):
                held.pop(sock, None)
            self._events.put_nowait(turns.Ended(sock=sock, detail=detail))

    async def _read(self, sock: int, key: str) -> None:
        """Read a socket until its end, which the library raises."""
        async with self._network.dial(f"{self._url}?listenKey={key}", self._frame_bytes_max) as connection:
            self._connections[sock] = connection
            self._events.put_nowait(turns.Opened(sock=sock))
            # That the stream is connected is told before the first frame of it.
            await self._admitted[sock].wait()
            while True:
                message = await connection.recv()
                self._busy.add(sock)
                self._hear(sock)
                await self._take(sock, connection, message)
                self._hear(sock)
                self._busy.discard(sock)

    async def _take(self, sock: int, connection: Connection, message: bytes | str) -> None:
        pong, expired_key = await self._receive(message)
        if pong is not None and sock in self._sockets:
            async with asyncio.timeout(SEND_S_MAX):
                await connection.send(pong)
        if expired_key is not None:
            self._repeatable(turns.Expired(sock=sock, key=expired_key))
