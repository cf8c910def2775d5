"""Settings read again: what is taken, what waits, and that nothing is silently without effect."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ditad.config import Settings, load
from ditad.reloading import Reloaded, reloaded

TOLD = '[tell]\nurl = "https://hooks.example.org/x"\n'
ACCOUNT = '[[account]]\nname = "{name}"\nenvironment = "live"\n{more}\n'


def settings(folder: Path, *accounts: str, daemon: str = "") -> Settings:
    """Read a file with these lines under [daemon] and these accounts, each a name and lines of its own."""
    path = folder / "ditad.toml"
    tables = [ACCOUNT.format(name=text.partition("\n")[0], more=text.partition("\n")[2]) for text in accounts]
    path.write_text(f"[daemon]\n{daemon}\n" + "".join(tables))
    return load(path, environ={})


def news(folder: Path, before: Settings, after: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give what is taken and what waits; what is gone on with must be the old settings with what is taken."""
    found = reloaded(before, after)
    assert ((), found.waiting) == (reloaded(found.settings, after).taken, reloaded(found.settings, after).waiting)
    assert folder.exists()
    return found.taken, found.waiting


def test_nothing_new_is_nothing_taken(tmp_path: Path) -> None:
    """The same file read twice changes nothing."""
    same = settings(tmp_path, "main")
    assert Reloaded(settings=same, taken=(), waiting=()) == reloaded(same, settings(tmp_path, "main"))


@pytest.mark.parametrize(
    ("daemon", "account", "taken"),
    [
        ('log_level = "debug"', "", "daemon log_level"),
        ("admin_uids = [7]", "", "daemon admin_uids"),
        ("", "bot_uids = [7]", "account main bot_uids"),
    ],
)
def test_what_can_be_taken_is_taken(tmp_path: Path, daemon: str, account: str, taken: str) -> None:
    """Who may do what, and how much is logged, hold at once."""
    before = settings(tmp_path, "main")
    assert ((taken,), ()) == news(tmp_path, before, settings(tmp_path, f"main\n{account}", daemon=daemon))


@pytest.mark.parametrize(
    ("daemon", "account", "waiting"),
    [
        ('state_dir = "/x"', "", "daemon state_dir"),
        ('socket_mode = "0600"', "", "daemon socket_mode"),
        ('log_format = "console"', "", "daemon log_format"),
        ("", "raw_days = 1", "account main raw_days"),
        ("", "[account.audit]\ninterval_s = 31", "account main audit interval_s"),
        ("", "[account.credentials]\napi_key_env = 'A'\napi_secret_env = 'B'", "account main credentials api_key_env"),
        ("", "[account.namespaces]\nruntime_namespace = 'x'", "account main namespaces"),
    ],
)
def test_what_cannot_be_taken_is_named(tmp_path: Path, daemon: str, account: str, waiting: str) -> None:
    """What the start, the fold or a conversation began with stays, and the log can say so by name."""
    before = settings(tmp_path, "main")
    after = settings(tmp_path, f"main\n{account}", daemon=daemon)
    taken, found = news(tmp_path, before, after)
    assert ((), True) == (taken, waiting in found)
    assert before == reloaded(before, after).settings


def test_accounts_come_and_go_by_a_restart(tmp_path: Path) -> None:
    """A new account is not served, one that is gone still is, and both are named."""
    before = settings(tmp_path, "main", "old")
    found = reloaded(before, settings(tmp_path, "main", "new"))
    assert before == found.settings
    assert {"account new name", "account old name"} <= set(found.waiting)


def test_every_setting_is_either_taken_or_named(tmp_path: Path) -> None:
    """Whatever key differs, its name stands in one of the two lists: no key of a file is forgotten."""
    one = settings(tmp_path, "main", daemon=TOLD)

    def moved(record: object) -> Any:
        """Change every value of a record to something else."""
        assert dataclasses.is_dataclass(record)
        assert not isinstance(record, type)
        values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
        return dataclasses.replace(
            record,
            **{
                name: value if name == "name" else moved(value) if dataclasses.is_dataclass(value) else object()
                for name, value in values.items()
            },
        )

    other = dataclasses.replace(one, daemon=moved(one.daemon), tell=moved(one.tell), accounts=(moved(one.accounts[0]),))
    found = reloaded(one, other)
    leaves = sum(1 for _ in _leaves(one))
    assert leaves - 1 == len(found.taken) + len(found.waiting)  # all but the account's name


def test_who_is_told_waits_for_a_restart(tmp_path: Path) -> None:
    """A hook that is new, other or gone is named, key by key."""
    without, told = settings(tmp_path, "main"), settings(tmp_path, "main", daemon=TOLD)
    names = tuple(f"tell {key}" for key in ("retry_s", "severity", "timeout_s", "url", "waiting_max"))
    assert ((), names) == news(tmp_path, without, told)
    assert ((), names) == news(tmp_path, told, without)
    other = settings(tmp_path, "main", daemon=TOLD.replace("/x", "/y"))
    assert ((), ("tell url",)) == news(tmp_path, told, other)


def _leaves(record: object) -> list[object]:
    if isinstance(record, tuple) and record and dataclasses.is_dataclass(record[0]):
        return [leaf for each in record for leaf in _leaves(each)]
    if not dataclasses.is_dataclass(record):
        return [record]
    return [leaf for field in dataclasses.fields(record) for leaf in _leaves(getattr(record, field.name))]
