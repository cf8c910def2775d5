"""How long a push takes from its frame to its snapshot on the socket, at 10, 200 and 2 000 pushes a second.

What runs: order and account frames in turn at a pace, each stamped by the sender before the socket is given it and by
the reader when the line is there, so that what a frame waits unread counts too. What leaves: median, 99th and most, next
to one durable commit at the same pace and at none; the same up to the fold, by the daemon's log. What holds: at a pace
that the daemon cannot keep the figures are those of a queue, and the row says how far behind it was.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.benchmarks.figures import Figure, Goal, Spread, spread
from tests.benchmarks.lane import Pushed, lane
from tests.benchmarks.options import Options, whole
from tests.benchmarks.rivals import rivals

PART = "from frame to snapshot"
RATES = (10, 200, 2_000)
JUDGED = 200
PUSHES_MIN = 64
COMMITS = 40


async def measure(folder: Path, options: Options) -> list[Figure]:
    """Keep each pace for a while."""
    figures = []
    async with lane(folder / "latency") as daemon, rivals(daemon, folder / "rivals") as others:
        await daemon.warm()
        for rate in RATES:
            commits = [await others.commit_us(), await others.commit_us(rate=rate, count=COMMITS)]
            pushed = await daemon.push("pairs", whole(max(PUSHES_MIN, int(rate * options.seconds))), rate=rate)
            commits.append(await others.commit_us())
            folded = list(daemon.folded_ns())[-pushed.pushes :]
            figures += rows(rate, pushed, folded, statistics.mean((commits[0], commits[2])) / 1e3, commits[1] / 1e3)
    return figures


def rows(rate: int, pushed: Pushed, folded: list[int], commit_ms: float, paced_ms: float) -> list[Figure]:
    """Give the rows of one pace; the goals are judged by a commit at no pace, the shorter one."""
    read = spread(after - before for before, after in zip(pushed.sent_ns, pushed.read_ns, strict=True))
    fold = spread(max(0, after - before) for before, after in zip(pushed.sent_ns, folded, strict=True))
    kept_s = (pushed.sent_ns[-1] - pushed.sent_ns[0]) / 1e9
    pacing = f"{rate} pushes/s for {kept_s:.1f} s"
    behind_ms = (pushed.read_ns[-1] - pushed.sent_ns[-1]) / 1e6
    beside = {"one durable commit": commit_ms, "a commit at this pace": paced_ms}
    figures = [
        Figure(
            part=PART,
            what=f"{rate}/s: {name}",
            value=value,
            unit="ms",
            pacing=pacing,
            beside={"to the fold": before} | (beside if name == "median" else {}),
            goals=goals(name, value, commit_ms) if rate == JUDGED else (),
        )
        for name, value, before in zip(("median", "p99", "most"), listed(read), listed(fold), strict=True)
    ]
    cpu = Figure(
        part=PART,
        what=f"{rate}/s: CPU of the daemon per push",
        value=pushed.us_per_push,
        unit="µs CPU",
        pacing=pacing,
        remark=f"the last snapshot was read {behind_ms:.1f} ms after the last frame was sent",
    )
    return [*figures, cpu]


def listed(of: Spread) -> tuple[float, float, float]:
    """Give the three numbers."""
    return of.p50, of.p99, of.most


def goals(name: str, value: float, commit_ms: float) -> tuple[Goal, ...]:
    """Give what one of the three must reach."""
    if name == "median":
        return (Goal(text="p50 ≤ one durable commit + 1 ms", judged=value, limit=commit_ms + 1),)
    if name == "p99":
        return (Goal(text="p99 ≤ three durable commits + 5 ms", judged=value, limit=3 * commit_ms + 5),)
    return ()
