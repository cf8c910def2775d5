"""A logger, a hook and a clock that do what a test says and note what they were asked."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import orjson

from ditad.records import Record, RecordType, rfc3339
from ditad.tell.hook import HookError
from ditad.tell.place import PlaceFile
from ditad.tell.teller import Teller, TellOptions
from tests.api.fake_daemon import START_US, STEP_US, FakeAccount, body_of


class Notes:
    """A log: what was said, in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **fields: object) -> None:
        """Note it."""
        self.lines.append(("info", event, fields))

    def warning(self, event: str, **fields: object) -> None:
        """Note it."""
        self.lines.append(("warning", event, fields))

    def error(self, event: str, **fields: object) -> None:
        """Note it."""
        self.lines.append(("error", event, fields))

    def of(self, event: str) -> list[dict[str, Any]]:
        """Give the fields of each line of an event."""
        return [fields for _, name, fields in self.lines if name == event]


class Receiver:
    """A hook: takes tellings, after as many refusals as it was told to give."""

    name = "receiver"

    def __init__(self, *, refusals: int = 0, again: bool = True) -> None:
        self.taken: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.refusals = refusals
        self.again = again
        self.free = asyncio.Event()
        self.free.set()
        self.entered = asyncio.Event()

    async def tell(self, telling: bytes, *, key: str) -> None:
        """Take it, or refuse."""
        self.entered.set()
        await self.free.wait()
        if self.refusals:
            self.refusals -= 1
            raise HookError("not now", again=self.again)
        self.taken.append(orjson.loads(telling))
        self.keys.append(key)

    @property
    def news(self) -> list[tuple[int, str]]:
        """Give what was told: number and name."""
        return [(telling["seq"], telling["news"]) for telling in self.taken]


class Pauses:
    """A sleep that takes no time, and notes how much it was to take."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Let others run instead."""
        self.taken.append(seconds)
        await asyncio.sleep(0)


def of(kind: str, name: str, state: str, seq: int, **more: object) -> Record:
    """Make the record of a divergence or gap in a state."""
    type_ = RecordType(kind)
    body = {**body_of(type_, seq), "id": name, "state": state, **more}
    at_us = START_US + seq * STEP_US
    line = orjson.dumps({"seq": seq, "type": kind, "ts": rfc3339(at_us), kind: body})
    return Record(seq=seq, n=seq, type=type_, at_us=at_us, key=name, replaces=(), line=line)


def teller_of(  # what a test may turn
    account: FakeAccount,
    hook: Receiver,
    folder: Path,
    *,
    severity: str = "WARN",
    retry_s: float = 300,
    waiting_max: int = 256,
    log: Notes | None = None,
    sleep: Pauses | None = None,
) -> Teller:
    """Make a teller of an account."""
    return Teller(
        door=account,
        hook=hook,
        file=PlaceFile(folder, account.name),
        options=TellOptions(severity=severity, retry_s=retry_s, waiting_max=waiting_max),
        log=log or Notes(),
        chance=random.Random(1),  # noqa: S311 - jitter
        sleep=sleep or Pauses(),
    )
