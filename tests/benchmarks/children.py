"""Processes of a benchmark: told and telling in lines of JSON, and what each of them alone costs.

What enters: the words of a Python program of this clone. What leaves: its answers; its own CPU time, resident memory,
threads and file descriptors, as the kernel counts them. What holds: every wait has an end, and whatever is left of a
child at the end of its block is ended by its id.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from tests.benchmarks.machine import ROOT

STEP_S_MAX = 120.0
"""No step of a benchmark takes longer; one that does is broken."""

STILL_S = 0.05
STILL_CPU_S = 0.002
STILL_S_MAX = 5.0
STOP_S_MAX = 10.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024


class Child:
    """A child process that is told and tells in lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, **command: object) -> dict[str, Any]:
        """Send one command and give its answer."""
        self.say(**command)
        return await self.heard()

    def say(self, **command: object) -> None:
        """Send one command."""
        assert self.process.stdin is not None, "this child listens"
        self.process.stdin.write(orjson.dumps(command) + b"\n")

    async def heard(self) -> dict[str, Any]:
        """Read one answer."""
        assert self.process.stdout is not None, "this child tells"
        async with asyncio.timeout(STEP_S_MAX):
            line = await self.process.stdout.readline()
        if not line:
            raise SystemExit("a process of the benchmark ended early; what it said is above")
        answer: dict[str, Any] = orjson.loads(line)
        return answer

    @property
    def cpu_s(self) -> float:
        """Give the CPU time of all its threads; Linux makes a process's clock from its id. (clock_getcpuclockid(3))"""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    async def still(self) -> float:
        """Wait until it has nothing left to do, with a bound; gives its CPU time then."""
        before, now = -1.0, self.cpu_s
        end_s = time.monotonic() + STILL_S_MAX
        while now - before > STILL_CPU_S and time.monotonic() < end_s:
            await asyncio.sleep(STILL_S)
            before, now = now, self.cpu_s
        return now

    @property
    def resident_bytes(self) -> int:
        """Give what it holds in memory. (VmRSS, proc(5))"""
        return self._status("VmRSS") * 1024

    @property
    def threads(self) -> int:
        """Give how many threads it has."""
        return self._status("Threads")

    @property
    def descriptors(self) -> int:
        """Give how many files and sockets it holds."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    async def holding(self, descriptors: int) -> None:
        """Wait until it holds no more files and sockets than this: until it has noticed who left."""
        async with asyncio.timeout(STEP_S_MAX):
            while self.descriptors > descriptors:  # noqa: ASYNC110 - another process tells us nothing
                await asyncio.sleep(STILL_S)

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise SystemExit(f"the kernel does not tell {name}")


@asynccontextmanager
async def child(*words: str, log: int = asyncio.subprocess.PIPE) -> AsyncIterator[Child]:
    """Run a Python process from the root of the clone until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=log, limit=ANSWER_BYTES_MAX
    )
    try:
        yield Child(process)
    finally:
        await ended(process)


async def ended(process: asyncio.subprocess.Process) -> None:
    """End a process in order, or at once where it does not."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def tell(**answer: object) -> None:
    """Write one line for whoever started us."""
    sys.stdout.write(orjson.dumps(answer).decode() + "\n")
    sys.stdout.flush()


async def commands() -> AsyncIterator[dict[str, Any]]:
    """Give what we are told, a command a line, until the end of stdin."""
    lines = asyncio.StreamReader(limit=ANSWER_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        yield orjson.loads(line)
