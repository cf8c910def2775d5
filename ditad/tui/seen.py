"""What the screen knows: the newest answers of the daemon, what is remembered of earlier ones, and whether it is there.

What enters: rounds of answers, failures, figures of the past. What leaves: the next `Seen`. What holds: everything
that is remembered has a bound and belongs to one account; while the daemon is gone the last answers stay, with their
age; what restarts with a smaller `seq` is another journal, and nothing of the old one is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from ditad.tui.equity import Series, added, step_of
from ditad.tui.health import Health, Sample, sampled

DIVERGENCES_MAX: Final = 100
GAPS_MAX: Final = 50
"""The newest of each that are remembered; what is not over is in every snapshot as well."""

NO_DAEMON: Final = "NO DAEMON"
NO_ANSWER: Final = "NO ANSWER"
"""What an outage is called: nobody is there, or somebody is and tells nothing of use."""

NOT_OVER: Final = frozenset({"open", "confirmed"})
WORSE: Final = ("OK", "WARN", "UNKNOWN", "ERROR")
"""Verdicts, the worst last."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One round of answers, all of one moment: `at` on the wall's clock, `at_mono` on the monotonic one.

    `account` is `None` where the daemon has none; `snapshot` where nothing was heard of the account yet. Of
    `divergences` and `gaps` those that are new or changed since the last round.
    """

    at: datetime
    at_mono: float
    accounts: tuple[Row, ...]
    account: str | None
    snapshot: Row | None = None
    health: Health = field(default_factory=Health)
    divergences: tuple[Row, ...] = ()
    gaps: tuple[Row, ...] = ()

    @property
    def item(self) -> Row | None:
        """Give what `/v1/accounts` says of the account."""
        return next((item for item in self.accounts if item["account"] == self.account), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time without answers: from the last one until the next (`None`: not yet); `word` says in two words what it is."""

    word: str
    since: datetime
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that the screen is made of."""

    answers: Answers
    divergences: tuple[Row, ...] = ()
    gaps: tuple[Row, ...] = ()
    samples: tuple[Sample, ...] = ()
    equity: Series = field(default_factory=dict)
    outage: Outage | None = None

    @property
    def gone(self) -> Outage | None:
        """Give the outage that is not over."""
        return self.outage if self.outage is not None and self.outage.until is None else None

    @property
    def account(self) -> str | None:
        """Name the account that is shown; `None` where the daemon has none."""
        return self.answers.account

    @property
    def item(self) -> Row | None:
        """Give what `/v1/accounts` says of it."""
        return self.answers.item

    @property
    def snapshot(self) -> Row | None:
        """Give its newest snapshot."""
        return self.answers.snapshot

    @property
    def health(self) -> Health:
        """Give how its conversation with the exchange goes."""
        return self.answers.health

    @property
    def status(self) -> str:
        """Give the verdict as a person must take it: not ready, not served or not reachable is never OK."""
        item = self.item
        if self.gone is not None or item is None:
            return "UNKNOWN"
        snapshot = self.snapshot
        told = [str((item["verdict"] if snapshot is None else snapshot["reconcile"])["status"])]
        told += [] if item["ready"] and snapshot is not None else ["UNKNOWN"]
        return worst(told)


def worst(statuses: Iterable[str]) -> str:
    """Give the worst of some verdicts; a word that is none counts as UNKNOWN."""
    return max((text if text in WORSE else "UNKNOWN" for text in statuses), key=WORSE.index, default="UNKNOWN")


def cursor(seen: Seen) -> int:
    """Give the `seq` after which divergences and gaps are news; 0: all are."""
    return 0 if seen.item is None else int(seen.item["seq"])


def first(answers: Answers, outage: Outage | None = None) -> Seen:
    """Begin with a round of answers."""
    return Seen(
        answers=answers,
        divergences=merged((), answers.divergences, DIVERGENCES_MAX),
        gaps=merged((), answers.gaps, GAPS_MAX),
        samples=(Sample(at_mono=answers.at_mono, health=answers.health),),
        equity=added({}, points_of(answers.snapshot, answers.at), answers.at),
        outage=outage,
    )


def answered(seen: Seen, answers: Answers) -> Seen:
    """Take the next round of answers."""
    outage = seen.outage if seen.gone is None else replace(seen.gone, until=answers.at)
    if answers.account != seen.account or _goes_back(seen, answers):
        return first(answers, outage)
    return Seen(
        answers=answers,
        divergences=merged(seen.divergences, answers.divergences, DIVERGENCES_MAX),
        gaps=merged(seen.gaps, answers.gaps, GAPS_MAX),
        samples=sampled(seen.samples, Sample(at_mono=answers.at_mono, health=answers.health)),
        equity=added(seen.equity, points_of(answers.snapshot, answers.at), answers.at),
        outage=outage,
    )


def _goes_back(seen: Seen, answers: Answers) -> bool:
    """Say whether the journal is another one than before: a restored copy is shorter."""
    return seen.item is not None and answers.item is not None and int(answers.item["seq"]) < int(seen.item["seq"])


def lost(seen: Seen, word: str, why: str) -> Seen:
    """Take it that the daemon did not answer; it is gone since its last answer."""
    return replace(seen, outage=Outage(word=word, since=seen.answers.at, until=None, why=why))


def remembered(seen: Seen, account: str, points: Iterable[tuple[int, Decimal]], now: datetime) -> Seen:
    """Take figures of the past, if they are of the account that is shown."""
    if account != seen.account:
        return seen
    return replace(seen, equity=added(seen.equity, points, now, older=True))


def points_of(snapshot: Row | None, at: datetime) -> tuple[tuple[int, Decimal], ...]:
    """Give the equity that a snapshot tells of a moment; none where it tells none."""
    equity = None if snapshot is None else snapshot["k"]["equity"]
    return () if equity is None else ((step_of(at), Decimal(equity)),)


def merged(known: Sequence[Row], news: Sequence[Row], most: int) -> tuple[Row, ...]:
    """Put changed rows in the place of what they were; the newest `seq` first, `most` of them."""
    by_id = {row["id"]: row for row in (*known, *news)}
    return tuple(sorted(by_id.values(), key=lambda row: -int(row["seq"]))[:most])


def first_shown(accounts: Sequence[Row], wanted: str | None) -> str | None:
    """Choose the account to show: the one that is wanted while it is there, else the worst, else the first."""
    names = [str(item["account"]) for item in accounts]
    if wanted in names:
        return wanted
    ranked = [WORSE.index(worst([str(item["verdict"]["status"])])) for item in accounts]
    return names[ranked.index(max(ranked))] if names else None


def next_shown(seen: Seen) -> str | None:
    """Name the account after the present one, round and round."""
    names = [str(item["account"]) for item in seen.answers.accounts]
    place = -1 if seen.account is None else names.index(seen.account)
    return names[(place + 1) % len(names)] if names else None
