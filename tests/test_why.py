"""Why a figure is what it is: the entries make exactly the number of the snapshot, on every page. All events are synthetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad import explaining
from ditad.difference import difference, lives
from ditad.entries import Entry, Operation, step
from ditad.errors import UsageError
from ditad.events import BaselineTaken, Event, OrderStatus, PositionSide, Side, StreamChanged, StreamState
from ditad.explaining import Standing, explained, standing_at
from ditad.journal import Reader
from ditad.why import fields, recipe_of
from tests.benchmarks.long_life import Life
from tests.support.journaled import NAME, journaled
from tests.support.story import Story

SHORT, BOTH = PositionSide.SHORT, PositionSide.BOTH


# ---- stories, each with something that is hard to explain


def traded() -> Story:
    """Open, add, close in part: the book's own profit has more decimals than are shown."""
    story = Story()
    story.order(z="1", ap="100", fee="0.05")
    story.order(z="2", ap="100.05", fee="0.10005")
    story.order(side=Side.SELL, z="1", ap="101.1", fee="0.05055", rp="1.06666667")
    story.account("1000.86606667", ("BTC-USDT", PositionSide.LONG, "2", "100.03333333"))
    story.positions(story.position_row("2", "100.03333333", mark="102", leverage="10"))
    story.balance("1000.86606667", used="20.00666666", available="980")
    return story


def paid() -> Story:
    """Funding, a transfer, and another income, from pushes and rows."""
    story = Story(max_capital=Decimal(1_000), min_capital=Decimal(10))
    story.account("999.5", reason="FUNDING_FEE", change="-0.5")
    story.account("1099.5", reason="DEPOSIT", change="100")
    story.account("1109.5", reason="REBATE", change="10")
    story.income(
        story.income_row("1", "FUNDING_FEE", "-0.5"),
        story.income_row("2", "TRANSFER", "100"),
        story.income_row("3", "REBATE", "10"),
    )
    return story


def corrected() -> Story:
    """A fill is split late, and a fee is learnt late: both are records that take the place of others."""
    story = Story()
    order = story.order(status=OrderStatus.FILLED, z="3", ap="100", fee=None, rp=None)
    story.order(order, status=OrderStatus.PARTIALLY_FILLED, z="1", q="3", ap="100", fee="0.05")
    story.order(side=Side.SELL, z="3", ap="90", fee=None, rp="-30", last=("3", "90"))
    story.order(ps=SHORT, side=Side.SELL, z="1", ap="100", fee="0.05")
    return story


def just_corrected() -> Story:
    """The last thing heard takes the place of a fill that was told long before."""
    story = Story()
    order = story.order(z="3", ap="100", fee="0.15", rp="0", last=("3", "100"))
    for _ in range(5):
        story.order(z="1", ap="100", fee="0.05")
    story.order(order, status=OrderStatus.PARTIALLY_FILLED, z="1", q="3", ap="100", fee="0.05")
    return story


def learnt() -> Story:
    """What nobody had told is told by rows."""
    story = corrected()
    first = str(story.of_type("fill")[0]["order_id"])
    story.fills(story.fill_row(first, "1", "100", "0.05"), story.fill_row(first, "2", "100", "0.1"), order_id=first)
    story.executed(first, "3", ap="100")
    story.fills(story.fill_row(first, "1", "100", "0.05"), story.fill_row(first, "2", "100", "0.1"))
    return story


def one_way() -> Story:
    """A signed position flips from long to short, and another one is long."""
    story = Story(hedge=False, symbols=("BTC-USDT", "ETH-USDT"))
    story.order(ps=BOTH, z="1", ap="100", fee="0.05", name="TRADE_UPDATE")
    story.order(ps=BOTH, side=Side.SELL, z="3", ap="101", fee="0.1515", rp="1", name="TRADE_UPDATE", last=("3", "101"))
    story.order(ps=BOTH, z="2", ap="50", fee="0.05", symbol="ETH-USDT")
    story.account("1000.7485", ("BTC-USDT", BOTH, "-2", "101"), ("ETH-USDT", BOTH, "2", "50"))
    return story


def early() -> Story:
    """A close comes before its open and waits."""
    story = Story(positions=(Story(baseline=False).position_row("1", "100"),))
    story.order(side=Side.SELL, z="3", ap="101", fee="0.1515", rp="3")
    return story


