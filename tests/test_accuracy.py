"""The accuracy benchmark in small: a few injections of each kind, a few thousand clean events, and the bugs it must find.

The whole of it, with figures, is a command: `tests/benchmarks/accuracy.py`.
"""

from __future__ import annotations

import argparse
from typing import Any

import orjson
import pytest
import structlog

from ditad.events import Question
from tests.benchmarks.accuracy import measure, table
from tests.benchmarks.accuracy_causes import KINDS, kind_named
from tests.benchmarks.accuracy_clean import clean
from tests.benchmarks.accuracy_life import Life, Terms, tell_story
from tests.benchmarks.accuracy_planted import PLANTED
from tests.benchmarks.accuracy_trials import Found, trial
from tests.support.story import Story

SEEDS = (2, 3)
PAIRS = (("transfer", "uncovered_interval"), ("other_income", "statement"), ("funding", "forced_close"))
EVENTS = 1_500
SLOW_EVENTS = 600
MINUTES = 60


def found(seed: int, *names: str) -> Found:
    """Inject and give what became of it."""
    ((one,), _) = trial(seed, names)
    return one


# ---- recall -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
def test_what_is_injected_is_said_or_healed_in_time(name: str) -> None:
    """Within the settle window plus one audit, and by its right name; what nobody can heal stays ERROR."""
    for seed in SEEDS:
        one = found(seed, name)
        expected = (
            {"error"} if kind_named(name).lasting else {"warned"} if kind_named(name).warns else {"error", "healed"}
        )
        assert (True, False, False) == (one.outcome in expected, one.faded, one.right is False), one


@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_two_at_a_time_are_said_or_healed_in_time(names: tuple[str, str]) -> None:
    """One cause does not hide another; an amount whose row is late is called unknown until it comes."""
    for seed in SEEDS[:2]:
        one = found(seed, *names)
        assert (True, False) == (one.outcome in {"error", "healed", "unknown"}, one.faded), one


def test_an_injection_tells_the_same_story_again() -> None:
    """What was missed once is missed again: a seed is all there is to it."""
    assert found(5, "transfer", "statement") == found(5, "transfer", "statement")


