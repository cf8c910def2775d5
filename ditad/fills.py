"""Fills into K: order frames, fill rows and order reports, each execution counted once.

What enters: bodies of events, on a `Turn`. What leaves: changed sums, positions and records. What holds: a record that
corrects others says which it replaces; what nobody told is listed as unknown, never 0. (account.md §3)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from ditad.axis import derive
from ditad.book import BookFill, Position, Run
from ditad.closes import told_once
from ditad.coverage import KEPT_MARGIN_MS, KEPT_MS
from ditad.events import (
    CoveredOrder,
    FactKind,
    FillRow,
    FillsReport,
    OrderPush,
    OrderRow,
    OrdersReport,
    OrderStatus,
    PositionRow,
    PositionSide,
    Question,
    Side,
)
from ditad.money import ZERO, add, exact_sum, half_step, mul, plain, plain_or_none, ratio, sub
from ditad.orders import (
    FORCED_SOURCE,
    ForcedClose,
    Order,
    Piece,
    Unkept,
    created_ms,
    hear_forced,
    hear_rows,
    order_from,
)
from ditad.orders import hear_push as hear_order_push
from ditad.records import RecordType, rfc3339_ms
from ditad.settle import Twins, settle_at
from ditad.state import UnknownAmount
from ditad.turn import Turn, baseline_second_ms, capital_raw, owns
from ditad.witnesses import FEE, amounts_of, exact_fees


def position_key(turn: Turn, symbol: str, side: PositionSide) -> str:
    """Name the position that a fill or statement is about; one-way mode has one per symbol."""
    return f"{symbol}:{PositionSide.BOTH if turn.state.one_way else side}"


def hear_mode(turn: Turn, sides: Iterable[PositionSide]) -> None:
    """Learn from a side of `BOTH` that the account is in one-way mode: what was kept by side becomes one, signed."""
    state, both = turn.state, PositionSide.BOTH
    if state.one_way or both not in sides:
        return
    state.one_way = True
    stated, twins = state.stated.positions, state.quantity_twins

    def open_first(key: str) -> tuple[bool, str]:
        held = key in state.positions and state.positions[key].run.quantity
        return not (held or (key in stated and stated[key].quantity)), key

    for key in sorted({*state.positions, *stated}, key=open_first):
        symbol, _, side = key.rpartition(":")
        new = f"{symbol}:{both}"
        if new in state.positions or new in stated:
            continue
        sign = Decimal(-1 if side == PositionSide.SHORT else 1)
        position = state.positions.pop(key, None)
        if position is not None:
            base = replace(position.base, quantity=mul(position.base.quantity, sign))
            state.positions[new] = Position(symbol=symbol, side=both, base=base, tick=position.tick)
            state.positions[new].change(removed=(), added=position.fills)
        said = stated.pop(key, None)
        if said is not None:
            stated[new] = replace(said, side=both, quantity=mul(said.quantity, sign))
        twins.pop(key, None)
        twins[new] = Twins()
        settle_at(twins[new], stated[new].quantity if said is not None else ZERO)
    turn.changed = True


def fold_order_push(turn: Turn, push: OrderPush) -> None:
    """Fold an order frame: what its `z` proves and nobody covered becomes facts."""
    state = turn.state
    hear_mode(turn, {push.position_side})
    order = state.orders.get(push.order_id)
    if order is None:
        order = order_from(push)
        order.held = _began_before(turn, push.order_id)
        state.orders[push.order_id] = order
    order.heard_us = turn.event.at_us
    changed, contradiction = hear_order_push(order, push)
    if contradiction:
        _contradict(turn, order, contradiction)
    if changed:
        lay(turn, order)


def _began_before(turn: Turn, order_id: str) -> bool:
    assert turn.state.baseline is not None, "facts are folded after a baseline"
    at_ms = created_ms(order_id)
    return at_ms is not None and at_ms < turn.state.baseline.taken_ms


def lay(turn: Turn, order: Order) -> None:
    """Derive an order's pieces from all its evidence, and let K follow what changed."""
    state = turn.state
    if order.held:
        _incomplete(turn, order, "it began before the baseline")
        return
    order.note_complete()
    contract = state.contracts.get(order.symbol)
    forced = turn.settings.partial_amounts
    amounts = forced if forced != "auto" else state.decisions.get("partial_amounts")
    derivation = derive(
        order,
        amounts=amounts,
        rates=state.fee_rates,
        tick=contract.tick if contract is not None else None,
        printed="average_price" in state.decisions,
    )
    if amounts is None and derivation.amounts is not None:
        turn.decide("partial_amounts", derivation.amounts, f"order {order.order_id}: the fee fits only this reading")
    if derivation.printed:
        turn.decide("average_price", "printed", f"order {order.order_id}: an average price lies between two ticks")
    for problem in derivation.problems:
        _contradict(turn, order, problem)
    pieces = list(derivation.pieces)
    if order.is_forced and owns(state, order.symbol):
        if order.close is None:
            order.close = ForcedClose()
            state.forced.append(order.order_id)
        pieces = told_once(order.close, pieces)
    _replace_pieces(turn, order, pieces)
    _incomplete(turn, order, derivation.incomplete)


