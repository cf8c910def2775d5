"""Statements into E: balances, positions, margins and marks, each with its source and its own time.

What enters: account pushes, reports and marks, on a `Turn`. What leaves: the latest statements and what they are
compared with. What holds: an older statement never replaces a newer one; a report is void for a field on which a push
arrived between asking and answering; a push without a position says nothing about it, a report without it says flat;
a mark with which no exact sum could be made is not heard.
(account.md §5, The same moment)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from ditad.booking import position_key
from ditad.events import (
    AccountPush,
    BalanceReport,
    LeveragePush,
    Marks,
    PositionLine,
    PositionRow,
    PositionSide,
    PositionsReport,
    Question,
)
from ditad.money import ZERO, add, is_mark, mul, ratio, sub
from ditad.settle import Twins, settle_at
from ditad.settle import state as state_value
from ditad.state import Figure, MarginSeen, MarkSeen, State, StatedPosition
from ditad.turn import Turn, capital_raw, owns

ISOLATED = "isolated"

SIDES = tuple(f":{side.value}" for side in PositionSide)
"""How the keys of a symbol's positions end."""

BASIS_VOTES = 3
"""Reports that must fit one basis of the margin alone before it counts as the exchange's."""


def fold_account_push(turn: Turn, push: AccountPush) -> None:
    """Hear the balances and positions of an account push as statements."""
    stated = turn.state.stated
    for line in push.balances:
        if line.asset != turn.settings.margin_asset:
            continue
        stated.wallet_push_us = turn.event.at_us
        _state_wallet(turn, line.wallet, push.event_ms, "push")
    for position in push.positions:
        if owns(turn.state, position.symbol):
            _state_position_push(turn, position, push.event_ms)


def _state_wallet(turn: Turn, value: Decimal, event_ms: int, source: str) -> bool:
    """Hear a statement of the wallet, and say whether it was the newest."""
    state, stated = turn.state, turn.state.stated
    if stated.wallet is not None and event_ms < stated.wallet.event_ms:
        return False
    stated.wallet = Figure(value=value, event_ms=event_ms, at_us=turn.event.at_us, source=source)
    state.k_at_wallet = capital_raw(state)
    state_value(state.wallet_twins, value, turn.event.at_us, turn.settings.settle_window_us)
    turn.changed = True
    return True


def _state_position_push(turn: Turn, line: PositionLine, event_ms: int) -> None:
    stated = turn.state.stated
    key = position_key(turn, line.symbol, line.position_side)
    stated.positions_push_us[key] = turn.event.at_us
    old = stated.positions.get(key)
    # What no report has named it has stated flat, at the moment it was asked for.
    if event_ms < (old.event_ms if old is not None else stated.positions_asked_ms):
        return
    turn.touched.add(line.symbol)
    side = PositionSide.BOTH if turn.state.one_way else line.position_side
    quantity = line.amount if side is PositionSide.BOTH else abs(line.amount)
    stated.positions[key] = StatedPosition(
        symbol=line.symbol,
        side=side,
        quantity=quantity,
        entry_price=line.entry_price,
        unrealized_pnl=line.unrealized_pnl,
        mark_price=old.mark_price if old is not None else None,
        mark_us=old.mark_us if old is not None else None,
        leverage=old.leverage if old is not None else None,
        event_ms=event_ms,
        at_us=turn.event.at_us,
        source="push",
    )
    _state_quantity(turn, key, quantity)
    turn.changed = True


def _state_quantity(turn: Turn, key: str, quantity: Decimal) -> None:
    state = turn.state
    twins = state.quantity_twins.get(key)
    if twins is None:  # the baseline named every position: what it did not name was stated flat
        twins = state.quantity_twins[key] = Twins()
        settle_at(twins, ZERO)
    state_value(twins, quantity, turn.event.at_us, turn.settings.settle_window_us)


def fold_balance_report(turn: Turn, report: BalanceReport) -> None:
    """Hear a balance report: the wallet and the margins, which come from nowhere else."""
    state, stated = turn.state, turn.state.stated
    for row in report.rows:
        if row.asset != turn.settings.margin_asset:
            state.other_assets.setdefault(row.asset, ZERO)
            continue
        if max(stated.wallet_push_us, stated.balance_asked_us) > report.asked_us:
            return
        if not _state_wallet(turn, row.wallet, report.asked_ms, "report"):
            return
        for name in ("available_margin", "used_margin"):
            value = getattr(row, name)
            if value is not None:
                figure = Figure(value=value, event_ms=report.asked_ms, at_us=turn.event.at_us, source="report")
                setattr(stated, name, figure)
        if row.used_margin is not None:
            _hear_basis(turn)
            state.margin = MarginSeen(at_entry=_margin_at_entry(state), at_mark=[], stated=row.used_margin)
            _value_margin(state, state.margin)
        stated.balance_asked_us, stated.balance_asked_ms = report.asked_us, report.asked_ms
        state.answered_us[Question.BALANCE.value] = report.asked_us
        turn.changed = True


