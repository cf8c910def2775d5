"""Why the ledgers differ: a bounded search over named candidates for the one, or the few, that make the difference.

What enters: a divergence and the fold's state. What leaves: `Attribution`s, or one that says what was tried. What
holds: a difference counts as explained only by amounts that add up to it exactly, or within what rounded sources leave
open; nothing here changes a ledger, and nothing that is not known is assumed to be 0. (account.md §6)
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from ditad.candidates import (
    OF_KIND,
    STEP,
    Candidate,
    baseline,
    contradicted,
    each_alone,
    forced,
    moved_alone,
    rounded,
    rows_not_counted,
    uncovered,
    untold_fees,
    untold_funding,
    waiting,
    witnessed,
)
from ditad.causes import Attribution, Cause
from ditad.events import PositionSide
from ditad.incomes import told_before
from ditad.money import DERIVED, ZERO, add, exact_sum, mul, plain, ratio, sub
from ditad.reconcile import DivergenceClass
from ditad.state import Divergence, State, StatedPosition, key_of
from ditad.statements import leverage_of, mark_of, marks_of

NOTHING = "no fact was found that could explain it"

NO_CLOSE = "no fill, forced order or row tells the close: only adopt ends this"

CANDIDATES_MAX = 24
"""Candidates that are put together; the nearest in time first."""

TOGETHER_MAX = 3
"""A difference is looked for as the sum of so many causes at most: more would be chance."""

WINDOWS = 2
"""Settle windows before a divergence was opened from which a fact may be its cause."""

STATED_US_MAX = 30_000_000
"""How much later than an audit is due E may be stated by it: a round takes its time, and one may be under way."""

FAR = Decimal("0.05")
"""A close further from the entry than this share of it is not believed to be what moved the wallet."""

NEAR = Decimal("0.005")
"""Where a mark is known, that is how far from it such a close may have been, fees included: reports are seconds apart."""

TOO_YOUNG = frozenset({DivergenceClass.CONFIRMING, DivergenceClass.QUESTION_FAILED, DivergenceClass.AMOUNT_UNKNOWN})
"""Classes of a difference of which not everything has been asked: absence proves nothing yet."""


def attribute(state: State, known: Divergence) -> list[Attribution]:
    """Explain a divergence as it stands."""
    match known.rule:
        case "R1":
            return _wallet(state, known)
        case "R2":
            candidates = [*contradicted(state, profit_only=True), *_other_entries(state), *rounded(state)]
            return searched(known.delta, candidates)
        case "R3":
            return _quantity(state, known)
        case "R4" if known.klass == DivergenceClass.MARK_PRICE_STALENESS:
            return _mark_age(state, known)
        case "R5":
            return _margin(state, known)
        case "FILL":
            return _told_differently(state, known)
        case "FUNDING":
            return _funding(state, known)
        case "B":
            return _bots_own(known)
        case "INCOME":
            return _income(state, known)
        case _:
            return _as_positions(state, known)


def _is_asked(known: Divergence) -> bool:
    """Say whether everything has been asked since a difference arose: only then does absence prove anything."""
    return known.klass not in TOO_YOUNG


def since_us(state: State, known: Divergence) -> int:
    """Say since when a fact may be what E lacks: those before were settled when the difference began to show."""
    assert state.settings is not None, "the journal begins with the settings in force"
    twins = state.wallet_twins
    if known.rule == "R3":
        twins = state.quantity_twins[key_of(state, known.symbol or "", known.side or "")]
        if state.one_way:  # across zero the same difference is another side's
            return twins.agreed_us + 1
    return max(known.first_us - WINDOWS * state.settings.settle_window_us, twins.agreed_us + 1)


# ---- the search -----------------------------------------------------------------------------------------------------


def searched(
    delta: Decimal,
    candidates: Iterable[Candidate],
    tried: Sequence[str] = (),
    slack: Decimal = ZERO,
) -> list[Attribution]:
    """Find the fewest candidates that add up to the difference; what is exact goes before what is nearly so.

    `slack` is what rounded sources leave open in K itself.
    """
    looked = [candidate for candidate in candidates if candidate.amount or candidate.slack][:CANDIDATES_MAX]
    wanted, amounts = _steps(delta), [_steps(candidate.amount) for candidate in looked]
    slacks = [_steps(candidate.slack) + 1 for candidate in looked]
    places = _together(wanted, amounts, [0] * len(looked), 1)
    exactly = places is not None
    if places is None:
        places = _together(wanted, amounts, slacks, _steps(slack))
    if places is not None:
        chosen = [looked[place] for place in places]
        return [_attribution(candidate, exact=exactly and not candidate.slack) for candidate in chosen]
    causes = [f"{candidate.cause.value} {plain(candidate.amount)} ({candidate.ids[0]})" for candidate in looked]
    return [Attribution(cause=Cause.UNEXPLAINED, amount=delta, tried=(*causes, *tried) or (NOTHING,))]


def _together(wanted: int, amounts: Sequence[int], slacks: Sequence[int], open_: int) -> tuple[int, ...] | None:
    """Find the fewest amounts, the first ones of those, whose sum is as near as `open_` and their slacks together allow.

    All but the last are tried in their order; the last one is looked up among the sorted amounts: most find none there.
    """
    order = sorted(range(len(amounts)), key=amounts.__getitem__)
    ordered = [amounts[place] for place in order]
    widest = max(slacks, default=0)
    for size in range(TOGETHER_MAX):
        for places in itertools.combinations(range(len(amounts)), size):
            rest, reach = wanted, open_
            for place in places:
                rest, reach = rest - amounts[place], reach + slacks[place]
            low = bisect_left(ordered, rest - reach - widest)
            if low == len(ordered) or ordered[low] > rest + reach + widest:
                continue
            behind = places[-1] if places else -1
            near = order[low : bisect_right(ordered, rest + reach + widest, low)]
            fits = [p for p in near if p > behind and abs(amounts[p] - rest) <= reach + slacks[p]]
            if fits:
                return (*places, min(fits))
    return None


def _steps(amount: Decimal) -> int:
    """Count an amount in the exchange's smallest steps: thousands of sums are tried."""
    return int(DERIVED.divide(amount, STEP).to_integral_value())


