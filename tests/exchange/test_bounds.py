"""What happens at the bounds, and in the corners that stories seldom reach."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import orjson
import pytest

from ditad.exchange import (
    AccountSpec,
    CutKind,
    Dialect,
    Frame,
    Request,
    StreamRefused,
    Venue,
    VenueError,
    numbered_contracts,
)
from ditad.exchange import books as books_module
from ditad.exchange import executing as executing_module
from ditad.exchange import keys as keys_module
from ditad.exchange import streams as streams_module
from ditad.exchange.amounts import decimal_of, plain, round_to_tick
from ditad.exchange.books import Books, PositionSide, Side
from ditad.exchange.dialect import Empty, EntryBasis, MarginBasis, Numbers, OneWayRest, RowOrder
from ditad.exchange.topics import Topics
from tests.exchange.stage import CoreStage, Stage

Refused = tuple[Callable[[], object], type[Exception], str]

IMPOSSIBLE: list[Refused] = [
    (lambda: decimal_of("NaN"), ValueError, "not a finite number"),
    (lambda: numbered_contracts(501), ValueError, "between 0 and 500"),
    (lambda: Dialect(row_delay_s_max=601), ValueError, "between 0 and 600"),
    (lambda: Dialect(canceled_spelling="GONE"), ValueError, "CANCELED or CANCELLED"),
    (lambda: Dialect(timestamp_code=1), ValueError, "100421 or 109400"),
    (lambda: AccountSpec(name="main", margin_type="both"), ValueError, "margin_type must be"),
    (lambda: Stage().venue.account("nobody"), VenueError, "there are main"),
    (lambda: Stage().venue.open_account(AccountSpec(name="main")), VenueError, "exists already"),
    (lambda: Stage().main.flip("BTC-USDT"), VenueError, "BOTH does not exist here"),
]


@pytest.mark.parametrize(("act", "kind", "says"), IMPOSSIBLE)
def test_what_is_impossible_says_what_is_possible(act: Callable[[], object], kind: type[Exception], says: str) -> None:
    """Each refusal names the bound or the choice."""
    with pytest.raises(kind, match=says):
        act()


def test_a_resting_order_is_neither_overfilled_nor_amended_below_its_fill() -> None:
    """Both would break the axis of its cumulative quantity."""
    main = Stage().main
    order_id = main.limit_order("BTC-USDT", "BUY", "LONG", "0.02", "100000.0")
    main.fill(order_id, "0.01")
    with pytest.raises(VenueError, match="fill at most"):
        main.fill(order_id, "0.0101")
    with pytest.raises(VenueError, match="amend to more, or cancel"):
        main.amend(order_id, "0.01")


def test_a_resting_close_is_refused_when_nothing_is_left_to_close() -> None:
    """The books themselves hold that nothing closes beyond what is open."""
    main = Stage().main
    main.market_order("BTC-USDT", "BUY", "LONG", "0.02")
    order_id = main.limit_order("BTC-USDT", "SELL", "LONG", "0.02", "200000.0")
    main.close("BTC-USDT", "LONG")
    with pytest.raises(VenueError, match="close at most 0"):
        main.fill(order_id)


def test_a_margin_type_changes_on_a_flat_symbol_only() -> None:
    """As on the real exchange."""
    main = Stage().main
    main.market_order("BTC-USDT", "BUY", "LONG", "0.02")
    with pytest.raises(VenueError, match="close BTC-USDT before"):
        main.set_margin_type("BTC-USDT", "isolated")
    main.set_margin_type("ETH-USDT", "isolated")
    assert "isolated" == main.config_frame("ETH-USDT")["ac"]["mt"]  # type: ignore[index] # a payload


def test_a_direct_forced_close_that_nobody_wanted_keeps_its_reason() -> None:
    """INSURANCE_CLEAR by a push of its own is other income under that name."""
    stage = Stage()
    stage.main.other_income("-2", reason="INSURANCE_CLEAR")
    assert (Decimal(-2), "INSURANCE_CLEAR") == (stage.venue.books("main")["other_income"], stage.main.incomes[0].kind)


def test_an_endless_average_is_cut_beyond_every_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bound at a few bits the entry is still right to eighteen decimals."""
    monkeypatch.setattr(books_module, "ENTRY_DENOMINATOR_BITS_MAX", 8)
    books = Books(opening=Decimal(0), hedge=True)
    lots = [(Decimal(n), Decimal(n * n % 41 + 1)) for n in range(1, 38)]
    for qty, price in lots:
        books.execute(
            symbol="X",
            side=Side.BUY,
            position_side=PositionSide.LONG,
            qty=qty,
            price=price,
            fee=Decimal(0),
            profit_tick=None,
            now_ms=0,
        )
    (position,) = books.positions.values()
    exact = sum((Fraction(q) * Fraction(p) for q, p in lots), Fraction(0)) / Fraction(position.qty)
    assert Decimal(round(exact * 10**18)).scaleb(-18) == position.entry_price
    assert 0 < abs(exact - position.entry) < Fraction(1, 10**50)


