"""A telling to a webhook: one POST of its line to one address, and 2xx for an answer.

What enters: the configured address, and a header whose value is a secret. What leaves: nothing, or `HookError` that
names neither the address nor the secret. What holds: verified TLS, no redirects, no proxy, no cookies, a bound of time;
of the answer the status alone is read. It is the only road out of the package besides that of `bingx`.
"""

from __future__ import annotations

import os
from typing import Final

import aiohttp
import yarl

from ditad.tell.hook import HookError

PASSING: Final = frozenset({408, 425, 429})
"""Of the refusals those that say to come again; all of 5xx are passing too."""

KEY_HEADER: Final = "Idempotency-Key"


class Webhook:
    """Posts each telling to one address."""

    def __init__(self, url: str, *, headers: dict[str, str], timeout_s: float) -> None:
        """`headers` are sent with each telling, and nowhere else."""
        self._url = yarl.URL(url, encoded=True)
        self._headers = headers
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        """Its host: the path may be a secret."""
        return str(self._url.host)

    async def tell(self, telling: bytes, *, key: str) -> None:
        """Post it; raises `HookError` unless it is answered 2xx in time."""
        headers = {"Content-Type": "application/json", "User-Agent": "ditad", KEY_HEADER: key, **self._headers}
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(self._url, data=telling, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError as exc:
            raise HookError(f"{self.name} did not answer within {self._timeout_s:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise HookError(f"{self.name} is not reached ({_failure(exc)})") from exc
        except UnicodeError as exc:  # of looking up what is no name
            raise HookError(f"{self.name} is no name of a host", again=False) from exc
        if not 200 <= status < 300:
            raise HookError(f"{self.name} answered with status {status}", again=status >= 500 or status in PASSING)


def _failure(exc: Exception) -> str:
    """Say what failed, in words that show no address."""
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not valid"
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "its name is not resolved"  # the number is the resolver's, no errno
    if isinstance(exc, aiohttp.ClientConnectorError):
        number = exc.os_error.errno  # its own words name addresses
        return os.strerror(number) if number else type(exc.os_error).__name__
    return type(exc).__name__
