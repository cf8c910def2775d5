"""An order's evidence and the pieces it amounts to. All payloads are synthetic unless they cite bingx.md §4."""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditad.axis import Derivation, derive, rows_exceed
from ditad.events import FillRow, OrderPush, OrderStatus, PositionSide, Side
from ditad.laying import CUMULATIVE, PER_FILL
from ditad.orders import Order, Part, Piece, Unkept, hear_push, hear_rows, order_from

FILLED, PARTIAL = OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED
RATES = (Decimal("0.0005"), Decimal("0.0002"))
TICK = Decimal("0.1")
SECOND = 1_700_000_000_000


def num(text: str | None) -> Decimal | None:
    """Read a figure; `None` is never stated."""
    return None if text is None else Decimal(text)


def frame(
    z: str | None,
    ap: str | None = None,
    *,
    n: str | None = None,
    rp: str | None = "0",
    q: str | None = "9",
    status: OrderStatus = PARTIAL,
    last: tuple[str | None, str | None] = (None, None),
    name: str = "ORDER_TRADE_UPDATE",
    at: int = 0,
    traded: int | None = None,
    td: str | None = None,
    kind: str = "MARKET",
    asset: str | None = "USDT",
) -> OrderPush:
    """Make a synthetic order frame; `n` is the fee paid (positive), as the normaliser gives it."""
    return OrderPush(
        name=name,
        order_id="7",
        symbol="BTC-USDT",
        side=Side.SELL,
        position_side=PositionSide.SHORT,
        order_type=kind,
        status=status,
        quantity=num(q),
        filled=num(z),
        average_price=num(ap),
        last_quantity=num(last[0]),
        last_price=num(last[1]),
        fee=num(n),
        fee_asset=asset,
        realized_pnl=num(rp),
        trade_id=td,
        event_ms=SECOND + at,
        trade_ms=traded,
        client_order_id=None,
    )


def row(
    qty: str,
    price: str,
    *,
    fee: str | None = "0.01",
    rp: str | None = "0",
    at: int = 0,
    td: str | None = None,
    whole: bool = True,
) -> FillRow:
    """Make a synthetic row of a fill history."""
    return FillRow(
        order_id="7",
        trade_id=td,
        symbol="BTC-USDT",
        side=Side.SELL,
        position_side=PositionSide.SHORT,
        quantity=Decimal(qty),
        price=Decimal(price),
        fee=num(fee),
        fee_asset="USDT",
        realized_pnl=num(rp),
        at_ms=SECOND + at,
        whole_second=whole,
    )


def heard(*evidence: OrderPush | FillRow | Decimal, opening: str = "0", opening_price: str | None = None) -> Order:
    """Hear frames, rows (each a report of its own) and executed quantities, in this order."""
    order = order_from(frame(None))
    order.opening, order.opening_price = Decimal(opening), num(opening_price)
    for item in evidence:
        if isinstance(item, OrderPush):
            hear_push(order, item)
        elif isinstance(item, FillRow):
            hear_rows(order, [item])
        else:
            order.executed = item
    return order


def told(
    order: Order, *, amounts: str | None = None, tick: Decimal | None = TICK, rates: tuple[Decimal, ...] = RATES
) -> Derivation:
    """Derive with the usual terms."""
    return derive(order, amounts=amounts, rates=rates, tick=tick)


def spans(derivation: Derivation) -> list[tuple[str, str]]:
    """Give the boundaries of pieces."""
    return [(str(piece.z0), str(piece.z1)) for piece in derivation.pieces]


# ---- captured frames --------------------------------------------------------------------------------------------------


def test_a_captured_fill_is_booked_at_its_average_price_and_never_at_its_bound() -> None:
    """The captured fill of 2025 (bingx.md §4) costs exactly its own price, one tick being proven by its commission."""
    push = frame("0.00100000", "112848.10000000", n="0.05642405", status=FILLED, q="0.00100000")
    (piece,) = told(heard(push)).pieces
    assert (Decimal("112.8481"), Decimal(0), Decimal("0.05642405"), True) == (
        piece.quote,
        piece.quote_slack,
        piece.fee,
        piece.single,
    )


def test_a_filled_frame_without_z_proves_its_whole_quantity() -> None:
    """Early captured frames (bingx.md §4, first pair) lack `z`: on FILLED it is `q`."""
    push = frame(None, "28396.50000000", n="0.00425947", q="0.00030000", status=FILLED)
    assert [("0", "0.0003")] == spans(told(heard(push)))


# ---- any order of arrival ---------------------------------------------------------------------------------------------


@st.composite
def executions(draw: st.DrawFn) -> list[tuple[Decimal, Decimal, Decimal]]:
    """Give an order's true executions: quantity in lots, price in ticks, fee cut to eight decimals."""
    found = draw(st.lists(st.tuples(st.integers(1, 40), st.integers(900, 1100)), min_size=1, max_size=5))
    return [
        (
            Decimal(lots) / 1000,
            Decimal(ticks) / 10,
            (Decimal(lots) * ticks / 10_000 * RATES[0]).quantize(Decimal("1E-8"), rounding="ROUND_DOWN"),
        )
        for lots, ticks in found
    ]


def evidence_of(
    parts: list[tuple[Decimal, Decimal, Decimal]], *, cumulative: bool, exact: bool
) -> list[OrderPush | FillRow]:
    """Tell every execution under both event names and as a row."""
    found: list[OrderPush | FillRow] = []
    z = quote = fees = Decimal(0)
    for index, (quantity, price, fee) in enumerate(parts):
        z, quote, fees = z + quantity, quote + quantity * price, fees + fee
        found.extend(
            frame(
                str(z),
                str((quote / z).quantize(Decimal("1E-8"))),
                n=str(fees if cumulative else fee),
                name=name,
                status=FILLED if index == len(parts) - 1 else PARTIAL,
                q=str(sum(part[0] for part in parts)),
                last=(str(quantity), str(price)) if exact else (None, None),
                at=index * 50 + (7 if name == "TRADE_UPDATE" else 9),
                traded=SECOND + index * 50 if name == "TRADE_UPDATE" else None,
            )
            for name in ("TRADE_UPDATE", "ORDER_TRADE_UPDATE")
        )
        found.append(row(str(quantity), str(price), fee=str(fee.quantize(Decimal("1E-6"))), at=0, td=str(index)))
    return found


@settings(max_examples=120, deadline=None)
@given(st.data(), executions(), st.booleans(), st.booleans())
def test_arrival_order_and_repetition_do_not_matter(
    data: st.DataObject, parts: list[tuple[Decimal, Decimal, Decimal]], cumulative: bool, exact: bool
) -> None:
    """Any order, repetition and mixture of frames and rows of the same executions gives the same pieces."""
    evidence = evidence_of(parts, cumulative=cumulative, exact=exact)
    amounts = CUMULATIVE if cumulative else PER_FILL
    shuffled = data.draw(st.permutations(evidence))
    again = data.draw(st.lists(st.sampled_from(evidence), max_size=6))
    assert told(heard(*evidence), amounts=amounts) == told(heard(*again, *shuffled), amounts=amounts)


@settings(max_examples=120, deadline=None)
@given(st.data(), executions(), st.booleans())
def test_nothing_is_covered_twice_whatever_was_heard(
    data: st.DataObject, parts: list[tuple[Decimal, Decimal, Decimal]], exact: bool
) -> None:
    """Whatever part of the evidence is heard, pieces are disjoint and end at the largest known `z`."""
    frames = [item for item in evidence_of(parts, cumulative=False, exact=exact) if isinstance(item, OrderPush)]
    some = data.draw(st.lists(st.sampled_from(frames), min_size=1))
    pieces = told(heard(*some), amounts=PER_FILL).pieces
    joined = [Decimal(0), *itertools.chain.from_iterable((piece.z0, piece.z1) for piece in pieces)]
    assert (sorted(joined), max(push.filled or Decimal(0) for push in some)) == (
        joined,
        sum(p.quantity for p in pieces),
    )