# ---- precision ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 3])
def test_clean_events_are_never_called_wrong(seed: int) -> None:
    """Twins within the window in any order: no ERROR, and nothing waits or is asked about longer than it may."""
    tally = clean(EVENTS, seed, chunk=EVENTS // 2)
    assert ([], True) == (tally.wrong, tally.events >= EVENTS)
    assert {"OK", "WARN"} <= set(tally.statuses)


def test_slower_twins_are_asked_about_and_never_called_wrong() -> None:
    """Beyond the window a difference is CONFIRMING until the answer comes."""
    tally = clean(SLOW_EVENTS, 1, slow=True, chunk=SLOW_EVENTS // 2)
    assert ([], True) == (tally.wrong, tally.classes["CONFIRMING"] > 0)


def test_what_was_wrongly_said_fails_the_benchmark() -> None:
    """By its words and how often, in the table as in JSON."""
    asked = argparse.Namespace(days=0, pairs=0, clean=EVENTS // 4, slow=0, seed=1, processes=1, planted=None)
    good = measure(asked)
    bad = measure(argparse.Namespace(**{**vars(asked), "planted": "error after a failed question", "clean": EVENTS}))
    assert ([], True) == (good["failures"], "every requirement" in table(good))
    assert any(line.startswith("precision, clean: false ERROR, ") for line in bad["failures"])
    assert orjson.loads(orjson.dumps(bad))["clean"]["wrongs"] == bad["clean"]["wrongs"]


# ---- the bugs it must find --------------------------------------------------------------------------------------------------


def finds(planted: str) -> bool:
    """Say whether a short run notices a planted bug."""
    with PLANTED[planted]():
        for seed in SEEDS:
            if any(
                found(seed, name).outcome == "missed" or found(seed, name).faded
                for name in ("extra_fill", "unexplained")
            ):
                return True
        return bool(clean(EVENTS // 4, 1).wrongs) or bool(clean(SLOW_EVENTS // 2, 1, slow=True).wrongs)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_bug_is_found(planted: str) -> None:
    """The benchmark sees what it is there for."""
    assert finds(planted)


# ---- what an operator reads -------------------------------------------------------------------------------------------------


def lines_of_an_hour(*, trading: bool) -> tuple[list[str], dict[str, Any]]:
    """Let a wallet change without a cause stand for an hour; gives the lines about divergences and the last snapshot."""
    kept = structlog.testing.LogCapture()
    log = structlog.wrap_logger(
        structlog.ReturnLogger(), wrapper_class=structlog.make_filtering_bound_logger("info"), processors=[kept]
    )
    last: list[dict[str, Any]] = []

    async def story(life: Life) -> None:
        assert await life.calm(), "the account is calm before"
        kept.entries.clear()
        life.desk.silent_change("-123.45")
        for _ in range(MINUTES):
            if trading:
                life.desk.market_order("ETH-USDT", "BUY", "LONG", "0.1")
            await life.until(lambda: False, 60.0)
        last.append(life.snapshot)

    tell_story(4, Terms(), story, log=log)
    told = [line["event"] for line in kept.entries if line["event"].startswith("divergence.")]
    return told, last[0]


@pytest.mark.parametrize("trading", [False, True], ids=["at rest", "trading"])
def test_a_divergence_of_an_hour_is_a_few_lines_not_hundreds(*, trading: bool) -> None:
    """It is opened once, confirmed once, and then stands in every snapshot without a line of its own."""
    told, snapshot = lines_of_an_hour(trading=trading)
    assert ["divergence.opened", "divergence.confirmed"] == told
    assert ("ERROR", 1) == (snapshot["reconcile"]["status"], len(snapshot["reconcile"]["divergences"]))


# ---- a failed question --------------------------------------------------------------------------------------------------------


def test_a_failed_question_is_unknown_and_names_itself() -> None:
    """Not ERROR, not OK, not flat: the verdict says which question was not answered, and the bot can see it."""
    story = Story()
    story.account("990")
    story.tick()
    story.failed(Question.INCOME, "HTTP 503")
    story.audit_done(failed=("income",))
    reconcile, published = story.snap["reconcile"], story.snap["published"]
    assert isinstance(reconcile, dict)
    assert isinstance(published, dict)
    assert "UNKNOWN" == reconcile["status"]
    assert ["QUESTION_FAILED|capital_vs_wallet|delta=10"] == reconcile["explanations"]
    assert (False, None, "unknown") == (published["usable"], published["capital"], published["source"])


def test_a_bot_can_tell_a_failed_question_from_flat() -> None:
    """Nobody answers for the positions: what was stated stays, and the verdict is UNKNOWN; nothing becomes flat."""

    async def story(life: Life) -> None:
        assert await life.calm(), "the account is calm before"
        life.desk.market_order("ETH-USDT", "BUY", "LONG", "0.1")
        assert await life.calm(), "and after its bot has traded"
        life.core.faults.force("rest_error", 1_000, code=100500, path="/user/positions")
        with life.losing("ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE", "TRADE_UPDATE"):
            life.desk.close("ETH-USDT", "LONG")
        await life.until(lambda: life.status == "UNKNOWN", 120)
        seen.append(life.snapshot)

    seen: list[dict[str, Any]] = []
    tell_story(6, Terms(), story)
    (snapshot,) = seen
    assert "UNKNOWN" == snapshot["reconcile"]["status"]
    assert [("ETH-USDT", "0.1")] == [(row["symbol"], row["qty"]) for row in snapshot["e"]["positions"]]
    assert any("positions" in line for line in snapshot["reconcile"]["explanations"]), snapshot["reconcile"]
    assert False is snapshot["published"]["usable"]
