"""Which rows a sum proves: runs in time first, then any selection, and only one that is the only one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditad.selections import ANY_MAX, RUN_MAX, proven

ZERO = Decimal(0)


def chosen(amounts: list[str], wanted: str, slack: str = "0", any_of_max: int = ANY_MAX) -> tuple[int, ...]:
    """Select of figures given as text."""
    return proven([Decimal(amount) for amount in amounts], Decimal(wanted), Decimal(slack), any_of_max=any_of_max)


@pytest.mark.parametrize(
    ("amounts", "wanted", "places"),
    [
        ([], "1", ()),
        (["1", "2", "4"], "7", (0, 1, 2)),
        (["1", "2", "4"], "6", (1, 2)),
        (["1", "2", "4"], "2", (1,)),
        (["1", "2", "4"], "5", (0, 2)),
        (["1", "2", "4"], "8", ()),
        (["1", "2", "-2", "4"], "1", (0,)),
        (["9", "9", "-9", "-454"], "-454", (3,)),
        (["1", "8", "1"], "1", (2,)),
        (["1", "8", "2", "16", "1"], "10", (1, 2)),
        (["1", "5", "2", "9", "3", "20", "3"], "4", (0, 6)),
        (["1", "9", "4", "20", "2", "40", "3"], "5", ()),
    ],
    ids=[
        "no rows",
        "all of them",
        "the last ones",
        "one alone",
        "no neighbours",
        "none",
        "what both of two hold, beside what adds up to nothing",
        "what all of several hold, beside three that may or may not be",
        "several that do not differ: the latest",
        "neighbours",
        "latest of equal ones that are no neighbours",
        "several that are no neighbours",
    ],
)
def test_the_one_selection_that_makes_up_the_difference_is_taken(
    amounts: list[str], wanted: str, places: tuple[int, ...]
) -> None:
    """Nothing is taken if there is none, or if several that differ are."""
    assert places == chosen(amounts, wanted)


def test_sums_may_be_off_by_what_rounded_sources_leave_open() -> None:
    """Within the slack they fit, of runs as of any selection; beyond it they do not."""
    assert ((1,), (0, 2)) == (chosen(["1", "2", "4"], "2.1", "0.1"), chosen(["1", "2", "4"], "4.9", "0.1"))
    assert () == chosen(["1", "2", "4"], "2.2", "0.1")


def test_of_many_rows_only_runs_are_tried() -> None:
    """A settlement of hundred positions is one run; single rows out of so many would fit by chance."""
    amounts = [f"0.{place:03}" for place in range(1, ANY_MAX + 2)]
    assert tuple(range(9, ANY_MAX + 1)) == chosen(amounts, str(sum(map(Decimal, amounts[9:]), ZERO)))
    apart = [str(2**place) for place in range(ANY_MAX + 1)]
    assert ((), (0, 2)) == (chosen(apart, "5"), chosen(apart[:-1], "5"))
    assert () == chosen(apart[:11], "5", any_of_max=10)


def test_rows_before_the_latest_hundred_are_not_tried() -> None:
    """The work is bounded; of more rows the earliest are left."""
    amounts = [str(2**place) for place in range(RUN_MAX + 1)]
    assert ((), (1,)) == (chosen(amounts, "1"), chosen(amounts, "2"))


def test_selections_of_equal_rows_have_a_bound() -> None:
    """Rows of two figures fit in thousands of ways: none is proven. Neighbours are."""
    amounts = [place for _ in range(10) for place in ("3", "7")]
    assert () == chosen(amounts, "39")
    assert (19,) == chosen(amounts, "7")


@given(st.lists(st.integers(-50, 50).filter(bool), max_size=8), st.data())
def test_what_is_taken_has_the_sum_that_is_wanted(amounts: list[int], data: st.DataObject) -> None:
    """Whatever the rows are; and where the sum is of a selection, either that sum's only one is taken or none."""
    picked = [amount for amount in amounts if data.draw(st.booleans())]
    wanted = Decimal(sum(picked))
    places = proven([Decimal(amount) for amount in amounts], wanted, ZERO)
    assert not places or wanted == sum(amounts[place] for place in places)
