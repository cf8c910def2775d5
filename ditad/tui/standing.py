"""How the account stands, in six lines: the title, verdict, what is published, coverage, the stream, and rates.

What enters: what was seen, the moment, a width. What leaves: a line each. What holds: while the daemon is gone nothing
reads as if it were known now: the verdict is UNKNOWN, coverage "was" what it was, ages and rates are `-`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ditad.tui.figures import age, clock, cut, moment, rate, short
from ditad.tui.health import Health, per_s
from ditad.tui.lines import TONE_OF, WORD_OF, WORD_WIDTH, Line, Span, Tone, filled, line, within
from ditad.tui.rows import field_words
from ditad.tui.seen import Row, Seen, worst

LABEL: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How the screen is looked at: its size, the moment, the moment that is shown, and whether it stands still there.

    `live_status` is the verdict now, also while an earlier moment is shown.
    """

    width: int
    height: int
    now: datetime
    shown_at: datetime
    paused: bool = False
    live_status: str = "UNKNOWN"


def title(seen: Seen, view: View) -> Line:
    """Name the account, how the others stand, the moment, and whether what is shown is alive."""
    left = [Span(" ditad top  ", Tone.TITLE), Span(seen.account or "no account", Tone.TITLE)]
    left.append(Span(others(seen), Tone.TITLE))
    right = f"{view.now.astimezone(UTC):%H:%M:%S} UTC  {standing(seen, view)} "
    return filled(left, [Span(right, Tone.TITLE)], view.width, Tone.TITLE)


def standing(seen: Seen, view: View) -> str:
    """Say whether the screen moves."""
    if view.paused:
        return f"PAUSED {_ago(view.shown_at, view.now)}, now {view.live_status}"
    return "live" if seen.gone is None else seen.gone.word


def others(seen: Seen) -> str:
    """Say how the accounts stand that are not shown."""
    rest = [item for item in seen.answers.accounts if item["account"] != seen.account]
    if not rest:
        return ""
    told = [worst([str(item["verdict"]["status"]), "OK" if item["ready"] else "UNKNOWN"]) for item in rest]
    status = "UNKNOWN" if seen.gone is not None else worst(told)
    return f"  (+{len(rest)} other{'s' if len(rest) > 1 else ''}: {status})"


def account_lines(seen: Seen, view: View, width: int) -> list[Line]:
    """Say in five lines how the account stands, or that nobody can know."""
    return [
        within(verdict_line(seen, view.shown_at, width), width),
        within(published_line(seen, view.shown_at), width),
        within(coverage_line(seen, view.shown_at), width),
        within(stream_line(seen), width),
        within(rates_line(seen), width),
    ]


def _labelled(label: str, *spans: Span | str) -> Line:
    return line(Span(label.ljust(LABEL), Tone.HEAD), *spans)


def verdict_line(seen: Seen, now: datetime, width: int) -> Line:
    """Say the verdict, since when, and why it is not OK."""
    status = seen.status
    word = Span(WORD_OF[status].ljust(WORD_WIDTH), TONE_OF[status])
    gone, item = seen.gone, seen.item
    if gone is not None:
        told = f"  {gone.word} since {clock(gone.since, now)} ({_ago(gone.since, now)}); below: as of then"
        return _labelled("VERDICT", word, Span(told, Tone.DOUBT))
    if item is None:
        return _labelled("VERDICT", word, "  the daemon has no account: add one to its settings")
    since = since_of(seen)
    told = ""
    if since is not None:
        told = f"  since {clock(moment(since), now)} ({_ago(moment(since), now)})"
    elif seen.snapshot is not None:
        told = "  since before the start"
    told = told.ljust(26) + " "
    return _labelled("VERDICT", word, told, why(seen, now, width - LABEL - WORD_WIDTH - len(told)))


def since_of(seen: Seen) -> str | None:
    """Give since when the verdict is what it is; a snapshot that came after it tells a newer one's moment."""
    item, snapshot = seen.item, seen.snapshot
    assert item is not None, "asked of an account"
    verdict = item["verdict"]
    if snapshot is not None and snapshot["reconcile"]["status"] != verdict["status"]:
        return str(snapshot["ts"])
    since: str | None = verdict.get("since")
    return since


def why(seen: Seen, now: datetime, room: int) -> str:
    """Say in so many letters what the verdict rests on, the worst first, and how much more there is to say."""
    item, snapshot = seen.item, seen.snapshot
    assert item is not None, "asked of an account"
    reasons = reasons_of(item, snapshot)
    if seen.status != "OK" and reasons:
        more = f" (+{len(reasons) - 1}: d)" if len(reasons) > 1 else ""
        return cut(reasons[0], room - len(more)) + more
    outage = seen.outage
    if outage is not None and outage.until is not None:
        return f"daemon was gone {clock(outage.since, now)} for {age((outage.until - outage.since).total_seconds())}"
    return "both ledgers agree" if seen.status == "OK" else ""


