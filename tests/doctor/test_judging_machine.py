"""What facts about the machine come to: a table per check, good and bad."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from ditad.doctor import judging_machine as judging
from ditad.doctor.findings import Finding, Status, ok, split
from ditad.doctor.judging_machine import GIB, MIB, DiskFacts, FileFacts, FolderFacts, JournalFacts, SocketFacts

OK, WARN, ERROR, UNKNOWN = Status.OK, Status.WARN, Status.ERROR, Status.UNKNOWN
FILE, FOLDER, SOCKET = stat.S_IFREG, stat.S_IFDIR, stat.S_IFSOCK


def told(finding: Finding) -> str:
    """Give all that a finding says."""
    return f"{finding.said}; {finding.what_to_do}"


@pytest.mark.parametrize(
    ("problems", "mode", "expected", "words"),
    [
        ([], 0o640, [OK], "accounts main, other"),
        ([], 0o664, [WARN], "chmod go-w /etc/x"),
        ([], 0o646, [WARN], "chmod go-w /etc/x"),
        (["[daemon]: a is wrong: write b"], 0o640, [ERROR], "[daemon]: a is wrong; write b"),
        (["a is wrong", "b is\n\nan example"], 0o640, [ERROR, ERROR], "a is wrong; see `ditad check-config`"),
        (
            ["there is none: add at least\n\n[[account]]"],
            0o640,
            [ERROR],
            "add at least what `ditad check-config /etc/x`",
        ),
        (["a is wrong"], 0o666, [ERROR, WARN], "chmod go-w"),
        (["there are no settings at /etc/x: write them"], None, [ERROR], "write them"),
    ],
)
def test_settings(problems: list[str], mode: int | None, expected: list[Status], words: str) -> None:
    """Each problem is a line; a file that others may write is not trusted."""
    file = FileFacts(path="/etc/x", mode=None if mode is None else FILE | mode)
    found = list(judging.settings("/etc/x", problems, ["main", "other"], file))
    assert expected == [one.status for one in found]
    assert words in " ".join(map(told, found))


@pytest.mark.parametrize(
    ("command", "problems", "status", "words"),
    [
        ("/usr/bin/tell-me", [], OK, "told to /usr/bin/tell-me"),
        (None, [], OK, "told to a webhook"),
        (None, ["[tell] the value: is none: write it"], ERROR, "[tell] the value: is none; write it"),
    ],
)
def test_tell(command: str | None, problems: list[str], status: Status, words: str) -> None:
    """Whoever is to be told can be, or it says what to do; of a webhook no address is shown."""
    (found,) = judging.tell(command, problems)
    assert status is found.status
    assert words in told(found)


def folder(mode: int | None, **facts: Any) -> FolderFacts:
    """Make the facts of a state folder."""
    about = {"usable": True, "creatable": True, **facts}
    return FolderFacts(file=FileFacts(path="/var/x", mode=mode, uid=7, problem=about.pop("problem", "")), **about)


@pytest.mark.parametrize(
    ("facts", "status", "words"),
    [
        (folder(FOLDER | 0o700), OK, "not in use"),
        (folder(FOLDER | 0o700, held_by="pid 17"), OK, "in use by pid 17"),
        (folder(FOLDER | 0o700, held_by=None), OK, "whether a daemon uses it cannot be seen from here"),
        (folder(None), OK, "the first start makes it"),
        (folder(None, creatable=False), WARN, "cannot make it"),
        (folder(FOLDER | 0o750), WARN, "chmod 700 /var/x"),
        (folder(FILE | 0o700), ERROR, "no folder"),
        (folder(FOLDER | 0o700, usable=False), UNKNOWN, "uid 7"),
        (folder(None, problem="permission denied"), UNKNOWN, "permission denied"),
    ],
)
def test_state_folder(facts: FolderFacts, status: Status, words: str) -> None:
    """It is private, or will be made; in use is fine."""
    found = judging.state_folder(facts)
    assert status is found.status
    assert words in told(found)


@pytest.mark.parametrize(
    ("free", "whole", "files", "status"),
    [
        (100 * GIB, 200 * GIB, 10**6, OK),
        (judging.FREE_BYTES_LOW, 10 * GIB, 10**6, OK),
        (judging.FREE_BYTES_LOW - 1, 10 * GIB, 10**6, WARN),
        (9 * GIB, 200 * GIB, 10**6, WARN),
        (judging.FREE_BYTES_MIN, 10 * GIB, 10**6, WARN),
        (judging.FREE_BYTES_MIN - 1, 10 * GIB, 10**6, ERROR),
        (0, 500 * MIB, 10**6, ERROR),
        (100 * GIB, 200 * GIB, 99, ERROR),
    ],
)
def test_disk(free: int, whole: int, files: int, status: Status) -> None:
    """There is room for bytes and for files, with time to act before there is none."""
    facts = DiskFacts(path="/var/x", free_bytes=free, all_bytes=whole, free_files=files, all_files=10**7)
    assert status is judging.disk(facts).status


def test_a_disk_that_counts_no_files_has_enough() -> None:
    """Some file systems have no table of them, and say 0 of 0."""
    facts = DiskFacts(path="/x", free_bytes=9 * GIB, all_bytes=10 * GIB, free_files=0, all_files=0)
    assert (OK, "9.0 GiB of 10.0 GiB are free on the disk of /x") == (
        judging.disk(facts).status,
        judging.disk(facts).said,
    )


@pytest.mark.parametrize(
    ("count", "expected"), [(5, "5 B"), (2048, "2 KiB"), (3 * MIB, "3.0 MiB"), (5000 * GIB, "4.9 TiB")]
)
def test_bytes_are_written_for_people(count: int, expected: str) -> None:
    """In the unit that keeps the number short."""
    assert expected == judging._size(count)


def journal(mode: int | None = FILE | 0o600, *, problem: str = "", **facts: Any) -> JournalFacts:
    """Make the facts of a journal."""
    return JournalFacts(file=FileFacts(path="/x.journal", mode=mode, problem=problem), **facts)


@pytest.mark.parametrize(
    ("facts", "status", "words"),
    [
        (journal(events=12, bytes=4096), OK, "12 events, 4 KiB, whole"),
        (journal(None), OK, "the first start makes it"),
        (journal(whole=None, looked_s=10), WARN, "not all looked at within 10 s; run `ditad verify`"),
        (journal(FILE | 0o640), WARN, "chmod 600"),
        (journal(elsewhere="/x was begun on vst: give another name"), ERROR, "begun on vst; give another name"),
        (journal(problems=("page 3 is wrong",), damaged=True), ERROR, "page 3 is wrong; stop the daemon"),
        (journal(problems=tuple("abcde"), damaged=True), ERROR, "a; b; c; and 2 more"),
        (journal(problems=("it has an older schema",)), ERROR, "see that it can be read"),
        (journal(problem="permission denied"), UNKNOWN, "run this as root"),
    ],
)
def test_journal(facts: JournalFacts, status: Status, words: str) -> None:
    """Whole, not yet there, damaged, or not looked at to the end, which is not whole."""
    found = judging.journal(facts)
    assert status is found.status
    assert words in told(found)


def socket(mode: int | None = SOCKET | 0o660, *, unseen: str = "", **facts: Any) -> SocketFacts:
    """Make the facts of a socket."""
    return SocketFacts(file=FileFacts(path="/run/s", mode=mode, problem=unseen), **facts)


@pytest.mark.parametrize(
    ("facts", "status", "words"),
    [
        (socket(version="1.0"), OK, "ditad 1.0 answers"),
        (socket(None), WARN, "there is no /run/s"),
        (socket(problem="connection refused"), WARN, "nobody answers on /run/s (connection refused)"),
        (socket(SOCKET | 0o666, version="1.0"), WARN, "0660"),
        (socket(version="0.9"), WARN, "restart the daemon"),
        (socket(FILE | 0o660), ERROR, "is no socket"),
        (socket(reachable=False), UNKNOWN, "join the socket's group"),
        (socket(unseen="permission denied"), UNKNOWN, "join the socket's group"),
    ],
)
def test_socket(facts: SocketFacts, status: Status, words: str) -> None:
    """Somebody answers who is this ditad; that none runs is worth a warning, not more."""
    found = judging.socket(facts, our_version="1.0")
    assert status is found.status
    assert words in told(found)


def test_metrics_port() -> None:
    """It is answered, or the log says why not."""
    assert [OK, WARN] == [judging.metrics_port("127.0.0.1:1", problem).status for problem in ("", "ClientError")]


def item(status: str = "OK", **more: Any) -> dict[str, Any]:
    """Make what the daemon lists of an account."""
    return {"verdict": {"status": status, "worst_field": "f"}, "ready": True, "reasons": [], "what_to_do": None, **more}


@pytest.mark.parametrize(
    ("listed", "status", "words"),
    [
        (item(), OK, "the books agree"),
        (item("WARN"), WARN, "the verdict is WARN f; see `ditad status`"),
        (item("ERROR"), ERROR, "ditad divergences"),
        (item("UNKNOWN"), UNKNOWN, "UNKNOWN"),
        (item("ODD"), UNKNOWN, "ODD"),
        (item(ready=False, reasons=["gap-1 is open"]), UNKNOWN, "gap-1 is open"),
        (item(ready=False), UNKNOWN, "not ready"),
        (item(ready=False, what_to_do="make a new key."), ERROR, "make a new key"),
        (None, WARN, "restart it"),
    ],
)
def test_daemon(listed: dict[str, Any] | None, status: Status, words: str) -> None:
    """What the running daemon says of an account is said again, with what to do."""
    found = judging.daemon("main", {} if listed is None else {"main": listed})
    assert status is found.status
    assert words in told(found)


SOUND = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "Result": "success",
    "ExecMainStatus": "0",
    "NRestarts": "0",
    "User": "ditad",
}


@pytest.mark.parametrize(
    ("shown", "status", "words"),
    [
        ({}, OK, "active as ditad"),
        ({"LoadState": "not-found"}, ERROR, "no unit ditad.service"),
        ({"NeedDaemonReload": "yes"}, WARN, "daemon-reload"),
        ({"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "78"}, ERROR, "78, wrong settings"),
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "243"},
            ERROR,
            "243, a file of LoadCredential=",
        ),
        ({"ActiveState": "failed", "Result": "signal", "ExecMainStatus": "9"}, ERROR, "(signal, exit code 9)"),
        ({"ActiveState": "inactive"}, WARN, "systemctl start"),
        ({"ActiveState": ""}, WARN, "not active"),
        ({"User": ""}, WARN, "runs as root"),
        ({"NRestarts": "3"}, WARN, "started again 3 times"),
        ({"NRestarts": ""}, OK, "active"),
        ({"UnitFileState": "disabled"}, WARN, "systemctl enable"),
    ],
)
def test_unit(shown: dict[str, str], status: Status, words: str) -> None:
    """The service manager has it, runs it as a user of its own, and starts it with the machine."""
    found = judging.unit("ditad.service", {**SOUND, **shown})
    assert status is found.status
    assert words in told(found)


def test_a_file_that_the_units_user_cannot_read() -> None:
    """It is named with the user: root reads everything, and would not notice."""
    found = judging.closed_to("ditad.service", "ditad", "/etc/x.toml")
    assert (ERROR, "ditad, whom ditad.service runs as, cannot read /etc/x.toml") == (found.status, found.said)


def test_a_key_of_the_unit_that_is_not_there() -> None:
    """Systemd starts nothing without it and names no file, so we do."""
    found = judging.missing_key("ditad.service", "main.api_key", "/etc/x/main.api_key")
    assert (ERROR, True) == (found.status, "there is no /etc/x/main.api_key" in found.said)
    assert "an empty LoadCredential=" in found.what_to_do


def test_without_systemd_nothing_is_known_of_a_unit() -> None:
    """That is not the same as no unit."""
    assert UNKNOWN is judging.unit("ditad.service", None, "no such file").status


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("a is wrong: do b.", ("a is wrong", "do b")),
        ("[daemon]: a: b", ("[daemon]: a", "b")),
        ("only wrong", ("only wrong", "")),
    ],
)
def test_our_sentences_come_apart(sentence: str, expected: tuple[str, str]) -> None:
    """What is wrong stands before the last colon, what to do behind it."""
    assert expected == split(sentence)


def test_bad_news_comes_with_what_to_do() -> None:
    """A finding that is not OK and says nothing to do is our own mistake; a good one needs nothing."""
    assert "main" == ok("disk", "room").of("main").account
    for words in ({"said": ""}, {"said": "full"}):
        with pytest.raises(AssertionError):
            Finding(check="disk", status=WARN, **words)
