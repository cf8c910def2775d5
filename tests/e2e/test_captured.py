"""The captured frames of bingx.md §4, byte for byte through a real websocket into the whole daemon.

The second pair is a capture from which at least one fill is really missing (bingx.md §4): the wallet moves by more
than the one seen commission, the position by more than the one seen fill. What REST says here is synthetic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.running import Running, account_settings, running, settings_file
from tests.support.venue import ScriptedVenue

PAYLOADS = Path(__file__).parent.parent / "payloads"
FIRST = ("captured_order_1a.json", "captured_account_order_1a.json")
SECOND = ("captured_order_1b.json", "captured_account_order_1b.json")
BEFORE_MS = 1_680_094_500_000
"""A moment before the first captured frame, on the exchange's clock."""

WALLET = "3.99982137"
CAPITAL_OFF = "0.00284552"
QUANTITY_OFF = "-0.0002"
SHORT = "position_qty:BTC-USDT:SHORT"

FAST = """
[account.reconcile]
settle_window_s = 0.5
[account.audit]
interval_s = 5
requests_per_s = 10
[account.stream]
marks = false
"""


def frame(name: str) -> bytes:
    """Read a captured frame as it came."""
    return (PAYLOADS / name).read_bytes().strip()


def fill_row(order_id: str, qty: str, price: str, commission: str, at: str) -> dict[str, Any]:
    """Make a synthetic row of a fill history; the commission has six decimals, as the exchange rounds it."""
    return {
        "symbol": "BTC-USDT",
        "orderId": order_id,
        "tradeId": order_id[-9:],
        "qty": qty,
        "price": price,
        "commission": commission,
        "realisedPNL": "0",
        "side": "SELL",
        "positionSide": "SHORT",
        "filledTime": at,
        "role": "taker",
    }


KNOWN_ROWS = [
    fill_row("1641061451231662080", "0.0003", "28396.5", "-0.004259", "2023-03-29T12:55:14Z"),
    fill_row("1641065570621198336", "0.0001", "28495", "-0.001425", "2023-03-29T13:11:36Z"),
]
BETWEEN_MS = 1_680_095_496_300
"""A moment after the second pair."""

MISSING_MS = 1_680_095_496_000
"""When the missing fill may have been."""

MISSING_ID = str(((MISSING_MS - 1_288_834_974_657) << 22) | 7)
MISSING_ROW = fill_row(MISSING_ID, "0.0002", "28455.2", "-0.002846", "2023-03-29T13:11:36Z")
MISSING_ORDER = {
    "order": {
        "symbol": "BTC-USDT",
        "orderId": int(MISSING_ID),
        "side": "SELL",
        "positionSide": "SHORT",
        "type": "MARKET",
        "origQty": "0.0002",
        "price": "28600",
        "executedQty": "0.0002",
        "avgPrice": "28455.2",
        "cumQuote": "6",
        "commission": "-0.002846",
        "profit": "0",
        "status": "FILLED",
        "time": MISSING_MS,
        "updateTime": MISSING_MS,
    }
}


def fee_row(amount: str, tran_id: str, at_ms: int) -> dict[str, Any]:
    """Make a synthetic income row that restates a fill's fee exactly."""
    return {
        "symbol": "BTC-USDT",
        "incomeType": "TRADING_FEE",
        "income": amount,
        "asset": "USDT",
        "info": "",
        "time": at_ms,
        "tranId": tran_id,
        "tradeId": "",
    }


EXACT_FEES = [
    fee_row("-0.00425947", "7700000001", 1_680_094_514_000),
    fee_row("-0.00142475", "7700000002", 1_680_095_496_000),
    fee_row("-0.00284552", "7700000003", MISSING_MS),
]


def states(venue: ScriptedVenue, wallet: str, qty: str, entry: str) -> None:
    """Let REST state this wallet and this short."""
    venue.answers["/swap/v2/user/balance"] = venue.balance(wallet, used="3.4119")
    venue.answers["/swap/v2/user/positions"] = {
        "list": [
            {
                "symbol": "BTC-USDT",
                "positionId": "1",
                "positionSide": "SHORT",
                "positionAmt": qty,
                "avgPrice": entry,
                "leverage": 5,
                "isolated": True,
                "unrealizedProfit": "0",
                "initialMargin": "1",
                "markPrice": entry,
                "onlyOnePosition": False,
            }
        ]
    }


