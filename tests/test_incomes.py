"""Funding, transfers and other income. All pushes and rows are synthetic: nobody captured a funding frame."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ditad.events import IncomeRow
from ditad.incomes import (
    Change,
    IncomeFact,
    IncomeKind,
    Incomes,
    close_groups,
    forget,
    hear_push,
    hear_row,
    is_known,
    kind_of,
)

SETTLED = 1_700_000_000_000
SECOND = 1_000


def push(amount: str | None, *, at: int = 0, name: str = "FUNDING_FEE", asset: str = "USDT") -> IncomeFact:
    """Make a push's fact: funding positive when paid, all else positive when received."""
    return IncomeFact(
        key=f"push:{asset}:{name}:{at}:{amount}",
        kind=kind_of(name),
        name=name,
        amount=None if amount is None else Decimal(amount),
        asset=asset,
        symbol=None,
        tran_id=None,
        at_ms=SETTLED + at,
        provisional=True,
        sources=("push",),
    )


def row(
    tran_id: str, amount: str, *, at: int = 0, kind: str = "FUNDING_FEE", asset: str = "USDT", symbol: str | None = None
) -> IncomeRow:
    """Make an income row: positive when received, also for funding."""
    return IncomeRow(
        tran_id=tran_id,
        kind=kind,
        amount=Decimal(amount),
        asset=asset,
        symbol=symbol,
        at_ms=SETTLED + at,
        info=None,
        trade_id=None,
    )


Heard = IncomeFact | IncomeRow


def hear(incomes: Incomes, item: Heard) -> Change:
    """Hear a push or a row."""
    return hear_push(incomes, item) if isinstance(item, IncomeFact) else hear_row(incomes, item)


def counted(*items: Heard, close_at: int | None = None) -> dict[str, Decimal | None]:
    """Hear everything in this order and give what K would hold: each fact by its key, removed ones taken out."""
    incomes = Incomes()
    held: dict[str, Decimal | None] = {}
    changes = [hear(incomes, item) for item in items]
    changes += close_groups(incomes, SETTLED + close_at) if close_at is not None else []
    for change in changes:
        for fact in change.removed:
            del held[fact.key]
        for fact in change.added:
            assert fact.key not in held, "a fact is added once"
            held[fact.key] = fact.amount
    return held


def total(held: dict[str, Decimal | None]) -> Decimal:
    """Add up what is known."""
    return sum((amount for amount in held.values() if amount is not None), Decimal(0))


# ---- funding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True], ids=["push first", "row first"])
def test_funding_is_counted_once_by_its_tran_id(turned: bool) -> None:
    """A push says 1.5 paid, a row −1.5 received: one fact, the row's, whatever came first."""
    told: list[Heard] = [push("1.5"), row("9", "-1.5", at=30 * SECOND)]
    assert {"tran:9": Decimal("1.5")} == counted(*(reversed(told) if turned else told))


def test_a_cross_push_covers_several_rows() -> None:
    """One push names no position; the rows that make its sum become the facts."""
    held = counted(push("1.5"), row("1", "-2", symbol="BTC-USDT"), row("2", "0.5", symbol="ETH-USDT"))
    assert {"tran:1": Decimal(2), "tran:2": Decimal("-0.5")} == held


def test_unequal_sums_leave_the_push_while_rows_may_come() -> None:
    """Half the rows are no reason to move K: the group is open until 150 s after its last push."""
    assert [push("1.5").key] == list(counted(push("1.5"), row("1", "-1"), close_at=149_999))


def test_at_the_close_rows_are_the_facts_and_the_difference_is_told() -> None:
    """1.5 was pushed and 1 is stated by rows: the rows count, 0.5 is a divergence."""
    incomes = Incomes()
    hear(incomes, push("1.5"))
    hear(incomes, row("1", "-1"))
    (change,) = close_groups(incomes, SETTLED + 150_000)
    assert change.difference is not None
    assert (Decimal("0.5"), ["tran:1"]) == (change.difference[1], [fact.key for fact in change.added])


