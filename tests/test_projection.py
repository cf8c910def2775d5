"""The fold: its laws as properties over made-up accounts, checkpoints, gaps, baselines, what it wants to be told.

All payloads are synthetic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ditad import rounds
from ditad.candidates import witnessed
from ditad.codec import decode, encode
from ditad.events import (
    AccountPush,
    AuditDone,
    BalanceLine,
    BaselineTaken,
    Body,
    BotSettlement,
    CoveredOrder,
    Event,
    FillsReport,
    LeveragePush,
    Mark,
    Marks,
    OrderPush,
    OrderRecalled,
    OrderStatus,
    PositionLine,
    PositionRow,
    PositionSide,
    PushRejected,
    Question,
    Side,
    StreamChanged,
    StreamState,
    Terms,
    Tick,
)
from ditad.money import ZERO
from ditad.orders import created_ms
from ditad.projection import Projection
from ditad.records import RecordType, rfc3339_ms
from ditad.state import State
from tests.support.reading import at, audit, lines_of, snapshots, state_bytes
from tests.support.story import ALL_QUESTIONS, Story, order_id_at

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
D = Decimal
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# ---- a small account that keeps exact books of its own ------------------------------------------------------------------


@dataclass
class Held:
    """A position of the made-up account."""

    quantity: Decimal = ZERO
    entry: Decimal = ZERO


class Account:
    """An exchange account with exact books, and the frames it sends; each trade is one order of one execution."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.wallet = D(1000)
        self.held = {side: Held() for side in (LONG, SHORT)}
        self.ms = story.ms
        self.count = 0
        self.frames: list[list[Body]] = []

    def trade(self, side: PositionSide, ticks: int, lots: int, *, close: bool) -> None:
        """Open, or close as much as is there."""
        held = self.held[side]
        quantity = D(lots) / 10
        if close:
            quantity = min(quantity, held.quantity)
        if not quantity:
            return
        price = D(ticks) / 10
        sign = 1 if side is LONG else -1
        profit = D(0)
        if close:
            profit = ((price - held.entry) * quantity * sign).quantize(D("1e-8"))
            held.quantity -= quantity
        else:
            held.entry = (held.entry * held.quantity + price * quantity) / (held.quantity + quantity)
            held.quantity += quantity
        fee = (price * quantity * D("0.0005")).quantize(D("1e-8"), rounding=ROUND_DOWN)
        self.wallet += profit - fee
        self.ms += 1
        self.count += 1
        order = OrderPush(
            name="ORDER_TRADE_UPDATE",
            order_id=order_id_at(self.ms, self.count),
            symbol="BTC-USDT",
            side=Side.BUY if (side is LONG) != close else Side.SELL,
            position_side=side,
            order_type="MARKET",
            status=OrderStatus.FILLED,
            quantity=quantity,
            filled=quantity,
            average_price=price.quantize(D("1e-8")),
            last_quantity=None,
            last_price=None,
            fee=fee,
            fee_asset="USDT",
            realized_pnl=profit,
            trade_id=None,
            event_ms=self.ms,
            trade_ms=self.ms,
            client_order_id=None,
        )
        line = PositionLine(
            symbol="BTC-USDT",
            position_side=side,
            amount=held.quantity,
            entry_price=held.entry.quantize(D("1e-8")),
            unrealized_pnl=None,
            margin_type="cross",
        )
        account = self._account("ORDER", D(0), (line,))
        self.frames.append([order, replace(order, name="TRADE_UPDATE"), account])

    def pay(self, reason: str, cents: int) -> None:
        """Pay funding or move money, out (negative) or in."""
        if not cents:
            return
        self.wallet += D(cents) / 100
        self.ms += 1
        self.frames.append([self._account(reason, D(cents) / 100, ())])

    def _account(self, reason: str, change: Decimal, positions: tuple[PositionLine, ...]) -> AccountPush:
        return AccountPush(
            reason=reason,
            event_ms=self.ms,
            balances=(BalanceLine(asset="USDT", wallet=self.wallet, change=change),),
            positions=positions,
        )


TRADES = st.tuples(st.sampled_from([LONG, SHORT]), st.integers(900, 1100), st.integers(1, 50), st.booleans())
PAYMENTS = st.tuples(st.sampled_from(["DEPOSIT", "WITHDRAW", "FUNDING_FEE"]), st.integers(-500, 500))


def lived(acts: list[Any]) -> tuple[Story, Account]:
    """Let an account live, without telling anybody yet."""
    story = Story()
    account = Account(story)
    for act in acts:
        if len(act) == 4:
            account.trade(*act[:3], close=act[3])
        else:
            account.pay(*act)
    story.us = (account.ms + 50) * 1_000
    return story, account


def agrees(story: Story, account: Account) -> bool:
    """Say whether K equals the account's own books to the last digit."""
    open_now = {side.value: held for side, held in account.held.items() if held.quantity}
    shown = {row["side"]: row for row in at(story.snap, "k.positions")}
    return (
        D(str(story.k["capital_raw"])) == account.wallet
        and shown.keys() == open_now.keys()
        and all(D(shown[side]["qty"]) == held.quantity for side, held in open_now.items())
        and all(abs(D(shown[side]["entry_price"]) - held.entry) < D("1e-17") for side, held in open_now.items())
    )


