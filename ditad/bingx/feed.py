"""One account's whole conversation with the exchange; the only class of this folder that the daemon uses.

What enters: what the exchange pushes and answers. What leaves: bodies into the `Sink`, in one order, each with the
bytes it was made of; the sink is also asked what the fold wants to be told.
What holds: the order of a start is terms and clock, key, stream connected and submitting, baseline, audit; a loss of
the stream is submitted at the loss; `CONNECTED` and `LOST` bracket every time in which a private socket lives. What
only a person can mend is raised from `run` as `VenueFatalError`, whose message says what to do; everything else is
asked again, with growing pauses, for ever.
"""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ditad.bingx import intake, turns, wire
from ditad.bingx.audit import Schedule
from ditad.bingx.auditor import Auditor
from ditad.bingx.baseline import Adoption, Baseline
from ditad.bingx.bootstrap import Bootstrap
from ditad.bingx.market import MarketStream
from ditad.bingx.network import Confined, Network
from ditad.bingx.normalize import ConfigFilter
from ditad.bingx.options import LIVE, VST, Credentials, FeedOptions, Hosts
from ditad.bingx.questions import Asker
from ditad.bingx.rest import Rest
from ditad.bingx.session import Timing
from ditad.bingx.sink import Sink
from ditad.bingx.stream import PrivateStream
from ditad.bingx.watch import Watch
from ditad.clock import US_PER_S, Clock
from ditad.errors import Refusal, VenueError, VenueFatalError
from ditad.events import (
    AccountPush,
    BaselineTaken,
    Body,
    Marks,
    OrderPush,
    PushRejected,
    Raw,
    StreamChanged,
    StreamState,
)

__all__ = ["LIVE", "VST", "Credentials", "Feed", "FeedOptions", "FeedStats", "Hosts", "Sink"]

