"""The exchange at its worst: bans, lying labels, lost handshakes, replays, and a clock that runs astray."""

from __future__ import annotations

import gzip
from decimal import Decimal
from itertools import pairwise
from typing import Any

import orjson
import pytest

from ditad.exchange import Dialect, Faults, FaultSpec, RateLimit, Reply, StreamRefused, Timing
from ditad.exchange.dialect import Empty
from ditad.exchange.faults import PASSING_CODES
from ditad.exchange.packing import STORED_BYTES_MAX, encoded, stored
from ditad.exchange.rest import ROUTES
from tests.exchange.stage import CoreStage

BALANCE = "/swap/v2/user/balance"
INCOME = "/swap/v2/user/income"
LISTS = sorted(path.removeprefix("/openApi") for path, route in ROUTES.items() if route.lists)


def envelope(reply: Reply) -> dict[str, Any]:
    """Open a JSON answer."""
    return dict(orjson.loads(reply.body))


def params_of(path: str, now_ms: int) -> dict[str, Any]:
    """Give what each list wants to be asked."""
    return {"symbol": "BTC-USDT", "startTs": 0, "endTs": now_ms + 1000, "tradingUnit": "COIN"} | (
        {"startTime": now_ms - 1000, "endTime": now_ms + 1000} if path == INCOME else {}
    )


@pytest.mark.parametrize("path", LISTS)
def test_a_success_never_says_less_than_there_is(path: str) -> None:
    """Where null could pass for an empty list it comes under an error code, whatever is forced."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    stage.main.market_order("BTC-USDT", "BUY", "LONG", "0.01")
    stage.main.limit_order("BTC-USDT", "BUY", "LONG", "0.01", "1.0")
    faults.force("rest_null")
    said = envelope(stage.ask(path, **params_of(path, stage.core.now_ms())))
    assert (100500, None) == (said["code"], said["data"])


def test_null_under_success_comes_where_something_always_is() -> None:
    """A wallet is never nothing, so there null is a fault that a client can see."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    faults.force("rest_null")
    said = envelope(stage.ask(BALANCE))
    assert (0, None) == (said["code"], said["data"])


@pytest.mark.parametrize("seed", range(40))
def test_under_any_misfortune_a_good_looking_list_is_the_whole_truth(seed: int) -> None:
    """Code 0, HTTP 200 and readable JSON: then the rows are those of a quiet exchange."""
    often = dict.fromkeys(("rest_error", "rest_http", "rest_truncate", "rest_type", "rest_null", "rest_label"), 0.2)
    faults = Faults(FaultSpec(**often), seed=seed)  # type: ignore[arg-type] # names and types are right
    stage, quiet = CoreStage(faults=faults), CoreStage()
    for one in (stage, quiet):
        one.main.market_order("BTC-USDT", "BUY", "LONG", "0.01")
    for path in LISTS:
        asked = params_of(path, quiet.core.now_ms())
        reply = stage.ask(path, **asked)
        try:
            said = envelope(reply)
        except orjson.JSONDecodeError:
            continue
        assert reply.status == 200
        assert said["code"] or said == envelope(quiet.ask(path, **asked))


@pytest.mark.parametrize("code", PASSING_CODES)
def test_every_passing_code_has_its_message_and_its_headers(code: int) -> None:
    """Timestamps name themselves; limits tell that nothing remains, and until when."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    faults.force("rest_error", code=code)
    reply = stage.ask(BALANCE)
    assert code == envelope(reply)["code"]
    assert (code in {100421, 109400}) == ("timestamp" in envelope(reply)["msg"])
    if code in {100410, 109429}:
        assert "0" == reply.headers["X-RateLimit-Requests-Remain"]
        assert stage.core.now_ms() < int(reply.headers["X-RateLimit-Requests-Expire"])


@pytest.mark.parametrize(("status", "told"), [(418, True), (429, True), (500, False), (504, False)])
def test_http_limits_tell_their_headers(status: int, told: bool) -> None:
    """418 and 429 alone."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    faults.force("rest_http", code=status)
    reply = stage.ask(BALANCE)
    assert (status, told) == (reply.status, "X-RateLimit-Requests-Expire" in reply.headers)


