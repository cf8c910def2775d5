"""How far tellings have come, kept across restarts."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ditad.tell.place import Place, PlaceFile


def test_a_place_is_found_again(tmp_path: Path) -> None:
    """Whole, by the next process, and readable by its owner alone."""
    place = Place(after_seq=41, told={"d1": "open"}, missed=3)
    PlaceFile(tmp_path, "main").keep(place)
    assert (place, "") == PlaceFile(tmp_path, "main").load()
    assert [("main.tell", 0o600)] == [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.iterdir()]


def test_an_older_place_does_not_undo_a_newer(tmp_path: Path) -> None:
    """However the threads that put them away are late."""
    file = PlaceFile(tmp_path, "main")
    file.keep(Place(after_seq=9, told={}))
    file.keep(Place(after_seq=8, told={"d1": "open"}))
    assert (Place(after_seq=9, told={}), "") == file.load()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"after_seq":"9","told":{}}',
        b'{"after_seq":9,"told":[]}',
        b'{"after_seq":9,"told":{},"missed":"1"}',
    ],
)
def test_a_damaged_place_is_none(tmp_path: Path, data: bytes) -> None:
    """It is said to be damaged, and nothing is guessed from it."""
    (tmp_path / "main.tell").write_bytes(data)
    assert (None, "main.tell is damaged") == PlaceFile(tmp_path, "main").load()


def test_the_first_time_there_is_none(tmp_path: Path) -> None:
    """And where it cannot be read, why."""
    assert (None, "nothing was told before") == PlaceFile(tmp_path, "main").load()
    (tmp_path / "other.tell").mkdir()
    assert (None, "other.tell cannot be read (Is a directory)") == PlaceFile(tmp_path, "other").load()


def test_a_place_that_tells_of_nothing_missed_is_one(tmp_path: Path) -> None:
    """As it was written before that was kept."""
    (tmp_path / "main.tell").write_bytes(b'{"after_seq":9,"told":{}}')
    assert (Place(after_seq=9, told={}, missed=0), "") == PlaceFile(tmp_path, "main").load()
