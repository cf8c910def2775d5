"""What was measured, as values: each figure beside its baseline, with its pacing and what it must reach.

What enters: numbers of one run. What leaves: a table for a person, and plain objects for JSON. What holds: no figure
without its pacing; a goal is judged by a number that stands in the same row; what was not judged is not called reached.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from tests.benchmarks.machine import machine_line

SATURATED = "saturation: frames as fast as the socket takes them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a figure must reach: `judged` is to be at most `limit`, or at least it where `least`."""

    text: str
    judged: float
    limit: float
    least: bool = False

    @property
    def reached(self) -> bool:
        """Say whether it does; what is no number does not."""
        return self.judged >= self.limit if self.least else self.judged <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row. `beside` are the baselines of the same run, and ratios to them, by name."""

    part: str
    what: str
    value: float
    unit: str
    pacing: str
    beside: Mapping[str, float] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()
    remark: str = ""

    def body(self) -> dict[str, Any]:
        """Give it as a plain object."""
        goals = [
            {"goal": goal.text, "judged": goal.judged, "limit": goal.limit, "reached": goal.reached}
            for goal in self.goals
        ]
        return {
            "part": self.part,
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "pacing": self.pacing,
            "beside": dict(self.beside),
            "goals": goals,
            "remark": self.remark,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Times of one kind, in ms."""

    p50: float
    p99: float
    most: float


def spread(took_ns: Iterable[int]) -> Spread:
    """Give the median, the 99th of a hundred and the most of some times in ns, in ms."""
    took = sorted(took_ns)
    assert took, "there are times"
    assert took[0] >= 0, "nothing is read before it is sent: the clock was moved"
    place = math.ceil(0.99 * len(took)) - 1
    return Spread(p50=statistics.median(took) / 1e6, p99=took[place] / 1e6, most=took[-1] / 1e6)


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Give the median of ratios of what was measured in turn: what disturbs the machine disturbs both of a pair."""
    return statistics.median(first / second for first, second in pairs)


def result(about: Mapping[str, Any], options: Mapping[str, Any], figures: Sequence[Figure]) -> dict[str, Any]:
    """Put a run together."""
    return {"machine": dict(about), "options": dict(options), "figures": [figure.body() for figure in figures]}


def table(about: Mapping[str, Any]) -> str:
    """Write a run for a person: per part its rows, each with what it is beside and what it had to reach."""
    lines = [machine_line(about["machine"])]
    for part, rows in groupby(about["figures"], key=lambda row: row["part"]):
        lines += ["", part]
        for row in rows:
            beside = ", ".join(f"{name} {shown(number)}" for name, number in row["beside"].items())
            lines.append(f"  {row['what']:<44} {shown(row['value']):>9} {row['unit']:<10} {beside}".rstrip())
            lines += [f"      {words}" for words in judged(row)]
            lines.append(f"      at {row['pacing']}" + (f"; {row['remark']}" if row["remark"] else ""))
    return "\n".join(lines)


def markdown(about: Mapping[str, Any]) -> str:
    """Write what has a goal as a table for a page, with the machine above it."""
    lines = [machine_line(about["machine"]), "", "| figure | measured | must reach | | at |", "|---|---|---|---|---|"]
    for row in about["figures"]:
        measured = f"{shown(row['value'])} {row['unit']}".strip()
        lines += [
            f"| {row['what']} | {measured} | {goal['goal']}: {shown(goal['judged'])} against {shown(goal['limit'])} "
            f"| {'reached' if goal['reached'] else 'not reached'} | {row['pacing']} |"
            for goal in row["goals"]
        ]
    return "\n".join(lines)


def judged(row: Mapping[str, Any]) -> list[str]:
    """Say of each goal whether it is reached."""
    return [
        f"{'reached' if goal['reached'] else 'NOT REACHED'}: {goal['goal']} "
        f"({shown(goal['judged'])}, limit {shown(goal['limit'])})"
        for goal in row["goals"]
    ]


def shown(number: float) -> str:
    """Write a number with three or four digits that count."""
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:,.{digits}f}"
