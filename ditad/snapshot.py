"""The read model: K, E, coverage and verdict of one moment, as the one object that log, socket and journal carry.

What enters: the fold's state after an event, and its verdict. What leaves: the snapshot of interfaces.md §3 as a plain
object with decimals in plain notation. What holds: a figure never stated is `None`; nothing is computed here that a
rule could use, and nothing is rounded but derived averages and ratios. (account.md §4, §7)
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import orjson

from ditad import bot
from ditad.book import Position
from ditad.coverage import Gap, GapState, covered_through_ms
from ditad.events import FactKind, PositionSide
from ditad.kept import Held, Memory, Rows, Totals
from ditad.money import ZERO, add, mul, plain, plain_or_none, ratio, sub
from ditad.reconcile import SEVERITY, ReconcileStatus
from ditad.records import rfc3339, rfc3339_ms
from ditad.settle import Standing
from ditad.slots import clamp
from ditad.state import Figure, State, StatedPosition, Sums
from ditad.statements import leverage_of, mark_price_of
from ditad.stepping import Run
from ditad.turn import capital_raw
from ditad.verdict import Verdict

SCHEMA = 1
KINDS = tuple((kind, kind.value) for kind in FactKind)
ONE = Decimal(1)


class Snapshot(NamedTuple):
    """The snapshot of one moment as a plain `body`, and `written`: the same, with parts that are JSON already."""

    body: dict[str, object]
    written: dict[str, object]


def snapshot_of(state: State, account: str, source_event_id: str, verdict: Verdict, memory: Memory) -> Snapshot:
    """Write the snapshot of this moment; parts that did not change since the last one are the same objects."""
    k, k_written = _k_block(state, memory)
    e, e_written = _e_block(state, memory)
    body: dict[str, object] = {
        "schema": SCHEMA,
        "account": account,
        "event_seq": state.event_seq,
        "source_event_id": source_event_id,
        "ts": rfc3339(state.at_us),
        "exchange_ts_ms": state.exchange_ms,
        "baseline": memory.blocks.of("baseline", (state.baseline,), partial(_baseline_block, state)),
        "k": k,
        "e": e,
        "b": bot.block(state, partial(memory.blocks.of, "b")),
        "published": published(state, verdict),
        "coverage": _coverage(state, memory),
        "reconcile": _reconcile_block(state, verdict),
    }
    return Snapshot(body, {**body, "k": k_written, "e": e_written})


def _baseline_block(state: State) -> dict[str, object] | None:
    baseline = state.baseline
    if baseline is None:
        return None
    return {"id": baseline.baseline_id, "at": rfc3339_ms(baseline.taken_ms), "wallet": plain(baseline.wallet)}


# ---- K --------------------------------------------------------------------------------------------------------------


_sums = attrgetter(*(field.name for field in dataclasses.fields(Sums)))


def _k_block(state: State, memory: Memory) -> tuple[dict[str, object], dict[str, object]]:
    """Give K, and the same with its positions as JSON.

    What it is made of stands in `parts`, all of it, but for what nobody told.
    """
    totals, held = memory.totals(state), _k_positions(state, memory)
    make = partial(_k_made, state, memory, totals, held)
    if state.unknown:
        return make()
    parts = (state.settings, state.baseline, state.seed, state.peak, totals, *_sums(state.sums), held)
    block: tuple[dict[str, object], dict[str, object]] = memory.blocks.of("k", parts, make)
    return block


def _k_made(state: State, memory: Memory, totals: Totals, held: Held) -> tuple[dict[str, object], dict[str, object]]:
    block = _k_figures(state, memory, totals, held)
    return block, {**block, "positions": held.rows.written}


def _k_figures(state: State, memory: Memory, totals: Totals, held: Held) -> dict[str, object]:
    sums = state.sums
    known = state.baseline is not None
    raw = capital_raw(state)
    assert state.settings is not None, "the journal begins with the settings in force"
    capital = clamp(raw, state.settings.min_capital, state.settings.max_capital)
    _, unrealized, notional, margin = held
    equity = None if unrealized is None else add(capital, unrealized)
    leverage = None
    if notional is not None:
        leverage = ratio(notional, capital) if notional > 0 and capital > 0 else ZERO
    return {
        "capital": plain(capital) if known else None,
        "capital_raw": plain(raw) if known else None,
        "realized_pnl": plain(sums.realized_pnl),
        "book_realized_pnl": plain(shown(totals.realized)),
        "unrealized_pnl": plain_or_none(unrealized),
        "fees_paid": plain(sums.fees),
        "funding_paid": plain(sums.funding),
        "transfers": plain(sums.transfers),
        "other_income": plain(sums.other_income),
        "precision": _precision(state, memory, totals),
        "unknown": [
            {
                "kind": amount.kind,
                "order_id": amount.order_id,
                "z0": plain_or_none(amount.z0),
                "z1": plain_or_none(amount.z1),
                "at": rfc3339_ms(amount.at_ms),
            }
            for amount in state.unknown.values()
        ],
        "open_notional": plain_or_none(notional),
        "equity": plain_or_none(equity) if known else None,
        "used_margin": plain_or_none(margin),
        "available_margin": plain(max(ZERO, sub(capital, margin))) if known and margin is not None else None,
        "open_positions": totals.open,
        "peak_capital": plain_or_none(state.peak),
        "leverage": plain_or_none(leverage),
        "trade_seq": totals.closed_trades,
        "positions": held.rows.rows,
    }


def shown(amount: Decimal) -> Decimal:
    """Show a figure that was kept to 36 decimals with the 18 that are promised."""
    return ratio(amount, ONE) if amount else ZERO


def _precision(state: State, memory: Memory, totals: Totals) -> dict[str, str]:
    """Say, per field, what rounded sources leave open; only where they leave anything."""
    sums = state.sums
    fields = {
        "capital_raw": sums.slack,
        "fees_paid": sums.fees_slack,
        "realized_pnl": sums.realized_slack,
        "book_realized_pnl": totals.realized_slack,
    }
    told = {name: plain(shown(slack)) for name, slack in fields.items() if slack and shown(slack)}
    if not totals.open_ended:
        return told
    entries: dict[str, str] = memory.blocks.of("entry_precision", (totals,), partial(_entry_precision, state))
    return told | entries


def _entry_precision(state: State) -> dict[str, str]:
    runs = {key: position.run for key, position in state.positions.items()}
    slack = {
        key: ratio(run.cost_slack, abs(run.quantity)) for key, run in runs.items() if run.cost_slack and run.quantity
    }
    return {f"entry_price:{key}": plain(open_) for key, open_ in slack.items() if open_}


def _k_positions(state: State, memory: Memory) -> Held:
    """Give K's open positions, in the order of their keys; the same object if none of them changed."""
    positions, stated, told, kept = state.positions, state.stated.positions, state.leverages, memory.rows
    for key in kept.due(positions):
        position, row = positions[key], stated.get(key)
        run = position.runs[-1] if position.runs else position.base
        mark, pushed = mark_price_of(state, position.symbol), told.get(position.symbol)
        reported = None if row is None else row.leverage
        known = kept.held.get(key)
        if (
            known is None
            or (parts := known[0])[0] is not run
            or parts[1] is not mark
            or parts[2] is not pushed
            or parts[3] is not reported
        ):
            leverage = leverage_of(state, key, run.quantity)
            made = _k_position(position, run, mark, leverage) if run.quantity else None
            kept.put(key, (run, mark, pushed, reported), made)
    return kept.whole()


