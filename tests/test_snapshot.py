"""The snapshot of interfaces.md §3: every key, plain decimals, null for never stated, what a bot may use.

All payloads are synthetic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from ditad.events import (
    BaselineTaken,
    LeveragePush,
    Mark,
    Marks,
    PositionRow,
    PositionSide,
    Question,
    Side,
    StreamChanged,
    StreamState,
)
from tests.support.reading import at, audit
from tests.support.story import Story

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
D = Decimal
PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def row(**figures: Any) -> PositionRow:
    """Make a row of a positions report."""
    return Story(baseline=False).position_row(figures.pop("qty", "1"), figures.pop("entry", "100"), **figures)


def stream(story: Story, state: StreamState, detail: str = "x") -> None:
    """Tell a change of the private stream."""
    story.tell(StreamChanged(state=state, detail=detail, at_ms=None))


def busy() -> Story:
    """Tell a bit of everything."""
    story = Story(positions=(row(symbol="ETH-USDT", mark="90", leverage="5"),), symbols=("BTC-USDT", "ETH-USDT"))
    story.order(z="3", ap="100.00000000", fee="0.15")
    story.account("999.85", ("BTC-USDT", LONG, "3", "100"))
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D("99.5"), event_ms=story.ms),)))
    story.tell(LeveragePush(symbol="BTC-USDT", long=D(7), short=D(7), margin_type=None, event_ms=0))
    story.account("994.85", reason="WITHDRAW", change="-5")
    story.balance("994.85", used="12", available="900")
    return story


# ---- the shape --------------------------------------------------------------------------------------------------------

KEYS = {
    "": "schema account event_seq source_event_id ts exchange_ts_ms baseline k e b published coverage reconcile",
    "baseline": "id at wallet",
    "k": "capital capital_raw realized_pnl book_realized_pnl unrealized_pnl fees_paid funding_paid transfers"
    " other_income precision unknown open_notional equity used_margin available_margin open_positions peak_capital"
    " leverage trade_seq positions",
    "k.positions.0": "symbol side qty entry_price mark_price unrealized_pnl leverage",
    "e": "wallet_balance available_margin used_margin maint_margin realized_pnl last_fill_price last_fill_qty"
    " last_fill_fee last_fill_realized_pnl last_funding stated positions",
    "e.stated.wallet_balance": "at source",
    "e.positions.0": "symbol side qty entry_price mark_price unrealized_pnl leverage",
    "published": "capital source usable valid_until",
    "coverage": "state covered_through kinds gaps rejected other_assets",
    "coverage.kinds": "fills income",
    "reconcile": "status worst_field deltas explanations divergences ts",
}


@pytest.mark.parametrize("path", KEYS)
def test_every_promised_key_is_there(path: str) -> None:
    """Additions are welcome, but nothing of interfaces.md §3 is missing."""
    snap = busy().snap
    assert set(KEYS[path].split()) <= set(at(snap, path) if path else snap)


def test_every_key_is_there_before_a_baseline_too() -> None:
    """What is not known yet is null, not absent; no figure of an account is 0 before it was stated."""
    snap = Story(baseline=False).snap
    for path in ("", "k", "e", "published", "coverage", "reconcile"):
        assert set(KEYS[path].split()) <= set(at(snap, path) if path else snap)
    nulls = ("capital", "capital_raw", "equity", "available_margin", "peak_capital")
    assert [None] * 5 == [at(snap, "k")[name] for name in nulls]
    assert (None, None, None) == (snap["baseline"], at(snap, "e.wallet_balance"), at(snap, "e.realized_pnl"))
    assert (None, None) == (at(snap, "coverage.covered_through"), at(snap, "published.valid_until"))


def test_a_bot_that_told_nothing_has_no_block() -> None:
    """`b` is null."""
    assert None is busy().snap["b"]


def figures(body: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Give every text under a name that is an amount's."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield from figures(value, f"{path}.{name}")
    elif isinstance(body, list):
        for value in body:
            yield from figures(value, path)
    elif isinstance(body, str):
        yield path, body


NO_AMOUNTS = (
    "account", "source_event_id", "ts", "at", "id", "symbol", "side", "source", "state", "covered_through",
    "valid_until", "fills", "income", "status", "worst_field", "explanations", "divergences", "kind", "order_id",
    "decisions", "notes", "other_assets", "partial_amounts", "margin_basis", "entry_basis",
)  # fmt: skip


def test_money_is_plain_decimal_text() -> None:
    """No exponent, no trailing zeros, no minus zero, and text, never a JSON float."""
    story = busy()
    story.order(symbol="ETH-USDT", side=Side.SELL, z="1", ap="90.00000000", fee="0.045", rp="-10.00000000")
    story.account("984.805", ("ETH-USDT", LONG, "0", "0"))
    found = [(path, text) for path, text in figures(story.snap) if path.rpartition(".")[2] not in NO_AMOUNTS]
    assert len(found) > 40
    assert [] == [(path, text) for path, text in found if not PLAIN.fullmatch(text) or text == "-0"]


def test_times_are_utc_with_microseconds() -> None:
    """RFC 3339 everywhere."""
    snap = busy().snap
    paths = ("ts", "baseline.at", "e.stated.wallet_balance.at", "published.valid_until", "coverage.covered_through")
    assert [] == [path for path in (*paths, "reconcile.ts") if not TIME.fullmatch(at(snap, path))]


def test_the_source_is_kind_and_number() -> None:
    """`KIND:N`, N the journal's number of the event."""
    story = busy()
    assert f"balance:{story.n}" == story.snap["source_event_id"]


