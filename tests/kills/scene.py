"""One exchange, one account that trades, one state folder, and the daemons that come and go.

What enters: an empty folder, a seed, and how a daemon is started. What leaves: lives of daemons, and the proof that
after all of them K is the exchange's own books. What holds: a daemon that is still alive at the end of its life is
killed; after each death its files are looked at before the next one may change them.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from ditad.api.client import LOST, ApiClient
from ditad.errors import DitadError
from ditad.exchange import DEFAULT_CONTRACTS, AccountSpec, Mark, Reply, Request, SimulatedExchange
from tests.kills import moments, proof
from tests.kills.moments import Life
from tests.kills.reader import StreamReader
from tests.kills.trading import Trading
from tests.support.process import ditad, pause, running, write_settings

ACCOUNT: Final = "main"
CONTRACTS: Final = DEFAULT_CONTRACTS[:4]
"""Few, so that a burst of acts meets the same position again and again."""

SETTLED_S_MAX: Final = 240.0
STARTS_MAX: Final = 6
"""A start may take this many times as long as any other wait of a test."""

LOOK_S: Final = 0.5
QUIET_S: Final = 0.02


@dataclass(slots=True)
class Report:
    """What happened, for whoever reads it."""

    kills: int = 0
    cut_checkpoints: int = 0
    checkpoints: int = 0
    acts: int = 0
    fills: int = 0
    incomes: int = 0
    records: int = 0
    events: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    precision: dict[str, str] = field(default_factory=dict)


class Scene:
    """Use `scene`; `words` stand before those of the daemon, `state` is the test's way to its folder."""

    def __init__(self, folder: Path, exchange: SimulatedExchange, trader: Trading, settings: Path, state: Path) -> None:
        self.exchange = exchange
        self.trader = trader
        self.state = state
        self.socket = folder / "s"
        self.reader = StreamReader(self.socket, ACCOUNT)
        self.report = Report()
        self.settings = settings
        self.words: tuple[str, ...] = ()
        self._folder = folder
        self._questions = 0
        self._asked = asyncio.Event()
        self._refold = proof.Refold(ACCOUNT)
        self._watch_questions()

    def _watch_questions(self) -> None:
        """Note every question before the exchange answers it."""
        answer = self.exchange.core.rest

        def observed(request: Request) -> Reply:
            self._questions += 1
            self._asked.set()
            self._asked.clear()
            return answer(request)

        self.exchange.core.rest = observed  # type: ignore[method-assign]  # the one place all questions pass

    # ---- the daemons

    @asynccontextmanager
    async def started(self, *program: str) -> AsyncIterator[Life]:
        """Run a daemon until the block ends, then kill it if it lives, and look at what it left."""
        words = program or ditad()
        environ = {"PYTHONPYCACHEPREFIX": str(self._folder / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
        command = (*self.words, *words, "run", "--config", str(self.settings))
        async with running(*command, environ=environ) as process:  # none compiles what the first one did
            life = Life(
                process=process,
                reader=self.reader,
                state=self.state,
                account=ACCOUNT,
                questions=lambda: self._questions,
                asked=self._asked,
            )
            before = moments.stamp_of(life)
            yield life
            self.report.kills += process.code is None
            process.kill()
            await process.ended()
            self.report.cut_checkpoints += moments.cut_short(life, before)
        await self._look_at_what_is_left()

    async def serves(self, life: Life) -> None:
        """Wait until a daemon serves its socket; one that folds a whole journal on a busy machine takes a while."""
        for _ in range(STARTS_MAX):
            with suppress(TimeoutError):
                assert await life.process.logged("daemon.ready"), life.process.last_words()
                return
        raise AssertionError(f"it never served its socket: {life.process.last_words()}")

    async def _look_at_what_is_left(self) -> None:
        """Find in a dead daemon's files all that it had published."""
        copy = await asyncio.to_thread(proof.copy_of, self.state, ACCOUNT, self._folder / "copy")
        seq = -1
        while seq != self.reader.seq:  # what it had sent may still be on its way
            seq = self.reader.seq
            await pause(QUIET_S)
        last_n = self.reader.last_n
        await asyncio.to_thread(self._refold.after_a_death, copy, self.reader, seq, last_n)
        self.report.checkpoints = len(self._refold.checkpoints)

    def forget(self) -> None:
        """Take the state folder away, if nothing was published from it."""
        if self.reader.seq == 0:
            shutil.rmtree(self.state, ignore_errors=True)
            self._refold = proof.Refold(ACCOUNT)

    def age_checkpoints(self) -> None:
        """Make a dead daemon's checkpoints those of another fold version, as after an upgrade."""
        with closing(sqlite3.connect(self.state / f"{ACCOUNT}.journal", isolation_level=None)) as journal:
            journal.execute("PRAGMA wal_autocheckpoint = 0")
            journal.execute("UPDATE checkpoints SET fold_version = fold_version - 1000")

    # ---- the story

    async def baseline(self) -> Mark:
        """Let a daemon take its baseline; gives the exchange's books at that moment."""
        async with self.started() as life:
            await self.serves(life)
            await asyncio.wait_for(self.reader.until(lambda: bool(self.reader.baselines)), SETTLED_S_MAX)
            await self.settled(lambda _: [])
            return self.exchange.mark(ACCOUNT)

    @asynccontextmanager
    async def trading(self) -> AsyncIterator[None]:
        """Let the account trade until the block ends, whether a daemon lives or not."""
        trading = asyncio.create_task(self.trader.trade())
        try:
            yield
        finally:
            self.trader.rest()
            await trading

    async def equal(self, since: Mark) -> None:
        """Start a last daemon and wait until it has all that happened; then read everything again and compare."""
        desk = self.exchange.account(ACCOUNT)
        async with self.started() as life:
            await self.serves(life)
            snapshot = await self.settled(lambda seen: proof.books_differ(self.exchange.books_since(since), seen))
            async with ApiClient(self.socket) as client:
                records = await self.reader.reread(client, 0, self.reader.seq)
            fills, incomes = proof.current(records, "fill"), proof.current(records, "income")
            problems = proof.fills_differ(fills, desk, since) + proof.incomes_differ(incomes, desk, since)
            assert not problems, "; ".join(problems[:20])
            assert len(self.reader.baselines) == 1, f"there were several baselines: {self.reader.baselines}"
        await asyncio.to_thread(proof.whole_journal, self._folder / "copy", ACCOUNT, self.reader)
        truth = self.exchange.books_since(since)
        report = self.report
        report.acts, report.fills, report.incomes = self.trader.acts, truth["fills"], len(incomes)
        report.records, report.events = self.reader.seq, self.reader.last_n
        report.precision = dict(snapshot["k"]["precision"])

    async def settled(self, differ: Callable[[dict[str, Any]], list[str]]) -> dict[str, Any]:
        """Ask for audits until the account is ready, its verdict OK, and nothing differs; gives the snapshot."""
        problems: list[str] = ["the daemon never answered"]
        snapshot: dict[str, Any] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLED_S_MAX), ApiClient(self.socket) as client:
                while True:
                    try:
                        snapshot = await client.get(f"/v1/accounts/{ACCOUNT}/snapshot")
                        problems = [*_unsettled(snapshot), *differ(snapshot)]
                        await client.get(f"/v1/accounts/{ACCOUNT}/readyz")
                        if not problems:
                            return snapshot
                        async with client._open.post(f"/v1/accounts/{ACCOUNT}/audit", data=b"{}"):
                            pass
                    except (DitadError, *LOST) as exc:
                        problems = [str(exc), *problems]
                    await pause(LOOK_S)
        self._folder.joinpath("last_snapshot.json").write_bytes(orjson.dumps(snapshot))
        raise AssertionError("it never came to hold: " + "; ".join(problems[:20]))


@asynccontextmanager
async def scene(folder: Path, *, seed: int, state: Path | None = None) -> AsyncIterator[Scene]:
    """Set a scene, with a reader that follows the stream from its first record to the end."""
    accounts = [AccountSpec(name=ACCOUNT)]
    async with SimulatedExchange(seed=seed, accounts=accounts, contracts=CONTRACTS) as exchange:
        trader = Trading(exchange, ACCOUNT, seed=seed)
        settings = write_settings(folder, exchange)
        stage = Scene(folder, exchange, trader, settings, state or folder / "state")
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(stage.reader.follow())
            yield stage
            reading.cancel()


def _unsettled(snapshot: dict[str, Any]) -> list[str]:
    """Say what of a snapshot is not yet at rest."""
    coverage = snapshot["coverage"]
    found = [] if coverage["state"] == "live" else [f"the coverage is {coverage['state']}"]
    if snapshot["reconcile"]["status"] != "OK":
        found += [snapshot["reconcile"]["status"], *snapshot["reconcile"]["explanations"]]
    return found + [f"unknown: {amount}" for amount in snapshot["k"]["unknown"]]
