"""Clean events by the million through the fold: nothing is wrong, only late, and nothing may be called wrong.

What enters: how many events, a seed, how late a frame may come. What leaves: a `Tally` of what the verdicts said, and
every sentence about a verdict that should not have been. What holds: the exchange's frames are read by the product's
own readers and its questions asked by the product's own auditor; time is a number, so that a Tick comes exactly at the
fold's deadline and a frame exactly when it is drawn to; every verdict is looked at.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from random import Random
from typing import Any

import yarl

from ditad.bingx import answer, intake, normalize, push, sign
from ditad.bingx.answer import Answered
from ditad.bingx.audit import Schedule
from ditad.bingx.auditor import Auditor
from ditad.bingx.options import FeedOptions
from ditad.bingx.questions import Asker
from ditad.bingx.rest import Answer
from ditad.bingx.watch import Watch
from ditad.events import (
    AccountPush,
    BaselineTaken,
    Body,
    Contract,
    Event,
    Needs,
    OrderRecalled,
    StreamChanged,
    StreamState,
    Terms,
    Tick,
)
from ditad.exchange import AccountSpec, Dialect, ExchangeCore, Request, Timing, VariedTrader
from ditad.exchange.contracts import DEFAULT_CONTRACTS
from ditad.exchange.dialect import AveragePrice
from ditad.exchange.pushes import Payload
from ditad.pipeline import orders_of
from ditad.projection import Folded, Projection
from ditad.reconcile import DivergenceClass, ReconcileStatus
from ditad.turn import Turn, capital_raw, tolerance
from tests.simulation.world import SILENT
from tests.support.story import START_US, settings

SYMBOLS = ("BTC-USDT", "FET-USDT")
CONTRACTS = tuple(contract for contract in DEFAULT_CONTRACTS if contract.symbol in SYMBOLS)
CHUNK = 50_000
"""Events of one account; then another one is born, with other habits of its exchange."""

WINDOW_US = 2_000_000
QUICK_S_MAX = 1.95
"""Frames this late at most: twins come within the settle window, in any order."""

SLOW_S_MAX = 12.0
SLOW_SHARE = 0.25
"""Of the slower twins this share comes so late at most, beyond the window."""

ASKED_SHARE_MAX = 0.04
"""Of all verdicts on twins that come in time so many may be CONFIRMING: where several executions overtake each other a
waiting one may explain nothing for a moment; more would be alarms inside the window."""

QUESTION_S_MAX = 8.0
"""A question is answered after so long: it may have to wait for a round that has begun."""

REST_US = 300_000_000
"""After this no row is to come any more."""

ACT_S = 2.0
CALM_EVERY_S = 45.0
FUNDING_EVERY_S = 900.0
ANSWER_S = (0.02, 0.3)
SAME_PATH_S = 0.5
FOUND_MAX = 20
LASTING = frozenset({DivergenceClass.UNSETTLED, DivergenceClass.CONFIRMING})
UNDECIDED = frozenset({DivergenceClass.AMOUNT_UNKNOWN, DivergenceClass.GAP})


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was folded and what the verdicts were; `wrong` is what should not have been said, `wrongs` how often."""

    events: int = 0
    ticks: int = 0
    facts: int = 0
    rounds: int = 0
    divergences: int = 0
    asking: int = 0
    virtual_s: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    wrongs: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    longest_s: dict[str, float] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Write it as JSON has it."""
        figures = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: dict(figure) if isinstance(figure, dict) else figure for name, figure in figures.items()}

    def add(self, other: Tally) -> None:
        """Take in what another account showed."""
        for name in ("events", "ticks", "facts", "rounds", "divergences", "asking", "virtual_s"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for counter in ("statuses", "classes", "wrongs"):
            getattr(self, counter).update(getattr(other, counter))
        self.wrong = (self.wrong + other.wrong)[:FOUND_MAX]
        for name, seconds in other.longest_s.items():
            self.longest_s[name] = max(seconds, self.longest_s.get(name, 0.0))


class Pause:
    """Awaited, lets virtual seconds pass: the driver hears how many."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __await__(self) -> Generator[float, None, None]:
        """Tell the driver."""
        yield self._seconds


