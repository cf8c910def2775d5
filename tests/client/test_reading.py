"""What is read of an answer, and what is said of one that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ditad.client.answers import BODIES, Answer, Divergence, Gap, Snapshot
from ditad.client.asking import record_of
from ditad.client.reading import AnswerError, read
from ditad.records import RecordType
from tests.api.fake_daemon import body_of, record, snapshot_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything(Answer):
    """A field of each kind."""

    text: str
    whole: int
    flag: bool
    length: float
    money: Decimal
    at: datetime
    perhaps: Decimal | None
    many: tuple[Decimal, ...]
    named: Mapping[str, datetime]
    anything: Any
    class_: str = "left out"


SAID: Mapping[str, Any] = {
    "text": "x",
    "whole": 3,
    "flag": True,
    "length": 2,
    "money": "0.10000000000000000001",
    "at": "2026-01-01T00:00:00.000001Z",
    "perhaps": None,
    "many": ["1", "2.5"],
    "named": {"a": "2026-01-01T00:00:00Z"},
    "anything": [{"x": 1}],
}


def test_each_kind_is_read() -> None:
    """Money keeps its digits, moments know their zone, null stays nothing, and what lacks takes its default."""
    found = read(Everything, dict(SAID), "everything")
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    expected = Everything(
        text="x",
        whole=3,
        flag=True,
        length=2.0,
        money=Decimal("0.10000000000000000001"),
        at=midnight.replace(microsecond=1),
        perhaps=None,
        many=(Decimal(1), Decimal("2.5")),
        named={"a": midnight},
        anything=[{"x": 1}],
    )
    assert expected == found
    assert 2.5 == read(Everything, {**SAID, "length": 2.5}, "everything").length


def test_what_a_newer_daemon_says_is_kept_beside() -> None:
    """An unknown field is no error, and stands in `raw`, which neither compares nor shows."""
    newer = read(Everything, {**SAID, "class": "y", "novelty": [1]}, "everything")
    assert ("y", [1]) == (newer.class_, newer.raw["novelty"])
    assert "novelty" not in repr(newer)


@pytest.mark.parametrize(
    ("field", "wrong", "said"),
    [
        ("text", 1, "everything.text is 1, where str is due"),
        ("whole", True, "everything.whole is True, where int is due"),
        ("flag", "true", "everything.flag is 'true', where bool is due"),
        ("length", "2", "everything.length is '2', where float is due"),
        ("money", 1.5, "everything.money is 1.5, where str is due"),
        ("money", "much", "everything.money is 'much', where a number is due"),
        ("money", "NaN", "everything.money is 'NaN', where a number is due"),
        ("money", "-Infinity", "where a number is due"),
        ("at", "yesterday", "everything.at is 'yesterday', where a moment with its zone is due"),
        ("at", "2026-01-01T00:00:00", "where a moment with its zone is due"),
        ("many", ["1", None], r"everything.many\[1\] is None"),
        ("many", {}, "everything.many is dict, where list is due"),
        ("named", {"a": 1}, r"everything.named.a is 1"),
    ],
)
def test_what_cannot_be_read_is_named(field: str, wrong: object, said: str) -> None:
    """The error names the place, what stands there and what is due; nothing is made up in its place."""
    with pytest.raises(AnswerError, match=said):
        read(Everything, {**SAID, field: wrong}, "everything")


def test_what_is_missing_is_named() -> None:
    """A field without a default has to be there."""
    with pytest.raises(AnswerError, match=r"everything.money is missing: bring daemon and client to the same version"):
        read(Everything, {name: value for name, value in SAID.items() if name != "money"}, "everything")


def test_a_snapshot_is_read_whole() -> None:
    """Every ledger, position and verdict, with money as decimals."""
    found = read(Snapshot, snapshot_of(7), "snapshot")
    assert (7, Decimal("100.5"), True) == (found.event_seq, found.published.capital, found.published.usable)
    assert [("BTC-USDT", "SHORT", Decimal("0.1878"))] == [
        (each.symbol, each.side, each.entry_price) for each in found.e.positions if each.side == "SHORT"
    ]
    assert found.ts.tzinfo is not None
    assert found.e.maint_margin is None


@pytest.mark.parametrize("kind", list(RecordType))
def test_each_type_of_record_is_read(kind: RecordType) -> None:
    """A line of the stream becomes a record whose body is of its type."""
    found = record_of({"seq": 4, "type": kind.value, "ts": "2026-01-01T00:00:00Z", kind.value: body_of(kind, 4)})
    assert (4, kind.value, BODIES[kind.value]) == (found.seq, found.type, type(found.body))
    assert found.raw[kind.value] == found.body.raw  # type: ignore[union-attr]  # it has one


def test_words_that_python_keeps_have_a_line_behind_them() -> None:
    """`class` and `from` are read as `class_` and `from_`."""
    divergence = read(Divergence, body_of(RecordType.DIVERGENCE, 1), "divergence")
    gap = read(Gap, body_of(RecordType.GAP, 1), "gap")
    assert ("MISMATCH", 2026) == (divergence.class_, gap.from_.year)


@pytest.mark.parametrize("word", ["bookmark", "of_tomorrow"])
def test_a_record_without_a_known_body_is_one_all_the_same(word: str) -> None:
    """A bookmark, and a type that only a newer client knows: its `seq` counts, and all of it is in `raw`."""
    found = record_of({"seq": 9, "type": word, "ts": "2026-01-01T00:00:00Z", word: {"x": 1}})
    assert (9, word, None, {"x": 1}) == (found.seq, found.type, found.body, found.raw[word])


def test_a_line_that_is_no_record_is_refused() -> None:
    """Neither `seq` nor `ts` is guessed."""
    with pytest.raises(AnswerError, match=r"record.seq is missing"):
        record_of({"type": "bookmark"})
    assert 1 == record(1).seq
