"""Gaps, watermarks, and what closes them."""

from __future__ import annotations

import pytest

from ditad.coverage import (
    CAUSES_MAX,
    DAY_MS,
    GAPS_MAX,
    KEPT_MARGIN_MS,
    Coverage,
    Gap,
    GapState,
    answered,
    close_by_balance,
    covered_through_ms,
    open_gap,
    reaches,
    resume,
    start,
)
from ditad.events import FactKind

FILLS, INCOME = FactKind.FILLS, FactKind.INCOME
BASELINE = 1_000_000
LAGS = (5_000, 150_000)


def begun() -> Coverage:
    """Give coverage at a baseline."""
    coverage = Coverage()
    start(coverage, BASELINE)
    return coverage


def gap(coverage: Coverage, at: int, cause: str = "lost", *, lasting: bool = False) -> Gap | None:
    """Open a gap, or add a cause, `at` milliseconds after the baseline."""
    now = BASELINE + at
    return open_gap(coverage, cause, now_ms=now, now_us=now * 1_000, lags_ms=LAGS, lasting=lasting)


def ask(coverage: Coverage, kind: FactKind, through: int, *, rows: int = 0, kept_from: int | None = None) -> list[Gap]:
    """Complete a question over everything up to `through` milliseconds after the baseline."""
    lag = LAGS[0] if kind is FILLS else LAGS[1]
    by = "fill_history" if kind is FILLS else "income"
    since = coverage.asked_ms(kind) if kept_from is None else BASELINE + kept_from
    return answered(
        coverage, kind, from_ms=since, through_ms=BASELINE + through, rows=rows, by=by, lag_ms=lag, now_us=7
    )


def prove(coverage: Coverage, asked: int) -> list[Gap]:
    """Let a balance report equal K that was asked for `asked` milliseconds after the baseline."""
    return close_by_balance(coverage, BASELINE + asked, 9)


def through(coverage: Coverage) -> int:
    """Give `covered_through`, relative to the baseline."""
    return covered_through_ms(coverage, baseline_ms=BASELINE, lags_ms=LAGS) - BASELINE


# ---- opening ------------------------------------------------------------------------------------------------------------


def test_an_outage_is_one_gap_and_later_causes_are_added() -> None:
    """Lost, then silent, then a rejected frame: one gap that names them, each once."""
    coverage = begun()
    told = [
        gap(coverage, 1, "lost", lasting=True),
        gap(coverage, 2, "silent", lasting=True),
        gap(coverage, 3, "rejected"),
    ]
    again = gap(coverage, 4, "rejected")
    assert ([True, True, True], None, [["lost", "silent", "rejected"]]) == (
        [one is coverage.gaps[0] for one in told],
        again,
        [one.causes for one in coverage.gaps],
    )


def test_a_gap_begins_at_the_watermark() -> None:
    """Facts may be missing since the least of the watermarks less their lags, never before the baseline."""
    coverage = begun()
    ask(coverage, FILLS, 900_000)
    ask(coverage, INCOME, 900_000)
    first = gap(coverage, 950_000)
    early = gap(begun(), 10)
    assert first is not None
    assert early is not None
    assert (BASELINE + 750_000, BASELINE + 950_000, BASELINE) == (first.from_ms, first.to_ms, early.from_ms)


def test_a_kind_that_is_never_answered_has_no_watermark() -> None:
    """Demo income would else date every gap back to the baseline."""
    coverage = begun()
    coverage.income_available = False
    ask(coverage, FILLS, 900_000)
    opened = gap(coverage, 950_000)
    assert opened is not None
    assert BASELINE + 895_000 == opened.from_ms


def test_a_lasting_gap_goes_on_until_resume() -> None:
    """The stream's return ends the span and nothing else."""
    coverage = begun()
    gap(coverage, 1, lasting=True)
    ended = resume(coverage, BASELINE + 500)
    assert ([BASELINE + 500], True, []) == ([one.to_ms for one in ended], coverage.is_open(), resume(coverage, 0))


