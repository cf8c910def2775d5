"""Reading what a fold made: a figure of a snapshot by its path, and the figures of a captured frame."""

from __future__ import annotations

from typing import Any

import orjson

from ditad.codec import encode
from ditad.events import Event, FillRow, IncomeRow, PositionRow
from ditad.projection import Projection
from tests.support.story import Story


def at(body: object, path: str) -> Any:
    """Give what stands at a path such as ``coverage.gaps.0.state``."""
    found: Any = body
    for step in path.split("."):
        found = found[int(step)] if isinstance(found, list) else found[step]
    return found


def snapshots(story: Story) -> list[dict[str, Any]]:
    """Give every snapshot of a story, oldest first."""
    return story.of_type("snapshot")


def explained(story: Story) -> list[str]:
    """Give the class and field of each explanation of the last snapshot."""
    return ["|".join(line.split("|")[:2]) for line in at(story.snap, "reconcile.explanations")]


def lines_of(events: list[Event], projection: Projection | None = None) -> list[bytes]:
    """Fold events anew and give the lines of all records."""
    fold = projection if projection is not None else Projection("main")
    return [record.line for event in events for record in fold.fold(event).records]


def lines_told(story: Story) -> list[bytes]:
    """Give the lines of all records a story led to."""
    return [orjson.dumps(record) for record in story.records]


def state_bytes(projection: Projection) -> bytes:
    """Give a projection's whole state as a checkpoint writes it."""
    return encode(projection.state)


def audit(
    story: Story,
    wallet: str,
    *positions: PositionRow,
    fills: tuple[FillRow, ...] = (),
    incomes: tuple[IncomeRow, ...] = (),
    symbols: tuple[str, ...] = ("BTC-USDT",),
    after_s: float = 10,
) -> None:
    """Tell a whole completed round of questions, asked after some seconds."""
    story.pass_s(after_s)
    asked_us = story.us
    story.balance(wallet)
    story.positions(*positions)
    for symbol in symbols:
        story.fills(*(row for row in fills if row.symbol == symbol), symbol=symbol)
    story.income(*incomes)
    story.audit_done(asked_us=asked_us)
