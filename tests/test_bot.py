"""B: the bot's slots and settlements, and who stands alone where three opinions differ.

All payloads are synthetic.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from ditad.bot import SETTLEMENTS_MAX, archive_key
from ditad.codec import decode
from ditad.events import (
    BotSettlement,
    IncomeRow,
    PositionSide,
    PushRejected,
    Side,
    StreamChanged,
    StreamState,
)
from ditad.projection import Projection
from ditad.state import Bot, Settled
from tests.support.reading import at, audit, lines_of, lines_told, state_bytes
from tests.support.story import Story
from tests.test_trades import adopt, buy, say, sell, slot

LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH
D = Decimal
WINDOW_S = 10


def settle(story: Story, profit: str, name: str = "s1", *, fees: str = "0") -> None:
    """Let the bot settle."""
    story.tell(BotSettlement(settlement_id=name, realized_pnl=D(profit), fees=D(fees), uid=0))


def bot_of(story: Story) -> Bot:
    """Give the bot's books."""
    bot = story.projection.state.bot
    assert bot is not None
    return bot


def alone(story: Story) -> list[tuple[str, str, str]]:
    """Give who stands alone in the last snapshot, in which field and by how much."""
    return [(one["field"], one["who"], one["by"]) for one in at(story.snap, "reconcile.stands_alone")]


def life(story: Story, field: str) -> list[tuple[str, str]]:
    """Give state and severity of every record of a field's divergence."""
    return [(str(one["state"]), str(one["severity"])) for one in story.of_type("divergence") if one["field"] == field]


def wait(story: Story, seconds: float = WINDOW_S + 1) -> None:
    """Let time pass, tick by tick, as a pipeline would."""
    end = story.us + int(seconds * 1_000_000)
    while (due := story.projection.deadline_us()) is not None and due <= end:
        story.tick()
    story.us = end


def round_trip(story: Story, wallet: str = "1009.895") -> None:
    """Buy and sell 1: +9.895 net, and the wallet says so."""
    buy(story, last=("1", "100"))
    sell(story, last=("1", "110"))
    story.account(wallet, ("BTC-USDT", LONG, "0", "0"))


# ---- the ledger -------------------------------------------------------------------------------------------------------


def test_before_the_bot_says_anything_there_is_no_b() -> None:
    """Its block is null, and nobody stands alone."""
    story = Story()
    assert (None, []) == (story.snap["b"], at(story.snap, "reconcile.stands_alone"))


def test_before_a_baseline_nothing_is_taken() -> None:
    """There is no capital to begin with."""
    story = Story(baseline=False)
    say(story, slot())
    settle(story, "1")
    assert story.projection.state.bot is None


def test_b_begins_with_ks_capital() -> None:
    """Clamped as it is published; slots give positions, notional, unrealised profit and equity."""
    story = Story(max_capital=D(900))
    say(story, slot(mark_price=D(110), leverage=D(5)), slot(side="SHORT", closed=True))
    assert {
        "began": "900",
        "capital": "900",
        "equity": "910",
        "unrealized_pnl": "10",
        "open_positions": 1,
        "open_notional": "110",
        "trade_seq": 0,
        "peak_capital": "900",
        "reading": None,
    }.items() <= at(story.snap, "b").items()
    assert [
        {
            "symbol": "BTC-USDT",
            "side": "LONG",
            "qty": "1",
            "entry_price": "100",
            "mark_price": "110",
            "unrealized_pnl": "10",
            "leverage": "5",
            "slot_id": "0",
            "trade_id": "t1",
            "stage": "POSITION_OPEN",
        }
    ] == at(story.snap, "b.positions")
    assert ["slots"] == list(at(story.snap, "b.stated"))


def test_a_settled_profit_is_net_and_fees_are_counted_beside() -> None:
    """204.5856 net with 37.8144 of fees."""
    story = Story()
    settle(story, "204.5856", fees="37.8144")
    assert {
        "capital": "1204.5856",
        "realized_pnl": "204.5856",
        "fees_paid": "37.8144",
        "trade_seq": 1,
        "peak_capital": "1204.5856",
    }.items() <= at(story.snap, "b").items()


