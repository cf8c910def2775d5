"""What a projection keeps between events so as not to work it out again: nothing that could not be found anew.

What enters: the fold's state, and what is made of parts of it. What leaves: the same as if it had just been made.
What holds: nothing in here is state, and no checkpoint has it; what was made of some objects is given again only for
those very objects, which are kept beside it and are never changed, so a projection that begins with nothing kept
gives the same bytes. One entry a position and kind; positions are bounded by the account's symbols.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import is_
from typing import Any, Generic, TypeVar

from ditad.money import exact_sum
from ditad.reconcile import DivergenceClass, Finding
from ditad.state import State
from ditad.stepping import Run

Made = TypeVar("Made")


class Kept(Generic[Made]):
    """Things by their key, each beside the very objects that it was made of."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[object, ...], Made]] = {}

    def of(self, key: str, parts: tuple[object, ...], make: Callable[[], Made]) -> Made:
        """Give what was made of these parts, or make it; nobody changes either."""
        held = self._held.get(key)
        if held is not None and len(held[0]) == len(parts) and all(map(is_, held[0], parts)):
            return held[1]
        made = make()
        self._held[key] = parts, made
        return made


class ByPlace(Generic[Made]):
    """What was made for each of some keys, and all of it in their order, which is the same list while nothing changed.

    `held` has for each key what it was made of, and what was made: whoever reads compares those very objects, in one
    loop over all keys, and calls `put` for what is another one.
    """

    def __init__(self) -> None:
        self.held: dict[str, tuple[Any, Made]] = {}
        self._keys: list[str] = []
        self._made: list[Made] = []
        self._changed = True

    def put(self, key: str, parts: Any, made: Made) -> None:
        """Remember what was made of other parts now."""
        self.held[key] = parts, made
        self._changed = True

    def all(self, keys: list[str]) -> list[Made]:
        """Give what was made for these keys; nobody changes the keys, or the list."""
        if self._changed or keys is not self._keys:
            held = self.held
            self._keys, self._made, self._changed = keys, [held[key][1] for key in keys], False
        return self._made


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantities:
    """R3's findings of all positions; `unsaid` are those with something to say, `waiting` those that wait for a twin."""

    findings: list[Finding]
    unsaid: list[Finding]
    waiting: list[Finding]
    deltas: dict[str, Decimal]


def quantities_of(found: list[list[Finding]]) -> Quantities:
    """Put the findings of each position together."""
    findings = list(itertools.chain.from_iterable(found))
    unsaid = [one for one in findings if one.klass is not None]
    return Quantities(
        findings=findings,
        unsaid=unsaid,
        waiting=[one for one in unsaid if one.klass is DivergenceClass.UNSETTLED],
        deltas={one.field: one.delta for one in findings},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over the book's positions as they stand; `doubtful` names each whose quantity or entry is not known."""

    realized: Decimal
    realized_compared: Decimal
    stated_compared: Decimal
    realized_slack: Decimal
    closes: int
    closed_ticks: Decimal
    closed_trades: int
    votes_exact: int
    votes_rounded: int
    open: int
    doubtful: tuple[tuple[str, str], ...]


def totals_of(keys: list[str], runs: list[Run]) -> Totals:
    """Add up what the runs of all positions hold."""
    return Totals(
        realized=exact_sum([run.realized for run in runs]),
        realized_compared=exact_sum([run.realized_compared for run in runs]),
        stated_compared=exact_sum([run.stated_compared for run in runs]),
        realized_slack=exact_sum([run.realized_slack for run in runs]),
        closes=sum([run.closes for run in runs]),
        closed_ticks=exact_sum([run.closed_ticks for run in runs]),
        closed_trades=sum([run.closed_trades for run in runs]),
        votes_exact=sum([run.votes_exact for run in runs]),
        votes_rounded=sum([run.votes_rounded for run in runs]),
        open=sum([1 for run in runs if run.quantity]),
        doubtful=tuple(
            (key, text)
            for key, run in zip(keys, runs, strict=True)
            for doubtful, text in (
                (bool(run.waiting), "a close beyond what is open waits"),
                (run.uncertain, "its entry is not known"),
            )
            if doubtful
        ),
    )


class Memory:
    """Everything that one projection keeps."""

    def __init__(self) -> None:
        self.quantities: ByPlace[list[Finding]] = ByPlace()
        """Findings of each position, of the two figures while both ledgers say the same."""
        self.findings: Kept[Any] = Kept()
        """Findings about the whole account, by their rule."""
        self.rows: ByPlace[Any] = ByPlace()
        self.stated_rows: ByPlace[dict[str, object] | None] = ByPlace()
        self.blocks: Kept[Any] = Kept()
        """Parts of a snapshot that seldom change."""
        self._order: dict[str, tuple[list[str], list[str]]] = {}
        self._keys: list[str] = []
        self._runs: list[Run] = []
        self._totals: Totals | None = None

    def totals(self, state: State) -> Totals:
        """Give the sums over all positions, made again only after one of them changed."""
        runs = [one.runs[-1] if one.runs else one.base for one in state.positions.values()]
        same = len(runs) == len(self._runs) and all(map(is_, runs, self._runs))
        if self._totals is None or not same or self._keys != list(state.positions):
            self._keys, self._runs = list(state.positions), runs
            self._totals = totals_of(self._keys, runs)
        return self._totals

    def in_order(self, name: str, keyed: Mapping[str, object]) -> list[str]:
        """Give the keys of one of the state's mappings, sorted; `name` says which one it is."""
        keys = list(keyed)
        known = self._order.get(name)
        if known is None or known[0] != keys:
            known = self._order[name] = keys, sorted(keys)
        return known[1]
