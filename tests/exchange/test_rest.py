"""The REST front: signatures, refusals, and every trap of bingx.md §5."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from ditad.exchange import AccountSpec, Dialect, Faults, RateLimit, Request, signature_of
from ditad.exchange.dialect import Empty, ListenKeyPost, Numbers, Permissions, RowOrder
from tests.exchange.stage import CoreStage

FILLS = "/swap/v2/trade/fillHistory"
ALL_FILLS = "/swap/v2/trade/allFillOrders"
INCOME = "/swap/v2/user/income"
BALANCE = "/swap/v2/user/balance"
KEY = "/user/auth/userDataStream"
DAY_MS = 86_400_000
MINUTE_MS = 60_000


def test_the_signature_vector_of_the_specification() -> None:
    """Sorted raw k=v joined by &, HMAC-SHA256 in lower-case hex, against the vector of bingx.md §5."""
    params = {"timestamp": "1696751141337", "symbol": "BTC-USDT", "recvWindow": "5000"}
    expected = "6358704e75c375f33091b7e09967123005e18965a2bf9c2be3757e74451ba397"
    assert expected == signature_of("a-secret-for-tests-only", params)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"signature": "00"}, 100001),
        ({"timestamp": 1_760_001_628_357 - 5001}, 100421),
        ({"timestamp": 1_760_001_628_357 + 1001}, 100421),
        ({"timestamp": "soon"}, 100421),
        ({"recvWindow": 5001}, 109400),
        ({"recvWindow": 5000, "timestamp": 1_760_001_628_357 - 5000}, 0),
    ],
)
def test_a_wrong_question_is_answered_in_an_envelope_of_http_200(params: dict[str, Any], code: int) -> None:
    """Signature, time and window are judged, and the status is 200 whatever the verdict."""
    reply = CoreStage().ask(BALANCE, sign="signature" not in params, **params)
    assert (200, code) == (reply.status, orjson.loads(reply.body)["code"])


@pytest.mark.parametrize(
    ("path", "key", "code"), [(BALANCE, "nobody", 100413), (BALANCE, "", 100413), ("/swap/v2/user/nope", "", 100400)]
)
def test_unknown_keys_and_unknown_paths_have_their_codes(path: str, key: str, code: int) -> None:
    """100413 for a key that nobody has, 100400 for a path that does not exist."""
    reply = CoreStage().core.rest(Request(method="GET", path=f"/openApi{path}", headers={"x-bx-apikey": key}))
    assert code == orjson.loads(reply.body)["code"]


def test_a_stale_time_can_be_told_by_the_old_code_with_a_message() -> None:
    """The dialect of 109400 names the timestamp in its message."""
    stage = CoreStage(dialect=Dialect(timestamp_code=109400))
    envelope = orjson.loads(stage.ask(BALANCE, timestamp=1).body)
    assert 109400 == envelope["code"]
    assert "timestamp" in envelope["msg"]


@pytest.mark.parametrize(
    "path", [INCOME, "/swap/v2/user/commissionRate", "/swap/v2/trade/allOrders", "/swap/v1/positionSide/dual"]
)
def test_a_reading_key_is_refused_what_needs_trade(path: str) -> None:
    """100004 where the documents ask for the trade permission."""
    stage = CoreStage(spec=AccountSpec(name="main", permissions=frozenset({"read"})))
    assert (100004, 0) == (stage.code(path), stage.code(BALANCE))


def test_values_are_signed_raw_and_travel_encoded() -> None:
    """A value with a space is signed as it is, whatever the URL makes of it."""
    stage = CoreStage()
    params = {"clientOrderId": "a b", "symbol": "BTC-USDT", "timestamp": str(stage.core.now_ms())}
    signature = signature_of(stage.main.spec.api_secret, params)
    query = f"clientOrderId=a%20b&symbol=BTC-USDT&timestamp={params['timestamp']}&signature={signature}"
    request = Request(
        method="GET",
        path="/openApi/swap/v2/trade/order",
        query=query,
        headers={"x-bx-apikey": stage.main.spec.api_key},
    )
    assert 109421 == orjson.loads(stage.core.rest(request).body)["code"]


# Listen keys.


def test_listen_key_answers_have_no_envelope() -> None:
    """POST gives 64 hex digits at the top, PUT 200 and nothing, 204 without the parameter, 404 unknown."""
    stage = CoreStage()
    key = stage.listen_key()
    assert 64 == len(key)
    for name, expected in ((key, 200), ("", 204), ("f" * 64, 404)):
        reply = stage.ask(KEY, method="PUT", listenKey=name)
        assert (expected, b"") == (reply.status, reply.body)


def test_a_key_dies_at_sixty_minutes_and_a_renewal_at_half_life_carries_it_on() -> None:
    """Renewed at 30 it lives at 60; a PUT exactly at its sixtieth minute gets 404."""
    stage = CoreStage()
    key = stage.listen_key()
    statuses = []
    for minutes in (30, 59, 60):
        stage.clock.now_ms += minutes * MINUTE_MS
        statuses.append(stage.ask(KEY, method="PUT", listenKey=key).status)
    assert [200, 200, 404] == statuses


@pytest.mark.parametrize(("post", "same"), [(ListenKeyPost.NEW, False), (ListenKeyPost.SAME, True)])
def test_a_second_post_gives_a_new_key_or_the_one_in_use(post: ListenKeyPost, same: bool) -> None:
    """Which of the two is nobody's knowledge, so it is a dialect."""
    stage = CoreStage(dialect=Dialect(listen_key=post))
    assert same is (stage.listen_key() == stage.listen_key())


