"""Figures on their points, within a width, and never silently shortened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditad.tui.figures import age, clock, column, cut, moment, rate, short

NOW = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)


def test_a_column_stands_on_its_points() -> None:
    """Whatever digits follow, the points are in one place, and so are figures without one."""
    assert ["  250.25", "    2   ", "   -0.5 ", "    -   "] == column(["250.25", "2", "-0.5", None], 8)[0]


def test_a_column_of_whole_figures_has_no_room_for_decimals() -> None:
    """Nothing is left behind a figure that has no decimals anywhere, and an unknown one stands at its end."""
    assert ["  12", "   -"] == column(["12", None], 4)[0]
    assert ["   -"] == column([None], 4)[0]


def test_a_column_does_not_move_when_its_last_digits_go() -> None:
    """The decimals that it had before are kept, so that the point stays where it was."""
    before, kept = column(["1.125"], 8)
    after, again = column(["1.5"], 8, kept)
    assert (before[0].index("."), 3, 3) == (after[0].index("."), kept, again)


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("25012.345678901234", 20, "~25012.3456789"),
        ("25012.3456789012", 10, "~25012.346"),
        ("0.000000000012", 11, "1.2E-11"),
        ("0.000000000012345678901", 11, "~1.2346E-11"),
        ("-0.0000000049", 9, "-4.9E-9"),
        ("123456789012", 8, "~1.2E+11"),
        ("0", 4, "0"),
        ("123456789", 3, "…"),
    ],
)
def test_a_figure_without_room_says_that_it_is_shortened(text: str, width: int, shown: str) -> None:
    """A `~` stands before what was rounded; what is not zero never reads as zero."""
    assert shown == short(text, width)[: len(shown)]
    assert len(short(text, width)) <= width


def test_a_figure_stands_by_itself_rather_than_lose_digits_to_a_point() -> None:
    """A small price beside a great one keeps its own digits."""
    cells, _ = column(["111970.25", "0.19837"], 9)
    assert ["111970.25", "  0.19837"] == cells
    assert ["~111970.3", "0.1983715"] == column(["111970.2512345", "0.1983715"], 9)[0]


@given(
    st.lists(
        st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**9), max_value=10**9), min_size=1
    ),
    st.integers(14, 30),
)
def test_every_cell_has_the_width_and_what_has_no_mark_is_exact(values: list[Decimal], width: int) -> None:
    """No cell is longer or shorter than its column; without `~` it is the figure itself, to the last digit."""
    texts = [f"{value:f}" for value in values]
    cells, _ = column(texts, width)
    assert {width} == {len(cell) for cell in cells}
    for value, cell in zip(values, cells, strict=True):
        shown = Decimal(cell.strip().removeprefix("~"))
        assert bool(value) == bool(shown)
        if not cell.strip().startswith("~"):
            assert value == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.44, "0.4s"),
        (9.96, "10s"),
        (12.9, "12s"),
        (185, "3m 05s"),
        (3_720, "1h 02m"),
        (90_000, "1d 01h"),
        (9_000_000, "104d"),
    ],
)
def test_a_duration_has_seven_places_at_most(seconds: float, text: str) -> None:
    """Two units at most, the smaller one with two digits."""
    assert text == age(seconds)
    assert len(age(seconds)) <= 7


def test_a_moment_of_another_day_is_its_day() -> None:
    """Eight places either way."""
    assert "02:59:50" == clock(NOW - timedelta(seconds=10), NOW)
    assert "  31 Dec" == clock(NOW - timedelta(days=1), NOW)
    assert NOW == moment("2026-01-01T03:00:00.000000Z")


@pytest.mark.parametrize(
    ("per_s", "text"), [(None, "-"), (0, "0.0/s"), (12.34, "12.3/s"), (250.4, "250/s"), (12_000, "12k/s")]
)
def test_a_rate_has_six_places_at_most(per_s: float | None, text: str) -> None:
    """Before there is one it is not 0."""
    assert text == rate(per_s)


def test_a_text_that_is_cut_says_so() -> None:
    """The last place tells that more follows."""
    assert ("abc", "ab…", "") == (cut("abc", 3), cut("abcd", 3), cut("abc", 0))