@quick
@given(st.lists(st.one_of(TRADES, PAYMENTS), min_size=1, max_size=12))
def test_told_in_order_k_equals_the_accounts_own_books(acts: list[Any]) -> None:
    """Every frame as it came: OK at the end, K equal to the last digit, and never a divergence on the way."""
    story, account = lived(acts)
    for frames in account.frames:
        for frame in frames:
            story.tell(frame)
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(100), event_ms=0),)))
    assert agrees(story, account)
    assert ("OK", []) == (story.status, story.of_type("divergence"))


@quick
@given(st.lists(TRADES, min_size=1, max_size=5), st.data())
def test_shuffled_and_repeated_within_the_window_the_same_k_and_never_an_error(acts: list[Any], data: Any) -> None:
    """Any order of arrival, any frame twice: the same K, no ERROR and no divergence inside the settle window."""
    story, account = lived(acts)
    frames = [frame for frames in account.frames for frame in frames]
    again = data.draw(st.lists(st.sampled_from(frames), max_size=5)) if frames else []
    for frame in data.draw(st.permutations([*frames, *again])):
        story.tell(frame)
    story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(100), event_ms=0),)))
    assert agrees(story, account)
    assert "OK" == story.status
    assert all(at(snap, "reconcile.status") != "ERROR" for snap in snapshots(story))
    assert [] == story.of_type("divergence")


# ---- laws over anything that can happen -------------------------------------------------------------------------------


def anything(story: Story, act: int, amount: int) -> None:
    """Tell one of the things that can happen, good or bad."""
    fee = "0.05" if amount % 5 else None
    match act:
        case 0:
            story.order(z="1", ap="100.00000000", fee=fee)
        case 1:
            story.order(side=Side.SELL, ps=SHORT, z="2", ap="101.00000000", fee="0.101")
        case 2:
            story.order(side=Side.SELL, z="1", ap="102.00000000", fee="0.051", rp="2")
        case 3:
            story.account(str(1000 + amount), ("BTC-USDT", LONG, str(abs(amount) % 3), "100"))
        case 4:
            story.account(str(1000 + amount), reason="FUNDING_FEE", change=str(amount % 3))
        case 5:
            story.account(str(1000 + amount), reason="DEPOSIT", change=str(amount))
        case 6:
            story.tell(StreamChanged(state=StreamState.LOST, detail="x", at_ms=None))
        case 7:
            story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
        case 8:
            audit(story, str(1000 + amount), *(story.position_row(str(amount % 3 + 1), "100", mark="99"),))
        case 9:
            story.failed(Question.FILLS)
            story.audit_done(failed=("fills",))
        case 10:
            story.tell(PushRejected(source="private", reason="r", money=amount > 0, excerpt=""))
        case 11:
            story.tell(Marks(marks=(Mark(symbol="BTC-USDT", price=D(100 + amount % 7), event_ms=0),)))
        case 12:
            story.pass_s(amount % 5 + 1)
            story.tell(Tick(due_us=story.us))
        case 13:
            story.income(story.income_row(str(amount), "TRANSFER", str(amount), symbol="BTC-USDT"))
        case 14:
            order = story.order(status=OrderStatus.PARTIALLY_FILLED, q="3", z="1", ap="100.00000000", fee="0.05")
            story.order(order, z="3", ap="100.00000000", fee="0.1" if amount % 2 else "0.15")
        case _:
            story.tell(
                BaselineTaken(
                    baseline_id=f"b{story.n}",
                    taken_ms=story.ms,
                    wallet=D(1000),
                    positions=(story.position_row("1", "100"),) if amount % 2 else (),
                    orders=(),
                    adopted_by=0,
                    why="w",
                )
            )


HAPPENINGS = st.lists(st.tuples(st.integers(0, 15), st.integers(-9, 9)), max_size=25)


def happened(acts: list[tuple[int, int]], **options: Any) -> Story:
    """Tell all of it."""
    story = Story(**options)
    for act, amount in acts:
        anything(story, act, amount)
    return story


@quick
@given(HAPPENINGS)
def test_the_same_events_lead_to_the_same_bytes(acts: list[tuple[int, int]]) -> None:
    """No clock, no randomness: folding again gives byte-identical records."""
    story = happened(acts)
    assert lines_of(story.events) == lines_of(story.events)
    assert [orjson.loads(line) for line in lines_of(story.events)] == story.records


@quick
@given(HAPPENINGS, st.data())
def test_a_checkpoint_anywhere_continues_as_if_nothing_had_been(acts: list[tuple[int, int]], data: Any) -> None:
    """Byte-identical records after it, and a state that reads back equal."""
    story = happened(acts)
    cut = data.draw(st.integers(0, len(story.events)))
    first = Projection("main")
    before = lines_of(story.events[:cut], first)
    restored = Projection.restored("main", first.checkpoint())
    assert first.state == decode(State, encode(first.state))
    assert lines_of(story.events) == before + lines_of(story.events[cut:], restored)
    assert state_bytes(restored) == state_bytes(story.projection)