def test_a_gap_never_ends_before_it_begins() -> None:
    """The exchange's clock may be corrected while the stream is away."""
    coverage = begun()
    gap(coverage, 1, lasting=True)
    assert [BASELINE] == [one.to_ms for one in resume(coverage, BASELINE - 500)]


def test_a_loss_after_an_ended_gap_is_another_gap() -> None:
    """One gap per outage."""
    coverage = begun()
    gap(coverage, 1, "rejected")
    gap(coverage, 5, "lost", lasting=True)
    assert ["gap-1", "gap-2"] == [one.id for one in coverage.gaps]


def test_a_cause_belongs_to_the_gap_that_lasts() -> None:
    """It covers this moment already; the ended one keeps its end."""
    coverage = begun()
    gap(coverage, 1, "rejected")
    gap(coverage, 5, "lost", lasting=True)
    gap(coverage, 9, "jumped")
    assert [(BASELINE + 1, ["rejected"]), (None, ["lost", "jumped"])] == [
        (one.to_ms, one.causes) for one in coverage.gaps
    ]


def test_a_cause_extends_an_open_gap() -> None:
    """While nothing proves the contrary a second rejection belongs to the first one's gap, to its own moment."""
    coverage = begun()
    gap(coverage, 1, "rejected")
    same = gap(coverage, 90, "rejected")
    assert (None, [BASELINE + 90]) == (same, [one.to_ms for one in coverage.gaps])


def test_an_extended_gap_is_proven_anew() -> None:
    """Fills asked for up to the old end prove nothing of the extension."""
    coverage = begun()
    gap(coverage, 1_000, "rejected")
    ask(coverage, FILLS, 10_000, rows=3)
    reopened = gap(coverage, 20_000, "rejected")
    ask(coverage, INCOME, 900_000)
    assert reopened is not None
    assert (GapState.OPEN, {"income"}, 0) == (reopened.state, set(reopened.closed), reopened.rows)


def test_a_gap_remembers_when_it_was_extended_last() -> None:
    """What was asked before that proves nothing of all of it; a cause of a gap that lasts anyway extends nothing."""
    coverage = begun()
    gap(coverage, 1, "rejected")
    gap(coverage, 90, "rejected")
    lasting = begun()
    gap(lasting, 1, "lost", lasting=True)
    gap(lasting, 90, "silent", lasting=True)
    told = [(one.opened_us, one.extended_us) for one in (*coverage.gaps, *lasting.gaps)]
    first_us, last_us = (BASELINE + 1) * 1_000, (BASELINE + 90) * 1_000
    assert [(first_us, last_us), (first_us, first_us)] == told


def test_the_evidence_counts_the_rows_of_all_questions_since_the_gap_opened() -> None:
    """Not of the last alone: those before an extension, those of a gap that was too young to be proven."""
    coverage = begun()
    ask(coverage, FILLS, 500, rows=100)
    opened = gap(coverage, 1_000, "rejected")
    ask(coverage, FILLS, 2_000, rows=1)
    ask(coverage, FILLS, 10_000, rows=2)
    assert opened is not None
    young = (opened.rows, opened.closed["fills"].rows)
    gap(coverage, 20_000, "rejected")
    ask(coverage, FILLS, 22_000, rows=4)
    ask(coverage, INCOME, 100_000, rows=8)
    ask(coverage, FILLS, 25_000, rows=16)
    ask(coverage, INCOME, 170_000, rows=32)
    assert (3, 3) == young
    assert (63, {"fills": 23, "income": 40}) == (
        opened.rows,
        {kind: closing.rows for kind, closing in opened.closed.items()},
    )


def test_a_proven_gap_is_not_extended() -> None:
    """What happens after a provisional close is a gap of its own."""
    coverage = begun()
    gap(coverage, 1, "rejected")
    prove(coverage, 5)
    gap(coverage, 9, "rejected")
    assert [GapState.PROVISIONAL, GapState.OPEN] == [one.state for one in coverage.gaps]


