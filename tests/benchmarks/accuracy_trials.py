"""Injections, one and two at a time, and what was said of each: recall and attribution.

What enters: seeds and kinds of causes. What leaves: a `Found` for each injection. What holds: an account is calm, and
equal to the exchange's books, before something is injected; whether it was said or healed is judged from what was
published and from the books, at the moment at which account.md §5 owes an answer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Any

from ditad.exchange import Dialect
from tests.benchmarks.accuracy_causes import KINDS, Ids, Kind, kind_named, needs_life_of_its_own
from tests.benchmarks.accuracy_life import EPSILON, LOOK_S, Life, Terms, tell_story

SETTLE_WINDOW_S = 2.0
AUDIT_S = 30.0
ROUND_S_MAX = 5.0
"""A round of all questions is over after so long: two symbols a second."""

OWED_S = SETTLE_WINDOW_S + AUDIT_S + 2 * ROUND_S_MAX
"""The regular audit shows the difference; the question about it may have to wait for a round that has begun."""
HEAL_S_MAX = 420.0
"""Rows come up to a minute late, and a settlement's up to two: after this nothing more is to be told."""

LASTS_S = 100.0
"""What lasts is looked at again after so long: it must not have been forgotten."""

STILL_S = SETTLE_WINDOW_S + ROUND_S_MAX
"""The bot stands still for so long before it is judged: its own trades may have to be asked about too."""

PREPARED_S = 10.0
DAY_S = 86_400.0
PACE_S = 240.0
ACTS = 20
SHORT_ACTS = 6
SHORT_PACE_S = 20.0
ROW_DELAYS_S = (0, 5, 60)

DERIVED = frozenset({"R4", "R5", "R6"})
"""Rules whose figures follow from what the others compare; what they name besides is counted apart."""


SHOWN_BY = {
    "statement": frozenset({"R3"}),
    "uncovered_interval": frozenset({"R1", "R3"}),
    "extra_fill": frozenset({"R1", "R3"}),
    "forced_close": frozenset({"R1", "R3"}),
    "untold_close": frozenset({"R1", "R3"}),
    "mark_age": frozenset({"R4"}),
    "leverage": frozenset({"R5"}),
    "rounding": frozenset({"R2"}),
}
"""The rules by which a kind shows, where it is not the wallet's: what healed within the window is no divergence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of one injection of one or two kinds.

    `outcome`: ``error``, ``healed``, ``warned`` (a rule that never says worse), ``unknown`` (an amount was, said so, until
    its late row came) or ``missed``; `after_s` is when that was so. ``unfit``: the account was not calm before, and nothing was injected. `faded`: what lasts was ERROR, and some
    time later it was not, though the ledgers still differ. `right`: whether the causes named in the end are those injected and no others; `None` where nothing was
    to be named, because no difference was ever published. `aside`: a rule that only follows (R4, R5, R6) named another.
    """

    seed: int
    kinds: tuple[str, ...]
    outcome: str
    after_s: float
    named: tuple[str, ...]
    right: bool | None
    faded: bool = False
    aside: bool = False
    why: str = ""


# ---- one injection ----------------------------------------------------------------------------------------------------


async def episode(life: Life, seed: int, kinds: Sequence[Kind], rng: Random) -> Found:
    """Inject, wait for what is owed, then for what heals it, and judge."""
    if [kind.prepare(life, rng) for kind in kinds if kind.prepare is not None]:
        await asyncio.sleep(PREPARED_S)
        calm = life.terms.seed_capital is not None or await life.calm()
        if not calm or any(kind.warns & life.classes_now() for kind in kinds):
            return _unfit(life, seed, [kind.name for kind in kinds])
    life.listen()
    told: list[tuple[Kind, Ids]] = []
    over: set[str] = set()
    for kind in kinds:
        if told:
            await asyncio.sleep(rng.choice([0.0, 0.5, 5.0]))
            over = {told[0][0].name} if life.is_calm() and not life.divergences and not told[0][0].warns else set()
        told.append((kind, kind.inject(life, rng)))
    good, after_s = await _owed(life, kinds, rng)
    outcome = _outcome(life, kinds) if good else "unknown" if _is_unknown(life) else "missed"
    why = "" if good else f"{life.status}, {life.snapshot['reconcile']['explanations']}: {'; '.join(life.untrue())}"
    for kind in kinds:
        if kind.undo is not None:
            kind.undo(life)
    faded = False
    if any(kind.lasting for kind in kinds):
        await asyncio.sleep(LASTS_S)
        faded = bool(life.untrue()) and not await life.until(lambda: life.status == "ERROR", LASTS_S)
        await asyncio.sleep(HEAL_S_MAX - LASTS_S if len(kinds) > 1 else 0)
    elif not await life.until(life.is_calm, HEAL_S_MAX):
        outcome, why = "missed", f"never healed: {life.status}, {life.snapshot['reconcile']['explanations']}"
    named, right, because = _attribution(life, told, over)
    wanted = {kind.name for kind in kinds}
    return Found(
        seed=seed,
        kinds=tuple(kind.name for kind in kinds),
        outcome=outcome,
        after_s=after_s,
        named=named,
        right=right,
        faded=faded,
        aside=any(
            part["cause"] not in wanted
            for body in life.divergences
            if body["rule"] in DERIVED
            for part in body["attribution"]
        ),
        why=why or because,
    )


