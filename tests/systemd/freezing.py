"""Stop all threads of a process but its first, as a disk that never answers would, until the process is gone.

Enters: the process's id. Leaves: a line `frozen`. It is the threads' tracer for that long, and needs root.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

PTRACE_ATTACH = 16
WALL = 0x40000000
"""Wait for threads too. (waitpid(2), __WALL)"""


def main(process: int) -> None:
    """Attach, wait until each thread stands, and hold them until they end."""
    libc = ctypes.CDLL(None, use_errno=True)
    threads = [int(entry.name) for entry in Path(f"/proc/{process}/task").iterdir() if int(entry.name) != process]
    for thread in threads:
        if libc.ptrace(PTRACE_ATTACH, thread, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {thread}")
        os.waitpid(thread, WALL)
    sys.stdout.write(f"frozen {len(threads)}\n")
    sys.stdout.flush()
    for thread in threads:
        with suppress(ChildProcessError):
            while os.WIFSTOPPED(os.waitpid(thread, WALL)[1]):
                pass  # whatever else it was stopped for, it is not let go


if __name__ == "__main__":
    main(int(sys.argv[1]))