class Wire:
    """The auditor's way to ask the exchange: a request takes its time, and nothing goes wrong."""

    def __init__(self, core: ExchangeCore, api_key: str, api_secret: str, now: Callable[[], int], rng: Random) -> None:
        self._core = core
        self._key, self._secret = api_key, api_secret
        self._now = now
        self._rng = rng
        self._asked: dict[str, int] = {}
        self.last_raw = b""

    def now(self) -> tuple[int, int]:
        """Give this moment on both clocks, which are one."""
        return self._now(), self._core.now_ms()

    async def get(self, path: str, parameters: Mapping[str, str], *, what: str, signed: bool = True) -> Answer:
        """Ask one question, twice a second at most of the same path."""
        wait_s = (self._asked.get(path, 0) - self._now()) / 1_000_000
        if wait_s > 0:
            await Pause(wait_s)
        self._asked[path] = self._now() + int(SAME_PATH_S * 1_000_000)
        asked_us, asked_ms = self.now()
        assert signed, "the audit signs its questions"
        query = yarl.URL("?" + sign.signed_query(parameters, self._secret, asked_ms), encoded=True).raw_query_string
        await Pause(self._rng.uniform(*ANSWER_S))
        reply = self._core.rest(
            Request(method="GET", path="/openApi" + path, query=query, headers={"x-bx-apikey": self._key})
        )
        await Pause(self._rng.uniform(*ANSWER_S))
        self.last_raw = reply.body
        answered = Answered(status=reply.status, body=reply.body, at_ms=self._core.now_ms())
        data = answer.data_of(answered, what)
        return Answer(data=data, raw=reply.body, asked_us=asked_us, asked_ms=asked_ms)


