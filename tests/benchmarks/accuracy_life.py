"""One simulated account's life in virtual time: the product's own service over the simulated exchange, and who lies.

What enters: how the exchange speaks, the account's settings, a seed, and a story that acts on the exchange. What
leaves: what the service published while the story was told, and at any time how that stands to the exchange's books.
What holds: everything runs in one thread under one seed; the truth is the books', never the service's opinion.
"""

from __future__ import annotations

import asyncio
import gc
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import orjson
from structlog.typing import FilteringBoundLogger

from ditad.exchange import AccountSpec, Action, Desk, Dialect, ExchangeCore, Faults, Frame, Timing, VariedTrader
from ditad.exchange.contracts import DEFAULT_CONTRACTS
from ditad.exchange.pushes import Payload
from ditad.reconcile import R5_FIELD
from ditad.records import Record, RecordType
from ditad.service import AccountService
from tests.simulation.disk import Disk
from tests.simulation.loop import STEPS_MAX, VirtualLoop
from tests.simulation.roads import MachineNetwork, Roads
from tests.simulation.world import HOME, NAME, SILENT, START_MS, VirtualClock, settings_of

LATENCY_S_MAX = 0.05
LOOK_S = 0.25
CALM_S_MAX = 900.0
SYMBOLS = ("BTC-USDT", "ETH-USDT", "LTC-USDT", "FET-USDT", "SOL-USDT", "XRP-USDT")
"""So many that a round of questions, two a second, takes longer than the settle window."""

CONTRACTS = tuple(contract for contract in DEFAULT_CONTRACTS if contract.symbol in SYMBOLS)
TIMING = Timing(config_ms=86_400_000)
"""The configuration is told at connect and not again: its flood says nothing new, and a lost change stays lost."""

FUNDING_EVERY_MS = 1_800_000
"""The bot's own settlements stand this far apart, so that each is a group of its own."""

FUNDED_MS = 1_000
EPSILON = Decimal("0.0001")
EXECUTIONS = frozenset({"PARTIALLY_FILLED", "FILLED", "Unknown"})
ORDER_FRAMES = ("TRADE_UPDATE", "ORDER_TRADE_UPDATE")
ACCOUNT_FRAMES = ("ACCOUNT_UPDATE",)
ZERO = Decimal(0)

