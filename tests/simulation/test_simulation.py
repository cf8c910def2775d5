"""A few hundred seeds of the simulation, and the bugs that it must find."""

from __future__ import annotations

import os

import pytest

from tests.simulation.plan import plan_of
from tests.simulation.planted import PLANTED
from tests.simulation.running import failing, failures_of
from tests.simulation.world import discard, run

SEEDS = 200
SEEDS_MAX = 500
"""Within so many a planted bug must be found."""


def test_seeds_hold() -> None:
    """Whatever goes wrong in a world, at the end K is the exchange's books, and nothing was said that was not so."""
    found = {seed: said for seed, said in failing(range(SEEDS), processes=os.cpu_count() or 1) if said}
    assert not found, f"python -m tests.simulation --replay {min(found)}"


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_bug_is_found(planted: str) -> None:
    """The checks see what they are there for."""
    assert any(failures_of(seed, planted=planted) for seed in range(SEEDS_MAX)), "no seed found it"


def test_a_seed_tells_the_same_story_again() -> None:
    """What failed once fails again: the same lines, byte for byte."""
    stories = []
    for _ in range(2):
        outcome = run(plan_of(3))
        discard(outcome)
        stories.append(outcome.lines)
    assert stories[0] == stories[1]
