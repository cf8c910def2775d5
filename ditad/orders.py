"""What was heard of an order: frames, rows of a fill history, executed quantities; each kept once.

What enters: order frames (as `Reading`s at their cumulative quantity `z`) and rows of a fill history. What leaves: an
`Order` that holds all evidence; `ditad.axis` derives its `Piece`s from that.
What holds: what was known stays and what was unknown is filled, so that neither the order of arrival nor repetition
can matter; a contradiction is named and what was heard first is kept. (account.md §3, Fills)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import IntEnum

from ditad.events import FillRow, OrderPush, OrderRow, OrderStatus, PositionSide, Side
from ditad.money import ZERO, add, exact_sum, half_step, sub

EXECUTED = frozenset({OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED, OrderStatus.UNKNOWN})
"""Only these frames speak of an execution; a cancelled order's frame tells `z` and `ap`, not a fill's money."""


ROW_AWAY_MS = 5_000
"""So far a frame's own time may be from the second that its row tells; both are the exchange's (bingx.md §4, §5)."""

SNOWFLAKE_EPOCH_MS = 1_288_834_974_657
"""An order id's creation time is ``(id >> 22) + this`` (account.md §3, Baseline)."""

SNOWFLAKE_SINCE_MS = 1_514_764_800_000
"""Ids that would lie before 2018 are no such numbers; the exchange did not exist."""


def created_ms(order_id: str) -> int | None:
    """Read the creation time off an order id; `None` where the id is not of that kind."""
    at_ms = (int(order_id) >> 22) + SNOWFLAKE_EPOCH_MS if order_id.isdigit() else 0
    return at_ms if at_ms >= SNOWFLAKE_SINCE_MS else None


FORCED_TYPES = frozenset({"LIQUIDATION", "ADL"})
"""Order types of forced closes, whose profit is no fill's and is left out of R2. (account.md §3, Forced closes)"""

FORCED_SOURCE = "forced_orders"
"""The source of a reading that only the list of forced orders told."""

ROW_SOURCE = "fill_history"
"""The source of a piece that rows of a fill history told."""


class Timed(IntEnum):
    """How well a reading's time tells that of the execution, best first."""

    TRADE = 0
    EVENT = 1
    LATER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What order frames said at the cumulative quantity `z`; fields unknown at first are filled by later frames.

    `summed`: the frames lacked `z` and it was found by adding up `l`, so the boundary is only as good as that sum;
    `behind` is what rows had told of executions before it when it came.
    """

    z: Decimal
    average_price: Decimal | None
    fee: Decimal | None
    fee_asset: str | None
    realized_pnl: Decimal | None
    last_quantity: Decimal | None
    last_price: Decimal | None
    at_ms: int
    timed: Timed
    trade_id: str | None
    sources: tuple[str, ...]
    summed: bool = False
    behind: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One execution inside a piece, whose place there nobody told; `quote` is quantity·price."""

    quantity: Decimal
    quote: Decimal
    realized_pnl: Decimal
    trade_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A fill: the interval ``(z0, z1]`` of an order, its money and how far each figure may be off.

    `quote` is Σ quantity·price. `fee` is positive when paid. `single` says that it is known to be one execution.
    `whole_second` says that `at_ms` is only good to a second. `parts` are the executions of it where rows tell several
    of one moment: others may have come between them. `stated_pnl` is what a forced close states as its profit, whatever
    counts as `realized_pnl`.
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
    parts: tuple[Part, ...] = ()
    stated_pnl: Decimal | None = None

    @property
    def quantity(self) -> Decimal:
        """Give the interval's length, in base coin."""
        return sub(self.z1, self.z0)


def interval(piece: Piece) -> str:
    """Name a piece by both of its ends: of another interval that ends there, nothing told of this one holds."""
    return f"{piece.z0}:{piece.z1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What income alone told of an interval; `None`: not this."""

    fee: Decimal | None = None
    realized_pnl: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unkept:
    """The beginning ``(0, quantity]`` of an order, whose rows are older than what the exchange keeps.

    `quote` is what the average `price` of all its `executed` units leaves for it beside the rows that are kept; `at_ms`
    is the earliest moment it can be of.
    """

    quantity: Decimal
    quote: Decimal
    executed: Decimal
    price: Decimal
    at_ms: int


