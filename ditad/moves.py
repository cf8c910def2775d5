"""What has moved the ledgers: every fact by what it did to K, and what moved a difference while it lasted.

What enters: a `Turn` whose event has been folded. What leaves: the moves since K and the wallet last agreed, and for an
open divergence what has changed either side of it. What holds: the moves of one event add up to what it did to K;
both lists have a bound, and what does not fit is told as one. (account.md §6)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from ditad.candidates import ROW_FEE_STEP
from ditad.causes import PUSHED, Attribution, Cause, Move
from ditad.events import BaselineTaken, PositionSide, Side
from ditad.incomes import FORCED_INCOMES
from ditad.money import ZERO, add, exact_sum, mul, plain, sub
from ditad.reconcile import Finding
from ditad.records import RecordType
from ditad.state import Divergence, State
from ditad.turn import Draft, Turn, capital_raw, owns

MOVES_MAX = 64
"""Moves remembered while K and the wallet differ: the first ones, for they are nearest to where it began."""

HEARD_MAX = 16
"""Changes remembered of one divergence."""

FOLLOWED = frozenset({"R1", "R3"})
"""The rules whose two sides are moved by facts and by statements alone."""

TWINS_MAX = 3
"""Pushes that may together be the twin of another one."""

IDS_MAX = 8
"""Facts named in one attribution; how many more there are is said."""

SOUGHT_MAX = 4
"""A difference that so many changes together explain is explained; more would be chance."""

RENAMED = frozenset({Cause.TRANSFER, Cause.OTHER_INCOME})
"""What a row tells of these is what their push told, to the last digit: it gives them a name."""

OF_INCOME = {"funding": Cause.FUNDING, "transfer": Cause.TRANSFER, "other": Cause.OTHER_INCOME}


def note_moves(turn: Turn) -> None:
    """Remember what this event's facts did to K."""
    state = turn.state
    total = sub(capital_raw(state), turn.capital_before)
    if (not total and not turn.drafts) or isinstance(turn.event.body, BaselineTaken):
        return
    found = [move for draft in turn.drafts for move in _moves_of(turn, draft)]
    amended = [move for move, amends in found if amends]
    turn.moves = [move for move, amends in found if not amends]
    turn.moves += _amendments(turn, [move for move in amended if move.key])
    rest = sub(total, exact_sum(move.wallet for move in turn.moves))
    others = [move for move in amended if not move.key]
    others = [move for move in others if move.cause not in RENAMED] or others
    if others or rest:
        turn.moves.append(
            Move(
                cause=others[0].cause if others else _fee_or_rounding(rest, _rows_of(turn)),
                ids=_bounded(
                    tuple(itertools.chain.from_iterable(move.ids for move in others)) or (turn.event.source_id,)
                ),
                n=turn.event.n,
                at_us=turn.event.at_us,
                wallet=rest,
                told_by=turn.event.source_id,
            )
        )
    state.moves += turn.moves[: MOVES_MAX - len(state.moves)]


def _amendments(turn: Turn, amended: Sequence[Move]) -> Iterable[Move]:
    """Give what fills that were told anew moved, order by order; what is told again, as much for as much, moved nothing."""
    for order_id, of_order in itertools.groupby(sorted(amended, key=_order_of), key=_order_of):
        pieces = list(of_order)
        new = [move for move in turn.moves if move.key and _order_of(move) == order_id]
        moved = sub(turn.paid.get(order_id, ZERO), exact_sum(move.wallet for move in new))
        grown = sub(turn.grown.get(order_id, ZERO), exact_sum(abs(move.quantity) for move in new))
        if moved or grown:
            cause, order = pieces[0].cause, turn.state.orders.get(order_id)  # one that was put away costs what it costs
            if cause is Cause.FEE:
                rows = len(order.rows) if order is not None else 0
                cause = Cause.UNCOVERED if grown else _fee_or_rounding(moved, rows)
            ids = _bounded(tuple(itertools.chain.from_iterable(move.ids for move in pieces)))
            quantity = -grown if pieces[0].quantity < 0 else grown
            yield replace(pieces[0], cause=cause, ids=ids, wallet=moved, quantity=quantity)


