"""What an HTTP answer of the exchange means: data, or which error, and whether asking again may help.

What enters: the status, the headers that matter and the body. What leaves: the `data`, or a `VenueError` of the tree.
What holds: one function decides (`verdict`), by the codes of bingx.md §5, old and new ones; no error is ever read as
an empty answer; no message holds a key, a secret or a URL.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from ditad.bingx.wire import decode_json
from ditad.errors import Refusal, VenueError, VenueFatalError, VenueUnavailableError

MESSAGE_LENGTH_MAX = 160
CODE_LENGTH_MAX = 16
LIMITED_S = 2.0
BANNED_S = 180.0
BAN_S_MAX = 900.0
_TOKEN = re.compile(r"[0-9A-Za-z]{20,}")
_UNTIL_MS = re.compile(r"\b(1[0-9]{12})\b")


class Verdict(enum.Enum):
    """What an answer asks of whoever asked."""

    OK = "ok"
    RETRY = "retry"
    RESYNC = "resync"
    LIMITED = "limited"
    BANNED = "banned"
    FATAL = "fatal"
    UNAVAILABLE = "unavailable"
    KEY_UNKNOWN = "key_unknown"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An HTTP answer as received: `status`, `body`, and the exchange's clock at its arrival in ms."""

    status: int
    body: bytes
    at_ms: int


class ClockError(VenueError):
    """The exchange finds our timestamp wrong: measure the clock's offset and ask again."""


class KeyUnknownError(VenueError):
    """The exchange does not know this listen key (any more)."""


FATAL_CODES = {
    "100001": "it finds the signature wrong: check the API secret",
    "100412": "it finds no signature: check the API secret",
    "100413": "it does not know the API key: check the key, and that it belongs to this environment",
    "100419": "the API key is bound to other IP addresses: add this machine's address to the key's whitelist",
}
UNAVAILABLE_CODES = frozenset({"100004"})
CLOCK_CODES = frozenset({"100421"})
PARAMETER_CODES = frozenset({"109400", "80014"})
LIMITED_CODES = frozenset({"100410", "109429"})
# 101214: while funding is settled. 80012 is the old number of 109500.
RETRY_CODES = frozenset({"100500", "109500", "80012", "110500", "504", "101214"})
UNKNOWN_PATH_CODES = frozenset({"100400", "100404"})


def verdict(status: int, code: str, message: str) -> Verdict:
    """Judge an answer by its HTTP status first, then by its code (``""``: there was none)."""
    if status == 418:
        return Verdict.BANNED
    if status == 429 or code in LIMITED_CODES:
        return Verdict.LIMITED
    if code in FATAL_CODES:
        return Verdict.FATAL
    if code in UNAVAILABLE_CODES:
        return Verdict.UNAVAILABLE
    if code in CLOCK_CODES or (code in PARAMETER_CODES and "timestamp" in message.lower()):
        return Verdict.RESYNC
    if code in RETRY_CODES or status >= 500 or status == 408:
        return Verdict.RETRY
    if status == 404 or code in UNKNOWN_PATH_CODES:
        return Verdict.KEY_UNKNOWN
    if status != 200:
        # A refusal without a code of the exchange's comes from what stands before it, and may pass.
        # Redirections are not followed.
        return Verdict.REFUSED if code or 300 <= status < 400 else Verdict.RETRY
    if not code:
        # A body that is cut or none of the exchange's says nothing; it is no empty answer.
        return Verdict.RETRY
    return Verdict.OK if code == "0" else Verdict.REFUSED


def envelope(answered: Answered) -> tuple[str, str, object]:
    """Take the envelope apart; the code is int or text, and ``""`` where the body is none of the exchange's."""
    body = _object(answered)
    code = body.get("code")
    known = isinstance(code, str | int) and not isinstance(code, bool) and len(str(code)) <= CODE_LENGTH_MAX
    message = body.get("msg")
    return (str(code) if known else "", message if isinstance(message, str) else "", body.get("data"))


