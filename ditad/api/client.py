"""The other end of the socket: one question, one answer, or one connection's stream of lines.

What enters: paths and parameters of interfaces.md §3. What leaves: the answers as they came, or an error that says what
to do. What holds: every wait has an end; `following` makes one stream of many connections.
"""

from __future__ import annotations

import grp
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson

from ditad.api.refusals import AnsweredError as AnsweredError  # noqa: PLC0414 - asked for here
from ditad.api.refusals import refusal
from ditad.errors import DaemonUnreachableError, DitadError, UsageError

ANSWER_S_MAX: Final = 35.0
"""Longer than the server takes for anything."""

CONNECT_S_MAX: Final = 5.0
QUIET_S_MAX: Final = 45.0
"""A stream says something every 15 s; three of them missed, and it is taken for dead."""

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
NO_DITAD: Final = "whoever answers on the socket is no ditad: see --socket and $DITAD_SOCKET"
CURSOR_HEADER: Final = "Ditad-After-Seq"
LOST: Final = (aiohttp.ClientError, ConnectionError, TimeoutError, DaemonUnreachableError)


class ApiClient:
    """Asks one daemon; an async context manager."""

    def __init__(self, socket: Path) -> None:
        """Name the unix socket; nothing is opened before the first question."""
        self._path = socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S_MAX, sock_connect=CONNECT_S_MAX)
        # To connect costs next to nothing here, and no question meets a connection that was closed for its idleness.
        connector = aiohttp.UnixConnector(str(self._path), force_close=True)
        self._session = aiohttp.ClientSession("http://ditad", connector=connector, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, path: str, **params: str | int) -> bytes:
        """Get one answer; raises one of `ditad.api.refusals`, `DaemonUnreachableError` where nobody answers."""
        try:
            async with self._open.get(path, params=params) as response:
                body = await response.read()
        except LOST as exc:
            raise self.unreachable(exc) from exc
        if response.status != 200:
            raise refusal(response.status, object_of(body))
        return body

    async def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """Get one answer that is a JSON object; raises as `ask` does."""
        return object_of(await self.ask(path, **params))

    async def send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for a change, with a JSON object; gives the answer, raises as `ask` does."""
        try:
            async with self._open.request(method, path, data=orjson.dumps(body)) as response:
                answer = await response.read()
        except LOST as exc:
            raise self.unreachable(exc) from exc
        if response.status != 200:
            raise refusal(response.status, object_of(answer))
        return object_of(answer)

    async def account(self, named: str | None) -> str:
        """Give the account that is meant: the one named, or (`None`) the only one there is; raises `UsageError`."""
        if named is not None:
            return named
        names = _names(await self.get("/v1/accounts"))
        if len(names) == 1:
            return names[0]
        if not names:
            raise UsageError("the daemon has no account: add one to its settings")
        raise UsageError(f"the daemon has several accounts: name one with --account ({', '.join(names)})")

    def unreachable(self, exc: BaseException) -> DitadError:
        """Say that nobody answers, and what to do."""
        if isinstance(exc, DaemonUnreachableError):
            return exc
        if isinstance(exc, aiohttp.ClientConnectorError) and isinstance(exc.os_error, PermissionError):
            return DaemonUnreachableError(f"you may not reach {self._path}: {_who_may(self._path)}")
        if isinstance(exc, aiohttp.ClientConnectorError):
            why = exc.os_error.strerror or str(exc.os_error)
        else:
            why = "no answer in time" if isinstance(exc, TimeoutError) else "the connection broke"
        return DaemonUnreachableError(
            f"no daemon on {self._path} ({why.lower()}): start it with `systemctl start ditad` or "
            "`ditad run`, or name its socket: --socket or $DITAD_SOCKET"
        )

    @property
    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the client is used outside its `async with`"
        return self._session

    async def lines(self, path: str, params: Mapping[str, str]) -> AsyncGenerator[tuple[str | None, bytes], None]:
        """Give the lines of one stream, each with the cursor header of the answer; raises as `ask` and aiohttp do.

        A first empty line says that the stream is open.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S_MAX, sock_read=QUIET_S_MAX)
        async with self._open.get(path, params=params, timeout=timeout) as response:
            if response.status != 200:
                raise refusal(response.status, object_of(await response.read()))
            cursor = response.headers.get(CURSOR_HEADER)
            yield cursor, b""
            rest = b""
            async for chunk in response.content.iter_any():
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield cursor, line
                if len(rest) > LINE_BYTES_MAX:
                    raise DaemonUnreachableError(f"a line of the stream is longer than {LINE_BYTES_MAX} bytes")
            if rest:
                raise ConnectionResetError("the stream broke off within a line")


def _who_may(path: Path) -> str:
    """Say what opens a socket to its user: its group, as far as its path is shown to us, or root where that is root's."""
    gid = next(gid for gid in map(_group, (path, *path.parents)) if gid is not None)
    try:
        name = grp.getgrgid(gid).gr_name
    except KeyError:
        name = str(gid)
    if gid == 0:
        return "ask as root, whose it is"
    return f"join its group (usermod -aG {name} YOU), and log in again, or start again what asks"


def _group(path: Path) -> int | None:
    try:
        return path.stat().st_gid
    except OSError:
        return None


def _names(accounts: Mapping[str, Any]) -> list[str]:
    """Give the names in a list of accounts; raises `DaemonUnreachableError` where it is no such list."""
    items = accounts.get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) and "account" in item for item in items):
        raise DaemonUnreachableError(NO_DITAD)
    return [str(item["account"]) for item in items]


def object_of(body: bytes) -> dict[str, Any]:
    """Read what a ditad answers; raises `DaemonUnreachableError` where it is somebody else."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise DaemonUnreachableError(NO_DITAD) from exc
    if not isinstance(value, dict):
        raise DaemonUnreachableError(NO_DITAD)
    return value
