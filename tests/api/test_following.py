"""The client: one answer, and a stream that survives whatever happens to the daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ditad.api import following
from ditad.api.client import ApiClient
from ditad.api.listening import listen_at
from ditad.api.refusals import AnsweredError, GapError
from ditad.api.server import ApiServer
from ditad.errors import DaemonUnreachableError
from ditad.hub import Hub
from ditad.records import RecordType
from tests.api.fake_daemon import FakeAccount, FakeDaemon, record, records, serving, until
from tests.support.running import WAIT_S_MAX


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again quickly."""
    monkeypatch.setattr(following, "BACKOFF_S_MIN", 0.001)
    monkeypatch.setattr(following, "BACKOFF_S_MAX", 0.01)


async def test_an_answer_comes_as_it_is(socket: Path) -> None:
    """One question gives one answer."""
    async with serving(FakeDaemon(), socket), ApiClient(socket) as client:
        assert "0.0.test" == (await client.get("/v1/version"))["version"]


@pytest.mark.parametrize(
    ("path", "exit_code"),
    [("/v1/accounts/other/fills", 64), ("/v1/nothing", 64), ("/v1/accounts/main/snapshot", 69), ("/v1/readyz", 69)],
)
async def test_an_error_has_its_exit_code(socket: Path, path: str, exit_code: int) -> None:
    """What the daemon refuses becomes an error with its sentence and the exit code of its kind."""
    account = FakeAccount()
    account.unready = ("no baseline",)
    async with serving(FakeDaemon(account), socket), ApiClient(socket) as client:
        with pytest.raises(AnsweredError) as refused:
            await client.get(path)
    assert exit_code == refused.value.exit_code


async def test_nobody_answers(socket: Path) -> None:
    """Without a daemon the error says where it was looked for."""
    async with ApiClient(socket) as client:
        with pytest.raises(DaemonUnreachableError, match=str(socket)):
            await client.get("/v1/livez")


async def test_somebody_else_answers(socket: Path) -> None:
    """What is no JSON object is not taken for a ditad's answer."""

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        writer.close()

    async with await asyncio.start_unix_server(other, str(socket)), ApiClient(socket) as client:
        with pytest.raises(DaemonUnreachableError, match="no ditad"):
            await client.get("/v1/livez")


async def test_without_follow_the_stream_ends(socket: Path) -> None:
    """What is there comes, once, and then the end."""
    account = FakeAccount(hub=Hub(3, 1_000_000))
    for each in records(1, 9):
        account.add(each)
    async with serving(FakeDaemon(account), socket), ApiClient(socket) as client:
        seqs = [line.value["seq"] async for line in following.events(client, "main", after_seq=0)]
    assert list(range(1, 10)) == seqs


async def test_a_follower_goes_on_across_restarts(socket: Path) -> None:
    """Records made before, while and after the daemon was away come once and in order, and the loss is told."""
    account = FakeAccount(hub=Hub(5, 1_000_000))
    account.add(*records(1, 3))
    server = await started(account, socket)
    told: list[str] = []
    seqs: list[int] = []
    async with asyncio.timeout(WAIT_S_MAX), ApiClient(socket) as client:
        async for line in following.follow(client, "main", after_seq=0, notice=told.append):
            seqs.append(line.value["seq"])
            if seqs[-1] in {3, 23}:
                await server.stop()
                reborn = FakeAccount(hub=Hub(5, 1_000_000), journal=account.journal)
                reborn.hub.continue_from(seqs[-1])
                account = reborn
                for each in records(seqs[-1] + 1, seqs[-1] + 20):
                    account.add(each)
                server = await started(account, socket)
            if seqs[-1] == 43:
                break
    await server.stop()
    assert list(range(1, 44)) == seqs
    assert [
        "lost the daemon after record 3: trying again",
        "the daemon is back: going on after record 3",
        "lost the daemon after record 23: trying again",
        "the daemon is back: going on after record 23",
    ] == told


