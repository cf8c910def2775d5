"""From what was seen on the machine to findings: settings, folder, disk, journal, socket, unit, the running daemon.

What enters: facts, as values. What leaves: findings. What holds: what could not be looked at is UNKNOWN, never OK.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ditad.doctor.findings import Finding, error, ok, split, unknown, warn

GIB: Final = 1024**3
MIB: Final = 1024**2
FREE_BYTES_MIN: Final = 64 * MIB
FREE_BYTES_LOW: Final = GIB
FREE_SHARE_LOW: Final = 0.05
FREE_FILES_MIN: Final = 100
"""Below the first (or with no more files to be made) the daemon is about to stop; the others leave time to act."""

OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
RESTARTS_MANY: Final = 3
PROBLEMS_SHOWN: Final = 3
START: Final = "start it: systemctl start ditad, or ditad run"
CHECK_SETTINGS: Final = "see `ditad check-config` and the comments in config/ditad.toml"
EXIT_MEANINGS: Final = {
    "65": "a damaged journal",
    "74": "the disk",
    "75": "a state folder in use",
    "78": "wrong settings",
    "243": "a file of LoadCredential= that cannot be read",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """A file or folder: its `mode` with its kind, `None` where there is none; `problem`: why it cannot be looked at."""

    path: str
    mode: int | None = None
    uid: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFacts:
    """The state folder. `usable`: we may look into it; `creatable`: where it is not there, we could make it.

    `held_by` names who has it: `""` where nobody, `None` where that cannot be seen from here.
    """

    file: FileFacts
    usable: bool
    creatable: bool
    held_by: str | None = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    """What is left of the disk that the state folder is on, or would be; `problem`: why it cannot be looked at."""

    path: str
    free_bytes: int = 0
    all_bytes: int = 0
    free_files: int = 0
    all_files: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFacts:
    """A journal. `whole` is `None` where its pages could not all be looked at within `looked_s`.

    `elsewhere` says that it is of another environment than the settings.
    """

    file: FileFacts
    bytes: int = 0
    events: int = 0
    whole: bool | None = True
    problems: tuple[str, ...] = ()
    damaged: bool = False
    looked_s: float = 0.0
    elsewhere: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFacts:
    """The socket. `version` is the daemon's that answers, `problem` why none does."""

    file: FileFacts
    version: str = ""
    problem: str = ""
    reachable: bool = True


def settings(path: str, problems: Sequence[str], accounts: Sequence[str], file: FileFacts) -> Iterator[Finding]:
    """Say what is wrong with the settings, each problem a line."""
    for problem in problems:
        line, more, _ = problem.partition("\n")
        said, what_to_do = split(line)
        if more:  # an example of several lines stands behind it
            what_to_do += f" what `ditad check-config {path}` shows"
        yield error("settings", said, what_to_do or CHECK_SETTINGS)
    if file.mode is not None and file.mode & OTHERS_WRITE:
        yield warn("settings", f"{path} can be written by others than its owner", f"chmod go-w {path}")
    elif not problems:
        yield ok("settings", f"{path}, accounts {', '.join(accounts)}")


def tell(command: str | None, problems: Sequence[str]) -> Iterator[Finding]:
    """Say whether somebody can be told of divergences and gaps: by a command, or (`None`) by a webhook."""
    for problem in problems:
        said, what_to_do = split(problem)
        yield error("tell", said, what_to_do)
    if not problems:
        yield ok("tell", f"divergences and gaps are told to {command or 'a webhook'}")


def state_folder(facts: FolderFacts) -> Finding:
    """Say whether the state folder is private and there."""
    check, path, mode = "state folder", facts.file.path, facts.file.mode
    if facts.file.problem:
        return unknown(check, f"{path} cannot be looked at ({facts.file.problem})", "run this as root or its owner")
    if mode is None:
        if facts.creatable:
            return ok(check, f"{path} is not there yet, the first start makes it")
        return warn(
            check, f"{path} is not there, and this user cannot make it", f"make it for the daemon's user: {path}"
        )
    if not stat.S_ISDIR(mode):
        return error(check, f"{path} is no folder", "move it away, or set another state_dir")
    if mode & OTHERS:
        return warn(check, f"{path} is open to others than its owner ({mode & 0o777:04o})", f"chmod 700 {path}")
    if not facts.usable:
        return unknown(check, f"{path} belongs to uid {facts.file.uid}", "run this as root or as that user")
    if facts.held_by is None:
        return ok(check, f"{path}; whether a daemon uses it cannot be seen from here")
    return ok(check, f"{path}, in use by {facts.held_by}" if facts.held_by else f"{path}, not in use")


