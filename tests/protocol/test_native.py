"""Native, Wrapped and Derived: functions of the user's in the place of a construct."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from construct import (
    Bytes,
    Const,
    ConstructError,
    Container,
    Default,
    Enum,
    FixedSized,
    Float64b,
    GreedyBytes,
    GreedyRange,
    GreedyString,
    Int8ub,
    Int16sb,
    Optional,
    Pass,
    Prefixed,
    Rebuild,
    Select,
    StreamError,
    Struct,
    Switch,
    this,
)
from construct.core import EnumInteger
from hypothesis import given
from hypothesis import strategies as st

from iotsim import (
    Checksum,
    DecodeError,
    Derived,
    EncodeError,
    FlatStruct,
    Length,
    Native,
    Protocol,
    Wrapped,
    sum8,
)
from iotsim.protocol.codec import Codec
from iotsim.protocol.dissection import dissect
from iotsim.protocol.fields import Schema

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_options(data: bytes, at: int) -> tuple[list[dict[str, Any]], int]:
    """Options as in CoAP, in short: a byte of delta and length each, up to a zero."""
    options, number = [], 0
    while True:
        if at >= len(data):
            raise DecodeError("the options have no end", offset=at)
        head = data[at]
        at += 1
        if head == 0:
            return options, at
        number += head >> 4
        length = head & 15
        options.append({"number": number, "value": data[at : at + length]})
        at += length


def write_options(options: list[dict[str, Any]]) -> bytes:
    written, number = b"", 0
    for option in options:
        if option["number"] < number:
            raise EncodeError("options are in the order of their numbers", "0.number")
        written += bytes([option["number"] - number << 4 | len(option["value"])]) + option["value"]
        number = option["number"]
    return written + b"\0"


OPTIONS = Native(
    read_options,
    write_options,
    like=GreedyRange(Struct("number" / Int8ub, "value" / GreedyBytes)),
)
MESSAGE = FlatStruct("kind" / Int8ub, "options" / OPTIONS, "rest" / GreedyBytes)
DATA = bytes.fromhex("07 12aabb 21cc 00 99")
FIELDS = {
    "kind": 7,
    "options": [{"number": 1, "value": b"\xaa\xbb"}, {"number": 3, "value": b"\xcc"}],
    "rest": b"\x99",
}


def test_a_native_field_is_read_and_written_by_its_functions() -> None:
    codec = Codec(MESSAGE)
    assert codec.decode(DATA) == FIELDS
    assert codec.encode(FIELDS) == DATA


def test_plain_construct_can_do_it() -> None:
    assert MESSAGE.parse(DATA).options == FIELDS["options"]
    assert MESSAGE.build(FIELDS) == DATA


def test_its_fields_are_those_that_it_is_like() -> None:
    fields = Schema(MESSAGE).fields
    assert [(f.path, f.kind) for f in fields.values()] == [
        ("kind", "int"),
        ("options", "array"),
        ("options[]", "struct"),
        ("options[].number", "int"),
        ("options[].value", "bytes"),
        ("rest", "bytes"),
    ]
    assert "native" in fields["options"].wire
    assert fields["options"].required
    assert {fields[path].offset for path in ("options[].number", "rest")} == {None}


def test_it_sees_the_bytes_before_it_and_their_numbers() -> None:
    """So that names can be compressed by pointers to those before."""
    seen = []

    def read(data: bytes, at: int) -> tuple[int, int]:
        seen.append((data, at))
        return data[at], at + 1

    one = Native(read, lambda value: bytes([value]), like=Int8ub)
    inside = Prefixed(Int8ub, Struct("b" / Int8ub, "n" / one))
    Codec(Struct("a" / Int8ub, "n" / one, "in" / inside)).decode(b"\x01\x02\x02\x03\x04")
    assert seen == [(b"\x01\x02\x02\x03\x04", 1), (b"\x03\x04", 1)]


@pytest.mark.parametrize("like", [Int8ub, Struct("a" / Int8ub)])
def test_it_may_be_the_whole_message_or_a_part_with_a_name(like: Any) -> None:
    def read(data: bytes, at: int) -> tuple[dict[str, int], int]:
        return {"a": data[at]}, at + 1

    native = Native(read, lambda value: bytes([value["a"]]), like=Struct("a" / Int8ub))
    assert Codec(native).decode(b"\x05") == {"a": 5}
    assert Codec(native).encode({"a": 5}) == b"\x05"
    assert list(Schema(native).fields) == ["a"]
    flat = FlatStruct("k" / like, native, "z" / Const(b"!"))
    fields = {"k": {"a": 1} if isinstance(like, Struct) else 1, "a": 5}
    codec = Codec(flat)
    assert codec.fallbacks == {}
    assert codec.encode(fields) == b"\x01\x05!"
    assert codec.tell(fields) == (b"\x01\x05!", {**fields, "z": b"!"})
    assert codec.decode(b"\x01\x05!") == {**fields, "z": b"!"}
    assert "a" in Schema(flat).fields
    with pytest.raises(EncodeError, match="no such field"):
        codec.encode({**fields, "b": 1})


def test_a_field_that_it_is_not_like_is_refused() -> None:
    native = Native(read_options, write_options, like=Struct("a" / Int8ub))
    with pytest.raises(EncodeError, match=r"x.b: the message has no such field") as caught:
        Codec(Struct("x" / native)).encode({"x": {"a": 1, "b": 2}})
    assert caught.value.path == "x.b"


def test_what_its_functions_refuse_has_reason_path_and_offset() -> None:
    codec = Codec(MESSAGE)
    with pytest.raises(DecodeError) as caught:
        codec.decode(DATA[:4])
    assert (caught.value.reason, caught.value.path) == ("the options have no end", "options")
    with pytest.raises(EncodeError) as refused:
        codec.encode({**FIELDS, "options": list(reversed(FIELDS["options"]))})  # type: ignore[call-overload]
    assert refused.value.reason == "options are in the order of their numbers"
    assert refused.value.path == "options.0.number"


def fails(*_: Any) -> Any:
    raise KeyError("x")


WRONG: list[tuple[Any, str]] = [
    (lambda data, at: data[at + 9], "<lambda>() failed: IndexError: index out of range"),
    (fails, "fails() failed: KeyError: 'x'"),
    (lambda data, at: at, "returned no pair of a value and a place"),
    (lambda data, at: (1, 2, 3), "returned no pair"),
    (lambda data, at: (1, "2"), "returned no pair"),
    (lambda data, at: (1, at - 1), "returned the place 0, of 1 to 3"),
    (lambda data, at: (1, 99), "returned the place 99, of 1 to 3"),
]


@pytest.mark.parametrize(("read", "reason"), WRONG)
@pytest.mark.parametrize(
    "around", [lambda it: it, Optional, lambda it: Select(it, Bytes(2)), GreedyRange]
)
def test_a_function_that_fails_is_an_error_wherever_it_stands(
    read: Any, reason: str, around: Any
) -> None:
    codec = Codec(
        Struct("a" / Int8ub, "x" / around(Native(read, bytes, like=Int8ub))), strict=False
    )
    with pytest.raises(DecodeError) as caught:
        codec.decode(b"\x01\x02\x03")
    assert reason in caught.value.reason
    assert caught.value.path.startswith("x")
    assert caught.value.offset == 1


@pytest.mark.parametrize(
    ("write", "reason"),
    [(fails, "fails() failed: KeyError: 'x'"), (str, "str() returned str, and no bytes")],
)
@pytest.mark.parametrize("around", [lambda it: it, lambda it: Select(it, Int8ub)])
def test_so_is_one_that_writes(write: Any, reason: str, around: Any) -> None:
    codec = Codec(Struct("x" / around(Native(fails, write, like=Int8ub))))
    with pytest.raises(EncodeError) as caught:
        codec.encode({"x": 1})
    assert caught.value.reason.endswith(reason)
    assert caught.value.path == "x"


def test_a_construct_error_says_that_it_is_something_else() -> None:
    def read(data: bytes, at: int) -> tuple[int, int]:
        if data[at] > 9:
            raise StreamError("not mine")
        return data[at], at + 1

    one = Native(read, lambda value: bytes([value]), like=Int8ub)
    codec = Codec(Struct("small" / GreedyRange(one), "rest" / GreedyBytes))
    assert codec.decode(b"\x01\x02\x63") == {"small": [1, 2], "rest": b"\x63"}


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    codec = Codec(MESSAGE)
    try:
        fields = codec.decode(data)
    except DecodeError:
        return
    assert isinstance(fields["options"], list)


# -- Wrapped ----------------------------------------------------------------------------------------

BASE64 = FlatStruct(
    "kind" / Int8ub,
    "body"
    / Wrapped(base64.b64decode, base64.b64encode, Struct("a" / Int8ub, "b" / Default(Int8ub, 7))),
)


def test_a_wrapped_construct() -> None:
    codec = Codec(BASE64)
    assert codec.encode({"kind": 1, "body": {"a": 2}}) == b"\x01Agc="
    assert codec.decode(b"\x01Agc=") == {"kind": 1, "body": {"a": 2, "b": 7}}
    assert BASE64.parse(b"\x01Agc=").body.b == 7
    fields = Schema(BASE64).fields
    assert [(f.path, f.kind, f.required, f.offset) for f in fields.values()] == [
        ("kind", "int", True, 0),
        ("body", "struct", True, None),
        ("body.a", "int", True, None),
        ("body.b", "int", False, None),
    ]


def test_it_sees_what_is_around_and_stays_in_its_place() -> None:
    """Other than in construct's own Tunnel, `_` is what it is elsewhere."""
    inner = Struct("a" / Bytes(this._.n), "b" / GreedyBytes)
    message = Struct(
        "n" / Int8ub,
        "x" / Prefixed(Int8ub, Wrapped(zlib.decompress, zlib.compress, inner)),
        "y" / Int8ub,
    )
    codec = Codec(message)
    fields = {"n": 2, "x": {"a": b"ab", "b": b"cde"}, "y": 9}
    data = codec.encode(fields)
    assert zlib.decompress(data[2:-1]) == b"abcde"
    assert codec.decode(data) == fields