def test_a_flood_of_causes_is_cut_off() -> None:
    """`CAUSES_MAX` are named; the span still grows."""
    coverage = begun()
    told = [gap(coverage, place, f"cause {place}") for place in range(CAUSES_MAX + 3)]
    (one,) = coverage.gaps
    assert (CAUSES_MAX, [None] * 3, BASELINE + CAUSES_MAX + 2) == (len(one.causes), told[CAUSES_MAX:], one.to_ms)


def full() -> Coverage:
    """Give coverage with as many gaps as there may be, all proven by balance and none final."""
    coverage = begun()
    for place in range(GAPS_MAX):
        gap(coverage, place * 10, f"cause {place}")
        prove(coverage, place * 10)
    return coverage


@pytest.mark.parametrize("lasting", [True, False], ids=["a loss", "a rejection"])
def test_at_the_most_gaps_the_newest_is_opened_again(lasting: bool) -> None:
    """No more than `GAPS_MAX`; the newest takes the cause, is open again, and lasts if the outage does."""
    coverage = full()
    told = gap(coverage, 9_999, "lost", lasting=lasting)
    assert told is not None
    assert (GAPS_MAX, coverage.gaps[-1], GapState.OPEN, None if lasting else BASELINE + 9_999) == (
        len(coverage.gaps),
        told,
        told.state,
        told.to_ms,
    )


def test_a_named_cause_still_opens_again() -> None:
    """At the bound, an outage whose cause is named already is no less an outage."""
    coverage = full()
    told = gap(coverage, 9_999, f"cause {GAPS_MAX - 1}", lasting=True)
    assert (True, 1) == (told is not None, len(coverage.gaps[-1].causes))


# ---- closing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "state"), [(99, GapState.OPEN), (100, GapState.PROVISIONAL)])
def test_only_a_report_asked_after_the_end_proves_it(asked: int, state: GapState) -> None:
    """A balance asked for while the stream was away says nothing of what came after."""
    coverage = begun()
    gap(coverage, 100)
    prove(coverage, asked)
    assert [state] == [one.state for one in coverage.gaps]


def test_a_lasting_gap_is_not_proven_by_balance() -> None:
    """Facts are being missed now."""
    coverage = begun()
    gap(coverage, 100, lasting=True)
    assert ([], True) == (prove(coverage, 900), coverage.is_open())


def test_a_provisional_gap_is_closed_everywhere_but_in_covered_through() -> None:
    """Nothing is open, yet the watermark has not moved."""
    coverage = begun()
    gap(coverage, 100)
    prove(coverage, 200)
    assert (False, 0, []) == (coverage.is_open(), through(coverage), prove(coverage, 300))


def test_a_gap_is_final_when_every_kinds_watermark_has_passed_it() -> None:
    """Less its lag: an answer proves absence only up to there; an empty one too."""
    coverage = begun()
    opened = gap(coverage, 100_000)
    steps = [ask(coverage, FILLS, 104_999), ask(coverage, FILLS, 105_000), ask(coverage, INCOME, 249_999)]
    finished = ask(coverage, INCOME, 250_000, rows=2)
    assert opened is not None
    assert ([[], [opened], []], [opened], [], GapState.FINAL, "fill_history+income", 2) == (
        steps,
        finished,
        coverage.gaps,
        opened.state,
        opened.by,
        opened.rows,
    )


def test_a_lasting_gap_is_never_final() -> None:
    """No question reaches over a span that has not ended."""
    coverage = begun()
    gap(coverage, 1, lasting=True)
    changed = [*ask(coverage, FILLS, 9_000_000), *ask(coverage, INCOME, 9_000_000)]
    assert ([], 1) == (changed, len(coverage.gaps))


def test_a_kind_is_closed_by_its_first_answer() -> None:
    """A later answer adds no rows to what is proven."""
    coverage = begun()
    gap(coverage, 1)
    ask(coverage, FILLS, 10_000, rows=3)
    assert ([], 3) == (ask(coverage, FILLS, 20_000, rows=5), coverage.gaps[0].rows)


