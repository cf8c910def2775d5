"""Asking the exchange over real HTTP on loopback, with time handed in."""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import structlog

from ditad.bingx import rest as rest_module
from ditad.bingx.answer import KeyUnknownError
from ditad.bingx.network import ANSWER_BYTES_MAX, Internet
from ditad.bingx.options import Credentials, Hosts
from ditad.bingx.rest import ATTEMPTS_MAX, NetworkError, Rest
from ditad.bingx.sign import canonical, signature
from ditad.errors import VenueError, VenueFatalError
from tests.bingx.scripted_venue import KEY_PATH, TIME_PATH, Asked, Reply, ScriptedVenue

API_KEY = "the-api-key-of-the-tests"
SECRET = "a-secret-for-tests-only"
LISTEN_KEY = "0123456789abcdef" * 4
PATH = "/openApi/swap/v2/user/balance"
START_US = 1_700_000_000_000_000


@dataclass
class HandClock:
    """A clock that stands still but for what is slept."""

    us: int = START_US
    slept: list[float] = field(default_factory=list)

    def now_us(self) -> int:
        """Give the time."""
        return self.us

    def mono_s(self) -> float:
        """Give the time in seconds."""
        return self.us / 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.slept.append(seconds)
        self.us += int(seconds * 1_000_000)


@asynccontextmanager
async def client(venue: ScriptedVenue, clock: HandClock, **hosts: str) -> AsyncIterator[Rest]:
    """Give a client of the scripted venue."""
    urls = {"rest_url": venue.rest_url, "ws_url": venue.ws_url, **hosts}
    async with Rest(
        hosts=Hosts(**urls),
        credentials=Credentials(api_key=API_KEY, api_secret=SECRET),
        requests_per_s=1000.0,
        network=Internet(),
        clock=clock,
        random=random.Random(1),  # noqa: S311 - jitter is no secret
        log=structlog.get_logger(),
        sleep=clock.sleep,
    ) as rest:
        yield rest


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_question_is_signed_as_the_exchange_checks_it() -> None:
    """The signature covers the raw values, the key is in its header."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[PATH] = [Reply(data={"x": 1})]
        answer = await rest.get("/swap/v2/user/balance", {"symbol": "BTC-USDT"}, what="balance")
    (asked,) = venue.asked
    sent = dict(asked.query)
    assert sent.pop("signature") == signature(canonical(sent), SECRET)
    assert sent == {"symbol": "BTC-USDT", "recvWindow": "5000", "timestamp": "1700000000000"}
    assert API_KEY == asked.headers["X-BX-APIKEY"]
    assert answer.data == {"x": 1}
    assert (START_US, START_US // 1000) == (answer.asked_us, answer.asked_ms)


async def test_an_answer_that_repeats_our_secrets_is_taken_without_them() -> None:
    """Some answers name the key, and answers are journaled: neither data nor bytes hold it, or the secret."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[PATH] = [Reply(data={"apiKey": API_KEY, "note": f"of {SECRET}"})]
        answer = await rest.get("/swap/v2/user/balance", {}, what="balance")
    assert {"apiKey": "***", "note": "of ***"} == answer.data
    assert [False, False] == [text.encode() in answer.raw + rest.last_raw for text in (API_KEY, SECRET)]


