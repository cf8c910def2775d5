"""Every example that `--help` shows is run, as a person would who has a daemon."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ditad.cli.verbs import VERBS, ditad
from ditad.exchange import AccountSpec, SimulatedExchange, trade
from tests.support.process import running as process
from tests.support.running import settings_of, short_folder
from tests.test_cli_end_to_end import agreed, begun, daemon
from tests.test_readme import shell

ROOT = Path(__file__).resolve().parent.parent
SERVES = {"run", "exchange"}
"""Verbs that go on until a signal ends them."""

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


def all_examples() -> Iterator[str]:
    """Give those of all verbs."""
    for verb in VERBS:
        yield from examples_of(verb)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example(verb: str) -> None:
    """Of itself, and click leaves its lines as they are."""
    examples = examples_of(verb)
    assert examples, verb
    assert [] == [line for line in examples if f"ditad {verb}" not in line]


async def test_every_example_works(folder: Path) -> None:
    """Beside a daemon that has seen some trading each does what it says, and says something."""
    (folder / "backups").mkdir()
    spec = AccountSpec(name="main", permissions=frozenset({"read"}))
    async with SimulatedExchange(seed=11, accounts=[spec]) as exchange:
        settings = settings_of(folder, exchange)
        async with daemon(settings):
            await begun(folder / "s")
            since = exchange.mark("main")
            await trade(exchange, "main", actions=30, seed=8)
            await agreed(folder / "s", exchange.books_since(since))
            for line in all_examples():
                told = here(line, folder)
                if line.split()[1] in SERVES:
                    continue
                code, out, err = await shell(told, cwd=ROOT, environ={"DITAD_SOCKET": str(folder / "s")})
                word = line.split()[0] if line.startswith("timeout") else line.split()[1]
                assert code in ENDS.get(word, (0,)), (line, code, err)
                assert out.strip() or code, line
        serving = [line for line in all_examples() if line.split()[1] in SERVES]
        assert SERVES == {line.split()[1] for line in serving}
        for line in serving:
            async with process("bash", "-c", f"exec {here(line, folder)}") as started:
                if "run" in line.split():
                    await started.logged("daemon.ready")
                else:
                    await started.said_anything()
                started.signal(signal.SIGTERM)
                assert 0 == await started.ended(), (line, started.last_words())


def here(line: str, folder: Path) -> str:
    """Put this machine's places into an example, and moments that a young account has."""
    places = {"/etc/ditad/ditad.toml": str(folder / "ditad.toml"), "/var/backups": str(folder / "backups")}
    if line.split()[1] in {"at", "diff"}:
        places["10m"] = "0s"  # ten minutes ago there was no account yet
    for place, ours in places.items():
        line = line.replace(place, ours)
    return re.sub(r"\bditad (?=[a-z])", f"{shlex.quote(sys.executable)} -m ditad ", line)