def reasons_of(item: Row, snapshot: Row | None) -> list[str]:
    """Give all there is to say against an account, the worst field first."""
    if item["what_to_do"] is not None:
        return [str(item["what_to_do"])]
    if snapshot is None:
        return [*map(str, item["reasons"]), "nothing was heard of it yet"]
    told = [str(text).split("|") for text in snapshot["reconcile"]["explanations"]]
    worst_field = snapshot["reconcile"]["worst_field"]
    told.sort(key=lambda parts: parts[1:2] != [worst_field])
    return [*map(_reason, told), *map(str, item["reasons"])]


def _reason(parts: Sequence[str]) -> str:
    """Write an explanation without what stands elsewhere: a difference is in the row of its rule."""
    if len(parts) == 3 and not parts[2].startswith("delta="):
        return f"{parts[0]} {parts[2]}"
    return " ".join([parts[0], *map(field_words, parts[1:2])])


def published_line(seen: Seen, now: datetime) -> Line:
    """Say what a bot may use, and until when; or why there is nothing."""
    gone, snapshot = seen.gone, seen.snapshot
    if gone is not None:
        return line(f"trying again: {gone.why}")
    if snapshot is None:
        return _labelled("PUBLISHED", "-")
    told = snapshot["published"]
    until = told["valid_until"]
    usable = Span("usable", Tone.GOOD) if told["usable"] else Span("NOT USABLE", Tone.BAD)
    if told["usable"] and until is not None and moment(until) < now:
        usable = Span("OUT OF DATE", Tone.BAD)
    through = "" if until is None else f"  valid until {clock(moment(until), now)}"
    return _labelled("PUBLISHED", short(told["capital"], 24), f"  {told['source']}  ", usable, through)


def coverage_line(seen: Seen, now: datetime) -> Line:
    """Say up to when nothing can be missing, and which gaps are open."""
    snapshot = seen.snapshot
    if snapshot is None:
        return _labelled("COVERAGE", "-")
    told = snapshot["coverage"]
    state = str(told["state"])
    through = told["covered_through"]
    known = "" if through is None else f"through {clock(moment(through), now)} ({_ago(moment(through), now)} ago)"
    word = Span(state.ljust(11), Tone.GOOD if state == "live" else Tone.DOUBT)
    if seen.gone is not None:
        word = Span(f"was {state}".ljust(11))
    spans = [word, Span(f" {known.ljust(30)}  ")]
    gaps = told["gaps"]
    if gaps:
        return _labelled("COVERAGE", *spans, Span(gap_words(gaps, now), Tone.DOUBT))
    apart = [f"{kind} {how}" for kind, how in told["kinds"].items() if how != state]
    return _labelled("COVERAGE", *spans, "  ".join([*apart, "no gap"]))


def gap_words(gaps: Sequence[Row], now: datetime) -> str:
    """Say of the first gap how it stands, since when, and why; and how many there are besides."""
    first = gaps[0]
    more = f" (+{len(gaps) - 1}: d)" if len(gaps) > 1 else ""
    return f"GAP {first['state']} {_ago(moment(first.get('opened_at') or first['from']), now)}{more}: {first['cause']}"


def stream_line(seen: Seen) -> Line:
    """Say how the conversation with the exchange goes."""
    health = seen.health if seen.gone is None else Health()
    if health.connected is None:
        word = Span("-".ljust(11))
    else:
        word = Span("connected  ", Tone.GOOD) if health.connected else Span("NOT LIVING ", Tone.BAD)
    frame = "-" if health.frame_age_s is None else age(health.frame_age_s)
    key = "-" if health.key_age_s is None else age(health.key_age_s)
    reconnects = "-" if health.reconnects is None else str(health.reconnects)
    rejected = "-" if health.rejected is None else f"{health.rejected:.0f}"
    told = f" frame {frame:>7} ago  key {key:>7}  reconnects {reconnects:<3}  rejected {rejected}"
    return _labelled("STREAM", word, told)


def rates_line(seen: Seen) -> Line:
    """Say how much comes, and how much is asked."""
    names = (("events", "events"), ("no effect", "without_effect"), ("asked", "questions"), ("failed", "failed"))
    samples = seen.samples if seen.gone is None else ()
    told = "  ".join(f"{label} {rate(per_s(samples, name)):<6}" for label, name in names)
    queued = seen.health.queued if seen.gone is None else None
    return _labelled("RATES", f"{told}  queue {'-' if queued is None else f'{queued:.0f}'}")


def _ago(then: datetime, now: datetime) -> str:
    return age((now - then).total_seconds())