@quick
@given(HAPPENINGS)
def test_nothing_doubtful_is_usable(acts: list[tuple[int, int]]) -> None:
    """No snapshot is usable while a gap is open, or with status ERROR or UNKNOWN, or from a disputed source."""
    for snap in snapshots(happened(acts)):
        if at(snap, "published.usable"):
            assert [] == at(snap, "coverage.gaps")
            assert at(snap, "reconcile.status") in {"OK", "WARN"}
            assert at(snap, "published.source") in {"e_anchored", "k_bridged"}


@quick
@given(HAPPENINGS)
def test_capital_is_always_seed_plus_sums(acts: list[tuple[int, int]]) -> None:
    """account.md §4's equation in every snapshot, and `equity` and the clamp with it."""
    story = happened(acts, seed_capital=D("123.45"), max_capital=D(150))
    seed = D("123.45")
    for snap in snapshots(story):
        if snap["baseline"] is None:
            continue
        if at(snap, "baseline.id") != "b1":
            seed = D(at(snap, "baseline.wallet"))
        k = {name: D(value) for name, value in at(snap, "k").items() if isinstance(value, str)}
        sums = k["realized_pnl"] - k["fees_paid"] - k["funding_paid"] + k["transfers"] + k["other_income"]
        assert seed + sums == k["capital_raw"]
        assert min(D(150), max(D(0), k["capital_raw"])) == k["capital"]
        if "equity" in k:
            assert k["capital"] + k["unrealized_pnl"] == k["equity"]


@quick
@given(HAPPENINGS)
def test_records_are_numbered_without_holes_and_stand_in_order(acts: list[tuple[int, int]]) -> None:
    """`seq` from 1 without holes, `event_seq` likewise; one event's records in the contract's order, one snapshot last."""
    story = happened(acts)
    fold = Projection("main")
    seqs: list[int] = []
    for event in story.events:
        records = fold.fold(event).records
        kinds = [record.type for record in records]
        assert sorted(kinds, key=list(RecordType).index) == kinds
        assert [RecordType.SNAPSHOT] * bool(kinds) == kinds[-1:]
        assert int(bool(kinds)) == kinds.count(RecordType.SNAPSHOT)
        seqs += [record.seq for record in records]
    assert [*range(1, len(seqs) + 1)] == seqs
    event_seqs = [at(snap, "event_seq") for snap in snapshots(story)]
    assert [*range(1, len(event_seqs) + 1)] == event_seqs


@quick
@given(HAPPENINGS)
def test_a_status_says_no_better_than_its_parts(acts: list[tuple[int, int]]) -> None:
    """OK has nothing to explain but rounding; an open gap is never OK or WARN; what is unknown is never OK."""
    for snap in snapshots(happened(acts)):
        status = at(snap, "reconcile.status")
        if at(snap, "coverage.gaps") or at(snap, "k.unknown") or snap["baseline"] is None:
            assert status in {"ERROR", "UNKNOWN"}
        if status == "OK":
            lines = at(snap, "reconcile.explanations")
            assert [] == [line for line in lines if not line.startswith("ENTRY_ROUNDING")]


# ---- one event at a time ----------------------------------------------------------------------------------------------


def test_an_event_out_of_order_is_our_own_fault() -> None:
    """The journal has one order: the same number twice is an assertion."""
    story = Story()
    with pytest.raises(AssertionError, match="one order"):
        story.projection.fold(story.events[-1])


def test_before_the_settings_nothing_is_published() -> None:
    """They are the first event of every journal; what comes before them leads to nothing."""
    fold = Projection("main")
    body = StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None)
    folded = fold.fold(Event(n=1, at_us=1, heard_us=None, body=body))
    assert ((), None, None) == (folded.records, folded.verdict, fold.valid_until_us(1))
    assert fold.needs().baseline


def test_what_changes_nothing_leads_to_nothing() -> None:
    """A tick before any deadline, and a settlement that was heard before, make no record."""
    story = Story()
    story.tell(BotSettlement(settlement_id="s", realized_pnl=D(1), fees=D(0), uid=0))
    before = len(story.records)
    story.tell(Tick(due_us=1))
    story.tell(BotSettlement(settlement_id="s", realized_pnl=D(1), fees=D(0), uid=0))
    assert before == len(story.records)


def test_a_tick_at_the_deadline_changes_the_verdict_by_time_alone() -> None:
    """The fold named the moment itself; before it nothing changes, and after it nothing waits."""
    story = Story()
    story.account("995")
    story.tell(Tick(due_us=story.us))
    assert "UNSETTLED" in str(at(story.snap, "reconcile.explanations"))
    story.tick()
    assert "CONFIRMING" in str(at(story.snap, "reconcile.explanations"))
    assert None is story.projection.deadline_us()


