"""What functions see: construct's own values, not the plain ones of the message."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.law.law import Law, agree
from tests.protocol.law.oracle import REFUSED
from tests.protocol.law.source import load

from iotsim.protocol.codec import Codec

TUPLES = [
    "Struct('v' / Pair(Int8ub), 'x' / If(this.v == (1, 0), Int8ub))",
    (
        "Struct('v' / ExprAdapter(Int8ub, lambda o, c: (o >> 4, o & 15), lambda o, c: o[0] << 4 | o[1]),"
        " 'x' / If(lambda c: c.v == (1, 0), Int8ub))"
    ),
    "Struct('v' / Pair(Int8ub), 'x' / Switch(this.v, {(1, 0): Int8ub}, Pass))",
    "Struct('h' / Struct('v' / Pair(Int8ub)), 'x' / If(this.h.v == (1, 0), Int8ub))",
]


@pytest.mark.parametrize("source", TUPLES)
def test_a_tuple_stays_one_on_decode(source: str) -> None:
    for strict in (False, True):
        message = Codec(load(source), strict).decode(b"\x10\7")
        assert message["x"] == 7
        assert message.get("v", [1, 0]) == [1, 0]


@pytest.mark.parametrize("source", TUPLES)
def test_a_tuple_is_one_again_on_encode(source: str) -> None:
    for strict in (False, True):
        codec = Codec(load(source), strict)
        assert codec.encode(codec.decode(b"\x10\7")) == b"\x10\7"
        assert codec.encode(codec.decode(b"\x20")) == b"\x20"


ENUMS = [
    (
        "Struct('x' / GreedyRange(Struct('h' / Struct('t' / Enum(Int8ub, A=1, B=2)), "
        "'d' / Bytes(lambda c: int(c.h.t)))))"
    ),
    "Struct('t' / Enum(Int8ub, A=1, B=2), 'd' / Bytes(lambda c: c.t.intvalue))",
    "Struct('t' / Enum(Int8ub, A=1, B=2), 's' / Struct('d' / Bytes(lambda c: int(c._.t))))",
    "Struct('t' / Enum(Int8ub, A=1, B=2), 'd' / Bytes(lambda c: {'A': 1, 'B': 2}[c.t]))",
    "Struct('t' / Enum(Int8ub, A=1, B=2), 'x' / Array(lambda c: c.t.intvalue, Int8ub))",
    (
        "FlatStruct('t' / Enum(Int8ub, A=1, B=2), Switch(this.t, {'B': Struct('d' / Bytes(lambda c: "
        "int(c._.t)))}, Pass))"
    ),
    "Struct('t' / Default(Enum(Int8ub, A=1, B=2), 'B'), 'd' / Bytes(lambda c: int(c.t)))",
    "BitStruct('t' / Enum(BitsInteger(8), A=1, B=2), 'd' / Bytewise(Bytes(lambda c: int(c.t))))",
]


@pytest.mark.parametrize("source", ENUMS)
def test_an_enums_number(source: str) -> None:
    agree(source, [b"\2ab"])


def test_an_enums_number_in_a_list_of_several() -> None:
    agree(ENUMS[0], [b"\2ab\1c", b"", b"\0"])


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("Struct('t' / Enum(Int8ub, A=1), 'd' / Bytes(lambda c: int(c.t)))", b"\2ab"),
        ("Struct('t' / Enum(Int8ub, A=1), 'd' / Bytes(this.t))", b"\2ab"),
        ("Struct('t' / Enum(Int8ub, A=1), 'd' / If(this.t == 2, Int8ub))", b"\2a"),
        (("Struct('t' / Enum(Int8ub, A=1), 'd' / If(lambda c: type(c.t).__name__ == 'EnumInteger', "
         "Int8ub))"), b"\2a"),
    ],
)  # fmt: skip
def test_a_number_that_an_enum_does_not_name(source: str, data: bytes) -> None:
    agree(source, [data])


ALIASES = [
    "Struct('t' / Enum(Int8ub, OLD=1, NEW=1), 'd' / If(this.t == 'NEW', Int8ub))",
    "Struct('t' / Enum(Int8ub, OLD=1, NEW=1), 'd' / Switch(this.t, {'NEW': Int8ub}, Pass))",
    "FlatStruct('t' / Enum(Int8ub, OLD=1, NEW=1), Switch(this.t, {'NEW': Struct('d' / Int8ub)}, Pass))",
]


@pytest.mark.parametrize("source", ALIASES)
def test_two_names_of_one_number(source: str) -> None:
    agree(source, [b"\1\7", {"t": "NEW", "d": 7}])


COPIES = [
    ("Struct('h' / RawCopy(Struct('n' / Int8ub)), 'b' / Bytes(this.h.value.n))", b"\2ab"),
    ("Struct('h' / RawCopy(Enum(Int8ub, A=1, B=2)), 'b' / Bytes(lambda c: c.h.value.intvalue))",
     b"\2ab"),
    ("Struct('h' / RawCopy(Int16ub), 'c' / Checksum(Int8ub, lambda d: sum(d) % 256, this.h.data))",
     b"\1\2\3"),
    ("Struct('h' / RawCopy(Bytes(2)), 'n' / If(this.h.length == 2, Int8ub))", b"ab\3"),
    ("Struct('z' / Int8ub, 'h' / RawCopy(Bytes(2)), 'n' / If(this.h.offset1 == 1, Int8ub))",
     b"zab\3"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data"), COPIES)
def test_raw_copies(source: str, data: bytes) -> None:
    agree(source, [data])


def test_hidden_members_of_a_raw_copy() -> None:
    source = "Struct('h' / RawCopy(Struct('_n' / Rebuild(Int8ub, 2), 'k' / Int8ub)), "
    source += "'b' / Optional(Bytes(this.h.value._n)))"
    for strict in (False, True):
        law = Law(source, strict)
        assert law.decode(b"\2\5ab", again=False)["b"] == b"ab"
        assert law.encode({"h": {"value": {"k": 5}}, "b": b"ab"}) == b"\2\5ab"


def test_a_raw_copy_is_built_of_its_value() -> None:
    source = COPIES[2][0]
    agree(source, [{"h": {"value": 258}}, {"h": {"data": b"ab"}}], [b"\1\2\4", {"h": {}}])


@pytest.mark.parametrize(
    "source",
    [
        "Struct('m' / ModeAdapter(Int8ub), 'x' / If(lambda c: c.m is Mode.ON, Int8ub))",
        "Struct('m' / ModeAdapter(Int8ub), 'x' / If(lambda c: c.m.name == 'ON', Int8ub))",
        "Struct('m' / ModeAdapter(Int8ub), 'x' / Switch(this.m, {Mode.ON: Int8ub}, Pass))",
        "Struct('h' / Struct('m' / ModeAdapter(Int8ub)), 'x' / If(lambda c: c.h.m is Mode.ON, Int8ub))",
    ],
)
def test_adapters_of_an_int_enum(source: str) -> None:
    law_decode(source, b"\1\7", {"m": 1, "x": 7})


def law_decode(source: str, data: bytes, expected: dict[str, Any]) -> None:
    """It is decoded to that, and encoded back."""
    for strict in (False, True):
        codec = Codec(load(source), strict)
        message = codec.decode(data)
        assert {**message, **message.get("h", {})}.items() >= expected.items()
        assert codec.encode(message) == data


def test_an_unknown_mode_is_refused() -> None:
    agree(
        "Struct('m' / ModeAdapter(Int8ub), 'x' / Int8ub)",
        [b"\1\7"],
        [b"\3\7", {"m": None, "x": 1}],
    )


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("Struct('n' / Remember(Int8ub), 'b' / Bytes(lambda c: c.remembered))", b"\2ab"),
        ("Struct('n' / Remember(Int8ub), 'b' / Bytes(this.remembered))", b"\2ab"),
        ("Struct('n' / Remember(Int8ub), 's' / Struct('b' / Bytes(this._.remembered)))", b"\2ab"),
        ("Struct('x' / Array(2, Remember(Int8ub)), 'b' / Bytes(this.remembered))", b"\1\2ab"),
        (
            "Struct('n' / Remember(Int8ub), 'remembered' / Int8ub, 'b' / Bytes(this.remembered))",
            b"\1\2ab",
        ),
    ],
)
def test_what_an_adapter_writes_into_the_context(source: str, data: bytes) -> None:
    agree(source, [data])


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("Struct('f' / FlagsEnum(Int8ub, a=1, b=2), 'x' / If(this.f.b, Int8ub))", b"\2\7"),
        ("Struct('f' / FlagsEnum(Int8ub, a=1, b=2), 'x' / If(lambda c: c.f.b, Int8ub))", b"\2\7"),
        ("Struct('f' / FlagsEnum(Int8ub, a=1, b=2), 'x' / If(lambda c: c.f['b'], Int8ub))", b"\2\7"),
        ("Struct('f' / FlagsEnum(Int8ub, a=1, b=2), 's' / Struct('x' / If(lambda c: c._.f.b, Int8ub)))",
         b"\2\7"),
    ],
)  # fmt: skip
def test_members_of_flags(source: str, data: bytes) -> None:
    agree(source, [data])


@pytest.mark.parametrize(
    ("source", "data"),
    [
        (("Struct('p' / NamedTuple('P', 'x y', Struct('x' / Int8ub, 'y' / Int8ub)), "
         "'b' / Bytes(lambda c: c.p.y))"), b"\1\2ab"),
        ("Struct('p' / NamedTuple('P', 'x y', Sequence(Int8ub, Int8ub)), 'b' / Bytes(lambda c: c.p.y))",
         b"\1\2ab"),
        ("Struct('p' / NamedTuple('P', 'x y', Array(2, Int8ub)), 'b' / Bytes(lambda c: c.p[1]))",
         b"\1\2ab"),
        (("Struct('p' / (NamedTuple('P', 'x y', Struct('x' / Int8ub, 'y' / Int8ub)) * hook), "
         "'b' / Bytes(lambda c: c.p.y))"), b"\1\2ab"),
        (("Struct('p' / (NamedTuple('P', 'x y', Array(2, Int8ub)) * hook), "
         "'b' / Bytes(lambda c: c.p[1]))"), b"\1\2ab"),
        (("Struct('p' / NamedTuple('P', 'x y', Struct('x' / Int8ub, 'y' / Enum(Int8ub, A=2))), "
         "'b' / Bytes(lambda c: c.p.y.intvalue))"), b"\1\2ab"),
    ],
)  # fmt: skip
def test_named_tuples(source: str, data: bytes) -> None:
    agree(source, [data])


IN_BRANCHES = [
    ("Struct('e' / Enum(Int8ub, A=2), 'b' / Bytes(lambda c: c.e.intvalue))", b"\2ab"),
    ("Struct('n' / Rebuild(Int8ub, lambda c: c.e.intvalue), 'e' / Enum(Int8ub, A=2))", b"\2\2"),
    ("Struct('p' / NamedTuple('P', 'x y', Array(2, Int8ub)), 'b' / Bytes(lambda c: c.p[1]))", b"\1\2ab"),
    (("Struct('p' / NamedTuple('P', 'x y', Sequence(Int8ub, Enum(Int8ub, A=2))), 'b' / "
     "Bytes(lambda c: c.p.y.intvalue))"), b"\1\2ab"),
    ("Struct('f' / FlagsEnum(Int8ub, a=1), 'b' / Bytes(lambda c: len(c.f)))", b"\1ab"),
    ("Struct('e' / Enum(Int8ub, A=2), StopIf(lambda c: int(c.e) == 9), 'b' / Bytes(2))", b"\2ab"),
    ("Struct('a' / Pair(Int8ub), 'b' / Bytes(lambda c: 2 if c.a == (0, 2) else 1))", b"\2ab"),
    ("FlatStruct(BitStruct('e' / Enum(BitsInteger(8), A=2)), 'b' / Bytes(lambda c: c.e.intvalue))",
     b"\2ab"),
    (("FlatStruct(Struct('e' / Enum(Int8ub, A=2), StopIf(lambda c: c.e.intvalue == 9)), "
     "'b' / Bytes(lambda c: c.e.intvalue))"), b"\2ab"),
    ("Struct('q' / Sequence('e' / Enum(Int8ub, A=2), StopIf(lambda c: c.e.intvalue == 9), Bytes(2)))",
     b"\2ab"),
    (("Struct('v' / FocusedSeq('e', 'e' / Enum(Int8ub, A=2), StopIf(lambda c: c.e.intvalue == 9)), "
     "'b' / Bytes(2))"), b"\2ab"),
    ("Struct('s' / Struct('e' / Enum(Int8ub, A=2)), 'b' / Bytes(lambda c: c.s.e.intvalue))", b"\2ab"),
    ("Struct('x' / Array(1, Enum(Int8ub, A=2)), 'b' / Bytes(lambda c: c.x[0].intvalue))", b"\2ab"),
    ("Struct('r' / RawCopy(Enum(Int8ub, A=2)), 'b' / Bytes(lambda c: c.r.value.intvalue))", b"\2ab"),
]  # fmt: skip
BRANCHES = [
    "Struct('o' / Optional({}))",
    "Struct('o' / Select({}, GreedyBytes))",
    "Struct('o' / Optional(Optional({})))",
    "Struct('k' / Computed(1), 'o' / If(this.k, {}))",
    "Struct('k' / Computed(1), 'o' / IfThenElse(this.k == 2, Int8ub, {}))",
    "Struct('k' / Computed(1), 'o' / Switch(this.k, {{1: {}}}, Pass))",
    "Struct('k' / Computed(1), 'o' / Switch(this.k, {{2: Pass}}, {}))",
    "Struct('x' / Array(1, Optional({})))",
    "FlatStruct(Optional({}))",
    "FlatStruct('k' / Computed(1), If(this.k, {}))",
    "Struct('o' / Hex({}))",
    "Struct('o' / LazyBound(lambda: Select({})))",
    "Struct('o' / LazyBound(lambda: Optional(LazyBound(lambda: {}))))",
]


@pytest.mark.parametrize(("inside", "data"), IN_BRANCHES)
def test_values_in_a_branch_that_is_taken(inside: str, data: bytes) -> None:
    for around in BRANCHES:
        agree(around.format(inside), [data])


STILL_TO_COME = [
    ("Struct('n' / Rebuild(Int8ub, len_(this.f)), 'f' / FlagsEnum(Int8ub, a=2))", b"\2\2"),
    ("Struct('n' / Rebuild(Int8ub, this.f.a), 'f' / FlagsEnum(Int8ub, a=2))", b"\1\2"),
    ("Struct('n' / Rebuild(Int8ub, this.p[0]), 'p' / NamedTuple('P', 'x y', Array(2, Int8ub)))", b"\1\1\2"),
    ("Struct('n' / Rebuild(Int8ub, this.m == (1, 2)), 'm' / Mapping(Int8ub, {(1, 2): 2}))", b"\1\2"),
    ("Struct('n' / Rebuild(Int8ub, len_(this.s)), 's' / Tenths(Int8ub))", b""),
    ("Struct('n' / Rebuild(Int8ub, len_(this.s)), 's' / Upper(PaddedString(2, 'ascii')))", b"\2AB"),
    ("Struct('n' / Rebuild(Int8ub, this.x[0].a), 'x' / Array(1, Struct('a' / Int8ub)))", b"\1\1"),
    ("Struct('n' / Rebuild(Int8ub, len_(this.x)), 'x' / Array(1, FlagsEnum(Int8ub, a=2)))", b"\1\2"),
    ("Struct('n' / Rebuild(Int8ub, len_(this.x[0])), 'x' / Array(1, FlagsEnum(Int8ub, a=2)))", b"\2\2"),
    ("Struct('e' / Enum(Int8ub, A=2), 'b' / Bytes(this.e.intvalue))", b"\2ab"),
    ("Struct('m' / Mapping(Int8ub, {(1, 2): 2}), 'b' / Bytes(this.m[1]))", b"\2ab"),
    ("Struct('f' / FlagsEnum(Int8ub, a=2), 'b' / Bytes(len_(this.f)))", b"\2ab"),
]  # fmt: skip


@pytest.mark.parametrize(("inside", "data"), STILL_TO_COME)
def test_expressions_over_what_messages_show_otherwise(inside: str, data: bytes) -> None:
    """Also of fields that are encoded only after them."""
    for around in (
        "Struct('o' / {})",
        "Struct('o' / Optional({}))",
        "Struct('o' / Select({}, Pass))",
    ):
        for strict in (False, True):
            Law(around.format(inside), strict).decode(data)


@pytest.mark.parametrize(
    "source",
    [
        "Struct('x' / Array(1, Pair(Int8ub), discard=True))",
        "Struct('n' / Computed(1), 'x' / Array(this.n, Pair(Int8ub), discard=True))",
        "Struct('x' / GreedyRange(Pair(Int8ub), discard=True))",
    ],
)
def test_elements_that_are_not_kept_are_of_their_own_kind(source: str) -> None:
    for strict in (False, True):
        law = Law(source, strict)
        assert law.encode({"x": [[1, 1]]}) == b"\x11"
        law.decode(b"\x11", again=False)


@pytest.mark.parametrize("display", ["Hex", "HexDump"])
def test_what_is_shown_otherwise_is_the_same(display: str) -> None:
    agree(
        f"Struct('s' / {display}(Struct('a' / Int8ub, 't' / Tell)), 'b' / {display}(Int8ub))",
        [b"\1\2"],
    )
    agree(f"Struct('d' / {display}(Bytes(2)))", [b"ab"])
    bad = [b"\7"] if display == "Hex" else []
    agree(
        f"Struct('n' / {display}(VarInt))", [] if bad else [b"\7"], bad
    )  # of which Hex asks the size
    # What it gives while a message is built is what it was given.
    for strict in (False, True):
        law = Law(
            f"Struct('r' / {display}(RawCopy(Int8ub)), 'd' / Bytes(len_(this.r.data)))", strict
        )
        assert law.decode(b"\1a") == {
            "r": {"data": b"\1", "value": 1, "offset1": 0, "offset2": 1, "length": 1},
            "d": b"a",
        }
        assert law.encode({"r": {"value": 1}, "d": b"a"}) is REFUSED
        assert law.encode({"r": {"data": b"\1"}, "d": b"a"}) == b"\1a"


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("Struct('h' / Struct('n' / Int8ub), 'b' / Bytes(lambda c: c.h.n))", b"\2ab"),
        ("Struct('h' / Struct('s' / Struct('n' / Int8ub)), 'b' / Bytes(lambda c: c.h.s['n']))",
         b"\2ab"),
        ("Struct('x' / Array(2, Struct('n' / Int8ub)), 'b' / Bytes(lambda c: c.x[1].n))", b"\1\2ab"),
        ("Struct('q' / Sequence(Int8ub, Int8ub), 'b' / Bytes(lambda c: c.q[1]))", b"\1\2ab"),
        ("Struct('x' / Array(2, Struct('n' / Int8ub)), 'b' / Bytes(lambda c: max(e.n for e in c.x)))",
         b"\1\2ab"),
        ("Struct('u' / Union(0, 'n' / Int8ub, 'm' / Int8ub), 'b' / Bytes(lambda c: c.u.n))", b"\2ab"),
    ],
)  # fmt: skip
def test_containers_have_attributes(source: str, data: bytes) -> None:
    agree(source, [data])


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("Struct('x' / Array(3, Struct('i' / Computed(lambda c: c._index), 'v' / Int8ub)))", b"\1\2\3"),
        ("Struct('x' / GreedyRange(Struct('i' / Index, 'v' / Int8ub)))", b"\1\2\3"),
        ("Struct('x' / Array(2, Bytes(lambda c: c._index + 1)))", b"abc"),
        ("Struct('a' / Int8ub, 'i' / Computed(lambda c: c._index))", b"\1"),
        ("Struct('p' / Computed(lambda c: c._parsing), 'v' / Int8ub)", b"\1"),
        ("Struct('v' / IfThenElse(lambda c: c._parsing or c._building, Int8ub, Int16ub))", b"\1"),
        (("Struct('n' / Int8ub, 's' / Struct('v' / Bytes(lambda c: c._params._root.n if "
         "'_root' in c._params else c._root.n)))"), b"\2ab"),
        ("Struct('a' / Int8ub, 'k' / Computed(lambda c: [k for k in c.keys() if k[0] != '_']))", b"\1"),
        (("Struct('a' / Int8ub, 's' / Struct('k' / Computed(lambda c: [k for k in c._.keys() "
         "if k[0] != '_'])))"), b"\1"),
    ],
)  # fmt: skip
def test_what_else_is_in_the_context(source: str, data: bytes) -> None:
    agree(source, [data])


ALTERNATIVES = [
    (("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int16ub, 2: Enum(Int8ub, A=1)}), "
     "'d' / Bytes(lambda c: int(c.v)))"), b"\2\1a"),
    ("Struct('k' / Int8ub, 'v' / If(this.k, Enum(Int8ub, A=1)), 'd' / Bytes(lambda c: c.v.intvalue))",
     b"\2\1a"),
    ("Struct('v' / Optional(Enum(Int8ub, A=1)), 'd' / Bytes(lambda c: c.v.intvalue))", b"\1a"),
    (("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Struct('n' / Int8ub), "
     "2: Struct('t' / Enum(Int8ub, A=1))}), 'd' / Bytes(lambda c: int(c.v.t)))"), b"\2\1a"),
    (("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub, 2: Enum(Int8ub, A=1)[1]}), "
     "'d' / Bytes(lambda c: int(c.v[0])))"), b"\2\1a"),
    ("Struct('v' / Prefixed(Int8ub, If(True, Pair(Int8ub))), 'd' / Bytes(lambda c: len(c.v + (1,))))",
     b"\1\x12abc"),
    (("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: NamedTuple('P', 'x y', Int8ub[2])}, Pass), "
     "'d' / Bytes(lambda c: c.v.x))"), b"\1\1\2a"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data"), ALTERNATIVES)
def test_what_one_of_several_alternatives_has_parsed(source: str, data: bytes) -> None:
    law_decode(source, data, {})


@pytest.mark.parametrize(
    "source",
    [
        "Struct('p' / Point(Bytes(2)))",
        "Struct('p' / Point(Bytes(2)), 'b' / Bytes(lambda c: c.p.x + c.p[1] - 2))",
        "Struct('p' / Switch(1, {1: Point(Bytes(2)), 2: Bytes(2)}), 'b' / Bytes(lambda c: c.p.x))",
        "Struct('p' / Array(1, Point(Bytes(2))), 'b' / Bytes(lambda c: c.p[0].x))",
    ],
)
def test_an_adapter_of_a_named_tuple(source: str) -> None:
    data = b"\1\2a" if "'b'" in source else b"\1\2"
    law_decode(source, data, {})
    decoded = Codec(load(source)).decode(data)["p"]
    assert decoded in ({"x": 1, "y": 2}, [{"x": 1, "y": 2}])


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("Struct('h' / Hex(Flag))", b"\x01"),
        ("BitStruct('h' / Hex(Flag), Padding(7))", b"\x80"),
        ("Struct('h' / Hex(ModeAdapter(Int8ub)))", b"\x01"),
        ("Struct('h' / HexDump(ModeAdapter(Int8ub)))", b"\x01"),
    ],
)
def test_what_hex_makes_an_integer_of(source: str, data: bytes) -> None:
    agree(source, [data])


def test_functions_see_a_named_tuple_that_is_given_as_a_list() -> None:
    named = (
        "Struct('n' / NamedTuple('P', 'x y', Sequence(Int8ub, Int8ub)), 'k' / Rebuild(Int8ub, {}))"
    )
    agree(named.format("lambda c: c.n.x"), [{"n": [7, 8]}, {"n": {"x": 7, "y": 8}}])


def test_functions_see_what_is_shown_otherwise_in_a_branch() -> None:
    flags = "Hex(FlagsEnum(Int8ub, a=1, b=2))"
    shape = "Struct('f' / If(True, {}), 'n' / Rebuild(Int8ub, lambda c: len(c.f)))"
    agree(shape.format(flags), [b"\2\3", {"f": {"a": True, "b": False}}])
