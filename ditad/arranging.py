"""The order of one moment's fills: as the profits that the exchange stated for its closes prove it.

What enters: a position, and fills whose times do not tell their order: ties, and whole seconds. What leaves: the fills
in an order that explains all that is known of them, and how far the cost after them is off at most if another order is
the true one. What holds: an order is called certain only where every order that explains the moment leads to the same
cost; where that cannot be found out in bounded time, the cost is as open as the prices of the moment leave it.
(account.md §4)
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter

from ditad.events import PositionSide
from ditad.money import DERIVED, ZERO, add, mul, sub
from ditad.stepping import PROFIT_STEP, BookFill, Run, half_a_tick, step

ARRANGED_MAX = 128
"""More fills of one moment than this stand as they came; a busy second has tens."""

ARRANGED_STEPS_MAX = 16_384
"""Steps that looking for an order of one moment may take; beyond it they stand by time, order and `z`."""

COMPARED_STEPS_MAX = 4_096
"""Steps that looking for all further orders may take; beyond it the cost is as open as the prices leave it."""

COST_STEP = Decimal("1e-18")
"""Costs nearer to each other than this differ by nothing but rounding."""


@dataclass(frozen=True, slots=True)
class Arranged:
    """Fills in their order, and how far the cost after them may be off because another order is possible.

    `spread` is `None` where not every order could be tried: `widest` says how far it may be off then.
    """

    fills: list[BookFill]
    spread: Decimal | None


# ---- who shares a moment --------------------------------------------------------------------------------------------


def canonical(fill: BookFill) -> tuple[int, int, str, Decimal]:
    """Give the place of a fill in its moment as far as nothing tells it: by time, by order, by `z`.

    Most orders execute as they are created: within a whole second that is the likeliest time.
    """
    return max(fill.at_ms, fill.since_ms), len(fill.order_id), fill.order_id, fill.z0


def moments(fills: list[BookFill]) -> Iterator[list[BookFill]]:
    """Group fills whose order their times do not tell."""
    for _, of_second in itertools.groupby(fills, key=lambda fill: fill.at_ms // 1_000):
        second = list(of_second)
        if any(fill.whole_second for fill in second):
            yield second
        else:
            for _, of_moment in itertools.groupby(second, key=lambda fill: fill.at_ms):
                yield list(of_moment)


def moment_of(fills: list[BookFill], index: int) -> Callable[[BookFill], bool]:
    """Say who shares the moment of a fill: the whole second where one of its stamps is only that good."""
    at_ms, second = fills[index].at_ms, fills[index].at_ms // 1_000
    low = bisect_left(fills, second, 0, index, key=_second_of)  # fills stand in the order of their seconds
    high = bisect_right(fills, second, index, key=_second_of)
    whole = any(map(_is_whole, fills[low:high]))  # a busy second has hundreds
    if whole:
        return lambda fill: fill.at_ms // 1_000 == second
    return lambda fill: fill.at_ms == at_ms


_is_whole: Callable[[BookFill], bool] = attrgetter("whole_second")


def _second_of(fill: BookFill) -> int:
    return fill.at_ms // 1_000


# ---- which order ----------------------------------------------------------------------------------------------------


def arrange(run: Run, moment: list[BookFill], side: PositionSide, tick: Decimal | None) -> Arranged:
    """Order the fills of one moment so that the profit of their closes equals the stated one."""
    if len(moment) == 1:
        return Arranged(moment, ZERO)
    group = sorted(moment, key=canonical)
    if side is not PositionSide.BOTH and len({fill.buy for fill in group}) == 1:
        return Arranged(_standing(group), ZERO)  # all of them open, or all close: every order leads to the same
    if len(group) > ARRANGED_MAX:
        return Arranged(group, None)
    numbered = _by_trade_number(run, group, side, tick)
    if numbered is not None:
        return Arranged(numbered, ZERO)
    hinted = any(fill.stated_pnl is not None and not fill.compared for fill in group)
    for strict, by_hints in ((True, True), (True, False), (False, False))[0 if hinted else 1 :]:
        search = _Search(group, side=side, tick=tick, strict=strict, hinted=by_hints)
        found = search.after(run)
        if found is not None:
            proven = search.whole and not run.waiting and tick is not None  # else stated profits are rounded unknown
            return Arranged(search.order_of(found), found.spread if proven else None)
    return Arranged(_standing(group), None)


def widest(
    before: Run, after: Run, fills: Sequence[BookFill], side: PositionSide, beside: Sequence[Decimal] = ()
) -> Decimal:
    """Say how far the cost after a moment may be off, whatever the order of its fills.

    What is open then was opened at prices of the moment, at the entry before it, or `beside` these.
    """
    held = abs(after.quantity)
    buys = after.quantity > 0 if side is PositionSide.BOTH else side is PositionSide.LONG
    prices = [*beside, *(_price(fill) for fill in fills if fill.buy == buys)]
    if before.quantity and (side is not PositionSide.BOTH or (before.quantity > 0) == buys):
        prices.append(DERIVED.divide(before.cost, abs(before.quantity)))
    costs = [DERIVED.multiply(held, price) for price in prices]
    return max((abs(DERIVED.subtract(cost, after.cost)) for cost in costs), default=ZERO)


def opening_prices(fills: Iterable[BookFill], side: PositionSide) -> list[Decimal]:
    """Give the prices at which fills may have opened: in one-way mode each of them."""
    return [_price(fill) for fill in fills if side is PositionSide.BOTH or fill.buy == (side is PositionSide.LONG)]


def _price(fill: BookFill) -> Decimal:
    return DERIVED.divide(fill.quote, fill.quantity)


def _by_trade_number(
    run: Run, group: list[BookFill], side: PositionSide, tick: Decimal | None
) -> list[BookFill] | None:
    """Order fills by their trade ids if that contradicts nothing that is known of them.

    Whether a frame's id is of the same kind as a row's is not known (bingx.md §4, `o.td`): they are not mixed.
    """
    if any(fill.trade_number is None for fill in group) or len({fill.told_by_row for fill in group}) > 1:
        return None
    ordered = sorted(group, key=lambda fill: fill.trade_number or 0)
    for place, fill in enumerate(ordered):
        after = step(run, fill, side, tick)
        if any(_precedes(later, fill) for later in ordered[place + 1 :]):
            return None
        if not _fits(run, after, fill, tick, strict=True, hinted=False):
            return None
        run = after
    return ordered


def _standing(group: list[BookFill]) -> list[BookFill]:
    """Put fills of one moment as what is known of their order says, and else, or where that contradicts itself, as they came."""
    left, ordered = list(group), []
    while left:
        free = (fill for fill in left if not any(_precedes(other, fill) for other in left if other is not fill))
        first = next(free, left[0])
        left.remove(first)
        ordered.append(first)
    return ordered


def _precedes(left: BookFill, right: BookFill) -> bool:
    """Say whether one fill is known to be earlier than another: by `z` within an order, by times that are exact.

    What was over before an order was created was before all of it. (account.md §3, Baseline, on order ids)
    """
    if left.order_id == right.order_id:
        loose = left.within is not None and left.within == right.within
        return left.z0 < right.z0 and not loose
    return not left.whole_second and left.at_ms < right.since_ms


# ---- looking for orders ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Way:
    """How what is left of a moment can be arranged: the first way found, and the costs that all of them lead to.

    What was open before closes in another proportion on another way: `lowest` and `highest` hold each cost's own slack.
    """

    place: int
    then: _Way | None
    cost: Decimal
    slack: Decimal
    lowest: Decimal
    highest: Decimal

    @property
    def spread(self) -> Decimal:
        """Give how far another way's cost may be from the first one's, beyond that one's slack."""
        widest = max(DERIVED.subtract(self.highest, self.cost), DERIVED.subtract(self.cost, self.lowest))
        spread = DERIVED.subtract(widest, self.slack)
        return spread if spread > COST_STEP else ZERO