def test_a_repeated_settlement_changes_nothing() -> None:
    """Not a record, whatever its amounts say."""
    story = Story()
    settle(story, "1")
    before = len(story.records)
    settle(story, "1")
    settle(story, "2")
    assert (before, D(1)) == (len(story.records), bot_of(story).ledger.realized_pnl)


def test_old_settlements_leave_memory_for_the_archive() -> None:
    """The newest stay; an older one is found under its name, with its amounts."""
    story = Story()
    archived: dict[str, bytes] = {}
    for number in range(SETTLEMENTS_MAX + 2):
        body = BotSettlement(settlement_id=f"s{number}", realized_pnl=D(number), fees=D(1), uid=0)
        archived.update(story.tell(body).archived)
    assert [archive_key("s0"), archive_key("s1")] == list(archived)
    assert Settled(realized_pnl=D(1), fees=D(1)) == decode(Settled, archived[archive_key("s1")])
    assert SETTLEMENTS_MAX == len(bot_of(story).settlements)


def test_figures_of_many_digits_stay_exact() -> None:
    """Products of 18 decimals are sums of 36; what is shown has 18."""
    story = Story()
    fine = D("0.000000000000000001")
    say(story, slot(size=D(1) + fine, entry_price=D(100) + fine, mark_price=D(110)))
    assert D("10.000000000000000008999999999999999999") == bot_of(story).ledger.unrealized_pnl
    assert "10.000000000000000009" == at(story.snap, "b.unrealized_pnl")


# ---- positions --------------------------------------------------------------------------------------------------------


def test_a_bot_that_says_what_k_says_changes_nothing() -> None:
    """In either order, with or without a hyphen, in parts."""
    for first in (True, False):
        story = Story()
        say(story)
        halves = [slot(asset="BTCUSDT", size=D("0.5")), slot(slot_id="1", size=D("0.5"))]
        if first:
            say(story, *halves)
        buy(story)
        story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
        if not first:
            say(story, *halves)
        wait(story)
        assert ("OK", [], []) == (story.status, alone(story), life(story, "bot_qty:BTC-USDT:LONG"))


def test_a_bot_that_lacks_a_position_stands_alone_after_its_window() -> None:
    """K and E hold 1, the bot nothing: WARN, by −1, opened once and healed once."""
    story = Story()
    say(story)
    buy(story)
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    wait(story, WINDOW_S - 1)
    assert ("OK", []) == (story.status, alone(story))
    wait(story, 2)
    assert ("WARN", [("bot_qty:BTC-USDT:LONG", "bot", "-1")]) == (story.status, alone(story))
    assert {"who": "bot", "k": "1", "e": "1", "b": "0"}.items() <= at(story.snap, "reconcile.stands_alone.0").items()
    assert ["BOT_DIFFERS|bot_qty:BTC-USDT:LONG|delta=-1"] == at(story.snap, "reconcile.explanations")
    assert at(story.snap, "published.usable")
    say(story, slot())
    assert ("OK", []) == (story.status, alone(story))
    assert [("open", "WARN"), ("healed", "OK")] == life(story, "bot_qty:BTC-USDT:LONG")


def test_a_position_that_the_bot_alone_has_is_a_difference() -> None:
    """Also of a symbol that nobody else ever named."""
    story = Story()
    say(story, slot(asset="XRP-USDT", size=D(5)))
    wait(story)
    assert [("bot_qty:XRP-USDT:LONG", "bot", "5")] == alone(story)


def test_what_k_held_before_the_bot_spoke_has_its_window() -> None:
    """The first word does not name a position of K: nothing at once, a difference after the window."""
    story = Story(positions=(Story(baseline=False).position_row("1", "100"),))
    say(story)
    assert [] == alone(story)
    wait(story)
    assert [("bot_qty:BTC-USDT:LONG", "bot", "-1")] == alone(story)


