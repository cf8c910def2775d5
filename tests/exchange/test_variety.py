"""The bot of all corners: that it reaches them, keeps the books, and tells one story per seed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from functools import cache
from random import Random

import pytest

from ditad.exchange import AccountSpec, Action, Dialect, VariedTrader, VenueError
from ditad.exchange.records import OrderStatus
from tests.exchange import long_story
from tests.exchange.stage import Stage

SEEDS = range(12)
REBATE = Decimal("-0.0001")


@cache
def told(seed: int, *, hedge: bool = True, untold: bool = True) -> tuple[Stage, list[Action]]:
    """Tell a story of 150 acts in a dialect drawn from the seed, 200 ms apart; nobody changes it afterwards."""
    dialect = Dialect.drawn(Random(seed), row_delay_s_max=60, funding_stamp_s_max=60)  # noqa: S311 — a story
    stage = Stage(spec=AccountSpec(name="main", hedge=hedge, maker_rate=REBATE), dialect=dialect, seed=seed)
    trader = VariedTrader(stage.main, seed=seed, forced=True, vouchers=True, untold=untold)
    acts = []
    for _ in range(150):
        stage.clock.now_ms += 200
        acts.append(trader.step())
    acts += trader.settle(flatten=True)
    return stage, acts


@pytest.mark.parametrize("hedge", [True, False])
def test_the_stories_reach_every_corner(hedge: bool) -> None:
    """Over a dozen seeds each kind of act, order and movement has happened."""
    verbs: Counter[str] = Counter()
    kinds: set[str] = set()
    statuses: set[OrderStatus] = set()
    rebates = twins = 0
    for seed in SEEDS:
        stage, acts = told(seed, hedge=hedge)
        facts = stage.venue.facts("main")
        verbs.update(action.verb for action in acts)
        kinds |= {fact.kind for fact in facts.movements}
        statuses |= {order.status for order in stage.main.orders.values()}
        rebates += sum(fact.fee < 0 for fact in facts.executions)
        moved = Counter((f.at_ms, f.amount) for f in facts.movements if f.kind == "TRANSFER")
        twins += sum(count > 1 for count in moved.values())
    assert {
        "market", "market in parts", "limit", "fill", "cancel", "amend", "close", "funding", "deposit", "withdraw",
        "leverage", "liquidation", "adl", "expire", "cancel partly filled", "amend down", "reduce only", "burst",
        "funding of some", "equal amounts", "margin type", "voucher", "forced in parts",
    } <= set(verbs)  # fmt: skip
    assert hedge or verbs["flip"]
    assert {"FUNDING_FEE", "TRANSFER", "TRIAL_FUND", "SYSTEM_DEDUCTION", "GTD_PRICE", "INSURANCE_CLEAR"} <= kinds
    assert {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED} <= statuses
    assert rebates > 0
    assert twins > 0


@pytest.mark.parametrize("hedge", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_facts_and_books_agree_at_the_end_of_every_story(seed: int, hedge: bool) -> None:
    """To the last digit, and the account is flat."""
    stage, _ = told(seed, hedge=hedge)
    facts, books = stage.venue.facts("main"), stage.venue.books("main")
    traded = sum((f.realized_pnl - f.fee for f in facts.executions), Decimal(0))
    moved = sum((f.amount for f in facts.movements), Decimal(0))
    assert books["opening_balance"] + traded + moved == books["wallet_balance"]
    assert [] == books["positions"]
    for fact in facts.movements:
        assert fact.event_ms or fact.row_at_ms, "somebody must have told it"


def test_both_kinds_of_margin_are_funded_at_once() -> None:
    """Somewhere in the stories a settlement has cross and isolated positions."""
    both = 0
    for seed in SEEDS:
        stage, _ = told(seed)
        rows = [body["P"] for body in stage.accounts_said() if body["m"] == "FUNDING_FEE" and body.get("P")]
        both += bool(rows)
    assert both


def test_without_the_untold_every_movement_is_pushed_with_its_amount() -> None:
    """For worlds in which a push is all there is."""
    for seed in SEEDS:
        stage, _ = told(seed, untold=False)
        assert all(fact.event_ms for fact in stage.venue.facts("main").movements)
        odd = [b for b in stage.accounts_said() if b["m"] in {"ADJUSTMENT", "ADMIN_DEPOSIT", "ASSET_TRANSFER"}]
        assert all(Decimal(body["B"][0]["bc"]) for body in odd)


def test_a_made_up_kind_of_income_is_refused() -> None:
    """The set is the specification's."""
    with pytest.raises(VenueError, match="incomeType is one of ADL"):
        Stage().main.other_income(1, reason="ADJUSTMENT", kind="GIFT")


def test_one_seed_is_one_story_to_the_last_byte_in_any_process() -> None:
    """Frames, answers and the clockwork of a hostile story, in two processes that hash differently."""
    digests = [
        subprocess.run(
            [sys.executable, "-m", "tests.exchange.long_story", "7"],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout.strip()
        for hash_seed in ("1", "2")
    ]
    assert [long_story.digest(7)] * 2 == digests
    assert long_story.digest(8) != digests[0]
