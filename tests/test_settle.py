"""Numbers of one moment: what waits for its twin and what is left."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditad.settle import (
    SEARCHED_FACTS_MAX,
    WAITING_FACTS_MAX,
    WAITING_STATEMENTS_MAX,
    Balance,
    Standing,
    Twins,
    balance,
    move,
    settle_at,
    state,
)

WINDOW = 2_000_000
ZERO = Decimal(0)


def agreed(value: str = "100") -> Twins:
    """Give a field on which K and E agree."""
    twins = Twins()
    settle_at(twins, Decimal(value))
    return twins


def read(twins: Twins, k: str, at: int, tolerance: str = "0") -> Balance:
    """Compare K with E now."""
    return balance(twins, Decimal(k), Decimal(tolerance), at)


def fact(twins: Twins, amount: str, at: int) -> None:
    """Hear a fact."""
    move(twins, Decimal(amount), at, WINDOW)


def said(twins: Twins, value: str, at: int) -> None:
    """Hear a statement."""
    state(twins, Decimal(value), at, WINDOW)


def test_without_a_statement_the_field_is_silent() -> None:
    """Never stated is not zero."""
    assert Standing.SILENT is read(Twins(), "5", 0).standing


@pytest.mark.parametrize(("k", "standing"), [("100.0001", Standing.SETTLED), ("100.0002", Standing.RESIDUAL)])
def test_tolerance_is_inclusive(k: str, standing: Standing) -> None:
    """A difference of exactly the tolerance agrees."""
    assert standing is read(agreed(), k, 0, "0.0001").standing


def test_a_fact_waits_for_its_statement() -> None:
    """Fact first: no residual inside the window, whatever its size; the whole of it at the end."""
    twins = agreed()
    fact(twins, "-7", 0)
    inside, after = read(twins, "93", WINDOW - 1), read(twins, "93", WINDOW)
    assert ((Standing.UNSETTLED, ZERO, WINDOW), (Standing.RESIDUAL, Decimal(-7), None)) == (
        (inside.standing, inside.residual, inside.deadline_us),
        (after.standing, after.residual, after.deadline_us),
    )


def test_a_statement_waits_for_its_fact() -> None:
    """Statement first: K equals what was said before it until the window ends."""
    twins = agreed()
    said(twins, "93", 0)
    inside, after = read(twins, "100", WINDOW - 1), read(twins, "100", WINDOW)
    assert ((Standing.UNSETTLED, Decimal(7)), (Standing.RESIDUAL, Decimal(7))) == (
        (inside.standing, inside.delta),
        (after.standing, after.residual),
    )


def test_twins_settle() -> None:
    """Once both were heard nothing waits."""
    twins = agreed()
    fact(twins, "-7", 0)
    said(twins, "93", 1)
    assert (Standing.SETTLED, [], 1) == (read(twins, "93", 2).standing, twins.facts, len(twins.statements))


def test_a_fact_that_moves_nothing_does_not_wait() -> None:
    """A fill without fee and profit has no twin in the wallet."""
    twins = agreed()
    fact(twins, "0", 0)
    assert [] == twins.facts


def test_what_no_twin_explains_is_a_residual_at_once() -> None:
    """A loss of 5 does not hide behind a fact of 7 that waits."""
    twins = agreed()
    fact(twins, "-7", 0)
    assert (Standing.RESIDUAL, Decimal(-12)) == (read(twins, "88", 1).standing, read(twins, "88", 1).residual)


def test_a_repeated_statement_starts_no_new_clock() -> None:
    """Said again at the end of the window, it does not wait another window."""
    twins = agreed()
    said(twins, "93", 0)
    said(twins, "93", WINDOW - 1)
    reading = read(twins, "100", WINDOW)
    assert (Standing.RESIDUAL, None) == (reading.standing, reading.deadline_us)


def test_a_later_fact_does_not_extend_an_earlier_ones_clock() -> None:
    """The first fact's window ends although a second one still waits: what is left is the first."""
    twins = agreed()
    fact(twins, "-7", 0)
    fact(twins, "-2", WINDOW - 1)
    assert Standing.RESIDUAL is read(twins, "91", WINDOW).standing


