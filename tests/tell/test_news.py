"""What is told of divergences and gaps: each change of a state once, and the end of what was told."""

from __future__ import annotations

import orjson
import pytest

from ditad.tell import news
from ditad.tell.news import News
from tests.tell.noting import of


def heard(least: str, *told: tuple[str, str, str, str], before: dict[str, str] | None = None) -> list[str]:
    """Give what is told of records: each a type, an id, a state and, of a divergence, its severity."""
    judge = News("main", least=least, told=before or {})
    found = [
        judge.hear(of(kind, name, state, seq, **({"severity": severity} if severity else {})).line)
        for seq, (kind, name, state, severity) in enumerate(told, 1)
    ]
    return [f"{telling.seq} {telling.news} {telling.severity}" for telling in found if telling is not None]


def test_each_state_is_told_once() -> None:
    """A record that repeats the state of its divergence, with another amount or class, is no news."""
    assert ["1 divergence.opened WARN", "3 divergence.confirmed ERROR", "5 divergence.healed OK"] == heard(
        "WARN",
        ("divergence", "d1", "open", "WARN"),
        ("divergence", "d1", "open", "WARN"),
        ("divergence", "d1", "confirmed", "ERROR"),
        ("divergence", "d1", "confirmed", "ERROR"),
        ("divergence", "d1", "healed", "OK"),
    )


def test_a_gap_is_told_when_it_opens_and_when_it_is_over_for_good() -> None:
    """Provisionally closed it is no news, nor is it when it is open again; two gaps are told apart."""
    assert ["1 gap.opened WARN", "2 gap.opened WARN", "5 gap.final OK", "6 gap.unclosable ERROR"] == heard(
        "WARN",
        ("gap", "g1", "open", ""),
        ("gap", "g2", "open", ""),
        ("gap", "g1", "provisional", ""),
        ("gap", "g1", "open", ""),
        ("gap", "g1", "final", ""),
        ("gap", "g2", "unclosable", ""),
        ("gap", "g2", "unclosable", ""),
    )


def test_the_filter_passes_errors_and_their_ends() -> None:
    """What was never told has no end that is; an adopted divergence has one."""
    assert ["2 divergence.confirmed ERROR", "4 divergence.adopted OK", "6 gap.unclosable ERROR"] == heard(
        "ERROR",
        ("divergence", "d1", "open", "WARN"),
        ("divergence", "d1", "confirmed", "ERROR"),
        ("divergence", "d2", "open", "WARN"),
        ("divergence", "d1", "adopted", "OK"),
        ("gap", "g1", "open", ""),
        ("gap", "g1", "unclosable", ""),
        ("divergence", "d2", "healed", "OK"),
    )


def test_what_was_told_in_another_life_is_remembered() -> None:
    """After a restart neither the same state is told again nor an end forgotten."""
    assert ["2 divergence.healed OK"] == heard(
        "WARN", ("divergence", "d1", "open", "WARN"), ("divergence", "d1", "healed", "OK"), before={"d1": "open"}
    )


def test_what_comes_again_is_news_again() -> None:
    """An id that was over is told anew."""
    assert ["1 gap.opened WARN", "2 gap.final OK", "3 gap.opened WARN"] == heard(
        "WARN", ("gap", "g1", "open", ""), ("gap", "g1", "final", ""), ("gap", "g1", "open", "")
    )


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound the one heard of longest ago is forgotten: its end is not told."""
    monkeypatch.setattr(news, "TOLD_MAX", 2)
    opened = [("gap", f"g{number}", "open", "") for number in (1, 2, 3)]
    ends = [("gap", f"g{number}", "final", "") for number in (1, 2, 3)]
    assert [4, 3] == [len(heard("WARN", *opened, ends[2])), len(heard("WARN", *opened, ends[0]))]


def test_a_telling_is_the_record_and_what_a_receiver_sorts_by() -> None:
    """One line: account, news, severity, how many are missing before it, and the record as the stream has it."""
    record = of("gap", "g1", "open", 7)
    telling = News("main", least="WARN", told={}).hear(record.line)
    assert telling is not None
    line = telling.body(2)
    head = {"account": "main", "news": "gap.opened", "severity": "WARN", "missed": 2}
    assert head | orjson.loads(record.line) == orjson.loads(line)
    assert (b"\n", 1) == (line[-1:], line.count(b"\n"))
    assert {"g1": "open"} == telling.told
