"""The least that the same frames cost: bare receive, gunzip, `orjson.loads`, a batched insert, `orjson.dumps`.

What enters: where the frames come from, how many of each kind, a snapshot to encode, and a folder on the disk that is
measured. What leaves: one JSON line per kind, CPU in µs per frame of each part; first the time of a durable commit.
What holds: each part is timed apart over all frames, in this process alone.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from websockets.asyncio.client import connect

BATCH = 100
"""Frames that share one insert and one commit."""

PING_BYTES_MAX = 40
"""The exchange's sign of life, which comes between the frames, is shorter than this; no push is."""

COMMITS = 100
GZIP_WBITS = 31
LISTEN_KEY = "floor"
DURABLE = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")


async def main(url: str, value: Any, folder: Path, kinds: Mapping[str, int]) -> None:
    """Measure, in the order in which the frames of each kind are sent."""
    tell({"commit_us": commit_us(folder / "commit.db"), "snapshot_bytes": len(orjson.dumps(value))})
    async with connect(f"{url}?listenKey={LISTEN_KEY}", compression=None, ping_interval=None, proxy=None) as stream:
        tell({"connected": True})
        for kind, frames in kinds.items():
            received: list[bytes] = []
            began = time.process_time()
            while len(received) < frames:
                message = await stream.recv()
                assert isinstance(message, bytes), "frames are binary"
                if len(message) > PING_BYTES_MAX:
                    received.append(message)
            parts = {"receive": time.process_time() - began} | rest_of(received, value, folder / f"{kind}.db")
            tell({"kind": kind, "us": {name: spent * 1e6 / frames for name, spent in parts.items()}})


def rest_of(received: list[bytes], snapshot: Any, path: Path) -> dict[str, float]:
    """Do what follows the receive, part by part; gives the CPU seconds of each."""
    moments = [time.process_time()]
    texts = [zlib.decompress(data, GZIP_WBITS) for data in received]
    moments.append(time.process_time())
    for text in texts:
        orjson.loads(text)
    moments.append(time.process_time())
    insert(received, path)
    moments.append(time.process_time())
    for _ in received:
        orjson.dumps(snapshot)
    moments.append(time.process_time())
    names = ("gunzip", "loads", "insert", "dumps")
    return {name: after - before for name, before, after in zip(names, moments, moments[1:], strict=False)}


def insert(rows: list[bytes], path: Path) -> None:
    """Insert the frames as they came, a batch and a durable commit at a time."""
    database = durable(path)
    for first in range(0, len(rows), BATCH):
        batch = [(number, data) for number, data in enumerate(rows[first : first + BATCH], first)]
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO raw VALUES (?, ?)", batch)
        database.execute("COMMIT")
    database.close()


def commit_us(path: Path) -> float:
    """Give the time, not the CPU, of one durable commit of one row on this disk: the median of many."""
    database = durable(path)
    took = []
    for number in range(COMMITS):
        began = time.perf_counter()
        database.execute("INSERT INTO raw VALUES (?, ?)", (number, b"x" * 400))
        took.append(time.perf_counter() - began)
    database.close()
    return statistics.median(took) * 1e6


def durable(path: Path) -> sqlite3.Connection:
    """Open a database that is as careful as the journal."""
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in DURABLE:
        database.execute(pragma)
    database.execute("CREATE TABLE raw (n INTEGER PRIMARY KEY, data BLOB)")
    return database


def tell(answer: Mapping[str, Any]) -> None:
    """Write one line for whoever started us."""
    sys.stdout.write(orjson.dumps(answer).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(
        main(sys.argv[1], orjson.loads(Path(sys.argv[2]).read_bytes()), Path(sys.argv[3]), orjson.loads(sys.argv[4]))
    )
