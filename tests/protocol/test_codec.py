from typing import Any

import pytest
from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Computed,
    Enum,
    ExprAdapter,
    Float32b,
    GreedyBytes,
    GreedyRange,
    Int8ub,
    Int16ub,
    Padding,
    Peek,
    Pointer,
    Prefixed,
    Struct,
    Switch,
    this,
)
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError, EncodeError, FlatStruct, Native
from iotsim.protocol.codec import Codec

SCHEMA = Struct(
    "kind" / Int8ub,
    "body" / Switch(this.kind, {1: Int16ub, 2: Prefixed(Int8ub, GreedyBytes)}),
)


def test_errors_have_path_and_offset() -> None:
    codec = Codec(SCHEMA)
    with pytest.raises(DecodeError) as decoding:
        codec.decode(b"\x01\x02")
    assert (decoding.value.path, decoding.value.offset) == ("body", 1)
    with pytest.raises(EncodeError) as encoding:
        codec.encode({"kind": 1, "body": 70000})
    assert encoding.value.path == "body"


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({}, "kind"),
        ({"kind": 1}, "body"),
        ({"kind": 1, "body": None}, "body"),
        ({"kind": 1, "body": "x"}, "body"),
        ({"kind": 1.0, "body": 1}, "kind"),
        ({"kind": [], "body": 1}, "kind"),
        ({"kind": 3, "body": 1}, "body"),
        ({"kind": 1, "body": 1, "more": 2}, "more"),
    ],
)
def test_odd_messages_are_refused(message: dict[str, Any], path: str) -> None:
    with pytest.raises(EncodeError) as caught:
        Codec(SCHEMA).encode(message)
    assert caught.value.path == path


def test_values_that_construct_accepts_beyond_the_usual() -> None:
    codec = Codec(Struct("a" / Bytes(2), "b" / Int8ub))
    assert codec.encode({"a": bytearray(b"xy"), "b": True}) == b"xy\x01"
    assert codec.encode({"a": 0x7879, "b": 1}) == b"xy\x01"


def test_a_mapping_need_not_be_a_dict() -> None:
    from types import MappingProxyType

    assert Codec(SCHEMA).encode(MappingProxyType({"kind": 1, "body": 2})) == b"\x01\x00\x02"


def test_decoded_values_are_not_shared() -> None:
    codec = Codec(Struct("s" / Struct("a" / Int8ub), "l" / Int8ub[1]))
    first, second = codec.decode(b"\x01\x02"), codec.decode(b"\x01\x02")
    first["s"]["a"] = first["l"][0] = 9
    assert second == {"s": {"a": 1}, "l": [2]}


def test_lax() -> None:
    codec = Codec(SCHEMA, strict=False)
    assert codec.decode(b"\x09rest") == {"kind": 9, "body": None}
    assert codec.encode({"kind": 9, "body": None, "more": 1}) == b"\x09"


def test_what_is_left_to_construct_is_told() -> None:
    adapter = ExprAdapter(Int8ub, lambda value, _: value * 2, lambda value, _: value // 2)
    members = (
        "a" / Int8ub,
        "b" / Bytes(lambda context: context.a),
        "c" / adapter,
        "d" / Struct("e" / Peek(Int8ub)),
        "f" / Int16ub,
    )
    codec = Codec(Struct(*members))
    assert codec.fallbacks == {"d.e": "Peek"}
    data = b"\x02xy\x04\x00\x07"
    message = codec.decode(data)
    assert message == {"a": 2, "b": b"xy", "c": 8, "d": {"e": 0}, "f": 7}
    assert codec.encode(message) == data
    assert "parse(NATIVE_1" in codec.source
    reads = Codec(Struct(*members, "g" / Computed(lambda context: context.a if context.f else 0)))
    assert reads.fallbacks == {"(message)": "g: a function of the context"}
    assert reads.decode(data) == message | {"g": 2}


def test_nodes_that_move_about() -> None:
    codec = Codec(Struct("at" / Int8ub, "there" / Pointer(this.at, Int8ub), Padding(2)))
    assert codec.decode(b"\x02\x00\x07") == {"at": 2, "there": 7}
    assert codec.encode({"at": 2, "there": 7}) == b"\x02\x00\x00"


def test_odd_fields() -> None:
    assert Codec(SCHEMA).odd_fields
    assert Codec(Struct("a" / Int8ub)).odd_fields == ()


@given(st.binary(max_size=20))
def test_any_bytes(data: bytes) -> None:
    try:
        message = CODEC.decode(data)
    except DecodeError:
        return
    assert CODEC.encode(message) == data


CODEC = Codec(SCHEMA)


def test_a_branch_that_must_be_decoded_to_be_told_costs_the_others_nothing() -> None:
    def read(data: bytes, at: int) -> tuple[list[int], int]:
        return list(data[at:]), len(data)

    native = Native(read, bytes, like=GreedyRange(Int8ub))
    codec = Codec(
        FlatStruct(
            "kind" / Int8ub,
            Switch(this.kind, {1: Struct("list" / native), 2: Struct("number" / Int16ub)}),
        )
    )
    decoded: list[bytes] = []
    decode = codec.decode

    def watched(data: bytes, device: Any = None, /) -> dict[str, Any]:
        decoded.append(data)
        return decode(data, device)

    codec.decode = watched
    assert codec.tell({"kind": 2, "number": 7}) == (b"\x02\x00\x07", {"kind": 2, "number": 7})
    assert decoded == []
    told = b"\x01\x02\x03", {"kind": 1, "list": [2, 3]}
    assert codec.tell({"kind": 1, "list": (2, 3)}) == told
    assert decoded == [b"\x01\x02\x03"]
    with pytest.raises(EncodeError):
        codec.tell({"kind": 3})


def test_a_branch_that_is_decoded_to_be_told_leaves_nothing_in_the_others() -> None:
    among_bits = BitStruct(
        "high"
        / ExprAdapter(BitsInteger(4), lambda value, _: value + 1, lambda value, _: value - 1),
        "low" / BitsInteger(4),
    )
    body = Switch(
        lambda fields: fields.kind,
        {1: Struct("word" / among_bits), 2: Struct("a" / Int8ub, Padding(3), "b" / Int8ub)},
    )
    codec = Codec(FlatStruct("kind" / Int8ub, body))
    for message in ({"kind": 2, "a": 5, "b": 6}, {"kind": 1, "word": {"high": 2, "low": 3}}):
        assert codec.tell(message) == (codec.encode(message), message)
    assert codec.tell({"kind": 2, "a": 5, "b": 6})[0].hex() == "020500000006"


@pytest.mark.parametrize(
    ("number", "value", "reason"),
    [
        (Int16ub, 1 << 16, "65536 does not fit into uint16"),
        (Int8ub, "x", "'x' does not fit into uint8"),
        (Float32b, 1e300, "1e+300 does not fit into float32"),
        (Enum(Int8ub, ON=1), "OFF", "there is no value 'OFF'"),
    ],
)
def test_what_does_not_fit_is_told_in_plain_words(number: Any, value: Any, reason: str) -> None:
    with pytest.raises(EncodeError) as caught:
        Codec(Struct("x" / number)).encode({"x": value})
    assert (caught.value.path, caught.value.reason) == ("x", reason)