def test_a_later_statement_does_not_extend_an_earlier_ones_clock() -> None:
    """K stands at the baseline; the first change's window is over, only the second one's is not."""
    twins = agreed()
    said(twins, "93", 0)
    said(twins, "90", WINDOW - 1)
    assert (Standing.RESIDUAL, Decimal(10)) == (
        read(twins, "100", WINDOW).standing,
        read(twins, "100", WINDOW).residual,
    )


def test_a_confirmed_residual_stays_visible_while_facts_are_on_their_way() -> None:
    """A new fact does not make the known difference of 5 another one, nor hide it."""
    twins = agreed()
    twins.confirmed = Decimal(-5)
    fact(twins, "-7", 0)
    reading = read(twins, "88", 1)
    assert (Standing.RESIDUAL, Decimal(-5), Decimal(-5)) == (reading.standing, reading.residual, reading.delta)


def test_agreement_forgets_a_confirmed_residual() -> None:
    """Healed is healed."""
    twins = agreed()
    twins.confirmed = Decimal(-5)
    read(twins, "100", 0)
    assert twins.confirmed is None


def test_a_baseline_forgets_all_that_waits() -> None:
    """E is this, and nothing waits."""
    twins = agreed()
    fact(twins, "-7", 0)
    said(twins, "1", 0)
    settle_at(twins, Decimal(3))
    assert Standing.SETTLED is read(twins, "3", 0).standing


@settings(max_examples=150, deadline=None)
@given(st.data(), st.lists(st.integers(-9, 9).filter(bool), min_size=1, max_size=30))
def test_interleaved_twins_inside_the_window_are_never_a_residual(data: st.DataObject, amounts: list[int]) -> None:
    """Facts and statements each keep their own order; however they interleave, all is unsettled or settled."""
    twins, k, e, at = agreed(), Decimal(100), Decimal(100), 0
    facts, statements = list(amounts), list(amounts)
    standings = []
    while facts or statements:
        at += 1
        if facts and (not statements or data.draw(st.booleans())):
            amount = facts.pop(0)
            k += amount
            fact(twins, str(amount), at)
        else:
            e += statements.pop(0)
            said(twins, str(e), at)
        standings.append(read(twins, str(k), at).standing)
    assert (False, Standing.SETTLED) == (Standing.RESIDUAL in standings, standings[-1])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=SEARCHED_FACTS_MAX), st.data())
def test_any_subset_of_few_facts_explains(amounts: list[int], data: st.DataObject) -> None:
    """Statements of any of them may be under way."""
    twins = agreed()
    for amount in amounts:
        fact(twins, str(amount), 0)
    waiting = sum(
        data.draw(
            st.lists(st.sampled_from(range(len(amounts))), unique=True).map(
                lambda places: [amounts[place] for place in places]
            )
        )
    )
    assert Standing.RESIDUAL is not read(twins, str(100 + waiting), 1).standing


@pytest.mark.parametrize(
    ("waiting", "standing"),
    [
        (range(8, 14), Standing.UNSETTLED),
        (range(3), Standing.UNSETTLED),
        (range(5, 6), Standing.UNSETTLED),
        ((3, 7), Standing.RESIDUAL),
    ],
    ids=["the last", "the first", "one", "any two"],
)
def test_of_many_facts_only_the_likely_sums_explain(waiting: range | tuple[int, ...], standing: Standing) -> None:
    """Beyond `SEARCHED_FACTS_MAX` the first ones, the last ones and each alone are tried."""
    twins = agreed()
    for place in range(14):
        fact(twins, str(10**place), 0)
    assert standing is read(twins, str(100 + sum(10**place for place in waiting)), 1).standing


def test_waiting_has_bounds() -> None:
    """The oldest are given up."""
    twins = agreed()
    for place in range(WAITING_FACTS_MAX + 5):
        fact(twins, "1", 0)
        said(twins, str(place), 0)
    assert (WAITING_FACTS_MAX, WAITING_STATEMENTS_MAX) == (len(twins.facts), len(twins.statements))
