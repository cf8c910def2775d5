"""Both ledgers side by side: a row for each rule, each position, each divergence, with what is to be said of it.

What enters: a snapshot and records as the socket gives them. What leaves: rows of text, not laid out yet. What holds:
a rule that did not compare says so and is never "ok"; a difference is the one that the rule found, at its own moment.
(account.md §5)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ditad.tui.figures import age
from ditad.tui.lines import Tone
from ditad.tui.seen import NOT_OVER, Row

SILENT: Final = "not compared"
AGREES: Final = "ok"

TONES: Final = {
    "UNSETTLED": Tone.WARN,
    "UNSETTLED_FEE": Tone.WARN,
    "CONFIRMING": Tone.WARN,
    "QUESTION_FAILED": Tone.DOUBT,
    "MISMATCH": Tone.BAD,
    "ENTRY_ROUNDING": Tone.PLAIN,
    "LOT_STEP_ROUNDING": Tone.WARN,
    "MARK_PRICE_STALENESS": Tone.WARN,
    "LEVERAGE_ROUNDING": Tone.WARN,
    "MARGIN_BASIS": Tone.WARN,
    "GAP": Tone.DOUBT,
    "AMOUNT_UNKNOWN": Tone.DOUBT,
    "DERIVED": Tone.WARN,
    "NOT_STATED": Tone.DOUBT,
    "BOT_DIFFERS": Tone.WARN,
}
"""What a class amounts to; one that is not known here counts as doubt."""

SIGNS: Final = {Tone.WARN: "!", Tone.BAD: "!!", Tone.DOUBT: "?"}
"""Stands in front of a class, so that its rank shows without colour."""

RULES: Final = (
    ("R1 capital", "capital_vs_wallet"),
    ("R2 realized", "realized_pnl"),
    ("R4 notional", "open_notional"),
    ("R5 margin", "used_margin"),
    ("R6 positions", "open_positions"),
)
"""The rules of the whole account, and their fields. R3 is that of each position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """One rule: K's and E's figure, the difference it found, and its class or `ok`."""

    name: str
    k: str | None
    e: str | None
    delta: str | None
    word: str
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRow:
    """One position of either ledger (R3); a side that is not there has no figures."""

    name: str
    k_qty: str | None
    e_qty: str | None
    delta: str | None
    k_entry: str | None
    e_entry: str | None
    mark: str | None
    unrealized: str | None
    leverage: str | None
    word: str
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceRow:
    """One divergence: when it began, what it is about, how it stands, by how much, and because of what."""

    at: str
    name: str
    state: str
    delta: str | None
    cause: str
    evidence: str
    tone: Tone


def classes(snapshot: Row) -> dict[str, str]:
    """Give the class of each field that has one."""
    told = (str(text).split("|") for text in snapshot["reconcile"]["explanations"])
    return {parts[1]: parts[0] for parts in told if len(parts) > 1}


def word_of(field: str, deltas: Mapping[str, Any], known: Mapping[str, str]) -> tuple[str, Tone]:
    """Say in a word what a rule says of a field."""
    klass = known.get(field)
    if klass is None:
        return (AGREES, Tone.PLAIN) if field in deltas else (SILENT, Tone.QUIET)
    tone = TONES.get(klass, Tone.DOUBT)
    return SIGNS.get(tone, "") + klass, tone


def rule_rows(snapshot: Row) -> list[RuleRow]:
    """Give a row for each rule of the whole account."""
    k, e, deltas, known = snapshot["k"], snapshot["e"], snapshot["reconcile"]["deltas"], classes(snapshot)
    figures = {
        "capital_vs_wallet": (k["capital_raw"], e["wallet_balance"]),
        "realized_pnl": (k["book_realized_pnl"], e["realized_pnl"]),
        "open_notional": (k["open_notional"], notional_of(e["positions"])),
        "used_margin": (k["used_margin"], e["used_margin"]),
        "open_positions": (
            str(k["open_positions"]),
            str(len(e["positions"])) if "open_positions" in deltas else None,
        ),
    }
    rows = []
    for name, field in RULES:
        word, tone = word_of(field, deltas, known)
        ours, theirs = figures[field]
        rows.append(RuleRow(name=name, k=ours, e=theirs, delta=deltas.get(field), word=word, tone=tone))
    return rows