def uncertain() -> Story:
    """The baseline states a position without its entry."""
    row = replace(Story(baseline=False).position_row("1", "100"), entry_price=None)
    story = Story(positions=(row,))
    story.positions(story.position_row("1", "100", mark="101"))
    return story


def adopted() -> Story:
    """A second ledger begins: what was a fact of the first one is none of it."""
    story = traded()
    row = story.position_row("2", "100.03333333", mark="102", leverage="10")
    story.tell(
        BaselineTaken(
            baseline_id="b2",
            taken_ms=story.ms,
            wallet=Decimal("1000.86606667"),
            positions=(row,),
            orders=(),
            adopted_by=1000,
            why="test",
        )
    )
    story.pass_s(5)
    story.order(side=Side.SELL, z="2", ap="103", fee="0.103", rp="5.93333334")
    return story


def disputed() -> Story:
    """A difference that every question was answered about, and then another fact on its way."""
    story = Story()
    story.account("990")
    for _ in range(2):
        story.pass_s(40)
        asked_us = story.us
        story.balance("990")
        story.positions()
        story.fills()
        story.income()
        story.audit_done(asked_us=asked_us)
    story.order(z="1", ap="100", fee="0.05")
    return story


def bridged() -> Story:
    """The stream is lost: the last statement is moved on by K's facts."""
    story = Story()
    story.pass_s(90)
    story.tell(StreamChanged(state=StreamState.LOST, detail="cut", at_ms=None))
    return story


def contradicted() -> Story:
    """Two frames tell one fill's price differently."""
    story = Story()
    order = story.order(z="1", ap="100", fee="0.05", rp="1")
    story.order(order, z="1", ap="120", fee="0.05", rp="1")
    return story


def before() -> Story:
    """There is no baseline yet."""
    return Story(baseline=False)


def seeded() -> Story:
    """There is no baseline yet, but a seed."""
    return Story(baseline=False, seed_capital=Decimal(500), max_capital=Decimal(400))


def foreign() -> Story:
    """A symbol of another asset is traded on the same stream."""
    story = traded()
    story.order(z="1", ap="100", fee="0.05", symbol="BTC-USDC")
    story.order(z="1", ap="100", fee="0.05")
    return story


STORIES: tuple[Callable[[], Story], ...] = (
    traded,
    paid,
    corrected,
    just_corrected,
    learnt,
    one_way,
    early,
    uncertain,
    adopted,
    disputed,
    bridged,
    contradicted,
    before,
    seeded,
    foreign,
)


async def written(folder: Path, events: Iterable[Event], *, sealed: bool = True) -> Reader:
    """Write a journal of events, with a checkpoint every few, and open it."""
    await journaled(folder, events, batch=2, checkpoint_events=5, sealed=sealed)
    return Reader.open(folder, NAME)


def figure(body: Mapping[str, Any], name: str) -> str | None:
    """Find a figure in a snapshot by its name."""
    kind, _, rest = name.partition(".")
    if kind in {"deltas", "published", "e"} and not rest.startswith("position:"):
        block = body["reconcile"]["deltas"] if kind == "deltas" else body[kind]
        return None if block[rest] is None else str(block[rest])
    ledger, key = ("e", rest) if kind == "e" else ("k", name)
    if ":" not in key:
        return None if body[ledger][key] is None else str(body[ledger][key])
    what, symbol, side = key.split(":")
    (row,) = (row for row in body[ledger]["positions"] if (row["symbol"], row["side"]) == (symbol, side))
    value: str | None = row["qty" if what == "position" else "entry_price"]
    return value


def applied(items: Iterable[Mapping[str, Any]]) -> Decimal | None:
    """Do the arithmetic of entries again, as a reader would."""
    total: Decimal | None = Decimal(0)
    for item in items:
        amount = None if item["amount"] is None else Decimal(item["amount"])
        total = step(total, Entry(operation=Operation(item["operation"]), amount=amount, what=""))
    return total