@pytest.mark.parametrize(
    "body",
    [
        LeveragePush(symbol="BTC-USDT", long=D(5), short=D(5), margin_type=None, event_ms=0),
        Marks(marks=(Mark(symbol="BTC-USDT", price=D(5), event_ms=0),)),
    ],
    ids=["leverage", "marks"],
)
def test_what_is_heard_before_a_baseline_counts_after_it(body: Body) -> None:
    """Leverage and marks are no facts of a ledger."""
    story = Story(baseline=False)
    story.tell(body)
    state = story.projection.state
    assert state.leverages or state.marks


def test_terms_tell_leverages_contracts_and_what_is_degraded() -> None:
    """Asked at each start; notes are shown, and a leverage counts until a push tells another."""
    story = Story(positions=(Story(baseline=False).position_row("1", "100", mark="100"),))
    terms = story.events[1].body
    assert isinstance(terms, Terms)
    push = LeveragePush(symbol="BTC-USDT", long=D(4), short=D(4), margin_type=None, event_ms=0)
    story.tell(replace(terms, leverages=(push,), notes=("may not ask for fee rates",)))
    assert ("4", "25", ["may not ask for fee rates"]) == (
        at(story.snap, "k.positions.0.leverage"),
        story.k["used_margin"],
        at(story.snap, "coverage.notes"),
    )


def test_facts_statements_and_losses_before_a_baseline_are_left_out() -> None:
    """The ledger begins with it: nothing before is a fact, a statement or a gap."""
    story = Story(baseline=False)
    story.order(z="1", ap="100.00000000", fee="0.05")
    story.account("5", ("BTC-USDT", LONG, "1", "100"))
    audit(story, "5", story.position_row("1", "100"))
    story.tell(StreamChanged(state=StreamState.LOST, detail="", at_ms=None))
    story.tell(PushRejected(source="private", reason="r", money=True, excerpt=""))
    assert ([], [], [], [], None) == (
        story.of_type("fill"),
        story.of_type("gap"),
        at(story.snap, "k.positions"),
        at(story.snap, "e.positions"),
        at(story.snap, "e.wallet_balance"),
    )


def test_without_a_heard_frame_the_last_one_counts() -> None:
    """`heard_us` None leaves what was heard before."""
    story = Story()
    event = Event(n=story.n + 1, at_us=story.us + 1, heard_us=None, body=Marks(marks=()))
    before = story.projection.state.heard_us
    story.projection.fold(event)
    assert before == story.projection.state.heard_us


# ---- gaps -------------------------------------------------------------------------------------------------------------


def cut_off(story: Story) -> None:
    """Lose the stream and find it again."""
    story.tell(StreamChanged(state=StreamState.LOST, detail="x", at_ms=None))
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))


@pytest.mark.parametrize("state", [StreamState.LOST, StreamState.SILENT, StreamState.KEY_EXPIRED, StreamState.REFUSED])
def test_every_loss_of_the_stream_opens_a_gap_at_once(state: StreamState) -> None:
    """Not at the reconnect; what is lost already only adds its cause."""
    story = Story()
    story.tell(StreamChanged(state=state, detail="why", at_ms=None))
    story.tell(StreamChanged(state=StreamState.LOST, detail="again", at_ms=None))
    assert [[f"{state.value}: why", "lost: again"]] == [gap["causes"] for gap in at(story.snap, "coverage.gaps")]


def test_a_gap_ends_on_the_clock_that_the_stream_tells() -> None:
    """While the daemon was off the machine's clock was put back by a minute: the exchange's goes on."""
    story = Story()
    story.tell(StreamChanged(state=StreamState.LOST, detail="start", at_ms=None))
    back_ms = story.ms + 3_600_000
    story.pass_s(3_540)
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=back_ms))
    (gap,) = at(story.snap, "coverage.gaps")
    assert rfc3339_ms(back_ms) == gap["to"]


def test_a_new_key_of_a_living_stream_is_a_gap_that_one_report_closes() -> None:
    """The sockets overlap and nothing should be missing; a report that equals K says that nothing is."""
    story = Story()
    story.tell(StreamChanged(state=StreamState.KEY_ISSUED, detail="a new listen key", at_ms=None))
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    (gap,) = at(story.snap, "coverage.gaps")
    assert ("gap", "open", ["key_issued: a new listen key"]) == (
        at(story.snap, "coverage.state"),
        gap["state"],
        gap["causes"],
    )
    assert story.us == story.projection.needs().statements_after_us
    story.positions()
    story.balance("1000")
    assert ("live", []) == (at(story.snap, "coverage.state"), at(story.snap, "coverage.gaps"))


def test_a_new_key_within_an_outage_is_no_further_cause() -> None:
    """It is the repair; and before the baseline there is no ledger that could have a gap."""
    story = Story(baseline=False)
    story.tell(StreamChanged(state=StreamState.KEY_ISSUED, detail="", at_ms=None))
    assert at(story.snap, "coverage.gaps") == []
    story = Story()
    story.tell(StreamChanged(state=StreamState.LOST, detail="cut", at_ms=None))
    story.tell(StreamChanged(state=StreamState.KEY_ISSUED, detail="", at_ms=None))
    assert [["lost: cut"]] == [gap["causes"] for gap in at(story.snap, "coverage.gaps")]


