"""Lines to a file descriptor, by a thread of their own, so that a blocked reader never blocks who logs.

What enters: lines without newline. What leaves: the same lines in order, redacted and cut to length, the only way out
of the process for anything that is logged. What holds: at most `LINES_MAX` lines and `BYTES_MAX` bytes wait; beyond
that the oldest go, and a line `log.dropped` in their place says how many; `close` waits a stated time and no longer.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from ditad import log_lines
from ditad.records import rfc3339

LINES_MAX: Final = 10_000
BYTES_MAX: Final = 16 * 1024 * 1024
WRITE_BYTES_MAX: Final = 64 * 1024
PASSING_SECRETS_MAX: Final = 512
"""Listen keys come and go; the newest this many stay hidden, an older one has expired long ago."""
CLOSE_WAIT_S: Final = 2.0
GATHER_S: Final = 0.01
"""After the first line of a quiet moment this long is waited for more: a busy second is a few writes, not thousands."""
POLL_S: Final = 1.0


class LogStream:
    """The one door for log lines; every method may be called from any thread."""

    def __init__(
        self,
        fd: int,
        *,
        now_us: Callable[[], int],
        least: int = 0,
        lines_max: int = LINES_MAX,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        """Start writing to a descriptor, which stays the caller's; `least` is the level still written, and may be set."""
        self._fd = fd
        self._now_us = now_us
        self.least = least
        self._lines_max = lines_max
        self._bytes_max = bytes_max
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._dropped_total = 0
        self._hidden: tuple[bytes, ...] = ()
        self._passing: deque[tuple[bytes, ...]] = deque(maxlen=PASSING_SECRETS_MAX)
        self._closing = False
        self._awaited = False
        """Whether the thread waits for a line; else it looks by itself, and nobody needs to wake it."""
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were lost in all, at the bound, after `close`, or because nobody reads any more."""
        return self._dropped_total

    def hide(self, secret: str, *, passing: bool = False) -> None:
        """Keep a text out of every line from now on; `passing` ones are forgotten after many newer ones."""
        if len(secret) < log_lines.SECRET_LENGTH_MIN:
            return
        forms = log_lines.forms_of(secret)
        with self._turn:
            if forms[0] in self._hidden or forms in self._passing:
                return
            if passing:
                self._passing.append(forms)
            else:
                self._hidden += forms

    def redact(self, text: str) -> str:
        """Take every secret out of a text that leaves the process by another door, such as stderr."""
        return log_lines.redact(text.encode(errors="backslashreplace"), self._secrets()).decode(errors="replace")

    def raw_line(self, line: bytes, *, level: int = logging.INFO) -> None:
        """Write a line that is encoded already, such as a snapshot's, without its newline."""
        if level >= self.least:
            self.put(line)

    def put(self, line: bytes) -> None:
        """Write a line, whatever its level; returns at once."""
        with self._turn:
            if self._closing:
                self._dropped_total += 1
                return
            self._waiting.append(line)
            self._waiting_bytes += len(line)
            while len(self._waiting) > self._lines_max or self._waiting_bytes > self._bytes_max:
                self._waiting_bytes -= len(self._waiting.popleft())
                self._dropped += 1
                self._dropped_total += 1
            if self._awaited:
                self._awaited = False
                self._turn.notify()

    def close(self, wait_s: float = CLOSE_WAIT_S) -> bool:
        """Write what waits, for at most `wait_s` seconds; say whether all of it went out."""
        with self._turn:
            self._closing = True
            self._turn.notify()
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    # ---- in the stream's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while (lines := self._next()) is not None:
            if not self._write(log_lines.block(lines, self._secrets())):
                self._give_up(len(lines))
                return

    def _secrets(self) -> tuple[bytes, ...]:
        with self._turn:
            return self._hidden + tuple(form for forms in self._passing for form in forms)

    def _next(self) -> list[bytes] | None:
        """Wait for lines and take some of them, in order; `None` when closed and empty."""
        with self._turn:
            is_quiet = not self._waiting
            while not self._waiting and not self._dropped and not self._closing:
                self._awaited = True
                self._turn.wait()
            if is_quiet and not self._closing:
                self._turn.wait(GATHER_S)
            taken: list[bytes] = []
            if self._dropped:
                taken.append(self._dropped_line(self._dropped))
                self._dropped = 0
            size = 0
            while self._waiting and size < WRITE_BYTES_MAX:
                taken.append(self._waiting.popleft())
                size += len(taken[-1])
            self._waiting_bytes -= size
            return taken or None

    def _dropped_line(self, lines: int) -> bytes:
        fields = {"event": "log.dropped", "level": "warning", "timestamp": rfc3339(self._now_us())}
        return log_lines.encode(fields | {"lines": lines})

    def _write(self, data: bytes) -> bool:
        """Write all of it, however long that takes; `False` where nobody can read it any more."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                select.select([], [self._fd], [], POLL_S)
            except OSError:
                return False
        return True

    def _give_up(self, lines: int) -> None:
        """Nobody reads the log any more: that is no reason to stop an account's books."""
        with self._turn:
            self._closing = True
            self._dropped_total += lines + len(self._waiting)
            self._waiting.clear()
