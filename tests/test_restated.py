"""Profits and fees that only income tells, as the fold takes them. All rows are synthetic."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from ditad.events import FillRow, PositionSide, Question, Side
from tests.support.reading import at
from tests.support.story import Story, order_id_at

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
DAY_S = 86_400
MINUTE_MS = 60_000


class Absence:
    """An account that bought one and sold one, and of which a history tells everything but profits."""

    def __init__(self, *, one_way: bool = False, away_s: float = 8 * DAY_S, lead_s: float = 3_600) -> None:
        self.story = Story(hedge=not one_way)
        self.side = PositionSide.BOTH if one_way else LONG
        self.story.pass_s(lead_s)
        self.bought_ms = self.story.ms // 1_000 * 1_000
        self.sold_ms = self.bought_ms + MINUTE_MS
        self.buy, self.sell = order_id_at(self.story.ms, 1), order_id_at(self.sold_ms, 2)
        self.story.pass_s(away_s)

    def row(self, order_id: str, price: str, fee: str | None, side: Side, at_ms: int, qty: str = "1") -> FillRow:
        """Make a row of the history without trade ids."""
        told = self.story.fill_row(order_id, qty, price, fee or "0", side=side, ps=self.side, at_ms=at_ms)
        return replace(told, realized_pnl=None, fee=None if fee is None else told.fee)

    def history(self, *more: FillRow, fee: str | None = "0.055") -> None:
        """Tell what was executed: the orders, and a completed question of fills."""
        sold = self.row(self.sell, "110", fee, Side.SELL, self.sold_ms)
        self.story.fills(self.row(self.buy, "100", "0.05", Side.BUY, self.bought_ms), sold, *more)
        self.story.executed(self.buy, "1", ap="100", ps=self.side)
        self.story.executed(self.sell, "1", ap="110", side=Side.SELL, ps=self.side)

    def income(self, *profits: str, from_ms: int = 0, fee: str = "-0.055") -> None:
        """Tell a completed question of income, with these profits in the second of the sale; the round is over."""
        rows = [
            self.story.income_row("1", "TRADING_FEE", "-0.05", at_ms=self.bought_ms, symbol="BTC-USDT"),
            self.story.income_row("2", "TRADING_FEE", fee, at_ms=self.sold_ms, symbol="BTC-USDT"),
        ]
        rows += [
            self.story.income_row(str(3 + place), "REALIZED_PNL", profit, at_ms=self.sold_ms, symbol="BTC-USDT")
            for place, profit in enumerate(profits)
        ]
        self.story.income(*rows, from_ms=from_ms)
        self.story.audit_done()

    @property
    def unknown(self) -> list[str]:
        """Name the orders whose money is not known."""
        return [order for order in (self.buy, self.sell) if order in str(at(self.story.snap, "k.unknown"))]


@pytest.mark.parametrize("one_way", [False, True], ids=["hedge", "one-way"])
def test_profits_that_no_history_tells_come_from_income(*, one_way: bool) -> None:
    """A purchase has no row and made nothing; the sale's row is its profit, and its record says so."""
    absence = Absence(one_way=one_way)
    absence.history()
    assert [absence.buy, absence.sell] == absence.unknown
    absence.income("10")
    assert (["10", "0.105", "1009.895"], []) == (
        [absence.story.k[name] for name in ("realized_pnl", "fees_paid", "capital_raw")],
        absence.unknown,
    )
    assert {} == absence.story.projection.state.incomplete
    told = absence.story.of_type("fill")[-1]
    assert ("10", ["fill_history", "income"]) == (told["realized_pnl"], told["sources"])
    absence.story.balance("1009.895")
    absence.story.positions()
    assert "OK" == absence.story.status


def test_a_fee_that_no_history_tells_comes_from_income() -> None:
    """The one execution of its second has the one row."""
    absence = Absence()
    absence.history(fee=None)
    absence.income("10", fee="-0.05512345")
    assert ("0.10512345", []) == (absence.story.k["fees_paid"], absence.unknown)


