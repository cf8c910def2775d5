"""Branch coverage of the modules that decide: all of it, or this fails and shows what is missing.

    .venv/bin/python -m tests.coverage_of_pure

What enters: the tests of the pure modules (those that need no daemon, no exchange and no socket). What leaves: exit
code 0, or a table of the modules of `tests/test_house.py`'s `PURE` that are not wholly covered. What holds: what may
be left out of the count stands in pyproject.toml's `[tool.coverage.report]` and nowhere else.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.test_house import PURE, modules

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("tests/bingx", "tests/api", "tests/journal")
ENTIRE = ("test_cli_end_to_end.py", "test_readme.py")
"""Tests beside those of the pure modules that run the whole program; they would add minutes and no branch."""

RUN_S_MAX = 1500
LINES_SHOWN_MAX = 100
WHOLE = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """How much of a module the tests went through, and what they did not."""

    name: str
    percent: float
    missing: str

    @property
    def row(self) -> str:
        """Write it as a line of the table."""
        return f"{self.name:<20} {self.percent:>7.2f} %  {self.missing}"


def main() -> int:
    """Run the tests under coverage; gives the exit code."""
    with tempfile.TemporaryDirectory(prefix="ditad-") as folder:
        data, report = Path(folder) / "data", Path(folder) / "report.json"
        run = ("run", "--branch", f"--data-file={data}", "-m", "pytest", "-q", "-p", "no:cacheprovider")
        failed = coverage(*run, *tests())
        if coverage("json", "-q", f"--data-file={data}", "-o", str(report)):
            return 1
        measured = orjson.loads(report.read_bytes())["files"]
    short = [found for found in of_pure(measured) if found.percent < WHOLE]
    for found in short:
        sys.stdout.write(f"{found.row}\n")
    sys.stdout.write(f"{len(PURE) - len(short)} of {len(PURE)} pure modules have all their branches covered\n")
    if failed:
        sys.stderr.write("tests of the pure modules fail, so their coverage is not what it should be\n")
    return 1 if short or failed else 0


def tests() -> list[str]:
    """Name what is run: every test of the core, and those of the borders' pure parts."""
    core = [path for path in sorted((ROOT / "tests").glob("test_*.py")) if path.name not in ENTIRE]
    return [*(str(path.relative_to(ROOT)) for path in core), *TESTS]


def coverage(*words: str) -> int:
    """Run coverage as a process of its own, so that nothing is imported before it counts; gives its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "coverage", *words], cwd=ROOT, check=False, timeout=RUN_S_MAX
    ).returncode


def of_pure(measured: dict[str, Any]) -> list[Covered]:
    """Give each pure module's coverage; one that no test imported has none."""
    known = modules()
    found = []
    for name in sorted(PURE):
        told = measured.get(str(known[name].relative_to(ROOT)))
        if told is None:
            found.append(Covered(name=name, percent=0.0, missing="no test imports it"))
            continue
        lines = [str(line) for line in told["missing_lines"]]
        branches = [f"{start}->{end if end > 0 else 'exit'}" for start, end in told["missing_branches"]]
        missing = ", ".join([*lines, *branches])
        percent = told["summary"]["percent_covered"]
        found.append(Covered(name=name, percent=percent, missing=missing[:LINES_SHOWN_MAX]))
    return found


if __name__ == "__main__":
    sys.exit(main())