def test_a_baseline_without_a_living_stream_begins_in_a_gap() -> None:
    """What happens meanwhile nobody hears."""
    story = Story(baseline=False)
    story.tell(StreamChanged(state=StreamState.LOST, detail="", at_ms=None))
    story.tell(
        BaselineTaken(
            baseline_id="b1", taken_ms=story.ms, wallet=D(1), positions=(), orders=(), adopted_by=None, why=None
        )
    )
    assert ("stale", 1) == (at(story.snap, "coverage.state"), len(at(story.snap, "coverage.gaps")))


def test_a_rejected_frame_without_money_opens_no_gap() -> None:
    """It is counted and visible, and that is all."""
    story = Story()
    story.tell(PushRejected(source="private", reason="unknown event X", money=False, excerpt=""))
    assert ("OK", 1, []) == (story.status, at(story.snap, "coverage.rejected"), at(story.snap, "coverage.gaps"))
    assert {"source", "reason", "money", "excerpt"} == set(story.of_type("rejected")[0])


def test_a_gap_becomes_final_when_the_watermarks_of_all_kinds_pass_it() -> None:
    """An empty answer proves it too; fills after 5 s, income after 150 s."""
    story = Story()
    cut_off(story)
    audit(story, "1000", after_s=10)
    audit(story, "1000", after_s=200)
    assert ["open", "open", "provisional", "provisional", "final"] == [body["state"] for body in story.of_type("gap")]


def test_a_failed_question_closes_no_gap() -> None:
    """Nothing is known from it: neither fills nor, with no symbol to ask about, the reports stand for an answer."""
    story = Story()
    cut_off(story)
    story.pass_s(20)
    story.failed(Question.BALANCE)
    story.failed(Question.POSITIONS)
    story.audit_done(failed=("balance", "positions"))
    assert {} == at(story.snap, "coverage.gaps.0.closed")


@pytest.mark.parametrize(
    "questions", [(Question.FILLS,), (Question.BALANCE, Question.POSITIONS)], ids=["not asked", "asked"]
)
def test_without_a_symbol_the_reports_stand_for_the_fills(questions: tuple[Question, ...]) -> None:
    """An account that has to do with no symbol has no fills to ask about, if balance and positions were answered."""
    story = Story()
    cut_off(story)
    story.pass_s(20)
    if len(questions) > 1:
        story.balance("999")
        story.positions()
    story.audit_done(questions=questions)
    assert (len(questions) > 1) == ("fills" in at(story.snap, "coverage.gaps.0.closed"))


def test_fills_are_answered_only_over_the_whole_span_for_every_symbol() -> None:
    """A missing symbol, a span that begins too late or a failed part moves no watermark."""
    story = Story(positions=(Story(baseline=False).position_row("1", "100"),))
    begin_ms = story.projection.state.coverage.fills_ms

    def asked(from_ms: int) -> FillsReport:
        return FillsReport(
            symbol="BTC-USDT",
            order_id=None,
            from_ms=from_ms,
            to_ms=story.ms,
            asked_us=story.us,
            asked_ms=story.ms,
            rows=(),
        )

    story.pass_s(10)
    story.audit_done()
    story.tell(asked(begin_ms + 1))
    story.audit_done()
    story.fills()
    story.failed(Question.FILLS)
    story.audit_done()
    assert begin_ms == story.projection.state.coverage.fills_ms
    story.tell(asked(begin_ms + 5_000))
    story.tell(asked(begin_ms))
    story.tell(asked(begin_ms + 5_000))
    story.audit_done()
    assert begin_ms < story.projection.state.coverage.fills_ms


def test_income_is_answered_only_from_the_watermark_on() -> None:
    """A span that begins too late, or a failed part, moves nothing."""
    story = Story()
    begin_ms = story.projection.state.coverage.income_ms
    story.pass_s(10)
    story.income(from_ms=begin_ms + 1)
    story.audit_done()
    story.income()
    story.failed(Question.INCOME)
    story.audit_done()
    assert begin_ms == story.projection.state.coverage.income_ms
    story.income()
    story.audit_done()
    assert begin_ms < story.projection.state.coverage.income_ms


def long_outage(story: Story, days: int, wallet: str) -> None:
    """Lose the stream for some days; then one whole round, over what the exchange still keeps."""
    story.tell(StreamChanged(state=StreamState.LOST, detail="off", at_ms=None))
    story.pass_s(days * 86_400)
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    story.pass_s(200)
    asked_us = story.us
    story.balance(wallet)
    story.positions(story.position_row("1", "100", mark="100"))
    story.fills(from_ms=story.ms - 30 * 86_400_000 + 600_000)
    story.income(from_ms=story.ms - 90 * 86_400_000 + 600_000)
    story.audit_done(asked_us=asked_us)