@settings(max_examples=80, deadline=None)
@given(st.data(), executions())
def test_money_of_told_executions_is_exact(data: st.DataObject, parts: list[tuple[Decimal, Decimal, Decimal]]) -> None:
    """Once every `l`·`L` was heard, quote and fee are the true ones to the last digit, in any order of arrival."""
    frames = [item for item in evidence_of(parts, cumulative=False, exact=True) if isinstance(item, OrderPush)]
    pieces = told(heard(*data.draw(st.permutations(frames))), amounts=PER_FILL).pieces
    assert [(quantity * price, fee) for quantity, price, fee in parts] == [(piece.quote, piece.fee) for piece in pieces]


def test_a_late_z_splits_a_piece() -> None:
    """A `z` inside what is covered divides it; the sum stays."""
    order = heard(frame("3", "101.00000000", n="0.1"))
    before = spans(told(order))
    hear_push(order, frame("1", "100.00000000", n="0.05"))
    assert ([("0", "3")], [("0", "1"), ("1", "3")]) == (before, spans(told(order)))


def test_a_late_z_without_a_price_splits_nothing() -> None:
    """A boundary that nobody priced must not take away what was covered."""
    order = heard(frame("3", "101.00000000", n="0.1"), frame("1"))
    assert [("0", "3")] == spans(told(order))


def test_a_repeated_frame_adds_nothing() -> None:
    """The same frame under the same name is no news."""
    order = heard(frame("1", "100.00000000", n="0.05"))
    assert (False, "") == hear_push(order, frame("1", "100.00000000", n="0.05"))


def test_a_second_frame_fills_what_was_unknown() -> None:
    """A known boundary still takes fields that nobody had told."""
    order = heard(frame("1", "100.00000000", rp=None))
    assert (True, "") == hear_push(order, frame("1", n="0.05", rp="2", td="5", last=("1", "100")))


def test_the_finer_of_two_agreeing_average_prices_is_taken() -> None:
    """It does not matter whether the frame with fewer digits came first."""
    coarse, fine = frame("1", "100.3"), frame("1", "100.34000000")
    results = [told(heard(*both)).pieces[0].quote for both in ((coarse, fine), (fine, coarse))]
    assert [Decimal("100.34")] * 2 == results


def test_the_trade_time_of_either_frame_is_the_pieces() -> None:
    """A `T` of 0 gives way to the other frame's, whichever came first."""
    late, true = frame("1", "100.0", n="0.05", at=40), frame("1", "100.0", n="0.05", at=60, traded=SECOND + 30)
    assert [SECOND + 30] * 2 == [told(heard(*both)).pieces[0].at_ms for both in ((late, true), (true, late))]


def test_a_piece_is_never_later_than_the_next_one() -> None:
    """An event time that lies behind the following trade time is put back to it: `z` orders an order."""
    order = heard(
        frame("1", "100.0", last=("1", "100"), at=90), frame("2", "100.0", last=("1", "100"), traded=SECOND + 50)
    )
    assert [SECOND + 50, SECOND + 50] == [piece.at_ms for piece in told(order).pieces]


def test_contradicting_frames_keep_what_was_heard_first() -> None:
    """A different fee for the same `z` is named and not taken."""
    order = heard(frame("1", "100.00000000", n="0.05"))
    new, contradiction = hear_push(order, frame("1", "100.00000000", n="0.06"))
    assert (False, "fee 0.06 at z=1, was 0.05", Decimal("0.05")) == (new, contradiction, told(order).pieces[0].fee)


def test_average_prices_that_differ_beyond_rounding_contradict() -> None:
    """Half a unit of each last digit is rounding; more is not."""
    order = heard(frame("1", "100.0"))
    _, contradiction = hear_push(order, frame("1", "100.2"))
    assert ("average price 100.2 at z=1, was 100.0", Decimal("100.0")) == (contradiction, told(order).pieces[0].quote)


# ---- what frames do not tell ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [OrderStatus.CANCELED, OrderStatus.EXPIRED], ids=["canceled", "expired"])
def test_an_ended_orders_frame_tells_no_fills_money(status: OrderStatus) -> None:
    """Its `z` and average price count, its `n`, `rp`, `l` and `L` do not."""
    (piece,) = told(heard(frame("1", "100.0", n="0.05", last=("1", "90"), status=status, td="5"))).pieces
    assert (Decimal("100.0"), None, None, ()) == (piece.quote, piece.fee, piece.realized_pnl, piece.trade_ids)


def test_an_unknown_status_speaks_of_an_execution() -> None:
    """`Unknown` was seen on a filled order: its money counts."""
    (piece,) = told(heard(frame("1", "100.0", n="0.05", status=OrderStatus.UNKNOWN))).pieces
    assert Decimal("0.05") == piece.fee


def test_an_ended_order_stays_ended() -> None:
    """A late PARTIALLY_FILLED frame does not revive an order."""
    order = heard(frame("1", "100.0", status=OrderStatus.CANCELED), frame("1", "100.0"))
    assert (OrderStatus.CANCELED, True) == (order.status, order.ended)


@pytest.mark.parametrize("z", [None, "0"], ids=["absent", "zero"])
def test_a_new_order_has_executed_nothing(z: str | None) -> None:
    """NEW without `z` means 0, and 0 covers nothing."""
    assert ((), "") == (
        told(heard(frame(z, status=OrderStatus.NEW))).pieces,
        told(heard(frame(z, status=OrderStatus.NEW))).incomplete,
    )


def test_an_amended_quantity_moves_no_boundary() -> None:
    """An amendment changes `q`, never `z`."""
    assert [("0", "1")] == spans(
        told(heard(frame("1", "100.0", n="0.05", q="9"), frame("1", "100.0", n="0.05", q="4")))
    )


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "reversed"])
def test_frames_without_z_add_up_their_last_quantities(turned: bool) -> None:
    """Without `z`, Σ `l` in the order of the frames' times gives the boundaries, in any order of arrival."""
    frames = [
        frame(None, "100.0", n="0.05", last=("1", "100"), at=1),
        frame(None, "101.0", n="0.1", last=("2", "101.5"), at=2),
        frame(None, "100.0", n="0.05", last=("1", "100"), at=1, name="TRADE_UPDATE"),
    ]
    pieces = told(heard(*(reversed(frames) if turned else frames)), amounts=PER_FILL).pieces
    assert [("1", Decimal(100)), ("3", Decimal(203))] == [(str(piece.z1), piece.quote) for piece in pieces]


def test_last_quantities_without_prices_are_priced_by_the_averages() -> None:
    """Σ `l` gives the boundaries, the average prices what lies between them."""
    frames = [frame(None, "100.0", last=("1", None), at=1), frame(None, "101.0", last=("2", None), at=2)]
    assert [Decimal(100), Decimal(203)] == [piece.quote for piece in told(heard(*frames), tick=None).pieces]


def test_a_frames_trade_id_is_the_pieces() -> None:
    """Where no row tells it."""
    assert ("5",) == told(heard(frame("1", "100.0", td="5"))).pieces[0].trade_ids


def test_a_summed_boundary_gives_way_to_rows() -> None:
    """A missed frame makes Σ `l` too small; complete rows then say where the executions lie, without a divergence."""
    summed = frame(None, "100.0", n="0.05", last=("2", "100"), at=2_000)
    derivation = told(heard(summed, Decimal(3), row("1", "99", at=1_000), row("2", "100", at=2_000)))
    assert ([("0", "1"), ("1", "3")], ()) == (spans(derivation), derivation.problems)


@pytest.mark.parametrize(
    ("last", "n", "amounts", "placed"),
    [
        ("2", "0.2", None, True),
        ("2", "0.1", PER_FILL, True),
        ("2", "0.2", PER_FILL, False),
        ("2", "0.1", CUMULATIVE, False),
        ("2", "0.3", None, False),
        ("2", "0", PER_FILL, False),
        ("2", None, PER_FILL, True),
        ("1", "0.1", PER_FILL, False),
    ],
    ids=[
        "the fee so far",
        "its own fee",
        "not its own fee",
        "not the fee so far",
        "no fee there",
        "a fee of nothing",
        "no fee told",
        "another quantity",
    ],
)
def test_a_summed_frame_that_rows_refute_tells_another_execution(
    last: str, n: str | None, amounts: str | None, placed: bool
) -> None:
    """The frames before it were missed, so that its `l` was added up to less than its `z`: what rows tell there stays."""
    rows = [row("2", "100", fee="0.1", at=1_000), row("2", "100", fee="0.1", at=2_000)]
    first = frame(None, "100.0", n="0.1", last=("2", "100"), at=1_000)
    order = heard(Decimal(4), *rows, first, frame(None, "100.0", n=n, last=(last, "100"), at=2_000))
    if last == "1":
        order.rows[1:] = [row("1", "100", fee="0.05", at=2_000), row("1", "101", fee="0.05", at=3_000)]
        order.readings[1:] = [replace(order.readings[1], z=Decimal(4))]
    derivation = told(order, amounts=amounts)
    assert (Decimal("0.2"), ()) == (sum(piece.fee or 0 for piece in derivation.pieces), derivation.problems)
    assert placed == ("ORDER_TRADE_UPDATE" in derivation.pieces[-1].sources)


