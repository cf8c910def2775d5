"""How long a person waits for the first line of each verb, on an account with a long journal.

    .venv/bin/python tests/benchmarks/first_output.py [--events N] [--journal FOLDER] [--json]

What runs: an account's long life in a journal, a daemon that serves it (its exchange is not there), and each verb as a
process of its own, several times. What leaves: a table, or JSON: milliseconds from the start of the process to the first
byte on its stdout, next to the floors: an interpreter that does nothing, and one that loads what the verbs load; and the
CPU that the whole process took, at its least, and the daemon beside it, which a busy machine does not stretch. What holds: every verb ends as it
should, or the run fails. `--journal` keeps the journal, or uses it again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:  # run as a script from a clone
    sys.path.insert(0, str(ROOT))

import orjson  # noqa: E402 - the path comes first

from ditad.journal import Reader, journal_path  # noqa: E402
from ditad.records import RecordType  # noqa: E402
from tests.benchmarks.long_life import Life  # noqa: E402
from tests.benchmarks.machine import machine, machine_line  # noqa: E402
from tests.support.journaled import NAME, journaled  # noqa: E402
from tests.support.running import account_settings, settings_file  # noqa: E402

EVENTS = 1_000_000
EVENTS_MAX = 10_000_000
BATCH = 100
TRADE_EVERY_S = 10
TIMES = 5
TIMES_MAX = 100
READY_S_MAX = 120.0
PIPE_CLOSED = 141

FLOORS = {
    "floor: python": (sys.executable, "-c", "print()"),
    "floor: python with aiohttp": (sys.executable, "-c", "import aiohttp, orjson, click; print()"),
}
ASKING = {
    "status": (0, 1, 2, 3),
    "snapshot": (0,),
    "positions": (0,),
    "fills --limit 50": (0,),
    "fills": (0,),
    "income": (0,),
    "divergences": (0,),
    "gaps": (0,),
    "events --after-seq 0": (0, 141),
    "events --since {ago}": (0, 141),
    "events --since {ago} --type fill": (0, 141),
    "at 500": (0,),
    "at {ago}": (0,),
    "diff 500 600": (0,),
    "why fees_paid --limit 100": (0,),
}
"""The verbs that ask, with the exit codes that are no failure: whoever reads one line of a stream closes the pipe."""

ON_JOURNAL = {
    "doctor": (2, 3),
    "verify": (0, 65),
    "replay": (0, 65),
    "check-config": (0,),
}
"""Of these the first output of a terminal is meant, which may be a bar on stderr; they are ended after it."""


def measure(folder: Path, events: int, *, times: int) -> dict[str, Any]:
    """Build the journal unless it is there, serve it, and time each verb."""
    if not journal_path(folder, NAME).exists():
        life = Life(trade_every_s=TRADE_EVERY_S)
        asyncio.run(journaled(folder, islice(life.events(), events), batch=BATCH))
    nobody = account_settings(folder, NAME, rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9/swap-market")
    settings = settings_file(folder, nobody)
    settings.write_text(settings.read_text().replace(f"{folder}/state", str(folder)))
    with serving(settings, folder / "s") as daemon:
        snapshot = orjson.loads(
            subprocess.run(words(folder, "snapshot --json"), capture_output=True, check=True).stdout
        )
        ago = middle(folder)
        figures = {name: timed(daemon, times, command, (0,)) for name, command in FLOORS.items()}
        for verb, codes in ASKING.items():
            figures[verb.format(ago="10m before its end")] = timed(
                daemon, times, words(folder, verb.format(ago=ago)), codes
            )
        for verb, codes in ON_JOURNAL.items():
            place = [str(settings)] if verb == "check-config" else ["--config", str(settings)]
            figures[verb] = timed(daemon, times, (*program(verb), *place), codes, at_terminal=True)
    return {"machine": machine(), "events": events, "event_seq": snapshot["event_seq"], "figures": figures}


def middle(folder: Path) -> str:
    """Give a moment ten minutes before the last fill."""
    with Reader.open(folder, NAME) as reader:
        last = reader.records_after(max(0, reader.last_seq - 5_000), limit=10_000, kind=RecordType.FILL)[-1]
    moment = datetime.fromisoformat(orjson.loads(last.line)["ts"]) - timedelta(minutes=10)
    return moment.isoformat().replace("+00:00", "Z")


def program(verb: str) -> tuple[str, ...]:
    """Name a verb as a program."""
    return (sys.executable, "-m", "ditad", *verb.split())


def words(folder: Path, verb: str) -> tuple[str, ...]:
    """Name a verb that asks."""
    return (*program(verb), "--socket", str(folder / "s"))


@contextmanager
def serving(settings: Path, socket: Path) -> Iterator[int]:
    """Run a daemon until the end of the block; gives its pid."""
    with Path(os.devnull).open("wb") as nothing:
        daemon = subprocess.Popen((*program("run"), "--config", str(settings)), stdout=nothing, cwd=ROOT)
        try:
            until = time.monotonic() + READY_S_MAX
            ready = (*program("status"), "--socket", str(socket))
            while subprocess.run(ready, capture_output=True, check=False, cwd=ROOT).returncode not in {0, 1, 2, 3}:
                assert daemon.poll() is None, "the daemon has ended"
                assert time.monotonic() < until, "the daemon is not ready in time"
                time.sleep(0.1)
            yield daemon.pid
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(READY_S_MAX)


def timed(
    daemon: int, times: int, command: tuple[str, ...], codes: tuple[int, ...], *, at_terminal: bool = False
) -> dict[str, float]:
    """Start a program several times, and measure until its first byte; and what the daemon had to do for it."""
    before_ms = _cpu_ms(daemon)
    took = [_first_byte_ms(command, codes, at_terminal=at_terminal) for _ in range(times)]
    waits = [wait_ms for wait_ms, _ in took]
    return {
        "median_ms": statistics.median(waits),
        "min_ms": min(waits),
        "max_ms": max(waits),
        "cpu_ms": min(cpu_ms for _, cpu_ms in took),
        "daemon_ms": (_cpu_ms(daemon) - before_ms) / times,
    }


def _cpu_ms(pid: int) -> float:
    """Say how much of a processor a process has taken. (proc(5), utime and stime)"""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e3 / os.sysconf("SC_CLK_TCK")


def _first_byte_ms(command: tuple[str, ...], codes: tuple[int, ...], *, at_terminal: bool) -> tuple[float, float]:
    """Give how long the first byte took, and how much of a processor the whole process."""
    ours, theirs = os.openpty() if at_terminal else os.pipe()
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=theirs, stderr=theirs if at_terminal else subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=ROOT
    )
    os.close(theirs)
    first = os.read(ours, 1)
    took = (time.perf_counter() - began) * 1e3
    if at_terminal:
        process.kill()
    os.close(ours)
    err = b"" if process.stderr is None else process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    ends = {-signal.SIGKILL} if at_terminal else {*codes, PIPE_CLOSED}
    assert process.returncode in {*ends, *codes}, (command, process.returncode, err.decode()[-500:])
    assert first, (command, "said nothing")
    return took, (used.ru_utime + used.ru_stime) * 1e3


def table(result: Mapping[str, Any]) -> str:
    """Write the figures for a person."""
    lines = [
        machine_line(result["machine"]),
        f"a journal of {result['events']} events, up to snapshot {result['event_seq']}",
        "",
        f"{'first output, ms':<44} {'median':>8} {'min':>8} {'max':>8} {'CPU':>8} {'daemon':>8}",
    ]
    lines += [
        f"{name:<44} {row['median_ms']:>8.0f} {row['min_ms']:>8.0f} {row['max_ms']:>8.0f} {row['cpu_ms']:>8.0f} {row['daemon_ms']:>8.0f}"
        for name, row in result["figures"].items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure in a temporary folder that is gone afterwards, or in one that is kept, and show the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=EVENTS, help="events in the journal (default: %(default)s)")
    parser.add_argument("--journal", type=Path, help="a folder for the journal, used again if it is there")
    parser.add_argument("--times", type=int, default=TIMES, help="how often each verb is run (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="write JSON")
    asked = parser.parse_args()
    if not 1_000 <= asked.events <= EVENTS_MAX:
        parser.error(f"--events: 1000 to {EVENTS_MAX}")
    if not 1 <= asked.times <= TIMES_MAX:
        parser.error(f"--times: 1 to {TIMES_MAX}")
    if asked.journal is not None:
        asked.journal.mkdir(parents=True, exist_ok=True)
        result = measure(asked.journal.resolve(), asked.events, times=asked.times)
    else:
        with tempfile.TemporaryDirectory(prefix="dd-", dir="/tmp") as folder:
            result = measure(Path(folder), asked.events, times=asked.times)
    if asked.json:
        sys.stdout.write(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        sys.stdout.write(table(result) + "\n")


if __name__ == "__main__":
    main()
