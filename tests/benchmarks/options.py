"""How much of everything a run measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.synthetic import ROUND

FRAMES, FRAMES_MAX = 4_000, 100_000
ROUNDS, ROUNDS_MAX = 5, 100
SECONDS, SECONDS_MAX = 10.0, 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`frames` of a kind in each of the `rounds`; a pace is kept for `seconds`.

    `long` adds what takes long: five million events, a million pushes. `journals` is a folder in which long journals
    are kept; without one they are built anew. `scale` divides counts that are no matter of rounds: the sizes of
    journals, the hours of a day; it is 1 in earnest.
    """

    frames: int = FRAMES
    rounds: int = ROUNDS
    seconds: float = SECONDS
    long: bool = False
    journals: Path | None = None
    scale: int = 1

    def __post_init__(self) -> None:
        """Check that whole rounds of orders are sent, also in pairs."""
        assert self.frames % (2 * ROUND) == 0, "whole rounds"

    def body(self) -> dict[str, object]:
        """Give them as a plain object."""
        return {
            "frames": self.frames,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "long": self.long,
            "scale": self.scale,
        }


def whole(frames: int) -> int:
    """Give so many frames, as whole rounds of orders, also in pairs."""
    return frames // (2 * ROUND) * 2 * ROUND or 2 * ROUND
