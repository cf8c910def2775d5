"""The client against a server on a real unix socket: asking, following, and whether to trade."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad.api import following, refusals
from ditad.api.doors import ConflictError as DoorConflictError
from ditad.api.doors import UnavailableError as DoorUnavailableError
from ditad.api.listening import listen_at
from ditad.api.server import ApiServer
from ditad.client import (
    AnswerError,
    BadRequestError,
    Client,
    ConflictError,
    DaemonUnreachableError,
    DitadError,
    Fill,
    ForbiddenError,
    GapError,
    NotFoundError,
    NotUsableError,
    RateLimitedError,
    UnavailableError,
    UsageError,
)
from ditad.errors import RefusedError
from ditad.errors import UsageError as DoorUsageError
from ditad.hub import Hub
from ditad.records import RecordType
from tests.api.fake_daemon import FakeAccount, FakeDaemon, record, records, serving, until
from tests.support.running import WAIT_S_MAX

VALID = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
"""When the first snapshot of a fake account is still valid."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again quickly."""
    monkeypatch.setattr(following, "BACKOFF_S_MIN", 0.001)
    monkeypatch.setattr(following, "BACKOFF_S_MAX", 0.01)


def lived() -> FakeAccount:
    """Make an account with one record of each type."""
    account = FakeAccount()
    for seq, kind in enumerate(RecordType, 1):
        account.add(record(seq, kind))
    return account


@asynccontextmanager
async def somebody(socket: Path, *answers: bytes) -> AsyncIterator[None]:
    """Answer each connection with the next of these bodies as a stream, whoever asks for what; the last one again and again."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = left.pop(0) if len(left) > 1 else left[0]
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()

    async with await asyncio.start_unix_server(answer, str(socket)):
        yield


# ---- asking -----------------------------------------------------------------------------------------------------------


async def test_the_only_account_needs_no_name(socket: Path) -> None:
    """Snapshot, positions and every list come typed, of the one account that there is."""
    async with serving(FakeDaemon(lived()), socket), Client(socket) as client:
        snapshot = await client.snapshot()
        then = await client.snapshot(event_seq=3)
        of_moment = await client.snapshot(at=datetime(2026, 1, 1, tzinfo=UTC))
        positions = await client.positions()
        lists = [
            [item async for item in source]
            for source in (client.fills(), client.income(), client.divergences(), client.gaps())
        ]
        open_ = [each.id async for each in client.divergences(state="open")]
    assert (8, 3, 7, "main") == (snapshot.event_seq, then.event_seq, of_moment.event_seq, snapshot.account)
    assert [("BTC-USDT", None), ("FET-USDT", Decimal(100))] == [
        (pair.symbol, None if pair.k is None else pair.k.qty) for pair in positions
    ]
    assert [[1], [2], [3], [4]] == [[item.seq for item in items] for items in lists]
    assert [] == open_


async def test_a_list_is_read_to_its_end(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages it has, each item comes once."""
    monkeypatch.setattr("ditad.api.routes.LIMIT_MAX", 2)
    account = FakeAccount()
    account.add(*records(1, 7))
    async with serving(FakeDaemon(account), socket), Client(socket) as client:
        assert [1, 2, 3, 4, 5, 6, 7] == [fill.seq async for fill in client.fills()]
        assert [6, 7] == [fill.seq async for fill in client.fills(after_seq=5)]


async def test_of_several_accounts_one_is_named(socket: Path) -> None:
    """Without a name the error names them; with one it is asked."""
    async with serving(FakeDaemon(lived(), FakeAccount("other")), socket):
        async with Client(socket) as client:
            with pytest.raises(UsageError, match=r"several accounts.*main, other"):
                await client.usable()
        async with Client(socket, account="main") as client:
            assert "main" == (await client.snapshot()).account


