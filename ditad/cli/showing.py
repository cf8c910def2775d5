"""The verb `demo`: the product at work without an account.

Enters: for how long, and who reads. Leaves: the demo's exit code, 0 only if all books are equal.
"""

from __future__ import annotations

from pathlib import Path

import click

from ditad.cli.examples import examples
from ditad.demo import run_demo

DURATION_S = 10.0
DURATION_S_MAX = 86_400.0


@click.command(epilog=examples("ditad demo --duration 2", "ditad demo --duration 2 --json"))
@click.option(
    "--duration",
    type=click.FloatRange(0.1, DURATION_S_MAX),
    default=DURATION_S,
    show_default=True,
    metavar="S",
    help="Seconds of trading.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Keep the settings and journals in this new folder, for `report` and the like.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def demo(duration: float, keep: Path | None, as_json: bool) -> int:
    """Run a simulated exchange and the daemon against it, over real HTTP and websockets on loopback."""
    return run_demo(duration, as_json, keep)
