"""All benchmarks of speed and size, one command: a table, and JSON where it is wanted.

    .venv/bin/python -m tests.benchmarks [PART …] [--frames N] [--rounds N] [--seconds S] [--long] [--json FILE]

What enters: which parts (all of them by default), and how much. What leaves: every figure next to its baseline of the
same run, with its pacing, and whether it reaches its goal. What holds: everything runs on loopback, in temporary folders
that are gone afterwards, in processes that end with it; each part has a bound in time and ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from tests.benchmarks import cost_per_push, day, fan_out, flood, gap, journals, latency, million, profiled, sizes
from tests.benchmarks.figures import Figure, markdown, result, table
from tests.benchmarks.machine import machine
from tests.benchmarks.options import (
    FRAMES,
    FRAMES_MAX,
    ROUNDS,
    ROUNDS_MAX,
    SECONDS,
    SECONDS_MAX,
    Options,
    whole,
)
from tests.benchmarks.synthetic import ROUND

PART_S_MAX = 3_600.0
LONG_S_MAX = 6 * 3_600.0

PARTS: dict[str, Callable[[Path, Options], Awaitable[list[Figure]]]] = {
    "cost": cost_per_push.measure,
    "latency": latency.measure,
    "fan-out": fan_out.measure,
    "positions": sizes.positions,
    "accounts": sizes.accounts,
    "flood": flood.measure,
    "gap": gap.measure,
    "journals": journals.measure,
    "day": day.measure,
    "million": million.measure,
    "profile": profiled.measure,
}
LONG_ONLY = ("million",)
"""What is measured only when it is named, or with --long."""

NAMED_ONLY = ("profile",)
"""What is run only when it is named."""


def asked(words: Sequence[str]) -> tuple[list[str], Options, argparse.Namespace]:
    """Read the command line: which parts, how much, and how it is to be shown."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all but the long ones)")
    parser.add_argument("--frames", type=int, default=FRAMES, help="frames of a kind and round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="seconds of a pace (default: %(default)s)")
    parser.add_argument("--long", action="store_true", help="also five million events and a million pushes")
    parser.add_argument("--journals", type=Path, help="a folder that keeps long journals, and has them used again")
    parser.add_argument("--scale", type=int, default=1, help="divide the sizes of journals, days and millions by this")
    parser.add_argument("--markdown", action="store_true", help="show only what has a goal, as a table in Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write JSON there too (- for stdout alone)")
    found = parser.parse_args(list(words))
    unknown = [part for part in found.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]}: there are {', '.join(PARTS)}")
    for name, value, least, most in (
        ("--frames", found.frames, 2 * ROUND, FRAMES_MAX),
        ("--rounds", found.rounds, 1, ROUNDS_MAX),
        ("--seconds", found.seconds, 0.1, SECONDS_MAX),
        ("--scale", found.scale, 1, 10_000),
    ):
        if not least <= value <= most:
            parser.error(f"{name}: {least} to {most}")
    parts = found.parts or [part for part in PARTS if part not in NAMED_ONLY and (found.long or part not in LONG_ONLY)]
    options = Options(
        frames=whole(found.frames),
        rounds=found.rounds,
        seconds=found.seconds,
        long=found.long,
        journals=found.journals,
        scale=found.scale,
    )
    return parts, options, found


async def measured(parts: Sequence[str], options: Options, folder: Path) -> list[Figure]:
    """Measure the parts one after the other, each in a folder of its own, and say on stderr which one it is."""
    figures = []
    for number, part in enumerate(parts):
        sys.stderr.write(f"{part} …\n")
        home = folder / str(number)
        home.mkdir()
        async with asyncio.timeout(LONG_S_MAX if options.long else PART_S_MAX):
            figures += await PARTS[part](home, options)
    return figures


def run(parts: Sequence[str], options: Options) -> dict[str, Any]:
    """Measure in a temporary folder that is gone afterwards."""
    about = machine()
    with tempfile.TemporaryDirectory(prefix="dd-") as folder:
        figures = asyncio.run(measured(parts, options, Path(folder)))
    return result(about, {"parts": list(parts), **options.body()}, figures)


def main(words: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and show it."""
    parts, options, form = asked(sys.argv[1:] if words is None else words)
    found = run(parts, options)
    text = orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n"
    to_stdout = str(form.json) == "-"
    if form.json is not None and not to_stdout:
        form.json.write_text(text)
    shown = markdown(found) if form.markdown else table(found)
    sys.stdout.write(text if to_stdout else shown + "\n")


if __name__ == "__main__":
    main()
