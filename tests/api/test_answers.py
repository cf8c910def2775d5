"""Every path over a real unix socket, asked with curl; answers as the schema says."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from ditad.api.answers import STATUS_OF
from ditad.api.doors import ConflictError, UnavailableError
from ditad.api.routes import METHOD_OF, QUESTIONS, Change, Page
from ditad.api.schema import schema
from ditad.errors import DitadError, RefusedError, UsageError, VenueError
from ditad.records import RecordType
from tests.api.fake_daemon import FakeAccount, FakeDaemon, record, serving
from tests.support.running import WAIT_S_MAX

CURL = shutil.which("curl")
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not on this machine")
MAIN = "/v1/accounts/main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What curl saw."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body."""
        return orjson.loads(self.body)


async def curl(socket: Path, path: str, *words: str) -> Answer:
    """Ask with curl."""
    assert CURL is not None
    arguments = ("-sS", "-i", "-m", "10", "--unix-socket", str(socket), *words, f"http://d{path}")
    process = await asyncio.create_subprocess_exec(CURL, *arguments, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    head, _, body = out.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(status=int(first.split()[1]), headers=headers, body=body)


def conforms(answer: Any, name: str) -> None:
    """Check an answer against its part of the schema."""
    document = {**schema(), "$ref": f"#/$defs/{name}"}
    jsonschema.Draft202012Validator(document).validate(answer)


def account_with_all_types() -> FakeAccount:
    """Make an account with three records of each type."""
    account = FakeAccount()
    for seq, kind in enumerate([*RecordType, *RecordType, *RecordType], 1):
        account.add(record(seq, kind))
    return account


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/livez", "livez"),
        ("/v1/readyz", "readyz"),
        (f"{MAIN}/readyz", "readyz"),
        ("/v1/version", "version"),
        ("/v1/accounts", "accounts"),
        (f"{MAIN}/snapshot", "snapshot"),
        (f"{MAIN}/snapshot?event_seq=3", "snapshot"),
        (f"{MAIN}/snapshot?at=2026-01-01T00:00:00+00:00", "snapshot"),
        (f"{MAIN}/positions", "positions"),
        (f"{MAIN}/fills", "fills"),
        (f"{MAIN}/income", "income_list"),
        (f"{MAIN}/divergences", "divergences"),
        (f"{MAIN}/gaps", "gaps"),
        (f"{MAIN}/why?field=fees_paid", "why"),
        (f"{MAIN}/why?field=fees_paid&event_seq=7&after_seq=2&limit=2", "why"),
        (f"{MAIN}/diff?a=3&b=2026-01-01T00:00:00Z", "diff"),
    ],
)
@needs_curl
async def test_every_answer_is_as_the_schema_says(socket: Path, path: str, name: str) -> None:
    """Each path answers 200 with JSON of its schema, and the version of the interface."""
    async with serving(FakeDaemon(account_with_all_types()), socket):
        answer = await curl(socket, path)
    assert (200, "1", "application/json") == (
        answer.status,
        answer.headers["ditad-api-version"],
        answer.headers["content-type"],
    )
    conforms(answer.json(), name)


@needs_curl
async def test_the_schema_is_served_and_is_one(socket: Path) -> None:
    """The schema is a valid draft 2020-12 document that names every answer."""
    async with serving(FakeDaemon(), socket):
        answer = await curl(socket, "/v1/schema")
    jsonschema.Draft202012Validator.check_schema(answer.json())
    assert schema() == answer.json()
    assert {reference["$ref"].split("/")[-1] for reference in schema()["answers"].values()} <= set(schema()["$defs"])


def test_the_schema_describes_every_path_there_is() -> None:
    """Each page, question and change has its answer there, and nothing else has; each status has its error."""
    pages = {f"GET /v1/{page}" for page in Page}
    asked = {f"GET /v1/accounts/{{account}}/{what}" for what in QUESTIONS}
    changed = {f"{METHOD_OF[what]} /v1/accounts/{{account}}/{what}" for what in Change}
    assert pages | asked | changed == set(schema()["answers"])
    assert {str(status) for status in STATUS_OF.values()} == set(schema()["errors"])


