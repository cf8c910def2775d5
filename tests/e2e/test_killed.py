"""`kill -9` at any moment, over real sockets and processes; ``python -m tests.kills --kills 200`` does more of it."""

from __future__ import annotations

from pathlib import Path

from tests.kills.killing import kill_and_compare

KILLS = 10


async def test_a_daemon_killed_at_random_moments_loses_nothing_and_doubles_nothing(folder: Path) -> None:
    """Whenever it was killed, K ends as the exchange's own books, and the stream is one and the same for its reader."""
    report = await kill_and_compare(KILLS, seed=1, folder=folder)
    assert KILLS <= report.kills
    assert 0 < report.fills
    assert 0 < report.records
