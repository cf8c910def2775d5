"""Frames of both sockets: whatever comes is an `Intake`, and what is in it can be kept.

What holds of every one: nothing is raised; bodies come back from the codec as they were; reasons and excerpts are
short and hold nothing that could be a key; a Pong is short plain text.
"""

from __future__ import annotations

import re
from random import Random

import orjson

from ditad import codec
from ditad.bingx import intake, wire
from ditad.bingx.normalize import ConfigFilter
from ditad.errors import Refusal
from ditad.events import PushRejected
from tests.fuzz.mutation import bent_text, packed, torn
from tests.fuzz.seeds import MARKET_FRAMES, private_frames
from tests.fuzz.trying import ACCEPTED, REFUSED, Group, Outcome, Target

SIZE_MAX = 64 * 1024
_KEY = re.compile(r"[0-9A-Za-z]{48,}")
_UNREADABLE = re.compile(r"\d+ bytes, [0-9a-f]{0,64}…")


def _frame(rng: Random, texts: tuple[bytes, ...]) -> bytes | str:
    text = bent_text(orjson.loads(rng.choice(texts)), rng)
    if rng.random() < 0.15:
        text = torn(text, rng.choice(texts), rng)
    return packed(text, rng)


def make_private(rng: Random) -> bytes | str:
    """Draw a frame of the private socket."""
    return _frame(rng, private_frames())


def make_market(rng: Random) -> bytes | str:
    """Draw a frame of the market socket, now and then one that belongs to the other."""
    return _frame(rng, MARKET_FRAMES if rng.random() < 0.95 else private_frames())


def _check(understood: intake.Intake) -> Outcome:
    for body in understood.bodies:
        assert codec.decode(type(body), codec.encode(body)) == body, "a body comes back from the codec as it was"
        if isinstance(body, PushRejected):
            assert len(body.excerpt) <= wire.EXCERPT_LENGTH_MAX, "an excerpt is short"
            assert len(body.reason) <= intake.REASON_LENGTH_MAX, "a reason is short"
            assert not _KEY.search(body.reason), "no reason holds what could be a key"
            told = not _KEY.search(body.excerpt) or _UNREADABLE.fullmatch(body.excerpt)
            assert told, "no excerpt holds what could be a key, but the first bytes of what cannot be read"
    for mark in understood.marks:
        assert codec.decode(type(mark), codec.encode(mark)) == mark, "a mark comes back from the codec as it was"
    if understood.pong is not None:
        assert understood.pong.isascii(), "a Pong is plain text"
        assert len(understood.pong) < 4 * wire.PONG_VALUE_LENGTH_MAX * 6, "a Pong is short"
    refused = any(isinstance(body, PushRejected) for body in understood.bodies)
    return REFUSED if refused else ACCEPTED


def try_private(data: bytes | str) -> Outcome:
    """Understand a frame as the private socket's reader does."""
    return _check(intake.read_private(data, ConfigFilter(), SIZE_MAX))


def try_market(data: bytes | str) -> Outcome:
    """Understand a frame as the market socket's reader does."""
    return _check(intake.read_market(data, SIZE_MAX))


def try_decode(data: bytes | str) -> Outcome:
    """Inflate and decode alone, with a bound that is often too small; a refusal is the only way out."""
    try:
        text = wire.inflate(data, 600)
        assert len(text) <= 600, "nothing is inflated beyond the bound"
        wire.decode_json(text)
    except Refusal:
        return REFUSED
    return ACCEPTED


FRAMES = Group(
    name="frames",
    says="frames of both sockets: inflating, decoding, typing, normalising",
    targets=(
        Target(name="private", make=make_private, attempt=try_private),
        Target(name="market", make=make_market, attempt=try_market),
        Target(name="decode", make=make_private, attempt=try_decode),
    ),
)