def all_of(reader: Reader, standing: Standing, name: str, *, limit: int) -> list[dict[str, Any]]:
    """Read a figure's entries page by page."""
    items: list[dict[str, Any]] = []
    cursor: int | None = 0
    while cursor is not None:
        page: dict[str, Any] = explained(reader, standing, name, after_seq=cursor, limit=limit)
        items += page["items"]
        cursor = page["next_after_seq"]
    return items


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("sealed", [True, False])
async def test_the_entries_make_every_figure(tmp_path: Path, story: Callable[[], Story], sealed: bool) -> None:
    """Of whatever story: the entries of each figure make it to the last digit, and each page says the same as the whole."""
    told = story()
    with closing(await written(tmp_path, told.events, sealed=sealed)) as reader:
        standing = standing_at(reader, NAME, None)
        assert standing is not None
        assert told.snap == orjson.loads(orjson.dumps(standing.moment.body))
        for name in fields(standing.moment):
            whole: dict[str, Any] = explained(reader, standing, name, after_seq=0, limit=1_000)
            assert (name, figure(told.snap, name), True) == (name, whole["value"], whole["exact"]), whole
            assert (name, len(whole["items"])) == (name, whole["count"])
            if whole["value"] is not None:
                assert Decimal(whole["value"]) == applied(whole["items"]), name
                assert whole["value"] == (whole["items"] or [{"running_total": "0"}])[-1]["running_total"], name
            assert (name, whole["items"]) == (name, all_of(reader, standing, name, limit=2))


@pytest.mark.parametrize("story", [traded, paid, learnt, adopted])
async def test_the_account_as_it_was_is_explained_as_it_was(tmp_path: Path, story: Callable[[], Story]) -> None:
    """Of an older snapshot the entries are those that counted then, also where they were corrected since."""
    told = story()
    snapshots = [record["snapshot"] for record in told.records if record["type"] == "snapshot"]
    with closing(await written(tmp_path, told.events)) as reader:
        for body in snapshots:
            assert isinstance(body, dict)
            standing = standing_at(reader, NAME, body["event_seq"])
            assert standing is not None
            for name in ("fees_paid", "realized_pnl", "capital_raw", "funding_paid"):
                page: dict[str, Any] = explained(reader, standing, name, after_seq=0, limit=1_000)
                assert (name, body["k"][name]) == (name, page["value"])
                assert page["exact"], (name, body["event_seq"])
        assert standing_at(reader, NAME, len(snapshots) + 1) is None


async def test_a_long_life_is_explained_from_any_place(tmp_path: Path) -> None:
    """Wherever a page begins, its running total is that of the whole; an opening stands on the first page alone."""
    with closing(await written(tmp_path, islice(Life(trade_every_s=1).events(), 400))) as reader:
        standing = standing_at(reader, NAME, None)
        assert standing is not None
        for name in ("fees_paid", "capital_raw", "position:BTC-USDT:LONG"):
            whole: dict[str, Any] = explained(reader, standing, name, after_seq=0, limit=1_000)
            for place, item in enumerate(whole["items"][1:-1:17], 1):
                assert item["seq"] is not None
                page: dict[str, Any] = explained(reader, standing, name, after_seq=item["seq"], limit=3)
                start = whole["items"].index(item) + 1
                assert whole["items"][start : start + 3] == page["items"], (name, place)
                assert whole["count"] == page["count"]


async def test_what_nobody_told_is_said(tmp_path: Path) -> None:
    """An amount that is not known is an entry of null that names what is missing, and adds nothing."""
    with closing(await written(tmp_path, corrected().events)) as reader:
        standing = standing_at(reader, NAME, None)
        assert standing is not None
        fees: dict[str, Any] = explained(reader, standing, "fees_paid", after_seq=0, limit=9)
        capital: dict[str, Any] = explained(reader, standing, "capital_raw", after_seq=0, limit=9)
    unknown = [item for item in fees["items"] if item["amount"] is None]
    assert unknown
    assert [["amount"]] * len(unknown) == [item["unknown"] for item in unknown]
    assert ["fee"] in [item.get("unknown") for item in capital["items"]]
    assert ["realized_pnl", "fee"] in [item.get("unknown") for item in capital["items"]]


