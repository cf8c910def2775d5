"""The client of a bot: what it asks the daemon and tells it, typed, over one unix socket.

What enters: the socket's path and an account's name, both of which may be left out. What leaves: records of
`ditad.client.answers`, or one of the errors drawn in `ditad.api.refusals`. What holds: every wait has an end; nothing is
guessed where nothing was answered. The conversation itself is `ditad.api.client`'s, as for the verbs; it is imported
when the first one begins, because its HTTP library takes longer to import than all else here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from ditad.api.refusals import AnsweredError, InternalError
from ditad.client import usability
from ditad.client.answers import (
    BODIES,
    Answer,
    Divergence,
    Fill,
    Gap,
    Income,
    PositionPair,
    Record,
    SettlementTaken,
    SlotsTaken,
    Snapshot,
)
from ditad.client.reading import AnswerError, read
from ditad.client.telling import Amount, told
from ditad.client.usability import NotUsableError, Usability
from ditad.errors import DaemonUnreachableError, UsageError

if TYPE_CHECKING:
    from ditad.api.client import ApiClient

SOCKET: Final = "/run/ditad/ditad.sock"
USABLE_S_MAX: Final = 5.0
"""Whoever asks whether to trade wants to know soon: no answer within this is a no."""

GIVE_UP_S: Final = 600.0
"""How long the stream's daemon is looked for when it has gone away."""

Item = TypeVar("Item", bound=Answer)


def _wall() -> datetime:
    return datetime.now(UTC)


def unnoticed(_: str) -> None:
    """Take no notice of a daemon that is lost and regained."""


