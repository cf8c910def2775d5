"""The life of K's positions as account events: opened, ended, crossed, and corrected when more becomes known.

What enters: on a `Turn`, which pieces of which position were replaced; at its end K's figures. What leaves: account
event records, and the net of all ended trades. What holds: a trade is what the book says it is; each end is told once,
and again, naming what that replaces, only if its money changed; what nobody told is null and never 0; a push that
neither opens nor ends anything costs a few sums. (account.md §8)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ditad.bot import name_of
from ditad.events import PositionSide, SettingsInForce, Side
from ditad.legs import (
    LegMoney,
    Tale,
    Telling,
    Trade,
    TradeBook,
    Walked,
    copied,
    covered_trade,
    is_short,
    money_of,
    piece_money,
    walk,
)
from ditad.money import DERIVED, ZERO, add, exact_sum, mul, plain, plain_or_none, ratio, share, sub
from ditad.orders import Order, Piece
from ditad.records import RecordType, rfc3339, rfc3339_ms
from ditad.slots import AccountProjection, AccountSnapshot, TradeStage
from ditad.state import State
from ditad.stepping import BookFill
from ditad.turn import Turn

SETTLED_MAX, SETTLED_MIN = 64, 8
"""Ended trades of a position that are remembered after the book has let go of their fills: those whose orders are in
memory, so that their money may still change, and the last ones, up to which an order may be recalled.
"""

CORRECTED, ADOPTED = "corrected", "adopted"
HUNDRED, ONE = Decimal(100), Decimal(1)


# ---- hearing --------------------------------------------------------------------------------------------------------


def hear_pieces(turn: Turn, key: str, order: Order, removed: list[Piece], added: list[Piece]) -> None:
    """Hear that pieces of an order took the place of others, after the book has."""
    if not removed:
        turn.traded.setdefault(key, False)
    elif [_told_by(piece) for piece in removed] != [_told_by(piece) for piece in added]:
        turn.traded[key] = True  # more than who told it
        _hear_collapsed(turn, key, order, removed, added)


def _told_by(piece: Piece) -> tuple[object, ...]:
    return piece.z0, piece.z1, piece.quote, piece.fee, piece.realized_pnl, piece.fee_slack, piece.at_ms, piece.parts


def hear_forced(turn: Turn, key: str, order: Order, before: Decimal) -> None:
    """Hear that more is known of the profit of a forced close; `before` is what rows told of it until now."""
    trades = turn.state.trades
    trades.forced = add(trades.forced, sub(told_by_rows(order), before))
    turn.traded[key] = True


def told_by_rows(order: Order) -> Decimal:
    """Give the profit of a forced close that income rows hold, so that no fill of it does."""
    close = order.close
    return close.profit if close is not None and close.by_row and close.profit is not None else ZERO


def _hear_collapsed(turn: Turn, key: str, order: Order, removed: list[Piece], added: list[Piece]) -> None:
    """Change the money of fills that the book holds as a sum only: in the trade that they belonged to."""
    book, position = turn.state.trades.books.get(key), turn.state.positions[key]
    held = [fill for fill in position.fills if fill.order_id == order.order_id]
    gone = [piece for piece in removed if not _overlaps(piece, held)]
    told = [piece for piece in added if _overlaps(piece, gone)]
    trade = _trade_of(book, order, gone[0]) if book is not None and gone else None
    if trade is None:
        return
    opens = (order.side is Side.BUY) != trade.short
    for sign, pieces in ((-1, gone), (1, told)):
        for piece in pieces:
            fee, profit = piece_money(order, piece)
            paid, gained = (_signed(_beside(amount or ZERO, piece, held), sign) for amount in (fee, profit))
            trade.fees, trade.gross = DERIVED.add(trade.fees, paid), DERIVED.add(trade.gross, gained)
            open_still = share(paid, trade.held, trade.opened) if opens and trade.opened else ZERO
            trade.pool = DERIVED.add(trade.pool, open_still)
            trade.parts = DERIVED.add(trade.parts, DERIVED.subtract(gained, DERIVED.subtract(paid, open_still)))
            trade.slack = add(trade.slack, mul(add(piece.fee_slack, piece.realized_slack), Decimal(sign)))
            trade.unknown += sign * (fee is None or profit is None)


def _beside(amount: Decimal, piece: Piece, held: Sequence[BookFill]) -> Decimal:
    """Give the part of a piece's amount that fills still held do not have."""
    within = [sub(min(piece.z1, fill.z1), max(piece.z0, fill.z0)) for fill in held if _overlaps(piece, [fill])]
    return DERIVED.subtract(amount, share(amount, exact_sum(within), piece.quantity)) if within else amount


