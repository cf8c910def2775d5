"""The hostile requests, shortly, and that they would find what they look for; `python -m tests.hostile` sends many more."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from ditad.api import answering, server
from ditad.api.server import ApiServer
from tests.hostile.requests import peer
from tests.hostile.running import SECRET, run

PEERS = 600


async def test_no_hostile_request_does_any_harm(socket: Path) -> None:
    """Whatever is sent, by many at once: answers in the envelope, nothing logged, nothing left, nothing grown."""
    tally = await run(socket, seed=20_261_122, peers=PEERS)
    assert [] == tally.problems
    assert tally.peers == PEERS
    assert {"200", "400", "403", "404"} <= set(tally.answers)


def test_a_peer_can_be_made_again() -> None:
    """Seed and number are enough."""
    assert peer(3, 5) == peer(3, 5) != peer(3, 6)


async def test_our_own_fault_is_found(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that breaks in the making is a problem."""

    def broken(*_: object) -> bytes:
        raise KeyError("x")

    monkeypatch.setattr(answering, "_present", broken)
    assert (await run(socket, seed=1, peers=PEERS)).problems


async def test_a_leak_is_found(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that holds what is secret is a problem."""
    monkeypatch.setattr(server, "_headers", lambda: {"Ditad-Api-Version": "1", "X-Token": SECRET})
    assert any("was shown too much" in problem for problem in (await run(socket, seed=1, peers=PEERS)).problems)


async def test_growth_is_found(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that keeps what it is sent is a problem."""
    kept: list[bytes] = []
    handle = ApiServer._handle

    async def keeping(self: ApiServer, request: web.BaseRequest) -> object:
        kept.append(bytes(100_000))
        return await handle(self, request)

    monkeypatch.setattr(ApiServer, "_handle", keeping)
    assert any("memory grew" in problem for problem in (await run(socket, seed=1, peers=PEERS)).problems)
