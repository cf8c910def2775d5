"""The demo: a simulated exchange and the daemon against it, live, and the proof that their books are equal.

What enters: for how long, and whether a person or a program reads. What leaves: what happened, a summary, and exit
code 0 only if every final verdict is OK and the exchange's own books equal K to the last digit. What holds: the two
meet over real HTTP and websockets on loopback alone; what is compared is what the socket answers.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import orjson
import structlog

from ditad.api.client import ApiClient
from ditad.config import load
from ditad.daemon import Daemon
from ditad.errors import UsageError
from ditad.events import Question
from ditad.exchange import AccountSpec, Action, BooksTruth, SimulatedExchange, trade
from ditad.hub import Hub
from ditad.log import configure
from ditad.money import plain
from ditad.records import RecordType

ACTIONS_PER_S = 40
"""How fast the demo's bot trades; the default ten seconds are some hundreds of fills."""

FOREWORD = (
    f"two accounts of a simulated exchange, {ACTIONS_PER_S} acts a second each, with forced closes and with amounts that"
    " no push tells, on purpose: until each fact is heard the verdict is not OK; at the end it must be"
)

READY_S_MAX = 30.0
SETTLE_S_MAX = 30.0
ANSWERS_MAX = 5
ACCOUNTS = ("hedge", "oneway")
SHOWN_S = 0.25
SEED = 20_261_122

FINAL_QUESTIONS = (Question.BALANCE, Question.POSITIONS, Question.FILLS, Question.INCOME)
"""What is asked once more at the end, before the books are compared."""

SUMS = {
    "wallet_balance": "capital_raw",
    "realized_pnl": "realized_pnl",
    "fees": "fees_paid",
    "funding": "funding_paid",
    "transfers": "transfers",
    "other_income": "other_income",
}
"""The exchange's words for its books, and K's for the same figures."""


@dataclass(slots=True)
class Told:
    """What was seen of one account while the demo ran."""

    fills: int = 0
    incomes: int = 0
    snapshots: int = 0
    divergences: int = 0
    actions: int = 0
    last: dict[str, Any] = field(default_factory=dict)
    acts: dict[str, int] = field(default_factory=dict)


def differences(truth: BooksTruth, snapshot: Mapping[str, Any]) -> list[str]:
    """Compare the exchange's own books with K, figure by figure, to the last digit; empty when they are equal."""
    k = snapshot["k"]
    found = [
        f"{ours}: the exchange has {plain(truth[theirs])}, K has {k[ours]}"  # type: ignore[literal-required]  # the words above
        for theirs, ours in SUMS.items()
        if plain(truth[theirs]) != k[ours]  # type: ignore[literal-required]  # the words above
    ]
    theirs = {
        f"{row['symbol']} {row['side']}": (plain(row["qty"]), plain(row["entry_price"])) for row in truth["positions"]
    }
    ours = {f"{row['symbol']} {row['side']}": (row["qty"], row["entry_price"]) for row in k["positions"]}
    return found + [
        f"position {key}: the exchange has {theirs.get(key)}, K has {ours.get(key)}"
        for key in sorted({*theirs, *ours})
        if theirs.get(key) != ours.get(key)
    ]


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    """Give a folder that is gone afterwards, or a new one that is kept; raises `UsageError` where it cannot be made."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="ditad-") as folder:
            yield Path(folder)
        return
    try:
        keep.mkdir(mode=0o700)
    except OSError as exc:
        raise UsageError(
            f"--keep: {keep} cannot be made ({exc.strerror}): name a folder that is not there yet"
        ) from exc
    yield keep.absolute()


def run_demo(duration_s: float, as_json: bool, keep: Path | None = None) -> int:
    """Run the demo in a temporary folder, or in one that is kept with its journals; gives the exit code."""
    if not as_json:
        click.echo(FOREWORD)
    with _place(keep) as place, (place / "log").open("wb") as log:
        stream = configure(form="json", fd=log.fileno())
        try:
            summary = asyncio.run(_demo(place, duration_s, quiet=as_json))
        finally:
            stream.close()
    if as_json:
        click.echo(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    else:
        _show_summary(summary)
        if keep is not None:
            click.echo(
                f"kept in {keep}: ditad report --config {keep}/ditad.toml --account {ACCOUNTS[0]} --out demo.html"
            )
    return exit_code(summary)


def exit_code(summary: Mapping[str, Any]) -> int:
    """Give 0 only if every final verdict is OK and no figure differs."""
    return 0 if summary["equal"] and summary["status"] == "OK" else 1


async def _demo(folder: Path, duration_s: float, *, quiet: bool) -> dict[str, Any]:
    specs = [AccountSpec(name="hedge"), AccountSpec(name="oneway", hedge=False)]
    async with SimulatedExchange(seed=SEED, accounts=specs) as exchange:
        settings = load(_write_settings(folder, exchange), environ={})
        daemon = Daemon(settings, environ={}, stream=None, log=structlog.get_logger())
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(daemon.run())
                try:
                    return await _story(daemon, exchange, settings.daemon.socket, duration_s, quiet=quiet)
                finally:
                    daemon.stop()
                    await running
        finally:
            daemon.release()


def _write_settings(folder: Path, exchange: SimulatedExchange) -> Path:
    """Write a settings file like a user's, with credentials in private files."""
    lines = ["[daemon]", f'state_dir = "{folder}/state"', f'socket = "{folder}/ditad.sock"']
    for name in ACCOUNTS:
        for word, secret in zip(("api_key", "api_secret"), exchange.credentials[name], strict=True):
            path = folder / f"{name}.{word}"
            path.touch(mode=0o600)
            path.write_text(secret + "\n")
        lines += [
            "[[account]]",
            f'name = "{name}"',
            'environment = "custom"',
            f'rest_url = "{exchange.rest_url}"',
            f'ws_url = "{exchange.ws_url}"',
            "[account.credentials]",
            f'api_key_file = "{folder}/{name}.api_key"',
            f'api_secret_file = "{folder}/{name}.api_secret"',
            "[account.audit]",
            "interval_s = 5",
            "requests_per_s = 10",
        ]
    path = folder / "ditad.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


