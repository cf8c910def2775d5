"""The daemon as a process that is started, told, asked to reload, stopped and interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad.api.client import AnsweredError, ApiClient
from ditad.api.following import follow
from ditad.daemon import RING_BYTES_MIN, RINGS_BYTES_AMPLE, ring_bytes_of
from ditad.errors import DaemonUnreachableError
from ditad.exchange import AccountSpec, SimulatedExchange, trade
from ditad.journal import Journal
from ditad.service import HUB_BYTES_AMPLE
from tests.support.manager import Manager, with_socket
from tests.support.process import FAST, Process, ditad, pause, running, write_settings
from tests.support.running import WAIT_S_MAX, account_settings, settings_file, short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a private folder with a short path, for the state and the unix socket."""
    made = short_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def manager(folder: Path) -> Iterator[Manager]:
    """Give somebody to notify."""
    made = Manager(folder, watchdog_s=1.0)
    yield made
    made.close()


@asynccontextmanager
async def exchange() -> AsyncIterator[SimulatedExchange]:
    """Run an exchange with one account."""
    async with SimulatedExchange(seed=31, accounts=[AccountSpec(name="main")]) as made:
        yield made


@asynccontextmanager
async def exchange_process() -> AsyncIterator[tuple[Process, dict[str, Any]]]:
    """Run an exchange that can be made to hang: a process of its own, which trades by itself."""
    async with running(*ditad("exchange", "--seed", "32")) as process:
        async with asyncio.timeout(WAIT_S_MAX):
            while not process.lines:
                await pause(0.01)
        yield process, orjson.loads(process.lines[0])


def command(settings: Path) -> tuple[str, ...]:
    """Name the daemon."""
    return ditad("run", "--config", str(settings))


async def snapshot(path: Path) -> dict[str, Any]:
    """Ask for the present snapshot."""
    async with ApiClient(path) as client:
        return await client.get("/v1/accounts/main/snapshot")


async def agreed(path: Path) -> dict[str, Any]:
    """Wait until the account's present verdict is OK and it is covered live."""
    async with ApiClient(path) as client, asyncio.timeout(WAIT_S_MAX):
        while True:
            with contextlib.suppress(AnsweredError, DaemonUnreachableError):  # there is nothing to show yet
                seen = await client.get("/v1/accounts/main/snapshot")
                if (seen["reconcile"]["status"], seen["coverage"]["state"]) == ("OK", "live"):
                    return seen
            await pause(0.02)


async def code_within(process: asyncio.subprocess.Process, seconds_max: float) -> int:
    """Wait for its end, for a bounded time."""
    async with asyncio.timeout(seconds_max):
        return await process.wait()


# ---- readiness --------------------------------------------------------------------------------------------------------


async def test_ready_is_said_when_it_answers(folder: Path, manager: Manager) -> None:
    """Before READY nobody is answered; at READY the socket answers, and STATUS says how the account stands."""
    async with exchange() as made:
        settings = write_settings(folder, made)
        async with running(*command(settings), environ=manager.environ) as process:
            said = await manager.hears("READY")
            assert said["STATUS"].startswith("main UNKNOWN")
            async with ApiClient(folder / "s") as client:
                assert {"live": True} == await client.get("/v1/livez")
            while not (await manager.hears("STATUS"))["STATUS"].startswith("main OK, live, covered through 20"):
                pass
            process.signal(signal.SIGTERM)
            await manager.hears("STOPPING")
            assert 0 == await process.ended()


async def test_what_is_answered_first_after_a_restart_is_true(folder: Path, manager: Manager) -> None:
    """With the exchange gone since, the first answer at READY does not show the last life's words as the present."""
    async with exchange() as made:
        settings = write_settings(folder, made)
        async with running(*command(settings)) as process:
            await process.logged("daemon.ready")
            assert "live" == (await agreed(folder / "s"))["coverage"]["state"]
            process.kill()
            await process.ended()
    async with running(*command(settings), environ=manager.environ):
        said = await manager.hears("READY")
        seen = await snapshot(folder / "s")
    assert ("stale", False) == (seen["coverage"]["state"], seen["published"]["usable"])
    assert "stale" in said["STATUS"]


