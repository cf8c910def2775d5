"""The verbs that look back, check, copy and change: against a served fake daemon, and on journals as they lie there."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pty
import pwd
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from ditad.api.doors import ConflictError
from ditad.cli.periods import refuse_place
from ditad.cli.verbs import ditad as group
from ditad.errors import JournalNotOursError, UsageError
from ditad.journal import Journal, Reader, journal_path
from tests.api.fake_daemon import FakeAccount, FakeDaemon, record, serving
from tests.benchmarks.long_life import Life
from tests.cli.test_asking import ROOT, ditad
from tests.support.journaled import NAME, journaled
from tests.support.nobody import kept_from_us
from tests.support.running import WAIT_S_MAX, account_settings, settings_file, short_folder

ME = frozenset({os.getuid()})


def account() -> FakeAccount:
    """Make an account with a snapshot."""
    made = FakeAccount()
    made.add(record(1))
    return made


async def asked(socket: Path, door: FakeAccount, *words: str) -> tuple[int, str, str]:
    """Serve a door and run a verb against it."""
    async with serving(FakeDaemon(door), socket, admin_uids=ME):
        ended = await ditad(socket, *words)
    return ended.code, ended.out, ended.err


async def test_at_shows_the_snapshot_of_a_number_or_moment(socket: Path) -> None:
    """Digits are a number, all else a moment; without `--json` it is laid out as `snapshot` does."""
    door = account()
    code, out, err = await asked(socket, door, "at", "12")
    assert (0, "") == (code, err)
    assert out.startswith("main  event_seq 12  ")
    assert ("snapshot_at", None, 12) in door.calls
    code, out, _ = await asked(socket, door, "at", "2026-01-01T00:00:01Z", "--json")
    assert (0, 7) == (code, orjson.loads(out)["event_seq"])
    assert ("snapshot_at", 1_767_225_601_000_000, None) in door.calls


async def test_at_says_how_a_moment_is_written(socket: Path) -> None:
    """A word that is neither is refused, and so is a snapshot that there is not."""
    code, _, err = await asked(socket, account(), "at", "yesterday")
    assert (64, True) == (code, "at: 'yesterday' is no moment" in err)
    code, _, err = await asked(socket, account(), "at", "101")
    assert (64, True) == (code, "no snapshot of event_seq 101" in err)


async def test_diff_lays_out_what_changed(socket: Path) -> None:
    """Figures with their exact difference, positions, divergences, gaps, and how many records lie between."""
    code, out, err = await asked(socket, account(), "diff", "3", "5")
    assert (0, "") == (code, err)
    for words in (
        "a  event_seq 3",
        "k.fees_paid",
        "0.5",
        "reconcile.status",
        "opened",
        "divergence div-1 opened and closed, now healed: capital_vs_wallet",
        "gap gap-1 changed, now open: lost: cut",
        "records between: fill=2,snapshot=3",
    ):
        assert words in out, words
    code, out, _ = await asked(socket, account(), "diff", "3", "5", "--json")
    assert (0, "0.5") == (code, orjson.loads(out)["figures"][0]["difference"])
    code, _, err = await asked(socket, account(), "diff", "3", "soon")
    assert (64, True) == (code, "diff b: 'soon'" in err)


async def test_why_pages_within_one_snapshot(socket: Path) -> None:
    """All pages are asked of the snapshot that the first one is of, and shown as one."""
    door = account()
    code, out, err = await asked(socket, door, "why", "fees_paid", "--limit", "4")
    assert (0, "") == (code, err)
    assert [("why", "fees_paid", None, 0, 4)] == door.calls
    assert "fees_paid = 5, 6 entries" in out
    assert "order_id=1000000000000000001" in out
    code, out, _ = await asked(socket, door, "why", "fees_paid", "--json")
    told = orjson.loads(out)
    assert (0, True, None, [None, 1, 2, 3, 4, 5]) == (
        code,
        told["exact"],
        told["next_after_seq"],
        [item["seq"] for item in told["items"]],
    )


async def test_why_pins_the_snapshot_of_the_first_page(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second page says of which snapshot the first one was."""
    monkeypatch.setattr("ditad.cli.why.PAGE_ROWS", 3)
    monkeypatch.setenv("DITAD_SOCKET", str(socket))
    door = account()
    async with serving(FakeDaemon(door), socket):
        done = await asyncio.to_thread(CliRunner().invoke, group, ["why", "fees_paid", "--json"])
    assert 0 == done.exit_code, done.output
    assert [("why", "fees_paid", None, 0, 3), ("why", "fees_paid", 7, 3, 3)] == door.calls
    assert 6 == len(orjson.loads(done.output)["items"])


async def test_why_names_the_fields_there_are(socket: Path) -> None:
    """A wrong field is wrong usage, answered with the right ones."""
    code, _, err = await asked(socket, account(), "why", "fee")
    assert (64, True) == (code, "there are fees_paid" in err)


