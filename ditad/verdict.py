"""The comparison of both ledgers after every event: findings, doubts, and the life of each divergence.

What enters: a `Turn` whose event has been folded. What leaves: the findings, the status, changed divergences and the
moment at which waiting ends. What holds: a divergence is opened once, logged once, updated quietly and closed once;
a failed question is UNKNOWN, never an empty answer. (account.md §5, §6)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from operator import is_

from ditad import opinions, reconcile
from ditad.book import EXACT_ENTRY, ROUNDED_ENTRY
from ditad.divergences import ASKED, follow_divergences, follow_inquiries
from ditad.events import PositionSide
from ditad.kept import Memory, Quantities, Totals, Valued, doubtful, valued_of
from ditad.money import ZERO, add, mul, plain, sub
from ditad.reconcile import SEVERITY, DivergenceClass, Finding, ReconcileResult, ReconcileStatus
from ditad.records import rfc3339
from ditad.settle import Balance, Standing, balance
from ditad.state import ProfitOff, State, key_of
from ditad.statements import mark_price_of
from ditad.turn import Turn, capital_raw, tolerance

BEING_ASKED = frozenset({DivergenceClass.CONFIRMING, DivergenceClass.QUESTION_FAILED, DivergenceClass.AMOUNT_UNKNOWN})
"""Classes of a difference whose facts may not all be known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A reason, beside the fields, why no honest comparison is possible."""

    klass: DivergenceClass
    field: str
    text: str

    @property
    def explanation(self) -> str:
        """Give the one-line form."""
        return f"{self.klass}|{self.field}|{self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the comparison said: the result, its findings, whether K's wallet agrees with E's, and who stands alone.

    `spoken` are those of `findings` whose delta may be another than 0.
    """

    result: ReconcileResult
    findings: tuple[Finding, ...]
    spoken: list[Finding] = field(repr=False, compare=False)
    wallet: Standing
    settled: bool
    alone: tuple[opinions.Alone, ...] = ()


AGREEING = frozenset({Standing.SETTLED, Standing.SILENT})
"""How a field stands of which nothing says that the ledgers differ."""

FLAT, UNVALUED = Valued(spoke=True), Valued()
"""What a position is worth that nobody holds, and one whose mark nobody told."""

EQUAL = Balance(standing=Standing.SETTLED, delta=ZERO, residual=ZERO, deadline_us=None)
"""How a position stands of which both ledgers say the same, and nothing waits."""


def compare(turn: Turn, memory: Memory) -> Verdict:
    """Run every rule on the present state, and let divergences follow."""
    state = turn.state
    now = turn.event.at_us
    memory.hear(turn)
    k, allowed = capital_raw(state), tolerance(turn)
    wallet = balance(state.wallet_twins, k, allowed, now)
    stands = [wallet]
    first: list[Finding] = []
    if wallet.standing is not Standing.SILENT:
        e = state.wallet_twins.statements[-1].value
        first.append(_twin_finding(turn, "R1", reconcile.R1_FIELD, wallet, (k, e), allowed))
    quantities, unequal = _quantities(turn, memory)
    totals = memory.totals(state)
    stands += unequal
    more = [_await_fills(turn, _realized(turn, memory, totals), stands, [*first, *quantities.unsaid])]
    deadlines = [stand.deadline_us for stand in stands if stand.deadline_us is not None]
    if state.profit_off is not None:
        deadlines.append(state.profit_off.waits_until_us(turn.settings.settle_window_us))
    otherwise = _of_quantities(quantities.unsaid)
    waiting = quantities.waiting
    if otherwise[1] is DivergenceClass.UNSETTLED:
        waiting = []  # nothing but these differs: then they are what all positions together say
    more += _notional(turn, memory, waiting, otherwise)
    if state.margin is not None:
        finding = _margin_finding(state, turn)
        if finding is not None:
            more.append(finding)
    if state.stated.positions_us is not None or state.stated.positions:
        more.append(_open_count(memory, totals, waiting, otherwise))
    if state.funding_differences and wallet.standing is Standing.SETTLED:
        deadlines.append(now + 1)  # they are over as soon as they are told
    more += _contradictions(turn, wallet.standing)
    opinion = opinions.compare(turn, quantities.findings, first[0] if first else None)
    more += opinion.findings
    deadlines += opinion.deadlines
    doubts_of_facts = _doubts_of_facts(state, totals)
    spoken = [*first, *quantities.unsaid, *more]  # a position of which there is nothing to say changes no divergence
    unsaid = [finding for finding in spoken if finding.klass is not None]
    findings = (*first, *quantities.findings, *more)
    if unsaid or state.inquiries:
        follow_inquiries(turn, unsaid)
    if unsaid or state.divergences or state.lasting:
        follow_divergences(turn, spoken, findings)
    state.deadline_us = min([deadline for deadline in deadlines if deadline > now], default=None)
    deltas = {one.field: one.delta for one in first}
    deltas.update(memory.zeros(quantities.fields))
    deltas.update([(one.field, one.delta) for one in (*quantities.unsaid, *more)])
    told = rfc3339(now)
    if unsaid:
        result = reconcile.result_of(spoken, told, deltas)
    else:
        result = ReconcileResult(status=ReconcileStatus.OK, deltas=deltas, ts=told)
    doubts = [*doubts_of_facts, *_doubts(state)]
    settled = not doubts_of_facts and all(stand.standing in AGREEING for stand in stands)
    return Verdict(
        result=_with_doubts(result, doubts) if doubts else result,
        findings=findings,
        spoken=spoken,
        wallet=wallet.standing,
        settled=settled,
        alone=opinion.alone,
    )


