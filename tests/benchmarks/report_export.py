"""How long `report` and `export` take on a long journal, when they first say anything, and how much memory they need.

    .venv/bin/python tests/benchmarks/report_export.py [--events N] [--journal FOLDER] [--json]

What runs: an account's long life, folded and journaled as the pipeline does; then each verb as a user runs it, a process
of its own at a terminal. What leaves: a table, or JSON: seconds to the first output, seconds in all, the peak of the
resident memory, the size of what was written, and `bean-check` on the ledger where it is installed. What holds: the
same journal for each; `--journal` keeps it, or uses it again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:  # run as a script from a clone
    sys.path.insert(0, str(ROOT))

import orjson  # noqa: E402 - the path comes first

from ditad.journal import Reader, journal_path  # noqa: E402
from tests.benchmarks.long_life import Life  # noqa: E402
from tests.benchmarks.machine import machine, machine_line  # noqa: E402
from tests.support.journaled import NAME, journaled  # noqa: E402

EVENTS = 1_000_000
EVENTS_MAX = 10_000_000
BATCH = 100
TRADE_EVERY_S = 10
VERBS = {
    "report": ("report", "page.html"),
    "export beancount": ("export", "--format", "beancount", "main.beancount"),
    "export csv": ("export", "--format", "csv", "csv"),
    "export parquet": ("export", "--format", "parquet", "parquet"),
}


def measure(folder: Path, events: int) -> dict[str, Any]:
    """Build the journal unless it is there, then run the verbs."""
    if not journal_path(folder, NAME).exists():
        asyncio.run(journaled(folder, islice(Life(trade_every_s=TRADE_EVERY_S).events(), events), batch=BATCH))
    settings = folder / "ditad.toml"
    account = f'[[account]]\nname = "{NAME}"\nenvironment = "vst"\n'
    settings.write_text(f'[daemon]\nstate_dir = "{folder}"\nsocket = "{folder}/s"\n{account}')
    with Reader.open(folder, NAME) as reader:
        count = reader.last_n
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    figures = {}
    for name, (verb, *words, place) in VERBS.items():
        figures[name] = run(verb, "--config", str(settings), *words, "--out", str(out / place))
        figures[name]["bytes"] = size_of(out / place)
    checker = shutil.which("bean-check", path=str(Path(sys.executable).parent))
    result = {"machine": machine(), "events": count, "figures": figures, "bean_check": None}
    if checker is not None:
        began = time.perf_counter()
        checked = subprocess.run([checker, str(out / "main.beancount")], capture_output=True, text=True, check=False)
        result["bean_check"] = {"code": checked.returncode, "seconds": time.perf_counter() - began}
    shutil.rmtree(out)
    return result


def run(*words: str) -> dict[str, Any]:
    """Run a verb with its stderr at a terminal."""
    ours, theirs = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "ditad", *words], stderr=theirs, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    os.close(theirs)
    first: tuple[float, float] | None = None
    while True:
        try:
            told = os.read(ours, 65_536)
        except OSError:  # the terminal's other end is closed
            break
        first = first or (time.perf_counter() - began, cpu_s(process.pid))
        assert told, "a terminal says something or ends"
    assert process.stdout is not None, "its stdout is read"
    said = process.stdout.read().strip()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    os.close(ours)
    assert process.returncode == 0, said
    assert first is not None, "at a terminal the way is shown"
    return {
        "first_output_s": first[0],
        "first_output_cpu_s": first[1],
        "seconds": time.perf_counter() - began,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,
        "said": said,
    }


def cpu_s(pid: int) -> float:
    """Give the CPU that a process has used so far: what the first output would take on a machine with nothing else to do."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def size_of(path: Path) -> int:
    """Give the bytes of a file, or of all files in a folder."""
    return sum(one.stat().st_size for one in (path.rglob("*") if path.is_dir() else (path,)) if one.is_file())


def table(result: Mapping[str, Any]) -> str:
    """Write the figures for a person."""
    lines = [
        machine_line(result["machine"]),
        f"{result['events']} events",
        "",
        f"{'verb':<18} {'first output s':>14} {'of it cpu s':>11} {'seconds':>8} {'cpu s':>7} {'peak MiB':>9} {'bytes':>11}",
    ]
    lines += [
        f"{name:<18} {row['first_output_s']:>14.2f} {row['first_output_cpu_s']:>11.2f} {row['seconds']:>8.1f} {row['cpu_s']:>7.1f} {row['peak_mib']:>9.0f} {row['bytes']:>11}"
        for name, row in result["figures"].items()
    ]
    if result["bean_check"] is not None:
        lines.append(f"bean-check: code {result['bean_check']['code']} in {result['bean_check']['seconds']:.1f} s")
    return "\n".join(lines)


def main() -> None:
    """Measure in a temporary folder that is gone afterwards, or in one that is kept, and show the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=EVENTS, help="events in the journal (default: %(default)s)")
    parser.add_argument("--journal", type=Path, help="a folder for the journal, used again if it is there")
    parser.add_argument("--json", action="store_true", help="write JSON")
    words = parser.parse_args()
    if not 1_000 <= words.events <= EVENTS_MAX:
        parser.error(f"--events: 1000 to {EVENTS_MAX}")
    if words.journal is not None:
        words.journal.mkdir(parents=True, exist_ok=True)
        result = measure(words.journal, words.events)
    else:
        with tempfile.TemporaryDirectory(prefix="ditad-") as folder:
            result = measure(Path(folder), words.events)
    if words.json:
        sys.stdout.write(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        sys.stdout.write(table(result) + "\n")


if __name__ == "__main__":
    main()
