"""The verb `snapshot`: both ledgers of the present moment.

Enters: the snapshot as the daemon gives it. Leaves: it, or its figures side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click
import orjson

from ditad.api.client import ApiClient
from ditad.cli.asking import Asked, account_of, ask, asking
from ditad.cli.examples import examples
from ditad.cli.moments import ago
from ditad.cli.screen import screen
from ditad.cli.tables import column, table, text_of

FIGURES: Final = (
    ("capital · wallet", "capital_raw", "wallet_balance"),
    ("realized_pnl", "realized_pnl", "realized_pnl"),
    ("book_realized_pnl", "book_realized_pnl", None),
    ("unrealized_pnl", "unrealized_pnl", None),
    ("fees_paid", "fees_paid", None),
    ("funding_paid", "funding_paid", None),
    ("transfers", "transfers", None),
    ("other_income", "other_income", None),
    ("open_notional", "open_notional", None),
    ("equity", "equity", None),
    ("used_margin", "used_margin", "used_margin"),
    ("available_margin", "available_margin", "available_margin"),
    ("open_positions", "open_positions", None),
    ("leverage", "leverage", None),
)
"""What is shown of each ledger: the name, and where K and E have it (`None`: E does not state it)."""


@click.command(epilog=examples("ditad snapshot", "ditad snapshot --json"))
@asking
def snapshot(asked: Asked) -> int:
    """Show the present snapshot: both ledgers and the verdict."""

    async def question(client: ApiClient) -> bytes:
        return await client.ask(f"/v1/accounts/{await account_of(client, asked)}/snapshot")

    answer = ask(asked, question)
    click.echo(answer.decode().rstrip() if asked.as_json else "\n".join(shown(orjson.loads(answer))))
    return 0


def since(moment: str | None) -> str:
    """Write a moment, and for a person at a terminal how long ago it was."""
    here = screen()
    told = text_of(moment)
    return told if here is None or moment is None else f"{told} ({ago(moment, here.now)})"


def shown(body: Mapping[str, Any]) -> list[str]:
    """Lay a snapshot out for a person."""
    k, e = body["k"], body["e"]
    rows = [
        {"figure": name, "k": k.get(of_k), "e": e.get(of_e) if of_e is not None else None}
        for name, of_k, of_e in FIGURES
    ]
    published, coverage = body["published"], body["coverage"]
    return [
        f"{body['account']}  event_seq {body['event_seq']}  {body['ts']}  {text_of(body['reconcile']['status'])}",
        f"published {text_of(published['capital'])} ({published['source']})",
        f"coverage {coverage['state']} through {since(coverage['covered_through'])}",
        *body["reconcile"]["explanations"],
        "",
        *table((column("figure"), column("k"), column("e")), rows),
    ]
