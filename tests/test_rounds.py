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


def test_what_is_over_is_not_remembered() -> None:
    """However long an account lives, what is held of its incomes is that of the last two hours."""
    story = Story(tick="0.1")
    held = [lived_hour(story, hour) for hour in range(7)]
    assert held[4:] == [held[3]] * 3
    assert held[0] != held[3]


def test_witnesses_wait_for_as_long_as_a_divergence_asks_for_its_cause() -> None:
    """Hours later its attribution still names the second whose rows tell of more than K has, until a day is over."""
    story = Story(tick="0.1")
    rows = [story.income_row("t-1", "TRADING_FEE", "-5", symbol="BTC-USDT")]
    missed = f"BTC-USDT|{story.ms // 1_000}"
    story.income(*rows)
    story.balance("995")
    story.pass_s(60)
    story.balance("995")
    end_round(story)
    kept = []
    for hours in (3, 18, 6):
        story.pass_s(hours * 3_600)
        story.balance("995")
        end_round(story)
        kept.append(missed in story.projection.state.witnesses)
    assert "capital_vs_wallet" in story.projection.state.divergences
    assert [True, True, False] == kept


@pytest.mark.parametrize("reason", ["FUNDING_FEE", "DEPOSIT"])
def test_an_old_frame_that_is_sent_again_counts_once(reason: str) -> None:
    """Days later nobody remembers it by its name, and it is still no new fact."""
    story = Story()
    story.pass_s(120)
    at_ms = story.ms
    row = story.income_row("1", reason if reason == "FUNDING_FEE" else "TRANSFER", "-0.5", symbol="BTC-USDT")
    story.account("999.5", reason=reason, change="-0.5", event_ms=at_ms)
    story.income(row)
    for _ in range(3):
        story.pass_s(86_400)
        end_round(story)
        story.account("999.5", reason=reason, change="-0.5", event_ms=at_ms)
        assert "999.5" == story.k["capital_raw"]
    assert {} == story.projection.state.incomes.heard


def lived_hour(story: Story, hour: int) -> tuple[int, ...]:
    """Open and close once, pay funding and be asked, four times; gives how much is held of what was told."""
    state = story.projection.state
    for quarter in range(4):
        name = f"{hour}-{quarter}"
        wallet = Decimal(1_000) - Decimal("0.5") * (4 * hour + quarter + 1)
        paid = story.income_row(f"f-{name}", "FUNDING_FEE", "-0.5", symbol="BTC-USDT")
        story.account(str(wallet), reason="FUNDING_FEE", change="-0.5")
        fee = story.income_row(f"t-{name}", "TRADING_FEE", "0", symbol="BTC-USDT")
        story.pass_s(839)
        story.balance(str(wallet))
        story.income(paid, fee)
        end_round(story)
    incomes = state.incomes
    return len(incomes.groups), len(incomes.heard), len(state.witnesses), len(state.income_numbers)


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
