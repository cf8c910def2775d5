"""The server's bounds: slow readers, many connections, floods, what is no HTTP; its socket's file; its end."""

from __future__ import annotations

import asyncio
import socket as sockets
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson
import pytest

from ditad.api import server as server_module
from ditad.api import streaming
from ditad.api.listening import listen_at, take_over
from ditad.api.rate import RateLimit
from ditad.api.server import ApiServer
from ditad.errors import SettingsError, StateFolderInUseError
from ditad.hub import Hub
from tests.api.fake_daemon import FakeAccount, FakeDaemon, record, records, serving, until
from tests.support.running import WAIT_S_MAX

EVENTS = "/v1/accounts/main/events"


def connection_count(server: ApiServer) -> int:
    """Count the server's open connections."""
    assert server._runner is not None
    assert server._runner.server is not None
    return len(server._runner.server.connections)


def buffered_bytes(server: ApiServer) -> int:
    """Add up what the server's transports hold for readers that do not read."""
    assert server._runner is not None
    assert server._runner.server is not None
    transports = [connection.transport for connection in server._runner.server.connections]
    return sum(transport.get_write_buffer_size() for transport in transports if transport is not None)


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect by hand."""
    reader, writer = await asyncio.open_unix_connection(str(path), limit=16 * 1024 * 1024)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(path: Path, request: bytes) -> bytes:
    """Send bytes and read to the end."""
    async with connected(path) as (reader, writer), asyncio.timeout(WAIT_S_MAX):
        writer.write(request)
        return await reader.read()


def get(target: str, *, close: bool = True) -> bytes:
    """Write a plain request."""
    return f"GET {target} HTTP/1.1\r\nHost: d\r\n{'Connection: close' if close else 'X: y'}\r\n\r\n".encode()


def is_there(path: Path) -> bool:
    """Say whether the file exists."""
    return path.exists()


async def read_seqs(reader: asyncio.StreamReader, last: int) -> list[int]:
    """Read a chunked NDJSON stream up to record `last`."""
    found: list[int] = []
    while not found or found[-1] != last:
        line = await reader.readline()
        if line.startswith(b'{"seq"'):
            found.append(orjson.loads(line)["seq"])
    return found


@contextmanager
def silent_peer(path: Path, request: bytes) -> Iterator[sockets.socket]:
    """Connect, ask, and do not read."""
    with sockets.socket(sockets.AF_UNIX) as peer:
        peer.connect(str(path))
        peer.sendall(request)
        peer.setblocking(False)
        yield peer


async def rest_of(peer: sockets.socket) -> bytes:
    """Read to the end."""
    loop = asyncio.get_running_loop()
    found = b""
    while chunk := await loop.sock_recv(peer, 1 << 20):
        found += chunk
    return found


def objects(answer: bytes) -> list[dict[str, object]]:
    """Give the stream's lines out of a chunked answer; a chunk holds whole lines."""
    return [orjson.loads(line) for line in answer.split(b"\n") if line.startswith(b"{")]


