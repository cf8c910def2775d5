"""Looking at a machine that does not show everything."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
from pathlib import Path

import pytest

from ditad.doctor import looking
from ditad.doctor.findings import Status
from ditad.doctor.judging_machine import disk, state_folder
from ditad.doctor.looking import LOCK_NAME, closed_to, disk_facts, folder_facts
from tests.support.nobody import NOBODY
from tests.support.running import short_folder


def test_a_folder_that_is_hidden_from_us_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody without rights to what is above it learns that, and nothing of another disk."""

    def refused(_: Path, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refused)
    for finding in (state_folder(folder_facts(tmp_path / "state")), disk(disk_facts(tmp_path / "state"))):
        assert (Status.UNKNOWN, True) == (finding.status, "cannot be looked at (permission denied)" in finding.said)
        assert "run this as root or its owner" == finding.what_to_do


@pytest.mark.parametrize(
    ("pid", "lines", "own", "alive", "expected"),
    [
        ("17", ["FLOCK {place} 17"], True, True, "pid 17"),
        ("17", ["FLOCK {place} 99"], False, False, "pid 17"),
        ("x", ["FLOCK {place} 99"], True, False, "a daemon"),
        ("17", ["FLOCK 00:2a:{inode} 17"], True, True, "pid 17"),
        ("17", ["FLOCK 00:2a:{inode} 18"], True, False, None),
        ("17", ["POSIX {place} 17", "FLOCK 00:2a:9{inode} 17", ""], True, False, ""),
        ("17", [], True, True, None),
        ("17", [], False, False, None),
        ("", [], True, False, ""),
    ],
    ids=[
        "as stat has it",
        "in a container",
        "a pid that is none",
        "on an overlay",
        "alike and not known",
        "others",
        "it lives",
        "hidden",
        "empty",
    ],
)
def test_who_holds_the_state_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pid: str,
    lines: list[str],
    own: bool,
    alive: bool,
    expected: str | None,
) -> None:
    """By device and inode, or by the inode and the pid where an overlay hides the device; nobody only where all is seen."""
    lock, namespace = tmp_path / LOCK_NAME, tmp_path / "ns"
    lock.write_text(f"{pid}\n")
    found = lock.stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    told = [line.format(place=place, inode=found.st_ino).split() for line in lines]
    rows = [f"1: {row[0]}  ADVISORY  WRITE {row[2]} {row[1]} 0 EOF\n" if row else "\n" for row in told]
    (tmp_path / "locks").write_text("".join(rows))
    namespace.symlink_to("pid:[4026531836]" if own else "pid:[4026532999]")
    if alive:
        (tmp_path / pid).mkdir()
    monkeypatch.setattr(looking, "LOCKS", tmp_path / "locks")
    monkeypatch.setattr(looking, "PID_NAMESPACE", namespace)
    monkeypatch.setattr(looking, "PROCESSES", tmp_path)
    assert expected == folder_facts(tmp_path).held_by


def test_a_lock_of_this_process_is_seen(tmp_path: Path) -> None:
    """The kernel's list is read as this kernel writes it; without the file nobody was ever there."""
    assert "" == folder_facts(tmp_path).held_by
    lock = tmp_path / LOCK_NAME
    lock.write_text(f"{os.getpid()}\n")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert f"pid {os.getpid()}" == folder_facts(tmp_path).held_by


def test_without_the_list_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not show its locks does not say that there are none."""
    (tmp_path / LOCK_NAME).write_text("17\n")
    monkeypatch.setattr(looking, "LOCKS", tmp_path / "none")
    assert None is folder_facts(tmp_path).held_by


@pytest.mark.skipif(os.getuid() != 0, reason="only root can try as somebody else")
async def test_what_a_user_cannot_read_is_tried_as_that_user() -> None:
    """Modes, groups and the folders above count, as for the daemon; what is not there is not closed."""
    folder, user = short_folder(), pwd.getpwuid(NOBODY).pw_name
    try:
        folder.chmod(0o755)
        shut, open_, hidden = folder / "shut", folder / "open", folder / "private" / "open"
        hidden.parent.mkdir(mode=0o700)
        for path, mode in ((shut, 0o600), (open_, 0o644), (hidden, 0o644)):
            path.touch()
            path.chmod(mode)
        assert [shut, hidden] == await closed_to(user, "", [shut, open_, hidden, folder / "none"])
        shut.chmod(0o640)
        assert [] == await closed_to(user, "root", [shut])
        assert [] == await closed_to(user, "", [])
    finally:
        shutil.rmtree(folder)


async def test_of_whom_we_cannot_be_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that there is not, and anybody else where we are not root."""
    (tmp_path / "x").touch(mode=0o600)
    assert [] == await closed_to("nobody-of-this-name", "", [tmp_path / "x"])
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    assert [] == await closed_to(pwd.getpwuid(os.getuid()).pw_name, "", [tmp_path / "x"])
