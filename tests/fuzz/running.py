"""Counting, reporting, replaying: one input after the other, each from a generator of its own.

What enters: targets, a seed, a number of inputs. What leaves: `Tally`s, or the `Failure` of the first input that made
the product raise. What holds: input `index` of a target depends on the target's name, the seed and the index alone, so
that ``--target NAME --replay SEED:INDEX`` makes it again; memory does not grow with the number of inputs.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from tests.fuzz.trying import Input, Target

SHRINKS_MAX = 2_000
SHOWN_MAX = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An input that made the product raise what it must not; `error` is the whole trace."""

    target: str
    seed: int
    index: int
    given: Input
    error: str
    where: tuple[str, str, int]

    @property
    def replay(self) -> str:
        """Say how to make this input again."""
        return f"python -m tests.fuzz --target {self.target} --replay {self.seed}:{self.index}"

    def report(self) -> str:
        """Tell it all, the input cut where it is long."""
        shown = repr(self.given)
        cut = shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}… ({len(shown)} characters)"
        return f"{self.error}\ninput: {cut}\nreplay: {self.replay}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a target was given and took; `failures` has one of each place in the product."""

    target: str
    inputs: int
    accepted: int
    seconds: float
    failures: tuple[Failure, ...]

    def line(self) -> str:
        """Tell it in a line."""
        rate = self.inputs / self.seconds if self.seconds else 0.0
        share = 100 * self.accepted / max(1, self.inputs)
        return (
            f"{self.target:<12} {self.inputs:>9} inputs {rate:>8.0f}/s  {share:5.1f} % accepted  "
            f"{len(self.failures)} failures"
        )


def generator(target: Target, seed: int, index: int) -> Random:
    """Give the generator of one input."""
    return Random(f"{target.name}:{seed}:{index}")  # noqa: S311 - inputs are no secrets


def failure_of(target: Target, seed: int, index: int, given: Input) -> Failure | None:
    """Try one input; an exception that leaves the attempt is a failure, an assertion of the oracle too."""
    try:
        target.attempt(given)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
        return _failure(target, seed, index, given, error)
    return None


def _failure(target: Target, seed: int, index: int, given: Input, error: Exception) -> Failure:
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    return Failure(
        target=target.name,
        seed=seed,
        index=index,
        given=given,
        error="".join(traceback.format_exception(error, limit=-12)).rstrip()[-SHOWN_MAX:],
        where=(type(error).__name__, innermost.filename, innermost.lineno or 0),
    )


def run(target: Target, seed: int, inputs: int, *, seconds_max: float = math.inf, failures_max: int = 8) -> Tally:
    """Try so many inputs, for so long at most; a place in the product that fails twice is told once."""
    began = time.perf_counter()
    done, accepted, index = 0, 0, 0
    found: dict[tuple[str, str, int], Failure] = {}
    while done < inputs and len(found) < failures_max and time.perf_counter() - began < seconds_max:
        given = target.make(generator(target, seed, index))
        try:
            outcome = target.attempt(given)
            done += outcome.inputs
            accepted += outcome.accepted
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            failure = _failure(target, seed, index, given, error)
            done += 1
            if failure.where not in found:
                found[failure.where] = failure
        index += 1
    seconds = time.perf_counter() - began
    return Tally(target=target.name, inputs=done, accepted=accepted, seconds=seconds, failures=tuple(found.values()))


def replay(target: Target, seed: int, index: int) -> Failure | None:
    """Make one input again and try it."""
    return failure_of(target, seed, index, target.make(generator(target, seed, index)))


def shrunk(target: Target, failure: Failure) -> Failure:
    """Cut the input shorter while it fails at the same place; what is left need not be the shortest."""
    tried = 0

    def still(given: Input) -> Failure | None:
        again = failure_of(target, failure.seed, failure.index, given)
        return again if again is not None and again.where == failure.where else None

    best = failure
    for size in _sizes(best.given):
        at = 0
        while at < _length(best.given) and tried < SHRINKS_MAX:
            tried += 1
            again = next(filter(None, map(still, _without(best.given, at, size))), None)
            if again is None:
                at += size
            else:
                best = again
    return best


def _length(given: Input) -> int:
    """Say how long the part is that can be cut: the last of a pair, else the whole."""
    cut = given[-1] if _is_pair(given) else given
    return len(cut) if isinstance(cut, bytes | str | tuple) else 0


def _is_pair(given: Input) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[-1], bytes | str | tuple)


def _sizes(given: Input) -> Iterable[int]:
    size = _length(given) // 2
    while size:
        yield size
        size //= 2


def _without(given: Input, at: int, size: int) -> Iterable[Input]:
    if _is_pair(given):
        yield (given[0], given[-1][:at] + given[-1][at + size :])
    else:
        yield given[:at] + given[at + size :]
