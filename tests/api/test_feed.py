"""History, then the hub: no hole, no double."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from ditad.api.answers import Problem
from ditad.api.doors import GoneError
from ditad.api.feed import SCANNED_MAX, Feed
from ditad.api.routes import EventsRequest
from ditad.errors import JournalError
from ditad.hub import Hub
from ditad.records import Record, RecordType
from tests.api.fake_daemon import START_US, STEP_US, FakeAccount, record, records


def asked(
    *,
    after_seq: int | None = None,
    since_us: int | None = None,
    follow: bool = False,
    types: frozenset[RecordType] | None = None,
    snapshot: bool = False,
) -> EventsRequest:
    """Ask for the stream of the one account."""
    return EventsRequest(
        account="main", after_seq=after_seq, since_us=since_us, follow=follow, types=types, snapshot=snapshot
    )


async def told(account: FakeAccount, request: EventsRequest, until: int | None = None) -> list[dict[str, object]]:
    """Read a feed to its end, or until it has given record `until`."""
    feed = Feed(account, request)
    await feed.open()
    lines: list[dict[str, object]] = []
    async for batch in feed.batches():
        lines += [orjson.loads(line) for line in batch.splitlines()]
        if until is not None and lines[-1].get("seq") == until:
            feed.end()
    await feed.close()
    return lines


def account_with(journaled: int, *, ring: int) -> FakeAccount:
    """Make an account whose journal has so many records and whose ring the newest `ring` of them."""
    account = FakeAccount(hub=Hub(ring, 10_000_000))
    for each in records(1, journaled):
        account.add(each)
    return account


@pytest.mark.parametrize("after_seq", [0, 1, 49, 50, 89, 90, 91, 99, 100])
async def test_a_reader_gets_all_after_its_seq(after_seq: int) -> None:
    """Wherever the ring begins, a reader gets every later record once and then the end."""
    account = account_with(100, ring=10)
    lines = await told(account, asked(after_seq=after_seq))
    assert list(range(after_seq + 1, 101)) == [line["seq"] for line in lines]


@pytest.mark.parametrize("ring", [1, 2, 7, 1_000])
@pytest.mark.parametrize("growing", [0, 1, 50])
async def test_there_is_no_seam_while_the_account_goes_on(ring: int, growing: int) -> None:
    """With records being made while history is read, so that the ring moves on, none is lost and none comes twice."""
    account = account_with(60, ring=ring)
    account.on_history = records(61, 60 + growing)
    last = 60 if ring == 1_000 else 60 + growing  # with all in the ring, history is not read and nothing is added
    lines = await told(account, asked(after_seq=0, follow=True), until=last)
    assert list(range(1, last + 1)) == [line["seq"] for line in lines]


async def test_history_is_left_where_the_ring_begins() -> None:
    """A reader whose next record is in the ring does not ask the journal; else it asks for no more than lacks."""
    account = account_with(100, ring=10)
    await told(account, asked(after_seq=90))
    assert 0 == account.histories
    await told(account, asked(after_seq=0))
    assert (1, 90) == (account.histories, account.pulled)


class Early(FakeAccount):
    """An account whose history begins at a checkpoint, somewhat before what was asked for."""

    async def history(self, after_seq: int) -> AsyncIterator[Record]:
        """Begin three records early."""
        async for each in super().history(max(0, after_seq - 3)):
            yield each


async def test_history_that_begins_early_gives_nothing_twice() -> None:
    """What the journal gives before the reader's `seq` is passed over."""
    account = Early(hub=Hub(5, 10_000_000))
    for each in records(1, 30):
        account.add(each)
    lines = await told(account, asked(after_seq=12))
    assert list(range(13, 31)) == [line["seq"] for line in lines]


async def test_without_a_beginning_only_new_records_come() -> None:
    """Without `after_seq` the stream begins with the next record; without `follow` it ends at once."""
    account = account_with(5, ring=10)
    assert [] == await told(account, asked())


