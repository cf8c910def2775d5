"""Answers of REST: envelopes, keys, every reader of rows and terms, single numbers and times.

What holds of every one: a `Refusal` or a `VenueError` is the only way out; what is read comes back from the codec, is
within bounds, and can be sorted into a complete set; a number that is accepted is the number that was written.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from random import Random
from types import ModuleType
from typing import Any, Final

import orjson

from ditad import codec
from ditad.bingx import answer, conditions, rows, spans, wire
from ditad.bingx.answer import Answered
from ditad.bingx.budget import Budget
from ditad.errors import Refusal, VenueError
from ditad.money import ABSOLUTE_BOUND, DECIMALS_MAX, decimal_of
from tests.fuzz.mutation import NUMBERS, TEXTS, anything, bent_text, decimal_text, packed, torn, written
from tests.fuzz.seeds import PATHS, answers
from tests.fuzz.trying import ACCEPTED, REFUSED, Group, Outcome, Target

BYTES_MAX: Final = 1024 * 1024
MESSAGE_MAX: Final = 400
STATUSES: Final = (200, 200, 200, 200, 204, 301, 302, 400, 401, 403, 404, 408, 418, 429, 451, 500, 502, 503, 504, 999)
CODES: Final[tuple[object, ...]] = (
    *(0, "0", 100001, "100004", 100412, 100413, 100419, 100421, 109400, 80014, 100410, 109429, 100500, 101214, 504),
    *(-1, 0.0, True, None, "", "x" * 5_000, [], {}, "100410.0", 10**30),
)
ERRORS: Final = tuple(
    orjson.dumps({"code": code, "msg": message, "data": {}})
    for code, message in (
        (100421, "timestamp is invalid"),
        (109400, "timestamp is invalid"),
        (100410, "unblocked after 1760001628357"),
        (100410, "unblocked after 9999999999999"),
        (100413, "Incorrect apiKey"),
        (0, None),
    )
)
LISTEN_KEYS: Final = (
    b'{"listenKey":"' + b"a1" * 32 + b'"}',
    b'{"code":0,"msg":"","data":{"listenKey":"' + b"a1" * 32 + b'"}}',
)

READERS: Final[dict[str, tuple[ModuleType, str, tuple[object, ...]]]] = {
    "balance": (rows, "balance_rows", ()),
    "balance_v3": (rows, "balance_rows", ()),
    "positions": (rows, "position_rows", ()),
    "income": (rows, "income_rows", ()),
    "fills": (rows, "fill_rows", ()),
    "old_fills": (rows, "fill_rows", ()),
    "orders": (rows, "order_rows", ()),
    "open_orders": (rows, "order_rows", ()),
    "forced": (rows, "order_rows", ("ADL",)),
    "order": (rows, "order_rows", ()),
    "time": (conditions, "server_ms", ()),
    "contracts": (conditions, "contracts", ()),
    "rates": (conditions, "fee_rates", ()),
    "leverage": (conditions, "leverage", ("BTC-USDT", 1)),
    "margin_type": (rows, "total_of", ()),
    "modes": (conditions, "hedge_mode", ()),
    "assets": (conditions, "multi_asset", ()),
    "permissions": (conditions, "may_withdraw", ()),
}
"""Where a question's reader stands, with what else it is told; looked up when called, so that a planted fault is met."""
COMPLETE: Final[dict[str, Callable[[Any], object]]] = {
    "income": spans.complete_income,
    "fills": spans.complete_fills,
    "old_fills": spans.complete_fills,
    "orders": spans.complete_orders,
    "forced": spans.complete_orders,
}
KINDS: Final = tuple(PATHS)


def make_answer(rng: Random) -> tuple[str, bytes]:
    """Draw a question and an answer to it, now and then one to another."""
    kind = rng.choice(KINDS)
    texts = answers()[kind if rng.random() < 0.97 else rng.choice(KINDS)] or LISTEN_KEYS
    body = orjson.loads(rng.choice(texts))
    if rng.random() < 0.9:  # the data alone is bent: the envelope has a target of its own
        return kind, b'{"code":0,"data":' + bent_text(body.get("data"), rng) + b"}"
    return kind, bent_text(body, rng)


def try_answer(given: tuple[str, bytes]) -> Outcome:
    """Read an answer with the reader of its question, as `Asker` and `bootstrap` do."""
    kind, body = given
    try:
        data = answer.data_of(Answered(status=200, body=body, at_ms=1_760_001_628_357), kind)
    except VenueError as error:
        _check_message(error)
        return REFUSED
    rows.total_of(data)
    module, name, more = READERS[kind]
    try:
        found = getattr(module, name)(data, *more)
    except Refusal:
        return REFUSED
    _check(found)
    if kind in COMPLETE:
        _check(COMPLETE[kind](found))
    return ACCEPTED


def _check_message(error: VenueError) -> None:
    assert len(str(error)) <= MESSAGE_MAX, "a message is short"


def _check(found: object) -> None:
    """Check that what was read can be kept."""
    for record in found if isinstance(found, tuple) else (found,):
        if hasattr(record, "__dataclass_fields__"):
            assert codec.decode(type(record), codec.encode(record)) == record, "a row comes back as it was"
        else:
            assert record is None or isinstance(record, bool | int | Decimal), "a plain value"


