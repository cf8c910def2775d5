"""What may make K and E differ: every named candidate, with the amount that it stands for.

What enters: the fold's state. What leaves: `Candidate`s, the likeliest first. What holds: a candidate's amount is what
K − E would be if it were the cause; what nobody told gives no candidate. (account.md §6)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from ditad.causes import Cause, Move
from ditad.events import PositionSide, Side
from ditad.incomes import FORCED_INCOMES, IncomeKind, kind_of
from ditad.money import ZERO, add, exact_sum, mul, plain, sub
from ditad.orders import Order, Piece
from ditad.state import State
from ditad.witnesses import FEE, PROFIT, begins_ms

SECONDS_MAX = 64
"""Seconds whose exact witnesses are compared with the fills, the latest ones."""

WAITING_MAX = 8
"""Orders named of which something is uncovered."""

OF_KIND = {
    IncomeKind.FUNDING: Cause.FUNDING,
    IncomeKind.TRANSFER: Cause.TRANSFER,
    IncomeKind.OTHER: Cause.OTHER_INCOME,
}

STEP = Decimal("1e-8")
"""The exchange moves its wallet in steps of this: two amounts nearer than that are the same."""

ROW_FEE_STEP = Decimal("5e-7")
"""A fee of a fill history has six decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something that would make K − E this much, if it were the cause; `slack` is what its source leaves open."""

    cause: Cause
    ids: tuple[str, ...]
    amount: Decimal
    evidence: str
    slack: Decimal = ZERO


def baseline(state: State) -> Iterator[Candidate]:
    """A seed that the settings give instead of the wallet."""
    assert state.baseline is not None, "a baseline comes before any divergence"
    off = sub(state.seed, state.baseline.wallet)
    if off:
        evidence = f"seed_capital {plain(state.seed)} is not the baseline's wallet {plain(state.baseline.wallet)}"
        yield Candidate(
            cause=Cause.BASELINE, ids=(f"baseline:{state.baseline.baseline_id}",), amount=off, evidence=evidence
        )


def moved_alone(state: State, since_us: int, *, asked: bool) -> Iterator[Candidate]:
    """Facts of K since both last agreed: E does not hold them, or does not yet."""
    amounts = [(move, move.wallet) for move in reversed(state.moves) if move.at_us >= since_us]
    yield from each_alone(state, amounts, asked_us=state.stated.balance_asked_us if asked else None)


def each_alone(state: State, amounts: Iterable[tuple[Move, Decimal]], *, asked_us: int | None) -> Iterable[Candidate]:
    """Say of facts what it means that E lacks them.

    Once all was asked, E at `asked_us`, what no row tells is likelier than what E states late; and a fact that rows tell
    and that was there when E was asked is in E.
    """
    asked = asked_us is not None
    late = [(move, _alone(state, move, amount, asked=asked)) for move, amount in amounts if amount]
    found = [
        candidate
        for move, candidate in late
        if candidate.cause is not Cause.STATEMENT or asked_us is None or move.at_us >= asked_us
    ]
    return sorted(found, key=lambda candidate: candidate.cause is Cause.STATEMENT)


def _alone(state: State, move: Move, amount: Decimal, *, asked: bool) -> Candidate:
    """Say what it means that E lacks a fact: once all was asked and no row tells a fill, it is one too many.

    Before, what a push told is stated a little late; what only a row told is what both ledgers lacked.
    """
    cause, evidence = Cause.STATEMENT, f"event {move.n}: K holds it, and what E states does not"
    if not move.is_pushed:
        cause, evidence = move.cause, f"event {move.n}: no push told it; K holds it, and what E states does not"
    elif asked:
        if move.cause is Cause.UNCOVERED and not _rows_tell(state, move):
            cause, evidence = Cause.EXTRA_FILL, f"event {move.n}: a frame told it, and no row of the exchange does"
        elif move.cause is not Cause.UNCOVERED:
            cause = move.cause
    return Candidate(cause=cause, ids=move.ids, amount=amount, evidence=evidence)


def _rows_tell(state: State, move: Move) -> bool:
    """Say whether an order's rows are a complete set; one that is out of memory was wholly told."""
    order = state.orders.get(move.ids[0].split(":")[1])
    return order is None or exact_sum(row.quantity for row in order.rows) >= order.known


