"""Lines of marked text."""

from __future__ import annotations

from ditad.tui.lines import Span, Tone, filled, line, text_of, within, wrapped


def test_what_came_from_outside_cannot_move_the_cursor() -> None:
    """Escape sequences and line feeds become question marks."""
    assert "a?[2Jb?" == text_of(line("a\x1b[2Jb\n"))


def test_a_line_that_is_too_long_ends_with_a_sign() -> None:
    """It is cut in the span that crosses the edge, and what follows is left out; tones stay."""
    whole = (Span("abc", Tone.HEAD), Span("defgh"), Span("ij"))
    assert whole == within(whole, 10)
    assert (Span("abc", Tone.HEAD), Span("def…")) == within(whole, 7)
    assert "ab…" == text_of(within(whole, 3))


def test_the_right_end_of_a_title_is_whole() -> None:
    """The left end gives way."""
    both = filled([Span("left")], [Span("right")], 12, Tone.TITLE)
    assert "left   right" == text_of(both)
    assert "l… right" == text_of(filled([Span("left")], [Span("right")], 8, Tone.TITLE))


def test_a_text_goes_on_in_the_next_line() -> None:
    """It breaks between words, and a word that is longer than a line anywhere."""
    assert ["one two", "three"] == wrapped("one two three", 8)
    assert ["a", "12345", "678"] == wrapped("a 12345678", 5)
    assert [] == wrapped("  ", 5)


def test_a_text_without_room_ends_all_the_same() -> None:
    """A page that is not laid out yet has no width: one letter a line, and an end."""
    assert ["a", "b", "c"] == wrapped("ab c", 0) == wrapped("ab c", -16)