def _value_margin(state: State, seen: MarginSeen) -> None:
    """Value K's margin at the marks known now: each may have been the exchange's at that moment."""
    for stated_marks in (False, True):
        figure = _margin_at_mark(state, stated_marks=stated_marks)
        if figure is not None and figure not in seen.at_mark:
            seen.at_mark.append(figure)


def _hear_basis(turn: Turn) -> None:
    """See which basis alone fits the last margin report, now that all its marks are known.

    Right after a fill mark and entry may be one price, and a mark may be older than the report: it takes several
    reports that fit one basis alone, and none the other, to decide it.
    """
    state, seen = turn.state, turn.state.margin
    if seen is None or seen.at_entry is None or not seen.at_mark:
        return  # what fits cannot be told from what is not known
    epsilon = turn.settings.capital_epsilon
    fits_entry = abs(sub(seen.at_entry, seen.stated)) <= epsilon
    fits_mark = any(abs(sub(figure, seen.stated)) <= epsilon for figure in seen.at_mark)
    if fits_entry == fits_mark:
        return
    basis = "entry" if fits_entry else "mark"
    state.margin_votes[basis] = state.margin_votes.get(basis, 0) + 1
    if len(state.margin_votes) == 1 and state.margin_votes[basis] >= BASIS_VOTES:
        turn.decide(
            "margin_basis", basis, f"{BASIS_VOTES} reports fit this basis alone, used margin {seen.stated} last"
        )


def fold_positions_report(turn: Turn, report: PositionsReport) -> None:
    """Hear a positions report: what it names, and that everything else is flat."""
    state, stated = turn.state, turn.state.stated
    if report.asked_us < stated.positions_asked_us:
        return
    named: set[str] = set()
    for row in together(report.rows):
        if not owns(state, row.symbol):
            state.other_assets.setdefault(row.symbol.rpartition("-")[2], ZERO)
            continue
        key = position_key(turn, row.symbol, row.side)
        named.add(key)
        _state_position_row(turn, key, row, report)
    known = {*stated.positions, *state.positions, *state.quantity_twins}
    for key in sorted(known - named):
        if stated.positions_push_us.get(key, 0) <= report.asked_us:
            _state_flat(turn, key, report)
    if state.margin is not None and state.margin.at_entry == _margin_at_entry(state):
        _value_margin(state, state.margin)
    stated.positions_us = turn.event.at_us
    stated.positions_asked_us, stated.positions_asked_ms = report.asked_us, report.asked_ms
    state.answered_us[Question.POSITIONS.value] = report.asked_us
    turn.changed = True


def together(rows: Iterable[PositionRow]) -> list[PositionRow]:
    """Make one of all rows of a symbol and side: several isolated positions may stand beside each other.

    (bingx.md §5, `onlyOnePosition`.) The entry price is the quotient of what they cost; a figure that one of them does
    not tell is not told of all.
    """
    found: dict[tuple[str, PositionSide], PositionRow] = {}
    for row in rows:
        held = found.get((row.symbol, row.side))
        found[row.symbol, row.side] = row if held is None else _joined(held, row)
    return [_without_impossible_mark(row) for row in found.values()]


def _without_impossible_mark(row: PositionRow) -> PositionRow:
    return row if row.mark_price is None or is_mark(row.mark_price) else replace(row, mark_price=None)


def _joined(left: PositionRow, right: PositionRow) -> PositionRow:
    quantity = add(left.quantity, right.quantity)
    entry = None
    if left.entry_price is not None and right.entry_price is not None and quantity:
        cost = add(mul(left.quantity, left.entry_price), mul(right.quantity, right.entry_price))
        entry = ratio(cost, quantity)
    return replace(
        left,
        quantity=quantity,
        entry_price=entry,
        mark_price=right.mark_price if left.mark_price is None else left.mark_price,
        unrealized_pnl=_sum_or_none(left.unrealized_pnl, right.unrealized_pnl),
        leverage=left.leverage if left.leverage == right.leverage else None,
        initial_margin=_sum_or_none(left.initial_margin, right.initial_margin),
    )


