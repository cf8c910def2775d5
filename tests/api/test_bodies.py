"""The bodies of changing calls."""

from __future__ import annotations

import pytest

from ditad.api.answers import Problem
from ditad.api.bodies import object_of, slots_of, why_of


def test_decimals_keep_their_digits() -> None:
    """A JSON number with a fraction or an exponent is its own text, an integer an int, a text a text."""
    expected = {"a": "1.10", "b": 7, "c": "2", "d": "1e400"}
    assert expected == object_of(b'{"a":1.10,"b":7,"c":"2","d":1e400}')


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"1", b"null", b'{"a":NaN}', b'{"a":-Infinity}', b"\xff", b'{"a":1', b'{"a":' + b"9" * 5_000 + b"}"],
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """Anything but one JSON object of finite numbers is a bad request."""
    with pytest.raises(Problem) as refused:
        object_of(body)
    assert 400 == refused.value.status


@pytest.mark.parametrize("body", [b"{}", b'{"why":" "}', b'{"why":1}', b'{"why":"' + b"x" * 501 + b'"}'])
def test_an_adoption_needs_a_reason(body: bytes) -> None:
    """Who adopts says why, in some words and not too many."""
    with pytest.raises(Problem, match="why"):
        why_of(body)


@pytest.mark.parametrize("body", [b"{}", b'{"slots":{}}', b'{"slots":[1]}', b'{"slots":[' + b"{}," * 1_000 + b"{}]}"])
def test_slots_are_a_list_of_objects(body: bytes) -> None:
    """Anything else, or too many, is a bad request."""
    with pytest.raises(Problem, match="slots"):
        slots_of(body)
