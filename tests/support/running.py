"""A daemon running in the test's own loop against some venue, asked over its real unix socket."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import structlog

from ditad.api.client import ApiClient
from ditad.config import load
from ditad.daemon import Daemon
from ditad.exchange import SimulatedExchange, Timing
from ditad.notify import ServiceManager

WAIT_S_MAX = 120.0
"""No wait in a test is longer; it is a bound for a broken build on a busy machine, not a pace."""

STILL = Timing(mark_ms=86_400_000)
"""A market whose marks stand still. Where they move, balance and positions may be asked at different marks, and until the
next audit the verdict is WARN for the margin, which is true, and comes at any moment on a busy machine.
"""


def account_settings(
    folder: Path,
    name: str,
    *,
    rest_url: str,
    ws_url: str,
    api_key: str = "key-for-tests-only",
    api_secret: str = "secret-for-tests-only",
    more: str = "",
) -> str:
    """Write one account's settings, with credentials in private files."""
    for word, secret in (("api_key", api_key), ("api_secret", api_secret)):
        path = folder / f"{name}.{word}"
        path.touch(mode=0o600)
        path.write_text(secret + "\n")
    return f"""
[[account]]
name = "{name}"
environment = "custom"
rest_url = "{rest_url}"
ws_url = "{ws_url}"
[account.credentials]
api_key_file = "{folder}/{name}.api_key"
api_secret_file = "{folder}/{name}.api_secret"
{more}
"""


def settings_file(folder: Path, *accounts: str) -> Path:
    """Write a settings file whose state and socket are in a folder."""
    path = folder / "ditad.toml"
    path.write_text(f'[daemon]\nstate_dir = "{folder}/state"\nsocket = "{folder}/s"\n' + "".join(accounts))
    return path


def settings_of(folder: Path, exchange: SimulatedExchange, more: str = "", *, account: str = "main") -> Path:
    """Write a settings file for one account of a simulated exchange."""
    key, secret = exchange.credentials[account]
    urls = {"rest_url": exchange.rest_url, "ws_url": exchange.ws_url}
    return settings_file(folder, account_settings(folder, account, **urls, api_key=key, api_secret=secret, more=more))


def short_folder() -> Path:
    """Make a temporary folder whose path leaves room for a unix socket's 107 bytes."""
    return Path(tempfile.mkdtemp(prefix="dd-", dir="/tmp"))


class Running:
    """A running daemon and how to ask it."""

    def __init__(self, daemon: Daemon, client: ApiClient) -> None:
        self.daemon = daemon
        self.client = client

    async def snapshot(self, account: str = "main") -> dict[str, Any]:
        """Ask for the present snapshot, as a bot would."""
        return await self.client.get(f"/v1/accounts/{account}/snapshot")

    async def until(self, holds: Callable[[Mapping[str, Any]], bool], account: str = "main") -> dict[str, Any]:
        """Wait, record by record, for a snapshot that a condition holds of; gives it."""
        hub = self.daemon.accounts[account].hub
        seen: dict[str, Any] = {}
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                with hub.subscribe(0, None) as batches:
                    async for batch in batches:
                        for line in batch.splitlines():
                            record = orjson.loads(line)
                            if record["type"] != "snapshot":
                                continue
                            seen = record["snapshot"]
                            if holds(seen):
                                return seen
        except TimeoutError:
            raise AssertionError(f"never came to hold; last: {orjson.dumps(seen).decode()}") from None
        raise AssertionError("the stream of records ended")

    async def now(self, holds: Callable[[Mapping[str, Any]], bool], account: str = "main") -> dict[str, Any]:
        """Wait for the newest snapshot, not an earlier one, to satisfy a condition; gives it."""
        hub = self.daemon.accounts[account].hub
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                with hub.subscribe(None, None) as batches:
                    while True:
                        snapshot = self.daemon.accounts[account].snapshot()
                        seen = {} if snapshot is None else orjson.loads(snapshot)
                        if seen and holds(seen):
                            return dict(seen)
                        async for _ in batches:
                            break
        except TimeoutError:
            raise AssertionError(f"never came to hold; last: {orjson.dumps(seen).decode()}") from None


class Starter(ServiceManager):
    """Whoever started the daemon, who waits until it answers: its first records come before its socket stands."""

    def __init__(self) -> None:
        super().__init__()
        self.told_ready = asyncio.Event()

    def ready(self, status: str) -> None:
        """Note that the start is over."""
        super().ready(status)
        self.told_ready.set()


@asynccontextmanager
async def running(settings: Path) -> AsyncIterator[Running]:
    """Run a daemon that answers until the block ends, then stop it in order; a failure inside it fails the test."""
    loaded = load(settings, environ={})
    starter = Starter()
    daemon = Daemon(loaded, environ={}, stream=None, log=structlog.get_logger(), manager=starter)
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(daemon.run())
            try:
                await starter.told_ready.wait()  # a start that fails cancels this
                async with ApiClient(loaded.daemon.socket) as client:
                    yield Running(daemon, client)
            finally:
                daemon.stop()
                await task
    finally:
        daemon.release()
