"""What the checks do with the machine: commands, the unit's properties, its journal, its socket as this user or that.

What holds: every wait has an end, and none is a pause: what tells nobody that it has changed is looked at again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.process import pause
from tests.systemd.recipe import ROOT

UNIT: Final = "ditad.service"
SOCKET: Final = Path("/run/ditad/ditad.sock")
DITAD: Final = "/opt/ditad/bin/ditad"
WAIT_S_MAX: Final = 120.0
"""No wait is longer; it is a bound for a broken build on a busy machine, not a pace."""

LOOK_S: Final = 0.05

ASKING: Final = """
import http.client, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(sys.argv[1])
connection = Unix("d")
try:
    connection.request(sys.argv[2], sys.argv[3], body=sys.argv[4].encode() or None)
    answer = connection.getresponse()
    print(answer.status, answer.read().decode())
except PermissionError as exc:
    print("EACCES", exc)
"""
"""One request over the socket, by the standard library, for whoever is to ask."""


class Done:
    """A command that has ended."""

    def __init__(self, code: int, out: str, err: str, seconds: float) -> None:
        self.code = code
        self.out = out
        self.err = err
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.code}, {self.seconds:.2f} s {(self.out + self.err).strip()[-300:]}"


async def run(*words: str | Path, check: bool = False) -> Done:
    """Run a command to its end."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *map(str, words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(WAIT_S_MAX):
        out, err = await process.communicate()
    assert process.returncode is not None, "it has ended"
    done = Done(process.returncode, out.decode(), err.decode(), time.monotonic() - began)
    assert not check or done.code == 0, f"{words}: {done}"
    return done


async def shell(line: str) -> Done:
    """Run a line as root's shell would; it must succeed."""
    return await run("bash", "-c", line, check=True)


async def show(*names: str, unit: str = UNIT) -> dict[str, str]:
    """Give properties of a unit."""
    done = await run("systemctl", "show", unit, "-p", ",".join(names))
    return dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)


async def main_pid() -> int:
    """Give the daemon's process."""
    return int((await show("MainPID"))["MainPID"])


async def journal(*words: str) -> list[str]:
    """Give lines of the system's journal, all that was said until now."""
    await run("journalctl", "--sync", check=True)
    return (await run("journalctl", "--no-pager", *words, check=True)).out.splitlines()


async def told(event: str, *, unit: str = UNIT) -> list[dict[str, Any]]:
    """Give the daemon's own log lines of an event."""
    lines = [line for line in await journal("-u", unit, "-o", "cat") if line.startswith("{")]
    return [line for line in map(json.loads, lines) if line.get("event") == event]


async def until(holds: Callable[[], Any], seconds_max: float = WAIT_S_MAX) -> bool:
    """Look again until something, which may be awaited for, holds; says whether it came to hold in time."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        found = holds()
        if await found if asyncio.iscoroutine(found) else found:
            return True
        await pause(LOOK_S)
    return False


@asynccontextmanager
async def frozen(process: int) -> AsyncIterator[str]:
    """Let all threads of a process but its first stand until it is gone, as a disk that never answers would."""
    words = ("/usr/bin/python3", "-B", str(ROOT / "tests/systemd/freezing.py"), str(process))
    freezing = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert freezing.stdout is not None, "its stdout is a pipe"
    async with asyncio.timeout(WAIT_S_MAX):
        yield (await freezing.stdout.readline()).decode().strip()
        await freezing.wait()


async def ask_as(user: str, method: str, path: str, body: str = "") -> tuple[str, str]:
    """Ask the daemon over its socket as a user; gives the status (or EACCES) and the body."""
    words = ("/usr/bin/python3", "-c", ASKING, str(SOCKET), method, path, body)
    done = await run(*(("runuser", "-u", user, "--", *words) if user != "root" else words))
    status, _, answer = done.out.strip().partition(" ")
    return status or done.err.strip()[-200:], answer
