import dataclasses
import errno
import fcntl
import json
import logging
import os
import pty
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
import structlog

from ditad import log, log_lines
from ditad.log_stream import PASSING_SECRETS_MAX, LogStream

NOW_US = 1_758_608_899_350_001
SECRET = "b1946ac92492d2347c6235b4d2611184"
LISTEN_KEY = "f00dcafe" * 8


class Wire:
    """A pipe in the place of stdout, read at the end."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.streams: list[LogStream] = []

    def configure(self, **options: Any) -> LogStream:
        """Configure the log to write into the pipe."""
        self.streams.append(log.configure(fd=self.writing, now_us=lambda: NOW_US, **options))
        return self.streams[-1]

    def text(self) -> bytes:
        """Close the log and give all that was written."""
        for stream in self.streams:
            assert stream.close(30.0)
        os.close(self.writing)
        self.writing = -1
        with os.fdopen(self.reading, "rb") as file:
            self.reading = -1
            return file.read()

    def lines(self) -> list[dict[str, Any]]:
        """Close the log and give its lines, each of which must be one JSON object."""
        return [json.loads(line) for line in self.text().splitlines()]

    def give_up(self) -> None:
        """Close what is still open."""
        for fd in (self.reading, self.writing):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Give a pipe to log into, and put logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    wire = Wire()
    yield wire
    wire.give_up()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


class Colour(StrEnum):
    """An enum to be logged."""

    RED = "red"


@dataclasses.dataclass(frozen=True)
class Point:
    """A record to be logged."""

    x: Decimal


def test_a_line_is_one_object_with_its_head_first(wire: Wire) -> None:
    """Event, level, timestamp and account come first, so that a person reads them without searching."""
    wire.configure()
    structlog.get_logger().bind(account="main", seq=3).info("gap.opened", cause="start")
    assert (
        b'{"event":"gap.opened","level":"info","timestamp":"2025-09-23T06:28:19.350001Z",'
        b'"account":"main","seq":3,"cause":"start"}\n'
    ) == wire.text()


def test_what_json_cannot_hold_is_logged_as_its_text(wire: Wire) -> None:
    """A log call does not fail for a value that nobody thought of."""
    wire.configure()
    structlog.get_logger().warning(
        "odd",
        money=Decimal("1E-8"),
        big=2**70,
        small=[2**40, True],
        bytes_=b"\xff",
        bad="\ud800",
        keys={1: {Colour.RED}, None: Point(x=Decimal(1))},
        number=float("nan"),
        point=Point(x=Decimal("0.10")),
    )
    line = wire.lines()[0]
    assert {
        "event": "odd",
        "level": "warning",
        "timestamp": "2025-09-23T06:28:19.350001Z",
        "money": "0.00000001",
        "big": str(2**70),
        "small": [2**40, True],
        "bytes_": "b'\\xff'",
        "bad": "\\ud800",
        "point": "Point(x=Decimal('0.10'))",
    } == {name: line[name] for name in line if name not in {"keys", "number"}}
    assert ["red"] == line["keys"]["1"]


def test_nesting_without_end_is_cut(wire: Wire) -> None:
    """A value that holds itself is a line all the same."""
    wire.configure()
    endless: dict[str, Any] = {}
    endless["self"] = endless
    structlog.get_logger().info("odd", value=endless)
    assert "odd" == wire.lines()[0]["event"]


@pytest.mark.parametrize(("level", "due"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_is_less_important_than_the_level_is_not_written(wire: Wire, level: str, due: int) -> None:
    """The level of the settings counts, for events and for raw lines."""
    stream = wire.configure(level=level)
    logger = structlog.get_logger()
    for tell in (logger.debug, logger.info, logger.warning, logger.error):
        tell("x")
    stream.raw_line(b'{"event":"snapshot"}')
    assert due + (level in {"debug", "info"}) == len(wire.lines())


def test_the_level_changes_for_loggers_that_were_bound_before(wire: Wire) -> None:
    """After a reload an old logger writes as much as is wanted now; raw lines too."""
    stream = wire.configure(level="warning")
    bound = structlog.get_logger().bind(account="main")
    bound.info("before")
    log.set_level(stream, "debug")
    bound.debug("after")
    stream.raw_line(b'{"event":"raw"}')
    log.set_level(stream, "error")
    bound.warning("never")
    bound.critical("last")
    assert ["after", "raw", "last"] == [line["event"] for line in wire.lines()]


def test_raw_lines_keep_their_bytes_and_their_place(wire: Wire) -> None:
    """A snapshot is encoded once for all; among other lines it stands where it was logged."""
    stream = wire.configure()
    structlog.get_logger().info("first")
    stream.raw_line(b'{"event":"snapshot","k": {"capital":"1.50"}}')
    structlog.get_logger().info("last")
    lines = wire.text().splitlines()
    assert b'{"event":"snapshot","k": {"capital":"1.50"}}' == lines[1]
    assert ["first", "last"] == [json.loads(lines[at])["event"] for at in (0, 2)]


# ---- secrets ----------------------------------------------------------------------------------------------------------


class LeakyError(Exception):
    """An exception that carries a secret in its text, its notes and its attributes."""


def leak_in_traceback(logger: Any) -> None:
    """Log an exception with the secret in its message, its cause, a note and a local variable."""
    try:
        ask(SECRET)
    except ConnectionError:
        logger.exception("stream.lost")


def ask(local: str) -> None:
    """Fail as a request does, with everything in the exception that should not be."""
    try:
        sign(local)
    except LeakyError as exc:
        exc.add_note(f"used {local}")
        raise ConnectionError(f"wss://host/swap-market?listenKey={LISTEN_KEY}&x=1") from exc


def sign(local: str) -> None:
    """Fail with the secret in the message."""
    raise LeakyError(f"HMAC of {local} failed")


RENEWED = f"renewed {SECRET}"
LEAKS: dict[str, Callable[[Any], None]] = {
    "event": lambda logger: logger.info(RENEWED),
    "field": lambda logger: logger.info("x", reason=f"key {SECRET}!"),
    "key": lambda logger: logger.info("x", **{SECRET: 1}),
    "nested": lambda logger: logger.info("x", request={"headers": [{"X-BX-APIKEY": SECRET}]}),
    "bytes": lambda logger: logger.info("x", body=SECRET.encode()),
    "exception": lambda logger: logger.info("x", error=LeakyError(SECRET)),
    "repr": lambda logger: logger.info("x", error=repr({"secret": SECRET})),
    "traceback": leak_in_traceback,
    "url": lambda logger: logger.info("x", url=f"https://h/openApi?a=1&signature={SECRET}&listenKey={LISTEN_KEY}"),
    "quoted url": lambda logger: logger.info("x", url=f"https://h/?u=h%3FlistenKey%3D{LISTEN_KEY}%26a=1"),
    "frame": lambda logger: logger.info("x", frame=f'{{"e":"listenKeyExpired","listenKey":"{LISTEN_KEY}"}}'),
    "frame in frame": lambda logger: logger.info(
        "x", frame=json.dumps({"frame": json.dumps({"listenKey": LISTEN_KEY, "signature": "0" * 64 + SECRET})})
    ),
    "dictionary": lambda logger: logger.info("x", answer={"listenKey": LISTEN_KEY}),
    "text of a dictionary": lambda logger: logger.info("x", answer=str({"listenKey": LISTEN_KEY})),
    "library": lambda _: logging.getLogger("aiohttp.client").warning("asked %s", f"https://h/?listenKey={LISTEN_KEY}"),
    "library exception": lambda _: logging.getLogger("asyncio").error("lost", exc_info=LeakyError(SECRET)),
    "too long": lambda logger: logger.info("x", text="y" * 240 + SECRET + "y" * 40_000),
}


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("leak", list(LEAKS))
def test_a_secret_never_appears(wire: Wire, leak: str, form: str) -> None:
    """Wherever it was planted, what is written holds neither the secret nor a listen key that nobody registered."""
    stream = wire.configure(form=form)
    stream.hide(SECRET)
    LEAKS[leak](structlog.get_logger())
    text = wire.text()
    assert text
    assert SECRET.encode() not in text
    assert SECRET[:12].encode() not in text
    assert LISTEN_KEY[:12].encode() not in text


def test_redacted_lines_are_still_json(wire: Wire) -> None:
    """Taking a secret out does not break the line it was in."""
    stream = wire.configure()
    stream.hide(SECRET)
    for leak in LEAKS.values():
        leak(structlog.get_logger())
    assert len(LEAKS) == len(wire.lines())


def test_a_secret_with_characters_that_json_quotes_is_hidden_in_every_form(wire: Wire) -> None:
    """Quotes, backslashes and slashes look different in JSON and in URLs."""
    odd = 'a"b\\c/d+e=f&g'
    stream = wire.configure()
    stream.hide(odd)
    structlog.get_logger().info(
        "x", plain=odd, nested=json.dumps({"k": odd}), url="https://h/a%22b%5Cc%2Fd%2Be%3Df%26g"
    )
    assert [{"plain": "***", "nested": '{"k": "***"}', "url": "https://h/***"}] == [
        {name: line[name] for name in ("plain", "nested", "url")} for line in wire.lines()
    ]


def test_raw_lines_are_redacted_too(wire: Wire) -> None:
    """There is one door, and nothing goes round it."""
    stream = wire.configure()
    stream.hide(SECRET)
    stream.raw_line(b'{"event":"snapshot","x":"%s"}' % SECRET.encode())
    assert [{"event": "snapshot", "x": "***"}] == wire.lines()


def test_text_for_another_door_is_redacted(wire: Wire) -> None:
    """What goes to stderr is cleaned by the same rule."""
    stream = wire.configure()
    stream.hide(SECRET)
    assert "*** \udcff listenKey=***".encode(errors="backslashreplace").decode() == stream.redact(
        f"{SECRET} \udcff listenKey={LISTEN_KEY}"
    )


def test_the_newest_passing_secrets_stay_hidden(wire: Wire) -> None:
    """Listen keys come and go for years in a bounded memory, in which the lasting secrets keep their place."""
    stream = wire.configure()
    stream.hide(SECRET)
    keys = [f"listen-key-number-{number:05}" for number in range(PASSING_SECRETS_MAX + 1)]
    for key in keys:
        stream.hide(key, passing=True)
        stream.hide(key, passing=True)
    stream.hide("short")
    assert [f"{keys[0]} *** *** *** short"] == [stream.redact(f"{keys[0]} {keys[1]} {keys[-1]} {SECRET} short")]


def test_a_traceback_shows_no_locals(wire: Wire) -> None:
    """A trace says where; what the variables held stays inside."""
    wire.configure()
    leak_in_traceback(structlog.get_logger())
    line = wire.lines()[0]
    assert "error" == line["level"]
    assert "Traceback (most recent call last)" in line["exception"]
    assert "ConnectionError" in line["exception"]
    assert f"local = {SECRET}" not in line["exception"]


@pytest.mark.parametrize(
    "odd",
    [
        b'{"a":"quiet"}',
        b'{"a":"of %s here"}' % SECRET.encode(),
        b'{"url":"/x?listenKey=abcdef&b=1"}',
        b'{"url":"/x?signature=abcdef&b=1"}',
        b'{"a":"' + b"y" * 40_000 + b'"}',
        b"",
    ],
)
def test_lines_written_together_are_each_what_they_are_alone(odd: bytes) -> None:
    """Wherever the one stands that has something to be taken out, or is too long."""
    hidden = log_lines.forms_of(SECRET)
    plain = [b'{"event":"snapshot"}', b'{"event":"gap.opened"}']
    alone = log_lines.cut(log_lines.redact(odd, hidden))
    assert SECRET.encode() not in alone
    for at in range(3):
        lines = [*plain[:at], odd, *plain[at:]]
        assert b"\n".join([*plain[:at], alone, *plain[at:], b""]) == log_lines.block(lines, hidden)


# ---- length -----------------------------------------------------------------------------------------------------------


def test_an_oversize_field_is_cut_and_said(wire: Wire) -> None:
    """The system's journal would cut the line in the middle; we cut the field, and the line says which."""
    wire.configure()
    structlog.get_logger().info("x", account="main", body="é" * 100_000, reason="kept", rows=[1] * 50_000)
    line = wire.lines()[0]
    assert ["body", "rows"] == line["cut"]
    assert ("x", "main", "kept") == (line["event"], line["account"], line["reason"])
    assert line["body"].endswith("é ... cut, 200002 bytes in all")
    assert "cut, 100001 bytes in all" == line["rows"]


