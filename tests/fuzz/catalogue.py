"""All targets, by name."""

from __future__ import annotations

from tests.fuzz.answering import ANSWERS
from tests.fuzz.border import FRAMES
from tests.fuzz.folding import FOLD
from tests.fuzz.keeping import KEEPING
from tests.fuzz.trying import Group

GROUPS = {group.name: group for group in (FRAMES, ANSWERS, FOLD, KEEPING)}
TARGETS = {target.name: target for group in GROUPS.values() for target in group.targets}


def shares(group: Group, inputs: int) -> dict[str, int]:
    """Share so many inputs among the targets of a group by their weights, never fewer in all."""
    whole = sum(target.weight for target in group.targets)
    return {target.name: -(-inputs * target.weight // whole) for target in group.targets}
