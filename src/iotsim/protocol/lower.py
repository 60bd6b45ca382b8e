"""Lowering: from construct's classes to `iotsim.protocol.nodes`, once for a schema.

This is the one place that knows what construct's classes are called and how they behave. Each kind has a
function here. A class that has none is an adapter whose functions look at nothing but their value, or a
`nodes.Opaque`, which construct can do alone if nothing in it looks outside (`iotsim.protocol.reach`).
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import construct as c
from construct.lib import bits2bytes, bytes2bits

from iotsim.errors import ProtocolError
from iotsim.protocol import nodes as n
from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.functions import as_expression, by_value, ignores, is_function
from iotsim.protocol.native import Around, Derived, Native, Wrapped
from iotsim.protocol.payloads import Cbor, Json, Payload, Text
from iotsim.protocol.reach import reach, reach_of_function
from iotsim.protocol.tree import children, is_kept, only_named, refuses_others, unnamed, zeroed
from iotsim.protocol.verified import Checksum, Length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Lower = Callable[["_Lowering", Any], n.Node]


def lower(message: c.Construct[Any, Any], strict: bool = True) -> n.Node:
    """The nodes of a schema. What it does not know is opaque. ``strict``: as in `Protocol`.

    Raises ProtocolError for what no datagram should ever reach.
    """
    return _Lowering(strict).node(message)


class _Lowering:
    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.made: dict[tuple[int, bool], n.Node] = {}
        self.bits = False
        """Whether it is inside a `nodes.BitWord`."""
        self.inside_lazy = False

    def node(self, construct: Any) -> n.Node:
        key = id(construct), self.bits
        if key not in self.made:
            hook, bare = None, construct
            while isinstance(bare, c.Renamed | c.Compiled):
                if isinstance(bare, c.Renamed):
                    hook, bare = hook or bare.parsed, bare.subcon
                else:
                    bare = bare.defersubcon
            made = self.lower(bare)
            if hook is not None:
                made = n.Opaque(origin=bare, reason="a hook", inner=made, shows="same")
            self.made[key] = made
        return self.made[key]

    def lower(self, construct: Any) -> n.Node:
        kind = type(construct)
        try:
            if self.bits and kind in _KINDS and kind not in _AMONG_BITS:
                raise _Strange("bytes among bits")
            return _KINDS.get(kind, _other)(self, construct)
        except _Strange as strange:
            return self.opaque(construct, str(strange))

    def around(self, make: Callable[..., n.Node], construct: Any, /, **more: Any) -> n.Node:
        """A node of the same size as the one inside."""
        inner = self.node(construct.subcon)
        return make(origin=construct, size=inner.size, inner=inner, **more)

    def opaque(self, construct: Any, reason: str, *, alone: bool = False) -> n.Opaque:
        """A node that is left to construct; ``alone`` if it may do it alone though its class is unknown."""
        kind = type(construct)
        below = [self.node(child) for child in children(construct)]
        inner = getattr(construct, "subcon", None)
        made = n.Opaque(
            origin=construct,
            size=_size(construct),
            reason=reason,
            below=below,
            inner=None if inner is None else self.node(inner),
            shows="list" if kind in _LISTS else "same",
        )
        if isinstance(construct, c.Adapter) and kind not in _KINDS:
            made.shows = ""
        if alone or kind in _ALONE or (kind in _KINDS and kind not in _LOOKS_AROUND):
            found = [*map(reach_of_function, _functions(construct)), *map(reach, below)]
            made.reach = max(found, default=0) - isinstance(construct, _OPENING)
        return made

    def members(self, construct: Any) -> list[n.Member]:
        flat = isinstance(construct, FlatStruct)
        made = []
        for member in construct.subcons:
            if not isinstance(member.name, str | None):
                raise ProtocolError(f"the name {member.name!r} of a member is no text")
            name = member.name or ""
            kept = is_kept(member)
            made.append(
                n.Member(
                    name=name,
                    node=self.node(zeroed(member) if kept else member),
                    doc=_doc(member),
                    flat=flat_names(member) if flat and not member.name else (),
                    kept=kept,
                )
            )
        return made

    @contextmanager
    def inside_bits(self) -> Iterator[None]:
        self.bits = True
        try:
            yield
        finally:
            self.bits = False


class _Strange(Exception):  # noqa: N818  # never leaves this module
    """A known construct, used in a way that has no node."""


_KINDS: dict[type, Lower] = {
    type(c.VarInt): lambda low, it: n.VarInteger(origin=it, zigzag=False),
    type(c.ZigZag): lambda low, it: n.VarInteger(origin=it, zigzag=True),
    type(c.GreedyBytes): lambda low, it: n.Data(origin=it, length=None),
    c.Const: lambda low, it: low.around(n.Const, it, value=it.value),
    c.Default: lambda low, it: low.around(n.Default, it, value=as_expression(it.value)),
    c.Rebuild: lambda low, it: low.around(n.Rebuilt, it, value=as_expression(it.func)),
    c.Computed: lambda low, it: n.Computed(origin=it, size=0, value=as_expression(it.func)),
    c.Check: lambda low, it: n.Check(origin=it, size=0, test=as_expression(it.func)),
    type(c.Pass): lambda low, it: n.Nothing(origin=it, size=0),
    type(c.Error): lambda low, it: n.Fail(origin=it),
    type(c.Terminated): lambda low, it: n.End(origin=it, size=0),
    type(c.Tell): lambda low, it: n.Tell(origin=it, size=0),
    c.Struct: lambda low, it: _group(low, it, n.Struct),
    FlatStruct: lambda low, it: _group(low, it, n.Struct, flat=True),
    c.Sequence: lambda low, it: _group(low, it, n.Sequence),
    c.Select: lambda low, it: n.Select(origin=it, choices=list(map(low.node, it.subcons))),
    c.RawCopy: lambda low, it: low.around(n.RawCopy, it),
    Length: lambda low, it: low.around(n.Length, it, rest=it.of == "rest", adjust=it.adjust),
}
_AMONG_BITS: set[type] = {
    *(c.Const, c.Default, c.Rebuild, c.Computed, c.Check, type(c.Pass), type(c.Error)),
    *(c.Struct, FlatStruct, c.Sequence, c.Select, Length),
}
"""Kinds that are not of bytes only."""


def _lowers(*kinds: type, bits: bool = False) -> Callable[[Lower], Lower]:
    """For a function that lowers constructs of these classes; ``bits``: also among bits."""

    def register(make: Lower) -> Lower:
        _KINDS.update(dict.fromkeys(kinds, make))
        _AMONG_BITS.update(kinds if bits else ())
        return make

    return register


# -- what is left to construct ------------------------------------------------------------------------

_LISTS = (c.Array, c.GreedyRange, c.RepeatUntil, c.LazyArray)
_OPENING = (c.Struct, c.Sequence, c.FocusedSeq)
_ALONE = frozenset(
    (
        *(c.Peek, c.RepeatUntil, c.NamedTuple, c.Compressed, c.Slicing, c.Indexing),
        *(c.ProcessXor, c.ProcessRotateLeft, Wrapped),
    )
)
"""Classes without a node of their own that depend on nothing but their parameters and what is inside."""
_LOOKS_AROUND = frozenset(
    (c.RawCopy, c.Checksum, Checksum, Native, Derived, type(c.Tell), type(c.Terminated))
)
_OF_BYTES = frozenset(("decodefunc", "encodefunc", "decoder", "encoder"))


def _functions(construct: Any) -> Iterator[Any]:
    """The functions of a construct that are given its context."""
    without = _OF_BYTES.union(getattr(type(construct), "shapeless", ()))
    for name, value in vars(construct).items():
        if not callable(value) or name in without or (name == "predicate" and ignores(value, 2)):
            continue
        module = str(getattr(value, "__module__", "")).partition(".")[0]
        simple = as_expression(value)
        if not is_function(simple) or module != "construct":
            yield simple


def _size(construct: Any) -> int | None:
    try:
        size = int(construct.sizeof())
    except Exception:  # functions of the user's are called by it
        return None
    return size if size >= 0 else None


def _doc(member: Any) -> str:
    while isinstance(member, c.Renamed):
        if member.docs:
            return str(member.docs)
        member = member.subcon
    return ""


# -- single values ----------------------------------------------------------------------------------


@_lowers(c.FormatField)
def _number(low: _Lowering, it: Any) -> n.Node:
    order, code = it.fmtstr[0], it.fmtstr[1]
    if order == "=":
        order = "<" if sys.byteorder == "little" else ">"
    return n.Number(origin=it, size=it.length, code=code, order="" if it.length == 1 else order)


@_lowers(type(c.Flag), bits=True)
def _flag(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        return n.Bits(origin=it, size=1, signed=False, flag=True)
    return n.Number(origin=it, size=1, code="?", order="")


@_lowers(c.BytesInteger)
def _integer(low: _Lowering, it: Any) -> n.Node:
    _see_to_constants(it)
    return n.Integer(origin=it, size=it.length, little=bool(it.swapped), signed=bool(it.signed))


@_lowers(c.BitsInteger, bits=True)
def _bits(low: _Lowering, it: Any) -> n.Node:
    _see_to_constants(it)
    if not low.bits or it.swapped:
        raise _Strange("bits in an uncommon place or order")
    return n.Bits(origin=it, size=it.length, signed=bool(it.signed), flag=False)


def _see_to_constants(it: Any) -> None:
    """Of an integer that is of one form only."""
    if (
        not isinstance(it.length, int)
        or it.length < 1
        or callable(it.signed)
        or callable(it.swapped)
    ):
        raise _Strange("an integer of varying length, sign or order")


@_lowers(c.Bytes)
def _data(low: _Lowering, it: Any) -> n.Node:
    length = as_expression(it.length)
    return n.Data(origin=it, size=_count(length), length=length)


def _count(length: Any) -> int | None:
    """The number that a length is; None if it varies."""
    if callable(length):
        return None
    if not isinstance(length, int) or length < 0:
        raise _Strange("a length that is none")
    return int(length)


@_lowers(c.StringEncoded)
def _text(low: _Lowering, it: Any) -> n.Node:
    if not isinstance(low.node(it.subcon), n.Data | n.Chunk):
        raise _Strange("text of what is no bytes")
    return low.around(n.Text, it, encoding=it.encoding)


@_lowers(c.Enum, c.FlagsEnum, c.Mapping, bits=True)
def _names(low: _Lowering, it: Any) -> n.Node:
    inner = low.node(it.subcon)
    if not isinstance(inner, n.INTEGERS) or (isinstance(inner, n.Number) and inner.code in "efd?"):
        raise _Strange(f"names for {type(it.subcon).__name__}")
    decoded: dict[Any, Any] = {}
    if type(it) is c.FlagsEnum:
        kind, encoded = "flags", {str(name): int(mask) for name, mask in it.flags.items()}
    elif type(it) is c.Enum:
        kind = "enum"
        decoded = {int(number): str.__str__(name) for number, name in it.decmapping.items()}
        encoded = {str.__str__(name): int(number) for name, number in it.encmapping.items()}
    else:
        kind, decoded, encoded = "mapping", dict(it.decmapping), dict(it.encmapping)
    return low.around(n.Names, it, kind=kind, decoded=decoded, encoded=encoded)


@_lowers(Derived, bits=True)
def _derived(low: _Lowering, it: Any) -> n.Node:
    like, value = low.node(it.subcon), as_expression(it.function)
    return n.Derived(origin=it, size=0, like=like, value=value)


@_lowers(c.Hex, c.HexDump, bits=True)
def _same(low: _Lowering, it: Any) -> n.Node:
    """What only shows its value in another way; it does not give what is built of more than it is given."""
    inner = low.node(it.subcon)
    sized = inner.size is not None or isinstance(inner, n.Data | n.Text)
    # Of a Flag, or of what an adapter gives, Hex makes an integer.
    flag = getattr(inner, "flag", False) or getattr(inner, "code", "") == "?"
    if not sized or flag or not isinstance(inner, _PRIMITIVE | n.Names):
        raise _Strange(type(it).__name__)
    return inner


@_lowers(Native)
def _native(low: _Lowering, it: Any) -> n.Node:
    names, like = flat_names(it.subcon), low.node(it.subcon)
    functions = {"decode": it.decode, "encode": it.encode, "tell": it.tell}
    return n.Native(origin=it, like=like, names=names, **functions, plain=it.plain)


@_lowers(Cbor, Json, Payload, Text, bits=True)
def _coded(low: _Lowering, it: Any) -> n.Node:
    more = {"kind": it.kind, "wire": it.wire, "odd": it.odd}
    return low.around(n.Coded, it, decode=it.decode, encode=it.encode, **more)


# -- groups -----------------------------------------------------------------------------------------


@_lowers(c.FocusedSeq, bits=True)
def _focused(low: _Lowering, it: Any) -> n.Node:
    selected = it.parsebuildfrom
    if isinstance(selected, str) and all(m.name != selected for m in it.subcons):
        raise ProtocolError(f"a FocusedSeq has no member {selected!r} that it could select")
    if not isinstance(selected, str) or sum(m.name == selected for m in it.subcons) != 1:
        raise _Strange("FocusedSeq of a varying member")
    return _group(low, it, n.Focused, selected=selected)


def _group(low: _Lowering, it: Any, kind: Callable[..., n.Node], **more: Any) -> n.Node:
    members = low.members(it)
    sizes = [member.node.size for member in members]
    size = None if None in sizes else sum(size for size in sizes if size is not None)
    node = kind(origin=it, size=size, members=members, **more)
    if not any(isinstance(unnamed(member), c.StopIf) for member in it.subcons):
        return node
    made = low.opaque(it, "StopIf")
    if kind is n.Struct:
        made.members = members
    else:
        made.inner = node
    return made


@_lowers(c.Switch, bits=True)
def _switch(low: _Lowering, it: Any) -> n.Node:
    cases = {key: low.node(case) for key, case in it.cases.items()}
    # A strict protocol refuses keys without a case.
    default = low.node(c.Error if low.strict and refuses_others(it) else it.default)
    size = _common_size([*cases.values(), default])
    return n.Switch(
        origin=it, size=size, key=as_expression(it.keyfunc), cases=cases, default=default
    )


@_lowers(c.IfThenElse, bits=True)
def _if(low: _Lowering, it: Any) -> n.Node:
    branches = []
    rest = it
    while isinstance(rest, c.IfThenElse):
        branches.append((as_expression(rest.condfunc), low.node(rest.thensubcon)))
        rest = only_named(rest.elsesubcon)
    branches.append((True, low.node(rest)))
    return n.If(origin=it, size=_common_size([branch for _, branch in branches]), branches=branches)


def _common_size(nodes: list[n.Node]) -> int | None:
    sizes = {node.size for node in nodes if not isinstance(node, n.Fail)}
    return sizes.pop() if len(sizes) == 1 else None


@_lowers(c.GreedyRange)
def _greedy(low: _Lowering, it: Any) -> n.Node:
    if it.discard:
        raise _Strange("discard")
    return n.Repeat(origin=it, inner=low.node(it.subcon), count=None)


@_lowers(c.Array)
def _array(low: _Lowering, it: Any) -> n.Node:
    inner, count = low.node(it.subcon), as_expression(it.count)
    number = _count(count)
    if it.discard:
        raise _Strange("discard")
    if inner.size == 0 and (number is None or number >= 1000):
        raise _Strange("elements of no bytes")
    size = None if number is None or inner.size is None else number * inner.size
    return n.Repeat(origin=it, size=size, inner=inner, count=count)


# -- data within data -------------------------------------------------------------------------------


@_lowers(c.Prefixed)
def _prefixed(low: _Lowering, it: Any) -> n.Node:
    length, inner = low.node(it.lengthfield), low.node(it.subcon)
    if it.includelength and length.size is None:
        raise _Strange("a length of varying length")
    return n.Prefixed(origin=it, length=length, inner=inner, inclusive=bool(it.includelength))


@_lowers(c.FixedSized)
def _window(low: _Lowering, it: Any) -> n.Node:
    length = as_expression(it.length)
    return n.Window(origin=it, size=_count(length), inner=low.node(it.subcon), length=length)


@_lowers(c.Padded, bits=True)
def _padded(low: _Lowering, it: Any) -> n.Node:
    length, inner = as_expression(it.length), low.node(it.subcon)
    size = _count(length)
    if low.bits and (not isinstance(inner, n.Nothing) or size is None or it.pattern != b"\x00"):
        raise _Strange("padding of an uncommon kind")
    if size is not None and inner.size is not None and size < inner.size:
        raise _Strange("a length that is too short")
    return n.Padded(
        origin=it, size=size, inner=inner, length=length, pattern=it.pattern, aligned=False
    )


@_lowers(c.Aligned)
def _aligned(low: _Lowering, it: Any) -> n.Node:
    modulus, inner = it.modulus, low.node(it.subcon)
    if not isinstance(modulus, int) or modulus < 2:
        raise _Strange("a modulus that is none")
    size = None if inner.size is None else inner.size + -inner.size % modulus
    return n.Padded(
        origin=it, size=size, inner=inner, length=modulus, pattern=it.pattern, aligned=True
    )


@_lowers(c.NullTerminated)
def _terminated(low: _Lowering, it: Any) -> n.Node:
    if len(it.term) != 1 or it.include or not it.consume or not it.require:
        raise _Strange("NullTerminated of an uncommon kind")
    return n.Terminated(origin=it, inner=low.node(it.subcon), term=bytes(it.term))


@_lowers(c.NullStripped)
def _stripped(low: _Lowering, it: Any) -> n.Node:
    if len(it.pad) != 1:
        raise _Strange("NullStripped of several bytes")
    return n.Stripped(origin=it, inner=low.node(it.subcon), pad=bytes(it.pad))


@_lowers(c.Transformed)
def _transformed(low: _Lowering, it: Any) -> n.Node:
    if it.decodefunc is not bytes2bits or it.encodefunc is not bits2bytes:
        raise _Strange("bytes that are transformed")
    size = it.decodeamount
    with low.inside_bits():
        inner = low.node(it.subcon)
    whole = isinstance(size, int) and size >= 1 and size == it.encodeamount
    if not whole or inner.size != 8 * size:
        return _bit_stream(low, it)
    return n.BitWord(origin=it, size=size, inner=inner)


@_lowers(c.Restreamed)
def _restreamed(low: _Lowering, it: Any) -> n.Node:
    if it.decoder is not bytes2bits:
        raise _Strange("bytes that are transformed")
    return _bit_stream(low, it)


def _bit_stream(low: _Lowering, it: Any) -> n.Node:
    with low.inside_bits():
        return low.opaque(it, "bits of varying length")


# -- computed from bytes ----------------------------------------------------------------------------


@_lowers(Checksum)
def _checksum(low: _Lowering, it: Any) -> n.Node:
    if it.over == "before" and it.key is None:
        return low.around(n.Checksum, it, function=it.function, start=as_expression(it.start))
    made = low.opaque(it, "a checksum of more than the bytes before it, or with a key")
    covered = {"before": "the bytes before", "rest": "what follows", "message": "all bytes"}
    what = "a part" if isinstance(it.over, tuple) else covered[it.over]
    made.note = f"{getattr(it.function, '__name__', 'checksum')} of {what}"
    return made


@_lowers(c.Checksum)
def _hashed(low: _Lowering, it: Any) -> n.Node:
    inner, over = low.node(it.checksumfield), as_expression(it.bytesfunc)
    if is_function(over):
        made = low.opaque(it, "a function")
        made.inner = inner
        return made
    return n.Hashed(origin=it, size=inner.size, inner=inner, function=it.hashfunc, over=over)


# -- the rest ---------------------------------------------------------------------------------------

_REFUSED: dict[type, str] = {
    c.Rebuffered: "the message has a Rebuffered, which waits for ever for bytes that are not there",
    type(c.Pickled): "the message has a Pickled, which would execute what a datagram says",
}
_PRIMITIVE = n.INTEGERS | n.Data | n.Text
_OWN_VALUES = _PRIMITIVE | n.Adapted


def _other(low: _Lowering, it: Any) -> n.Node:
    """A class that has no function: construct's own, or somebody's."""
    for kind, why in _REFUSED.items():
        if isinstance(it, kind):
            raise ProtocolError(why)
    if isinstance(it, c.LazyBound):
        return _lazy(low, it)
    if isinstance(it, c.Union | c.LazyStruct):
        return n.Opaque(origin=it, reason=type(it).__name__, members=low.members(it))
    if isinstance(it, c.Adapter) and type(it) is not c.NamedTuple:
        functions = by_value(it)
        if functions is None:
            return low.opaque(it, f"{type(it).__name__} may look at its context")
        if isinstance(low.node(it.subcon), _OWN_VALUES):
            decode, encode, more = functions
            return low.around(
                n.Adapted, it, decode=decode, encode=encode, more=more, validates=_validates(it)
            )
        return low.opaque(it, "an adapter of several values", alone=True)
    made = low.opaque(it, type(it).__name__)
    if isinstance(it, Around):
        made.note = type(it).__name__.lower()
    return made


def _validates(adapter: Any) -> bool:
    return (
        isinstance(adapter, c.Validator)
        and type(adapter)._decode is c.Validator._decode
        and type(adapter)._encode is c.Validator._encode
    )


def _lazy(low: _Lowering, it: Any) -> n.Opaque:
    """A LazyBound; of one that is inside itself, or another one, no more is known."""
    made = n.Opaque(origin=it, reason="LazyBound", shows="same")
    if not low.inside_lazy:
        low.inside_lazy = True
        try:
            made.inner = low.node(it.subconfunc())
        except Exception:  # the user's function, which may not be meant to be called yet
            made.inner = None
        low.inside_lazy = False
    return made
