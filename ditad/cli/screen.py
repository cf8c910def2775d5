"""The terminal that a verb writes to, if it writes to one: its width, its colours, and what the time is there.

What leaves: a `Screen`, or `None` where the output is piped, which gets neither colour nor anything shortened. What
holds: `$NO_COLOR` is heeded (no-color.org).
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """A terminal: how wide it is, and the moment from which it tells how long ago things were."""

    width: int
    now: datetime


def screen() -> Screen | None:
    """Give the terminal that stdout is."""
    if not sys.stdout.isatty():
        return None
    return Screen(width=shutil.get_terminal_size().columns, now=datetime.now(UTC))


def paint(text: str, **style: Any) -> str:
    """Give a text its colour, where it is shown on a terminal that wants any."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, **style)
