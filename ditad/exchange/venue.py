"""The venue: a market and its accounts, without clock, generator or socket of its own.

Enters: a clock and a seed from whoever runs it, and the verbs of `Desk`. Leaves: frames, in order, to
`on_frame`; and the exchange's own truth in `books`. One seed tells one story: each concern draws from
its own generator, so that a client's questions do not change what happens to the account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from random import Random
from typing import Final, TypedDict

from ditad.exchange.account import AccountSpec, Surroundings
from ditad.exchange.books import Sums, VenueError
from ditad.exchange.contracts import DEFAULT_CONTRACTS, Contract
from ditad.exchange.desk import Desk
from ditad.exchange.dialect import Dialect
from ditad.exchange.facts import BooksFacts
from ditad.exchange.market import Market
from ditad.exchange.pushes import Frame

ACCOUNTS_MAX: Final = 64
FIRST_TRADE_ID: Final = 511_178_071


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment of an account's books, to take later sums from."""

    account: str
    wallet: Decimal
    sums: Sums
    at_ms: int


class OpenPosition(TypedDict):
    """A position as the truth tells it; `entry_price` has eighteen decimals at most."""

    symbol: str
    side: str
    qty: Decimal
    entry_price: Decimal


class BooksTruth(TypedDict):
    """The exchange's own truth of an account; fees and funding are positive when paid."""

    opening_balance: Decimal
    wallet_balance: Decimal
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    transfers: Decimal
    other_income: Decimal
    fills: int
    positions: list[OpenPosition]


class Venue:
    """All accounts of one simulated exchange."""

    def __init__(
        self,
        *,
        seed: int,
        clock: Callable[[], int],
        on_frame: Callable[[Frame], None],
        accounts: Iterable[AccountSpec] = (),
        contracts: Iterable[Contract] = DEFAULT_CONTRACTS,
        dialect: Dialect | None = None,
        elapsed: Callable[[], int] | None = None,
    ) -> None:
        """Open the venue; `clock` gives the exchange's time in milliseconds since 1970.

        `elapsed` counts milliseconds that no jump of that clock touches; it is the clock by default.
        """
        self.seed = seed
        self.clock = clock
        self.elapsed = elapsed or clock
        self.dialect = dialect or Dialect()
        self.market = Market(contracts, rng=self.rng("market"), shiver=self.rng("shiver"))
        self.accounts: dict[str, Desk] = {}
        self._on_frame = on_frame
        self._order_sequence = count()
        self._trade_ids = count(FIRST_TRADE_ID)
        for spec in accounts or (AccountSpec(name="main"),):
            self.open_account(spec)

    def rng(self, concern: str) -> Random:
        """Derive the generator of one concern from the seed."""
        return Random(f"{self.seed}:{concern}")  # noqa: S311 — a story, not a secret.

    def open_account(self, spec: AccountSpec) -> Desk:
        """Open an account, drawing credentials from the seed where it has none."""
        if spec.name in self.accounts or len(self.accounts) >= ACCOUNTS_MAX:
            message = f"account {spec.name} exists already, or there are {ACCOUNTS_MAX}"
            raise VenueError(message)
        drawn = self.rng(f"credentials:{spec.name}")
        spec = replace(
            spec,
            api_key=spec.api_key or f"sim-key-{drawn.getrandbits(128):032x}",
            api_secret=spec.api_secret or f"sim-secret-{drawn.getrandbits(128):032x}",
        )
        around = Surroundings(
            market=self.market,
            dialect=self.dialect,
            clock=self.clock,
            elapsed=self.elapsed,
            rng=self.rng(f"wire:{spec.name}"),
            tell=self._on_frame,
            order_sequence=self._order_sequence,
            trade_ids=self._trade_ids,
        )
        desk = Desk(spec, around, rng=self.rng(f"desk:{spec.name}"))
        self.accounts[spec.name] = desk
        return desk

    def account(self, name: str) -> Desk:
        """Find an account by its name."""
        if name not in self.accounts:
            message = f"no account {name}: there are {', '.join(self.accounts)}"
            raise VenueError(message)
        return self.accounts[name]

    def by_api_key(self, api_key: str) -> Desk | None:
        """Find an account by its API key."""
        return next((d for d in self.accounts.values() if d.spec.api_key == api_key), None)

    def facts(self, name: str) -> BooksFacts:
        """Give all that really happened on an account; the lists go on growing."""
        return self.account(name).facts

    def mark(self, name: str) -> Mark:
        """Remember this moment of an account's books."""
        desk = self.account(name)
        return Mark(account=name, wallet=desk.books.wallet, sums=desk.books.sums, at_ms=self.clock())

    def books(self, name: str, since: Mark | None = None) -> BooksTruth:
        """Tell the exchange's own truth; sums count from the opening, or from `since`."""
        books = self.account(name).books
        opening = since.wallet if since else books.opening
        sums = books.sums.since(since.sums) if since else books.sums
        assert books.wallet == opening + sums.net, "the books are out of balance"
        held = sorted(books.positions.values(), key=lambda p: (p.symbol, p.side))
        return BooksTruth(
            opening_balance=opening,
            wallet_balance=books.wallet,
            realized_pnl=sums.realized_pnl,
            fees=sums.fees,
            funding=sums.funding,
            transfers=sums.transfers,
            other_income=sums.other_income,
            fills=sums.fills,
            positions=[
                OpenPosition(symbol=p.symbol, side=str(p.side), qty=p.qty, entry_price=p.entry_price) for p in held
            ],
        )
