"""Random schemas, as Python source, with values that mostly fit them.

A `Node` is a piece of source with a hole for each part, and a way to make a value. What a member may
refer to is known from the `Env` in which it is drawn: names of integers and others, by depth.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import construct as c
from tests.protocol.law import helpers

import iotsim

MAKERS: dict[str, Any] = {
    **{name: getattr(c, name) for name in dir(c) if not name.startswith("_")},
    **{name: getattr(helpers, name) for name in dir(helpers) if not name.startswith("_")},
    "FlatStruct": iotsim.FlatStruct,
    "Verified": iotsim.Checksum,
    "Length": iotsim.Length,
    "crc16": iotsim.crc16_ccitt,
    "sum8": iotsim.sum8,
}
"""The names that a schema's source may use."""

Value = Callable[["Node", Random, Any], Any]


@dataclass(frozen=True)
class Node:
    form: str
    parts: tuple[Node, ...] = ()
    value: Value = lambda node, rng, scope: None
    name: str | None = None
    """Of a member: ``form`` is its source without the name."""
    kind: str = "any"
    needless: bool = False
    """It is built without a value as well."""

    @property
    def source(self) -> str:
        parts = [part.source for part in self.parts]
        text = self.form.replace("{*}", ", ".join(parts))
        for part in parts:
            text = text.replace("{}", part, 1)
        return f"{self.name!r} / {text}" if self.name else text

    @property
    def many(self) -> bool:
        return "{*}" in self.form

    def make(self, rng: Random, scope: Any) -> Any:
        """A plain value, given those of the fields before it."""
        return self.value(self, rng, scope)

    def size(self) -> int:
        return 1 + sum(part.size() for part in self.parts)


def load(source: str, names: Any = None) -> Any:
    """The construct that `source` makes, with some names replaced."""
    scope = {**MAKERS, **(names or {})}
    return eval(compile(source, "<schema>", "eval"), scope)


# -- values -------------------------------------------------------------------------------------


def evaluated(source: str, scope: Any, default: Any = 1) -> Any:
    """What an expression of the schema gives for the fields that were made so far."""
    try:
        return c.core.evaluate(load(source), scope)
    except Exception:
        return default


def inner(scope: Any) -> Any:
    made = c.Container(
        _=scope, _parsing=False, _building=True, _sizing=False, _index=None, _params=None
    )
    made["_root"] = scope.get("_root") or made
    return made


def top() -> Any:
    return c.Container(_parsing=False, _building=True, _sizing=False, _params=None)


def struct_value(node: Node, rng: Random, scope: Any) -> Any:
    scope = inner(scope)
    made: dict[str, Any] = {}
    for part in node.parts:
        if part.name is None:
            if part.kind == "flat":
                value = part.make(rng, scope)
                if isinstance(value, dict):
                    made.update(value)
                    scope.update(value)
            continue
        value = part.make(rng, scope)
        scope[part.name] = value
        if not part.needless or (value is not None and rng.random() < 0.4):
            made[part.name] = value
    return made


def sequence_value(node: Node, rng: Random, scope: Any) -> Any:
    scope = inner(scope)
    made = []
    for part in node.parts:
        value = part.make(rng, scope)
        made.append(value)
        if part.name:
            scope[part.name] = value
    return made


def same_value(node: Node, rng: Random, scope: Any) -> Any:
    return node.parts[-1].make(rng, scope)


def some(*values: Any) -> Value:
    return lambda node, rng, scope: rng.choice(values)


def between(low: int, high: int) -> Value:
    def value(node: Node, rng: Random, scope: Any) -> int:
        if rng.random() < 0.6:
            return max(low, min(high, rng.randint(0, 3)))
        return rng.choice([low, high, rng.randint(low, high)])

    return value


# -- what may be referred to --------------------------------------------------------------------


