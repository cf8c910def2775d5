"""The events of an account's long life: marks, orders, reports and funding, as many as asked for, without an exchange.

What enters: nothing but how many are taken. What leaves: events in their order, numbered from 1, that fold to an
account whose ledgers agree. What holds: the same events each time; money is exact; a few symbols open and close in
turn, questions are asked at the default intervals, so the fold remembers what it would remember in earnest.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from ditad.events import (
    AccountPush,
    AuditDone,
    BalanceLine,
    BalanceReport,
    BalanceRow,
    BaselineTaken,
    Body,
    Contract,
    Event,
    FillRow,
    FillsReport,
    IncomeReport,
    IncomeRow,
    Mark,
    Marks,
    OrderPush,
    OrderStatus,
    PositionLine,
    PositionRow,
    PositionSide,
    PositionsReport,
    Question,
    Side,
    StreamChanged,
    StreamState,
    Terms,
)
from tests.support.story import START_US, order_id_at, settings

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "LTC-USDT")
QUANTITY = Decimal("0.01")
PRICE = Decimal(28_000)
TICK = Decimal("0.1")
RATE = Decimal("0.0005")
OPENING = Decimal(100_000)
SECOND_US = 1_000_000
ASKED_EVERY_S, LISTED_EVERY_S, FUNDED_EVERY_S = 30, 60, 28_800
LONG = PositionSide.LONG


class Life:
    """An account that trades every few seconds from a moment on; `trade_every_s` says how busy it is.

    While it is `resting` it opens nothing more, so that soon nothing is open.
    """

    def __init__(self, *, trade_every_s: int = 3, start_us: int = START_US) -> None:
        self._trade_every_s = trade_every_s
        self.resting = False
        self._start_us = start_us
        self._us = start_us
        self._n = 0
        self._wallet = OPENING
        self._open: dict[str, Decimal] = {}
        self._orders = 0
        self._rows: list[FillRow] = []
        self._incomes: list[IncomeRow] = []
        self._asked_ms = start_us // 1_000

    def events(self) -> Iterator[Event]:
        """Give events without end."""
        for body in self._bodies():
            self._us += 1_000
            self._n += 1
            yield Event(n=self._n, at_us=self._us, heard_us=self._us, body=body)

    @property
    def _ms(self) -> int:
        return self._us // 1_000

    def _bodies(self) -> Iterator[Body]:
        yield settings()
        contracts = tuple(Contract(symbol=name, tick=TICK, lot=Decimal("0.0001")) for name in SYMBOLS)
        yield Terms(hedge_mode=True, fee_rates=(RATE,), contracts=contracts, leverages=(), notes=())
        yield StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None)
        yield BaselineTaken(
            baseline_id="b1", taken_ms=self._ms, wallet=OPENING, positions=(), orders=(), adopted_by=None, why=None
        )
        second = 0
        while True:
            second += 1
            self._us = self._start_us + second * SECOND_US
            yield self._marks(second)
            if second % self._trade_every_s == 0:
                yield from self._trade(second)
            if second % FUNDED_EVERY_S == 0:
                yield self._funding(second)
            if second % ASKED_EVERY_S == 0:
                self._us += SECOND_US // 2
                yield from self._audit(listed=second % LISTED_EVERY_S == 0)

    def _price(self, second: int) -> Decimal:
        step = second % 1_000
        return PRICE + TICK * min(step, 1_000 - step)

    def _marks(self, second: int) -> Body:
        price = self._price(second)
        return Marks(marks=tuple(Mark(symbol=name, price=price, event_ms=self._ms) for name in SYMBOLS))

    def _trade(self, second: int) -> Iterator[Body]:
        """Open the next symbol's position, or close it if it is open; then tell the wallet."""
        self._orders += 1
        symbol, price = SYMBOLS[self._orders % len(SYMBOLS)], self._price(second)
        if self.resting and symbol not in self._open:
            return
        entry = self._open.pop(symbol, None)
        fee = (QUANTITY * price * RATE).quantize(Decimal("1e-8"))
        profit = Decimal(0) if entry is None else (price - entry) * QUANTITY
        if entry is None:
            self._open[symbol] = price
        self._wallet += profit - fee
        order_id, side = order_id_at(self._ms, self._orders % 4_096), Side.BUY if entry is None else Side.SELL
        self._rows.append(
            FillRow(
                order_id=order_id,
                trade_id=str(self._orders),
                symbol=symbol,
                side=side,
                position_side=LONG,
                quantity=QUANTITY,
                price=price,
                fee=fee,
                fee_asset="USDT",
                realized_pnl=profit,
                at_ms=self._ms // 1_000 * 1_000,
                whole_second=True,
            )
        )
        yield OrderPush(
            name="ORDER_TRADE_UPDATE",
            order_id=order_id,
            symbol=symbol,
            side=side,
            position_side=LONG,
            order_type="MARKET",
            status=OrderStatus.FILLED,
            quantity=QUANTITY,
            filled=QUANTITY,
            average_price=price,
            last_quantity=None,
            last_price=None,
            fee=fee,
            fee_asset="USDT",
            realized_pnl=profit,
            trade_id=None,
            event_ms=self._ms,
            trade_ms=self._ms,
            client_order_id=None,
        )
        line = PositionLine(
            symbol=symbol,
            position_side=LONG,
            amount=QUANTITY if entry is None else Decimal(0),
            entry_price=price if entry is None else Decimal(0),
            unrealized_pnl=None,
            margin_type="cross",
        )
        yield self._told("ORDER", positions=(line,))

    def _funding(self, second: int) -> Body:
        paid = Decimal(second % 7 + 1).scaleb(-2)
        self._wallet -= paid
        row = IncomeRow(
            tran_id=str(self._n),
            kind="FUNDING_FEE",
            amount=-paid,
            asset="USDT",
            symbol=SYMBOLS[0],
            at_ms=self._ms // 1_000 * 1_000,
            info=None,
            trade_id=None,
        )
        self._incomes.append(row)
        return self._told("FUNDING_FEE", change=-paid)

    def _told(
        self, reason: str, *, change: Decimal = Decimal(0), positions: tuple[PositionLine, ...] = ()
    ) -> AccountPush:
        balance = BalanceLine(asset="USDT", wallet=self._wallet, change=change)
        return AccountPush(reason=reason, event_ms=self._ms, balances=(balance,), positions=positions)

    def _audit(self, *, listed: bool) -> Iterator[Body]:
        asked_us, asked_ms = self._us, self._ms
        row = BalanceRow(
            asset="USDT",
            wallet=self._wallet,
            equity=None,
            unrealized_pnl=None,
            available_margin=None,
            used_margin=None,
        )
        yield BalanceReport(asked_us=asked_us, asked_ms=asked_ms, rows=(row,))
        yield PositionsReport(asked_us=asked_us, asked_ms=asked_ms, rows=tuple(map(self._position, sorted(self._open))))
        questions = [Question.BALANCE, Question.POSITIONS]
        if listed:
            span = {"from_ms": self._asked_ms, "to_ms": asked_ms, "asked_us": asked_us, "asked_ms": asked_ms}
            for name in SYMBOLS:
                rows = tuple(row for row in self._rows if row.symbol == name)
                yield FillsReport(symbol=name, order_id=None, rows=rows, **span)
            yield IncomeReport(available=True, rows=tuple(self._incomes), **span)
            self._rows, self._incomes, self._asked_ms = [], [], asked_ms
            questions += [Question.FILLS, Question.INCOME]
        yield AuditDone(cause="interval", asked_us=asked_us, asked_ms=asked_ms, questions=tuple(questions), failed=())

    def _position(self, symbol: str) -> PositionRow:
        return PositionRow(
            symbol=symbol,
            side=LONG,
            quantity=QUANTITY,
            entry_price=self._open[symbol],
            mark_price=None,
            unrealized_pnl=None,
            leverage=Decimal(10),
            initial_margin=None,
            isolated=False,
        )