async def test_a_public_question_names_no_key() -> None:
    """What needs no authentication is not signed."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[PATH] = [Reply(data=[])]
        await rest.get("/swap/v2/user/balance", {}, what="x", signed=False)
    (asked,) = venue.asked
    assert asked.query == {}
    assert "X-BX-APIKEY" not in asked.headers


async def test_the_exchanges_clock_is_followed() -> None:
    """Timestamps are on its clock once it has been measured."""
    clock = HandClock()
    async with ScriptedVenue() as venue, client(venue, clock) as rest:
        venue.scripts[TIME_PATH] = [Reply(data={"serverTime": "1700000007000"})]
        venue.scripts[PATH] = [Reply(data=[])]
        assert await rest.sync_clock() == 7000
        await rest.get("/swap/v2/user/balance", {}, what="x")
    assert venue.asked[-1].query["timestamp"] == "1700000007000"


@pytest.mark.parametrize(
    ("took_ms", "offset_ms"),
    [((2_000, 100), 6_950), ((2_000, 800, 600, 900), 6_700), ((100,), 6_950)],
    ids=["a slow answer, then a quick one", "none is quick", "a quick one"],
)
async def test_the_quickest_answer_tells_the_time(took_ms: tuple[int, ...], offset_ms: int) -> None:
    """Half of its way is all that stays open; after some slow ones the best of them counts."""
    clock = HandClock()
    async with ScriptedVenue() as venue, client(venue, clock) as rest:
        left = list(took_ms)

        def answered(_: Asked) -> Reply:
            server_ms = clock.us // 1_000 + 7_000
            clock.us += left.pop(0) * 1_000
            return Reply(data={"serverTime": server_ms})

        venue.scripts[TIME_PATH] = answered
        assert offset_ms == await rest.sync_clock()
    assert [] == left


@pytest.mark.parametrize("reply", [Reply(code=100421), Reply(code="109400", msg="Timestamp for this request")])
async def test_a_wrong_timestamp_is_measured_and_asked_again(reply: Reply) -> None:
    """The clock's offset is found anew, once, between two attempts."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[TIME_PATH] = [Reply(data={"serverTime": 1700000007000})]
        venue.scripts[PATH] = [reply, Reply(data=[5])]
        answer = await rest.get("/swap/v2/user/balance", {}, what="x")
    assert answer.data == [5]
    assert [f"GET {PATH}", f"GET {TIME_PATH}", f"GET {PATH}"] == venue.paths()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(code=100500),
        Reply(code="80012"),
        Reply(code=101214),
        Reply(status=504, body=b"<html>gateway</html>"),
        Reply(body=b'{"code":0,"da'),
        Reply(body=b'{"code":0,"da', close=True),
        Reply(body=b"<html>", headers={"Content-Type": "text/html"}),
    ],
)
async def test_what_may_pass_is_asked_again_with_growing_pauses(reply: Reply) -> None:
    """Three failures are followed by an answer; the pauses grow and are jittered."""
    clock = HandClock()
    async with ScriptedVenue() as venue, client(venue, clock) as rest:
        venue.scripts[PATH] = [reply, reply, reply, Reply(data=[5])]
        answer = await rest.get("/swap/v2/user/balance", {}, what="x")
    assert answer.data == [5]
    assert len(venue.asked) == 4
    pauses = [pause for pause in clock.slept if pause > 0.01]
    assert 0.125 <= pauses[0] <= 0.25 <= pauses[1] <= 0.5 <= pauses[2] <= 1.0
    assert rest.failures == {"x": 3}


async def test_asking_again_has_an_end() -> None:
    """After the last attempt the failure is told, and nothing is known."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[PATH] = [Reply(code=100500, msg="busy")]
        with pytest.raises(VenueError, match="100500 busy"):
            await rest.get("/swap/v2/user/balance", {}, what="balance")
    assert len(venue.asked) == ATTEMPTS_MAX


@pytest.mark.parametrize("reply", [Reply(code=100413), Reply(code=109421), Reply(code=100004)])
async def test_what_cannot_pass_is_asked_once(reply: Reply) -> None:
    """A wrong key does not become right by asking."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[PATH] = [reply]
        with pytest.raises(VenueError):
            await rest.get("/swap/v2/user/balance", {}, what="balance")
    assert len(venue.asked) == 1


@pytest.mark.parametrize("reply", [Reply(status=429, body=b""), Reply(code=100410), Reply(code="109429")])
async def test_a_limit_is_waited_for_before_anything_else_is_asked(reply: Reply) -> None:
    """The bot shares our limits: all questions wait."""
    clock = HandClock()
    async with ScriptedVenue() as venue, client(venue, clock) as rest:
        venue.scripts[PATH] = [reply, reply, Reply(data=[5])]
        await rest.get("/swap/v2/user/balance", {}, what="x")
    assert 6.0 <= sum(clock.slept) < 10.0
    assert len(venue.asked) == 3


