"""The one writer of an account, and the one place that knows the order: journal, fold, reconcile, publish.

What enters: bodies of events from the feed and the socket, in the order of `submit`. What leaves: durable events,
records to the hub and lines to the log. What holds: nothing is folded that is not durable; a fold runs to its end
without waiting; if the journal fails, the pipeline stops and says so; the queue has a bound, and at the bound whoever
submits waits.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from ditad import rounds
from ditad.clock import US_PER_S, Clock
from ditad.events import (
    AuditDone,
    Body,
    Decision,
    Event,
    FillsReport,
    Needs,
    OrderPush,
    OrderRecalled,
    OrdersReport,
    Raw,
    SettingsInForce,
    StreamChanged,
    StreamState,
    Tick,
)
from ditad.hub import BATCH_BYTES_MAX, Hub
from ditad.journal import Archived, Checkpoint, Derived, Journal
from ditad.money import plain
from ditad.projection import Folded, Projection
from ditad.records import Record, RecordType, rfc3339
from ditad.reporting import Reporter
from ditad.state import FOLD_VERSION, State

QUEUE_MAX = 10_000
"""Bodies that may wait for the journal; at the bound `submit` waits, and the stream is read no faster."""

BATCH_MAX = 128
"""Events that share one commit at most. What they lead to waits in memory for the next one: 512 took 7 MiB more, and a
128th of a commit is next to nothing."""

FOLDING_S_MAX = 0.1
"""Folding keeps the loop for so long and one event more, then signals, readers and other accounts have their turn."""

TOLD_BYTES_MAX = 2 * BATCH_BYTES_MAX
"""And until so many bytes are told, where somebody reads: so it keeps up with the fold, and the ring of what it has not had
yet may be small. Each turn has its price: with a quarter of this a push among 200 positions cost 5 to 25 % more.
"""

DRAIN_S_MAX = 1.0
"""After `stop` the queue is still folded for so long, one event more at most; what is left then is only made durable."""

CHECKPOINT_EVENTS = 500
"""A checkpoint is written every so many events, or as many as it has things to write, if those are more.

So its cost per event has a bound however much is remembered. Start-up and time travel fold at most this many again.
"""

START_EVENTS = 100
START_SHARE = 16
"""A start that folded this many events again, and one for every so many things to write, writes a checkpoint at once.

