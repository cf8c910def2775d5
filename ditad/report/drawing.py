"""Figures to places on a drawing: paths, bars and ticks, in units that stretch with the page.

What enters: curves, timelines and sums. What leaves: `Plot`s in a box of `WIDE` by `HIGH` units, and ticks in percent of
it, so that their words keep their size on a phone. What holds: a float is a place on the page and nothing else; every
figure that can be read is a decimal from the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from ditad.bookkeeping import Sums
from ditad.money import DERIVED, ZERO, add, mul, sub
from ditad.records import EPOCH
from ditad.report.curves import STATUSES, STRIP_COLUMNS, UNWATCHED, Column, Curve, Lane, Point, Timeline

WIDE, HIGH = 1000, 100
TICKS_ABOUT: Final = 4
MOMENTS_ABOUT: Final = 6
BARS_MAX: Final = 92
"""A quarter of a year day by day; beyond it bars are weeks, then months, then years."""

BAR_WIDE_MAX: Final = 90

SEEN_LEAST: Final = 0.12
"""However short a time it was, this share of a column shows that there was doubt, and it is said that it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A word beside an axis, at a percentage of it; a `minor` one is left out where there is little room."""

    at: float
    label: str
    minor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A shape: its class, its path, and what is said of it where it is pointed at."""

    kind: str
    path: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing with its axes."""

    marks: tuple[Mark, ...]
    rows: tuple[Tick, ...] = ()
    moments: tuple[Tick, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What some days came to; `label` names them, and `short` where there is little room."""

    label: str
    short: str
    since: str
    until: str
    sums: Sums


# ---- lines ----------------------------------------------------------------------------------------------------------


def line(curve: Curve, *, from_zero: bool = False, downwards: bool = False, kind: str) -> Plot:
    """Draw a curve through the first, least, greatest and last of its columns; `downwards` as far as it lies below 0."""
    runs = curve.runs()
    if not runs:
        return Plot(marks=())
    values = [point.value for run in runs for one in run for point in (one.least, one.most)]
    low, high = min(values), max(values)
    scale = _Scale(ZERO if from_zero else low, max(high, ZERO) if from_zero else high, downwards=downwards)
    base = scale.place(ZERO) if from_zero else float(HIGH)
    lines, areas = [], []
    for run in runs:
        points = [(_across(curve, point.us), scale.place(point.value)) for one in run for point in _in_order(one)]
        steps = "L".join(f"{x:.1f} {y:.2f}" for x, y in points)
        lines.append(f"M{steps}" + ("h0.1" if len(points) == 1 else ""))
        areas.append(f"M{points[0][0]:.1f} {base:.2f}L{steps}L{points[-1][0]:.1f} {base:.2f}Z")
    marks = (Mark(kind=f"area {kind}", path="".join(areas)), Mark(kind=f"line {kind}", path="".join(lines)))
    return Plot(marks=marks, rows=scale.ticks(), moments=moments(curve.since_us, curve.until_us))


def _in_order(column: Column) -> list[Point]:
    found: list[Point] = []
    for point in sorted((column.first, column.least, column.most, column.last), key=lambda one: one.us):
        if not found or found[-1] != point:
            found.append(point)
    return found


def _across(curve: Curve, us: int) -> float:
    return (us - curve.since_us) / max(1, curve.until_us - curve.since_us) * WIDE


class _Scale:
    """An axis of figures, with ticks at round ones."""

    def __init__(self, low: Decimal, high: Decimal, *, downwards: bool = False) -> None:
        if low == high:
            room = max(abs(low) / 100, Decimal(1)) if low else Decimal(1)
            low, high = (low, add(high, room)) if not low else (sub(low, room), add(high, room))
        self._step = _round_step(DERIVED.divide(sub(high, low), Decimal(TICKS_ABOUT)))
        self._low = _down_to(low, self._step, ROUND_FLOOR)
        self._high = _down_to(high, self._step, ROUND_CEILING)
        self._downwards = downwards

    def place(self, value: Decimal) -> float:
        """Say how far from the top a figure stands."""
        share = float(sub(value, self._low)) / float(sub(self._high, self._low))
        return (share if self._downwards else 1 - share) * HIGH

    def ticks(self) -> tuple[Tick, ...]:
        """Give the round figures there are."""
        found, value = [], self._low
        while value <= self._high:
            shown = -value if self._downwards and value else value
            found.append(Tick(at=round(self.place(value) / HIGH * 100, 2), label=grouped(shown)))
            value = add(value, self._step)
        return tuple(found)


