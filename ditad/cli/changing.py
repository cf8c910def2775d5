"""The verbs that change something: `audit` asks the exchange now, `adopt` accepts what it states as the new baseline.

Enters: the account, and for an adoption why. Leaves: what the daemon did. What holds: an adoption shows first what it
would be, and is confirmed by a person at a terminal or by `--yes`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import click
import orjson

from ditad.api.client import ApiClient
from ditad.cli.asking import Asked, account_of, ask, asking
from ditad.cli.examples import examples
from ditad.cli.tables import column, table, text_of
from ditad.errors import RefusedError, UsageError
from ditad.money import plain, sub

LEDGERS = (column("figure"), column("k"), column("e"), column("k - e", "difference"))


@click.command(epilog=examples("ditad audit"))
@asking
def audit(asked: Asked) -> int:
    """Ask the exchange now, instead of at the next interval; the answers come with the events."""

    async def question(client: ApiClient) -> dict[str, Any]:
        return await client.send("POST", f"/v1/accounts/{await account_of(client, asked)}/audit", {})

    done = ask(asked, question)
    told = f"{done['account']}: the exchange is being asked; `ditad events -f` shows what comes of it"
    click.echo(orjson.dumps(done).decode() if asked.as_json else told)
    return 0


@click.command(epilog=examples("ditad adopt --why 'the exchange deleted a position' --yes"))
@asking
@click.option("--why", required=True, help="The reason; it is recorded with who adopted.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def adopt(asked: Asked, why: str, yes: bool) -> int:
    """Accept what the exchange states as the new baseline: K begins again at E, its sums at 0."""
    if not why.strip():
        raise UsageError("--why: say why E is to be adopted; it is recorded")
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("adopt: there is no terminal to confirm at: look at `ditad snapshot`, then say --yes")

    async def question(client: ApiClient) -> dict[str, Any]:
        account = await account_of(client, asked)
        snapshot = await client.get(f"/v1/accounts/{account}/snapshot")
        for line in shown(snapshot):
            click.echo(line, err=True)
        if not yes and not click.confirm(f"Adopt this as the new baseline of {account}?", err=True):
            raise RefusedError("nothing was adopted")
        return await client.send("POST", f"/v1/accounts/{account}/adopt", {"why": why})

    done = ask(asked, question)
    baseline = done.get("baseline") or {}
    told = f"adopted: baseline {text_of(baseline.get('id'))}, wallet {text_of(baseline.get('wallet'))}"
    click.echo(orjson.dumps(done).decode() if asked.as_json else told)
    return 0


def shown(body: Mapping[str, Any]) -> Iterator[str]:
    """Lay out what would be adopted: both ledgers, and what is between them."""
    yield f"{body['account']}  event_seq {body['event_seq']}  {body['ts']}  {text_of(body['reconcile']['status'])}"
    yield from table(LEDGERS, _rows(body))
    yield "adopting takes E: K's sums begin at 0, and open gaps and divergences end"


def _rows(body: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    yield _row("capital · wallet", body["k"]["capital_raw"], body["e"]["wallet_balance"])
    held = {ledger: {(row["symbol"], row["side"]): row for row in body[ledger]["positions"]} for ledger in ("k", "e")}
    for symbol, side in sorted({*held["k"], *held["e"]}):
        sides = [held[ledger].get((symbol, side)) for ledger in ("k", "e")]
        yield _row(f"{symbol} {side} qty", *("0" if row is None else row["qty"] for row in sides))
        yield _row(f"{symbol} {side} entry", *(None if row is None else row["entry_price"] for row in sides))


def _row(figure: str, k: str | None, e: str | None) -> dict[str, object]:
    told = None if k is None or e is None else plain(sub(Decimal(k), Decimal(e)))
    return {"figure": figure, "k": k, "e": e, "difference": told}
