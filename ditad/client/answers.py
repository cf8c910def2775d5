"""What the daemon answers, as frozen records: the snapshot, the records of the stream, the items of the lists.

What holds: a field is named as in interfaces.md §3 (`class_` and `from_` where Python keeps the word to itself); money
is `Decimal`, a moment an aware `datetime`, never stated is `None`. `raw` is the object as it came, with whatever a
newer daemon says beyond this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Anything that the daemon says; `raw` is all of it."""

    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


# ---- the snapshot -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(Answer):
    """What one ledger says of a position; `qty` has no sign, the side tells the direction."""

    qty: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    unrealized_pnl: Decimal | None
    leverage: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Position(Figures):
    """An open position of K or E."""

    symbol: str
    side: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Answer):
    """An amount that nobody told: of which fill, or income."""

    kind: str
    order_id: str | None
    z0: Decimal | None
    z1: Decimal | None
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KLedger(Answer):
    """The ledger folded from facts."""

    capital: Decimal | None
    capital_raw: Decimal | None
    realized_pnl: Decimal | None
    book_realized_pnl: Decimal | None
    unrealized_pnl: Decimal | None
    fees_paid: Decimal
    funding_paid: Decimal
    transfers: Decimal
    other_income: Decimal
    precision: Mapping[str, Decimal]
    unknown: tuple[Unknown, ...]
    open_notional: Decimal | None
    equity: Decimal | None
    used_margin: Decimal | None
    available_margin: Decimal | None
    open_positions: int
    peak_capital: Decimal | None
    leverage: Decimal | None
    trade_seq: int
    positions: tuple[Position, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated(Answer):
    """When a figure was stated, and by what."""

    at: datetime
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ELedger(Answer):
    """What the exchange stated last."""

    wallet_balance: Decimal | None
    available_margin: Decimal | None
    used_margin: Decimal | None
    maint_margin: Decimal | None
    realized_pnl: Decimal | None
    last_fill_price: Decimal | None
    last_fill_qty: Decimal | None
    last_fill_fee: Decimal | None
    last_fill_realized_pnl: Decimal | None
    last_funding: Decimal | None
    stated: Mapping[str, Stated]
    positions: tuple[Position, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BotPosition(Position):
    """A slot of the bot, by its own words."""

    slot_id: str
    trade_id: str
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BotLedger(Answer):
    """The ledger of what the bot told."""

    since: datetime
    began: Decimal
    capital: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees_paid: Decimal
    open_positions: int
    open_notional: Decimal
    trade_seq: int
    peak_capital: Decimal
    reading: str | None
    positions: tuple[BotPosition, ...]
    stated: Mapping[str, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Answer):
    """What a bot should use, from where, whether at all, and until when."""

    capital: Decimal | None
    source: str
    usable: bool
    valid_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Answer):
    """A span in which facts may have been missed, and what closed it; `seq` where it is an item of a list."""

    id: str
    kinds: tuple[str, ...]
    from_: datetime
    to: datetime | None
    cause: str
    state: str
    by: str | None
    rows: int | None
    at: datetime | None
    beyond: Mapping[str, datetime] = field(default_factory=dict)
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage(Answer):
    """How far the ledger can be trusted."""

    state: str
    covered_through: datetime | None
    kinds: Mapping[str, str]
    gaps: tuple[Gap, ...]
    rejected: int
    other_assets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone(Answer):
    """A field of which bot, K and E do not all say the same: who stands alone, and by how much."""

    field: str
    who: str
    by: Decimal
    k: Decimal
    e: Decimal
    b: Decimal
    reading: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Answer):
    """What the comparison came to; `divergences` are ids."""

    status: str
    worst_field: str
    deltas: Mapping[str, Decimal]
    explanations: tuple[str, ...]
    divergences: tuple[str, ...]
    stands_alone: tuple[Alone, ...]
    ts: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline(Answer):
    """Where K begins."""

    id: str
    at: datetime
    wallet: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Answer):
    """The account at one moment."""

    schema: int
    account: str
    event_seq: int
    source_event_id: str
    ts: datetime
    exchange_ts_ms: int | None
    baseline: Baseline | None
    k: KLedger
    e: ELedger
    b: BotLedger | None
    published: Published
    coverage: Coverage
    reconcile: Verdict


# ---- the records ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill(Answer):
    """An executed piece of an order: the interval `(z0, z1]` of its cumulative quantity."""

    order_id: str
    z0: Decimal
    z1: Decimal
    symbol: str
    side: str
    position_side: str
    price: Decimal | None
    qty: Decimal
    quote: Decimal | None
    fee: Decimal | None
    fee_asset: str | None
    realized_pnl: Decimal | None
    trade_ids: tuple[str, ...]
    at: datetime | None
    sources: tuple[str, ...]
    replaces: tuple[int, ...] = ()
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Income(Answer):
    """Funding, a transfer, or other income."""

    kind: str
    amount: Decimal | None
    asset: str | None
    symbol: str | None
    tran_id: str | None
    at: datetime
    sources: tuple[str, ...]
    replaces: tuple[int, ...] = ()
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution(Answer):
    """One cause of a divergence, with its evidence."""

    cause: str
    ids: tuple[str, ...] = ()
    amount: Decimal | None = None
    exact: bool | None = None
    evidence: str | None = None
    tried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence(Answer):
    """A difference between K and E (or the bot) as an object: open, confirmed, healed or adopted."""

    id: str
    rule: str
    field: str
    symbol: str | None
    side: str | None
    k: Decimal | None
    e: Decimal | None
    delta: Decimal | None
    tolerance: Decimal | None
    class_: str
    severity: str
    first_seq: int
    first_at: datetime
    last_seq: int
    confirmations: int
    state: str
    attribution: tuple[Attribution, ...]
    healed_by: str | None = None
    closed_at: datetime | None = None
    duration_s: float | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChange(Answer):
    """The private stream was connected or lost, or its key changed."""

    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Answer):
    """A frame that was refused; `money`: money may hang on it, so a gap was opened."""

    source: str
    reason: str
    money: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEvent(Answer):
    """A position of K opened, changed its direction or closed."""

    timestamp: str
    capital: Decimal | None
    equity: Decimal | None
    open_positions: int
    trade_id: str
    asset: str
    side: str
    reason: str
    stage: str
    pnl: Decimal | None
    pnl_pct: Decimal | None
    bars_held: int
    metadata: Mapping[str, Any]


Body = Fill | Income | Divergence | Gap | StreamChange | Rejected | AccountEvent | Snapshot

BODIES: Mapping[str, type[Body]] = {
    "fill": Fill,
    "income": Income,
    "divergence": Divergence,
    "gap": Gap,
    "stream": StreamChange,
    "rejected": Rejected,
    "account_event": AccountEvent,
    "snapshot": Snapshot,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Answer):
    """One line of the stream; to go on behind it ask with `after_seq=record.seq`.

    `body` is `None` for a `bookmark`, which says how far the account is when there was nothing to tell, and for a type
    that only a newer client knows.
    """

    seq: int
    type: str
    ts: datetime
    body: Body | None


# ---- the rest ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionPair(Answer):
    """A position as K and E have it; `None`: that ledger has none."""

    seq: int
    symbol: str
    side: str
    k: Figures | None
    e: Figures | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotsTaken(Answer):
    """What became of the bot's slots."""

    account: str
    slots: int
    open_positions: int
    unchanged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementTaken(Answer):
    """What a settlement is booked with; `repeated`: it was before."""

    account: str
    settlement_id: str
    realized_pnl: Decimal
    fees: Decimal
    repeated: bool