def _quantities(turn: Turn, memory: Memory) -> tuple[Quantities, list[Balance]]:
    """R3: give the findings of every position, and how those stand of which the ledgers do not plainly say the same."""
    state = turn.state
    all_twins, positions, kept, one_way = state.quantity_twins, state.positions, memory.quantities, state.one_way
    due, waiting = kept.due(all_twins), memory.waiting
    if waiting:
        due = list(dict.fromkeys([*due, *[key for key in waiting if key in all_twins]]))
        waiting.clear()
    unequal: list[Balance] = []
    for key in due:
        twins, position = all_twins[key], positions.get(key)
        held = ZERO if position is None else position.runs[-1].quantity if position.runs else position.base.quantity
        statements = twins.statements
        if (twins.facts or twins.confirmed is not None or len(statements) != 1 or statements[0].value != held) and (
            stand := balance(twins, held, ZERO, turn.event.at_us)
        ).standing is not Standing.SETTLED:
            unequal.append(stand)
            waiting[key] = None
            kept.put(key, None, _quantity_findings(turn, key, stand, held))
            continue
        stated = twins.statements[0].value
        known = kept.held.get(key)
        if (
            known is None
            or (parts := known[0]) is None
            or parts[0] is not held
            or parts[1] is not stated
            or (parts[2] is not one_way)
        ):
            kept.put(key, (held, stated, one_way), _quantity_findings(turn, key, EQUAL, held))
    return kept.whole(), unequal


def _otherwise(turn: Turn, name: str, standing: Standing, delta: Decimal) -> tuple[ReconcileStatus, DivergenceClass]:
    """Say what a difference amounts to: waiting, being asked about, unanswered, or confirmed.

    What was asked before it was this much proves nothing of it, unless it was a confirmed divergence already.
    """
    if standing in {Standing.UNSETTLED, Standing.SETTLED}:
        return ReconcileStatus.WARN, DivergenceClass.UNSETTLED
    inquiry, known = turn.state.inquiries.get(name), turn.state.divergences.get(name)
    confirmed = inquiry is not None and inquiry.confirmed
    proven = confirmed and known is not None and known.state == "confirmed"  # what came up since does not take it back
    if not proven and (turn.state.incomplete or (turn.state.unknown and name == reconcile.R1_FIELD)):
        return ReconcileStatus.UNKNOWN, DivergenceClass.AMOUNT_UNKNOWN
    if proven or (confirmed and inquiry is not None and plain(delta) in inquiry.seen):
        return ReconcileStatus.ERROR, DivergenceClass.MISMATCH
    if inquiry is not None and inquiry.failed:
        return ReconcileStatus.UNKNOWN, DivergenceClass.QUESTION_FAILED
    return ReconcileStatus.WARN, DivergenceClass.CONFIRMING


