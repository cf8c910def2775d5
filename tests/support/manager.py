"""What stands around a daemon that is started as a service: somebody to notify, and a socket that is handed in.

What enters: a folder. What leaves: the environment for the daemon, and what it said. What holds: a datagram is heard
in the order it was sent; a socket that is handed in is made before the daemon and outlives it.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from tests.support.running import WAIT_S_MAX

DATAGRAM_BYTES_MAX = 8_192

HAND_IN = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="api")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """The end of `$NOTIFY_SOCKET` that listens; `watchdog_s` is what it is said to wait for."""

    def __init__(self, folder: Path, *, watchdog_s: float | None = None) -> None:
        self.heard: list[dict[str, str]] = []
        self._path = folder / "notify"
        self._watchdog_s = watchdog_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self._path))

    @property
    def environ(self) -> dict[str, str]:
        """What the daemon is to be started with."""
        watchdog = {} if self._watchdog_s is None else {"WATCHDOG_USEC": str(int(self._watchdog_s * 1_000_000))}
        return {"NOTIFY_SOCKET": str(self._path), **watchdog}

    async def hears(self, word: str) -> dict[str, str]:
        """Wait for the next datagram that says this; gives all that it says."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                data = await loop.sock_recv(self._socket, DATAGRAM_BYTES_MAX)
                said = dict(line.split("=", 1) for line in data.decode().splitlines())
                self.heard.append(said)
                if word in said:
                    return said

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


def with_socket(handed: socket.socket, *program: str) -> tuple[str, ...]:
    """Name a program as one that gets a socket handed in, as systemd does it; the socket must be inheritable."""
    handed.set_inheritable(True)
    return sys.executable, "-c", HAND_IN, str(handed.fileno()), *program
