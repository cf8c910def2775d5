"""Fills as intervals of their order: what was heard of an order, and the pieces it amounts to.

What enters: `Reading`s (an order frame's figures at its cumulative quantity `z`), rows of a fill history, executed
quantities from order reports. What leaves: `Piece`s, disjoint intervals ``(z0, z1]`` with their money.
What holds: pieces are derived from *all* the evidence each time, so that neither the order of arrival nor repetition
can matter, and nothing is covered twice. A figure that nobody has told is `None`, never 0. (account.md §3, Fills)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from ditad.events import FillRow, OrderPush, OrderRow, OrderStatus, PositionSide, Side
from ditad.money import DERIVED, ZERO, add, exact_sum, half_step, mul, sub

COMMISSION_STEP = Decimal("0.00000001")
"""Commissions are cut to eight decimals (bingx.md §4, `o.n`)."""

ROW_FEE_SLACK = Decimal("0.0000005")
"""A fee learnt from a fill history is rounded to six decimals (bingx.md §5)."""

PERMUTED_ROWS_MAX = 8
"""Rows of one second beyond this many are taken as one interval without looking for their order."""

PER_FILL = "per_fill"
CUMULATIVE = "cumulative"

EXECUTED = frozenset({OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED, OrderStatus.UNKNOWN})
"""Only these frames speak of an execution; a cancelled order's frame tells `z` and `ap`, not a fill's money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What order frames said at the cumulative quantity `z`; fields unknown at first are filled by later frames."""

    z: Decimal
    average_price: Decimal | None
    fee: Decimal | None
    fee_asset: str | None
    realized_pnl: Decimal | None
    last_quantity: Decimal | None
    last_price: Decimal | None
    at_ms: int
    trade_id: str | None
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A fill: the interval ``(z0, z1]`` of an order, its money and how far each figure may be off.

    `quote` is Σ quantity·price. `fee` is positive when paid. `single` says that it is known to be one execution.
    `whole_second` says that `at_ms` is only good to a second.
    """

    z0: Decimal
    z1: Decimal
    quote: Decimal
    quote_slack: Decimal
    fee: Decimal | None
    fee_slack: Decimal
    fee_asset: str | None
    realized_pnl: Decimal | None
    realized_slack: Decimal
    single: bool
    trade_ids: tuple[str, ...]
    at_ms: int
    whole_second: bool
    sources: tuple[str, ...]

    @property
    def quantity(self) -> Decimal:
        """Give the interval's length, in base coin."""
        return sub(self.z1, self.z0)


