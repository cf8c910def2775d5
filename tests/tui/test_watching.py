"""Rounds of questions, asked of a served fake daemon over its socket."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from ditad.api.client import AnsweredError, ApiClient
from ditad.errors import DaemonUnreachableError
from ditad.records import RecordType, rfc3339
from ditad.tui import watching
from ditad.tui.equity import moments, step_of
from ditad.tui.seen import DIVERGENCES_MAX
from ditad.tui.watching import DaemonWatch
from tests.api.fake_daemon import START_US, FakeAccount, FakeDaemon, record, records, serving


class StillClock:
    """A clock that stands, unless a test moves it at each look."""

    def __init__(self, step_s: float = 0.0) -> None:
        self._mono = 0.0
        self._step_s = step_s

    def now_us(self) -> int:
        """Give one moment."""
        return START_US

    def mono_s(self) -> float:
        """Give seconds that go on by a step at each look."""
        self._mono += self._step_s
        return self._mono


@pytest.fixture
def socket() -> Iterator[Path]:
    """Name a socket in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="ditad-") as folder:
        yield Path(folder) / "s"


@asynccontextmanager
async def watched(daemon: FakeDaemon, socket: Path, *, step_s: float = 0.0) -> AsyncIterator[DaemonWatch]:
    """Serve a daemon and watch it."""
    async with serving(daemon, socket), ApiClient(socket) as client:
        yield DaemonWatch(client, StillClock(step_s))


def busy(name: str = "main", *, last: int = 20) -> FakeAccount:
    """Make an account with divergences, gaps and other records."""
    account = FakeAccount(name)
    kinds = (RecordType.FILL, RecordType.DIVERGENCE, RecordType.GAP, RecordType.SNAPSHOT)
    for seq in range(1, last + 1):
        account.add(record(seq, kinds[seq % 4]))
    return account


async def test_a_round_asks_everything_once(socket: Path) -> None:
    """Accounts, the snapshot, both lists; what is news is what came after a `seq`."""
    async with watched(FakeDaemon(busy()), socket) as watch:
        answers = await watch.round(None, 0)
        assert ("main", 20, START_US) == (answers.account, answers.snapshot and answers.snapshot["event_seq"], START_US)
        assert ([1, 5, 9, 13, 17], [2, 6, 10, 14, 18]) == (
            [row["seq"] for row in answers.divergences],
            [row["seq"] for row in answers.gaps],
        )
        later = await watch.round("main", 13)
        assert ([17], [14, 18]) == ([row["seq"] for row in later.divergences], [row["seq"] for row in later.gaps])
        assert rfc3339(START_US) == f"{answers.at:%Y-%m-%dT%H:%M:%S.%f}Z"


async def test_lists_are_left_alone_while_nothing_is_recorded(socket: Path) -> None:
    """A quiet account costs the daemon no look into its journal."""
    account = busy()
    async with watched(FakeDaemon(account), socket) as watch:
        account.raises = ValueError("not to be asked")
        answers = await watch.round("main", 20)
    assert ((), ()) == (answers.divergences, answers.gaps)


async def test_a_shorter_journal_and_another_account_are_read_anew(socket: Path) -> None:
    """A `seq` means nothing in another journal."""
    async with watched(FakeDaemon(busy(), busy("two")), socket) as watch:
        assert 5 == len((await watch.round("main", 21)).divergences)
        gone = await watch.round("nobody", 13)
        assert ("main", 5) == (gone.account, len(gone.divergences))


async def test_the_last_divergences_are_found_however_far_back(socket: Path) -> None:
    """Behind thousands of other records, and of many only the newest."""
    account = FakeAccount()
    account.add(*records(1, 300, RecordType.DIVERGENCE), *records(301, 9_000))
    async with watched(FakeDaemon(account), socket) as watch:
        found = (await watch.round(None, 0)).divergences
    assert (DIVERGENCES_MAX, 300) == (len(found), found[-1]["seq"])


async def test_an_account_that_is_not_served_has_no_figures(socket: Path) -> None:
    """Nothing is asked that would be refused; one that heard nothing yet has no snapshot."""
    async with watched(FakeDaemon(refused={"main": "make a key"}), socket) as watch:
        answers = await watch.round(None, 0)
        assert ("main", None, ()) == (answers.account, answers.snapshot, answers.gaps)
    async with watched(FakeDaemon(FakeAccount()), socket) as watch:
        assert None is (await watch.round(None, 0)).snapshot


async def test_a_daemon_without_accounts_is_no_error(socket: Path) -> None:
    """There is nothing to show, and that is shown."""
    async with watched(FakeDaemon(), socket) as watch:
        assert (None, ()) == ((await watch.round(None, 0)).account, (await watch.round(None, 0)).accounts)


async def test_nobody_on_the_socket_is_said(socket: Path) -> None:
    """With the sentence of the client."""
    async with ApiClient(socket) as client:
        with pytest.raises(DaemonUnreachableError, match="no daemon on"):
            await DaemonWatch(client, StillClock()).round(None, 0)


async def test_a_daemon_that_takes_its_time_is_taken_for_gone(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round has an end: a socket that systemd holds takes connections whether or not there is a daemon."""
    monkeypatch.setattr(watching, "ROUND_S_MAX", 0.0)
    async with watched(FakeDaemon(busy()), socket) as watch:
        with pytest.raises(TimeoutError):
            await watch.round(None, 0)


async def test_what_is_refused_is_not_taken_for_nothing(socket: Path) -> None:
    """An error is never an empty answer."""
    account = busy()
    account.raises = ValueError("broken")
    async with watched(FakeDaemon(account), socket) as watch:
        with pytest.raises(AnsweredError):
            await watch.round(None, 0)
        with pytest.raises(AnsweredError):
            await watch._snapshot("/v1/accounts/main", at="no moment")


async def test_the_past_is_asked_about_from_now_back(socket: Path) -> None:
    """One figure a moment, at its step, as often as there are moments."""
    account = busy()
    async with watched(FakeDaemon(account), socket) as watch:
        points = [point async for point in watch.past("main", watch.now())]
        asked = [call for call in account.calls if call[0] == "snapshot_at"]
        due = moments(watch.now())
    assert [step_of(at) for at in due] == [at for at, _ in points]
    assert len(due) == len(asked)
    assert {"100.5"} == {str(figure) for _, figure in points}


async def test_the_past_ends_where_the_journal_begins(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And after a time, whatever is left of it."""
    account = busy()

    async def nothing(**_: object) -> None:
        return None

    async with watched(FakeDaemon(account), socket, step_s=20.0) as watch:
        assert 3 == len([point async for point in watch.past("main", watch.now() + timedelta(hours=1))])
    monkeypatch.setattr(account, "snapshot_at", nothing)
    async with watched(FakeDaemon(account), socket) as watch:
        assert [] == [point async for point in watch.past("main", watch.now())]
