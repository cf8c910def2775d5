"""When the audit asks what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ditad.bingx.audit import ORDERS_MAX, ORDERS_REMEMBERED_MAX, Ask, Schedule
from ditad.bingx.options import FeedOptions
from ditad.events import NO_NEEDS, Needs, OrderNeed, Question

S = 1_000_000
OPTIONS = FeedOptions(
    environment="live", margin_asset="USDT", interval_s=30, fills_interval_s=300, income_interval_s=600
)
QUIET = Needs(
    baseline=False,
    statements_after_us=None,
    facts_after_us=None,
    fills_from_ms=1_000,
    income_from_ms=2_000,
    orders=(),
    symbols=("BTC-USDT",),
)
STATEMENTS = [Question.BALANCE, Question.POSITIONS]
ALL = [*STATEMENTS, Question.FILLS, Question.FORCED_ORDERS, Question.INCOME]


def asked(schedule: Schedule, needs: Needs, now_us: int) -> list[Question]:
    """Plan a round and let everything in it be answered."""
    planned = schedule.plan(needs, now_us)
    questions = [ask.question for ask in planned.asks] if planned is not None else []
    for question in questions:
        schedule.answered(question, now_us)
    return questions


def test_nothing_is_asked_before_the_baseline() -> None:
    """There is nothing to compare with yet."""
    schedule = Schedule(OPTIONS)
    schedule.demand("requested")
    assert schedule.plan(NO_NEEDS, S) is None
    assert schedule.next_due_us(NO_NEEDS) is None


def test_the_first_round_asks_everything_in_its_order() -> None:
    """Statements, then facts back to their watermarks."""
    planned = Schedule(OPTIONS).plan(QUIET, S)
    assert planned is not None
    assert planned.cause == "regular"
    assert ALL == [ask.question for ask in planned.asks]
    assert [None, None, 1_000, 1_000, 2_000] == [ask.from_ms for ask in planned.asks]


def test_without_watermarks_no_facts_are_asked() -> None:
    """The fold does not want any."""
    needs = replace(QUIET, fills_from_ms=None, income_from_ms=None)
    assert STATEMENTS == asked(Schedule(OPTIONS), needs, S)


def test_intervals_are_kept() -> None:
    """Statements each 30 s; what is nearly due goes along, so that rounds stay whole."""
    schedule = Schedule(OPTIONS)
    asked(schedule, QUIET, S)
    assert schedule.next_due_us(QUIET) == 31 * S
    assert asked(schedule, QUIET, 30 * S) == []
    assert STATEMENTS == asked(schedule, QUIET, 31 * S)
    assert [*STATEMENTS, Question.FILLS, Question.FORCED_ORDERS] == asked(schedule, QUIET, 275 * S)


def test_what_the_fold_needs_is_asked_at_once() -> None:
    """A statement or facts wanted after a moment are due until asked after it."""
    schedule = Schedule(OPTIONS)
    asked(schedule, QUIET, S)
    needs = replace(QUIET, statements_after_us=2 * S)
    planned = schedule.plan(needs, 3 * S)
    assert planned is not None
    assert planned.cause == "needs"
    assert STATEMENTS == [ask.question for ask in planned.asks]
    assert ALL == asked(schedule, replace(QUIET, facts_after_us=3 * S), 4 * S)
    assert asked(schedule, replace(QUIET, facts_after_us=3 * S), 5 * S) == []


def test_rounds_have_a_distance() -> None:
    """A need that nothing satisfies does not become a loop."""
    schedule = Schedule(OPTIONS)
    needs = replace(QUIET, statements_after_us=99 * S)
    asked(schedule, needs, S)
    assert schedule.plan(needs, S + S // 4) is None
    assert schedule.next_due_us(needs) == S + S // 2
    assert STATEMENTS == asked(schedule, needs, S + S // 2)


def test_orders_are_asked_about_one_by_one_with_growing_pauses() -> None:
    """At once where no facts are due; again after 2, 4, 8 s while the fold still wants it."""
    schedule = Schedule(OPTIONS)
    asked(schedule, QUIET, S)
    need = OrderNeed(order_id="7", symbol="X", from_ms=5)
    needs = replace(QUIET, orders=(need,))
    planned = schedule.plan(needs, 2 * S)
    assert planned is not None
    assert (Ask(question=Question.ORDER, symbol="X", order=need),) == planned.asks
    assert planned.asks[0].name == "order 7"
    schedule.order_asked("7", 2 * S)
    assert schedule.plan(needs, 3 * S) is None
    assert schedule.next_due_us(needs) == 4 * S
    assert schedule.plan(needs, 4 * S) is not None
    schedule.order_asked("7", 4 * S)
    assert schedule.next_due_us(needs) == 8 * S
    schedule.order_asked("7", 8 * S, unavailable=True)
    assert asked(schedule, needs, 9 * S) == []


def test_single_orders_come_after_the_facts_of_their_round() -> None:
    """The facts mostly tell what was missing of them."""
    need = OrderNeed(order_id="7", symbol="X", from_ms=5)
    planned = Schedule(OPTIONS).plan(replace(QUIET, orders=(need,)), S)
    assert planned is not None
    assert [*ALL, Question.ORDER] == [ask.question for ask in planned.asks]


def test_many_orders_are_asked_about_in_several_rounds() -> None:
    """A round has a bound, and so has the memory of orders."""
    schedule = Schedule(OPTIONS)
    needs = replace(QUIET, orders=tuple(OrderNeed(order_id=str(n), symbol="X", from_ms=5) for n in range(50)))
    planned = schedule.plan(needs, S)
    assert planned is not None
    assert [ask.question for ask in planned.asks].count(Question.ORDER) == ORDERS_MAX
    for number in range(ORDERS_REMEMBERED_MAX + 5):
        schedule.order_asked(str(number), S)
    assert schedule.next_due_us(replace(QUIET, orders=needs.orders[:1])) == S + S // 2


def test_a_failed_question_is_asked_again_with_growing_pauses() -> None:
    """Up to a minute; an answer ends the count."""
    schedule = Schedule(OPTIONS)
    asked(schedule, QUIET, 0)
    now_us = 0
    pauses = []
    for _ in range(7):
        schedule.failed(Question.BALANCE, now_us)
        planned = None
        while planned is None:
            now_us += S
            needs = replace(QUIET, statements_after_us=None)
            schedule.answered(Question.POSITIONS, now_us)
            for fact in (Question.FILLS, Question.FORCED_ORDERS, Question.INCOME):
                schedule.answered(fact, now_us)
            planned = schedule.plan(needs, now_us)
        pauses.append(now_us)
    assert [2, 4, 8, 16, 32, 60, 60] == [
        (after - before) // S for before, after in zip([0, *pauses], pauses, strict=False)
    ]
    schedule.answered(Question.BALANCE, now_us)
    assert schedule.next_due_us(QUIET) == now_us + 30 * S


def test_a_statement_that_failed_is_not_dragged_along_with_facts() -> None:
    """Its pause counts also where facts are due."""
    schedule = Schedule(OPTIONS)
    asked(schedule, QUIET, S)
    for _ in range(5):
        schedule.failed(Question.BALANCE, 2 * S)
    needs = replace(QUIET, facts_after_us=2 * S)
    assert [Question.POSITIONS, *ALL[2:]] == asked(schedule, needs, 3 * S)


def test_what_is_never_answered_to_this_key_is_asked_hourly() -> None:
    """Degraded and not dropped; not even a demand asks sooner."""
    schedule = Schedule(OPTIONS)
    schedule.failed(Question.INCOME, S, unavailable=True)
    schedule.demand("requested")
    assert Question.INCOME not in asked(schedule, QUIET, 2 * S)
    assert Question.INCOME in asked(schedule, QUIET, 3601 * S)


@pytest.mark.parametrize("failed_before", [False, True])
def test_a_demand_asks_everything_now(failed_before: bool) -> None:
    """Whatever was answered or failed a moment ago."""
    schedule = Schedule(OPTIONS)
    asked(schedule, QUIET, S)
    if failed_before:
        schedule.failed(Question.FILLS, S)
    schedule.demand("requested")
    planned = schedule.plan(QUIET, 2 * S)
    assert planned is not None
    assert planned.cause == "requested"
    assert ALL == [ask.question for ask in planned.asks]


def test_a_question_is_named_with_its_subject() -> None:
    """As `AuditDone.failed` lists it."""
    assert Ask(question=Question.FILLS, symbol="BTC-USDT").name == "fills BTC-USDT"
    assert Ask(question=Question.BALANCE).name == "balance"
