"""The fold's state: everything the two ledgers of one account remember between events.

What enters and leaves: plain records that `ditad.codec` writes into a checkpoint and reads back equal. What holds:
nothing in here is decided; the fold (`ditad.fold` and the rooms it calls) is the only one to change it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from decimal import Decimal

from ditad.book import Position
from ditad.causes import Attribution, Move
from ditad.coverage import Coverage
from ditad.events import (
    BaselineTaken,
    BotSlot,
    Contract,
    IncomeRow,
    LeveragePush,
    OrderRow,
    PositionSide,
    Question,
    SettingsInForce,
)
from ditad.incomes import Incomes
from ditad.legs import Trades
from ditad.money import ZERO, add
from ditad.orders import Order
from ditad.settle import Twins
from ditad.slots import AccountSnapshot
from ditad.witnesses import Witness

FOLD_VERSION = 11
"""Raised whenever the same events lead to other snapshots; stored with what was folded."""


@dataclass(slots=True, kw_only=True)
class Sums:
    """Σ over K's facts since the baseline, in the margin asset; `*_slack` is what rounded sources leave open."""

    realized_pnl: Decimal = ZERO
    realized_slack: Decimal = ZERO
    fees: Decimal = ZERO
    fees_slack: Decimal = ZERO
    funding: Decimal = ZERO
    transfers: Decimal = ZERO
    other_income: Decimal = ZERO

    @property
    def slack(self) -> Decimal:
        """Give what all rounded sources together leave open."""
        return add(self.fees_slack, self.realized_slack)


@dataclass(slots=True, kw_only=True)
class StatedPosition:
    """A position as E states it; `quantity` is signed for side `BOTH`. Figures never stated are `None`."""

    symbol: str
    side: PositionSide
    quantity: Decimal
    entry_price: Decimal | None
    unrealized_pnl: Decimal | None
    mark_price: Decimal | None
    mark_us: int | None
    leverage: Decimal | None
    event_ms: int
    at_us: int
    source: str


@dataclass(slots=True, kw_only=True)
class Figure:
    """One stated figure: its value, the exchange's time of it, ours, and where it came from."""

    value: Decimal
    event_ms: int
    at_us: int
    source: str


@dataclass(slots=True, kw_only=True)
class Stated:
    """The E ledger: the latest statements."""

    wallet: Figure | None = None
    wallet_push_us: int = 0
    positions_push_us: dict[str, int] = field(default_factory=dict)
    available_margin: Figure | None = None
    used_margin: Figure | None = None
    positions: dict[str, StatedPosition] = field(default_factory=dict)
    positions_us: int | None = None
    balance_asked_us: int = 0
    balance_asked_ms: int = 0
    positions_asked_us: int = 0
    positions_asked_ms: int = 0
    last_fill_ms: int = 0
    last_fill_price: Decimal | None = None
    last_fill_quantity: Decimal | None = None
    last_fill_fee: Decimal | None = None
    last_fill_realized_pnl: Decimal | None = None
    last_funding: Decimal | None = None


@dataclass(slots=True, kw_only=True)
class MarkSeen:
    """The latest mark of a symbol from the market stream."""

    price: Decimal
    at_us: int


@dataclass(slots=True, kw_only=True)
class UnknownAmount:
    """An amount nobody has told; `z0` and `z1` for fills."""

    kind: str
    order_id: str | None
    z0: Decimal | None
    z1: Decimal | None
    at_ms: int


PROFIT_WINDOWS_MAX = 3
"""Settle windows that R2 waits at most for fills on their way, however its difference changes."""


@dataclass(slots=True, kw_only=True)
class ProfitOff:
    """R2's difference: since when there is one, how much it is, and since when it is that much."""

    since_us: int
    delta: Decimal
    moved_us: int

    def waits_until_us(self, window_us: int) -> int:
        """Give until when a fill may be on its way that explains it: each change has a window, all together a few."""
        return min(self.moved_us + window_us, self.since_us + PROFIT_WINDOWS_MAX * window_us)


@dataclass(slots=True, kw_only=True)
class Untold:
    """A funding push that did not tell its amount.

    `change` is what it says that the wallet changed by, which its statement contradicts (`None` or 0: it says nothing).
    `moved` is what the wallet moved by between the statement before it and its own (`None`: none was before it),
    `agreed` whether that one equalled K.
    """

    change: Decimal | None
    moved: Decimal | None
    agreed: bool
    heard_us: int


@dataclass(slots=True, kw_only=True)
class Inquiry:
    """A residual being asked about, since when, and which questions failed (``""``: none did).

    `seen` says since when each of its values so far was, the latest seen last.
    """

    since_us: int
    seen: dict[str, int] = field(default_factory=dict)
    failed: str = ""
    confirmed: bool = False


@dataclass(slots=True, kw_only=True)
class Divergence:
    """A difference as an object. (account.md §6)

    `first_delta` is what it was when it was opened, `confirmed_delta` when it was confirmed, `explained_delta` when
    its attribution was found; `heard` is what has moved either side of it since, `healed` what of that healed a part.
    """

    id: str
    rule: str
    field: str
    symbol: str | None
    side: str | None
    k: Decimal | None
    e: Decimal | None
    delta: Decimal
    tolerance: Decimal
    klass: str
    severity: str
    first_seq: int
    first_us: int
    last_seq: int
    first_delta: Decimal = ZERO
    confirmed_delta: Decimal = ZERO
    explained_delta: Decimal = ZERO
    confirmations: int = 0
    state: str = "open"
    attribution: list[Attribution] = dataclasses.field(default_factory=list)
    healed: list[Attribution] = dataclasses.field(default_factory=list)
    heard: list[Attribution] = dataclasses.field(default_factory=list)
    healed_by: str | None = None
    closed_us: int | None = None


