"""The client without an event loop: the same answers, and a sentence where it cannot wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ditad.client import Client, SyncClient, UsageError
from ditad.hub import Hub
from ditad.records import RecordType
from tests.api.fake_daemon import FakeAccount, FakeDaemon, record, records, serving


@contextmanager
def served(account: FakeAccount, socket: Path) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve an account from a thread of its own, as a daemon's process would; gives its loop."""
    ready, loops = threading.Event(), []
    stop = asyncio.Event()

    async def serve() -> None:
        async with serving(FakeDaemon(account), socket):
            loops.append(asyncio.get_running_loop())
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield loops[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


def test_every_question_is_answered_in_its_own_thread(socket: Path) -> None:
    """What `Client` is answered, `SyncClient` is."""
    account = FakeAccount()
    for seq, kind in enumerate(RecordType, 1):
        account.add(record(seq, kind))
    with served(account, socket), SyncClient(socket) as client:
        assert 8 == client.snapshot().event_seq
        assert 3 == client.snapshot(event_seq=3).event_seq
        assert ["BTC-USDT", "FET-USDT"] == [pair.symbol for pair in client.positions()]
        lists: list[Iterator[Any]] = [
            client.fills(),
            client.income(),
            client.divergences(state="healed"),
            client.gaps(),
        ]
        assert [[1], [2], [3], [4]] == [[item.seq for item in items] for items in lists]
        assert not client.usable()
        assert 1 == client.put_slots([{"asset": "FET-USDT", "size": Decimal(1)}]).slots
        assert "t-1" == client.settle("t-1", realized_pnl="1.5").settlement_id


def test_events_come_while_other_questions_are_asked(socket: Path) -> None:
    """Between two records whatever else can be asked; leaving early closes the stream; the next one goes on behind it."""
    account = FakeAccount(hub=Hub(5, 1_000_000))
    account.add(*records(1, 30))
    with served(account, socket), SyncClient(socket) as client:
        seqs = []
        for each in client.events(after_seq=0):
            seqs.append(each.seq)
            assert "main" == client.snapshot().account
            if each.seq == 10:
                break
        seqs += [each.seq for each, _ in zip(client.events(after_seq=10), range(20), strict=False)]
    assert list(range(1, 31)) == seqs


def test_outside_its_block_it_says_so(socket: Path) -> None:
    """Before, and after."""
    client = SyncClient(socket)
    with pytest.raises(UsageError, match="inside its `with` block"):
        client.snapshot()
    with client:
        pass
    with pytest.raises(UsageError, match="inside its `with` block"):
        client.usable()


def test_a_stream_that_outlives_its_client_ends(socket: Path) -> None:
    """What was drawn is kept; the next step says that the client is closed, and nothing hangs."""
    account = FakeAccount()
    account.add(*records(1, 3))
    with served(account, socket):
        with SyncClient(socket) as client:
            events = client.events(after_seq=0)
            assert 1 == next(events).seq
        with pytest.raises(UsageError, match="inside its `with` block"):
            next(events)


async def test_in_an_event_loop_the_other_client_is_named(socket: Path) -> None:
    """It would stop that loop; the sentence says what to use."""
    with pytest.raises(UsageError, match="async with Client"), SyncClient(socket):
        pass


def test_one_thread_at_a_time(socket: Path) -> None:
    """A second thread in the middle of a call is told to have a client of its own."""
    account, waiting, free = FakeAccount(), threading.Event(), threading.Event()
    account.add(record(1))
    present: Callable[[], bytes | None] = account.snapshot

    def slow() -> bytes | None:
        waiting.set()
        assert free.wait(20)
        return present()

    account.snapshot = slow  # type: ignore[method-assign]  # an answer that takes its time
    with served(account, socket), SyncClient(socket, account="main") as client:
        first = threading.Thread(target=client.snapshot)
        first.start()
        assert waiting.wait(20)
        try:
            with pytest.raises(UsageError, match="give each thread one of its own"):
                client.snapshot()
        finally:
            free.set()
            first.join()


def test_both_clients_have_the_same_calls() -> None:
    """What one learns the other does too, with the same arguments."""
    import inspect  # noqa: PLC0415 - beside its only use

    calls = [{name for name in vars(kind) if not name.startswith("_")} for kind in (Client, SyncClient)]
    assert calls[0] == calls[1]
    differing = [
        name
        for name in calls[0]
        if inspect.signature(getattr(Client, name)).parameters
        != inspect.signature(getattr(SyncClient, name)).parameters
    ]
    assert [] == differing
