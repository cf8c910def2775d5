"""A teller over an account of values: what it hands over, what it does when that is not taken, and where it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ditad.errors import JournalError
from ditad.hub import Hub
from ditad.records import Record
from ditad.tell import teller as module
from ditad.tell.place import Place, PlaceFile
from ditad.tell.teller import PAUSE_S_MAX, PAUSE_S_MIN, Teller
from tests.api.fake_daemon import FakeAccount, record, records, until
from tests.tell.noting import Notes, Pauses, Receiver, of, teller_of


@asynccontextmanager
async def telling(teller: Teller) -> AsyncIterator[None]:
    """Let it run until the end of the block, as a daemon does."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(teller.run())
        yield
        task.cancel()


class TakesOne(Receiver):
    """A hook that takes one telling, and hangs on the next."""

    async def tell(self, telling: bytes, *, key: str) -> None:
        """Take it, and then nothing until it is set free again."""
        await super().tell(telling, key=key)
        self.free.clear()


def alternating(first: int, last: int) -> list[Record]:
    """Give a gap that opens and closes again and again: every record is news."""
    return [of("gap", "g1", "open" if seq % 2 else "final", seq) for seq in range(first, last + 1)]


def opened(seqs: Sequence[int]) -> list[Record]:
    """Give gaps that open, one with each number."""
    return [of("gap", f"g{seq}", "open", seq) for seq in seqs]


async def test_what_changes_is_told_once_and_in_order(tmp_path: Path) -> None:
    """Among records of other types; the key is the same for the same telling, and all of it is counted."""
    account, hook, log = FakeAccount(), Receiver(), Notes()
    teller = teller_of(account, hook, tmp_path, log=log)
    async with telling(teller):
        account.add(record(1), of("gap", "g1", "open", 2), record(3), of("gap", "g1", "provisional", 4))
        account.add(of("divergence", "d1", "confirmed", 5, severity="ERROR"), of("gap", "g1", "final", 6))
        await until(lambda: len(hook.taken) == 3)
    assert [(2, "gap.opened"), (5, "divergence.confirmed"), (6, "gap.final")] == hook.news
    assert ["main:2", "main:5", "main:6"] == hook.keys
    assert {"delivered": 3, "failed": 0, "dropped": 0, "retried": 0} == teller.counts
    assert [2, 5, 6] == [line["seq"] for line in log.of("tell.delivered")]


async def test_the_first_time_it_begins_with_what_comes(tmp_path: Path) -> None:
    """What was before is not told, and the log says so."""
    account, hook, log = FakeAccount(), Receiver(), Notes()
    account.add(*opened([1, 2]))
    async with telling(teller_of(account, hook, tmp_path, log=log)):
        account.add(of("gap", "g3", "open", 3))
        await until(lambda: bool(hook.taken))
    assert [(3, "gap.opened")] == hook.news
    assert [{"after_seq": 2, "reason": "nothing was told before", "to": "receiver"}] == log.of("tell.began")


async def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """What came while it was away is told, nothing twice, and an end only of what was told."""
    account, hook = FakeAccount(hub=Hub(3, 1_000_000)), Receiver()
    async with telling(teller_of(account, hook, tmp_path)):
        account.add(of("gap", "g1", "open", 1))
        await until(lambda: bool(hook.taken))
    account.add(of("gap", "g1", "open", 2), *records(3, 8), of("gap", "g1", "final", 9), of("gap", "g0", "final", 10))
    log = Notes()
    async with telling(teller_of(account, hook, tmp_path, log=log)):
        await until(lambda: len(hook.taken) == 2)
        account.add(of("gap", "g2", "open", 11))
        await until(lambda: len(hook.taken) == 3)
    assert [(1, "gap.opened"), (9, "gap.final"), (11, "gap.opened")] == hook.news
    assert [{"after_seq": 1, "to": "receiver"}] == log.of("tell.resumed")