def _signed(amount: Decimal, sign: int) -> Decimal:
    return amount if sign > 0 else -amount


def _overlaps(piece: Piece, others: Sequence[Piece | BookFill]) -> bool:
    return any(piece.z0 < other.z1 and other.z0 < piece.z1 for other in others)


def _trade_of(book: TradeBook, order: Order, piece: Piece) -> Trade | None:
    """Find the trade that a collapsed piece belongs to: the one that names its order, at its time."""
    known = [*(trade for trade in book.ended if trade.settled), *([book.carried] if book.carried else [])]
    return next(
        (
            trade
            for trade in known
            if (order.order_id in trade.orders or trade.more_orders)
            and trade.since_ms <= piece.at_ms
            and (trade.closed_ms is None or piece.at_ms <= trade.closed_ms)
        ),
        None,
    )


def collapse(state: State, key: str, before_ms: int) -> None:
    """Let the book forget single fills older than this, and keep the sums of the trade that is open behind them."""
    position, book = state.positions[key], state.trades.books.get(key)
    if not position.fills or position.fills[0].at_ms >= before_ms:
        return
    gone = replace(position, fills=list(position.fills), runs=list(position.runs))
    position.collapse(before_ms)
    cut = len(gone.fills) - len(position.fills)
    if book is None or not cut:
        return
    del gone.fills[cut:], gone.runs[cut:]
    found = walk(copied(book.carried), gone.base, gone, 0, _money_in(state))
    book.carried = found.open
    book.walked = max(book.walked - cut, 0)
    ends = {trade.last for trade in found.ended}
    for trade in book.ended:
        trade.settled = trade.settled or trade.last in ends
    settled = [trade for trade in book.ended if trade.settled]
    changing = [trade for trade in settled[-SETTLED_MAX:-SETTLED_MIN] if _may_change(state, trade)]
    book.ended = [*changing, *settled[-SETTLED_MIN:], *(trade for trade in book.ended if not trade.settled)]


def _may_change(state: State, trade: Trade) -> bool:
    """Say whether more may be told of a trade's money without an order that is recalled for it."""
    return trade.more_orders or not state.orders.keys().isdisjoint(trade.orders)


def booked(state: State) -> set[str]:
    """Name the orders whose fills the book still holds one by one: their money is still asked for."""
    return {fill.order_id for position in state.positions.values() for fill in position.fills}


def _money_in(state: State) -> Callable[[BookFill], LegMoney]:
    return lambda fill: money_of(state.orders[fill.order_id], fill)


# ---- following ------------------------------------------------------------------------------------------------------


def follow(turn: Turn) -> None:
    """Find what opened, ended or changed since the last event; it is told once K's figures are known."""
    for key, changed in turn.traded.items():
        _follow_position(turn, key, changed=changed, every_fill=turn.state.bot is not None)
    for tale in turn.tellings:
        _count(turn, tale)
    turn.changed = turn.changed or bool(turn.tellings)


def catch_up(turn: Turn) -> None:
    """Count every fill into its trade before the bot's books begin: they are compared with what was closed in part."""
    if turn.state.bot is None:
        for key in turn.state.positions:
            _follow_position(turn, key, changed=False, every_fill=True)


def _follow_position(turn: Turn, key: str, *, changed: bool, every_fill: bool) -> None:
    """Count fills that are not counted yet; all of them again where something changed before.

    Where a trade only grows or shrinks they may wait until it ends: what it brought is asked for by nobody but the bot.
    """
    state = turn.state
    position, book = state.positions[key], _book(state, key)
    run, at = position.run, book.at
    before = position.runs[book.walked - 1] if 0 < book.walked <= len(position.runs) else position.base
    if changed or before.waiting or (before is not at and before != at):
        found = walk(copied(book.carried), position.base, position, 0, _money_in(state))
        _follow_again(turn, key, book, found)
    elif every_fill or run.closed_trades != at.closed_trades or not _same_direction(run.quantity, at.quantity):
        found = walk(book.open, before, position, book.walked, _money_in(state))
        _follow_on(turn, key, book, found)
    else:
        return
    book.walked, book.at = len(position.fills), position.run


