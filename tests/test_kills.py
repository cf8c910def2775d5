"""The kill loop put to the test: what a dead daemon may not have done is found.

All events here are synthetic.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import cast

import pytest

from ditad.events import Event, PositionSide
from ditad.exchange import Desk
from ditad.journal import Checkpoint, Derived, Journal
from ditad.projection import Projection
from ditad.records import Record
from ditad.state import FOLD_VERSION
from tests.exchange.stage import Stage
from tests.kills import moments
from tests.kills.proof import Refold, copy_of
from tests.kills.reader import StreamReader, digest
from tests.kills.trading import FUNDING_APART_MS, SeldomFunded
from tests.support.story import Story

EVENTS_OF_FIRST_LIFE = 4
_OTHER_LINE = """UPDATE records SET line = (SELECT line FROM records ORDER BY seq LIMIT 1)
                 WHERE seq = (SELECT max(seq) FROM records)"""


def told() -> list[Event]:
    """Tell a short life: a fill with its balance, a deposit, another fill."""
    story = Story(wallet="1000")
    first = story.order(z="0.1", ap="100.00000000", fee="0.005")
    story.account("999.995", ("BTC-USDT", PositionSide.LONG, "0.1", "100"))
    story.account("1009.995", reason="DEPOSIT", change="10")
    story.order(first, z="0.1", ap="100.00000000", fee="0.005", name="TRADE_UPDATE")
    story.order(z="0.2", ap="101.00000000", fee="0.0101")
    return story.events


class Bench:
    """A journal that daemons write and leave, and a reader who was told all their records."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir()
        self.reader = StreamReader(folder / "s", "main")
        self.refold = Refold("main")
        self._copy = folder / "copy"

    async def live(self, events: Sequence[Event], *, checkpoint: bool = True) -> None:
        """Let a daemon live: it folds again what there is, takes some events, publishes, and is killed."""
        journal = Journal.open(self.state, "main")
        projection = Projection("main")
        for event in journal.events_from(1):
            projection.fold(event)
        records: list[Record] = []
        for event in events:
            await journal.commit([(event, None)], _derived(records))
            records = list(projection.fold(event).records)
            self.reader.digests += [digest(record.line) for record in records]
        state = projection.state
        point = Checkpoint(
            n=state.n,
            seq=state.seq,
            event_seq=state.event_seq,
            at_us=state.at_us,
            fold_version=FOLD_VERSION,
            state=projection.checkpoint(),
        )
        await journal.close(_derived(records, point if checkpoint else None))

    def change(self, statement: str) -> None:
        """Do to the journal what nobody may."""
        with closing(sqlite3.connect(self.state / "main.journal", isolation_level=None)) as journal:
            journal.execute(statement)

    def look(self) -> None:
        """Look at what is left."""
        self.refold.after_a_death(
            copy_of(self.state, "main", self._copy), self.reader, len(self.reader.digests), self.reader.last_n
        )


def _derived(records: Sequence[Record], checkpoint: Checkpoint | None = None) -> Derived:
    return Derived(records=tuple(records), fold_version=FOLD_VERSION, checkpoint=checkpoint, archive=())


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    """Give a bench whose first daemon has been looked at; since then two have died, one of them at its start."""
    made = Bench(tmp_path)
    events = told()
    await made.live(events[:EVENTS_OF_FIRST_LIFE], checkpoint=False)
    made.look()
    await made.live([])
    await made.live(events[EVENTS_OF_FIRST_LIFE:])
    return made


async def test_what_honest_daemons_leave_is_what_they_published(bench: Bench) -> None:
    """Their checkpoints are the states at their events."""
    bench.look()
    assert {EVENTS_OF_FIRST_LIFE, len(told())} == bench.refold.checkpoints


@pytest.mark.parametrize(
    ("done", "found"),
    [
        ("UPDATE events SET at_us = at_us + 1 WHERE n = 2", "gone or changed"),
        ("DELETE FROM events WHERE n = (SELECT max(n) FROM events)", "folded beyond its last event"),
        ("UPDATE checkpoints SET state = (SELECT state FROM checkpoints ORDER BY n LIMIT 1)", "checkpoint of"),
        (_OTHER_LINE, "published otherwise"),
    ],
    ids=("an event changed", "an event gone", "a checkpoint of another state", "a record changed"),
)
async def test_what_no_daemon_may_do_is_found(bench: Bench, done: str, found: str) -> None:
    """Whichever of the daemons did it."""
    bench.change(done)
    with pytest.raises(Exception, match=found):
        bench.look()


async def test_a_record_published_in_two_ways_is_found(bench: Bench) -> None:
    """The reader was told something that the journal does not lead to."""
    bench.reader.digests[-1] = digest(b"{}")
    with pytest.raises(AssertionError, match="published otherwise"):
        bench.look()


async def test_a_record_that_no_event_leads_to_is_found(bench: Bench) -> None:
    """The reader was told more than the journal leads to."""
    bench.reader.digests.append(digest(b"{}"))
    with pytest.raises(AssertionError, match="were published, folding the journal again gives"):
        bench.look()


def test_settlements_are_as_far_apart_as_the_contract_wants() -> None:
    """Before that one asked for pays nothing."""
    stage = Stage()
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.1", price="100000")
    desk = SeldomFunded(stage.main)
    paid = []
    for pause_ms in (0, FUNDING_APART_MS - 1, 1):
        stage.clock.now_ms += pause_ms
        paid.append(bool(desk.settle_funding(Decimal("0.0001"))))
    assert [True, False, True] == paid
    assert 2 == sum(row.kind == "FUNDING_FEE" for row in cast("Desk", desk).incomes)


def test_a_checkpoint_is_waited_for_only_where_the_log_is_nearly_full(tmp_path: Path) -> None:
    """A log that was never begun is not folded back for a long time."""
    chance = Random(1)  # noqa: S311 - a story
    drawn = {moments.drawn(tmp_path, "main", chance) for _ in range(200)}
    assert moments.in_a_checkpoint not in drawn
    assert set(moments.UNDER_LOAD) == drawn
    head = bytearray(moments.LOG_INDEX_HEAD)
    head[16:20] = moments.LOG_NEARLY_FULL.to_bytes(4, "little")
    (tmp_path / "main.journal-shm").write_bytes(head)
    assert moments.in_a_checkpoint in {moments.drawn(tmp_path, "main", chance) for _ in range(200)}
