"""What a projection keeps between events: never anything that a projection which kept nothing would say differently.

All payloads are synthetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import orjson
import pytest

from ditad.events import LeveragePush, Mark, Marks, OrderStatus, PositionSide, Question, Side
from ditad.kept import CHUNK, Kept, Places
from ditad.projection import Projection
from tests.support.story import Story, settings

LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH
MANY = tuple(f"S{number:02}-USDT" for number in range(CHUNK * CHUNK + 3))


def busy() -> Story:
    """Open and close positions, with statements between."""
    story = Story(symbols=("BTC-USDT", "ETH-USDT"))
    story.order(z="1", ap="100.00000000", fee="0.05")
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    story.order(z="2", ap="10.00000000", fee="0.01", symbol="ETH-USDT")
    story.order(side=Side.SELL, z="1", ap="101.00000000", fee="0.05", rp="1")
    story.account("1000.89", ("BTC-USDT", LONG, "0", "0"), ("ETH-USDT", LONG, "2", "10"))
    story.account("1000.89", ("ETH-USDT", LONG, "2", "10"))
    return story


def marks(story: Story, *told: tuple[str, str]) -> None:
    """Tell marks of the market stream."""
    story.tell(Marks(marks=tuple(Mark(symbol=name, price=Decimal(at), event_ms=story.ms) for name, at in told)))


def leverage(story: Story, symbol: str, times: str) -> None:
    """Tell a symbol's leverage."""
    told = Decimal(times)
    story.tell(LeveragePush(symbol=symbol, event_ms=story.ms, long=told, short=told, margin_type=None))


def wide() -> Story:
    """Hold many positions, of which a few change at a time: by fills, statements, marks, leverages and by time."""
    story = Story(symbols=MANY)
    for symbol in MANY:
        story.order(z="1", ap="100.00000000", fee="0.05", symbol=symbol)
        story.account(None, (symbol, LONG, "1", "100"))
    marks(story, *((symbol, "101.50") for symbol in MANY))
    leverage(story, MANY[3], "20")
    leverage(story, MANY[-1], "5")
    marks(story, (MANY[-1], "99.125"), ("NOT-HELD-USDT", "1"))
    story.order(side=Side.SELL, z="1", ap="101.00000000", fee="0.05", rp="1", symbol=MANY[CHUNK])
    story.order(side=Side.SELL, ps=SHORT, z="3", ap="7.00000000", fee="0.05", symbol=MANY[5])
    marks(story, (MANY[5], "7.003"))  # while two positions wait for their twins
    story.account(None, (MANY[CHUNK], LONG, "0", "0"))
    story.account(None, (MANY[5], SHORT, "2", "7"), (MANY[6], LONG, "4", "100"))
    while story.projection.deadline_us() is not None:
        story.tick()  # at last, nothing waits any more
    story.order(z="1", q="2", ap="100.03000000", fee=None, rp=None, symbol=MANY[7])
    story.account(None, (MANY[5], SHORT, "3", "7"), (MANY[6], LONG, "1", "100"), (MANY[0], LONG, "1", "100"))
    rows = [
        story.position_row("1", "100", symbol=name, mark="101.5", leverage="3") for name in MANY if name != MANY[CHUNK]
    ]
    story.positions(*rows, story.position_row("3", "7", symbol=MANY[5], side=SHORT, mark="7", leverage="3"))
    story.balance("994.25", used="1200")
    story.order(z="2", ap="100.00000000", fee="0.1", symbol="NEW-USDT")
    marks(story, (MANY[1], "140"), (MANY[2], "60"))
    story.order(side=Side.SELL, z="9", ap="100.00000000", fee="0.1", symbol="NEW-USDT")
    leverage(story, MANY[1], "50")
    story.tell(settings(mark_staleness_factor=Decimal("0.000001"), capital_epsilon=Decimal(1)))
    marks(story, *((name, "101.5") for name in MANY))
    story.tell(settings())
    return story