def _k_position(position: Position, run: Run, mark: Decimal | None, leverage: Decimal | None) -> Held:
    quantity = abs(run.quantity)
    short = position.side is PositionSide.SHORT or run.quantity < 0
    own = value = margin = None
    if mark is not None:
        value = mul(quantity, mark)
        own = None if run.uncertain else shown(sub(run.cost, value) if short else sub(value, run.cost))
        margin = None if leverage is None else ratio(value, leverage)
    row: dict[str, object] = {
        "symbol": position.symbol,
        "side": "SHORT" if short else "LONG",
        "qty": plain(quantity),
        "entry_price": plain_or_none(run.entry_price),
        "mark_price": plain_or_none(mark),
        "unrealized_pnl": plain_or_none(own),
        "leverage": plain_or_none(leverage),
    }
    return Held(_row(row), own, value, margin)


def _row(row: dict[str, object]) -> Rows:
    return Rows([row], [orjson.Fragment(orjson.dumps(row))])


# ---- E --------------------------------------------------------------------------------------------------------------


def _e_block(state: State, memory: Memory) -> tuple[dict[str, object], dict[str, object]]:
    """Give E, and the same with its positions as JSON."""
    stated, positions = state.stated, _e_positions(state, memory)
    figures = {
        "wallet_balance": stated.wallet,
        "available_margin": stated.available_margin,
        "used_margin": stated.used_margin,
    }
    block: dict[str, object] = {
        **{name: None if figure is None else plain(figure.value) for name, figure in figures.items()},
        "maint_margin": None,
        "realized_pnl": plain(state.sums.realized_pnl) if state.baseline is not None else None,
        "last_fill_price": plain_or_none(stated.last_fill_price),
        "last_fill_qty": plain_or_none(stated.last_fill_quantity),
        "last_fill_fee": plain_or_none(stated.last_fill_fee),
        "last_fill_realized_pnl": plain_or_none(stated.last_fill_realized_pnl),
        "last_funding": plain_or_none(stated.last_funding),
        "stated": {name: _stated(figure) for name, figure in figures.items() if figure is not None},
        "positions": positions.rows,
    }
    return block, {**block, "positions": positions.written}


