"""The series of equity and its plot."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ditad.tui.equity import HOLE_S, LABEL_WIDTH, SPAN_S, SPANS_S, STEP_S, added, moments, plot, span_of, step_of
from tests.tui.making import NOW

HERE = step_of(NOW)
BLANK = chr(0x2800)


def test_a_series_keeps_one_figure_a_step_and_none_older_than_its_span() -> None:
    """A later figure of the same step takes its place; what the past tells does not."""
    series = added({}, [(HERE - SPAN_S - STEP_S, Decimal(1)), (HERE - STEP_S, Decimal(2)), (HERE, Decimal(3))], NOW)
    assert {HERE - STEP_S: 2, HERE: 3} == series
    assert {HERE - STEP_S: 2, HERE: 4} == added(series, [(HERE, Decimal(4))], NOW)
    assert {HERE - STEP_S: 2, HERE: 3} == added(series, [(HERE, Decimal(4))], NOW, older=True)


def test_the_past_is_asked_about_in_about_a_hundred_questions() -> None:
    """From now back to the span, the nearer past in shorter steps, no moment twice, and never a hole."""
    asked = moments(NOW)
    apart = [(one - other).total_seconds() for one, other in pairwise(asked)]
    assert (True, SPAN_S) == (90 <= len(asked) <= 110, (NOW - asked[-1]).total_seconds())
    assert (True, True) == (min(apart) > 0, max(apart) < HOLE_S)


def test_the_shortest_span_that_holds_everything_is_shown() -> None:
    """A young account has its minutes drawn wide."""
    young, grown = {HERE: Decimal(1)}, {HERE - 3_000: Decimal(1)}
    assert (SPANS_S[0], SPANS_S[1]) == (span_of(young, NOW), span_of(grown, NOW))
    assert SPANS_S[2] == span_of({HERE - SPAN_S - 5: Decimal(1)}, NOW)


def test_nothing_known_is_an_empty_plot() -> None:
    """As many lines as otherwise, all of them empty."""
    assert ("", "", "") == plot({}, NOW, width=80, height=3).lines


def test_a_rise_is_drawn_from_the_lower_left_to_the_upper_right() -> None:
    """With the highest figure beside the first line and the lowest beside the last."""
    series = {HERE - 15 * 60 + at * 60: Decimal(100 + at) for at in range(16)}
    lines = plot(series, NOW, width=60, height=4).lines
    assert [True, False, False, True] == [bool(line[:LABEL_WIDTH].strip()) for line in lines]
    assert ("115", "100") == (lines[0][:LABEL_WIDTH].strip(), lines[-1][:LABEL_WIDTH].strip())
    ends = (lines[-1][LABEL_WIDTH + 1 :][0], lines[0][LABEL_WIDTH + 1 :][-1])
    assert BLANK not in ends
    firsts = [next(place for place, char in enumerate(line[LABEL_WIDTH + 1 :]) if char != BLANK) for line in lines]
    assert sorted(firsts, reverse=True) == firsts


def test_a_hole_is_not_drawn_across() -> None:
    """Where nothing was told for long, nothing stands between."""
    far = {HERE - 3_000: Decimal(1), HERE: Decimal(1)}
    near = {HERE - 60 * minute: Decimal(1) for minute in range(50, -1, -1)}
    dots = [
        sum(char != BLANK for line in plot(series, NOW, width=60, height=3).lines for char in line[LABEL_WIDTH + 1 :])
        for series in (far, near)
    ]
    assert (2, True) == (dots[0], dots[1] > 30)


@given(
    st.dictionaries(st.integers(0, SPAN_S // STEP_S), st.decimals(-(10**9), 10**9, places=8), max_size=80),
    st.integers(20, 200),
    st.integers(2, 14),
)
def test_a_plot_has_its_size_whatever_is_drawn(steps: dict[int, Decimal], width: int, height: int) -> None:
    """No line is longer than the width, and there are as many as were asked for."""
    series = {HERE - step * STEP_S: steps[step] for step in sorted(steps, reverse=True)}
    lines = plot(series, NOW + timedelta(seconds=3), width=width, height=height).lines
    assert (height, True) == (len(lines), max(map(len, lines)) <= width)
