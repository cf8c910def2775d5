"""How long the account as it was takes to answer in a long journal, next to folding it again.

    .venv/bin/python tests/benchmarks/time_travel.py [--events N] [--journal FOLDER] [--json]

What runs: an account's long life, folded and journaled as the pipeline does, 100 events a commit; then snapshots of
chance moments and numbers, and pages of `why`. What leaves: a table, or JSON: times of answers in this process, and
what the journal takes on disk. What holds: every answer is compared with the one that folding again gives for some of
them; the baseline is that folding, from the newest checkpoint before. `--journal` keeps the journal, or uses it again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:  # run as a script from a clone
    sys.path.insert(0, str(ROOT))

import orjson  # noqa: E402 - the path comes first

from ditad import explaining, history  # noqa: E402
from ditad.journal import Reader, journal_path  # noqa: E402
from tests.benchmarks.long_life import Life  # noqa: E402
from tests.benchmarks.machine import machine, machine_line  # noqa: E402
from tests.support.journaled import NAME, journaled  # noqa: E402

EVENTS = 1_000_000
EVENTS_MAX = 10_000_000
BATCH = 100
ASKED = 200
FOLDED = 10
"""Of the same answers so many are folded again: that takes long."""

PAGES = 5
TRADE_EVERY_S = 10


def measure(folder: Path, events: int) -> dict[str, Any]:
    """Build the journal unless it is there, then ask."""
    built_s = 0.0
    if not journal_path(folder, NAME).exists():
        began = time.perf_counter()
        life = Life(trade_every_s=TRADE_EVERY_S)
        asyncio.run(journaled(folder, islice(life.events(), events), batch=BATCH))
        built_s = time.perf_counter() - began
    chance = random.Random(1)  # noqa: S311 - which moments are asked for
    with Reader.open(folder, NAME) as reader:
        last = explaining.standing_at(reader, NAME, None)
        assert last is not None, "a long life has snapshots"
        first_us, last_us = next(reader.events()).at_us, next(reader.events(reader.last_n)).at_us
        count = reader.last_n
    numbers = [chance.randint(1, last.event_seq) for _ in range(ASKED)]
    moments = [chance.randint(first_us + 10_000, last_us) for _ in range(ASKED)]
    figures = {
        "at a number": asked(lambda number: line(folder, None, number), numbers),
        "at a moment": asked(lambda at_us: line(folder, at_us, None), moments),
        "baseline: folded, a number": asked(lambda number: folded(folder, None, number), numbers[:FOLDED]),
        "baseline: folded, a moment": asked(lambda at_us: folded(folder, at_us, None), moments[:FOLDED]),
    }
    for number in numbers[:FOLDED]:
        assert line(folder, None, number) == folded(folder, None, number), (
            f"snapshot {number} is not what was published"
        )
    with Reader.open(folder, NAME) as reader:
        figures["why, the newest snapshot"] = asked(lambda n: explaining.standing_at(reader, NAME, n), [None] * PAGES)
        starts = [chance.randint(1, last.seq) for _ in range(PAGES)]
        figures["why fees_paid, a page of 1000"] = asked(
            lambda seq: explaining.explained(reader, last, "fees_paid", after_seq=seq, limit=1_000), starts
        )
    return {
        "machine": machine(),
        "events": count,
        "snapshots": last.event_seq,
        "built_s": built_s,
        "figures": figures,
        "disk": disk(journal_path(folder, NAME), count),
    }


def line(folder: Path, at_us: int | None, number: int | None) -> bytes | None:
    """Give what the daemon answers from the journal."""
    return history.line_at(folder, NAME, at_us=at_us, event_seq=number)


def folded(folder: Path, at_us: int | None, number: int | None) -> bytes | None:
    """Give the same without what was put away."""
    with Reader.open(folder, NAME) as reader:
        return history.folded_line(reader, NAME, at_us=at_us, event_seq=number)


def asked(answer: Callable[[Any], object], questions: list[Any]) -> dict[str, float]:
    """Time some answers, in milliseconds."""
    took = []
    for question in questions:
        began = time.perf_counter()
        found = answer(question)
        took.append((time.perf_counter() - began) * 1e3)
        assert found is not None, "there is such a snapshot"
    took.sort()
    return {
        "asked": len(took),
        "median_ms": statistics.median(took),
        "p95_ms": took[int(len(took) * 0.95) - 1],
        "max_ms": took[-1],
    }


def disk(path: Path, events: int) -> dict[str, float]:
    """Say how many bytes an event takes, and what of that is which table's rows."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    columns = {"events": "body", "records": "line", "shelves": "lines", "checkpoints": "state", "archive": "body"}
    found = {
        name: database.execute(f"SELECT coalesce(sum(length({column})), 0) FROM {name}").fetchone()[0] / events  # noqa: S608
        for name, column in columns.items()
    }
    database.close()
    return {"file": path.stat().st_size / events, **found}


def table(result: Mapping[str, Any]) -> str:
    """Write the figures for a person."""
    lines = [
        machine_line(result["machine"]),
        f"{result['events']} events, {result['snapshots']} snapshots, built in {result['built_s']:.0f} s",
        "",
        f"{'answer, ms':<34} {'median':>8} {'p95':>8} {'max':>8} {'asked':>6}",
    ]
    lines += [
        f"{name:<34} {row['median_ms']:>8.1f} {row['p95_ms']:>8.1f} {row['max_ms']:>8.1f} {row['asked']:>6}"
        for name, row in result["figures"].items()
    ]
    lines += ["", f"{'bytes per event':<34} " + " ".join(f"{name:>11}" for name in result["disk"])]
    lines.append(f"{'':<34} " + " ".join(f"{size:>11.0f}" for size in result["disk"].values()))
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
