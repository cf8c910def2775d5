"""Figures, moments and durations as they stand on a screen: on their points, within a width, never silently shortened.

What enters: decimals as the socket writes them, moments, seconds. What leaves: text of a known width. What holds: a
figure that is shown with fewer digits than it has begins with `~`, and one that is not zero is never shown as zero;
one that nobody stated is `-`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

UNKNOWN: Final = "-"
ROUNDED: Final = "~"
CUT: Final = "…"
DECIMALS_MAX: Final = 8
"""So many are shown on the screen, as the exchange has them; the detail shows all."""

_WIDE: Final = Context(prec=80, rounding=ROUND_HALF_EVEN)


def column(
    texts: Sequence[str | None], width: int, kept: int = 0, *, decimals: int = DECIMALS_MAX
) -> tuple[list[str], int]:
    """Lay out a column of decimals on their points, right-aligned in `width`; gives the cells and the decimals to keep.

    `kept` are the decimals that the column had before: one whose figures lose their last digits does not move. A
    figure that would lose digits only to stand on the others' point stands by itself.
    """
    known = [text for text in texts if text is not None]
    behind = max([kept, *map(_decimals, known)])
    whole = max(map(_whole, known), default=1)
    most = min(behind, decimals, max(0, width - whole - 1))
    cells = [UNKNOWN + _padding(0, most) if text is None else _cell(text, width, most, decimals) for text in texts]
    return [cell.rjust(width) for cell in cells], behind


def short(text: str | None, width: int) -> str:
    """Write one figure in at most `width`."""
    return column([text], width)[0][0].strip()


def _cell(text: str, width: int, most: int, decimals: int) -> str:
    own = _decimals(text)
    if own > decimals or len(text) > width:
        room = width - _whole(text) - 1 - len(ROUNDED)
        own = max(0, min(own, decimals, room))
        value = Decimal(text)
        rounded = value.quantize(Decimal(1).scaleb(-own), context=_WIDE)
        text = f"{ROUNDED}{rounded:f}"
        if len(text) > width or not rounded:
            return _scientific(value, width)
    padded = text + _padding(own, most)
    return padded if len(padded) <= width else text


def _padding(own: int, most: int) -> str:
    """Give the blanks that stand for the decimals a figure does not have, and for its point."""
    return " " * (max(0, most - own) + (1 if most and not own else 0))


def _scientific(value: Decimal, width: int) -> str:
    """Write a figure that has no room by its leading digits and its power of ten."""
    told = len(value.normalize(_WIDE).as_tuple().digits) - 1
    for digits in range(told, -1, -1):
        cell = f"{ROUNDED if digits < told else ''}{value:.{digits}E}"
        if len(cell) <= width:
            return cell
    return CUT * width


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _whole(text: str) -> int:
    return len(text.partition(".")[0])


def cut(text: str, width: int) -> str:
    """Give a text that is too long without its end, and say so."""
    return text if len(text) <= width else text[: max(0, width - 1)] + CUT[:width]


def moment(text: str) -> datetime:
    """Read a moment as the socket writes it."""
    return datetime.fromisoformat(text)


def clock(at: datetime, now: datetime) -> str:
    """Write a moment in eight places: the time of the present day, else the day."""
    if at.date() == now.date():
        return f"{at.astimezone(UTC):%H:%M:%S}"
    return f"{at.astimezone(UTC):%d %b}".rjust(8)


def age(seconds: float) -> str:
    """Write a duration in at most seven places: `0.4s`, `12s`, `3m 05s`, `1h 02m`, `4d 03h`."""
    if seconds < 0:
        return "0s"
    whole = int(seconds)
    if whole < 10:
        return f"{seconds:.1f}s" if seconds < 9.95 else "10s"
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3_600}h {whole % 3_600 // 60:02}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3_600:02}h" if whole < 8_640_000 else f"{whole // 86_400}d"


def rate(per_s: float | None) -> str:
    """Write a rate in at most eight places; `-` before there is one."""
    if per_s is None:
        return UNKNOWN
    if per_s >= 9_999.5:
        return f"{per_s / 1_000:.0f}k/s"
    return f"{per_s:.0f}/s" if per_s >= 99.95 else f"{per_s:.1f}/s"
