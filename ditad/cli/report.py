"""The verb `report`: an account's period as one page of HTML.

Enters: a journal as it lies there, a period, a file to write. Leaves: the file, whole, and a line of what stands in it.
What holds: nothing is overwritten; nothing of the journal is changed; memory does not grow with the journal.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import click

from ditad.cli.examples import examples
from ditad.cli.journals import Journals, on_journals
from ditad.cli.periods import Period, in_period, need, refuse_place, whole_file
from ditad.cli.progress import progress

PHASES = ("journal", "snapshots", "records")


@click.command(
    epilog=examples(
        "ditad report --config /etc/ditad/ditad.toml --out main.html",
        "ditad report --config /etc/ditad/ditad.toml --account main --since 30d --out last-month.html",
    )
)
@on_journals
@in_period
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write; it must not exist.")
def report(journals: Journals, period: Period, out: Path) -> int:
    """Write one self-contained page: equity, profit, costs, the verdict's timeline, closed trades."""
    account = journals.only
    need("jinja2", "report")
    refuse_place(out)
    with progress(account, *PHASES) as step, ExitStack() as stack:
        # Loaded behind the bar's first drawing: the journal, the fold and the template engine take a moment.
        from ditad.chronicle import chronicle_of  # noqa: PLC0415
        from ditad.journal import Reader  # noqa: PLC0415
        from ditad.report.gathering import gather  # noqa: PLC0415
        from ditad.report.rendering import page_of  # noqa: PLC0415

        reader = stack.enter_context(Reader.open(journals.folder, account))
        chronicle = chronicle_of(reader, account, lambda done, total: step("journal", done, total))
        found = gather(chronicle, period.since_us, period.until_us, step)
        page = page_of(found, last_n=chronicle.last_n, made_us=time.time_ns() // 1_000)
    with whole_file(out) as partial:
        partial.write_text(page)
    unknown = f", {found.sums.unknown} amounts that nobody told" if found.sums.unknown else ""
    click.echo(
        f"{out}: {found.snapshots} snapshots, {found.sums.fills} fills, {found.sums.incomes} incomes,"
        f" {found.trades.newest.count} closed trades of {account}{unknown}, {out.stat().st_size} bytes"
    )
    return 0
