"""What an HTTP answer means."""

import json
from typing import Any

import pytest

from ditad.bingx.answer import (
    Answered,
    ClockError,
    KeyUnknownError,
    Verdict,
    check_renewal,
    data_of,
    listen_key_of,
    shown,
    verdict,
)
from ditad.errors import VenueError, VenueFatalError, VenueUnavailableError

KEY = "0123456789abcdef" * 4


def answered(body: Any, status: int = 200, at_ms: int = 1_700_000_000_000) -> Answered:
    """Give an answer with a JSON body, or with these bytes."""
    return Answered(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode(), at_ms=at_ms)


@pytest.mark.parametrize("code", [0, "0"])
def test_code_zero_is_an_answer(code: object) -> None:
    """The code is a number or text."""
    assert data_of(answered({"code": code, "msg": "", "data": [1]}), "x") == [1]


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (200, "0", "", Verdict.OK),
        (200, "100001", "", Verdict.FATAL),
        (200, "100412", "", Verdict.FATAL),
        (200, "100413", "", Verdict.FATAL),
        (401, "100413", "", Verdict.FATAL),
        (200, "100419", "", Verdict.FATAL),
        (200, "100004", "", Verdict.UNAVAILABLE),
        (200, "100421", "", Verdict.RESYNC),
        (200, "109400", "Timestamp is invalid", Verdict.RESYNC),
        (200, "80014", "timestamp expired", Verdict.RESYNC),
        (200, "109400", "symbol is due", Verdict.REFUSED),
        (200, "80014", "invalid params", Verdict.REFUSED),
        (200, "100410", "", Verdict.LIMITED),
        (200, "109429", "", Verdict.LIMITED),
        (429, "", "", Verdict.LIMITED),
        (418, "", "", Verdict.BANNED),
        (418, "100410", "", Verdict.BANNED),
        (200, "100500", "", Verdict.RETRY),
        (200, "109500", "", Verdict.RETRY),
        (200, "80012", "", Verdict.RETRY),
        (200, "110500", "", Verdict.RETRY),
        (200, "504", "", Verdict.RETRY),
        (504, "", "", Verdict.RETRY),
        (408, "", "", Verdict.RETRY),
        (200, "101214", "", Verdict.RETRY),
        (200, "100400", "", Verdict.KEY_UNKNOWN),
        (200, "100404", "", Verdict.KEY_UNKNOWN),
        (404, "", "", Verdict.KEY_UNKNOWN),
        (200, "80016", "", Verdict.REFUSED),
        (200, "109421", "", Verdict.REFUSED),
        (200, "", "", Verdict.RETRY),
        (403, "", "", Verdict.RETRY),
        (403, "12345", "", Verdict.REFUSED),
        (302, "", "", Verdict.REFUSED),
    ],
)
def test_an_answer_is_judged_by_status_and_code(status: int, code: str, message: str, expected: Verdict) -> None:
    """Old and new codes of bingx.md §5."""
    assert expected is verdict(status, code, message)


@pytest.mark.parametrize(
    ("body", "status", "kind", "retryable"),
    [
        ({"code": 100001}, 200, VenueFatalError, False),
        ({"code": "100004"}, 200, VenueUnavailableError, False),
        ({"code": 100421}, 200, ClockError, True),
        ({"code": 100404}, 200, KeyUnknownError, False),
        ({"code": 100410}, 200, VenueError, True),
        ({"code": 100500}, 200, VenueError, True),
        ({"code": 109421}, 200, VenueError, False),
        ({"code": True}, 200, VenueError, True),
        ([], 200, VenueError, True),
        (b'{"code":0,"data":[1', 200, VenueError, True),
        (b"<html>", 502, VenueError, True),
    ],
)
def test_an_error_is_of_the_tree(body: Any, status: int, kind: type[VenueError], retryable: bool) -> None:
    """Cut bodies and other people's pages are errors that may pass, and never empty answers."""
    with pytest.raises(VenueError) as caught:
        data_of(answered(body, status), "x")
    assert kind is type(caught.value)
    assert retryable is caught.value.retryable


@pytest.mark.parametrize(
    ("code", "advice"),
    [(100001, "API secret"), (100412, "API secret"), (100413, "check the key"), (100419, "whitelist")],
)
def test_a_fatal_error_says_what_to_do(code: int, advice: str) -> None:
    """One sentence for the person who must act."""
    with pytest.raises(VenueFatalError, match=advice):
        data_of(answered({"code": code, "msg": "denied"}), "balance")


@pytest.mark.parametrize(
    ("body", "status", "wait_s"),
    [
        ({"code": 100410, "msg": ""}, 200, 2.0),
        ({"code": 100410, "msg": "will be unblocked after 1700000042000"}, 200, 42.0),
        ({"code": 100410, "msg": "will be unblocked after 1700009999000"}, 200, 900.0),
        ({"code": 100410, "msg": "will be unblocked after 1600000000000"}, 200, 1.0),
        (b"", 418, 180.0),
        (b"", 429, 2.0),
    ],
)
def test_a_limit_is_waited_for(body: Any, status: int, wait_s: float) -> None:
    """Until the moment that the exchange names, within bounds, else a while; a ban is minutes."""
    with pytest.raises(VenueError) as caught:
        data_of(answered(body, status), "x")
    assert wait_s == caught.value.retry_after_s


def test_no_key_is_shown() -> None:
    """Whatever the exchange repeats of our question."""
    assert shown(f"bad key {KEY}\nagain") == "bad key … again"


@pytest.mark.parametrize("body", [{"listenKey": KEY}, {"code": 0, "data": {"listenKey": KEY}}])
def test_a_listen_key_stands_at_the_top_or_under_data(body: object) -> None:
    """The documented answer has no code."""
    assert listen_key_of(answered(body)) == KEY


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"code": 0}, 200, VenueError),
        ({"code": 0, "data": {"listenKey": "?listenKey=x&y="}}, 200, VenueError),
        ({"listenKey": 5}, 200, VenueError),
        (b"", 200, VenueError),
        ({"listenKey": KEY}, 500, VenueError),
        ({"code": 100413}, 200, VenueFatalError),
        ({"code": 100004}, 200, VenueFatalError),
    ],
)
def test_an_answer_without_a_listen_key_is_an_error(body: Any, status: int, kind: type[VenueError]) -> None:
    """A key the exchange refuses a stream to needs a person; anything else may pass."""
    with pytest.raises(VenueError) as caught:
        listen_key_of(answered(body, status))
    assert kind is type(caught.value)
    assert caught.value.retryable is (kind is VenueError)


@pytest.mark.parametrize(("body", "status"), [(b"", 200), (b" \n", 200), ({"code": 0}, 200), (b"{}", 200)])
def test_a_renewal_is_judged_by_its_status_first(body: Any, status: int) -> None:
    """200 comes with an empty body (CAP)."""
    check_renewal(answered(body, status))


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 204, VenueError),
        (b"", 404, KeyUnknownError),
        ({"code": 100404}, 200, KeyUnknownError),
        (b"", 500, VenueError),
        ({"code": 100001}, 200, VenueFatalError),
    ],
)
def test_a_renewal_that_failed_is_an_error(body: Any, status: int, kind: type[VenueError]) -> None:
    """404 is an unknown key, 204 a question without its parameter."""
    with pytest.raises(VenueError) as caught:
        check_renewal(answered(body, status))
    assert kind is type(caught.value)
