"""One seed's world, run to its end: the account trades, things go wrong, and at last everything has time to settle.

What enters: a plan. What leaves: what happened, for the checks: the exchange's facts and standings, every line that
was published, the journal's folder, and how things stood at the end.
What holds: the account's service is the product's own, from the session to the journal; only the roads, the disk and
the clock are simulated, and all of it runs in one thread, in virtual time, under one seed.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import structlog

from ditad.config import AccountSettings, load
from ditad.errors import JournalError
from ditad.exchange import AccountSpec, Action, BooksFacts, Desk, ExchangeCore, Mark, VariedTrader
from ditad.records import Record
from ditad.service import AccountService
from tests.simulation.disk import Disk
from tests.simulation.loop import VirtualLoop
from tests.simulation.plan import Blow, Plan
from tests.simulation.roads import MachineNetwork, Roads

NAME = "main"
START_MS = 1_790_000_000_000
SETTLE_S_MAX = 3_000.0
LOOK_S = 5.0
LIVES_MAX = 200
HOME = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - the journals of a run are kept in memory

SILENT = structlog.wrap_logger(
    structlog.ReturnLogger(),
    wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
    processors=[],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The exchange's books after an act: how many facts there were, the sums, and what was open."""

    at_ms: int
    executions: int
    movements: int
    mark: Mark
    positions: dict[tuple[str, str], Decimal]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run left, for the checks."""

    plan: Plan
    core: ExchangeCore
    facts: BooksFacts
    standings: list[Standing]
    lines: dict[int, bytes]
    folder: Path
    settled: bool
    virtual_s: float
    open_sockets: int
    open_pools: int
    tasks_left: list[str]
    loop_failures: list[dict[str, Any]]
    lives: int
    trouble: list[str] = field(default_factory=list)


class VirtualClock:
    """The machine's clock: wall time never repeats."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._last_us = 0

    def now_us(self) -> int:
        """Give wall time in microseconds."""
        self._last_us = max(self._last_us + 1, START_MS * 1_000 + round(self._loop.time() * 1_000_000))
        return self._last_us

    def mono_s(self) -> float:
        """Give monotonic seconds."""
        return self._loop.time()


@cache
def settings_of(text: str) -> AccountSettings:
    """Read an account's settings as a user would write them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ditad.toml"
        path.write_text(f"""
[daemon]
state_dir = "{folder}"
socket = "{folder}/s"
[[account]]
name = "{NAME}"
environment = "custom"
rest_url = "http://127.0.0.1:1"
ws_url = "ws://127.0.0.1:1/swap-market"
{text}""")
        return load(path, environ={}).accounts[0]


class Bot(VariedTrader):
    """The account's bot, on an exchange that settles funding no more often than the plan says."""

    def __init__(self, desk: Desk, plan: Plan) -> None:
        super().__init__(desk, seed=plan.seed, forced=plan.forced, untold=False)
        self._every_ms = int(plan.funding_every_s * 1000)
        self._funded_ms = 0 if plan.funding_early else self._desk.now_ms()

    def _fund(self) -> Action | None:
        return super()._fund() if self._is_due() else None

    def _fund_some(self) -> Action | None:
        return super()._fund_some() if self._is_due() else None

    def _is_due(self) -> bool:
        now_ms = self._desk.now_ms()
        due = now_ms - self._funded_ms >= self._every_ms
        if due:
            self._funded_ms = now_ms
        return due