def _twin_finding(
    turn: Turn, rule: str, name: str, stand: Balance, figures: tuple[Decimal, Decimal], allowed: Decimal
) -> Finding:
    k, e = figures
    return reconcile.judge(
        rule=rule,
        name=name,
        k=k,
        e=e,
        delta=stand.delta,
        tolerance=allowed,
        otherwise=_otherwise(turn, name, stand.standing, stand.delta),
    )


def _sides(key: str, quantity: Decimal) -> dict[str, Decimal]:
    """Give a key's quantity as LONG and SHORT with qty >= 0, as it is shown outside."""
    side = key.rpartition(":")[2]
    if side != PositionSide.BOTH:
        return {side: quantity}
    return {PositionSide.LONG.value: max(quantity, ZERO), PositionSide.SHORT.value: max(-quantity, ZERO)}


def _quantity_findings(turn: Turn, key: str, stand: Balance, held: Decimal) -> list[Finding]:
    """R3, for one position; a one-way position speaks for the sides on which anybody has something."""
    assert stand.standing is not Standing.SILENT, "what nobody named the baseline stated flat"
    symbol = key.rpartition(":")[0]
    stated = turn.state.quantity_twins[key].statements[-1].value
    if turn.state.one_way and not key.endswith(PositionSide.BOTH) and not held and not stated:
        return []  # flat, from before the account was known to be in one-way mode
    found = []
    ours, theirs = _sides(key, held), _sides(key, stated)
    for side, k in ours.items():
        e = theirs[side]
        if len(ours) > 1 and not k and not e and not (side == PositionSide.LONG and not held and not stated):
            continue
        name = f"position_qty:{symbol}:{side}"
        found.append(
            reconcile.judge(
                rule="R3",
                name=name,
                k=k,
                e=e,
                delta=sub(k, e),
                tolerance=ZERO,
                otherwise=_otherwise(turn, name, stand.standing, sub(k, e)),
                symbol=symbol,
                side=side,
            )
        )
    return found


def _realized(turn: Turn, memory: Memory, totals: Totals) -> Finding:
    state = turn.state
    basis = state.decisions.get("entry_basis")
    if basis is None:
        exact, rounded = totals.votes_exact, totals.votes_rounded
        if exact and not rounded:
            turn.decide("entry_basis", EXACT_ENTRY, f"{exact} closes fit the exact entry alone")
        elif rounded and not exact:
            turn.decide("entry_basis", ROUNDED_ENTRY, f"{rounded} closes fit the entry rounded to the tick alone")
    parts = totals, state.sums.realized_slack, basis, turn.settings
    found: Finding = memory.findings.of("R2", parts, partial(_realized_finding, turn, totals, basis))
    return found


def _realized_finding(turn: Turn, totals: Totals, basis: str | None) -> Finding:
    state = turn.state
    precision = add(state.sums.realized_slack, totals.realized_slack)
    finding = reconcile.realized(
        book=totals.realized_compared,
        stated=totals.stated_compared,
        closes=totals.closes,
        closed_ticks=ZERO if basis == EXACT_ENTRY else totals.closed_ticks,
        precision=precision,
        tick_known=not totals.untold,
        rounding=turn.settings.realized_rounding,
    )
    strict = add(mul(Decimal("0.00000001"), Decimal(totals.closes)), precision)
    if finding.klass is None and abs(finding.delta) > strict:
        return replace(finding, klass=DivergenceClass.ENTRY_ROUNDING)
    return finding


def _await_fills(turn: Turn, finding: Finding, stands: list[Balance], findings: list[Finding]) -> Finding:
    """Let R2 wait while a fill may be on its way: a close that came before an earlier open has another entry.

    It waits on its own clock; then it follows what R1 and R3 are being asked about, else it is ERROR.
    """
    state, now = turn.state, turn.event.at_us
    if finding.status is not ReconcileStatus.ERROR:
        state.profit_off = None
        return finding
    off = state.profit_off
    if off is None:
        off = state.profit_off = ProfitOff(since_us=now, delta=finding.delta, moved_us=now)
    elif off.delta != finding.delta:
        off.delta, off.moved_us = finding.delta, now
    known = state.divergences.get(finding.field)
    if known is not None and known.state == "confirmed":
        return finding
    if known is None and (state.unknown or state.incomplete):  # an entry or a profit may be one of those not told yet
        return replace(finding, status=ReconcileStatus.UNKNOWN, klass=DivergenceClass.AMOUNT_UNKNOWN)
    waits = now < off.waits_until_us(turn.settings.settle_window_us)
    if waits and any(stand.standing is Standing.UNSETTLED for stand in stands):
        return replace(finding, status=ReconcileStatus.WARN, klass=DivergenceClass.UNSETTLED)
    asked = [other for other in findings if other.rule in ASKED and other.klass in BEING_ASKED]
    worst = max(asked, key=lambda other: SEVERITY[other.status], default=finding)
    return replace(finding, status=worst.status, klass=worst.klass)


