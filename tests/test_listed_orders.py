"""What a list of orders says was executed: heard together with the rows that it makes complete sets of."""

from __future__ import annotations

from ditad.events import OrderStatus, Question
from tests.support.reading import at
from tests.support.story import Story, order_id_at


def test_rows_of_an_unknown_order_are_complete_with_what_the_list_says() -> None:
    """No gap opens, nobody is asked about the order alone, and its fill is a fact."""
    story = Story()
    story.pass_s(100)
    order_id = order_id_at(story.ms)
    story.pass_s(100)
    story.executed(order_id, "0.02", ap="50000", question=Question.ORDERS)
    story.fills(
        story.fill_row(order_id, "0.005", "50000", "0.125"), story.fill_row(order_id, "0.015", "50000", "0.375")
    )
    assert "0.5" == at(story.snap, "k.fees_paid")
    assert ([], ()) == (at(story.snap, "coverage.gaps"), story.projection.needs().orders)


def test_what_the_list_says_of_a_known_order_without_rows_is_heard_when_the_round_ends() -> None:
    """Then something of it is missing, and it is asked about; of unknown orders nothing is believed without rows."""
    story = Story()
    story.pass_s(100)
    known, unknown = order_id_at(story.ms), order_id_at(story.ms, 1)
    story.order(known, status=OrderStatus.PARTIALLY_FILLED, z="0.01", q="0.02", ap="50000", fee="0.25")
    story.executed(known, "0.02", ap="50000", question=Question.ORDERS)
    story.audit_done()
    assert [known] == [need.order_id for need in story.projection.needs().orders]
    story.executed(unknown, "0.02", ap="50000", question=Question.ORDERS)
    story.audit_done()
    assert [known] == [need.order_id for need in story.projection.needs().orders]


def test_what_the_list_says_of_an_order_from_before_the_baseline_is_heard_and_not_folded() -> None:
    """It is asked about before it is folded, whatever it executed; its rows then need no other answer."""
    story = Story()
    before = order_id_at(story.ms - 60_000)
    story.pass_s(10)
    story.order(before, status=OrderStatus.PARTIALLY_FILLED, z="0.01", q="0.02", ap="50000", fee="0.25")
    story.executed(before, "0.02", ap="50000", question=Question.ORDERS)
    story.audit_done()
    assert ("1000", [before]) == (story.k["capital_raw"], [need.order_id for need in story.projection.needs().orders])
    rows = [story.fill_row(before, "0.01", "50000", "0.25", trade_id=trade_id) for trade_id in ("1", "2")]
    story.fills(*rows, order_id=before)
    assert ("999.5", ()) == (story.k["capital_raw"], story.projection.needs().orders)
