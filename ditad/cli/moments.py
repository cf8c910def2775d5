"""Moments as people write them on a command line, to moments as the socket takes them.

Enters: `10m`, `2026-01-31`, `2026-01-31 12:00`, RFC 3339; and the present. Leaves: RFC 3339 in UTC. What holds: a
moment without a zone is UTC, as everything that is shown.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from ditad.errors import UsageError

_DURATION: Final = re.compile(r"(\d{1,9})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str, now: datetime) -> str:
    """Give the moment that is meant; raises `UsageError` saying how one is written."""
    found = _DURATION.fullmatch(text.strip())
    try:
        if found is not None:
            meant = now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        else:
            meant = datetime.fromisoformat(text.strip())
        utc = meant.replace(tzinfo=UTC) if meant.tzinfo is None else meant.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise UsageError(f"--since: {text!r} is no moment: write 10m, 2h, 3d, or 2026-01-31T12:00:00Z") from exc
    return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")
