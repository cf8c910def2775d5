"""What leaves the border must be foldable: stories with bent frames and answers in them, folded to their end.

What enters: a tale of the simulated exchange, a piece of it, some of it bent, dropped, doubled or out of order.
What holds: what the border accepts, the fold takes without an exception, records and snapshots are JSON, the state
survives its checkpoint, needs and deadlines can be told at every moment.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any, Final

import orjson

from ditad import codec
from ditad.bingx import answer, conditions, rows, spans
from ditad.bingx.answer import Answered
from ditad.bingx.intake import read_market, read_private
from ditad.bingx.normalize import ConfigFilter
from ditad.errors import Refusal, VenueError
from ditad.events import (
    AuditDone,
    BalanceReport,
    BaselineTaken,
    Body,
    Contract,
    CoveredOrder,
    Event,
    FillsReport,
    IncomeReport,
    Marks,
    OrderRecalled,
    OrdersReport,
    PositionsReport,
    Question,
    QuestionFailed,
    StreamChanged,
    StreamState,
    Terms,
    Tick,
)
from ditad.pipeline import orders_of
from ditad.projection import Projection
from tests.fuzz.mutation import bend, decimal_text, places_of, written
from tests.fuzz.seeds import MARKET_FRAMES, STORIES, SYMBOLS, answers, tale
from tests.fuzz.trying import Group, Outcome, Target
from tests.support.story import ALL_QUESTIONS, settings

SIZE_MAX = 64 * 1024
STEPS_MAX: Final = 40

Step = tuple[int, int, str, bytes]
"""When it was heard (`_us`), when it was asked on the exchange's clock (`_ms`), what it is, and its text."""

TIMES: Final = frozenset({"E", "T", "time", "updateTime", "filledTime", "filledTm"})
IDS: Final = frozenset({"i", "td", "orderId", "tradeId", "tranId"})
SYMBOL_KEYS: Final = frozenset({"s", "symbol"})
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "S": ("BUY", "SELL"),
    "side": ("BUY", "SELL"),
    "ps": ("LONG", "SHORT", "BOTH"),
    "positionSide": ("LONG", "SHORT", "BOTH"),
    "X": ("NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED", "Unknown"),
    "status": ("NEW", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED", "odd"),
    "e": ("TRADE_UPDATE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"),
    "m": ("ORDER", "FUNDING_FEE", "DEPOSIT", "WITHDRAW", "ASSET_TRANSFER", "ODD"),
    "o": ("MARKET", "LIMIT", "LIQUIDATION", "ADL"),
    "type": ("MARKET", "LIMIT", "LIQUIDATION", "ADL"),
    "incomeType": ("REALIZED_PNL", "TRADING_FEE", "FUNDING_FEE", "INSURANCE_CLEAR", "ADL", "TRANSFER", "ODD"),
    "a": ("USDT", "VST", "BTC"),
    "asset": ("USDT", "VST", "BTC"),
    "N": ("USDT", "BNB"),
}
AMOUNTS: Final = (
    *("0", "0.00000000", "1", "-1", "0.1", "0.0001", "999999999999999", "-999999999999999", "0.000000000000000001"),
    *("-0.000000000000000001", "999999999999999.999999999999", "1234567890.123456789012345678", "1e14", "1e-18", ""),
    *("99999999999999.99999999999999", "31622776.6", "1000000000", "0.3333333333333333"),
)
EXTRAS: Final[tuple[Body, ...]] = (
    *(StreamChanged(state=state, detail="fuzz", at_ms=None) for state in StreamState),
    *(
        QuestionFailed(question=question, subject="", reason="fuzz", unavailable=lost, asked_us=1)
        for question in Question
        for lost in (True, False)
    ),
)


def plausible(value: Any, rng: Random) -> Any:
    """Change one leaf of a body to something that the border is likely to accept."""
    places = [place for place in places_of(value) if not isinstance(place[0][place[1]], dict | list)]
    if not places:
        return value
    holder, key = rng.choice(places)
    old = holder[key]
    if key in TIMES:
        holder[key] = _moved(old, rng)
    elif key in IDS:
        holder[key] = rng.choice((*_ids(value), 1, 0, int("9" * 31), str(rng.randrange(1, 10**19)), None))
    elif key in SYMBOL_KEYS:
        holder[key] = rng.choice((*SYMBOLS, "ODD-USDT", "É-\x00", ""))
    elif key in WORDS:
        holder[key] = rng.choice(WORDS[key])
    else:
        holder[key] = _amount(old, rng)
    return value


