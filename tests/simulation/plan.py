"""What a seed stands for: an exchange's habits, its faults, the roads, the machine's misfortunes, the settings.

What enters: a seed. What leaves: a frozen `Plan`, the same for the same seed. What holds: each family of misfortune is
on in about half of the worlds, so that there are calm ones, mixed ones and bad ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from ditad.exchange.dialect import Dialect
from ditad.exchange.faults import FaultSpec

PUSHES = 200
"""Frames of orders and of the account that a story is made of, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """Something that happens to the machine or the network at a moment of the story; `for_s` it lasts."""

    at_s: float
    kind: str
    for_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One world. Probabilities are per commit of the journal."""

    seed: int
    hedge: bool
    margin_type: str
    dialect: Dialect
    faults: FaultSpec
    forced: bool
    funding_every_s: float
    funding_early: bool
    """Whether funding may be settled right after the baseline, when nobody can tell which side it is on."""
    early: bool
    """Whether the account trades before there is a baseline."""
    latency_s_max: float
    step_s: float
    burst: float
    pushes: int
    blows: tuple[Blow, ...]
    kill_at_commit: float
    disk_full: float
    settings: str
    families: tuple[str, ...] = field(default=())

    def rng(self, concern: str) -> Random:
        """Derive the generator of one concern."""
        return Random(f"{self.seed}:{concern}")  # noqa: S311 - a story, not a secret


def plan_of(seed: int, *, pushes: int = PUSHES) -> Plan:
    """Draw a world."""
    rng = Random(f"{seed}:plan")  # noqa: S311 - a story, not a secret
    on = {name: rng.random() < 0.5 for name in ("frames", "connections", "answers", "kills", "disk", "network", "away")}
    if rng.random() < 0.1:
        on = dict.fromkeys(on, False)
    dialect = Dialect.drawn(
        rng,
        row_delay_s_max=rng.choice([0, 5, 60]),
        funding_stamp_s_max=rng.choice([0, 5, 60]),
    )
    step_s = rng.choice([0.02, 0.3, 2.0])
    return Plan(
        seed=seed,
        hedge=rng.random() < 0.6,
        margin_type=rng.choice(["cross", "cross", "isolated"]),
        dialect=dialect,
        faults=_faults(rng, on),
        forced=rng.random() < 0.3,
        funding_every_s=rng.choice([100.0, 200.0, 3600.0]),
        funding_early=rng.random() < 0.1,
        early=rng.random() < 0.3,
        latency_s_max=rng.choice([0.001, 0.05, 0.5]),
        step_s=step_s,
        burst=rng.choice([0.0, 0.3, 0.8]),
        pushes=pushes,
        blows=_blows(rng, on, duration_s=max(20.0, step_s * pushes / 2)),
        kill_at_commit=rng.choice([0.005, 0.03]) if on["kills"] else 0.0,
        disk_full=0.01 if on["disk"] else 0.0,
        settings=_settings(rng),
        families=tuple(name for name, there in on.items() if there),
    )


def _faults(rng: Random, on: dict[str, bool]) -> FaultSpec:
    chances: dict[str, float] = {}
    if on["frames"]:
        for name, most in (("drop", 0.1), ("dup", 0.1), ("reorder", 0.1), ("delay", 0.2), ("unknown_event", 0.02)):
            chances[name] = rng.choice([0.0, most])
        chances["glitch"] = rng.choice([0.0, 0.0, 0.01])
    if on["connections"]:
        for name in ("cut", "cut_abrupt", "half_open", "expire", "expire_silent"):
            chances[name] = rng.choice([0.0, 0.01])
    if on["answers"]:
        for name in ("rest_error", "rest_http", "rest_truncate", "rest_type", "rest_null", "rest_drop", "rest_delay"):
            chances[name] = rng.choice([0.0, 0.05])
    return FaultSpec(
        **chances,  # type: ignore[arg-type] # probabilities only
        delay_ms_max=rng.choice([50, 500, 3000]),
        skew_ms=rng.choice([0, 0, -700, 900, 40_000, -3_600_000]),
    )


def _blows(rng: Random, on: dict[str, bool], *, duration_s: float) -> tuple[Blow, ...]:
    blows = []
    if on["kills"]:
        blows += [
            Blow(at_s=rng.uniform(0, duration_s), kind="kill", for_s=rng.choice([0.1, 2.0, 20.0]))
            for _ in range(rng.randint(1, 3))
        ]
    if on["network"]:
        for _ in range(rng.randint(1, 2)):
            kind = rng.choice(["reset", "blackhole"])
            blows.append(Blow(at_s=rng.uniform(0, duration_s), kind=kind, for_s=rng.choice([0.5, 5.0, 60.0])))
    if on["away"]:
        for_s = rng.choice([5.0, 300.0, 4 * 3600.0, 3 * 86_400.0])
        blows.append(Blow(at_s=rng.uniform(5, duration_s), kind=rng.choice(["stop", "kill"]), for_s=for_s))
    return tuple(sorted(blows, key=lambda blow: blow.at_s))


def _settings(rng: Random) -> str:
    """Write the parts of an account's settings that a world varies."""
    rows = rng.choice([10, 50, 1000])
    return f"""
[account.audit]
interval_s = {rng.choice([10, 30])}
fills_interval_s = {rng.choice([30, 120])}
income_interval_s = {rng.choice([60, 300])}
fills_page_rows = {rows}
income_page_rows = {rows}
pages_max = 1000
requests_per_s = {rng.choice([2, 10])}
[account.stream]
marks = {str(rng.random() < 0.1).lower()}
mark_interval_s = 10
"""
