"""The demo's verdict on itself: what it compares, and what it ends with."""

from __future__ import annotations

import pytest

from ditad.demo import exit_code


@pytest.mark.parametrize(
    ("summary", "code"),
    [
        ({"status": "OK", "equal": True}, 0),
        ({"status": "OK", "equal": False}, 1),
        ({"status": "NOT_OK", "equal": True}, 1),
    ],
    ids=["agreed and equal", "a digit differs", "a verdict that is not OK"],
)
def test_the_demo_succeeds_only_if_the_verdict_is_ok_and_the_books_are_equal(
    summary: dict[str, object], code: int
) -> None:
    """Either failing is a failure."""
    assert code == exit_code(summary)
