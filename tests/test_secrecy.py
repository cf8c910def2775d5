"""What a daemon's process gives away: nothing, whatever breaks in it and wherever the secret stood.

Each leak is planted in a real process, started as `ditad run` starts it, whose stdout and stderr are read to the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gzip
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ditad import secrecy
from ditad.api.client import ApiClient
from ditad.exchange import AccountSpec, SimulatedExchange, trade
from ditad.journal.packing import pack
from tests.bingx.scripted_venue import Reply, ScriptedVenue
from tests.support.kept import everything_kept
from tests.support.process import FAST, ditad, running, write_settings
from tests.support.running import WAIT_S_MAX, account_settings, settings_file, short_folder
from tests.test_daemon import agreed

SECRET = "b1946ac92492d2347c6235b4d2611184plantedsecret"
KEY = "K3yplantedplantedplantedplantedplanted"
LISTEN_KEY = "f00dcafe" * 8
PLANTED = (SECRET, KEY, LISTEN_KEY)

SCRIPT = """
import asyncio, ctypes, gc, logging, os, resource, subprocess, sys, threading, warnings
from pathlib import Path
import structlog
from ditad import daemon

SECRET, KEY, LISTEN_KEY = (os.environ["X"][::-1].split(":"))

class Holder:
    def __init__(self, what): self.what = what
    def __repr__(self): return f"<Holder {self.what} {{'X-BX-APIKEY': {KEY!r}}}>"

class Dying:
    def __del__(self): raise ValueError(f"finalizer {SECRET}", Holder(SECRET))

def deep(local):
    secret_local, header = SECRET, {"X-BX-APIKEY": KEY}
    try:
        raise KeyError(SECRET, Holder(KEY))
    except KeyError as exc:
        exc.add_note(f"note {SECRET}")
        try:
            raise ConnectionError(f"wss://h/swap-market?listenKey={LISTEN_KEY}&signature={SECRET}")
        finally:
            header.clear

def grouped():
    errors = []
    for make in (lambda: 1 / 0, lambda: deep(SECRET), lambda: int(KEY)):
        try:
            make()
        except Exception as exc:
            errors.append(exc)
    raise ExceptionGroup(f"group {SECRET}", [*errors, ExceptionGroup("inner", [ValueError(Holder(LISTEN_KEY), f"listenKey={LISTEN_KEY}")])])

async def leak():
    LEAK

async def instead(*words, **options):
    await leak()

daemon._until_signalled = instead
stream_of = daemon.configure
def configure(**options):
    stream = stream_of(**options)
    for text in (SECRET, KEY): stream.hide(text)
    stream.hide(LISTEN_KEY, passing=True)
    return stream
daemon.configure = configure
try:
    code = daemon.run(Path(sys.argv[1]))
except SystemExit as exc:
    code = exc.code