def _stated(figure: Figure) -> dict[str, str]:
    return {"at": rfc3339(figure.at_us), "source": figure.source}


def _e_positions(state: State, memory: Memory) -> Rows:
    """Give E's open positions, in the order of their keys; the same object if none of them changed."""
    positions, told, kept = state.stated.positions, state.leverages, memory.stated_rows
    for key in kept.due(positions):
        row = positions[key]
        pushed, known = told.get(row.symbol), kept.held.get(key)
        if (
            known is None
            or (parts := known[0])[0] is not row
            or parts[1] is not row.mark_price  # a mark and a leverage may be told of a statement that stays
            or parts[2] is not row.leverage
            or parts[3] is not pushed
        ):
            made = _row(_e_position(row, leverage_of(state, key, row.quantity))) if row.quantity else None
            kept.put(key, (row, row.mark_price, row.leverage, pushed), made)
    return kept.whole()


def _e_position(row: StatedPosition, leverage: Decimal | None) -> dict[str, object]:
    short = row.side is PositionSide.SHORT or row.quantity < 0
    return {
        "symbol": row.symbol,
        "side": "SHORT" if short else "LONG",
        "qty": plain(abs(row.quantity)),
        "entry_price": plain_or_none(row.entry_price),
        "mark_price": plain_or_none(row.mark_price),
        "unrealized_pnl": plain_or_none(row.unrealized_pnl),
        "leverage": plain_or_none(leverage),
        "stated": {"at": rfc3339(row.at_us), "source": row.source},
    }


# ---- published, coverage, verdict -----------------------------------------------------------------------------------


def published(state: State, verdict: Verdict) -> dict[str, object]:
    """Say what a bot should use, from where, and until when. (account.md §7)"""
    assert state.settings is not None, "the journal begins with the settings in force"
    settings, stated = state.settings, state.stated
    until = valid_until_us(state, state.heard_us)
    source, amount = "unknown", None
    asked_us = stated.balance_asked_us
    fresh = state.streaming and state.at_us < asked_us + 2 * settings.audit_interval_us
    inquiry = state.inquiries.get("capital_vs_wallet")
    if state.baseline is None:
        if settings.seed_capital is not None:
            source, amount = "seed", settings.seed_capital
    else:
        assert stated.wallet is not None, "a baseline states the wallet"
        if inquiry is not None and inquiry.confirmed:
            source, amount = "e_disputed", stated.wallet.value
        elif verdict.wallet in {Standing.SETTLED, Standing.UNSETTLED}:
            moved = sub(capital_raw(state), state.k_at_wallet)
            source = "e_anchored" if fresh else "k_bridged"
            amount = stated.wallet.value if fresh else add(stated.wallet.value, moved)
    status = verdict.result.status
    usable = (
        source in {"e_anchored", "k_bridged"}
        and SEVERITY[status] <= SEVERITY[ReconcileStatus.WARN]
        and not state.coverage.is_open()
    )
    return {
        "capital": None if amount is None else plain(clamp(amount, settings.min_capital, settings.max_capital)),
        "source": source,
        "usable": usable,
        "valid_until": None if until is None else rfc3339(until),
    }


