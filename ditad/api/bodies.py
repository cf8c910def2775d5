"""The bodies of changing calls: JSON text becomes plain values whose decimals kept their digits.

What enters: bytes from a peer, already bounded in length. What leaves: an object; a JSON number with a fraction is its
own text, as money wants it. What holds: NaN and the infinities are refused.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from ditad.api.answers import ErrorCode, Problem

WHY_LENGTH_MAX: Final = 500
SLOTS_MAX: Final = 1_000


def object_of(body: bytes) -> dict[str, Any]:
    """Read a JSON object; raises `Problem`."""
    try:
        value = json.loads(body, parse_float=str, parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no text, and cannot be journaled
    except (ValueError, RecursionError) as exc:
        raise Problem(ErrorCode.BAD_REQUEST, f"the body is not JSON that can be read ({str(exc)[:80]})") from exc
    if not isinstance(value, dict):
        raise Problem(ErrorCode.BAD_REQUEST, "the body: a JSON object is due")
    return value


def why_of(body: bytes) -> str:
    """Read who-knows-best's reason for an adoption."""
    why = object_of(body).get("why")
    if not isinstance(why, str) or not why.strip() or len(why) > WHY_LENGTH_MAX:
        raise Problem(ErrorCode.BAD_REQUEST, f"why: a text of 1 to {WHY_LENGTH_MAX} characters is due")
    return why.strip()


def slots_of(body: bytes) -> list[dict[str, Any]]:
    """Read the bot's slots, each an object."""
    slots = object_of(body).get("slots")
    if not isinstance(slots, list) or len(slots) > SLOTS_MAX or not all(isinstance(slot, dict) for slot in slots):
        raise Problem(ErrorCode.BAD_REQUEST, f"slots: a list of at most {SLOTS_MAX} objects is due")
    return slots


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