async def _owed(life: Life, kinds: Sequence[Kind], rng: Random) -> tuple[bool, float]:
    """Wait as long as an answer may take; says whether it is there at the end, and since when it is."""
    began_s = life.loop.time()
    trading = rng.random() < 0.5
    since_s: float | None = None
    while (passed_s := life.loop.time() - began_s) < OWED_S:
        if trading and passed_s < OWED_S - STILL_S and rng.random() < LOOK_S / 8:
            life.bot.step()
        good = life.erred or not life.untrue() or _is_warned(life, kinds)
        since_s = (passed_s if since_s is None else since_s) if good else None
        await asyncio.sleep(LOOK_S)
    return since_s is not None, since_s if since_s is not None else OWED_S


def _is_unknown(life: Life) -> bool:
    """Say whether an amount is called unknown whose row the exchange may still hold back."""
    return life.status == "UNKNOWN" and bool(life.terms.dialect.row_delay_s_max) and bool(life.snapshot["k"]["unknown"])


def _is_warned(life: Life, kinds: Sequence[Kind]) -> bool:
    return any(kind.warns & life.classes for kind in kinds)


def _outcome(life: Life, kinds: Sequence[Kind]) -> str:
    if life.erred:
        return "error"
    if any(life.can_show(kind.name) for kind in kinds if kind.warns and not kind.warns & life.classes):
        return "missed"
    return "warned" if any(kind.warns for kind in kinds) else "healed"


def _attribution(
    life: Life, told: Sequence[tuple[Kind, Ids]], over: AbstractSet[str]
) -> tuple[tuple[str, ...], bool | None, str]:
    """Compare the causes that were named in the end with those injected: their words, and the ids of facts.

    What was `over` without a divergence before the other began need not be named. What is named besides is wrong unless
    it is true: a fact of the bot's that rows alone told, or a rounding too small to be a difference. Of an execution
    whose quantity another frame told, without its money, K lacks the fee: that is its name as well.
    """
    last = {body["id"]: body for body in life.divergences if body["attribution"]}
    parts = list(itertools.chain.from_iterable(body["attribution"] for body in last.values()))
    told = [
        (replace(kind, name="fee"), ids)
        if kind.name == "uncovered_interval" and life.is_told_without_money(*ids) and not _names(parts, kind.name, ids)
        else (kind, ids)
        for kind, ids in told
    ]
    named = {str(part["cause"]) for part in parts}
    strange = [
        (str(part["cause"]), body["field"])
        for body in last.values()
        for part in body["attribution"]
        if body["rule"] not in DERIVED and not _is_true_besides(life, part)
    ]
    named |= {kind.name for kind, _ in told if kind.warns & life.classes}
    if not life.divergences and not named:
        return (), None, ""
    wanted = {kind.name for kind, _ in told}
    beside = set().union(*(kind.beside for kind, _ in told))
    rules = {body["rule"] for body in last.values()}
    due = {
        kind.name
        for kind, ids in told
        if kind.name not in over
        and any(
            body["rule"] in SHOWN_BY.get(kind.name, frozenset({"R1"}))
            and not _is_others(life, body, wanted - {kind.name})
            and not _was_over(life, body, kind, ids)
            for body in last.values()
        )
    }
    due -= {"mark_age"} if "R3" in rules else set()  # R4 says first what quantities differ
    lacking = due - named
    wrong = [f"also named: {cause} of {name}" for cause, name in strange if cause not in wanted | beside]
    unnamed = [
        f"{kind.name} without {ids}"
        for kind, ids in told
        if kind.name in due & named and ids and not kind.warns and not _names(parts, kind.name, ids)
    ]
    because = [f"not named: {', '.join(sorted(lacking))}"] if lacking else []
    because += dict.fromkeys(wrong)
    because += unnamed
    return tuple(sorted(named)), not because, "; ".join(because)


def _was_over(life: Life, body: Mapping[str, Any], kind: Kind, ids: Ids) -> bool:
    """Say whether a cause can have no part in a difference: its rows were heard before, or it is of another position."""
    if kind.name == "statement":
        return bool(body["symbol"] != life.glitched)
    heard = [life.heard_at.get(fact) for fact in ids]
    return bool(heard) and all(at is not None and at < body["first_at"] for at in heard)


