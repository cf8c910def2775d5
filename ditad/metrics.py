"""Prometheus metrics of a daemon, in a registry of its own.

What enters: the served accounts, read at each scrape by `ditad.collecting`; how long commits and snapshots took, as it
happens. What leaves: the text format. What holds: names in base units with `_total` for counters, moments as
timestamps rather than ages; labels are the account and fixed words alone, never symbols or ids, so the number of series
has a bound. (interfaces.md §3)
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge, Histogram, Info, ProcessCollector, generate_latest

from ditad.clock import US_PER_S, Clock
from ditad.collecting import AccountsCollector, Measured
from ditad.state import FOLD_VERSION

COMMIT_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
PUSH_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""The bounds of the histograms' buckets."""


class AccountTiming:
    """Where one account's pipeline says how long things took."""

    def __init__(self, commits: Histogram, pushes: Histogram) -> None:
        """Take the account's own of both."""
        self._commits = commits
        self._pushes = pushes

    def committed(self, took_s: float) -> None:
        """Count a commit of the journal."""
        self._commits.observe(took_s)

    def shown(self, took_s: float) -> None:
        """Count a frame of the private stream, from its arrival to the snapshot that it led to."""
        self._pushes.observe(took_s)


class Metrics:
    """All metrics of one daemon; another one in the same process has its own."""

    def __init__(self, accounts: Mapping[str, Measured], *, clock: Clock, state_dir: Path, version: str) -> None:
        """Read these accounts from now on; those that are added to the mapping later too."""
        # The text format would show when each series was begun as a gauge of its own, which nobody asked for.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it bare
        self._registry = CollectorRegistry(auto_describe=False)
        build = Info("ditad_build", "Which ditad this is.", registry=self._registry)
        build.info({"version": version, "fold_version": str(FOLD_VERSION), "python": platform.python_version()})
        started = Gauge("ditad_start_timestamp_seconds", "When this daemon started.", registry=self._registry)
        started.set(clock.now_us() / US_PER_S)
        self._registry.register(AccountsCollector(accounts, clock=clock, state_dir=state_dir))
        self._commits = Histogram(
            "ditad_commit_duration_seconds",
            "How long a commit of the journal took.",
            ["account"],
            registry=self._registry,
            buckets=COMMIT_S,
        )
        self._pushes = Histogram(
            "ditad_push_to_snapshot_seconds",
            "From the arrival of a frame of the private stream to the snapshot that it led to.",
            ["account"],
            registry=self._registry,
            buckets=PUSH_S,
        )
        ProcessCollector(registry=self._registry)

    def timing(self, account: str) -> AccountTiming:
        """Give the place where an account's pipeline says how long things took."""
        return AccountTiming(self._commits.labels(account), self._pushes.labels(account))

    def text(self) -> bytes:
        """Write all metrics in the text format."""
        return generate_latest(self._registry)