def test_what_was_never_stated_is_null() -> None:
    """A fresh account has had no fill, no funding, no margin, and never a maintenance margin."""
    snap = Story().snap
    names = ("available_margin", "used_margin", "maint_margin", "last_fill_price", "last_fill_qty", "last_fill_fee")
    assert [None] * 8 == [at(snap, "e")[name] for name in (*names, "last_fill_realized_pnl", "last_funding")]
    assert {"wallet_balance"} == set(at(snap, "e.stated"))


# ---- K ----------------------------------------------------------------------------------------------------------------


def test_ks_figures_follow_the_equations() -> None:
    """account.md §4, computed here by hand: LONG 2 at 100, mark 110, leverage 4, wallet 1000."""
    story = Story(positions=(row(qty="2", mark="110", leverage="4"),))
    expected = {
        "unrealized_pnl": "20",
        "open_notional": "220",
        "used_margin": "55",
        "equity": "1020",
        "available_margin": "945",
        "leverage": "0.22",
        "open_positions": 1,
        "peak_capital": "1000",
    }
    assert expected == {name: story.k[name] for name in expected}


def test_available_margin_is_never_negative() -> None:
    """max(0, capital − used)."""
    assert "0" == Story(wallet="10", positions=(row(mark="110", leverage="1"),)).k["available_margin"]


@pytest.mark.parametrize("wallet", ["0", "-5"])
def test_leverage_is_zero_where_capital_is_not_above_zero(wallet: str) -> None:
    """Notional over nothing is no number."""
    assert "0" == Story(wallet=wallet, min_capital=D(-100), positions=(row(mark="110"),)).k["leverage"]


def test_the_peak_is_the_highest_capital_seen() -> None:
    """It does not fall with the capital."""
    story = Story()
    story.account("1500", reason="DEPOSIT", change="500")
    story.account("1400", reason="WITHDRAW", change="-100")
    assert ("1500", "1400") == (story.k["peak_capital"], story.k["capital"])


def test_without_leverage_margin_is_null_and_not_zero() -> None:
    """Never stated is null, and so is all that follows from it."""
    story = Story(positions=(row(mark="110"),))
    assert (None, None, None) == (
        story.k["used_margin"],
        story.k["available_margin"],
        at(story.snap, "k.positions.0.leverage"),
    )


def test_what_rounded_sources_leave_open_is_shown_by_field() -> None:
    """A rounded fee and an average of few digits are said; what is exact is not named."""
    story = Story()
    story.pass_s(5)
    order_id = story.new_order()
    story.fills(story.fill_row(order_id, "1", "100", "0.050005", trade_id="1"))
    story.executed(order_id, "1")
    assert {"capital_raw": "0.0000005", "fees_paid": "0.0000005"} == story.k["precision"]
    story = Story(positions=(row(entry="100.03"),))
    assert {"entry_price:BTC-USDT:LONG": "0.005"} == story.k["precision"]


