"""Looking at a machine that does not show everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from ditad.doctor.findings import Status
from ditad.doctor.judging_machine import disk, state_folder
from ditad.doctor.looking import disk_facts, folder_facts


def test_a_folder_that_is_hidden_from_us_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody without rights to what is above it learns that, and nothing of another disk."""

    def refused(_: Path, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refused)
    for finding in (state_folder(folder_facts(tmp_path / "state")), disk(disk_facts(tmp_path / "state"))):
        assert (Status.UNKNOWN, True) == (finding.status, "cannot be looked at (permission denied)" in finding.said)
        assert "run this as root or its owner" == finding.what_to_do