def data_of(answered: Answered, what: str) -> object:
    """Give the `data` of an answer that is one; raises the `VenueError` that its verdict stands for."""
    code, message, data = envelope(answered)
    decided = verdict(answered.status, code, message)
    if decided is Verdict.OK:
        return data
    raise error_of(decided, answered, what, code, message)


def listen_key_of(answered: Answered) -> str:
    """Give the key of a `POST userDataStream`, which stands at the top level (DOC), or under `data`."""
    what = "listen key"
    code, message, data = envelope(answered)
    body = _object(answered)
    nested = data if isinstance(data, dict) else {}
    key = body.get("listenKey") or nested.get("listenKey")
    if answered.status == 200 and isinstance(key, str) and 16 <= len(key) <= 256 and key.isascii() and key.isalnum():
        return key
    decided = verdict(answered.status, code, message)
    if decided is Verdict.OK:
        raise VenueError(f"{what}: the answer holds no listen key.", code=code, retryable=True)
    if decided is Verdict.UNAVAILABLE:
        raise VenueFatalError(
            "BingX refuses this API key a private stream (100004): give the key the permission to read.", code=code
        )
    raise error_of(decided, answered, what, code, message)


def check_renewal(answered: Answered) -> None:
    """Judge a `PUT userDataStream` by its status first: 200 has an empty body (CAP), 404 is an unknown key."""
    if answered.status in {200, 204} and not answered.body.strip():
        if answered.status == 204:
            raise VenueError("listen key renewal: the exchange found no key in the question.")
        return
    code, message, _ = envelope(answered)
    decided = verdict(answered.status, code or "0", message)
    if decided is not Verdict.OK:
        raise error_of(decided, answered, "listen key renewal", code, message)


def error_of(decided: Verdict, answered: Answered, what: str, code: str, message: str) -> VenueError:
    """Build the error that a verdict stands for; fatal ones say what to do in one sentence."""
    said = f"{what}: BingX answered {code or f'HTTP {answered.status}'} {shown(message)}".strip()
    match decided:
        case Verdict.FATAL:
            return VenueFatalError(f"BingX refuses this account's requests ({code}): {FATAL_CODES[code]}.", code=code)
        case Verdict.UNAVAILABLE:
            return VenueUnavailableError(f"{said}: the API key lacks the permission for it.", code=code)
        case Verdict.RESYNC:
            return ClockError(said, code=code, retryable=True)
        case Verdict.KEY_UNKNOWN:
            return KeyUnknownError(said, code=code)
        case Verdict.LIMITED:
            return VenueError(said, code=code, retryable=True, retry_after_s=_until_s(message, answered, LIMITED_S))
        case Verdict.BANNED:
            return VenueError(said, code=code, retryable=True, retry_after_s=_until_s(message, answered, BANNED_S))
        case Verdict.RETRY:
            return VenueError(said, code=code, retryable=True)
        case _:
            return VenueError(said, code=code)


def is_refused(error: VenueError) -> bool:
    """Say whether the exchange will not answer this question to us, as opposed to not now."""
    return not error.retryable and not error.retry_after_s and not isinstance(error, VenueFatalError)


def shown(message: str) -> str:
    """Make an exchange's message fit to be shown: short, and without anything that could be a key."""
    return _TOKEN.sub("…", message.replace("\n", " "))[:MESSAGE_LENGTH_MAX]


def _object(answered: Answered) -> dict[str, object]:
    try:
        body = decode_json(answered.body)
    except Refusal:
        return {}
    return body if isinstance(body, dict) else {}


def _until_s(message: str, answered: Answered, otherwise_s: float) -> float:
    """Wait until the moment that a ban's message names in ms (1×: "unblocked after 17…"), within bounds."""
    found = _UNTIL_MS.search(message)
    if found is None:
        return otherwise_s
    return min(max((int(found.group(1)) - answered.at_ms) / 1000, 1.0), BAN_S_MAX)
