"""Why a figure of a snapshot is what it is: the entries that make it, with the arithmetic that joins them.

What enters: the fold's state and findings as of a snapshot, the snapshot's body, and records of facts, page by page.
What leaves: `Recipe`s, and entries with a running total. What holds: the entries, applied in their order, give the
figure of that snapshot exactly; an amount that nobody told is an entry of `None`, is said, and adds nothing; what is
made of other figures shows them, as they stand in the same snapshot. (interfaces.md §3, `why`)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from ditad.book import Position
from ditad.entries import Column, Entry, Moment, Operation, Recipe
from ditad.events import PositionSide
from ditad.money import ZERO, exact_sum, mul, plain, plain_or_none, ratio, sub
from ditad.records import RecordType, rfc3339, rfc3339_ms
from ditad.snapshot import shown
from ditad.state import Figure, State
from ditad.statements import leverage_of, marks_of
from ditad.turn import capital_raw, owns

K_SUMS: Final = ("realized_pnl", "fees_paid", "funding_paid", "transfers", "other_income", "capital_raw")
K_DERIVED: Final = (
    "capital",
    "book_realized_pnl",
    "unrealized_pnl",
    "open_notional",
    "equity",
    "used_margin",
    "available_margin",
    "open_positions",
    "peak_capital",
    "leverage",
    "trade_seq",
)
E_STATED: Final = ("wallet_balance", "available_margin", "used_margin")
E_LAST: Final = (
    "last_fill_price",
    "last_fill_qty",
    "last_fill_fee",
    "last_fill_realized_pnl",
    "last_funding",
    "maint_margin",
)
PUBLISHED: Final = "published.capital"

# ---- which figures there are ----------------------------------------------------------------------------------------


def fields(moment: Moment) -> list[str]:
    """Name every figure of a snapshot that can be explained."""
    held = [f"{row['symbol']}:{row['side']}" for row in moment.body["k"]["positions"]]
    stated = [f"{row['symbol']}:{row['side']}" for row in moment.body["e"]["positions"]]
    return [
        *K_SUMS,
        *K_DERIVED,
        *(f"{name}:{key}" for key in held for name in ("position", "entry_price")),
        *(f"e.{name}" for name in (*E_STATED, "realized_pnl", *E_LAST)),
        *(f"e.position:{key}" for key in stated),
        *(f"deltas.{name}" for name in moment.body["reconcile"]["deltas"]),
        PUBLISHED,
    ]


def recipe_of(moment: Moment, name: str) -> Recipe | None:
    """Say how a figure is made; `None` where the snapshot has no such figure.

    Names are those of `fields`; `k.` before a name of K may be said, and what only `deltas` has needs no prefix.
    """
    bare = name.removeprefix("reconcile.")
    deltas = moment.body["reconcile"]["deltas"]
    if bare.startswith("deltas."):
        return _delta(moment, bare.removeprefix("deltas.")) if bare.removeprefix("deltas.") in deltas else None
    if bare == PUBLISHED:
        return _published(moment)
    if bare.startswith("e."):
        return _of_e(moment, bare.removeprefix("e."))
    own = _of_k(moment, bare.removeprefix("k."))
    return own if own is not None or bare not in deltas else _delta(moment, bare)


# ---- K --------------------------------------------------------------------------------------------------------------


def _of_k(moment: Moment, name: str) -> Recipe | None:
    kind, _, key = name.partition(":")
    if key and kind == "position":
        return _position(moment, name, key)
    if key and kind == "entry_price":
        return _entry_price(moment, name, key)
    if name in K_SUMS:
        return _sum(moment, name)
    maker = _DERIVED.get(name)
    if maker is None:
        return None
    recipe = maker(moment, name)
    return recipe if moment.state.baseline is not None else Recipe(field=name, value=recipe.value, note=NO_BASELINE)


NO_BASELINE: Final = "there is no baseline yet, so there is no ledger"


def _shown_of(moment: Moment, name: str) -> str | None:
    value = moment.body["k"][name]
    return value if value is None else str(value)


def _sum(moment: Moment, name: str) -> Recipe:
    """Σ of facts since the baseline, behind the seed where it is the capital."""
    state = moment.state
    value = _shown_of(moment, name)
    if state.baseline is None:
        return Recipe(field=name, value=value, note=NO_BASELINE)
    told = {"baseline": state.baseline.baseline_id}
    seed = state.seed if name == "capital_raw" else ZERO
    what = "seed" if name == "capital_raw" else "opening"
    opening = Entry(operation=Operation.ADD, amount=seed, what=what, at=rfc3339_ms(state.baseline.taken_ms), told=told)
    slack = moment.body["k"]["precision"].get(name)
    note = None if slack is None else f"rounded sources leave {slack} of it open"
    return Recipe(field=name, value=value, opening=(opening,), column=_COLUMNS[name](state), note=note)


def _fill(name: str) -> Callable[[State], Column]:
    """Make the column of one amount of fills."""
    attribute = {"fee": "fees", "realized_pnl": "realized_pnl"}[name]

    def column(state: State) -> Column:
        def entry_of(_: RecordType, body: Mapping[str, Any]) -> Entry | None:
            return _fact(body, _decimal(body[name])) if owns(state, body["symbol"]) else None

        return Column(
            kinds=(RecordType.FILL,),
            entry_of=entry_of,
            sum_of=lambda then: Decimal(getattr(then.sums, attribute)),
            whole=not state.other_assets,
        )

    return column


def _income(kind: str, attribute: str) -> Callable[[State], Column]:
    """Make the column of one kind of income."""

    def entry_of(_: RecordType, body: Mapping[str, Any]) -> Entry | None:
        return _fact(body, _decimal(body["amount"])) if body["kind"] == kind else None

    def column(_: State) -> Column:
        return Column(
            kinds=(RecordType.INCOME,),
            entry_of=entry_of,
            sum_of=lambda then: Decimal(getattr(then.sums, attribute)),
            whole=False,
        )

    return column


def _everything(state: State) -> Column:
    """Make the column of all that moves the capital: of a fill its profit less its fee, of funding what was not paid."""

    def entry_of(kind: RecordType, body: Mapping[str, Any]) -> Entry | None:
        if kind is RecordType.INCOME:
            amount = _decimal(body["amount"])
            return _fact(body, -amount if amount is not None and body["kind"] == "funding" else amount)
        if not owns(state, body["symbol"]):
            return None
        parts = {name: _decimal(body[name]) for name in ("realized_pnl", "fee")}
        unknown = [name for name, part in parts.items() if part is None]
        amount = None if len(unknown) == len(parts) else sub(parts["realized_pnl"] or ZERO, parts["fee"] or ZERO)
        return _fact(body, amount, {name: body[name] for name in parts}, unknown)

    return Column(
        kinds=(RecordType.FILL, RecordType.INCOME),
        entry_of=entry_of,
        sum_of=lambda then: sub(capital_raw(then), then.seed),
        whole=not state.other_assets,
    )


_COLUMNS: Final[dict[str, Callable[[State], Column]]] = {
    "realized_pnl": _fill("realized_pnl"),
    "fees_paid": _fill("fee"),
    "funding_paid": _income("funding", "funding"),
    "transfers": _income("transfer", "transfers"),
    "other_income": _income("other", "other_income"),
    "capital_raw": _everything,
}


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _fact(
    body: Mapping[str, Any],
    amount: Decimal | None,
    terms: Mapping[str, object] | None = None,
    unknown: Iterable[str] = (),
) -> Entry:
    """Make an entry of a fact; whoever reads its record adds the `seq`."""
    names = ("order_id", "z0", "z1", "side", "position_side") if "order_id" in body else ("kind", "name", "tran_id")
    told: dict[str, object] = {"symbol": body["symbol"], **{name: body.get(name) for name in names}, **(terms or {})}
    untold = list(unknown) or (["amount"] if amount is None else [])
    if untold:
        told["unknown"] = untold
    what = "fill" if "order_id" in body else "income"
    return Entry(operation=Operation.ADD, amount=amount, what=what, at=body["at"], told=told)


def _term(
    what: str,
    amount: Decimal | None,
    operation: Operation = Operation.ADD,
    told: Mapping[str, object] | None = None,
) -> Entry:
    return Entry(operation=operation, amount=amount, what=what, told=told or {})


def _figure(moment: Moment, name: str) -> Decimal | None:
    return _decimal(_shown_of(moment, name))


def _clamped(moment: Moment) -> tuple[Entry, ...]:
    """Give what holds a capital inside the settings' bounds."""
    settings = moment.state.settings
    assert settings is not None, "the journal begins with the settings in force"
    bounds = [_term("min_capital", settings.min_capital, Operation.MAX)]
    if settings.max_capital is not None:
        bounds.append(_term("max_capital", settings.max_capital, Operation.MIN))
    return tuple(bounds)


