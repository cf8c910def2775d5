"""`ditad doctor` against a simulated exchange and a daemon that runs, or does not."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad.doctor.examining import machine
from ditad.doctor.examining_accounts import daemon_and_accounts
from ditad.doctor.findings import Finding, Status
from ditad.doctor.knocking import journal_facts
from ditad.doctor.looking import LOCK_NAME, unit_shown
from ditad.exchange import AccountSpec, Faults, FaultSpec, SimulatedExchange
from ditad.journal import Journal, journal_path
from ditad.journal import folder as folder_module
from tests.support.process import ROOT
from tests.support.running import WAIT_S_MAX, account_settings, running, settings_file, settings_of

READ = frozenset({"read"})
OK, WARN, ERROR, UNKNOWN = Status.OK, Status.WARN, Status.ERROR, Status.UNKNOWN
ASKED = ("clock", "key", "key rights", "asset mode", "position mode", "history")


async def examined(settings: Path, account: str | None = None) -> dict[str, Finding]:
    """Make all checks in this process; gives each of the last account by its name."""
    async with (
        aclosing(machine(settings, {}, account=account, unit=None)) as quick,
        aclosing(daemon_and_accounts(settings, {}, account=account)) as slow,
    ):
        found = [finding async for finding in quick]
        return {finding.check: finding for finding in [*found, *[finding async for finding in slow]]}


async def doctor(settings: Path, *words: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run the verb as a process; gives code and outputs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ditad", "doctor", "--config", str(settings), *words),
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WAIT_S_MAX * 2):
        out, err = await process.communicate()
    assert process.returncode is not None, "it has ended"
    return process.returncode, out.decode(), err.decode()


async def test_beside_a_sound_daemon_everything_is_ok(folder: Path) -> None:
    """A key that only reads, a daemon that runs and agrees: 0, a line per check, and no secret in any of them."""
    async with SimulatedExchange(seed=6, accounts=[AccountSpec(name="main", permissions=READ)]) as exchange:
        settings = settings_of(folder, exchange)
        settings.write_text(settings.read_text().replace("[daemon]\n", '[daemon]\nmetrics_listen = "127.0.0.1:0"\n'))
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            await daemon.now(lambda seen: seen["reconcile"]["status"] == "OK")
            port = daemon.daemon.scrapes.address.rpartition(":")[2]
            settings.write_text(settings.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
            code, out, err = await doctor(settings)
            json_code, json, _ = await doctor(settings, "--json", "--account", "main")
        secrets = exchange.credentials["main"]
    told = orjson.loads(json)
    assert (0, 0, "", "OK") == (code, json_code, err, told["status"]), out
    checks = ["settings", "state folder", "disk", "socket", "metrics", "journal", "daemon", "credentials", "exchange"]
    checks += ["stream", "clock", "key", "margin asset", *ASKED[2:], "key sharing"]
    assert checks == [check["check"] for check in told["checks"]]
    assert len(checks) == len(out.splitlines())
    assert f"in use by pid {os.getpid()}" in out
    assert [] == [secret for secret in secrets if secret in out + json]


@pytest.mark.parametrize(
    ("spec", "check", "status", "words"),
    [
        ({"permissions": READ}, "key rights", OK, "read and nothing else"),
        ({"permissions": READ}, "history", OK, "income not to this key"),
        ({}, "key rights", WARN, "trade perpetual futures"),
        ({"permissions": frozenset({"read", "withdraw"})}, "key rights", ERROR, "may withdraw"),
        ({"permissions": frozenset({"trade"})}, "key", ERROR, "may not read balance and positions"),
        ({"multi_asset": True}, "asset mode", ERROR, "single-asset mode on the exchange"),
        ({"hedge": False}, "position mode", OK, "one-way"),
        ({"margin_asset": "VST"}, "margin asset", ERROR, "there are VST"),
    ],
)
async def test_an_account_as_it_is(folder: Path, spec: dict[str, Any], check: str, status: Status, words: str) -> None:
    """Rights and modes are those of the exchange; without a daemon the socket is a warning and nothing is in the way."""
    async with SimulatedExchange(seed=6, accounts=[AccountSpec(name="main", **spec)]) as exchange:
        found = await examined(settings_of(folder, exchange))
    assert status is found[check].status
    assert words in f"{found[check].said}; {found[check].what_to_do}"
    assert (WARN, OK, OK) == (found["socket"].status, found["journal"].status, found["exchange"].status)
    assert "no daemon runs" in found["socket"].said


@pytest.mark.parametrize(("skew_ms", "status"), [(0, OK), (3_000, WARN), (-60_000, ERROR)])
async def test_a_clock_that_is_off(folder: Path, skew_ms: int, status: Status) -> None:
    """The machine's clock is judged, and the other questions are answered all the same."""
    faults = Faults(FaultSpec(skew_ms=skew_ms), seed=1)
    async with SimulatedExchange(seed=6, faults=faults, accounts=[AccountSpec(name="main")]) as exchange:
        found = await examined(settings_of(folder, exchange))
    assert (status, OK, OK) == (found["clock"].status, found["key"].status, found["history"].status)


