"""What is kept and what is asked: the journal, checkpoints, settings, requests of the socket, moments typed by people.

What holds: stored bytes that hold no record end in the errors of the journal, settings in `SettingsError` with
sentences, requests in a `Problem` that can be written as an answer, moments in a sentence; nothing else is raised.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson

from ditad import codec, config
from ditad.api import bodies, query, routes
from ditad.api.answers import Problem
from ditad.cli import moments
from ditad.errors import JournalError, SettingsError, UsageError
from ditad.events import KIND_OF, KINDS, Event, Raw
from ditad.journal import Journal, Reader
from ditad.journal.packing import pack
from ditad.journal.rows import Archived, Checkpoint, Derived, event_of
from ditad.projection import Projection
from ditad.records import Record, RecordType
from ditad.state import FOLD_VERSION, State
from tests.fuzz import folding
from tests.fuzz.mutation import NUMBERS, TEXTS, bent_text, torn
from tests.fuzz.seeds import STORIES
from tests.fuzz.trying import ACCEPTED, REFUSED, Group, Outcome, Target

TEMPLATE: Final = Path(__file__).parent.parent.parent / "config" / "ditad.toml"
NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
FILES_EVENTS: Final = 60


@cache
def _folded() -> tuple[tuple[Event, ...], tuple[Record, ...], tuple[bytes, ...]]:
    """Give events of some stories, the records that the first led to, and states as checkpoints write them."""
    events: list[Event] = []
    states: list[bytes] = []
    for number in range(min(4, STORIES)):
        rng = Random(f"keeping:{number}")  # noqa: S311 - inputs are no secrets
        ledger = folding.Ledger(number)
        _, steps = folding.make(rng)
        for at_us, asked_ms, kind, text in steps:
            for body in folding.bodies_of(kind, text, at_us, asked_ms, ledger):
                ledger.tell(body, at_us)
                events.append(Event(n=len(events) + 1, at_us=ledger.us, heard_us=ledger.us, body=body))
        states.append(ledger.projection.checkpoint())
    projection = Projection.restored("main", states[0])
    first = projection.state.n
    told = [Event(n=first + event.n, at_us=event.at_us, heard_us=None, body=event.body) for event in events]
    records = [record for event in told for record in projection.fold(event).records]
    return tuple(events), tuple(records), tuple(states)


# ---- the journal's values -------------------------------------------------------------------------------------------


def make_value(rng: Random) -> tuple[str, bytes]:
    """Draw a kind of event, or `state`, and bytes that may hold one, as JSON or packed."""
    events, _, states = _folded()
    if rng.random() < 0.15:
        return "state", _scarred(rng.choice(states), rng)
    body = rng.choice(events).body
    kind = KIND_OF[type(body)] if rng.random() < 0.97 else rng.choice(sorted(KINDS))
    return kind, _scarred(codec.encode(body), rng)


def _scarred(text: bytes, rng: Random) -> bytes:
    if rng.random() < 0.8:
        return bent_text(orjson.loads(text), rng)
    return torn(text, text, rng)


def try_value(given: tuple[str, bytes]) -> Outcome:
    """Read an event or a state back from JSON, and the event from its row."""
    kind, text = given
    known: Any = State if kind == "state" else KINDS[kind]
    try:
        found = codec.decode(known, text)
    except ValueError:
        outcome = REFUSED
    else:
        assert codec.decode(known, codec.encode(found)) == found, "a record comes back as it was"
        outcome = ACCEPTED
    if kind != "state":
        with suppress(JournalError):
            event_of((1, 2, None, kind, pack(text), None))
    return outcome


def make_packed(rng: Random) -> bytes:
    """Draw bytes that were a packed value once."""
    data = pack(codec.encode(rng.choice(_folded()[0]).body))
    return torn(data, pack(b"{}"), rng) if rng.random() < 0.9 else rng.randbytes(rng.randrange(60))


def try_packed(data: bytes) -> Outcome:
    """Read an event's row with damaged bytes in it."""
    try:
        event_of((1, 2, 3, "order", data, None))
    except JournalError:
        return REFUSED
    return ACCEPTED


# ---- the journal's file ---------------------------------------------------------------------------------------------


