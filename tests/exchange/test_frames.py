"""The private pushes, against the frames captured in bingx.md §4 and the dialects it leaves open."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import orjson
import pytest

from ditad.exchange import AccountSpec, Dialect, Trader, created_ms_of
from ditad.exchange.dialect import (
    AveragePrice,
    EntryBasis,
    ForcedTold,
    FrameOrder,
    OrderNames,
    PartialAmounts,
    TradeIds,
    TradeTime,
)
from tests.exchange.stage import START_MS, Stage

# Verbatim from bingx.md §4: the frames with z of 2023, of 2025, and the two kinds without orders.
CAPTURED: dict[str, dict[str, Any]] = {
    "ORDER_TRADE_UPDATE": orjson.loads(
        '{"e":"ORDER_TRADE_UPDATE","E":1696843635475,"o":{"s":"LTC-USDT","c":"","i":1711312357852147712,"S":"BUY",'
        '"o":"MARKET","q":"0.10000000","p":"64.35010000","ap":"64.36000000","x":"TRADE","X":"FILLED","N":"USDT",'
        '"n":"-0.00321800","T":0,"wt":"MARK_PRICE","ps":"LONG","rp":"0.00000000","z":"0.10000000"}}'
    ),
    "TRADE_UPDATE": orjson.loads(
        '{"e":"TRADE_UPDATE","E":1758608899350,"T":1758608899316,"o":{"s":"BTC-USDT","c":"","i":1970374651259388000,'
        '"S":"SELL","o":"MARKET","q":"0.00100000","p":"112848.10000000","sp":"0.00000000","ap":"112848.10000000",'
        '"x":"TRADE","X":"FILLED","N":"USDT","n":"-0.05642405","T":1758608899316,"wt":"","ps":"SHORT",'
        '"rp":"0.00000000","z":"0.00100000","sg":"false","ti":0,"ro":false,"td":511178071,"tv":"112.8"}}'
    ),
    "ACCOUNT_UPDATE": orjson.loads(
        '{"e":"ACCOUNT_UPDATE","E":1758608899352,"a":{"m":"ORDER","B":[{"a":"USDT","wb":"117.80007595",'
        '"cw":"95.23045595","bc":"0"}],"P":[{"s":"BTC-USDT","pa":"0.00100000","ep":"112848.10000000",'
        '"up":"-0.00004435","mt":"cross","iw":"22.56957565","ps":"SHORT","cr":"-0.05642405"}]}}'
    ),
    "SNAPSHOT": orjson.loads('{"e":"SNAPSHOT","E":1780336019559,"ac":{"s":"MTL-USDT","l":1,"S":1,"mt":"isolated"}}'),
}


def shape(value: Any) -> Any:
    """Reduce a frame to its keys and the types under them."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


@pytest.mark.parametrize("name", ["ORDER_TRADE_UPDATE", "TRADE_UPDATE", "ACCOUNT_UPDATE"])
def test_a_fill_has_the_captured_keys_and_types(name: str) -> None:
    """Each frame of an opening market order has exactly the keys of its capture, down to the types."""
    stage = Stage()
    stage.main.market_order("BTC-USDT", "SELL", "SHORT", "0.0010", price="112848.1", bound="112848.1")
    (frame,) = [said for said in stage.said if said["e"] == name]
    assert shape(CAPTURED[name]) == shape(frame)


def test_the_configuration_push_has_the_captured_keys() -> None:
    """`SNAPSHOT` looks as captured."""
    stage = Stage(spec=AccountSpec(name="main", leverage=1, margin_type="isolated"))
    assert CAPTURED["SNAPSHOT"]["ac"] == stage.main.config_frame("MTL-USDT")["ac"]
    assert shape(CAPTURED["SNAPSHOT"]) == shape(stage.main.config_frame("MTL-USDT"))


