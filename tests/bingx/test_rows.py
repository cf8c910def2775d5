"""Rows of the exchange's answers."""

from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from ditad.bingx import rows
from ditad.bingx.wire import NumberText, decode_json
from ditad.errors import Refusal
from ditad.events import BalanceRow, FillRow, IncomeRow, OrderRow, OrderStatus, PositionRow, PositionSide, Side

BALANCE = {
    "asset": "USDT",
    "balance": "15.61280000",
    "equity": "15.6128",
    "unrealizedProfit": "0",
    "availableMargin": "15.6",
    "usedMargin": "0.0128",
}
POSITION = {
    "symbol": "BTC-USDT",
    "positionSide": "SHORT",
    "positionAmt": "0.0006",
    "avgPrice": "28432.5",
    "markPrice": "28500.1",
    "unrealizedProfit": "-0.04",
    "leverage": 5,
    "initialMargin": "3.41",
    "isolated": True,
}
FILL = {
    "symbol": "BTC-USDT",
    "qty": "0.0615",
    "price": "76445.4",
    "commission": "-2.350696",
    "orderId": "2100656013975973888",
    "tradeId": 511178071,
    "filledTime": "2026-09-18T02:39:57.000+08:00",
    "realisedPNL": "2.79210000",
    "side": "SELL",
    "positionSide": "LONG",
    "commissionAsset": "USDT",
}
ORDER = {
    "orderId": 1641065570621198336,
    "symbol": "BTC-USDT",
    "side": "SELL",
    "positionSide": "SHORT",
    "type": "MARKET",
    "status": "FILLED",
    "origQty": "0.0001",
    "executedQty": "0.0001",
    "avgPrice": "28495.0",
    "price": "28495.4",
    "commission": "-0.001424",
    "profit": "0",
    "time": 1680095496283,
    "updateTime": 1680095496290,
    "cumQuote": "3",
}
INCOME = {
    "symbol": "BTC-USDT",
    "incomeType": "FUNDING_FEE",
    "income": "-0.01127520",
    "asset": "USDT",
    "info": "Funding Fee",
    "time": 1758614400000,
    "tranId": "170879_1",
    "tradeId": "",
}


