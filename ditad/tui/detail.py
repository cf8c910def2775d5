"""All that is known of an account, in full: every digit, every reason, every gap and divergence with its evidence.

What enters: what was seen, a width, the moment. What leaves: as many lines as it takes, to be scrolled through. What
holds: figures have all their digits; a text that is too long goes on in the next line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ditad.cli.tables import Column, column, table, text_of
from ditad.tui.figures import age, moment
from ditad.tui.lines import TONE_OF, WORD_OF, Line, Span, Tone, line, wrapped
from ditad.tui.rows import divergence_rows, position_rows
from ditad.tui.seen import NOT_OVER, Row, Seen
from ditad.tui.standing import reasons_of

FIGURES: Final = (
    ("capital", "capital", None),
    ("capital raw, wallet", "capital_raw", "wallet_balance"),
    ("equity", "equity", None),
    ("peak capital", "peak_capital", None),
    ("realized pnl", "realized_pnl", "realized_pnl"),
    ("book realized pnl", "book_realized_pnl", None),
    ("unrealized pnl", "unrealized_pnl", None),
    ("fees paid", "fees_paid", None),
    ("funding paid", "funding_paid", None),
    ("transfers", "transfers", None),
    ("other income", "other_income", None),
    ("open notional", "open_notional", None),
    ("used margin", "used_margin", "used_margin"),
    ("available margin", "available_margin", "available_margin"),
    ("leverage", "leverage", None),
    ("closed trades", "trade_seq", None),
)
"""A figure's name, and where K and E have it (`None`: E does not state it)."""

POSITIONS: Final = tuple(
    column(heading, path)
    for heading, path in (
        ("position", "name"),
        ("k qty", "k_qty"),
        ("e qty", "e_qty"),
        ("k - e", "delta"),
        ("k entry", "k_entry"),
        ("e entry", "e_entry"),
        ("mark", "mark"),
        ("unrealized", "unrealized"),
        ("leverage", "leverage"),
        ("says", "word"),
    )
)
INDENT: Final = "  "

HELP: Final = (
    ("a", "the next account"),
    ("p", "pause: what is shown stands still, what is heard goes on; again to go on"),
    ("d", "everything in full: all digits, positions, gaps, divergences and their evidence"),
    ("r", "ask the daemon now"),
    ("?", "this page"),
    ("q", "quit; from another page back, as Escape does"),
)
WORDS: Final = (
    ("K, E", "the ledger folded from identified facts; what the exchange states"),
    ("K - E", "the difference as its rule found it, at the moment of the statement"),
    ("OK", "both agree. Whatever is not OK has a sign in front: ! WARN, !! ERROR, ? UNKNOWN"),
    ("!UNSETTLED", "a fact waits for its statement, or the other way round; a matter of seconds"),
    ("!CONFIRMING", "a difference: the exchange is being asked"),
    ("!!MISMATCH", "a difference that a completed question confirmed"),
    ("through", "before this moment no fact can be missing"),
    ("GAP", "a span in which facts may have been missed"),
    ("usable", "a bot may use what is published, until it is no longer valid"),
    ("~", "a figure that is shown with fewer digits than it has; the detail has all"),
    ("-", "never stated, or not known"),
    ("NO DAEMON", "nobody is on the socket; NO ANSWER: somebody is, and tells nothing of use"),
    ("no effect", "frames that change nothing, such as heartbeats"),
)


def help_lines(width: int) -> list[Line]:
    """Write the page of keys and words."""
    lines = [_head("KEYS")]
    for word, told in HELP:
        lines += _named(word, told, width)
    lines += [line(), _head("WORDS")]
    for word, told in WORDS:
        lines += _named(word, told, width)
    return [*lines, line(), *_named("times", "are UTC", width)]


def _named(word: str, told: str, width: int) -> list[Line]:
    first, *rest = wrapped(told, width - 16)
    return [line(Span(f"  {word:<12}", Tone.HEAD), first), *(line(" " * 14 + text) for text in rest)]


def detail(seen: Seen, now: datetime, width: int) -> list[Line]:
    """Write everything that is known of the account that is shown."""
    item, snapshot = seen.item, seen.snapshot
    if item is None:
        return [_head("the daemon has no account: add one to its settings"), *_outage(seen, now, width)]
    status = seen.status
    lines = [line(Span(f"{seen.account}  ", Tone.HEAD), Span(WORD_OF[status], TONE_OF[status]))]
    lines += _outage(seen, now, width)
    lines += _list("WHY", [] if status == "OK" else reasons_of(item, snapshot), width)
    if snapshot is not None:
        lines += [*_figures(snapshot, width), *_positions(snapshot, width), *_coverage(snapshot, width)]
        lines += _list("AMOUNTS THAT NOBODY TOLD", [text_of(one) for one in snapshot["k"]["unknown"]], width)
        alone = snapshot["reconcile"].get("stands_alone") or ()
        lines += _list("STANDS ALONE", [text_of(one) for one in alone], width)
    lines += _divergences(seen.divergences, width)
    lines += _gaps(seen.gaps, width)
    return lines


