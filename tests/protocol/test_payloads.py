"""Json, Cbor, Payload and Text: what they decode, encode and refuse, alone and within schemas."""

from __future__ import annotations

import contextlib
import json
import math
import time
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from construct import (
    Array,
    BitsInteger,
    BitStruct,
    Bytes,
    Bytewise,
    Computed,
    Const,
    Container,
    Default,
    ExprAdapter,
    FixedSized,
    GreedyBytes,
    GreedyRange,
    If,
    Int8ub,
    Int16ub,
    LazyStruct,
    Mapping,
    NullStripped,
    NullTerminated,
    Optional,
    Padded,
    Prefixed,
    PrefixedArray,
    RawCopy,
    Select,
    Sequence,
    Struct,
    Switch,
    Union,
    this,
)
from hypothesis import given
from hypothesis import strategies as st

from iotsim import (
    Cbor,
    DecodeError,
    EncodeError,
    Json,
    Payload,
    Protocol,
    ProtocolError,
    Text,
    Wrapped,
)
from iotsim.protocol.codec import Codec
from iotsim.protocol.dissection import dissect
from iotsim.protocol.examine import field_rows
from iotsim.protocol.fields import Schema
from iotsim.protocol.interpreted import Interpreter
from iotsim.protocol.payloads import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable

JSON, CBOR, PAYLOAD = Json(), Cbor(), Payload()

# -- JSON -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"method":"getPilot","params":{}}', {"method": "getPilot", "params": {}}),
        (b'{"b":1,"a":2}', {"b": 1, "a": 2}),
        (b"[]", []),
        (b'""', ""),
        (b"null", None),
        (b"true", True),
        (b"-1", -1),
        (b"1.0", 1.0),
        (b"-0.0", -0.0),
        (b"18446744073709551616", 1 << 64),
        (b"-9223372036854775809", -(1 << 63) - 1),
        (b"9" * 4300, int("9" * 4300)),
        ('"é\u2028/\x7f😀"'.encode(), "é\u2028/\x7f😀"),
        (b'"\\u0000\\n\\"\\\\"', '\0\n"\\'),
        (b'{"_id":1,"_io":2,"":3,"a.b":4}', {"_id": 1, "_io": 2, "": 3, "a.b": 4}),
    ],
)
def test_json_is_compact_and_keeps_its_order(data: bytes, value: Any) -> None:
    assert repr(JSON.parse(data)) == repr(value)
    assert JSON.build(value) == data


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b' {\n"a" :\t1 }\r\n', {"a": 1}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'"\\ud83d\\ude00\\u00e9\\/"', "😀é/"),
        (b"1E2", 100.0),
        (b"-0", 0),
        (b"1e-400", 0.0),
        (b"0." + b"1" * 5000, 0.1111111111111111),
    ],
)
def test_json_is_read_however_it_is_written(data: bytes, value: Any) -> None:
    assert repr(JSON.parse(data)) == repr(value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no bytes"),
        (b" \n", "no bytes"),
        (b'{"a":', "ends too early"),
        (b'"\\ud800"', "half of a surrogate pair"),
        (b"{'a':1}", "malformed"),
        (b'{"a":1,}', "trailing comma"),
        (b"{a:1}", "malformed"),
        (b"01", "invalid number"),
        (b'{"a":1} {', "trailing characters"),
        (b"{}\0", "trailing characters"),
        (b"\xef\xbb\xbf{}", "malformed"),
        (b"NaN", "malformed"),
        (b"-Infinity", "malformed"),
        (b"1e400", "out of range"),
        (b"9" * 4301, "out of range"),
        (b'"\xff"', "no UTF-8"),
        (b'"\xed\xa0\x80"', "no UTF-8"),
        (b'"\n"', "malformed"),
        (b"[" * 65 + b"]" * 65, "nested too deeply"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested too deeply"),
        (b"[" * 65_507, "nested too deeply|too early"),
    ],
)
def test_what_is_no_json_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        JSON.parse(data)


