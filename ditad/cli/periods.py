"""What the verbs for people and accountants share: one account, a period, an extra that may be missing, a file to write.

Enters: `--since`, `--until`, `--out`; names of libraries. Leaves: microseconds, or a sentence. What holds: a period is half
open and in UTC; nothing is overwritten; a file is whole or not there.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ditad.cli.moments import moment
from ditad.errors import JournalError, UsageError
from ditad.records import micros_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """`[since_us, until_us)`; `None` is the beginning of the ledger, and the end of the journal."""

    since_us: int | None
    until_us: int | None


def in_period(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb `--since` and `--until`, as one `Period`."""

    @click.option("--since", metavar="TIME", help="From this moment on (2026-01-31, 30d ago as 30d); else all of it.")
    @click.option("--until", metavar="TIME", help="Up to this moment, which is left out; else up to now.")
    @functools.wraps(verb)
    def wrapped(*arguments: Any, since: str | None, until: str | None, **own: Any) -> Any:
        now = datetime.now(UTC)
        since_us = None if since is None else micros_of(moment(since, now, "--since"))
        until_us = None if until is None else micros_of(moment(until, now, "--until"))
        if since_us is not None and until_us is not None and since_us >= until_us:
            raise UsageError("--until: it must lie behind --since")
        return verb(*arguments, period=Period(since_us=since_us, until_us=until_us), **own)

    return wrapped


def need(library: str, extra: str) -> None:
    """Say how an extra is installed where a library of it is missing; raises `UsageError`."""
    if importlib.util.find_spec(library) is None:
        raise UsageError(
            f"this needs the extra `{extra}` ({library} is missing): "
            f"{sys.executable} -m pip install 'ditad[{extra}]' (in a clone '.[{extra}]')"
        )


def refuse_place(out: Path) -> None:
    """Refuse a place that is taken or can never be written to, before any work is done for it; raises `UsageError`."""
    folder = out.absolute().parent
    try:
        if out.exists():
            raise UsageError(f"--out: {out} exists already, and nothing is overwritten: name a place that does not")
        if not folder.is_dir():
            raise UsageError(f"--out: the folder {folder} does not exist: make it, or name another place")
        open_to_us = os.access(folder, os.W_OK | os.X_OK)
    except PermissionError:
        open_to_us = False
    if not open_to_us:
        raise UsageError(f"--out: this user may not write into {folder}: name another place, or run it as its owner")


@contextmanager
def whole_file(out: Path) -> Iterator[Path]:
    """Give a place beside `out` to write to, and put it there once the block ends well; readable by its owner only."""
    partial = out.with_name(out.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        yield partial
        partial.rename(out)
    except OSError as exc:
        raise JournalError(f"{out} cannot be written ({exc.strerror}): make room, or name another place") from exc
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to write to, and put it there once the block ends well; for its owner only."""
    partial = out.with_name(out.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        yield partial
        partial.rename(out)
    except OSError as exc:
        raise JournalError(f"{out} cannot be written ({exc.strerror}): make room, or name another place") from exc
    finally:
        shutil.rmtree(partial, ignore_errors=True)
