"""When the daemon is killed: moments of its life that can be seen from outside, drawn from a seed.

What enters: a `Life` to watch. What leaves: the return of a coroutine at the chosen moment. What holds: most moments
are told by something that happens (a line of its log, a question at the exchange, a published record, a changed file),
not by time alone; where it never happens, the wait has an end and says so.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from ditad.journal.opening import LOG_PAGES_FOLDED
from tests.kills.reader import StreamReader
from tests.support.process import Process, pause

MOMENT_S_MAX: Final = 8.0
"""A moment that does not come within this of a start is not waited for any longer."""

LOOK_S: Final = 0.0005
"""How often a file is looked at."""

START_S: Final = 0.9
"""About as long as a daemon takes to its first line."""

LOG_INDEX_HEAD: Final = 136
"""Bytes at the head of SQLite's index of the log (sqlite.org/walformat.html, section 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One daemon from its start to its death, and what can be seen of it."""

    process: Process
    reader: StreamReader
    state: Path
    account: str
    questions: Callable[[], int]
    """How many questions were put to the exchange so far."""
    asked: asyncio.Event
    """Set and cleared at each question, before it is answered."""

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.state / f"{self.account}.journal"

    @property
    def log(self) -> Path:
        """The journal's write-ahead log."""
        return self.state / f"{self.account}.journal-wal"


Stamp = tuple[int, int]
Moment = Callable[[Life, Random], Awaitable[None]]


async def in_its_start(_life: Life, chance: Random) -> None:
    """Before it has said anything, often before it has opened a file."""
    await pause(chance.uniform(0, START_S))


async def with_the_lock(life: Life, chance: Random) -> None:
    """When it has taken the state folder: while it opens the journal, brings it forward and folds it again."""
    lock = life.state / "ditad.lock"
    await _until(life, lambda: _text(lock) == f"{life.process.pid}\n")
    await pause(chance.choice((0, chance.uniform(0, 0.02), chance.uniform(0, 0.2))))


async def with_the_journal(life: Life, chance: Random) -> None:
    """When the journal's file or its log has come to be or changed for the first time in this life."""
    before = _stamp(life.journal), _stamp(life.log)
    await _until(life, lambda: before != (_stamp(life.journal), _stamp(life.log)))
    await pause(chance.choice((0, chance.uniform(0, 0.005))))


async def when_started(life: Life, _chance: Random) -> None:
    """When it says that it has started."""
    await life.process.logged("daemon.started")


async def when_ready(life: Life, _chance: Random) -> None:
    """When it serves its socket."""
    await life.process.logged("daemon.ready")


async def when_connected(life: Life, _chance: Random) -> None:
    """When its stream is connected and it begins to ask for what it missed."""
    await life.process.logged("stream.connected")


async def while_asking(life: Life, chance: Random) -> None:
    """At one of its first questions, which it does not live to hear answered: baseline and backfill."""
    due = life.questions() + chance.randrange(1, 40)
    while life.process.code is None and life.questions() < due:
        await life.asked.wait()


async def in_the_load(life: Life, chance: Random) -> None:
    """When it has published some records of this life."""
    due = life.reader.seq + chance.randrange(1, 100)
    await life.reader.until(lambda: life.reader.seq >= due or life.process.code is not None)


async def in_a_commit(life: Life, chance: Random) -> None:
    """When its write-ahead log has just changed: in the middle of a commit, or between that and publishing."""
    await life.process.logged("stream.connected")
    for _ in range(chance.randrange(1, 25)):
        before = _stamp(life.log)
        await _until(life, lambda before=before: _stamp(life.log) != before)  # type: ignore[misc]  # of this round


async def in_a_checkpoint(life: Life, chance: Random) -> None:
    """When the journal's own file is being written: SQLite folds its log back into it."""
    await life.process.logged("daemon.ready")
    before = _stamp(life.journal)
    await _until(life, lambda: _stamp(life.journal) != before)
    await pause(chance.choice((0, 0, 0.001)))


AT_BIRTH: Final[tuple[Moment, ...]] = (in_its_start, with_the_lock, with_the_journal, with_the_journal)
"""The moments of a daemon that makes its journal."""

BEFORE_A_BASELINE: Final[tuple[Moment, ...]] = (
    in_its_start,
    with_the_lock,
    with_the_journal,
    when_started,
    when_ready,
    when_connected,
    while_asking,
    while_asking,
)
"""The moments of a daemon that has no baseline yet, while nobody trades."""

IN_A_CHECKPOINT_SHARE: Final = 0.3
"""Of the daemons that begin with a log that will soon be folded, those that are killed in the middle of that."""

UNDER_LOAD: Final[dict[Moment, int]] = {
    in_its_start: 6,
    with_the_lock: 8,
    with_the_journal: 6,
    when_started: 3,
    when_ready: 4,
    when_connected: 6,
    while_asking: 20,
    in_the_load: 25,
    in_a_commit: 15,
}
"""The moments of a daemon whose account trades, with their weights; `drawn` has one more."""

IN_THE_START: Final = frozenset(AT_BIRTH)
"""The moments of a daemon that still reads and folds its journal; on a busy machine that takes as long as it takes."""

LOG_NEARLY_FULL: Final = LOG_PAGES_FOLDED // 2
"""Pages in the log from which on it is worth the time to wait for its folding."""


def drawn(state: Path, account: str, chance: Random) -> Moment:
    """Draw the moment for the next daemon of a trading account, whose predecessor left the files as they are."""
    frames, folded = _log_pages(state, account)
    if frames - folded >= LOG_NEARLY_FULL and chance.random() < IN_A_CHECKPOINT_SHARE:
        return in_a_checkpoint
    (moment,) = chance.choices(list(UNDER_LOAD), list(UNDER_LOAD.values()))
    return moment


async def comes(moment: Moment, life: Life, chance: Random) -> bool:
    """Wait for a moment; `False` where it did not come in time, which for most begins when the daemon has started."""
    try:
        if moment not in IN_THE_START:
            await life.process.logged("daemon.started")
        async with asyncio.timeout(MOMENT_S_MAX):
            await moment(life, chance)
    except TimeoutError:
        return False
    return True


def stamp_of(life: Life) -> Stamp:
    """Give what tells that the journal's own file was written."""
    return _stamp(life.journal)


def cut_short(life: Life, before: Stamp) -> bool:
    """Say, of a killed daemon, whether it died while SQLite folded its log back into the journal's file.

    The file has been written since `before`, the log is long enough for it, and nobody noted that it is done.
    """
    frames, folded = _log_pages(life.state, life.account)
    return _stamp(life.journal) != before and LOG_PAGES_FOLDED <= frames and folded < frames


def _log_pages(state: Path, account: str) -> tuple[int, int]:
    """Give how many pages the log of a daemon that is dead holds, and how many of them were folded back."""
    try:
        head = state.joinpath(f"{account}.journal-shm").read_bytes()[:LOG_INDEX_HEAD]
    except FileNotFoundError:
        return 0, 0
    if len(head) < LOG_INDEX_HEAD:
        return 0, 0
    return struct.unpack_from("=I", head, 16)[0], struct.unpack_from("=I", head, 96)[0]


async def _until(life: Life, holds: Callable[[], bool]) -> None:
    """Look again and again, for a file tells nobody that it has changed."""
    while life.process.code is None and not holds():
        await pause(LOOK_S)


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