def _capital(moment: Moment, name: str) -> Recipe:
    terms = (_term("capital_raw", _figure(moment, "capital_raw")), *_clamped(moment))
    return Recipe(field=name, value=_shown_of(moment, name), opening=terms)


def _equity(moment: Moment, name: str) -> Recipe:
    terms = tuple(_term(of, _figure(moment, of)) for of in ("capital", "unrealized_pnl"))
    return Recipe(field=name, value=_shown_of(moment, name), opening=terms)


def _available(moment: Moment, name: str) -> Recipe:
    terms = (
        _term("capital", _figure(moment, "capital")),
        _term("used_margin", _figure(moment, "used_margin"), Operation.SUBTRACT),
        _term("zero", ZERO, Operation.MAX),
    )
    return Recipe(field=name, value=_shown_of(moment, name), opening=terms)


def _leverage(moment: Moment, name: str) -> Recipe:
    notional, capital = _figure(moment, "open_notional"), _figure(moment, "capital")
    terms: tuple[Entry, ...] = (_term("open_notional", notional), _term("capital", capital, Operation.DIVIDE))
    note = None
    if notional is not None and capital is not None and not (notional > 0 and capital > 0):
        terms = (_term("zero", ZERO, told={"open_notional": plain(notional), "capital": plain(capital)}),)
        note = "0 where open_notional or capital is not above 0"
    return Recipe(field=name, value=_shown_of(moment, name), opening=terms, note=note)


