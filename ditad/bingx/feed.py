"""One account's whole conversation with the exchange; the only class of this folder that the daemon uses.

(signatures; the body follows)
"""

from __future__ import annotations

import random
from typing import Any, Protocol

from ditad.bingx.options import LIVE, VST, Credentials, FeedOptions, Hosts
from ditad.clock import Clock
from ditad.events import Body, Needs, Raw

__all__ = ["LIVE", "VST", "Credentials", "Feed", "FeedOptions", "FeedStats", "Hosts", "Sink"]


class Sink(Protocol):
    """Where a feed puts what it hears, and where it learns what the fold wants to be told."""

    async def submit(self, body: Body, *, at_us: int, raw: Raw | None = None) -> None:
        """Queue a body in order; waits while the queue is full."""

    async def deliver(self, body: Body, *, at_us: int, raw: Raw | None = None) -> None:
        """Queue a body in order and return once it is durable and folded."""

    def heard(self, at_us: int) -> None:
        """Note that some frame, `Ping` included, came on the private stream."""

    def counted(self, what: str) -> None:
        """Count a frame that changes nothing: ``ping``, ``ack``, ``config_repeat``."""

    def needs(self) -> Needs:
        """Give what the fold wants to be told, now."""

    def has_baseline(self) -> bool:
        """Say whether the ledger has a baseline."""

    async def needs_changed(self) -> None:
        """Return when `needs()` has become different since the last call."""


class Feed:
    def __init__(
        self,
        *,
        account: str,
        hosts: Hosts,
        credentials: Credentials,
        options: FeedOptions,
        sink: Sink,
        clock: Clock,
        random: random.Random,
        log: Any,  # a structlog bound logger
    ) -> None: ...

    async def run(self) -> None:
        """Until cancelled; raises VenueFatalError when a person must act."""

    def request_audit(self) -> None:
        """Ask balance, positions, fills, forced orders and income now."""

    @property
    def stats(self) -> FeedStats: ...
