"""Seeded misfortune: what may happen to each frame on its way and to each REST answer.

Enters: a specification such as `drop=0.01,rest_error=0.05`, and a seed. Leaves: decisions, one per
frame and one per answer; the streams and the REST front carry them out. The books never notice: a
fault changes what is told, not what happened. `force` makes one happen next; `calm` ends them all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from enum import StrEnum
from random import Random
from typing import Final

DELAY_MS_MAX: Final = 60_000
BAN_MS_MAX: Final = 3_600_000
SKEW_MS_MAX: Final = 86_400_000
SKEW_PPM_MAX: Final = 100_000
REPLAYED_MAX: Final = 20
# What is no probability, with its bounds.
AMOUNTS: Final = {
    "delay_ms_max": (0, DELAY_MS_MAX),
    "ban_ms": (0, BAN_MS_MAX),
    "skew_ms": (-SKEW_MS_MAX, SKEW_MS_MAX),
    "skew_ppm": (-SKEW_PPM_MAX, SKEW_PPM_MAX),
    "step_ms_max": (0, SKEW_MS_MAX),
}
# What a retry can heal (bingx.md §5, Errors); codes that are fatal come only by `force`.
PASSING_CODES: Final = (100410, 109429, 100500, 109500, 110500, 504, 80012, 100421, 109400, 101214)
PASSING_STATUSES: Final = (418, 429, 500, 502, 503, 504)


class CutKind(StrEnum):
    """How a connection ends: politely, by a reset, or not at all although nothing comes any more."""

    CLEAN = "cut"
    ABRUPT = "cut_abrupt"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """Probabilities per frame, handshake or answer, and a few amounts."""

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
    # Per handshake.
    refuse: float = 0.0
    replay: float = 0.0  # some of the last frames come again after a reconnect
    # Per REST answer.
    rest_error: float = 0.0  # a passing business code in HTTP 200
    rest_http: float = 0.0  # a passing HTTP status
    rest_ban: float = 0.0  # 418 for all that is asked within `ban_ms`
    rest_truncate: float = 0.0
    rest_type: float = 0.0  # an HTML page instead of JSON
    rest_label: float = 0.0  # the right bytes under a wrong content type
    rest_null: float = 0.0  # data: null, under an error where null could pass for an empty list
    rest_drop: float = 0.0  # the connection closes without an answer
    rest_delay: float = 0.0
    step: float = 0.0  # the exchange's clock jumps
    # Amounts.
    delay_ms_max: int = 500
    ban_ms: int = 120_000
    skew_ms: int = 0  # the exchange's clock minus ours
    skew_ppm: int = 0  # how much faster it runs than ours, in millionths
    step_ms_max: int = 2000
    quiet: bool = field(init=False, compare=False, repr=False)  # nothing ever happens by chance

    def __post_init__(self) -> None:
        """Refuse what is no probability and amounts beyond their bounds."""
        for name in (f.name for f in fields(self) if f.init):
            _within(name, getattr(self, name), *AMOUNTS.get(name, (0, 1)))
        chances = (getattr(self, f.name) for f in fields(self) if f.type == "float")
        object.__setattr__(self, "quiet", not any(chances))


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
class ConnectFate:
    """What becomes of one handshake."""

    refused: bool = False
    replayed: int = 0  # how many of the last frames come again


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyFate:
    """What becomes of one REST answer; at most one of them is set, besides the delay."""

    code: int = 0
    status: int = 0
    ban_ms: int = 0
    truncate: bool = False
    wrong_type: bool = False
    wrong_label: bool = False
    null: bool = False
    drop: bool = False
    delay_ms: int = 0


PROBABILITIES: Final = tuple(f.name for f in fields(FaultSpec) if f.type == "float")
GOOD_FATE: Final = FrameFate()
GOOD_REPLY: Final = ReplyFate()
GOOD_CONNECT: Final = ConnectFate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forced:
    """A fault that must happen; `path` narrows it to REST paths with that end."""

    name: str
    times: int
    code: int = 0
    path: str = ""


def parse_faults(text: str) -> FaultSpec:
    """Read `name=value,…`; raise `ValueError` with all that is wrong and what to write instead."""
    known = {f.name: f.type for f in fields(FaultSpec) if f.init}
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
                values[name] = int(value) if name in AMOUNTS else float(value)
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
        self._forced: list[Forced] = []
        self._stepped_ms = 0
        self._since_ms: int | None = None
        self._rng = Random(f"{seed}:faults")  # noqa: S311 — a story, not a secret.

    def calm(self) -> None:
        """End all probabilities, so that the story can settle; forced faults and the clock's skew remain."""
        self.spec = FaultSpec(skew_ms=self.spec.skew_ms, skew_ppm=self.spec.skew_ppm)

    def force(self, name: str, times: int = 1, *, code: int = 0, path: str = "") -> None:
        """Make `name` happen at the next `times` occasions; `code` picks the error or HTTP status.

        `path` waits for a REST path with that end; codes that are fatal to a client come only this way.
        """
        if name not in PROBABILITIES:
            message = f"unknown fault {name!r}"
            raise ValueError(message)
        self._forced.append(Forced(name=name, times=times, code=code, path=path))

    def step_clock(self, change_ms: int) -> None:
        """Let the exchange's clock jump; after a jump back it stands until its time has come again."""
        _within("stepped", self._stepped_ms + change_ms, -SKEW_MS_MAX, SKEW_MS_MAX)
        self._stepped_ms += change_ms

    def skew_ms(self, base_ms: int) -> int:
        """Say how far the exchange's clock is ahead of ours; its drift counts from the first question."""
        spec = self.spec
        if self._since_ms is None:
            self._since_ms = base_ms
        drift_ms = (base_ms - self._since_ms) * spec.skew_ppm // 1_000_000 if spec.skew_ppm else 0
        return spec.skew_ms + self._stepped_ms + drift_ms

    def for_connect(self) -> ConnectFate:
        """Decide about one handshake of a private stream."""
        if not self._forced and self.spec.quiet:
            return GOOD_CONNECT
        refused = self._strikes("refuse") is not None
        replayed = self._rng.randint(1, REPLAYED_MAX) if self._strikes("replay") else 0
        return ConnectFate(refused=refused, replayed=replayed)

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
        notice = self._strikes("expire") is not None
        return FrameFate(
            copies=copies,
            held=self._strikes("reorder") is not None,
            glitch=self._strikes("glitch") is not None,
            unknown_event=self._strikes("unknown_event") is not None,
            cut=next((kind for kind in CutKind if self._strikes(kind)), None),
            expire=notice or self._strikes("expire_silent") is not None,
            expire_notice=notice,
        )

    def for_reply(self, path: str = "") -> ReplyFate:
        """Decide about one REST answer."""
        if not self._forced and self.spec.quiet:
            return GOOD_REPLY
        if self._strikes("step"):
            most = self.spec.step_ms_max
            self._stepped_ms += self._rng.randint(-most, most)
        delay_ms = 0
        if self._strikes("rest_delay", path):
            delay_ms = self._rng.randint(1, max(1, self.spec.delay_ms_max))
        return replace(self._harm(path), delay_ms=delay_ms)

    def _harm(self, path: str) -> ReplyFate:
        for name, passing in (("rest_error", PASSING_CODES), ("rest_http", PASSING_STATUSES)):
            if struck := self._strikes(name, path):
                number = struck.code or self._rng.choice(passing)
                return ReplyFate(code=number) if name == "rest_error" else ReplyFate(status=number)
        if self._strikes("rest_ban", path):
            return ReplyFate(ban_ms=self.spec.ban_ms)
        for name, fate in HARMS.items():
            if self._strikes(name, path):
                return fate
        return GOOD_REPLY

    def _strikes(self, name: str, path: str = "") -> Forced | None:
        """Give what struck: the forced fault that waits for this occasion, or chance."""
        forced = next((f for f in self._forced if f.name == name and path.endswith(f.path)), None)
        if forced is not None:
            at = self._forced.index(forced)
            self._forced[at : at + 1] = [replace(forced, times=forced.times - 1)] if forced.times > 1 else []
        elif self._rng.random() < float(getattr(self.spec, name)):
            forced = Forced(name=name, times=1)
        if forced is not None:
            self.happened[name] += 1
        return forced


HARMS: Final = {
    "rest_truncate": ReplyFate(truncate=True),
    "rest_type": ReplyFate(wrong_type=True),
    "rest_label": ReplyFate(wrong_label=True),
    "rest_null": ReplyFate(null=True),
    "rest_drop": ReplyFate(drop=True),
}


def _within(name: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        message = f"{name} must lie between {low} and {high}, not {value}"
        raise ValueError(message)
