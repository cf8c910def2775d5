"""B: what the bot believes of its account, folded from its slots and settlements.

What enters: what the bot says, on a `Turn`. What leaves: the B ledger, its block of the snapshot, the bot's names of its
trades, and K's net by each way a bot may settle. What holds: B is folded by the one slot-driven ledger there is
(`ditad.slots`); a settlement counts once for its id; B begins with the bot's first word, with K's capital of that
moment. (account.md §8)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from ditad.codec import encode
from ditad.events import BotSettlement, BotSlot, BotSlots
from ditad.money import DERIVED, ZERO, add, exact_sum, plain, plain_or_none, ratio, sub
from ditad.records import rfc3339
from ditad.settle import move, settle_at
from ditad.settle import state as hear
from ditad.slots import AccountProjection, AccountSnapshot, TradeSlot, clamp
from ditad.state import Bot, BotFigure, BotSide, Settled, State
from ditad.turn import Turn, capital_raw, tolerance

SETTLEMENTS_MAX = 256
"""Settlements remembered in memory; older ones are archived in the journal, where the door looks them up."""

READINGS = ("closed_trades", "closed_parts", "all_fills")
"""How a bot may settle: a trade when it ends, each part as it is closed, or every fill."""

WITH_FUNDING = "_with_funding"
ONE = Decimal(1)


# ---- hearing --------------------------------------------------------------------------------------------------------


def fold_slots(turn: Turn, slots: BotSlots) -> None:
    """Take the bot's positions in place of what it said before."""
    bot, now_us = _speaking(turn), turn.event.at_us
    if bot.slots_us is None or is_away(turn, bot):
        bot.sides, bot.fresh = {}, True
    _observe(turn, bot, slots.slots)
    bot.slots, bot.slots_us, bot.heard_us = slots.slots, now_us, now_us
    turn.changed = True


def fold_settlement(turn: Turn, settlement: BotSettlement) -> None:
    """Book a settlement, once for its id."""
    known = turn.state.bot
    if known is not None and settlement.settlement_id in known.settlements:
        return
    bot, now_us = _speaking(turn, settlement.realized_pnl), turn.event.at_us
    ledger = _ledger(turn, bot)
    bot.ledger = ledger.settle(settlement.realized_pnl, settlement.fees)
    bot.settlements[settlement.settlement_id] = Settled(realized_pnl=settlement.realized_pnl, fees=settlement.fees)
    for name in [*bot.settlements][:-SETTLEMENTS_MAX]:
        turn.archived.append((archive_key(name), encode(bot.settlements.pop(name))))
    for figure in bot.money.values():
        hear(figure.twins, bot.ledger.realized_pnl, now_us, turn.settings.bot_window_us)
    bot.settled_us = bot.heard_us = now_us
    turn.changed = True


def archive_key(settlement_id: str) -> str:
    """Name a settlement in the journal's archive; an order's name is a number, so they never meet."""
    return f"settlement:{settlement_id}"


def _speaking(turn: Turn, settled: Decimal = ZERO) -> Bot:
    """Find the bot; with its first word its books begin, with K's capital of that moment.

    Where that word settles what K has just closed, they begin before those trades: the two are twins.
    """
    state = turn.state
    if state.bot is None:
        state.bot = _begun(turn, _just_closed(turn, settled))
    return state.bot


def _begun(turn: Turn, closed: Decimal) -> Bot:
    settings, state = turn.settings, turn.state
    began = clamp(DERIVED.subtract(capital_raw(state), closed), settings.min_capital, settings.max_capital)
    money = {}
    for name, figure in figures_of(state).items():
        anchor = DERIVED.subtract(figure, closed)
        money[name] = BotFigure(anchor=anchor, seen=closed)
        settle_at(money[name].twins, ZERO)
        move(money[name].twins, closed, turn.event.at_us, settings.bot_window_us)
    return Bot(
        since_us=turn.event.at_us,
        heard_us=turn.event.at_us,
        began=began,
        ledger=AccountSnapshot(began, began),
        money=money,
    )


def _just_closed(turn: Turn, settled: Decimal) -> Decimal:
    """Give the net of the last trades, within the window, that a first settlement tells; 0 where it tells no such."""
    since_us = turn.event.at_us - turn.settings.bot_window_us
    ended = [
        (trade.told_us, trade.counted)
        for book in turn.state.trades.books.values()
        for trade in book.ended
        if trade.told_us > since_us
    ]
    total = ZERO
    for _, net in sorted(ended, reverse=True):
        total = DERIVED.add(total, net)
        if settled and abs(DERIVED.subtract(settled, total)) <= tolerance(turn):
            return total
    return ZERO


def rebase(turn: Turn) -> None:
    """Begin B's sums anew with a baseline that was adopted; what it holds and which settlements were heard stays."""
    state = turn.state
    if state.bot is not None:
        before, state.bot = state.bot, _begun(turn, ZERO)
        state.bot.settlements, state.bot.heard_us = before.settlements, before.heard_us
        state.bot.slots, state.bot.slots_us, state.bot.fresh = before.slots, before.slots_us, True
        _observe(turn, state.bot, before.slots)


