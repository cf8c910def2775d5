"""The tables that are exported, column by column: what each holds, and how a record becomes a row.

What enters: bodies of current records, and what a day came to. What leaves: rows of plain values in their columns' order.
What holds: a column is described here and nowhere else (`--help`, `datapackage.json` and the README's list come from it);
an amount is a `Decimal` with all its digits; what nobody told is `None`, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from ditad.bookkeeping import ClosedTrade, Sums, asset_of
from ditad.money import sub
from ditad.records import RecordType

Value = str | Decimal | int | bool | Sequence[str] | None
Row = tuple[Value, ...]


class Kind(StrEnum):
    """What a column holds; the words are those of Frictionless table schemas."""

    TEXT = "string"
    TEXTS = "list"
    AMOUNT = "number"
    COUNT = "integer"
    FLAG = "boolean"
    MOMENT = "datetime"
    DAY = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its name, what it holds, and what that means."""

    name: str
    kind: Kind
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: its name, what a row is, and its columns."""

    name: str
    about: str
    columns: tuple[Column, ...]


def _columns(*told: tuple[str, Kind, str]) -> tuple[Column, ...]:
    return tuple(Column(name=name, kind=kind, about=about) for name, kind, about in told)


_SEQ: Final = ("seq", Kind.COUNT, "number of the current record in the account's stream")

FILLS: Final = Table(
    name="fills",
    about="one execution, in its current form: the interval (z0, z1] of its order's executed quantity",
    columns=_columns(
        _SEQ,
        ("at", Kind.MOMENT, "when it happened, on the exchange's clock, UTC"),
        ("symbol", Kind.TEXT, "the contract"),
        ("side", Kind.TEXT, "BUY or SELL"),
        ("position_side", Kind.TEXT, "LONG, SHORT or BOTH"),
        ("order_id", Kind.TEXT, "the exchange's id of the order"),
        ("z0", Kind.AMOUNT, "the order's executed quantity before"),
        ("z1", Kind.AMOUNT, "the order's executed quantity behind"),
        ("qty", Kind.AMOUNT, "quantity in base coin"),
        ("price", Kind.AMOUNT, "quote / qty, 18 decimals"),
        ("quote", Kind.AMOUNT, "quantity times price, exact"),
        ("fee", Kind.AMOUNT, "paid is positive, a rebate negative; empty where nobody told it"),
        ("fee_asset", Kind.TEXT, "how the exchange labels the fee"),
        ("realized_pnl", Kind.AMOUNT, "as the exchange states it; empty where nobody told it"),
        ("asset", Kind.TEXT, "the asset whose wallet fee and profit moved"),
        ("trade_ids", Kind.TEXTS, "the exchange's ids of the executions, where it gives any"),
        ("sources", Kind.TEXTS, "who told it: push, rows, order reports"),
        ("forced", Kind.TEXT, "LIQUIDATION or ADL; else empty"),
        ("quote_precision", Kind.AMOUNT, "what rounded sources leave open of the quote; else empty"),
        ("fee_precision", Kind.AMOUNT, "what rounded sources leave open of the fee; else empty"),
    ),
)

INCOME: Final = Table(
    name="income",
    about="one funding, transfer or other income, in its current form",
    columns=_columns(
        _SEQ,
        ("at", Kind.MOMENT, "when it happened, on the exchange's clock, UTC"),
        ("kind", Kind.TEXT, "funding, transfer or other"),
        ("name", Kind.TEXT, "the exchange's own word"),
        ("amount", Kind.AMOUNT, "funding: positive when paid; else positive when received; empty where nobody told it"),
        ("asset", Kind.TEXT, "the asset"),
        ("symbol", Kind.TEXT, "the contract, where one is named"),
        ("tran_id", Kind.TEXT, "the exchange's id of the row, where one confirmed it"),
        ("provisional", Kind.FLAG, "known from a push alone, a row will confirm it"),
        ("derived", Kind.FLAG, "nobody told the amount: it is the difference between statements that agreed"),
        ("sources", Kind.TEXTS, "who told it: push, income"),
    ),
)

TRADES: Final = Table(
    name="trades",
    about="one closed trade: a position from flat to flat",
    columns=_columns(
        _SEQ,
        ("trade", Kind.TEXT, "our id of the trade"),
        ("trade_id", Kind.TEXT, "the bot's id where its slot gave one, else ours"),
        ("symbol", Kind.TEXT, "the contract"),
        ("side", Kind.TEXT, "LONG or SHORT"),
        ("opened_at", Kind.MOMENT, "when it was opened; empty where it was open before the ledger"),
        ("closed_at", Kind.MOMENT, "when it was flat again"),
        ("qty", Kind.AMOUNT, "quantity that was opened in all"),
        ("entry_price", Kind.AMOUNT, "average, 18 decimals; empty where a crossing left it unknown"),
        ("exit_price", Kind.AMOUNT, "average, 18 decimals; empty where a crossing left it unknown"),
        ("entry_quote", Kind.AMOUNT, "what was opened, in quote"),
        ("exit_quote", Kind.AMOUNT, "what was closed, in quote"),
        ("gross", Kind.AMOUNT, "profits as stated; empty where one of them is not told"),
        ("fees", Kind.AMOUNT, "fees of all its fills; empty where one of them is not told"),
        ("net", Kind.AMOUNT, "gross − fees; funding is not counted"),
        ("net_percent", Kind.AMOUNT, "net in percent of entry_quote"),
        ("ended_by", Kind.TEXT, "fill, flip, liquidation, adl or adopted"),
        ("opened_before_ledger", Kind.FLAG, "its money counts since the baseline alone"),
        ("order_ids", Kind.TEXTS, "its orders: the first ones, and always the last"),
        ("more_orders", Kind.FLAG, "it had more orders than are named"),
    ),
)

DAYS: Final = Table(
    name="days",
    about="one day of UTC: what it came to, and the balances at its end",
    columns=_columns(
        ("day", Kind.DAY, "the day; the last one may not be over"),
        ("ledger", Kind.AMOUNT, "wallet at the end of the day by every fact up to there"),
        ("wallet", Kind.AMOUNT, "wallet as the exchange stated it last; empty where it did not"),
        ("wallet_at", Kind.MOMENT, "when that statement was heard"),
        ("difference", Kind.AMOUNT, "ledger − wallet: also what was on its way at midnight"),
        ("unrealized_pnl", Kind.AMOUNT, "of what was open, at the exchange's marks; empty where one is not known"),
        ("status", Kind.TEXT, "the verdict of the day's last snapshot"),
        ("net", Kind.AMOUNT, "profit − fees − funding + other"),
        ("profit", Kind.AMOUNT, "realised profit as stated"),
        ("fees", Kind.AMOUNT, "paid is positive"),
        ("funding", Kind.AMOUNT, "paid is positive"),
        ("transfers", Kind.AMOUNT, "received is positive"),
        ("other", Kind.AMOUNT, "other income"),
        ("fills", Kind.COUNT, "fills of the day"),
        ("incomes", Kind.COUNT, "fundings, transfers and other incomes of the day"),
        ("trades", Kind.COUNT, "trades that were closed"),
        ("unknown", Kind.COUNT, "amounts of the day that nobody told: counted nowhere"),
    ),
)

TABLES: Final = (FILLS, INCOME, TRADES, DAYS)


def fill_row(seq: int, body: Mapping[str, Any], margin_asset: str) -> Row:
    """Write a fill as its row."""
    precision = body.get("precision", {})
    return (
        seq,
        body["at"],
        body["symbol"],
        body["side"],
        body["position_side"],
        body["order_id"],
        Decimal(body["z0"]),
        Decimal(body["z1"]),
        Decimal(body["qty"]),
        Decimal(body["price"]),
        Decimal(body["quote"]),
        _amount(body["fee"]),
        body["fee_asset"],
        _amount(body["realized_pnl"]),
        asset_of(body["symbol"], margin_asset),
        tuple(body["trade_ids"]),
        tuple(body["sources"]),
        body.get("forced"),
        _amount(precision.get("quote")),
        _amount(precision.get("fee")),
    )


def income_row(seq: int, body: Mapping[str, Any]) -> Row:
    """Write an income as its row."""
    return (
        seq,
        body["at"],
        body["kind"],
        body["name"],
        _amount(body["amount"]),
        body["asset"],
        body["symbol"],
        body["tran_id"],
        bool(body["provisional"]),
        bool(body.get("derived")),
        tuple(body["sources"]),
    )


def trade_row(trade: ClosedTrade) -> Row:
    """Write a closed trade as its row."""
    return (
        trade.seq,
        trade.trade,
        trade.trade_id,
        trade.symbol,
        trade.side,
        trade.opened_at,
        trade.closed_at,
        trade.qty,
        trade.entry_price,
        trade.exit_price,
        trade.entry_quote,
        trade.exit_quote,
        trade.gross,
        trade.fees,
        trade.net,
        trade.net_percent,
        trade.ended_by,
        trade.opened_before_ledger,
        trade.order_ids,
        trade.more_orders,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayEnd:
    """A day: its sums, the wallet by facts at its end, and the body of its last snapshot (`None`: there is none)."""

    day: str
    sums: Sums
    ledger: Decimal
    trades: int
    snapshot: Mapping[str, Any] | None


def day_row(day: DayEnd) -> Row:
    """Write a day as its row."""
    wallet = at = unrealized = status = None
    if day.snapshot is not None:
        e = day.snapshot["e"]
        wallet = _amount(e["wallet_balance"])
        at = e["stated"]["wallet_balance"]["at"] if wallet is not None else None
        unrealized, status = _amount(day.snapshot["k"]["unrealized_pnl"]), day.snapshot["reconcile"]["status"]
    sums = day.sums
    return (
        day.day,
        day.ledger,
        wallet,
        at,
        None if wallet is None else sub(day.ledger, wallet),
        unrealized,
        status,
        sums.net,
        sums.profit,
        sums.fees,
        sums.funding,
        sums.transfers,
        sums.other,
        sums.fills,
        sums.incomes,
        day.trades,
        sums.unknown,
    )


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def described(table: Table) -> dict[str, object]:
    """Describe a table as Frictionless' Table Schema does, for `datapackage.json`."""
    fields = [{"name": one.name, "type": one.kind.value, "description": one.about} for one in table.columns]
    for one in fields:
        if one["type"] == Kind.TEXTS.value:
            one |= {"type": "string", "description": f"{one['description']}; several are parted by spaces"}
    return {"fields": fields, "missingValues": [""]}


KINDS: Final = {RecordType.FILL: FILLS, RecordType.INCOME: INCOME, RecordType.ACCOUNT_EVENT: TRADES}
"""Which records lead to rows of which table."""
