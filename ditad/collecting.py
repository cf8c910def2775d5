"""The figures of all accounts for a scrape, read when they are asked for.

What enters: the accounts as the daemon runs them, and the present moment. What leaves: metric families. What holds:
nothing is kept beside the accounts themselves; a figure that was never stated has no sample, for 0 would be a
statement; a moment of the exchange's clock is given on the machine's.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ditad.bingx.feed import Feed
from ditad.clock import US_PER_S, Clock
from ditad.coverage import GapState, covered_through_ms
from ditad.hub import Hub
from ditad.opinions import RULE
from ditad.pipeline import Pipeline
from ditad.reconcile import ReconcileStatus
from ditad.reporting import Reporter
from ditad.state import State
from ditad.tell.teller import Teller
from ditad.turn import capital_raw

DIVERGENCE_STATES: Final = ("open", "confirmed")
"""Those of a divergence that is not over."""

GAP_STATES: Final = (GapState.OPEN, GapState.PROVISIONAL, GapState.UNCLOSABLE)
DIVERGENCE_CHANGES: Final = (*DIVERGENCE_STATES, "healed", "adopted")
MS_PER_S: Final = 1_000

Sample = tuple[str, tuple[str, ...], float]
"""A metric's name, the values of its labels behind the account's, and its value."""


class Measured(Protocol):
    """An account, as far as it is measured."""

    @property
    def pipeline(self) -> Pipeline:
        """Its one writer."""

    @property
    def feed(self) -> Feed:
        """Its conversation with the exchange."""

    @property
    def hub(self) -> Hub:
        """Its newest records."""

    @property
    def reporter(self) -> Reporter:
        """Who tells its log."""

    @property
    def teller(self) -> Teller | None:
        """Who tells whom the settings name, if anybody."""

    def not_ready(self) -> tuple[str, ...]:
        """Say why it cannot be trusted to answer fully."""

    def verdict(self) -> Mapping[str, object]:
        """Give its verdict in short."""

    def journal_bytes(self) -> int:
        """Say how many bytes its journal takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What a metric is: its sentence, its labels behind the account's, and whether it only ever rises."""

    says: str
    labels: tuple[str, ...] = ()
    counter: bool = False


def _counter(says: str, *labels: str) -> Family:
    return Family(says=says, labels=labels, counter=True)


def _gauge(says: str, *labels: str) -> Family:
    return Family(says=says, labels=labels)


FAMILIES: Final[Mapping[str, Family]] = {
    "ditad_verdict": _gauge("The verdict: 1 for the present one, 0 for the others.", "verdict"),
    "ditad_ready": _gauge("1 when the account has a baseline, a living stream and no open gap."),
    "ditad_published_usable": _gauge("1 while a bot may use the published capital."),
    "ditad_capital": _gauge("Capital of each ledger, in the margin asset.", "ledger"),
    "ditad_open_positions": _gauge("Open positions of K."),
    "ditad_divergences": _gauge("Differences of K and E that are not over, by their state.", "state"),
    "ditad_bot_divergences": _gauge("Differences of the bot's own books that are not over, by their state.", "state"),
    "ditad_divergence_changes_total": _counter("Changes of divergences since the start, by the new state.", "state"),
    "ditad_gaps": _gauge("Gaps that are not closed for good, by their state.", "state"),
    "ditad_gap_changes_total": _counter("Changes of gaps since the start, by the new state.", "state"),
    "ditad_covered_through_timestamp_seconds": _gauge("The moment before which no fact can be missing."),
    "ditad_events_total": _counter("Journaled events."),
    "ditad_records_total": _counter("Published records."),
    "ditad_snapshots_total": _counter("Published snapshots."),
    "ditad_rejected_frames_total": _counter("Frames that were refused."),
    "ditad_frames_without_effect_total": _counter("Frames since the start that change nothing.", "kind"),
    "ditad_last_event_timestamp_seconds": _gauge("When the last event was heard."),
    "ditad_stream_connected": _gauge("1 while a private stream lives."),
    "ditad_stream_connects_total": _counter("Times the private stream was connected."),
    "ditad_stream_frames_total": _counter("Frames of the private stream."),
    "ditad_stream_last_frame_timestamp_seconds": _gauge("When the private stream was last heard."),
    "ditad_listen_key_timestamp_seconds": _gauge("When the listen key was last issued or renewed."),
    "ditad_market_stream_connects_total": _counter("Times the market stream was connected."),
    "ditad_clock_offset_seconds": _gauge("The exchange's clock minus the machine's."),
    "ditad_rest_requests_total": _counter("Requests to the exchange.", "path"),
    "ditad_rest_failures_total": _counter("Attempts to ask the exchange that failed.", "question"),
    "ditad_rest_budget_held_seconds": _gauge("How long requests are still held back because the exchange limits us."),
    "ditad_rest_allowance_requests": _gauge("Requests left of the exchange's allowance, as it said last."),
    "ditad_queued_events": _gauge("Events that wait for the journal."),
    "ditad_subscribers": _gauge("Readers of the event stream."),
    "ditad_tellings_total": _counter("What became of tellings of divergences and gaps.", "outcome"),
    "ditad_waiting_tellings": _gauge("Tellings that wait to be told."),
    "ditad_journal_bytes": _gauge("What the journal takes on disk, its log included."),
}
"""Every metric of an account."""

FREE_BYTES: Final = "ditad_state_free_bytes"


