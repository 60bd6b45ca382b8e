"""Nodes: what a schema is made of, after `iotsim.protocol.lower` has read it off construct's classes.

A node says what a construct does, in the fewest kinds that are enough: whoever reads a schema (the table
of fields, the two generators, the values that functions of a schema are given) is a pass over these.
Nothing behind `lower` asks a construct what it is.

Those that passes treat alike have a common base: `Wrapper` and its kinds `Filled` and `Chunk`, `Group`,
`Choice`. What the kinds do not cover is an `Opaque`. One that depends on nothing around it (`reach`) can
be done by construct alone, in the middle of generated code; any other leaves the message to construct.

Parameters (lengths, counts, keys) are constants, or expressions over the fields around (``this.n``), or
functions of the user's, as construct has them; `iotsim.protocol.functions` tells them apart.
"""

from __future__ import annotations

import math
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


class Wrapper(Node):
    """A node whose value is that of ``inner``."""

    inner: Node


class Filled(Wrapper):
    """``inner``, whose value need not be given."""


class Chunk(Wrapper):
    """``inner`` in some bytes of its own."""


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


INTEGERS: TypeAlias = Number | Integer | VarInteger | Bits


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


class Const(Filled):
    """``inner``, whose value is always ``value``."""

    value: Any


class Default(Filled):
    """``inner``, for which ``value`` stands where none is given."""

    value: Parameter


class Rebuilt(Filled):
    """``inner``, always built from ``value``."""

    value: Parameter


class Computed(Node):
    """A value that takes no bytes."""

    value: Parameter


class Adapted(Node):
    """``inner``, whose value passes through functions that look at nothing but it.

    They are called with the value and with ``more`` arguments, which they ignore. ``validates``: they refuse
    a value, or give it back as it is.
    """

    inner: Node
    decode: Callable[..., Any]
    encode: Callable[..., Any]
    more: tuple[Any, ...]
    validates: bool


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
    the place after it, ``encode`` of the value its bytes; ``tell`` of the bytes before it and the value
    its bytes and what those decode to, if that is there. ``plain``: what ``decode`` gives is plain already.

    ``like`` declares how the value looks; ``names`` are its fields, if it is like a struct.
    """

    like: Node
    names: tuple[str, ...]
    decode: Callable[[bytes, int], tuple[Any, int]]
    encode: Callable[[Any], bytes]
    tell: Callable[[bytes, Any], tuple[bytes, Any]] | None = None
    plain: bool = False


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


class Group(Node):
    """Several nodes, whose functions have a context of their own."""

    members: list[Member]


class Struct(Group):
    """Members by name. ``flat``: it is a `FlatStruct`."""

    flat: bool = False


class Sequence(Group):
    """Members by place."""


class Focused(Group):
    """The value of one of several members, by its name."""

    selected: str


class Choice(Node):
    """One of several nodes, which the fields around decide."""


class Switch(Choice):
    """One of several nodes, by ``key``."""

    key: Parameter
    cases: dict[Any, Node]
    default: Node


class If(Choice):
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


class Prefixed(Chunk):
    """``inner`` after its length in bytes, which counts itself if ``inclusive``."""

    length: Node
    inclusive: bool


class Window(Chunk):
    """``inner`` in exactly ``length`` bytes, of which it sees no others."""

    length: Parameter


class Padded(Chunk):
    """``inner``, and ``pattern`` up to ``length`` bytes, or up to a multiple of ``length`` if ``aligned``."""

    length: Parameter
    pattern: bytes
    aligned: bool


class Terminated(Chunk):
    """``inner`` in the bytes before ``term``, a single one."""

    term: bytes


class Stripped(Chunk):
    """``inner`` in the bytes that are left but for ``pad``, a single one, at the end."""

    pad: bytes


class BitWord(Wrapper):
    """``inner`` in the bits of ``size`` bytes, the highest first."""


class RawCopy(Node):
    """``inner``, with its bytes and offsets."""

    inner: Node


# -- computed from bytes ----------------------------------------------------------------------------


class Checksum(Filled):
    """``function`` of the bytes before it, from the offset ``start`` on."""

    function: Callable[[bytes], Any]
    start: Parameter


class Hashed(Filled):
    """``function`` of ``over``, which other fields give."""

    function: Callable[[Any], Any]
    over: Parameter


class Length(Filled):
    """A number of bytes of its `Struct`: of those after it if ``rest``, else of all."""

    rest: bool
    adjust: int


# -- the rest ---------------------------------------------------------------------------------------


class Opaque(Node):
    """What construct has to do, for a ``reason``.

    ``reach`` is how far it looks outside (see `reach`).
    ``below`` are all nodes inside it. ``inner`` is the one that a message shows, if there is such a one, and
    ``shows`` what of its value it is: "same" (its value is that of `inner`), "list" (its elements are), or
    "" (unknown). ``note`` says what it does to `inner`, for people: "encrypted".
    """

    reason: str
    reach: float = math.inf
    below: Collection[Node] = ()
    inner: Node | None = None
    shows: str = ""
    note: str = ""
    members: Collection[Member] = ()


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below ``node``."""
    for value in vars(node).values():
        values = list(value.values()) if isinstance(value, dict) else value
        for item in values if isinstance(values, list) else [values]:
            if isinstance(item, Member):
                yield item.node
            elif isinstance(item, tuple) and item and isinstance(item[-1], Node):
                yield item[-1]
            elif isinstance(item, Node):
                yield item
