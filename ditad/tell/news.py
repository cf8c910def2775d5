"""Which records are news to somebody who wants to be told of divergences and gaps, and in which words.

What enters: lines of the stream, in order. What leaves: a `Telling` for each change of a divergence's or gap's state
that passes the filter. What holds: a state is told once, however many records repeat it; the end of what was told is
told too, whatever the filter says; what is remembered has a bound, at which the thing heard of longest ago is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

TOLD_MAX: Final = 1_000
"""Divergences and gaps whose last told state is remembered. Few are open at a time; those that end are let go of."""

WARN: Final = "WARN"
ERROR: Final = "ERROR"

NEWS: Final[Mapping[tuple[str, str], tuple[str, str | None]]] = {
    ("divergence", "open"): ("divergence.opened", None),
    ("divergence", "confirmed"): ("divergence.confirmed", None),
    ("divergence", "healed"): ("divergence.healed", "OK"),
    ("divergence", "adopted"): ("divergence.adopted", "OK"),
    ("gap", "open"): ("gap.opened", WARN),
    ("gap", "final"): ("gap.final", "OK"),
    ("gap", "unclosable"): ("gap.unclosable", ERROR),
}
"""By type and state: what it is called, and how severe it is (`None`: as its body says; OK: it is over).

A gap that is `provisional` is no news: it may be open again, and for good it is `final`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Something to be told; `told` is what is remembered once it has been."""

    seq: int
    news: str
    severity: str
    account: str
    record: Mapping[str, Any]
    told: Mapping[str, str]

    def body(self, missed: int) -> bytes:
        """Write it as one line of JSON: the record, and around it what a receiver sorts by.

        `missed` tellings before this one never arrived: too many waited, or they were given up.
        """
        head = {"account": self.account, "news": self.news, "severity": self.severity, "missed": missed}
        return orjson.dumps({**head, **self.record}, option=orjson.OPT_APPEND_NEWLINE)


class News:
    """What was told of each divergence and gap that is not over."""

    def __init__(self, account: str, *, least: str, told: Mapping[str, str]) -> None:
        """`least` is the least severity that is told, WARN or ERROR; `told` the state told last, by id."""
        self._account = account
        self._least = least
        self._told = dict(told)

    @property
    def told(self) -> Mapping[str, str]:
        """The state told last, by id, as it stands now."""
        return dict(self._told)

    def hear(self, line: bytes) -> Telling | None:
        """Take a record's line, and give what is to be told of it."""
        record: dict[str, Any] = orjson.loads(line)
        kind = str(record["type"])
        body = record[kind]
        state, name = str(body["state"]), str(body["id"])
        if (kind, state) not in NEWS:
            return None
        news, severity = NEWS[kind, state]
        severity = str(body["severity"]) if severity is None else severity
        if not self._is_news(name, state, severity):
            return None
        return Telling(
            seq=int(record["seq"]),
            news=news,
            severity=severity,
            account=self._account,
            record=record,
            told=self.told,
        )

    def _is_news(self, name: str, state: str, severity: str) -> bool:
        if severity == "OK":
            return self._told.pop(name, None) is not None
        if self._told.get(name) == state or (self._least == ERROR and severity != ERROR):
            return False
        self._told.pop(name, None)
        self._told[name] = state
        if len(self._told) > TOLD_MAX:
            del self._told[next(iter(self._told))]
        return True
