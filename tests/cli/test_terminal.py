"""What a person sees: tables that fit, colour, how long ago; and nothing of that in a pipe."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ditad.cli.moments import ago
from ditad.cli.screen import Screen
from ditad.cli.tables import Table, column
from ditad.hub import Hub
from ditad.records import RecordType
from tests.api.fake_daemon import FakeAccount, FakeDaemon, record, records, serving
from tests.support.pseudo_terminal import ESCAPES, at_terminal, seen

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def ditad(*words: str) -> tuple[str, ...]:
    """Name a verb as a program."""
    return sys.executable, "-m", "ditad", *words


def account() -> FakeAccount:
    """Make an account with all types of records."""
    made = FakeAccount("main", hub=Hub(5_000, 100_000_000))
    for seq, kind in enumerate([*RecordType, *RecordType], 1):
        made.add(record(seq, kind))
    return made


@pytest.mark.parametrize("verb", ["positions", "fills", "income", "divergences", "gaps"])
@pytest.mark.parametrize("columns", [80, 200])
async def test_a_table_fits_its_terminal(socket: Path, verb: str, columns: int) -> None:
    """No line is wider; what there is no room for is named, and there is room for all on a wide one."""
    async with serving(FakeDaemon(account()), socket):
        code, said = await at_terminal(*ditad(verb, "--socket", str(socket)), columns=columns)
    lines = seen(said)
    left_out = [line for line in lines if line.startswith("no room for")]
    assert 0 == code, said
    assert [] == [line for line in lines if len(line) > columns and line not in left_out]
    assert "\x1b[1m" in said, "the heading is bold"
    assert columns == 80 or not left_out


async def test_what_is_left_out_is_named(socket: Path) -> None:
    """Of fills the order's id goes first; quantities, prices and when it was stay."""
    async with serving(FakeDaemon(account()), socket):
        _, said = await at_terminal(*ditad("fills", "--socket", str(socket)), columns=80)
    heading, *_, remark = seen(said)
    assert "no room for" in remark
    assert "order" in remark
    assert [] == [word for word in ("AT", "SYMBOL", "QTY", "PRICE") if word not in heading.split()]
    assert "2026-01-01T" not in said, "moments are told by how long ago they were"


async def test_no_rows_are_said_to_be_none(socket: Path) -> None:
    """A person sees a sentence, not a heading alone."""
    empty = FakeAccount("main")
    empty.add(record(1))
    async with serving(FakeDaemon(empty), socket):
        _, said = await at_terminal(*ditad("gaps", "--socket", str(socket)), columns=80)
    assert "there are none" == seen(said)[-1]


async def test_events_stay_in_their_lines(socket: Path) -> None:
    """Each record is one line of the terminal, in the colour of what it tells."""
    made = account()
    made.status = "ERROR"
    async with serving(FakeDaemon(made), socket):
        code, said = await at_terminal(*ditad("events", "--socket", str(socket)), columns=72)
    assert 0 == code
    assert 16 == len(seen(said))
    assert [] == [line for line in seen(said) if len(line) > 72]
    assert "\x1b[3" in said, "there is colour"


async def test_whoever_wants_no_colour_gets_none(socket: Path) -> None:
    """`$NO_COLOR` is heeded by every verb."""
    async with serving(FakeDaemon(account()), socket):
        for verb in ("status", "fills", "events"):
            words = ditad(verb, "--socket", str(socket))
            _, said = await at_terminal(*words, columns=100, environ={"NO_COLOR": "1"})
            assert [] == ESCAPES.findall(said), verb