def test_unknown_amounts_are_listed() -> None:
    """Kind, order, interval and time of what nobody told."""
    story = Story()
    order_id = story.order(z="1", ap="100.00000000", fee=None, trade_ms=1_680_000_000_500)
    story.account("999", reason="FUNDING_FEE", event_ms=1_680_000_000_600)
    assert [
        {"kind": "fill", "order_id": order_id, "z0": "0", "z1": "1", "at": "2023-03-28T10:40:00.500000Z"},
        {"kind": "funding", "order_id": None, "z0": None, "z1": None, "at": "2023-03-28T10:40:00.600000Z"},
    ] == story.k["unknown"]


# ---- published --------------------------------------------------------------------------------------------------------


def published(story: Story) -> tuple[Any, Any, Any]:
    """Give capital, source and whether it is usable."""
    block = at(story.snap, "published")
    return block["capital"], block["source"], block["usable"]


def test_a_fresh_agreeing_wallet_is_e_anchored() -> None:
    """E fresh and agreeing: its figure, usable."""
    assert ("994.85", "e_anchored", True) == published(busy())


def test_valid_until_is_the_earlier_of_silence_and_two_intervals() -> None:
    """15 s after the last frame, or 60 s after the last balance report."""
    story = Story()
    story.account("1000")
    due = story.us + 15_000_000
    assert due == story.projection.valid_until_us(story.us)
    late = story.us + 50_000_000
    asked_us = story.projection.state.stated.balance_asked_us
    assert asked_us + 60_000_000 == story.projection.valid_until_us(late)
    assert None is story.projection.valid_until_us(None)


@pytest.mark.parametrize("account_first", [True, False])
def test_a_stale_wallet_is_bridged_by_ks_facts_since(*, account_first: bool) -> None:
    """A fill before the stream was lost is in the last E; one learnt from REST since moves it on."""
    story = Story()
    if account_first:
        story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    order_id = story.order(z="1", ap="100.00000000", fee="0.05")
    if not account_first:
        story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    stream(story, StreamState.LOST)
    assert ("999.95", "k_bridged", False) == published(story)
    story.order(order_id, z="3", ap="100.00000000", fee="0.1", rp="0")
    assert ("999.85", "k_bridged", False) == published(story)


def test_a_wallet_without_a_balance_report_for_two_intervals_is_bridged_and_usable() -> None:
    """The stream lives, no gap is open: K's word on top of the last E may be used."""
    story = Story()
    story.pass_s(61)
    story.account("999", reason="WITHDRAW", change="-1")
    assert ("999", "k_bridged", True) == published(story)


def test_a_confirmed_difference_publishes_es_figure_as_disputed() -> None:
    """The exchange's statements are the ledger of record; not usable."""
    story = Story()
    story.account("995")
    story.tick()
    assert (None, "unknown", False) == published(story)
    audit(story, "995")
    assert ("995", "e_disputed", False) == published(story)


def test_before_a_baseline_the_seed_of_the_settings_is_all_there_is() -> None:
    """Not usable; without one nothing is published."""
    assert ("700", "seed", False) == published(Story(baseline=False, seed_capital=D(700)))
    assert (None, "unknown", False) == published(Story(baseline=False))


def test_the_published_capital_is_clamped() -> None:
    """What a bot sizes with."""
    assert ("500", "e_anchored", True) == published(Story(max_capital=D(500)))
    assert ("2000", "e_anchored", True) == published(Story(min_capital=D(2000)))


def test_a_warning_is_usable_and_an_unknown_is_not() -> None:
    """Status OK or WARN, and no open gap."""
    story = Story()
    story.order(z="1", ap="100.00000000", fee="0.05")
    assert ("WARN", True) == (story.status, at(story.snap, "published.usable"))
    story.order(z="1", ap="100.00000000", fee=None)
    assert ("UNKNOWN", False) == (story.status, at(story.snap, "published.usable"))


# ---- coverage ---------------------------------------------------------------------------------------------------------