def _head(text: str) -> Line:
    return line(Span(text, Tone.HEAD))


def _list(heading: str, texts: Sequence[str], width: int) -> list[Line]:
    """Write a list with its heading; an empty one is not mentioned."""
    if not texts:
        return []
    return [line(), _head(heading), *(one for text in texts for one in _indented(text, width))]


def _indented(text: str, width: int, indent: str = INDENT) -> Iterable[Line]:
    return (line(indent + each) for each in wrapped(text, max(20, width - len(indent))))


def _outage(seen: Seen, now: datetime, width: int) -> list[Line]:
    outage = seen.outage
    if outage is None:
        return []
    until = now if outage.until is None else outage.until
    lasted = age((until - outage.since).total_seconds())
    if outage.until is None:
        told = f"{outage.word} since {outage.since:%Y-%m-%d %H:%M:%S} UTC ({lasted}): {outage.why}"
    else:
        told = f"the daemon was gone from {outage.since:%H:%M:%S} to {outage.until:%H:%M:%S} ({lasted})"
    return list(_indented(told, width, ""))


def _figures(snapshot: Row, width: int) -> list[Line]:
    k, e = snapshot["k"], snapshot["e"]
    rows: list[Mapping[str, Any]] = [
        {"figure": name, "k": k.get(ours), "e": None if theirs is None else e.get(theirs)}
        for name, ours, theirs in FIGURES
    ]
    precision = [f"{name} ±{slack}" for name, slack in k["precision"].items()]
    told = ["what rounded sources leave open: " + ", ".join(precision)] if precision else []
    heading = f"FIGURES of event_seq {snapshot['event_seq']}, {snapshot['ts']}"
    columns = (column("figure"), column("k"), column("e"))
    return [
        line(),
        _head(heading),
        *_tables(columns, rows, width),
        *(one for text in told for one in _indented(text, width)),
    ]


def _positions(snapshot: Row, width: int) -> list[Line]:
    rows = [{each.path: getattr(row, each.path) for each in POSITIONS} for row in position_rows(snapshot)]
    return (
        [line(), _head("POSITIONS"), *_tables(POSITIONS, rows, width)]
        if rows
        else [line(), _head("NO POSITION IS OPEN")]
    )


def _tables(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    """Lay out rows with all their digits; columns that have no room go into a table of their own beneath."""
    first, *others = columns
    lines: list[Line] = []
    while others:
        count = len(others)
        while count > 1 and _widest(table((first, *others[:count]), rows)) + len(INDENT) > width:
            count -= 1
        lines += [line()] if lines else []
        lines += [line(INDENT + text) for text in table((first, *others[:count]), rows)]
        others = others[count:]
    return lines


def _widest(texts: Sequence[str]) -> int:
    return max(map(len, texts))


def _coverage(snapshot: Row, width: int) -> list[Line]:
    told = snapshot["coverage"]
    texts = [f"{told['state']} through {text_of(told['covered_through'])}"]
    texts += [f"{kind} {how}" for kind, how in told["kinds"].items()]
    texts += [f"decided: {text_of(told['decisions'])}"] if told.get("decisions") else []
    texts += [f"other assets: {text_of(told['other_assets'])}"] if told["other_assets"] else []
    texts += [str(note) for note in told.get("notes") or ()]
    return _list("COVERAGE", texts, width)


def _divergences(divergences: Sequence[Row], width: int) -> list[Line]:
    lines = [line(), _head("DIVERGENCES" if divergences else "NO DIVERGENCE SO FAR")]
    for row in divergence_rows(divergences):
        delta = text_of(row.delta)
        lines.append(line(Span(f"{INDENT}{row.at[:19]}Z  {row.state:<14} {row.name}  K - E {delta}", row.tone)))
        cause = row.cause if not row.evidence else f"{row.cause}: {row.evidence}"
        lines += _indented(cause, width, INDENT * 3)
    return lines


def _gaps(gaps: Sequence[Row], width: int) -> list[Line]:
    lines = [line(), _head("GAPS" if gaps else "NO GAP SO FAR")]
    for gap in gaps:
        state, start = str(gap["state"]), str(gap["from"])
        tone = Tone.DOUBT if state in NOT_OVER or state == "unclosable" else Tone.QUIET
        until = "now" if gap["to"] is None else str(gap["to"])[:19] + "Z"
        lasted = "" if gap["to"] is None else f" ({age((moment(gap['to']) - moment(start)).total_seconds())})"
        lines.append(line(Span(f"{INDENT}{start[:19]}Z to {until}{lasted}  {state}", tone)))
        by = f", closed by {gap['by']}" if gap["by"] else ""
        lines += _indented(f"{gap['id']}: {gap['cause']}{by}", width, INDENT * 3)
    return lines
