"""Every example that `--help` shows is run, as a person would who has a daemon."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ditad.cli.verbs import VERBS, ditad
from ditad.exchange import AccountSpec, SimulatedExchange, trade
from tests.support.process import running as process
from tests.support.running import settings_of, short_folder
from tests.support.terminal import needs_tmux, terminal
from tests.test_cli_end_to_end import agreed, begun, daemon
from tests.test_readme import shell

ROOT = Path(__file__).resolve().parent.parent
SERVES = {"run", "exchange"}
"""Verbs that go on until a signal ends them."""

SHOWN = {"top"}
"""Verbs that take a terminal, until a key ends them."""

VERB = re.compile(r"\bditad ([a-z-]+)")

ENDS = {"doctor": (0, 1), "adopt": (0, 77), "audit": (0, 77), "timeout": (124,)}
"""Exit codes that are as they should be: warnings, who may not, and a stream that is followed for a while."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a private folder with a short path, for the state and the unix socket."""
    made = short_folder()
    yield made
    shutil.rmtree(made)


def examples_of(verb: str) -> list[str]:
    """Give the lines beneath `Examples:` in a verb's help."""
    command = ditad.get_command(None, verb)  # type: ignore[arg-type]  # no context is needed to load a verb
    assert command is not None
    return [line.strip() for line in (command.epilog or "").splitlines() if "ditad" in line]


def verb_of(line: str) -> str:
    """Give the verb of an example."""
    found = VERB.search(line)
    assert found is not None, line
    return found[1]


def all_examples() -> Iterator[tuple[str, str]]:
    """Give those of all verbs, each with its verb."""
    for verb in VERBS:
        for line in examples_of(verb):
            yield verb, line


def test_every_example_is_tried_in_one_way() -> None:
    """Verbs that serve and verbs that take a terminal are there, and are tried in tests of their own."""
    assert set() == (SERVES | SHOWN) - {verb for verb, _ in all_examples()}
    assert set() == SERVES & SHOWN


@asynccontextmanager
async def traded(folder: Path) -> AsyncIterator[None]:
    """Run a daemon whose account has seen some trading, until the block ends."""
    (folder / "backups").mkdir()
    spec = AccountSpec(name="main", permissions=frozenset({"read"}))
    async with SimulatedExchange(seed=11, accounts=[spec]) as exchange, daemon(settings_of(folder, exchange)):
        await begun(folder / "s")
        since = exchange.mark("main")
        await trade(exchange, "main", actions=30, seed=8)
        await agreed(folder / "s", exchange.books_since(since))
        yield


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example(verb: str) -> None:
    """Of itself, and click leaves its lines as they are."""
    examples = examples_of(verb)
    assert examples, verb
    assert [] == [line for line in examples if verb_of(line) != verb]


async def test_every_example_works(folder: Path) -> None:
    """Beside a daemon that has seen some trading each does what it says, and says something."""
    async with traded(folder):
        for verb, line in all_examples():
            if verb in SERVES | SHOWN:
                continue
            code, out, err = await shell(here(line, folder), cwd=folder, environ=environ_of(folder))
            word = "timeout" if line.startswith("timeout") else verb
            assert code in ENDS.get(word, (0,)), (line, code, err)
            assert out.strip() or code, line


async def test_every_example_that_serves_works(folder: Path) -> None:
    """It says that it is there, goes on, and ends in order when it is told to."""
    async with SimulatedExchange(seed=11, accounts=[AccountSpec(name="main")]) as exchange:
        settings_of(folder, exchange)
        for verb, line in all_examples():
            if verb not in SERVES:
                continue
            async with process("bash", "-c", f"exec {here(line, folder)}") as started:
                if verb == "run":
                    await started.logged("daemon.ready")
                else:
                    await started.said_anything()
                started.signal(signal.SIGTERM)
                assert 0 == await started.ended(), (line, started.last_words())


@needs_tmux
async def test_every_example_that_takes_a_terminal_works(folder: Path) -> None:
    """It shows the account, and ends when a person quits it."""
    async with traded(folder):
        for number, line in enumerate(line for verb, line in all_examples() if verb in SHOWN):
            words = ("bash", "-c", here(line, folder))
            async with terminal(folder / f"t{number}", *words, environ=environ_of(folder)) as screen:
                await screen.shows("ditad top  main", "VERDICT   OK")
                await screen.press("q")
                await screen.shows("ended with 0")


def environ_of(folder: Path) -> dict[str, str]:
    """Give what a person has set: where the socket is; and this very clone, whatever folder they stand in."""
    return {"DITAD_SOCKET": str(folder / "s"), "PYTHONPATH": str(ROOT)}


def here(line: str, folder: Path) -> str:
    """Put this machine's places into an example, and moments that a young account has."""
    places = {"/etc/ditad/ditad.toml": str(folder / "ditad.toml"), "/var/backups": str(folder / "backups")}
    if verb_of(line) in {"at", "diff"}:
        places["10m"] = "0s"  # ten minutes ago there was no account yet
    for place, ours in places.items():
        line = line.replace(place, ours)
    return re.sub(r"\bditad (?=[a-z])", f"{shlex.quote(sys.executable)} -m ditad ", line)