def _attribution(candidate: Candidate, *, exact: bool) -> Attribution:
    return Attribution(
        cause=candidate.cause,
        ids=candidate.ids,
        amount=candidate.amount,
        exact=exact,
        evidence=candidate.evidence,
    )


# ---- R1: the wallet -------------------------------------------------------------------------------------------------


def _wallet(state: State, known: Divergence) -> list[Attribution]:
    assert state.settings is not None, "the journal begins with the settings in force"
    from_us = known.first_us - state.settings.audit_interval_us - STATED_US_MAX  # E was stated once more since then
    candidates = [
        *moved_alone(state, since_us(state, known), asked=_is_asked(known)),
        *contradicted(state),
        *forced(state),
        *witnessed(state, from_us // 1_000 + (state.offset_ms or 0)),
        *rows_not_counted(state),
        *untold_funding(state),
        *untold_fees(state),
    ]
    slack = state.sums.slack
    certain = [_attribution(candidate, exact=True) for candidate in baseline(state)]
    left = sub(known.delta, exact_sum(one.amount or ZERO for one in certain))
    if certain and abs(left) <= add(STEP, slack):
        return certain
    found = searched(left, candidates, waiting(state), slack)
    if found[0].cause is Cause.UNEXPLAINED and _is_asked(known):
        found = _of_untold_closes(state, left) or found
    return [*certain, *found]


def _of_untold_closes(state: State, delta: Decimal) -> list[Attribution]:
    """Read a wallet's difference as the profit of positions that are gone untold, where that is a price to believe."""
    gone = [
        other
        for other in state.divergences.values()
        if other.rule == "R3" and other.k and any(found.cause is Cause.UNTOLD_CLOSE for found in other.attribution)
    ]
    if len(gone) != 1 or gone[0].symbol is None or gone[0].side is None:
        return []
    run = state.positions[key_of(state, gone[0].symbol, gone[0].side)].run
    entry = run.entry_price
    if entry is None:
        return []
    long = gone[0].side == PositionSide.LONG
    lost = ratio(abs(gone[0].delta), Decimal(1))
    price = add(entry, ratio(-delta if long else delta, lost))
    mark = mark_of(state, gone[0].symbol)
    believed = mul(entry, FAR) if mark is None else mul(mark.price, NEAR)
    if abs(sub(price, entry if mark is None else mark.price)) > believed:
        return []
    return [
        Attribution(
            cause=Cause.UNTOLD_CLOSE,
            ids=(f"position:{gone[0].symbol}:{gone[0].side}",),
            amount=delta,
            evidence=f"as if {plain(lost)} had been closed at about {plain(price)}, fees included; nobody tells it",
        )
    ]


# ---- R3: quantities -------------------------------------------------------------------------------------------------


def _quantity(state: State, known: Divergence) -> list[Attribution]:
    assert known.symbol is not None, "R3 names its symbol"
    assert known.side is not None, "R3 names its side"
    key = key_of(state, known.symbol, known.side)
    stated = state.stated.positions.get(key)
    if not _is_asked(known) and stated is not None and _is_glitch(state, known, key, stated):
        return [
            Attribution(
                cause=Cause.STATEMENT,
                ids=(f"position:{key}",),
                amount=known.delta,
                evidence=f"a frame states {plain(abs(stated.quantity))}; entry and wallet stay as they were",
            )
        ]
    from_us = since_us(state, known)
    both = key.endswith(PositionSide.BOTH)
    sign = Decimal(-1 if both and known.side == PositionSide.SHORT else 1)
    delta = _net_delta(state, key) if both else known.delta
    crosses = both and delta != mul(known.delta, sign)  # K is long and E short, or the other way round
    sign, delta = (Decimal(1), delta) if crosses else (sign, known.delta)
    moved = [
        (move, mul(move.quantity, sign)) for move in reversed(state.moves) if move.key == key and move.at_us >= from_us
    ]
    candidates = [
        *each_alone(state, moved, asked_us=state.stated.positions_asked_us if _is_asked(known) else None),
        *uncovered(state, key, sign),
    ]
    found = searched(delta, candidates, waiting(state))
    if found[0].cause is not Cause.UNEXPLAINED or not _is_asked(known):
        return [replace(one, amount=known.delta) for one in found] if crosses and len(found) == 1 else found
    return _untold_close(known) or (_untold_crossing(state, known, key) if crosses else found)


def _net_delta(state: State, key: str) -> Decimal:
    """Give how far K and E are apart in a position that can cross zero."""
    position = state.positions.get(key)
    held = position.run.quantity if position is not None else ZERO
    return sub(held, state.quantity_twins[key].statements[-1].value)


def _is_glitch(state: State, known: Divergence, key: str, stated: StatedPosition) -> bool:
    """Say whether a push alone states another quantity, while its entry and the wallet are as K has them."""
    position = state.positions.get(key)
    entry = position.run.entry_price if position is not None else None
    if stated.source != "push" or entry is None or stated.entry_price is None or known.e is None:
        return False
    near = position is not None and abs(sub(entry, stated.entry_price)) <= (position.tick or ZERO)
    wallet = state.divergences.get("capital_vs_wallet")
    return near and wallet is None and bool(known.e) and not any(move.key == key for move in state.moves)


def _untold_close(known: Divergence) -> list[Attribution]:
    """Say of a position that E has no more, or less of, that nobody told how it was closed."""
    if known.k is None or known.e is None or known.delta <= 0 or known.e < 0:
        return []
    evidence = f"K holds {plain(known.k)}, the exchange states {plain(known.e)}; {NO_CLOSE}"
    ids = (f"position:{known.symbol}:{known.side}",)
    return [Attribution(cause=Cause.UNTOLD_CLOSE, ids=ids, amount=known.delta, evidence=evidence)]


def _untold_crossing(state: State, known: Divergence, key: str) -> list[Attribution]:
    """Say of the side that E has and K has not, in one position: what K has was closed untold, and E went on from there."""
    held = state.positions[key].run.quantity
    side = PositionSide.LONG if held > 0 else PositionSide.SHORT
    evidence = (
        f"K holds {plain(abs(held))} {side}, the exchange states {plain(known.e or ZERO)} {known.side}; {NO_CLOSE}"
    )
    ids = (f"position:{known.symbol}:{side}",)
    return [Attribution(cause=Cause.UNTOLD_CLOSE, ids=ids, amount=known.delta, evidence=evidence)]


# ---- R2: profits ----------------------------------------------------------------------------------------------------


def _other_entries(state: State) -> Iterator[Candidate]:
    """Positions that K holds otherwise than the exchange for a named reason: their closes have another entry."""
    for other in state.divergences.values():
        if other.rule != "R3" or other.symbol is None or other.side is None or not other.attribution:
            continue
        because, key = other.attribution[0], key_of(state, other.symbol, other.side)
        position = state.positions.get(key)
        if because.cause is Cause.UNEXPLAINED or position is None:
            continue
        off = sub(position.run.realized_compared, position.run.stated_compared)
        evidence = f"K holds {key} otherwise, so the entry of its closes is another one"
        yield Candidate(cause=because.cause, ids=because.ids, amount=off, evidence=evidence)


# ---- the other rules ------------------------------------------------------------------------------------------------


def _mark_age(state: State, known: Divergence) -> list[Attribution]:
    found = []
    for stated in state.stated.positions.values():
        own = mark_of(state, stated.symbol)
        if own is None or stated.mark_price is None or stated.mark_us is None or own.price == stated.mark_price:
            continue
        ours, theirs = (
            f"{plain(price)} is {(state.at_us - at_us) / 1_000_000:.1f} s old"
            for price, at_us in ((own.price, own.at_us), (stated.mark_price, stated.mark_us))
        )
        evidence = f"K's mark {ours}, E's {theirs}"
        amount = mul(abs(stated.quantity), sub(own.price, stated.mark_price))
        found.append(
            Attribution(cause=Cause.MARK_AGE, ids=(f"mark:{stated.symbol}",), amount=amount, evidence=evidence)
        )
    return found[:CANDIDATES_MAX] or [Attribution(cause=Cause.UNEXPLAINED, amount=known.delta, tried=("mark_age",))]


def _margin(state: State, known: Divergence) -> list[Attribution]:
    """Explain the margin in use by leverages that K and E have differently."""
    marks = marks_of(state)
    candidates = []
    for key, position in state.positions.items():
        run, stated, mark = position.run, state.stated.positions.get(key), marks.get(position.symbol)
        ours = leverage_of(state, key, run.quantity)
        theirs = stated.leverage if stated is not None else None
        if not run.quantity or mark is None or ours is None or not theirs or ours == theirs:
            continue
        value = mul(abs(run.quantity), mark)
        amount = sub(ratio(value, ours), ratio(value, theirs))
        evidence = (
            f"K reckons with {plain(ours)}x, E states {plain(theirs)}x: {plain(value)} differs by {plain(amount)}"
        )
        slack = add(state.settings.leverage_rounding_band if state.settings is not None else ZERO, STEP)
        candidates.append(
            Candidate(cause=Cause.LEVERAGE, ids=(f"leverage:{key}",), amount=amount, evidence=evidence, slack=slack)
        )
    differing = any(other.rule == "R3" for other in state.divergences.values())
    return _as_positions(state, known) if differing and not candidates else searched(known.delta, candidates)


def _told_differently(state: State, known: Divergence) -> list[Attribution]:
    """Name what frames and rows of one order tell differently."""
    order_id = known.field.partition(":")[2]
    told = state.contradicted.get(order_id, "")
    candidates = [one for one in contradicted(state) if one.ids == (f"order:{order_id}",)]
    if candidates:
        return [_attribution(one, exact=not one.slack) for one in candidates]
    return [Attribution(cause=Cause.FEE, ids=(f"order:{order_id}",), evidence=told)]


def _funding(state: State, known: Divergence) -> list[Attribution]:
    """Name the settlement whose pushes and rows are apart, with its rows."""
    _, asset, last_ms = known.field.split(":", 2)
    ids = [
        fact.tran_id or fact.key
        for group in state.incomes.groups
        if group.asset == asset and str(group.last_ms()) == last_ms
        for fact in (*group.rows, *group.pushes)
    ]
    evidence = f"{len(ids)} rows and pushes, {plain(known.delta)} apart"
    return [
        Attribution(
            cause=Cause.FUNDING,
            ids=(known.field, *ids[:CANDIDATES_MAX]),
            amount=known.delta,
            exact=True,
            evidence=evidence,
        )
    ]


def _income(state: State, known: Divergence) -> list[Attribution]:
    """Name the happening whose rows tell different amounts."""
    tran_id = known.field.partition(":")[2]
    first = told_before(state.incomes, {tran_id}).get(tran_id)
    cause = Cause.OTHER_INCOME if first is None else OF_KIND[first.kind]
    evidence = f"a row told this happening first, a later one tells {plain(known.delta)} less of what K has"
    return [Attribution(cause=cause, ids=(known.field,), amount=known.delta, exact=True, evidence=evidence)]


def _bots_own(known: Divergence) -> list[Attribution]:
    """Say that it is the bot's books that differ; who stands alone is in the snapshot's verdict."""
    evidence = f"K has {plain(known.k or ZERO)}, the bot says {plain(known.e or ZERO)}: see stands_alone in the verdict"
    return [Attribution(cause=Cause.BOT, ids=(known.field,), amount=known.delta, exact=True, evidence=evidence)]


def _as_positions(state: State, known: Divergence) -> list[Attribution]:
    """R4 and R6 say what R3 says: take its reasons over."""
    of_positions = [other for other in state.divergences.values() if other.rule == "R3"]
    found = list(dict.fromkeys(itertools.chain.from_iterable(other.attribution for other in of_positions)))
    named = [one for one in found if one.cause is not Cause.UNEXPLAINED]
    fields = tuple(other.field for other in of_positions)
    return named or [Attribution(cause=Cause.UNEXPLAINED, amount=known.delta, tried=fields or ("no position differs",))]
