"""Asking the exchange what `ditad doctor` wants to know of one account.

What enters: an account's settings and credentials. What leaves: findings, one after the other, as they are made. What
holds: nothing is asked but by the readings of `bingx.calls`, at the account's own rate and with its regard for the
exchange's limits, which the bot shares; every question has an end; one that fails does not keep the others from being
asked, unless their answer is known by that. No listen key is asked for: that might take the one in use from its socket.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeVar

import structlog
from websockets.exceptions import WebSocketException

from ditad.bingx import conditions, rows
from ditad.bingx.network import Confined, Internet, Network, failure
from ditad.bingx.options import Credentials, FeedOptions, Hosts
from ditad.bingx.questions import Asker
from ditad.bingx.rest import Rest
from ditad.clock import SystemClock
from ditad.doctor import judging_exchange as judging
from ditad.doctor.findings import Finding
from ditad.errors import DitadError, Refusal, VenueError

QUESTION_S_MAX: Final = 15.0
"""One check takes no longer, its repetitions included."""

FRAME_BYTES_MAX: Final = 1024
PAST_MS: Final = 60_000
"""How far back the history is asked for: that it is answered is the question."""

SYMBOL: Final = "BTC-USDT"
"""Whose fills are asked for where there is no position."""

AFTER_KEY: Final = judging.CHECKS[2:]

Given = TypeVar("Given")


class Examination:
    """The questions of one account."""

    def __init__(
        self, *, options: FeedOptions, hosts: Hosts, credentials: Credentials, network: Network | None = None
    ) -> None:
        """Prepare; nothing is sent before `findings`."""
        rest_urls = [url for url in (hosts.rest_url, hosts.rest_fallback_url) if url is not None]
        self._network = Confined(Internet() if network is None else network, rest_urls=rest_urls, ws_url=hosts.ws_url)
        self._options = options
        self._hosts = hosts
        self._rest = Rest(
            hosts=hosts,
            credentials=credentials,
            requests_per_s=options.requests_per_s,
            network=self._network,
            clock=SystemClock(),
            random=random.Random(),  # noqa: S311 - jitter, no secret
            log=structlog.wrap_logger(None, processors=[_said_to_nobody]),
            answer_s=min(options.request_timeout_s, QUESTION_S_MAX),
        )
        self._asker = Asker(rest=self._rest, options=options, touched=lambda: (0, 0))

    async def findings(self) -> AsyncGenerator[Finding, None]:
        """Ask one question after the other."""
        async with self._rest:
            reached = await answered(self._reached())
            yield judging.exchange(self._hosts.rest_url, reached)
            yield judging.stream(self._hosts.ws_url, await self._dialled())
            if isinstance(reached, DitadError):
                for check in judging.CHECKS:
                    yield judging.not_asked(check, "the exchange is not reached")
                return
            yield judging.clock(reached)
            assets = await answered(self._assets())
            positions = await answered(self._asker.positions_once())
            refused = next((one for one in (assets, positions) if isinstance(one, DitadError)), None)
            yield judging.key(refused)
            if refused is not None or isinstance(assets, DitadError) or isinstance(positions, DitadError):
                for check in AFTER_KEY:
                    yield judging.not_asked(check, "the key does not work")
                return
            yield judging.margin_asset(self._options.margin_asset, assets)
            symbol = next((row.symbol for row in positions[0].rows), SYMBOL)
            async for finding in self._terms(symbol):
                yield finding

    async def _terms(self, symbol: str) -> AsyncGenerator[Finding, None]:
        """Ask what a working key is told."""
        rights = await answered(self._read("/v1/account/apiPermissions", "key permissions", conditions.key_rights))
        yield judging.rights(rights, withdraw_allowed=self._options.allow_withdraw_permission)
        multi = await answered(self._read("/swap/v1/trade/assetMode", "asset mode", conditions.multi_asset))
        yield judging.asset_mode(multi)
        hedge = await answered(self._read("/swap/v1/positionSide/dual", "position mode", conditions.hedge_mode))
        yield judging.position_mode(hedge)
        from_ms = self._rest.now()[1] - PAST_MS
        past = {
            "fills": await answered(self._asker.fills(symbol, from_ms)),
            "orders": await answered(self._asker.orders_since(from_ms)),
            "income": await answered(self._asker.income(from_ms)),
        }
        yield judging.history({name: one if isinstance(one, DitadError) else None for name, one in past.items()})

    async def _reached(self) -> judging.Reached:
        began_s = time.monotonic()
        offset_ms = await self._rest.sync_clock()
        took_s = time.monotonic() - began_s
        return judging.Reached(host=self._hosts.rest_url, offset_ms=offset_ms, took_s=took_s)

    async def _dialled(self) -> str:
        """Open a connection to the streams, without a key, and close it; gives why that failed."""
        try:
            async with asyncio.timeout(QUESTION_S_MAX), self._network.dial(self._hosts.ws_url, FRAME_BYTES_MAX):
                return ""
        except TimeoutError:
            return f"no connection within {QUESTION_S_MAX:g} s"
        except (OSError, WebSocketException) as exc:
            return failure(exc)

    async def _assets(self) -> set[str]:
        """Give the assets that the account has a wallet of, by v2, and by v3 where v2 does not have the one we want."""
        assets: set[str] = set()
        for path in ("/swap/v2/user/balance", "/swap/v3/user/balance"):
            answer = await self._rest.get(path, {}, what="balance")
            assets |= {row.asset for row in rows.balance_rows(answer.data)}
            if self._options.margin_asset in assets:
                break
        return assets

    async def _read(self, path: str, what: str, read: Callable[[object], Given]) -> Given:
        return read((await self._rest.get(path, {}, what=what)).data)


def _said_to_nobody(_logger: object, _method: str, _fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop every line of the log: who runs this reads findings."""
    raise structlog.DropEvent


async def answered(question: Awaitable[Given]) -> Given | DitadError:
    """Wait for an answer, or for what it came to."""
    try:
        async with asyncio.timeout(QUESTION_S_MAX):
            return await question
    except TimeoutError:
        return VenueError(f"no answer within {QUESTION_S_MAX:g} s")
    except (VenueError, Refusal) as exc:
        return exc
