"""The verb `events`: records as they were made, or as they come.

Enters: from where, which types, whether to follow. Leaves: one line a record, NDJSON with `--json`; at a terminal in
colour and no longer than the terminal is wide. What holds: with `-f` it goes on where it was across a restart of the
daemon; what it says about that goes to stderr.
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
from ditad.cli.examples import examples
from ditad.cli.moments import moment
from ditad.cli.screen import Screen, paint, screen
from ditad.cli.tables import text_of
from ditad.cli.verdicts import COLOURS
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

TYPE_WIDTH: Final = 13

EXAMPLES: Final = examples(
    "ditad events --since 10m",
    "ditad events --after-seq 0 --type fill --json",
    "timeout 2 ditad events -f --type snapshot --type divergence",
)


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
        here = screen()
        async with aclosing(lines) as stream:
            async for line in stream:
                _show(line, here, as_json=asked.as_json, flush=follow or here is not None)
        return 0

    return ask(asked, question)


def _show(line: following.StreamLine, here: Screen | None, *, as_json: bool, flush: bool) -> None:
    if as_json:
        sys.stdout.write(line.text.decode() + "\n")
    elif line.type != "bookmark" and here is None:
        sys.stdout.write(f"{_head(line)}  {told(line.value)}".rstrip() + "\n")
    elif line.type != "bookmark" and here is not None:
        ts = line.value["ts"]
        head = _head(line).replace(ts, f"{ts[5:10]} {ts[11:19]}")  # a person sees by the seq what came first
        rest = told(line.value)[: max(0, here.width - len(head) - 2)]
        sys.stdout.write(f"{head[:-TYPE_WIDTH]}{paint(head[-TYPE_WIDTH:], bold=True)}  {_coloured(line.value, rest)}\n")
    if flush:
        sys.stdout.flush()


def _head(line: following.StreamLine) -> str:
    return f"{line.value['ts']}  {line.value['seq']:>8}  {line.type:<{TYPE_WIDTH}}"


def _coloured(record: Mapping[str, Any], text: str) -> str:
    """Give a line the colour of what it tells: the verdict's, that of a difference or gap while it lasts."""
    body = record.get(record["type"]) or {}
    match record["type"]:
        case "snapshot":
            word = body["reconcile"]["status"]
            return paint(word, fg=COLOURS.get(word)) + text.removeprefix(word)
        case "divergence":
            over = body["state"] in {"healed", "adopted"}
            return paint(text, fg="green" if over else COLOURS.get(body["severity"], "red"))
        case "gap" | "stream" | "rejected":
            bad = body.get("state", "") in {"open", "unclosable", "lost", "silent", "refused", "key_expired", ""}
            return paint(text, fg="yellow" if bad else None)
    return text


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
