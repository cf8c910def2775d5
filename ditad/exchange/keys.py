"""Listen keys: minted, renewed, expired, deleted (bingx.md §2). Pure; takes `now_ms`.

Truths held: a key lives sixty minutes from its creation or last renewal and not a millisecond more;
what happens to the sockets that stand on it is the streams' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from ditad.exchange.dialect import ListenKeyPost

KEY_LIFE_MS: Final = 60 * 60 * 1000
KEY_BITS: Final = 256
KEYS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenKey:
    """One key: whose it is and how long it lives."""

    text: str
    account: str
    expires_ms: int


class ListenKeys:
    """All keys of the exchange, living and dead; the dead are forgotten when the bound is reached."""

    def __init__(self, *, rng: Random, post: ListenKeyPost, life_ms: int = KEY_LIFE_MS) -> None:
        """Start without keys; `post` says whether a POST repeats the living key."""
        self._rng = rng
        self._post = post
        self._life_ms = life_ms
        self._keys: dict[str, ListenKey] = {}

    def create(self, account: str, now_ms: int) -> ListenKey:
        """Mint a key, or give the one in use where the dialect says so (its life starts anew)."""
        living = self.living(account, now_ms)
        if living and self._post is ListenKeyPost.SAME:
            return self._keep(replace(living[-1], expires_ms=now_ms + self._life_ms))
        while len(self._keys) >= KEYS_MAX:
            del self._keys[next(iter(self._keys))]
        text = f"{self._rng.getrandbits(KEY_BITS):064x}"
        return self._keep(ListenKey(text=text, account=account, expires_ms=now_ms + self._life_ms))

    def renew(self, text: str, account: str, now_ms: int) -> bool:
        """Extend a living key's life; False for one that is unknown, dead or somebody else's."""
        key = self._keys.get(text)
        if key is None or key.account != account or key.expires_ms <= now_ms:
            return False
        self._keep(replace(key, expires_ms=now_ms + self._life_ms))
        return True

    def delete(self, text: str, account: str, now_ms: int) -> bool:
        """End a key's life; False as in `renew`."""
        if not self.renew(text, account, now_ms):
            return False
        self.expire(text, now_ms)
        return True

    def expire(self, text: str, now_ms: int) -> None:
        """Let a key die now."""
        self._keep(replace(self._keys[text], expires_ms=now_ms))

    def find(self, text: str, now_ms: int) -> ListenKey | None:
        """Give a key that lives."""
        key = self._keys.get(text)
        return key if key is not None and key.expires_ms > now_ms else None

    def owner(self, text: str) -> str:
        """Say whose key this is or was; empty when nobody's."""
        key = self._keys.get(text)
        return key.account if key else ""

    def expires_ms(self, text: str) -> int:
        """Say until when a key lives or lived; 0 for one that nobody knows any more."""
        key = self._keys.get(text)
        return key.expires_ms if key else 0

    def living(self, account: str, now_ms: int) -> list[ListenKey]:
        """Give the account's living keys, oldest first."""
        return [k for k in self._keys.values() if k.account == account and k.expires_ms > now_ms]

    def _keep(self, key: ListenKey) -> ListenKey:
        self._keys[key.text] = key
        return key
