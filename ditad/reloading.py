"""Settings that were read again: what of them holds at once, and what waits for a restart.

What enters: the settings in force and those just read. What leaves: the settings to go on with, and the names of what
differs. What holds: nothing that the fold, the journal or a conversation with the exchange began with is changed under
them; every difference is named, so that no written setting is silently without effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace

from ditad.config import AccountSettings, Settings

DAEMON_KEYS = ("log_level", "admin_uids")
ACCOUNT_KEYS = ("bot_uids",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """`settings` to go on with; `taken` and `waiting` name the keys that differ, as the file has them."""

    settings: Settings
    taken: tuple[str, ...]
    waiting: tuple[str, ...]


def reloaded(now: Settings, read: Settings) -> Reloaded:
    """Take what can be taken of settings that were read again."""
    news = {account.name: account for account in read.accounts}
    daemon = replace(now.daemon, **{key: getattr(read.daemon, key) for key in DAEMON_KEYS})
    accounts = tuple(_account(account, news.get(account.name)) for account in now.accounts)
    settings = replace(now, daemon=daemon, accounts=accounts)
    before, after, wanted = dict(_flat(now)), dict(_flat(settings)), dict(_flat(read))
    names = sorted({*before, *wanted})
    return Reloaded(
        settings=settings,
        taken=tuple(name for name in names if before.get(name) != after.get(name)),
        waiting=tuple(name for name in names if after.get(name) != wanted.get(name)),
    )


def _account(now: AccountSettings, read: AccountSettings | None) -> AccountSettings:
    return now if read is None else replace(now, **{key: getattr(read, key) for key in ACCOUNT_KEYS})


def _flat(settings: Settings) -> Iterator[tuple[str, object]]:
    """Name every value by its place; of an account that is new or gone its name alone."""
    yield from _values("daemon", settings.daemon)
    if settings.tell is not None:
        yield from _values("tell", settings.tell)
    for account in settings.accounts:
        yield from _values(f"account {account.name}", account)


def _values(where: str, record: object) -> Iterator[tuple[str, object]]:
    assert is_dataclass(record), "settings are records"
    for field in fields(record):
        value = getattr(record, field.name)
        if is_dataclass(value):
            yield from _values(f"{where} {field.name}", value)
        else:
            yield f"{where} {field.name}", value
