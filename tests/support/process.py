"""A daemon as a real process: started from a settings file, heard line by line, killed or ended, and asked how it ended.

What enters: the words of a program. What leaves: its log lines as they come, its pid, its exit code, its last line.
What holds: nothing it writes is left unread, so that no pipe ever fills; whatever is left of it at the end is killed,
by its id.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from ditad.exchange import SimulatedExchange
from tests.support.running import WAIT_S_MAX, account_settings

ROOT = Path(__file__).resolve().parents[2]
LINE_BYTES_MAX = 1024 * 1024
LINES_KEPT_MAX = 200
"""Of each process the newest lines are kept, for whoever wants to know how it ended."""

FAST = """
[account.audit]
interval_s = 2
fills_interval_s = 2
income_interval_s = 2
report_lag_s = 2
fills_lag_s = 1
overlap_s = 10
requests_per_s = 10
[account.stream]
backoff_s_min = 0.1
backoff_s_max = 1
"""
"""An audit that does not keep a test waiting."""


def ditad(*words: str) -> tuple[str, ...]:
    """Name `ditad` as a program of this very interpreter."""
    return sys.executable, "-m", "ditad", *words


def write_settings(folder: Path, exchange: SimulatedExchange, *, state: Path | None = None, more: str = FAST) -> Path:
    """Write settings for all accounts of an exchange, with this user as admin; the socket is `s` in the folder."""
    accounts = [
        account_settings(
            folder,
            name,
            rest_url=exchange.rest_url,
            ws_url=exchange.ws_url,
            api_key=key,
            api_secret=secret,
            more=more,
        )
        for name, (key, secret) in exchange.credentials.items()
    ]
    path = folder / "ditad.toml"
    head = f'[daemon]\nstate_dir = "{state or folder / "state"}"\nsocket = "{folder}/s"\nadmin_uids = [{os.getuid()}]\n'
    path.write_text(head + "".join(accounts))
    return path


async def pause(seconds: float) -> None:
    """Let a moment pass before looking again at what tells nobody that it has changed: a file, a socket to come."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


class Process:
    """A running program: what it said so far, and how it is ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said = asyncio.Condition()
        self._over = False
        self._counts: dict[str, int] = {}
        self.lines: list[bytes] = []
        self.errors = b""

    @property
    def pid(self) -> int:
        """Give its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Give what it ended with; `None` while it runs."""
        return self._process.returncode

    async def listen(self) -> None:
        """Take what it logs until it ends."""
        assert self._process.stdout is not None, "its stdout is a pipe"
        async for line in self._process.stdout:
            async with self._said:
                self.lines.append(line.rstrip(b"\n"))
                del self.lines[:-LINES_KEPT_MAX]
                name = _event_of(line)
                self._counts[name] = self._counts.get(name, 0) + 1
                self._said.notify_all()
        async with self._said:
            self._over = True
            self._said.notify_all()

    async def listen_to_errors(self) -> None:
        """Take what it complains about until it ends."""
        assert self._process.stderr is not None, "its stderr is a pipe"
        self.errors = await self._process.stderr.read()

    async def logged(self, event: str) -> bool:
        """Wait for a log line of this event; `False` where it ended without one."""
        async with asyncio.timeout(WAIT_S_MAX), self._said:
            await self._said.wait_for(lambda: self._over or event in self._counts)
        return event in self._counts

    async def said_anything(self) -> None:
        """Wait for its first line, or its end."""
        async with asyncio.timeout(WAIT_S_MAX), self._said:
            await self._said.wait_for(lambda: self._over or bool(self.lines))

    def kill(self) -> None:
        """Kill it with SIGKILL; one that has ended is left alone."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    async def ended(self) -> int:
        """Wait until it has ended and all it said is heard; gives its exit code."""
        async with asyncio.timeout(WAIT_S_MAX):
            code = await self._process.wait()
            async with self._said:
                await self._said.wait_for(lambda: self._over)
        return code

    def last_words(self) -> str:
        """Give its code and the end of what it said, for a failed test."""
        end = [line.decode(errors="replace")[:500] for line in self.lines[-3:]]
        return f"code {self.code}; {end}; {self.errors.decode(errors='replace')[-2000:]}"

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def last_line(self) -> dict[str, Any]:
        """Give the last line of its log."""
        assert self.lines, f"it said nothing; its complaints: {self.errors.decode(errors='replace')}"
        line: dict[str, Any] = orjson.loads(self.lines[-1])
        return line


@asynccontextmanager
async def running(*words: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """Run a program until the block ends; whatever is left of it then is killed."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
    )
    started = Process(process)
    async with asyncio.TaskGroup() as group:
        group.create_task(started.listen())
        group.create_task(started.listen_to_errors())
        try:
            yield started
        finally:
            started.kill()
            await process.wait()


def _event_of(line: bytes) -> str:
    """Name the event of a log line; what is no JSON object (a complaint of a library) has none."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return ""
    return str(value.get("event", "")) if isinstance(value, dict) else ""
