"""What a received frame means, from the bytes to the events: captured frames, synthetic ones and bad ones."""

import gzip
from decimal import Decimal

import pytest

from ditad.bingx import wire
from ditad.bingx.intake import Intake, read_market, read_private
from ditad.bingx.normalize import ConfigFilter
from ditad.events import (
    AccountPush,
    BalanceLine,
    LeveragePush,
    Mark,
    OrderPush,
    OrderStatus,
    PositionLine,
    PositionSide,
    PushRejected,
    Side,
)
from tests.bingx.frames import SIZE_MAX, bent, packed, payload


def heard(data: bytes | str, config: ConfigFilter | None = None) -> Intake:
    """Understand one frame of the private socket."""
    return read_private(data, config or ConfigFilter(), SIZE_MAX)


def order(data: bytes) -> OrderPush:
    """Understand a frame that must be one order."""
    (body,) = heard(packed(data)).bodies
    assert isinstance(body, OrderPush), body
    return body


def account(data: bytes) -> AccountPush:
    """Understand a frame that must be one account push."""
    (body,) = heard(packed(data)).bodies
    assert isinstance(body, AccountPush), body
    return body


def refused(data: bytes | str) -> PushRejected:
    """Understand a frame that must be refused."""
    (body,) = heard(data).bodies
    assert isinstance(body, PushRejected), body
    return body


def test_a_captured_order_frame_becomes_an_order_push() -> None:
    """Every field of the frame of 2025 is where it belongs; the commission has become a fee that was paid."""
    expected = OrderPush(
        name="TRADE_UPDATE",
        order_id="1970374651259388000",
        symbol="BTC-USDT",
        side=Side.SELL,
        position_side=PositionSide.SHORT,
        order_type="MARKET",
        status=OrderStatus.FILLED,
        quantity=Decimal("0.00100000"),
        filled=Decimal("0.00100000"),
        average_price=Decimal("112848.10000000"),
        last_quantity=None,
        last_price=None,
        fee=Decimal("0.05642405"),
        fee_asset="USDT",
        realized_pnl=Decimal("0E-8"),
        trade_id="511178071",
        event_ms=1758608899350,
        trade_ms=1758608899316,
        client_order_id=None,
    )
    assert expected == order(payload("captured_trade_update_2025"))


def test_the_digits_of_the_average_price_are_kept() -> None:
    """The resolution of a figure can be read off it."""
    assert str(order(payload("captured_order_1a")).average_price) == "28396.50000000"


def test_the_protective_bound_is_never_a_fill_price() -> None:
    """`p` of a market order (28397.2) is a bound; nothing of the push equals it."""
    push = order(payload("captured_order_1a"))
    assert Decimal("28397.20000000") not in (push.average_price, push.last_price, push.quantity, push.filled)


def test_a_trade_time_of_zero_is_no_time() -> None:
    """`T` is 0 on many real fills; the event's time stands beside it."""
    push = order(payload("captured_order_2023_10"))
    assert push.trade_ms is None
    assert push.event_ms == 1696843635475


def test_a_frame_without_z_says_so() -> None:
    """Early frames lack `z`; what is filled then is for the fold to read off the status."""
    assert order(payload("captured_order_1a")).filled is None


@pytest.mark.parametrize("quoted", ["1641061451231662080", '"1641061451231662080"', '"0001641061451231662080"'])
def test_an_id_beyond_2_to_the_53_keeps_every_digit(quoted: str) -> None:
    """Quoted or not, and also in a frame that holds a float, an id is the same canonical digits."""
    assert order(bent("captured_order_1a", "o.i", quoted)).order_id == "1641061451231662080"
    floated = bent("captured_order_1a", "o.i", quoted).replace(b'"0.00030000"', b"0.00030000")
    assert order(floated).order_id == "1641061451231662080"


@pytest.mark.parametrize(
    ("text", "digits"),
    [("16410614512316620801234", "16410614512316620801234"), ("1641061451231662080.0", "1641061451231662080")],
)
def test_an_id_that_json_readers_round_is_kept(text: str, digits: str) -> None:
    """An id beyond 64 bit, or written as a float, is read from its own text."""
    assert digits == order(bent("captured_order_1a", "o.i", text)).order_id