def test_an_unnamed_one_in_a_flat_struct_gives_it_its_fields() -> None:
    message = FlatStruct(
        "n" / Int8ub, Wrapped(base64.b64decode, base64.b64encode, Struct("a" / Int8ub))
    )
    codec = Codec(message)
    assert codec.decode(b"\x01Ag==") == {"n": 1, "a": 2}
    assert codec.encode({"n": 1, "a": 2}) == b"\x01Ag=="
    assert list(Schema(message).fields) == ["n", "a"]


def test_lengths_and_checksums_inside_are_of_what_is_inside() -> None:
    summed = FlatStruct("length" / Length(Int8ub), "a" / Bytes(2), "sum" / Checksum(Int8ub, sum8))
    codec = Codec(Struct("n" / Int8ub, "x" / Wrapped(bytes, bytes, summed)))
    fields = {"n": 9, "x": {"length": 3, "a": b"\x01\x02", "sum": 6}}
    assert codec.encode({"n": 9, "x": {"a": b"\x01\x02"}}) == b"\x09\x03\x01\x02\x06"
    assert codec.decode(b"\x09\x03\x01\x02\x06") == fields


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        (b"\x01Ag", "body", "b64decode() failed: Error: Incorrect padding"),
        (b"\x01AgcI", "body", "1 byte is left over inside"),
        (b"\x01Ag==", "body.b", "the message ends too early, expected 1, found 0"),
    ],
)
def test_what_is_not_wrapped_so(data: bytes, path: str, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Codec(BASE64).decode(data)
    assert (caught.value.path, caught.value.reason) == (path, reason)
    assert caught.value.offset == 1


def test_functions_that_give_no_bytes() -> None:
    codec = Codec(Struct("x" / Wrapped(len, fails, GreedyBytes)))
    with pytest.raises(DecodeError, match=r"len\(\) returned int, and no bytes"):
        codec.decode(b"abc")
    with pytest.raises(EncodeError, match=r"fails\(\) failed: KeyError"):
        codec.encode({"x": b"abc"})


# -- Derived ----------------------------------------------------------------------------------------

WEATHER = Struct(
    "raw" / Rebuild(Int16sb, lambda fields: round(fields.celsius * 100)),
    "celsius" / Derived(this.raw / 100, like=Float64b),
)


def test_a_derived_field_is_computed_and_given() -> None:
    codec = Codec(WEATHER)
    assert codec.decode(b"\x08\x02") == {"raw": 2050, "celsius": 20.5}
    assert codec.encode({"celsius": 20.5}) == b"\x08\x02"
    assert codec.encode({"raw": 1, "celsius": 20.5}) == b"\x08\x02"
    fields = Schema(WEATHER).fields
    assert (fields["celsius"].kind, fields["celsius"].wire) == ("float", "derived")
    assert fields["celsius"].required
    assert not fields["raw"].required
    assert fields["celsius"].size is None


def test_it_may_say_which_message_it_is() -> None:
    message = FlatStruct(
        "length" / Length(Int8ub),
        "kind"
        / Derived(lambda f: "ONE" if f.length == 1 else "MORE", like=Enum(Int8ub, ONE=0, MORE=1)),
        Switch(this.kind, {"ONE": Struct("a" / Int8ub), "MORE": Struct("b" / GreedyBytes)}),
    )
    codec = Codec(message)
    assert codec.decode(b"\x01\x05") == {"length": 1, "kind": "ONE", "a": 5}
    assert codec.decode(b"\x02ab")["b"] == b"ab"
    assert codec.encode({"kind": "MORE", "b": b"abc"}) == b"\x03abc"
    assert Schema(message).fields["kind"].names == {"ONE": 0, "MORE": 1}
    assert Schema(message).fields["a"].cases == ("ONE",)
    assert Schema(message).fields["a"].offset == 8


def test_it_has_to_be_given() -> None:
    with pytest.raises(EncodeError):
        Codec(WEATHER).encode({"raw": 5})
    with pytest.raises(EncodeError, match="the message needs this field") as caught:
        Codec(Struct("raw" / Int8ub, "half" / Derived(this.raw / 2, like=Float64b))).encode(
            {"raw": 5}
        )
    assert caught.value.path == "half"


def test_one_that_fails_is_an_error_wherever_it_stands() -> None:
    codec = Codec(Struct("x" / Optional(Struct("y" / Derived(this.nothing, like=Int8ub)))))
    with pytest.raises(DecodeError, match="failed: KeyError: 'nothing'") as caught:
        codec.decode(b"")
    assert caught.value.path == "x.y"


def test_sizes() -> None:
    assert Derived(this.a, like=Int8ub).sizeof() == 0
    for node in (OPTIONS, BASE64, FixedSized(3, OPTIONS).subcon):
        with pytest.raises(ConstructError):
            node.sizeof()


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({"a": [1, {"b": b""}], "c": None}, {"a": [1, {"b": b""}], "c": None}),
        ({"a": [1, {"b": (2, 3)}]}, {"a": [1, {"b": [2, 3]}]}),
        ({"a": Container(b=1, _io=None)}, {"a": {"b": 1}}),
        ({"a": [bytearray(b"x")]}, {"a": [b"x"]}),
        ({"a": {1: [EnumInteger(5)]}}, {"a": {"1": [5]}}),
    ],
)
def test_what_a_function_gives_is_made_plain_wherever_it_is_not(given: Any, plain: Any) -> None:
    message = Native(
        lambda data, at: (given, len(data)), lambda value: b"", like=Struct("a" / Pass)
    )
    decoded = Codec(message).decode(b"x")
    assert decoded == plain
    assert [type(one) for one in leaves(decoded)] == [type(one) for one in leaves(plain)]


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for name, inner in value.items() for leaf in (name, *leaves(inner))]
    return (
        [leaf for inner in value for leaf in leaves(inner)] if isinstance(value, list) else [value]
    )