async def test_the_socket_is_named_once_for_all(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`$DITAD_SOCKET` serves whoever names none."""
    monkeypatch.setenv("DITAD_SOCKET", str(socket))
    async with serving(FakeDaemon(lived()), socket), Client() as client:
        assert "main" == (await client.snapshot()).account


async def test_a_client_is_used_while_it_is_open(socket: Path) -> None:
    """Before and after its block it says so, instead of hanging or failing inside."""
    client = Client(socket, account="main")
    with pytest.raises(UsageError, match="inside its `with` block"):
        await client.snapshot()
    async with client:
        pass
    with pytest.raises(UsageError, match="inside its `with` block"):
        await client.snapshot()


# ---- telling ----------------------------------------------------------------------------------------------------------


async def test_a_bot_tells_its_books(socket: Path) -> None:
    """The door gets every digit, and the answers are typed."""
    account = lived()
    async with serving(FakeDaemon(account), socket), Client(socket) as client:
        taken = await client.put_slots([{"asset": "FET-USDT", "size": Decimal("0.10000000000000000001")}])
        booked = await client.settle("t-1", realized_pnl=Decimal("204.5856"), fees=Decimal("37.8144"))
    assert [("put_slots", [{"asset": "FET-USDT", "size": "0.10000000000000000001"}])] == [
        (call[0], call[2]) for call in account.calls[:1]
    ]
    assert (1, False) == (taken.slots, taken.unchanged)
    assert ("t-1", Decimal("204.5856"), Decimal("37.8144"), False) == (
        booked.settlement_id,
        booked.realized_pnl,
        booked.fees,
        booked.repeated,
    )


@pytest.mark.parametrize(
    ("raised", "error", "passing"),
    [
        (DoorUsageError("x"), BadRequestError, False),
        (RefusedError("x"), ForbiddenError, False),
        (DoorConflictError("x"), ConflictError, False),
        (DoorUnavailableError("x"), UnavailableError, True),
    ],
)
async def test_each_code_has_its_error(
    socket: Path, raised: DitadError, error: type[refusals.AnsweredError], passing: bool
) -> None:
    """What the daemon refuses is the error of its code, with its sentence; whether asking again may help is said."""
    account = lived()
    account.raises = raised
    async with serving(FakeDaemon(account), socket), Client(socket) as client:
        with pytest.raises(error, match="x") as found:
            await client.settle("t-1", realized_pnl=1)
    assert (error, passing) == (type(found.value), found.value.passing)


def test_every_code_is_in_the_tree() -> None:
    """Each code of the envelope has an error of its own, and one that nobody knows is an error too."""
    from ditad.api.answers import STATUS_OF  # noqa: PLC0415 - beside what it is compared with

    made = {code: refusals.refusal(status, {"error": {"code": code.value}}) for code, status in STATUS_OF.items()}
    assert len(STATUS_OF) == len({type(error) for error in made.values()} - {refusals.AnsweredError})
    unknown = refusals.refusal(418, {"error": {"code": "teapot", "message": "short and stout"}})
    assert (refusals.AnsweredError, "short and stout") == (type(unknown), str(unknown))
    assert "the daemon answered with status 502" == str(refusals.refusal(502, {"error": "?"}))
    assert None is refusals.GoneError(410, {}).oldest


# ---- following --------------------------------------------------------------------------------------------------------


async def test_events_go_on_across_a_restart(socket: Path) -> None:
    """Each record once and in order, typed, although the daemon went away in between; the loss is told."""
    account = FakeAccount(hub=Hub(5, 1_000_000))
    account.add(*records(1, 3))
    server = await started(account, socket)
    told: list[str] = []
    seqs: list[int] = []
    async with (
        asyncio.timeout(WAIT_S_MAX),
        Client(socket) as client,
        aclosing(client.events(after_seq=0, notice=told.append)) as events,
    ):
        async for each in events:
            assert isinstance(each.body, Fill)
            seqs.append(each.seq)
            if each.seq == 3:
                await server.stop()
                account = FakeAccount(hub=Hub(5, 1_000_000), journal=account.journal)
                account.hub.continue_from(3)
                account.add(*records(4, 20))
                server = await started(account, socket)
            if each.seq == 20:
                break
    await server.stop()
    assert list(range(1, 21)) == seqs
    assert ["lost the daemon after record 3: trying again", "the daemon is back: going on after record 3"] == told


async def test_events_from_the_next_record_on(socket: Path) -> None:
    """Without `after_seq` what was there before is not given, and a filter gives what passes it alone."""
    account = lived()
    async with (
        serving(FakeDaemon(account), socket),
        asyncio.timeout(WAIT_S_MAX),
        Client(socket) as client,
        aclosing(client.events(types=("gap",))) as events,
    ):
        waiting = asyncio.ensure_future(anext(events))
        await until(lambda: account.hub.subscribers == 1)
        account.add(record(9), record(10, RecordType.GAP))
        assert ("gap", 10) == ((found := await waiting).type, found.seq)


async def test_quiet_is_told_by_a_bookmark(socket: Path) -> None:
    """At which the reader can be taken up again."""
    account = FakeAccount(hub=Hub(100, 1_000_000, bookmark_s=0.01))
    account.add(record(1), *records(2, 9, RecordType.GAP))
    async with (
        serving(FakeDaemon(account), socket),
        asyncio.timeout(WAIT_S_MAX),
        Client(socket) as client,
        aclosing(client.events(after_seq=1, types=("fill",))) as events,
    ):
        found = await anext(events)
    assert ("bookmark", 9, None) == (found.type, found.seq, found.body)


async def test_what_is_kept_no_more_is_a_gap(socket: Path) -> None:
    """A reader that comes too late is told what is missing, and from where on there is something again."""
    account = FakeAccount(hub=Hub(2, 1_000_000))
    account.add(*records(1, 9))
    account.kept_from = 5
    async with serving(FakeDaemon(account), socket), Client(socket) as client:
        with pytest.raises(GapError, match=r"cannot go on after record 2.*the oldest record kept is 5") as found:
            await anext(client.events(after_seq=2))
    assert (3, 4) == (found.value.first, found.value.last)


async def test_another_journal_is_a_gap(socket: Path) -> None:
    """A reader that is taken up behind the newest record read another journal: nobody can say what it missed."""
    async with serving(FakeDaemon(lived()), socket), Client(socket) as client:
        with pytest.raises(GapError, match="beyond the newest record 8") as found:
            await anext(client.events(after_seq=99))
    assert (100, None) == (found.value.first, found.value.last)


async def test_a_hole_in_the_stream_is_a_gap(socket: Path) -> None:
    """A record that is passed over is never passed over in silence."""
    body = b"\n".join([record(1).line, record(3).line, b""])
    async with somebody(socket, body), Client(socket, account="main") as client:
        events = client.events(after_seq=0)
        assert 1 == (await anext(events)).seq
        with pytest.raises(GapError, match="records 2 to 2 did not come"):
            await anext(events)


async def test_what_is_dropped_again_and_again_is_a_gap(socket: Path) -> None:
    """A daemon that has not what it dropped is asked a few times, then the reader is told from where to go on."""
    dropped = b'{"type":"dropped","from":2,"to":9}\n'
    async with (
        asyncio.timeout(WAIT_S_MAX),
        somebody(socket, record(1).line + b"\n" + dropped, dropped),
        Client(socket, account="main") as client,
    ):
        events = client.events(after_seq=0)
        assert 1 == (await anext(events)).seq
        with pytest.raises(GapError, match=r"records 2 to 9 are not given.*after_seq=9") as found:
            await anext(events)
    assert (2, 9) == (found.value.first, found.value.last)


async def test_a_daemon_that_stays_away_is_given_up(socket: Path) -> None:
    """After as long as it was told to, with the sentence that says how to start one."""
    account = FakeAccount()
    account.add(record(1))
    server = await started(account, socket)
    async with asyncio.timeout(WAIT_S_MAX), Client(socket) as client:
        events = client.events(after_seq=0, give_up_s=0.05)
        await anext(events)
        await server.stop()
        with pytest.raises(DaemonUnreachableError, match="ditad run"):
            await anext(events)


# ---- whether to trade -------------------------------------------------------------------------------------------------


def _usable(account: FakeAccount, daemon: FakeDaemon) -> None:
    assert account.name in daemon.accounts


def _expired(account: FakeAccount, _: FakeDaemon) -> None:
    changed = orjson.loads(account.present or b"{}")
    changed["published"]["valid_until"] = "2025-12-31T23:59:59.999999Z"
    account.present = orjson.dumps(changed)


def _unusable(account: FakeAccount, _: FakeDaemon) -> None:
    changed = orjson.loads(account.present or b"{}")
    changed["published"]["usable"] = False
    account.present = orjson.dumps(changed)


def _nothing_yet(account: FakeAccount, _: FakeDaemon) -> None:
    account.present = None


def _unreadable(account: FakeAccount, _: FakeDaemon) -> None:
    account.present = b'{"account":"main"}'


def _broken(account: FakeAccount, _: FakeDaemon) -> None:
    def failing() -> bytes:
        raise ZeroDivisionError

    account.snapshot = failing  # type: ignore[method-assign]  # our own fault inside the daemon


@pytest.mark.parametrize(
    ("become", "reason"),
    [
        (_usable, None),
        (_expired, "it was valid until 2025-12-31"),
        (_unusable, "the verdict is OK, coverage live"),
        (_nothing_yet, "no snapshot yet"),
        (_unreadable, "is missing"),
        (_broken, "our own fault"),
    ],
)
async def test_whether_to_trade(
    socket: Path, become: Callable[[FakeAccount, FakeDaemon], None], reason: str | None
) -> None:
    """Only a snapshot that was read, says that it is usable and has not run out says yes; all else is no, with a reason."""
    account = FakeAccount()
    account.add(record(1))
    daemon = FakeDaemon(account)
    become(account, daemon)
    async with serving(daemon, socket), Client(socket, account="main", now=lambda: VALID) as client:
        found = await client.usable()
        assert (reason is None) == bool(found)
        if reason is None:
            assert Decimal("100.5") == (await client.require_usable(only_ok=True)).published.capital
        else:
            assert [reason] == [reason for told in found.reasons if reason in told]
            with pytest.raises(NotUsableError, match=reason):
                await client.require_usable()


async def test_without_a_daemon_nothing_is_usable(socket: Path) -> None:
    """Neither a socket that is not there, nor one on which somebody else speaks, nor one that falls silent says yes."""
    async with Client(socket, account="main") as client:
        assert not (missing := await client.usable())
    assert "start it with `systemctl start ditad` or `ditad run`" in missing.reasons[0]
    async with somebody(socket, b"hello"), Client(socket, account="main") as client:
        assert not (other := await client.usable())
    assert "no ditad" in other.reasons[0]

    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    other_path = socket.with_name("silent")
    async with await asyncio.start_unix_server(silent, str(other_path)):
        async with Client(other_path, account="main") as client:
            assert not (hung := await client.usable(within_s=0.01))
        await left.wait()
    assert "no answer within 0.01 s" in hung.reasons[0]


@pytest.mark.parametrize("said", [b"{}", b'{"items":5}', b'{"items":[{}]}', b'{"items":[7]}'])
@pytest.mark.parametrize("account", [None, "main"])
async def test_whoever_answers_otherwise_is_said_to(socket: Path, said: bytes, account: str | None) -> None:
    """An object that is no answer of a daemon's is an error of ours with a sentence, and nothing to trade on."""
    async with somebody(socket, said), Client(socket, account=account) as client:
        assert not (found := await client.usable())
        for asking in (client.positions(), anext(client.fills())):
            with pytest.raises(DitadError, match=r"no ditad|bring daemon and client to the same version"):
                await asking
    assert "ditad" in found.reasons[0]


async def test_a_wrong_account_is_a_mistake_and_no_reason_to_wait(socket: Path) -> None:
    """What only a person can mend is raised, not taken for a moment's trouble."""
    async with serving(FakeDaemon(lived()), socket), Client(socket, account="mian") as client:
        with pytest.raises(NotFoundError, match="known: main"):
            await client.usable()


async def test_asking_too_often_is_no_yes(socket: Path) -> None:
    """A client that is held back for its haste is told no."""
    from ditad.api.rate import RateLimit  # noqa: PLC0415 - beside its only use

    async with (
        serving(FakeDaemon(lived()), socket, rate=RateLimit(per_s=0.001, burst=1)),
        Client(socket, account="main", now=lambda: VALID) as client,
    ):
        await client.snapshot()
        assert not (found := await client.usable())
        with pytest.raises(RateLimitedError):
            await client.snapshot()
    assert "asks too often" in found.reasons[0]


# ---- the module -------------------------------------------------------------------------------------------------------

LIGHT = """
import sys
import ditad.client
heavy = {"aiohttp", "orjson", "sqlite3", "structlog", "click", "prometheus_client", "websockets", "tenacity"}
print(sorted(heavy & set(sys.modules)), sorted(name for name in sys.modules if name.startswith("ditad.")))
"""


def test_the_import_is_light() -> None:
    """A bot gets the client, the errors and the money, and no library and nothing of the daemon, before it connects."""
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    ours = ["api", "api.refusals", "client", *(f"client.{name}" for name in MODULES), "errors", "money"]
    assert f"[] {[f'ditad.{name}' for name in ours]}\n" == done.stdout


MODULES = ("answers", "asking", "reading", "telling", "usability", "waiting")


async def started(account: FakeAccount, path: Path) -> ApiServer:
    """Serve until the test stops it."""
    server = ApiServer(FakeDaemon(account), admin_uids=frozenset())
    await server.start(listen_at(path))
    return server


def test_the_errors_are_one_tree() -> None:
    """Whoever catches `DitadError` has caught whatever the client raises."""
    named: list[Any] = [AnswerError, DaemonUnreachableError, GapError, NotUsableError, UsageError, ConflictError]
    assert [] == [each for each in named if not issubclass(each, DitadError)]