def test_money_that_comes_as_a_float_keeps_its_digits() -> None:
    """The commission as a bare JSON number is read from its text and not through a float."""
    push = order(bent("captured_order_1a", "o.n", "-0.10000000000000001"))
    assert Decimal("0.10000000000000001") == push.fee


@pytest.mark.parametrize(("n", "fee"), [('"0.00000000"', "0E-8"), ('"0.01"', "-0.01"), ('"-0.01"', "0.01")])
def test_a_fee_is_positive_when_paid(n: str, fee: str) -> None:
    """A negative commission is a fee, a positive one a rebate, and zero has no sign."""
    assert fee == str(order(bent("captured_order_1a", "o.n", n)).fee)


@pytest.mark.parametrize("field", ["n", "rp"])
@pytest.mark.parametrize("value", ['""', "null", None])
def test_an_amount_nobody_told_is_unknown_and_not_zero(field: str, value: str | None) -> None:
    """An absent commission or profit is `None`."""
    push = order(bent("captured_order_1a", f"o.{field}", value))
    assert {"n": push.fee, "rp": push.realized_pnl}[field] is None


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("NEW", OrderStatus.NEW),
        ("PARTIALLY_FILLED", OrderStatus.PARTIALLY_FILLED),
        ("CANCELED", OrderStatus.CANCELED),
        ("CANCELLED", OrderStatus.CANCELED),
        ("EXPIRED", OrderStatus.EXPIRED),
        ("Unknown", OrderStatus.UNKNOWN),
        ("MADE_UP", OrderStatus.UNKNOWN),
    ],
)
def test_a_status_is_named_or_unknown(word: str, status: OrderStatus) -> None:
    """A fill may hang on a status that is not known, so the push is kept with it."""
    assert status is order(bent("captured_trade_update_2025", "o.X", f'"{word}"')).status


def test_a_partial_fill_tells_its_last_execution() -> None:
    """`l` and `L` are used where they are present (synthetic)."""
    push = order(payload("synthetic_order_partially_filled"))
    assert (Decimal("0.001"), Decimal(112000)) == (push.last_quantity, push.last_price)
    assert push.client_order_id == "abc"


def test_a_liquidation_is_an_order_with_its_type() -> None:
    """A forced close comes as an order frame whose limit price may be empty (synthetic)."""
    assert order(payload("synthetic_order_liquidation")).order_type == "LIQUIDATION"


def test_a_new_order_with_nothing_filled_needs_no_average() -> None:
    """An average of 0 or none at all is fine as long as nothing is filled."""
    frame = bent("captured_trade_update_2025", "o.z", '"0"').replace(b'"ap": "112848.10000000"', b'"ap": ""')
    assert order(frame).average_price is None


def test_a_captured_account_frame_becomes_statements() -> None:
    """Wallet and position are stated with the exchange's digits; `cw`, `iw` and `cr` are not passed on."""
    expected = AccountPush(
        reason="ORDER",
        event_ms=1758608899352,
        balances=(BalanceLine(asset="USDT", wallet=Decimal("117.80007595"), change=Decimal(0)),),
        positions=(
            PositionLine(
                symbol="BTC-USDT",
                position_side=PositionSide.SHORT,
                amount=Decimal("0.00100000"),
                entry_price=Decimal("112848.10000000"),
                unrealized_pnl=Decimal("-0.00004435"),
                margin_type="cross",
            ),
        ),
    )
    assert expected == account(payload("captured_account_order_2025"))


def test_a_withdrawal_states_no_position() -> None:
    """An empty `P` says nothing, and a signed `bc` is kept."""
    push = account(payload("captured_account_withdraw"))
    assert push.positions == ()
    assert Decimal("-1.00000000") == push.balances[0].change


def test_lists_that_are_absent_are_empty() -> None:
    """Funding on a cross position has no `P` at all (synthetic)."""
    assert account(payload("synthetic_funding_cross")).positions == ()
    assert account(bent("captured_account_withdraw", "a.B", None)).balances == ()


