"""The verb `diff`: what changed between two snapshots.

Enters: two moments or numbers. Leaves: every figure that is another, with its exact difference; positions, divergences
and gaps that came or went; how many records of each type were made between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click
import orjson

from ditad.api.client import ApiClient
from ditad.cli.asking import Asked, account_of, ask, asking
from ditad.cli.examples import examples
from ditad.cli.moments import moment_or_number
from ditad.cli.screen import screen
from ditad.cli.tables import Table, column, text_of

FIGURES = (column("figure", "field"), column("a"), column("b"), column("difference"))
POSITIONS = (
    column("ledger"),
    column("symbol"),
    column("side"),
    column("change", rank=1),
    column("figure", "field"),
    column("a", rank=2),
    column("b"),
    column("difference"),
)


@click.command(epilog=examples("ditad diff 12 20", "ditad diff 12 10m --json"))
@asking
@click.argument("a", metavar="TIME|EVENT_SEQ")
@click.argument("b", metavar="TIME|EVENT_SEQ")
def diff(asked: Asked, a: str, b: str) -> int:
    """Say what changed between two snapshots, each of a moment (10m ago, or a time) or of a number."""
    now = datetime.now(UTC)
    pair = {name: moment_or_number(text, now, f"diff {name}")[1] for name, text in (("a", a), ("b", b))}

    async def question(client: ApiClient) -> bytes:
        return await client.ask(f"/v1/accounts/{await account_of(client, asked)}/diff", **pair)

    answer = ask(asked, question)
    click.echo(answer.decode().rstrip() if asked.as_json else "\n".join(shown(orjson.loads(answer))))
    return 0


def shown(found: Mapping[str, Any]) -> Iterator[str]:
    """Lay a difference out for a person."""
    for name in ("a", "b"):
        stands = found[name]
        yield f"{name}  event_seq {stands['event_seq']}  {stands['ts']}"
    made = {kind: count for kind, count in found["records"].items() if count}
    yield f"records between: {text_of(made)}"
    rows = [*found["figures"], *found["texts"]]
    if rows:
        yield ""
        yield from Table(FIGURES, screen()).page(rows)
    rows = [position | figure for position in found["positions"] for figure in position["figures"]]
    if rows:
        yield ""
        yield from Table(POSITIONS, screen()).page(rows)
    for kind, name in (("divergence", "divergences"), ("gap", "gaps")):
        for one in found[name]:
            words = [word for word in ("opened", "closed") if one[word]] or ["changed"]
            yield f"{kind} {one['id']} {' and '.join(words)}, now {one['state']}: {text_of(one['about'])}"