def test_a_flip_moves_both_sides() -> None:
    """One-way: long 1 becomes short 2; a bot that still holds the long is wrong on both sides."""
    story = Story(hedge=False)
    story.order(ps=BOTH, z="1", ap="100.00000000", fee="0.05", last=("1", "100"))
    say(story, slot())
    story.order(ps=BOTH, side=Side.SELL, z="3", ap="110.00000000", fee="0.165", rp="10", last=("3", "110"))
    story.account("1009.785", ("BTC-USDT", BOTH, "-2", "110"))
    wait(story)
    assert [("bot_qty:BTC-USDT:LONG", "bot", "1"), ("bot_qty:BTC-USDT:SHORT", "bot", "-2")] == alone(story)


def test_where_b_and_e_agree_k_stands_alone() -> None:
    """A fill that K never heard of: E and the bot hold 1."""
    story = Story()
    say(story, slot())
    story.account(None, ("BTC-USDT", LONG, "1", "100"))
    wait(story, 3)
    assert [("bot_qty:BTC-USDT:LONG", "k", "-1")] == alone(story)
    wait(story)
    assert [("bot_qty:BTC-USDT:LONG", "k", "-1")] == alone(story)
    assert [] == life(story, "bot_qty:BTC-USDT:LONG")


def test_where_b_and_k_agree_the_exchange_stands_alone() -> None:
    """A glitch frame."""
    story = Story()
    buy(story)
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    say(story, slot())
    story.account(None, ("BTC-USDT", LONG, "10", "100"))
    wait(story, 3)
    assert [("bot_qty:BTC-USDT:LONG", "e", "9")] == alone(story)


def test_where_all_differ_nobody_agrees_and_the_worse_status_stays() -> None:
    """K 0, E 1, B 2: the bot's difference never hides that K and E differ."""
    story = Story()
    say(story, slot(size=D(2)))
    story.account(None, ("BTC-USDT", LONG, "1", "100"))
    wait(story, 3)
    assert [] == alone(story)  # the bot still has its window
    wait(story)
    assert [("bot_qty:BTC-USDT:LONG", "none", "2")] == alone(story)
    row = story.position_row("1", "100")
    audit(story, "1000", row)
    assert ("ERROR", "bot_qty:BTC-USDT:LONG") == (story.status, alone(story)[0][0])


# ---- money ------------------------------------------------------------------------------------------------------------


def funded(story: Story) -> IncomeRow:
    """Pay 0.3 of funding, as a push and as its row."""
    story.account("999.65", ("BTC-USDT", LONG, "1", "100"), reason="FUNDING_FEE", change="-0.3")
    return story.income_row("77", "FUNDING_FEE", "-0.3", symbol="BTC-USDT")


@pytest.mark.parametrize(
    ("settlements", "reading"),
    [
        (("9.595",), "closed_trades_with_funding"),
        (("9.895",), "closed_trades"),
    ],
)
def test_a_bot_may_settle_with_its_funding_or_without(settlements: tuple[str, ...], reading: str) -> None:
    """Which reading it was is said."""
    story = Story()
    say(story)
    buy(story, last=("1", "100"))
    story.account("999.95", ("BTC-USDT", LONG, "1", "100"))
    funded(story)
    sell(story, last=("1", "110"))
    story.account("1009.595", ("BTC-USDT", LONG, "0", "0"))
    say(story)
    for number, profit in enumerate(settlements):
        settle(story, profit, f"s{number}")
    wait(story)
    assert ([], reading) == (alone(story), at(story.snap, "b.reading"))