class AccountsCollector(Collector):
    """Reads every figure when it is asked for."""

    def __init__(self, accounts: Mapping[str, Measured], *, clock: Clock, state_dir: Path) -> None:
        self._accounts = accounts
        self._clock = clock
        self._state_dir = state_dir

    def collect(self) -> Iterable[Metric]:
        """Give all metrics of all accounts."""
        families = {name: _family(name, family) for name, family in FAMILIES.items()}
        for account, measured in self._accounts.items():
            for name, labels, value in samples_of(measured, self._clock.now_us()):
                families[name].add_metric([account, *labels], float(value))
        yield from families.values()
        yield from self._free()

    def _free(self) -> Iterator[Metric]:
        try:
            found = os.statvfs(self._state_dir)
        except OSError:  # a folder that was taken away has no free bytes to tell of
            return
        yield GaugeMetricFamily(FREE_BYTES, "Bytes left for the journals.", float(found.f_bavail * found.f_frsize))


def _family(name: str, family: Family) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if family.counter else GaugeMetricFamily
    return kind(name, family.says, labels=["account", *family.labels])


def samples_of(account: Measured, now_us: int) -> Iterator[Sample]:
    """Give one account's figures of this moment."""
    yield from _ledgers(account.pipeline.projection.state)
    yield from _coverage(account.pipeline.projection.state, account.feed.stats.clock_offset_ms)
    yield from _exchange(account.feed, now_us)
    pipeline, state = account.pipeline, account.pipeline.projection.state
    for word in DIVERGENCE_CHANGES:  # a counter that appears with its first event hides that event from `rate`
        yield "ditad_divergence_changes_total", (word,), account.reporter.divergences[word]
    for gap_state in GapState:
        yield "ditad_gap_changes_total", (gap_state.value,), account.reporter.gaps[gap_state.value]
    yield from _counted("ditad_frames_without_effect_total", pipeline.counts)
    yield "ditad_ready", (), not account.not_ready()
    yield "ditad_published_usable", (), account.verdict().get("usable") is True
    yield "ditad_events_total", (), state.n
    yield "ditad_records_total", (), state.seq
    yield "ditad_snapshots_total", (), state.event_seq
    yield "ditad_rejected_frames_total", (), state.rejected
    if state.n:
        yield "ditad_last_event_timestamp_seconds", (), state.at_us / US_PER_S
    yield "ditad_queued_events", (), pipeline.queued()
    yield "ditad_subscribers", (), account.hub.subscribers
    yield "ditad_journal_bytes", (), account.journal_bytes()
    if account.teller is not None:
        yield "ditad_waiting_tellings", (), account.teller.waiting
        yield from _counted("ditad_tellings_total", account.teller.counts)


def _counted(name: str, counts: Mapping[str, int]) -> Iterator[Sample]:
    for word, count in counts.items():
        yield name, (word,), count


def _ledgers(state: State) -> Iterator[Sample]:
    """Give verdict, capital, positions and what is between the ledgers."""
    for verdict in ReconcileStatus:
        yield "ditad_verdict", (verdict.value,), state.status == verdict.value
    if state.baseline is not None:
        yield "ditad_capital", ("k",), float(capital_raw(state))
    if state.stated.wallet is not None:
        yield "ditad_capital", ("e",), float(state.stated.wallet.value)
    if state.bot is not None:
        yield "ditad_capital", ("b",), float(state.bot.ledger.capital)
    yield "ditad_open_positions", (), sum(1 for position in state.positions.values() if position.run.quantity)
    counts = Counter((known.rule == RULE, known.state) for known in state.divergences.values())
    for word in DIVERGENCE_STATES:
        yield "ditad_divergences", (word,), counts[False, word]
        yield "ditad_bot_divergences", (word,), counts[True, word]


def _coverage(state: State, offset_ms: int) -> Iterator[Sample]:
    gaps = Counter(gap.state for gap in state.coverage.gaps)
    for gap_state in GAP_STATES:
        yield "ditad_gaps", (gap_state.value,), gaps[gap_state]
    if state.baseline is not None and state.settings is not None:
        lags_ms = (state.settings.fills_lag_ms, state.settings.income_lag_ms)
        through_ms = covered_through_ms(state.coverage, baseline_ms=state.baseline.taken_ms, lags_ms=lags_ms)
        yield "ditad_covered_through_timestamp_seconds", (), (through_ms - offset_ms) / MS_PER_S


def _exchange(feed: Feed, now_us: int) -> Iterator[Sample]:
    stats = feed.stats
    yield "ditad_stream_connected", (), stats.connected
    yield "ditad_stream_connects_total", (), stats.connects
    yield "ditad_stream_frames_total", (), stats.frames
    yield "ditad_market_stream_connects_total", (), stats.market_connects
    for name, age_s in (
        ("ditad_stream_last_frame_timestamp_seconds", stats.last_frame_age_s),
        ("ditad_listen_key_timestamp_seconds", stats.key_age_s),
    ):
        if age_s is not None:
            yield name, (), now_us / US_PER_S - age_s
    yield "ditad_clock_offset_seconds", (), stats.clock_offset_ms / MS_PER_S
    yield from _counted("ditad_rest_requests_total", stats.rest_calls)
    yield from _counted("ditad_rest_failures_total", stats.rest_failures)
    yield "ditad_rest_budget_held_seconds", (), stats.rest_held_s
    if stats.rest_allowance is not None:
        yield "ditad_rest_allowance_requests", (), stats.rest_allowance