def _order_of(move: Move) -> str:
    return move.ids[0].split(":")[1]


def _fee_or_rounding(moved: Decimal, rows: int) -> Cause:
    """Say whether a correction is no more than what the decimals of so many rows leave open."""
    return Cause.ROUNDING if abs(moved) <= mul(ROW_FEE_STEP, Decimal(max(rows, 1))) else Cause.FEE


def _rows_of(turn: Turn) -> int:
    """Count the rows whose rounded fees the fills of this event may be made of."""
    drafted = [draft for draft in turn.drafts if draft.type is RecordType.FILL]
    orders = [turn.state.orders.get(str(draft.body["order_id"])) for draft in drafted]
    return sum([max(1, len(order.rows)) for order in orders if order is not None])


def _moves_of(turn: Turn, draft: Draft) -> Iterable[tuple[Move, bool]]:
    """Give a drafted fact as a move, and whether it amends what was told before."""
    body, n, at_us = draft.body, turn.event.n, turn.event.at_us
    if draft.type is RecordType.INCOME:
        name, kind = str(body["name"]), str(body["kind"])
        amount = _decimal(body["amount"])
        yield (
            Move(
                cause=Cause.FORCED_CLOSE if name in FORCED_INCOMES else OF_INCOME[kind],
                ids=(f"{kind}:{body['tran_id'] or draft.key}",),
                n=n,
                at_us=at_us,
                wallet=-amount if kind == "funding" else amount,
                told_by=turn.event.source_id,
            ),
            bool(draft.replaces),
        )
    elif draft.type is RecordType.FILL and owns(turn.state, str(body["symbol"])):
        key, quantity = _quantity_of(turn.state, body)
        amends = bool(draft.replaces)
        cause = Cause.FORCED_CLOSE if "forced" in body else Cause.FEE if amends else Cause.UNCOVERED
        wallet = sub(_decimal(body["realized_pnl"]), _decimal(body["fee"]))
        ids = (f"order:{body['order_id']}:({body['z0']}, {body['z1']}]",)
        told_by = turn.event.source_id
        move = Move(cause=cause, ids=ids, n=n, at_us=at_us, wallet=wallet, key=key, quantity=quantity, told_by=told_by)
        yield move, amends


def _quantity_of(state: State, body: dict[str, object]) -> tuple[str, Decimal]:
    """Give a fill's position, and by how much it moved its quantity."""
    side, quantity = str(body["position_side"]), _decimal(body["qty"])
    if state.one_way:
        side = PositionSide.BOTH.value
    grows = (body["side"] == Side.BUY) == (side != PositionSide.SHORT)
    return f"{body['symbol']}:{side}", quantity if grows else -quantity


def _decimal(text: object) -> Decimal:
    """Read a figure of a record; one that nobody told moved nothing."""
    return ZERO if text is None else Decimal(str(text))


def _bounded(ids: Sequence[str]) -> tuple[str, ...]:
    """Name the first and the last of many, in the order in which they were told."""
    more = len(ids) - IDS_MAX
    half = IDS_MAX // 2
    return tuple(ids) if more <= 0 else (*ids[:half], f"and {more} more", *ids[-half:])


# ---- what moved a difference ----------------------------------------------------------------------------------------


def hear_change(turn: Turn, known: Divergence, finding: Finding | None) -> None:
    """Remember what this event did to both sides of a divergence; of a position that nobody has there is no finding."""
    k, e = (ZERO, ZERO) if finding is None else (finding.k, finding.e)
    if known.k is None or known.e is None or k is None or e is None:
        return
    moved_k, moved_e = sub(k, known.k), sub(e, known.e)
    known.k, known.e, known.tolerance = k, e, known.tolerance if finding is None else finding.tolerance
    if known.rule not in FOLLOWED:
        return
    found: list[Attribution] = []
    if moved_k:
        found += _of_facts(turn, known, moved_k)
    if moved_e:
        found.append(
            Attribution(
                cause=Cause.STATEMENT,
                ids=(turn.event.source_id,),
                amount=-moved_e,
                exact=True,
                told_by=turn.event.source_id,
                evidence=f"E was {plain(sub(e, moved_e))} and is {plain(e)}",
            )
        )
    for change in found:
        twins = _twins_of(known.heard, change) if change.told_by.startswith(PUSHED) else None
        if twins is None:
            known.heard = [*known.heard, change][-HEARD_MAX:]
        else:
            known.heard = [one for one in known.heard if one not in twins]