def _round_step(least: Decimal) -> Decimal:
    """Give the next of 1, 2 or 5 times a power of ten."""
    power = Decimal(1).scaleb(least.adjusted())
    return next(mul(power, Decimal(times)) for times in (1, 2, 5, 10) if mul(power, Decimal(times)) >= least)


def _down_to(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return mul(DERIVED.divide(value, step).to_integral_value(rounding=rounding), step)


def grouped(value: Decimal) -> str:
    """Write a figure with all its digits, in groups of three, with a true minus sign."""
    text = f"{abs(value):,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"−{text}" if value < 0 else text


# ---- moments --------------------------------------------------------------------------------------------------------

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_STEPS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * each for each in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * each for each in (1, 2, 3, 6, 12)),
    *(_DAY * each for each in (1, 2, 7, 14)),
)
_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120)


def moments(since_us: int, until_us: int) -> tuple[Tick, ...]:
    """Give some round moments of a span, in UTC."""
    span_s = max(1, until_us - since_us) / 1_000_000
    step = next((each for each in _STEPS if span_s / each <= MOMENTS_ABOUT), None)
    found = _every(since_us, until_us, step) if step is not None else _firsts(since_us, until_us, span_s)
    ticks = []
    for place, (us, label) in enumerate(found):
        at = (us - since_us) / max(1, until_us - since_us) * 100
        ticks.append(Tick(at=round(at, 2), label=label, minor=place % 2 == 1))
    return tuple(ticks)