def _contradict(turn: Turn, order: Order, problem: str) -> None:
    """Keep what was heard first, and say that something else was heard later."""
    if order.order_id not in turn.state.contradicted:
        turn.state.contradicted[order.order_id] = problem
        turn.changed = True


def _incomplete(turn: Turn, order: Order, reason: str) -> None:
    heard = any(FORCED_SOURCE not in reading.sources for reading in order.readings)
    if reason and not order.incomplete and (heard or order.unplaced is not None):
        turn.open_gap(f"order {order.order_id}: {reason}")
    if reason != order.incomplete:
        turn.changed = True
    order.incomplete = reason
    if reason:
        turn.state.incomplete[order.order_id] = reason
    else:
        turn.state.incomplete.pop(order.order_id, None)


def _replace_pieces(turn: Turn, order: Order, pieces: list[Piece]) -> None:
    state, sums = turn.state, turn.state.sums
    removed = [piece for piece in order.pieces if piece not in pieces]
    added = [piece for piece in pieces if piece not in order.pieces]
    if not removed and not added:
        return
    own = owns(state, order.symbol)
    before = capital_raw(state)
    for sign, changed in ((-1, removed), (1, added)):
        for piece in changed:
            if own:
                sums.fees = add(sums.fees, mul(piece.fee or ZERO, Decimal(sign)))
                sums.fees_slack = add(sums.fees_slack, mul(piece.fee_slack, Decimal(sign)))
                sums.realized_pnl = add(sums.realized_pnl, mul(piece.realized_pnl or ZERO, Decimal(sign)))
                sums.realized_slack = add(sums.realized_slack, mul(piece.realized_slack, Decimal(sign)))
            else:
                asset = order.symbol.rpartition("-")[2]
                net = sub(piece.realized_pnl or ZERO, piece.fee or ZERO)
                state.other_assets[asset] = add(state.other_assets.get(asset, ZERO), mul(net, Decimal(sign)))
    order.pieces = pieces
    for piece in removed:
        state.unknown.pop(f"fill:{order.order_id}:{piece.z1}", None)
    told = {piece.z1: _told_as(turn, order, piece) for piece in removed}
    for piece in added:
        overlapped = [told[old.z1] for old in removed if _overlap(old, piece)]
        _publish_piece(turn, order, piece, tuple(sorted(set[int]().union(*overlapped))))
    for piece in removed:
        if all(piece.z1 != kept.z1 for kept in pieces):
            order.numbers.pop(str(piece.z1), None)
    if own:
        turn.move_wallet(sub(capital_raw(state), before))
        _change_position(turn, order, removed, added)
        _state_last_fill(turn, pieces)


def _told_as(turn: Turn, order: Order, piece: Piece) -> set[int]:
    """Give the numbers of the records that a piece was told by; one of this very event is taken back."""
    number = order.numbers.get(str(piece.z1))
    return {*turn.withdraw(RecordType.FILL, _fill_key(order, piece)), *([] if number is None else [number])}


def _fill_key(order: Order, piece: Piece) -> str:
    return f"{order.order_id}:{plain(piece.z0)}:{plain(piece.z1)}"


def _publish_piece(turn: Turn, order: Order, piece: Piece, replaces: tuple[int, ...]) -> None:
    if piece.fee is None or piece.realized_pnl is None:
        turn.state.unknown[f"fill:{order.order_id}:{piece.z1}"] = UnknownAmount(
            kind="fill", order_id=order.order_id, z0=piece.z0, z1=piece.z1, at_ms=piece.at_ms
        )
    numbers, z1 = order.numbers, str(piece.z1)
    turn.draft(
        RecordType.FILL,
        _fill_key(order, piece),
        fill_body(order, piece, replaces),
        replaces=replaces,
        numbered=lambda seq: numbers.__setitem__(z1, seq),
    )


def fill_body(order: Order, piece: Piece, replaces: tuple[int, ...]) -> dict[str, object]:
    """Write a fill as readers get it."""
    body: dict[str, object] = {
        "order_id": order.order_id,
        "z0": plain(piece.z0),
        "z1": plain(piece.z1),
        "symbol": order.symbol,
        "side": order.side.value,
        "position_side": order.position_side.value,
        "price": plain(ratio(piece.quote, piece.quantity)),
        "qty": plain(piece.quantity),
        "quote": plain(piece.quote),
        "fee": plain_or_none(piece.fee),
        "fee_asset": piece.fee_asset,
        "realized_pnl": plain_or_none(piece.realized_pnl),
        "trade_ids": list(piece.trade_ids),
        "at": rfc3339_ms(piece.at_ms),
        "sources": list(piece.sources),
    }
    if piece.quote_slack or piece.fee_slack:
        body["precision"] = {
            name: plain(slack) for name, slack in (("quote", piece.quote_slack), ("fee", piece.fee_slack)) if slack
        }
    if order.forced is not None:
        body["forced"] = order.forced
    if replaces:
        body["replaces"] = list(replaces)
    return body


