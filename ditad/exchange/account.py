"""One account of the simulated exchange: its books, its settings, its money that does not trade.

Enters: the verbs of whoever plays the account's bot or the exchange's treasury. Leaves: frames, each
handed to `tell` in the order of their arrival. Pure: the time and the generator are handed in. Truths
held: account frames never go back in `E`, because `E` is what orders statements; every movement of
the wallet is in the books before a frame speaks of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Final

from ditad.exchange import pushes
from ditad.exchange.amounts import EXACT, decimal_of, round_to_wallet
from ditad.exchange.books import Books, Position, PositionSide, VenueError
from ditad.exchange.dialect import Dialect, MarginBasis
from ditad.exchange.facts import BooksFacts, Facts, MovementFact
from ditad.exchange.market import Market
from ditad.exchange.pushes import Frame, Holding, Payload
from ditad.exchange.records import HISTORY_MAX, Execution, Income, Order

LEVERAGE_MAX: Final = 150
MARGIN_TYPES: Final = frozenset({"cross", "isolated"})
SECOND_MS: Final = 1000
# What `user/income` calls that which is neither a fill nor funding (bingx.md §5).
OTHER_KINDS: Final = frozenset({"TRANSFER", "INSURANCE_CLEAR", "TRIAL_FUND", "ADL", "SYSTEM_DEDUCTION", "GTD_PRICE"})
FIRST_TRAN_ID: Final = 170_271_361_500_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSpec:
    """What an account is born with; empty credentials are drawn from the exchange's seed."""

    name: str
    api_key: str = ""
    api_secret: str = ""
    margin_asset: str = "USDT"  # VST is the demo flavour, whose income reports are null
    opening: Decimal = Decimal(10_000)
    hedge: bool = True
    multi_asset: bool = False
    margin_type: str = "cross"
    leverage: int = 10
    taker_rate: Decimal = Decimal("0.0005")
    maker_rate: Decimal = Decimal("0.0002")
    permissions: frozenset[str] = field(default=frozenset({"read", "trade"}))

    def __post_init__(self) -> None:
        """Refuse what the exchange could not serve."""
        if self.margin_type not in MARGIN_TYPES:
            message = f"margin_type must be one of {sorted(MARGIN_TYPES)}"
            raise ValueError(message)
        unknown = self.permissions - {"read", "trade", "withdraw"}
        if unknown:
            message = f"permissions are read, trade and withdraw, not {sorted(unknown)}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an account needs of its venue."""

    market: Market
    dialect: Dialect
    clock: Callable[[], int]  # milliseconds since 1970
    elapsed: Callable[[], int]  # the same without the clock's jumps: when rows become visible
    rng: Random  # decides only how things are told, never what happens
    tell: Callable[[Frame], None]
    order_sequence: Iterator[int]  # the accounts of a venue share their numbering
    trade_ids: Iterator[int]


@dataclass(slots=True)
class _Bind:
    """What a position binds at a mark; kept until one of them changes."""

    position: Position
    leverage: tuple[int, int]
    margin: Decimal
    mark: Decimal = Decimal(0)
    unrealized: Decimal = Decimal(0)


