"""The exchange's own books, against arithmetic that a bookkeeper can redo."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditad.exchange import AccountSpec, Desk, Dialect, Trader, VenueError
from ditad.exchange.dialect import EntryBasis
from tests.exchange.stage import Stage

ONE_WAY = AccountSpec(name="main", hedge=False)


def test_the_founding_incident_nets_two_hundred_and_four() -> None:
    """202 000 FET short, 0.1878 to 0.1866 at 0.05 %: +242.40 gross, 37.8144 fees, whatever the bound and leverage."""
    stage = Stage(spec=AccountSpec(name="main", leverage=3))
    stage.main.market_order("FET-USDT", "SELL", "SHORT", 202000, price="0.1878")
    stage.main.market_order("FET-USDT", "BUY", "SHORT", 202000, price="0.1866", bound="0.2290")
    books = stage.venue.books("main")
    assert Decimal("242.40") == books["realized_pnl"]
    assert Decimal("37.8144") == books["fees"]
    assert Decimal("10204.5856") == books["wallet_balance"]
    assert [] == books["positions"]


def test_the_captured_commission_is_cut_down_not_rounded() -> None:
    """0.0003 BTC at 28396.5 costs 0.004259475, which the captured frame tells as 0.00425947."""
    stage = Stage(spec=AccountSpec(name="main", opening=Decimal("3.99982137")))
    stage.main.market_order("BTC-USDT", "SELL", "SHORT", "0.0003", price="28396.5")
    assert Decimal("0.00425947") == stage.venue.books("main")["fees"]
    assert Decimal("3.99556190") == stage.venue.books("main")["wallet_balance"]


def test_the_captured_second_pair_needs_its_missing_fill() -> None:
    """With 0.0002 at 28455.2 between the captured fills the wallet ends where the capture says it did."""
    stage = Stage(spec=AccountSpec(name="main", opening=Decimal("3.99982137")))
    for qty, price in (("0.0003", "28396.5"), ("0.0002", "28455.2"), ("0.0001", "28495.0")):
        stage.main.market_order("BTC-USDT", "SELL", "SHORT", qty, price=price)
    assert Decimal("3.99129163") == stage.venue.books("main")["wallet_balance"]
    assert "28432.50000000" == stage.accounts_said()[-1]["P"][0]["ep"]
    assert "0.00060000" == stage.accounts_said()[-1]["P"][0]["pa"]


def test_the_entry_is_the_weighted_average_and_a_close_leaves_it() -> None:
    """1 at 60.00 and 2 at 63.01 average to 62.00666…; closing one of three keeps that to eighteen digits."""
    stage = Stage()
    stage.main.market_order("LTC-USDT", "BUY", "LONG", 1, price="60.00")
    stage.main.market_order("LTC-USDT", "BUY", "LONG", 2, price="63.01")
    stage.main.market_order("LTC-USDT", "SELL", "LONG", 1, price="62.50")
    (position,) = stage.venue.books("main")["positions"]
    assert Decimal("62.006666666666666667") == position["entry_price"]
    assert Decimal(2) == position["qty"]
    assert Decimal("0.49333333") == stage.venue.books("main")["realized_pnl"]


@pytest.mark.parametrize(
    ("basis", "profit"), [(EntryBasis.EXACT, Decimal("0.49333333")), (EntryBasis.TICK, Decimal("0.49"))]
)
def test_the_dialect_says_which_entry_profit_is_computed_from(basis: EntryBasis, profit: Decimal) -> None:
    """The exact entry 62.00666… and the tick-rounded 62.01 realise different profits, and the wallet follows."""
    stage = Stage(dialect=Dialect(profit_entry=basis))
    stage.main.market_order("LTC-USDT", "BUY", "LONG", 3, parts=[(1, "60.00"), (2, "63.01")])
    stage.main.market_order("LTC-USDT", "SELL", "LONG", 1, price="62.50")
    books = stage.venue.books("main")
    assert profit == books["realized_pnl"]
    assert 10_000 + profit - books["fees"] == books["wallet_balance"]


def test_long_and_short_of_one_symbol_stand_apart() -> None:
    """Hedge mode holds both sides; closing one leaves the other as it was."""
    stage = Stage()
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1", price="4000.00")
    stage.main.market_order("ETH-USDT", "SELL", "SHORT", "2", price="4010.00")
    stage.main.close("ETH-USDT", "LONG", price="4020.00")
    (position,) = stage.venue.books("main")["positions"]
    assert ("SHORT", Decimal(2), Decimal(4010)) == (position["side"], position["qty"], position["entry_price"])
    assert Decimal(20) == stage.venue.books("main")["realized_pnl"]


def test_a_one_way_flip_realises_the_close_and_opens_the_rest() -> None:
    """Selling 5 against a long of 2 realises two coins' profit and leaves a short of 3 at the fill's price."""
    stage = Stage(spec=ONE_WAY)
    stage.main.market_order("SOL-USDT", "BUY", "BOTH", 2, price="100.000")
    stage.main.market_order("SOL-USDT", "SELL", "BOTH", 5, price="103.000")
    (position,) = stage.venue.books("main")["positions"]
    assert ("SHORT", Decimal(3), Decimal(103)) == (position["side"], position["qty"], position["entry_price"])
    assert Decimal(6) == stage.venue.books("main")["realized_pnl"]
    assert 2 == stage.venue.books("main")["fills"]


@pytest.mark.parametrize(("rate", "paid"), [("0.0001", Decimal("0.4")), ("-0.0003", Decimal("-1.2"))])
def test_longs_pay_a_positive_funding_rate(rate: str, paid: Decimal) -> None:
    """One ETH at 4000 pays 0.4 at 0.01 %, and is paid 1.2 at −0.03 %."""
    stage = Stage()
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1", price="4000.00")
    before = stage.main.books.wallet
    assert paid == stage.main.settle_funding(rate)
    assert paid == stage.venue.books("main")["funding"]
    assert before - paid == stage.main.books.wallet


def test_transfers_and_other_income_are_kept_apart() -> None:
    """Names with TRANSFER, deposits and withdrawals are transfers; every other reason is other income."""
    stage = Stage()
    stage.main.deposit("7.5")
    stage.main.withdraw("2.25")
    stage.main.other_income("1", reason="ASSET_TRANSFER")
    stage.main.other_income("-0.5", reason="ADJUSTMENT")
    books = stage.venue.books("main")
    assert (Decimal("6.25"), Decimal("-0.5")) == (books["transfers"], books["other_income"])
    assert Decimal("10005.75") == books["wallet_balance"]


@pytest.mark.parametrize(
    ("told", "bucket"),
    [("frame", "realized_pnl"), ("income", "other_income"), ("both", "other_income"), ("neither", "realized_pnl")],
)
def test_a_forced_close_moves_the_wallet_once(told: str, bucket: str) -> None:
    """Its loss stands under other income where a row tells it, else under realised profit, and never twice."""
    stage = Stage()
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1", price="4000.00")
    stage.main.force_close("ETH-USDT", "LONG", price="3700.00", told=told)
    books = stage.venue.books("main")
    assert {"realized_pnl": Decimal(0), "other_income": Decimal(0), bucket: Decimal(-300)} == {
        "realized_pnl": books["realized_pnl"],
        "other_income": books["other_income"],
    }
    assert 10_000 - 300 - books["fees"] == books["wallet_balance"]


def test_the_demo_flavour_has_no_row_that_could_tell_a_forced_close() -> None:
    """Without income the loss is realised profit, whatever the dialect says."""
    stage = Stage(spec=AccountSpec(name="main", margin_asset="VST"))
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1", price="4000.00")
    stage.main.force_close("ETH-USDT", "LONG", price="3700.00", told="both")
    assert Decimal(-300) == stage.venue.books("main")["realized_pnl"]


def test_sums_since_a_mark_start_at_zero_and_keep_the_wallet() -> None:
    """What happened before the mark is in its opening balance and in no sum."""
    stage = Stage()
    stage.main.deposit(5)
    mark = stage.venue.mark("main")
    stage.main.withdraw(2)
    books = stage.venue.books("main", mark)
    assert (Decimal(10_005), Decimal(-2), Decimal(10_003)) == (
        books["opening_balance"],
        books["transfers"],
        books["wallet_balance"],
    )


REFUSED: list[tuple[Callable[[Desk], object], str]] = [
    (lambda d: d.market_order("BTC-USDT", "SELL", "LONG", "0.01"), "close at most 0"),
    (lambda d: d.market_order("BTC-USDT", "BUY", "BOTH", "0.01"), "LONG or SHORT"),
    (lambda d: d.market_order("NOPE-USDT", "BUY", "LONG", 1), "is not listed"),
    (lambda d: d.market_order("BTC-USDT", "BUY", "LONG", "0.00001"), "multiples of 0.0001"),
    (lambda d: d.market_order("BTC-USDT", "BUY", "LONG", "0.01", price="1.05"), "multiples of 0.1"),
    (lambda d: d.market_order("BTC-USDT", "BUY", "LONG", "0.02", parts=[("0.01", "1.0")]), "add up to"),
    (lambda d: d.market_order("BTC-USDT", "BUY", "LONG", "0.02", parts=[("0.01", "1.0"), ("0.01", "0.05")]), "0.1"),
    (lambda d: d.fill(7), "is not open"),
    (lambda d: d.close("BTC-USDT", "LONG"), "is flat"),
    (lambda d: d.deposit("0.000000001"), "eight decimals"),
    (lambda d: d.silent_change(0), "other than zero"),
    (lambda d: d.other_income(1, reason="ORDER"), "has its own verb"),
    (lambda d: d.set_leverage("BTC-USDT", long=0), "leverage must lie"),
    (lambda d: d.set_margin_type("BTC-USDT", "both"), "margin type must be"),
]


@pytest.mark.parametrize(("act", "says"), REFUSED)
def test_an_impossible_act_is_refused_and_leaves_no_trace(act: Callable[[Desk], object], says: str) -> None:
    """The refusal says what to do; neither books nor frames know of it."""
    stage = Stage()
    with pytest.raises(VenueError, match=says):
        act(stage.main)
    assert ([], {}, 0) == (stage.said, stage.main.orders, stage.venue.books("main")["fills"])


def test_a_float_never_becomes_money() -> None:
    """A float is refused before it can leave its artefacts in the books."""
    with pytest.raises(TypeError, match="never as float"):
        Stage().main.deposit(0.1)  # type: ignore[arg-type] # that is the mistake


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), hedge=st.booleans(), tick=st.booleans())
def test_any_story_keeps_the_wallet_identity_in_books_frames_and_rows(seed: int, hedge: bool, tick: bool) -> None:
    """Wallet = opening + Σ n + Σ rp + Σ bc, by the frames; = opening + Σ income, by the rows; = the books."""
    dialect = Dialect(profit_entry=EntryBasis.TICK if tick else EntryBasis.EXACT)
    stage = Stage(spec=AccountSpec(name="main", hedge=hedge), dialect=dialect, seed=seed)
    trader = Trader(stage.main, seed=seed, forced=True)
    for _ in range(60):
        stage.clock.now_ms += 137
        trader.step()
    trader.settle(flatten=True)
    books = stage.venue.books("main")
    assert books["opening_balance"] + sum(row.amount for row in stage.main.incomes) == books["wallet_balance"]
    assert -books["fees"] == sum(-e.fee for e in stage.main.executions)
    moved = sum(Decimal(row["bc"]) for body in stage.accounts_said() for row in body["B"])
    traded = sum(e.realized_pnl - e.fee for e in stage.main.executions)
    assert books["opening_balance"] + moved + traded == books["wallet_balance"]
    assert [] == books["positions"]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 400), st.integers(50_000, 90_000), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_one_way_positions_are_what_a_fold_of_signed_lots_gives(fills: list[tuple[int, int, bool]]) -> None:
    """Against an independent fold: signed quantity, and an entry that only additions move."""
    stage = Stage(spec=ONE_WAY)
    qty, entry = Fraction(0), Fraction(0)
    for lots, ticks, buys in fills:
        price, signed = Fraction(ticks, 100), Fraction(lots, 10) * (1 if buys else -1)
        stage.main.market_order(
            "LTC-USDT", "BUY" if buys else "SELL", "BOTH", Decimal(lots) / 10, price=Decimal(ticks) / 100
        )
        if qty * signed >= 0:
            entry = (qty * entry + signed * price) / (qty + signed)
        elif abs(signed) > abs(qty):
            entry = price
        qty += signed
    held = {p["side"]: (Fraction(p["qty"]), p["entry_price"]) for p in stage.venue.books("main")["positions"]}
    expected = Decimal(round(entry * 10**18)).scaleb(-18)
    assert ({("LONG" if qty > 0 else "SHORT"): (abs(qty), expected)} if qty else {}) == held
