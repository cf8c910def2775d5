"""A daemon of values: doors that answer from lists, and a server on a real unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from ditad.api.doors import GoneError
from ditad.api.listening import listen_at
from ditad.api.server import ApiServer
from ditad.errors import UsageError
from ditad.hub import Hub
from ditad.records import Record, RecordType, rfc3339

START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
STEP_US = 1_000_000


def body_of(kind: RecordType, seq: int) -> dict[str, Any]:
    """Give a plausible body, as interfaces.md §3 has them."""
    at = rfc3339(START_US + seq * STEP_US)
    match kind:
        case RecordType.FILL:
            return {
                "order_id": str(10**18 + seq),
                "z0": "0",
                "z1": "100",
                "symbol": "FET-USDT",
                "side": "BUY",
                "position_side": "LONG",
                "price": "0.1878",
                "qty": "100",
                "quote": "18.78",
                "fee": "0.00939",
                "fee_asset": "USDT",
                "realized_pnl": None,
                "trade_ids": [],
                "at": at,
                "sources": ["ORDER_TRADE_UPDATE"],
            }
        case RecordType.INCOME:
            return {
                "kind": "funding",
                "amount": "-0.5",
                "asset": "USDT",
                "symbol": "FET-USDT",
                "tran_id": str(seq),
                "at": at,
                "sources": ["income"],
            }
        case RecordType.DIVERGENCE:
            return {
                "id": f"div-{seq}",
                "rule": "R1",
                "field": "capital_vs_wallet",
                "symbol": None,
                "side": None,
                "k": "100",
                "e": "99",
                "delta": "1",
                "tolerance": "0.0001",
                "class": "MISMATCH",
                "severity": "ERROR",
                "first_seq": 1,
                "first_at": at,
                "last_seq": 2,
                "confirmations": 1,
                "state": "healed" if seq % 2 else "open",
                "attribution": [{"cause": "unexplained", "tried": ["fee"]}],
            }
        case RecordType.GAP:
            return {
                "id": f"gap-{seq}",
                "kinds": ["fills", "income"],
                "from": at,
                "to": None,
                "cause": "lost: cut",
                "state": "open",
                "by": None,
                "rows": 0,
                "at": None,
                "closed": {},
            }
        case RecordType.STREAM:
            return {"state": "connected", "detail": ""}
        case RecordType.REJECTED:
            return {"source": "private", "reason": "z: a finite number is due", "money": True, "excerpt": "{}"}
        case RecordType.ACCOUNT_EVENT:
            return {
                "timestamp": at,
                **dict.fromkeys(("runtime_namespace", "strategy_namespace", "event_namespace"), "dita_v2"),
                **dict.fromkeys(("actor_name", "exec_venue", "data_venue", "ledger_authority"), "x"),
                **dict.fromkeys(("capital", "equity"), "100"),
                "open_positions": 1,
                **dict.fromkeys(("current_open_notional", "current_account_leverage"), "1"),
                "trade_id": "t1",
                "asset": "FET-USDT",
                "side": "SHORT",
                "reason": "fill",
                "stage": "CLOSED",
                **dict.fromkeys(("pnl", "pnl_pct")),
                "bars_held": 3,
                "metadata": {"trade": "FET-USDT:SHORT:7", "opened_at": at, "qty": "1", "entry_price": None},
            }
        case RecordType.SNAPSHOT:
            return snapshot_of(seq)


def snapshot_of(event_seq: int, *, status: str = "OK", account: str = "main") -> dict[str, Any]:
    """Give a whole snapshot."""
    ts = rfc3339(START_US + event_seq * STEP_US)
    figures = {"qty": "100", "entry_price": "0.1878", "mark_price": "0.19", "unrealized_pnl": "0.22", "leverage": "3"}
    return {
        "schema": 1,
        "account": account,
        "event_seq": event_seq,
        "source_event_id": "order:17",
        "ts": ts,
        "exchange_ts_ms": 1_767_225_600_000,
        "baseline": {"id": "b-1", "at": ts, "wallet": "100"},
        "k": {
            **dict.fromkeys(("capital", "capital_raw", "equity", "available_margin", "peak_capital"), "100.5"),
            **dict.fromkeys(("realized_pnl", "book_realized_pnl", "fees_paid", "funding_paid", "transfers"), "0"),
            **dict.fromkeys(("other_income", "unrealized_pnl", "open_notional", "used_margin", "leverage"), "0"),
            "precision": {},
            "unknown": [],
            "open_positions": 1,
            "trade_seq": 0,
            "positions": [{"symbol": "FET-USDT", "side": "LONG", **figures}],
        },
        "e": {
            "wallet_balance": "100.5",
            **dict.fromkeys(("available_margin", "used_margin", "maint_margin", "last_funding")),
            **dict.fromkeys(("realized_pnl", "last_fill_price", "last_fill_qty", "last_fill_fee"), "0.1"),
            "last_fill_realized_pnl": "0",
            "stated": {"wallet_balance": {"at": ts, "source": "push"}},
            "positions": [
                {"symbol": "FET-USDT", "side": "LONG", **figures},
                {"symbol": "BTC-USDT", "side": "SHORT", **figures},
            ],
        },
        "b": None,
        "published": {"capital": "100.5", "source": "e_anchored", "usable": True, "valid_until": ts},
        "coverage": {
            "state": "live",
            "covered_through": ts,
            "kinds": {"fills": "live", "income": "live"},
            "gaps": [],
            "rejected": 0,
            "other_assets": [],
        },
        "reconcile": {
            "status": status,
            "worst_field": "" if status == "OK" else "capital_vs_wallet",
            "deltas": {"capital_vs_wallet": "0"},
            "explanations": [] if status == "OK" else ["MISMATCH|capital_vs_wallet|delta=1"],
            "divergences": [],
            "stands_alone": [],
            "ts": ts,
        },
    }


def record(seq: int, kind: RecordType = RecordType.FILL, *, padding: int = 0) -> Record:
    """Make the numbered record of a type."""
    body = body_of(kind, seq) | ({"padding": "x" * padding} if padding else {})
    at_us = START_US + seq * STEP_US
    line = orjson.dumps({"seq": seq, "type": kind.value, "ts": rfc3339(at_us), kind.value: body})
    return Record(seq=seq, n=seq, type=kind, at_us=at_us, key=str(seq), replaces=(), line=line)


def records(first: int, last: int, kind: RecordType = RecordType.FILL, *, padding: int = 0) -> list[Record]:
    """Make the records of these numbers, both included."""
    return [record(seq, kind, padding=padding) for seq in range(first, last + 1)]


class FakeAccount:
    """A door over a journal that is a list; `kept_from` is its oldest record."""

    def __init__(self, name: str = "main", *, hub: Hub | None = None, journal: Sequence[Record] = ()) -> None:
        self.name = name
        self.hub = hub or Hub(1_000, 10_000_000)
        self.journal = list(journal)
        self.kept_from = 1
        self.status = "OK"
        self.present: bytes | None = None
        self.unready: tuple[str, ...] = ()
        self.calls: list[tuple[object, ...]] = []
        self.raises: BaseException | None = None
        self.histories = 0
        self.pulled = 0
        self.on_history: list[Record] = []

    def add(self, *new: Record) -> None:
        """Journal and publish, with a snapshot beside."""
        self.journal.extend(new)
        self.present = orjson.dumps(snapshot_of(new[-1].seq, status=self.status, account=self.name))
        self.hub.publish(new)

    def snapshot(self) -> bytes | None:
        """Give what `add` left."""
        return self.present

    def not_ready(self) -> tuple[str, ...]:
        """Give what the test said."""
        return self.unready

    def verdict(self) -> Mapping[str, object]:
        """Give a short verdict."""
        return {"status": self.status, "worst_field": "", "capital": "100.5", "source": "e_anchored", "usable": True}

    async def snapshot_at(self, *, at_us: int | None, event_seq: int | None) -> bytes | None:
        """Give a snapshot up to number 100."""
        self.calls.append(("snapshot_at", at_us, event_seq))
        if event_seq is not None and event_seq > 100:
            return None
        return orjson.dumps(snapshot_of(event_seq or 7, account=self.name))

    async def why(
        self, field: str, *, event_seq: int | None, after_seq: int, limit: int
    ) -> Mapping[str, object] | None:
        """Explain one figure, of snapshots up to number 100: an opening, then a fill for every `seq` up to 5."""
        self.calls.append(("why", field, event_seq, after_seq, limit))
        if self.present is None or (event_seq is not None and event_seq > 100):
            return None
        if field != "fees_paid":
            raise UsageError(f"field: {field!r} is no figure of this snapshot; there are fees_paid")
        last = min(5, after_seq + limit)
        items = [self._entry(seq) for seq in range(after_seq + bool(after_seq), last + 1)]
        return {
            "account": self.name,
            "field": field,
            "event_seq": 7,
            "seq": 9,
            "ts": rfc3339(START_US),
            "value": "5" if self.status == "OK" else "6",
            "note": None,
            "count": 6,
            "exact": None if last < 5 else self.status == "OK",
            "items": items,
            "next_after_seq": None if last == 5 else last,
        }

    @staticmethod
    def _entry(seq: int) -> dict[str, object]:
        return {
            "seq": seq or None,
            "at": rfc3339(START_US + seq * STEP_US),
            "what": "fill" if seq else "opening",
            "operation": "add",
            "amount": str(min(seq, 1)),
            "running_total": str(seq),
            **({"order_id": str(10**18 + seq)} if seq else {}),
        }

    async def difference(
        self, a: tuple[int | None, int | None], b: tuple[int | None, int | None]
    ) -> Mapping[str, object] | None:
        """Give a difference of snapshots up to number 100."""
        self.calls.append(("difference", a, b))
        numbers = [one[1] or 7 for one in (a, b)]
        if max(numbers) > 100:
            return None
        stands = [{"event_seq": each, "seq": each, "ts": rfc3339(START_US + each * STEP_US)} for each in numbers]
        moved = {"field": "k.fees_paid", "a": "1", "b": "1.5", "difference": "0.5"}
        quantity = {"field": "qty", "a": None, "b": "2", "difference": None}
        return {
            "account": self.name,
            "a": stands[0],
            "b": stands[1],
            "figures": [moved],
            "texts": [{"field": "reconcile.status", "a": "OK", "b": "WARN"}],
            "positions": [
                {"ledger": "k", "symbol": "FET-USDT", "side": "LONG", "change": "opened", "figures": [quantity]}
            ],
            "divergences": [
                {"id": "div-1", "opened": True, "closed": True, "state": "healed", "about": "capital_vs_wallet"}
            ],
            "gaps": [{"id": "gap-1", "opened": False, "closed": False, "state": "open", "about": "lost: cut"}],
            "records": {"fill": 2, "snapshot": 3},
        }

    async def current_records(self, kind: RecordType, *, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Give the list's records of a type."""
        if self.raises is not None:
            raise self.raises
        found = [(each.seq, each.line) for each in self.journal if each.type is kind and each.seq > after_seq]
        return found[:limit]

    async def history(self, after_seq: int) -> AsyncIterator[Record]:
        """Give the list, as it was when asked."""
        if after_seq + 1 < self.kept_from:
            raise GoneError(self.kept_from)
        self.histories += 1
        for each in [known for known in self.journal if known.seq > after_seq]:
            self.pulled += 1
            yield each
            if self.on_history:  # the account goes on while its past is read
                self.add(self.on_history.pop(0))

    async def seq_at(self, at_us: int) -> int:
        """Give a number short of the moment, as a checkpoint would."""
        earlier = [each.seq for each in self.journal if each.at_us <= at_us]
        return max(0, max(earlier, default=0) - 3)  # as a checkpoint would: somewhat before

    async def audit(self, uid: int) -> None:
        """Note the call."""
        self._called("audit", uid)

    async def adopt(self, uid: int, why: str) -> Mapping[str, object]:
        """Note the call."""
        self._called("adopt", uid, why)
        return {
            "baseline": {"id": "b-2", "at": rfc3339(START_US), "wallet": "100"},
            "adopted_by": uid,
            "why": why,
            "capital_before": None,
            "positions": 0,
        }

    async def put_slots(self, uid: int, slots: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
        """Note the call."""
        self._called("put_slots", uid, list(slots))
        return {"account": self.name, "slots": len(slots), "open_positions": len(slots), "unchanged": False}

    async def settle(self, uid: int, settlement: Mapping[str, object]) -> Mapping[str, object]:
        """Note the call."""
        self._called("settle", uid, dict(settlement))
        return {
            "account": self.name,
            "settlement_id": settlement.get("settlement_id", settlement.get("id")),
            "realized_pnl": str(settlement.get("realized_pnl", 0)),
            "fees": str(settlement.get("fees", 0)),
            "repeated": False,
        }

    def _called(self, *call: object) -> None:
        self.calls.append(call)
        if self.raises is not None:
            raise self.raises


class FakeDaemon:
    """The daemon's door over some accounts."""

    version = "0.0.test"

    def __init__(self, *accounts: FakeAccount, refused: Mapping[str, str] | None = None) -> None:
        self.accounts = {account.name: account for account in accounts}
        self._refused = dict(refused or {})

    def metrics(self) -> bytes:
        """Give one metric."""
        return b"# TYPE ditad_up gauge\nditad_up 1\n"

    def refused(self) -> Mapping[str, str]:
        """Give what the test said."""
        return self._refused


async def until(holds: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 — what is waited for has no event of its own
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(
    daemon: FakeDaemon, path: Path, *, admin_uids: frozenset[int] = frozenset(), **bounds: Any
) -> AsyncIterator[ApiServer]:
    """Serve on a socket until the end of the block."""
    server = ApiServer(daemon, admin_uids=admin_uids, **bounds)
    await server.start(listen_at(path))
    try:
        yield server
    finally:
        await server.stop()
