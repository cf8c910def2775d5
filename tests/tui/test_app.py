"""The screen in Textual's own pilot, with answers that a test gives; nothing waits for time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Footer

from ditad.api.client import AnsweredError
from ditad.errors import DaemonUnreachableError
from ditad.tui.app import FAILED, TopApp
from ditad.tui.equity import step_of
from ditad.tui.lines import text_of
from ditad.tui.pages import Lines, Page
from ditad.tui.seen import Answers
from tests.support.running import WAIT_S_MAX
from tests.tui.making import NOW, answers, divergence, item, snapshot

SMALL = (80, 24)


class Script:
    """A watch whose rounds are given by a test: answers, or an error that is raised."""

    def __init__(self, *rounds: Answers | Exception) -> None:
        self.rounds = list(rounds)
        self.asked: list[tuple[str | None, int]] = []
        self.past_asked: list[str] = []
        self.at = NOW
        self.older: list[tuple[int, Decimal]] = []
        self.past_fails: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    async def round(self, wanted: str | None, after_seq: int) -> Answers:
        """Give the next round."""
        self.asked.append((wanted, after_seq))
        given = self.rounds.pop(0)
        self.meanwhile()
        if isinstance(given, Exception):
            raise given
        return given

    async def past(self, account: str, now: datetime) -> AsyncGenerator[tuple[int, Decimal], None]:
        """Give the past that a test set."""
        assert now == self.at
        self.past_asked.append(account)
        for point in self.older:
            yield point
        if self.past_fails is not None:
            raise self.past_fails

    def now(self) -> datetime:
        """Give the moment that a test set."""
        return self.at


@asynccontextmanager
async def screen(
    script: Script, begun: Answers | None = None, size: tuple[int, int] = SMALL
) -> AsyncIterator[tuple[TopApp, Pilot[None]]]:
    """Run the app in the pilot; it asks only when a test presses `r`."""
    app = TopApp(script, begun or answers(said=snapshot()), round_s=None)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


def shown(app: TopApp) -> list[str]:
    """Give the words that are painted."""
    lines = app.screen.query_one(Lines)
    painted = [lines.render_line(y).text.rstrip() for y in range(lines.size.height)]
    assert painted == [*(text_of(line).rstrip() for line in lines.lines), *[""] * lines.size.height][: len(painted)]
    return painted


async def asked(app: TopApp, pilot: Pilot[None], script: Script) -> None:
    """Press `r` and wait until the round is done."""
    count = len(script.asked)
    await pilot.press("r")
    async with asyncio.timeout(WAIT_S_MAX):
        while len(script.asked) == count or app._asking.is_set():
            await pilot.pause()
    await pilot.pause()


async def test_the_first_paint_has_the_first_answers() -> None:
    """Nothing is asked again before it is painted, and the line of keys stands beneath."""
    script = Script()
    async with screen(script) as (app, _):
        lines = shown(app)
        assert (23, []) == (len(lines), script.asked)
        assert lines[1].startswith("VERDICT   OK")
        assert 23 == app.screen.query_one(Footer).region.y


async def test_a_round_is_painted_and_the_next_asks_for_what_is_new() -> None:
    """The account that is shown is asked about, from the `seq` of its last answer on."""
    script = Script(answers(item(status="ERROR", seq=12), said=snapshot(status="ERROR")), answers(item(seq=13)))
    async with screen(script) as (app, pilot):
        await asked(app, pilot, script)
        assert shown(app)[1].startswith("VERDICT   !! ERROR")
        await asked(app, pilot, script)
        assert [("main", 9), ("main", 12)] == script.asked


@pytest.mark.parametrize(
    ("error", "word", "why"),
    [
        (DaemonUnreachableError("no daemon on /s:1 (refused): start it"), "NO DAEMON", "no daemon on /s:1 (refused)"),
        (TimeoutError(), "NO ANSWER", "it takes connections and says nothing"),
        (AnsweredError(500, {"error": {"message": "our fault: x"}}), "NO ANSWER", "our fault: x"),
    ],
    ids=["refused", "silent", "failing"],
)
async def test_a_daemon_that_goes_and_comes_back(error: Exception, word: str, why: str) -> None:
    """The screen says that it is gone and since when, goes on asking, and tells afterwards how long it was."""
    script = Script(error, answers(said=snapshot(), at=NOW + timedelta(seconds=9)))
    async with screen(script) as (app, pilot):
        script.at = NOW + timedelta(seconds=5)
        await asked(app, pilot, script)
        lines = shown(app)
        assert lines[0].endswith(word)
        assert f"VERDICT   ? UNKNOWN  {word} since 03:00:00 (5.0s); below: as of then" == lines[1]
        assert f"trying again: {why}" == lines[2]
        await asked(app, pilot, script)
        assert shown(app)[1].endswith("daemon was gone 03:00:00 for 9.0s")


async def test_a_paused_screen_stands_still_and_goes_on() -> None:
    """What is heard meanwhile is not lost, and the verdict of now is said all the same."""
    script = Script(answers(item(status="ERROR"), said=snapshot(status="ERROR")))
    async with screen(script) as (app, pilot):
        await pilot.press("p")
        await pilot.pause()
        script.at = NOW + timedelta(seconds=65)
        await asked(app, pilot, script)
        lines = shown(app)
        assert lines[0].endswith("03:01:05 UTC  PAUSED 1m 05s, now ERROR")
        assert lines[1].startswith("VERDICT   OK         since 01:58:00 (1h 02m)")
        await pilot.press("p")
        await pilot.pause()
        assert shown(app)[1].startswith("VERDICT   !! ERROR")


async def test_accounts_are_shown_in_turn() -> None:
    """The next one is asked about anew, with its own past, and a screen that stood still moves again."""
    both = (item("main"), item("two"))
    script = Script(answers(*both, shown="two", said=snapshot()))
    async with screen(script, answers(*both, said=snapshot(), divergences=(divergence(1),))) as (app, pilot):
        await pilot.press("p", "a")
        async with asyncio.timeout(WAIT_S_MAX):
            while app.seen.account != "two":
                await pilot.pause()
        await pilot.pause()
        lines = shown(app)
        assert lines[0].startswith(" ditad top  two  (+1 other: OK)")
        assert "none so far" in lines
        assert (("two", 0), ["main", "two"]) == (script.asked[0], script.past_asked)


async def test_a_key_that_is_pressed_during_a_round_is_not_lost() -> None:
    """The answers of the account that was shown do not undo the wish for the next one."""
    both = (item("main"), item("two"))
    script = Script(answers(*both, said=snapshot()), answers(*both, shown="two", said=snapshot()))
    async with screen(script, answers(*both, said=snapshot())) as (app, pilot):

        def once() -> None:
            script.meanwhile = lambda: None
            app.action_account()

        script.meanwhile = once
        await pilot.press("r")
        async with asyncio.timeout(WAIT_S_MAX):
            while app.seen.account != "two":
                await pilot.pause()
        assert [("main", 9), ("two", 0)] == script.asked


async def test_the_past_fills_the_plot() -> None:
    """Once for each account; where the daemon goes meanwhile, as far as it came."""
    script = Script(answers(said=snapshot()))
    script.older = [(step_of(NOW) - 60 * minute, Decimal(90 + minute)) for minute in range(1, 10)]
    script.past_fails = DaemonUnreachableError("gone")
    async with screen(script) as (app, pilot):
        await asked(app, pilot, script)
        assert (10, ["main"]) == (len(app.seen.equity), script.past_asked)
        assert "100.5" in shown(app)[-3]


async def test_an_account_that_is_no_more_has_no_past() -> None:
    """The screen stays, and says that there is none."""
    script = Script(answers(shown=None))
    async with screen(script) as (app, pilot):
        await asked(app, pilot, script)
        assert shown(app)[0].startswith(" ditad top  no account")
        assert ["main"] == script.past_asked


async def test_our_own_fault_ends_the_screen_and_is_handed_on() -> None:
    """The verb says it in a sentence; no traceback is painted over the terminal."""
    script = Script(ZeroDivisionError("ours"))
    async with screen(script) as (app, pilot):
        await pilot.press("r")
        async with asyncio.timeout(WAIT_S_MAX):
            while app.is_running:
                await pilot.pause()
    assert ("ours", FAILED) == (str(app.failure), app.return_code)


async def test_the_detail_scrolls_follows_and_is_left() -> None:
    """It is as long as it is, goes on with the answers, and the keys of the board wait."""
    script = Script(answers(item(status="ERROR"), said=snapshot(status="ERROR")))
    async with screen(script) as (app, pilot):
        await pilot.press("d")
        await pilot.pause()
        page = app.screen
        assert isinstance(page, Page)
        lines = page.query_one(Lines)
        assert "main  OK" == text_of(lines.lines[0])
        assert len(lines.lines) == lines.size.height > 23
        await pilot.press("pagedown")
        await pilot.pause()
        below = lines.region.y
        assert below < 0
        await pilot.press("k", "k", "j")
        await pilot.pause()
        assert below + 1 == lines.region.y
        await pilot.press("end", "home")
        await pilot.pause()
        assert 0 == lines.region.y
        app.action_round()
        async with asyncio.timeout(WAIT_S_MAX):
            while app.seen.status != "ERROR":
                await pilot.pause()
        await pilot.pause()
        assert "main  !! ERROR" == text_of(lines.lines[0])
        assert ({"a", "p"}, set()) == (
            {"a", "p"} & set(app.screen.active_bindings),
            {"r", "question_mark"} & set(app.screen.active_bindings),
        )
        await pilot.press("escape")
        await pilot.pause()
        assert shown(app)[1].startswith("VERDICT   !! ERROR")


@pytest.mark.parametrize("key", ["question_mark", "h", "f1"])
async def test_help_is_a_key_away(key: str) -> None:
    """And `q` leads back from it, not out."""
    async with screen(Script()) as (app, pilot):
        await pilot.press(key)
        await pilot.pause()
        assert "KEYS" == shown(app)[0]
        await pilot.press("q")
        await pilot.pause()
        assert shown(app)[1].startswith("VERDICT")
        assert app.is_running
        app.action_to_board()
        assert 1 == len(app.screen_stack)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_the_board_is_left_by_its_keys(key: str) -> None:
    """With 0."""
    async with screen(Script()) as (app, pilot):
        await pilot.press(key)
        async with asyncio.timeout(WAIT_S_MAX):
            while app.is_running:
                await pilot.pause()
        assert app.return_code in {0, None}


async def test_a_terminal_that_changes_its_size_is_laid_out_anew() -> None:
    """And one that is too small is told so."""
    async with screen(Script()) as (app, pilot):
        await pilot.resize_terminal(150, 50)
        await pilot.pause()
        assert (49, True) == (len(shown(app)), any("E ENTRY" in line for line in shown(app)))
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert "needs 80 columns and 24 lines; this terminal has 60 and 20" == shown(app)[1]


async def test_an_interval_asks_by_itself() -> None:
    """Without any key, round after round."""
    script = Script(*[answers(said=snapshot())] * 1_000)
    app = TopApp(script, answers(said=snapshot()), round_s=0.001)
    async with app.run_test(size=SMALL) as pilot, asyncio.timeout(WAIT_S_MAX):
        while len(script.asked) < 3:
            await pilot.pause()


def styles(app: TopApp) -> list[Any]:
    """Give the styles of all that is painted."""
    lines = app.screen.query_one(Lines)
    return [segment.style for y in range(lines.size.height) for segment in lines.render_line(y)]


async def test_what_is_bad_stands_out_without_colour() -> None:
    """By bold and reverse, beside its words."""
    bad = snapshot(status="ERROR", explanations=("MISMATCH|capital_vs_wallet|delta=1",))
    async with screen(Script(), answers(item(status="ERROR"), said=bad)) as (app, _):
        red = [
            style
            for style in styles(app)
            if style is not None and style.color is not None and style.color.name == "red"
        ]
        assert red
        assert {(True, True)} == {(style.bold, style.reverse) for style in red}