def test_a_deleted_key_is_unknown() -> None:
    """DELETE answers 200 once and 404 afterwards."""
    stage = CoreStage()
    key = stage.listen_key()
    assert [200, 404] == [stage.ask(KEY, method="DELETE", listenKey=key).status for _ in range(2)]


# Fills.


def traded(stage: CoreStage, seconds: int = 5) -> None:
    """Trade once a second."""
    for _ in range(seconds):
        stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.01", price="76445.4")
        stage.clock.now_ms += 1000


def fills(stage: CoreStage, **params: object) -> list[dict[str, Any]]:
    """Ask for fillHistory, with the widest window by default."""
    now = stage.core.now_ms()
    asked = {"symbol": "BTC-USDT", "startTs": now - 7 * DAY_MS, "endTs": now, "pageSize": 1000, **params}
    rows: list[dict[str, Any]] = stage.data(FILLS, **asked)["fill_history_orders"]
    return rows


def seconds_of(rows: list[dict[str, Any]]) -> list[int]:
    """Read the rows' times with their offset, in milliseconds."""
    return sorted(int(datetime.fromisoformat(row["filledTime"]).timestamp() * 1000) for row in rows)


def test_fill_history_starts_after_start_and_ends_with_end() -> None:
    """StartTs < t ≤ endTs, on whole seconds."""
    stage = CoreStage()
    traded(stage)
    first = stage.main.executions[0].at_ms // 1000 * 1000
    found = seconds_of(fills(stage, startTs=first + 1000, endTs=first + 3000))
    assert [first + 2000, first + 3000] == found


def test_a_fill_row_has_the_captured_form() -> None:
    """0.0615 BTC at 76445.4 costs 2.35069605, told with six decimals, rounded; time in +08:00."""
    stage = CoreStage(dialect=Dialect(rest_order_id_text=True))
    order_id = stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.0615", price="76445.4")
    (row,) = fills(stage)
    assert {
        "symbol": "BTC-USDT",
        "qty": "0.0615",
        "quoteQty": "4701.3921",
        "role": "taker",
        "commission": "-2.350696",
        "price": "76445.4",
        "orderId": str(order_id),
        "filledTime": "2025-10-09T17:20:28.000+08:00",
        "realisedPNL": "0.00000000",
        "side": "BUY",
        "positionSide": "LONG",
    } == {name: value for name, value in row.items() if name not in {"tradeId", "commissionAsset"}}


def test_pages_are_disjoint_and_complete() -> None:
    """PageIndex counts from one; the pages together are the whole."""
    stage = CoreStage()
    traded(stage, 7)
    pages = [fills(stage, pageSize=3, pageIndex=n) for n in (1, 2, 3, 4)]
    assert [3, 3, 1, 0] == [len(page) for page in pages]
    assert {str(e.trade_id) for e in stage.main.executions} == {row["tradeId"] for page in pages for row in page}


