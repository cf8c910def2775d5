"""What a bot says over the socket, read strictly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ditad.bot_words import settlement_from, slots_from
from ditad.errors import UsageError
from ditad.events import BotSettlement, BotSlot

D = Decimal
SLOT = {
    "slot_id": 3,
    "trade_id": "t1",
    "asset": "FET-USDT",
    "side": "SHORT",
    "size": "202000",
    "entry_price": "0.1878",
    "unrealized_pnl": "-1.50",
    "closed": False,
    "fsm_state": "POSITION_OPEN",
    "metadata": {"mark_price": "0.19", "leverage": 3, "note": ["anything"]},
}
SETTLEMENT = {"settlement_id": "s1", "realized_pnl": "204.5856", "fees": "37.8144"}


def without(name: str) -> dict[str, Any]:
    """Give the slot without one of its fields."""
    return {word: value for word, value in SLOT.items() if word != name}


def test_a_slot_is_read_with_all_its_digits() -> None:
    """As `TradeSlot` is written out; what else the metadata holds is the bot's own."""
    expected = BotSlot(
        slot_id="3",
        trade_id="t1",
        asset="FET-USDT",
        side="SHORT",
        size=D(202_000),
        entry_price=D("0.1878"),
        unrealized_pnl=D("-1.50"),
        closed=False,
        fsm_state="POSITION_OPEN",
        mark_price=D("0.19"),
        leverage=D(3),
    )
    assert (expected,) == slots_from([SLOT])
    assert "-1.50" == str(slots_from([SLOT])[0].unrealized_pnl)


def test_what_may_be_left_out() -> None:
    """Names, a profit, closed and metadata; an unknown stage is a stage."""
    few = {"asset": "A", "side": "FLAT", "size": 0, "entry_price": 0, "fsm_state": "SOMETHING_NEW", "metadata": None}
    (slot,) = slots_from([few])
    assert ("", "", D(0), False, None, None) == (
        slot.slot_id,
        slot.trade_id,
        slot.unrealized_pnl,
        slot.closed,
        slot.mark_price,
        slot.leverage,
    )


@pytest.mark.parametrize(
    ("slot", "word"),
    [
        (without("asset"), "asset"),
        (without("side"), "side"),
        (without("size"), "size"),
        (without("entry_price"), "entry_price"),
        (without("fsm_state"), "fsm_state"),
        ({**SLOT, "side": "short"}, "side"),
        ({**SLOT, "side": 1}, "side"),
        ({**SLOT, "asset": "x" * 65}, "asset"),
        ({**SLOT, "asset": "a\nb"}, "asset"),
        ({**SLOT, "trade_id": "x" * 129}, "trade_id"),
        ({**SLOT, "trade_id": True}, "trade_id"),
        ({**SLOT, "slot_id": None}, "slot_id"),
        ({**SLOT, "size": "NaN"}, "size"),
        ({**SLOT, "size": "Infinity"}, "size"),
        ({**SLOT, "size": "1e400"}, "size"),
        ({**SLOT, "size": "-1"}, "size"),
        ({**SLOT, "size": True}, "size"),
        ({**SLOT, "size": ""}, "size"),
        ({**SLOT, "size": "900000000000000", "entry_price": "2"}, "size"),
        ({**SLOT, "entry_price": -1}, "entry_price"),
        ({**SLOT, "entry_price": "0.1234567890123456789"}, "entry_price"),
        ({**SLOT, "unrealized_pnl": "x"}, "unrealized_pnl"),
        ({**SLOT, "closed": "no"}, "closed"),
        ({**SLOT, "fsm_state": ""}, "fsm_state"),
        ({**SLOT, "metadata": []}, "metadata"),
        ({**SLOT, "metadata": {"mark_price": "NaN"}}, "metadata.mark_price"),
        ({**SLOT, "metadata": {"mark_price": "-1"}}, "metadata.mark_price"),
        ({**SLOT, "metadata": {"leverage": 1_001}}, "metadata.leverage"),
        ({**SLOT, "entryprice": "1"}, "entryprice: there is no such field; the nearest known one is entry_price"),
    ],
    ids=repr,
)
def test_anything_else_is_refused_by_name(slot: dict[str, Any], word: str) -> None:
    """The sentence names which slot and which field."""
    with pytest.raises(UsageError) as refused:
        slots_from([SLOT, slot])
    assert str(refused.value).startswith(f"slots[1].{word}")


def test_a_settlement_is_read_with_all_its_digits() -> None:
    """Fees may be left out, or be a rebate; its id may be called so."""
    expected = BotSettlement(settlement_id="s1", realized_pnl=D("204.5856"), fees=D("37.8144"), uid=7)
    assert expected == settlement_from(SETTLEMENT, 7)
    assert D(0) == settlement_from({"id": "s", "realized_pnl": 1}, 7).fees
    assert D(-1) == settlement_from({"id": "s", "realized_pnl": 1, "fees": "-1"}, 7).fees


@pytest.mark.parametrize(
    ("settlement", "word"),
    [
        ({"realized_pnl": "1"}, "settlement_id"),
        ({**SETTLEMENT, "settlement_id": ""}, "settlement_id"),
        ({**SETTLEMENT, "settlement_id": "x" * 129}, "settlement_id"),
        ({**SETTLEMENT, "settlement_id": 7}, "settlement_id"),
        ({**SETTLEMENT, "settlement_id": "a\x00"}, "settlement_id"),
        ({**SETTLEMENT, "id": "s2"}, "id"),
        ({"settlement_id": "s"}, "realized_pnl"),
        ({**SETTLEMENT, "realized_pnl": "inf"}, "realized_pnl"),
        ({**SETTLEMENT, "realized_pnl": None}, "realized_pnl"),
        ({**SETTLEMENT, "realized_pnl": [1]}, "realized_pnl"),
        ({**SETTLEMENT, "fees": "1e999"}, "fees"),
        ({**SETTLEMENT, "fee": "1"}, "fee"),
    ],
    ids=repr,
)
def test_a_settlement_that_is_none_is_refused_by_name(settlement: dict[str, Any], word: str) -> None:
    """Nothing of it is booked."""
    with pytest.raises(UsageError, match=f"^{word}: "):
        settlement_from(settlement, 0)
