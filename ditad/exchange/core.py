"""The whole exchange without clock or socket: venue, keys, streams and REST put together.

Enters: a clock, a seed, requests, client texts. Leaves: replies and acts. This is what the server
serves over real sockets and what a simulation runs in one thread under a clock of its own: act on
`venue`, then take what is due with `poll`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ditad.exchange.account import AccountSpec
from ditad.exchange.contracts import DEFAULT_CONTRACTS, Contract
from ditad.exchange.dialect import Dialect
from ditad.exchange.faults import Faults
from ditad.exchange.keys import KEY_LIFE_MS, ListenKeys
from ditad.exchange.pushes import Frame
from ditad.exchange.rest import RateLimit, Reply, Request, Rest
from ditad.exchange.streams import Act, Streams, Timing
from ditad.exchange.venue import Venue


class ExchangeCore:
    """One exchange, pure: the same seed, clock readings and questions give the same bytes."""

    def __init__(
        self,
        *,
        seed: int,
        clock: Callable[[], int],
        accounts: Iterable[AccountSpec] = (),
        contracts: Iterable[Contract] = DEFAULT_CONTRACTS,
        dialect: Dialect | None = None,
        faults: Faults | None = None,
        timing: Timing | None = None,
        limit: RateLimit | None = None,
        key_life_ms: int = KEY_LIFE_MS,
        on_publish: Callable[[], None] | None = None,
        compress: bool = True,
    ) -> None:
        """Build the exchange; `clock` gives our milliseconds, the faults' skew is added to them.

        The exchange's own time never goes back, and its clockwork follows `clock` whatever the skew.
        Without `compress` frames are gzip that holds its text as it is, for stories told in a hurry.
        `on_publish` is called after each frame was queued, for a server that wants to send at once.
        """
        self.faults = faults or Faults(seed=seed)
        self._base_clock = clock
        self._now_ms = 0
        self._on_publish = on_publish
        self.dialect = dialect or Dialect()
        self.venue = Venue(
            seed=seed,
            clock=self.now_ms,
            elapsed=clock,
            on_frame=self._publish,
            accounts=accounts,
            contracts=contracts,
            dialect=self.dialect,
        )
        self.keys = ListenKeys(rng=self.venue.rng("keys"), post=self.dialect.listen_key, life_ms=key_life_ms)
        self.streams = Streams(
            venue=self.venue,
            keys=self.keys,
            faults=self.faults,
            rng=self.venue.rng("streams"),
            timing=timing or Timing(),
            clock=self.now_ms,
            elapsed=clock,
            compress=compress,
        )
        self._rest = Rest(
            venue=self.venue,
            keys=self.keys,
            faults=self.faults,
            rng=self.venue.rng("rest"),
            limit=limit or RateLimit(),
            clock=self.now_ms,
            elapsed=clock,
        )

    def now_ms(self) -> int:
        """Read the exchange's own time, its skew included."""
        base_ms = self._base_clock()
        self._now_ms = max(self._now_ms, base_ms + self.faults.skew_ms(base_ms))
        return self._now_ms

    def rest(self, request: Request) -> Reply:
        """Answer one REST request."""
        return self._rest.answer(request)

    def connect(self, listen_key: str | None) -> int:
        """Open a stream; see `Streams.connect`."""
        return self.streams.connect(listen_key)

    def poll(self) -> list[Act]:
        """Give the acts that are due now."""
        return self.streams.poll()

    def next_due_ms(self) -> int | None:
        """Say, in the exchange's time, when `poll` has something to do again."""
        return self.streams.next_due_ms()

    def _publish(self, frame: Frame) -> None:
        self.streams.publish(frame)
        if self._on_publish is not None:
            self._on_publish()