def row(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Give a row with some fields changed; those set to ``...`` are removed."""
    return {name: value for name, value in {**base, **changes}.items() if value is not ...}


@pytest.mark.parametrize("empty", [[], {}, None, {"orders": None}, {"orders": []}, {"orders": {}}])
def test_an_empty_answer_has_many_forms(empty: object) -> None:
    """Empty lists, empty objects and null say that there is nothing."""
    assert rows.order_rows(empty) == ()


@pytest.mark.parametrize("odd", [{"else": []}, "text", 7, [7], {"orders": "x"}, [[]]])
def test_an_answer_of_another_shape_is_never_an_empty_one(odd: object) -> None:
    """What is not known is refused."""
    with pytest.raises(Refusal):
        rows.order_rows(odd)


def test_an_answer_has_a_bound() -> None:
    """No answer holds more rows than any page."""
    with pytest.raises(Refusal, match="more than 10000 rows"):
        rows.rows_under([{}] * 10_001)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"-0.33699650000000003", "-0.3369965"),
        (b'"-0.33699650000000003"', "-0.3369965"),
        (b"0.30000000000000004", "0.3"),
        (b"5.551115123125783e-17", "0"),
        (b"3.3699650000000003e-05", "0.00003369965"),
        (b'"28396.50000000"', "28396.50000000"),
        (b'"0.000000012345"', "1.2345E-8"),
        (b'"1.0000000000000000"', "1"),
        (b'"0.123456789012345678"', "0.123456789012346"),
        (b"7", "7"),
        (b'"123456789012345678901.5"', None),
        (b'"NaN"', None),
        (b'"Infinity-and-more"', None),
        (b'"0.1234567890123456789012"', "0.123456789012346"),
    ],
)
def test_artefacts_of_floats_are_taken_off(text: bytes, number: str | None) -> None:
    """What binary floats add is no money; digits that are plausible are kept as they are."""
    value = decode_json(b'{"a":' + text + b"}")
    assert isinstance(value, dict)
    if number is None:
        with pytest.raises(Refusal):
            rows.stated(value["a"], "a")
    else:
        assert number == str(rows.stated(value["a"], "a"))


@pytest.mark.parametrize("data", [{"balance": BALANCE}, [BALANCE], {"balance": [BALANCE]}])
def test_both_versions_of_the_balance_are_read(data: object) -> None:
    """v2 has one object, v3 a list."""
    expected = BalanceRow(
        asset="USDT",
        wallet=Decimal("15.61280000"),
        equity=Decimal("15.6128"),
        unrealized_pnl=Decimal(0),
        available_margin=Decimal("15.6"),
        used_margin=Decimal("0.0128"),
    )
    assert (expected,) == rows.balance_rows(data)


def test_assets_with_nothing_stated_are_left_out() -> None:
    """Rows of other assets may be all empty text; empty fields of a row are `None`."""
    other = dict.fromkeys(BALANCE, "") | {"asset": "USDC"}
    found = rows.balance_rows([other, row(BALANCE, equity="", usedMargin=...)])
    assert [("USDT", None, None)] == [(line.asset, line.equity, line.used_margin) for line in found]


def test_a_position_is_read() -> None:
    """Its size is unsigned, its side LONG or SHORT."""
    expected = PositionRow(
        symbol="BTC-USDT",
        side=PositionSide.SHORT,
        quantity=Decimal("0.0006"),
        entry_price=Decimal("28432.5"),
        mark_price=Decimal("28500.1"),
        unrealized_pnl=Decimal("-0.04"),
        leverage=Decimal(5),
        initial_margin=Decimal("3.41"),
        isolated=True,
    )
    assert (expected,) == rows.position_rows([POSITION])


@pytest.mark.parametrize(
    ("said", "amount", "side"),
    [
        ("LONG", "1", PositionSide.LONG),
        ("LONG", "-1", PositionSide.SHORT),
        ("SHORT", "-1", PositionSide.SHORT),
        ("BOTH", "1", PositionSide.LONG),
        ("BOTH", "-1", PositionSide.SHORT),
    ],
)
def test_a_one_way_position_is_long_or_short(said: str, amount: str, side: PositionSide) -> None:
    """REST says LONG for what pushes call BOTH; a sign decides where there is one."""
    (found,) = rows.position_rows([row(POSITION, positionSide=said, positionAmt=amount)])
    assert (side, Decimal(1)) == (found.side, found.quantity)


def test_a_position_of_size_zero_is_flat() -> None:
    """It is left out, as one that is not named."""
    assert rows.position_rows([row(POSITION, positionAmt="0.0000")]) == ()


def test_an_execution_is_read() -> None:
    """The fee is positive when paid, the time has its offset and is a whole second."""
    expected = FillRow(
        order_id="2100656013975973888",
        trade_id="511178071",
        symbol="BTC-USDT",
        side=Side.SELL,
        position_side=PositionSide.LONG,
        quantity=Decimal("0.0615"),
        price=Decimal("76445.4"),
        fee=Decimal("2.350696"),
        fee_asset="USDT",
        realized_pnl=Decimal("2.79210000"),
        at_ms=1789670397000,
        whole_second=True,
    )
    assert (expected,) == rows.fill_rows({"fill_history_orders": [FILL], "total": 1})


def test_the_older_history_has_other_names_and_no_trade_id() -> None:
    """`allFillOrders` says volume for quantity and currency for the fee's asset."""
    old = row(FILL, qty=..., volume="0.0615", tradeId=..., commissionAsset=..., currency="USDT", realisedPNL=...)
    (found,) = rows.fill_rows({"fill_orders": [old]})
    assert (Decimal("0.0615"), None, "USDT", None) == (
        found.quantity,
        found.trade_id,
        found.fee_asset,
        found.realized_pnl,
    )


@pytest.mark.parametrize(
    ("times", "at_ms"),
    [
        ({"filledTime": "2026-09-18T02:39:57.250+0800"}, 1789670397250),
        ({"filledTime": "2026-09-17T18:39:57Z"}, 1789670397000),
        ({"filledTime": 1789670397001}, 1789670397001),
        ({"filledTime": "1789670397001"}, 1789670397001),
        ({"filledTime": ..., "filledTm": "2026-09-18T02:39:57Z"}, 1789670397000),
        ({"filledTime": "", "filledTm": "2026-09-18T02:39:57Z"}, 1789670397000),
        ({"filledTime": "2026-09-18T02:39:57.000+0800", "filledTm": "2026-09-18T02:39:57Z"}, 1789670397000),
    ],
)
def test_the_time_of_an_execution_is_read_with_its_offset(times: dict[str, object], at_ms: int) -> None:
    """`filledTm` ends in Z but is +08:00; `filledTime` says its own offset."""
    (found,) = rows.fill_rows([row(FILL, **times)])
    assert at_ms == found.at_ms
    assert found.whole_second is (at_ms % 1000 == 0)


@pytest.mark.parametrize("time", ["2026-09-18T02:39:57", "yesterday", "", None, 5.5])
def test_a_time_that_cannot_be_placed_is_refused(time: object) -> None:
    """Without an offset a time is eight hours of doubt."""
    with pytest.raises(Refusal, match="filledT"):
        rows.fill_rows([row(FILL, filledTime=time)])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *product(["qty", "price", "orderId", "side", "positionSide"], ["", None, ..., "0", "x", True]),
        *product(["symbol"], ["", None, ..., True]),
    ],
)
def test_an_execution_that_cannot_be_read_is_refused(name: str, value: object) -> None:
    """A row without its figures fails the whole answer."""
    with pytest.raises(Refusal):
        rows.fill_rows([FILL, row(FILL, **{name: value})])


