"""Asks the daemon, round after round: its accounts, one account's snapshot and lists, the metrics, and what was before.

What enters: which account, and the `seq` from which on divergences and gaps are news. What leaves: one `Answers` a round, or an
error that says why there is none; figures of the past, one by one. What holds: a round has an end, and so has all that
is asked about the past.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from ditad.api.client import AnsweredError, ApiClient
from ditad.clock import US_PER_S, Clock
from ditad.tui import equity
from ditad.tui.health import health_of
from ditad.tui.seen import DIVERGENCES_MAX, GAPS_MAX, Answers, Row, first_shown, points_of

ROUND_S_MAX: Final = 5.0
"""A daemon that takes longer for a round is taken for gone: behind a socket that systemd holds, nobody may answer."""

HISTORY_S_MAX: Final = 60.0
"""So long the past is asked about at most, most moments of which take milliseconds."""

WINDOW: Final = 1_000
"""Records behind the newest one in which the last divergences are looked for first, then ever more."""

PAGE_ROWS: Final = 1_000


class Watch(Protocol):
    """What the screen needs of whoever asks the daemon."""

    async def round(self, wanted: str | None, after_seq: int) -> Answers:
        """Ask everything once; raises `DitadError` or `TimeoutError`."""

    def past(self, account: str, now: datetime) -> AsyncGenerator[tuple[int, Decimal], None]:
        """Give K's equity of the last hours, the newest first, each with its step."""

    def now(self) -> datetime:
        """Give the wall's time."""


class DaemonWatch:
    """Asks a daemon on its socket."""

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def now(self) -> datetime:
        """Give the wall's time."""
        return datetime.fromtimestamp(self._clock.now_us() / US_PER_S, UTC)

    async def round(self, wanted: str | None, after_seq: int) -> Answers:
        """Ask everything once; a journal shorter than `after_seq` is another one, and is read anew."""
        async with asyncio.timeout(ROUND_S_MAX):
            accounts = tuple((await self._client.get("/v1/accounts"))["items"])
            name = first_shown(accounts, wanted)
            text, told_at = (await self._client.ask("/v1/metrics")).decode(), self.now()
            if name is None:
                return Answers(at=self.now(), at_mono=self._clock.mono_s(), accounts=accounts, account=None)
            item = next(one for one in accounts if one["account"] == name)
            served, path, newest = bool(item["served"]), f"/v1/accounts/{name}", int(item["seq"])
            if name != wanted or newest < after_seq:
                after_seq = 0
            news = served and newest > after_seq
            return Answers(
                at=self.now(),
                at_mono=self._clock.mono_s(),
                accounts=accounts,
                account=name,
                snapshot=await self._snapshot(path) if served else None,
                health=health_of(text, name, told_at),
                divergences=await self._list(f"{path}/divergences", after_seq, newest, DIVERGENCES_MAX) if news else (),
                gaps=await self._list(f"{path}/gaps", after_seq, newest, GAPS_MAX) if news else (),
            )

    async def _snapshot(self, path: str, **params: str) -> Row | None:
        try:
            return await self._client.get(f"{path}/snapshot", **params)
        except AnsweredError as exc:
            if exc.code in {"unavailable", "not_found"}:
                return None
            raise

    async def _list(self, path: str, after_seq: int, newest: int, most: int) -> tuple[Row, ...]:
        """Give what is news after a `seq`; after none, the newest `most`, looked for further and further back."""
        if after_seq:
            return await self._after(path, after_seq)
        window = WINDOW
        while True:
            found = await self._after(path, max(0, newest - window))
            if len(found) >= most or window >= newest:
                return found[-most:]
            window *= 8

    async def _after(self, path: str, after_seq: int) -> tuple[Row, ...]:
        rows: list[dict[str, Any]] = []
        cursor: int | None = after_seq
        while cursor is not None:
            page = await self._client.get(path, after_seq=cursor, limit=PAGE_ROWS)
            rows += page["items"]
            cursor = page["next_after_seq"]
        return tuple(rows)

    async def past(self, account: str, now: datetime) -> AsyncGenerator[tuple[int, Decimal], None]:
        """Ask for the snapshot of one moment after the other, the newest first, until the journal begins."""
        path = f"/v1/accounts/{account}"
        end_mono = self._clock.mono_s() + HISTORY_S_MAX
        for at in equity.moments(now):
            if self._clock.mono_s() > end_mono:
                return
            snapshot = await self._snapshot(path, at=f"{at:%Y-%m-%dT%H:%M:%S}Z")
            if snapshot is None:
                return
            for point in points_of(snapshot, at):
                yield point
