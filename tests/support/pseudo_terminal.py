"""A program at a terminal: a pseudo-terminal of some width, and what it shows there.

What enters: the words of a program, a width. What leaves: everything that was written, stdout and stderr as a person
sees them, on one screen; and the program's exit code.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Mapping

from tests.support.process import ROOT
from tests.support.running import WAIT_S_MAX

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ROWS = 40


async def at_terminal(*words: str, columns: int, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a program to its end; gives its exit code and what it wrote, escapes included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=ROOT,
        env={**plain, "TERM": "xterm", **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    reading = asyncio.get_running_loop().run_in_executor(None, _all_of, ours)
    async with asyncio.timeout(WAIT_S_MAX):
        code = await process.wait()
        said = await reading
    return code, said.decode().replace("\r\n", "\n")


def _all_of(descriptor: int) -> bytes:
    """Read until the other end is closed, which Linux tells as an error."""
    said = b""
    try:
        while more := os.read(descriptor, 65_536):
            said += more
    except OSError:
        pass
    os.close(descriptor)
    return said


def seen(text: str) -> list[str]:
    """Give the lines as they look, without colour."""
    return ESCAPES.sub("", text).splitlines()
