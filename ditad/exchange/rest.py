"""The REST front as one pure function: a request in, a reply out (bingx.md §2, §5).

Enters: method, path, raw query, headers. Leaves: status, headers, body, and what the faults made of
them. Truths held: business errors are HTTP 200 in an envelope; nothing is answered to a signature that
is not the HMAC of the sorted raw parameters; the listen key's answers have no envelope.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random
from typing import Final
from urllib.parse import parse_qsl

import orjson

from ditad.exchange import reports_quote, reports_trade, reports_user
from ditad.exchange.desk import Desk
from ditad.exchange.faults import Faults, ReplyFate
from ditad.exchange.keys import ListenKeys
from ditad.exchange.reporting import CODE_INVALID, Asked, Params, RestRefusal
from ditad.exchange.venue import Venue

QUERY_MAX: Final = 16_384
PARAMS_MAX: Final = 64
RECV_WINDOW_MS_MAX: Final = 5000
AHEAD_MS_MAX: Final = 1000
LISTEN_KEY_PATH: Final = "/openApi/user/auth/userDataStream"

CODE_SIGNATURE: Final = 100001
CODE_PERMISSION: Final = 100004
CODE_NO_PATH: Final = 100400
CODE_BUSY: Final = 100410
CODE_KEY: Final = 100413

HTTP_OK: Final = 200
HTTP_NO_CONTENT: Final = 204
HTTP_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request; header names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""  # form parameters, which count as if they stood in the query


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer, and what becomes of it on the way."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_ms: int = 0
    drop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How many requests one key (or nobody) may make of one path in a window."""

    requests: int = 500
    window_ms: int = 10_000
    enforced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One GET path: who answers, and which permission it wants (None: no key)."""

    answer: Callable[[Asked], object]
    permission: str | None = None


ROUTES: Final[Mapping[str, Route]] = {
    "/openApi/swap/v2/server/time": Route(answer=reports_quote.server_time),
    "/openApi/swap/v2/quote/contracts": Route(answer=reports_quote.contracts),
    "/openApi/swap/v2/quote/premiumIndex": Route(answer=reports_quote.premium_index),
    "/openApi/swap/v2/user/balance": Route(answer=reports_user.balance_v2, permission="read"),
    "/openApi/swap/v3/user/balance": Route(answer=reports_user.balance_v3, permission="read"),
    "/openApi/swap/v2/user/positions": Route(answer=reports_user.positions, permission="read"),
    "/openApi/swap/v2/user/income": Route(answer=reports_user.income, permission="trade"),
    "/openApi/swap/v2/user/commissionRate": Route(answer=reports_user.commission_rate, permission="trade"),
    "/openApi/swap/v2/trade/leverage": Route(answer=reports_user.leverage, permission="read"),
    "/openApi/swap/v2/trade/marginType": Route(answer=reports_user.margin_type, permission="read"),
    "/openApi/swap/v1/positionSide/dual": Route(answer=reports_user.dual_side, permission="trade"),
    "/openApi/swap/v1/trade/assetMode": Route(answer=reports_user.asset_mode, permission="read"),
    "/openApi/v1/account/apiPermissions": Route(answer=reports_user.api_permissions, permission="read"),
    "/openApi/swap/v2/trade/fillHistory": Route(answer=reports_trade.fill_history, permission="read"),
    "/openApi/swap/v2/trade/allFillOrders": Route(answer=reports_trade.all_fill_orders, permission="trade"),
    "/openApi/swap/v2/trade/openOrders": Route(answer=reports_trade.open_orders, permission="read"),
    "/openApi/swap/v2/trade/allOrders": Route(answer=reports_trade.all_orders, permission="trade"),
    "/openApi/swap/v2/trade/order": Route(answer=reports_trade.order, permission="read"),
    "/openApi/swap/v2/trade/forceOrders": Route(answer=reports_trade.force_orders, permission="read"),
    # What ccxt asks for while it loads its markets.
    "/openApi/wallets/v1/capital/config/getall": Route(answer=reports_quote.coins, permission="read"),
    "/openApi/spot/v1/common/symbols": Route(answer=reports_quote.no_spot_symbols),
    "/openApi/cswap/v1/market/contracts": Route(answer=reports_quote.no_coin_contracts),
}


def signature_of(secret: str, params: Params) -> str:
    """Sign as bingx.md §5 says: sorted raw k=v joined by &, HMAC-SHA256, lower-case hex."""
    text = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
    return hmac.new(secret.encode(), text.encode(), sha256).hexdigest()


class Rest:
    """The answering side of the exchange; holds nothing but the request counts of its limits."""

    def __init__(
        self,
        *,
        venue: Venue,
        keys: ListenKeys,
        faults: Faults,
        rng: Random,
        limit: RateLimit,
        clock: Callable[[], int],
    ) -> None:
        """Answer about `venue`; `rng` shuffles rows where the dialect wants it."""
        self._venue = venue
        self._keys = keys
        self._faults = faults
        self._rng = rng
        self._limit = limit
        self._clock = clock
        self._asked_ms: dict[tuple[str, str], deque[int]] = {}

    def answer(self, request: Request) -> Reply:
        """Answer one request, then let the faults have their way with the answer."""
        now_ms = self._clock()
        reply = self._answer(request, now_ms)
        return harmed(reply, self._faults.for_reply())

    def _answer(self, request: Request, now_ms: int) -> Reply:
        params = _params(request)
        try:
            if request.path == LISTEN_KEY_PATH:
                return self._listen_key(request, params, now_ms)
            route = ROUTES.get(request.path)
            if route is None or request.method != "GET":
                raise RestRefusal(CODE_NO_PATH, f"this api is not exist: {request.path}")  # noqa: TRY301
            desk = None
            if route.permission is not None:
                desk = self._owner(request)
                _check_signature(desk, params)
                self._check_time(params, now_ms)
                _check_permission(desk, route.permission)
            headers = self._counted(desk.spec.name if desk else "", request.path, now_ms)
            asked = Asked(venue=self._venue, desk=desk, params=params, now_ms=now_ms, rng=self._rng)
            return _envelope(0, "", route.answer(asked), headers)
        except RestRefusal as exc:
            return _envelope(exc.code, exc.message, {}, {})

    def _owner(self, request: Request) -> Desk:
        desk = self._venue.by_api_key(request.headers.get("x-bx-apikey", ""))
        if desk is None:
            message = "Incorrect apiKey, please check your valid api key"
            raise RestRefusal(CODE_KEY, message)
        return desk

    def _check_time(self, params: Params, now_ms: int) -> None:
        window = params.get("recvWindow", str(RECV_WINDOW_MS_MAX))
        stamp = params.get("timestamp", "")
        if not window.isdigit() or int(window) > RECV_WINDOW_MS_MAX:
            message = f"Invalid parameters, err:recvWindow: at most {RECV_WINDOW_MS_MAX}"
            raise RestRefusal(CODE_INVALID, message)
        late = not stamp.isdigit() or not (now_ms - int(window) <= int(stamp) <= now_ms + AHEAD_MS_MAX)
        if late:
            message = f"timestamp is invalid: {stamp}, server time is {now_ms}"
            raise RestRefusal(self._venue.dialect.timestamp_code, message)

    def _counted(self, who: str, path: str, now_ms: int) -> dict[str, str]:
        limit = self._limit
        asked = self._asked_ms.setdefault((who, path), deque(maxlen=limit.requests))
        while asked and asked[0] <= now_ms - limit.window_ms:
            asked.popleft()
        if limit.enforced and len(asked) >= limit.requests:
            raise RestRefusal(CODE_BUSY, "The endpoint trigger frequency limit rule is currently on")
        asked.append(now_ms)
        return {
            "X-RateLimit-Requests-Remain": str(limit.requests - len(asked)),
            "X-RateLimit-Requests-Expire": str(asked[0] + limit.window_ms),
        }

    def _listen_key(self, request: Request, params: Params, now_ms: int) -> Reply:
        desk = self._owner(request)
        if "signature" in params:
            _check_signature(desk, params)
        if request.method == "POST":
            key = self._keys.create(desk.spec.name, now_ms)
            return Reply(status=HTTP_OK, body=orjson.dumps({"listenKey": key.text}))
        verb = {"PUT": self._keys.renew, "DELETE": self._keys.delete}.get(request.method)
        if verb is None:
            raise RestRefusal(CODE_NO_PATH, f"this api is not exist: {request.path}")
        text = params.get("listenKey")
        if not text:
            return Reply(status=HTTP_NO_CONTENT, body=b"")
        found = verb(text, desk.spec.name, now_ms)
        return Reply(status=HTTP_OK if found else HTTP_NOT_FOUND, body=b"")


def harmed(reply: Reply, fate: ReplyFate) -> Reply:
    """Give the reply that the faults make of a good one."""
    if fate.code:
        reply = replace(_envelope(fate.code, _MESSAGES.get(fate.code, ""), {}, reply.headers))
    elif fate.status:
        page = f"<html><body>{fate.status}</body></html>".encode()
        reply = replace(reply, status=fate.status, body=page, content_type="text/html")
    elif fate.truncate:
        reply = replace(reply, body=reply.body[: len(reply.body) // 2])
    elif fate.wrong_type:
        page = b"<html><body>maintenance</body></html>"
        reply = replace(reply, body=page, content_type="text/html")
    elif fate.null:
        reply = _envelope(0, "", None, reply.headers)
    return replace(reply, delay_ms=fate.delay_ms, drop=fate.drop)


_MESSAGES: Final = {
    100001: "Signature verification failed",
    100004: "Permission denied, the API key was created without the permission",
    100410: "The current system is busy, please try again later",
    100413: "Incorrect apiKey, please check your valid api key",
    100419: "IP does not match IP whitelist",
    100421: "timestamp is invalid",
    101214: "settling funding, please try again later",
    109400: "timestamp is invalid",
}


def _envelope(code: int, message: str, data: object, headers: Mapping[str, str]) -> Reply:
    body = orjson.dumps({"code": code, "msg": message, "data": data})
    return Reply(status=HTTP_OK, body=body, headers=headers)


def _params(request: Request) -> dict[str, str]:
    text = "&".join(filter(None, (request.query, request.body)))[:QUERY_MAX]
    return dict(parse_qsl(text, keep_blank_values=True)[:PARAMS_MAX])


def _check_signature(desk: Desk, params: Params) -> None:
    expected = signature_of(desk.spec.api_secret, params)
    if not hmac.compare_digest(expected.encode(), params.get("signature", "").encode()):
        message = "Signature verification failed due to signature mismatch"
        raise RestRefusal(CODE_SIGNATURE, message)


def _check_permission(desk: Desk, permission: str) -> None:
    if permission not in desk.spec.permissions:
        message = f"Permission denied, the API key was created without the permission {permission}"
        raise RestRefusal(CODE_PERMISSION, message)