def _change_position(turn: Turn, order: Order, removed: list[Piece], added: list[Piece]) -> None:
    state = turn.state
    key = position_key(turn, order.symbol, order.position_side)
    position = state.positions.get(key)
    if position is None:
        side = PositionSide.BOTH if state.one_way else order.position_side
        contract = state.contracts.get(order.symbol)
        position = Position(symbol=order.symbol, side=side, tick=contract.tick if contract is not None else None)
        state.positions[key] = position
    held = [fill for fill in position.fills if fill.order_id == order.order_id] if removed else []
    booked = {piece.z1: [fill for fill in held if piece.z0 <= fill.z0 and fill.z1 <= piece.z1] for piece in removed}
    # What was collapsed into the position's base cannot be taken out again; whatever tells it anew is in there already.
    collapsed = [piece for piece in removed if not booked[piece.z1]]
    before = position.run.quantity
    old = [fill for piece in removed for fill in booked[piece.z1]]
    told = [piece for piece in added if not any(_overlap(piece, gone) for gone in collapsed)]
    new = [fill for piece in told for fill in _book_fills(order, piece)]
    if old != new:  # a fee that was learnt is nothing to the book, which would be folded again from there
        position.change(removed=old, added=new)
    turn.move_quantity(key, sub(position.run.quantity, before))


def _overlap(left: Piece, right: Piece) -> bool:
    return left.z0 < right.z1 and right.z0 < left.z1


def _trade_number(*ids: str | None) -> int | None:
    """Give the number of an execution whose trade id is told."""
    return int(ids[0]) if len(ids) == 1 and ids[0] is not None and ids[0].isdecimal() else None


def _book_fills(order: Order, piece: Piece) -> list[BookFill]:
    """Give a piece to the book, execution by execution where its rows tell several."""
    whole = BookFill(
        order_id=order.order_id,
        z0=piece.z0,
        z1=piece.z1,
        buy=order.side is Side.BUY,
        quantity=piece.quantity,
        quote=piece.quote,
        quote_slack=piece.quote_slack,
        single=piece.single,
        stated_pnl=piece.realized_pnl,
        compared=not order.is_forced,
        at_ms=piece.at_ms,
        whole_second=piece.whole_second,
        trade_number=_trade_number(*piece.trade_ids),
    )
    if not piece.parts or order.is_forced:
        return [whole]
    fills, z0 = [], piece.z0
    for part in piece.parts:
        z1 = add(z0, part.quantity)
        fills.append(
            replace(
                whole,
                z0=z0,
                z1=z1,
                quantity=part.quantity,
                quote=part.quote,
                single=True,
                stated_pnl=part.realized_pnl,
                at_ms=piece.at_ms // 1_000 * 1_000,  # a frame dates the last one only, and nobody tells which that is
                whole_second=True,
                within=piece.z1,
                trade_number=_trade_number(part.trade_id),
            )
        )
        z0 = z1
    return fills


def _rebook(turn: Turn, order: Order) -> None:
    """Book an order's pieces again: it turned out to be a forced close, which R2 leaves out."""
    position = turn.state.positions.get(position_key(turn, order.symbol, order.position_side))
    if position is None:
        return
    booked = [fill for fill in position.fills if fill.order_id == order.order_id]
    position.change(removed=booked, added=[replace(fill, compared=False) for fill in booked])
    turn.changed = True


def _state_last_fill(turn: Turn, pieces: list[Piece]) -> None:
    """State the account's latest fill; an earlier one that is learnt or corrected late does not take its place."""
    stated = turn.state.stated
    if not pieces or pieces[-1].at_ms < stated.last_fill_ms:
        return
    last, stated.last_fill_ms = pieces[-1], pieces[-1].at_ms
    stated.last_fill_price = ratio(last.quote, last.quantity)
    stated.last_fill_quantity = last.quantity
    stated.last_fill_fee = last.fee
    stated.last_fill_realized_pnl = last.realized_pnl


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