class _Search:
    """Looks for arrangements of fills, one after the other, in which each fits; bounded by its steps.

    `strict`: a close's profit must be exactly that of the exact entry or of the one rounded to the tick. `hinted`: what
    is stated of a close that R2 leaves out must be so too. `whole`: every arrangement was looked at.
    """

    def __init__(
        self, group: list[BookFill], *, side: PositionSide, tick: Decimal | None, strict: bool, hinted: bool
    ) -> None:
        self.whole = True
        self._group, self._side, self._tick = group, side, tick
        self._strict, self._hinted = strict, hinted
        self._earlier = [
            sum(1 << place for place, other in enumerate(group) if other is not fill and _precedes(other, fill))
            for fill in group
        ]
        self._steps_left = ARRANGED_STEPS_MAX
        self._found = False
        self._known: dict[tuple[int, int, Decimal, Decimal, Decimal], _Way | None] = {}

    def after(self, run: Run) -> _Way | None:
        """Find the arrangements that fit after `run`; `None` if there is none, or no step left to find it."""
        return self._ways(run, (1 << len(self._group)) - 1, -1)

    def order_of(self, way: _Way | None) -> list[BookFill]:
        """Give the fills as a way has them."""
        ordered = []
        while way is not None:
            if way.place >= 0:
                ordered.append(self._group[way.place])
            way = way.then
        return ordered

    def _ways(self, run: Run, left: int, opened: int) -> _Way | None:
        """Arrange what is left, a set of places, after `run`; `opened` is the place of the fill before, if it opened.

        What opens right after each other leads to the same in any order: the one by their places is taken.
        """
        if not left:
            if not self._found:
                self._found, self._steps_left = True, COMPARED_STEPS_MAX
            lowest, highest = DERIVED.subtract(run.cost, run.cost_slack), DERIVED.add(run.cost, run.cost_slack)
            return _Way(-1, None, run.cost, run.cost_slack, lowest, highest)
        cost, slack = (figure.quantize(COST_STEP, context=DERIVED) for figure in (run.cost, run.cost_slack))
        rest = left, opened, run.quantity, cost, slack
        if rest in self._known:
            return self._known[rest]
        way: _Way | None = None
        for place, after in self._fitting(run, left, opened):
            grew = place if _grew(run, after) else -1
            found = self._ways(after, left & ~(1 << place), grew)
            if found is not None and way is None:
                way = _Way(place, found, found.cost, found.slack, found.lowest, found.highest)
            elif found is not None and way is not None:
                lowest, highest = min(way.lowest, found.lowest), max(way.highest, found.highest)
                way = _Way(way.place, way.then, way.cost, way.slack, lowest, highest)
        self._known[rest] = way
        return way

    def _fitting(self, run: Run, left: int, opened: int) -> list[tuple[int, Run]]:
        """Give what may come next: first the closes whose stated profit is realised here; hardly another place has it."""
        fitting = []
        for place, fill in enumerate(self._group):
            if not left >> place & 1 or self._earlier[place] & left:
                continue
            if not self._steps_left:
                self.whole = False
                return []
            self._steps_left -= 1
            after = step(run, fill, self._side, self._tick)
            swapped = place < opened and not self._earlier[place] >> opened & 1 and _grew(run, after)
            if not swapped and _fits(run, after, fill, self._tick, strict=self._strict, hinted=self._hinted):
                fitting.append((place, after))
        return sorted(fitting, key=lambda found: not self._group[found[0]].stated_pnl)


