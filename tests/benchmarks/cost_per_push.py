"""CPU per push of the whole daemon, next to the floor of the same run over the same frames.

    .venv/bin/python tests/benchmarks/cost_per_push.py [--frames N] [--json]

What runs: `ditad run` as a process of its own, with journal, fold, reconcile, log (to a file) and one subscriber, over
a real websocket on loopback; the sender and the floor are processes of their own, so each pays its own CPU. What
leaves: a table, or JSON. What holds: the frames are synthetic fills with correct money, and a run whose K, E or
verdict is not what was sent fails instead of giving figures.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:  # run as a script from a clone
    sys.path.insert(0, str(ROOT))

import orjson  # noqa: E402 - the path comes first

from ditad.api.client import ApiClient  # noqa: E402
from tests.benchmarks.synthetic import ROUND  # noqa: E402
from tests.support.running import account_settings, settings_file  # noqa: E402

KINDS = {
    "orders": "order frame, alone",
    "accounts": "account frame, alone",
    "pairs": "order and account frames in turn",
}
SENT = ("warm", "pairs", "level", "orders", "accounts")
"""What is sent to the daemon, in order: `warm` and `level` bring the account where the next kind begins."""

PARTS = ("receive", "gunzip", "loads", "insert", "dumps")
FRAMES = 4_000
FRAMES_MAX = 100_000
RUN_S_MAX = 600.0
STEP_S_MAX = 60.0
STILL_S = 0.05
STILL_CPU_S = 0.001
STOP_S_MAX = 10.0

MORE = """
[account.reconcile]
settle_window_s = 30
[account.audit]
interval_s = 3600
fills_interval_s = 86400
income_interval_s = 86400
requests_per_s = 10
[account.stream]
marks = false
"""
"""Only the pushes are measured: no question and no mark comes between them, and no wait runs out on a slow machine."""


class Child:
    """A child process that is told and tells in lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def say(self, *words: object) -> None:
        """Send one command."""
        assert self.process.stdin is not None, "this child listens"
        self.process.stdin.write(" ".join(map(str, words)).encode() + b"\n")

    async def heard(self) -> dict[str, Any]:
        """Read one answer."""
        assert self.process.stdout is not None, "this child tells"
        async with asyncio.timeout(STEP_S_MAX):
            line = await self.process.stdout.readline()
        if not line:
            raise SystemExit("a process of the benchmark ended early; what it said is above")
        answer: dict[str, Any] = orjson.loads(line)
        return answer

    @property
    def cpu_s(self) -> float:
        """Give the CPU time of all its threads; Linux makes a process's clock from its id. (clock_getcpuclockid(3))"""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    async def still(self) -> float:
        """Wait until it has nothing left to do; gives its CPU time then."""
        before, now = -1.0, self.cpu_s
        while now - before > STILL_CPU_S:
            await asyncio.sleep(STILL_S)
            before, now = now, self.cpu_s
        return now


@asynccontextmanager
async def child(*words: str, log: int = asyncio.subprocess.PIPE) -> AsyncIterator[Child]:
    """Run a Python process from the root of the clone until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=log, limit=1024 * 1024
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_S_MAX):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


class Subscriber:
    """The one reader of the stream of records; `last` is the newest snapshot it was sent, `heard` how many pushes led to one."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.last: dict[str, Any] = {}
        self.heard = 0
        self._came = asyncio.Event()

    async def read(self) -> None:
        """Read until cancelled; a reader that was dropped ends the benchmark."""
        path = "/v1/accounts/main/events"
        async with aclosing(self._client.lines(path, {"follow": "1", "after_seq": "0"})) as lines:
            async for _, line in lines:
                if not line:
                    continue
                record = orjson.loads(line)
                if record["type"] == "dropped":
                    raise SystemExit("the subscriber could not keep up: use fewer --frames")
                if record["type"] == "snapshot":
                    self.last = record["snapshot"]
                    self.heard += self.last["source_event_id"].partition(":")[0] in {"order", "account"}
                    self._came.set()

    async def until(self, heard: int, standing: Mapping[str, Any]) -> None:
        """Wait for so many pushes, and until both ledgers stand so and agree; fails with what is different."""
        try:
            async with asyncio.timeout(STEP_S_MAX):
                while self.heard < heard or wrong(self.last, standing):
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            reasons = [f"{self.heard} of {heard} pushes led to a snapshot", *wrong(self.last, standing)]
            raise SystemExit(f"a benchmark of wrong results is none: {'; '.join(reasons)}") from None

    async def begun(self) -> None:
        """Wait until there is a baseline and a verdict of OK."""
        async with asyncio.timeout(STEP_S_MAX):
            while not self.last or self.last["baseline"] is None or self.last["reconcile"]["status"] != "OK":
                self._came.clear()
                await self._came.wait()