def test_a_funding_position_without_a_symbol_says_nothing() -> None:
    """The wallet of such a frame still counts (synthetic)."""
    push = account(payload("synthetic_funding_isolated_no_symbol"))
    assert push.positions == ()
    assert Decimal("117.78880075") == push.balances[0].wallet


def test_a_one_way_short_keeps_its_sign() -> None:
    """With side `BOTH` the sign carries the direction; the margin type is spelt in one way (synthetic)."""
    (line,) = account(payload("synthetic_account_one_way_short")).positions
    assert (PositionSide.BOTH, Decimal("-0.001"), "cross") == (line.position_side, line.amount, line.margin_type)


def test_a_close_states_zero() -> None:
    """`pa` zero means flat (synthetic)."""
    (line,) = account(payload("synthetic_account_close")).positions
    assert line.amount == 0


@pytest.mark.parametrize("value", [None, "5", '""'])
def test_a_margin_type_only_describes(value: str | None) -> None:
    """Where it cannot be read the frame is still applied."""
    (line,) = account(bent("captured_account_order_2025", "a.P.0.mt", value)).positions
    assert line.margin_type is None


def test_configuration_is_passed_on_when_it_changes() -> None:
    """The flood repeats what was said; only the first time and a change are news."""
    config = ConfigFilter()
    first = heard(payload("captured_snapshot_2026"), config)
    expected = LeveragePush(
        symbol="MTL-USDT", long=Decimal(1), short=Decimal(1), margin_type="isolated", event_ms=1780336019559
    )
    assert Intake(bodies=(expected,)) == first
    assert Intake(counted="config_repeat") == heard(payload("captured_snapshot_2026"), config)
    changed = heard(bent("captured_snapshot_2026", "ac.l", "3"), config)
    assert [Decimal(3)] == [body.long for body in changed.bodies if isinstance(body, LeveragePush)]


def configuration(name: str, at: object, said: str) -> bytes:
    """Give a configuration frame in the exchange's own writing."""
    return f'{{"e":"{name}","E":{at},"ac":{said}}}'.encode()


MTL = '{"s":"MTL-USDT","l":1,"S":1,"mt":"isolated"}'
MTL_CHANGED = '{"s":"MTL-USDT","l":3,"S":1,"mt":"isolated"}'
AT_MS = 1_780_336_019_559


def test_configuration_in_the_same_words_is_no_news_until_something_is() -> None:
    """However often it was repeated: a change is news, and so is what it changes back to."""
    config = ConfigFilter()
    told = [
        bool(heard(configuration(name, AT_MS + place, said), config).bodies)
        for place, (name, said) in enumerate(
            [
                ("SNAPSHOT", MTL),
                ("SNAPSHOT", MTL),
                ("ACCOUNT_CONFIG_UPDATE", MTL),
                ("SNAPSHOT", MTL),
                ("ACCOUNT_CONFIG_UPDATE", MTL_CHANGED),
                ("SNAPSHOT", MTL_CHANGED),
                ("SNAPSHOT", MTL_CHANGED),
                ("SNAPSHOT", MTL),
                ("SNAPSHOT", MTL),
            ]
        )
    ]
    assert [True, False, False, False, True, False, False, True, False] == told


@pytest.mark.parametrize("at", ["0", '"x"', "null", "99999999999999999999", "1.5"])
def test_configuration_in_known_words_is_refused_for_its_time_all_the_same(at: str) -> None:
    """What is remembered of the words says nothing of the rest of a frame."""
    config = ConfigFilter()
    for _ in range(3):
        heard(configuration("SNAPSHOT", AT_MS, MTL), config)
    assert heard(configuration("SNAPSHOT", at, MTL), ConfigFilter()) == heard(
        configuration("SNAPSHOT", at, MTL), config
    )
    assert isinstance(heard(configuration("SNAPSHOT", at, MTL), config).bodies[0], PushRejected)


