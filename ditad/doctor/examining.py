"""The checks of `ditad doctor` that need nothing but the machine: settings, unit, state folder, disk.

What enters: a settings file, perhaps an account's name and a unit's. What leaves: findings, as they are made. What
holds: nothing that takes long to load is needed, so that there is something to read at once; `examining_accounts` does
the rest.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

from ditad.config import AccountSettings, problems_of_tell, readable, telling
from ditad.doctor import judging_machine, looking
from ditad.doctor.findings import Finding
from ditad.doctor.handing import Handed, of_tell
from ditad.errors import UsageError


async def machine(
    config: Path, environ: Mapping[str, str], *, account: str | None, unit: str | None, handed: Handed | None = None
) -> AsyncGenerator[Finding, None]:
    """Examine settings and machine; raises `UsageError` where `account` is none of the settings'.

    `handed` is where the unit's secrets lie, where nobody handed them to us.
    """
    daemon, accounts, problems = readable(config, environ)
    names = [each.name for each in accounts]
    if account is not None and account not in names:
        raise UsageError(f"--account: the settings have no account {account!r}; they have {', '.join(names) or 'none'}")
    for finding in judging_machine.settings(str(config), problems, names, looking.file_facts(config)):
        yield finding
    told = telling(config, environ)
    if told is not None:
        told_by = told if handed is None else of_tell(told, handed)
        if isinstance(told_by, Finding):
            yield told_by
        else:
            command = None if told.command is None else told.command[0]
            for finding in judging_machine.tell(command, problems_of_tell(told_by, environ)):
                yield finding
    if unit is not None:
        shown, problem = await looking.unit_shown(unit)
        yield judging_machine.unit(unit, shown, problem)
        async for finding in _unread(unit, shown or {}, [config, *_named(accounts)]):
            yield finding
        for name, path in looking.missing(handed or Handed()):
            yield judging_machine.missing_key(unit, name, str(path))
    if daemon is not None:
        yield judging_machine.state_folder(looking.folder_facts(daemon.state_dir))
        yield judging_machine.disk(looking.disk_facts(daemon.state_dir))


async def _unread(unit: str, shown: Mapping[str, str], paths: Sequence[Path]) -> AsyncGenerator[Finding, None]:
    """Say which files the daemon could not read as whom the unit runs it."""
    for path in await looking.closed_to(shown.get("User", ""), shown.get("Group", ""), paths):
        yield judging_machine.closed_to(unit, shown["User"], str(path))


def _named(accounts: Sequence[AccountSettings]) -> list[Path]:
    """Give the files of keys and secrets that the settings name."""
    sources = [each.credentials for each in accounts]
    return [path for each in sources for path in (each.api_key_file, each.api_secret_file) if path is not None]