async def test_what_was_under_way_at_the_end_is_told_again(tmp_path: Path) -> None:
    """Nobody knows whether it arrived; its number says that it is the same."""
    account, hook = FakeAccount(), Receiver()
    hook.free.clear()
    async with telling(teller_of(account, hook, tmp_path)):
        account.add(of("gap", "g1", "open", 1), of("gap", "g2", "open", 2))
        await hook.entered.wait()
    assert [] == hook.taken
    hook.free.set()
    async with telling(teller_of(account, hook, tmp_path)):
        await until(lambda: len(hook.taken) == 2)
    assert [(1, "gap.opened"), (2, "gap.opened")] == hook.news


async def test_each_telling_that_is_over_is_kept_at_once(tmp_path: Path) -> None:
    """A daemon that is killed tells again what was under way, and nothing before it."""
    account, hook, file = FakeAccount(), Receiver(), PlaceFile(tmp_path, "main")
    async with telling(teller_of(account, hook, tmp_path)):
        account.add(of("gap", "g1", "open", 1))
        await until(lambda: file.load()[0] == Place(after_seq=1, told={"g1": "open"}))
        hook.free.clear()
        hook.entered.clear()
        account.add(*opened([2, 3]))
        await hook.entered.wait()
        assert (Place(after_seq=1, told={"g1": "open"}), "") == file.load()


async def test_a_quiet_end_keeps_how_far_it_read(tmp_path: Path) -> None:
    """The next start looks through nothing that was no news."""
    account, hook = FakeAccount(hub=Hub(100, 1_000_000, bookmark_s=0.001)), Receiver()
    teller = teller_of(account, hook, tmp_path)
    async with telling(teller):
        account.add(*records(1, 9))
        await until(lambda: teller._cursor == 9)
    assert (Place(after_seq=9, told={}), "") == PlaceFile(tmp_path, "main").load()


