"""The position book: fills folded, in the exchange's order, into quantities, costs and the book's own profit.

What enters: `BookFill`s (pieces of orders) and the positions of a baseline. What leaves: a `Run` per position: what
is open, at which cost, and what closing realised.
What holds: the book keeps quote amounts, so that money never depends on a rounded average. A late fill is put in its
place and the book folded again from there. A close beyond what is open waits; in hedge mode a position is never
negative. In one-way mode a position is signed and can flip. Leverage does not enter. (account.md §4)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from ditad.events import PositionSide
from ditad.money import DERIVED, EXACT, ZERO, add, exact_sum, mul, ratio, share, sub

PROFIT_STEP = Decimal("0.00000001")
"""Stated profits carry eight decimals."""

ARRANGED_MAX = 128
"""More fills of one moment than this stand as they came; a busy second has tens."""

ARRANGED_STEPS_MAX = 16_384
"""Steps that looking for the order of one moment may take; beyond it they stand by time, order and `z`."""

EXACT_ENTRY = "exact"
ROUNDED_ENTRY = "rounded"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFill:
    """A piece, or one execution of it, as the book sees it.

    `within` is the end of the piece that it is an execution of: among those of one piece nobody told the order.
    `trade_number` is the execution's trade id, where it is told: of one moment, the lower one is taken for the earlier
    if that explains all stated profits.
    """

    order_id: str
    z0: Decimal
    z1: Decimal
    buy: bool
    quantity: Decimal
    quote: Decimal
    quote_slack: Decimal
    single: bool
    stated_pnl: Decimal | None
    compared: bool
    at_ms: int
    whole_second: bool
    within: Decimal | None = None
    trade_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A position after some fills.

    `quantity` is signed in one-way mode, else >= 0; `cost` is Σ quantity·entry >= 0. `realized` is the book's own
    profit over all closes, `realized_compared` and `stated_compared` that and the stated one over the fills that R2
    may compare. `closes` and `closed_ticks` (Σ quantity·half a tick) carry R2's rounding allowance. `waiting` are
    closes beyond what is open. `uncertain` says that a flip of several executions left entry and profit unknown.
    """

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    cost_slack: Decimal = ZERO
    realized: Decimal = ZERO
    realized_slack: Decimal = ZERO
    realized_compared: Decimal = ZERO
    stated_compared: Decimal = ZERO
    closes: int = 0
    closed_ticks: Decimal = ZERO
    closed_trades: int = 0
    waiting: Decimal = ZERO
    uncertain: bool = False
    votes_exact: int = 0
    votes_rounded: int = 0

    @property
    def entry_price(self) -> Decimal | None:
        """Give the average entry, to 18 decimals; `None` when flat or uncertain."""
        if not self.quantity or self.uncertain:
            return None
        return ratio(self.cost, abs(self.quantity))


@dataclass(slots=True, kw_only=True)
class Position:
    """One key's history since its `base`: fills in the exchange's order and the run after each."""

    symbol: str
    side: PositionSide
    base: Run = field(default_factory=Run)
    fills: list[BookFill] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    tick: Decimal | None = None

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
        ordered: list[BookFill] = []
        waiting: list[BookFill] = []
        for group in _moments(self.fills[start:]):
            arranged = _arrange(run, sorted(group, key=_canonical), self.side, self.tick)
            before = run
            for fill in arranged:
                run = self._follow(run, fill, waiting)
                self.runs.append(run)
            spread = _spread(before, run, arranged, self.side, self.tick)
            if spread:
                run = self.runs[-1] = replace(run, cost_slack=DERIVED.add(run.cost_slack, spread))
            ordered.extend(arranged)
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

    def collapse(self, before_ms: int) -> None:
        """Forget single fills older than `before_ms`, into the base; nothing that waits is forgotten."""
        cut = 0
        while cut < len(self.fills) and self.fills[cut].at_ms < before_ms and not self.runs[cut].waiting:
            cut += 1
        if cut < len(self.fills):
            shares = _moment_of(self.fills, cut)
            while cut > 0 and shares(self.fills[cut - 1]):
                cut -= 1
        if cut:
            self.base = self.runs[cut - 1]
            del self.fills[:cut]
            del self.runs[:cut]


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


