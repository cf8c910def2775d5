"""How far an account's tellings have come, kept beside its journal across restarts.

What enters: the `seq` behind which the next telling lies, and what was told of what is not over. What leaves: the same,
after a restart. What holds: the file is replaced whole or not at all, and never by an older place; one that is damaged
is as good as none, and whoever reads it is told why.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

PLACE_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Everything up to `after_seq` was told, given up or no news; `told` is the state told last, by id.

    `missed` tellings up to there never arrived, and nobody has been told of that yet.
    """

    after_seq: int
    told: Mapping[str, str]
    missed: int = 0


class PlaceFile:
    """The file of one account in the state folder."""

    def __init__(self, folder: Path, account: str) -> None:
        """Name it; it need not be there."""
        self._path = folder / f"{account}.tell"
        self._lock = threading.Lock()
        self._kept = -1

    def load(self) -> tuple[Place | None, str]:
        """Give the place, or `None` and why there is none."""
        try:
            with self._path.open("rb") as file:
                data = file.read(PLACE_BYTES_MAX + 1)
        except FileNotFoundError:
            return None, "nothing was told before"
        except OSError as exc:
            return None, f"{self._path.name} cannot be read ({exc.strerror})"
        place = _place(data)
        if place is None:
            return None, f"{self._path.name} is damaged"
        return place, ""

    def keep(self, place: Place) -> None:
        """Put the place away durably, unless a later one was; raises `OSError`. From any thread."""
        data = orjson.dumps({"after_seq": place.after_seq, "told": dict(place.told), "missed": place.missed})
        partial = self._path.with_name(f"{self._path.name}.partial")
        with self._lock:
            if place.after_seq < self._kept:
                return
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            partial.replace(self._path)
            self._kept = place.after_seq


def _place(data: bytes) -> Place | None:
    with suppress(orjson.JSONDecodeError):
        value = orjson.loads(data)
        if isinstance(value, dict) and isinstance(value.get("told"), dict) and type(value.get("after_seq")) is int:
            told = {str(name): str(state) for name, state in value["told"].items()}
            missed = value.get("missed", 0)  # one that was written before this was kept has none
            if type(missed) is int:
                return Place(after_seq=value["after_seq"], told=told, missed=missed)
    return None
