"""The verbs that ask, against a served fake daemon, each as a process of its own."""

from __future__ import annotations

import asyncio
import grp
import os
import socket as socketlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson
import pytest
from click.testing import CliRunner

from ditad.api.client import ApiClient
from ditad.cli.moments import moment
from ditad.cli.tables import column, table
from ditad.cli.verbs import ditad as group
from ditad.cli.verdicts import worst
from ditad.errors import UsageError
from ditad.hub import Hub
from ditad.records import EPOCH, RecordType
from tests.api.fake_daemon import FakeAccount, FakeDaemon, record, records, serving
from tests.support.nobody import kept_from_us
from tests.support.running import WAIT_S_MAX

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a verb ended."""

    code: int
    out: str
    err: str


async def started(socket: Path, *words: str, out: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
    """Start a verb as a process."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "DITAD_SOCKET": str(socket)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ditad", *words, stdout=out, stderr=asyncio.subprocess.PIPE, env=environ
    )


async def ditad(socket: Path, *words: str) -> Ended:
    """Run a verb to its end."""
    async with asyncio.timeout(WAIT_S_MAX):
        process = await started(socket, *words)
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(code=process.returncode, out=out.decode(), err=err.decode())


def account_with_all_types(name: str = "main") -> FakeAccount:
    """Make an account with three records of each type."""
    account = FakeAccount(name)
    for seq, kind in enumerate([*RecordType, *RecordType, *RecordType], 1):
        account.add(record(seq, kind))
    return account


@pytest.mark.parametrize(
    ("statuses", "code", "word"),
    [
        (("OK",), 0, "OK"),
        (("OK", "WARN"), 1, "WARN"),
        (("UNKNOWN", "WARN"), 3, "UNKNOWN"),
        (("UNKNOWN", "ERROR", "OK"), 2, "ERROR"),
    ],
)
async def test_status_ends_with_the_worst(socket: Path, statuses: tuple[str, ...], code: int, word: str) -> None:
    """Over several accounts ERROR is worse than UNKNOWN, that than WARN, and that than OK."""
    accounts = []
    for place, status in enumerate(statuses):
        account = FakeAccount(f"a{place}")
        account.status = status
        account.add(record(1))
        accounts.append(account)
    async with serving(FakeDaemon(*accounts), socket):
        plain, json = await ditad(socket, "status"), await ditad(socket, "status", "--json")
    assert (code, code) == (plain.code, json.code)
    assert word == orjson.loads(json.out)["status"]
    assert len(statuses) <= len(plain.out.splitlines())


async def test_status_says_why_and_what_to_do(socket: Path) -> None:
    """The line has both ledgers, what is published and how far it is covered; beneath it why, and what to do."""
    account = FakeAccount()
    account.status = "ERROR"
    account.add(record(1))
    async with serving(FakeDaemon(account, refused={"bad": "make a new key"}), socket):
        whole, one = await ditad(socket, "status"), await ditad(socket, "status", "--account", "main")
        other, bad = (
            await ditad(socket, "status", "--account", "nope"),
            await ditad(socket, "status", "--account", "bad"),
        )
    assert (2, 2, 64, 3) == (whole.code, one.code, other.code, bad.code)
    for told in ("K 100.5", "E 100.5", "e_anchored", "coverage live", "MISMATCH|capital_vs_wallet|delta=1"):
        assert told in one.out
    assert "to do: make a new key" in whole.out
    assert "known: main, bad" in other.err


async def test_an_account_that_is_not_ready_is_not_ok(socket: Path) -> None:
    """A verdict of OK does not count while the account itself says that it cannot be trusted."""
    account = account_with_all_types()
    account.unready = ("gap-1 is open",)
    async with serving(FakeDaemon(account), socket):
        result = await ditad(socket, "status")
    assert 3 == result.code
    assert "gap-1 is open" in result.out


async def test_before_any_event_the_status_is_unknown(socket: Path) -> None:
    """Without a snapshot nothing is claimed."""
    async with serving(FakeDaemon(FakeAccount()), socket):
        assert 3 == (await ditad(socket, "status")).code