@dataclass(slots=True, kw_only=True)
class ForcedClose:
    """The one profit of a forced close, however often it is told. (account.md §3, Forced closes)

    `stated` is Σ `rp` of the pieces up to `reached` (`None`: one is not told). `profit` is what counts of them up to
    `through` (`None`: nothing does yet); `by_row` says that income rows tell it, and hold it.
    """

    stated: Decimal | None = None
    reached: Decimal = ZERO
    profit: Decimal | None = None
    through: Decimal = ZERO
    by_row: bool = False


@dataclass(slots=True, kw_only=True)
class Order:
    """Everything heard of one order.

    `opening` is the part before this ledger: covered by the baseline, never a fact. `executed` is what an order
    report said, at which average price, first asked when (the exchange's clock). `complete` is how far `complete_rows`
    once told everything: what is executed later does not make them less. `later` is what rows tell beyond the baseline. `unkept`
    is the part that no row can tell any more. `numbers` are the record numbers of the current pieces, by their `z1` as text; `exact_fees` are those
    that an exact witness told, likewise, `restated` the profits and fees that nobody else told, by the interval.
    `held`: it began before the baseline and is asked about before it is folded.
    `introduced`: its sides are known; of an order that a baseline covers they are not, before something of it is heard.
    `summed` are frames without `z` that told `l`. `unplaced` is what was known when a frame came that told neither:
    what it executed is not known before `executed` is told anew (`None`: no such frame).
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
    summed: list[Reading] = field(default_factory=list)
    unplaced: Decimal | None = None
    executed: Decimal | None = None
    executed_price: Decimal | None = None
    executed_ms: int = 0
    unkept: Unkept | None = None
    complete: Decimal = ZERO
    complete_rows: list[FillRow] = field(default_factory=list)
    later: Decimal = ZERO
    forced: str | None = None
    close: ForcedClose | None = None
    pieces: list[Piece] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    exact_fees: dict[str, Decimal] = field(default_factory=dict)
    restated: dict[str, Money] = field(default_factory=dict)
    incomplete: str = ""
    heard_us: int = 0

    @property
    def is_forced(self) -> bool:
        """Say whether the exchange closed a position by this order."""
        return self.forced is not None or self.order_type in FORCED_TYPES

    @property
    def created_ms(self) -> int | None:
        """Give the order's creation time, where its id tells it."""
        return created_ms(self.order_id)

    @property
    def known(self) -> Decimal:
        """Give the highest cumulative quantity that anybody stated."""
        stated = [self.opening, *(reading.z for reading in self.readings[-1:])]
        stated.extend(told for told in (self.executed, self.unplaced) if told is not None)
        return max(stated)

    @property
    def lacks_since_ms(self) -> int | None:
        """Give the moment since when fills of it may still be told, or told better; `None`: all are, to the last digit.

        A fee or a profit that nobody told changes no fill.
        """
        if not self.incomplete:
            return None
        z, since_ms = self.opening, self.created_ms or 0
        for piece in self.pieces:
            if piece.z0 > z or piece.quote_slack:
                return since_ms
            z, since_ms = piece.z1, piece.at_ms // 1_000 * 1_000
        told = max(self.known, exact_sum(row.quantity for row in self.rows))
        unplaced = self.unplaced is not None and self.executed is None
        return since_ms if z < told or unplaced else None

    def note_complete(self) -> None:
        """Remember how far the rows tell everything, when they do."""
        start = self.unkept.quantity if self.unkept is not None else ZERO
        if self.rows and add(start, exact_sum(row.quantity for row in self.rows)) == self.known:
            self.complete, self.complete_rows = self.known, list(self.rows)

    @property
    def ended(self) -> bool:
        """Say whether the order can execute no more."""
        return self.status in {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED}


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


def hear_push(order: Order, push: OrderPush, *, covered_ms: int = 0) -> tuple[bool, str]:
    """Take a frame into the evidence. Returns whether anything was new, and what it contradicts (``""``: nothing).

    What a frame without `z` tells of before `covered_ms` may be part of the order's opening, and is not added to it.
    """
    introduce(order, push)
    changed = order.status != push.status and not order.ended
    if changed:
        order.status = push.status
    if push.order_type and not order.order_type:
        order.order_type = push.order_type
    z = _cumulative(push)
    if z is None:
        adds_up = push.status in EXECUTED and push.last_quantity and not (order.opening and push.event_ms < covered_ms)
        return (_hear_summed(order, push) if adds_up else _lose(order)) or changed, ""
    if push.status is OrderStatus.FILLED and order.unplaced is not None and z >= order.known:
        order.unplaced, changed = None, True  # the whole order is told: nothing is left that could not be placed
    if z <= order.opening:
        return changed, ""
    added, contradiction = _add_reading(order, _reading(push, z))
    return changed or added, contradiction


