"""The causes of account.md §6, each as something that is done to a simulated account.

What enters: a life and its generator. What leaves: the ids by which the cause can be told, where it has any. What
holds: an injection is one act without waiting; each really makes the ledgers differ, or one of them from the books,
by a quantity or by more than 0.0001 USDT, but for those that can only be said (`warns`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import nullcontext
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from random import Random
from typing import Any

from ditad.exchange import CutKind
from ditad.exchange.amounts import fixed
from ditad.exchange.books import Position, PositionSide, Side
from ditad.exchange.dialect import EntryBasis
from ditad.exchange.pushes import Payload
from ditad.exchange.records import order_id_at
from ditad.exchange.streams import glitched
from tests.benchmarks.accuracy_life import ACCOUNT_FRAMES, ORDER_FRAMES, SYMBOLS, Life

ALL_FRAMES = (*ORDER_FRAMES, *ACCOUNT_FRAMES)
STAKE = Decimal(300)
"""About what a position opened here is worth."""

Ids = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of cause: `name` is the word of account.md §6 that must be found.

    `lasting`: nobody will ever tell what would heal it, so it must stay ERROR. `warns`: the rule never says worse than
    WARN; these classes in an explanation name it. `terms` are what the account must be born with. `beside` are other
    words that are true of it as well. `prepare` comes some calm before, `undo` some time after.
    """

    name: str
    inject: Callable[[Life, Random], Ids]
    lasting: bool = False
    warns: frozenset[str] = frozenset()
    terms: Mapping[str, Any] = field(default_factory=dict)
    dialect: Mapping[str, Any] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    prepare: Callable[[Life, Random], object] | None = None
    undo: Callable[[Life], None] | None = None


# ---- what is traded ---------------------------------------------------------------------------------------------------


def lots(life: Life, symbol: str, worth: Decimal = STAKE) -> Decimal:
    """Give a quantity worth about so much."""
    contract, price = life.core.venue.market.contract(symbol), life.core.venue.market.price(symbol)
    return max(contract.lot, (worth / price).quantize(contract.lot, rounding=ROUND_DOWN))


def opening(life: Life, rng: Random) -> tuple[str, Side, PositionSide]:
    """Draw what to open: a symbol, a side and the position's."""
    symbol, side = rng.choice(SYMBOLS), rng.choice(list(Side))
    if not life.desk.spec.hedge:
        return symbol, side, PositionSide.BOTH
    return symbol, side, PositionSide.LONG if side is Side.BUY else PositionSide.SHORT


def held(life: Life, rng: Random, among: AbstractSet[str] = frozenset(SYMBOLS)) -> Position:
    """Give an open position of some worth that no resting order waits to close; it is opened, and told, if there is none."""
    for order in life.desk.open_orders():
        life.desk.cancel(order.order_id)
    found = [p for p in life.desk.books.positions.values() if p.symbol in among and p.qty * p.entry_price >= STAKE / 2]
    if not found:
        symbol, side, position_side = opening(life, rng)
        life.desk.market_order(symbol, side, position_side, lots(life, symbol))
        found = [p for p in life.desk.books.positions.values() if p.symbol == symbol]
    return rng.choice(sorted(found, key=lambda p: (p.symbol, p.side)))


def named(life: Life, position: Position) -> PositionSide:
    """Give a position's side as orders name it."""
    return position.side if life.desk.spec.hedge else PositionSide.BOTH


def _order(life: Life, rng: Random) -> int:
    """Execute an order: mostly something is opened, sometimes a part or all of what is open closed."""
    if rng.random() < 0.4:
        position = held(life, rng)
        lot = life.core.venue.market.contract(position.symbol).lot
        qty = lot * rng.randint(1, int(position.qty / lot))
        side = Side.SELL if position.side is PositionSide.LONG else Side.BUY
        return life.desk.market_order(position.symbol, side, named(life, position), qty)
    symbol, side, position_side = opening(life, rng)
    qty = lots(life, symbol)
    lot = life.core.venue.market.contract(symbol).lot
    price = life.core.venue.market.walk(symbol)
    if rng.random() < 0.3 and qty > lot:
        tick = life.core.venue.market.contract(symbol).tick
        parts = [(lot, price), (qty - lot, price + tick)]
        return life.desk.market_order(symbol, side, position_side, qty, parts=parts)
    return life.desk.market_order(symbol, side, position_side, qty)


# ---- facts that K lacks -----------------------------------------------------------------------------------------------


def uncovered(life: Life, rng: Random) -> Ids:
    """Lose the order frames of an execution, or all of its frames; or execute a part of a resting order quietly."""
    how = rng.choice(["orders", "orders", "all", "quiet"])
    if how != "quiet":
        with life.losing(*(ORDER_FRAMES if how == "orders" else ALL_FRAMES)):
            return (str(_order(life, rng)),)
    symbol, side, position_side = opening(life, rng)
    price = life.core.venue.market.price(symbol)
    qty, lot = lots(life, symbol), life.core.venue.market.contract(symbol).lot
    order_id = life.desk.limit_order(symbol, side, position_side, qty, price)
    life.desk.fill(order_id, lot * rng.randint(1, max(1, int(qty / lot))), quiet=True)
    return (str(order_id),)


