"""Long series made short enough to draw, without losing an extreme: the equity, its drawdown, and the verdict.

What enters: figures in the order of their moments, over a span known before. What leaves: a fixed number of columns, each
with the first, least, greatest and last figure of its part of the span (the M4 reduction of Jugel et al., VLDB 2014:
a line through these is, to the pixel, the line through all). What holds: extremes are those of all figures; times that a
verdict held add up exactly; memory is that of the columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from ditad.money import ZERO, mul, ratio, sub

COLUMNS: Final = 600
"""As many as a wide screen has pixels to show a line's ups and downs in."""

STATUSES: Final = ("OK", "WARN", "UNKNOWN", "ERROR")
UNWATCHED: Final = "UNWATCHED"
HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A figure at a moment."""

    us: int
    value: Decimal


@dataclass(slots=True)
class Column:
    """What is kept of a part of the span. `broken`: a figure in it was not known."""

    first: Point
    least: Point
    most: Point
    last: Point
    broken: bool = False


@dataclass(slots=True)
class Curve:
    """A series of figures over `[since_us, until_us]`, in at most `COLUMNS` columns."""

    since_us: int
    until_us: int
    columns: dict[int, Column] = field(default_factory=dict)
    breaks: set[int] = field(default_factory=set)
    taken: int = 0

    def take(self, point: Point) -> None:
        """Take the next figure."""
        self.taken += 1
        place = place_of(point.us, self.since_us, self.until_us, COLUMNS)
        column = self.columns.get(place)
        if column is None:
            self.columns[place] = Column(point, point, point, point)
            return
        column.last = point
        if point.value < column.least.value:
            column.least = point
        if point.value > column.most.value:
            column.most = point

    def skip(self, us: int) -> None:
        """Hear that the figure of a moment is not known: the line is broken there."""
        self.breaks.add(place_of(us, self.since_us, self.until_us, COLUMNS))

    @property
    def least(self) -> Point | None:
        """Give the least figure of all."""
        return min((one.least for one in self.columns.values()), key=lambda point: point.value, default=None)

    @property
    def most(self) -> Point | None:
        """Give the greatest figure of all."""
        return max((one.most for one in self.columns.values()), key=lambda point: point.value, default=None)

    def runs(self) -> list[list[Column]]:
        """Give the columns in order, parted where a figure was not known."""
        found: list[list[Column]] = [[]]
        for place in sorted({*self.columns, *self.breaks}):
            if place in self.columns:
                found[-1].append(self.columns[place])
            if place in self.breaks:
                found.append([])
        return [run for run in found if run]


def place_of(us: int, since_us: int, until_us: int, columns: int) -> int:
    """Say in which column a moment lies; what lies outside the span is in the first or last."""
    whole = max(1, until_us - since_us)
    return min(columns - 1, max(0, (us - since_us) * columns // whole))


@dataclass(slots=True)
class Drawdown:
    """How far the equity, deposits and withdrawals left out, stands below the highest it was.

    `worst` is the deepest, from `worst_from` to `worst_at`; `worst_percent` is of the equity at that peak.
    """

    curve: Curve
    peak: Point | None = None
    peak_equity: Decimal = ZERO
    worst: Decimal = ZERO
    worst_from: int | None = None
    worst_at: int | None = None
    worst_percent: Decimal | None = None

    def take(self, us: int, equity: Decimal, without_transfers: Decimal) -> None:
        """Take the next equity, and the same without what was paid in and out."""
        if self.peak is None or without_transfers >= self.peak.value:
            self.peak, self.peak_equity = Point(us=us, value=without_transfers), equity
        below = sub(self.peak.value, without_transfers)
        self.curve.take(Point(us=us, value=below))
        if below > self.worst:
            self.worst, self.worst_from, self.worst_at = below, self.peak.us, us
            whole = self.peak_equity
            self.worst_percent = ratio(mul(below, HUNDRED), whole) if whole > 0 else None


STRIP_COLUMNS: Final = 240


@dataclass(slots=True)
class Timeline:
    """How long which verdict held, in all and in each of `STRIP_COLUMNS` parts of the span.

    A verdict holds until the next one, but no longer than `held_us`: after that nobody watched.
    """

    since_us: int
    until_us: int
    held_us: int
    total: dict[str, int] = field(default_factory=dict)
    parts: list[dict[str, int]] = field(default_factory=lambda: [{} for _ in range(STRIP_COLUMNS)])
    changes: int = 0
    last: tuple[int, str] | None = None

    def take(self, us: int, status: str) -> None:
        """Take the next verdict; one from before the span holds from its beginning on."""
        if self.last is not None:
            self._hold(us)
            self.changes += status != self.last[1] and us >= self.since_us
        self.last = (us, status)

    def end(self) -> None:
        """Hear that no verdict follows within the span."""
        if self.last is not None:
            self._hold(self.until_us)
            self.last = None

    def _hold(self, us: int) -> None:
        assert self.last is not None, "a verdict holds"
        began, status = self.last
        watched = min(us, began + self.held_us)
        self._add(status, began, watched)
        self._add(UNWATCHED, watched, us)

    def _add(self, status: str, begin: int, end: int) -> None:
        begin, end = max(begin, self.since_us), min(end, self.until_us)
        if end <= begin:
            return
        self.total[status] = self.total.get(status, 0) + end - begin
        whole = max(1, self.until_us - self.since_us)
        first, last = (place_of(us, self.since_us, self.until_us, STRIP_COLUMNS) for us in (begin, end - 1))
        for place in range(first, last + 1):
            left = self.since_us + -(-place * whole // STRIP_COLUMNS)
            right = self.since_us + -(-(place + 1) * whole // STRIP_COLUMNS)
            part = min(end, right) - max(begin, left)
            if part > 0:
                self.parts[place][status] = self.parts[place].get(status, 0) + part

    def share(self, status: str) -> Decimal:
        """Give the share of the time that a verdict held, in percent."""
        whole = sum(self.total.values())
        return ratio(Decimal(self.total.get(status, 0) * 100), Decimal(whole)) if whole else ZERO


@dataclass(slots=True)
class Lane:
    """In which parts of a span something was open, and the worst word for it there, by the order of `ranks`."""

    since_us: int
    until_us: int
    ranks: tuple[str, ...]
    parts: dict[int, str] = field(default_factory=dict)

    def take(self, begin: int, end: int, word: str) -> None:
        """Mark a span; one that lies outside is not seen."""
        if end < self.since_us or begin > self.until_us:
            return
        first, last = (place_of(us, self.since_us, self.until_us, STRIP_COLUMNS) for us in (begin, end))
        for place in range(first, last + 1):
            known = self.parts.get(place)
            if known is None or self.ranks.index(word) > self.ranks.index(known):
                self.parts[place] = word
