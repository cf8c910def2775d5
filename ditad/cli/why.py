"""The verb `why`: the entries that make a figure.

Enters: the figure's name, and of which snapshot. Leaves: a table with a running total, or with `--json` the answer. What
holds: all pages are of one snapshot; however many entries there are, one page of them is in memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import click
import orjson

from ditad.api.client import ApiClient
from ditad.cli.asking import Asked, account_of, ask, asking
from ditad.cli.examples import examples
from ditad.cli.screen import paint, screen
from ditad.cli.tables import Table, column, text_of
from ditad.errors import JournalDamagedError

PAGE_ROWS: Final = 1_000
COLUMNS: Final = (
    column("seq", rank=2),
    column("at", moment=True),
    column("what"),
    column("operation", rank=3),
    column("amount"),
    column("running total", "running_total"),
    column("of", "told", rank=1),
)
KNOWN: Final = frozenset({"seq", "at", "what", "operation", "amount", "running_total"})
DIFFERENT: Final = (
    "the entries do not make the figure: run `ditad verify`, and where it finds nothing, please report this"
)


@click.command(
    epilog=examples(
        "ditad why capital_raw", "ditad why fees_paid --limit 5", "ditad why deltas.capital_vs_wallet --json"
    )
)
@asking
@click.argument("field")
@click.option("--event-seq", type=click.IntRange(1), help="Of this snapshot instead of the newest.")
@click.option("--after-seq", type=click.IntRange(0), default=0, help="Only what comes after this seq.")
@click.option("--limit", type=click.IntRange(1), help="At most so many entries.")
def why(asked: Asked, field: str, event_seq: int | None, after_seq: int, limit: int | None) -> int:
    """Show the entries that make FIELD of a snapshot, with a running total.

    FIELD is a figure of K, position:SYMBOL:SIDE, entry_price:SYMBOL:SIDE, e.FIGURE, deltas.FIELD or published.capital;
    a wrong one is answered with those there are.
    """

    async def question(client: ApiClient) -> int:
        path = f"/v1/accounts/{await account_of(client, asked)}/why"
        pages = _pages(client, path, field, event_seq=event_seq, after_seq=after_seq, limit=limit)
        last = await (_write_json(pages) if asked.as_json else _write_table(pages))
        if last["exact"] is False and not after_seq:
            raise JournalDamagedError(DIFFERENT)
        return 0

    return ask(asked, question)


async def _pages(
    client: ApiClient, path: str, field: str, *, event_seq: int | None, after_seq: int, limit: int | None
) -> AsyncGenerator[dict[str, Any], None]:
    """Give page after page, all of them of the snapshot that the first one is of."""
    left, cursor, pinned = limit, after_seq, {} if event_seq is None else {"event_seq": event_seq}
    while True:
        size = PAGE_ROWS if left is None else min(PAGE_ROWS, left)
        page = await client.get(path, field=field, after_seq=cursor, limit=size, **pinned)
        yield page
        left = None if left is None else left - len(page["items"])
        if page["next_after_seq"] is None or (left is not None and left <= 0):
            return
        cursor, pinned = page["next_after_seq"], {"event_seq": page["event_seq"]}


async def _write_json(pages: AsyncGenerator[dict[str, Any], None]) -> Mapping[str, Any]:
    """Write all pages as one answer."""
    page: dict[str, Any] = {}
    before = ""
    async for page in pages:
        if not before:
            head = {name: value for name, value in page.items() if name not in {"items", "next_after_seq", "exact"}}
            click.echo(orjson.dumps(head).decode().removesuffix("}") + ',"items":[', nl=False)
        if page["items"]:
            click.echo(before + ",".join(orjson.dumps(item).decode() for item in page["items"]), nl=False)
        before = ","
    rest = {name: page[name] for name in ("exact", "next_after_seq")}
    click.echo("]," + orjson.dumps(rest).decode().removeprefix("{"))
    return page


async def _write_table(pages: AsyncGenerator[dict[str, Any], None]) -> Mapping[str, Any]:
    page: dict[str, Any] = {}
    heading = True
    laid = Table(COLUMNS, screen())
    async for page in pages:
        lines = laid.page([_row(item) for item in page["items"]])
        if heading:
            for line in _head(page):
                click.echo(line)
            click.echo(paint(lines[0], bold=True))
            lines = lines[1:]
        if lines:
            click.echo("\n".join(lines))
        heading = False
    return page


def _head(page: Mapping[str, Any]) -> list[str]:
    count = "many" if page["count"] is None else page["count"]
    said = f"{page['account']}  event_seq {page['event_seq']}  {page['ts']}"
    lines = [said, f"{page['field']} = {text_of(page['value'])}, {count} entries"]
    return lines if page["note"] is None else [*lines, text_of(page["note"])]


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in item.items() if name not in KNOWN and value is not None}
    return {**{name: item[name] for name in KNOWN}, "told": told}
