"""The generated codec does what construct does: on bytes, on values, on what it refuses."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import construct as c
import pytest
from construct import len_, this
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotsim import Checksum, FlatStruct, Length, crc16_ccitt
from iotsim.errors import DecodeError, EncodeError
from iotsim.protocol.generate.compiler import Compiled, Compiler
from iotsim.protocol.interpreted import Interpreter
from iotsim.protocol.registry import load_protocol

if TYPE_CHECKING:
    from collections.abc import Callable

spec = importlib.util.spec_from_file_location("schemas", Path(__file__).with_name("schemas.py"))
assert spec is not None
assert spec.loader is not None
schemas = importlib.util.module_from_spec(spec)
spec.loader.exec_module(schemas)


class Both:
    """The generated functions without their safety net, and the reference."""

    def __init__(self, message: Any, strict: bool) -> None:
        self.reference = Interpreter(message, strict)
        compiler = Compiler(self.reference)
        self.decoder, self.encoder = compiler.decoder(), compiler.encoder()
        self.teller = compiler.teller(self.stop)
        for compiled in (self.decoder, self.encoder):
            if compiled.source:
                compiled.function.__globals__["by_construct"] = self.stop

    @staticmethod
    def stop(*_: Any) -> Any:
        raise LookupError

    @staticmethod
    def given_up(compiled: Compiled, expected: Any) -> Any:
        """What the generated code may leave to the reference: errors, and what it said it would."""
        return expected if "(message)" in compiled.fallbacks else None

    def decode(self, data: bytes) -> Any:
        try:
            expected: Any = self.reference.decode(data)
        except DecodeError:
            expected = None
        try:
            found: Any = self.decoder.function(data)
        except LookupError:
            found = self.given_up(self.decoder, expected)
        assert same(found, expected), (data, found, expected, self.decoder.source)
        return expected

    def encode(self, message: Any, must: bool = False) -> bytes | None:
        try:
            expected: Any = self.reference.encode(message)
        except EncodeError:
            expected = None
        try:
            found: Any = self.encoder.function(message)
        except LookupError:
            # What is odd, an int for Bytes, is left to construct. What was decoded is not odd.
            found = self.given_up(self.encoder, expected) if must else expected
        assert found == expected, (message, found, expected, self.encoder.source)
        self.tell(message, expected)
        return expected

    def tell(self, message: Any, data: bytes | None) -> None:
        """What is told of an encoded message is what decoding it gives."""
        try:
            told: Any = self.teller.function(message)
        except LookupError:
            return
        assert told[0] == data, (message, told, data, self.teller.source)
        try:
            decoded = self.reference.decode(told[0])
        except DecodeError:
            return
        assert same(told[1], decoded), (message, told, decoded, self.teller.source)


def same(a: Any, b: Any) -> bool:
    """Equal values of equal types, in equal order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
@pytest.mark.parametrize("strict", [False, True])
def test_random_schemas(strict: bool, data: st.DataObject) -> None:
    drawn = data.draw(schemas.structs())
    both = Both(drawn.node, strict)
    message = data.draw(drawn.values)
    encoded = both.encode(message)
    if encoded is not None:
        decoded = both.decode(encoded)
        if decoded is not None:
            both.encode(decoded, must=True)
        both.decode(encoded + b"\x00")
        both.decode(encoded[:-1])
        if encoded:
            index = data.draw(st.integers(0, len(encoded) - 1))
            byte = data.draw(st.integers(0, 255))
            both.decode(encoded[:index] + bytes([byte]) + encoded[index + 1 :])
    both.decode(data.draw(st.binary(max_size=24)))


