"""Asking the exchange: signed HTTP questions, one budget, an end to every retry.

What enters: paths and parameters. What leaves: an `Answer` (its data, its bytes, the moments of asking), or an error
of the `VenueError` tree, whose meaning `answer` decides.
What holds: only the configured hosts are asked; each wait has a bound; an answer has at most `ANSWER_BYTES_MAX`, also
when it is unpacked; no key, secret or signed URL is in an error or a log line, which is why
causes from the HTTP library, whose texts may hold a URL, are not chained.
"""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import structlog
import tenacity
import yarl

from ditad.bingx import answer, conditions, sign
from ditad.bingx.answer import Answered, ClockError
from ditad.bingx.budget import Budget
from ditad.bingx.network import ANSWER_BYTES_MAX, Http, Network
from ditad.bingx.options import Credentials, Hosts
from ditad.bingx.wire import inflate
from ditad.clock import US_PER_MS, Clock
from ditad.errors import Refusal, VenueError

ANSWER_S_MAX = 10.0
ATTEMPTS_MAX = 4
WAIT_S_MIN = 0.25
WAIT_S_MAX = 8.0
MEASURED_MAX = 4
QUICK_US = 250_000
"""A clock that was read within so long is known well enough; a slower answer has it read again."""
HELD_S_MAX = 15.0
"""A question that would have to wait longer for the budget fails at once instead; it is asked again later."""
VEIL = b"***"
VEILED_LENGTH_MIN = 8
"""No key is shorter (`config_secrets` refuses it), and a few letters would be found in any answer."""
Given = TypeVar("Given")
KEY_PATH = "/openApi/user/auth/userDataStream"
TIME_PATH = "/openApi/swap/v2/server/time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered: `asked_us` is before the question left, `asked_ms` that moment on the exchange's clock."""

    data: object
    raw: bytes
    asked_us: int
    asked_ms: int


class NetworkError(VenueError):
    """The host did not answer at all."""