class CleanAccount:
    """One account on which nothing goes wrong; also the sink of its auditor and its clock."""

    def __init__(self, seed: int, *, slow: bool, dialect: Dialect, hedge: bool) -> None:
        self.us = START_US
        self.tally = Tally()
        self._slow = slow
        self._n = 0
        self._rng = Random(f"{seed}:clean")  # noqa: S311 - a story, not a secret
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._in_flight = 0
        self._account: tuple[object, int] = (None, 0)
        self._since: dict[tuple[str, str], int] = {}
        self._archive: dict[str, bytes] = {}
        self._config = normalize.ConfigFilter()
        self._touched = [0, 0]
        self._funded_us = self.us
        self._calm_us = self.us + int(CALM_EVERY_S * 1_000_000)
        spec = AccountSpec(name="main", hedge=hedge, margin_type=self._rng.choice(["cross", "isolated"]))
        self.core = ExchangeCore(
            seed=seed,
            clock=lambda: self.us // 1_000,
            accounts=[spec],
            contracts=CONTRACTS,
            dialect=dialect,
            timing=Timing(),
            compress=False,
        )
        self.core.streams.tamper = self._told
        self.desk = self.core.venue.account("main")
        self.bot = VariedTrader(self.desk, seed=seed, untold=False)
        for act in (self.bot._fund, self.bot._fund_some):
            self.bot._acts[act] = 0
        self.projection = Projection("main")
        self._begin()
        self._start_audit()

    # ---- time

    def now_us(self) -> int:
        """Give wall time, which never repeats."""
        self.us += 1
        return self.us

    def mono_s(self) -> float:
        """Give the same in seconds."""
        return self.us / 1_000_000

    def _at(self, us: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (us, next(self._order), what))

    def _drive(self, running: Coroutine[Any, Any, None], then: Callable[[], None]) -> None:
        """Run what waits by `Pause` alone, a piece at a time."""
        try:
            seconds = running.send(None)
        except StopIteration:
            then()
            return
        self._at(self.us + int(seconds * 1_000_000), lambda: self._drive(running, then))

    def run(self, events: int) -> Tally:
        """Live until so many events were folded, then until everything has been told, and compare with the books."""
        act_us = self.us
        until_us: int | None = None
        while until_us is None or self.us < until_us:
            due_us = self.projection.deadline_us()
            next_us = self._heap[0][0] if self._heap else act_us
            acting = self.tally.events < events
            if not acting and until_us is None:
                until_us = self.us + REST_US
            if due_us is not None and due_us <= min(next_us, act_us if acting else next_us):
                self.us = max(self.us, due_us)
                self.tally.ticks += 1
                self._fold(Tick(due_us=due_us))
            elif acting and act_us < next_us:
                self.us = max(self.us, act_us)
                self._act()
                act_us = self.us + int(self._rng.expovariate(1 / ACT_S) * 1_000_000 * (self._rng.random() < 0.9))
                if act_us >= self._calm_us:
                    act_us += int((SLOW_S_MAX if self._slow else QUICK_S_MAX) * 1_000_000) + WINDOW_US
                    self._calm_us = act_us + int(CALM_EVERY_S * 1_000_000)
            else:
                at_us, _, what = heapq.heappop(self._heap)
                self.us = max(self.us, at_us)
                what()
        self.tally.virtual_s = (self.us - START_US) / 1_000_000
        self._compare_with_books()
        if not self._slow and self.tally.asking > ASKED_SHARE_MAX * self.tally.statuses.total():
            self._wrong(
                "CONFIRMING inside the window", f"{self.tally.asking} of {self.tally.statuses.total()} verdicts"
            )
        return self.tally

    # ---- the exchange and its frames

    def _begin(self) -> None:
        self._fold(settings(settle_window_us=WINDOW_US))
        rates = (self.desk.spec.maker_rate, self.desk.spec.taker_rate)
        self._fold(
            Terms(
                hedge_mode=self.desk.spec.hedge,
                fee_rates=tuple(sorted(rates)),
                contracts=tuple(Contract(symbol=c.symbol, tick=c.tick, lot=c.lot) for c in CONTRACTS),
                leverages=(),
                notes=(),
            )
        )
        self._fold(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
        for symbol in SYMBOLS:
            self._hear(self.desk.config_frame(symbol))
        self._fold(
            BaselineTaken(
                baseline_id="clean",
                taken_ms=self.core.now_ms(),
                wallet=self.desk.books.wallet,
                positions=(),
                orders=(),
                adopted_by=None,
                why=None,
            )
        )
        self.us += 61_000_000  # funding rows so near a baseline may be of before it

    def _act(self) -> None:
        if self.us - self._funded_us > FUNDING_EVERY_S * 1_000_000 and self.desk.books.positions:
            self._funded_us = self.us
            self.desk.settle_funding(Decimal(self._rng.randint(-30, 30)).scaleb(-5))
        else:
            self.bot.step()

    def _told(self, payload: Payload) -> None:
        """Let a frame come when it is drawn to; frames of one moment come in any order."""
        most_s = SLOW_S_MAX if self._slow and self._rng.random() < SLOW_SHARE else QUICK_S_MAX
        late_s = self._rng.random() ** self._rng.choice([1, 8, 8]) * most_s
        at_us = self.us + int(late_s * 1_000_000)
        if payload["e"] == "ACCOUNT_UPDATE":
            # Account frames of one event time are told apart by their order alone (account.md §5): that one is kept.
            event_ms, last_us = self._account
            at_us = max(at_us, last_us) if event_ms == payload["E"] else at_us
            self._account = (payload["E"], at_us)
        self._in_flight += 1

        def arrive() -> None:
            self._in_flight -= 1
            self._hear(payload)

        self._at(at_us, arrive)

    def _hear(self, payload: Payload) -> None:
        heard = intake._push(push.read_private(dict(payload)), self._config)
        for body in heard.bodies:
            if isinstance(body, AccountPush):
                self._touched[0] += bool(body.balances)
                self._touched[1] += bool(body.positions)
            self._fold(body)

    # ---- the audit, whose sink and clock this is

    def _start_audit(self) -> None:
        options = FeedOptions(
            environment="custom", margin_asset="USDT", fills_interval_s=60.0, income_interval_s=60.0, overlap_s=60.0
        )
        wire: Any = Wire(
            self.core,
            self.desk.spec.api_key,
            self.desk.spec.api_secret,
            self.now_us,
            Random(self._rng.random()),  # noqa: S311 - a story, not a secret
        )
        asker = Asker(rest=wire, options=options, touched=lambda: (self._touched[0], self._touched[1]))
        self._schedule = Schedule(options)
        self._auditor = Auditor(
            rest=wire,
            asker=asker,
            options=options,
            schedule=self._schedule,
            watch=Watch(),
            sink=self,
            clock=self,
            log=SILENT,
        )
        self._look()

    def _look(self) -> None:
        """Ask what is due; look again a little later, or when a round is over."""
        planned = self._schedule.plan(self.needs(), self.us)
        if planned is None:
            self._at(self.us + 100_000, self._look)
            return
        self.tally.rounds += 1
        self._drive(self._auditor.ask(planned), self._look)

    async def submit(self, body: Body, *, at_us: int, raw: object = None) -> None:  # noqa: ARG002 - the sink's form
        """Fold at once."""
        self._fold(body)

    async def deliver(self, body: Body, *, at_us: int, raw: object = None) -> None:  # noqa: ARG002 - the sink's form
        """Fold at once."""
        self._fold(body)

    def heard(self, at_us: int) -> None:
        """Note nothing: every frame is heard."""

    def counted(self, what: str) -> None:
        """Count nothing."""

    def needs(self) -> Needs:
        """Give what the fold wants to be told."""
        return self.projection.needs()

    def has_baseline(self) -> bool:
        """Say that there is one."""
        return True

    async def needs_changed(self) -> None:
        """Return at once: nobody waits for it."""

    # ---- the fold and its verdicts

    def _fold(self, body: Body) -> None:
        for order_id in orders_of(body):
            if self.projection.may_be_archived(order_id) and order_id in self._archive:
                self._fold_one(OrderRecalled(order_id=order_id, record=self._archive[order_id].decode()))
        folded = self._fold_one(body)
        for decision in folded.decisions:
            self._fold(decision)

    def _fold_one(self, body: Body) -> Folded:
        self._n += 1
        self.us += 1
        folded = self.projection.fold(Event(n=self._n, at_us=self.us, heard_us=self.us, body=body))
        for order_id, record in folded.archived:
            self._archive[order_id] = record
        self.tally.events += 1
        if folded.verdict is not None:
            self._judge(folded, body)
        return folded

    def _judge(self, folded: Folded, body: Body) -> None:
        verdict = folded.verdict
        assert verdict is not None, "judged is what was said"
        tally, state = self.tally, self.projection.state
        for record in folded.records[:-1]:
            tally.facts += record.type.value in {"fill", "income"}
            tally.divergences += record.type.value == "divergence"
        status = verdict.result.status
        tally.statuses[status.value] += 1
        if status is ReconcileStatus.ERROR and state.baseline is not None:
            self._wrong("false ERROR", f"after {type(body).__name__}: {verdict.result.explanations}")
        now: set[tuple[str, str]] = set()
        for finding in verdict.findings:
            if finding.klass is None:
                continue
            tally.classes[finding.klass.value] += 1
            if finding.klass in LASTING:
                now.add((finding.klass.value, finding.field))
        tally.asking += any(klass == DivergenceClass.CONFIRMING for klass, _ in now)
        self._watch_ages(now)
        undecided = any(line.partition("|")[0] in UNDECIDED for line in verdict.result.explanations)
        if now and not self._in_flight and not undecided:
            # Facts and statements are the same sums by now: what is still said to wait, waits for nothing.
            self._wrong("nothing was on its way", f"after {type(body).__name__}: {verdict.result.explanations}")

    def _watch_ages(self, now: set[tuple[str, str]]) -> None:
        """Let no difference wait, or be asked about, for longer than it may."""
        for gone in self._since.keys() - now:
            del self._since[gone]
        for key in now:
            klass, name = key
            since_us = self._since.setdefault(key, self.us)
            age_s = (self.us - since_us) / 1_000_000
            self.tally.longest_s[klass] = max(age_s, self.tally.longest_s.get(klass, 0.0))
            if klass == DivergenceClass.CONFIRMING and age_s > WINDOW_US / 1_000_000 + QUESTION_S_MAX:
                self._wrong("CONFIRMING outlives", f"{name} for {age_s:.1f} s")
                self._since[key] = self.us

    def _wrong(self, what: str, text: str) -> None:
        self.tally.wrongs[what] += 1
        if len(self.tally.wrong) < FOUND_MAX:
            self.tally.wrong.append(f"{what} at event {self._n}: {text}"[:400])

    def _compare_with_books(self) -> None:
        """At rest K must be the exchange's books: a clean story that is folded wrongly is no clean story."""
        state = self.projection.state
        allowed = tolerance(
            Turn(state=state, event=Event(n=self._n, at_us=self.us, heard_us=None, body=Tick(due_us=0)))
        )
        off = capital_raw(state) - self.desk.books.wallet
        if abs(off) > allowed or state.unknown or state.incomplete:
            self._wrong("K is not the books", f"by {off}; not told: {list(state.unknown)} {state.incomplete}")
        held = {key: abs(position.run.quantity) for key, position in state.positions.items() if position.run.quantity}
        books = {
            f"{p.symbol}:{p.side if self.desk.spec.hedge else 'BOTH'}": p.qty
            for p in self.desk.books.positions.values()
        }
        if held != books:
            self._wrong("K is not the books", f"K holds {held}, the exchange {books}")


def dialect_of(rng: Random, number: int, *, slow: bool) -> Dialect:
    """Give the plain exchange's habits, or drawn ones; rows are late only where no frame is.

    An average that is rounded to the tick and written with eight decimals claims a resolution that it has not: what it
    tells of a single execution is wrong by some ticks until its row comes, and that is not clean.
    """
    rows_s = 0 if slow else rng.choice([0, 5, 60])
    if number % 2 == 0:
        return Dialect(row_delay_s_max=rows_s)
    return Dialect.drawn(
        rng, row_delay_s_max=rows_s, transfer_rows=True, cumulative_field=True, average_price=AveragePrice.DECIMALS
    )


def clean(events: int, seed: int, *, slow: bool = False, chunk: int = CHUNK) -> Tally:
    """Fold so many clean events, on one account after the other."""
    tally = Tally()
    for number in itertools.count():
        left = events - tally.events
        if left <= 0:
            return tally
        rng = Random(f"{seed}:{number}:{slow}")  # noqa: S311 - a story, not a secret
        account = CleanAccount(
            seed * 1_000 + number, slow=slow, dialect=dialect_of(rng, number, slow=slow), hedge=number % 3 != 2
        )
        tally.add(account.run(min(left, chunk)))
    raise AssertionError("unreachable: the count ends when enough was folded")