def _peak(moment: Moment, name: str) -> Recipe:
    terms = (_term("capital", _figure(moment, name)),)
    note = "the highest capital since the baseline"
    return Recipe(field=name, value=_shown_of(moment, name), opening=terms, note=note, peak=True)


def _by_run(amount_of: Callable[[Position], Decimal], *, rounded: bool) -> Callable[[Moment, str], Recipe]:
    """Make the recipe of what the book adds up position by position; flat ones that add nothing are left out."""

    def make(moment: Moment, name: str) -> Recipe:
        terms, state = [], moment.state
        for key, position in sorted(state.positions.items()):
            amount = amount_of(position)
            if amount:
                run = position.run
                told = {"position": key, "closes": run.closes, "closed_trades": run.closed_trades}
                terms.append(_term("position", amount, told=told))
        if rounded and any(shown(amount_of(position)) != amount_of(position) for position in state.positions.values()):
            terms.append(_term("18 decimals", None, Operation.ROUND))
        return Recipe(field=name, value=_shown_of(moment, name), opening=tuple(terms))

    return make


def _by_position(moment: Moment, name: str) -> Recipe:
    """Make the recipe of a figure that is a sum over K's open positions."""
    state, terms = moment.state, []
    marks = marks_of(state)
    for key, position in sorted(state.positions.items()):
        run = position.run
        if not run.quantity:
            continue
        quantity, mark = abs(run.quantity), marks.get(position.symbol)
        leverage = leverage_of(state, key, run.quantity)
        told: dict[str, object] = {"position": key, "qty": plain(quantity), "mark_price": plain_or_none(mark)}
        amount: Decimal | None = None
        if name == "open_positions":
            amount = Decimal(1)
        elif mark is not None and name == "open_notional":
            amount = mul(quantity, mark)
        elif mark is not None and leverage is not None and name == "used_margin":
            amount = ratio(mul(quantity, mark), leverage)
        elif mark is not None and not run.uncertain and name == "unrealized_pnl":
            value = mul(quantity, mark)
            amount = shown(sub(run.cost, value) if _is_short(position) else sub(value, run.cost))
        if name == "used_margin":
            told["leverage"] = plain_or_none(leverage)
        if name == "unrealized_pnl":
            told |= {"cost": plain(run.cost), "entry_price": plain_or_none(run.entry_price)}
        if amount is None:
            told["unknown"] = ["amount"]
        terms.append(_term("position", amount, told=told))
    return Recipe(field=name, value=_shown_of(moment, name), opening=tuple(terms))


def _is_short(position: Position) -> bool:
    return position.side is PositionSide.SHORT or position.run.quantity < 0


_DERIVED: Final[dict[str, Callable[[Moment, str], Recipe]]] = {
    "capital": _capital,
    "book_realized_pnl": _by_run(lambda position: position.run.realized, rounded=True),
    "unrealized_pnl": _by_position,
    "open_notional": _by_position,
    "equity": _equity,
    "used_margin": _by_position,
    "available_margin": _available,
    "open_positions": _by_position,
    "peak_capital": _peak,
    "leverage": _leverage,
    "trade_seq": _by_run(lambda position: Decimal(position.run.closed_trades), rounded=False),
}


