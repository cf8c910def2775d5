"""What the unit holds the daemon to, as systemd understood it, and what it holds for it: encrypted credentials.

What enters: the daemon under its unit. What leaves: findings. What holds: a limit that this sandbox's kernel does not
enforce is at least known to systemd as the unit means it, and the line says so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.systemd.machine import UNIT, main_pid, run, show
from tests.systemd.service import SETTINGS, Service
from tests.systemd.venue import PORT

KNOWN: Final = {
    "User": "ditad",
    "DynamicUser": "no",
    "LimitCORE": "0",
    "LimitNOFILE": "8192",
    "LogRateLimitIntervalUSec": "0",
    "WatchdogUSec": "20s",
    "TimeoutStopUSec": "10s",
    "Restart": "on-failure",
    "RestartPreventExitStatus": "64 65 78 243",
    "StartLimitBurst": "10",
    "StartLimitIntervalUSec": "5min",
    "NoNewPrivileges": "yes",
}
"""Properties that other checks show at work as well."""

NOT_ENFORCED: Final = {
    "MemoryMax": str(1 << 30),
    "TasksMax": "512",
    "ProtectClock": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
}
"""The controllers of memory and tasks are not those of this sandbox's cgroups, /proc/sys is read-only in it anyway, and
the capabilities to set the clock, to load modules and to read the kernel's log are taken from all of it."""

DROP_IN: Final = Path("/etc/systemd/system/ditad.service.d/encrypted.conf")


async def limits(service: Service) -> None:
    """What the unit says is what systemd understood."""
    checks = service.checks
    for names, remark in ((KNOWN, ""), (NOT_ENFORCED, ", which this sandbox cannot show at work")):
        found = await show(*names)
        for name, value in names.items():
            checks.equal(f"{name} is known{remark}", value, found.get(name))
    files = re.search(
        r"^Max open files\s+(\d+)\s+(\d+)", Path(f"/proc/{await main_pid()}/limits").read_text(), re.MULTILINE
    )
    checks.equal("... and the process has its files' limit", ("8192", "8192"), files.groups() if files else None)


async def connections(service: Service) -> None:
    """Its own connections lead to the configured host and the name server, and nowhere else."""
    pid = await main_pid()
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        held = re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink()))
        inodes |= {held[1]} if held else set()
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                ports.add(int(fields[2].rpartition(":")[2], 16))
    service.checks.equal("it is connected to the configured host alone", {PORT}, ports)


async def encrypted(service: Service) -> None:
    """Credentials that are encrypted with this machine's key, by a drop-in, with no other copy of them left."""
    checks = service.checks
    plain = {word: SETTINGS.parent / f"main.{word}" for word in ("api_key", "api_secret")}
    before = {path: path.read_bytes() for path in plain.values()}
    lines = ["[Service]", "LoadCredential="]
    for word, path in plain.items():
        sealed = f"{path}.cred"
        words = ("systemd-creds", "--with-key=host", f"--name=main.{word}", "encrypt", str(path), sealed)
        await run(*words, check=True)
        lines.append(f"LoadCredentialEncrypted=main.{word}:{sealed}")
        checks.that(f"main.{word} is encrypted", before[path].strip() not in Path(sealed).read_bytes())
        path.unlink()
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text("\n".join(lines) + "\n")
    await run("systemctl", "daemon-reload", check=True)
    started = await run("systemctl", "restart", UNIT)
    checks.equal("it starts with encrypted credentials alone", 0, started.code)
    await service.trade()
    checks.equal("... which are the right ones: K is the books", [], (await service.agreed())["problems"])
    Path(f"{plain['api_key']}.cred").write_bytes(Path(f"{plain['api_secret']}.cred").read_bytes())
    swapped = await run("systemctl", "restart", UNIT)
    state = await show("ActiveState", "ExecMainStatus", "Result")
    checks.that("... and one that was sealed under another name is refused", swapped.code != 0, state)
    for path, data in before.items():
        path.touch(mode=0o600)
        path.write_bytes(data)
    DROP_IN.unlink()
    await run("systemctl", "daemon-reload", check=True)
    await run("systemctl", "reset-failed", UNIT)
    await run("systemctl", "restart", UNIT, check=True)
    checks.equal("... and with plain ones it starts again", [], (await service.agreed())["problems"])