@dataclass(slots=True, kw_only=True)
class Order:
    """Everything heard of one order.

    `opening` is the part before this ledger: covered by the baseline, never a fact. `executed` is what an order
    report said. `numbers` are the record numbers of the current pieces, by their `z1` as text; `exact_fees` are those
    that an exact witness told, likewise. `held`: it began before the baseline and is asked about before it is folded. `introduced`: its sides are
    known; of an order that a baseline covers they are not, before something of it is heard.
    """

    order_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    order_type: str
    status: OrderStatus
    opening: Decimal = ZERO
    opening_price: Decimal | None = None
    held: bool = False
    introduced: bool = True
    readings: list[Reading] = field(default_factory=list)
    rows: list[FillRow] = field(default_factory=list)
    executed: Decimal | None = None
    forced: str | None = None
    pieces: list[Piece] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    exact_fees: dict[str, Decimal] = field(default_factory=dict)
    incomplete: str = ""
    heard_us: int = 0

    @property
    def known(self) -> Decimal:
        """Give the highest cumulative quantity that anybody stated."""
        stated = [self.opening, *(reading.z for reading in self.readings[-1:])]
        if self.executed is not None:
            stated.append(self.executed)
        return max(stated)

    @property
    def ended(self) -> bool:
        """Say whether the order can still execute."""
        return self.status in {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """The pieces of an order, why they are incomplete (``""``: they are not), and what they prove.

    `amounts` is `PER_FILL` or `CUMULATIVE` where this order's figures fit only that reading of `n` and `rp`.
    """

    pieces: tuple[Piece, ...]
    incomplete: str
    amounts: str | None
    problems: tuple[str, ...]


def order_from(push: OrderPush | OrderRow | FillRow) -> Order:
    """Open the record of an order that was not known before."""
    return Order(
        order_id=push.order_id,
        symbol=push.symbol,
        side=push.side,
        position_side=push.position_side,
        order_type="" if isinstance(push, FillRow) else push.order_type,
        status=OrderStatus.UNKNOWN if isinstance(push, FillRow) else push.status,
    )


# ---- hearing --------------------------------------------------------------------------------------------------------


def introduce(order: Order, source: OrderPush | FillRow) -> None:
    """Learn the sides of an order that was known by its covered part alone."""
    if not order.introduced:
        order.side, order.position_side, order.introduced = source.side, source.position_side, True


def hear_push(order: Order, push: OrderPush) -> tuple[bool, str]:
    """Take a frame into the evidence. Returns whether anything was new, and what it contradicts (``""``: nothing)."""
    introduce(order, push)
    changed = order.status != push.status and not order.ended
    if changed:
        order.status = push.status
    if push.order_type and not order.order_type:
        order.order_type = push.order_type
    z = _cumulative(order, push)
    if z is None:
        order.incomplete = "a frame without its cumulative quantity"
        return True, ""
    if z <= order.opening:
        return changed, ""
    executed = push.status in EXECUTED
    reading = Reading(
        z=z,
        average_price=push.average_price or None,
        fee=push.fee if executed else None,
        fee_asset=push.fee_asset,
        realized_pnl=push.realized_pnl if executed else None,
        last_quantity=push.last_quantity if executed and push.last_quantity else None,
        last_price=push.last_price if executed and push.last_price else None,
        at_ms=push.trade_ms if push.trade_ms is not None else push.event_ms,
        trade_id=push.trade_id if executed else None,
        sources=(push.name,),
    )
    added, contradiction = _add_reading(order, reading)
    return changed or added, contradiction


def _cumulative(order: Order, push: OrderPush) -> Decimal | None:
    """Find `z`, also for early frames that lack it: FILLED means the order's quantity, NEW means 0, else Σ `l`."""
    if push.filled is not None:
        return push.filled
    if push.status is OrderStatus.NEW:
        return ZERO
    if push.status is OrderStatus.FILLED and push.quantity is not None:
        return push.quantity
    if push.last_quantity is None:
        return None
    at_ms = push.trade_ms if push.trade_ms is not None else push.event_ms
    for reading in order.readings:
        if (reading.at_ms, reading.last_quantity, reading.last_price) == (at_ms, push.last_quantity, push.last_price):
            return reading.z
    return add(order.known, push.last_quantity)


def _add_reading(order: Order, new: Reading) -> tuple[bool, str]:
    for index, old in enumerate(order.readings):
        if old.z == new.z:
            merged, contradiction = _merge(old, new)
            order.readings[index] = merged
            return _told(merged) != _told(old), contradiction
    order.readings.append(new)
    order.readings.sort(key=lambda reading: reading.z)
    return True, ""


def _told(reading: Reading) -> tuple[object, ...]:
    """Give what a reading says, without who said it."""
    return (
        reading.average_price,
        reading.fee,
        reading.realized_pnl,
        reading.last_quantity,
        reading.last_price,
        reading.trade_id,
    )


def _merge(old: Reading, new: Reading) -> tuple[Reading, str]:
    """Fill what was unknown; what was known stays, and a difference beyond rounding is named.

    A frame that comes without an execution (an amendment, say) tells zeros at a `z` that is known: 0 says nothing
    against a figure, and a figure takes the place of 0, whichever came first.
    """
    contradiction = ""
    if old.average_price is not None and new.average_price is not None:
        slack = add(half_step(old.average_price), half_step(new.average_price))
        if abs(sub(old.average_price, new.average_price)) > slack:
            contradiction = f"average price {new.average_price} at z={new.z}, was {old.average_price}"
    for name in ("fee", "realized_pnl", "last_quantity", "last_price"):
        before, after = getattr(old, name), getattr(new, name)
        if before and after and before != after:
            contradiction = f"{name} {after} at z={new.z}, was {before}"
    return replace(
        old,
        average_price=new.average_price if old.average_price is None else old.average_price,
        fee=_told_first(old.fee, new.fee),
        fee_asset=new.fee_asset if old.fee_asset is None else old.fee_asset,
        realized_pnl=_told_first(old.realized_pnl, new.realized_pnl),
        last_quantity=_told_first(old.last_quantity, new.last_quantity),
        last_price=_told_first(old.last_price, new.last_price),
        trade_id=new.trade_id if old.trade_id is None else old.trade_id,
        sources=old.sources if new.sources[0] in old.sources else (*old.sources, *new.sources),
    ), contradiction


def _told_first(before: Decimal | None, after: Decimal | None) -> Decimal | None:
    """Keep the first figure that is not 0, else 0 if anybody told it."""
    if before or after is None:
        return before
    return after


def hear_rows(order: Order, rows: Iterable[FillRow]) -> bool:
    """Take rows of a fill history into the evidence, each execution once. Returns whether any was new."""
    have = {_row_identity(row, ordinal) for row, ordinal in _numbered(order.rows)}
    fresh = [row for row, ordinal in _numbered(list(rows)) if _row_identity(row, ordinal) not in have]
    if fresh:
        introduce(order, fresh[0])
        order.rows.extend(fresh)
        order.rows.sort(key=lambda row: (row.at_ms, row.trade_id or "", row.quantity, row.price))
    return bool(fresh)


def _numbered(rows: Sequence[FillRow]) -> list[tuple[FillRow, int]]:
    """Give rows that are alike in everything a number each, so that two equal executions without ids stay two."""
    seen: dict[FillRow, int] = {}
    numbered = []
    for row in rows:
        seen[row] = seen.get(row, 0) + 1
        numbered.append((row, seen[row]))
    return numbered


def _row_identity(row: FillRow, ordinal: int) -> tuple[object, ...]:
    if row.trade_id is not None:
        return (row.trade_id,)
    return (row.at_ms, row.quantity, row.price, row.fee, row.realized_pnl, ordinal)


# ---- deriving -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """One or more rows between two boundaries."""

    z0: Decimal
    z1: Decimal
    rows: tuple[FillRow, ...]


@dataclass(frozen=True, slots=True)
class _Quote:
    """Σ quantity·price up to a boundary, and how far it may be off."""

    value: Decimal
    slack: Decimal


def derive(order: Order, *, amounts: str | None, rates: Sequence[Decimal], tick: Decimal | None) -> Derivation:
    """Lay all evidence of an order on its axis.

    `amounts` is how partial fills' `n` and `rp` are read (`None`: not yet decided), `rates` the account's known fee
    rates, `tick` the symbol's price step.
    """
    segments, laid, problem = _lay(order)
    by_end = {segment.z1: segment for segment in segments}
    readings = {reading.z: reading for reading in order.readings}
    bounds = _bounds(order, segments, readings)
    pieces: list[Piece] = []
    missing: list[str] = []
    proof: str | None = None
    left = order.opening
    quote = _opening_quote(order)
    for right in bounds:
        segment = by_end.get(right)
        if segment is not None and segment.z0 != left:
            segment = None
        piece, proven = _piece(
            left, right, quote, segment, readings.get(right), readings.get(left), amounts, rates, tick
        )
        if piece is None:
            missing.append(f"no price for ({left}, {right}]")
            break
        proof = proof or proven
        if piece.fee is None or piece.realized_pnl is None:
            missing.append(f"fee or profit of ({left}, {right}] not told")
        pieces.append(_witnessed(order, piece))
        quote = _after(quote, piece, readings.get(right))
        left = right
    if not missing and left < order.known:
        missing.append(f"({left}, {order.known}] not told")
    if order.rows and not laid and not problem and (missing or rows_exceed(order)):
        missing.append("what was executed in all is not known" if order.executed is None else "rows do not add up")
    return Derivation(
        pieces=tuple(pieces),
        incomplete="; ".join(missing[:3]),
        amounts=proof,
        problems=(problem,) if problem else (),
    )


def _after(before: _Quote | None, piece: Piece, reading: Reading | None) -> _Quote | None:
    """Give the quote up to a piece's end: what was before plus the piece, or what the average price says."""
    if before is not None and not piece.quote_slack:
        return _Quote(add(before.value, piece.quote), before.slack)
    if reading is not None and reading.average_price is not None:
        return _Quote(mul(piece.z1, reading.average_price), mul(piece.z1, half_step(reading.average_price)))
    return None


def rows_exceed(order: Order) -> bool:
    """Say whether a fill history tells of more than anybody stated as executed: the order must be asked about."""
    return exact_sum(row.quantity for row in order.rows) > order.known


def _opening_quote(order: Order) -> _Quote | None:
    """Give the quote of the covered part; `None` where its average price was never stated."""
    if not order.opening:
        return _Quote(ZERO, ZERO)
    if order.opening_price is None:
        return None
    return _Quote(mul(order.opening, order.opening_price), mul(order.opening, half_step(order.opening_price)))


def _witnessed(order: Order, piece: Piece) -> Piece:
    """Take the exact fee where an income row told it for a rounded one."""
    exact = order.exact_fees.get(str(piece.z1))
    if exact is None or not piece.fee_slack or piece.fee is None or abs(sub(exact, piece.fee)) > piece.fee_slack:
        return piece
    return replace(piece, fee=exact, fee_slack=ZERO, sources=(*piece.sources, "income"))


def _bounds(order: Order, segments: Sequence[_Segment], readings: dict[Decimal, Reading]) -> list[Decimal]:
    """Give all known boundaries beyond the opening; a row's execution has no boundary inside it."""
    found = {segment.z1 for segment in segments}
    for z, reading in readings.items():
        inside = any(segment.z0 < z < segment.z1 for segment in segments)
        if not inside:
            found.add(z)
            if reading.last_quantity is not None and reading.last_quantity < z:
                start = sub(z, reading.last_quantity)
                if not any(segment.z0 < start < segment.z1 for segment in segments) and reading.last_price is not None:
                    found.add(start)
    return sorted(z for z in found if z > order.opening)


def _lay(order: Order) -> tuple[list[_Segment], bool, str]:
    """Lay rows on the axis if they are a complete set. Returns segments, whether they were laid, and a contradiction."""
    if not order.rows:
        return [], False, ""
    total = exact_sum(row.quantity for row in order.rows)
    if total != order.known:
        return [], False, ""
    known = sorted({order.opening, *(reading.z for reading in order.readings)} - {ZERO, total})
    segments: list[_Segment] = []
    start = ZERO
    for _, grouped in itertools.groupby(order.rows, key=lambda row: row.at_ms):
        group = list(grouped)
        end = add(start, exact_sum(row.quantity for row in group))
        inner = [z for z in known if start < z < end]
        parts = _partition(group, [sub(z, start) for z in inner])
        if parts is None and len(group) == 1:
            return [], False, f"an execution of {group[0].quantity} reaches over the boundary {inner[0]}"
        position = start
        for part in parts or [group]:
            stop = add(position, exact_sum(row.quantity for row in part))
            segments.append(_Segment(z0=position, z1=stop, rows=tuple(part)))
            position = stop
        start = end
    return [segment for segment in segments if segment.z1 > order.opening], True, ""


def _partition(rows: list[FillRow], cuts: list[Decimal]) -> list[list[FillRow]] | None:
    """Split rows of one second at the known boundaries; `None` unless exactly one way does it.

    Rows that are alike in all their money can stand in any order without a difference and are kept apart.
    """
    if not cuts:
        alike = len({(row.quantity, row.price, row.fee, row.realized_pnl) for row in rows}) == 1
        return [[row] for row in rows] if alike else None
    if len(rows) > PERMUTED_ROWS_MAX:
        return None
    first = cuts[0]
    ways: dict[tuple[tuple[object, ...], ...], list[list[FillRow]]] = {}
    for size in range(1, len(rows)):
        for chosen in itertools.combinations(range(len(rows)), size):
            if exact_sum(rows[index].quantity for index in chosen) != first:
                continue
            head = [rows[index] for index in chosen]
            rest = [row for index, row in enumerate(rows) if index not in chosen]
            tail = _partition(rest, [sub(cut, first) for cut in cuts[1:]]) if cuts[1:] else [rest]
            if tail is not None:
                split = [head, *tail]
                ways.setdefault(tuple(_money_of(part) for part in split), split)
    return next(iter(ways.values())) if len(ways) == 1 else None


def _money_of(rows: list[FillRow]) -> tuple[object, ...]:
    return tuple(sorted((str(row.quantity), str(row.price), str(row.fee), str(row.realized_pnl)) for row in rows))


def _piece(
    z0: Decimal,
    z1: Decimal,
    before: _Quote | None,
    segment: _Segment | None,
    reading: Reading | None,
    previous: Reading | None,
    amounts: str | None,
    rates: Sequence[Decimal],
    tick: Decimal | None,
) -> tuple[Piece | None, str | None]:
    """Work out one interval's money, and whether it proves how partial amounts are to be read."""
    growth = sub(z1, z0)
    price = _price_of(growth, z1, before, segment, reading)
    if price is None:
        return None, None
    quote, slack, single = price
    first = z0 == 0
    own = reading.fee if reading is not None else None
    since = _since(reading, previous, first=first)
    if not single and reading is not None:
        for candidate in (own, since):
            exact = _one_tick(growth, quote, slack, tick, candidate, rates)
            if exact is not None:
                quote, slack, single = exact, ZERO, True
                break
    row_fee = _sum_or_none(segment, "fee")
    proof = None if first else _proof(own, since, quote, slack, rates, row_fee, single=single)
    reads = amounts or proof
    fee, fee_slack = _figure(own, since, row_fee, _fee_slack(segment), reads, single=single, first=first)
    own_profit = reading.realized_pnl if reading is not None else None
    since_profit = _since_profit(reading, previous, first=first)
    row_profit = _sum_or_none(segment, "realized_pnl")
    profit, profit_slack = _figure(own_profit, since_profit, row_profit, ZERO, reads, single=single, first=first)
    rows = segment.rows if segment is not None else ()
    trade_ids = tuple(dict.fromkeys(row.trade_id for row in rows if row.trade_id is not None))
    if not trade_ids and reading is not None and reading.trade_id is not None:
        trade_ids = (reading.trade_id,)
    return Piece(
        z0=z0,
        z1=z1,
        quote=quote,
        quote_slack=slack,
        fee=fee,
        fee_slack=fee_slack,
        fee_asset=reading.fee_asset if reading is not None else next((row.fee_asset for row in rows), None),
        realized_pnl=profit,
        realized_slack=profit_slack,
        single=single,
        trade_ids=trade_ids,
        at_ms=reading.at_ms if reading is not None else rows[-1].at_ms,
        whole_second=reading is None and rows[-1].whole_second,
        sources=(*(reading.sources if reading is not None else ()), *(("fill_history",) if rows else ())),
    ), proof


def _price_of(
    growth: Decimal, z1: Decimal, before: _Quote | None, segment: _Segment | None, reading: Reading | None
) -> tuple[Decimal, Decimal, bool] | None:
    """Find quote, slack and whether it is one execution, from the best source there is."""
    if segment is not None:
        return exact_sum(mul(row.quantity, row.price) for row in segment.rows), ZERO, len(segment.rows) == 1
    if reading is None:
        return None
    if reading.last_quantity == growth and reading.last_price is not None:
        return mul(growth, reading.last_price), ZERO, True
    if reading.average_price is None or before is None:
        return None
    quote = sub(mul(z1, reading.average_price), before.value)
    slack = add(mul(z1, half_step(reading.average_price)), before.slack)
    return quote, slack, reading.last_quantity == growth


def _one_tick(
    growth: Decimal, quote: Decimal, slack: Decimal, tick: Decimal | None, fee: Decimal | None, rates: Sequence[Decimal]
) -> Decimal | None:
    """Give the exact quote if the price can only be one tick and the fee is that quote's at a known rate."""
    if tick is None or fee is None:
        return None
    lowest = DERIVED.divide(sub(quote, slack), mul(growth, tick)).to_integral_value(rounding=ROUND_CEILING)
    highest = DERIVED.divide(add(quote, slack), mul(growth, tick)).to_integral_value(rounding=ROUND_FLOOR)
    if lowest != highest:
        return None
    exact = mul(growth, mul(lowest, tick))
    return exact if _is_fee_of(fee, exact, ZERO, rates) else None


def _is_fee_of(fee: Decimal, quote: Decimal, slack: Decimal, rates: Sequence[Decimal]) -> bool:
    """Say whether a fee is this quote's at a known rate, cut or rounded to eight decimals."""
    return any(abs(sub(fee, mul(quote, rate))) < add(COMMISSION_STEP, mul(slack, abs(rate))) for rate in rates)


def _since(reading: Reading | None, previous: Reading | None, *, first: bool) -> Decimal | None:
    """Give the fee of the interval if `n` is cumulative."""
    if reading is None or reading.fee is None:
        return None
    if first:
        return reading.fee
    return None if previous is None or previous.fee is None else sub(reading.fee, previous.fee)


def _since_profit(reading: Reading | None, previous: Reading | None, *, first: bool) -> Decimal | None:
    if reading is None or reading.realized_pnl is None:
        return None
    if first:
        return reading.realized_pnl
    if previous is None or previous.realized_pnl is None:
        return None
    return sub(reading.realized_pnl, previous.realized_pnl)


def _proof(
    own: Decimal | None,
    since: Decimal | None,
    quote: Decimal,
    slack: Decimal,
    rates: Sequence[Decimal],
    row_fee: Decimal | None,
    *,
    single: bool,
) -> str | None:
    """Say which reading of `n` this interval proves: the one whose fee fits, where the other's does not."""
    if own is None or since is None or own == since or not single:
        return None
    if row_fee is not None:
        off = ROW_FEE_SLACK
        fits_own, fits_since = abs(sub(own, row_fee)) <= off, abs(sub(since, row_fee)) <= off
    else:
        fits_own, fits_since = _is_fee_of(own, quote, slack, rates), _is_fee_of(since, quote, slack, rates)
    if fits_own == fits_since:
        return None
    return PER_FILL if fits_own else CUMULATIVE


def _figure(
    own: Decimal | None,
    since: Decimal | None,
    row: Decimal | None,
    row_slack: Decimal,
    reads: str | None,
    *,
    single: bool,
    first: bool,
) -> tuple[Decimal | None, Decimal]:
    """Choose an interval's fee (or profit) and its slack: exact from the push where it can be read, else the rows'."""
    if reads == CUMULATIVE and since is not None:
        return since, ZERO
    if single and own is not None and (reads == PER_FILL or (reads is None and first)):
        return own, ZERO
    if row is not None:
        return row, row_slack
    return None, ZERO


def _sum_or_none(segment: _Segment | None, name: str) -> Decimal | None:
    if segment is None:
        return None
    figures: list[Decimal | None] = [getattr(row, name) for row in segment.rows]
    told = [figure for figure in figures if figure is not None]
    return exact_sum(told) if len(told) == len(figures) else None


def _fee_slack(segment: _Segment | None) -> Decimal:
    """Add up what the rows' fees leave open: each is rounded to six decimals, whatever zeros its number lost."""
    if segment is None:
        return ZERO
    return exact_sum(min(half_step(row.fee), ROW_FEE_SLACK) for row in segment.rows if row.fee is not None)