Story = Callable[["Life"], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an account is born with: `seed_capital` and `marks` as in the settings, `read_only` a key that may not ask
    for income.
    """

    dialect: Dialect = field(default_factory=Dialect)
    hedge: bool = True
    margin_type: str = "cross"
    seed_capital: str | None = None
    marks: bool = False
    read_only: bool = False

    def settings(self) -> str:
        """Write them as settings."""
        seed = f'seed_capital = "{self.seed_capital}"\n' if self.seed_capital is not None else ""
        return f"{seed}[account.stream]\nmarks = {str(self.marks).lower()}\n"


class Bot(VariedTrader):
    """The account's bot: all that a clean account does, with a frame for everything."""

    def __init__(self, desk: Desk, seed: int) -> None:
        super().__init__(desk, seed=seed, symbols=SYMBOLS, untold=False)
        self._funded_ms = desk.now_ms()

    def _fund(self) -> Action | None:
        return super()._fund() if self._is_due() else None

    def _fund_some(self) -> Action | None:
        return super()._fund_some() if self._is_due() else None

    def _is_due(self) -> bool:
        now_ms = self._desk.now_ms()
        due = now_ms - self._funded_ms >= FUNDING_EVERY_MS
        if due:
            self._funded_ms = now_ms
        return due


class Life:
    """An account, the exchange that has it, and the service that watches it."""

    def __init__(
        self, seed: int, terms: Terms, loop: VirtualLoop, home: Path, log: FilteringBoundLogger = SILENT
    ) -> None:
        self.loop = loop
        self.folder = home
        self.terms = terms
        self.rng = Random(f"{seed}:life")  # noqa: S311 - a story, not a secret
        permissions = frozenset({"read"}) if terms.read_only else frozenset({"read", "trade"})
        spec = AccountSpec(name=NAME, hedge=terms.hedge, margin_type=terms.margin_type, permissions=permissions)
        self.core = ExchangeCore(
            seed=seed,
            clock=lambda: START_MS + int(loop.time() * 1000),
            accounts=[spec],
            contracts=CONTRACTS,
            dialect=terms.dialect,
            faults=Faults(seed=seed),
            timing=TIMING,
            compress=False,
            on_publish=self.flush_soon,
        )
        self.desk = self.core.venue.account(NAME)
        self.bot = Bot(self.desk, seed)
        self.roads = Roads(self.core, Random(f"{seed}:roads"), latency_s_max=LATENCY_S_MAX)  # noqa: S311 - see above
        self._order_frames: dict[str, list[Mapping[str, Any]]] = {}
        self._settled: list[tuple[int, bool]] = []
        self._told_wallets: dict[str, Decimal] = {}
        self.core.streams.tamper = self._noted
        self.divergences: list[dict[str, Any]] = []
        self.classes: set[str] = set()
        self.erred = False
        self.heard_at: dict[str, str] = {}
        self.glitched = self.marked = self.levered = ""
        self.published = 0
        self._line = b""
        self._snapshot: dict[str, Any] = {}
        self._flushing = False
        self.service = AccountService(
            settings=settings_of(terms.settings()),
            credentials=(self.desk.spec.api_key, self.desk.spec.api_secret),
            folder=home,
            clock=VirtualClock(loop),
            log=log,
            network=MachineNetwork(self.roads),
            chance=Random(f"{seed}:chance"),  # noqa: S311 - see above
        )
        publish = self.service.hub.publish

        def heard(records: Sequence[Record]) -> None:
            self._hear(records)
            publish(records)

        self.service.hub.publish = heard  # type: ignore[method-assign]

    # ---- the exchange

    def flush_soon(self) -> None:
        """Let the exchange send what it has, once this act is over."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self.roads.flush()

    @contextmanager
    def losing(self, *names: str) -> Iterator[None]:
        """Lose every private frame of these events."""
        with self.tampering(lambda payload: None if payload["e"] in names else payload):
            yield

    @contextmanager
    def tampering(self, tamper: Callable[[Payload], Payload | None]) -> Iterator[None]:
        """Make something else of private frames, or nothing."""

        def tampered(payload: Payload) -> Payload | None:
            made = tamper(payload)
            return None if made is None else self._noted(made)

        self.core.streams.tamper = tampered
        try:
            yield
        finally:
            self.core.streams.tamper = self._noted

    def _noted(self, payload: Payload) -> Payload:
        """Remember of a private frame what it tells: an order's execution, what a settlement paid, or a leverage."""
        order, account, config = payload.get("o"), payload.get("a"), payload.get("ac")
        if isinstance(config, dict) and config["s"] == self.levered:
            self.levered = ""
        if isinstance(order, dict) and order.get("x") == "TRADE":
            self._order_frames.setdefault(str(order["i"]), []).append(order)
        elif isinstance(account, dict):
            if account["m"] == "FUNDING_FEE":
                self._settled.append((int(str(payload["E"])), _names_amounts(account, self._told_wallets)))
            self._told_wallets |= _wallets(account)
        return payload

    def forge(self, payload: Payload) -> None:
        """Send a frame of which the books know nothing."""
        self.core.streams.inject(NAME, payload)
        self.flush_soon()

    def tell(self, payload: Payload) -> None:
        """Send a frame of the account's own."""
        self.core.streams.publish(Frame(account=NAME, payload=payload))
        self.flush_soon()

    async def trade(self, acts: int, every_s: float) -> None:
        """Let the bot act some times."""
        for _ in range(acts):
            await asyncio.sleep(self.rng.expovariate(1 / every_s))
            self.bot.step()

    # ---- what was published

    def _hear(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.type is RecordType.SNAPSHOT:
                self.published += 1
                self._line, self._snapshot = record.line, {}
                if b'"explanations":[]' not in record.line:
                    self.classes |= self.classes_now()
                    self.erred |= self.status == "ERROR"
            elif record.type is RecordType.INCOME:
                told = orjson.loads(record.line)
                self.heard_at.setdefault(str(told["income"]["tran_id"]), told["ts"])
            elif record.type is RecordType.DIVERGENCE:
                self.divergences.append(orjson.loads(record.line)["divergence"])

    def listen(self) -> None:
        """Forget what was published of differences so far."""
        self.divergences, self.classes, self.erred = [], set(), False

    @property
    def snapshot(self) -> dict[str, Any]:
        """Give the newest snapshot."""
        if not self._snapshot and self._line:
            self._snapshot = orjson.loads(self._line)["snapshot"]
        return self._snapshot

    def classes_now(self) -> set[str]:
        """Give the classes of its explanations."""
        return {line.partition("|")[0] for line in self.snapshot["reconcile"]["explanations"]}

    @property
    def status(self) -> str:
        """Give its verdict."""
        return str(self.snapshot["reconcile"]["status"]) if self.snapshot else "UNKNOWN"

    # ---- the truth

    def untrue(self) -> list[str]:
        """Say in what the newest snapshot differs from the exchange's books; nothing is the good answer."""
        snapshot = self.snapshot
        if not snapshot or snapshot["baseline"] is None:
            return ["there is no baseline"]
        k, e, found = snapshot["k"], snapshot["e"], []
        wallet = self.desk.books.wallet
        allowed = EPSILON + sum((Decimal(part) for part in k["precision"].values()), ZERO)
        if abs(Decimal(k["capital_raw"]) - wallet) > allowed:
            found.append(f"K has {k['capital_raw']}, the exchange {wallet}")
        if Decimal(e["wallet_balance"]) != wallet:
            found.append(f"E has {e['wallet_balance']}, the exchange {wallet}")
        books = {f"{p.symbol}:{p.side}": p.qty for p in self.desk.books.positions.values()}
        for name, rows in (("K", k["positions"]), ("E", e["positions"])):
            told = {f"{row['symbol']}:{row['side']}": Decimal(row["qty"]) for row in rows if Decimal(row["qty"])}
            if told != books:
                found.append(f"{name} holds {_plain(told)}, the exchange {_plain(books)}")
        return found

    def is_calm(self) -> bool:
        """Say whether all is told, true and agreed upon; R5 alone, which never says worse than WARN, does not count."""
        snapshot = self.snapshot
        if not snapshot or snapshot["coverage"]["gaps"] or snapshot["reconcile"]["divergences"] or self.untrue():
            return False
        others = [line for line in snapshot["reconcile"]["explanations"] if line.split("|")[1] != R5_FIELD]
        return self.status == "OK" or (self.status == "WARN" and not others)

    async def calm(self) -> bool:
        """Wait until it is calm, or in vain."""
        return await self.until(self.is_calm, CALM_S_MAX)

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds, at most so long; says whether it does."""
        end_s = self.loop.time() + seconds
        while not holds():
            if self.loop.time() >= end_s:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    def facts_of(self, word: str) -> list[str]:
        """Give the ids of the facts that an evidence names: of a second's exact rows the orders that executed in it, of a
        settlement's push its rows.
        """
        parts = word.split(":")
        if "FUNDING_FEE" in parts:
            told_ms = int(parts[parts.index("FUNDING_FEE") + 1])
            return [str(one.tran_id) for one in self.desk.facts.movements if one.event_ms == told_ms]
        if "|" not in word:
            return parts[1:2]
        symbol, _, second = word.split(":")[1].partition("|")
        of_second = [one for one in self.desk.facts.executions if str(one.at_ms // 1_000) == second]
        return list(dict.fromkeys(str(one.order_id) for one in of_second if one.symbol == symbol))

    def is_told_by_rows_alone(self, fact: str) -> bool:
        """Say of an order's or a settlement's id whether the books have it and frames did not tell all of it.

        An order is wholly told where each execution has a frame of its own with its cumulative quantity and it is the
        only one: whether several name their own fees or sums is for rows to say. A settlement is where all its pushes name an amount,
        and the wallet, as frames told it, moved by that.
        """
        executions = [one for one in self.desk.facts.executions if str(one.order_id) == fact]
        if executions:
            of_order = [frame for frame in self._order_frames.get(fact, []) if frame["X"] in EXECUTIONS]
            frames = [frame for frame in of_order if "z" in frame and "n" in frame]
            return len(executions) > 1 or not frames
        settled = [one for one in self.desk.facts.movements if str(one.tran_id) == fact and one.kind == "FUNDING_FEE"]
        pushes = [[told for at_ms, told in self._settled if abs(at_ms - one.at_ms) < FUNDED_MS] for one in settled]
        return any(not told or not all(told) for told in pushes)

    def can_show(self, cause: str) -> bool:
        """Say whether a mark or a leverage that differs is one of something still open, and a leverage not told again."""
        symbols = {"mark_age": self.marked, "leverage": self.levered}
        held = {position.symbol for position in self.desk.books.positions.values()}
        return cause not in symbols or symbols[cause] in held

    def is_told_without_money(self, order_id: str) -> bool:
        """Say whether a frame that tells no execution was the first to tell an order's cumulative quantity."""
        frames = [frame for frame in self._order_frames.get(order_id, []) if Decimal(str(frame.get("z") or 0))]
        return bool(frames) and frames[0]["X"] not in EXECUTIONS

    # ---- from birth to death

    async def live(self, story: Story) -> None:
        """Run the service while the story is told."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.service.pipeline.run(), name="pipeline")
            listening = group.create_task(self.service.listen(), name="listen")
            await story(self)
            listening.cancel()
            await asyncio.wait({listening})
            self.service.pipeline.stop()
        await self.service.close()


def _wallets(account: Mapping[str, Any]) -> dict[str, Decimal]:
    """Give what an account frame states, by asset."""
    return {line["a"]: Decimal(str(line["wb"])) for line in account["B"]}


def _names_amounts(account: Mapping[str, Any], before: Mapping[str, Decimal]) -> bool:
    """Say whether a settlement's push tells what it paid: where frames were lost before it, its wallet contradicts it."""
    changes = {line["a"]: Decimal(str(line["bc"])) for line in account["B"]}
    moved = {asset: wallet - before.get(asset, wallet - changes[asset]) for asset, wallet in _wallets(account).items()}
    return any(changes.values()) and moved == changes


def _plain(held: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{key} {quantity}" for key, quantity in sorted(held.items())) or "nothing"


def tell_story(
    seed: int, terms: Terms, story: Story, *, log: FilteringBoundLogger = SILENT, turns_max: int = STEPS_MAX
) -> float:
    """Live a life in which this story is told; gives how many virtual seconds it took."""
    home = Path(tempfile.mkdtemp(prefix="accuracy-", dir=HOME))
    loop = VirtualLoop(turns_max=turns_max)
    try:
        asyncio.set_event_loop(loop)
        rng = Random(f"{seed}:disk")  # noqa: S311 - see above
        disk = loop.disk = Disk(home, NAME, rng, kill=0.0, full=0.0, on_kill=lambda _: None)
        life = Life(seed, terms, loop, disk.folder, log)
        loop.run_until_complete(life.live(story))
        assert not loop.failures, f"the loop caught {loop.failures[:1]}"
        return loop.time()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        gc.collect(0)
        shutil.rmtree(home, ignore_errors=True)