def contradicted(state: State, *, profit_only: bool = False) -> Iterator[Candidate]:
    """Orders whose frames and rows tell different money: K has what was heard first."""
    for order_id in reversed(state.contradicted):
        order = state.orders.get(order_id)
        if order is None or not order.rows or not order.pieces:
            continue
        if exact_sum(row.quantity for row in order.rows) != exact_sum(piece.quantity for piece in order.pieces):
            continue
        told = state.contradicted[order_id]
        fees = _difference((piece.fee for piece in order.pieces), (row.fee for row in order.rows))
        profits = _difference((piece.realized_pnl for piece in order.pieces), (row.realized_pnl for row in order.rows))
        ids = (f"order:{order_id}",)
        if profits:
            yield Candidate(cause=Cause.FEE, ids=ids, amount=profits, evidence=f"profit: {told}")
        if fees and not profit_only:
            slack = mul(ROW_FEE_STEP, Decimal(len(order.rows)))
            yield Candidate(cause=Cause.FEE, ids=ids, amount=-fees, evidence=f"fee: {told}", slack=slack)


def _difference(ours: Iterable[Decimal | None], theirs: Iterable[Decimal | None]) -> Decimal | None:
    """Give what we hold beyond theirs; `None` where a figure is not told."""
    sums = []
    for figures in (ours, theirs):
        told = list(figures)
        known = [figure for figure in told if figure is not None]
        if len(known) < len(told):
            return None
        sums.append(exact_sum(known))
    return sub(*sums)


def forced(state: State) -> Iterator[Candidate]:
    """Forced closes whose one profit is told in two ways: K holds one of them."""
    for order_id in state.forced:
        order = state.orders[order_id]
        assert order.close is not None, "forced orders alone are listed"
        rows = [fact for fact in state.incomes.joined if fact.name in FORCED_INCOMES and fact.symbol == order.symbol]
        booked = order.close.profit or ZERO
        for name, other in (("rp", order.close.stated), ("its row", _total(fact.amount for fact in rows))):
            if other is not None and other != booked:
                evidence = f"K holds a profit of {plain(booked)}, {name} says {plain(other)}"
                yield Candidate(
                    cause=Cause.FORCED_CLOSE,
                    ids=(f"order:{order_id}",),
                    amount=sub(booked, other),
                    evidence=evidence,
                )


def _total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    told = [amount for amount in amounts if amount is not None]
    return exact_sum(told) if told else None


def witnessed(state: State, from_ms: int) -> Iterator[Candidate]:
    """Seconds from a moment on whose exact rows tell other fees or profits than K's fills of that second.

    What is long over was in both ledgers when they agreed, and its orders are out of memory.
    """
    pieces: dict[str, list[Piece]] = {}
    for order in state.orders.values():
        for piece in order.pieces:
            pieces.setdefault(f"{order.symbol}|{piece.at_ms // 1_000}", []).append(piece)
    seconds = [key for key in state.witnesses if begins_ms(key) >= from_ms and begins_ms(key) > state.relieved_ms]
    for key in sorted(seconds, key=begins_ms, reverse=True)[:SECONDS_MAX]:
        told, of_second = state.witnesses[key], pieces.get(key, [])
        for kind, sign, ours in (
            (FEE, 1, exact_sum(piece.fee or ZERO for piece in of_second)),
            (PROFIT, -1, exact_sum(piece.realized_pnl or ZERO for piece in of_second)),
        ):
            rows = [row.amount for row in told if row.kind == kind]
            lacking = sub(exact_sum(rows), ours)
            if not rows or not lacking:
                continue
            cause = Cause.UNCOVERED if len(rows) > len(of_second) else Cause.FEE
            evidence = f"{kind} rows tell {plain(exact_sum(rows))}, K's fills of that second {plain(ours)}"
            slack = exact_sum(piece.fee_slack for piece in of_second)
            yield Candidate(
                cause=cause,
                ids=(f"income:{key}:{kind}",),
                amount=mul(lacking, Decimal(sign)),
                evidence=evidence,
                slack=slack,
            )


