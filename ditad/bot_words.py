"""What a bot says over the socket, read strictly: its slots and its settlements become events, or a sentence why not.

What enters: plain values of a JSON body, whose decimals kept their digits as text. What leaves: `BotSlot`s and
`BotSettlement`s. What holds: everything is refused that is not what it should be, naming the field; a word that nobody
knows is refused too, for an amount may hide behind a slip of the pen; figures are bounded so that sums stay exact.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from ditad.errors import Refusal, UsageError
from ditad.events import BotSettlement, BotSlot
from ditad.money import ABSOLUTE_BOUND, ZERO, decimal_of, mul
from ditad.slots import TradeSide

TEXT_MAX = 128
STAGE_MAX = 64
LEVERAGE_MAX = Decimal(1_000)

SLOT_WORDS = (
    "slot_id",
    "trade_id",
    "asset",
    "side",
    "size",
    "entry_price",
    "unrealized_pnl",
    "closed",
    "fsm_state",
    "metadata",
)
SETTLEMENT_WORDS = ("settlement_id", "id", "realized_pnl", "fees")


def slots_from(said: Sequence[Mapping[str, object]]) -> tuple[BotSlot, ...]:
    """Read all slots of a bot; raises `UsageError` naming the slot and its field."""
    return tuple(_slot(f"slots[{place}]", slot) for place, slot in enumerate(said))


def settlement_from(said: Mapping[str, object], uid: int) -> BotSettlement:
    """Read a settlement; raises `UsageError` naming the field."""
    _known("", said, SETTLEMENT_WORDS)
    if "id" in said and "settlement_id" in said:
        raise UsageError("id: the same as settlement_id; give one of them")
    name = _text("settlement_id", said.get("settlement_id", said.get("id")), least=1)
    if "realized_pnl" not in said:
        raise UsageError("realized_pnl: the net profit is due")
    profit = _number("realized_pnl", said["realized_pnl"])
    return BotSettlement(settlement_id=name, realized_pnl=profit, fees=_number("fees", said.get("fees", 0)), uid=uid)


def _slot(where: str, said: Mapping[str, object]) -> BotSlot:
    _known(f"{where}.", said, SLOT_WORDS)
    side = _text(f"{where}.side", said.get("side"), least=1)
    if side not in {one.value for one in TradeSide}:
        raise UsageError(f"{where}.side: LONG, SHORT or FLAT is due, got {side[:16]!r}")
    closed = said.get("closed", False)
    if not isinstance(closed, bool):
        raise UsageError(f"{where}.closed: true or false is due")
    metadata = said.get("metadata")
    if not isinstance(metadata, dict | None):
        raise UsageError(f"{where}.metadata: an object is due")
    told = metadata or {}
    slot = BotSlot(
        slot_id=_name(f"{where}.slot_id", said.get("slot_id", "")),
        trade_id=_name(f"{where}.trade_id", said.get("trade_id", "")),
        asset=_text(f"{where}.asset", said.get("asset"), least=1, most=STAGE_MAX),
        side=side,
        size=_amount(f"{where}.size", _due(f"{where}.size", said)),
        entry_price=_amount(f"{where}.entry_price", _due(f"{where}.entry_price", said)),
        unrealized_pnl=_number(f"{where}.unrealized_pnl", said.get("unrealized_pnl", 0)),
        closed=closed,
        fsm_state=_text(f"{where}.fsm_state", said.get("fsm_state"), least=1, most=STAGE_MAX),
        mark_price=_optional(f"{where}.metadata.mark_price", told.get("mark_price")),
        leverage=_optional(f"{where}.metadata.leverage", told.get("leverage")),
    )
    if slot.leverage is not None and slot.leverage > LEVERAGE_MAX:
        raise UsageError(f"{where}.metadata.leverage: at most {LEVERAGE_MAX}")
    if mul(slot.size, max(slot.entry_price, slot.mark_price or ZERO)) >= ABSOLUTE_BOUND:
        raise UsageError(f"{where}.size: no position is worth so much")
    return slot


def _known(where: str, said: Mapping[str, object], words: Iterable[str]) -> None:
    for word in said:
        if word not in words:
            nearest = difflib.get_close_matches(word, words, n=1, cutoff=0.0)
            raise UsageError(f"{where}{word[:TEXT_MAX]}: there is no such field; the nearest known one is {nearest[0]}")


def _due(where: str, said: Mapping[str, object]) -> object:
    word = where.rpartition(".")[2]
    if word not in said:
        raise UsageError(f"{where}: a number is due")
    return said[word]


def _number(where: str, value: object) -> Decimal:
    """Read a finite number with the digits that it came with."""
    try:
        return decimal_of(value, where)
    except Refusal as exc:
        raise UsageError(exc.reason) from exc


def _amount(where: str, value: object) -> Decimal:
    number = _number(where, value)
    if number < 0:
        raise UsageError(f"{where}: not below 0; the side tells the direction")
    return number


def _optional(where: str, value: object) -> Decimal | None:
    return None if value is None else _amount(where, value)


def _name(where: str, value: object) -> str:
    """Read a name, which may be a number or left out."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return _text(where, value, least=0)


def _text(where: str, value: object, *, least: int, most: int = TEXT_MAX) -> str:
    if not isinstance(value, str) or not least <= len(value) <= most or not value.isprintable():
        raise UsageError(f"{where}: a text of {least} to {most} printable characters is due")
    return value
