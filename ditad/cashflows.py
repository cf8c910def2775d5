"""Incomes into K: funding, transfers and other income from pushes and rows, each happening counted once.

What enters: account pushes and income reports, on a `Turn`. What leaves: changed sums and records. What holds: an
amount that nobody told is listed as unknown; a row that may lie before the baseline counts only on a later
statement's word. (account.md §3)
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ditad.events import AccountPush, BalanceLine, IncomeReport, IncomeRow, Question
from ditad.fills import witness_fees
from ditad.incomes import (
    WITNESSES,
    Change,
    IncomeFact,
    IncomeKind,
    close_groups,
    contested,
    fact_of_row,
    hear_push,
    hear_row,
    is_known,
    kind_of,
    prove,
    tell,
    told_before,
    untold_group,
)
from ditad.money import ZERO, add, exact_sum, mul, plain_or_none, sub
from ditad.records import RecordType, rfc3339_ms
from ditad.selections import ANY_MAX, proven
from ditad.settle import Standing, balance
from ditad.state import UnknownAmount, Untold
from ditad.turn import Turn, baseline_second_ms, capital_raw, tolerance
from ditad.witnesses import FEE, Witness

AMBIGUOUS_AT_ONCE_MAX = 10
"""Up to this many rows that may lie before the baseline are tried in every selection while something is in flight."""

TWICE = Decimal(2)

FUNDING_AFTER_BASELINE_MS = 60_000
"""A funding row may be stamped up to this long after the settlement it restates."""


def fold_account_incomes(turn: Turn, push: AccountPush) -> None:
    """Make facts of an account push that is no order's; must run before its statements are heard."""
    for line in push.balances:
        if line.asset != turn.settings.margin_asset:
            turn.state.other_assets.setdefault(line.asset, ZERO)
            continue
        if push.reason == "ORDER":
            continue
        kind = kind_of(push.reason)
        amount: Decimal | None
        if kind is IncomeKind.FUNDING:
            received = _funding_amount(turn, line)
            amount = None if received is None else -received
        elif line.change:
            amount = line.change
        else:
            continue
        symbol = push.positions[0].symbol if len(push.positions) == 1 else None
        fact = IncomeFact(
            key=f"push:{line.asset}:{push.reason}:{push.event_ms}:{line.change}:{line.wallet}",
            kind=kind,
            name=push.reason,
            amount=amount,
            asset=line.asset,
            symbol=symbol,
            tran_id=None,
            at_ms=push.event_ms,
            provisional=True,
            sources=("push",),
        )
        if amount is None and not is_known(turn.state.incomes, fact.key, fact.name, fact.at_ms):
            turn.state.untold[fact.key] = _untold(turn, line, push.event_ms)
        apply(turn, hear_push(turn.state.incomes, fact))


def _funding_amount(turn: Turn, line: BalanceLine) -> Decimal | None:
    """Find what a funding push paid in (negative: out); `None` if it cannot be known. (account.md §3, Funding)"""
    state = turn.state
    moved = None
    if state.stated.wallet is not None and not state.coverage.is_open():
        stand = balance(state.wallet_twins, capital_raw(state), tolerance(turn), turn.event.at_us)
        if stand.standing is Standing.SETTLED and not state.unknown:
            moved = sub(line.wallet, state.stated.wallet.value)
    if line.change and (moved is None or moved == line.change):
        return line.change
    return None if line.change else moved  # where both tell something else, a frame from before is still on its way


def _untold(turn: Turn, line: BalanceLine, event_ms: int) -> Untold:
    """Remember what an untold amount lies between: the statement before it and its own."""
    state = turn.state
    before = state.stated.wallet
    if before is None or before.event_ms > event_ms:
        return Untold(change=line.change, moved=None, agreed=False, heard_us=turn.event.at_us)
    stand = balance(state.wallet_twins, capital_raw(state), tolerance(turn), turn.event.at_us)
    moved, agreed = sub(line.wallet, before.value), stand.standing is Standing.SETTLED
    return Untold(change=line.change, moved=moved, agreed=agreed, heard_us=turn.event.at_us)


def derive_funding(turn: Turn) -> None:
    """Where the exchange keeps no income, take what a settlement paid from the nearest agreed statements.

    Only if it is all that is unknown, nothing is in flight and everything else was asked about since. The statement
    before it equalled K, or does now: else something else is missing too, and that is not funding.
    """
    state = turn.state
    if not state.untold:
        return
    state.untold = {key: untold for key, untold in state.untold.items() if key in state.unknown}
    if state.coverage.income_available or not state.untold or not _only_funding_lacks(turn):
        return
    group = untold_group(state.incomes, state.untold.keys())
    assert state.stated.wallet is not None, "a baseline states the wallet"
    paid = sub(capital_raw(state), state.stated.wallet.value)
    first, *later = state.untold.items()
    moves = [untold.moved for _, untold in later if untold.moved is not None]
    if group is None or len(moves) < len(later):
        return
    beyond = add(paid, exact_sum(moves))  # what later pushes of the settlement paid was seen in their own movement
    if first[1].agreed or (first[1].moved is not None and beyond == -first[1].moved):
        amounts = {key: -move for (key, _), move in zip(later, moves, strict=True)}
        apply(turn, tell(group, {first[0]: beyond, **amounts}))


