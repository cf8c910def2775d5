"""How far the ledger can be trusted: gaps, watermarks, and what closes them.

What enters: losses and returns of the stream, refusals, completed questions and their spans. What leaves: the open
gaps and `covered_through`. What holds: only a completed question moves a watermark, an empty answer too; a gap closes
provisionally when a balance and positions report equals K with nothing in flight, and for good when the watermark of
each of its kinds has passed it; where an answer no longer reached back to its kind's watermark it ends unclosable, and
`covered_through` stays before it until a new baseline. (account.md §7) All times are the exchange's, in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ditad.events import FactKind

CAUSES_MAX = 16
"""A gap names at most this many causes; one outage has few, a flood of refusals may have many."""

GAPS_MAX = 64
"""At most this many gaps are open at once; further causes are added to the newest."""

DAY_MS = 86_400_000

KEPT_MS = {FactKind.FILLS: 30 * DAY_MS, FactKind.INCOME: 90 * DAY_MS}
"""How long the exchange keeps what it can be asked for (bingx.md §5: `allFillOrders`, `user/income`)."""

KEPT_MARGIN_MS = 3_600_000
"""A question that begins up to this much after the end of what is kept asked for all of it: the border keeps away."""


class GapState(StrEnum):
    """A gap's life. `UNCLOSABLE`: asked about to the end, and part of it lies beyond what the exchange keeps."""

    OPEN = "open"
    PROVISIONAL = "provisional"
    FINAL = "final"
    UNCLOSABLE = "unclosable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How one kind of a gap was closed: by which question, when (local microseconds), with how many rows.

    `rows` are those of all completed questions of the kind that were answered since the gap opened, also before it was
    extended or was old enough to be proven. Questions overlap: a row that was asked for twice counts twice, and rows
    of failed questions do not count.
    """

    by: str
    rows: int
    at_us: int


@dataclass(slots=True, kw_only=True)
class Gap:
    """A span in which facts of some kinds may have been missed; `to_ms` is `None` while it lasts.

    `beyond` says, by kind, before which moment the exchange keeps nothing any more: what lies in the gap before it no
    question can tell. `balanced`: a balance and positions report asked after its end equalled K. `extended_us` is
    when a cause last moved its end (local microseconds): what was asked before that proves nothing of all of it.
    `asked_rows` counts, by kind, the rows of all completed questions since it opened.
    """

    id: str
    kinds: list[FactKind]
    from_ms: int
    to_ms: int | None
    causes: list[str]
    state: GapState
    opened_us: int
    extended_us: int
    by: str | None = None
    rows: int = 0
    at_us: int | None = None
    closed: dict[str, Closing] = field(default_factory=dict)
    beyond: dict[str, int] = field(default_factory=dict)
    balanced: bool = False
    asked_rows: dict[str, int] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Say whether facts may be missing here with nothing that proves the contrary."""
        return self.state is GapState.OPEN or (self.state is GapState.UNCLOSABLE and not self.balanced)


@dataclass(slots=True, kw_only=True)
class Coverage:
    """Per kind: the end of the last completed question, and whether such questions are answered at all."""

    since_ms: int = 0
    fills_ms: int = 0
    income_ms: int = 0
    fills_available: bool = True
    income_available: bool = True
    gaps: list[Gap] = field(default_factory=list)
    opened: int = 0

    def asked_ms(self, kind: FactKind) -> int:
        """Give the end of the last completed question of a kind."""
        return self.fills_ms if kind is FactKind.FILLS else self.income_ms

    def available(self, kind: FactKind) -> bool:
        """Say whether the exchange answers questions of a kind."""
        return self.fills_available if kind is FactKind.FILLS else self.income_available

    def is_open(self) -> bool:
        """Say whether facts may be missing with nothing that proves the contrary."""
        return any(gap.open for gap in self.gaps)

    def is_answered(self) -> bool:
        """Say whether all that is answered at all was asked about in every open gap; only a balance report lacks then."""
        return all(
            gap.to_ms is not None and all(kind.value in gap.closed or not self.available(kind) for kind in gap.kinds)
            for gap in self.gaps
            if gap.open
        )