async def feed_pairs(venue: ScriptedVenue, daemon: Running, *, order_first: bool) -> dict[str, Any]:
    """Send the first pair, then the second, each in one arrival order; gives the snapshot after the first."""
    for name in FIRST if order_first else FIRST[::-1]:
        await venue.send(frame(name))
    first = await daemon.until(lambda seen: seen["k"]["open_positions"] == 1 and seen["e"]["positions"])
    first = await daemon.until(lambda seen: seen["k"]["capital_raw"] == seen["e"]["wallet_balance"] == "3.9955619")
    venue.at(BETWEEN_MS)
    for name in SECOND if order_first else SECOND[::-1]:
        await venue.send(frame(name))
    return first


@pytest.mark.parametrize("order_first", [True, False], ids=["order first", "account first"])
async def test_the_first_pair_reconciles_and_the_second_is_never_smoothed_over(
    folder: Path, *, order_first: bool
) -> None:
    """The first pair is exact in both arrival orders; what the second lacks is UNKNOWN, then ERROR, then healed."""
    async with ScriptedVenue(at_ms=BEFORE_MS) as venue:
        venue.answers["/swap/v2/user/balance"] = venue.balance(WALLET)
        settings = settings_file(
            folder, account_settings(folder, "main", rest_url=venue.rest_url, ws_url=venue.ws_url, more=FAST)
        )
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            for path in ("user/balance", "user/positions", "trade/fillHistory", "user/income"):
                venue.answers[f"/swap/v2/{path}"] = 503
            first = await feed_pairs(venue, daemon, order_first=order_first)
            assert ("0", "0") == (
                first["reconcile"]["deltas"]["capital_vs_wallet"],
                first["reconcile"]["deltas"][SHORT],
            )

            unknown = await daemon.now(
                lambda seen: (
                    seen["reconcile"]["status"] == "UNKNOWN"
                    and any("QUESTION_FAILED" in line for line in seen["reconcile"]["explanations"])
                )
            )
            assert (CAPITAL_OFF, QUANTITY_OFF) == (
                unknown["reconcile"]["deltas"]["capital_vs_wallet"],
                unknown["reconcile"]["deltas"][SHORT],
            )
            assert not unknown["published"]["usable"]

            states(venue, "3.99129163", "0.0006", "28432.5")
            venue.answers["/swap/v2/trade/fillHistory"] = {"fill_history_orders": KNOWN_ROWS}
            venue.answers["/swap/v2/user/income"] = {"list": []}
            error = await daemon.now(lambda seen: seen["reconcile"]["status"] == "ERROR")
            assert (CAPITAL_OFF, QUANTITY_OFF) == (
                error["reconcile"]["deltas"]["capital_vs_wallet"],
                error["reconcile"]["deltas"][SHORT],
            )
            assert "e_disputed" == error["published"]["source"]

            venue.answers["/swap/v2/trade/fillHistory"] = {"fill_history_orders": [*KNOWN_ROWS, MISSING_ROW]}
            venue.answers["/swap/v2/trade/order"] = MISSING_ORDER
            venue.answers["/swap/v2/user/income"] = {"list": EXACT_FEES}
            daemon.daemon.accounts["main"].feed.request_audit()
            healed = await daemon.now(
                lambda seen: seen["reconcile"]["deltas"]["capital_vs_wallet"] == "0" and not seen["k"]["precision"]
            )
            assert ("3.99129163", "0", "0.0006") == (
                healed["k"]["capital_raw"],
                healed["reconcile"]["deltas"][SHORT],
                healed["k"]["positions"][0]["qty"],
            )
            assert "OK" == (await daemon.now(lambda seen: seen["reconcile"]["status"] == "OK"))["reconcile"]["status"]