async def test_while_nothing_is_told_the_place_is_kept_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a daemon that is killed looks through little."""
    monkeypatch.setattr(module, "KEEP_S", 0.0)
    account, hook, file = (
        FakeAccount(hub=Hub(100, 1_000_000, bookmark_s=0.001)),
        Receiver(),
        PlaceFile(tmp_path, "main"),
    )
    async with telling(teller_of(account, hook, tmp_path)):
        account.add(*records(1, 9))
        await until(lambda: file.load()[0] == Place(after_seq=9, told={}))


async def test_another_journal_is_begun_anew(tmp_path: Path) -> None:
    """A place beyond the newest record says nothing of this journal; nor does one that is damaged or too far behind."""
    account = FakeAccount()
    account.add(*records(1, 3))
    said = []
    for data in (b'{"after_seq":9,"told":{}}', b"{", b'{"after_seq":0,"told":{}}'):
        (tmp_path / "main.tell").write_bytes(data)
        log = Notes()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "BEHIND_MAX", 2)
            teller = teller_of(account, Receiver(), tmp_path, log=log)
        assert 3 == teller._place.after_seq
        said.append(log.of("tell.began")[0]["reason"])
    assert [
        "what was told lies 6 records beyond the newest: it was another journal",
        "main.tell is damaged",
        "the last one was told 3 records ago",
    ] == said


async def test_a_refusal_is_tried_again_with_growing_pauses(tmp_path: Path) -> None:
    """With jitter, each within half and the whole of its bound; that it is tried again is logged once."""
    account, hook, log, sleep = FakeAccount(), Receiver(refusals=9), Notes(), Pauses()
    teller = teller_of(account, hook, tmp_path, log=log, sleep=sleep, retry_s=1_000)
    async with telling(teller):
        account.add(of("gap", "g1", "open", 1))
        await until(lambda: bool(hook.taken))
    bounds = [min(PAUSE_S_MAX, PAUSE_S_MIN * 2**step) for step in range(9)]
    assert [True] * 9 == [bound / 2 <= pause <= bound for bound, pause in zip(bounds, sleep.taken, strict=True)]
    assert len({pause / bound for bound, pause in zip(bounds, sleep.taken, strict=True)}) > 1
    assert [{"seq": 1, "news": "gap.opened", "to": "receiver", "reason": "not now"}] == log.of("tell.retrying")
    assert (9, 1, 0) == (teller.counts["retried"], teller.counts["delivered"], hook.taken[0]["missed"])


@pytest.mark.parametrize(
    ("again", "retry_s", "attempts"), [(True, 10.0, (5, 6)), (True, 0.0, (1,)), (False, 10.0, (1,))]
)
async def test_trying_has_an_end(tmp_path: Path, again: bool, retry_s: float, attempts: tuple[int, ...]) -> None:
    """When the pauses have added up, or at once where it cannot help, it is logged, counted, and missed by the next one."""
    account, hook, log, sleep = FakeAccount(), Receiver(refusals=1_000, again=again), Notes(), Pauses()
    teller = teller_of(account, hook, tmp_path, log=log, sleep=sleep, retry_s=retry_s)
    async with telling(teller):
        account.add(of("gap", "g1", "open", 1))
        await until(lambda: teller.counts["failed"] == 1)
        hook.refusals = 0
        account.add(of("gap", "g2", "open", 2))
        await until(lambda: bool(hook.taken))
    (failed,) = log.of("tell.failed")
    assert ("error", "not now", True) == (
        next(level for level, event, _ in log.lines if event == "tell.failed"),
        failed["reason"],
        failed["attempts"] in attempts,
    )
    assert sum(sleep.taken) <= retry_s + PAUSE_S_MAX
    assert [(2, 1)] == [(telling["seq"], telling["missed"]) for telling in hook.taken]


async def test_beyond_the_bound_the_oldest_is_dropped(tmp_path: Path) -> None:
    """It is logged and counted, the next telling says how many are missing, and the one under way is kept."""
    account, hook, log = FakeAccount(), Receiver(), Notes()
    hook.free.clear()
    teller = teller_of(account, hook, tmp_path, log=log, waiting_max=2)
    async with telling(teller):
        account.add(of("gap", "g1", "open", 1))
        await hook.entered.wait()
        account.add(*opened([2, 3, 4, 5]))
        await until(lambda: teller.counts["dropped"] == 2)
        assert 2 == teller.waiting
        hook.free.set()
        await until(lambda: len(hook.taken) == 3)
    assert [(1, 0), (4, 2), (5, 0)] == [(telling["seq"], telling["missed"]) for telling in hook.taken]
    assert [2, 3] == [line["seq"] for line in log.of("tell.dropped")]


async def test_what_was_given_up_is_missed_after_a_restart_too(tmp_path: Path) -> None:
    """By the first telling of the next run, and by that alone."""
    account, hook = FakeAccount(), Receiver(refusals=1, again=False)
    teller = teller_of(account, hook, tmp_path)
    async with telling(teller):
        account.add(*opened([1]))
        await until(lambda: teller.counts["failed"] == 1 and teller._idle)
    async with telling(teller_of(account, hook, tmp_path)):
        account.add(*opened([2, 3]))
        await until(lambda: len(hook.taken) == 2)
    assert [(2, 1), (3, 0)] == [(telling["seq"], telling["missed"]) for telling in hook.taken]


async def test_what_was_dropped_is_told_by_the_next_run(tmp_path: Path) -> None:
    """For it lies behind the last one told, and is read again: then it is not missed."""
    account, hook, file = FakeAccount(), TakesOne(), PlaceFile(tmp_path, "main")
    hook.free.clear()
    teller = teller_of(account, hook, tmp_path, waiting_max=1)
    async with telling(teller):
        account.add(*opened([1]))
        await hook.entered.wait()
        account.add(*opened([2, 3]))
        await until(lambda: teller.counts["dropped"] == 1)
        hook.free.set()
        await until(lambda: file.load()[0] == Place(after_seq=1, told={"g1": "open"}, missed=0))
    other = Receiver()
    async with telling(teller_of(account, other, tmp_path)):
        await until(lambda: len(other.taken) == 2)
    assert [(2, 0), (3, 0)] == [(telling["seq"], telling["missed"]) for telling in other.taken]


async def test_nobody_waits_for_a_hook_that_hangs(tmp_path: Path) -> None:
    """The account goes on, and another one's tellings do: nothing but the tellings of this one stands."""
    account, other, hung, hook = FakeAccount(), FakeAccount("other"), Receiver(), Receiver()
    hung.free.clear()
    async with telling(teller_of(account, hung, tmp_path)), telling(teller_of(other, hook, tmp_path)):
        account.add(*opened([1]))
        await hung.entered.wait()
        account.add(*opened(range(2, 50)))
        other.add(*opened([1]))
        await until(lambda: bool(hook.taken))
    assert (49, []) == (account.hub.newest_seq, hung.taken)


