"""Where the roads lead, and where they do not: hosts, calls, redirections, certificates."""

from __future__ import annotations

import ast
import asyncio
import logging
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp
import pytest
import yarl
from aiohttp import web
from websockets.exceptions import WebSocketException

import ditad.bingx
from ditad.bingx.calls import CALLS
from ditad.bingx.network import QUIET, Confined, Internet, Received, failure
from ditad.exchange import AccountSpec, Reply, Request, SimulatedExchange, trade
from tests.bingx.scripted_venue import ScriptedVenue
from tests.support.process import FAST
from tests.support.running import running, settings_of, short_folder

READINGS = {
    "server/time",
    "quote/contracts",
    "account/apiPermissions",
    "positionSide/dual",
    "trade/assetMode",
    "trade/leverage",
    "user/balance",
    "user/positions",
    "user/commissionRate",
    "user/income",
    "trade/order",
    "trade/openOrders",
    "trade/allOrders",
    "trade/forceOrders",
    "trade/fillHistory",
    "trade/allFillOrders",
}
"""What is read, by the last two words of its path. Written here a second time on purpose: a new call wants two hands."""

LISTEN_KEY_PATH = "/openApi/user/auth/userDataStream"
REST, STREAM = "https://rest.example.org", "wss://stream.example.org/swap-market"
PACKAGE = Path(ditad.bingx.__file__).parent


def asked_for(path: Path) -> set[str]:
    """Give every text of a module that looks like a path of the exchange."""
    texts = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {
        text for text in texts if text.startswith(("/openApi/", "/swap/", "/v1/", "/v2/", "/v3/", "/user/", "/spot"))
    }


# ---- what can be asked ------------------------------------------------------------------------------------------------


def test_the_calls_are_readings_and_listen_keys() -> None:
    """GET and known readings, or a listen key; nothing that places, moves, changes or takes away."""
    got = {path for method, path in CALLS if method == "GET"}
    assert READINGS == {"/".join(path.rsplit("/", 2)[1:]) for path in got}
    assert {("POST", LISTEN_KEY_PATH), ("PUT", LISTEN_KEY_PATH)} == {call for call in CALLS if call[0] != "GET"}
    assert [] == [
        path for path in got if any(word in path.lower() for word in ("withdraw", "transfer", "spot", "cancel"))
    ]


def test_every_path_in_the_package_is_one_of_the_calls() -> None:
    """Each path written anywhere in the border is a call, and each call is written somewhere: no path is made of pieces."""
    known = {path for _, path in CALLS}
    written = {
        text if text.startswith("/openApi") else f"/openApi{text}"
        for module in PACKAGE.glob("*.py")
        if module.name != "calls.py"
        for text in asked_for(module)
    }
    assert known == written


OTHER_ROADS = {
    "tell/webhook.py": "its own test holds it to one address and one method",
    "doctor/knocking.py": "at `metrics_listen`, which the settings hold to loopback",
}
"""Who else asks over HTTP, and what holds them."""


def test_the_package_names_no_method_but_these() -> None:
    """Of HTTP's methods the border writes GET, POST and PUT, and nobody else asks over HTTP but the operator's webhook, and
    the doctor, which is no part of the daemon, the metrics' own port.
    """
    methods = {"GET", "POST", "PUT", "DELETE", "PATCH"}
    for module in PACKAGE.parent.rglob("*.py"):
        name = module.relative_to(PACKAGE.parent).as_posix()
        tree = ast.parse(module.read_text())
        found = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in methods}
        if name in {"bingx/rest.py", "bingx/calls.py"}:
            assert found <= {"GET", "POST", "PUT"}, name
        elif name.startswith("bingx/"):
            assert set() == found, name
        uses = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name in {"aiohttp", "urllib.request", "http.client", "requests", "websockets"}
        }
        if name in OTHER_ROADS:
            assert {"aiohttp"} == uses, name
        elif not name.startswith(("bingx/", "api/", "exchange/", "cli/")):
            assert set() == uses, name


