"""An event loop without a machine: time passes only when everybody waits, and blocking work is done at once.

What enters: callbacks and deadlines. What leaves: their execution, in an order that depends on nothing but them.
What holds: no thread, no socket, no real clock; a loop in which nothing is left to happen says so instead of hanging.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

STEPS_MAX = 3_000_000
"""Turns of the loop in one run: a run that needs more has got stuck in a circle without time passing."""


class StuckError(Exception):
    """Nothing is left to happen, or things happen for ever."""


class _Waiting:
    """Stands where a loop has its selector: to wait is to let time pass."""

    def __init__(self, turns_max: int) -> None:
        self.now_s = 0.0
        self.turns = 0
        self._turns_max = turns_max

    def select(self, timeout: float | None) -> list[Any]:
        self.turns += 1
        if timeout is None:
            raise StuckError("everybody waits for something that will never happen")
        if self.turns > self._turns_max:
            raise StuckError(f"more than {self._turns_max} turns of the loop")
        self.now_s += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs everything in virtual time; `disk` carries blocking work out, and decides how long it takes."""

    def __init__(self, *, turns_max: int = STEPS_MAX) -> None:
        """Begin at second 0."""
        super().__init__()
        self._waiting = _Waiting(turns_max)
        self._selector = self._waiting
        self._clock_resolution = 1e-6
        self.disk: Callable[[Callable[[], Any], asyncio.Future[Any]], None] = at_once
        self.failures: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.failures.append(context))

    def time(self) -> float:
        """Give the virtual seconds since the beginning."""
        return self._waiting.now_s

    @property
    def turns(self) -> int:
        """Give how often the loop has turned."""
        return self._waiting.turns

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # noqa: ARG002
        """Let the disk do it, in this thread."""
        done: asyncio.Future[Any] = self.create_future()
        self.disk(lambda: func(*args), done)
        return done

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody waits in another thread."""


def at_once(work: Callable[[], Any], done: asyncio.Future[Any]) -> None:
    """Do blocking work now, and tell what came of it."""
    try:
        result = work()
    except Exception as exc:  # noqa: BLE001 - whatever it is belongs to whoever waits for it
        done.set_exception(exc)
    else:
        done.set_result(result)
