"""Exports to disk: one beancount file, or a folder of csv or parquet tables, row by row as the journal is read.

What enters: books, and where to write. What leaves: the files, and what was written as `Written`. What holds: rows of one
batch are in memory; a parquet amount is decimal128(38, 18), and a column in which one does not fit is text in the whole
table, which is said; a text cell of a csv that a spreadsheet would run is quoted with an apostrophe.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

import orjson

from ditad import __version__
from ditad.bookkeeping import ClosedTrade, Movement, Opening, Sums
from ditad.export import beancount
from ditad.export.books import Books
from ditad.export.tables import (
    DAYS,
    FILLS,
    INCOME,
    TABLES,
    TRADES,
    Column,
    DayEnd,
    Kind,
    Row,
    Table,
    Value,
    day_row,
    described,
    fill_row,
    income_row,
    trade_row,
)
from ditad.money import plain
from ditad.records import micros_of, rfc3339

BATCH_ROWS: Final = 10_000
"""Rows of a parquet table that are written at once, as a group of their own."""

DECIMAL_DIGITS: Final = 38
DECIMAL_SCALE: Final = 18
RUN_BY_SPREADSHEETS: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(slots=True)
class Written:
    """What stands in the files: rows by table, amounts that nobody told, and what else is to be said."""

    rows: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    remarks: list[str] = field(default_factory=list)


class Sink(Protocol):
    """Takes a table's rows."""

    def write(self, row: Row) -> None:
        """Write a row."""

    def close(self) -> None:
        """Write what is left, and end the file."""


# ---- beancount ------------------------------------------------------------------------------------------------------


def write_beancount(books: Books, out: TextIO) -> Written:
    """Write the ledger: transactions in the order of the records, balances by day, and the accounts they name."""
    written = Written()
    ledger = beancount.Ledger(account=books.chronicle.account, asset=books.asset)

    def put(lines: Iterator[str]) -> None:
        out.writelines(f"{line}\n" for line in lines)

    since = rfc3339(books.since_us)
    put(ledger.head(since, rfc3339(books.until_us), __version__))
    for item in books.items():
        if isinstance(item, Movement):
            put(ledger.movement(item))
            written.rows["transactions"] += 1
            written.unknown += len(item.unknown)
        elif isinstance(item, Opening):
            put(ledger.opening(item))
            written.rows["openings"] += 1
    put(ledger.before(since[:10], {books.asset: books.before, **books.other_before}))
    epsilon = books.chronicle.settings.capital_epsilon
    for day, balance in _told(books):
        assertion = beancount.assertion_of(books.end_of(day), balance, epsilon)
        put(ledger.balance(assertion))
        written.rows["balances"] += assertion.wallet is not None
        if assertion.why:
            written.remarks.append(f"{assertion.day}: {assertion.why}")
    put(ledger.opens())
    return written


def _told(books: Books) -> Iterator[tuple[str, Decimal]]:
    """Give the days with their balances, telling how far it is."""
    days = list(books.balances())
    for place, (day, balance) in enumerate(days):
        books.step("days", place, len(days))
        yield day, balance


# ---- tables ---------------------------------------------------------------------------------------------------------


def write_csv(books: Books, folder: Path) -> Written:
    """Write the tables as csv, and `datapackage.json` that describes their columns."""
    written = _tables(books, lambda table: _CsvSink(folder / f"{table.name}.csv", table))
    resources = [
        {
            "name": table.name,
            "path": f"{table.name}.csv",
            "description": table.about,
            "format": "csv",
            "schema": described(table),
        }
        for table in TABLES
    ]
    package = {
        "name": f"ditad-{books.chronicle.account}",
        "description": f"The books of {books.chronicle.account}, from {rfc3339(books.since_us)} up to {rfc3339(books.until_us)}, in {books.asset}",
        "resources": resources,
    }
    (folder / "datapackage.json").write_bytes(orjson.dumps(package, option=orjson.OPT_INDENT_2))
    return written


def write_parquet(books: Callable[[], Books], folder: Path) -> Written:
    """Write the tables as parquet; begins anew where an amount fits no decimal128, with that column as text."""
    as_text: set[tuple[str, str]] = set()
    while True:
        try:
            written = _tables(books(), lambda table: _ParquetSink(folder / f"{table.name}.parquet", table, as_text))
        except DoesNotFit as exc:
            as_text.add(exc.column)  # text takes every amount, so that each column comes here once
            continue
        written.remarks += [
            f"{table}.{name} is text: an amount in it has more digits than decimal128({DECIMAL_DIGITS}, {DECIMAL_SCALE})"
            for table, name in sorted(as_text)
        ]
        return written


