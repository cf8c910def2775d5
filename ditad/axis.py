"""An order's axis: all that was heard of it, laid on its cumulative quantity, as disjoint pieces with their money.

What enters: an `Order` with its evidence, and what decides how to read it. What leaves: a `Derivation`.
What holds: pieces are derived from *all* the evidence each time, so that neither the order of arrival nor repetition
can matter, and nothing is covered twice. A figure that nobody has told is `None`, never 0; a boundary without any price
splits nothing; what contradicts is named and not taken. (account.md §3, Fills)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from ditad.events import FillRow
from ditad.laying import (
    CUMULATIVE,
    PER_FILL,
    ROW_FEE_SLACK,
    Laid,
    Segment,
    Terms,
    boundary,
    lay,
    misplaced,
    on_grid,
    opened,
    quote_of,
    resolution,
    starts,
    stated_bounds,
)
from ditad.money import DERIVED, ZERO, add, exact_sum, half_step, mul, plain, sub
from ditad.orders import ROW_SOURCE, Order, Part, Piece, Reading, Timed, Unkept, interval

COMMISSION_STEP = Decimal("0.00000001")
"""Commissions are cut to eight decimals (bingx.md §4, `o.n`)."""


class Derivation(NamedTuple):
    """The pieces of an order, why they are incomplete (``""``: they are not), and what they prove.

    `amounts` is `PER_FILL` or `CUMULATIVE` where this order's figures fit only that reading of `n` and `rp`. `printed`
    says that an average price lies between two ticks, so that average prices are not rounded to the tick.
    """

    pieces: tuple[Piece, ...]
    incomplete: str
    amounts: str | None
    problems: tuple[str, ...]
    printed: bool


class _Quote(NamedTuple):
    """Σ quantity·price up to a boundary, and how far it may be off."""

    value: Decimal
    slack: Decimal


class _Span(NamedTuple):
    """An interval and everything that is known of it.

    `stated` is the quote up to its end as frames have it. `next` is the frame whose last execution begins where this
    interval ends. `inner`: a boundary is known to lie inside.
    """

    z0: Decimal
    z1: Decimal
    before: _Quote | None
    stated: _Quote | None
    segment: Segment | None
    reading: Reading | None
    previous: Reading | None
    next: Reading | None
    inner: bool

    @property
    def growth(self) -> Decimal:
        return sub(self.z1, self.z0)


def derive(
    order: Order, *, amounts: str | None, rates: Sequence[Decimal], tick: Decimal | None, printed: bool = True
) -> Derivation:
    """Lay all evidence of an order on its axis.

    `amounts` is how partial fills' `n` and `rp` are read (`None`: not yet decided), `rates` the account's known fee
    rates, `tick` the symbol's price step, `printed` whether average prices are known not to be rounded to it.
    """
    terms = Terms(amounts=amounts, rates=rates, tick=tick, printed=printed)
    laid = lay(order, terms, together=False)
    apart = _derive(order, terms, laid)
    if not laid.ambiguous or not (apart.incomplete or any(piece.quote_slack for piece in apart.pieces)):
        return apart  # frames tell a second's parts better than its rows, whose order nobody knows
    return _derive(order, terms, lay(order, terms, together=True))


def _derive(order: Order, terms: Terms, laid: Laid) -> Derivation:
    """Work out the pieces, with rows laid in one way."""
    segments, problem, tick = laid.segments, laid.problem, terms.tick
    by_end = {segment.z1: segment for segment in segments}
    kept_from, *unkept = opened(order, terms)
    refuted = misplaced(order, segments, terms.amounts)
    heard = _placed_in_time(order.readings)
    readings = {reading.z: _telling(reading, terms) for reading in heard if reading.z not in refuted}
    if order.unkept is not None and kept_from not in readings:
        readings[kept_from] = _unkept_reading(order.unkept)
    begun = starts(order)
    pieces: list[Piece] = []
    missing: list[str] = []
    problems = [problem] if problem else []
    proofs: set[str] = set()

    def stated_at(z: Decimal) -> _Quote | None:
        told = _stated_quote(readings.get(z), terms) or _quote_before(begun.get(z), terms)
        return _Quote(*unkept) if told is None and kept_from and z == kept_from else told

    def span(z0: Decimal, z1: Decimal, before: _Quote | None, *, inner: bool) -> _Span:
        segment = by_end.get(z1)
        return _Span(
            z0=z0,
            z1=z1,
            before=before,
            stated=stated_at(z1),
            segment=segment if segment is not None and segment.z0 == z0 else None,
            reading=readings.get(z1),
            previous=readings.get(z0),
            next=begun.get(z1),
            inner=inner,
        )

    left, quote = order.opening, _opening_quote(order, terms)
    skipped: Decimal | None = None
    for right in _bounds(order, segments, (*readings, *begun)):
        here = span(left, right, quote, inner=skipped is not None)
        price = _price_of(here)
        if price is None and skipped is not None:  # what went before stays untold, but this part may be known
            here = span(skipped, right, stated_at(skipped), inner=False)
            price = _price_of(here)
        if price is None:
            skipped = right
            continue
        if here.z0 != left:
            missing.append(f"no price for ({plain(left)}, {plain(here.z0)}]")
        piece, proven, contradiction = _piece(here, price, terms)
        problems.extend([contradiction] if contradiction else [])
        proofs.update([proven] if proven is not None else [])
        piece = _witnessed(order, piece)
        if right > kept_from and (piece.fee is None or (piece.realized_pnl is None and not _closed(order, right))):
            missing.append(f"fee or profit of ({plain(piece.z0)}, {plain(right)}] not told")
        pieces.append(piece)
        quote = _after(here, piece)
        left, skipped = right, None
    missing.extend(_untold(order, left, laid=bool(segments), contradicted=bool(problem), missing=bool(missing)))
    return Derivation(
        pieces=_in_time(pieces),
        incomplete="; ".join(missing[:3]),
        amounts=next(iter(proofs)) if len(proofs) == 1 else None,
        problems=tuple(problems),
        printed=tick is not None and any(not on_grid(price, tick) for price in _average_prices(order)),
    )


def _placed_in_time(readings: Sequence[Reading]) -> Iterable[Reading]:
    """Take a frame without `l`, where others of its order tell it, for one that came after an execution, not with it."""
    if not any(reading.last_quantity for reading in readings):
        return readings
    return [reading if reading.last_quantity else replace(reading, timed=Timed.LATER) for reading in readings]


def _telling(reading: Reading, terms: Terms) -> Reading:
    """Take a fee and profit of 0 for untold where every rate takes something: the frame told of no execution.

    An amendment, say, tells its `z` and zeros; what was executed before it may have been missed, and was earlier.
    """
    if reading.fee != 0 or reading.realized_pnl or reading.average_price is None or not terms.rates:
        return reading
    least = mul(mul(reading.z, reading.average_price), min(abs(rate) for rate in terms.rates))
    return reading if least < COMMISSION_STEP else replace(reading, fee=None, realized_pnl=None, timed=Timed.LATER)


def _average_prices(order: Order) -> list[Decimal]:
    return [reading.average_price for reading in order.readings if reading.average_price is not None]


def _in_time(pieces: list[Piece]) -> tuple[Piece, ...]:
    """Let no piece be later than one that follows it on the axis: an event's time is later than its execution's."""
    latest: int | None = None
    ordered = []
    for piece in reversed(pieces):
        kept = piece if latest is None or piece.at_ms <= latest else replace(piece, at_ms=latest)
        latest = kept.at_ms + (999 if kept.whole_second else 0)
        ordered.append(kept)
    return tuple(reversed(ordered))


def _untold(order: Order, left: Decimal, *, laid: bool, contradicted: bool, missing: bool) -> list[str]:
    """Say what of an order nobody has told."""
    untold = []
    if left < order.known:
        untold.append(f"({plain(left)}, {plain(order.known)}] not told")
    if order.unplaced is not None and order.executed is None:
        untold.append("a frame without its cumulative quantity")
    if not contradicted and (rows_exceed(order) or (order.rows and not laid and (missing or untold))):
        untold.append("what was executed in all is not known" if order.executed is None else "rows do not add up")
    return untold


def rows_exceed(order: Order) -> bool:
    """Say whether a fill history tells of more than anybody stated as executed: the order must be asked about."""
    return max(exact_sum(row.quantity for row in order.rows), add(order.opening, order.later)) > order.known


# ---- boundaries and what lies between them ----------------------------------------------------------------------------


def _bounds(order: Order, segments: Sequence[Segment], told: Iterable[Decimal]) -> list[Decimal]:
    """Give all known boundaries beyond the opening; where rows are laid, they know them all from where they begin."""
    found = stated_bounds(order, told)
    laid = {segment.z1 for segment in segments}
    if order.unkept is not None:
        laid.add(order.unkept.quantity)
        found = {z for z in found if not segments or z < order.unkept.quantity}
    elif segments:
        found = {z for z in found if z > segments[-1].z1}
    return sorted({boundary(z) for z in found | laid if z > order.opening})


def _unkept_reading(unkept: Unkept) -> Reading:
    """Make of what an order report says of the part that is kept no more what a frame would: a boundary and a time."""
    return Reading(
        z=unkept.quantity,
        average_price=None,
        fee=None,
        fee_asset=None,
        realized_pnl=None,
        last_quantity=None,
        last_price=None,
        at_ms=unkept.at_ms,
        timed=Timed.LATER,
        trade_id=None,
        sources=("order",),
    )


# ---- the money of a piece ---------------------------------------------------------------------------------------------


def _stated_quote(reading: Reading | None, terms: Terms) -> _Quote | None:
    """Give the quote up to a frame's `z` as its average price has it."""
    if reading is None or reading.average_price is None:
        return None
    return _Quote(mul(reading.z, reading.average_price), mul(reading.z, resolution(reading.average_price, terms)))


