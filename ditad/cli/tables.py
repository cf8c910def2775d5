"""Rows to text: columns that line up, decimals on their points, and a table that fits its terminal.

Enters: rows of plain JSON values, and the terminal, if there is one. Leaves: lines without colour or trailing blanks.
What holds: a number is shown with all its digits or not at all; one that is not known is `-`; what came from outside
cannot move the cursor. Piped, a table has all its columns, and moments as the daemon writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ditad.cli.moments import ago
from ditad.cli.screen import Screen

UNKNOWN: Final = "-"
GAP: Final = "  "
CUT: Final = "…"
TEXT_WIDTH_MIN: Final = 8
"""A text is not cut shorter than this."""

NEEDED: Final = 9
"""The rank of a column that is never left out."""

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its heading, and the path of its value in a row, with dots.

    Where a terminal is too narrow, the column of the lowest `rank` goes first; `moment`: shown there as how long ago.
    """

    heading: str
    path: str
    rank: int = NEEDED
    moment: bool = False


def column(heading: str, path: str = "", *, rank: int = NEEDED, moment: bool = False) -> Column:
    """Make a column whose path is its heading unless said otherwise."""
    return Column(heading=heading, path=path or heading, rank=rank, moment=moment)


def value_of(row: Mapping[str, Any], path: str) -> str:
    """Give the value at a path as text."""
    value: Any = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return text_of(value)


def text_of(value: Any) -> str:
    """Write a JSON value for a person."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return text_of([f"{key}={text_of(each)}" for key, each in value.items()])
    if isinstance(value, list | tuple):
        return ",".join(text_of(each) for each in value) or UNKNOWN
    return _UNPRINTABLE.sub("?", str(value))


def table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lay out rows beneath a heading; a column whose values are all numbers lines up on their points."""
    return Table(columns, None).page(rows)


class Table:
    """A table that is written page by page; its columns are chosen by the first page, and never get narrower."""

    def __init__(self, columns: Sequence[Column], screen: Screen | None) -> None:
        """Write for a terminal, or (`None`) for whatever reads."""
        self._columns = list(columns)
        self._screen = screen
        self._widths: list[int] | None = None
        self.omitted: list[str] = []

    def page(self, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Lay out some rows; the first page begins with the heading."""
        found = list(rows)
        first = self._widths is None
        cells = [[self._cell(row, each) for row in found] for each in self._columns]
        numeric = [_is_numeric(texts) for texts in cells]
        laid = [_laid_out(texts) for texts in cells]
        widths = [max(map(len, texts), default=0) for texts in laid]
        if first:
            widths = [max(width, len(each.heading)) for width, each in zip(widths, self._columns, strict=True)]
            kept, widths = self._fitted(widths, numeric)
            self.omitted = [each.heading for place, each in enumerate(self._columns) if place not in kept]
            self._columns = [self._columns[place] for place in kept]
            numeric, laid = [numeric[place] for place in kept], [laid[place] for place in kept]
        else:
            assert self._widths is not None, "every page but the first follows one"
            widths = [
                before if self._screen is not None and not right else max(before, width)
                for before, width, right in zip(self._widths, widths, numeric, strict=True)
            ]
        self._widths = widths
        lines = [list(row) for row in zip(*laid, strict=True)]
        if first:
            lines.insert(0, [each.heading.upper() for each in self._columns])
        return [
            GAP.join(
                _cut(text, width).rjust(width) if right else _cut(text, width).ljust(width)
                for text, width, right in zip(line, widths, numeric, strict=True)
            ).rstrip()
            for line in lines
        ]

    def _cell(self, row: Mapping[str, Any], column: Column) -> str:
        text = value_of(row, column.path)
        return ago(text, self._screen.now) if self._screen is not None and column.moment else text

    def _fitted(self, widths: list[int], numeric: list[bool]) -> tuple[list[int], list[int]]:
        """Choose the columns that the terminal has room for, and their widths."""
        kept = list(range(len(widths)))
        if self._screen is None:
            return kept, widths
        while True:
            over = sum(widths[place] for place in kept) + len(GAP) * (len(kept) - 1) - self._screen.width
            if over <= 0:
                break
            texts = [place for place in kept if not numeric[place] and not self._columns[place].moment]
            room = sum(max(0, widths[place] - self._least(place)) for place in texts)
            if room >= over:
                for _ in range(over):
                    widest = max(texts, key=lambda place: widths[place] - self._least(place))
                    widths[widest] -= 1
                break
            least = min(kept, key=lambda place: self._columns[place].rank)
            if self._columns[least].rank == NEEDED:
                break
            kept.remove(least)
        return kept, [widths[place] for place in kept]

    def _least(self, place: int) -> int:
        return max(TEXT_WIDTH_MIN, len(self._columns[place].heading))


def _cut(text: str, width: int) -> str:
    """Shorten a text that is too long for its column, and say so."""
    return text if len(text) <= width else text[: width - len(CUT)] + CUT


def _is_numeric(texts: Sequence[str]) -> bool:
    return all(text == UNKNOWN or _NUMBER.fullmatch(text) for text in texts) and any(text != UNKNOWN for text in texts)


def _laid_out(texts: Sequence[str]) -> list[str]:
    """Pad numbers behind, so that right-aligned they stand on their points."""
    if not _is_numeric(texts):
        return list(texts)
    behind = [len(text) - text.index(".") if "." in text else 0 for text in texts]
    most = max(behind, default=0)
    return [text + " " * (most - own) for text, own in zip(texts, behind, strict=True)]
