"""Every habit of the wire that nobody knows for sure, as one switch each.

Enters: the choices of a test or of an operator. Leaves: one frozen `Dialect`. The specification marks
these habits as unknown, so the simulated exchange can speak each of them; none changes what happened
on the account, only how it is told, save which entry profit is computed from and which of its two
tellings a forced close follows (bingx.md §2-§5, account.md §3).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from random import Random
from typing import Any, Final, Self

DELAY_S_MAX: Final = 600


class OrderNames(StrEnum):
    """Under which event names a fill is pushed."""

    BOTH = "both"
    TRADE_UPDATE = "TRADE_UPDATE"
    ORDER_TRADE_UPDATE = "ORDER_TRADE_UPDATE"
    ANY = "any"  # drawn for each


class FrameOrder(StrEnum):
    """Which of the twins, account frame and order frame, is sent first."""

    ACCOUNT_FIRST = "account_first"
    ORDER_FIRST = "order_first"
    RANDOM = "random"


class PartialAmounts(StrEnum):
    """What `n` and `rp` of a partial fill count: this execution, or the order so far."""

    PER_FILL = "per_fill"
    CUMULATIVE = "cumulative"


class AveragePrice(StrEnum):
    """How many digits `ap` has: eight decimals, or the nearest tick."""

    DECIMALS = "decimals"
    TICK = "tick"


class EntryBasis(StrEnum):
    """Whether an entry price counts with all its digits or rounded to the tick."""

    EXACT = "exact"
    TICK = "tick"


class TradeTime(StrEnum):
    """Whether `o.T` tells the time of a fill."""

    TOLD = "told"
    ZERO = "zero"
    SOMETIMES = "sometimes"


class TradeIds(StrEnum):
    """Whether `td` of a push is the `tradeId` of the REST row."""

    SAME = "same"
    DIFFERENT = "different"
    ZERO = "zero"


class ForcedTold(StrEnum):
    """By which road a liquidation or ADL is told."""

    FRAME = "frame"
    INCOME = "income"
    BOTH = "both"
    NEITHER = "neither"


class ForcedWallet(StrEnum):
    """What the wallet followed where both `rp` and an income row told a forced close."""

    PROFIT = "rp"
    ROW = "row"


class MarginBasis(StrEnum):
    """At which price margin in use is counted."""

    ENTRY = "entry"
    MARK = "mark"


class ListenKeyPost(StrEnum):
    """What a POST answers while a key of the account is alive."""

    NEW = "new"
    SAME = "same"


class UnknownKey(StrEnum):
    """What a socket with an unknown or expired key meets: a living, silent stream or a refusal."""

    SILENT = "silent"
    REFUSED = "refused"


class RowOrder(StrEnum):
    """In which order REST lists come, oldest first, newest first, or any."""

    ASCENDING = "ascending"
    DESCENDING = "descending"
    RANDOM = "random"


class Empty(StrEnum):
    """How `data` looks when there is nothing."""

    LIST = "list"
    OBJECT = "object"
    NULL = "null"


class Numbers(StrEnum):
    """Which JSON type REST numbers have."""

    STRINGS = "strings"
    FLOATS = "floats"
    MIXED = "mixed"


class OneWayRest(StrEnum):
    """How REST names a one-way position: by its side, or BOTH with a signed amount."""

    SIDE = "side"
    BOTH = "both"


class Permissions(StrEnum):
    """Which form `apiPermissions` answers in."""

    INTS = "ints"
    FLAGS = "flags"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How this exchange tells what happened; the defaults follow the captured frames."""

    # Pushes.
    order_names: OrderNames = OrderNames.BOTH
    frame_order: FrameOrder = FrameOrder.RANDOM
    partial_amounts: PartialAmounts = PartialAmounts.PER_FILL
    last_fields: bool = False  # l and L
    cumulative_field: bool = True  # z; frames of early 2023 lack it
    average_price: AveragePrice = AveragePrice.DECIMALS
    entry_shown: EntryBasis = EntryBasis.TICK  # ep and avgPrice
    profit_entry: EntryBasis = EntryBasis.EXACT  # what rp is computed from
    trade_time: TradeTime = TradeTime.SOMETIMES
    trade_ids: TradeIds = TradeIds.SAME
    funding_bc: bool = True
    forced_told: ForcedTold = ForcedTold.BOTH
    canceled_spelling: str = "CANCELED"
    # Keys and sockets.
    listen_key: ListenKeyPost = ListenKeyPost.NEW
    unknown_key: UnknownKey = UnknownKey.SILENT
    # REST.
    margin_basis: MarginBasis = MarginBasis.MARK
    row_order: RowOrder = RowOrder.DESCENDING
    row_delay_s_max: int = 0  # income rows; the real ones come up to 60 s late
    funding_stamp_s_max: int = 0  # how far after the settlement a funding row may be stamped
    transfer_rows: bool = True  # one user says that transfers never appear in income
    rest_trade_id: bool = True
    rest_order_id_text: bool = False
    empty: Empty = Empty.LIST
    numbers: Numbers = Numbers.STRINGS
    one_way_rest: OneWayRest = OneWayRest.SIDE
    permissions: Permissions = Permissions.INTS
    timestamp_code: int = 100421  # or 109400, with a message about the timestamp
    # Forced closes told by both roads.
    forced_wallet: ForcedWallet = ForcedWallet.PROFIT
    forced_differ: bool = False  # whether the row's amount is another than `rp`
    # Small habits of pushes.
    push_order_id_text: bool = False
    empty_bound: bool = False  # p of a market order is ""
    unknown_status: bool = False  # X of a filled order is sometimes "Unknown"
    absent_positions: bool = False  # no P where nothing changed, instead of an empty one
    upper_margin_type: bool = False
    usdt_commission: bool = False  # N says USDT also where the wallet is VST
    # Small habits of reports.
    old_codes: bool = False  # the numbering before October 2025
    code_text: bool = False  # the code of an error is text
    other_spelling: bool = False  # realizedProfit, frozenMargin
    split_isolated: bool = False  # an isolated position is listed as two, onlyOnePosition false

    def __post_init__(self) -> None:
        """Refuse delays beyond the bound and spellings that the wire does not know."""
        for name in ("row_delay_s_max", "funding_stamp_s_max"):
            if not 0 <= getattr(self, name) <= DELAY_S_MAX:
                message = f"{name} must lie between 0 and {DELAY_S_MAX} seconds"
                raise ValueError(message)
        if self.canceled_spelling not in {"CANCELED", "CANCELLED"}:
            message = "canceled_spelling must be CANCELED or CANCELLED"
            raise ValueError(message)
        if self.timestamp_code not in {100421, 109400}:
            message = "timestamp_code must be 100421 or 109400"
            raise ValueError(message)

    @classmethod
    def drawn(cls, rng: Random, **fixed: Any) -> Self:
        """Draw every choice and switch from `rng`, except those in `fixed`; amounts stay as they are."""
        choices: dict[str, Any] = {}
        for name, default in ((f.name, f.default) for f in fields(cls)):
            if isinstance(default, StrEnum):
                choices[name] = rng.choice(list(type(default)))
            elif isinstance(default, bool):
                choices[name] = rng.random() < 0.5
        return cls(**(choices | fixed))

    def as_dict(self) -> dict[str, str | int | bool]:
        """Give the switches by name, as `ditad exchange` prints them."""
        return {name: str(v) if isinstance(v, StrEnum) else v for name, v in asdict(self).items()}