def _twins_of(heard: Sequence[Attribution], change: Attribution) -> tuple[Attribution, ...] | None:
    """Find the pushes that a push is the twin of: a fill and its balance moved nothing together."""
    pushed = [one for one in heard if one.told_by.startswith(PUSHED) and one.amount is not None]
    for size in range(1, TWINS_MAX + 1):
        for some in itertools.combinations(pushed, size):
            if not add(exact_sum(one.amount for one in some if one.amount is not None), change.amount or ZERO):
                return some
    return None


def heard_before(state: State, known: Divergence, since_us: int) -> list[Attribution]:
    """Name the facts that no push told, heard since a moment: K lacked them, and what healed them is soon forgotten."""
    found = [
        Attribution(cause=move.cause, ids=move.ids, amount=part, exact=True, told_by=move.told_by)
        for move, part in _parts(state, known, state.moves)
        if part and move.at_us >= since_us
    ]
    return [one for one in found if one.is_news]


def _parts(state: State, known: Divergence, moves: Sequence[Move]) -> list[tuple[Move, Decimal]]:
    """Give the moves that concern a divergence of R1 or R3, each with its part of K's side of it."""
    if known.rule == "R1":
        return [(move, move.wallet) for move in moves]
    of_key = {f"{known.symbol}:{known.side}", f"{known.symbol}:{PositionSide.BOTH}"}
    sign = Decimal(-1 if state.one_way and known.side == PositionSide.SHORT else 1)
    return [(move, mul(move.quantity, sign)) for move in moves if move.key in of_key]


def _of_facts(turn: Turn, known: Divergence, moved: Decimal) -> list[Attribution]:
    """Name the facts by which K moved: each with its own part where these add up, else all as one, the largest first."""
    parts = sorted(_parts(turn.state, known, turn.moves), key=lambda part: -abs(part[1]))
    if parts and exact_sum(part for _, part in parts) == moved and len(parts) <= HEARD_MAX:
        return [
            Attribution(cause=move.cause, ids=move.ids, amount=part, exact=True, told_by=turn.event.source_id)
            for move, part in parts
            if part
        ]
    moves = [move for move, _ in parts] or turn.moves
    ids = tuple(itertools.chain.from_iterable(move.ids for move in moves))
    cause = moves[0].cause if moves else Cause.FEE
    ids = _bounded(ids or (turn.event.source_id,))
    return [Attribution(cause=cause, ids=ids, amount=moved, exact=True, told_by=turn.event.source_id)]


def healed_by(known: Divergence, slack: Decimal) -> list[Attribution]:
    """Choose what healed a divergence: the fewest of what moved it that add up to it; else nothing is guessed.

    Exactly, or within what rounded sources leave open (`slack`). What adds up to it since it was opened comes first,
    then since it was confirmed or explained.
    """
    for before, size, allowed in itertools.product(
        dict.fromkeys((known.first_delta, known.confirmed_delta, known.explained_delta)),
        range(1, SOUGHT_MAX + 1),
        dict.fromkeys((ZERO, slack)),
    ):
        for some in itertools.combinations(known.heard, size) if abs(before) > allowed else ():
            moved = exact_sum(part.amount for part in some if part.amount is not None)
            if abs(add(moved, before)) <= allowed:
                facts = [part for part in some if part.cause not in {Cause.STATEMENT, Cause.ROUNDING}]
                return [replace(part, exact=not allowed) for part in facts or some]
    return []
