"""Asking on this machine where somebody else may answer, and opening journals that a daemon is closing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from ditad.doctor.knocking import METRICS_BYTES_MAX, journal_facts, metrics_problem
from ditad.journal import Journal, journal_path

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[tuple[str, int]]:
    """Serve on a free port of loopback; gives the address."""
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0]
    finally:
        await runner.cleanup()


async def test_of_who_answers_without_end_the_beginning_is_read() -> None:
    """Whoever has the port instead of the daemon cannot fill our memory."""

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * METRICS_BYTES_MAX)

    async with served(flood) as address:
        assert "status 200, and not of ditad" == await metrics_problem(address)


async def test_who_sends_us_elsewhere_is_not_followed() -> None:
    """The metrics are where the settings say, or they are not answered."""
    asked: list[str] = []

    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/ditad_"})

    async with served(elsewhere) as address:
        assert "status 302, and not of ditad" == await metrics_problem(address)
    assert ["/metrics"] == asked


@pytest.mark.parametrize(("status", "expected"), [(200, ""), (503, "status 503, and not of ditad")])
async def test_metrics_that_name_ditad_are_its_own(status: int, expected: str) -> None:
    """With the status of an answer."""

    async def metrics(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, body=b"# HELP ditad_build_info Which ditad this is.\n")

    async with served(metrics) as address:
        assert expected == await metrics_problem(address)


def test_a_journal_of_another_environment_is_seen(tmp_path: Path) -> None:
    """Before a start refuses it."""
    Journal.open(tmp_path, "main", environment="vst").abandon()
    assert "begun on environment vst" in journal_facts(tmp_path, "main", "live").elsewhere
    assert "" == journal_facts(tmp_path, "main", "vst").elsewhere


def test_a_file_that_a_daemon_takes_away_meanwhile_is_not_counted(tmp_path: Path) -> None:
    """It was listed, and is gone when it is measured."""
    Journal.open(tmp_path, "main").abandon()
    path = journal_path(tmp_path, "main")
    path.with_name(f"{path.name}-gone").symlink_to(tmp_path / "nowhere")
    facts = journal_facts(tmp_path, "main", "live")
    assert (True, ()) == (facts.whole, facts.problems)
    assert facts.bytes >= path.stat().st_size
