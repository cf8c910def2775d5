"""A sink that keeps what it is given and wants what a test tells it to want."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ditad.events import NO_NEEDS, BaselineTaken, Body, Needs, Raw
from tests.support.running import WAIT_S_MAX

Kind = TypeVar("Kind")


class RecordingSink:
    """Folds nothing but the baseline, which its needs follow."""

    def __init__(self, needs: Needs = NO_NEEDS) -> None:
        self.bodies: list[Body] = []
        self.raws: list[Raw | None] = []
        self.counts: dict[str, int] = {}
        self.heard_us: list[int] = []
        self.at_us: list[int] = []
        self._needs = needs
        self._needs_event = asyncio.Event()
        self._came = asyncio.Event()

    async def submit(self, body: Body, *, at_us: int, raw: Raw | None = None) -> None:
        """Keep a body."""
        await asyncio.sleep(0)
        self.bodies.append(body)
        self.raws.append(raw)
        self.at_us.append(at_us)
        if isinstance(body, BaselineTaken):
            self.want(replace(self._needs, baseline=False, fills_from_ms=body.taken_ms, income_from_ms=body.taken_ms))
        self._came.set()

    async def deliver(self, body: Body, *, at_us: int, raw: Raw | None = None) -> None:
        """Keep a body; it is folded at once."""
        await self.submit(body, at_us=at_us, raw=raw)

    def heard(self, at_us: int) -> None:
        """Keep the moment."""
        self.heard_us.append(at_us)

    def counted(self, what: str) -> None:
        """Count."""
        self.counts[what] = self.counts.get(what, 0) + 1
        self._came.set()

    def needs(self) -> Needs:
        """Give what the test wants."""
        return self._needs

    def want(self, needs: Needs) -> None:
        """Want something else from now on."""
        self._needs = needs
        self._needs_event.set()

    def has_baseline(self) -> bool:
        """Say whether a baseline came."""
        return not self._needs.baseline

    async def needs_changed(self) -> None:
        """Wait for the test to want something else."""
        await self._needs_event.wait()
        self._needs_event.clear()

    def all(self, kind: type[Kind]) -> list[Kind]:
        """Give the bodies of one kind so far."""
        return [body for body in self.bodies if isinstance(body, kind)]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; it is looked at whenever something comes."""
        async with asyncio.timeout(WAIT_S_MAX):
            while not holds():
                self._came.clear()
                await self._came.wait()

    async def first(self, kind: type[Kind], number: int = 1) -> Kind:
        """Wait for the n-th body of a kind and give it."""
        await self.until(lambda: len(self.all(kind)) >= number)
        return self.all(kind)[number - 1]
