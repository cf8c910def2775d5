"""Whether a bot may size with what is published at this moment, and if not, why not.

What enters: a snapshot, or the error that came instead, and what time it is. What leaves: a `Usability`, which is true
or false. What holds: it is true only where a snapshot was read that says so and has not run out; whatever stands in the
way of that makes it false, with a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ditad.client.answers import Snapshot
from ditad.errors import DitadError


class NotUsableError(DitadError):
    """What is published must not be traded on at this moment; `usability` says why."""

    exit_code = 69

    def __init__(self, usability: Usability) -> None:
        """Say every reason in one sentence."""
        self.usability = usability
        super().__init__(f"not usable: {'; '.join(usability.reasons)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usability:
    """True while `snapshot` may be used; false with the `reasons`, also where no snapshot could be had."""

    reasons: tuple[str, ...]
    snapshot: Snapshot | None

    def __bool__(self) -> bool:
        return self.snapshot is not None and not self.reasons

    @property
    def capital(self) -> Decimal | None:
        """The capital to size with; `None` while nothing is to be sized."""
        return self.snapshot.published.capital if self.snapshot is not None and self else None


def judged(snapshot: Snapshot, now: datetime, *, only_ok: bool) -> Usability:
    """Judge a snapshot at a moment of this machine's clock; `only_ok` refuses the verdict WARN too."""
    published, verdict = snapshot.published, snapshot.reconcile
    reasons: list[str] = []
    if not published.usable:
        reasons.append(
            f"the verdict is {_words(verdict.status, verdict.worst_field)}, coverage {snapshot.coverage.state}"
        )
    elif only_ok and verdict.status != "OK":
        reasons.append(f"the verdict is {_words(verdict.status, verdict.worst_field)}, and only OK is wanted")
    if published.capital is None:
        reasons.append("no capital is published")
    if published.valid_until is None:
        reasons.append("nothing says how long it is valid")
    elif published.valid_until < now:
        reasons.append(f"it was valid until {published.valid_until.isoformat()}, and it is {now.isoformat()}")
    return Usability(reasons=tuple(reasons), snapshot=snapshot)


def unheard(why: DitadError) -> Usability:
    """Judge that there is no snapshot."""
    return Usability(reasons=(str(why),), snapshot=None)


def _words(status: str, field: str) -> str:
    return f"{status} ({field})" if field else status
