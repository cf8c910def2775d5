"""Run the kill loop from a command line: ``python -m tests.kills --kills 200 --seed 1``.

What enters: how many kills, a seed, whether to keep the folder. What leaves: a line per kill, a last line, and exit
code 0 only if everything held.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import time

import click

from tests.kills.killing import kill_and_compare
from tests.support.running import short_folder


@click.command()
@click.option("--kills", default=200, show_default=True, help="How often.")
@click.option("--seed", type=int, help="When, and what is traded; one is drawn and told where it is left out.")
@click.option("--keep", is_flag=True, help="Keep the folder even if everything held.")
def main(kills: int, seed: int | None, *, keep: bool) -> None:
    """Kill a real daemon under load, again and again, and compare its books with the exchange's own."""
    seed = random.randrange(1_000_000) if seed is None else seed  # noqa: S311 - which story is told
    folder = short_folder()
    began_s = time.monotonic()

    def tell(line: str) -> None:
        click.echo(f"{time.monotonic() - began_s:7.1f} s  {line}")

    tell(f"seed {seed}, folder {folder}")
    try:
        report = asyncio.run(kill_and_compare(kills, seed, folder, tell))
    except BaseException as exc:
        for leaf in _leaves(exc):
            tell(f"{type(leaf).__name__}: {leaf}")
        tell(f"FAILED with --kills {kills} --seed {seed}; the journal is kept in {folder}/state")
        raise
    if not keep:
        shutil.rmtree(folder)
    for name, count in sorted(report.moments.items()):
        tell(f"{count:4d} {name}")
    precision = ", ".join(f"{name} {open_}" for name, open_ in report.precision.items()) or "none: to the last digit"
    tell(
        f"{report.kills} kills, {report.cut_checkpoints} of them while the log was folded back; {report.acts} acts, "
        f"{report.fills} fills, {report.incomes} incomes, {report.events} events, {report.records} records, "
        f"{report.checkpoints} checkpoints compared; "
        f"left open by rounded sources: {precision}"
    )
    tell("nothing lost, nothing twice")


def _leaves(exc: BaseException) -> list[BaseException]:
    """Give what a group of failures consists of."""
    if isinstance(exc, BaseExceptionGroup):
        return [leaf for each in exc.exceptions for leaf in _leaves(each)]
    return [exc]


if __name__ == "__main__":
    sys.exit(main())