async def test_entries_that_do_not_make_the_figure_are_an_alarm(socket: Path) -> None:
    """Should the journal not hold what makes a figure, the exit code says so."""
    door = account()
    door.status = "ERROR"
    code, out, err = await asked(socket, door, "why", "fees_paid")
    assert (65, True, True) == (code, "fees_paid = 6" in out, "ditad verify" in err)


# ---- changing


async def test_audit_asks_now(socket: Path) -> None:
    """The daemon is told to ask; who may not is refused."""
    door = account()
    code, out, err = await asked(socket, door, "audit")
    assert (0, "", [("audit", os.getuid())]) == (code, err, door.calls)
    assert "is being asked" in out
    code, out, _ = await asked(socket, account(), "audit", "--json")
    assert (0, {"account": "main", "asked": True}) == (code, orjson.loads(out))
    async with serving(FakeDaemon(account()), socket):
        ended = await ditad(socket, "audit")
    assert (77, True) == (ended.code, "admin_uids" in ended.err)


async def test_adopt_shows_what_it_would_be(socket: Path) -> None:
    """Both ledgers and their difference are shown before anything is done; the answer says what was."""
    door = account()
    code, out, err = await asked(socket, door, "adopt", "--why", "seen it", "--yes")
    assert (0, [("adopt", os.getuid(), "seen it")]) == (code, door.calls)
    assert "adopted: baseline b-2" in out
    for words in ("capital · wallet", "BTC-USDT SHORT qty", "FET-USDT LONG entry", "-100"):
        assert words in err, words
    code, out, _ = await asked(socket, account(), "adopt", "--why", "x", "--yes", "--json")
    assert (0, await account().adopt(os.getuid(), "x")) == (code, orjson.loads(out))


async def test_adopt_needs_somebody_who_confirms(socket: Path) -> None:
    """Without a terminal and without `--yes` nothing is asked of the daemon; nor without a reason."""
    door = account()
    for words in (("--why", "x"), ("--why", " ", "--yes"), ()):
        code, _, err = await asked(socket, door, "adopt", *words)
        assert 64 == code, words
        assert err.count("\n") == 1, words
    assert [] == door.calls


async def test_adopt_says_what_the_daemon_says(socket: Path) -> None:
    """A refusal of the daemon is its sentence, and no traceback."""
    door = account()
    door.raises = ConflictError("the account does not stand still: try again")
    code, _, err = await asked(socket, door, "adopt", "--why", "x", "--yes")
    assert (77, True) == (code, err.endswith("the account does not stand still: try again\n"))


@pytest.mark.parametrize(("typed", "code", "adopted"), [(b"y\n", 0, True), (b"n\n", 77, False), (b"\n", 77, False)])
async def test_a_person_at_a_terminal_is_asked(socket: Path, typed: bytes, code: int, adopted: bool) -> None:
    """Only a yes adopts; anything else changes nothing."""
    door = account()
    ours, theirs = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "DITAD_SOCKET": str(socket)}
    async with serving(FakeDaemon(door), socket, admin_uids=ME), asyncio.timeout(WAIT_S_MAX):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ditad",
            "adopt",
            "--why",
            "seen",
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environ,
        )
        os.close(theirs)
        os.write(ours, typed)
        assert code == await process.wait()
    os.close(ours)
    assert adopted == bool(door.calls)


# ---- journals as they lie there


