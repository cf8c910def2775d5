"""The benchmarks in miniature: each part runs and says what it should say, and none gives figures of wrong results.

Nothing of time is asserted here. The whole of it, with figures, is a command: `python -m tests.benchmarks`.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad.journal import Reader as JournalReader
from ditad.journal import journal_path
from ditad.replaying import verified
from tests.benchmarks import day, fan_out, gap, growing, latency, million, readers, rivals, sizes
from tests.benchmarks import lane as lanes
from tests.benchmarks.__main__ import LONG_ONLY, NAMED_ONLY, PARTS, asked
from tests.benchmarks.figures import Figure, Goal, markdown, ratio, result, shown, spread, table
from tests.benchmarks.journals import ran
from tests.benchmarks.lane import QUIET, written
from tests.benchmarks.machine import ROOT, machine
from tests.benchmarks.options import Options
from tests.benchmarks.profiled import WAITING
from tests.benchmarks.profiled import rows as profile_rows
from tests.benchmarks.synthetic import Account, numbered_symbols, plain
from tests.support.journaled import NAME
from tests.support.running import short_folder

SMALL = Options(frames=16, rounds=1, seconds=0.2, scale=1_000)
PART_S_MAX = 300.0

ROWS = {
    "cost": {
        "order frame, alone",
        "account frame, alone",
        "sustained: order frame, alone",
        "one durable commit (time)",
    },
    "latency": {"200/s: median", "200/s: p99", "200/s: most", "200/s: CPU of the daemon per push"},
    "fan-out": {"1 readers: frame → folded", "3 readers, 1 of them never read: frame → last reader"},
    "positions": {"1 open positions", "5 open positions"},
    "accounts": {"1 accounts", "2 accounts", "2 accounts: resident memory"},
    "flood": {"a frame that changes nothing"},
    "gap": {"12 fills", "12 fills: CPU per fill"},
    "journals": {
        "start-up, 700 events, after an orderly end",
        "start-up, 900 events, killed under load",
        "CPU per push, 900 events",
        "a reader that resumes, from journal and ring",
        "replay, pushes alone",
        "verify, a life, 800 events",
    },
    "day": {"memory held by the product, last quarter", "tasks, last quarter", "journal"},
    "profile": {"in all: ditad", "in all: built in"},
    "million": {"resident memory", "CPU per push, last tenth", "file descriptors at the end"},
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a private folder with a short path, for the unix sockets."""
    made = short_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make everything small that is not an option."""
    monkeypatch.setattr(latency, "RATES", (200,))
    monkeypatch.setattr(latency, "PUSHES_MIN", 16)
    monkeypatch.setattr(latency, "COMMITS", 3)
    monkeypatch.setattr(rivals, "COMMITS", 3)
    monkeypatch.setattr(fan_out, "CROWDS", ((1, 0), (3, 1)))
    monkeypatch.setattr(fan_out, "PUSHES_MIN", 16)
    monkeypatch.setattr(sizes, "POSITIONS", (1, 5))
    monkeypatch.setattr(sizes, "ACCOUNTS", (1, 2))
    monkeypatch.setattr(lanes, "WARM_PUSHES_MIN", 16)
    monkeypatch.setattr(gap, "GAPS", (12_000,))
    monkeypatch.setattr(growing, "QUIET_EVENTS", 300)
    monkeypatch.setattr("tests.benchmarks.journals.SMALL", 700_000)
    monkeypatch.setattr("tests.benchmarks.journals.REPLAYED", 800_000)
    monkeypatch.setattr("tests.benchmarks.journals.LARGE", 900_000)
    monkeypatch.setattr("tests.benchmarks.journals.SIZE_MIN", 1)
    monkeypatch.setattr(day, "HOURS", 4)
    monkeypatch.setattr(million, "CHUNKS", 10)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("part", PARTS)
async def test_every_part_runs_in_miniature(part: str, folder: Path) -> None:
    """Each gives its rows, with finite numbers, a pacing, and goals that are judged by a number."""
    async with asyncio.timeout(PART_S_MAX):
        figures = await PARTS[part](folder, SMALL)
    assert set() == ROWS[part] - {figure.what for figure in figures}
    for figure in figures:
        assert figure.pacing, figure
        numbers = (figure.value, *figure.beside.values(), *(goal.judged for goal in figure.goals))
        assert [] == [number for number in numbers if not math.isfinite(number) or number < 0], figure
    assert part in {"gap", "million", "latency"} or any(figure.beside for figure in figures), "baselines stand beside"


def test_a_profile_gives_shares_of_what_was_not_waiting() -> None:
    """Of functions, of modules, and of all modules of ours, however little each of them took."""
    ours = {(str(ROOT / "ditad" / f"m{number}.py"), 1, "f"): 1.0 for number in range(20)}
    own = {**ours, ("~", 0, "<built-in>"): 60.0, ("/x/lib/y.py", 1, "g"): 20.0, ("~", 0, WAITING): 900.0}
    shares = {figure.what: figure.value for figure in profile_rows(own, 1)}
    assert (20.0, 60.0, 20.0) == (shares["in all: ditad"], shares["in all: built in"], shares["lib/y.py: g"])


def test_every_part_is_tested() -> None:
    """A part that nobody runs in small would be found broken when it is wanted."""
    assert set(PARTS) == set(ROWS)


# ---- it can fail


STANDING = {
    "trade_seq": 1,
    "capital_raw": "99.5",
    "realized_pnl": "0",
    "fees_paid": "0.5",
    "positions": {"BTC-USDT": ["0.01", "28000"]},
}
SNAPSHOT: dict[str, Any] = {
    "k": {
        "trade_seq": 1,
        "capital_raw": "99.5",
        "realized_pnl": "0",
        "fees_paid": "0.5",
        "positions": [{"symbol": "BTC-USDT", "qty": "0.01", "entry_price": "28000"}],
    },
    "e": {"wallet_balance": "99.5"},
    "reconcile": {"status": "OK", "explanations": []},
}


def bent(*path: str, to: object) -> dict[str, Any]:
    """Give the snapshot with another figure somewhere."""
    made: dict[str, Any] = orjson.loads(orjson.dumps(SNAPSHOT))
    place = made
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return made


def test_the_snapshot_that_was_sent_is_right() -> None:
    """Equal to the last digit is equal."""
    assert [] == readers.wrong(SNAPSHOT, STANDING)


@pytest.mark.parametrize(
    "snapshot",
    [
        bent("k", "trade_seq", to=2),
        bent("k", "capital_raw", to="99.50000001"),
        bent("k", "fees_paid", to="0.6"),
        bent("k", "positions", to=[]),
        bent("e", "wallet_balance", to="99.4"),
        bent("reconcile", "status", to="WARN"),
    ],
)
def test_a_snapshot_of_something_else_is_wrong(snapshot: dict[str, Any]) -> None:
    """K, E and the verdict are each compared with what was sent."""
    assert 1 == len(readers.wrong(snapshot, STANDING))


async def test_a_reader_that_is_dropped_ends_the_benchmark() -> None:
    """A load generator that cannot keep up is no measurement of the daemon."""
    reader = readers.Reader("main")
    reader.data_received(b'HTTP/1.1 200 OK\r\n\r\n1\r\n{"type":"dropped","from":1,"to":9}\n\r\n')
    with pytest.raises(SystemExit, match="dropped; 0 of 1 pushes"):
        await reader.came(1)


async def test_a_reader_counts_pushes_once_and_across_pieces() -> None:
    """The snapshot that was there already is none; a line that comes in two pieces is one."""
    reader = readers.Reader("main")
    lines = b"".join(
        b'{"seq":%d,"type":"snapshot","ts":"x","snapshot":{"source_event_id":"%s"}}\n' % (seq, source)
        for seq, source in ((1, b"order:1"), (2, b"order:2"), (3, b"marks:3"), (4, b"account:4"))
    )
    text = b"HTTP/1.1 200 OK\r\n\r\n1a\r\n" + lines + b"\r\n"
    for place in range(len(text)):
        reader.data_received(text[place : place + 1])
    assert (2, {"source_event_id": "account:4"}) == (reader.heard, reader.last)


async def test_a_refused_reader_ends_the_benchmark() -> None:
    """What the daemon answered instead is said."""
    reader = readers.Reader("main")
    reader.data_received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    with pytest.raises(SystemExit, match="503"):
        await reader.answered()


@pytest.mark.usefixtures("small")
async def test_a_daemon_that_says_something_else_than_was_sent_gives_no_figure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says instead is named when the wait is over, however short."""
    async with lanes.lane(folder / "wrong") as lane:
        monkeypatch.setattr(readers, "STEP_S_MAX", 0.5)
        await lane.prepare("pairs", 16)
        await lane.send()
        standing = {**lane.expected["main"], "fees_paid": "1"}
        with pytest.raises(SystemExit, match=r"a benchmark of wrong results is none: .*sent was 1"):
            await lane.readers[0].told(0, standing)


