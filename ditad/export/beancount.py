"""An account's books as a beancount ledger: a transaction for each fact, and what the exchange states as `balance`.

What enters: openings, movements, and the snapshots around the ends of days. What leaves: lines of text that the real
`bean-check` reads. What holds: every transaction adds up to 0 exactly; an amount that nobody told is marked and posted
nowhere; a `balance` is a statement of the exchange and never a sum of ours, with no tolerance (`~ 0`) where the books are
exact, so that any digit changed anywhere before it is noticed. Nothing is padded. (account.md §1)

Contracts are no assets: a position is told by its trades' profit when it is closed, and what is unrealised stands in no
book. Text from the exchange is quoted, and names are brought to the letters that beancount's names have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final

from ditad.bookkeeping import End, Movement, Opening
from ditad.money import ZERO, add, plain, sub
from ditad.records import micros_of, rfc3339

IN_FLIGHT_US: Final = 10_000_000
"""A statement this near to a day's end may be that of a fact on the other side of it."""

TEXT_MAX: Final = 200

_COMPONENT: Final = re.compile(r"[^A-Za-z0-9-]")
_COMMODITY: Final = re.compile(r"[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]")
_SIGNS: Final = {"profit": 1, "fees": -1, "funding": -1, "transfers": 1, "other": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What the exchange stated for a day's end. `wallet` of `None` is not asserted, and `why` says why not."""

    day: str
    wallet: Decimal | None
    tolerance: Decimal
    stated_at: str | None
    why: str = ""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Writes the lines of one account's ledger; remembers which accounts were used, to open them at the end."""

    account: str
    asset: str
    used: dict[str, None] = field(default_factory=dict)
    first_day: str = "9999-12-31"

    @property
    def wallet(self) -> str:
        """Name the wallet's account."""
        return f"Assets:BingX:{component(self.account)}"

    def _name(self, root: str, *parts: str) -> str:
        return ":".join((root, "BingX", *(component(part) for part in (self.account, *parts))))

    def head(self, since: str, until: str, version: str) -> Iterator[str]:
        """Say what the file is."""
        yield f"; The books of {self.account}, {since} up to {until} (left out), days of UTC; written by ditad {version}."
        yield "; A balance is what the exchange stated for that day's beginning; with ~ 0 no digit may differ."
        yield "; Contracts are no assets: a position stands here by the profit of its closing, and what is unrealised does not."
        yield f'option "title" {quoted(f"{self.account} at BingX")}'
        yield f'option "operating_currency" "{commodity(self.asset)}"'
        yield ""

    def before(self, day: str, balances: Mapping[str, Decimal]) -> Iterator[str]:
        """Bring what lies before the period as its opening."""
        for asset, amount in balances.items():
            if amount:
                posts = [(self.wallet, amount), (self._name("Equity", "Opening"), -amount)]
                yield from self._transaction(
                    day, "*", "Opening balance", "what every fact before makes", {}, posts, asset
                )

    def opening(self, opening: Opening) -> Iterator[str]:
        """Bring a baseline: the first one opens the books, another one was accepted by somebody, and says by whom and why."""
        adopted = opening.adopted_by is not None
        account = self._name("Equity", "Adopted" if adopted else "Opening")
        payee = f"Accepted by uid {opening.adopted_by}" if adopted else "Opening balance"
        words = (opening.why or "") if adopted else "the wallet as the exchange stated it when the ledger began"
        posts = [(self.wallet, opening.moved), (account, -opening.moved)] if opening.moved else []
        told = {"at": quoted(opening.at), "wallet": f"{plain(opening.wallet)} {commodity(self.asset)}"}
        yield from self._transaction(opening.at[:10], "*", payee, words, told, posts, self.asset)

    def movement(self, movement: Movement) -> Iterator[str]:
        """Bring a fact; where an amount of it is not told it is flagged, and what is told is posted."""
        body = movement.body
        is_fill = "order_id" in body
        told = {"at": quoted(movement.at), "seq": str(movement.seq)}
        if is_fill:
            payee, words = body["symbol"], f"{body['side']} {body['qty']} at {body['price']}"
            told |= {"order": quoted(body["order_id"]), "interval": quoted(f"({body['z0']}, {body['z1']}]")}
        else:
            payee, words = movement.symbol or self.account, body["name"]
            if body["tran_id"] is not None:
                told["tran-id"] = quoted(body["tran_id"])
        if movement.unknown:
            told["unknown"] = quoted(", ".join(movement.unknown))
        posts = [(self.wallet, movement.change)] if movement.change else []
        for part, amount in movement.amounts.items():
            if amount:
                posts.append((self._counter(part, movement), -amount if _SIGNS[part] > 0 else amount))
        flag = "!" if movement.unknown else "*"
        yield from self._transaction(movement.day, flag, payee, words, told, posts, movement.asset)

    def _counter(self, part: str, movement: Movement) -> str:
        symbol = [movement.symbol] if movement.symbol else []
        if part == "profit":
            return self._name("Income", "Profit", *symbol)
        if part == "fees":
            return self._name("Expenses", "Fees", *symbol)
        if part == "funding":
            return self._name("Expenses", "Funding", *symbol)
        return (
            self._name("Equity", "Transfers")
            if part == "transfers"
            else self._name("Income", "Other", movement.body["name"])
        )

    def _transaction(
        self,
        day: str,
        flag: str,
        payee: str,
        words: str,
        told: Mapping[str, str],
        posts: Iterable[tuple[str, Decimal]],
        asset: str,
    ) -> Iterator[str]:
        self.first_day = min(self.first_day, day)
        yield f"{day} {flag} {quoted(payee)} {quoted(words)}"
        yield from (f"  {name}: {value}" for name, value in told.items())
        total = ZERO
        for account, amount in posts:
            self.used[account] = None
            total = add(total, amount)
            yield f"  {account}  {plain(amount)} {commodity(asset)}"
        assert not total, "a transaction adds up to nothing"
        yield ""

    def balance(self, assertion: Assertion) -> Iterator[str]:
        """Assert what the exchange stated for a day's beginning; say why not where nothing is asserted."""
        if assertion.why:
            yield f"; {assertion.day}: {assertion.why}"
        if assertion.wallet is not None:
            self.used[self.wallet] = None
            self.first_day = min(self.first_day, assertion.day)
            amount = f"{plain(assertion.wallet)} ~ {plain(assertion.tolerance)} {commodity(self.asset)}"
            yield f"{assertion.day} balance {self.wallet}  {amount}"
            yield f"  stated-at: {quoted(assertion.stated_at or '')}"
        yield ""

    def opens(self) -> Iterator[str]:
        """Open every account that was used; beancount sorts by day, so they may stand last."""
        yield from (f"{self.first_day} open {account}" for account in sorted(self.used))


def assertion_of(end: End, ledger: Decimal, epsilon: Decimal) -> Assertion:
    """Find what the exchange stated for a day's end, where facts up to there make `ledger`.

    It is the last statement before the end, or, where facts are near it, one within `IN_FLIGHT_US` on either side that
    equals the ledger. If none does and facts are near, nothing can be said for this very moment, and the next day's
    balance covers it; if none are near, the statement is asserted all the same: the books are wrong, and it shows.
    """
    day = rfc3339(end.at_us + 86_400_000_000 - 1)[:10]
    stated = [found for body in end.before[:1] if (found := _stated(body)) is not None]
    near = [
        found
        for body in (*end.before, *end.behind)
        if (found := _stated(body)) is not None and abs(micros_of(found[1]) - end.at_us) <= IN_FLIGHT_US
    ]
    for wallet, at, slack in (*stated, *near):
        off = abs(sub(wallet, ledger))
        for tolerance in (
            ZERO,
            slack,
            add(epsilon, slack),
        ):  # as little as the books leave open, at most what R1 leaves
            if off <= tolerance:
                return Assertion(day=day, wallet=wallet, tolerance=tolerance, stated_at=at)
    if not stated:
        return Assertion(day=day, wallet=None, tolerance=ZERO, stated_at=None, why="the exchange stated no wallet yet")
    wallet, at, _ = stated[0]
    off = sub(ledger, wallet)
    if len({one[0] for one in (*stated, *near)}) > 1:
        why = "money moved within seconds of midnight, and no statement fits between: the next balance covers this day"
        return Assertion(day=day, wallet=None, tolerance=ZERO, stated_at=None, why=why)
    why = f"the books differ from what the exchange stated by {plain(off)}; see ditad divergences"
    return Assertion(day=day, wallet=wallet, tolerance=ZERO, stated_at=at, why=why)


def _stated(body: Mapping[str, Any]) -> tuple[Decimal, str, Decimal] | None:
    """Give what a snapshot says was stated: the wallet, when, and what rounded sources leave open of the books."""
    wallet = body["e"]["wallet_balance"]
    if wallet is None:
        return None
    slack = Decimal(body["k"]["precision"].get("capital_raw", "0"))
    return Decimal(wallet), body["e"]["stated"]["wallet_balance"]["at"], slack


def component(text: str) -> str:
    """Bring a name to the letters of a part of beancount's account names; what is bent gets a mark of its own."""
    short = text.replace("_", "-")
    bent = _COMPONENT.sub("-", short)[:64]
    if bent != short:
        bent = f"{bent}-{blake2b(text.encode(), digest_size=4).hexdigest()}"
    bent = bent[:1].upper() + bent[1:]
    return bent if bent[:1].isalnum() else f"X{bent}"


def commodity(text: str) -> str:
    """Bring an asset's name to the form of a beancount commodity."""
    if _COMMODITY.fullmatch(text) is not None:
        return text
    return f"X{blake2b(text.encode(), digest_size=6).hexdigest().upper()}"


def quoted(text: str) -> str:
    """Write a string, on one line, with what would end it escaped."""
    line = " ".join(str(text).split())[:TEXT_MAX]
    return '"' + line.replace("\\", "\\\\").replace('"', '\\"') + '"'
