"""Time that a test lets pass: hours and days in no time at all, for the exchange's clock and the machine's alike.

It runs with the machine's clock and can be put forward; while it is held, it stands still but for what it is put
forward, so that what is done meanwhile happens at the same moments in every run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ditad.clock import US_PER_MS, SystemClock

NS_PER_MS = 1_000_000


class Era:
    """A clock in milliseconds since 1970 that begins at `at_ms`."""

    def __init__(self, at_ms: int) -> None:
        self._ahead_ms = at_ms - _machine_ms()
        self._held_ms: int | None = None

    def now_ms(self) -> int:
        """Read it."""
        return _machine_ms() + self._ahead_ms if self._held_ms is None else self._held_ms

    def put_forward(self, ms: int) -> None:
        """Let so many milliseconds pass at once; only while it is held."""
        assert self._held_ms is not None, "a running clock is not put forward under somebody who reads it"
        self._held_ms += ms

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it stand still for a while, to whole seconds; then it runs on from where it was put."""
        self._held_ms = self.now_ms() // 1_000 * 1_000
        try:
            yield
        finally:
            self._ahead_ms = self._held_ms - _machine_ms()
            self._held_ms = None

    def machine_clock(self) -> SystemClock:
        """Give a daemon's clock that lives in this era, as it stands when the daemon starts."""
        return _Shifted(self._ahead_ms * US_PER_MS)


class _Shifted(SystemClock):
    """The machine's clock, set to another time; monotonic time is another thing and stays."""

    def __init__(self, ahead_us: int) -> None:
        super().__init__()
        self._ahead_us = ahead_us

    def now_us(self) -> int:
        """Give wall time of that era."""
        return super().now_us() + self._ahead_us


def _machine_ms() -> int:
    return time.time_ns() // NS_PER_MS


def days(number: float) -> int:
    """Give a number of days in milliseconds."""
    return int(number * 86_400_000)