def _same_direction(left: Decimal, right: Decimal) -> bool:
    return (left > 0 and right > 0) or (left < 0 and right < 0)


def _book(state: State, key: str) -> TradeBook:
    """Find a position's trades; of one that turned out to be in one-way mode, those that it had by side."""
    books = state.trades.books
    book = books.get(key)
    if book is None:
        symbol, _, side = key.rpartition(":")
        by_side = [f"{symbol}:{one}" for one in (PositionSide.LONG, PositionSide.SHORT)]
        held = [name for name in by_side if side == PositionSide.BOTH and name in books and name not in state.positions]
        held.sort(key=lambda name: books[name].open is None)
        book = books[key] = books.pop(held[0]) if held else TradeBook()
    return book


def _follow_on(turn: Turn, key: str, book: TradeBook, found: Walked) -> None:
    """Follow fills behind those that are counted."""
    for trade in found.ended:
        if trade is not book.open:
            _begin(turn, key, book, trade)
        _tell(turn, key, trade, Telling.ENDED)
        book.ended.append(trade)
    if found.open is not None and found.open is not book.open:
        _begin(turn, key, book, found.open)
    book.open = found.open


def _follow_again(turn: Turn, key: str, book: TradeBook, found: Walked) -> None:
    """Follow a book that changed where it was counted: trades keep their names where they are still the same."""
    known = [trade for trade in book.ended if not trade.settled]
    settled = [trade for trade in book.ended if trade.settled]
    was_open = book.open
    for trade, legs in zip(found.ended, found.legs, strict=True):
        same = _same(known, trade, legs)
        if same is not None:
            known.remove(same)
            _take_name(trade, same)
        elif was_open is not None and _is_in(was_open, trade, legs):
            _take_name(trade, was_open)
            was_open = None
            _tell(turn, key, trade, Telling.ENDED)
        else:
            _begin(turn, key, book, trade)
            _tell(turn, key, trade, Telling.ENDED)
    if found.open is not None:
        again = [trade for trade in known if _is_in(trade, found.open, found.open_legs)]
        if was_open is not None:
            _take_name(found.open, was_open)
        elif again:
            found.open.own_id, found.open.trade_id = again[0].own_id, again[0].trade_id
        else:
            _begin(turn, key, book, found.open)
    for trade in known:
        _tell(turn, key, trade, Telling.WITHDRAWN)
    book.open, book.ended = found.open, [*settled, *found.ended]
    for trade in book.ended:
        if trade.told and trade.told != _figures(trade):
            _tell(turn, key, trade, Telling.CORRECTED)


def _same(known: list[Trade], trade: Trade, legs: set[str]) -> Trade | None:
    """Find the trade that was told of the same end, else of the same beginning."""
    ends = [one for one in known if one.last == trade.last]
    return next(iter([*ends, *(one for one in known if _is_in(one, trade, legs))]), None)


def _is_in(known: Trade, trade: Trade, legs: set[str]) -> bool:
    """Say whether what began a trade is part of another."""
    return known.first in legs or known.first == trade.first


def _take_name(trade: Trade, known: Trade) -> None:
    trade.own_id, trade.trade_id = known.own_id, known.trade_id
    trade.seq, trade.told, trade.told_us, trade.counted = known.seq, known.told, known.told_us, known.counted


def _begin(turn: Turn, key: str, book: TradeBook, trade: Trade) -> None:
    """Name a trade that is new, and tell that it was opened."""
    symbol = key.rpartition(":")[0]
    own_id = f"{symbol}:{trade.side}:{turn.event.n}"
    again = sum(tale.telling is Telling.OPENED and tale.trade.own_id.startswith(own_id) for tale in turn.tellings)
    trade.own_id = f"{own_id}.{again + 1}" if again else own_id
    _name(turn.state, symbol, book, trade)
    _tell(turn, key, trade, Telling.OPENED)


def _name(state: State, symbol: str, book: TradeBook, trade: Trade) -> None:
    """Take the bot's name for a trade; a slot that still names the last one of this side is late and names nothing."""
    name = name_of(state.bot, symbol, trade.side)
    last = next((one for one in reversed(book.ended) if one.short == trade.short), None)
    if not trade.trade_id and (last is None or last.trade_id != name):
        trade.trade_id = name