def _found(state: State, key: str) -> tuple[str, Position, int] | None:
    """Find the position that is shown as SYMBOL:SIDE, and the sign that makes its quantity that side's."""
    symbol, _, side = key.rpartition(":")
    both = f"{symbol}:{PositionSide.BOTH}"
    if state.one_way and side in {"LONG", "SHORT"} and both in state.positions:
        return both, state.positions[both], -1 if side == "SHORT" else 1
    return (key, state.positions[key], 1) if key in state.positions and side != "BOTH" else None


def _position(moment: Moment, name: str, key: str) -> Recipe | None:
    """Σ of signed fills behind what the baseline states, less closes that wait for an open."""
    state = moment.state
    found = _found(state, key)
    if found is None or state.baseline is None:
        return None
    own_key, position, sign = found
    symbol = own_key.rpartition(":")[0]
    opened = _opened(state, own_key)
    terms = [_term("baseline position", mul(opened, Decimal(sign)), told={"baseline": state.baseline.baseline_id})]
    closing = []
    if position.run.waiting:
        closing.append(_term("closes that wait for an open", position.run.waiting))
    if position.side is PositionSide.BOTH:
        closing.append(_term("zero", ZERO, Operation.MAX))

    def signed(body: Mapping[str, Any]) -> Decimal:
        short = own_key.endswith(PositionSide.SHORT) != (sign < 0)
        return Decimal(body["qty"]) if (body["side"] == "SELL") == short else -Decimal(body["qty"])

    def entry_of(_: RecordType, body: Mapping[str, Any]) -> Entry | None:
        ours = body["symbol"] == symbol and (
            position.side is PositionSide.BOTH or body["position_side"] == position.side.value
        )
        return _fact(body, signed(body), {"price": body["price"]}) if ours else None

    def sum_of(then: State) -> Decimal:
        known = then.positions.get(own_key)
        if known is None:
            return ZERO
        return mul(sub(sub(known.run.quantity, _opened(then, own_key)), known.run.waiting), Decimal(sign))

    column = Column(kinds=(RecordType.FILL,), entry_of=entry_of, sum_of=sum_of, whole=False)
    quantity = max(mul(position.run.quantity, Decimal(sign)), ZERO)
    return Recipe(field=name, value=plain(quantity), opening=tuple(terms), column=column, closing=tuple(closing))


def _opened(state: State, key: str) -> Decimal:
    """Give what the baseline states of a position, signed in one-way mode."""
    assert state.baseline is not None, "a ledger begins with a baseline"
    symbol, _, side = key.rpartition(":")
    rows = [row for row in state.baseline.positions if row.symbol == symbol]
    if side == PositionSide.BOTH:
        return exact_sum(-row.quantity if row.side is PositionSide.SHORT else row.quantity for row in rows)
    return exact_sum(row.quantity for row in rows if row.side == side)


def _entry_price(moment: Moment, name: str, key: str) -> Recipe | None:
    """The cost of what is open, fill by fill as far as the book holds them singly, by its quantity."""
    found = _found(moment.state, key)
    if found is None:
        return None
    _, position, sign = found
    run = position.run
    price = run.entry_price if mul(run.quantity, Decimal(sign)) > 0 else None
    if price is None:
        note = "a flip of several executions left it unknown" if run.uncertain else "nothing is open"
        return Recipe(field=name, value=None, note=note)
    terms = [_term("cost before the fills that are held singly", position.base.cost)]
    before = position.base
    for fill, after in zip(position.fills, position.runs, strict=True):
        told = {"order_id": fill.order_id, "z0": plain(fill.z0), "z1": plain(fill.z1), "qty": plain(fill.quantity)}
        terms.append(
            Entry(
                operation=Operation.ADD,
                amount=sub(after.cost, before.cost),
                what="fill",
                at=rfc3339_ms(fill.at_ms),
                told=told,
            )
        )
        before = after
    terms.append(_term("qty", abs(run.quantity), Operation.DIVIDE))
    return Recipe(field=name, value=plain(price), opening=tuple(terms), note="cost is Σ quantity·price of what is open")


# ---- E --------------------------------------------------------------------------------------------------------------


BY_SOURCE: Final = {
    "push": ("account",),
    "report": ("balance", "positions", "baseline"),
}
"""Which events state the figures of a source; what `Event.source_id` calls them."""