CASES: list[tuple[Any, dict[str, Any]]] = [
    (c.Struct("a" / c.Int8ub, "b" / c.Int16ul, "d" / c.Int24sl), {"a": 1, "b": 2, "d": -3}),
    (c.Struct("n" / c.Rebuild(c.Int8ub, len_(this.x)), "x" / c.Int16ub[this.n]), {"x": [1, 2]}),
    (c.Struct("x" / c.Struct("i" / c.Computed(this._._index))[2]), {"x": [{}, {}]}),
    (
        c.Struct("h" / c.Struct("n" / c.Int8ub), "x" / c.Bytes(this.h.n)),
        {"h": {"n": 2}, "x": b"ab"},
    ),
    (c.Struct("n" / c.Int8ub, "s" / c.Struct("x" / c.Bytes(this._.n))), {"n": 1, "s": {"x": b"a"}}),
    (
        c.Struct("n" / c.Int8ub, "s" / c.Struct("x" / c.Bytes(this._root.n))),
        {"n": 1, "s": {"x": b"a"}},
    ),
    (c.Struct("n" / c.Int8ub, "x" / c.Bytes((this.n + 1) * 2 - this.n % 2)), {"n": 1, "x": b"abc"}),
    (
        c.Struct("n" / c.Int8ub, "x" / c.If((this.n > 1) & ~(this.n == 3), c.Int8ub)),
        {"n": 2, "x": 1},
    ),
    (c.Struct("s" / c.PaddedString(6, "utf16"), "t" / c.CString("utf16")), {"s": "ab", "t": "c"}),
    (c.Struct("s" / c.GreedyString("utf8")), {"s": "\N{SNOWMAN}"}),
    (
        c.Struct(
            "x" / c.GreedyRange(c.Struct("t" / c.Int8ub, "v" / c.PascalString(c.Int8ub, "ascii")))
        ),
        {"x": [{"t": 1, "v": "a"}, {"t": 2, "v": ""}]},
    ),
    (c.Prefixed(c.Int16ub, c.Struct("a" / c.Int8ub)), {"a": 1}),
    (
        c.Struct("e" / c.Enum(c.Int16ul, A=1, B=2), "m" / c.Mapping(c.Int8sb, {"x": -1})),
        {"e": "B", "m": "x"},
    ),
    (c.Struct("f" / c.FlagsEnum(c.Int16ub, a=1, b=0x8000)), {"f": {"a": False, "b": True}}),
    (c.BitStruct("a" / c.BitsInteger(12, signed=True), "b" / c.Nibble, "d" / c.Flag[8]), {}),
    (c.Struct("q" / c.Sequence(c.Int8ub, "n" / c.Int8ub, c.Bytes(this.n))), {"q": [1, 2, b"ab"]}),
    (c.Struct("o" / c.Optional(c.Int32ub), "r" / c.GreedyBytes), {"o": None, "r": b"ab"}),
    (
        c.Struct("x" / c.Aligned(4, c.Bytes(3)), "y" / c.Padded(3, c.VarInt)),
        {"x": b"abc", "y": 300},
    ),
    (
        c.Struct("a" / c.Int8ub, "b" / c.FixedSized(4, c.PascalString(c.Int8ub, "utf8"))),
        {"a": 1, "b": "ab"},
    ),
    (
        FlatStruct("t" / c.Tell, "n" / Length(c.Int8ub, of="message"), "b" / c.GreedyBytes),
        {"b": b"xyz"},
    ),
    (c.Struct("a" / c.Int8ub, c.Check(this.a < 5), c.Terminated), {"a": 3}),
    (c.Struct("a" / c.Hex(c.Int16ub), "b" / c.HexDump(c.Bytes(2))), {"a": 1, "b": b"xy"}),
    (
        c.Struct("f" / c.Float16b, "g" / c.Float64l, "h" / c.Int64sb),
        {"f": 0.5, "g": 1e300, "h": -1},
    ),
]


@pytest.mark.parametrize(("schema", "message"), CASES)
def test_nodes(schema: Any, message: dict[str, Any]) -> None:
    for strict in (False, True):
        both = Both(schema, strict)
        data = both.encode(message)
        if message:
            assert data is not None
        if data is not None:
            decoded = both.decode(data)
            assert both.encode(decoded, must=True) == data
            for end in range(len(data)):
                both.decode(data[:end])
            both.decode(data + b"\x00")


