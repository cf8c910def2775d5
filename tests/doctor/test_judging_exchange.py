"""What the exchange's answers come to: a table per check, good and bad."""

from __future__ import annotations

import pytest

from ditad.bingx.conditions import READING, KeyRights
from ditad.doctor import judging_exchange as judging
from ditad.doctor.findings import Finding, Status
from ditad.doctor.judging_exchange import Losses, Reached
from ditad.errors import DitadError, Refusal, VenueError, VenueFatalError, VenueUnavailableError

OK, WARN, ERROR, UNKNOWN = Status.OK, Status.WARN, Status.ERROR, Status.UNKNOWN
HOST = "https://rest.example.org"
FATAL = VenueFatalError("BingX refuses this account's requests (100413): it does not know the API key: check the key.")
UNAVAILABLE = VenueUnavailableError("income: BingX answered 100004: the API key lacks the permission for it.")
PASSING = VenueError("the exchange cannot be reached (TimeoutError).", retryable=True)


def told(finding: Finding) -> str:
    """Give all that a finding says."""
    return f"{finding.said}; {finding.what_to_do}"


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        (Reached(host=HOST, offset_ms=0, took_s=0.0123), OK, "answers in 12 ms"),
        (PASSING, ERROR, "cannot be reached (TimeoutError); see that this machine resolves"),
        (FATAL, ERROR, HOST),
    ],
)
def test_exchange(found: Reached | DitadError, status: Status, words: str) -> None:
    """It answers, or whoever is on call is told what to try."""
    assert status is judging.exchange(HOST, found).status
    assert words in told(judging.exchange(HOST, found))


def test_stream() -> None:
    """Its host takes a connection, or something in between does not."""
    assert [OK, ERROR] == [judging.stream("wss://x", problem).status for problem in ("", "ConnectionRefusedError")]


@pytest.mark.parametrize(
    ("offset_ms", "status", "words"),
    [
        (0, OK, "0 ms behind"),
        (1_000, OK, "1000 ms behind"),
        (1_001, WARN, "1001 ms behind"),
        (-1_001, WARN, "1001 ms ahead of"),
        (5_000, WARN, "5000"),
        (-5_001, ERROR, "timedatectl"),
    ],
)
def test_clock(offset_ms: int, status: Status, words: str) -> None:
    """Off by more than signed requests may be it is an error, although this daemon measures it."""
    found = judging.clock(Reached(host=HOST, offset_ms=offset_ms, took_s=0))
    assert status is found.status
    assert words in told(found)


@pytest.mark.parametrize(
    ("failure", "status", "words"),
    [
        (None, OK, "knows it"),
        (FATAL, ERROR, "check the key"),
        (UNAVAILABLE, ERROR, "give it the permissions"),
        (PASSING, UNKNOWN, "run this again"),
        (Refusal("balance: a list is due"), UNKNOWN, "a list is due"),
    ],
)
def test_key(failure: DitadError | None, status: Status, words: str) -> None:
    """Refused for good is an error, not answered this time is unknown."""
    assert status is judging.key(failure).status
    assert words in told(judging.key(failure))


def may(*words: str, withdraw: bool | None = False) -> KeyRights:
    """Make the rights of a key."""
    return KeyRights(may=words, withdraw=withdraw)


@pytest.mark.parametrize(
    ("found", "allowed", "status", "words"),
    [
        (may(READING), False, OK, "read and nothing else"),
        (may(READING, "trade perpetual futures"), False, WARN, "if it is the bot's, each of you hears a part"),
        (may(READING, "transfer between accounts"), False, WARN, "may transfer between accounts; make"),
        (may(READING, "withdraw", withdraw=True), False, ERROR, "may withdraw, and is not served"),
        (may(READING, "withdraw", withdraw=True), True, WARN, "may withdraw"),
        (may(withdraw=None), False, UNKNOWN, "does not say"),
        (UNAVAILABLE, False, UNKNOWN, "does not tell this key"),
        (FATAL, False, ERROR, "check the key"),
    ],
)
def test_rights(found: KeyRights | DitadError, allowed: bool, status: Status, words: str) -> None:
    """A key reads and nothing else; one that may withdraw is for nobody."""
    finding = judging.rights(found, withdraw_allowed=allowed)
    assert status is finding.status
    assert words in told(finding)


@pytest.mark.parametrize(
    ("same_key", "losses", "status", "words"),
    [
        ([], None, OK, "no other account"),
        ([], Losses(count=2, hours=0.1), OK, "lost 2 times in 0.1 h"),
        ([], Losses(count=11, hours=24), OK, "lost 11 times"),
        ([], Losses(count=12, hours=24), WARN, "who else listens"),
        ([], Losses(count=3, hours=0), WARN, "who else listens"),
        (["other", "a"], None, ERROR, "a, main, other have the same API key"),
    ],
)
def test_sharing(same_key: list[str], losses: Losses | None, status: Status, words: str) -> None:
    """Who has the key too hears a part; a stream that breaks again and again is a sign of it."""
    found = judging.sharing("main", same_key=same_key, losses=losses)
    assert status is found.status
    assert words in told(found)


@pytest.mark.parametrize(
    ("found", "status"), [(False, OK), (True, ERROR), (UNAVAILABLE, UNKNOWN), (FATAL, ERROR), (PASSING, UNKNOWN)]
)
def test_asset_mode(found: bool | DitadError, status: Status) -> None:
    """Multi-asset mode is not served; not knowing is not single-asset."""
    assert status is judging.asset_mode(found).status


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        (True, OK, "hedge"),
        (False, OK, "one-way"),
        (UNAVAILABLE, OK, "the positions themselves do"),
        (PASSING, UNKNOWN, "again"),
    ],
)
def test_position_mode(found: bool | DitadError, status: Status, words: str) -> None:
    """Both modes are served, and a key that may not ask is no problem."""
    assert status is judging.position_mode(found).status
    assert words in told(judging.position_mode(found))


@pytest.mark.parametrize(
    ("assets", "status", "words"),
    [({"USDT", "VST"}, OK, "USDT"), ({"VST"}, ERROR, "there are VST"), (set(), ERROR, "there are none")],
)
def test_margin_asset(assets: set[str], status: Status, words: str) -> None:
    """There is a wallet of it."""
    assert status is judging.margin_asset("USDT", assets).status
    assert words in told(judging.margin_asset("USDT", assets))


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ({"fills": None, "income": None}, OK, "fills, income are answered"),
        ({"fills": None, "income": UNAVAILABLE}, OK, "income not to this key"),
        ({"fills": UNAVAILABLE, "income": None}, ERROR, "no gap can be closed"),
        ({"fills": None, "income": PASSING}, UNKNOWN, "again"),
        ({"fills": FATAL, "income": None}, ERROR, "check the key"),
    ],
)
def test_history(found: dict[str, DitadError | None], status: Status, words: str) -> None:
    """Fills must be answered; income may be refused to a key that only reads, and is then heard otherwise."""
    assert status is judging.history(found).status
    assert words in told(judging.history(found))


def test_what_was_not_asked_is_not_known() -> None:
    """It says why, and what to mend first."""
    assert "not asked: the key does not work; mend that first" in told(
        judging.not_asked("clock", "the key does not work")
    )
    assert UNKNOWN is judging.not_asked("clock", "x").status
