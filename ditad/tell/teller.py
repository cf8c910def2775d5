"""One account's tellings: read from its records like any reader, handed over one after the other, and counted.

What enters: the account's records, from the journal and the hub. What leaves: tellings to the hook, at least once each
and in order, and log lines about them. What holds: nobody waits for the hook, which is another task than the fold; at
most `waiting_max` tellings wait, at that bound the oldest is dropped; a telling is tried again with growing pauses and
jitter until these add up to `retry_s`, then given up; either is logged, counted, and told by the next one's `missed`,
also after a restart. That goes on behind the last telling that was over, so that the one under way then is told again;
the first time of all it begins with what comes from now on, and says so.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import tenacity

from ditad.api.answers import Problem
from ditad.api.doors import AccountDoor
from ditad.api.feed import Feed
from ditad.api.routes import EventsRequest
from ditad.errors import DitadError
from ditad.records import RecordType
from ditad.tell.hook import Hook, HookError
from ditad.tell.news import News, Telling
from ditad.tell.place import Place, PlaceFile

TOLD_OF: Final = frozenset({RecordType.DIVERGENCE, RecordType.GAP})
BEHIND_MAX: Final = 100_000
"""Records that are looked through at a start; whoever was away for longer begins anew, and says so."""

KEEP_S: Final = 60.0
"""While nothing is told the place is put away this often, so that a start looks through little."""

PAUSE_S_MIN: Final = 1.0
PAUSE_S_MAX: Final = 60.0
OUTCOMES: Final = ("delivered", "failed", "dropped", "retried")


class Log(Protocol):
    """What a teller needs of a logger."""

    def info(self, event: str, **fields: object) -> object:
        """Write a line of level info."""

    def warning(self, event: str, **fields: object) -> object:
        """Write a line of level warning."""

    def error(self, event: str, **fields: object) -> object:
        """Write a line of level error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TellOptions:
    """What an operator may turn: the least severity told, how long one telling is tried, how many may wait."""

    severity: str
    retry_s: float
    waiting_max: int


