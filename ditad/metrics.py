"""Prometheus metrics, read off the accounts at each scrape.

What enters: the served accounts. What leaves: the text format. What holds: names in base units with `_total` for
counters; labels are the account and fixed words alone, never symbols or ids. (interfaces.md §3)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ditad.clock import US_PER_S, Clock
from ditad.opinions import RULE
from ditad.reconcile import ReconcileStatus
from ditad.turn import capital_raw

if TYPE_CHECKING:
    from ditad.service import AccountService

ACCOUNT = ["account"]


class AccountsCollector(Collector):
    """Reads every figure when it is asked for; nothing is kept beside the accounts themselves."""

    def __init__(self, accounts: Mapping[str, AccountService], clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        """Give all metrics of all accounts."""
        status = GaugeMetricFamily("ditad_status", "The verdict: 1 for the present one.", labels=["account", "status"])
        capital = GaugeMetricFamily("ditad_capital", "Capital of each ledger.", labels=["account", "ledger"])
        counters = {
            "events": CounterMetricFamily("ditad_events", "Journaled events.", labels=ACCOUNT),
            "records": CounterMetricFamily("ditad_records", "Published records.", labels=ACCOUNT),
            "rejected": CounterMetricFamily("ditad_rejected", "Frames that were refused.", labels=ACCOUNT),
        }
        counters["connects"] = CounterMetricFamily(
            "ditad_stream_connects", "Times the private stream was connected.", labels=ACCOUNT
        )
        asked = CounterMetricFamily(
            "ditad_questions", "Requests to the exchange.", labels=["account", "kind", "outcome"]
        )
        ignored = CounterMetricFamily(
            "ditad_frames_without_effect", "Frames that change nothing.", labels=["account", "kind"]
        )
        tellings = CounterMetricFamily(
            "ditad_tellings", "What became of tellings of divergences and gaps.", labels=["account", "outcome"]
        )
        gauges = {
            "open": GaugeMetricFamily("ditad_open_positions", "Open positions of K.", labels=ACCOUNT),
            "gaps": GaugeMetricFamily("ditad_gaps", "Gaps that are not final.", labels=ACCOUNT),
            "divergences": GaugeMetricFamily("ditad_divergences", "Divergences that are not over.", labels=ACCOUNT),
            "bot": GaugeMetricFamily(
                "ditad_bot_divergences", "Divergences of the bot's own books that are not over.", labels=ACCOUNT
            ),
            "queued": GaugeMetricFamily("ditad_queued_events", "Events that wait for the journal.", labels=ACCOUNT),
            "readers": GaugeMetricFamily("ditad_subscribers", "Readers of the event stream.", labels=ACCOUNT),
            "waiting": GaugeMetricFamily("ditad_waiting_tellings", "Tellings that wait to be told.", labels=ACCOUNT),
            "ready": GaugeMetricFamily("ditad_ready", "1 when the account is ready.", labels=ACCOUNT),
            "stream": GaugeMetricFamily("ditad_stream_connected", "1 while a private stream lives.", labels=ACCOUNT),
            "frame_age": GaugeMetricFamily(
                "ditad_last_frame_age_seconds", "Age of the private stream's last frame.", labels=ACCOUNT
            ),
            "key_age": GaugeMetricFamily("ditad_listen_key_age_seconds", "Age of the listen key.", labels=ACCOUNT),
            "heard": GaugeMetricFamily(
                "ditad_last_event_age_seconds", "Age of the last journaled event.", labels=ACCOUNT
            ),
        }
        for name, account in self._accounts.items():
            state = account.pipeline.projection.state
            for word in ReconcileStatus:
                status.add_metric([name, word.value], float(state.status == word.value))
            if state.baseline is not None:
                capital.add_metric([name, "k"], float(capital_raw(state)))
            if state.stated.wallet is not None:
                capital.add_metric([name, "e"], float(state.stated.wallet.value))
            if state.bot is not None:
                capital.add_metric([name, "b"], float(state.bot.ledger.capital))
            stream = account.feed.stats
            for outcome, calls in (("all", stream.rest_calls), ("failed", stream.rest_failures)):
                for kind, count in calls.items():
                    asked.add_metric([name, kind, outcome], float(count))
            totals = {"events": state.n, "records": state.seq, "rejected": state.rejected, "connects": stream.connects}
            for key, counted in totals.items():
                counters[key].add_metric([name], float(counted))
            for kind, count in account.pipeline.counts.items():
                ignored.add_metric([name, kind], float(count))
            figures = {
                "open": sum(1 for position in state.positions.values() if position.run.quantity),
                "gaps": len(state.coverage.gaps),
                "divergences": len(state.divergences),
                "bot": sum(1 for known in state.divergences.values() if known.rule == RULE),
                "queued": account.pipeline.queued(),
                "readers": account.hub.subscribers,
                "ready": not account.not_ready(),
                "stream": stream.connected,
                "heard": (self._clock.now_us() - state.at_us) / US_PER_S,
            }
            if account.teller is not None:
                figures["waiting"] = account.teller.waiting
                for outcome, count in account.teller.counts.items():
                    tellings.add_metric([name, outcome], float(count))
            for key, age_s in (("frame_age", stream.last_frame_age_s), ("key_age", stream.key_age_s)):
                if age_s is not None:
                    gauges[key].add_metric([name], age_s)
            for key, figure in figures.items():
                gauges[key].add_metric([name], float(figure))
        yield from (status, capital, *counters.values(), asked, ignored, tellings, *gauges.values())


def metrics_text(accounts: Mapping[str, AccountService], clock: Clock) -> bytes:
    """Write all metrics in the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AccountsCollector(accounts, clock))
    return generate_latest(registry)