@pytest.mark.parametrize(
    "line",
    [
        log_lines.encode({"event": "x", "a": "y" * 1_000_000}),
        log_lines.encode({"a": "y" * 1_000_000}),
        log_lines.encode({"event": "x"} | {f"field{number}": "y" * 100 for number in range(5_000)}),
        log_lines.encode({"event": "x" * 50_000, "account": "y" * 50_000} | dict.fromkeys(map(str, range(9_999)), 0)),
        log_lines.encode({"event": "x", "y" * 40_000: 1}),
        b"[" + b"1," * 50_000 + b"1]",
        b"no JSON " * 10_000,
    ],
    ids=["one", "alone", "many", "head", "name", "list", "text"],
)
def test_no_line_is_longer_than_the_bound(line: bytes) -> None:
    """Whatever makes a line long, what is written is short, and says that it was cut."""
    short = log_lines.cut(line)
    assert len(short) <= log_lines.LINE_BYTES_MAX < len(line)
    assert b"cut" in short


def test_a_line_within_the_bound_is_not_touched() -> None:
    """Up to the bound the bytes stay the same object."""
    line = b'{"event":"' + b"x" * (log_lines.LINE_BYTES_MAX - 12) + b'"}'
    assert log_lines.LINE_BYTES_MAX == len(line)
    assert line is log_lines.cut(line)


