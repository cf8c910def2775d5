"""Bars on what takes long, for a person, and nothing for a program."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import structlog

from ditad import service
from ditad.config import load
from ditad.daemon import Daemon
from ditad.journal import Journal
from tests.benchmarks.long_life import Life
from tests.support.journaled import NAME, journaled
from tests.support.pseudo_terminal import at_terminal, seen
from tests.support.running import account_settings, settings_file, short_folder

EVENTS = 1_200
"""More than the thousand after which a replay says how far it is."""


@pytest.fixture
def settings() -> Iterator[Path]:
    """Write settings for a journal of some length; nobody answers at its exchange."""
    folder = short_folder()
    (folder / "state").mkdir(mode=0o700)
    nobody = account_settings(folder, NAME, rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9/s")
    yield settings_file(folder, nobody)
    shutil.rmtree(folder)


@pytest.mark.parametrize("verb", ["verify", "replay"])
async def test_what_takes_long_shows_how_far_it_is(settings: Path, verb: str) -> None:
    """At a terminal; piped there is the result alone, the same one."""
    words = (sys.executable, "-m", "ditad", verb, "--config", str(settings))
    await lived(settings)
    _, said = await at_terminal(*words, columns=100)
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    out, err = await process.communicate()
    shown = [part for line in seen(said) for part in line.split("\r")]
    assert any(re.match(rf"{NAME}\s+\[[#-]+\]\s+1000/{EVENTS}", part) for part in shown), said
    assert b"" == err
    assert out.decode().strip() == shown[-1].strip()


async def test_a_start_that_folds_much_tells_how_far_it_is(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then, and that it is through; one that continues from its checkpoint has nothing to tell."""
    monkeypatch.setattr(service, "FOLDING_EVENTS", 500)
    await lived(settings)
    assert [] == started(settings)
    monkeypatch.setattr(Journal, "newest_checkpoint", lambda *_: None)
    assert [(NAME, n, EVENTS) for n in (500, 1_000, EVENTS)] == started(settings)


async def lived(settings: Path) -> None:
    """Write the journal."""
    await journaled(settings.parent / "state", islice(Life(trade_every_s=10).events(), EVENTS), batch=100)


def started(settings: Path) -> list[tuple[str, int, int]]:
    """Start a daemon, and give what it told of its way."""
    told: list[tuple[str, int, int]] = []
    daemon = Daemon(
        load(settings, environ={}),
        environ={},
        stream=None,
        log=structlog.get_logger(),
        catching_up=lambda *words: told.append(words),
    )
    daemon.release()
    return told