@cache
def _folder() -> Path:
    """Give a folder of this process, in memory where the machine has one there."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder below it is our own
    folder = Path(tempfile.mkdtemp(prefix="ditad-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _journal() -> bytes:
    """Write a journal with everything in it, sealed, and give its file."""
    events, records, states = _folded()
    told = events[:FILES_EVENTS]
    kept = tuple(
        Record(
            seq=seq,
            n=min(record.n, len(told)),
            type=record.type,
            at_us=record.at_us,
            key=record.key,
            replaces=(),
            line=record.line,
        )
        for seq, record in enumerate((record for record in records if record.n <= len(told) + 4), 1)
    )
    at_us = told[-1].at_us
    point = Checkpoint(n=len(told), seq=len(kept), event_seq=1, at_us=at_us, fold_version=FOLD_VERSION, state=states[0])
    archive = (Archived(key="1", n=1, body=b"{}"),)
    folder = _folder() / "whole"
    folder.mkdir()

    async def write() -> None:
        journal = Journal.open(folder, "main")
        nothing = Derived(records=(), fold_version=FOLD_VERSION, checkpoint=None, archive=())
        raw = Raw(source="private", at_us=at_us, data=b"{}")
        await journal.commit([(event, raw if event.n % 3 else None) for event in told], nothing)
        await journal.close(Derived(records=kept, fold_version=FOLD_VERSION, checkpoint=point, archive=archive))

    asyncio.run(write())
    return (folder / "main.journal").read_bytes()


def make_file(rng: Random) -> tuple[int, tuple[tuple[int, bytes], ...]]:
    """Draw a length to cut the file to, and pieces of it to overwrite; the head and the b-trees' heads often."""
    size = len(_journal())
    places = [rng.randrange(size), rng.randrange(100), rng.randrange(size // 4096) * 4096 + rng.randrange(64)]
    cut = rng.randrange(size) if rng.random() < 0.1 else size
    return cut, tuple(
        (rng.choice(places), rng.randbytes(rng.choice((1, 1, 2, 8, 64)))) for _ in range(rng.randrange(1, 4))
    )


def try_file(given: tuple[int, tuple[tuple[int, bytes], ...]]) -> Outcome:
    """Read everything there is in a damaged journal."""
    cut, patches = given
    data = bytearray(_journal())
    for at, patch in patches:
        data[at : at + len(patch)] = patch
    path = _folder() / "main.journal"
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    path.write_bytes(data[:cut])
    outcome = REFUSED
    with suppress(JournalError), Reader.open(_folder(), "main") as reader:
        for read in _READS:
            with suppress(JournalError):
                read(reader)
                outcome = ACCEPTED
    return outcome


_READS: Final = (
    lambda reader: reader.integrity(),
    lambda reader: list(reader.events()),
    lambda reader: [reader.raw(n) for n in (1, 2, 3, FILES_EVENTS)],
    lambda reader: list(reader.commits()),
    lambda reader: reader.records_after(0, limit=1000),
    lambda reader: [reader.current_records(kind, limit=1000) for kind in RecordType],
    lambda reader: reader.checkpoint_at_or_before(n=10**6),
    lambda reader: reader.archived("1"),
    lambda reader: reader.n_at(1_760_001_650_000_000),
    lambda reader: (reader.sealed, reader.last_seq, reader.derived_n),
)


# ---- settings -------------------------------------------------------------------------------------------------------

VALUES: Final = (
    *("1", "-1", "0", "1.5", "1e400", "-inf", "nan", "1e-400", "9" * 400, "0x10", "1_000", "true", "[]", "{}", '""'),
    *("[[]]", "[1, 'a']", "{a = 1}", "1979-05-27T07:32:00Z", "07:32:00", "'''x\ny'''", '"\\ud800"', '"\\u0000"', "."),
    *('"auto"', '"1m"', '"/x"', '"' + "/x" * 3_000 + '"', '"https://[::1"', '"https://a:99999"', '"٣m"', '"0٦٦٠"'),
    *('"https://user:pw@host"', '"http://127.1"', '"ws://localhost"', '"1' + "0" * 70 + '"', '"sNaN"', "[" * 3_000),
)
LINES: Final = (
    *(
        "[daemon]",
        "[[daemon]]",
        "[account]",
        "[[account]]",
        "[account.key]",
        "[[account.stream]]",
        "[x]",
        "account = 1",
    ),
    *("daemon = []", "api_key = 'x'", "name = 'main'", "environment = 'custom'", "\x00", "\ufeff", "a.b.c = 1", "= 1"),
    *("rest_url = 'https://a'", "ws_url = 'wss://a'", "environment = 'vst'", "'' = 1", '"\\u00e9" = 1', "secret = 1"),
)


def make_settings(rng: Random) -> tuple[tuple[str, str], bytes]:
    """Draw the environment's two folders and a settings file made of the template."""
    lines = _template().split("\n")
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at = rng.randrange(len(lines))
        kind = rng.randrange(5)
        name = lines[at].removeprefix("# ").partition(" =")[0]
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines[at : at + 1] = rng.sample(lines, min(2, len(lines)))
        elif kind == 2:
            lines.insert(at, rng.choice(LINES))
        else:
            lines[at] = f"{name} = {rng.choice((*VALUES, *NUMBERS))}"
        lines = lines or [""]
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    folders = ("", "/run/ditad", "x", "/" + "y" * 120, "/a:/b", "\x00")
    return (rng.choice(folders), rng.choice(folders)), torn(text, text, rng) if rng.random() < 0.1 else text


@cache
def _template() -> str:
    lines = (line.partition("  # [")[0] for line in TEMPLATE.read_text().splitlines())
    return "\n".join(line for line in lines if " = " in line or line.startswith("["))


def try_settings(given: tuple[tuple[str, str], bytes]) -> Outcome:
    """Read a settings file; all that may come out are settings, or sentences."""
    (state, runtime), text = given
    path = _folder() / "ditad.toml"
    path.write_bytes(text)
    try:
        config.load(path, environ={"STATE_DIRECTORY": state, "RUNTIME_DIRECTORY": runtime})
    except SettingsError as error:
        _check_problems(error.problems)
        return REFUSED
    return ACCEPTED


def _check_problems(problems: list[str]) -> None:
    assert problems, "a refusal has a reason"
    assert all(problems), "each a sentence"


# ---- requests -------------------------------------------------------------------------------------------------------

PATHS: Final = (
    *(
        "/v1/livez",
        "/v1/readyz",
        "/v1/accounts",
        "/v1/schema",
        "/v1/accounts/main/snapshot",
        "/v1/accounts/main/events",
    ),
    *(
        "/v1/accounts/main/fills",
        "/v1/accounts/main/divergences",
        "/v1/accounts/main/positions",
        "/",
        "",
        "//",
        "/v1//",
    ),
    *("/v1/accounts/main/bot/slots", "/v1/accounts/main/adopt", "/v1/accounts/é/snapshot", "/v1/%FF", "/v2/livez"),
)
PARAMETERS: Final = ("after_seq", "limit", "state", "at", "event_seq", "since", "follow", "type", "snapshot", "é", "x")
ASKED: Final = (
    *(
        "1",
        "0",
        "-1",
        "٣",
        "²",
        "9" * 18,
        "9" * 19,
        "9" * 20,
        "9" * 256,
        "9" * 5000,
        "",
        "open",
        "open,healed",
        "fill,gap",
    ),
    *("2026-01-31T12:00:00Z", "2026-01-31T12:00:00 02:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:60Z", "1e3"),
    *("9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z", "2026-01-31T12:00:00.123456789-24:00", "é", ",", "10m"),
)
BODIES: Final = (
    b'{"why":"because"}',
    b'{"slots":[{"slot_id":"1","trade_id":"t","asset":"BTC-USDT","side":"LONG","size":"1.5","entry_price":1.25}]}',
    b'{"settlement_id":"s1","realized_pnl":-1.50,"fees":"0.1"}',
)


def make_request(rng: Random) -> tuple[str, str, tuple[tuple[str, str], ...], bytes]:
    """Draw a method, a path, parameters, a body."""
    path = rng.choice(PATHS)
    if rng.random() < 0.2:
        at = rng.randrange(len(path) + 1)
        path = path[:at] + rng.choice(("/", "%", "x", "\x00", "..", "é")) + path[at:]
    asked = [(rng.choice(PARAMETERS), _asked(rng)) for _ in range(rng.choice((0, 1, 1, 2, 5)))]
    body = bent_text(orjson.loads(rng.choice(BODIES)), rng)
    if rng.random() < 0.2:
        body = torn(body, rng.choice(BODIES), rng)
    return rng.choice(("GET", "GET", "GET", "PUT", "POST", "")), path, tuple(asked), body


def _asked(rng: Random) -> str:
    text = rng.choice((*ASKED, *TEXTS)).replace(
        "\ud800", ""
    )  # what a request line holds is text (aiohttp refuses else)
    if rng.random() < 0.3:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice("0123456789TZ:-+. ,é") + text[at + rng.randrange(2) :]
    return text


def try_request(given: tuple[str, str, tuple[tuple[str, str], ...], bytes]) -> Outcome:
    """Read a request line, and a body in each way that one is read."""
    method, path, asked, body = given
    outcome = REFUSED
    try:
        routes.parse(method, path, asked)
        outcome = ACCEPTED
    except Problem as problem:
        problem.body()
    for read in (bodies.object_of, bodies.why_of, bodies.slots_of):
        try:
            json.dumps(read(body), ensure_ascii=False).encode()
        except Problem as problem:
            problem.body()
    return outcome


def make_moment(rng: Random) -> str:
    """Draw text that may be a moment."""
    return _asked(rng)


def try_moment(text: str) -> Outcome:
    """Read it as the socket does, and as the verbs do."""
    outcome = REFUSED
    with suppress(ValueError):
        assert isinstance(query.moment_us(text), int), "microseconds are whole"
        outcome = ACCEPTED
    with suppress(UsageError):
        assert query.moment_us(moments.moment(text, NOW)) is not None, "what the verbs write the socket reads"
        outcome = ACCEPTED
    return outcome


KEEPING = Group(
    name="keeping",
    says="the journal, checkpoints, settings, requests, moments",
    targets=(
        Target(name="value", make=make_value, attempt=try_value, weight=10),
        Target(name="packed", make=make_packed, attempt=try_packed),
        Target(name="file", make=make_file, attempt=try_file, weight=1),
        Target(name="settings", make=make_settings, attempt=try_settings, weight=5),
        Target(name="request", make=make_request, attempt=try_request),
        Target(name="moment", make=make_moment, attempt=try_moment),
    ),
)
