"""Statements into E: which is newer, which is void, and what they are compared with.

All payloads are synthetic.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ditad.events import (
    BalanceReport,
    BalanceRow,
    LeveragePush,
    Mark,
    Marks,
    PositionRow,
    PositionSide,
    PositionsReport,
    Side,
)
from ditad.statements import mark_price_of, marks_of, together
from tests.support.reading import at, explained
from tests.support.story import START_US, Story

LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH
D = Decimal


def row(**figures: Any) -> PositionRow:
    """Make a row of a positions report."""
    return Story(baseline=False).position_row(figures.pop("qty", "1"), figures.pop("entry", "100"), **figures)


def holding(**figures: Any) -> Story:
    """Begin with a LONG of 1 at 100."""
    return Story(positions=(row(**figures),))


def positions_asked(story: Story, asked_us: int, *rows: PositionRow) -> None:
    """Tell a positions report that was asked at a moment of ours."""
    story.tell(PositionsReport(asked_us=asked_us, asked_ms=asked_us // 1_000, rows=rows))


def balance_asked(story: Story, asked_us: int, wallet: str, **figures: str) -> None:
    """Tell a balance report that was asked at a moment of ours."""
    told = {name: D(value) for name, value in figures.items()}
    line = BalanceRow(
        asset="USDT",
        wallet=D(wallet),
        **{"equity": None, "unrealized_pnl": None, "available_margin": None, "used_margin": None, **told},
    )
    story.tell(BalanceReport(asked_us=asked_us, asked_ms=asked_us // 1_000, rows=(line,)))


# ---- which is newer ---------------------------------------------------------------------------------------------------


def test_an_older_balance_push_never_replaces_a_newer() -> None:
    """Among pushes of one asset the larger `E` is newer, whatever the order of arrival."""
    story = Story()
    story.account("1002", event_ms=START_US // 1_000 + 500)
    story.account("1001", event_ms=START_US // 1_000 + 400)
    assert "1002" == at(story.snap, "e.wallet_balance")


def test_of_equal_times_the_later_arrival_is_newer() -> None:
    """Equal `E` is decided by arrival."""
    story = Story()
    for wallet in ("1002", "1003"):
        story.account(wallet, event_ms=START_US // 1_000 + 500)
    assert "1003" == at(story.snap, "e.wallet_balance")


def test_an_older_position_push_never_replaces_a_newer() -> None:
    """The same for each position."""
    story = Story()
    story.account(None, ("BTC-USDT", LONG, "2", "100"), event_ms=START_US // 1_000 + 500)
    story.account(None, ("BTC-USDT", LONG, "1", "100"), event_ms=START_US // 1_000 + 400)
    assert "2" == at(story.snap, "e.positions.0.qty")


def test_a_position_push_from_before_the_baseline_does_not_open_what_the_baseline_says_is_flat() -> None:
    """What the baseline did not name it stated flat, at its own time."""
    story = Story()
    story.pass_s(5)
    story.account("1000", ("BTC-USDT", LONG, "1", "100"), event_ms=START_US // 1_000 - 5_000)
    story.account("1000")
    assert ([], "OK") == (at(story.snap, "e.positions"), story.status)


def test_an_older_balance_report_never_replaces_a_newer() -> None:
    """A report answered late, after one that was asked later, is not heard; nor are its margins."""
    story = Story()
    story.pass_s(10)
    balance_asked(story, story.us, "1000", used_margin="7")
    balance_asked(story, story.us - 5_000_000, "999", used_margin="8")
    assert ("1000", "7") == (at(story.snap, "e.wallet_balance"), at(story.snap, "e.used_margin"))


def test_a_balance_report_older_than_a_push_by_the_exchanges_clock_is_not_heard() -> None:
    """A push stamped after the report was asked is newer, although it was heard before."""
    story = Story()
    story.account("1001", event_ms=START_US // 1_000 + 60_000)
    story.pass_s(1)
    balance_asked(story, story.us, "1000", used_margin="7")
    assert ("1001", None) == (at(story.snap, "e.wallet_balance"), at(story.snap, "e.used_margin"))


def test_an_older_positions_report_never_replaces_a_newer() -> None:
    """A late answer to an earlier question is not heard, nor what it does not name."""
    story = holding()
    story.pass_s(10)
    positions_asked(story, story.us, row(mark="110"))
    positions_asked(story, story.us - 5_000_000)
    positions_asked(story, story.us - 5_000_000, row(qty="2", mark="120"))
    story.account("1000")
    assert ("1", "110") == (at(story.snap, "e.positions.0.qty"), at(story.snap, "e.positions.0.mark_price"))


# ---- void reports -----------------------------------------------------------------------------------------------------


def test_a_balance_report_is_void_when_a_push_came_between_asking_and_answering() -> None:
    """Wallet and margins stay what they were; the report does not count as a fresh one."""
    story = Story()
    story.pass_s(5)
    asked_us = story.us
    story.account("1000", reason="ORDER")
    balance_asked(story, asked_us, "990", used_margin="7")
    assert ("1000", None) == (at(story.snap, "e.wallet_balance"), at(story.snap, "e.used_margin"))
    assert story.projection.state.stated.balance_asked_us < asked_us


def test_a_positions_report_is_void_for_the_position_a_push_changed_meanwhile() -> None:
    """It still tells that position's mark and leverage, and all others."""
    story = Story(positions=(row(), row(symbol="ETH-USDT")), symbols=("BTC-USDT", "ETH-USDT"))
    story.pass_s(5)
    asked_us = story.us
    story.account(None, ("BTC-USDT", LONG, "3", "100"))
    positions_asked(
        story, asked_us, row(mark="110", leverage="4"), row(symbol="ETH-USDT", qty="2", mark="120", leverage="5")
    )
    assert [("BTC-USDT", "3", "110", "4"), ("ETH-USDT", "2", "120", "5")] == [
        (line["symbol"], line["qty"], line["mark_price"], line["leverage"]) for line in at(story.snap, "e.positions")
    ]


