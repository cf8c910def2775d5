"""`ditad top` in real terminals, against a real daemon and the simulated exchange, through the states of a bad night."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from ditad.api.client import ApiClient
from ditad.clock import SystemClock
from ditad.exchange import AccountSpec, CutKind, FaultSpec, SimulatedExchange, Timing
from ditad.tui.figures import moment
from ditad.tui.seen import first
from ditad.tui.watching import DaemonWatch
from tests.support.process import Process, ditad, pause, running, write_settings
from tests.support.running import WAIT_S_MAX
from tests.support.terminal import COLOUR, LOOK_S, REVERSE, Terminal, needs_tmux, terminal

pytestmark = needs_tmux

TIMING = Timing(ping_ms=500)
SIZES: tuple[tuple[int, int, dict[str, str]], ...] = ((80, 24, {}), (160, 50, {}), (80, 24, {"NO_COLOR": "1"}))
"""A small terminal, a large one, and one whose user wants no colour."""


@asynccontextmanager
async def exchange_of(*names: str) -> AsyncIterator[SimulatedExchange]:
    """Run an exchange with some accounts."""
    async with SimulatedExchange(seed=21, accounts=[AccountSpec(name=name) for name in names], timing=TIMING) as made:
        yield made


@asynccontextmanager
async def daemon(settings: Path) -> AsyncIterator[Process]:
    """Run a daemon as a process; it is ready when the block begins."""
    async with running(*ditad("run", "--config", str(settings))) as started:
        assert await started.logged("daemon.ready"), started.last_words()
        yield started


def top(folder: Path, *words: str) -> tuple[str, ...]:
    """Name the program under test."""
    return ditad("top", "--socket", str(folder / "s"), *words)


async def all_show(screens: Sequence[Terminal], *words: str) -> list[list[str]]:
    """Look until every screen shows these words; gives the lines of each."""
    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(screen.shows(*words)) for screen in screens]
    return [look.result() for look in looks]


async def test_a_bad_night_is_shown_in_words_at_every_size(folder: Path) -> None:
    """Healthy, a gap, a divergence and its healing, the daemon hanging, gone and back: each is said, on every screen."""
    async with exchange_of("main") as exchange, AsyncExitStack() as stack:
        settings = write_settings(folder, exchange)
        main = exchange.account("main")
        async with daemon(settings) as first:
            screens = [
                await stack.enter_async_context(
                    terminal(folder / f"t{place}", *top(folder), width=width, height=height, environ=environ)
                )
                for place, (width, height, environ) in enumerate(SIZES)
            ]
            await all_show(screens, "live", "COVERAGE  live")
            main.market_order("FET-USDT", "SELL", "SHORT", 202_000, price="0.1878")
            healthy = await all_show(screens, "VERDICT   OK", "connected", "FET-USDT SHORT", "no gap")
            assert [] == [line for lines in healthy for line in lines if "…" in line]

            exchange.faults.spec = FaultSpec(refuse=1.0)
            exchange.cut("main", CutKind.ABRUPT)
            await all_show(screens, "? UNKNOWN", "GAP open", "NOT LIVING", "NOT USABLE")
            bare = await screens[2].painted()
            assert (None, True) == (COLOUR.search(bare), REVERSE.search(bare) is not None)
            assert COLOUR.search(await screens[0].painted()) is not None
            exchange.faults.calm()
            await all_show(screens, "VERDICT   OK", "connected", "no gap")

            exchange.core.streams.tamper = lambda _: None
            exchange.faults.force("rest_error", 10_000, code=100500, path="fillHistory")
            main.market_order("FET-USDT", "BUY", "SHORT", 2_000)
            differing = await all_show(screens, "not over", "R3 FET-USDT SHORT", "2000")
            assert all(any(sign in line for line in lines for sign in ("!", "?")) for lines in differing)
            exchange.core.streams.tamper = None
            exchange.faults._forced.clear()
            await all_show(screens, "VERDICT   OK", "healed", "uncovered_interval", "no gap")

            first.signal(signal.SIGSTOP)
            await all_show(screens, "NO ANSWER since", "? UNKNOWN", "it takes connections and says nothing")
            first.signal(signal.SIGCONT)
            await all_show(screens, "VERDICT   OK", "daemon was gone", "live")

            first.kill()
            await first.ended()
            gone = await all_show(screens, "NO DAEMON since", "? UNKNOWN", "was live", "was ok", "trying again")
            assert [] == [line for lines in gone for line in lines if line.endswith(" ok") and "was ok" not in line]
        async with daemon(settings):
            await all_show(screens, "VERDICT   OK", "daemon was gone", "live", "connected")
            for screen in screens:
                await screen.press("q")
            await all_show(screens, "ended with 0")


async def test_every_key_does_what_it_says(folder: Path) -> None:
    """Account, pause, detail, help and quit, pressed by a person's fingers."""
    async with exchange_of("main", "side") as exchange:
        settings = write_settings(folder, exchange)
        async with daemon(settings), terminal(folder / "t", *top(folder, "--account", "main")) as screen:
            await screen.shows(" ditad top  main  (+1 other: OK)", "VERDICT   OK")
            await screen.press("a")
            await screen.shows(" ditad top  side  (+1 other: OK)")
            await screen.press("p")
            still = await screen.shows("PAUSED", "now OK")
            exchange.account("side").deposit("5.25")
            later = await screen.until(lambda lines: "PAUSED" in lines[0] and lines[0] != still[0])
            assert still[1:] == later[1:]
            await screen.press("p")
            await screen.shows("live", "10005.25")
            await screen.press("d")
            await screen.shows("side  OK", "FIGURES of event_seq", "capital raw, wallet")
            await screen.press("Escape")
            await screen.shows("VERDICT   OK")
            await screen.press("?")
            await screen.shows("KEYS", "WORDS")
            await screen.press("q")
            await screen.shows("VERDICT   OK")
            await screen.press("q")
            await screen.shows("ended with 0")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--account", "nobody"), 64, "there is no account nobody; known: main"),
        (("--json",), 64, "ditad snapshot --json"),
    ],
)
async def test_what_cannot_be_shown_is_said_in_a_sentence(
    folder: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    """Before the screen is taken."""
    async with exchange_of("main") as exchange:
        settings = write_settings(folder, exchange)
        async with daemon(settings), terminal(folder / "t", *top(folder, *words), width=160) as screen:
            lines = await screen.shows(f"ended with {code}")
            assert told in lines[0]


async def test_without_a_daemon_it_says_so_and_ends(folder: Path) -> None:
    """As every verb that asks: 69."""
    async with terminal(folder / "t", *top(folder), width=160) as screen:
        lines = await screen.shows("ended with 69")
        assert lines[0].startswith("ditad: no daemon on")


async def test_a_real_daemon_tells_all_that_the_screen_asks_for(folder: Path) -> None:
    """Every figure of the stream's health is found under its name, and since when the verdict is what it is."""
    async with exchange_of("main") as exchange:
        settings = write_settings(folder, exchange)
        async with daemon(settings), ApiClient(folder / "s") as client:
            watch = DaemonWatch(client, SystemClock())
            async with asyncio.timeout(WAIT_S_MAX):
                while (seen := first(await watch.round(None, 0))).status != "OK" or seen.health.without_effect is None:
                    await pause(LOOK_S)
    assert seen.item is not None
    assert [] == [name for name, figure in asdict(seen.health).items() if figure is None]
    assert moment(seen.item["verdict"]["since"]) <= seen.answers.at


async def test_pages_come_and_go_as_fast_as_fingers(folder: Path) -> None:
    """A page that is asked for while another one is being left is shown as well."""
    async with exchange_of("main") as exchange:
        settings = write_settings(folder, exchange)
        async with daemon(settings), terminal(folder / "t", *top(folder)) as screen:
            await screen.shows("VERDICT")
            for _ in range(5):
                await screen.press("d", "q", "?")
                await screen.shows("KEYS")
                await screen.press("q", "d", "d")
                await screen.shows("VERDICT")


async def test_without_the_extra_it_says_how_to_install_it(folder: Path) -> None:
    """One sentence with the command, and 64; the other verbs do not mind."""
    (folder / "textual.py").write_text("raise ModuleNotFoundError('no textual', name='textual')\n")
    environ = {"PYTHONPATH": str(folder)}
    async with terminal(folder / "t", *top(folder), width=200, environ=environ) as screen:
        lines = await screen.shows("ended with 64")
        assert (
            f"ditad: top needs the extra `tui` (textual is missing): {sys.executable} -m pip install 'ditad[tui]'"
            in lines
        )
    async with terminal(folder / "u", *ditad("--version"), width=200, environ=environ) as screen:
        await screen.shows("ended with 0")


async def test_without_a_terminal_it_says_what_there_is_instead() -> None:
    """A pipe is no screen: 64."""
    async with running(*ditad("top")) as verb:
        assert (64, b"ditad: top needs a terminal; without one there is `ditad status`\n") == (
            await verb.ended(),
            verb.errors,
        )