def test_old_orders_are_forgotten_before_open_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound the oldest finished order goes; with none finished the next is refused."""
    monkeypatch.setattr(executing_module, "ORDERS_MAX", 2)
    main = Stage().main
    done = main.market_order("BTC-USDT", "BUY", "LONG", "0.01")
    resting = [main.limit_order("BTC-USDT", "BUY", "LONG", "0.01", "1.0") for _ in range(2)]
    assert (resting, False) == (list(main.orders), done in main.orders)
    with pytest.raises(VenueError, match="cancel some of the 2"):
        main.limit_order("BTC-USDT", "BUY", "LONG", "0.01", "1.0")


def test_keys_and_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest key is forgotten; a stream too many is refused."""
    monkeypatch.setattr(keys_module, "KEYS_MAX", 2)
    monkeypatch.setattr(streams_module, "STREAMS_MAX", 1)
    stage = CoreStage()
    keys = [stage.listen_key() for _ in range(3)]
    statuses = [stage.ask("/user/auth/userDataStream", method="PUT", listenKey=key).status for key in keys]
    assert [404, 200, 200] == statuses
    stage.core.connect(None)
    with pytest.raises(StreamRefused, match="more than 1"):
        stage.core.connect(None)


def test_a_stream_on_which_too_much_waits_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing piles up without end."""
    monkeypatch.setattr(streams_module, "WAITING_MAX", 5)
    stage = CoreStage()
    number = stage.core.connect(stage.listen_key())
    for _ in range(10):
        stage.main.deposit(1)
    last = stage.sent(number)[-1]
    assert (number, 1006) == (last.stream, last.code)
    assert stage.core.next_due_ms() is None


def test_acting_on_streams_by_hand_strikes_the_right_ones() -> None:
    """Expiry, cuts and injections reach the account's streams; texts of the gone and the frozen reach nobody."""
    stage = CoreStage()
    private, market = stage.core.connect(stage.listen_key()), stage.core.connect(None)
    stage.poll()
    stage.core.streams.expire_key("main", notice=False)
    stage.core.streams.expire_key("main", notice=True)  # dead already: nothing more to tell
    stage.core.streams.inject("main", {"e": "SYNTHETIC"})
    assert [{"e": "SYNTHETIC"}] == stage.sent(private)
    assert (1, 1) == (stage.core.streams.count("main"), stage.core.streams.cut(None, CutKind.HALF_OPEN))
    stage.poll()
    stage.core.streams.receive(market, "{}")
    stage.core.streams.receive(999, "{}")
    assert {} == stage.poll()


@pytest.mark.parametrize("text", ["{", "[]", "x" * 5000, '{"reqType":"shout"}'])
def test_a_market_question_that_is_none_is_80014(text: str) -> None:
    """Not JSON, not an object, too long, no known verb."""
    assert 80014 == Topics({"BTC-USDT"}).receive(text, 0)["code"]


def test_rest_corners_of_symbols_orders_and_shuffled_rows() -> None:
    """An unlisted symbol, an order by its client's id, a flipped order of rows that is still complete."""
    stage = CoreStage(dialect=Dialect(row_order=RowOrder.RANDOM, numbers=Numbers.MIXED))
    parts = [("0.0001", "76445.4")] * 30
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.003", parts=parts, client_id="Mine")
    assert 109425 == stage.code("/swap/v2/trade/leverage", symbol="NOPE-USDT")
    assert 109400 == stage.code("/swap/v2/trade/leverage")
    now = stage.core.now_ms()
    window = {"startTs": 0, "endTs": now + 1000, "tradingUnit": "COIN"}
    rows = stage.data("/swap/v2/trade/fillHistory", symbol="BTC-USDT", pageSize=1000, **window)["fill_history_orders"]
    ids = [int(row["tradeId"]) for row in rows]
    assert sorted(e.trade_id for e in stage.main.executions) == sorted(ids)
    assert ids not in (sorted(ids), sorted(ids, reverse=True))
    assert 30 == len(stage.data("/swap/v2/trade/allFillOrders", **window)["fill_orders"])
    found = stage.data("/swap/v2/trade/order", symbol="BTC-USDT", clientOrderId="mine")["order"]
    assert next(iter(stage.main.orders)) == found["orderId"]
    assert 109421 == stage.code("/swap/v2/trade/order", symbol="BTC-USDT", orderId=7)


