"""The state folder: private to its owner, and written by one daemon at a time.

What enters: a path. What leaves: a held lock. What holds: the lock is the kernel's (`flock`), so it goes with the
process however that ends, and the file left behind means nothing; the pid in it is for the message alone.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ditad.errors import JournalError, StateFolderInUseError
from ditad.journal.failures import explain

LOCK_NAME: Final = "ditad.lock"
PID_LENGTH_MAX: Final = 32


class StateFolder:
    """A state folder held by this process until `release`."""

    def __init__(self, path: Path, lock: int) -> None:
        """Use `acquire`; this takes an open and locked descriptor."""
        self.path = path
        self._lock = lock

    @classmethod
    def acquire(cls, path: Path) -> StateFolder:
        """Create the folder if needed (mode 0700) and lock it.

        Raises `StateFolderInUseError` naming the pid that holds it, `JournalError` where it cannot be used.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            raise explain(str(path), exc) from exc
        try:
            _lock(path, lock)
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock)

    def release(self) -> None:
        """Let others have the folder; a second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


def _lock(path: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StateFolderInUseError(
            f"another ditad ({_holder(lock)}) uses {path}: stop it first, or set another state_dir"
        ) from None
    except OSError as exc:
        raise JournalError(f"{path} cannot be locked ({exc.strerror}): use a local disk as state_dir") from exc
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError as exc:
        raise explain(str(path), exc) from exc


def _holder(lock: int) -> str:
    text = os.pread(lock, PID_LENGTH_MAX, 0).strip()
    return f"pid {text.decode()}" if text.isdigit() else "its pid is not known"