def _of_e(moment: Moment, name: str) -> Recipe | None:
    stated, body = moment.state.stated, moment.body["e"]
    kind, _, key = name.partition(":")
    if key and kind == "position":
        return _stated_position(moment, f"e.{name}", key)
    if name == "realized_pnl":
        recipe = _sum(moment, name)
        return Recipe(
            field=f"e.{name}",
            value=body[name],
            opening=recipe.opening,
            column=recipe.column,
            note="Σ of the profits that the exchange stated, which are facts",
        )
    if name in E_STATED:
        figure: Figure | None = {
            "wallet_balance": stated.wallet,
            "available_margin": stated.available_margin,
            "used_margin": stated.used_margin,
        }[name]
        if figure is None:
            return Recipe(field=f"e.{name}", value=body[name], note=NEVER_STATED)
        return _stated(f"e.{name}", body[name], figure.value, figure.source, figure.at_us)
    if name not in E_LAST:
        return None
    if body[name] is None:
        return Recipe(field=f"e.{name}", value=None, note=NEVER_STATED)
    at = rfc3339_ms(stated.last_fill_ms) if name.startswith("last_fill") else None
    term = Entry(operation=Operation.ADD, amount=Decimal(body[name]), what="the last one told", at=at)
    return Recipe(field=f"e.{name}", value=body[name], opening=(term,))


NEVER_STATED: Final = "never stated"


def _stated(name: str, value: str | None, amount: Decimal, source: str, at_us: int) -> Recipe:
    term = Entry(operation=Operation.ADD, amount=amount, what="statement", at=rfc3339(at_us), told={"source": source})
    by = BY_SOURCE.get(source, ())
    return Recipe(field=name, value=value, opening=(term,), stated_us=at_us, stated_by=by)


def _stated_position(moment: Moment, name: str, key: str) -> Recipe | None:
    state = moment.state
    symbol, _, side = key.rpartition(":")
    row = state.stated.positions.get(f"{symbol}:{PositionSide.BOTH}" if state.one_way else key)
    if row is None or side not in {"LONG", "SHORT"}:
        return None
    signed = -row.quantity if row.side is PositionSide.BOTH and side == "SHORT" else row.quantity
    quantity = max(signed, ZERO)
    return _stated(name, plain(quantity), quantity, row.source, row.at_us)


# ---- the comparison, and what is published --------------------------------------------------------------------------


def _delta(moment: Moment, name: str) -> Recipe:
    """K less E, each as the rule compared it; what waits for its statement is an entry of its own."""
    finding = next(finding for finding in moment.findings if finding.field == name)
    about = {"rule": finding.rule, "tolerance": plain(finding.tolerance)}
    terms = []
    rest = finding.delta
    if finding.k is not None and finding.e is not None:
        terms = [_term("k", finding.k, told=about), _term("e", finding.e, Operation.SUBTRACT)]
        rest = sub(finding.delta, sub(finding.k, finding.e))
    if rest or not terms:
        what = "facts that wait for their statement" if terms else "what two sources tell differently"
        terms.append(_term(what, rest, told=None if terms else about))
    if shown(finding.delta) != finding.delta:
        terms.append(_term("18 decimals", None, Operation.ROUND))
    klass = None if finding.klass is None else finding.klass.value
    return Recipe(
        field=f"deltas.{name}",
        value=moment.body["reconcile"]["deltas"][name],
        opening=tuple(terms),
        note=None if klass is None else f"{finding.status.value}: {klass}",
    )


def _published(moment: Moment) -> Recipe:
    """The figure that its source names, inside the settings' bounds."""
    state, said = moment.state, moment.body["published"]
    source, wallet = said["source"], state.stated.wallet
    note = f"source {source}"
    if said["capital"] is None:
        return Recipe(field=PUBLISHED, value=None, note=f"{note}: no honest figure is known")
    assert state.settings is not None, "the journal begins with the settings in force"
    if source == "seed":
        terms = [_term("seed_capital", state.settings.seed_capital)]
        return Recipe(field=PUBLISHED, value=said["capital"], opening=(*terms, *_clamped(moment)), note=note)
    assert wallet is not None, "what is made of the wallet has one"
    stated = _stated(PUBLISHED, said["capital"], wallet.value, wallet.source, wallet.at_us)
    moved = []
    if source == "k_bridged":
        moved.append(_term("K's facts since that statement", sub(capital_raw(state), state.k_at_wallet)))
    return Recipe(
        field=PUBLISHED,
        value=said["capital"],
        opening=(*stated.opening, *moved, *_clamped(moment)),
        note=note,
        stated_us=stated.stated_us,
        stated_by=stated.stated_by,
    )