@pytest.mark.parametrize("swallowed", [False, True])
def test_what_is_plain_is_shown_without_a_look_at_it(swallowed: bool) -> None:
    def read(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        return {"a": [{"b": data[at]}]}, at + 1

    like = Struct("a" / GreedyRange(Struct("b" / Int8ub)))
    native = Native(read, lambda value: b"", like=like, plain=True)
    codec = Codec(Struct("x" / (Optional(native) if swallowed else native)))
    assert codec.decode(b"\7") == {"x": {"a": [{"b": 7}]}}
    assert not codec.fallbacks
    assert "is_plain(" not in codec.source
    looked = Codec(Struct("x" / Native(read, lambda value: b"", like=like)))
    assert "is_plain(" in looked.source
    assert looked.decode(b"\7") == codec.decode(b"\7")


def test_what_it_wrote_is_told_by_itself_where_it_can() -> None:
    asked: list[tuple[bytes, Any]] = []

    def read(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        asked.append((data, at))
        return {"first": data[0], "text": data[at:].decode()}, len(data)

    def write(value: dict[str, Any]) -> bytes:
        return str(value["text"]).encode()

    def tell(before: bytes, value: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        if value["text"] == "":
            raise ValueError("not this one")
        return write(value), {"first": before[0], "text": str(value["text"])}

    native = Native(read, write, tell=tell, like=Struct("first" / Int8ub, "text" / _TEXT))
    codec = Codec(FlatStruct("kind" / Int8ub, native))
    told = {"kind": 7, "first": 7, "text": "21.5"}
    assert codec.tell({"kind": 7, "text": 21.5}) == (b"\x0721.5", told)
    assert asked == []
    told["text"] = ""
    assert codec.tell({"kind": 7, "text": ""}) == (b"\x07", told)
    assert asked == [(b"\x07", 1)]


_TEXT = GreedyString("utf8")


def read_pairs(data: bytes, at: int) -> tuple[dict[str, int], int]:
    """A letter and a number each, up to the end."""
    if (len(data) - at) % 2:
        raise DecodeError("half a pair")
    return {chr(data[i]): data[i + 1] for i in range(at, len(data), 2)}, len(data)


def parts_of_pairs(data: bytes, at: int) -> Iterator[tuple[str, int, int, Any]]:
    for i in range(at, len(data), 2):
        yield chr(data[i]), i, i + 2, data[i + 1]  # of half a pair, this fails


def pairs(parts: Any = parts_of_pairs) -> Any:
    like = Struct("a" / Default(Int8ub, None), "b" / Default(Int8ub, None))
    return Native(read_pairs, lambda value: b"", like=like, parts=parts)


def rows(message: Any, data: bytes) -> list[tuple[str, int, bytes, Any]]:
    found = dissect(Protocol("pairs", message, port=1), data).rows
    return [(row.path, row.offset // 8, row.data, row.value) for row in found if not row.nested]


@pytest.mark.parametrize(
    ("message", "data", "prefix", "at"),
    [
        (pairs(), b"a\1b\2", "", 0),
        (FlatStruct("n" / Int8ub, pairs()), b"\7a\1b\2", "", 1),
        (Struct("n" / Int8ub, "in" / pairs()), b"\7a\1b\2", "in.", 1),
        (Struct("n" / Int8ub, "in" / Prefixed(Int8ub, pairs())), b"\7\4a\1b\2", "in.", 2),
    ],
    ids=["all", "flat", "named", "prefixed"],
)
def test_its_parts_are_shown_where_they_are(
    message: Any, data: bytes, prefix: str, at: int
) -> None:
    assert [row for row in rows(message, data) if row[0] not in ("n", "")] == [
        (f"{prefix}a", at, b"a\1", 1), (f"{prefix}b", at + 2, b"b\2", 2),
    ]  # fmt: skip


def test_parts_of_what_cannot_be_read_are_shown_as_far_as_they_go() -> None:
    assert rows(FlatStruct("n" / Int8ub, pairs()), b"\7a\1b") == [
        ("n", 0, b"\7", 7), ("a", 1, b"a\1", 1), ("", 3, b"b", b"b"),
    ]  # fmt: skip


def test_nobody_asks_for_parts_but_to_show_them() -> None:
    codec = Codec(FlatStruct("n" / Int8ub, pairs(parts=lambda data, at: 1 / 0)))
    assert codec.decode(b"\7a\1") == {"n": 7, "a": 1}