async def test_a_follower_that_saw_nothing_yet_loses_nothing(socket: Path) -> None:
    """A follower from the next record on, whose daemon restarts before there is one, gets those made meanwhile."""
    account = FakeAccount()
    account.add(*records(1, 5))
    server = await started(account, socket)
    async with asyncio.timeout(WAIT_S_MAX), ApiClient(socket) as client:
        lines = following.follow(client, "main")
        waiting = asyncio.create_task(anext(lines))
        await until(lambda: account.hub.subscribers == 1)
        await server.stop()
        account.add(record(6))
        server = await started(account, socket)
        line = await waiting
        assert ("fill", 6) == (line.type, line.value["seq"])
        await lines.aclose()
    await server.stop()


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"x",
        b"{}",
        b'{"seq":1}',
        b'{"type":7,"seq":1}',
        b'{"type":"fill","seq":"1"}',
        b'{"type":"dropped","seq":1}',
    ],
)
def test_a_line_that_is_none_of_the_stream_is_somebody_elses(line: bytes) -> None:
    """Whoever answers with such lines is no ditad, and that is what the error says."""
    with pytest.raises(DaemonUnreachableError, match="no ditad"):
        following.StreamLine.of(line)


async def test_a_follower_that_was_too_slow_asks_again(socket: Path) -> None:
    """A reader that was dropped gets what it missed from history, and its caller sees no hole."""
    account = FakeAccount(hub=Hub(2, 1_000_000))
    account.add(record(1))
    seqs = []
    async with serving(FakeDaemon(account), socket), asyncio.timeout(WAIT_S_MAX), ApiClient(socket) as client:
        async for line in following.follow(client, "main", after_seq=0):
            seqs.append(line.value["seq"])
            if seqs == [1]:
                account.add(*records(2, 50))  # at once more than the ring holds: the reader is overtaken
            if seqs[-1] == 50:
                break
    assert list(range(1, 51)) == seqs


async def test_with_a_filter_bookmarks_carry_the_follower_on(socket: Path) -> None:
    """With a filter, holes are no loss; where a bookmark came, the next connection begins there."""
    account = FakeAccount(hub=Hub(100, 1_000_000, bookmark_s=0.01))
    account.add(record(1), *records(2, 9, RecordType.GAP))
    found = []
    async with serving(FakeDaemon(account), socket), asyncio.timeout(WAIT_S_MAX), ApiClient(socket) as client:
        async for line in following.follow(client, "main", after_seq=0, types=("fill",)):
            found.append((line.type, line.value["seq"]))
            if len(found) == 2:
                break
    assert [("fill", 1), ("bookmark", 9)] == found


async def test_a_daemon_that_stays_away_is_given_up(socket: Path) -> None:
    """A follower looks for its daemon for as long as it was told to, then says that it is not reachable."""
    account = FakeAccount()
    account.add(record(1))
    server = await started(account, socket)
    async with asyncio.timeout(WAIT_S_MAX), ApiClient(socket) as client:
        lines = following.follow(client, "main", after_seq=0, give_up_s=0.05)
        await anext(lines)
        await server.stop()
        with pytest.raises(DaemonUnreachableError):
            await anext(lines)


async def test_what_is_refused_is_not_tried_again(socket: Path) -> None:
    """A follower ahead of the journal ends with the daemon's sentence."""
    async with serving(FakeDaemon(FakeAccount()), socket), ApiClient(socket) as client:
        with pytest.raises(GapError, match="beyond the newest"):
            await anext(following.follow(client, "main", after_seq=7))


async def test_a_hole_raises(socket: Path) -> None:
    """Should the daemon repeat a record, it is passed over; should it skip one, the reader is told which, and ended."""

    async def skipping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"\n".join([record(1).line, record(1).line, record(3).line, b""])
        head = f"HTTP/1.1 200 OK\r\nDitad-After-Seq: 0\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    async with await asyncio.start_unix_server(skipping, str(socket)), ApiClient(socket) as client:
        lines = following.follow(client, "main", after_seq=0)
        await anext(lines)
        with pytest.raises(GapError, match="records 2 to 2 did not come") as found:
            await anext(lines)
    assert (2, 2) == (found.value.first, found.value.last)


async def started(account: FakeAccount, path: Path) -> ApiServer:
    """Serve until the test stops it."""
    server = ApiServer(FakeDaemon(account), admin_uids=frozenset())
    await server.start(listen_at(path))
    return server