async def test_a_key_that_is_wrong(folder: Path) -> None:
    """The exchange's refusal is told once, with what to do; what it hides is UNKNOWN; the key is not shown."""
    async with SimulatedExchange(seed=6) as exchange:
        wrong = "wrong-key-that-nobody-may-see"
        account = account_settings(
            folder, "main", rest_url=exchange.rest_url, ws_url=exchange.ws_url, api_key=wrong, api_secret=wrong[::-1]
        )
        code, out, err = await doctor(settings_file(folder, account))
    assert (2, "") == (code, err), out
    assert 1 == out.count("check the key, and that it belongs to this environment")
    assert [*["UNKNOWN"] * 4] == [line.split()[0] for line in out.splitlines() if "not asked: the key" in line]
    assert [] == [word for word in (wrong, wrong[::-1]) if word in out]


async def test_an_exchange_that_is_not_reached(folder: Path) -> None:
    """Host and stream are errors with what to try, the rest is UNKNOWN, and the machine is looked at all the same."""
    account = account_settings(folder, "main", rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9/swap-market")
    found = await examined(settings_file(folder, account))
    assert (ERROR, ERROR) == (found["exchange"].status, found["stream"].status)
    assert [UNKNOWN] * len(ASKED) == [found[check].status for check in ASKED]
    assert (OK, OK) == (found["disk"].status, found["journal"].status)


async def test_an_exchange_that_answers_nonsense(folder: Path) -> None:
    """One answer that cannot be read is UNKNOWN; those around it are as they are."""
    async with SimulatedExchange(seed=6) as exchange:
        exchange.faults.force("rest_error", 9, code=100500, path="trade/assetMode")
        found = await examined(settings_of(folder, exchange))
    assert (UNKNOWN, OK, OK) == tuple(found[check].status for check in ("asset mode", "position mode", "history"))


async def test_a_damaged_journal(folder: Path) -> None:
    """It is named with what to do, and hides no other check; a file that is none of ours is damaged too."""
    async with SimulatedExchange(seed=6) as exchange:
        settings = settings_of(folder, exchange)
        state = folder / "state"
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
        assert "whole" in (await examined(settings))["journal"].said
        path = journal_path(state, "main")
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + bytes(4096) + whole[8192:])
        torn = await examined(settings)
        path.write_bytes(b"none of ours" * 1_000)
        foreign = await examined(settings)
    for found in (torn, foreign):
        assert ERROR is found["journal"].status
        assert "ditad backup" in found["journal"].what_to_do
        assert (OK, OK) == (found["exchange"].status, found["history"].status)


