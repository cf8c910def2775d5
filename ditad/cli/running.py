"""The verb `run`: the daemon in the foreground.

Enters: where the settings are. Leaves: the daemon's exit code, and at a terminal a bar while a start folds much.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from ditad.cli.examples import examples
from ditad.cli.progress import Count, counted


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Let nothing in this block import a module, unless it is there already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # what Python's own documentation says to do
    try:
        yield
    finally:
        del sys.modules[module]


with _without("rich"):  # structlog takes it for traces where it is installed, as `top` has it: 3 MiB that no line needs
    from ditad.daemon import run as run_daemon


@click.command(epilog=examples("ditad run --config /etc/ditad/ditad.toml"))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("/etc/ditad/ditad.toml"),
    show_default=True,
    help="The settings file.",
)
def run(config: Path) -> int:
    """Run the daemon in the foreground, until SIGTERM or Ctrl+C."""
    with ExitStack() as bars:
        shown: dict[str, Count] = {}

        def catching_up(account: str, n: int, last_n: int) -> None:
            if account not in shown:
                shown[account] = bars.enter_context(counted(f"{account} folds its journal"))
            shown[account](n, last_n)
            if n == last_n:
                bars.close()

        return run_daemon(config, catching_up=catching_up)
