"""Answers of a daemon as values, for the screen's tests."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from ditad.records import RecordType
from ditad.tui.health import Health
from ditad.tui.seen import Answers, Seen, first
from ditad.tui.standing import View
from tests.api.fake_daemon import body_of, snapshot_of

NOW = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)
KEY = "position_qty:FET-USDT:LONG"
HEALTH = Health(
    connected=True,
    frame_age_s=0.4,
    key_age_s=725.0,
    connects=3.0,
    events=10.0,
    rejected=0.0,
    without_effect=4.0,
    queued=0.0,
)


def text(at: datetime) -> str:
    """Write a moment as the socket does."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def ago(seconds: float) -> str:
    """Write a moment so long before now."""
    return text(NOW - timedelta(seconds=seconds))


def snapshot(
    deltas: Mapping[str, str] | None = None, *, status: str = "OK", explanations: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Make a snapshot whose ledgers hold one position, with these deltas in place of the agreeing ones."""
    made = deepcopy(snapshot_of(7, status=status))
    made["ts"] = ago(1)
    made["published"]["valid_until"] = ago(-10)
    made["coverage"]["covered_through"] = ago(125)
    made["e"]["positions"] = made["e"]["positions"][:1]
    known = dict.fromkeys(
        ("capital_vs_wallet", "realized_pnl", "open_notional", "used_margin", "open_positions", KEY), "0"
    )
    made["reconcile"]["deltas"] = known | dict(deltas or {})
    made["reconcile"]["explanations"] = list(explanations)
    made["reconcile"]["worst_field"] = explanations[0].split("|")[1] if explanations else ""
    return made


def item(name: str = "main", *, status: str = "OK", seq: int = 9, **more: Any) -> dict[str, Any]:
    """Make what `/v1/accounts` says of an account."""
    verdict = {"status": status, "since": ago(3_720)}
    made = {"account": name, "served": True, "ready": True, "reasons": [], "what_to_do": None, "seq": seq}
    return {**made, "verdict": verdict, **more}


def divergence(seq: int, **more: Any) -> dict[str, Any]:
    """Make a divergence of a list."""
    return {"seq": seq, **body_of(RecordType.DIVERGENCE, seq), "first_at": ago(1_000 - seq), **more}


def gap(seq: int, **more: Any) -> dict[str, Any]:
    """Make a gap of a list."""
    return {"seq": seq, **body_of(RecordType.GAP, seq), "from": ago(60), **more}


def answers(
    *accounts: Mapping[str, Any], shown: str | None = "main", said: Mapping[str, Any] | None = None, **more: Any
) -> Answers:
    """Make a round of answers; of one account that is well where nothing else is said."""
    rows = accounts or (item(),)
    given: dict[str, Any] = {"at": NOW, "at_mono": 100.0, "health": HEALTH}
    return Answers(**(given | more), accounts=tuple(rows), account=shown, snapshot=said)


def seen(said: Mapping[str, Any] | None = None, **more: Any) -> Seen:
    """Make what the screen knows after one round."""
    return first(answers(said=snapshot() if said is None else said, **more))


def view(width: int = 80, height: int = 23, **more: Any) -> View:
    """Make a look at the screen."""
    given: dict[str, Any] = {"now": NOW, "shown_at": NOW, "live_status": "OK"}
    return View(width=width, height=height, **(given | more))