def hear_names(state: State) -> None:
    """Hear how the bot calls the trades that are open."""
    for key, book in state.trades.books.items():
        if book.open is not None:
            _name(state, key.rpartition(":")[0], book, book.open)


def _tell(turn: Turn, key: str, trade: Trade, telling: Telling) -> None:
    reason = trade.came if telling is Telling.OPENED else trade.went if telling is Telling.ENDED else CORRECTED
    turn.tellings.append(Tale(symbol=key.rpartition(":")[0], trade=trade, telling=telling, reason=reason))


def _count(turn: Turn, tale: Tale) -> None:
    """Count the net of what ended into the sum that the bot's settlements are compared with."""
    state, trade = turn.state, tale.trade
    if tale.telling is Telling.OPENED:
        return
    trade.told_us = trade.told_us or turn.event.at_us
    now = ZERO if tale.telling is Telling.WITHDRAWN else trade.net
    state.trades.ended = DERIVED.add(state.trades.ended, DERIVED.subtract(now, trade.counted))
    trade.counted = now


def _figures(trade: Trade) -> str:
    """Give what is told of a trade's end, the profit first; a later record follows when any of it changes."""
    profit = "" if trade.unknown else plain(shown(trade.net))
    return " ".join([profit, *(str(figure.normalize(DERIVED)) for figure in _sums(trade)), str(trade.uncertain)])


def _sums(trade: Trade) -> tuple[Decimal, ...]:
    return trade.gross, trade.fees, trade.opened, trade.opened_quote, trade.closed, trade.closed_quote


# ---- a new baseline -------------------------------------------------------------------------------------------------


def rebase(turn: Turn) -> None:
    """Begin with the positions of a baseline; of those that an adoption ended or began nobody told the fills."""
    state = turn.state
    baseline = state.baseline
    assert baseline is not None, "a baseline was taken"
    before = {key: book.open for key, book in state.trades.books.items() if book.open is not None}
    state.trades.books, state.trades.ended, state.trades.forced = {}, ZERO, ZERO
    for key, position in state.positions.items():
        short = is_short(position.side, position.base.quantity)
        trade = covered_trade(position.base, short=short, since_ms=baseline.taken_ms)
        book = state.trades.books[key] = TradeBook(open=trade, at=position.base)
        symbol = key.rpartition(":")[0]
        same = [name for name, one in before.items() if name.rpartition(":")[0] == symbol and one.short == short]
        if same:
            known = before.pop(same[0])
            trade.own_id, trade.trade_id, trade.opened_ms = known.own_id, known.trade_id, known.opened_ms
            trade.came = known.came
        else:
            trade.came = ADOPTED
            trade.own_id = f"{symbol}:{trade.side}:{turn.event.n}"
            _name(state, symbol, book, trade)
            if baseline.adopted_by is not None:
                _tell(turn, key, trade, Telling.OPENED)
        book.carried = copied(trade)
    for key, trade in before.items():
        trade.unknown, trade.went, trade.closed_ms = trade.unknown + 1, ADOPTED, baseline.taken_ms
        _tell(turn, key, trade, Telling.ENDED)


# ---- telling --------------------------------------------------------------------------------------------------------


def tell(turn: Turn, snapshot: Mapping[str, object]) -> None:
    """Make records of what was found, with K's figures as the snapshot of this event has them."""
    if not turn.tellings:
        return
    k = snapshot["k"]
    assert isinstance(k, dict), "a snapshot has K's block"
    unknown = {name for name in ("equity", "open_notional") if k[name] is None}
    figures = AccountSnapshot(
        capital=_decimal(k["capital"]),
        equity=_decimal(k["equity"]),
        open_notional=_decimal(k["open_notional"]),
        open_positions=k["open_positions"],
    )
    ledger = AccountProjection(**_namespaces(turn.settings), snapshot=figures)
    for tale in turn.tellings:
        body = _body(turn, ledger, tale)
        if "equity" in unknown:
            body["equity"] = None
        if "open_notional" in unknown:
            body["current_open_notional"] = body["current_account_leverage"] = None
        trade = tale.trade
        replaces = () if trade.seq is None or tale.telling is Telling.OPENED else (trade.seq,)
        turn.draft(RecordType.ACCOUNT_EVENT, None, body, replaces=replaces, numbered=_numbered(tale))


def _decimal(text: object) -> Decimal:
    return ZERO if text is None else Decimal(str(text))


