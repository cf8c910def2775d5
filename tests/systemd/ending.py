"""How it ends when the end is hard: with a deep backlog, at a second signal, beyond its bound, and for good.

What enters: the daemon under its unit, with `ditad.socket`. What leaves: findings. What holds: after each of them the
daemon runs again, and K is the exchange's own books. How long things take is shown and not judged, for the machine may
be busy: the exit codes tell who ended it. 0 is the daemon in order, within its own bound of 4 s; 70 is that bound.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Final

from tests.systemd.machine import DITAD, UNIT, frozen, journal, main_pid, run, show, told, until
from tests.systemd.service import SETTINGS, Service, status_says, write_settings

BACKLOG: Final = 3_000
"""Frames of one moment: more than can be folded by the time that a stop is asked for."""

STARTS_MAX: Final = 10
"""StartLimitBurst= of the unit."""


async def backlog(service: Service) -> None:
    """SIGTERM while far more was heard than could be folded: quick, sealed, and nothing is missed."""
    checks = service.checks
    before = len(await told("daemon.stopped"))
    for number in range(BACKLOG):
        service.exchange.account("main").set_leverage("BTC-USDT", long=10 + number % 2)
    waiting = await _queued()
    stop = await run("systemctl", "stop", "ditad.socket", UNIT)
    state = await show("ActiveState", "Result", "ExecMainStatus")
    checks.equal("SIGTERM with a deep backlog ends in order", {"inactive", "success", "0"}, set(state.values()))
    last = (await told("daemon.stopped"))[before:]
    left = last[-1].get("left_to_fold", {}).get("main", 0) if last else ""
    checks.equal("... having sealed the journal", 1, len(last))
    checks.that("... in time", stop.code == 0, f"{stop.seconds:.2f} s; {waiting} waited, the next start folds {left}")
    await run("systemctl", "start", "ditad.socket", UNIT, check=True)
    checks.equal("... and K is the books again", [], (await service.agreed())["problems"])


async def _queued() -> str:
    """Say how many events wait for the journal, by the daemon's own word."""
    asked = await run("curl", "-s", "--unix-socket", "/run/ditad/ditad.sock", "http://d/v1/metrics")
    lines = [line for line in asked.out.splitlines() if line.startswith("ditad_queued_events")]
    return lines[0].rpartition(" ")[2] if lines else asked.err.strip()


async def signalled_twice(service: Service) -> None:
    """A second signal ends what cannot end in order, at once: here the journal does not answer."""
    checks, before, pid = service.checks, await service.restarts(), await main_pid()
    async with frozen(pid):
        os.kill(pid, signal.SIGTERM)
        checks.that("asked to stop while its journal stands it says so", await until(lambda: status_says("stopping")))
        checks.equal("... and goes on waiting for it", pid, await main_pid())
        began = time.monotonic()
        os.kill(pid, signal.SIGTERM)
    seconds = time.monotonic() - began
    came = await until(lambda: service.restarted(before))
    lines = "\n".join(await journal("-u", UNIT))
    checks.that("a second signal ends it at once, with 130", "code=exited, status=130" in lines, f"{seconds:.2f} s")
    checks.that("... and it is started again", came)
    checks.equal("... and K is the books again", [], (await service.agreed())["problems"])


async def overrun(service: Service) -> None:
    """An end that does not come is ended by the daemon itself, before systemd would kill it."""
    checks, pid = service.checks, await main_pid()
    async with frozen(pid):
        stop = await run("systemctl", "stop", UNIT)
    lines = "\n".join(await journal("-u", UNIT))
    ended = "code=exited, status=70" in lines
    checks.that("a stop with a journal that stands has an end, with 70", ended, f"{stop.seconds:.2f} s")
    await run("systemctl", "reset-failed", UNIT)
    await run("systemctl", "start", UNIT, check=True)
    checks.equal("... and K is the books again", [], (await service.agreed())["problems"])


async def giving_up(service: Service) -> None:
    """Wrong settings and a reader that waits: tried ten times, then given up by both units until somebody mends it."""
    checks = service.checks
    SETTINGS.write_text("[daemon]\nlog_levle = 'info'\n")
    await run("systemctl", "reset-failed", UNIT, "ditad.socket")
    since = f"@{time.time():.6f}"
    await run("systemctl", "stop", UNIT)
    checks.that("with wrong settings and a reader that waits systemd gives up", await until(_given_up))
    starts = {
        json.loads(line).get("_SYSTEMD_INVOCATION_ID")
        for line in await journal("-u", UNIT, "--since", since, "-o", "json")
    }
    states = await show("ActiveState", "Result"), await show("ActiveState", "Result", unit="ditad.socket")
    checks.equal("... after ten starts", STARTS_MAX, len(starts - {None}) - 1)
    checks.that("... of both units", True, states)
    verb = await run(DITAD, "status")
    checks.that("... and readers are told so in a sentence", verb.code == 69 and "Traceback" not in verb.err, verb)
    write_settings()
    await run("systemctl", "reset-failed", UNIT, "ditad.socket", check=True)
    started = await run("systemctl", "start", "ditad.socket", UNIT)
    checks.equal("mended, both are started again", 0, started.code)
    checks.equal("... and K is the books again", [], (await service.agreed())["problems"])


async def not_handed(service: Service) -> None:
    """A file of LoadCredential= that is not there: nothing is started again by itself, and the doctor names the file."""
    checks, path = service.checks, SETTINGS.parent / "main.api_key"
    away = path.rename(path.with_name("away"))
    await run("systemctl", "stop", "ditad.socket", UNIT)
    await run("systemctl", "start", UNIT)
    checks.that("without a file of a key it fails, and nothing starts it again by itself", await until(_not_handed))
    named = await run(DITAD, "doctor", "--unit", UNIT, "--json")
    found = [check for check in json.loads(named.out)["checks"] if check["check"] == "unit keys"]
    checks.that("... and the doctor names it", [str(path) in check["said"] for check in found] == [True], found)
    away.rename(path)
    await run("systemctl", "reset-failed", UNIT, "ditad.socket")
    await run("systemctl", "start", "ditad.socket", UNIT, check=True)
    checks.equal("... and with it K is the books again", [], (await service.agreed())["problems"])


async def _not_handed() -> bool:
    """Say whether the unit ended for want of a file and was not started again by itself.

    All three are of one moment: the socket may try it again for a reader that waits, which is no restart.
    """
    state = await show("ActiveState", "ExecMainStatus", "NRestarts")
    return (state["ActiveState"], state["ExecMainStatus"], state["NRestarts"]) == ("failed", "243", "0")


async def _given_up() -> bool:
    states = [(await show("ActiveState", unit=unit))["ActiveState"] for unit in (UNIT, "ditad.socket")]
    return states == ["failed", "failed"]
