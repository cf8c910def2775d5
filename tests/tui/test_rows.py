"""Both ledgers side by side."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ditad.reconcile import DivergenceClass
from ditad.tui.board import SAYS_WIDTH
from ditad.tui.lines import Tone
from ditad.tui.rows import SIGNS, TONES, divergence_rows, notional_of, plain, position_rows, rule_rows
from tests.tui.making import KEY, ago, divergence, snapshot


def test_every_class_is_known_and_has_room() -> None:
    """What the reconciler may say has a tone, and fits beside its rule with its sign at 80 columns."""
    assert {klass.value for klass in DivergenceClass} == set(TONES)
    assert [] == [klass for klass, tone in TONES.items() if len(SIGNS.get(tone, "") + klass) > SAYS_WIDTH]


def test_a_rule_has_both_figures_its_difference_and_a_word() -> None:
    """Figures are those of the snapshot, the difference is the rule's own, the word has a sign in front."""
    rows = rule_rows(
        snapshot(explanations=("MISMATCH|capital_vs_wallet|delta=12.5",), deltas={"capital_vs_wallet": "12.5"})
    )
    assert ("R1 capital", "100.5", "100.5", "12.5", "!!MISMATCH", Tone.BAD) == (
        rows[0].name,
        rows[0].k,
        rows[0].e,
        rows[0].delta,
        rows[0].word,
        rows[0].tone,
    )
    assert ["ok"] * 4 == [row.word for row in rows[1:]]


def test_a_rule_that_did_not_compare_is_not_ok() -> None:
    """Where E has not been stated there is no difference, and no count of no positions."""
    said = snapshot()
    said["reconcile"]["deltas"] = {}
    assert {(None, "not compared")} == {(row.delta, row.word) for row in rule_rows(said)}
    assert (None, "not compared") == (rule_rows(said)[4].e, position_rows(said)[0].word)


def test_a_class_that_is_not_known_here_is_a_doubt() -> None:
    """A newer daemon may say what this screen has not heard of; an explanation without a field says nothing."""
    rows = rule_rows(snapshot(explanations=("NEWER|used_margin|x", "odd")))
    assert ("?NEWER", Tone.DOUBT) == (rows[3].word, rows[3].tone)


def test_the_notional_of_e_is_known_where_every_mark_is() -> None:
    """One mark that lacks makes the sum unknown; no position makes it 0."""
    rows: list[dict[str, str | None]] = [{"qty": "2", "mark_price": "1.25"}, {"qty": "1", "mark_price": None}]
    assert ("2.5", None, "0") == (notional_of(rows[:1]), notional_of(rows), notional_of([]))


@pytest.mark.parametrize(
    ("value", "text"), [("1.50", "1.5"), ("100", "100"), ("-0.0", "0"), ("1E+3", "1000"), ("0.00", "0")]
)
def test_decimals_are_plain(value: str, text: str) -> None:
    """As the socket writes them."""
    assert text == plain(Decimal(value))


def test_a_position_that_one_ledger_lacks_is_there_with_nothing() -> None:
    """Its quantity is 0 where the ledger spoke; one that differs stands first."""
    said = snapshot(
        explanations=("CONFIRMING|position_qty:ZEC-USDT:SHORT|delta=3",),
        deltas={"position_qty:ZEC-USDT:SHORT": "3"},
    )
    said["k"]["positions"].append({**said["k"]["positions"][0], "symbol": "ZEC-USDT", "side": "SHORT", "qty": "3"})
    first, second = position_rows(said)
    assert ("ZEC-USDT SHORT", "3", "0", "3", "!CONFIRMING") == (
        first.name,
        first.k_qty,
        first.e_qty,
        first.delta,
        first.word,
    )
    assert ("FET-USDT LONG", "100", "100", "0", "ok", None) == (
        second.name,
        second.k_qty,
        second.e_qty,
        second.delta,
        second.word,
        first.e_entry,
    )


def test_a_difference_of_a_position_that_neither_holds_now_is_shown() -> None:
    """E's statement may wait while K is flat already; what E does not speak of is not known."""
    said = snapshot({"position_qty:ADA-USDT:LONG": "1", "fill:17": "2", KEY: "0"})
    rows = {row.name: row for row in position_rows(said)}
    assert ("0", "0", "1") == (
        rows["ADA-USDT LONG"].k_qty,
        rows["ADA-USDT LONG"].e_qty,
        rows["ADA-USDT LONG"].delta,
    )
    said["e"]["positions"] = []
    said["reconcile"]["deltas"] = {}
    assert [("100", None)] == [(row.k_qty, row.e_qty) for row in position_rows(said)]


def test_what_is_not_over_stands_first_then_the_newest() -> None:
    """Of one moment R1 comes first."""
    rows = divergence_rows(
        [
            divergence(1, state="open", field="x", rule="R2"),
            divergence(5, state="healed", field="y", rule="R5", first_at=ago(10)),
            divergence(4, state="healed", field="z", rule="R1", first_at=ago(10)),
            divergence(3, state="confirmed", field="w", rule="R1"),
            divergence(6, state="adopted", field="v", rule="R1", first_at=ago(20), duration_s=65.0),
        ]
    )
    assert ["R1 w", "R2 x", "R1 z", "R5 y", "R1 v"] == [row.name for row in rows]
    assert ["!!confirmed", "!open", "healed", "healed", "adopted 1m 05s"] == [row.state for row in rows]


@pytest.mark.parametrize(
    ("rule", "field", "name"),
    [
        ("R1", "capital_vs_wallet", "R1 capital_vs_wallet"),
        ("R3", "position_qty:FET-USDT:LONG", "R3 FET-USDT LONG"),
        ("B", "bot_qty:FET-USDT:LONG", "B FET-USDT LONG"),
        ("FILL", "fill:17", "fill:17"),
    ],
)
def test_a_divergence_is_named_in_few_words(rule: str, field: str, name: str) -> None:
    """The rule and what it is about, nothing twice."""
    assert [name] == [row.name for row in divergence_rows([divergence(1, rule=rule, field=field)])]


def test_a_cause_comes_with_its_evidence() -> None:
    """What was tried where nothing explains it, ids and arithmetic where something does."""
    fill = {"cause": "uncovered_interval", "ids": ["order:1:(0, 5]"], "amount": "5", "evidence": "fills:9"}
    none = {"cause": "unexplained", "amount": "1", "tried": ["fee", "funding"]}
    bare = {"cause": "statement"}
    rows = divergence_rows(
        [
            divergence(4, attribution=[fill], state="healed"),
            divergence(3, attribution=[fill, none], state="healed"),
            divergence(2, attribution=[], state="open"),
            divergence(1, attribution=[bare], state="healed"),
            divergence(0, attribution=[], state="healed"),
        ]
    )
    assert [
        ("being asked", ""),
        ("uncovered_interval", "order:1:(0, 5] fills:9"),
        ("uncovered_interval +1", "order:1:(0, 5] fills:9; tried fee, funding"),
        ("statement", ""),
        ("-", ""),
    ] == [(row.cause, row.evidence) for row in rows]