def start(coverage: Coverage, baseline_ms: int) -> None:
    """Begin at a baseline: nothing before it is asked for."""
    coverage.since_ms = coverage.fills_ms = coverage.income_ms = baseline_ms
    coverage.gaps.clear()


def open_gap(
    coverage: Coverage, cause: str, *, now_ms: int, now_us: int, lags_ms: tuple[int, int], lasting: bool
) -> Gap | None:
    """Open a gap, or add the cause to the one that already covers this moment; `None` if nothing changed.

    `lasting`: it goes on until `resume`. `lags_ms` are the report lags of fills and income.
    """
    gap = _covering(coverage, lasting=lasting)
    if gap is not None:
        return gap if _extend(gap, cause, now_ms=now_ms, now_us=now_us, lasting=lasting) else None
    coverage.opened += 1
    lags = dict(zip((FactKind.FILLS, FactKind.INCOME), lags_ms, strict=True))
    asked = [coverage.asked_ms(kind) - lag for kind, lag in lags.items() if coverage.available(kind)]
    opened = Gap(
        id=f"gap-{coverage.opened}",
        kinds=list(FactKind),
        from_ms=max(coverage.since_ms, min(asked, default=coverage.since_ms)),
        to_ms=None if lasting else now_ms,
        causes=[cause],
        state=GapState.OPEN,
        opened_us=now_us,
        extended_us=now_us,
    )
    coverage.gaps.append(opened)
    return opened


def _covering(coverage: Coverage, *, lasting: bool) -> Gap | None:
    """Give the gap that covers this moment: one that lasts, else an open one; at `GAPS_MAX` the newest."""
    for gap in coverage.gaps:
        if gap.to_ms is None:
            return gap
    open_ = [gap for gap in coverage.gaps if gap.state is GapState.OPEN and not lasting]
    if not open_ and len(coverage.gaps) < GAPS_MAX:
        return None
    return (open_ or coverage.gaps)[-1]


def _extend(gap: Gap, cause: str, *, now_ms: int, now_us: int, lasting: bool) -> bool:
    """Let a gap reach to now (or last), for one more cause; returns whether there is anything new to say."""
    told = cause not in gap.causes and len(gap.causes) < CAUSES_MAX
    if told:
        gap.causes.append(cause)
    if gap.to_ms is None:
        return told
    reopened = lasting or gap.state is not GapState.OPEN or bool(gap.closed)
    gap.to_ms = None if lasting else max(gap.to_ms, now_ms)
    gap.extended_us = now_us
    gap.state, gap.by, gap.at_us, gap.rows, gap.balanced = GapState.OPEN, None, None, 0, False
    gap.closed.clear()  # what proved the shorter span does not prove this one
    return told or reopened


def resume(coverage: Coverage, now_ms: int) -> list[Gap]:
    """End the span of every lasting gap: the stream is alive again."""
    ended = [gap for gap in coverage.gaps if gap.to_ms is None]
    for gap in ended:
        gap.to_ms = max(gap.from_ms, now_ms)
    return ended


def close_by_balance(coverage: Coverage, asked_ms: int, now_us: int) -> list[Gap]:
    """Close provisionally what ended before a report that equals K was asked for."""
    changed = []
    for gap in coverage.gaps:
        if gap.to_ms is None or gap.to_ms > asked_ms:
            continue
        unasked = [kind for kind in gap.kinds if not coverage.available(kind) and kind.value not in gap.closed]
        if gap.balanced and not unasked:
            continue
        gap.balanced = True
        if gap.state is GapState.OPEN:
            gap.state, gap.by, gap.at_us = GapState.PROVISIONAL, "balance", now_us
        elif gap.state is GapState.UNCLOSABLE:
            gap.by, gap.at_us = _proofs(gap), now_us
        gap.closed.update({kind.value: Closing(by="balance", rows=0, at_us=now_us) for kind in unasked})
        changed.append(gap)
    return _each_once([*changed, *_finish(coverage, now_us)])


def reaches(coverage: Coverage, kind: FactKind, from_ms: int, to_ms: int) -> bool:
    """Say whether a question over this span leaves out nothing that could be asked: back to the watermark, or to what is kept."""
    return from_ms <= max(coverage.asked_ms(kind), to_ms - KEPT_MS[kind] + KEPT_MARGIN_MS)


