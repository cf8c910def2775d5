"""A long journal folded again by several processes side by side, each from a stored checkpoint to the next one chosen.

What enters: a journal, and how many processes may work. What leaves: the same `Replayed` that one process gives. What
holds: each section must end in exactly the state with which the next one begins, so all of them together prove what one
pass from the beginning does; where anything is not as it should be, that one pass is made and says what it is.
"""

from __future__ import annotations

import os
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import fields
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from ditad.errors import JournalDamagedError
from ditad.journal import Checkpoint, Reader
from ditad.replaying import Progress, Replay, Replayed, replayed, verified
from ditad.state import FOLD_VERSION

SECTION_EVENTS_MIN: Final = 5_000
"""A shorter section is not worth a process that has to load the program first."""

SECTIONS_PER_JOB: Final = 4
JOBS_MAX: Final = 64


def jobs_here() -> int:
    """Say how many processes this machine runs at once."""
    return min(JOBS_MAX, len(os.sched_getaffinity(0)))


def checked(reader: Reader, account: str, *, thorough: bool, jobs: int, progress: Progress) -> Replayed:
    """Replay a journal, or verify it where `thorough`, by up to so many processes.

    Raises `JournalDamagedError` naming the event where the journal cannot be read on.
    """
    assert 1 <= jobs <= JOBS_MAX, "somebody has to do it"
    found = _side_by_side(reader, account, thorough=thorough, jobs=jobs, progress=progress) if jobs > 1 else None
    if found is not None:
        return found
    return (verified if thorough else replayed)(reader, account, progress=progress)


def _side_by_side(reader: Reader, account: str, *, thorough: bool, jobs: int, progress: Progress) -> Replayed | None:
    """Give what all sections came to; `None` where there is but one, or where anything is wrong."""
    last_n = reader.last_n
    places = [0, *cuts(reader, last_n, jobs), last_n]
    if len(places) <= 2 or (thorough and reader.integrity()):
        return None
    try:
        return _together(reader, account, list(pairwise(places)), thorough=thorough, jobs=jobs, progress=progress)
    except (BrokenExecutor, OSError):
        return None  # a process was ended from outside, or this machine lets none work side by side


def _together(
    reader: Reader, account: str, spans: list[tuple[int, int]], *, thorough: bool, jobs: int, progress: Progress
) -> Replayed | None:
    last_n = spans[-1][1]
    whole = Replayed(account=account)
    with ProcessPoolExecutor(min(jobs, len(spans)), mp_context=get_context("spawn")) as pool:
        parts = [
            pool.submit(section, reader.path, account, *span, thorough=thorough, goes_on=span[1] != last_n)
            for span in spans
        ]
        for part in parts:
            found = part.result()
            if found is None:
                pool.shutdown(wait=False, cancel_futures=True)
                return None
            for name in COUNTED:
                setattr(whole, name, getattr(whole, name) + getattr(found, name))
            progress(whole.events, last_n)
    return whole


COUNTED: Final = tuple(field.name for field in fields(Replayed) if field.type == "int")


def cuts(reader: Reader, last_n: int, jobs: int) -> list[int]:
    """Choose checkpoints, evenly spread, at which a journal may be cut: where a commit ends and a shelf does."""
    count = min(jobs * SECTIONS_PER_JOB, last_n // SECTION_EVENTS_MIN)
    chosen: list[int] = []
    for number in range(1, count):
        checkpoint = _checkpoint(reader, last_n * number // count)
        if checkpoint is not None and checkpoint.n > (chosen or [0])[-1] and _between(reader, checkpoint):
            chosen.append(checkpoint.n)
    return chosen


def _between(reader: Reader, checkpoint: Checkpoint) -> bool:
    """Say whether no commit and no shelf holds what is on both sides of a checkpoint."""
    commit = next(reader.commits(checkpoint.n), None)
    shelf = reader.shelf_from(checkpoint.seq + 1)
    return (commit is None or commit.first_n == checkpoint.n + 1) and (
        shelf is None or shelf.first_seq > checkpoint.seq
    )


def _checkpoint(reader: Reader, n: int) -> Checkpoint | None:
    return reader.checkpoint_at_or_before(n=n, fold_version=FOLD_VERSION)


def _is_at(checkpoint: Checkpoint | None, n: int) -> bool:
    return checkpoint is not None and checkpoint.n == n


def section(
    path: Path, account: str, first_n: int, last_n: int, *, thorough: bool, goes_on: bool = False
) -> Replayed | None:
    """Fold the events behind `first_n` up to `last_n`; `None` where they do not lead to what is stored.

    `goes_on`: another section begins where this one ends.

    Commits of another fold version speak of sums that may have been told before the section: they are left to the one
    pass.
    """
    with Reader.open_file(path, account) as reader:
        start = _checkpoint(reader, first_n) if first_n else None
        end = _checkpoint(reader, last_n)
        if (first_n and not _is_at(start, first_n)) or (goes_on and not _is_at(end, last_n)):
            return None  # a daemon that writes meanwhile has thinned its checkpoints out
        try:
            replay = Replay(reader, account, thorough=thorough, start=start, last_n=last_n)
            found = replay.run()
        except JournalDamagedError:
            return None
        ends_alike = end is None or not _is_at(end, last_n) or replay.state() == end.state
        return found if ends_alike and not found.problems and not (start and found.commits_of_others) else None
