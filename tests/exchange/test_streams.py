"""The websocket streams under a clock of our own: keys, heartbeats, floods, topics."""

from __future__ import annotations

import gzip

import orjson
import pytest

from ditad.exchange import Close, Dialect, Send, StreamRefused, Timing, numbered_contracts
from ditad.exchange.dialect import ListenKeyPost, UnknownKey
from ditad.exchange.topics import Topics
from tests.exchange.stage import CoreStage

STRAY = {"id": "", "code": 80014, "msg": "invalid params", "dataType": "", "data": None}


def test_every_frame_is_gzip_even_ping() -> None:
    """The first Ping comes after five seconds, four characters in gzip."""
    stage = CoreStage()
    number = stage.core.connect(None)
    stage.clock.now_ms += 5000
    (act,) = stage.core.poll()
    assert isinstance(act, Send)
    assert (number, b"Ping") == (act.stream, gzip.decompress(act.data))


def test_an_unanswered_ping_ends_in_1006_after_thirty_and_a_half_seconds() -> None:
    """Not a millisecond earlier."""
    stage = CoreStage()
    number = stage.core.connect(None)
    stage.clock.now_ms += 5000
    stage.poll()
    stage.clock.now_ms += 30_499
    assert ["Ping"] == stage.sent(number)
    stage.clock.now_ms += 1
    assert [Close(stream=number, code=1006)] == stage.sent(number)


def test_a_pong_keeps_the_stream_alive() -> None:
    """Answered within the time, twelve pings in a minute pass without an end."""
    stage = CoreStage()
    number = stage.core.connect(None)
    seen = []
    for _ in range(12):
        stage.clock.now_ms += 5000
        seen += stage.sent(number)
        stage.core.streams.receive(number, "Pong")
    assert ["Ping"] * 12 == seen


@pytest.mark.parametrize("text", ["{}", "pong", "", '{"id":"1","reqType":"sub","dataType":"BTC-USDT@markPrice"}'])
def test_a_stray_frame_on_the_private_stream_is_answered_80014(text: str) -> None:
    """Whatever it is, even a market subscription."""
    stage = CoreStage()
    number = stage.core.connect(stage.listen_key())
    stage.core.streams.receive(number, text)
    assert [STRAY] == stage.sent(number)


def test_the_configuration_flood_comes_at_connect_and_every_five_seconds() -> None:
    """All symbols each time, on the private stream only."""
    stage = CoreStage()
    private, market = stage.core.connect(stage.listen_key()), stage.core.connect(None)
    symbols = list(stage.core.venue.market.contracts)
    for _ in range(3):
        due = stage.poll()
        flood = [frame["ac"]["s"] for frame in due[private] if frame != "Ping"]
        assert symbols == flood
        assert ["Ping"] >= due.get(market, [])
        stage.clock.now_ms += 5000


def test_frames_reach_each_living_key_and_no_other() -> None:
    """Two keys of one account get a copy each; a market stream gets none."""
    stage = CoreStage()
    first, second, market = (
        stage.core.connect(stage.listen_key()),
        stage.core.connect(stage.listen_key()),
        stage.core.connect(None),
    )
    stage.poll()
    stage.main.deposit(1)
    due = stage.poll()
    assert [1, 1, 0] == [len(due.get(number, [])) for number in (first, second, market)]


def test_a_frame_that_is_tampered_with_is_lost_or_forged_on_its_way() -> None:
    """Nothing of it comes later, also by no replay; the books are what they were, and it ends when it ends."""
    stage = CoreStage()
    number = stage.core.connect(stage.listen_key())
    stage.poll()
    stage.core.streams.tamper = lambda _: None
    stage.main.deposit(1)
    stage.core.streams.tamper = lambda frame: {**frame, "E": 7}
    stage.main.deposit(2)
    stage.core.streams.tamper = None
    stage.main.deposit(4)
    wallets = [(frame["E"] == 7, frame["a"]["B"][0]["wb"]) for frame in stage.sent(number)]
    assert [(True, "10003.00000000"), (False, "10007.00000000")] == wallets
    stage.core.faults.force("replay")
    again = stage.core.connect(stage.listen_key())
    assert "10001.00000000" not in [frame["a"]["B"][0]["wb"] for frame in stage.sent(again)]


def test_two_sockets_on_one_key_share_the_frames_between_them() -> None:
    """Each gets a part, together they get all, none comes twice."""
    stage = CoreStage()
    key = stage.listen_key()
    sockets = [stage.core.connect(key) for _ in range(2)]
    stage.poll()
    for _ in range(40):
        stage.main.deposit(1)
    due = stage.poll()
    counts = [len(due[number]) for number in sockets]
    assert 40 == sum(counts)
    assert min(counts) > 5


def test_a_post_that_repeats_the_key_makes_a_bot_take_half_of_our_frames() -> None:
    """With the key in use answered again, the bot's socket stands on our key."""
    stage = CoreStage(dialect=Dialect(listen_key=ListenKeyPost.SAME))
    ours, bots = stage.core.connect(stage.listen_key()), stage.core.connect(stage.listen_key())
    stage.poll()
    for _ in range(40):
        stage.main.deposit(1)
    due = stage.poll()
    assert len(due[ours]) < 40 == len(due[ours]) + len(due[bots])


