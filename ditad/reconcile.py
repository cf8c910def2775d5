"""The rules that compare K and E, as functions from two figures to a finding.

What enters: figures of one moment with their tolerance and how the field stands. What leaves: `Finding`s and the
`ReconcileResult` made of them. What holds: a rule speaks only where E has been stated, and then also when the
statement is zero, negative or "no positions"; unknown is never OK. (account.md §5)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from ditad.money import ZERO, add, mul, number_of, plain


class ReconcileStatus(StrEnum):
    """The verdict; worst first: ERROR, UNKNOWN, WARN, OK."""

    OK = "OK"
    WARN = "WARN"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


SEVERITY = {
    ReconcileStatus.OK: 0,
    ReconcileStatus.WARN: 1,
    ReconcileStatus.UNKNOWN: 2,
    ReconcileStatus.ERROR: 3,
}
"""The order in which statuses are worse than each other."""

R1_FIELD = "capital_vs_wallet"
R2_FIELD = "realized_pnl"
R4_FIELD = "open_notional"
R5_FIELD = "used_margin"
R6_FIELD = "open_positions"


class DivergenceClass(StrEnum):
    """What kind of difference it is; the first word of an explanation."""

    UNSETTLED = "UNSETTLED"
    UNSETTLED_FEE = "UNSETTLED_FEE"
    CONFIRMING = "CONFIRMING"
    QUESTION_FAILED = "QUESTION_FAILED"
    MISMATCH = "MISMATCH"
    ENTRY_ROUNDING = "ENTRY_ROUNDING"
    LOT_STEP_ROUNDING = "LOT_STEP_ROUNDING"
    MARK_PRICE_STALENESS = "MARK_PRICE_STALENESS"
    LEVERAGE_ROUNDING = "LEVERAGE_ROUNDING"
    MARGIN_BASIS = "MARGIN_BASIS"
    GAP = "GAP"
    AMOUNT_UNKNOWN = "AMOUNT_UNKNOWN"
    DERIVED = "DERIVED"
    NOT_STATED = "NOT_STATED"
    BOT_DIFFERS = "BOT_DIFFERS"


@dataclass(frozen=True, slots=True)
class ReconcileConfig:
    """The bounds of the rules, in the margin asset's units unless said otherwise. (account.md §4)

    `lot_step` is a quantity; `mark_staleness_factor` is a fraction of the mark.
    """

    capital_epsilon: Decimal = Decimal("0.0001")
    pending_fee_bound: Decimal = Decimal(20)
    realized_rounding: Decimal = Decimal("0.05")
    lot_step: Decimal = Decimal("0.001")
    mark_staleness_factor: Decimal = Decimal("0.003")
    leverage_rounding_band: Decimal = Decimal(2)

    def __post_init__(self) -> None:
        """Take numbers in any exact form; raises `ValueError` where one is none, or negative."""
        for bound in fields(self):
            value = number_of(getattr(self, bound.name), bound.name)
            if value < 0:
                raise ValueError(f"{bound.name}: a bound is not negative, got {value}")
            object.__setattr__(self, bound.name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule found for one field. `delta` is K − E; `klass` is `None` when there is nothing to say."""

    rule: str
    field: str
    symbol: str | None = None
    side: str | None = None
    k: Decimal | None
    e: Decimal | None
    delta: Decimal
    tolerance: Decimal
    status: ReconcileStatus
    klass: DivergenceClass | None

    @property
    def explanation(self) -> str:
        """Give the one-line form."""
        return f"{self.klass}|{self.field}|delta={plain(self.delta)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileResult:
    """The verdict over all fields. `deltas[field]` = K − E; `explanations` has a line for each that is not OK."""

    status: ReconcileStatus
    deltas: Mapping[str, Decimal] = field(default_factory=dict)
    explanations: tuple[str, ...] = ()
    worst_field: str = ""
    ts: datetime | int | float | str | None = None