To fold an event costs more than to write that many things. So a start gets hardly dearer, and a daemon that dies again
and again, or was given a new fold, does not fold the same events each time.
"""

PRIVATE = "private"
"""The source of a frame of the private stream."""

RESTORED_RECORDS_MAX = 4_096
"""Records that a start hands to the hub again, for readers that resume."""


def orders_of(body: Body) -> Iterable[str]:
    """Give the ids of the orders that a body speaks of."""
    if isinstance(body, OrderPush):
        return (body.order_id,)
    if isinstance(body, FillsReport | OrdersReport):
        return [row.order_id for row in body.rows]
    return ()


def sums_of(state: State) -> bytes:
    """Write what another version of the fold must come to as well, whatever its snapshots look like."""
    sums = state.sums
    told = (state.seed, sums.realized_pnl, sums.fees, sums.funding, sums.transfers, sums.other_income)
    return " ".join(map(plain, told)).encode()


class Timing(Protocol):
    """What a pipeline needs of whoever wants to know how long things take, in seconds."""

    def committed(self, took_s: float) -> None:
        """Hear of a commit."""

    def shown(self, took_s: float) -> None:
        """Hear of a frame of the private stream, from its arrival to the snapshot that it led to."""


class Untimed:
    """Wants to know nothing."""

    def committed(self, took_s: float) -> None:
        """Take no note."""

    def shown(self, took_s: float) -> None:
        """Take no note."""


@dataclass(slots=True, kw_only=True)
class _Submission:
    body: Body
    at_us: int
    came_s: float
    heard_us: int | None
    raw: Raw | None
    done: asyncio.Future[None] | None


class Pipeline:
    """One account's events from arrival to publication; also the sink of its feed."""

    def __init__(
        self,
        *,
        journal: Journal,
        projection: Projection,
        hub: Hub,
        clock: Clock,
        reporter: Reporter,
        recall: Callable[[str], bytes | None],
        timing: Timing | None = None,
    ) -> None:
        """`recall` finds what the journal archived of an order, by its id."""
        self._timing = Untimed() if timing is None else timing
        self.projection = projection
        self.hub = hub
        self.counts: Counter[str] = Counter()
        self._journal = journal
        self._clock = clock
        self._reporter = reporter
        self._recall = recall
        self._archived: dict[str, Archived] = {}
        self._queue: deque[_Submission] = deque()
        self._in_hand: list[_Submission] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._heard_us: int | None = projection.state.heard_us
        self._needs = projection.needs()
        self._needs_moved = asyncio.Event()
        self._next_n = journal.last_n + 1
        self._records: list[Record] = []
        self._last_checkpoint_n = projection.state.n
        self._heavy_over = rounds.ORDERS_MAX
        self._started_far_behind = False
        self._snapshot: bytes | None = None
        self._stopping = False
        self._drained_by_mono = math.inf
        self.left_unfolded = 0
        self._turned: Callable[[], None] | None = None
        self._turn_s_max: float | None = None
        self.turns = 0
        self.status_since_us: int | None = None

    # ---- start

    def restore(self, journaled: Iterable[Event]) -> None:
        """Fold what the journal holds beyond the checkpoint; records not yet stored are kept for the next commit."""
        recent: deque[Record] = deque(maxlen=RESTORED_RECORDS_MAX)
        unshelved: deque[Record] = deque(maxlen=RESTORED_RECORDS_MAX)
        undecided: dict[str, Decision] = {}
        foreign_n = max(self._journal.seams(FOLD_VERSION), default=0)
        for event in journaled:
            folded = self._folded(event)
            # Of what comes before a seam another version has told what it led to, under its own numbers.
            recent.extend(folded.records if event.n >= foreign_n else ())
            if event.n < foreign_n:
                pass
            elif event.n <= self._journal.derived_n:
                unshelved.extend(record for record in folded.records if record.seq > self._journal.shelved_seq)
            else:
                self._records.extend(folded.records)
                self._put_away(event, folded)
            self._keep_snapshot(folded.records)
            if isinstance(event.body, Decision):
                undecided.pop(event.body.name, None)
            undecided.update({decision.name: decision for decision in folded.decisions})
        self.projection.cross(self._next_n)
        self._records[:0] = unshelved
        since = self.projection.state.n - self._last_checkpoint_n
        self._started_far_behind = since >= max(START_EVENTS, self.projection.weight() // START_SHARE)
        for decision in undecided.values():  # a crash kept these from being journaled
            self._append(decision, at_us=self._clock.now_us(), raw=None, done=None)
        self.hub.continue_from(recent[0].seq - 1 if recent else self.projection.state.seq)
        self.hub.publish(list(recent))
        self._needs = self.projection.needs()

    # ---- the sink

    async def submit(self, body: Body, *, at_us: int, raw: Raw | None = None) -> None:
        """Queue a body in order; waits only while the queue is full."""
        assert not self._stopping, "nothing is submitted to a pipeline that stops"
        self._append(body, at_us=at_us, raw=raw, done=None)
        if len(self._queue) >= QUEUE_MAX:
            self._room.clear()
            await self._room.wait()

    async def deliver(self, body: Body, *, at_us: int, raw: Raw | None = None) -> None:
        """Queue a body in order and return once it is durable and folded."""
        assert not self._stopping, "nothing is submitted to a pipeline that stops"
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._append(body, at_us=at_us, raw=raw, done=done)
        await done

    def _append(self, body: Body, *, at_us: int, raw: Raw | None, done: asyncio.Future[None] | None) -> None:
        came_s = self._clock.mono_s()
        self._queue.append(
            _Submission(body=body, at_us=at_us, came_s=came_s, heard_us=self._heard_us, raw=raw, done=done)
        )
        self._arrived.set()

    def heard(self, at_us: int) -> None:
        """Note that some frame came on the private stream."""
        self._heard_us = at_us

    def counted(self, what: str) -> None:
        """Count a frame that changes nothing."""
        self.counts[what] += 1

    def needs(self) -> Needs:
        """Give what the fold wants to be told, as of the last folded event."""
        return self._needs

    def has_baseline(self) -> bool:
        """Say whether the ledger has begun."""
        return self.projection.state.baseline is not None

    async def needs_changed(self) -> None:
        """Return when the needs have become different since the last call."""
        await self._needs_moved.wait()
        self._needs_moved.clear()

    # ---- the one writer

    async def run(self) -> None:
        """Journal, fold and publish until `stop`; raises `JournalError` when the journal fails."""
        while not (self._stopping and not self._queue):
            await self._wait()
            batch = self._take()
            if batch:
                await self._turn(batch)
                self._relieve()
            self.turns += 1
            if self._turned is not None:
                self._turned()

    def watched(self, turned: Callable[[], None], turn_s_max: float | None) -> None:
        """Call `turned` at the end of every turn, and turn at least so often, also with nothing to do."""
        self._turned = turned
        self._turn_s_max = turn_s_max

    async def folded(self) -> None:
        """Return once all that was submitted until this moment is durable and folded."""
        pending = self._queue or self._in_hand
        if not pending:
            return
        last = pending[-1]
        if last.done is None:
            last.done = asyncio.get_running_loop().create_future()
        await asyncio.shield(last.done)

    def stop(self) -> None:
        """Let `run` end once what is queued is folded, or is at least durable where there is no time to fold it.

        `left_unfolded` counts the latter; the next start folds it, as after a crash.
        """
        self._stopping = True
        self._drained_by_mono = self._clock.mono_s() + DRAIN_S_MAX
        self._arrived.set()

    async def close(self) -> None:
        """Seal the journal with what the last events led to; call it after `run` has ended."""
        await self._journal.close(self._derive(final=True))

    async def _wait(self) -> None:
        """Wait for a submission, or until the fold's next deadline, or until a turn is wanted all the same."""
        if self._queue or self._stopping:
            return
        self._arrived.clear()
        due_us = self.projection.deadline_us()
        due_s = math.inf if due_us is None else max(0.0, (due_us - self._clock.now_us()) / US_PER_S)
        idle_s = math.inf if self._turn_s_max is None else self._turn_s_max
        wait_s = min(due_s, idle_s)
        try:
            async with asyncio.timeout(None if wait_s == math.inf else wait_s):
                await self._arrived.wait()
        except TimeoutError:
            if due_us is not None and due_s <= idle_s:
                self._append(Tick(due_us=due_us), at_us=max(due_us, self._clock.now_us()), raw=None, done=None)

    def _relieve(self) -> None:
        """Let time pass for the fold where its orders have become many, so that it puts the oldest away.

        It passes before what is queued: behind thousands of frames the orders would be as many more.
        """
        held, step = len(self.projection.state.orders), rounds.ORDERS_MAX - rounds.ORDERS_HELD
        if held > self._heavy_over and not self._stopping:
            first = self._queue[0] if self._queue else None
            at_us = self._clock.now_us() if first is None else first.at_us
            heard_us = self._heard_us if first is None else first.heard_us
            tick = Tick(due_us=at_us)
            self._queue.appendleft(
                _Submission(body=tick, at_us=at_us, came_s=self._clock.mono_s(), heard_us=heard_us, raw=None, done=None)
            )
            self._arrived.set()
            self._heavy_over = held + step
        else:
            self._heavy_over = max(rounds.ORDERS_MAX, min(self._heavy_over, held + step))

    def _take(self) -> list[_Submission]:
        """Take what shares a commit. What may put orders out of memory has its own: what is said of them behind it is
        numbered behind their recall, so it has to be folded before.
        """
        batch: list[_Submission] = []
        while self._queue and len(batch) < BATCH_MAX:
            lets_go = isinstance(self._queue[0].body, AuditDone | Tick)
            if batch and lets_go:
                break
            batch.append(self._queue.popleft())
            if lets_go:
                break
        if len(self._queue) < QUEUE_MAX // 2:
            self._room.set()
        return batch

    async def _turn(self, batch: list[_Submission]) -> None:
        """Make a batch durable in one commit, then fold each of its events to the end, then publish."""
        if self._is_late() and isinstance(batch[0].body, AuditDone):
            self._give_up(batch)  # a round whose end nobody tells moves no watermark, and the next start asks again
            return
        self._in_hand = batch
        events = self._number(batch)
        derived = self._derive(final=False)
        came_s = {id(item.raw): item.came_s for item in batch if item.raw is not None and item.raw.source == PRIVATE}
        began_s = self._clock.mono_s()
        await self._journal.commit(events, derived)
        self._timing.committed(self._clock.mono_s() - began_s)
        self._records, self._archived = [], {}
        self._next_n += len(events)
        await self._fold(events, came_s)
        self._note_needs()
        self._in_hand = []
        if self.left_unfolded:
            self._give_up(batch)
        for item in batch:
            if item.done is not None and not item.done.done():
                item.done.set_result(None)

    async def _fold(self, events: Sequence[tuple[Event, Raw | None]], came_s: Mapping[int, float]) -> None:
        """Fold and publish events one after the other, with a pause for others between two of them now and then.

        `came_s` is when frames of the private stream came, by the identity of what was received.
        """
        began_mono, told_bytes = self._clock.mono_s(), self.hub.published_bytes
        for event, raw in events:
            if self._is_late() and not isinstance(event.body, AuditDone):
                self.left_unfolded += 1
                continue
            folded = self._folded(event)
            self._publish(event, folded)
            now_mono = self._clock.mono_s()
            if id(raw) in came_s and folded.records and folded.records[-1].type is RecordType.SNAPSHOT:
                self._timing.shown(now_mono - came_s[id(raw)])
            keeps_waiting = self.hub.readers and self.hub.published_bytes - told_bytes >= TOLD_BYTES_MAX
            if keeps_waiting or now_mono - began_mono >= FOLDING_S_MAX:
                if self._turned is not None:  # five hundred slow folds are no wedge
                    self._turned()
                await asyncio.sleep(0)
                began_mono, told_bytes = self._clock.mono_s(), self.hub.published_bytes

    def _is_late(self) -> bool:
        """Say whether the end has been asked for, and the time for folding is over."""
        return self.left_unfolded > 0 or self._clock.mono_s() >= self._drained_by_mono

    @staticmethod
    def _give_up(batch: Iterable[_Submission]) -> None:
        """Tell whoever still waits that this will not be folded in this life."""
        for item in batch:
            if item.done is not None:
                item.done.cancel()

    def _number(self, batch: list[_Submission]) -> list[tuple[Event, Raw | None]]:
        """Give a batch's bodies their numbers, each behind the archived orders that it speaks of."""
        events: list[tuple[Event, Raw | None]] = []
        recalled: set[str] = set()
        for item in batch:
            bodies: list[tuple[Body, Raw | None]] = [(found, None) for found in self._recalled(item.body, recalled)]
            for body, raw in [*bodies, (item.body, item.raw)]:
                n = self._next_n + len(events)
                events.append((Event(n=n, at_us=item.at_us, heard_us=item.heard_us, body=body), raw))
        return events

    def archived(self, key: str) -> bytes | None:
        """Find what the fold has put out of its memory under a key, also where no commit has stored it yet."""
        pending = self._archived.get(key)
        return pending.body if pending is not None else self._recall(key)

    def _recalled(self, body: Body, already: set[str]) -> list[OrderRecalled]:
        """Find the archived orders that a body speaks of and that are not in memory."""
        found = []
        for order_id in dict.fromkeys(orders_of(body)):
            if order_id in already or not self.projection.may_be_archived(order_id):
                continue
            record = self.archived(order_id)
            if record is not None:
                already.add(order_id)
                found.append(OrderRecalled(order_id=order_id, record=record.decode()))
        return found

    def _folded(self, event: Event) -> Folded:
        """Fold an event, and note when the verdict's status last changed (`None`: not since the checkpoint)."""
        before = self.projection.state.status
        folded = self.projection.fold(event)
        if self.projection.state.status != before or event.n == 1:
            self.status_since_us = event.at_us
        return folded

    def _put_away(self, event: Event, folded: Folded) -> None:
        for order_id, record in folded.archived:
            self._archived[order_id] = Archived(key=order_id, n=event.n, body=record)

    def _publish(self, event: Event, folded: Folded) -> None:
        self._records.extend(folded.records)
        self._put_away(event, folded)
        for decision in folded.decisions:
            self._append(decision, at_us=event.at_us, raw=None, done=None)
        if folded.records:
            self.hub.publish(folded.records)
            self._keep_snapshot(folded.records)
        self._reporter.report(event, folded)

    def _keep_snapshot(self, records: Sequence[Record]) -> None:
        if records and records[-1].type is RecordType.SNAPSHOT:
            self._snapshot = records[-1].line

    def _note_needs(self) -> None:
        needs = self.projection.needs()
        if needs != self._needs:
            self._needs = needs
            self._needs_moved.set()

    def _derive(self, *, final: bool) -> Derived:
        """Give what the events folded so far led to, for the next commit; with a checkpoint when one is due."""
        state = self.projection.state
        since = state.n - self._last_checkpoint_n
        due = since >= CHECKPOINT_EVENTS and since >= self.projection.weight()
        due = due or self._started_far_behind or (final and since > 0)
        checkpoint = None
        if due:
            checkpoint = Checkpoint(
                n=state.n,
                seq=state.seq,
                event_seq=state.event_seq,
                at_us=state.at_us,
                fold_version=FOLD_VERSION,
                state=self.projection.checkpoint(),
            )
            self._last_checkpoint_n = state.n
            self._started_far_behind = False
        return Derived(
            records=tuple(self._records),
            fold_version=FOLD_VERSION,
            checkpoint=checkpoint,
            archive=tuple(self._archived.values()),
            sums=sums_of(state),
            through_n=state.n,
        )

    # ---- reading

    def unstored(self) -> list[Record]:
        """Give the records that the next commit will store."""
        return list(self._records)

    def snapshot(self) -> bytes | None:
        """Give the present snapshot; `valid_until` moves with the living stream, all else is as it was published."""
        if self._snapshot is None:
            return None
        body: dict[str, Any] = orjson.loads(self._snapshot)[RecordType.SNAPSHOT.value]
        until = self.projection.valid_until_us(self._heard_us)
        if until is not None:
            body["published"]["valid_until"] = rfc3339(until)
        return orjson.dumps(body)

    def queued(self) -> int:
        """Say how many bodies wait for the journal."""
        return len(self._queue)

    # ---- the beginning of a run

    def begin(self, settings: SettingsInForce) -> None:
        """Submit what every run begins with: changed settings, and that nothing was heard while it was off."""
        state = self.projection.state
        if state.settings != settings:
            self._append(settings, at_us=self._clock.now_us(), raw=None, done=None)
        if state.baseline is not None:
            start = StreamChanged(state=StreamState.LOST, detail="start", at_ms=None)
            self._append(start, at_us=self._clock.now_us(), raw=None, done=None)