async def _story(
    daemon: Daemon, exchange: SimulatedExchange, socket: Path, duration_s: float, *, quiet: bool
) -> dict[str, Any]:
    """Wait until the accounts are ready, trade, let everything settle, and compare what the socket says."""
    began_s = time.monotonic()
    for name in ACCOUNTS:
        await _until(daemon.accounts[name].hub, lambda name=name: not daemon.accounts[name].not_ready(), READY_S_MAX)
    marks = {name: exchange.mark(name) for name in ACCOUNTS}
    told = {name: Told() for name in ACCOUNTS}
    async with asyncio.TaskGroup() as group:
        watchers = [group.create_task(_watch(daemon.accounts[name].hub, told[name])) for name in ACCOUNTS]
        if not quiet:
            watchers.append(group.create_task(_show(told)))
        await asyncio.gather(*(_trade(exchange, name, told[name], duration_s, began=SEED) for name in ACCOUNTS))
        async with ApiClient(socket) as client:
            last = {name: await _last_answer(daemon, client, name) for name in ACCOUNTS}
        for watcher in watchers:
            watcher.cancel()
    accounts: dict[str, Any] = {}
    for name, (_, snapshot) in last.items():
        accounts[name] = _account_summary(told[name], snapshot, exchange.books_since(marks[name]))
    settled = [agreed for agreed, _ in last.values()]
    return {
        "status": "OK" if all(settled) and all(row["status"] == "OK" for row in accounts.values()) else "NOT_OK",
        "equal": not any(row["differences"] for row in accounts.values()),
        "seconds": round(time.monotonic() - began_s, 1),
        "accounts": accounts,
    }


def _account_summary(told: Told, snapshot: Mapping[str, Any], truth: BooksTruth) -> dict[str, Any]:
    return {
        "status": snapshot["reconcile"]["status"],
        "explanations": snapshot["reconcile"]["explanations"],
        "actions": told.actions,
        "acts": told.acts,
        "fills": told.fills,
        "incomes": told.incomes,
        "snapshots": told.snapshots,
        "divergences": told.divergences,
        "exchange": {theirs: plain(truth[theirs]) for theirs in SUMS},  # type: ignore[literal-required]  # its words
        "k": {ours: snapshot["k"][ours] for ours in SUMS.values()},
        "wallet": snapshot["e"]["wallet_balance"],
        "positions": len(snapshot["k"]["positions"]),
        "published": snapshot["published"],
        "differences": differences(truth, snapshot),
    }