def test_what_rows_alone_tell_comes_before_the_frames_that_follow_it() -> None:
    """Of three executions the first one's frame was missed: the next begins behind its row, and the third behind both."""
    rows = [
        row("1", "100", fee="0.05", at=1_000),
        row("2", "100", fee="0.1", at=2_000),
        row("1", "100", fee="0.05", rp="-0.5", at=3_000),
    ]
    frames = [
        frame(None, "100.0", n="0.1", last=("2", "100"), at=2_000),
        frame(None, "100.0", n="0.05", rp="-0.5", last=("1", "100"), at=3_000),
    ]
    derivation = told(heard(Decimal(4), *rows, *frames), amounts=PER_FILL)
    assert ([("0", "1"), ("1", "3"), ("3", "4")], "", ()) == (
        spans(derivation),
        derivation.incomplete,
        derivation.problems,
    )


@pytest.mark.parametrize(
    ("td", "row_id", "at"), [("7", "5", 60_000), (None, "5", 60_000), ("7", "7", 1_000), ("7", None, 60_000)]
)
def test_a_frame_is_no_execution_that_a_row_tells_of_long_before(td: str | None, row_id: str | None, at: int) -> None:
    """Its equal in quantity and price, a minute ago, was another one; but the one that bears its trade id is itself."""
    earlier = row("1", "100", fee="0.05", rp="0", at=1_000, td=row_id)
    order = heard(earlier, frame(None, "100.0", n="0.05", rp="-0.5", last=("1", "100"), at=at, td=td))
    ends = [reading.z for reading in order.readings]
    assert [Decimal(1) if at == 1_000 else Decimal(2)] == ends


@pytest.mark.parametrize("by", ["opening", "unkept", "untold"])
def test_a_summed_frame_is_not_refuted_by_fees_that_rows_do_not_tell(by: str) -> None:
    """What was paid before the rows begin, or in a row without its fee, may make up the difference."""
    if by == "opening":
        order = heard(Decimal(4), opening="2")
        hear_rows(order, [row("2", "100", fee="0.1", at=1_000), row("2", "100", fee="0.1", at=2_000)])
    elif by == "unkept":
        order = unkept(heard(Decimal(4), row("2", "100", fee="0.1", at=2_000)), "2", "200")
        order.opening = Decimal(2)
    else:
        order = heard(Decimal(4), row("2", "100", fee=None, at=1_000), row("2", "100", fee="0.1", at=2_000))
        order.summed = []
        hear_push(order, frame(None, "100.0", n="0.2", last=("2", "100"), at=1_000))
    hear_push(order, frame(None, "100.0", n="0.3", last=("2", "100"), at=2_000))
    assert "ORDER_TRADE_UPDATE" in told(order, amounts=CUMULATIVE).pieces[-1].sources


@pytest.mark.parametrize(("covered_ms", "known"), [(6_000, "2"), (5_000, "3")], ids=["before it", "after it"])
def test_what_a_late_frame_tells_of_before_the_baseline_is_not_added_to_its_opening(
    covered_ms: int, known: str
) -> None:
    """It has no `z`, so nobody can say whether the opening holds it: the exchange is asked what was executed in all."""
    order = heard(opening="2")
    late = frame(None, "100.0", n="0.05", last=("1", "100"), at=5_000)
    assert True is hear_push(order, late, covered_ms=SECOND + covered_ms)[0]
    assert (Decimal(known), known == "2") == (order.known, order.unplaced is not None)
    order.executed = Decimal(known)
    assert "" == told(order, amounts=PER_FILL).incomplete


@pytest.mark.parametrize("status", [PARTIAL, OrderStatus.CANCELED], ids=["partial", "canceled"])
def test_a_frame_without_z_and_l_leaves_the_order_open(status: OrderStatus) -> None:
    """Nobody knows what it executed: the order is incomplete until the exchange says what was executed in all."""
    order = heard(frame("1", "100.0", n="0.05"), frame(None, "100.0", status=status))
    before = told(order).incomplete
    order.executed = Decimal(1)
    assert ("a frame without its cumulative quantity", "") == (before, told(order).incomplete)


def test_what_was_executed_before_such_a_frame_does_not_answer_for_it() -> None:
    """An earlier order report knows nothing of a later frame, but stays known."""
    order = heard(Decimal(2), frame(None))
    assert (Decimal(2), None, "(0, 2] not told; a frame without its cumulative quantity") == (
        order.known,
        order.executed,
        told(order).incomplete,
    )


@pytest.mark.parametrize("turned", [False, True], ids=["before", "after"])
def test_a_whole_order_leaves_nothing_to_place(turned: bool) -> None:
    """FILLED tells all of an order, so a frame without `z` can add nothing, before or after it."""
    frames = [frame(None), frame("2", "100.0", n="0.1", status=FILLED, last=("2", "100"))]
    assert "" == told(heard(*(reversed(frames) if turned else frames))).incomplete


def test_a_cancelled_frames_last_quantity_is_not_added() -> None:
    """It restates the last execution; adding it up would invent a fill."""
    order = heard(frame("1", "100.0"), frame(None, last=("1", "100"), status=OrderStatus.CANCELED))
    assert (Decimal(1), True) == (order.known, "a frame without its cumulative quantity" in told(order).incomplete)


def test_a_later_frame_names_the_kind_of_an_order_known_by_rows() -> None:
    """Rows do not say what type an order is."""
    order = order_from(row("1", "100"))
    hear_push(order, frame("1", "100.0", kind="LIMIT"))
    assert ("LIMIT", PARTIAL) == (order.order_type, order.status)


# ---- one execution or several -----------------------------------------------------------------------------------------


def test_a_jump_without_last_figures_is_several_unless_proven() -> None:
    """An average between ticks may be several executions, so the fee per fill is only a part: unknown, not 0."""
    derivation = told(heard(frame("3", "100.05000000", n="0.1")), amounts=PER_FILL)
    (piece,) = derivation.pieces
    assert (None, None, False, "fee or profit of (0, 3] not told") == (
        piece.fee,
        piece.realized_pnl,
        piece.single,
        derivation.incomplete,
    )


def test_one_tick_and_a_known_rate_prove_one_execution() -> None:
    """The price then is the tick exactly, and nothing is left open."""
    (piece,) = told(heard(frame("3", "100.10000000", n="0.15015000"))).pieces
    assert (True, Decimal("300.3"), Decimal(0)) == (piece.single, piece.quote, piece.quote_slack)


def test_a_small_fee_is_that_of_any_tick_that_it_fits() -> None:
    """0.01 at 188.468 costs 0.000376936 at 0.0002, cut by what three ticks cost: the average says which tick it was."""
    rates, push = (Decimal("0.0002"), Decimal("0.0005")), frame("0.01", "188.46800000", n="0.00037693")
    (piece,) = told(heard(push), rates=rates, tick=Decimal("0.001"), amounts=PER_FILL).pieces
    assert (True, Decimal("1.88468"), Decimal("0.00037693")) == (piece.single, piece.quote, piece.fee)


def test_rows_whose_order_nobody_knows_take_nothing_from_frames_that_tell_all() -> None:
    """A maker and a taker fill of one second, size and price: the frames' boundaries, times and exact fees stay."""
    order = heard(
        frame("1", "100.00000000", n="0.05", status=OrderStatus.PARTIALLY_FILLED),
        frame("2", "100.00000000", n="0.02", at=400),
    )
    hear_rows(order, [row("1", "100", fee="0.02"), row("1", "100", fee="0.05")])
    pieces = told(order, amounts=PER_FILL).pieces
    assert [Decimal("0.05"), Decimal("0.02")] == [piece.fee for piece in pieces]


