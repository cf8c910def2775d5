"""To be somebody without rights for a moment, whoever runs the tests.

What holds: root becomes the user nobody, for real, so that the kernel says no; anybody else loses the rights to a folder.
What is needed must have been imported before: an interpreter of root's own cannot be read by nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NOBODY: Final = 65_534


@contextmanager
def kept_from_us(folder: Path) -> Iterator[None]:
    """Have no right to look into a folder, which is private to its owner, until the block ends."""
    if os.getuid():
        folder.chmod(0)
        try:
            yield
        finally:
            folder.chmod(0o700)
        return
    folder.chmod(0o700)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
