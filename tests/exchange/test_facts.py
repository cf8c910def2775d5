"""The exchange's own list of what happened, against its books, its frames and its rows."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from ditad.exchange import AccountSpec, Dialect, Trader
from ditad.exchange import facts as facts_module
from ditad.exchange.dialect import ForcedTold
from ditad.exchange.facts import Facts
from tests.exchange.stage import Stage

ZERO = Decimal(0)


def acted(seed: int, *, spec: AccountSpec | None = None, dialect: Dialect | None = None) -> Stage:
    """Tell a story of 120 acts."""
    stage = Stage(spec=spec or AccountSpec(name="main"), dialect=dialect or Dialect(), seed=seed)
    trader = Trader(stage.main, seed=seed, forced=True)
    for _ in range(120):
        stage.clock.now_ms += 731
        trader.step()
    return stage


@pytest.mark.parametrize("hedge", [True, False])
@pytest.mark.parametrize("told", list(ForcedTold))
def test_facts_add_up_to_the_wallet(hedge: bool, told: ForcedTold) -> None:
    """Executions and movements together are all that ever moved it."""
    stage = acted(3, spec=AccountSpec(name="main", hedge=hedge), dialect=Dialect(forced_told=told))
    facts, books = stage.venue.facts("main"), stage.venue.books("main")
    traded = sum((e.realized_pnl - e.fee for e in facts.executions), ZERO)
    moved = sum((m.amount for m in facts.movements), ZERO)
    assert books["opening_balance"] + traded + moved == books["wallet_balance"]
    assert books["fills"] == len(facts.executions)


def test_the_pieces_of_an_order_lie_end_to_end() -> None:
    """Each order's executions cover (0, filled] once, in their order."""
    stage = acted(5)
    pieces: dict[int, list[tuple[Decimal, Decimal]]] = {}
    for fact in stage.venue.facts("main").executions:
        pieces.setdefault(fact.order_id, []).append((fact.z0, fact.z1))
        assert fact.qty == fact.z1 - fact.z0 > 0
    for order_id, covered in pieces.items():
        assert (ZERO, stage.main.orders[order_id].filled) == (covered[0][0], covered[-1][1])
        assert all(left[1] == right[0] for left, right in pairwise(covered))


def test_a_movement_names_the_row_and_the_push_that_tell_it() -> None:
    """The row's number, time, kind and amount, and the `E` of the frame."""
    stage = acted(7, dialect=Dialect(row_delay_s_max=60, funding_stamp_s_max=60))
    rows = {row.tran_id: row for row in stage.main.incomes}
    events = {frame["E"] for frame in stage.said if frame["e"] == "ACCOUNT_UPDATE"}
    movements = stage.venue.facts("main").movements
    assert {"FUNDING_FEE", "TRANSFER"} <= {fact.kind for fact in movements}
    for fact in movements:
        row = rows[fact.tran_id or 0]
        assert (row.kind, row.amount, row.at_ms, row.visible_ms, row.symbol) == (
            fact.kind,
            fact.amount,
            fact.row_at_ms,
            fact.row_visible_ms,
            fact.symbol,
        )
        assert fact.event_ms in events
        assert fact.at_ms <= (fact.row_at_ms or 0) + 1000


def test_what_no_row_tells_says_so() -> None:
    """The demo flavour has none; elsewhere transfers may be missing alone."""
    demo = Stage(spec=AccountSpec(name="main", margin_asset="VST"))
    demo.main.deposit(1)
    live = Stage(dialect=Dialect(transfer_rows=False))
    live.main.deposit(1)
    live.main.other_income("-1", reason="ADJUSTMENT")
    assert [None] == [fact.tran_id for fact in demo.venue.facts("main").movements]
    assert [False, True] == [fact.row_at_ms is not None for fact in live.venue.facts("main").movements]


@pytest.mark.parametrize(
    ("told", "pushed", "in_rows", "by_income"),
    [
        ("frame", True, True, False),
        ("income", False, True, True),
        ("both", True, True, True),
        ("neither", False, False, False),
    ],
)
def test_a_forced_close_says_by_which_road_it_was_told(told: str, pushed: bool, in_rows: bool, by_income: bool) -> None:
    """By frame, by income row, by both, or by neither."""
    stage = Stage()
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1", price="4000.00")
    stage.main.force_close("ETH-USDT", "LONG", kind="ADL", price="3700.00", told=told)
    opened, closed = stage.venue.facts("main").executions
    assert (None, None) == (opened.forced, opened.road)
    assert (told, "ADL", pushed, in_rows) == (closed.road, closed.forced, closed.pushed, closed.in_rows)
    told_by = [row.tran_id for row in stage.main.incomes if row.kind == "ADL"]
    assert ([closed.income_tran_id] if by_income else []) == told_by


def test_a_quiet_execution_is_a_fact_that_no_frame_told() -> None:
    """Three parts in one frame: only the last was pushed, all are in the rows."""
    stage = Stage()
    parts = [("0.1", "4000.00"), ("0.2", "4000.01"), ("0.3", "4000.02")]
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "0.6", parts=parts, one_frame=True)
    executions = stage.venue.facts("main").executions
    assert [False, False, True] == [fact.pushed for fact in executions]
    assert [True, True, True] == [fact.in_rows for fact in executions]


def test_a_silent_change_moves_the_wallet_and_is_never_told() -> None:
    """No frame, no row, no number of one: only books and reports of the wallet know of it."""
    stage = Stage()
    stage.main.silent_change("-12.5")
    (fact,) = stage.venue.facts("main").movements
    assert ([], [], Decimal("9987.5")) == (stage.said, list(stage.main.incomes), stage.main.books.wallet)
    assert (Decimal("-12.5"), None, None, None) == (fact.amount, fact.event_ms, fact.row_at_ms, fact.tran_id)


def test_numbers_stay_when_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checker that follows along never sees a number change its fact, and asks in vain for what is gone."""
    monkeypatch.setattr(facts_module, "FACTS_MAX", 3)
    facts: Facts[int] = Facts()
    for number in range(7):
        facts.append(number)
        assert number == facts[number]
    assert (3, 7, [3, 4, 5, 6], [4, 5], []) == (facts.first, len(facts), facts[3:], facts[4:6], facts[7:])
    for wrong in (0, 2, 7, -1):
        with pytest.raises(IndexError, match="kept are the numbers 3 to 6"):
            facts[wrong]
    for piece in (slice(0, None), slice(3, -1), slice(3, None, 2)):
        with pytest.raises(IndexError, match="from 3 on"):
            facts[piece]
