"""The checks of `ditad doctor` that ask: the running daemon, and for each account its journal and the exchange.

What enters: a settings file, as far as it can be read. What leaves: findings, as they are made. What holds: the daemon
may be running or not; what one check cannot find out does not keep the next from being made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ditad import __version__
from ditad.bingx.options import Credentials
from ditad.config import AccountSettings, DaemonSettings, credentials, readable
from ditad.config_secrets import Secret
from ditad.doctor import judging_exchange, judging_machine, knocking
from ditad.doctor.asking import Examination
from ditad.doctor.findings import Finding, error, ok, split
from ditad.doctor.handing import Handed, of_account
from ditad.errors import SettingsError
from ditad.service import feed_options, hosts

Keys = dict[str, tuple[Secret, Secret] | SettingsError | Finding]
"""By an account's name its key and secret, what is wrong with them, or why they could not be looked at."""


async def daemon_and_accounts(
    config: Path, environ: Mapping[str, str], *, account: str | None, handed: Handed | None = None
) -> AsyncGenerator[Finding, None]:
    """Ask whoever answers on the socket, then examine one account after the other, or the one that is named.

    `handed` is where the unit's secrets lie, where nobody handed them to us.
    """
    daemon, accounts, _ = readable(config, environ)
    served: Mapping[str, Mapping[str, Any]] | None = None
    if daemon is not None:
        facts, found = await knocking.socket_facts(daemon.socket)
        yield judging_machine.socket(facts, our_version=__version__)
        served = found if facts.version else None
        if daemon.metrics_listen is not None and served is not None:
            host, port = daemon.metrics_listen
            problem = await knocking.metrics_problem(daemon.metrics_listen)
            yield judging_machine.metrics_port(f"{host}:{port}", problem)
    keys = {each.name: _credentials(each, environ, handed) for each in accounts}
    for each in accounts:
        if account in {None, each.name}:
            async with aclosing(_of_account(each, daemon, keys, served)) as some:
                async for finding in some:
                    yield finding.of(each.name)


async def _of_account(
    settings: AccountSettings,
    daemon: DaemonSettings | None,
    keys: Keys,
    served: Mapping[str, Mapping[str, Any]] | None,
) -> AsyncGenerator[Finding, None]:
    """Examine one account."""
    losses = None
    if daemon is not None:
        yield judging_machine.journal(
            await asyncio.to_thread(knocking.journal_facts, daemon.state_dir, settings.name, settings.environment)
        )
    if daemon is not None and served is not None:
        yield judging_machine.daemon(settings.name, served)
        losses = (await knocking.stream_losses(daemon.socket, time.time())).get(settings.name)
    pair = keys[settings.name]
    if isinstance(pair, SettingsError):
        for problem in pair.problems:
            said, what_to_do = split(problem)
            yield error("credentials", said, what_to_do or judging_machine.CHECK_SETTINGS)
    elif isinstance(pair, Finding):
        yield pair
    if isinstance(pair, SettingsError | Finding):
        for check in ("exchange", "stream", *judging_exchange.CHECKS):
            yield judging_exchange.not_asked(check, "there are no credentials")
        return
    yield ok("credentials", "found, and only their owner can read them")
    examination = Examination(
        options=feed_options(settings),
        hosts=hosts(settings),
        credentials=Credentials(api_key=pair[0].reveal(), api_secret=pair[1].reveal()),
    )
    async with aclosing(examination.findings()) as some:
        async for finding in some:
            yield finding
    same_key = [
        name
        for name, other in keys.items()
        if name != settings.name and isinstance(other, tuple) and other[0] == pair[0]
    ]
    yield judging_exchange.sharing(settings.name, same_key=same_key, losses=losses)


def _credentials(
    account: AccountSettings, environ: Mapping[str, str], handed: Handed | None
) -> tuple[Secret, Secret] | SettingsError | Finding:
    sourced = account if handed is None else of_account(account, handed)
    if isinstance(sourced, Finding):
        return sourced
    try:
        return credentials(sourced, environ)
    except SettingsError as exc:
        return exc
