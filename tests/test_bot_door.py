"""The bot's door: durable before answered, once for an id for ever, and for whom the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ditad.api.doors import ConflictError, UnavailableError
from ditad.bot import SETTLEMENTS_MAX
from ditad.bot_door import REPEATED_US_MAX, BotDoor
from ditad.errors import RefusedError, UsageError
from ditad.journal import Reader
from tests.support.story import Story
from tests.test_bot_words import SLOT
from tests.test_pipeline import Bench


@asynccontextmanager
async def door_of(
    bench: Bench, *, bot_uids: tuple[int, ...] = (), seal: bool = True, baseline: bool = True
) -> AsyncIterator[BotDoor]:
    """Run a pipeline that has a baseline, and give its bot's door."""
    pipeline = bench.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(pipeline.run())
        if not pipeline.has_baseline():
            await bench.feed(pipeline, Story(baseline=baseline).events)
        yield BotDoor(account="main", bot_uids=bot_uids, pipeline=pipeline, clock=bench.clock)
        pipeline.stop()
    if seal:
        await pipeline.close()
    else:
        bench.journal.abandon()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give a bench on a fresh folder."""
    return Bench(tmp_path)


def settlement(name: str, profit: str = "1") -> dict[str, Any]:
    """Give a settlement as a bot says it."""
    return {"settlement_id": name, "realized_pnl": profit, "fees": "0.5"}


def events_in(bench: Bench) -> int:
    """Say how many events are durable."""
    with Reader.open(bench.folder, "main") as reader:
        return reader.last_n


async def test_what_is_answered_is_durable(bench: Bench) -> None:
    """The journal holds it by then."""
    async with door_of(bench) as door:
        before = events_in(bench)
        assert {"account": "main", "slots": 1, "open_positions": 1, "unchanged": False} == await door.put_slots(
            0, [SLOT]
        )
        answer = await door.settle(0, settlement("s1", "1.10"))
        assert {
            "account": "main",
            "settlement_id": "s1",
            "realized_pnl": "1.1",
            "fees": "0.5",
            "repeated": False,
        } == answer
        assert before + 2 == events_in(bench)


@pytest.mark.parametrize("seal", [True, False], ids=["orderly", "crash"])
async def test_a_settlement_counts_once_for_ever(bench: Bench, *, seal: bool) -> None:
    """However many came after it, and after a restart: a repeat is a no-op, other amounts a conflict."""
    async with door_of(bench, seal=seal) as door:
        await door.settle(0, settlement("old", "7"))
        for number in range(SETTLEMENTS_MAX + 3):
            await door.settle(0, settlement(f"s{number}"))
        assert (await door.settle(0, settlement("old", "7.0")))["repeated"]
    async with door_of(bench, seal=seal) as door:
        before = events_in(bench)
        for name, profit in (("old", "7"), ("s0", "1"), (f"s{SETTLEMENTS_MAX}", "1")):
            assert (await door.settle(0, settlement(name, profit)))["repeated"]
        with pytest.raises(ConflictError, match=r"settlement old was told before, with realized_pnl 7 and fees 0\.5"):
            await door.settle(0, settlement("old", "8"))
        assert before == events_in(bench)


async def test_two_of_one_id_at_once_are_booked_once(bench: Bench) -> None:
    """One is a repeat of the other."""
    async with door_of(bench) as door:
        answers = await asyncio.gather(*(door.settle(0, settlement("s1")) for _ in range(5)))
        assert [False, True, True, True, True] == sorted(bool(answer["repeated"]) for answer in answers)


async def test_slots_that_say_the_same_again_fill_no_disk(bench: Bench) -> None:
    """They are journaled again only after a minute; a change always is."""
    async with door_of(bench) as door:
        await door.put_slots(0, [SLOT])
        before = events_in(bench)
        assert (await door.put_slots(0, [SLOT]))["unchanged"]
        assert before == events_in(bench)
        assert not (await door.put_slots(0, []))["unchanged"]
        bench.clock.us += REPEATED_US_MAX
        assert not (await door.put_slots(0, []))["unchanged"]
        assert before + 2 == events_in(bench)


async def test_only_who_is_named_may_tell(bench: Bench) -> None:
    """By uid; where nobody is named, whoever reaches the socket."""
    async with door_of(bench, bot_uids=(7,)) as door:
        await door.put_slots(7, [])
        with pytest.raises(RefusedError, match="uid 0"):
            await door.put_slots(0, [])
        with pytest.raises(RefusedError, match="uid 0"):
            await door.settle(0, settlement("s1"))


async def test_without_a_baseline_there_is_nothing_to_compare_with(bench: Bench) -> None:
    """It says so, and books nothing."""
    async with door_of(bench, baseline=False) as door:
        with pytest.raises(UnavailableError, match="no baseline"):
            await door.put_slots(0, [])
        with pytest.raises(UnavailableError, match="no baseline"):
            await door.settle(0, settlement("s1"))


async def test_what_is_no_settlement_is_not_journaled(bench: Bench) -> None:
    """Nor what are no slots."""
    async with door_of(bench) as door:
        before = events_in(bench)
        with pytest.raises(UsageError):
            await door.settle(0, {"settlement_id": "s"})
        with pytest.raises(UsageError):
            await door.put_slots(0, [{}])
        assert before == events_in(bench)