def test_a_void_row_without_mark_takes_none_away() -> None:
    """Never stated is not a mark: what was stated stays."""
    story = holding(mark="110", leverage="4")
    story.pass_s(5)
    asked_us = story.us
    story.account(None, ("BTC-USDT", LONG, "3", "100"))
    positions_asked(story, asked_us, row())
    assert ("110", "4") == (at(story.snap, "e.positions.0.mark_price"), at(story.snap, "e.positions.0.leverage"))


def test_a_void_row_of_a_position_nobody_stated_states_nothing() -> None:
    """A push that said less than the report, but later, is believed: here about a position stated by no one before."""
    story = Story()
    story.pass_s(5)
    asked_us = story.us
    story.account(None, ("BTC-USDT", LONG, "1", "100"), event_ms=START_US // 1_000 - 1)
    positions_asked(story, asked_us, row())
    assert [] == at(story.snap, "e.positions")


def test_a_report_does_not_flatten_what_a_push_opened_meanwhile() -> None:
    """A position opened between asking and answering is not flat."""
    story = Story()
    story.pass_s(5)
    asked_us = story.us
    story.account(None, ("BTC-USDT", LONG, "1", "100"))
    positions_asked(story, asked_us)
    assert "1" == at(story.snap, "e.positions.0.qty")


def test_a_report_does_not_flatten_what_a_push_stamped_later_stated() -> None:
    """Asked before the push's `E` by the exchange's clock, the report's silence is the older statement."""
    story = Story()
    story.account(None, ("BTC-USDT", LONG, "1", "100"), event_ms=START_US // 1_000 + 60_000)
    story.pass_s(5)
    positions_asked(story, story.us)
    assert "1" == at(story.snap, "e.positions.0.qty")


# ---- what is said, and what not ---------------------------------------------------------------------------------------


def test_a_push_without_positions_says_nothing_about_them() -> None:
    """Absence in a push never means flat."""
    story = holding()
    story.account("1000")
    assert "1" == at(story.snap, "e.positions.0.qty")


def test_a_report_without_a_position_says_flat() -> None:
    """Absence in a positions report does; the leverage that was stated stays known."""
    story = holding(leverage="4")
    story.pass_s(5)
    story.positions()
    assert ([], "1") == (at(story.snap, "e.positions"), story.delta("open_positions"))


def test_amounts_are_unsigned_in_hedge_mode() -> None:
    """A SHORT is a quantity of its own side."""
    story = Story()
    story.account(None, ("BTC-USDT", SHORT, "2", "100"))
    assert ("SHORT", "2") == (at(story.snap, "e.positions.0.side"), at(story.snap, "e.positions.0.qty"))


def test_a_one_way_short_of_a_report_is_signed() -> None:
    """REST says SHORT for what pushes call BOTH with a minus."""
    story = Story(hedge=False, positions=(row(side=SHORT),))
    story.account("1000", ("BTC-USDT", BOTH, "-1", "100"))
    assert ("OK", "SHORT", "1") == (
        story.status,
        at(story.snap, "e.positions.0.side"),
        at(story.snap, "k.positions.0.qty"),
    )


def test_isolated_positions_of_one_side_are_added() -> None:
    """1 at 100.1 and 3 at 100.3 (`onlyOnePosition=false`) are 4 at their cost's quotient, in K, in E and in R3."""
    story = Story(positions=(row(entry="100.1"), row(qty="3", entry="100.3")))
    story.pass_s(1)
    story.positions(row(entry="100.1", mark="101"), row(qty="3", entry="100.3", mark="101"))
    shown = [
        (at(story.snap, f"{ledger}.positions.0.qty"), at(story.snap, f"{ledger}.positions.0.entry_price"))
        for ledger in "ke"
    ]
    slack = at(story.snap, "k.precision")["entry_price:BTC-USDT:LONG"]
    assert ([("4", "100.25")] * 2, "OK", "0", "0.05") == (
        shown,
        story.status,
        story.delta("position_qty:BTC-USDT:LONG"),
        slack,
    )


@pytest.mark.parametrize(
    ("left", "right", "told"),
    [
        (("1", "2"), ("3", "4"), ("3.5", "10", "30", "3", "101")),
        (("1", None), ("3", "4"), (None, None, None, None, "101")),
        (("1", "2"), ("3", None), (None, None, None, None, "101")),
        (("0", "2"), ("0", "2"), (None, "10", "30", "3", "101")),
    ],
    ids=["all told", "the first tells no entry", "the second tells no entry", "nothing is held"],
)
def test_what_one_of_several_positions_does_not_tell_is_not_told_of_all(left: Any, right: Any, told: Any) -> None:
    """Profits and margins are added, a leverage must be the same; the mark is one of the symbol's."""

    def made(qty: str, entry: str | None, **figures: str | None) -> PositionRow:
        figure: dict[str, Any] = {
            name: None if text is None or entry is None else D(text) for name, text in figures.items()
        }
        return replace(row(qty=qty), entry_price=None if entry is None else D(entry), **figure)

    first = made(*left, unrealized_pnl="4", initial_margin="10", leverage="3")
    second = replace(made(*right, unrealized_pnl="6", initial_margin="20", leverage="3"), mark_price=D(101))
    (one,) = together([first, second])
    wanted = [None if text is None else D(text) for text in told]
    assert wanted == [one.entry_price, one.unrealized_pnl, one.initial_margin, one.leverage, one.mark_price]


def test_positions_of_both_sides_stay_apart() -> None:
    """Only rows of one symbol and side are one."""
    rows = [row(mark="99"), row(side=SHORT), row(symbol="ETH-USDT")]
    assert rows == together(rows)


def test_positions_in_another_asset_stay_out() -> None:
    """USDC symbols of pushes and reports are no positions of this ledger."""
    story = Story()
    story.account("1000", ("BTC-USDC", LONG, "1", "100"))
    story.positions(row(symbol="BTC-USDC"))
    assert ([], ["USDC"]) == (at(story.snap, "e.positions"), at(story.snap, "coverage.other_assets"))


def test_a_baseline_position_in_another_asset_stays_out() -> None:
    """So do those of a baseline."""
    assert [] == at(Story(positions=(row(symbol="BTC-USDC"),)).snap, "k.positions")


def test_balances_of_other_assets_are_only_named() -> None:
    """A balance report's row of another asset moves no wallet of ours."""
    story = Story()
    line = BalanceRow(
        asset="EUR", wallet=D(5), equity=None, unrealized_pnl=None, available_margin=None, used_margin=None
    )
    story.tell(BalanceReport(asked_us=story.us, asked_ms=story.ms, rows=(line,)))
    story.account("1000")
    assert ("1000", ["EUR"]) == (at(story.snap, "e.wallet_balance"), at(story.snap, "coverage.other_assets"))


def test_margins_come_with_the_report_that_states_them() -> None:
    """A margin the exchange left empty is not stated anew and stays what it was."""
    story = Story()
    story.balance("1000", used="7", available="993")
    story.balance("1000")
    assert ("7", "993", None) == tuple(
        at(story.snap, "e")[name] for name in ("used_margin", "available_margin", "maint_margin")
    )


# ---- marks and leverage -----------------------------------------------------------------------------------------------


def test_ks_mark_is_the_streams_else_the_reports() -> None:
    """Without a market stream the mark that a report stated values K."""
    story = holding(mark="110")
    valued = [story.k["unrealized_pnl"]]
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(120), event_ms=story.ms),)))
    valued.append(story.k["unrealized_pnl"])
    assert ["10", "20"] == valued


