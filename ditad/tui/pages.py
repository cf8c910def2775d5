"""What paints lines: the widget, and the page that scrolls.

What enters: a function that makes lines for a width and a height. What leaves: strips of the terminal's own colours.
What holds: lines are made anew when somebody says so or the size changes, and painted only if they have become others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Footer

from ditad.tui.lines import Line, Tone

STYLES: Final = {
    Tone.PLAIN: Style(),
    Tone.TITLE: Style(reverse=True),
    Tone.HEAD: Style(bold=True),
    Tone.QUIET: Style(dim=True),
    Tone.GOOD: Style(color="green"),
    Tone.WARN: Style(color="yellow", bold=True),
    Tone.BAD: Style(color="red", bold=True, reverse=True),
    Tone.DOUBT: Style(color="magenta", bold=True, reverse=True),
}
"""The terminal's own colours, so that a light and a dark one are both readable; what is bad stands out without any."""

Making = Callable[[int, int], Sequence[Line]]
"""Makes lines for a width and a height."""


class Lines(Widget):
    """Paints lines; as tall as they are where it may scroll, else as tall as there is room."""

    def __init__(self, making: Making, *, grows: bool, id: str) -> None:  # noqa: A002 — Textual's word
        super().__init__(id=id)
        self._making = making
        self._grows = grows
        self._lines: Sequence[Line] = ()
        if grows:
            self.styles.height = "auto"

    @property
    def lines(self) -> Sequence[Line]:
        """Give what is painted."""
        return self._lines

    def renew(self) -> None:
        """Make the lines again, and paint them if they have become others."""
        if not self.size.width:  # not laid out yet
            return
        before, self._lines = self._lines, self._making(self.size.width, self.size.height)
        if self._lines != before:
            self.refresh(layout=self._grows and len(before) != len(self._lines))

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self.renew()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 — Textual's form
        """Give the height it takes to show all lines."""
        if not self._lines:
            self._lines = self._making(width, 0)
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """Paint a line."""
        width = self.size.width
        if y >= len(self._lines):
            return Strip.blank(width)
        segments = [Segment(span.text, STYLES[span.tone]) for span in self._lines[y]]
        return Strip(segments).adjust_cell_length(width)


class Page(Screen[None]):
    """A page behind the board, to be scrolled through."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape,d", "app.to_board", "back"),
        Binding("up,k", "scroll(-1)", "up", show=False),
        Binding("down,j", "scroll(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", key_display="PgUp"),
        Binding("pagedown,space", "page(1)", "page down", key_display="PgDn"),
        Binding("home,g", "page(-1000)", "top", show=False),
        Binding("end,G", "page(1000)", "end", show=False),
    ]

    def __init__(self, making: Making) -> None:
        super().__init__()
        self._making = making

    def compose(self) -> ComposeResult:
        """Put the lines into what scrolls."""
        with VerticalScroll(can_focus=False):
            yield Lines(self._making, grows=True, id="page")
        yield Footer(show_command_palette=False)

    def action_scroll(self, lines: int) -> None:
        """Move by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Move by pages."""
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_relative(y=pages * max(1, scroll.size.height - 1), animate=False)