@pytest.mark.parametrize("verb", ["positions", "fills", "income", "divergences", "gaps"])
async def test_lists_in_both_forms(socket: Path, verb: str) -> None:
    """Without `--json` a list is a plain table with a heading; with it, the answer itself."""
    async with serving(FakeDaemon(account_with_all_types()), socket):
        plain, json = await ditad(socket, verb), await ditad(socket, verb, "--json")
    answer = orjson.loads(json.out)
    assert (0, 0, None) == (plain.code, json.code, answer["next_after_seq"])
    assert 1 + len(answer["items"]) == len(plain.out.splitlines())
    assert "\x1b" not in plain.out


async def test_a_long_list_comes_whole_and_a_limit_holds(socket: Path) -> None:
    """A list of several pages is given to its end; a limit says from where to go on."""
    account = FakeAccount(hub=Hub(5_000, 100_000_000))
    account.add(*records(1, 2_500))
    async with serving(FakeDaemon(account), socket):
        whole = orjson.loads((await ditad(socket, "fills", "--json")).out)
        some = orjson.loads((await ditad(socket, "fills", "--json", "--limit", "1200", "--after-seq", "100")).out)
        plain = await ditad(socket, "fills")
    assert (list(range(1, 2_501)), None) == ([item["seq"] for item in whole["items"]], whole["next_after_seq"])
    assert (list(range(101, 1_301)), 1_300) == ([item["seq"] for item in some["items"]], some["next_after_seq"])
    assert 2_501 == len(plain.out.splitlines())


async def test_several_accounts_must_be_named(socket: Path) -> None:
    """With two accounts, a list does not guess; the sentence names both."""
    async with serving(FakeDaemon(account_with_all_types(), FakeAccount("other")), socket):
        unnamed = await ditad(socket, "fills")
        named = await ditad(socket, "fills", "--account", "main")
        unknown = await ditad(socket, "fills", "--account", "nope")
    assert (64, 0, 64) == (unnamed.code, named.code, unknown.code)
    assert "--account (main, other)" in unnamed.err
    assert "known: main, other" in unknown.err


async def test_snapshot_in_both_forms(socket: Path) -> None:
    """The snapshot is shown, or given as it is."""
    async with serving(FakeDaemon(account_with_all_types()), socket):
        plain, json = await ditad(socket, "snapshot"), await ditad(socket, "snapshot", "--json")
    assert 24 == orjson.loads(json.out)["event_seq"]
    assert "event_seq 24" in plain.out


async def test_events_end_without_follow(socket: Path) -> None:
    """Without `-f` all that is kept comes as lines, or as NDJSON, filtered by type and moment."""
    async with serving(FakeDaemon(account_with_all_types()), socket):
        plain = await ditad(socket, "events")
        json = await ditad(socket, "events", "--json", "--type", "gap", "--type", "fill")
        since = await ditad(socket, "events", "--json", "--since", "2026-01-01T00:00:20Z")
        after = await ditad(socket, "events", "--json", "--after-seq", "22")
    assert 24 == len(plain.out.splitlines())
    assert [1, 4, 9, 12, 17, 20] == [orjson.loads(line)["seq"] for line in json.out.splitlines()]
    assert [21, 22, 23, 24] == [orjson.loads(line)["seq"] for line in since.out.splitlines()]
    assert [23, 24] == [orjson.loads(line)["seq"] for line in after.out.splitlines()]


async def test_events_follow_across_a_restart_of_the_daemon(socket: Path) -> None:
    """`events -f` goes on after the last record it has shown, and says on stderr that it lost and regained the daemon."""
    account = FakeAccount(hub=Hub(5, 1_000_000))
    account.add(*records(1, 2))
    async with asyncio.timeout(WAIT_S_MAX):
        async with serving(FakeDaemon(account), socket):
            process = await started(socket, "events", "-f", "--json", "--after-seq", "0")
            assert process.stdout is not None
            seqs = [orjson.loads(await process.stdout.readline())["seq"] for _ in range(2)]
        for each in records(3, 20):
            account.add(each)
        async with serving(FakeDaemon(account), socket):
            seqs += [orjson.loads(await process.stdout.readline())["seq"] for _ in range(18)]
            process.terminate()
            _, err = await process.communicate()
    assert list(range(1, 21)) == seqs
    assert "lost the daemon after record 2" in err.decode()
    assert "the daemon is back: going on after record 2" in err.decode()