def _only_funding_lacks(turn: Turn) -> bool:
    """Say whether K and E agree in all but funding that nobody told, with nothing in flight and nothing unasked."""
    state, now = turn.state, turn.event.at_us
    asked = [Question.BALANCE, Question.POSITIONS, *([Question.FILLS] if state.coverage.fills_available else [])]
    since = max(untold.heard_us for untold in state.untold.values())
    quantities = (
        (state.positions[key].run.quantity if key in state.positions else ZERO, twins.statements[-1].value)
        for key, twins in state.quantity_twins.items()
    )
    return (
        state.unknown.keys() == state.untold.keys()
        and state.coverage.is_answered()
        and not state.incomplete
        and all(state.answered_us.get(question.value, 0) > since for question in asked)
        and not any(fact.deadline_us > now for fact in state.wallet_twins.facts)
        and all(held == stated for held, stated in quantities)
    )


def fold_income_report(turn: Turn, report: IncomeReport) -> None:
    """Take the rows of a completed question in; rows that may lie before the baseline wait for a statement's word."""
    state = turn.state
    assert state.baseline is not None, "facts are folded after a baseline"
    if not report.available:
        if state.coverage.income_available:
            state.coverage.income_available = False
            turn.changed = True
        return
    state.coverage.income_available = True
    round_ = state.round
    round_.income_from_ms, round_.income_to_ms = report.from_ms, report.to_ms
    round_.income_rows += len(report.rows)
    _compare_with_heard(turn, report.rows)
    for row in sorted(report.rows, key=lambda row: (row.at_ms, row.tran_id)):
        if row.asset != turn.settings.margin_asset:
            state.other_assets.setdefault(row.asset, ZERO)
            continue
        known = is_known(state.incomes, f"tran:{row.tran_id}", row.kind, row.at_ms)
        if known or row.at_ms < baseline_second_ms(turn):
            continue
        if row.kind not in WITNESSES and _is_ambiguous(turn, row):
            if row not in state.ambiguous:
                state.ambiguous.append(row)
            continue
        _hear_income_row(turn, row)
    witness_fees(turn)


def _compare_with_heard(turn: Turn, rows: Iterable[IncomeRow]) -> None:
    """Say of a happening that a row tells otherwise than a row before by how much: the first one stays."""
    state = turn.state
    again = {row.tran_id: row for row in rows if f"tran:{row.tran_id}" in state.incomes.heard}
    for tran_id, before in told_before(state.incomes, again.keys()).items() if again else ():
        now = fact_of_row(again[tran_id])
        off = sub(before.amount or ZERO, now.amount or ZERO)
        name = f"income:{tran_id}"
        if off and name not in state.income_differences:
            state.income_differences[name] = -off if before.kind is IncomeKind.FUNDING else off
            turn.changed = True
        elif not off and state.income_differences.pop(name, None) is not None:
            turn.changed = True


def _hear_income_row(turn: Turn, row: IncomeRow) -> None:
    if row.kind in WITNESSES and row.symbol is not None:
        turn.state.incomes.heard[f"tran:{row.tran_id}"] = row.at_ms
        amount = -row.amount if row.kind == FEE else row.amount
        witness = Witness(kind=row.kind, amount=amount, trade_id=row.trade_id)
        turn.state.witnesses.setdefault(f"{row.symbol}|{row.at_ms // 1_000}", []).append(witness)
        return
    apply(turn, hear_row(turn.state.incomes, row))


def _is_ambiguous(turn: Turn, row: IncomeRow) -> bool:
    """Say whether a row may restate something from before the baseline. (account.md §3, Baseline)"""
    assert turn.state.baseline is not None, "facts are folded after a baseline"
    if row.at_ms < baseline_second_ms(turn) + 1_000:
        return True
    if row.kind != "FUNDING_FEE" or row.at_ms > turn.state.baseline.taken_ms + FUNDING_AFTER_BASELINE_MS:
        return False
    groups = [group for group in turn.state.incomes.groups if group.pushes and group.asset == row.asset]
    return not any(first_ms <= row.at_ms <= last_ms for first_ms, last_ms in (group.span() for group in groups))


