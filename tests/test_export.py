"""Exports: the real `bean-check` accepts the ledger and notices a changed digit; tables hold every fact once, exactly."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad.bookkeeping import End, Movement, Sums, movement_of
from ditad.chronicle import chronicle_of
from ditad.export import beancount, writing
from ditad.export.beancount import assertion_of, commodity, component, quoted
from ditad.export.books import Books, books_of
from ditad.export.tables import DAYS, TABLES, DayEnd, Kind, day_row, described
from ditad.export.writing import BATCH_ROWS, fits, write_beancount, write_csv, write_parquet
from ditad.journal import Reader
from ditad.records import RecordType, micros_of
from tests.support.booked import HOSTILE, Booked, some_days, untold
from tests.support.journaled import NAME

D = Decimal
CHECKER = shutil.which("bean-check", path=str(Path(sys.executable).parent)) or shutil.which("bean-check")
needs_beancount = pytest.mark.skipif(CHECKER is None, reason="bean-check is missing: the extra [test] brings beancount")
DAY_2 = micros_of("2023-03-29T00:00:00Z")
DAY_3 = micros_of("2023-03-30T00:00:00Z")
SECOND = "2023-03-29T10:50:00Z"


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Give a folder with the journal of some days."""
    await some_days().kept(tmp_path)
    return tmp_path


def silent(*_: object) -> None:
    """Tell nobody how far it is."""


def books(reader: Reader, since_us: int | None = None, until_us: int | None = None) -> Books:
    """Open the books."""
    return books_of(chronicle_of(reader, NAME, silent), since_us, until_us, silent)


def ledger(folder: Path, since_us: int | None = None, until_us: int | None = None) -> tuple[Path, writing.Written]:
    """Write a ledger."""
    path = folder / "main.beancount"
    with Reader.open(folder, NAME) as reader, path.open("w") as out:
        written = write_beancount(books(reader, since_us, until_us), out)
    return path, written


