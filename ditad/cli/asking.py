"""What the asking verbs share: their common options, and finding the account that is meant.

Enters: options and `$DITAD_SOCKET`. Leaves: an `Asked`, and answers of the daemon.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from ditad.api.client import ApiClient
from ditad.client.asking import SOCKET
from ditad.errors import DitadError, UsageError

COMPLETE_S_MAX: Final = 1.0
"""Who presses the tabulator does not wait longer."""

NAME: Final = re.compile(r"[a-z0-9_-]{1,32}")

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The common options: which daemon, which account (`None`: not said), and who reads."""

    socket: Path
    account: str | None
    as_json: bool


def asking(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the common options, as one `Asked` in front of its own arguments."""

    @click.option(
        "--socket",
        type=click.Path(path_type=Path),
        envvar="DITAD_SOCKET",
        default=Path(SOCKET),
        show_default=True,
        show_envvar=True,
        help="The daemon's socket.",
    )
    @click.option(
        "--account",
        metavar="NAME",
        shell_complete=_account_names,
        help="The account; may be left out when there is one.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Write JSON.")
    @functools.wraps(verb)
    def wrapped(*, socket: Path, account: str | None, as_json: bool, **own: Any) -> Any:
        if account is not None and NAME.fullmatch(account) is None:
            raise UsageError(f"--account: {account!r} is no account's name (1 to 32 of a-z 0-9 _ -)")
        return verb(Asked(socket=socket, account=account, as_json=as_json), **own)

    return wrapped


def _account_names(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete an account's name with those of the running daemon; without one there is nothing to complete."""

    async def question() -> list[str]:
        async with asyncio.timeout(COMPLETE_S_MAX), ApiClient(Path(ctx.params.get("socket") or SOCKET)) as client:
            return [str(item["account"]) for item in (await client.get("/v1/accounts"))["items"]]

    try:
        names = asyncio.run(question())
    except (TimeoutError, DitadError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def ask(asked: Asked, question: Callable[[ApiClient], Awaitable[Answer]]) -> Answer:
    """Connect, ask, and give the answer."""

    async def conversation() -> Answer:
        async with ApiClient(asked.socket) as client:
            return await question(client)

    return asyncio.run(conversation())


async def account_of(client: ApiClient, asked: Asked) -> str:
    """Give the account that is meant; raises `UsageError` where the daemon has several and none was named."""
    return await client.account(asked.account)