class Open:
    """Roads that lead anywhere, and say where they were asked to lead."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def http(self, answer_s: float) -> Open:
        """Prepare."""
        assert answer_s > 0
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def request(self, method: str, url: yarl.URL, headers: Mapping[str, str]) -> Received:
        """Note the request."""
        self.asked.append(f"{method} {url}")
        return Received(status=200, headers=headers, body=b"")

    def dial(self, url: str, frame_bytes_max: int) -> Open:
        """Note the connection."""
        assert frame_bytes_max > 0
        self.asked.append(url)
        return self


@pytest.mark.parametrize("base", [REST, f"{REST}/below"])
async def test_every_call_passes_to_its_host(base: str) -> None:
    """All calls, with their questions, and a fallback host's as well; also where the exchange stands below a path."""
    roads = Open()
    http = Confined(roads, rest_urls=(base, "https://other.example.org"), ws_url=STREAM).http(1.0)  # type: ignore[arg-type]
    for method, path in CALLS:
        for host in (base, "https://other.example.org"):
            await http.request(method, yarl.URL(f"{host}{path}?a=1&signature=x", encoded=True), {})
    assert 2 * len(CALLS) == len(roads.asked)


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", f"{REST}/openApi/swap/v2/trade/order"),
        ("DELETE", f"{REST}/openApi/swap/v2/trade/order"),
        ("DELETE", f"{REST}{LISTEN_KEY_PATH}"),
        ("POST", f"{REST}/openApi/swap/v2/trade/leverage"),
        ("GET", f"{REST}/openApi/wallets/v1/capital/withdraw/apply"),
        ("GET", f"{REST}/openApi/swap/v2/user/balance/"),
        ("GET", f"{REST}/openApi/swap/v2/user/%62alance"),
        ("GET", f"{REST}/openApi/swap/v2/user/../trade/order"),
        ("GET", "http://rest.example.org/openApi/swap/v2/user/balance"),
        ("GET", "https://rest.example.org:8443/openApi/swap/v2/user/balance"),
        ("GET", "https://rest.example.org.evil.example/openApi/swap/v2/user/balance"),
        ("GET", "https://evil.example/openApi/swap/v2/user/balance"),
    ],
)
async def test_no_other_call_leaves(method: str, url: str) -> None:
    """An order, a withdrawal, another host, port or scheme, a path written otherwise: stopped on our side of the road."""
    roads = Open()
    http = Confined(roads, rest_urls=(REST,), ws_url=STREAM).http(1.0)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="is no call that is ever made"):
        await http.request(method, yarl.URL(f"{url}?signature=s3cret", encoded=True), {})
    assert [] == roads.asked


@pytest.mark.parametrize(
    "url", ["wss://stream.example.org/other", "wss://evil.example/swap-market", "ws://stream.example.org/swap-market"]
)
def test_no_other_stream_is_opened(url: str) -> None:
    """Only the configured one, with whatever listen key; the refusal does not show the key."""
    roads = Open()
    confined = Confined(roads, rest_urls=(REST,), ws_url=STREAM)  # type: ignore[arg-type]
    confined.dial(f"{STREAM}?listenKey=abc", 1)
    with pytest.raises(AssertionError) as refused:
        confined.dial(f"{url}?listenKey=s3cret", 1)
    assert ([f"{STREAM}?listenKey=abc"], False) == (roads.asked, "s3cret" in str(refused.value))


# ---- redirections and certificates ------------------------------------------------------------------------------------


async def test_a_redirection_is_an_answer_and_not_followed() -> None:
    """The other place is never asked, over HTTP or by a stream's handshake."""
    visited: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        visited.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with served(elsewhere) as port:
        async with Internet().http(5.0) as http:
            answer = await http.request("GET", yarl.URL(f"http://127.0.0.1:{port}/a"), {})
        assert (307, ["/a"]) == (answer.status, visited)
        with pytest.raises(WebSocketException) as refused:
            async with Internet().dial(f"ws://127.0.0.1:{port}/b", 1_000):
                pass
    assert (["/a", "/b"], "the handshake was answered HTTP 307") == (visited, failure(refused.value))


