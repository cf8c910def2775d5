"""A real terminal: tmux, with a server, a socket and a size of its own, driven by keys and read off its screen.

What enters: the words of a program, a size, keys. What leaves: what stands on the screen, with or without the codes of
its colours. What holds: the server is this test's own and ends with it; nothing of the user's tmux is read or touched.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.process import ROOT, pause
from tests.support.running import WAIT_S_MAX

LOOK_S = 0.05
"""Between two looks at a screen, which tells nobody that it has changed."""

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not here: apt-get install tmux")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
"""A code that sets a colour; that of the default ones, 39 and 49, is none."""

REVERSE = re.compile(r"\x1b\[(?:\d+;)*7m")


class Terminal:
    """A program on a screen."""

    def __init__(self, socket: Path, width: int, height: int) -> None:
        self._socket = socket
        self.width = width
        self.height = height

    async def tmux(self, *words: str) -> str:
        """Tell the server something; gives what it says."""
        process = await asyncio.create_subprocess_exec(
            "tmux",
            "-u",
            "-S",
            str(self._socket),
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(WAIT_S_MAX):
            out, err = await process.communicate()
        assert 0 == process.returncode, err.decode()
        return out.decode()

    async def lines(self) -> list[str]:
        """Give what stands on the screen."""
        return [line.rstrip() for line in (await self.tmux("capture-pane", "-p", "-t", "top")).splitlines()]

    async def painted(self) -> str:
        """Give what stands on the screen, with the codes of how it is painted."""
        return await self.tmux("capture-pane", "-e", "-p", "-t", "top")

    async def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        await self.tmux("send-keys", "-t", "top", *keys)

    async def until(self, holds: Callable[[Sequence[str]], bool], wait_s: float = WAIT_S_MAX) -> list[str]:
        """Look until something holds of the lines; gives them."""
        lines: list[str] = []
        try:
            async with asyncio.timeout(wait_s):
                while not holds(lines := await self.lines()):
                    await pause(LOOK_S)
        except TimeoutError:
            raise AssertionError("it never came to show it; last:\n" + "\n".join(lines)) from None
        return lines

    async def shows(self, *words: str) -> list[str]:
        """Look until all these words stand there; gives the lines."""
        return await self.until(lambda lines: all(word in "\n".join(lines) for word in words))


@asynccontextmanager
async def terminal(
    socket: Path, *words: str, width: int = 80, height: int = 24, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Terminal]:
    """Run a program in a terminal until the block ends; `socket` is where this tmux listens."""
    made = Terminal(socket, width, height)
    clean = {name: value for name, value in os.environ.items() if name not in {"TMUX", "NO_COLOR", "COLORTERM"}}
    command = ["env", *(f"{name}={value}" for name, value in (environ or {}).items()), *words]
    start = await asyncio.create_subprocess_exec(
        *("tmux", "-u", "-S", str(socket), "-f", "/dev/null", "new-session", "-d", "-s", "top"),
        *("-x", str(width), "-y", str(height), "-c", str(ROOT), f"{shlex.join(command)}; echo ended with $?; exec cat"),
        env={**clean, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    assert 0 == await start.wait(), "tmux starts"
    try:
        yield made
    finally:
        await made.tmux("kill-server")
