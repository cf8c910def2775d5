"""The dual ledger for a user's own process: facts and statements in by hand, snapshots out, no daemon and no I/O.

What enters: fills, funding, transfers and the exchange's statements, as numbers in any exact form (a float by its
shortest decimal text). What leaves: frozen `AccountSnapshotV2`s. What holds: the same book and the same rules as the
daemon's; input that is no finite number raises `ValueError` and changes nothing; `None` is *never stated*.
(account.md §4, §5)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ditad import reconcile
from ditad.blocks import AccountSnapshotV2, EBlock, EPosition, KBlock, Moment
from ditad.book import Position
from ditad.events import PositionSide
from ditad.money import ZERO, add, exact_sum, mul, number_of, ratio, sub
from ditad.reconcile import DivergenceClass, Finding, ReconcileConfig, ReconcileStatus
from ditad.slots import Number, TradeSlot, bounds, clamp
from ditad.stepping import BookFill


@dataclass(frozen=True, slots=True)
class _Held:
    """A position of K as the rules need it."""

    symbol: str
    side: str
    quantity: Decimal
    entry: Decimal
    mark: Decimal | None
    leverage: Decimal | None
    profit: Decimal | None


@dataclass(slots=True)
class _Sums:
    realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    transfers: Decimal = ZERO
    other: Decimal = ZERO
    identities: set[str] = field(default_factory=set)


class AccountProjectionV2:
    """Fold an account by hand; `snapshot` is the last one built, `k_capital` the clamped capital now."""

    def __init__(
        self,
        seed_capital: Number,
        *,
        min_capital: Number = 0,
        max_capital: Number | None = None,
        reconcile_config: ReconcileConfig | None = None,
    ) -> None:
        self._seed = number_of(seed_capital, "seed_capital")
        self._least, self._most = bounds(min_capital, max_capital)
        self._config = reconcile_config if reconcile_config is not None else ReconcileConfig()
        self._sums = _Sums()
        self._book: dict[str, Position] = {}
        self._booked_all = True
        self._filled_since_balance = False
        self._e = EBlock()
        self._peak = self.k_capital
        self._event_seq = 0
        self.snapshot: AccountSnapshotV2 | None = None

    @property
    def capital_raw(self) -> Decimal:
        """Give seed + Σ realised − Σ fees − Σ funding + Σ transfers + Σ other."""
        sums = self._sums
        gained = add(add(sums.realized_pnl, sums.transfers), sums.other)
        return add(self._seed, sub(gained, add(sums.fees, sums.funding)))

    @property
    def k_capital(self) -> Decimal:
        """Give what a bot sizes with."""
        return clamp(self.capital_raw, self._least, self._most)

    # ---- facts

    def apply_fill(
        self,
        *,
        fill_price: Number,
        fill_qty: Number,
        fee: Number,
        realized_pnl: Number,
        symbol: str | None = None,
        side: str | None = None,
        position_side: str | None = None,
        identity: str | None = None,
    ) -> bool:
        """Fold a fill: `fee` positive when paid, `realized_pnl` gross as the exchange states it.

        With `symbol` and `side` (BUY or SELL; `position_side` LONG or SHORT in hedge mode) it enters the book as well.
        With an `identity` it counts once, however often it is told. Returns whether it counted.
        """
        price, quantity = number_of(fill_price, "fill_price"), number_of(fill_qty, "fill_qty")
        paid, profit = number_of(fee, "fee"), number_of(realized_pnl, "realized_pnl")
        if price <= 0 or quantity <= 0:
            raise ValueError(f"a fill has a price and a quantity above 0, got {price} and {quantity}")
        direction = None if side is None else _direction(side)
        where = PositionSide.BOTH if position_side is None else _position_side(position_side)
        if identity is not None:
            if identity in self._sums.identities:
                return False
            self._sums.identities.add(identity)
        self._sums.realized_pnl = add(self._sums.realized_pnl, profit)
        self._sums.fees = add(self._sums.fees, paid)
        self._filled_since_balance = True
        self._e = replace(
            self._e,
            last_fill_price=price,
            last_fill_qty=quantity,
            last_fill_fee=paid,
            last_fill_realized_pnl=profit,
        )
        if symbol is None or direction is None:
            self._booked_all = False
        else:
            self._enter(symbol, where, buy=direction, price=price, quantity=quantity, profit=profit)
        self._peak = max(self._peak, self.k_capital)
        return True

    def _enter(
        self, symbol: str, side: PositionSide, *, buy: bool, price: Decimal, quantity: Decimal, profit: Decimal
    ) -> None:
        position = self._book.setdefault(f"{symbol}:{side}", Position(symbol=symbol, side=side))
        number = len(position.fills)
        fill = BookFill(
            order_id=f"{number:012d}",
            z0=ZERO,
            z1=quantity,
            buy=buy,
            quantity=quantity,
            quote=mul(quantity, price),
            quote_slack=ZERO,
            single=True,
            stated_pnl=profit,
            compared=True,
            at_ms=number,
            whole_second=False,
        )
        position.change(removed=(), added=(fill,))

    def apply_funding(self, amount: Number) -> None:
        """Fold funding, positive when paid."""
        paid = number_of(amount, "amount")
        self._sums.funding = add(self._sums.funding, paid)
        self._e = replace(self._e, last_funding=paid)
        self._peak = max(self._peak, self.k_capital)

    def apply_transfer(self, amount: Number) -> None:
        """Fold a deposit (positive) or withdrawal (negative)."""
        self._sums.transfers = add(self._sums.transfers, number_of(amount, "amount"))
        self._peak = max(self._peak, self.k_capital)

    def apply_other(self, amount: Number) -> None:
        """Fold any other income, positive when received."""
        self._sums.other = add(self._sums.other, number_of(amount, "amount"))
        self._peak = max(self._peak, self.k_capital)

    # ---- statements

    def apply_balance_update(
        self,
        *,
        wallet_balance: Number,
        available_margin: Number | None = None,
        used_margin: Number | None = None,
        maint_margin: Number | None = None,
    ) -> None:
        """Hear a balance statement; a margin of `None` is not stated and stays what it was."""
        wallet = number_of(wallet_balance, "wallet_balance")
        told = {
            name: number_of(value, name)
            for name, value in (
                ("available_margin", available_margin),
                ("used_margin", used_margin),
                ("maint_margin", maint_margin),
            )
            if value is not None
        }
        self._e = replace(self._e, wallet_balance=wallet, **told)  # type: ignore[arg-type]  # all told are decimals
        self._filled_since_balance = False

    def apply_position_update(self, positions: Iterable[EPosition | Mapping[str, object]]) -> None:
        """Hear all open positions at once; an empty statement says flat."""
        self._e = replace(self._e, positions=tuple(_position_of(position) for position in positions))

    # ---- snapshots

    def build_snapshot(self, source_event_id: str, slots: Iterable[TradeSlot], ts: Moment = None) -> AccountSnapshotV2:
        """Compare both ledgers now. K's positions come from the book if every fill named its symbol, else from `slots`."""
        held = self._held(list(slots))
        k = self._k_block(held)
        findings = self._findings(k, held)
        result = reconcile.result_of(findings, ts)
        if self._e.wallet_balance is None and result.status is not ReconcileStatus.ERROR:
            result = replace(
                result,
                status=ReconcileStatus.UNKNOWN,
                explanations=(*result.explanations, f"{DivergenceClass.NOT_STATED}|wallet_balance|never stated"),
                worst_field="wallet_balance",
            )
        self._event_seq += 1
        self.snapshot = AccountSnapshotV2(
            event_seq=self._event_seq, source_event_id=source_event_id, k=k, e=self._e, reconcile=result, ts=ts
        )
        return self.snapshot

    def _held(self, slots: list[TradeSlot]) -> list[_Held]:
        if self._book and self._booked_all:
            return [self._held_in_book(key, position) for key, position in self._book.items() if position.run.quantity]
        return [
            _Held(
                symbol=slot.asset,
                side=str(slot.side),
                quantity=slot.quantity,
                entry=number_of(slot.entry_price, "entry_price"),
                mark=slot.mark,
                leverage=slot.leverage,
                profit=slot.profit,
            )
            for slot in slots
            if slot.is_open
        ]

    def _held_in_book(self, key: str, position: Position) -> _Held:
        run = position.run
        short = position.side is PositionSide.SHORT or run.quantity < 0
        side = PositionSide.SHORT if short else PositionSide.LONG
        stated = self._stated(key.rpartition(":")[0], side.value)
        mark = stated.mark_price if stated is not None else None
        quantity = abs(run.quantity)
        profit = None
        if mark is not None:
            value = mul(quantity, mark)
            profit = sub(run.cost, value) if short else sub(value, run.cost)
        return _Held(
            symbol=position.symbol,
            side=side.value,
            quantity=quantity,
            entry=ratio(run.cost, quantity),
            mark=mark,
            leverage=stated.leverage if stated is not None else None,
            profit=profit,
        )

    def _stated(self, symbol: str, side: str) -> EPosition | None:
        for position in self._e.positions or ():
            if (position.symbol, position.side) == (symbol, side):
                return position
        return None

    def _k_block(self, held: list[_Held]) -> KBlock:
        capital = self.k_capital
        values = [(row, mul(row.quantity, row.mark if row.mark is not None else row.entry)) for row in held]
        notional = exact_sum(value for _, value in values)
        margin = exact_sum(ratio(value, row.leverage) if row.leverage else value for row, value in values)
        unrealized = exact_sum(row.profit for row in held if row.profit is not None)
        runs = [position.run for position in self._book.values()]
        return KBlock(
            capital=capital,
            capital_raw=self.capital_raw,
            realized_pnl=self._sums.realized_pnl,
            book_realized_pnl=ratio(exact_sum(run.realized for run in runs), Decimal(1)),
            unrealized_pnl=unrealized,
            fees_paid=self._sums.fees,
            funding_paid=self._sums.funding,
            transfers=self._sums.transfers,
            other_income=self._sums.other,
            open_notional=notional,
            equity=add(capital, unrealized),
            used_margin=margin,
            available_margin=max(ZERO, sub(capital, margin)),
            open_positions=len(held),
            peak_capital=self._peak,
            leverage=ratio(notional, capital) if notional > 0 and capital > 0 else ZERO,
            trade_seq=sum(run.closed_trades for run in runs),
        )

    def _findings(self, k: KBlock, held: list[_Held]) -> list[Finding]:
        findings = []
        mismatch = (ReconcileStatus.ERROR, DivergenceClass.MISMATCH)
        if self._e.wallet_balance is not None:
            findings.append(self._wallet(k.capital_raw, self._e.wallet_balance))
        if self._book and self._booked_all:
            findings.append(self._realized())
        if self._e.positions is not None:
            findings.extend(self._quantities(held, self._e.positions))
            findings.append(self._notional(held, self._e.positions))
            ours = {(row.symbol, row.side) for row in held}
            stated = {(position.symbol, position.side) for position in self._e.positions if position.qty}
            findings.append(reconcile.open_positions(k=len(ours), e=len(stated), otherwise=mismatch))
        if self._e.used_margin is not None and all(row.leverage for row in held):
            findings.append(
                reconcile.margin(
                    k=k.used_margin,
                    e=self._e.used_margin,
                    epsilon=self._config.capital_epsilon,
                    band=self._config.leverage_rounding_band,
                )
            )
        return findings

    def _wallet(self, k: Decimal, wallet: Decimal) -> Finding:
        """R1; without a clock a fill since the last balance makes a difference up to `pending_fee_bound` unsettled."""
        delta = sub(k, wallet)
        pending = self._filled_since_balance and abs(delta) <= self._config.pending_fee_bound
        otherwise = (
            (ReconcileStatus.WARN, DivergenceClass.UNSETTLED_FEE)
            if pending
            else (ReconcileStatus.ERROR, DivergenceClass.MISMATCH)
        )
        return reconcile.judge(
            rule="R1",
            name=reconcile.R1_FIELD,
            k=k,
            e=wallet,
            delta=delta,
            tolerance=self._config.capital_epsilon,
            otherwise=otherwise,
        )

    def _realized(self) -> Finding:
        runs = [position.run for position in self._book.values()]
        return reconcile.realized(
            book=exact_sum(run.realized_compared for run in runs),
            stated=exact_sum(run.stated_compared for run in runs),
            closes=sum(run.closes for run in runs),
            closed_ticks=ZERO,
            precision=ZERO,
            tick_known=False,
            rounding=self._config.realized_rounding,
        )

    def _quantities(self, held: list[_Held], stated: tuple[EPosition, ...]) -> list[Finding]:
        """R3 without contracts: under half a lot is equal, under one is rounding."""
        ours: dict[tuple[str, str], Decimal] = {}
        theirs: dict[tuple[str, str], Decimal] = {}
        for row in held:
            ours[row.symbol, row.side] = add(ours.get((row.symbol, row.side), ZERO), row.quantity)
        for position in stated:
            key = (position.symbol, position.side)
            theirs[key] = add(theirs.get(key, ZERO), abs(position.qty))
        step = self._config.lot_step
        findings = []
        for symbol, side in sorted({*ours, *theirs}):
            k, e = ours.get((symbol, side), ZERO), theirs.get((symbol, side), ZERO)
            delta = sub(k, e)
            if step and abs(delta) < step:
                otherwise = (ReconcileStatus.WARN, DivergenceClass.LOT_STEP_ROUNDING)
            else:
                otherwise = (ReconcileStatus.ERROR, DivergenceClass.MISMATCH)
            near = bool(step) and abs(delta) < mul(step, Decimal("0.5"))
            findings.append(
                reconcile.judge(
                    rule="R3",
                    name=f"position_qty:{symbol}:{side}",
                    k=k,
                    e=e,
                    delta=delta,
                    tolerance=abs(delta) if near else ZERO,
                    otherwise=otherwise,
                    symbol=symbol,
                    side=side,
                )
            )
        return findings

    def _notional(self, held: list[_Held], stated: tuple[EPosition, ...]) -> Finding:
        marks = {(position.symbol, position.side): position.mark_price for position in stated}
        k_at_e = k_own = ZERO
        stale = False
        for row in held:
            own = row.mark if row.mark is not None else row.entry
            theirs = marks.get((row.symbol, row.side))
            k_own = add(k_own, mul(row.quantity, own))
            k_at_e = add(k_at_e, mul(row.quantity, theirs if theirs is not None else own))
            if theirs is not None and abs(sub(own, theirs)) > mul(own, self._config.mark_staleness_factor):
                stale = True
        own_marks = {(row.symbol, row.side): row.mark if row.mark is not None else row.entry for row in held}
        e_at_e = ZERO
        for position in stated:
            mark = position.mark_price
            if mark is None:
                mark = own_marks.get((position.symbol, position.side), position.entry_price)
            e_at_e = add(e_at_e, mul(abs(position.qty), mark if mark is not None else ZERO))
        return reconcile.notional(
            k_at_e=k_at_e,
            e_at_e=e_at_e,
            k_own=k_own,
            stale=stale,
            epsilon=self._config.capital_epsilon,
            otherwise=(ReconcileStatus.ERROR, DivergenceClass.MISMATCH),
        )


def _direction(side: str) -> bool:
    """Read BUY or SELL; raises `ValueError` for anything else."""
    word = str(side).upper()
    if word not in {"BUY", "SELL"}:
        raise ValueError(f"side: BUY or SELL is due, got {side!r}")
    return word == "BUY"


def _position_side(side: str) -> PositionSide:
    """Read LONG, SHORT or BOTH; raises `ValueError` for anything else."""
    try:
        return PositionSide(str(side).upper())
    except ValueError:
        raise ValueError(f"position_side: LONG, SHORT or BOTH is due, got {side!r}") from None


def _position_of(position: EPosition | Mapping[str, object]) -> EPosition:
    """Read a stated position; raises `ValueError` where a figure is no finite number or a field is not known."""
    if isinstance(position, EPosition):
        return position
    unknown = set(position) - set(EPosition.__dataclass_fields__)
    if unknown or not {"symbol", "qty"} <= set(position):
        raise ValueError(
            f"a position has symbol, qty and {sorted(EPosition.__dataclass_fields__)}, got {sorted(position)}"
        )
    return EPosition(**position)  # type: ignore[arg-type]  # read by __post_init__
