"""The words for why the ledgers differ, and what is remembered to say it.

What enters and leaves: plain records for the fold's state. What holds: an amount is the part of K − E that a cause
stands for; what nobody could explain says what was tried. (account.md §6)
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from ditad.money import ZERO, plain_or_none

PUSHED = ("order:", "account:")
"""What the stream told, by the beginning of its event's name: such twins come close together."""


class Cause(StrEnum):
    """Why K and E differ, or differed."""

    UNCOVERED = "uncovered_interval"
    """A fill that K lacked: an interval of an order that no push had told."""
    FEE = "fee"
    """A fee or profit that K lacks, or that was told differently by push and row."""
    EXTRA_FILL = "extra_fill"
    """A fill that K has and the exchange's rows do not."""
    FUNDING = "funding"
    TRANSFER = "transfer"
    OTHER_INCOME = "other_income"
    FORCED_CLOSE = "forced_close"
    UNTOLD_CLOSE = "untold_close"
    """A position that is gone on the exchange, and nobody tells how."""
    ROUNDING = "rounding"
    MARK_AGE = "mark_age"
    LEVERAGE = "leverage"
    BASELINE = "baseline"
    """A seed that was set, or a baseline that was adopted."""
    STATEMENT = "statement"
    """What the exchange itself stated late, or for a moment wrongly."""
    BOT = "bot"
    """What the bot says of itself, beside what both ledgers hold."""
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """One reason of a difference, with its evidence.

    `amount` is its part of K − E (`None`: not known). `exact`: it is that to the last digit, not within what rounded
    sources leave open. `told_by` names the event that told it. `tried` says what was looked at where nothing explains it.
    """

    cause: Cause
    ids: tuple[str, ...] = ()
    amount: Decimal | None = None
    exact: bool = False
    evidence: str = ""
    told_by: str = ""
    tried: tuple[str, ...] = ()

    @property
    def is_news(self) -> bool:
        """Say whether it is a fact that no push told: K lacked it until somebody was asked."""
        return self.cause not in {Cause.STATEMENT, Cause.ROUNDING} and not self.told_by.startswith(PUSHED)

    @property
    def body(self) -> dict[str, object]:
        """Write it as readers get it."""
        if self.cause is Cause.UNEXPLAINED:
            return {"cause": self.cause.value, "amount": plain_or_none(self.amount), "tried": list(self.tried)}
        return {
            "cause": self.cause.value,
            "ids": list(self.ids),
            "amount": plain_or_none(self.amount),
            "exact": self.exact,
            "evidence": self.evidence or self.told_by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A fact, or what corrected one, as it moved K: its wallet, and a position's quantity (`key` ``""``: none).

    `told_by` names the event that told it.
    """

    cause: Cause
    ids: tuple[str, ...]
    n: int
    at_us: int
    wallet: Decimal = ZERO
    key: str = ""
    quantity: Decimal = ZERO
    told_by: str = ""

    @property
    def is_pushed(self) -> bool:
        """Say whether the stream told it."""
        return self.told_by.startswith(PUSHED)
