"""Looking at the machine for `ditad doctor`: files, the disk, who holds the state folder, systemd.

What enters: paths and names. What leaves: the facts of `judging_machine` and `handing`. What holds: nothing is written or locked, not
even for a moment, so that a daemon that starts meanwhile is not in the way of us; every wait has an end; nothing that
takes long to load is needed, so that there is something to read at once.
"""

from __future__ import annotations

import asyncio
import grp
import json
import os
import pwd
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ditad.doctor.handing import Handed, handed
from ditad.doctor.judging_machine import DiskFacts, FileFacts, FolderFacts

LOCK_NAME: Final = "ditad.lock"
"""In the state folder: see `ditad.journal.folder`."""

ANSWER_S_MAX: Final = 5.0
LOCKS: Final = Path("/proc/locks")
LOCK_KIND, LOCK_PID, LOCK_PLACE = 1, 4, 5
"""The words of a line of it, as `3: FLOCK  ADVISORY  WRITE 3858 fe:00:2359303 0 EOF`. (proc(5))"""

PROCESSES: Final = Path("/proc")
PID_NAMESPACE: Final = PROCESSES / "self" / "ns" / "pid"
MACHINES_OWN: Final = "pid:[4026531836]"
"""PROC_PID_INIT_INO of the kernel: the namespace in which every process is seen."""

UNIT_PROPERTIES: Final = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "User",
    "Group",
)
TRY_TO_READ: Final = 'for each; do test -r "$each" || echo "$each"; done'
HANDED_PROPERTIES: Final = ("LoadCredential", "LoadCredentialEncrypted")


def file_facts(path: Path) -> FileFacts:
    """Look at a path."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return FileFacts(path=str(path))
    except OSError as exc:
        return FileFacts(path=str(path), problem=(exc.strerror or "it failed").lower())
    return FileFacts(path=str(path), mode=found.st_mode, uid=found.st_uid)


def folder_facts(path: Path) -> FolderFacts:
    """Look at the state folder, and at who holds it."""
    return FolderFacts(
        file=file_facts(path),
        usable=os.access(path, os.R_OK | os.X_OK),
        creatable=_creatable(path),
        held_by=_holder(path / LOCK_NAME),
    )


def _creatable(path: Path) -> bool:
    try:
        return os.access(_nearest(path), os.W_OK | os.X_OK)
    except PermissionError:
        return False


def _nearest(path: Path) -> Path:
    """Give the nearest folder above a path, or itself, that is there; `PermissionError` where that is not shown to us."""
    return next((each for each in (path, *path.parents) if each.is_dir()), Path("/"))


def _holder(lock: Path) -> str | None:
    """Find in the kernel's list of locks who has the state folder; `""` where nobody, `None` where we are not shown all.

    The list names a file by device and inode. On an overlay it has the device beneath, which `stat` does not tell: there
    a lock on the same inode counts if it is held by the process that the file names. Of other process namespaces than
    the machine's own only those below are listed, so that an empty list proves nothing.
    """
    try:
        found = lock.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError:
        return None
    try:
        locks, pid = LOCKS.read_text(), lock.read_text()[:32].strip()
        everybody = PID_NAMESPACE.readlink().name == MACHINES_OWN
    except OSError:
        return None
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    flocks = [words for words in map(str.split, locks.splitlines()) if words[LOCK_KIND : LOCK_KIND + 1] == ["FLOCK"]]
    alike = [words for words in flocks if words[LOCK_PLACE].rpartition(":")[2] == str(found.st_ino)]
    if any(words[LOCK_PLACE] == place or words[LOCK_PID] == pid for words in alike):
        return f"pid {pid}" if pid.isdigit() else "a daemon"
    return "" if everybody and not alike and not _lives(pid) else None


def _lives(pid: str) -> bool:
    return pid.isdigit() and (PROCESSES / pid).exists()


def disk_facts(path: Path) -> DiskFacts:
    """Measure the disk that a folder is on, or would be."""
    try:
        found = os.statvfs(_nearest(path))
    except OSError as exc:
        return DiskFacts(path=str(path), problem=(exc.strerror or "it failed").lower())
    return DiskFacts(
        path=str(path),
        free_bytes=found.f_bavail * found.f_frsize,
        all_bytes=found.f_blocks * found.f_frsize,
        free_files=found.f_favail,
        all_files=found.f_files,
    )


async def unit_shown(name: str) -> tuple[dict[str, str] | None, str]:
    """Ask systemd for a unit's properties; gives why it did not say."""
    out, problem = await _told("systemctl", "show", f"--property={','.join(UNIT_PROPERTIES)}", "--", name)
    if out is None:
        return None, problem
    pairs = (line.partition("=") for line in out.splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}, ""


async def handed_over(unit: str) -> Handed | None:
    """Ask systemd where the secrets lie that it hands to a unit; `None` where it does not say.

    `systemctl show` calls them unprintable; the bus prints them, a property a line, as pairs of a name and a place.
    """
    name = unit if "." in unit else f"{unit}.service"
    path = "".join(each if each.isascii() and each.isalnum() else f"_{ord(each):02x}" for each in name)
    path = re.sub("^[0-9]", lambda found: f"_{ord(found[0]):02x}", path)
    place = (f"/org/freedesktop/systemd1/unit/{path}", "org.freedesktop.systemd1.Service")
    asked = ("busctl", "--json=short", "get-property", "org.freedesktop.systemd1", *place, *HANDED_PROPERTIES)
    out, _ = await _told(*asked)
    try:
        plain, encrypted = (json.loads(line)["data"] for line in (out or "").splitlines())
        closed = frozenset(where for _, where in plain if os.geteuid() and not os.access(where, os.R_OK))
        return handed(plain, encrypted, closed)
    except (ValueError, LookupError, TypeError):
        return None


async def closed_to(user: str, group: str, paths: Sequence[Path]) -> list[Path]:
    """Try as a user which files that are there cannot be read; of nobody anything is known where we cannot be them."""
    try:
        found = pwd.getpwnam(user)
        gid = grp.getgrnam(group).gr_gid if group else found.pw_gid
    except KeyError:
        return []
    there = [path for path in paths if file_facts(path).mode is not None]
    if os.geteuid() or not there:
        return []
    who = {"user": found.pw_uid, "group": gid, "extra_groups": os.getgrouplist(user, gid)}
    out, _ = await _told("/bin/sh", "-c", TRY_TO_READ, "sh", *map(str, there), **who)
    return [path for path in there if out is not None and f"{path}\n" in out]


def missing(given: Handed) -> list[tuple[str, Path]]:
    """Give the names and files of a unit's secrets that are certainly not there."""
    return [
        (name, path)
        for name, path in sorted(given.files.items())
        if (found := file_facts(path)).mode is None and not found.problem
    ]


async def _told(*words: str, **who: Any) -> tuple[str | None, str]:
    """Run a program of systemd's to its end; gives what it says, or why it does not."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            **who,
        )
    except OSError as exc:
        return None, f"{words[0]}: {(exc.strerror or 'it failed').lower()}"
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None, f"no answer within {ANSWER_S_MAX:g} s"
    if process.returncode:
        return None, " ".join(err.decode(errors="replace").split())[:200] or f"exit code {process.returncode}"
    return out.decode(errors="replace"), ""