def test_an_unknown_amount_is_given_by_the_rows_at_the_close() -> None:
    """Rows fill what no push told, after a completed question, and that is no divergence."""
    told: list[Heard] = [push(None), row("1", "-2"), row("2", "-1")]
    incomes = Incomes()
    for item in told:
        hear(incomes, item)
    (change,) = close_groups(incomes, SETTLED + 150_000)
    assert ({push(None).key: None}, Decimal(3), None) == (
        counted(*told),
        total(counted(*told, close_at=150_000)),
        change.difference,
    )


def test_a_settlement_without_any_row_keeps_its_push_and_is_a_difference() -> None:
    """The wallet moved by what was pushed; a completed question that knows nothing of it disagrees."""
    incomes = Incomes()
    hear(incomes, push("1.5"))
    (change,) = close_groups(incomes, SETTLED + 150_000)
    assert change.difference is not None
    assert ((), (), Decimal("1.5")) == (change.removed, change.added, change.difference[1])


def test_a_settlement_whose_rows_are_kept_no_more_is_no_difference() -> None:
    """No row came because none could come: what was pushed stays, and nothing is said against it."""
    incomes = Incomes()
    hear(incomes, push("1.5"))
    assert [] == close_groups(incomes, SETTLED + 9_000_000, SETTLED + 1)
    assert incomes.groups[0].closed


def test_a_group_closes_once_and_only_with_pushes() -> None:
    """Rows alone are facts already; a closed group says nothing again."""
    incomes = Incomes()
    hear(incomes, push("1"))
    hear(incomes, row("1", "-1"))
    hear(incomes, row("2", "-1", at=900_000))
    assert [[], []] == [close_groups(incomes, SETTLED + 9_000_000) for _ in range(2)]


def test_a_row_that_no_push_told_is_a_fact() -> None:
    """Funding can be missed by the stream altogether."""
    assert {"tran:1": Decimal(-2)} == counted(row("1", "2"))


@pytest.mark.parametrize(
    ("after_ms", "joined"),
    [(-1_001, False), (-1_000, True), (60_000, True), (120_000, True), (120_001, False)],
    ids=["too early", "same second", "60 s late", "120 s late", "too late"],
)
def test_a_row_belongs_to_the_push_it_follows(after_ms: int, joined: bool) -> None:
    """Stamped from the push's own second to 120 s after it."""
    assert joined == (len(counted(push("1"), row("1", "-1", at=after_ms))) == 1)


def test_pushes_chained_by_less_than_two_minutes_are_one_settlement() -> None:
    """Two pushes 119 s apart meet rows of one sum, though no row equals a push."""
    told = push("1"), push("2", at=119_000), row("1", "-2.5", at=130_000), row("2", "-0.5", at=130_000)
    assert {"tran:1", "tran:2"} == set(counted(*told))


def test_pushes_two_minutes_apart_are_two_settlements() -> None:
    """At 120 s the chain is broken: the second one's rows do not pay the first."""
    told = push("1"), push("2", at=120_000), row("1", "-2", at=130_000)
    assert {push("1").key, "tran:1"} == set(counted(*told))


def test_a_late_push_chains_what_was_apart() -> None:
    """A push heard last, between two others, makes them one settlement: groups are what all pushes say."""
    told = push("1"), push("2", at=200_000), push("3", at=100_000), row("1", "-6", at=200_000)
    assert {"tran:1": Decimal(6)} == counted(*told)


def test_assets_do_not_mix() -> None:
    """A USDC row does not restate a USDT push."""
    assert 2 == len(counted(push("1"), row("1", "-1", asset="USDC")))


def test_a_late_row_of_a_closed_settlement_joins_it() -> None:
    """After the close rows are the facts, those that come late too."""
    incomes = Incomes()
    for item in (push("3"), row("1", "-1")):
        hear(incomes, item)
    close_groups(incomes, SETTLED + 150_000)
    change = hear(incomes, row("2", "-2", at=60_000))
    assert ([], ["tran:2"]) == ([fact.key for fact in change.removed], [fact.key for fact in change.added])


def test_a_late_push_of_a_closed_settlement_takes_nothing_away() -> None:
    """Where no row ever came, what pushes told stays and the late one is added."""
    incomes = Incomes()
    hear(incomes, push("3"))
    close_groups(incomes, SETTLED + 150_000)
    change = hear(incomes, push("1", at=30_000))
    assert ((), [Decimal(1)]) == (change.removed, [fact.amount for fact in change.added])


