"""The least that the same frames cost: bare receive, gunzip, `orjson.loads`, a batched insert, `orjson.dumps`.

What enters: where the frames come from and a folder on the disk that is measured; then a command a line: how many
frames are due and the snapshot to encode, or how many durable commits to time. What leaves: one JSON line each, CPU in
µs per frame of each part, or times of a commit. What holds: each part is timed apart over all frames, in this process
alone; without a snapshot the frames are received and thrown away.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from tests.benchmarks.children import commands, tell
from tests.benchmarks.listening import inflated, listening, received

BATCH = 100
"""Frames that share one insert and one commit."""

PARTS = ("receive", "gunzip", "loads", "insert", "dumps")
DURABLE = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")
ROW = b"x" * 400


async def main(url: str, key: str, folder: Path) -> None:
    """Measure what is asked for until stdin ends."""
    async with listening(url, key) as stream:
        tell(connected=True)
        async for command in commands():
            if "commits" in command:
                took = await commits_us(folder / "commit.db", command["commits"], command["rate"])
                tell(commit_us=took)
                continue
            frames, snapshot = command["frames"], command["snapshot"]
            data, receive_s = await received(stream, frames)
            parts = {"receive": receive_s}
            if snapshot is not None:
                parts |= rest_of(data, snapshot, folder / "floor.db")
            tell(us={name: spent * 1e6 / frames for name, spent in parts.items()})


def rest_of(data: list[bytes], snapshot: Any, path: Path) -> dict[str, float]:
    """Do what follows the receive, part by part; gives the CPU seconds of each."""
    path.unlink(missing_ok=True)
    moments = [time.process_time()]
    texts = [inflated(one) for one in data]
    moments.append(time.process_time())
    for text in texts:
        orjson.loads(text)
    moments.append(time.process_time())
    insert(data, path)
    moments.append(time.process_time())
    for _ in data:
        orjson.dumps(snapshot)
    moments.append(time.process_time())
    return {name: after - before for name, before, after in zip(PARTS[1:], moments, moments[1:], strict=False)}


def insert(rows: list[bytes], path: Path) -> None:
    """Insert the frames as they came, a batch and a durable commit at a time."""
    database = durable(path)
    for first in range(0, len(rows), BATCH):
        batch = [(number, data) for number, data in enumerate(rows[first : first + BATCH], first)]
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO raw VALUES (?, ?)", batch)
        database.execute("COMMIT")
    database.close()


async def commits_us(path: Path, count: int, rate: float) -> list[float]:
    """Give the times, not the CPU, of durable commits of one row on this disk: one after the other, or at a pace."""
    path.unlink(missing_ok=True)
    database = durable(path)
    took = []
    for number in range(count):
        if rate:
            await asyncio.sleep(1 / rate)
        began = time.perf_counter()
        database.execute("INSERT INTO raw VALUES (?, ?)", (number, ROW))
        took.append((time.perf_counter() - began) * 1e6)
    database.close()
    return took


def durable(path: Path) -> sqlite3.Connection:
    """Open a database that is as careful as the journal."""
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in DURABLE:
        database.execute(pragma)
    database.execute("CREATE TABLE raw (n INTEGER PRIMARY KEY, data BLOB)")
    return database


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
