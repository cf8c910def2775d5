"""What a projection keeps between events so as not to work it out again: nothing that could not be found anew.

What enters: the fold's state, and what is made of parts of it. What leaves: the same as if it had just been made.
What holds: nothing in here is state, and no checkpoint has it; what was made of some objects is given again only for
those very objects, which are kept beside it and are never changed, so a projection that begins with nothing kept
gives the same bytes. Of positions only those are looked at whose symbol a turn named since. Sums are added up again
from the parts of them that changed, never corrected by a difference, so that a sum has the digits it would have had.
One entry a position and kind; positions are bounded by the account's symbols.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from operator import is_
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from ditad.book import Position
from ditad.events import (
    AccountPush,
    AuditDone,
    BalanceReport,
    BotSettlement,
    BotSlots,
    Decision,
    FillsReport,
    IncomeReport,
    LeveragePush,
    Marks,
    OrderPush,
    OrdersReport,
    PositionsReport,
    PushRejected,
    QuestionFailed,
    StreamChanged,
    Tick,
)
from ditad.money import ZERO, add, exact_sum
from ditad.reconcile import DivergenceClass, Finding
from ditad.state import State
from ditad.statements import SIDES
from ditad.stepping import Run
from ditad.turn import Turn

Made = TypeVar("Made")
Whole = TypeVar("Whole")

CHUNK = 8
"""Neighbours that are put together as one, and so many of these as one again, until there is one: of what all positions
make, only the parts with a changed one are made anew: of 200 positions eight, eight of these, and four of those.
"""

NAMING = frozenset(
    {
        OrderPush,
        AccountPush,
        LeveragePush,
        Marks,
        BalanceReport,
        PositionsReport,
        FillsReport,
        OrdersReport,
        IncomeReport,
        QuestionFailed,
        AuditDone,
        StreamChanged,
        PushRejected,
        Tick,
        Decision,
        BotSlots,
        BotSettlement,
    }
)
"""Bodies after which a turn names every symbol of which anything changed; after any other all may have."""


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


class Places(Generic[Made, Whole]):
    """What was made for each key of one of the state's mappings, in the order of the keys, and what all of it makes.

    `held` has for each key what it was made of, and what was made. Whoever reads asks which keys are `due`, compares
    those very objects, and calls `put` for what is another one.
    """

    def __init__(self, together: Callable[[Sequence[Made]], Whole], joined: Callable[[Sequence[Whole]], Whole]) -> None:
        """`together` makes one of what was made for some keys, `joined` one of several such."""
        self.held: dict[str, tuple[Any, Made]] = {}
        self._together, self._joined = together, joined
        self._keys: list[str] = []
        self._places: dict[str, int] = {}
        self._levels: list[list[Whole]] = []
        """What neighbours make, above that what neighbours of these make, and at last one; empty where all is to be made."""
        self._stale: set[int] = set()
        self._due: Sequence[str] | None = None

    def hear(self, keys: Sequence[str] | None) -> None:
        """Hear for which keys something may have changed; `None`: for all, and there may be other keys."""
        if keys is None or self._due is None:
            self._due = None
        else:
            self._due = [*self._due, *keys] if self._due else keys

    def due(self, keyed: Mapping[str, object]) -> list[str]:
        """Give the keys that are to be looked at again."""
        due = self._due
        places = self._places
        if due is None or len(keyed) != len(places):
            return self._all(keyed)
        if not due:
            return []
        known: list[str] = []
        for key in due:
            if (key in keyed) is not (key in places):
                return self._all(keyed)
            if key in places:
                known.append(key)
        self._due = ()
        return known

    def _all(self, keyed: Mapping[str, object]) -> list[str]:
        """Put the keys in their order, and look at all of them."""
        self._due = ()
        keys = sorted(keyed)
        if keys != self._keys or not self._levels:
            self._keys, self._places = keys, {key: place for place, key in enumerate(keys)}
            self.held = {key: self.held[key] for key in keys if key in self.held}
            self._levels = []
        return keys

    def put(self, key: str, parts: Any, made: Made) -> None:
        """Remember what was made of other parts now."""
        self.held[key] = parts, made
        self._stale.add(self._places[key] // CHUNK)

    def whole(self) -> Whole:
        """Give what all of it makes: the same object while nothing changed; nobody changes it."""
        if not self._levels:
            self._levels = self._built()
        elif self._stale:
            self._mend(self._levels)
        self._stale.clear()
        return self._levels[-1][0]

    def _mend(self, levels: list[list[Whole]]) -> None:
        """Make anew what has a changed one in it."""
        places = self._stale
        for place in places:
            levels[0][place] = self._chunk(place)
        for below, level in itertools.pairwise(levels):
            places = {place // CHUNK for place in places}
            for place in places:
                level[place] = self._join(below, place)

    def _built(self) -> list[list[Whole]]:
        levels = [[self._chunk(place) for place in range(_chunks_of(self._keys))]]
        while len(levels[-1]) > 1:
            levels.append([self._join(levels[-1], place) for place in range(_chunks_of(levels[-1]))])
        return levels

    def _chunk(self, place: int) -> Whole:
        held = self.held
        return self._together([held[key][1] for key in self._keys[place * CHUNK : (place + 1) * CHUNK]])

    def _join(self, below: Sequence[Whole], place: int) -> Whole:
        some = below[place * CHUNK : (place + 1) * CHUNK]
        return some[0] if len(some) == 1 else self._joined(some)


def _chunks_of(things: Sequence[object]) -> int:
    """Give how many chunks so many make; of nothing one is made too."""
    return -(-len(things) // CHUNK) or 1


class Quantities(NamedTuple):
    """R3's findings of some positions; `unsaid` are those with something to say, `waiting` those that wait for a twin.

    `fields` are the names of them all.
    """

    findings: list[Finding]
    unsaid: list[Finding]
    waiting: list[Finding]
    fields: list[str]


def quantities_of(found: Sequence[list[Finding]]) -> Quantities:
    """Put the findings of each position together."""
    findings = list(itertools.chain.from_iterable(found))
    unsaid = [one for one in findings if one.klass is not None]
    waiting = [one for one in unsaid if one.klass is DivergenceClass.UNSETTLED]
    return Quantities(findings, unsaid, waiting, [one.field for one in findings])


def _joined_quantities(parts: Sequence[Quantities]) -> Quantities:
    joined = Quantities([], [], [], [])
    for findings, unsaid, waiting, fields in parts:
        joined.findings.extend(findings)
        joined.fields.extend(fields)
        if unsaid:
            joined.unsaid.extend(unsaid)
            joined.waiting.extend(waiting)
    return joined


class Totals(NamedTuple):
    """Sums over the book's positions as they stand.

    `doubtful` counts those whose quantity or entry is not known, `open_ended` the open ones whose cost has a slack,
    `untold` those whose price step nobody told.
    """

    realized: Decimal = ZERO
    realized_compared: Decimal = ZERO
    stated_compared: Decimal = ZERO
    realized_slack: Decimal = ZERO
    closes: int = 0
    closed_ticks: Decimal = ZERO
    closed_trades: int = 0
    votes_exact: int = 0
    votes_rounded: int = 0
    open: int = 0
    doubtful: int = 0
    open_ended: int = 0
    untold: int = 0


def totals_of(parts: Sequence[Totals]) -> Totals:
    """Add up what several hold."""
    if not parts:
        return Totals()
    realized, compared, stated, slack, closes, ticks, *counts = zip(*parts, strict=True)
    return Totals(
        exact_sum(realized),
        exact_sum(compared),
        exact_sum(stated),
        exact_sum(slack),
        sum(closes),
        exact_sum(ticks),
        *map(sum, counts),
    )


def _totals_of_run(run: Run, tick: Decimal | None) -> Totals:
    return Totals(
        run.realized,
        run.realized_compared,
        run.stated_compared,
        run.realized_slack,
        run.closes,
        run.closed_ticks,
        run.closed_trades,
        run.votes_exact,
        run.votes_rounded,
        1 if run.quantity else 0,
        1 if run.waiting or run.uncertain else 0,
        1 if run.cost_slack and run.quantity else 0,
        1 if tick is None else 0,
    )


class Valued(NamedTuple):
    """What quantities are worth: K's and E's at E's mark, K's at its own; `spoke`: a mark was told, or all is flat.

    `stale`: of one of them the two marks are too far apart. `open` counts the positions that E says are open.
    """

    k: Decimal = ZERO
    e: Decimal = ZERO
    own: Decimal = ZERO
    spoke: bool = False
    stale: bool = False
    open: int = 0


def valued_of(parts: Sequence[Valued]) -> Valued:
    """Add up what several are worth."""
    if not parts:
        return Valued()
    k, e, own, spoke, stale, open_ = zip(*parts, strict=True)
    return Valued(exact_sum(k), exact_sum(e), exact_sum(own), any(spoke), any(stale), sum(open_))


class Rows(NamedTuple):
    """Rows of a snapshot, and each of them as JSON: it is written once, and copied once into each line that has it."""

    rows: list[dict[str, object]]
    written: list[orjson.Fragment]


def rows_of(parts: Sequence[Rows | None]) -> Rows:
    """Put rows together; `None` stands for a position that has none."""
    some = [part for part in parts if part is not None]
    if len(some) == 1:
        return some[0]
    joined = Rows([], [])
    for rows, written in some:
        joined.rows.extend(rows)
        joined.written.extend(written)
    return joined


class Held(NamedTuple):
    """Open positions of K: their rows, unrealised profit, notional and margin (`None`: a mark or leverage lacks)."""

    rows: Rows
    unrealized: Decimal | None = ZERO
    notional: Decimal | None = ZERO
    margin: Decimal | None = ZERO


def held_of(parts: Sequence[Held | None]) -> Held:
    """Put positions together; `None` stands for one that is not open."""
    some = [part for part in parts if part is not None]
    if len(some) == 1:
        return some[0]
    unrealized, notional, margin = (
        _sum_or_none([one[figure] for one in some])  # type: ignore[misc]
        for figure in (1, 2, 3)
    )
    return Held(rows_of([one.rows for one in some]), unrealized, notional, margin)


def _sum_or_none(figures: Sequence[Decimal | None]) -> Decimal | None:
    """Add up a figure of all positions; `None` where one of them lacks it."""
    total = ZERO
    for figure in figures:
        if figure is None:
            return None
        total = add(total, figure)
    return total


class Memory:
    """Everything that one projection keeps."""

    def __init__(self) -> None:
        self.quantities: Places[list[Finding], Quantities] = Places(quantities_of, _joined_quantities)
        """Findings of each position, of the two figures while both ledgers say the same."""
        self.waiting: dict[str, None] = {}
        """Positions of which the ledgers do not plainly say the same, and which time alone may change."""
        self.valued: Places[Valued, Valued] = Places(valued_of, valued_of)
        self.runs: Places[Totals, Totals] = Places(totals_of, totals_of)
        self.findings: Kept[Any] = Kept()
        """Findings about the whole account, by their rule."""
        self.rows: Places[Held | None, Held] = Places(held_of, held_of)
        self.stated_rows: Places[Rows | None, Rows] = Places(rows_of, rows_of)
        self.blocks: Kept[Any] = Kept()
        """Parts of a snapshot that seldom change."""
        self._places: tuple[Places[Any, Any], ...] = (
            self.quantities,
            self.valued,
            self.runs,
            self.rows,
            self.stated_rows,
        )
        self._one_way: bool | None = None
        self._fields: list[str] = []
        self._zeros: dict[str, Decimal] = {}

    def zeros(self, fields: list[str]) -> Mapping[str, Decimal]:
        """Give 0 for each of these fields, in their order."""
        if fields != self._fields:
            self._fields, self._zeros = fields, dict.fromkeys(fields, ZERO)
        return self._zeros

    def hear(self, turn: Turn) -> None:
        """Hear of which positions a turn changed anything; must run before anything is asked that it led to."""
        one_way = turn.state.one_way
        if type(turn.event.body) not in NAMING or one_way is not self._one_way:
            self._one_way = one_way
            keys = None
        elif turn.touched:
            keys = [symbol + side for symbol in turn.touched for side in SIDES]
        else:
            return
        for places in self._places:
            places.hear(keys)

    def totals(self, state: State) -> Totals:
        """Give the sums over all positions; where anything of the book changed they are another object."""
        positions, kept = state.positions, self.runs
        for key in kept.due(positions):
            position = positions[key]
            run = position.runs[-1] if position.runs else position.base
            known = kept.held.get(key)
            if known is None or (parts := known[0])[0] is not run or parts[1] is not position.tick:
                kept.put(key, (run, position.tick), _totals_of_run(run, position.tick))
        return kept.whole()


def doubtful(positions: Mapping[str, Position]) -> Iterable[tuple[str, str]]:
    """Name each position whose quantity or entry is not known."""
    for key, position in positions.items():
        run = position.run
        if run.waiting:
            yield key, "a close beyond what is open waits"
        if run.uncertain:
            yield key, "its entry is not known"
