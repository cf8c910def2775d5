"""What a question to the daemon may end with instead of an answer, as errors that say what to do.

    DitadError
    ├── DaemonUnreachableError    nobody answers on the socket, or nobody that is a ditad
    ├── AnsweredError             the daemon answered with an error; by its code one of
    │   ├── BadRequestError       400  the question is wrong: mend it
    │   ├── ForbiddenError        403  not for this uid: `admin_uids` and `bot_uids` say for whom
    │   ├── NotFoundError         404  there is no such account, snapshot or path
    │   ├── ConflictError         409  it contradicts what is there already
    │   ├── GoneError             410  it is kept no more
    │   ├── TooLargeError         413  the body is too long
    │   ├── RateLimitedError      429  asked too often: wait a second
    │   ├── InternalError         500  the daemon's own fault: its log says more
    │   └── UnavailableError      503  not at this moment: ask again
    └── GapError                  the stream has a hole that asking again does not close

What enters: status and envelope of an answer. What leaves: the error of its code. What holds: a code that nobody knows
here is an `AnsweredError` all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ditad.errors import DitadError

OTHER_EXIT_CODE: Final = 77


class AnsweredError(DitadError):
    """The daemon answered with an error; `body` is the whole envelope, `code` its code."""

    exit_code = OTHER_EXIT_CODE
    passing = False
    """Whether asking the same again may help."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        """Keep status and envelope; the message is the daemon's own sentence."""
        self.status = status
        self.body = body
        self.code, said = _told(body)
        super().__init__(said or f"the daemon answered with status {status}")


class BadRequestError(AnsweredError):
    """The question is wrong, and the message says where: mend it."""

    exit_code = 64


class ForbiddenError(AnsweredError):
    """It is not for this uid: `admin_uids` and `bot_uids` in the settings say for whom it is."""


class NotFoundError(AnsweredError):
    """There is no such account, snapshot or path."""

    exit_code = 64


class ConflictError(AnsweredError):
    """It contradicts what is there already: a settlement with other amounts, an `after_seq` beyond the newest record."""


class GoneError(AnsweredError):
    """What was asked for is kept no more; `oldest` is the first `seq` there is, where that was said."""

    @property
    def oldest(self) -> int | None:
        """The `seq` of the oldest record that is kept."""
        oldest = self.body.get("oldest")
        return oldest if isinstance(oldest, int) else None


class TooLargeError(AnsweredError):
    """The body is longer than is read."""

    exit_code = 64


class RateLimitedError(AnsweredError):
    """This uid asks too often: wait a second, or follow the events."""

    passing = True


class InternalError(AnsweredError):
    """The daemon's own fault: its log says more."""

    exit_code = 70


class UnavailableError(AnsweredError):
    """It cannot be answered at this moment; asking later may help."""

    exit_code = 69
    passing = True


class GapError(DitadError):
    """Records are missing from the stream, and asking again does not bring them.

    `first` is the `seq` of the first that is missing, `last` of the last (`None`: not known). What is true now is in
    the snapshot; to go on knowing of the hole, ask with `after_seq` of `last`.
    """

    exit_code = OTHER_EXIT_CODE

    def __init__(self, message: str, *, first: int, last: int | None) -> None:
        """Say what is missing and from where on there is something again."""
        self.first = first
        self.last = last
        super().__init__(message)


_BY_CODE: Final[Mapping[str, type[AnsweredError]]] = {
    "bad_request": BadRequestError,
    "forbidden": ForbiddenError,
    "not_found": NotFoundError,
    "conflict": ConflictError,
    "gone": GoneError,
    "too_large": TooLargeError,
    "rate_limited": RateLimitedError,
    "internal": InternalError,
    "unavailable": UnavailableError,
}


def refusal(status: int, body: Mapping[str, Any]) -> AnsweredError:
    """Make the error that an envelope's code says; one without a code is unavailable."""
    return _BY_CODE.get(_told(body)[0], AnsweredError)(status, body)


def hole(first: int, last: int) -> GapError:
    """Say that the stream passed over records."""
    told = f"records {first} to {last} did not come: ask again with after_seq={first - 1}"
    return GapError(told, first=first, last=last)


def dropped(first: int, last: int) -> GapError:
    """Say that records are not given, however often they are asked for."""
    told = (
        f"records {first} to {last} are not given, however often they are asked for: go on with after_seq={last}, "
        "and take the snapshot for what they led to"
    )
    return GapError(told, first=first, last=last)


def cannot_go_on(after_seq: int, why: AnsweredError) -> GapError:
    """Say that a stream cannot be taken up where it was left: what follows is kept no more, or was never in this journal."""
    oldest = why.oldest if isinstance(why, GoneError) else None
    return GapError(
        f"the stream cannot go on after record {after_seq}: {why}",
        first=after_seq + 1,
        last=None if oldest is None else oldest - 1,
    )


def _told(body: Mapping[str, Any]) -> tuple[str, str]:
    error = body.get("error")
    known = error if isinstance(error, dict) else {}
    return str(known.get("code", "unavailable")), str(known.get("message", ""))
