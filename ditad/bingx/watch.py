"""Noticing that the stream says nothing of what REST shows: the sign of a dead key behind a living `Ping`.

What enters: that a push came, and the wallet it told; the standing that a pair of reports shows. What leaves: a
suspicion. What holds: suspected is a standing that differs from the one reported before with no push between, or a
wallet that differs from what was told last by anybody, with no push for `GRACE_S` before nor after; it is told again
and again until a push comes or the stream changes, because who hears it may not yet be able to act (bingx.md §2).
"""

from __future__ import annotations

from decimal import Decimal

GRACE_S = 3.0
AGAIN_S = 1.0


class Watch:
    """Compares what is pushed with what is reported. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.pushes = 0
        self._pushed_at: float | None = None
        self._wallet: Decimal | None = None  # as told last, by a push or a report; `None` after the stream changed
        self._reported: tuple[Decimal, object] | None = None
        self._pushes_then = 0
        self._suspect_at: float | None = None

    def pushed(self, now: float, wallet: Decimal | None = None) -> None:
        """Note a push that tells of movement, and the wallet if it tells it: nothing is suspected now."""
        self.pushes += 1
        self._pushed_at = now
        self._suspect_at = None
        if wallet is not None:
            self._wallet = wallet

    def changed(self) -> None:
        """Note a change of the stream: what moved meanwhile nobody could have pushed."""
        self.pushes += 1
        self._suspect_at = self._wallet = None

    def reported(self, wallet: Decimal, positions: object, pushes: int, now: float) -> None:
        """Note what balance and positions show, and how many `pushes` there had been when they were asked for."""
        quiet = self._pushed_at is None or now - self._pushed_at >= GRACE_S
        silent = self.pushes == self._pushes_then
        moved = silent and self._reported not in {None, (wallet, positions)}
        if quiet and self.pushes == pushes:
            moved |= self._wallet not in {None, wallet}
            self._wallet = wallet
        if moved:
            self._suspect_at = now + GRACE_S
        # What is reported so soon after a push may be older than it, and is nothing to compare with.
        self._reported, self._pushes_then = (wallet, positions) if quiet else None, pushes

    def due_in_s(self, now: float) -> float | None:
        """Give the seconds until `suspects` may say yes; `None` while nothing is suspected."""
        return None if self._suspect_at is None else max(self._suspect_at - now, 0.0)

    def suspects(self, now: float) -> bool:
        """Say that the stream kept silent about a movement; again after a pause, until that is over."""
        if self._suspect_at is None or now < self._suspect_at:
            return False
        self._suspect_at = now + AGAIN_S
        return True