def test_the_captured_trade_of_2025_is_told_digit_by_digit() -> None:
    """0.001 BTC short at 112848.1 and 5× gives the captured numbers, bound and times aside."""
    stage = Stage(dialect=Dialect(trade_time=TradeTime.TOLD), spec=AccountSpec(name="main", leverage=5))
    stage.main.market_order("BTC-USDT", "SELL", "SHORT", "0.0010", price="112848.1", bound="112848.1")
    body, captured = stage.orders_said("TRADE_UPDATE")[0], CAPTURED["TRADE_UPDATE"]["o"]
    moving = {"i", "T"}
    assert {k: v for k, v in captured.items() if k not in moving} == {k: v for k, v in body.items() if k not in moving}
    (row,) = stage.accounts_said()[0]["P"]
    assert {"pa": "0.00100000", "ep": "112848.10000000", "iw": "22.56962000", "cr": "-0.05642405"} == {
        k: row[k] for k in ("pa", "ep", "iw", "cr")
    }


def test_order_ids_are_numbers_beyond_two_to_the_53_that_carry_their_time() -> None:
    """The id is an int, too large for a float, and its creation time reads back."""
    stage = Stage()
    order_id = stage.main.limit_order("BTC-USDT", "BUY", "LONG", "0.01", "100000.0")
    assert order_id == stage.orders_said()[0]["i"]
    assert order_id > 2**53
    assert START_MS == created_ms_of(order_id)


def test_the_bound_of_a_market_order_is_never_its_price() -> None:
    """`p` stands away from `ap` on market orders, on the side that protects."""
    stage = Stage()
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.01", price="100000.0")
    (body,) = stage.orders_said()
    assert ("105000.00000000", "100000.00000000") == (body["p"], body["ap"])


@pytest.mark.parametrize(
    ("order", "first"), [(FrameOrder.ACCOUNT_FIRST, "ACCOUNT_UPDATE"), (FrameOrder.ORDER_FIRST, "TRADE_UPDATE")]
)
def test_the_twins_come_in_the_order_of_the_dialect(order: FrameOrder, first: str) -> None:
    """Account frame and order frames stand together, either first."""
    stage = Stage(dialect=Dialect(frame_order=order))
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.01")
    assert (first, 3) == (stage.said[0]["e"], len(stage.said))


@pytest.mark.parametrize("names", [OrderNames.TRADE_UPDATE, OrderNames.ORDER_TRADE_UPDATE])
def test_a_fill_can_be_told_under_one_name_only(names: OrderNames) -> None:
    """The dialect with one name sends one order frame per fill."""
    stage = Stage(dialect=Dialect(order_names=names))
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.01")
    assert {"ACCOUNT_UPDATE", str(names)} == {frame["e"] for frame in stage.said}
    assert 2 == len(stage.said)


@pytest.mark.parametrize(
    ("amounts", "told"),
    [
        (PartialAmounts.PER_FILL, [("0", "0"), ("-0.20000000", "10.00000000"), ("-0.60060000", "33.00000000")]),
        (PartialAmounts.CUMULATIVE, [("0", "0"), ("-0.20000000", "10.00000000"), ("-0.80060000", "43.00000000")]),
    ],
)
def test_partial_fills_tell_their_amounts_in_either_dialect(
    amounts: PartialAmounts, told: list[tuple[str, str]]
) -> None:
    """A limit close of 1 at 1000 and 3 at 1001 (maker 0.02 %), entry 990: `n` and `rp` per fill or so far."""
    stage = Stage(dialect=Dialect(partial_amounts=amounts, order_names=OrderNames.ORDER_TRADE_UPDATE))
    stage.main.market_order("ETH-USDT", "BUY", "LONG", 4, price="990.00")
    order_id = stage.main.limit_order("ETH-USDT", "SELL", "LONG", 4, "1000.00")
    stage.main.fill(order_id, 1)
    stage.main.fill(order_id, 3, price="1001.00")
    bodies = stage.orders_said()[1:]
    expected = [(n, rp) if n != "0" else ("0.00000000", "0.00000000") for n, rp in told]
    assert expected == [(body["n"], body["rp"]) for body in bodies]
    assert ["NEW", "PARTIALLY_FILLED", "FILLED"] == [body["X"] for body in bodies]
    assert ["0.00000000", "1.00000000", "4.00000000"] == [body["z"] for body in bodies]
    assert ["0.00000000", "1000.00000000", "1000.75000000"] == [body["ap"] for body in bodies]


