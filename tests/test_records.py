"""The numbered records' vocabulary."""

from __future__ import annotations

import tracemalloc

import orjson
import pytest

from ditad.records import LISTED, RecordType, line_of, rfc3339, rfc3339_ms

OVERHEAD_BYTES_MAX = 256
"""What an object of bytes has beside its bytes, and what the tracing itself leaves."""


@pytest.mark.parametrize(
    ("at_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_680_094_514_120_007, "2023-03-29T12:55:14.120007Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
    ],
    ids=["the epoch is a time", "microseconds", "the last"],
)
def test_a_time_is_written_in_utc_with_microseconds(at_us: int, text: str) -> None:
    """RFC 3339, always six decimals."""
    assert text == rfc3339(at_us)


def test_the_exchanges_milliseconds_are_written_alike() -> None:
    """The trade time of a captured frame (bingx.md §4)."""
    assert "2023-03-29T12:55:14.120000Z" == rfc3339_ms(1_680_094_514_120)


@pytest.mark.parametrize("length", [600, 3_000, 70_000])
def test_a_line_takes_no_more_memory_than_it_is_long(length: int) -> None:
    """The ring of newest records is bounded in bytes; they must be those that are held."""
    record = {"text": "x" * length}
    line_of(record)  # what a first call makes beside the line, as for coverage, is not the line's
    tracemalloc.start()
    try:
        line = line_of(record)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert orjson.dumps(record) == line
    assert len(line) <= held <= len(line) + OVERHEAD_BYTES_MAX


def test_the_snapshot_stands_last() -> None:
    """Records of one event stand in the order of their types: facts before what they lead to."""
    assert (RecordType.FILL, RecordType.SNAPSHOT) == (next(iter(RecordType)), list(RecordType)[-1])


def test_only_what_has_a_current_state_is_listed() -> None:
    """Streams, rejections and snapshots are not superseded by a key."""
    assert {"fill", "income", "divergence", "gap"} == {kind.value for kind in LISTED}
