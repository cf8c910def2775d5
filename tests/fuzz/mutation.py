"""Bending well-formed JSON by its structure: types, keys, nesting, digits, bytes.

What enters: a decoded JSON value and a seeded generator. What leaves: JSON text, or bytes that were JSON once.
What holds: the same generator state gives the same bytes; what is made is bounded (`TEXT_BYTES_MAX` before it is
compressed). `Raw` stands for JSON text that no encoder would write: ``1e400``, ``-0``, a key given twice.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

Json = Any
TEXT_BYTES_MAX = 1_000_000
_MARK = "\ue000"


class Raw(str):
    """JSON text that is written as it stands."""

    __slots__ = ()


NUMBERS = tuple(
    Raw(text)
    for text in (
        *(
            "0",
            "-0",
            "0.0",
            "-0.0",
            "1",
            "-1",
            "0.1",
            "1e400",
            "-1e400",
            "1e-400",
            "1e-1000100",
            "1e999999999999999999",
        ),
        *("NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x1F", "1_000", "1e", "9007199254740993"),
        *("1641061451231662080", "1641061451231662080.0", "9223372036854775807", "9223372036854775808"),
        *("18446744073709551615", "18446744073709551616", "-9223372036854775809", "1680094514116", "1680094514116.0"),
        *("1.6800945141e12", "1e14", "99999999999999", "100000000000000", "1e15", "999999999999999", "1e-18", "1e-19"),
        *("0.30000000000000004", "-0.33699650000000003", "1234567890123456789012345678", "5e-324", "1e22", "1e23"),
        *("9" * 39, "9" * 41, "9" * 400, "9" * 5000, "0." + "9" * 62, "0." + "0" * 70 + "1", "1" + "0" * 40 + ".0"),
    )
)
"""What a number may look like; some of it is no JSON."""

TEXTS = (
    *(
        "",
        " ",
        "0",
        "-0",
        "00",
        "1.5",
        "-1",
        "+1",
        " 1 ",
        "1\n",
        "1e3",
        "1E-9",
        "1e400",
        "1e-1000100",
        "NaN",
        "sNaN",
        "nan1",
    ),
    *(
        "Infinity",
        "-inf",
        "1_000",
        "1_000.0000000000000",
        "1,5",
        "٣",
        "٣٣٣٣٣.٣٣٣٣٣٣٣٣٣٣٣٣٣",
        "²",
        "０",
        "½",
        "0x10",
        "True",
    ),
    *(
        "true",
        "false",
        "null",
        "None",
        "LONG",
        "long",
        "SHORT",
        "BOTH",
        "BUY",
        "sell",
        "ſELL",
        "FILLED",
        "filled",
        "NEW",
    ),
    *("Unknown", "CANCELLED", "LIQUIDATION", "ADL", "ORDER", "FUNDING_FEE", "DEPOSIT", "BTC-USDT", "ETH-USDT", "USDT"),
    *("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456789+08:00", "0001-01-01T00:00:00+23:59", "2026-13-01"),
    *("9999-12-31T23:59:59-23:59", "20260131T120000Z", "2026-W05-6", "2026-01-31T24:00:00+08:00", "12:00", "Ping"),
    *("\x00", "\u2028", "\ud800", "é" * 200, "a" * 64, "0123456789abcdef" * 4, "9" * 70, "9" * 5000, "x" * 300),
    *("0." + "9" * 62, "999999999999999.999999999", "0.000000000000000001", "0.0000000000000000001", "9" * 28),
    *("cross", "ISOLATED", "singleAssetMode", "multiAssetsMode", "timestamp", "unblocked after 1700000000000"),
)

KEYS = (
    *("e", "E", "a", "o", "m", "B", "P", "ac", "s", "l", "L", "z", "id", "code", "data", "dataType", "ping", "msg", ""),
    *("listenKey", "orders", "order", "balance", "positions", "income", "list", "contracts", "fill_orders", "total"),
    *("fill_history_orders", "commission", "permissions", "__class__", "\x00", "\ud800"),
)


def leaf(rng: Random) -> Json:
    """Draw a scalar of any type."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return rng.randrange(-(10 ** rng.randrange(1, 24)), 10 ** rng.randrange(1, 24))
    if kind == 3:
        return Raw(decimal_text(rng))
    if kind == 4:
        return decimal_text(rng)
    return rng.choice(TEXTS)


