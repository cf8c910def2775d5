"""The private stream's life: every state with every event, and the conversations that matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ditad.bingx.session import KEY_LIFE_S, Session, State, Timing
from ditad.bingx.turns import (
    Act,
    AskKey,
    Close,
    Ended,
    Expired,
    GiveUp,
    Heard,
    Input,
    KeyFailed,
    KeyIssued,
    KeyRefused,
    KeyRenewed,
    KeyUnknown,
    Open,
    Opened,
    RenewFailed,
    RenewKey,
    Report,
    Start,
    Stop,
    Suspected,
    Wake,
)
from ditad.errors import VenueFatalError
from ditad.events import StreamState

TIMING = Timing(silence_s=15.0, renew_s=1800.0, rotate_s=0.0, backoff_s_min=1.0, backoff_s_max=8.0)
FATAL = VenueFatalError("check the key")
GONE = 99


@dataclass
class Play:
    """A session with its clock: events in, acts out."""

    session: Session
    now: float = 1000.0

    def hear(self, event: Input, *, after: float = 0.0, jitter: float = 0.0) -> list[Act]:
        """Let an event happen some time later."""
        self.now += after
        return self.session.handle(event, now=self.now, jitter=jitter)

    def wake(self) -> list[Act]:
        """Let time pass to the deadline."""
        deadline = self.session.deadline()
        assert deadline is not None, "a deadline is due"
        self.now = deadline
        return self.hear(Wake())


def begun(timing: Timing = TIMING) -> Play:
    """Give a session before its start."""
    return Play(Session(timing))


def asking() -> Play:
    """A key is being asked for, nothing lives."""
    play = begun()
    play.hear(Start())
    return play


def opening() -> Play:
    """Socket 1 is being opened with key A."""
    play = asking()
    play.hear(KeyIssued(key="A"))
    return play


def live(timing: Timing = TIMING) -> Play:
    """Socket 1 lives with key A."""
    play = begun(timing)
    play.hear(Start())
    play.hear(KeyIssued(key="A"))
    play.hear(Opened(sock=1))
    return play


def renewing() -> Play:
    """Socket 1 lives, its key is being renewed."""
    play = live()
    play.hear(Heard(sock=1), after=1799.0)
    assert [RenewKey(key="A")] == play.hear(Wake(), after=1.0)
    return play


def rotating() -> Play:
    """Socket 1 lives, its successor's key is being asked for."""
    play = renewing()
    play.hear(KeyUnknown())
    return play


def overlapping() -> Play:
    """Socket 1 lives with key A, socket 2 is being opened with key B."""
    play = rotating()
    play.hear(KeyIssued(key="B"))
    return play


def closing() -> Play:
    """Key A came again, socket 1 that had it is being closed."""
    play = rotating()
    play.hear(KeyIssued(key="A"))
    return play


def waiting() -> Play:
    """Socket 1 was lost."""
    play = live()
    play.hear(Ended(sock=1, detail="cut"))
    return play


def stopped() -> Play:
    """All is over."""
    play = live()
    play.hear(Stop())
    return play


STATES: dict[State, Callable[[], Play]] = {
    State.IDLE: begun,
    State.ASKING: asking,
    State.OPENING: opening,
    State.LIVE: live,
    State.RENEWING: renewing,
    State.ROTATING: rotating,
    State.OVERLAPPING: overlapping,
    State.CLOSING: closing,
    State.WAITING: waiting,
    State.STOPPED: stopped,
}

EVENTS: dict[str, Input] = {
    "start": Start(),
    "issued A": KeyIssued(key="A"),
    "issued B": KeyIssued(key="B"),
    "key failed": KeyFailed(detail="502", wait_s=0.0),
    "key refused": KeyRefused(error=FATAL),
    "renewed": KeyRenewed(),
    "renew failed": RenewFailed(),
    "key unknown": KeyUnknown(),
    "opened 1": Opened(sock=1),
    "opened 2": Opened(sock=2),
    "ended 1": Ended(sock=1, detail="cut"),
    "ended 2": Ended(sock=2, detail="refused"),
    "ended gone": Ended(sock=GONE, detail="late"),
    "heard 1": Heard(sock=1),
    "heard gone": Heard(sock=GONE),
    "expired 1": Expired(sock=1, key="A"),
    "expired other": Expired(sock=1, key="Z"),
    "expired gone": Expired(sock=GONE, key=""),
    "suspected": Suspected(),
    "wake": Wake(),
    "stop": Stop(),
}


