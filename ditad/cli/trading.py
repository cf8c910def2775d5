"""The verb `exchange`: the simulated exchange alone.

Enters: port, seed, faults. Leaves: one JSON line with its addresses and credentials, then it serves.
"""

from __future__ import annotations

import click

from ditad.cli.examples import examples
from ditad.exchange import exchange_command


@click.command(epilog=examples("ditad exchange --seed 7", "ditad exchange --faults drop=0.01,rest_error=0.05"))
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="The port on loopback; 0 takes a free one.")
@click.option("--seed", type=int, default=0, show_default=True, help="What its chances are drawn from.")
@click.option("--faults", default="", metavar="SPEC", help="Which misfortunes to bring, how often.")
def exchange(port: int, seed: int, faults: str) -> int:
    """Run the simulated exchange alone: one JSON line with URLs and credentials, then it serves."""
    return exchange_command(port=port, seed=seed, faults=faults)