def wrong(snapshot: Mapping[str, Any], standing: Mapping[str, Any]) -> list[str]:
    """Compare a snapshot with what was sent, to the last digit."""
    k, e = snapshot["k"], snapshot["e"]
    seen = {name: k[name] for name in ("trade_seq", "capital_raw", "realized_pnl", "fees_paid")}
    seen["positions"] = {row["symbol"]: [row["qty"], row["entry_price"]] for row in k["positions"]}
    found = [f"{name} is {seen[name]}, sent was {due}" for name, due in standing.items() if seen[name] != due]
    if e["wallet_balance"] != standing["capital_raw"]:
        found.append(f"E has wallet {e['wallet_balance']}, sent was {standing['capital_raw']}")
    if snapshot["reconcile"]["status"] != "OK":
        found.append(f"the verdict is {snapshot['reconcile']['status']}: {snapshot['reconcile']['explanations']}")
    return found


async def measure(frames: int, folder: Path) -> dict[str, Any]:
    """Run the daemon over each kind of frames, then the floor over the same ones."""
    async with child("-m", "tests.benchmarks.venue_process") as venue:
        where = await venue.heard()
        figures, prepared = await daemon_costs(venue, where, frames, folder)
        floor, commit_us, snapshot_bytes = await floor_costs(venue, where, prepared, folder)
    for kind, figure in figures.items():
        figure["floor_us"] = floor[kind] | {"sum": sum(floor[kind].values())}
        figure["times_floor"] = figure["us_per_push"] / figure["floor_us"]["sum"]
    return {
        "machine": machine(),
        "pacing": "saturation: the sender gives frames as fast as the socket takes them",
        "frames": "synthetic fills with correct money; K, E and verdict verified after each kind",
        "on": ["journal", "fold", "reconcile", "log to a file", "one subscriber"],
        "durable_commit_us": commit_us,
        "snapshot_bytes": snapshot_bytes,
        "figures": figures,
    }


async def daemon_costs(
    venue: Child, where: Mapping[str, str], frames: int, folder: Path
) -> tuple[dict[str, Any], dict[str, int]]:
    """Give the daemon's CPU per push of each kind, and how many frames of each were prepared."""
    account = account_settings(folder, "main", rest_url=where["rest_url"], ws_url=where["ws_url"], more=MORE)
    settings = settings_file(folder, account)
    figures = {}
    with (folder / "log").open("wb") as log:
        async with child("-m", "ditad", "run", "--config", str(settings), log=log.fileno()) as daemon:
            await told(folder / "log", b'"event":"daemon.ready"', daemon)
            async with ApiClient(folder / "s") as client, asyncio.TaskGroup() as group:
                subscriber = Subscriber(client)
                reading = group.create_task(subscriber.read())
                await subscriber.begun()
                await told(folder / "log", b'"event":"audit.done"', daemon)
                venue.say("prepare", frames)
                prepared = await venue.heard()
                for kind in SENT:
                    pushes, heard = prepared["prepared"][kind], subscriber.heard
                    cpu_s, began = await daemon.still(), time.perf_counter()
                    venue.say("send", kind)
                    await subscriber.until(heard + pushes, prepared["expected"][kind])
                    took_s = time.perf_counter() - began
                    assert (await venue.heard())["sent"] == pushes, "all of it was sent"
                    spent_s = await daemon.still() - cpu_s
                    figures[kind] = {
                        "what": KINDS.get(kind, kind),
                        "pushes": pushes,
                        "us_per_push": spent_s * 1e6 / pushes,
                        "pushes_per_s": pushes / took_s,
                    }
                (folder / "snapshot").write_bytes(orjson.dumps(subscriber.last))
                reading.cancel()
    return {kind: figures[kind] for kind in KINDS}, prepared["prepared"]