def decimal_text(rng: Random) -> str:
    """Draw a decimal in plain notation, now and then beyond what money is."""
    whole = str(rng.randrange(10 ** rng.choice((1, 1, 3, 6, 12, 15, 16, 28))))
    places = rng.choice((0, 1, 4, 8, 8, 12, 15, 17, 18, 19, 30))
    fraction = f".{rng.randrange(10**places):0{places}d}" if places else ""
    return f"{rng.choice(('', '', '-'))}{whole}{fraction}"


def anything(rng: Random) -> Json:
    """Draw a value of any type and shape; deep ones are text already, as no encoder would follow."""
    kind = rng.randrange(12)
    if kind == 0:
        return [leaf(rng) for _ in range(rng.randrange(4))]
    if kind == 1:
        return {rng.choice(KEYS): leaf(rng) for _ in range(rng.randrange(4))}
    if kind == 2:
        depth = rng.choice((3, 50, 300, 900, 1000, 1020, 1024, 1100, 5000))
        inner = rng.choice(("", "1", "1.5", '"x"'))
        if rng.randrange(2):
            return Raw("[" * depth + inner + "]" * depth)
        return Raw('{"a":' * depth + (inner or "{}") + "}" * depth)
    return leaf(rng)


def places_of(value: Json) -> list[tuple[Any, Any]]:
    """Give every (holder, key) inside a value, outer ones first."""
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        holder = pending.pop()
        keys: Any = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            pending.append(holder[key])
    return found


def bend(value: Json, rng: Random, *, spare: frozenset[str] = frozenset()) -> Json:
    """Change one place of a value (in the value itself); keys in `spare` are left alone."""
    places = [place for place in places_of(value) if place[1] not in spare]
    if not places or rng.random() < 0.01:
        return anything(rng)
    holder, key = rng.choice(places)
    rng.choice(_BENDS)(holder, key, rng)
    return value


def _replace(holder: Any, key: Any, rng: Random) -> None:
    holder[key] = anything(rng)


def _retype(holder: Any, key: Any, rng: Random) -> None:
    """Say the same in another type."""
    value = holder[key]
    if isinstance(value, str):
        holder[key] = rng.choice(
            (Raw(value or "0"), [value], {"value": value}, f" {value} ", value.lower(), value.upper())
        )
    elif isinstance(value, bool) or value is None:
        holder[key] = rng.choice((str(value).lower(), int(bool(value)), "", []))
    elif isinstance(value, int | float):
        holder[key] = rng.choice(
            (str(value), Raw(f"{value}.0"), Raw(f"{value:e}"), -value, [value], value * 10, value + 1)
        )
    else:
        holder[key] = rng.choice((None, [], {}, "", [value], {"data": value}, json.dumps(value, default=str)[:4096]))


def _drop(holder: Any, key: Any, rng: Random) -> None:  # noqa: ARG001 - bends have one form
    del holder[key]


def _double(holder: Any, key: Any, rng: Random) -> None:
    """Repeat an element, or give a key twice, which only text can."""
    if isinstance(holder, list):
        holder[key:key] = [holder[key]] * rng.choice((1, 1, 2, 40))
    else:
        first, second = rng.sample((written(holder[key]), written(anything(rng))), 2)
        holder[key] = Raw(f"{first},{json.dumps(key)}:{second}")