def test_a_gap_beyond_what_the_exchange_keeps_is_shown_until_a_new_baseline() -> None:
    """40 days off, and the reports equal K: OK again, covered only up to the outage, the gap said to be unclosable."""
    story = Story(positions=(Story(baseline=False).position_row("1", "100"),))
    covered = at(story.snap, "coverage.covered_through")
    long_outage(story, 40, "1000")
    shown = at(story.snap, "coverage.gaps.0")
    assert ("OK", "live", covered, "unclosable", "balance+fill_history", ["fills"]) == (
        story.status,
        at(story.snap, "coverage.state"),
        at(story.snap, "coverage.covered_through"),
        shown["state"],
        shown["by"].removesuffix("+income"),
        list(shown["beyond"]),
    )
    assert story.projection.needs().facts_after_us is None
    adopt(story, "1000", story.position_row("1", "100"))
    assert ([], "final") == (at(story.snap, "coverage.gaps"), story.of_type("gap")[-1]["state"])


def test_a_loss_beyond_what_the_exchange_keeps_is_an_error_and_no_longer_a_question() -> None:
    """The wallet lacks 7 that no question can explain any more: ERROR, and the gap stays open to the eye."""
    story = Story(positions=(Story(baseline=False).position_row("1", "100"),))
    long_outage(story, 40, "993")
    for _ in range(2):
        audit(story, "993", story.position_row("1", "100", mark="100"))
    assert ("ERROR", "7", "unclosable", "gap") == (
        story.status,
        story.delta("capital_vs_wallet"),
        at(story.snap, "coverage.gaps.0.state"),
        at(story.snap, "coverage.state").replace("backfilling", "gap"),
    )


def test_where_neither_kind_is_answered_the_balance_report_closes_alone() -> None:
    """A key that may ask for nothing else still proves that nothing is missing."""
    story = Story()
    for question in (Question.ORDER, Question.INCOME):
        story.failed(question, "no permission", unavailable=True)
    cut_off(story)
    story.pass_s(1)
    story.balance("1000")
    story.positions()
    assert ("final", "balance") == tuple(story.of_type("gap")[-1][name] for name in ("state", "by"))


# ---- baselines --------------------------------------------------------------------------------------------------------


def adopt(story: Story, wallet: str, *positions: PositionRow, orders: tuple[CoveredOrder, ...] = ()) -> None:
    """Accept E as the new baseline."""
    story.pass_s(1)
    story.tell(
        BaselineTaken(
            baseline_id="b2",
            taken_ms=story.ms,
            wallet=D(wallet),
            positions=positions,
            orders=orders,
            adopted_by=0,
            why="told so",
        )
    )


def test_an_adopted_baseline_begins_with_sums_of_zero() -> None:
    """A new id, E's wallet and positions, and divergences end as adopted."""
    story = Story()
    story.order(z="1", ap="100.00000000", fee="0.05")
    story.account("900", ("BTC-USDT", LONG, "2", "100"))
    story.tick()
    adopt(story, "900", story.position_row("2", "100"))
    assert ("OK", "b2", "900", "0", "0", "2") == (
        story.status,
        at(story.snap, "baseline.id"),
        story.k["capital_raw"],
        story.k["fees_paid"],
        story.k["realized_pnl"],
        at(story.snap, "k.positions.0.qty"),
    )
    last = {body["id"]: body["state"] for body in story.of_type("divergence")}
    assert {"adopted"} == set(last.values())


def test_an_adopted_baseline_keeps_what_was_covered() -> None:
    """A fill and a transfer of the old ledger, heard again, are no facts of the new one; growth beyond it is."""
    story = Story(partial_amounts="per_fill")
    order_id = story.order(z="1", ap="100.00000000", fee="0.05", status=OrderStatus.PARTIALLY_FILLED, q="3")
    quiet = story.order(status=OrderStatus.NEW, z="0", q="1", fee=None, rp=None)
    story.pass_s(300)
    row = story.income_row("77", "TRANSFER", "5")
    story.income(row)
    adopt(story, "1004.95", story.position_row("1", "100"))
    story.order(order_id, z="1", ap="100.00000000", fee="0.05", status=OrderStatus.PARTIALLY_FILLED, q="3")
    story.income(replace(row, at_ms=story.ms + 5_000))
    story.account("1004.95")
    assert ("0", "0", "OK") == (story.k["fees_paid"], story.k["transfers"], story.status)
    story.order(order_id, z="3", ap="100.00000000", fee="0.1", last=("2", "100"))
    assert ("0.1", [("1", "3")]) == (
        story.k["fees_paid"],
        [(fill["z0"], fill["z1"]) for fill in story.of_type("fill")][-1:],
    )
    assert quiet not in story.projection.state.orders


def test_an_adopted_baselines_own_word_about_an_order_counts() -> None:
    """What it lists as covered is not taken from the old ledger."""
    story = Story()
    order_id = story.order(z="1", ap="100.00000000", fee="0.05", status=OrderStatus.PARTIALLY_FILLED, q="3")
    covered = CoveredOrder(order_id=order_id, symbol="BTC-USDT", executed=D(2), average_price=D("100.00000000"))
    adopt(story, "999.9", orders=(covered,))
    assert D(2) == story.projection.state.orders[order_id].opening


def test_what_rest_told_of_an_order_is_covered_after_an_adopt() -> None:
    """Executed quantities beyond what frames said count, without an average price that belongs to less."""
    story = Story()
    order_id = story.order(z="1", ap="100.00000000", fee="0.05", status=OrderStatus.PARTIALLY_FILLED, q="3")
    story.executed(order_id, "2")
    adopt(story, "999.9")
    order = story.projection.state.orders[order_id]
    assert (D(2), None) == (order.opening, order.opening_price)