def test_an_unavailable_kind_is_closed_by_the_balance_alone() -> None:
    """Demo income is always null: fills by question, income by balance."""
    coverage = begun()
    coverage.income_available = False
    opened = gap(coverage, 100)
    prove(coverage, 200)
    (final,) = ask(coverage, FILLS, 10_000)
    assert (opened, "balance+fill_history") == (final, final.by)


def test_a_kind_that_becomes_unavailable_later_is_closed_by_the_next_balance() -> None:
    """A gap that was provisional by then must not stay so for ever."""
    coverage = begun()
    gap(coverage, 100)
    prove(coverage, 200)
    ask(coverage, FILLS, 10_000)
    coverage.income_available = False
    assert [GapState.FINAL] == [one.state for one in prove(coverage, 300)]


def test_without_any_history_the_balance_is_the_last_word() -> None:
    """Neither kind is answered: the gap is final at once."""
    coverage = begun()
    coverage.income_available = coverage.fills_available = False
    gap(coverage, 100)
    (final,) = prove(coverage, 200)
    assert (GapState.FINAL, "balance", 0) == (final.state, final.by, through(coverage))


# ---- beyond what the exchange keeps ----------------------------------------------------------------------------------


def outage(days: int) -> tuple[Coverage, Gap]:
    """Give coverage after an outage of some days, both watermarks at its beginning; the stream lives again."""
    coverage = begun()
    for kind in (FILLS, INCOME):
        ask(coverage, kind, 200_000)
    opened = gap(coverage, 200_000, lasting=True)
    assert opened is not None
    resume(coverage, BASELINE + 200_000 + days * DAY_MS)
    return coverage, opened


@pytest.mark.parametrize(
    ("kind", "days", "late", "wanted"),
    [
        (FILLS, 29, 0, True),
        (FILLS, 29, 1, False),
        (FILLS, 40, 1, True),
        (FILLS, 40, 10 * DAY_MS, True),
        (FILLS, 40, 10 * DAY_MS + KEPT_MARGIN_MS + 1, False),
        (INCOME, 40, 10 * DAY_MS, False),
        (INCOME, 100, 10 * DAY_MS, True),
    ],
    ids=[
        "whole",
        "too late",
        "more than is kept",
        "all kept fills",
        "less than is kept",
        "kept income",
        "all kept income",
    ],
)
def test_a_question_reaches_back_to_the_watermark_or_to_all_that_is_kept(
    kind: FactKind, days: int, late: int, *, wanted: bool
) -> None:
    """Fills are kept for 30 days, income for 90: only what lies before that may be left out."""
    coverage, _ = outage(days)
    begin = coverage.asked_ms(kind)
    assert wanted == reaches(coverage, kind, begin + late, begin + days * DAY_MS)


def test_a_gap_beyond_what_is_kept_ends_unclosable_with_what_is_proven() -> None:
    """Fills of the first ten days are kept no more, income is: both were asked to the end, the balance agrees."""
    coverage, opened = outage(40)
    end = 41 * DAY_MS
    proven = prove(coverage, end)
    told = [ask(coverage, FILLS, end, rows=7, kept_from=10 * DAY_MS), ask(coverage, INCOME, end)]
    assert ([[opened]] * 3, GapState.UNCLOSABLE, "balance+fill_history+income", {"fills": BASELINE + 10 * DAY_MS}) == (
        [proven, *told],
        opened.state,
        opened.by,
        opened.beyond,
    )
    assert ([opened], False, 50_000) == (coverage.gaps, coverage.is_open(), through(coverage))


def test_an_unclosable_gap_is_open_until_a_balance_report_equals_k() -> None:
    """What the questions brought proves nothing of what they could not bring; said once, and never final."""
    coverage, opened = outage(40)
    end = 41 * DAY_MS
    ask(coverage, FILLS, end, kept_from=10 * DAY_MS)
    ask(coverage, INCOME, end)
    before = (opened.state, opened.by, coverage.is_open())
    assert (GapState.UNCLOSABLE, "fill_history+income", True) == before
    assert [[opened], [], []] == [
        prove(coverage, end),
        prove(coverage, end + 1),
        ask(coverage, FILLS, end + DAY_MS),
    ]
    assert ("balance+fill_history+income", False, 50_000) == (opened.by, coverage.is_open(), through(coverage))