def test_a_jump_pushes_the_last_of_several_executions_only() -> None:
    """`one_frame` tells z at its end, while the books and the rows hold every execution."""
    stage = Stage(dialect=Dialect(order_names=OrderNames.TRADE_UPDATE))
    parts = [(1, "990.00"), (1, "991.00"), (2, "992.00")]
    stage.main.market_order("ETH-USDT", "BUY", "LONG", 4, parts=parts, one_frame=True)
    (body,) = stage.orders_said("TRADE_UPDATE")
    assert ("4.00000000", "991.25000000") == (body["z"], body["ap"])
    assert (3, 1) == (len(stage.main.executions), len(stage.accounts_said()))


def test_optional_fields_follow_the_dialect() -> None:
    """Both l and L appear, z disappears, T is 0, td differs from the row's id, ap stands on the tick."""
    dialect = Dialect(
        last_fields=True,
        cumulative_field=False,
        trade_time=TradeTime.ZERO,
        trade_ids=TradeIds.DIFFERENT,
        average_price=AveragePrice.TICK,
    )
    stage = Stage(dialect=dialect)
    stage.main.market_order("ETH-USDT", "BUY", "LONG", 3, parts=[(1, "990.00"), (2, "990.01")])
    body = stage.orders_said("TRADE_UPDATE")[-1]
    assert ("2.00000000", "990.01000000", 0, "990.01000000") == (body["l"], body["L"], body["T"], body["ap"])
    assert "z" not in body
    assert body["td"] not in {0, stage.main.executions[-1].trade_id}


def test_a_zero_trade_time_leaves_the_event_time_to_order_fills() -> None:
    """Where T is 0, E is the execution's own time, and no two executions share it."""
    stage = Stage(dialect=Dialect(trade_time=TradeTime.ZERO, order_names=OrderNames.TRADE_UPDATE))
    for _ in range(20):
        stage.main.market_order("ETH-USDT", "BUY", "LONG", 1)
    times = [frame["E"] for frame in stage.said if frame["e"] == "TRADE_UPDATE"]
    assert [e.at_ms for e in stage.main.executions] == times
    assert sorted(set(times)) == times


def test_account_frames_never_go_back_in_time() -> None:
    """`E` orders the statements of one account even when many stand in one millisecond."""
    stage = Stage()
    for _ in range(50):
        stage.main.deposit(1)
    times = [frame["E"] for frame in stage.said]
    assert sorted(times) == times


def test_hedge_amounts_are_unsigned_and_one_way_amounts_carry_the_sign() -> None:
    """A short of 2 is 2 under SHORT and −2 under BOTH (one-way frames are synthetic: none was captured)."""
    hedge, one_way = Stage(), Stage(spec=AccountSpec(name="main", hedge=False))
    hedge.main.market_order("ETH-USDT", "SELL", "SHORT", 2)
    one_way.main.market_order("ETH-USDT", "SELL", "BOTH", 2)
    told = [stage.accounts_said()[0]["P"][0] for stage in (hedge, one_way)]
    assert [("SHORT", "2.00000000"), ("BOTH", "-2.00000000")] == [(row["ps"], row["pa"]) for row in told]


def test_a_close_tells_zero_not_absence() -> None:
    """A flat position is a row with `pa` zero (synthetic: no close was captured)."""
    stage = Stage()
    stage.main.market_order("ETH-USDT", "SELL", "SHORT", 2)
    stage.main.close("ETH-USDT", "SHORT")
    (row,) = stage.accounts_said()[-1]["P"]
    assert ("ETH-USDT", "SHORT", "0.00000000") == (row["s"], row["ps"], row["pa"])


@pytest.mark.parametrize(("told", "change"), [(True, "-0.40000000"), (False, "0.00000000")])
def test_cross_funding_names_no_position(told: bool, change: str) -> None:
    """All cross positions share one push of `B` only, `bc` present or zero (synthetic)."""
    stage = Stage(dialect=Dialect(funding_bc=told))
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1", price="4000.00")
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.04", price="100000.0")
    stage.main.market_order("BTC-USDT", "SELL", "SHORT", "0.04", price="100000.0")
    stage.said.clear()
    stage.main.settle_funding("0.0001")
    (body,) = stage.accounts_said()
    assert ("FUNDING_FEE", [], change) == (body["m"], body["P"], body["B"][0]["bc"])


