"""The verbs `report` and `export`: on journals as they lie there, with a bar at a terminal and nowhere else."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pty
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from ditad.journal import Journal
from tests.cli.test_asking import ROOT
from tests.cli.test_time_travel import run
from tests.support.booked import some_days, untold
from tests.support.journaled import NAME, journaled
from tests.support.running import account_settings, settings_file
from tests.support.story import Story

URLS = {"rest_url": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:1/swap-market"}
FORMATS = ("beancount", "csv", "parquet")
needs = {
    "report": pytest.mark.skipif(importlib.util.find_spec("jinja2") is None, reason="the extra [report] is missing"),
    "parquet": pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="the extra [export] is missing"),
}
VERBS = [
    pytest.param(("report",), marks=needs["report"]),
    ("export", "--format", "beancount"),
    ("export", "--format", "csv"),
    pytest.param(("export", "--format", "parquet"), marks=needs["parquet"]),
]


@pytest.fixture
async def settings(tmp_path: Path) -> Path:
    """Give a settings file with the journal of some days in its state folder."""
    (tmp_path / "state").mkdir(mode=0o700)
    await some_days().kept(tmp_path / "state")
    return settings_file(tmp_path, account_settings(tmp_path, NAME, **URLS))


def private(out: Path) -> bool:
    """Say whether nobody else can read it, and nothing half written lies beside it."""
    return not out.stat().st_mode & 0o077 and not out.with_name(out.name + ".partial").exists()


def counted(said: str) -> list[str]:
    """Give what a line counts, in one order."""
    return sorted(said.removesuffix(" of main").split(", "))


def left(out: Path) -> list[str]:
    """Name what lies there under this name or one that begins with it."""
    return [path.name for path in out.parent.glob(f"{out.name}*")]


@needs["report"]
async def test_report_writes_a_page(settings: Path, tmp_path: Path) -> None:
    """Whole and private; a line says what stands in it, and nothing is said on stderr where nobody looks."""
    out = tmp_path / "main.html"
    code, said, err = run("report", "--config", str(settings), "--out", str(out))
    assert (0, "") == (code, err)
    assert "63 snapshots, 8 fills, 3 incomes, 4 closed trades of main" in said
    assert out.read_text().startswith("<!DOCTYPE html>")
    assert private(out)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("beancount", "1 openings, 11 transactions, 4 balances of main"),
        ("csv", "8 fills, 3 income, 4 trades, 4 days of main"),
        pytest.param("parquet", "8 fills, 3 income, 4 trades, 4 days of main", marks=needs["parquet"]),
    ],
)
async def test_export_writes_books(settings: Path, tmp_path: Path, form: str, said: str) -> None:
    """Whole and private; a line says what stands in them."""
    out = tmp_path / "books"
    code, told, err = run("export", "--config", str(settings), "--format", form, "--out", str(out))
    assert (0, "") == (code, err)
    assert counted(said) == counted(told.strip().partition(": ")[2])
    assert out.is_dir() == (form != "beancount")
    assert private(out)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_period(settings: Path, tmp_path: Path, verb: tuple[str, ...]) -> None:
    """What lies in it is told, up to its end; an end before its beginning is refused."""
    words = (*verb, "--config", str(settings), "--out", str(tmp_path / "out"))
    code, _, err = run(*words, "--since", "2023-03-30", "--until", "2023-03-29")
    assert (64, True) == (code, "--until: it must lie behind --since" in err)
    code, _, err = run(*words, "--since", "yesterday")
    assert (64, True) == (code, "--since: 'yesterday' is no moment" in err)
    for outside in (("--since", "2030-01-01"), ("--until", "2023-03-28T10:00:00Z")):
        code, _, err = run(*words, *outside)
        assert (64, True) == (code, "the ledger of main goes from 2023-03-28T10:40:00.003000Z to" in err), outside
    code, said, _ = run(*words, "--since", "2023-03-29", "--until", "2023-03-30T00:00:00Z")
    assert 0 == code
    assert any(word in said for word in ("2 fills, 1 incomes", "3 transactions", "2 fills"))


@pytest.mark.parametrize("verb", VERBS)
async def test_nothing_is_overwritten(settings: Path, tmp_path: Path, verb: tuple[str, ...]) -> None:
    """A place that is taken, or lies in no folder, is refused before any work is done for it."""
    taken = tmp_path / "taken"
    taken.write_text("mine")
    code, _, err = run(*verb, "--config", str(settings), "--out", str(taken))
    assert (64, True, "mine") == (code, "nothing is overwritten" in err, taken.read_text())
    code, _, err = run(*verb, "--config", str(settings), "--out", str(tmp_path / "none" / "x"))
    assert (64, True) == (code, f"--out: the folder {tmp_path}/none does not exist" in err)


@pytest.mark.parametrize("verb", VERBS)
async def test_what_fails_leaves_nothing_behind(settings: Path, tmp_path: Path, verb: tuple[str, ...]) -> None:
    """Of a journal that cannot be read on there is no half page and no half book."""
    out = tmp_path / "out"
    with (tmp_path / "state" / "main.journal").open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * 60_000)
    code, _, err = run(*verb, "--config", str(settings), "--out", str(out))
    assert 65 == code, err
    assert [] == left(out)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_folder_that_takes_nothing(
    settings: Path, tmp_path: Path, verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that says no is told in a sentence, with the disk's exit code."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    code, _, err = run(*verb, "--config", str(settings), "--out", str(tmp_path / "out"))
    assert (74, True) == (code, "cannot be written (No space left on device)" in err)
    assert [] == left(tmp_path / "out")


@pytest.mark.parametrize("verb", VERBS)
async def test_what_nobody_told_is_said(tmp_path: Path, verb: tuple[str, ...]) -> None:
    """How many amounts are not known stands in the line, or beside it."""
    (tmp_path / "state").mkdir(mode=0o700)
    await untold().kept(tmp_path / "state")
    settings = settings_file(tmp_path, account_settings(tmp_path, NAME, **URLS))
    code, said, err = run(*verb, "--config", str(settings), "--out", str(tmp_path / "out"))
    assert (0, True) == (code, "2 amounts" in said + err)


@pytest.mark.parametrize("verb", VERBS)
async def test_an_account_without_a_ledger(tmp_path: Path, verb: tuple[str, ...]) -> None:
    """It is said what to do."""
    (tmp_path / "state").mkdir(mode=0o700)
    await journaled(tmp_path / "state", Story(baseline=False).events)
    settings = settings_file(tmp_path, account_settings(tmp_path, NAME, **URLS))
    code, _, err = run(*verb, "--config", str(settings), "--out", str(tmp_path / "out"))
    assert (74, True) == (code, "no baseline yet" in err)


@pytest.mark.parametrize("verb", VERBS)
async def test_while_the_daemon_writes(settings: Path, tmp_path: Path, verb: tuple[str, ...]) -> None:
    """A journal that is being written is read as far as it reaches."""
    journal = Journal.open(settings.parent / "state", NAME)
    try:
        code, _, err = run(*verb, "--config", str(settings), "--out", str(tmp_path / "out"))
    finally:
        journal.abandon()
    assert (0, "") == (code, err)


@pytest.mark.parametrize(
    ("verb", "library", "extra"),
    [(("report",), "jinja2", "report"), (("export", "--format", "parquet"), "pyarrow", "export")],
)
async def test_an_extra_that_is_missing(
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: tuple[str, ...],
    library: str,
    extra: str,
) -> None:
    """It is said in a sentence how to install it beside this very program, and ends as `top` without its extra does."""
    found = importlib.util.find_spec

    def without(name: str) -> ModuleSpec | None:
        return None if name == library else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    code, _, err = run(*verb, "--config", str(settings), "--out", str(tmp_path / "out"))
    assert (64, True) == (code, f"{sys.executable} -m pip install 'ditad[{extra}]'" in err)
    assert 1 == len(err.splitlines())


@pytest.mark.parametrize("verb", VERBS)
async def test_at_a_terminal_the_way_is_shown(settings: Path, tmp_path: Path, verb: tuple[str, ...]) -> None:
    """A bar on stderr, up to its end; what stands in the file goes to stdout alone."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}
    words = (*verb, "--config", str(settings), "--out", str(tmp_path / "out"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ditad", *words, stdout=subprocess.PIPE, stderr=theirs, env=environ
    )
    os.close(theirs)
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert 0 == process.returncode, shown
    assert "of main" in out.decode()
    assert "of main" not in shown
    assert "0%" in shown
    assert "100%" in shown


def test_the_daemon_needs_none_of_it() -> None:
    """What serves an account loads neither the template engine nor the tables' library, nor these rooms."""
    program = "import sys, ditad.daemon, ditad.cli.verbs; print([n for n in sys.modules if n.split('.')[0] in {'jinja2', 'pyarrow'} or n.startswith(('ditad.report.', 'ditad.export'))])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "[]" == done.stdout.strip()
