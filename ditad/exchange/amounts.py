"""Numbers of the simulated exchange: exact decimals in, the wire's digits out.

Enters: `Decimal`, or text and ints from whoever acts on the venue. Leaves: `Decimal` on the wallet's
grid of 1e-8, and text with a fixed number of decimals. Truth held here: nothing is ever rounded
silently; each rounding has a function with a name. A float never enters.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import cache
from typing import Final

WALLET_DECIMALS: Final = 8
ENTRY_DECIMALS_MAX: Final = 18
# Wide enough for every product of two wallet numbers; a result that does not fit would be a bug.
EXACT: Final = Context(prec=120)
_FORMATS: Final = tuple(f".{decimals}f" for decimals in range(64))

TYPE_ERROR_TEXT: Final = "give money and quantities as Decimal, str or int, never as float"


def decimal_of(value: Decimal | str | int) -> Decimal:
    """Read an exact number; raise `TypeError` for a float and `ValueError` for NaN and infinities."""
    if isinstance(value, float | bool):
        raise TypeError(TYPE_ERROR_TEXT)
    number = Decimal(value)
    if not number.is_finite():
        message = f"{value!r} is not a finite number"
        raise ValueError(message)
    return number


def cut_to_wallet(value: Decimal) -> Decimal:
    """Cut towards zero on the wallet's grid, as the captured commissions are."""
    return value.quantize(_grid(WALLET_DECIMALS), rounding=ROUND_DOWN, context=EXACT)


def round_to_wallet(value: Decimal | Fraction) -> Decimal:
    """Round to the wallet's grid, halves to even."""
    return rounded(value, WALLET_DECIMALS)


def rounded(value: Decimal | Fraction, decimals: int) -> Decimal:
    """Round to `decimals` places, halves to even; exact for fractions of any size."""
    if not isinstance(value, Decimal):
        return ratio_rounded(value.numerator, value.denominator, decimals)
    return value.quantize(_grid(decimals), rounding=ROUND_HALF_EVEN, context=EXACT)


def ratio_rounded(numerator: int, denominator: int, decimals: int) -> Decimal:
    """Round a quotient to `decimals` places, halves to even; `denominator` is above zero."""
    return EXACT.scaleb(Decimal(_nearest(numerator * 10**decimals, denominator)), -decimals)


def round_half_up(value: Decimal, decimals: int) -> Decimal:
    """Round as the REST reports do: halves away from zero."""
    return value.quantize(_grid(decimals), rounding=ROUND_HALF_UP, context=EXACT)


def round_to_tick(value: Decimal | Fraction, tick: Decimal) -> Decimal:
    """Give the multiple of `tick` nearest to `value`, halves to even."""
    (top, bottom), (tick_top, tick_bottom) = value.as_integer_ratio(), tick.as_integer_ratio()
    return EXACT.multiply(Decimal(_nearest(top * tick_bottom, bottom * tick_top)), tick)


def fixed(value: Decimal | Fraction, decimals: int = WALLET_DECIMALS) -> str:
    """Print with exactly `decimals` places, in plain notation and without a negative zero."""
    if not isinstance(value, Decimal):
        value = rounded(value, decimals)
    text = format(EXACT.plus(value), _FORMATS[decimals])  # halves to even; plus turns −0 into 0
    return text if text[0] != "-" or text.strip("-0.") else text[1:]


def plain(value: Decimal) -> str:
    """Print all digits in plain notation, without trailing zeros, exponent or negative zero."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _nearest(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    half = 2 * rest - denominator
    return whole + (half > 0 or (half == 0 and whole % 2 == 1))


@cache
def _grid(decimals: int) -> Decimal:
    return Decimal(1).scaleb(-decimals)
