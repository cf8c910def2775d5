"""Whatever comes in: nothing but a refusal comes out of reading it (a short fuzz; laws, not cases)."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditad.bingx import conditions, rows
from ditad.bingx.answer import Answered, check_renewal, data_of, listen_key_of
from ditad.bingx.intake import Intake, read_market, read_private
from ditad.bingx.normalize import ConfigFilter
from ditad.errors import Refusal, VenueError
from ditad.events import OrderPush
from ditad.money import QUOTE_BOUND, mul
from tests.bingx.frames import SIZE_MAX, payload
from tests.bingx.test_rows import BALANCE, FILL, INCOME, ORDER, POSITION

QUICK = settings(max_examples=150, deadline=None, database=None)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["", "NaN", "Infinity", "1e400", "-1", "0", "1.5", "LONG", "BUY", "9" * 70, "1_0", "٣"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@st.composite
def mutated(draw: st.DrawFn, names: list[str]) -> bytes:
    """Draw a real frame with some of its fields replaced by anything."""
    body = orjson.loads(payload(draw(st.sampled_from(names))))
    for _ in range(draw(st.integers(1, 3))):
        holder = body
        while True:
            key = draw(st.sampled_from(sorted(holder))) if isinstance(holder, dict) else 0
            if isinstance(holder[key], dict | list) and holder[key] and draw(st.booleans()):
                holder = holder[key]
                continue
            holder[key] = draw(values)
            break
    return orjson.dumps(body)


FRAMES = [
    "captured_order_1a",
    "captured_trade_update_2025",
    "captured_account_order_2025",
    "captured_snapshot_2026",
    "synthetic_config_update",
    "synthetic_order_partially_filled",
]


@QUICK
@given(st.binary(max_size=300) | st.text(max_size=300) | st.binary(max_size=300).map(gzip.compress))
def test_any_bytes_are_understood_or_refused(data: bytes | str) -> None:
    """No bytes lead to an exception."""
    assert isinstance(read_private(data, ConfigFilter(), SIZE_MAX), Intake)
    assert isinstance(read_market(data, SIZE_MAX), Intake)


@QUICK
@given(mutated(FRAMES))
def test_any_mutation_of_a_frame_is_understood_or_refused(data: bytes) -> None:
    """And what is understood is finite and within bounds."""
    for body in read_private(data, ConfigFilter(), SIZE_MAX).bodies:
        if isinstance(body, OrderPush):
            assert body.order_id.isdigit()
            assert body.quantity is not None
            assert body.quantity >= 0
            if body.filled is not None and body.average_price is not None:
                assert mul(body.filled, body.average_price) < QUOTE_BOUND


READERS: list[tuple[Callable[[object], object], dict[str, object]]] = [
    (rows.balance_rows, dict(BALANCE)),
    (rows.position_rows, dict(POSITION)),
    (rows.fill_rows, dict(FILL)),
    (rows.order_rows, dict(ORDER)),
    (rows.income_rows, dict(INCOME)),
    (conditions.hedge_mode, {"dualSidePosition": "true"}),
    (conditions.multi_asset, {"assetMode": "singleAssetMode"}),
    (conditions.fee_rates, {"takerCommissionRate": "0.1", "makerCommissionRate": "0.1"}),
    (conditions.contracts, {"symbol": "X", "pricePrecision": 1, "quantityPrecision": 4}),
    (conditions.may_withdraw, {"permissions": [1]}),
    (conditions.server_ms, {"serverTime": 5}),
]


@pytest.mark.parametrize(("read", "row"), READERS, ids=lambda part: getattr(part, "__name__", ""))
@settings(max_examples=60, deadline=None, database=None)
@given(data=st.data())
def test_any_answer_is_read_or_refused(
    read: Callable[[object], object], row: dict[str, object], data: st.DataObject
) -> None:
    """Rows with anything in their fields, and anything in place of rows."""
    changed = {**row, data.draw(st.sampled_from(sorted(row))): data.draw(values)}
    for answer in (data.draw(values), [changed], changed):
        with suppress(Refusal):
            read(answer)


@QUICK
@given(st.integers(100, 599), st.binary(max_size=80) | values.map(orjson.dumps))
def test_any_http_answer_is_data_or_an_error_of_the_tree(status: int, body: bytes) -> None:
    """Whatever stands before the exchange may answer in its place."""
    answered = Answered(status=status, body=body, at_ms=1)
    with suppress(VenueError):
        data_of(answered, "x")
    with suppress(VenueError):
        listen_key_of(answered)
    with suppress(VenueError):
        check_renewal(answered)


@QUICK
@given(st.decimals(min_value=-(10**9), max_value=10**9, places=8))
def test_eight_decimals_survive_a_binary_float(amount: Decimal) -> None:
    """What the exchange prints through a float is the amount again, up to what a double holds."""
    shown = repr(float(amount))
    assert abs(rows.stated(shown, "x") - amount) <= abs(amount) * Decimal(2) ** -48
    if abs(amount) < 10**6:
        assert rows.stated(shown, "x") == amount