class World:
    """Everything of one run."""

    def __init__(self, plan: Plan, loop: VirtualLoop, home: Path) -> None:
        self.plan = plan
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.lines: dict[int, bytes] = {}
        self.standings: list[Standing] = []
        self.trouble: list[str] = []
        self.lives = 0
        self._pushes = 0
        self._flushing = False
        self._finished = False
        self._trading = asyncio.Event()
        self._trading.set()
        self._away_s = 1.0
        self._stop_life = asyncio.Event()
        self.service: AccountService | None = None
        self._network: MachineNetwork | None = None
        self._pools: list[MachineNetwork] = []
        self._life: asyncio.Task[None] | None = None
        self.core = ExchangeCore(
            seed=plan.seed,
            clock=lambda: START_MS + int(loop.time() * 1000),
            accounts=[AccountSpec(name=NAME, hedge=plan.hedge, margin_type=plan.margin_type)],
            dialect=plan.dialect,
            compress=False,
            on_publish=self._published,
        )
        self.core.faults.spec = plan.faults
        self.roads = Roads(self.core, plan.rng("roads"), latency_s_max=plan.latency_s_max)
        self.disk = Disk(
            home,
            NAME,
            plan.rng("disk"),
            kill=plan.kill_at_commit,
            full=plan.disk_full,
            on_kill=lambda _: self._kill(),
        )
        loop.disk = self.disk
        self.desk = self.core.venue.account(NAME)
        self.trader = Bot(self.desk, plan)
        self._note_standing()

    # ---- the exchange

    def _published(self) -> None:
        self._pushes += 1
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self.roads.flush()

    def _note_standing(self) -> None:
        facts = self.core.venue.facts(NAME)
        books = self.core.venue.books(NAME)
        self.standings.append(
            Standing(
                at_ms=self.core.now_ms(),
                executions=len(facts.executions),
                movements=len(facts.movements),
                mark=self.core.venue.mark(NAME),
                positions={(row["symbol"], row["side"]): row["qty"] for row in books["positions"]},
            )
        )

    async def _trade(self) -> None:
        """Play the account's bot until the story has its pushes."""
        rng = self.plan.rng("pace")
        while not self.plan.early and not self._has_baseline():
            await self._trading.wait()
            await asyncio.sleep(1)
        while self._pushes < self.plan.pushes:
            await self._trading.wait()
            if rng.random() >= self.plan.burst:
                await asyncio.sleep(rng.expovariate(1 / self.plan.step_s))
            self.trader.step()
            self._note_standing()

    async def _trade_meanwhile(self, for_s: float) -> None:
        """Trade on while the machine is off."""
        rng = self.plan.rng("away")
        acts = rng.randint(1, 25)
        for _ in range(acts):
            await asyncio.sleep(for_s / acts)
            self.trader.step()
            self._note_standing()

    # ---- the machine

    async def _live(self) -> None:
        """Start the service again whenever it ends, as its supervisor does."""
        while not self._finished:
            assert self.lives < LIVES_MAX, "the service cannot live"
            self.lives += 1
            self._stop_life.clear()
            self._life = asyncio.create_task(self._one_life(), name="life")
            await asyncio.wait({self._life})
            if not self._life.cancelled():
                self._life.result()
            self._life = None
            if not self._finished:
                await asyncio.sleep(self._away_s)
                self._away_s = 1.0

    async def _one_life(self) -> None:
        spec = self.desk.spec
        network = self._network = MachineNetwork(self.roads)
        self._pools.append(network)
        service = self.service = AccountService(
            settings=settings_of(self.plan.settings),
            credentials=(spec.api_key, spec.api_secret),
            folder=self.disk.folder,
            clock=self.clock,
            log=SILENT,
            network=network,
            chance=self.plan.rng(f"life {self.lives}"),
        )
        self.disk.connection = service._journal._connection
        publish = service.hub.publish

        def spied(records: Sequence[Record]) -> None:
            if not network.dead:
                self._note_lines(records)
            publish(records)

        service.hub.publish = spied  # type: ignore[method-assign]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.pipeline.run(), name="pipeline")
                listening = group.create_task(service.listen(), name="listen")
                await self._stop_life.wait()
                listening.cancel()
                await asyncio.wait({listening})
                service.pipeline.stop()
            await service.close()
        except* JournalError as failures:
            if not network.dead and not self.disk.fulls:
                self.trouble += [f"the journal failed: {error}" for error in failures.exceptions]
        except* Exception as failures:
            if not network.dead:
                self.trouble += [f"{type(error).__name__}: {error}" for error in failures.exceptions]
                raise
        finally:
            service.abandon()
            self.service = None

    def _note_lines(self, records: Sequence[Record]) -> None:
        for record in records:
            before = self.lines.setdefault(record.seq, record.line)
            if before != record.line:
                self.trouble.append(f"record {record.seq} was {before!r} and is {record.line!r}")

    def _kill(self) -> None:
        """Let the machine die at this instruction; the disk has kept what it had."""
        assert self._network is not None
        self._network.die()
        if self._life is not None:
            self._life.cancel()

    async def _suffer(self) -> None:
        """Let the plan's blows fall."""
        for blow in self.plan.blows:
            await asyncio.sleep(max(0.0, blow.at_s - self.loop.time()))
            await self._fall(blow)

    async def _fall(self, blow: Blow) -> None:
        if blow.kind in {"reset", "blackhole"}:
            self.roads.cut(reset=blow.kind == "reset")
            await asyncio.sleep(blow.for_s)
            self.roads.down = False
            return
        if self._life is None:
            return
        self._away_s = blow.for_s
        if blow.kind == "kill":
            self.disk.left()
            self._kill()
        else:
            self._stop_life.set()
        if blow.for_s > 100:
            self._trading.clear()
            await self._trade_meanwhile(blow.for_s)
            self._trading.set()

    # ---- the end

    async def run(self) -> bool:
        """Live the story, then settle; says whether everything came to rest in time."""
        supervisor = asyncio.create_task(self._live(), name="supervisor")
        story = asyncio.create_task(self._story(), name="story")
        await asyncio.wait({supervisor, story}, return_when=asyncio.FIRST_COMPLETED)
        if not story.done():
            story.cancel()
            supervisor.result()  # it ended before its time
        story.result()
        self.core.faults.calm()
        self.roads.down = False
        self.disk.calm()
        over_ms = self.core.now_ms()
        until_s = self.loop.time() + SETTLE_S_MAX
        settled = False
        while self.loop.time() < until_s and not settled and not supervisor.done():
            await asyncio.sleep(LOOK_S)
            settled = self._at_rest(over_ms)
        self._finished = True
        self._stop_life.set()
        await supervisor
        return settled

    async def _story(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trade())
            group.create_task(self._suffer())

    def _has_baseline(self) -> bool:
        return self.service is not None and self.service.pipeline.has_baseline()

    def _at_rest(self, over_ms: int) -> bool:
        """Say whether all gaps are closed and the questions' ends have passed the story's."""
        if self.service is None:
            return False
        state = self.service.pipeline.projection.state
        coverage, settings = state.coverage, state.settings
        if state.baseline is None or settings is None or coverage.gaps or self.service.not_ready():
            return False
        fills_end = coverage.fills_ms - settings.fills_lag_ms
        income_end = coverage.income_ms - settings.income_lag_ms
        calm = not state.inquiries or all(inquiry.confirmed for inquiry in state.inquiries.values())
        return min(fills_end, income_end) > over_ms + 61_000 and calm and self.service.pipeline.queued() == 0


def run(plan: Plan) -> Outcome:
    """Run a world; its journal stays in `folder` until `discard`."""
    home = Path(tempfile.mkdtemp(prefix="sim-", dir=HOME))
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        world = World(plan, loop, home)
        main = loop.create_task(world.run(), name="world")
        settled = loop.run_until_complete(main)
        left = [task.get_name() for task in asyncio.all_tasks(loop)]
        return Outcome(
            plan=plan,
            core=world.core,
            facts=world.core.venue.facts(NAME),
            standings=world.standings,
            lines=world.lines,
            folder=world.disk.folder,
            settled=settled,
            virtual_s=loop.time(),
            open_sockets=world.roads.open_sockets,
            open_pools=sum(network.pools for network in world._pools),
            tasks_left=left,
            loop_failures=loop.failures,
            lives=world.lives,
            trouble=world.trouble,
        )
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        gc.collect(0)


def discard(outcome: Outcome) -> None:
    """Take the run's folders away."""
    shutil.rmtree(outcome.folder.parent, ignore_errors=True)
