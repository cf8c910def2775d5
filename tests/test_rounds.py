"""Ends of rounds: what the book keeps until all of its time is told. All events are synthetic."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from ditad.events import AuditDone, Side
from ditad.rounds import WAITING_FILLS_MAX
from ditad.stepping import BookFill
from tests.support.story import ALL_QUESTIONS, Story

KEY = "BTC-USDT:LONG"


def test_fills_stay_single_while_an_order_of_their_time_lacks_some() -> None:
    """Rows tell of more than was known to be executed, and only the next round asks: the close has its place then."""
    story = Story(tick="0.1")
    asked_again = away(story)
    story.executed(asked_again, "2", side=Side.SELL, ap="110")
    end_round(story)
    run = story.projection.state.positions[KEY].run
    assert (Decimal(1), Decimal(104), Decimal(0)) == (run.quantity, run.entry_price, run.cost_slack)
    end_round(story)
    assert [] == story.projection.state.positions[KEY].fills


@pytest.mark.parametrize(("beyond", "single"), [(0, True), (1, False)])
def test_no_more_fills_wait_than_may_be_kept(beyond: int, *, single: bool) -> None:
    """At the bound they are forgotten all the same; what comes later then leaves the entry open."""
    story = Story(tick="0.1")
    asked_again = away(story)
    position = story.projection.state.positions[KEY]
    last = position.fills[-1]
    more = [another(last, number) for number in range(WAITING_FILLS_MAX - len(position.fills) + beyond)]
    position.change(removed=(), added=more)
    end_round(story)
    assert single == bool(position.fills)
    story.executed(asked_again, "2", side=Side.SELL, ap="110")
    assert single == (not position.run.cost_slack)


def another(last: BookFill, number: int) -> BookFill:
    """Make one more opening after the last fill, as if its order had gone on."""
    z0 = Decimal(number + 1)
    return replace(last, z0=z0, z1=z0 + 1, at_ms=last.at_ms + 1_000 + 100 * number, whole_second=False)


def away(story: Story) -> str:
    """Open 2 at 100, close 1 of 2, and come back an hour later: the rest of the close, then 1 at 104, then a round."""
    first, close, second = story.new_order(), story.new_order(), story.new_order()
    story.order(first, z="2", ap="100.00000000", fee="0.1", last=("2", "100"), trade_ms=story.ms)
    part = story.fill_row(close, "1", "110", "0.055", side=Side.SELL, rp="10", trade_id="1", at_ms=story.ms + 2_000)
    story.pass_s(10)
    story.fills(part)
    story.executed(close, "1", side=Side.SELL, ap="110")
    rest = replace(part, trade_id="2", at_ms=part.at_ms + 20_000)
    grown = story.fill_row(second, "1", "104", "0.052", trade_id="3", at_ms=rest.at_ms + 5_000)
    story.pass_s(3_600)
    story.fills(part, rest, grown)
    story.executed(second, "1", ap="104")
    end_round(story)
    return close


def end_round(story: Story) -> None:
    """End a round of questions that were all answered."""
    story.pass_s(60)
    story.fills()
    story.income()
    story.tell(AuditDone(cause="test", asked_us=story.us, asked_ms=story.ms, questions=ALL_QUESTIONS, failed=()))
