"""Rows of a fill history laid on their order's axis, as far as somebody knows their order.

What enters: an order's rows and what frames said at its boundaries. What leaves: segments, rows between two
boundaries, and what contradicts. What holds: rows are laid as a complete set only; rows of one second have no order
but what boundaries and average prices give them. (account.md §3, Fills)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from ditad.events import FillRow
from ditad.money import EXACT, ZERO, add, exact_sum, half_step, mul, plain, sub
from ditad.orders import Order, Reading

PERMUTED_ROWS_MAX = 8
"""Rows of one second beyond this many are taken as one interval without looking for their order."""

PER_FILL = "per_fill"
CUMULATIVE = "cumulative"

ROW_FEE_SLACK = Decimal("0.0000005")
"""A fee learnt from a fill history is rounded to six decimals (bingx.md §5)."""

ROW_PROFIT_SLACK = Decimal("0.000001")
"""How far the profit of a row may be from that of a frame by its rounding."""

Agrees = Callable[[Decimal, "Sums", Sequence[FillRow]], bool]
"""Says whether the sums up to a boundary, and the rows since the one before, are what a frame tells there."""


class Terms(NamedTuple):
    """What decides how figures are read: see `derive`."""

    amounts: str | None
    rates: Sequence[Decimal]
    tick: Decimal | None
    printed: bool


@dataclass(frozen=True, slots=True)
class Sums:
    """Σ quantity·price and Σ profit of an order's rows up to a boundary (`None`: one of them does not tell it)."""

    quote: Decimal
    profit: Decimal | None

    def after(self, rows: Sequence[FillRow]) -> Sums:
        """Give the sums with these rows behind."""
        told = _profit_of(rows)
        profit = None if told is None or self.profit is None else add(self.profit, told)
        return Sums(add(self.quote, quote_of(rows)), profit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One or more rows between two boundaries."""

    z0: Decimal
    z1: Decimal
    rows: tuple[FillRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """Rows on the axis, what contradicts, and whether the order of some second's rows is not known."""

    segments: tuple[Segment, ...] = ()
    problem: str = ""
    ambiguous: bool = False


NOTHING = Laid()


def stated_bounds(order: Order, begun: Iterable[Decimal]) -> set[Decimal]:
    """Give the boundaries that frames prove: each `z`, and where the last execution before it began, as `starts` says."""
    return {reading.z for reading in order.readings if not reading.summed}.union(begun)


def starts(order: Order) -> dict[Decimal, Reading]:
    """Give where the last executions that frames told began, if no other boundary contradicts that."""
    hard = [reading for reading in order.readings if not reading.summed]
    found = {}
    for before, reading in zip([None, *hard], hard, strict=False):
        if reading.last_quantity is not None and reading.last_price is not None:
            start = sub(reading.z, reading.last_quantity)
            if start > (before.z if before is not None else order.opening):
                found[start] = reading
    return found


def boundary(z: Decimal) -> Decimal:
    """Write a boundary with one text whoever stated it: records are found by that text."""
    return Decimal(plain(z))


def lay(order: Order, terms: Terms, *, together: bool) -> Laid:
    """Lay rows on the axis if they are a complete set and contradict nothing.

    Rows of one second whose order none or several ways explain are one interval if `together`, else left to the frames.
    """
    if not order.rows and not order.complete_rows:
        return NOTHING
    start, quote, slack = opened(order, terms)
    rows = _complete_rows(order, start)
    if not rows:
        return Laid()
    readings = {reading.z: reading for reading in order.readings if not reading.summed}
    known = sorted(stated_bounds(order, starts(order)) | {order.opening})

    def agrees(z: Decimal, sums: Sums, last: Sequence[FillRow]) -> bool:
        reading = readings.get(z)
        return _agrees(reading, z, sums.quote, slack, terms) and _realises(reading, sums, last, terms.amounts)

    sums = Sums(quote, None if start else ZERO)

    segments: list[Segment] = []
    ambiguous = False
    for group in _moments(rows):
        end = add(start, exact_sum(row.quantity for row in group))
        inner = [z for z in known if start < z < end]
        parts = _partition(group, start, sums, inner, agrees)
        if parts is None and len(group) == 1:
            over = f"an execution of {plain(group[0].quantity)} reaches over the boundary {plain(inner[0])}"
            return Laid(problem=over)
        left_to_frames = parts is None and bool(inner)
        ambiguous = ambiguous or left_to_frames
        for part in parts if parts is not None else [group]:
            stop = add(start, exact_sum(row.quantity for row in part))
            if together or not left_to_frames:
                segments.append(Segment(z0=boundary(start), z1=boundary(stop), rows=tuple(part)))
            start, sums = stop, sums.after(part)
            if not _agrees(readings.get(stop), stop, sums.quote, slack, terms):
                return Laid(problem=f"rows make {plain(sums.quote)} up to {plain(stop)}, frames say otherwise")
    beyond = tuple(segment for segment in segments if segment.z1 > order.opening)
    return Laid(segments=beyond, ambiguous=ambiguous)


def misplaced(order: Order, segments: Sequence[Segment], amounts: str | None) -> frozenset[Decimal]:
    """Name the `z` that were added up of frames without one and that rows, a complete set, refute.

    Where an earlier frame was missed the sum is short of the true `z`: that frame tells of another execution than the
    rows do there, and so does each that was added after it.
    """
    summed = [reading for reading in order.readings if reading.summed]
    if not summed:
        return frozenset()
    whole = not order.opening and order.unkept is None
    rows: tuple[FillRow, ...] = ()
    ends: dict[Decimal, tuple[Sequence[FillRow], Sequence[FillRow] | None]] = {}
    for segment in segments:
        rows += segment.rows
        ends[segment.z1] = segment.rows, rows if whole else None
    through = max(ends, default=ZERO)
    for place, reading in enumerate(summed):
        if reading.z <= through and not (reading.z in ends and _may_tell(reading, *ends[reading.z], amounts)):
            return frozenset(later.z for later in summed[place:])
    return frozenset()


def _may_tell(
    reading: Reading, rows: Sequence[FillRow], through: Sequence[FillRow] | None, amounts: str | None
) -> bool:
    """Say whether a frame may tell the last of some rows; `through` are all rows of the order up to there, if known."""
    last = [row for row in rows if row.quantity == reading.last_quantity]
    if not last or reading.fee is None:
        return bool(last)
    told: list[Sequence[FillRow] | None] = [] if amounts == CUMULATIVE else [[row] for row in last]
    told += [] if amounts == PER_FILL else [through]
    return any(part is None or _costs(part, reading.fee) for part in told)


def _costs(rows: Sequence[FillRow], fee: Decimal) -> bool:
    """Say whether rows may have cost a fee, by their rounding; one that tells none may have cost anything."""
    paid = [row.fee for row in rows if row.fee is not None]
    return len(paid) < len(rows) or abs(sub(fee, exact_sum(paid))) <= mul(ROW_FEE_SLACK, Decimal(2 * len(rows)))


def _complete_rows(order: Order, start: Decimal) -> Sequence[FillRow]:
    """Give the rows that are a complete set: all of them, or those that were one before more was executed."""
    for rows, reached in ((order.rows, order.known), (order.complete_rows, order.complete)):
        if add(start, exact_sum(row.quantity for row in rows)) == reached:
            return rows
    return ()


def _moments(rows: Sequence[FillRow]) -> Iterator[list[FillRow]]:
    """Group rows whose order nobody tells: of one millisecond, or of one second where a stamp is only that good."""
    for _, of_second in itertools.groupby(rows, key=lambda row: row.at_ms // 1_000):
        second = list(of_second)
        if any(row.whole_second for row in second):
            yield second
        else:
            for _, of_moment in itertools.groupby(second, key=lambda row: row.at_ms):
                yield list(of_moment)


def quote_of(rows: Sequence[FillRow]) -> Decimal:
    """Give Σ quantity·price of rows."""
    return exact_sum(mul(row.quantity, row.price) for row in rows)


def opened(order: Order, terms: Terms) -> tuple[Decimal, Decimal, Decimal]:
    """Say where an order's rows begin, the quote up to there and its slack: at 0, but for what is kept no more."""
    unkept = order.unkept
    if unkept is None:
        return ZERO, ZERO, ZERO
    return unkept.quantity, unkept.quote, mul(unkept.executed, resolution(unkept.price, terms))


def _agrees(reading: Reading | None, z: Decimal, quote: Decimal, slack: Decimal, terms: Terms) -> bool:
    """Say whether Σ quantity·price of rows up to `z` is what a frame's average price says, to its last digit."""
    if reading is None or reading.average_price is None:
        return True
    off = abs(sub(quote, mul(z, reading.average_price)))
    return off <= add(slack, mul(mul(z, resolution(reading.average_price, terms)), Decimal(2)))


def _realises(reading: Reading | None, sums: Sums, last: Sequence[FillRow], amounts: str | None) -> bool:
    """Say whether rows realise what a frame tells where they end, if it is known how frames tell it."""
    if reading is None or not reading.realized_pnl:
        return True
    told = {CUMULATIVE: sums.profit, PER_FILL: _profit_of(last) if len(last) == 1 else None}.get(amounts or "")
    return told is None or abs(sub(told, reading.realized_pnl)) <= ROW_PROFIT_SLACK


def _profit_of(rows: Sequence[FillRow]) -> Decimal | None:
    told = [row.realized_pnl for row in rows if row.realized_pnl is not None]
    return exact_sum(told) if len(told) == len(rows) else None


def _partition(
    rows: list[FillRow], start: Decimal, sums: Sums, cuts: list[Decimal], agrees: Agrees
) -> list[list[FillRow]] | None:
    """Split rows of one moment at the known boundaries; `None` unless exactly one way does it.

    Rows that are alike in all their money can stand in any order without a difference and are kept apart.
    """
    if cuts and len(rows) > PERMUTED_ROWS_MAX:
        return None
    found = list(itertools.islice(_ways(rows, start, sums, cuts, agrees), 2))
    if len(found) != 1:
        return None
    return [alone for part in found[0] for alone in ([[row] for row in part] if _alike(part) else [part])]


def _ways(
    rows: list[FillRow], start: Decimal, sums: Sums, cuts: list[Decimal], agrees: Agrees
) -> Iterator[list[list[FillRow]]]:
    """Give every way, different in money, in which rows in some order meet the boundaries and what is known there."""
    if not cuts:
        yield [rows]
        return
    z, later = cuts[0], cuts[1:]
    tried: set[tuple[object, ...]] = set()
    for size in range(1, len(rows) - len(later)):
        for chosen in itertools.combinations(range(len(rows)), size):
            head = [rows[index] for index in chosen]
            money = tuple(sorted(str(_money_of(row)) for row in head))
            if money in tried:
                continue
            tried.add(money)
            reached = sums.after(head)
            if add(start, exact_sum(row.quantity for row in head)) != z or not agrees(z, reached, head):
                continue
            rest = [row for index, row in enumerate(rows) if index not in chosen]
            for tail in _ways(rest, z, reached, later, agrees):
                yield [head, *tail]


def _money_of(row: FillRow) -> tuple[object, ...]:
    figures = (row.quantity, row.price, row.fee, row.realized_pnl)
    return tuple(None if figure is None else plain(figure) for figure in figures)


def _alike(rows: Sequence[FillRow]) -> bool:
    return len({_money_of(row) for row in rows}) == 1


def resolution(price: Decimal, terms: Terms) -> Decimal:
    """Say how far an average price may be off: half its last digit, or half a tick where it may have been rounded.

    Where the tick is not known, zeros at its end may be all that is left of what was rounded away.
    """
    printed = half_step(price)
    if terms.printed:
        return printed
    if terms.tick is None:
        return max(printed, half_step(price.normalize(EXACT)))
    if not on_grid(price, terms.tick):
        return printed
    return max(printed, mul(terms.tick, Decimal("0.5")))


def on_grid(price: Decimal, tick: Decimal) -> bool:
    """Say whether a price is a whole number of ticks."""
    return not EXACT.remainder(price, tick)