def test_before_the_rows_must_have_come_nothing_is_taken_from_their_absence() -> None:
    """A completed question proves it only when the report lag has passed; the next one does."""
    absence = Absence(away_s=100)
    absence.history()
    absence.income("10")
    assert [absence.buy, absence.sell] == absence.unknown
    absence.story.pass_s(200)
    absence.story.fills()
    absence.income("10")
    assert ([], "10") == (absence.unknown, absence.story.k["realized_pnl"])


def test_the_baselines_own_second_proves_nothing() -> None:
    """Its rows may restate what the baseline holds."""
    absence = Absence(lead_s=0.5)
    absence.history()
    absence.income("10")
    assert [absence.buy] == absence.unknown


def test_what_income_keeps_no_more_proves_nothing() -> None:
    """Rows of that second can no longer come: without them a profit of 0 would be a guess."""
    absence = Absence(away_s=95 * DAY_S)
    absence.history()
    absence.story.income(from_ms=absence.story.ms - (90 * DAY_S - 1_800) * 1_000)
    absence.story.audit_done()
    assert [absence.buy, absence.sell] == absence.unknown


def test_income_that_is_not_answered_proves_nothing() -> None:
    """The exchange keeps none for this account."""
    absence = Absence()
    absence.history()
    absence.story.income(available=False)
    absence.story.audit_done()
    assert [absence.buy, absence.sell] == absence.unknown


def test_a_fill_of_another_asset_has_no_rows_here() -> None:
    """Its income is another ledger's."""
    story = Story(symbols=("BTC-USDC",))
    story.pass_s(3_600)
    at_ms, order_id = story.ms, order_id_at(story.ms, 1)
    story.pass_s(8 * DAY_S)
    row = story.fill_row(order_id, "1", "100", "0.05", symbol="BTC-USDC", at_ms=at_ms)
    story.fills(replace(row, realized_pnl=None), symbol="BTC-USDC")
    story.executed(order_id, "1", ap="100", symbol="BTC-USDC")
    story.income()
    story.audit_done()
    assert 1 == len(story.projection.state.unknown)


def test_a_fill_of_which_only_a_frame_told_may_be_of_the_second_before() -> None:
    """The one row of that second may be its own, and not that of the fill that lacks its profit."""
    absence = Absence()
    absence.story.us = (absence.sold_ms + 1_500) * 1_000
    absence.story.order(side=Side.SELL, ps=SHORT, z="1", ap="110", fee="0.055", rp="3")
    absence.story.pass_s(8 * DAY_S)
    absence.history()
    absence.income("3")
    assert [absence.sell] == absence.unknown


def test_a_frame_of_another_time_leaves_a_second_alone() -> None:
    """It was executed minutes later."""
    absence = Absence()
    absence.story.us = (absence.sold_ms + 300_000) * 1_000
    absence.story.order(side=Side.SELL, ps=SHORT, z="1", ap="110", fee="0.055", rp="3")
    absence.story.pass_s(8 * DAY_S)
    absence.history()
    absence.income("10")
    assert [] == absence.unknown


def test_fills_of_one_second_share_what_their_rows_prove() -> None:
    """A purchase and a sale of one second: what opens made nothing, so the row is the sale's."""
    absence = Absence()
    absence.bought_ms = absence.sold_ms
    absence.history()
    absence.income("10")
    assert ([], "10") == (absence.unknown, absence.story.k["realized_pnl"])


def test_what_is_not_known_of_an_order_put_away_is_not_looked_for() -> None:
    """The order's first part is kept no more and stays unknown; with all else told it goes out of memory."""
    story = Story()
    story.pass_s(3_600)
    order_id = order_id_at(story.ms)
    story.pass_s(40 * DAY_S)
    last = story.fill_row(order_id, "1", "100", "0.05", at_ms=story.ms - MINUTE_MS)
    story.fills(last)
    story.executed(order_id, "2", ap="100")
    story.pass_s(10)
    story.fills(last, order_id=order_id, from_ms=story.ms - 30 * DAY_S * 1_000)
    for _ in range(3):
        story.pass_s(3_600)
        story.fills()
        story.income()
        story.audit_done()
    state = story.projection.state
    assert ([f"fill:{order_id}:1"], {}) == (list(state.unknown), state.orders)


# ---- forced closes ----------------------------------------------------------------------------------------------------


