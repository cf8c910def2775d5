"""The checks themselves, inside the sandbox: what the installed daemon does under exactly its unit.

What enters: a booted systemd, the wheel in /opt/ditad, this checkout. What leaves: a line a check, and how many failed
as the exit status. What holds: the exchange is a simulated one, reached as the real one is; at the end of everything,
kills included, K is the exchange's own books, and a reader that was there from the first record has had each once.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from ditad.api.client import ApiClient
from tests.support.kept import everything_kept
from tests.support.process import pause
from tests.systemd import probe
from tests.systemd.ending import backlog, giving_up, not_handed, overrun, signalled_twice
from tests.systemd.holding import connections, encrypted, limits
from tests.systemd.machine import (
    DITAD,
    SOCKET,
    UNIT,
    ask_as,
    frozen,
    journal,
    main_pid,
    run,
    shell,
    show,
    told,
    until,
)
from tests.systemd.recipe import ROOT, as_root, commands
from tests.systemd.service import (
    BOT,
    SETTINGS,
    STATE,
    TOLD,
    Checks,
    Service,
    knocking,
    slow_reader,
    status_says,
    uid_of,
    write_settings,
)
from tests.systemd.venue import exchange_on_the_net

UNIT_FILE: Final = Path("/etc/systemd/system/ditad.service")
STRANGER: Final = "stranger"
EXPOSURE_MAX_TENTHS: Final = "12"


async def install(service: Service) -> None:
    """Follow the README, as root."""
    checks = service.checks
    for user in (BOT, STRANGER):
        await run("useradd", "--system", "--shell", "/bin/sh", user, check=True)
    SETTINGS.parent.mkdir(mode=0o750)
    write_settings()
    for word, secret in zip(("api_key", "api_secret"), service.exchange.credentials["main"], strict=True):
        path = SETTINGS.parent / f"main.{word}"
        path.touch(mode=0o600)
        path.write_text(secret + "\n")
    *lines, start, admit = commands((ROOT / "README.md").read_text())[1:]
    for line in lines:
        await shell(as_root(line))
    for file in ("ditad.service", "ditad.socket"):
        verified = await run("systemd-analyze", "verify", "--recursive-errors=no", f"/etc/systemd/system/{file}")
        checks.that(f"systemd-analyze verify {file}", verified.code == 0 and not verified.err, verified.err.strip())
    words = ("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX_TENTHS}", str(UNIT_FILE))
    exposure = await run(*words)
    level = re.search(r"exposure level for .*: ([0-9.]+)", exposure.out)
    checks.that("exposure at most 1.2", exposure.code == 0, level and level[1])
    started = await shell(as_root(start))
    checks.that("the recipe's last line starts it", True, f"{started.seconds:.2f} s")
    await shell(as_root(admit))


async def ready(service: Service) -> None:
    """`systemctl start` has returned: from this moment on it answers, and truthfully."""
    checks = service.checks
    status, answer = await ask_as("root", "GET", "/v1/livez")
    checks.equal("it answers as soon as it is active", ("200", {"live": True}), (status, json.loads(answer or "{}")))
    state = await show("ActiveState", "Type", "StatusText", "WatchdogUSec", "NotifyAccess")
    checks.equal("active, by notification", ("active", "notify"), (state["ActiveState"], state["Type"]))
    first = (await told("daemon.ready"))[0]
    checks.that(
        "the socket is the one handed in", first["handed_in"] and first["socket"] == str(SOCKET), first["socket"]
    )
    seen = await service.agreed()
    checks.equal("it takes its baseline over DNS and TLS", [], seen["problems"])
    checks.that("... having asked the name server", service.names.asked, service.names.asked)
    service.since = service.exchange.mark("main")
    verdict = await until(lambda: status_says("main OK, live, covered through 20"))
    checks.that("STATUS= is the verdict with its coverage", verdict, (await show("StatusText"))["StatusText"])
    permissions = (await told("key.permissions"))[0]["may"]
    checks.that("the start says what the key may do", permissions, permissions)
    warned = (await told("key.may_do_more"))[0]
    checks.equal(
        "... and warns of what reading does not need",
        ("warning", ["trade perpetual futures"]),
        (warned["level"], warned["may"]),
    )


async def main_job(service: Service) -> None:
    """Trade, and be told the same by the daemon as by the exchange's own books."""
    for _ in range(3):
        await service.trade(40)
    seen = await service.agreed()
    service.checks.equal("after trading K is the exchange's own books, and the verdict OK", [], seen["problems"])
    assert service.since is not None, "there is a baseline"
    fills = service.exchange.books_since(service.since)["fills"]
    service.checks.that("... over many fills", fills > 30, fills)