async def told(log: Path, words: bytes, daemon: Child) -> None:
    """Wait until the daemon has logged something."""
    async with asyncio.timeout(STEP_S_MAX):
        while words not in await asyncio.to_thread(log.read_bytes):
            if daemon.process.returncode is not None:
                raise SystemExit("the daemon ended early; what it said is above")
            await asyncio.sleep(STILL_S)


async def floor_costs(
    venue: Child, where: Mapping[str, str], prepared: Mapping[str, int], folder: Path
) -> tuple[dict[str, dict[str, float]], float, int]:
    """Give the floor's CPU per frame and part of each kind, one durable commit's time, and the snapshot's size."""
    kinds = {kind: prepared[kind] for kind in KINDS}
    words = (where["ws_url"], str(folder / "snapshot"), str(folder), orjson.dumps(kinds).decode())
    floor = {}
    async with child("-m", "tests.benchmarks.floor_process", *words) as bare:
        first = await bare.heard()
        await bare.heard()
        for kind in KINDS:
            venue.say("send", kind)
            answer = await bare.heard()
            assert answer["kind"] == kind, "the floor hears what the daemon heard"
            floor[kind] = dict(answer["us"])
            await venue.heard()
    return floor, first["commit_us"], first["snapshot_bytes"]


def machine() -> dict[str, Any]:
    """Say where this was measured."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "processor": names[0].partition(":")[2].strip() if names else platform.machine(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "load": [round(load, 2) for load in os.getloadavg()],
        "commit": revision(),
    }


def revision() -> str:
    """Give what was measured, where git knows it."""
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return asked.stdout.strip() or "unknown"


def table(result: Mapping[str, Any]) -> str:
    """Write the figures for a person."""
    figures = result["figures"]
    lines = [
        machine_line(result["machine"]),
        f"pacing: {result['pacing']}",
        f"frames: {result['frames']}",
        f"on: {', '.join(result['on'])}; a snapshot is {result['snapshot_bytes']} bytes",
        f"one durable commit: {result['durable_commit_us']:.0f} µs (time, median)",
        "",
        f"{'CPU of the daemon':<34} {'µs/push':>8} {'× floor':>8} {'pushes':>8} {'pushes/s':>9}",
    ]
    for kind in KINDS:
        row = figures[kind]
        lines.append(
            f"{row['what']:<34} {row['us_per_push']:>8.1f} {row['times_floor']:>8.1f} {row['pushes']:>8} "
            f"{row['pushes_per_s']:>9.0f}"
        )
    lines += ["", f"{'CPU of the floor, µs/push':<34} " + " ".join(f"{name:>8}" for name in (*PARTS, "sum"))]
    for kind in KINDS:
        row = figures[kind]
        lines.append(f"{row['what']:<34} " + " ".join(f"{row['floor_us'][name]:>8.2f}" for name in (*PARTS, "sum")))
    return "\n".join(lines)


def machine_line(about: Mapping[str, Any]) -> str:
    """Write the machine for a person."""
    what = f"{about['cores']} cores ({about['processor']}), Python {about['python']}, {about['system']}"
    return f"{what}, load {about['load'][0]}, commit {about['commit']}"


async def bounded(frames: int, folder: Path) -> dict[str, Any]:
    """Measure, and give up after a time that no healthy machine needs."""
    async with asyncio.timeout(RUN_S_MAX):
        return await measure(frames, folder)


def main() -> None:
    """Measure in a temporary folder that is gone afterwards, and show the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=FRAMES, help="frames of each kind (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="write JSON")
    asked = parser.parse_args()
    if not ROUND <= asked.frames <= FRAMES_MAX:
        parser.error(f"--frames: {ROUND} to {FRAMES_MAX}")
    frames = asked.frames // (2 * ROUND) * 2 * ROUND or 2 * ROUND  # whole rounds of orders, also in pairs
    with tempfile.TemporaryDirectory(prefix="ditad-") as folder:
        result = asyncio.run(bounded(frames, Path(folder)))
    if asked.json:
        sys.stdout.write(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        sys.stdout.write(table(result) + "\n")


if __name__ == "__main__":
    main()
