"""The terminal: shows the board, takes keys, and asks the daemon again and again.

What enters: a `Watch`, the account that is wanted, keys. What leaves: a screen. What holds: nothing is decided here but
when to ask and when to paint; what is painted comes from the pure modules beside.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any, ClassVar, Final

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer
from textual.worker import Worker, WorkerState

from ditad.api.client import AnsweredError
from ditad.errors import DitadError
from ditad.tui.board import Kept, board
from ditad.tui.detail import detail, help_lines
from ditad.tui.lines import Line
from ditad.tui.pages import Lines, Making, Page
from ditad.tui.seen import NO_ANSWER, NO_DAEMON, Answers, Seen, answered, cursor, first, lost, next_shown, remembered
from ditad.tui.standing import View
from ditad.tui.watching import Watch

ROUND_S: Final = 1.0
"""Between two rounds of questions, and between two paintings."""

FAILED: Final = 1
"""The app's return code where `failure` says why."""

OF_THE_BOARD: Final = frozenset({"detail", "round", "help"})
"""What is done on the board alone."""


class TopApp(App[None]):
    """The live view."""

    CSS = """
    Screen, VerticalScroll { background: ansi_default; color: ansi_default; }
    Lines { width: 1fr; height: 1fr; background: ansi_default; color: ansi_default; }
    VerticalScroll {
        scrollbar-size-vertical: 1; scrollbar-background: ansi_default; scrollbar-color: ansi_default;
    }
    Footer, Footer FooterKey, Footer FooterKey .footer-key--key, Footer FooterKey .footer-key--description {
        background: ansi_default; color: ansi_default; text-style: none;
    }
    Footer FooterKey .footer-key--key { text-style: bold reverse; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "account", "account"),
        Binding("p", "pause", "pause"),
        Binding("d", "detail", "detail"),
        Binding("r", "round", "ask now"),
        Binding("question_mark,h,f1", "help", "help", key_display="?"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
    ]

    def __init__(self, watch: Watch, answers: Answers, *, round_s: float | None = ROUND_S) -> None:
        """Begin with a first round of answers; `round_s` is `None` where nobody asks but by the key."""
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self._watch = watch
        self._wanted = answers.account
        self._round_s = round_s
        self._asking = asyncio.Event()
        self.seen = first(answers)
        self.kept: Kept = {}
        self._shown: tuple[Seen, datetime] | None = None
        self.failure: BaseException | None = None
        self._past_of: str | None = None

    def compose(self) -> ComposeResult:
        """Put the board above the keys."""
        yield Lines(self._board, grows=False, id="board")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to ask."""
        self.run_worker(self._rounds(), name="rounds", group="rounds", exit_on_error=False)
        self._look_back()
        if self._round_s is not None:
            self.set_interval(self._round_s, self.paint)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError):  # not in the main thread
                loop.add_signal_handler(number, self.exit)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """End when what asks has failed by our own fault, and leave it to the verb to say so."""
        if event.state is WorkerState.ERROR:
            self.failure = event.worker.error
            self.exit(return_code=FAILED)

    # ---- asking

    async def _rounds(self) -> None:
        """Ask for ever, a round at a time."""
        while True:
            await self._wait()
            wanted = self._wanted
            after_seq = cursor(self.seen) if wanted == self.seen.account else 0
            try:
                answers = await self._watch.round(wanted, after_seq)
            except TimeoutError:
                self.seen = lost(self.seen, NO_ANSWER, "it takes connections and says nothing")
            except AnsweredError as exc:
                self.seen = lost(self.seen, NO_ANSWER, str(exc))
            except DitadError as exc:
                self.seen = lost(self.seen, NO_DAEMON, str(exc).partition(": ")[0])
            else:
                self.seen = answered(self.seen, answers)
                if self._wanted == wanted:  # else a key has asked for another one meanwhile
                    self._wanted = answers.account
                self._look_back()
            self.paint()

    async def _wait(self) -> None:
        """Wait until it is time for a round, or a key asks for one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._round_s):
                await self._asking.wait()
        self._asking.clear()

    def _look_back(self) -> None:
        """Ask about the past of an account that was not shown until now."""
        account = self.seen.account
        if account == self._past_of:
            return
        self._past_of, self.kept = account, {}
        if account is not None:
            self.run_worker(self._past(account), name="past", group="past", exclusive=True, exit_on_error=False)

    async def _past(self, account: str) -> None:
        """Fill the plot with what was before; a daemon that goes leaves it as far as it came."""
        past: AsyncGenerator[tuple[int, Any], None] = self._watch.past(account, self._watch.now())
        with suppress(DitadError, TimeoutError):
            async with aclosing(past) as points:
                async for point in points:
                    self.seen = remembered(self.seen, account, [point], self._watch.now())
        self.paint()

    # ---- painting

    def paint(self) -> None:
        """Paint what is known now."""
        for screen in self.screen_stack[-1:]:
            for lines in screen.query(Lines):
                lines.renew()

    def _present(self) -> tuple[Seen, datetime]:
        """Give what is shown and when it was so: what was seen, or what stands still."""
        return self._shown if self._shown is not None else (self.seen, self._watch.now())

    def _board(self, width: int, height: int) -> Sequence[Line]:
        seen, at = self._present()
        view = View(
            width=width,
            height=height,
            now=self._watch.now(),
            shown_at=at,
            paused=self._shown is not None,
            live_status=self.seen.status,
        )
        lines, self.kept = board(seen, view, self.kept)
        return lines

    def _detail(self, width: int, _: int) -> Sequence[Line]:
        seen, at = self._present()
        return detail(seen, at, width)

    # ---- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 — Textual's form
        """Say which keys there are: a page has its own, and those that still make sense."""
        return action not in OF_THE_BOARD or len(self.screen_stack) < 2

    def action_account(self) -> None:
        """Show the next account."""
        self._wanted = next_shown(self.seen)
        self._shown = None
        self.action_round()

    def action_pause(self) -> None:
        """Let the screen stand still, or move again."""
        self._shown = (self.seen, self._watch.now()) if self._shown is None else None
        self.paint()

    def action_round(self) -> None:
        """Ask now."""
        self._asking.set()

    def action_detail(self) -> None:
        """Show everything in full."""
        self._turn_to(self._detail)

    def action_help(self) -> None:
        """Show keys and words."""
        self._turn_to(lambda width, _: help_lines(width))

    def action_to_board(self) -> None:
        """Show the board again."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        self.call_after_refresh(self.paint)

    def _turn_to(self, making: Making) -> None:
        """Show a page over the board."""
        assert len(self.screen_stack) == 1, "the keys of the board wait while a page is shown"
        self.push_screen(Page(making))
