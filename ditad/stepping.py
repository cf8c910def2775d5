"""One fill's step: what a position is after it, in quantity, cost and the book's own profit.

What enters: a `Run`, which is a position after some fills, and the next `BookFill`. What leaves: the run after it.
What holds: quote amounts are kept, so that money never depends on a rounded average. A close beyond what is open
waits; in hedge mode a position is never negative. In one-way mode it is signed and can flip. Leverage does not enter.
(account.md §4)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from ditad.events import PositionSide
from ditad.money import DERIVED, EXACT, ZERO, add, exact_sum, mul, ratio, share, sub
from ditad.orders import created_ms

PROFIT_STEP = Decimal("0.00000001")
"""Stated profits carry eight decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFill:
    """A piece, or one execution of it, as the book sees it.

    `within` is the end of the piece that it is an execution of: among those of one piece nobody told the order.
    `trade_number` is the execution's trade id, where it is told: of one moment, the lower one is taken for the earlier
    if that explains all stated profits. `told_by_row`: a row told it, and that id, rather than a frame. `stated_pnl` of
    a fill that is not `compared`, a forced close, is a hint at its place and nothing more.
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
    told_by_row: bool = False

    @property
    def since_ms(self) -> int:
        """Give the moment before which it was not: its own, or within a whole second that of its order's creation."""
        if not self.whole_second:
            return self.at_ms
        second_ms = self.at_ms // 1_000 * 1_000
        return min(max(second_ms, created_ms(self.order_id) or 0), second_ms + 999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A position after some fills.

    `quantity` is signed in one-way mode, else >= 0; `cost` is Σ quantity·entry >= 0. `realized` is the book's own
    profit over all closes, `realized_compared` and `stated_compared` that and the stated one over the fills that R2
    may compare. `closes` and `closed_ticks` (Σ quantity·half a tick) carry R2's rounding allowance; `closed_unticked` is
    Σ quantity of closes before the tick was known. `waiting` are closes beyond what is open. `uncertain` says that a flip of several executions left entry and profit unknown.
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
    closed_unticked: Decimal = ZERO
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


def step(run: Run, fill: BookFill, side: PositionSide, tick: Decimal | None) -> Run:
    """Fold one fill into a position."""
    if side is PositionSide.BOTH:
        return _step_signed(run, fill, tick)
    if fill.buy == (side is PositionSide.LONG):
        return _open(run, fill.quantity, fill.quote, fill.quote_slack, 1, _compared(run, fill, run.realized))
    if fill.quantity > run.quantity:
        return replace(run, waiting=add(run.waiting, fill.quantity))
    long = side is PositionSide.LONG
    return _close(run, fill, fill.quantity, fill.quote, tick, long=long)


def _step_signed(run: Run, fill: BookFill, tick: Decimal | None) -> Run:
    sign = 1 if fill.buy else -1
    if not run.quantity or (run.quantity > 0) == fill.buy:
        return _open(run, fill.quantity, fill.quote, fill.quote_slack, sign, _compared(run, fill, run.realized))
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
    compared = closed.realized_compared, closed.stated_compared
    opened = _open(closed, rest, DERIVED.subtract(fill.quote, closing), add(fill.quote_slack, slack), sign, compared)
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
    if tick is None:
        return quotes[0], run.cost_slack
    if run.cost_slack:  # what an entry is rounded to depends on all its digits
        return quotes[0], add(run.cost_slack, half_a_tick(tick, held))
    lot = Decimal(1).scaleb(min(int(size.normalize(EXACT).as_tuple().exponent) for size in (held, quantity)))
    step = mul(lot, tick)
    snapped = [mul(DERIVED.divide(quote, step).to_integral_value(), step) for quote in quotes]
    fitting = {at for quote, at in zip(quotes, snapped, strict=True) if abs(sub(at, quote)) <= PROFIT_STEP}
    if len(fitting) == 1:
        return fitting.pop(), ZERO
    return quotes[0], exact_sum(abs(sub(quote, quotes[0])) for quote in quotes)


def _open(
    run: Run, quantity: Decimal, quote: Decimal, slack: Decimal, sign: int, compared: tuple[Decimal, Decimal]
) -> Run:
    return Run(
        quantity=add(run.quantity, quantity if sign > 0 else -quantity),
        cost=DERIVED.add(run.cost, quote),
        cost_slack=DERIVED.add(run.cost_slack, slack),
        realized=run.realized,
        realized_slack=run.realized_slack,
        realized_compared=compared[0],
        stated_compared=compared[1],
        closes=run.closes,
        closed_ticks=run.closed_ticks,
        closed_unticked=run.closed_unticked,
        closed_trades=run.closed_trades,
        waiting=run.waiting,
        uncertain=run.uncertain,
        votes_exact=run.votes_exact,
        votes_rounded=run.votes_rounded,
    )


def _close(run: Run, fill: BookFill, quantity: Decimal, quote: Decimal, tick: Decimal | None, *, long: bool) -> Run:
    held = abs(run.quantity)
    flat = quantity == held
    cost = run.cost if flat else share(run.cost, quantity, held)
    slack = run.cost_slack if flat else share(run.cost_slack, quantity, held)
    profit = DERIVED.subtract(quote, cost) if long else DERIVED.subtract(cost, quote)
    left = sub(held, quantity)
    realized = DERIVED.add(run.realized, profit)
    closes, exact, rounded = run.closes, run.votes_exact, run.votes_rounded
    ticks, unticked = run.closed_ticks, run.closed_unticked
    if _is_compared(run, fill):
        closes += 1
        ticks, unticked = _rounded_by_half_a_tick(run, quantity, tick)
        if slack <= PROFIT_STEP and fill.quote_slack <= PROFIT_STEP:  # what is known coarser tells neither
            votes = _vote(run, fill, quantity, quote, profit, tick, long=long)
            exact, rounded = exact + votes[0], rounded + votes[1]
    compared = _compared(run, fill, realized)
    return Run(
        quantity=left if run.quantity > 0 else -left,
        cost=ZERO if flat else DERIVED.subtract(run.cost, cost),
        cost_slack=ZERO if flat else DERIVED.subtract(run.cost_slack, slack),
        realized=realized,
        realized_slack=DERIVED.add(run.realized_slack, DERIVED.add(slack, fill.quote_slack)),
        realized_compared=compared[0],
        stated_compared=compared[1],
        closes=closes,
        closed_ticks=ticks,
        closed_unticked=unticked,
        closed_trades=run.closed_trades + (1 if flat else 0),
        waiting=run.waiting,
        uncertain=False if flat else run.uncertain,
        votes_exact=exact,
        votes_rounded=rounded,
    )


def _rounded_by_half_a_tick(run: Run, quantity: Decimal, tick: Decimal | None) -> tuple[Decimal, Decimal]:
    """Count a close into what rounded entries may leave open, or into what was closed before the tick was known."""
    if tick is None:
        return run.closed_ticks, add(run.closed_unticked, quantity)
    return add(run.closed_ticks, half_a_tick(tick, quantity)), run.closed_unticked


def half_a_tick(tick: Decimal, quantity: Decimal) -> Decimal:
    """Say how much an entry that is rounded to the tick may change the profit of closing so much."""
    return mul(quantity, mul(tick, Decimal("0.5")))


def with_tick(run: Run, tick: Decimal) -> Run:
    """Count closes from before the tick was known as if it had been."""
    ticks, _ = _rounded_by_half_a_tick(run, run.closed_unticked, tick)
    return replace(run, closed_ticks=ticks, closed_unticked=ZERO)


def _is_compared(before: Run, fill: BookFill) -> bool:
    return fill.stated_pnl is not None and fill.compared and not before.uncertain


def _compared(before: Run, fill: BookFill, realized: Decimal) -> tuple[Decimal, Decimal]:
    """Give both sums that R2 compares, with a fill counted in if its stated profit is known and is a fill's."""
    if not _is_compared(before, fill):
        return before.realized_compared, before.stated_compared
    assert fill.stated_pnl is not None, "only a stated profit is compared"
    own = DERIVED.subtract(realized, before.realized)
    return DERIVED.add(before.realized_compared, own), add(before.stated_compared, fill.stated_pnl)


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