async def _trade(exchange: SimulatedExchange, name: str, told: Told, duration_s: float, *, began: int) -> None:
    def on_action(action: Action) -> None:
        told.actions += 1
        told.acts[action.verb] = told.acts.get(action.verb, 0) + 1

    actions = max(1, int(duration_s * ACTIONS_PER_S))
    await trade(exchange, name, actions=actions, seed=began, pause=duration_s / actions, on_action=on_action)


async def _last_answer(daemon: Daemon, client: ApiClient, name: str) -> tuple[bool, dict[str, Any]]:
    """Settle, and give what the socket then says; marks move on, and may have drawn apart again before the answer."""
    for _ in range(ANSWERS_MAX):
        settled = await _settled(daemon, name)
        snapshot: dict[str, Any] = await client.get(f"/v1/accounts/{name}/snapshot")
        if not settled or snapshot["reconcile"]["status"] == "OK":
            break
    return settled, snapshot


async def _settled(daemon: Daemon, name: str) -> bool:
    """Ask the exchange once more, and wait until both ledgers stand still and agree."""
    service = daemon.accounts[name]
    state = service.pipeline.projection.state
    after_us = daemon.clock.now_us()
    service.feed.request_audit()

    def agreed() -> bool:
        answered = all(state.answered_us.get(question.value, 0) > after_us for question in FINAL_QUESTIONS)
        return answered and state.status == "OK" and not service.not_ready()

    return await _until(service.hub, agreed, SETTLE_S_MAX)


async def _until(hub: Hub, holds: Any, seconds_max: float) -> bool:
    """Wait for records until something holds; says whether it came to hold in time."""
    try:
        async with asyncio.timeout(seconds_max):
            with hub.subscribe(None, None) as records:
                while not holds():
                    async for _ in records:
                        break
    except TimeoutError:
        return False
    return True


async def _watch(hub: Hub, told: Told) -> None:
    with hub.subscribe(None, None) as batches:
        async for batch in batches:
            for line in batch.splitlines():
                record = orjson.loads(line)
                told.fills += record["type"] == RecordType.FILL
                told.incomes += record["type"] == RecordType.INCOME
                if record["type"] == RecordType.DIVERGENCE:
                    told.divergences += record["divergence"]["state"] == "open"
                if record["type"] == RecordType.SNAPSHOT:
                    told.snapshots += 1
                    told.last = record["snapshot"]


async def _show(told: Mapping[str, Told]) -> None:
    """Show a line an account a few times a second: what happened, K, E and the verdict."""
    while True:
        await asyncio.sleep(SHOWN_S)
        for name, seen in told.items():
            if not seen.last:
                continue
            k, e, verdict = seen.last["k"], seen.last["e"], seen.last["reconcile"]
            click.echo(
                f"{name:<7} {seen.actions:>4} acts {seen.fills:>4} fills {seen.incomes:>3} incomes"
                f"  K {_short(k['capital_raw'])}  E {_short(e['wallet_balance'])}"
                f"  {k['open_positions']:>2} open  {verdict['status']:<7} {' '.join(verdict['explanations'][:1])}"
            )


def _short(figure: str | None) -> str:
    return f"{'–' if figure is None else f'{Decimal(figure):.8f}':>16}"


def _show_summary(summary: Mapping[str, Any]) -> None:
    for name, row in summary["accounts"].items():
        click.echo(
            f"\n{name}: {row['fills']} fills, {row['incomes']} fundings and transfers, {row['snapshots']} snapshots"
        )
        for theirs, ours in SUMS.items():
            same = "=" if row["exchange"][theirs] == row["k"][ours] else "≠"
            click.echo(f"  {ours:<14} exchange {row['exchange'][theirs]:>20} {same} K {row['k'][ours]}")
        for line in row["differences"] + row["explanations"]:
            click.echo(f"  {line}")
        click.echo(
            f"  verdict {row['status']}, {row['positions']} positions open, published {row['published']['source']}"
        )
    equal = "equal to the last digit" if summary["equal"] else "NOT equal"
    click.echo(f"\nthe exchange's own books and K are {equal}; the verdict is {summary['status']}")


__all__ = ["differences", "run_demo"]
