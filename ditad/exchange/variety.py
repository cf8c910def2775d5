"""A bot that also does what bots seldom do: the corners of an account's life, for simulations.

Enters and leaves: as with `Trader`, of whose acts these are a mixture with more. One seed tells one story.
Rebates need an account with a negative `maker_rate`; fees that a voucher pays are told only on wish.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from ditad.exchange.desk import Desk
from ditad.exchange.records import ForcedKind
from ditad.exchange.trader import Action, Trader, against

BURST_MAX: Final = 4
# incomeType, the push's reason, and its sign.
ODD_INCOMES: Final = (
    ("TRIAL_FUND", "ADMIN_DEPOSIT", 1),
    ("SYSTEM_DEDUCTION", "ADJUSTMENT", -1),
    ("GTD_PRICE", "ADJUSTMENT", -1),
    ("INSURANCE_CLEAR", "INSURANCE_CLEAR", -1),
    ("TRANSFER", "ASSET_TRANSFER", 1),
)


class VariedTrader(Trader):
    """The bot of all corners; `step` as with `Trader`."""

    def __init__(
        self,
        desk: Desk,
        *,
        seed: int,
        symbols: Sequence[str] = (),
        forced: bool = False,
        vouchers: bool = False,
        untold: bool = True,
    ) -> None:
        """Trade as `Trader` does; without `untold` every movement of money has a push with its amount.

        With it, what a row tells is sometimes pushed without its amount, or not at all.
        """
        super().__init__(desk, seed=seed, symbols=symbols, forced=forced)
        self._untold = untold
        self._acts |= {
            self._expire: 3,
            self._cancel_partly_filled: 3,
            self._amend_down: 3,
            self._rest_reduce_only: 5,
            self._burst: 5,
            self._fund_some: 4,
            self._move_alike: 3,
            self._odd_income: 3,
            self._change_margin_type: 4,
            self._pay_by_voucher: 2 if vouchers else 0,
            self._force_in_parts: 2 if forced else 0,
        }

    # Orders.

    def _expire(self) -> Action | None:
        resting = self._desk.open_orders()
        if not resting:
            return None
        order = self._rng.choice(resting)
        self._desk.cancel(order.order_id, expired=True)
        return self._did("expire", order.symbol, f"{order.filled} of {order.qty} filled")

    def _cancel_partly_filled(self) -> Action | None:
        begun = [o for o in self._desk.open_orders() if o.filled]
        if not begun:
            return None
        order = self._rng.choice(begun)
        self._desk.cancel(order.order_id)
        return self._did("cancel partly filled", order.symbol, f"{order.filled} of {order.qty} filled")

    def _amend_down(self) -> Action | None:
        market = self._desk.around.market
        wide = [o for o in self._desk.open_orders() if o.remaining > market.contract(o.symbol).lot]
        if not wide:
            return None
        order = self._rng.choice(wide)
        kept = self._part_of(order.symbol, order.remaining - market.contract(order.symbol).lot)
        self._desk.amend(order.order_id, order.filled + kept)
        return self._did("amend down", order.symbol, f"from {order.qty} to {order.filled + kept}")

    def _rest_reduce_only(self) -> Action | None:
        held = self._pick_held()
        if held is None:
            return None
        side, qty = against(held), self._part_of(held.symbol, self._free(held))
        price = self._limit_price(held.symbol, side)
        order_id = self._desk.limit_order(held.symbol, side, self._name(held), qty, price, reduce_only=True)
        first = self._part_of(held.symbol, qty)
        self._desk.fill(order_id, first)
        return self._did("reduce only", held.symbol, f"{first} of {qty} at {price}")

    def _burst(self) -> Action:
        symbol, side, position_side = self._opening()
        count = self._rng.randint(2, BURST_MAX)
        for _ in range(count):
            self._desk.market_order(symbol, side, position_side, self._stake(symbol))
        return self._did("burst", symbol, f"{count} times {side} {position_side}")

    def _pay_by_voucher(self) -> Action:
        symbol, side, position_side = self._opening()
        qty = self._stake(symbol)
        self._desk.market_order(symbol, side, position_side, qty, voucher=True)
        return self._did("voucher", symbol, f"{side} {position_side} {qty}")

    def _force_in_parts(self) -> Action | None:
        held = self._pick_held()
        if held is None or self._free(held) != held.qty:
            return None
        kind = self._rng.choice(list(ForcedKind))
        parts = self._parts(held.symbol, held.qty)
        self._desk.force_close(held.symbol, self._name(held), kind=kind, parts=parts)
        return self._did("forced in parts", held.symbol, f"{held.qty} {held.side} in {len(parts)}")

    # Money and settings.

    def _fund_some(self) -> Action | None:
        symbols = sorted({symbol for symbol, _ in self._desk.books.positions})
        if not symbols:
            return None
        chosen = self._rng.sample(symbols, self._rng.randint(1, len(symbols)))
        rates = {symbol: Decimal(self._rng.randint(-30, 30)).scaleb(-5) for symbol in chosen}
        paid = self._desk.settle_funding(rates)
        return self._did("funding of some", detail=f"{paid} paid for {', '.join(chosen)}")

    def _move_alike(self) -> Action:
        amount = Decimal(self._rng.randint(1, 9))
        for _ in range(self._rng.randint(2, 3)):
            self._desk.deposit(amount)
        if self._rng.random() < 0.5:
            self._desk.withdraw(amount)
        return self._did("equal amounts", detail=str(amount))

    def _odd_income(self) -> Action:
        kind, reason, sign = self._rng.choice(ODD_INCOMES)
        amount = sign * Decimal(self._rng.randint(1, 500_000_000)).scaleb(-8)
        chance = self._rng.random()
        by_row = self._desk.has_income and (kind != "TRANSFER" or self._desk.around.dialect.transfer_rows)
        told = not (self._untold and by_row) or chance >= 0.2
        pushed = not (self._untold and by_row) or chance < 0.8
        self._desk.other_income(amount, reason=reason, kind=kind, tell_change=told, push=pushed)
        return self._did(kind.lower(), detail=f"{amount}{'' if told else ' without bc'}{'' if pushed else ' unpushed'}")

    def _change_margin_type(self) -> Action | None:
        busy = {symbol for symbol, _ in self._desk.books.positions} | {o.symbol for o in self._desk.open_orders()}
        flat = [symbol for symbol in self._symbols if symbol not in busy]
        if not flat:
            return None
        symbol, margin_type = self._rng.choice(flat), self._rng.choice(("cross", "isolated"))
        self._desk.set_margin_type(symbol, margin_type)
        return self._did("margin type", symbol, margin_type)
