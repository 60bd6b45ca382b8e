from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire.checksum import checksum, is_correct, pseudo_header_sum, word_sum


def reference_checksum(data: bytes) -> int:
    """RFC 1071 to the letter."""
    if len(data) % 2:
        data += b"\0"
    total = sum(data[i] << 8 | data[i + 1] for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def test_the_example_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


def test_zeros_have_the_checksum_of_plus_zero() -> None:
    assert checksum(bytes(8)) == 0xFFFF
    assert not is_correct(bytes(8))


@given(st.binary(max_size=90))
def test_agrees_with_the_loop_over_words(data: bytes) -> None:
    assert checksum(data) == reference_checksum(data)
    assert (checksum(data) + word_sum(data)) % 65535 == 0


@given(st.binary(max_size=60))
def test_what_is_summed_verifies(data: bytes) -> None:
    if len(data) % 2:
        data += b"\0"
    assert is_correct(data + checksum(data).to_bytes(2, "big"))


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_addresses_of_any_width_add_as_integers(source: bytes, destination: bytes) -> None:
    total = pseudo_header_sum(
        int.from_bytes(source, "big"), int.from_bytes(destination, "big"), 17, 9
    )
    assert total % 65535 == word_sum(source + destination + bytes([0, 0, 0, 9, 0, 0, 0, 17]))
