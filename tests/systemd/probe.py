"""Try, inside the unit's own walls, what must not be possible; say what became of each attempt as one JSON line.

It runs in the daemon's place, under every directive of its unit, and needs the standard library alone.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PTRACE_TRACEME = 0
PRIVATE = ("/var/lib/ditad/probe", "/run/ditad/probe", "/tmp/probe")
"""Where the unit may write; the last is a folder of its own, whatever its name."""

FOREIGN = (
    "/etc/probe",
    "/etc/ditad/probe",
    "/usr/probe",
    "/opt/ditad/probe",
    "/var/probe",
    "/var/lib/probe",
    "/var/log/probe",
    "/srv/probe",
    "/probe",
    "/home/probe",
    "/root/probe",
    "/run/probe",
    "/run/lock/probe",
    "/dev/probe",
    "/dev/shm/probe",
    "/dev/mqueue/probe",
    "/proc/sys/kernel/hostname",
    "/sys/fs/cgroup/cgroup.procs",
)


def write(path: str) -> Callable[[], object]:
    """Write a file."""
    return lambda: Path(path).write_text("x")


def read(path: str) -> Callable[[], object]:
    """Read a file."""
    return lambda: Path(path).read_bytes()


def names(path: str) -> Callable[[], object]:
    """List a folder."""
    return lambda: list(Path(path).iterdir())


def sockets(family: int, kind: int) -> Callable[[], object]:
    """Make a socket."""
    return lambda: socket.socket(family, kind).close()


def code() -> None:
    """Map memory that can be written and run."""
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def called(name: str, *words: int) -> Callable[[], object]:
    """Call the C library."""

    def call() -> None:
        if getattr(ctypes.CDLL(None, use_errno=True), name)(*words) != 0:
            raise OSError(ctypes.get_errno(), name)

    return call


def database() -> None:
    """Keep a database as the journal is kept: write-ahead log, shared memory mapped, synced."""
    with sqlite3.connect("/var/lib/ditad/probe.db") as base:
        assert base.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        base.execute("PRAGMA synchronous = FULL")
        base.execute("CREATE TABLE IF NOT EXISTS t (x)")
        base.execute("INSERT INTO t VALUES (1)")


ATTEMPTS: dict[str, Callable[[], object]] = {
    **{f"write {path}": write(path) for path in (*PRIVATE, *FOREIGN)},
    "read /etc/ditad/main.api_key": read("/etc/ditad/main.api_key"),
    "read /etc/shadow": read("/etc/shadow"),
    "read /proc/meminfo": read("/proc/meminfo"),
    "read /proc/1/cmdline": read("/proc/1/cmdline"),
    "list /root": names("/root"),
    "AF_NETLINK": sockets(socket.AF_NETLINK, socket.SOCK_RAW),
    "AF_PACKET": sockets(socket.AF_PACKET, socket.SOCK_DGRAM),
    "AF_VSOCK": sockets(socket.AF_VSOCK, socket.SOCK_STREAM),
    "AF_INET": sockets(socket.AF_INET, socket.SOCK_STREAM),
    "AF_UNIX": sockets(socket.AF_UNIX, socket.SOCK_STREAM),
    "code in writable memory": code,
    "user namespace": called("unshare", CLONE_NEWUSER),
    "ptrace": called("ptrace", PTRACE_TRACEME, 0, 0, 0),
    "chown": lambda: os.chown("/var/lib/ditad", os.getuid(), os.getgid()),
    "setuid": lambda: os.setuid(0),
    "mount": called("mount", 0, 0, 0, 0, 0),
    "database": database,
}


def main() -> None:
    """Try everything."""
    found = {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
            found[name] = ""
        except OSError as exc:
            found[name] = errno.errorcode.get(exc.errno or 0, str(exc))
    for path in (*PRIVATE, "/var/lib/ditad/probe.db", "/var/lib/ditad/probe.db-wal", "/var/lib/ditad/probe.db-shm"):
        Path(path).unlink(missing_ok=True)
    status = Path("/proc/self/status").read_text()
    found["status"] = status[status.index("CapInh") :]
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