def coverage(story: Story) -> tuple[str, str, str]:
    """Give the state, and that of each kind."""
    block = at(story.snap, "coverage")
    return block["state"], block["kinds"]["fills"], block["kinds"]["income"]


def test_coverage_goes_from_live_to_stale_to_gap_to_backfilling_to_live() -> None:
    """Stale without a living stream, gap until it is asked about, backfilling until answered, live."""
    story = Story()
    assert ("live", "live", "live") == coverage(story)
    stream(story, StreamState.LOST)
    assert ("stale", "stale", "stale") == coverage(story)
    stream(story, StreamState.CONNECTED)
    assert ("gap", "gap", "gap") == coverage(story)
    story.pass_s(1)
    story.balance("1000")
    assert ("backfilling", "backfilling", "backfilling") == coverage(story)
    story.positions()
    assert ("live", "live", "live") == coverage(story)


def test_a_gap_closed_by_the_reports_leaves_no_doubt_in_the_same_snapshot() -> None:
    """The snapshot that shows no gap open is not UNKNOWN because of that gap."""
    story = Story()
    stream(story, StreamState.LOST)
    stream(story, StreamState.CONNECTED)
    story.pass_s(1)
    story.balance("1000")
    assert ("UNKNOWN", 1) == (story.status, len(at(story.snap, "coverage.gaps")))
    story.positions()
    assert ("OK", [], True) == (story.status, at(story.snap, "coverage.gaps"), at(story.snap, "published.usable"))
    assert "provisional" == story.of_type("gap")[-1]["state"]


def test_a_kind_whose_question_was_answered_is_live_while_the_other_is_asked() -> None:
    """Fills answered, income not: the gap stays open for income alone."""
    story = Story()
    stream(story, StreamState.LOST)
    stream(story, StreamState.CONNECTED)
    story.pass_s(10)
    asked_us = story.us
    story.balance("999")
    story.fills()
    story.failed(Question.INCOME)
    story.positions()
    story.audit_done(asked_us=asked_us, failed=("income",))
    assert ("backfilling", "live", "backfilling") == coverage(story)
    assert ["fills"] == list(at(story.snap, "coverage.gaps.0.closed"))


def test_covered_through_trails_by_the_lag_and_never_lies_before_the_baseline() -> None:
    """150 s for income decide; before that much time has passed it is the baseline's moment."""
    story = Story()
    assert at(story.snap, "baseline.at") == at(story.snap, "coverage.covered_through")
    audit(story, "1000", after_s=200)
    last = at(story.snap, "ts")
    assert at(story.snap, "baseline.at") < at(story.snap, "coverage.covered_through") < last


def test_a_gap_has_every_field_of_the_contract() -> None:
    """account.md §7."""
    story = Story()
    stream(story, StreamState.LOST)
    names = {"id", "kinds", "from", "to", "cause", "state", "by", "rows", "at", "closed"}
    assert names <= set(at(story.snap, "coverage.gaps.0"))
    assert (None, ["fills", "income"], "open") == tuple(
        at(story.snap, "coverage.gaps.0")[name] for name in ("to", "kinds", "state")
    )


def test_an_adopted_baseline_ends_open_gaps_and_says_so() -> None:
    """They lie before the ledger that begins; a list of gaps does not show them open for ever."""
    story = Story()
    stream(story, StreamState.LOST)
    story.pass_s(1)
    story.tell(
        BaselineTaken(
            baseline_id="b2", taken_ms=story.ms, wallet=D(1000), positions=(), orders=(), adopted_by=0, why="told so"
        )
    )
    states = {body["id"]: (body["state"], body["by"]) for body in story.of_type("gap")}
    assert {"gap-1": ("final", "adopt"), "gap-2": ("open", None)} == states


def test_decisions_and_notes_are_shown() -> None:
    """What evidence decided, and which checks are degraded and why."""
    story = Story()
    for _ in range(2):
        story.failed(Question.INCOME, "no permission", unavailable=True)
        story.failed(Question.FILLS, "no permission", unavailable=True)
    story.failed(Question.BALANCE, "no permission", unavailable=True)
    assert ["income: no permission", "fills: no permission", "balance: no permission"] == at(
        story.snap, "coverage.notes"
    )
    assert ("live", "unavailable", "unavailable") == coverage(story)
