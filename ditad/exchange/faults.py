"""Seeded misfortune: what may happen to each frame on its way and to each REST answer.

Enters: a specification such as `drop=0.01,rest_error=0.05`, and a seed. Leaves: decisions, one per
frame and one per answer; the streams and the REST front carry them out. The books never notice: a
fault changes what is told, not what happened. `force` makes one happen next; `calm` ends them all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from difflib import get_close_matches
from enum import StrEnum
from random import Random
from typing import Final

DELAY_MS_MAX: Final = 60_000
SKEW_MS_MAX: Final = 86_400_000
# What a retry can heal (bingx.md §5, Errors); codes that are fatal come only by `force`.
PASSING_CODES: Final = (100410, 109429, 100500, 109500, 110500, 100421, 101214)
PASSING_STATUSES: Final = (418, 429, 500, 502, 503, 504)


class CutKind(StrEnum):
    """How a connection ends: politely, by a reset, or not at all although nothing comes any more."""

    CLEAN = "cut"
    ABRUPT = "cut_abrupt"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """Probabilities per frame or per answer, and two amounts in milliseconds."""

    # Per frame.
    drop: float = 0.0
    dup: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    glitch: float = 0.0  # pa ×10 for one frame
    unknown_event: float = 0.0  # an event name that nobody knows, beside the frame
    cut: float = 0.0
    cut_abrupt: float = 0.0
    half_open: float = 0.0
    expire: float = 0.0  # the listen key, with notice
    expire_silent: float = 0.0
    # Per REST answer.
    rest_error: float = 0.0  # a passing business code in HTTP 200
    rest_http: float = 0.0  # a passing HTTP status
    rest_truncate: float = 0.0
    rest_type: float = 0.0  # an HTML page instead of JSON
    rest_null: float = 0.0  # data: null
    rest_drop: float = 0.0  # the connection closes without an answer
    rest_delay: float = 0.0
    # Amounts.
    delay_ms_max: int = 500
    skew_ms: int = 0  # the exchange's clock minus ours

    def __post_init__(self) -> None:
        """Refuse what is no probability and amounts beyond their bounds."""
        for name, value in ((f.name, getattr(self, f.name)) for f in fields(self)):
            if name == "delay_ms_max":
                _within(name, value, 0, DELAY_MS_MAX)
            elif name == "skew_ms":
                _within(name, value, -SKEW_MS_MAX, SKEW_MS_MAX)
            else:
                _within(name, value, 0, 1)

    @property
    def quiet(self) -> bool:
        """Whether nothing ever happens by chance."""
        return not any(getattr(self, name) for name in PROBABILITIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFate:
    """What becomes of one frame, and of the connection and the key after it."""

    copies: tuple[int, ...] = (0,)  # one delay in milliseconds per copy that arrives; empty: lost
    held: bool = False  # sent only after its successor
    glitch: bool = False
    unknown_event: bool = False
    cut: CutKind | None = None
    expire: bool = False
    expire_notice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyFate:
    """What becomes of one REST answer; at most one of them is set, besides the delay."""

    code: int = 0
    status: int = 0
    truncate: bool = False
    wrong_type: bool = False
    null: bool = False
    drop: bool = False
    delay_ms: int = 0


PROBABILITIES: Final = tuple(f.name for f in fields(FaultSpec) if f.type == "float")
GOOD_FATE: Final = FrameFate()
GOOD_REPLY: Final = ReplyFate()


def parse_faults(text: str) -> FaultSpec:
    """Read `name=value,…`; raise `ValueError` with all that is wrong and what to write instead."""
    known = {f.name: f.type for f in fields(FaultSpec)}
    values: dict[str, float | int] = {}
    wrong: list[str] = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, found, value = (p.strip() for p in part.partition("="))
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            wrong.append(f"unknown fault {name!r}: {hint}")
        elif not found:
            wrong.append(f"{name} lacks a value: write {name}=0.01")
        elif name in values:
            wrong.append(f"{name} is given twice")
        else:
            try:
                values[name] = int(value) if name.endswith(("_ms", "_ms_max")) else float(value)
            except ValueError:
                wrong.append(f"{name}={value!r} is not a number")
    try:
        spec = FaultSpec(**values)  # type: ignore[arg-type] # names and types were checked above
    except ValueError as exc:
        wrong.append(str(exc))
        spec = FaultSpec()
    if wrong:
        raise ValueError("faults: " + "; ".join(wrong))
    return spec


class Faults:
    """The seeded decider; the same seed and the same questions give the same misfortune."""

    def __init__(self, spec: FaultSpec | None = None, *, seed: int = 0) -> None:
        """Start with the probabilities of `spec`, none by default."""
        self.spec = spec or FaultSpec()
        self.happened: Counter[str] = Counter()
        self._forced: Counter[str] = Counter()
        self._forced_code = 0
        self._rng = Random(f"{seed}:faults")  # noqa: S311 — a story, not a secret.

    def calm(self) -> None:
        """End all probabilities, so that the story can settle; forced faults and skew remain."""
        self.spec = FaultSpec(skew_ms=self.spec.skew_ms)

    def force(self, name: str, times: int = 1, *, code: int = 0) -> None:
        """Make `name` happen at the next `times` occasions; `code` picks the error or HTTP status."""
        if name not in PROBABILITIES:
            message = f"unknown fault {name!r}"
            raise ValueError(message)
        self._forced[name] += times
        self._forced_code = code or self._forced_code

    def for_frame(self) -> FrameFate:
        """Decide about one frame."""
        if not self._forced and self.spec.quiet:
            return GOOD_FATE
        copies: tuple[int, ...] = (0,)
        if self._strikes("delay"):
            copies = (self._rng.randint(1, max(1, self.spec.delay_ms_max)),)
        if self._strikes("dup"):
            copies += (self._rng.randint(0, self.spec.delay_ms_max),)
        if self._strikes("drop"):
            copies = ()
        notice = self._strikes("expire")
        return FrameFate(
            copies=copies,
            held=self._strikes("reorder"),
            glitch=self._strikes("glitch"),
            unknown_event=self._strikes("unknown_event"),
            cut=next((kind for kind in CutKind if self._strikes(kind)), None),
            expire=notice or self._strikes("expire_silent"),
            expire_notice=notice,
        )

    def for_reply(self) -> ReplyFate:
        """Decide about one REST answer."""
        if not self._forced and self.spec.quiet:
            return GOOD_REPLY
        delay_ms = 0
        if self._strikes("rest_delay"):
            delay_ms = self._rng.randint(1, max(1, self.spec.delay_ms_max))
        if self._strikes("rest_error"):
            return ReplyFate(code=self._code(PASSING_CODES), delay_ms=delay_ms)
        if self._strikes("rest_http"):
            return ReplyFate(status=self._code(PASSING_STATUSES), delay_ms=delay_ms)
        if self._strikes("rest_truncate"):
            return ReplyFate(truncate=True, delay_ms=delay_ms)
        if self._strikes("rest_type"):
            return ReplyFate(wrong_type=True, delay_ms=delay_ms)
        if self._strikes("rest_null"):
            return ReplyFate(null=True, delay_ms=delay_ms)
        return ReplyFate(drop=self._strikes("rest_drop"), delay_ms=delay_ms)

    def _strikes(self, name: str) -> bool:
        if self._forced[name]:
            self._forced[name] -= 1
            self._forced += Counter()  # forget what is used up
            struck = True
        else:
            struck = self._rng.random() < float(getattr(self.spec, name))
        self.happened[name] += struck
        return struck

    def _code(self, passing: tuple[int, ...]) -> int:
        forced, self._forced_code = self._forced_code, 0
        return forced or self._rng.choice(passing)


def _within(name: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        message = f"{name} must lie between {low} and {high}, not {value}"
        raise ValueError(message)