def _quote_before(reading: Reading | None, terms: Terms) -> _Quote | None:
    """Give the quote up to where a frame's last execution begins: what its average price says less `l`·`L`."""
    stated = _stated_quote(reading, terms)
    if reading is None or stated is None or reading.last_quantity is None or reading.last_price is None:
        return None
    return _Quote(sub(stated.value, mul(reading.last_quantity, reading.last_price)), stated.slack)


def _opening_quote(order: Order, terms: Terms) -> _Quote | None:
    """Give the quote of the covered part; `None` where its average price was never stated."""
    if not order.opening:
        return _Quote(ZERO, ZERO)
    if order.opening_price is None:
        return None
    return _Quote(mul(order.opening, order.opening_price), mul(order.opening, resolution(order.opening_price, terms)))


def _after(span: _Span, piece: Piece) -> _Quote | None:
    """Give the quote up to a piece's end: what was before plus the piece, or what the average price says if better."""
    summed = None
    if span.before is not None and not piece.quote_slack:
        summed = _Quote(add(span.before.value, piece.quote), span.before.slack)
    known = [quote for quote in (summed, span.stated) if quote is not None]
    return min(known, key=lambda quote: quote.slack, default=None)


def _witnessed(order: Order, piece: Piece) -> Piece:
    """Take the exact fee where an income row told it for a rounded one, and what nobody but income told."""
    told = order.restated.get(interval(piece))
    if told is not None:
        lacks_fee, lacks_profit = piece.fee is None, piece.realized_pnl is None
        piece = replace(
            piece,
            fee=told.fee if lacks_fee else piece.fee,
            realized_pnl=told.realized_pnl if lacks_profit else piece.realized_pnl,
            sources=(*piece.sources, "income") if lacks_fee or lacks_profit else piece.sources,
        )
    exact = order.exact_fees.get(str(piece.z1))
    if exact is None or not piece.fee_slack or piece.fee is None or abs(sub(exact, piece.fee)) > piece.fee_slack:
        return piece
    return replace(piece, fee=exact, fee_slack=ZERO, sources=tuple(dict.fromkeys((*piece.sources, "income"))))


