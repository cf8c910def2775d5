"""What the service manager is told: ready, how things stand, that the pipelines turn, that we stop. (sd_notify(3))

What enters: the environment, once, and what the daemon has to say. What leaves: datagrams to `$NOTIFY_SOCKET`, nothing
where there is none. What holds: telling neither fails nor takes longer than `TELL_S_MAX`; the watchdog is fed by the
turn of a pipeline and by nothing else, and only once all of them have turned since it was fed last.

These lines are our own because there is nobody to take them from: sdnotify saw its last commit in 2021 and knows
neither `MONOTONIC_USEC` nor `EXTEND_TIMEOUT_USEC`; systemd-python is alive, but wants a compiler and systemd's headers
where a venv is made; the protocol is one datagram.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Final

TELL_S_MAX: Final = 0.5
"""The manager's queue is full only when the manager itself stands still."""

STATUS_LENGTH_MAX: Final = 1_024
FEEDS_PER_LIMIT: Final = 4
"""The watchdog is fed up to so many times within its limit, so that turns may come late without a kill."""

VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_US_PER_S: Final = 1_000_000


class ServiceManager:
    """The one who started us; `watchdog_s` is how long it waits for a sign of life (`None`: for ever)."""

    def __init__(self, address: str | None = None, *, watchdog_s: float | None = None) -> None:
        """Use `of`; without an address everything said is said to nobody."""
        self.watchdog_s = watchdog_s
        self._address = None if address is None else _bound_name(address)

    @classmethod
    def of(cls, environ: Mapping[str, str], *, pid: int) -> ServiceManager:
        """Read what the environment says of it. A path or a name (`@…`) is a unix socket; other kinds are not ours."""
        address = environ.get("NOTIFY_SOCKET", "")
        known = address if address.startswith(("/", "@")) and len(address) > 1 else None
        meant = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        limit_us = environ.get("WATCHDOG_USEC", "")
        watched = meant and known is not None and limit_us.isdecimal() and int(limit_us) > 0
        return cls(known, watchdog_s=int(limit_us) / _US_PER_S if watched else None)

    # ---- what can be said

    def ready(self, status: str) -> None:
        """Say that start or reload are over, and how things stand."""
        self._tell("READY=1", _status(status))

    def status(self, status: str) -> None:
        """Say in one line how things stand."""
        self._tell(_status(status))

    def reloading(self) -> None:
        """Say that settings are being read again; `ready` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def stopping(self, status: str) -> None:
        """Say that the end has begun."""
        self._tell("STOPPING=1", _status(status))

    def extend(self, seconds: float, status: str) -> None:
        """Ask for so much more time from now for a start that goes on, and say what takes it."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * _US_PER_S)}", _status(status))

    def feed(self) -> None:
        """Give the watchdog its sign of life; for `Watchdog` alone."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(TELL_S_MAX)
                sock.sendto("\n".join(lines).encode(errors="replace"), self._address)
        except OSError:
            return  # it is told again at the next turn or change; a manager that is gone needs no telling


class Watchdog:
    """Turns of all pipelines to signs of life; a pipeline that stands still starves it."""

    def __init__(
        self, names: Iterable[str], feed: Callable[[], None], *, limit_s: float | None, mono_s: Callable[[], float]
    ) -> None:
        """`limit_s` of `None`: nobody waits for signs of life, and none are given."""
        self._names = frozenset(names)
        self._feed = feed
        self._every_s = math.inf if limit_s is None else limit_s / FEEDS_PER_LIMIT
        self._mono_s = mono_s
        self._turned: set[str] = set()
        self._fed_mono = -math.inf
        self.turn_s_max = None if limit_s is None else self._every_s

    def turned(self, name: str) -> None:
        """Note a pipeline's turn; feeds when it was the last of all to turn, at most `FEEDS_PER_LIMIT` times a limit."""
        assert name in self._names, f"nobody watches a pipeline {name}"
        if self.turn_s_max is None:
            return
        self._turned.add(name)
        now_mono = self._mono_s()
        if self._turned == self._names and now_mono - self._fed_mono >= self._every_s:
            self._turned.clear()
            self._fed_mono = now_mono
            self._feed()


def forget(environ: MutableMapping[str, str]) -> None:
    """Take the variables out of an environment, so that no child speaks in our name."""
    for name in VARIABLES:
        environ.pop(name, None)


def _bound_name(address: str) -> str:
    """Give the address as the kernel wants it: a name in the abstract namespace begins with a zero byte."""
    return f"\0{address[1:]}" if address.startswith("@") else address


def _status(text: str) -> str:
    """Make one bounded line of a text."""
    line = " ".join(text.split())
    return f"STATUS={line if len(line) <= STATUS_LENGTH_MAX else f'{line[: STATUS_LENGTH_MAX - 1]}…'}"
