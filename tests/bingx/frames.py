"""Payload files for the tests of the border, and ways to bend them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

PAYLOADS = Path(__file__).parent.parent / "payloads"
SIZE_MAX = 64 * 1024


def payload(name: str) -> bytes:
    """Give a payload file as it lies there."""
    return (PAYLOADS / f"{name}.json").read_bytes()


def packed(text: bytes) -> bytes:
    """Compress a frame as the exchange does."""
    return gzip.compress(text, mtime=0)


def bent(name: str, path: str, value: Any) -> bytes:
    """Give a payload with one field (``"o.z"``) replaced by the text of a JSON value, or removed where `None`."""
    body = json.loads(payload(name))
    *parents, field = path.split(".")
    holder = body
    for parent in parents:
        holder = holder[int(parent)] if parent.isdigit() else holder[parent]
    place = int(field) if field.isdigit() else field
    if value is None:
        del holder[place]
        return json.dumps(body).encode()
    holder[place] = "@@"
    return json.dumps(body).replace('"@@"', value).encode()
