"""The list verbs: `positions`, `fills`, `income`, `divergences`, `gaps`.

Enters: which list, from where, how many. Leaves: a table that fits the terminal, or whole where it is piped, or with
`--json` the answer. What holds: however long the list, one page of it is in memory; a column left out for want of room
is named.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final

import click
import orjson

from ditad.api.client import ApiClient
from ditad.cli.asking import Asked, account_of, ask, asking
from ditad.cli.examples import examples
from ditad.cli.screen import paint, screen
from ditad.cli.tables import Column, Table, column

PAGE_ROWS: Final = 1_000
"""The most that one answer holds. (interfaces.md §3)"""

STATES: Final = ("open", "confirmed", "healed", "adopted")

COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "positions": (
        column("symbol"),
        column("side"),
        column("k qty", "k.qty"),
        column("e qty", "e.qty"),
        column("k entry", "k.entry_price", rank=4),
        column("e entry", "e.entry_price", rank=3),
        column("e mark", "e.mark_price", rank=2),
        column("k unrealized", "k.unrealized_pnl", rank=5),
        column("leverage", "k.leverage", rank=1),
    ),
    "fills": (
        column("seq", rank=4),
        column("at", moment=True),
        column("symbol"),
        column("side"),
        column("position", "position_side", rank=3),
        column("qty"),
        column("price"),
        column("fee", rank=6),
        column("asset", "fee_asset", rank=2),
        column("realized", "realized_pnl", rank=7),
        column("order", "order_id", rank=1),
    ),
    "income": (
        column("seq", rank=2),
        column("at", moment=True),
        column("kind"),
        column("symbol"),
        column("amount"),
        column("asset", rank=3),
        column("tran id", "tran_id", rank=1),
    ),
    "divergences": (
        column("seq", rank=1),
        column("first at", "first_at", moment=True),
        column("state"),
        column("severity", rank=2),
        column("class", rank=3),
        column("field"),
        column("k", rank=5),
        column("e", rank=4),
        column("delta"),
        column("cause", "attribution", rank=6),
    ),
    "gaps": (
        column("seq", rank=1),
        column("id"),
        column("state"),
        column("from", moment=True),
        column("to", moment=True),
        column("kinds", rank=3),
        column("by", rank=2),
        column("cause"),
    ),
}


def paging(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a list verb the options that say which part of the list."""
    verb = click.option("--after-seq", type=click.IntRange(0), default=0, help="Only what comes after this seq.")(verb)
    return click.option("--limit", type=click.IntRange(1), help="At most so many rows.")(verb)


@click.command(epilog=examples("ditad positions", "ditad positions --json"))
@asking
def positions(asked: Asked) -> int:
    """List positions as both ledgers have them, side by side."""
    return _show(asked, "positions", after_seq=0, limit=None)


@click.command(epilog=examples("ditad fills --limit 20", "ditad fills --after-seq 100 --json"))
@asking
@paging
def fills(asked: Asked, after_seq: int, limit: int | None) -> int:
    """List fills, oldest first."""
    return _show(asked, "fills", after_seq=after_seq, limit=limit)


@click.command(epilog=examples("ditad income", "ditad income --json"))
@asking
@paging
def income(asked: Asked, after_seq: int, limit: int | None) -> int:
    """List funding, transfers and other income, oldest first."""
    return _show(asked, "income", after_seq=after_seq, limit=limit)


@click.command(epilog=examples("ditad divergences", "ditad divergences --state open --state confirmed --json"))
@asking
@paging
@click.option("--state", type=click.Choice(STATES), multiple=True, help="Only those in this state; may be repeated.")
def divergences(asked: Asked, after_seq: int, limit: int | None, state: Sequence[str]) -> int:
    """List differences between the ledgers, oldest first."""
    return _show(asked, "divergences", after_seq=after_seq, limit=limit, state=",".join(state))


@click.command(epilog=examples("ditad gaps", "ditad gaps --json"))
@asking
@paging
def gaps(asked: Asked, after_seq: int, limit: int | None) -> int:
    """List spans in which facts may have been missed, and what closed them."""
    return _show(asked, "gaps", after_seq=after_seq, limit=limit)


def _show(asked: Asked, what: str, *, after_seq: int, limit: int | None, state: str = "") -> int:
    async def question(client: ApiClient) -> int:
        path = f"/v1/accounts/{await account_of(client, asked)}/{what}"
        pages = _pages(client, path, after_seq=after_seq, limit=limit, state=state)
        if asked.as_json:
            await _write_json(pages)
        else:
            await _write_table(pages, COLUMNS[what])
        return 0

    return ask(asked, question)


async def _pages(
    client: ApiClient, path: str, *, after_seq: int, limit: int | None, state: str
) -> AsyncGenerator[tuple[list[dict[str, Any]], int | None], None]:
    """Give page after page, each with the `seq` after which the next one begins (`None`: it was the last)."""
    left = limit
    cursor: int | None = after_seq
    filters = {"state": state} if state else {}
    while cursor is not None and left != 0:
        size = PAGE_ROWS if left is None else min(PAGE_ROWS, left)
        page = await client.get(path, after_seq=cursor, limit=size, **filters)
        items, cursor = page["items"], page["next_after_seq"]
        left = None if left is None else left - len(items)
        yield items, cursor


async def _write_json(pages: AsyncGenerator[tuple[list[dict[str, Any]], int | None], None]) -> None:
    """Write all pages as one answer."""
    before = '{"items":['
    after: int | None = None
    async for items, next_seq in pages:
        after = next_seq
        if items:
            click.echo(before + ",".join(orjson.dumps(item).decode() for item in items), nl=False)
            before = ","
    opening = "" if before == "," else before
    click.echo(f'{opening}],"next_after_seq":{orjson.dumps(after).decode()}}}')


async def _write_table(
    pages: AsyncGenerator[tuple[list[dict[str, Any]], int | None], None], columns: tuple[Column, ...]
) -> None:
    laid = Table(columns, screen())
    heading, count = True, 0
    async for items, _ in pages:
        lines = laid.page(items)
        if heading:
            click.echo(paint(lines[0], bold=True))
            lines = lines[1:]
        if lines:
            click.echo("\n".join(lines))
        heading, count = False, count + len(items)
    if screen() is not None:
        _remark(laid.omitted, count)


def _remark(omitted: Sequence[str], count: int) -> None:
    """Tell a person what the table does not show."""
    if not count:
        click.echo("there are none", err=True)
    elif omitted:
        click.echo(f"no room for {', '.join(omitted)}: a wider terminal, a pipe or --json has them", err=True)
