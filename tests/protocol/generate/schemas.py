"""Randomly composed schemas, and messages for them, as hypothesis strategies.

A schema is drawn together with a strategy for values that mostly fit it. Each is a `Drawn`: the
construct and the strategy of its values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import construct as c
from construct import len_, this
from hypothesis import strategies as st

from iotsim import Checksum, FlatStruct, Length, crc16_ccitt, sum8


class Drawn(NamedTuple):
    node: Any
    values: st.SearchStrategy[Any]


INTEGERS = {
    "Int8ub": (0, 255),
    "Int8sb": (-128, 127),
    "Int16ub": (0, 65535),
    "Int16ul": (0, 65535),
    "Int16sl": (-32768, 32767),
    "Int24ub": (0, 2**24 - 1),
    "Int24sl": (-(2**23), 2**23 - 1),
    "Int32ub": (0, 2**32 - 1),
    "Int32sl": (-(2**31), 2**31 - 1),
    "Int64ub": (0, 2**64 - 1),
}
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
COLORS = {"RED": 1, "GREEN": 2, "BLUE": 7}
FLAGS = {"a": 1, "b": 2, "c": 0x80}


def integers(name: str) -> st.SearchStrategy[int]:
    low, high = INTEGERS[name]
    return st.integers(low, high)


@st.composite
def scalars(draw: st.DrawFn) -> Drawn:
    kind = draw(st.integers(0, 17))
    if kind <= 3:
        name = draw(st.sampled_from(sorted(INTEGERS)))
        return Drawn(getattr(c, name), integers(name))
    if kind == 4:
        name = draw(st.sampled_from(["Float32b", "Float64l", "Float16b"]))
        return Drawn(getattr(c, name), st.floats(-100, 100, width=16))
    if kind == 5:
        return Drawn(c.Flag, st.booleans())
    if kind == 6:
        length = draw(st.integers(0, 3))
        return Drawn(c.Bytes(length), st.binary(min_size=length, max_size=length))
    if kind == 7:
        base = draw(st.sampled_from(["Int8ub", "Int16ul", "Int24ub", "Int8sb"]))
        names = st.sampled_from([*COLORS, 3])
        return Drawn(c.Enum(getattr(c, base), **COLORS), names)
    if kind == 8:
        flags = st.fixed_dictionaries({}, optional=dict.fromkeys(FLAGS, st.booleans()))
        return Drawn(c.FlagsEnum(c.Int8ub, **FLAGS), flags | st.sampled_from(["a|c", 3]))
    if kind == 9:
        mapping = {"on": 1, "off": 0, "auto": 9}
        return Drawn(c.Mapping(c.Int8ub, mapping), st.sampled_from(sorted(mapping)))
    if kind == 10:
        return Drawn(draw(st.sampled_from([c.VarInt, c.ZigZag])), st.integers(0, 100_000))
    if kind == 11:
        prefix = draw(st.sampled_from([c.Int8ub, c.Int16ul, c.VarInt]))
        return Drawn(c.PascalString(prefix, "utf8"), TEXT)
    if kind == 12:
        return Drawn(c.CString(draw(st.sampled_from(["utf8", "ascii"]))), TEXT)
    if kind == 13:
        return Drawn(c.PaddedString(draw(st.integers(1, 6)), "utf8"), TEXT)
    if kind == 14:
        include = draw(st.booleans())
        return Drawn(
            c.Prefixed(c.Int8ub, c.GreedyBytes, includelength=include), st.binary(max_size=5)
        )
    if kind == 15:
        return Drawn(c.Hex(c.Int16ub), integers("Int16ub"))
    if kind == 16:
        return Drawn(c.Const(draw(st.integers(0, 3)), c.Int8ub), st.none())
    return Drawn(c.Const(draw(st.binary(min_size=1, max_size=2))), st.none())


@st.composite
def bit_structs(draw: st.DrawFn) -> Drawn:
    left = 8 * draw(st.sampled_from([1, 2, 3, 4]))
    members = []
    values: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    while left:
        name = f"b{len(members)}"
        width = draw(st.integers(1, min(left, 11)))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            members.append(c.Padding(width))
        elif kind == 1:
            width = 1
            members.append(name / c.Default(c.Flag, True))
            optional[name] = st.booleans()
        elif kind == 2 and width <= 8:
            members.append(name / c.Enum(c.BitsInteger(width), NO=0, YES=1))
            values[name] = st.sampled_from(["NO", "YES", 0])
        elif kind == 3 and width > 1:
            members.append(name / c.BitsInteger(width, signed=True))
            values[name] = st.integers(-(1 << (width - 1)), (1 << (width - 1)) - 1)
        else:
            members.append(name / c.BitsInteger(width))
            values[name] = st.integers(0, (1 << width) - 1)
        left -= width
    return Drawn(c.BitStruct(*members), st.fixed_dictionaries(values, optional=optional))


def wrapped(drawn: Drawn, draw: st.DrawFn) -> Drawn:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return Drawn(c.Padded(24, drawn.node), drawn.values)
    if kind == 1:
        return Drawn(c.Aligned(4, drawn.node), drawn.values)
    if kind == 2:
        return Drawn(c.Prefixed(c.Int8ub, drawn.node), drawn.values)
    if kind == 3:
        return Drawn(c.Array(2, drawn.node), st.lists(drawn.values, min_size=2, max_size=2))
    if kind == 4:
        return Drawn(c.PrefixedArray(c.Int8ub, drawn.node), st.lists(drawn.values, max_size=3))
    if kind == 5:
        return Drawn(c.Optional(drawn.node), drawn.values | st.none())
    if kind == 6:
        return Drawn(c.FixedSized(40, drawn.node), drawn.values)
    if kind == 7:
        elements = c.GreedyRange(c.Struct("e" / c.Int8ub, "v" / drawn.node))
        values = st.fixed_dictionaries({"e": st.integers(0, 255), "v": drawn.values})
        return Drawn(c.Prefixed(c.Int8ub, elements), st.lists(values, max_size=3))
    if kind == 8:
        return Drawn(c.Sequence(c.Int8ub, drawn.node), st.tuples(st.integers(0, 255), drawn.values))
    return drawn


@st.composite
def nodes(draw: st.DrawFn, depth: int) -> Drawn:
    kind = draw(st.integers(0, 9))
    if depth > 0 and kind == 0:
        return draw(structs(depth - 1))
    if kind == 1:
        return draw(bit_structs())
    if depth > 0 and kind <= 4:
        return wrapped(draw(nodes(depth - 1)), draw)
    return draw(scalars())


@st.composite
def structs(draw: st.DrawFn, depth: int = 2, flat: bool | None = None) -> Drawn:
    """A Struct or FlatStruct with members that depend on each other."""
    flat = draw(st.booleans()) if flat is None else flat
    members: list[Any] = []
    values: dict[str, Any] = {}
    optional: dict[str, Any] = {}

    def add(name: str | None, drawn: Drawn, needed: bool = True) -> None:
        members.append(name / drawn.node if name else drawn.node)
        if name:
            (values if needed else optional)[name] = drawn.values

    for index in range(draw(st.integers(1, 4))):
        name = f"f{index}"
        kind = draw(st.integers(0, 15))
        if kind == 0:
            length = c.Rebuild(c.Int8ub, len_(this[name]))
            add(f"n{index}", Drawn(length, st.none()), needed=False)
            add(name, Drawn(c.Bytes(this[f"n{index}"]), st.binary(max_size=4)))
        elif kind == 1:
            count = c.Rebuild(c.Int8ub, len_(this[name]))
            inner = draw(nodes(0))
            add(f"n{index}", Drawn(count, st.none()), needed=False)
            add(name, Drawn(inner.node[this[f"n{index}"]], st.lists(inner.values, max_size=3)))
        elif kind in (2, 3, 4):
            add(f"k{index}", Drawn(c.Enum(c.Int8ub, **COLORS), st.sampled_from([*COLORS])))
            cases = {key: draw(nodes(max(depth - 1, 0))) for key in COLORS}
            if flat and kind < 4:
                cases = {key: draw(structs(max(depth - 2, 0), flat=False)) for key in COLORS}
                cases = {key: _renamed(drawn, f"{index}") for key, drawn in cases.items()}
            default = draw(st.sampled_from([None, c.Pass, c.Error]))
            switch = c.Switch(
                this[f"k{index}"], {key: drawn.node for key, drawn in cases.items()}, default
            )
            values_ = st.one_of(drawn.values for drawn in cases.values())
            if flat and kind < 4:
                members.append(switch)
                for drawn in cases.values():
                    optional.update(_fields(drawn))
            else:
                add(name, Drawn(switch, values_))
        elif kind == 5:
            inner = draw(nodes(max(depth - 1, 0)))
            add(f"k{index}", Drawn(c.Int8ub, st.integers(0, 3)))
            add(name, Drawn(c.If(this[f"k{index}"] > 1, inner.node), inner.values))
        elif kind == 6:
            default = draw(st.integers(0, 255))
            add(name, Drawn(c.Default(c.Int8ub, default), st.integers(0, 255)), needed=False)
        elif kind == 7:
            add(name, Drawn(c.Computed(draw(st.sampled_from([7, "x"]))), st.none()), needed=False)
        elif kind == 8:
            add(
                None, Drawn(draw(st.sampled_from([c.Padding(2), c.Const(b"x"), c.Pass])), st.none())
            )
        elif kind == 9:
            # A lambda: generated code has to make a context for it.
            add(f"k{index}", Drawn(c.Int8ub, st.integers(0, 3)))
            length = lambda context, key=f"k{index}": context[key]  # noqa: E731
            add(name, Drawn(c.Bytes(length), st.binary(max_size=3)))
        elif kind == 10:
            # Nodes that are left to construct.
            odd = draw(
                st.sampled_from(
                    [
                        Drawn(
                            c.ExprAdapter(c.Int8ub, lambda o, _: o + 1, lambda o, _: o - 1),
                            st.integers(1, 256),
                        ),
                        Drawn(c.OneOf(c.Int8ub, [1, 2, 3]), st.integers(1, 4)),
                        Drawn(c.ByteSwapped(c.Int16ub), st.integers(0, 65535)),
                        Drawn(c.Peek(c.Int8ub), st.none()),
                        Drawn(c.Timestamp(c.Int8ub, 1, 1970), st.none()),
                        Drawn(
                            c.RepeatUntil(lambda o, _l, _c: o == 0, c.Int8ub), st.just([3, 2, 0])
                        ),
                    ]
                )
            )
            add(name, odd)
        elif kind == 11:
            add(f"_m{index}", Drawn(c.Tell, st.none()), needed=False)
            add(name, draw(nodes(0)))
            start = this[f"_m{index}"]
            add(f"s{index}", Drawn(Checksum(c.Int8ub, sum8, start), st.none()), needed=False)
        else:
            add(name, draw(nodes(max(depth - 1, 0))))
    if flat and draw(st.booleans()):
        of = draw(st.sampled_from(["rest", "message"]))
        length_ = Length(draw(st.sampled_from([c.Int16ub, c.Int16ul])), of, draw(st.integers(0, 2)))
        members.insert(draw(st.integers(0, len(members))), "len" / length_)
    if draw(st.booleans()):
        members.append("crc" / Checksum(c.Int16ub, crc16_ccitt))
    kind_ = FlatStruct if flat else c.Struct
    return Drawn(kind_(*members), st.fixed_dictionaries(values, optional=optional))


def _renamed(drawn: Drawn, suffix: str) -> Drawn:
    """The same, but for names that do not meet those of the struct around it."""
    fields = _fields(drawn)
    flat_members = [
        f"{m.name}x{suffix}" / m.subcon if m.name and m.name[0] == "f" else m
        for m in drawn.node.subcons
        if m.name is None or m.name[0] == "f"
    ]
    kept = {f"{name}x{suffix}": values for name, values in fields.items() if name[0] == "f"}
    independent = [m for m in flat_members if not _depends(m)]
    kept = {
        name: values for name, values in kept.items() if any(m.name == name for m in independent)
    }
    return Drawn(c.Struct(*independent), st.fixed_dictionaries(kept))


def _depends(member: Any) -> bool:
    node = member
    while isinstance(node, c.Renamed):
        node = node.subcon
    names = ("length", "count", "keyfunc", "condfunc", "start")
    return any(callable(getattr(node, name, None)) for name in names)


def _fields(drawn: Drawn) -> dict[str, Any]:
    """The strategies of the fields of a drawn struct."""
    mapping: Any = drawn.values
    while not hasattr(mapping, "mapping"):
        mapping = mapping.wrapped_strategy
    return {**mapping.mapping, **(mapping.optional or {})}
