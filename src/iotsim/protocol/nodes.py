"""Nodes: what a schema is made of, after `iotsim.protocol.lower` has read it off construct's classes.

A node says what a construct does, in the fewest kinds that are enough: whoever reads a schema (the table
of fields, the two generators, the values that functions of a schema are given) is a pass over these.
Nothing behind `lower` asks a construct what it is.

What the kinds do not cover is an `Opaque`. One that is *closed* depends on nothing around it, so that
construct can do it alone in the middle of generated code; any other leaves the whole message to construct.

Parameters (lengths, counts, keys) are constants, or expressions over the fields around (``this.n``), or
functions of the user's, as construct has them; `iotsim.protocol.expressions` tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

Parameter: TypeAlias = Any
"""A constant, an expression, or a function of construct's context."""


@dataclass_transform(kw_only_default=True, eq_default=False)
class _Record:
    """Named fields, as of a dataclass without the code that each of those compiles when it is imported."""

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


class Node(_Record):
    """What all kinds have.

    ``origin``  the construct that it was made of, without its names
    ``size``    how much it always takes: bytes, or bits if it stands inside `BitWord`; None if that varies
    ``given``   whether a value has to be given to build it
    """

    origin: Any
    size: int | None = None

    @property
    def given(self) -> bool:
        return not self.origin.flagbuildnone


# -- single values ----------------------------------------------------------------------------------


class Number(Node):
    """A number that `struct` knows: its code, and its byte order, which is "" for a single byte."""

    code: str
    order: str


class Integer(Node):
    """An integer of ``size`` bytes, of which `struct` has none."""

    little: bool
    signed: bool


class VarInteger(Node):
    """An integer of seven bits a byte, the lowest first."""

    zigzag: bool


class Bits(Node):
    """An integer of ``size`` bits, inside a `BitWord`."""

    signed: bool
    flag: bool


class Data(Node):
    """Bytes: ``length`` of them, or all that are left if that is None."""

    length: Parameter


class Text(Node):
    """The bytes of ``inner`` as text."""

    inner: Node
    encoding: str


class Names(Node):
    """Names for the numbers of ``inner``. ``kind`` is "enum", "flags" or "mapping" (which has no others).

    ``decoded`` maps number to name, ``encoded`` name to number; those of flags are their masks.
    """

    inner: Node
    kind: str
    decoded: Mapping[Any, Any]
    encoded: Mapping[Any, Any]


class Const(Node):
    inner: Node
    value: Any


class Default(Node):
    """``inner``, for which ``value`` stands where none is given."""

    inner: Node
    value: Parameter


class Rebuilt(Node):
    """``inner``, always built from ``value``."""

    inner: Node
    value: Parameter


class Computed(Node):
    """A value that takes no bytes."""

    value: Parameter


class Adapted(Node):
    """``inner``, whose value passes through functions that look at nothing but it.

    They are called with the value and with ``more`` arguments, which they ignore, as source.
    """

    inner: Node
    decode: Callable[..., Any]
    encode: Callable[..., Any]
    more: str


class Coded(Node):
    """The bytes of ``inner`` as a plain value, of which nothing is the schema's.

    ``kind``, ``wire`` and ``odd`` are those of its field.
    """

    inner: Node
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    kind: str
    wire: str
    odd: bool


class Tell(Node):
    """The offset in the message."""


class Nothing(Node):
    """No bytes and no value."""


class End(Node):
    """Refuses bytes that are left."""


class Fail(Node):
    """Refuses everything, also where an alternative might be tried."""


class Check(Node):
    """Refuses the message unless ``test`` holds."""

    test: Parameter


class Native(Node):
    """What two functions read and write: ``decode`` of the data and a place in them gives the value and
    the place after it, ``encode`` of the value its bytes.

    ``like`` declares how the value looks; ``names`` are its fields, if it is like a struct.
    """

    like: Node
    names: tuple[str, ...]
    decode: Callable[[bytes, int], tuple[Any, int]]
    encode: Callable[[Any], bytes]