async def examined(service: Service) -> None:
    """`ditad doctor` as root: the unit, the files and the exchange are as they should be, and the key may do too much.

    Nobody tells it where the keys are: it asks systemd, which hands them to the unit.
    """
    told_by = await shell(f"{DITAD} doctor --unit {UNIT} --json || true")
    found = {check["check"]: check for check in json.loads(told_by.out)["checks"]}
    others = {name: check["said"] for name, check in found.items() if check["status"] != "OK"}
    service.checks.equal("doctor warns of what the key may do, and of nothing else", ["key rights"], list(others))
    service.checks.that("... and knows how systemd has it", "active as ditad" in found["unit"]["said"], others)
    pid, folder = await main_pid(), found["state folder"]["said"]
    service.checks.that("... and who uses the state folder, on this overlay", f"in use by pid {pid}" in folder, folder)


async def log(service: Service) -> None:
    """`journalctl -u ditad -o cat` gives one JSON object a line, with every snapshot."""
    lines = await journal("-u", UNIT, "-o", "cat")
    parsed = []
    for line in lines:
        try:
            parsed.append(json.loads(line))
        except ValueError:
            service.checks.that("journalctl -u ditad -o cat is JSON", False, line[:200])
            return
    service.checks.that("journalctl -u ditad -o cat is JSON, line by line", len(parsed) > 20, f"{len(parsed)} lines")
    seqs = [line["snapshot"]["event_seq"] for line in parsed if line["event"] == "snapshot"]
    whole = list(range(1, len(seqs) + 1)) == seqs
    service.checks.that("... with every snapshot in order", whole, f"{len(seqs)} snapshots" if whole else seqs)


async def peers(service: Service) -> None:
    """The group reads, strangers do not reach the socket, and changing calls want their uids."""
    checks, snapshot = service.checks, "/v1/accounts/main/snapshot"
    checks.equal("a member of the group is answered", "200", (await ask_as(BOT, "GET", snapshot))[0])
    verb = await run("runuser", "-u", BOT, "--", DITAD, "status")
    checks.that("... also the verbs", verb.code == 0, verb)
    verb = await run("runuser", "-u", BOT, "--", "ditad", "status")
    checks.that("... by the name that the recipe links", verb.code == 0, verb)
    checks.equal("a stranger is not", "EACCES", (await ask_as(STRANGER, "GET", snapshot))[0])
    verb = await run("runuser", "-u", STRANGER, "--", DITAD, "status")
    checks.that("... and the verb says why in a sentence", verb.code == 69 and "Traceback" not in verb.err, verb)
    for call in ("audit", "adopt"):
        status, answer = await ask_as(BOT, "POST", f"/v1/accounts/main/{call}", '{"why":"x"}')
        checks.that(f"the bot may not {call}", status == "403" and "admin_uids" in answer, f"{status} {answer.strip()}")
    checks.equal("root may audit", "200", (await ask_as("root", "POST", "/v1/accounts/main/audit", "{}"))[0])
    slots = '{"slots":[{"slot_id":"x"}]}'  # whoever may tell is told what is wrong with it
    status, answer = await ask_as(BOT, "PUT", "/v1/accounts/main/bot/slots", slots)
    checks.that("the bot may tell its books", status == "400", f"{status} {answer.strip()[:120]}")
    status, answer = await ask_as("root", "PUT", "/v1/accounts/main/bot/slots", slots)
    checks.that(
        "... and nobody else, not even root", status == "403" and "bot_uids" in answer, f"{status} {answer.strip()}"
    )
    mode = SOCKET.stat()
    checks.equal("the socket's mode and group", (0o660, "ditad"), (mode.st_mode & 0o777, SOCKET.group()))