def test_a_baseline_position_without_an_entry_leaves_it_unknown() -> None:
    """Never stated is not 0: entry and unrealised profit are null, and the verdict is UNKNOWN."""
    row = replace(Story(baseline=False).position_row("2", "100", mark="110"), entry_price=None)
    story = Story(positions=(row, replace(row, side=SHORT, quantity=D(0))))
    assert ("UNKNOWN", None, None) == (
        story.status,
        at(story.snap, "k.positions.0.entry_price"),
        story.k["unrealized_pnl"],
    )


# ---- needs ------------------------------------------------------------------------------------------------------------


def test_an_account_without_a_baseline_needs_one() -> None:
    """And nothing else."""
    needs = Story(baseline=False).projection.needs()
    assert (True, None, ()) == (needs.baseline, needs.facts_after_us, needs.orders)


def test_a_quiet_account_needs_only_its_regular_questions() -> None:
    """From the watermarks on, less the time by which a row may come late: nothing before that can be missing."""
    story = Story(positions=(Story(baseline=False).position_row("1", "100"),))
    needs = story.projection.needs()
    coverage, settings = story.projection.state.coverage, story.projection.state.settings
    assert settings is not None
    covered = coverage.fills_ms - settings.fills_lag_ms, coverage.income_ms - settings.income_lag_ms
    assert (False, None, None, *covered, ("BTC-USDT",)) == (
        needs.baseline,
        needs.statements_after_us,
        needs.facts_after_us,
        needs.fills_from_ms,
        needs.income_from_ms,
        needs.symbols,
    )


def test_an_open_gap_is_asked_about_once_the_stream_lives() -> None:
    """After the reconnect, not while nobody hears."""
    story = Story()
    story.tell(StreamChanged(state=StreamState.LOST, detail="", at_ms=None))
    assert None is story.projection.needs().facts_after_us
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    assert story.us == story.projection.needs().facts_after_us


def test_an_extended_gap_is_asked_about_again() -> None:
    """Its statements were asked for already; they prove nothing of what it covers since."""
    story = Story()
    frame = PushRejected(source="private", reason="x", money=True, excerpt="")
    story.tell(frame)
    story.pass_s(5)
    story.audit_done(questions=(Question.BALANCE, Question.POSITIONS))
    story.tell(frame)
    needs = story.projection.needs()
    assert (story.us, story.us) == (needs.statements_after_us, needs.facts_after_us)


def test_an_order_with_a_number_of_another_kind_is_asked_about_from_the_baseline_on() -> None:
    """Its id does not say when it was created."""
    story = Story()
    story.order("17", z="1", ap="100.00000000", fee=None)
    (need,) = story.projection.needs().orders
    baseline = story.projection.state.baseline
    assert baseline is not None
    assert ("17", baseline.taken_ms) == (need.order_id, need.from_ms)


def test_symbols_are_all_the_account_has_to_do_with() -> None:
    """Positions, orders, statements, funding rows and witnesses of fills nobody heard of."""
    story = Story(symbols=("A-USDT", "B-USDT"))
    story.pass_s(200)
    story.order(symbol="A-USDT", status=OrderStatus.NEW, z="0")
    story.account("1000", ("B-USDT", LONG, "1", "1"))
    story.income(
        story.income_row("1", "FUNDING_FEE", "-1", symbol="C-USDT"),
        story.income_row("2", "FUNDING_FEE", "-1"),
        story.income_row("3", "TRADING_FEE", "-1", symbol="D-USDT"),
    )
    assert ("A-USDT", "B-USDT", "C-USDT", "D-USDT") == story.projection.needs().symbols


def test_what_no_question_can_touch_any_more_is_let_go() -> None:
    """A day behind the watermark witnesses and transfers are forgotten."""
    story = Story()
    story.pass_s(200)
    story.income(story.income_row("1", "TRADING_FEE", "-1", symbol="A-USDT"), story.income_row("2", "TRANSFER", "1"))
    audit(story, "1001", symbols=("A-USDT",))
    assert (1, 1) == (len(story.projection.state.witnesses), len(story.projection.state.incomes.moves))
    audit(story, "1001", symbols=("A-USDT",), after_s=90_000)
    state = story.projection.state
    assert ({}, []) == (state.witnesses, state.incomes.moves)


# ---- orders put out of memory -----------------------------------------------------------------------------------------


def test_an_ended_order_is_put_away_and_taken_back_as_it_was() -> None:
    """Heard again after it was recalled, its fill is no new fact; what is still open stays in memory."""
    story = Story()
    order_id = story.order(z="1", ap="100.00000000", fee="0.05")
    waiting = story.order(status=OrderStatus.NEW, z="0", q="1", fee=None, rp=None)
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    story.pass_s(3_600)
    story.balance("999.95")
    story.positions(story.position_row("1", "100"))
    story.fills()
    story.income()
    folded = story.tell(replace(done(story), asked_us=story.us))
    assert [order_id] == [archived for archived, _ in folded.archived]
    assert [waiting] == list(story.projection.state.orders)
    assert [True, False, False] == [
        story.projection.may_be_archived(name) for name in (order_id, waiting, order_id_at(story.ms))
    ]
    story.tell(OrderRecalled(order_id=order_id, record=folded.archived[0][1].decode()))
    before = len(story.of_type("fill"))
    story.order(order_id, z="1", ap="100.00000000", fee="0.05")
    assert (before, "0.05") == (len(story.of_type("fill")), story.k["fees_paid"])


