"""The request budget shared with the bot."""

import pytest

from ditad.bingx.budget import Budget

NOW_MS = 1_700_000_000_000


def test_an_endpoint_is_asked_at_most_so_often() -> None:
    """Two a second on one endpoint; another one does not wait for it."""
    budget = Budget(2.0)
    assert [budget.reserve("a", 10.0) for _ in range(3)] == [10.0, 10.5, 11.0]
    assert budget.reserve("b", 10.0) == 10.0
    assert budget.reserve("a", 20.0) == 20.0


def test_a_limit_holds_everything_back() -> None:
    """A limit on one question is a limit on all; a shorter one does not shorten it."""
    budget = Budget(2.0)
    budget.hold(30.0, 10.0)
    budget.hold(1.0, 10.0)
    assert budget.reserve("a", 11.0) == 40.0


def test_limits_that_follow_each_other_hold_longer() -> None:
    """Up to a bound, until an answer ends the count."""
    budget = Budget(2.0)
    for seconds in (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 64.0):
        budget.limited(2.0, 100.0)
        assert budget.held_until == 100.0 + seconds
    budget.answered()
    budget.limited(2.0, 200.0)
    assert budget.held_until == 202.0


@pytest.mark.parametrize(
    ("remain", "expire", "until"),
    [
        (None, None, 0.0),
        ("11", "5", 0.0),
        ("many", "5", 0.0),
        ("10", None, 101.0),
        ("3", "x", 101.0),
        ("3", "5", 105.0),
        ("3", "99", 110.0),
        ("3", str(NOW_MS + 4000), 104.0),
        ("3", str(NOW_MS // 1000 + 7), 107.0),
        ("3", "1" * 20, 101.0),
    ],
)
def test_it_yields_when_little_is_left(remain: str | None, expire: str | None, until: float) -> None:
    """The header may state the end in several units (**?**); within bounds each is heeded."""
    budget = Budget(2.0)
    budget.told(remain, expire, 100.0, NOW_MS)
    assert until == budget.held_until
    assert budget.remain == (int(remain) if remain is not None and remain.isdigit() else None)
