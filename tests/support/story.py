"""A small account story told in events: each method adds one event, numbered and timed, and folds it.

Figures are given as text, so that a test reads like a ledger. All events made here are synthetic unless the caller
hands in captured figures.
"""

from __future__ import annotations

from decimal import Decimal

import orjson

from ditad.events import (
    AccountPush,
    AuditDone,
    BalanceLine,
    BalanceReport,
    BalanceRow,
    BaselineTaken,
    Body,
    Contract,
    CoveredOrder,
    Decision,
    Event,
    FillRow,
    FillsReport,
    IncomeReport,
    IncomeRow,
    OrderPush,
    OrderRow,
    OrdersReport,
    OrderStatus,
    PositionLine,
    PositionRow,
    PositionSide,
    PositionsReport,
    Question,
    QuestionFailed,
    SettingsInForce,
    Side,
    StreamChanged,
    StreamState,
    Terms,
    Tick,
)
from ditad.projection import Folded, Projection
from ditad.state import FOLD_VERSION

START_US = 1_680_000_000_000_000
EPOCH_MS = 1_288_834_974_657
ALL_QUESTIONS = (Question.BALANCE, Question.POSITIONS, Question.FILLS, Question.INCOME)


def dec(text: str | None) -> Decimal | None:
    """Read a figure; `None` stays never stated."""
    return None if text is None else Decimal(text)


def order_id_at(at_ms: int, sequence: int = 0) -> str:
    """Make an order id that says it was created at this moment."""
    return str(((at_ms - EPOCH_MS) << 22) | sequence)


def settings(**changes: object) -> SettingsInForce:
    """Give settings in force, with the defaults of interfaces.md §2."""
    values: dict[str, object] = {
        "fold_version": FOLD_VERSION,
        "margin_asset": "USDT",
        "environment": "custom",
        "seed_capital": None,
        "min_capital": Decimal(0),
        "max_capital": None,
        "partial_amounts": "auto",
        "settle_window_us": 2_000_000,
        "silence_us": 15_000_000,
        "audit_interval_us": 30_000_000,
        "income_lag_ms": 150_000,
        "fills_lag_ms": 5_000,
        "capital_epsilon": Decimal("0.0001"),
        "realized_rounding": Decimal("0.05"),
        "mark_staleness_factor": Decimal("0.003"),
        "leverage_rounding_band": Decimal(2),
        "bar_us": 60_000_000,
        "namespaces": {},
    }
    return SettingsInForce(**{**values, **changes})  # type: ignore[arg-type]  # values from two dicts


