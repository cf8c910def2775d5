"""The command line: exit codes, sentences, what is loaded when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ditad.cli.verbs import VERBS, ditad
from ditad.errors import DitadError, JournalDamagedError, SettingsError
from tests.support.running import WAIT_S_MAX

ROOT = Path(__file__).parents[2]


def run(*words: str, env: dict[str, str] | None = None) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(ditad, list(words), env=env)


def process(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "ditad", *words],
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
        env=environ,
        **options,
    )


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nothing",),
        ("--nothing",),
        ("fills", "--nothing"),
        ("fills", "surplus"),
        ("fills", "--limit", "many"),
        ("fills", "--limit", "0"),
        ("divergences", "--state", "broken"),
        ("events", "--type", "trade"),
        ("events", "--since", "yesterday"),
        ("events", "--since", "1m", "--after-seq", "3"),
        ("status", "--account", "../x"),
        ("check-config",),
        ("run", "--config"),
        ("demo", "--duration", "-1"),
        ("exchange", "--port", "70000"),
    ],
)
def test_wrong_usage_is_64(words: tuple[str, ...]) -> None:
    """However the words are wrong, the exit code is 64, never 2, and stderr says something without a traceback."""
    result = run(*words)
    assert 64 == result.exit_code
    assert result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("--version",), *((verb, "--help") for verb in VERBS)])
def test_help_is_0(words: tuple[str, ...]) -> None:
    """Asking for help is no mistake, for no verb."""
    result = run(*words)
    assert 0 == result.exit_code
    assert result.stdout


def test_help_names_every_verb() -> None:
    """The verbs stand in `--help` with a sentence each."""
    told = run("--help").stdout
    assert [] == [verb for verb in VERBS if f"  {verb}  " not in told]


def test_a_misspelt_word_is_one_sentence() -> None:
    """What is wrong is said in one line that names it and where to look."""
    assert "ditad: No such command 'fils'" in run("fils").stderr
    assert 1 == run("fils").stderr.count("\n")


def test_help_loads_no_network_and_no_verb() -> None:
    """`ditad --help` answers without loading aiohttp, asyncio or any verb."""
    code = (
        "import sys\nfrom ditad.cli.verbs import ditad\n"
        "try:\n  ditad.main(['--help'])\nexcept SystemExit:\n  pass\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in {'aiohttp', 'asyncio', 'sqlite3'}"
        " or name.startswith('ditad.') and not name.startswith(('ditad.cli', 'ditad.errors'))))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=30
    )
    assert "[]" == found.stdout.splitlines()[-1]


def test_the_module_is_the_command() -> None:
    """`python -m ditad` works, with its exit codes."""
    assert (0, 64) == (process("--help").returncode, process("nothing").returncode)


def test_no_daemon_is_69(tmp_path: Path) -> None:
    """Where nobody answers, the sentence names the socket, wherever its name came from."""
    by_option = process("status", "--socket", str(tmp_path / "s"))
    by_environment = run("fills", env={"DITAD_SOCKET": str(tmp_path / "t")})
    assert (69, 69) == (by_option.returncode, by_environment.exit_code)
    assert str(tmp_path / "s") in by_option.stderr
    assert str(tmp_path / "t") in by_environment.stderr
    assert "Traceback" not in by_option.stderr


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (SettingsError(["one", "two"]), 78, "one\ntwo"),
        (JournalDamagedError("torn"), 65, "torn"),
        (DitadError("hm"), 70, "hm"),
        (ExceptionGroup("tasks", [ValueError("x"), ExceptionGroup("more", [SettingsError(["deep"])])]), 78, "deep"),
        (ZeroDivisionError("by zero"), 70, "our own fault (ZeroDivisionError: by zero)"),
        (ExceptionGroup("tasks", [BrokenPipeError(), ValueError("x")]), 70, "our own fault"),
        (ExceptionGroup("tasks", [BrokenPipeError()]), 141, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_failure_ends_with_its_code(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, told: str
) -> None:
    """Each error of the tree ends with its exit code, in a group too; what is not in the tree is our own fault, 70."""

    @click.command()
    def failing() -> None:
        raise raised

    monkeypatch.setattr("ditad.cli.lists.gaps", failing)
    result = run("gaps")
    assert code == result.exit_code
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_a_traceback_only_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """`DITAD_DEBUG` shows where; the exit code stays."""

    @click.command()
    def failing() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ditad.cli.lists.gaps", failing)
    result = run("gaps", env={"DITAD_DEBUG": "1"})
    assert 70 == result.exit_code
    assert "Traceback" in result.stderr


def test_check_config_says_all_and_is_78(tmp_path: Path) -> None:
    """A wrong file is 78 with its problems on stderr; one that is not there too."""
    wrong = tmp_path / "ditad.toml"
    wrong.write_text('[daemon]\nsokcet = "x"\nlog_level = "loud"\n')
    result = run("check-config", str(wrong))
    assert 78 == result.exit_code
    assert "sokcet" in result.stderr
    assert "log_level" in result.stderr
    assert 78 == run("check-config", str(tmp_path / "none.toml")).exit_code


def test_run_without_settings_says_how_to_write_some(tmp_path: Path) -> None:
    """The daemon does not start without settings, and says what the smallest are."""
    result = process("run", "--config", str(tmp_path / "none.toml"))
    assert 78 == result.returncode
    assert "[[account]]" in result.stderr