def impossible(price: Decimal | None) -> Story:
    """Give two open positions, of which the first has this mark as its report's or (`None`) as the stream's."""
    rows = (
        row(qty="99999999999999", entry="1", mark=str(price or 1)),
        row(symbol="ETH-USDT", qty="0.000000000000000001", entry="1", mark="1.000000000000001"),
    )
    story = Story(positions=rows, symbols=("BTC-USDT", "ETH-USDT"))
    story.positions(*rows)
    if price is None:
        story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D("999999999999999"), event_ms=story.ms),)))
    return story


def test_a_mark_with_which_no_exact_sum_could_be_made_is_not_heard() -> None:
    """The border refuses it; a journal of an earlier version may hold one, and must not stop every start."""
    reported, streamed = impossible(D("999999999999999")), impossible(None)
    assert (None, None) == (reported.k["unrealized_pnl"], reported.k["open_notional"])
    assert "99999999999999.000000000000000001000000000000001" == streamed.k["open_notional"]


def test_a_mark_of_another_symbol_values_nothing_else() -> None:
    """Without a mark of its own a position's value is not known, which is not 0."""
    story = Story(positions=(row(), row(symbol="ETH-USDT", mark="50")), symbols=("BTC-USDT", "ETH-USDT"))
    assert (None, None) == (story.k["unrealized_pnl"], story.k["open_notional"])