def hear_forced(order: Order, row: OrderRow, at_ms: int) -> None:
    """Take a row of the list of forced orders for a frame, where no frame told of the order: it proves ``(0, z]``."""
    if row.average_price is None or not row.executed or any(reading.z >= row.executed for reading in order.readings):
        return
    told = Reading(
        z=row.executed,
        average_price=row.average_price,
        fee=None,
        fee_asset=None,
        realized_pnl=None,
        last_quantity=None,
        last_price=None,
        at_ms=at_ms,
        timed=Timed.LATER,
        trade_id=None,
        sources=(FORCED_SOURCE,),
    )
    _add_reading(order, told)


def _cumulative(push: OrderPush) -> Decimal | None:
    """Find `z`, also for early frames that lack it: FILLED means the order's quantity, NEW means 0."""
    if push.filled is not None:
        return push.filled
    if push.status is OrderStatus.NEW:
        return ZERO
    return push.quantity if push.status is OrderStatus.FILLED else None


def _reading(push: OrderPush, z: Decimal) -> Reading:
    executed = push.status in EXECUTED
    timed = Timed.LATER if not executed else Timed.EVENT if push.trade_ms is None else Timed.TRADE
    return Reading(
        z=z,
        average_price=push.average_price or None,
        fee=push.fee if executed else None,
        fee_asset=push.fee_asset,
        realized_pnl=push.realized_pnl if executed else None,
        last_quantity=push.last_quantity if executed and push.last_quantity else None,
        last_price=push.last_price if executed and push.last_price else None,
        at_ms=push.trade_ms if push.trade_ms is not None else push.event_ms,
        timed=timed,
        trade_id=push.trade_id if executed else None,
        sources=(push.name,),
    )


def _lose(order: Order) -> bool:
    """Note that something may have executed of which nobody said how much; a whole order cannot have."""
    if order.status is OrderStatus.FILLED and order.readings:
        return False
    order.unplaced, order.executed = order.known, None
    return True


def _hear_summed(order: Order, push: OrderPush) -> bool:
    """Take a frame that tells `l` but not `z`: in the order of their times, such frames add up to `z`."""
    new = _reading(push, ZERO)
    if new.last_price is not None:
        new = replace(new, average_price=None)  # it belongs to the true `z`, which may be another than the sum
    if any(
        (old.at_ms, old.last_quantity, old.last_price) == (new.at_ms, new.last_quantity, new.last_price)
        for old in order.summed
    ):
        return False
    order.summed.append(replace(new, behind=_executed_before(order, new)))
    order.summed.sort(key=lambda reading: (reading.at_ms, reading.last_quantity or ZERO, reading.last_price or ZERO))
    order.readings = [reading for reading in order.readings if not reading.summed]
    z = order.opening
    for reading in order.summed:
        z = add(max(z, add(order.opening, reading.behind)), reading.last_quantity or ZERO)
        _add_reading(order, replace(reading, z=z, summed=True))
    return True


def _executed_before(order: Order, reading: Reading) -> Decimal:
    """Say what rows told so far of executions before a frame's own: the frames of those may have been missed."""
    if order.opening or order.unkept is not None:
        return ZERO  # some rows may be in the opening
    own = _row_of(reading, order.rows)
    since_ms = reading.at_ms - 999 - ROW_AWAY_MS if own is None else own.at_ms
    return exact_sum(row.quantity for row in order.rows if row.at_ms < since_ms)


def _row_of(reading: Reading, rows: list[FillRow]) -> FillRow | None:
    """Find the row of a frame's execution: the one of its trade id, else the first alike in quantity, price and time."""
    named = [row for row in rows if reading.trade_id is not None and row.trade_id == reading.trade_id]
    alike = [
        row
        for row in rows
        if (row.quantity, row.price) == (reading.last_quantity, reading.last_price)
        and -ROW_AWAY_MS <= reading.at_ms - row.at_ms <= 999 + ROW_AWAY_MS
    ]
    return next(iter([*named, *alike]), None)


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
        str(reading.average_price),
        reading.fee,
        reading.realized_pnl,
        reading.last_quantity,
        reading.last_price,
        reading.trade_id,
        reading.at_ms,
    )


