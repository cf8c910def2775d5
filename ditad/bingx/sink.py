"""What a feed needs of whoever folds its events; declared here, by the one who needs it."""

from __future__ import annotations

from typing import Protocol

from ditad.events import Body, Needs, Raw


class Sink(Protocol):
    """Where a feed puts what it hears, and where it learns what the fold wants to be told."""

    async def submit(self, body: Body, *, at_us: int, raw: Raw | None = None) -> None:
        """Queue a body in order; waits while the queue is full."""

    async def deliver(self, body: Body, *, at_us: int, raw: Raw | None = None) -> None:
        """Queue a body in order and return once it is durable and folded."""

    def heard(self, at_us: int) -> None:
        """Note that some frame, `Ping` included, came on the private stream."""

    def counted(self, what: str) -> None:
        """Count a frame that changes nothing: ``ping``, ``ack``, ``config_repeat``, ``market_rejected`` and such."""

    def needs(self) -> Needs:
        """Give what the fold wants to be told, now."""

    def has_baseline(self) -> bool:
        """Say whether the ledger has a baseline."""

    async def needs_changed(self) -> None:
        """Return when `needs()` has become different since the last call."""