def test_the_configuration_tells_the_leverage_of_each_side() -> None:
    """Long and short have their own; where the configuration says nothing the report's counts."""
    story = Story(positions=(row(mark="100", leverage="3"), row(side=SHORT, mark="100", leverage="3")))
    story.tell(LeveragePush(symbol="BTC-USDT", long=D(5), short=None, margin_type=None, event_ms=0))
    assert ["5", "3"] == [line["leverage"] for line in at(story.snap, "k.positions")]
    story.tell(LeveragePush(symbol="BTC-USDT", long=D(5), short=D(8), margin_type=None, event_ms=0))
    assert ["5", "8"] == [line["leverage"] for line in at(story.snap, "k.positions")]


def test_the_leverage_of_a_one_way_short_is_the_shorts() -> None:
    """The sign says which of the two leverages counts."""
    story = Story(hedge=False, positions=(row(side=SHORT, mark="100"),))
    story.tell(LeveragePush(symbol="BTC-USDT", long=D(5), short=D(8), margin_type=None, event_ms=0))
    assert ("8", "12.5") == (at(story.snap, "k.positions.0.leverage"), story.k["used_margin"])


# ---- the basis of margin ----------------------------------------------------------------------------------------------


def reported(story: Story, *used: str) -> None:
    """Tell rounds in which the margin in use reads like this."""
    for figure in used:
        story.balance("1000", used=figure)
        story.positions(row(mark="110", leverage="5"))


