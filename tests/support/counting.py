"""Which tests count for the coverage of the pure modules: those that need no daemon, no exchange and no socket."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
FOLDERS = ("bingx", "api", "client", "doctor", "journal", "tell", "tui")
"""Folders whose tests count, for their pure parts; beside them the tests of the core, which lie in none."""

ENTIRE = ("test_cli_end_to_end.py", "test_readme.py")
"""Tests of the core that run the whole program; they would add minutes and no branch."""


def counts(path: Path) -> bool:
    """Say whether what the tests of a file go through counts."""
    folder, *below = path.relative_to(TESTS).parts
    return folder in FOLDERS if below else folder not in ENTIRE
