"""Records to JSON and back, by their type annotations alone.

What enters: dataclasses whose fields are `str int bool Decimal None`, enums, tuples, lists, string-keyed dicts and
further dataclasses. What leaves: JSON bytes that `decode` turns into an equal record.
Decimals travel as text with all their digits. Unknown keys are refused, because a journal holds nothing by accident;
missing ones take the field's default, so that a record may grow fields.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, TypeVar

import orjson

SHOWN_MAX = 80

_TEXT_OF_DECIMAL = Decimal.__str__
"""The only thing that JSON has no form for; it refuses whatever is no decimal. Nothing in Python runs for it."""

Reader = Callable[[Any], Any]
Record = TypeVar("Record")


def encode(record: object) -> bytes:
    """Write a record as JSON; decimals keep their digits as text."""
    return orjson.dumps(record, default=_TEXT_OF_DECIMAL)


def decode(kind: type[Record], data: bytes) -> Record:
    """Read a record of this type back; raises `ValueError` where the bytes hold no such record."""
    read: Reader = _reader(typing.cast("Any", kind))
    return typing.cast("Record", read(orjson.loads(data)))


@cache
def _reader(kind: Any) -> Reader:
    """Build, once per annotation, the function that reads its JSON form."""
    if dataclasses.is_dataclass(kind):
        return _record_reader(typing.cast("type", kind))
    origin = typing.get_origin(kind)
    if origin is not None:
        return _generic_reader(kind, origin)
    if kind is Decimal:
        return _decimal
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _member(kind)
    if kind in {str, int, bool}:
        return _exactly(kind)
    raise TypeError(f"no reader for {kind!r}")


def _decimal(value: Any) -> Decimal:
    try:
        number = Decimal(_TEXT(value))
    except InvalidOperation:
        raise ValueError(f"a number is due, got {value!r}") from None
    if not number.is_finite():
        raise ValueError(f"a finite number is due, got {value!r}")
    return number


def _exactly(kind: type) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{kind.__name__} is due, got {_shown(value)}")
        return value

    return read


def _member(kind: type[enum.Enum]) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, list | dict):  # the enum would write it into its error, which cannot be nested deeply
            raise ValueError(f"{kind.__name__} is due, got {_shown(value)}")
        return kind(value)

    return read


def _shown(value: Any) -> str:
    """Show a value in an error: a scalar as it is, cut short, of anything else its type."""
    return type(value).__name__ if isinstance(value, list | dict) else repr(value)[:SHOWN_MAX]


_TEXT, _LIST, _OBJECT = _exactly(str), _exactly(list), _exactly(dict)


def _generic_reader(kind: Any, origin: Any) -> Reader:
    arguments = typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        inner = [argument for argument in arguments if argument is not type(None)]
        if len(inner) != 1 or len(arguments) != 2:
            raise TypeError(f"only `X | None` can be read back, not {kind!r}")
        present = _reader(inner[0])
        return lambda value: None if value is None else present(value)
    if origin is list:
        item = _reader(arguments[0])
        return lambda value: [item(element) for element in _LIST(value)]
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin is dict and arguments[0] is str:
        held = _reader(arguments[1])
        return lambda value: {key: held(element) for key, element in _OBJECT(value).items()}
    raise TypeError(f"no reader for {kind!r}")


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda value: tuple(item(element) for element in _LIST(value))
    readers = [_reader(argument) for argument in arguments]
    return lambda value: tuple(read(element) for read, element in zip(readers, _LIST(value), strict=True))


def _record_reader(kind: type) -> Reader:
    hints = typing.get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind) if field.init]
    required = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    slots: dict[str, list[Reader]] = {name: [] for name in fields}

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"{kind.__name__}: an object is due")
        missing = required - value.keys()
        if missing:
            raise ValueError(f"{kind.__name__}: {min(missing)} is due")
        made: dict[str, Any] = {}
        for key, element in value.items():
            readers = slots.get(key)
            if readers is None:
                raise ValueError(f"{kind.__name__} has no field {key!r}")
            if not readers:  # built on first use, so that a record may hold records of its own kind
                readers.append(_reader(hints[key]))
            made[key] = readers[0](element)
        return kind(**made)

    return read
