"""Private pushes, field by field as they were captured (bingx.md §4).

Enters: records of what happened and the dialect. Leaves: frames as plain dicts, ready for JSON. Pure.
Which keys a frame has follows the captures: `ORDER_TRADE_UPDATE` those of 2023, `TRADE_UPDATE` those
of 2025. Nobody has captured PARTIALLY_FILLED, closes, funding, forced closes or one-way frames: their
form here is the documented one and thus synthetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from ditad.exchange.amounts import EXACT, fixed, round_half_up, round_to_tick
from ditad.exchange.books import Position, PositionSide
from ditad.exchange.dialect import AveragePrice, Dialect, EntryBasis, PartialAmounts, TradeIds
from ditad.exchange.records import OrderStatus, OrderType

if TYPE_CHECKING:
    from ditad.exchange.contracts import Contract
    from ditad.exchange.records import Execution, Order

Payload = dict[str, object]
ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One private push on its way: whose it is, and what it says."""

    account: str
    payload: Payload

    @property
    def event(self) -> str:
        """The event's name, `e`."""
        return str(self.payload["e"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A position with what the reports add to it: mark, leverage and margin type."""

    position: Position
    mark: Decimal
    leverage: int
    margin_type: str  # cross or isolated

    @property
    def initial_margin(self) -> Decimal:
        """What the position binds at its entry."""
        return self.margin_at(self.position.entry_price)

    def margin_at(self, price: Decimal) -> Decimal:
        """Compute what the position binds when it is valued at `price`."""
        return EXACT.divide(EXACT.multiply(self.position.qty, price), Decimal(self.leverage))


def account_update(
    *, reason: str, event_ms: int, balances: list[Payload], positions: list[Payload], dialect: Dialect
) -> Payload:
    """Build `ACCOUNT_UPDATE`; `positions` holds the changed ones only."""
    body: Payload = {"m": reason, "B": balances}
    if positions or not dialect.absent_positions:
        body["P"] = positions
    return {"e": "ACCOUNT_UPDATE", "E": event_ms, "a": body}


def balance_row(*, asset: str, wallet: Decimal, bound: Decimal, change: Decimal | None) -> Payload:
    """Build a row of `B`; `change` None is the "0" that ORDER frames carry although a fee was taken."""
    return {
        "a": asset,
        "wb": fixed(wallet),
        "cw": fixed(wallet - bound),
        "bc": "0" if change is None else fixed(change),
    }


def position_row(holding: Holding, contract: Contract, dialect: Dialect, *, hedge: bool) -> Payload:
    """Build a row of `P`: `pa` unsigned in hedge mode, signed under BOTH in one-way mode."""
    position = holding.position
    entry = position.entry
    shown = round_to_tick(entry, contract.tick) if dialect.entry_shown is EntryBasis.TICK else entry
    unrealized = position.unrealized(holding.mark)
    return {
        "s": position.symbol,
        "pa": fixed(position.qty if hedge else position.qty * position.direction),
        "ep": fixed(shown),
        "up": fixed(unrealized),
        "mt": shown_margin_type(holding.margin_type, dialect),
        "iw": fixed(holding.initial_margin + unrealized),
        "ps": str(position.side if hedge else PositionSide.BOTH),
        "cr": fixed(position.realized_net),
    }


def shown_margin_type(margin_type: str, dialect: Dialect) -> str:
    """Write `mt` in the dialect's case."""
    return margin_type.upper() if dialect.upper_margin_type else margin_type


def flat_row(*, symbol: str, position_side: PositionSide, margin_type: str) -> Payload:
    """Build the row of a position that has just been closed."""
    zero = fixed(ZERO)
    return {
        "s": symbol,
        "pa": zero,
        "ep": zero,
        "up": zero,
        "mt": margin_type,
        "iw": zero,
        "ps": str(position_side),
        "cr": "",
    }


def order_trade_update(body: Payload, *, event_ms: int) -> Payload:
    """Wrap an order body as `ORDER_TRADE_UPDATE`, with the keys of 2023."""
    kept = {k: v for k, v in body.items() if k not in _ONLY_TRADE_UPDATE}
    return {"e": "ORDER_TRADE_UPDATE", "E": event_ms, "o": kept | {"wt": "MARK_PRICE"}}


def trade_update(body: Payload, *, event_ms: int) -> Payload:
    """Wrap an order body as `TRADE_UPDATE`, with the keys of 2025."""
    return {"e": "TRADE_UPDATE", "E": event_ms, "T": body["T"] or event_ms, "o": body}


_ONLY_TRADE_UPDATE: Final = frozenset({"sp", "sg", "ti", "ro", "td", "tv"})


def order_body(
    order: Order,
    last: Execution | None,
    contract: Contract,
    dialect: Dialect,
    *,
    asset: str,
    trade_ms: int,
    unknown_status: bool = False,
) -> Payload:
    """Build `o` after `last` was executed, or after a change of the order when `last` is None."""
    cumulative = dialect.partial_amounts is PartialAmounts.CUMULATIVE
    fee, profit = order.fee, order.profit
    if not cumulative:
        fee, profit = (last.fee, last.realized_pnl) if last else (ZERO, ZERO)
    status = str(order.status)
    if order.status is OrderStatus.CANCELED:
        status = dialect.canceled_spelling
    if unknown_status:
        status = "Unknown"
    bound = order.kind is OrderType.MARKET and dialect.empty_bound
    body: Payload = {
        "s": order.symbol,
        "c": order.client_id.lower(),
        "i": str(order.order_id) if dialect.push_order_id_text else order.order_id,
        "S": str(order.side),
        "o": str(order.kind),
        "q": fixed(order.qty),
        "p": "" if bound else fixed(order.price),
        "sp": fixed(ZERO),
        "ap": average_price(order, contract, dialect),
        "x": "TRADE",
        "X": status,
        "N": asset,
        "n": fixed(-fee),
        "T": trade_ms,
        "wt": "",
        "ps": str(order.position_side),
        "rp": fixed(profit),
        "z": fixed(order.filled),
        "sg": "false",
        "ti": 0,
        "ro": order.reduce_only,
        "td": _pushed_trade_id(last, dialect),
        "tv": fixed(round_half_up(order.quote, 1), 1),
    }
    if not dialect.cumulative_field:
        del body["z"]
    if dialect.last_fields:
        body["l"] = fixed(last.qty if last else ZERO)
        body["L"] = fixed(last.price if last else ZERO)
    return body


def average_price(order: Order, contract: Contract, dialect: Dialect) -> str:
    """Print the average price of all that is filled so far, in the dialect's digits."""
    if not order.filled:
        return fixed(ZERO)
    average = EXACT.divide(order.quote, order.filled)
    if dialect.average_price is AveragePrice.TICK:
        average = round_to_tick(average, contract.tick)
    return fixed(average)


def config_update(name: str, *, symbol: str, leverage: tuple[int, int], margin_type: str, event_ms: int) -> Payload:
    """Build `SNAPSHOT` or `ACCOUNT_CONFIG_UPDATE` of one symbol."""
    long, short = leverage
    return {
        "e": name,
        "E": event_ms,
        "ac": {"s": symbol, "l": long, "S": short, "mt": margin_type},
    }


def listen_key_expired(listen_key: str, *, event_ms: int) -> Payload:
    """Build the notice that the exchange does not always send."""
    return {"e": "listenKeyExpired", "E": event_ms, "listenKey": listen_key}


def _pushed_trade_id(last: Execution | None, dialect: Dialect) -> int:
    if last is None or dialect.trade_ids is TradeIds.ZERO:
        return 0
    return last.trade_id if dialect.trade_ids is TradeIds.SAME else last.trade_id + 7_000_000_000
