"""Reading the exchange's scalars: ids, times, texts, switches; money is read by `ditad.money`.

What enters: values of a decoded frame or row, quoted or not. What leaves: plain `str`, `int` and `bool`.
What holds: ids leave as canonical digit strings with every digit; a time of 0 is no time; anything else that is not
of the form due raises `Refusal` with the field's name.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from ditad.bingx.wire import NumberText
from ditad.errors import Refusal

ID_DIGITS_MAX = 32
TEXT_LENGTH_MAX = 128
TIME_MS_MAX = 10**14


def object_of(value: object, field: str) -> dict[str, Any]:
    """Read an object that must be there."""
    if not isinstance(value, dict):
        raise Refusal(f"{field}: an object is due")
    return value


def objects_of(value: object, field: str) -> list[dict[str, Any]]:
    """Read a list of objects; `None` is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refusal(f"{field}: a list is due")
    return [object_of(item, field) for item in value]


def text_of(value: object, field: str) -> str:
    """Read a text that must be there and say something."""
    if not isinstance(value, str) or isinstance(value, NumberText):
        raise Refusal(f"{field}: text is due")
    if not value or len(value) > TEXT_LENGTH_MAX:
        raise Refusal(f"{field}: text of 1 to {TEXT_LENGTH_MAX} characters is due")
    return value


def described(value: object) -> str | None:
    """Read a text that only describes: whatever is no text, or an empty one, was not stated."""
    if not isinstance(value, str) or isinstance(value, NumberText):
        return None
    return value[:TEXT_LENGTH_MAX] or None


def _integer_of(value: object, field: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, NumberText):
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise Refusal(f"{field}: an integer is due") from None
        if len(value) <= TEXT_LENGTH_MAX and abs(number.adjusted()) <= ID_DIGITS_MAX and number == int(number):
            return int(number)
    elif isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= ID_DIGITS_MAX:
        return int(value)
    raise Refusal(f"{field}: an integer is due")


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, str | int) and value in {"", 0, "0"})


def id_of(value: object, field: str) -> str:
    """Read an id above 0 as its canonical digits, whether it came quoted or not (CAP: both do)."""
    number = _integer_of(value, field)
    if number <= 0 or number >= 10**ID_DIGITS_MAX:
        raise Refusal(f"{field}: an id is due")
    return str(number)


def optional_id(value: object, field: str) -> str | None:
    """Read an id that may be absent; 0 and empty text are absent too."""
    if _absent(value):
        return None
    return id_of(value, field)


def ms_of(value: object, field: str) -> int:
    """Read a time in milliseconds since the epoch that must be there."""
    number = _integer_of(value, field)
    if not 0 < number < TIME_MS_MAX:
        raise Refusal(f"{field}: a time in ms is due")
    return number


def optional_ms(value: object, field: str) -> int | None:
    """Read a time that may be absent; 0, which real frames carry (CAP), is *no time*."""
    if _absent(value):
        return None
    return ms_of(value, field)


def optional_switch(value: object) -> bool | None:
    """Read a switch that comes as a bool or as its name in text; anything else was not stated."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None