@pytest.mark.parametrize(
    ("path", "words", "name"),
    [
        ("audit", ("-X", "POST"), "asked"),
        ("adopt", ("-d", '{"why":"seen it"}'), "adopted"),
        ("bot/slots", ("-X", "PUT", "-d", '{"slots":[]}'), "slots_taken"),
        ("bot/settlements", ("-d", '{"settlement_id":"t1","realized_pnl":"1.1"}'), "settlement_taken"),
    ],
)
@needs_curl
async def test_every_change_is_answered_as_the_schema_says(
    socket: Path, path: str, words: tuple[str, ...], name: str
) -> None:
    """What was done is said in the form that the schema gives for that path."""
    async with serving(FakeDaemon(account_with_all_types()), socket, admin_uids=frozenset({os.getuid()})):
        answer = await curl(socket, f"{MAIN}/{path}", *words)
    assert 200 == answer.status
    conforms(answer.json(), name)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("amount", "1.50"), ("amount", "-0"), ("amount", "1e3"), ("amount", 1), ("time", "2026-01-01T00:00:00Z")],
)
def test_the_schema_refuses_other_forms(name: str, wrong: object) -> None:
    """Trailing zeros, minus zero, exponents, JSON numbers and short times are not this interface's."""
    with pytest.raises(jsonschema.ValidationError):
        conforms(wrong, name)


@needs_curl
async def test_metrics_are_prometheus_text(socket: Path) -> None:
    """Metrics come as the door gives them, under their media type."""
    async with serving(FakeDaemon(), socket):
        answer = await curl(socket, "/v1/metrics")
    assert (200, b"# TYPE ditad_up gauge\nditad_up 1\n") == (answer.status, answer.body)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


@needs_curl
async def test_events_come_as_ndjson(socket: Path) -> None:
    """Each line of the stream is a record of the schema, and the header says after which `seq` it begins."""
    async with serving(FakeDaemon(account_with_all_types()), socket):
        answer = await curl(socket, f"{MAIN}/events?after_seq=2&snapshot=1")
    lines = [orjson.loads(line) for line in answer.body.splitlines()]
    for line in lines:
        conforms(line, "line")
    assert [24, *range(3, 25)] == [line["seq"] for line in lines]
    assert ("2", "application/x-ndjson") == (answer.headers["ditad-after-seq"], answer.headers["content-type"])


