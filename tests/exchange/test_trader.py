"""The seeded bot: the same story for the same seed, at any speed, in either mode."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ditad.exchange import AccountSpec, Action, SimulatedExchange, Trader, trade
from tests.exchange.stage import Stage


def told(
    seed: int, *, hedge: bool = True, step_ms: int = 0, market_shivers: bool = False
) -> tuple[list[Action], object]:
    """Tell a story of 150 acts and give it with its books."""
    stage = Stage(spec=AccountSpec(name="main", hedge=hedge))
    trader = Trader(stage.main, seed=seed, forced=True)
    acts = []
    for _ in range(150):
        stage.clock.now_ms += step_ms
        acts.append(trader.step())
        if market_shivers:
            stage.venue.market.shiver()
    return acts, stage.venue.books("main")


@pytest.mark.parametrize("hedge", [True, False])
def test_one_seed_tells_one_story_at_any_speed(hedge: bool) -> None:
    """Neither the clock nor the marks' shiver changes what happens; another seed does."""
    slow = told(4, hedge=hedge, step_ms=5000, market_shivers=True)
    assert told(4, hedge=hedge) == slow
    assert told(5, hedge=hedge) != slow


@pytest.mark.parametrize("hedge", [True, False])
def test_a_story_has_every_kind_of_act(hedge: bool) -> None:
    """Markets, limits with partial fills, closes, funding, money in and out, leverage; flips in one-way mode."""
    verbs = {action.verb for seed in range(6) for action in told(seed, hedge=hedge)[0]}
    always = {"market", "market in parts", "limit", "fill", "cancel", "amend", "close", "funding", "deposit"}
    always |= {"withdraw", "leverage", "liquidation"}
    assert always | (set() if hedge else {"flip"}) <= verbs


def test_a_settled_story_ends_flat_and_with_nothing_resting() -> None:
    """`settle(flatten=True)` leaves neither orders nor positions."""
    stage = Stage()
    trader = Trader(stage.main, seed=9)
    for _ in range(100):
        trader.step()
    trader.settle(flatten=True)
    assert ([], []) == (stage.main.open_orders(), stage.venue.books("main")["positions"])


async def test_trade_tells_each_act_to_its_audience() -> None:
    """The callback hears the acts in their order, the end included."""
    heard: list[Action] = []
    async with SimulatedExchange(seed=1) as ex:
        done = await trade(ex, "main", actions=50, seed=1, on_action=heard.append, flatten=True)
        books = ex.books("main")
    assert list(range(1, done + 1)) == [action.number for action in heard]
    assert [] == books["positions"]
    assert Decimal(10_000) != books["wallet_balance"]
