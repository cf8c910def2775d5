"""The verb `at`: the account as it was.

Enters: a moment, or a snapshot's number. Leaves: the last snapshot at or before it, as it was published.
"""

from __future__ import annotations

from datetime import UTC, datetime

import click
import orjson

from ditad.api.client import ApiClient
from ditad.cli.asking import Asked, account_of, ask, asking
from ditad.cli.examples import examples
from ditad.cli.moments import moment_or_number
from ditad.cli.snapshot import shown


@click.command(epilog=examples("ditad at 10m", "ditad at 12", "ditad at 12 --json"))
@asking
@click.argument("when", metavar="TIME|EVENT_SEQ")
def at(asked: Asked, when: str) -> int:
    """Show the last snapshot at or before a moment (10m ago, or a time), or the one of a number."""
    name, value = moment_or_number(when, datetime.now(UTC), "at")

    async def question(client: ApiClient) -> bytes:
        return await client.ask(f"/v1/accounts/{await account_of(client, asked)}/snapshot", **{name: value})

    answer = ask(asked, question)
    click.echo(answer.decode().rstrip() if asked.as_json else "\n".join(shown(orjson.loads(answer))))
    return 0
