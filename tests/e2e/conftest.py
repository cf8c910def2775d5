"""What the end-to-end tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a private folder with a short path, for the state and the unix socket."""
    made = short_folder()
    yield made
    shutil.rmtree(made)
