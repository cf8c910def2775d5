"""Three opinions of one account: who stands alone, and by how much.

What enters: on a `Turn`, what the comparison found of K and E, and B. What leaves: findings of rule B, and for every
field of which not all three say the same who stands alone. What holds: each side waits for its twin on its own clock; a
bot that never spoke, that says nothing of a field or that has gone away changes nothing. (account.md §8)

**Money.** A bot may settle a trade when it ends, each part as it is closed, or every fill; with its funding or without.
B's settled net since it began is compared with K's by each of these readings, and only what differs from all of them is
a difference; which reading it was is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ditad.bot import figures_of, is_away, key_of, shown
from ditad.divergences import close_divergence
from ditad.money import DERIVED, ZERO, plain, sub
from ditad.reconcile import DivergenceClass, Finding, ReconcileStatus
from ditad.settle import Balance, Standing, balance, expire, move, settle_at
from ditad.settle import state as hear
from ditad.state import Bot, BotSide, State
from ditad.turn import Turn, tolerance

RULE, CAPITAL_FIELD, QUANTITY_FIELD = "B", "bot_capital", "bot_qty"
GONE = "the bot has gone away"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """A field of which not all three say the same. `by` is how far the one that stands alone is from the others.

    Where nobody agrees it is how far the bot is from K. `reading`: how the bot's settlements were taken (money only).
    """

    field: str
    who: str
    by: Decimal
    k: Decimal
    e: Decimal
    b: Decimal
    reading: str = ""

    @property
    def body(self) -> dict[str, object]:
        """Write it as readers get it."""
        written: dict[str, object] = {
            "field": self.field,
            "who": self.who,
            "by": plain(shown(self.by)),
            "k": plain(shown(self.k)),
            "e": plain(shown(self.e)),
            "b": plain(shown(self.b)),
        }
        return written | {"reading": self.reading} if self.reading else written


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What the three-way comparison of one moment leads to; `deadline_us` is when it must be looked at again."""

    findings: tuple[Finding, ...] = ()
    alone: tuple[Alone, ...] = ()
    deadlines: tuple[int, ...] = ()


NO_OPINION = Opinion()


def compare(turn: Turn, findings: Sequence[Finding], wallet: Finding | None) -> Opinion:
    """Say where the bot stands alone, or another; `findings` are R3's, `wallet` is R1's.

    What the bot says while K itself lacks something (a gap, an amount not told) opens nothing: nobody could say whose
    fault it is. What is open stays until it is known to be over.
    """
    bot = turn.state.bot
    if bot is None:
        return NO_OPINION
    moved = _follow_k(turn, bot, findings)
    if is_away(turn, bot):
        for name in [name for name, known in turn.state.divergences.items() if known.rule == RULE]:
            close_divergence(turn, name, GONE)
        return NO_OPINION
    found: list[tuple[Finding | None, Alone]] = []
    deadlines: list[int | None] = []
    if bot.slots_us is not None:
        for key, side in bot.sides.items():
            stand = balance(side.twins, side.seen, ZERO, turn.event.at_us)
            deadlines.append(stand.deadline_us)
            found += _of_quantity(turn, side, stand, moved.get(key))
    if bot.settled_us is not None:
        stand, reading = _money(turn, bot)
        deadlines.append(stand.deadline_us)
        found += _of_money(turn, bot, stand, reading, wallet)
    differing = tuple(finding for finding, _ in found if finding is not None)
    if differing:
        deadlines.append(bot.heard_us + turn.settings.bot_away_us)
    return Opinion(
        findings=differing,
        alone=tuple(alone for _, alone in found),
        deadlines=tuple(deadline for deadline in deadlines if deadline is not None),
    )


def _follow_k(turn: Turn, bot: Bot, findings: Sequence[Finding]) -> dict[str, Finding]:
    """Tell every comparison what K's side of it moved by; gives R3's findings by the bot's keys."""
    now_us, window_us = turn.event.at_us, turn.settings.bot_window_us
    by_key = {key_of(finding.symbol or "", finding.side or ""): finding for finding in findings}
    if bot.slots_us is not None:
        for key in dict.fromkeys([*by_key, *bot.sides]):
            _follow_quantity(turn, bot, key, by_key.get(key))
        bot.fresh = False
    for name, figure in figures_of(turn.state).items():
        money = bot.money[name]
        now = DERIVED.subtract(figure, money.anchor)
        if now != money.seen:
            move(money.twins, DERIVED.subtract(now, money.seen), now_us, window_us)
            money.seen = now
    return by_key


