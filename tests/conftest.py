"""On how many processes and in which order tests are run, and which of them count where coverage is gathered.

What holds: the order is random, as pytest-randomly has it, but those that take long come first, so that no core waits
for one of them at the end. Coverage (`--cov`) is that of the pure modules' tests, as `tests.coverage_of_pure` wants it:
while others run nothing is traced, for they would be slower, and what they happen to pass through is not tested by it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator

import pytest

from tests.support.counting import counts


def pytest_xdist_auto_num_workers() -> int:
    """Run on one process more than there are cores: many tests wait for a daemon, an exchange or systemd."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Put what is marked `long` in front, after the order was drawn, and mark what does not count."""
    yield
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    for item in items:
        if not counts(item.path):
            item.add_marker("no_cover")


@pytest.fixture(autouse=True, scope="module")
def _found_anew(request: pytest.FixtureRequest) -> None:
    """Let the package forget what it keeps for the whole process, before the tests of a file that counts.

    Else a test that does not count may have had it made, while nothing was traced, and on another day another one.
    """
    if not counts(request.path):
        return
    for name in [name for name in sys.modules if name.startswith("ditad.")]:
        for value in list(vars(sys.modules[name]).values()):
            forget = getattr(value, "cache_clear", None)
            if callable(forget) and getattr(value, "__module__", None) == name:
                forget()