def _rename(holder: Any, key: Any, rng: Random) -> None:
    if isinstance(holder, dict):
        holder[rng.choice((*KEYS, key.upper(), key + " ", key[:-1]))] = holder.pop(key)
    else:
        _swap(holder, key, rng)


def _swap(holder: Any, key: Any, rng: Random) -> None:
    other = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    holder[key], holder[other] = holder[other], holder[key]


def _digits(holder: Any, key: Any, rng: Random) -> None:
    """Change one character of a scalar's text."""
    value = holder[key]
    if isinstance(value, dict | list) or value is None:
        _replace(holder, key, rng)
        return
    text = str(value)
    at = rng.randrange(len(text) + 1)
    changed = text[:at] + rng.choice("0123456789.-+eE_ x٣\x00") + text[at + rng.randrange(2) :]
    holder[key] = changed if isinstance(value, str) else Raw(changed)


_BENDS: tuple[Callable[[Any, Any, Random], None], ...] = (
    _replace,
    _replace,
    _retype,
    _drop,
    _double,
    _rename,
    _swap,
    _digits,
)


def written(value: Json) -> str:
    """Write JSON with `Raw` text as it stands; lone surrogates stay escaped, as JSON can carry them."""
    raws: list[str] = []

    def hidden(item: Json) -> Json:
        if isinstance(item, Raw):
            raws.append(item)
            return f"{_MARK}{len(raws) - 1}{_MARK}"
        if isinstance(item, dict):
            return {key: hidden(inner) for key, inner in item.items()}
        return [hidden(inner) for inner in item] if isinstance(item, list) else item

    text = json.dumps(hidden(value), separators=(",", ":"))
    for number in reversed(range(len(raws))):
        text = text.replace(f'"\\ue000{number}\\ue000"', raws[number])
    return text[:TEXT_BYTES_MAX]


def bent_text(value: Json, rng: Random) -> bytes:
    """Bend a value at one to four places and write it."""
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        value = bend(value, rng)
    return written(value).encode("utf-8", "surrogatepass")


def torn(data: bytes, other: bytes, rng: Random) -> bytes:
    """Cut, splice with another text, flip, insert or repeat bytes."""
    kind, at = rng.randrange(6), rng.randrange(len(data) + 1)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + other[rng.randrange(len(other) + 1) :]
    if kind == 2:
        return data[:at] + rng.randbytes(rng.randrange(1, 5)) + data[at + rng.randrange(5) :]
    if kind == 3:
        return data + rng.choice((b" ", b"\n", b"\x00", b"}", b",", data, b"Ping"))
    if kind == 4:
        return rng.choice((b"\xef\xbb\xbf", b" ", b"\x00", b"[")) + data
    return data[:at] + data[max(0, at - 8) : at] + data[at:]


_BOMBS = tuple(gzip.compress(bytes([fill]) * size, mtime=0) for fill in b" [0" for size in (70_000, 1_000_000))
"""What inflates beyond a small bound, made once: a kilobyte each."""


def packed(data: bytes, rng: Random) -> bytes | str:
    """Wrap a text as the exchange might, or as it never should."""
    kind = rng.randrange(16)
    if kind < 4:
        return data
    if kind == 4:
        return data.decode("utf-8", "surrogateescape")
    if kind < 10:
        return gzip.compress(data, 1, mtime=0)
    if kind == 10:
        return gzip.compress(gzip.compress(data, 1, mtime=0), 1, mtime=0)
    if kind == 11:
        return torn(gzip.compress(data, 1, mtime=0), data, rng)
    if kind == 12:
        return rng.choice(
            (zlib.compress(data, 1), b"\x1f\x8b" + data, b"\x1f\x8b\x08", gzip.compress(b"Ping"), b"Ping")
        )
    if kind == 13:
        return gzip.compress(data, 1, mtime=0) + gzip.compress(data, 1, mtime=0)
    if kind == 14:
        return rng.choice(_BOMBS)
    return rng.randbytes(rng.randrange(80))
