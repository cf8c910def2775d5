"""The roads to the exchange: HTTP requests and websockets, and nothing that knows what is sent over them.

What enters: URLs and headers. What leaves: what came back, or the errors of the network.
What holds: verified TLS, no redirects, no proxy, no cookies, no websocket pings, every answer and frame bounded; the
libraries' own logs, which would show URLs and with them listen keys, are silent. Whoever simulates an exchange hands
in roads of their own; whosever they are, an account's lead to its configured hosts alone, and there to nothing but the
readings of `calls`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import aiohttp
import yarl
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ditad.bingx.calls import CALLS
from ditad.errors import VenueError

ANSWER_BYTES_MAX = 16 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
CONNECT_S_MAX = 5.0
CONNECTIONS_MAX = 4
OPEN_S_MAX = 10.0
CLOSE_S_MAX = 1.0
"""An exchange that hangs is not waited for longer when we stop."""


# The library's own log would show the URL of the handshake, and with it the listen key.
QUIET = logging.getLogger("ditad.bingx.quiet")
QUIET.disabled = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An HTTP answer, whole, as it came: the body may be compressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http(Protocol):
    """Requests over one pool of connections; use as an async context manager."""

    async def __aenter__(self) -> Self:
        """Open the pool."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool."""

    async def request(self, method: str, url: yarl.URL, headers: Mapping[str, str]) -> Received:
        """Send one request; raises `aiohttp.ClientError`, `TimeoutError` or `OSError` where no answer came."""


class Connection(Protocol):
    """An open websocket. Both raise `ConnectionClosed` of the library once it has ended."""

    async def recv(self) -> bytes | str:
        """Give the next message."""

    async def send(self, message: str) -> None:
        """Send a text message."""

    async def close(self) -> None:
        """End it in order; what has been received can still be read."""


class Network(Protocol):
    """Both roads."""

    def http(self, answer_s: float) -> Http:
        """Prepare a pool whose requests end after so many seconds, one way or the other."""

    def dial(self, url: str, frame_bytes_max: int) -> AbstractAsyncContextManager[Connection]:
        """Prepare a websocket: entered it is open, or raises `OSError`, `TimeoutError` or a `WebSocketException`."""


class Internet:
    """The real roads."""

    def http(self, answer_s: float) -> Http:
        """Prepare a pool of connections."""
        return Pool(answer_s)

    def dial(self, url: str, frame_bytes_max: int) -> AbstractAsyncContextManager[Connection]:
        """Prepare a connection as bingx.md §3 wants it: no compression, no websocket pings, no proxy, bounded frames."""
        return NoRedirect(
            url,
            compression=None,
            ping_interval=None,
            proxy=None,
            max_size=frame_bytes_max,
            open_timeout=OPEN_S_MAX,
            close_timeout=CLOSE_S_MAX,
            user_agent_header="ditad",
            logger=QUIET,
        )


class Confined:
    """Roads to the hosts of one account and nowhere else, whoever made them."""

    def __init__(self, network: Network, *, rest_urls: Iterable[str], ws_url: str) -> None:
        """Lead to these addresses; REST ones have the paths of `calls` below them, the websocket's is taken whole."""
        self._network = network
        self._bases = tuple(yarl.URL(url) for url in rest_urls)
        self._ws_url = ws_url

    def http(self, answer_s: float) -> Http:
        """Prepare a pool of connections."""
        return ConfinedHttp(self._network.http(answer_s), self._bases)

    def dial(self, url: str, frame_bytes_max: int) -> AbstractAsyncContextManager[Connection]:
        """Prepare a connection."""
        if url.partition("?")[0] != self._ws_url:
            raise AssertionError("no stream but the configured one is ever opened")
        return self._network.dial(url, frame_bytes_max)


class ConfinedHttp:
    """Requests that are in `calls`, to configured hosts."""

    def __init__(self, http: Http, bases: tuple[yarl.URL, ...]) -> None:
        self._http = http
        self._allowed = frozenset(
            (method, base.origin(), base.path.rstrip("/") + path) for base in bases for method, path in CALLS
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def request(self, method: str, url: yarl.URL, headers: Mapping[str, str]) -> Received:
        """Send one request, if it is one of those that this program makes."""
        if (method, url.origin(), url.raw_path) not in self._allowed:
            raise AssertionError(f"{method} {url.raw_path} is no call that is ever made of {url.host}")
        return await self._http.request(method, url, headers)


class NoRedirect(connect):
    """A handshake that is not redirected: only configured hosts are talked to."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirection for the failure it is."""
        return exc


class Pool:
    """HTTP over verified TLS, without redirects, cookies or the environment's proxies."""

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._answer_s, connect=min(CONNECT_S_MAX, self._answer_s)),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(self, method: str, url: yarl.URL, headers: Mapping[str, str]) -> Received:
        """Send one request and read its answer to the end; one of more than `ANSWER_BYTES_MAX` is refused."""
        assert self._session is not None, "the pool is used inside its context"
        async with self._session.request(method, url, headers=headers, allow_redirects=False) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise VenueError(f"an answer of more than {ANSWER_BYTES_MAX} bytes.")
            return Received(status=response.status, headers=response.headers, body=bytes(body))


def failure(error: Exception) -> str:
    """Say why a handshake or a socket failed, without a URL."""
    if isinstance(error, InvalidStatus):
        return f"the handshake was answered HTTP {error.response.status_code}"
    if isinstance(error, ConnectionClosed):
        code = error.rcvd.code if error.rcvd is not None else 1006
        return f"closed with {code}"
    return type(error).__name__
