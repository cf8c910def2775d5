"""The one screen: verdict, coverage, stream, rules, positions, divergences and equity, laid out for a terminal's size.

What enters: what was seen, the size, the moment, and the decimals that each column had before. What leaves: exactly as
many lines as there is room for, and the decimals to keep. What holds: where a thing stands depends on the size alone,
never on what is shown, so nothing jumps; each thing is said in words; what has no room is said to be elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ditad.tui import equity
from ditad.tui.figures import age, clock, column, cut, moment, short
from ditad.tui.lines import TONE_OF, WORD_OF, Line, Span, Tone, line, within
from ditad.tui.rows import AGREES, DivergenceRow, PositionRow, RuleRow, divergence_rows, position_rows, rule_rows
from ditad.tui.seen import NOT_OVER, Row, Seen
from ditad.tui.standing import View, account_lines, title

WIDTH_MIN: Final = 80
HEIGHT_MIN: Final = 23
"""Without the line of keys, which stands below."""

WIDE: Final = 120
"""From here on a position's entries and marks have room, and a divergence's evidence."""

WIDTH_MAX: Final = 200
AIRY: Final = 34
"""From this height on, sections stand apart."""

RULE_WIDTH: Final = 12
SAYS_WIDTH: Final = 21
"""Room for the longest class with its sign."""

HEADS: Final = 6 + 1 + 5 + 3
"""Lines of every screen: the title and what is said of the account, the rules, and the headings of the sections."""

Kept = Mapping[str, int]
"""The decimals of each column so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Lines for each section, by the height alone."""

    positions: int
    divergences: int
    plot: int
    airy: bool


def shares(height: int) -> Shares:
    """Divide what the fixed lines leave."""
    airy = height >= AIRY
    left = height - HEADS - (4 if airy else 0)
    divergences = max(2, min(12, left // 4))
    plot = max(3, min(14, left * 3 // 8))
    return Shares(positions=left - divergences - plot, divergences=divergences, plot=plot, airy=airy)


def board(seen: Seen, view: View, kept: Kept) -> tuple[list[Line], Kept]:
    """Lay out the screen."""
    if view.width < WIDTH_MIN or view.height < HEIGHT_MIN:
        return too_small(seen, view), kept
    width = min(view.width, WIDTH_MAX)
    share = shares(view.height)
    snapshot = seen.snapshot
    now_kept = dict(kept)
    was = "was " if seen.gone is not None else ""
    sections = [
        [title(seen, view), *account_lines(seen, view, width)],
        rules_section([] if snapshot is None else rule_rows(snapshot), width, now_kept, was),
        positions_section([] if snapshot is None else position_rows(snapshot), share.positions, width, now_kept, was),
        divergences_section(seen.divergences, share.divergences, width, view.shown_at, now_kept),
        equity_section(seen, share.plot, width, view.shown_at),
    ]
    lines: list[Line] = []
    for section in sections:
        lines += [line()] if share.airy and lines else []
        lines += section
    return [within(one, view.width) for one in lines], now_kept


def too_small(seen: Seen, view: View) -> list[Line]:
    """Say the verdict, and that there is no room for more."""
    status = seen.status
    told = [
        line(Span(f"{seen.account or 'no account'}: {WORD_OF[status]}", TONE_OF[status])),
        line(
            f"needs {WIDTH_MIN} columns and {HEIGHT_MIN + 1} lines; this terminal has {view.width} and {view.height + 1}"
        ),
    ]
    return [within(one, view.width) for one in told[: view.height]]


# ---- sections


def _column(name: str, texts: Sequence[str | None], width: int, kept: dict[str, int]) -> list[str]:
    cells, kept[name] = column(texts, width, kept.get(name, 0))
    return cells


def rules_section(rows: Sequence[RuleRow], width: int, kept: dict[str, int], was: str) -> list[Line]:
    """Lay out the rules; `was` stands before what is only remembered."""
    left = width - RULE_WIDTH - SAYS_WIDTH - 4
    figure = min(24, left * 3 // 8)
    delta = min(20, left - 2 * figure)
    lines = [_heading(("RULE".ljust(RULE_WIDTH), "K".rjust(figure), "E".rjust(figure), "K - E".rjust(delta), "SAYS"))]
    if not rows:
        return [*lines, *_padded([line(Span("nothing to compare yet", Tone.QUIET))], 5)]
    k = _column("rules", [row.k for row in rows] + [row.e for row in rows], figure, kept)
    deltas = _column("rule deltas", [row.delta for row in rows], delta, kept)
    for place, row in enumerate(rows):
        told = f"{row.name.ljust(RULE_WIDTH)} {k[place]} {k[place + len(rows)]} {deltas[place]} "
        lines.append(line(Span(told, _faint(row.tone)), Span(_said(row.word, was), row.tone)))
    return lines


def _said(word: str, was: str) -> str:
    return was + word if word == AGREES else word


def _faint(tone: Tone) -> Tone:
    return Tone.PLAIN if tone is Tone.QUIET else tone


def positions_section(rows: Sequence[PositionRow], room: int, width: int, kept: dict[str, int], was: str) -> list[Line]:
    """Lay out the positions, as many as there is room for; the heading says of how many."""
    wide = width >= WIDE
    shown = rows[:room]
    words = 22 if wide else 10
    name = 24 if wide else 18
    heads = ["K QTY", "E QTY", "K - E", "K ENTRY", *(("E ENTRY", "MARK") if wide else ()), "UNREAL"]
    left = width - name - words - len(heads) - 1
    each = min(16, left // len(heads))
    heading = "R3 POSITIONS" if len(shown) == len(rows) else f"R3 POSITIONS {len(shown)}/{len(rows)}"
    lines = [_heading((heading.ljust(name), *(head.rjust(each) for head in heads), "SAYS"))]
    figures = {
        "K QTY": ("quantities", [row.k_qty for row in shown]),
        "E QTY": ("quantities", [row.e_qty for row in shown]),
        "K - E": ("quantity deltas", [row.delta for row in shown]),
        "K ENTRY": ("entries", [row.k_entry for row in shown]),
        "E ENTRY": ("e entries", [row.e_entry for row in shown]),
        "MARK": ("marks", [row.mark for row in shown]),
        "UNREAL": ("unrealized", [row.unrealized for row in shown]),
    }
    cells = [_column(figures[head][0], figures[head][1], each, kept) for head in heads]
    for place, row in enumerate(shown):
        told = " ".join([cut(row.name, name).ljust(name), *(each_one[place] for each_one in cells), ""])
        lines.append(line(Span(told, _faint(row.tone)), Span(cut(_said(row.word, was), words), row.tone)))
    if not rows:
        lines.append(line(Span("no position is open", Tone.QUIET)))
    return _padded(lines, room + 1)


def divergences_section(
    divergences: Sequence[Row], room: int, width: int, now: datetime, kept: dict[str, int]
) -> list[Line]:
    """Lay out the divergences that are not over, then the last ones."""
    rows = divergence_rows(divergences)
    standing_open = sum(1 for row in divergences if row["state"] in NOT_OVER)
    name = 36 if width >= WIDE else 22
    delta = 18 if width >= WIDE else 11
    heading = f"DIVERGENCE {standing_open} not over" if standing_open else "DIVERGENCE"
    heads = ("SINCE".ljust(8), heading.ljust(name), "STATE".ljust(14), "K - E".rjust(delta), "BECAUSE OF")
    lines = [_heading(heads)]
    shown: Sequence[DivergenceRow] = rows[:room]
    deltas = _column("divergence deltas", [row.delta for row in shown], delta, kept)
    for place, row in enumerate(shown):
        told = (clock(moment(row.at), now), cut(row.name, name).ljust(name), row.state.ljust(14), deltas[place])
        cause = row.cause if width < WIDE or not row.evidence else f"{row.cause}: {row.evidence}"
        lines.append(line(Span(f"{' '.join(told)} {cause}", row.tone)))
    if not rows:
        lines.append(line(Span("none so far", Tone.QUIET)))
    return _padded([within(one, width) for one in lines], room + 1)


def equity_section(seen: Seen, room: int, width: int, now: datetime) -> list[Line]:
    """Draw K's equity."""
    drawn = equity.plot(seen.equity, now, width=width, height=room)
    snapshot = seen.snapshot
    present = None if snapshot is None else snapshot["k"]["equity"]
    first = datetime.fromtimestamp(equity.step_of(now) - drawn.span_s, UTC)
    told = f"EQUITY of K {short(present, 24)}"
    return [_heading((told.ljust(36), f"{first:%H:%M} to now ({age(drawn.span_s)})")), *map(line, drawn.lines)]


def _heading(words: Sequence[str]) -> Line:
    return line(Span(" ".join(words), Tone.HEAD))


def _padded(lines: Sequence[Line], room: int) -> list[Line]:
    return [*lines[:room], *([line()] * (room - len(lines)))]
