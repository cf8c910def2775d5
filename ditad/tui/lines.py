"""Lines of marked text: what a screen is made of before anything is painted.

What enters and leaves: plain values. What holds: a tone adds to words and never stands for them, so that a screen
without colour says the same; what came from outside cannot move the cursor.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from ditad.tui.figures import cut


class Tone(StrEnum):
    """How a piece of text is painted, in colour or without."""

    PLAIN = "plain"
    TITLE = "title"
    HEAD = "head"
    QUIET = "quiet"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    DOUBT = "doubt"


TONE_OF = {"OK": Tone.GOOD, "WARN": Tone.WARN, "ERROR": Tone.BAD, "UNKNOWN": Tone.DOUBT}
"""The tone of a verdict."""

WORD_OF = {"OK": "OK", "WARN": "! WARN", "ERROR": "!! ERROR", "UNKNOWN": "? UNKNOWN"}
"""A verdict as it is written: its rank can be seen without reading it."""

WORD_WIDTH = 9


class Span(NamedTuple):
    """A piece of a line."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]


def line(*spans: Span | str) -> Line:
    """Make a line; what cannot be printed in it becomes `?`."""
    told = [Span(one) if isinstance(one, str) else one for one in spans]
    return tuple(Span(printable(one.text), one.tone) for one in told)


def printable(text: str) -> str:
    """Give a text without anything that moves the cursor."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def text_of(one: Line) -> str:
    """Give a line's words."""
    return "".join(span.text for span in one)


def within(one: Line, width: int) -> Line:
    """Give a line that is no longer than `width`; one that was says so at its end."""
    left, fitting = width, []
    if len(text_of(one)) <= width:
        return one
    for span in one:
        if left <= 0:
            break
        text = span.text if len(span.text) < left else cut(span.text + " ", left)
        fitting.append(Span(text, span.tone))
        left -= len(text)
    return tuple(fitting)


def filled(left: Iterable[Span], right: Iterable[Span], width: int, tone: Tone) -> Line:
    """Put words at both ends of a line of one tone; the right ones are whole, the left ones as far as there is room."""
    ending = tuple(right)
    room = width - len(text_of(ending)) - 1
    beginning = within(tuple(left), room)
    return (*beginning, Span(" " * (room + 1 - len(text_of(beginning))), tone), *ending)


def wrapped(text: str, width: int) -> list[str]:
    """Break a text between words, and words that are too long anywhere; no line is narrower than one place."""
    width = max(1, width)
    lines: list[str] = []
    current = ""
    for word in printable(text).split():
        rest = word
        if current and len(current) + 1 + len(rest) <= width:
            current = f"{current} {rest}"
            continue
        if current:
            lines.append(current)
        while len(rest) > width:
            lines.append(rest[:width])
            rest = rest[width:]
        current = rest
    return [*lines, current] if current else lines
