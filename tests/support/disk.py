"""A small disk that can really be full: a tmpfs of a few megabytes in a mount namespace of its own.

What enters: an empty folder and a size. What leaves: a disk that programs find at that folder, and that the test sees
by another path. What holds: nobody else sees it, and it goes with the process that holds it; where the machine allows
no mounts, the test is skipped and says why.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

HOLD: Final = 'mount -t tmpfs -o "size=$1k" tmpfs "$2" && echo held && exec cat'
CHUNK_BYTES: Final = 4_096
NAMESPACES: Final = (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount"))
"""As root, and as anybody where the machine lets users make namespaces."""


class SmallDisk:
    """A disk held by a process; `path` is its place for programs started with `words`, `seen` the test's way to it."""

    def __init__(self, path: Path, holder: int, *, own_users: bool) -> None:
        self.path = path
        self.seen = Path(f"/proc/{holder}/root{path}")
        self.words: tuple[str, ...] = (
            "nsenter",
            f"--target={holder}",
            "--mount",
            *(("--user", "--preserve-credentials") if own_users else ()),
            "sh",
            "-c",
            'cd "$0" && exec "$@"',
            str(Path.cwd()),
        )

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.seen / "filler").open("ab", buffering=0) as filler:
            while True:
                try:
                    filler.write(bytes(CHUNK_BYTES))
                except OSError as exc:
                    if exc.errno != errno.ENOSPC:
                        raise
                    return

    def free(self) -> None:
        """Give the room back."""
        (self.seen / "filler").unlink()


@asynccontextmanager
async def small_disk(path: Path, *, kib: int) -> AsyncIterator[SmallDisk]:
    """Mount a small disk on an empty folder until the block ends; skips where that cannot be done."""
    said = b""
    for words in NAMESPACES:
        holder = await asyncio.create_subprocess_exec(
            *words,
            "sh",
            "-c",
            HOLD,
            "sh",
            str(kib),
            str(path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert holder.stdin is not None, "its stdin is a pipe"
        assert holder.stdout is not None, "its stdout is a pipe"
        held = await holder.stdout.readline()
        try:
            if held == b"held\n":
                yield SmallDisk(path, holder.pid, own_users=words is not NAMESPACES[0])
                return
        finally:
            holder.stdin.close()
            said = (await holder.communicate())[1]
    pytest.skip(f"this machine lets nobody mount a small disk: {said.decode(errors='replace').strip()}")
