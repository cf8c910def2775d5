"""What TRADING_FEE and REALIZED_PNL rows prove of the fills of their second. All figures are synthetic."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ditad.orders import Part, Piece
from ditad.witnesses import FEE, PROFIT, Restated, Witness, amounts_of, exact_fees, proven_fees, told_fees, told_profits

RATES = (Decimal("0.0005"), Decimal("0.0002"))
SLACK = Decimal("0.0000005")


def num(text: str | None) -> Decimal | None:
    """Read a figure; `None` is never told."""
    return None if text is None else Decimal(text)


def piece(
    fee: str | None = "0.05",
    *,
    rp: str | None = "0",
    quote: str = "100",
    slack: Decimal = SLACK,
    single: bool = True,
    trades: tuple[str, ...] = (),
    parts: tuple[str, ...] = (),
) -> Piece:
    """Make a fill; `parts` are the profits of its executions."""
    return Piece(
        z0=Decimal(0),
        z1=Decimal(1),
        quote=Decimal(quote),
        quote_slack=Decimal(0),
        fee=num(fee),
        fee_slack=slack,
        fee_asset="USDT",
        realized_pnl=num(rp),
        realized_slack=Decimal(0),
        single=single,
        trade_ids=trades,
        at_ms=1_700_000_000_000,
        whole_second=True,
        sources=("fill_history",),
        parts=tuple(
            Part(quantity=Decimal(1), quote=Decimal(1), realized_pnl=Decimal(profit), trade_id=None) for profit in parts
        ),
    )


def fees(*told: str) -> list[Decimal]:
    """Give fees as rows tell them."""
    return [Decimal(fee) for fee in told]


def row(kind: str, amount: str, trade: str | None = None) -> Witness:
    """Make a row."""
    return Witness(kind=kind, amount=Decimal(amount), trade_id=trade)


def test_rows_that_name_a_fills_trades_tell_its_fee() -> None:
    """Of two orders of one second with several executions each, whose own rates prove nothing."""
    pieces = [piece("0.123911", trades=("1", "2"), single=False), piece("0.05", trades=("3",), single=False)]
    told = [row(FEE, "0.0500001", "3"), row(FEE, "0.061", "1"), row(FEE, "0.0629113", "2"), row(PROFIT, "5", "1")]
    assert {0: Decimal("0.1239113"), 1: Decimal("0.0500001")} == proven_fees(pieces, told, ())
    assert {1: Decimal("0.0500001")} == proven_fees(pieces, told[:2], ()), "a trade of the first has no row yet"


@pytest.mark.parametrize(
    ("trades", "fee"), [(("1", "2"), "0.0500001"), (("1",), "0.06")], ids=["a row lacks", "a row of another fee"]
)
def test_a_trades_row_that_cannot_be_a_fills_fee_proves_nothing(trades: tuple[str, ...], fee: str) -> None:
    """Whether a frame's id is of the same kind as a row's is not known: it must fit."""
    pieces = [piece("0.05", trades=trades), piece("0.05", trades=("9",))]
    assert {} == proven_fees(pieces, [row(FEE, fee, "1"), row(FEE, "0.07", "8"), row(FEE, "0.01", "7")], ())


def test_what_no_row_names_is_proven_by_what_the_named_leave() -> None:
    """The named row is taken out before the others share the rest."""
    pieces = [piece("0.05", trades=("1",)), piece("0.08", single=False)]
    assert {0: Decimal("0.0500002"), 1: Decimal("0.0800003")} == proven_fees(
        pieces, [row(FEE, "0.0500002", "1"), row(FEE, "0.0400002"), row(FEE, "0.0400001")], ()
    )


# ---- fees -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "told", "expected"),
    [
        ([piece(slack=Decimal(0))], ["0.05"], None),
        ([piece(), piece(None)], ["0.05000012"], None),
        ([piece("0.050000")], ["0.05000012"], ["0.05000012"]),
        ([piece("0.050000")], ["0.05"], ["0.05"]),
        ([piece("0.050000")], ["0.0501"], None),
        ([piece("0.050000"), piece("0.07")], ["0.07000011", "0.05000012"], ["0.05000012", "0.07000011"]),
        ([piece("0.050000", slack=Decimal(0)), piece("0.07")], ["0.07000011", "0.05"], ["0.07000011"]),
    ],
    ids=[
        "nothing is rounded",
        "another is unknown",
        "a single row",
        "exactly as rounded",
        "a row beyond rounding",
        "one row each",
        "beside an exact one",
    ],
)
def test_a_row_of_its_own_tells_a_fills_exact_fee(
    pieces: list[Piece], told: list[str], expected: list[str] | None
) -> None:
    """Where there are as many rows as fills and only one way to give them out."""
    assert (None if expected is None else fees(*expected)) == exact_fees(pieces, fees(*told), RATES)


def test_rows_that_fit_both_fills_are_given_out_by_the_rates() -> None:
    """Either row may be of either fill; at a known rate each fill's quote has one fee, and together they are the rows."""
    pieces = [piece("0.050000", quote="100.0002"), piece("0.050000", quote="100.0004")]
    told = fees("0.0500001", "0.0500002")
    assert told == exact_fees(pieces, told, RATES)
    assert told == exact_fees(pieces, [told[1], told[0]], RATES)


