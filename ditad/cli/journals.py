"""What the verbs on a journal share: their options, and finding the journals that are meant.

Enters: a settings file and perhaps an account's name. Leaves: the state folder and names of accounts. What holds: the
journal is read as it lies there, with the daemon running or not.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from ditad.config import load, readable
from ditad.errors import UsageError

CONFIG: Final = Path("/etc/ditad/ditad.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Journals:
    """Where the journals lie and whose are meant: all accounts of the settings unless one was named."""

    folder: Path
    accounts: tuple[str, ...]

    @property
    def only(self) -> str:
        """Give the one account that is meant; raises `UsageError` where there are several and none was named."""
        if len(self.accounts) != 1:
            raise UsageError(
                f"the settings have several accounts: name one with --account ({', '.join(self.accounts)})"
            )
        return self.accounts[0]


def account_names(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete an account's name with those of the settings, as far as they can be read."""
    _, accounts, _ = readable(Path(ctx.params.get("config") or CONFIG), os.environ)
    return [each.name for each in accounts if each.name.startswith(incomplete)]


def on_journals(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb `--config` and `--account`, as one `Journals` in front of its own arguments."""

    @click.option(
        "--config", type=click.Path(path_type=Path), default=CONFIG, show_default=True, help="The settings file."
    )
    @click.option(
        "--account",
        metavar="NAME",
        shell_complete=account_names,
        help="The account; may be left out when there is one.",
    )
    @functools.wraps(verb)
    def wrapped(*, config: Path, account: str | None, **own: Any) -> Any:
        settings = load(config, environ=os.environ)
        names = tuple(each.name for each in settings.accounts)
        if account is not None and account not in names:
            raise UsageError(f"--account: the settings have no account {account!r}; they have {', '.join(names)}")
        chosen = names if account is None else (account,)
        return verb(Journals(folder=settings.daemon.state_dir, accounts=chosen), **own)

    return wrapped