def _notional(
    turn: Turn, memory: Memory, waiting: list[Finding], otherwise: tuple[ReconcileStatus, DivergenceClass]
) -> list[Finding]:
    """R4: it speaks if both are flat everywhere, or of those positions whose mark somebody told, but for `waiting`."""
    state, settings, kept = turn.state, turn.settings, memory.valued
    for key in kept.due(state.quantity_twins):
        found, row, known = memory.quantities.held[key][1], state.stated.positions.get(key), kept.held.get(key)
        open_ = 1 if row is not None and row.quantity else 0
        marks = [_marks(state, key, one) for one in found]
        parts = (settings, found, open_, *itertools.chain.from_iterable(marks))
        if known is None or len(known[0]) != len(parts) or not all(map(is_, known[0], parts)):
            each = [_valued(turn, *one) for one in zip(found, marks, strict=True)]
            worth = each[0] if len(each) == 1 else valued_of(each)
            kept.put(key, parts, worth._replace(open=1) if open_ else worth)
    total = kept.whole()
    if waiting:
        every = [(key, one) for key, (_, found) in memory.quantities.held.items() for one in found]
        total = valued_of([_valued(turn, one, _marks(state, key, one)) for key, one in every if one not in waiting])
    if not total.spoke:
        return []
    make = partial(
        reconcile.notional,
        k_at_e=total.k,
        e_at_e=total.e,
        k_own=total.own,
        stale=total.stale,
        epsilon=turn.settings.capital_epsilon,
        otherwise=otherwise,
    )
    return [memory.findings.of("R4", (total, turn.settings, *otherwise), make)]


def _marks(state: State, key: str, finding: Finding) -> tuple[Decimal | None, Decimal | None]:
    """Give E's mark of a position and K's own (`None`: nobody told it)."""
    assert finding.symbol is not None, "R3 names its symbol"
    assert finding.side is not None, "R3 names its side"
    if state.one_way or not key.endswith(finding.side):
        key = key_of(state, finding.symbol, finding.side)
    row = state.stated.positions.get(key)
    return None if row is None else row.mark_price, mark_price_of(state, finding.symbol)


def _valued(turn: Turn, finding: Finding, marks: tuple[Decimal | None, Decimal | None]) -> Valued:
    """Value both quantities at E's mark (where it told none: K's), and see if the marks are too far apart."""
    k, e = finding.k, finding.e
    assert k is not None, "R3 has both figures"
    assert e is not None, "R3 has both figures"
    if not k and not e:
        return FLAT
    mark, own = marks
    price = own if mark is None else mark
    if price is None:
        return UNVALUED
    mine = price if own is None else own
    stale = mark is not None and abs(sub(mine, mark)) > mul(mine, turn.settings.mark_staleness_factor)
    return Valued(mul(k, price), mul(e, price), mul(k, mine), True, stale)


def _of_quantities(quantities: list[Finding]) -> tuple[ReconcileStatus, DivergenceClass]:
    """Give the worst standing of the quantities: R4 and R6 say what R3 says, never more and never less."""
    worst = max(
        (finding for finding in quantities if finding.klass is not None),
        key=lambda finding: SEVERITY[finding.status],
        default=None,
    )
    if worst is None or worst.klass is None:
        return ReconcileStatus.ERROR, DivergenceClass.MISMATCH
    return worst.status, worst.klass


def _margin_finding(state: State, turn: Turn) -> Finding | None:
    seen = state.margin
    assert seen is not None, "asked for only when a report stated the margin"
    basis = state.decisions.get("margin_basis")
    candidates = list(seen.at_mark) if basis in {None, "mark"} else []
    if seen.at_entry is not None and basis in {None, "entry"}:
        candidates.append(seen.at_entry)
    if not candidates:
        return None
    best = min(candidates, key=lambda figure: abs(sub(figure, seen.stated)))
    return reconcile.margin(
        k=best,
        e=seen.stated,
        epsilon=turn.settings.capital_epsilon,
        band=turn.settings.leverage_rounding_band,
    )