CLOCK_EVERY_S = 900.0
MODES_EVERY_S = 3600.0
AGAIN_S_MIN = 0.5
AGAIN_S_MAX = 30.0
ADOPT_S_MAX = 20.0
"""How long an adoption waits for the account to stand still; less than whoever asked for it waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStats:
    """Figures for metrics; ages in seconds, `None` where there is nothing to measure yet."""

    connected: bool
    session_state: str
    frames: int
    connects: int
    last_frame_age_s: float | None
    key_age_s: float | None
    market_connects: int
    clock_offset_ms: int
    rest_calls: dict[str, int]
    rest_failures: dict[str, int]
    rest_held_s: float
    rest_allowance: int | None


class Feed:
    """One account's conversation. `run` it once, in a task of its own; cancel it to end."""

    def __init__(
        self,
        *,
        account: str,
        hosts: Hosts,
        credentials: Credentials,
        options: FeedOptions,
        sink: Sink,
        network: Network,
        clock: Clock,
        random: randomness.Random,
        log: structlog.typing.FilteringBoundLogger,
        conceal: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`conceal` is told every listen key, for whoever keeps them out of the log."""
        rest_urls = [url for url in (hosts.rest_url, hosts.rest_fallback_url) if url is not None]
        network = Confined(network, rest_urls=rest_urls, ws_url=hosts.ws_url)
        self._log = log.bind(account=account)
        self._options = options
        self._sink = sink
        self._clock = clock
        self._random = random
        self._wake = asyncio.Event()
        self._connected = asyncio.Event()
        self._config = ConfigFilter()
        self._watch = Watch()
        self._schedule = Schedule(options)
        self._wallet_touched = 0
        self._positions_touched = 0
        self._disturbed = 0
        self._frames = 0
        self._connects = 0
        self._last_frame_s: float | None = None
        self._clock_at_s = self._modes_at_s = 0.0
        self._rest = Rest(
            hosts=hosts,
            credentials=credentials,
            requests_per_s=options.requests_per_s,
            answer_s=options.request_timeout_s,
            conceal=conceal,
            network=network,
            clock=clock,
            random=random,
            log=self._log,
        )
        self._asker = Asker(
            rest=self._rest, options=options, touched=lambda: (self._wallet_touched, self._positions_touched)
        )
        self._bootstrap = Bootstrap(rest=self._rest, asker=self._asker, options=options, log=self._log)
        self._adoption: Adoption | None = None
        self._baseline = Baseline(
            asker=self._asker,
            options=options,
            sink=sink,
            clock=clock,
            random=random,
            disturbances=self._disturbances,
            log=self._log,
        )
        self._auditor = Auditor(
            rest=self._rest,
            asker=self._asker,
            options=options,
            schedule=self._schedule,
            watch=self._watch,
            sink=sink,
            clock=clock,
            log=self._log,
        )
        self._private = PrivateStream(
            url=hosts.ws_url,
            timing=Timing(
                silence_s=options.silence_s,
                renew_s=options.key_renew_s,
                rotate_s=options.key_rotate_s,
                backoff_s_min=options.backoff_s_min,
                backoff_s_max=options.backoff_s_max,
            ),
            frame_bytes_max=options.frame_bytes_max,
            network=network,
            keys=self._rest,
            receive=self._receive,
            report=self._report,
            clock=clock,
            random=random,
            log=self._log,
        )
        self._market = MarketStream(
            url=hosts.ws_url,
            frame_bytes_max=options.frame_bytes_max,
            network=network,
            silence_s=options.silence_s,
            backoff_s=(options.backoff_s_min, options.backoff_s_max),
            mark_interval_s=options.mark_interval_s,
            submit=self._submit_market,
            counted=sink.counted,
            random=random,
            log=self._log,
        )

    async def run(self) -> None:
        """Converse until cancelled; raises `VenueFatalError` when a person must act, and nothing else of the tree."""
        async with self._rest:
            await self._begin()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._private.run())
                    group.create_task(self._converse())
                    group.create_task(self._mind_needs())
                    if self._options.marks:
                        group.create_task(self._market.run())
            except ExceptionGroup as failures:
                fatal = _first_fatal(failures)
                if fatal is None:
                    raise
                raise fatal from None

    def request_audit(self) -> None:
        """Want a round of all questions now."""
        self._schedule.demand("requested")
        self._wake.set()

    async def adopt(self, uid: int, why: str) -> BaselineTaken:
        """Take a new baseline, between two rounds of questions; gives it once it is durable and folded.

        Raises `VenueError` where that cannot be done now; whoever stops waiting has withdrawn it.
        """
        if not self._sink.has_baseline():
            raise VenueError("there is no baseline yet: nothing can be adopted before the first one")
        if self._adoption is not None:
            raise VenueError("somebody else is adopting a baseline at this moment")
        adoption = self._adoption = Adoption(uid=uid, why=why, done=asyncio.get_running_loop().create_future())
        self._wake.set()
        try:
            await asyncio.wait({adoption.done}, timeout=ADOPT_S_MAX)
            if not adoption.done.done() and not adoption.taking:
                raise VenueError(f"nothing was adopted within {ADOPT_S_MAX:g} s: {adoption.reason}; try again later")
            return await adoption.done
        finally:
            adoption.done.cancel()
            self._adoption = None

    @property
    def stats(self) -> FeedStats:
        """Give the figures of this moment."""
        heard_s = self._last_frame_s
        return FeedStats(
            connected=self._private.connected,
            session_state=self._private.session.state.value,
            frames=self._frames,
            connects=self._connects,
            last_frame_age_s=None if heard_s is None else self._clock.mono_s() - heard_s,
            key_age_s=self._private.key_age_s,
            market_connects=self._market.connects,
            clock_offset_ms=self._rest.offset_ms,
            rest_calls=dict(self._rest.calls),
            rest_failures=dict(self._rest.failures),
            rest_held_s=self._rest.held_s,
            rest_allowance=self._rest.allowance,
        )

    # ---- the start ----

    async def _begin(self) -> None:
        """Set the clock and ask the terms, again and again until the exchange answers."""
        attempt = 0
        while True:
            try:
                await self._rest.sync_clock()
                terms = await self._bootstrap.terms(self._sink.needs().symbols)
                break
            except VenueFatalError:
                raise
            except (VenueError, Refusal) as error:
                if attempt == 0:
                    await self._submit(
                        StreamChanged(state=StreamState.REFUSED, detail=f"no start yet: {error}", at_ms=None)
                    )
                least_s = error.retry_after_s if isinstance(error, VenueError) else 0.0
                self._log.warning("feed.not_started", reason=str(error))
                await self._pause(attempt, least_s)
                attempt += 1
        self._clock_at_s = self._modes_at_s = self._clock.mono_s()
        await self._submit(terms)

    async def _pause(self, attempt: int, least_s: float) -> None:
        backoff_s = min(AGAIN_S_MAX, AGAIN_S_MIN * 2.0 ** min(attempt, 16)) * (0.5 + 0.5 * self._random.random())
        await asyncio.sleep(max(backoff_s, least_s))

    def _disturbances(self) -> int | None:
        return self._disturbed if self._private.connected else None

    # ---- the audit ----

    async def _converse(self) -> None:
        """Take the baseline where there is none, then ask rounds as they fall due."""
        if not self._sink.has_baseline():
            await self._baseline.take(self._connected)
        self._schedule.demand("start")
        while True:
            self._wake.clear()
            await self._take_adopted()
            await self._check_slowly()
            if self._watch.suspects(self._clock.mono_s()):
                self._log.warning("stream.suspected")
                self._private.suspect()
            planned = self._schedule.plan(self._sink.needs(), self._clock.now_us())
            if planned is not None:
                await self._auditor.ask(planned)
            else:
                await self._await_next()

    async def _take_adopted(self) -> None:
        """Take the baseline that somebody wants adopted, and tell whoever waits what came of it."""
        adoption = self._adoption
        if adoption is None:
            return
        try:
            await self._baseline.adopt(adoption)
        except VenueFatalError as error:
            if not adoption.done.done():
                adoption.done.set_exception(error)
            raise
        self._schedule.demand("adopted")

    async def _await_next(self) -> None:
        due_us = self._schedule.next_due_us(self._sink.needs())
        waits_s = [CLOCK_EVERY_S]
        if due_us is not None:
            waits_s.append((due_us - self._clock.now_us()) / US_PER_S)
        suspicion_s = self._watch.due_in_s(self._clock.mono_s())
        if suspicion_s is not None:
            waits_s.append(suspicion_s)
        try:
            async with asyncio.timeout(max(min(waits_s), 0.01)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _check_slowly(self) -> None:
        """Measure the clock again now and then, and see that nobody switched multi-asset mode on."""
        now_s = self._clock.mono_s()
        try:
            if now_s - self._clock_at_s >= CLOCK_EVERY_S:
                self._clock_at_s = now_s
                await self._rest.sync_clock()
            if now_s - self._modes_at_s >= MODES_EVERY_S:
                self._modes_at_s = now_s
                await self._bootstrap.check_asset_mode()
        except VenueFatalError:
            raise
        except VenueError as error:
            self._log.warning("check.failed", reason=str(error))

    async def _mind_needs(self) -> None:
        while True:
            self._market.want(self._sink.needs().symbols)
            await self._sink.needs_changed()
            self._wake.set()

    # ---- what is heard ----

    async def _receive(self, data: bytes | str) -> tuple[str | None, str | None]:
        at_us = self._clock.now_us()
        self._frames += 1
        self._last_frame_s = self._clock.mono_s()
        self._sink.heard(at_us)
        heard = intake.read_private(data, self._config, self._options.frame_bytes_max)
        if heard.counted is not None:
            self._sink.counted(heard.counted)
        if not heard.bodies:
            return heard.pong, heard.expired_key
        received = data.encode() if isinstance(data, str) else data
        kept = wire.without_keys(received, self._options.frame_bytes_max) if heard.names_key else received
        raw = Raw(source="private", at_us=at_us, data=kept)
        for place, body in enumerate(heard.bodies):
            self._note(body)
            await self._sink.submit(body, at_us=at_us, raw=raw if place == 0 else None)
        return heard.pong, heard.expired_key

    def _note(self, body: Body) -> None:
        """Count what makes a report void or a baseline impossible, before it is queued."""
        match body:
            case AccountPush():
                wallets = [line.wallet for line in body.balances if line.asset == self._options.margin_asset]
                self._wallet_touched += bool(wallets)
                self._positions_touched += bool(body.positions)
                self._disturbed += 1
                self._watch.pushed(self._clock.mono_s(), *wallets[-1:])
            case OrderPush():
                self._disturbed += 1
                self._watch.pushed(self._clock.mono_s())
            case PushRejected(money=True):
                self._disturbed += 1
            case _:
                pass

    async def _report(self, told: turns.Report) -> None:
        self._disturbed += 1
        self._watch.changed()
        if told.state is StreamState.CONNECTED:
            self._connects += 1
            self._connected.set()
        elif told.state is StreamState.LOST:
            self._connected.clear()
        at_us, at_ms = self._rest.now()
        await self._sink.submit(StreamChanged(state=told.state, detail=told.detail, at_ms=at_ms), at_us=at_us)

    async def _submit(self, body: Body) -> None:
        await self._sink.submit(body, at_us=self._clock.now_us())

    async def _submit_market(self, body: Marks | PushRejected) -> None:
        await self._submit(body)


def _first_fatal(failures: ExceptionGroup[Exception]) -> VenueFatalError | None:
    """Find what a person must act on, however deep the groups of tasks have wrapped it."""
    for error in failures.exceptions:
        if isinstance(error, VenueFatalError):
            return error
        if isinstance(error, ExceptionGroup):
            found = _first_fatal(error)
            if found is not None:
                return found
    return None