@settings(max_examples=120, deadline=None)
@given(st.data(), st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3), st.booleans()), min_size=1, max_size=6))
def test_fundings_order_and_repetition_do_not_matter(data: st.DataObject, told: list[tuple[int, int, bool]]) -> None:
    """Whatever the order and repetition of the same pushes and rows, the same facts count."""
    items: list[Heard] = [
        push(str(amount), at=minute * 60_000 + place) if pushed else row(str(place), str(-amount), at=minute * 60_000)
        for place, (minute, amount, pushed) in enumerate(told)
    ]
    again = [*data.draw(st.permutations(items)), *data.draw(st.lists(st.sampled_from(items)))]
    assert counted(*items) == counted(*again)


# ---- transfers and other income -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("FUNDING_FEE", IncomeKind.FUNDING),
        ("DEPOSIT", IncomeKind.TRANSFER),
        ("WITHDRAW", IncomeKind.TRANSFER),
        ("ASSET_TRANSFER", IncomeKind.TRANSFER),
        ("ADJUSTMENT", IncomeKind.OTHER),
        ("INSURANCE_CLEAR", IncomeKind.OTHER),
    ],
)
def test_a_name_says_where_it_is_booked(name: str, kind: IncomeKind) -> None:
    """DEPOSIT, WITHDRAW and names with TRANSFER are transfers; all else is other income."""
    assert kind is kind_of(name)


@pytest.mark.parametrize("turned", [False, True], ids=["push first", "row first"])
def test_a_transfer_is_counted_once(turned: bool) -> None:
    """Equal asset and amount, whatever their names: the row's `tranId` is the identity, its type the kind."""
    told: list[Heard] = [push("-1", name="WITHDRAW"), row("5", "-1", kind="ADJUSTMENT", at=20_000)]
    incomes = Incomes()
    for item in reversed(told) if turned else told:
        change = hear(incomes, item)
    (fact,) = incomes.joined
    assert ("tran:5", IncomeKind.OTHER, ("push", "income"), (fact,)) == (
        fact.key,
        fact.kind,
        fact.sources,
        change.added,
    )


@pytest.mark.parametrize(
    ("after_ms", "joined"),
    [(-1_001, False), (-1_000, True), (120_000, True), (120_001, False)],
    ids=["too early", "same second", "120 s late", "too late"],
)
def test_a_transfers_row_is_near_its_push(after_ms: int, joined: bool) -> None:
    """A row stamped −1 to +120 s of the push's time."""
    held = counted(push("5", name="DEPOSIT"), row("1", "5", kind="TRANSFER", at=after_ms))
    assert joined == (len(held) == 1)


def test_other_amounts_are_other_transfers() -> None:
    """5 and 6 have nothing to do with each other."""
    assert Decimal(11) == total(counted(push("5", name="DEPOSIT"), row("1", "6", kind="TRANSFER")))


def test_equal_transfers_are_joined_one_to_one() -> None:
    """Two deposits of 5 and one row: two facts remain."""
    told = push("5", name="DEPOSIT"), push("5", name="DEPOSIT", at=10), row("1", "5", kind="TRANSFER", at=1_000)
    assert {"tran:1", push("5", name="DEPOSIT", at=10).key} == set(counted(*told))


def test_a_later_row_heard_first_does_not_strand_the_earlier_one() -> None:
    """Matching is oldest first over all of them: row at 110 s must leave the first push to the row at 10 s."""
    told = (
        push("5", name="DEPOSIT"),
        push("5", name="DEPOSIT", at=100_000),
        row("2", "5", kind="TRANSFER", at=110_000),
        row("1", "5", kind="TRANSFER", at=10_000),
    )
    assert {"tran:1", "tran:2"} == set(counted(*told))


@settings(max_examples=120, deadline=None)
@given(st.data(), st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2), st.booleans()), min_size=1, max_size=7))
def test_transfers_order_and_repetition_do_not_matter(data: st.DataObject, told: list[tuple[int, int, bool]]) -> None:
    """Whatever the order and repetition of the same pushes and rows, the same facts count."""
    items: list[Heard] = [
        push(str(amount), at=minute * 60_000 + place, name="DEPOSIT")
        if pushed
        else row(str(place), str(amount), at=minute * 60_000, kind="TRANSFER")
        for place, (minute, amount, pushed) in enumerate(told)
    ]
    again = [*data.draw(st.permutations(items)), *data.draw(st.lists(st.sampled_from(items)))]
    assert counted(*items) == counted(*again)


