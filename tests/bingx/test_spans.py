"""Complete answers from windows, pages and halves."""

from decimal import Decimal

import pytest

from ditad.bingx.spans import (
    DAY_MS,
    HISTORY_KEPT_MS,
    INCOME_KEPT_MS,
    OLD_KEPT_MS,
    SPAN_MS_MAX,
    Source,
    Span,
    complete_fills,
    complete_income,
    complete_orders,
    fill_spans,
    income_span,
    next_page,
    order_spans,
)
from ditad.events import FillRow, IncomeRow, OrderRow, OrderStatus, PositionSide, Side

NOW = 1_789_670_397_123


def fill(at_ms: int, order: str = "1", trade: str | None = None) -> FillRow:
    """Give an execution."""
    return FillRow(
        order_id=order,
        trade_id=trade,
        symbol="X",
        side=Side.BUY,
        position_side=PositionSide.LONG,
        quantity=Decimal(1),
        price=Decimal(1),
        fee=None,
        fee_asset=None,
        realized_pnl=None,
        at_ms=at_ms,
        whole_second=False,
    )


def test_the_last_days_are_asked_with_trade_ids() -> None:
    """Within 7 days one question is enough."""
    assert ((Source.HISTORY, Span(from_ms=NOW - DAY_MS, to_ms=NOW)),) == fill_spans(NOW - DAY_MS, NOW)


def test_what_is_older_is_asked_elsewhere_and_the_pieces_touch() -> None:
    """The older history reaches 30 days back; each piece is at most 7 days and none is left out."""
    pieces = fill_spans(NOW - 20 * DAY_MS, NOW)
    assert [Source.OLD, Source.OLD, Source.HISTORY] == [source for source, _ in pieces]
    spans = [span for _, span in pieces]
    assert spans[0].from_ms == NOW - 20 * DAY_MS
    assert [span.from_ms for span in spans[1:]] == [span.to_ms for span in spans[:-1]]
    assert all(span.to_ms - span.from_ms <= SPAN_MS_MAX for span in spans)
    assert spans[-1].to_ms - spans[-1].from_ms < HISTORY_KEPT_MS + 1000
    assert (False, True) == (spans[0].inner_from, spans[0].inner_to)
    assert (True, False) == (spans[-1].inner_from, spans[-1].inner_to)


def test_what_the_exchange_no_longer_keeps_is_not_claimed() -> None:
    """The first span begins where the answer can."""
    assert fill_spans(0, NOW)[0][1].from_ms == NOW - OLD_KEPT_MS
    assert income_span(0, NOW).from_ms == NOW - INCOME_KEPT_MS
    assert order_spans(0, NOW)[0].from_ms == NOW - OLD_KEPT_MS


def test_orders_are_asked_in_spans_of_a_week() -> None:
    """The exchange takes 7 days at most."""
    spans = order_spans(NOW - 15 * DAY_MS, NOW)
    assert len(spans) == 3
    assert [span.from_ms for span in spans[1:]] == [span.to_ms for span in spans[:-1]]
    assert spans[-1].to_ms == NOW


def test_an_inner_edge_is_asked_a_second_beyond_and_filtered() -> None:
    """Rows are stamped in whole seconds: each belongs to exactly one of two neighbours."""
    halves = Span(from_ms=1_000, to_ms=11_500).halves()
    assert halves is not None
    left, right = halves
    assert (1_000, 7_500) == (left.asked_from_ms, left.asked_to_ms)
    assert (5_500, 11_500) == (right.asked_from_ms, right.asked_to_ms)
    for at_ms in (500, 1_000, 6_000, 6_499, 6_500, 6_501, 7_000, 11_500, 12_000):
        assert [left.holds(at_ms), right.holds(at_ms)].count(True) == 1


@pytest.mark.parametrize(("from_ms", "to_ms"), [(1_500, 2_400), (5, 6), (1_000, 1_400), (1_600, 2_500)])
def test_a_span_within_a_second_has_no_halves(from_ms: int, to_ms: int) -> None:
    """There the end of what can be asked is reached."""
    assert Span(from_ms=from_ms, to_ms=to_ms).halves() is None


@pytest.mark.parametrize(
    ("page", "rows", "page_rows", "collected", "total", "expected"),
    [
        (1, 1000, 1000, 1000, None, 2),
        (2, 999, 1000, 1999, None, None),
        (1, 0, 1000, 0, None, None),
        (1, 500, 1000, 500, 1200, 2),
        (3, 200, 1000, 1200, 1200, None),
        (1, 1000, 1000, 1000, 1000, 2),
        (2, 0, 1000, 1000, 1000, None),
    ],
)
def test_the_next_page_is_asked_until_the_answer_is_complete(
    page: int, rows: int, page_rows: int, collected: int, total: int | None, expected: int | None
) -> None:
    """A full page has a successor; a stated total guards against pages cut shorter than asked."""
    assert expected == next_page(page, rows, page_rows, collected, total)


def test_an_empty_page_before_the_total_is_no_complete_answer() -> None:
    """Then rows are missing, and the question has failed."""
    with pytest.raises(ValueError, match="page 3 came empty after 5 of 7 rows"):
        next_page(3, 0, 10, 5, 7)


def test_executions_are_sorted_and_each_trade_counts_once() -> None:
    """Rows come in either order and on two pages; those without a trade id are all kept."""
    rows = [fill(3, trade="10"), fill(3, trade="9"), fill(1), fill(1), fill(3, trade="10"), fill(3, "2", "10")]
    assert [(1, "1", None), (1, "1", None), (3, "1", "9"), (3, "1", "10"), (3, "2", "10")] == [
        (row.at_ms, row.order_id, row.trade_id) for row in complete_fills(rows)
    ]


def test_orders_and_income_are_sorted_and_count_once() -> None:
    """Neighbouring spans may both bring the row on their edge."""

    def order(order_id: str, executed: int) -> OrderRow:
        return OrderRow(
            order_id=order_id,
            symbol="X",
            side=Side.BUY,
            position_side=PositionSide.LONG,
            order_type="LIMIT",
            status=OrderStatus.NEW,
            quantity=None,
            executed=Decimal(executed),
            average_price=None,
            fee=None,
            realized_pnl=None,
            created_ms=None,
            updated_ms=None,
            forced=None,
        )

    assert [("9", 1), ("10", 2)] == [
        (row.order_id, int(row.executed)) for row in complete_orders([order("10", 1), order("9", 1), order("10", 2)])
    ]

    def income(tran_id: str, at_ms: int) -> IncomeRow:
        return IncomeRow(
            tran_id=tran_id,
            kind="TRANSFER",
            amount=Decimal(1),
            asset="USDT",
            symbol=None,
            at_ms=at_ms,
            info=None,
            trade_id=None,
        )

    rows = [income("b", 2), income("a", 2), income("c", 1), income("b", 2)]
    assert ["c", "a", "b"] == [row.tran_id for row in complete_income(rows)]