def _is_others(life: Life, body: Mapping[str, Any], others: AbstractSet[str]) -> bool:
    """Say whether a healed difference was, from its first amount to the last digit, of these causes or the bot's own.

    What healed it is what was not said of it before: a guess, and then the fact itself, are not two.
    """
    told = [one for one in life.divergences if one["id"] == body["id"]]
    guessed = [part for one in told if one["state"] != "healed" for part in one["attribution"]]
    parts = [part for part in body["attribution"] if part["cause"] != "rounding"]
    known = all(part["cause"] in others or _is_true_besides(life, part) for part in parts)
    if body["state"] != "healed" or not parts or not known:
        return False
    healing = [part for part in parts if part not in guessed] or parts
    return abs(Decimal(told[0]["delta"]) + sum(Decimal(part["amount"] or 0) for part in healing)) <= EPSILON


def _is_true_besides(life: Life, part: Mapping[str, Any]) -> bool:
    """Say whether what is named besides is true: of each of its facts nobody but rows told all, or it is next to nothing."""
    if part["cause"] == "rounding":
        return abs(Decimal(part["amount"])) <= EPSILON
    if part["cause"] not in {"uncovered_interval", "fee", "funding"}:
        return False
    facts = [fact for word in part["ids"] for fact in life.facts_of(str(word))]
    return bool(facts) and all(life.is_told_by_rows_alone(fact) for fact in facts)


def _names(parts: Sequence[Mapping[str, Any]], cause: str, ids: Ids) -> bool:
    """Say whether the parts of this cause name one of these facts: of many rows not all are written out."""
    text = " ".join(str(word) for part in parts if part["cause"] == cause for word in part.get("ids", ()))
    return any(fact in text for fact in ids)


# ---- lives --------------------------------------------------------------------------------------------------------------


def terms_of(rng: Random, kinds: Sequence[Kind], *, plain: bool) -> Terms:
    """Draw what an account is born with, or take the plain exchange's habits, as these kinds want it."""
    fixed: dict[str, Any] = {"row_delay_s_max": rng.choice(ROW_DELAYS_S), "transfer_rows": True}
    for kind in kinds:
        fixed |= kind.dialect
    dialect = Dialect(**fixed) if plain else Dialect.drawn(rng, **fixed)
    terms = Terms(dialect=dialect, hedge=plain or rng.random() < 0.6, margin_type=rng.choice(["cross", "isolated"]))
    for kind in kinds:
        terms = replace(terms, **kind.terms)
    return terms


def trial(seed: int, names: Sequence[str]) -> tuple[list[Found], float]:
    """Inject some kinds together in an account of their own; gives what was found, and the virtual seconds lived."""
    rng = Random(f"{seed}:{names}")  # noqa: S311 - a story, not a secret
    kinds = [kind_named(name) for name in names]
    terms = terms_of(rng, kinds, plain=seed % 2 == 0)
    found: list[Found] = []

    async def story(life: Life) -> None:
        born = bool(terms.seed_capital)
        if not born and not await life.calm():
            found.append(_unfit(life, seed, names))
            return
        await life.until(lambda: bool(life.snapshot) and life.snapshot["baseline"] is not None, HEAL_S_MAX)
        if not born and not any(kind.dialect for kind in kinds):
            await life.trade(SHORT_ACTS, SHORT_PACE_S)
            if not await life.calm():
                found.append(_unfit(life, seed, names))
                return
        found.append(await episode(life, seed, kinds, rng))

    return found, tell_story(seed, terms, story)


def _unfit(life: Life, seed: int, names: Sequence[str]) -> Found:
    why = f"never calm before: {life.status}, {life.untrue()}, {life.snapshot['reconcile']['explanations']}"
    return Found(seed=seed, kinds=tuple(names), outcome="unfit", after_s=0, named=(), right=None, why=why)


def day(seed: int) -> tuple[list[Found], float]:
    """Live an account's day in which every kind that heals is injected twice, and short lives for those that last."""
    rng = Random(f"{seed}:day")  # noqa: S311 - a story, not a secret
    heals = [kind for kind in KINDS if not needs_life_of_its_own([kind])]
    order = [kind for _ in range(2) for kind in rng.sample(heals, len(heals))]
    found: list[Found] = []

    async def story(life: Life) -> None:
        while order:
            await life.trade(ACTS, PACE_S)
            if not await life.calm():
                found.append(_unfit(life, seed, [order.pop(0).name]))
                return
            found.append(await episode(life, seed, [order.pop(0)], rng))

    lived_s = 0.0
    part = 0
    while order:
        lived_s += tell_story(seed * 1_000 + part, terms_of(rng, (), plain=(seed + part) % 2 == 0), story)
        part += 1
    for kind in KINDS:
        if needs_life_of_its_own([kind]):
            more, short_s = trial(seed, [kind.name])
            found += more
            lived_s += short_s
    return found, lived_s


def pairs(count: int, seed: int) -> Iterator[tuple[int, tuple[str, str]]]:
    """Give seeds and pairs of kinds, every pair in turn."""
    every = list(itertools.combinations([kind.name for kind in KINDS], 2))
    Random(f"{seed}:pairs").shuffle(every)  # noqa: S311 - a story, not a secret
    for number, (first, second) in zip(range(count), itertools.cycle(every), strict=False):
        yield seed + number, (first, second) if number % 2 else (second, first)
