"""A short-lived folder whose path fits into a unix socket's address."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def socket() -> Iterator[Path]:
    """Name a socket in a folder of its own; pytest's folders can be longer than the 107 bytes there are."""
    with tempfile.TemporaryDirectory(prefix="ditad-") as folder:
        yield Path(folder) / "s"