async def test_a_statement_names_its_event_and_a_peak_its_snapshot(tmp_path: Path) -> None:
    """An entry of E says which event stated it, one of a peak which snapshot first had it."""
    with closing(await written(tmp_path, paid().events)) as reader:
        standing = standing_at(reader, NAME, None)
        assert standing is not None
        wallet: dict[str, Any] = explained(reader, standing, "e.wallet_balance", after_seq=0, limit=9)
        peak: dict[str, Any] = explained(reader, standing, "peak_capital", after_seq=0, limit=9)
        stated = next(reader.events(wallet["items"][0]["event_n"]))
        assert "account" == stated.source_id.partition(":")[0]
        first = standing_at(reader, NAME, peak["items"][0]["event_seq"])
        assert first is not None
        assert peak["value"] == first.moment.body["k"]["peak_capital"]
        early_one = standing_at(reader, NAME, peak["items"][0]["event_seq"] - 1)
    assert early_one is not None
    assert peak["value"] != early_one.moment.body["k"]["peak_capital"]


async def test_names_may_be_said_as_the_snapshot_has_them(tmp_path: Path) -> None:
    """`k.` and `reconcile.` may stand before a name, and a delta that K has no figure of needs no prefix."""
    with closing(await written(tmp_path, traded().events)) as reader:
        standing = standing_at(reader, NAME, None)
        assert standing is not None
        for said, name in (
            ("k.fees_paid", "fees_paid"),
            ("reconcile.deltas.realized_pnl", "deltas.realized_pnl"),
            ("capital_vs_wallet", "deltas.capital_vs_wallet"),
            ("position:BTC-USDT:LONG", "position:BTC-USDT:LONG"),
        ):
            assert name == explained(reader, standing, said, after_seq=0, limit=9)["field"].removeprefix("k.")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "e.nonsense",
        "deltas.nonsense",
        "position:X-USDT:LONG",
        "entry_price:X-USDT:LONG",
        "e.position:X:LONG",
    ],
)
async def test_a_field_that_is_none_is_answered_with_those_there_are(tmp_path: Path, name: str) -> None:
    """A wrong name is refused with the right ones."""
    with closing(await written(tmp_path, traded().events)) as reader:
        standing = standing_at(reader, NAME, None)
        assert standing is not None
        with pytest.raises(UsageError, match=r"fees_paid.*position:BTC-USDT:LONG.*deltas\.realized_pnl"):
            explained(reader, standing, name, after_seq=0, limit=9)


async def test_a_flat_position_is_explained_too(tmp_path: Path) -> None:
    """A position that is closed has no entry price, and fills that add up to nothing."""
    story = adopted()
    with closing(await written(tmp_path, story.events)) as reader:
        standing = standing_at(reader, NAME, None)
        assert standing is not None
        quantity: dict[str, Any] = explained(reader, standing, "position:BTC-USDT:LONG", after_seq=0, limit=9)
        price: dict[str, Any] = explained(reader, standing, "entry_price:BTC-USDT:LONG", after_seq=0, limit=9)
    assert ("0", True, ["2", "-2"]) == (quantity["value"], quantity["exact"], [i["amount"] for i in quantity["items"]])
    assert (None, "nothing is open", []) == (price["value"], price["note"], price["items"])


async def test_a_one_way_position_is_flat_on_its_other_side(tmp_path: Path) -> None:
    """Asked for the side that a signed position does not have, the arithmetic ends at zero."""
    with closing(await written(tmp_path, one_way().events)) as reader:
        standing = standing_at(reader, NAME, None)
        assert standing is not None
        page: dict[str, Any] = explained(reader, standing, "position:BTC-USDT:LONG", after_seq=0, limit=9)
        stated: dict[str, Any] = explained(reader, standing, "e.position:BTC-USDT:LONG", after_seq=0, limit=9)
    assert ("0", True, "0", "max") == (page["value"], page["exact"], stated["value"], page["items"][-1]["operation"])


