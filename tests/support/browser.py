"""A real headless Chromium, asked over its own DevTools protocol what a page looks like and what it did.

What enters: a file, a width, light or dark, screen or paper. What leaves: a `Seen`: what the page asked the network for,
what its console said, what an expression gives in it, a picture. What holds: a browser with a profile of its own, that
may reach no host, and is ended by its own process when the block ends; every wait has an end.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect

from tests.support.running import WAIT_S_MAX

PROGRAM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
MISSING = "there is no Chromium here: apt-get install chromium (Debian) lets a real browser look at the page"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-port=0",
)
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
HEIGHT = 900


@dataclass(slots=True)
class Seen:
    """A page that is shown. `requests` are the addresses it wanted, `said` what the console and the parser complained of."""

    _browser: Browser
    _session: str
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def value(self, expression: str) -> Any:
        """Give what an expression is in the page."""
        told = await self._browser.ask(self._session, "Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def picture(self) -> bytes:
        """Give a picture of the whole page, a PNG."""
        told = await self._browser.ask(
            self._session, "Page.captureScreenshot", format="png", captureBeyondViewport=True
        )
        return base64.b64decode(told["data"])

    async def printed(self) -> bytes:
        """Give the page as it is printed, a PDF."""
        told = await self._browser.ask(self._session, "Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(told["data"])

    async def tree(self) -> list[dict[str, Any]]:
        """Give what assistive technology is told of the page."""
        told = await self._browser.ask(self._session, "Accessibility.getFullAXTree")
        return [node for node in told["nodes"] if not node.get("ignored")]


class Browser:
    """A connection to a browser; opens pages one after the other."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Seen] = {}
        self._loaded: dict[str, asyncio.Event] = {}

    async def read(self) -> None:
        """Hear what the browser tells until it closes."""
        async for message in self._connection:
            told = orjson.loads(message)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            else:
                self._hear(told)

    def _hear(self, told: dict[str, Any]) -> None:
        session, method, of = told.get("sessionId", ""), told["method"], told["params"]
        seen = self._pages.get(session)
        if seen is None:
            return
        if method == "Network.requestWillBeSent":
            seen.requests.append(of["request"]["url"])
        elif method == "Log.entryAdded":
            seen.said.append(of["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            seen.said.append(str(of["args"]))
        elif method == "Runtime.exceptionThrown":
            seen.said.append(str(of["exceptionDetails"]))
        elif method == "Page.loadEventFired":
            self._loaded[session].set()

    async def ask(self, session: str, method: str, **words: Any) -> dict[str, Any]:
        """Ask, and give the answer; a refusal fails the test."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": words}
        await self._connection.send(orjson.dumps({**message, "sessionId": session} if session else message).decode())
        async with asyncio.timeout(WAIT_S_MAX):
            told = await self._answers[number]
        assert "error" not in told, (method, told["error"])
        result: dict[str, Any] = told["result"]
        return result

    async def show(self, page: Path, *, width: int, scheme: str = "light", media: str = "") -> Seen:
        """Open a file at a width, in a colour scheme, on the screen or on paper (`media` of print)."""
        target = (await self.ask("", "Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.ask("", "Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        seen = self._pages[session] = Seen(self, session)
        self._loaded[session] = asyncio.Event()
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.ask(session, f"{domain}.enable")
        await self.ask(
            session,
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=HEIGHT,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.ask(session, "Emulation.setEmulatedMedia", media=media, features=features)
        await self.ask(session, "Page.navigate", url=page.as_uri())
        async with asyncio.timeout(WAIT_S_MAX):
            await self._loaded[session].wait()
        return seen


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Run a browser until the block ends."""
    assert PROGRAM is not None, MISSING
    profile = Path(tempfile.mkdtemp(prefix="ditad-"))
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None, "its stderr is read"
        async with asyncio.timeout(WAIT_S_MAX):
            while b"DevTools listening on " not in (line := await process.stderr.readline()):
                assert line, "the browser ended at once"
        async with connect(line.split()[-1].decode(), max_size=MESSAGE_BYTES_MAX, proxy=None) as connection:
            browser = Browser(connection)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(browser.read())
                yield browser
                reading.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        shutil.rmtree(profile, ignore_errors=True)
