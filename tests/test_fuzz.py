"""The fuzz, shortly: every target for a moment, what it found as cases, and the fuzz itself put to the test."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ditad import codec, statements
from ditad.api import bodies
from ditad.api.answers import Problem
from ditad.api.query import moment_us
from ditad.bingx import answer, conditions, normalize, push, rows
from ditad.bingx.budget import Budget
from ditad.bingx.fields import optional_switch
from ditad.bingx.intake import read_market, read_private
from ditad.bingx.normalize import ConfigFilter
from ditad.cli.moments import moment
from ditad.errors import JournalDamagedError, Refusal, VenueError
from ditad.events import PushRejected, Side, StreamChanged, Tick
from ditad.journal.packing import pack, unpack
from ditad.journal.rows import event_of, record_of
from ditad.money import decimal_of
from tests.fuzz import keeping, running
from tests.fuzz.__main__ import main
from tests.fuzz.catalogue import GROUPS, TARGETS, shares

SHORT = {
    "private": 500,
    "market": 300,
    "decode": 400,
    "rows": 700,
    "envelope": 500,
    "scalar": 1_500,
    "span": 400,
    "story": 250,
    "value": 300,
    "packed": 300,
    "file": 60,
    "settings": 200,
    "request": 500,
    "moment": 1_000,
}
"""Inputs of the short run: a second or so each."""

DEEP = b"[" * 1_000 + b"]" * 1_000


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_leads_to_anything_but_a_refusal(name: str) -> None:
    """A short run of each target; `python -m tests.fuzz` makes a million."""
    tally = running.run(TARGETS[name], 20_261_122, SHORT[name])
    assert [] == [failure.report() for failure in tally.failures]
    assert tally.inputs >= SHORT[name]


@pytest.mark.parametrize("name", ["private", "rows", "envelope", "scalar", "request"])
@hypothesis_settings(
    max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(rng=st.randoms(use_true_random=False))
def test_no_input_that_hypothesis_draws_leads_to_anything_but_a_refusal(name: str, rng: Random) -> None:
    """The same targets with every choice made by hypothesis, which tries small and extreme ones first."""
    TARGETS[name].attempt(TARGETS[name].make(rng))


# ---- the fuzz put to the test ---------------------------------------------------------------------------------------


def _broken_side(word: str, field: str) -> Any:
    """Look a side up without asking whether there is one."""
    del field
    return {"BUY": Side.BUY, "SELL": Side.SELL}[word]


def _broken_line(value: object, field: str) -> Any:
    """Take whatever stands there for a list of objects."""
    del field
    return [dict(line) for line in value]  # type: ignore[attr-defined]  # the fault


def _broken_switch(value: Any) -> bool | None:
    """Look a switch up by a value that need not be hashable."""
    return {"true": True, "false": False, True: True, False: False}.get(value)


def _broken_first(row: dict[str, Any], *names: str) -> object:
    """Take one of several spellings for granted."""
    return row[names[0]]


def _broken_amount(value: Any, field: str) -> Decimal:
    """Read a number without refusing what is none."""
    del field
    return Decimal(str(value))


def _broken_object(body: bytes) -> Any:
    """Read JSON without refusing what is none."""
    return orjson.loads(body)


def _broken_push(turn: Any, told: Any) -> None:
    """Take a symbol's contract for granted."""
    _ = [turn.state.contracts[line.symbol].lot for line in told.positions]


PLANTED = [
    ("private", normalize, "side_of", _broken_side, "KeyError"),
    ("private", push, "_lines", _broken_line, "TypeError"),
    ("private", push, "decimal_of", _broken_amount, "InvalidOperation"),
    ("rows", rows, "optional_switch", _broken_switch, "TypeError"),
    ("rows", rows, "_first", _broken_first, "KeyError"),
    ("request", bodies, "object_of", _broken_object, "JSONDecodeError"),
    ("story", statements, "fold_account_push", _broken_push, "KeyError"),
]


