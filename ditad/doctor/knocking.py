"""Opening the journals and asking the running daemon, for `ditad doctor`.

What enters: the state folder, the socket's path, the metrics' address. What leaves: the facts of `judging_machine`.
What holds: the daemon may be running or not; nothing is written; every wait has an end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from ditad.api.client import ApiClient
from ditad.doctor.judging_exchange import Losses
from ditad.doctor.judging_machine import FileFacts, JournalFacts, SocketFacts
from ditad.doctor.looking import ANSWER_S_MAX, file_facts
from ditad.errors import DitadError, JournalDamagedError, JournalError
from ditad.journal import Reader, elsewhere, journal_path

JOURNAL_S_MAX: Final = 30.0
"""Every page of a million events takes 0.6 s of CPU; what is not looked at by then is not called whole."""

STARTED: Final = "ditad_start_timestamp_seconds"
CONNECTS: Final = "ditad_stream_connects_total"
OURS: Final = b"ditad_"
METRICS_BYTES_MAX: Final = 65_536
"""Our metrics name themselves in their first line."""

S_PER_HOUR: Final = 3_600


def journal_facts(folder: Path, account: str, environment: str, *, within_s: float = JOURNAL_S_MAX) -> JournalFacts:
    """Read a journal's head, and every page of it as far as time allows."""
    path = journal_path(folder, account)
    file = file_facts(path)
    if file.mode is not None and not os.access(path, os.R_OK):
        file = FileFacts(path=str(path), mode=file.mode, problem="permission denied")
    if file.mode is None or file.problem:
        return JournalFacts(file=file)
    try:
        with Reader.open(folder, account) as reader:
            problems = reader.integrity_within(within_s)
            return JournalFacts(
                file=file,
                bytes=sum(_bytes(each) for each in path.parent.glob(f"{path.name}*")),
                events=reader.last_n,
                whole=None if problems is None else not problems,
                problems=tuple(f"{path} is damaged: {problem}" for problem in problems or ()),
                damaged=bool(problems),
                looked_s=within_s,
                elsewhere=elsewhere(str(path), reader.environment, environment),
            )
    except JournalError as exc:
        return JournalFacts(
            file=file,
            problems=(str(exc).partition("; stop the daemon")[0],),
            damaged=isinstance(exc, JournalDamagedError),
        )


def _bytes(path: Path) -> int:
    """Measure a file; one that a daemon that ends has taken away meanwhile has none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


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
    """Ask for the metrics; gives why they did not come. It may be anybody who answers: no more is read than it takes."""
    host, port = address
    url = f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"
    try:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S_MAX)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            beginning = await _beginning(response.content)
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        return type(exc).__name__
    return "" if response.status == 200 and OURS in beginning else f"status {response.status}, and not of ditad"


async def _beginning(body: aiohttp.StreamReader) -> bytes:
    beginning = b""
    while OURS not in beginning and len(beginning) < METRICS_BYTES_MAX:
        chunk = await body.readany()
        if not chunk:
            break
        beginning += chunk
    return beginning
