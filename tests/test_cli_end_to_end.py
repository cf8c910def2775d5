"""`ditad run` and `ditad demo` as real processes: start, stop, restart, kill, and what they end with."""

from __future__ import annotations

import asyncio
import copy
import os
import shutil
import signal
import stat
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad.api.client import ApiClient
from ditad.api.following import events, follow
from ditad.demo import SUMS, differences
from ditad.exchange import AccountSpec, BooksTruth, SimulatedExchange, trade
from tests.support.running import STILL, WAIT_S_MAX, account_settings, settings_file, short_folder

ROOT = Path(__file__).resolve().parent.parent
LINES_KEPT_MAX = 2_000
FAST = """
[account.audit]
interval_s = 5
fills_interval_s = 2
income_interval_s = 2
report_lag_s = 2
fills_lag_s = 1
requests_per_s = 10
"""


class MovableClock:
    """The exchange's clock: the machine's, and moved on by a test where whole seconds must lie between two acts.

    Rows of history are stamped in whole seconds; what lies in one second cannot be told apart from them afterwards.
    """

    def __init__(self) -> None:
        self._ahead_ms = 0

    def __call__(self) -> int:
        """Give milliseconds since 1970."""
        return time.time_ns() // 1_000_000 + self._ahead_ms

    def pass_a_second(self, *_: object) -> None:
        """Let a second pass at the exchange."""
        self._ahead_ms += 1_000


class Running:
    """A process of ours: what it wrote so far, and how it is ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: deque[bytes] = deque(maxlen=LINES_KEPT_MAX)
        self._errors = b""
        self._wrote = asyncio.Condition()
        self._ended = False

    @property
    def pid(self) -> int:
        """Give its process id."""
        return self._process.pid

    async def listen(self) -> None:
        """Take what it writes until it ends, so that no pipe ever fills."""
        assert self._process.stdout is not None, "its stdout is a pipe"
        async for line in self._process.stdout:
            async with self._wrote:
                self._lines.append(line.rstrip(b"\n"))
                self._wrote.notify_all()
        async with self._wrote:
            self._ended = True
            self._wrote.notify_all()

    async def listen_to_errors(self) -> None:
        """Take what it complains about until it ends."""
        assert self._process.stderr is not None, "its stderr is a pipe"
        self._errors = await self._process.stderr.read()

    async def logged(self, event: str) -> dict[str, Any]:
        """Wait for a log line of this event; gives it."""
        return await self.wrote(f'"event":"{event}"'.encode())

    async def heard(self, words: bytes) -> bytes:
        """Wait for a line that holds these words; gives it."""
        async with asyncio.timeout(WAIT_S_MAX), self._wrote:
            await self._wrote.wait_for(lambda: self._ended or any(words in line for line in self._lines))
        found = [line for line in self._lines if words in line]
        assert found, f"it ended without {words!r}; last: {list(self._lines)[-3:]}"
        return found[0]

    async def wrote(self, words: bytes) -> dict[str, Any]:
        """Wait for a line of JSON that holds these words; gives what it says."""
        line: dict[str, Any] = orjson.loads(await self.heard(words))
        return line

    def lines(self) -> list[dict[str, Any]]:
        """Give all lines of JSON so far."""
        return [orjson.loads(line) for line in self._lines]

    async def ends(self, number: signal.Signals | None = None) -> int:
        """Send it a signal, if one is given, and wait for its end; gives the exit code, which a late end makes 70."""
        if number is not None:
            self._process.send_signal(number)
        async with asyncio.timeout(WAIT_S_MAX):
            return await self._process.wait()

    async def said(self) -> tuple[str, str]:
        """Give what it wrote, and what it complained about, once it has ended."""
        async with asyncio.timeout(WAIT_S_MAX), self._wrote:
            await self._wrote.wait_for(lambda: self._ended)
        return b"\n".join(self._lines).decode(), self._errors.decode()


@asynccontextmanager
async def running(*words: str, environ: Mapping[str, str] | None = None, cwd: Path = ROOT) -> AsyncIterator[Running]:
    """Run a program until the block ends; whatever is left of it then is killed, by its id."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1024 * 1024,
    )
    started = Running(process)
    async with asyncio.TaskGroup() as group:
        group.create_task(started.listen())
        errors = group.create_task(started.listen_to_errors())
        try:
            yield started
            if process.returncode is not None:
                await errors
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def ditad(*words: str) -> tuple[str, ...]:
    """Name `ditad` as a program of this very interpreter."""
    return sys.executable, "-m", "ditad", *words