def _closed(order: Order, z: Decimal) -> bool:
    """Say whether a forced close's profit is told elsewhere: by its own income row, or by the wallet."""
    return order.close is not None and order.close.profit is not None and z <= order.close.through


def _price_of(span: _Span) -> tuple[_Quote, bool] | None:
    """Find an interval's quote and whether it is one execution, from the best source there is."""
    if span.segment is not None:
        return _Quote(quote_of(span.segment.rows), ZERO), len(span.segment.rows) == 1
    last_quantity = span.reading.last_quantity if span.reading is not None else None
    last_price = span.reading.last_price if span.reading is not None else None
    if last_quantity == span.growth and last_price is not None:
        return _Quote(mul(span.growth, last_price), ZERO), True
    if span.stated is None or span.before is None:
        return None
    quote = _Quote(sub(span.stated.value, span.before.value), add(span.stated.slack, span.before.slack))
    if quote.value <= 0:
        return None  # the average prices contradict each other: nothing is sold for less than nothing
    return quote, last_quantity == span.growth


def _piece(span: _Span, price: tuple[_Quote, bool], terms: Terms) -> tuple[Piece, str | None, str]:
    """Work out an interval's money, whether it proves how partial amounts are read, and what contradicts in it."""
    (quote, single), reading = price, span.reading
    first = span.z0 == 0
    own = reading.fee if reading is not None else None
    since = _since(span, "fee", first=first)
    if not single and not span.inner:
        readable = {PER_FILL: (own,), CUMULATIVE: (since,), None: (own, since)}[terms.amounts]
        exact = next(filter(None, (_one_tick(span.growth, quote, fee, terms) for fee in readable)), None)
        if exact is not None:
            quote, single = _Quote(exact, ZERO), True
    rows = span.segment.rows if span.segment is not None else ()
    row_fee = _sum_or_none(rows, "fee")
    proof = _proof(own, since, quote, terms.rates, row_fee) if single and not first else None
    reads = terms.amounts or proof
    from_rows = row_fee, exact_sum(min(half_step(row.fee), ROW_FEE_SLACK) for row in rows if row.fee is not None)
    fee, fee_slack = _figure(own, since, from_rows, reads, single=single, first=first)
    own_profit = reading.realized_pnl if reading is not None else None
    since_profit = _since(span, "realized_pnl", first=first)
    row_profit = _sum_or_none(rows, "realized_pnl")
    profit, _ = _figure(own_profit, since_profit, (row_profit, ZERO), reads, single=single, first=first)
    heard = reading if reading is not None else span.next
    timed = heard if heard is not None and not (rows and (reading is None or _is_late(reading, rows[-1]))) else None
    assets = (reading.fee_asset if reading is not None else None, *(row.fee_asset for row in rows))
    return (
        Piece(
            z0=boundary(span.z0),
            z1=boundary(span.z1),
            quote=quote.value,
            quote_slack=quote.slack,
            fee=fee,
            fee_slack=fee_slack,
            fee_asset=next((asset for asset in assets if asset is not None), None),
            realized_pnl=profit,
            realized_slack=ZERO,
            single=single,
            trade_ids=_trade_ids(reading, rows),
            at_ms=timed.at_ms if timed is not None else _stamp(rows[-1], heard),
            whole_second=timed is None and rows[-1].whole_second,
            sources=(*(heard.sources if heard is not None else ()), *((ROW_SOURCE,) if rows else ())),
            parts=_parts(rows, profit),
        ),
        proof,
        _contradiction(span, rows, fee, profit),
    )


