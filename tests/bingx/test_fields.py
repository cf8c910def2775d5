"""Scalars of the wire."""

import pytest

from ditad.bingx.fields import described, ms_of, optional_id, optional_ms, optional_switch
from ditad.bingx.wire import NumberText
from ditad.errors import Refusal


@pytest.mark.parametrize("value", [None, "", 0, "0"])
def test_what_is_absent_is_none(value: object) -> None:
    """Nothing, empty text and zero name no id and no time."""
    assert optional_id(value, "i") is None
    assert optional_ms(value, "T") is None


@pytest.mark.parametrize("value", [[], {}, True, 1.5, NumberText("abc"), NumberText("1" * 200), "٣"])
def test_what_is_no_integer_is_refused(value: object) -> None:
    """Lists, switches, floats and digits of other scripts are no ids."""
    with pytest.raises(Refusal, match="i: an integer is due"):
        optional_id(value, "i")


def test_a_time_may_be_quoted() -> None:
    """Digits in quotes are the same time."""
    assert ms_of("1680094514116", "E") == 1680094514116


@pytest.mark.parametrize(
    ("value", "switch"), [(True, True), ("true", True), ("False", False), (False, False), (1, None), (None, None)]
)
def test_a_switch_comes_as_bool_or_text(value: object, switch: bool | None) -> None:
    """``sg`` and ``dualSidePosition`` are text."""
    assert switch is optional_switch(value)


def test_a_description_is_cut_to_its_bound() -> None:
    """What only describes is never refused."""
    assert described("x" * 500) == "x" * 128
    assert described(NumberText("1.5")) is None
