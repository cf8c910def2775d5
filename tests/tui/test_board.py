"""The screen as lines: what stands where, at every size, in every state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditad.tui.board import HEIGHT_MIN, WIDE, WIDTH_MIN, board, shares
from ditad.tui.lines import Tone, text_of
from ditad.tui.seen import NO_DAEMON, Seen, answered, first, lost
from ditad.tui.standing import View
from tests.tui.making import HEALTH, KEY, NOW, ago, answers, divergence, item, seen, snapshot, view


def texts(known: Seen, look: View | None = None) -> list[str]:
    """Lay out and give the words."""
    return [text_of(line).rstrip() for line in board(known, look or view(), {})[0]]


def starting(lines: list[str], word: str) -> str:
    """Give the line that begins with a word."""
    return next(line for line in lines if line.startswith(word))


def test_an_account_that_is_well_fits_into_a_small_terminal() -> None:
    """Everything is there at 80 columns and 23 lines, and no word is cut."""
    known = seen(divergences=(divergence(1, state="healed", duration_s=3.0),))
    lines = texts(known)
    assert HEIGHT_MIN == len(lines)
    assert [
        " ditad top  main                                             03:00:00 UTC  live",
        "VERDICT   OK         since 01:58:00 (1h 02m)  both ledgers agree",
        "PUBLISHED 100.5  e_anchored  usable  valid until 03:00:10",
        "COVERAGE  live        through 02:57:55 (2m 05s ago)   no gap",
        "STREAM    connected   frame    0.4s ago  key 12m 05s  reconnects 2    rejected 0",
        "RATES     events -       no effect -       asked -       failed -       queue 0",
        "RULE                        K                E       K - E SAYS",
        "R1 capital              100.5            100.5           0 ok",
    ] == lines[:8]
    assert "FET-USDT LONG            100       100         0    0.1878      0.22 ok" == starting(lines, "FET")
    assert "02:43:21 R1 capital_vs_wallet   healed 3.0s              1 unexplained" == starting(lines, "02:43")
    assert [] == [line for line in lines if "…" in line]


DIVERGING = ("MISMATCH|capital_vs_wallet|delta=12.5", f"CONFIRMING|{KEY}|delta=1", "GAP|coverage|gap-1: lost: cut")


def test_what_is_wrong_is_said_first_and_marked_without_colour() -> None:
    """The worst field is the reason that is shown, and how many more there are; its row has a sign."""
    said = snapshot(status="ERROR", explanations=DIVERGING, deltas={"capital_vs_wallet": "12.5"})
    lines = texts(first(answers(item(status="ERROR"), said=said)))
    assert "VERDICT   !! ERROR   since 01:58:00 (1h 02m)  MISMATCH capital_vs_wallet (+2: d)" == lines[1]
    said["reconcile"]["worst_field"] = KEY
    assert "CONFIRMING FET-USDT LONG (+2: d)" in texts(first(answers(item(status="ERROR"), said=said)))[1]
    assert starting(lines, "R1").endswith("12.5 !!MISMATCH")
    assert starting(texts(seen(snapshot(status="UNKNOWN", explanations=DIVERGING[2:]))), "VERDICT").endswith(
        "GAP gap-1: lost: cut"
    )
    odd = texts(seen(snapshot(status="WARN", explanations=("ODD|x",))))
    assert odd[1].endswith("ODD x")


def test_a_verdict_that_changed_between_two_answers_has_its_own_moment() -> None:
    """The snapshot is the newer one; the accounts' moment is that of another verdict."""
    assert "since 02:59:59 (1.0s)" in texts(seen(snapshot(status="WARN", explanations=("UNSETTLED|x|delta=1",))))[1]
    unsaid = item(verdict={"status": "OK", "since": None})
    assert "since before the start" in texts(first(answers(unsaid, said=snapshot())))[1]
    assert "VERDICT   ! WARN     since 02:59:59 (1.0s)" == texts(seen(snapshot(status="WARN")))[1]


def test_an_account_that_is_not_served_says_what_to_do() -> None:
    """There are no figures then, and none is made up."""
    refused = item(served=False, ready=False, what_to_do="make a new key", verdict={"status": "UNKNOWN"})
    lines = texts(first(answers(refused)))
    assert ("VERDICT   ? UNKNOWN                           make a new key", "PUBLISHED -", "COVERAGE  -") == tuple(
        lines[1:4]
    )
    silent = item(ready=False, reasons=["there is no baseline yet"])
    assert texts(first(answers(silent)))[1].endswith("there is no baseline yet (+1: d)")
    assert "nothing to compare yet" in lines
    assert "no position is open" in lines
    assert (
        "VERDICT   ? UNKNOWN  the daemon has no account: add one to its settings"
        == texts(first(answers(shown=None)))[1]
    )