def test_what_no_gap_covers_becomes_one_when_it_is_kept_no_more() -> None:
    """The stream lived, but no question was answered for 40 days: what nobody asked about in time is said."""
    coverage = begun()
    ask(coverage, INCOME, 200_000)
    told = ask(coverage, FILLS, 40 * DAY_MS, kept_from=10 * DAY_MS)
    (one,) = coverage.gaps
    assert ([one], [FILLS], BASELINE, BASELINE + 10 * DAY_MS, GapState.UNCLOSABLE) == (
        told,
        one.kinds,
        one.from_ms,
        one.to_ms,
        one.state,
    )
    assert ["fills: not asked about while they were kept"] == one.causes


def test_a_gap_that_still_lasts_remembers_what_is_kept_no_more() -> None:
    """It ends unclosable when its own end has been asked about; until then nothing is covered beyond its beginning."""
    coverage, opened = outage(40)
    opened.to_ms = None
    ask(coverage, FILLS, 41 * DAY_MS, kept_from=10 * DAY_MS)
    ask(coverage, INCOME, 41 * DAY_MS)
    assert (GapState.OPEN, 50_000) == (opened.state, through(coverage))
    resume(coverage, BASELINE + 41 * DAY_MS)
    ask(coverage, FILLS, 42 * DAY_MS)
    ask(coverage, INCOME, 42 * DAY_MS)
    assert GapState.UNCLOSABLE is opened.state


def test_at_the_most_gaps_an_unclosable_one_is_opened_again_and_stays_unclosable() -> None:
    """A later cause added to it is asked about; what was lost stays lost."""
    coverage, opened = outage(40)
    ask(coverage, FILLS, 41 * DAY_MS, kept_from=10 * DAY_MS)
    ask(coverage, INCOME, 41 * DAY_MS)
    prove(coverage, 41 * DAY_MS)
    coverage.gaps = [opened] * GAPS_MAX
    gap(coverage, 42 * DAY_MS, "rejected")
    coverage.gaps = [opened]
    assert GapState.OPEN is opened.state
    ask(coverage, FILLS, 43 * DAY_MS)
    ask(coverage, INCOME, 43 * DAY_MS)
    assert (GapState.UNCLOSABLE, True) == (opened.state, coverage.is_open())
    prove(coverage, 43 * DAY_MS)
    assert not coverage.is_open()


# ---- covered through ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fills", "income", "wanted"),
    [(0, 0, 0), (300_000, 0, 0), (300_000, 200_000, 50_000), (100_000, 900_000, 95_000)],
    ids=["at the baseline", "one kind", "income is less", "fills are less"],
)
def test_covered_through_is_the_least_watermark_less_its_lag(fills: int, income: int, wanted: int) -> None:
    """It trails now, and is never before the baseline."""
    coverage = begun()
    ask(coverage, FILLS, fills)
    ask(coverage, INCOME, income)
    assert wanted == through(coverage)


def test_an_unavailable_kind_does_not_hold_covered_through_back() -> None:
    """Only kinds that are answered count."""
    coverage = begun()
    coverage.income_available = False
    ask(coverage, FILLS, 300_000)
    assert 295_000 == through(coverage)


def test_a_watermark_never_goes_back() -> None:
    """A shorter question proves no less than the longer one did."""
    coverage = begun()
    for reached in (300_000, 200_000):
        ask(coverage, FILLS, reached)
    assert BASELINE + 300_000 == coverage.asked_ms(FILLS)


def test_a_baseline_begins_anew() -> None:
    """Gaps before it are no more, and their numbers are not given again."""
    coverage = begun()
    gap(coverage, 1)
    start(coverage, BASELINE + 500)
    opened = gap(coverage, 600)
    assert opened is not None
    assert ("gap-2", BASELINE + 500, 1) == (opened.id, opened.from_ms, len(coverage.gaps))
