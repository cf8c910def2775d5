"""The habits that nobody knows for sure: forced closes, spellings, and what positions are listed as."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ditad.exchange import AccountSpec, Dialect
from ditad.exchange.dialect import ForcedWallet, OrderNames
from tests.exchange.stage import CoreStage, Stage

ISOLATED = AccountSpec(name="main", margin_type="isolated")
LOSS = Decimal(-300)


def forced(wallet: ForcedWallet, *, differ: bool = True, told: str = "both") -> Stage:
    """Liquidate one ETH with a stated loss of 300, in two parts of equal size."""
    stage = Stage(dialect=Dialect(forced_wallet=wallet, forced_differ=differ))
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1", price="4000.00")
    parts = [("0.5", "3700.00"), ("0.5", "3700.00")]
    stage.main.force_close("ETH-USDT", "LONG", parts=parts, told=told)
    return stage


def stated_and_rows(stage: Stage) -> tuple[Decimal, Decimal]:
    """Sum what the frames call profit, and what the rows say."""
    profit = sum((Decimal(str(body["rp"])) for body in stage.orders_said()), Decimal(0))
    rows = sum((row.amount for row in stage.main.incomes if row.kind == "INSURANCE_CLEAR"), Decimal(0))
    return profit, rows


@pytest.mark.parametrize("wallet", list(ForcedWallet))
def test_the_dialect_says_which_telling_of_a_forced_close_the_wallet_followed(wallet: ForcedWallet) -> None:
    """`rp` says −300, the rows less; the wallet moved by one of the two sums and never by both."""
    stage = forced(wallet)
    profit, rows = stated_and_rows(stage)
    books = stage.venue.books("main")
    assert LOSS == profit < rows < 0
    assert {ForcedWallet.PROFIT: profit, ForcedWallet.ROW: rows}[wallet] == books["other_income"]
    assert 10_000 + books["other_income"] - books["fees"] == books["wallet_balance"]


@pytest.mark.parametrize("wallet", list(ForcedWallet))
def test_facts_say_what_was_stated_and_what_the_wallet_followed(wallet: ForcedWallet) -> None:
    """One fact per part, each with its own row."""
    stage = forced(wallet)
    profit, rows = stated_and_rows(stage)
    closed = stage.venue.facts("main").executions[1:]
    assert (profit, rows) == (sum(f.stated_pnl for f in closed), sum(f.income_amount or 0 for f in closed))
    assert stage.venue.books("main")["other_income"] == sum(f.realized_pnl for f in closed)
    assert 2 == len({f.income_tran_id for f in closed})


@pytest.mark.parametrize("told", ["frame", "income", "neither"])
def test_one_telling_alone_is_what_the_wallet_followed(told: str) -> None:
    """Where only one road tells, or none, there is nothing to differ."""
    stage = forced(ForcedWallet.ROW, told=told)
    books = stage.venue.books("main")
    assert LOSS == books["realized_pnl"] + books["other_income"]
    assert (LOSS if told == "income" else 0) == stated_and_rows(stage)[1]


def test_both_tellings_are_equal_unless_the_dialect_parts_them() -> None:
    """The default."""
    stage = forced(ForcedWallet.ROW, differ=False)
    assert (LOSS, LOSS) == stated_and_rows(stage)


def test_a_voucher_pays_a_stated_fee_without_the_wallet() -> None:
    """The frame and `fillHistory` name the commission; wallet, books and income do not know it."""
    stage = CoreStage()
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1", price="4000.00", voucher=True)
    (fact,) = stage.core.venue.facts("main").executions
    assert (Decimal(0), Decimal(2)) == (fact.fee, fact.stated_fee)
    assert Decimal(10_000) == stage.main.books.wallet
    assert [] == list(stage.main.incomes)
    now = stage.core.now_ms()
    rows = stage.data("/swap/v2/trade/fillHistory", symbol="ETH-USDT", startTs=0, endTs=now + 1000)
    assert "-2.000000" == rows["fill_history_orders"][0]["commission"]


def test_a_rebate_is_a_negative_fee_everywhere() -> None:
    """A maker with −0.01 % is paid 0.4 for 4000; frame, row and books agree in their signs."""
    stage = Stage(spec=AccountSpec(name="main", maker_rate=Decimal("-0.0001")))
    order_id = stage.main.limit_order("ETH-USDT", "BUY", "LONG", "1", "4000.00")
    stage.main.fill(order_id)
    assert ("0.40000000", Decimal("0.4")) == (stage.orders_said()[-1]["n"], stage.main.incomes[0].amount)
    assert Decimal("-0.4") == stage.venue.books("main")["fees"] == stage.venue.facts("main").executions[0].fee
    assert Decimal("10000.4") == stage.main.books.wallet


def test_an_isolated_position_can_be_listed_as_two() -> None:
    """Same symbol, same side, different ids and entries, `onlyOnePosition` false; together they are the one."""
    stage = CoreStage(spec=ISOLATED, dialect=Dialect(split_isolated=True))
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1.00", price="4000.00")
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.0003", price="100000.0")
    first, second, odd = stage.data("/swap/v2/user/positions")
    assert [("ETH-USDT", "LONG", "0.50", False)] * 2 == [
        (row["symbol"], row["positionSide"], row["positionAmt"], row["onlyOnePosition"]) for row in (first, second)
    ]
    assert ["4000.01", "3999.99"] == [first["avgPrice"], second["avgPrice"]]
    assert first["positionId"] != second["positionId"]
    assert "0.0003" == odd["positionAmt"]  # three lots have no half


def test_small_habits_of_pushes_follow_the_dialect() -> None:
    """Order ids as text, an empty bound, no `P`, upper case, USDT on a demo wallet."""
    dialect = Dialect(
        push_order_id_text=True, empty_bound=True, absent_positions=True, upper_margin_type=True, usdt_commission=True
    )
    stage = Stage(spec=AccountSpec(name="main", margin_asset="VST"), dialect=dialect)
    order_id = stage.main.market_order("ETH-USDT", "BUY", "LONG", "1")
    stage.main.limit_order("ETH-USDT", "BUY", "LONG", "1", "1.00")
    stage.main.close("ETH-USDT", "LONG")
    stage.main.deposit(1)
    opened, rested = stage.orders_said()[:2]
    assert (str(order_id), "", "USDT", "1.00000000") == (opened["i"], opened["p"], opened["N"], rested["p"])
    assert {"CROSS"} == {row["mt"] for body in stage.accounts_said() for row in body.get("P", [])}
    assert "P" not in stage.accounts_said()[-1]
    assert "VST" == stage.accounts_said()[-1]["B"][0]["a"]
    assert "CROSS" == stage.main.config_frame("ETH-USDT")["ac"]["mt"]  # type: ignore[index] # a payload


def test_a_filled_order_is_sometimes_called_unknown() -> None:
    """About every fourth time, and only when it is filled; `z` says what happened all the same."""
    stage = Stage(dialect=Dialect(unknown_status=True, order_names=OrderNames.TRADE_UPDATE))
    for _ in range(60):
        stage.main.market_order("ETH-USDT", "BUY", "LONG", "1.00", parts=[("0.5", "4000.00")] * 2)
    told: list[Any] = [(body["X"], body["z"]) for body in stage.orders_said("TRADE_UPDATE")]
    assert {("PARTIALLY_FILLED", "0.50000000"), ("FILLED", "1.00000000"), ("Unknown", "1.00000000")} == set(told)


def test_names_can_be_drawn_for_each_event() -> None:
    """Now one, now the other, now both; never neither."""
    stage = Stage(dialect=Dialect(order_names=OrderNames.ANY))
    seen = set()
    for _ in range(40):
        stage.said.clear()
        stage.main.market_order("ETH-USDT", "BUY", "LONG", "1.00")
        seen.add(tuple(f["e"] for f in stage.said if f["e"] != "ACCOUNT_UPDATE"))
    assert {("TRADE_UPDATE",), ("ORDER_TRADE_UPDATE",), ("TRADE_UPDATE", "ORDER_TRADE_UPDATE")} == seen


def test_the_balance_has_two_spellings() -> None:
    """The other one carries the same figures."""
    ours, theirs = (
        CoreStage(dialect=Dialect(other_spelling=other)).data("/swap/v2/user/balance")["balance"]
        for other in (False, True)
    )
    assert {"realizedProfit", "frozenMargin"} == set(theirs) - set(ours)
    assert sorted(map(str, ours.values())) == sorted(map(str, theirs.values()))


def test_an_order_can_expire_when_it_is_partly_filled() -> None:
    """EXPIRED in the push and in the report, with what was filled."""
    stage = CoreStage()
    order_id = stage.main.limit_order("ETH-USDT", "BUY", "LONG", "1.00", "4000.00")
    stage.main.fill(order_id, "0.25")
    stage.main.cancel(order_id, expired=True)
    row = stage.data("/swap/v2/trade/order", symbol="ETH-USDT", orderId=order_id)["order"]
    assert ("EXPIRED", "0.25") == (row["status"], row["executedQty"])


@pytest.mark.parametrize("kind", ["TRIAL_FUND", "SYSTEM_DEDUCTION", "GTD_PRICE", "INSURANCE_CLEAR", "ADL"])
def test_other_income_has_every_kind_and_can_come_without_a_push(kind: str) -> None:
    """The row alone tells it; the next frame states the wallet that it moved."""
    stage = Stage()
    stage.main.other_income("-2", reason="ADJUSTMENT", kind=kind, push=False)
    assert ([], kind) == (stage.said, stage.main.incomes[0].kind)
    (fact,) = stage.venue.facts("main").movements
    assert (None, Decimal(-2), Decimal(-2)) == (fact.event_ms, fact.amount, stage.venue.books("main")["other_income"])
    stage.main.deposit(1)
    assert "9999.00000000" == stage.accounts_said()[0]["B"][0]["wb"]


def test_income_is_kept_for_three_months() -> None:
    """Ninety days back there is a row, a day further there is none."""
    stage = CoreStage()
    began = stage.core.now_ms()
    stage.main.deposit(1)
    stage.clock.now_ms += 90 * 86_400_000 - 1000
    assert 1 == len(stage.data("/swap/v2/user/income", startTime=began - 1000, endTime=began + 1000))
    stage.clock.now_ms += 86_400_000
    assert [] == stage.data("/swap/v2/user/income", startTime=began - 1000, endTime=began + 1000)