def test_fill_history_forgets_after_seven_days_and_all_fills_after_thirty() -> None:
    """The two reach back differently far."""
    stage = CoreStage()
    traded(stage, 1)
    counts = []
    for days in (8, 23):
        stage.clock.now_ms += days * DAY_MS
        now = stage.core.now_ms()
        everything = stage.data(ALL_FILLS, startTs=0, endTs=now, tradingUnit="COIN")["fill_orders"]
        counts.append((len(fills(stage, startTs=0)), len(everything)))
    assert [(0, 1), (0, 0)] == counts


def test_all_fill_orders_lies_about_its_zone_and_its_twin_does_not() -> None:
    """`filledTm` ends in Z but is +08:00; `filledTime` has the offset; there is no trade id."""
    stage = CoreStage()
    traded(stage, 1)
    now = stage.core.now_ms()
    (row,) = stage.data(ALL_FILLS, startTs=0, endTs=now, tradingUnit="COIN")["fill_orders"]
    real = stage.main.executions[0].at_ms // 1000
    assert real + 8 * 3600 == datetime.fromisoformat(row["filledTm"]).timestamp()
    assert real == datetime.fromisoformat(row["filledTime"]).timestamp()
    assert "tradeId" not in row


def test_all_fill_orders_ends_at_512_rows() -> None:
    """More executions than the bound are cut, silently."""
    stage = CoreStage()
    parts = [("0.0001", "76445.4")] * 600
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.06", parts=parts)
    now = stage.core.now_ms()
    rows = stage.data(ALL_FILLS, startTs=0, endTs=now + 5000, tradingUnit="COIN")["fill_orders"]
    assert 512 == len(rows)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (FILLS, {"symbol": "BTC-USDT", "startTs": 1}),
        (FILLS, {"startTs": 1, "endTs": 2}),
        (FILLS, {"symbol": "BTC-USDT", "startTs": 1, "endTs": 2, "pageSize": 1001}),
        (FILLS, {"symbol": "BTC-USDT", "startTs": "x", "endTs": 2}),
        (ALL_FILLS, {"startTs": 1, "endTs": 2}),
        (INCOME, {"startTime": 1, "endTime": 2, "limit": 1001}),
        ("/swap/v2/trade/allOrders", {"startTime": 0, "endTime": 8 * DAY_MS}),
        ("/swap/v2/trade/forceOrders", {"limit": 101}),
    ],
)
def test_parameters_out_of_bounds_are_refused(path: str, params: dict[str, Any]) -> None:
    """109400, and the message names the parameter."""
    assert 109400 == CoreStage().code(path, **params)


# Income.


def incomes(stage: CoreStage, **params: object) -> list[dict[str, Any]]:
    """Ask for income with both bounds."""
    now = stage.core.now_ms()
    rows = stage.data(INCOME, **{"startTime": now - DAY_MS, "endTime": now, "limit": 1000, **params})
    assert isinstance(rows, list)
    return rows


def test_income_with_one_bound_alone_answers_nothing() -> None:
    """StartTime without endTime is an empty answer, not an error."""
    stage = CoreStage()
    stage.main.deposit(5)
    assert [] == stage.data(INCOME, startTime=0)
    assert 1 == len(incomes(stage))


def test_income_rows_stand_in_whole_seconds_with_eight_decimals_and_the_accounts_sign() -> None:
    """What was paid is negative; the tranIds differ."""
    stage = CoreStage()
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.01", price="76445.4")
    stage.main.withdraw("1.5")
    rows = incomes(stage)
    assert {("TRADING_FEE", "-0.38222700"), ("TRANSFER", "-1.50000000")} == {
        (row["incomeType"], row["income"]) for row in rows
    }
    assert {0} == {row["time"] % 1000 for row in rows}
    assert 2 == len({row["tranId"] for row in rows})


def test_income_rows_come_late_in_the_dialect_that_delays_them() -> None:
    """A row with its time in the past is not there yet, then it is."""
    stage = CoreStage(dialect=Dialect(row_delay_s_max=60))
    for _ in range(20):
        stage.main.deposit(1)
    early = len(incomes(stage))
    stage.clock.now_ms += 60_000
    assert early < 20 == len(incomes(stage))


def test_income_never_exists_on_the_demo_flavour() -> None:
    """VST answers data: null, whatever happened."""
    stage = CoreStage(spec=AccountSpec(name="main", margin_asset="VST"))
    stage.main.deposit(5)
    assert stage.data(INCOME, startTime=0, endTime=stage.core.now_ms()) is None


