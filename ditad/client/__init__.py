"""A client of the daemon for bots. Nothing here is this module's own.

`Client` is for `async with`, `SyncClient` for `with`; both give the records of `ditad.client.answers`. What either may
raise is drawn in `ditad.api.refusals`, and all of it is a `DitadError`, whose message says what to do.
"""

from ditad.api.refusals import (
    AnsweredError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    GapError,
    GoneError,
    InternalError,
    NotFoundError,
    RateLimitedError,
    TooLargeError,
    UnavailableError,
)
from ditad.client.answers import (
    AccountEvent,
    Divergence,
    Fill,
    Gap,
    Income,
    Position,
    PositionPair,
    Record,
    Rejected,
    SettlementTaken,
    SlotsTaken,
    Snapshot,
    StreamChange,
)
from ditad.client.asking import Client
from ditad.client.reading import AnswerError
from ditad.client.usability import NotUsableError, Usability
from ditad.client.waiting import SyncClient
from ditad.errors import DaemonUnreachableError, DitadError, UsageError

__all__ = [
    "AccountEvent",
    "AnswerError",
    "AnsweredError",
    "BadRequestError",
    "Client",
    "ConflictError",
    "DaemonUnreachableError",
    "DitadError",
    "Divergence",
    "Fill",
    "ForbiddenError",
    "Gap",
    "GapError",
    "GoneError",
    "Income",
    "InternalError",
    "NotFoundError",
    "NotUsableError",
    "Position",
    "PositionPair",
    "RateLimitedError",
    "Record",
    "Rejected",
    "SettlementTaken",
    "SlotsTaken",
    "Snapshot",
    "StreamChange",
    "SyncClient",
    "TooLargeError",
    "UnavailableError",
    "Usability",
    "UsageError",
]