def test_nothing_reads_as_known_while_the_daemon_is_gone() -> None:
    """It says since when, and why; no rule is ok, no stream connected, no account well."""
    known = first(answers(item(), item("two"), said=snapshot(), health=HEALTH))
    lines = texts(lost(known, NO_DAEMON, "no daemon on /s (gone)"), view(shown_at=NOW + timedelta(seconds=75)))
    assert lines[0].endswith("NO DAEMON")
    assert "(+1 other: UNKNOWN)" in lines[0]
    assert "VERDICT   ? UNKNOWN  NO DAEMON since 03:00:00 (1m 15s); below: as of then" == lines[1]
    assert "trying again: no daemon on /s (gone)" == lines[2]
    assert "COVERAGE  was live    through 02:57:55 (3m 20s ago)   no gap" == lines[3]
    assert "STREAM    -           frame       - ago  key       -  reconnects -    rejected -" == lines[4]
    assert "RATES     events -       no effect -       asked -       failed -       queue -" == lines[5]
    assert [] == [line for line in lines if line.endswith(" ok") and not line.endswith(" was ok")]
    assert starting(lines, "FET").endswith("was ok")


def test_an_outage_that_is_over_is_told() -> None:
    """As long as there is nothing worse to say."""
    back = NOW + timedelta(seconds=9)
    known = answered(lost(seen(), NO_DAEMON, "gone"), answers(said=snapshot(), at=back))
    assert texts(known, view(shown_at=back))[1].endswith("daemon was gone 03:00:00 for 9.0s")


def test_a_gap_is_said_with_its_cause_and_age() -> None:
    """Of several the first, and how many more."""
    said = snapshot(status="UNKNOWN")
    open_gap = {"id": "gap-1", "state": "open", "cause": "lost: cut", "from": ago(70), "opened_at": ago(5)}
    said["coverage"] |= {"state": "stale", "gaps": [open_gap]}
    assert texts(seen(said))[3].endswith("GAP open 5.0s: lost: cut")
    said["coverage"]["gaps"] = [open_gap | {"opened_at": None}, open_gap]
    assert texts(seen(said))[3].endswith("GAP open 1m 10s (+1: d): …")
    said["coverage"] |= {"gaps": [], "covered_through": None, "kinds": {"fills": "stale", "income": "unavailable"}}
    assert texts(seen(said))[3].endswith("income unavailable  no gap")


@pytest.mark.parametrize(
    ("published", "words"),
    [
        ({"usable": False, "capital": None, "source": "unknown", "valid_until": None}, "-  unknown  NOT USABLE"),
        ({"valid_until": ago(1)}, "100.5  e_anchored  OUT OF DATE  valid until 02:59:59"),
        ({"valid_until": None}, "100.5  e_anchored  usable"),
    ],
)
def test_what_is_published_is_usable_for_a_time(published: dict[str, Any], words: str) -> None:
    """After it, it is out of date, whatever was said of it."""
    said = snapshot()
    said["published"] |= published
    assert f"PUBLISHED {words}" == texts(seen(said))[2]


def test_a_stream_that_does_not_live_is_said_in_words() -> None:
    """And what is not known of it is a dash."""
    dead = replace(HEALTH, connected=False, frame_age_s=None, key_age_s=None)
    assert "NOT LIVING" in texts(seen(health=dead))[4]


def test_rates_are_those_between_rounds() -> None:
    """Ten events in five seconds."""
    known = answered(seen(), answers(said=snapshot(), at_mono=105.0, health=replace(HEALTH, events=20.0)))
    assert texts(known)[5].startswith("RATES     events 2.0/s   no effect 0.0/s")


def test_a_paused_screen_says_so_and_what_happens_meanwhile() -> None:
    """For how long it stands still, and the verdict of now."""
    assert texts(seen(), view(shown_at=NOW - timedelta(seconds=65), paused=True, live_status="ERROR"))[0].endswith(
        "03:00:00 UTC  PAUSED 1m 05s, now ERROR"
    )


