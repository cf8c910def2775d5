"""The signature of a request, as the exchange checks it.

What enters: parameters as text, the secret. What leaves: the query string with its signature.
What holds: the signed string is the raw ``k=v`` pairs sorted by name; values are URL-encoded only in what is sent
(bingx.md §5, Signing; the vectors in the exchange's own documents are wrong, ours is in the tests).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

RECV_WINDOW_MS = 5000


def canonical(parameters: Mapping[str, str]) -> str:
    """Join the parameters as they are signed: sorted by name, values raw."""
    return "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))


def signature(text: str, secret: str) -> str:
    """Give HMAC-SHA256 of the text under the secret, in lower-case hex."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def signed_query(parameters: Mapping[str, str], secret: str, timestamp_ms: int) -> str:
    """Give the query string to send: all parameters, `timestamp` (the exchange's ms), `recvWindow`, `signature`."""
    complete = {**parameters, "timestamp": str(timestamp_ms), "recvWindow": str(RECV_WINDOW_MS)}
    encoded = "&".join(f"{name}={quote(complete[name], safe='')}" for name in sorted(complete))
    return f"{encoded}&signature={signature(canonical(complete), secret)}"


def plain_query(parameters: Mapping[str, str]) -> str:
    """Give the query string of a question that needs no key."""
    return "&".join(f"{name}={quote(parameters[name], safe='')}" for name in sorted(parameters))