@pytest.mark.usefixtures("small")
async def test_a_journal_that_is_not_what_it_says_gives_no_figure(folder: Path) -> None:
    """The verb's code is looked at: a fast verification that finds something is none."""
    home = (await asyncio.to_thread(growing.grown, folder, [600]))[600]
    database = sqlite3.connect(journal_path(home / "state", NAME))
    database.execute("UPDATE commits SET digest = zeroblob(32) WHERE through_n = (SELECT max(through_n) FROM commits)")
    database.commit()
    database.close()
    settings = written(folder, {"rest_url": "http://127.0.0.1:1", "ws_url": "ws://127.0.0.1:1"}, (NAME,), QUIET)
    shutil.copytree(home / "state", folder / "state")
    with pytest.raises(SystemExit, match="verify ended with 65"):
        await ran("verify", settings)


@pytest.mark.usefixtures("small")
def test_grown_journals_verify_and_are_used_again(folder: Path) -> None:
    """Each size is a sealed journal of so many events at whose end nothing is open; the shorter begins the longer."""
    homes = growing.grown(folder, [500, 900])
    for size, home in homes.items():
        with JournalReader.open(home / "state", NAME) as reader:
            found = verified(reader, NAME, progress=lambda *_: None)
            assert (size, True, []) == (reader.event_count, reader.sealed, found.problems)
        assert Decimal(growing.books_of(home)["wallet"]) > 0
    written_at = [journal_path(home / "state", NAME).stat().st_mtime_ns for home in homes.values()]
    assert homes == growing.grown(folder, [500, 900])
    assert written_at == [journal_path(home / "state", NAME).stat().st_mtime_ns for home in homes.values()]


