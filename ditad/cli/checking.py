"""The verb `check-config`: all that is wrong with a settings file.

Enters: its path, and the environment. Leaves: one problem a line and 78, or nothing to complain about and 0. A unit
asks it to be quiet where nothing is wrong, and, while the daemon runs, to leave the secrets alone, which systemd hands
over at the start only.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from ditad.cli.examples import examples
from ditad.config import problems
from ditad.errors import SettingsError


@click.command(name="check-config", epilog=examples("ditad check-config /etc/ditad/ditad.toml"))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--quiet", is_flag=True, help="Say nothing where nothing is wrong.")
@click.option("--no-credentials", is_flag=True, help="Do not look for the secrets that it points to.")
def check_config(path: Path, *, quiet: bool, no_credentials: bool) -> int:
    """Say all that is wrong with the settings file PATH, not only the first thing."""
    found = problems(path, os.environ, credentials_too=not no_credentials)
    for problem in found:
        click.echo(problem, err=True)
    if found:
        return SettingsError.exit_code
    if not quiet:
        click.echo(f"{path}: nothing is wrong with it")
    return 0
