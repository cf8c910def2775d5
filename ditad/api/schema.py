"""The JSON Schema of all answers, as interfaces.md §3 words them.

What enters: nothing. What leaves: one document (draft 2020-12) whose `$defs` are the bodies and whose `answers` name
the body of each path. What holds: fields may be added without breaking it, for readers ignore what they don't know.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from ditad.api.answers import STATUS_OF, ErrorCode
from ditad.records import RecordType

Schema = dict[str, Any]

AMOUNT: Final = {"$ref": "#/$defs/amount"}
AMOUNT_OR_NULL: Final = {"$ref": "#/$defs/amount_or_null"}
TIME: Final = {"$ref": "#/$defs/time"}
TIME_OR_NULL: Final = {"anyOf": [TIME, {"type": "null"}]}
TEXT: Final = {"type": "string"}
TEXT_OR_NULL: Final = {"type": ["string", "null"]}
SEQ: Final = {"type": "integer", "minimum": 0}
COUNT: Final = {"type": "integer", "minimum": 0}
FLAG: Final = {"type": "boolean"}
TEXTS: Final = {"type": "array", "items": TEXT}
STATUS: Final = {"enum": ["OK", "WARN", "ERROR", "UNKNOWN"]}
SIDE: Final = {"enum": ["LONG", "SHORT"]}


def _object(fields: Schema, optional: Schema | None = None) -> Schema:
    """Describe an object whose `fields` are all there, and more may be."""
    return {"type": "object", "required": list(fields), "properties": {**fields, **(optional or {})}}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _list(items: Schema) -> Schema:
    page = {"items": {"type": "array", "items": items}, "next_after_seq": {"type": ["integer", "null"]}}
    return _object(page)


def _item(kind: str) -> Schema:
    return {"allOf": [{"$ref": f"#/$defs/{kind}"}, _object({"seq": SEQ})]}


_POSITION_FIGURES: Final = {
    "qty": AMOUNT,
    "entry_price": AMOUNT_OR_NULL,
    "mark_price": AMOUNT_OR_NULL,
    "unrealized_pnl": AMOUNT_OR_NULL,
    "leverage": AMOUNT_OR_NULL,
}
_POSITION: Final = _object({"symbol": TEXT, "side": SIDE, **_POSITION_FIGURES})

_K: Final = _object(
    {
        **dict.fromkeys(("capital", "capital_raw"), AMOUNT_OR_NULL),
        **dict.fromkeys(("realized_pnl", "book_realized_pnl"), AMOUNT_OR_NULL),
        "unrealized_pnl": AMOUNT_OR_NULL,
        **dict.fromkeys(("fees_paid", "funding_paid", "transfers", "other_income"), AMOUNT),
        "precision": _map(AMOUNT),
        "unknown": {
            "type": "array",
            "items": _object(
                {
                    "kind": TEXT,
                    "order_id": TEXT_OR_NULL,
                    "z0": AMOUNT_OR_NULL,
                    "z1": AMOUNT_OR_NULL,
                    "at": TIME_OR_NULL,
                }
            ),
        },
        **dict.fromkeys(("open_notional", "equity", "used_margin", "available_margin"), AMOUNT_OR_NULL),
        "open_positions": COUNT,
        **dict.fromkeys(("peak_capital", "leverage"), AMOUNT_OR_NULL),
        "trade_seq": COUNT,
        "positions": {"type": "array", "items": _POSITION},
    }
)

_E: Final = _object(
    {
        **dict.fromkeys(("wallet_balance", "available_margin", "used_margin", "maint_margin"), AMOUNT_OR_NULL),
        **dict.fromkeys(("realized_pnl", "last_fill_price", "last_fill_qty", "last_fill_fee"), AMOUNT_OR_NULL),
        **dict.fromkeys(("last_fill_realized_pnl", "last_funding"), AMOUNT_OR_NULL),
        "stated": _map(_object({"at": TIME, "source": TEXT})),
        "positions": {"type": "array", "items": _POSITION},
    }
)

_B: Final = _object(
    {
        "since": TIME,
        **dict.fromkeys(("began", "capital", "equity", "realized_pnl", "unrealized_pnl", "fees_paid"), AMOUNT),
        "open_positions": COUNT,
        "open_notional": AMOUNT,
        "trade_seq": COUNT,
        "peak_capital": AMOUNT,
        "reading": TEXT_OR_NULL,
        "positions": {
            "type": "array",
            "items": _object(
                {
                    "symbol": TEXT,
                    "side": {"enum": ["LONG", "SHORT", "FLAT"]},
                    **_POSITION_FIGURES,
                    **dict.fromkeys(("slot_id", "trade_id", "stage"), TEXT),
                }
            ),
        },
        "stated": _map(TIME),
    }
)

_ALONE: Final = _object(
    {
        "field": TEXT,
        "who": {"enum": ["bot", "k", "e", "none"]},
        **dict.fromkeys(("by", "k", "e", "b"), AMOUNT),
    },
    {"reading": TEXT},
)

_BASELINE: Final = _object({"id": TEXT, "at": TIME, "wallet": AMOUNT})

_ADOPTED: Final = _object(
    {
        "baseline": _BASELINE,
        "adopted_by": {"type": "integer", "minimum": 0},
        "why": TEXT,
        "capital_before": AMOUNT_OR_NULL,
        "positions": COUNT,
    }
)

_GAP: Final = _object(
    {
        "id": TEXT,
        "kinds": {"type": "array", "items": {"enum": ["fills", "income"]}},
        "from": TIME,
        "to": TIME_OR_NULL,
        "cause": TEXT,
        "state": {"enum": ["open", "provisional", "final", "unclosable"]},
        "by": TEXT_OR_NULL,
        "rows": {"type": ["integer", "null"]},
        "at": TIME_OR_NULL,
        "closed": _map(_object({"by": TEXT, "rows": COUNT, "at": TIME})),
    },
    {"beyond": _map(TIME), "causes": TEXTS, "opened_at": TIME},
)

_SNAPSHOT: Final = _object(
    {
        "schema": {"type": "integer"},
        "account": TEXT,
        "event_seq": SEQ,
        "source_event_id": {"type": "string", "pattern": "^[a-z_]+:[0-9]+$"},
        "ts": TIME,
        "exchange_ts_ms": {"type": ["integer", "null"]},
        "baseline": {
            "anyOf": [_BASELINE, {"type": "null"}],
        },
        "k": {"$ref": "#/$defs/k"},
        "e": {"$ref": "#/$defs/e"},
        "b": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]},
        "published": _object(
            {
                "capital": AMOUNT_OR_NULL,
                "source": {"enum": ["e_anchored", "k_bridged", "e_disputed", "seed", "unknown"]},
                "usable": FLAG,
                "valid_until": TIME_OR_NULL,
            }
        ),
        "coverage": _object(
            {
                "state": {"enum": ["stale", "gap", "backfilling", "live"]},
                "covered_through": TIME_OR_NULL,
                "kinds": _map(TEXT),
                "gaps": {"type": "array", "items": {"$ref": "#/$defs/gap"}},
                "rejected": COUNT,
                "other_assets": TEXTS,
            },
            {"decisions": {"type": "object"}, "notes": TEXTS},
        ),
        "reconcile": _object(
            {
                "status": STATUS,
                "worst_field": TEXT,
                "deltas": _map(AMOUNT),
                "explanations": TEXTS,
                "divergences": TEXTS,
                "stands_alone": {"type": "array", "items": _ALONE},
                "ts": TIME,
            }
        ),
    }
)

_FILL: Final = _object(
    {
        "order_id": {"type": "string", "pattern": "^[0-9]+$"},
        "z0": AMOUNT,
        "z1": AMOUNT,
        "symbol": TEXT,
        "side": {"enum": ["BUY", "SELL"]},
        "position_side": {"enum": ["LONG", "SHORT", "BOTH"]},
        "price": AMOUNT_OR_NULL,
        "qty": AMOUNT,
        "quote": AMOUNT_OR_NULL,
        "fee": AMOUNT_OR_NULL,
        "fee_asset": TEXT_OR_NULL,
        "realized_pnl": AMOUNT_OR_NULL,
        "trade_ids": TEXTS,
        "at": TIME_OR_NULL,
        "sources": TEXTS,
    },
    {"replaces": {"type": "array", "items": SEQ}},
)

_INCOME: Final = _object(
    {
        "kind": TEXT,
        "amount": AMOUNT_OR_NULL,
        "asset": TEXT_OR_NULL,
        "symbol": TEXT_OR_NULL,
        "tran_id": TEXT_OR_NULL,
        "at": TIME,
        "sources": TEXTS,
    },
    {"replaces": {"type": "array", "items": SEQ}},
)

_ATTRIBUTION: Final = _object(
    {"cause": TEXT}, {"ids": TEXTS, "amount": AMOUNT_OR_NULL, "exact": FLAG, "evidence": TEXT, "tried": TEXTS}
)

_DIVERGENCE: Final = _object(
    {
        "id": TEXT,
        "rule": TEXT,
        "field": TEXT,
        "symbol": TEXT_OR_NULL,
        "side": TEXT_OR_NULL,
        "k": AMOUNT_OR_NULL,
        "e": AMOUNT_OR_NULL,
        "delta": AMOUNT_OR_NULL,
        "tolerance": AMOUNT_OR_NULL,
        "class": TEXT,
        "severity": STATUS,
        "first_seq": SEQ,
        "first_at": TIME,
        "last_seq": SEQ,
        "confirmations": COUNT,
        "state": {"enum": ["open", "confirmed", "healed", "adopted"]},
        "attribution": {"type": "array", "items": _ATTRIBUTION},
    },
    {"healed_by": TEXT_OR_NULL, "closed_at": TIME, "duration_s": {"type": "number"}},
)

_ACCOUNT_EVENT: Final = _object(
    {
        "timestamp": TEXT,
        **dict.fromkeys(("runtime_namespace", "strategy_namespace", "event_namespace", "actor_name"), TEXT),
        **dict.fromkeys(("exec_venue", "data_venue", "ledger_authority"), TEXT),
        **dict.fromkeys(("capital", "equity"), AMOUNT_OR_NULL),
        "open_positions": COUNT,
        **dict.fromkeys(("current_open_notional", "current_account_leverage"), AMOUNT_OR_NULL),
        **dict.fromkeys(("trade_id", "asset"), TEXT),
        "side": SIDE,
        "reason": TEXT,
        "stage": {"enum": ["POSITION_OPENED", "CLOSED"]},
        **dict.fromkeys(("pnl", "pnl_pct"), AMOUNT_OR_NULL),
        "bars_held": COUNT,
        "metadata": _object(
            {"trade": TEXT, "opened_at": TIME_OR_NULL, "qty": AMOUNT, "entry_price": AMOUNT_OR_NULL},
            {
                "entry_quote": AMOUNT,
                "order_ids": TEXTS,
                "more_orders": FLAG,
                "opened_before_ledger": FLAG,
                "since": TIME,
                "closed_at": TIME_OR_NULL,
                "exit_price": AMOUNT_OR_NULL,
                "exit_quote": AMOUNT,
                **dict.fromkeys(("gross", "fees"), AMOUNT_OR_NULL),
                **dict.fromkeys(("max_qty", "precision"), AMOUNT),
                **dict.fromkeys(("unknown", "withdrawn"), FLAG),
                "replaces": {"type": "array", "items": SEQ},
                "was": AMOUNT_OR_NULL,
                "ended_by": TEXT,
            },
        ),
    }
)

_BODIES: Final[dict[str, Schema]] = {
    RecordType.FILL: _FILL,
    RecordType.INCOME: _INCOME,
    RecordType.DIVERGENCE: _DIVERGENCE,
    RecordType.GAP: _GAP,
    RecordType.STREAM: _object({"state": TEXT, "detail": TEXT}),
    RecordType.REJECTED: _object({"source": TEXT, "reason": TEXT, "money": FLAG, "excerpt": TEXT}),
    RecordType.ACCOUNT_EVENT: _ACCOUNT_EVENT,
    RecordType.SNAPSHOT: _SNAPSHOT,
}

_POSITION_ITEM: Final = _object(
    {
        "seq": SEQ,
        "symbol": TEXT,
        "side": SIDE,
        "k": {"anyOf": [_object(_POSITION_FIGURES), {"type": "null"}]},
        "e": {"anyOf": [_object(_POSITION_FIGURES), {"type": "null"}]},
    }
)

_ENTRY: Final = _object(
    {
        "seq": {"type": ["integer", "null"]},
        "at": TIME_OR_NULL,
        "what": TEXT,
        "operation": {"enum": ["add", "subtract", "divide", "max", "min", "round"]},
        "amount": AMOUNT_OR_NULL,
        "running_total": AMOUNT_OR_NULL,
    }
)

_WHY: Final = _object(
    {
        "account": TEXT,
        "field": TEXT,
        "event_seq": SEQ,
        "seq": SEQ,
        "ts": TIME,
        "value": AMOUNT_OR_NULL,
        "note": TEXT_OR_NULL,
        "count": {"type": ["integer", "null"]},
        "exact": {"type": ["boolean", "null"]},
        "items": {"type": "array", "items": _ENTRY},
        "next_after_seq": {"type": ["integer", "null"]},
    }
)

_MOVED: Final = _object({"field": TEXT, "a": TEXT_OR_NULL, "b": TEXT_OR_NULL, "difference": AMOUNT_OR_NULL})
_LIVES: Final = {
    "type": "array",
    "items": _object({"id": TEXT, "opened": FLAG, "closed": FLAG, "state": TEXT, "about": TEXT}),
}
_STANDS: Final = _object({"event_seq": SEQ, "seq": SEQ, "ts": TIME})
_DIFFERENCE: Final = _object(
    {
        "account": TEXT,
        "a": _STANDS,
        "b": _STANDS,
        "figures": {"type": "array", "items": _MOVED},
        "texts": {"type": "array", "items": _object({"field": TEXT, "a": {}, "b": {}})},
        "positions": {
            "type": "array",
            "items": _object(
                {
                    "ledger": {"enum": ["k", "e"]},
                    "symbol": TEXT,
                    "side": SIDE,
                    "change": {"enum": ["opened", "closed", "changed"]},
                    "figures": {"type": "array", "items": _MOVED},
                }
            ),
        },
        "divergences": _LIVES,
        "gaps": _LIVES,
        "records": _map(COUNT),
    }
)

_ACCOUNT_ITEM: Final = _object(
    {
        "account": TEXT,
        "served": FLAG,
        "ready": FLAG,
        "reasons": TEXTS,
        "what_to_do": TEXT_OR_NULL,
        "seq": SEQ,
        "verdict": _object(
            {"status": STATUS},
            {
                "since": TIME_OR_NULL,
                "worst_field": TEXT,
                "capital": AMOUNT_OR_NULL,
                "source": TEXT,
                "usable": FLAG,
                "valid_until": TIME_OR_NULL,
                "coverage": TEXT,
                "event_seq": SEQ,
            },
        ),
    }
)

_ERROR: Final = _object(
    {
        "error": _object(
            {
                "code": {"enum": [code.value for code in ErrorCode]},
                "message": TEXT,
            }
        )
    },
    {"ready": {"const": False}, "reasons": TEXTS, "accounts": _map(TEXTS), "oldest": SEQ, "newest": SEQ},
)

_ANSWERS: Final = {
    "GET /v1/livez": "livez",
    "GET /v1/readyz": "readyz",
    "GET /v1/accounts/{account}/readyz": "readyz",
    "GET /v1/version": "version",
    "GET /v1/metrics": "metrics",
    "GET /v1/schema": "schema",
    "GET /v1/accounts": "accounts",
    "GET /v1/accounts/{account}/snapshot": "snapshot",
    "GET /v1/accounts/{account}/positions": "positions",
    "GET /v1/accounts/{account}/fills": "fills",
    "GET /v1/accounts/{account}/income": "income_list",
    "GET /v1/accounts/{account}/divergences": "divergences",
    "GET /v1/accounts/{account}/gaps": "gaps",
    "GET /v1/accounts/{account}/events": "line",
    "GET /v1/accounts/{account}/why": "why",
    "GET /v1/accounts/{account}/diff": "diff",
    "PUT /v1/accounts/{account}/bot/slots": "slots_taken",
    "POST /v1/accounts/{account}/bot/settlements": "settlement_taken",
    "POST /v1/accounts/{account}/audit": "asked",
    "POST /v1/accounts/{account}/adopt": "adopted",
}

_SENT: Final = {
    "PUT /v1/accounts/{account}/bot/slots": "slots",
    "POST /v1/accounts/{account}/bot/settlements": "settlement",
}

_SENT_AMOUNT: Final = {"type": ["string", "number"]}
_SENT_NAME: Final = {"type": ["string", "integer"]}
_SETTLED: Final = {"settlement_id": {"type": "string", "minLength": 1, "maxLength": 128}}

_SAID: Final = {
    "slots": _object(
        {
            "slots": {
                "type": "array",
                "maxItems": 1_000,
                "items": _object(
                    {
                        "asset": {"type": "string", "minLength": 1, "maxLength": 64},
                        "side": {"enum": ["LONG", "SHORT", "FLAT"]},
                        **dict.fromkeys(("size", "entry_price"), _SENT_AMOUNT),
                        "fsm_state": {"type": "string", "minLength": 1, "maxLength": 64},
                    },
                    {
                        **dict.fromkeys(("slot_id", "trade_id"), _SENT_NAME),
                        "unrealized_pnl": _SENT_AMOUNT,
                        "closed": FLAG,
                        "metadata": {"type": ["object", "null"]},
                    },
                ),
            }
        }
    ),
    "settlement": _object({**_SETTLED, "realized_pnl": _SENT_AMOUNT}, {"fees": _SENT_AMOUNT}),
    "slots_taken": _object({"account": TEXT, "slots": COUNT, "open_positions": COUNT, "unchanged": FLAG}),
    "settlement_taken": _object(
        {"account": TEXT, **_SETTLED, "realized_pnl": AMOUNT, "fees": AMOUNT, "repeated": FLAG}
    ),
}
"""What a bot sends, and what it is answered: `realized_pnl` is net, `fees` are counted beside it."""


@cache
def schema() -> Schema:
    """Give the document, by method and path, and by status for errors; of `events` it describes one line."""
    bookmark = _object({"type": {"const": "bookmark"}, "seq": SEQ, "ts": TIME})
    dropped = _object({"type": {"const": "dropped"}, "from": SEQ, "to": SEQ})
    records = {
        f"{kind}_record": _object(
            {"seq": SEQ, "type": {"const": str(kind)}, "ts": TIME, str(kind): {"$ref": f"#/$defs/{kind}"}}
        )
        for kind in RecordType
    }
    lines = [*records, "bookmark", "dropped"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ditad: the answers on the socket, version 1",
        "answers": {path: {"$ref": f"#/$defs/{name}"} for path, name in _ANSWERS.items()},
        "errors": {str(status): {"$ref": "#/$defs/error"} for status in STATUS_OF.values()},
        "bodies": {path: {"$ref": f"#/$defs/{name}"} for path, name in _SENT.items()},
        "$defs": {
            "amount": {"type": "string", "pattern": "^(0|-?(0|[1-9][0-9]*)(\\.[0-9]*[1-9])?)$", "not": {"const": "-0"}},
            "amount_or_null": {"anyOf": [AMOUNT, {"type": "null"}]},
            "time": {
                "type": "string",
                "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z$",
            },
            "k": _K,
            "e": _E,
            "b": _B,
            **_SAID,
            **{str(kind): body for kind, body in _BODIES.items()},
            **records,
            "bookmark": bookmark,
            "dropped": dropped,
            "line": {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in lines]},
            "metrics": {"type": "string", "contentMediaType": "text/plain; version=0.0.4"},
            "schema": _object({"$defs": {"type": "object"}, "answers": {"type": "object"}}),
            "livez": _object({"live": {"const": True}}),
            "readyz": _object({"ready": {"const": True}, "reasons": TEXTS}, {"accounts": _map(TEXTS)}),
            "version": _object({"name": {"const": "ditad"}, "version": TEXT, "api_version": {"type": "integer"}}),
            "accounts": _list(_ACCOUNT_ITEM),
            "positions": _list(_POSITION_ITEM),
            "fills": _list(_item("fill")),
            "income_list": _list(_item("income")),
            "divergences": _list(_item("divergence")),
            "gaps": _list(_item("gap")),
            "why": _WHY,
            "diff": _DIFFERENCE,
            "asked": _object({"account": TEXT, "asked": {"const": True}}),
            "adopted": _ADOPTED,
            "error": _ERROR,
        },
    }