@pytest.fixture
async def settings(tmp_path: Path) -> Path:
    """Give a settings file with the journal of a life in its state folder."""
    (tmp_path / "state").mkdir(mode=0o700)
    await journaled(tmp_path / "state", islice(Life().events(), 200), checkpoint_events=80)
    urls = {"rest_url": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:1/swap-market"}
    return settings_file(tmp_path, account_settings(tmp_path, NAME, **urls))


def run(*words: str) -> tuple[int, str, str]:
    """Run a verb in this process, as its process would end."""
    runner = CliRunner()
    done = runner.invoke(group, words)
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("verb", ["replay", "verify"])
async def test_a_sound_journal(settings: Path, verb: str) -> None:
    """What was compared is said in a line, and nothing else: no progress where nobody looks."""
    code, out, err = run(verb, "--config", str(settings))
    assert (0, "") == (code, err)
    assert "main: 200 events lead to" in out
    assert "all as stored" in out
    code, out, _ = run(verb, "--config", str(settings), "--json", "--account", "main")
    assert (0, [], 200) == (code, orjson.loads(out)["problems"], orjson.loads(out)["events"])


@pytest.mark.parametrize("verb", ["replay", "verify"])
async def test_a_journal_that_is_not_what_it_says(settings: Path, verb: str) -> None:
    """The place is named, what to do is said, and the exit code is 65; of a hole as of a wrong digest."""
    folder = settings.parent / "state"
    with sqlite3.connect(journal_path(folder, NAME)) as database:
        database.execute("UPDATE commits SET digest = x'00' WHERE through_n = 104")
    code, out, err = run(verb, "--config", str(settings))
    assert (65, True) == (code, "1 problems" in out)
    assert "events 97 to 104" in err
    assert "restore the last `ditad backup`" in err
    with sqlite3.connect(journal_path(folder, NAME)) as database:
        database.execute("DELETE FROM events WHERE n = 50")
    code, out, err = run(verb, "--config", str(settings), "--json")
    assert (65, True) == (code, "missing" in orjson.loads(out)["problems"][0])
    database.close()


async def test_while_the_daemon_writes(settings: Path) -> None:
    """A journal that is being written is checked as far as it reaches."""
    journal = Journal.open(settings.parent / "state", NAME)
    try:
        code, out, _ = run("verify", "--config", str(settings))
    finally:
        journal.abandon()
    assert (0, True) == (code, "all as stored" in out)


async def test_a_backup_is_a_journal(settings: Path, tmp_path: Path) -> None:
    """The copy is whole and private, can be verified in its place, and nothing is overwritten."""
    out = tmp_path / "copy" / "main.journal"
    out.parent.mkdir()
    code, said, err = run("backup", "--config", str(settings), "--out", str(out))
    assert (0, "") == (code, err)
    assert "200 events of main" in said
    assert 0o600 == out.stat().st_mode & 0o777
    with Reader.open(out.parent, NAME) as copy:
        assert (200, []) == (copy.last_n, copy.integrity())
    code, _, err = run("backup", "--config", str(settings), "--out", str(out))
    assert (64, True) == (code, "nothing is overwritten" in err)
    code, _, err = run("backup", "--config", str(settings), "--out", str(tmp_path / "none" / "x"))
    assert (64, True) == (code, f"--out: the folder {tmp_path}/none does not exist: make it" in err)


@pytest.mark.parametrize("depth", ["x", "deep/x"])
def test_a_place_that_others_keep_to_themselves(depth: str) -> None:
    """Who may not write there, or not even look, is told so at once, and not of a disk that has failed."""
    folder = short_folder()
    try:
        with kept_from_us(folder), pytest.raises(UsageError, match="this user may not write into"):
            refuse_place(folder / depth)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
async def shown() -> AsyncIterator[Path]:
    """Give a settings file that everybody may read, with a journal that only its owner may."""
    folder = short_folder()
    folder.chmod(0o755)
    (folder / "state").mkdir(mode=0o700)
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    await journaled(folder / "state", islice(Life().events(), 20), checkpoint_events=80)
    urls = {"rest_url": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:1/swap-market"}
    path = settings_file(folder, account_settings(folder, NAME, **urls))
    path.chmod(0o644)
    yield path
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "verb",
    [
        ("replay", "--jobs", "1"),
        ("verify", "--jobs", "1"),
        ("backup", "--out"),
        ("export", "--format", "csv", "--out"),
        pytest.param(
            ("report", "--out"),
            marks=pytest.mark.skipif(
                importlib.util.find_spec("jinja2") is None, reason="the extra [report] is missing"
            ),
        ),
    ],
    ids=lambda verb: verb[0],
)
async def test_a_journal_that_is_somebody_elses(shown: Path, verb: tuple[str, ...]) -> None:
    """Whoever may not look into the state folder is told whose it is, and who may; it is no fault of ours."""
    state = shown.parent / "state"

    def words(name: str) -> tuple[str, ...]:
        place = shown.parent if verb[0] == "backup" else shown.parent / "open"
        out = (str(place / name),) if verb[-1] == "--out" else ()
        return (*verb, *out, "--config", str(shown))

    owner = pwd.getpwuid(state.stat().st_uid).pw_name
    run(*words("ours"))  # what is loaded late is loaded now, while it may be read
    with kept_from_us(state):
        code, _, err = run(*words("theirs"))
    expected = f"ditad: {state / 'main.journal'} belongs to {owner}: run it as root or as that user\n"
    assert (77, expected) == (code, err)


def test_a_journal_whose_owner_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that the machine knows no name of is told by number; a file that is shown and closed is not ours either."""
    journal_path(tmp_path, NAME).mkdir()  # which SQLite cannot open either

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(JournalNotOursError, match=f"belongs to uid {os.getuid()}:"):
        Reader.open(tmp_path, NAME)


async def test_words_that_name_no_journal(settings: Path) -> None:
    """An account that the settings do not have, or one of several, is asked for by name."""
    code, _, err = run("verify", "--config", str(settings), "--account", "other")
    assert (64, True) == (code, "they have main" in err)
    urls = {"rest_url": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:1/swap-market"}
    two = [account_settings(settings.parent, name, **urls) for name in ("main", "other")]
    settings_file(settings.parent, *two)
    code, _, err = run("backup", "--config", str(settings), "--out", str(settings.parent / "x"))
    assert (64, True) == (code, "--account (main, other)" in err)
    code, _, err = run("verify", "--config", str(settings))
    assert (74, True) == (code, "there is no journal" in err)