def busy(monkeypatch: pytest.MonkeyPatch, *, untold: bool = False, held: int = 4) -> tuple[Story, list[str]]:
    """Tell more orders than memory is meant for, each opening a little, without a round of questions.

    `untold`: behind one of which the fee is not told.
    """
    monkeypatch.setattr(rounds, "ORDERS_HELD", held)
    monkeypatch.setattr(rounds, "ORDERS_MAX", 2 * held)
    story = Story(wallet="1000")
    names = [story.order(z="1", ap="100.00000000", fee=None)] if untold else []
    for _ in range(2 * held + 1):
        story.pass_s(1)
        names.append(story.order(z="1", ap="100.00000000", fee="0.05"))
    return story, names


def test_the_oldest_orders_are_put_away_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """With time alone, as soon as they are more than memory is meant for; the ledger is the same without them."""
    story, names = busy(monkeypatch)
    before = (story.k, set(story.projection.state.orders))
    folded = story.tell(Tick(due_us=story.us))
    assert (names[:5], names[5:]) == ([name for name, _ in folded.archived], list(story.projection.state.orders))
    assert (story.k, set(names)) == before
    assert story.projection.needs().symbols == ("BTC-USDT",)
    for name, record in folded.archived:
        story.tell(OrderRecalled(order_id=name, record=record.decode()))
        story.order(name, z="1", ap="100.00000000", fee="0.05")
    assert (before[0]["fees_paid"], 9) == (story.k["fees_paid"], len(story.of_type("fill")))


def test_orders_are_put_away_by_the_later_of_both_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange whose fills are stamped seconds ahead of what was heard keeps no order in memory for that."""
    monkeypatch.setattr(rounds, "ORDERS_HELD", 5)
    monkeypatch.setattr(rounds, "ORDERS_MAX", 10)
    story = Story(wallet="1000")
    names = []
    for number in range(11):
        story.pass_s(1)
        names.append(story.order(z="1", ap="100.00000000", fee="0.05", trade_ms=story.ms + 10_000 * (number + 1)))
    folded = story.tell(Tick(due_us=story.us))
    assert names[:6] == [name for name, _ in folded.archived]


@pytest.mark.parametrize(("waited", "gone"), [(10, 0), (9, 5)])
def test_what_is_not_exact_is_waited_for_within_a_bound(
    monkeypatch: pytest.MonkeyPatch, waited: int, gone: int
) -> None:
    """The oldest order's fee is not told yet; where too many orders wait behind it they go, and it stays."""
    monkeypatch.setattr(rounds, "INEXACT_ORDERS_MAX", waited)
    monkeypatch.setattr(rounds, "WAITING_FILLS_MAX", waited)
    story, names = busy(monkeypatch, untold=True)
    assert gone == len(story.tell(Tick(due_us=story.us)).archived)
    assert names[0] in story.projection.state.orders


def test_of_a_second_whose_orders_were_let_go_rows_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of ten trades says nothing about the two that are left of them."""
    story, names = busy(monkeypatch)
    story.tell(Tick(due_us=story.us))
    state = story.projection.state
    assert state.relieved_ms >= max(created_ms(name) or 0 for name in names[:5])
    assert state.relieved_ms < min(created_ms(name) or 0 for name in names[5:]) + 1_000
    story.income(story.income_row("1", "TRADING_FEE", "-9", at_ms=state.relieved_ms, symbol="BTC-USDT"))
    assert not list(witnessed(state, 0))


def done(story: Story) -> AuditDone:
    """Make the end of a round of all questions."""
    return AuditDone(cause="test", asked_us=0, asked_ms=story.ms, questions=ALL_QUESTIONS, failed=())


def test_an_order_put_away_before_an_adoption_comes_back_wholly_covered() -> None:
    """What was folded into an older ledger is no fact of the one that begins at the adoption, however it is heard."""
    story = Story(wallet="1000")
    order_id = story.order(z="0.1", ap="100.00000000", fee="0.005")
    frame = story.events[-1].body
    record = encode(story.projection.state.orders[order_id]).decode()
    story.pass_s(3_600)
    story.tell(
        BaselineTaken(
            baseline_id="b2",
            taken_ms=story.ms,
            wallet=Decimal("999.995"),
            positions=(story.position_row("0.1", "100"),),
            orders=(),
            adopted_by=0,
            why="synthetic",
        )
    )
    del story.projection.state.orders[order_id]
    story.tell(OrderRecalled(order_id=order_id, record=record))
    story.tell(frame)
    assert ("0", "999.995") == (story.k["fees_paid"], story.k["capital_raw"])