def test_configuration_that_may_name_a_key_is_read_each_time() -> None:
    """So that the key is taken out of what is kept of it."""
    config = ConfigFilter()
    said = MTL[:-1] + ',"listenKey":"k"}'
    assert [True] * 4 == [heard(configuration("SNAPSHOT", AT_MS, said), config).names_key for _ in range(4)]


def test_configuration_in_more_words_than_are_remembered_is_no_news_either() -> None:
    """The bound keeps the memory small; what is beyond it is read each time, with the same outcome."""
    config = ConfigFilter()
    long = [MTL[:-1] + f',"x":"{"y" * 100_000}{number}"}}' for number in range(4)]
    frames = [configuration("SNAPSHOT", AT_MS, said) for said in long]
    assert isinstance(read_private(frames[0], config, 10**6).bodies[0], LeveragePush)
    told = [read_private(frame, config, 10**6) for _ in range(3) for frame in frames]
    assert [Intake(counted="config_repeat")] * 12 == told
    assert [True, True, False, False] == [config.repeats(said.encode()) for said in long]


def test_configuration_of_several_symbols_comes_in_one_frame() -> None:
    """`ac` may be a list: each symbol that changed is one event."""
    bodies = heard(payload("synthetic_config_update")).bodies
    assert [body.symbol for body in bodies if isinstance(body, LeveragePush)] == ["BTC-USDT", "ETH-USDT"]


def test_configuration_of_more_symbols_than_are_remembered_is_dropped() -> None:
    """The bound keeps the memory small; reports speak for the rest."""
    config = ConfigFilter()
    for number in range(5000):
        push = LeveragePush(symbol=f"S{number}", long=Decimal(1), short=None, margin_type=None, event_ms=1)
        assert (number < 4096) is config.changed(push)


def test_an_expired_key_is_named() -> None:
    """The end of the key is for the session; no body is made of it, so that no key is journaled."""
    taken = heard(payload("synthetic_listen_key_expired"))
    assert taken.bodies == ()
    assert taken.expired_key == "0123456789abcdef" * 4
    assert heard(b'{"e":"listenKeyExpired"}').expired_key == ""


def test_ping_and_answers_are_counted() -> None:
    """What changes nothing is only counted, and a Ping is answered."""
    assert Intake(counted="ping", pong="Pong") == heard(packed(b"Ping"))
    assert Intake(counted="ack") == heard(b'{"id":"1","code":0,"msg":"","dataType":"","data":null}')


def test_an_unknown_event_is_flagged_and_no_money_hangs_on_it() -> None:
    """It is kept and the stream goes on."""
    expected = PushRejected(
        source="private", reason="unknown event MADE_UP", money=False, excerpt='{"e":"MADE_UP","E":1}'
    )
    assert expected == refused(b'{"e":"MADE_UP","E":1}')


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b'{"id":"","code":80014,"msg":"invalid params","dataType":"","data":null}', "answered code 80014"),
        (b'{"code":0,"dataType":"X@markPrice","data":{}}', "market frame"),
        (b'{"e":"SNAPSHOT","E":1}', "ac: an object"),
        (bent("captured_snapshot_2026", "ac.l", '"x"'), "ac.l: a number"),
        (bent("captured_snapshot_2026", "ac.S", "-1"), "ac.S: must not be negative"),
    ],
)
def test_no_money_hangs_on_configuration_and_answers(frame: bytes, reason: str) -> None:
    """Such a refusal opens no gap."""
    body = refused(frame)
    assert reason in body.reason
    assert not body.money


ORDER_BEND = "captured_trade_update_2025"
ACCOUNT_BEND = "captured_account_order_2025"


@pytest.mark.parametrize("value", ['"NaN"', '"Infinity"', '"1e400"', '""', '"abc"', "true", "{}", "[]", "null", None])
@pytest.mark.parametrize("field", ["o.q", "o.i", "o.S", "o.ps", "E"])
def test_an_order_frame_with_a_bad_field_is_refused(field: str, value: str | None) -> None:
    """Wrong types, missing fields, empty text and what is no finite number: none becomes 0, each is named."""
    body = refused(bent(ORDER_BEND, field, value))
    assert body.money
    assert body.reason.startswith(field)