def _canonical(fill: BookFill) -> tuple[int, int, str, Decimal]:
    """Give the place of a fill in its moment as far as nothing tells it: by time, by order, by `z`."""
    return fill.at_ms, len(fill.order_id), fill.order_id, fill.z0


def _place(fills: list[BookFill], fill: BookFill) -> int:
    """Find where a fill belongs: by time, within an order by `z`."""
    place = len(fills)
    while place > 0 and _canonical(fills[place - 1]) > _canonical(fill):
        place -= 1
    return place


def _moment_start(fills: list[BookFill], index: int) -> int:
    """Back up from an index to where the moment begins that it, or the fill before it, belongs to."""
    if index == 0 or not fills:
        return 0
    moment = _moment_of(fills, index - 1)
    start = index - 1
    while start > 0 and moment(fills[start - 1]):
        start -= 1
    return start


def _joined_moment_start(fills: list[BookFill], index: int) -> int:
    """As `_moment_start` where nothing was taken out: a moment that the fill does not belong to stands as it is."""
    if index == 0 or index == len(fills) or fills[index - 1].at_ms // 1_000 != fills[index].at_ms // 1_000:
        return index
    return _moment_start(fills, index)


def _moment_of(fills: list[BookFill], index: int) -> Callable[[BookFill], bool]:
    """Say who shares the moment of a fill: the whole second where one of its stamps is only that good."""
    at_ms, second = fills[index].at_ms, fills[index].at_ms // 1_000
    low, high = index, index
    while low > 0 and fills[low - 1].at_ms // 1_000 == second:
        low -= 1
    while high + 1 < len(fills) and fills[high + 1].at_ms // 1_000 == second:
        high += 1
    if any(fill.whole_second for fill in fills[low : high + 1]):
        return lambda fill: fill.at_ms // 1_000 == second
    return lambda fill: fill.at_ms == at_ms