def test_what_one_frame_told_together_is_as_late_as_that_frame() -> None:
    """Rows are stamped with a whole second only; the frame that told of them too says when in it they were known."""
    order = heard(frame("3", "100.00000000", n="0.05", last=("1", "100"), at=400))
    hear_rows(order, [row("2", "100"), row("1", "100", fee="0.05")])
    first, *_ = told(order, amounts=PER_FILL).pieces
    assert (Decimal(2), SECOND + 400, True) == (first.z1, first.at_ms, first.whole_second)


def test_rows_without_ids_that_differ_in_their_fee_are_two_executions() -> None:
    """One maker and one taker of equal size, price and second: told again in another order, they are still these two."""
    order = heard()
    maker, taker = row("1", "100", fee="0.02"), row("1", "100", fee="0.05")
    hear_rows(order, [maker])
    hear_rows(order, [taker, maker])
    assert [Decimal("0.02"), Decimal("0.05")] == [told_row.fee for told_row in order.rows]


def test_the_fee_tells_the_tick_where_the_price_leaves_several() -> None:
    """An average of one decimal may be any of eleven ticks of 0.01; the fee fits one of them."""
    (piece,) = told(heard(frame("3", "100.1", n="0.15010500")), tick=Decimal("0.01")).pieces
    assert (True, Decimal("300.21")) == (piece.single, piece.quote)


def test_an_average_price_on_a_tick_may_have_been_rounded_to_it() -> None:
    """Until one between two ticks was seen, half a tick stays open; rows then contradict nothing."""
    order = heard(frame("2", "100.10000000", n="0.05"))
    hear_rows(order, [row("1", "100.1", at=1), row("1", "100.2", at=2)])
    derivations = [derive(order, amounts=None, rates=RATES, tick=TICK, printed=printed) for printed in (False, True)]
    assert [(), ("rows make 200.3 up to 2, frames say otherwise",)] == [found.problems for found in derivations]


@pytest.mark.parametrize(("printed", "problems"), [(False, 0), (True, 1)], ids=["perhaps rounded", "known not to be"])
def test_where_the_tick_is_unknown_zeros_at_the_end_may_have_been_rounded(printed: bool, problems: int) -> None:
    """100.10000000 may be what is left of 100.15, as long as nobody said how fine prices are."""
    order = heard(frame("2", "100.10000000", n="0.05"))
    hear_rows(order, [row("1", "100.1", at=1), row("1", "100.2", at=2)])
    assert problems == len(derive(order, amounts=None, rates=RATES, tick=None, printed=printed).problems)


@pytest.mark.parametrize(
    ("ap", "printed"), [("100.15000000", True), ("100.10000000", False)], ids=["between two ticks", "on a tick"]
)
def test_an_average_price_between_two_ticks_proves_that_they_are_not_rounded(ap: str, *, printed: bool) -> None:
    """One is enough."""
    assert printed == told(heard(frame("2", ap, n="0.1"))).printed


@pytest.mark.parametrize(
    ("ap", "n", "rates", "tick"),
    [
        ("100.10000000", "0.05005", RATES, TICK),
        ("100.1", "0.15015", (Decimal("0.0005"), Decimal("0.00049995005")), Decimal("0.01")),
        ("100.10000000", "0", (Decimal(0),), TICK),
        ("100.10000000", "0.15015", RATES, None),
        ("100.10000000", None, RATES, TICK),
    ],
    ids=["fee of a part", "two ticks explain the fee", "a rate of 0 proves nothing", "tick unknown", "fee unknown"],
)
def test_without_proof_a_jump_is_not_one_execution(
    ap: str, n: str | None, rates: tuple[Decimal, ...], tick: Decimal | None
) -> None:
    """Tick and rate must both fit, and alone."""
    (piece,) = told(heard(frame("3", ap, n=n)), rates=rates, tick=tick).pieces
    assert not piece.single


def test_a_known_boundary_inside_forbids_the_proof() -> None:
    """An interval that a priceless `z` divides is no single execution, however well tick and fee fit."""
    (piece,) = told(heard(frame("1"), frame("3", "100.10000000", n="0.15015"))).pieces
    assert not piece.single


def test_l_equal_to_the_growth_is_one_execution_also_without_its_price() -> None:
    """`l` alone proves it; the price then is the average's."""
    (piece,) = told(heard(frame("3", "100.05000000", n="0.1", last=("3", None)))).pieces
    assert (True, Decimal("300.15"), Decimal("0.1")) == (piece.single, piece.quote, piece.fee)


def test_last_figures_find_the_boundary_before_them() -> None:
    """A jump with `l`·`L` is known exactly at its end; what lies before is what the average leaves, without a fee."""
    derivation = told(heard(frame("3", "100.00000000", n="0.05", last=("1", "101"))), amounts=PER_FILL)
    assert [(Decimal(2), Decimal(199), None), (Decimal(3), Decimal(101), Decimal("0.05"))] == [
        (piece.z1, piece.quote, piece.fee) for piece in derivation.pieces
    ]


def test_last_figures_after_an_untold_part_count_alone() -> None:
    """Without an average price nothing prices what lies before `l`·`L`, and the order says so."""
    derivation = told(heard(frame("3", n="0.05", last=("1", "101"))), amounts=PER_FILL)
    assert ([("2", "3")], "no price for (0, 2]") == (spans(derivation), derivation.incomplete)


def test_a_last_quantity_over_a_boundary_finds_no_boundary() -> None:
    """`l` that reaches over a known `z` contradicts it and splits nothing."""
    order = heard(frame("2", "100.0", n="0.1", last=("2", "100")), frame("3", "100.0", n="0.1", last=("2", "100")))
    assert [("0", "2"), ("2", "3")] == spans(told(order))


def test_average_prices_that_make_a_negative_quote_price_nothing() -> None:
    """Nothing is sold for less than nothing: the second price contradicts and the interval stays untold."""
    derivation = told(heard(frame("1", "100.0", n="0.05"), frame("2", "40.0", n="0.05")))
    assert ([("0", "1")], "(1, 2] not told") == (spans(derivation), derivation.incomplete)


# ---- per fill or cumulative -------------------------------------------------------------------------------------------


def two_fills(second_fee: str) -> Order:
    """Make two fills of 1 at 100 and 101, the first fee being 0.05."""
    return heard(
        frame("1", "100.00000000", n="0.05", last=("1", "100")),
        frame("2", "100.50000000", n=second_fee, rp="3", last=("1", "101")),
    )


@pytest.mark.parametrize(
    ("second_fee", "proven", "fee"),
    [("0.0505", PER_FILL, Decimal("0.0505")), ("0.1005", CUMULATIVE, Decimal("0.0505")), ("0.07", None, None)],
    ids=["per fill", "cumulative", "neither"],
)
def test_a_fee_that_fits_one_reading_alone_proves_it(second_fee: str, proven: str | None, fee: Decimal | None) -> None:
    """Undecided means unknown, not 0."""
    derivation = told(two_fills(second_fee))
    assert (proven, fee) == (derivation.amounts, derivation.pieces[1].fee)


def test_a_fee_that_fits_both_readings_proves_neither() -> None:
    """With rates a:b, a second fill's `n` may fit as its own taker fee and as the sum of maker fees."""
    order = heard(frame("3", "100.0", n="0.06", last=("3", "100")), frame("5", "100.0", n="0.1", last=("2", "100")))
    assert (None, None) == (told(order).amounts, told(order).pieces[1].fee)


def test_equal_readings_prove_nothing() -> None:
    """Where both readings say the same there is nothing to tell them apart by."""
    order = heard(frame("1", "100.0", n="0", last=("1", "100")), frame("2", "100.0", n="0.05", last=("1", "100")))
    assert told(order).amounts is None


def test_proofs_against_each_other_prove_nothing() -> None:
    """One order whose fills fit different readings decides for neither."""
    order = heard(
        frame("1", "100.0", n="0.05", last=("1", "100")),
        frame("2", "100.5", n="0.0505", last=("1", "101")),
        frame("3", "101.0", n="0.1015", last=("1", "102")),
    )
    assert told(order).amounts is None