def _is_late(reading: Reading, row: FillRow) -> bool:
    """Say whether a frame's time is not that of the execution that a row tells: it only came later."""
    elsewhere = reading.at_ms // 1_000 != row.at_ms // 1_000
    return elsewhere or reading.timed is Timed.LATER


def _parts(rows: Sequence[FillRow], profit: Decimal | None) -> tuple[Part, ...]:
    """Give the single executions of a piece where there are several, and their profits make up the piece's."""
    told = [
        Part(
            quantity=row.quantity,
            quote=mul(row.quantity, row.price),
            realized_pnl=row.realized_pnl,
            trade_id=row.trade_id,
        )
        for row in rows
        if row.realized_pnl is not None
    ]
    if len(told) < max(len(rows), 2) or profit is None:
        return ()
    off = sub(profit, exact_sum(part.realized_pnl for part in told))
    return tuple(told) if abs(off) <= mul(COMMISSION_STEP, Decimal(len(told))) else ()


def _stamp(row: FillRow, heard: Reading | None) -> int:
    """Give the time of rows: within their second, what one frame told together is as late as that frame."""
    if heard is not None and row.whole_second and heard.at_ms // 1_000 == row.at_ms // 1_000:
        return heard.at_ms
    return row.at_ms


def _contradiction(span: _Span, rows: Sequence[FillRow], fee: Decimal | None, profit: Decimal | None) -> str:
    """Name what rows say of an interval's fee or profit if it differs from what was taken, beyond their rounding."""
    row_fee, row_profit = _sum_or_none(rows, "fee"), _sum_or_none(rows, "realized_pnl")
    each = add(ROW_FEE_SLACK, COMMISSION_STEP)
    where = f"({plain(span.z0)}, {plain(span.z1)}]"
    if fee is not None and row_fee is not None and abs(sub(fee, row_fee)) > mul(each, Decimal(len(rows))):
        return f"rows tell a fee of {plain(row_fee)} for {where}, frames {plain(fee)}"
    if profit is not None and row_profit is not None:
        slack = exact_sum(add(COMMISSION_STEP, half_step(row.realized_pnl)) for row in rows if row.realized_pnl)
        if abs(sub(profit, row_profit)) > max(slack, COMMISSION_STEP):
            return f"rows tell a profit of {plain(row_profit)} for {where}, frames {plain(profit)}"
    return ""