# ---- a reader that does not read ----------------------------------------------------------------------------------------


def full_pipe() -> tuple[int, int]:
    """Make a pipe that takes nothing more."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"#" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    return reading, writing


def read_until(fd: int, end: bytes) -> bytes:
    """Read a pipe until these bytes came."""
    read = b""
    while end not in read:
        read += os.read(fd, 65536)
    return read


def test_a_blocked_reader_costs_the_oldest_lines_and_says_how_many() -> None:
    """While nobody reads, logging goes on within a bound; who reads again learns how many lines are missing."""
    reading, writing = full_pipe()
    stream = LogStream(writing, now_us=lambda: NOW_US, lines_max=10)
    stream.put(b"in the writer's hand")
    while stream._waiting:
        threading.Event().wait(0)
    for number in range(100):
        stream.put(b"%d" % number)
    assert 90 == stream.dropped
    lines = read_until(reading, b"\n99\n").lstrip(b"#").splitlines()
    assert b"in the writer's hand" == lines[0]
    assert {
        "event": "log.dropped",
        "level": "warning",
        "timestamp": "2025-09-23T06:28:19.350001Z",
        "lines": 90,
    } == json.loads(lines[1])
    assert [b"%d" % number for number in range(90, 100)] == lines[2:]
    assert stream.close(30.0)
    os.close(reading)
    os.close(writing)


def test_waiting_bytes_are_bounded_too() -> None:
    """A few very long lines count as much as many short ones."""
    reading, writing = full_pipe()
    stream = LogStream(writing, now_us=lambda: NOW_US, bytes_max=1_000)
    stream.put(b"in the writer's hand")
    while stream._waiting:
        threading.Event().wait(0)
    for _ in range(5):
        stream.put(b"x" * 400)
    assert (2, 800) == (len(stream._waiting), stream._waiting_bytes)
    assert 3 == stream.dropped
    os.close(reading)
    assert stream.close(30.0)
    os.close(writing)


def test_closing_waits_a_bounded_time() -> None:
    """A reader that never reads does not keep the daemon from ending."""
    reading, writing = full_pipe()
    stream = LogStream(writing, now_us=lambda: NOW_US)
    stream.put(b"never read")
    assert not stream.close(0.01)
    os.close(reading)
    stream._thread.join(30.0)
    assert not stream._thread.is_alive()
    os.close(writing)


def test_a_reader_that_is_gone_does_not_stop_us(wire: Wire) -> None:
    """With stdout broken the books go on; what could not be told is counted."""
    stream = wire.configure()
    os.close(wire.reading)
    wire.reading = -1
    structlog.get_logger().info("x")
    stream._thread.join(30.0)
    structlog.get_logger().info("y")
    assert 2 == stream.dropped
    assert stream.close()


def test_a_descriptor_that_does_not_block_is_waited_for() -> None:
    """Somebody may have made stdout non-blocking; no line is torn or lost by that."""
    reading, writing = full_pipe()
    os.set_blocking(writing, False)
    with pytest.raises(BlockingIOError) as full:
        os.write(writing, b"#")
    assert errno.EAGAIN == full.value.errno
    stream = LogStream(writing, now_us=lambda: NOW_US)
    for number in range(60):
        stream.put(b"%d" % number * 10_000)
    stream.put(b"the end")
    due = b"".join(b"%d" % number * 10_000 + b"\n" for number in range(60)) + b"the end\n"
    assert due == read_until(reading, b"the end\n").lstrip(b"#")
    assert 0 == stream.dropped
    assert stream.close(30.0)
    os.close(reading)
    os.close(writing)


def test_order_holds_among_many_threads(wire: Wire) -> None:
    """Each thread's lines stand in its order, whole, and none is lost."""
    stream = wire.configure()

    def tell(name: int) -> None:
        for number in range(200):
            stream.put(b'{"name":%d,"number":%d}' % (name, number))

    threads = [threading.Thread(target=tell, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = wire.lines()
    assert [list(range(200))] * 4 == [[line["number"] for line in lines if line["name"] == name] for name in range(4)]


# ---- form -------------------------------------------------------------------------------------------------------------


def test_a_terminal_gets_lines_for_people() -> None:
    """Form auto is JSON into a pipe or file and the console's form on a terminal."""
    ours, theirs = pty.openpty()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = log.configure(fd=theirs, now_us=lambda: NOW_US)
    structlog.get_logger().info("gap.opened", cause="start")
    assert stream.close(30.0)
    text = os.read(ours, 65536)
    assert b"gap.opened" in text
    assert not text.startswith(b"{")
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    os.close(ours)
    os.close(theirs)


def test_libraries_are_heard_once_and_as_json(wire: Wire) -> None:
    """What a library warns of is one of our lines; a message that cannot be formed is named by its template."""
    wire.configure()
    logging.getLogger("asyncio").warning("task %s took %d s", "a", 3)
    logging.getLogger("asyncio").warning("broken %d", "a")
    logging.getLogger("asyncio").info("noise")
    assert [
        ("library", "warning", "asyncio", "task a took 3 s"),
        ("library", "warning", "asyncio", "broken %d"),
    ] == [(line["event"], line["level"], line["logger"], line["message"]) for line in wire.lines()]


def test_the_descriptor_stays_the_callers(wire: Wire) -> None:
    """Closing the log does not close stdout."""
    stream = wire.configure()
    assert stream.close(30.0)
    assert 0 <= fcntl.fcntl(wire.writing, fcntl.F_GETFD)
