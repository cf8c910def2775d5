"""Exact decimals from text and back."""

from __future__ import annotations

from decimal import Decimal, Inexact
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditad.errors import Refusal
from ditad.money import (
    DERIVED,
    add,
    bounded,
    decimal_of,
    exact_sum,
    half_step,
    mul,
    number_of,
    optional_decimal,
    plain,
    plain_or_none,
    ratio,
    share,
    sub,
)

AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, places=18)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("28396.50000000", "28396.50000000"),
        (" 1.5 ", "1.5"),
        (7, "7"),
        (Decimal("0.10"), "0.10"),
        ("1e-8", "1E-8"),
        ("0E-8", "0E-8"),
        ("0e400", "0"),
        ("1.000000000000000000000000000000", "1"),
        ("999999999999999.99", "999999999999999.99"),
        ("-0.33699650000000003", "-0.33699650000000003"),
    ],
)
def test_a_number_keeps_the_digits_it_was_written_with(value: object, text: str) -> None:
    """Digits tell the resolution; only zeros beyond all bounds go."""
    assert text == str(decimal_of(value, "wb"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "abc",
        "1" * 65,
        "NaN",
        "sNaN",
        "Infinity",
        "-inf",
        "1e400",
        "1e-400",
        "1e99999999999999999999",
        "1_000",
        "１２",
        "0.1234567890123456789",
        "12345678901234567890.123456789",
        "1000000000000000",
        10**15,
        -(10**15),
        Decimal(1).scaleb(15),
        Decimal("1." + "0" * 70 + "1"),
        True,
        1.5,
        None,
        [],
    ],
    ids=repr,
)
def test_what_is_no_money_is_refused_and_never_zero(value: object) -> None:
    """Garbage, NaN, infinities, too many digits, floats and bools name the field they came in."""
    with pytest.raises(Refusal, match=r"^wb: "):
        decimal_of(value, "wb")


@pytest.mark.parametrize("value", [None, ""])
def test_what_was_never_stated_is_none(value: object) -> None:
    """Not 0."""
    assert optional_decimal(value, "ap") is None


def test_what_was_stated_is_read() -> None:
    """An optional number is read as any other."""
    assert Decimal("0.0") == optional_decimal("0.0", "ap")


def test_blank_text_is_not_an_absent_number() -> None:
    """Only empty text is."""
    with pytest.raises(Refusal):
        optional_decimal(" ", "ap")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-7, "1E-7"),
        (0.1 + 0.2 - 0.3, "5.6E-17"),
        (-1e-30, "0"),
        (5, "5"),
        ("2.50", "2.50"),
    ],
)
def test_a_users_float_counts_by_its_shortest_text(value: object, number: str) -> None:
    """Binary noise below 18 decimals is no reason to refuse."""
    assert Decimal(number) == number_of(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e16, "x", None, True], ids=repr)
def test_a_users_garbage_is_a_value_error(value: object) -> None:
    """With the name of what was given."""
    with pytest.raises(ValueError, match=r"^fee: "):
        number_of(value, "fee")


@settings(max_examples=100)
@given(st.floats(min_value=-1e14, max_value=1e14))
def test_a_float_that_has_money_s_digits_is_kept_exactly(value: float) -> None:
    """Its shortest text, unless that goes beyond 18 decimals."""
    kept = Decimal(repr(value))
    assert abs(number_of(value) - kept) <= Decimal("5E-19")


@settings(max_examples=100)
@given(st.lists(AMOUNTS))
def test_sums_are_exact_in_any_order(amounts: list[Decimal]) -> None:
    """Adding forwards and taking away backwards leaves nothing."""
    left = exact_sum(amounts)
    for amount in reversed(amounts):
        left = sub(left, amount)
    assert not left


def test_what_would_need_rounding_raises() -> None:
    """No sum or product rounds silently."""
    with pytest.raises(Inexact):
        add(Decimal(1).scaleb(50), Decimal(1).scaleb(-50))


@settings(max_examples=100)
@given(AMOUNTS, AMOUNTS)
def test_products_of_bounded_numbers_are_exact(left: Decimal, right: Decimal) -> None:
    """28 digits each way are at most 56."""
    left, right = bounded(left, "x"), bounded(right, "y")
    assert mul(left, right) == mul(right, left)


def test_a_ratio_is_rounded_half_even_to_its_step() -> None:
    """Averages are shown to 18 decimals."""
    assert ("0.666666666666666667", "0.12") == (
        str(ratio(Decimal(2), Decimal(3))),
        str(ratio(Decimal(1), Decimal(8), Decimal("0.01"))),
    )


@settings(max_examples=100)
@given(st.integers(1, 10**20), st.integers(1, 10**20), st.integers(1, 10**20))
def test_shares_add_up_to_the_whole(amount: int, part: int, rest: int) -> None:
    """To the 36th decimal, with no error of an intermediate rounding."""
    whole = Decimal(part + rest)
    parts = [share(Decimal(amount), Decimal(one), whole) for one in (part, rest)]
    assert abs(exact_sum(parts) - amount) <= Decimal("1E-36")


@given(AMOUNTS, AMOUNTS, AMOUNTS.filter(bool))
def test_a_share_is_the_exact_quotient_rounded_once(amount: Decimal, part: Decimal, whole: Decimal) -> None:
    """Whatever the signs: half even, at the 36th decimal."""
    expected = round(Fraction(amount) * Fraction(part) / Fraction(whole) * 10**36)
    assert str(Decimal(expected).scaleb(-36, context=DERIVED)) == str(share(amount, part, whole))


@pytest.mark.parametrize(("amount", "expected"), [("1E-36", "0E-36"), ("3E-36", "2E-36"), ("-1E-36", "0E-36")])
def test_half_a_step_of_a_share_goes_to_the_even_one(amount: str, expected: str) -> None:
    """Also where the whole is negative on both sides."""
    for sign in (1, -1):
        assert expected == str(share(Decimal(amount), Decimal(sign), Decimal(2 * sign)))


@pytest.mark.parametrize(("text", "slack"), [("28396.50000000", "5E-9"), ("100", "0.5"), ("0.1", "0.05")])
def test_digits_tell_how_far_a_figure_may_be_off(text: str, slack: str) -> None:
    """Half a unit of the last place."""
    assert Decimal(slack) == half_step(Decimal(text))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1.500", "1.5"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-8", "0.00000001"),
        ("-0", "0"),
        ("0E-9", "0"),
        ("-2.0", "-2"),
    ],
)
def test_plain_text_has_no_exponent_no_trailing_zeros_and_no_minus_zero(number: str, text: str) -> None:
    """As a ledger writes it."""
    assert text == plain(Decimal(number))


def test_what_was_never_stated_is_written_as_none() -> None:
    """And what was, as text."""
    assert (None, "1") == (plain_or_none(None), plain_or_none(Decimal("1.0")))
