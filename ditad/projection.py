"""The fold: one event in, the records it leads to out. K and E of one account live here.

What enters: journaled events in their one order. What leaves: `Folded`: numbered records (the snapshot last), and
decisions that are to be journaled before they hold. What holds: no clock, no randomness, no I/O; folding the same
events gives byte-identical records on any machine; an event that changes nothing leads to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ditad import beginnings, booking, bot, cashflows, fills, forced, rounds, statements, trades
from ditad.codec import decode, encode
from ditad.coverage import Gap, GapState, close_by_balance, resume, start
from ditad.divergences import close_divergence
from ditad.events import (
    AccountPush,
    AuditDone,
    BalanceReport,
    BaselineTaken,
    Body,
    BotSettlement,
    BotSlots,
    Decision,
    Event,
    FillsReport,
    IncomeReport,
    LeveragePush,
    Marks,
    Needs,
    OrderPush,
    OrderRecalled,
    OrdersReport,
    PositionSide,
    PositionsReport,
    PushRejected,
    QuestionFailed,
    SettingsInForce,
    StreamChanged,
    StreamState,
    Terms,
    Tick,
)
from ditad.incomes import Incomes
from ditad.kept import Memory
from ditad.moves import note_moves
from ditad.needs import Symbols, needs_of
from ditad.orders import Order
from ditad.records import Record, RecordType, line_of, rfc3339
from ditad.settle import Standing, Twins, settle_at
from ditad.slots import clamp
from ditad.snapshot import gap_body, snapshot_of, valid_until_us
from ditad.state import Figure, Round, State, Stated, Sums
from ditad.turn import Draft, Turn, capital_raw, hear_clock
from ditad.verdict import Verdict, compare

NO_SEAMS: Mapping[int, tuple[int, int]] = MappingProxyType({})

PLACES = {kind: place for place, kind in enumerate(RecordType)}
NAMES = {kind: kind.value for kind in RecordType}

LOST = frozenset({StreamState.LOST, StreamState.SILENT, StreamState.KEY_EXPIRED, StreamState.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What one event led to. `verdict` is `None` when nothing changed.

    `bodies` are what the lines of `records` say, one each, before they were written: for reading alone, since parts that
    did not change are shared with those of later events.
    `archived` are orders put out of memory, by their id: they are to be found again when something of them is heard.
    """

    records: tuple[Record, ...] = ()
    bodies: tuple[Mapping[str, Any], ...] = ()
    decisions: tuple[Decision, ...] = ()
    archived: tuple[tuple[str, bytes], ...] = ()
    verdict: Verdict | None = None


