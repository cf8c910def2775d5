"""The installed wheel under a real systemd, where one can be booted: `python -m tests.systemd` as a test."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.systemd.recipe import ROOT

RUN_S_MAX = 1_500


@pytest.mark.long
def test_the_daemon_under_a_real_systemd() -> None:
    """All checks pass; where no sandbox can boot, the command says why, and so does this test."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.systemd"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=RUN_S_MAX,
    )
    if done.stdout.startswith("skipped: "):
        pytest.skip(done.stdout.strip().removeprefix("skipped: "))
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert (0, []) == (done.returncode, failed), done.stdout[-4_000:] + done.stderr[-4_000:]
    assert "all passed" in done.stdout