def rows_not_counted(state: State) -> Iterator[Candidate]:
    """Income rows of which nobody knows whether they lie before the baseline."""
    for row in state.ambiguous:
        yield Candidate(
            cause=OF_KIND[kind_of(row.kind)],
            ids=(f"income:{row.tran_id}",),
            amount=-row.amount,
            evidence=f"{row.kind} of {plain(row.amount)} may lie before the baseline and is not counted",
        )


def untold_funding(state: State) -> Iterator[Candidate]:
    """Settlements that did not tell what they paid, or told what the wallet contradicts: that much is theirs at most."""
    for key, untold in state.untold.items():
        moved = "an unknown amount" if untold.moved is None else plain(untold.moved)
        if untold.change:
            evidence = f"a settlement told a change of {plain(untold.change)}, and the wallet moved by {moved} with it"
            yield Candidate(cause=Cause.FUNDING, ids=(key,), amount=-untold.change, evidence=evidence)
        elif untold.moved is not None:
            evidence = f"the wallet moved by {moved} with a settlement that told no amount"
            yield Candidate(cause=Cause.FUNDING, ids=(key,), amount=-untold.moved, evidence=evidence)
    for name, difference in state.funding_differences.items():
        yield Candidate(
            cause=Cause.FUNDING,
            ids=(name,),
            amount=difference,
            evidence=f"pushes and rows of this settlement are {plain(difference)} apart",
        )


def untold_fees(state: State) -> Iterator[Candidate]:
    """Fills whose fee nobody told: it should be the quote at a known rate."""
    for told in state.unknown.values():
        order = state.orders.get(told.order_id or "")
        for piece in order.pieces if order is not None else ():
            if piece.z1 != told.z1 or piece.fee is not None:
                continue
            for rate in state.fee_rates:
                fee = mul(piece.quote, rate)
                evidence = f"its fee was not told; {plain(piece.quote)} at {plain(rate)} is {plain(fee)}"
                yield Candidate(
                    cause=Cause.FEE, ids=(f"order:{told.order_id}",), amount=fee, evidence=evidence, slack=STEP
                )


def waiting(state: State) -> tuple[str, ...]:
    """Name orders of which something is uncovered: what it moved is not known."""
    return tuple(
        f"uncovered_interval of order {order_id}: {why}" for order_id, why in list(state.incomplete.items())[:8]
    )


def uncovered(state: State, key: str, sign: Decimal) -> Iterator[Candidate]:
    """Orders of a position of which more was executed than K could fold."""
    for order_id, why in state.incomplete.items():
        order = state.orders[order_id]
        side = PositionSide.BOTH if state.one_way else order.position_side
        lacking = sub(order.known, add(order.opening, exact_sum(piece.quantity for piece in order.pieces)))
        if f"{order.symbol}:{side}" != key or not lacking:
            continue
        evidence = f"{why}: {plain(order.known)} executed, {plain(sub(order.known, lacking))} covered"
        moved = mul(-lacking if _grows(order, side) else lacking, sign)
        yield Candidate(cause=Cause.UNCOVERED, ids=(f"order:{order_id}",), amount=moved, evidence=evidence)


def _grows(order: Order, side: PositionSide) -> bool:
    return (order.side is Side.BUY) == (side is not PositionSide.SHORT)


def rounded(state: State) -> Iterator[Candidate]:
    """Closes whose entry was rounded to the tick: all of them together."""
    runs = [position.run for position in state.positions.values() if position.run.closed_ticks]
    slack = exact_sum(run.closed_ticks for run in runs)
    if slack:
        closes = sum(run.closes for run in runs)
        evidence = f"{closes} closes, half a tick of their quantities is {plain(slack)}"
        yield Candidate(cause=Cause.ROUNDING, ids=("closes",), amount=ZERO, evidence=evidence, slack=slack)