@pytest.mark.parametrize(("used", "basis"), [("20", "entry"), ("22", "mark"), ("21", None)])
def test_the_basis_of_margin_is_decided_by_reports_that_fit_one_alone(used: str, basis: str | None) -> None:
    """A LONG of 1 at entry 100 and mark 110, leverage 5: 20 or 22; 21 fits neither. Each counts when the next comes."""
    story = holding(mark="110", leverage="5")
    reported(story, used, used, used)
    assert {} == at(story.snap, "coverage.decisions")
    reported(story, used)
    assert basis == at(story.snap, "coverage.decisions").get("margin_basis")


def test_reports_that_fit_different_bases_decide_nothing() -> None:
    """Right after a fill the mark may be the entry: one such report is no proof."""
    story = holding(mark="110", leverage="5")
    reported(story, "20", "22", "22", "22", "22", "22")
    assert {} == at(story.snap, "coverage.decisions")


def test_the_basis_of_margin_is_not_decided_without_a_mark() -> None:
    """What fits the entry cannot be told from what is not known: a mark might have fitted as well."""
    story = holding(leverage="5")
    story.balance("1000", used="20")
    assert {} == at(story.snap, "coverage.decisions")


def test_margin_is_compared_on_the_decided_basis_alone() -> None:
    """Once the mark is known to be the basis a margin at the entry is off by `LEVERAGE_ROUNDING`."""
    story = holding(mark="110", leverage="5")
    reported(story, "22", "22", "22")
    story.balance("1000", used="22")
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D("110.1"), event_ms=story.ms),)))
    story.balance("1000", used="20")
    assert ["LEVERAGE_ROUNDING|used_margin"] == explained(story)


def test_margin_is_compared_at_the_entry_where_that_is_the_basis() -> None:
    """And the other way round."""
    story = holding(mark="110", leverage="5")
    reported(story, "20", "20", "20", "20")
    story.balance("1000", used="22")
    assert ["LEVERAGE_ROUNDING|used_margin"] == explained(story)


def test_margin_far_from_every_basis_is_a_question_of_the_basis() -> None:
    """Beyond the band it is `MARGIN_BASIS`, and alone never worse than WARN."""
    story = holding(mark="110", leverage="5")
    story.balance("1000", used="90")
    assert ("WARN", ["MARGIN_BASIS|used_margin"]) == (story.status, explained(story))


def test_margin_is_not_compared_while_a_leverage_is_not_known() -> None:
    """A rule speaks only where both sides can be said."""
    story = holding(mark="110")
    story.balance("1000", used="20")
    assert None is story.delta("used_margin")


def test_flat_uses_no_margin() -> None:
    """A flat position needs no leverage and no mark to be worth 0 margin."""
    story = holding(mark="100", leverage="5")
    story.order(side=Side.SELL, z="1", ap="100.00000000", fee="0", rp="0")
    story.balance("1000", used="0")
    assert "0" == story.delta("used_margin")


@pytest.mark.parametrize(
    "marks", [("101.5", "101.5"), ("101.50", "101.5"), ("102", "99"), (None, "99"), ("102", None), (None, None)]
)
@pytest.mark.parametrize("sides", [(LONG, SHORT), (SHORT, LONG)])
@pytest.mark.parametrize("streamed", [None, "77.0"])
def test_a_symbols_mark_is_the_one_among_all_marks(
    marks: tuple[str | None, ...], sides: tuple[PositionSide, ...], streamed: str | None
) -> None:
    """Looked for alone it has the very digits that it has among all: the stream's, else the first that was stated."""
    story = Story()
    told = zip(sides, marks, strict=True)
    story.positions(*(story.position_row("1", "100", side=side, mark=mark) for side, mark in told))
    if streamed is not None:
        story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(streamed), event_ms=story.ms),)))
    state = story.projection.state
    assert str(marks_of(state).get("BTC-USDT")) == str(mark_price_of(state, "BTC-USDT"))
    assert mark_price_of(state, "ETH-USDT") is None
