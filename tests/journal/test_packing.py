import gzip
import zlib
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditad.errors import JournalDamagedError, JournalTooNewError
from ditad.journal.packing import DICTIONARIES, pack, unpack


@given(st.binary(max_size=20_000))
def test_everything_packed_comes_back(data: bytes) -> None:
    """Whatever is packed is unpacked to the same bytes."""
    assert data == unpack(pack(data))


def test_a_released_dictionary_is_never_changed() -> None:
    """Journals on disk need the dictionary they were written with, to the byte."""
    assert [0x9D4C4C28] == [zlib.adler32(dictionary) for dictionary in DICTIONARIES]


def test_every_flipped_bit_is_noticed() -> None:
    """A disk that changes one bit does not change a fact."""
    data = b'{"quantity":"0.00100000","filled":"0.00100000"}'
    packed = pack(data)
    outcomes = [_outcome(packed, bit) for bit in range(len(packed) * 8)]
    assert {None, data} >= set(outcomes)
    assert outcomes.count(data) < 8, "only padding bits may go unnoticed"


def _outcome(packed: bytes, bit: int) -> bytes | None:
    flipped = bytearray(packed)
    flipped[bit // 8] ^= 1 << bit % 8
    try:
        return unpack(bytes(flipped))
    except (JournalDamagedError, JournalTooNewError):
        return None


def test_a_value_cut_short_is_damaged() -> None:
    """No prefix of a packed value passes for the whole, nor does one with a tail."""
    packed = pack(b'{"quantity":"0.00100000"}')
    for length in range(len(packed)):
        with pytest.raises(JournalDamagedError):
            unpack(packed[:length])
    with pytest.raises(JournalDamagedError):
        unpack(packed + b"x")


def test_an_unknown_dictionary_is_a_newer_versions() -> None:
    """A value packed with a dictionary we do not have asks for the newer version instead of being called damaged."""
    packer = zlib.compressobj(3, zlib.DEFLATED, 13, 6, zlib.Z_DEFAULT_STRATEGY, b"a dictionary of tomorrow")
    with pytest.raises(JournalTooNewError, match="newer ditad"):
        unpack(packer.compress(b"x") + packer.flush())


@pytest.mark.parametrize("size", [0, 200, 60_000, 70_000])
def test_what_came_compressed_is_stored_as_it_is(size: int) -> None:
    """Packing a frame again would cost more than all else done with it, and save nothing; its bits are watched all the same."""
    data = gzip.compress(b"".join(blake2b(b"%d" % place).digest() for place in range(size // 64)))
    packed = pack(data)
    assert data == unpack(packed)
    assert (data in packed) == (len(data) < 2**16)
    assert len(packed) <= len(data) + 15 + len(data) // 100
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 1
    with pytest.raises(JournalDamagedError):
        unpack(bytes(flipped))
