"""What a session hears and what it has done: its events and its acts, as records.

What enters and leaves: values only; `session` decides from the events, `stream` carries the acts out.
What holds: every act that begins something names the events that answer it, and the driver owes one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ditad.errors import VenueFatalError
from ditad.events import StreamState

# ---- events ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyIssued:
    """The POST gave this key."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFailed:
    """The POST gave none; `wait_s` is the least the exchange wants us to wait."""

    detail: str
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRefused:
    """The POST failed in a way that only a person can mend."""

    error: VenueFatalError


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRenewed:
    """The PUT was accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewFailed:
    """The PUT was not answered, or not well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUnknown:
    """The PUT was answered 404: the key is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The handshake of this socket is done."""

    sock: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """This socket is no more: refused, lost, or closed as asked."""

    sock: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A frame came on this socket."""

    sock: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """``listenKeyExpired`` came on this socket, naming this key or (``""``) none."""

    sock: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspected:
    """REST says that something moved of which the stream said nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """The deadline has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End, for good."""


Input = (
    Start
    | KeyIssued
    | KeyFailed
    | KeyRefused
    | KeyRenewed
    | RenewFailed
    | KeyUnknown
    | Opened
    | Ended
    | Heard
    | Expired
    | Suspected
    | Wake
    | Stop
)


# ---- acts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AskKey:
    """POST for a key; answer with `KeyIssued`, `KeyFailed` or `KeyRefused`. Ends a key call under way first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewKey:
    """PUT this key; answer with `KeyRenewed`, `RenewFailed` or `KeyUnknown`."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Open this socket with this key; answer with `Opened` or `Ended`, and `Ended` sooner or later."""

    sock: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Close this socket; answer with `Ended`."""

    sock: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Tell the account what became of the stream; `detail` holds no key."""

    state: StreamState
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """End the conversation: a person must act."""

    error: VenueFatalError


Act = AskKey | RenewKey | Open | Close | Report | GiveUp
