"""The daemon as systemd has it, seen from the checks: what was found so far, its exchange, its settings, its readers.

What enters: a simulated exchange that trades as it is told. What leaves: findings, a line each. What holds: a reader is
there from the first record on, through whatever happens to the daemon.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from ditad.api import following
from ditad.api.client import LOST, ApiClient
from ditad.demo import differences
from ditad.errors import DitadError
from ditad.exchange import Mark, SimulatedExchange, trade
from tests.support.process import pause
from tests.systemd.machine import SOCKET, WAIT_S_MAX, show
from tests.systemd.recipe import ROOT
from tests.systemd.venue import NAME, PORT, NameServer

SETTINGS: Final = Path("/etc/ditad/ditad.toml")
STATE: Final = Path("/var/lib/ditad")
TOLD: Final = STATE / "told"
TELL: Final = ["/bin/sh", "-c", f"cat >> {TOLD}"]
BOT: Final = "bot"

FAST: Final = {
    "interval_s": "2",
    "fills_interval_s": "2",
    "income_interval_s": "2",
    "report_lag_s": "2",
    "fills_lag_s": "1",
    "overlap_s": "10",
    "requests_per_s": "10",
    "backoff_s_min": "0.1",
    "backoff_s_max": "1",
}
"""An audit that does not keep the checks waiting."""


class Checks:
    """What was found so far."""

    def __init__(self) -> None:
        self.failed = 0
        self._began = time.monotonic()

    def that(self, name: str, holds: object, detail: object = "") -> None:
        """Note one finding."""
        self.failed += not holds
        line = f"{'ok' if holds else 'FAIL':4} {time.monotonic() - self._began:6.2f}s  {name}"
        print(f"{line}  [{detail}]" if detail != "" else line, flush=True)  # noqa: T201

    def equal(self, name: str, expected: object, found: object) -> None:
        """Note whether two are the same."""
        self.that(name, expected == found, found if expected == found else f"{found!r}, not {expected!r}")


class Service:
    """The daemon as systemd has it, its exchange, and the reader that was there from the beginning."""

    def __init__(self, checks: Checks, exchange: SimulatedExchange, names: NameServer) -> None:
        self.checks = checks
        self.exchange = exchange
        self.names = names
        self.since: Mark | None = None
        self.seqs: list[int] = []
        self.listen_keys: list[str] = []
        self._seeds = iter(range(1, 1_000))

    async def read(self) -> None:
        """Read every record from the first, across whatever happens to the daemon."""
        async with ApiClient(SOCKET) as client:
            async for line in following.follow(client, "main", after_seq=0):
                if "seq" in line.value and line.type != "bookmark":
                    self.seqs.append(line.value["seq"])

    async def trade(self, actions: int = 25) -> None:
        """Let the account trade for a second."""
        await trade(self.exchange, "main", actions=actions, seed=next(self._seeds), pause=0.03)

    async def agreed(self) -> dict[str, Any]:
        """Wait until the verdict is OK and K is the exchange's own books; gives the last snapshot, `problems` in it."""
        seen: dict[str, Any] = {"problems": ["it never answered"]}
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S_MAX), ApiClient(SOCKET) as client:
                while seen["problems"]:
                    try:
                        seen = await client.get("/v1/accounts/main/snapshot")
                        seen["problems"] = await self._problems(client, seen)
                    except (DitadError, *LOST) as exc:
                        seen = {"problems": [str(exc)]}
                    await pause(0.2)
        return seen

    async def _problems(self, client: ApiClient, seen: dict[str, Any]) -> list[str]:
        """Say what does not agree; a failed readiness raises."""
        if self.since is not None:
            async with client._open.post("/v1/accounts/main/audit", data=b"{}"):
                await client.get("/v1/accounts/main/readyz")
            found = differences(self.exchange.books_since(self.since), seen)
        else:
            found = [] if seen["baseline"] is not None else ["there is no baseline"]
        status = seen["reconcile"]["status"]
        return found if status == "OK" else [*found, f"{status} {seen['reconcile']['explanations']}"]

    async def restarted(self, before: int) -> bool:
        """Say whether systemd has started the daemon again, and it is ready."""
        state = await show("NRestarts", "ActiveState", "SubState")
        return (state["NRestarts"], state["ActiveState"], state["SubState"]) == (str(before + 1), "active", "running")

    async def restarts(self) -> int:
        """Say how often it was started again by itself."""
        return int((await show("NRestarts"))["NRestarts"])


def write_settings(**changes: str) -> None:
    """Turn the file that the recipe copied into one for the simulated exchange: the same keys, other values."""
    text = (ROOT / "config" / "ditad.toml").read_text()
    custom = f'environment = "custom"\nrest_url = "https://{NAME}:{PORT}"\nws_url = "wss://{NAME}:{PORT}/swap-market"'
    text, count = re.subn(r'^environment = "live".*$', custom, text, flags=re.MULTILINE)
    assert count == 1, "the shipped file is for the live exchange"
    text, count = re.subn(r"^# command = .*$", f"command = {json.dumps(TELL)}", text, flags=re.MULTILINE)
    assert count == 1, "the shipped file has a place for a command"
    for name, value in {**FAST, "bot_uids": f"[{uid_of(BOT)}]", **changes}.items():
        text, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        assert count == 1, f"{name} stands in the shipped file once"
    SETTINGS.write_text(text)


def uid_of(user: str) -> int:
    """Look a user up."""
    found = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines()]
    return next(int(fields[2]) for fields in found if fields[0] == user)


async def status_says(words: str) -> bool:
    """Say whether some words stand in STATUS=."""
    return words in (await show("StatusText"))["StatusText"]


@asynccontextmanager
async def knocking() -> AsyncIterator[list[str]]:
    """Connect again and again until the end of the block; gives what refused to take a connection."""
    refused: list[str] = []
    over = asyncio.Event()

    async def knock() -> None:
        while not over.is_set():
            try:
                _, writer = await asyncio.open_unix_connection(str(SOCKET))
                writer.close()
            except OSError as exc:
                refused.append(type(exc).__name__)
            await pause(0.002)

    async with asyncio.TaskGroup() as group:
        group.create_task(knock())
        try:
            yield refused
        finally:
            over.set()


@asynccontextmanager
async def slow_reader() -> AsyncIterator[None]:
    """Ask for all records and read none."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(SOCKET))
        peer.sendall(b"GET /v1/accounts/main/events?after_seq=0&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        yield
