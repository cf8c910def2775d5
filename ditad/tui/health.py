"""How an account's conversation with the exchange goes, read off the metrics.

What enters: the text of `/v1/metrics` and the wall's time when it came, which is the daemon's too: one machine has one
clock, and a unix socket no other end. What leaves: a `Health`, and rates between two. What holds: what the text does not
tell is `None`, never 0; an age is never negative, also where the clock was set back; counters that went back belong to
another life of the daemon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

WINDOW_S: Final = 15.0
"""Rates are means over so long, or as long as was watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The figures of one account at one moment: ages in seconds, and counts since the daemon started."""

    connected: bool | None = None
    frame_age_s: float | None = None
    key_age_s: float | None = None
    connects: float | None = None
    events: float | None = None
    records: float | None = None
    rejected: float | None = None
    without_effect: float | None = None
    questions: float | None = None
    failed: float | None = None
    queued: float | None = None

    @property
    def reconnects(self) -> int | None:
        """Say how often the stream was connected again, after the first time."""
        return None if self.connects is None else max(0, int(self.connects) - 1)


CONNECTED: Final = "ditad_stream_connected"
AGES: Final = {
    "ditad_stream_last_frame_timestamp_seconds": "frame_age_s",
    "ditad_listen_key_timestamp_seconds": "key_age_s",
}
"""Moments, shown by how long ago they are."""

COUNTS: Final = {
    "ditad_stream_connects_total": "connects",
    "ditad_events_total": "events",
    "ditad_records_total": "records",
    "ditad_rejected_frames_total": "rejected",
    "ditad_queued_events": "queued",
    "ditad_frames_without_effect_total": "without_effect",
    "ditad_rest_requests_total": "questions",
    "ditad_rest_failures_total": "failed",
}
"""Numbers, added up over the labels behind the account's: the kinds of frames, the paths and questions."""


def health_of(text: str, account: str, at: datetime) -> Health:
    """Read an account's figures as they were at a moment."""
    figures: dict[str, float] = {}
    connected = None
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("account") != account:
                continue
            if sample.name == CONNECTED:
                connected = bool(sample.value)
            elif sample.name in AGES:
                figures[AGES[sample.name]] = max(0.0, at.timestamp() - sample.value)
            elif sample.name in COUNTS:
                name = COUNTS[sample.name]
                figures[name] = figures.get(name, 0.0) + sample.value
    if "questions" in figures:
        figures.setdefault("failed", 0.0)  # failures are told from the first one on
    return Health(connected=connected, **figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A `Health` and the monotonic second at which it was read."""

    at_mono: float
    health: Health


COUNTERS: Final = ("events", "records", "rejected", "without_effect", "questions", "failed")


def sampled(samples: Sequence[Sample], new: Sample) -> tuple[Sample, ...]:
    """Add a sample; gives those of the window, none of an earlier life of the daemon."""
    if samples and any(
        (getattr(new.health, name) or 0.0) < (getattr(samples[-1].health, name) or 0.0) for name in COUNTERS
    ):
        return (new,)
    return (*(one for one in samples if new.at_mono - one.at_mono <= WINDOW_S), new)


def per_s(samples: Sequence[Sample], name: str) -> float | None:
    """Give how fast a counter rises; `None` before two samples of it."""
    told = [(one.at_mono, value) for one in samples if (value := getattr(one.health, name)) is not None]
    if len(told) < 2:
        return None
    (before_mono, before), (after_mono, after) = told[0], told[-1]
    return float(after - before) / (after_mono - before_mono) if after_mono > before_mono else None