def checked(path: Path) -> tuple[int, str]:
    """Let the real bean-check read a ledger."""
    assert CHECKER is not None, "it was looked for"
    done = subprocess.run([CHECKER, str(path)], capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


# ---- beancount


@needs_beancount
async def test_bean_check_accepts_the_books(folder: Path) -> None:
    """Every day's end is what the exchange stated, to the last digit, though a symbol is made of quotes and slashes."""
    path, written = ledger(folder)
    assert (0, "") == checked(path)
    assert {"openings": 1, "transactions": 11, "balances": 4} == dict(written.rows)
    assert ["~ 0"] * 4 == re.findall(r"balance .*(~ \S+) USDT", path.read_text())
    assert [] == written.remarks


@needs_beancount
async def test_a_changed_digit_is_noticed(folder: Path) -> None:
    """The last digit of any amount that is posted, and of any balance, is one that bean-check misses."""
    path, _ = ledger(folder)
    text = path.read_text()
    posted = list(re.finditer(r"^  (?:Assets|Income|Expenses|Equity)\S+  -?[\d.]+(\d) USDT$", text, re.MULTILINE))
    stated = list(re.finditer(r"^\S+ balance \S+  [\d.]+(\d) ~ 0 USDT$", text, re.MULTILINE))
    assert (len(posted) > 20, 4) == (True, len(stated))
    for found in [*posted[:: len(posted) // 5], *stated]:
        digit = (int(found[1]) + 1) % 10
        path.write_text(f"{text[: found.start(1)]}{digit}{text[found.end(1) :]}")
        assert 1 == checked(path)[0], found[0]


@needs_beancount
@pytest.mark.parametrize("since_us", [DAY_2, DAY_3, micros_of(SECOND)])
async def test_a_period_opens_with_what_was_before(folder: Path, since_us: int) -> None:
    """The balance before the period is what all facts before it make; the balances within it hold all the same."""
    path, written = ledger(folder, since_us)
    assert (0, "") == checked(path)
    assert written.rows["balances"] >= 2
    text = path.read_text()
    assert "Opening balance" in text
    opening = re.search(r"Opening balance\".*\n  Assets:BingX:Main  (\S+) USDT", text)
    assert opening is not None
    whole = some_days()
    due = {DAY_2: "10286.225", DAY_3: "10249.59", micros_of(SECOND): "10283.525"}[since_us]
    assert due == opening[1], whole.wallet
    assert "2023-03-28" not in text.partition("; ")[2].partition("\n\n")[2]


async def test_an_empty_wallet_of_which_nothing_happened_is_asserted_too(tmp_path: Path) -> None:
    """Where no transaction stands before the first balance, its account is open all the same."""
    story = Booked(wallet="0")
    for _ in range(4):
        story.round()
        story.pass_s(86_400)
    await story.kept(tmp_path)
    path, written = ledger(tmp_path, DAY_2)
    assert (0, "") == checked(path)
    assert 0 == written.rows["transactions"]
    assert written.rows["balances"] > 0


@needs_beancount
async def test_other_assets_open_with_their_own(tmp_path: Path) -> None:
    """What moved them before the period is their opening, apart from the wallet's, and in none of the days' sums."""
    story = Booked()
    for _ in range(2):
        story.order(symbol="BTC-USDC", z="1", ap="28000", fee="14", rp="0", last=("1", "28000"))
        story.round()
        story.pass_s(86_400)
    story.round()
    await story.kept(tmp_path)
    path, _ = ledger(tmp_path, DAY_2)
    text = path.read_text()
    assert "Assets:BingX:Main  -14 USDC\n  Equity:BingX:Main:Opening  14 USDC" in text
    assert "Assets:BingX:Main  10000 USDT\n  Equity:BingX:Main:Opening  -10000 USDT" in text
    assert 2 == text.count("Assets:BingX:Main  -14 USDC")
    assert CHECKER is None or checked(path) == (0, "")


@needs_beancount
async def test_an_adoption_before_a_period_is_in_its_opening(tmp_path: Path) -> None:
    """Nothing of it is told again within the period."""
    story = some_days()
    story.adopted("10000", "seen")
    story.round()
    story.pass_s(86_400)
    story.trade("BTC-USDT", "0.5", "28000", "28100")
    story.round()
    await story.kept(tmp_path)
    path, _ = ledger(tmp_path, micros_of("2023-04-01T00:00:00Z"))
    assert (0, "") == checked(path)
    assert "Accepted" not in path.read_text()
    assert "Assets:BingX:Main  10000 USDT" in path.read_text()


@needs_beancount
async def test_a_period_ends_before_its_end(folder: Path) -> None:
    """What happened at or behind the end is left out, and the last balance is that of the end."""
    path, _ = ledger(folder, None, DAY_3)
    assert (0, "") == checked(path)
    text = path.read_text()
    assert "2023-03-30 balance" in text
    assert "2023-03-31" not in text
    assert "SYSTEM_DEDUCTION" not in text


@needs_beancount
async def test_what_nobody_told_is_marked_and_posted_nowhere(tmp_path: Path) -> None:
    """It is no 0: the transaction is flagged, names what is unknown, and posts nothing."""
    await untold().kept(tmp_path)
    path, written = ledger(tmp_path)
    assert 2 == written.unknown
    assert (0, "") == checked(path)
    flagged = re.search(r'^\S+ ! "ETH-USDT".*\n((?:  .*\n)*)', path.read_text(), re.MULTILINE)
    assert flagged is not None
    assert 'unknown: "profit, fees"' in flagged[1]
    assert "Assets" not in flagged[1]


@needs_beancount
async def test_books_that_are_wrong_fail(tmp_path: Path) -> None:
    """Money that the exchange took and no fact explains is not padded: the balance fails, and the file says by how much."""
    story = some_days()
    story.pass_s(86_400)
    story.wallet -= 7
    story.round()
    story.round()
    await story.kept(tmp_path)
    path, written = ledger(tmp_path)
    code, said = checked(path)
    assert 1 == code
    assert "Balance failed" in said
    assert ["2023-04-02: the books differ from what the exchange stated by 7; see ditad divergences"] == written.remarks


@needs_beancount
async def test_an_adoption_is_booked_as_what_it_was(tmp_path: Path) -> None:
    """What was accepted without a fact is a transaction of its own, with who and why, and the books go on from there."""
    story = some_days()
    story.adopted("10000", 'it "was" so')
    story.round()
    story.trade("BTC-USDT", "0.5", "28000", "28100")
    story.round()
    await story.kept(tmp_path)
    path, written = ledger(tmp_path)
    assert (0, "") == checked(path)
    assert 2 == written.rows["openings"]
    assert 'Accepted by uid 1000" "it \\"was\\" so"' in path.read_text()
    assert "Assets:BingX:Main  -301.61 USDT\n  Equity:BingX:Main:Adopted  301.61 USDT" in path.read_text()


def snapshot(wallet: str | None, at: str, slack: str | None = None) -> Mapping[str, Any]:
    """Make the part of a snapshot that says what was stated."""
    stated = {} if wallet is None else {"wallet_balance": {"at": at}}
    precision = {} if slack is None else {"capital_raw": slack}
    return {"e": {"wallet_balance": wallet, "stated": stated}, "k": {"precision": precision}}


NEAR_BEFORE, NEAR_BEHIND, LONG_BEFORE = "2023-03-28T23:59:59.5Z", "2023-03-29T00:00:00.5Z", "2023-03-28T12:00:00Z"
EPSILON = D("0.0001")


@pytest.mark.parametrize(
    ("before", "behind", "wallet", "tolerance", "why"),
    [
        ([snapshot("100", LONG_BEFORE)], [], "100", "0", ""),
        ([snapshot("100.00005", LONG_BEFORE)], [], "100.00005", "0.0001", ""),
        ([snapshot("100.01", LONG_BEFORE, "0.02")], [], "100.01", "0.02", ""),
        ([snapshot("100.02005", LONG_BEFORE, "0.02")], [], "100.02005", "0.0201", ""),
        ([snapshot("90", NEAR_BEFORE)], [snapshot("100", NEAR_BEHIND)], "100", "0", ""),
        ([snapshot("90", NEAR_BEFORE), snapshot("100", NEAR_BEFORE)], [], "100", "0", ""),
        ([snapshot("90", NEAR_BEFORE)], [snapshot("95", NEAR_BEHIND)], None, "0", "no statement fits between"),
        ([snapshot("90", LONG_BEFORE), snapshot("100", LONG_BEFORE)], [], "90", "0", "differ"),
        ([snapshot("90", NEAR_BEFORE)], [snapshot("90", NEAR_BEHIND)], "90", "0", "by 10;"),
        ([snapshot(None, NEAR_BEFORE)], [], None, "0", "no wallet yet"),
        ([], [], None, "0", "no wallet yet"),
    ],
)
def test_what_is_asserted(
    before: list[Mapping[str, Any]], behind: list[Mapping[str, Any]], wallet: str | None, tolerance: str, why: str
) -> None:
    """The last statement before midnight; one within seconds of it that fits between facts; never one from long before."""
    end = End(day="2023-03-28", at_us=DAY_2, before=tuple(before), behind=tuple(behind))
    found = assertion_of(end, D(100), EPSILON)
    assert (None if wallet is None else D(wallet), D(tolerance)) == (found.wallet, found.tolerance)
    assert ("2023-03-29", bool(why), True) == (found.day, bool(found.why), why in found.why)


def test_what_is_not_asserted_is_said() -> None:
    """A remark stands where the balance would, and nothing is opened for it."""
    lines = beancount.Ledger(account="main", asset="USDT")
    end = End(day="2023-03-28", at_us=DAY_2, before=(), behind=())
    assert ["; 2023-03-29: the exchange stated no wallet yet", ""] == list(
        lines.balance(assertion_of(end, D(100), EPSILON))
    )
    assert [] == list(lines.opens())


def fact(kind: RecordType, /, **body: Any) -> Movement:
    """Make a movement of a fact that beancount is told."""
    whole = {"at": "2023-03-28T12:00:00.000000Z", "symbol": None, "tran_id": None, "asset": "USDT", **body}
    return movement_of(3, kind, whole, "USDT")


@pytest.mark.parametrize(
    ("movement", "posted"),
    [
        (
            fact(RecordType.INCOME, kind="funding", name="FUNDING_FEE", amount="2"),
            ("-2", "Expenses:BingX:A-1:Funding", "2"),
        ),
        (
            fact(RecordType.INCOME, kind="transfer", name="DEPOSIT", amount="5", tran_id="8"),
            ("5", "Equity:BingX:A-1:Transfers", "-5"),
        ),
        (
            fact(RecordType.INCOME, kind="other", name="A_B", amount="-1"),
            ("-1", "Income:BingX:A-1:Other:A-B", "1"),
        ),
    ],
)
def test_where_an_income_is_posted(movement: Movement, posted: tuple[str, str, str]) -> None:
    """What was paid is an expense, what was moved is equity, and both sides add up to nothing."""
    lines = list(beancount.Ledger(account="a_1", asset="USDT").movement(movement))
    amount, account, counter = posted
    assert [f"  Assets:BingX:A-1  {amount} USDT", f"  {account}  {counter} USDT", ""] == lines[-3:]
    assert ('tran-id: "8"' in "".join(lines)) == (movement.body["tran_id"] is not None)


def test_a_fact_that_moved_nothing_has_no_postings() -> None:
    """It is told all the same."""
    lines = list(
        beancount.Ledger(account="main", asset="USDT").movement(
            fact(RecordType.INCOME, kind="other", name="X", amount="0")
        )
    )
    assert ['2023-03-28 * "main" "X"', '  at: "2023-03-28T12:00:00.000000Z"', "  seq: 3", ""] == lines


@pytest.mark.parametrize(
    ("text", "name"),
    [("BTC-USDT", "BTC-USDT"), ("main_2", "Main-2"), ("1000PEPE-USDT", "1000PEPE-USDT"), ("-x", "X-x"), ("", "X")],
)
def test_names_of_accounts(text: str, name: str) -> None:
    """They begin with a capital or a digit."""
    assert name == component(text)


def test_names_that_are_bent_stay_apart() -> None:
    """Letters that beancount does not take are replaced, and what came of different names is different."""
    names = {component(text) for text in (HOSTILE, HOSTILE.lower(), "币安-USDT", "Ä")}
    assert 4 == len(names)
    assert all(re.fullmatch(r"[A-Z0-9][A-Za-z0-9-]*", name) for name in names)
    assert ("USDT", True) == (commodity("USDT"), commodity("币").startswith("X"))
    assert '"a \\"b\\" \\\\ c"' == quoted('a "b"\n\\ c')


# ---- tables


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a csv."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def test_csv_has_every_fact_once(folder: Path) -> None:
    """What comes out adds up to the wallet, day by day; texts that a spreadsheet would run are quoted."""
    out = folder / "csv"
    out.mkdir()
    with Reader.open(folder, NAME) as reader:
        written = write_csv(books(reader), out)
    assert {"fills": 8, "income": 3, "trades": 4, "days": 4} == dict(written.rows)
    fills, income, days = (rows_of(out / f"{name}.csv") for name in ("fills", "income", "days"))
    made = sum((D(row["realized_pnl"]) - D(row["fee"]) for row in fills), D(10_000))
    for row in income:
        made += D(row["amount"]) * (-1 if row["kind"] == "funding" else 1)
    story = some_days()
    assert (story.wallet, D(story.k["capital_raw"])) == (made, made)  # type: ignore[arg-type]  # JSON
    assert ["0", "0", "0", "0"] == [row["difference"] for row in days]
    assert str(made.normalize()) == days[-1]["ledger"]
    assert D(days[-1]["ledger"]) - 10_000 == sum(D(row["net"]) + D(row["transfers"]) for row in days)
    assert f"'{HOSTILE}" in {row["symbol"] for row in fills}
    assert "-35.385" in {row["net"] for row in rows_of(out / "trades.csv")}


async def test_csv_is_described(folder: Path) -> None:
    """`datapackage.json` names every column of every file, in their order, with what it holds."""
    out = folder / "csv"
    out.mkdir()
    with Reader.open(folder, NAME) as reader:
        write_csv(books(reader), out)
    told = orjson.loads((out / "datapackage.json").read_bytes())
    for resource in told["resources"]:
        heading = (out / resource["path"]).read_text().partition("\n")[0].split(",")
        assert heading == [field["name"] for field in resource["schema"]["fields"]]
        assert all(field["description"] for field in resource["schema"]["fields"])
    assert [table.name for table in TABLES] == [resource["name"] for resource in told["resources"]]


async def test_csv_leaves_empty_what_nobody_told(tmp_path: Path) -> None:
    """It is counted beside the sums, and is not 0."""
    await untold().kept(tmp_path)
    out = tmp_path / "csv"
    out.mkdir()
    with Reader.open(tmp_path, NAME) as reader:
        written = write_csv(books(reader), out)
    last = rows_of(out / "fills.csv")[-1]
    assert (2, "", "", "2") == (
        written.unknown,
        last["fee"],
        last["realized_pnl"],
        rows_of(out / "days.csv")[-1]["unknown"],
    )


async def test_parquet_is_the_same_exactly(folder: Path) -> None:
    """Read back by its own library it has the amounts of the csv, as decimals, and moments and days of their types."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is missing: the extra [export] brings it")
    out, other = folder / "csv", folder / "parquet"
    out.mkdir()
    other.mkdir()
    with Reader.open(folder, NAME) as reader:
        write_csv(books(reader), out)
        written = write_parquet(lambda: books(reader), other)
    assert [] == written.remarks
    for table in TABLES:
        found = parquet.read_table(other / f"{table.name}.parquet")
        assert {column.name for column in table.columns} == set(found.column_names)
        amounts = [column.name for column in table.columns if column.kind is Kind.AMOUNT]
        assert {"decimal128(38, 18)"} == {str(found.schema.field(name).type) for name in amounts}
        plain = rows_of(out / f"{table.name}.csv")
        for row, same in zip(found.to_pylist(), plain, strict=True):
            assert {name: D(same[name]) if same[name] else None for name in amounts} == {
                name: row[name] for name in amounts
            }
    fills = parquet.read_table(other / "fills.parquet")
    assert "timestamp[us, tz=UTC]" == str(fills.schema.field("at").type)
    assert HOSTILE in fills.column("symbol").to_pylist()


async def test_an_amount_with_more_digits_makes_its_column_text(tmp_path: Path) -> None:
    """Nothing is rounded: the whole column is text then, and it is said which."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is missing: the extra [export] brings it")
    story = Booked(tick="0.0000000001")
    story.round()
    quantity, price = "0.123456789012", "0.0000000123"
    story.order(z=quantity, ap=price, last=(quantity, price), fee="0.000000000000000001", rp="0")
    await story.kept(tmp_path)
    out = tmp_path / "parquet"
    out.mkdir()
    with Reader.open(tmp_path, NAME) as reader:
        written = write_parquet(lambda: books(reader), out)
    assert ["fills.quote is text: an amount in it has more digits than decimal128(38, 18)"] == written.remarks
    found = parquet.read_table(out / "fills.parquet")
    assert ("string", ["0.0000000015185185048476"]) == (
        str(found.schema.field("quote").type),
        found.column("quote").to_pylist(),
    )


async def test_batches_of_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are written a batch at a time, each a row group, and none is lost between two."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is missing: the extra [export] brings it")
    monkeypatch.setattr(writing, "BATCH_ROWS", 3)
    assert BATCH_ROWS > 3
    await some_days().kept(tmp_path)
    with Reader.open(tmp_path, NAME) as reader:
        write_parquet(lambda: books(reader), tmp_path)
    file = parquet.ParquetFile(tmp_path / "fills.parquet")
    assert (3, 8) == (file.metadata.num_row_groups, file.metadata.num_rows)


@pytest.mark.parametrize(
    ("text", "room"),
    [("0", True), ("-99999999999999999999.123456789012345678", True), ("1e20", False), ("1e-19", False)],
)
def test_what_has_room_in_a_decimal128(text: str, room: bool) -> None:
    """Twenty digits before the point and eighteen behind it."""
    assert room == fits(D(text))


def test_a_day_without_a_snapshot() -> None:
    """Its balances are empty and its sums stand."""
    row = dict(
        zip(
            [column.name for column in DAYS.columns],
            day_row(DayEnd(day="2023-03-28", sums=Sums(), ledger=D(3), trades=0, snapshot=None)),
            strict=True,
        )
    )
    assert (D(3), None, None, None, D(0)) == (
        row["ledger"],
        row["wallet"],
        row["difference"],
        row["status"],
        row["net"],
    )


def test_a_day_on_which_nothing_was_stated() -> None:
    """The verdict of its last snapshot stands, and the wallet is empty."""
    body = {
        "e": {"wallet_balance": None, "stated": {}},
        "k": {"unrealized_pnl": "1"},
        "reconcile": {"status": "UNKNOWN"},
    }
    row = day_row(DayEnd(day="2023-03-28", sums=Sums(), ledger=D(3), trades=0, snapshot=body))
    assert (None, None, None, D(1), "UNKNOWN") == row[2:7]


def test_lists_are_described_as_text() -> None:
    """A csv has no lists: their parts are parted by spaces."""
    fields: Any = described(TABLES[0])["fields"]
    assert [("string", True)] == [
        (one["type"], one["description"].endswith("parted by spaces")) for one in fields if one["name"] == "sources"
    ]
