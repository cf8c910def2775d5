"""Everything in full."""

from __future__ import annotations

from datetime import timedelta

from ditad.tui.detail import HELP, WORDS, detail, help_lines
from ditad.tui.lines import Line, text_of
from ditad.tui.seen import NO_DAEMON, answered, first, lost
from tests.tui.making import NOW, answers, divergence, gap, item, seen, snapshot


def words(lines: list[Line]) -> list[str]:
    """Give the words of lines."""
    return [text_of(line).rstrip() for line in lines]


def test_every_digit_is_there() -> None:
    """A figure with eighteen decimals has them all, whatever the width, and no line is longer."""
    said = snapshot()
    said["k"]["positions"][0]["entry_price"] = "0.187794906033630069"
    said["k"]["equity"] = "10000.386129791234567891"
    for width in (78, 200):
        told = words(detail(seen(said), NOW, width))
        assert any("0.187794906033630069" in line for line in told)
        assert any("10000.386129791234567891" in line for line in told)
        assert max(map(len, told)) <= width
    assert 1 == sum(line.startswith("  FET-USDT LONG") for line in told)
    assert 2 == sum(line.startswith("  FET-USDT LONG") for line in words(detail(seen(said), NOW, 78)))


def test_all_that_is_wrong_is_listed_with_its_evidence() -> None:
    """Reasons, unknown amounts, who stands alone, divergences and gaps."""
    said = snapshot(status="ERROR", explanations=("MISMATCH|capital_vs_wallet|delta=1", "GAP|coverage|lost: cut"))
    said["k"] |= {"unknown": [{"kind": "fee", "order_id": "17"}], "precision": {"fees_paid": "0.001"}}
    said["reconcile"]["stands_alone"] = [{"who": "bot", "by": "5"}]
    said["coverage"] |= {"decisions": {"margin_basis": "mark"}, "notes": ["a note"], "other_assets": ["USDC"]}
    known = first(
        answers(
            item(status="ERROR"),
            said=said,
            divergences=(divergence(1), divergence(3, attribution=[{"cause": "statement"}])),
            gaps=(gap(1), gap(2, state="final", to=gap(2)["from"], by="fill_history"), gap(4, state="unclosable")),
        )
    )
    told = "\n".join(words(detail(known, NOW, 80)))
    for expected in (
        "main  !! ERROR",
        "WHY\n  MISMATCH capital_vs_wallet\n  GAP lost: cut",
        "what rounded sources leave open: fees_paid ±0.001",
        "AMOUNTS THAT NOBODY TOLD\n  kind=fee,order_id=17",
        "STANDS ALONE\n  who=bot,by=5",
        "decided: margin_basis=mark",
        "other assets: USDC",
        "a note",
        "2026-01-01T02:43:21Z  healed         R1 capital_vs_wallet  K - E 1\n      unexplained: tried fee",
        "      statement",
        "2026-01-01T02:59:00Z to now  open\n      gap-1: lost: cut",
        "(0.0s)  final\n      gap-2: lost: cut, closed by fill_history",
    ):
        assert expected in told


def test_an_account_that_is_well_has_nothing_to_explain() -> None:
    """No reasons, no divergence, no gap, and without positions it says so."""
    said = snapshot()
    said["k"]["positions"] = said["e"]["positions"] = []
    told = words(detail(seen(said), NOW, 80))
    assert "WHY" not in told
    assert {"NO POSITION IS OPEN", "NO DIVERGENCE SO FAR", "NO GAP SO FAR"} <= set(told)
    assert "FIGURES" not in "\n".join(words(detail(first(answers()), NOW, 80)))


def test_an_outage_is_told_while_it_lasts_and_afterwards() -> None:
    """With its reason, then with its length; also where the daemon has no account."""
    gone = lost(seen(), NO_DAEMON, "no daemon on /s")
    later = NOW + timedelta(seconds=30)
    assert "NO DAEMON since 2026-01-01 03:00:00 UTC (30s): no daemon on /s" == words(detail(gone, later, 80))[1]
    back = answered(gone, answers(said=snapshot(), at=later))
    assert "the daemon was gone from 03:00:00 to 03:00:30 (30s)" == words(detail(back, later, 80))[1]
    nobody = lost(first(answers(shown=None)), NO_DAEMON, "gone")
    assert 2 == len(detail(nobody, later, 80))


def test_the_page_of_help_names_every_key_and_word() -> None:
    """Within the width, and what is too long goes on beneath."""
    told = words(help_lines(60))
    assert max(map(len, told)) <= 60
    assert {key for key, _ in HELP} | {word for word, _ in WORDS} <= {line[2:14].strip() for line in told}
