"""What is asked: a method, a path and a query become one request value, or a refusal that says what to write.

What enters: text of a request line, decoded once. What leaves: a frozen request, or `Problem`. What holds: every path
of interfaces.md §3 that is served stands in this module and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ditad.api.answers import ErrorCode, Problem
from ditad.api.query import Query
from ditad.records import RecordType

LIMIT_MAX: Final = 1_000
"""Items in one page; also how many are given where no `limit` is asked for."""

ROOT: Final = "v1"


class Page(StrEnum):
    """The answers that need no account."""

    LIVEZ = "livez"
    READYZ = "readyz"
    METRICS = "metrics"
    VERSION = "version"
    ACCOUNTS = "accounts"
    SCHEMA = "schema"


class Change(StrEnum):
    """The calls that change something, by their path under the account."""

    SLOTS = "bot/slots"
    SETTLEMENTS = "bot/settlements"
    AUDIT = "audit"
    ADOPT = "adopt"


METHOD_OF: Final = {Change.SLOTS: "PUT", Change.SETTLEMENTS: "POST", Change.AUDIT: "POST", Change.ADOPT: "POST"}
ADMIN_ONLY: Final = frozenset({Change.AUDIT, Change.ADOPT})

LISTS: Final = {
    "fills": RecordType.FILL,
    "income": RecordType.INCOME,
    "divergences": RecordType.DIVERGENCE,
    "gaps": RecordType.GAP,
}
QUESTIONS: Final = ("readyz", "snapshot", "positions", "events", "why", "diff", *LISTS)
"""What is asked with GET under an account."""

DIVERGENCE_STATES: Final = ("open", "confirmed", "healed", "adopted")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """An answer about the whole daemon."""

    page: Page


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyRequest:
    """Whether one account is ready."""

    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRequest:
    """The snapshot now (both `None`), at a moment, or of a number."""

    account: str
    at_us: int | None
    event_seq: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """A page of current records; `states` keeps divergences of these states only."""

    account: str
    kind: RecordType
    after_seq: int
    limit: int
    states: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionsRequest:
    """The positions of the present snapshot."""

    account: str
    after_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsRequest:
    """The stream: after a `seq`, since a moment, or (both `None`) from the next record."""

    account: str
    after_seq: int | None
    since_us: int | None
    follow: bool
    types: frozenset[RecordType] | None
    snapshot: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyRequest:
    """A page of the entries that make a figure, of the newest snapshot (`None`) or of a number's."""

    account: str
    field: str
    event_seq: int | None
    after_seq: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffRequest:
    """What changed between two snapshots, each at a moment or of a number."""

    account: str
    a: SnapshotRequest
    b: SnapshotRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """A call that changes something; its body is read and judged later."""

    account: str
    change: Change


Request = (
    PageRequest
    | ReadyRequest
    | SnapshotRequest
    | ListRequest
    | PositionsRequest
    | EventsRequest
    | WhyRequest
    | DiffRequest
    | ChangeRequest
)


def parse(method: str, path: str, query: Iterable[tuple[str, str]]) -> Request:
    """Read a request line; raises `Problem`."""
    parts = path.removeprefix("/").split("/")
    if not parts or parts[0] != ROOT or "" in parts:
        raise _no_such_path(path)
    if len(parts) == 2 and parts[1] in set(Page):
        _expect(method, "GET", path)
        Query(query, ())
        return PageRequest(page=Page(parts[1]))
    if len(parts) >= 4 and parts[1] == "accounts":
        return _account_request(method, path, account=parts[2], what="/".join(parts[3:]), query=query)
    raise _no_such_path(path)


def _account_request(method: str, path: str, *, account: str, what: str, query: Iterable[tuple[str, str]]) -> Request:
    if what in set(Change):
        change = Change(what)
        _expect(method, METHOD_OF[change], path)
        Query(query, ())
        return ChangeRequest(account=account, change=change)
    if what not in QUESTIONS:
        raise _no_such_path(path)
    _expect(method, "GET", path)
    if what == "readyz":
        Query(query, ())
        return ReadyRequest(account=account)
    if what == "snapshot":
        return _snapshot_request(account, query)
    if what == "events":
        return _events_request(account, query)
    if what == "why":
        return _why_request(account, query)
    if what == "diff":
        given = Query(query, ("a", "b"))
        return DiffRequest(account=account, a=_one_of(account, given, "a"), b=_one_of(account, given, "b"))
    if what == "positions":
        given = Query(query, ("after_seq", "limit"))
        given.number("limit", LIMIT_MAX, least=1, most=LIMIT_MAX)
        return PositionsRequest(account=account, after_seq=given.number("after_seq", 0))
    given = Query(query, ("after_seq", "limit", "state") if what == "divergences" else ("after_seq", "limit"))
    return ListRequest(
        account=account,
        kind=LISTS[what],
        after_seq=given.number("after_seq", 0),
        limit=given.number("limit", LIMIT_MAX, least=1, most=LIMIT_MAX),
        states=given.words("state", DIVERGENCE_STATES),
    )


def _snapshot_request(account: str, query: Iterable[tuple[str, str]]) -> SnapshotRequest:
    given = Query(query, ("at", "event_seq"))
    number = given.number("event_seq", -1, least=1)
    at_us = given.moment("at")
    if number >= 0 and at_us is not None:
        raise Problem(ErrorCode.BAD_REQUEST, "at and event_seq: give one of them")
    return SnapshotRequest(account=account, at_us=at_us, event_seq=number if number >= 0 else None)


def _why_request(account: str, query: Iterable[tuple[str, str]]) -> WhyRequest:
    given = Query(query, ("field", "event_seq", "after_seq", "limit"))
    number = given.number("event_seq", -1, least=1)
    return WhyRequest(
        account=account,
        field=given.text("field"),
        event_seq=number if number >= 0 else None,
        after_seq=given.number("after_seq", 0),
        limit=given.number("limit", LIMIT_MAX, least=1, most=LIMIT_MAX),
    )


def _one_of(account: str, given: Query, name: str) -> SnapshotRequest:
    """Read a moment or a snapshot's number."""
    if given.text(name).isdigit():
        return SnapshotRequest(account=account, at_us=None, event_seq=given.number(name, 0, least=1))
    return SnapshotRequest(account=account, at_us=given.moment(name), event_seq=None)


def _events_request(account: str, query: Iterable[tuple[str, str]]) -> EventsRequest:
    given = Query(query, ("after_seq", "since", "follow", "type", "snapshot"))
    number = given.number("after_seq", -1)
    since_us = given.moment("since")
    if number >= 0 and since_us is not None:
        raise Problem(ErrorCode.BAD_REQUEST, "after_seq and since: give one of them")
    types = given.words("type", tuple(kind.value for kind in RecordType))
    return EventsRequest(
        account=account,
        after_seq=number if number >= 0 else None,
        since_us=since_us,
        follow=given.flag("follow"),
        types=None if types is None else frozenset(map(RecordType, types)),
        snapshot=given.flag("snapshot"),
    )


def _expect(method: str, due: str, path: str) -> None:
    if method != due:
        raise Problem(ErrorCode.BAD_REQUEST, f"{path} is asked with {due}, not {method[:16]}")


def _no_such_path(path: str) -> Problem:
    return Problem(ErrorCode.NOT_FOUND, f"no such path: {path[:100]}; /v1/schema lists those there are")