@pytest.mark.parametrize(
    ("own", "proven"), [("0.0404", PER_FILL), ("0.0904", CUMULATIVE), ("0.07", None)], ids=["own", "since", "neither"]
)
def test_a_rows_fee_proves_the_reading_at_an_unknown_rate(own: str, proven: str | None) -> None:
    """A row tells the fee of its execution to 5e-7, whatever the rate."""
    order = two_fills(own)
    order.executed = Decimal(2)
    hear_rows(order, [row("1", "100", fee="0.05"), row("1", "101", fee="0.0404", rp="3", at=1_000)])
    assert proven == told(order).amounts


@pytest.mark.parametrize(
    ("amounts", "fees", "profits"),
    [
        (PER_FILL, [Decimal("0.05"), Decimal("0.07")], [Decimal(0), Decimal(3)]),
        (CUMULATIVE, [Decimal("0.05"), Decimal("0.02")], [Decimal(0), Decimal(3)]),
        (None, [Decimal("0.05"), None], [Decimal(0), None]),
    ],
    ids=["per fill", "cumulative", "undecided"],
)
def test_a_decision_reads_every_fill(
    amounts: str | None, fees: list[Decimal | None], profits: list[Decimal | None]
) -> None:
    """Per fill, cumulative, or unknown beyond the first fill, on which both readings agree."""
    pieces = told(two_fills("0.07"), amounts=amounts).pieces
    assert (fees, profits) == ([piece.fee for piece in pieces], [piece.realized_pnl for piece in pieces])


def test_a_cumulative_figure_without_its_predecessor_is_unknown() -> None:
    """What the order had paid before is not known, so neither is the rest."""
    order = heard(
        frame("1", "100.0", n=None, rp=None, last=("1", "100")), frame("2", "100.5", n="0.1", rp="3", last=("1", "101"))
    )
    piece = told(order, amounts=CUMULATIVE).pieces[1]
    assert (None, None) == (piece.fee, piece.realized_pnl)


# ---- rows ---------------------------------------------------------------------------------------------------------------


def test_rows_count_only_as_a_complete_set() -> None:
    """Σ qty must be what was executed; a part of the rows is laid nowhere."""
    order = heard(frame("3", "100.05000000", n="0.1"), row("1", "100"))
    before = told(order, amounts=PER_FILL)
    hear_rows(order, [row("2", "100.075", at=1_000)])
    after = told(order, amounts=PER_FILL)
    assert ([("0", "3")], [("0", "1"), ("1", "3")]) == (spans(before), spans(after))


def test_rows_of_an_order_nobody_stated_ask_for_it() -> None:
    """Rows alone may be a part: what was executed in all is asked for."""
    order = heard(row("1", "100"))
    assert ((), "what was executed in all is not known", True) == (
        told(order).pieces,
        told(order).incomplete,
        rows_exceed(order),
    )


def test_rows_that_exceed_what_is_known_do_not_add_up() -> None:
    """A fill history of more than the order report says leaves the order incomplete."""
    derivation = told(heard(frame("1", "100.0", n="0.05"), Decimal(1), row("1", "100"), row("1", "100", at=1_000)))
    assert ([("0", "1")], "rows do not add up") == (spans(derivation), derivation.incomplete)


def test_an_executed_quantity_beyond_all_frames_is_not_told() -> None:
    """An order report that knows more than frames names the uncovered interval."""
    assert "(1, 4] not told" == told(heard(frame("1", "100.0", n="0.05"), Decimal(4))).incomplete


def test_rows_are_heard_once() -> None:
    """The same trade id, or the same row without one, is the same execution."""
    order = heard(row("1", "100", td="5"), row("1", "100", td="5"), row("2", "100"), row("2", "100"))
    assert 2 == len(order.rows)


def test_alike_rows_of_one_report_are_two_executions() -> None:
    """Two equal executions without ids in one answer stay two, and its repetition changes nothing."""
    order = heard()
    news = [hear_rows(order, [row("1", "100"), row("1", "100")]) for _ in range(2)]
    assert ([True, False], 2) == (news, len(order.rows))


@pytest.mark.parametrize("turned", [False, True], ids=["with id first", "without id first"])
def test_a_row_without_trade_id_meets_its_twin_with_one(turned: bool) -> None:
    """`allFillOrders` has no trade ids (bingx.md §5): what both histories tell is one execution."""
    rows = [row("1", "100", td="5"), row("1", "100")]
    order = heard(*(reversed(rows) if turned else rows))
    assert ["5"] == [held.trade_id for held in order.rows]


def test_rows_split_a_jump_into_its_executions() -> None:
    """Rows give each execution its own price, fee (to 5e-7), profit, time and trade id."""
    rows = [row("1", "100", fee="0.05", rp="1", td="a"), row("2", "100.1", fee="0.1001", rp="2", at=1_000, td="b")]
    derivation = told(heard(frame("3", "100.06666667", n="0.1001", td="b", at=1_000), *rows), amounts=PER_FILL)
    wanted = [
        (Decimal(100), Decimal("0.05"), Decimal("0.0000005"), ("a",), True),
        (Decimal("200.2"), Decimal("0.1001"), Decimal(0), ("b",), False),
    ]
    assert wanted == [
        (piece.quote, piece.fee, piece.fee_slack, piece.trade_ids, piece.whole_second) for piece in derivation.pieces
    ]


def test_rows_that_contradict_the_average_price_are_not_laid() -> None:
    """What frames said stays; the contradiction is named, not taken."""
    derivation = told(heard(frame("2", "100.00000000", n="0.1"), row("2", "105")))
    assert (Decimal(200), ("rows make 210 up to 2, frames say otherwise",)) == (
        derivation.pieces[0].quote,
        derivation.problems,
    )


@pytest.mark.parametrize(
    ("fee", "rp", "problem"),
    [
        ("0.100001", "5", ()),
        ("0.2", "5", ("rows tell a fee of 0.2 for (0, 2], frames 0.1000006",)),
        ("0.100001", "6.00", ("rows tell a profit of 6 for (0, 2], frames 5",)),
    ],
    ids=["rounding", "fee", "profit"],
)
def test_a_row_that_tells_other_money_than_its_frame_contradicts(fee: str, rp: str, problem: tuple[str, ...]) -> None:
    """Six rounded decimals are no contradiction; more is, and what was heard first stays."""
    push = frame("2", "100.00000000", n="0.1000006", rp="5", last=("2", "100"))
    derivation = told(heard(push, row("2", "100", fee=fee, rp=rp)))
    assert (problem, Decimal("0.1000006")) == (derivation.problems, derivation.pieces[0].fee)


def test_a_row_over_a_known_boundary_contradicts() -> None:
    """One execution cannot reach over a `z` that a frame proved."""
    derivation = told(heard(frame("1", "100.0", n="0.05"), frame("3", "100.0", n="0.1"), row("3", "100")))
    assert ("an execution of 3 reaches over the boundary 1",) == derivation.problems


def test_rows_of_one_second_take_the_order_that_meets_the_boundaries() -> None:
    """Rows of one second have no order of their own; the known `z` gives it."""
    order = heard(frame("2", "101.0", n=None), Decimal(3), row("1", "103", td="a"), row("2", "101", td="b"))
    assert [("0", "2", ("b",)), ("2", "3", ("a",))] == [
        (str(piece.z0), str(piece.z1), piece.trade_ids) for piece in told(order).pieces
    ]


def test_an_average_price_at_the_boundary_tells_rows_of_equal_quantity_apart() -> None:
    """Two rows of one quantity both meet the boundary; only one makes the stated average price."""
    order = heard(frame("1", "101.00000000"), Decimal(2), row("1", "100", td="a"), row("1", "101", td="b"))
    assert [("b",), ("a",)] == [piece.trade_ids for piece in told(order).pieces]


@pytest.mark.parametrize(
    ("boundaries", "quantities"),
    [(["1"], ["1", "1"]), (["1.5"], ["1", "1"]), (["2", "4"], ["1", "1", "2", "2"])],
    ids=["several ways", "no way", "several ways behind a unique one"],
)
def test_rows_of_one_second_that_no_single_order_fits_are_one_interval(
    boundaries: list[str], quantities: list[str]
) -> None:
    """None or several permutations: that second is one interval, with all its money."""
    rows = [row(qty, str(100 + min(index, 2)), td=str(index)) for index, qty in enumerate(quantities)]
    total = sum((Decimal(qty) for qty in quantities), Decimal(0))
    order = heard(*(frame(z) for z in boundaries), total, *rows)
    (piece,) = told(order).pieces
    assert (total, sum(r.quantity * r.price for r in rows), False) == (piece.quantity, piece.quote, piece.single)