async def secrets(service: Service) -> None:
    """Credentials arrive, and leave no trace anywhere."""
    checks, pid = service.checks, await main_pid()
    key, secret = service.exchange.credentials["main"]
    checks.that("the credentials are where systemd put them", Path("/run/credentials", UNIT, "main.api_key").exists())
    source = await run("runuser", "-u", "ditad", "--", "cat", "/etc/ditad/main.api_key")
    checks.that("... while the daemon's user cannot read their source", source.code != 0, source)
    own = Path(f"/proc/{pid}/environ").stat().st_uid
    status = Path(f"/proc/{pid}/status").read_text()
    uids = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    checks.that("its memory is closed to others of its user", own == 0 and uids and int(uids[1]) == uid_of("ditad"))
    core = re.search(r"^Max core file size\s+(\S+)\s+(\S+)", Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE)
    checks.equal("no core can be dumped", ("0", "0"), core.groups() if core else None)
    service.listen_keys += [stream.key for stream in service.exchange.core.streams._streams.values() if stream.key]
    checks.that("there is a listen key to look for", service.listen_keys, len(service.listen_keys))
    planted = [key, secret, *service.listen_keys]
    places = {
        "the system's journal": "\n".join(await journal("-o", "cat")),
        "argv": Path(f"/proc/{pid}/cmdline").read_bytes().decode(),
        "the environment": Path(f"/proc/{pid}/environ").read_bytes().decode(),
        "systemd's properties": (await run("systemctl", "show", UNIT)).out,
        "the answers": await everything_answered(),
        "the state folder": await asyncio.to_thread(everything_kept, STATE),
    }
    for place, text in places.items():
        checks.equal(f"no secret in {place}", [], [word[:4] + "…" for word in planted if word in text])


async def everything_answered() -> str:
    """Ask every path there is."""
    account = "/v1/accounts/main"
    paths = ["/v1/livez", "/v1/readyz", "/v1/metrics", "/v1/version", "/v1/accounts", "/v1/schema"]
    paths += [f"{account}/{name}" for name in ("readyz", "snapshot", "positions", "fills", "income", "divergences")]
    paths += [f"{account}/gaps", f"{account}/events?after_seq=0", f"{account}/nothing", "/v1/accounts/nobody/snapshot"]
    paths += [f"{account}/why?field=capital_raw", f"{account}/snapshot?event_seq=1", f"{account}/diff?a=1&b=2"]
    return "".join([(await ask_as("root", "GET", path))[1] for path in paths])


async def walls(service: Service) -> None:
    """In the daemon's place, under every directive of its unit, nothing outside its folders can be touched."""
    checks = service.checks
    place = Path("/usr/local/lib/ditad-probe.py")
    place.write_bytes(Path(probe.__file__).read_bytes())
    text = UNIT_FILE.read_text()
    text = re.sub(r"^(ExecStartPre|ExecReload|WatchdogSec|Restart\w*|Also)=.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ExecStart=.*$", f"ExecStart=/usr/bin/python3 -B {place}", text, flags=re.MULTILINE)
    text = text.replace("Type=notify", "Type=oneshot").replace(" ditad.socket", "")
    Path("/etc/systemd/system/ditad-probe.service").write_text(text)
    await run("systemctl", "daemon-reload", check=True)
    done = await run("systemctl", "start", "ditad-probe.service")
    lines = [line for line in await journal("-u", "ditad-probe.service", "-o", "cat") if line.startswith("{")]
    checks.that("the probe ran in the daemon's place", done.code == 0 and lines, done)
    found = json.loads(lines[-1]) if lines else {}
    allowed = {f"write {path}" for path in probe.PRIVATE} | {"AF_INET", "AF_UNIX", "database"}
    status = found.pop("status", "")
    for name, became in found.items():
        checks.that(
            f"{name}: {'allowed' if name in allowed else 'refused'}", (became == "") == (name in allowed), became
        )
    bounds = dict(re.findall(r"^(\w+):\s+(\w+)$", status, re.MULTILINE))
    checks.equal(
        "no capabilities, no new privileges, calls filtered",
        (0, "1", "2"),
        (int(bounds.get("CapBnd", "1"), 16), bounds.get("NoNewPrivs"), bounds.get("Seccomp")),
    )


async def restarting(service: Service) -> None:
    """A restart in order: sealed, quick, and for readers no more than a pause."""
    checks, pid = service.checks, await main_pid()
    async with knocking() as refused, slow_reader():
        stopped = await run("systemctl", "restart", UNIT)
    checks.that("systemctl restart", stopped.code == 0 and await main_pid() != pid, stopped)
    checks.equal("... during which every connection was taken", [], refused)
    checks.equal("... and the journal was sealed before", 1, len(await told("daemon.stopped")))
    await service.trade()
    checks.equal("... and K is the books again", [], (await service.agreed())["problems"])


async def killed(service: Service) -> None:
    """`kill -9` in the middle of trading."""
    checks, before = service.checks, await service.restarts()
    async with knocking() as refused, asyncio.TaskGroup() as group:
        group.create_task(service.trade(40))
        await pause(0.3)
        began = time.monotonic()
        os.kill(await main_pid(), signal.SIGKILL)
        came = await until(lambda: service.restarted(before))
    checks.that("kill -9: started again, and ready", came, f"{time.monotonic() - began:.2f} s")
    checks.equal("... during which every connection was taken", [], refused)
    checks.equal("... and K is the books again", [], (await service.agreed())["problems"])


