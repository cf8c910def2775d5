"""The disk of a simulated machine: a real journal in a folder, and what a death or a full disk leaves of it.

What enters: blocking work of the journal, one piece at a time. What leaves: its results, after a while; or a copy of
the folder as the machine left it, for the next incarnation.
What holds: what a commit has promised is in the copy; of a commit that promised nothing there may be all, nothing, or
a torn part of its log.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

COMMIT_S_MAX = 0.004


class Disk:
    """Carries out the work that the daemon gives to threads; installed as the loop's `disk`."""

    def __init__(
        self, home: Path, account: str, rng: Random, *, kill: float, full: float, on_kill: Callable[[Path], None]
    ) -> None:
        """Begin with an empty folder; `kill` and `full` are probabilities per piece of work."""
        self._home = home
        self._account = account
        self._rng = rng
        self._kill = kill
        self._full = full
        self._on_kill = on_kill
        self._folders = 0
        self.connection: sqlite3.Connection | None = None
        self.folder = self._next_folder()
        self.deaths = 0
        self.fulls = 0

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self._kill = self._full = 0.0

    def _next_folder(self) -> Path:
        self._folders += 1
        folder = self._home / str(self._folders)
        folder.mkdir(mode=0o700)
        return folder

    def __call__(self, work: Callable[[], Any], done: asyncio.Future[Any]) -> None:
        """Do a piece of work, or die before, in the middle or after it."""
        loop = asyncio.get_running_loop()
        if self._kill and self._rng.random() < self._kill:
            self._die_at(work)
            return
        if self._full and self.connection is not None and self._rng.random() < self._full:
            self.fulls += 1
            (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
            self.connection.execute(f"PRAGMA max_page_count = {pages}")
        try:
            result = work()
        except Exception as exc:  # noqa: BLE001 - whatever it is belongs to whoever waits for it
            loop.call_later(self._rng.random() * COMMIT_S_MAX, _fail, done, exc)
        else:
            loop.call_later(self._rng.random() * COMMIT_S_MAX, _finish, done, result)

    def _die_at(self, work: Callable[[], Any]) -> None:
        """Die with a commit on its way: it happened wholly, not at all, or its log is torn."""
        log = self.folder / f"{self._account}.journal-wal"
        before = log.read_bytes() if log.exists() else b""
        how = self._rng.choice(["before", "torn", "after"])
        if how == "before":
            self._on_kill(self.left())
            return
        data = (self.folder / f"{self._account}.journal").read_bytes()
        work()
        copy = self.left()
        if how == "torn" and (copy / f"{self._account}.journal").read_bytes() == data:
            after = (copy / log.name).read_bytes()
            if after[: len(before)] == before:
                kept = self._rng.randint(len(before), len(after))
                (copy / log.name).write_bytes(after[:kept])
        self._on_kill(copy)

    def left(self) -> Path:
        """Copy what the machine has on its disk at this moment; the next incarnation finds it."""
        self.deaths += 1
        before = self.folder
        self.folder = self._next_folder()
        for name in (f"{self._account}.journal", f"{self._account}.journal-wal"):
            if (before / name).exists():
                shutil.copyfile(before / name, self.folder / name)
                (self.folder / name).chmod(0o600)
        self.connection = None
        return self.folder


def _finish(done: asyncio.Future[Any], result: object) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], exc: Exception) -> None:
    if not done.done():
        done.set_exception(exc)
