"""The first thing that runs in the sandbox: make the venv by the README's first line, then check with what is in it.

It runs under Debian's Python, which has nothing but the standard library.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.systemd.recipe import as_root, commands  # noqa: E402 - the checkout is no installed package

VENV_PYTHON = "/opt/ditad/bin/python"


def main() -> None:
    """Install, then become the checks."""
    install = commands((ROOT / "README.md").read_text())[0]
    subprocess.run(as_root(install), shell=True, check=True, cwd=ROOT)  # noqa: S602 - a line of our own README
    os.chdir(ROOT)
    os.execv(VENV_PYTHON, [VENV_PYTHON, "-B", "-m", "tests.systemd.checks"])  # noqa: S606 - as above


if __name__ == "__main__":
    main()
