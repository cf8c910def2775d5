"""What the screen remembers from one round of answers to the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from ditad.tui.equity import step_of
from ditad.tui.seen import (
    DIVERGENCES_MAX,
    NO_ANSWER,
    NO_DAEMON,
    Outage,
    answered,
    cursor,
    first,
    first_shown,
    lost,
    merged,
    next_shown,
    remembered,
    worst,
)
from tests.tui.making import NOW, answers, divergence, gap, item, seen, snapshot

HERE = step_of(NOW)


def test_a_first_round_is_all_there_is() -> None:
    """Rows, the newest first, a sample, the equity of this moment, and from which `seq` on there is news."""
    known = seen(divergences=(divergence(1), divergence(2)), gaps=(gap(3),))
    assert ([2, 1], [3]) == ([row["seq"] for row in known.divergences], [row["seq"] for row in known.gaps])
    assert ({HERE: Decimal("100.5")}, 1, 9) == (known.equity, len(known.samples), cursor(known))


def test_a_later_round_adds_to_it() -> None:
    """A divergence that changed takes its own place, and a new moment its own figure."""
    known = seen(divergences=(divergence(1, id="x", state="open"),))
    later = NOW + timedelta(minutes=1)
    next_round = replace(
        answers(said=snapshot(), at=later, at_mono=160.0), divergences=(divergence(4, id="x", state="healed"),)
    )
    known = answered(known, next_round)
    assert [("healed", 4)] == [(row["state"], row["seq"]) for row in known.divergences]
    assert ([HERE, HERE + 60], 1) == (list(known.equity), len(known.samples))


def test_no_more_rows_than_the_bound_are_remembered() -> None:
    """The newest ones stay."""
    rows = merged((), [divergence(seq) for seq in range(1, DIVERGENCES_MAX + 11)], DIVERGENCES_MAX)
    assert (DIVERGENCES_MAX, DIVERGENCES_MAX + 10, 11) == (len(rows), rows[0]["seq"], rows[-1]["seq"])


def test_another_account_begins_anew() -> None:
    """Nothing of one account is ever shown of another."""
    known = seen(None, divergences=(divergence(1),))
    other = answered(known, answers(item("main"), item("two"), shown="two", said=snapshot()))
    assert ("two", ()) == (other.account, other.divergences)


def test_a_journal_that_goes_back_is_another_one() -> None:
    """A restored copy is shorter: what came after it did not happen."""
    known = seen(divergences=(divergence(1),))
    assert () == answered(known, answers(item(seq=4), said=snapshot())).divergences
    assert (1,) == tuple(row["seq"] for row in answered(known, answers(item(seq=9), said=snapshot())).divergences)


def test_a_daemon_that_is_gone_leaves_its_last_answers_and_no_verdict() -> None:
    """It is gone since its last answer, however often it was looked for; unknown is never OK."""
    known = seen()
    gone = lost(lost(known, NO_ANSWER, "refused"), NO_DAEMON, "no such file")
    assert ("OK", "UNKNOWN") == (known.status, gone.status)
    assert Outage(word=NO_DAEMON, since=NOW, until=None, why="no such file") == gone.gone
    assert known.snapshot == gone.snapshot


def test_a_daemon_that_came_back_ends_the_outage() -> None:
    """How long it was gone stays known, also when another account is shown then."""
    gone = lost(seen(), NO_DAEMON, "refused")
    back = NOW + timedelta(seconds=9)
    for names, shown in ((["main"], "main"), (["main", "two"], "two")):
        known = answered(gone, answers(*map(item, names), shown=shown, said=snapshot(), at=back))
        assert (None, Outage(word=NO_DAEMON, since=NOW, until=back, why="refused")) == (known.gone, known.outage)
        again = answered(
            known, answers(*map(item, names), shown=shown, said=snapshot(), at=back + timedelta(seconds=1))
        )
        assert known.outage == again.outage


def test_the_verdict_is_the_snapshots_unless_the_account_is_not_ready() -> None:
    """Not ready, not heard of, or not there is UNKNOWN; an ERROR stays one."""
    assert "WARN" == seen(snapshot(status="WARN")).status
    assert "UNKNOWN" == first(answers(item(ready=False), said=snapshot())).status
    assert "ERROR" == first(answers(item(ready=False), said=snapshot(status="ERROR"))).status
    assert "UNKNOWN" == first(answers()).status
    nobody = first(answers(shown=None))
    assert ("UNKNOWN", None, 0) == (nobody.status, nobody.item, cursor(nobody))


def test_a_word_that_is_no_verdict_counts_as_unknown() -> None:
    """And of none the worst is unknown as well."""
    assert ("UNKNOWN", "UNKNOWN", "ERROR") == (worst(["OK", "FINE"]), worst([]), worst(["UNKNOWN", "ERROR"]))


def test_what_is_remembered_of_the_past_belongs_to_its_account() -> None:
    """It never takes the place of what was seen."""
    known = seen()
    assert known == remembered(known, "other", [(HERE - 15, Decimal(1))], NOW)
    told = remembered(known, "main", [(HERE - 15, Decimal(1)), (HERE, Decimal(2))], NOW)
    assert {HERE - 15: Decimal(1), HERE: Decimal("100.5")} == told.equity


def test_equity_that_is_not_known_is_no_point() -> None:
    """A mark that lacks makes no figure of 0."""
    said = snapshot()
    said["k"]["equity"] = None
    assert {} == seen(said).equity


def test_the_worst_account_is_shown_first() -> None:
    """The one that is wanted, while it is there; else the worst; of equals the first."""
    rows = (item("one"), item("two", status="ERROR"), item("three"))
    assert ("three", "two", "two") == (first_shown(rows, "three"), first_shown(rows, None), first_shown(rows, "gone"))
    assert ("one", None) == (first_shown((item("one"), item("two")), None), first_shown((), None))


def test_the_next_account_comes_round() -> None:
    """After the last comes the first; where there is none, none."""
    rows = (item("one"), item("two"))
    assert ("two", "one") == (
        next_shown(first(answers(*rows, shown="one"))),
        next_shown(first(answers(*rows, shown="two"))),
    )
    assert "main" == next_shown(first(answers(shown=None)))
    assert None is next_shown(first(replace(answers(shown=None), accounts=())))
