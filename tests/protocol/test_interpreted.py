import contextlib
from typing import Any

import pytest
from construct import (
    Adapter,
    Array,
    BitsInteger,
    BitStruct,
    Byte,
    Bytes,
    Check,
    Computed,
    Enum,
    ExprAdapter,
    FlagsEnum,
    GreedyRange,
    If,
    Int8ub,
    Int16ub,
    Int32ub,
    LazyBound,
    Optional,
    Pass,
    PrefixedArray,
    Rebuild,
    Select,
    Struct,
    Switch,
    len_,
    obj_,
    this,
)
from hypothesis import given
from hypothesis import strategies as st

from iotsim import Checksum, DecodeError, EncodeError, FlatStruct, crc16_ccitt
from iotsim.protocol.interpreted import Interpreter
from iotsim.protocol.places import EMPTY_ELEMENTS

MESSAGE = FlatStruct(
    "kind" / Enum(Byte, ONE=1, MANY=2),
    Switch(
        this.kind,
        {
            "ONE": Struct("value" / Int16ub),
            "MANY": Struct(
                "items" / PrefixedArray(Byte, Struct("x" / Byte * "an x", "y" / Int16ub))
            ),
        },
    ),
    "crc" / Checksum(Int16ub, crc16_ccitt),
)


def refused(call: Any, argument: Any) -> tuple[str, int | None]:
    with pytest.raises((DecodeError, EncodeError)) as caught:
        call(argument)
    return caught.value.path, getattr(caught.value, "offset", None)


def test_values_are_plain() -> None:
    engine = Interpreter(MESSAGE, strict=True)
    decoded = engine.decode(engine.encode({"kind": "MANY", "items": [{"x": 1, "y": 2}]}))
    assert [type(value) for value in decoded.values()] == [str, list, int]
    assert type(decoded["items"][0]) is dict
    assert "_io" not in str(decoded)


def test_flags_are_a_dict_and_unknown_enums_an_int() -> None:
    engine = Interpreter(Struct("f" / FlagsEnum(Byte, a=1, b=2), "e" / Enum(Byte, X=1)), True)
    assert engine.decode(b"\x02\x09") == {"f": {"a": False, "b": True}, "e": 9}
    assert engine.encode({"f": {"b": True}, "e": 9}) == b"\x02\x09"


@pytest.mark.parametrize(
    ("data", "path", "offset"),
    [
        ("", "kind", 0),
        ("01", "value", 1),
        ("01 0001", "crc", 3),
        ("01 0001 0000", "crc", 3),
        ("02 02 01 0002 03", "items.1.y", 6),
        ("07 00", "kind", 1),
    ],
)
def test_a_decode_error_has_path_and_offset(data: str, path: str, offset: int) -> None:
    assert refused(Interpreter(MESSAGE, True).decode, bytes.fromhex(data)) == (path, offset)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({}, "kind"),
        ({"kind": "NOPE"}, "kind"),
        ({"kind": 9}, "kind"),
        ({"kind": "ONE"}, "value"),
        ({"kind": "ONE", "value": 70000}, "value"),
        ({"kind": "ONE", "value": 1, "items": []}, "items"),
        ({"kind": "MANY", "items": [{"x": 1, "y": 2}, {"x": 1}]}, "items.1.y"),
        ({"kind": "MANY", "items": [{"x": 1, "y": 2, "z": 3}]}, "items.0.z"),
        ({"kind": "MANY", "items": 3}, "items"),
    ],
)
def test_an_encode_error_has_a_path(message: dict[str, Any], path: str) -> None:
    assert refused(Interpreter(MESSAGE, True).encode, message)[0] == path


def test_bits_are_placed_at_their_first_byte() -> None:
    schema = Struct(
        "a" / Byte, "b" / BitStruct("c" / BitsInteger(3), "d" / Enum(BitsInteger(5), X=1))
    )
    assert refused(Interpreter(schema, True).decode, b"\x01") == ("b", 1)
    assert refused(Interpreter(schema, True).encode, {"a": 1, "b": {"c": 9, "d": "X"}})[0] == "b.c"


def test_lambdas_that_fail_are_errors_with_a_path() -> None:
    schema = Struct("a" / Byte, "b" / Bytes(lambda context: context.nope))
    assert refused(Interpreter(schema, True).decode, b"\x01\x02") == ("b", 1)
    assert refused(Interpreter(schema, True).encode, {"a": 1, "b": b""})[0] == "b"
    assert (
        refused(Interpreter(Struct("a" / Byte, Check(this.a / 0 > 1)), True).decode, b"\x01")[0]
        == ""
    )


def test_trailing_bytes() -> None:
    schema = Struct("a" / Byte)
    with pytest.raises(DecodeError, match="2 bytes are left over") as caught:
        Interpreter(schema, True).decode(b"\x01\x02\x03")
    assert caught.value.offset == 1
    assert Interpreter(schema, False).decode(b"\x01\x02\x03") == {"a": 1}