def test_other_accounts_are_named_by_the_worst_of_them() -> None:
    """One that is not ready counts as unknown."""
    known = first(answers(item(), item("two"), item("three", ready=False), said=snapshot()))
    assert "(+2 others: UNKNOWN)" in texts(known)[0]


def positions(count: int) -> dict[str, Any]:
    """Make a snapshot with so many positions."""
    said = snapshot()
    for ledger in ("k", "e"):
        row = said[ledger]["positions"][0]
        said[ledger]["positions"] = [{**row, "symbol": f"S{number:03}-USDT"} for number in range(count)]
    return said


def test_positions_beyond_the_room_are_counted() -> None:
    """The heading says how many of how many are shown."""
    lines = texts(seen(positions(12)))
    assert starting(lines, "R3").startswith("R3 POSITIONS 3/12 ")
    assert 3 == sum(line.startswith("S0") for line in lines)


def test_divergences_that_are_not_over_are_counted_and_stand_first() -> None:
    """Also where there are more than room."""
    causes = [{"cause": "uncovered_interval"}] * 3
    rows = (*(divergence(seq, state="healed", attribution=causes) for seq in range(5, 9)), divergence(1, state="open"))
    lines = texts(seen(divergences=rows))
    assert "DIVERGENCE 1 not over" in starting(lines, "SINCE")
    place = lines.index(starting(lines, "SINCE"))
    assert [] == [line for line in lines[place : place + 3] if "…" in line]
    assert ["!open", "healed"] == [line[32:46].strip() for line in lines[place + 1 : place + 3]]


def test_a_wide_terminal_shows_entries_marks_and_evidence() -> None:
    """What has no room at 80 columns."""
    rows = (divergence(1, attribution=[{"cause": "statement"}]), divergence(3))
    lines = texts(seen(divergences=rows), view(WIDE, 40))
    assert "E ENTRY" in starting(lines, "R3")
    assert starting(lines, "02:43:23").endswith("unexplained: tried fee")
    assert starting(lines, "02:43:21").endswith("statement")
    assert "" == lines[6]


def test_tones_add_to_words() -> None:
    """What is bad is marked as such, and what is over is quiet."""
    said = snapshot(status="ERROR", explanations=DIVERGING[:1], deltas={"capital_vs_wallet": "12.5"})
    lines, _ = board(first(answers(item(status="ERROR"), said=said, divergences=(divergence(1),))), view(), {})
    tones = {span.text.strip(): span.tone for line in lines for span in line}
    assert (Tone.BAD, Tone.BAD) == (tones["!! ERROR"], tones["!!MISMATCH"])
    assert Tone.QUIET in tones.values()


def test_a_terminal_that_is_too_small_is_told_the_verdict() -> None:
    """And what is needed."""
    assert ["main: OK", "needs 80 columns and 24 lines; this terminal has 79 and 24"] == texts(seen(), view(79))
    assert ["no acco…"] == texts(first(answers(shown=None)), view(8, 1))


def test_nothing_moves_when_figures_change() -> None:
    """Digits that come and go move no point and no column, with the decimals that the screen remembers."""
    before = snapshot()
    before["k"]["capital_raw"] = "9979.46270650"[:-1]
    after = snapshot()
    after["k"]["capital_raw"] = "9979.5"
    first_lines, kept = board(seen(before), view(), {})
    then, _ = board(seen(after), view(), kept)
    places = [text_of(lines[7]).index("9979.") for lines in (first_lines, then)]
    assert places[0] == places[1]


@given(st.integers(WIDTH_MIN, 250), st.integers(HEIGHT_MIN, 90), st.integers(0, 70), st.integers(0, 20))
def test_the_size_alone_says_where_things_stand(width: int, height: int, held: int, differing: int) -> None:
    """At every size there are as many lines as there is room for, none too long, headings always in the same place."""
    full = seen(positions(held), divergences=tuple(divergence(seq) for seq in range(1, differing + 1)))
    lines, bare = (texts(known, view(width, height)) for known in (full, first(answers())))
    assert (height, True) == (len(lines), max(map(len, lines)) <= width)
    heads = ("VERDICT", "RULE", "R3 POSITIONS", "SINCE", "EQUITY")
    places = [[lines.index(starting(lines, head)) for head in heads] for lines in (lines, bare)]
    assert places[0] == places[1]
    share = shares(height)
    assert (True, True, True) == (share.positions >= 3, share.divergences >= 2, share.plot >= 3)
