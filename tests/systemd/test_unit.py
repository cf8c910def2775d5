"""The units as files: what systemd itself says of them, on any machine that has it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.systemd.recipe import EXTRAS, ROOT, WHEELS, as_root, commands

UNITS = ROOT / "systemd"
EXPOSURE_MAX_TENTHS = 12

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here, which judges the unit's files"
)


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Ask systemd-analyze."""
    return subprocess.run(["systemd-analyze", *map(str, words)], check=False, capture_output=True, text=True)


def lines_of(name: str) -> list[str]:
    """Give a unit's lines without remarks."""
    return [line for line in (UNITS / name).read_text().splitlines() if line and not line.startswith("#")]


@needs_systemd
def test_the_exposure_is_low() -> None:
    """1.2 at most, and not by far lower than believed either: the figure in the README is the true one."""
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX_TENTHS}", UNITS / "ditad.service")
    assert 0 == done.returncode, done.stdout[-500:]
    level = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
    assert level is not None
    assert f"exposure is {level[1]}" in (ROOT / "README.md").read_text()


@needs_systemd
def test_systemd_finds_no_mistake(tmp_path: Path) -> None:
    """Every key, value and system call group is known to it; with the program's place taken by one that is there."""
    text = (UNITS / "ditad.service").read_text()
    (tmp_path / "ditad.service").write_text(text.replace("/opt/ditad/bin/ditad", "/bin/true"))
    shutil.copy(UNITS / "ditad.socket", tmp_path)
    done = analyze("verify", "--recursive-errors=no", tmp_path / "ditad.service", tmp_path / "ditad.socket")
    assert (0, "") == (done.returncode, done.stderr)


@needs_systemd
def test_a_mistake_would_be_found(tmp_path: Path) -> None:
    """The test above has teeth: a misspelt key and a group of calls that is none fail it."""
    for wrong in ("ProtectSytem=strict", "SystemCallFilter=@no-such-group"):
        unit = tmp_path / "wrong.service"
        unit.write_text(f"[Service]\nExecStart=/bin/true\n{wrong}\n")
        assert 0 != analyze("verify", "--recursive-errors=no", unit).returncode


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "Restart=on-failure",
        "RestartPreventExitStatus=78",
        "RestartPreventExitStatus=243",
        "StateDirectory=ditad",
        "RuntimeDirectory=ditad",
        "LogRateLimitIntervalSec=0",
        "LimitCORE=0",
        "OOMPolicy=continue",
        "LoadCredential=main.api_key:/etc/ditad/main.api_key",
        "LoadCredential=main.api_secret:/etc/ditad/main.api_secret",
    ],
)
def test_what_the_daemon_counts_on_is_in_the_unit(line: str) -> None:
    """The unit says it, uncommented."""
    assert line in lines_of("ditad.service")


def test_the_socket_is_where_readers_look() -> None:
    """Its path is the verbs' default, its group the daemon's own, which the sysusers file makes."""
    assert {"ListenStream=/run/ditad/ditad.sock", "SocketGroup=ditad", "SocketMode=0660"} <= set(
        lines_of("ditad.socket")
    )
    assert "User=ditad" in lines_of("ditad.service")
    (user,) = lines_of("ditad.sysusers")
    assert user.startswith("u ditad ")


def test_the_recipe_is_a_handful_of_lines() -> None:
    """What the sandbox runs are the README's own lines, and the first of them makes the venv that the unit names."""
    lines = commands((ROOT / "README.md").read_text())
    assert len(lines) <= 6
    assert all(line.startswith("sudo ") for line in lines)
    assert "/opt/ditad" in lines[0]
    assert f"--find-links {WHEELS} 'ditad{EXTRAS}'" in as_root(lines[0])


def test_who_types_ditad_has_the_services_program() -> None:
    """The recipe links it to a place that is on the path, of sudo too; without this every example fails."""
    linked = [line for line in commands((ROOT / "README.md").read_text()) if "ln -s" in line]
    assert [True] == ["ln -sf /opt/ditad/bin/ditad /usr/local/bin/" in line for line in linked]
