"""The stream of an account as one piece, across slow reading, broken connections and restarts of the daemon.

What enters: where to begin. What leaves: lines, each record after the beginning once and in order, or an error. What
holds: what was missed while away is asked for again by the last `seq` seen; a hole that asking again does not close
raises `GapError`; every wait has an end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from ditad.api import refusals
from ditad.api.client import LOST, NO_DITAD, ApiClient, object_of
from ditad.api.refusals import AnsweredError, ConflictError, GoneError
from ditad.errors import DaemonUnreachableError

BACKOFF_S_MIN: Final = 0.1
BACKOFF_S_MAX: Final = 5.0
GIVE_UP_S: Final = 600.0
"""How long a daemon that went away is looked for."""

DROPPED_MAX: Final = 3
"""How often in a row the daemon may drop a reader that got nothing in between; then it does not have what it dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLine:
    """One line of the stream: its text as it came, and the object it holds."""

    text: bytes
    value: dict[str, Any]

    @classmethod
    def of(cls, text: bytes) -> StreamLine:
        """Read a line; raises `DaemonUnreachableError` where it is none of a ditad's stream."""
        value = object_of(text)
        numbers = ("from", "to") if value.get("type") == "dropped" else ("seq",)
        if not isinstance(value.get("type"), str) or any(type(value.get(name)) is not int for name in numbers):
            raise DaemonUnreachableError(NO_DITAD)
        return cls(text=text, value=value)

    @property
    def type(self) -> str:
        """The record's type, or `bookmark`."""
        return str(self.value["type"])

    def number(self, name: str) -> int:
        """Give a number that a line of its type has."""
        return int(self.value[name])


async def events(
    client: ApiClient,
    account: str,
    *,
    after_seq: int | None = None,
    since: str | None = None,
    types: tuple[str, ...] = (),
) -> AsyncGenerator[StreamLine, None]:
    """Give what is there now and end; raises where the stream breaks before its end."""
    follower = _Follower(client, account, after_seq=after_seq, since=since, types=types)
    try:
        async with aclosing(follower.once(follow=False, opened=_nothing)) as lines:
            async for line in lines:
                yield line
    except LOST as exc:
        raise client.unreachable(exc) from exc


async def follow(
    client: ApiClient,
    account: str,
    *,
    after_seq: int | None = None,
    since: str | None = None,
    types: tuple[str, ...] = (),
    notice: Callable[[str], None] = lambda _: None,
    give_up_s: float = GIVE_UP_S,
) -> AsyncGenerator[StreamLine, None]:
    """Give records as they come, for ever; `notice` is told in a sentence when the daemon is lost and regained.

    The first connection must succeed. Later ones are tried again with growing pauses until `give_up_s` have
    passed without a daemon, then `DaemonUnreachableError` is raised. What the daemon refuses is raised at once, and as
    `GapError` where the records behind the last one seen cannot be had any more.
    """
    follower = _Follower(client, account, after_seq=after_seq, since=since, types=types)
    away = _Away(notice, give_up_s)
    while True:
        try:
            async with aclosing(follower.once(follow=True, opened=lambda: away.over(follower.cursor))) as lines:
                async for line in lines:
                    away.progressed()
                    yield line
            lost: BaseException = ConnectionResetError("the daemon ended the stream")
        except (GoneError, ConflictError) as exc:
            behind = after_seq if follower.cursor is None else follower.cursor
            if behind is None:
                raise
            raise refusals.cannot_go_on(behind, exc) from exc
        except AnsweredError as exc:
            if not (exc.passing and follower.connected):
                raise
            lost = exc
        except LOST as exc:
            if not follower.connected:
                raise client.unreachable(exc) from exc
            lost = exc
        if not away.may_try(follower.cursor):
            raise client.unreachable(lost) from lost
        await asyncio.sleep(away.pause_s())


class _Away:
    """The time without a daemon: tells when it begins and ends, and how long to wait before the next try."""

    def __init__(self, notice: Callable[[str], None], give_up_s: float) -> None:
        self._notice = notice
        self._give_up_s = give_up_s
        self._since_mono: float | None = None
        self._pause_s = BACKOFF_S_MIN

    def over(self, cursor: int | None) -> None:
        """Note that a connection stands."""
        if self._since_mono is not None:
            self._since_mono = None
            self._notice(f"the daemon is back: going on {_after(cursor)}")

    def progressed(self) -> None:
        """Note that a line came: the next loss is a new one."""
        self._pause_s = BACKOFF_S_MIN

    def may_try(self, cursor: int | None) -> bool:
        """Note that there is no connection, and say whether it is worth another try."""
        now_mono = asyncio.get_running_loop().time()
        if self._since_mono is None:
            self._since_mono = now_mono
            self._notice(f"lost the daemon {_after(cursor)}: trying again")
        return now_mono - self._since_mono < self._give_up_s

    def pause_s(self) -> float:
        """Give the next pause, longer each time up to a bound."""
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, BACKOFF_S_MAX)
        # Jitter keeps many readers from coming back in one moment; it guards no secret.
        return pause_s * random.uniform(0.5, 1.0)  # noqa: S311


def _after(cursor: int | None) -> str:
    return "from the same moment" if cursor is None else f"after record {cursor}"


def _nothing() -> None:
    pass


class _Follower:
    """Where one reader of the stream stands; `cursor` is the last `seq` it is sure of, `None` before any."""

    def __init__(
        self, client: ApiClient, account: str, *, after_seq: int | None, since: str | None, types: tuple[str, ...]
    ) -> None:
        self._client = client
        self._path = f"/v1/accounts/{account}/events"
        self._start = after_seq
        self._since = since
        self._types = types
        self.cursor: int | None = None
        self.connected = False
        self._dropped = 0

    async def once(self, *, follow: bool, opened: Callable[[], None]) -> AsyncGenerator[StreamLine, None]:
        """Give the lines of one connection, from the cursor on, each record once; `opened` is told when it stands."""
        async with aclosing(self._client.lines(self._path, self._params(follow=follow))) as lines:
            async for header, text in lines:
                if not text:
                    opened()
                    self.connected = True
                    # Since a moment, the server may begin to look earlier: then only a record says where we are.
                    if self.cursor is None and header is not None and self._since is None:
                        self.cursor = int(header)
                    continue
                line = StreamLine.of(text)
                if line.type == "dropped":
                    raise self._dropping(line.number("from"), line.number("to"))
                if self._is_new(line):
                    self._dropped = 0
                    yield line

    def _dropping(self, first: int, last: int) -> Exception:
        """Give what a dropped reader does: ask again for what it has not had, unless that led nowhere before."""
        self._dropped += 1
        if self._dropped >= DROPPED_MAX:
            return refusals.dropped(first, last)
        return ConnectionResetError("read too slowly")

    def _is_new(self, line: StreamLine) -> bool:
        """Move the cursor to a line; raises where records before it are missing, unless a filter makes holes."""
        seq = line.number("seq")
        bookmark = line.type == "bookmark"
        if self.cursor is not None:
            due = self.cursor if bookmark else self.cursor + 1
            if seq > due and not self._types:
                raise refusals.hole(self.cursor + 1, seq if bookmark else seq - 1)
            if seq < due:
                return bookmark
        self.cursor = seq
        return True

    def _params(self, *, follow: bool) -> dict[str, str]:
        params = {"follow": "1"} if follow else {}
        if self._types:
            params["type"] = ",".join(self._types)
        if self.cursor is not None:
            params["after_seq"] = str(self.cursor)
        elif self._since is not None:
            params["since"] = self._since
        elif self._start is not None:
            params["after_seq"] = str(self._start)
        return params