def disk(facts: DiskFacts) -> Finding:
    """Say whether there is room."""
    if facts.problem:
        return unknown("disk", f"{facts.path} cannot be looked at ({facts.problem})", "run this as root or its owner")
    said = f"{_size(facts.free_bytes)} of {_size(facts.all_bytes)} are free on the disk of {facts.path}"
    free = "free space, or set another state_dir"
    if facts.free_bytes < FREE_BYTES_MIN:
        return error("disk", said, free)
    if facts.all_files and facts.free_files < FREE_FILES_MIN:
        return error("disk", f"{facts.free_files} more files can be made on the disk of {facts.path}", free)
    if facts.free_bytes < FREE_BYTES_LOW or facts.free_bytes < facts.all_bytes * FREE_SHARE_LOW:
        return warn("disk", said, f"{free}, before the daemon has to stop")
    return ok("disk", said)


def journal(facts: JournalFacts) -> Finding:
    """Say whether a journal is whole, as far as its file tells."""
    check, path = "journal", facts.file.path
    if facts.file.problem:
        return unknown(check, f"{path} cannot be looked at ({facts.file.problem})", "run this as root or its owner")
    if facts.file.mode is None:
        return ok(check, f"{path} is not there yet, the first start makes it")
    if facts.problems:
        shown = "; ".join(facts.problems[:PROBLEMS_SHOWN])
        more = f"; and {len(facts.problems) - PROBLEMS_SHOWN} more" if len(facts.problems) > PROBLEMS_SHOWN else ""
        advice = "stop the daemon, keep a copy of the file, and restore the last `ditad backup` or ask for help"
        return error(
            check, shown + more, advice if facts.damaged else "see that it can be read, then run `ditad verify`"
        )
    if facts.elsewhere:
        said, what_to_do = split(facts.elsewhere)
        return error(check, said, what_to_do)
    if facts.file.mode & OTHERS:
        return warn(check, f"{path} is open to others than its owner", f"chmod 600 {path}")
    size = f"{path}: {facts.events} events, {_size(facts.bytes)}"
    if facts.whole is None:
        return warn(
            check, f"{size}, not all looked at within {facts.looked_s:g} s", "run `ditad verify`, which takes its time"
        )
    return ok(check, f"{size}, whole")


def socket(facts: SocketFacts, *, our_version: str) -> Finding:
    """Say whether a daemon answers on the socket."""
    check, path, mode = "socket", facts.file.path, facts.file.mode
    if facts.file.problem:
        return unknown(
            check, f"{path} cannot be looked at ({facts.file.problem})", "join the socket's group, or run this as root"
        )
    if mode is None:
        return warn(check, f"there is no {path}: no daemon runs with these settings", START)
    if not stat.S_ISSOCK(mode):
        return error(check, f"{path} is there and is no socket", "remove it or set another socket")
    if not facts.reachable:
        return unknown(check, f"{path} may not be reached by this user", "join the socket's group, or run this as root")
    if facts.problem:
        return warn(check, f"nobody answers on {path} ({facts.problem})", START)
    if mode & stat.S_IWOTH:
        return warn(
            check,
            f"everybody on this machine may ask on {path}",
            "set socket_mode, or SocketMode= of ditad.socket, to 0660",
        )
    if facts.version != our_version:
        return warn(check, f"ditad {facts.version} answers on {path}, this is {our_version}", "restart the daemon")
    return ok(check, f"ditad {facts.version} answers on {path}")


