"""What a request line means."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditad.api.answers import Problem
from ditad.api.query import moment_us
from ditad.api.routes import (
    Change,
    ChangeRequest,
    DiffRequest,
    EventsRequest,
    ListRequest,
    Page,
    PageRequest,
    PositionsRequest,
    ReadyRequest,
    Request,
    SnapshotRequest,
    WhyRequest,
    parse,
)
from ditad.records import RecordType

MAIN = "/v1/accounts/main"


def read(line: str) -> Request:
    """Parse ``METHOD path?query``."""
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    return parse(method, path, parse_qsl(query, keep_blank_values=True))


EVENTS = {"account": "main", "after_seq": None, "since_us": None, "follow": False, "types": None, "snapshot": False}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET /v1/livez", PageRequest(page=Page.LIVEZ)),
        ("GET /v1/accounts", PageRequest(page=Page.ACCOUNTS)),
        (f"GET {MAIN}/readyz", ReadyRequest(account="main")),
        (f"GET {MAIN}/snapshot", SnapshotRequest(account="main", at_us=None, event_seq=None)),
        (f"GET {MAIN}/snapshot?event_seq=7", SnapshotRequest(account="main", at_us=None, event_seq=7)),
        (
            f"GET {MAIN}/snapshot?at=1970-01-01T00:00:01.5Z",
            SnapshotRequest(account="main", at_us=1_500_000, event_seq=None),
        ),
        (f"GET {MAIN}/positions?after_seq=3", PositionsRequest(account="main", after_seq=3)),
        (
            f"GET {MAIN}/why?field=fees_paid",
            WhyRequest(account="main", field="fees_paid", event_seq=None, after_seq=0, limit=1_000),
        ),
        (
            f"GET {MAIN}/why?field=position:BTC-USDT:LONG&event_seq=4&after_seq=3&limit=2",
            WhyRequest(account="main", field="position:BTC-USDT:LONG", event_seq=4, after_seq=3, limit=2),
        ),
        (
            f"GET {MAIN}/diff?a=7&b=1970-01-01T00:00:01Z",
            DiffRequest(
                account="main",
                a=SnapshotRequest(account="main", at_us=None, event_seq=7),
                b=SnapshotRequest(account="main", at_us=1_000_000, event_seq=None),
            ),
        ),
        (
            f"GET {MAIN}/fills",
            ListRequest(account="main", kind=RecordType.FILL, after_seq=0, limit=1_000, states=None),
        ),
        (
            f"GET {MAIN}/divergences?state=open,confirmed&limit=5&after_seq=9",
            ListRequest(
                account="main",
                kind=RecordType.DIVERGENCE,
                after_seq=9,
                limit=5,
                states=frozenset({"open", "confirmed"}),
            ),
        ),
        (f"GET {MAIN}/events", EventsRequest(**EVENTS)),  # type: ignore[arg-type]
        (
            f"GET {MAIN}/events?after_seq=0&follow=1&type=fill&type=gap,income&snapshot=1",
            EventsRequest(
                account="main",
                after_seq=0,
                since_us=None,
                follow=True,
                types=frozenset({RecordType.FILL, RecordType.GAP, RecordType.INCOME}),
                snapshot=True,
            ),
        ),
        (f"PUT {MAIN}/bot/slots", ChangeRequest(account="main", change=Change.SLOTS)),
        (f"POST {MAIN}/audit", ChangeRequest(account="main", change=Change.AUDIT)),
    ],
)
def test_a_request_line_is_understood(line: str, expected: Request) -> None:
    """Every path and parameter of the interface becomes the request it says."""
    assert expected == read(line)


@pytest.mark.parametrize(
    ("line", "status", "named"),
    [
        ("GET /", 404, "/v1/schema"),
        ("GET /v1", 404, "/v1"),
        ("GET /v2/livez", 404, "/v2/livez"),
        ("GET /v1/accounts/", 404, "no such path"),
        ("GET /v1/accounts/main", 404, "no such path"),
        (f"GET {MAIN}/whynot?field=x", 404, "whynot"),
        (f"GET {MAIN}//fills", 404, "no such path"),
        ("POST /v1/livez", 400, "asked with GET"),
        (f"DELETE {MAIN}/fills", 400, "asked with GET"),
        (f"GET {MAIN}/audit", 400, "asked with POST"),
        (f"GET {MAIN}/fills?limit=0", 400, "limit"),
        (f"GET {MAIN}/fills?limit=1001", 400, "limit"),
        (f"GET {MAIN}/fills?limit=", 400, "limit"),
        (f"GET {MAIN}/fills?after_seq=-1", 400, "after_seq"),
        (f"GET {MAIN}/fills?after_seq=1.0", 400, "after_seq"),
        (f"GET {MAIN}/fills?after_seq=99999999999999999999", 400, "after_seq"),
        (f"GET {MAIN}/fills?after_seq=²", 400, "after_seq"),
        (f"GET {MAIN}/fills?limt=5", 400, "limt"),
        (f"GET {MAIN}/fills?limit=5&limit=6", 400, "limit"),
        (f"GET {MAIN}/gaps?state=open", 400, "state"),
        (f"GET {MAIN}/events?type=" + "x" * 257, 400, "type"),
        (f"GET {MAIN}/divergences?state=broken", 400, "broken"),
        (f"GET {MAIN}/events?type=trade", 400, "trade"),
        (f"GET {MAIN}/events?follow=yes", 400, "follow"),
        (f"GET {MAIN}/events?after_seq=1&since=2026-01-01T00:00:00Z", 400, "since"),
        (f"GET {MAIN}/snapshot?at=yesterday", 400, "at"),
        (f"GET {MAIN}/snapshot?at=2026-01-01T00:00:00", 400, "zone"),
        (f"GET {MAIN}/snapshot?at=2026-13-01T00:00:00Z", 400, "at"),
        (f"GET {MAIN}/snapshot?at=2026-01-01T00:00:00Z&event_seq=1", 400, "event_seq"),
        (f"GET {MAIN}/snapshot?event_seq=0", 400, "event_seq"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(line: str, status: int, named: str) -> None:
    """A wrong path, method or parameter is refused with its status, and the message names it."""
    with pytest.raises(Problem) as refused:
        read(line)
    assert (status, True) == (refused.value.status, named in refused.value.message)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-01-31T12:00:00.123456789Z", 1_769_860_800_123_456),
    ],
)
def test_a_moment_is_exact_to_the_microsecond(text: str, expected: int) -> None:
    """RFC 3339 is read without a float in between."""
    assert expected == moment_us(text)


@given(st.text(), st.text(), st.lists(st.tuples(st.text(), st.text())))
def test_no_request_line_breaks_the_reading(method: str, path: str, query: list[tuple[str, str]]) -> None:
    """Whatever is asked is understood or refused."""
    for where in (path, f"{MAIN}/events", f"{MAIN}/{path}"):
        assert status_of(method, where, query) in {0, 400, 404}


def status_of(method: str, path: str, query: list[tuple[str, str]]) -> int:
    """Parse, and give the status of a refusal; 0 is none."""
    try:
        parse(method, path, query)
    except Problem as problem:
        return problem.status
    return 0
