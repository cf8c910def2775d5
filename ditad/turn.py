"""One event's turn: the state it changes, and what it leads to.

What enters: a `State` and an `Event`. What leaves: record drafts in the order of interfaces.md §3, decisions to be
journaled, and whether anything changed. What holds: numbers are given at the end of a turn, so the records of one
event stand together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from ditad.causes import Move
from ditad.coverage import Gap, open_gap
from ditad.events import Decision, Event, SettingsInForce
from ditad.legs import Tale
from ditad.money import ZERO, add, sub
from ditad.records import RecordType
from ditad.settle import Twins, move, settle_at
from ditad.state import Divergence, State

Numbered = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A record before it has its number; `numbered` is told the number once it is given.

    `written` is the body with parts that are JSON already (`None`: there are none).
    """

    type: RecordType
    key: str | None
    body: dict[str, object]
    replaces: tuple[int, ...] = ()
    numbered: Numbered | None = None
    written: dict[str, object] | None = None


@dataclass(slots=True, kw_only=True)
class Turn:
    """The working place of one event. `capital_before` is K's raw capital before it, `moves` what it did to that, `paid`
    what the fills of each order did to it, and `grown` by how much they became more.

    `traded` names the positions whose fills changed, and says whether that was more than a new one; `tellings` is what
    is to be told of trades. `touched` are the symbols of which a position, a statement, a mark or a leverage changed.
    """

    state: State
    event: Event
    drafts: list[Draft] = field(default_factory=list)
    drafted: set[tuple[RecordType, str | None]] = field(default_factory=set)
    decisions: list[Decision] = field(default_factory=list)
    archived: list[tuple[str, bytes]] = field(default_factory=list)
    gaps: dict[str, Gap] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    paid: dict[str, Decimal] = field(default_factory=dict)
    grown: dict[str, Decimal] = field(default_factory=dict)
    unpublished: list[Divergence] = field(default_factory=list)
    capital_before: Decimal = ZERO
    traded: dict[str, bool] = field(default_factory=dict)
    tellings: list[Tale] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    changed: bool = False

    @property
    def settings(self) -> SettingsInForce:
        """Give the settings in force; they are the first event of every journal."""
        assert self.state.settings is not None, "the journal begins with the settings in force"
        return self.state.settings

    @property
    def exchange_ms(self) -> int:
        """Give the exchange's clock at this event."""
        return self.event.at_us // 1_000 + (self.state.offset_ms or 0)

    @property
    def lags_ms(self) -> tuple[int, int]:
        """Give the report lags of fills and income."""
        return self.settings.fills_lag_ms, self.settings.income_lag_ms

    def draft(
        self,
        kind: RecordType,
        key: str | None,
        body: dict[str, object],
        *,
        replaces: tuple[int, ...] = (),
        numbered: Numbered | None = None,
        written: dict[str, object] | None = None,
    ) -> None:
        """Add a record to this event's."""
        self.changed = True
        self.drafts.append(Draft(type=kind, key=key, body=body, replaces=replaces, numbered=numbered, written=written))
        self.drafted.add((kind, key))

    def withdraw(self, kind: RecordType, key: str) -> tuple[int, ...]:
        """Take back a record of this event that is corrected within it; gives what it would have replaced."""
        if (kind, key) not in self.drafted:
            return ()
        self.drafted.remove((kind, key))
        taken = [draft for draft in self.drafts if (draft.type, draft.key) == (kind, key)]
        self.drafts = [draft for draft in self.drafts if (draft.type, draft.key) != (kind, key)]
        return tuple(seq for draft in taken for seq in draft.replaces)

    def decide(self, name: str, value: str, evidence: str) -> None:
        """Ask for a decision to be journaled; it holds once the fold reads it back."""
        if name not in self.state.decisions and all(decision.name != name for decision in self.decisions):
            self.decisions.append(Decision(name=name, value=value, evidence=evidence))

    def open_gap(self, cause: str, *, lasting: bool = False) -> None:
        """Open a gap at this moment, or add the cause to the one that covers it."""
        gap = open_gap(
            self.state.coverage,
            cause,
            now_ms=self.exchange_ms,
            now_us=self.event.at_us,
            lags_ms=self.lags_ms,
            lasting=lasting,
        )
        if gap is not None:
            self.touch_gaps([gap])

    def touch_gaps(self, gaps: list[Gap]) -> None:
        """Publish the present state of gaps at the end of the turn."""
        for gap in gaps:
            self.gaps[gap.id] = gap
            self.changed = True

    def move_wallet(self, amount: Decimal) -> None:
        """Tell the wallet's comparison that facts moved K by this much."""
        move(self.state.wallet_twins, amount, self.event.at_us, self.settings.settle_window_us)

    def move_quantity(self, key: str, amount: Decimal) -> None:
        """Tell a position's comparison that fills moved K by this much."""
        twins = self.state.quantity_twins.get(key)
        if twins is None:  # the baseline named every position: what it did not name was stated flat
            twins = self.state.quantity_twins[key] = Twins()
            settle_at(twins, ZERO)
        move(twins, amount, self.event.at_us, self.settings.settle_window_us)


def capital_raw(state: State) -> Decimal:
    """Give seed + Σ realised − Σ fees − Σ funding + Σ transfers + Σ other. (account.md §4)"""
    sums = state.sums
    gained = add(add(sums.realized_pnl, sums.transfers), sums.other_income)
    return add(state.seed, sub(gained, add(sums.fees, sums.funding)))


def owns(state: State, symbol: str) -> bool:
    """Say whether a symbol is margined in the account's own asset; a demo account's is VST on -USDT symbols."""
    assert state.settings is not None, "the journal begins with the settings in force"
    quote = symbol.rpartition("-")[2]
    asset = state.settings.margin_asset
    return quote == asset or (asset == "VST" and quote == "USDT")


def tolerance(turn: Turn) -> Decimal:
    """Give R1's tolerance: epsilon grown by what rounded sources leave open."""
    sums = turn.state.sums
    return add(turn.settings.capital_epsilon, sums.slack)


def baseline_second_ms(turn: Turn) -> int:
    """Give the beginning of the baseline's own second, in milliseconds."""
    assert turn.state.baseline is not None, "facts are folded after a baseline"
    return turn.state.baseline.taken_ms // 1_000 * 1_000


def hear_clock(turn: Turn, body: object) -> None:
    """Learn the exchange's clock from a report: it says when, on that clock, it was asked."""
    asked_us, asked_ms = getattr(body, "asked_us", None), getattr(body, "asked_ms", None)
    if asked_us is not None and asked_ms is not None:
        turn.state.offset_ms = asked_ms - asked_us // 1_000
