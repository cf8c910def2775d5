"""How long a person waits for `ditad top`: from the start of the process to a screen with figures, in a pseudo-terminal.

    .venv/bin/python tests/benchmarks/top_first_paint.py [--runs N] [--json]

What enters: how often. What leaves: for each run the seconds until the screen is taken (the interpreter, the imports and
a first round of questions lie before it), the seconds from there to the first painted figures, and the CPU of all.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import pty
import resource
import shutil
import statistics
import struct
import sys
import termios
import time
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ditad.exchange import AccountSpec, SimulatedExchange
from tests.support.process import ditad, running, write_settings
from tests.support.running import short_folder

TAKEN = b"\x1b[?1049h"
FIGURES = b"R1 capital"
WIDTH, HEIGHT = 80, 24
CHUNK = 65_536


def first_paint(socket: Path) -> dict[str, float]:
    """Start `top`, look until it shows figures, and quit it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        words = ditad("top", "--socket", str(socket))
        os.execvpe(words[0], words, {**os.environ, "TERM": "xterm-256color"})  # noqa: S606 — a program of ours
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    seen, taken_s = b"", 0.0
    while FIGURES not in seen:
        seen += os.read(terminal, CHUNK)
        taken_s = taken_s or (time.perf_counter() - started if TAKEN in seen else 0.0)
    painted_s = time.perf_counter() - started
    os.write(terminal, b"q")
    try:
        while os.read(terminal, CHUNK):
            pass
    except OSError:  # its other end is closed: it has ended
        os.close(terminal)
    os.waitpid(pid, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"screen taken": taken_s, "first paint after it": painted_s - taken_s, "CPU of all, to the end": cpu_s}


async def measured(runs: int) -> list[dict[str, float]]:
    """Measure against a daemon and an exchange of our own."""
    folder = short_folder()
    try:
        async with SimulatedExchange(seed=5, accounts=[AccountSpec(name="main")]) as exchange:
            settings = write_settings(folder, exchange, more="")
            async with running(*ditad("run", "--config", str(settings))) as daemon:
                await daemon.logged("baseline.taken")
                return [await asyncio.to_thread(first_paint, folder / "s") for _ in range(runs)]
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Print the figures of all runs, or their medians and worst as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    runs = asyncio.run(measured(asked.runs))
    if asked.json:
        sys.stdout.write(orjson.dumps(runs).decode() + "\n")
        return
    for name in runs[0]:
        figures = [run[name] for run in runs]
        sys.stdout.write(f"{name:<24} median {statistics.median(figures):6.3f} s   worst {max(figures):6.3f} s\n")


if __name__ == "__main__":
    main()
