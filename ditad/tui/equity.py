"""K's equity over the last hours: a series of moments with a bound, and the plot of it.

What enters: snapshots, present and past, each with its moment. What leaves: lines of braille dots with the highest and
lowest figure beside. What holds: one figure per `STEP_S` at most, none older than `SPAN_S`; where nothing was told for
`HOLE_S` the line is broken, not drawn across. Floats are used for the place of a dot and for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final

import plotille

from ditad.tui.figures import column

SPANS_S: Final = (15 * 60, 60 * 60, 4 * 60 * 60)
"""The plot shows the shortest of these that holds all there is, so that it is not redrawn anew every minute."""

SPAN_S: Final = SPANS_S[-1]
STEP_S: Final = 15
HISTORY_S: Final = ((15 * 60, 30), (60 * 60, 2 * 60), (SPAN_S, 4 * 60))
"""How far back the past is asked about, and in which steps: about a hundred questions."""

HOLE_S: Final = 2 * HISTORY_S[-1][1]
LABEL_WIDTH: Final = 13
LABEL_DECIMALS: Final = 4

Series = Mapping[int, Decimal]
"""Equity by the second since 1970 at which its step begins."""


def step_of(at: datetime) -> int:
    """Give the step that a moment lies in."""
    return int(at.timestamp()) // STEP_S * STEP_S


def added(series: Series, points: Iterable[tuple[int, Decimal]], now: datetime, *, older: bool = False) -> Series:
    """Add figures, and let go what is older than the span; `older` ones never take the place of what is there."""
    oldest = step_of(now) - SPAN_S
    found = dict(points) | dict(series) if older else dict(series) | dict(points)
    return {at: found[at] for at in sorted(found) if at >= oldest}


def moments(now: datetime) -> list[datetime]:
    """Give the moments that the past is asked about, the newest first."""
    found, ago = [], 0
    for until, step in HISTORY_S:
        found += [datetime.fromtimestamp(step_of(now) - past, UTC) for past in range(ago + step, until + 1, step)]
        ago = until
    return found


def span_of(series: Series, now: datetime) -> int:
    """Give the shortest span that holds a series."""
    oldest = step_of(now) - min(series, default=step_of(now))
    return next((span for span in SPANS_S if oldest <= span), SPAN_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """The drawn series: its lines, each with its label in front, and the span they show."""

    lines: tuple[str, ...]
    span_s: int


def plot(series: Series, now: datetime, *, width: int, height: int) -> Plot:
    """Draw a series into so many columns and lines."""
    span_s = span_of(series, now)
    if not series:
        return Plot(lines=("",) * height, span_s=span_s)
    low, high = min(series.values()), max(series.values())
    newest = step_of(now)
    room = max(1, width - LABEL_WIDTH - 1)
    rise = float(high - low)  # all are drawn from the lowest up: a small rise is none between two great floats
    canvas = plotille.Canvas(  # what is greatest lies on the last dot, not beyond it
        width=room,
        height=height,
        xmin=float(newest - span_s),
        xmax=newest - span_s + span_s * room * 2 / (room * 2 - 1),
        ymin=0.0 if rise else -1.0,
        ymax=(rise or 1.0) * height * 4 / (height * 4 - 1),
    )
    dots = {(at - newest) * room * 2 // span_s: (at, float(figure - low)) for at, figure in series.items()}
    points = list(dots.values())  # one for each column of dots: the cost of a plot is bounded by its width
    for at, figure in points:
        canvas.point(at, figure)
    for (before, one), (after, other) in pairwise(points):
        if after - before <= HOLE_S:
            canvas.line(before, one, after, other)
    labels = [""] * height
    labels[-1], labels[0] = column([f"{low:f}", f"{high:f}"], LABEL_WIDTH, decimals=LABEL_DECIMALS)[0]
    drawn = canvas.plot().splitlines()
    return Plot(
        lines=tuple(f"{label:>{LABEL_WIDTH}} {line}" for label, line in zip(labels, drawn, strict=True)),
        span_s=span_s,
    )