async def wedged(service: Service) -> None:
    """A journal that never answers: everything else lives, the pipeline stands, and the watchdog ends it."""
    checks, before, pid = service.checks, await service.restarts(), await main_pid()
    began = time.monotonic()
    async with frozen(pid) as said:
        checks.that("the journal's thread stands", said.startswith("frozen"), said)
        await service.trade(10)
        checks.equal("... and the daemon still answers", "200", (await ask_as("root", "GET", "/v1/livez"))[0])
        checks.equal("... as the same process", pid, await main_pid())
        came = await until(lambda: service.restarted(before))
        checks.that("the watchdog has it killed and started again", came, f"{time.monotonic() - began:.1f} s")
    lines = "\n".join(await journal("-u", UNIT))
    checks.that("... which systemd says", "Watchdog timeout" in lines and "Failed with result 'watchdog'" in lines)
    checks.that("... with the place where each thread stood", "Fatal Python error: Aborted" in lines)
    checks.that("... and dumped no core", "code=killed, status=6/ABRT" in lines and "code=dumped" not in lines)
    checks.equal("... and K is the books again", [], (await service.agreed())["problems"])


async def reloading(service: Service) -> None:
    """SIGHUP takes what can be taken, names what waits for a restart, and keeps what is right from what is wrong."""
    checks, pid = service.checks, await main_pid()
    write_settings(admin_uids=f"[0, {uid_of(BOT)}]", log_level='"warning"', raw_days="29")
    reload = await run("systemctl", "reload", UNIT)
    came = await until(lambda: status_says("wait for a restart"))
    state = await show("ActiveState", "SubState", "StatusText")
    checks.that("systemctl reload", reload.code == 0 and came and state["SubState"] == "running", state)
    checks.equal("... admits who is now named", "200", (await ask_as(BOT, "POST", "/v1/accounts/main/audit", "{}"))[0])
    said = len(await told("snapshot"))
    await service.trade(10)
    await service.agreed()
    checks.equal("... and writes no more than is now wanted", said, len(await told("snapshot")))
    write_settings()
    await run("systemctl", "reload", UNIT, check=True)
    await until(lambda: _reloaded(1))
    checks.equal(
        "... and the file as it was is in force again",
        "403",
        (await ask_as(BOT, "POST", "/v1/accounts/main/audit", "{}"))[0],
    )
    SETTINGS.write_text("[daemon]\nlog_levle = 'info'\n")
    reload = await run("systemctl", "reload", UNIT)
    checks.that("settings that are wrong: the reload fails", reload.code != 0, reload)
    os.kill(pid, signal.SIGHUP)
    kept = await until(_kept)
    checks.that("... and SIGHUP keeps those before, and says what is wrong", kept, (await told("settings.kept"))[-1:])
    checks.that(
        "... also in STATUS=", await until(lambda: status_says("are wrong")), (await show("StatusText"))["StatusText"]
    )
    write_settings()
    checks.equal(
        "... while the daemon goes on", (pid, "active"), (await main_pid(), (await show("ActiveState"))["ActiveState"])
    )


async def _reloaded(count: int) -> bool:
    return len(await told("settings.reloaded")) >= count


async def _kept() -> bool:
    return bool(await told("settings.kept"))


async def refused_settings(service: Service) -> None:
    """Exit 78: started with wrong settings it ends, says all that is wrong, and is not started again.

    Without `ditad.socket`: with it the reader that waits would have it started again, up to the limit of starts.
    """
    checks, before = service.checks, await service.restarts()
    SETTINGS.write_text("[daemon]\nlog_levle = 'info'\n")
    await run("systemctl", "stop", UNIT, check=True)
    start = await run("systemctl", "start", UNIT)
    state = await show("ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts")
    checks.that("started with wrong settings it fails", start.code != 0, start)
    checks.equal(
        "... with 78, once",
        ("failed", "failed", "78"),
        (state["ActiveState"], state["SubState"], state["ExecMainStatus"]),
    )
    checks.that("... and is not started again", int(state["NRestarts"]) in {0, before}, state["NRestarts"])
    lines = "\n".join(await journal("-u", UNIT, "-n", "30"))
    checks.that("... having named the mistake and what was meant", "log_levle" in lines and "'log_level'" in lines)
    write_settings()
    await run("systemctl", "reset-failed", UNIT)
    checks.equal("with right ones it starts", 0, (await run("systemctl", "start", UNIT)).code)
    checks.equal("... and K is the books again", [], (await service.agreed())["problems"])