async def test_a_limit_met_while_a_question_waits_for_its_turn_holds_it_too() -> None:
    """It was given its moment before another one was limited; at that moment it looks again."""
    clock = HandClock()
    async with ScriptedVenue() as venue, client(venue, clock) as rest:
        venue.scripts[f"POST {KEY_PATH}"] = [Reply(status=429, body=b"")]
        venue.scripts[PATH] = [Reply(data=[]), Reply(data=[])]
        passes = clock.sleep
        sent: list[int] = []

        async def meanwhile(seconds: float) -> None:
            if not clock.slept:
                clock.slept.append(seconds)
                with pytest.raises(VenueError):
                    await rest.issue_key()
                sent.append(len(venue.questions(PATH)))
                clock.us += int(seconds * 1_000_000)
            else:
                await passes(seconds)

        rest._sleep = meanwhile
        await rest.get("/swap/v2/user/balance", {}, what="x")
        await rest.get("/swap/v2/user/balance", {}, what="x")
    assert [1] == sent
    assert 2 == len(clock.slept)
    assert 1.9 <= sum(clock.slept) < 3.0


async def test_during_a_ban_nothing_is_sent() -> None:
    """A question that would have to wait for minutes fails at once, and is the audit's to ask again."""
    clock = HandClock()
    async with ScriptedVenue() as venue, client(venue, clock) as rest:
        venue.scripts[PATH] = [Reply(status=418, body=b"")]
        with pytest.raises(VenueError, match="limits our requests for 1") as caught:
            await rest.get("/swap/v2/user/balance", {}, what="x")
        assert caught.value.retry_after_s > 100
        assert len(venue.asked) == 1
        with pytest.raises(VenueError, match="limits our requests"):
            await rest.issue_key()
    assert len(venue.asked) == 1
    assert sum(clock.slept) < 10


async def test_it_yields_when_the_shared_allowance_runs_low() -> None:
    """`X-RateLimit-Requests-Remain` near 0 puts the next question off."""
    clock = HandClock()
    async with ScriptedVenue() as venue, client(venue, clock) as rest:
        venue.scripts[PATH] = [Reply(data=[], headers={"X-RateLimit-Requests-Remain": "2"}), Reply(data=[])]
        await rest.get("/swap/v2/user/balance", {}, what="x")
        await rest.get("/swap/v2/user/balance", {}, what="x")
    assert clock.slept == [1.0]


async def test_a_redirection_is_not_followed() -> None:
    """Only configured hosts get signed questions."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[PATH] = [Reply(status=302, body=b"", headers={"Location": "/openApi/elsewhere"})]
        with pytest.raises(VenueError, match="HTTP 302"):
            await rest.get("/swap/v2/user/balance", {}, what="x")
    assert venue.paths() == [f"GET {PATH}"]


async def test_an_answer_beyond_the_bound_is_not_read() -> None:
    """Neither a long one nor one that inflates."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[PATH] = [Reply(body=b" " * (ANSWER_BYTES_MAX + 1))]
        with pytest.raises(VenueError, match="more than"):
            await rest.get("/swap/v2/user/balance", {}, what="x")
        venue.scripts[PATH] = [Reply(body=gzip.compress(b" " * (ANSWER_BYTES_MAX + 1)))]
        with pytest.raises(VenueError, match="inflates beyond"):
            await rest.get("/swap/v2/user/balance", {}, what="x")


