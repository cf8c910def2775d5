"""The command: so many hostile requests to a server on a real socket. Ends with 0 where all holds, else with 1."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.hostile.running import run


def main(arguments: list[str]) -> int:
    """Send them, or one peer alone."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description="Send malformed and hostile requests.")
    parser.add_argument("--requests", type=int, default=20_000, help="peers; each sends one request or a few")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first peer, to try one again")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="dd-", dir="/tmp") as folder:
        tally = asyncio.run(run(Path(folder) / "s", seed=given.seed, peers=given.requests, first=given.first))
    print(tally.line())  # noqa: T201
    for problem in tally.problems[:20]:
        print(problem)  # noqa: T201
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