@pytest.mark.parametrize(("order", "first"), [(RowOrder.ASCENDING, 1), (RowOrder.DESCENDING, 5)])
def test_a_cut_answer_keeps_the_first_rows_of_its_order(order: RowOrder, first: int) -> None:
    """Five rows, limit two: the oldest or the newest two, in the dialect's order."""
    stage = CoreStage(dialect=Dialect(row_order=order))
    for amount in range(1, 6):
        stage.main.deposit(amount)
        stage.clock.now_ms += 1000
    assert f"{first}.00000000" == incomes(stage, limit=2)[0]["income"]


def test_a_funding_row_is_never_stamped_before_its_push() -> None:
    """Pushed at x.357 s, stamped in the next whole second."""
    stage = CoreStage()
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.01")
    stage.main.settle_funding("0.0001")
    assert stage.clock.now_ms // 1000 * 1000 + 1000 == stage.main.incomes[-1].at_ms


def test_funding_rows_come_one_per_position_and_are_stamped_after_the_push() -> None:
    """Two positions, one cross push, two rows in a second not before the push."""
    stage = CoreStage(dialect=Dialect(funding_stamp_s_max=60))
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.01")
    stage.main.market_order("ETH-USDT", "SELL", "SHORT", "1")
    stage.main.settle_funding("0.0001")
    stage.clock.now_ms += 62_000
    rows = incomes(stage, incomeType="FUNDING_FEE")
    assert ["BTC-USDT", "ETH-USDT"] == sorted(row["symbol"] for row in rows)
    assert all(stage.clock.now_ms - 62_000 <= row["time"] <= stage.clock.now_ms for row in rows)


# Orders, positions, balances.


def test_orders_carry_the_bound_and_a_rounded_quote() -> None:
    """`price` of a market order is the bound, `cumQuote` an integer, the id a JSON number."""
    stage = CoreStage()
    order_id = stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.0615", price="76445.4", bound="80000.0")
    row = stage.data("/swap/v2/trade/order", symbol="BTC-USDT", orderId=order_id)["order"]
    assert (order_id, "80000.0", "76445.40000000", "4701", "0.0615", "FILLED") == tuple(
        row[k] for k in ("orderId", "price", "avgPrice", "cumQuote", "executedQty", "status")
    )


def test_open_and_all_orders_part_what_rests_from_what_was() -> None:
    """A resting order is in both lists, a cancelled one in one of them."""
    stage = CoreStage()
    gone = stage.main.limit_order("BTC-USDT", "BUY", "LONG", "0.01", "70000.0")
    stays = stage.main.limit_order("BTC-USDT", "BUY", "LONG", "0.01", "70000.0")
    stage.main.cancel(gone)
    lists = [stage.data(f"/swap/v2/trade/{name}")["orders"] for name in ("openOrders", "allOrders")]
    assert [{stays}, {gone, stays}] == [{row["orderId"] for row in rows} for rows in lists]


def test_force_orders_lists_what_the_exchange_closed_unless_nobody_tells() -> None:
    """By kind; told by neither, the order is in no report at all."""
    stage = CoreStage()
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1")
    adl = stage.main.force_close("ETH-USDT", "LONG", kind="ADL", told="income")
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1")
    silent = stage.main.force_close("ETH-USDT", "LONG", told="neither")
    listed = stage.data("/swap/v2/trade/forceOrders", autoCloseType="ADL")["orders"]
    assert [adl] == [row["orderId"] for row in listed]
    everything = stage.data("/swap/v2/trade/allOrders")["orders"]
    assert silent not in {row["orderId"] for row in everything}
    assert str(silent) not in {row["orderId"] for row in fills(stage, symbol="ETH-USDT")}


def test_the_balance_has_eight_decimals_in_v2_and_four_in_v3() -> None:
    """One object there, a row per asset with an empty neighbour here."""
    stage = CoreStage(spec=AccountSpec(name="main", opening=Decimal("50.81083984")))
    assert "50.81083984" == stage.data(BALANCE)["balance"]["balance"]
    row, empty = stage.data("/swap/v3/user/balance")
    assert ("USDT", "50.8108") == (row["asset"], row["balance"])
    assert {""} == set(empty.values())