class Projection:
    """The two ledgers of one account, folded from events."""

    def __init__(
        self, account: str, state: State | None = None, *, seams: Mapping[int, tuple[int, int]] = NO_SEAMS
    ) -> None:
        """Begin empty, or where a checkpoint's state stands.

        `seams` are the events before which other versions of the fold have numbered what is stored, each with the last
        `seq` and `event_seq` of it: there the numbers go on from theirs.
        """
        self.account = account
        self._seams = seams
        self.state = state if state is not None else State()
        self._symbols = Symbols()
        self._memory = Memory()
        self._handlers: dict[type[Body], Callable[[Turn, Any], None]] = {
            SettingsInForce: _fold_settings,
            Terms: _fold_terms,
            BaselineTaken: _fold_baseline,
            OrderPush: _after_baseline(fills.fold_order_push),
            AccountPush: _fold_account_push,
            LeveragePush: statements.fold_leverage,
            Marks: statements.fold_marks,
            BalanceReport: _fold_balance,
            PositionsReport: _fold_positions,
            FillsReport: _after_baseline(fills.fold_fills_report),
            OrdersReport: _after_baseline(fills.fold_orders_report),
            IncomeReport: _after_baseline(cashflows.fold_income_report),
            QuestionFailed: rounds.fold_failure,
            AuditDone: rounds.fold_audit,
            StreamChanged: _fold_stream,
            PushRejected: _fold_rejection,
            Tick: _fold_tick,
            Decision: _fold_decision,
            OrderRecalled: _fold_recalled,
            BotSlots: _after_baseline(_fold_bot_slots),
            BotSettlement: _after_baseline(_fold_bot_settlement),
        }

    # ---- checkpoints

    def checkpoint(self) -> bytes:
        """Write the whole state."""
        return encode(self.state)

    @classmethod
    def restored(
        cls, account: str, checkpoint: bytes | None, *, seams: Mapping[int, tuple[int, int]] = NO_SEAMS
    ) -> Projection:
        """Continue from a checkpoint of this fold version (`None`: begin empty)."""
        return cls(account, None if checkpoint is None else decode(State, checkpoint), seams=seams)

    def weight(self) -> int:
        """Say how many things a checkpoint has to write, nearly: the orders and single fills in memory."""
        state = self.state
        return len(state.orders) + sum(len(position.fills) for position in state.positions.values())

    def forget(self) -> None:
        """Keep nothing that could be found anew: what is folded next costs more, and comes to the same."""
        self._memory = Memory()

    # ---- folding

    def fold(self, event: Event) -> Folded:
        """Fold one event; its number must be above the last one's."""
        state = self.state
        assert event.n > state.n, f"event {event.n} after {state.n}: the journal has one order"
        self.cross(event.n)
        state.n = event.n
        state.at_us = event.at_us
        if event.heard_us is not None:
            state.heard_us = event.heard_us
        turn = Turn(state=state, event=event, capital_before=capital_raw(state))
        state.exchange_ms = turn.exchange_ms
        self._handlers[type(event.body)](turn, event.body)
        folded = self._conclude(turn)
        self._symbols.follow(state, event.body, let_go=bool(folded.archived))
        return folded

    def cross(self, n: int) -> None:
        """Go on with the numbers of another version of the fold, where the event `n` comes first behind its records.

        What this one would have numbered otherwise it can name no more: no record of ours replaces one of theirs.
        """
        seam = self._seams.get(n)
        if seam is None:
            return
        state = self.state
        state.seq, state.event_seq = seam
        state.income_numbers.clear()
        for order in state.orders.values():
            order.numbers.clear()
        for trade in state.trades.all():
            trade.seq = None

    def _conclude(self, turn: Turn) -> Folded:
        """Compare what a turn left, and make records of what it led to."""
        state, event = self.state, turn.event
        if state.settings is None:
            return Folded()
        if state.baseline is not None:
            cashflows.hear_ambiguous(turn)
            cashflows.prove_funding(turn)
            cashflows.derive_funding(turn)
            forced.join_forced_closes(turn)
            note_moves(turn)
            trades.follow(turn)
        verdict = compare(turn, self._memory)
        if state.baseline is not None:
            if _close_gaps_by_balance(turn, verdict):
                verdict = compare(turn, self._memory)
            raw = capital_raw(state)
            if verdict.wallet is Standing.SETTLED:  # the statement holds all of K's facts so far
                state.k_at_wallet = raw
            if verdict.settled and state.moves and not state.divergences:
                state.moves = []
            capital = clamp(raw, turn.settings.min_capital, turn.settings.max_capital)
            state.peak = capital if state.peak is None else max(state.peak, capital)
        for gap in turn.gaps.values():
            turn.draft(RecordType.GAP, gap.id, gap_body(gap))
        status = verdict.result.status.value
        if status != state.status:
            state.status = status
            turn.changed = True
        if not turn.changed:
            return Folded(decisions=tuple(turn.decisions), archived=tuple(turn.archived))
        state.event_seq += 1
        snapshot = snapshot_of(state, self.account, event.source_id, verdict, self._memory)
        trades.tell(turn, snapshot.body)
        turn.draft(RecordType.SNAPSHOT, None, snapshot.body, written=snapshot.written)
        drafts = sorted(turn.drafts, key=lambda draft: PLACES[draft.type])
        return Folded(
            records=self._number(event, drafts),
            bodies=tuple([draft.body for draft in drafts]),
            decisions=tuple(turn.decisions),
            archived=tuple(turn.archived),
            verdict=verdict,
        )

    def _number(self, event: Event, drafts: Iterable[Draft]) -> tuple[Record, ...]:
        """Give drafts their numbers, in their order, and write their lines."""
        state = self.state
        records = []
        at = rfc3339(event.at_us)
        for draft in drafts:
            state.seq += 1
            if draft.numbered is not None:
                draft.numbered(state.seq)
            name = NAMES[draft.type]
            told = draft.body if draft.written is None else draft.written
            line = {"seq": state.seq, "type": name, "ts": at, name: told}
            records.append(
                Record(
                    seq=state.seq,
                    n=event.n,
                    type=draft.type,
                    at_us=event.at_us,
                    key=draft.key,
                    replaces=draft.replaces,
                    line=line_of(line),
                )
            )
        return tuple(records)

    # ---- what the outside must know

    def deadline_us(self) -> int | None:
        """Give the moment at which a verdict changes by time alone (`None`: it does not)."""
        return self.state.deadline_us

    def valid_until_us(self, heard_us: int | None) -> int | None:
        """Give until when the published capital holds, if the stream was last heard then."""
        return valid_until_us(self.state, heard_us) if self.state.settings is not None else None

    def may_be_archived(self, order_id: str) -> bool:
        """Say whether an order that is not in memory may have been put out of it: ids rise with their creation."""
        state = self.state
        return order_id not in state.orders and order_id.isdigit() and rounds.rank(order_id) <= state.archived_max

    def needs(self) -> Needs:
        """Say what only the exchange can tell, now."""
        return needs_of(self.state, self._symbols)


