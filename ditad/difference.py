"""What changed between two snapshots: figures, positions, divergences, gaps, and how many facts lie between.

What enters: two snapshots' bodies, and what the records between them say. What leaves: plain JSON. What holds: a
difference of decimals is exact, to the last digit; what is the same in both is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from ditad.money import plain, sub

TEXTS: Final = (
    ("baseline", "id"),
    ("published", "source"),
    ("published", "usable"),
    ("coverage", "state"),
    ("coverage", "covered_through"),
    ("reconcile", "status"),
    ("reconcile", "worst_field"),
)
"""What is no figure and yet worth knowing when it changed."""

OPENED: Final = "opened"
CLOSED: Final = "closed"
CHANGED: Final = "changed"
CLOSED_STATES: Final = frozenset({"healed", "adopted", "provisional", "final"})
"""States in which a divergence or gap counts as closed; the account says the rest."""


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, object]:
    """Say what is different in the later one of two snapshots of an account."""
    return {
        "figures": [_figure(name, *pair) for name, pair in _pairs(_figures(before), _figures(after)).items()],
        "texts": [
            {"field": name, "a": pair[0], "b": pair[1]} for name, pair in _pairs(_texts(before), _texts(after)).items()
        ],
        "positions": [row for ledger in ("k", "e") for row in _positions(ledger, before[ledger], after[ledger])],
    }


def lives(records: Iterable[Mapping[str, Any]], kind: str, before: Iterable[str]) -> list[dict[str, object]]:
    """Say what became of divergences or gaps between two snapshots, by their records between; `before` were open."""
    last: dict[str, Mapping[str, Any]] = {}
    for record in records:
        last[record[kind]["id"]] = record[kind]
    known = set(before)
    return [
        {
            "id": name,
            "opened": name not in known,
            "closed": body["state"] in CLOSED_STATES,
            "state": body["state"],
            "about": body["field"] if kind == "divergence" else body["cause"],
        }
        for name, body in last.items()
    ]


def _figures(body: Mapping[str, Any]) -> dict[str, str | None]:
    """Give all decimals and counts of a snapshot that are no position's, as text."""
    found: dict[str, str | None] = {}
    for ledger in ("k", "e"):
        for name, value in body[ledger].items():
            if value is None or isinstance(value, str | int):
                found[f"{ledger}.{name}"] = None if value is None else str(value)
    found |= {f"deltas.{name}": str(delta) for name, delta in body["reconcile"]["deltas"].items()}
    found |= {f"precision.{name}": str(slack) for name, slack in body["k"]["precision"].items()}
    found["published.capital"] = body["published"]["capital"]
    found["k.unknown"] = str(len(body["k"]["unknown"]))
    return found


def _texts(body: Mapping[str, Any]) -> dict[str, object]:
    return {f"{block}.{name}": (body[block] or {}).get(name) for block, name in TEXTS}


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Give what two mappings say differently, by name; `None` where one of them says nothing."""
    pairs = {name: (before.get(name), after.get(name)) for name in {**before, **after}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _figure(name: str, before: str | None, after: str | None) -> dict[str, object]:
    told = None if before is None or after is None else plain(sub(Decimal(after), Decimal(before)))
    return {"field": name, "a": before, "b": after, "difference": told}


def _positions(ledger: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, object]]:
    """Give the positions of a ledger that were opened, closed or changed."""
    rows: list[dict[str, object]] = []
    old, new = _by_key(before), _by_key(after)
    for key in sorted({*old, *new}):
        one, other = old.get(key), new.get(key)
        changed = _pairs(_of_position(one), _of_position(other))
        if changed:
            what = OPENED if one is None else CLOSED if other is None else CHANGED
            fields = [_figure(name, *pair) for name, pair in changed.items()]
            rows.append({"ledger": ledger, "symbol": key[0], "side": key[1], "change": what, "figures": fields})
    return rows


def _by_key(ledger: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(row["symbol"], row["side"]): row for row in ledger["positions"]}


def _of_position(row: Mapping[str, Any] | None) -> dict[str, str | None]:
    names = ("qty", "entry_price", "mark_price", "unrealized_pnl", "leverage")
    return {} if row is None else {name: row[name] for name in names}
