"""The verb `export`: an account's period for accountants and notebooks.

Enters: a journal as it lies there, a period, a format, a place to write. Leaves: a file or a folder, whole, and a line of
what stands in it. What holds: nothing is overwritten; nothing of the journal is changed; memory does not grow with it.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click

from ditad.cli.examples import examples
from ditad.cli.journals import Journals, on_journals
from ditad.cli.periods import Period, in_period, need, refuse_place, whole_file, whole_folder
from ditad.cli.progress import progress

PHASES = ("journal", "records", "days")
FORMATS: Final = ("beancount", "csv", "parquet")


@click.command(
    epilog=examples(
        "ditad export --config /etc/ditad/ditad.toml --format beancount --out main.beancount",
        "ditad export --config /etc/ditad/ditad.toml --format csv --since 30d --out last-month",
        "ditad export --config /etc/ditad/ditad.toml --format parquet --out books",
    )
    + "\n\ncsv and parquet are a folder with the tables fills, income, trades and days; the columns are described in "
    "datapackage.json beside the csv files and in the parquet files' own schemas. Amounts are exact: text in csv, "
    "decimal128(38, 18) in parquet. What nobody told is empty."
)
@on_journals
@in_period
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The file (beancount) or folder to write; it must not exist.",
)
def export(journals: Journals, period: Period, form: str, out: Path) -> int:
    """Write an account's period: a beancount ledger with balances the exchange stated, or tables."""
    account = journals.only
    if form == "parquet":
        need("pyarrow", "export")
    refuse_place(out)
    with progress(account, *PHASES) as step, ExitStack() as stack:
        # Loaded behind the bar's first drawing: the journal and the fold take a moment to load.
        from ditad.chronicle import chronicle_of  # noqa: PLC0415
        from ditad.export import writing  # noqa: PLC0415
        from ditad.export.books import Books, books_of  # noqa: PLC0415
        from ditad.journal import Reader  # noqa: PLC0415

        reader = stack.enter_context(Reader.open(journals.folder, account))
        chronicle = chronicle_of(reader, account, lambda done, total: step("journal", done, total))

        def books() -> Books:
            return books_of(chronicle, period.since_us, period.until_us, step)

        if form == "beancount":
            with whole_file(out) as partial, partial.open("w", encoding="utf-8") as file:
                written = writing.write_beancount(books(), file)
        else:
            with whole_folder(out) as partial:
                written = (
                    writing.write_csv(books(), partial) if form == "csv" else writing.write_parquet(books, partial)
                )
    counted = ", ".join(f"{count} {name}" for name, count in written.rows.items())
    click.echo(f"{out}: {counted or 'nothing'} of {account}")
    if written.unknown:
        click.echo(f"{account}: {written.unknown} amounts have not been told by anybody: they are left empty", err=True)
    for remark in written.remarks:
        click.echo(f"{account}: {remark}", err=True)
    return 0