def test_each_kind_of_message_is_one_struct() -> None:
    kinds = {"A": c.Struct("x" / c.Int8ub), "B": c.Struct("y" / c.Float32b)}
    schema = FlatStruct(
        "kind" / c.Enum(c.Int8ub, A=1, B=2),
        "length" / Length(c.Int8ub),
        c.Switch(this.kind, kinds),
        "crc" / Checksum(c.Int16ub, crc16_ccitt),
    )
    both = Both(schema, strict=True)
    source = both.decoder.source + both.encoder.source
    assert "UNPACK_1 = Struct('>1xBBH').unpack" in source
    assert "UNPACK_2 = Struct('>1xBfH').unpack" in source
    assert "if kind == 1:" in source
    assert r"b'\x01\x03'" in source  # kind and length of A, as constants


def test_fields_may_be_called_anything() -> None:
    names = [
        "pack",
        "enter",
        "names",
        "NAMES_1",
        "data",
        "message",
        "crc_hqx",
        "Mismatch",
        "p",
        "class",
    ]
    names += ["unpack_from", "self", "this", "a b", "1", "Unusual", "len", "int", "native", "é"]
    members = [name / c.Enum(c.Int8ub, X=1) for name in names]
    varying = [f"{name}_1" / c.PascalString(c.Int8ub, "utf8") for name in names]
    both = Both(c.Struct(*members, *varying, "crc" / Checksum(c.Int16ub, crc16_ccitt)), strict=True)
    message = dict.fromkeys(names, "X") | {f"{name}_1": "x" for name in names}
    data = both.encode(message, must=True)
    assert data is not None
    assert both.decode(data) is not None


def test_an_if_on_the_kind_is_decided_too() -> None:
    schema = c.Struct("k" / c.Int8ub, "v" / c.If(this.k == 2, c.Int16ub), "w" / c.Int8ub)
    both = Both(schema, strict=True)
    assert "Struct('>1xHB').unpack" in both.decoder.source
    assert both.decode(b"\x02\x00\x03\x04") == {"k": 2, "v": 3, "w": 4}
    assert both.decode(b"\x07\x04") == {"k": 7, "v": None, "w": 4}
    assert both.encode({"k": True, "v": None, "w": 1}) == b"\x01\x01"


@pytest.mark.parametrize("name", ["sensornet", "sntp"])
@given(data=st.data())
def test_bundled_protocols(name: str, data: st.DataObject) -> None:
    vectors, engines = BUNDLED[name]
    both = data.draw(st.sampled_from(engines))
    raw = data.draw(st.sampled_from([vector.data for vector in vectors]))
    index = data.draw(st.integers(0, len(raw) - 1))
    both.decode(raw[:index] + data.draw(st.binary(max_size=3)) + raw[index:])
    both.decode(raw[:index] + bytes([data.draw(st.integers(0, 255))]) + raw[index + 1 :])
    both.decode(data.draw(st.binary(max_size=40)))
    message = dict(data.draw(st.sampled_from([vector.fields for vector in vectors])))
    field = data.draw(st.sampled_from([*message, "nonesuch"]))
    other: Any = st.one_of(
        st.integers(), st.floats(), st.text(), st.binary(), st.none(), st.booleans()
    )
    message[field] = data.draw(
        other | st.sampled_from([{}, [], {"quality": "BAD"}, "REPORT", "ACK"])
    )
    both.encode(message)


def bundled(name: str) -> Any:
    loaded = load_protocol(name)
    return loaded.vectors, [Both(loaded.protocol.message, strict) for strict in (False, True)]


BUNDLED = {name: bundled(name) for name in ("sensornet", "sntp")}


@pytest.mark.parametrize(
    "place",
    [
        lambda hooked: c.Struct("a" / hooked),
        lambda hooked: c.Struct("a" / c.Struct("b" / hooked)[1]),
        lambda hooked: FlatStruct(c.Struct("a" / hooked)),
        lambda hooked: c.Struct("a" / c.IfThenElse(this._parsing, hooked, hooked)),
    ],
)
def test_a_hook_of_the_schema_is_called(place: Callable[[Any], Any]) -> None:
    heard: list[Any] = []
    message = place(c.Int8ub * (lambda value, context: heard.append(value)))
    reference = Interpreter(message, strict=True)
    expected = reference.decode(b"\x07")
    by_construct = [*heard]
    heard.clear()
    assert Compiler(reference).decoder().function(b"\x07") == expected
    assert heard == by_construct != []
