"""The leaves of random schemas: fields, adapters, and the expressions that stand in all of them."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.protocol.law.nodes import Env, Node, Value, between, evaluated, some, struct_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

INTEGERS = {
    "Int8ub": (0, 255),
    "Int8sb": (-128, 127),
    "Int16ub": (0, 65535),
    "Int16ul": (0, 65535),
    "Int16sl": (-32768, 32767),
    "Int24ub": (0, 2**24 - 1),
    "Int24sl": (-(2**23), 2**23 - 1),
    "Int32ub": (0, 2**32 - 1),
    "Int64ul": (0, 2**64 - 1),
    "VarInt": (0, 300),
    "ZigZag": (-300, 300),
}
ENCODINGS = ["utf8", "ascii", "utf16", "utf_16_le", "utf32"]


class Leaves:
    """Draws leaves, for one schema."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.names = 0

    def name(self, kind: str = "f") -> str:
        self.names += 1
        if kind == "f" and self.rng.random() < 0.06:
            return self.rng.choice(["count", "data", "value", "class", "len", "index"]) + (
                f"{self.names}" if self.rng.random() < 0.5 else ""
            )
        return f"{kind}{self.names}"

    def pick(self, weighted: Sequence[tuple[int, Callable[..., Node]]]) -> Callable[..., Node]:
        return self.rng.choices([make for _, make in weighted], [w for w, _ in weighted])[0]

    # -- expressions

    def small(self, env: Env) -> str:
        """The source of a small number: a constant, ``this``, a lambda."""
        rng = self.rng
        found = env.refer(rng, "int", "enum")
        style = rng.randint(0, 11)
        if style == 0 or (found is None and style < 8):
            return str(rng.randint(0, 3))
        path, kind = found or ("nonsuch", "int")
        if kind == "enum":
            return rng.choice(
                [
                    f"lambda c: int(c.{path}) % 4",
                    f"lambda c: c.{path}.intvalue % 4",
                    f"lambda c: len(c.{path}) % 4",
                ]
            )
        if style <= 3:
            return f"this.{path} % 4"
        if style == 4:
            return f"(this.{path} + {rng.randint(0, 3)}) & 3"
        if style == 5:
            forms = [
                f"lambda c: c.{path} % 4",
                f"lambda c: (c.{path} // 2) & 1",
                f"(this.{path} >> 1) % 3",
                f"3 - this.{path} % 4",
                f"-(this.{path} % 3) + 3",
                f"len_(this.{path})",
                f"lambda c: c.get({path.split('.')[-1]!r}, 1) % 4",
                f"lambda c: c['{path.replace('.', chr(39) + '][' + chr(39))}'] % 4",
                f"lambda c: 0 if 'hooked' in c else c.{path} % 4",
            ]
            return rng.choice(forms)
        if style == 6:
            return f"lambda c: small(c.{path})"
        if style == 7:
            return f"lambda c: c.{path} % 3 if c._parsing else c.{path} % 3"
        if style == 8:
            return rng.choice(["padding", "lambda c: c._io.tell() % 3", "lambda c: padding(c) % 3"])
        if style == 9:
            return rng.choice(
                [
                    "lambda c: (c._index or 0) % 3",
                    "lambda c: len([k for k in c if k[0] != '_']) % 4",
                ]
            )
        if style == 10:
            return rng.choice(["lambda c: small(c)", "lambda c: len(c._.keys()) % 3"])
        if rng.random() < 0.5:
            return "lambda c: small(written(c))"
        return rng.choice(["picky", "declines", "lambda c: c.nonsuch", "this.nonsuch", "mistaken"])

    def condition(self, env: Env) -> str:
        rng = self.rng
        found = env.refer(rng)
        style = rng.randint(0, 9)
        if found is None or style == 0:
            return rng.choice(
                [
                    "True",
                    "False",
                    "lambda c: c._io.tell() % 2 == 0",
                    "lambda c: c._parsing or c._building",
                    "lambda c: not c._sizing",
                ]
            )
        path, kind = found
        if kind == "int":
            return rng.choice(
                [
                    f"this.{path} > {rng.randint(0, 3)}",
                    f"this.{path} & 1",
                    f"(this.{path} == 1) | (this.{path} > 2)",
                    f"lambda c: c.{path} in (0, 2)",
                    f"lambda c: c.{path}",
                    f"~(this.{path} == 0)",
                ]
            )
        if kind == "enum":
            return rng.choice(
                [
                    f"this.{path} == 'RED'",
                    f"this.{path} != 2",
                    f"lambda c: c.{path} == 'RED' or int(c.{path}) == 2",
                    f"lambda c: c.{path}.intvalue == 1",
                ]
            )
        if kind == "flags":
            return rng.choice(
                [f"this.{path}.a", f"lambda c: c.{path}.b", f"lambda c: c.{path}['a']"]
            )
        if kind == "pair":
            return f"this.{path} == (0, 1)"
        if kind == "raw":
            return rng.choice([f"this.{path}.length > 1", f"lambda c: sum(c.{path}.data) % 2"])
        if kind == "mode":
            return rng.choice(
                [f"lambda c: c.{path} is Mode.ON", f"lambda c: c.{path}.name == 'ON'"]
            )
        if kind == "bytes":
            return rng.choice([f"len_(this.{path}) > 1", f"lambda c: c.{path}[:1] == b'a'"])
        if kind == "list":
            return rng.choice([f"len_(this.{path}) > 1", f"lambda c: len(c.{path}) == 1"])
        return rng.choice([f"lambda c: small(c.{path})", f"lambda c: c.{path} is not None"])

    # -- leaves

    def integer(self, env: Env) -> Node:
        name = self.rng.choice([*INTEGERS, "Int8ub", "Int8ub", "Int16ub"])
        return Node(name, value=between(*INTEGERS[name]), kind="int")

    def byte(self, env: Env) -> Node:
        return Node("Int8ub", value=between(0, 255), kind="int")

    def computed_integer(self, env: Env) -> Node:
        length = self.small(env)

        def value(node: Node, rng: Random, scope: Any) -> int:
            size = evaluated(length, scope)
            return rng.randrange(256 ** min(size, 8)) if isinstance(size, int) and size > 0 else 0

        signed = self.rng.choice(["", ", signed=True", ", swapped=True"])
        return Node(f"BytesInteger({length}{signed})", value=value, kind="int")

    def real(self, env: Env) -> Node:
        form = self.rng.choice(["Float16b", "Float32b", "Float32l", "Float64l"])
        code = {"Float16b": ">e", "Float32b": ">f", "Float32l": "<f", "Float64l": "<d"}[form]

        def value(node: Node, rng: Random, scope: Any) -> float:
            given = rng.choice([0.0, 1.5, -2.25, rng.uniform(-100, 100)])
            return float(struct.unpack(code, struct.pack(code, given))[0])

        return Node(form, value=value, kind="float")

    def flag(self, env: Env) -> Node:
        return Node("Flag", value=some(True, False), kind="bool")

    def bytes_(self, env: Env) -> Node:
        length = self.small(env)

        def value(node: Node, rng: Random, scope: Any) -> bytes:
            size = evaluated(length, scope)
            return rng.randbytes(size % 64 if isinstance(size, int) else 1)

        return Node(f"Bytes({length})", value=value, kind="bytes")

    def greedy_bytes(self, env: Env) -> Node:
        return Node("GreedyBytes", value=some(b"", b"a", b"ab\0"), kind="bytes")

    def text(self, env: Env) -> Node:
        encoding = self.rng.choice(ENCODINGS)
        form = self.rng.choice(
            [
                f"PascalString(Int8ub, {encoding!r})",
                f"PascalString(VarInt, {encoding!r})",
                f"CString({encoding!r})",
                f"PaddedString(8, {encoding!r})",
                f"PaddedString({self.small(env)}, {encoding!r})",
                f"GreedyString({encoding!r})",
            ]
        )
        words = ["", "a", "ab", "hé"] if encoding != "ascii" else ["", "a", "ab"]
        return Node(form, value=some(*words), kind="text")

    def enum(self, env: Env) -> Node:
        number = self.rng.choice(["Int8ub", "Int8ub", "Int16ul", "Int8sb", "VarInt"])
        names = self.rng.choice(["RED=1, GREEN=2, BLUE=7", "RED=0, GREEN=1, CRIMSON=1"])
        return Node(f"Enum({number}, {names})", value=some("RED", "RED", "GREEN", 3), kind="enum")

    def flags(self, env: Env) -> Node:
        def value(node: Node, rng: Random, scope: Any) -> Any:
            every = {name: rng.random() < 0.5 for name in "abc"}
            return rng.choice([every, every, {"a": True}, "a|b", 3])

        number = self.rng.choice(["Int8ub", "Int16ub"])
        return Node(f"FlagsEnum({number}, a=1, b=2, c=0x80)", value=value, kind="flags")

    def mapping(self, env: Env) -> Node:
        form = "Mapping(Int8ub, {'on': 1, 'off': 0, 'auto': 9})"
        return Node(form, value=some("on", "off", "auto"), kind="text")

    def const(self, env: Env) -> Node:
        forms = [
            ("Const(b'ab')", b"ab"),
            ("Const(1, Int8ub)", 1),
            ("Const('x', PascalString(Int8ub, 'utf8'))", "x"),
            (f"Const(b'ab', Bytes({self.small(env)}))", b"ab"),
            ("Const('RED', Enum(Int8ub, RED=1))", "RED"),
        ]
        form, given = self.rng.choice(forms)
        return Node(form, value=some(None, given), needless=True)

    def computed(self, env: Env) -> Node:
        forms = [
            "Computed(7)",
            f"Computed({self.small(env)})",
            f"Computed({self.condition(env)})",
            "Computed(following)",
            "Computed(written)",
            "Computed(lambda c: c._root._io.tell())",
            "Computed(lambda c: [1, (2, b'x')])",
            "Computed(lambda c: {'a': 1, '_b': 2})",
            "Computed(lambda c: c._index)",
            "Tell",
            "Index",
            "Peek(Int8ub)",
            "Peek(Int16ub)",
            "Pass",
        ]
        seen = env.refer(self.rng)
        if seen:
            forms += [f"Computed(lambda c: describe(c.{seen[0]}))"] * 3
        form = self.rng.choice(forms)
        kind = "int" if form in ("Computed(7)", "Tell", "Computed(written)") else "any"
        return Node(form, needless=True, kind=kind)

    def adapted(self, env: Env) -> Node:
        small = self.small(env)
        forms: list[tuple[str, Value, str]] = [
            ("ExprAdapter(Int8ub, lambda o, c: o + 1, lambda o, c: o - 1)", between(1, 256), "int"),
            ("ExprAdapter(Int8ub, obj_ * 2, obj_ // 2)", some(2, 4), "int"),
            (
                "ExprAdapter(Int8ub, lambda o, c: o + len(c), lambda o, c: o - len(c))",
                between(8, 200),
                "int",
            ),
            ("ExprAdapter(Int8ub, lambda o, c: (o, 1), lambda o, c: o[0])", some([1, 1]), "any"),
            ("ExprSymmetricAdapter(Int8ub, obj_ ^ 0x55)", between(0, 255), "int"),
            ("ExprValidator(Int8ub, lambda o, c: o < 200)", between(0, 220), "int"),
            ("OneOf(Int8ub, [1, 2, 3])", some(1, 2, 3, 4), "int"),
            ("NoneOf(Int8ub, [9])", some(1, 2, 9), "int"),
            ("ModeAdapter(Int8ub)", some(0, 1, 2), "mode"),
            ("Tenths(Int16ub)", some(0.0, 1.5, 10.0, 3), "float"),
            ("Pair(Int8ub)", some([0, 1], [1, 0], [3, 4]), "pair"),
            ("Offset(Int8ub)", between(3, 200), "int"),
            ("Remember(Int8ub)", between(0, 255), "int"),
            ("Even(Int8ub)", some(0, 2, 4, 5), "int"),
            ("Upper(PascalString(Int8ub, 'ascii'))", some("", "A", "b"), "text"),
            ("Triplet()", some([1, 2, 3], [0, 0, 0]), "list"),
            ("Shifted(Int8ub)", between(20, 200), "int"),
            ("Hex(Int16ub)", between(0, 65535), "int"),
            ("HexDump(Bytes(2))", some(b"ab", b"\0\1"), "bytes"),
            (f"ExprAdapter(Bytes({small}), lambda o, c: o.hex(), lambda o, c: bytes.fromhex(o))",
             lambda node, rng, scope: rng.randbytes(small_or(small, scope)).hex(), "text"),
            ("Slicing(Array(4, Int8ub), 4, 1, 3, empty=0)", some([1, 2], [0, 0]), "list"),
            ("Indexing(Array(3, Int8ub), 3, 1, empty=0)", between(0, 255), "int"),
            ("Filter(lambda o, c: o > 1, Array(3, Int8ub))", some([2, 3, 4], [2, 1, 3]), "list"),
            ("NamedTuple('P', 'x y', Struct('x' / Int8ub, 'y' / Int8ub))", some([1, 2]), "any"),
            ("NamedTuple('P', 'x y', Sequence(Int8ub, Int8ub))", some([1, 2]), "any"),
        ]  # fmt: skip
        form, value, kind = self.rng.choice(forms)
        return Node(form, value=value, kind=kind)

    def swapped(self, env: Env) -> Node:
        form = self.rng.choice(
            ["ByteSwapped(Int32ub)", "BitsSwapped(Int16ub)", "BitsSwapped(Int8ub)"]
        )
        return Node(form, value=between(0, 255), kind="int")

    def bits(self, env: Env) -> Node:
        rng = self.rng
        members: list[Node] = []
        env = env.entered()
        left = 8 * rng.choice([1, 1, 2, 3])
        while left:
            width = rng.randint(1, min(left, 11))
            kind = rng.randint(0, 6)
            node = Node(f"BitsInteger({width})", value=between(0, 2**width - 1), kind="int")
            name: str | None = self.name()
            if kind == 0:
                node, name = Node(f"Padding({width})", needless=True), None
            elif kind == 1:
                width = 1
                node = Node("Default(Flag, True)", value=some(True, False), needless=True)
            elif kind == 2:
                node = Node(
                    f"Enum(BitsInteger({width}), RED=0, GREEN=1)", value=some("RED", "GREEN")
                )
            elif kind == 3 and width > 1:
                high = 2 ** (width - 1)
                node = Node(f"BitsInteger({width}, signed=True)", value=between(-high, high - 1))
            elif kind == 4:
                name = self.name("_r")
            left -= width
            members.append(replace(node, name=name))
        if rng.random() < 0.15:
            forms = ["Bitwise(Array(8, Bit))", "Bitwise(GreedyRange(Nibble))"]
            return Node(rng.choice(forms), value=some([1, 0, 1, 0, 1, 0, 1, 0]), kind="list")
        return Node("BitStruct({*})", tuple(members), struct_value, kind="struct")

    LEAVES = (
        (6, integer),
        (1, computed_integer),
        (1, real),
        (1, flag),
        (3, bytes_),
        (1, greedy_bytes),
        (3, text),
        (3, enum),
        (2, flags),
        (1, mapping),
        (2, const),
        (3, computed),
        (6, adapted),
        (1, swapped),
        (2, bits),
    )


def small_or(source: str, scope: Any) -> int:
    size = evaluated(source, scope)
    return size % 64 if isinstance(size, int) else 1
