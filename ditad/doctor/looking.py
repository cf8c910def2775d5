"""Looking at the machine for `ditad doctor`: files, disk, journals, the socket and who answers, systemd.

What enters: paths and names. What leaves: the facts of `judging_machine`. What holds: nothing is written or locked, not
even for a moment, so that a daemon that starts meanwhile is not in the way of us; every wait has an end.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from ditad.api.client import ApiClient
from ditad.doctor.judging_exchange import Losses
from ditad.doctor.judging_machine import DiskFacts, FileFacts, FolderFacts, JournalFacts, SocketFacts
from ditad.errors import DitadError, JournalDamagedError, JournalError
from ditad.journal import Reader, journal_path
from ditad.journal.folder import LOCK_NAME

JOURNAL_S_MAX: Final = 10.0
ANSWER_S_MAX: Final = 5.0
STARTED: Final = "ditad_start_timestamp_seconds"
CONNECTS: Final = "ditad_stream_connects_total"
S_PER_HOUR: Final = 3_600
LOCKS: Final = Path("/proc/locks")
UNIT_PROPERTIES: Final = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "User",
)


def file_facts(path: Path) -> FileFacts:
    """Look at a path."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return FileFacts(path=str(path))
    except OSError as exc:
        return FileFacts(path=str(path), problem=(exc.strerror or "it failed").lower())
    return FileFacts(path=str(path), mode=found.st_mode, uid=found.st_uid)


def folder_facts(path: Path) -> FolderFacts:
    """Look at the state folder, and at who holds it."""
    return FolderFacts(
        file=file_facts(path),
        usable=os.access(path, os.R_OK | os.X_OK),
        creatable=os.access(_nearest(path), os.W_OK | os.X_OK),
        held_by=_holder(path / LOCK_NAME),
    )


def _nearest(path: Path) -> Path:
    """Give the nearest folder above a path, or itself, that is there."""
    return next((each for each in (path, *path.parents) if each.is_dir()), Path("/"))


def _holder(lock: Path) -> str:
    """Find in the kernel's list of locks who has the state folder; `""` where nobody, or nobody that we are shown."""
    try:
        found, locks = lock.stat(), LOCKS.read_text()
        pid = lock.read_text()[:32].strip()
    except OSError:
        return ""
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    held = any(line.split()[1] == "FLOCK" and place in line.split() for line in locks.splitlines() if "FLOCK" in line)
    return f"pid {pid}" if held and pid.isdigit() else "a daemon" if held else ""


def disk_facts(path: Path) -> DiskFacts:
    """Measure the disk that a folder is on, or would be."""
    place = _nearest(path)
    found = os.statvfs(place)
    return DiskFacts(
        path=str(path),
        free_bytes=found.f_bavail * found.f_frsize,
        all_bytes=found.f_blocks * found.f_frsize,
        free_files=found.f_favail,
        all_files=found.f_files,
    )


def journal_facts(folder: Path, account: str, *, within_s: float = JOURNAL_S_MAX) -> JournalFacts:
    """Read a journal's head, and every page of it as far as time allows."""
    path = journal_path(folder, account)
    file = file_facts(path)
    if file.mode is not None and not os.access(path, os.R_OK):
        file = FileFacts(path=str(path), mode=file.mode, problem="permission denied")
    if file.mode is None or file.problem:
        return JournalFacts(file=file)
    try:
        with Reader.open(folder, account) as reader:
            size, problems = path.stat().st_size, reader.integrity_within(within_s)
            return JournalFacts(
                file=file,
                bytes=size,
                events=reader.last_n,
                whole=None if problems is None else not problems,
                problems=tuple(f"{path} is damaged: {problem}" for problem in problems or ()),
                damaged=bool(problems),
                looked_s=within_s,
            )
    except JournalError as exc:
        return JournalFacts(
            file=file,
            problems=(str(exc).partition("; stop the daemon")[0],),
            damaged=isinstance(exc, JournalDamagedError),
        )


async def socket_facts(path: Path) -> tuple[SocketFacts, dict[str, Mapping[str, Any]]]:
    """Ask whoever answers on the socket who they are, and for their accounts."""
    file = file_facts(path)
    if file.mode is None or file.problem:
        return SocketFacts(file=file), {}
    if not os.access(path, os.W_OK):
        return SocketFacts(file=file, reachable=False), {}
    try:
        async with asyncio.timeout(ANSWER_S_MAX), ApiClient(path) as client:
            version = str((await client.get("/v1/version"))["version"])
            accounts = {str(item["account"]): item for item in (await client.get("/v1/accounts"))["items"]}
    except TimeoutError:
        return SocketFacts(file=file, problem=f"no answer within {ANSWER_S_MAX:g} s"), {}
    except DitadError as exc:
        return SocketFacts(file=file, problem=str(exc).partition(": ")[0]), {}
    return SocketFacts(file=file, version=version), accounts


async def stream_losses(path: Path, now_s: float) -> dict[str, Losses]:
    """Find in the metrics of the running daemon how often each account lost its private stream since the start."""
    try:
        async with asyncio.timeout(ANSWER_S_MAX), ApiClient(path) as client:
            text = (await client.ask("/v1/metrics")).decode(errors="replace")
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except (TimeoutError, DitadError, ValueError):
        return {}
    started_s = next((sample.value for sample in samples if sample.name == STARTED), now_s)
    hours = max(0.0, now_s - started_s) / S_PER_HOUR
    return {
        sample.labels["account"]: Losses(count=max(0, int(sample.value) - 1), hours=hours)
        for sample in samples
        if sample.name == CONNECTS
    }


async def metrics_problem(address: tuple[str, int]) -> str:
    """Ask for the metrics; gives why they did not come."""
    host, port = address
    url = f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"
    try:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S_MAX)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        return type(exc).__name__
    return "" if response.status == 200 and b"ditad_" in body else f"status {response.status}, and not of ditad"


async def unit_shown(name: str) -> tuple[dict[str, str] | None, str]:
    """Ask systemd for a unit's properties; gives why it did not say."""
    try:
        process = await asyncio.create_subprocess_exec(
            "systemctl",
            "show",
            f"--property={','.join(UNIT_PROPERTIES)}",
            "--",
            name,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as exc:
        return None, f"systemctl: {(exc.strerror or 'it failed').lower()}"
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None, f"no answer within {time.monotonic() - began_s:.0f} s"
    if process.returncode:
        return None, " ".join(err.decode(errors="replace").split())[:200] or f"exit code {process.returncode}"
    pairs = (line.partition("=") for line in out.decode(errors="replace").splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}, ""
