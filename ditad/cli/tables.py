"""Rows to text: columns that line up, decimals on their points.

Enters: rows of plain JSON values. Leaves: lines without colour or trailing blanks. What holds: a value is shown with
all its digits; one that is not known is `-`; what came from outside cannot move the cursor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

UNKNOWN: Final = "-"
GAP: Final = "  "
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its heading, and the path of its value in a row, with dots."""

    heading: str
    path: str


def column(heading: str, path: str = "") -> Column:
    """Make a column whose path is its heading unless said otherwise."""
    return Column(heading=heading, path=path or heading)


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


def table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]], *, heading: bool = True) -> list[str]:
    """Lay out rows; a column whose values are all numbers lines up on their points."""
    cells = [[value_of(row, each.path) for each in columns] for row in rows]
    laid = [_laid_out([row[place] for row in cells]) for place in range(len(columns))]
    headings = [each.heading.upper() for each in columns]
    widths = [max(len(headings[place]) * heading, *map(len, laid[place]), 0) for place in range(len(columns))]
    numeric = [_is_numeric([row[place] for row in cells]) for place in range(len(columns))]
    lines = [headings] if heading else []
    lines += [list(row) for row in zip(*laid, strict=True)]
    return [
        GAP.join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    ]


def _is_numeric(texts: Sequence[str]) -> bool:
    return all(text == UNKNOWN or _NUMBER.fullmatch(text) for text in texts) and any(text != UNKNOWN for text in texts)


def _laid_out(texts: Sequence[str]) -> list[str]:
    """Pad numbers behind, so that right-aligned they stand on their points."""
    if not _is_numeric(texts):
        return list(texts)
    behind = [len(text) - text.index(".") if "." in text else 0 for text in texts]
    most = max(behind, default=0)
    return [text + " " * (most - own) for text, own in zip(texts, behind, strict=True)]