def test_positions_speak_of_a_one_way_short_as_short() -> None:
    """REST says the side and an unsigned amount where pushes say BOTH."""
    stage = CoreStage(spec=AccountSpec(name="main", hedge=False))
    stage.main.market_order("ETH-USDT", "SELL", "BOTH", "2", price="4000.00")
    (row,) = stage.data("/swap/v2/user/positions")
    assert ("SHORT", "2.00", "4000.00", True) == tuple(
        row[k] for k in ("positionSide", "positionAmt", "avgPrice", "onlyOnePosition")
    )


@pytest.mark.parametrize(("empty", "expected"), [(Empty.LIST, []), (Empty.OBJECT, {}), (Empty.NULL, None)])
def test_nothing_has_three_faces(empty: Empty, expected: object) -> None:
    """[], {} and null, by dialect."""
    assert expected == CoreStage(dialect=Dialect(empty=empty)).data("/swap/v2/user/positions")


def test_numbers_can_be_floats_and_ints() -> None:
    """The dialect of floats answers JSON numbers, without a fraction where there is none."""
    stage = CoreStage(dialect=Dialect(numbers=Numbers.FLOATS))
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.0615", price="76445.4")
    body = stage.ask(FILLS, symbol="BTC-USDT", startTs=1, endTs=stage.core.now_ms(), pageSize=1000).body
    assert b'"commission":-2.350696' in body
    assert b'"realisedPNL":0,' in body


def test_the_modes_and_rates_are_those_of_the_account() -> None:
    """Leverage per side, margin type, dual side as text, asset mode, rates, permissions."""
    stage = CoreStage(spec=AccountSpec(name="main", permissions=frozenset({"read", "trade", "withdraw"})))
    stage.main.set_leverage("BTC-USDT", long=20, short=3)
    stage.main.set_margin_type("BTC-USDT", "isolated")
    leverage = stage.data("/swap/v2/trade/leverage", symbol="BTC-USDT")
    assert (20, 3) == (leverage["longLeverage"], leverage["shortLeverage"])
    assert "ISOLATED" == stage.data("/swap/v2/trade/marginType", symbol="BTC-USDT")["marginType"]
    assert "true" == stage.data("/swap/v1/positionSide/dual")["dualSidePosition"]
    assert "singleAssetMode" == stage.data("/swap/v1/trade/assetMode")["assetMode"]
    assert 0.0005 == stage.data("/swap/v2/user/commissionRate")["commission"]["takerCommissionRate"]
    assert [2, 3, 5] == stage.data("/v1/account/apiPermissions")["permissions"]


def test_permissions_can_come_as_flags() -> None:
    """The other form that clients have seen."""
    data = CoreStage(dialect=Dialect(permissions=Permissions.FLAGS)).data("/v1/account/apiPermissions")
    assert (True, False) == (data["enableReading"], data["enableWithdrawals"])


def test_time_contracts_and_marks_need_no_key() -> None:
    """They answer an unsigned question."""
    stage = CoreStage()
    answers = [
        orjson.loads(stage.core.rest(Request(method="GET", path=f"/openApi/swap/v2/{path}")).body)["data"]
        for path in ("server/time", "quote/contracts", "quote/premiumIndex")
    ]
    assert stage.core.now_ms() == answers[0]["serverTime"]
    assert ("BTC-USDT", 1, 4) == tuple(answers[1][0][k] for k in ("symbol", "pricePrecision", "quantityPrecision"))
    assert "112848.1" == answers[2][0]["markPrice"]


def test_limits_are_counted_told_and_enforced_on_wish() -> None:
    """The headers count down, 100410 comes at the end, and the window forgets."""
    stage = CoreStage(limit=RateLimit(requests=2, window_ms=1000, enforced=True))
    remains = [stage.ask(BALANCE).headers["X-RateLimit-Requests-Remain"] for _ in range(2)]
    assert (["1", "0"], 100410) == (remains, stage.code(BALANCE))
    stage.clock.now_ms += 1000
    assert 0 == stage.code(BALANCE)


def test_a_skewed_clock_refuses_our_time_and_tells_its_own() -> None:
    """An hour ahead: our timestamps are stale, server/time shows by how much."""
    stage = CoreStage(faults=Faults())
    stage.core.faults.spec = stage.core.faults.spec.__class__(skew_ms=3_600_000)
    assert 100421 == stage.code(BALANCE, timestamp=stage.clock.now_ms)
    assert stage.clock.now_ms + 3_600_000 == stage.data("/swap/v2/server/time")["serverTime"]