def metrics_port(address: str, problem: str) -> Finding:
    """Say whether the metrics are answered where the settings say."""
    if problem:
        return warn("metrics", f"nobody answers on {address} ({problem})", "see `metrics.not_served` in the log")
    return ok("metrics", f"answered on {address}")


def daemon(account: str, served: Mapping[str, Mapping[str, Any]]) -> Finding:
    """Say how the running daemon judges an account, from its own list."""
    item = served.get(account)
    if item is None:
        return warn("daemon", "the running daemon does not serve this account", "restart it: its settings are older")
    verdict = str(item["verdict"].get("status", "UNKNOWN"))
    if item.get("what_to_do"):
        return error("daemon", "the exchange refuses this account", str(item["what_to_do"]).rstrip("."))
    if not item["ready"]:
        return unknown(
            "daemon",
            "; ".join(item["reasons"]) or "not ready",
            "wait a minute, then see `ditad status` and `ditad gaps`",
        )
    if verdict == "OK":
        return ok("daemon", "the books agree, and a bot may use them")
    make = {"WARN": warn, "ERROR": error}.get(verdict, unknown)
    return make(
        "daemon",
        f"the verdict is {verdict} {item['verdict'].get('worst_field', '')}".rstrip(),
        f"see `ditad {'divergences' if verdict == 'ERROR' else 'status'}`",
    )


def unit(name: str, shown: Mapping[str, str] | None, problem: str = "") -> Finding:
    """Say how systemd has the daemon, from the properties that `systemctl show` gives."""
    if shown is None:
        return unknown("unit", f"systemd says nothing of {name} ({problem})", "run this where systemd runs the daemon")
    active, user = shown.get("ActiveState", ""), shown.get("User", "")
    if shown.get("LoadState") != "loaded":
        return error(
            "unit",
            f"there is no unit {name} ({shown.get('LoadState', '')})",
            "copy it from systemd/, then systemctl daemon-reload",
        )
    if shown.get("NeedDaemonReload") == "yes":
        return warn(
            "unit", f"{name} was changed on the disk since systemd read it", "systemctl daemon-reload, then restart it"
        )
    if active == "failed":
        code = shown.get("ExecMainStatus", "")
        meant = f", {EXIT_MEANINGS[code]}" if code in EXIT_MEANINGS else ""
        said = f"{name} has failed ({shown.get('Result', '')}, exit code {code}{meant})"
        return error(
            "unit", said, f"see journalctl -u {name}, mend it, then systemctl reset-failed {name} and start it"
        )
    if active != "active":
        return warn("unit", f"{name} is {active or 'not active'}", f"systemctl start {name}")
    if user in {"", "root"}:
        return warn("unit", f"{name} runs as root", "give it a user of its own, as systemd/ditad.service does")
    restarts = int(shown.get("NRestarts", "0") or "0")
    if restarts >= RESTARTS_MANY:
        return warn("unit", f"{name} was started again {restarts} times", f"see why: journalctl -u {name} -p warning")
    if shown.get("UnitFileState") not in {"enabled", "static", "linked", "generated"}:
        return warn("unit", f"{name} is active, and not started with the machine", f"systemctl enable {name}")
    return ok("unit", f"{name} is active as {user}")


def closed_to(unit_name: str, user: str, path: str) -> Finding:
    """Say that whoever the unit runs as cannot read a file that the daemon needs."""
    return error(
        "unit files",
        f"{user}, whom {unit_name} runs as, cannot read {path}",
        "give that user's group the right to read it, and to pass its folder, or make it theirs if it holds a secret",
    )


def missing_key(unit_name: str, name: str, path: str) -> Finding:
    """Name a file that systemd would hand over and that is not there, without which it starts nothing."""
    return error(
        "unit keys",
        f"{unit_name} hands over {name}, and there is no {path}",
        f"write it, or, where no account needs it, begin a drop-in (systemctl edit {unit_name}) with an empty LoadCredential=",
    )


def _size(count: int) -> str:
    """Write a number of bytes for a person."""
    size = float(count)
    for word in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {word}" if word in {"B", "KiB"} else f"{size:.1f} {word}"
        size /= 1024
    return f"{size:.1f} TiB"