async def test_status_tells_how_old_coverage_is(socket: Path) -> None:
    """A person need not reckon."""
    async with serving(FakeDaemon(account()), socket):
        _, said = await at_terminal(*ditad("status", "--socket", str(socket)), columns=100)
    lines = seen(said)
    assert "through 2026-01-01T00:00:16.000000Z (" in " ".join(lines)
    assert [] == [line for line in lines if len(line) > 100], "what does not fit into a line has lines of its own"


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=59), "59s ago"),
        (timedelta(seconds=60), "1m ago"),
        (timedelta(minutes=119), "1h ago"),
        (timedelta(hours=49), "2d ago"),
        (timedelta(days=32), "2025-12-30"),
        (timedelta(seconds=-5), "in 5s"),
    ],
)
def test_how_long_ago(age: timedelta, expected: str) -> None:
    """In the largest unit that is not 0; by its date where that is long ago."""
    assert expected == ago((NOW - age).isoformat(), NOW)


@pytest.mark.parametrize("text", ["-", "", "100", "2026-01-31"])
def test_what_is_no_moment_is_shown_as_it_is(text: str) -> None:
    """Nothing is made up of it."""
    assert text == ago(text, NOW)


ROWS: list[dict[str, Any]] = [
    {"at": "2026-01-31T11:59:00Z", "what": "a long description", "qty": "1.5", "id": "1234567890123456789"},
    {"at": "2026-01-31T10:00:00Z", "what": "short", "qty": "-100", "id": "1"},
]
COLUMNS = (column("at", moment=True), column("what"), column("qty"), column("id", rank=1))


def laid(width: int | None) -> tuple[list[str], list[str]]:
    """Lay the rows out; gives the lines, and the columns there was no room for."""
    table = Table(COLUMNS, None if width is None else Screen(width=width, now=NOW))
    return table.page(ROWS), table.omitted


def test_with_room_nothing_is_shortened() -> None:
    """All columns, decimals on their points, the rest as it is."""
    lines, omitted = laid(80)
    assert [] == omitted
    assert [
        "AT      WHAT                   QTY                   ID",
        "1m ago  a long description     1.5  1234567890123456789",
        "2h ago  short               -100                      1",
    ] == lines


def test_texts_are_cut_before_a_column_goes() -> None:
    """A cut text says so; a number is never cut."""
    lines, omitted = laid(48)
    assert [] == omitted
    assert "1m ago  a long des…     1.5  1234567890123456789" == lines[1]


def test_the_least_of_the_columns_goes_first() -> None:
    """Where cutting texts is not enough."""
    lines, omitted = laid(30)
    assert ["id"] == omitted
    assert ["1m ago  a long descri…     1.5", "2h ago  short           -100"] == lines[1:]


def test_what_is_needed_stays_however_narrow() -> None:
    """A terminal of ten columns wraps; a quantity that is not shown would be worse."""
    lines, omitted = laid(10)
    assert ["id"] == omitted
    assert "1.5" in lines[1]


def test_a_pipe_gets_everything() -> None:
    """Moments as the daemon writes them, no width, no word cut."""
    lines, omitted = laid(None)
    assert [] == omitted
    assert lines[1].startswith("2026-01-31T11:59:00Z  a long description")


def test_later_pages_keep_to_the_columns_of_the_first() -> None:
    """A number that is wider widens its column; a longer text is cut to it; there is one heading."""
    table = Table(COLUMNS, Screen(width=48, now=NOW))
    first = table.page(ROWS)
    second = table.page([{**ROWS[1], "what": "a longer text than any before", "qty": "123456789.125"}])
    assert (3, 1) == (len(first), len(second))
    assert "2h ago  a longer t…  123456789.125" in second[0]


async def test_a_long_list_is_one_table(socket: Path) -> None:
    """Its heading stands once, over all pages."""
    made = FakeAccount("main", hub=Hub(5_000, 100_000_000))
    made.add(*records(1, 2_500))
    async with serving(FakeDaemon(made), socket):
        _, said = await at_terminal(*ditad("fills", "--socket", str(socket)), columns=120)
    assert 1 == sum(line.startswith("SEQ") or " SYMBOL " in line for line in seen(said))
    assert 2_500 <= len(seen(said)) <= 2_502
