"""What the socket needs of the daemon, declared by the one who needs it, and the errors a door may answer with.

What enters: requests that were parsed and permitted. What leaves: JSON bytes and records, as they stand.
What holds: everything synchronous here is quick and reads one moment; everything awaited may take its time and is
bounded by the server. Any `DitadError` a door raises becomes an answer: `UsageError` 400, `RefusedError` 403,
`ConflictError` 409, `GoneError` 410, `UnavailableError` and all others 503.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from ditad.errors import DitadError, RefusedError
from ditad.hub import Hub
from ditad.records import Record, RecordType


class GoneError(RefusedError):
    """What was asked for is older than what is kept; `oldest` is the first `seq` there is."""

    def __init__(self, oldest: int) -> None:
        """Say from where on it can be had."""
        self.oldest = oldest
        super().__init__(f"the oldest record kept is {oldest}: ask with after_seq={oldest - 1} or 0")


class ConflictError(RefusedError):
    """The account's present state does not allow it."""


class UnavailableError(DitadError):
    """It cannot be done at this moment; asking later may help."""

    exit_code = 69


class AccountDoor(Protocol):
    """One account as the socket sees it."""

    @property
    def name(self) -> str:
        """Its name in the settings."""

    @property
    def hub(self) -> Hub:
        """Its newest records. `publish` and a new `snapshot` happen in one synchronous piece."""

    def snapshot(self) -> bytes | None:
        """Give the present snapshot as a JSON object, that of the record `hub.newest_seq`; `None` before any."""

    def not_ready(self) -> tuple[str, ...]:
        """Say why it cannot be trusted to answer fully, one sentence each; empty when ready."""

    def verdict(self) -> Mapping[str, object]:
        """Give what `/v1/accounts` shows: `status`, `worst_field`, `capital`, `source`, `usable` and more; plain JSON."""

    async def snapshot_at(self, *, at_us: int | None, event_seq: int | None) -> bytes | None:
        """Give the snapshot as it was at a moment, or of a number (one is given); `None`: there is none such."""

    async def why(
        self, field: str, *, event_seq: int | None, after_seq: int, limit: int
    ) -> Mapping[str, object] | None:
        """Give a page of the entries that make a figure, plain JSON; `None`: there is no such snapshot.

        Raises `UsageError` naming the figures there are.
        """

    async def difference(
        self, a: tuple[int | None, int | None], b: tuple[int | None, int | None]
    ) -> Mapping[str, object] | None:
        """Give what changed between two snapshots, each by moment or number as `snapshot_at` has them, plain JSON."""

    async def current_records(self, kind: RecordType, *, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Give `(seq, NDJSON line)` of the records nothing has superseded, oldest first."""

    def history(self, after_seq: int) -> AsyncIterator[Record]:
        """Give records after `after_seq` from the journal, without holes, oldest first, as far as it reaches now.

        An async generator is closed wherever the reader stops. The first step raises `GoneError` where the record `after_seq + 1` is not kept.
        """

    async def seq_at(self, at_us: int) -> int:
        """Give a `seq` not later than this moment, the nearer the better (a checkpoint's will do; 0: none)."""

    async def audit(self, uid: int) -> None:
        """Ask the exchange now."""

    async def adopt(self, uid: int, why: str) -> Mapping[str, object]:
        """Accept E as the new baseline; gives what was adopted, plain JSON."""

    async def put_slots(self, uid: int, slots: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
        """Take the bot's positions (decimals as text, or int); checks `bot_uids`. Gives what was taken, plain JSON."""

    async def settle(self, uid: int, settlement: Mapping[str, object]) -> Mapping[str, object]:
        """Take one settlement of the bot (decimals as text, or int); checks `bot_uids`. Gives what was taken."""


class DaemonDoor(Protocol):
    """The daemon as the socket sees it."""

    @property
    def version(self) -> str:
        """The version of the package."""

    @property
    def accounts(self) -> Mapping[str, AccountDoor]:
        """The accounts that are served, by name."""

    def metrics(self) -> bytes:
        """Give the metrics as Prometheus text."""

    def refused(self) -> Mapping[str, str]:
        """Give the accounts that are not served, and exactly what to do about each."""
