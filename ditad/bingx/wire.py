"""From a frame's bytes to an object, within bounds, with every digit kept.

What enters: a websocket message or an HTTP body as received. What leaves: a `Ping` with its answer, or a `Frame`
routed by its shape (bingx.md §3), or the plain object of `decode_json`.
What holds: nothing is inflated beyond the bound; a number that would lose digits as a float comes as `NumberText`,
the number's own text; whatever cannot be read is a `Refusal` with its reason, and never anything else.
"""

from __future__ import annotations

import enum
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

import orjson

from ditad.errors import Refusal

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WBITS = 31
EXCERPT_LENGTH_MAX = 256
INT_DIGITS_MAX = 40
PONG_VALUE_LENGTH_MAX = 128
KEY_NAME = b"listenKey"
_SECRET = re.compile(r"[0-9A-Za-z]{48,}")
_CONFIGURATIONS = (b'{"e":"SNAPSHOT",', b'{"e":"ACCOUNT_CONFIG_UPDATE",')
_CONFIGURED = re.compile(rb'\{"e":"[A-Z_]+","E":[1-9][0-9]{12},"ac":(.*)\}', re.DOTALL).fullmatch
_KEY = re.compile(rb'("listenKey"\s*:\s*")[^"]*')


class NumberText(str):
    """The text of a JSON number that is no 64 bit integer, as the exchange wrote it."""

    __slots__ = ()


class FrameKind(enum.Enum):
    """The shapes of what the exchange sends (bingx.md §3)."""

    PRIVATE = "private"
    MARKET = "market"
    ACK = "ack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """A sign of life that wants `pong` as its answer, sent as text."""

    pong: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame's object and what its shape says it is; `names_key` where a listen key may stand in it."""

    kind: FrameKind
    body: dict[str, Any]
    names_key: bool = False


def inflate(data: bytes | str, size_max: int) -> bytes:
    """Give the text of a frame, inflated where it came compressed (CAP: all do; plain text is accepted too).

    Raises `Refusal` on truncated or damaged gzip, on anything behind its end, and beyond `size_max` bytes of text.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if not raw.startswith(GZIP_MAGIC):
        if len(raw) > size_max:
            raise Refusal(f"frame of more than {size_max} bytes")
        return raw
    inflater = zlib.decompressobj(GZIP_WBITS)
    try:
        text = inflater.decompress(raw, size_max + 1)
    except zlib.error:
        raise Refusal("damaged gzip") from None
    if len(text) > size_max:
        raise Refusal(f"frame inflates beyond {size_max} bytes")
    if not inflater.eof:
        raise Refusal("truncated gzip")
    if inflater.unused_data:
        raise Refusal("bytes behind the end of gzip")
    return text


def decode_json(text: bytes) -> object:
    """Read JSON; where a float is in it, read it again keeping the digits of all numbers (account.md §2).

    Raises `Refusal` where it is no JSON (NaN and infinities are none), no UTF-8, or nested too deeply.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        try:
            text.decode()
        except UnicodeDecodeError:
            raise Refusal("not UTF-8") from None
        raise Refusal(f"not JSON: {exc.msg}"[:120]) from None
    if not _holds_float(value):
        return value
    try:
        return json.loads(text, parse_float=NumberText, parse_int=_integer)
    except RecursionError:
        raise Refusal("JSON nested too deeply") from None


def decode(data: bytes | str, size_max: int) -> Ping | Frame:
    """Read one frame and route it by its shape; raises `Refusal` where it has none of the known ones."""
    return route(inflate(data, size_max))


def configured(text: bytes) -> bytes | None:
    """Give what a configuration frame in the exchange's own writing says, as its text, whenever it was said.

    `None` where it is no such frame, or is written otherwise; then it has to be read. Two frames of the same such text
    are read alike: around it there is nothing but a name and a time that is one.
    """
    if not text.startswith(_CONFIGURATIONS):
        return None
    found = _CONFIGURED(text)
    return None if found is None else found[1]


def route(text: bytes) -> Ping | Frame:
    """Read the text of one frame and route it; raises as `decode`."""
    if text == b"Ping":
        return Ping(pong="Pong")
    body = decode_json(text)
    if not isinstance(body, dict):
        raise Refusal("frame: an object is due")
    if "ping" in body:
        return Ping(pong=_json_pong(body))
    if "e" in body and "dataType" not in body:
        return Frame(kind=FrameKind.PRIVATE, body=body, names_key=KEY_NAME in text)
    if body.get("dataType") and body.get("data") is not None:
        return Frame(kind=FrameKind.MARKET, body=body)
    if "id" in body and "code" in body:
        return Frame(kind=FrameKind.ACK, body=body)
    raise Refusal("frame of unknown shape")


def excerpt(data: bytes | str, size_max: int) -> str:
    """Give the first readable characters of what was refused; long tokens, which could be keys, are left out."""
    try:
        text = inflate(data, size_max).decode("utf-8", "replace")
    except Refusal:
        head = data[:32] if isinstance(data, bytes) else b""
        return f"{len(data)} bytes, {head.hex()}…"
    return veiled(text[: 16 * EXCERPT_LENGTH_MAX])[:EXCERPT_LENGTH_MAX]


def without_keys(data: bytes, size_max: int) -> bytes:
    """Give a frame as it may be kept: as received, but plain and without its listen key where it names one."""
    try:
        text = inflate(data, size_max)
    except Refusal:
        return data  # damaged: nobody can read a key in it
    return _KEY.sub(rb"\1***", text) if KEY_NAME in text else data


def veiled(text: str) -> str:
    """Take out of a text what could be a key."""
    return _SECRET.sub("…", text)


def _json_pong(body: dict[str, Any]) -> str:
    """Answer the form that other products of the exchange use (bingx.md §3)."""
    if not all(isinstance(value, str | int) and len(str(value)) <= PONG_VALUE_LENGTH_MAX for value in body.values()):
        raise Refusal("ping: text is due", money=False)
    answer = {"pong" if name == "ping" else name: value for name, value in body.items() if name in {"ping", "time"}}
    return json.dumps(answer)


def _integer(text: str) -> int | NumberText:
    """Keep what no clock, count or id can be as text; Python refuses to read integers of any length."""
    return int(text) if len(text) <= INT_DIGITS_MAX else NumberText(text)


def _holds_float(value: object) -> bool:
    """Look for a float anywhere in what was decoded; integers beyond 64 bit arrive as floats too."""
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        kind = type(item)  # the decoder makes no subclasses
        if kind is str:
            continue
        if kind is float:
            return True
        if kind is dict:
            pending.extend(item.values())
        elif kind is list:
            pending.extend(item)
    return False