def test_rows_that_fit_both_fills_at_no_known_rate_are_not_given_out() -> None:
    """Both ways of giving them out are possible."""
    pieces = [piece("0.050000", quote="100.0002"), piece("0.050000", quote="100.0004")]
    assert exact_fees(pieces, fees("0.0500001", "0.0500002"), ()) is None


@pytest.mark.parametrize("first", ["0.05", "0.0500001"])
def test_a_fill_at_either_of_two_rates_has_what_is_left(first: str) -> None:
    """The rates are so near to each other that its rounded fee fits both: only the sum tells which it was."""
    pieces = [piece("0.050000"), piece("0.080000", quote="160.0008")]
    told = fees(str(Decimal(first) + Decimal("0.0800004")))
    assert fees(first, "0.0800004") == exact_fees(pieces, told, (Decimal("0.0005"), Decimal("0.000500001")))


def test_what_is_left_is_the_fee_of_the_one_fill_at_no_rate() -> None:
    """Of two fills the sum of one is not an execution's: it has the rest, if its rounding allows that."""
    pieces = [piece("0.050000", quote="100.0002"), piece("0.08", quote="130", single=False)]
    assert fees("0.0500001", "0.08000013") == exact_fees(pieces, fees("0.13000023"), RATES)
    assert exact_fees(pieces, fees("0.14"), RATES) is None


def test_two_fills_at_no_rate_cannot_share_a_sum() -> None:
    """The sum does not say how they do."""
    pieces = [piece("0.05", single=False), piece("0.06", single=False)]
    assert exact_fees(pieces, fees("0.11000009"), RATES) is None


def test_fees_at_a_rate_that_are_not_the_sum_prove_nothing() -> None:
    """A rate that nobody told of may have been in force."""
    pieces = [piece("0.050000", quote="100.0002"), piece("0.050000", quote="100.0004")]
    assert exact_fees(pieces, fees("0.1000001"), RATES) is None


def test_whether_fees_are_cut_or_rounded_is_tried_both_ways() -> None:
    """100.00019·0.0005 is 0.050000095: cut 0.05000009, rounded half even 0.0500001 (bingx.md §4)."""
    pieces = [piece("0.050000", quote="100.00019"), piece("0.050000", quote="100.0006")]
    for told in ("0.10000039", "0.1000004"):
        first = Decimal(told) - Decimal("0.0500003")
        assert [first, Decimal("0.0500003")] == exact_fees(pieces, fees(told), RATES)


def test_the_one_fee_that_nobody_told_is_what_the_rows_leave() -> None:
    """Each execution has its row, and all else is exact."""
    fills = [Restated(piece=piece(fee, slack=Decimal(0)), opens=True) for fee in (None, "0.05")]
    told = [row(FEE, "0.05"), row(FEE, "0.02"), row(PROFIT, "7")]
    assert {0: Decimal("0.02")} == told_fees(fills, told, 2)
    assert {} == told_fees(fills, told, 3), "an execution without a row: a voucher may have paid"
    assert {} == told_fees([*fills, fills[0]], [*told, row(FEE, "1")], 3), "two cannot share"
    rounded = Restated(piece=piece("0.05"), opens=True)
    assert {} == told_fees([fills[0], rounded], told, 2), "what is left would be as rough as the rounding"


def test_rows_are_found_by_their_type() -> None:
    """Fees and profits of one second stand together."""
    assert fees("7") == amounts_of([row(FEE, "0.05"), row(PROFIT, "7")], PROFIT)


# ---- profits ----------------------------------------------------------------------------------------------------------


def closing(rp: str | None = None, *, fee: str = "0.05", trades: tuple[str, ...] = ()) -> Restated:
    """Make a fill that may close."""
    return Restated(piece=piece(fee, rp=rp, trades=trades), opens=False)


OPENING = Restated(piece=piece(rp=None), opens=True)