class Account:
    """An account's state and the verbs that do not trade."""

    def __init__(self, spec: AccountSpec, around: Surroundings) -> None:
        """Open the account with its first deposit already on it."""
        self.spec = spec
        self.around = around
        self.books = Books(opening=round_to_wallet(spec.opening), hedge=spec.hedge)
        self.orders: dict[int, Order] = {}
        self.executions: deque[Execution] = deque(maxlen=HISTORY_MAX)
        self.incomes: deque[Income] = deque(maxlen=HISTORY_MAX)
        self.leverage = dict.fromkeys(around.market.contracts, (spec.leverage, spec.leverage))
        self.margin_type = dict.fromkeys(around.market.contracts, spec.margin_type)
        self.multi_asset = spec.multi_asset  # an owner may switch it on later
        self.facts = BooksFacts(executions=Facts(), movements=Facts())
        self._binds: dict[tuple[str, PositionSide], _Bind] = {}
        self._account_event_ms = 0
        self._next_tran_id = FIRST_TRAN_ID

    @property
    def has_income(self) -> bool:
        """Whether `user/income` has rows here; the demo flavour has none, ever."""
        return self.spec.margin_asset != "VST"

    # Money that moves without a trade.

    def deposit(self, amount: Decimal | str | int) -> None:
        """Bring money in."""
        self.other_income(amount, reason="DEPOSIT")

    def withdraw(self, amount: Decimal | str | int) -> None:
        """Take money out; `amount` is positive."""
        self.other_income(-decimal_of(amount), reason="WITHDRAW")

    def other_income(
        self,
        amount: Decimal | str | int,
        *,
        reason: str,
        kind: str = "",
        tell_change: bool = True,
        push: bool = True,
    ) -> None:
        """Move the wallet for any reason but ORDER and FUNDING_FEE; `tell_change` False sends `bc` 0.

        DEPOSIT, WITHDRAW and names with TRANSFER are transfers, all else other income (account.md §3).
        `kind` is the row's incomeType where it does not follow from the reason; without `push` the row
        alone tells of it, until the next frame states the wallet.
        """
        change = _change_of(amount)
        if reason in {"ORDER", "FUNDING_FEE"}:
            message = f"{reason} has its own verb: trade, or settle_funding"
            raise VenueError(message)
        kind = kind or _income_kind(reason, change)
        if kind not in OTHER_KINDS:
            message = f"incomeType is one of {', '.join(sorted(OTHER_KINDS))}, not {kind}"
            raise VenueError(message)
        if kind == "TRANSFER":
            self.books.transfer(change)
        else:
            self.books.other(change)
        told = change if tell_change else Decimal(0)
        event_ms = self.tell_account(reason, told, []) if push else None
        stamp_ms = self.now_ms() if event_ms is None else event_ms
        row = None
        if kind != "TRANSFER" or self.around.dialect.transfer_rows:
            row = self.add_income(kind, change, stamp_ms=stamp_ms, info=reason)
        self._remember(row, kind=kind, reason=reason, amount=change, event_ms=event_ms)

    def silent_change(self, amount: Decimal | str | int) -> None:
        """Move the wallet for no cause that anybody will ever tell: no frame, no row, a fact of the books alone."""
        change = _change_of(amount)
        self.books.other(change)
        self._remember(None, kind="", reason="", amount=change, event_ms=None)

    def settle_funding(
        self, rate: Decimal | str | Mapping[str, Decimal | str], symbols: Iterable[str] | None = None
    ) -> Decimal:
        """Settle funding at `rate` (one, or one per symbol) and give what was paid in all.

        Longs pay a positive rate. All cross positions share one push without positions; an isolated
        position has a push of its own (bingx.md §4). Rows come one per position.
        """
        wanted = None if symbols is None else set(symbols)
        due = [
            (position, self._funding_of(position, rate))
            for position in list(self.books.positions.values())
            if wanted is None or position.symbol in wanted
        ]
        due = [(position, paid) for position, paid in due if paid]
        cross = [d for d in due if self.margin_type[d[0].symbol] == "cross"]
        isolated = [d for d in due if self.margin_type[d[0].symbol] == "isolated"]
        for group in ([cross] if cross else []) + [[one] for one in isolated]:
            self._settle_group(group, with_position=group is not cross)
        return sum((paid for _, paid in due), Decimal(0))

    def _settle_group(self, group: list[tuple[Position, Decimal]], *, with_position: bool) -> None:
        total = sum((paid for _, paid in group), Decimal(0))
        self.books.pay_funding(total)
        told = -total if self.around.dialect.funding_bc else Decimal(0)
        rows = [self.position_row(position) for position, _ in group] if with_position else []
        event_ms = self.tell_account("FUNDING_FEE", told, rows)
        for position, paid in group:
            late = self.around.rng.randint(0, self.around.dialect.funding_stamp_s_max)
            stamp_ms = -(-event_ms // SECOND_MS) * SECOND_MS + late * SECOND_MS
            row = self.add_income("FUNDING_FEE", -paid, symbol=position.symbol, stamp_ms=stamp_ms)
            self._remember(
                row, kind="FUNDING_FEE", reason="FUNDING_FEE", amount=-paid, event_ms=event_ms, symbol=position.symbol
            )

    def _remember(
        self, row: Income | None, *, kind: str, reason: str, amount: Decimal, event_ms: int | None, symbol: str = ""
    ) -> None:
        if not self.has_income:
            row = None  # it is written, but nobody can ever read it
        self.facts.movements.append(
            MovementFact(
                at_ms=self.now_ms(),
                event_ms=event_ms,
                row_at_ms=row.at_ms if row else None,
                row_visible_ms=row.visible_ms if row else None,
                tran_id=row.tran_id if row else None,
                kind=kind,
                reason=reason,
                asset=self.spec.margin_asset,
                symbol=symbol,
                amount=amount,
            )
        )

    def _funding_of(self, position: Position, rate: Decimal | str | Mapping[str, Decimal | str]) -> Decimal:
        own = rate.get(position.symbol, 0) if isinstance(rate, Mapping) else rate
        value = EXACT.multiply(position.qty, self.around.market.price(position.symbol))
        return round_to_wallet(EXACT.multiply(value, decimal_of(own)) * position.direction)

    # Settings.

    def set_leverage(self, symbol: str, *, long: int | None = None, short: int | None = None) -> None:
        """Change the leverage of one symbol's sides and tell it."""
        self.around.market.contract(symbol)
        before = self.leverage[symbol]
        after = (before[0] if long is None else long, before[1] if short is None else short)
        if not all(1 <= value <= LEVERAGE_MAX for value in after):
            message = f"leverage must lie between 1 and {LEVERAGE_MAX}"
            raise VenueError(message)
        self.leverage[symbol] = after
        self.tell(self.config_frame(symbol, "ACCOUNT_CONFIG_UPDATE"))

    def set_margin_type(self, symbol: str, margin_type: str) -> None:
        """Change cross or isolated of one flat symbol and tell it."""
        self.around.market.contract(symbol)
        if margin_type not in MARGIN_TYPES:
            message = f"margin type must be one of {sorted(MARGIN_TYPES)}"
            raise VenueError(message)
        if any(p.symbol == symbol for p in self.books.positions.values()):
            message = f"close {symbol} before changing its margin type"
            raise VenueError(message)
        self.margin_type[symbol] = margin_type
        self.tell(self.config_frame(symbol, "ACCOUNT_CONFIG_UPDATE"))

    def config_frame(self, symbol: str, name: str = "SNAPSHOT") -> Payload:
        """Build the configuration push of one symbol."""
        return pushes.config_update(
            name,
            symbol=symbol,
            leverage=self.leverage[symbol],
            margin_type=pushes.shown_margin_type(self.margin_type[symbol], self.around.dialect),
            event_ms=self.now_ms(),
        )

    # What reports and frames are made of.

    def now_ms(self) -> int:
        """Read the exchange's own time."""
        return self.around.clock()

    def holding(self, position: Position) -> Holding:
        """Add mark, leverage and margin type to a position."""
        long, short = self.leverage[position.symbol]
        return Holding(
            position=position,
            mark=self.around.market.mark(position.symbol),
            leverage=long if position.side is PositionSide.LONG else short,
            margin_type=self.margin_type[position.symbol],
        )

    def holdings(self) -> list[Holding]:
        """Give every open position, dressed for a report."""
        return [self.holding(position) for position in self.books.positions.values()]

    def margin_of(self, holding: Holding) -> Decimal:
        """Compute margin in use on the basis this exchange uses."""
        if self.around.dialect.margin_basis is MarginBasis.ENTRY:
            return holding.initial_margin
        return holding.margin_at(holding.mark)

    def position_row(self, position: Position) -> Payload:
        """Build a position's row for `P`."""
        contract = self.around.market.contract(position.symbol)
        return pushes.position_row(self.holding(position), contract, self.around.dialect, hedge=self.spec.hedge)

    def add_income(
        self,
        kind: str,
        amount: Decimal,
        *,
        stamp_ms: int,
        symbol: str = "",
        trade_id: str = "",
        info: str = "",
    ) -> Income | None:
        """Write and give an income row, stamped in whole seconds and visible after the dialect's delay."""
        if not amount:
            return None
        self._next_tran_id += 1
        late_ms = self.around.rng.randint(0, self.around.dialect.row_delay_s_max) * SECOND_MS
        row = Income(
            tran_id=self._next_tran_id,
            symbol=symbol,
            kind=kind,
            amount=amount,
            asset=self.spec.margin_asset,
            at_ms=stamp_ms // SECOND_MS * SECOND_MS,
            visible_ms=self.around.elapsed() + late_ms,
            trade_id=trade_id,
            info=info or kind,
        )
        self.incomes.append(row)
        return row

    def account_frame(self, reason: str, change: Decimal | None, rows: list[Payload]) -> tuple[Payload, int]:
        """Build an account frame of this moment; also give its `E`, which never goes back."""
        drawn = self.now_ms() + self.around.rng.randint(0, 4)
        self._account_event_ms = max(self._account_event_ms, drawn)
        asset, wallet = self.spec.margin_asset, self.books.wallet
        balance = pushes.balance_row(asset=asset, wallet=wallet, bound=self._bound(), change=change)
        frame = pushes.account_update(
            reason=reason,
            event_ms=self._account_event_ms,
            balances=[balance],
            positions=rows,
            dialect=self.around.dialect,
        )
        return frame, self._account_event_ms

    def _bound(self) -> Decimal:
        """Sum what all positions bind; each is reckoned again only when it or its mark has changed."""
        total, kept = Decimal(0), {}
        for key, position in self.books.positions.items():
            known = self._binds.get(key)
            mark, leverage = self.around.market.mark(position.symbol), self.leverage[position.symbol]
            same = known is not None and known.position is position and known.leverage == leverage
            if known is None or not same:
                known = _Bind(position, leverage, self.holding(position).initial_margin)
            if known.mark != mark:
                known.mark, known.unrealized = mark, position.unrealized(mark)
            kept[key] = known
            total += known.margin + known.unrealized
        self._binds = kept
        return total

    def tell_account(self, reason: str, change: Decimal | None, rows: list[Payload]) -> int:
        """Send an account frame and give its `E`."""
        frame, event_ms = self.account_frame(reason, change, rows)
        self.tell(frame)
        return event_ms

    def tell(self, payload: Payload) -> None:
        """Hand one frame to the venue."""
        self.around.tell(Frame(account=self.spec.name, payload=payload))


def _change_of(amount: Decimal | str | int) -> Decimal:
    change = decimal_of(amount)
    if change != round_to_wallet(change) or not change:
        message = "move an amount other than zero with eight decimals at most"
        raise VenueError(message)
    return change


def _income_kind(reason: str, change: Decimal) -> str:
    if reason in {"DEPOSIT", "WITHDRAW"} or "TRANSFER" in reason:
        return "TRANSFER"
    if reason == "INSURANCE_CLEAR":
        return reason
    return "TRIAL_FUND" if change > 0 else "SYSTEM_DEDUCTION"
