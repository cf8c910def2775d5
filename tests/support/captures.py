"""The captured frames of bingx.md §4, byte for byte, told to a story; see tests/payloads/SOURCES.md.

`missing_*` are synthetic: what REST could tell of the fills that the second pair's capture lacks. Two executions of
0.0001 at 28455.2 and 28455.3 are what the stated quantity, entry price and wallet leave, fees cut to eight decimals.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import orjson

from ditad.bingx.intake import read_private
from ditad.bingx.normalize import ConfigFilter
from ditad.events import BaselineTaken, FillRow, IncomeRow, PositionSide, Side
from tests.support.reading import audit
from tests.support.story import Story, order_id_at

PAYLOADS = Path(__file__).parent.parent / "payloads"
FIRST_PAIR = ("captured_account_order_1a", "captured_order_1a")
SECOND_PAIR = ("captured_order_1b", "captured_account_order_1b")
MISSING_MS = 1_680_095_100_000
MISSING_ORDER = order_id_at(MISSING_MS)


def begin(wallet: str, ms: int, *, symbols: tuple[str, ...] = ("BTC-USDT",), tick: str = "0.1") -> Story:
    """Begin a story with a baseline of this wallet, flat, at this moment."""
    story = Story(baseline=False, symbols=symbols, tick=tick)
    story.us = ms * 1_000
    story.tell(
        BaselineTaken(
            baseline_id="b1", taken_ms=ms, wallet=Decimal(wallet), positions=(), orders=(), adopted_by=None, why=None
        )
    )
    return story


def hear(story: Story, name: str) -> None:
    """Tell a frame of tests/payloads as the border reads it, 50 ms after the exchange stamped it."""
    data = (PAYLOADS / f"{name}.json").read_bytes()
    story.us = max(story.us, orjson.loads(data)["E"] * 1_000 + 50_000)
    for body in read_private(data, ConfigFilter(), 65_536).bodies:
        story.tell(body)


def before_first_pair() -> Story:
    """Stand before the first pair, with the wallet that its fee implies."""
    return begin("3.99982137", 1_680_094_500_000)


def both_pairs() -> Story:
    """Tell all four frames in the order of the capture."""
    story = before_first_pair()
    for name in (*FIRST_PAIR, *SECOND_PAIR):
        hear(story, name)
    return story


def missing_rows(story: Story) -> tuple[FillRow, FillRow]:
    """Give the fill history's rows of what the capture lacks, commissions rounded to six decimals."""
    first, second = (
        story.fill_row(
            MISSING_ORDER,
            "0.0001",
            price,
            "0.001423",
            side=Side.SELL,
            ps=PositionSide.SHORT,
            trade_id=trade_id,
            at_ms=MISSING_MS + after_ms,
        )
        for price, trade_id, after_ms in (("28455.2", "7", 0), ("28455.3", "8", 1_000))
    )
    return first, second


def missing_fees(story: Story) -> tuple[IncomeRow, IncomeRow]:
    """Give the income rows that tell the same commissions exactly."""
    return (
        story.income_row("901", "TRADING_FEE", "-0.00142276", symbol="BTC-USDT", at_ms=MISSING_MS),
        story.income_row("902", "TRADING_FEE", "-0.00142276", symbol="BTC-USDT", at_ms=MISSING_MS + 1_000),
    )


def audit_short(
    story: Story, *rows: FillRow, incomes: tuple[IncomeRow, ...] = (), wallet: str = "3.99129163", short: str = "0.0006"
) -> None:
    """Tell a whole completed audit round: wallet and short position as the capture leaves them, and these rows."""
    position = story.position_row(short, "28432.5", side=PositionSide.SHORT)
    audit(story, wallet, position, fills=rows, incomes=incomes)
    if rows:  # an order that only a fill history knows is asked about by itself
        quantity = str(sum(row.quantity for row in rows))
        story.executed(rows[0].order_id, quantity, side=Side.SELL, ps=PositionSide.SHORT)