def result_of(
    findings: Iterable[Finding],
    ts: datetime | float | str | None = None,
    deltas: Mapping[str, Decimal] | None = None,
) -> ReconcileResult:
    """Put findings together: the worst status, every delta, and the worst field by status and then by size.

    With `deltas`, which are those of all findings, such with nothing to say may be left out.
    """
    found = list(findings)
    every = {one.field: one.delta for one in found} if deltas is None else deltas
    status = max((finding.status for finding in found), key=SEVERITY.__getitem__, default=ReconcileStatus.UNKNOWN)
    worst = ""
    if status is not ReconcileStatus.OK and found:
        worst = max((one for one in found if one.status is status), key=lambda finding: abs(finding.delta)).field
    return ReconcileResult(
        status=status,
        deltas=every,
        explanations=tuple(finding.explanation for finding in found if finding.klass is not None),
        worst_field=worst,
        ts=ts,
    )


def judge(
    *,
    rule: str,
    name: str,
    k: Decimal,
    e: Decimal,
    delta: Decimal,
    tolerance: Decimal,
    otherwise: tuple[ReconcileStatus, DivergenceClass],
    symbol: str | None = None,
    side: str | None = None,
) -> Finding:
    """Find a delta within its tolerance OK, and what the caller says otherwise."""
    fine = abs(delta) <= tolerance
    return Finding(
        rule=rule,
        field=name,
        symbol=symbol,
        side=side,
        k=k,
        e=e,
        delta=delta,
        tolerance=tolerance,
        status=ReconcileStatus.OK if fine else otherwise[0],
        klass=None if fine else otherwise[1],
    )


def realized(
    *,
    book: Decimal,
    stated: Decimal,
    closes: int,
    closed_ticks: Decimal,
    precision: Decimal,
    tick_known: bool,
    rounding: Decimal,
) -> Finding:
    """R2: the book's own profit against Σ stated `rp` over the same fills.

    OK within 1e-8 a close plus Σ qty·half a tick (`closed_ticks`, 0 once the entry basis is decided to be exact).
    """
    delta = add(book, -stated)
    strict = add(mul(Decimal("0.00000001"), Decimal(closes)), precision)
    tolerance = add(strict, closed_ticks)
    if not tick_known and abs(delta) > tolerance and abs(delta) <= add(rounding, precision):
        otherwise = (ReconcileStatus.WARN, DivergenceClass.LOT_STEP_ROUNDING)
    else:
        otherwise = (ReconcileStatus.ERROR, DivergenceClass.MISMATCH)
    return judge(rule="R2", name=R2_FIELD, k=book, e=stated, delta=delta, tolerance=tolerance, otherwise=otherwise)


def notional(
    *,
    k_at_e: Decimal,
    e_at_e: Decimal,
    k_own: Decimal,
    stale: bool,
    epsilon: Decimal,
    otherwise: tuple[ReconcileStatus, DivergenceClass],
) -> Finding:
    """R4: Σ|qty|·mark of both at E's mark; where that agrees, whether their own marks are too far apart.

    `otherwise` is what a difference at E's mark amounts to: the quantities' own standing.
    """
    delta = add(k_at_e, -e_at_e)
    if abs(delta) <= epsilon and stale:
        return Finding(
            rule="R4",
            field=R4_FIELD,
            k=k_own,
            e=e_at_e,
            delta=add(k_own, -e_at_e),
            tolerance=epsilon,
            status=ReconcileStatus.WARN,
            klass=DivergenceClass.MARK_PRICE_STALENESS,
        )
    return judge(rule="R4", name=R4_FIELD, k=k_at_e, e=e_at_e, delta=delta, tolerance=epsilon, otherwise=otherwise)


def margin(*, k: Decimal, e: Decimal, epsilon: Decimal, band: Decimal) -> Finding:
    """R5: margin in use against a report; alone never worse than WARN."""
    delta = add(k, -e)
    within = abs(delta) <= band
    klass = DivergenceClass.LEVERAGE_ROUNDING if within else DivergenceClass.MARGIN_BASIS
    return judge(
        rule="R5", name=R5_FIELD, k=k, e=e, delta=delta, tolerance=epsilon, otherwise=(ReconcileStatus.WARN, klass)
    )


def open_positions(*, k: int, e: int, otherwise: tuple[ReconcileStatus, DivergenceClass]) -> Finding:
    """R6: how many positions are open, both ways; K open and E flat is the dangerous one."""
    return judge(
        rule="R6",
        name=R6_FIELD,
        k=Decimal(k),
        e=Decimal(e),
        delta=Decimal(k - e),
        tolerance=ZERO,
        otherwise=otherwise,
    )
