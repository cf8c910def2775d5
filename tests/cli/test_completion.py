"""What the tabulator completes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ditad.cli.verbs import VERBS
from tests.api.fake_daemon import FakeAccount, FakeDaemon, serving
from tests.support.process import ROOT
from tests.support.running import WAIT_S_MAX, account_settings, settings_file, short_folder


async def completed(*words: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Ask what comes for the last word, as bash does."""
    asked = {"_DITAD_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ditad"),
        cwd=ROOT,
        env={**os.environ, **asked, **(environ or {})},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WAIT_S_MAX):
        out, _ = await process.communicate()
    return [line.partition(",")[2] for line in out.decode().splitlines() if line]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ditad", "fi"), ["fills"]),
        (("ditad", "di"), ["diff", "divergences"]),
        (("ditad", "--ver"), ["--version"]),
        (("ditad", "divergences", "--st"), ["--state"]),
        (("ditad", "divergences", "--state", "he"), ["healed"]),
    ],
)
async def test_verbs_options_and_choices(words: tuple[str, ...], expected: list[str]) -> None:
    """What begins like that and makes sense there."""
    assert expected == sorted(await completed(*words))


async def test_all_verbs_are_offered() -> None:
    """Before a letter is typed."""
    assert sorted(VERBS) == sorted(await completed("ditad", "''"))


async def test_accounts_are_those_of_the_running_daemon(socket: Path) -> None:
    """By the socket that the line names, or the environment; without a daemon there is nothing to complete."""
    async with serving(FakeDaemon(FakeAccount("main"), FakeAccount("other")), socket):
        environ = {"DITAD_SOCKET": str(socket)}
        assert ["main"] == await completed("ditad", "fills", "--account", "m", environ=environ)
        assert ["other"] == await completed("ditad", "fills", "--socket", str(socket), "--account", "o")
    assert [] == await completed("ditad", "fills", "--account", "m", environ={"DITAD_SOCKET": str(socket)})


async def test_accounts_are_those_of_the_settings_for_verbs_on_journals() -> None:
    """They need no daemon."""
    folder = short_folder()
    accounts = [
        account_settings(folder, name, rest_url="http://[::1]:9", ws_url="ws://[::1]:9/s") for name in ("a", "b")
    ]
    settings = settings_file(folder, *accounts)
    assert ["b"] == await completed("ditad", "verify", "--config", str(settings), "--account", "b")
