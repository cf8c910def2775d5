"""The verb `check-config`: all that is wrong with a settings file.

Enters: its path, and the environment. Leaves: one problem a line and 78, or nothing to complain about and 0.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from ditad.config import problems
from ditad.errors import SettingsError


@click.command(name="check-config")
@click.argument("path", type=click.Path(path_type=Path))
def check_config(path: Path) -> int:
    """Say all that is wrong with the settings file PATH, not only the first thing."""
    found = problems(path, os.environ)
    for problem in found:
        click.echo(problem, err=True)
    if found:
        return SettingsError.exit_code
    click.echo(f"{path}: nothing is wrong with it")
    return 0