def test_many_rows_of_one_second_are_not_permuted() -> None:
    """Beyond `PERMUTED_ROWS_MAX` a second with a boundary inside is one interval."""
    rows = [row("1", str(100 + index), td=str(index)) for index in range(9)]
    assert [("0", "9")] == spans(told(heard(frame("4"), Decimal(9), *rows)))


def test_alike_rows_of_one_second_are_kept_apart() -> None:
    """Rows alike in all their money can stand in any order: each is an execution of its own, around a boundary too."""
    rows = [row("1", "100", td=str(index)) for index in range(4)]
    singles = [("0", "1"), ("1", "2"), ("2", "3"), ("3", "4")]
    assert (singles, singles) == (
        spans(told(heard(Decimal(4), *rows))),
        spans(told(heard(frame("1"), Decimal(4), *rows))),
    )


def test_a_whole_second_is_not_before_the_milliseconds_in_it() -> None:
    """A stamp that is only good to a second shares its second with exact ones; exact ones alone are ordered."""
    mixed = [row("1", "100", at=0), row("2", "101", at=300, whole=False)]
    exact = [row("1", "100", at=100, whole=False), row("2", "101", at=300, whole=False)]
    assert ([("0", "3")], [("0", "1"), ("1", "3")]) == (
        spans(told(heard(Decimal(3), *mixed))),
        spans(told(heard(Decimal(3), *exact))),
    )


def test_rows_time_a_fill_that_only_a_cancel_told() -> None:
    """A cancellation's time may be hours after the execution: the row's is better, though only good to a second."""
    cancel = frame("1", "100.0", status=OrderStatus.CANCELED, at=3_600_000)
    (piece,) = told(heard(cancel, row("1", "100"))).pieces
    assert (SECOND, True) == (piece.at_ms, piece.whole_second)


def test_a_row_without_fee_leaves_the_fee_unknown() -> None:
    """One row that does not tell makes the sum untold, never smaller."""
    order = heard(Decimal(2), row("1", "100", fee=None), row("1", "101", rp=None))
    (piece,) = told(order).pieces
    assert (None, None) == (piece.fee, piece.realized_pnl)


def test_the_fee_asset_is_whoevers_told_it() -> None:
    """A frame without `N` leaves the asset to the row."""
    (piece,) = told(heard(frame("1", "100.0", n="0.01", asset=None), row("1", "100"))).pieces
    assert "USDT" == piece.fee_asset


# ---- exact witnesses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("witness", "fee", "slack"),
    [("0.0100003", "0.0100003", "0"), ("0.0100006", "0.010000", "0.0000005")],
    ids=["within rounding", "beyond rounding"],
)
def test_an_exact_witness_removes_the_rounding_of_a_rows_fee(witness: str, fee: str, slack: str) -> None:
    """A TRADING_FEE row within 5e-7 is the fee; one further off is another fill's."""
    order = heard(Decimal(1), row("1", "100", fee="0.010000"))
    order.exact_fees["1"] = Decimal(witness)
    (piece,) = told(order).pieces
    assert (Decimal(fee), Decimal(slack)) == (piece.fee, piece.fee_slack)


def test_a_boundary_has_one_text_whoever_stated_it() -> None:
    """Records and witnesses are found by the text of `z1`, which must not depend on the digits of its source."""
    texts = {str(told(heard(item)).pieces[0].z1) for item in (frame("0.10000000", "5.0"), frame("0.1", "5.0"))}
    assert {"0.1"} == texts


# ---- the part before the ledger -----------------------------------------------------------------------------------------


def test_a_covered_opening_with_a_price_leaves_the_rest() -> None:
    """Only what lies beyond the baseline's part is a fact; its quote is z1·ap1 − z0·ap0, as exact as their digits."""
    (piece,) = told(heard(frame("3", "101.00000000", n=None), opening="1", opening_price="100")).pieces
    assert (Decimal(1), Decimal(3), Decimal(203), Decimal("0.500000015")) == (
        piece.z0,
        piece.z1,
        piece.quote,
        piece.quote_slack,
    )


def test_a_covered_opening_without_a_price_needs_last_figures() -> None:
    """Without the opening's average price, an average over all of it prices nothing; `l`·`L` does."""
    untold = told(heard(frame("3", "101.0", n="0.1"), opening="1"))
    last = told(heard(frame("3", "101.0", n="0.1", last=("2", "101.5")), opening="1"))
    assert ("(1, 3] not told", [("1", "3")]) == (untold.incomplete, spans(last))


def test_after_an_exact_piece_an_unpriced_opening_no_longer_matters() -> None:
    """From the first known average price on, the differences are priced again."""
    first, second = frame("2", "100.0", last=("1", "102")), frame("3", "101.0")
    pieces = told(heard(first, second, opening="1")).pieces
    assert [Decimal(102), Decimal(103)] == [piece.quote for piece in pieces]


def test_an_unpriced_part_hides_no_later_one() -> None:
    """Of (1, 2] nobody told a price; (2, 3] is known from both averages and counts."""
    derivation = told(heard(frame("2", "100.0"), frame("3", "101.0"), opening="1"))
    assert ([("2", "3")], Decimal(103)) == (spans(derivation), derivation.pieces[0].quote)


def test_what_lies_before_the_baseline_is_no_fact() -> None:
    """A frame whose `z` does not go beyond the covered part covers nothing."""
    order = heard(opening="1")
    news = hear_push(order, frame("1", "100.0", kind=""))
    assert ((False, ""), ()) == (news, told(order).pieces)


def test_complete_rows_leave_out_the_covered_part() -> None:
    """Rows are laid from the order's beginning; those before the baseline are no pieces."""
    order = heard(Decimal(3), row("1", "100"), row("2", "101", at=1_000), opening="1")
    assert [("1", "3")] == spans(told(order))


def test_a_second_of_rows_over_the_baseline_cannot_be_split() -> None:
    """Where no permutation meets the covered part, what lies beyond it stays untold."""
    order = heard(Decimal(4), row("2", "100"), row("2", "101"), opening="1")
    assert ((), "(1, 4] not told") == (told(order).pieces, told(order).incomplete)


def test_a_covered_order_learns_its_sides_from_what_is_heard_first() -> None:
    """A baseline names no sides; the first frame or row does, and later ones change nothing."""
    order = replace(heard(), side=Side.BUY, position_side=PositionSide.BOTH, introduced=False)
    hear_rows(order, [row("1", "100")])
    assert (Side.SELL, PositionSide.SHORT, True) == (order.side, order.position_side, order.introduced)


def test_an_exact_piece_keeps_the_better_of_two_quotes() -> None:
    """After an exact piece behind a coarse opening, the average price's own digits are finer."""
    order = heard(
        frame("2", "100.50000000", last=("1", "101")), frame("3", "101.00000000"), opening="1", opening_price="100"
    )
    pieces: tuple[Piece, ...] = told(order).pieces
    assert Decimal("0.000000025") == pieces[1].quote_slack


# ---- the part whose rows are kept no more ---------------------------------------------------------------------------------


def unkept(order: Order, quantity: str, quote: str, *, price: str = "101.00000000") -> Order:
    """Say that the beginning of an order is older than any row; `price` is the average of all of it."""
    order.unkept = Unkept(
        quantity=Decimal(quantity), quote=Decimal(quote), executed=order.known, price=Decimal(price), at_ms=SECOND
    )
    return order


def test_what_no_row_can_tell_is_one_opening_interval() -> None:
    """3 at 101, a row tells 1 at 103: the first 2 cost 200, as exact as the average's digits; nothing is asked for."""
    order = unkept(heard(Decimal(3), row("1", "103", fee="0.05", at=1_000)), "2", "200", price="101.0")
    derivation = told(order)
    opening, last = derivation.pieces
    assert ("", [("0", "2"), ("2", "3")], Decimal(200), Decimal("0.15")) == (
        derivation.incomplete,
        spans(derivation),
        opening.quote,
        opening.quote_slack,
    )
    assert (None, None, False, ("order",), SECOND) == (
        opening.fee,
        opening.realized_pnl,
        opening.single,
        opening.sources,
        opening.at_ms,
    )
    assert (Decimal(103), Decimal("0.05"), True) == (last.quote, last.fee, last.single)


