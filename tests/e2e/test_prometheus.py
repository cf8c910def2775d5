"""The metrics, rules and dashboard, before a real Prometheus server and its `promtool`.

Both come with Debian's package `prometheus`; nothing is running before a test, and nothing is left running by one.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from ditad.exchange import SimulatedExchange, trade
from tests.support.process import pause
from tests.support.process import running as process
from tests.support.running import WAIT_S_MAX, running, settings_of

CONFIG = Path(__file__).parents[2] / "config"
RULES = CONFIG / "ditad.rules.yml"
CASES = CONFIG / "ditad.rules.test.yml"
DASHBOARD = CONFIG / "ditad.dashboard.json"
NAME = re.compile(r"\b(?:ditad|process)_[a-z_]+")
LOOK_S = 0.1
STARTING = 503
TRIES_MAX = 3
"""A port that was free may be taken before the server has it."""

VARIABLES = {"$account": ".*", "$__rate_interval": "1m"}

pytestmark = [
    pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is missing: install Debian's `prometheus`")
    for program in ("prometheus", "promtool")
]


class Prometheus:
    """A server that scrapes one target, asked over its HTTP API."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ask(self, path: str, **params: str) -> dict[str, Any]:
        """Get the data of one answer; what it complains of fails the test."""
        async with self._session.get(f"{self._url}/api/v1/{path}", params=params) as response:
            if response.status == STARTING:
                raise aiohttp.ClientError("it is not ready yet")
            answer: dict[str, Any] = orjson.loads(await response.read())
        assert ("success", None) == (answer["status"], answer.get("warnings")), (params, answer)
        data: dict[str, Any] = answer["data"]
        return data

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate an expression at this moment."""
        found: list[dict[str, Any]] = (await self.ask("query", query=expression))["result"]
        return found

    async def until(self, path: str, holds: Callable[[dict[str, Any]], bool], **params: str) -> dict[str, Any]:
        """Look again and again until an answer satisfies a condition; gives it."""
        seen: dict[str, Any] = {}
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                while True:
                    with suppress(aiohttp.ClientError):  # it has not begun to answer
                        seen = await self.ask(path, **params)
                        if holds(seen):
                            return seen
                    await pause(LOOK_S)
        except TimeoutError:
            raise AssertionError(f"never came to hold; last: {orjson.dumps(seen).decode()}") from None


def free_port() -> int:
    """Find a port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def scraping(folder: Path, target: str) -> AsyncIterator[Prometheus]:
    """Run a server with our rules that scrapes a target every second, until the block ends."""
    settings = folder / "prometheus.yml"
    settings.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{RULES}]\n"
        f"scrape_configs: [{{job_name: ditad, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    for number in range(1, TRIES_MAX + 1):
        port = free_port()
        words = (
            "prometheus",
            f"--config.file={settings}",
            f"--storage.tsdb.path={folder}/tsdb{number}",
            f"--web.listen-address=127.0.0.1:{port}",
        )
        async with process(*words) as server, aiohttp.ClientSession() as session:
            prometheus = Prometheus(session, f"http://127.0.0.1:{port}")
            scraped = asyncio.ensure_future(prometheus.until("targets", _is_up))
            ended = asyncio.ensure_future(server.ended())
            await asyncio.wait({scraped, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not scraped.done():
                scraped.cancel()
                assert number < TRIES_MAX, server.last_words()
                continue
            try:
                scraped.result()
                yield prometheus
            finally:
                ended.cancel()
            return


def _is_up(targets: dict[str, Any]) -> bool:
    return [("up", "")] == [(one["health"], one["lastError"]) for one in targets["activeTargets"]]


def dashboard_queries() -> list[str]:
    """Give every query that the dashboard makes, with its variables put in."""
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            found.extend(text for text in [value.get("expr")] if isinstance(text, str))
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(orjson.loads(DASHBOARD.read_bytes()))
    for name, value in VARIABLES.items():
        found = [query.replace(name, value) for query in found]
    return found


def promtool(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool to its end."""
    return subprocess.run(
        ["promtool", *words], input=stdin, capture_output=True, text=True, check=False, timeout=WAIT_S_MAX, cwd=CONFIG
    )


async def test_a_real_prometheus_takes_metrics_rules_and_dashboard(folder: Path) -> None:
    """It scrapes without complaint; every rule is evaluated, none fires of a sound account; every panel has its query."""
    async with SimulatedExchange(seed=6) as exchange:
        settings = settings_of(folder, exchange)
        settings.write_text(settings.read_text().replace("[daemon]\n", '[daemon]\nmetrics_listen = "127.0.0.1:0"\n'))
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            await trade(exchange, "main", actions=20, seed=3, pause=0)
            await daemon.now(lambda seen: seen["reconcile"]["status"] == "OK")
            text = (await daemon.client.ask("/v1/metrics")).decode()
            linted = promtool("check", "metrics", stdin=text)
            async with scraping(folder, daemon.daemon.scrapes.address) as prometheus:
                assert [1.0] == [
                    float(row["value"][1]) for row in await prometheus.query('ditad_ready{account="main"}')
                ]
                rules = await prometheus.until("rules", lambda seen: _evaluated(seen["groups"]))
                known = set(await prometheus.ask("metadata"))
                queries = dashboard_queries()
                rate = "rate(ditad_stream_frames_total[1m])"  # there is one once it has scraped twice
                await prometheus.until("query", lambda seen: bool(seen["result"]), query=rate)
                results = {query: await prometheus.query(query) for query in queries}
    assert (0, "") == (linted.returncode, linted.stdout + linted.stderr)
    found = [rule for group in rules["groups"] for rule in group["rules"]]
    assert [] == [(rule["name"], rule.get("lastError")) for rule in found if rule["health"] != "ok"]
    assert [] == [rule["name"] for rule in found if rule["state"] == "firing"]
    asked = {name for text in [*queries, *(rule["query"] for rule in found)] for name in NAME.findall(text)}
    assert set() == {name for name in asked if name.removesuffix("_bucket") not in known}
    assert {"ditad_rest_failures_total", "increase"} >= {
        _first_word(query) for query, rows in results.items() if not rows
    }


def _evaluated(groups: list[dict[str, Any]]) -> bool:
    return bool(groups) and all(rule["health"] != "unknown" for group in groups for rule in group["rules"])


def _first_word(query: str) -> str:
    """Name the metric of a query; of one of an annotation the function."""
    found = NAME.search(query)
    return "increase" if query.startswith("increase(") or found is None else found[0]


def test_the_rules_hold_before_promtool() -> None:
    """They parse, and each alert fires on its case and leaves the others alone."""
    checked, tested = promtool("check", "rules", RULES.name), promtool("test", "rules", CASES.name)
    assert (0, 0) == (checked.returncode, tested.returncode), checked.stderr + tested.stdout + tested.stderr
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    cases = re.findall(r"- alertname: (\w+)", CASES.read_text())
    assert sorted(alerts) == sorted(cases), "an alert without a case"


def test_the_shipped_settings_of_prometheus_are_sound() -> None:
    """They find the rules beside them, and ask where the settings' example says."""
    assert 0 == promtool("check", "config", "prometheus.yml").returncode
    assert "127.0.0.1:9464" in (CONFIG / "prometheus.yml").read_text()
    assert 'metrics_listen = "127.0.0.1:9464"' in (CONFIG / "ditad.toml").read_text()