def _open_count(
    memory: Memory, totals: Totals, waiting: list[Finding], otherwise: tuple[ReconcileStatus, DivergenceClass]
) -> Finding:
    """R6, but for positions that only wait for their twin beside others that truly differ."""
    ours = totals.open - sum([1 for finding in waiting if finding.k])
    theirs = memory.valued.whole().open - sum([1 for finding in waiting if finding.e])
    make = partial(reconcile.open_positions, k=ours, e=theirs, otherwise=otherwise)
    found: Finding = memory.findings.of("R6", (ours, theirs, *otherwise), make)
    return found


def _contradictions(turn: Turn, wallet: Standing) -> list[Finding]:
    """FILL, FUNDING, INCOME: what was told twice and differently.

    Once the wallet agrees with K and its rows, FUNDING is about a push that was lost: a WARN, and over.
    """
    state = turn.state
    findings = [_told_twice("FILL", f"fill:{order_id}", ZERO) for order_id in state.contradicted]
    differing = [_told_twice("FUNDING", name, difference) for name, difference in state.funding_differences.items()]
    if wallet is Standing.SETTLED:
        differing = [replace(one, status=ReconcileStatus.WARN) for one in differing]
        state.funding_differences.clear()
    findings += differing
    findings.extend(_told_twice("INCOME", name, difference) for name, difference in state.income_differences.items())
    if state.derived:  # what statements alone tell is no fact of the exchange's: never OK
        derived = _told_twice("FUNDING", next(reversed(state.derived.values())), ZERO)
        findings.append(replace(derived, status=ReconcileStatus.WARN, klass=DivergenceClass.DERIVED))
    return findings


def _told_twice(rule: str, name: str, delta: Decimal) -> Finding:
    return Finding(
        rule=rule,
        field=name,
        k=None,
        e=None,
        delta=delta,
        tolerance=ZERO,
        status=ReconcileStatus.ERROR,
        klass=DivergenceClass.MISMATCH,
    )


# ---- doubts ---------------------------------------------------------------------------------------------------------


def _doubts_of_facts(state: State, totals: Totals) -> list[Doubt]:
    """Give what K itself cannot know: amounts nobody told, orders that jumped, closes beyond what is open."""
    doubts = []
    if state.unknown:
        doubts.append(
            Doubt(klass=DivergenceClass.AMOUNT_UNKNOWN, field="k", text=f"{len(state.unknown)} amounts not told")
        )
    incomplete = list(state.incomplete)
    if incomplete:
        first = state.orders[incomplete[0]]
        doubts.append(
            Doubt(
                klass=DivergenceClass.GAP,
                field=f"fill:{first.order_id}",
                text=f"{first.incomplete} ({len(incomplete)} orders)",
            )
        )
    for key, text in doubtful(state.positions) if totals.doubtful else ():
        doubts.append(Doubt(klass=DivergenceClass.GAP, field=f"position:{key}", text=text))
    return doubts


def _doubts(state: State) -> list[Doubt]:
    """Give what else is in the way: facts that may be missing, and a wallet never stated."""
    doubts = [
        Doubt(klass=DivergenceClass.GAP, field="coverage", text=f"{gap.id}: {', '.join(gap.causes)}")
        for gap in state.coverage.gaps
        if gap.open
    ]
    if state.stated.wallet is None:
        doubts.append(Doubt(klass=DivergenceClass.NOT_STATED, field="wallet_balance", text="never stated"))
    return doubts


def _with_doubts(result: ReconcileResult, doubts: list[Doubt]) -> ReconcileResult:
    """Make UNKNOWN of everything but an ERROR: there are doubts."""
    status = result.status if result.status is ReconcileStatus.ERROR else ReconcileStatus.UNKNOWN
    worst = result.worst_field if result.status in {ReconcileStatus.ERROR, ReconcileStatus.UNKNOWN} else doubts[0].field
    return ReconcileResult(
        status=status,
        deltas=result.deltas,
        explanations=(*result.explanations, *[doubt.explanation for doubt in doubts]),
        worst_field=worst,
        ts=result.ts,
    )
