"""A socket that is handed in: taken once, and only if it is what is due."""

from __future__ import annotations

import os
import socket as sockets
from collections.abc import Iterator
from pathlib import Path

import pytest

from ditad.api import listening
from ditad.api.listening import handed_in, listen_at, take_over
from ditad.errors import SettingsError

PID = 4711


@pytest.fixture
def handed(socket: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Give the descriptor of a listening socket, in the place where one is handed in."""
    with sockets.socket(sockets.AF_UNIX) as made:
        made.bind(str(socket))
        made.listen()
        fd = os.dup(made.fileno())
        os.set_inheritable(fd, True)
        monkeypatch.setattr(listening, "HANDED_FD", fd)
        yield fd


def said(**changes: str) -> dict[str, str]:
    """Give the environment of a process to which one socket is handed in."""
    return {"LISTEN_PID": str(PID), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "api", "HOME": "/", **changes}


def test_what_is_handed_in_is_taken_once(handed: int, socket: Path) -> None:
    """It is the socket, closed to children, and the environment no longer speaks of it."""
    environ = said()
    taken = handed_in(environ, pid=PID)
    assert taken is not None
    listener = take_over(taken)
    assert (str(socket), {"HOME": "/"}, False) == (listener.name, environ, os.get_inheritable(handed))
    assert handed_in(environ, pid=PID) is None
    listener.close()
    assert socket.exists()


@pytest.mark.parametrize(
    "environ",
    [{}, said(LISTEN_PID="1"), said(LISTEN_PID=""), said(LISTEN_FDS="0"), said(LISTEN_FDS="x"), said(LISTEN_FDS="")],
)
def test_what_is_meant_for_others_is_left(environ: dict[str, str]) -> None:
    """Variables that name another process, or nothing, are taken out and mean nothing."""
    assert handed_in(environ, pid=PID) is None
    assert [] == [name for name in environ if name.startswith("LISTEN")]


def test_several_are_refused() -> None:
    """Nobody could say which is meant; the sentence names them."""
    with pytest.raises(SettingsError, match=r"2 sockets were handed in \(api, other\)"):
        handed_in(said(LISTEN_FDS="2", LISTEN_FDNAMES="api:other"), pid=PID)


def test_what_is_no_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in its place is a unit to mend."""
    fd = os.open(os.devnull, os.O_RDONLY)
    monkeypatch.setattr(listening, "HANDED_FD", fd)
    with pytest.raises(SettingsError, match="is none"):
        handed_in(said(), pid=PID)
    os.close(fd)


def test_only_a_listening_unix_stream_socket_will_do(socket: Path) -> None:
    """Neither a datagram's, nor one of the network, nor one that does not listen."""
    for family, kind in ((sockets.AF_UNIX, sockets.SOCK_DGRAM), (sockets.AF_INET, sockets.SOCK_STREAM)):
        with sockets.socket(family, kind) as other, pytest.raises(SettingsError, match="no listening unix stream"):
            take_over(other)
    with sockets.socket(sockets.AF_UNIX) as silent:
        silent.bind(str(socket))
        with pytest.raises(SettingsError, match="no listening unix stream"):
            take_over(silent)


def test_ones_own_group_needs_no_call_that_a_hardened_unit_refuses(
    socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`chown` is refused there altogether; where the file has its group already, it is not called."""

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refused)
    monkeypatch.setattr(listening, "_group_id", lambda _: os.getegid())
    listen_at(socket, group="ours").close()
    monkeypatch.setattr(listening, "_group_id", lambda _: os.getegid() + 1)
    with pytest.raises(SettingsError, match="Operation not permitted"):
        listen_at(socket, group="theirs")