def forced(absence: Absence, *incomes: tuple[str, str], second: bool = False) -> None:
    """Let the sale be a liquidation that nobody heard of at the time, with these rows of income."""
    story = absence.story
    story.executed(absence.sell, "1", ap="110", side=Side.SELL, question=Question.FORCED_ORDERS, forced="LIQUIDATION")
    other = order_id_at(absence.sold_ms, 3)
    absence.history(*([absence.row(other, "110", "0.055", Side.SELL, absence.sold_ms)] if second else []))
    if second:
        story.executed(other, "1", ap="110", side=Side.SELL)
    rows = [
        story.income_row(str(7 + place), kind, amount, at_ms=absence.sold_ms, symbol="BTC-USDT")
        for place, (kind, amount) in enumerate(incomes)
    ]
    story.income(*rows)
    story.audit_done()


def test_a_forced_closes_own_row_is_its_profit_and_nothing_is_missing() -> None:
    """`INSURANCE_CLEAR` tells it, as other income; the order is asked about no more."""
    absence = Absence()
    forced(absence, ("INSURANCE_CLEAR", "10"))
    assert ("0", "10", []) == (
        absence.story.k["realized_pnl"],
        absence.story.k["other_income"],
        absence.unknown,
    )
    assert absence.sell not in absence.story.projection.state.incomplete


def test_a_forced_close_that_realised_pnl_restates_is_as_if_a_frame_had_told_it() -> None:
    """It is the only fill of its second; the wallet then says that it counts."""
    absence = Absence()
    forced(absence, ("REALIZED_PNL", "10"))
    absence.story.balance("1009.895")
    assert ("10", []) == (absence.story.k["realized_pnl"], absence.unknown)


def test_beside_a_forced_close_a_row_proves_nothing() -> None:
    """Nobody knows which of the two it restates."""
    absence = Absence()
    forced(absence, ("REALIZED_PNL", "10"), second=True)
    assert absence.sell in absence.unknown


# ---- what is kept -----------------------------------------------------------------------------------------------------


def test_rows_are_kept_for_an_order_that_is_not_told_wholly_yet() -> None:
    """A day later its rows come at last: its profit can still be told."""
    absence = Absence()
    story = absence.story
    late = absence.row(absence.sell, "110", "0.055", Side.SELL, absence.sold_ms)
    story.fills(absence.row(absence.buy, "100", "0.05", Side.BUY, absence.bought_ms), late)
    story.executed(absence.buy, "1", ap="100")
    absence.income("10")
    assert absence.sell in story.projection.state.incomplete
    story.pass_s(2 * DAY_S)
    story.executed(absence.sell, "1", ap="110", side=Side.SELL)
    story.fills()
    story.income()
    story.audit_done()
    assert (Decimal(10), []) == (story.projection.state.sums.realized_pnl, absence.unknown)


def test_a_kind_that_is_never_answered_keeps_nothing_in_memory() -> None:
    """Where income is not available the watermark of fills says what can be let go, and incomes as long as kept."""
    story = Story()
    story.pass_s(100)
    story.account("999.6", reason="FUNDING_FEE", change="-0.4")
    story.order(z="1", ap="100.00000000", fee="0.05")
    story.order(side=Side.SELL, z="1", ap="100.00000000", fee="0.05")

    def audit(after_s: float) -> tuple[int, int]:
        story.pass_s(after_s)
        story.balance("999.5")
        story.positions()
        story.fills()
        story.income(available=False)
        story.audit_done()
        state = story.projection.state
        return len(state.orders), len(state.incomes.groups)

    assert [(2, 1), (0, 1), (0, 0)] == [audit(10), audit(3_600), audit(91 * DAY_S)]


def test_where_no_kind_is_answered_time_lets_go() -> None:
    """No question can bring anything any more."""
    story = Story()
    story.pass_s(100)
    story.order(z="1", ap="100.00000000", fee="0.05")
    story.failed(Question.FILLS, unavailable=True)
    story.failed(Question.INCOME, unavailable=True)
    story.pass_s(3_600)
    story.audit_done(questions=(Question.BALANCE, Question.POSITIONS))
    assert 0 == len(story.projection.state.orders)