def test_brackets_in_texts_nest_nothing() -> None:
    assert JSON.parse(b'"' + b"[" * 1000 + b'"') == "[" * 1000
    assert JSON.parse(b"[" * 64 + b"]" * 64)
    assert JSON.parse(b"[" + b"[],{}," * 1000 + b"0]")


@pytest.mark.parametrize(
    ("value", "reason", "path"),
    [
        (b"\x00", "JSON has no bytes", ""),
        ({"a": [0, b"\x00"]}, "JSON has no bytes", "a.1"),
        ({"a": {"b": math.nan}}, "JSON has no nan", "a.b"),
        ([-math.inf], "JSON has no -inf", "0"),
        ({"a": 10**4300}, "more than 4300 digits", "a"),
        ({"a": ["\ud800"]}, "UTF-8", "a.0"),
        ({"\ud800": 1}, "UTF-8", ""),
        ({"a": {1: 2}}, "a name in JSON is a text, not 1", "a"),
        ({"a": {1}}, "JSON has no set", "a"),
        ({"a": 1j}, "JSON has no complex", "a"),
    ],
)
def test_what_json_has_not_is_refused_with_its_path(value: Any, reason: str, path: str) -> None:
    codec = Codec(Struct("body" / JSON))
    with pytest.raises(EncodeError, match=reason) as caught:
        codec.encode({"body": value})
    assert caught.value.path == f"body.{path}".removesuffix(".")


def test_what_is_too_deep_to_be_read_is_not_written() -> None:
    deep: Any = 0
    for _ in range(64):
        deep = {"a": deep}
    assert JSON.parse(JSON.build(deep)) == deep
    endless: list[Any] = []
    endless.append(endless)
    for value in ([deep], endless, (deep,)):
        with pytest.raises(PayloadError, match="nested too deeply"):
            JSON.build(value)


def test_values_of_schemas_and_of_python_are_written_as_what_they_are_at_heart() -> None:
    class Number(int):
        pass

    value = Container(a=(Number(1), Container(b=True)), c=None)
    assert JSON.build(value) == b'{"a":[1,{"b":true}],"c":null}'


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_json_comes_back_and_is_what_others_read(value: Any) -> None:
    data = JSON.build(value)
    assert repr(JSON.parse(data)) == repr(value)
    assert repr(json.loads(data)) == repr(value)
    assert repr(JSON.parse(json.dumps(value).encode())) == repr(value)


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_json_that_can_be_written_or_are_refused(data: bytes) -> None:
    try:
        value = JSON.parse(data)
    except PayloadError:
        return
    assert JSON.parse(JSON.build(value)) == value


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 65_507,
        b'{"a":' * 13_000,
        b"[" + b"[]," * 21_000 + b"0]",
        b"9" * 65_507,
        b'{"' + b'a":0,"' * 10_000 + b'":0}',
        b'"' + b"\\u0000" * 10_000 + b'"',
    ],
)
def test_no_datagram_takes_long(data: bytes) -> None:
    start = time.process_time()
    for construct in (JSON, CBOR, PAYLOAD):
        with contextlib.suppress(PayloadError):
            construct.build(construct.parse(data))
    assert time.process_time() - start < 1


# -- CBOR (more in test_cbor.py) --------------------------------------------------------------------


def test_cbor_as_a_construct() -> None:
    data = bytes.fromhex("a2 6164 6568656c6c6f 20 c1 00")
    value = {"d": "hello", "-1": {"tag(1)": 0}}
    assert CBOR.parse(data) == value
    assert CBOR.build(value) == data
    with pytest.raises(PayloadError, match=r"no CBOR: it ends too early"):
        CBOR.parse(data[:-1])


def test_what_cbor_has_not_is_refused_with_its_path() -> None:
    codec = Codec(Struct("body" / CBOR))
    with pytest.raises(EncodeError, match="CBOR has no set") as caught:
        codec.encode({"body": {"a": [0, {1}]}})
    assert caught.value.path == "body.a.1"