def valid_until_us(state: State, heard_us: int | None) -> int | None:
    """Give the earlier of last frame + `silence_s` and last balance report + two intervals; `None` before both."""
    assert state.settings is not None, "the journal begins with the settings in force"
    if heard_us is None or not state.stated.balance_asked_us:
        return None
    return min(
        heard_us + state.settings.silence_us,
        state.stated.balance_asked_us + 2 * state.settings.audit_interval_us,
    )


def coverage_state(state: State) -> str:
    """Give `stale` (no living stream), `gap` (question not begun), `backfilling` (being asked) or `live`."""
    if not state.streaming or state.baseline is None:
        return "stale"
    gaps = [gap for gap in state.coverage.gaps if gap.open]
    if not gaps:
        return "live"
    ended_us = max(max(gap.extended_us, state.connected_us) for gap in gaps)
    asked = max(state.stated.balance_asked_us, state.stated.positions_asked_us)
    return "backfilling" if asked > ended_us else "gap"


def _coverage(state: State, memory: Memory) -> dict[str, object]:
    """Give the block of coverage. What it is made of stands in `parts`, all of it, while there is no gap."""
    coverage = state.coverage
    if coverage.gaps:
        return coverage_block(state)
    parts = (
        state.streaming,
        state.baseline,
        state.settings,
        state.notes,
        state.rejected,
        coverage.fills_ms,
        coverage.income_ms,
        coverage.fills_available,
        coverage.income_available,
        *state.other_assets,
        *state.decisions,
        *state.decisions.values(),
    )
    block: dict[str, object] = memory.blocks.of("coverage", parts, partial(coverage_block, state))
    return block


def coverage_block(state: State) -> dict[str, object]:
    """Say how far the ledger can be trusted."""
    coverage, baseline = state.coverage, state.baseline
    through = None
    if baseline is not None and state.settings is not None:
        lags = (state.settings.fills_lag_ms, state.settings.income_lag_ms)
        through = rfc3339_ms(covered_through_ms(coverage, baseline_ms=baseline.taken_ms, lags_ms=lags))
    current = coverage_state(state)
    return {
        "state": current,
        "covered_through": through,
        "kinds": {
            name: "unavailable" if not coverage.available(kind) else _kind_state(state, kind, current)
            for kind, name in KINDS
        },
        "gaps": [gap_body(gap) for gap in coverage.gaps if gap.open or gap.state is GapState.UNCLOSABLE],
        "rejected": state.rejected,
        "other_assets": sorted(state.other_assets),
        "decisions": dict(sorted(state.decisions.items())),
        "notes": list(state.notes),
    }


def _kind_state(state: State, kind: FactKind, current: str) -> str:
    if current == "live" or any(
        gap.open and kind in gap.kinds and kind.value not in gap.closed for gap in state.coverage.gaps
    ):
        return current
    return current if current == "stale" else "live"


def gap_body(gap: Gap) -> dict[str, object]:
    """Write a gap as readers get it. (account.md §7)"""
    body: dict[str, object] = {
        "id": gap.id,
        "kinds": [kind.value for kind in gap.kinds],
        "from": rfc3339_ms(gap.from_ms),
        "to": None if gap.to_ms is None else rfc3339_ms(gap.to_ms),
        "cause": "; ".join(gap.causes),
        "causes": list(gap.causes),
        "state": gap.state.value,
        "by": gap.by,
        "rows": gap.rows,
        "at": None if gap.at_us is None else rfc3339(gap.at_us),
        "opened_at": rfc3339(gap.opened_us),
        "closed": {
            kind: {"by": closing.by, "rows": closing.rows, "at": rfc3339(closing.at_us)}
            for kind, closing in gap.closed.items()
        },
    }
    if gap.beyond:
        body["beyond"] = {kind: rfc3339_ms(moment) for kind, moment in gap.beyond.items()}
    return body


def _reconcile_block(state: State, verdict: Verdict) -> dict[str, object]:
    result = verdict.result
    deltas = dict.fromkeys(result.deltas, "0")  # of what is not spoken of both ledgers say the same
    told = {one.field: result.deltas[one.field] for one in verdict.spoken}
    deltas.update([(name, plain(shown(delta))) for name, delta in told.items() if delta])
    return {
        "status": result.status.value,
        "worst_field": result.worst_field,
        "deltas": deltas,
        "explanations": list(result.explanations),
        "divergences": [known.id for known in state.divergences.values()],
        "stands_alone": [one.body for one in verdict.alone],
        "ts": rfc3339(state.at_us),
    }
