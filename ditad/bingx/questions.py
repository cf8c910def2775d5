"""Asking the audit's questions to the end: every page, every half, one report or an error.

What enters: questions with their symbols and spans. What leaves: reports of `ditad.events` with the bytes they were
made of.
What holds: a report is made of complete answers only; a page that fails, or a row that cannot be read, fails the
question (`VenueError`, `Refusal`); null, which may also be a cut answer, is believed when it is said twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ditad.bingx import rows, spans
from ditad.bingx.options import FeedOptions
from ditad.bingx.rest import Answer, Rest
from ditad.bingx.spans import Source, Span
from ditad.errors import Refusal, VenueError
from ditad.events import (
    BalanceReport,
    BalanceRow,
    FillRow,
    FillsReport,
    IncomeReport,
    OrderNeed,
    OrderRow,
    OrdersReport,
    PositionsReport,
    Question,
)

VOID_MAX = 3
NAMELESS_MAX = 3
FACT_PATHS = frozenset(
    {
        "/swap/v2/trade/fillHistory",
        "/swap/v2/trade/allFillOrders",
        "/swap/v2/trade/allOrders",
        "/swap/v2/trade/forceOrders",
        "/swap/v2/user/income",
    }
)
RAW_JOINT = b"\n"
Row = TypeVar("Row")


@dataclass(slots=True)
class _Pages:
    """The answers that one report is made of; bounded by `pages_max`."""

    pages_max: int
    answers: list[Answer] = field(default_factory=list)

    def add(self, answer: Answer) -> Answer:
        if len(self.answers) >= self.pages_max:
            raise VenueError(f"more than {self.pages_max} pages (pages_max); the question is given up.")
        self.answers.append(answer)
        return answer

    @property
    def raw(self) -> bytes:
        return RAW_JOINT.join(answer.raw for answer in self.answers)


class Asker:
    """Asks for one account. `touched` counts the pushes that touched the wallet and the positions, respectively."""

    def __init__(self, *, rest: Rest, options: FeedOptions, touched: Callable[[], tuple[int, int]]) -> None:
        self._rest = rest
        self._options = options
        self._touched = touched
        self._null_is_nothing: dict[str, bool] = {}

    async def balance(self) -> tuple[BalanceReport, bytes]:
        """Ask for the wallet; an answer during which a push touched it is void and asked again."""
        for _ in range(VOID_MAX):
            before = self._touched()[0]
            report, raw = await self.balance_once()
            if self._touched()[0] == before:
                return report, raw
        raise VenueError("balance: void, pushes kept arriving while it was asked.", retryable=True)

    async def balance_once(self) -> tuple[BalanceReport, bytes]:
        """Ask for the wallet: v2 with 8 decimals where it answers for the margin asset, else v3 with 4."""
        exact = await self.balance_exact()
        return exact if exact is not None else await self.balance_rounded()

    async def balance_exact(self) -> tuple[BalanceReport, bytes] | None:
        """Ask for the wallet with 8 decimals; `None` where that answer does not name the margin asset.

        An answer that names none at all, `data: null` above all, says nothing and is asked for again.
        """
        for _ in range(NAMELESS_MAX):
            answer = await self._rest.get("/swap/v2/user/balance", {}, what="balance")
            found = rows.balance_rows(answer.data)
            if found:
                return _balance_report(answer, found) if self._is_named(found) else None
        return None

    async def balance_rounded(self) -> tuple[BalanceReport, bytes]:
        """Ask for the wallet with 4 decimals; raises `Refusal` where it is not named."""
        answer = await self._rest.get("/swap/v3/user/balance", {}, what="balance")
        found = rows.balance_rows(answer.data)
        if not self._is_named(found):
            raise Refusal(f"balance: no row for {self._options.margin_asset}; check margin_asset")
        return _balance_report(answer, found)

    async def positions(self) -> tuple[PositionsReport, bytes]:
        """Ask for the open positions; an answer during which a push touched one is void and asked again."""
        for _ in range(VOID_MAX):
            before = self._touched()[1]
            report, raw = await self.positions_once()
            if self._touched()[1] == before:
                return report, raw
        raise VenueError("positions: void, pushes kept arriving while they were asked.", retryable=True)

    async def positions_once(self) -> tuple[PositionsReport, bytes]:
        """Ask for the open positions."""
        answer = await self._list("/swap/v2/user/positions", {}, "positions")
        found = rows.position_rows(answer.data)
        return PositionsReport(asked_us=answer.asked_us, asked_ms=answer.asked_ms, rows=found), answer.raw

    async def fills(self, symbol: str, from_ms: int, order_id: str | None = None) -> tuple[FillsReport, bytes]:
        """Ask for all executions of a symbol, or of one order of it, from a moment to now."""
        pages = self._pages()
        asked_us, asked_ms = self._rest.now()
        pieces = spans.fill_spans(min(from_ms, asked_ms - 1), asked_ms)
        found: list[FillRow] = []
        for source, span in pieces:
            if source is Source.HISTORY:
                found += await self._history(pages, span, symbol, order_id)
            else:
                found += await self._old_fills(pages, span, symbol, order_id)
        report = FillsReport(
            symbol=symbol,
            order_id=order_id,
            from_ms=pieces[0][1].from_ms,
            to_ms=asked_ms,
            asked_us=asked_us,
            asked_ms=asked_ms,
            rows=spans.complete_fills(found),
        )
        return report, pages.raw

    async def order(self, need: OrderNeed) -> tuple[OrdersReport, bytes]:
        """Ask for one order."""
        answer = await self._rest.get(
            "/swap/v2/trade/order", {"symbol": need.symbol, "orderId": need.order_id}, what="order"
        )
        found = rows.order_rows(answer.data)
        if [row.order_id for row in found] != [need.order_id]:
            raise Refusal("order: the answer is not about the order asked for")
        return _orders_report(Question.ORDER, need.symbol, answer.asked_us, answer.asked_ms, found), answer.raw

    async def open_orders(self) -> tuple[OrdersReport, bytes]:
        """Ask for all open orders."""
        answer = await self._list("/swap/v2/trade/openOrders", {}, "open orders")
        found = spans.complete_orders(rows.order_rows(answer.data))
        return _orders_report(Question.OPEN_ORDERS, None, answer.asked_us, answer.asked_ms, found), answer.raw

    async def orders_since(self, from_ms: int) -> tuple[OrdersReport, bytes]:
        """Ask for the orders of all symbols that were created from a moment to now."""
        pages = self._pages()
        asked_us, asked_ms = self._rest.now()
        found: list[OrderRow] = []
        for span in spans.order_spans(min(from_ms, asked_ms - 1), asked_ms):
            found += await self._halved(pages, span, "/swap/v2/trade/allOrders", {}, spans.ORDERS_ROWS_MAX, _orders)
        report = _orders_report(Question.ORDERS, None, asked_us, asked_ms, spans.complete_orders(found))
        return report, pages.raw

    async def forced_orders(self, from_ms: int) -> tuple[OrdersReport, bytes]:
        """Ask for the automatic closes of both kinds from a moment to now."""
        pages = self._pages()
        asked_us, asked_ms = self._rest.now()
        found: list[OrderRow] = []
        for kind in rows.FORCED_KINDS:
            for span in spans.order_spans(min(from_ms, asked_ms - 1), asked_ms):
                found += await self._halved(
                    pages,
                    span,
                    "/swap/v2/trade/forceOrders",
                    {"autoCloseType": kind},
                    spans.FORCED_ROWS_MAX,
                    _forced(kind),
                )
        report = _orders_report(Question.FORCED_ORDERS, None, asked_us, asked_ms, spans.complete_orders(found))
        return report, pages.raw

    async def income(self, from_ms: int) -> tuple[IncomeReport, bytes]:
        """Ask for all income from a moment to now; null on the demo means that none is kept."""
        pages = self._pages()
        asked_us, asked_ms = self._rest.now()
        span = spans.income_span(min(from_ms, asked_ms - 1), asked_ms)
        found = await self._halved(
            pages,
            span,
            "/swap/v2/user/income",
            {},
            self._options.page_rows_max,
            rows.income_rows,
            limit_max=spans.INCOME_ROWS_MAX,
        )
        nothing = all(answer.data is None for answer in pages.answers)
        report = IncomeReport(
            from_ms=span.from_ms,
            to_ms=asked_ms,
            asked_us=asked_us,
            asked_ms=asked_ms,
            available=self._options.income_kept or not nothing,
            rows=spans.complete_income(found),
        )
        return report, pages.raw

    # ---- one way of collecting each ----

    def _pages(self) -> _Pages:
        return _Pages(pages_max=self._options.pages_max)

    async def _list(self, path: str, parameters: Mapping[str, str], what: str) -> Answer:
        """Ask for a list; null is believed when it is said twice.

        Where an exchange has said so of a path, and never in another form, null is its way to say that there is
        nothing. Of facts it is then believed at once: statements tell where one is missing, and no asking twice for
        each symbol makes a round longer than a difference may wait.
        """
        answer = await self._rest.get(path, parameters, what=what)
        if answer.data is None and not (path in FACT_PATHS and self._null_is_nothing.get(path, False)):
            answer = await self._rest.get(path, parameters, what=what)
            if answer.data is None:
                self._null_is_nothing.setdefault(path, True)
        if answer.data is not None and _is_nothing(answer.data):
            self._null_is_nothing[path] = False
        return answer

    def _is_named(self, found: Iterable[BalanceRow]) -> bool:
        return self._options.margin_asset in {row.asset for row in found}

    async def _history(self, pages: _Pages, span: Span, symbol: str, order_id: str | None) -> list[FillRow]:
        """Ask `fillHistory`: one page where that is enough, else the past in pages and the last moments in one.

        A new execution shifts the pages that it is in, and where rows have no ids nobody could tell; so pages are
        turned in what is past only.
        """
        size = self._options.page_rows_max
        fresh, total = await self._history_page(pages, span, symbol, order_id, page=1, size=size)
        if _page_after(1, fresh, size, fresh, total) is None:
            return self._held(fresh, span, symbol, order_id)
        past, last = span.cut_last()
        turned = [] if past is None else await self._turn(pages, past, symbol, order_id, size=size)
        return turned + await self._turn(pages, last, symbol, order_id, size=spans.HISTORY_ROWS_MAX)

    async def _turn(self, pages: _Pages, span: Span, symbol: str, order_id: str | None, *, size: int) -> list[FillRow]:
        """Turn the pages of a span to its end."""
        found: list[FillRow] = []
        page: int | None = 1
        while page is not None:
            fresh, total = await self._history_page(pages, span, symbol, order_id, page=page, size=size)
            found += fresh
            page = _page_after(page, fresh, size, found, total)
        return self._held(found, span, symbol, order_id)

    async def _history_page(
        self, pages: _Pages, span: Span, symbol: str, order_id: str | None, *, page: int, size: int
    ) -> tuple[tuple[FillRow, ...], int | None]:
        """Ask for a page of `fillHistory`: its rows, and how many there are in all where that is told."""
        parameters = {
            "symbol": symbol,
            "startTs": str(span.asked_from_ms),
            "endTs": str(span.asked_to_ms),
            "pageIndex": str(page),
            "pageSize": str(size),
        }
        if order_id is not None:
            parameters["orderId"] = order_id
        answer = pages.add(await self._list("/swap/v2/trade/fillHistory", parameters, "fills"))
        total = None if order_id is not None else rows.total_of(answer.data)
        return rows.fill_rows(answer.data), total

    @staticmethod
    def _held(found: Iterable[FillRow], span: Span, symbol: str, order_id: str | None) -> list[FillRow]:
        return [row for row in found if span.holds(row.at_ms) and _of(row, symbol, order_id)]

    async def _old_fills(self, pages: _Pages, span: Span, symbol: str, order_id: str | None) -> list[FillRow]:
        parameters = {"symbol": symbol, "tradingUnit": "COIN"}
        if order_id is not None:
            parameters["orderId"] = order_id
        found = await self._halved(
            pages,
            span,
            "/swap/v2/trade/allFillOrders",
            parameters,
            spans.OLD_ROWS_MAX,
            rows.fill_rows,
            names=("startTs", "endTs"),
            at_ms=_fill_at_ms,
        )
        return [row for row in found if _of(row, symbol, order_id)]

    async def _halved(
        self,
        pages: _Pages,
        span: Span,
        path: str,
        parameters: Mapping[str, str],
        limit: int,
        read: Callable[[object], tuple[Row, ...]],
        *,
        limit_max: int = 0,
        names: tuple[str, str] = ("startTime", "endTime"),
        at_ms: Callable[[Row], int] | None = None,
    ) -> list[Row]:
        """Ask for a span, and for its halves where the answer is as long as its limit; always both bounds.

        A piece that cannot be halved is asked for with `limit_max`, where that is more.
        With `at_ms` the rows are executions, whose own time says which half they belong to, and whose answer has a
        limit of its own.
        """
        pending = [span]
        found: list[Row] = []
        while pending:
            piece = pending.pop()
            edges = (piece.from_ms, piece.to_ms) if at_ms is None else (piece.asked_from_ms, piece.asked_to_ms)
            bounds = {names[0]: str(edges[0]), names[1]: str(edges[1])}
            if at_ms is None:
                bounds["limit"] = str(limit)
            answer = pages.add(await self._list(path, {**parameters, **bounds}, path.rsplit("/", 1)[1]))
            fresh = read(answer.data)
            if len(fresh) >= limit:
                halves = piece.halves()
                if halves is not None:
                    pending += reversed(halves)
                elif limit < limit_max:
                    limit = limit_max  # one second may hold more than a short page
                    pending.append(piece)
                else:
                    raise VenueError(f"{path}: {limit} rows and more within a second or two.")
            else:
                found += fresh if at_ms is None else [row for row in fresh if piece.holds(at_ms(row))]
        return found


def _page_after(
    page: int, fresh: Sequence[FillRow], size: int, found: Sequence[FillRow], total: int | None
) -> int | None:
    """Give the next page; raises `VenueError` where the answer cannot be complete."""
    try:
        return spans.next_page(page, len(fresh), size, len(found), total)
    except ValueError as error:
        raise VenueError(f"fills: {error}.", retryable=True) from error


def _is_nothing(data: object) -> bool:
    """Say whether an answer is an empty list, an empty object, or one in which nothing is."""
    return not (any(data.values()) if isinstance(data, Mapping) else data)


def _balance_report(answer: Answer, found: tuple[BalanceRow, ...]) -> tuple[BalanceReport, bytes]:
    return BalanceReport(asked_us=answer.asked_us, asked_ms=answer.asked_ms, rows=found), answer.raw


def _fill_at_ms(row: FillRow) -> int:
    return row.at_ms


def _of(row: FillRow, symbol: str, order_id: str | None) -> bool:
    return row.symbol == symbol and order_id in {None, row.order_id}


def _orders(data: object) -> tuple[OrderRow, ...]:
    return rows.order_rows(data)


def _forced(kind: str) -> Callable[[object], tuple[OrderRow, ...]]:
    def read(data: object) -> tuple[OrderRow, ...]:
        return rows.order_rows(data, kind)

    return read


def _orders_report(
    question: Question, symbol: str | None, asked_us: int, asked_ms: int, found: Iterable[OrderRow]
) -> OrdersReport:
    return OrdersReport(question=question, symbol=symbol, asked_us=asked_us, asked_ms=asked_ms, rows=tuple(found))