async def test_an_answer_may_come_compressed() -> None:
    """It is inflated within the bound."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[PATH] = [Reply(body=gzip.compress(b'{"code":0,"data":[0.10]}'))]
        answer = await rest.get("/swap/v2/user/balance", {}, what="x")
    assert answer.data == ["0.10"]
    assert answer.raw == b'{"code":0,"data":[0.10]}'


async def test_the_other_host_is_asked_when_the_network_fails() -> None:
    """And only then: an error of the exchange's is no failure of the network."""
    async with ScriptedVenue() as venue:
        dead = f"http://127.0.0.1:{free_port()}"
        async with client(venue, HandClock(), rest_url=dead, rest_fallback_url=venue.rest_url) as rest:
            venue.scripts[PATH] = [Reply(data=[5])]
            assert (await rest.get("/swap/v2/user/balance", {}, what="x")).data == [5]
        async with client(venue, HandClock(), rest_fallback_url=dead) as rest:
            venue.scripts[PATH] = [Reply(code=100500)]
            with pytest.raises(VenueError, match="100500"):
                await rest.get("/swap/v2/user/balance", {}, what="x")
    assert len(venue.asked) == 1 + ATTEMPTS_MAX


async def test_an_unreachable_host_is_told_without_a_url() -> None:
    """Neither the message nor the traceback holds a key, a secret or a signature."""
    async with ScriptedVenue() as venue:
        dead = f"http://127.0.0.1:{free_port()}"
        async with client(venue, HandClock(), rest_url=dead) as rest:
            with pytest.raises(NetworkError) as caught:
                await rest.renew_key(LISTEN_KEY)
    text = "".join(traceback.format_exception(caught.value, chain=True))
    assert "cannot be reached" in text
    for secret in (LISTEN_KEY, API_KEY, SECRET, "signature="):
        assert secret not in text


async def test_an_answer_that_is_no_http_is_told_without_a_url() -> None:
    """The library's own error names the URL, and with it key and signature: its text goes nowhere."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 two hundred\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server, ScriptedVenue() as venue:
        port = server.sockets[0].getsockname()[1]
        async with client(venue, HandClock(), rest_url=f"http://127.0.0.1:{port}") as rest:
            with pytest.raises(NetworkError) as caught:
                await rest.renew_key(LISTEN_KEY)
    text = "".join(traceback.format_exception(caught.value, chain=True))
    for secret in (LISTEN_KEY, API_KEY, SECRET, "signature="):
        assert secret not in text


async def test_a_listen_key_is_got_and_renewed() -> None:
    """POST and PUT on one path, both signed; a renewal's empty answer is a success."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[f"POST {KEY_PATH}"] = [Reply(body=b'{"listenKey":"' + LISTEN_KEY.encode() + b'"}')]
        venue.scripts[f"PUT {KEY_PATH}"] = [Reply(body=b""), Reply(status=404, body=b"")]
        assert LISTEN_KEY == await rest.issue_key()
        await rest.renew_key(LISTEN_KEY)
        with pytest.raises(KeyUnknownError):
            await rest.renew_key(LISTEN_KEY)
    assert ["POST", "PUT", "PUT"] == [asked.method for asked in venue.asked]
    assert LISTEN_KEY == venue.asked[1].query["listenKey"]


async def test_a_key_call_with_a_wrong_timestamp_is_asked_once_more() -> None:
    """Also there the clock is measured in between; other failures are the session's."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[TIME_PATH] = [Reply(data={"serverTime": 1700000007000})]
        good = Reply(body=b'{"listenKey":"' + LISTEN_KEY.encode() + b'"}')
        venue.scripts[f"POST {KEY_PATH}"] = [Reply(code=100421), good, Reply(code=100413)]
        assert LISTEN_KEY == await rest.issue_key()
        with pytest.raises(VenueFatalError):
            await rest.issue_key()


async def test_a_clock_that_cannot_be_read_is_an_error() -> None:
    """A time that is none fails the question."""
    async with ScriptedVenue() as venue, client(venue, HandClock()) as rest:
        venue.scripts[TIME_PATH] = [Reply(data={"serverTime": "soon"})]
        with pytest.raises(VenueError, match="serverTime"):
            await rest.sync_clock()
    assert rest_module.TIME_PATH == TIME_PATH