def test_a_one_way_row_may_leave_its_side_out() -> None:
    """Then `onlyOnePosition` says that it is `BOTH`."""
    (found,) = rows.fill_rows([row(FILL, positionSide="", onlyOnePosition=True)])
    assert found.position_side is PositionSide.BOTH


@pytest.mark.parametrize(
    ("data", "total"), [({"total": 7}, 7), ({"total": True}, None), ({"total": "7"}, None), ([], None)]
)
def test_the_total_is_read_where_it_is_said(data: object, total: int | None) -> None:
    """Only a plain integer counts."""
    assert total == rows.total_of(data)


@pytest.mark.parametrize("data", [{"orders": [ORDER]}, {"order": ORDER}, [ORDER]])
def test_an_order_is_read(data: object) -> None:
    """Lists stand under `orders`, one order under `order`; its own price is not read."""
    expected = OrderRow(
        order_id="1641065570621198336",
        symbol="BTC-USDT",
        side=Side.SELL,
        position_side=PositionSide.SHORT,
        order_type="MARKET",
        status=OrderStatus.FILLED,
        quantity=Decimal("0.0001"),
        executed=Decimal("0.0001"),
        average_price=Decimal("28495.0"),
        fee=Decimal("0.001424"),
        realized_pnl=Decimal(0),
        created_ms=1680095496283,
        updated_ms=1680095496290,
        forced=None,
    )
    assert (expected,) == rows.order_rows(data)


@pytest.mark.parametrize(
    ("changes", "asked", "forced"),
    [
        ({}, "ADL", "ADL"),
        ({"autoCloseType": "LIQUIDATION"}, "ADL", "LIQUIDATION"),
        ({"type": "LIQUIDATION"}, None, "LIQUIDATION"),
        ({"autoCloseType": "OTHER"}, None, None),
    ],
)
def test_a_forced_order_says_which_kind_it_is(changes: dict[str, str], asked: str | None, forced: str | None) -> None:
    """The row's own word stands before what was asked for."""
    (found,) = rows.order_rows([row(ORDER, **changes)], asked)
    assert forced == found.forced


@pytest.mark.parametrize("changes", [{"executedQty": ""}, {"executedQty": "-1"}, {"orderId": ""}, {"status": ...}])
def test_an_order_that_cannot_be_read_is_refused(changes: dict[str, object]) -> None:
    """An executed quantity that is not told is not 0."""
    with pytest.raises(Refusal):
        rows.order_rows([row(ORDER, **changes)])


def test_absurd_notionals_of_rows_are_refused() -> None:
    """The same bound as for pushes."""
    with pytest.raises(Refusal, match="out of bounds"):
        rows.order_rows([row(ORDER, executedQty="900000000000000", avgPrice="900000000000000")])


def test_an_income_row_is_read() -> None:
    """The amount keeps its sign, which is the account's view."""
    expected = IncomeRow(
        tran_id="170879_1",
        kind="FUNDING_FEE",
        amount=Decimal("-0.01127520"),
        asset="USDT",
        symbol="BTC-USDT",
        at_ms=1758614400000,
        info="Funding Fee",
        trade_id=None,
    )
    assert (expected,) == rows.income_rows([INCOME])


@pytest.mark.parametrize(
    ("value", "digits"), [("007", "7"), (170879, "170879"), (" a1 ", "a1"), (NumberText("5.0"), "5")]
)
def test_an_identity_is_canonical(value: object, digits: str) -> None:
    """Digits lose leading zeros, other identities are kept as text."""
    (found,) = rows.income_rows([row(INCOME, tranId=value, tradeId=value, symbol="")])
    assert (digits, digits, None) == (found.tran_id, found.trade_id, found.symbol)


@pytest.mark.parametrize("changes", [{"tranId": ""}, {"income": ""}, {"time": 0}, {"asset": ...}, {"incomeType": 1}])
def test_an_income_row_that_cannot_be_read_is_refused(changes: dict[str, object]) -> None:
    """Money without identity, amount or time is not folded."""
    with pytest.raises(Refusal):
        rows.income_rows([row(INCOME, **changes)])