async def test_a_reader_that_stops_reading_costs_a_bounded_buffer(
    socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While 40 MB are published, one that does not read holds a batch or two and another gets all.

    When the slow one reads again, it finds every record up to where it was dropped, and is told so.
    """
    monkeypatch.setattr(streaming, "LOOK_S", 0.01)
    hub = Hub(2_000, 8 * 1024 * 1024)
    account = FakeAccount(hub=hub)
    largest, seen = 0, []
    async with (
        serving(FakeDaemon(account), socket) as server,
        asyncio.timeout(60),
        connected(socket) as (quick, writer),
    ):
        with silent_peer(socket, get(f"{EVENTS}?follow=1")) as slow:
            writer.write(get(f"{EVENTS}?follow=1"))
            await until(lambda: hub.subscribers == 2)
            for first in range(1, 4_001, 20):
                hub.publish(records(first, first + 19, padding=10_000))
                seen += await read_seqs(quick, first + 19)
                largest = max(largest, buffered_bytes(server))
            await until(lambda: hub.subscribers == 1)
            lines = objects(await rest_of(slow))
    assert list(range(1, 4_001)) == seen
    dropped = lines.pop()
    assert list(range(1, len(lines) + 1)) == [line["seq"] for line in lines]
    assert ("dropped", len(lines) + 1) == (dropped["type"], dropped["from"])
    assert 0 < largest < streaming.BUFFER_BYTES_MAX + 3 * 65_536


async def test_a_reader_that_never_reads_again_is_cut_off(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not even take the line that drops it loses its connection, and the server keeps nothing of it."""
    monkeypatch.setattr(streaming, "LOOK_S", 0.01)
    monkeypatch.setattr(streaming, "GRACE_S_MAX", 0.05)
    hub = Hub(100, 1_000_000)
    async with serving(FakeDaemon(FakeAccount(hub=hub)), socket) as server:
        with silent_peer(socket, get(f"{EVENTS}?follow=1")):
            await until(lambda: hub.subscribers == 1)
            for seq in range(1, 200):
                hub.publish([record(seq, padding=10_000)])
                await asyncio.sleep(0)
            await until(lambda: connection_count(server) == 0)
        assert 0 == hub.subscribers


async def test_a_reader_that_stalls_too_long_is_dropped(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes nothing for `STALL_S_MAX` is dropped although the ring still has all it needs."""
    monkeypatch.setattr(streaming, "LOOK_S", 0.01)
    monkeypatch.setattr(streaming, "STALL_S_MAX", 0.05)
    hub = Hub(10_000, 100_000_000)
    async with serving(FakeDaemon(FakeAccount(hub=hub)), socket):
        with silent_peer(socket, get(f"{EVENTS}?follow=1")) as slow:
            await until(lambda: hub.subscribers == 1)
            hub.publish(records(1, 200, padding=10_000))
            await until(lambda: hub.subscribers == 0)
            lines = objects(await rest_of(slow))
    assert {"type": "dropped", "from": len(lines), "to": 200} == lines[-1]


async def test_an_answer_that_is_not_read_is_cut_off(
    socket: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A peer that asks for a large list and does not read it holds its connection for a bounded time; no error of ours."""
    monkeypatch.setattr(streaming, "TAKE_S_MAX", 0.05)
    account = FakeAccount()
    account.add(*records(1, 500, padding=5_000))
    async with serving(FakeDaemon(account), socket) as server:
        with silent_peer(socket, get("/v1/accounts/main/fills")):
            await until(lambda: connection_count(server) == 1)
            await until(lambda: connection_count(server) == 0)
    assert "" == caplog.text


async def test_a_quiet_reader_that_leaves_is_forgotten_at_once(socket: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The end of a follower's connection ends its subscription although nothing is published, and is no error."""
    hub = Hub(10, 10_000)
    async with serving(FakeDaemon(FakeAccount(hub=hub)), socket):
        async with connected(socket) as (_, writer):
            writer.write(get(f"{EVENTS}?follow=1"))
            await until(lambda: hub.subscribers == 1)
        await until(lambda: hub.subscribers == 0)
    assert "" == caplog.text


async def test_stopping_ends_the_streams_and_removes_the_file(socket: Path) -> None:
    """Followers get a clean end of their stream, and nothing of the socket is left."""
    hub = Hub(10, 10_000)
    async with connectable(socket, hub) as (server, reader), asyncio.timeout(WAIT_S_MAX):
        await server.stop()
        rest = await reader.read()
    assert rest.endswith(b"0\r\n\r\n")
    assert not is_there(socket)


@asynccontextmanager
async def connectable(path: Path, hub: Hub) -> AsyncIterator[tuple[ApiServer, asyncio.StreamReader]]:
    """Serve with one follower connected."""
    async with serving(FakeDaemon(FakeAccount(hub=hub)), path) as server, connected(path) as (reader, writer):
        writer.write(get(f"{EVENTS}?follow=1"))
        await until(lambda: hub.subscribers == 1)
        yield server, reader


async def test_there_is_a_bound_on_connections(socket: Path) -> None:
    """One connection too many is told so and closed; when another leaves, there is room again."""
    async with serving(FakeDaemon(), socket, connections_max=1) as server:
        async with connected(socket) as (reader, writer):
            writer.write(get("/v1/livez", close=False))
            await reader.readuntil(b"}\n")
            refused = await ask(socket, get("/v1/livez"))
        await until(lambda: connection_count(server) == 0)
        served = await ask(socket, get("/v1/livez"))
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"unavailable"' in refused
    assert served.startswith(b"HTTP/1.1 200 ")


async def test_a_flood_is_refused_with_429(socket: Path) -> None:
    """A uid that asks too often is told so, in the envelope."""
    async with serving(FakeDaemon(), socket, rate=RateLimit(per_s=0.0, burst=2.0)):
        answers = [await ask(socket, get("/v1/livez")) for _ in range(3)]
    assert [b"200", b"200", b"429"] == [answer.split()[1] for answer in answers]
    assert b'"code":"rate_limited"' in answers[2]


def test_one_uids_flood_leaves_others_alone() -> None:
    """Each uid has its own bucket, which fills with time, and few buckets are kept."""
    limit = RateLimit(per_s=1.0, burst=1.0)
    assert [True, False, True, True] == [
        limit.allows(1, 0.0),
        limit.allows(1, 0.5),
        limit.allows(2, 0.5),
        limit.allows(1, 2.0),
    ]
    for uid in range(1_000):
        limit.allows(uid, 3.0)
    assert 64 == len(limit._buckets)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01 no http at all\r\n\r\n", b"400"),
        (b"GET /v1/livez HTTP/1.1\r\nHost d\r\n\r\n", b"400"),
        (get("/" + "a" * 10_000), b"400"),
        (b"GET /v1/livez HTTP/1.1\r\nHost: d\r\n" + b"X: y\r\n" * 1_000 + b"\r\n", b"400"),
        (b"GET /v1/livez HTTP/1.1\r\nHost: d\r\nX: " + b"y" * 10_000 + b"\r\n\r\n", b"400"),
        (b"POST /v1/accounts/main/bot/settlements HTTP/1.1\r\nHost: d\r\nContent-Length: 999999999\r\n\r\n", b"413"),
    ],
)
async def test_hostile_requests_get_the_envelope(socket: Path, request_bytes: bytes, status: bytes) -> None:
    """What is no request, or too large, is refused in the envelope and its connection closed."""
    async with serving(FakeDaemon(FakeAccount()), socket):
        answer = await ask(socket, request_bytes)
        alive = await ask(socket, get("/v1/livez"))
    assert status == answer.split()[1]
    assert b'{"error":{"code":"' in answer
    assert b"Ditad-Api-Version: 1" in answer
    assert b"200" == alive.split()[1]


async def test_a_body_without_a_length_is_bounded(socket: Path) -> None:
    """A chunked body ends at the bound, whatever it claims."""
    head = b"POST /v1/accounts/main/bot/settlements HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(FakeDaemon(FakeAccount()), socket):
        answer = await ask(
            socket, head + b"10000\r\n" + b"x" * 65_536 + b"\r\n" + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 4
        )
    assert b"413" == answer.split()[1]


async def test_a_body_that_does_not_come_is_not_waited_for(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that promises a body and sends none is refused after a bounded time."""
    monkeypatch.setattr(server_module, "BODY_S_MAX", 0.05)
    head = b"POST /v1/accounts/main/bot/settlements HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\n"
    async with serving(FakeDaemon(FakeAccount()), socket):
        answer = await ask(socket, head)
    assert b"400" == answer.split()[1]


async def test_a_connection_that_says_nothing_is_closed(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither silence nor half a header holds a connection for ever."""
    monkeypatch.setattr(server_module, "IDLE_S_MAX", 0.05)
    async with serving(FakeDaemon(), socket):
        assert [b"", b""] == [await ask(socket, b""), await ask(socket, b"GET /v1/livez HTTP/1.1\r\nHo")]


async def test_our_own_fault_is_said_without_its_trace(socket: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A door that breaks its promise gives 500 in the envelope, the trace to the log, and the server goes on."""
    account = FakeAccount()
    account.raises = AssertionError("what must hold does not")
    async with serving(FakeDaemon(account), socket):
        answer = await ask(socket, get("/v1/accounts/main/fills"))
        alive = await ask(socket, get("/v1/livez"))
    assert (b"500", b"200") == (answer.split()[1], alive.split()[1])
    assert b"must hold" not in answer
    assert "what must hold does not" in caplog.text


# ---- the socket's file ------------------------------------------------------------------------------------------------


def test_the_socket_has_its_mode_before_anyone_can_connect(socket: Path) -> None:
    """Mode and group are as asked for."""
    listener = listen_at(socket, mode=0o600)
    assert 0o600 == stat.S_IMODE(socket.stat().st_mode)
    listener.close()
    assert not socket.exists()


def test_a_dead_socket_is_removed(socket: Path) -> None:
    """A socket that its process left behind is in nobody's way."""
    dead = sockets.socket(sockets.AF_UNIX)
    dead.bind(str(socket))
    dead.close()
    listen_at(socket).close()


def test_a_living_socket_is_not_touched(socket: Path) -> None:
    """Where somebody answers, a second daemon refuses to start, and the first one's file stays."""
    first = listen_at(socket)
    with pytest.raises(StateFolderInUseError):
        listen_at(socket)
    assert socket.exists()
    first.close()


def test_another_file_is_not_touched(socket: Path) -> None:
    """What is no socket is never removed."""
    socket.write_text("precious")
    with pytest.raises(SettingsError, match="is no socket"):
        listen_at(socket)
    assert "precious" == socket.read_text()


def test_a_socket_that_took_our_place_is_left(socket: Path) -> None:
    """On closing, a file that somebody else has put there since is not ours to remove."""
    first = listen_at(socket)
    socket.unlink()
    second = listen_at(socket)
    first.close()
    assert socket.exists()
    second.close()


@pytest.mark.parametrize(
    ("path", "group", "named"),
    [("x" * 108, None, "107 bytes"), ("/nowhere/s", None, "/nowhere/s"), ("s", "no-such-group", "no-such-group")],
)
def test_a_socket_that_cannot_be_is_refused(socket: Path, path: str, group: str | None, named: str) -> None:
    """A path too long or nowhere, or an unknown group, is a setting to mend, and the sentence names it."""
    with pytest.raises(SettingsError, match=named):
        listen_at(socket.parent / path, group=group)


async def test_a_socket_handed_in_is_served_and_left(socket: Path) -> None:
    """With socket activation the file is somebody else's: it is served and still there when we stop."""
    with sockets.socket(sockets.AF_UNIX) as handed:
        handed.bind(str(socket))
        handed.listen()
        server = ApiServer(FakeDaemon(), admin_uids=frozenset())
        await server.start(take_over(handed.dup()))
        answer = await ask(socket, get("/v1/livez"))
        await server.stop()
        assert (b"200", True) == (answer.split()[1], is_there(socket))