async def test_a_closed_pipe_is_no_failure_worth_words(socket: Path) -> None:
    """When who reads the output leaves, the verb ends quietly, as SIGPIPE would end it."""
    account = FakeAccount(hub=Hub(5_000, 100_000_000))
    account.add(*records(1, 3_000))
    async with serving(FakeDaemon(account), socket), asyncio.timeout(WAIT_S_MAX):
        for words in (("events",), ("events", "-f", "--after-seq", "0"), ("fills",), ("fills", "--json")):
            reading, writing = os.pipe()
            process = await started(socket, *words, out=writing)
            os.close(writing)
            os.close(reading)
            _, err = await process.communicate()
            assert (141, b"") == (process.returncode, err)


def test_of_no_account_nothing_is_known() -> None:
    """Without any account the verdict is UNKNOWN, and so is a word that is none."""
    assert ("UNKNOWN", "UNKNOWN") == (worst([]), worst(["OK", "FINE"]))


def test_decimals_stand_on_their_points() -> None:
    """Numbers line up, what is unknown is a dash, and what came from outside cannot move the cursor."""
    rows: list[dict[str, str | None]] = [
        {"name": "a", "n": "1.25"},
        {"name": "b\x1b[2J", "n": "-100"},
        {"name": None, "n": None},
    ]
    expected = [
        "NAME         N",
        "a         1.25",
        "b?[2J  -100",
        "-         -",
    ]
    assert expected == table((column("name"), column("n")), rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", "1969-12-31T23:50:00.000000Z"),
        ("2d", "1969-12-30T00:00:00.000000Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
        ("2026-01-31 12:00", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00.000000Z"),
    ],
)
def test_a_moment_as_people_write_it(text: str, expected: str) -> None:
    """A span is before now, a moment without a zone is UTC."""
    assert expected == moment(text, EPOCH)


@pytest.mark.parametrize("text", ["", "10", "10 parsecs", "999999999d", "2026-02-30"])
def test_no_moment(text: str) -> None:
    """What is no moment is refused with how one is written."""
    with pytest.raises(UsageError, match="10m"):
        moment(text, EPOCH)


def knocked(path: Path) -> tuple[int, str]:
    """Ask in this process who answers on a socket."""
    done = CliRunner().invoke(group, ["status", "--socket", str(path)])
    return done.exit_code, done.stderr


def left_behind(path: Path) -> None:
    """Make a socket on which nobody listens any more."""
    with socketlib.socket(socketlib.AF_UNIX) as made:
        made.bind(str(path))


def test_a_daemon_that_was_stopped_is_started_as_it_was(socket: Path) -> None:
    """The sentence names the unit and the verb: whoever is refused knows one of them."""
    left_behind(socket)
    code, err = knocked(socket)
    assert (69, True) == (code, "start it with `systemctl start ditad` or `ditad run`" in err)
    assert "connection refused" in err


def test_who_may_not_reach_the_socket_is_told_which_group_may(socket: Path) -> None:
    """The daemon runs; to start it helps nobody."""
    left_behind(socket)
    knocked(socket)  # what is loaded late is loaded now, while it may be read
    others = [each for each in grp.getgrall() if each.gr_gid]
    if os.getuid() == 0:
        os.chown(socket.parent, -1, others[0].gr_gid)
    name = grp.getgrgid(socket.parent.stat().st_gid).gr_name
    with kept_from_us(socket.parent):
        code, err = knocked(socket)
    expected = f"you may not reach {socket}: join its group (usermod -aG {name} YOU), and log in again"
    assert (69, True) == (code, expected in err), err


@pytest.mark.parametrize(("gid", "words"), [(0, "ask as root"), (2**31 - 7, "usermod -aG 2147483641 YOU")])
def test_a_group_that_nobody_can_join_by_name(
    socket: Path, monkeypatch: pytest.MonkeyPatch, gid: int, words: str
) -> None:
    """Nobody is sent into root's group; a group without a name is told by its number."""
    left_behind(socket)
    found = SimpleNamespace(st_gid=gid)
    monkeypatch.setattr(Path, "stat", lambda *_, **__: found)
    key: Any = None
    refused = aiohttp.ClientConnectorError(key, PermissionError(13, "Permission denied"))
    assert words in str(ApiClient(socket).unreachable(refused))