@pytest.mark.parametrize("value", ['"NaN"', '"-Infinity"', '"1e400"', '"abc"', "true", "{}", "[]", "1" * 40])
@pytest.mark.parametrize("field", ["o.z", "o.ap", "o.n", "o.rp", "o.l", "o.L"])
def test_an_order_amount_that_is_no_finite_number_is_refused(field: str, value: str) -> None:
    """Amounts that may be absent are refused where they are there and wrong."""
    body = refused(bent(ORDER_BEND, field, value))
    assert body.money
    assert body.reason.startswith(field)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("o.z", '""', "o.z: a number"),
        ("o.z", '"-1"', "must not be negative"),
        ("o.q", '"-1"', "must not be negative"),
        ("o.l", '"-1"', "o.l: must not be negative"),
        ("o.ap", '"0"', "o.ap: an average price is due"),
        ("o.ap", '""', "o.ap: an average price is due"),
        ("o.ap", None, "o.ap: an average price is due"),
        ("o.S", '"HOLD"', "o.S: BUY or SELL"),
        ("o.ps", '"UP"', "o.ps: LONG, SHORT or BOTH"),
        ("o.i", "0", "o.i: an id"),
        ("o.i", "-5", "o.i: an id"),
        ("o.i", "1.5", "o.i: an integer"),
        ("o.i", '"1e5"', "o.i: an integer"),
        ("o.i", "1" * 60, "o.i: an integer"),
        ("o.td", '"x"', "o.td: an integer"),
        ("o.T", '"x"', "o.T: an integer"),
        ("o.T", "1" * 20, "o.T: a time"),
        ("o.X", '""', "o.X: text of 1"),
        ("o.X", "7", "o.X: text"),
        ("o.s", '"' + "A" * 200 + '"', "o.s: text of 1"),
        ("o.s", "1.5", "o.s: text"),
        ("o", "7", "o: an object"),
        ("e", "7", "e: text"),
        ("o.q", '"1e14"', None),
    ],
)
def test_an_order_frame_that_contradicts_itself_is_refused(field: str, value: str | None, reason: str | None) -> None:
    """What cannot be said in our words without inventing something is not applied."""
    frame = bent(ORDER_BEND, field, value)
    if reason is None:
        assert order(frame).quantity == Decimal("1e14")
    else:
        assert reason in refused(frame).reason


def test_absurd_notionals_are_refused() -> None:
    """Money of more than 10**18 is nobody's: it is refused before anything is computed with it."""
    frame = bent(ORDER_BEND, "o.z", '"900000000000000"').replace(b"112848.10000000", b"900000000000000")
    assert "out of bounds" in refused(frame).reason


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("a", "7", "a: an object"),
        ("a.m", None, "a.m: text"),
        ("a.B", "7", "a.B: a list"),
        ("a.B.0", "7", "a.B: an object"),
        ("a.B.0.a", '""', "a.B.a: text"),
        ("a.B.0.wb", '""', "a.B.wb: a number"),
        ("a.B.0.wb", '"NaN"', "a.B.wb: a finite number"),
        ("a.B.0.wb", '"1e400"', "a.B.wb: out of bounds"),
        ("a.B.0.bc", '"x"', "a.B.bc: a number"),
        ("a.P.0.pa", None, "a.P.pa: a number"),
        ("a.P.0.pa", '"Infinity"', "a.P.pa: a finite number"),
        ("a.P.0.pa", '"-0.001"', "a.P.pa: unsigned"),
        ("a.P.0.s", '""', "a.P.s: text"),
        ("a.P.0.s", "7", "a.P.s: text"),
        ("a.P.0.ps", '"UP"', "a.P.ps: LONG"),
        ("a.P.0.ep", '"-1"', "a.P.ep: must not"),
        ("a.P.0.up", '"x"', "a.P.up: a number"),
        ("E", None, "E: an integer"),
    ],
)
def test_an_account_frame_with_a_bad_field_is_refused(field: str, value: str | None, reason: str) -> None:
    """A statement that cannot be read is not applied in part."""
    body = refused(bent(ACCOUNT_BEND, field, value))
    assert body.money
    assert body.reason.startswith(reason)


