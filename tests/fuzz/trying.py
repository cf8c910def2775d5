"""A target of the fuzz: how an input is made, and what is done with it.

What enters: nothing. What leaves: the `Target` record and the outcomes that it may have. What holds: making an input
needs the generator alone, so that seed and index replay it; trying one raises whatever the product should not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

Input = Any
"""Bytes, text or a tuple of such: something that can be printed, and cut shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one input: how many mutated things were in it, and how many of them were accepted."""

    inputs: int = 1
    accepted: int = 0


ACCEPTED = Outcome(accepted=1)
REFUSED = Outcome()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One border, with its weight among those of its group. `make` draws an input, `attempt` hands it over; `attempt` looks names up when called, not before."""

    name: str
    make: Callable[[Random], Input]
    attempt: Callable[[Input], Outcome]
    weight: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Targets that share a number of inputs."""

    name: str
    says: str
    targets: Sequence[Target]