def _merge(old: Reading, new: Reading) -> tuple[Reading, str]:
    """Fill what was unknown; what was known stays, and a difference beyond rounding is named.

    Of two average prices that agree the one with more digits is taken, of two times the earlier one, because nothing
    executes after it was told: so that it does not matter which came first. A frame without an execution (an amendment, say) tells zeros at a `z` that is known:
    0 says nothing against a figure, and a figure takes the place of 0.
    """
    contradiction = ""
    average_price = old.average_price if new.average_price is None else new.average_price
    if old.average_price is not None and new.average_price is not None:
        slack = add(half_step(old.average_price), half_step(new.average_price))
        if abs(sub(old.average_price, new.average_price)) > slack:
            average_price = old.average_price
            contradiction = f"average price {new.average_price} at z={new.z}, was {old.average_price}"
        else:
            average_price = min(old.average_price, new.average_price, key=lambda price: (half_step(price), price))
    for name in ("fee", "realized_pnl", "last_quantity", "last_price"):
        before, after = getattr(old, name), getattr(new, name)
        if before and after and before != after:
            contradiction = f"{name} {after} at z={new.z}, was {before}"
    at_ms, timed = min((old.at_ms, old.timed), (new.at_ms, new.timed))
    return replace(
        old,
        average_price=average_price,
        fee=_figure(old.fee, new.fee),
        fee_asset=new.fee_asset if old.fee_asset is None else old.fee_asset,
        realized_pnl=_figure(old.realized_pnl, new.realized_pnl),
        last_quantity=_figure(old.last_quantity, new.last_quantity),
        last_price=_figure(old.last_price, new.last_price),
        at_ms=at_ms,
        timed=timed,
        trade_id=new.trade_id if old.trade_id is None else old.trade_id,
        sources=tuple(sorted({*old.sources, *new.sources})),
        summed=old.summed and new.summed,
    ), contradiction


def _figure(before: Decimal | None, after: Decimal | None) -> Decimal | None:
    """Keep the first figure that is not 0, else 0 if anybody told it."""
    return before if before or after is None else after


def hear_rows(order: Order, rows: Iterable[FillRow]) -> bool:
    """Take rows of a fill history into the evidence, each execution once. Returns whether any was new.

    One history names executions by a trade id and the other does not (bingx.md §5): a row without an id is the same
    execution as one row of equal second, quantity and price, one to one.
    """
    known = {row.trade_id for row in order.rows if row.trade_id is not None}
    unmatched = list(range(len(order.rows)))
    fresh: list[FillRow] = []
    heard = list(rows)
    told_again = {row.trade_id for row in heard if row.trade_id in known}
    unmatched = [index for index in unmatched if order.rows[index].trade_id not in told_again]
    for row in heard:
        if row.trade_id is not None and row.trade_id in known:
            continue
        if row.trade_id is not None:
            known.add(row.trade_id)
        alike = [index for index in unmatched if _same_execution(order.rows[index], row)]
        twin = min(alike, key=lambda index: _money_told(order.rows[index]) != _money_told(row), default=None)
        if twin is None:
            fresh.append(row)
            continue
        unmatched.remove(twin)
        if row.trade_id is not None:
            order.rows[twin] = row
    if fresh:
        introduce(order, fresh[0])
        order.rows.extend(fresh)
    order.rows.sort(key=_row_order)
    return bool(fresh)


def _same_execution(held: FillRow, row: FillRow) -> bool:
    """Say whether two rows may tell one execution: the same history tells it alike, the other at least where and how much."""
    if held.trade_id is not None and row.trade_id is not None:
        return False
    if held.trade_id is None and row.trade_id is None and _money_told(held) != _money_told(row):
        return False
    return (held.at_ms // 1_000, held.quantity, held.price) == (row.at_ms // 1_000, row.quantity, row.price)


def _money_told(row: FillRow) -> tuple[Decimal | None, Decimal | None]:
    return row.fee, row.realized_pnl


def _row_order(row: FillRow) -> tuple[object, ...]:
    return (row.at_ms, row.trade_id or "", row.quantity, row.price, str(row.fee), str(row.realized_pnl))
