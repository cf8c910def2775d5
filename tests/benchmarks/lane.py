"""A daemon under a benchmark: `ditad run` as a process of its own, its exchange, and a reader of each account.

What enters: how many accounts and positions, the journal to begin with. What leaves: pushes that were sent, verified in
K, E and verdict, with the daemon's CPU per push and the times at which each was sent, folded and read. What holds:
journal, fold, reconcile, log (to a file) and the readers are on; the exchange is a process apart; no question of the
audit and no mark comes between the pushes, unless the settings say otherwise.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from tests.benchmarks.children import STEP_S_MAX, STILL_S, Child, child
from tests.benchmarks.readers import Reader, reading
from tests.benchmarks.synthetic import SYMBOLS
from tests.support.running import account_settings, settings_file

QUIET = """
[account.reconcile]
settle_window_s = 30
[account.audit]
interval_s = 3600
fills_interval_s = 86400
income_interval_s = 86400
requests_per_s = 10
[account.stream]
marks = false
"""
"""Only the pushes are measured: no question and no mark comes between them, and no wait runs out on a slow machine."""

LOOK_S = 0.002
WARM_PUSHES_MIN = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What so many pushes cost. Times are wall time in ns, one a push, empty where no pace was kept."""

    pushes: int
    cpu_s: float
    took_s: float
    sent_ns: tuple[int, ...] = ()
    read_ns: tuple[int, ...] = ()

    @property
    def us_per_push(self) -> float:
        """Give the daemon's CPU."""
        return self.cpu_s * 1e6 / self.pushes