sys.exit(code)
"""

LEAKS = {
    "message": "raise RuntimeError(f'it was {SECRET} and {KEY}')",
    "argument": "raise RuntimeError('x', SECRET, {'key': KEY}, Holder(SECRET))",
    "cause, context, note, URL and locals": "deep(SECRET)",
    "chained": """
    try:
        deep(SECRET)
    except ConnectionError as exc:
        raise OSError(5, SECRET, KEY) from exc""",
    "group": "grouped()",
    "assertion": "assert SECRET == KEY, (SECRET, Holder(KEY))",
    "our own error": """
    from ditad.errors import VenueFatalError
    raise VenueFatalError(f'refused {KEY} signature={SECRET}')""",
    "settings": """
    from ditad.errors import SettingsError
    raise SettingsError([f'wrong {SECRET}'])""",
    "thread": """
    thread = threading.Thread(target=deep, args=(SECRET,), name=f'thread {KEY}')
    thread.start(); thread.join()""",
    "finalizer": "dying = Dying(); del dying; gc.collect()",
    "forgotten task": """
    async def fails(): deep(SECRET)
    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0)
    del task; gc.collect()""",
    "callback": """
    asyncio.get_running_loop().call_soon(deep, SECRET)
    await asyncio.sleep(0); await asyncio.sleep(0)""",
    "warning": "warnings.warn(f'old {SECRET}', stacklevel=1)",
    "resource warning": "warnings.simplefilter('always'); f = open(sys.argv[1]); f.key = 1 if False else None",
    "aiohttp": """
    try:
        deep(SECRET)
    except Exception:
        logging.getLogger('aiohttp.server').exception('GET %s %s', f'/?listenKey={LISTEN_KEY}', {'X-BX-APIKEY': KEY})""",
    "websockets": "logging.getLogger('websockets.client').error('> GET /swap-market?listenKey=%s HTTP/1.1', LISTEN_KEY)",
    "structlog": "structlog.get_logger().error(SECRET, headers={'X-BX-APIKEY': KEY}, url=f'?listenKey={LISTEN_KEY}', who=Holder(SECRET), exc_info=RuntimeError(SECRET))",
    "interpreter": "raise SystemError(SECRET)",
    "interrupt": "raise asyncio.CancelledError(SECRET)",
}

SETTINGS = """
[[account]]
name = "main"
environment = "vst"
[account.credentials]
api_key_env = "PLANTED_KEY"
api_secret_env = "PLANTED_SECRET"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a private folder with a short path."""
    made = short_folder()
    yield made
    shutil.rmtree(made)


def process_that(leak: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run the daemon's own `run`, with something that leaks in the place of the daemon."""
    settings = folder / "ditad.toml"
    settings.write_text(SETTINGS)
    reversed_secrets = ":".join(PLANTED)[::-1]  # so that the environment and the script do not show them
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", SCRIPT.replace("LEAK\n", f"{leak.strip()}\n", 1), str(settings)],
        check=False,
        capture_output=True,
        env={**os.environ, "X": reversed_secrets, "PLANTED_KEY": KEY, "PLANTED_SECRET": SECRET},
        timeout=WAIT_S_MAX,
    )


@pytest.mark.parametrize("leak", list(LEAKS))
def test_nothing_that_breaks_shows_a_secret(leak: str, folder: Path) -> None:
    """Neither stdout nor stderr holds one, by whatever way the process was left; and something was said."""
    done = process_that(LEAKS[leak], folder)
    said = done.stdout + done.stderr
    assert done.stdout or leak == "resource warning", said
    assert [] == [word[:6] for word in PLANTED if word.encode() in said], said
    for line in done.stdout.splitlines():
        json.loads(line)


def test_the_leaks_would_show(folder: Path) -> None:
    """The test above has teeth: what is planted reaches the log's door, where it is replaced."""
    done = process_that(LEAKS["chained"], folder)
    assert 70 == done.returncode, done.stderr
    assert done.stdout.count(b"***") >= 5


def test_the_environment_of_children_holds_no_secret(folder: Path) -> None:
    """Named variables are taken out as soon as they are read; so is what the service manager said to us alone."""
    done = process_that("sys.stdout.write(subprocess.run(['env'], capture_output=True, text=True).stdout)", folder)
    assert b"PLANTED_" not in done.stdout
    assert b"PATH=" in done.stdout
    assert [] == [word[:6] for word in PLANTED if word.encode() in done.stdout]


def test_no_core_is_dumped_and_no_neighbour_looks_in(folder: Path) -> None:
    """No core file, no core pipe, no /proc/PID/mem for another process of the same user."""
    look = "sys.stdout.write(str((resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))))"
    assert b"((0, 0), 0)" == process_that(look, folder).stdout


