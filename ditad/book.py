"""The position book: fills folded, in the exchange's order, into quantities, costs and the book's own profit.

What enters: `BookFill`s (pieces of orders) and the positions of a baseline. What leaves: a `Run` per position: what
is open, at which cost, and what closing realised.
What holds: a late fill is put in its place and the book folded again from there, moment by moment (`ditad.arranging`),
fill by fill (`ditad.stepping`); what nobody told of the order within a moment stays in the cost's slack, and so does
what a fill could have changed whose place lies behind, where single fills are forgotten. (account.md §4)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ditad.arranging import arrange, canonical, moment_of, moments, opening_prices, widest
from ditad.events import PositionSide
from ditad.money import DERIVED, ZERO, exact_sum, share, sub
from ditad.stepping import BookFill, Run, step, with_tick

EXACT_ENTRY = "exact"
ROUNDED_ENTRY = "rounded"


@dataclass(slots=True, kw_only=True)
class Position:
    """One key's history since its `base`: fills in the exchange's order and the run after each.

    `collapsed_ms` is the end of the last moment that was folded into the base (`None`: none was), `opened_at` the lowest
    and the highest price at which anything in it was opened.
    """

    symbol: str
    side: PositionSide
    base: Run = field(default_factory=Run)
    fills: list[BookFill] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    tick: Decimal | None = None
    collapsed_ms: int | None = None
    opened_at: tuple[Decimal, ...] = ()

    @property
    def run(self) -> Run:
        """Give the position as of the last fill."""
        return self.runs[-1] if self.runs else self.base

    def change(self, *, removed: Iterable[BookFill], added: Iterable[BookFill]) -> None:
        """Replace some fills by others and fold again from the earliest of them.

        What `collapse` has put into the base stays there: of a fill that replaces such a one, only what goes beyond
        it is added.
        """
        gone = list(removed)
        earliest, through = self._take_out(gone)
        for fill in added:
            beyond = _beyond(fill, through.get(fill.order_id))
            if beyond is not None:
                place = _place(self.fills, beyond)
                self.fills.insert(place, beyond)
                earliest = min(earliest, place)
        self._refold(_moment_start(self.fills, earliest) if gone else _joined_moment_start(self.fills, earliest))

    def learn_tick(self, tick: Decimal) -> None:
        """Take the price step, once it is told, and fold again: of what lies in the base, what was closed without it."""
        self.tick = tick
        self.base = with_tick(self.base, tick)
        self._refold(0)

    def _take_out(self, removed: list[BookFill]) -> tuple[int, dict[str, Decimal]]:
        """Remove fills; gives where the earliest of them stood, and per order how far a removed one was collapsed."""
        if not removed:  # the common case: nothing to look for among all that is held
            return len(self.fills), {}
        gone = {(fill.order_id, fill.z0): fill for fill in removed}
        orders = {fill.order_id for fill in removed}
        kept: list[BookFill] = []
        earliest = len(self.fills)
        for index, fill in enumerate(self.fills):
            if fill.order_id in orders and gone.get((fill.order_id, fill.z0)) == fill:
                del gone[fill.order_id, fill.z0]
                earliest = min(earliest, index)
            else:
                kept.append(fill)
        self.fills = kept
        return min(earliest, len(kept)), _collapsed_through(gone.values())

    def _refold(self, start: int) -> None:
        """Fold from `start` on, which is where a moment (ties, whole seconds) begins."""
        run = self.runs[start - 1] if start > 0 else self.base
        if run.waiting:  # a close waited for an open that may only now be in its place: from the start
            start, run = 0, self.base
        del self.runs[start:]
        if len(self.fills) - start == 1 and not self._is_behind(fill := self.fills[start]):
            self.runs.append(self._follow(run, fill, []))  # mostly: one that is alone in its moment, behind all others
            return
        ordered: list[BookFill] = []
        waiting: list[BookFill] = []
        for moment in moments(self.fills[start:]):
            arranged = arrange(run, moment, self.side, self.tick)
            before = run
            for fill in arranged.fills:
                run = self._follow(run, fill, waiting)
                self.runs.append(run)
            if any(self._is_behind(fill) for fill in arranged.fills):
                run = self.runs[-1] = self._unplaced(before, run, arranged.fills)
            elif arranged.spread is None:
                run = self.runs[-1] = self._unordered(before, run, arranged.fills)
            elif arranged.spread:
                run = self.runs[-1] = replace(run, cost_slack=DERIVED.add(run.cost_slack, arranged.spread))
            ordered.extend(arranged.fills)
        self.fills[start:] = ordered

    def _follow(self, run: Run, fill: BookFill, waiting: list[BookFill]) -> Run:
        """Fold one fill, and then every waiting close that now fits."""
        after = step(run, fill, self.side, self.tick)
        if after.waiting > run.waiting:
            waiting.append(fill)
        for held in list(waiting):
            freed = step(replace(after, waiting=sub(after.waiting, held.quantity)), held, self.side, self.tick)
            if freed.waiting < after.waiting:
                after = freed
                waiting.remove(held)
        return after

    def _is_behind(self, fill: BookFill) -> bool:
        """Say whether a fill belongs among those that are no longer single."""
        begin_ms = fill.at_ms // 1_000 * 1_000 if fill.whole_second else fill.at_ms
        return self.collapsed_ms is not None and begin_ms <= self.collapsed_ms

    def _unplaced(self, before: Run, after: Run, fills: list[BookFill]) -> Run:
        """Leave open what fills from behind could have changed, each at its own place among what is forgotten.

        What is open was opened at one of all these prices or between them; what the cost is off by, so is the profit.
        """
        after, bare = self._unordered(before, after, fills, self.opened_at), after
        spread = DERIVED.subtract(after.cost_slack, bare.cost_slack)
        return replace(after, realized_slack=DERIVED.add(after.realized_slack, spread))

    def _unordered(self, before: Run, after: Run, fills: list[BookFill], beside: tuple[Decimal, ...] = ()) -> Run:
        """Leave open whatever the order of a moment's fills could change: also how much of each slack is still held."""
        if not after.quantity:
            return after
        slack = DERIVED.add(before.cost_slack, exact_sum(fill.quote_slack for fill in fills))
        return replace(after, cost_slack=DERIVED.add(slack, widest(before, after, fills, self.side, beside)))

    def collapse(self, before_ms: int) -> None:
        """Forget single fills older than `before_ms`, into the base; nothing that waits is forgotten."""
        cut = 0
        while cut < len(self.fills) and self.fills[cut].at_ms < before_ms and not self.runs[cut].waiting:
            cut += 1
        if cut < len(self.fills):
            shares = moment_of(self.fills, cut)
            while cut > 0 and shares(self.fills[cut - 1]):
                cut -= 1
        if cut:
            self._remember(self.fills[:cut])
            self.base = self.runs[cut - 1]
            del self.fills[:cut]
            del self.runs[:cut]

    def _remember(self, fills: list[BookFill]) -> None:
        """Keep of fills that are forgotten until when they were, and between which prices they opened."""
        last_ms = max(fill.at_ms for fill in fills)
        whole = any(fill.whole_second and fill.at_ms // 1_000 == last_ms // 1_000 for fill in fills)
        self.collapsed_ms = last_ms // 1_000 * 1_000 + 999 if whole else last_ms
        prices = [*self.opened_at, *opening_prices(fills, self.side)]
        if self.base.quantity:
            prices.append(DERIVED.divide(self.base.cost, abs(self.base.quantity)))
        self.opened_at = (min(prices), max(prices)) if prices else ()


def _collapsed_through(absent: Iterable[BookFill]) -> dict[str, Decimal]:
    """Say how far each order lies in the base, judged by fills that are to go and are no longer single."""
    through: dict[str, Decimal] = {}
    for fill in absent:
        through[fill.order_id] = max(fill.z1, through.get(fill.order_id, ZERO))
    return through


def _beyond(fill: BookFill, through: Decimal | None) -> BookFill | None:
    """Give the part of a fill that lies beyond what the base holds of its order."""
    if through is None or through <= fill.z0:
        return fill
    if through >= fill.z1:
        return None
    rest = sub(fill.z1, through)
    return replace(
        fill,
        z0=through,
        quantity=rest,
        quote=share(fill.quote, rest, fill.quantity),
        single=False,
        stated_pnl=None,
    )


def _place(fills: list[BookFill], fill: BookFill) -> int:
    """Find where a fill belongs: by time, within an order by `z`."""
    place = len(fills)
    while place > 0 and canonical(fills[place - 1]) > canonical(fill):
        place -= 1
    return place


def _moment_start(fills: list[BookFill], index: int) -> int:
    """Back up from an index to where the moment begins that it, or the fill before it, belongs to."""
    if index == 0 or not fills:
        return 0
    moment = moment_of(fills, index - 1)
    start = index - 1
    while start > 0 and moment(fills[start - 1]):
        start -= 1
    return start


def _joined_moment_start(fills: list[BookFill], index: int) -> int:
    """As `_moment_start` where nothing was taken out: a moment that the fill does not belong to stands as it is."""
    if index == 0 or index == len(fills) or fills[index - 1].at_ms // 1_000 != fills[index].at_ms // 1_000:
        return index
    return _moment_start(fills, index)
