"""What the fold hands on: numbered records, each written once for the log, the journal and every reader.

What enters: bodies as plain JSON objects, made by the fold. What leaves: `Record`s with their line, which is the
NDJSON form of interfaces.md §3: ``{"seq":…,"type":…,"ts":…,"<type>":{…}}``.
What holds: `seq` rises by one from 1 within an account; the records of one event stand together in the order of
`RecordType`, the snapshot last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

import orjson

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


RENDERED_MAX = 128
"""Moments whose text is kept: the records of one event name the same few over and over."""


class RecordType(StrEnum):
    """The types of a stream record, in the order in which those of one event stand."""

    FILL = "fill"
    INCOME = "income"
    DIVERGENCE = "divergence"
    GAP = "gap"
    STREAM = "stream"
    REJECTED = "rejected"
    ACCOUNT_EVENT = "account_event"
    SNAPSHOT = "snapshot"


LISTED = frozenset({RecordType.FILL, RecordType.INCOME, RecordType.DIVERGENCE, RecordType.GAP})
"""The types that have a list of current records under their key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One numbered record of an account.

    `line` is its NDJSON line without the newline. `key` identifies what the record is about: a later record of the
    same type and key supersedes it in lists (`None`: nothing supersedes it). `replaces` are the `seq`s that it takes
    the place of in lists, besides those of its own key. `n` is the journal's number of the event it comes from.
    """

    seq: int
    n: int
    type: RecordType
    at_us: int
    key: str | None
    replaces: tuple[int, ...]
    line: bytes


def line_of(record: Mapping[str, Any]) -> bytes:
    """Write a record's line into no more memory than it is long, for thousands of them are kept.

    What `orjson.dumps` gives goes on holding the buffer that it grew while it wrote: up to twice the length. A copy
    costs less than can be measured.
    """
    return bytes(memoryview(orjson.dumps(record)))


@lru_cache(maxsize=RENDERED_MAX)
def rfc3339(at_us: int) -> str:
    """Write microseconds since the epoch as RFC 3339 in UTC with microseconds."""
    second, micros = divmod(at_us, 1_000_000)
    return f"{_second(second)}.{micros:06}Z"


@lru_cache(maxsize=RENDERED_MAX)
def _second(at_s: int) -> str:
    """Write the second of a moment, which many moments share."""
    return (EPOCH + timedelta(seconds=at_s)).isoformat()[:-6]


def micros_of(text: str) -> int:
    """Read back, exactly, what `rfc3339` wrote; raises `ValueError` for what is no moment with a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment with a zone is due")
    return (moment - EPOCH) // timedelta(microseconds=1)


def rfc3339_ms(at_ms: int) -> str:
    """Write milliseconds since the epoch as RFC 3339 in UTC with microseconds."""
    return rfc3339(at_ms * 1_000)