# -- text -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", ""),
        (b"hello\tworld\r\n", "hello\tworld\r\n"),
        ("21.5 °C".encode(), "21.5 °C"),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"\x00\x01", b"\x00\x01"),
        (b"a\x7f", b"a\x7f"),
        (b"a\x00", b"a\x00"),
        (b"\xed\xa0\x80", b"\xed\xa0\x80"),
    ],
)
def test_a_payload_is_text_where_it_is_such(data: bytes, value: str | bytes) -> None:
    assert PAYLOAD.parse(data) == value
    assert PAYLOAD.build(value) == data


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (21, b"21"),
        (21.5, b"21.5"),
        (20.0, b"20.0"),
        (-1e300, b"-1e+300"),
        (True, b"true"),
        (False, b"false"),
        (bytearray(b"\x00"), b"\x00"),
        (b"hi", b"hi"),
    ],
)
def test_a_number_is_written_as_its_text(value: Any, data: bytes) -> None:
    assert PAYLOAD.build(value) == data


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, "\ud800", object()])
def test_a_payload_is_nothing_else(value: Any) -> None:
    with pytest.raises(PayloadError):
        PAYLOAD.build(value)


@given(st.binary() | st.text())
def test_a_payload_comes_back(value: str | bytes) -> None:
    data = value.encode() if isinstance(value, str) else value
    assert PAYLOAD.build(PAYLOAD.parse(data)) == data


@pytest.mark.parametrize(
    ("size", "encoding", "text", "data"),
    [
        (8, "utf-16-le", "añ", b"a\0\xf1\0\0\0\0\0"),
        (4, "utf-16-be", "añ", b"\0a\0\xf1"),
        (6, "gbk", "温度", b"\xce\xc2\xb6\xc8\0\0"),
        (4, "cp437", "é", b"\x82\0\0\0"),
        (4, "latin-1", "", b"\0\0\0\0"),
        (8, "utf-32-le", "😀", b"\x00\xf6\x01\x00\0\0\0\0"),
        (4, "ascii", "a\0b", b"a\0b\0"),
        (4, "utf-8", "é", b"\xc3\xa9\0\0"),
    ],
)
def test_a_text_is_filled_up_with_zeros(size: int, encoding: str, text: str, data: bytes) -> None:
    construct = Text(size, encoding)
    assert construct.build(text) == data
    assert construct.parse(data) == text
    assert construct.sizeof() == size


@pytest.mark.parametrize(
    ("size", "encoding", "value", "reason"),
    [
        (3, "gbk", "温度", "takes 4 bytes, of 3"),
        (4, "utf-16-le", "abc", "takes 6 bytes, of 4"),
        (4, "ascii", "é", "has no form in ascii"),
        (4, "ascii", b"a", "a text, not bytes"),
        (4, "ascii", 1, "a text, not int"),
    ],
)
def test_what_does_not_fit_a_text_is_an_error(
    size: int, encoding: str, value: Any, reason: str
) -> None:
    with pytest.raises(PayloadError, match=reason):
        Text(size, encoding).build(value)


@pytest.mark.parametrize(
    ("size", "encoding", "data"),
    [(2, "ascii", b"\xff\0"), (2, "utf-16-le", b"\0\xd8"), (2, "gbk", b"\xff\xff")],
)
def test_bytes_that_are_no_text_are_an_error(size: int, encoding: str, data: bytes) -> None:
    with pytest.raises(PayloadError, match=f"no {encoding} text"):
        Text(size, encoding).parse(data)


