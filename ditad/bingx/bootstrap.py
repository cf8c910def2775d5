"""The beginning of a conversation: what the account trades under.

What enters: a REST client, an `Asker`, the symbols of interest. What leaves: `Terms`.
What holds: what the key may not ask is degraded and said in `Terms.notes`; what cannot be reconciled or must not be
served raises `VenueFatalError`, whose message says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog

from ditad.bingx import conditions
from ditad.bingx.answer import is_refused
from ditad.bingx.conditions import KeyRights
from ditad.bingx.options import FeedOptions
from ditad.bingx.questions import Asker
from ditad.bingx.rest import Answer, Rest
from ditad.errors import Refusal, VenueError, VenueFatalError, VenueUnavailableError
from ditad.events import Contract, LeveragePush, PositionRow, Terms

LEVERAGE_SYMBOLS_MAX = 20
CONTRACTS_ASKED_MAX = 3
READ_ONLY_KEY = "ditad only reads: give it an API key of its own that may read and nothing else"
Given = TypeVar("Given")


class Bootstrap:
    """Asks the questions of a start."""

    def __init__(
        self, *, rest: Rest, asker: Asker, options: FeedOptions, log: structlog.typing.FilteringBoundLogger
    ) -> None:
        self._log = log
        self._rest = rest
        self._asker = asker
        self._options = options
        self._notes: list[str] = []

    async def terms(self, symbols: Iterable[str]) -> Terms:
        """Ask for modes, permissions, fee rates, contracts and the leverage of the symbols of interest.

        Raises `VenueError` where the exchange does not answer now, `VenueFatalError` where this account cannot be
        served: credentials, a key that may withdraw, multi-asset margin mode.
        """
        self._notes = []
        positions = await self._essential()
        await self.check_permissions()
        await self.check_asset_mode()
        return Terms(
            hedge_mode=await self._ask("position mode", "/swap/v1/positionSide/dual", conditions.hedge_mode, None),
            fee_rates=await self._ask("fee rates", "/swap/v2/user/commissionRate", conditions.fee_rates, ()),
            contracts=await self._contracts(),
            leverages=await self._leverages([*dict.fromkeys([*symbols, *(row.symbol for row in positions)])]),
            notes=tuple(self._notes),
        )

    async def _essential(self) -> tuple[PositionRow, ...]:
        """Ask what must be answered to this key: balance and positions."""
        try:
            await self._asker.balance_once()
            report, _ = await self._asker.positions_once()
        except VenueUnavailableError as error:
            raise VenueFatalError(
                "BingX does not let this API key read balance and positions (100004): give the key the permissions "
                "to read and for perpetual futures.",
                code=error.code,
            ) from error
        return report.rows

    async def check_permissions(self) -> None:
        """Say what the key may do, and warn of what reading does not need; an unknown answer is noted.

        A key that may withdraw is refused, unless the settings allow it.
        """
        unknown = KeyRights(may=(), withdraw=None)
        rights = await self._ask("key permissions", "/v1/account/apiPermissions", conditions.key_rights, unknown)
        self._log.info("key.permissions", may=list(rights.may) if rights.may else None)
        if rights.withdraw is None:
            self._note("key permissions: whether this API key may withdraw is not known")
        elif rights.withdraw and not self._options.allow_withdraw_permission:
            raise VenueFatalError(
                "this API key may withdraw: use a key without that permission, or set allow_withdraw_permission = true "
                "under [account.key]."
            )
        if rights.beyond_reading:
            self._log.warning("key.may_do_more", may=list(rights.beyond_reading), what_to_do=READ_ONLY_KEY)

    async def check_asset_mode(self) -> None:
        """Refuse multi-asset margin mode, which cannot be reconciled on one asset."""
        if await self._ask("asset mode", "/swap/v1/trade/assetMode", conditions.multi_asset, default=False):
            raise VenueFatalError(
                "this account is in multi-asset margin mode, which cannot be reconciled on one asset: switch it to "
                "single-asset mode on the exchange."
            )

    async def _contracts(self) -> tuple[Contract, ...]:
        """Ask for the steps of all symbols, again where none is named: an exchange without contracts there is not."""
        for _ in range(CONTRACTS_ASKED_MAX):
            answer = await self._rest.get("/swap/v2/quote/contracts", {}, what="contracts", signed=False)
            found: tuple[Contract, ...] = self._read("contracts", answer, conditions.contracts, ())
            if found:
                return found
        self._note("contracts: none is named, so that no price step is known")
        return ()

    async def _leverages(self, symbols: list[str]) -> tuple[LeveragePush, ...]:
        """Ask for the symbols of interest, within bounds; the stream repeats those of all symbols every 5 s."""
        if len(symbols) > LEVERAGE_SYMBOLS_MAX:
            self._note(f"leverage: asked for the first {LEVERAGE_SYMBOLS_MAX} symbols only; pushes tell the rest")
        found = []
        for symbol in symbols[:LEVERAGE_SYMBOLS_MAX]:
            _, asked_ms = self._rest.now()

            def read(data: object, symbol: str = symbol, asked_ms: int = asked_ms) -> LeveragePush | None:
                return conditions.leverage(data, symbol, asked_ms)

            said = await self._ask("leverage", "/swap/v2/trade/leverage", read, None, {"symbol": symbol})
            if said is not None:
                found.append(said)
        return tuple(found)

    async def _ask(
        self,
        what: str,
        path: str,
        read: Callable[[object], Given],
        default: Given,
        parameters: dict[str, str] | None = None,
    ) -> Given:
        """Ask what may be degraded: where it is refused, note so and go on with the default."""
        try:
            answer = await self._rest.get(path, parameters or {}, what=what)
        except VenueError as error:
            if not is_refused(error):
                raise
            self._note(f"{what}: {error}")
            return default
        return self._read(what, answer, read, default)

    def _read(self, what: str, answer: Answer, read: Callable[[object], Given], default: Given) -> Given:
        try:
            return read(answer.data)
        except Refusal as refusal:
            self._note(f"{what}: {refusal.reason}")
            return default

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)