def reported() -> Story:
    """Hear of both sides of a symbol what reports alone tell: marks, alike and apart, leverages, fills and closes."""
    story = Story(symbols=MANY)
    for symbol in MANY[:CHUNK]:
        story.order(z="1", ap="100.00000000", fee="0.05", symbol=symbol)
        story.order(side=Side.SELL, ps=SHORT, z="1", ap="100.00000000", fee="0.05", symbol=symbol)
    for long, short in (("101.5", "101.5"), ("101.50", "101.5"), ("102", "99")):
        rows = [story.position_row("1", "100", symbol=symbol, mark=long, leverage="3") for symbol in MANY[:CHUNK]]
        rows += [
            story.position_row("1", "100", symbol=symbol, side=SHORT, mark=short, leverage="4")
            for symbol in MANY[:CHUNK]
        ]
        story.pass_s(10)
        story.positions(*rows[2:], rows[0])
        story.balance("998.4", used="120")
        story.fills(symbol=MANY[1])
    partly = story.order(
        z="1", q="3", ap="100.03000000", fee="0.05", symbol=MANY[3], status=OrderStatus.PARTIALLY_FILLED
    )
    story.executed(partly, "2", ap="100.02", symbol=MANY[3], status=OrderStatus.CANCELED)
    story.income(story.income_row("1", "FUNDING_FEE", "-0.5", symbol=MANY[3]))
    row = story.fill_row(partly, "1", "100.01", "0.05", symbol=MANY[3])
    story.fills(row, story.fill_row(partly, "1", "100.03", "0.05", symbol=MANY[3]), symbol=MANY[3], order_id=partly)
    closing = story.order(side=Side.SELL, z="1", ap="101.00000000", fee="0.05", rp="1", symbol=MANY[4])
    story.executed(
        closing,
        "1",
        ap="101",
        side=Side.SELL,
        symbol=MANY[4],
        question=Question.FORCED_ORDERS,
        forced="liquidation",
    )
    for _ in range(3):
        story.pass_s(40)
        story.balance("998.4")
        story.positions()
        for symbol in MANY[:CHUNK]:
            story.fills(symbol=symbol)
        story.income()
        story.audit_done()
    return story


def rounded() -> Story:
    """Open more and more at averages that leave their cost open: no sum over the positions says how far."""
    story = Story(tick="0.1")
    for z, ap in (("3", "100.03"), ("7", "100.0114"), ("700", "100.01")):
        story.order(z=z, ap=ap, fee="0.05")
    return story


def one_way_elsewhere() -> Story:
    """Learn it from a symbol that is not the account's own, so that nothing of any position is told."""
    story = Story(symbols=MANY)
    for symbol in MANY:
        story.order(z="1", ap="100.00000000", fee="0.05", symbol=symbol)
    story.account(None, ("BTC-USDC", BOTH, "1", "1"))
    marks(story, (MANY[2], "100"))
    return story


def one_way() -> Story:
    """Learn, with many positions open, that the account has one side alone, and go on with signed ones."""
    story = Story(symbols=MANY)
    for symbol in MANY:
        story.order(z="1", ap="100.00000000", fee="0.05", symbol=symbol)
        story.account(None, (symbol, LONG, "1", "100"))
    story.order(side=Side.SELL, ps=BOTH, z="3", ap="101.00000000", fee="0.05", rp=None, symbol=MANY[2])
    story.account(None, (MANY[2], BOTH, "-2", "101"))
    marks(story, (MANY[2], "100"))
    story.order(ps=BOTH, z="2", ap="100.00000000", fee="0.05", rp="2", symbol=MANY[2])
    story.account(None, (MANY[2], BOTH, "0", "0"))
    return story