class Story:
    """A projection and its clock; `snap` is the last snapshot, `records` all records so far."""

    def __init__(
        self,
        *,
        wallet: str = "1000",
        hedge: bool = True,
        tick: str = "0.1",
        rates: tuple[str, ...] = ("0.0005", "0.0002"),
        positions: tuple[PositionRow, ...] = (),
        covered: tuple[CoveredOrder, ...] = (),
        symbols: tuple[str, ...] = ("BTC-USDT",),
        baseline: bool = True,
        **changes: object,
    ) -> None:
        self.projection = Projection("main")
        self.us = START_US
        self.n = 0
        self.orders = 0
        self.records: list[dict[str, object]] = []
        self.snap: dict[str, object] = {}
        self.events: list[Event] = []
        self.tell(settings(**changes))
        self.tell(
            Terms(
                hedge_mode=hedge,
                fee_rates=tuple(Decimal(rate) for rate in rates),
                contracts=tuple(Contract(symbol=name, tick=Decimal(tick), lot=Decimal("0.0001")) for name in symbols),
                leverages=(),
                notes=(),
            )
        )
        self.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
        if baseline:
            self.tell(
                BaselineTaken(
                    baseline_id="b1",
                    taken_ms=self.ms,
                    wallet=Decimal(wallet),
                    positions=positions,
                    orders=covered,
                    adopted_by=None,
                    why=None,
                )
            )

    @property
    def ms(self) -> int:
        """Give now on the exchange's clock, which here is the machine's."""
        return self.us // 1_000

    def pass_s(self, seconds: float) -> None:
        """Let time pass without an event."""
        self.us += int(seconds * 1_000_000)

    def tell(self, body: Body) -> Folded:
        """Journal and fold one event, 1 ms after the last; decisions it leads to are folded next, as a pipeline does."""
        self.us += 1_000
        self.n += 1
        event = Event(n=self.n, at_us=self.us, heard_us=self.us, body=body)
        self.events.append(event)
        folded = self.projection.fold(event)
        for record in folded.records:
            line = orjson.loads(record.line)
            self.records.append(line)
            if line["type"] == "snapshot":
                self.snap = line["snapshot"]
        for decision in folded.decisions:
            assert isinstance(decision, Decision)
            self.tell(decision)
        return folded

    def tick(self) -> Folded:
        """Go to the next deadline the fold named, and let it notice."""
        due = self.projection.deadline_us()
        assert due is not None, "the fold waits for nothing"
        self.us = max(self.us, due)
        return self.tell(Tick(due_us=due))

    # ---- pushes

    def new_order(self) -> str:
        """Give an id of an order created now."""
        self.orders += 1
        return order_id_at(self.ms, self.orders)

    def order(
        self,
        order_id: str | None = None,
        *,
        side: Side = Side.BUY,
        ps: PositionSide = PositionSide.LONG,
        status: OrderStatus = OrderStatus.FILLED,
        z: str | None = None,
        q: str | None = None,
        ap: str | None = None,
        fee: str | None = None,
        rp: str | None = "0",
        symbol: str = "BTC-USDT",
        name: str = "ORDER_TRADE_UPDATE",
        last: tuple[str, str] | None = None,
        trade_ms: int | None = None,
        kind: str = "MARKET",
    ) -> str:
        """Tell an order frame; returns its order id."""
        order_id = order_id or self.new_order()
        self.tell(
            OrderPush(
                name=name,
                order_id=order_id,
                symbol=symbol,
                side=side,
                position_side=ps,
                order_type=kind,
                status=status,
                quantity=dec(q or z),
                filled=dec(z),
                average_price=dec(ap),
                last_quantity=dec(last[0]) if last else None,
                last_price=dec(last[1]) if last else None,
                fee=dec(fee),
                fee_asset="USDT",
                realized_pnl=dec(rp),
                trade_id=None,
                event_ms=self.ms,
                trade_ms=trade_ms,
                client_order_id=None,
            )
        )
        return order_id

    def account(
        self,
        wallet: str | None,
        *positions: tuple[str, PositionSide, str, str],
        reason: str = "ORDER",
        change: str = "0",
        event_ms: int | None = None,
        asset: str = "USDT",
    ) -> None:
        """Tell an account frame: wallet and ``(symbol, side, amount, entry)`` of changed positions."""
        self.tell(
            AccountPush(
                reason=reason,
                event_ms=event_ms if event_ms is not None else self.ms,
                balances=()
                if wallet is None
                else (BalanceLine(asset=asset, wallet=Decimal(wallet), change=Decimal(change)),),
                positions=tuple(
                    PositionLine(
                        symbol=symbol,
                        position_side=side,
                        amount=Decimal(amount),
                        entry_price=Decimal(entry),
                        unrealized_pnl=None,
                        margin_type="cross",
                    )
                    for symbol, side, amount, entry in positions
                ),
            )
        )

    # ---- reports

    def balance(self, wallet: str, *, used: str | None = None, available: str | None = None) -> None:
        """Tell a balance report asked just now."""
        self.tell(
            BalanceReport(
                asked_us=self.us + 500,
                asked_ms=self.ms,
                rows=(
                    BalanceRow(
                        asset="USDT",
                        wallet=Decimal(wallet),
                        equity=None,
                        unrealized_pnl=None,
                        available_margin=dec(available),
                        used_margin=dec(used),
                    ),
                ),
            )
        )

    def position_row(
        self,
        qty: str,
        entry: str,
        *,
        symbol: str = "BTC-USDT",
        side: PositionSide = PositionSide.LONG,
        mark: str | None = None,
        leverage: str | None = None,
    ) -> PositionRow:
        """Make a row of a positions report."""
        return PositionRow(
            symbol=symbol,
            side=side,
            quantity=Decimal(qty),
            entry_price=Decimal(entry),
            mark_price=dec(mark),
            unrealized_pnl=None,
            leverage=dec(leverage),
            initial_margin=None,
            isolated=False,
        )

    def positions(self, *rows: PositionRow) -> None:
        """Tell a positions report asked just now."""
        self.tell(PositionsReport(asked_us=self.us + 500, asked_ms=self.ms, rows=rows))

    def fill_row(
        self,
        order_id: str,
        qty: str,
        price: str,
        fee: str,
        *,
        rp: str = "0",
        side: Side = Side.BUY,
        ps: PositionSide = PositionSide.LONG,
        symbol: str = "BTC-USDT",
        trade_id: str | None = None,
        at_ms: int | None = None,
    ) -> FillRow:
        """Make a row of a fill history, stamped with a whole second."""
        return FillRow(
            order_id=order_id,
            trade_id=trade_id,
            symbol=symbol,
            side=side,
            position_side=ps,
            quantity=Decimal(qty),
            price=Decimal(price),
            fee=Decimal(fee),
            fee_asset="USDT",
            realized_pnl=Decimal(rp),
            at_ms=(at_ms if at_ms is not None else self.ms) // 1_000 * 1_000,
            whole_second=True,
        )

    def fills(self, *rows: FillRow, symbol: str = "BTC-USDT", order_id: str | None = None, from_ms: int = 0) -> None:
        """Tell a completed fills question over everything so far."""
        self.tell(
            FillsReport(
                symbol=symbol,
                order_id=order_id,
                from_ms=from_ms,
                to_ms=self.ms,
                asked_us=self.us + 500,
                asked_ms=self.ms,
                rows=rows,
            )
        )

    def executed(
        self,
        order_id: str,
        executed: str,
        *,
        ap: str | None = None,
        side: Side = Side.BUY,
        ps: PositionSide = PositionSide.LONG,
        symbol: str = "BTC-USDT",
        status: OrderStatus = OrderStatus.FILLED,
        question: Question = Question.ORDER,
        forced: str | None = None,
        rp: str | None = None,
    ) -> None:
        """Tell what the exchange says was executed of an order."""
        row = OrderRow(
            order_id=order_id,
            symbol=symbol,
            side=side,
            position_side=ps,
            order_type="MARKET",
            status=status,
            quantity=Decimal(executed),
            executed=Decimal(executed),
            average_price=dec(ap),
            fee=None,
            realized_pnl=dec(rp),
            created_ms=None,
            updated_ms=None,
            forced=forced,
        )
        self.tell(OrdersReport(question=question, symbol=symbol, asked_us=self.us, asked_ms=self.ms, rows=(row,)))

    def income_row(
        self,
        tran_id: str,
        kind: str,
        amount: str,
        *,
        at_ms: int | None = None,
        symbol: str | None = None,
        asset: str = "USDT",
    ) -> IncomeRow:
        """Make an income row; positive means received."""
        return IncomeRow(
            tran_id=tran_id,
            kind=kind,
            amount=Decimal(amount),
            asset=asset,
            symbol=symbol,
            at_ms=(at_ms if at_ms is not None else self.ms) // 1_000 * 1_000,
            info=None,
            trade_id=None,
        )

    def income(self, *rows: IncomeRow, available: bool = True, from_ms: int = 0) -> None:
        """Tell a completed income question."""
        self.tell(
            IncomeReport(
                from_ms=from_ms,
                to_ms=self.ms,
                asked_us=self.us + 500,
                asked_ms=self.ms,
                available=available,
                rows=rows,
            )
        )

    def failed(self, question: Question, reason: str = "no answer", *, unavailable: bool = False) -> None:
        """Tell a question that was not answered."""
        self.tell(
            QuestionFailed(
                question=question, subject="", reason=reason, unavailable=unavailable, asked_us=self.us + 500
            )
        )

    def audit_done(
        self,
        *,
        asked_us: int | None = None,
        questions: tuple[Question, ...] = ALL_QUESTIONS,
        failed: tuple[str, ...] = (),
    ) -> None:
        """Tell that a round of questions, asked since `asked_us` (default: just now), is over."""
        self.tell(
            AuditDone(
                cause="test",
                asked_us=asked_us if asked_us is not None else self.us,
                asked_ms=self.ms,
                questions=questions,
                failed=failed,
            )
        )

    # ---- reading

    @property
    def k(self) -> dict[str, object]:
        """Give K of the last snapshot."""
        block = self.snap["k"]
        assert isinstance(block, dict)
        return block

    @property
    def reconcile(self) -> dict[str, object]:
        """Give the verdict of the last snapshot."""
        block = self.snap["reconcile"]
        assert isinstance(block, dict)
        return block

    @property
    def status(self) -> object:
        """Give the status of the last snapshot."""
        return self.reconcile["status"]

    def delta(self, field: str) -> object:
        """Give K − E of a field in the last snapshot."""
        deltas = self.reconcile["deltas"]
        assert isinstance(deltas, dict)
        return deltas.get(field)

    def of_type(self, kind: str) -> list[dict[str, object]]:
        """Give the bodies of all records of a type so far."""
        found = []
        for record in self.records:
            if record["type"] == kind:
                body = record[kind]
                assert isinstance(body, dict)
                found.append(body)
        return found
