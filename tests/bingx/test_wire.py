"""Frames: inflating within bounds, keeping digits, routing by shape."""

import gzip
import tracemalloc

import pytest

from ditad.bingx.wire import Frame, FrameKind, NumberText, Ping, decode, decode_json, excerpt, inflate
from ditad.errors import Refusal
from tests.bingx.frames import SIZE_MAX, packed, payload

GOOD = payload("captured_order_2023_10")


@pytest.mark.parametrize("frame", [packed(GOOD), GOOD, GOOD.decode()])
def test_a_frame_is_read_compressed_or_plain(frame: bytes | str) -> None:
    """All frames come compressed (CAP), and plain ones, bytes or text, are read alike."""
    decoded = decode(frame, SIZE_MAX)
    assert isinstance(decoded, Frame)
    assert decoded.kind is FrameKind.PRIVATE
    assert decoded.body["o"]["i"] == 1711312357852147712


@pytest.mark.parametrize("frame", [b"Ping", packed(b"Ping"), "Ping"])
def test_the_four_characters_ping_want_pong(frame: bytes | str) -> None:
    """The swap stream's sign of life is text and is answered with text."""
    assert Ping(pong="Pong") == decode(frame, SIZE_MAX)


def test_the_json_form_of_ping_is_answered_in_its_form() -> None:
    """Other products of the exchange want the id and the time back."""
    assert Ping(pong='{"pong": "abc", "time": "t"}') == decode(b'{"ping":"abc","time":"t"}', SIZE_MAX)


def test_a_json_ping_that_holds_no_text_is_refused() -> None:
    """What would be sent back is never anything but short text."""
    with pytest.raises(Refusal, match="ping") as caught:
        decode(b'{"ping":{"a":1}}', SIZE_MAX)
    assert not caught.value.money


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b'{"e":"x"}', FrameKind.PRIVATE),
        (b'{"code":0,"dataType":"BTC-USDT@markPrice","data":{"e":"markPriceUpdate"}}', FrameKind.MARKET),
        (b'{"id":"1","code":0,"msg":"","dataType":"","data":null}', FrameKind.ACK),
        (b'{"id":"","code":80014,"msg":"invalid params","dataType":"","data":null}', FrameKind.ACK),
    ],
)
def test_a_frame_is_routed_by_its_shape(frame: bytes, kind: FrameKind) -> None:
    """Private, market and answer frames differ in their fields only."""
    decoded = decode(frame, SIZE_MAX)
    assert isinstance(decoded, Frame)
    assert kind is decoded.kind


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (packed(GOOD)[:-9], "truncated gzip"),
        (packed(GOOD) + b"x", "behind the end"),
        (packed(b"a" * (SIZE_MAX + 1)), "inflates beyond"),
        (b"a" * (SIZE_MAX + 1), "more than"),
        (b"\x1f\x8b\x08garbage-all-the-way", "damaged gzip"),
        (b'"\xff\xfe"', "not UTF-8"),
        (b"{oops", "not JSON"),
        (b'{"e":NaN}', "not JSON"),
        (b'{"e":Infinity}', "not JSON"),
        (b'{"e":1e400}', "not JSON"),
        (b'{"e":"\\ud800"}', "not JSON"),
        ("\ud800", "not UTF-8"),
        (b'{"e":' + b"9" * 5000 + b"}", "not JSON"),
        (b"[1]", "an object is due"),
        (b"{}", "unknown shape"),
        (b'{"e":"x","dataType":"y"}', "unknown shape"),
        (b"[" * 1010 + b"1.5" + b"]" * 1010, "nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(frame: bytes | str, reason: str) -> None:
    """No input leads to another exception than a refusal, and money may have been in it."""
    with pytest.raises(Refusal, match=reason) as caught:
        decode(frame, SIZE_MAX)
    assert caught.value.money


def test_a_bomb_is_not_inflated_beyond_the_bound() -> None:
    """A frame of kilobytes that would be gigabytes costs no more than the bound."""
    bomb = gzip.compress(b"0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(Refusal, match="inflates beyond"):
            inflate(bomb, SIZE_MAX)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * SIZE_MAX


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":0.1}', {"a": NumberText("0.1")}),
        (b'{"a":28396.50000000}', {"a": NumberText("28396.50000000")}),
        (b'{"a":[{"b":1e-05}]}', {"a": [{"b": NumberText("1e-05")}]}),
        (b'{"a":123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        (b'{"a":1.0,"b":' + b"9" * 300 + b"}", {"a": NumberText("1.0"), "b": NumberText("9" * 300)}),
        (b'{"a":1641061451231662080}', {"a": 1641061451231662080}),
    ],
)
def test_numbers_keep_every_digit(text: bytes, value: object) -> None:
    """A float never stands for a number: its own text does, and integers of any length stay exact."""
    assert value == decode_json(text)


def test_an_excerpt_is_short_and_shows_no_key() -> None:
    """What is refused is shown in part, without anything as long as a listen key."""
    shown = excerpt(packed(payload("synthetic_listen_key_expired")), SIZE_MAX)
    assert '"listenKey":"…"' in shown
    assert len(excerpt(b"a b " * 1000, SIZE_MAX)) == 256


@pytest.mark.parametrize(
    ("frame", "shown"),
    [(b"\x1f\x8b\x08", "3 bytes, 1f8b08…"), ("x" * (SIZE_MAX + 1), f"{SIZE_MAX + 1} bytes, …")],
)
def test_an_excerpt_of_what_cannot_be_inflated_shows_its_size(frame: bytes | str, shown: str) -> None:
    """Damaged bytes are shown in hex, an endless text by its length only."""
    assert shown == excerpt(frame, SIZE_MAX)
