"""A telling to a real server on loopback: what it gets, and what becomes of it."""

from __future__ import annotations

import ast
import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from ditad.tell import webhook
from ditad.tell.hook import HookError
from ditad.tell.webhook import Webhook
from tests.bingx.test_network import SELF_SIGNED

SECRET = "Bearer s3cret-s3cret"
TELLING = b'{"account":"main","seq":7}\n'
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """Serve on a free port of loopback; gives the address."""
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_it_gets_the_telling() -> None:
    """By one POST to the very address, slash and all, with the header and a key to tell repetitions by."""
    got: list[tuple[str, str, bytes, dict[str, str]]] = []

    async def take(request: web.BaseRequest) -> web.Response:
        got.append((request.method, request.path_qs, await request.read(), dict(request.headers)))
        return web.Response(status=204)

    async with served(take) as url:
        hook = Webhook(f"{url}/a%2Fb/", headers={"Authorization": SECRET}, timeout_s=10)
        await hook.tell(TELLING, key="main:7")
    ((method, path, body, headers),) = got
    assert ("POST", "/a%2Fb/", TELLING) == (method, path, body)
    expected = {"Authorization": SECRET, "Content-Type": "application/json", "Idempotency-Key": "main:7"}
    assert expected == {name: headers[name] for name in expected}
    assert ("127.0.0.1", True) == (hook.name, SECRET not in repr(hook))


@pytest.mark.parametrize(
    ("status", "again"), [(301, False), (302, False), (400, False), (404, False), (408, True), (429, True), (503, True)]
)
async def test_anything_but_2xx_is_a_refusal(status: int, again: bool) -> None:
    """A redirection too: it is not followed. Trying again helps where the answer says so."""
    asked: list[str] = []

    async def refuse(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with served(refuse) as url:
        with pytest.raises(HookError, match=f"127.0.0.1 answered with status {status}$") as refused:
            await Webhook(f"{url}/hook", headers={}, timeout_s=10).tell(TELLING, key="k")
    assert (again, ["/hook"]) == (refused.value.again, asked)


async def test_one_that_does_not_answer_is_given_its_time() -> None:
    """And no more."""
    free = asyncio.Event()

    async def hang(_: web.BaseRequest) -> web.Response:
        await free.wait()
        return web.Response()

    async with served(hang) as url:
        with pytest.raises(HookError, match=r"did not answer within 0\.05 s") as refused:
            await Webhook(f"{url}/hook", headers={}, timeout_s=0.05).tell(TELLING, key="k")
        free.set()
    assert refused.value.again


async def test_nobody_there_is_said_without_the_address() -> None:
    """Its path may be a secret."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(HookError, match=r"127.0.0.1 is not reached \(Connection refused\)$") as refused:
            await Webhook(f"http://127.0.0.1:{port}/s3cret", headers={}, timeout_s=10).tell(TELLING, key="k")
    assert (True, False) == (refused.value.again, "s3cret" in str(refused.value))


async def test_what_is_no_name_is_not_looked_up_again() -> None:
    """It is said, and trying again would not help."""
    with pytest.raises(HookError, match="is no name of a host") as refused:
        await Webhook(f"https://{'a' * 64}.example.org/", headers={}, timeout_s=10).tell(TELLING, key="k")
    assert not refused.value.again


async def test_a_name_that_is_not_resolved_is_said_to_be_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's number is none of the system's; another time it may know more."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(
        HookError, match=r"^hooks\.example\.org is not reached \(its name is not resolved\)$"
    ) as refused:
        await Webhook("https://hooks.example.org/s3cret", headers={}, timeout_s=10).tell(TELLING, key="k")
    assert refused.value.again


async def test_a_broken_answer_is_a_refusal() -> None:
    """What is no HTTP is said to be something that failed."""

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(rude, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(HookError, match="is not reached"):
            await Webhook(f"http://127.0.0.1:{port}/", headers={}, timeout_s=10).tell(TELLING, key="k")


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """Over https the receiver is who it says it is, or gets nothing."""
    pair = tmp_path / "pair.pem"
    pair.write_text(SELF_SIGNED)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    got: list[str] = []

    async def take(request: web.BaseRequest) -> web.Response:
        got.append(request.path)
        return web.Response()

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    try:
        with pytest.raises(HookError, match="certificate is not valid"):
            await Webhook(f"https://localhost:{port}/", headers={}, timeout_s=10).tell(TELLING, key="k")
    finally:
        await runner.cleanup()
    assert [] == got


def test_it_is_asked_of_one_address_with_one_method() -> None:
    """The road out has one call in it: a POST to the configured address, without redirects."""
    tree = ast.parse(Path(webhook.__file__).read_text())
    calls = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("session.", "aiohttp.request"))
    ]
    assert ["session.post(self._url, data=telling, headers=headers, allow_redirects=False)"] == calls
    assigned = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    assert ["self._url = yarl.URL(url, encoded=True)"] == [line for line in assigned if line.startswith("self._url")]
