"""Where a unit's secrets lie, for a doctor whom systemd hands none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ditad.config import AccountSettings, load
from ditad.config_secrets import CredentialSource, SecretSource
from ditad.config_tell import TellSettings
from ditad.doctor.findings import Finding, Status
from ditad.doctor.handing import Handed, handed, of_account, of_tell
from ditad.doctor.looking import handed_over, missing

KEYS = [["main.api_key", "/etc/x/k"], ["main.api_secret", "/etc/x/s"]]


def settings(folder: Path, more: str = "", tell: str = "") -> tuple[AccountSettings, TellSettings | None]:
    """Read settings of one account."""
    path = folder / "ditad.toml"
    path.write_text(f'{tell}\n[[account]]\nname = "main"\nenvironment = "live"\n{more}')
    loaded = load(path, environ={})
    return loaded.accounts[0], loaded.tell


def test_an_account_gets_the_files_of_its_unit(tmp_path: Path) -> None:
    """Where the settings name no source; a file that the unit lacks is missed as ever."""
    account, _ = settings(tmp_path)
    found = of_account(account, handed(KEYS, [], frozenset()))
    assert isinstance(found, AccountSettings)
    assert CredentialSource(api_key_file=Path("/etc/x/k"), api_secret_file=Path("/etc/x/s")) == found.credentials
    assert account == of_account(account, Handed())


def test_what_the_settings_name_comes_first(tmp_path: Path) -> None:
    """As for the daemon itself."""
    account, _ = settings(tmp_path, '[account.credentials]\napi_key_env = "A"\napi_secret_env = "B"\n')
    assert account == of_account(account, handed(KEYS, [], frozenset()))


@pytest.mark.parametrize(
    ("plain", "encrypted", "words"),
    [
        (KEYS[1:], [["main.api_key", "/etc/x/k.cred"]], "/etc/x/k.cred is encrypted"),
        ([KEYS[0], ["main.api_secret", "main.api_secret"]], [], "its own store"),
        ([KEYS[0], ["main.api_secret", "/closed"]], [], "/closed may not be read by this user"),
    ],
)
def test_what_cannot_be_looked_at_is_not_missing(
    tmp_path: Path, plain: list[list[str]], encrypted: list[list[str]], words: str
) -> None:
    """It is UNKNOWN, with a sentence that says why."""
    found = of_account(settings(tmp_path)[0], handed(plain, encrypted, frozenset({"/closed"})))
    assert isinstance(found, Finding)
    assert (Status.UNKNOWN, "credentials", True) == (found.status, found.check, words in found.said)


def test_the_webhooks_header_too(tmp_path: Path) -> None:
    """Its value is handed over by the same unit."""
    url = '[tell]\nurl = "https://hooks.example.org"\n'
    given = handed([["tell.secret", "/etc/x/t"]], [], frozenset())
    _, plain = settings(tmp_path, tell=url)
    _, bare = settings(tmp_path, tell=f'{url}header = "X-Key"\n')
    _, named = settings(tmp_path, tell=f'{url}header = "X-Key"\nsecret_env = "A"\n')
    assert plain is not None
    assert bare is not None
    assert named is not None
    assert (plain, named) == (of_tell(plain, given), of_tell(named, given))
    found = of_tell(bare, given)
    assert isinstance(found, TellSettings)
    assert SecretSource(file=Path("/etc/x/t")) == found.secret
    hidden = of_tell(bare, handed([], [["tell.secret", "/etc/x/t.cred"]], frozenset()))
    assert isinstance(hidden, Finding)
    assert (Status.UNKNOWN, "tell") == (hidden.status, hidden.check)


def busctl(folder: Path, *lines: str) -> None:
    """Put a bus in the way that prints these lines for a unit of a certain path, as systemd 252 prints them."""
    fake = folder / "busctl"
    said = "".join(f"echo '{line}'\n" for line in lines)
    fake.write_text(f'#!/bin/sh\n[ "$4" = /org/freedesktop/systemd1/unit/_31a_2db_2eservice ] || exit 1\n{said}')
    fake.chmod(0o755)


PAIRS = '{"type":"a(ss)","data":[["main.api_secret","/etc/x/s"],["main.api_key","/etc/x/k"]]}'


async def test_the_bus_is_asked_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit's name is written as the bus wants it; what may be read by this user is a file."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    busctl(tmp_path, PAIRS, '{"type":"a(ss)","data":[["tell.secret","/etc/x/t.cred"]]}')
    expected = {"main.api_key": Path("/etc/x/k"), "main.api_secret": Path("/etc/x/s")}
    for name in ("1a-b", "1a-b.service"):
        found = await handed_over(name)
        assert found is not None
        assert (expected, ["tell.secret"]) == (found.files, list(found.hidden))
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    found = await handed_over("1a-b")
    assert found is not None
    assert ({}, 3) == (found.files, len(found.hidden))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """By the names that the unit gives; what is hidden from us is not called missing."""
    (tmp_path / "k").touch()
    pairs = [["main.api_key", str(tmp_path / "k")], ["main.api_secret", str(tmp_path / "s")], ["a", "/closed"]]
    assert [("main.api_secret", tmp_path / "s")] == missing(handed(pairs, [], frozenset({"/closed"})))


@pytest.mark.parametrize("lines", [(), (PAIRS,), ("no", "json"), ('{"data":1}', '{"data":1}'), ("[]", "[]")])
async def test_a_bus_that_says_nothing_of_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...]
) -> None:
    """Then nothing is known of a unit's secrets, which is not the same as none."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    busctl(tmp_path, *lines)
    assert None is await handed_over("1a-b")
    assert None is await handed_over("another")