@pytest.mark.parametrize(("empty", "expected"), [(Empty.OBJECT, {}), (Empty.NULL, None)])
def test_empty_lists_under_a_name_follow_the_dialect_too(empty: Empty, expected: object) -> None:
    """`data` itself is {} or null."""
    assert expected == CoreStage(dialect=Dialect(empty=empty)).data("/swap/v2/trade/openOrders")


def test_income_without_bounds_reaches_seven_days_back() -> None:
    """Neither bound: the last week."""
    stage = CoreStage()
    stage.main.deposit(1)
    stage.clock.now_ms += 8 * 86_400_000
    stage.main.deposit(2)
    assert ["2.00000000"] == [row["income"] for row in stage.data("/swap/v2/user/income")]


def test_a_one_way_position_can_be_called_both_by_rest() -> None:
    """The other reading: BOTH with a signed amount."""
    spec = AccountSpec(name="main", hedge=False)
    stage = CoreStage(spec=spec, dialect=Dialect(one_way_rest=OneWayRest.BOTH))
    stage.main.market_order("ETH-USDT", "SELL", "BOTH", "2", price="4000.00")
    (row,) = stage.data("/swap/v2/user/positions")
    assert ("BOTH", "-2.00") == (row["positionSide"], row["positionAmt"])


@pytest.mark.parametrize(("basis", "used"), [(MarginBasis.ENTRY, "400.00000000"), (MarginBasis.MARK, "500.00000000")])
def test_margin_in_use_stands_on_the_basis_of_the_dialect(basis: MarginBasis, used: str) -> None:
    """One ETH bought at 4000 and marked at 5000, at ten times."""
    stage = CoreStage(dialect=Dialect(margin_basis=basis, entry_shown=EntryBasis.EXACT))
    stage.main.market_order("ETH-USDT", "BUY", "LONG", "1", price="4000.00")
    stage.core.venue.market.set_price("ETH-USDT", Decimal(5000))
    assert used == stage.data("/swap/v2/user/balance")["balance"]["usedMargin"]
    assert "4000.00" == stage.data("/swap/v2/user/positions")[0]["avgPrice"]


def test_a_dialect_is_written_by_its_names() -> None:
    """As `ditad exchange` prints it."""
    written = Dialect(empty=Empty.NULL).as_dict()
    assert ("null", False, 0) == (written["empty"], written["last_fields"], written["row_delay_s_max"])


def test_what_ccxt_asks_for_at_its_start_is_answered() -> None:
    """Coins without networks, no spot pairs, no coin-margined contracts."""
    stage = CoreStage()
    assert {"BTC", "USDT"} <= {coin["coin"] for coin in stage.data("/wallets/v1/capital/config/getall")}
    assert {"symbols": []} == stage.data("/spot/v1/common/symbols")
    assert [] == stage.data("/cswap/v1/market/contracts")


def test_a_listen_key_is_not_read() -> None:
    """GET on its path does not exist."""
    stage = CoreStage()
    headers = {"x-bx-apikey": stage.main.spec.api_key}
    request = Request(method="GET", path="/openApi/user/auth/userDataStream", headers=headers)
    assert 100400 == orjson.loads(stage.core.rest(request).body)["code"]


def test_numbers_print_plainly() -> None:
    """No exponent, no trailing zeros, no negative zero; ticks round halves to even."""
    assert ["0.0001", "100", "0"] == [plain(Decimal(text)) for text in ("1e-4", "100.0", "-0.0")]
    assert Decimal("0.4") == round_to_tick(Decimal("0.5"), Decimal("0.2"))


def test_a_frame_names_its_event_and_contracts_are_numbered_on_wish() -> None:
    """Thirty more symbols trade like the first eight."""
    heard: list[Frame] = []
    venue = Venue(seed=1, clock=lambda: 1_760_000_000_000, on_frame=heard.append, contracts=numbered_contracts(30))
    for symbol, contract in venue.market.contracts.items():
        venue.account("main").market_order(symbol, "BUY", "LONG", contract.lot)
    assert 30 == venue.books("main")["fills"]
    assert {"ACCOUNT_UPDATE", "TRADE_UPDATE", "ORDER_TRADE_UPDATE"} == {frame.event for frame in heard}