async def said(*words: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run a verb to its end; gives exit code, stdout and stderr."""
    async with running(*ditad(*words), environ=environ) as verb:
        code = await verb.ends()
        out, err = await verb.said()
    return code, out, err


async def snapshots(socket: Path, *, after_seq: int = 0) -> AsyncGenerator[dict[str, Any], None]:
    """Give snapshots as they come, from a `seq` on."""
    async with ApiClient(socket) as client, aclosing(follow(client, "main", after_seq=after_seq)) as lines:
        async for line in lines:
            if line.type == "snapshot":
                yield line.value["snapshot"]


async def begun(socket: Path) -> dict[str, Any]:
    """Wait for a snapshot with a baseline; gives it."""
    async with asyncio.timeout(WAIT_S_MAX), aclosing(snapshots(socket)) as stream:
        async for snapshot in stream:
            if snapshot["baseline"] is not None:
                return snapshot
    raise AssertionError("the stream ended without a baseline")


async def agreed(socket: Path, truth: BooksTruth) -> dict[str, Any]:
    """Wait until K is the exchange's own books, and the daemon is sure of it; gives the present snapshot."""
    last: dict[str, Any] = {}
    try:
        async with asyncio.timeout(WAIT_S_MAX), aclosing(snapshots(socket)) as stream:
            async for snapshot in stream:
                last = snapshot
                if not differences(truth, snapshot) and snapshot["reconcile"]["status"] == "OK":
                    async with ApiClient(socket) as client:
                        now = await client.get("/v1/accounts/main/snapshot")
                    if now["event_seq"] == snapshot["event_seq"] and now["coverage"]["state"] == "live":
                        return now
    except TimeoutError:
        problems = [*differences(truth, last), *last["reconcile"]["explanations"], last["coverage"]["state"]]
        raise AssertionError(f"they never came to agree: {problems}") from None
    raise AssertionError("the stream ended before they agreed")


async def seqs(socket: Path) -> list[int]:
    """Give the `seq` of every record there is."""
    async with ApiClient(socket) as client, aclosing(events(client, "main", after_seq=0)) as lines:
        return [int(line.value["seq"]) async for line in lines if line.type != "bookmark"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a private folder with a short path, for the state and the unix socket."""
    made = short_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def clock() -> MovableClock:
    """Give the exchange's clock."""
    return MovableClock()


@pytest.fixture
async def exchange(clock: MovableClock) -> AsyncIterator[SimulatedExchange]:
    """Give an exchange with one account in hedge mode."""
    async with SimulatedExchange(seed=7, accounts=[AccountSpec(name="main")], clock=clock, timing=STILL) as made:
        yield made


@pytest.fixture
def settings(folder: Path, exchange: SimulatedExchange) -> Path:
    """Write settings that name this exchange."""
    key, secret = exchange.credentials["main"]
    account = account_settings(
        folder,
        "main",
        rest_url=exchange.rest_url,
        ws_url=exchange.ws_url,
        api_key=key,
        api_secret=secret,
        more=FAST,
    )
    return settings_file(folder, account)


@asynccontextmanager
async def daemon(settings: Path) -> AsyncIterator[Running]:
    """Run `ditad run` until the block ends; it answers on its socket when the block begins."""
    async with running(*ditad("run", "--config", str(settings))) as started:
        await started.logged("daemon.ready")
        yield started


async def test_a_daemon_starts_answers_and_ends_in_order(
    folder: Path, settings: Path, exchange: SimulatedExchange
) -> None:
    """It becomes ready, `status` says OK, SIGTERM ends it with 0 in time, and its socket is gone."""
    socket = folder / "s"
    async with daemon(settings) as started:
        await begun(socket)
        since = exchange.mark("main")
        await trade(exchange, "main", actions=20, seed=1)
        await agreed(socket, exchange.books_since(since))
        code, out, err = await said("status", "--socket", str(socket))
        assert (0, "") == (code, err), out
        assert stat.S_ISSOCK(socket.stat().st_mode)
        assert 0 == await started.ends(signal.SIGTERM)
        assert not socket.exists()
        _, errors = await started.said()
        assert "" == errors


async def test_the_stream_can_be_followed_from_its_first_record(
    folder: Path, settings: Path, exchange: SimulatedExchange
) -> None:
    """`ditad events --after-seq 0 -f` gives every record, up to the fill that happens while it reads."""
    socket = folder / "s"
    async with daemon(settings):
        await begun(socket)
        words = ditad("events", "--after-seq", "0", "-f", "--json", "--socket", str(socket))
        async with running(*words) as reader:
            exchange.account("main").market_order("BTC-USDT", "BUY", "LONG", "0.01", price="100000.0")
            record = await reader.wrote(b'"type":"fill"')
            assert "100000" == record["fill"]["price"]
            numbers = [line["seq"] for line in reader.lines() if line["seq"] <= record["seq"]]
            assert list(range(1, record["seq"] + 1)) == numbers


async def test_a_restart_goes_on_where_it_was(
    folder: Path, settings: Path, exchange: SimulatedExchange, clock: MovableClock
) -> None:
    """After a restart the baseline is the same, and `seq` and `event_seq` go on without a hole."""
    socket = folder / "s"
    async with daemon(settings) as first:
        await begun(socket)
        since = exchange.mark("main")
        await trade(exchange, "main", actions=10, seed=2)
        before = await agreed(socket, exchange.books_since(since))
        assert 0 == await first.ends(signal.SIGTERM)
    clock.pass_a_second()
    await trade(exchange, "main", actions=10, seed=3, on_action=clock.pass_a_second)
    async with daemon(settings):
        after = await agreed(socket, exchange.books_since(since))
        numbers = await seqs(socket)
        async with (
            ApiClient(socket) as client,
            aclosing(events(client, "main", after_seq=0, types=("snapshot",))) as lines,
        ):
            event_seqs = [line.value["snapshot"]["event_seq"] async for line in lines if line.type == "snapshot"]
    assert before["baseline"]["id"] == after["baseline"]["id"]
    assert list(range(numbers[0], numbers[0] + len(numbers))) == numbers
    assert list(range(event_seqs[0], event_seqs[0] + len(event_seqs))) == event_seqs
    assert before["event_seq"] < after["event_seq"] <= event_seqs[-1]
    assert before["event_seq"] in event_seqs


async def test_a_second_daemon_refuses_a_state_folder_in_use(folder: Path, settings: Path) -> None:
    """The second one ends with 75 and names the first one's pid; the first goes on."""
    async with daemon(settings) as first:
        code, out, err = await said("run", "--config", str(settings))
        assert 75 == code
        assert f"pid {first.pid}" in out + err
        await begun(folder / "s")


async def test_a_killed_daemon_goes_on_with_nothing_lost(
    folder: Path, settings: Path, exchange: SimulatedExchange, clock: MovableClock
) -> None:
    """`kill -9` in the middle of trading: after the restart K is still the exchange's own books, to the last digit."""
    socket = folder / "s"
    async with daemon(settings) as first:
        baseline = (await begun(socket))["baseline"]
        since = exchange.mark("main")
        for act in acts(exchange, first=True):
            clock.pass_a_second()
            act()
        assert -signal.SIGKILL == await first.ends(signal.SIGKILL)
    for act in acts(exchange, first=False):
        clock.pass_a_second()
        act()
    async with daemon(settings) as second:
        after = await agreed(socket, exchange.books_since(since))
        numbers = await seqs(socket)
        assert 0 == await second.ends(signal.SIGTERM)
    assert baseline == after["baseline"]
    assert list(range(numbers[0], numbers[0] + len(numbers))) == numbers


def acts(exchange: SimulatedExchange, *, first: bool) -> list[Callable[[], object]]:
    """Give what the account does before it is killed, or while nobody listens: every kind of fact, and a partial fill."""
    main = exchange.account("main")

    def partly() -> None:
        main.fill(main.limit_order("BTC-USDT", "BUY", "LONG", "0.02", "99000.0"), "0.01")

    if first:
        return [
            lambda: main.market_order("BTC-USDT", "BUY", "LONG", "0.01", price="100000.0"),
            lambda: main.market_order("ETH-USDT", "SELL", "SHORT", "0.5", price="4000.00"),
            lambda: main.settle_funding("0.0001"),
            partly,
            lambda: main.deposit("12.5"),
            lambda: main.market_order("BTC-USDT", "SELL", "LONG", "0.01", price="100500.0", reduce_only=True),
        ]
    return [
        lambda: main.fill(main.open_orders()[0].order_id, "0.01"),
        lambda: main.market_order("ETH-USDT", "BUY", "SHORT", "0.2", price="3990.00", reduce_only=True),
        lambda: main.withdraw("3.25"),
        lambda: main.market_order("ETH-USDT", "BUY", "LONG", "0.3", price="3991.00"),
    ]


async def test_bad_settings_are_all_named(folder: Path) -> None:
    """`ditad run` with settings that are wrong in several ways ends with 78 and names each of them."""
    path = folder / "ditad.toml"
    path.write_text(
        '[daemon]\nlog_levle = "info"\nsocket_mode = "9"\n[[account]]\nname = "UPPER"\n[account.audit]\ninterval_s = 0\n'
    )
    code, out, err = await said("run", "--config", str(path))
    assert (78, "") == (code, out)
    assert [] == [word for word in ("log_levle", "log_level", "socket_mode", "name", "interval_s") if word not in err]
    assert "Traceback" not in err


async def test_the_demo_proves_the_books_equal() -> None:
    """`ditad demo` ends with 0, and its summary shows why: both verdicts OK, every figure equal."""
    code, out, err = await said("demo", "--duration", "2", "--json")
    summary = orjson.loads(out)
    accounts = summary["accounts"].values()
    told = {name: (row["status"], row["explanations"], row["differences"]) for name, row in summary["accounts"].items()}
    assert (0, "OK", True) == (code, summary["status"], summary["equal"]), (told, err)
    assert [True, True] == [row["fills"] > 0 and row["snapshots"] > 0 for row in accounts]
    assert [True, True] == [
        row["exchange"][theirs] == row["k"][ours] for row in accounts for theirs, ours in (("fees", "fees_paid"),)
    ]


async def test_one_changed_digit_in_either_book_is_a_difference(
    folder: Path, settings: Path, exchange: SimulatedExchange
) -> None:
    """What the demo compares is compared to the last digit: of every figure, on either side."""
    socket = folder / "s"
    async with daemon(settings):
        await begun(socket)
        since = exchange.mark("main")
        await trade(exchange, "main", actions=40, seed=6)
        truth = exchange.books_since(since)
        snapshot = await agreed(socket, truth)
    assert truth["positions"], "the story leaves positions open"
    assert [] == differences(truth, snapshot)
    unnoticed = [name for name, theirs, ours in altered(truth, snapshot) if not differences(theirs, ours)]
    assert [] == unnoticed


def altered(truth: BooksTruth, snapshot: Mapping[str, Any]) -> Iterator[tuple[str, BooksTruth, Mapping[str, Any]]]:
    """Give both books again and again, each time with one digit changed, and whose and which."""
    for theirs, ours in SUMS.items():
        books: Any = copy.deepcopy(truth)
        books[theirs] += last_digit(books[theirs])
        yield f"exchange {theirs}", books, snapshot
        other: Any = copy.deepcopy(snapshot)
        other["k"][ours] = str(Decimal(other["k"][ours]) + last_digit(Decimal(other["k"][ours])))
        yield f"K {ours}", truth, other
    for place in range(len(truth["positions"])):
        for field in ("qty", "entry_price"):
            books = copy.deepcopy(truth)
            books["positions"][place][field] += last_digit(books["positions"][place][field])
            yield f"exchange position {place} {field}", books, snapshot
            other = copy.deepcopy(snapshot)
            figure = Decimal(other["k"]["positions"][place][field])
            other["k"]["positions"][place][field] = str(figure + last_digit(figure))
            yield f"K position {place} {field}", truth, other


def last_digit(figure: Decimal) -> Decimal:
    """Give one unit in a figure's last place."""
    exponent = figure.as_tuple().exponent
    assert isinstance(exponent, int), "figures are finite"
    return Decimal(1).scaleb(exponent)
