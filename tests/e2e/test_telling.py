"""Tell me: a real daemon, faults at the exchange, and a command and a webhook that hear of each change once."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from ditad.api.client import ApiClient
from ditad.exchange import AccountSpec, SimulatedExchange
from ditad.tell.news import News
from tests.api.fake_daemon import until
from tests.e2e.test_outages import SETTINGS
from tests.support.process import ditad, pause, write_settings
from tests.support.process import running as process
from tests.support.running import WAIT_S_MAX, Running, running, settings_of

HEADER = "Bearer pl4nted-s3cret-value"
APPEND = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"


def with_tell(settings: Path, lines: str) -> Path:
    """Add a table that says who is told, and let this user adopt."""
    settings.write_text(f"[tell]\n{lines}\n{settings.read_text()}")
    return settings


def told(out: Path) -> list[dict[str, Any]]:
    """Give what was told so far."""
    return [orjson.loads(line) for line in out.read_bytes().splitlines()] if out.exists() else []


async def until_told(out: Path, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """Wait until what was told is so; gives it."""
    found: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(WAIT_S_MAX):
            while not holds(found := told(out)):
                await pause(0.02)
    except TimeoutError:
        raise AssertionError(f"never told: {[(each['seq'], each['news']) for each in found]}") from None
    return found


def ended(found: list[dict[str, Any]]) -> bool:
    """Say whether every gap is over, and a divergence was adopted."""
    words = [each["news"] for each in found]
    return words.count("gap.opened") == words.count("gap.final") and words.count("divergence.adopted") == 1


async def due(daemon: Running) -> list[tuple[int, str]]:
    """Give what all records of this journal are to lead to, number and name."""
    raw = await daemon.client.ask("/v1/accounts/main/events?after_seq=0&type=divergence,gap")
    judge = News("main", least="WARN", told={})
    found = [judge.hear(line) for line in raw.splitlines() if orjson.loads(line)["type"] != "bookmark"]
    return [(telling.seq, telling.news) for telling in found if telling is not None]


async def test_a_command_hears_of_each_change_once(folder: Path) -> None:
    """A lost stream, money that is gone without a cause, a restart, an adoption: opened, confirmed, closed, each once."""
    out = folder / "told"
    async with SimulatedExchange(seed=8) as exchange:
        settings = with_tell(
            settings_of(folder, exchange, SETTINGS),
            f"command = {orjson.dumps([sys.executable, '-c', APPEND, str(out)]).decode()}",
        )
        settings.write_text(settings.read_text().replace("[daemon]\n", f"[daemon]\nadmin_uids = [{os.getuid()}]\n"))
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            exchange.cut("main")
            await until_told(out, lambda found: [each["news"] for each in found][-1:] == ["gap.final"])
            exchange.account("main").silent_change("-12.5")
            count = len(await until_told(out, lambda found: found[-1]["news"] == "divergence.confirmed"))
            teller = daemon.daemon.accounts["main"].teller
            assert teller is not None
            await until(lambda: teller.counts["delivered"] == count)  # what is under way at the end comes again
        async with running(settings) as daemon:
            await until_told(out, lambda found: found[-1]["news"] == "gap.final")
            await daemon.client.send("POST", "/v1/accounts/main/adopt", {"why": "ticket 7"})
            found = await until_told(out, ended)
            expected = await due(daemon)
    assert expected[: len(found)] == [(each["seq"], each["news"]) for each in found]
    assert 2 <= [each["news"] for each in found].count("gap.opened")
    confirmed = next(each for each in found if each["news"] == "divergence.confirmed")
    assert ("main", "ERROR", 0, "12.5") == (
        confirmed["account"],
        confirmed["severity"],
        confirmed["missed"],
        confirmed["divergence"]["delta"],
    )


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, list[tuple[dict[str, str], dict[str, Any]]], list[int]]]:
    """Serve a webhook on loopback; gives its address, what it got, and the statuses that it answers first."""
    got: list[tuple[dict[str, str], dict[str, Any]]] = []
    statuses: list[int] = []

    async def take(request: web.BaseRequest) -> web.Response:
        body = orjson.loads(await request.read())
        if statuses:
            return web.Response(status=statuses.pop(0))
        got.append((dict(request.headers), body))
        return web.Response()

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/t0p-s3cret-path", got, statuses
    finally:
        await runner.cleanup()


async def test_a_webhook_hears_it_too_and_the_log_hides_how(folder: Path) -> None:
    """With its secret header; a refusal is tried again, one for good is logged and counted; no log shows secret or path."""
    async with (
        receiver() as (url, got, statuses),
        SimulatedExchange(seed=9, accounts=[AccountSpec(name="main")]) as exchange,
    ):
        settings = with_tell(
            write_settings(folder, exchange), f'url = "{url}"\nheader = "Authorization"\nsecret_env = "TELL"'
        )
        async with process(*ditad("run", "--config", str(settings)), environ={"TELL": HEADER}) as run:
            assert await run.logged("baseline.taken"), run.last_words()
            statuses += [503, 400]
            exchange.cut("main")
            assert await run.logged("tell.failed"), run.last_words()
            assert await run.logged("tell.delivered"), run.last_words()
            async with ApiClient(folder / "s") as client:
                metrics = (await client.ask("/v1/metrics")).decode()
        log = b"\n".join(run.lines).decode() + run.errors.decode()
    assert [("gap.final", 1, HEADER)] == [
        (body["news"], body["missed"], headers["Authorization"]) for headers, body in got
    ]
    assert f"main:{got[0][1]['seq']}" == got[0][0]["Idempotency-Key"]
    assert [False, False] == [word in log for word in (HEADER, "t0p-s3cret-path")]
    samples = {
        sample.labels["outcome"]: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "ditad_tellings_total"
    }
    assert {"delivered": 1, "failed": 1, "retried": 1, "dropped": 0} == samples
    failed = next(orjson.loads(line) for line in run.lines if b'"tell.failed"' in line)
    assert ("gap.opened", 2, "127.0.0.1 answered with status 400") == (
        failed["news"],
        failed["attempts"],
        failed["reason"],
    )


async def test_a_command_gets_no_secret(folder: Path) -> None:
    """Its environment has no variable that held one, and nothing that the service manager said to us alone."""
    out = folder / "environment"
    env = shutil.which("env")
    assert env is not None
    script = f"cat > /dev/null; {shlex.quote(env)} > {shlex.quote(str(out))}.new; mv {shlex.quote(str(out))}.new {out}"
    async with SimulatedExchange(seed=9, accounts=[AccountSpec(name="main")]) as exchange:
        key, secret = exchange.credentials["main"]
        settings = with_tell(write_settings(folder, exchange), f'command = ["/bin/sh", "-c", "{script}"]')
        text = settings.read_text()
        for word in ("key", "secret"):
            text = text.replace(f'api_{word}_file = "{folder}/main.api_{word}"', f'api_{word}_env = "PLANTED_{word}"')
        settings.write_text(text)
        environ = {"PLANTED_key": key, "PLANTED_secret": secret}
        async with process(*ditad("run", "--config", str(settings)), environ=environ) as run:
            assert await run.logged("baseline.taken"), run.last_words()
            exchange.cut("main")
            assert await run.logged("tell.delivered"), run.last_words()
        seen = out.read_text()
    assert "PATH=" in seen
    assert [] == [word for word in ("PLANTED", key, secret, "NOTIFY_SOCKET") if word in seen]