async def alone(service: Service) -> None:
    """Without the socket's unit the daemon makes its own, with the settings' mode and group, and clears up."""
    checks = service.checks
    await run("systemctl", "stop", "ditad.socket", UNIT, check=True)
    await run("systemctl", "disable", "ditad.socket", check=True)
    Path("/etc/systemd/system/ditad.socket").unlink()
    SOCKET.unlink(missing_ok=True)
    await run("systemctl", "daemon-reload", check=True)
    await run("systemctl", "start", UNIT, check=True)
    checks.equal("without ditad.socket it binds its own", False, (await told("daemon.ready"))[-1]["handed_in"])
    checks.equal("... with mode and group", (0o660, "ditad"), (SOCKET.stat().st_mode & 0o777, SOCKET.group()))
    checks.equal("... for the bot too", "200", (await ask_as(BOT, "GET", "/v1/livez"))[0])
    before = await service.restarts()
    os.kill(await main_pid(), signal.SIGKILL)
    checks.that(
        "kill -9 leaves a dead socket, which the next start replaces", await until(lambda: service.restarted(before))
    )
    await service.trade()
    checks.equal("... and K is the books again", [], (await service.agreed())["problems"])


async def telling(service: Service) -> None:
    """A command of `[tell]` ran behind the walls, and heard of the gaps that the restarts have left."""
    checks = service.checks
    came = await until(lambda: _told_as_often("gap.opened", "gap.final"))
    lines = [json.loads(line) for line in TOLD.read_text().splitlines()] if TOLD.exists() else []
    words = [line["news"] for line in lines]
    checks.that("a command behind the walls is told of each gap's beginning and end", came, f"{len(words)} tellings")
    seqs = [line["seq"] for line in lines]
    checks.that("... in order, and nothing twice but what was under way at a kill", seqs == sorted(seqs), seqs)
    checks.equal("... each taken", [], await told("tell.failed"))


async def _told_as_often(opened: str, closed: str) -> bool:
    """Say whether every gap that was told of is over, each telling counted once however often it came."""
    lines = [json.loads(line) for line in TOLD.read_text().splitlines()] if TOLD.exists() else []
    words = [news for _, news in {(line["seq"], line["news"]) for line in lines}]
    return words.count(opened) == words.count(closed) > 0


async def stopping(service: Service) -> None:
    """SIGTERM with a reader that does not read: quick, in order, and nothing stays."""
    checks = service.checks
    async with slow_reader():
        stop = await run("systemctl", "stop", UNIT)
    state = await show("ActiveState", "Result", "ExecMainStatus")
    checks.equal("systemctl stop ends in order", {"inactive", "success", "0"}, set(state.values()))
    checks.that("... in time", stop.code == 0, f"{stop.seconds:.2f} s")
    checks.equal("... leaving no socket", False, SOCKET.exists())
    verified = await run(DITAD, "verify", "--config", SETTINGS)
    checks.that("the journal verifies after all of it", verified.code == 0, verified)


async def reader(service: Service) -> None:
    """The reader from the beginning has had every record once, through restarts, kills and all."""
    checks = service.checks
    async with ApiClient(SOCKET) as client:
        newest = next(row["seq"] for row in (await client.get("/v1/accounts"))["items"])
    await until(lambda: bool(service.seqs) and service.seqs[-1] >= newest)
    whole = service.seqs == list(range(1, len(service.seqs) + 1))
    checks.that(
        "a reader with after_seq has had each record once, through all of it", whole, f"{len(service.seqs)} records"
    )


STORY: Final[tuple[Callable[[Service], Awaitable[None]], ...]] = (
    *(
        ready,
        limits,
        main_job,
        examined,
        connections,
        log,
        peers,
        restarting,
        log,
        secrets,
        walls,
        killed,
        wedged,
        reloading,
    ),
    *(
        encrypted,
        backlog,
        signalled_twice,
        overrun,
        giving_up,
        not_handed,
        alone,
        refused_settings,
        reader,
        secrets,
        stopping,
    ),
)


async def check() -> int:
    """Run the story; gives how many checks failed."""
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        async with exchange_on_the_net(Path(folder)) as (exchange, names), asyncio.TaskGroup() as group:
            service = Service(checks, exchange, names)
            await install(service)
            reading = group.create_task(service.read())
            for chapter in STORY:
                await chapter(service)
            reading.cancel()
    print(f"{checks.failed} failed" if checks.failed else "all passed", flush=True)  # noqa: T201
    return min(checks.failed, 100)


if __name__ == "__main__":
    sys.exit(asyncio.run(check()))
