"""What a bot tells, as the socket takes it: decimals as text with all their digits.

What enters: slots as mappings, amounts as `Decimal`, `int` or text. What leaves: plain JSON values. What holds: a float
is refused, because it has lost the digits of money already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ditad.errors import UsageError
from ditad.money import plain

Amount = Decimal | int | str


def told(value: Any, where: str) -> Any:
    """Write a value as JSON has it; raises `UsageError` naming the place of what cannot be told."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal) and value.is_finite():
        return plain(value)
    if isinstance(value, Mapping):
        return {str(key): told(element, f"{where}.{key}") for key, element in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [told(element, f"{where}[{place}]") for place, element in enumerate(value)]
    if isinstance(value, float):
        raise UsageError(f"{where}: {value!r} is a float, which has lost its digits: give a Decimal, an int or text")
    raise UsageError(f"{where}: {type(value).__name__} cannot be told: give a Decimal, an int or text")