@pytest.mark.parametrize(
    ("size", "encoding", "reason"),
    [
        (4, "utf-16", "byte order"),
        (4, "utf-8-sig", "byte order"),
        (4, "hex", "no encoding of texts"),
        (4, "klingon", "no encoding of texts"),
        (4, None, "no encoding of texts"),
        (3, "utf-16-le", "no multiple of 2"),
        (0, "ascii", "no multiple of 1"),
        (this.n, "ascii", "no multiple of 1"),
    ],
)
def test_a_text_that_cannot_be_is_refused_when_it_is_declared(
    size: Any, encoding: Any, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Text(size, encoding)


# -- within schemas: the generated codec and construct do the same --------------------------------

SCHEMAS = {
    "up to the end": (
        Struct("n" / Int8ub, "body" / JSON),
        [{"n": 1, "body": {"_a": [{"_b": 1}], "_io": 2}}, {"n": 1, "body": None}],
    ),
    "of CBOR": (
        Struct("n" / Int8ub, "body" / CBOR),
        [{"n": 1, "body": {"_a": {"tag(1)": b"\x00"}, "-1": [None]}}],
    ),
    "of a length": (
        Struct("a" / Prefixed(Int16ub, JSON), "b" / FixedSized(9, PAYLOAD), "c" / PAYLOAD),
        [{"a": {"x": 1}, "b": "123456789", "c": b"\x00"}],
    ),
    "fixed texts": (
        Struct("a" / Text(4, "gbk"), "n" / Int8ub, "b" / Text(4, "utf-16-le")),
        [{"a": "温", "n": 1, "b": "é"}],
    ),
    "a default": (
        Struct("n" / Int8ub, "body" / Default(JSON, {"a": 1})),
        [{"n": 1, "body": {"a": 1}}, {"n": 1, "body": []}],
    ),
    "a kind inside": (
        Struct(
            "head" / Prefixed(Int8ub, JSON),
            "value" / Switch(this.head.kind, {"byte": Int8ub, "word": Int16ub}),
            "more" / If(this.head.kind == "byte", Int8ub),
            "kind" / Computed(this.head.kind),
        ),
        [
            {"head": {"kind": "byte", "_x": 1}, "value": 1, "more": 3, "kind": "byte"},
            {"head": {"kind": "word"}, "value": 1, "more": None, "kind": "word"},
        ],
    ),
    "alternatives": (
        Struct("body" / Select(JSON, PAYLOAD)),
        [{"body": {"a": 1}}, {"body": "{"}, {"body": b"\x00"}],
    ),
    "perhaps": (Struct("body" / Optional(JSON)), [{"body": {"a": 1}}, {"body": None}]),
    "a list": (
        Struct("bodies" / GreedyRange(Prefixed(Int8ub, JSON))),
        [{"bodies": [{"a": 1}, {"_b": 2}]}],
    ),
    "the message": (JSON, [{"id": 1, "_x": {"_y": 2}}, {}]),
    "the message in CBOR": (CBOR, [{"1": 2, "_x": b"\x00"}]),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_both_engines_do_the_same_without_construct(name: str) -> None:
    schema, messages = SCHEMAS[name]
    codec, reference = Codec(schema), Interpreter(schema, strict=True)
    assert codec.fallbacks == {}
    for message in messages:
        data = reference.encode(message)
        assert codec.encode(message) == data
        assert codec.decode(data) == message == reference.decode(data)
        assert codec.tell(message) == (data, message)


@pytest.mark.parametrize("name", SCHEMAS)
def test_both_engines_refuse_the_same(name: str) -> None:
    schema, messages = SCHEMAS[name]
    codec, reference = Codec(schema), Interpreter(schema, strict=True)
    for message in messages:
        data = reference.encode(message)
        for broken in (data[:-1], data + b"\xff", b"\xff" + data[1:], data.replace(b'"', b"'")):
            outcomes = []
            for engine in (codec, reference):
                try:
                    outcomes.append(repr(engine.decode(broken)))  # type: ignore[attr-defined]
                except DecodeError as error:
                    outcomes.append(str(error))
            assert outcomes[0] == outcomes[1]


SURROUNDINGS = {
    "up to a zero": Struct("a" / NullTerminated(Json()), "b" / Int8ub),
    "filled up with zeros": Struct("a" / FixedSized(12, NullStripped(Json())), "b" / Int8ub),
    "of a size that is told": Struct("n" / Int8ub, "a" / FixedSized(this.n, Cbor())),
    "padded": Struct("a" / Padded(12, Json())),
    "raw": Struct("a" / RawCopy(Prefixed(Int8ub, Json())), "b" / Int8ub),
    "in an array": Struct("a" / Array(2, Prefixed(Int8ub, Payload()))),
    "counted": Struct("a" / PrefixedArray(Int8ub, Text(4, "utf-16-le"))),
    "constant": Struct("a" / Const("ab", Text(4, "ascii")), "b" / Int8ub),
    "mapped": Struct("a" / Mapping(Text(2, "ascii"), {"x": "ab"}), "b" / Int8ub),
    "optional": Struct("a" / Optional(Prefixed(Int8ub, Json())), "b" / GreedyBytes),
    "selected": Struct(
        "a" / Select(*(Prefixed(Int8ub, one) for one in (Cbor(), Json(), Payload()))), "b" / Int8ub
    ),
    "adapted": Struct(
        "a" / ExprAdapter(Prefixed(Int8ub, Json()), lambda v, _: {"x": v}, lambda v, _: v["x"])
    ),
    "looked at": Struct(
        "a" / Prefixed(Int8ub, Json()), "m" / Computed(this.a["m"]), "k" / Computed(lambda c: c.a)
    ),
    "a key": Struct(
        "t" / Text(2, "ascii"),
        "v" / Switch(this.t, {"a": Int8ub, "bb": Json()}, default=Payload()),
    ),
    "among bits": BitStruct("a" / BitsInteger(8), "j" / Bytewise(Json())),
    "in a union": Struct("u" / Union(0, "j" / Prefixed(Int8ub, Json()), "b" / Bytes(3))),
    "lazy": LazyStruct("n" / Int8ub, "j" / Prefixed(Int8ub, Json())),
    "wrapped": Struct("w" / Wrapped(lambda d: d[::-1], lambda d: d[::-1], Json())),
    "in a sequence": Struct("x" / Sequence(Int8ub, Prefixed(Int8ub, Json()))),
}
BODIES = (
    *(b"{}", b"[]", b'{"m":1}', b'{"l":[1,2]}', b'"ab"', b"1", b"null", b'{"_x":{"_y":1}}'),
    *(b"\xa1\x01\x02", b"\x01", b"{", b"", b"\xff", b"ab", b"a\0\0\0"),
)


def _datagram(random: Random) -> bytes:
    data = b""
    for _ in range(random.randrange(1, 5)):
        body = random.choice(BODIES)
        data += random.choice(
            (bytes([len(body)]) + body, body + bytes(random.randrange(3)), body[::-1], b"\x02ab")
        )
    return data


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_in_any_surroundings_both_engines_do_the_same(name: str) -> None:
    schema, random = SURROUNDINGS[name], Random(name)
    codec, reference = Codec(schema), Interpreter(schema, strict=True)
    for _ in range(300):
        data = _datagram(random)
        decoded = _outcome(codec.decode, data)
        assert decoded == _outcome(reference.decode, data)
        if isinstance(decoded, Outcome):
            encoded = _outcome(codec.encode, decoded.value)
            assert encoded == _outcome(reference.encode, decoded.value)
            assert isinstance(encoded, Outcome)
            told = codec.tell(decoded.value)
            assert repr(told) == repr((encoded.value, codec.decode(encoded.value)))


class Outcome(NamedTuple):
    value: Any
    text: str


def _outcome(function: Callable[[Any], Any], argument: Any) -> Outcome | str:
    """The value, told apart from all others that look different; or the error."""
    try:
        value = function(argument)
    except (DecodeError, EncodeError) as error:
        return str(error)
    return Outcome(value, repr(value))


def test_errors_say_where() -> None:
    codec = Codec(Struct("n" / Int8ub, "body" / Prefixed(Int8ub, JSON)))
    with pytest.raises(DecodeError) as decoding:
        codec.decode(b"\x01\x02{]")
    assert (decoding.value.path, decoding.value.offset) == ("body", 1)
    with pytest.raises(EncodeError) as encoding:
        codec.encode({"n": 1, "body": {"a": [1, b""]}})
    assert encoding.value.path == "body.a.1"


def test_an_adapters_table_keeps_its_names_but_no_stream() -> None:
    from construct import Adapter

    class Copied(Adapter):  # type: ignore[type-arg]
        def _decode(self, obj: Any, context: Any, path: str) -> Any:
            return {**obj, "_own": 1}

        def _encode(self, obj: Any, context: Any, path: str) -> Any:
            return {name: value for name, value in obj.items() if name != "_own"}

    codec = Codec(Struct("body" / Copied(Struct("a" / Int8ub))))
    assert codec.decode(b"\x05") == {"body": {"a": 5, "_own": 1}}
    assert codec.encode({"body": {"a": 5, "_own": 1}}) == b"\x05"


# -- the message itself -----------------------------------------------------------------------------


def test_a_message_may_be_free_as_a_whole() -> None:
    protocol = Protocol(
        name="free", message=Json(), port=7, echo=["id", "a.b"], summary="{method} {params.x}"
    )
    assert protocol.schema.free
    field = protocol.schema.find("result.list.0.name")
    assert field is not None
    assert (field.kind, field.optional) == ("any", True)
    assert protocol.codec.odd_fields == ()
    assert protocol.codec.fallbacks == {}
    assert protocol.summarize({"method": "set", "params": {"x": 1}}) == "set 1"
    with pytest.raises(DecodeError, match="no struct, but list"):
        protocol.codec.decode(b"[1]")


def test_a_free_message_in_cbor_may_hold_what_json_has_no_form_for() -> None:
    assert Codec(Cbor()).odd_fields is None
    assert Codec(Struct("a" / Json(), "b" / Cbor(), "c" / Payload())).odd_fields == ("b", "c")


@pytest.mark.parametrize("message", [Payload(), Text(4, "ascii"), Int8ub, GreedyRange(Json())])
def test_a_message_without_fields_is_refused(message: Any) -> None:
    with pytest.raises(ProtocolError, match="no fields"):
        Protocol(name="none", message=message, port=7)


def test_people_see_a_free_message_as_a_whole() -> None:
    protocol = Protocol(name="free", message=Json(), port=7)
    assert [row.path for row in field_rows(protocol.schema)] == ["(any)"]
    found = dissect(protocol, b'{"a":1}')
    assert [(row.offset, row.size, row.path, row.value) for row in found.rows] == [
        (0, 56, "(message)", {"a": 1})
    ]
    broken = dissect(protocol, b'{"a":')
    assert [row.path for row in broken.rows] == [""]
    assert broken.error is not None


def test_a_vector_may_have_the_number_that_a_payload_is() -> None:
    field = Schema(Struct("a" / Payload())).fields["a"]
    assert [field.round(value) for value in (21.5, True, b"hi", b"\x00", [1])] == [
        "21.5",
        "true",
        "hi",
        b"\x00",
        [1],
    ]


def test_kinds_of_fields() -> None:
    schema = Protocol(
        name="kinds",
        message=Struct("a" / Json(), "b" / Cbor(), "c" / Text(4, "gbk"), "d" / Payload()),
        port=7,
    ).schema
    assert [(f.kind, f.wire) for f in schema.fields.values()] == [
        ("any", "JSON"),
        ("any", "CBOR"),
        ("string", "gbk text, 4 bytes"),
        ("payload", "text or bytes"),
    ]
    assert schema.find("a.x.y") is not None
    assert schema.find("d.x") is None