def _follow_quantity(turn: Turn, bot: Bot, key: str, finding: Finding | None) -> None:
    """Tell one comparison what K holds; what the bot never named it says is flat.

    Whatever K held as the bot began to speak is taken for agreed, so that what the bot says of it first has its time.
    """
    now_us, window_us = turn.event.at_us, turn.settings.bot_window_us
    k = finding.k if finding is not None and finding.k is not None else ZERO
    side = bot.sides.get(key)
    if side is None:
        if not k:
            return
        side = bot.sides[key] = BotSide(symbol="", side="")
    if finding is not None:
        side.symbol, side.side = finding.symbol or "", finding.side or ""
    if not side.twins.statements:
        side.seen = k if bot.fresh else ZERO
        settle_at(side.twins, side.seen)
        hear(side.twins, side.said, now_us, window_us)
    move(side.twins, sub(k, side.seen), now_us, window_us)
    side.seen = k


def _money(turn: Turn, bot: Bot) -> tuple[Balance, str]:
    """Find the reading by which the bot's settlements are K's net, or may soon be; the last one that was goes first."""
    allowed, now_us, said = tolerance(turn), turn.event.at_us, bot.ledger.realized_pnl
    names = sorted(bot.money, key=lambda name: name != bot.reading)
    agreeing = next((name for name in names if abs(DERIVED.subtract(bot.money[name].seen, said)) <= allowed), None)
    if agreeing is not None:
        bot.reading = agreeing
        for name in names:
            expire(bot.money[name].twins, now_us)
        return balance(bot.money[agreeing].twins, bot.money[agreeing].seen, allowed, now_us), agreeing
    stands: list[Balance] = []
    for name in names:
        stand = balance(bot.money[name].twins, bot.money[name].seen, allowed, now_us)
        if stand.standing is Standing.UNSETTLED:
            return stand, name
        stands.append(stand)
    return stands[0], names[0]


def _of_money(
    turn: Turn, bot: Bot, stand: Balance, reading: str, wallet: Finding | None
) -> list[tuple[Finding | None, Alone]]:
    """E has no books of trades: it is K's figure, moved by what the wallet differs from K."""
    k, b = bot.money[reading].seen, bot.ledger.realized_pnl
    apart = wallet is not None and _is_apart(wallet)
    e = DERIVED.subtract(k, wallet.delta) if apart and wallet is not None else k
    return _judged(turn, stand, Alone(field=CAPITAL_FIELD, who="", by=ZERO, k=k, e=e, b=b, reading=reading))


def _of_quantity(
    turn: Turn, side: BotSide, stand: Balance, finding: Finding | None
) -> list[tuple[Finding | None, Alone]]:
    k, b = side.seen, side.twins.statements[-1].value
    apart = finding is not None and _is_apart(finding)
    e = finding.e if apart and finding is not None and finding.e is not None else k
    name = f"{QUANTITY_FIELD}:{side.symbol}:{side.side}"
    return _judged(turn, stand, Alone(field=name, who="", by=ZERO, k=k, e=e, b=b))


def _is_apart(finding: Finding) -> bool:
    """Say whether K and E differ by more than what waits for its twin."""
    return finding.klass is not None and finding.klass is not DivergenceClass.UNSETTLED


def _judged(turn: Turn, stand: Balance, seen: Alone) -> list[tuple[Finding | None, Alone]]:
    """Say who stands alone: nothing where all agree or the bot's twin is waited for.

    A bot that stands alone is WARN and never more: K and E agree, so what is published is right, and a bot that sizes
    with it is safe. Where K and E differ, their own rule says how bad that is; this one adds whose side the bot is on.
    """
    state, k, e, b = turn.state, seen.k, seen.e, seen.b
    allowed = tolerance(turn) if seen.reading else ZERO
    with_k = stand.standing is Standing.SETTLED
    with_e = abs(DERIVED.subtract(b, e)) <= allowed
    if k == e:
        if with_k or stand.standing is Standing.UNSETTLED or _is_doubted(state, seen.field):
            return []
        who, by = "bot", DERIVED.subtract(b, k)
    elif with_k:
        return [(None, replace(seen, who="e", by=DERIVED.subtract(e, k)))]
    elif with_e:
        return [(None, replace(seen, who="k", by=DERIVED.subtract(k, e)))]
    elif stand.standing is Standing.UNSETTLED or _is_doubted(state, seen.field):
        return []
    else:
        who, by = "none", DERIVED.subtract(b, k)
    _, symbol, side = (seen.field + "::").split(":")[:3]
    finding = Finding(
        rule=RULE,
        field=seen.field,
        symbol=symbol or None,
        side=side or None,
        k=k,
        e=e,
        delta=by,
        tolerance=allowed,
        status=ReconcileStatus.WARN,
        klass=DivergenceClass.BOT_DIFFERS,
    )
    return [(finding, replace(seen, who=who, by=by))]


def _is_doubted(state: State, field: str) -> bool:
    """Say whether K lacks something, so that nothing new is held against the bot."""
    lacks = bool(state.unknown or state.incomplete or state.coverage.is_open())
    return lacks and field not in state.divergences
