"""What a report says, gathered from a chronicle in two passes: over the published snapshots, and over the records.

What enters: a chronicle and a period. What leaves: `Gathered`. What holds: facts are counted by their own time, once, as
they stand now; memory is bounded by days, symbols and the rows that are shown, never by the journal; where more rows
are than are shown, the newest are, and how many there are is said.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from ditad.bookkeeping import ClosedTrade, Ledger, Opening, Sums, closed_trade, movement_of
from ditad.chronicle import Chronicle, Told
from ditad.money import ZERO, add, sub
from ditad.records import RecordType, micros_of, rfc3339
from ditad.report.curves import Curve, Drawdown, Lane, Point, Timeline

TRADES_SHOWN: Final = 250
EXTREMES_SHOWN: Final = 5
DIVERGENCES_SHOWN: Final = 50
GAPS_SHOWN: Final = 50
ADOPTIONS_SHOWN: Final = 20
SYMBOLS_MAX: Final = 2_000
"""Symbols that are told apart; the exchange lists some seven hundred, further ones are summed under `OTHERS`."""

DAYS_MAX: Final = 20_000
"""Days that are told apart: half a century; further ones are summed into the last."""

PROGRESS_RECORDS: Final = 1_000
OTHERS: Final = "others"
HELD_INTERVALS: Final = 2
"""Audit intervals after which a verdict that nobody renewed is one of which nothing is known."""

Step = Callable[[str, int, int], None]
RECORDS: Final = (
    RecordType.FILL,
    RecordType.INCOME,
    RecordType.ACCOUNT_EVENT,
    RecordType.DIVERGENCE,
    RecordType.GAP,
)


@dataclass(slots=True)
class Newest:
    """The newest rows of many, and how many there were."""

    most: int
    count: int = 0
    _rows: list[tuple[str, int, Any]] = field(default_factory=list)

    def take(self, at: str, seq: int, row: Any) -> None:
        """Take a row, in any order."""
        self.count += 1
        push = heapq.heappush if len(self._rows) < self.most else heapq.heappushpop
        push(self._rows, (at, seq, row))

    @property
    def rows(self) -> list[Any]:
        """Give the rows kept, the newest first."""
        return [row for _, _, row in sorted(self._rows, reverse=True)]


@dataclass(slots=True)
class Trades:
    """All trades that ended in the period, counted, and those of them that are shown."""

    newest: Newest = field(default_factory=lambda: Newest(TRADES_SHOWN))
    net: Decimal = ZERO
    gained: Decimal = ZERO
    lost: Decimal = ZERO
    wins: int = 0
    losses: int = 0
    even: int = 0
    unknown: int = 0
    best: list[tuple[Decimal, int, ClosedTrade]] = field(default_factory=list)
    worst: list[tuple[Decimal, int, ClosedTrade]] = field(default_factory=list)

    def take(self, trade: ClosedTrade) -> None:
        """Count a trade; one whose net nobody told is neither won nor lost."""
        self.newest.take(trade.closed_at, trade.seq, trade)
        if trade.net is None:
            self.unknown += 1
            return
        self.net = add(self.net, trade.net)
        if trade.net > 0:
            self.wins, self.gained = self.wins + 1, add(self.gained, trade.net)
            _keep(self.best, (trade.net, trade.seq, trade))
        elif trade.net < 0:
            self.losses, self.lost = self.losses + 1, add(self.lost, trade.net)
            _keep(self.worst, (-trade.net, trade.seq, trade))
        else:
            self.even += 1


def _keep(rows: list[tuple[Decimal, int, ClosedTrade]], row: tuple[Decimal, int, ClosedTrade]) -> None:
    if len(rows) < EXTREMES_SHOWN:
        heapq.heappush(rows, row)
    else:
        heapq.heappushpop(rows, row)


@dataclass(slots=True, kw_only=True)
class Gathered:
    """All that a report says. `opening` and `closing` are the snapshots before and at the end of the period (or None)."""

    account: str
    asset: str
    since_us: int
    until_us: int
    equity: Curve
    drawdown: Drawdown
    timeline: Timeline
    divergence_lane: Lane
    gap_lane: Lane
    opening: Mapping[str, Any] | None = None
    closing: Mapping[str, Any] | None = None
    snapshots: int = 0
    equity_unknown: int = 0
    sums: Sums = field(default_factory=Sums)
    by_day: dict[str, Sums] = field(default_factory=dict)
    by_symbol: dict[str, Sums] = field(default_factory=dict)
    other_assets: dict[str, Sums] = field(default_factory=dict)
    trades: Trades = field(default_factory=Trades)
    trades_by_symbol: Counter[str] = field(default_factory=Counter)
    divergences: Newest = field(default_factory=lambda: Newest(DIVERGENCES_SHOWN))
    causes: Counter[str] = field(default_factory=Counter)
    open_divergences: int = 0
    gaps: Newest = field(default_factory=lambda: Newest(GAPS_SHOWN))
    open_gaps: int = 0
    balance_before: Decimal = ZERO
    adopted: Decimal = ZERO
    adoptions: list[Opening] = field(default_factory=list)

    @property
    def balance_after(self) -> Decimal:
        """Give the wallet at the end as facts make it."""
        return add(add(self.balance_before, self.sums.change), self.adopted)


def gather(chronicle: Chronicle, since_us: int | None, until_us: int | None, step: Step) -> Gathered:
    """Gather a report of `[since_us, until_us)`; `None` is where the first ledger begins, and the end of the journal."""
    since, until = chronicle.span(since_us, until_us)
    begun_us = chronicle.began[0].baseline.taken_ms * 1_000
    held_us = HELD_INTERVALS * chronicle.settings.audit_interval_us
    found = Gathered(
        account=chronicle.account,
        asset=chronicle.settings.margin_asset,
        since_us=since,
        until_us=until,
        equity=Curve(since, until),
        drawdown=Drawdown(Curve(since, until)),
        timeline=Timeline(since, until, held_us),
        divergence_lane=Lane(since, until, ("open", "confirmed")),
        gap_lane=Lane(since, until, ("closed", "unclosable", "open")),
    )
    _Snapshots(found).run(chronicle, step)
    _Records(found, chronicle, whole=since == begun_us).run(step)
    return found


class _Snapshots:
    """The pass over what was published. At another baseline the equity without transfers goes on where it was."""

    def __init__(self, found: Gathered) -> None:
        self._found = found
        self._baseline: str | None = None
        self._moved = ZERO
        self._before: Decimal | None = None

    def run(self, chronicle: Chronicle, step: Step) -> None:
        found = self._found
        for record in chronicle.snapshots(
            found.since_us, found.until_us, lambda done, total: step("snapshots", done, total)
        ):
            us, body = micros_of(record["ts"]), record["snapshot"]
            if body["baseline"] is None:
                continue
            found.timeline.take(us, body["reconcile"]["status"])
            found.closing = record
            if us < found.since_us:
                found.opening = record
                continue
            if found.opening is None:
                found.opening = record
            found.snapshots += 1
            self._equity(us, body)
        found.timeline.end()

    def _equity(self, us: int, body: Mapping[str, Any]) -> None:
        found = self._found
        equity = equity_of(body)
        if equity is None:
            found.equity_unknown += 1
            found.equity.skip(us)
            found.drawdown.curve.skip(us)
            return
        found.equity.take(Point(us=us, value=equity))
        own = sub(equity, Decimal(body["k"]["transfers"]))
        if self._baseline != body["baseline"]["id"]:
            self._moved = ZERO if self._before is None else sub(self._before, own)
            self._baseline = body["baseline"]["id"]
        self._before = add(own, self._moved)
        found.drawdown.take(us, equity, self._before)


def equity_of(body: Mapping[str, Any]) -> Decimal | None:
    """Give a snapshot's capital before the bot's bounds, with what is unrealised; `None` where a part is not known."""
    raw, unrealized = body["k"]["capital_raw"], body["k"]["unrealized_pnl"]
    return None if raw is None or unrealized is None else add(Decimal(raw), Decimal(unrealized))


class _Records:
    """The pass over the records; of a `whole` ledger what is stamped a moment before its baseline belongs to it too."""

    def __init__(self, found: Gathered, chronicle: Chronicle, *, whole: bool) -> None:
        self._found = found
        self._chronicle = chronicle
        self._since = "" if whole else rfc3339(found.since_us)
        self._until = rfc3339(found.until_us)
        self._ledger = Ledger(margin_asset=found.asset, began=chronicle.began)

    def run(self, step: Step) -> None:
        """Count every record once."""
        for count, told in enumerate(self._chronicle.told(*RECORDS)):
            if count % PROGRESS_RECORDS == 0:
                step("records", told.seq, self._chronicle.last_seq)
            if told.type in {RecordType.FILL, RecordType.INCOME}:
                self._open(told.seq)
                self._movement(told)
            elif told.type is RecordType.ACCOUNT_EVENT:
                self._trade(told)
            elif told.type is RecordType.DIVERGENCE:
                _divergence(self._found, told)
            else:
                _gap(self._found, told)
        self._open(None)

    def _open(self, seq: int | None) -> None:
        found = self._found
        for opening in self._ledger.openings(seq):
            if opening.adopted_by is None or opening.at < self._since:
                found.balance_before = add(found.balance_before, opening.moved)
            elif opening.at < self._until:
                found.adopted = add(found.adopted, opening.moved)
                found.adoptions = [*found.adoptions, opening][-ADOPTIONS_SHOWN:]

    def _movement(self, told: Told) -> None:
        found = self._found
        movement = movement_of(told.seq, told.type, told.body, found.asset)
        self._ledger.take(movement)
        if movement.at >= self._until:
            return
        if movement.at < self._since:
            if movement.asset == found.asset:
                found.balance_before = add(found.balance_before, movement.change)
            return
        if movement.asset != found.asset:
            asset = _known(found.other_assets, movement.asset, SYMBOLS_MAX, OTHERS)
            found.other_assets.setdefault(asset, Sums()).take(movement)
            return
        found.sums.take(movement)
        day = _known(found.by_day, movement.day, DAYS_MAX, max(found.by_day, default=movement.day))
        found.by_day.setdefault(day, Sums()).take(movement)
        symbol = _known(found.by_symbol, movement.symbol or "", SYMBOLS_MAX, OTHERS)
        found.by_symbol.setdefault(symbol, Sums()).take(movement)

    def _trade(self, told: Told) -> None:
        trade = closed_trade(told.seq, told.body)
        if trade is not None and self._since <= trade.closed_at < self._until:
            self._found.trades.take(trade)
            self._found.trades_by_symbol[_known(self._found.by_symbol, trade.symbol, SYMBOLS_MAX, OTHERS)] += 1


def _known(rows: Mapping[str, object], name: str, most: int, rest: str) -> str:
    """Give the row under which something is counted: its own as long as there is room for one."""
    return name if name in rows or len(rows) < most else rest


def _divergence(found: Gathered, told: Told) -> None:
    body = told.body
    first, closed = body["first_at"], body.get("closed_at")
    end_us = found.until_us if closed is None else micros_of(closed)
    first_us = micros_of(first)
    if end_us < found.since_us or first_us >= found.until_us:
        return
    found.divergences.take(first, told.seq, body)
    found.open_divergences += closed is None
    found.causes.update({one["cause"] for one in body["attribution"]})
    found.divergence_lane.take(first_us, end_us, "confirmed" if body["confirmations"] else "open")


def _gap(found: Gathered, told: Told) -> None:
    body = told.body
    open_ = body["to"] is None or body["state"] == "open"
    first_us = micros_of(body["from"])
    end_us = found.until_us if body["to"] is None else micros_of(body["to"])
    if end_us < found.since_us or first_us >= found.until_us:
        return
    found.gaps.take(body["from"], told.seq, body)
    found.open_gaps += open_
    found.gap_lane.take(
        first_us, end_us, "open" if open_ else "unclosable" if body["state"] == "unclosable" else "closed"
    )