@asynccontextmanager
async def served(handler: object, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on a free port of loopback."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    assert isinstance(site._server, asyncio.Server)
    try:
        yield site._server.sockets[0].getsockname()[1]
    finally:
        await runner.cleanup()


SELF_SIGNED = """\
-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUTgB48/9M/pZSlsEoYPK+NEFO1aIwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzAyMTYzN1oYDzIxMjYxMDMw
MDIxNjM3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQQfGQW/ki907Owrq+CthZwPGRUFy90lhz54mS2dWoSFepyK1UafAKU
EE1KL9O1tcwObR9RGg5t2eKjWxYu5a0go2kwZzAdBgNVHQ4EFgQUZ9UNNqe3a5Gm
rRNgusN9ywOpoOEwHwYDVR0jBBgwFoAUZ9UNNqe3a5GmrRNgusN9ywOpoOEwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIgAKr5/rEwuntqzVwSJVAprUhKmXSbQE+LswOQ0VhjUQQCIQCxWDwChkDv
0PO4x9waaR1q1817IgvnwTMc56EiEB0C7w==
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZyezlJFOHwSsorF2
afAduhEEVXuiTz0a3wXxUDAXELKhRANCAAQQfGQW/ki907Owrq+CthZwPGRUFy90
lhz54mS2dWoSFepyK1UafAKUEE1KL9O1tcwObR9RGg5t2eKjWxYu5a0g
-----END PRIVATE KEY-----
"""
"""Of `localhost`, signed by itself: nobody has a reason to believe it. Its key protects nothing."""


async def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    """Neither road goes on without a certificate that this machine trusts, and none sends a byte of the question."""
    visited: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        visited.append(request.path)
        return web.Response()

    pair = tmp_path / "pair.pem"
    pair.write_text(SELF_SIGNED)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    async with served(answer, context) as port:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            async with Internet().http(5.0) as http:
                await http.request("GET", yarl.URL(f"https://localhost:{port}/a"), {})
        with pytest.raises(ssl.SSLCertVerificationError):
            async with Internet().dial(f"wss://localhost:{port}/b?listenKey=x", 1_000):
                pass
    assert [] == visited


async def test_the_environments_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would be another host, and would see where we go."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with ScriptedVenue() as venue, Internet().http(5.0) as http:
        assert 200 == (await http.request("GET", yarl.URL(venue.rest_url), {})).status
        async with Internet().dial(venue.ws_url, 1_000):
            pass


async def test_the_libraries_log_nothing_of_a_handshake(caplog: pytest.LogCaptureFixture) -> None:
    """Their debug log would show the URL, and with it the listen key."""
    caplog.set_level(logging.DEBUG)
    async with ScriptedVenue() as venue, Internet().dial(f"{venue.ws_url}?listenKey=s3cret", 1_000) as connection:
        await connection.close()
    told = [
        record.getMessage() for record in caplog.records if record.name != "aiohttp.access"
    ]  # the test's own server
    assert (True, []) == (QUIET.disabled, [line for line in told if "s3cret" in line])


async def test_a_whole_life_asks_nothing_else() -> None:
    """A start, trading, a lost stream, a dead key, an audit: every request is one of the calls, and most calls are made."""
    asked: set[tuple[str, str]] = set()
    folder = short_folder()
    async with SimulatedExchange(seed=51, accounts=[AccountSpec(name="main")]) as exchange:
        answer = exchange.core.rest

        def observed(request: Request) -> Reply:
            asked.add((request.method, request.path))
            return answer(request)

        exchange.core.rest = observed  # type: ignore[method-assign]  # the one place all questions pass
        async with running(settings_of(folder, exchange, FAST)) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            await trade(exchange, "main", actions=15, seed=3)
            exchange.expire_key("main")
            exchange.cut("main")
            await exchange.wait_connected("main")
            daemon.daemon.accounts["main"].feed.request_audit()
            await daemon.now(lambda seen: seen["reconcile"]["status"] == "OK" and seen["coverage"]["state"] == "live")
    shutil.rmtree(folder)
    assert set() == asked - CALLS
    assert len(asked) > len(CALLS) // 2
