"""The vocabulary of events."""

from __future__ import annotations

import pytest

from ditad.events import KIND_OF, KINDS, Event, PushRejected, Tick


def test_each_kind_has_one_word_and_each_word_one_kind() -> None:
    """The journal's words and the bodies are one to one."""
    assert list(KINDS) == [KIND_OF[body] for body in KINDS.values()]


@pytest.mark.parametrize(
    ("body", "name"),
    [(Tick(due_us=1), "tick:17"), (PushRejected(source="private", reason="x", money=True, excerpt=""), "rejected:17")],
    ids=["tick", "rejected"],
)
def test_an_event_is_named_by_its_kind_and_number(body: Tick | PushRejected, name: str) -> None:
    """As snapshots cite it."""
    assert name == Event(n=17, at_us=1, heard_us=None, body=body).source_id
