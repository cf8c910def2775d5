"""The rules as functions of two figures, in a table a bookkeeper could read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ditad import reconcile
from ditad.reconcile import DivergenceClass, Finding, ReconcileConfig, ReconcileStatus, result_of

D = Decimal
OK, WARN, ERROR, UNKNOWN = (
    ReconcileStatus.OK,
    ReconcileStatus.WARN,
    ReconcileStatus.ERROR,
    ReconcileStatus.UNKNOWN,
)
MISMATCH = (ERROR, DivergenceClass.MISMATCH)


def said(finding: Finding) -> tuple[ReconcileStatus, str | None, Decimal]:
    """Give status, class and delta."""
    return finding.status, finding.klass, finding.delta


@pytest.mark.parametrize(
    ("k", "e", "expected"),
    [
        ("1000", "1000", (OK, None, D(0))),
        ("1000.0001", "1000", (OK, None, D("0.0001"))),
        ("999.9999", "1000", (OK, None, D("-0.0001"))),
        ("1000.00011", "1000", (ERROR, "MISMATCH", D("0.00011"))),
        ("-3", "0", (ERROR, "MISMATCH", D(-3))),
    ],
)
def test_a_delta_is_k_minus_e_and_fine_up_to_its_tolerance(
    k: str, e: str, expected: tuple[ReconcileStatus, str | None, Decimal]
) -> None:
    """Zero and negative statements are compared like any other."""
    finding = reconcile.judge(
        rule="R1", name="f", k=D(k), e=D(e), delta=D(k) - D(e), tolerance=D("0.0001"), otherwise=MISMATCH
    )
    assert expected == said(finding)


@pytest.mark.parametrize(
    ("book", "closes", "ticks", "precision", "known", "expected"),
    [
        ("10", 1, "0", "0", True, (OK, None)),
        ("10.00000001", 1, "0", "0", True, (OK, None)),
        ("10.00000002", 1, "0", "0", True, (ERROR, "MISMATCH")),
        ("10.00000002", 2, "0", "0", True, (OK, None)),
        ("10.05", 1, "0.05", "0", True, (OK, None)),
        ("10.06", 1, "0.05", "0", True, (ERROR, "MISMATCH")),
        ("10.04", 1, "0", "0.04", True, (OK, None)),
        ("10.04", 1, "0", "0", False, (WARN, "LOT_STEP_ROUNDING")),
        ("10.06", 1, "0", "0", False, (ERROR, "MISMATCH")),
        ("10.06", 1, "0", "0.005", False, (ERROR, "MISMATCH")),
        ("10.054", 1, "0", "0.004", False, (WARN, "LOT_STEP_ROUNDING")),
    ],
)
def test_r2_allows_what_closes_and_ticks_round_away(
    book: str, closes: int, ticks: str, precision: str, *, known: bool, expected: tuple[ReconcileStatus, str | None]
) -> None:
    """1e-8 a close, half a tick a unit while that is open, and `realized_rounding` only without a tick."""
    finding = reconcile.realized(
        book=D(book),
        stated=D(10),
        closes=closes,
        closed_ticks=D(ticks),
        precision=D(precision),
        tick_known=known,
        rounding=D("0.05"),
    )
    assert expected == said(finding)[:2]


@pytest.mark.parametrize(
    ("k_at_e", "k_own", "stale", "expected"),
    [
        ("100", "100", False, (OK, None, D(0))),
        ("100", "101", True, (WARN, "MARK_PRICE_STALENESS", D(1))),
        ("100", "101", False, (OK, None, D(0))),
        ("150", "151", True, (ERROR, "MISMATCH", D(50))),
    ],
    ids=["equal", "stale marks", "marks near", "quantities differ"],
)
def test_r4_compares_at_es_mark_first(
    k_at_e: str, k_own: str, *, stale: bool, expected: tuple[ReconcileStatus, str | None, Decimal]
) -> None:
    """Own marks only matter where the quantities agree."""
    finding = reconcile.notional(
        k_at_e=D(k_at_e), e_at_e=D(100), k_own=D(k_own), stale=stale, epsilon=D("0.0001"), otherwise=MISMATCH
    )
    assert expected == said(finding)


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        ("10", (OK, None)),
        ("12", (WARN, "LEVERAGE_ROUNDING")),
        ("8", (WARN, "LEVERAGE_ROUNDING")),
        ("13", (WARN, "MARGIN_BASIS")),
    ],
)
def test_r5_alone_is_never_worse_than_a_warning(k: str, expected: tuple[ReconcileStatus, str | None]) -> None:
    """Within the band it is rounding, beyond it a question of the basis."""
    assert expected == said(reconcile.margin(k=D(k), e=D(10), epsilon=D("0.0001"), band=D(2)))[:2]


@pytest.mark.parametrize(("k", "e", "expected"), [(1, 1, OK), (1, 0, ERROR), (0, 1, ERROR), (0, 0, OK)])
def test_r6_looks_both_ways(k: int, e: int, expected: ReconcileStatus) -> None:
    """K open and E flat is the dangerous one; the other counts too."""
    assert expected == reconcile.open_positions(k=k, e=e, otherwise=MISMATCH).status


def finding(name: str, status: ReconcileStatus, delta: str) -> Finding:
    """Make a finding of a rule."""
    return Finding(
        rule="R",
        field=name,
        k=None,
        e=None,
        delta=D(delta),
        tolerance=D(0),
        status=status,
        klass=None if status is OK else DivergenceClass.MISMATCH,
    )


def test_the_worst_status_wins() -> None:
    """ERROR, UNKNOWN, WARN, OK: worst first; among equals the larger delta names the worst field."""
    found = [
        finding("a", WARN, "9"),
        finding("b", UNKNOWN, "1"),
        finding("c", UNKNOWN, "-2"),
        finding("d", OK, "0"),
    ]
    result = result_of(found, 0)
    assert (UNKNOWN, "c", 0) == (result.status, result.worst_field, result.ts)
    assert ERROR == result_of([*found, finding("e", ERROR, "0.1")]).status
    assert ("MISMATCH|a|delta=9", "MISMATCH|b|delta=1", "MISMATCH|c|delta=-2") == result.explanations
    assert {"a", "b", "c", "d"} == set(result.deltas)


def test_no_finding_is_unknown_never_ok() -> None:
    """Where nothing was compared nothing is known."""
    assert (UNKNOWN, "") == (result_of([]).status, result_of([]).worst_field)


def test_agreement_has_no_worst_field() -> None:
    """OK says nothing more."""
    assert "" == result_of([finding("a", OK, "0")]).worst_field


def test_the_bounds_of_the_rules_are_the_contracts() -> None:
    """account.md §4's defaults, as decimals."""
    config = ReconcileConfig()
    assert tuple(D(text) for text in ("0.0001", "20", "0.05", "0.001", "0.003", "2")) == (
        config.capital_epsilon,
        config.pending_fee_bound,
        config.realized_rounding,
        config.lot_step,
        config.mark_staleness_factor,
        config.leverage_rounding_band,
    )


def test_bounds_take_numbers_in_any_exact_form() -> None:
    """A float counts by its shortest text."""
    config = ReconcileConfig(capital_epsilon=0.1, pending_fee_bound="7", lot_step=1)  # type: ignore[arg-type]  # any form
    assert (D("0.1"), D(7), D(1)) == (config.capital_epsilon, config.pending_fee_bound, config.lot_step)


@pytest.mark.parametrize("value", [-1, "NaN", float("inf"), None], ids=repr)
def test_a_bound_that_is_none_is_refused(value: object) -> None:
    """Negative bounds and garbage raise."""
    with pytest.raises(ValueError, match="capital_epsilon"):
        ReconcileConfig(capital_epsilon=value)  # type: ignore[arg-type]  # garbage
