"""What the account trades under."""

from decimal import Decimal

import pytest

from ditad.bingx import conditions
from ditad.errors import Refusal
from ditad.events import Contract, LeveragePush


@pytest.mark.parametrize(("value", "hedge"), [("true", True), (True, True), ("false", False)])
def test_the_position_mode_comes_as_text(value: object, hedge: bool) -> None:
    """``"true"`` is hedge mode."""
    assert hedge is conditions.hedge_mode({"dualSidePosition": value})


@pytest.mark.parametrize("data", [None, {}, {"dualSidePosition": "maybe"}])
def test_an_unknown_position_mode_is_refused(data: object) -> None:
    """It is never guessed."""
    with pytest.raises(Refusal):
        conditions.hedge_mode(data)


@pytest.mark.parametrize(("word", "multi"), [("singleAssetMode", False), ("multiAssetsMode", True)])
def test_the_asset_mode_is_read(word: str, multi: bool) -> None:
    """Multi-asset mode is told apart."""
    assert multi is conditions.multi_asset({"assetMode": word})


def test_an_unknown_asset_mode_is_refused() -> None:
    """A word that is not known is not taken for single."""
    with pytest.raises(Refusal, match="unknown word 'other'"):
        conditions.multi_asset({"assetMode": "Other"})


def test_fee_rates_are_sorted_and_each_once() -> None:
    """They come as floats, and sometimes without the object around them."""
    rates = {"takerCommissionRate": "0.0005", "makerCommissionRate": "0.0002"}
    assert conditions.fee_rates({"commission": rates}) == (Decimal("0.0002"), Decimal("0.0005"))
    same = {"takerCommissionRate": "0.0005", "makerCommissionRate": "0.0005"}
    assert conditions.fee_rates(same) == (Decimal("0.0005"),)


def test_contracts_have_steps() -> None:
    """Precisions are decimals of price and of base coin."""
    expected = Contract(symbol="BTC-USDT", tick=Decimal("0.1"), lot=Decimal("0.0001"))
    data = [{"symbol": "BTC-USDT", "pricePrecision": 1, "quantityPrecision": 4}]
    assert (expected,) == conditions.contracts(data)


@pytest.mark.parametrize("precision", [-1, 19, "1.5", None])
def test_a_precision_that_is_none_is_refused(precision: object) -> None:
    """A step is needed to know a price from its uncertainty."""
    with pytest.raises(Refusal, match="pricePrecision"):
        conditions.contracts([{"symbol": "X", "pricePrecision": precision, "quantityPrecision": 4}])


def test_leverage_of_zero_was_not_stated() -> None:
    """Each side has its own."""
    expected = LeveragePush(symbol="X", long=Decimal(5), short=None, margin_type=None, event_ms=9)
    assert expected == conditions.leverage({"longLeverage": 5, "shortLeverage": 0}, "X", 9)


@pytest.mark.parametrize(
    ("data", "withdraw"),
    [
        ({"permissions": [2, 3]}, False),
        ({"permissions": [2, 5]}, True),
        ({"permissions": ["5"]}, True),
        ({"enableWithdrawals": False}, False),
        ({"enableWithdrawals": "true"}, True),
        ({"permissions": []}, None),
        ({"else": 1}, None),
        ([], None),
    ],
)
def test_the_permission_to_withdraw_is_known_or_not(data: object, withdraw: bool | None) -> None:
    """Two shapes were seen, in clients only; any other is unknown and not *no*."""
    assert withdraw is conditions.may_withdraw(data)


@pytest.mark.parametrize(
    ("data", "may", "beyond"),
    [
        ({"permissions": [2]}, ("read",), ()),
        ({"permissions": ["2", 3]}, ("read", "trade perpetual futures"), ("trade perpetual futures",)),
        (
            {"permissions": [1, 4, 5, 7]},
            *[("trade spot", "transfer between accounts", "withdraw", "transfer between sub-accounts")] * 2,
        ),
        ({"permissions": [9]}, ("permission 9",), ("permission 9",)),
        (
            {"enableReading": True, "enableFutures": "true"},
            ("trade perpetual futures", "read"),
            ("trade perpetual futures",),
        ),
        (
            {"enableReading": True, "enableWithdrawals": False, "enableDreaming": True},
            ("enableDreaming", "read"),
            ("enableDreaming",),
        ),
        ({"permissions": []}, (), ()),
        ({"permissions": "all", "enableFutures": [1]}, (), ()),
        ({"permissions": [[2], {}, None]}, (), ()),
        (None, (), ()),
    ],
)
def test_what_a_key_may_do_is_said_in_words(data: object, may: tuple[str, ...], beyond: tuple[str, ...]) -> None:
    """Numbers and switches, known and unknown ones; what is not known to be reading is more than reading."""
    rights = conditions.key_rights(data)
    assert (may, beyond) == (rights.may, rights.beyond_reading)


def test_the_clock_is_read() -> None:
    """Milliseconds, quoted or not."""
    assert conditions.server_ms({"serverTime": 1696751141337}) == 1696751141337
