"""Frames as bytes: compact JSON, or the four characters `Ping`, in gzip (bingx.md §3). Pure.

Enters: a payload. Leaves: bytes. Truth held: both forms open to the same text; `stored` is for stories
told in a hurry, because most of a frame's price is its compression.
"""

from __future__ import annotations

import zlib
from struct import pack
from typing import Final

import orjson

from ditad.exchange.pushes import Payload

PING: Final[Payload] = {}
# A small window: making room for a large one can cost more than compressing so short a text.
GZIP_WINDOW_BITS: Final = 16 + 10
GZIP_MEMORY_LEVEL: Final = 2
# RFC 1952 without name and time, then RFC 1951 §3.2.4: one last block that is stored.
STORED_HEAD: Final = bytes.fromhex("1f8b08000000000000ff01")
STORED_BYTES_MAX: Final = 65_535


def encoded(payload: Payload) -> bytes:
    """Give the bytes of one frame: compact JSON, or the four characters `Ping`, in gzip."""
    maker = zlib.compressobj(1, zlib.DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL)
    return maker.compress(_text_of(payload)) + maker.flush()


def stored(payload: Payload) -> bytes:
    """Give the bytes of one frame as gzip that does not compress; a longer text is compressed after all."""
    text = _text_of(payload)
    size = len(text)
    if size > STORED_BYTES_MAX:
        return encoded(payload)
    return STORED_HEAD + pack("<HH", size, STORED_BYTES_MAX - size) + text + pack("<II", zlib.crc32(text), size)


def _text_of(payload: Payload) -> bytes:
    return b"Ping" if payload is PING else orjson.dumps(payload)