def test_where_the_limit_cannot_be_set_the_start_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hardened unit refuses the call; it has set the limit itself."""

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(resource, "setrlimit", refused)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_args, **_options: _Library())
    secrecy.close_memory()


class _Library:
    def prctl(self, *_: object) -> int:
        """Refuse as well."""
        return -1


# ---- a daemon's life --------------------------------------------------------------------------------------------------


async def everything_answered(path: Path) -> str:
    """Ask all there is to ask."""
    account = "/v1/accounts/main"
    paths = ["/v1/livez", "/v1/readyz", "/v1/metrics", "/v1/version", "/v1/accounts", "/v1/schema", f"{account}/readyz"]
    paths += [f"{account}/{name}" for name in ("snapshot", "positions", "fills", "income", "divergences", "gaps")]
    paths += [f"{account}/events?after_seq=0", f"{account}/why?field=capital_raw", "/v1/nothing"]
    found = ""
    async with ApiClient(path) as client:
        for each in paths:
            async with client._open.get(each) as answer:
                found += await answer.text()
    return found


async def test_a_life_leaves_no_secret_anywhere(folder: Path) -> None:
    """With keys that expire and are renewed, frames that are refused, and trading: not in log, answers, argv or journal."""
    async with SimulatedExchange(seed=41, accounts=[AccountSpec(name="main")]) as exchange:
        settings = write_settings(folder, exchange)
        async with running(*ditad("run", "--config", str(settings))) as process:
            await process.logged("daemon.ready")
            await agreed(folder / "s")
            first = {stream.key for stream in exchange.core.streams._streams.values() if stream.key}
            exchange.inject(
                "main", {"e": "NEWS", "listenKey": next(iter(first)), "more": {"listenKey": next(iter(first))}}
            )
            assert await process.logged("push.unknown")
            exchange.expire_key("main")
            assert await process.logged("key.expired")
            await exchange.wait_connected("main")
            await trade(exchange, "main", actions=15, seed=1)
            await agreed(folder / "s")
            second = {stream.key for stream in exchange.core.streams._streams.values() if stream.key}
            planted = [*exchange.credentials["main"], *first, *second]
            assert 4 <= len(planted)
            answers = await everything_answered(folder / "s")
            argv = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()  # noqa: ASYNC240 - a file of the kernel
            log = b"\n".join(process.lines).decode() + process.errors.decode()
            kept = await asyncio.to_thread(everything_kept, folder / "state")
        places = {"answers": answers, "argv": argv, "log": log, "journal": kept}
        assert [] == [(place, word[:6]) for place, text in places.items() for word in planted if word in text]
        assert all(places.values())


async def test_an_exchange_that_repeats_our_secrets_spreads_none(folder: Path) -> None:
    """Key and secret in its error messages and its answers' own fields: not in log, answers or journal."""
    async with ScriptedVenue() as venue:
        echo = f"apiKey {KEY} with secretKey {SECRET} and listenKey {LISTEN_KEY}"
        venue.scripts["/openApi/swap/v2/user/balance"] = [Reply(code=109400, msg=echo, data={"apiKey": KEY})]
        urls = {"rest_url": venue.rest_url, "ws_url": venue.ws_url}
        account = account_settings(folder, "main", **urls, api_key=KEY, api_secret=SECRET, more=FAST)
        async with running(*ditad("run", "--config", str(settings_file(folder, account)))) as process:
            await process.logged("daemon.ready")
            await process.logged("feed.not_started")
            answers = await everything_answered(folder / "s")
            log = b"\n".join(process.lines).decode()
            kept = await asyncio.to_thread(everything_kept, folder / "state")
        assert "feed.not_started" in log
        assert [] == [word[:6] for word in PLANTED for text in (answers, log, kept) if word in text]


def test_the_words_are_found_where_they_are(tmp_path: Path) -> None:
    """The search above finds a word in a frame that came packed and was packed again."""
    with contextlib.closing(sqlite3.connect(tmp_path / "x.journal", isolation_level=None)) as base:
        base.execute("CREATE TABLE raw (data BLOB)")
        base.execute("INSERT INTO raw VALUES (?)", (pack(gzip.compress(SECRET.encode())),))
        base.execute("INSERT INTO raw VALUES (?)", (zlib.compress(KEY.encode()),))
    assert SECRET not in (tmp_path / "x.journal").read_bytes().decode("latin-1")
    assert {SECRET, KEY} <= set(everything_kept(tmp_path).split())
