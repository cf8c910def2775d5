"""A few hundred seeds of the simulation, and the bugs that it must find."""

from __future__ import annotations

import pytest

from tests.simulation.plan import plan_of
from tests.simulation.planted import FOUND_BY, PLANTED
from tests.simulation.running import failures_of
from tests.simulation.world import discard, run

SEEDS = 200
SEEDS_AT_ONCE = 10
"""One test runs so many, so that all cores have some of them."""

SEEDS_MAX = 500
"""Within so many a planted bug must be found."""


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_AT_ONCE))
def test_seeds_hold(first: int) -> None:
    """Whatever goes wrong in a world, at the end K is the exchange's books, and nothing was said that was not so."""
    found = {seed: said for seed in range(first, first + SEEDS_AT_ONCE) if (said := failures_of(seed))}
    assert not found, f"python -m tests.simulation --replay {min(found)}"


@pytest.mark.long
@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_bug_is_found(planted: str) -> None:
    """The checks see what they are there for; where the seed that once found it does so no more, another one must."""
    seeds = sorted(range(SEEDS_MAX), key=lambda seed: (seed != FOUND_BY[planted], seed))
    assert any(failures_of(seed, planted=planted) for seed in seeds), "no seed found it"


def test_the_seeds_tried_first_hold_without_a_bug() -> None:
    """They are among those that are run without one, so what they find is the bug."""
    assert set(PLANTED) == set(FOUND_BY)
    assert max(FOUND_BY.values()) < SEEDS


def test_a_seed_tells_the_same_story_again() -> None:
    """What failed once fails again: the same lines, byte for byte."""
    stories = []
    for _ in range(2):
        outcome = run(plan_of(3))
        discard(outcome)
        stories.append(outcome.lines)
    assert stories[0] == stories[1]
