"""Whether a bot may size with a snapshot: every way in which it may not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ditad.client.answers import Snapshot
from ditad.client.reading import read
from ditad.client.telling import told
from ditad.client.usability import NotUsableError, judged, unheard
from ditad.errors import DaemonUnreachableError, UsageError
from tests.api.fake_daemon import snapshot_of

NOW = datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC)
"""The moment up to which the snapshot of `snapshot_of(7)` is valid."""


def snapshot(*, status: str = "OK", **published: Any) -> Snapshot:
    """Make a snapshot with other words in what is published."""
    body = snapshot_of(7, status=status)
    body["published"] |= published
    return read(Snapshot, body, "snapshot")


def test_what_is_usable_and_valid_is_usable() -> None:
    """Up to the last moment of its validity; the capital stands beside."""
    found = judged(snapshot(), NOW, only_ok=True)
    assert (True, (), Decimal("100.5")) == (bool(found), found.reasons, found.capital)


@pytest.mark.parametrize(
    ("said", "late_s", "only_ok", "reason"),
    [
        ({"usable": False}, 0, False, "the verdict is OK, coverage live"),
        ({"usable": False, "status": "ERROR"}, 0, False, "the verdict is ERROR \\(capital_vs_wallet\\), coverage live"),
        ({"status": "WARN"}, 0, True, "the verdict is WARN \\(capital_vs_wallet\\), and only OK is wanted"),
        ({"capital": None}, 0, False, "no capital is published"),
        ({"valid_until": None}, 0, False, "nothing says how long it is valid"),
        ({}, 0.000001, False, "it was valid until 2026-01-01T00:00:07"),
    ],
)
def test_what_is_in_the_way_is_said(said: dict[str, Any], late_s: float, only_ok: bool, reason: str) -> None:
    """Each reason alone makes it unusable, and is the sentence of the error."""
    found = judged(snapshot(**said), NOW + timedelta(seconds=late_s), only_ok=only_ok)
    assert (False, 1, None) == (bool(found), len(found.reasons), found.capital)
    with pytest.raises(NotUsableError, match=reason):
        raise NotUsableError(found)


def test_a_warning_passes_where_only_an_error_is_in_the_way() -> None:
    """By itself WARN is usable, as the daemon publishes it."""
    assert judged(snapshot(status="WARN"), NOW, only_ok=False)


def test_without_a_snapshot_nothing_is_usable() -> None:
    """The sentence is that of what came instead."""
    found = unheard(DaemonUnreachableError("no daemon"))
    assert (False, ("no daemon",), None, None) == (bool(found), found.reasons, found.capital, found.snapshot)


def test_what_a_bot_tells_keeps_its_digits() -> None:
    """Decimals become plain text; whole numbers, text, flags, nothing and what is made of them stay."""
    slots = ({"size": Decimal("1E+2"), "closed": False, "n": 3, "metadata": None, "asset": "FET-USDT"},)
    expected = [{"size": "100", "closed": False, "n": 3, "metadata": None, "asset": "FET-USDT"}]
    assert expected == told(slots, "slots")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.1, r"slots\[0\].size: 0.1 is a float"),
        (Decimal("NaN"), r"slots\[0\].size: Decimal cannot be told"),
        (b"1", r"slots\[0\].size: bytes cannot be told"),
        ({1}, r"slots\[0\].size: set cannot be told"),
    ],
)
def test_what_has_lost_its_digits_is_not_told(value: object, said: str) -> None:
    """A float, what is no number, and what JSON has no form for are refused before anything is sent."""
    with pytest.raises(UsageError, match=said):
        told([{"size": value}], "slots")
