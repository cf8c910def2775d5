"""What a projection keeps between events: never anything that a projection which kept nothing would say differently.

All payloads are synthetic.
"""

from __future__ import annotations

from ditad.events import PositionSide, Side
from ditad.kept import Kept
from ditad.projection import Projection
from tests.support.story import Story

LONG = PositionSide.LONG


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


def test_what_is_kept_changes_no_byte() -> None:
    """A projection that begins anew before every event, with nothing kept, writes the same records."""
    story = busy()
    kept, forgetful = Projection("main"), Projection("main")
    for event in story.events:
        forgetful = Projection.restored("main", forgetful.checkpoint())
        assert kept.fold(event).records == forgetful.fold(event).records
        assert kept.needs() == forgetful.needs()


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