def _after_baseline(handler: Callable[[Turn, Any], None]) -> Callable[[Turn, Any], None]:
    """Leave out what happened before this ledger began."""

    def handle(turn: Turn, body: Any) -> None:
        if turn.state.baseline is not None:
            hear_clock(turn, body)
            handler(turn, body)

    return handle


def _fold_bot_slots(turn: Turn, slots: BotSlots) -> None:
    trades.catch_up(turn)
    bot.fold_slots(turn, slots)
    trades.hear_names(turn.state)


def _fold_bot_settlement(turn: Turn, settlement: BotSettlement) -> None:
    trades.catch_up(turn)
    bot.fold_settlement(turn, settlement)


def _fold_settings(turn: Turn, settings: SettingsInForce) -> None:
    turn.state.settings = settings
    turn.changed = True


def _fold_terms(turn: Turn, terms: Terms) -> None:
    state = turn.state
    fills.hear_contracts(turn, terms.contracts)
    if terms.fee_rates:
        state.fee_rates = terms.fee_rates
    if terms.hedge_mode is not None:
        state.one_way = state.one_way and not terms.hedge_mode
        fills.hear_mode(turn, () if terms.hedge_mode else {PositionSide.BOTH})
    for push in terms.leverages:
        state.leverages[push.symbol] = push
    state.notes = terms.notes
    turn.changed = True


def _fold_baseline(turn: Turn, baseline: BaselineTaken) -> None:
    """Begin the ledger here: sums at 0, positions and wallet as stated, covered orders never facts."""
    state = turn.state
    kept = list(state.incomes.heard) if baseline.adopted_by is not None else []
    covered = {order.order_id: order for order in state.orders.values()} if baseline.adopted_by is not None else {}
    state.baseline, state.baseline_us = baseline, turn.event.at_us
    state.offset_ms = baseline.taken_ms - turn.event.at_us // 1_000 if state.offset_ms is None else state.offset_ms
    own_seed = turn.settings.seed_capital if baseline.adopted_by is None else None
    state.seed = baseline.wallet if own_seed is None else own_seed
    state.sums, state.peak = Sums(), None
    state.positions, state.orders = {}, {}
    state.unknown, state.untold, state.derived = {}, {}, {}
    state.forced, state.forced_rows = [], []
    state.incomes = Incomes(heard=dict.fromkeys(kept, baseline.taken_ms))
    state.income_numbers, state.ambiguous, state.witnesses = {}, [], {}
    state.incomplete, state.contradicted = {}, {}
    state.funding_differences, state.income_differences = {}, {}
    state.inquiries, state.round, state.margin, state.profit_off = {}, Round(), None, None
    state.moves, state.lasting = [], {}
    state.stated = Stated(
        wallet=Figure(value=baseline.wallet, event_ms=baseline.taken_ms, at_us=turn.event.at_us, source="report"),
        positions_us=turn.event.at_us,
        balance_asked_us=turn.event.at_us,
        balance_asked_ms=baseline.taken_ms,
        positions_asked_us=turn.event.at_us,
        positions_asked_ms=baseline.taken_ms,
    )
    state.wallet_twins, state.quantity_twins = Twins(), {}
    settle_at(state.wallet_twins, baseline.wallet)
    state.k_at_wallet = state.seed
    for row in baseline.positions:
        beginnings.open_position(turn, row)
    for row in statements.together(baseline.positions):
        key = booking.position_key(turn, row.symbol, row.side)
        if key in state.positions:
            stated = statements.stated_row(turn, row, baseline.taken_ms)
            state.stated.positions[key] = stated
            state.quantity_twins[key] = Twins()
            settle_at(state.quantity_twins[key], stated.quantity)
    for order in baseline.orders:
        beginnings.cover(turn, order)
    for order_id, known in covered.items():
        if order_id not in state.orders and known.known:
            beginnings.cover_known(turn, known)
    trades.rebase(turn)
    bot.rebase(turn)
    turn.touch_gaps(_abandon(turn))
    start(state.coverage, baseline.taken_ms)
    if not state.streaming:
        turn.open_gap("no living stream at the baseline", lasting=True)
    for name in list(state.divergences):
        close_divergence(turn, name, turn.event.source_id, as_state="adopted")
    turn.changed = True


