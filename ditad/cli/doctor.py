"""The verb `doctor`: is everything around the daemon as it must be, and if not, what to do.

Enters: a settings file. Leaves: a line per check as it is made, or with `--json` one object at the end; the worst
status as the exit code. What holds: nothing is changed; secrets are not shown.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import click
import orjson

from ditad.cli.examples import examples
from ditad.cli.journals import CONFIG, account_names
from ditad.cli.screen import paint
from ditad.cli.tables import text_of
from ditad.cli.verdicts import COLOURS, EXIT_CODES, worst
from ditad.doctor.examining import machine
from ditad.doctor.findings import Finding
from ditad.doctor.looking import handed_over

NAME_WIDTH: Final = 14


@click.command(
    epilog=examples(
        "ditad doctor --config /etc/ditad/ditad.toml",
        "ditad doctor --config /etc/ditad/ditad.toml --account main --json",
    )
)
@click.option("--config", type=click.Path(path_type=Path), default=CONFIG, show_default=True, help="The settings file.")
@click.option("--account", metavar="NAME", shell_complete=account_names, help="Only this account.")
@click.option("--unit", metavar="NAME", help="Also see how systemd has this unit, for example ditad.service.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def doctor(config: Path, account: str | None, unit: str | None, as_json: bool) -> int:
    """Check settings, machine, credentials and exchange, and say what to do about each thing that is not right.

    Works with the daemon running or not. With --unit the keys are looked for where systemd has them, unless the
    settings or $CREDENTIALS_DIRECTORY say otherwise. Exit code: 0 OK, 1 WARN, 2 ERROR, 3 UNKNOWN, the worst of all checks.
    """

    async def examined() -> list[Finding]:
        made = []
        async for finding in _all(config, account=account, unit=unit):
            made.append(finding)
            if not as_json:
                _show(finding)
        return made

    made = asyncio.run(examined())
    verdict = worst(finding.status.value for finding in made)
    if as_json:
        click.echo(orjson.dumps({"status": verdict, "checks": made}))
    return EXIT_CODES[verdict]


async def _all(config: Path, *, account: str | None, unit: str | None) -> AsyncGenerator[Finding, None]:
    """Make the checks that are quick, then load what the others need."""
    handed = None if unit is None or os.environ.get("CREDENTIALS_DIRECTORY") else await handed_over(unit)
    async with aclosing(machine(config, os.environ, account=account, unit=unit, handed=handed)) as quick:
        async for finding in quick:
            yield finding
    rest = importlib.import_module("ditad.doctor.examining_accounts")
    async with aclosing(rest.daemon_and_accounts(config, os.environ, account=account, handed=handed)) as slow:
        async for finding in slow:
            yield finding


def _show(finding: Finding) -> None:
    word = paint(finding.status.value.ljust(7), fg=COLOURS[finding.status.value], bold=True)
    whose = f"{finding.account}: " if finding.account is not None else ""
    line = f"{word}  {finding.check.ljust(NAME_WIDTH)}  {whose}{text_of(finding.said)}"
    if finding.what_to_do:
        line += f"; to do: {text_of(finding.what_to_do)}"
    click.echo(line)
    sys.stdout.flush()
