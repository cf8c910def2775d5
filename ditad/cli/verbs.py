"""Which verbs there are, and what the process ends with.

What enters: the words of the command line. What leaves: what the verb says, and an exit code of interfaces.md §1. What
holds: a verb's module is loaded when that verb is asked for and never for `--help`; whatever goes wrong is one
sentence on stderr, with a traceback only where `$DITAD_DEBUG` is set; wrong usage is 64 everywhere.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem

from ditad import __version__
from ditad.errors import DitadError, UsageError

OUR_FAULT: Final = 70
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
"""As a process that SIGPIPE ends; who closed the pipe has read enough."""

VERBS: Final = {
    "run": ("running:run", "Run the daemon in the foreground."),
    "demo": ("showing:demo", "Run a simulated exchange and the daemon against it."),
    "exchange": ("trading:exchange", "Run the simulated exchange alone."),
    "check-config": ("checking:check_config", "Say all that is wrong with a settings file."),
    "doctor": ("doctor:doctor", "Check settings, machine and exchange, and say what to do."),
    "status": ("status:status", "Say whether the books agree; the exit code says it too."),
    "snapshot": ("snapshot:snapshot", "Show the present snapshot: both ledgers and the verdict."),
    "positions": ("lists:positions", "List positions as both ledgers have them."),
    "fills": ("lists:fills", "List fills, oldest first."),
    "income": ("lists:income", "List funding, transfers and other income, oldest first."),
    "divergences": ("lists:divergences", "List differences between the ledgers, oldest first."),
    "gaps": ("lists:gaps", "List spans in which facts may have been missed."),
    "events": ("events:events", "Show records as they were made, or as they come (-f)."),
    "top": ("top:top", "Show an account live, full-screen."),
    "at": ("at:at", "Show the snapshot of a moment or a number."),
    "diff": ("diff:diff", "Say what changed between two snapshots."),
    "why": ("why:why", "Show the entries that make a figure."),
    "replay": ("replaying:replay", "Fold a journal again and compare what it leads to."),
    "verify": ("replaying:verify", "Check a journal: its file, its numbers, its digests, its checkpoints."),
    "backup": ("backup:backup", "Copy a journal while the daemon runs."),
    "report": ("report:report", "Write an account's period as one page for people."),
    "export": ("export:export", "Write an account's period for accountants: beancount, csv or parquet."),
    "audit": ("changing:audit", "Ask the exchange now."),
    "adopt": ("changing:adopt", "Accept what the exchange states as the new baseline."),
}
"""A verb's place under `ditad.cli`, and what `--help` says of it."""


class Verbs(click.Group):
    """The verbs, loaded one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 — click's form
        """Name the verbs in the order in which they are told."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 — click's form
        """Load one verb."""
        if cmd_name not in VERBS:
            return None
        module, name = VERBS[cmd_name][0].split(":")
        verb = getattr(importlib.import_module(f"ditad.cli.{module}"), name)
        assert isinstance(verb, click.Command), f"{cmd_name} is a verb"
        return verb

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the verbs' names without loading them, and the options."""
        verbs = [CompletionItem(name, help=told) for name, (_, told) in VERBS.items() if name.startswith(incomplete)]
        return verbs if not incomplete.startswith("-") else click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 — click's form
        """Tell the verbs without loading them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, told) for name, (_, told) in VERBS.items()])

    def main(  # type: ignore[override]  # it never returns, which click's own promises only in one of its modes
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Do what the words say and end the process."""
        extra.pop("standalone_mode", None)
        code = self._code(args, prog_name or "ditad", extra)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            code = _quiet_end()
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Do what the words say; a reader that has left is no failure."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, BaseExceptionGroup) as exc:
            if all(isinstance(leaf, BrokenPipeError) for leaf in _leaves(exc)):
                return _quiet_end()
            raise

    def _code(self, args: Sequence[str] | None, prog_name: str, extra: dict[str, Any]) -> int:
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as exc:
            click.echo(exc.format_message(), err=True)
            return UsageError.exit_code
        except click.ClickException as exc:
            context = getattr(exc, "ctx", None)
            path = prog_name if context is None else context.command_path
            told = exc.format_message().rstrip().rstrip(".")
            click.echo(f"{path}: {told}; see {path} --help", err=True)
            return UsageError.exit_code
        except click.Abort:
            return INTERRUPTED
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            # The outermost edge: whatever it is ends the process with a sentence and a code.
            raise SystemExit(_failed(exc, prog_name)) from exc
        return code if isinstance(code, int) else 0


def _failed(exc: BaseException, prog_name: str) -> int:
    """Say what went wrong; ours is an error without a place in the error tree."""
    if os.environ.get("DITAD_DEBUG"):
        traceback.print_exception(exc)
    known = next((leaf for leaf in _leaves(exc) if isinstance(leaf, DitadError)), None)
    if known is not None:
        click.echo(f"{prog_name}: {known}", err=True)
        return known.exit_code
    leaf = next(_leaves(exc))
    told = f"{type(leaf).__name__}: {leaf}".rstrip(": ").replace("\n", " ")
    click.echo(f"{prog_name}: our own fault ({told}); DITAD_DEBUG=1 shows where, please report it", err=True)
    return OUR_FAULT


def _leaves(exc: BaseException) -> Iterator[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from _leaves(each)
    else:
        yield exc


def _quiet_end() -> int:
    """Let the interpreter flush what is left into nothing."""
    real = sys.__stdout__
    if real is not None and sys.stdout is real:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, real.fileno())
        os.close(nothing)
    return PIPE_CLOSED


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: status and doctor 0 OK, 1 WARN, 2 ERROR, 3 UNKNOWN; everywhere 64 wrong usage, 65 journal damaged, 69 daemon not reachable, "
    "70 our own fault, 74 disk, 75 state folder in use, 77 refused, 78 wrong settings.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def ditad() -> None:
    """Know what a BingX perpetuals account truly holds: two ledgers, reconciled on every event."""


def main() -> NoReturn:
    """Run the command line."""
    ditad.main()
