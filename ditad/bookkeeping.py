"""Facts as bookkeepers count them: what each moved, in which asset, and sums of that by whatever they are grouped by.

What enters: bodies of current fill, income and account event records. What leaves: `Movement`s, `Sums`, `ClosedTrade`s.
What holds: sums are exact; an amount that nobody told moves nothing and is counted as unknown, never as 0; a day is
one of UTC; the change of the wallet is profit − fee − funding + transfer + other, as K books it. (account.md §4)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ditad.events import BaselineTaken
from ditad.money import ZERO, add, sub
from ditad.records import RecordType, rfc3339_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """A baseline, and the last record before it: facts up to there belong to the ledger before."""

    after_seq: int
    baseline: BaselineTaken


PARTS: Final = ("profit", "fees", "funding", "transfers", "other")
"""What a movement is made of; fees and funding are positive when paid, all else when received."""

_PART_OF: Final = {"funding": "funding", "transfer": "transfers", "other": "other"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What one fact moved. `amounts` has what is told, by its part; `unknown` names the parts that nobody told."""

    seq: int
    at: str
    asset: str
    symbol: str | None
    amounts: Mapping[str, Decimal]
    unknown: tuple[str, ...]
    body: Mapping[str, Any]

    @property
    def day(self) -> str:
        """Give the day it happened on."""
        return self.at[:10]

    @property
    def change(self) -> Decimal:
        """Give by how much what is told of it changed the wallet."""
        total = ZERO
        for part, amount in self.amounts.items():
            total = (sub if part in {"fees", "funding"} else add)(total, amount)
        return total


def movement_of(seq: int, kind: RecordType, body: Mapping[str, Any], margin_asset: str) -> Movement:
    """Read a fill or an income as what it moved; a fill moves its symbol's asset whatever its fee is labelled as."""
    if kind is RecordType.FILL:
        told = {"profit": body["realized_pnl"], "fees": body["fee"]}
        asset = asset_of(body["symbol"], margin_asset)
    else:
        told = {_PART_OF[body["kind"]]: body["amount"]}
        asset = body["asset"]
    return Movement(
        seq=seq,
        at=body["at"],
        asset=asset,
        symbol=body["symbol"],
        amounts={part: Decimal(amount) for part, amount in told.items() if amount is not None},
        unknown=tuple(part for part, amount in told.items() if amount is None),
        body=body,
    )


def asset_of(symbol: str, margin_asset: str) -> str:
    """Say in which asset a symbol's money moves; a demo account's is VST on -USDT symbols."""
    quote = symbol.rpartition("-")[2]
    return margin_asset if margin_asset == "VST" and quote == "USDT" else quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A baseline in the books: what the exchange stated then, and by how much that moved what the books had.

    Of the first one that is all of it; of an adopted one what was accepted without a fact, by whom and why.
    """

    at: str
    wallet: Decimal
    moved: Decimal
    adopted_by: int | None
    why: str | None


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The wallet as facts make it, from baseline to baseline; both are heard in the order of the records."""

    margin_asset: str
    began: Sequence[Began]
    total: Decimal = ZERO
    _next: int = 0

    def openings(self, seq: int | None) -> Iterator[Opening]:
        """Give the baselines that lie before a record, each once; `None` is the end."""
        while self._next < len(self.began) and (seq is None or self.began[self._next].after_seq < seq):
            baseline = self.began[self._next].baseline
            self._next += 1
            moved = sub(baseline.wallet, self.total)
            self.total = baseline.wallet
            yield Opening(
                at=rfc3339_ms(baseline.taken_ms),
                wallet=baseline.wallet,
                moved=moved,
                adopted_by=baseline.adopted_by,
                why=baseline.why,
            )

    def take(self, movement: Movement) -> None:
        """Book a movement; what other assets did moves another wallet."""
        if movement.asset == self.margin_asset:
            self.total = add(self.total, movement.change)


@dataclass(slots=True, kw_only=True)
class Sums:
    """What some movements of one asset add up to; `unknown` counts amounts that nobody told."""

    profit: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    transfers: Decimal = ZERO
    other: Decimal = ZERO
    fills: int = 0
    incomes: int = 0
    unknown: int = 0

    def take(self, movement: Movement) -> None:
        """Add a movement."""
        for part, amount in movement.amounts.items():
            setattr(self, part, add(getattr(self, part), amount))
        self.unknown += len(movement.unknown)
        is_fill = "order_id" in movement.body
        self.fills += is_fill
        self.incomes += not is_fill

    def join(self, others: Sums) -> None:
        """Add the sums of other movements."""
        for part in PARTS:
            setattr(self, part, add(getattr(self, part), getattr(others, part)))
        self.fills += others.fills
        self.incomes += others.incomes
        self.unknown += others.unknown

    @property
    def net(self) -> Decimal:
        """Give what trading brought: profit and other income, less fees and funding."""
        return sub(sub(add(self.profit, self.other), self.fees), self.funding)

    @property
    def change(self) -> Decimal:
        """Give the change of the wallet."""
        return add(self.net, self.transfers)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a day, or of the period where that is earlier: the snapshots around it, the nearest first."""

    day: str
    at_us: int
    before: tuple[Mapping[str, Any], ...]
    behind: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """A position from flat to flat, as its current account event tells it; `None` is not told."""

    seq: int
    trade: str
    trade_id: str
    symbol: str
    side: str
    opened_at: str | None
    closed_at: str
    opened_before_ledger: bool
    qty: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    entry_quote: Decimal
    exit_quote: Decimal
    gross: Decimal | None
    fees: Decimal | None
    net: Decimal | None
    net_percent: Decimal | None
    ended_by: str
    order_ids: tuple[str, ...]
    more_orders: bool


def closed_trade(seq: int, body: Mapping[str, Any]) -> ClosedTrade | None:
    """Read the end of a trade; `None` where the record tells no end, or takes one back."""
    told = body["metadata"]
    if body["stage"] != "CLOSED" or told.get("withdrawn") or told.get("closed_at") is None:
        return None
    return ClosedTrade(
        seq=seq,
        trade=told["trade"],
        trade_id=body["trade_id"],
        symbol=body["asset"],
        side=body["side"],
        opened_at=told["opened_at"],
        closed_at=told["closed_at"],
        opened_before_ledger=bool(told.get("opened_before_ledger")),
        qty=Decimal(told["qty"]),
        entry_price=_decimal(told["entry_price"]),
        exit_price=_decimal(told["exit_price"]),
        entry_quote=Decimal(told["entry_quote"]),
        exit_quote=Decimal(told["exit_quote"]),
        gross=_decimal(told["gross"]),
        fees=_decimal(told["fees"]),
        net=_decimal(body["pnl"]),
        net_percent=_decimal(body["pnl_pct"]),
        ended_by=told.get("ended_by", body["reason"]),
        order_ids=tuple(told["order_ids"]),
        more_orders=bool(told.get("more_orders")),
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