def test_an_order_that_no_row_tells_at_all_is_one_interval() -> None:
    """Everything of it is older: all of it is at the average price."""
    derivation = told(unkept(heard(Decimal(3)), "3", "303"))
    assert (("", [("0", "3")]), Decimal(303)) == (
        (derivation.incomplete, spans(derivation)),
        derivation.pieces[0].quote,
    )


def test_frames_within_what_is_kept_no_more_stay() -> None:
    """(0, 1] was heard in time, with its fee; only (1, 2] is not told, and the rows follow."""
    order = heard(frame("1", "100.00000000", n="0.05"), Decimal(3), row("1", "103", fee="0.05", at=1_000))
    derivation = told(unkept(order, "2", "200"))
    assert ([("0", "1"), ("1", "2"), ("2", "3")], [Decimal("0.05"), None, Decimal("0.05")], "") == (
        spans(derivation),
        [piece.fee for piece in derivation.pieces],
        derivation.incomplete,
    )


def test_a_frame_at_the_end_of_what_is_kept_no_more_speaks_for_itself() -> None:
    """Its own average price and time are better than what is left over."""
    order = heard(frame("2", "99.00000000", at=500), Decimal(3), row("1", "103", at=1_000))
    derivation = told(unkept(order, "2", "200"))
    assert ([Decimal(198), Decimal(103)], SECOND + 500) == (
        [piece.quote for piece in derivation.pieces],
        derivation.pieces[0].at_ms,
    )


def test_rows_after_what_is_kept_no_more_are_held_against_frames() -> None:
    """303 in all, and a frame that says 110 a piece: a contradiction; within the average's digits it is none."""
    rows = row("1", "103", at=1_000)
    against = unkept(heard(frame("3", "110.00000000"), rows), "2", "200")
    within = unkept(heard(frame("3", "101.04000000"), rows), "2", "200", price="101.0")
    assert (1, 0) == (len(told(against).problems), len(told(within, tick=None).problems))


def test_what_lies_before_the_baseline_is_no_fact_though_no_row_tells_it() -> None:
    """The covered part reaches over what is kept no more: only the rows beyond it count."""
    order = heard(Decimal(3), row("1", "103", at=1_000), opening="2")
    assert [("2", "3")] == spans(told(unkept(order, "2", "200")))


# ---- rows that were complete once -----------------------------------------------------------------------------------------


def complete(order: Order) -> Order:
    """Say of an order what is said of it whenever it is laid."""
    order.note_complete()
    return order


TWO_ROWS = (row("1", "100", td="1"), row("2", "101", at=1_000, td="2"))


@pytest.mark.parametrize("by", ["report", "frame"])
def test_rows_that_were_complete_stay_when_more_is_executed(by: str) -> None:
    """What they told up to 3 is as true as before; only what was executed beyond is not told yet."""
    order = complete(heard(Decimal(3), *TWO_ROWS))
    if by == "report":
        order.executed = Decimal(5)
    else:
        hear_push(order, frame("5"))
    derivation = told(complete(order))
    assert ([("0", "1"), ("1", "3")], "(3, 5] not told") == (spans(derivation), derivation.incomplete)


def test_a_frame_goes_on_where_complete_rows_end() -> None:
    """The frame's last execution is laid behind the rows, and nothing is missing."""
    order = complete(heard(Decimal(3), *TWO_ROWS))
    hear_push(order, frame("4", "101.00000000", n="0.051", last=("1", "102")))
    derivation = told(order, amounts=PER_FILL)
    assert ([("0", "1"), ("1", "3"), ("3", "4")], "") == (spans(derivation), derivation.incomplete)


def test_later_rows_that_are_not_yet_all_take_nothing_from_complete_ones() -> None:
    """Of the 2 that were executed since a row tells 1: it waits for the other, the first rows do not."""
    order = complete(heard(Decimal(3), *TWO_ROWS))
    order.executed = Decimal(5)
    hear_rows(order, [row("1", "102", at=2_000, td="3")])
    assert [("0", "1"), ("1", "3")] == spans(told(complete(order)))
    hear_rows(order, [row("1", "103", at=3_000, td="4")])
    assert [("0", "1"), ("1", "3"), ("3", "4"), ("4", "5")] == spans(told(complete(order)))


def test_a_later_row_of_the_same_second_takes_nothing_from_complete_ones() -> None:
    """All of that second was told once: what was executed in the rest of it is told later, and waits."""
    order = complete(heard(Decimal(3), *TWO_ROWS))
    hear_rows(order, [row("1", "101", at=1_000, td="3")])
    assert ([("0", "1"), ("1", "3")], True) == (spans(told(complete(order))), rows_exceed(order))


def test_rows_beyond_what_is_known_leave_complete_ones_laid_and_the_order_incomplete() -> None:
    """A row that nobody's executed quantity has room for: the exchange is asked how much it was."""
    order = complete(heard(Decimal(3), *TWO_ROWS))
    hear_rows(order, [row("1", "102", at=2_000, td="3")])
    derivation = told(complete(order))
    assert ([("0", "1"), ("1", "3")], "rows do not add up", True) == (
        spans(derivation),
        derivation.incomplete,
        rows_exceed(order),
    )


def test_rows_that_were_never_complete_are_laid_nowhere_when_more_is_executed() -> None:
    """Nobody said that 1 was all there was."""
    order = complete(heard(Decimal(3), TWO_ROWS[0]))
    order.executed = Decimal(5)
    derivation = told(complete(order))
    assert ((), "(0, 5] not told; rows do not add up") == (derivation.pieces, derivation.incomplete)


def test_rows_behind_what_is_kept_no_more_are_complete_together_with_it() -> None:
    """The opening interval and the row told all of 3; what is executed later does not make them less."""
    order = complete(unkept(heard(Decimal(3), row("1", "103", at=1_000)), "2", "200"))
    order.executed = Decimal(5)
    assert [("0", "2"), ("2", "3")] == spans(told(complete(order)))


# ---- frames without an execution, and late ones ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ap", "rp", "rates", "fee"),
    [
        ("100.0", "0", RATES, None),
        ("100.0", None, RATES, None),
        ("100.0", "3", RATES, Decimal(0)),
        ("100.0", "0", (), Decimal(0)),
        ("100.0", "0", (Decimal("0.0005"), Decimal(0)), Decimal(0)),
        ("0.00001", "0", RATES, Decimal(0)),
        (None, "0", RATES, Decimal(0)),
    ],
    ids=[
        "no execution",
        "no profit told",
        "an execution, by its profit",
        "rates unknown",
        "a rate is 0",
        "less than a fee's last digit",
        "no average price",
    ],
)
def test_zeros_of_a_frame_without_execution_are_untold(
    ap: str | None, rp: str | None, rates: tuple[Decimal, ...], fee: Decimal | None
) -> None:
    """Where every rate takes something, a fee of 0 at a `z` that this frame was the first to tell is nobody's fee."""
    price = ap if ap is not None else "100"
    push = frame("1", ap, n="0", last=("1", price), rp=rp)
    derivation = told(heard(push), rates=rates)
    (piece,) = derivation.pieces
    assert (fee, fee is None) == (piece.fee, derivation.incomplete == "fee or profit of (0, 1] not told")


@pytest.mark.parametrize(
    ("amendment", "whole"),
    [
        (frame("2", "100.0", n="0.10", at=700), True),
        (frame("2", "100.0", n="0", at=700, last=("1", "100")), True),
        (frame("2", "100.0", n="0.10", at=700, last=("1", "100")), False),
    ],
    ids=["without l, where others tell it", "with zeros", "an execution"],
)
def test_a_frame_without_execution_only_comes_after_one(amendment: OrderPush, *, whole: bool) -> None:
    """It tells of one that was missed, and when that was at the latest: where in its second the profit may say."""
    first = frame("1", "100.0", n="0.05", at=100, last=("1", "100"))
    lost = row("1", "100", fee="0.05", at=0, td="2")
    piece = told(heard(first, amendment, row("1", "100", fee="0.05", td="1"), lost)).pieces[-1]
    assert (Decimal(2), SECOND + 700, whole) == (piece.z1, piece.at_ms, piece.whole_second)