def test_a_frame_of_absurdly_many_lines_is_refused() -> None:
    """The lines of a frame have a bound."""
    lines = b",".join([b'{"a":"A","wb":"1"}'] * 10_001)
    frame = b'{"e":"ACCOUNT_UPDATE","E":1,"a":{"m":"ORDER","B":[' + lines + b"]}}"
    (body,) = read_private(frame, ConfigFilter(), 10**7).bodies
    assert isinstance(body, PushRejected)
    assert body.reason == "a.B: more than 10000 lines"


@pytest.mark.parametrize("bad", [b"\x1f\x8b\x08", b"{", b"7", b'{"e":"TRADE_UPDATE"}', b"\xff", packed(b"{}")[:-3]])
def test_the_next_good_frame_is_handled_as_if_nothing_had_happened(bad: bytes) -> None:
    """A refusal leaves no trace in what understands the next frame."""
    config = ConfigFilter()
    assert isinstance(heard(bad, config).bodies[0], PushRejected)
    assert isinstance(heard(payload("captured_order_1a"), config).bodies[0], OrderPush)


MARK = (
    b'{"code":0,"dataType":"BTC-USDT@markPrice",'
    b'"data":{"e":"markPriceUpdate","E":1760001628357,"s":"BTC-USDT","p":"121570.0"}}'
)


def test_a_mark_is_read() -> None:
    """The documented push gives one mark."""
    expected = Mark(symbol="BTC-USDT", price=Decimal("121570.0"), event_ms=1760001628357)
    assert Intake(marks=(expected,)) == read_market(packed(MARK), SIZE_MAX)


def test_the_market_socket_answers_ping_and_counts_answers() -> None:
    """Its signs of life are the private socket's."""
    assert read_market(b"Ping", SIZE_MAX).pong == "Pong"
    assert Intake(counted="ack") == read_market(b'{"id":"1","code":0}', SIZE_MAX)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (MARK.replace(b'"121570.0"', b'"NaN"'), "data.p: a finite number"),
        (MARK.replace(b'"121570.0"', b'"0"'), "data.p: a price above 0"),
        (MARK.replace(b'"s":"BTC-USDT"', b'"s":""'), "data.s: text"),
        (b'{"id":"1","code":80015,"msg":"unknown topic"}', "answered code 80015: unknown topic"),
        (b'{"e":"ACCOUNT_UPDATE"}', "private frame on the market stream"),
        (b"\x1f\x8b", "truncated"),
    ],
)
def test_no_money_hangs_on_a_market_frame(frame: bytes, reason: str) -> None:
    """Whatever is refused there opens no gap."""
    (body,) = read_market(frame, SIZE_MAX).bodies
    assert isinstance(body, PushRejected)
    assert reason in body.reason
    assert not body.money
    assert body.source == "market"


def test_a_frame_that_names_a_listen_key_is_kept_without_it() -> None:
    """Known or unknown, packed or plain: what may be kept of it does not hold the key, and of others every byte stays."""
    key = "0123456789abcdef" * 4
    for event in ("listenKeyExpired", "NEWS"):
        frame = gzip.compress(b'{"e":"%s","E":1,"listenKey":"%s"}' % (event.encode(), key.encode()))
        assert read_private(frame, ConfigFilter(), 10_000).names_key
        kept = wire.without_keys(frame, 10_000)
        assert b'{"e":"%s","E":1,"listenKey":"***"}' % event.encode() == kept
    for other in (gzip.compress(b'{"e":"NEWS"}'), b"\x1f\x8bdamaged", b"{"):
        assert other == wire.without_keys(other, 10_000)


def test_a_frame_that_names_none_is_not_looked_at_again() -> None:
    """The frames that come in numbers are kept as received, at no cost."""
    frame = b'{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"ac":{"s":"BTC-USDT","l":5,"S":5,"mt":"cross"}}'
    assert not read_private(frame, ConfigFilter(), 10_000).names_key
