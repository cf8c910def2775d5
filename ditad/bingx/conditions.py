"""From the exchange's answers about an account's terms to our words: modes, fee rates, contracts, permissions.

What enters: the `data` of an answer. What leaves: plain values and `Contract`, `LeveragePush`.
What holds: a shape that is not known raises `Refusal`, and the caller says what was degraded (bingx.md §5).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ditad.bingx.fields import ms_of, object_of, optional_switch, text_of
from ditad.bingx.rows import optionally_stated, rows_under, stated
from ditad.errors import Refusal
from ditad.events import Contract, LeveragePush

PRECISION_MAX = 18
PERMISSIONS_WITHDRAW = frozenset({5, "5"})
READING = "read"
PERMISSION_WORDS = {
    "1": "trade spot",
    "2": READING,
    "3": "trade perpetual futures",
    "4": "transfer between accounts",
    "5": "withdraw",
    "7": "transfer between sub-accounts",
}
"""The exchange's own list of the numbers (DOC, key management of sub-accounts)."""
SWITCH_PREFIXES = ("enable", "permits")
SWITCH_WORDS = {
    "enableReading": READING,
    "enableFutures": "trade perpetual futures",
    "enableSpotAndMarginTrading": "trade spot",
    "enableWithdrawals": "withdraw",
    "enableInternalTransfer": "transfer between sub-accounts",
    "permitsUniversalTransfer": "transfer between accounts",
}
RIGHTS_MAX = 32


def hedge_mode(data: object) -> bool:
    """Read ``dualSidePosition``, which comes as text."""
    mode = optional_switch(object_of(data, "data").get("dualSidePosition"))
    if mode is None:
        raise Refusal("dualSidePosition: true or false is due")
    return mode


def multi_asset(data: object) -> bool:
    """Read ``assetMode``: ``singleAssetMode`` or ``multiAssetsMode``."""
    mode = text_of(object_of(data, "data").get("assetMode"), "assetMode").lower()
    if not mode.startswith(("single", "multi")):
        raise Refusal(f"assetMode: unknown word {mode[:32]!r}")
    return mode.startswith("multi")


def fee_rates(data: object) -> tuple[Decimal, ...]:
    """Read the taker's and the maker's rate, sorted, each once."""
    commission = object_of(data, "data").get("commission", data)
    rates = object_of(commission, "commission")
    names = ("takerCommissionRate", "makerCommissionRate")
    found = tuple(sorted({stated(rates.get(name), name) for name in names}))
    if not all(abs(rate) < 1 for rate in found):
        raise Refusal(f"{names[0]}: a share is due")
    return found


def contracts(data: object) -> tuple[Contract, ...]:
    """Read the steps of every symbol from its precisions (quantities are in base coin)."""
    return tuple(
        Contract(
            symbol=text_of(row.get("symbol"), "symbol"),
            tick=_step(row.get("pricePrecision"), "pricePrecision"),
            lot=_step(row.get("quantityPrecision"), "quantityPrecision"),
        )
        for row in rows_under(data, "contracts")
    )


def _step(value: object, field: str) -> Decimal:
    places = stated(value, field)
    if places != int(places) or not 0 <= places <= PRECISION_MAX:
        raise Refusal(f"{field}: 0 to {PRECISION_MAX} is due")
    return Decimal(1).scaleb(-int(places))


def leverage(data: object, symbol: str, asked_ms: int) -> LeveragePush:
    """Read the leverages of one symbol; the margin type is said by positions and pushes."""
    answer = object_of(data, "data")
    return LeveragePush(
        symbol=symbol,
        long=optionally_stated(answer.get("longLeverage"), "longLeverage") or None,
        short=optionally_stated(answer.get("shortLeverage"), "shortLeverage") or None,
        margin_type=None,
        event_ms=asked_ms,
    )


def may_withdraw(data: object) -> bool | None:
    """Say whether the key may withdraw; `None` where the answer has none of the shapes seen (in clients only, **?**)."""
    if not isinstance(data, dict):
        return None
    switch = optional_switch(data.get("enableWithdrawals"))
    if switch is not None:
        return switch
    permissions = data.get("permissions")
    if isinstance(permissions, list) and permissions:
        return any(
            permission in PERMISSIONS_WITHDRAW for permission in permissions if isinstance(permission, str | int)
        )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRights:
    """What a key may do, in words; `withdraw` is `None` where the exchange does not tell."""

    may: tuple[str, ...]
    withdraw: bool | None

    @property
    def beyond_reading(self) -> tuple[str, ...]:
        """Give what it may do and we have no use for."""
        return tuple(word for word in self.may if word != READING)


def key_rights(data: object) -> KeyRights:
    """Say what the key may do, as far as the answer has one of the shapes seen; nothing is known of an empty one."""
    may: list[str] = []
    if isinstance(data, dict):
        permissions = data.get("permissions")
        if isinstance(permissions, list):
            texts = sorted({str(one)[:8] for one in permissions[:RIGHTS_MAX] if isinstance(one, str | int)})
            may += [PERMISSION_WORDS.get(text, f"permission {text}") for text in texts]
        switches = sorted(name for name in data if isinstance(name, str) and name.startswith(SWITCH_PREFIXES))
        may += [
            SWITCH_WORDS.get(name, name[:64]) for name in switches[:RIGHTS_MAX] if optional_switch(data[name]) is True
        ]
    return KeyRights(may=tuple(dict.fromkeys(may)), withdraw=may_withdraw(data))


def server_ms(data: object) -> int:
    """Read the exchange's clock in ms."""
    return ms_of(int(stated(object_of(data, "data").get("serverTime"), "serverTime")), "serverTime")