class Teller:
    """Tells of one account, from `run` until that is cancelled."""

    def __init__(
        self,
        *,
        door: AccountDoor,
        hook: Hook,
        file: PlaceFile,
        options: TellOptions,
        log: Log,
        chance: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Find where to begin; make it before the first record of this run, and none is overlooked."""
        self._door = door
        self._hook = hook
        self._file = file
        self._options = options
        self._log = log
        self._random = chance
        self._sleep = sleep
        self._waiting: deque[Telling] = deque()
        self._arrived = asyncio.Event()
        self._dropped = 0
        self._idle = True
        self.counts: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        place = self._beginning()
        self._place = place
        self._missed = place.missed
        self._cursor = place.after_seq
        self._news = News(door.name, least=options.severity, told=place.told)

    @property
    def waiting(self) -> int:
        """How many tellings wait, the one under way not counted."""
        return len(self._waiting)

    def _beginning(self) -> Place:
        """Give the place that was put away, or the present one where it cannot be gone on from."""
        newest = self._door.hub.newest_seq
        place, why = self._file.load()
        behind = 0 if place is None else newest - place.after_seq
        if behind < 0:
            why = f"what was told lies {-behind} records beyond the newest: it was another journal"
        elif behind > BEHIND_MAX:
            why = f"the last one was told {behind} records ago"
        if place is None or why:
            self._log.warning("tell.began", after_seq=newest, reason=why, to=self._hook.name)
            return Place(after_seq=newest, told={})
        self._log.info("tell.resumed", after_seq=place.after_seq, to=self._hook.name)
        return place

    async def run(self) -> None:
        """Read and hand over until cancelled; the place is put away at the end."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read())
                tasks.create_task(self._hand_over())
        finally:
            self._note_quiet()
            self._keep()

    # ---- reading

    async def _read(self) -> None:
        """Read the records behind the cursor for ever; a reader that was overtaken goes on from the journal."""
        pause_s = PAUSE_S_MIN
        while True:
            before = self._cursor
            try:
                await self._read_on()
            except (Problem, DitadError, TimeoutError) as exc:
                self._log.warning("tell.reading_failed", reason=str(exc), after_seq=self._cursor)
            if self._cursor == before:
                await self._sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_S_MAX)
            else:
                pause_s = PAUSE_S_MIN

    async def _read_on(self) -> None:
        request = EventsRequest(
            account=self._door.name,
            after_seq=self._cursor,
            since_us=None,
            follow=True,
            types=TOLD_OF,
            snapshot=False,
        )
        feed = Feed(self._door, request)
        try:
            await feed.open()
            async for batch in feed.batches():
                for line in batch.splitlines():
                    if not line.startswith((b'{"type":"bookmark"', b'{"type":"dropped"')):
                        self._hear(line)
                self._cursor = feed.cursor
        finally:
            await feed.close()

    def _hear(self, line: bytes) -> None:
        telling = self._news.hear(line)
        if telling is None:
            return
        self._waiting.append(telling)
        if len(self._waiting) > self._options.waiting_max:
            dropped = self._waiting.popleft()
            self._dropped += 1
            self.counts["dropped"] += 1
            self._log.error("tell.dropped", seq=dropped.seq, news=dropped.news, waiting=len(self._waiting))
        self._arrived.set()

    # ---- handing over

    async def _hand_over(self) -> None:
        while True:
            telling = await self._next()
            await self._tell(telling)
            self._place = Place(after_seq=telling.seq, told=telling.told, missed=self._missed)
            self._idle = True
            await asyncio.to_thread(self._keep)

    async def _next(self) -> Telling:
        """Wait for a telling; meanwhile put the place away now and then."""
        while not self._waiting:
            self._arrived.clear()
            try:
                async with asyncio.timeout(KEEP_S):
                    await self._arrived.wait()
            except TimeoutError:
                if self._note_quiet():
                    await asyncio.to_thread(self._keep)
        self._idle = False
        # Those dropped lie between the last telling and this one: a start that goes on behind the last has them again.
        self._missed, self._dropped = self._missed + self._dropped, 0
        return self._waiting.popleft()

    def _note_quiet(self) -> bool:
        """Move the place to where the reader is, if nothing waits in between; says whether it moved."""
        if not self._idle or self._waiting or self._cursor <= self._place.after_seq:
            return False
        self._place = Place(after_seq=self._cursor, told=self._news.told, missed=self._missed)
        return True

    async def _tell(self, telling: Telling) -> None:
        """Hand one telling over, or give it up in the end."""
        about = {"seq": telling.seq, "news": telling.news, "to": self._hook.name}
        line, key = telling.body(self._missed), f"{telling.account}:{telling.seq}"

        def note(state: tenacity.RetryCallState) -> None:
            self.counts["retried"] += 1
            if state.attempt_number == 1 and state.outcome is not None:
                self._log.warning("tell.retrying", **about, reason=str(state.outcome.exception()))

        retrying = tenacity.AsyncRetrying(
            stop=lambda state: state.idle_for >= self._options.retry_s,
            wait=self._pause_s,
            retry=tenacity.retry_if_exception(lambda exc: isinstance(exc, HookError) and exc.again),
            before_sleep=note,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            await retrying(self._hook.tell, line, key=key)
        except HookError as exc:
            self._missed += 1
            self.counts["failed"] += 1
            attempts = retrying.statistics["attempt_number"]
            self._log.error("tell.failed", **about, attempts=attempts, reason=str(exc))
        else:
            self._missed = 0
            self.counts["delivered"] += 1
            self._log.info("tell.delivered", **about)

    def _pause_s(self, state: tenacity.RetryCallState) -> float:
        backoff_s = min(PAUSE_S_MAX, PAUSE_S_MIN * 2.0 ** (state.attempt_number - 1))
        return backoff_s * (0.5 + 0.5 * self._random.random())

    def _keep(self) -> None:
        try:
            self._file.keep(self._place)
        except OSError as exc:
            self._log.warning("tell.place_not_kept", reason=exc.strerror, after_seq=self._place.after_seq)
