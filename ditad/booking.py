"""An order's evidence into K: its pieces, derived anew each time, and what follows from each that changed.

What enters: an `Order` of which something was heard, on a `Turn`. What leaves: changed sums, positions and records, and
why the order is incomplete. What holds: a record that corrects others says which it replaces; what nobody told is
listed as unknown, never 0; the book is folded again only where something changed that it knows of. (account.md §3)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from ditad.axis import derive
from ditad.book import Position
from ditad.closes import told_once
from ditad.events import PositionSide, Side
from ditad.money import ZERO, add, exact_sum, mul, plain, plain_or_none, ratio, sub
from ditad.orders import FORCED_SOURCE, ROW_SOURCE, ForcedClose, Order, Piece
from ditad.records import RecordType, rfc3339_ms
from ditad.state import UnknownAmount
from ditad.stepping import BookFill
from ditad.trades import hear_pieces
from ditad.turn import Turn, capital_raw, owns

TRADE_NUMBER_MAX = 2**63 - 1
"""Trade ids from here on are told and compared as text alone."""


def position_key(turn: Turn, symbol: str, side: PositionSide) -> str:
    """Name the position that a fill or statement is about; one-way mode has one per symbol."""
    return f"{symbol}:{PositionSide.BOTH if turn.state.one_way else side}"


def lay(turn: Turn, order: Order) -> None:
    """Derive an order's pieces from all its evidence, and let K follow what changed."""
    state = turn.state
    if order.held:
        note_incomplete(turn, order, "it began before the baseline")
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
        contradict(turn, order, problem)
    pieces = list(derivation.pieces)
    if order.is_forced and owns(state, order.symbol):
        if order.close is None:
            order.close = ForcedClose()
            state.forced.append(order.order_id)
        pieces = told_once(order.close, pieces)
    _replace_pieces(turn, order, pieces)
    note_incomplete(turn, order, derivation.incomplete)


def contradict(turn: Turn, order: Order, problem: str) -> None:
    """Keep what was heard first, and say that something else was heard later."""
    if order.order_id not in turn.state.contradicted:
        turn.state.contradicted[order.order_id] = problem
        turn.changed = True


def note_incomplete(turn: Turn, order: Order, reason: str) -> None:
    """Say what an order lacks (``""``: nothing); where that is news, a gap is open until it is asked about."""
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
    elsewhere = _told_elsewhere(order, removed, added, told)
    for piece in added:
        overlapped = [told[old.z1] for old in removed if _overlap(old, piece)]
        _publish_piece(turn, order, piece, tuple(sorted(elsewhere.union(*overlapped))))
        elsewhere = set()
    if own:
        moved = sub(capital_raw(state), before)
        turn.paid[order.order_id] = add(turn.paid.get(order.order_id, ZERO), moved)
        grown = sub(exact_sum(piece.quantity for piece in added), exact_sum(piece.quantity for piece in removed))
        turn.grown[order.order_id] = add(turn.grown.get(order.order_id, ZERO), grown)
        turn.move_wallet(moved)
        _change_position(turn, order, removed, added)
        hear_pieces(turn, position_key(turn, order.symbol, order.position_side), order, removed, added)
        _state_last_fill(turn, pieces)


def _told_elsewhere(
    order: Order, removed: Sequence[Piece], added: Sequence[Piece], told: Mapping[Decimal, set[int]]
) -> set[int]:
    """Give the numbers of what was told of places where nothing is now; they are forgotten where something replaces them.

    A frame without its cumulative quantity is laid elsewhere when more is known: nothing new overlaps its old place.
    """
    moved = [told[old.z1] for old in removed if not any(_overlap(old, piece) for piece in added)]
    gone = order.numbers.keys() - {str(piece.z1) for piece in order.pieces}
    left = {order.numbers[z1] for z1 in gone - {str(old.z1) for old in removed}}
    for z1 in gone if added else ():
        del order.numbers[z1]
    return left.union(*moved)


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
    turn.touched.add(order.symbol)
    if old != new:  # a fee that was learnt is nothing to the book, which would be folded again from there
        position.change(removed=old, added=new)
    turn.move_quantity(key, sub(position.run.quantity, before))


def _overlap(left: Piece, right: Piece) -> bool:
    return left.z0 < right.z1 and right.z0 < left.z1


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
        stated_pnl=piece.stated_pnl if order.is_forced else piece.realized_pnl,
        compared=not order.is_forced,
        at_ms=piece.at_ms,
        whole_second=piece.whole_second,
        trade_number=_trade_number(*piece.trade_ids),
        told_by_row=ROW_SOURCE in piece.sources,
    )
    if not piece.parts:
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


def _trade_number(*ids: str | None) -> int | None:
    """Give the number of an execution whose trade id is told; one that no checkpoint could hold orders nothing."""
    number = int(ids[0]) if len(ids) == 1 and ids[0] is not None and ids[0].isdecimal() else TRADE_NUMBER_MAX
    return number if number < TRADE_NUMBER_MAX else None


def rebook(turn: Turn, order: Order) -> None:
    """Book an order's pieces again: it turned out to be a forced close, which R2 leaves out."""
    position = turn.state.positions.get(position_key(turn, order.symbol, order.position_side))
    if position is None:
        return
    booked = [fill for fill in position.fills if fill.order_id == order.order_id]
    turn.touched.add(order.symbol)
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
