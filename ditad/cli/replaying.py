"""The verbs `replay` and `verify`: is the journal what it says it led to.

Enters: the journals of a settings file. Leaves: what was compared, a sentence for everything that is wrong, and 65 then.
What holds: nothing is written; on a terminal the way is shown, elsewhere only the result.
"""

from __future__ import annotations

from typing import Final

import click
import orjson

from ditad.cli.examples import examples
from ditad.cli.journals import Journals, on_journals
from ditad.cli.progress import counted
from ditad.errors import JournalDamagedError
from ditad.journal import Reader
from ditad.replaying import Replayed
from ditad.sections import JOBS_MAX, checked, jobs_here

ADVICE: Final = "stop the daemon, keep a copy of the file, and restore the last `ditad backup` or ask for help"

jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, JOBS_MAX),
    default=jobs_here,
    help="Processes that fold side by side (default: as many as there are processors).",
)


@click.command(epilog=examples("ditad replay --config /etc/ditad/ditad.toml"))
@on_journals
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@jobs_option
def replay(journals: Journals, as_json: bool, jobs: int) -> int:
    """Fold journals again from their beginning and compare every snapshot they led to with the stored digests."""
    return _checked(journals, thorough=False, jobs=jobs, as_json=as_json)


@click.command(
    epilog=examples("ditad verify --config /etc/ditad/ditad.toml", "ditad verify --config /etc/ditad/ditad.toml --json")
)
@on_journals
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@jobs_option
def verify(journals: Journals, as_json: bool, jobs: int) -> int:
    """Check journals: the file, its numbering, and that folding leads to all that is stored."""
    return _checked(journals, thorough=True, jobs=jobs, as_json=as_json)


def _checked(journals: Journals, *, thorough: bool, jobs: int, as_json: bool) -> int:
    """Check one journal after the other; the worst decides the exit code."""
    code = 0
    for account in journals.accounts:
        with Reader.open(journals.folder, account) as reader:
            try:
                with counted(account) as come:
                    found = checked(reader, account, thorough=thorough, jobs=jobs, progress=come)
            except JournalDamagedError as exc:
                found = Replayed(account=account, problems=[str(exc)])
            path = str(reader.path)
        if found.problems:
            code = JournalDamagedError.exit_code
        if as_json:
            click.echo(orjson.dumps({**_counts(found), "journal": path, "problems": found.problems}))
            continue
        click.echo(_told(found))
        for problem in found.problems:
            click.echo(f"{account}: {problem}", err=True)
        if found.problems:
            click.echo(f"{account}: {path} is not what it should be: {ADVICE}", err=True)
    return code


def _counts(found: Replayed) -> dict[str, object]:
    names = ("account", "events", "snapshots", "commits", "commits_of_others", "records", "checkpoints", "shelved")
    return {name: getattr(found, name) for name in names}


def _told(found: Replayed) -> str:
    """Say in a line what was compared."""
    parts = [f"{found.events} events lead to {found.snapshots} snapshots", f"{found.commits} digests compared"]
    if found.commits_of_others:
        parts.append(f"{found.commits_of_others} commits of other fold versions by their sums")
    for count, what in (
        (found.records, "records"),
        (found.shelved, "snapshots put away"),
        (found.checkpoints, "checkpoints"),
    ):
        if count:
            parts.append(f"{count} {what} compared")
    verdict = f"{len(found.problems)} problems" if found.problems else "all as stored"
    return f"{found.account}: {', '.join(parts)}: {verdict}"