async def test_the_present_snapshot_comes_first_when_asked_for() -> None:
    """`snapshot=1` gives the present snapshot as a record, then what comes after it."""
    account = account_with(5, ring=10)
    lines = await told(account, asked(snapshot=True))
    assert [("snapshot", 5, 5)] == [(line["type"], line["seq"], line["snapshot"]["event_seq"]) for line in lines]  # type: ignore[index]


async def test_types_are_kept_through_history_and_ring() -> None:
    """A filter holds on both sides of the seam."""
    account = FakeAccount(hub=Hub(5, 10_000_000))
    for seq in range(1, 21):
        account.add(record(seq, RecordType.FILL if seq % 3 else RecordType.GAP))
    lines = await told(account, asked(after_seq=0, types=frozenset({RecordType.GAP})))
    assert [3, 6, 9, 12, 15, 18] == [line["seq"] for line in lines]


@pytest.mark.parametrize("seconds", [0, 1, 50, 93, 100])
async def test_since_a_moment(seconds: int) -> None:
    """What was made after a moment comes, whether it lies in the ring or the journal only knows roughly where."""
    account = account_with(100, ring=10)
    lines = await told(account, asked(since_us=START_US + seconds * STEP_US))
    assert list(range(seconds + 1, 101)) == [line["seq"] for line in lines]


async def test_what_is_not_kept_is_gone() -> None:
    """A `seq` before the oldest record kept is refused with the oldest; 0 means the oldest kept."""
    account = account_with(100, ring=10)
    account.kept_from = 40
    account.journal = account.journal[39:]
    with pytest.raises(GoneError) as refused:
        await Feed(account, asked(after_seq=38)).open()
    assert 40 == refused.value.oldest
    lines = await told(account, asked(after_seq=0))
    assert list(range(40, 101)) == [line["seq"] for line in lines]


async def test_a_seq_of_another_journal_is_refused() -> None:
    """A reader that knows more records than there are is not left waiting for them."""
    with pytest.raises(Problem) as refused:
        await Feed(account_with(5, ring=10), asked(after_seq=6)).open()
    assert (409, {"newest": 5}) == (refused.value.status, refused.value.more)


class Holed(FakeAccount):
    """An account whose journal lacks a record, or fails at it."""

    failing = False

    async def history(self, after_seq: int) -> AsyncIterator[Record]:
        """Leave out record 20."""
        async for each in super().history(after_seq):
            if each.seq != 20:
                yield each
            elif self.failing:
                raise JournalError("the disk is gone")


@pytest.mark.parametrize("failing", [True, False])
async def test_a_hole_in_history_is_told(failing: bool) -> None:
    """Where history has a hole or fails, the reader is dropped there and told so, and gets nothing beyond it."""
    account = Holed(hub=Hub(10, 10_000_000))
    account.failing = failing
    for each in records(1, 50):
        account.add(each)
    lines = await told(account, asked(after_seq=0))
    assert list(range(1, 20)) == [line["seq"] for line in lines[:-1]]
    assert {"type": "dropped", "from": 20, "to": 50} == lines[-1]


async def test_what_a_filter_found_does_not_wait_for_what_it_will_find() -> None:
    """The first of two rare records is sent while the journal is still being read for the other one."""
    account = FakeAccount(hub=Hub(1, 10_000_000))
    account.add(record(1, RecordType.GAP), *records(2, 5_000), record(5_001, RecordType.GAP), *records(5_002, 5_010))
    feed = Feed(account, asked(after_seq=0, types=frozenset({RecordType.GAP})))
    await feed.open()
    pulled = [(orjson.loads(batch)["seq"], account.pulled) async for batch in feed.batches()]
    await feed.close()
    assert [1, 5_001] == [seq for seq, _ in pulled]
    assert pulled[0][1] <= SCANNED_MAX + 2