def test_lax_passes_what_construct_passes() -> None:
    schema = Struct("kind" / Byte, "body" / Switch(this.kind, {1: Byte}))
    assert Interpreter(schema, False).decode(b"\x02") == {"kind": 2, "body": None}
    assert Interpreter(schema, False).encode({"kind": 2, "body": None, "more": 1}) == b"\x02"
    assert refused(Interpreter(schema, True).decode, b"\x02") == ("body", 1)
    explicit = Struct("kind" / Byte, "body" / Switch(this.kind, {1: Byte}, default=Int16ub))
    assert Interpreter(explicit, True).decode(b"\x02\x00\x03") == {"kind": 2, "body": 3}


def test_deep_input_is_refused() -> None:
    schema: Any = Struct("more" / Byte, "next" / Optional(LazyBound(lambda: schema)))
    deep: Any = Struct("next" / Select(LazyBound(lambda: deep), Pass))
    with pytest.raises(DecodeError):
        Interpreter(Struct("next" / LazyBound(lambda: deep_struct)), True).decode(b"")
    assert Interpreter(schema, True).decode(b"\x01")["more"] == 1


deep_struct: Any = Struct("next" / LazyBound(lambda: deep_struct))


def test_elements_of_no_bytes_do_not_repeat_for_ever() -> None:
    greedy = Struct("a" / GreedyRange(Computed(1)))
    with pytest.raises(DecodeError, match="repeat for ever"):
        Interpreter(greedy, False).decode(b"")
    counted = Struct("n" / Int32ub, "a" / Array(this.n, Pass))
    with pytest.raises(DecodeError, match=f"more than {EMPTY_ELEMENTS}"):
        Interpreter(counted, False).decode(b"\xff\xff\xff\xff")


def test_messages_are_not_changed() -> None:
    schema = Struct("n" / Rebuild(Byte, 5), "s" / Struct("a" / Byte))
    message = {"s": {"a": 1}}
    Interpreter(schema, True).encode(message)
    assert message == {"s": {"a": 1}}


def test_the_schema_is_not_changed() -> None:
    inner = Struct("a" / Int8ub)
    schema = Struct("s" / inner)
    Interpreter(schema, True)
    assert schema.build({"s": {"a": 1, "more": 2}}) == b"\x01"
    assert type(inner) is Struct


@given(st.binary(max_size=40))
def test_any_bytes(data: bytes) -> None:
    for strict in (False, True):
        with contextlib.suppress(DecodeError):
            Interpreter(MESSAGE, strict).decode(data)


class Where(Adapter):  # type: ignore[type-arg]
    """Shows the path that it is given."""

    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return path

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return len(path)


def test_adapters_are_given_construct_s_path_also_where_no_place_is_noted() -> None:
    schema = Struct(
        "n" / Int8ub,
        "a" / Struct("b" / Array(this._.n, Where(Int8ub)), "c" / Where(Int8ub)),
    )
    quick = Interpreter(schema, strict=True).quicker()
    parsed = quick.decode(b"\x01\x02\x03")
    assert parsed == quick.normalize(schema.parse(b"\x01\x02\x03"))
    assert parsed["a"]["c"] == "(parsing) -> a -> c"
    assert quick.encode(parsed) == schema.build(parsed)


@pytest.mark.parametrize(
    ("schema", "message", "told"),
    [
        (
            Struct("length" / Rebuild(Int8ub, len_(this.name)), "name" / Bytes(this.length)),
            {},
            "name: the message needs this field",
        ),
        (
            Struct(
                "h" / Struct("n" / Rebuild(Int8ub, len_(this._.name))), "name" / Bytes(this.h.n)
            ),
            {},
            "name: the message needs this field",
        ),
        (
            Struct("all" / Struct("n" / Rebuild(Int8ub, this.m), "m" / Int8ub)[1]),
            {"all": [{}]},
            "all.0.m: the message needs this field",
        ),
        (
            Struct("total" / Rebuild(Int8ub, lambda c: c["frist"]), "first" / Int8ub),
            {"first": 1},
            "total: there is no field 'frist'",
        ),
        (
            Struct("total" / Rebuild(Int8ub, lambda c: sum(c.parts)), "parts" / Int8ub[2]),
            {"parts": [200, 100]},
            "total: 300 does not fit into uint8",
        ),
        (
            Struct("k" / Int8ub, "x" / If(this.k, ExprAdapter(Int8ub, obj_ + 1, obj_ - 1))),
            {"k": 1},
            "x: the message needs this field",
        ),
        (Struct("x" / Int8ub), {"x": None}, "x: the message needs this field"),
    ],
)
def test_what_a_message_needs(schema: Any, message: dict[str, Any], told: str) -> None:
    with pytest.raises(EncodeError) as caught:
        Interpreter(schema, strict=True).encode(message)
    assert told in str(caught.value)