def notional_of(positions: Sequence[Row]) -> str | None:
    """Value E's positions at E's marks; `None` where one has none."""
    values = [
        Decimal(row["qty"]) * Decimal(row["mark_price"]) for row in positions if row.get("mark_price") is not None
    ]
    if len(values) < len(positions):
        return None
    return plain(sum(values, Decimal(0)))


def plain(value: Decimal) -> str:
    """Write a decimal as the socket does: no exponent, no zeros behind, no −0."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text


def position_rows(snapshot: Row) -> list[PositionRow]:
    """Give a row for each position of either ledger: those that differ first, then by symbol and side."""
    deltas, known = snapshot["reconcile"]["deltas"], classes(snapshot)
    ledgers = [{(row["symbol"], row["side"]): row for row in snapshot[name]["positions"]} for name in ("k", "e")]
    fields = [str(field).split(":") for field, delta in deltas.items() if delta != "0"]
    differing = [(parts[1], parts[2]) for parts in fields if parts[0] == "position_qty" and len(parts) == 3]
    rows = []
    for key in sorted({*ledgers[0], *ledgers[1], *differing}):
        k, e = (ledger.get(key, {}) for ledger in ledgers)
        field = f"position_qty:{key[0]}:{key[1]}"
        word, tone = word_of(field, deltas, known)
        rows.append(
            PositionRow(
                name=f"{key[0]} {key[1]}",
                k_qty=k.get("qty", "0"),
                e_qty=e.get("qty", "0") if e or field in deltas else None,
                delta=deltas.get(field),
                k_entry=k.get("entry_price"),
                e_entry=e.get("entry_price"),
                mark=k.get("mark_price") or e.get("mark_price"),
                unrealized=k.get("unrealized_pnl"),
                leverage=k.get("leverage") or e.get("leverage"),
                word=word,
                tone=tone,
            )
        )
    return sorted(rows, key=lambda row: row.delta in {"0", None} and row.tone is Tone.PLAIN)


def divergence_rows(divergences: Sequence[Row]) -> list[DivergenceRow]:
    """Give a row for each divergence: those that are not over first, then the newest first, of one moment R1 first."""
    by_rule = sorted(divergences, key=lambda row: str(row["rule"]))
    by_moment = sorted(by_rule, key=lambda row: str(row["first_at"]), reverse=True)
    ordered = sorted(by_moment, key=lambda row: row["state"] not in NOT_OVER)
    return [_divergence_row(row) for row in ordered]


def _divergence_row(row: Row) -> DivergenceRow:
    state = str(row["state"])
    over = state not in NOT_OVER
    tone = Tone.QUIET if over else Tone.BAD if state == "confirmed" else Tone.WARN
    return DivergenceRow(
        at=row["first_at"],
        name=name_of(row),
        state=_ended(state, row) if over else SIGNS[tone] + state,
        delta=row["delta"],
        cause=cause_of(row),
        evidence=evidence_of(row),
        tone=tone,
    )


def _ended(state: str, row: Row) -> str:
    """Say how a divergence ended, and after how long."""
    lasted = row.get("duration_s")
    return state if lasted is None else f"{state} {age(lasted)}"


def name_of(row: Row) -> str:
    """Name what a divergence is about in few words: `R1 capital_vs_wallet`, `R3 FET-USDT LONG`."""
    field = str(row["field"])
    return field if field.upper().startswith(f"{row['rule']}:") else f"{row['rule']} {field_words(field)}"


def field_words(field: str) -> str:
    """Name a field; that of a position by the position alone."""
    parts = field.split(":")
    return f"{parts[1]} {parts[2]}" if len(parts) == 3 and parts[0].endswith("_qty") else field


def cause_of(row: Row) -> str:
    """Name the cause, and how many there are where there are several."""
    causes = [str(one["cause"]) for one in row["attribution"]]
    if not causes:
        return "being asked" if row["state"] in NOT_OVER else "-"
    return causes[0] if len(causes) == 1 else f"{causes[0]} +{len(causes) - 1}"


def evidence_of(row: Row) -> str:
    """Write what the cause rests on."""
    told = []
    for one in row["attribution"]:
        if "tried" in one:
            told.append("tried " + ", ".join(map(str, one["tried"])))
        else:
            told.append(" ".join([*map(str, one.get("ids") or ()), str(one.get("evidence") or "")]).strip())
    return "; ".join(text for text in told if text)