@dataclass(slots=True, kw_only=True)
class Lane:
    """A running daemon and all that is around it."""

    folder: Path
    settings: Path
    venue: Child
    where: Mapping[str, str]
    names: tuple[str, ...]
    daemon: Child
    readers: list[Reader]
    expected: dict[str, Any] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """Name the daemon's socket."""
        return self.folder / "s"

    @property
    def log(self) -> Path:
        """Name the file that the daemon logs to."""
        return self.folder / "log"

    async def prepare(self, kind: str, frames: int) -> int:
        """Have frames built, so many of each account; gives how many there are in all."""
        pushes = 0
        for name in self.names:
            answer = await self.venue.ask(do="prepare", account=name, kind=kind, frames=frames)
            self.expected[name] = answer["expected"]
            pushes += answer["prepared"]
        return pushes

    async def send(
        self,
        *,
        rate: float = 0.0,
        keys: tuple[str, ...] | None = None,
        first: int | None = None,
        last: int | None = None,
    ) -> dict[str, Any]:
        """Send what is prepared (of each account the frames `first` to `last`), to the daemon or to whoever has `keys`."""
        to = keys if keys is not None else tuple(map(key_of, self.names))
        return await self.venue.ask(do="send", accounts=self.names, keys=to, rate=rate, first=first, last=last)

    async def push(self, kind: str, frames: int, *, rate: float = 0.0, in_flight: int | None = None) -> Pushed:
        """Send the daemon frames of a kind and wait until all of it is folded, right and read by everybody.

        With `in_flight` no more than so many are on their way at a time: what comes at once beyond the ring of newest
        records, which has a bound in bytes, is not sent to any reader.
        """
        pushes = await self.prepare(kind, frames)
        before = [reader.heard for reader in self.readers]
        cpu_s, began = await self.daemon.still(), time.perf_counter()
        each = pushes // len(self.names)
        step = each if in_flight is None else max(1, in_flight // len(self.names))
        for first in range(0, each, step):
            sent = await self.send(rate=rate, first=first, last=first + step)
            if first + step < each:
                for reader, heard in zip(self.readers, before, strict=True):
                    await reader.came(heard + first + step)
        for name, reader, heard in zip(self.names, self.readers, before, strict=True):
            await reader.told(heard + each, self.expected[name])
        took_s = time.perf_counter() - began
        spent_s = await self.daemon.still() - cpu_s
        return Pushed(
            pushes=pushes,
            cpu_s=spent_s,
            took_s=took_s,
            sent_ns=tuple(sent["sent_ns"]),
            read_ns=tuple(self.readers[0].read_ns[before[0] :]) if len(self.names) == 1 else (),
        )

    async def warm(self, symbols: int = len(SYMBOLS), *, in_flight: int | None = None) -> None:
        """Open every position, and let caches and code warm up."""
        pushes = max(2 * symbols, WARM_PUSHES_MIN // len(self.names)) + 2 * symbols
        await self.push("pairs", pushes, in_flight=in_flight)
        await self.push("level", 0, in_flight=in_flight)

    def folded_ns(self) -> Iterator[int]:
        """Give the wall time at which each push was folded, by the daemon's own log of its snapshot."""
        for line in self.log.read_bytes().splitlines():
            if b'"event":"snapshot"' in line:
                told = orjson.loads(line)
                if told["snapshot"]["source_event_id"].startswith(("order:", "account:")):
                    yield int(datetime.fromisoformat(told["timestamp"]).timestamp() * 1e6) * 1_000


def key_of(name: str) -> str:
    """Name the listen key of an account."""
    return hashlib.sha256(name.encode()).hexdigest()


@asynccontextmanager
async def venue_process() -> AsyncIterator[tuple[Child, Mapping[str, str]]]:
    """Run an exchange until the block ends; gives it and where it listens."""
    async with child("-m", "tests.benchmarks.venue_process") as venue:
        yield venue, await venue.heard()


async def opened(venue: Child, name: str, *, symbols: int, steady: bool, before: Mapping[str, Any]) -> None:
    """Begin an account at the exchange."""
    await venue.ask(
        do="open",
        account=name,
        api_key=f"key-of-{name}",
        key=key_of(name),
        symbols=symbols,
        steady=steady,
        **before,
    )


def written(folder: Path, where: Mapping[str, str], names: tuple[str, ...], more: str) -> Path:
    """Write the settings of a daemon."""
    urls = {"rest_url": where["rest_url"], "ws_url": where["ws_url"]}
    accounts = [account_settings(folder, name, **urls, api_key=f"key-of-{name}", more=more) for name in names]
    return settings_file(folder, *accounts)


@asynccontextmanager
async def daemon_process(folder: Path, settings: Path, *, profile: Path | None = None) -> AsyncIterator[Child]:
    """Run the daemon until the block ends, logging to a file; it answers when the block begins.

    With `profile` it runs under `cProfile`, which writes there when the daemon has ended in order.
    """
    under = () if profile is None else ("-m", "cProfile", "-o", str(profile))
    with (folder / "log").open("ab") as log:
        async with child(*under, "-m", "ditad", "run", "--config", str(settings), log=log.fileno()) as daemon:
            await answering(folder / "s", daemon)
            yield daemon


async def answering(socket: Path, daemon: Child) -> None:
    """Wait until the daemon's socket answers."""
    async with asyncio.timeout(STEP_S_MAX):
        while True:
            if daemon.process.returncode is not None:
                raise SystemExit("the daemon ended early; what it said is in its log, above or in its folder")
            if socket.exists() and await _answers(socket):
                return
            await asyncio.sleep(LOOK_S)


async def _answers(socket: Path) -> bool:
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    try:
        writer.write(b"GET /v1/livez HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
    finally:
        writer.close()


@asynccontextmanager
async def lane(
    folder: Path,
    *,
    accounts: int = 1,
    symbols: int = len(SYMBOLS),
    steady: bool = False,
    more: str = QUIET,
    before: Mapping[str, Any] | None = None,
    profile: Path | None = None,
) -> AsyncIterator[Lane]:
    """Run a daemon, its exchange and a reader of each account; all of them are ready when the block begins.

    `before` is what the account did before, where the folder holds its journal already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = ("main",) if accounts == 1 else tuple(f"a{number}" for number in range(accounts))
    async with AsyncExitStack() as stack:
        venue, where = await stack.enter_async_context(venue_process())
        for name in names:
            await opened(venue, name, symbols=symbols, steady=steady, before=before or {})
        settings = written(folder, where, names, more)
        daemon = await stack.enter_async_context(daemon_process(folder, settings, profile=profile))
        readers = []
        for name in names:
            readers += await stack.enter_async_context(reading(folder / "s", name))
        for reader in readers:
            await reader.begun()
        await audited(folder / "log", daemon, len(names))
        yield Lane(
            folder=folder,
            settings=settings,
            venue=venue,
            where=where,
            names=names,
            daemon=daemon,
            readers=readers,
        )


async def audited(log: Path, daemon: Child, accounts: int) -> None:
    """Wait until the daemon has asked all its questions once for every account."""
    async with asyncio.timeout(STEP_S_MAX):
        while log.read_bytes().count(b'"event":"audit.done"') < accounts:
            if daemon.process.returncode is not None:
                raise SystemExit("the daemon ended early; what it said is above")
            await asyncio.sleep(STILL_S)
