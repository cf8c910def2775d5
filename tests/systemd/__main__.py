"""Build the wheel, boot a real systemd in a sandbox, install by the README's recipe, and check what the unit does.

Ends with the number of failed checks, and with 0 and a sentence where no sandbox can boot here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.systemd.recipe import EXTRAS, ROOT, WHEELS

SANDBOX: Final = ROOT.parent / "shared" / "tools" / "systemd_sandbox.sh"
"""It lies beside the checkout, not in it."""

PYTHON: Final = "/usr/bin/python3"
"""Debian's own: a unit that protects /home and /root cannot run another one from there."""

BOOT_S_MAX: Final = 60
CHECKS_S_MAX: Final = 900
BUILD_S_MAX: Final = 300


class ImpossibleError(Exception):
    """Why this cannot be tried on this machine, in a sentence."""


def build_wheels(folder: Path) -> None:
    """Build our wheel and fetch those it needs, for Debian's Python."""
    subprocess.run([PYTHON, "-m", "venv", folder / "venv"], check=True, timeout=BUILD_S_MAX)
    pip = folder / "venv" / "bin" / "pip"
    done = subprocess.run(
        [pip, "wheel", "-q", "--disable-pip-version-check", "-w", folder / "wheels", f"{ROOT}{EXTRAS}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=BUILD_S_MAX,
    )
    if done.returncode:
        raise ImpossibleError(f"pip builds no wheel here: {done.stderr.strip().splitlines()[-1:]}")


def require_sandbox() -> None:
    """Raise why no systemd can be booted, where none can."""
    if not SANDBOX.exists():
        raise ImpossibleError(
            f"the sandbox's script is not there: {SANDBOX.relative_to(ROOT.parent)} beside the checkout"
        )
    if not Path(PYTHON).exists():
        raise ImpossibleError(f"there is no {PYTHON}, which the unit's venv is made from")
    done = subprocess.run(
        [SANDBOX, "--quiet", "--timeout", str(BOOT_S_MAX), "--", "true"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ImpossibleError(f"no systemd can be booted in a sandbox here: {last}")


def run(*, journal: Path | None = None) -> int:
    """Run all checks; gives how many failed. Raises `ImpossibleError`."""
    require_sandbox()
    with tempfile.TemporaryDirectory(prefix="ditad-systemd-") as folder:
        build_wheels(Path(folder))
        command = [
            *(SANDBOX, "--timeout", str(CHECKS_S_MAX), "--bind-ro", ROOT, "--bind-ro", f"{folder}/wheels:{WHEELS}"),
            *(("--journal", journal) if journal is not None else ()),
            *("--", PYTHON, "-B", ROOT / "tests" / "systemd" / "inside.py"),
        ]
        return subprocess.run(list(map(str, command)), check=False, cwd=ROOT).returncode


def main(arguments: list[str]) -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.systemd", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--journal", type=Path, metavar="FILE", help="write the whole journal of the sandbox there")
    try:
        return run(journal=parser.parse_args(arguments).journal)
    except ImpossibleError as exc:
        print(f"skipped: {exc}")  # noqa: T201
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
