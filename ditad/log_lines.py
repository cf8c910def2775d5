"""What a log line may be: JSON in a fixed order of keys, no secret in it, short enough for journald.

What enters: event dictionaries, and lines already written. What leaves: lines without their newline. What holds:
making a line does not fail for what JSON cannot hold; `redact` is applied before `cut`, so that no half of a secret is left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import orjson

LINE_BYTES_MAX: Final = 32 * 1024
"""journald cuts at 48 KiB (journald.conf(5), LineMax=), and adds to what it is given."""
VALUE_BYTES_KEPT: Final = 2 * 1024
"""What stays of a field in a line that is too long."""
DEPTH_MAX: Final = 12
SECRET_LENGTH_MIN: Final = 8
"""Shorter texts are not hidden: they would blot out half the log, and no key is that short."""
HIDDEN: Final = b"***"
HEAD: Final = ("event", "level", "timestamp", "account")
# Listen keys and signatures pass through too many hands to be registered first: in a query string, and as JSON at
# any depth of quoting.
_LISTEN_KEY: Final = b"listenKey"
_SIGNATURE: Final = b"signature"
_IN_QUERY: Final = re.compile(rb'((?:listenKey|signature)(?:=|%3[Dd]))[^&\s"\'\\<>]+')
_IN_JSON: Final = re.compile(rb'((?:listenKey|signature)\\*["\']\s*:\s*\\*["\'])[^"\'\\]+')


def encode(fields: Mapping[str, Any]) -> bytes:
    """Write an event dictionary as one JSON object: event, level, timestamp, account, then what else there is."""
    ordered = {name: fields[name] for name in HEAD if name in fields}
    ordered |= fields
    try:
        return orjson.dumps(ordered, default=_text_of)
    except (TypeError, ValueError, RecursionError):
        return _encoded_otherwise(ordered)


def _encoded_otherwise(fields: Mapping[str, Any]) -> bytes:
    """Write what is no plain JSON: with keys of other types, which are looked for at a price, or made plain."""
    try:
        return orjson.dumps(fields, default=_text_of, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(_plain(fields, DEPTH_MAX))


def _text_of(value: object) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _plain(value: object, depth: int) -> Any:
    """Make something that JSON has of anything: what does not fit as its text, what lies too deep as its type."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if depth == 0:
        return type(value).__name__
    if isinstance(value, Mapping):
        return {_clean(str(key)): _plain(element, depth - 1) for key, element in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(element, depth - 1) for element in value]
    return _clean(_text_of(value))


def _clean(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def forms_of(secret: str) -> tuple[bytes, ...]:
    """Give the forms in which a secret may stand in a line: plain, in JSON once and twice quoted, in a URL."""
    once = orjson.dumps(_clean(secret))[1:-1]
    twice = orjson.dumps(once.decode())[1:-1]
    plain = secret.encode(errors="backslashreplace")
    return tuple(sorted({plain, once, twice, quote(plain, safe="").encode()}, key=len, reverse=True))


def redact(line: bytes, hidden: tuple[bytes, ...]) -> bytes:
    """Take out every hidden text, and whatever a listen key or a signature is set to."""
    for text in hidden:
        if text in line:
            line = line.replace(text, HIDDEN)
    if _LISTEN_KEY in line or _SIGNATURE in line:
        line = _IN_JSON.sub(rb"\1***", _IN_QUERY.sub(rb"\1***", line))
    return line


def block(lines: Sequence[bytes], hidden: tuple[bytes, ...]) -> bytes:
    """Write lines one after the other, each without secrets and short enough, with its newline.

    Nearly always there is nothing to take out of any of them: that is seen by looking through all of them at once.
    """
    whole = b"\n".join([*lines, b""])
    clean = not any(text in whole for text in hidden) and _LISTEN_KEY not in whole and _SIGNATURE not in whole
    if clean and max(map(len, lines)) <= LINE_BYTES_MAX:
        return whole
    return b"".join([cut(redact(line, hidden)) + b"\n" for line in lines])


def cut(line: bytes) -> bytes:
    """Bring a line under `LINE_BYTES_MAX`: the largest fields are cut first, and `cut` names them."""
    if len(line) <= LINE_BYTES_MAX:
        return line
    try:
        fields = orjson.loads(line)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return line[: LINE_BYTES_MAX - 64] + b" ... cut, %d bytes in all" % len(line)
    sizes = {name: len(orjson.dumps(value)) for name, value in fields.items()}
    names: list[str] = []
    left = len(line)
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if left <= LINE_BYTES_MAX - VALUE_BYTES_KEPT or sizes[name] <= VALUE_BYTES_KEPT:
            break
        fields[name] = _shortened(fields[name], sizes[name])
        names.append(name[:64])
        left -= sizes[name] - len(orjson.dumps(fields[name]))
    short = orjson.dumps(fields | {"cut": names})
    if len(short) <= LINE_BYTES_MAX:
        return short
    head = {name: _shortened(fields[name], sizes[name]) for name in HEAD if name in fields}
    return orjson.dumps(head | {"cut": f"all {len(fields)} fields, {len(line)} bytes"})


def _shortened(value: object, size: int) -> object:
    if size <= VALUE_BYTES_KEPT:
        return value
    if not isinstance(value, str):
        return f"cut, {size} bytes in all"
    return f"{value[: VALUE_BYTES_KEPT // 8]} ... cut, {size} bytes in all"
