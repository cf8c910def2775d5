"""Time, handed to whoever needs it: wall time for what is recorded, monotonic time for what is waited for.

What holds: within one process `now_us` never goes back and never repeats, whatever happens to the machine's clock;
so two recorded moments order what they stamp. A wall clock set forward is followed within `STEP_US_MAX` of the truth.
"""

from __future__ import annotations

import time
from typing import Protocol

US_PER_S = 1_000_000
US_PER_MS = 1_000
STEP_US_MAX = 500_000


class Clock(Protocol):
    """What modules that act need of time."""

    def now_us(self) -> int:
        """Give wall time in microseconds since the epoch, strictly increasing."""

    def mono_s(self) -> float:
        """Give monotonic seconds, for deadlines."""


class SystemClock:
    """The machine's clock; wall time advances with the monotonic clock and jumps forward only when it was set.

    Where it was set back, time goes on at half its pace until the machine's has caught up: it never stands still.
    """

    def __init__(self) -> None:
        """Anchor wall time to monotonic time."""
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._last_us = 0
        self._last_mono_ns = time.monotonic_ns()

    def now_us(self) -> int:
        """Give wall time in microseconds, strictly increasing within this process."""
        drift_us = (time.time_ns() - time.monotonic_ns() - self._offset_ns) // 1_000
        if abs(drift_us) > STEP_US_MAX:
            self._offset_ns += drift_us * 1_000
        mono_ns = time.monotonic_ns()
        elapsed_us = (mono_ns - self._last_mono_ns) // 1_000
        self._last_mono_ns = mono_ns
        self._last_us = max((mono_ns + self._offset_ns) // 1_000, self._last_us + max(1, elapsed_us // 2))
        return self._last_us

    def mono_s(self) -> float:
        """Give monotonic seconds."""
        return time.monotonic()