def _sum_or_none(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    return None if left is None or right is None else add(left, right)


def _state_position_row(turn: Turn, key: str, row: PositionRow, report: PositionsReport) -> None:
    stated = turn.state.stated
    turn.touched.add(row.symbol)
    old = stated.positions.get(key)
    newer = stated.positions_push_us.get(key, 0) <= report.asked_us and (old is None or report.asked_ms >= old.event_ms)
    if not newer:
        if old is not None and row.mark_price is not None:  # marks and leverage come from nowhere else
            old.mark_price, old.mark_us = row.mark_price, turn.event.at_us
        if old is not None and row.leverage is not None:
            old.leverage = row.leverage
        return
    stated.positions[key] = stated_row(turn, row, report.asked_ms)
    _state_quantity(turn, key, stated.positions[key].quantity)


def stated_row(turn: Turn, row: PositionRow, asked_ms: int) -> StatedPosition:
    """Make a statement of a report's row; in one-way mode a short is negative."""
    one_way = turn.state.one_way
    signed = -row.quantity if one_way and row.side is PositionSide.SHORT else row.quantity
    return StatedPosition(
        symbol=row.symbol,
        side=PositionSide.BOTH if one_way else row.side,
        quantity=signed,
        entry_price=row.entry_price,
        unrealized_pnl=row.unrealized_pnl,
        mark_price=row.mark_price,
        mark_us=turn.event.at_us if row.mark_price is not None else None,
        leverage=row.leverage,
        event_ms=asked_ms,
        at_us=turn.event.at_us,
        source="report",
    )


def _state_flat(turn: Turn, key: str, report: PositionsReport) -> None:
    stated = turn.state.stated
    old = stated.positions.get(key)
    if old is not None and report.asked_ms < old.event_ms:
        return
    symbol, _, side = key.rpartition(":")
    turn.touched.add(symbol)
    stated.positions[key] = StatedPosition(
        symbol=symbol,
        side=PositionSide(side),
        quantity=ZERO,
        entry_price=None,
        unrealized_pnl=None,
        mark_price=None,
        mark_us=None,
        leverage=old.leverage if old is not None else None,
        event_ms=report.asked_ms,
        at_us=turn.event.at_us,
        source="report",
    )
    _state_quantity(turn, key, ZERO)


def fold_leverage(turn: Turn, push: LeveragePush) -> None:
    """Hear a symbol's leverage; K's used margin follows it."""
    turn.state.leverages[push.symbol] = push
    turn.touched.add(push.symbol)
    turn.changed = True


def fold_marks(turn: Turn, marks: Marks) -> None:
    """Hear marks from the market stream."""
    for mark in marks.marks:
        if not is_mark(mark.price):
            continue
        turn.state.marks[mark.symbol] = MarkSeen(price=mark.price, at_us=turn.event.at_us)
        turn.touched.add(mark.symbol)
        turn.changed = True


def mark_of(state: State, symbol: str) -> MarkSeen | None:
    """Give K's mark of a symbol: the market stream's, else the one a report stated; `None` if nobody told one."""
    seen = state.marks.get(symbol)
    if seen is not None:
        return seen
    for stated in state.stated.positions.values():
        if stated.symbol == symbol and stated.mark_price is not None and stated.mark_us is not None:
            return MarkSeen(price=stated.mark_price, at_us=stated.mark_us)
    return None


def marks_of(state: State) -> dict[str, Decimal]:
    """Give K's marks of all symbols, each as `mark_of` finds it."""
    found: dict[str, Decimal] = {}
    for stated in state.stated.positions.values():
        if stated.mark_price is not None and stated.mark_us is not None:
            found.setdefault(stated.symbol, stated.mark_price)
    for symbol, seen in state.marks.items():
        found[symbol] = seen.price
    return found


def mark_price_of(state: State, symbol: str) -> Decimal | None:
    """Give what `marks_of` gives for a symbol, without looking at the others."""
    seen = state.marks.get(symbol)
    if seen is not None:
        return seen.price
    stated, found = state.stated.positions, None
    for side in SIDES:
        row = stated.get(symbol + side)
        if row is None or row.mark_price is None or row.mark_us is None:
            continue
        if found is not None and found.compare_total(row.mark_price):
            return marks_of(state)[symbol]  # the one that counts is the first in the order in which they were stated
        found = row.mark_price
    return found


def leverage_of(state: State, key: str, quantity: Decimal) -> Decimal | None:
    """Give the leverage of a position: as the configuration says, which is pushed, else as its report states it."""
    symbol, _, side = key.rpartition(":")
    told = state.leverages.get(symbol)
    if told is not None:
        short = side == PositionSide.SHORT or (side == PositionSide.BOTH and quantity < 0)
        leverage = told.short if short else told.long
        if leverage:
            return leverage
    stated = state.stated.positions.get(key)
    return stated.leverage if stated is not None and stated.leverage else None


def _margin_at_entry(state: State) -> Decimal | None:
    """Add up K's margin in use at its entries; `None` if a leverage or entry is not known."""
    total = ZERO
    for key, position in state.positions.items():
        run = position.run
        if not run.quantity:
            continue
        leverage = leverage_of(state, key, run.quantity)
        if leverage is None or run.uncertain:
            return None
        total = add(total, ratio(run.cost, leverage))
    return total


def _margin_at_mark(state: State, *, stated_marks: bool) -> Decimal | None:
    """Add up K's margin in use at the stream's marks or at those the positions report states; `None` if one lacks."""
    total = ZERO
    for key, position in state.positions.items():
        quantity = position.run.quantity
        if not quantity:
            continue
        leverage = leverage_of(state, key, quantity)
        if stated_marks:
            stated = state.stated.positions.get(key)
            mark = stated.mark_price if stated is not None else None
        else:
            seen = mark_of(state, position.symbol)
            mark = seen.price if seen is not None else None
        if leverage is None or mark is None:
            return None
        total = add(total, ratio(mul(abs(quantity), mark), leverage))
    return total
