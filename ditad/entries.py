"""The arithmetic of a figure: entries, how each joins the running total, and recipes that say which there are.

What enters and leaves: frozen records. What holds: an entry whose amount is not known leaves the running total as it
is; applied in their order, the entries of a recipe give the figure exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ditad.money import add, plain_or_none, ratio, sub
from ditad.reconcile import Finding
from ditad.records import RecordType
from ditad.snapshot import shown
from ditad.state import State


class Operation(StrEnum):
    """How an entry joins the running total; a quotient is rounded half even to 18 decimals, as snapshots show it."""

    ADD = "add"
    SUBTRACT = "subtract"
    DIVIDE = "divide"
    MAX = "max"
    MIN = "min"
    ROUND = "round"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One step of the arithmetic; `told` is what else is known of it, plain JSON. An amount of `None` is not known."""

    operation: Operation
    amount: Decimal | None
    what: str
    seq: int | None = None
    at: str | None = None
    told: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Which part of which facts adds up to a figure.

    `entry_of` makes an entry of a fact's body (`None`: the fact has no part in it), `sum_of` gives the sum of all
    that a state counts. `whole` says that every fact of these types has a part in it.
    """

    kinds: tuple[RecordType, ...]
    entry_of: Callable[[RecordType, Mapping[str, Any]], Entry | None]
    sum_of: Callable[[State], Decimal]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a figure is made: opening entries, then facts (`None`: none), then closing entries. `value` is as published.

    `stated_us` and `stated_by` say when and by which kinds of events a figure was stated, `peak` that the moment is
    to be found at which the figure was first reached.
    """

    field: str
    value: str | None
    opening: tuple[Entry, ...] = ()
    column: Column | None = None
    closing: tuple[Entry, ...] = ()
    note: str | None = None
    stated_us: int | None = None
    stated_by: tuple[str, ...] = ()
    peak: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The account as of one snapshot: the fold's state behind it, what the rules found, and what was published."""

    state: State
    findings: tuple[Finding, ...]
    body: Mapping[str, Any]


def step(total: Decimal | None, entry: Entry) -> Decimal | None:
    """Apply an entry to a running total; an amount that is not known leaves it as it is."""
    if entry.operation is Operation.ROUND:
        return None if total is None else shown(total)
    if entry.amount is None or total is None:
        return total
    match entry.operation:
        case Operation.ADD:
            return add(total, entry.amount)
        case Operation.SUBTRACT:
            return sub(total, entry.amount)
        case Operation.DIVIDE:
            return ratio(total, entry.amount)
        case Operation.MAX:
            return max(total, entry.amount)
        case _:
            return min(total, entry.amount)


def entry_body(entry: Entry, total: Decimal | None) -> dict[str, object]:
    """Write an entry as readers get it, with the running total behind it."""
    return {
        "seq": entry.seq,
        "at": entry.at,
        "what": entry.what,
        "operation": entry.operation.value,
        "amount": plain_or_none(entry.amount),
        "running_total": plain_or_none(total),
        **entry.told,
    }
