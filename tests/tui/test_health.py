"""The stream's health, read off the metrics of the daemon's own collector."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ditad.collecting import FAMILIES
from ditad.tui.health import AGES, CONNECTED, COUNTERS, COUNTS, WINDOW_S, Health, Sample, health_of, per_s, sampled

AT = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
TEXT = f"""\
# TYPE ditad_stream_connected gauge
ditad_stream_connected{{account="main"}} 1.0
ditad_stream_connected{{account="other"}} 0.0
# TYPE ditad_stream_last_frame_timestamp_seconds gauge
ditad_stream_last_frame_timestamp_seconds{{account="main"}} {AT.timestamp() - 0.25}
# TYPE ditad_listen_key_timestamp_seconds gauge
ditad_listen_key_timestamp_seconds{{account="main"}} {AT.timestamp() - 60}
# TYPE ditad_stream_connects counter
ditad_stream_connects_total{{account="main"}} 3.0
# TYPE ditad_rejected_frames counter
ditad_rejected_frames_total{{account="main"}} 6.0
# TYPE ditad_rest_requests counter
ditad_rest_requests_total{{account="main",path="/a"}} 5.0
ditad_rest_requests_total{{account="main",path="/b"}} 4.0
# TYPE ditad_rest_failures counter
ditad_rest_failures_total{{account="main",question="positions"}} 2.0
ditad_rest_failures_total{{account="other",question="positions"}} 8.0
# TYPE ditad_frames_without_effect counter
ditad_frames_without_effect_total{{account="main",kind="ping"}} 7.0
ditad_frames_without_effect_total{{account="main",kind="ack"}} 1.0
# TYPE ditad_ready gauge
ditad_ready{{account="main"}} 1.0
# TYPE ditad_up gauge
ditad_up 1.0
"""


def test_every_metric_that_is_read_is_one_the_daemon_tells() -> None:
    """A name that the daemon does not know would be a dash on the screen for ever."""
    assert set() == {CONNECTED, *AGES, *COUNTS} - set(FAMILIES)


def test_the_figures_of_one_account_are_read() -> None:
    """Kinds, paths and questions are added up, and what belongs to others is passed over."""
    told = health_of(TEXT, "main", AT)
    assert (
        Health(
            connected=True,
            frame_age_s=0.25,
            key_age_s=60.0,
            connects=3.0,
            rejected=6.0,
            without_effect=8.0,
            questions=9.0,
            failed=2.0,
        )
        == told
    )
    assert 2 == told.reconnects


def test_a_moment_that_is_still_to_come_is_now() -> None:
    """A clock that was set back makes no age negative."""
    told = health_of(TEXT, "main", AT - timedelta(seconds=30))
    assert (0.0, 30.0) == (told.frame_age_s, told.key_age_s)


def test_what_is_not_told_is_not_known() -> None:
    """Neither connected nor cut off, no age, no count; but who asked and tells of no failure had none."""
    told = health_of(TEXT, "nobody", AT)
    assert (Health(), None) == (told, told.reconnects)
    assert 0.0 == health_of(TEXT.replace("ditad_rest_failures_total{", "ditad_other_total{"), "main", AT).failed


def at(mono: float, events: float | None) -> Sample:
    """Make a sample."""
    return Sample(at_mono=mono, health=Health(events=events))


def test_a_rate_is_the_mean_over_the_window() -> None:
    """From the oldest sample of the window to the newest; older ones are let go."""
    samples: tuple[Sample, ...] = ()
    for second in range(30):
        samples = sampled(samples, at(second, second * 2.0))
    assert (WINDOW_S, 2.0) == (samples[-1].at_mono - samples[0].at_mono, per_s(samples, "events"))


@pytest.mark.parametrize("samples", [(), (at(1, 5.0),), (at(1, None), at(2, 3.0)), (at(1, 1.0), at(1, 3.0))])
def test_there_is_no_rate_before_two_samples(samples: tuple[Sample, ...]) -> None:
    """Not known is not 0."""
    assert per_s(samples, "events") is None


def test_counters_that_went_back_begin_anew() -> None:
    """A daemon that was started again counts from 0, which is no negative rate."""
    samples = sampled(sampled((), at(1, 100.0)), at(2, 3.0))
    assert (at(2, 3.0),) == samples
    assert "events" in COUNTERS