def told(state: StreamState, detail: str = "") -> Report:
    """Give a report."""
    return Report(state=state, detail=detail)


LOST_CUT = told(StreamState.LOST, "cut")
LOST_STOP = told(StreamState.LOST, "stopping")
LOST_EXPIRED = told(StreamState.LOST, "the listen key expired")
SAID_EXPIRED = told(StreamState.KEY_EXPIRED, "the exchange says so")
ISSUED = told(StreamState.KEY_ISSUED, "a new listen key")
CONNECTED = told(StreamState.CONNECTED)
IN_USE = told(StreamState.LOST, "the exchange returned the listen key in use")
UNKNOWN_KEY = told(
    StreamState.KEY_EXPIRED,
    "the exchange no longer knows the listen key; if this recurs, another program uses this API key",
)
EXPIRED_NOW: list[Act] = [SAID_EXPIRED, Close(sock=1), LOST_EXPIRED]

# What each pair leads to; every pair that is not here changes nothing and asks for nothing.
TABLE: dict[tuple[State, str], tuple[State, list[Act]]] = {
    (State.IDLE, "start"): (State.ASKING, [AskKey()]),
    (State.IDLE, "stop"): (State.STOPPED, []),
    (State.ASKING, "issued A"): (State.OPENING, [ISSUED, Open(sock=1, key="A")]),
    (State.ASKING, "issued B"): (State.OPENING, [ISSUED, Open(sock=1, key="B")]),
    (State.ASKING, "key failed"): (State.WAITING, [told(StreamState.REFUSED, "no listen key: 502")]),
    (State.ASKING, "key refused"): (State.STOPPED, [GiveUp(error=FATAL)]),
    (State.ASKING, "stop"): (State.STOPPED, []),
    (State.OPENING, "opened 1"): (State.LIVE, [CONNECTED]),
    (State.OPENING, "ended 1"): (State.WAITING, [told(StreamState.REFUSED, "cut")]),
    (State.OPENING, "stop"): (State.STOPPED, [Close(sock=1)]),
    (State.LIVE, "ended 1"): (State.WAITING, [LOST_CUT]),
    (State.LIVE, "expired 1"): (State.WAITING, EXPIRED_NOW),
    (State.LIVE, "stop"): (State.STOPPED, [Close(sock=1), LOST_STOP]),
    (State.RENEWING, "renewed"): (State.LIVE, [told(StreamState.KEY_RENEWED)]),
    (State.RENEWING, "renew failed"): (State.LIVE, []),
    (State.RENEWING, "key unknown"): (State.ROTATING, [UNKNOWN_KEY, AskKey()]),
    (State.RENEWING, "ended 1"): (State.WAITING, [LOST_CUT]),
    (State.RENEWING, "expired 1"): (State.WAITING, EXPIRED_NOW),
    (State.RENEWING, "stop"): (State.STOPPED, [Close(sock=1), LOST_STOP]),
    (State.ROTATING, "issued A"): (State.CLOSING, [Close(sock=1), IN_USE]),
    (State.ROTATING, "issued B"): (State.OVERLAPPING, [Open(sock=2, key="B")]),
    (State.ROTATING, "key failed"): (State.LIVE, []),
    (State.ROTATING, "key refused"): (State.STOPPED, [Close(sock=1), LOST_STOP, GiveUp(error=FATAL)]),
    (State.ROTATING, "ended 1"): (State.ASKING, [LOST_CUT]),
    (State.ROTATING, "expired 1"): (State.ASKING, EXPIRED_NOW),
    (State.ROTATING, "stop"): (State.STOPPED, [Close(sock=1), LOST_STOP]),
    (State.OVERLAPPING, "opened 2"): (State.LIVE, [Close(sock=1), ISSUED, CONNECTED]),
    (State.OVERLAPPING, "ended 1"): (State.OPENING, [LOST_CUT]),
    (State.OVERLAPPING, "ended 2"): (State.LIVE, []),
    (State.OVERLAPPING, "expired 1"): (State.OPENING, EXPIRED_NOW),
    (State.OVERLAPPING, "stop"): (State.STOPPED, [Close(sock=1), LOST_STOP, Close(sock=2)]),
    (State.CLOSING, "ended 1"): (State.OPENING, [Open(sock=2, key="A")]),
    (State.CLOSING, "stop"): (State.STOPPED, []),
    (State.WAITING, "stop"): (State.STOPPED, []),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", STATES)
def test_each_state_with_each_event(state: State, event: str) -> None:
    """What the table names happens; every other pair, the forbidden ones too, changes nothing."""
    play = STATES[state]()
    assert state is play.session.state
    after, acts = TABLE.get((state, event), (state, []))
    assert acts == play.hear(EVENTS[event])
    assert after is play.session.state


def test_silence_is_told_at_once_and_the_socket_given_up() -> None:
    """Half-open sockets say nothing: after `silence_s` the stream is silent, and lost."""
    play = live()
    assert [
        told(StreamState.SILENT, "no frame for 15 s"),
        Close(sock=1),
        told(StreamState.LOST, "silent"),
    ] == play.wake()
    assert play.session.state is State.WAITING


def test_a_frame_puts_silence_off() -> None:
    """Any frame, Ping included, proves the socket."""
    play = live()
    play.hear(Heard(sock=1), after=10.0)
    assert play.session.deadline() == play.now + 15.0
    assert play.hear(Wake(), after=14.9) == []


def test_a_late_wake_blames_us_and_not_the_exchange() -> None:
    """When our own process slept, what came meanwhile is still unread: a second is left to read it."""
    play = live()
    assert play.hear(Wake(), after=17.0) == []
    assert play.session.deadline() == play.now + 1.0
    acts = play.hear(Wake(), after=1.0)
    assert told(StreamState.SILENT, "no frame for 15 s") == acts[0]


@pytest.mark.parametrize(("make", "after"), [(rotating, State.ASKING), (overlapping, State.OPENING)])
def test_silence_during_a_rotation_leaves_the_successor_alone(make: Callable[[], Play], after: State) -> None:
    """What goes on beside the silent socket goes on."""
    play = make()
    assert told(StreamState.LOST, "silent") in play.wake()
    assert after is play.session.state


def test_a_renewed_key_is_renewed_again_at_half_life() -> None:
    """Jitter draws the renewals of several accounts apart, earlier and never later."""
    play = renewing()
    play.hear(KeyRenewed(), jitter=0.5)
    play.hear(Heard(sock=1), after=1700.0)
    assert play.session.deadline() == play.now + 10.0
    assert [RenewKey(key="A")] == play.hear(Wake(), after=10.0)


def test_a_renewal_that_fails_is_tried_again_soon() -> None:
    """The socket stays; the next attempt is a PUT again, within the key's life."""
    play = renewing()
    play.hear(RenewFailed(), jitter=0.0)
    play.hear(Heard(sock=1), after=14.0)
    assert [RenewKey(key="A")] == play.hear(Wake(), after=1.0)


def test_a_key_that_cannot_be_renewed_is_replaced_before_its_end() -> None:
    """Near the end of its life a new key is asked for while the old one still serves."""
    play = live()
    play.hear(Heard(sock=1), after=1799.0)
    play.hear(Wake(), after=1.0)
    play.hear(RenewFailed())
    play.hear(Heard(sock=1), after=1500.0)
    assert [AskKey()] == play.hear(Wake())
    assert play.session.state is State.ROTATING


def test_a_key_past_its_life_is_dead_behind_a_living_ping() -> None:
    """The socket pings for ever; the key's age since the last proof says that it is dead, once."""
    play = live()
    play.hear(Heard(sock=1), after=1799.0)
    play.hear(Wake(), after=1.0)
    play.hear(RenewFailed())
    play.hear(Heard(sock=1), after=KEY_LIFE_S)
    dead = told(StreamState.KEY_EXPIRED, "the listen key was not renewed within its life")
    assert [dead, AskKey()] == play.hear(Wake())
    play.hear(KeyFailed(detail="502", wait_s=40.0))
    assert play.session.deadline() == play.now + 15.0
    play.hear(Heard(sock=1), after=39.0)
    assert play.hear(Wake()) == []
    assert [AskKey()] == play.hear(Wake(), after=1.0)


def test_silence_of_a_living_key_is_suspected_once_it_is_old_enough() -> None:
    """What REST shows and the stream does not is a dead key, unless the key is brand new."""
    play = live()
    assert play.hear(Suspected(), after=1.0) == []
    play.hear(Heard(sock=1), after=20.0)
    dead = told(
        StreamState.KEY_EXPIRED, "the account moved and the stream said nothing: the listen key is taken for dead"
    )
    assert [dead, AskKey()] == play.hear(Suspected())


def test_a_successor_that_does_not_come_leaves_the_old_socket() -> None:
    """The old key is the key again, with its own age, and a dead one is replaced rather than renewed."""
    play = overlapping()
    play.hear(Ended(sock=2, detail="refused"))
    assert play.session.key == "A"
    play.hear(Heard(sock=1), after=15.0)
    assert [AskKey()] == play.hear(Wake())


def test_the_successor_is_heard_and_the_old_socket_no_more() -> None:
    """After the switch only the new socket proves life, and the end of the old one means nothing."""
    play = overlapping()
    play.hear(Opened(sock=2))
    play.hear(Heard(sock=1), after=5.0)
    assert play.hear(Ended(sock=1, detail="closed by us")) == []
    assert play.session.deadline() == play.now + 10.0


def test_a_planned_rotation_overlaps() -> None:
    """When a rotation is planned, a new key is asked for while the old socket lives."""
    play = live(Timing(silence_s=15.0, renew_s=1800.0, rotate_s=60.0, backoff_s_min=1.0, backoff_s_max=8.0))
    play.hear(Heard(sock=1), after=59.0)
    assert [AskKey()] == play.wake()
    assert [Open(sock=2, key="B")] == play.hear(KeyIssued(key="B"))


def test_a_key_held_by_a_socket_that_is_still_closing_waits_for_its_end() -> None:
    """Never two sockets on one key: the third waits until the first is gone, also when another one lives."""
    play = overlapping()
    play.hear(Opened(sock=2))  # 1 is closing with A, 2 lives with B
    play.hear(Heard(sock=2), after=1799.0)
    play.hear(Wake(), after=1.0)
    play.hear(KeyUnknown())
    assert [Close(sock=2), IN_USE, ISSUED] == play.hear(KeyIssued(key="A"))
    assert play.hear(Ended(sock=2, detail="closed by us")) == []
    assert play.session.state is State.CLOSING
    assert [Open(sock=3, key="A")] == play.hear(Ended(sock=1, detail="closed by us"))


def test_a_reconnect_with_the_same_key_issues_none() -> None:
    """The exchange may return the key it gave before; then there is no new key to tell of."""
    play = waiting()
    assert [AskKey()] == play.wake()
    assert [Open(sock=2, key="A")] == play.hear(KeyIssued(key="A"))


def test_failures_are_told_once_and_the_backoff_grows_to_its_bound() -> None:
    """Pauses double with jitter up to the bound; a connection that stood ends the count."""
    play = asking()
    pauses = []
    reports = 0
    for _ in range(6):
        reports += len(play.hear(KeyFailed(detail="502", wait_s=0.0), jitter=1.0))
        deadline = play.session.deadline()
        assert deadline is not None
        pauses.append(deadline - play.now)
        play.wake()
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert reports == 1
    play.hear(KeyIssued(key="A"))
    play.hear(Opened(sock=1))
    play.hear(Ended(sock=1, detail="cut"), after=31.0)
    assert play.session.deadline() == play.now + 0.5


def test_the_exchange_may_ask_for_a_longer_pause() -> None:
    """A ban is longer than any backoff."""
    play = asking()
    play.hear(KeyFailed(detail="banned", wait_s=180.0))
    assert play.session.deadline() == play.now + 180.0
    assert play.hear(Wake(), after=179.0) == []


@pytest.mark.parametrize("make", [begun, asking, opening, closing, stopped])
def test_where_nothing_can_fall_due_there_is_no_deadline(make: Callable[[], Play]) -> None:
    """The driver's own limits end what is under way."""
    assert make().session.deadline() is None


def test_an_expiry_that_names_no_key_counts() -> None:
    """Then it is about the socket it came on."""
    play = live()
    assert play.hear(Expired(sock=1, key=""))[0] == SAID_EXPIRED
