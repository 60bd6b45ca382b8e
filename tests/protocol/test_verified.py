import pytest
from construct import (
    Bytes,
    ChecksumError,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Int16ul,
    Prefixed,
    Struct,
    Tell,
    this,
)

from iotsim import Checksum, FlatStruct, Length, crc16_ccitt, sum8
from iotsim.protocol.verified import LengthError

PLAIN = Struct("a" / Int8ub, "b" / Int16ub, "crc" / Checksum(Int16ub, crc16_ccitt))


def test_checksum_in_a_plain_struct_of_construct() -> None:
    data = PLAIN.build({"a": 1, "b": 2})
    assert data == b"\x01\x00\x02" + crc16_ccitt(b"\x01\x00\x02").to_bytes(2, "big")
    parsed = PLAIN.parse(data)
    assert (parsed.a, parsed.b, parsed.crc) == (1, 2, int.from_bytes(data[-2:], "big"))


def test_checksum_ignores_a_value_that_is_given() -> None:
    assert PLAIN.build({"a": 1, "b": 2, "crc": 7}) == PLAIN.build({"a": 1, "b": 2})


def test_wrong_checksum_says_both_values() -> None:
    data = bytearray(PLAIN.build({"a": 1, "b": 2}))
    data[-1] ^= 1
    with pytest.raises(ChecksumError, match=r"0x[0-9a-f]{4}, its bytes give 0x[0-9a-f]{4}"):
        PLAIN.parse(data)


def test_checksum_may_start_later() -> None:
    fixed = Struct("sync" / Bytes(2), "a" / Int8ub, "sum" / Checksum(Int8ub, sum8, start=2))
    assert fixed.build({"sync": b"\xff\xff", "a": 5}) == b"\xff\xff\x05\x05"
    assert fixed.parse(b"\xff\xff\x05\x05").a == 5
    marked = Struct(
        "sync" / Bytes(2), "_from" / Tell, "a" / Int8ub, "sum" / Checksum(Int8ub, sum8, this._from)
    )
    assert marked.build({"sync": b"\xff\xff", "a": 5}) == b"\xff\xff\x05\x05"
    assert marked.parse(b"\xff\xff\x05\x05").sum == 5


def test_checksum_in_a_prefixed_covers_what_that_contains() -> None:
    inner = Struct("a" / Int8ub, "sum" / Checksum(Int8ub, sum8))
    outer = Struct("x" / Int8ub, "inner" / Prefixed(Int8ub, inner))
    data = outer.build({"x": 9, "inner": {"a": 5}})
    assert data == b"\x09\x02\x05\x05"
    assert outer.parse(data).inner.a == 5


@pytest.mark.parametrize(
    ("length", "value"),
    [
        (Length(Int8ub), 5),
        (Length(Int8ub, adjust=-2), 3),
        (Length(Int8ub, of="message"), 7),
        (Length(Int8ub, of="message", adjust=1), 8),
    ],
)
def test_length_is_computed_and_verified(length: Length, value: int) -> None:
    message = FlatStruct(
        "kind" / Int8ub,
        "length" / length,
        "body" / Bytes(3),
        "crc" / Checksum(Int16ub, crc16_ccitt),
    )
    data = message.build({"kind": 1, "body": b"abc"})
    assert data[1] == value
    assert message.parse(data).length == value
    wrong = data[:1] + bytes([value + 1]) + data[2:5]
    with pytest.raises(LengthError, match=f"says {value + 1}, its fields take {value} bytes"):
        message.parse(wrong + crc16_ccitt(wrong).to_bytes(2, "big"))


def test_length_of_something_of_varying_size() -> None:
    message = FlatStruct("length" / Length(Int16ul), "body" / GreedyBytes)
    assert message.build({"body": b"abcde"}) == b"\x05\x00abcde"
    assert message.parse(b"\x02\x00ab").body == b"ab"


def test_length_needs_a_flat_struct_to_be_built() -> None:
    with pytest.raises(LengthError, match="use that in place of Struct"):
        Struct("length" / Length(Int8ub), "a" / Int8ub).build({"a": 1})


def test_length_of_nonsense() -> None:
    with pytest.raises(ValueError, match="rest"):
        Length(Int8ub, of="all")  # type: ignore[arg-type]
