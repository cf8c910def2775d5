"""What a failed read or write of a journal means, in one sentence that says what to do.

What enters: the path and the exception of SQLite or the operating system. What leaves: an error of our tree.
"""

from __future__ import annotations

import errno
import pwd
import sqlite3
from pathlib import Path
from typing import Final

from ditad.errors import JournalDamagedError, JournalError, JournalNotOursError

DAMAGE_ADVICE: Final = "stop the daemon, keep a copy of the file, and restore the last `ditad backup` or ask for help"
FULL_NAMES: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"})
"""The second is what SQLite says at a start where it finds no room for the index of its log."""
FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def explain(path: str, exc: sqlite3.Error | OSError) -> JournalError:
    """Turn a failure into the error of our tree that says what to do; the caller raises it `from exc`."""
    if isinstance(exc, OSError):
        if exc.errno in FULL_ERRNOS:
            return _full(path)
        return JournalError(f"{path} cannot be used ({exc.strerror or exc}): check the state folder and its disk")
    name = getattr(exc, "sqlite_errorname", "") or ""
    if name in FULL_NAMES:
        return _full(path)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(path, str(exc))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return JournalError(f"{path} is locked by another program ({exc}): close it and start the daemon again")
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH")):
        return JournalError(f"{path} cannot be opened or written ({exc}): check that it exists and who owns it")
    if name.startswith("SQLITE_IOERR"):
        return JournalError(f"the disk failed under {path} ({exc}, {name}): check it, then start the daemon again")
    return JournalError(f"{path} failed ({exc}): run `ditad verify` before going on")


def damaged(path: str, what: str) -> JournalDamagedError:
    """Say that what is stored contradicts itself."""
    return JournalDamagedError(f"{path} is damaged: {what}; {DAMAGE_ADVICE}")


def not_ours(path: Path) -> JournalNotOursError:
    """Say whose a journal is that we may not read, by as much of its path as is shown to us."""
    owner = next(owner for owner in map(_owner, (path, *path.parents)) if owner is not None)
    return JournalNotOursError(f"{path} belongs to {owner}: run it as root or as that user")


def _owner(path: Path) -> str | None:
    try:
        uid = path.stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _full(path: str) -> JournalError:
    return JournalError(f"the disk is full, {path} takes no more events: free space, then start the daemon again")