@needs_curl
async def test_a_follower_gets_what_comes(socket: Path) -> None:
    """`follow=1` stays open, and a record that is made meanwhile reaches curl at once."""
    account = account_with_all_types()
    assert CURL is not None
    url = f"http://d{MAIN}/events?follow=1&after_seq=23"
    async with serving(FakeDaemon(account), socket), asyncio.timeout(WAIT_S_MAX):
        process = await asyncio.create_subprocess_exec(
            CURL, "-sSN", "--unix-socket", str(socket), url, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        first = orjson.loads(await process.stdout.readline())
        account.add(record(25))
        second = orjson.loads(await process.stdout.readline())
        process.terminate()
        await process.wait()
        await process.stdout.read()
    assert (24, 25) == (first["seq"], second["seq"])


@pytest.mark.parametrize(
    ("path", "words", "status", "code", "named"),
    [
        ("/v1/nothing", (), 404, "not_found", "/v1/schema"),
        (f"{MAIN}/why?field=k", (), 400, "bad_request", "there are fees_paid"),
        (f"{MAIN}/why", (), 400, "bad_request", "field: is due"),
        (f"{MAIN}/why?field=fees_paid&event_seq=101", (), 404, "not_found", "event_seq 101"),
        (f"{MAIN}/why?field=fees_paid&limit=1001", (), 400, "bad_request", "limit"),
        (f"{MAIN}/diff?a=1", (), 400, "bad_request", "b: is due"),
        (f"{MAIN}/diff?a=1&b=yesterday", (), 400, "bad_request", "RFC 3339"),
        (f"{MAIN}/diff?a=1&b=101", (), 404, "not_found", "no snapshot of a or b"),
        ("/v1/accounts/other/fills", (), 404, "not_found", "known: bad, main"),
        ("/v1/accounts/bad/fills", (), 503, "unavailable", "make a new key"),
        (f"{MAIN}/fills?limit=1001", (), 400, "bad_request", "limit"),
        (f"{MAIN}/fills", ("-X", "POST"), 400, "bad_request", "GET"),
        (f"{MAIN}/events?after_seq=99", (), 409, "conflict", "newest record 24"),
        (f"{MAIN}/snapshot?event_seq=101", (), 404, "not_found", "101"),
        (f"{MAIN}/audit", ("-X", "POST"), 403, "forbidden", "admin_uids"),
        (f"{MAIN}/adopt", ("-d", '{"why":"x"}'), 403, "forbidden", "admin_uids"),
        (f"{MAIN}/bot/slots", ("-X", "PUT", "-d", "{"), 400, "bad_request", "JSON"),
        (f"{MAIN}/bot/slots", ("-X", "PUT", "-d", '{"slots":[1]}'), 400, "bad_request", "slots"),
        (f"{MAIN}/bot/settlements", ("-d", '{"realized_pnl":NaN}'), 400, "bad_request", "NaN"),
        (f"{MAIN}/bot/settlements", ("-d", "[" * 100_000), 400, "bad_request", "JSON"),
    ],
)
@needs_curl
async def test_every_refusal_is_an_envelope(
    socket: Path, path: str, words: tuple[str, ...], status: int, code: str, named: str
) -> None:
    """What cannot be answered has its status, its code, and a sentence that names what is wrong."""
    daemon = FakeDaemon(account_with_all_types(), refused={"bad": "make a new key"})
    async with serving(daemon, socket, admin_uids=frozenset()):
        answer = await curl(socket, path, *words)
    conforms(answer.json(), "error")
    error = answer.json()["error"]
    assert (status, code, "1") == (answer.status, error["code"], answer.headers["ditad-api-version"])
    assert named in error["message"]


@needs_curl
async def test_readiness_names_who_is_not_ready_and_why(socket: Path) -> None:
    """The global readiness is 503 while any account is not ready or not served, and says what to do."""
    main, other = account_with_all_types(), FakeAccount("other")
    other.unready = ("there is no baseline yet",)
    async with serving(FakeDaemon(main, other, refused={"bad": "make a new key"}), socket):
        whole = await curl(socket, "/v1/readyz")
        ready = await curl(socket, f"{MAIN}/readyz")
        unready = await curl(socket, "/v1/accounts/other/readyz")
    assert (503, 200, 503) == (whole.status, ready.status, unready.status)
    expected = {"bad": ["not served: make a new key"], "other": ["there is no baseline yet"]}
    assert expected == whole.json()["accounts"]
    assert ["other: there is no baseline yet"] == unready.json()["reasons"]


@needs_curl
async def test_accounts_say_what_to_do(socket: Path) -> None:
    """An account that is refused is listed as UNKNOWN with what to do, also where something is known of it."""
    daemon = FakeDaemon(
        account_with_all_types(), FakeAccount("half"), refused={"bad": "new key", "half": "set the clock"}
    )
    async with serving(daemon, socket):
        items = (await curl(socket, "/v1/accounts")).json()["items"]
    told = {item["account"]: (item["served"], item["ready"], item["what_to_do"]) for item in items}
    assert {
        "main": (True, True, None),
        "half": (False, False, "set the clock"),
        "bad": (False, False, "new key"),
    } == told


@needs_curl
async def test_a_list_is_paged_to_its_end(socket: Path) -> None:
    """Following `next_after_seq` gives every item once; the last page says that it is the last."""
    account = FakeAccount()
    account.add(*[record(seq) for seq in range(1, 6)])
    found: list[int] = []
    cursor: int | None = 0
    pages = 0
    async with serving(FakeDaemon(account), socket):
        while cursor is not None:
            page = (await curl(socket, f"{MAIN}/fills?after_seq={cursor}&limit=2")).json()
            found += [item["seq"] for item in page["items"]]
            cursor, pages = page["next_after_seq"], pages + 1
    assert ([1, 2, 3, 4, 5], 3) == (found, pages)


@needs_curl
async def test_divergences_are_filtered_by_state_across_pages(socket: Path) -> None:
    """A filtered list gives full pages of what passes the filter, and loses nothing between them."""
    account = FakeAccount()
    account.add(*[record(seq, RecordType.DIVERGENCE) for seq in range(1, 12)])
    async with serving(FakeDaemon(account), socket):
        first = (await curl(socket, f"{MAIN}/divergences?state=open&limit=2")).json()
        rest = (await curl(socket, f"{MAIN}/divergences?state=open&after_seq={first['next_after_seq']}")).json()
    assert ([2, 4], [6, 8, 10]) == ([item["seq"] for item in first["items"]], [item["seq"] for item in rest["items"]])
    assert rest["next_after_seq"] is None


@needs_curl
async def test_a_filtered_page_is_never_too_long(socket: Path) -> None:
    """A page that is filled out of several pages of records ends at its limit, and the next begins where it ended."""
    account = FakeAccount(journal=[record(seq, RecordType.DIVERGENCE) for seq in (1, 2, 4, 6, 8)])
    async with serving(FakeDaemon(account), socket):
        first = (await curl(socket, f"{MAIN}/divergences?state=open&limit=2")).json()
        rest = (await curl(socket, f"{MAIN}/divergences?state=open&after_seq={first['next_after_seq']}")).json()
    assert ([2, 4], [6, 8]) == ([item["seq"] for item in first["items"]], [item["seq"] for item in rest["items"]])


@needs_curl
async def test_positions_lie_side_by_side(socket: Path) -> None:
    """A position that only one ledger has shows the other as null; those of one snapshot are not split."""
    async with serving(FakeDaemon(account_with_all_types()), socket):
        items = (await curl(socket, f"{MAIN}/positions?limit=1")).json()["items"]
        none = (await curl(socket, f"{MAIN}/positions?after_seq=24")).json()["items"]
    sides = [(item["seq"], item["symbol"], item["k"] is None, item["e"] is None) for item in items]
    assert [(24, "BTC-USDT", True, False), (24, "FET-USDT", False, False)] == sides
    assert [] == none


@needs_curl
async def test_changing_calls_carry_the_peers_uid_and_exact_decimals(socket: Path) -> None:
    """The door gets the uid the kernel tells, and every decimal as the digits that were sent."""
    account, uid = account_with_all_types(), os.getuid()
    async with serving(FakeDaemon(account), socket, admin_uids=frozenset({uid})):
        await curl(socket, f"{MAIN}/audit", "-X", "POST")
        await curl(socket, f"{MAIN}/adopt", "-d", '{"why":" seen it "}')
        await curl(socket, f"{MAIN}/bot/slots", "-X", "PUT", "-d", '{"slots":[{"size":0.10000000000000000001}]}')
        await curl(socket, f"{MAIN}/bot/settlements", "-d", '{"id":"t1","realized_pnl":1.10}')
    expected = [
        ("audit", uid),
        ("adopt", uid, "seen it"),
        ("put_slots", uid, [{"size": "0.10000000000000000001"}]),
        ("settle", uid, {"id": "t1", "realized_pnl": "1.10"}),
    ]
    assert expected == account.calls


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (UsageError("x"), 400),
        (RefusedError("x"), 403),
        (ConflictError("x"), 409),
        (UnavailableError("x"), 503),
        (VenueError("x"), 503),
        (DitadError("x"), 503),
    ],
)
@needs_curl
async def test_what_a_door_raises_has_its_status(socket: Path, raised: DitadError, status: int) -> None:
    """Each kind of error of our tree becomes its status."""
    account = account_with_all_types()
    account.raises = raised
    async with serving(FakeDaemon(account), socket):
        answer = await curl(socket, f"{MAIN}/bot/settlements", "-d", "{}")
    assert (status, "x") == (answer.status, answer.json()["error"]["message"])


@needs_curl
async def test_before_any_event_there_is_no_snapshot(socket: Path) -> None:
    """An account of which nothing was heard answers unavailable, and lists nothing."""
    async with serving(FakeDaemon(FakeAccount()), socket):
        snapshot = await curl(socket, f"{MAIN}/snapshot")
        why = await curl(socket, f"{MAIN}/why?field=fees_paid")
        fills = await curl(socket, f"{MAIN}/fills")
    assert (503, 503, {"items": [], "next_after_seq": None}) == (snapshot.status, why.status, fills.json())
