"""Long series made short enough to draw, and drawn: no extreme is lost, every time adds up, ticks are round."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditad.bookkeeping import Sums
from ditad.records import micros_of
from ditad.report import drawing
from ditad.report.curves import COLUMNS, STRIP_COLUMNS, UNWATCHED, Curve, Drawdown, Lane, Point, Timeline, place_of

D = Decimal
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
SINCE = micros_of("2026-01-01T00:00:00Z")

figures = st.lists(st.tuples(st.integers(0, 10**9), st.decimals(-(10**9), 10**9, places=8)), min_size=1, max_size=400)


@given(figures)
def test_no_extreme_is_lost_and_memory_is_bounded(told: list[tuple[int, Decimal]]) -> None:
    """Of any figures the least, greatest, first and last are kept, in at most so many columns."""
    told.sort(key=lambda one: one[0])
    curve = Curve(0, 10**9)
    for us, value in told:
        curve.take(Point(us=us, value=value))
    kept = [point for run in curve.runs() for one in run for point in (one.first, one.least, one.most, one.last)]
    least, most = curve.least, curve.most
    assert least is not None
    assert most is not None
    assert (min(value for _, value in told), max(value for _, value in told)) == (least.value, most.value)
    assert (told[0], told[-1]) == ((kept[0].us, kept[0].value), (kept[-1].us, kept[-1].value))
    assert len(curve.columns) <= COLUMNS
    assert len(told) == curve.taken


def test_a_figure_that_is_not_known_breaks_the_line() -> None:
    """What lies on either side is not joined, and a span without any figure has no line."""
    curve = Curve(0, COLUMNS)
    assert ([], None, None) == (curve.runs(), curve.least, curve.most)
    for us in (1, 2):
        curve.take(Point(us=us, value=D(us)))
    curve.skip(3)
    curve.take(Point(us=9, value=D(5)))
    curve.skip(9)
    assert [2, 1] == [len(run) for run in curve.runs()]


def test_a_moment_outside_the_span_is_at_its_edge() -> None:
    """Nothing falls off a drawing, not even in a span of no length."""
    assert (0, 9, 0) == (place_of(-5, 0, 100, 10), place_of(500, 0, 100, 10), place_of(7, 7, 7, 10))


def test_the_deepest_drawdown() -> None:
    """It is from the highest so far to the lowest behind it, and in percent of the equity that there was."""
    drawdown = Drawdown(Curve(0, 100))
    for us, equity, own in ((1, "100", "100"), (2, "90", "90"), (3, "120", "120"), (4, "60", "100"), (5, "130", "125")):
        drawdown.take(us, D(equity), D(own))
    assert (D(20), 3, 4) == (drawdown.worst, drawdown.worst_from, drawdown.worst_at)
    assert D("16.666666666666666667") == drawdown.worst_percent
    broke = Drawdown(Curve(0, 100))
    broke.take(1, D(-5), D(-5))
    broke.take(2, D(-6), D(-6))
    assert (D(1), None) == (broke.worst, broke.worst_percent)


def test_how_long_which_verdict_held() -> None:
    """Times add up exactly; one from before holds into the span; after a while nobody watched."""
    timeline = Timeline(1_000, 11_000, 3_000)
    for us, status in ((500, "OK"), (2_000, "WARN"), (2_500, "OK"), (2_600, "OK"), (9_000, "ERROR")):
        timeline.take(us, status)
    timeline.end()
    timeline.end()
    assert {"OK": 4_100, "WARN": 500, UNWATCHED: 3_400, "ERROR": 2_000} == timeline.total
    assert 3 == timeline.changes
    assert D(41) == timeline.share("OK")
    assert D(0) == timeline.share("UNKNOWN")


@given(st.integers(1, 10**7), st.lists(st.integers(0, 10**7), max_size=60), st.integers(1, 10**6))
def test_the_parts_of_a_timeline_make_up_the_whole(until: int, moments: list[int], held: int) -> None:
    """Whatever the moments, what the columns hold is what holds in all."""
    timeline = Timeline(0, until, held)
    for place, us in enumerate(sorted(moments)):
        timeline.take(us, ("OK", "WARN", "ERROR")[place % 3])
    timeline.end()
    for status in {status for part in timeline.parts for status in part}:
        assert timeline.total[status] == sum(part.get(status, 0) for part in timeline.parts)
    assert sum(timeline.total.values()) == max(0, until - min(moments, default=until))


def test_a_span_shorter_than_its_parts() -> None:
    """Parts without a moment of their own hold nothing."""
    timeline = Timeline(0, 10, 100)
    timeline.take(0, "OK")
    timeline.end()
    assert (10, 10) == (timeline.total["OK"], sum(bool(part) for part in timeline.parts))


def test_nothing_watched_has_no_share() -> None:
    """Of no time there is no share."""
    assert D(0) == Timeline(0, 10, 10).share("OK")


def test_where_something_was_open() -> None:
    """The worst word stays, and what lies outside is not seen."""
    lane = Lane(0, STRIP_COLUMNS, ("open", "confirmed"))
    lane.take(-9, -3, "open")
    lane.take(STRIP_COLUMNS + 1, STRIP_COLUMNS + 9, "open")
    assert {} == lane.parts
    lane.take(2, 4, "confirmed")
    lane.take(3, 5, "open")
    lane.take(2, 2, "confirmed")
    assert {2: "confirmed", 3: "confirmed", 4: "confirmed", 5: "open"} == lane.parts
    plot = drawing.lane(lane)
    assert ["lane-confirmed", "lane-open"] == [mark.kind for mark in plot.marks]


# ---- drawing


def drawn(*values: str) -> Curve:
    """Make a curve with a figure a second."""
    curve = Curve(SINCE, SINCE + len(values) * 1_000_000)
    for place, value in enumerate(values):
        curve.take(Point(us=SINCE + place * 1_000_000, value=D(value)))
    return curve


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (("9000", "12500"), ["9,000", "10,000", "11,000", "12,000", "13,000"]),
        (("-0.003", "0.0011"), ["−0.004", "−0.002", "0", "0.002"]),
        (("5", "5"), ["4", "4.5", "5", "5.5", "6"]),
        (("0", "0"), ["0", "0.5", "1"]),
        (("1000000", "1000000"), ["990,000", "995,000", "1,000,000", "1,005,000", "1,010,000"]),
    ],
)
def test_ticks_are_round_and_hold_the_line(values: tuple[str, ...], labels: list[str]) -> None:
    """Some round figures, of which the outer ones lie beyond the line or at its edge."""
    plot = drawing.line(drawn(*values), kind="equity")
    assert labels == [tick.label for tick in plot.rows]
    assert (100, 0) == (plot.rows[0].at, plot.rows[-1].at)


def test_a_line_and_its_area() -> None:
    """Both go through the same places; one figure alone is a dot."""
    area, line = drawing.line(drawn("0", "4"), kind="equity").marks
    assert ("line equity", "M0.0 100.00L500.0 0.00") == (line.kind, line.path)
    assert "M0.0 100.00L0.0 100.00L500.0 0.00L500.0 100.00Z" == area.path
    assert drawing.line(drawn("1"), kind="equity").marks[1].path.endswith("h0.1")
    assert drawing.Plot(marks=()) == drawing.line(drawn(), kind="equity")


def test_a_drawdown_hangs_from_0() -> None:
    """Below 0 it is drawn downwards, and its ticks are negative."""
    plot = drawing.line(drawn("0", "4"), from_zero=True, downwards=True, kind="loss")
    assert (["0", "−1", "−2", "−3", "−4"], [0, 25, 50, 75, 100]) == (
        [tick.label for tick in plot.rows],
        [tick.at for tick in plot.rows],
    )
    assert "M0.0 0.00L500.0 100.00" == plot.marks[1].path


@pytest.mark.parametrize(
    ("span_us", "labels"),
    [
        (4_000_000, ["1 Jan", "00:00:01", "00:00:02", "00:00:03"]),
        (3 * HOUR_US, ["1 Jan", "00:30", "01:00", "01:30", "02:00", "02:30"]),
        (2 * DAY_US, ["1 Jan", "12:00", "2 Jan", "12:00"]),
        (4 * DAY_US, ["1 Jan", "2 Jan", "3 Jan", "4 Jan"]),
        (150 * DAY_US, ["Jan 2026", "Feb 2026", "Mar 2026", "Apr 2026", "May 2026"]),
        (5 * 365 * DAY_US, ["2026", "2027", "2028", "2029", "2030"]),
        (100 * 366 * DAY_US, ["2030", "2040", "2050", "2060", "2070", "2080", "2090", "2100", "2110", "2120"]),
    ],
)
def test_moments_are_round(span_us: int, labels: list[str]) -> None:
    """Seconds, minutes, hours, days, months or years, as few as there is room for; every other one may be left out."""
    found = drawing.moments(SINCE, SINCE + span_us)
    assert labels == [tick.label for tick in found]
    assert [place % 2 == 1 for place in range(len(found))] == [tick.minor for tick in found]


def test_months_begin_behind_the_beginning() -> None:
    """A first day that lies before the span is none of its moments."""
    found = drawing.moments(SINCE + DAY_US, SINCE + 150 * DAY_US)
    assert ["Feb 2026", "Mar 2026", "Apr 2026", "May 2026"] == [tick.label for tick in found]


def test_a_moment_of_doubt_is_seen() -> None:
    """A millisecond of ERROR in a day takes a visible share of its column; WARN takes its own."""
    timeline = Timeline(0, STRIP_COLUMNS * 1_000, 10**9)
    for us, status in ((0, "OK"), (500, "ERROR"), (501, "OK"), (1_500, "WARN"), (1_600, "OK")):
        timeline.take(us, status)
    timeline.end()
    kinds = {mark.kind: mark.path for mark in drawing.strip(timeline).marks}
    assert {"verdict-ok", "verdict-error", "verdict-warn"} == set(kinds)
    assert "M0.0 0.0h4.2v10.7h-4.2z" == kinds["verdict-error"]
    assert "v10.0" in kinds["verdict-warn"]
    assert () == drawing.strip(Timeline(0, 10, 10)).marks


@pytest.mark.parametrize(
    ("days", "unit", "count", "label"),
    [
        (("2026-01-01", "2026-01-03"), "day", 3, ("2026-01-01", "1 Jan")),
        (("2026-01-01", "2026-06-03"), "week", 23, ("2025-12-29", "29 Dec")),
        (("2020-01-31", "2026-06-03"), "month", 78, ("2020-01", "Jan 2020")),
        (("2010-12-31", "2026-06-03"), "year", 17, ("2010", "2010")),
    ],
)
def test_bars_are_as_long_as_there_is_room_for(
    days: tuple[str, ...], unit: str, count: int, label: tuple[str, str]
) -> None:
    """Days, weeks, months or years, none left out; what the days came to is in them."""
    found, bars = drawing.by_time({day: Sums(profit=D(1), fills=1) for day in days})
    assert (unit, count, label) == (found, len(bars), (bars[0].label, bars[0].short))
    assert (D(2), 2) == (sum(bar.sums.profit for bar in bars), sum(bar.sums.fills for bar in bars))
    assert [bar.until for bar in bars[:-1]] == [bar.since for bar in bars[1:]]


def test_no_days_no_bars() -> None:
    """Nothing is drawn of nothing."""
    assert ("day", []) == drawing.by_time({})
    assert drawing.Plot(marks=()) == drawing.columns([], [], [], kind="net")


def test_bars_go_up_and_down_from_0() -> None:
    """The smallest figure that is not 0 is seen, and 0 is not."""
    values = [D(100), D(-50), D("0.001"), D("-0.001"), D(0)]
    plot = drawing.columns(list("abcde"), values, list("vwxyz"), kind="net")
    assert ["up", "down", "up", "down", "up"] == [mark.kind.rpartition(" ")[2] for mark in plot.marks]
    heights = [mark.path.partition("V")[2].partition("h")[0] for mark in plot.marks]
    assert ["0.00", "100.00", "66.07", "67.27", "66.67"] == heights
    assert list("vwxyz") == [mark.title for mark in plot.marks]
    assert list("abcde") == [tick.label for tick in plot.moments]


def test_a_figure_in_groups_of_three() -> None:
    """All digits but trailing zeros, a true minus sign, and no minus zero."""
    assert ["−1,234.5", "0.00000001", "0", "1,000"] == [
        drawing.grouped(D(text)) for text in ("-1234.50", "1e-8", "-0.00", "1000")
    ]