@pytest.mark.parametrize(
    ("opening", "first", "second", "readings"),
    [
        ("-0.1", "9.945", "19.94", ("all_fills", "all_fills", "all_fills")),
        ("", "9.895", "19.89", (None, "closed_parts", "closed_parts")),
        ("", "", "29.785", (None, None, "closed_trades")),
    ],
    ids=["every fill", "parts", "trades"],
)
def test_a_bot_may_settle_every_fill_every_part_or_every_trade(
    opening: str, first: str, second: str, readings: tuple[str | None, ...]
) -> None:
    """Bought 2, sold 1 at 110, sold 1 at 120: right at every moment, whichever way it settles."""
    story = Story()
    say(story)
    steps: list[tuple[str, Callable[[], str]]] = [
        (opening, lambda: buy(story, z="2", fee="0.1", last=("2", "100"))),
        (first, lambda: sell(story, last=("1", "110"))),
        (second, lambda: sell(story, ap="120.00000000", rp="20", fee="0.06", last=("1", "120"))),
    ]
    wallets, held = ("999.9", "1009.845", "1029.785"), ("2", "1", "0")
    for number, (profit, trade) in enumerate(steps):
        trade()
        story.account(wallets[number], ("BTC-USDT", LONG, held[number], "100"))
        say(story, slot(size=D(held[number])))
        if profit:
            settle(story, profit, f"s{number}")
        wait(story)
        assert (readings[number], []) == (at(story.snap, "b.reading"), alone(story))
    assert [] == [one for one in story.of_type("divergence") if one["rule"] == "B"]


def test_a_bot_that_begins_in_the_middle_of_a_trade_settles_its_parts() -> None:
    """What K closed before the bot spoke is not compared, what it closes after is, with its share of the entry's fee."""
    story = Story()
    buy(story, z="3", fee="0.15", last=("3", "100"))
    sell(story, last=("1", "110"))
    story.account("1009.795", ("BTC-USDT", LONG, "2", "100"))
    say(story, slot(size=D(2)))
    sell(story, last=("1", "110"))
    story.account("1019.74", ("BTC-USDT", LONG, "1", "100"))
    say(story, slot())
    settle(story, "9.895")
    wait(story)
    assert ([], "closed_parts") == (alone(story), at(story.snap, "b.reading"))


def test_a_bot_that_books_more_stands_alone_by_as_much() -> None:
    """Profit times three: by 20 too much, until it is undone."""
    story = Story()
    say(story)
    round_trip(story)
    settle(story, "29.895")
    assert [] == alone(story)
    wait(story)
    assert ("WARN", [("bot_capital", "bot", "20")]) == (story.status, alone(story))
    assert {"k": "9.895", "e": "9.895", "b": "29.895", "reading": "closed_trades"}.items() <= at(
        story.snap, "reconcile.stands_alone.0"
    ).items()
    assert ("bot_capital", "e_anchored", True) == (
        at(story.snap, "reconcile.worst_field"),
        at(story.snap, "published.source"),
        at(story.snap, "published.usable"),
    )
    settle(story, "-20", "s2")
    assert ("OK", [("open", "WARN"), ("healed", "OK")]) == (story.status, life(story, "bot_capital"))


def test_a_bot_that_forgets_to_settle_a_later_trade_stands_alone() -> None:
    """It has settled once, so it settles."""
    story = Story()
    say(story)
    round_trip(story)
    settle(story, "9.895")
    round_trip(story, "1019.79")
    wait(story, WINDOW_S - 1)
    assert [] == alone(story)
    wait(story, 2)
    assert [("bot_capital", "bot", "-9.895")] == alone(story)


def test_a_bot_that_never_settles_says_nothing_of_money() -> None:
    """Its slots are compared, its capital is not."""
    story = Story()
    say(story)
    round_trip(story)
    wait(story)
    assert ("OK", []) == (story.status, alone(story))


def test_a_first_word_that_settles_what_k_just_closed_is_its_twin() -> None:
    """K was faster: B begins before that trade, with the capital from before it."""
    story = Story()
    round_trip(story)
    settle(story, "9.895")
    wait(story)
    say(story)
    assert ([], "1000", "1009.895") == (alone(story), at(story.snap, "b.began"), at(story.snap, "b.capital"))


def test_a_first_word_that_settles_something_else_is_not() -> None:
    """Of an old trade, or of another amount: K has closed nothing since."""
    story = Story()
    round_trip(story)
    settle(story, "5")
    wait(story)
    assert [("bot_capital", "bot", "5")] == alone(story)


def test_a_first_word_may_come_before_ks() -> None:
    """The bot was faster: K follows within the window."""
    story = Story()
    settle(story, "9.895")
    round_trip(story)
    wait(story)
    assert ([], "closed_trades") == (alone(story), at(story.snap, "b.reading"))