def _tables(books: Books, sink_of: Callable[[Table], Sink]) -> Written:
    written = Written()
    with ExitStack() as stack:
        sinks = {}
        for table in TABLES:
            sinks[table.name] = sink = sink_of(table)
            stack.callback(sink.close)

        def put(table: Table, row: Row) -> None:
            sinks[table.name].write(row)
            written.rows[table.name] += 1

        for item in books.items():
            if isinstance(item, Movement):
                written.unknown += len(item.unknown)
                if "order_id" in item.body:
                    put(FILLS, fill_row(item.seq, item.body, books.asset))
                else:
                    put(INCOME, income_row(item.seq, item.body))
            elif isinstance(item, ClosedTrade):
                put(TRADES, trade_row(item))
        for day, balance in _told(books):
            end = books.end_of(day)
            snapshot = end.before[0] if end.before else None
            sums = books.by_day.get(day, Sums())
            put(DAYS, day_row(DayEnd(day=day, sums=sums, ledger=balance, trades=books.trades[day], snapshot=snapshot)))
    return written


class _CsvSink:
    """A csv file: RFC 4180 but for line ends of one character, UTF-8, a heading; what is not told is empty."""

    def __init__(self, path: Path, table: Table) -> None:
        self._columns = table.columns
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow([column.name for column in table.columns])

    def write(self, row: Row) -> None:
        self._writer.writerow([_cell(value) for value in row])

    def close(self) -> None:
        self._file.close()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else " ".join(value)
    return f"'{text}" if text.startswith(RUN_BY_SPREADSHEETS) else text


class DoesNotFit(Exception):
    """An amount has more digits than its column; `column` names table and column."""

    def __init__(self, column: tuple[str, str]) -> None:
        self.column = column
        super().__init__(f"{column[0]}.{column[1]}")


class _ParquetSink:
    """A parquet file, written a batch at a time."""

    def __init__(self, path: Path, table: Table, as_text: set[tuple[str, str]]) -> None:
        # Only who writes parquet has this library, and waits for it to load.
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        self._pa: Any = pa
        self._table = table
        self._as_text = {name for of, name in as_text if of == table.name}
        types = {
            Kind.TEXT: pa.string(),
            Kind.TEXTS: pa.list_(pa.string()),
            Kind.AMOUNT: pa.decimal128(DECIMAL_DIGITS, DECIMAL_SCALE),
            Kind.COUNT: pa.int64(),
            Kind.FLAG: pa.bool_(),
            Kind.MOMENT: pa.timestamp("us", tz="UTC"),
            Kind.DAY: pa.date32(),
        }
        fields = [
            pa.field(
                column.name,
                pa.string() if column.name in self._as_text else types[column.kind],
                metadata={"description": column.about},
            )
            for column in table.columns
        ]
        self._schema = pa.schema(fields, metadata={"description": table.about, "written_by": f"ditad {__version__}"})
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Row] = []

    def write(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) == BATCH_ROWS:
            self._flush()

    def close(self) -> None:
        try:
            self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        arrays = []
        for column, values, kept in zip(self._table.columns, zip(*rows, strict=True), self._schema, strict=True):
            arrays.append(self._pa.array([self._value(column, value) for value in values], kept.type))
        self._writer.write_batch(self._pa.record_batch(arrays, schema=self._schema))

    def _value(self, column: Column, value: Value) -> Any:
        if value is None:
            return None
        if isinstance(value, Decimal):
            if column.name in self._as_text:
                return plain(value)
            if not fits(value):
                raise DoesNotFit((self._table.name, column.name))
            return value
        if column.kind is Kind.MOMENT:
            return micros_of(str(value))
        return date.fromisoformat(str(value)) if column.kind is Kind.DAY else value


def fits(value: Decimal) -> bool:
    """Say whether an amount has room in decimal128 with all its digits."""
    whole, _, behind = plain(abs(value)).partition(".")
    return len(behind) <= DECIMAL_SCALE and len(whole) <= DECIMAL_DIGITS - DECIMAL_SCALE
