"""The captured story of March 2023, told again by the exchange's own books: ids, times, wallet."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ditad.exchange import AccountSpec, VenueError, created_ms_of
from tests.exchange.stage import CoreStage

# bingx.md §4: the first and the second pair, and the fill that is missing between them (its id and
# time are not known; any id of the time between will do).
FIRST_ID, MISSING_ID, SECOND_ID = 1641061451231662080, 1641063000000000000, 1641065570621198336
FIRST_MS, MISSING_MS, SECOND_MS = 1680094514120, 1680094900000, 1680095496283


def captured() -> CoreStage:
    """Trade the three fills of the captured position, the missing one unheard."""
    stage = CoreStage(spec=AccountSpec(name="main", opening=Decimal("3.99982137"), margin_type="isolated"))
    for order_id, at_ms, qty, price in (
        (FIRST_ID, FIRST_MS, "0.0003", "28396.5"),
        (MISSING_ID, MISSING_MS, "0.0002", "28455.2"),
        (SECOND_ID, SECOND_MS, "0.0001", "28495.0"),
    ):
        stage.clock.now_ms = at_ms
        stage.main.market_order("BTC-USDT", "SELL", "SHORT", qty, price=price, order_id=order_id)
    return stage


def test_rest_has_the_fill_that_the_capture_lacks() -> None:
    """Three rows with the captured ids; their exact fees are the wallet's movement."""
    stage = captured()
    rows = stage.data(
        "/swap/v2/trade/fillHistory", symbol="BTC-USDT", startTs=FIRST_MS - 1000, endTs=SECOND_MS, pageSize=1000
    )["fill_history_orders"]
    assert [SECOND_ID, MISSING_ID, FIRST_ID] == [row["orderId"] for row in rows]
    fees = stage.data("/swap/v2/user/income", startTime=FIRST_MS - 1000, endTime=SECOND_MS, incomeType="TRADING_FEE")
    assert Decimal("3.99129163") - Decimal("3.99982137") == sum(Decimal(row["income"]) for row in fees)


def test_a_given_id_keeps_its_own_creation_time() -> None:
    """The order is as old as its id says, some milliseconds before its fill."""
    order = captured().main.orders[FIRST_ID]
    assert created_ms_of(FIRST_ID) == order.created_ms
    assert 0 < FIRST_MS - order.created_ms < 1000


def test_an_id_of_the_future_or_used_twice_is_refused() -> None:
    """The story stays possible."""
    stage = captured()
    for order_id in (SECOND_ID, 2124579671461855232):
        with pytest.raises(VenueError, match="in use, or of the future"):
            stage.main.market_order("BTC-USDT", "SELL", "SHORT", "0.0001", order_id=order_id)
