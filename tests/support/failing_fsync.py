"""`ditad` in a process whose disk begins to fail when it is sent SIGUSR1: from then on the kernel refuses every fsync.

What enters: the words for `ditad`. What leaves: what `ditad` ends with. What holds: nothing of ours is replaced; a
seccomp filter (seccomp(2)) answers fsync and fdatasync of all threads with EIO, as a dying disk does.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import signal
import struct
import sys
from typing import Final

SYSCALLS: Final = {"x86_64": (0xC000003E, 317, 74, 75), "aarch64": (0xC00000B7, 277, 82, 83)}
"""Of each machine: its audit number, and the numbers of seccomp, fsync and fdatasync."""

PR_SET_NO_NEW_PRIVS: Final = 38
SET_MODE_FILTER, ALL_THREADS = 1, 1
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EIO


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refuse_fsync() -> None:
    """Let every fsync of this process fail from now on."""
    audit, seccomp, fsync, fdatasync = SYSCALLS[platform.machine()]
    steps = [
        (LOAD, 0, 0, 4),
        (JUMP_IF_EQUAL, 0, 4, audit),
        (LOAD, 0, 0, 0),
        (JUMP_IF_EQUAL, 1, 0, fsync),
        (JUMP_IF_EQUAL, 0, 1, fdatasync),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(
        seccomp, SET_MODE_FILTER, ALL_THREADS, ctypes.byref(program)
    ):
        raise OSError(ctypes.get_errno(), "seccomp is not to be had here")


def main() -> None:
    """Run `ditad`; the first argument `probe` says by the exit code whether this machine can do it."""
    if sys.argv[1:] == ["probe"]:
        sys.exit(0 if platform.machine() in SYSCALLS and _can() else 1)
    signal.signal(signal.SIGUSR1, lambda *_: refuse_fsync())
    from ditad.cli import main as ditad  # noqa: PLC0415 - a probe needs none of it

    ditad()


def _can() -> bool:
    try:
        refuse_fsync()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