# ---- figures


def figure(*goals: Goal) -> Figure:
    """Make a figure."""
    return Figure(part="p", what="w", value=2.0, unit="µs", pacing="none", beside={"floor": 1.0}, goals=goals)


def test_a_goal_is_judged_both_ways() -> None:
    """At most, or at least; what is no number is not reached."""
    goal = Goal(text="g", judged=1.0, limit=1.0)
    assert (True, False) == (goal.reached, replace(goal, judged=1.01).reached)
    assert (True, False) == (replace(goal, least=True).reached, replace(goal, judged=0.99, least=True).reached)
    assert not replace(goal, judged=math.nan).reached


def test_the_table_says_what_is_not_reached() -> None:
    """Each row has its baseline, its pacing, and its goals by name."""
    goals = (Goal(text="small", judged=1.0, limit=2.0), Goal(text="smaller", judged=1.0, limit=0.5))
    text = table(result(machine(), {}, [figure(*goals)]))
    assert [] == [
        words
        for words in ("floor 1.00", "at none", "      reached: small", "NOT REACHED: smaller (1.00, limit 0.500)")
        if words not in text
    ]


def test_a_page_has_what_has_a_goal() -> None:
    """One row a goal, in Markdown; figures without one stay in the table."""
    goals = (Goal(text="small", judged=1.0, limit=2.0), Goal(text="smaller", judged=1.0, limit=0.5))
    lines = markdown(result(machine(), {}, [figure(*goals), figure()])).splitlines()
    assert [
        "| w | 2.00 µs | small: 1.00 against 2.00 | reached | none |",
        "| w | 2.00 µs | smaller: 1.00 against 0.500 | not reached | none |",
    ] == lines[4:]


def test_times_are_spread_and_paired() -> None:
    """The 99th of a hundred is one of them; a ratio is the median of what was measured in turn."""
    of = spread(number * 1_000_000 for number in range(1, 101))
    assert (50.5, 99.0, 100.0) == (of.p50, of.p99, of.most)
    assert 2.0 == ratio([(2.0, 1.0), (30.0, 10.0), (4.0, 2.0)])
    with pytest.raises(AssertionError, match="clock"):
        spread([-1])


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0.0), ("1,235", 1234.6), ("12.3", 12.34), ("0.0123", 0.012345), ("inf", math.inf)]
)
def test_numbers_are_shown_with_the_digits_that_count(text: str, number: float) -> None:
    """Three of them, and no fraction of what is large."""
    assert text == shown(number)


def test_long_parts_are_asked_for() -> None:
    """By name or with --long; frames are rounded to whole rounds."""
    parts, options, form = asked(["--frames", "100"])
    assert (set(PARTS) - {*LONG_ONLY, *NAMED_ONLY}, 96, None) == (set(parts), options.frames, form.json)
    assert set(PARTS) - set(NAMED_ONLY) == set(asked(["--long"])[0])
    assert ["million"] == asked(["million"])[0]


@pytest.mark.parametrize("words", [["nothing"], ["--frames", "1"], ["--rounds", "0"], ["--seconds", "0"]])
def test_what_cannot_be_measured_is_refused(words: list[str]) -> None:
    """A wrong word ends with argparse's code before anything is started."""
    with pytest.raises(SystemExit) as ended:
        asked(words)
    assert 2 == ended.value.code


# ---- frames


def test_a_steady_account_keeps_its_positions_open() -> None:
    """Once all are open, each is closed and opened again in turn, and after both orders it earned its fees."""
    account = Account(1_760_000_000_000, symbols=numbered_symbols(5), steady=True)
    list(account.level())
    wallet = account.wallet
    for _ in range(10):
        list(account.orders(2))
        assert 5 == len(account.entries)
        assert wallet == account.wallet
    assert plain(wallet) == account.standing()["capital_raw"]


def test_an_account_goes_on_from_what_it_did_before() -> None:
    """Its sums continue."""
    account = Account(1, wallet=Decimal(7), realized=Decimal(2), fees=Decimal(1), trades=3)
    standing = account.standing()
    assert ("7", "2", "1", 3) == tuple(
        standing[name] for name in ("capital_raw", "realized_pnl", "fees_paid", "trade_seq")
    )
