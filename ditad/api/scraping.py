"""The port of loopback on which Prometheus asks, where the settings name one.

What enters: `GET /metrics` of whoever is on this machine. What leaves: the metrics, and nothing else: neither accounts
nor changes can be asked here. What holds: the bounds are those of the socket, and scrapes
have a rate of their own; a name that leads to this machine by
somebody else's doing, as a web page can make one (DNS rebinding), is refused by its `Host`.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Final

from aiohttp import hdrs, web

from ditad.api.answers import ErrorCode, Problem
from ditad.api.rate import RateLimit
from ditad.api.server import METRICS_TYPE, STOP_S_MAX, BoundedServer, error_response, response_of

CONNECTIONS_MAX: Final = 16
PATH: Final = "/metrics"
SCRAPES_PER_S: Final = 10.0
SCRAPES_BURST: Final = 50.0
"""Of everybody together: who they are is not known here. Beyond it they are told to wait."""

ANYBODY: Final = 0


class ScrapeServer:
    """Serves the metrics over TCP, from `start` to `stop`."""

    def __init__(self, metrics: Callable[[], bytes]) -> None:
        """Prepare; `metrics` gives the text at each scrape."""
        self._metrics = metrics
        self._rate = RateLimit(per_s=SCRAPES_PER_S, burst=SCRAPES_BURST)
        self._runner: web.ServerRunner | None = None
        self.address = ""

    async def start(self, host: str, port: int) -> str:
        """Listen, and give the address with the port that was taken; raises `OSError` where it cannot be had."""
        assert self._runner is None, "a server is started once"
        assert ipaddress.ip_address(host).is_loopback, "metrics are for this machine alone"
        runner = web.ServerRunner(
            BoundedServer(self._handle, connections_max=CONNECTIONS_MAX), shutdown_timeout=STOP_S_MAX
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        taken = runner.addresses[0][1]
        self.address = f"[{host}]:{taken}" if ":" in host else f"{host}:{taken}"
        return self.address

    async def stop(self) -> None:
        """End; one that never began has nothing to end."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not _is_here(request.headers.get(hdrs.HOST, "")):  # `request.host` makes one up where there is none
            return error_response(Problem(ErrorCode.FORBIDDEN, "ask this port by the address of loopback"))
        if request.method != "GET" or request.path != PATH:
            return error_response(
                Problem(ErrorCode.NOT_FOUND, f"GET {PATH} is all there is; the rest is on the socket")
            )
        if not self._rate.allows(ANYBODY, asyncio.get_running_loop().time()):
            return error_response(Problem(ErrorCode.RATE_LIMITED, "the metrics are asked for too often: wait a second"))
        return response_of(self._metrics(), METRICS_TYPE)


def _is_here(host: str) -> bool:
    """Say whether a `Host` header names loopback itself."""
    name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