@dataclass
class Env:
    """The names of the structs around, innermost first: name -> kind."""

    levels: list[dict[str, str]] = field(default_factory=list)

    def entered(self) -> Env:
        return Env([{}, *self.levels])

    def note(self, name: str, kind: str) -> None:
        if self.levels:
            self.levels[0][name] = kind

    def refer(self, rng: Random, *kinds: str) -> tuple[str, str] | None:
        """The path of a name, with or without ``_root``, and its kind."""
        found = [
            (depth, name, kind)
            for depth, names in enumerate(self.levels)
            for name, kind in names.items()
            if not kinds or kind in kinds
        ]
        if not found:
            return None
        depth, name, kind = rng.choice(found)
        if depth == len(self.levels) - 1 and rng.random() < 0.3:
            return f"_root.{name}", kind
        return "_." * depth + name, kind


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


class Generator:
    """Draws the nodes of one schema."""

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
            return f"lambda c: c.{path} % 4"
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

    # -- composed

    def struct(self, env: Env, depth: int) -> Node:
        kind = "LazyStruct" if self.rng.random() < 0.06 else "Struct"
        members = self.members(env.entered(), depth, self.rng.randint(1, 4), flat=False)
        needless = all(m.needless or m.name is None for m in members)
        return Node(f"{kind}({{*}})", members, struct_value, kind="struct", needless=needless)

    def flat(self, env: Env, depth: int) -> Node:
        members = self.members(env.entered(), depth, self.rng.randint(1, 4), flat=True)
        return Node("FlatStruct({*})", members, struct_value, kind="struct")

    def sequence(self, env: Env, depth: int) -> Node:
        env = env.entered()
        members = []
        for _ in range(self.rng.choice([0, 1, 1, 2, 2, 2, 3, 3, 3])):
            node = self.node(env, depth - 1)
            name = self.name() if self.rng.random() < 0.5 else None
            if name:
                env.note(name, node.kind)
            members.append(replace(node, name=name))
        return Node("Sequence({*})", tuple(members), sequence_value, kind="list")

    def focused(self, env: Env, depth: int) -> Node:
        env = env.entered()
        name = self.name()
        length = replace(self.byte(env), name=self.name(), form="Rebuild(Int8ub, 2)")
        env.note(length.name or "", "int")
        focus = replace(self.node(env, depth - 1), name=name)

        def value(node: Node, rng: Random, scope: Any) -> Any:
            scope = inner(scope)
            for part in node.parts:
                if part.name == name:
                    return part.make(rng, scope)
                scope[part.name] = 2
            return None

        return Node(f"FocusedSeq({name!r}, {{*}})", (length, focus), value, kind=focus.kind)

    def array(self, env: Env, depth: int) -> Node:
        rng = self.rng
        element = self.node(env, depth - 1)
        style = rng.randint(0, 6)
        count = self.small(env)

        def counted(node: Node, rng: Random, scope: Any) -> Any:
            size = evaluated(count, scope)
            size = size % 8 if isinstance(size, int) else 1
            return [node.parts[0].make(rng, scope) for _ in range(size)]

        def several(node: Node, rng: Random, scope: Any) -> Any:
            return [node.parts[0].make(rng, scope) for _ in range(rng.randint(0, 3))]

        if style <= 1:
            return Node(f"Array({count}, {{}})", (element,), counted, kind="list")
        if style == 2:
            return Node("PrefixedArray(Int8ub, {})", (element,), several, kind="list")
        if style == 3:
            return Node("GreedyRange({})", (element,), several, kind="list")
        if style == 4:
            ends = rng.choice(
                [
                    "lambda o, l, c: len(l) >= 2",
                    "lambda o, l, c: small(o) == 0",
                    "lambda o, l, c: small(l[-1]) == 1",
                    "obj_ == 0",
                ]
            )
            return Node(f"RepeatUntil({ends}, {{}})", (element,), several, kind="list")
        if style == 5:
            return Node("Prefixed(Int8ub, GreedyRange({}))", (element,), several, kind="list")
        discard = rng.choice(["", ", discard=True"])
        return Node(f"LazyArray({count}, {{}})" if not discard else f"Array({count}, {{}}{discard})",
                    (element,), counted, kind="list")  # fmt: skip

    def wrapped(self, env: Env, depth: int) -> Node:
        form = self.rng.choice(
            [
                "Prefixed(Int8ub, {})",
                "Prefixed(VarInt, {})",
                "Prefixed(Int16ub, {}, includelength=True)",
                "FixedSized(12, {})",
                f"FixedSized({self.small(env)}, {{}})",
                "NullTerminated({})",
                "NullTerminated({}, include=True)",
                "NullTerminated({}, consume=False)",
                "NullTerminated({}, require=False)",
                "NullStripped({})",
                "Padded(8, {})",
                f"Padded({self.small(env)}, {{}})",
                "Aligned(4, {})",
                "Aligned(2, {}, pattern=b'z')",
                "OffsettedEnd(-1, {})",
                "ProcessXor(0x55, {})",
                "ProcessXor(lambda c: small(c), {})",
                "Lazy({})",
                "RestreamData(b'\\1\\2\\3\\4', {})",
            ]
        )
        part = self.node(env, depth - 1)
        return Node(form, (part,), same_value, kind=part.kind if form[0] != "L" else "any")

    def raw(self, env: Env, depth: int) -> Node:
        def value(node: Node, rng: Random, scope: Any) -> Any:
            value = node.parts[0].make(rng, scope)
            return rng.choice([{"value": value}, {"value": value}, {"data": b"ab"}])

        return Node("RawCopy({})", (self.node(env, depth - 1),), value, kind="raw")

    def optional(self, env: Env, depth: int) -> Node:
        part = self.node(env, depth - 1)

        def value(node: Node, rng: Random, scope: Any) -> Any:
            return None if rng.random() < 0.3 else node.parts[0].make(rng, scope)

        return Node("Optional({})", (part,), value, needless=True)

    def select(self, env: Env, depth: int) -> Node:
        def value(node: Node, rng: Random, scope: Any) -> Any:
            return rng.choice(node.parts).make(rng, scope) if node.parts else None

        parts = tuple(self.node(env, depth - 1) for _ in range(self.rng.randint(1, 3)))
        return Node("Select({*})", parts, value, needless=any(p.needless for p in parts))

    def either(self, env: Env, depth: int) -> Node:
        condition = self.condition(env)

        def value(node: Node, rng: Random, scope: Any) -> Any:
            index = 0 if evaluated(condition, scope) else -1
            if index and len(node.parts) == 1:
                return None
            return node.parts[index].make(rng, scope)

        if self.rng.random() < 0.5:
            return Node(f"If({condition}, {{}})", (self.node(env, depth - 1),), value)
        parts = (self.node(env, depth - 1), self.node(env, depth - 1))
        return Node(f"IfThenElse({condition}, {{}}, {{}})", parts, value)

    def switch(self, env: Env, depth: int) -> Node:
        rng = self.rng
        found = env.refer(rng, "int", "enum")
        if found is None:
            return self.node(env, depth - 1)
        path, kind = found
        key = rng.choice([f"this.{path}", f"this.{path}", f"lambda c: c.{path}"])
        keys: list[Any] = ["RED", "GREEN", 3] if kind == "enum" else [0, 1, 2, 3]
        keys = rng.sample(keys, rng.randint(1, len(keys)))
        default = rng.choice(["", "", ", {}"])
        parts = tuple(self.node(env, depth - 1) for _ in range(len(keys) + bool(default)))

        def value(node: Node, rng: Random, scope: Any) -> Any:
            chosen = evaluated(key, scope, None)
            if chosen in keys:
                return node.parts[keys.index(chosen)].make(rng, scope)
            return node.parts[-1].make(rng, scope) if default else None

        cases = ", ".join(f"{k!r}: {{}}" for k in keys)
        return Node(f"Switch({key}, {{{cases}}}{default})", parts, value)

    def union(self, env: Env, depth: int) -> Node:
        env = env.entered()
        members = tuple(replace(self.node(env, depth - 1), name=self.name()) for _ in range(2))

        def value(node: Node, rng: Random, scope: Any) -> Any:
            if not node.parts:
                return {}
            part = rng.choice(node.parts)
            return {part.name: part.make(rng, inner(scope))}

        start = self.rng.choice(["None", "0", repr(members[1].name)])
        return Node(f"Union({start}, {{*}})", members, value, kind="struct")

    def pointer(self, env: Env, depth: int) -> Node:
        part = self.node(env, 0)
        where = self.rng.choice([self.small(env), "0", "-1"])
        return Node(f"Pointer({where}, {{}})", (part,), same_value, kind=part.kind)

    def bound(self, env: Env, depth: int) -> Node:
        part = self.node(env, depth - 1)
        return Node("LazyBound(lambda: {})", (part,), same_value, kind=part.kind)

    def defaulted(self, env: Env, depth: int) -> Node:
        part = self.integer(env)
        function = self.rng.choice(
            [self.small(env), "lambda c: small(c)", "written", "padding", "lambda c: c._io.tell()"]
        )
        kind = self.rng.choice(["Rebuild", "Default"])
        return Node(f"{kind}({{}}, {function})", (part,), same_value, needless=True, kind="int")

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
    COMPOSED = (
        (6, struct),
        (1, flat),
        (2, sequence),
        (1, focused),
        (5, array),
        (5, wrapped),
        (3, raw),
        (3, optional),
        (3, select),
        (4, either),
        (3, switch),
        (1, union),
        (1, pointer),
        (1, bound),
        (2, defaulted),
    )

    def node(self, env: Env, depth: int) -> Node:
        if depth > 0 and self.rng.random() < 0.6:
            return self.pick(self.COMPOSED)(self, env, depth)
        return self.pick(self.LEAVES)(self, env)

    # -- members of a struct

    def members(self, env: Env, depth: int, count: int, flat: bool) -> tuple[Node, ...]:
        made: list[Node] = []

        def add(node: Node, kind: str = "f", name: str | None = None) -> str:
            name = name or self.name(kind)
            made.append(replace(node, name=name))
            env.note(name, node.kind)
            return name

        for _ in range(count):
            self.member(env, depth, flat, add, made.append)
        rng = self.rng
        if rng.random() < 0.12:
            made.append(self.checksum(made))
        if flat and rng.random() < 0.6:
            number = rng.choice(["Int8ub", "Int16ub", "Int16ul"])
            of = rng.choice(["rest", "message"])
            length = Node(f"Length({number}, {of!r}, {rng.randint(0, 2)})", needless=True)
            made.insert(rng.randint(0, len(made)), replace(length, name=self.name()))
        if rng.random() < 0.12:
            start = "" if rng.random() < 0.7 else f", {rng.randint(0, 1)}"
            verified = rng.choice(
                [f"Verified(Int16ub, crc16{start})", f"Verified(Int8ub, sum8{start})"]
            )
            made.append(Node(verified, needless=True, name=self.name()))
        return tuple(made)

    def checksum(self, made: list[Node]) -> Node:
        """construct's own Checksum, over a copy or by looking back."""
        raws = [node.name for node in made if node.kind == "raw" and node.name]
        tells = [f"c.{node.name}" for node in made if node.form == "Tell" and node.name]
        where = self.rng.choice(tells or ["c._io.tell()", "c._io.tell()", "0"])
        if raws and self.rng.random() < 0.8:
            form = f"Checksum(Int8ub, total, this.{self.rng.choice(raws)}.data)"
        else:
            form = self.rng.choice(
                [
                    "Checksum(Bytes(2), lambda n: bytes([n, 1]), lambda c: len(c) % 3)",
                    f"Checksum(Int8ub, total, lambda c: before(c, {where}))",
                    "Rebuild(Int8ub, written)",
                ]
            )
        return Node(form, needless=True, name=self.name())

    def member(self, env: Env, depth: int, flat: bool, add: Any, bare: Any) -> None:
        rng = self.rng
        style = rng.randint(0, 23)
        if style == 0:
            later = self.name()
            counted = rng.choice([f"len_(this.{later})", f"lambda c: len(c.{later})"])
            count = add(Node(f"Rebuild(Int8ub, {counted})", needless=True, kind="int"))
            add(
                Node(f"Bytes(this.{count})", value=some(b"", b"a", b"abc"), kind="bytes"),
                name=later,
            )
        elif style == 1:
            later = self.name()
            count = add(Node(f"Rebuild(Int8ub, len_(this.{later}))", needless=True, kind="int"))
            element = self.node(env, depth - 1)

            def several(node: Node, rng: Random, scope: Any) -> Any:
                return [node.parts[0].make(rng, scope) for _ in range(rng.randint(0, 3))]

            form = rng.choice([f"Array(this.{count}, {{}})", f"Array(lambda c: c.{count}, {{}})"])
            add(Node(form, (element,), several, kind="list"), name=later)
        elif style == 2:
            add(rng.choice([self.integer, self.bytes_, self.flag])(env), kind="_r")
        elif style == 3:
            add(rng.choice([self.computed, self.const])(env), kind="_c")
        elif style == 4:
            forms = [
                "Padding(2)",
                "Padding(padding)",
                f"Padding({self.small(env)})",
                "Const(b'x')",
                "Pass",
                f"Check({self.condition(env)})",
                "Terminated",
                f"Computed({self.small(env)})",
            ]
            bare(Node(rng.choice(forms), needless=True))
        elif style == 5:
            bare(Node(f"StopIf({self.condition(env)})", needless=True))
        elif style == 6:
            where = rng.choice(["Seek(0)", "Seek(1, 1)", "Seek(-1, 1)", "Seek(0, 2)"])
            bare(Node(where, needless=True))
        elif style == 7 and env.levels[0]:
            # One name twice.
            add(self.node(env, depth - 1), name=rng.choice(list(env.levels[0])))
        elif style in (8, 9, 10) and flat:
            add(
                replace(
                    self.enum(env), form="Enum(Int8ub, RED=1, GREEN=2)", value=some("RED", "GREEN")
                )
            )
            bare(self.flat_part(env, depth))
        else:
            add(self.node(env, depth - 1))

    def flat_part(self, env: Env, depth: int) -> Node:
        """An unnamed member of a FlatStruct that gives it fields."""
        rng = self.rng
        names = list(env.levels[0])
        key = names[-1]
        parts = tuple(self.struct(env, depth - 1) for _ in range(2))
        parts = tuple(replace(part, form="Struct({*})") for part in parts)
        style = rng.randint(0, 3)
        if style == 0:
            return replace(parts[0], kind="flat")
        if style == 1:

            def chosen(node: Node, rng: Random, scope: Any) -> Any:
                index = {"RED": 0, "GREEN": 1}.get(scope.get(key), 0)
                return node.parts[index].make(rng, scope) if len(node.parts) > index else None

            return Node(
                f"Switch(this.{key}, {{'RED': {{}}, 'GREEN': {{}}}})", parts, chosen, kind="flat"
            )
        if style == 2:
            condition = f"this.{key} == 'RED'"

            def value(node: Node, rng: Random, scope: Any) -> Any:
                taken = evaluated(condition, scope)
                return node.parts[0].make(rng, scope) if taken else None

            return Node(f"If({condition}, {{}})", parts[:1], value, kind="flat")
        return Node("Optional({})", parts[:1], same_value, kind="flat", needless=True)


def draw(rng: Random) -> Node:
    """A random schema."""
    made = Generator(rng)
    root = made.flat if rng.random() < 0.35 else made.struct
    node = root(Env(), rng.choice([1, 2, 2, 3]))
    if rng.random() < 0.1:
        form = rng.choice(
            ["Prefixed(Int8ub, {})", "RawCopy({})", "Padded(40, {})", "Aligned(4, {})"]
        )
        if form.startswith("Raw"):
            return Node(form, (node,), lambda n, r, s: {"value": n.parts[0].make(r, s)})
        return Node(form, (node,), same_value)
    return node


def small_or(source: str, scope: Any) -> int:
    size = evaluated(source, scope)
    return size % 64 if isinstance(size, int) else 1
