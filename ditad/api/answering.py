"""One request, one answer: asks the doors and writes what they say.

What enters: a parsed request, and for changing calls the body and the peer's uid. What leaves: the answer's bytes; an
error is a `Problem`. What holds: nothing is answered that the door did not say; every await on a door is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from ditad.api import bodies
from ditad.api.answers import ErrorCode, Problem, answer, item, list_answer, no_such_account, positions
from ditad.api.doors import AccountDoor, ConflictError, DaemonDoor, GoneError
from ditad.api.routes import (
    ADMIN_ONLY,
    Change,
    ChangeRequest,
    DiffRequest,
    ListRequest,
    Page,
    PageRequest,
    PositionsRequest,
    ReadyRequest,
    SnapshotRequest,
    WhyRequest,
)
from ditad.api.schema import schema
from ditad.errors import DitadError, RefusedError, UsageError

ANSWER_S_MAX: Final = 30.0
"""A door that has not answered by then is told off as unavailable."""

SCANS_MAX: Final = 20
"""A filtered page looks at this many pages of records at most, then says from where to go on."""

API_VERSION: Final = 1

Answered = PageRequest | ReadyRequest | SnapshotRequest | ListRequest | PositionsRequest | WhyRequest | DiffRequest


async def answer_to(daemon: DaemonDoor, request: Answered) -> bytes:
    """Answer a question; raises `Problem`."""
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            return await _answer_to(daemon, request)
    except TimeoutError as exc:
        raise Problem(ErrorCode.UNAVAILABLE, f"no answer within {ANSWER_S_MAX:g} s; ask again") from exc
    except DitadError as exc:
        raise problem_of(exc) from exc


async def change(
    daemon: DaemonDoor, request: ChangeRequest, *, body: bytes, uid: int, admin_uids: frozenset[int]
) -> bytes:
    """Do what a permitted peer asks for; raises `Problem`."""
    if request.change in ADMIN_ONLY and uid not in admin_uids:
        raise Problem(ErrorCode.FORBIDDEN, f"{request.change.value} is not for uid {uid}: admin_uids names who may")
    door = account_of(daemon, request.account)
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            return answer(await _change(door, request.change, body, uid))
    except TimeoutError as exc:
        raise Problem(ErrorCode.UNAVAILABLE, f"not done within {ANSWER_S_MAX:g} s; see the account's events") from exc
    except DitadError as exc:
        raise problem_of(exc) from exc


def account_of(daemon: DaemonDoor, name: str) -> AccountDoor:
    """Find an account; one that is not served says what to do about it."""
    door = daemon.accounts.get(name)
    if door is not None:
        return door
    refused = daemon.refused()
    if name in refused:
        raise Problem(ErrorCode.UNAVAILABLE, f"{name} is not served: {refused[name]}")
    raise no_such_account(name, {*daemon.accounts, *refused})


def problem_of(exc: DitadError) -> Problem:
    """Say as an answer what a door refused or could not do."""
    if isinstance(exc, GoneError):
        return Problem(ErrorCode.GONE, str(exc), oldest=exc.oldest)
    if isinstance(exc, ConflictError):
        return Problem(ErrorCode.CONFLICT, str(exc))
    if isinstance(exc, RefusedError):
        return Problem(ErrorCode.FORBIDDEN, str(exc))
    if isinstance(exc, UsageError):
        return Problem(ErrorCode.BAD_REQUEST, str(exc))
    return Problem(ErrorCode.UNAVAILABLE, str(exc))


async def _answer_to(daemon: DaemonDoor, request: Answered) -> bytes:
    match request:
        case PageRequest(page=page):
            return _page(daemon, page)
        case ReadyRequest(account=name):
            return _ready({account_of(daemon, name).name: _unready(daemon, name)}, flat=True)
        case SnapshotRequest(account=name):
            return await _snapshot(account_of(daemon, name), request)
        case PositionsRequest(account=name, after_seq=after_seq):
            return _positions(account_of(daemon, name), after_seq)
        case ListRequest(account=name):
            return await _list(account_of(daemon, name), request)
        case WhyRequest(account=name):
            return await _why(account_of(daemon, name), request)
        case DiffRequest(account=name):
            return await _difference(account_of(daemon, name), request)


def _page(daemon: DaemonDoor, page: Page) -> bytes:
    match page:
        case Page.LIVEZ:
            return answer({"live": True})
        case Page.READYZ:
            return _ready({name: _unready(daemon, name) for name in _names(daemon)}, flat=False)
        case Page.METRICS:
            return daemon.metrics()
        case Page.VERSION:
            return answer({"name": "ditad", "version": daemon.version, "api_version": API_VERSION})
        case Page.ACCOUNTS:
            return list_answer(_accounts(daemon), None)
        case Page.SCHEMA:
            return answer(schema())


def _ready(reasons: dict[str, tuple[str, ...]], *, flat: bool) -> bytes:
    """Say that all are ready, or refuse with the reasons of those that are not."""
    unready = {name: list(why) for name, why in sorted(reasons.items()) if why}
    told = [f"{name}: {sentence}" for name, why in unready.items() for sentence in why]
    if told:
        message = "not ready: " + "; ".join(told)
        raise Problem(ErrorCode.UNAVAILABLE, message, ready=False, reasons=told, accounts=unready)
    return answer({"ready": True, "reasons": []} if flat else {"ready": True, "reasons": [], "accounts": {}})


def _names(daemon: DaemonDoor) -> list[str]:
    return [*daemon.accounts, *(name for name in daemon.refused() if name not in daemon.accounts)]


def _unready(daemon: DaemonDoor, name: str) -> tuple[str, ...]:
    """Say why an account is not ready; one that is refused never is, whatever else is known of it."""
    door, remedy = daemon.accounts.get(name), daemon.refused().get(name)
    reasons = () if door is None else door.not_ready()
    return reasons or (() if remedy is None else (f"not served: {remedy}",))


def _accounts(daemon: DaemonDoor) -> list[dict[str, Any]]:
    refused = daemon.refused()
    return [_account(name, daemon.accounts.get(name), _unready(daemon, name), refused) for name in _names(daemon)]


def _account(
    name: str, door: AccountDoor | None, reasons: tuple[str, ...], refused: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "account": name,
        "served": name not in refused,
        "ready": not reasons,
        "reasons": list(reasons),
        "what_to_do": refused.get(name),
        "seq": 0 if door is None else door.hub.newest_seq,
        "verdict": {"status": "UNKNOWN"} if door is None else dict(door.verdict()),
    }


async def _snapshot(door: AccountDoor, request: SnapshotRequest) -> bytes:
    if request.at_us is None and request.event_seq is None:
        return _present(door) + b"\n"
    found = await door.snapshot_at(at_us=request.at_us, event_seq=request.event_seq)
    if found is None:
        asked = f"event_seq {request.event_seq}" if request.event_seq is not None else "that time"
        raise Problem(ErrorCode.NOT_FOUND, f"{door.name} has no snapshot of {asked}: its journal begins later")
    return found + b"\n"


async def _why(door: AccountDoor, request: WhyRequest) -> bytes:
    number = request.event_seq
    found = await door.why(request.field, event_seq=number, after_seq=request.after_seq, limit=request.limit)
    if found is None and number is None:
        raise Problem(ErrorCode.UNAVAILABLE, f"{door.name} has no snapshot yet: nothing was heard of it")
    if found is None:
        raise Problem(ErrorCode.NOT_FOUND, f"{door.name} has no snapshot of event_seq {number}: `ditad at` finds one")
    return answer(dict(found))


async def _difference(door: AccountDoor, request: DiffRequest) -> bytes:
    found = await door.difference(*((one.at_us, one.event_seq) for one in (request.a, request.b)))
    if found is None:
        raise Problem(ErrorCode.NOT_FOUND, f"{door.name} has no snapshot of a or b: its journal begins later")
    return answer(dict(found))


def _present(door: AccountDoor) -> bytes:
    snapshot = door.snapshot()
    if snapshot is None:
        raise Problem(ErrorCode.UNAVAILABLE, f"{door.name} has no snapshot yet: nothing was heard of it")
    return snapshot


def _positions(door: AccountDoor, after_seq: int) -> bytes:
    """Give all positions or none: those of one snapshot share its `seq`, so a page never splits them."""
    seq = door.hub.newest_seq
    return list_answer(positions(_present(door), seq) if seq > after_seq else [], None)


async def _list(door: AccountDoor, request: ListRequest) -> bytes:
    """Give a page; with a filter, of as many records as `SCANS_MAX` pages hold at most."""
    items: list[dict[str, Any]] = []
    cursor = request.after_seq
    for _ in range(SCANS_MAX):
        rows = await door.current_records(request.kind, after_seq=cursor, limit=request.limit + 1)
        for position, (seq, line) in enumerate(rows):
            if len(items) == request.limit or position == request.limit:
                break
            cursor = seq
            body = item(request.kind, seq, line)
            if request.states is None or body.get("state") in request.states:
                items.append(body)
        else:
            return list_answer(items, None)
        if len(items) == request.limit:
            break
    return list_answer(items, cursor)


async def _change(door: AccountDoor, what: Change, body: bytes, uid: int) -> Any:
    match what:
        case Change.AUDIT:
            await door.audit(uid)
            return {"account": door.name, "asked": True}
        case Change.ADOPT:
            return dict(await door.adopt(uid, bodies.why_of(body)))
        case Change.SLOTS:
            return dict(await door.put_slots(uid, bodies.slots_of(body)))
        case Change.SETTLEMENTS:
            return dict(await door.settle(uid, bodies.object_of(body)))