def test_where_the_wallet_is_on_the_bots_side_k_stands_alone() -> None:
    """K lacks 5 that the exchange paid and the bot settled."""
    story = Story()
    say(story)
    settle(story, "5")
    story.account("1005")
    wait(story, 3)
    assert [("bot_capital", "k", "-5")] == alone(story)


def test_where_the_wallet_alone_differs_the_exchange_stands_alone() -> None:
    """K and the bot say the same."""
    story = Story()
    say(story)
    round_trip(story)
    settle(story, "9.895")
    story.account("1000")
    wait(story, 3)
    assert [("bot_capital", "e", "-9.895")] == alone(story)


# ---- doubts, absence, restarts ----------------------------------------------------------------------------------------


def test_while_k_lacks_something_nothing_is_held_against_the_bot() -> None:
    """The stream is lost: the bot's trade is not K's fault yet, nor the bot's; afterwards it counts."""
    story = Story()
    say(story)
    story.tell(StreamChanged(state=StreamState.LOST, detail="x", at_ms=None))
    say(story, slot())
    wait(story)
    assert [] == alone(story)
    story.tell(StreamChanged(state=StreamState.CONNECTED, detail="", at_ms=None))
    audit(story, "1000")
    assert [("bot_qty:BTC-USDT:LONG", "bot", "1")] == alone(story)
    story.tell(PushRejected(source="private", reason="x", money=True, excerpt=""))
    assert [("bot_qty:BTC-USDT:LONG", "bot", "1")] == alone(story)  # what is open stays


def test_a_bot_that_has_gone_away_changes_nothing() -> None:
    """After an hour of silence what it said is nobody's opinion; when it speaks again it has its window again."""
    story = Story()
    say(story, slot())
    wait(story)
    assert [("bot_qty:BTC-USDT:LONG", "bot", "1")] == alone(story)
    wait(story, 3_600)
    assert ("OK", []) == (story.status, alone(story))
    assert "the bot has gone away" == story.of_type("divergence")[-1]["healed_by"]
    say(story, slot(size=D(2)))
    assert [] == alone(story)
    wait(story)
    assert [("bot_qty:BTC-USDT:LONG", "bot", "2")] == alone(story)


def test_a_settlement_is_a_word_too() -> None:
    """It keeps the bot here."""
    story = Story()
    say(story, slot())
    story.pass_s(3_590)
    settle(story, "0")
    story.pass_s(100)
    story.account("1000", ("BTC-USDT", LONG, "0", "0"), reason="DEPOSIT", change="0")
    assert [("bot_qty:BTC-USDT:LONG", "bot", "1")] == alone(story)


def test_an_adoption_begins_bs_sums_anew() -> None:
    """What the bot had wrong is over; its slots and the settlements that were heard stay."""
    story = Story()
    say(story)
    settle(story, "7")
    wait(story)
    say(story, slot())
    assert [("bot_capital", "bot", "7")] == alone(story)
    adopt(story, Story(baseline=False).position_row("1", "100"))
    assert ([], "900", "0") == (alone(story), at(story.snap, "b.capital"), at(story.snap, "b.realized_pnl"))
    settle(story, "7")
    wait(story)
    assert ([], 1) == (alone(story), at(story.snap, "b.open_positions"))


def test_a_replay_and_a_checkpoint_say_the_same() -> None:
    """Folded again, and from every checkpoint, the records are the same bytes."""
    story = Story()
    say(story, slot(size=D(3)))
    round_trip(story)
    settle(story, "29.895")
    wait(story, 5)
    buy(story, last=("1", "100"))
    wait(story)
    settle(story, "-20", "s2")
    wait(story)
    assert lines_told(story) == lines_of(story.events)
    for cut in range(4, len(story.events)):
        fold = Projection("main")
        lines_of(story.events[:cut], fold)
        restored = Projection.restored("main", fold.checkpoint())
        rest = lines_of(story.events[cut:], restored)
        assert lines_told(story)[-len(rest) :] == rest
        assert state_bytes(restored) == state_bytes(story.projection)