def _namespaces(settings: SettingsInForce) -> dict[str, Any]:
    return dict(settings.namespaces)


def _numbered(tale: Tale) -> Callable[[int], None] | None:
    """Remember by which record a trade's end was told, for a later one that replaces it."""
    if tale.telling is Telling.OPENED:
        return None

    def number(seq: int) -> None:
        tale.trade.seq = seq

    return number


def _body(turn: Turn, ledger: AccountProjection, tale: Tale) -> dict[str, object]:
    trade, opened = tale.trade, tale.telling is Telling.OPENED
    moment = trade.opened_ms if opened else trade.closed_ms
    event = ledger.to_account_event(
        timestamp=rfc3339(turn.event.at_us) if moment is None else rfc3339_ms(moment),
        trade_id=trade.trade_id or trade.own_id,
        asset=tale.symbol,
        side=trade.side,
        stage=TradeStage.POSITION_OPENED if opened else TradeStage.CLOSED,
        reason=tale.reason,
        bars_held=0 if opened else _bars(turn, trade),
        metadata=_metadata(tale),
    )
    pnl, pnl_pct = _profit(tale)
    event |= {"pnl": plain_or_none(pnl), "pnl_pct": plain_or_none(pnl_pct)}
    if tale.telling in {Telling.ENDED, Telling.CORRECTED}:
        trade.told = _figures(trade)
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in event.items()}


def _bars(turn: Turn, trade: Trade) -> int:
    began_ms = trade.since_ms if trade.opened_ms is None else trade.opened_ms
    assert trade.closed_ms is not None, "an ended trade has its moment"
    return max(0, trade.closed_ms - began_ms) * 1_000 // turn.settings.bar_us


def _profit(tale: Tale) -> tuple[Decimal | None, Decimal | None]:
    """Give the net of a trade's end, alone and in percent of what was opened; opening, and what was none, brought 0."""
    trade = tale.trade
    if tale.telling in {Telling.OPENED, Telling.WITHDRAWN}:
        return ZERO, ZERO
    if trade.unknown:
        return None, None
    net = trade.net
    known = trade.opened_quote > 0 and not trade.uncertain
    return shown(net), ratio(mul(HUNDRED, shown(net)), trade.opened_quote) if known else None


def _metadata(tale: Tale) -> dict[str, object]:
    """Say what a trade's figures are made of."""
    trade = tale.trade
    found: dict[str, object] = {"trade": trade.own_id}
    if trade.covered:
        found |= {"opened_before_ledger": True, "since": rfc3339_ms(trade.since_ms)}
    found |= {
        "opened_at": None if trade.opened_ms is None else rfc3339_ms(trade.opened_ms),
        "qty": plain(trade.held if tale.telling is Telling.OPENED and trade.held else trade.opened),
        "entry_price": plain_or_none(_average(trade.opened_quote, trade.opened, trade)),
        "entry_quote": plain(shown(trade.opened_quote)),
        "order_ids": list(trade.orders),
    }
    if trade.more_orders:
        found["more_orders"] = True
    if tale.telling is Telling.OPENED:
        return found
    found |= {
        "closed_at": rfc3339_ms(trade.closed_ms) if trade.closed_ms is not None else None,
        "exit_price": plain_or_none(_average(trade.closed_quote, trade.closed, trade)),
        "exit_quote": plain(shown(trade.closed_quote)),
        "gross": None if trade.unknown else plain(shown(trade.gross)),
        "fees": None if trade.unknown else plain(shown(trade.fees)),
        "max_qty": plain(trade.held_max),
    }
    if trade.unknown:
        found["unknown"] = True
    if trade.slack:
        found["precision"] = plain(trade.slack)
    if tale.telling is not Telling.ENDED:
        found |= {
            "replaces": [] if trade.seq is None else [trade.seq],
            "was": trade.told.partition(" ")[0] or None,
            "ended_by": trade.went,
        }
    if tale.telling is Telling.WITHDRAWN:
        found["withdrawn"] = True
    return found


def shown(amount: Decimal) -> Decimal:
    """Show a figure that may carry a share's 36 decimals with the 18 that are promised."""
    return ratio(amount, ONE)


def _average(quote: Decimal, quantity: Decimal, trade: Trade) -> Decimal | None:
    return ratio(quote, quantity) if quantity and not trade.uncertain else None