def test_the_figures_take_the_place_of_zeros_that_were_told_first() -> None:
    """The amendment came before the fill that it told of."""
    order = heard(frame("1", "100.0", n="0"), frame("1", "100.0", n="0.05", rp="2"))
    (piece,) = told(order).pieces
    assert (Decimal("0.05"), Decimal(2)) == (piece.fee, piece.realized_pnl)


def test_a_small_fee_that_fits_several_ticks_proves_none() -> None:
    """0.0002 at 100.1 costs 0.00001001, and at the ticks beside it the same within the last digit: the price stays open."""
    (piece,) = told(heard(frame("0.0002", "100.1", n="0.00001001")), tick=Decimal("0.01")).pieces
    assert (False, True) == (piece.single, piece.quote_slack > 0)


@pytest.mark.parametrize(
    ("at", "status", "stamp"),
    [
        (400, PARTIAL, (SECOND + 400, False)),
        (5_000, PARTIAL, (SECOND, True)),
        (400, OrderStatus.CANCELED, (SECOND + 400, True)),
    ],
    ids=["of the row's second", "of a later second", "a cancellation"],
)
def test_a_frame_of_another_second_than_the_row_does_not_date_it(
    at: int, status: OrderStatus, stamp: tuple[int, bool]
) -> None:
    """The row's second is the execution's; within it a frame that tells of it says when."""
    (piece,) = told(heard(frame("1", "100.0", n="0.05", at=at, status=status), row("1", "100", fee="0.05"))).pieces
    assert stamp == (piece.at_ms, piece.whole_second)


# ---- executions of one second ---------------------------------------------------------------------------------------------


def part(price: str, rp: str, td: str) -> Part:
    """Give an execution of 1 as a piece holds it."""
    return Part(quantity=Decimal(1), quote=Decimal(price), realized_pnl=Decimal(rp), trade_id=td)


SECOND_OF_TWO = (row("1", "100", rp="1", td="1"), row("1", "101", rp="2", td="2"))
PARTS = (part("100", "1", "1"), part("101", "2", "2"))


@pytest.mark.parametrize(
    ("rp", "parts"),
    [(None, PARTS), ("3", PARTS), ("3.00000002", PARTS), ("3.00000003", ())],
    ids=["untold", "equal", "within their last digits", "beyond"],
)
def test_executions_of_one_second_are_kept_where_they_make_up_the_profit(
    rp: str | None, parts: tuple[Part, ...]
) -> None:
    """The piece is one interval, but each execution of it has its own price, profit and trade id."""
    order = heard(frame("2", "100.5", n="0.02", rp=rp), *SECOND_OF_TWO)
    (piece,) = told(order, amounts=CUMULATIVE).pieces
    assert parts == piece.parts


@pytest.mark.parametrize(
    "rows",
    [(row("2", "100", rp="1"),), (row("1", "100", rp="1"), row("1", "101", rp=None))],
    ids=["one execution", "a profit that nobody told"],
)
def test_one_execution_or_an_untold_profit_makes_no_parts(rows: tuple[FillRow, ...]) -> None:
    """There is nothing to put between, or nothing to know its place by."""
    order = heard(Decimal(2), *rows)
    assert [()] == [piece.parts for piece in told(order).pieces]


def test_an_execution_without_a_profit_leaves_the_others_no_parts() -> None:
    """Two of three tell all of the profit: the third has its place in the piece nonetheless."""
    order = heard(frame("3", "101", rp="3", n="0.03"), *SECOND_OF_TWO, row("1", "102", rp=None, td="3"))
    assert [()] == [piece.parts for piece in told(order, amounts=CUMULATIVE).pieces]


def of_one_second(
    amounts: str | None, *profits: str | None, rows: tuple[str | None, ...] = ("3", "5", "2")
) -> list[str]:
    """Tell frames at 1, 2, … with these `rp`, and rows of one second alike in price; gives the trade of each piece."""
    frames = [
        frame(
            str(index + 1), "100.00000000", rp=rp, n=str(Decimal("0.05") * (index + 1 if amounts == CUMULATIVE else 1))
        )
        for index, rp in enumerate(profits)
    ]
    order = heard(*frames, Decimal(len(rows)))
    hear_rows(order, [row("1", "100", fee="0.05", rp=rp, td=str(index)) for index, rp in enumerate(rows)])
    return ["+".join(piece.trade_ids) for piece in told(order, amounts=amounts).pieces]


@pytest.mark.parametrize(
    ("amounts", "profits", "trades"),
    [
        (PER_FILL, ("5", "2"), ["1", "2", "0"]),
        (CUMULATIVE, ("5", "7"), ["1", "2", "0"]),
        (PER_FILL, ("5.0000004", "2"), ["1", "2", "0"]),
        (CUMULATIVE, ("2", "5"), ["2", "0", "1"]),
    ],
    ids=["per fill", "cumulative", "rounded rows", "cumulative, another order"],
)
def test_rows_alike_in_price_are_put_in_the_order_that_frames_profits_tell(
    amounts: str, profits: tuple[str, ...], trades: list[str]
) -> None:
    """Three executions of 1 at 100 in one second made 3, 5 and 2: the frames say which was when."""
    assert trades == of_one_second(amounts, *profits)


@pytest.mark.parametrize(
    ("amounts", "profits", "rows"),
    [
        (None, ("5", "2"), ("3", "5", "2")),
        (PER_FILL, ("0", None), ("3", "5", "2")),
        (CUMULATIVE, ("5", "7"), (None, "5", "2")),
    ],
    ids=["nobody decided how they are told", "no profit told", "a row tells none"],
)
def test_rows_whose_order_no_profit_tells_are_no_order(
    amounts: str | None, profits: tuple[str | None, ...], rows: tuple[str | None, ...]
) -> None:
    """Several orders of them are possible: that second is one interval."""
    assert ["0+1+2"] == of_one_second(amounts, *profits, rows=rows)


def test_a_frames_profit_over_several_executions_tells_no_order_per_fill() -> None:
    """Read per fill, what a frame at the end of two executions tells is the last one's alone."""
    order = heard(frame("2", "100.00000000", rp="5", n="0.05"), Decimal(3))
    hear_rows(order, [row("1", "100", fee="0.05", rp=rp, td=rp) for rp in ("2", "3", "5")])
    assert [(("2", "3", "5"), 3)] == [
        (piece.trade_ids, len(piece.parts)) for piece in told(order, amounts=PER_FILL).pieces
    ]


def test_profits_before_what_rows_tell_leave_a_cumulative_profit_unknown() -> None:
    """Of an order whose beginning is kept no more nobody knows what it had realised: a cumulative `rp` orders nothing."""
    order = heard(frame("3", "100.00000000", rp="5", n="0.15"), Decimal(4))
    hear_rows(order, [row("1", "100", fee="0.05", rp=rp, at=1_000, td=rp) for rp in ("5", "3")])
    assert [("0", "2"), ("2", "4")] == spans(told(unkept(order, "2", "200", price="100.00000000"), amounts=CUMULATIVE))


# ---- since when fills are lacking -------------------------------------------------------------------------------------


FIRST = frame("1", "100.0", n="0.05", last=("1", "100"), at=5_400, traded=SECOND + 5_400)


@pytest.mark.parametrize(
    ("evidence", "lacks_s"),
    [
        ((FIRST,), None),
        ((frame("1", "100.0", n=None, rp=None, last=("1", "100")),), None),
        ((frame("1"), frame("2", "100.0", n="0.05", last=("1", "100"), at=9_000)), 0),
        ((FIRST, frame("2", at=9_000)), 5),
        ((FIRST, frame("2", "100.01", n=None, at=9_000)), 5),
        ((FIRST, frame(None, at=9_000)), 5),
        ((FIRST, row("1", "100", at=5_000), row("1", "101", at=9_000)), 5),
    ],
    ids=["complete", "a fee alone", "the beginning", "a price", "its digits", "a frame without z", "what rows exceed"],
)
def test_fills_are_lacking_since_the_last_one_that_is_wholly_told(
    evidence: tuple[OrderPush | FillRow, ...], lacks_s: int | None
) -> None:
    """What comes to light of an order comes after that; a fee or a profit that is still to be told changes no fill."""
    order = heard(*evidence)
    derivation = told(order)
    order.pieces, order.incomplete = list(derivation.pieces), derivation.incomplete
    expected = None if lacks_s is None else SECOND + lacks_s * 1_000 if lacks_s else 0
    assert expected == order.lacks_since_ms