@pytest.mark.parametrize(("new", "old"), [(109500, 80012), (109400, 80014), (109421, 80016)])
def test_the_old_numbering_is_spoken_on_wish(new: int, old: int) -> None:
    """The same errors by their numbers from before October 2025, as numbers or as text."""
    for dialect, expected in ((Dialect(), new), (Dialect(old_codes=True), old), (Dialect(code_text=True), str(new))):
        faults = Faults()
        stage = CoreStage(dialect=dialect, faults=faults)
        if new == 109421:
            reply = stage.ask("/swap/v2/trade/order", symbol="BTC-USDT", orderId=7)
        else:
            faults.force("rest_error", code=new)
            reply = stage.ask(BALANCE)
        assert expected == envelope(reply)["code"]


@pytest.mark.parametrize(("empty", "data"), [(Empty.LIST, []), (Empty.OBJECT, {}), (Empty.NULL, None)])
def test_the_data_of_an_error_looks_like_nothing(empty: Empty, data: object) -> None:
    """So that only who reads the code knows an error from an empty list."""
    faults = Faults()
    stage = CoreStage(dialect=Dialect(empty=empty), faults=faults)
    faults.force("rest_error", code=100500)
    assert data == envelope(stage.ask(INCOME))["data"]


def test_a_ban_answers_everything_until_it_is_over() -> None:
    """418 for two minutes, also for the listen key, and nothing that is asked for happens."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    faults.force("rest_ban")
    statuses = [stage.ask(BALANCE).status]
    stage.clock.now_ms += 119_999
    statuses.append(stage.ask("/user/auth/userDataStream", method="POST").status)
    assert [] == stage.core.keys.living("main", stage.clock.now_ms)
    stage.clock.now_ms += 1
    assert [418, 418, 200] == [*statuses, stage.ask(BALANCE).status]


def test_a_limit_is_enforced_by_status_and_then_by_a_ban() -> None:
    """The first beyond it is 429, the second begins a ban, and afterwards there is room again."""
    limit = RateLimit(requests=2, window_ms=1000, enforced=True, status=429, ban_after=2, ban_ms=5000)
    stage = CoreStage(limit=limit)
    assert [200, 200, 429, 418, 418] == [stage.ask(BALANCE).status for _ in range(5)]
    stage.clock.now_ms += 5000
    assert 200 == stage.ask(BALANCE).status


def test_a_forced_fault_can_wait_for_its_path() -> None:
    """The others are answered meanwhile."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    faults.force("rest_error", 2, code=100004, path="user/income")
    assert [0, 100004, 0, 100004, 0] == [stage.code(path) for path in (BALANCE, INCOME, BALANCE, INCOME, INCOME)]


def test_the_right_bytes_come_under_a_wrong_label() -> None:
    """Only the content type lies."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    good = stage.ask(BALANCE)
    faults.force("rest_label")
    bad = stage.ask(BALANCE)
    assert good.body == bad.body
    assert "application/json" != bad.content_type


def test_a_handshake_can_be_refused_though_the_key_is_good() -> None:
    """And the next one succeeds; market streams are never refused this way."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    key = stage.listen_key()
    faults.force("refuse")
    stage.core.connect(None)
    with pytest.raises(StreamRefused, match="busy"):
        stage.core.connect(key)
    assert stage.core.connect(key)


