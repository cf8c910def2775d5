"""The vocabulary: everything that crosses a border, once, in the account's own words.

What enters and leaves: frozen records. Wire, journal and ledger stand on this module and none of them knows the
others. An `Event` is what the journal holds and what the fold reads; its `body` is one of the kinds below.

Units: `_us` microseconds and `_ms` milliseconds since the epoch, UTC. `_ms` times are the exchange's clock, `_us`
times the machine's. Money, prices and quantities are `Decimal` with the digits the exchange wrote. `None` means
*never stated*. Order ids, trade ids and `tran_id`s are digit strings. Signs: a `fee` is positive when paid, an income
row's `amount` and a balance line's `change` are positive when the account receives.
This module imports nothing of ours but money's type, and knows nothing of BingX's field names.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    """The direction of an order."""

    BUY = "BUY"
    SELL = "SELL"


class PositionSide(StrEnum):
    """Which position of a symbol an order or a statement is about; `BOTH` in one-way mode."""

    LONG = "LONG"
    SHORT = "SHORT"
    BOTH = "BOTH"


class OrderStatus(StrEnum):
    """Where an order stands; `UNKNOWN` is a word of the exchange's too."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"


class FactKind(StrEnum):
    """The kinds of fact that coverage is kept for."""

    FILLS = "fills"
    INCOME = "income"


class Question(StrEnum):
    """The kinds of question the audit asks; also what a failed one is called."""

    BALANCE = "balance"
    POSITIONS = "positions"
    FILLS = "fills"
    ORDER = "order"
    OPEN_ORDERS = "open_orders"
    ORDERS = "orders"
    FORCED_ORDERS = "forced_orders"
    INCOME = "income"


