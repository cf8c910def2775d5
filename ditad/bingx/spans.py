"""Collecting a complete answer: windows that the exchange still keeps, pages, halves of what was cut off.

What enters: the span wanted, the rows that came. What leaves: the spans and pages to ask, complete sorted sets.
What holds: the rows may come in either order; an answer as long as its limit is cut off and asked again by halves; a
row that two neighbouring spans bring is counted once (bingx.md §5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ditad.events import FillRow, IncomeRow, OrderRow

SECOND_MS = 1_000
DAY_MS = 86_400_000
KEPT_MARGIN_MS = 600_000
HISTORY_KEPT_MS = 7 * DAY_MS - KEPT_MARGIN_MS
OLD_KEPT_MS = 30 * DAY_MS - KEPT_MARGIN_MS
INCOME_KEPT_MS = 90 * DAY_MS - KEPT_MARGIN_MS
SPAN_MS_MAX = 7 * DAY_MS
OLD_ROWS_MAX = 512
FORCED_ROWS_MAX = 100
ORDERS_ROWS_MAX = 1000
INCOME_ROWS_MAX = 1000
HISTORY_ROWS_MAX = 1000
LAST_MS = 2_000
"""So long before now lies the seam behind which pages are turned; a second more is asked for at inner edges."""


class Source(StrEnum):
    """Where rows of executions are kept."""

    HISTORY = "fillHistory"
    OLD = "allFillOrders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of time, in ms; an `inner` edge has a neighbour.

    Executions happen within a second and are stamped with it: for those an inner edge is asked a second beyond, and
    what `holds` says by the row's own time decides between neighbours.
    """

    from_ms: int
    to_ms: int
    inner_from: bool = False
    inner_to: bool = False

    @property
    def asked_from_ms(self) -> int:
        """Give the start to ask with; rows are stamped in whole seconds, so a row may lie a second before its fill."""
        return self.from_ms - SECOND_MS if self.inner_from else self.from_ms

    @property
    def asked_to_ms(self) -> int:
        """Give the end to ask with."""
        return self.to_ms + SECOND_MS if self.inner_to else self.to_ms

    def holds(self, at_ms: int) -> bool:
        """Say whether a row with this time is this span's and not a neighbour's."""
        return (not self.inner_from or at_ms > self.from_ms) and (not self.inner_to or at_ms <= self.to_ms)

    def cut_last(self) -> tuple[Span | None, Span]:
        """Split off the last moments, in which executions may still come; `None` where there is nothing before."""
        seam = _seam(self.to_ms - LAST_MS)
        if seam <= self.from_ms:
            return None, self
        return (
            Span(from_ms=self.from_ms, to_ms=seam, inner_from=self.inner_from, inner_to=True),
            Span(from_ms=seam, to_ms=self.to_ms, inner_from=True, inner_to=self.inner_to),
        )

    def halves(self) -> tuple[Span, Span] | None:
        """Split between two whole seconds, so that no second is torn; `None` where it is too short."""
        middle = _seam((self.from_ms + self.to_ms) // 2)
        if not self.from_ms < middle < self.to_ms:
            return None
        return (
            Span(from_ms=self.from_ms, to_ms=middle, inner_from=self.inner_from, inner_to=True),
            Span(from_ms=middle, to_ms=self.to_ms, inner_from=True, inner_to=self.inner_to),
        )


def _seam(at_ms: int) -> int:
    """Give a seam near a moment: on a half second no row lies that is stamped in whole ones."""
    return at_ms // SECOND_MS * SECOND_MS + SECOND_MS // 2


def fill_spans(from_ms: int, to_ms: int) -> tuple[tuple[Source, Span], ...]:
    """Lay out where to ask for the executions of a span: the last 7 days have trade ids, up to 30 days have none.

    The first span begins later than `from_ms` where the exchange no longer keeps what is wanted.
    """
    start = max(from_ms, to_ms - OLD_KEPT_MS)
    cut = _seam(to_ms - HISTORY_KEPT_MS)
    if start >= cut:
        return ((Source.HISTORY, Span(from_ms=start, to_ms=to_ms)),)
    pieces = [(Source.OLD, span) for span in _chunks(Span(from_ms=start, to_ms=cut, inner_to=True))]
    return (*pieces, (Source.HISTORY, Span(from_ms=cut, to_ms=to_ms, inner_from=True)))


def order_spans(from_ms: int, to_ms: int) -> tuple[Span, ...]:
    """Lay out spans of at most 7 days for questions about orders."""
    return tuple(_chunks(Span(from_ms=max(from_ms, to_ms - OLD_KEPT_MS), to_ms=to_ms)))


def income_span(from_ms: int, to_ms: int) -> Span:
    """Give the span of an income question: what is kept of it."""
    return Span(from_ms=max(from_ms, to_ms - INCOME_KEPT_MS), to_ms=to_ms)


def _chunks(span: Span) -> list[Span]:
    pieces = []
    start = span.from_ms
    while span.to_ms - start > SPAN_MS_MAX:
        end = _seam(start + SPAN_MS_MAX - SECOND_MS)
        pieces.append(
            Span(from_ms=start, to_ms=end, inner_from=span.inner_from or start != span.from_ms, inner_to=True)
        )
        start = end
    pieces.append(
        Span(
            from_ms=start,
            to_ms=span.to_ms,
            inner_from=span.inner_from or start != span.from_ms,
            inner_to=span.inner_to,
        )
    )
    return pieces


def next_page(page: int, rows: int, page_rows: int, collected: int, total: int | None) -> int | None:
    """Give the page to ask next, or `None` when the answer is complete.

    `total`, where the exchange states it, guards against a server that cuts pages shorter than asked. Raises
    `ValueError` where a page comes empty before the total is reached: the answer is not complete then.
    """
    if rows >= page_rows or (total is not None and rows > 0 and collected < total):
        return page + 1
    if total is not None and collected < total:
        raise ValueError(f"page {page} came empty after {collected} of {total} rows")
    return None


def complete_fills(rows: Iterable[FillRow]) -> tuple[FillRow, ...]:
    """Sort executions by time, each trade id once; rows without one are all kept."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for row in rows:
        if row.trade_id is not None:
            if (row.order_id, row.trade_id) in seen:
                continue
            seen.add((row.order_id, row.trade_id))
        kept.append(row)
    return tuple(sorted(kept, key=lambda row: (row.at_ms, int(row.order_id), int(row.trade_id or 0))))


def complete_orders(rows: Iterable[OrderRow]) -> tuple[OrderRow, ...]:
    """Sort orders by id, each once; what is heard later of one stands."""
    return tuple(sorted({row.order_id: row for row in rows}.values(), key=lambda row: int(row.order_id)))


def complete_income(rows: Iterable[IncomeRow]) -> tuple[IncomeRow, ...]:
    """Sort income by time and id, each row once."""
    return tuple(sorted(dict.fromkeys(rows), key=lambda row: (row.at_ms, row.tran_id, row.kind)))