class Rest:
    """A client for one account. Use as an async context manager; one at a time."""

    def __init__(
        self,
        *,
        hosts: Hosts,
        credentials: Credentials,
        requests_per_s: float,
        network: Network,
        clock: Clock,
        random: randomness.Random,
        log: structlog.typing.FilteringBoundLogger,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        answer_s: float = ANSWER_S_MAX,
        conceal: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`conceal` is told every listen key, for whoever keeps them out of the log."""
        self._sleep = sleep
        self._conceal = conceal
        secrets = (credentials.api_key, credentials.api_secret)
        self._secrets = tuple(text.encode() for text in secrets if len(text) >= VEILED_LENGTH_MIN)
        self._hosts = hosts
        self._credentials = credentials
        self._clock = clock
        self._random = random
        self._log = log
        self._budget = Budget(requests_per_s)
        self._http: Http = network.http(answer_s)
        self._fallback = False
        self.offset_ms = 0
        self.last_raw = b""  # the last answer to a question, for whoever must refuse it
        self.calls: dict[str, int] = {}
        self.failures: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        """Open the pool of connections."""
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool."""
        await self._http.__aexit__(kind, error, trace)

    @property
    def held_s(self) -> float:
        """Say how long questions are still held back because the exchange limits us."""
        return max(0.0, self._budget.held_until - self._clock.mono_s())

    @property
    def allowance(self) -> int | None:
        """Say how many requests the exchange said last are left; `None` where it never did."""
        return self._budget.remain

    def venue_ms(self, at_us: int) -> int:
        """Give a moment of the machine's clock on the exchange's, as far as its offset is known."""
        return at_us // US_PER_MS + self.offset_ms

    def now(self) -> tuple[int, int]:
        """Give this moment in `_us` of the machine's clock and in `_ms` of the exchange's."""
        now_us = self._clock.now_us()
        return now_us, self.venue_ms(now_us)

    async def sync_clock(self) -> int:
        """Measure the offset of the exchange's clock, give it in ms; raises `VenueError` after the last attempt."""
        return await self._retrying("server time", self._measure_clock)

    async def get(self, path: str, parameters: Mapping[str, str], *, what: str, signed: bool = True) -> Answer:
        """Ask one question; `path` starts behind ``/openApi``, `what` names it in errors.

        Raises `VenueError`: fatal, unavailable, or, after the last attempt, whatever it failed with.
        """

        async def once() -> Answer:
            answered, asked_us = await self._send("GET", "/openApi" + path, parameters, signed=signed)
            self.last_raw = answered.body
            data = answer.data_of(answered, what)
            return Answer(data=data, raw=answered.body, asked_us=asked_us, asked_ms=self.venue_ms(asked_us))

        return await self._retrying(what, once)

    async def issue_key(self) -> str:
        """Get a listen key, once: the session decides about asking again."""
        key = answer.listen_key_of(await self._key_call("POST", {}))
        self._conceal(key)
        return key

    async def renew_key(self, key: str) -> None:
        """Prolong a listen key, once; raises `KeyUnknownError` where the exchange does not know it."""
        answer.check_renewal(await self._key_call("PUT", {"listenKey": key}))

    async def _key_call(self, method: str, parameters: Mapping[str, str]) -> Answered:
        """Send, and once more after measuring the clock where the exchange finds the timestamp wrong."""
        answered, _ = await self._send(method, KEY_PATH, parameters, signed=True)
        code, message, _ = answer.envelope(answered)
        if answer.verdict(answered.status, code, message) is answer.Verdict.RESYNC:
            await self._measure_clock()
            answered, _ = await self._send(method, KEY_PATH, parameters, signed=True)
        return answered

    async def _measure_clock(self) -> int:
        """Measure until an answer was quick, a few times at most; the quickest counts: half its round trip is open."""
        quickest_us: int | None = None
        for _ in range(MEASURED_MAX):
            answered, asked_us = await self._send("GET", TIME_PATH, {}, signed=False)
            heard_us = self._clock.now_us()
            try:
                server_ms = conditions.server_ms(answer.data_of(answered, "server time"))
            except Refusal as refusal:
                raise VenueError(f"server time: {refusal.reason}", retryable=True) from refusal
            took_us = heard_us - asked_us
            if quickest_us is None or took_us < quickest_us:
                quickest_us, self.offset_ms = took_us, server_ms - (asked_us + heard_us) // (2 * US_PER_MS)
            if took_us <= QUICK_US:
                break
        self._log.info("clock.synced", offset_ms=self.offset_ms)
        return self.offset_ms

    async def _retrying(self, what: str, once: Callable[[], Awaitable[Given]]) -> Given:
        """Ask until answered, with an end, a cap and jitter; a wrong clock is measured in between."""

        async def attempt() -> Given:
            try:
                return await once()
            except ClockError as error:
                self._note(what, error)
                await self._measure_clock()
                raise
            except VenueError as error:
                self._note(what, error)
                raise

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS_MAX),
            wait=self._wait_s,
            retry=tenacity.retry_if_exception(_worth_retrying),
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(attempt)

    def _note(self, what: str, error: VenueError) -> None:
        self.failures[what] = self.failures.get(what, 0) + 1
        self._log.debug("rest.failed", question=what, reason=str(error), code=error.code, retryable=error.retryable)

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        backoff_s = min(WAIT_S_MAX, WAIT_S_MIN * 2.0 ** (state.attempt_number - 1))
        return backoff_s * (0.5 + 0.5 * self._random.random())

    async def _send(
        self, method: str, path: str, parameters: Mapping[str, str], *, signed: bool
    ) -> tuple[Answered, int]:
        """Send one request when the budget allows, and give what came back with the moment of asking."""
        await self._await_budget(path)
        asked_us = self._clock.now_us()
        query = (
            sign.signed_query(parameters, self._credentials.api_secret, self.venue_ms(asked_us))
            if signed
            else sign.plain_query(parameters)
        )
        host = self._hosts.rest_fallback_url if self._fallback else None
        url = yarl.URL(f"{(host or self._hosts.rest_url).rstrip('/')}{path}?{query}".rstrip("?"), encoded=True)
        headers = {"Accept-Encoding": "identity"}
        if signed:
            headers["X-BX-APIKEY"] = self._credentials.api_key
        self.calls[path] = self.calls.get(path, 0) + 1
        try:
            answered = await self._exchange(method, url, headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            # The other host is for network failures only (DOC 2026), and for one attempt; then the first again.
            self._fallback = not self._fallback and self._hosts.rest_fallback_url is not None
            raise NetworkError(f"the exchange cannot be reached ({type(exc).__name__}).", retryable=True) from None
        self._heed(answered)
        return answered, asked_us

    async def _await_budget(self, path: str) -> None:
        """Wait until the budget allows a request; again where another one met a limit meanwhile, up to an end."""
        began = self._clock.mono_s()
        while True:
            now = self._clock.mono_s()
            if self._budget.held_until - began > HELD_S_MAX:
                held_s = self._budget.held_until - now
                raise VenueError(f"the exchange limits our requests for {held_s:.0f} s more.", retry_after_s=held_s)
            at = self._budget.reserve(path, now)
            if at > now:
                await self._sleep(at - now)
            if self._budget.held_until <= at:
                return

    async def _exchange(self, method: str, url: yarl.URL, headers: dict[str, str]) -> Answered:
        received = await self._http.request(method, url, headers)
        at_ms = self.venue_ms(self._clock.now_us())
        self._budget.told(
            received.headers.get("X-RateLimit-Requests-Remain"),
            received.headers.get("X-RateLimit-Requests-Expire"),
            self._clock.mono_s(),
            at_ms,
        )
        try:
            text = inflate(received.body, ANSWER_BYTES_MAX)
        except Refusal as refusal:
            raise VenueError(f"an answer that cannot be read: {refusal.reason}", retryable=True) from refusal
        for secret in self._secrets:  # some answers repeat the key, and answers are kept
            text = text.replace(secret, VEIL)
        return Answered(status=received.status, body=text, at_ms=at_ms)

    def _heed(self, answered: Answered) -> None:
        """Hold everything back where the exchange limits us: its limits are the bot's too."""
        code, message, _ = answer.envelope(answered)
        decided = answer.verdict(answered.status, code, message)
        if decided in {answer.Verdict.LIMITED, answer.Verdict.BANNED}:
            error = answer.error_of(decided, answered, "limit", code, message)
            self._budget.limited(error.retry_after_s, self._clock.mono_s())
        else:
            self._budget.answered()


def _worth_retrying(error: BaseException) -> bool:
    """Say whether asking again at once may help; a limit is waited for by the budget."""
    return isinstance(error, VenueError) and error.retryable
