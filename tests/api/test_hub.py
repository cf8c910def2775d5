"""The fan-out: one ring, many cursors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest

from ditad.hub import Hub, Subscription
from ditad.records import RecordType
from tests.api.fake_daemon import START_US, STEP_US, record, records
from tests.support.running import WAIT_S_MAX


async def seqs(subscription: Subscription, count: int) -> list[int]:
    """Read until so many records have come."""
    found: list[int] = []
    async for batch in subscription:
        found += [orjson.loads(line).get("seq", -1) for line in batch.splitlines()]
        if len(found) >= count:
            return found
    return found


async def test_a_reader_gets_what_is_there_and_what_comes() -> None:
    """A reader gets the ring's records after its `seq`, then each new one, in order and once."""
    hub = Hub(10, 10_000)
    hub.publish(records(1, 3))
    with hub.subscribe(1, None) as reader:
        assert [2, 3] == await seqs(reader, 2)
        hub.publish(records(4, 5))
        assert [4, 5] == await seqs(reader, 2)


async def test_a_waiting_reader_is_woken() -> None:
    """A reader that waits gets a record although nothing but its publication happens."""
    hub = Hub(10, 10_000)
    with hub.subscribe(None, None) as reader:
        async with asyncio.timeout(WAIT_S_MAX), asyncio.TaskGroup() as group:
            waiting = group.create_task(anext(reader))
            await asyncio.sleep(0)
            hub.publish(records(1, 1))
        assert 1 == orjson.loads(waiting.result())["seq"]


def test_the_ring_is_bounded_by_count() -> None:
    """The oldest records leave when there are too many."""
    hub = Hub(3, 10_000_000)
    hub.publish(records(1, 10))
    assert (8, 10) == (hub.oldest_seq, hub.newest_seq)


def test_the_ring_is_bounded_by_bytes() -> None:
    """The oldest records leave when they are too large together, and what is held is counted truly."""
    hub = Hub(1_000, 3_000)
    hub.publish(records(1, 50, padding=500))
    held = sum(len(hub.record(seq).line) for seq in range(hub.oldest_seq, 51))
    assert held == hub.held_bytes
    assert held <= 3_000
    assert 50 == hub.newest_seq


def test_of_many_records_the_ring_holds_fewer_bytes() -> None:
    """Beyond the ample number of them only so many bytes are held, and what is held is counted truly."""
    hub = Hub(1_000, 100_000, ample_records=4, ample_bytes=3_000)
    hub.publish(records(1, 50, padding=500))
    assert (47, 50) == (hub.oldest_seq, hub.newest_seq)
    hub.publish(records(51, 100))
    held = sum(len(hub.record(seq).line) for seq in range(hub.oldest_seq, 101))
    assert held == hub.held_bytes
    assert 2_500 < held <= 3_000
    assert hub.newest_seq - hub.oldest_seq >= 4


def test_few_long_records_stay_up_to_the_bound_in_bytes() -> None:
    """The ample number of records is held beyond the ample bytes, but never beyond the capacity."""
    hub = Hub(1_000, 3_000, ample_records=100, ample_bytes=1_000)
    hub.publish(records(1, 50, padding=500))
    assert 2_000 < hub.held_bytes <= 3_000


def test_the_hub_counts_what_was_published() -> None:
    """Also what has left the ring."""
    made = records(1, 20, padding=500)
    hub = Hub(3, 1_000_000)
    hub.publish(made[:15])
    hub.publish(made[15:])
    assert sum(len(one.line) for one in made) == hub.published_bytes


def test_the_newest_record_stays_however_large() -> None:
    """A record larger than the whole ring is the only one in it."""
    hub = Hub(10, 1_000)
    hub.publish([record(1), record(2, padding=5_000)])
    assert (2, 2) == (hub.oldest_seq, hub.newest_seq)


async def test_an_overtaken_reader_is_told_and_ended() -> None:
    """A reader that the ring's old end has passed gets `dropped` with what it will not get, then nothing."""
    hub = Hub(3, 1_000_000)
    hub.publish(records(1, 1))
    with hub.subscribe(1, None) as reader:
        hub.publish(records(2, 9))
        assert {"type": "dropped", "from": 2, "to": 9} == orjson.loads(await anext(reader))
        with pytest.raises(StopAsyncIteration):
            await anext(reader)