def jump(life: Life, rng: Random) -> Ids:
    """Tell several executions by the frame of the last one, without its account frame."""
    symbol, side, position_side = opening(life, rng)
    price, contract = life.core.venue.market.walk(symbol), life.core.venue.market.contract(symbol)
    qty = max(lots(life, symbol), contract.lot * 3)
    parts = [(contract.lot, price), (contract.lot, price + contract.tick), (qty - contract.lot * 2, price)]
    return (str(life.desk.market_order(symbol, side, position_side, qty, parts=parts, one_frame=True)),)


def funding(life: Life, rng: Random) -> Ids:
    """Settle funding whose push is lost."""
    held(life, rng)
    before = len(life.desk.facts.movements)
    with life.losing(*ACCOUNT_FRAMES):
        life.desk.settle_funding(Decimal(rng.choice([-1, 1]) * rng.randint(5, 30)).scaleb(-5))
    return _tran_ids(life, before)


def transfer(life: Life, rng: Random) -> Ids:
    """Bring money in, or take some out, without a push."""
    before = len(life.desk.facts.movements)
    amount = Decimal(rng.randint(20_000, 20_000_000_000)).scaleb(-8)
    with life.losing(*ACCOUNT_FRAMES):
        if rng.random() < 0.5:
            life.desk.deposit(amount)
        else:
            life.desk.withdraw(amount)
    return _tran_ids(life, before)


def other_income(life: Life, rng: Random) -> Ids:
    """Pay or take something else, without a push or with one that does not name the amount."""
    before = len(life.desk.facts.movements)
    kind, sign = rng.choice([("TRIAL_FUND", 1), ("SYSTEM_DEDUCTION", -1), ("GTD_PRICE", -1)])
    amount = sign * Decimal(rng.randint(20_000, 5_000_000_000)).scaleb(-8)
    lost = rng.random() < 0.6
    with life.losing(*ACCOUNT_FRAMES) if lost else nullcontext():
        life.desk.other_income(amount, reason="ADJUSTMENT", kind=kind, tell_change=False)
    return _tran_ids(life, before)


def _tran_ids(life: Life, before: int) -> Ids:
    return tuple(str(fact.tran_id) for fact in life.desk.facts.movements[before:] if fact.tran_id is not None)


def forced_close(life: Life, rng: Random) -> Ids:
    """Close a position by force, with all or some of its frames lost; rows and `forceOrders` tell it."""
    position = held(life, rng)
    told, lost = rng.choice([("income", ()), ("income", ALL_FRAMES), ("both", ORDER_FRAMES), ("both", ALL_FRAMES)])
    with life.losing(*lost):
        order_id = life.desk.force_close(
            position.symbol, named(life, position), kind=rng.choice(["LIQUIDATION", "ADL"]), told=told
        )
    return (str(order_id),)


# ---- facts that K has, or has otherwise ---------------------------------------------------------------------------------


def fee(life: Life, rng: Random) -> Ids:
    """Let the frames of a fill name another fee than the wallet paid and the rows tell."""
    off = Decimal(rng.choice([-1, 1]) * rng.randint(1_000_000, 50_000_000)).scaleb(-8)

    def overstated(payload: Payload) -> Payload:
        body = payload.get("o")
        if not isinstance(body, dict) or not Decimal(str(body["n"])):
            return payload
        return {**payload, "o": {**body, "n": fixed(Decimal(str(body["n"])) - off)}}

    symbol, side, position_side = opening(life, rng)
    with life.tampering(overstated):
        return (str(life.desk.market_order(symbol, side, position_side, lots(life, symbol))),)


def extra_fill(life: Life, rng: Random) -> Ids:
    """Forge the frame of a fill of which the exchange knows nothing."""
    symbol, side, position_side = opening(life, rng)
    order_id = order_id_at(life.core.now_ms(), 4_000_000 + rng.randint(0, 100_000))
    qty, price = lots(life, symbol), life.core.venue.market.price(symbol)
    at_ms = life.core.now_ms()
    life.forge(
        {
            "e": "ORDER_TRADE_UPDATE",
            "E": at_ms,
            "o": {
                "s": symbol,
                "c": "",
                "i": order_id,
                "S": str(side),
                "o": "MARKET",
                "q": fixed(qty),
                "p": fixed(price),
                "ap": fixed(price),
                "x": "TRADE",
                "X": "FILLED",
                "N": "USDT",
                "n": fixed(-life.desk.books.fee_of(qty=qty, price=price, rate=life.desk.spec.taker_rate)),
                "T": at_ms,
                "wt": "MARK_PRICE",
                "ps": str(position_side),
                "rp": fixed(Decimal(0)),
                "z": fixed(qty),
            },
        }
    )
    return (str(order_id),)


