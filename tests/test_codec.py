"""Records to JSON and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditad.codec import decode, encode
from ditad.events import KIND_OF, KINDS, Body


class Colour(StrEnum):
    """A word."""

    RED = "red"


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A record of its own kind inside others."""

    price: Decimal
    inner: Leaf | None = None


@dataclass(kw_only=True)
class Tree:
    """One field of each kind that can be read back."""

    name: str
    count: int
    big: bool
    colour: Colour
    leaves: list[Leaf]
    pair: tuple[str, int]
    many: tuple[Decimal, ...]
    named: dict[str, Leaf | None]
    grown: int = 3
    made: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class Odd:
    """Hold what cannot be read back."""

    value: Any


def tree() -> Tree:
    """Give a full record."""
    leaf = Leaf(price=Decimal("28396.50000000"), inner=Leaf(price=Decimal("1E+2")))
    return Tree(
        name="x",
        count=2**62,
        big=True,
        colour=Colour.RED,
        leaves=[leaf],
        pair=("a", 1),
        many=(Decimal(1),),
        named={"a": leaf, "b": None},
    )


def test_a_record_comes_back_equal_with_all_its_digits() -> None:
    """Trailing zeros too: they tell a figure's resolution."""
    back = decode(Tree, encode(tree()))
    assert (tree(), "28396.50000000") == (back, str(back.leaves[0].price))


@settings(max_examples=100)
@given(
    st.recursive(
        st.none(), lambda inner: st.builds(Leaf, price=st.decimals(allow_nan=False, allow_infinity=False), inner=inner)
    )
)
def test_any_record_comes_back_equal(inner: Leaf | None) -> None:
    """Whatever its figures and depth."""
    leaf = Leaf(price=Decimal(0), inner=inner)
    assert leaf == decode(Leaf, encode(leaf))


def test_a_missing_field_takes_its_default() -> None:
    """A record may grow fields, and old journals are still read."""
    assert Leaf(price=Decimal(1), inner=None) == decode(Leaf, b'{"price":"1"}')


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"price":"1","colour":2}',
        b'{"price":1}',
        b'{"price":1.5}',
        b'{"price":null}',
        b'{"price":"x"}',
        b'{"price":"NaN"}',
        b'{"price":"1","inner":"1"}',
    ],
)
def test_bytes_that_hold_no_such_record_are_a_value_error(data: bytes) -> None:
    """Damage is named as such, never another exception and never a default."""
    with pytest.raises(ValueError, match=r"."):
        decode(Leaf, data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"name":"x"', b'"name":5'),
        (b'"count":4611686018427387904', b'"count":true'),
        (b'"big":true', b'"big":1'),
        (b'"colour":"red"', b'"colour":"blue"'),
        (b'"pair":["a",1]', b'"pair":["a"]'),
        (b'"pair":["a",1]', b'"pair":"ab"'),
        (b'"many":["1"]', b'"many":"1"'),
        (b'"many":["1"]', b'"many":{"1":1}'),
        (b'"made":[]', b'"made":"12"'),
        (b'"b":null', b'"b":[]'),
    ],
)
def test_a_wrong_type_in_a_field_is_a_value_error(old: bytes, new: bytes) -> None:
    """Types are read as they were written: no text for a list, no bool for a number."""
    data = encode(tree())
    assert old in data
    with pytest.raises(ValueError, match=r"."):
        decode(Tree, data.replace(old, new))


def test_an_object_is_due_where_names_are_held() -> None:
    """A list of names is no mapping."""
    data = encode(tree())
    start = data.index(b'"named":') + len(b'"named":')
    end = data.index(b',"grown"')
    with pytest.raises(ValueError, match="dict is due"):
        decode(Tree, data[:start] + b"[]" + data[end:])


@pytest.mark.parametrize(
    "kind",
    [
        "int | str",
        "int | str | None",
        "dict[int, str]",
        "set[str]",
        "float",
    ],
)
def test_an_annotation_that_cannot_be_read_back_is_our_mistake(kind: str) -> None:
    """It is told when the record is first read, not guessed at."""
    made: type[object] = dataclass(type("Made", (), {"__annotations__": {"value": kind}, "__module__": __name__}))
    with pytest.raises(TypeError):
        decode(made, b'{"value":1}')


def test_what_has_no_json_form_is_not_written() -> None:
    """A set has no order and no form."""
    with pytest.raises(TypeError):
        encode(Odd(value={1}))


def test_every_kind_of_event_has_one_word_that_the_journal_can_read() -> None:
    """Kinds and words are one to one, and each kind's reader can be built."""
    bodies: list[type[Body]] = list(KINDS.values())
    told = []
    for body in bodies:
        with pytest.raises(ValueError, match="is due"):
            decode(body, b"[]")
        told.append(KIND_OF[body])
    assert list(KINDS) == told