def make_envelope(rng: Random) -> tuple[int, bytes]:
    """Draw a status and a body: an answer, an error, a key, a page of whatever stands before the exchange."""
    kind = rng.randrange(5)
    if kind == 0:
        text = bent_text(orjson.loads(rng.choice(ERRORS + LISTEN_KEYS)), rng)
    elif kind == 1:
        body = {"code": rng.choice(CODES), "msg": rng.choice((*TEXTS, None, 7)), "data": anything(rng)}
        text = written(body).encode("utf-8", "surrogatepass")
    elif kind == 2:
        text = rng.choice(
            (b"", b" ", b"\n", b"null", b"[]", b"<html><body>502</body></html>", b"0", b'"x"', rng.randbytes(20))
        )
    else:
        text = bent_text(orjson.loads(rng.choice(answers()[rng.choice(KINDS)] or LISTEN_KEYS)), rng)
    if rng.random() < 0.2:
        text = torn(text, rng.choice(ERRORS), rng)
    if rng.random() < 0.1:
        wrapped = packed(text, rng)
        text = wrapped if isinstance(wrapped, bytes) else wrapped.encode("utf-8", "surrogatepass")
    return rng.choice(STATUSES), text


def try_envelope(given: tuple[int, bytes]) -> Outcome:
    """Judge an answer in every way that `Rest` does, its inflating included."""
    status, raw = given
    try:
        answered = Answered(status=status, body=wire.inflate(raw, BYTES_MAX), at_ms=1_760_001_628_357)
    except Refusal:
        return REFUSED
    code, message, _ = answer.envelope(answered)
    decided = answer.verdict(status, code, message)
    error = answer.error_of(
        decided if decided is not answer.Verdict.FATAL else answer.Verdict.BANNED, answered, "x", code, message
    )
    _check_message(error)
    assert 0 <= error.retry_after_s <= answer.BAN_S_MAX, "no wait is without bound"
    outcome = REFUSED
    judges: tuple[Callable[[], object], ...] = (
        lambda: answer.data_of(answered, "x"),
        lambda: answer.listen_key_of(answered),
        lambda: answer.check_renewal(answered),
    )
    for judge in judges:
        try:
            judge()
            outcome = ACCEPTED
        except VenueError as venue_error:
            _check_message(venue_error)
    return outcome


def make_scalar(rng: Random) -> Any:
    """Draw text of a number, a time or neither."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1:
        return str(rng.choice(NUMBERS))
    text = decimal_text(rng)
    if kind == 2:
        at = rng.randrange(len(text) + 1)
        return text[:at] + rng.choice("0123456789.-+eE_ x٣²９") + text[at + rng.randrange(2) :]
    return f"{text}e{rng.choice((-30, -18, -3, 0, 3, 15, 30, -1_000_100, 10**18))}"


def try_scalar(text: str) -> Outcome:
    """Read a text as money, as a row's number, as a time and as a header of the limits."""
    outcome = REFUSED
    for value in (text, wire.NumberText(text)):
        with suppress(Refusal):
            number = decimal_of(value, "x")
            assert number == Decimal(text.strip()), "what is accepted is what was written"
            assert abs(number) < ABSOLUTE_BOUND, "inside the bounds"
            outcome = ACCEPTED
        with suppress(Refusal):
            number = rows.stated(value, "x")
            assert text.isascii(), "a number is written in ASCII digits"
            assert "_" not in text, "a number has no underscores"
            written_number = Decimal(text.strip())
            allowed = max(abs(written_number) * Decimal(2) ** -47, Decimal("1e-15"))
            assert abs(number - written_number) <= allowed, "only the artefact of a binary float is taken off"
            assert int(number.as_tuple().exponent) >= -DECIMALS_MAX, "not finer than money is"
        with suppress(Refusal):
            assert 0 < rows.instant_ms(value, "x") < 10**14, "a time within bounds"
            assert 0 < rows.instant_ms(value, "x", rows.BEIJING) < 10**14, "a time within bounds"
    Budget(2.0).told(text, text, 0.0, 1_760_001_628_357)
    Budget(2.0).told("0", text, 0.0, 1_760_001_628_357)
    return outcome


def make_span(rng: Random) -> tuple[int, int, tuple[int, int, int, int]]:
    """Draw two moments and what a paged answer says of itself."""
    moments = [rng.randrange(10 ** rng.randrange(1, 15)) for _ in range(2)]
    return (
        min(moments),
        max(moments),
        (rng.randrange(1, 50), rng.randrange(1_200), rng.randrange(3_000), rng.randrange(-5, 3_000)),
    )


def try_span(given: tuple[int, int, tuple[int, int, int, int]]) -> Outcome:
    """Lay out spans and halve them: every moment of the span is held by exactly one piece."""
    from_ms, to_ms, (page, count, collected, total) = given
    laid = spans.fill_spans(from_ms, to_ms)
    pieces = [piece for _, piece in laid]
    for piece in list(pieces):
        pieces += [*(piece.halves() or ())]
    assert all(piece.from_ms <= piece.to_ms for piece in pieces), "no piece runs backwards"
    middle = (max(from_ms, laid[0][1].from_ms) + to_ms) // 2
    assert sum(piece.from_ms < middle <= piece.to_ms for _, piece in laid) <= 1, "one piece holds a moment"
    assert spans.order_spans(from_ms, to_ms)[-1].to_ms == to_ms, "the spans reach the end"
    assert spans.income_span(from_ms, to_ms).to_ms == to_ms, "the span reaches the end"
    with suppress(ValueError):
        assert spans.next_page(page, count, 1_000, collected, total) in {None, page + 1}, "pages are turned one by one"
    return ACCEPTED


ANSWERS = Group(
    name="answers",
    says="REST: envelopes, keys, rows, terms, numbers, spans",
    targets=(
        Target(name="rows", make=make_answer, attempt=try_answer),
        Target(name="envelope", make=make_envelope, attempt=try_envelope),
        Target(name="scalar", make=make_scalar, attempt=try_scalar),
        Target(name="span", make=make_span, attempt=try_span),
    ),
)