@pytest.mark.parametrize("notice", [True, False])
def test_a_dead_key_leaves_its_socket_open_pinging_and_silent(notice: bool) -> None:
    """The notice may come or not; after it there are pings and nothing else."""
    stage = CoreStage(timing=Timing(expiry_notice=notice))
    key = stage.listen_key()
    number = stage.core.connect(key)
    stage.poll()
    stage.clock.now_ms += 60 * 60_000 - 1
    stage.poll()
    stage.core.streams.receive(number, "Pong")
    stage.clock.now_ms += 1
    expired = [{"e": "listenKeyExpired", "E": stage.clock.now_ms, "listenKey": key}]
    assert (expired if notice else []) == stage.sent(number)
    stage.main.deposit(1)
    stage.clock.now_ms += 5000
    assert ["Ping"] == stage.sent(number, config=True)


def test_a_made_up_key_meets_silence_or_a_refusal() -> None:
    """Which of them is a dialect."""
    silent = CoreStage()
    number = silent.core.connect("f" * 64)
    silent.main.deposit(1)
    assert [] == silent.sent(number, config=True)
    with pytest.raises(StreamRefused, match="unknown listen key"):
        CoreStage(dialect=Dialect(unknown_key=UnknownKey.REFUSED)).core.connect("f" * 64)


# Market topics.


def subscribe(stage: CoreStage, number: int, topic: str, verb: str = "sub") -> dict[str, object]:
    """Send one question and give its answer."""
    ask = {"id": "7", "reqType": verb, "dataType": topic}
    stage.core.streams.receive(number, orjson.dumps(ask).decode())
    (answer,) = [f for f in stage.sent(number) if isinstance(f, dict) and "id" in f]
    assert isinstance(answer, dict)
    return answer


def test_a_subscription_is_acknowledged_and_marks_come_every_second() -> None:
    """The acknowledgement and the push have the forms of bingx.md §3."""
    stage = CoreStage()
    number = stage.core.connect(None)
    ack = {"id": "7", "code": 0, "msg": "", "dataType": "", "data": None}
    assert ack == subscribe(stage, number, "BTC-USDT@markPrice")
    pushes = []
    for _ in range(4):
        stage.clock.now_ms += 1000
        pushes += stage.sent(number)
    assert 4 == len(pushes)
    expected = {"code": 0, "dataType": "BTC-USDT@markPrice", "data": pushes[-1]["data"]}
    assert expected == pushes[-1]
    assert {"e": "markPriceUpdate", "E": stage.clock.now_ms, "s": "BTC-USDT"} == {
        k: v for k, v in pushes[-1]["data"].items() if k != "p"
    }


@pytest.mark.parametrize("topic", ["NOPE-USDT@markPrice", "BTC-USDT@depth", "", "BTC-USDT"])
def test_an_unknown_topic_is_80015(topic: str) -> None:
    """Symbol or kind that does not exist."""
    stage = CoreStage()
    assert 80015 == subscribe(stage, stage.core.connect(None), topic)["code"]


def test_the_two_hundred_and_first_topic_is_80403_and_the_eleventh_a_second_is_refused() -> None:
    """Both bounds hold per socket."""
    listed = [contract.symbol for contract in numbered_contracts(201)]
    topics = Topics(listed)
    asks = [orjson.dumps({"id": "", "reqType": "sub", "dataType": f"{s}@markPrice"}).decode() for s in listed]
    slow = [topics.receive(ask, 1000 * n)["code"] for n, ask in enumerate(asks)]
    assert [0] * 200 + [80403] == slow
    fast = Topics(listed)
    assert [0] * 10 + [100410] == [fast.receive(ask, 0)["code"] for ask in asks[:11]]


def test_an_unsubscription_ends_the_pushes() -> None:
    """Acknowledged, and then quiet."""
    stage = CoreStage()
    number = stage.core.connect(None)
    subscribe(stage, number, "BTC-USDT@markPrice")
    assert 0 == subscribe(stage, number, "BTC-USDT@markPrice", "unsub")["code"]
    stage.clock.now_ms += 1000
    assert [] == stage.sent(number)


def test_the_next_deadline_is_never_missed() -> None:
    """Jumping from deadline to deadline gives the same acts as waiting every millisecond does."""

    def heard(*, step_by_step: bool) -> list[tuple[int, str]]:
        stage = CoreStage()
        private, _ = stage.core.connect(stage.listen_key()), stage.core.connect(None)
        start, acts = stage.clock.now_ms, []
        while stage.clock.now_ms <= start + 36_000:
            acts += [(stage.clock.now_ms - start, repr(a)) for a in stage.core.poll()]
            due = stage.core.next_due_ms()
            if due is None:
                break
            stage.clock.now_ms = stage.clock.now_ms + 1 if step_by_step else due
        assert private
        return acts

    assert heard(step_by_step=True) == heard(step_by_step=False)