@pytest.mark.parametrize("told", [busy, wide, reported, rounded, one_way, one_way_elsewhere])
def test_what_is_kept_changes_no_byte(told: Callable[[], Story]) -> None:
    """A projection that keeps nothing, because it forgets or begins anew before every event, says the same."""
    kept, forgetful, forgotten = Projection("main"), Projection("main"), Projection("main")
    for event in told().events:
        forgetful = Projection.restored("main", forgetful.checkpoint())
        forgotten.forget()
        mine, theirs = kept.fold(event), forgetful.fold(event)
        assert mine.records == theirs.records == forgotten.fold(event).records
        assert mine.verdict == theirs.verdict
        assert kept.checkpoint() == forgetful.checkpoint()
        assert kept.needs() == forgetful.needs()


@pytest.mark.parametrize("told", [busy, wide, reported, rounded, one_way, one_way_elsewhere])
def test_a_line_says_what_its_body_says(told: Callable[[], Story]) -> None:
    """What of a line was written before is what its body has now."""
    projection = Projection("main")
    for event in told().events:
        folded = projection.fold(event)
        for record, body in zip(folded.records, folded.bodies, strict=True):
            assert orjson.dumps(body) in record.line
            assert orjson.loads(record.line)[record.type.value] == body


def together(parts: Sequence[str]) -> str:
    """Put texts together."""
    return "".join(parts)


def looked_at(places: Places[str, str], keyed: dict[str, str]) -> list[str]:
    """Read what is due, as the fold does, and give it."""
    due = places.due(keyed)
    for key in due:
        places.put(key, keyed[key], keyed[key])
    return due


def test_only_what_was_heard_of_is_looked_at_again() -> None:
    """At first everything is due, then what was named; the whole is the same object while nothing was put."""
    keyed = {f"{number:02}": chr(65 + number) for number in reversed(range(CHUNK * CHUNK + 1))}
    places = Places(together, together)
    assert looked_at(places, keyed) == sorted(keyed)
    before = places.whole()
    assert before == "".join(keyed[key] for key in sorted(keyed))
    places.hear(["no such key"])
    assert looked_at(places, keyed) == []
    assert places.whole() is before
    keyed["20"] = "!"
    assert looked_at(places, keyed) == []
    places.hear(["20"])
    assert looked_at(places, keyed) == ["20"]
    assert places.whole() == "".join(keyed[key] for key in sorted(keyed))


def test_of_nothing_there_is_a_whole_too() -> None:
    """A mapping without a key makes what nothing makes."""
    places = Places(together, together)
    assert looked_at(places, {}) == []
    assert places.whole() == ""


@pytest.mark.parametrize(
    "changed", [{"a": "A", "b": "B"}, {"a": "A", "b": "B", "c": "C", "d": "D"}, {"a": "A", "b": "B", "e": "E"}]
)
@pytest.mark.parametrize("named", [["c", "d", "e"], None])
def test_other_keys_are_put_in_their_order_anew(changed: dict[str, str], named: list[str] | None) -> None:
    """A key that came, one that went, and one that took another's place: all are looked at, and none is left."""
    places = Places(together, together)
    looked_at(places, {"a": "A", "b": "B", "c": "C"})
    assert places.whole() == "ABC"
    places.hear(named)
    places.hear(["a"])
    assert looked_at(places, changed) == sorted(changed)
    assert places.whole() == "".join(changed.values())


def test_a_thing_is_made_again_for_other_parts_even_if_they_are_equal() -> None:
    """Identity decides, for equal decimals may have other digits; nor do fewer or more parts pass for the same."""
    kept: Kept[object] = Kept()
    first, equal = [1], [1]
    made = kept.of("key", (first,), object)
    assert made is kept.of("key", (first,), object)
    assert made is not kept.of("key", (equal,), object)
    assert kept.of("key", (equal,), object) is not kept.of("key", (equal, first), object)


def test_a_projections_weight_is_its_orders_and_single_fills() -> None:
    """It says how much a checkpoint has to write."""
    assert Projection("main").weight() == 0
    assert busy().projection.weight() == 6
