"""Bugs that the accuracy benchmark must find: each takes one promise of account.md §5 away.

What enters: nothing. What leaves: for each bug a context in which it is there. If one of them lives through a short
run, the benchmark has gone blind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from typing import Any
from unittest import mock

from ditad import statements, turn, verdict
from ditad.reconcile import DivergenceClass, ReconcileStatus
from ditad.settle import Twins, move, state
from ditad.turn import Turn, capital_raw


@contextmanager
def _no_settle_window() -> Iterator[None]:
    """Let neither facts nor statements wait for their twins."""

    def unwaited(twins: Twins, amount: Decimal, now_us: int, window_us: int) -> None:  # noqa: ARG001 - its form
        move(twins, amount, now_us, 0)

    def unpatient(twins: Twins, value: Decimal, now_us: int, window_us: int) -> None:  # noqa: ARG001 - its form
        state(twins, value, now_us, 0)

    with mock.patch.object(turn, "move", unwaited), mock.patch.object(statements, "state_value", unpatient):
        yield


@contextmanager
def _error_after_a_failed_question() -> Iterator[None]:
    """Take a difference for confirmed before anybody has answered."""
    judge = verdict._otherwise

    def hasty(turn: Turn, *args: Any) -> tuple[ReconcileStatus, DivergenceClass]:
        said = judge(turn, *args)
        asked = said[1] in {DivergenceClass.CONFIRMING, DivergenceClass.QUESTION_FAILED}
        return (ReconcileStatus.ERROR, DivergenceClass.MISMATCH) if asked else said

    with mock.patch.object(verdict, "_otherwise", hasty):
        yield


@contextmanager
def _never_confirmed() -> Iterator[None]:
    """Go on asking for ever, whatever is answered."""
    with mock.patch("ditad.divergences._confirm", return_value=False):
        yield


@contextmanager
def _window_extended() -> Iterator[None]:
    """Let each new fact give all that wait another window: a loss hides as long as the account trades."""

    def extended(twins: Twins, amount: Decimal, now_us: int, window_us: int) -> None:
        move(twins, amount, now_us, window_us * 1_000)

    with mock.patch.object(turn, "move", extended):
        yield


@contextmanager
def _difference_adopted() -> Iterator[None]:
    """Make the ledgers agree by moving K to whatever a report says."""
    fold = statements.fold_balance_report

    def plugged(turn: Turn, report: Any) -> None:
        fold(turn, report)
        off = turn.state.wallet_twins.statements[-1].value - capital_raw(turn.state)
        turn.state.sums.other_income += off

    with mock.patch.object(statements, "fold_balance_report", plugged):
        yield


PLANTED: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "no settle window": _no_settle_window,
    "error after a failed question": _error_after_a_failed_question,
    "never confirmed": _never_confirmed,
    "window extended": _window_extended,
    "difference adopted": _difference_adopted,
}