def _grew(run: Run, after: Run) -> bool:
    """Say whether a step only opened."""
    return abs(after.quantity) > abs(run.quantity) and (not run.quantity or (after.quantity > 0) == (run.quantity > 0))


def _fits(run: Run, after: Run, fill: BookFill, tick: Decimal | None, *, strict: bool, hinted: bool) -> bool:
    """Say whether a fill does not have to wait here, and realises what was stated."""
    if after.waiting > run.waiting:
        return False
    if fill.stated_pnl is None or not (fill.compared or hinted):
        return True
    allowed = add(PROFIT_STEP, sub(after.realized_slack, run.realized_slack))
    off = sub(sub(after.realized, run.realized), fill.stated_pnl)
    if abs(off) <= allowed:
        return True
    if tick is None or _grew(run, after):
        return False
    if not strict or run.cost_slack:  # what an entry is rounded to depends on all its digits
        return abs(off) <= add(allowed, half_a_tick(tick, min(fill.quantity, abs(run.quantity))))
    return abs(DERIVED.add(off, _rounding(run, fill, tick))) <= allowed


def _rounding(run: Run, fill: BookFill, tick: Decimal) -> Decimal:
    """Give how much more a close realises if the entry is first rounded to the tick."""
    if run.entry_price is None:
        return ZERO
    held = abs(run.quantity)
    entry = DERIVED.divide(run.cost, held)
    rounded = mul(DERIVED.divide(entry, tick).to_integral_value(), tick)
    less = DERIVED.multiply(DERIVED.subtract(entry, rounded), min(fill.quantity, held))
    return -less if fill.buy else less  # who buys closes what was sold
