"""What every REST report shares: parameters read, numbers and rows written, refusals (bingx.md §5).

Enters: decoded parameters and the dialect. Leaves: values for JSON. Truth held: a rounding here is the
exchange's own habit and never touches the books.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Final, TypeVar

from ditad.exchange.account import Account
from ditad.exchange.amounts import fixed, round_half_up
from ditad.exchange.desk import Desk
from ditad.exchange.dialect import Dialect, Empty, Numbers, RowOrder
from ditad.exchange.pushes import Payload
from ditad.exchange.venue import Venue

DAY_MS: Final = 86_400_000
INT_DIGITS_MAX: Final = 19
CODE_INVALID: Final = 109400
VENUE_ZONE: Final = timezone(timedelta(hours=8))

Row = TypeVar("Row")
Params = Mapping[str, str]


class RestRefusal(Exception):
    """A business error: HTTP 200 with this code and message."""

    def __init__(self, code: int, message: str) -> None:
        """Keep both for the envelope."""
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One authorised question: whose, when, with which parameters."""

    venue: Venue
    desk: Desk | None
    params: Params
    now_ms: int  # the exchange's own time
    elapsed_ms: int  # decides which rows are there already
    rng: Random

    @property
    def dialect(self) -> Dialect:
        """How to answer."""
        return self.venue.dialect

    @property
    def owner(self) -> Desk:
        """The account that asks; only for paths that need a key."""
        assert self.desk is not None, "a signed path without an account"
        return self.desk

    def text(self, name: str) -> str | None:
        """Read an optional parameter; empty counts as absent."""
        return self.params.get(name) or None

    def integer(self, name: str) -> int | None:
        """Read an optional whole number; refuse anything else."""
        text = self.text(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > INT_DIGITS_MAX:
            raise RestRefusal(CODE_INVALID, f"Invalid parameters, err:{name}: not an integer")
        return int(text)

    def required(self, name: str) -> int:
        """Read a whole number that must be there."""
        value = self.integer(name)
        if value is None:
            raise RestRefusal(CODE_INVALID, f"Invalid parameters, err:{name}: field is required")
        return value

    def limit(self, name: str, *, default: int, most: int) -> int:
        """Read a limit; refuse one beyond the most this path gives."""
        value = self.integer(name)
        if value is not None and not 1 <= value <= most:
            raise RestRefusal(CODE_INVALID, f"Invalid parameters, err:{name}: 1 to {most}")
        return default if value is None else value

    def symbol(self, *, needed: bool = False) -> str | None:
        """Read the symbol; refuse one that is not listed."""
        symbol = self.text("symbol")
        if symbol is None and needed:
            raise RestRefusal(CODE_INVALID, "Invalid parameters, err:symbol: field is required")
        if symbol is not None and symbol not in self.venue.market.contracts:
            raise RestRefusal(109425, f"{symbol} not exist, please verify it in api:/contracts")
        return symbol

    def number(self, value: Decimal, decimals: int) -> str | float | int:
        """Write a number rounded half up, in the JSON type of the dialect."""
        text = fixed(round_half_up(value, decimals), decimals)
        style = self.dialect.numbers
        if style is Numbers.MIXED:
            style = self.rng.choice((Numbers.STRINGS, Numbers.FLOATS))
        if style is Numbers.STRINGS:
            return text
        return float(text) if "." in text and Decimal(text) % 1 else int(Decimal(text))

    def order_id(self, order_id: int) -> int | str:
        """Write an order id: a JSON number beyond 2^53, or text."""
        return str(order_id) if self.dialect.rest_order_id_text else order_id

    def page(self, rows: Sequence[Row], most: int, key: Callable[[Row], int]) -> list[Row]:
        """Give at most `most` rows in the dialect's order; a cut keeps that order's first rows."""
        order = self.dialect.row_order
        if order is RowOrder.RANDOM:
            order = self.rng.choice((RowOrder.ASCENDING, RowOrder.DESCENDING))
        kept = sorted(rows, key=key, reverse=order is RowOrder.DESCENDING)[:most]
        if self.dialect.row_order is RowOrder.RANDOM:
            self.rng.shuffle(kept)
        return kept

    def rows(self, rows: list[Payload]) -> list[Payload] | Payload | None:
        """Give rows as bare `data`, or the dialect's nothing."""
        if rows:
            return rows
        return nothing_in(self.dialect)

    def rows_under(self, name: str, rows: list[Payload]) -> list[Payload] | Payload | None:
        """Give rows under a name in `data`, or the dialect's nothing."""
        if rows or self.dialect.empty is Empty.LIST:
            return {name: rows}
        return self.rows(rows)


def nothing_in(dialect: Dialect) -> list[Payload] | Payload | None:
    """Give what `data` looks like when there is nothing."""
    return {Empty.LIST: [], Empty.OBJECT: {}, Empty.NULL: None}[dialect.empty]


def second_of(at_ms: int) -> int:
    """Cut a time to its whole second."""
    return at_ms // 1000 * 1000


def venue_time(at_ms: int, form: str) -> str:
    """Write a whole second in the exchange's own zone, +08:00, as `%z`-like `form` wants it."""
    moment = datetime.fromtimestamp(at_ms // 1000, tz=UTC).astimezone(VENUE_ZONE)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + form


def used_margin(account: Account) -> Decimal:
    """Sum the margin in use on the exchange's basis."""
    return sum((account.margin_of(h) for h in account.holdings()), Decimal(0))


def unrealized(account: Account) -> Decimal:
    """Sum the unrealised profit at the marks."""
    return sum((h.position.unrealized(h.mark) for h in account.holdings()), Decimal(0))
