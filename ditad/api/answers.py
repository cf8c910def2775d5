"""The forms of the answers: lists, the error envelope, and what is made of records and snapshots for them.

What enters: bodies as the daemon gives them, and what is wrong with a request. What leaves: JSON with a newline, for
whoever reads it in a terminal. What holds: money stays the text it was; an error's code decides its status.
(interfaces.md §3)
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

import orjson

from ditad.records import RecordType


class ErrorCode(StrEnum):
    """The codes of the error envelope."""

    BAD_REQUEST = "bad_request"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    GONE = "gone"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"


STATUS_OF: Final = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.GONE: 410,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INTERNAL: 500,  # our own fault: outside the table, because no request should ever see it
    ErrorCode.UNAVAILABLE: 503,
}


class Problem(Exception):
    """A request that is answered with an error; `more` are further fields of the envelope."""

    def __init__(self, code: ErrorCode, message: str, **more: object) -> None:
        """Say in one sentence what is wrong and what to do."""
        self.code = code
        self.message = message
        self.more = more
        super().__init__(message)

    @property
    def status(self) -> int:
        """The HTTP status of its code."""
        return STATUS_OF[self.code]

    def body(self) -> bytes:
        """Write the envelope, with a newline for whoever reads it in a terminal."""
        error = {"code": self.code.value, "message": self.message}
        return orjson.dumps({"error": error, **self.more}, option=orjson.OPT_APPEND_NEWLINE)


def no_such_account(name: str, known: Iterable[str]) -> Problem:
    """Say which accounts there are."""
    return Problem(ErrorCode.NOT_FOUND, f"no account {name[:32]!r}; known: {listed(sorted(known))}")


def listed(words: Iterable[str]) -> str:
    """Write words with commas, for a message."""
    return ", ".join(words) or "none"


def list_answer(items: list[dict[str, Any]], next_after_seq: int | None) -> bytes:
    """Write a list; `next_after_seq` is `None` where nothing follows."""
    return answer({"items": items, "next_after_seq": next_after_seq})


def answer(value: object) -> bytes:
    """Write an answer, with a newline for whoever reads it in a terminal."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def item(kind: RecordType, seq: int, line: bytes) -> dict[str, Any]:
    """Make a list's item of a record's line: its body, and its `seq`."""
    body: dict[str, Any] = orjson.loads(line)[kind.value]
    return {"seq": seq, **body}


def positions(snapshot: bytes, seq: int) -> list[dict[str, Any]]:
    """Lay K's and E's positions of a snapshot side by side, ordered by symbol and side; an absent one is `None`."""
    ledgers = orjson.loads(snapshot)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for ledger in ("k", "e"):
        for position in (ledgers.get(ledger) or {}).get("positions") or ():
            key = (position["symbol"], position["side"])
            row = rows.setdefault(key, {"seq": seq, "symbol": key[0], "side": key[1], "k": None, "e": None})
            row[ledger] = {name: value for name, value in position.items() if name not in {"symbol", "side"}}
    return [rows[key] for key in sorted(rows)]


def snapshot_line(snapshot: bytes, seq: int) -> bytes:
    """Write the present snapshot as the stream record that it is."""
    ts = orjson.loads(snapshot)["ts"]
    return b'{"seq":%d,"type":"snapshot","ts":%s,"snapshot":%s}\n' % (seq, orjson.dumps(ts), snapshot.strip())