async def test_the_watchdog_is_fed_with_nothing_to_do(folder: Path, manager: Manager) -> None:
    """An account that nobody trades on, with an exchange that is away, is no wedged pipeline."""
    urls = {"rest_url": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:1/swap-market"}
    settings = settings_file(folder, account_settings(folder, "main", **urls))
    async with running(*command(settings), environ=manager.environ):
        await manager.hears("READY")
        for _ in range(5):
            await manager.hears("WATCHDOG")


def test_the_rings_of_many_accounts_share_their_memory() -> None:
    """One account holds what is ample; many hold less each, but never less than a reader needs to keep up."""
    assert HUB_BYTES_AMPLE == ring_bytes_of(1) == ring_bytes_of(12)
    assert RINGS_BYTES_AMPLE // 20 == ring_bytes_of(20) < HUB_BYTES_AMPLE
    assert RING_BYTES_MIN == ring_bytes_of(1_000)


async def test_two_daemons_do_not_share_a_state_folder(folder: Path) -> None:
    """The second one ends with 75 and names the first."""
    async with exchange() as made:
        settings = write_settings(folder, made)
        async with running(*command(settings)) as first:
            await first.logged("daemon.ready")
            async with running(*command(settings)) as second:
                assert 75 == await second.ended()
                assert str(first.pid) in second.last_line()["reason"]


# ---- settings that are read again -------------------------------------------------------------------------------------


async def audit(path: Path) -> int:
    """Ask for an audit; gives the status."""
    async with ApiClient(path) as client, client._open.post("/v1/accounts/main/audit", data=b"{}") as answer:
        return answer.status


async def test_sighup_takes_what_can_be_taken(folder: Path, manager: Manager) -> None:
    """Who may audit changes at once; what waits for a restart is named in the log and in STATUS."""
    async with exchange() as made:
        settings = write_settings(folder, made)
        async with running(*command(settings), environ=manager.environ) as process:
            await manager.hears("READY")
            assert 200 == await audit(folder / "s")
            text = settings.read_text()
            more = f"admin_uids = [{os.getuid() + 1}]\nlog_level = 'debug'\nlog_format = 'json'\nsocket_mode = '0600'"
            settings.write_text(text.replace(f"admin_uids = [{os.getuid()}]", more))
            process.signal(signal.SIGHUP)
            assert {"RELOADING", "MONOTONIC_USEC"} == set(await manager.hears("RELOADING"))
            assert "some settings wait for a restart" in (await manager.hears("READY"))["STATUS"]
            await process.logged("settings.reloaded")
            line = next(orjson.loads(line) for line in process.lines if b"settings.reloaded" in line)
            assert ["daemon admin_uids", "daemon log_level"] == line["taken"]
            assert ["daemon log_format", "daemon socket_mode"] == line["waiting_for_restart"]
            assert 403 == await audit(folder / "s")


async def test_sighup_with_wrong_settings_changes_nothing(folder: Path, manager: Manager) -> None:
    """All that is wrong is said, those in force hold on, and the next good file is taken."""
    async with exchange() as made:
        settings = write_settings(folder, made)
        text = settings.read_text()
        async with running(*command(settings), environ=manager.environ) as process:
            await manager.hears("READY")
            settings.write_text("[daemon]\nadmin_uids = []\nlog_levle = 1\n")
            process.signal(signal.SIGHUP)
            assert "wrong: those before hold on" in (await manager.hears("READY"))["STATUS"]
            await process.logged("settings.kept")
            line = next(orjson.loads(line) for line in process.lines if b"settings.kept" in line)
            assert 2 == len(line["problems"])
            assert 200 == await audit(folder / "s")
            settings.write_text(text)
            process.signal(signal.SIGHUP)
            assert "hold on" not in (await manager.hears("READY"))["STATUS"]


# ---- the end: an orderly one is bounded by the daemon itself, which would end with 70 beyond it -----------------------


async def test_a_blocked_stdout_does_not_hold_the_end_up(folder: Path) -> None:
    """With nobody reading the log, and the pipe full, the daemon ends in order and in time."""
    async with exchange() as made:
        settings = write_settings(folder, made)
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"#" * 4096)
        os.set_blocking(writing, True)
        process = await asyncio.create_subprocess_exec(*command(settings), stdout=writing)
        os.close(writing)
        async with asyncio.timeout(WAIT_S_MAX):
            while not (folder / "s").exists():
                await pause(0.01)
        await agreed(folder / "s")
        process.send_signal(signal.SIGTERM)
        assert 0 == await code_within(process, WAIT_S_MAX)
        os.close(reading)
        assert not (folder / "s").exists()


