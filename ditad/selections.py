"""Which rows a sum proves: of several amounts, the one selection that makes up a difference.

What enters: amounts in the order of their time, the difference, how far it may be off. What leaves: the places of the
amounts that were selected, or nothing. What holds: runs of neighbours in time are tried first (all of them, the last
ones, those of one settlement), then any selection; if several different ones make up the difference, what all of them
hold is proven if it makes it up alone: then the rest of each adds up to nothing. The work is bounded: `RUN_MAX`² / 2 runs, 2 · 2^(`ANY_MAX` / 2) sums of halves, `FITTING_MAX` selections that fit.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate

from ditad.money import ZERO, add, exact_sum, sub

RUN_MAX = 100
"""Of more amounts than this the latest ones are tried as runs."""

ANY_MAX = 20
"""Up to this many amounts are tried in every selection."""

FITTING_MAX = 256
"""After this many selections that fit none is proven."""

Places = tuple[int, ...]


def proven(amounts: Sequence[Decimal], wanted: Decimal, slack: Decimal, *, any_of_max: int = ANY_MAX) -> Places:
    """Give the places of the one selection whose sum is wanted; nothing if there is none, or several share no such one.

    Selections of equal amounts do not differ: of them the latest is given. `any_of_max` is up to how many amounts are
    tried in every selection, and not only as runs.
    """
    found = _only(_runs(amounts, wanted, slack), amounts)
    if found or len(amounts) > min(any_of_max, ANY_MAX):
        return found
    return _shared(_any(amounts, wanted, slack), amounts, wanted, slack)


def _only(fitting: Iterable[Places], amounts: Sequence[Decimal]) -> Places:
    """Give the latest of selections that do not differ; nothing where two do, or at the bound."""
    best: Places = ()
    for count, places in enumerate(fitting):
        if count == FITTING_MAX or (best and _figures(places, amounts) != _figures(best, amounts)):
            return ()
        best = max(best, places)
    return best


def _shared(fitting: Iterable[Places], amounts: Sequence[Decimal], wanted: Decimal, slack: Decimal) -> Places:
    """Give the latest places of the amounts that all selections hold, if these make up what is wanted; else nothing."""
    found = list(itertools.islice(fitting, FITTING_MAX + 1))
    if not found or len(found) > FITTING_MAX:
        return ()
    common = Counter(_figures(found[0], amounts))
    for places in found[1:]:
        common &= Counter(_figures(places, amounts))
    if abs(sub(exact_sum(common.elements()), wanted)) > slack:
        return ()
    chosen = []
    for place in reversed(range(len(amounts))):
        if common[amounts[place]]:
            common[amounts[place]] -= 1
            chosen.append(place)
    return tuple(reversed(chosen))


def _figures(places: Places, amounts: Sequence[Decimal]) -> list[Decimal]:
    return sorted(amounts[place] for place in places)


def _runs(amounts: Sequence[Decimal], wanted: Decimal, slack: Decimal) -> Iterator[Places]:
    first = max(0, len(amounts) - RUN_MAX)
    sums = list(accumulate(amounts[first:], add, initial=ZERO))
    for begin in range(len(sums) - 1):
        for end in range(begin + 1, len(sums)):
            if abs(sub(sub(sums[end], sums[begin]), wanted)) <= slack:
                yield tuple(range(first + begin, first + end))


def _any(amounts: Sequence[Decimal], wanted: Decimal, slack: Decimal) -> Iterator[Places]:
    """Find every selection: those of one half, ordered by their sum, meet those of the other."""
    middle = len(amounts) // 2
    early, late = _sums(amounts, range(middle)), sorted(_sums(amounts, range(middle, len(amounts))))
    sums = [total for total, _ in late]
    for total, places in early:
        rest = sub(wanted, total)
        for place in range(bisect_left(sums, sub(rest, slack)), len(sums)):
            if sums[place] > add(rest, slack):
                break
            yield (*places, *late[place][1])


def _sums(amounts: Sequence[Decimal], half: range) -> list[tuple[Decimal, Places]]:
    found: list[tuple[Decimal, Places]] = [(ZERO, ())]
    for place in half:
        found += [(add(total, amounts[place]), (*places, place)) for total, places in found]
    return found
