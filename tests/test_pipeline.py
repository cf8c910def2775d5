"""The one writer: durable before folded, one order, and a restart that continues where it was.

All events here are synthetic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad import pipeline as pipeline_module
from ditad import rounds
from ditad.errors import JournalError
from ditad.events import (
    AuditDone,
    Body,
    Decision,
    Event,
    OrderPush,
    OrderStatus,
    PositionSide,
    Raw,
    StreamChanged,
    StreamState,
    Tick,
)
from ditad.hub import Hub
from ditad.journal import Journal, Reader, nothing_derived
from ditad.pipeline import DRAIN_S_MAX, FOLDING_S_MAX, QUEUE_MAX, Pipeline
from ditad.projection import Projection
from ditad.records import Record, RecordType, rfc3339
from ditad.replaying import verified
from ditad.reporting import Reporter
from ditad.state import FOLD_VERSION, State
from ditad.turn import Turn
from tests.support.running import WAIT_S_MAX
from tests.support.story import Story, settings

HOUR_US = 3_600_000_000


class StillClock:
    """A clock that a test moves."""

    def __init__(self, now_us: int) -> None:
        self.us = now_us

    def now_us(self) -> int:
        """Give the moment the test set, a little later at each call."""
        self.us += 1
        return self.us

    def mono_s(self) -> float:
        """Give the same in seconds."""
        return self.us / 1_000_000


class SilentLog:
    """Takes log lines and keeps their names."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def info(self, event: str, **_fields: object) -> None:
        """Keep the name."""
        self.names.append(event)

    warning = error = info


class Timed:
    """Keeps how long things took."""

    def __init__(self) -> None:
        self.commits: list[float] = []
        self.pushes: list[float] = []

    def committed(self, took_s: float) -> None:
        """Keep a commit's time."""
        self.commits.append(took_s)

    def shown(self, took_s: float) -> None:
        """Keep a push's time."""
        self.pushes.append(took_s)


class Bench:
    """A journal folder and the pipelines that are opened on it, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = StillClock(0)
        self.log = SilentLog()
        self.recalled: list[str] = []
        self.fold, self.fold_version = Projection, FOLD_VERSION
        self.timing = Timed()

    def open(self) -> Pipeline:
        """Open the journal as a start of the daemon does."""
        self.journal = Journal.open(self.folder, "main")
        checkpoint = self.journal.newest_checkpoint(self.fold_version)
        state, seams = checkpoint.state if checkpoint else None, self.journal.seams(self.fold_version)
        projection = self.fold.restored("main", state, seams=seams)
        pipeline = Pipeline(
            journal=self.journal,
            projection=projection,
            hub=Hub(4_096, 16 * 1024 * 1024),
            clock=self.clock,
            reporter=Reporter(self.log),
            recall=self._recall,
            timing=self.timing,
        )
        pipeline.restore(self.journal.events_from(projection.state.n + 1))
        return pipeline

    def _recall(self, order_id: str) -> bytes | None:
        self.recalled.append(order_id)
        with Reader.open(self.folder, "main") as reader:
            found = reader.archived(order_id)
        return None if found is None else found.body

    async def feed(self, pipeline: Pipeline, events: list[Event]) -> None:
        """Submit the bodies of a story at their times, and wait until the last one is folded."""
        for event in events[:-1]:
            self.clock.us = event.at_us
            pipeline.heard(event.heard_us or event.at_us)
            await pipeline.submit(event.body, at_us=event.at_us)
        self.clock.us = events[-1].at_us
        pipeline.heard(events[-1].heard_us or events[-1].at_us)
        await pipeline.deliver(events[-1].body, at_us=events[-1].at_us)

    async def run(self, events: list[Event], *, seal: bool = True, pieces: int = 1) -> tuple[list[Record], Pipeline]:
        """Open, feed (in some pieces), stop, and seal or abandon; gives the records of the hub."""
        pipeline = self.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            size = max(1, len(events) // pieces)
            for start in range(0, len(events), size):
                await self.feed(pipeline, events[start : start + size])
            pipeline.stop()
        records = [pipeline.hub.record(seq) for seq in range(pipeline.hub.oldest_seq, pipeline.hub.newest_seq + 1)]
        if seal:
            await pipeline.close()
        else:
            self.journal.abandon()
        return records, pipeline


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench on a fresh folder; whatever journal is still open is given back."""
    made = Bench(tmp_path)
    yield made
    with suppress(AttributeError):
        made.journal.abandon()


