"""One request budget for all questions of an account, which it shares with the bot's (bingx.md §5).

What enters: endpoints to be asked, with `now` on the monotonic clock; what the answers said of the limits.
What leaves: the moment from which a question may go.
What holds: at most `per_s` questions a second and endpoint; nothing goes while the exchange is limiting us or little
is left of its allowance, because a ban for us is a ban for the bot.
"""

from __future__ import annotations

REMAIN_LOW = 10
YIELD_S = 1.0
YIELD_S_MAX = 10.0
LIMITS_MAX = 5
ENDPOINTS_MAX = 64


class Budget:
    """Reserves moments for questions; holds no question itself. `remain` is what the exchange said last is left."""

    def __init__(self, per_s: float) -> None:
        self._spacing_s = 1.0 / per_s
        self._free_at: dict[str, float] = {}
        self._limits = 0
        self.held_until = 0.0
        self.remain: int | None = None

    def reserve(self, endpoint: str, now: float) -> float:
        """Take the next free moment of an endpoint and give it; the caller waits for it."""
        assert endpoint in self._free_at or len(self._free_at) < ENDPOINTS_MAX, "endpoints are few and ours"
        at = max(now, self._free_at.get(endpoint, now), self.held_until)
        self._free_at[endpoint] = at + self._spacing_s
        return at

    def hold(self, seconds: float, now: float) -> None:
        """Let nothing go for this long."""
        self.held_until = max(self.held_until, now + seconds)

    def limited(self, seconds: float, now: float) -> None:
        """Heed a limit: each one that follows another without an answer between holds twice as long."""
        self.hold(seconds * 2.0**self._limits, now)
        self._limits = min(self._limits + 1, LIMITS_MAX)

    def answered(self) -> None:
        """Note that the exchange answered without limiting us."""
        self._limits = 0

    def told(self, remain: str | None, expire: str | None, now: float, now_ms: int) -> None:
        """Heed ``X-RateLimit-Requests-Remain`` and ``-Expire`` (ms, s since the epoch, or seconds from now: **?**)."""
        if remain is None or not _is_count(remain):
            return
        self.remain = int(remain)
        if self.remain > REMAIN_LOW:
            return
        self.hold(_yield_s(expire, now_ms), now)


def _yield_s(expire: str | None, now_ms: int) -> float:
    if expire is None or not _is_count(expire):
        return YIELD_S
    number = int(expire)
    if number > 10**11:
        seconds = (number - now_ms) / 1000
    elif number > 10**8:
        seconds = number - now_ms / 1000
    else:
        seconds = float(number)
    return min(max(seconds, YIELD_S), YIELD_S_MAX)


def _is_count(text: str) -> bool:
    """Say whether a header holds a number; `int` would take other digits than ASCII ones, or refuse very many."""
    digits = text.strip()
    return digits.isascii() and digits.isdigit() and len(text) <= 16