@pytest.mark.parametrize(
    ("name", "module", "function", "fault", "kind"), PLANTED, ids=lambda part: getattr(part, "__name__", str(part))
)
def test_a_planted_fault_is_found_and_replayed(
    name: str, module: Any, function: str, fault: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the inputs of the short run; the report says how to make the input again, and it can be cut shorter."""
    target = TARGETS[name]
    monkeypatch.setattr(module, function, fault)
    tally = running.run(target, 20_261_122, SHORT[name])
    found = [failure for failure in tally.failures if failure.where[0] == kind]
    assert found, f"only {[failure.where for failure in tally.failures]}"
    again = running.replay(target, found[0].seed, found[0].index)
    assert again is not None
    assert (again.where, again.given) == (found[0].where, found[0].given)
    short = running.shrunk(target, again)
    assert short.where == again.where
    assert len(repr(short.given)) <= len(repr(again.given))
    assert f"python -m tests.fuzz --target {name} --replay 20261122:{found[0].index}" in short.report()
    monkeypatch.undo()
    assert running.replay(target, found[0].seed, found[0].index) is None


@pytest.mark.parametrize("name", TARGETS)
def test_an_input_depends_on_seed_and_index_alone(name: str) -> None:
    """Whatever was tried before it."""
    target = TARGETS[name]
    inputs = [target.make(running.generator(target, 3, index)) for index in (7, 8, 7)]
    assert inputs[0] == inputs[2]
    assert target.make(running.generator(target, 4, 7)) != inputs[0] or name == "moment"


def test_the_command_counts_replays_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 where all holds, 1 with a way to replay where something does not."""
    assert 0 == main(["--target", "scalar", "--inputs", "50"])
    assert "50 inputs" in capsys.readouterr().out
    assert 0 == main(["--target", "answers", "--inputs", "40", "--seed", "2", "--seconds", "60"])
    assert 4 == len(capsys.readouterr().out.splitlines())
    assert 0 == main(["--target", "scalar", "--replay", "1:7"])
    assert "it holds" in capsys.readouterr().out
    monkeypatch.setattr(rows, "_first", _broken_first)
    assert 1 == main(["--target", "rows", "--inputs", "500"])
    said = capsys.readouterr().out
    assert "KeyError" in said
    replay = said[said.index("--replay ") :].split()[1]
    assert 1 == main(["--target", "rows", "--replay", replay])
    assert "KeyError" in capsys.readouterr().out


def test_a_group_shares_its_inputs_by_weight() -> None:
    """Never fewer than asked for."""
    for group in GROUPS.values():
        assert sum(shares(group, 1_000).values()) >= 1_000
    assert shares(GROUPS["keeping"], 1_000)["file"] < shares(GROUPS["keeping"], 1_000)["moment"]


# ---- what it found --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [b'"code":%b,"msg":""', b'"code":1,"msg":%b'])
def test_an_answer_nested_deeply_is_refused_and_not_written_out(field: bytes) -> None:
    """What is nested deeply enough has no text."""
    frame = b'{"id":"",' + field % DEEP + b"}"
    for understood in (read_private(frame, ConfigFilter(), 65_536), read_market(frame, 65_536)):
        body = understood.bodies[0]
        assert isinstance(body, PushRejected)
        assert not body.money


def test_a_switch_nested_deeply_was_not_stated() -> None:
    """And neither is a permission."""
    deep: list[Any] = []
    for _ in range(2_000):
        deep = [deep]
    assert optional_switch(deep) is None
    assert conditions.may_withdraw({"permissions": [deep, 2]}) is False
    with pytest.raises(Refusal, match="dualSidePosition"):
        conditions.hedge_mode({"dualSidePosition": deep})


def test_no_reason_holds_what_could_be_a_key() -> None:
    """A reason quotes what the exchange said, which may be a listen key."""
    key = "0123456789abcdef" * 4
    for frame in (b'{"id":"","code":1,"msg":"%b"}', b'{"e":"%b"}'):
        body = read_private(frame % key.encode(), ConfigFilter(), 65_536).bodies[0]
        assert isinstance(body, PushRejected)
        assert key not in body.reason
        assert "…" in body.reason


@pytest.mark.parametrize("text", ["2e-1000100", "1e-999999999999999999", "0." + "9" * 62, "-1." + "0" * 59 + "1"])
def test_a_number_with_more_digits_than_money_is_never_rounded(text: str) -> None:
    """Neither to 0, below the range of a context, nor to its neighbour."""
    with pytest.raises(Refusal, match="more digits than money has"):
        decimal_of(text, "x")


@pytest.mark.parametrize("text", ["1_000.0000000000000", "٣٣٣٣٣.٣٣٣٣٣٣٣٣٣٣٣٣٣"])
def test_digits_that_only_python_reads_are_no_number_of_a_row(text: str) -> None:
    """As anywhere else."""
    with pytest.raises(Refusal, match="a number is due"):
        rows.stated(text, "x")


def test_a_code_that_is_none_of_the_exchange_is_not_repeated() -> None:
    """It would make a message of any length."""
    answered = answer.Answered(status=200, body=b'{"code":"' + b"x" * 5_000 + b'"}', at_ms=1)
    with pytest.raises(VenueError) as caught:
        answer.data_of(answered, "balance")
    assert caught.value.retryable
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("stated", ["0", "-1", "999999999999999"])
def test_a_clock_out_of_its_bounds_is_refused(stated: str) -> None:
    """Every moment asked at is made with it."""
    with pytest.raises(Refusal, match="serverTime"):
        conditions.server_ms({"serverTime": stated})


@pytest.mark.parametrize("header", ["²", "٣", "9" * 5_000])
def test_a_limit_that_is_no_number_is_not_heeded(header: str) -> None:
    """Headers hold what they like."""
    budget = Budget(2.0)
    budget.told(header, header, 0.0, 1)
    assert 0.0 == budget.held_until
    budget.told("0", header, 0.0, 1)
    assert budget.held_until > 0.0


def test_what_the_journal_cannot_read_is_a_value_error_however_deep() -> None:
    """The error shows no more of it than its type."""
    with pytest.raises(ValueError, match="int is due, got list"):
        codec.decode(Tick, b'{"due_us":' + DEEP + b"}")
    with pytest.raises(ValueError, match="StreamState is due, got dict"):
        codec.decode(StreamChanged, b'{"state":{},"detail":"","at_ms":null}')


def test_a_row_of_the_journal_without_a_value_is_damage() -> None:
    """A NULL where none may be."""
    good = pack(codec.encode(Tick(due_us=1)))
    for row in ((1, None, None, "tick", good, None), (1, 1, "x", "tick", good, None), (1, 1, 1, "tick", None, None)):
        with pytest.raises(JournalDamagedError):
            event_of(row)
    with pytest.raises(JournalDamagedError):
        record_of((1, 1, None, 1, None, None, good))  # type: ignore[arg-type]  # what a damaged file gives
    with pytest.raises(JournalDamagedError):
        unpack(None)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_moment_out_of_all_years_is_no_moment(text: str) -> None:
    """Its zone leads out of them."""
    with pytest.raises(ValueError, match="between the years"):
        moment_us(text)


def test_a_moment_of_an_early_year_is_written_as_the_socket_reads_it() -> None:
    """With four digits of the year."""
    assert "0041-01-09T00:00:00.000000Z" == moment("0041-01-09", keeping.NOW)


def test_a_reason_with_half_a_character_is_refused() -> None:
    """A lone surrogate can be said in JSON, and could not be journaled."""
    with pytest.raises(Problem):
        bodies.why_of(b'{"why":"\\ud800"}')
    assert "\U0001f600" == bodies.why_of(b'{"why":"\\ud83d\\ude00"}')


@pytest.mark.parametrize("price", ["100000000", "999999999999999", "0.0000000000000001"])
def test_a_mark_that_is_no_price_is_refused(price: str) -> None:
    """It meets quantities of any size, and the sum of notionals would not fit the digits of a sum."""
    frame = b'{"code":0,"dataType":"BTC-USDT@markPrice","data":{"E":1760001628357,"s":"BTC-USDT","p":"%b"}}'
    body = read_market(frame % price.encode(), 65_536).bodies[0]
    assert isinstance(body, PushRejected)
    assert "data.p: no price is like that" == body.reason
    row = {"symbol": "X", "positionSide": "LONG", "positionAmt": "1", "avgPrice": "1", "markPrice": price}
    if price[0] != "0":  # what is finer than a binary float shows is taken off a row before it is judged
        with pytest.raises(Refusal, match="markPrice"):
            rows.position_rows([row])


def test_a_fee_rate_is_a_share() -> None:
    """It is multiplied with the quote of a fill."""
    with pytest.raises(Refusal, match="a share is due"):
        conditions.fee_rates({"takerCommissionRate": "1", "makerCommissionRate": "0.1"})