def answered(
    coverage: Coverage, kind: FactKind, *, from_ms: int, through_ms: int, rows: int, by: str, lag_ms: int, now_us: int
) -> list[Gap]:
    """Move a kind's watermark after a completed question over all that is kept; returns the gaps that changed.

    A question that began after the watermark (`from_ms`) asked for all of it and got what the exchange still keeps:
    what lies between can no longer be asked about.
    """
    lost = _lose(coverage, kind, from_ms=from_ms, lag_ms=lag_ms, now_us=now_us)
    if kind is FactKind.FILLS:
        coverage.fills_ms = max(coverage.fills_ms, through_ms)
    else:
        coverage.income_ms = max(coverage.income_ms, through_ms)
    changed = []
    for gap in coverage.gaps:
        asked_rows = gap.asked_rows[kind.value] = gap.asked_rows.get(kind.value, 0) + rows
        passed = gap.to_ms is not None and gap.to_ms <= coverage.asked_ms(kind) - lag_ms
        if passed and kind in gap.kinds and kind.value not in gap.closed:
            gap.closed[kind.value] = Closing(by=by, rows=asked_rows, at_us=now_us)
            gap.rows += asked_rows
            changed.append(gap)
    finished = _finish(coverage, now_us)
    return _each_once([*lost, *changed, *finished])


def _lose(coverage: Coverage, kind: FactKind, *, from_ms: int, lag_ms: int, now_us: int) -> list[Gap]:
    """Note in the gaps not yet closed for a kind that what lies before `from_ms` is kept no more.

    Where no gap covers that span (the stream lived, questions failed for long) it becomes one.
    """
    watermark = coverage.asked_ms(kind)
    if from_ms <= watermark:
        return []
    lost = [gap for gap in coverage.gaps if kind in gap.kinds and kind.value not in gap.closed]
    if not lost:
        coverage.opened += 1
        lost = [
            Gap(
                id=f"gap-{coverage.opened}",
                kinds=[kind],
                from_ms=max(coverage.since_ms, watermark - lag_ms),
                to_ms=from_ms,
                causes=[f"{kind.value}: not asked about while they were kept"],
                state=GapState.OPEN,
                opened_us=now_us,
                extended_us=now_us,
            )
        ]
        coverage.gaps += lost
    for gap in lost:
        gap.beyond[kind.value] = from_ms
    return lost


def _each_once(gaps: list[Gap]) -> list[Gap]:
    return list({gap.id: gap for gap in gaps}.values())


def _finish(coverage: Coverage, now_us: int) -> list[Gap]:
    """End every gap all of whose kinds are closed: final, and let go of, or unclosable, and kept."""
    ended = [
        gap
        for gap in coverage.gaps
        if gap.to_ms is not None
        and gap.state is not GapState.UNCLOSABLE
        and all(kind.value in gap.closed for kind in gap.kinds)
    ]
    for gap in ended:
        gap.state, gap.at_us = GapState.UNCLOSABLE if gap.beyond else GapState.FINAL, now_us
        gap.by = _proofs(gap)
    coverage.gaps = [gap for gap in coverage.gaps if gap.state is not GapState.FINAL]
    return ended


def _proofs(gap: Gap) -> str:
    """Name what closed a gap; of one that nothing can close, what is proven of it all the same."""
    balance = ["balance"] if gap.beyond and gap.balanced else []
    return "+".join(dict.fromkeys([*balance, *(closing.by for closing in gap.closed.values())]))


def covered_through_ms(coverage: Coverage, *, baseline_ms: int, lags_ms: tuple[int, int]) -> int:
    """Give the moment before which no fact can be missing, never before the baseline."""
    fills_lag, income_lag = lags_ms
    moments = [gap.from_ms for gap in coverage.gaps if gap.beyond]
    if coverage.fills_available:
        moments.append(coverage.fills_ms - fills_lag)
    if coverage.income_available:
        moments.append(coverage.income_ms - income_lag)
    return max(baseline_ms, min(moments, default=baseline_ms))