def _ledger(turn: Turn, bot: Bot) -> AccountProjection:
    settings = turn.settings
    return AccountProjection(min_capital=settings.min_capital, max_capital=settings.max_capital, snapshot=bot.ledger)


def _observe(turn: Turn, bot: Bot, slots: Iterable[BotSlot]) -> None:
    """Take slots into the ledger, and what they add up to by symbol and side into the comparison."""
    taken = [(slot, slot_of(slot)) for slot in slots]
    bot.ledger = _ledger(turn, bot).observe_slots(held for _, held in taken)
    said: dict[str, Decimal] = {}
    for slot, held in taken:
        if held.is_open:
            key = key_of(slot.asset, slot.side)
            said[key] = add(said.get(key, ZERO), slot.size)
            bot.sides.setdefault(key, BotSide(symbol=slot.asset, side=slot.side))
    for key, side in bot.sides.items():
        side.said = said.get(key, ZERO)
        if side.twins.statements:
            hear(side.twins, side.said, turn.event.at_us, turn.settings.bot_window_us)


def slot_of(slot: BotSlot) -> TradeSlot:
    """Give a slot as the slot-driven ledger takes it."""
    told = {"mark_price": slot.mark_price, "leverage": slot.leverage}
    return TradeSlot(
        slot_id=slot.slot_id,
        trade_id=slot.trade_id,
        asset=slot.asset,
        side=slot.side,
        size=slot.size,
        entry_price=slot.entry_price,
        unrealized_pnl=slot.unrealized_pnl,
        closed=slot.closed,
        fsm_state=slot.fsm_state,
        metadata={name: value for name, value in told.items() if value is not None},
    )


def name_of(bot: Bot | None, symbol: str, side: str) -> str:
    """Give the bot's name for its open trade of a symbol and side; empty where it has none."""
    if bot is None:
        return ""
    wanted = key_of(symbol, side)
    return next((slot.trade_id for slot in bot.slots if key_of(slot.asset, slot.side) == wanted and _counts(slot)), "")


def _counts(slot: BotSlot) -> bool:
    return slot_of(slot).is_open


def key_of(symbol: str, side: str) -> str:
    """Compare symbols without their hyphen: a bot may take its prices elsewhere."""
    return f"{symbol.replace('-', '').upper()}:{side}"


def is_away(turn: Turn, bot: Bot) -> bool:
    """Say whether the bot has said nothing for so long that what it last said is nobody's opinion any more."""
    return turn.event.at_us >= bot.heard_us + turn.settings.bot_away_us


def figures_of(state: State) -> dict[str, Decimal]:
    """Give K's net since its baseline by each reading."""
    trades, sums = state.trades, state.sums
    parts = exact_sum(book.open.parts for book in trades.books.values() if book.open is not None)
    fills = add(sub(sums.realized_pnl, sums.fees), trades.forced)
    read = zip(READINGS, (trades.ended, DERIVED.add(trades.ended, parts), fills), strict=True)
    plainly = dict(read)
    return plainly | {name + WITH_FUNDING: DERIVED.subtract(net, sums.funding) for name, net in plainly.items()}


# ---- showing --------------------------------------------------------------------------------------------------------


def block(state: State, kept: Callable[[tuple[object, ...], Callable[[], object]], object]) -> object:
    """Write B for the snapshot, made again only where it changed; `None` until the bot said anything."""
    bot = state.bot
    if bot is None:
        return None
    parts = bot, bot.ledger, bot.slots, bot.slots_us, bot.settled_us, bot.reading
    return kept(parts, lambda: _written(bot))


def _written(bot: Bot) -> dict[str, object]:
    ledger = bot.ledger
    return {
        "since": rfc3339(bot.since_us),
        "began": plain(shown(bot.began)),
        "capital": plain(shown(ledger.capital)),
        "equity": plain(shown(ledger.equity)),
        "realized_pnl": plain(shown(ledger.realized_pnl)),
        "unrealized_pnl": plain(shown(ledger.unrealized_pnl)),
        "fees_paid": plain(shown(ledger.fees_paid)),
        "open_positions": ledger.open_positions,
        "open_notional": plain(shown(ledger.open_notional)),
        "trade_seq": ledger.trade_seq,
        "peak_capital": plain(shown(ledger.peak_capital or ZERO)),
        "reading": bot.reading or None,
        "positions": [_position(slot) for slot in bot.slots if _counts(slot)],
        "stated": {
            name: rfc3339(at_us)
            for name, at_us in (("slots", bot.slots_us), ("settlements", bot.settled_us))
            if at_us is not None
        },
    }


def _position(slot: BotSlot) -> dict[str, object]:
    held = slot_of(slot)
    return {
        "symbol": slot.asset,
        "side": slot.side,
        "qty": plain(slot.size),
        "entry_price": plain(slot.entry_price),
        "mark_price": plain_or_none(slot.mark_price),
        "unrealized_pnl": plain(shown(held.profit)),
        "leverage": plain(held.leverage),
        "slot_id": slot.slot_id,
        "trade_id": slot.trade_id,
        "stage": slot.fsm_state,
    }


def shown(amount: Decimal) -> Decimal:
    """Show a figure with the 18 decimals that are promised."""
    return ratio(amount, ONE) if amount else ZERO
