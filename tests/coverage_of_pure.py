"""Branch coverage of the modules that decide: all of it, or this fails and shows what is missing.

    .venv/bin/python -m tests.coverage_of_pure

What enters: the tests that count, which this runs, or with `--gathered FILE` the coverage of a run of pytest that was
there already (`--cov --cov-report=json:FILE`). What leaves: exit code 0, or a table of the modules of
`tests/test_house.py`'s `PURE` that are not wholly covered. What holds: what may be left out of the count stands in
pyproject.toml's `[tool.coverage.report]` and nowhere else.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.support.counting import TESTS, counts
from tests.test_house import PURE, modules

ROOT = Path(__file__).resolve().parent.parent
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


def main(arguments: list[str]) -> int:
    """Run the tests under coverage, or take what was gathered; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.coverage_of_pure", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--gathered", type=Path, metavar="FILE", help="judge this report of a run that was")
    gathered = parser.parse_args(arguments).gathered
    if gathered is not None:
        return judged(gathered)
    with tempfile.TemporaryDirectory(prefix="ditad-") as folder:
        report = Path(folder) / "report.json"
        failed = run(report, Path(folder) / "data")
        if not report.exists():
            sys.stderr.write(f"the run of the tests ended with {failed} and gathered nothing\n")
            return 1
        code = judged(report)
    if failed:
        sys.stderr.write("tests of the pure modules fail, so their coverage is not what it should be\n")
    return 1 if code or failed else 0


def run(report: Path, data: Path) -> int:
    """Run all tests that count, as a process of its own, so that nothing is imported before it counts."""
    words = ("-q", "-p", "no:cacheprovider", "--cov", f"--cov-report=json:{report}")
    files = [str(path) for path in sorted(TESTS.rglob("test_*.py")) if counts(path)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, *files],
        cwd=ROOT,
        env={**os.environ, "COVERAGE_FILE": str(data)},
        check=False,
        timeout=RUN_S_MAX,
    ).returncode


def judged(report: Path) -> int:
    """Show what of the pure modules a report of coverage lacks; gives the exit code."""
    measured = orjson.loads(report.read_bytes())["files"]
    short = [found for found in of_pure(measured) if found.percent < WHOLE]
    for found in short:
        sys.stdout.write(f"{found.row}\n")
    sys.stdout.write(f"{len(PURE) - len(short)} of {len(PURE)} pure modules have all their branches covered\n")
    return 1 if short else 0


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
    sys.exit(main(sys.argv[1:]))