def test_isolated_funding_comes_with_its_position() -> None:
    """Each isolated position has a funding push of its own (synthetic)."""
    stage = Stage(spec=AccountSpec(name="main", margin_type="isolated"))
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1")
    stage.main.market_order("LTC-USDT", "SELL", "SHORT", "10")
    stage.said.clear()
    stage.main.settle_funding("0.0001")
    assert [["ETH-USDT"], ["LTC-USDT"]] == [[row["s"] for row in body["P"]] for body in stage.accounts_said()]


def test_transfers_carry_their_signed_change_and_the_captured_form() -> None:
    """A withdrawal looks as captured: `bc` with its sign, `P` empty."""
    stage = Stage(spec=AccountSpec(name="main", opening=Decimal("50.81083984")))
    stage.main.withdraw(1)
    expected = {
        "m": "WITHDRAW",
        "B": [{"a": "USDT", "wb": "49.81083984", "cw": "49.81083984", "bc": "-1.00000000"}],
        "P": [],
    }
    assert [expected] == stage.accounts_said()


@pytest.mark.parametrize(
    ("told", "frames", "rows"),
    [
        ("frame", 2, ["REALIZED_PNL", "TRADING_FEE"]),
        ("income", 0, ["INSURANCE_CLEAR", "TRADING_FEE"]),
        ("both", 2, ["INSURANCE_CLEAR", "TRADING_FEE"]),
        ("neither", 0, []),
    ],
)
def test_a_forced_close_is_told_by_the_roads_of_the_dialect(told: str, frames: int, rows: list[str]) -> None:
    """Order frames of type LIQUIDATION, an income row, both or neither; the account frame always (synthetic)."""
    stage = Stage()
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1", price="4000.00")
    stage.said.clear()
    stage.main.incomes.clear()
    stage.main.force_close("ETH-USDT", "LONG", price="3700.00", told=told)
    orders = [frame["o"] for frame in stage.said if "o" in frame]
    assert (frames, 1) == (len(orders), len(stage.accounts_said()))
    assert {"LIQUIDATION"} >= {body["o"] for body in orders}
    assert rows == sorted(row.kind for row in stage.main.incomes)


def test_a_resting_order_tells_amendments_and_cancels() -> None:
    """An amendment changes q and never z; a cancel keeps what was filled."""
    stage = Stage(dialect=Dialect(order_names=OrderNames.TRADE_UPDATE, canceled_spelling="CANCELLED"))
    order_id = stage.main.limit_order("BTC-USDT", "BUY", "LONG", "0.03", "100000.0", client_id="MyBot")
    stage.main.fill(order_id, "0.01")
    stage.main.amend(order_id, "0.05")
    stage.main.cancel(order_id)
    told = [(body["X"], body["q"], body["z"], body["c"]) for body in stage.orders_said("TRADE_UPDATE")]
    assert [
        ("NEW", "0.03000000", "0.00000000", "mybot"),
        ("PARTIALLY_FILLED", "0.03000000", "0.01000000", "mybot"),
        ("PARTIALLY_FILLED", "0.05000000", "0.01000000", "mybot"),
        ("CANCELLED", "0.05000000", "0.01000000", "mybot"),
    ] == told


@pytest.mark.parametrize("seed", range(5))
def test_a_drawn_dialect_tells_the_same_story_in_other_words(seed: int) -> None:
    """Any dialect of the hat is valid, the same for its seed, and leaves the books' wallet alone but for `rp`."""
    fixed = {"profit_entry": EntryBasis.EXACT, "forced_told": ForcedTold.BOTH, "forced_differ": False}
    dialect, again = (Dialect.drawn(Random(seed), **fixed) for _ in range(2))  # noqa: S311 — a story
    assert dialect == again
    books = []
    for stage in (Stage(), Stage(dialect=dialect)):
        trader = Trader(stage.main, seed=seed, forced=True)
        for _ in range(60):
            trader.step()
        books.append(stage.venue.books("main"))
    assert books[0] == books[1]
