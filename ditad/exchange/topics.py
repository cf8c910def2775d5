"""Market subscriptions of one socket: topics asked for, acknowledged or refused (bingx.md §3).

Enters: the text of a client's frame and the time. Leaves: the acknowledgement, and which symbols'
marks the socket wants. Pure. At most `TOPICS_MAX` topics a socket, `ASKS_PER_S_MAX` questions a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from typing import Final

import orjson

from ditad.exchange.pushes import Payload

TOPICS_MAX: Final = 200
ASKS_PER_S_MAX: Final = 10
TEXT_MAX: Final = 4096
MARK_SUFFIX: Final = "@markPrice"

CODE_UNKNOWN_TOPIC: Final = 80015
CODE_TOO_MANY: Final = 80403
CODE_INVALID: Final = 80014
CODE_BUSY: Final = 100410


def answer(code: int, *, ask_id: str = "", message: str = "") -> Payload:
    """Build an acknowledgement; code 0 is success."""
    return {"id": ask_id, "code": code, "msg": message, "dataType": "", "data": None}


class Topics:
    """The topics of one market socket."""

    def __init__(self, listed: Container[str]) -> None:
        """Start without topics; `listed` says which symbols exist."""
        self._listed = listed
        self._asked_ms: deque[int] = deque(maxlen=ASKS_PER_S_MAX)
        self.symbols: dict[str, None] = {}

    def receive(self, text: str, now_ms: int) -> Payload:
        """Take a client's frame and give the answer to it."""
        ask = _parsed(text)
        if ask is None:
            return answer(CODE_INVALID, message="invalid params")
        ask_id, verb, topic = (str(ask.get(k, "")) for k in ("id", "reqType", "dataType"))
        symbol, _, suffix = topic.partition("@")
        if verb not in {"sub", "unsub"}:
            return answer(CODE_INVALID, ask_id=ask_id, message="invalid params")
        if f"@{suffix}" != MARK_SUFFIX or symbol not in self._listed:
            message = f"unknown dataType {topic}"
            return answer(CODE_UNKNOWN_TOPIC, ask_id=ask_id, message=message)
        if verb == "unsub":
            self.symbols.pop(symbol, None)
            return answer(0, ask_id=ask_id)
        if len(self._asked_ms) == ASKS_PER_S_MAX and now_ms - self._asked_ms[0] < 1000:
            return answer(CODE_BUSY, ask_id=ask_id, message="too many subscriptions a second")
        if len(self.symbols) >= TOPICS_MAX:
            message = f"more than {TOPICS_MAX} topics"
            return answer(CODE_TOO_MANY, ask_id=ask_id, message=message)
        self._asked_ms.append(now_ms)
        self.symbols[symbol] = None
        return answer(0, ask_id=ask_id)


def mark_push(symbol: str, price: str, now_ms: int) -> Payload:
    """Build the push of one mark price."""
    return {
        "code": 0,
        "dataType": symbol + MARK_SUFFIX,
        "data": {"e": "markPriceUpdate", "E": now_ms, "s": symbol, "p": price},
    }


def _parsed(text: str) -> dict[str, object] | None:
    if len(text) > TEXT_MAX:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