def _ids(value: Any) -> list[Any]:
    return [holder[key] for holder, key in places_of(value) if key in IDS]


def _moved(old: Any, rng: Random) -> Any:
    if not isinstance(old, int):
        return rng.choice(
            (1, 99_999_999_999_999, "1970-01-01T08:00:00.001+08:00", "5138-11-16T00:00:00.000+08:00", old)
        )
    shift = rng.choice((1, 999, 1_000, 60_000, 120_000, 86_400_000, 10**10))
    return rng.choice((old + shift, old - shift, old // 1_000 * 1_000, 0, 1, 99_999_999_999_999, None))


def _amount(old: Any, rng: Random) -> Any:
    kind = rng.randrange(5)
    if kind == 4:  # inside the bounds of money, with all the digits that it may have
        places = rng.randrange(19)
        return str(Decimal(rng.randrange(10 ** rng.randrange(1, min(28, 15 + places) + 1))).scaleb(-places))
    if kind == 0:
        return rng.choice(AMOUNTS)
    if kind == 1:
        return decimal_text(rng)
    with suppress(ArithmeticError, ValueError, TypeError):
        factor = Decimal(rng.choice(("-1", "10", "0.1", "2", "0.5", "1.00000001", "3", "0.9999", "1000000")))
        return str(Decimal(str(old)) * factor)
    return rng.choice((None, "", old))


def make(rng: Random) -> tuple[int, tuple[Step, ...]]:
    """Draw a piece of a tale with some of it bent."""
    number = rng.randrange(STORIES)
    told = tale(number)
    length = rng.randrange(1, STEPS_MAX)
    begin = max(0, rng.randrange(-10, len(told.said)))
    steps: list[Step] = []
    late_us = 0
    for said in told.said[begin : begin + length]:
        late_us += rng.choice((0, 0, 0, 0, 1_000, 3_000_000, 200_000_000))
        at_us = (said.at_ms + 1) * 1_000 + late_us
        steps += _bent((at_us, said.at_ms + late_us // 1_000, said.kind, said.text), rng)
    if rng.random() < 0.3:
        for _ in range(rng.randrange(1, 4)):
            first = rng.randrange(len(steps) or 1)
            steps[first : first + 4] = rng.sample(steps[first : first + 4], len(steps[first : first + 4]))
    return number, tuple(steps)


def _bent(step: Step, rng: Random) -> list[Step]:
    """Give what becomes of a step: mostly itself, else bent, dropped, doubled, or with something odd behind it."""
    at_us, asked_ms, kind, text = step
    fate = rng.random()
    if fate < 0.5 or text == b"Ping":
        return [step]
    if fate < 0.54:
        return []
    if fate < 0.60:
        return [step, step]
    if fate < 0.64:
        return [step, (at_us, asked_ms, "extra", str(rng.randrange(len(EXTRAS))).encode())]
    if fate < 0.67:
        mark = plausible(plausible(plausible(orjson.loads(MARKET_FRAMES[0]), rng), rng), rng)
        return [step, (at_us, asked_ms, "market", written(mark).encode("utf-8", "surrogatepass"))]
    if fate < 0.69:
        other = rng.choice(("contracts", "rates", "open_orders", "order", "old_fills", "modes"))
        found = orjson.loads(rng.choice(answers()[other]))
        return [step, (at_us, asked_ms, other, written(plausible(found, rng)).encode("utf-8", "surrogatepass"))]
    body = orjson.loads(text)
    for _ in range(rng.choice((1, 1, 2, 5, 12))):
        body = plausible(body, rng)
    if rng.random() < 0.1:
        body = bend(body, rng, spare=frozenset({"code", "data"}))
    if kind != "frame" and rng.random() < 0.05:
        asked_ms = rng.choice((1, 10**13, 99_999_999_999_999, asked_ms - 10**9, asked_ms + 10**9))
    if kind in {"positions", "balance"} and rng.random() < 0.1:
        kind = f"adopt:{kind}"
    return [(at_us, asked_ms, kind, written(body).encode("utf-8", "surrogatepass"))]


@cache
def _beginning(number: int) -> bytes:
    """Give the state of an account that stands before a tale."""
    told = tale(number)
    projection = Projection("main")
    us = told.start_ms * 1_000
    partial = ("auto", "per_fill", "cumulative")[number % 3]
    bodies: tuple[Body, ...] = (
        settings(partial_amounts=partial),
        Terms(
            hedge_mode=told.hedge,
            fee_rates=(Decimal("0.0002"), Decimal("0.0005")),
            contracts=tuple(Contract(symbol=name, tick=Decimal("0.1"), lot=Decimal("0.0001")) for name in SYMBOLS[:2]),
            leverages=(),
            notes=(),
        ),
        StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None),
        _baseline(told.start_ms, Decimal(told.wallet)),
    )
    for n, body in enumerate(bodies, 1):
        projection.fold(Event(n=n, at_us=us, heard_us=us, body=body))
    return projection.checkpoint()


def _baseline(taken_ms: int, wallet: Decimal, **changes: Any) -> BaselineTaken:
    values = {"positions": (), "orders": (), "adopted_by": None, "why": None, **changes}
    return BaselineTaken(baseline_id="b1", taken_ms=taken_ms, wallet=wallet, **values)


class Ledger:
    """A projection with what the pipeline keeps beside it: numbers, decisions, archived orders."""

    def __init__(self, number: int) -> None:
        """Begin before a tale."""
        self.projection = Projection.restored("main", _beginning(number))
        self.start_ms = tale(number).start_ms
        self.n = self.projection.state.n
        self.us = self.projection.state.at_us
        self.archived: dict[str, bytes] = {}
        self.config = ConfigFilter()

    def tell(self, body: Body, at_us: int) -> None:
        """Fold a body behind the orders that it recalls, then the decisions that it led to."""
        again = codec.decode(type(body), codec.encode(body))
        assert again == body, "a body comes back from the codec as it was"
        for order_id in dict.fromkeys(orders_of(body)):
            if self.projection.may_be_archived(order_id) and order_id in self.archived:
                self._fold(OrderRecalled(order_id=order_id, record=self.archived[order_id].decode()), at_us)
        self._fold(again, at_us)

    def _fold(self, body: Body, at_us: int) -> None:
        pending: list[Body] = [body]
        while pending:
            self.us = max(self.us + 1, at_us)
            self.n += 1
            folded = self.projection.fold(Event(n=self.n, at_us=self.us, heard_us=self.us, body=pending.pop(0)))
            for record in folded.records:
                orjson.loads(record.line)
            self.archived.update(folded.archived)
            pending += folded.decisions
            assert len(pending) < 100, "decisions come to an end"
        self.projection.needs()
        self.projection.valid_until_us(self.us)

    def notice(self, at_us: int) -> None:
        """Let time pass up to a moment, with a tick where the fold waits for one."""
        due = self.projection.deadline_us()
        if due is not None and due <= at_us:
            self.tell(Tick(due_us=due), due)

    def survives_its_checkpoint(self) -> None:
        """Write the state, read it back, write it again."""
        state = self.projection.checkpoint()
        self.projection = Projection.restored("main", state)
        assert self.projection.checkpoint() == state, "a state comes back from its checkpoint as it was"


def attempt(given: tuple[int, tuple[Step, ...]]) -> Outcome:
    """Tell a story to the border, and what it accepts to the fold."""
    number, steps = given
    ledger = Ledger(number)
    accepted = 0
    for place, (at_us, asked_ms, kind, text) in enumerate(steps, 1):
        ledger.notice(at_us)
        bodies = bodies_of(kind, text, at_us, asked_ms, ledger)
        for body in bodies:
            ledger.tell(body, at_us)
        accepted += bool(bodies)
        if place == len(steps) // 2:
            ledger.survives_its_checkpoint()
    ledger.notice(ledger.us + 10**12)
    ledger.survives_its_checkpoint()
    return Outcome(inputs=max(1, len(steps)), accepted=accepted)


def bodies_of(kind: str, text: bytes, at_us: int, asked_ms: int, ledger: Ledger) -> list[Body]:
    """Read a step as the border does."""
    if kind == "frame":
        return list(read_private(text, ledger.config, SIZE_MAX).bodies)
    if kind == "market":
        understood = read_market(text, SIZE_MAX)
        marks: list[Body] = [Marks(marks=understood.marks)] if understood.marks else []
        return [*understood.bodies, *marks]
    if kind == "extra":
        return [EXTRAS[int(text)]]
    adopt, _, question = kind.rpartition(":")
    try:
        data = answer.data_of(Answered(status=200, body=text, at_ms=asked_ms), question)
        return (
            _adopted(question, data, asked_ms, ledger) if adopt else _reports(question, data, at_us, asked_ms, ledger)
        )
    except (Refusal, VenueError):
        return []


def _adopted(kind: str, data: object, asked_ms: int, ledger: Ledger) -> list[Body]:
    """Take what was read for a new baseline that somebody adopts, the known orders covered."""
    state = ledger.projection.state
    assert state.baseline is not None, "a ledger begins with one"
    wallet, positions = state.baseline.wallet, rows.position_rows(data) if kind == "positions" else ()
    if kind == "balance":
        wallet = next((row.wallet for row in rows.balance_rows(data)), wallet)
    covered = tuple(
        CoveredOrder(order_id=order.order_id, symbol=order.symbol, executed=Decimal(1), average_price=Decimal(2))
        for order in list(state.orders.values())[:2]
    )
    return [_baseline(asked_ms, wallet, positions=positions, orders=covered, adopted_by=1000, why="fuzz")]


def _reports(kind: str, data: object, at_us: int, asked_ms: int, ledger: Ledger) -> list[Body]:
    asked: dict[str, Any] = {"asked_us": at_us - 500, "asked_ms": asked_ms}
    span = {"from_ms": min(ledger.start_ms, asked_ms), "to_ms": asked_ms}
    match kind:
        case "balance":
            return [BalanceReport(**asked, rows=rows.balance_rows(data))]
        case "positions":
            return [PositionsReport(**asked, rows=rows.position_rows(data))]
        case "fills" | "old_fills":
            found = spans.complete_fills(rows.fill_rows(data))
            symbols = dict.fromkeys([row.symbol for row in found]) or SYMBOLS
            return [
                FillsReport(
                    **asked, **span, symbol=name, order_id=None, rows=tuple(row for row in found if row.symbol == name)
                )
                for name in symbols
            ]
        case "orders" | "order":
            listed = spans.complete_orders(rows.order_rows(data))
            alone = [
                OrdersReport(**asked, question=Question.ORDER, symbol=row.symbol, rows=(row,)) for row in listed[:3]
            ]
            return [*alone, OrdersReport(**asked, question=Question.ORDERS, symbol=None, rows=listed)]
        case "open_orders" | "forced":
            question = Question.OPEN_ORDERS if kind == "open_orders" else Question.FORCED_ORDERS
            found_orders = spans.complete_orders(rows.order_rows(data, None if kind == "open_orders" else "ADL"))
            return [OrdersReport(**asked, question=question, symbol=None, rows=found_orders)]
        case "income":
            income = spans.complete_income(rows.income_rows(data))
            report = IncomeReport(**asked, **span, available=data is not None, rows=income)
            return [report, AuditDone(**asked, cause="fuzz", questions=ALL_QUESTIONS, failed=())]
        case "contracts":
            return [_terms(contracts=conditions.contracts(data))]
        case "rates":
            return [_terms(fee_rates=conditions.fee_rates(data))]
        case _:
            return [_terms(hedge_mode=conditions.hedge_mode(data))]


def _terms(**changes: Any) -> Terms:
    values: dict[str, Any] = {"hedge_mode": None, "fee_rates": (), "contracts": (), "leverages": (), "notes": ()}
    return Terms(**{**values, **changes})


FOLD = Group(
    name="fold",
    says="what the border accepts, folded in stories",
    targets=(Target(name="story", make=make, attempt=attempt),),
)
