"""The parameters of a request: text becomes numbers, words, switches and moments, or a refusal that names the parameter.

What enters: names and values, decoded once. What leaves: values inside their bounds. What holds: an unknown parameter
is refused by its name, and so is a repeated one, so that a misspelt or contradicted one is never silently ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from ditad.api.answers import ErrorCode, Problem, listed
from ditad.records import EPOCH

SEQ_MAX: Final = 2**63 - 1
VALUE_LENGTH_MAX: Final = 256

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_SECOND: Final = re.compile(r"(.*:\d\d)(\.\d+)?(.*)")


def moment_us(text: str) -> int:
    """Read RFC 3339 as microseconds since the epoch, exactly; raises `ValueError`."""
    if _RFC3339.fullmatch(text) is None:
        raise ValueError("RFC 3339 with a zone is due, like 2026-01-31T12:00:00Z")
    matched = _SECOND.fullmatch(text.upper())
    assert matched is not None, "what the first pattern takes has a second"
    head, fraction, zone = matched.groups()
    try:
        moment = datetime.fromisoformat(head + zone.replace("Z", "+00:00")).astimezone(UTC) - EPOCH
    except OverflowError:  # a zone may lead out of the years there are
        raise ValueError("a moment between the years 1 and 9999 UTC is due") from None
    micros = int((fraction or ".")[1:].ljust(6, "0")[:6])
    return (moment.days * 86_400 + moment.seconds) * 1_000_000 + micros


class Query:
    """The parameters of a request, each known and given once; every complaint names its parameter."""

    def __init__(self, query: Iterable[tuple[str, str]], known: tuple[str, ...]) -> None:
        self._given: dict[str, str] = {}
        for name, value in query:
            if name not in known:
                raise Problem(ErrorCode.BAD_REQUEST, f"{name[:64]}: no such parameter here; known: {listed(known)}")
            if len(value) > VALUE_LENGTH_MAX:
                raise Problem(ErrorCode.BAD_REQUEST, f"{name}: longer than {VALUE_LENGTH_MAX} characters")
            if name in self._given and name not in {"type", "state"}:
                raise Problem(ErrorCode.BAD_REQUEST, f"{name}: given more than once")
            self._given[name] = f"{self._given[name]},{value}" if name in self._given else value

    def number(self, name: str, absent: int, *, least: int = 0, most: int = SEQ_MAX) -> int:
        """Give a whole number inside its bounds."""
        text = self._given.get(name)
        if text is None:
            return absent
        if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
            bound = f"from {least} to {most}" if most != SEQ_MAX else f"of at least {least}"
            raise Problem(ErrorCode.BAD_REQUEST, f"{name}: a whole number {bound} is due, got {text[:40]!r}")
        return int(text)

    def text(self, name: str) -> str:
        """Give a text that must be there."""
        text = self._given.get(name, "")
        if not text:
            raise Problem(ErrorCode.BAD_REQUEST, f"{name}: is due")
        return text

    def flag(self, name: str) -> bool:
        """Give a switch, `1` or `0`."""
        text = self._given.get(name, "0")
        if text not in {"0", "1"}:
            raise Problem(ErrorCode.BAD_REQUEST, f"{name}: 1 or 0 is due, got {text[:40]!r}")
        return text == "1"

    def words(self, name: str, known: tuple[str, ...]) -> frozenset[str] | None:
        """Give the words of a list with commas, each a known one; `None` where it is absent."""
        text = self._given.get(name)
        if text is None:
            return None
        words = frozenset(text.split(","))
        for word in sorted(words.difference(known)):
            raise Problem(ErrorCode.BAD_REQUEST, f"{name}: {word[:40]!r} is none; known: {listed(known)}")
        return words

    def moment(self, name: str) -> int | None:
        """Give a time; a plus that became a space on its way, as in a query, is read as a plus."""
        text = self._given.get(name)
        if text is None:
            return None
        try:
            return moment_us(re.sub(r" (\d\d:\d\d)$", r"+\1", text))
        except ValueError as exc:
            raise Problem(ErrorCode.BAD_REQUEST, f"{name}: {exc}, got {text[:40]!r}") from exc