@pytest.mark.parametrize(
    ("fills", "told", "expected"),
    [
        ([closing()], [row(PROFIT, "10")], {0: "10"}),
        ([closing()], [], {0: "0"}),
        ([OPENING], [], {0: "0"}),
        ([OPENING, closing()], [row(PROFIT, "10")], {0: "0", 1: "10"}),
        ([closing("3"), closing()], [row(PROFIT, "10"), row(PROFIT, "3")], {1: "10"}),
        ([closing("3"), closing()], [row(PROFIT, "10")], {}),
        ([closing("3"), OPENING], [row(PROFIT, "10")], {1: "0"}),
        ([closing("0"), closing()], [row(PROFIT, "10")], {1: "10"}),
        ([closing(), closing()], [], {0: "0", 1: "0"}),
        ([closing(), closing()], [row(PROFIT, "10"), row(PROFIT, "10")], {0: "10", 1: "10"}),
        ([closing(), closing()], [row(PROFIT, "10"), row(PROFIT, "9")], {}),
        ([closing()], [row(PROFIT, "10"), row(PROFIT, "9")], {}),
        ([closing()], [row(FEE, "1"), row(FEE, "1"), row(PROFIT, "9")], {}),
        ([closing("10")], [row(PROFIT, "10")], {}),
    ],
    ids=[
        "one fill, one row",
        "no row, no profit",
        "what opens has none",
        "the one that may close has the row",
        "beside a known one",
        "a known one finds no row",
        "what opens has none, whatever the rows say",
        "a known 0 has no row",
        "several without a row",
        "several with equal rows",
        "several whose rows differ",
        "more rows than executions",
        "more fees than executions",
        "nothing is unknown",
    ],
)
def test_profits_that_no_history_told_are_told_by_their_rows(
    fills: list[Restated], told: list[Witness], expected: dict[int, str]
) -> None:
    """A fill has the row that only it can have; what the rows do not prove stays unknown."""
    assert {place: Decimal(profit) for place, profit in expected.items()} == told_profits(fills, told, len(fills))


def test_each_execution_of_a_known_fill_has_its_own_row() -> None:
    """A fill of two executions made 3 and 4: the third row is the other fill's."""
    fills = [Restated(piece=piece(rp="7", parts=("3", "4")), opens=False), closing()]
    told = [row(PROFIT, amount) for amount in ("4", "10", "3")]
    assert {1: Decimal(10)} == told_profits(fills, told, 3)


def test_rows_of_one_trade_belong_together() -> None:
    """A fee that only one fill can have names its trade, and the trade its profit; one without a row made none."""
    fills = [closing(fee="0.05"), closing(fee="0.07"), closing(fee="0.09")]
    told = [
        row(FEE, "0.07000011", "2"),
        row(FEE, "0.05000012", "1"),
        row(FEE, "0.09", "3"),
        row(PROFIT, "9", "1"),
        row(PROFIT, "10", "2"),
    ]
    assert {0: Decimal(9), 1: Decimal(10), 2: Decimal(0)} == told_profits(fills, told, 3)


def test_a_fill_that_knows_its_trade_finds_its_row() -> None:
    """Fees that are alike say nothing, trade ids do."""
    fills = [closing(trades=("1",)), closing(trades=("2",))]
    told = [row(PROFIT, "9", "1"), row(PROFIT, "10", "2")]
    assert {0: Decimal(9), 1: Decimal(10)} == told_profits(fills, told, 2)


@pytest.mark.parametrize(
    "told",
    [
        [row(FEE, "0.05", "1"), row(FEE, "0.05", "2"), row(PROFIT, "9", "1"), row(PROFIT, "10", "2")],
        [row(FEE, "0.05"), row(PROFIT, "9"), row(PROFIT, "10")],
        [row(FEE, "0.05", "1"), row(PROFIT, "9", "1"), row(PROFIT, "10", "2")],
        [row(FEE, "0.05", "1"), row(PROFIT, "9", "1"), row(PROFIT, "-9", "1")],
    ],
    ids=["two trades of one fee", "no trade ids", "one trade for both", "one trade whose profits make up each other"],
)
def test_fills_that_are_alike_cannot_be_told_apart(told: list[Witness]) -> None:
    """Which of the two made which profit nobody says."""
    assert {} == told_profits([closing(), closing()], told, 2)


def test_a_row_that_no_trade_claims_proves_that_something_is_missing() -> None:
    """Each fill has its trade, but there is a profit beside them."""
    fills = [closing(fee="0.05"), closing(fee="0.07")]
    told = [row(FEE, "0.05", "1"), row(FEE, "0.07", "2"), row(PROFIT, "9", "1"), row(PROFIT, "10", "7")]
    assert {} == told_profits(fills, told, 2)