def _moments(fills: list[BookFill]) -> Iterator[list[BookFill]]:
    """Group fills whose order their times do not tell."""
    for _, of_second in itertools.groupby(fills, key=lambda fill: fill.at_ms // 1_000):
        second = list(of_second)
        if any(fill.whole_second for fill in second):
            yield second
        else:
            for _, of_moment in itertools.groupby(second, key=lambda fill: fill.at_ms):
                yield list(of_moment)


def _arrange(run: Run, group: list[BookFill], side: PositionSide, tick: Decimal | None) -> list[BookFill]:
    """Order fills of one moment so that the profit of their closes equals the stated one, if only some order does."""
    if len(group) == 1 or len(group) > ARRANGED_MAX:
        return group
    numbered = _by_trade_number(run, group, side, tick)
    if numbered is not None:
        return numbered
    for strict in (True, False):
        search = _Search(side=side, tick=tick, strict=strict, steps_left=ARRANGED_STEPS_MAX)
        arranged = search.arrange(run, group)
        if arranged is not None:
            return arranged
    return _standing(group)


def _by_trade_number(
    run: Run, group: list[BookFill], side: PositionSide, tick: Decimal | None
) -> list[BookFill] | None:
    """Order fills by their trade ids if that contradicts nothing that is known of them."""
    if any(fill.trade_number is None for fill in group):
        return None
    ordered = sorted(group, key=lambda fill: fill.trade_number or 0)
    for place, fill in enumerate(ordered):
        after = step(run, fill, side, tick)
        if any(_precedes(later, fill) for later in ordered[place + 1 :]):
            return None
        if not _fits(run, after, fill, tick, strict=True):
            return None
        run = after
    return ordered


def _spread(before: Run, after: Run, arranged: list[BookFill], side: PositionSide, tick: Decimal | None) -> Decimal:
    """Say how far the cost may be off because another order of one moment explains the stated profits as well."""
    loose = len(arranged) <= ARRANGED_MAX and any(fill.whole_second or fill.within for fill in arranged)
    if len(arranged) == 1 or not loose or _by_trade_number(before, arranged, side, tick) == arranged:
        return ZERO
    grows = {fill.buy for fill in arranged}
    if len(grows) == 1 and side is not PositionSide.BOTH:
        return ZERO  # all of them open, or all close
    search = _Search(side=side, tick=tick, strict=True, steps_left=ARRANGED_STEPS_MAX, opens_first=True)
    other = search.arrange(before, arranged[::-1])
    if other is None:
        return ZERO
    run = before
    for fill in other:
        run = step(run, fill, side, tick)
    off = abs(DERIVED.subtract(run.cost, after.cost)) if run.quantity == after.quantity else ZERO
    # Further ones may lie between or beyond; profits of a rounded entry tell it to half a tick, in whatever order.
    half_ticks = mul(abs(after.quantity), mul(tick, Decimal("0.5"))) if tick is not None else ZERO
    return max(off, half_ticks) if off > PROFIT_STEP else ZERO


@dataclass(slots=True, kw_only=True)
class _Search:
    """Looks for an arrangement of fills, one after the other, in which each fits; gives up when its steps are used.

    `strict`: a close's profit must be exactly that of the exact entry or of the one rounded to the tick.
    """

    side: PositionSide
    tick: Decimal | None
    strict: bool
    steps_left: int
    opens_first: bool = False
    hopeless: set[tuple[frozenset[tuple[str, Decimal]], Decimal, Decimal]] = field(default_factory=set)
    """What was left at which position without any arrangement of it fitting."""

    def arrange(self, run: Run, left: list[BookFill]) -> list[BookFill] | None:
        """Give the first arrangement of what is left that fits after `run`; `None` if there is none, or no step left.

        A close whose stated profit is realised here and now is tried first: hardly anything else would make it so.
        """
        if not left:
            return []
        names = frozenset((fill.order_id, fill.z0) for fill in left)
        rest = names, run.quantity, run.cost.quantize(PROFIT_STEP, context=DERIVED)
        if rest in self.hopeless:
            return None
        fitting: list[tuple[BookFill, Run]] = []
        for fill in left:
            if any(_precedes(other, fill) for other in left if other is not fill):
                continue
            if not self.steps_left:
                return None
            self.steps_left -= 1
            after = step(run, fill, self.side, self.tick)
            if _fits(run, after, fill, self.tick, strict=self.strict):
                fitting.append((fill, after))
        for fill, after in sorted(fitting, key=lambda found: self._told(found[0])):
            found = self.arrange(after, [other for other in left if other is not fill])
            if found is not None:
                return [fill, *found]
        self.hopeless.add(rest)
        return None

    def _told(self, fill: BookFill) -> bool:
        """Put what realises a stated profit first, or last."""
        return bool(fill.compared and fill.stated_pnl) is self.opens_first


def _standing(group: list[BookFill]) -> list[BookFill]:
    """Put fills of one moment as what is known of their order says, and else as they came."""
    left, ordered = list(group), []
    while left:
        first = next(fill for fill in left if not any(_precedes(other, fill) for other in left if other is not fill))
        left.remove(first)
        ordered.append(first)
    return ordered


def _precedes(left: BookFill, right: BookFill) -> bool:
    """Say whether one fill is known to be earlier than another: by `z` within an order, by times that are exact."""
    if left.order_id == right.order_id:
        loose = left.within is not None and left.within == right.within
        return left.z0 < right.z0 and not loose
    return not (left.whole_second or right.whole_second) and left.at_ms < right.at_ms


def _fits(run: Run, after: Run, fill: BookFill, tick: Decimal | None, *, strict: bool) -> bool:
    """Say whether a fill does not have to wait here, and realises what was stated."""
    if after.waiting > run.waiting:
        return False
    if fill.stated_pnl is None or not fill.compared:
        return True
    allowed = add(PROFIT_STEP, sub(after.realized_slack, run.realized_slack))
    off = sub(sub(after.realized, run.realized), fill.stated_pnl)
    if abs(off) <= allowed:
        return True
    if not strict or tick is None:
        return abs(off) <= add(allowed, sub(after.closed_ticks, run.closed_ticks))
    opened = abs(after.quantity) > abs(run.quantity) and (after.quantity > 0) == (run.quantity > 0)
    return not opened and abs(DERIVED.add(off, _rounding(run, fill, tick))) <= allowed


def _rounding(run: Run, fill: BookFill, tick: Decimal) -> Decimal:
    """Give how much more a close realises if the entry is first rounded to the tick."""
    if run.entry_price is None:
        return ZERO
    held = abs(run.quantity)
    entry = DERIVED.divide(run.cost, held)
    rounded = mul(DERIVED.divide(entry, tick).to_integral_value(), tick)
    less = DERIVED.multiply(DERIVED.subtract(entry, rounded), min(fill.quantity, held))
    return -less if fill.buy else less  # who buys closes what was sold


def step(run: Run, fill: BookFill, side: PositionSide, tick: Decimal | None) -> Run:
    """Fold one fill into a position."""
    if side is PositionSide.BOTH:
        return _step_signed(run, fill, tick)
    if fill.buy == (side is PositionSide.LONG):
        return _open(run, fill.quantity, fill.quote, fill.quote_slack, 1, **_compared(run, fill, run.realized))
    if fill.quantity > run.quantity:
        return replace(run, waiting=add(run.waiting, fill.quantity))
    long = side is PositionSide.LONG
    return _close(run, fill, fill.quantity, fill.quote, tick, long=long)


def _step_signed(run: Run, fill: BookFill, tick: Decimal | None) -> Run:
    sign = 1 if fill.buy else -1
    if not run.quantity or (run.quantity > 0) == fill.buy:
        return _open(run, fill.quantity, fill.quote, fill.quote_slack, sign, **_compared(run, fill, run.realized))
    held = abs(run.quantity)
    long = run.quantity > 0
    if fill.quantity <= held:
        return _close(run, fill, fill.quantity, fill.quote, tick, long=long)
    rest = sub(fill.quantity, held)
    closing, slack = share(fill.quote, held, fill.quantity), ZERO
    uncertain = False
    if not fill.single:
        if fill.stated_pnl is None or run.uncertain:
            uncertain = True
        else:
            closing, slack = _crossed(run, fill.stated_pnl, fill.quantity, tick)
            fill = replace(fill, compared=False)  # its own profit is the stated one: that compares nothing
    closed = _close(run, fill, held, closing, tick, long=long)
    opened = _open(closed, rest, DERIVED.subtract(fill.quote, closing), add(fill.quote_slack, slack), sign)
    return replace(opened, uncertain=uncertain)


def _crossed(run: Run, stated_pnl: Decimal, quantity: Decimal, tick: Decimal | None) -> tuple[Decimal, Decimal]:
    """Give what a whole position was closed for, and its slack: the stated profit fixes it, rp = (exit − entry)·qty.

    Whether the entry was rounded for it is told by the grid: quantities and prices have steps, and so have quotes.
    """
    held = abs(run.quantity)
    cost = run.cost
    entry = run.entry_price
    costs = [cost]
    if tick is not None and entry is not None:
        costs.append(mul(mul(DERIVED.divide(entry, tick).to_integral_value(), tick), held))
    quotes = [add(cost, stated_pnl) if run.quantity > 0 else sub(cost, stated_pnl) for cost in costs]
    if tick is None or run.cost_slack:
        return quotes[0], add(run.cost_slack, exact_sum(abs(sub(quote, quotes[0])) for quote in quotes))
    lot = Decimal(1).scaleb(min(int(size.normalize(EXACT).as_tuple().exponent) for size in (held, quantity)))
    step = mul(lot, tick)
    snapped = [mul(DERIVED.divide(quote, step).to_integral_value(), step) for quote in quotes]
    fitting = {at for quote, at in zip(quotes, snapped, strict=True) if abs(sub(at, quote)) <= PROFIT_STEP}
    if len(fitting) == 1:
        return fitting.pop(), ZERO
    return quotes[0], exact_sum(abs(sub(quote, quotes[0])) for quote in quotes)


def _open(run: Run, quantity: Decimal, quote: Decimal, slack: Decimal, sign: int, **compared: Any) -> Run:
    changes: dict[str, Any] = {
        "quantity": add(run.quantity, quantity if sign > 0 else -quantity),
        "cost": DERIVED.add(run.cost, quote),
        "cost_slack": DERIVED.add(run.cost_slack, slack),
    }
    return replace(run, **changes, **compared)


def _close(run: Run, fill: BookFill, quantity: Decimal, quote: Decimal, tick: Decimal | None, *, long: bool) -> Run:
    held = abs(run.quantity)
    flat = quantity == held
    cost = run.cost if flat else share(run.cost, quantity, held)
    slack = run.cost_slack if flat else share(run.cost_slack, quantity, held)
    profit = DERIVED.subtract(quote, cost) if long else DERIVED.subtract(cost, quote)
    left = sub(held, quantity)
    realized = DERIVED.add(run.realized, profit)
    changes: dict[str, Any] = {
        "quantity": left if run.quantity > 0 else -left,
        "cost": ZERO if flat else DERIVED.subtract(run.cost, cost),
        "cost_slack": ZERO if flat else DERIVED.subtract(run.cost_slack, slack),
        "realized": realized,
        "realized_slack": DERIVED.add(run.realized_slack, DERIVED.add(slack, fill.quote_slack)),
        "closed_trades": run.closed_trades + (1 if flat else 0),
        "uncertain": False if flat else run.uncertain,
    }
    if not _is_compared(run, fill):
        return replace(run, **changes)
    half_ticks = mul(quantity, mul(tick, Decimal("0.5"))) if tick is not None else ZERO
    votes = slack <= PROFIT_STEP and fill.quote_slack <= PROFIT_STEP  # what is known coarser tells neither
    exact, rounded = _vote(run, fill, quantity, quote, profit, tick, long=long) if votes else (0, 0)
    return replace(
        run,
        **changes,
        **_compared(run, fill, realized),
        closes=run.closes + 1,
        closed_ticks=add(run.closed_ticks, half_ticks),
        votes_exact=run.votes_exact + exact,
        votes_rounded=run.votes_rounded + rounded,
    )


def _is_compared(before: Run, fill: BookFill) -> bool:
    return fill.stated_pnl is not None and fill.compared and not before.uncertain


def _compared(before: Run, fill: BookFill, realized: Decimal) -> dict[str, Any]:
    """Count a fill into both sums that R2 compares, if its stated profit is known and is a fill's."""
    if not _is_compared(before, fill):
        return {}
    assert fill.stated_pnl is not None, "only a stated profit is compared"
    own = DERIVED.subtract(realized, before.realized)
    return {
        "realized_compared": DERIVED.add(before.realized_compared, own),
        "stated_compared": add(before.stated_compared, fill.stated_pnl),
    }


def _vote(
    run: Run,
    fill: BookFill,
    quantity: Decimal,
    quote: Decimal,
    profit: Decimal,
    tick: Decimal | None,
    *,
    long: bool,
) -> tuple[int, int]:
    """Say whether a close's stated profit used the exact entry or the one rounded to the tick; (0, 0) if it can't."""
    if tick is None or fill.stated_pnl is None or run.entry_price is None:
        return 0, 0
    rounded_entry = mul(DERIVED.divide(run.entry_price, tick).to_integral_value(), tick)
    rounded_cost = mul(rounded_entry, quantity)
    rounded = DERIVED.subtract(quote, rounded_cost) if long else DERIVED.subtract(rounded_cost, quote)
    if abs(DERIVED.subtract(rounded, profit)) <= mul(PROFIT_STEP, Decimal(4)):
        return 0, 0
    exact_fits = abs(DERIVED.subtract(fill.stated_pnl, profit)) <= PROFIT_STEP
    rounded_fits = abs(DERIVED.subtract(fill.stated_pnl, rounded)) <= PROFIT_STEP
    return (1, 0) if exact_fits else (0, 1) if rounded_fits else (0, 0)
