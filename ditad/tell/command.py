"""A telling to a command: its line on stdin, and 0 for an answer.

What enters: the words of a program, no shell. What leaves: nothing, or `HookError` with the end of what it complained.
What holds: it runs in a session of its own, which is killed whole when its time is over or nobody waits for it any more;
its stdout goes nowhere; of its stderr the beginning is kept and all is read, so that it never waits for us.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final

from ditad.tell.hook import HookError

SAID_BYTES_MAX: Final = 1_024
READ_BYTES: Final = 65_536
SAID_LENGTH_MAX: Final = 200


class Command:
    """Runs a program for each telling."""

    def __init__(self, words: Sequence[str], *, timeout_s: float) -> None:
        """Name the program by its path, and its arguments."""
        self._words = tuple(words)
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        """The program."""
        return self._words[0]

    async def tell(self, telling: bytes, *, key: str) -> None:
        """Run it with the telling on stdin; raises `HookError` unless it ends with 0 in time."""
        del key  # account and seq stand in the telling
        with ExitStack() as opened:
            try:
                stdin = _file_of(telling, opened)
                complaints = _Complaints()
                opened.callback(complaints.close)
                process = await asyncio.create_subprocess_exec(
                    *self._words,
                    stdin=stdin,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=complaints.writing,
                    start_new_session=True,
                )
            except OSError as exc:  # no such program, or no descriptor, process or memory left to run one with
                raise HookError(f"{self.name} cannot be run ({exc.strerror})") from exc
            code = await self._ended(process)
        if code != 0:
            ended = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
            raise HookError(f"{self.name} {ended}{complaints.said()}")

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Wait for its end, or make one; gives its code."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await process.wait()
        except TimeoutError as exc:
            raise HookError(f"{self.name} was not done within {self._timeout_s:g} s, and was killed") from exc
        finally:
            if process.returncode is None:  # it is not reaped, so its number is still that of its session
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


def _file_of(telling: bytes, opened: ExitStack) -> int:
    """Put a telling into a file in memory, which takes it whole, so that no reader is waited for."""
    stdin = os.memfd_create("telling", os.MFD_CLOEXEC)
    opened.callback(os.close, stdin)
    os.write(stdin, telling)
    os.lseek(stdin, 0, os.SEEK_SET)
    return stdin


class _Complaints:
    """What a program writes to stderr: read as it comes, the beginning of it kept."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._kept = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reading, self._read)

    def _read(self) -> bool:
        """Take what there is; says whether there may be more."""
        try:
            data = os.read(self._reading, READ_BYTES)
        except BlockingIOError:
            return False
        self._kept += data[: SAID_BYTES_MAX - len(self._kept)]
        if not data:
            self._loop.remove_reader(self._reading)
        return len(data) == READ_BYTES

    def close(self) -> None:
        """Read the rest, and stop: somebody it left behind may hold the other end for ever."""
        os.close(self.writing)
        self._read()
        self._loop.remove_reader(self._reading)
        os.close(self._reading)

    def said(self) -> str:
        """Give what it complained, in one line."""
        words = " ".join(self._kept.decode(errors="replace").split())
        shown = "".join(letter for letter in words if letter.isprintable())[:SAID_LENGTH_MAX]
        return f": {shown}" if shown else ""