def busy_story() -> Story:
    """Tell a short life: three fills with their balances, a funding, a deposit."""
    story = Story(wallet="1000")
    first = story.order(z="0.1", ap="100.00000000", fee="0.005")
    story.account("999.995", ("BTC-USDT", PositionSide.LONG, "0.1", "100"))
    story.order(z="0.2", ap="101.00000000", fee="0.0101")
    story.account("999.9849", ("BTC-USDT", PositionSide.LONG, "0.3", "100.666666666666666667"))
    story.account("999.8849", reason="FUNDING_FEE", change="-0.1")
    story.account("1009.8849", reason="DEPOSIT", change="10")
    story.order(first, z="0.1", ap="100.00000000", fee="0.005", name="TRADE_UPDATE")
    return story


async def test_the_pipeline_publishes_what_the_fold_alone_would(bench: Bench) -> None:
    """Journal, fold and publish change nothing about the records."""
    story = busy_story()
    records, _ = await bench.run(story.events)
    assert story.records == [orjson.loads(record.line) for record in records]


@pytest.mark.parametrize("seal", [True, False], ids=["after an orderly end", "after a crash"])
async def test_a_restart_continues_where_it_was(bench: Bench, *, seal: bool) -> None:
    """The baseline, the sums and the numbering of a run go on in the next one, as if there had been no end."""
    story = busy_story()
    half = len(story.events) // 2
    await bench.run(story.events[:half], seal=seal)
    _, pipeline = await bench.run(story.events[half:])
    assert story.projection.state == pipeline.projection.state


class Talkative(Projection):
    """Another version of the fold, which makes a record more of each order's frame."""

    def __init__(self, account: str, state: State | None = None, **seams: Any) -> None:
        super().__init__(account, state, **seams)
        told = self._handlers[OrderPush]

        def more(turn: Turn, push: OrderPush) -> None:
            told(turn, push)
            turn.draft(RecordType.STREAM, None, {"state": "connected", "detail": "another version's"})

        self._handlers[OrderPush] = more


@pytest.mark.parametrize("talkative_first", [True, False], ids=["it told more", "it told less"])
@pytest.mark.parametrize("seal", [True, False], ids=["after an orderly end", "after a crash"])
async def test_another_versions_numbers_are_gone_on_from(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, seal: bool, talkative_first: bool
) -> None:
    """What another version of the fold told keeps its numbers; behind it they go on without a hole, and replay so."""
    story = busy_story()
    half = len(story.events) - 3
    older, newer = (Talkative, Projection) if talkative_first else (Projection, Talkative)
    bench.fold, bench.fold_version = older, FOLD_VERSION - 1
    with monkeypatch.context() as patched:
        patched.setattr(pipeline_module, "FOLD_VERSION", FOLD_VERSION - 1)
        told, _ = await bench.run(story.events[:half], seal=seal, pieces=4)
    with Reader.open(bench.folder, "main") as reader:
        stored_seq = reader.last_seq
        lines = [record.line for record in reader.records_after(0, limit=1_000)]
    bench.fold, bench.fold_version = newer, FOLD_VERSION
    records, pipeline = await bench.run(story.events[half:], pieces=3)
    assert list(range(stored_seq + 1, stored_seq + 1 + len(records))) == [record.seq for record in records]
    snapshots = [record.type for record in (*told[:stored_seq], *records)].count(RecordType.SNAPSHOT)
    assert (snapshots, records[-1].seq) == (pipeline.projection.state.event_seq, pipeline.projection.state.seq)
    assert story.projection.state.sums == pipeline.projection.state.sums
    monkeypatch.setattr("ditad.replaying.Projection", newer)
    with Reader.open(bench.folder, "main") as reader:
        assert lines == [record.line for record in reader.records_after(0, limit=len(lines))]
        assert [] == verified(reader, "main", progress=lambda _done, _all: None).problems