def test_a_journal_too_large_for_the_time_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not looked at to the end is not called whole, and nothing is damaged by giving up."""
    monkeypatch.setattr("ditad.journal.reader.STEPS_BETWEEN_LOOKS", 1)
    Journal.open(tmp_path, "main").abandon()
    assert (None, ()) == ((facts := journal_facts(tmp_path, "main", "live", within_s=0)).whole, facts.problems)
    assert True is journal_facts(tmp_path, "main", "live").whole


async def test_two_accounts_with_one_key(folder: Path) -> None:
    """Each would hear a part of what the other is told."""
    async with SimulatedExchange(seed=6) as exchange:
        key, secret = exchange.credentials["main"]
        urls = {"rest_url": exchange.rest_url, "ws_url": exchange.ws_url}
        accounts = [account_settings(folder, name, **urls, api_key=key, api_secret=secret) for name in ("a", "b")]
        settings = settings_file(folder, *accounts)
        found = await examined(settings, account="b")
        with pytest.raises(Exception, match="the settings have no account 'c'; they have a, b"):
            await examined(settings, account="c")
    assert (ERROR, "b") == (found["key sharing"].status, found["key sharing"].account)


async def test_settings_that_are_wrong_hide_nothing_else(folder: Path) -> None:
    """Each problem is a line; an account that can be read is examined, and secrets that are open to others are told."""
    async with SimulatedExchange(seed=6) as exchange:
        settings = settings_of(folder, exchange)
        settings.write_text(settings.read_text() + '[[account]]\nname = "other"\nenvironment = "moon"\nbra = "1m"\n')
        (folder / "main.api_secret").chmod(0o644)
        code, out, err = await doctor(settings)
    assert (2, "") == (code, err)
    settings_lines = [line for line in out.splitlines() if line.startswith("ERROR    settings")]
    assert 2 == len(settings_lines), out
    assert "chmod 600 it" in out
    assert "OK       disk" in out
    assert "ERROR    credentials" in out


@pytest.mark.parametrize(
    ("tell", "status", "words"),
    [
        ('command = ["/bin/true"]', OK, "/bin/true"),
        ('command = ["/nowhere/tell"]', ERROR, "see its path and mode"),
        (
            'url = "https://hooks.example.org/s3cret"\nheader = "X-Key"\nsecret_env = "NOBODY"',
            ERROR,
            "secret_env names is not set",
        ),
    ],
)
async def test_whom_the_settings_tell(folder: Path, tell: str, status: Status, words: str) -> None:
    """A secret that is not there keeps the daemon from starting, and a command that is not there tells nobody."""
    account = account_settings(folder, "main", rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9/swap-market")
    settings = settings_file(folder, account)
    settings.write_text(f"{settings.read_text()}\n[tell]\n{tell}\n")
    async with aclosing(machine(settings, {}, account=None, unit=None)) as quick:
        found = {finding.check: finding async for finding in quick}
    assert status is found["tell"].status
    assert words in f"{found['tell'].said}; {found['tell'].what_to_do}"
    assert "s3cret" not in found["tell"].said


async def test_nothing_is_there_at_all(folder: Path) -> None:
    """Without settings there is one line, which says how to write them."""
    code, out, err = await doctor(folder / "none.toml")
    assert (2, "", 1) == (code, err, len(out.splitlines()))
    assert "write that file" in out


async def test_systemd_is_asked_where_told(folder: Path) -> None:
    """Its properties are read as it writes them; without it nothing is known."""
    fake = folder / "systemctl"
    fake.write_text(
        '#!/bin/sh\n[ "$4" = ditad.service ] && printf "LoadState=loaded\\nActiveState=failed\\nResult=exit-code\\nExecMainStatus=65\\n"\n'
    )
    fake.chmod(0o755)
    async with SimulatedExchange(seed=6) as exchange:
        settings = settings_of(folder, exchange)
        path = {"PATH": f"{folder}:{os.environ['PATH']}"}
        code, out, _ = await doctor(settings, "--unit", "ditad.service", environ=path)
        _, without, _ = await doctor(settings, "--unit", "ditad.service", environ={"PATH": "/nowhere"})
    assert 2 == code
    assert "ditad.service has failed (exit-code, exit code 65, a damaged journal)" in out
    assert "UNKNOWN  unit" in without


async def test_the_keys_are_found_where_the_unit_has_them(folder: Path) -> None:
    """Root beside a sound service needs no variable: LoadCredential= says where; what is encrypted is not held against it."""
    bus = folder / "busctl"
    async with SimulatedExchange(seed=6, accounts=[AccountSpec(name="main", permissions=READ)]) as exchange:
        settings = settings_of(folder, exchange)
        settings.write_text(settings.read_text().partition("[account.credentials]")[0])
        pairs = ",".join(f'["main.{word}","{folder}/main.{word}"]' for word in ("api_key", "api_secret"))
        none, some = '{"type":"a(ss)","data":[]}', f'{{"type":"a(ss)","data":[{pairs}]}}'
        path = {"PATH": f"{folder}:{os.environ['PATH']}"}
        told = []
        for plain, encrypted in ((some, none), (none, some)):
            bus.write_text(f"#!/bin/sh\necho '{plain}'\necho '{encrypted}'\n")
            bus.chmod(0o755)
            told.append((await doctor(settings, "--unit", "ditad.service", environ=path))[1])
        bus.write_text(f"#!/bin/sh\necho '{some.replace('main.api', 'gone.api')}'\necho '{none}'\n")
        without = (await doctor(settings, "--unit", "ditad.service", environ=path))[1]
        told.append((await doctor(settings, environ=path))[1])
    found, hidden, unsaid = ({line[9:23].strip(): line for line in out.splitlines()} for out in told)
    gone = [line for line in without.splitlines() if line.startswith("ERROR    unit keys")]
    assert [True, True] == [f"there is no {folder}/gone.api_" in line for line in gone], without
    assert "unit keys" not in found
    assert (True, True) == (found["credentials"].startswith("OK"), found["key rights"].startswith("OK"))
    assert (True, True) == (hidden["credentials"].startswith("UNKNOWN"), "is encrypted" in hidden["credentials"])
    assert "to do: run it with CREDENTIALS_DIRECTORY=/etc/ditad, the folder of main.api_secret" in unsaid["credentials"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can try as somebody else")
async def test_settings_that_are_roots_own_are_not_the_daemons(folder: Path) -> None:
    """The doctor may read them as root, and still says that the unit's user may not; of the keys' files too."""
    fake = folder / "systemctl"
    fake.write_text("#!/bin/sh\necho LoadState=loaded\necho ActiveState=active\necho User=nobody\n")
    fake.chmod(0o755)
    account = account_settings(folder, "main", rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9/swap-market")
    settings = settings_file(folder, account)
    _, out, _ = await doctor(settings, "--unit", "ditad", environ={"PATH": f"{folder}:{os.environ['PATH']}"})
    lines = [line for line in out.splitlines() if line.startswith("ERROR    unit files")]
    files = [str(settings), *(f"{folder}/main.{word}" for word in ("api_key", "api_secret"))]
    assert [f"nobody, whom ditad runs as, cannot read {path}" for path in files] == [
        line.split("  ")[-1].strip().partition(";")[0] for line in lines
    ], out


async def test_systemd_that_complains_is_not_believed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes with an exit code is no answer."""
    fake = folder / "systemctl"
    fake.write_text("#!/bin/sh\necho LoadState=loaded\necho Failed to connect to bus >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert (None, "Failed to connect to bus") == await unit_shown("ditad.service")


def test_the_lock_is_that_of_the_state_folder() -> None:
    """Whoever looks for its holder looks at the file that a daemon locks."""
    assert folder_module.LOCK_NAME == LOCK_NAME
