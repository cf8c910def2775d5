"""What lies before: positions and orders that a ledger begins with, and the parts of orders that no row can tell.

What enters: a baseline's rows, and answers about orders that began before it or before what the exchange keeps. What
leaves: positions with a base, orders with an opening, and orders that are folded from now on. What holds: what lies
before the baseline is never a fact; what cannot be told any more is one opening interval from the order's average
price; of the baseline's own second only what the wallet proves counts. (account.md §3, Fills and Baseline)
"""

from __future__ import annotations

from decimal import Decimal

from ditad.book import Position
from ditad.booking import lay, position_key
from ditad.coverage import KEPT_MARGIN_MS, KEPT_MS
from ditad.events import CoveredOrder, FactKind, FillsReport, OrderStatus, PositionRow, PositionSide, Side
from ditad.money import ZERO, add, exact_sum, half_step, mul, sub
from ditad.orders import Order, Unkept, created_ms
from ditad.stepping import Run
from ditad.turn import Turn, baseline_second_ms, capital_raw, owns


def began_before(turn: Turn, order_id: str) -> bool:
    """Say whether an order was created before the baseline, as far as its id tells."""
    assert turn.state.baseline is not None, "facts are folded after a baseline"
    at_ms = created_ms(order_id)
    return at_ms is not None and at_ms < turn.state.baseline.taken_ms


def open_position(turn: Turn, row: PositionRow) -> None:
    """Begin with a position that a baseline states; its entry is as good as its digits."""
    state = turn.state
    if not owns(state, row.symbol) or not row.quantity:
        return
    key = position_key(turn, row.symbol, row.side)
    contract = state.contracts.get(row.symbol)
    signed = -row.quantity if state.one_way and row.side is PositionSide.SHORT else row.quantity
    entry = row.entry_price if row.entry_price is not None else ZERO
    beside = state.positions[key].base if key in state.positions else Run()  # several isolated ones of one side
    state.positions[key] = Position(
        symbol=row.symbol,
        side=PositionSide.BOTH if state.one_way else row.side,
        tick=contract.tick if contract is not None else None,
        base=Run(
            quantity=add(beside.quantity, signed),
            cost=add(beside.cost, mul(row.quantity, entry)),
            cost_slack=add(
                beside.cost_slack, mul(row.quantity, half_step(entry)) if row.entry_price is not None else ZERO
            ),
            uncertain=beside.uncertain or row.entry_price is None,
        ),
    )


def cover(turn: Turn, covered: CoveredOrder) -> None:
    """Note the part of an order that lies before the baseline."""
    turn.state.orders[covered.order_id] = Order(
        order_id=covered.order_id,
        symbol=covered.symbol,
        side=Side.BUY,
        position_side=PositionSide.BOTH,
        order_type="",
        status=OrderStatus.UNKNOWN,
        opening=covered.executed,
        opening_price=covered.average_price,
        introduced=False,
    )


def cover_known(turn: Turn, order: Order) -> None:
    """Note, at a re-baseline, that all that is known of an order lies before it now."""
    last = order.readings[-1] if order.readings else None
    price = last.average_price if last is not None and last.z == order.known else None
    covered = CoveredOrder(order_id=order.order_id, symbol=order.symbol, executed=order.known, average_price=price)
    cover(turn, covered)


def hear_unkept(turn: Turn, order: Order, report: FillsReport) -> None:
    """Take what rows can never tell of an order as one opening interval, from its average price. (account.md §3)"""
    unkept = order.unkept
    told = exact_sum(row.quantity for row in order.rows)
    if told == order.executed:
        unkept = None
    elif _is_out_of_reach(turn, order, report) and order.executed == order.known > told:
        assert turn.state.baseline is not None, "facts are folded after a baseline"
        assert order.executed_price is not None, "without it nothing is out of reach"
        assert order.created_ms is not None, "without it nothing is out of reach"
        quotes = exact_sum(mul(row.quantity, row.price) for row in order.rows)
        unkept = Unkept(
            quantity=sub(order.known, told),
            quote=sub(mul(order.known, order.executed_price), quotes),
            executed=order.known,
            price=order.executed_price,
            at_ms=max(order.created_ms, turn.state.baseline.taken_ms),
        )
    if unkept != order.unkept:
        order.unkept = unkept
        lay(turn, order)


def _is_out_of_reach(turn: Turn, order: Order, report: FillsReport) -> bool:
    """Say whether an answer about an order proves that what it lacks is older than what is kept.

    It began after the order's creation and with all that is kept, and every row of that must have come: the executed
    quantity was told a report's lag before, and nothing executed since. Else the exchange can still tell, and is asked.
    """
    if order.created_ms is None or order.executed_price is None:
        return False
    kept = report.asked_ms - report.from_ms >= KEPT_MS[FactKind.FILLS] - KEPT_MARGIN_MS
    settled = report.asked_ms >= order.executed_ms + turn.settings.fills_lag_ms
    still = order.ended or all(row.at_ms + 1_000 < order.executed_ms for row in order.rows)
    return order.created_ms < report.from_ms and kept and settled and still


def release(turn: Turn, order: Order, report: FillsReport) -> None:
    """Fold an order that began before the baseline, once its rows say which part of it lies before.

    What is kept no more lies before it too, if the answer reached back to the baseline.
    """
    if not order.held or order.executed is None:
        return
    second = baseline_second_ms(turn)
    unkept = order.unkept.quantity if order.unkept is not None and report.from_ms <= second else ZERO
    if add(unkept, exact_sum(row.quantity for row in order.rows)) != order.executed:
        return
    before = add(unkept, exact_sum(row.quantity for row in order.rows if row.at_ms < second))
    inside = exact_sum(row.quantity for row in order.rows if second <= row.at_ms < second + 1_000)
    order.held = False
    order.opening = before if not inside else _opening_of(turn, order, before, add(before, inside))
    lay(turn, order)


def _opening_of(turn: Turn, order: Order, before: Decimal, through: Decimal) -> Decimal:
    """Decide for rows of the baseline's own second: they count only if K then equals E exactly, and not without."""
    state = turn.state
    second = baseline_second_ms(turn)
    inside = [row for row in order.rows if second <= row.at_ms < second + 1_000]
    later = [row for row in order.rows if row.at_ms >= second + 1_000]
    amounts = [exact_sum(sub(row.realized_pnl or ZERO, row.fee or ZERO) for row in part) for part in (inside, later)]
    assert state.stated.wallet is not None, "a baseline states the wallet"
    missing = sub(state.stated.wallet.value, capital_raw(state))
    slack = turn.settings.capital_epsilon
    without = abs(sub(missing, amounts[1])) <= slack
    along = abs(sub(missing, add(*amounts))) <= slack
    return before if along and not without else through
