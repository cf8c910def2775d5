"""Noticing that the stream says nothing of what REST shows: the sign of a dead key behind a living `Ping`.

What enters: that an account or order push came; the standing that a pair of reports shows. What leaves: a suspicion.
What holds: a suspicion needs two reports of different standing with no push since the first was asked for, and none
within `GRACE_S` after the second; it is told once (bingx.md §2).
"""

from __future__ import annotations

GRACE_S = 3.0


class Watch:
    """Compares what is pushed with what is reported. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.pushes = 0
        self._standing: object = None
        self._pushes_then = 0
        self._suspect_at: float | None = None

    def pushed(self) -> None:
        """Note a push that tells of movement, or a change of the stream: nothing is suspected now."""
        self.pushes += 1
        self._suspect_at = None

    def reported(self, standing: object, pushes: int, now: float) -> None:
        """Note what balance and positions show, and how many `pushes` there had been when they were asked for."""
        silent = self.pushes == self._pushes_then
        if self._standing is not None and standing != self._standing and silent:
            self._suspect_at = now + GRACE_S
        self._standing = standing
        self._pushes_then = pushes

    def due_in_s(self, now: float) -> float | None:
        """Give the seconds until `suspects` may say yes; `None` while nothing is suspected."""
        return None if self._suspect_at is None else max(self._suspect_at - now, 0.0)

    def suspects(self, now: float) -> bool:
        """Say, once, that the stream kept silent about a movement."""
        if self._suspect_at is None or now < self._suspect_at:
            return False
        self._suspect_at = None
        return True
