"""What the service manager hears, on a socket as it has one, and when the watchdog is fed."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ditad import notify
from ditad.notify import FEEDS_PER_LIMIT, STATUS_LENGTH_MAX, ServiceManager, Watchdog
from tests.support.running import short_folder

PID = 4711


class Ear:
    """The manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def heard(self) -> list[str]:
        """Give the datagrams that came since the last time."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(8_192).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


@pytest.fixture(params=["path", "name"])
def ear(request: pytest.FixtureRequest) -> Iterator[Ear]:
    """Listen on a path, or on a name in the abstract namespace as systemd may choose."""
    folder = short_folder()
    made = Ear(str(folder / "n") if request.param == "path" else f"@ditad-test-{folder.name}")
    yield made
    made.close()
    Path(folder, "n").unlink(missing_ok=True)
    folder.rmdir()


def test_everything_that_can_be_said_is_heard(ear: Ear) -> None:
    """Each word of the protocol is one datagram, with its status beside it."""
    manager = ServiceManager.of({"NOTIFY_SOCKET": ear.address}, pid=PID)
    manager.ready("OK")
    manager.status("main\nOK")
    manager.stopping("stopping")
    manager.extend(2.5, "folding")
    manager.feed()
    assert [
        "READY=1\nSTATUS=OK",
        "STATUS=main OK",
        "STOPPING=1\nSTATUS=stopping",
        "EXTEND_TIMEOUT_USEC=2500000\nSTATUS=folding",
        "WATCHDOG=1",
    ] == ear.heard()


def test_a_reload_carries_its_moment(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manager takes a READY for the end of a reload only if it is later than the moment said at its beginning."""
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _clock: 123_456_789)
    ServiceManager.of({"NOTIFY_SOCKET": ear.address}, pid=PID).reloading()
    assert ["RELOADING=1\nMONOTONIC_USEC=123456"] == ear.heard()


def test_a_status_is_one_bounded_line(ear: Ear) -> None:
    """What somebody else wrote into a verdict can neither add a word of the protocol nor fill the manager's queue."""
    ServiceManager.of({"NOTIFY_SOCKET": ear.address}, pid=PID).status("a\nWATCHDOG=1 " + "x" * 10_000)
    (heard,) = ear.heard()
    assert len("STATUS=") + STATUS_LENGTH_MAX == len(heard)
    assert heard.startswith("STATUS=a WATCHDOG=1 x")
    assert heard.endswith("x…")


@pytest.mark.parametrize("address", ["", "@", "/nowhere/at/all", "vsock:2:1234", "@ditad-test-nobody-listens"])
def test_nobody_to_tell_is_no_failure(address: str) -> None:
    """Without a manager, with one that is gone, or of another kind, the daemon runs on."""
    ServiceManager.of({"NOTIFY_SOCKET": address}, pid=PID).ready("OK")


@pytest.mark.parametrize(
    ("environ", "limit_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(PID)}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
    ],
)
def test_the_watchdog_is_known_from_the_environment(environ: dict[str, str], limit_s: float | None) -> None:
    """It is ours where it names us or nobody."""
    assert limit_s == ServiceManager.of({"NOTIFY_SOCKET": "/run/n", **environ}, pid=PID).watchdog_s


def test_no_watchdog_without_a_socket() -> None:
    """Nobody waits for what cannot be told."""
    assert ServiceManager.of({"WATCHDOG_USEC": "20000000"}, pid=PID).watchdog_s is None


def test_children_do_not_speak_in_our_name() -> None:
    """The variables are taken out, the others stay."""
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    notify.forget(environ)
    assert {"HOME": "/"} == environ


class Bowl:
    """Counts feeds, on a clock that the test moves."""

    def __init__(self, *names: str, limit_s: float | None = 20.0) -> None:
        self.fed = 0
        self.now = 1_000.0
        self.watchdog = Watchdog(names, self._feed, limit_s=limit_s, mono_s=lambda: self.now)

    def _feed(self) -> None:
        self.fed += 1


def test_the_first_turn_of_all_feeds() -> None:
    """With one pipeline its turn is enough; with two the second one's is."""
    alone, both = Bowl("a"), Bowl("a", "b")
    alone.watchdog.turned("a")
    both.watchdog.turned("a")
    assert (1, 0) == (alone.fed, both.fed)
    both.watchdog.turned("b")
    assert 1 == both.fed


def test_a_pipeline_that_stands_still_starves_it() -> None:
    """However often the others turn, nothing is fed from the moment that one of them turns no more."""
    bowl = Bowl("a", "b")
    bowl.watchdog.turned("a")
    bowl.watchdog.turned("b")
    bowl.now += 5
    bowl.watchdog.turned("b")  # its last
    for _ in range(100):
        bowl.now += 1
        bowl.watchdog.turned("a")
    assert 2 == bowl.fed  # that of the start, and one for b's last turn


def test_busy_pipelines_feed_a_few_times_a_limit() -> None:
    """A thousand turns a second are not a thousand datagrams."""
    bowl = Bowl("a")
    for _ in range(20_000):
        bowl.now += 0.001
        bowl.watchdog.turned("a")
    assert FEEDS_PER_LIMIT == bowl.fed


def test_idle_pipelines_that_turn_as_asked_feed_in_time() -> None:
    """Where each of two turns every `turn_s_max`, at moments of its own, there is a feed within half the limit."""
    bowl = Bowl("a", "b")
    turn_s = bowl.watchdog.turn_s_max
    assert turn_s is not None
    feeds = []
    for step in range(100):
        bowl.now = 1_000.0 + step * turn_s
        for name, later_s in (("a", 0.0), ("b", turn_s * 0.99)):
            bowl.now = 1_000.0 + step * turn_s + later_s
            before = bowl.fed
            bowl.watchdog.turned(name)
            feeds += [bowl.now] * (bowl.fed - before)
    assert max(later - earlier for earlier, later in pairwise(feeds)) <= 10.0


def test_where_nobody_waits_nothing_is_fed() -> None:
    """Without a limit turns cost nothing and nobody need turn while idle."""
    bowl = Bowl("a", limit_s=None)
    bowl.watchdog.turned("a")
    assert (0, None) == (bowl.fed, bowl.watchdog.turn_s_max)