def _every(since_us: int, until_us: int, step_s: int) -> list[tuple[int, str]]:
    step_us = step_s * 1_000_000
    found = []
    us = -(-since_us // step_us) * step_us
    while us < until_us:
        moment = EPOCH + timedelta(microseconds=us)
        whole_day = us % (_DAY * 1_000_000) == 0
        form = "%-d %b" if step_s >= _DAY or whole_day else "%H:%M" if step_s >= _MINUTE else "%H:%M:%S"
        found.append((us, moment.strftime(form)))
        us += step_us
    return found


def _firsts(since_us: int, until_us: int, span_s: float) -> list[tuple[int, str]]:
    """Give first days of months, so many months apart that few are left."""
    step = next((each for each in _MONTHS if span_s / (_DAY * 30 * each) <= MOMENTS_ABOUT), _MONTHS[-1])
    begin = EPOCH + timedelta(microseconds=since_us)
    month = begin.year * 12 + begin.month - 1
    month = -(-month // step) * step
    found: list[tuple[int, str]] = []
    while True:
        moment = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        us = (moment - EPOCH) // timedelta(microseconds=1)
        if us >= until_us:
            return found
        if us >= since_us:
            found.append((us, moment.strftime("%Y" if step >= 12 else "%b %Y")))
        month += step


# ---- the verdict ----------------------------------------------------------------------------------------------------


def strip(timeline: Timeline) -> Plot:
    """Draw, in each part of the span, for which share of its time which verdict held; doubt is always seen."""
    paths: dict[str, list[str]] = {status: [] for status in (*STATUSES, UNWATCHED)}
    width = WIDE / STRIP_COLUMNS
    for place, held in enumerate(timeline.parts):
        top = 0.0
        for status, share in _shares(held):
            paths[status].append(f"M{place * width:.1f} {top:.1f}h{width:.1f}v{share * HIGH:.1f}h-{width:.1f}z")
            top += share * HIGH
    marks = tuple(Mark(kind=f"verdict-{status.lower()}", path="".join(path)) for status, path in paths.items() if path)
    return Plot(marks=marks, moments=moments(timeline.since_us, timeline.until_us))


def _shares(held: Mapping[str, int]) -> list[tuple[str, float]]:
    """Give the shares of a part, the worst first; ERROR and UNKNOWN are shown larger than they were where they are small."""
    whole = sum(held.values())
    if not whole:
        return []
    shares = {status: held.get(status, 0) / whole for status in ("ERROR", "UNKNOWN", "WARN", UNWATCHED, "OK")}
    for status in ("ERROR", "UNKNOWN"):
        if 0 < shares[status] < SEEN_LEAST:
            shares[status] = SEEN_LEAST
    total = sum(shares.values())
    return [(status, share / total) for status, share in shares.items() if share]


def lane(found: Lane) -> Plot:
    """Draw where something was open."""
    width = WIDE / STRIP_COLUMNS
    paths: dict[str, list[str]] = {}
    for place, word in sorted(found.parts.items()):
        paths.setdefault(word, []).append(f"M{place * width:.1f} 0h{width:.1f}v{HIGH}h-{width:.1f}z")
    return Plot(marks=tuple(Mark(kind=f"lane-{word}", path="".join(path)) for word, path in paths.items()))


# ---- bars -----------------------------------------------------------------------------------------------------------


def by_time(by_day: Mapping[str, Sums]) -> tuple[str, list[Bar]]:
    """Give the sums of days, weeks, months or years, so that few are left, and which; those without a fact are there too."""
    if not by_day:
        return "day", []
    first, last = date.fromisoformat(min(by_day)), date.fromisoformat(max(by_day))
    days = (last - first).days + 1
    unit = next((unit for unit, most in (("day", 1), ("week", 7), ("month", 30)) if days <= BARS_MAX * most), "year")
    bars: dict[date, Bar] = {}
    begin = _begin(first, unit)
    while begin <= last:
        end = _begin(begin + timedelta(days={"day": 1, "week": 7, "month": 31, "year": 366}[unit]), unit)
        label = begin.isoformat()[: {"day": 10, "week": 10, "month": 7, "year": 4}[unit]]
        short = begin.strftime({"month": "%b %Y", "year": "%Y"}.get(unit, "%-d %b"))
        bars[begin] = Bar(label=label, short=short, since=begin.isoformat(), until=end.isoformat(), sums=Sums())
        begin = end
    for day, sums in by_day.items():
        bars[_begin(date.fromisoformat(day), unit)].sums.join(sums)
    return unit, list(bars.values())


def _begin(day: date, unit: str) -> date:
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if unit == "year" else day


def columns(labels: Sequence[str], values: Sequence[Decimal], titles: Iterable[str], *, kind: str) -> Plot:
    """Draw a bar for each figure, up or down from 0."""
    if not values:
        return Plot(marks=())
    scale = _Scale(min(*values, ZERO), max(*values, ZERO))
    width = WIDE / len(values)
    gap = max(width * 0.12, (width - BAR_WIDE_MAX) / 2)
    zero = scale.place(ZERO)
    marks = []
    for place, (value, title) in enumerate(zip(values, titles, strict=True)):
        to = scale.place(value)
        if value and abs(to - zero) < 0.6:
            to = zero - 0.6 if value > 0 else zero + 0.6
        path = f"M{place * width + gap:.1f} {zero:.2f}h{width - 2 * gap:.1f}V{to:.2f}h-{width - 2 * gap:.1f}z"
        sign = "up" if value >= 0 else "down"
        marks.append(Mark(kind=f"bar {kind} {sign}", path=path, title=title))
    every = -(-len(labels) // MOMENTS_ABOUT)
    ticks = [
        Tick(at=round((place + 0.5) / len(labels) * 100, 2), label=label, minor=number % 2 == 1)
        for number, (place, label) in enumerate(list(enumerate(labels))[::every])
    ]
    return Plot(marks=tuple(marks), rows=scale.ticks(), moments=tuple(ticks))
