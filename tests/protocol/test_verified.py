import hmac
from hashlib import md5
from typing import Any

import pytest
from construct import (
    Bytes,
    ChecksumError,
    Const,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Int16ul,
    NullTerminated,
    PaddedString,
    Prefixed,
    Struct,
    Tell,
    this,
)
from hypothesis import given
from hypothesis import strategies as st

from iotsim import (
    Checksum,
    DecodeError,
    EncodeError,
    FlatStruct,
    Length,
    crc16_ccitt,
    sum8,
    this_device,
    xor8,
)
from iotsim.protocol.codec import Codec
from iotsim.protocol.device import StandIn
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


def md5_over(data: bytes) -> bytes:
    return md5(data).digest()


def keyed(data: bytes, key: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")[:8]


@pytest.mark.parametrize(
    ("over", "covered"),
    [
        ("before", b"AB"),
        ("rest", b"CDE"),
        ("message", b"AB\0\0CDE"),
        ((0, None), b"AB\0\0CDE"),
        ((1, -1), b"B\0\0CD"),
        ((3, 5), b"\0C"),
        ((this._from, None), b"B\0\0CDE"),
        ((this._from, -2), b"B\0\0C"),
        ((-2, None), b"DE"),
        ((9, None), b""),
    ],
)
def test_checksum_over_any_part(over: Any, covered: bytes) -> None:
    seen = []

    def function(data: bytes) -> int:
        seen.append(data)
        return crc16_ccitt(data)

    message = FlatStruct(
        "a" / Bytes(1),
        "_from" / Tell,
        "b" / Bytes(1),
        "sum" / Checksum(Int16ub, function, over=over),
        "c" / GreedyBytes,
    )
    data = message.build({"a": b"A", "b": b"B", "c": b"CDE"})
    crc = crc16_ccitt(covered).to_bytes(2, "big")
    assert data == b"AB" + crc + b"CDE"
    assert message.parse(data).sum == int.from_bytes(crc, "big")
    assert seen == [covered, covered]
    codec = Codec(message)
    fields = {"a": b"A", "b": b"B", "c": b"CDE", "sum": int.from_bytes(crc, "big")}
    assert codec.encode(fields) == data
    assert codec.decode(data) == fields
    wrong = bytearray(data)
    wrong[2] ^= 1
    with pytest.raises(DecodeError) as caught:
        codec.decode(bytes(wrong))
    assert caught.value.path == "sum"
    assert caught.value.offset == 2


def test_checksum_of_bytes_with_a_key() -> None:
    message = FlatStruct(
        "sender" / Int8ub,
        "body" / Prefixed(Int8ub, GreedyBytes),
        "mac" / Checksum(Bytes(8), keyed, key=this_device.state.key),
    )
    codec = Codec(message)
    device = StandIn(state={"key": b"secret"})
    data = codec.encode({"sender": 1, "body": b"abc"}, device)
    assert data == b"\x01\x03abc" + keyed(b"\x01\x03abc", b"secret")
    assert codec.decode(data, device)["mac"] == data[-8:]
    with pytest.raises(
        DecodeError, match=f"mac: wrong checksum: the message has {data[-8:].hex()}"
    ):
        codec.decode(data, StandIn(state={"key": b"other"}))
    plain = Struct("k" / Bytes(2), "a" / Int8ub, "mac" / Checksum(Bytes(8), keyed, key=this.k))
    assert plain.build({"k": b"kk", "a": 5})[3:] == keyed(b"kk\x05", b"kk")


def test_checksum_that_is_text() -> None:
    """As of NMEA 0183: two hex digits after an asterisk."""
    message = Struct(
        Const(b"$"),
        "text" / NullTerminated(GreedyBytes, term=b"*"),
        "sum" / Checksum(PaddedString(2, "ascii"), lambda data: f"{xor8(data[:-1]):02X}", 1),
    )
    codec = Codec(message)
    assert codec.encode({"text": b"GPGLL,5300.97914,N,00259.98174,E,125926,A"}).endswith(b"*28")
    with pytest.raises(DecodeError, match=r"sum: wrong checksum: the message has '27', .* '28'"):
        codec.decode(b"$GPGLL,5300.97914,N,00259.98174,E,125926,A*27")


def test_checksums_that_cover_others_and_lengths() -> None:
    """A header's over the payload's, a trailer's over both: each is filled in after what it covers."""
    message = FlatStruct(
        "length" / Length(Int8ub),
        "head" / Checksum(Int16ub, crc16_ccitt, over="message"),
        Struct(
            "mac" / Checksum(Bytes(16), md5_over, over="rest"),
            "payload" / GreedyBytes,
        ),
    )
    data = Codec(message).encode({"payload": b"xyz"})
    assert data[:1] == b"\x15"
    assert data[3:19] == md5_over(b"xyz")
    assert int.from_bytes(data[1:3], "big") == crc16_ccitt(data[:1] + b"\0\0" + data[3:])
    assert Codec(message).decode(data)["payload"] == b"xyz"
    trailer = FlatStruct(
        "mac" / Checksum(Bytes(16), md5_over, over=(16, -1)),
        "payload" / Bytes(3),
        "sum" / Checksum(Int8ub, sum8),
    )
    data = Codec(trailer).encode({"payload": b"xyz"})
    assert data == md5_over(b"xyz") + b"xyz" + bytes([sum8(md5_over(b"xyz") + b"xyz")])
    assert Codec(trailer).decode(data)["payload"] == b"xyz"


def test_checksum_over_the_rest_in_a_prefixed_is_of_what_that_contains() -> None:
    inner = FlatStruct("sum" / Checksum(Int8ub, sum8, over="rest"), "a" / GreedyBytes)
    outer = FlatStruct("x" / Int8ub, "in" / Prefixed(Int8ub, inner), "y" / Int8ub)
    data = outer.build({"x": 9, "in": {"a": b"\x01\x02"}, "y": 9})
    assert data == b"\x09\x03\x03\x01\x02\x09"
    assert outer.parse(data)["in"].sum == 3


def test_checksums_that_cover_each_other() -> None:
    message = FlatStruct(
        "one" / Checksum(Int8ub, sum8, over="rest"), "two" / Checksum(Int8ub, sum8, over="message")
    )
    with pytest.raises(EncodeError, match="each of two checksums covers the other"):
        Codec(message).encode({})


def test_an_error_in_a_late_checksum_has_its_path() -> None:
    inner = Struct("sum" / Checksum(Int8ub, sum8, over="rest", key=this_device.state.key))
    message = FlatStruct("a" / FlatStruct("b" / inner), "c" / Int8ub)
    with pytest.raises(EncodeError) as caught:
        Codec(Struct("m" / message)).encode({"m": {"a": {"b": {}}, "c": 1}}, StandIn())
    assert caught.value.path == "m.a.b.sum"
    assert caught.value.reason == "device[0] has no 'key' in its state"


def test_a_late_checksum_needs_a_flat_struct_to_be_built() -> None:
    message = Struct("sum" / Checksum(Int8ub, sum8, over="rest"), "a" / Int8ub)
    assert message.parse(b"\x05\x05").a == 5
    with pytest.raises(ChecksumError, match="use that in place of Struct"):
        message.build({"a": 5})


@pytest.mark.parametrize("over", ["all", 4, (1,), (1, 2, 3), None, this.a])
def test_checksum_over_nonsense(over: Any) -> None:
    with pytest.raises(ValueError, match='over "before", "rest", "message" or two places'):
        Checksum(Int8ub, sum8, over=over)
    for start in (2, this.a):
        with pytest.raises(ValueError, match="the start of a Checksum is for"):
            Checksum(Int8ub, sum8, start, over="rest")


@given(st.binary(max_size=24))
def test_any_bytes_with_late_checksums(data: bytes) -> None:
    codec = Codec(
        FlatStruct(
            "n" / Int8ub,
            "sum" / Checksum(Int8ub, sum8, over=(this.n, None)),
            "a" / GreedyBytes,
        )
    )
    try:
        fields = codec.decode(data)
    except DecodeError:
        return
    assert codec.encode(fields) == data
