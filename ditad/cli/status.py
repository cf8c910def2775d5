"""The verb `status`: is all well, and if not, why.

Enters: the daemon's accounts and their snapshots. Leaves: a line per account with its reasons beneath, and the worst
verdict as the exit code. What holds: an account that is not ready or not served is at best UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import click
import orjson

from ditad.api.client import AnsweredError, ApiClient
from ditad.cli.asking import Asked, ask, asking
from ditad.cli.examples import examples
from ditad.cli.screen import paint, screen
from ditad.cli.snapshot import since
from ditad.cli.tables import text_of
from ditad.cli.verdicts import COLOURS, EXIT_CODES, worst
from ditad.errors import UsageError

ASK_DOCTOR: Final = "if this lasts, run `ditad doctor`, which asks the exchange"
"""What to do where there is no ledger or no living stream, and the daemon goes on trying."""

REASONS_MAX: Final = 50
"""Of one account at most so many reasons are shown, then how many more there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatus:
    """One account: its verdict, its figures, and why."""

    account: str
    status: str
    k: str | None
    e: str | None
    published: Mapping[str, Any]
    coverage: Mapping[str, Any]
    reasons: tuple[str, ...]
    what_to_do: str | None


@click.command(epilog=examples("ditad status", "ditad status --account main --json"))
@asking
def status(asked: Asked) -> int:
    """Say whether the books agree. Exit code: 0 OK, 1 WARN, 2 ERROR, 3 UNKNOWN, the worst of all accounts."""

    async def question(client: ApiClient) -> list[AccountStatus]:
        items = (await client.get("/v1/accounts"))["items"]
        chosen = [item for item in items if asked.account in {None, item["account"]}]
        if asked.account is not None and not chosen:
            known = ", ".join(item["account"] for item in items) or "none"
            raise UsageError(f"there is no account {asked.account}; known: {known}")
        return [judged(item, await _snapshot(client, item["account"])) for item in chosen]

    accounts = ask(asked, question)
    verdict = worst(account.status for account in accounts)
    if asked.as_json:
        click.echo(orjson.dumps({"status": verdict, "accounts": accounts}))
    elif not accounts:
        click.echo("UNKNOWN: the daemon has no account")
    for account in () if asked.as_json else accounts:
        head, rest = lines(account)
        here = screen()
        if here is not None and len(account.account) + 11 + len("  ".join(head)) > here.width:
            head, rest = head[:1], [*head[1:], *rest]
        word = paint(account.status.ljust(7), fg=COLOURS.get(account.status), bold=True)
        click.echo(f"{account.account}  {word}  {'  '.join(head)}")
        for line in rest:
            click.echo(f"    {line}")
    return EXIT_CODES[verdict]


def judged(item: Mapping[str, Any], snapshot: Mapping[str, Any] | None) -> AccountStatus:
    """Make one account's status of what the daemon says of it and of its snapshot, if there is one."""
    body: Mapping[str, Any] = snapshot or {}
    reconcile = body.get("reconcile") or {}
    coverage = body.get("coverage") or {}
    statuses = [str(item["verdict"].get("status", "UNKNOWN")), str(reconcile.get("status", "UNKNOWN"))]
    if not item["ready"]:
        statuses.append("UNKNOWN")
    remedy = item["what_to_do"]
    if remedy is None and not item["ready"] and (body.get("baseline") is None or coverage.get("state") == "stale"):
        remedy = ASK_DOCTOR
    unknown = [f"{each['kind']} amount unknown, order {text_of(each['order_id'])}" for each in _unknown(body)]
    told = [*reconcile.get("explanations", ()), *item["reasons"], *unknown]
    reasons = dict.fromkeys(_without(remedy, reason) for reason in told)
    if snapshot is None:
        reasons["nothing was heard of the account yet"] = None
    return AccountStatus(
        account=str(item["account"]),
        status=worst(statuses),
        k=(body.get("k") or {}).get("capital_raw"),
        e=(body.get("e") or {}).get("wallet_balance"),
        published=body.get("published") or {"capital": None, "source": "unknown", "usable": False, "valid_until": None},
        coverage={"state": coverage.get("state"), "covered_through": coverage.get("covered_through")},
        reasons=tuple(reasons),
        what_to_do=remedy,
    )


def _without(remedy: str | None, reason: str) -> str:
    """Take what to do out of a reason: it is said once, below."""
    return reason if remedy is None else reason.replace(f": {remedy}", "").replace(remedy, "see below")


def lines(account: AccountStatus) -> tuple[list[str], list[str]]:
    """Write an account's figures; and its reasons, then what to do."""
    published = account.published
    usable = "usable" if published["usable"] else "not usable"
    figures = [
        f"K {text_of(account.k)}  E {text_of(account.e)}",
        f"published {text_of(published['capital'])} ({text_of(published['source'])}, {usable})",
        f"coverage {text_of(account.coverage['state'])} through {since(account.coverage['covered_through'])}",
    ]
    told = [text_of(reason) for reason in account.reasons[:REASONS_MAX]]
    if len(account.reasons) > REASONS_MAX:
        told.append(f"and {len(account.reasons) - REASONS_MAX} more: see `ditad divergences` and `ditad gaps`")
    if account.what_to_do is not None:
        told.append(f"to do: {text_of(account.what_to_do)}")
    return figures, told


def _unknown(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((body.get("k") or {}).get("unknown") or ())


async def _snapshot(client: ApiClient, account: str) -> Mapping[str, Any] | None:
    try:
        return await client.get(f"/v1/accounts/{account}/snapshot")
    except AnsweredError as exc:
        if exc.code == "unavailable":
            return None
        raise