def untold_close(life: Life, rng: Random) -> Ids:
    """Let a position be gone on the exchange: no frame, no row, no order says how."""
    position = held(life, rng)
    with life.losing(*ALL_FRAMES):
        life.desk.force_close(position.symbol, named(life, position), told="neither")
    return (position.symbol,)


def unexplained(life: Life, rng: Random) -> Ids:
    """Move the wallet for no cause; sometimes the frame of a fill is the first to show it."""
    life.desk.silent_change(Decimal(rng.choice([-1, 1]) * rng.randint(20_000, 10_000_000_000)).scaleb(-8))
    if rng.random() < 0.3:
        _order(life, rng)
    return ()


# ---- what E says, and on what terms ---------------------------------------------------------------------------------------


def statement(life: Life, rng: Random) -> Ids:
    """Let one account frame state ten times a position's quantity, everything else unchanged."""
    position = held(life, rng)
    frame, _ = life.desk.account_frame("ORDER", None, [life.desk.position_row(position)])
    life.tell(glitched(frame))
    life.glitched = position.symbol
    return ()


def mark_age(life: Life, rng: Random) -> Ids:
    """Let the marks' stream go dumb while the market moves, then ask; of a position whose mark K was told before."""
    marked = {row["symbol"] for row in life.snapshot["k"]["positions"] if row["mark_price"] is not None}
    position = held(life, rng, marked)
    life.marked = position.symbol
    life.core.streams.cut(None, CutKind.HALF_OPEN)
    life.flush_soon()
    market = life.core.venue.market
    market.set_price(position.symbol, market.price(position.symbol) * rng.choice([Decimal("0.97"), Decimal("1.03")]))
    life.loop.call_later(3.0, life.service.feed.request_audit)
    return ()


def leverage(life: Life, rng: Random) -> Ids:
    """Change the leverage of something open, and lose the push that says so."""
    position = held(life, rng)
    own = life.desk.leverage[position.symbol][position.side is PositionSide.SHORT]
    other = rng.choice([value for value in (2, 5, 20, 50) if value != own])
    with life.losing("ACCOUNT_CONFIG_UPDATE"):
        life.desk.set_leverage(position.symbol, long=other, short=other)
    life.levered = position.symbol
    return ()


def _tell_leverages(life: Life) -> None:
    for symbol in SYMBOLS:
        life.tell(life.desk.config_frame(symbol))


def entry_rounding(life: Life, rng: Random) -> Ids:
    """Open at two prices and close, on an exchange that computes profit from the entry rounded to the tick."""
    symbol = rng.choice(SYMBOLS)
    side, position_side = (Side.BUY, PositionSide.LONG) if life.desk.spec.hedge else (Side.BUY, PositionSide.BOTH)
    contract, price = life.core.venue.market.contract(symbol), life.core.venue.market.walk(symbol)
    for part, at in ((1, price), (2, price + contract.tick)):
        life.desk.market_order(symbol, side, position_side, contract.lot * part * 100, price=at)
    life.desk.market_order(symbol, Side.SELL, position_side, contract.lot * 100, price=price + contract.tick * 7)
    return ()


def seeded(life: Life, rng: Random) -> Ids:  # noqa: ARG001 - every injection has this form
    """Do nothing: the account was born with a seed that is not its wallet."""
    return ()


# ---- all of them ------------------------------------------------------------------------------------------------------


KINDS: tuple[Kind, ...] = (
    Kind(name="uncovered_interval", inject=uncovered),
    Kind(name="funding", inject=funding),
    Kind(name="transfer", inject=transfer),
    Kind(name="other_income", inject=other_income),
    Kind(name="fee", inject=fee, lasting=True),
    Kind(name="extra_fill", inject=extra_fill, lasting=True),
    Kind(name="forced_close", inject=forced_close),
    Kind(name="untold_close", inject=untold_close, lasting=True),
    Kind(
        name="rounding",
        inject=entry_rounding,
        warns=frozenset({"ENTRY_ROUNDING"}),
        dialect={"profit_entry": EntryBasis.TICK},
    ),
    Kind(
        name="mark_age",
        inject=mark_age,
        warns=frozenset({"MARK_PRICE_STALENESS"}),
        terms={"marks": True},
        prepare=held,
    ),
    Kind(
        name="leverage",
        inject=leverage,
        warns=frozenset({"LEVERAGE_ROUNDING", "MARGIN_BASIS"}),
        prepare=held,
        undo=_tell_leverages,
    ),
    Kind(name="baseline", inject=seeded, lasting=True, terms={"seed_capital": "9000"}),
    Kind(name="statement", inject=statement),
    Kind(name="unexplained", inject=unexplained, lasting=True),
)


def kind_named(name: str) -> Kind:
    """Find a kind by its word."""
    return next(kind for kind in KINDS if kind.name == name)


def needs_life_of_its_own(kinds: Iterable[Kind]) -> bool:
    """Say whether an account must be born for these, or cannot live on after them."""
    return any(kind.lasting or kind.terms or kind.dialect for kind in kinds)
