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
from ditad.exchange.reporting import CODE_INVALID, Asked, Params, RestRefusal, nothing_in
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
CODE_INTERNAL: Final = 100500
CODES_LIMITED: Final = frozenset({CODE_BUSY, 109429})
# The numbering before October 2025 (bingx.md §5, Errors).
OLD_CODES: Final = {109500: 80012, 109400: 80014, 109421: 80016}

HTTP_OK: Final = 200
HTTP_NO_CONTENT: Final = 204
HTTP_NOT_FOUND: Final = 404
HTTP_BANNED: Final = 418
HTTP_LIMITED: Final = frozenset({HTTP_BANNED, 429})
WRONG_LABELS: Final = ("text/plain", "application/octet-stream", "text/html")


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
    """How many requests one key (or nobody) may make of one path in a window, and what comes beyond it."""

    requests: int = 500
    window_ms: int = 10_000
    enforced: bool = False
    status: int = HTTP_OK  # 200: code 100410 in the envelope; else this status and a page
    ban_after: int = 0  # so many requests beyond the limit are answered by a ban; 0: never
    ban_ms: int = 120_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One GET path: who answers, and which permission it wants (None: no key)."""

    answer: Callable[[Asked], object]
    permission: str | None = None
    lists: bool = False  # whether null is how this path may say that there is nothing


ROUTES: Final[Mapping[str, Route]] = {
    "/openApi/swap/v2/server/time": Route(answer=reports_quote.server_time),
    "/openApi/swap/v2/quote/contracts": Route(answer=reports_quote.contracts),
    "/openApi/swap/v2/quote/premiumIndex": Route(answer=reports_quote.premium_index),
    "/openApi/swap/v2/user/balance": Route(answer=reports_user.balance_v2, permission="read"),
    "/openApi/swap/v3/user/balance": Route(answer=reports_user.balance_v3, permission="read"),
    "/openApi/swap/v2/user/positions": Route(answer=reports_user.positions, permission="read", lists=True),
    "/openApi/swap/v2/user/income": Route(answer=reports_user.income, permission="trade", lists=True),
    "/openApi/swap/v2/user/commissionRate": Route(answer=reports_user.commission_rate, permission="trade"),
    "/openApi/swap/v2/trade/leverage": Route(answer=reports_user.leverage, permission="read"),
    "/openApi/swap/v2/trade/marginType": Route(answer=reports_user.margin_type, permission="read"),
    "/openApi/swap/v1/positionSide/dual": Route(answer=reports_user.dual_side, permission="trade"),
    "/openApi/swap/v1/trade/assetMode": Route(answer=reports_user.asset_mode, permission="read"),
    "/openApi/v1/account/apiPermissions": Route(answer=reports_user.api_permissions, permission="read"),
    "/openApi/swap/v2/trade/fillHistory": Route(answer=reports_trade.fill_history, permission="read", lists=True),
    "/openApi/swap/v2/trade/allFillOrders": Route(answer=reports_trade.all_fill_orders, permission="trade", lists=True),
    "/openApi/swap/v2/trade/openOrders": Route(answer=reports_trade.open_orders, permission="read", lists=True),
    "/openApi/swap/v2/trade/allOrders": Route(answer=reports_trade.all_orders, permission="trade", lists=True),
    "/openApi/swap/v2/trade/order": Route(answer=reports_trade.order, permission="read"),
    "/openApi/swap/v2/trade/forceOrders": Route(answer=reports_trade.force_orders, permission="read", lists=True),
    # What ccxt asks for while it loads its markets.
    "/openApi/wallets/v1/capital/config/getall": Route(answer=reports_quote.coins, permission="read"),
    "/openApi/spot/v1/common/symbols": Route(answer=reports_quote.no_spot_symbols),
    "/openApi/cswap/v1/market/contracts": Route(answer=reports_quote.no_coin_contracts),
}


class Limited(Exception):
    """More was asked than the limit allows; the reply says so."""

    def __init__(self, reply: Reply) -> None:
        """Keep the reply."""
        super().__init__(reply.status)
        self.reply = reply


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
        elapsed: Callable[[], int],
    ) -> None:
        """Answer about `venue`; `rng` shuffles rows where the dialect wants it.

        `clock` is what the exchange says the time is; limits, bans and keys go by `elapsed`.
        """
        self._venue = venue
        self._keys = keys
        self._faults = faults
        self._rng = rng
        self._limit = limit
        self._clock = clock
        self._elapsed = elapsed
        self._banned_until_ms = 0
        self._refused = 0
        self._asked_ms: dict[tuple[str, str], deque[int]] = {}

    def answer(self, request: Request) -> Reply:
        """Answer one request, then let the faults have their way with the answer.

        What was asked for happens also where the answer is lost; under a ban nothing does.
        """
        if self._elapsed() < self._banned_until_ms:
            return self._page(HTTP_BANNED, self._banned_until_ms)
        fate = self._faults.for_reply(request.path)
        if fate.ban_ms:
            return self._ban(fate.ban_ms)
        return self._harmed(request, self._answer(request), fate)

    def _answer(self, request: Request) -> Reply:
        now_ms = self._clock()
        params = _params(request)
        try:
            if request.path == LISTEN_KEY_PATH:
                return self._listen_key(request, params)
            route = ROUTES.get(request.path)
            if route is None or request.method != "GET":
                raise RestRefusal(CODE_NO_PATH, f"this api is not exist: {request.path}")  # noqa: TRY301
            desk = None
            if route.permission is not None:
                desk = self._owner(request)
                _check_signature(desk, params)
                self._check_time(params, now_ms)
                _check_permission(desk, route.permission)
            headers = self._counted(desk.spec.name if desk else "", request.path)
            asked = Asked(
                venue=self._venue, desk=desk, params=params, now_ms=now_ms, elapsed_ms=self._elapsed(), rng=self._rng
            )
            return _envelope(0, "", route.answer(asked), headers)
        except Limited as exc:
            return exc.reply
        except RestRefusal as exc:
            return self._error(exc.code, exc.message)

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

    def _counted(self, who: str, path: str) -> dict[str, str]:
        limit, now_ms = self._limit, self._elapsed()
        asked = self._asked_ms.setdefault((who, path), deque(maxlen=limit.requests))
        while asked and asked[0] <= now_ms - limit.window_ms:
            asked.popleft()
        if limit.enforced and len(asked) >= limit.requests:
            raise Limited(self._beyond_limit(asked[0] + limit.window_ms))
        asked.append(now_ms)
        return self._told_limit(limit.requests - len(asked), asked[0] + limit.window_ms)

    def _beyond_limit(self, until_ms: int) -> Reply:
        self._refused += 1
        if self._limit.ban_after and self._refused >= self._limit.ban_after:
            self._refused = 0
            return self._ban(self._limit.ban_ms)
        if self._limit.status != HTTP_OK:
            return self._page(self._limit.status, until_ms)
        return self._error(CODE_BUSY, _MESSAGES[CODE_BUSY], self._told_limit(0, until_ms))

    def _ban(self, ban_ms: int) -> Reply:
        self._banned_until_ms = self._elapsed() + ban_ms
        return self._page(HTTP_BANNED, self._banned_until_ms)

    def _told_limit(self, remain: int, until_ms: int) -> dict[str, str]:
        """Write the headers; `until_ms` is by `elapsed`, what is told by the exchange's clock."""
        told_ms = until_ms + self._clock() - self._elapsed()
        return {"X-RateLimit-Requests-Remain": str(remain), "X-RateLimit-Requests-Expire": str(told_ms)}

    def _page(self, status: int, until_ms: int) -> Reply:
        """Give an HTML page, which is what stands behind an HTTP status."""
        headers = self._told_limit(0, until_ms) if status in HTTP_LIMITED else {}
        page = f"<html><body>{status}</body></html>".encode()
        return Reply(status=status, body=page, content_type="text/html", headers=headers)

    def _error(self, code: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Give a business error in the dialect's numbering; its `data` looks like nothing, too."""
        dialect = self._venue.dialect
        number = OLD_CODES.get(code, code) if dialect.old_codes else code
        nothing = nothing_in(dialect)
        return _envelope(str(number) if dialect.code_text else number, message, nothing, headers or {})

    def _harmed(self, request: Request, reply: Reply, fate: ReplyFate) -> Reply:
        """Give what the faults make of a good reply; a success never says less than there is."""
        expire_ms = self._elapsed() + self._limit.window_ms
        if fate.code:
            limited = self._told_limit(0, expire_ms) if fate.code in CODES_LIMITED else reply.headers
            reply = self._error(fate.code, _MESSAGES.get(fate.code, "error"), limited)
        elif fate.status:
            reply = self._page(fate.status, expire_ms)
        elif fate.truncate:
            reply = replace(reply, body=reply.body[: len(reply.body) // 2])
        elif fate.wrong_type:
            reply = replace(reply, body=b"<html><body>maintenance</body></html>", content_type="text/html")
        elif fate.wrong_label:
            reply = replace(reply, content_type=self._rng.choice(WRONG_LABELS))
        elif fate.null:
            # Under code 0 a null list would be an honest answer: nothing happened. That would be a lie.
            route = ROUTES.get(request.path)
            code, message = (CODE_INTERNAL, _MESSAGES[CODE_INTERNAL]) if route and route.lists else (0, "")
            reply = _envelope(code, message, None, reply.headers)
        return replace(reply, delay_ms=fate.delay_ms, drop=fate.drop)

    def _listen_key(self, request: Request, params: Params) -> Reply:
        desk, now_ms = self._owner(request), self._elapsed()
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


_MESSAGES: Final = {
    100001: "Signature verification failed",
    100004: "Permission denied, the API key was created without the permission",
    504: "Gateway timeout, please try again later",
    80012: "Service unavailable, please try again later",
    100410: "The endpoint trigger frequency limit rule is currently on",
    100413: "Incorrect apiKey, please check your valid api key",
    100419: "IP does not match IP whitelist",
    100412: "Null signature",
    100421: "timestamp is invalid",
    100500: "Internal system error, please try again later",
    101214: "settling funding, please try again later",
    109400: "timestamp is invalid",
    109429: "Too many requests, please try again later",
    109500: "Service unavailable, please try again later",
    110500: "Service unavailable, please try again later",
}


def _envelope(code: int | str, message: str, data: object, headers: Mapping[str, str]) -> Reply:
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