# ---- pushes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPush:
    """One order frame, under either of its event names.

    `filled` is the cumulative filled quantity, `average_price` the average of all of it (its digits give its
    resolution), `last_*` the last execution alone. The order's own price is left out on purpose: on a market order it
    is a protective bound, and nothing here may take it for a fill price.
    """

    name: str
    order_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    order_type: str
    status: OrderStatus
    quantity: Decimal | None
    filled: Decimal | None
    average_price: Decimal | None
    last_quantity: Decimal | None
    last_price: Decimal | None
    fee: Decimal | None
    fee_asset: str | None
    realized_pnl: Decimal | None
    trade_id: str | None
    event_ms: int
    trade_ms: int | None
    client_order_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceLine:
    """A changed asset of an account push; `change` is 0 on order pushes although a fee was taken."""

    asset: str
    wallet: Decimal
    change: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionLine:
    """A changed position of an account push; `amount` is unsigned in hedge mode and signed with side `BOTH`."""

    symbol: str
    position_side: PositionSide
    amount: Decimal
    entry_price: Decimal | None
    unrealized_pnl: Decimal | None
    margin_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPush:
    """A changed balance, changed positions, and the exchange's reason. An absent position says nothing about it."""

    reason: str
    event_ms: int
    balances: tuple[BalanceLine, ...]
    positions: tuple[PositionLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeveragePush:
    """The leverage and margin type of a symbol; only sent on when it differs from what was last said."""

    symbol: str
    long: Decimal | None
    short: Decimal | None
    margin_type: str | None
    event_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark price as the exchange states it."""

    symbol: str
    price: Decimal
    event_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The marks that moved since the last such event; at most one event per `mark_interval_s`."""

    marks: tuple[Mark, ...]


# ---- reports: completed questions, never failed ones ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """One asset of a balance report; fields the exchange left empty are `None`."""

    asset: str
    wallet: Decimal
    equity: Decimal | None
    unrealized_pnl: Decimal | None
    available_margin: Decimal | None
    used_margin: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceReport:
    """The wallet as the exchange answers. `asked_us` is before the request left, `asked_ms` that on its clock."""

    asked_us: int
    asked_ms: int
    rows: tuple[BalanceRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRow:
    """One open position of a positions report; `quantity` >= 0, `side` LONG or SHORT also in one-way mode."""

    symbol: str
    side: PositionSide
    quantity: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    unrealized_pnl: Decimal | None
    leverage: Decimal | None
    initial_margin: Decimal | None
    isolated: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionsReport:
    """All open positions as the exchange answers; one that is not named is flat (unlike in a push)."""

    asked_us: int
    asked_ms: int
    rows: tuple[PositionRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRow:
    """One execution of a fill history; `at_ms` may be a whole second (`whole_second`), the fee is rounded."""

    order_id: str
    trade_id: str | None
    symbol: str
    side: Side
    position_side: PositionSide
    quantity: Decimal
    price: Decimal
    fee: Decimal | None
    fee_asset: str | None
    realized_pnl: Decimal | None
    at_ms: int
    whole_second: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FillsReport:
    """All executions of `symbol` (or of one order) with `from_ms` < time <= `to_ms`, every page of them."""

    symbol: str
    order_id: str | None
    from_ms: int
    to_ms: int
    asked_us: int
    asked_ms: int
    rows: tuple[FillRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An order as the exchange answers; `forced` names an automatic close (LIQUIDATION, ADL) and is else `None`."""

    order_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    order_type: str
    status: OrderStatus
    quantity: Decimal | None
    executed: Decimal
    average_price: Decimal | None
    fee: Decimal | None
    realized_pnl: Decimal | None
    created_ms: int | None
    updated_ms: int | None
    forced: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersReport:
    """Orders as the exchange answers, and which question it was."""

    question: Question
    symbol: str | None
    asked_us: int
    asked_ms: int
    rows: tuple[OrderRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomeRow:
    """One income row; `amount` is positive when the account received. `at_ms` is a whole second."""

    tran_id: str
    kind: str
    amount: Decimal
    asset: str
    symbol: str | None
    at_ms: int
    info: str | None
    trade_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomeReport:
    """All income with `from_ms` <= time <= `to_ms`. `available` is False where the exchange keeps none (demo)."""

    from_ms: int
    to_ms: int
    asked_us: int
    asked_ms: int
    available: bool
    rows: tuple[IncomeRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFailed:
    """A question that was not answered; nothing is known from it. `unavailable`: never answered to this key."""

    question: Question
    subject: str
    reason: str
    unavailable: bool
    asked_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDone:
    """One whole round of questions is over. `asked_us` is before its first one; `failed` names those unanswered."""

    cause: str
    asked_us: int
    asked_ms: int
    questions: tuple[Question, ...]
    failed: tuple[str, ...]


# ---- the account's terms and its starting point ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A symbol's steps: `tick` of the price and `lot` of the quantity, in base coin."""

    symbol: str
    tick: Decimal
    lot: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the account trades under, asked at each start. `fee_rates` are all known rates (taker, maker), sorted.

    `hedge_mode` is `None` and `fee_rates` empty where the key may not ask; `notes` says what was degraded and why.
    """

    hedge_mode: bool | None
    fee_rates: tuple[Decimal, ...]
    contracts: tuple[Contract, ...]
    leverages: tuple[LeveragePush, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredOrder:
    """An order whose first `executed` units lie before the baseline and are no facts of this ledger."""

    order_id: str
    symbol: str
    executed: Decimal
    average_price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineTaken:
    """The account as it stood when the ledger began: read the same twice with no push between.

    `adopted_by` is `None` for the first one; else the uid, and `why`, of whoever accepted E as the new baseline.
    """

    baseline_id: str
    taken_ms: int
    wallet: Decimal
    positions: tuple[PositionRow, ...]
    orders: tuple[CoveredOrder, ...]
    adopted_by: int | None
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsInForce:
    """The settings the fold depends on, journaled whenever they or the fold's version change."""

    fold_version: int
    margin_asset: str
    environment: str
    seed_capital: Decimal | None
    min_capital: Decimal
    max_capital: Decimal | None
    partial_amounts: str
    settle_window_us: int
    silence_us: int
    audit_interval_us: int
    income_lag_ms: int
    fills_lag_ms: int
    capital_epsilon: Decimal
    realized_rounding: Decimal
    mark_staleness_factor: Decimal
    leverage_rounding_band: Decimal
    bar_us: int
    namespaces: dict[str, str]
    bot_window_us: int = 10_000_000
    bot_away_us: int = 3_600_000_000


# ---- the stream, refusals, time, decisions, the bot -------------------------------------------------------------------


class StreamState(StrEnum):
    """What became of the private stream."""

    CONNECTED = "connected"
    LOST = "lost"
    SILENT = "silent"
    KEY_ISSUED = "key_issued"
    KEY_RENEWED = "key_renewed"
    KEY_EXPIRED = "key_expired"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChanged:
    """The private stream changed its state; `detail` never holds a key. `at_ms` is the exchange's clock, if known."""

    state: StreamState
    detail: str
    at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRejected:
    """A frame (or row) that was not applied. `money` says that a fact may have been in it; `excerpt` <= 256 chars."""

    source: str
    reason: str
    money: bool
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passed a deadline that the fold had named; the event's own `at_us` is the time."""

    due_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An open question about the exchange (**?**) was settled by evidence."""

    name: str
    value: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecalled:
    """An order that had been put out of memory is spoken of again; `record` is what was archived of it, as JSON."""

    order_id: str
    record: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BotSlot:
    """A position as the bot believes it."""

    slot_id: str
    trade_id: str
    asset: str
    side: str
    size: Decimal
    entry_price: Decimal
    unrealized_pnl: Decimal
    closed: bool
    fsm_state: str
    mark_price: Decimal | None
    leverage: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BotSlots:
    """All positions as the bot believes them; replaces what it said before."""

    slots: tuple[BotSlot, ...]
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BotSettlement:
    """A net profit the bot booked, once per `settlement_id`."""

    settlement_id: str
    realized_pnl: Decimal
    fees: Decimal
    uid: int


Body = (
    OrderPush
    | AccountPush
    | LeveragePush
    | Marks
    | BalanceReport
    | PositionsReport
    | FillsReport
    | OrdersReport
    | IncomeReport
    | QuestionFailed
    | AuditDone
    | Terms
    | BaselineTaken
    | SettingsInForce
    | StreamChanged
    | PushRejected
    | Tick
    | Decision
    | OrderRecalled
    | BotSlots
    | BotSettlement
)

KINDS: dict[str, type[Body]] = {
    "order": OrderPush,
    "account": AccountPush,
    "leverage": LeveragePush,
    "marks": Marks,
    "balance": BalanceReport,
    "positions": PositionsReport,
    "fills": FillsReport,
    "orders": OrdersReport,
    "income": IncomeReport,
    "failed": QuestionFailed,
    "audit": AuditDone,
    "terms": Terms,
    "baseline": BaselineTaken,
    "settings": SettingsInForce,
    "stream": StreamChanged,
    "rejected": PushRejected,
    "tick": Tick,
    "decision": Decision,
    "recalled": OrderRecalled,
    "bot_slots": BotSlots,
    "bot_settlement": BotSettlement,
}
"""The journal's word for each kind; a word once used keeps its meaning for ever."""

KIND_OF: dict[type[Body], str] = {body: kind for kind, body in KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A body with its place in the one order.

    `n` is the journal's number, rising from 1; `at_us` when it was heard; `heard_us` when the private stream was last
    heard before or with it (`None` before the first frame).
    """

    n: int
    at_us: int
    heard_us: int | None
    body: Body

    @property
    def source_id(self) -> str:
        """Name the event as snapshots do: ``"order:17"``."""
        return f"{KIND_OF[type(self.body)]}:{self.n}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """What was received, as received; kept beside the events made of it. `source` is private, market or rest."""

    source: str
    at_us: int
    data: bytes


# ---- what the account wants to be told --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNeed:
    """An order about which only the exchange can tell more. `from_ms` is the earliest its executions can be."""

    order_id: str
    symbol: str
    from_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the fold cannot know by itself, as a value: the audit turns it into questions.

    `baseline`: there is none yet. `statements_after_us`: a balance and a positions report asked after this moment are
    wanted now (`None`: the regular interval will do). `fills_from_ms`, `income_from_ms`: how far nothing can be
    missing; from there a completed question must reach to the present. `facts_after_us`: such fills and income questions, asked after this
    moment, are wanted now. `orders`: asked about one by one. `symbols`: all the account has to do with.
    """

    baseline: bool
    statements_after_us: int | None
    facts_after_us: int | None
    fills_from_ms: int | None
    income_from_ms: int | None
    orders: tuple[OrderNeed, ...]
    symbols: tuple[str, ...]


NO_NEEDS = Needs(
    baseline=True,
    statements_after_us=None,
    facts_after_us=None,
    fills_from_ms=None,
    income_from_ms=None,
    orders=(),
    symbols=(),
)