def _trade_ids(reading: Reading | None, rows: Sequence[FillRow]) -> tuple[str, ...]:
    told = tuple(dict.fromkeys(row.trade_id for row in rows if row.trade_id is not None))
    if not told and reading is not None and reading.trade_id is not None:
        return (reading.trade_id,)
    return told


def _one_tick(growth: Decimal, quote: _Quote, fee: Decimal | None, terms: Terms) -> Decimal | None:
    """Give the exact quote if of the ticks that the price can be exactly one explains the fee, at a known rate."""
    if terms.tick is None or fee is None:
        return None
    step = mul(growth, terms.tick)
    lowest = DERIVED.divide(sub(quote.value, quote.slack), step).to_integral_value(rounding=ROUND_CEILING)
    highest = DERIVED.divide(add(quote.value, quote.slack), step).to_integral_value(rounding=ROUND_FLOOR)
    fitting: set[Decimal] = set()
    for rate in terms.rates:
        if not rate:  # a rate of 0 fits a part as well as the whole
            continue
        each = mul(step, rate)
        ends = (DERIVED.divide(told, each) for told in (sub(fee, COMMISSION_STEP), add(fee, COMMISSION_STEP)))
        below, above = sorted(ends)  # both are a whole step off
        least, most = (
            below.to_integral_value(rounding=ROUND_FLOOR) + 1,
            above.to_integral_value(rounding=ROUND_CEILING) - 1,
        )
        ticks = max(lowest, least), min(highest, most)
        if ticks[0] <= ticks[1]:  # a small fee may be that of many
            fitting.update(mul(growth, mul(tick, terms.tick)) for tick in ticks)
    return fitting.pop() if len(fitting) == 1 else None


def _is_fee_of(fee: Decimal, quote: _Quote, rates: Sequence[Decimal]) -> bool:
    """Say whether a fee is this quote's at a known rate, cut or rounded to eight decimals."""
    return any(
        abs(sub(fee, mul(quote.value, rate))) < add(COMMISSION_STEP, mul(quote.slack, abs(rate))) for rate in rates
    )


def _since(span: _Span, name: str, *, first: bool) -> Decimal | None:
    """Give the fee (or profit) of the interval if frames tell it cumulatively."""
    now: Decimal | None = getattr(span.reading, name, None)
    before: Decimal | None = ZERO if first else getattr(span.previous, name, None)
    return None if now is None or before is None else sub(now, before)


def _proof(
    own: Decimal | None, since: Decimal | None, quote: _Quote, rates: Sequence[Decimal], row_fee: Decimal | None
) -> str | None:
    """Say which reading of `n` a single execution proves: the one whose fee fits, where the other's does not."""
    if own is None or since is None or own == since:
        return None
    if row_fee is not None:
        fits_own, fits_since = abs(sub(own, row_fee)) <= ROW_FEE_SLACK, abs(sub(since, row_fee)) <= ROW_FEE_SLACK
    else:
        fits_own, fits_since = _is_fee_of(own, quote, rates), _is_fee_of(since, quote, rates)
    if fits_own == fits_since:
        return None
    return PER_FILL if fits_own else CUMULATIVE


def _figure(
    own: Decimal | None,
    since: Decimal | None,
    from_rows: tuple[Decimal | None, Decimal],
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
    return from_rows if from_rows[0] is not None else (None, ZERO)


def _sum_or_none(rows: Sequence[FillRow], name: str) -> Decimal | None:
    """Add up a figure of rows; `None` where there are none or one of them does not tell it."""
    figures: list[Decimal | None] = [getattr(row, name) for row in rows]
    told = [figure for figure in figures if figure is not None]
    return exact_sum(told) if told and len(told) == len(figures) else None
