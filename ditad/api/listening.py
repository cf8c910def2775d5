"""The unix socket itself: bound where the settings say, or handed in by whoever started us.

What enters: a path, a mode, a group. What leaves: a listening socket, and its removal when we stop. What holds: a file
that is in the way is removed only if it is a socket on which nobody answers; nobody can connect before mode and group
are set, because listening begins after that; what somebody else bound is never removed.
"""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from ditad.errors import SettingsError, StateFolderInUseError

PATH_BYTES_MAX: Final = 107
"""What a unix socket's address holds, less the final zero. (unix(7))"""

BACKLOG: Final = 128
HANDING_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
HANDED_FD: Final = 3
"""The first descriptor that is handed in. (sd_listen_fds(3), SD_LISTEN_FDS_START)"""


class Listener:
    """A socket that listens, and the file that is ours to remove (`None`: it is somebody else's)."""

    def __init__(self, listening: socket.socket, path: Path | None) -> None:
        """Use `listen_at` or `take_over`."""
        self.socket = listening
        self.path = path
        self._identity = None if path is None else _identity(path)

    @property
    def name(self) -> str:
        """Where it listens, for people."""
        return os.fsdecode(self.socket.getsockname())

    def close(self) -> None:
        """Stop listening; remove the file if it is still the one that was made here."""
        self.socket.close()
        if self.path is not None and _identity(self.path) == self._identity:
            self.path.unlink(missing_ok=True)


def handed_in(environ: MutableMapping[str, str], *, pid: int) -> socket.socket | None:
    """Take the socket that whoever started us hands in, if there is one. (sd_listen_fds(3))

    The variables are taken out of the environment and the descriptor is closed to children, so that it is taken
    once. Raises `SettingsError` where there are several, of which nobody could say which is meant.
    """
    said = {name: environ.pop(name, "") for name in HANDING_VARIABLES}
    if said["LISTEN_PID"] != str(pid) or not said["LISTEN_FDS"].isdecimal() or said["LISTEN_FDS"] == "0":
        return None
    if said["LISTEN_FDS"] != "1":
        names = said["LISTEN_FDNAMES"].replace(":", ", ") or "without names"
        raise SettingsError([f"{said['LISTEN_FDS']} sockets were handed in ({names}): one ListenStream= is due"])
    os.set_inheritable(HANDED_FD, False)
    try:
        return socket.socket(fileno=HANDED_FD)
    except OSError as exc:
        raise SettingsError([f"what was handed in as a socket is none ({exc.strerror})"]) from exc


def take_over(handed: socket.socket) -> Listener:
    """Use a socket that somebody else bound and listens on, as socket activation hands it in."""
    listens = handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if handed.family != socket.AF_UNIX or handed.type != socket.SOCK_STREAM or not listens:
        raise SettingsError([f"the socket handed in is no listening unix stream socket ({handed.family.name})"])
    handed.setblocking(False)
    return Listener(handed, None)


def listen_at(path: Path, *, mode: int = 0o660, group: str | None = None) -> Listener:
    """Bind, set mode and group, then listen.

    Raises `SettingsError` where the path cannot be used, `StateFolderInUseError` where somebody answers on it.
    """
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise SettingsError([f"socket: {path} is longer than {PATH_BYTES_MAX} bytes: choose a shorter path"])
    group_id = -1 if group is None else _group_id(group)
    _make_way(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listening.bind(os.fspath(path))
        path.chmod(mode)
        if group_id not in {-1, path.stat().st_gid}:  # a hardened unit refuses chown altogether
            os.chown(path, -1, group_id)
        listening.listen(BACKLOG)
    except OSError as exc:
        listening.close()
        raise SettingsError([f"socket: {path} cannot be used ({exc.strerror}): see that its folder is ours"]) from exc
    return Listener(listening, path)


def _group_id(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise SettingsError([f"socket_group: there is no group {group!r} on this machine"]) from None


def _make_way(path: Path) -> None:
    """Remove a dead socket; refuse to touch anything else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as exc:
        raise SettingsError([f"socket: {path} cannot be looked at ({exc.strerror})"]) from exc
    if not stat.S_ISSOCK(found.st_mode):
        raise SettingsError([f"socket: {path} is there and is no socket: remove it or choose another path"])
    if _answers(path):
        raise StateFolderInUseError(f"somebody answers on {path} already: stop that daemon or choose another path")
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    """Say whether a process listens there; a full backlog (EAGAIN) is one that does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        return probe.connect_ex(os.fspath(path)) not in {errno.ECONNREFUSED, errno.ENOENT}


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