def fold_fills_report(turn: Turn, report: FillsReport) -> None:
    """Lay the rows of a completed question on their orders' axes; rows from before the baseline are no facts."""
    state = turn.state
    assert state.baseline is not None, "facts are folded after a baseline"
    hear_mode(turn, {row.position_side for row in report.rows})
    if report.order_id is None:
        known = state.round.fills.get(report.symbol)
        state.round.fills[report.symbol] = report.to_ms if known is None else max(known, report.to_ms)
        earliest = state.round.fills_from.get(report.symbol)
        state.round.fills_from[report.symbol] = report.from_ms if earliest is None else min(earliest, report.from_ms)
        state.round.fill_rows += len(report.rows)
    rows = sorted(report.rows, key=lambda row: int(row.order_id) if row.order_id.isdigit() else 0)
    for order_id, grouped in itertools.groupby(rows, key=lambda row: row.order_id):
        _fold_rows(turn, order_id, list(grouped))
    if report.order_id is not None and report.order_id in state.orders:
        order = state.orders[report.order_id]
        _hear_unkept(turn, order, report)
        _release(turn, order, report)
    witness_fees(turn)


def _fold_rows(turn: Turn, order_id: str, rows: list[FillRow]) -> None:
    state = turn.state
    assert state.baseline is not None, "facts are folded after a baseline"
    order = state.orders.get(order_id)
    if order is None:
        if all(row.at_ms < baseline_second_ms(turn) for row in rows):
            return
        order = order_from(rows[0])
        order.held = _began_before(turn, order_id)
        order.heard_us = turn.event.at_us
        state.orders[order_id] = order
    listed = state.round.listed.pop(order_id, None)
    more = listed is not None and _hear_executed(order, listed, state.round.listed_ms)
    if hear_rows(order, rows) or more:
        if not order.held:
            lay(turn, order)
        else:
            turn.changed = True
    if order.held:
        _incomplete(turn, order, "it began before the baseline")


def fold_orders_report(turn: Turn, report: OrdersReport) -> None:
    """Hear what the exchange says was executed of orders that are known or were asked about."""
    state = turn.state
    hear_mode(turn, {row.position_side for row in report.rows})
    if report.question is Question.ORDERS:  # rows and the quantity that makes them a complete set are heard together
        state.round.listed = {row.order_id: row for row in report.rows if row.executed and row.forced is None}
        state.round.listed_ms = report.asked_ms
        return
    for row in report.rows:
        order = state.orders.get(row.order_id)
        if order is None:
            if report.question is Question.FORCED_ORDERS and row.executed:
                order = order_from(row)
                order.held = _began_before(turn, row.order_id)
                order.heard_us = turn.event.at_us
                state.orders[row.order_id] = order
            else:
                continue
        if row.forced is not None and order.forced is None:
            order.forced = row.forced
            _rebook(turn, order)
            lay(turn, order)
        if not order.ended:
            order.status = row.status
        if _hear_executed(order, row, report.asked_ms):
            if order.is_forced:
                hear_forced(order, row, row.updated_ms or row.created_ms or report.asked_ms)
            if not order.held:
                lay(turn, order)
            turn.changed = True
    witness_fees(turn)


def _hear_unkept(turn: Turn, order: Order, report: FillsReport) -> None:
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


def _release(turn: Turn, order: Order, report: FillsReport) -> None:
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


def _hear_executed(order: Order, row: OrderRow, asked_ms: int) -> bool:
    """Take what a report says was executed of an order, and say whether it is more than was known from reports."""
    if row.executed == order.executed and row.average_price is not None:
        order.executed_price = row.average_price
    if order.executed is not None and row.executed <= order.executed:
        return False
    order.executed, order.executed_price, order.executed_ms = row.executed, row.average_price, asked_ms
    return True


def hear_listed(turn: Turn) -> None:
    """Hear, at the end of a round, what was executed of known orders of which no rows came."""
    listed = turn.state.round.listed
    for order_id, row in listed.items():
        order = turn.state.orders.get(order_id)
        if order is None or row.executed <= order.known:
            continue
        _hear_executed(order, row, turn.state.round.listed_ms)
        if not order.held:
            lay(turn, order)
        turn.changed = True


def witness_fees(turn: Turn) -> None:
    """Replace rounded fees by what TRADING_FEE rows tell exactly, per symbol and second."""
    state = turn.state
    if not state.sums.fees_slack or not state.witnesses:
        return
    rounded: dict[str, list[tuple[Order, Piece]]] = {}
    for order in state.orders.values():
        for piece in order.pieces:
            rounded.setdefault(f"{order.symbol}|{piece.at_ms // 1_000}", []).append((order, piece))
    for key, told in state.witnesses.items():
        pieces = rounded.get(key, [])
        exact = exact_fees([piece for _, piece in pieces], amounts_of(told, FEE), state.fee_rates)
        if exact is None:
            continue
        open_ = [(order, piece) for order, piece in pieces if piece.fee_slack]
        for (order, piece), fee in zip(open_, exact, strict=True):
            order.exact_fees[str(piece.z1)] = fee
        for order in {order.order_id: order for order, _ in open_}.values():
            lay(turn, order)
