"""The verb `run`: the daemon in the foreground.

Enters: where the settings are. Leaves: the daemon's exit code.
"""

from __future__ import annotations

from pathlib import Path

import click

from ditad.daemon import run as run_daemon


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("/etc/ditad/ditad.toml"),
    show_default=True,
    help="The settings file.",
)
def run(config: Path) -> int:
    """Run the daemon in the foreground, until SIGTERM or Ctrl+C."""
    return run_daemon(config)