def _abandon(turn: Turn) -> list[Gap]:
    """End open gaps at a re-baseline: they lie before the ledger that begins here, and nobody asks about them more."""
    gaps = list(turn.state.coverage.gaps)
    for gap in gaps:
        gap.state, gap.by, gap.at_us = GapState.FINAL, "adopt", turn.event.at_us
        gap.to_ms = turn.exchange_ms if gap.to_ms is None else gap.to_ms
    return gaps


def _fold_account_push(turn: Turn, push: AccountPush) -> None:
    state = turn.state
    fills.hear_mode(turn, {line.position_side for line in push.positions})
    if state.baseline is None:
        return
    if push.event_ms > state.baseline.taken_ms:
        cashflows.fold_account_incomes(turn, push)
    statements.fold_account_push(turn, push)


def _fold_balance(turn: Turn, report: BalanceReport) -> None:
    hear_clock(turn, report)
    if turn.state.baseline is not None:
        statements.fold_balance_report(turn, report)


def _fold_positions(turn: Turn, report: PositionsReport) -> None:
    hear_clock(turn, report)
    if turn.state.baseline is not None:
        statements.fold_positions_report(turn, report)


def _fold_recalled(turn: Turn, recalled: OrderRecalled) -> None:
    """Take an order back into memory, before what was heard of it is folded."""
    state = turn.state
    order = decode(Order, recalled.record.encode())
    if order.heard_us < state.baseline_us:  # put away before this ledger began: all of it is covered
        beginnings.cover_known(turn, order)
    else:
        state.orders.setdefault(recalled.order_id, order)


def _close_gaps_by_balance(turn: Turn, verdict: Verdict) -> bool:
    """Close provisionally what ended before the last balance and positions reports, if those equal K."""
    state = turn.state
    if not verdict.settled or not state.coverage.gaps or state.inquiries:
        return False
    asked_ms = min(state.stated.balance_asked_ms, state.stated.positions_asked_ms)
    closed = close_by_balance(state.coverage, asked_ms, turn.event.at_us)
    turn.touch_gaps(closed)
    return bool(closed)


def _fold_stream(turn: Turn, change: StreamChanged) -> None:
    state = turn.state
    body: dict[str, object] = {"state": change.state.value, "detail": change.detail}
    turn.draft(RecordType.STREAM, None, body)
    if change.at_ms is not None:  # the clocks may have moved apart while nobody measured them
        state.offset_ms = change.at_ms - turn.event.at_us // 1_000
    if change.state is StreamState.CONNECTED:
        state.streaming, state.connected_us = True, turn.event.at_us
        turn.touch_gaps(resume(state.coverage, turn.exchange_ms))
    elif change.state in LOST:
        state.streaming = False
        if state.baseline is not None:
            turn.open_gap(f"{change.state.value}: {change.detail}", lasting=True)
    elif change.state is StreamState.KEY_ISSUED and state.streaming and state.baseline is not None:
        # Within an outage a new key is the repair; of a living stream nothing but a question proves the seam.
        turn.open_gap(f"{change.state.value}: {change.detail}")


def _fold_rejection(turn: Turn, rejection: PushRejected) -> None:
    state = turn.state
    state.rejected += 1
    turn.draft(
        RecordType.REJECTED,
        None,
        {
            "source": rejection.source,
            "reason": rejection.reason,
            "money": rejection.money,
            "excerpt": rejection.excerpt,
        },
    )
    if rejection.money and state.baseline is not None:
        turn.open_gap(f"rejected: {rejection.reason}")


def _fold_tick(turn: Turn, tick: Tick) -> None:  # noqa: ARG001 - time is the event's own
    """Let time pass: a verdict may change by that alone. It has a commit of its own, so that orders may be let go."""
    rounds.relieve(turn)
    if turn.state.deadline_us is not None and turn.event.at_us >= turn.state.deadline_us:
        turn.changed = True


def _fold_decision(turn: Turn, decision: Decision) -> None:
    """Let a decision hold, and read again what waited for it."""
    state = turn.state
    state.decisions[decision.name] = decision.value
    turn.changed = True
    for order_id in list(state.incomplete):
        booking.lay(turn, state.orders[order_id])
