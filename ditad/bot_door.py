"""The bot's door: who may tell its books, each told once, durable before it is answered.

What enters: what a peer says of its slots and settlements, and its uid. What leaves: events through the one pipeline,
and what was taken. What holds: a settlement's id counts once for ever: the newest are in the fold's memory, all older
ones in the journal's archive; one is looked up and journaled at a time, so that two of the same id never meet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from ditad.api.doors import ConflictError, UnavailableError
from ditad.bot import archive_key
from ditad.bot_words import settlement_from, slots_from
from ditad.clock import US_PER_S, Clock
from ditad.codec import decode
from ditad.errors import RefusedError
from ditad.events import BotSettlement, BotSlots
from ditad.money import plain
from ditad.pipeline import Pipeline
from ditad.state import Settled

REPEATED_US_MAX = 60 * US_PER_S
"""Slots that say again what was said are not journaled before this has passed: who polls fills no disk."""


class BotDoor:
    """One account's door for its bot."""

    def __init__(self, *, account: str, bot_uids: tuple[int, ...], pipeline: Pipeline, clock: Clock) -> None:
        """`bot_uids` may tell, by peer credentials; where it is empty whoever reaches the socket may."""
        self._account = account
        self._bot_uids = frozenset(bot_uids)
        self._pipeline = pipeline
        self._clock = clock
        self._settling = asyncio.Lock()

    def admit(self, bot_uids: tuple[int, ...]) -> None:
        """Let these tell from now on, and nobody else; none: whoever reaches the socket."""
        self._bot_uids = frozenset(bot_uids)

    async def put_slots(self, uid: int, said: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
        """Take all positions of the bot in place of those before; raises `UsageError`, `RefusedError`."""
        self._permit(uid)
        slots = slots_from(said)
        self._await_baseline()
        bot, now_us = self._pipeline.projection.state.bot, self._clock.now_us()
        same = bot is not None and bot.slots_us is not None and bot.slots == slots
        unchanged = same and bot is not None and now_us < bot.heard_us + REPEATED_US_MAX
        if not unchanged:
            await self._pipeline.deliver(BotSlots(slots=slots, uid=uid), at_us=now_us)
        bot = self._pipeline.projection.state.bot
        assert bot is not None, "what was delivered is folded"
        return {
            "account": self._account,
            "slots": len(slots),
            "open_positions": bot.ledger.open_positions,
            "unchanged": unchanged,
        }

    async def settle(self, uid: int, said: Mapping[str, object]) -> Mapping[str, object]:
        """Book a settlement once; raises `UsageError`, `RefusedError`, and `ConflictError` for another of its id."""
        self._permit(uid)
        settlement = settlement_from(said, uid)
        self._await_baseline()
        async with self._settling:
            known = self._known(settlement.settlement_id)
            if known is None:
                await self._pipeline.deliver(settlement, at_us=self._clock.now_us())
            booked = self._known(settlement.settlement_id)
        assert booked is not None, "what was delivered is folded"
        self._compare(settlement, booked)
        return {
            "account": self._account,
            "settlement_id": settlement.settlement_id,
            "realized_pnl": plain(booked.realized_pnl),
            "fees": plain(booked.fees),
            "repeated": known is not None,
        }

    def _known(self, settlement_id: str) -> Settled | None:
        """Find a settlement, in memory or in the journal's archive."""
        bot = self._pipeline.projection.state.bot
        if bot is None:
            return None
        found = bot.settlements.get(settlement_id)
        if found is not None:
            return found
        record = self._pipeline.archived(archive_key(settlement_id))
        return None if record is None else decode(Settled, record)

    def _compare(self, settlement: BotSettlement, booked: Settled) -> None:
        if (settlement.realized_pnl, settlement.fees) != (booked.realized_pnl, booked.fees):
            raise ConflictError(
                f"settlement {settlement.settlement_id} was told before, with realized_pnl {plain(booked.realized_pnl)}"
                f" and fees {plain(booked.fees)}: nothing is changed; what is new has an id of its own"
            )

    def _permit(self, uid: int) -> None:
        if self._bot_uids and uid not in self._bot_uids:
            raise RefusedError(f"the bot's books are not for uid {uid}: bot_uids of the account names who may")

    def _await_baseline(self) -> None:
        if not self._pipeline.has_baseline():
            raise UnavailableError(
                f"{self._account} has no baseline yet, so there is nothing to compare with: ask again"
            )