def hear_ambiguous(turn: Turn) -> None:
    """Count ambiguous rows if and only if the latest statement equals K exactly with them and not without them.

    Where it equals K without them, what such a statement must hold is no fact of this ledger and is let go.
    """
    state = turn.state
    wallet = state.stated.wallet
    if not state.ambiguous or wallet is None:
        return
    missing = sub(wallet.value, capital_raw(state))
    slack = state.sums.slack
    if abs(missing) <= slack:
        held_ms = wallet.event_ms - FUNDING_AFTER_BASELINE_MS
        state.ambiguous = [
            row for row in state.ambiguous if row.at_ms > held_ms or abs(row.amount) <= mul(TWICE, slack)
        ]
        return
    rows = sorted(state.ambiguous, key=lambda row: (row.at_ms, row.tran_id))
    places = proven(
        [row.amount for row in rows], missing, slack, any_of_max=ANY_MAX if _is_calm(turn) else AMBIGUOUS_AT_ONCE_MAX
    )
    for row in [rows[place] for place in places]:
        state.ambiguous.remove(row)
        _hear_income_row(turn, row)


def _is_calm(turn: Turn) -> bool:
    """Say whether nothing is in flight: else a fee on its way may by chance be the sum of some of many rows."""
    state, now = turn.state, turn.event.at_us
    assert state.stated.wallet is not None, "a baseline states the wallet"
    waiting = any(fact.deadline_us > now for fact in state.wallet_twins.facts)
    fresh = now < state.stated.wallet.at_us + turn.settings.settle_window_us
    return not (waiting or fresh or state.unknown or state.incomplete)


def prove_funding(turn: Turn) -> None:
    """Take settlements' rows before their time is over, if with them K equals the wallet exactly, and not without."""
    state = turn.state
    assert state.stated.wallet is not None, "a baseline states the wallet"
    open_ = contested(state.incomes)
    if not open_:
        return
    slack = state.sums.slack
    for groups in [*([one] for one in open_), open_]:
        missing = sub(state.stated.wallet.value, capital_raw(state))
        more = exact_sum(amount for _, amount in groups)
        if abs(missing) > slack and abs(add(missing, more)) <= slack:
            for group, _ in groups:
                apply(turn, prove(group))


def close_funding(turn: Turn, through_ms: int, kept_from_ms: int) -> None:
    """Close the settlements whose rows must all have come; what pushes told differently becomes a divergence."""
    for change in close_groups(turn.state.incomes, through_ms, kept_from_ms):
        apply(turn, change)
        if change.difference is not None:
            group, amount = change.difference
            turn.state.funding_differences[f"funding:{group.asset}:{group.last_ms()}"] = amount
            turn.changed = True


def apply(turn: Turn, change: Change) -> None:
    """Let K follow a change of income facts."""
    state = turn.state
    if not change.removed and not change.added:
        return
    before = capital_raw(state)
    replaced: list[int] = []
    for fact in change.removed:
        _book(turn, fact, -1)
        state.unknown.pop(fact.key, None)
        state.derived.pop(fact.key, None)
        number = state.income_numbers.pop(fact.key, None)
        replaced += [] if number is None else [number]
        replaced += turn.withdraw(RecordType.INCOME, fact.key)
    for fact in change.added:
        _book(turn, fact, 1)
        if fact.amount is None:
            state.unknown[fact.key] = UnknownAmount(
                kind=fact.kind.value, order_id=None, z0=None, z1=None, at_ms=fact.at_ms
            )
        if fact.derived:
            state.derived[fact.key] = f"funding:{fact.asset}:{fact.at_ms}"
        _publish_income(turn, fact, tuple(sorted(set(replaced))))
    turn.move_wallet(sub(capital_raw(state), before))


def _book(turn: Turn, fact: IncomeFact, sign: int) -> None:
    sums = turn.state.sums
    amount = mul(fact.amount or ZERO, Decimal(sign))
    if fact.kind is IncomeKind.FUNDING:
        sums.funding = add(sums.funding, amount)
        if sign > 0:
            turn.state.stated.last_funding = fact.amount
    elif fact.kind is IncomeKind.TRANSFER:
        sums.transfers = add(sums.transfers, amount)
    else:
        sums.other_income = add(sums.other_income, amount)


def _publish_income(turn: Turn, fact: IncomeFact, replaces: tuple[int, ...]) -> None:
    numbers = turn.state.income_numbers
    body: dict[str, object] = {
        "kind": fact.kind.value,
        "name": fact.name,
        "amount": plain_or_none(fact.amount),
        "asset": fact.asset,
        "symbol": fact.symbol,
        "tran_id": fact.tran_id,
        "at": rfc3339_ms(fact.at_ms),
        "sources": list(fact.sources),
        "provisional": fact.provisional,
    }
    if fact.derived:
        body["derived"] = True
    if replaces:
        body["replaces"] = list(replaces)
    turn.draft(
        RecordType.INCOME,
        fact.key,
        body,
        replaces=replaces,
        numbered=lambda seq: numbers.__setitem__(fact.key, seq),
    )