async def test_a_reader_just_in_time_is_not_dropped() -> None:
    """A reader whose next record is the oldest in the ring loses nothing."""
    hub = Hub(3, 1_000_000)
    hub.publish(records(1, 1))
    with hub.subscribe(1, None) as reader:
        hub.publish(records(2, 4))
        assert [2, 3, 4] == await seqs(reader, 3)


async def test_types_are_filtered_and_the_bookmark_says_how_far_it_is() -> None:
    """A filter makes holes; after quiet, a bookmark says how far the account is."""
    hub = Hub(10_000, 100_000_000, bookmark_s=60.0, now_us=lambda: START_US)
    hub.publish([*records(1, 5_000, RecordType.GAP), record(5_001), record(5_002, RecordType.GAP)])
    with hub.subscribe(0, frozenset({RecordType.FILL})) as reader:
        assert [5_001] == await seqs(reader, 1)
        hub.bookmark_s = 0.01
        expected = {"type": "bookmark", "seq": 5_002, "ts": "2026-01-01T00:00:00.000000Z"}
        assert expected == orjson.loads(await anext(reader))


async def test_a_reader_ends_at_its_end() -> None:
    """A reader with an end stops there although there is more."""
    hub = Hub(100, 1_000_000)
    hub.publish(records(1, 9))
    with hub.subscribe(0, None) as reader:
        reader.end_seq = 4
        assert [1, 2, 3, 4] == await seqs(reader, 100)


async def test_readers_can_be_ended() -> None:
    """Ending the readers wakes those that wait, and they are no longer counted when they have left."""
    hub = Hub(10, 10_000)
    with hub.subscribe(None, None) as reader:
        assert 1 == hub.subscribers
        async with asyncio.timeout(WAIT_S_MAX), asyncio.TaskGroup() as group:
            waiting = group.create_task(seqs(reader, 1))
            await asyncio.sleep(0)
            hub.end_readers()
        assert [] == waiting.result()
    assert 0 == hub.subscribers


def noting(call: Callable[..., object], noted: list[object]) -> Callable[..., object]:
    """Do as `call` does, and note what it was asked."""

    def called(*arguments: object, **more: object) -> object:
        noted.append(arguments)
        return call(*arguments, **more)

    return called


async def test_publishing_does_not_touch_the_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, publishing leaves one note for the event loop and nothing more."""
    hub = Hub(1_000, 1_000_000)
    readers = [hub.subscribe(None, None) for _ in range(200)]
    loop = asyncio.get_running_loop()
    noted: list[object] = []
    async with asyncio.timeout(WAIT_S_MAX), asyncio.TaskGroup() as group:
        waiting = [group.create_task(anext(reader)) for reader in readers]
        await asyncio.sleep(0)
        with monkeypatch.context() as patched:
            patched.setattr(loop, "call_soon", noting(loop.call_soon, noted))
            for seq in range(1, 101):
                hub.publish(records(seq, seq))
    assert 1 == len(noted)
    assert {100} == {len(each.result().splitlines()) for each in waiting}


def test_numbers_go_on_after_a_restart() -> None:
    """A hub continues where an earlier process stopped; what came before is not in its ring."""
    hub = Hub(10, 10_000)
    hub.continue_from(41)
    hub.publish(records(42, 43))
    assert (42, 43) == (hub.oldest_seq, hub.newest_seq)


def test_a_hole_in_the_numbers_is_our_fault() -> None:
    """A record that does not follow is never taken."""
    hub = Hub(10, 10_000)
    with pytest.raises(AssertionError):
        hub.publish([record(2)])


@pytest.mark.parametrize(("after_steps", "expected"), [(0, None), (4, None), (5, 5), (7, 7), (99, 9)])
def test_a_moment_is_found_in_the_ring(after_steps: int, expected: int | None) -> None:
    """The last record at or before a moment is found, or that it lies before the ring."""
    hub = Hub(5, 1_000_000)
    hub.publish(records(1, 9))
    assert expected == hub.seq_at(START_US + after_steps * STEP_US)
