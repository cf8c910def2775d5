"""`python -m tests.simulation`: run seeds of the simulation, and say which do not hold.

python -m tests.simulation                      10 000 seeds from 0
python -m tests.simulation --seeds 300 --from 5000
python -m tests.simulation --replay 4711        one seed, with all that is wrong
python -m tests.simulation --planted "dedup dropped" --seeds 500
"""

from __future__ import annotations

import os
import sys
import time

import click

from tests.simulation.plan import PUSHES, plan_of
from tests.simulation.planted import PLANTED
from tests.simulation.running import failing, failures_of

SAID_EVERY_S = 10.0


@click.command()
@click.option("--seeds", default=10_000, show_default=True, help="How many.")
@click.option("--from", "first", default=0, show_default=True, help="The first.")
@click.option("--pushes", default=PUSHES, show_default=True, help="Frames that a story is made of, about.")
@click.option("--processes", default=os.cpu_count() or 1, show_default=True, help="How many side by side.")
@click.option(
    "--planted", type=click.Choice(list(PLANTED)), help="A bug to plant: ends at the first seed that finds it."
)
@click.option("--replay", type=int, help="Run one seed and show everything.")
def main(seeds: int, first: int, pushes: int, processes: int, planted: str | None, replay: int | None) -> None:
    """Run seeded worlds; exit 0 only if all of them hold (with a planted bug: if it was found)."""
    if replay is not None:
        click.echo(plan_of(replay, pushes=pushes))
        found = failures_of(replay, pushes=pushes, planted=planted)
        click.echo("\n".join(found) or "holds")
        sys.exit(bool(found))
    began_s = said_s = time.monotonic()
    done = bad = 0
    for seed, found in failing(range(first, first + seeds), processes=processes, pushes=pushes, planted=planted):
        done += 1
        if found:
            bad += 1
            click.echo(f"seed {seed}: {found[0]}")
            for line in found[1:4]:
                click.echo(f"    {line}")
            if planted is not None:
                click.echo(f"{planted!r} was found by seed {seed}, the {done}. to end")
                sys.exit(0)
        if time.monotonic() - said_s > SAID_EVERY_S:
            said_s = time.monotonic()
            click.echo(f"{done} of {seeds} seeds, {bad} do not hold", err=True)
    took_s = time.monotonic() - began_s
    click.echo(f"{done} seeds in {took_s:.0f} s ({took_s / max(done, 1):.2f} s each): {bad} do not hold")
    sys.exit(bool(bad) or planted is not None)


if __name__ == "__main__":
    main()