async def test_records_that_a_crash_kept_from_being_stored_are_stored_by_the_next_run(bench: Bench) -> None:
    """After a crash and a restart the journal holds every record once, numbered without a hole."""
    story = busy_story()
    half = len(story.events) // 2
    await bench.run(story.events[:half], seal=False, pieces=4)
    await bench.run(story.events[half:], pieces=3)
    with Reader.open(bench.folder, "main") as reader:
        stored = [record.seq for record in reader.records_after(0, limit=1_000)]
    assert [row["seq"] for row in story.records if row["type"] != "snapshot"] == stored


async def test_a_start_that_folds_much_again_spares_the_next_one_that(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is to write: the events that one start folded again are behind the next one's checkpoint."""
    monkeypatch.setattr(pipeline_module, "START_EVENTS", 10)
    story = Story(wallet="1000")
    for number in range(1, 31):  # each is an order and its fill: more to write than there are events
        story.order(z=f"0.{number}", ap="100.00000000", fee="0.005")
    await bench.run(story.events[:-2], seal=False, pieces=5)
    begun_from = []
    for event in story.events[-2:]:
        bench.open()
        checkpoint = bench.journal.newest_checkpoint(FOLD_VERSION)
        begun_from.append(0 if checkpoint is None else checkpoint.n)
        bench.journal.abandon()
        await bench.run([event], seal=False)
    assert [0, story.events[-3].n] == begun_from


async def test_nothing_is_folded_that_is_not_durable(bench: Bench) -> None:
    """When the journal fails, the events of that commit are neither folded nor published, and the pipeline ends."""
    story = busy_story()
    pipeline = bench.open()
    folded: list[int] = []

    async def live() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            await bench.feed(pipeline, story.events[:4])
            folded.append(pipeline.projection.state.n)
            (bench.folder / "main.journal").unlink()
            await bench.feed(pipeline, story.events[4:])

    with pytest.raises(BaseExceptionGroup) as caught:
        await live()
    assert caught.group_contains(JournalError)
    assert folded == [pipeline.projection.state.n]


async def test_raw_frames_stand_beside_what_was_made_of_them(bench: Bench) -> None:
    """The bytes of a frame can be read back by the number of the event."""
    story = Story()
    raw = Raw(source="private", at_us=story.us, data=b"a synthetic frame")
    pipeline = bench.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        await bench.feed(pipeline, story.events)
        await pipeline.deliver(StreamChanged(state=StreamState.SILENT, detail="", at_ms=None), at_us=story.us, raw=raw)
        pipeline.stop()
    await pipeline.close()
    with Reader.open(bench.folder, "main") as reader:
        assert raw == reader.raw(len(story.events) + 1)


async def test_time_alone_ends_a_wait(bench: Bench) -> None:
    """When the settle window of a lonely fill has passed, a tick is journaled and the verdict changes."""
    story = Story()
    story.order(z="0.1", ap="100.00000000", fee="0.005")
    pipeline = bench.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        await bench.feed(pipeline, story.events[:-1])
        bench.clock.us = story.us + 3_000_000
        with pipeline.hub.subscribe(None, frozenset({RecordType.SNAPSHOT})) as batches:
            await pipeline.submit(story.events[-1].body, at_us=story.us)
            async for batch in batches:
                if b"CONFIRMING" in batch:
                    break
        pipeline.stop()
    await pipeline.close()
    with Reader.open(bench.folder, "main") as reader:
        assert any(event.source_id.startswith("tick:") for event in reader.events())


@pytest.mark.parametrize("seal", [True, False], ids=["after an orderly end", "after a crash"])
async def test_the_moment_of_the_present_verdict_is_known(bench: Bench, *, seal: bool) -> None:
    """It is that of the first snapshot of the last row of equal ones; a start that folds nothing again cannot tell."""
    story = busy_story()
    _, pipeline = await bench.run(story.events, seal=seal)
    told = [orjson.loads(orjson.dumps(row)) for row in story.records if row["type"] == "snapshot"]
    shown = [(row["snapshot"]["reconcile"]["status"], row["ts"]) for row in told]
    since = next(at for place, (status, at) in enumerate(shown) if {status} == {other for other, _ in shown[place:]})
    told_us = pipeline.status_since_us
    assert since == rfc3339(told_us or 0)
    again = bench.open()
    assert (None if seal else told_us) == again.status_since_us


async def test_whoever_submits_waits_at_the_bound(bench: Bench) -> None:
    """The queue never grows past its bound: a further submission waits until there is room."""
    pipeline = bench.open()
    body = StreamChanged(state=StreamState.KEY_RENEWED, detail="", at_ms=None)
    for _ in range(QUEUE_MAX - 1):
        await pipeline.submit(body, at_us=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await pipeline.submit(body, at_us=1)
    assert QUEUE_MAX == pipeline.queued()


async def test_needs_wake_whoever_minds_them(bench: Bench) -> None:
    """A difference that nothing explains makes the fold need statements, and that is an edge."""
    story = Story()
    pipeline = bench.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        await bench.feed(pipeline, story.events)
        await pipeline.needs_changed()
        assert pipeline.has_baseline()
        story.account("990")
        story.tick()
        await bench.feed(pipeline, story.events[-2:])
        await pipeline.needs_changed()
        assert pipeline.needs().statements_after_us is not None
        pipeline.stop()
    await pipeline.close()


async def test_an_order_that_left_memory_is_recalled_and_counted_once(bench: Bench) -> None:
    """Hours after its end an order is archived; the same fill heard again finds it there and adds nothing."""
    story = Story(wallet="1000")
    order_id = story.order(z="0.1", ap="100.00000000", fee="0.005")
    frame = story.events[-1].body
    story.account("999.995", ("BTC-USDT", PositionSide.LONG, "0.1", "100"))
    story.us += 5 * HOUR_US
    audit(story, "999.995")
    assert order_id not in story.projection.state.orders
    _, pipeline = await bench.run(story.events)
    assert order_id not in pipeline.projection.state.orders

    again = [Event(n=0, at_us=story.us + 1, heard_us=None, body=replace_name(frame))]
    _, pipeline = await bench.run(again)
    state = pipeline.projection.state
    assert ("0.1", "0.005") == (str(state.positions["BTC-USDT:LONG"].run.quantity), str(state.sums.fees))
    assert [order_id] == bench.recalled
    with Reader.open(bench.folder, "main") as reader:
        assert "recalled" == [event.source_id.partition(":")[0] for event in reader.events()][-2]


def filled(orders: int) -> tuple[Story, list[Body]]:
    """Tell so many filled orders, a second apart; gives their frames as well."""
    story, frames = Story(wallet="1000"), []
    for _ in range(orders):
        story.pass_s(1)
        story.order(z="0.1", ap="100.00000000", fee="0.005")
        frames.append(story.events[-1].body)
    return story, frames


async def test_many_orders_leave_memory_without_a_round_and_are_recalled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an event with a commit of its own, so that what waits behind it in the queue finds them: nothing counts twice."""
    monkeypatch.setattr(rounds, "ORDERS_HELD", 5)
    monkeypatch.setattr(rounds, "ORDERS_MAX", 10)
    story, frames = filled(30)
    pipeline = bench.open()
    held = []
    for event in story.events:
        await pipeline.submit(event.body, at_us=event.at_us)
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        await pipeline.folded()
        for number, frame in enumerate([*frames[:10], *frames]):
            await pipeline.deliver(replace_name(frame), at_us=story.us + number * 1_000_000)
            held.append(len(pipeline.projection.state.orders))
        pipeline.stop()
    await pipeline.close()
    state = pipeline.projection.state
    assert ("3.0", "0.150") == (str(state.positions["BTC-USDT:LONG"].run.quantity), str(state.sums.fees))
    assert bench.recalled
    assert max(held) <= 17
    again = bench.open()
    assert again.projection.checkpoint() == pipeline.projection.checkpoint()


async def test_orders_leave_memory_before_what_waits_in_the_queue(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much came at once, a commit's orders more than the bound are held, and no event is older than the last."""
    monkeypatch.setattr(rounds, "ORDERS_HELD", 5)
    monkeypatch.setattr(rounds, "ORDERS_MAX", 10)
    monkeypatch.setattr(pipeline_module, "BATCH_MAX", 4)
    story, _ = filled(40)
    bench.clock.us = story.us
    pipeline = bench.open()
    held = []
    pipeline.watched(lambda: held.append(len(pipeline.projection.state.orders)), turn_s_max=None)
    for event in story.events:
        pipeline.heard(event.at_us)
        await pipeline.submit(event.body, at_us=event.at_us)
    pipeline.heard(story.us)
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        await pipeline.folded()
        pipeline.stop()
    await pipeline.close()
    assert 40 == pipeline.projection.state.sums.fees / Decimal("0.005")
    assert 10 < max(held) <= 10 + 4
    with Reader.open(bench.folder, "main") as reader:
        events = list(reader.events())
    assert any(isinstance(event.body, Tick) for event in events)
    assert [] == [later for event, later in pairwise(events) if later.at_us < event.at_us]
    assert [] == [later for event, later in pairwise(events) if (later.heard_us or 0) < (event.heard_us or 0)]


async def test_what_waits_behind_the_event_that_lets_orders_go_finds_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fill heard again stands in the queue beside it: it still adds nothing."""
    monkeypatch.setattr(rounds, "ORDERS_HELD", 1)
    monkeypatch.setattr(rounds, "ORDERS_MAX", 1)
    story, frames = filled(3)
    pipeline = bench.open()
    for event in story.events:
        await pipeline.submit(event.body, at_us=event.at_us)
    await pipeline.submit(Tick(due_us=story.us), at_us=story.us)
    await pipeline.submit(replace_name(frames[0]), at_us=story.us + 1)
    pipeline.stop()
    await pipeline.run()
    await pipeline.close()
    state = pipeline.projection.state
    assert ("0.3", "0.015") == (str(state.positions["BTC-USDT:LONG"].run.quantity), str(state.sums.fees))
    assert 2 == len(state.orders)


async def test_an_order_that_leaves_memory_is_recalled_by_what_waited_behind_the_round(bench: Bench) -> None:
    """The end of the round that archives it and the fill heard again stand in the queue together: it still adds nothing."""
    story = Story(wallet="1000")
    order_id = story.order(z="0.1", ap="100.00000000", fee="0.005")
    frame = story.events[-1].body
    story.account("999.995", ("BTC-USDT", PositionSide.LONG, "0.1", "100"))
    story.us += 5 * HOUR_US
    audit(story, "999.995")
    pipeline = bench.open()
    for event in story.events:
        await pipeline.submit(event.body, at_us=event.at_us)
    await pipeline.submit(replace_name(frame), at_us=story.us + 1)
    pipeline.stop()
    await pipeline.run()
    await pipeline.close()
    state = pipeline.projection.state
    assert ("0.1", "0.005") == (str(state.positions["BTC-USDT:LONG"].run.quantity), str(state.sums.fees))
    assert order_id not in story.projection.state.orders


def test_an_order_with_an_id_beyond_all_others_leaves_memory_as_well() -> None:
    """Whole numbers in JSON have 19 digits, an id may have 32: the fuzz found that its checkpoint could not be written."""
    story = Story(wallet="1000")
    order_id = story.order("9" * 31, z="0.1", ap="100.00000000", fee="0.005")
    story.account("999.995", ("BTC-USDT", PositionSide.LONG, "0.1", "100"))
    story.us += 5 * HOUR_US
    audit(story, "999.995")
    assert order_id not in story.projection.state.orders
    restored = Projection.restored("main", story.projection.checkpoint())
    assert restored.may_be_archived(order_id)
    assert restored.may_be_archived("1")


def deciding_story() -> Story:
    """Tell an order in two executions whose fees fit only the reading per fill: the fold decides that."""
    story = Story(wallet="1000")
    order_id = story.new_order()
    story.order(order_id, z="0.1", q="0.3", ap="100.00000000", fee="0.005", status=OrderStatus.PARTIALLY_FILLED)
    story.order(order_id, z="0.3", q="0.3", ap="100.00000000", fee="0.01")
    return story


def without_decisions(story: Story) -> list[Event]:
    """Give a story's events but for the decisions, which a pipeline journals by itself."""
    return [event for event in story.events if not isinstance(event.body, Decision)]


async def test_a_decision_made_by_the_last_event_before_a_stop_is_journaled(bench: Bench) -> None:
    """Stopping lets what the fold asks for still be written: nothing is lost, nobody trips."""
    pipeline = bench.open()
    for event in without_decisions(deciding_story()):
        await pipeline.submit(event.body, at_us=event.at_us)
    pipeline.stop()
    await pipeline.run()
    await pipeline.close()
    with Reader.open(bench.folder, "main") as reader:
        decided = [event.body.name for event in reader.events() if isinstance(event.body, Decision)]
    assert ["partial_amounts"] == decided


async def test_a_decision_that_a_crash_kept_from_the_journal_is_made_again(bench: Bench) -> None:
    """The next start finds the evidence folded and the decision missing, and submits it."""
    events = without_decisions(deciding_story())
    journal = Journal.open(bench.folder, "main")
    numbered = [(replace(event, n=n), None) for n, event in enumerate(events, 1)]
    await journal.commit(numbered, nothing_derived(FOLD_VERSION))
    journal.abandon()
    _, pipeline = await bench.run([Event(n=0, at_us=events[-1].at_us + 1, heard_us=None, body=settings())])
    assert {"partial_amounts": "per_fill"} == pipeline.projection.state.decisions


def audit(story: Story, wallet: str) -> None:
    """Tell a whole round of answers that moves the watermarks to now."""
    asked_us = story.us
    story.balance(wallet)
    story.positions(story.position_row("0.1", "100"))
    story.fills()
    story.income()
    story.audit_done(asked_us=asked_us)


def replace_name(body: Body) -> OrderPush:
    """Give the same order frame under its other event name."""
    assert isinstance(body, OrderPush)
    assert body.status is OrderStatus.FILLED
    return replace(body, name="TRADE_UPDATE")


async def test_the_present_snapshot_holds_as_long_as_the_stream_lives(bench: Bench) -> None:
    """A heartbeat moves `valid_until` of the answer, and nothing else."""
    story = Story()
    pipeline = bench.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        pipeline.heard(story.us)
        await bench.feed(pipeline, story.events)
        before = orjson.loads(pipeline.snapshot() or b"{}")
        pipeline.heard(story.us + 5_000_000)
        after = orjson.loads(pipeline.snapshot() or b"{}")
        pipeline.stop()
    await pipeline.close()
    assert before["published"].pop("valid_until") < after["published"].pop("valid_until")
    assert before == after


# ---- the end ----------------------------------------------------------------------------------------------------------


class SlowClock(StillClock):
    """A clock by which every look takes a while, as folding does."""

    def __init__(self, now_us: int, look_s: float) -> None:
        super().__init__(now_us)
        self._look_s = look_s
        self._s = 0.0

    def mono_s(self) -> float:
        """Give seconds, some more at each look."""
        self._s += self._look_s
        return self._s


@pytest.mark.parametrize("look_s", [0.01, 0.05, 0.3, DRAIN_S_MAX])
async def test_what_a_stop_has_no_time_to_fold_is_durable_and_folded_by_the_next_start(
    bench: Bench, look_s: float
) -> None:
    """However deep the backlog: the journal is sealed with all of it, and the next run comes to what one run would."""
    story = busy_story()
    bench.clock = SlowClock(story.us, look_s)
    pipeline = bench.open()
    for event in story.events:
        pipeline.heard(event.heard_us or event.at_us)
        await pipeline.submit(event.body, at_us=event.at_us)
    pipeline.stop()
    await pipeline.run()
    folded = len(story.events) - pipeline.left_unfolded
    assert (folded, len(story.events)) == (pipeline.projection.state.n, bench.journal.last_n)
    assert pipeline.left_unfolded or look_s <= 0.05
    await pipeline.close()
    bench.clock = StillClock(story.us)
    again = bench.open()
    assert bench.journal.sealed_at_open
    assert story.projection.state == again.projection.state
    again.stop()
    await again.run()
    await again.close()
    with Reader.open(bench.folder, "main") as reader:
        stored = [record.seq for record in reader.records_after(0, limit=1_000)]
    assert [row["seq"] for row in story.records if row["type"] != "snapshot"] == stored


async def test_the_end_of_a_round_that_nobody_has_time_for_is_left_out(bench: Bench) -> None:
    """It puts orders out of memory, so what is journaled behind it must have been folded after it: it is asked again."""
    story = busy_story()
    story.audit_done()
    story.account("1010.8849", reason="DEPOSIT", change="1")
    bench.clock = SlowClock(story.us, DRAIN_S_MAX)
    pipeline = bench.open()
    for event in story.events:
        await pipeline.submit(event.body, at_us=event.at_us)
    pipeline.stop()
    await pipeline.run()
    await pipeline.close()
    with Reader.open(bench.folder, "main") as reader:
        kinds = [type(event.body) for event in reader.events()]
    assert [type(event.body) for event in story.events if not isinstance(event.body, AuditDone)] == kinds
    assert len(kinds) == pipeline.left_unfolded


async def test_whoever_waits_for_what_is_not_folded_is_not_told_that_it_was(bench: Bench) -> None:
    """Its wait is cancelled."""
    story = busy_story()
    bench.clock = SlowClock(story.us, DRAIN_S_MAX)
    pipeline = bench.open()
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(pipeline.deliver(story.events[0].body, at_us=story.us))
        await asyncio.sleep(0)
        pipeline.stop()
        await pipeline.run()
    assert waits.cancelled()
    await pipeline.close()


async def test_folding_much_lets_others_have_their_turn(bench: Bench) -> None:
    """Between two events of a commit, when folding has kept the loop for long; every fold is whole all the same.

    The watchdog hears of each such pause: many slow folds are no pipeline that hangs.
    """
    story = busy_story()
    bench.clock = SlowClock(story.us, FOLDING_S_MAX)
    pipeline = bench.open()
    fed: list[int] = []
    pipeline.watched(lambda: fed.append(pipeline.projection.state.n), None)
    for event in story.events:
        await pipeline.submit(event.body, at_us=event.at_us)
    seen: list[int] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        while pipeline.projection.state.n < len(story.events):
            await asyncio.sleep(0)
            seen.append(pipeline.projection.state.n)
        pipeline.stop()
    await pipeline.close()
    assert set(range(1, len(story.events) + 1)) <= set(seen) & set(fed)


async def test_telling_much_lets_readers_have_their_turn(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two events of a commit, so that whoever keeps up with the fold is not overtaken; where nobody reads, not."""
    monkeypatch.setattr(pipeline_module, "TOLD_BYTES_MAX", 1)
    story = busy_story()
    pipeline = bench.open()
    for event in story.events:
        await pipeline.submit(event.body, at_us=event.at_us)
    told: list[int] = []
    pauses: list[int] = []
    pipeline.watched(lambda: pauses.append(pipeline.hub.newest_seq), None)

    async def read() -> None:
        with pipeline.hub.subscribe(None, None) as batches:
            told.extend([orjson.loads(batch.splitlines()[-1])["seq"] async for batch in batches])

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        await asyncio.sleep(0)
        running = group.create_task(pipeline.run())
        await pipeline.folded()
        pipeline.hub.end_readers()
        await reading
        paused = len(pauses)
        await pipeline.deliver(story.events[-1].body, at_us=story.us)
        pipeline.stop()
        await running
    await pipeline.close()
    assert len(told) > 1
    assert set(told) <= set(pauses)
    assert len(story.events) - 2 <= paused
    assert paused + 2 >= len(pauses)


# ---- signs of life ----------------------------------------------------------------------------------------------------


class Pulse:
    """Counts the turns of a pipeline, and lets a test wait for them."""

    def __init__(self) -> None:
        self.turns = 0
        self._moved = asyncio.Event()

    def turned(self) -> None:
        """Note a turn."""
        self.turns += 1
        self._moved.set()

    async def beats(self, count: int) -> None:
        """Wait for so many turns from now."""
        due = self.turns + count
        async with asyncio.timeout(WAIT_S_MAX):
            while self.turns < due:
                self._moved.clear()
                await self._moved.wait()


async def test_an_idle_pipeline_turns_all_the_same(bench: Bench) -> None:
    """With nothing to do it is alive; what it does then journals nothing."""
    pipeline, pulse = bench.open(), Pulse()
    pipeline.watched(pulse.turned, 0.001)
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        await pulse.beats(20)
        pipeline.stop()
    await pipeline.close()
    assert 0 == bench.journal.last_n


async def test_a_pipeline_that_nobody_watches_does_not_turn_for_nothing(bench: Bench) -> None:
    """Where no sign of life is wanted, an idle pipeline sleeps until there is something to do."""
    pipeline, pulse = bench.open(), Pulse()
    pipeline.watched(pulse.turned, None)
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        await pipeline.deliver(StreamChanged(state=StreamState.LOST, detail="x", at_ms=None), at_us=HOUR_US)
        pipeline.stop()
    assert pulse.turns <= 3
    await pipeline.close()


async def test_a_commit_that_hangs_gives_no_sign_of_life(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the journal does not answer the pipeline does not turn, although the loop around it does."""
    pipeline, pulse = bench.open(), Pulse()
    pipeline.watched(pulse.turned, 0.001)
    reached, go_on = asyncio.Event(), asyncio.Event()
    commit = bench.journal.commit

    async def hanging(*said: Any) -> None:
        reached.set()
        await go_on.wait()
        await commit(*said)

    monkeypatch.setattr(bench.journal, "commit", hanging)
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        await pulse.beats(1)
        await pipeline.submit(StreamChanged(state=StreamState.LOST, detail="x", at_ms=None), at_us=HOUR_US)
        await reached.wait()
        stood = pulse.turns
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert stood == pulse.turns
        go_on.set()
        await pulse.beats(1)
        pipeline.stop()
    await pipeline.close()


async def test_what_was_queued_is_folded_before_it_is_said(bench: Bench) -> None:
    """`folded` returns after the last of what stood in the queue, and at once where nothing does."""
    pipeline = bench.open()
    await pipeline.folded()
    for second in range(600):
        lost = StreamChanged(state=StreamState.LOST, detail=str(second), at_ms=None)
        await pipeline.submit(lost, at_us=HOUR_US + second)
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        while pipeline.queued():  # noqa: ASYNC110 - until the last of them is in the writer's hand
            await asyncio.sleep(0)
        await pipeline.folded()
        assert (0, 600) == (pipeline.queued(), pipeline.projection.state.n)
        pipeline.stop()
    await pipeline.close()


async def test_a_crash_leaves_no_hole_between_shelves(bench: Bench) -> None:
    """Snapshots that waited for a full shelf when the power failed are put away by the next run."""
    story = Story()
    for _ in range(30):
        story.order(z="1", ap="100", fee="0.05")
    first, rest = story.events[:20], story.events[20:]
    await bench.run(first, seal=False, pieces=10)
    await bench.run(rest, pieces=4)
    with Reader.open(bench.folder, "main") as reader:
        shelves, seq = [], 0
        while (shelf := reader.shelf_from(seq + 1)) is not None:
            assert seq + 1 == shelf.first_seq
            shelves.append(shelf)
            seq = shelf.last_seq
        assert reader.last_seq == seq
    told = [orjson.loads(line)["snapshot"]["event_seq"] for shelf in shelves for line in shelf.lines]
    assert list(range(1, len(told) + 1)) == told


async def test_it_tells_how_long_commits_and_snapshots_take(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit, and each frame of the private stream that led to a snapshot, from its arrival, queueing included."""
    story = busy_story()
    story.account("1010.8849", reason="DEPOSIT", change="1")
    await bench.run(story.events[:-1])
    assert [] == bench.timing.pushes, "nothing of this came over the private stream"
    pipeline = bench.open()
    bench.timing.commits.clear()
    commit = bench.journal.commit

    async def slowly(*words: Any) -> None:
        bench.clock.us += 40_000
        await commit(*words)

    monkeypatch.setattr(bench.journal, "commit", slowly)
    body = story.events[-1].body
    at_us = bench.clock.now_us()
    raw = Raw(source="private", at_us=at_us, data=b"{}")
    await pipeline.submit(body, at_us=at_us, raw=raw)
    await pipeline.submit(body, at_us=at_us, raw=Raw(source="rest", at_us=at_us, data=b"{}"))
    bench.clock.us += 2_000_000
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        await pipeline.folded()
        pipeline.stop()
    assert [0.04] == [round(took_s, 3) for took_s in bench.timing.commits]
    assert [2.04] == [round(took_s, 3) for took_s in bench.timing.pushes]
