"""Moments as people write and read them, and as the socket has them.

Enters: `10m`, `2026-01-31`, `2026-01-31 12:00`, RFC 3339; and the present. Leaves: RFC 3339 in UTC, and the other way
round how long ago it was. What holds: a moment without a zone is UTC, as everything that is shown.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from ditad.errors import UsageError

_DURATION: Final = re.compile(r"(\d{1,9})(s|m|h|d)")
_NUMBER: Final = re.compile(r"[1-9]\d{0,18}")
AGO_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
AGO_S_MAX: Final = 31 * 86_400
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str, now: datetime, name: str = "--since") -> str:
    """Give the moment that is meant; raises `UsageError` naming the word and saying how one is written."""
    found = _DURATION.fullmatch(text.strip())
    try:
        if found is not None:
            meant = now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        else:
            meant = datetime.fromisoformat(text.strip())
        utc = meant.replace(tzinfo=UTC) if meant.tzinfo is None else meant.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise UsageError(f"{name}: {text!r} is no moment: write 10m, 2h, 3d, or 2026-01-31T12:00:00Z") from exc
    return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")


def ago(text: str, now: datetime) -> str:
    """Say how long ago a moment was (or how soon it is); one of more than a month ago by its date, no moment as it is."""
    try:
        seconds = (now - datetime.fromisoformat(text)).total_seconds()
    except (ValueError, TypeError):  # what is no moment, or one without a zone
        return text
    length = abs(seconds)
    if length > AGO_S_MAX:
        return text[:10]
    if length < 1:
        return "now"
    unit, size = next((unit, size) for unit, size in AGO_UNITS if length >= size)
    return f"{length // size:.0f}{unit} ago" if seconds > 0 else f"in {length // size:.0f}{unit}"


def moment_or_number(text: str, now: datetime, name: str) -> tuple[str, str]:
    """Say which snapshot is meant: `("event_seq", N)` or `("at", moment)`, as the socket takes them."""
    if _NUMBER.fullmatch(text.strip()) is not None:
        return "event_seq", text.strip()
    return "at", moment(text, now, name)