class Derived(Node):
    """A value that takes no bytes: ``value`` when decoding, what is given when encoding."""

    like: Node
    value: Parameter


# -- groups -----------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Member:
    """A node with the name that its construct has, or ""; ``doc`` is what the schema says of it.

    ``flat`` are the names that it gives to the `FlatStruct` that it is an unnamed member of. ``kept``: its
    name is private, but building it takes a value, so that a message has to carry it.
    """

    name: str
    node: Node
    doc: str = ""
    flat: tuple[str, ...] = ()
    kept: bool = False


class Struct(Node):
    members: list[Member]
    flat: bool = False


class Sequence(Node):
    members: list[Member]


class Focused(Node):
    """The value of one of several members, by its name."""

    members: list[Member]
    selected: str


class Switch(Node):
    """One of several nodes, by ``key``. ``default`` is None if there is none."""

    key: Parameter
    cases: dict[Any, Node]
    default: Node | None


class If(Node):
    """The first node whose condition holds; that of the last is always True."""

    branches: list[tuple[Parameter, Node]]


class Select(Node):
    """The first of several nodes that can do it."""

    choices: list[Node]


class Repeat(Node):
    """``inner``, ``count`` times, or as often as it can if that is None."""

    inner: Node
    count: Parameter


# -- data within data -------------------------------------------------------------------------------


class Prefixed(Node):
    """``inner`` after its length in bytes, which counts itself if ``inclusive``."""

    length: Node
    inner: Node
    inclusive: bool


class Window(Node):
    """``inner`` in exactly ``length`` bytes, of which it sees no others."""

    inner: Node
    length: Parameter


class Padded(Node):
    """``inner``, and ``pattern`` up to ``length`` bytes."""

    inner: Node
    length: Parameter
    pattern: bytes


class Aligned(Node):
    """``inner``, and ``pattern`` up to a multiple of ``modulus`` bytes."""

    inner: Node
    modulus: int
    pattern: bytes


class Terminated(Node):
    """``inner`` in the bytes before ``term``, a single one."""

    inner: Node
    term: bytes


class Stripped(Node):
    """``inner`` in the bytes that are left but for ``pad``, a single one, at the end."""

    inner: Node
    pad: bytes


class BitWord(Node):
    """``inner`` in the bits of ``size`` bytes, the highest first."""

    inner: Node


class RawCopy(Node):
    """``inner``, with its bytes and offsets."""

    inner: Node


# -- computed from bytes ----------------------------------------------------------------------------


class Checksum(Node):
    """``function`` of the bytes before it, from the offset ``start`` on."""

    inner: Node
    function: Callable[[bytes], Any]
    start: Parameter


class Hashed(Node):
    """``function`` of ``over``, which other fields give."""

    inner: Node
    function: Callable[[Any], Any]
    over: Parameter


class Length(Node):
    """A number of bytes of its `Struct`: of those after it if ``rest``, else of all."""

    inner: Node
    rest: bool
    adjust: int


# -- the rest ---------------------------------------------------------------------------------------


class Opaque(Node):
    """What construct has to do, for a ``reason``; ``closed`` if it can do it alone.

    ``inner`` are the nodes inside it that a message shows, if there is one. ``shows`` is what of its
    value they are: "same" (its value is that of `inner`), "list" (its elements are), or "" (unknown).
    ``note`` says what it does to `inner`, for people: "encrypted".
    """

    reason: str
    closed: bool = False
    inner: Node | None = None
    shows: str = ""
    note: str = ""
    members: Collection[Member] = ()


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below ``node``."""
    for value in vars(node).values():
        if isinstance(value, Node):
            yield value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, Member):
                    yield item.node
                elif isinstance(item, Node):
                    yield item
                elif isinstance(item, tuple):
                    yield item[1]
        elif isinstance(value, dict):
            yield from (item for item in value.values() if isinstance(item, Node))
