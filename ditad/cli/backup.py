"""The verb `backup`: a consistent copy of one journal, while the daemon goes on.

Enters: the settings and where to write. Leaves: a file that was read back and found whole. What holds: nothing is
overwritten, and a copy that is not whole is not left behind under its name.
"""

from __future__ import annotations

from pathlib import Path

import click

from ditad.cli.examples import examples
from ditad.cli.journals import Journals, on_journals
from ditad.cli.periods import refuse_place
from ditad.errors import JournalDamagedError
from ditad.journal import Reader


@click.command(epilog=examples("ditad backup --config /etc/ditad/ditad.toml --out /var/backups/main.journal"))
@on_journals
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write; it must not exist.")
def backup(journals: Journals, out: Path) -> int:
    """Copy one account's journal; restoring it is copying it back, which opens a gap."""
    account = journals.only
    with Reader.open(journals.folder, account) as reader:
        refuse_place(out)
        reader.copy_to(out)
    with Reader.open_file(out, account) as copy:
        problems = copy.integrity()
        events = copy.last_n
    if problems:
        out.unlink()
        raise JournalDamagedError(f"the copy was not whole ({problems[0]}) and is gone: run `ditad verify`, then again")
    click.echo(f"{out}: {events} events of {account}, {out.stat().st_size} bytes, read back whole")
    return 0
