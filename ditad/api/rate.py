"""How often one uid may ask: a bucket of permissions that fills with time.

What enters: the uid and monotonic time. What leaves: whether to answer. What holds: one uid's flood leaves the others'
buckets as they were; at most `UIDS_MAX` buckets are kept, the least recently used one is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

REQUESTS_PER_S: Final = 200.0
BURST: Final = 1_000.0
UIDS_MAX: Final = 64


class RateLimit:
    """A token bucket per uid."""

    def __init__(self, *, per_s: float = REQUESTS_PER_S, burst: float = BURST) -> None:
        """Allow `burst` at once and `per_s` in the long run."""
        self._per_s = per_s
        self._burst = burst
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def allows(self, uid: int, now_mono: float) -> bool:
        """Take one permission, or say that there is none left."""
        tokens, since_mono = self._buckets.pop(uid, (self._burst, now_mono))
        tokens = min(self._burst, tokens + (now_mono - since_mono) * self._per_s)
        allowed = tokens >= 1
        self._buckets[uid] = (tokens - 1 if allowed else tokens, now_mono)
        if len(self._buckets) > UIDS_MAX:
            self._buckets.popitem(last=False)
        return allowed