@dataclass(slots=True, kw_only=True)
class Round:
    """What the questions of the present audit round have brought so far.

    `listed` are the orders of which a list, asked for at `listed_ms`, says that something was executed and whose rows
    have not come yet.
    """

    listed: dict[str, OrderRow] = field(default_factory=dict)
    listed_ms: int = 0
    fills: dict[str, int] = field(default_factory=dict)
    fills_from: dict[str, int] = field(default_factory=dict)
    fill_rows: int = 0
    income_from_ms: int | None = None
    income_to_ms: int | None = None
    income_rows: int = 0
    failed: list[str] = field(default_factory=list)
    failed_kinds: list[Question] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class MarginSeen:
    """K's margin on both bases at the moment of the last margin report, and what that report said.

    `at_mark` holds a figure for each mark that may have been the exchange's at that moment.
    """

    at_entry: Decimal | None
    at_mark: list[Decimal]
    stated: Decimal


@dataclass(slots=True, kw_only=True)
class Settled:
    """What a settlement of the bot said."""

    realized_pnl: Decimal
    fees: Decimal


@dataclass(slots=True, kw_only=True)
class BotSide:
    """A position as the bot says it, beside K's: `seen` is what K held when it was looked at last."""

    symbol: str
    side: str
    said: Decimal = ZERO
    seen: Decimal = ZERO
    twins: Twins = field(default_factory=Twins)


@dataclass(slots=True, kw_only=True)
class BotFigure:
    """K's net by one way of settling, since `anchor`, beside the bot's; `seen` as above."""

    anchor: Decimal
    seen: Decimal
    twins: Twins = field(default_factory=Twins)


@dataclass(slots=True, kw_only=True)
class Bot:
    """The B ledger, which began at `since_us` with the capital `began`.

    `sides` are by symbol and side, `money` by the way of settling, of which `reading` agreed last (``""``: none has).
    `fresh`: its positions have not been compared since it began to speak.
    """

    since_us: int
    heard_us: int
    began: Decimal
    ledger: AccountSnapshot
    slots: tuple[BotSlot, ...] = ()
    slots_us: int | None = None
    settled_us: int | None = None
    settlements: dict[str, Settled] = field(default_factory=dict)
    sides: dict[str, BotSide] = field(default_factory=dict)
    money: dict[str, BotFigure] = field(default_factory=dict)
    reading: str = ""
    fresh: bool = True


@dataclass(slots=True, kw_only=True)
class State:
    """All of it."""

    settings: SettingsInForce | None = None
    contracts: dict[str, Contract] = field(default_factory=dict)
    fee_rates: tuple[Decimal, ...] = ()
    notes: tuple[str, ...] = ()
    one_way: bool = False
    baseline: BaselineTaken | None = None
    baseline_us: int = 0
    seed: Decimal = ZERO
    n: int = 0
    seq: int = 0
    event_seq: int = 0
    at_us: int = 0
    heard_us: int | None = None
    exchange_ms: int = 0
    offset_ms: int | None = None
    streaming: bool = False
    connected_us: int = 0
    orders: dict[str, Order] = field(default_factory=dict)
    archived_max: int = 0
    relieved_ms: int = 0  # orders up to here were let go before a round had covered them (`rounds.relieve`)
    incomplete: dict[str, str] = field(default_factory=dict)
    contradicted: dict[str, str] = field(default_factory=dict)
    funding_differences: dict[str, Decimal] = field(default_factory=dict)
    income_differences: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    incomes: Incomes = field(default_factory=Incomes)
    income_numbers: dict[str, int] = field(default_factory=dict)
    ambiguous: list[IncomeRow] = field(default_factory=list)
    witnesses: dict[str, list[Witness]] = field(default_factory=dict)
    unknown: dict[str, UnknownAmount] = field(default_factory=dict)
    forced: list[str] = field(default_factory=list)
    forced_rows: list[str] = field(default_factory=list)
    untold: dict[str, Untold] = field(default_factory=dict)
    derived: dict[str, str] = field(default_factory=dict)
    other_assets: dict[str, Decimal] = field(default_factory=dict)
    sums: Sums = field(default_factory=Sums)
    peak: Decimal | None = None
    marks: dict[str, MarkSeen] = field(default_factory=dict)
    leverages: dict[str, LeveragePush] = field(default_factory=dict)
    stated: Stated = field(default_factory=Stated)
    k_at_wallet: Decimal = ZERO
    wallet_twins: Twins = field(default_factory=Twins)
    quantity_twins: dict[str, Twins] = field(default_factory=dict)
    margin: MarginSeen | None = None
    margin_votes: dict[str, int] = field(default_factory=dict)
    profit_off: ProfitOff | None = None
    answered_us: dict[str, int] = field(default_factory=dict)
    inquiries: dict[str, Inquiry] = field(default_factory=dict)
    divergences: dict[str, Divergence] = field(default_factory=dict)
    divergence_count: int = 0
    moves: list[Move] = field(default_factory=list)
    lasting: dict[str, int] = field(default_factory=dict)
    trades: Trades = field(default_factory=Trades)
    bot: Bot | None = None
    coverage: Coverage = field(default_factory=Coverage)
    round: Round = field(default_factory=Round)
    rejected: int = 0
    decisions: dict[str, str] = field(default_factory=dict)
    deadline_us: int | None = None
    status: str = "UNKNOWN"


def key_of(state: State, symbol: str, side: str) -> str:
    """Find the key of a finding's position; one that outlived a change of the position mode keeps its own."""
    own, both = f"{symbol}:{side}", f"{symbol}:{PositionSide.BOTH}"
    first, second = (both, own) if state.one_way else (own, both)
    return first if first in state.quantity_twins else second
