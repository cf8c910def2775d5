"""Open a journal's database for writing or for reading, brought to the present schema and looked over.

What enters: a folder and an account's name. What leaves: a connection whose commits are durable when they return
(write-ahead log, `synchronous=FULL`), or one that can only read. What holds: the file is readable by its owner only;
a file of another account, another program or a newer version is refused.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ditad.errors import JournalElsewhereError, JournalError
from ditad.journal import schema
from ditad.journal.failures import damaged, explain, not_ours

LOCK_WAIT_S_MAX: Final = 5.0
PAGE_CACHE_KIB: Final = 512
LOG_BYTES_KEPT_MAX: Final = 64 * 1024 * 1024
LOG_PAGES_FOLDED: Final = 1000
"""Pages in the write-ahead log after which SQLite folds it back into the database, at the end of that commit."""
QUICK_CHECK_BYTES_MAX: Final = 32 * 1024 * 1024
"""A larger file is checked page by page by `verify` only, because the start must not take longer with its age."""

Connect = Callable[[Path], sqlite3.Connection]


def journal_path(folder: Path, account: str) -> Path:
    """Name an account's journal in a state folder."""
    return folder / f"{account}.journal"


def connect(path: Path) -> sqlite3.Connection:
    """Connect for writing, with transactions begun and ended by us alone."""
    return sqlite3.connect(path, timeout=LOCK_WAIT_S_MAX, isolation_level=None, check_same_thread=False)


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Connect so that nothing can be written; the file must exist."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro",
        uri=True,
        timeout=LOCK_WAIT_S_MAX,
        isolation_level=None,
        check_same_thread=False,
    )


def open_for_writing(
    path: Path,
    account: str,
    *,
    environment: str = "",
    connector: Connect = connect,
    steps: tuple[tuple[str, ...], ...] = schema.STEPS,
) -> sqlite3.Connection:
    """Open or create a journal and bring it to the newest schema; its folder must exist.

    `environment` is that of the settings; the first one that is said stays the journal's. Raises `JournalDamagedError`,
    `JournalTooNewError`, `JournalElsewhereError` or `JournalError`, each saying what to do.
    """
    connection: sqlite3.Connection | None = None
    try:
        _create_private(path)
        connection = connector(path)
        _look_over(path, connection)
        _set_up(path, connection)
        _migrate(path, connection, account, steps)
        _claim(path, connection, environment)
    except (sqlite3.Error, OSError, JournalError) as exc:
        if connection is not None:
            connection.close()
        if isinstance(exc, JournalError):
            raise
        raise explain(str(path), exc) from exc
    return connection


def open_for_reading(path: Path, account: str) -> sqlite3.Connection:
    """Open a journal that is there, written by this version; raises as `open_for_writing`, and for an older one."""
    connection: sqlite3.Connection | None = None
    try:
        connection = connect_read_only(path)
        _check_version(path, connection)
        _check_owner(path, connection, account)
    except UnicodeDecodeError as exc:  # SQLite's own message quotes what is damaged
        if connection is not None:
            connection.close()
        raise damaged(str(path), "its tables are not described in UTF-8") from exc
    except (sqlite3.Error, JournalError) as exc:
        if connection is not None:
            connection.close()
        if isinstance(exc, JournalError):
            raise
        raise _unopened(path, exc) from exc
    return connection


def _unopened(path: Path, exc: sqlite3.Error) -> JournalError:
    """Say why a journal could not be opened to be read: there is none, it is not ours, or what SQLite says."""
    try:
        if not path.exists():
            return JournalError(f"there is no journal {path}: check the account's name and state_dir")
    except PermissionError:
        return not_ours(path)
    return explain(str(path), exc) if os.access(path, os.R_OK) else not_ours(path)


def _create_private(path: Path) -> None:
    """Create the file, if it is not there, for its owner only, and make its name durable."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _look_over(path: Path, connection: sqlite3.Connection) -> None:
    if path.stat().st_size > QUICK_CHECK_BYTES_MAX:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise damaged(str(path), str(found).splitlines()[0])


def _set_up(path: Path, connection: sqlite3.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise JournalError(f"{path} lies on a file system without write-ahead logs ({mode}): use a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_KEPT_MAX}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES_FOLDED}")


def _head(connection: sqlite3.Connection) -> schema.Head:
    return schema.Head(
        application_id=int(connection.execute("PRAGMA application_id").fetchone()[0]),
        version=int(connection.execute("PRAGMA user_version").fetchone()[0]),
        tables=int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]),
    )


def _check_version(path: Path, connection: sqlite3.Connection) -> None:
    if schema.pending(str(path), _head(connection)):
        raise JournalError(f"{path} has an older schema: start `ditad run` once, which brings it forward")


def _migrate(path: Path, connection: sqlite3.Connection, account: str, steps: tuple[tuple[str, ...], ...]) -> None:
    """Run the pending steps in one transaction, so that a crash leaves the old version whole."""
    head = _head(connection)
    statements = schema.pending(str(path), head, steps)
    if not statements:
        _check_owner(path, connection, account)
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            connection.execute(statement)
        if head.version == 0:
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            connection.execute("INSERT INTO meta VALUES ('account', ?), ('sealed', '0')", (account,))
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        _check_owner(path, connection, account)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_owner(path: Path, connection: sqlite3.Connection, account: str) -> None:
    row = connection.execute("SELECT value FROM meta WHERE key = 'account'").fetchone()
    if row is None:
        raise damaged(str(path), "it does not say whose it is")
    if row[0] != account:
        raise JournalError(
            f"{path} is the journal of account {row[0]!r}, not of {account!r}: give it its own name back"
        )


def _claim(path: Path, connection: sqlite3.Connection, environment: str) -> None:
    """Write down whose facts these are, once; a journal from before it was asked takes the first one that is said."""
    if not environment:
        return
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('environment', ?)", (environment,))
    row = connection.execute("SELECT value FROM meta WHERE key = 'environment'").fetchone()
    if problem := elsewhere(str(path), row[0], environment):
        raise JournalElsewhereError(problem)


def elsewhere(path: str, begun_on: str, environment: str) -> str:
    """Say what is wrong where a journal's environment is not that of the settings; `""` where it is, or was never said."""
    if begun_on in {"", environment}:
        return ""
    return (
        f"{path} was begun on environment {begun_on}, and the settings say {environment}, where nothing of it ever "
        f"happened: give this account another name, or set environment back to {begun_on}"
    )
