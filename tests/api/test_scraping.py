"""The port of loopback on which metrics are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ditad.api.rate import RateLimit
from ditad.api.scraping import ScrapeServer
from tests.support.running import WAIT_S_MAX

TEXT = b"# TYPE ditad_up gauge\nditad_up 1\n"


@asynccontextmanager
async def scraped(host: str = "127.0.0.1") -> AsyncIterator[ScrapeServer]:
    """Serve one metric on a free port."""
    server = ScrapeServer(lambda: TEXT)
    await server.start(host, 0)
    try:
        yield server
    finally:
        await server.stop()


async def ask(server: ScrapeServer, request: bytes) -> tuple[int, bytes]:
    """Send bytes and read the answer: its status, and all of it."""
    host, _, port = server.address.rpartition(":")
    async with asyncio.timeout(WAIT_S_MAX):
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(request)
        answer = await reader.read()
        writer.close()
    return int(answer.split(b" ")[1]), answer


def get(path: str, *, host: str = "127.0.0.1:9464", method: str = "GET") -> bytes:
    """Write a request."""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_metrics_are_answered(host: str) -> None:
    """In Prometheus' text format, over either family."""
    async with scraped(host) as server:
        status, answer = await ask(server, get("/metrics", host=server.address))
    assert 200 == status
    assert answer.endswith(TEXT)
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8" in answer


@pytest.mark.parametrize(
    ("path", "method"),
    [("/v1/metrics", "GET"), ("/v1/accounts", "GET"), ("/v1/accounts/main/adopt", "POST"), ("/metrics", "POST")],
)
async def test_there_is_nothing_else(path: str, method: str) -> None:
    """Neither accounts nor changes can be asked for here."""
    async with scraped() as server:
        assert 404 == (await ask(server, get(path, method=method)))[0]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:9464", 200),
        ("[::1]:9464", 200),
        ("[::1]", 200),
        ("rebound.example.org", 403),
        ("rebound.example.org:9464", 403),
        ("10.0.0.1:9464", 403),
        ("", 403),
    ],
)
async def test_a_page_that_calls_itself_otherwise_is_refused(host: str, status: int) -> None:
    """A web page in a browser of this machine reaches loopback by a name of its own, and is told nothing."""
    async with scraped() as server:
        assert status == (await ask(server, get("/metrics", host=host)))[0]


async def test_who_calls_it_nothing_is_refused() -> None:
    """No name is made up, or looked up, for who gives none."""
    async with scraped() as server:
        assert 403 == (await ask(server, b"GET /metrics HTTP/1.0\r\n\r\n"))[0]


async def test_a_flood_is_told_to_wait() -> None:
    """Scrapes have a rate, whoever they are of."""
    async with scraped() as server:
        server._rate = RateLimit(per_s=0.001, burst=2)
        assert [200, 200, 429] == [(await ask(server, get("/metrics")))[0] for _ in range(3)]


async def test_an_address_that_is_taken_is_an_error() -> None:
    """Who cannot have the port says so, and has nothing to stop."""
    async with scraped() as server:
        host, _, port = server.address.rpartition(":")
        other = ScrapeServer(lambda: TEXT)
        with pytest.raises(OSError, match="use"):
            await other.start(host, int(port))
        await other.stop()
        assert 200 == (await ask(server, get("/metrics")))[0]