async def test_a_reader_that_does_not_read_does_not_hold_the_end_up(folder: Path) -> None:
    """A follower that takes nothing, with more to send than its connection holds, is cut off."""
    async with exchange() as made:
        settings = write_settings(folder, made)
        async with running(*command(settings)) as process:
            await process.logged("daemon.ready")
            await agreed(folder / "s")
            with socket.socket(socket.AF_UNIX) as slow:
                slow.connect(str(folder / "s"))
                slow.sendall(b"GET /v1/accounts/main/events?after_seq=0&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
                await trade(made, "main", actions=60, seed=5)
                await agreed(folder / "s")
                process.signal(signal.SIGTERM)
                assert 0 == await process.ended(), process.last_words()
            assert await process.logged("daemon.stopped")


async def test_an_exchange_that_hangs_does_not_hold_the_end_up(folder: Path) -> None:
    """Its connections stand open and silent: no question, no closing handshake is answered."""
    async with exchange_process() as (venue, announced):
        key = announced["credentials"]["main"]
        urls = {"rest_url": announced["rest_url"], "ws_url": announced["ws_url"]}
        settings = settings_file(folder, account_settings(folder, "main", **urls, **key, more=FAST))
        async with running(*command(settings)) as process:
            await process.logged("daemon.ready")
            await agreed(folder / "s")
            venue.signal(signal.SIGSTOP)
            process.signal(signal.SIGTERM)
            assert 0 == await process.ended(), process.last_words()
            assert await process.logged("daemon.stopped")


async def test_a_second_signal_ends_it_at_once(folder: Path) -> None:
    """While the end waits for an exchange that hangs, another signal ends the process as it is."""
    async with exchange_process() as (venue, announced):
        key = announced["credentials"]["main"]
        urls = {"rest_url": announced["rest_url"], "ws_url": announced["ws_url"]}
        settings = settings_file(folder, account_settings(folder, "main", **urls, **key, more=FAST))
        async with running(*command(settings)) as process:
            await process.logged("daemon.ready")
            await agreed(folder / "s")
            venue.signal(signal.SIGSTOP)
            process.signal(signal.SIGTERM)
            await process.logged("daemon.stopping")
            process.signal(signal.SIGTERM)
            assert 130 == await process.ended()


STANDING = """
import sys, threading
from pathlib import Path
import structlog
from ditad import daemon

async def stands(self):
    self._log.info("daemon.ready")
    await self._stopping.wait()
    self._log.info("daemon.stopping")
    threading.Event().wait()

daemon.STOP_S_MAX = float(sys.argv[2])
daemon.Daemon.run = stands
sys.exit(daemon.run(Path(sys.argv[1])))
"""
"""A daemon whose loop never turns again once it was asked to stop, as in an endless fold."""


def standing(folder: Path, stop_s_max: float) -> tuple[str, ...]:
    """Name that program, with settings, and with how long its end may take."""
    urls = {"rest_url": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:1/swap-market"}
    settings = settings_file(folder, account_settings(folder, "main", **urls))
    return sys.executable, "-c", STANDING, str(settings), str(stop_s_max)


async def test_an_end_that_takes_too_long_is_ended_whatever_keeps_the_loop(folder: Path) -> None:
    """With 70, and a last line that says so: not even a loop that stands still can hold it up."""
    async with running(*standing(folder, 0.2)) as process:
        await process.logged("daemon.ready")
        process.signal(signal.SIGTERM)
        assert 70 == await process.ended(), process.last_words()
        assert "daemon.stop_overran" == process.last_line()["event"]


async def test_a_second_signal_is_heard_whatever_keeps_the_loop(folder: Path) -> None:
    """At once, as its handler needs no turn of the loop."""
    async with running(*standing(folder, WAIT_S_MAX)) as process:
        await process.logged("daemon.ready")
        process.signal(signal.SIGTERM)
        await process.logged("daemon.stopping")
        process.signal(signal.SIGINT)
        assert 130 == await process.ended(), process.last_words()


async def test_two_signals_in_one_turn_of_the_loop_are_one(folder: Path) -> None:
    """Held back until both are there, they ask for one end, and nothing is said of a mistake of ours."""
    async with running(*standing(folder, 0.2)) as process:
        await process.logged("daemon.ready")
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            process.signal(number)
        assert 70 == await process.ended(), process.last_words()
        assert ["daemon.ready", "daemon.stopping", "daemon.stop_overran"] == [
            orjson.loads(line)["event"] for line in process.lines
        ]
        assert b"" == process.errors


# ---- a socket that is handed in ---------------------------------------------------------------------------------------


async def test_a_reader_survives_a_restart_through_the_socket_handed_in(folder: Path) -> None:
    """While one daemon ends and the next one starts every connection is taken, and no record is missed or told twice."""
    with socket.socket(socket.AF_UNIX) as handed:
        handed.bind(str(folder / "s"))
        handed.listen(128)
        async with exchange() as made, asyncio.TaskGroup() as group:
            settings = write_settings(folder, made)
            program = with_socket(handed, *command(settings))
            seqs: list[int] = []
            reading = group.create_task(read_into(seqs, folder / "s"))
            for seed in range(2):
                async with passing(handed, *program) as process:
                    await agreed(folder / "s")
                    await trade(made, "main", actions=20, seed=seed)
                    process.send_signal(signal.SIGTERM)
                    assert 0 == await code_within(process, WAIT_S_MAX)
                assert (folder / "s").is_socket()
                with socket.socket(socket.AF_UNIX) as early:
                    early.connect(str(folder / "s"))  # nobody answers now, and still it is taken
            async with passing(handed, *program):
                newest = (await agreed(folder / "s"))["event_seq"]
                async with asyncio.timeout(WAIT_S_MAX):
                    while len(seqs) < newest:
                        await pause(0.01)
                reading.cancel()
    assert list(range(1, len(seqs) + 1)) == seqs


async def read_into(seqs: list[int], path: Path) -> None:
    """Follow the account from its first record, across restarts."""
    async with ApiClient(path) as client:
        async for line in follow(client, "main", after_seq=0):
            if line.type not in {"bookmark", "dropped"}:
                seqs.append(line.value["seq"])  # noqa: PERF401 - it is read meanwhile


@asynccontextmanager
async def passing(handed: socket.socket, *program: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program that inherits a socket; what is left of it at the end of the block is killed."""
    process = await asyncio.create_subprocess_exec(
        *program, stdout=asyncio.subprocess.DEVNULL, pass_fds=(handed.fileno(),)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_journal_of_the_demo_is_not_gone_on_with_live(folder: Path) -> None:
    """78, before anybody is asked anything, and a sentence that says what to do."""
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    Journal.open(folder / "state", "main", environment="vst").abandon()
    settings = settings_file(
        folder, account_settings(folder, "main", rest_url="http://127.0.0.1:1", ws_url="ws://[::1]")
    )
    async with running(*command(settings)) as process:
        assert 78 == await process.ended()
        assert "begun on environment vst, and the settings say custom" in process.last_line()["reason"]


async def test_several_sockets_handed_in_are_refused(folder: Path) -> None:
    """Nobody could say which is meant: 78, and a sentence that names them."""
    settings = settings_file(
        folder, account_settings(folder, "main", rest_url="http://127.0.0.1:1", ws_url="ws://[::1]")
    )
    environ = {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "api:other"}
    script = 'export LISTEN_PID=$$; exec "$@"'
    async with running("bash", "-c", script, "bash", *command(settings), environ=environ) as process:
        assert 78 == await process.ended()
        assert b"2 sockets were handed in (api, other)" in process.errors