class Client:
    """Asks one daemon about one account; an async context manager.

    `socket` left out is `$DITAD_SOCKET`, else the service's. `account` may be left out where the daemon has one.
    """

    def __init__(
        self, socket: Path | str | None = None, *, account: str | None = None, now: Callable[[], datetime] = _wall
    ) -> None:
        """Open nothing yet; `now` is this machine's clock, by which `valid_until` is judged."""
        self._socket = Path(socket or os.environ.get("DITAD_SOCKET") or SOCKET)
        self._account = account
        self._now = now
        self._api: ApiClient | None = None

    async def __aenter__(self) -> Self:
        from ditad.api.client import ApiClient  # noqa: PLC0415 - as the module says

        self._api = await ApiClient(self._socket).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._api is not None:
            api, self._api = self._api, None
            await api.__aexit__(kind, exc, tb)

    # ---- asking

    async def snapshot(self, *, at: datetime | None = None, event_seq: int | None = None) -> Snapshot:
        """Give the account as it is, as it was at a moment, or of a snapshot's number."""
        params: dict[str, str | int] = {} if event_seq is None else {"event_seq": event_seq}
        if at is not None:
            params["at"] = at.isoformat()
        return read(Snapshot, await self._get("snapshot", **params), "snapshot")

    async def positions(self) -> tuple[PositionPair, ...]:
        """Give every open position as K and as E have it, by symbol and side."""
        page = read(_Page, await self._get("positions"), "positions")
        return tuple(read(PositionPair, item, "positions") for item in page.items)

    def fills(self, *, after_seq: int = 0) -> AsyncGenerator[Fill, None]:
        """Give the fills that stand, oldest first, page by page."""
        return self._listed("fills", Fill, after_seq)

    def income(self, *, after_seq: int = 0) -> AsyncGenerator[Income, None]:
        """Give funding, transfers and other income that stand, oldest first, page by page."""
        return self._listed("income", Income, after_seq)

    def divergences(self, *, state: str | None = None, after_seq: int = 0) -> AsyncGenerator[Divergence, None]:
        """Give each divergence as it stands, oldest first; `state`: only those that are so (several with commas)."""
        return self._listed("divergences", Divergence, after_seq, **({} if state is None else {"state": state}))

    def gaps(self, *, after_seq: int = 0) -> AsyncGenerator[Gap, None]:
        """Give each gap as it stands, oldest first."""
        return self._listed("gaps", Gap, after_seq)

    async def events(
        self,
        *,
        after_seq: int | None = None,
        types: Collection[str] = (),
        give_up_s: float = GIVE_UP_S,
        notice: Callable[[str], None] = unnoticed,
    ) -> AsyncGenerator[Record, None]:
        """Give the records after `after_seq` (0: from the oldest kept; `None`: from the next), then those that come.

        It goes on by itself across restarts of the daemon, each record once and in order; `notice` is told when the
        daemon is lost and regained. Raises `GapError` where records are missing that asking again does not bring, and
        `DaemonUnreachableError` after `give_up_s` without a daemon. A `bookmark` is given after 15 s of quiet, at which
        the reader can be taken up again too. Whoever leaves early closes it, by `contextlib.aclosing`.
        """
        from ditad.api.following import follow  # noqa: PLC0415 - as the module says

        api, name = self._open, await self._name()
        lines = follow(api, name, after_seq=after_seq, types=tuple(types), give_up_s=give_up_s, notice=notice)
        async with aclosing(lines) as stream:
            async for line in stream:
                yield record_of(line.value)

    # ---- whether to trade

    async def usable(self, *, only_ok: bool = False, within_s: float = USABLE_S_MAX) -> Usability:
        """Say whether what is published may be used now: true, or false with its reasons.

        False without a daemon, without an answer within `within_s`, after `valid_until`, and (`only_ok`) unless the
        verdict is OK. What only a person can mend (an unknown account, several without a name) is raised.
        """
        try:
            async with asyncio.timeout(within_s):
                snapshot = await self.snapshot()
        except TimeoutError:
            return usability.unheard(DaemonUnreachableError(f"no answer within {within_s:g} s: see the daemon's log"))
        except (DaemonUnreachableError, AnswerError) as exc:
            return usability.unheard(exc)
        except AnsweredError as exc:
            if exc.passing or isinstance(exc, InternalError):
                return usability.unheard(exc)
            raise
        return usability.judged(snapshot, self._now(), only_ok=only_ok)

    async def require_usable(self, *, only_ok: bool = False, within_s: float = USABLE_S_MAX) -> Snapshot:
        """Give the snapshot to trade on; raises `NotUsableError` where `usable` is false."""
        found = await self.usable(only_ok=only_ok, within_s=within_s)
        if not found or found.snapshot is None:
            raise NotUsableError(found)
        return found.snapshot

    # ---- telling

    async def put_slots(self, slots: Sequence[Mapping[str, Any]]) -> SlotsTaken:
        """Tell all positions of the bot, in place of those before; their fields are those of `TradeSlot`."""
        done = await self._open.send("PUT", await self._path("bot/slots"), {"slots": told(slots, "slots")})
        return read(SlotsTaken, done, "slots")

    async def settle(self, settlement_id: str, *, realized_pnl: Amount, fees: Amount = 0) -> SettlementTaken:
        """Tell what a trade came to, net, and its fees, once; the same again changes nothing, so ask again when in doubt."""
        body = {"settlement_id": settlement_id, "realized_pnl": realized_pnl, "fees": fees}
        done = await self._open.send("POST", await self._path("bot/settlements"), told(body, "settlement"))
        return read(SettlementTaken, done, "settlement")

    # ---- the conversation

    @property
    def _open(self) -> ApiClient:
        if self._api is None:
            raise UsageError("the client is closed: use it inside its `with` block")
        return self._api

    async def _name(self) -> str:
        """Give the account that is meant, which is asked once."""
        if self._account is None:
            self._account = await self._open.account(None)
        return self._account

    async def _path(self, what: str) -> str:
        return f"/v1/accounts/{await self._name()}/{what}"

    async def _get(self, what: str, **params: str | int) -> dict[str, Any]:
        return await self._open.get(await self._path(what), **params)

    async def _listed(self, what: str, kind: type[Item], after_seq: int, **params: str) -> AsyncGenerator[Item, None]:
        cursor: int | None = after_seq
        while cursor is not None:
            page = read(_Page, await self._get(what, after_seq=cursor, **params), what)
            for item in page.items:
                yield read(kind, item, what)
            cursor = page.next_after_seq


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page(Answer):
    """What all lists have; `None`: there is no further page."""

    items: tuple[Any, ...]
    next_after_seq: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line(Answer):
    """What all lines of the stream have."""

    seq: int
    type: str
    ts: datetime


def record_of(value: Mapping[str, Any]) -> Record:
    """Read a line of the stream; raises `AnswerError`."""
    kind = BODIES.get(str(value.get("type")))
    body = None if kind is None else read(kind, value.get(str(value["type"])), str(value["type"]))
    bare = read(_Line, value, "record")
    return Record(seq=bare.seq, type=bare.type, ts=bare.ts, body=body, raw=bare.raw)