async def test_counting_and_looking_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where few facts have a part in a figure, a page looks at so many and says where to go on; a count may be too dear."""
    monkeypatch.setattr(explaining, "SCANNED_MAX", 3)
    monkeypatch.setattr(explaining, "COUNTED_MAX", 10)
    with closing(await written(tmp_path, islice(Life(trade_every_s=1).events(), 120))) as reader:
        standing = standing_at(reader, NAME, None)
        assert standing is not None
        page: dict[str, Any] = explained(reader, standing, "position:BTC-USDT:LONG", after_seq=0, limit=1_000)
        assert (None, None) == (page["count"], page["exact"])
        assert page["next_after_seq"] is not None
        items = all_of(reader, standing, "position:BTC-USDT:LONG", limit=1_000)
    assert items[-1]["running_total"] in {"0", "0.01"}


async def test_an_empty_journal_has_nothing_to_explain(tmp_path: Path) -> None:
    """Before anything was published there is no figure."""
    with closing(await written(tmp_path, [])) as reader:
        assert standing_at(reader, NAME, None) is None


# ---- the arithmetic, and what changed


@pytest.mark.parametrize(
    ("operation", "amount", "total"),
    [
        ("add", "2", "9"),
        ("subtract", "2", "5"),
        ("divide", "3", "2.333333333333333333"),
        ("max", "8", "8"),
        ("min", "3", "3"),
    ],
)
def test_each_operation(operation: str, amount: str, total: str) -> None:
    """An entry joins the running total as its operation says; what is not known leaves it alone."""
    entry = Entry(operation=Operation(operation), amount=Decimal(amount), what="x")
    assert Decimal(total) == step(Decimal(7), entry)
    assert Decimal(7) == step(Decimal(7), replace(entry, amount=None))
    assert step(None, entry) is None
    assert step(None, replace(entry, operation=Operation.ROUND)) is None


def test_what_changed_between_two_snapshots() -> None:
    """Every figure that is another is there with its exact difference, and every position that came, went or changed."""
    story = Story()
    start = story.snap
    story.order(z="2", ap="100.1", fee="0.1001")
    opened = story.snap
    story.order(side=Side.SELL, z="2", ap="101", fee="0.101", rp="1.8")
    closed = story.snap
    told: dict[str, Any] = difference(start, opened)
    figures = {row["field"]: (row["a"], row["b"], row["difference"]) for row in told["figures"]}
    assert ("0", "0.1001", "0.1001") == figures["k.fees_paid"]
    assert (None, "100.1", None) == figures["e.last_fill_price"]
    assert [("k", "LONG", "opened")] == [(row["ledger"], row["side"], row["change"]) for row in told["positions"]]
    assert [("qty", "2")] == [(row["field"], row["b"]) for row in told["positions"][0]["figures"]][:1]
    back: dict[str, Any] = difference(opened, closed)
    assert ["closed"] == [row["change"] for row in back["positions"]]
    assert {"figures": [], "texts": [], "positions": []} == difference(closed, closed)
    empty: dict[str, Any] = difference(Story(baseline=False).snap, start)
    assert "baseline.id" in {row["field"] for row in empty["texts"]}


def test_what_became_of_gaps_and_divergences() -> None:
    """By their records between: opened there or before, closed there or not."""
    story = bridged()
    gaps = [record for record in story.records if record["type"] == "gap"]
    (gap,) = lives(gaps, "gap", ())
    assert (True, False, "open") == (gap["opened"], gap["closed"], gap["state"])
    (again,) = lives(gaps, "gap", [str(gap["id"])])
    assert again["opened"] is False
    found = lives([record for record in disputed().records if record["type"] == "divergence"], "divergence", ())
    assert ["capital_vs_wallet"] == [one["about"] for one in found][:1]


def test_a_position_that_changed_says_by_how_much() -> None:
    """Of a position in both snapshots only what is another is told."""
    story = Story()
    story.order(z="2", ap="100", fee="0.1")
    story.order(ps=SHORT, side=Side.SELL, z="1", ap="100", fee="0.05")
    before_it = story.snap
    story.order(z="1", ap="100", fee="0.05")
    told: dict[str, Any] = difference(before_it, story.snap)
    assert [("changed", [{"field": "qty", "a": "2", "b": "3", "difference": "1"}])] == [
        (row["change"], row["figures"]) for row in told["positions"]
    ]


async def test_recipes_need_a_figure(tmp_path: Path) -> None:
    """A story without positions has no recipe for one."""
    with closing(await written(tmp_path, before().events)) as reader:
        standing = standing_at(reader, NAME, None)
    assert standing is not None
    assert recipe_of(standing.moment, "position:BTC-USDT:LONG") is None
    assert recipe_of(standing.moment, "entry_price:BTC-USDT:BOTH") is None
