"""JSON of the daemon to typed records, by their annotations alone, and tolerant: newer daemons say more.

What enters: JSON values and frozen dataclasses whose fields are `str int float bool Decimal datetime`, `X | None`,
tuples, mappings with text as keys, further such dataclasses, or `Any`. What leaves: the record, or `AnswerError` that
names the place. What holds: money is `Decimal` with its digits, a moment knows its zone, what was never stated stays
`None`; a field that nobody knows here is passed over, and stands in `raw`; one that lacks takes its default, and is an
error where there is none.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, TypeVar

from ditad.errors import DitadError

Reader = Callable[[Any, str], Any]
Record = TypeVar("Record")

SHOWN_MAX = 60


class AnswerError(DitadError):
    """The daemon said something that this version of the client cannot read: bring both to the same version."""


def read(kind: type[Record], value: object, where: str) -> Record:
    """Read a record of this type; `where` names the answer in errors. Raises `AnswerError`."""
    reader: Reader = _reader(typing.cast("Any", kind))
    return typing.cast("Record", reader(value, where))


@cache
def _reader(kind: Any) -> Reader:
    """Build, once per annotation, the function that reads its JSON form."""
    if dataclasses.is_dataclass(kind):
        return _record(typing.cast("type", kind))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        present = _reader(next(argument for argument in arguments if argument is not types.NoneType))
        return lambda value, where: None if value is None else present(value, where)
    if origin is tuple:
        item = _reader(arguments[0])
        return lambda value, where: tuple(
            item(element, f"{where}[{place}]") for place, element in enumerate(_of(list, value, where))
        )
    if origin is Mapping:
        held = _reader(arguments[1])
        return lambda value, where: {
            key: held(element, f"{where}.{key}") for key, element in _of(dict, value, where).items()
        }
    return _PLAIN[kind]


def _record(kind: type) -> Reader:
    hints = typing.get_type_hints(kind)
    fields = [
        (field.name, field.name.rstrip("_"), _reader(hints[field.name]), _needed(field))
        for field in dataclasses.fields(kind)
        if field.name != "raw"
    ]

    def reader(value: Any, where: str) -> Any:
        said = _of(dict, value, where)
        values: dict[str, Any] = {}
        for name, word, of_field, needed in fields:
            if word in said:
                values[name] = of_field(said[word], f"{where}.{word}")
            elif needed:
                raise _unread(f"{where}.{word}", "is missing")
        return kind(**values, raw=said)

    return reader


def _needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _of(kind: type, value: Any, where: str) -> Any:
    if type(value) is not kind:
        raise _unread(where, f"is {_shown(value)}, where {kind.__name__} is due")
    return value


def _exactly(kind: type) -> Reader:
    return lambda value, where: _of(kind, value, where)


def _decimal(value: Any, where: str) -> Decimal:
    try:
        number = Decimal(_of(str, value, where))
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise _unread(where, f"is {_shown(value)}, where a number is due")
    return number


def _moment(value: Any, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_of(str, value, where))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _unread(where, f"is {_shown(value)}, where a moment with its zone is due")
    return moment


def _float(value: Any, where: str) -> float:
    return float(value) if type(value) is int else float(_of(float, value, where))


def _shown(value: Any) -> str:
    return type(value).__name__ if isinstance(value, list | dict) else repr(value)[:SHOWN_MAX]


def _unread(where: str, what: str) -> AnswerError:
    return AnswerError(f"{where} {what}: bring daemon and client to the same version of ditad")


_PLAIN: Mapping[Any, Reader] = {
    str: _exactly(str),
    int: _exactly(int),
    bool: _exactly(bool),
    float: _float,
    Decimal: _decimal,
    datetime: _moment,
    Any: lambda value, _: value,
}