@pytest.mark.parametrize("kind", ["REALIZED_PNL", "TRADING_FEE"])
def test_witnesses_are_no_facts(kind: str) -> None:
    """They restate fills."""
    assert {} == counted(row("1", "-1", kind=kind))


# ---- forgetting -----------------------------------------------------------------------------------------------------------


HOUR = 3_600_000


def test_identities_are_dropped_with_the_time_that_no_question_reaches() -> None:
    """Memory has a bound: what lies before the time to forget is not remembered, what lies after it is."""
    incomes = Incomes()
    hear(incomes, row("1", "-1"))
    close_groups(incomes, SETTLED + HOUR)
    forget(incomes, settled_ms=SETTLED, closes_ms=0)
    kept = dict(incomes.heard)
    forget(incomes, settled_ms=SETTLED + HOUR, closes_ms=0)
    assert ({"tran:1"}, {}, []) == (set(kept), incomes.heard, incomes.groups)


def test_what_a_forced_close_may_be_is_remembered_for_longer() -> None:
    """With the push of it, whatever that was called; transfers are over with all else."""
    incomes = Incomes()
    told = push("5", name="ADJUSTMENT"), row("1", "5", kind="INSURANCE_CLEAR")
    for item in (*told, push("6", name="DEPOSIT")):
        hear(incomes, item)
    forget(incomes, settled_ms=SETTLED + HOUR, closes_ms=SETTLED)
    assert ([Change(), Change()], {told[0].key, "tran:1"}) == ([hear(incomes, item) for item in told], {*incomes.heard})
    forget(incomes, settled_ms=SETTLED + HOUR, closes_ms=SETTLED + HOUR)
    assert Incomes(settled_ms=SETTLED + HOUR, closes_ms=SETTLED + HOUR) == incomes


@pytest.mark.parametrize(
    ("name", "at", "known"),
    [
        ("FUNDING_FEE", 2 * HOUR - 1, True),
        ("FUNDING_FEE", 2 * HOUR, False),
        ("TRADING_FEE", 2 * HOUR - 1, True),
        ("DEPOSIT", 2 * HOUR - 1, True),
        ("DEPOSIT", 2 * HOUR, False),
        ("INSURANCE_CLEAR", 2 * HOUR - 1, False),
        ("INSURANCE_CLEAR", HOUR - 1, True),
    ],
)
def test_what_is_told_of_a_time_that_is_over_was_told_before(name: str, at: int, known: bool) -> None:
    """Nobody remembers each of them, and none is counted twice."""
    incomes = Incomes()
    forget(incomes, settled_ms=SETTLED + 2 * HOUR, closes_ms=SETTLED + HOUR)
    assert known is is_known(incomes, "again", name, SETTLED + at)


def test_a_repeated_push_of_a_time_that_is_over_changes_nothing() -> None:
    """A stream may send an old frame once more, long after its settlement is forgotten."""
    incomes = Incomes()
    hear(incomes, push("1"))
    close_groups(incomes, SETTLED + HOUR)
    forget(incomes, settled_ms=SETTLED + HOUR, closes_ms=SETTLED + HOUR)
    assert ([], Change()) == (incomes.groups, hear(incomes, push("1")))


def test_an_open_settlement_is_not_forgotten() -> None:
    """Its rows may still come."""
    incomes = Incomes()
    hear(incomes, push("1"))
    forget(incomes, settled_ms=SETTLED + HOUR, closes_ms=SETTLED + HOUR)
    assert (1, [push("1").key]) == (len(incomes.groups), list(incomes.heard))


def test_a_settlement_of_which_an_amount_is_unknown_stays_as_long_as_closes_do() -> None:
    """What statements tell of it later has to find it."""
    incomes = Incomes()
    hear(incomes, push(None))
    close_groups(incomes, SETTLED + HOUR)
    groups = []
    for closes_ms in (SETTLED, SETTLED + HOUR):
        forget(incomes, settled_ms=SETTLED + HOUR, closes_ms=closes_ms)
        groups.append(len(incomes.groups))
    assert [1, 0] == groups
