"""Hostile peers against a server on a real socket, many at once, and what is left when they are gone.

What enters: a seed, a number of peers. What leaves: a `Tally`. What holds: every answer is an answer in the envelope and
none says `internal`; when the last peer is gone the server has no connection, descriptor, task or reader more than
before, and no more memory than a bound; it still answers.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from ditad.api import server as server_module
from ditad.api import streaming
from ditad.api.rate import RateLimit
from ditad.api.server import ApiServer
from tests.api.fake_daemon import FakeAccount, FakeDaemon, records, serving
from tests.hostile.requests import Peer, peer
from tests.support.process import pause

AT_ONCE: Final = 64
ANSWER_S_MAX: Final = 20.0
SILENCE_S: Final = 0.05
"""The bound on silence and on slow bodies while it is tried; in life it is half a minute."""

READ_BYTES_MAX: Final = 4 * 1024 * 1024
GROWTH_BYTES_MAX: Final = 1_500_000
WARM: Final = 300
"""Peers before memory is measured: what is imported, compiled and kept once is there by then."""

SECRET: Final = "the-secret-that-nobody-asked-for"
STATUSES: Final = frozenset({b"100", b"200", b"400", b"403", b"404", b"405", b"409", b"410", b"413", b"429", b"503"})


@dataclass(slots=True)
class Tally:
    """What became of the peers; `problems` is empty where all holds."""

    peers: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    growth_bytes: int = 0

    def line(self) -> str:
        """Tell it in a line."""
        answers = " ".join(f"{status}:{count}" for status, count in sorted(self.answers.items()))
        return f"{self.peers} peers, answers {answers}, {self.growth_bytes} bytes more, {len(self.problems)} problems"


class _Complaints(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.said.append(f"{record.getMessage()}: {record.exc_info[1]!r}" if record.exc_info else record.getMessage())


@contextmanager
def hurried() -> Iterator[None]:
    """Let the bounds on time be short until the end of the block."""
    places = [(server_module, "IDLE_S_MAX"), (server_module, "BODY_S_MAX"), (server_module, "FULL_S_MAX")]
    places += [(streaming, "STALL_S_MAX"), (streaming, "GRACE_S_MAX"), (streaming, "TAKE_S_MAX")]
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, SILENCE_S)
    try:
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)


async def run(path: Path, *, seed: int, peers: int, first: int = 0) -> Tally:
    """Let so many peers do their worst."""
    account = FakeAccount()
    account.add(*records(1, 60, padding=200))
    account.token = SECRET  # type: ignore[attr-defined]  # something that must not be shown
    tally, complaints = Tally(), _Complaints()
    logging.getLogger().addHandler(complaints)
    numbers = iter(range(first, first + peers))
    try:
        with hurried():
            async with serving(FakeDaemon(account), path, rate=RateLimit(per_s=1e9, burst=1e9)) as server:
                await _crowd(path, seed, numbers, tally, limit=min(WARM, peers))
                await _quiet(server, account)
                left = _held()
                tracemalloc.start()
                gc.collect()
                before = tracemalloc.get_traced_memory()[0]
                await _crowd(path, seed, numbers, tally, limit=peers)
                await _quiet(server, account)
                account.calls.clear()
                gc.collect()
                tally.growth_bytes = tracemalloc.get_traced_memory()[0] - before
                tracemalloc.stop()
                tally.problems += [
                    f"{name} {now}, {was} before"
                    for (name, was), (_, now) in zip(left, _held(), strict=True)
                    if now > was
                ]
                if tally.growth_bytes > GROWTH_BYTES_MAX:
                    tally.problems.append(f"memory grew by {tally.growth_bytes} bytes")
                await _one(
                    path,
                    Peer(
                        number=-1,
                        pieces=(b"GET /v1/livez HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",),
                        end="read",
                    ),
                    tally,
                )
    finally:
        logging.getLogger().removeHandler(complaints)
    tally.problems += [f"logged: {said}" for said in complaints.said[:5]]
    return tally


async def _crowd(path: Path, seed: int, numbers: Iterator[int], tally: Tally, *, limit: int) -> None:
    async def come() -> None:
        while tally.peers < limit and not tally.problems:
            number = next(numbers, None)
            if number is None:
                return
            tally.peers += 1
            await _one(path, peer(seed, number), tally)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(come())


async def _one(path: Path, guest: Peer, tally: Tally) -> None:
    """Let one peer say what it has to say, and judge what it is answered."""
    reader, writer = await asyncio.open_unix_connection(str(path), limit=READ_BYTES_MAX)
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            with suppress(ConnectionError):
                for piece in guest.pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
                if guest.end == "abort":
                    writer.transport.abort()
                    return
                if guest.end == "half":
                    writer.write_eof()
            with suppress(ConnectionError):
                _judge(await reader.read(READ_BYTES_MAX), guest, tally)
    except TimeoutError:
        tally.problems.append(f"peer {guest.number} was kept for {ANSWER_S_MAX:g} s")
    finally:
        writer.transport.abort()


def _judge(answer: bytes, guest: Peer, tally: Tally) -> None:
    if not answer:
        tally.answers["none"] += 1
        return
    head, _, rest = answer.partition(b"\r\n\r\n")
    version, status = [*head.split(b" ", 2), b"", b""][:2]
    tally.answers[status.decode(errors="replace")] += 1
    if not re.fullmatch(rb"HTTP/\d\.\d", version) or status not in STATUSES:  # the version is the peer's own word
        tally.problems.append(f"peer {guest.number} was answered {answer[:120]!r}")
    if SECRET.encode() in answer or b"Traceback" in answer:
        tally.problems.append(f"peer {guest.number} was shown too much: {answer[:200]!r}")
    enveloped = (b'{"error":{"code":"', b"HTTP/1.")  # the latter: the next answer, where a HEAD was refused
    if status.startswith(b"4") and rest and not rest.startswith(enveloped):
        tally.problems.append(f"peer {guest.number} was refused without the envelope: {answer[:200]!r}")
    if status == b"503" and rest:
        orjson.loads(rest.split(b"\r\n", 1)[0] if rest[:1] != b"{" else rest.partition(b"\nHTTP/1")[0])


async def _quiet(server: ApiServer, account: FakeAccount) -> None:
    """Wait until the server has let go of everybody."""
    assert server._runner is not None, "it serves"
    assert server._runner.server is not None, "it serves"
    async with asyncio.timeout(ANSWER_S_MAX):
        while server._runner.server.connections or account.hub.subscribers:
            await pause(SILENCE_S)


def _held() -> list[tuple[str, int]]:
    return [("descriptors", len(list(Path("/proc/self/fd").iterdir()))), ("tasks", len(asyncio.all_tasks()))]
