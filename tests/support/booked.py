"""An account's story over some days with one of everything that a report shows and an accountant books.

What enters: nothing. What leaves: a `Story` and its journal. What holds: the wallet that the exchange states is kept beside
the fold, so that a test knows what has to come out; all payloads are synthetic.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from ditad.events import BaselineTaken, IncomeRow, Mark, Marks, PositionSide, Question, Side, StreamChanged, StreamState
from tests.support.journaled import journaled
from tests.support.story import Story

LONG = PositionSide.LONG
DAY_S = 86_400
RATE = Decimal("0.0005")
HOSTILE = '=<img src=x onerror="document.title=1">"\\-USDT'
"""What no symbol looks like and no page, csv or ledger may take for its own."""

BTC, ETH = "BTC-USDT", "ETH-USDT"


class Booked(Story):
    """A story whose wallet is kept by hand."""

    def __init__(self, wallet: str = "10000", **more: object) -> None:
        super().__init__(wallet=wallet, symbols=(BTC, ETH, HOSTILE), **more)  # type: ignore[arg-type]  # Story's own
        self.wallet = Decimal(wallet)
        self.rows: list[IncomeRow] = []
        self._moves = 0

    def moved(self, by: str, reason: str, *, symbol: str | None = None) -> None:
        """Move the wallet, and tell it by a push now and by a row in the next round."""
        self.wallet += Decimal(by)
        places = () if symbol is None else ((symbol, LONG, "0", "0"),)
        self.account(str(self.wallet), *places, reason=reason, change=by)
        name = "TRANSFER" if reason == "DEPOSIT" else reason
        self._moves += 1
        self.rows.append(self.income_row(str(self._moves), name, by, symbol=symbol))

    def trade(self, symbol: str, qty: str, entry: str, exit_: str) -> None:
        """Open and close a long, some minutes apart."""
        self._leg(Side.BUY, symbol, qty, entry, Decimal(0), (qty, entry))
        self.pass_s(300)
        profit = (Decimal(exit_) - Decimal(entry)) * Decimal(qty)
        self._leg(Side.SELL, symbol, qty, exit_, profit, ("0", "0"))

    def _leg(self, side: Side, symbol: str, qty: str, price: str, profit: Decimal, held: tuple[str, str]) -> None:
        fee = Decimal(qty) * Decimal(price) * RATE
        self.mark(symbol, price)
        self.order(symbol=symbol, side=side, z=qty, ap=price, fee=str(fee), rp=str(profit))
        self.wallet += profit - fee
        self.account(str(self.wallet), (symbol, LONG, *held))

    def mark(self, symbol: str, price: str) -> None:
        """Tell a mark."""
        self.tell(Marks(marks=(Mark(symbol=symbol, price=Decimal(price), event_ms=self.ms),)))

    def round(self) -> None:
        """Ask the exchange about everything."""
        asked_us = self.us
        self.pass_s(1)
        self.balance(str(self.wallet))
        self.positions()
        self.fills()
        self.income(*self.rows)
        self.rows.clear()
        self.audit_done(asked_us=asked_us)

    def adopted(self, wallet: str, why: str) -> None:
        """Accept what the exchange states."""
        self.wallet = Decimal(wallet)
        self.tell(
            BaselineTaken(
                baseline_id="b2",
                taken_ms=self.ms,
                wallet=self.wallet,
                positions=(),
                orders=(),
                adopted_by=1000,
                why=why,
            )
        )

    async def kept(self, folder: Path, *, sealed: bool = True) -> None:
        """Write the journal."""
        await journaled(folder, self.events, batch=4, checkpoint_events=16, sealed=sealed)


def some_days() -> Booked:
    """Tell four days: trades, a deposit, funding, an outage, money that nobody explains for a while, a hostile name."""
    story = Booked()
    story.round()
    story.trade(BTC, "0.5", "28000", "28100")
    story.moved("250.25", "DEPOSIT")
    story.pass_s(DAY_S)
    story.round()
    story.trade(ETH, "3", "1800", "1790")
    story.moved("-1.25", "FUNDING_FEE", symbol=BTC)
    story.pass_s(DAY_S)
    story.tell(StreamChanged(state=StreamState.LOST, detail="cut", at_ms=None))
    story.pass_s(60)
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    story.round()
    story.wallet -= 5  # a fee of the exchange's own that no push tells
    story.balance(str(story.wallet))
    story.pass_s(60)
    for _ in range(3):
        story.round()
        story.pass_s(30)
    story.rows.append(story.income_row("77", "SYSTEM_DEDUCTION", "-5", at_ms=story.ms - 60_000))
    story.round()
    story.pass_s(3)
    story.round()
    story.trade(HOSTILE, "10", "5", "6")
    story.pass_s(DAY_S)
    story.round()
    story.trade(BTC, "0.1", "29000", "29500")
    story.round()
    return story


def untold() -> Booked:
    """Tell a fill whose fee and profit nobody has told yet."""
    story = Booked()
    story.round()
    story.trade(BTC, "0.5", "28000", "28100")
    story.order(symbol=ETH, z="1", ap="1800", fee=None, rp=None)
    story.failed(Question.FILLS)
    return story