def test_a_reconnect_can_bring_the_last_frames_again() -> None:
    """In their order, up to twenty of them, before what is new."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    key = stage.listen_key()
    for amount in range(1, 31):
        stage.main.deposit(amount)
    faults.force("replay")
    number = stage.core.connect(key)
    stage.main.deposit(99)
    changes = [frame["a"]["B"][0]["bc"] for frame in stage.sent(number)]
    replayed = [Decimal(change) for change in changes[:-1]]
    assert "99.00000000" == changes[-1]
    assert 1 <= len(replayed) <= 20
    assert [Decimal(n) for n in range(31 - len(replayed), 31)] == replayed


def test_a_clock_drifts_by_millionths() -> None:
    """After a thousand seconds at +2000 it is two seconds ahead, at −2000 as far behind."""
    for ppm in (2000, -2000):
        stage = CoreStage(faults=Faults(FaultSpec(skew_ppm=ppm)))
        before = stage.core.now_ms() - stage.clock.now_ms
        stage.clock.now_ms += 1_000_000
        assert ppm == stage.core.now_ms() - stage.clock.now_ms - before


def test_a_clock_that_jumps_back_stands_until_its_time_has_come_again() -> None:
    """What the exchange says of the time never goes back; the clockwork goes on meanwhile."""
    faults = Faults()
    stage = CoreStage(faults=faults)
    number = stage.core.connect(stage.listen_key())
    stage.poll()
    before = stage.core.now_ms()
    faults.step_clock(-60_000)
    stage.clock.now_ms += 5000
    assert before == stage.core.now_ms()
    assert stage.sent(number)[-1] == "Ping"
    stage.clock.now_ms += 55_001
    assert before + 1 == stage.core.now_ms()
    faults.step_clock(90_000)
    assert stage.clock.now_ms + 30_000 == stage.core.now_ms()


def test_late_rows_and_dying_keys_do_not_follow_the_jumps() -> None:
    """A row comes at most a minute late, a key lives an hour, wherever the exchange's clock is."""
    faults = Faults()
    stage = CoreStage(dialect=Dialect(row_delay_s_max=60), faults=faults)
    key = stage.listen_key()
    faults.step_clock(120_000)
    for _ in range(30):
        stage.main.deposit(1)
    faults.step_clock(-80_000_000)
    stage.clock.now_ms += 60_000
    now = stage.core.now_ms()
    assert 30 == len(stage.data(INCOME, startTime=now - 100_000, endTime=now + 100_000))
    stage.clock.now_ms += 3_540_000 - 1
    assert 200 == stage.ask("/user/auth/userDataStream", method="PUT", listenKey=key).status
    stage.clock.now_ms += 3_600_000
    assert 404 == stage.ask("/user/auth/userDataStream", method="PUT", listenKey=key).status


def test_chance_moves_the_clock_within_its_bound() -> None:
    """Each answer may step it; the sum of steps is what the exchange tells."""
    faults = Faults(FaultSpec(step=1, step_ms_max=50), seed=3)
    stage = CoreStage(faults=faults)
    seen = []
    for _ in range(20):
        stage.clock.now_ms += 1000
        stage.ask(BALANCE)
        seen.append(stage.core.now_ms() - stage.clock.now_ms)
    assert 5 < len(set(seen))
    assert all(abs(after - before) <= 50 for before, after in pairwise(seen))


def test_a_key_that_dies_of_age_is_noticed_at_its_hour() -> None:
    """`next_due_ms` knows that moment, so the notice comes in time without any other reason to look."""
    timing = Timing(ping_ms=10_000_000, pong_wait_ms=20_000_000, config_ms=10_000_000, mark_ms=10_000_000)
    stage = CoreStage(timing=timing)
    number = stage.core.connect(stage.listen_key())
    stage.poll()
    due = stage.core.next_due_ms()
    assert stage.clock.now_ms + 3_600_000 == due
    stage.clock.now_ms = due - 1
    assert {} == stage.poll()
    stage.clock.now_ms = due
    assert ["listenKeyExpired"] == [frame["e"] for frame in stage.sent(number)]


def test_frames_are_gzip_with_or_without_compression() -> None:
    """Both open to the same text; a text too long for one stored block is compressed after all."""
    payloads: list[dict[str, object]] = [{"e": "X", "E": 1}, {"e": "é" * 400}, {"e": "x" * (STORED_BYTES_MAX + 1)}]
    for payload in payloads:
        assert gzip.decompress(encoded(payload)) == gzip.decompress(stored(payload)) == orjson.dumps(payload)
    assert len(stored({"e": "x" * 5000})) > 5000 > len(encoded({"e": "x" * 5000}))
