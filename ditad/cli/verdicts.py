"""The four words for how things stand: their exit codes, their colours, and which of them is worst. (interfaces.md §1)"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EXIT_CODES: Final = {"OK": 0, "WARN": 1, "ERROR": 2, "UNKNOWN": 3}
WORSE: Final = ("OK", "WARN", "UNKNOWN", "ERROR")
COLOURS: Final = {"OK": "green", "WARN": "yellow", "ERROR": "red", "UNKNOWN": "magenta"}


def worst(statuses: Iterable[str]) -> str:
    """Give the worst of some verdicts; of none, UNKNOWN."""
    known = [text if text in WORSE else "UNKNOWN" for text in statuses]
    return max(known, key=WORSE.index, default="UNKNOWN")
