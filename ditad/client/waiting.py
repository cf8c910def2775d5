"""The same client for a bot without an event loop: every call returns when it is answered.

What enters and leaves: what `ditad.client.asking` says; nothing is said twice here. What holds: it runs a loop of its
own, in the caller's thread and only while a call waits; a caller that has a loop, or another thread in the middle of a
call, is told what to use instead.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from ditad.client.answers import (
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
from ditad.client.asking import GIVE_UP_S, USABLE_S_MAX, Client, unnoticed
from ditad.client.telling import Amount
from ditad.client.usability import Usability
from ditad.errors import UsageError

Given = TypeVar("Given")
_END: Final = object()


class SyncClient:
    """Asks one daemon about one account; a context manager. Its calls are those of `Client`."""

    def __init__(self, socket: Path | str | None = None, *, account: str | None = None) -> None:
        """Open nothing yet."""
        self._client = Client(socket, account=account)
        self._runner: asyncio.Runner | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        _no_loop()
        self._runner = asyncio.Runner()
        self._wait(self._client.__aenter__())
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            with runner:
                runner.run(self._client.__aexit__(kind, exc, tb))

    def snapshot(self, *, at: datetime | None = None, event_seq: int | None = None) -> Snapshot:
        """Give the account as it is, as it was at a moment, or of a snapshot's number."""
        return self._wait(self._client.snapshot(at=at, event_seq=event_seq))

    def positions(self) -> tuple[PositionPair, ...]:
        """Give every open position as K and as E have it, by symbol and side."""
        return self._wait(self._client.positions())

    def fills(self, *, after_seq: int = 0) -> Iterator[Fill]:
        """Give the fills that stand, oldest first, page by page."""
        return self._drawn(self._client.fills(after_seq=after_seq))

    def income(self, *, after_seq: int = 0) -> Iterator[Income]:
        """Give funding, transfers and other income that stand, oldest first, page by page."""
        return self._drawn(self._client.income(after_seq=after_seq))

    def divergences(self, *, state: str | None = None, after_seq: int = 0) -> Iterator[Divergence]:
        """Give each divergence as it stands, oldest first; `state`: only those that are so (several with commas)."""
        return self._drawn(self._client.divergences(state=state, after_seq=after_seq))

    def gaps(self, *, after_seq: int = 0) -> Iterator[Gap]:
        """Give each gap as it stands, oldest first."""
        return self._drawn(self._client.gaps(after_seq=after_seq))

    def events(
        self,
        *,
        after_seq: int | None = None,
        types: Collection[str] = (),
        give_up_s: float = GIVE_UP_S,
        notice: Callable[[str], None] = unnoticed,
    ) -> Iterator[Record]:
        """Give the records after `after_seq`, then those that come, as `Client.events` does."""
        return self._drawn(self._client.events(after_seq=after_seq, types=types, give_up_s=give_up_s, notice=notice))

    def usable(self, *, only_ok: bool = False, within_s: float = USABLE_S_MAX) -> Usability:
        """Say whether what is published may be used now: true, or false with its reasons."""
        return self._wait(self._client.usable(only_ok=only_ok, within_s=within_s))

    def require_usable(self, *, only_ok: bool = False, within_s: float = USABLE_S_MAX) -> Snapshot:
        """Give the snapshot to trade on; raises `NotUsableError` where `usable` is false."""
        return self._wait(self._client.require_usable(only_ok=only_ok, within_s=within_s))

    def put_slots(self, slots: Sequence[Mapping[str, Any]]) -> SlotsTaken:
        """Tell all positions of the bot, in place of those before; their fields are those of `TradeSlot`."""
        return self._wait(self._client.put_slots(slots))

    def settle(self, settlement_id: str, *, realized_pnl: Amount, fees: Amount = 0) -> SettlementTaken:
        """Tell what a trade came to, net, and its fees, once; the same again changes nothing, so ask again when in doubt."""
        return self._wait(self._client.settle(settlement_id, realized_pnl=realized_pnl, fees=fees))

    # ---- waiting

    def _wait(self, answer: Coroutine[Any, Any, Given]) -> Given:
        """Let our loop run until something is answered."""
        try:
            runner = self._taken()
        except UsageError:
            answer.close()
            raise
        try:
            return runner.run(answer)
        finally:
            self._turn.release()

    def _taken(self) -> asyncio.Runner:
        """Take the loop for this call alone; raises `UsageError` where that cannot be."""
        _no_loop()
        if self._runner is None:
            raise UsageError("the client is closed: use it inside its `with` block")
        if not self._turn.acquire(blocking=False):
            raise UsageError("another thread is waiting for this client: give each thread one of its own")
        return self._runner

    def _drawn(self, source: AsyncGenerator[Given, None]) -> Iterator[Given]:
        """Draw one after the other, each when it is asked for."""
        try:
            while True:
                given = self._wait(_next(source))
                if given is _END:
                    return
                yield given
        finally:
            if self._runner is not None:  # closing the loop has closed the source too
                self._wait(source.aclose())


async def _next(source: AsyncGenerator[Given, None]) -> Any:
    return await anext(source, _END)


def _no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError("there is an event loop here, which this client would stop: use `async with Client()`")
