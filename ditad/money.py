"""Exact decimals from the venue's own digits, and back to plain text.

What enters: strings and ints as the exchange wrote them (a JSON float only as its own text, see `bingx.wire`).
What leaves: finite `Decimal` inside stated bounds, with the digits kept (``"28396.50000000"`` keeps eight decimals,
so the resolution of a figure can be read off it).
What holds: nothing here ever rounds silently. Sums and products run in `EXACT`, which traps `Inexact`; divisions name
their rounding. The bounds make that safe: 28 significant digits each way is at most 56 in a product, 60 are there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
)
from functools import reduce

from ditad.errors import Refusal

EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, FloatOperation])
"""The context of every sum and product of money: a result that would need rounding raises instead."""

DERIVED = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow, FloatOperation])
"""The context of averages and ratios, which are derived and may round at the 60th digit."""

ZERO = Decimal(0)
SIGNIFICANT_DIGITS_MAX = 28
ABSOLUTE_BOUND = Decimal(10) ** 15
DECIMALS_MAX = 18
QUOTE_BOUND = Decimal(10) ** 18
MARK_BOUND = Decimal(10) ** 8
MARK_DECIMALS_MAX = 15
"""A mark meets any quantity, so it has narrower bounds: sums of notionals must fit `EXACT` beside costs of 36 decimals."""
TEXT_LENGTH_MAX = 64
_WHOLE_TEXT = Context(prec=TEXT_LENGTH_MAX, traps=[Inexact])
"""Holds every digit that a text may have, so that taking trailing zeros off never rounds."""
_COMMON = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,13})?").fullmatch
"""The form of nearly every number of the venue: inside all bounds by its length alone."""
AVERAGE_STEP = Decimal(1).scaleb(-18)
SHARE_STEPS = 10**36
COST_STEP = Decimal(1).scaleb(-36)
"""Costs of open positions are kept this fine, so that the shown 18 decimals never feel a rounding."""


def decimal_of(value: object, field: str) -> Decimal:
    """Read a number that must be there, from text or int.

    Raises `Refusal` naming the field for anything else: empty text, NaN, infinities, bools, floats (which have lost
    their digits already), more than 28 significant digits, 10**15 and beyond, finer than 18 decimals.
    """
    if isinstance(value, str):
        if _COMMON(value):
            return Decimal(value)
        text = value.strip()
        if not text or len(text) > TEXT_LENGTH_MAX or not text.isascii() or "_" in text:
            raise Refusal(f"{field}: a number is due, got {value[:40]!r}")
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise Refusal(f"{field}: a number is due, got {value[:40]!r}") from None
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= ABSOLUTE_BOUND:
            raise Refusal(f"{field}: out of bounds")
        number = Decimal(value)
    elif isinstance(value, Decimal):
        number = value
    else:
        raise Refusal(f"{field}: a number is due, got {type(value).__name__}")
    return bounded(number, field)


def bounded(number: Decimal, field: str) -> Decimal:
    """Give the number back if it is finite and inside the bounds this module states; raise `Refusal` otherwise."""
    if not number.is_finite():
        raise Refusal(f"{field}: a finite number is due, got {number}")
    if not number:
        return number if -DECIMALS_MAX <= _exponent(number) <= 0 else ZERO
    if number.adjusted() >= ABSOLUTE_BOUND.adjusted() or len(number.as_tuple().digits) > TEXT_LENGTH_MAX:
        raise Refusal(f"{field}: out of bounds")
    if _exponent(number) >= -DECIMALS_MAX and len(number.as_tuple().digits) <= SIGNIFICANT_DIGITS_MAX:
        return number
    if number.adjusted() < -DECIMALS_MAX:  # said first: what lies under a context's range would be normalized to 0
        raise Refusal(f"{field}: more digits than money has")
    # Trailing zeros beyond the bounds carry nothing; any other digit there is more than money has.
    short = number.normalize(_WHOLE_TEXT)
    if _exponent(short) < -DECIMALS_MAX or len(short.as_tuple().digits) > SIGNIFICANT_DIGITS_MAX:
        raise Refusal(f"{field}: more digits than money has")
    return short


def is_mark(number: Decimal) -> bool:
    """Say whether a mark is inside its own bounds; the border lets no other in, old journals may hold some."""
    return abs(number) < MARK_BOUND and _exponent(number.normalize(DERIVED)) >= -MARK_DECIMALS_MAX


def mark_bounded(number: Decimal, field: str) -> Decimal:
    """Give a mark back if it is inside its own bounds; raise `Refusal` otherwise."""
    if not is_mark(number):
        raise Refusal(f"{field}: no price is like that")
    return number


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "a finite decimal has an integer exponent"
    return exponent


def optional_decimal(value: object, field: str) -> Decimal | None:
    """Read a number that may be absent: `None` and empty text are *never stated*; anything else as `decimal_of`."""
    if value is None or value == "":
        return None
    return decimal_of(value, field)


def number_of(value: object, field: str = "value") -> Decimal:
    """Read a number given by a user of the public projection: a float counts by its shortest decimal text.

    A float's noise beyond `DECIMALS_MAX` decimals is rounded off (``5.551115123125783e-17`` is no money); other
    numbers must be inside the bounds. Raises `ValueError` where a finite number inside the bounds is due and something else is given; it never becomes 0.
    """
    try:
        if isinstance(value, float) and math.isfinite(value) and abs(value) < ABSOLUTE_BOUND:
            value = DERIVED.quantize(Decimal(repr(value)), AVERAGE_STEP).normalize(DERIVED)
        return decimal_of(repr(value) if isinstance(value, float) else value, field)
    except Refusal as exc:
        raise ValueError(exc.reason) from None


Operation = Callable[[Decimal, Decimal], Decimal]

# The context's own methods: a call for each would cost as much again as the sum.
add: Operation = EXACT.add
"""Add two amounts without rounding."""

sub: Operation = EXACT.subtract
"""Subtract two amounts without rounding."""

mul: Operation = EXACT.multiply
"""Multiply two amounts without rounding."""


def exact_sum(numbers: Iterable[Decimal]) -> Decimal:
    """Add without rounding."""
    return reduce(add, numbers, ZERO)


def ratio(numerator: Decimal, denominator: Decimal, step: Decimal = AVERAGE_STEP) -> Decimal:
    """Divide, rounded half even to `step`; for averages, which are derived figures."""
    return DERIVED.quantize(DERIVED.divide(numerator, denominator), step)


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Give `amount * part / whole` to 36 decimals, rounded half even, computed without an intermediate rounding."""
    (above, below), (times, over), (held, of) = map(Decimal.as_integer_ratio, (amount, part, whole))
    numerator, denominator = above * times * of * SHARE_STEPS, below * over * held
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    scaled, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and scaled % 2):
        scaled += 1
    return Decimal(scaled).scaleb(-36, context=DERIVED)


def half_step(number: Decimal) -> Decimal:
    """Say how far the true figure may lie from one printed with these digits: half a unit of its last place."""
    return Decimal(5).scaleb(_exponent(number) - 1)


def plain(number: Decimal) -> str:
    """Write a number in plain decimal notation: no exponent, no trailing zeros, no minus zero."""
    if not number:
        return "0"
    text = str(number)
    if "E" in text:
        text = format(number, "f")
    if text[-1] == "0" and "." in text:
        text = text.rstrip("0")
        return text[:-1] if text[-1] == "." else text
    return text


def plain_or_none(number: Decimal | None) -> str | None:
    """Write a number, or `None` where it was never stated."""
    return None if number is None else plain(number)
