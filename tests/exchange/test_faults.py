"""Seeded misfortune: the specification's reading, its determinism, and what each fault does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ditad.exchange import AccountSpec, Close, CutKind, Faults, FaultSpec, Freeze, Trader, parse_faults
from tests.exchange.stage import CoreStage

BALANCE = "/swap/v2/user/balance"


def listening(faults: Faults) -> tuple[CoreStage, int]:
    """Give a stage with one private stream whose configuration flood is over."""
    stage = CoreStage(faults=faults)
    number = stage.core.connect(stage.listen_key())
    stage.poll()
    return stage, number


def test_a_specification_is_read() -> None:
    """Names, probabilities and milliseconds; the empty text is no fault at all."""
    expected = FaultSpec(drop=0.01, rest_error=0.05, delay_ms_max=250, skew_ms=-300)
    assert expected == parse_faults(" drop=0.01, rest_error=0.05,delay_ms_max=250,skew_ms=-300 ")
    assert FaultSpec() == parse_faults("")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("drp=0.1", "did you mean drop"),
        ("xyzzy=1", "known are drop"),
        ("drop", "write drop=0.01"),
        ("drop=lots", "'lots' is not a number"),
        ("drop=2", "between 0 and 1"),
        ("drop=nan", "between 0 and 1"),
        ("drop=0.1,drop=0.2", "given twice"),
        ("delay_ms_max=1.5", "is not a number"),
        ("skew_ms=99999999999", "between -86400000"),
        ("drp=1,cut,dup=-1", "drp.*cut lacks.*dup must"),
    ],
)
def test_a_bad_specification_says_all_that_is_wrong(text: str, says: str) -> None:
    """Each mistake is named, with what to write instead."""
    with pytest.raises(ValueError, match=says):
        parse_faults(text)


def story(seed: int) -> list[Any]:
    """Run one hostile story and give all bytes that arrived, and the answers."""
    spec = FaultSpec(drop=0.1, dup=0.1, reorder=0.1, delay=0.1, glitch=0.05, rest_error=0.2, rest_http=0.1)
    stage, _ = listening(Faults(spec, seed=seed))
    trader = Trader(stage.main, seed=5)
    heard: list[Any] = []
    for _ in range(80):
        stage.clock.now_ms += 100
        trader.step()
        heard += stage.core.poll()
        heard.append(stage.ask(BALANCE))
    return heard


def test_the_same_seed_gives_the_same_misfortune() -> None:
    """Byte for byte; another seed gives another."""
    assert story(1) == story(1)
    assert story(1) != story(2)


def test_faults_change_what_is_told_and_never_what_happened() -> None:
    """The books after a hostile story are those after a quiet one."""
    books = []
    for spec in (FaultSpec(), FaultSpec(drop=0.3, dup=0.3, expire_silent=0.1, glitch=0.2)):
        stage, _ = listening(Faults(spec, seed=3))
        trader = Trader(stage.main, seed=3)
        for _ in range(60):
            trader.step()
        books.append(stage.core.venue.books("main"))
    assert books[0] == books[1]


def test_a_dropped_frame_is_lost_and_a_doubled_one_comes_twice() -> None:
    """Three deposits, the first dropped, the second doubled."""
    faults = Faults()
    stage, number = listening(faults)
    faults.force("drop")
    stage.main.deposit(1)
    faults.force("dup")
    stage.main.deposit(2)
    stage.main.deposit(3)
    stage.clock.now_ms += 500
    changes = [frame["a"]["B"][0]["bc"] for frame in stage.sent(number)]
    assert ["2.00000000", "2.00000000", "3.00000000"] == sorted(changes)


def test_a_reordered_frame_comes_after_its_successor() -> None:
    """Held until the next one, or for a second when there is none."""
    faults = Faults()
    stage, number = listening(faults)
    faults.force("reorder")
    stage.main.deposit(1)
    stage.main.deposit(2)
    assert ["2.00000000", "1.00000000"] == [f["a"]["B"][0]["bc"] for f in stage.sent(number)]
    faults.force("reorder")
    stage.main.deposit(3)
    assert [] == stage.sent(number)
    assert stage.core.next_due_ms() == stage.clock.now_ms + 1000
    stage.clock.now_ms += 1000
    assert ["3.00000000"] == [f["a"]["B"][0]["bc"] for f in stage.sent(number)]


def test_a_delayed_frame_comes_within_its_bound() -> None:
    """Not at once, and not later than delay_ms_max."""
    faults = Faults(FaultSpec(delay_ms_max=200))
    stage, number = listening(faults)
    faults.force("delay")
    stage.main.deposit(1)
    assert [] == stage.sent(number)
    stage.clock.now_ms += 200
    assert 1 == len(stage.sent(number))


def test_a_glitch_tells_ten_times_the_position_once() -> None:
    """`pa` is wrong for one frame, `ep` stays, the next frame is right."""
    faults = Faults()
    stage, number = listening(faults)
    stage.main.market_order("ETH-USDT", "BUY", "LONG", 2)
    faults.force("glitch", 3)  # whichever of the three frames is the account's
    stage.main.market_order("ETH-USDT", "BUY", "LONG", 1)
    stage.main.market_order("ETH-USDT", "BUY", "LONG", 1)
    rows = [f["a"]["P"][0]["pa"] for f in stage.sent(number) if f["e"] == "ACCOUNT_UPDATE"]
    assert ["2.00000000", "30.00000000", "4.00000000"] == rows


def test_an_unknown_event_comes_beside_the_frame() -> None:
    """The frame itself is not harmed (the event is synthetic)."""
    faults = Faults()
    stage, number = listening(faults)
    faults.force("unknown_event")
    stage.main.deposit(1)
    assert ["ACCOUNT_UPDATE", "SOMETHING_NEW"] == [f["e"] for f in stage.sent(number)]


@pytest.mark.parametrize(("name", "code"), [("cut", 1001), ("cut_abrupt", 1006)])
def test_a_cut_follows_the_frame_it_struck(name: str, code: int) -> None:
    """The frame still arrives; then the stream ends, and later frames have nowhere to go."""
    faults = Faults()
    stage, number = listening(faults)
    faults.force(name)
    stage.main.deposit(1)
    stage.main.deposit(2)
    assert Close(stream=number, code=code) == stage.sent(number)[1]
    stage.main.deposit(3)
    assert [] == stage.sent(number)


def test_a_half_open_stream_neither_speaks_nor_ends() -> None:
    """No frame, no ping, no close, for ever."""
    faults = Faults()
    stage, number = listening(faults)
    faults.force("half_open")
    stage.main.deposit(1)
    assert Freeze(stream=number) == stage.sent(number)[-1]
    for _ in range(20):
        stage.clock.now_ms += 5000
        stage.main.deposit(1)
        assert [] == stage.sent(number, config=True)


def test_beyond_the_bound_the_oldest_half_open_streams_are_reset() -> None:
    """A hundred stay; the hundred and first resets the first."""
    stage = CoreStage()
    numbers = [stage.core.connect(stage.listen_key()) for _ in range(101)]
    stage.core.streams.cut("main", CutKind.HALF_OPEN)
    assert [Close(stream=numbers[0], code=1006)] == stage.poll()[numbers[0]][-1:]


@pytest.mark.parametrize(("name", "notices"), [("expire", 1), ("expire_silent", 0)])
def test_an_expired_key_delivers_nothing_more(name: str, notices: int) -> None:
    """With or without notice."""
    faults = Faults()
    stage, number = listening(faults)
    faults.force(name)
    stage.main.deposit(1)
    stage.main.deposit(2)
    told = [frame["e"] for frame in stage.sent(number)]
    assert ["ACCOUNT_UPDATE", *["listenKeyExpired"] * notices] == told


def test_a_rest_answer_can_fail_in_every_way() -> None:
    """Business code, HTTP status, half a body, an HTML page, data null, no answer, and late."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    good = stage.ask(BALANCE)
    faults.force("rest_error", code=100004)
    assert (200, 100004) == (good.status, stage.code(BALANCE))
    faults.force("rest_http", code=418)
    assert 418 == stage.ask(BALANCE).status
    faults.force("rest_truncate")
    assert good.body[: len(good.body) // 2] == stage.ask(BALANCE).body
    faults.force("rest_type")
    assert "text/html" == stage.ask(BALANCE).content_type
    faults.force("rest_null")
    assert orjson.loads(stage.ask(BALANCE).body)["data"] is None
    faults.force("rest_drop")
    assert stage.ask(BALANCE).drop
    faults.force("rest_delay")
    assert 0 < stage.ask(BALANCE).delay_ms <= 500
    assert good.body == stage.ask(BALANCE).body


def test_calm_ends_all_probabilities() -> None:
    """Afterwards every frame and every answer is good."""
    faults = Faults()
    stage, number = listening(faults)
    faults.spec = FaultSpec(drop=1, rest_http=1)
    stage.main.deposit(1)
    assert ([], True) == (stage.sent(number), stage.ask(BALANCE).status >= 400)
    faults.calm()
    stage.main.deposit(1)
    assert (1, 200) == (len(stage.sent(number)), stage.ask(BALANCE).status)


def test_forcing_an_unknown_fault_is_refused() -> None:
    """A typo does not pass silently."""
    with pytest.raises(ValueError, match="unknown fault"):
        Faults().force("dorp")


def test_an_account_name_is_not_a_permission() -> None:
    """Specifications of accounts are read as strictly as faults are."""
    with pytest.raises(ValueError, match="permissions are"):
        AccountSpec(name="main", permissions=frozenset({"main"}))
