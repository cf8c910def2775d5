"""A seeded bot that makes an account live: hundreds of mixed acts, the same for the same seed.

Enters: a desk, a seed and how many acts. Leaves: acts on the venue, each told as an `Action`. `Trader`
is pure and takes one step at a time; `trade` paces it over real sockets. What it does depends on the
seed and on the books only, never on the clock, so a story can be told again at any speed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from random import Random
from typing import Final

from ditad.exchange.amounts import round_to_tick
from ditad.exchange.books import Position, PositionSide, Side
from ditad.exchange.desk import Desk
from ditad.exchange.records import ForcedKind, Order
from ditad.exchange.server import SimulatedExchange

RESTING_MAX: Final = 8
PARTS_MAX: Final = 4
LEVERAGES: Final = (1, 2, 3, 5, 10, 20, 50)
# An opening binds between a half and five percent of the wallet, and never less than one lot.
STAKE_PERMILLE: Final = (5, 50)
WALLET_FLOOR: Final = Decimal(1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What the trader did, for whoever watches."""

    number: int
    verb: str
    symbol: str = ""
    detail: str = ""


class Trader:
    """The bot; one `step` is one act with all its frames."""

    def __init__(self, desk: Desk, *, seed: int, symbols: Sequence[str] = (), forced: bool = False) -> None:
        """Trade `symbols` (all by default); `forced` lets the exchange close positions, too."""
        self._desk = desk
        self._rng = Random(f"{seed}:trader:{desk.spec.name}")  # noqa: S311 — a story.
        self._symbols = tuple(symbols) or tuple(desk.around.market.contracts)
        self._number = 0
        self._acts: dict[Callable[[], Action | None], int] = {
            self._open: 26,
            self._open_in_parts: 8,
            self._rest: 16,
            self._advance: 24,
            self._close: 22,
            self._flip: 0 if desk.spec.hedge else 8,
            self._fund: 4,
            self._move_money: 5,
            self._other: 1,
            self._lever: 3,
            self._force: 2 if forced else 0,
        }

    def step(self) -> Action:
        """Do one act; one that is impossible just now becomes an opening."""
        (act,) = self._rng.choices(list(self._acts), list(self._acts.values()))
        return act() or self._open()

    def settle(self, *, flatten: bool) -> list[Action]:
        """Cancel what rests and, if wanted, close what is open."""
        done = []
        for order in self._desk.open_orders():
            self._desk.cancel(order.order_id)
            done.append(self._did("cancel", order.symbol))
        for position in list(self._desk.books.positions.values()) if flatten else []:
            self._desk.close(position.symbol, self._name(position))
            done.append(self._did("close", position.symbol, f"{position.qty} {position.side}"))
        return done

    # Trades.

    def _open(self) -> Action:
        symbol, side, position_side = self._opening()
        qty = self._stake(symbol)
        self._desk.market_order(symbol, side, position_side, qty)
        return self._did("market", symbol, f"{side} {position_side} {qty}")

    def _open_in_parts(self) -> Action | None:
        symbol, side, position_side = self._opening()
        qty = self._stake(symbol)
        parts = self._parts(symbol, qty)
        one_frame = self._rng.random() < 0.2
        self._desk.market_order(symbol, side, position_side, qty, parts=parts, one_frame=one_frame)
        return self._did("market in parts", symbol, f"{side} {position_side} {qty} in {len(parts)}")

    def _rest(self) -> Action | None:
        if len(self._desk.open_orders()) >= RESTING_MAX:
            return None
        held = self._pick_held()
        closing = held is not None and self._rng.random() < 0.5
        if held is not None and closing:
            symbol, position_side = held.symbol, self._name(held)
            side, qty = against(held), self._free(held)
        else:
            symbol, side, position_side = self._opening()
            qty = self._stake(symbol)
        price = self._limit_price(symbol, side)
        client_id = f"Bot-{self._number}"
        self._desk.limit_order(symbol, side, position_side, qty, price, client_id=client_id)
        return self._did("limit", symbol, f"{side} {position_side} {qty} at {price}")

    def _advance(self) -> Action | None:
        resting = self._desk.open_orders()
        if not resting:
            return None
        order = self._rng.choice(resting)
        chance = self._rng.random()
        if chance < 0.15:
            self._desk.cancel(order.order_id)
            return self._did("cancel", order.symbol, f"{order.filled} of {order.qty} filled")
        if chance < 0.25 and not self._is_closing(order):
            lot = self._desk.around.market.contract(order.symbol).lot
            self._desk.amend(order.order_id, order.qty + lot)
            return self._did("amend", order.symbol, f"to {order.qty + lot}")
        qty = self._part_of(order.symbol, order.remaining)
        maker = self._rng.random() < 0.8
        self._desk.fill(order.order_id, qty, maker=maker)
        return self._did("fill", order.symbol, f"{qty} of {order.remaining} left")

    def _close(self) -> Action | None:
        held = self._pick_held()
        if held is None:
            return None
        free = self._free(held)
        whole = self._rng.random() < 0.6
        qty = free if whole else self._part_of(held.symbol, free)
        self._desk.market_order(held.symbol, against(held), self._name(held), qty, reduce_only=True)
        return self._did("close", held.symbol, f"{qty} of {held.qty} {held.side}")

    def _flip(self) -> Action | None:
        held = self._pick_held()
        if held is None:
            return None
        self._desk.flip(held.symbol, qty=self._stake(held.symbol))
        return self._did("flip", held.symbol, f"{held.qty} {held.side}")

    def _force(self) -> Action | None:
        held = self._pick_held()
        if held is None or self._free(held) != held.qty:
            return None
        kind = self._rng.choice(list(ForcedKind))
        self._desk.force_close(held.symbol, self._name(held), kind=kind)
        return self._did(str(kind).lower(), held.symbol, f"{held.qty} {held.side}")

    # Money and settings.

    def _fund(self) -> Action | None:
        if not self._desk.books.positions:
            return None
        rate = Decimal(self._rng.randint(-30, 30)).scaleb(-5)
        paid = self._desk.settle_funding(rate)
        return self._did("funding", detail=f"{paid} paid at {rate}")

    def _move_money(self) -> Action:
        amount = Decimal(self._rng.randint(1, 50_000_000_000)).scaleb(-8)
        wallet = self._desk.books.wallet
        if self._rng.random() < 0.5 and wallet - amount > WALLET_FLOOR:
            self._desk.withdraw(amount)
            return self._did("withdraw", detail=str(amount))
        self._desk.deposit(amount)
        return self._did("deposit", detail=str(amount))

    def _other(self) -> Action:
        reason = self._rng.choice(("ADJUSTMENT", "ASSET_TRANSFER", "ADMIN_DEPOSIT"))
        amount = Decimal(self._rng.randint(1, 500_000_000)).scaleb(-8)
        amount *= -1 if reason == "ADJUSTMENT" else 1
        self._desk.other_income(amount, reason=reason)
        return self._did(reason.lower(), detail=str(amount))

    def _lever(self) -> Action:
        symbol = self._rng.choice(self._symbols)
        long, short = self._rng.choice(LEVERAGES), self._rng.choice(LEVERAGES)
        self._desk.set_leverage(symbol, long=long, short=short)
        return self._did("leverage", symbol, f"{long} long, {short} short")

    # What the acts choose from.

    def _opening(self) -> tuple[str, Side, PositionSide]:
        symbol = self._rng.choice(self._symbols)
        if not self._desk.spec.hedge:
            return symbol, self._rng.choice(list(Side)), PositionSide.BOTH
        long = self._rng.random() < 0.5
        if long:
            return symbol, Side.BUY, PositionSide.LONG
        return symbol, Side.SELL, PositionSide.SHORT

    def _stake(self, symbol: str) -> Decimal:
        contract = self._desk.around.market.contract(symbol)
        wallet = max(self._desk.books.wallet, WALLET_FLOOR)
        notional = wallet * Decimal(self._rng.randint(*STAKE_PERMILLE)).scaleb(-3)
        wanted = notional / self._desk.around.market.price(symbol)
        return max(contract.lot, wanted.quantize(contract.lot, rounding=ROUND_DOWN))

    def _parts(self, symbol: str, qty: Decimal) -> list[tuple[Decimal, Decimal]]:
        contract = self._desk.around.market.contract(symbol)
        price = self._desk.around.market.walk(symbol)
        parts: list[tuple[Decimal, Decimal]] = []
        while qty and len(parts) < PARTS_MAX - 1:
            part = self._part_of(symbol, qty)
            parts.append((part, max(contract.tick, price + len(parts) * contract.tick)))
            qty -= part
        if qty:
            parts.append((qty, max(contract.tick, price - contract.tick)))
        return parts

    def _part_of(self, symbol: str, qty: Decimal) -> Decimal:
        lot = self._desk.around.market.contract(symbol).lot
        lots = int(qty / lot)
        return lot * self._rng.randint(1, lots)

    def _limit_price(self, symbol: str, side: Side) -> Decimal:
        tick = self._desk.around.market.contract(symbol).tick
        price = self._desk.around.market.price(symbol)
        away = Decimal(self._rng.randint(0, 20) * (-1 if side is Side.BUY else 1)).scaleb(-4)
        return max(tick, round_to_tick(price * (1 + away), tick))

    def _pick_held(self) -> Position | None:
        free = [p for p in self._desk.books.positions.values() if self._free(p) > 0]
        return self._rng.choice(free) if free else None

    def _free(self, held: Position) -> Decimal:
        """Count what no resting order waits to close; in hedge mode nothing closes twice."""
        if not self._desk.spec.hedge:
            return held.qty
        waiting = (
            o.remaining
            for o in self._desk.open_orders()
            if (o.symbol, o.position_side) == (held.symbol, held.side) and o.side is against(held)
        )
        return held.qty - sum(waiting, Decimal(0))

    @staticmethod
    def _is_closing(order: Order) -> bool:
        pair = (order.side, order.position_side)
        return pair in {(Side.SELL, PositionSide.LONG), (Side.BUY, PositionSide.SHORT)}

    def _name(self, held: Position) -> PositionSide:
        return held.side if self._desk.spec.hedge else PositionSide.BOTH

    def _did(self, verb: str, symbol: str = "", detail: str = "") -> Action:
        self._number += 1
        return Action(number=self._number, verb=verb, symbol=symbol, detail=detail)


async def trade(
    ex: SimulatedExchange,
    name: str,
    *,
    actions: int,
    seed: int,
    pause: float = 0,
    on_action: Callable[[Action], None] | None = None,
    settle: bool = True,
    flatten: bool = False,
    forced: bool = False,
) -> int:
    """Let a `Trader` act `actions` times, `pause` seconds apart, and give how many acts it were.

    Yields after each act, so that sockets drain. `settle` cancels what rests at the end, `flatten`
    closes what is open as well.
    """
    trader = Trader(ex.account(name), seed=seed, forced=forced)
    done = 0
    for _ in range(actions):
        action = trader.step()
        done += 1
        if on_action is not None:
            on_action(action)
        await asyncio.sleep(pause)
    for action in trader.settle(flatten=flatten) if settle or flatten else []:
        done += 1
        if on_action is not None:
            on_action(action)
    await asyncio.sleep(0)
    return done


def against(held: Position) -> Side:
    """Give the side of the order that closes a position."""
    return Side.SELL if held.side is PositionSide.LONG else Side.BUY
