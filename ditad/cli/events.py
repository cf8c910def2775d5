"""The verb `events`: records as they were made, or as they come.

Enters: from where, which types, whether to follow. Leaves: one line a record, NDJSON with `--json`. What holds: with
`-f` it goes on where it was across a restart of the daemon; what it says about that goes to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

import click

from ditad.api import following
from ditad.api.client import ApiClient
from ditad.cli.asking import Asked, account_of, ask, asking
from ditad.cli.moments import moment
from ditad.cli.tables import text_of
from ditad.errors import UsageError
from ditad.records import RecordType

FIELDS: Final = {
    "fill": ("symbol", "position_side", "side", "qty", "price", "fee", "realized_pnl"),
    "income": ("kind", "symbol", "amount", "asset"),
    "divergence": ("state", "severity", "class", "field", "delta"),
    "gap": ("id", "state", "cause", "by"),
    "stream": ("state", "detail"),
    "rejected": ("source", "reason"),
    "account_event": ("stage", "asset", "side", "pnl"),
}
"""What is shown of each type without `--json`."""

EXAMPLES: Final = "\b\nditad events --since 10m\nditad events -f --type fill --json | jq .fill.price"


@click.command(epilog=EXAMPLES)
@asking
@click.option("-f", "--follow", is_flag=True, help="Go on as records come, until Ctrl+C.")
@click.option("--since", metavar="10m|TIME", help="Only what was made after this moment.")
@click.option("--after-seq", type=click.IntRange(0), help="Only what comes after this seq; 0 is the oldest kept.")
@click.option(
    "--type",
    "types",
    type=click.Choice([kind.value for kind in RecordType]),
    multiple=True,
    help="Only this type; may be repeated.",
)
@click.option(
    "--give-up",
    type=click.FloatRange(0),
    default=following.GIVE_UP_S,
    show_default=True,
    metavar="S",
    help="With -f: how long to look for a daemon that went away.",
)
def events(
    asked: Asked, follow: bool, since: str | None, after_seq: int | None, types: Sequence[str], give_up: float
) -> int:
    """Show records: all that are kept, those since a moment, or with -f those that come."""
    if since is not None and after_seq is not None:
        raise UsageError("--since and --after-seq: give one of them")
    since_moment = None if since is None else moment(since, datetime.now(UTC))
    if not follow and since is None and after_seq is None:
        after_seq = 0

    async def question(client: ApiClient) -> int:
        account = await account_of(client, asked)
        start: dict[str, Any] = {"after_seq": after_seq, "since": since_moment, "types": tuple(types)}
        if follow:
            lines = following.follow(client, account, **start, notice=_notice, give_up_s=give_up)
        else:
            lines = following.events(client, account, **start)
        async with aclosing(lines) as stream:
            async for line in stream:
                _show(line, as_json=asked.as_json, flush=follow)
        return 0

    return ask(asked, question)


def _show(line: following.StreamLine, *, as_json: bool, flush: bool) -> None:
    if as_json:
        sys.stdout.write(line.text.decode() + "\n")
    elif line.type != "bookmark":
        word = click.style(f"{line.type:<13}", bold=True) if sys.stdout.isatty() else f"{line.type:<13}"
        sys.stdout.write(f"{line.value['ts']}  {line.value['seq']:>8}  {word}  {told(line.value)}".rstrip() + "\n")
    if flush:
        sys.stdout.flush()


def told(record: Mapping[str, Any]) -> str:
    """Write what matters of a record in a line."""
    kind = str(record["type"])
    body = record.get(kind)
    if not isinstance(body, Mapping):
        return ""
    if kind == "snapshot":
        verdict, published = body["reconcile"], body["published"]
        words = [verdict["status"], verdict["worst_field"], "K", body["k"]["capital_raw"]]
        words += ["E", body["e"]["wallet_balance"], published["source"], body["coverage"]["state"]]
    else:
        words = [body.get(field) for field in FIELDS.get(kind, ())]
    return " ".join(text_of(word) for word in words if word != "")


def _notice(sentence: str) -> None:
    click.echo(f"ditad events: {sentence}", err=True)