async def test_a_reader_that_is_overtaken_goes_on_from_the_journal(tmp_path: Path) -> None:
    """More at once than the ring holds: each is told all the same."""
    account, hook = FakeAccount(hub=Hub(2, 1_000_000)), Receiver()
    async with telling(teller_of(account, hook, tmp_path)):
        account.add(of("gap", "g1", "open", 1))
        await until(lambda: len(hook.taken) == 1)
        account.add(*alternating(2, 40))
        await until(lambda: len(hook.taken) == 40)
    assert list(range(1, 41)) == [seq for seq, _ in hook.news]


async def test_a_journal_that_cannot_be_read_is_asked_again(tmp_path: Path) -> None:
    """With growing pauses, and said; then it goes on where it was."""
    account, hook, log, sleep = FakeAccount(hub=Hub(1, 1_000_000)), Receiver(), Notes(), Pauses()
    account.add(*opened([1, 2, 3]))
    PlaceFile(tmp_path, "main").keep(Place(after_seq=0, told={}))
    history, failures = account.history, [JournalError("no"), JournalError("no")]

    async def failing(after_seq: int) -> AsyncIterator[Record]:
        if failures:
            raise failures.pop()
        async for each in history(after_seq):
            yield each

    account.history = failing  # type: ignore[method-assign]  # a disk that fails twice
    async with telling(teller_of(account, hook, tmp_path, log=log, sleep=sleep)):
        await until(lambda: len(hook.taken) == 3)
    assert ([1.0, 2.0], ["no", "no"]) == (sleep.taken, [line["reason"] for line in log.of("tell.reading_failed")])


async def test_a_journal_that_does_not_reach_the_ring_is_no_busy_loop(tmp_path: Path) -> None:
    """It is asked again with growing pauses, for it may come to."""
    account, hook, sleep = FakeAccount(hub=Hub(1, 1_000_000)), Receiver(), Pauses()
    account.add(*opened([1, 2, 3]))
    account.journal.clear()
    PlaceFile(tmp_path, "main").keep(Place(after_seq=0, told={}))
    async with telling(teller_of(account, hook, tmp_path, sleep=sleep)):
        await until(lambda: len(sleep.taken) >= 8)
    assert [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] == sleep.taken[:8]
    assert [] == hook.taken


async def test_a_place_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    """Telling goes on: at worst something is told twice."""
    account, hook, log, folder = FakeAccount(), Receiver(), Notes(), tmp_path / "state"
    async with telling(teller_of(account, hook, folder, log=log)):
        account.add(of("gap", "g1", "open", 1))
        await until(lambda: bool(log.of("tell.place_not_kept")))
    assert [(1, "gap.opened")] == hook.news
    assert "No such file or directory" == log.of("tell.place_not_kept")[0]["reason"]
