"""What the exchange pushes, typed under its own field names.

What enters: the object of a routed frame. What leaves: frozen records whose fields are called as on the wire, with
numbers as `Decimal`, ids as digits and times in ms.
What holds: a field that is missing, of the wrong type or not a finite number where one is due raises `Refusal` with
its name; `money` is False only where no money, position or order state hangs on the frame (bingx.md §4).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ditad.bingx.fields import described, id_of, ms_of, object_of, objects_of, optional_id, optional_ms, text_of
from ditad.errors import Refusal
from ditad.money import decimal_of, mark_bounded, optional_decimal

ORDER_NAMES = frozenset({"TRADE_UPDATE", "ORDER_TRADE_UPDATE"})
CONFIG_NAMES = frozenset({"SNAPSHOT", "ACCOUNT_CONFIG_UPDATE"})
LINES_MAX = 10_000
"""Lines of one frame: balances, positions or symbols."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFrame:
    """An order frame: `E` and the fields of `o`, but for `p`, which is never what a fill was done at."""

    e: str
    E: int
    s: str
    c: str | None
    i: str
    S: str
    o: str
    q: Decimal
    z: Decimal | None
    ap: Decimal | None
    l: Decimal | None  # noqa: E741 - the exchange's name
    L: Decimal | None
    X: str
    n: Decimal | None
    N: str | None
    rp: Decimal | None
    td: str | None
    T: int | None
    ps: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceFields:
    """One line of `B`; `cw` is left out, it does not do what the documents say."""

    a: str
    wb: Decimal
    bc: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionFields:
    """One line of `P`; `s` may be missing on funding."""

    s: str | None
    pa: Decimal
    ep: Decimal | None
    up: Decimal | None
    mt: str | None
    ps: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFrame:
    """An account frame: `E` and the fields of `a`."""

    e: str
    E: int
    m: str
    B: tuple[BalanceFields, ...]
    P: tuple[PositionFields, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFields:
    """The leverages and the margin type of one symbol."""

    s: str
    l: Decimal | None  # noqa: E741 - the exchange's name
    S: Decimal | None
    mt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFrame:
    """A configuration frame, whether `ac` came as one object or as a list."""

    e: str
    E: int
    ac: tuple[ConfigFields, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyExpiredFrame:
    """The listen key has ended. `listenKey` is `None` where the frame does not name it."""

    e: str
    listenKey: str | None  # noqa: N815 - the exchange's name


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownFrame:
    """An event that these pages do not know."""

    e: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkFrame:
    """A mark price push of the market stream."""

    s: str
    p: Decimal
    E: int


PrivateFrame = OrderFrame | AccountFrame | ConfigFrame | KeyExpiredFrame | UnknownFrame


def read_private(body: dict[str, Any]) -> PrivateFrame:
    """Read a private frame by its event name; raises `Refusal` naming the field that cannot be read."""
    name = text_of(body.get("e"), "e")
    if name in ORDER_NAMES:
        return _order(name, body)
    if name == "ACCOUNT_UPDATE":
        return _account(name, body)
    if name in CONFIG_NAMES:
        try:
            return _config(name, body)
        except Refusal as refusal:
            raise Refusal(refusal.reason, money=False) from refusal
    if name == "listenKeyExpired":
        return KeyExpiredFrame(e=name, listenKey=described(body.get("listenKey")))
    return UnknownFrame(e=name[:64])


def read_mark(body: dict[str, Any]) -> MarkFrame:
    """Read a mark price push; raises `Refusal` (no money hangs on it)."""
    try:
        data = object_of(body.get("data"), "data")
        price = mark_bounded(_price(data.get("p"), "data.p"), "data.p")
        return MarkFrame(s=text_of(data.get("s"), "data.s"), p=price, E=ms_of(data.get("E"), "data.E"))
    except Refusal as refusal:
        raise Refusal(refusal.reason, money=False) from refusal


def _amount(value: object, field: str) -> Decimal | None:
    """Read a size or a price, which is never negative; absent or empty it was not stated."""
    number = optional_decimal(value, field)
    if number is not None and number < 0:
        raise Refusal(f"{field}: must not be negative")
    return number


def _price(value: object, field: str) -> Decimal:
    """Read a price that must be there and above 0."""
    number = decimal_of(value, field)
    if number <= 0:
        raise Refusal(f"{field}: a price above 0 is due")
    return number


def _order(name: str, body: dict[str, Any]) -> OrderFrame:
    order = object_of(body.get("o"), "o")
    quantity = decimal_of(order.get("q"), "o.q")
    # Frames of early 2023 lack `z` (CAP); one that is there must be a number.
    filled = None if order.get("z") is None else decimal_of(order["z"], "o.z")
    if quantity < 0 or (filled is not None and filled < 0):
        raise Refusal("o.q, o.z: must not be negative")
    return OrderFrame(
        e=name,
        E=ms_of(body.get("E"), "E"),
        s=text_of(order.get("s"), "o.s"),
        c=described(order.get("c")),
        i=id_of(order.get("i"), "o.i"),
        S=text_of(order.get("S"), "o.S"),
        o=described(order.get("o")) or "",
        q=quantity,
        z=filled,
        ap=_amount(order.get("ap"), "o.ap"),
        l=_amount(order.get("l"), "o.l"),
        L=_amount(order.get("L"), "o.L"),
        X=text_of(order.get("X"), "o.X"),
        n=optional_decimal(order.get("n"), "o.n"),
        N=described(order.get("N")),
        rp=optional_decimal(order.get("rp"), "o.rp"),
        td=optional_id(order.get("td"), "o.td"),
        T=optional_ms(order.get("T"), "o.T"),
        ps=text_of(order.get("ps"), "o.ps"),
    )


def _lines(value: object, field: str) -> list[dict[str, Any]]:
    lines = objects_of(value, field)
    if len(lines) > LINES_MAX:
        raise Refusal(f"{field}: more than {LINES_MAX} lines")
    return lines


def _account(name: str, body: dict[str, Any]) -> AccountFrame:
    account = object_of(body.get("a"), "a")
    balances = tuple(
        BalanceFields(
            a=text_of(line.get("a"), "a.B.a"),
            wb=decimal_of(line.get("wb"), "a.B.wb"),
            bc=optional_decimal(line.get("bc"), "a.B.bc"),
        )
        for line in _lines(account.get("B"), "a.B")
    )
    positions = tuple(
        PositionFields(
            s=None if line.get("s") is None or line["s"] == "" else text_of(line["s"], "a.P.s"),
            pa=decimal_of(line.get("pa"), "a.P.pa"),
            ep=_amount(line.get("ep"), "a.P.ep"),
            up=optional_decimal(line.get("up"), "a.P.up"),
            mt=described(line.get("mt")),
            ps=text_of(line.get("ps"), "a.P.ps"),
        )
        for line in _lines(account.get("P"), "a.P")
    )
    reason = text_of(account.get("m"), "a.m")
    return AccountFrame(e=name, E=ms_of(body.get("E"), "E"), m=reason, B=balances, P=positions)


def _config(name: str, body: dict[str, Any]) -> ConfigFrame:
    value = body.get("ac")
    lines = _lines(value if isinstance(value, list) else [object_of(value, "ac")], "ac")
    symbols = tuple(
        ConfigFields(
            s=text_of(line.get("s"), "ac.s"),
            l=_amount(line.get("l"), "ac.l"),
            S=_amount(line.get("S"), "ac.S"),
            mt=described(line.get("mt")),
        )
        for line in lines
    )
    return ConfigFrame(e=name, E=ms_of(body.get("E"), "E"), ac=symbols)
