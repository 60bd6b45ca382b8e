"""Lowering: from construct's classes to `iotsim.protocol.nodes`, once for a schema.

This is the one place that knows what construct's classes are called and how they behave. A class that is
not in the table is an adapter whose functions look at nothing but their value, or an `nodes.Opaque`. One
that is *closed* can be left to construct alone, in the middle of what is generated: nothing inside it looks
at fields outside of it, at the stream, or at offsets. Any other opaque node leaves the whole message to
construct, since what a function sees then has to be construct's own.
"""

from __future__ import annotations

import functools
import sys
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

import construct as c
from construct.lib import bits2bytes, bytes2bits

from iotsim.errors import ProtocolError
from iotsim.protocol import nodes as n
from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.functions import as_expression, ignores, is_expression, is_function, paths
from iotsim.protocol.native import Around, Derived, Native, Wrapped
from iotsim.protocol.payloads import Cbor, Json, Payload, Text
from iotsim.protocol.tree import children, unnamed
from iotsim.protocol.verified import Checksum, Length

if TYPE_CHECKING:
    from collections.abc import Callable


def lower(message: c.Construct[Any, Any]) -> n.Node:
    """The nodes of a schema. What it does not know is opaque.

    Raises ProtocolError for what no datagram should ever reach.
    """
    return _Lowering().node(message)


class _Lowering:
    def __init__(self) -> None:
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
            made = self._lower(bare)
            if hook is not None:
                made = n.Opaque(origin=bare, reason="a hook", inner=made, shows="same")
            self.made[key] = made
        return self.made[key]

    def _lower(self, construct: Any) -> n.Node:
        try:
            made = _ONES.get(id(construct)) or _KINDS.get(type(construct))
            if made is not None:
                return made(self, construct)
            return _other(self, construct)
        except _Strange as strange:
            shows, _ = _SHOWS.get(type(construct), ("same", None))
            return self.opaque(construct, str(strange), shows=shows)

    def opaque(
        self, construct: Any, reason: str, inner: Any = None, shows: str = "same"
    ) -> n.Opaque:
        """A node that is left to construct. `inner` is the construct that it shows."""
        if inner is None and isinstance(construct, c.Subconstruct):
            inner = construct.subcon
        return n.Opaque(
            origin=construct,
            size=self.size(construct),
            reason=reason,
            closed=not self.bits and is_closed(construct),
            inner=None if inner is None else self.node(inner),
            shows=shows,
        )

    def lazy(self, it: Any) -> n.Opaque:
        """A LazyBound; of one that is inside itself, or another one, no more is known."""
        made = n.Opaque(origin=it, reason="LazyBound", shows="same")
        if not self.inside_lazy:
            self.inside_lazy = True
            try:
                made.inner = self.node(it.subconfunc())
            except Exception:  # the user's function, which may not be meant to be called yet
                made.inner = None
            self.inside_lazy = False
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

    def size(self, construct: Any) -> int | None:
        try:
            size = int(construct.sizeof())
        except Exception:  # functions of the user's are called by it
            return None
        return size if size >= 0 else None


class _Strange(Exception):  # noqa: N818  # never leaves this module
    """A known construct, used in a way that has no node."""


def is_kept(member: Any) -> bool:
    """Whether a member's name is private although building it takes a value."""
    name = member.name or ""
    return name.startswith("_") and name not in _OWN_NAMES and not member.flagbuildnone


_OWN_NAMES = frozenset({"_", "_io", "_root", "_index", "_params", "_subcons"})


def zeroed(member: Any) -> Any:
    """A member that is built of zeros where no value is given, if it has such."""
    bare = unnamed(member)
    try:
        return c.Default(bare, bare.parse(bytes(bare.sizeof())))
    except Exception:  # of a varying size, or zeros are no value of it
        integers = c.Bytes | c.BytesInteger | c.BitsInteger | type(c.VarInt) | type(c.ZigZag)
        return c.Default(bare, 0) if isinstance(bare, integers) else member


def _doc(member: Any) -> str:
    while isinstance(member, c.Renamed):
        if member.docs:
            return str(member.docs)
        member = member.subcon
    return ""


# -- single values ----------------------------------------------------------------------------------


def _number(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        raise _Strange("bytes among bits")
    order, code = it.fmtstr[0], it.fmtstr[1]
    if order == "=":
        order = "<" if sys.byteorder == "little" else ">"
    return n.Number(origin=it, size=it.length, code=code, order="" if it.length == 1 else order)


def _flag(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        return n.Bits(origin=it, size=1, signed=False, flag=True)
    return n.Number(origin=it, size=1, code="?", order="")


def _integer(low: _Lowering, it: Any) -> n.Node:
    if low.bits or not isinstance(it.length, int) or it.length < 1 or callable(it.swapped):
        raise _Strange("an integer of varying length or order")
    return n.Integer(
        origin=it, size=it.length, little=bool(it.swapped), signed=_fixed(it.signed, "sign")
    )


def _bits(low: _Lowering, it: Any) -> n.Node:
    if not low.bits or not isinstance(it.length, int) or it.length < 1 or it.swapped:
        raise _Strange("bits of varying length or order")
    return n.Bits(origin=it, size=it.length, signed=_fixed(it.signed, "sign"), flag=False)


def _fixed(parameter: Any, what: str) -> bool:
    if callable(parameter):
        raise _Strange(f"a varying {what}")
    return bool(parameter)


def _varint(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        raise _Strange("bytes among bits")
    return n.VarInteger(origin=it, zigzag=it is c.ZigZag)


def _data(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        raise _Strange("bytes among bits")
    if it is c.GreedyBytes:
        return n.Data(origin=it, length=None)
    length = as_expression(it.length)
    return n.Data(origin=it, size=_count(length), length=length)


def _count(length: Any) -> int | None:
    """The number that a length is; None if it varies."""
    if callable(length):
        return None
    if not isinstance(length, int) or length < 0:
        raise _Strange("a length that is none")
    return int(length)


def _text(low: _Lowering, it: Any) -> n.Node:
    inner = low.node(it.subcon)
    if not isinstance(inner, n.Data | n.Window | n.Prefixed | n.Terminated | n.Stripped):
        raise _Strange("text of what is no bytes")
    return n.Text(origin=it, size=inner.size, inner=inner, encoding=it.encoding)


_INTEGERS = n.Number | n.Integer | n.VarInteger | n.Bits


def _names(low: _Lowering, it: Any) -> n.Node:
    inner = low.node(it.subcon)
    kind = {c.Enum: "enum", c.FlagsEnum: "flags"}.get(type(it), "mapping")
    if kind == "flags":
        decoded: Any = {}
        encoded = {str(name): int(mask) for name, mask in it.flags.items()}
    elif kind == "enum":
        decoded = {int(number): str.__str__(name) for number, name in it.decmapping.items()}
        encoded = {str.__str__(name): int(number) for name, number in it.encmapping.items()}
    else:
        decoded, encoded = dict(it.decmapping), dict(it.encmapping)
    if not isinstance(inner, _INTEGERS) or (isinstance(inner, n.Number) and inner.code in "efd?"):
        raise _Strange(f"names for {type(it.subcon).__name__}")
    return n.Names(
        origin=it, size=inner.size, inner=inner, kind=kind, decoded=decoded, encoded=encoded
    )


def _const(low: _Lowering, it: Any) -> n.Node:
    inner = low.node(it.subcon)
    return n.Const(origin=it, size=inner.size, inner=inner, value=it.value)


def _default(low: _Lowering, it: Any) -> n.Node:
    inner = low.node(it.subcon)
    return n.Default(origin=it, size=inner.size, inner=inner, value=as_expression(it.value))


def _rebuilt(low: _Lowering, it: Any) -> n.Node:
    inner = low.node(it.subcon)
    return n.Rebuilt(origin=it, size=inner.size, inner=inner, value=as_expression(it.func))


def _same(low: _Lowering, it: Any) -> n.Node:
    """What only shows its value in another way; it does not give what is built of more than it is given."""
    inner = low.node(it.subcon)
    sized = inner.size is not None or isinstance(inner, n.Data | n.Text)
    if not sized or not isinstance(inner, _OWN_VALUES | n.Names):
        raise _Strange(type(it).__name__)
    return inner


def _computed(low: _Lowering, it: Any) -> n.Node:
    return n.Computed(origin=it, size=0, value=as_expression(it.func))


def _native(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        raise _Strange("bytes among bits")
    names = flat_names(it.subcon)
    like = low.node(it.subcon)
    return n.Native(origin=it, like=like, names=names, decode=it.decode, encode=it.encode)


def _derived(low: _Lowering, it: Any) -> n.Node:
    like = low.node(it.subcon)
    return n.Derived(origin=it, size=0, like=like, value=as_expression(it.function))


def _coded(low: _Lowering, it: Any) -> n.Node:
    inner = low.node(it.subcon)
    return n.Coded(
        origin=it,
        size=inner.size,
        inner=inner,
        decode=it.decode,
        encode=it.encode,
        kind=it.kind,
        wire=it.wire,
        odd=it.odd,
    )


def _check(low: _Lowering, it: Any) -> n.Node:
    return n.Check(origin=it, size=0, test=as_expression(it.func))


# -- groups -----------------------------------------------------------------------------------------


def _struct(low: _Lowering, it: Any) -> n.Node:
    members = low.members(it)
    if any(isinstance(unnamed(member), c.StopIf) for member in it.subcons):
        return n.Opaque(
            origin=it, reason="StopIf", closed=not low.bits and is_closed(it), members=members
        )
    return n.Struct(
        origin=it, size=_total(members), members=members, flat=isinstance(it, FlatStruct)
    )


def _total(members: list[n.Member]) -> int | None:
    sizes = [member.node.size for member in members]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _sequence(low: _Lowering, it: Any) -> n.Node:
    members = low.members(it)
    return _unless_stopped(low, n.Sequence(origin=it, size=_total(members), members=members))


def _focused(low: _Lowering, it: Any) -> n.Node:
    members, selected = low.members(it), it.parsebuildfrom
    if isinstance(selected, str) and all(m.name != selected for m in members):
        raise ProtocolError(f"a FocusedSeq has no member {selected!r} that it could select")
    if not isinstance(selected, str) or sum(m.name == selected for m in members) != 1:
        raise _Strange("FocusedSeq of a varying member")
    return _unless_stopped(
        low, n.Focused(origin=it, size=_total(members), members=members, selected=selected)
    )


def _unless_stopped(low: _Lowering, node: n.Sequence | n.Focused) -> n.Node:
    """``node``, which is left to construct if it has a StopIf."""
    it = node.origin
    if not any(isinstance(unnamed(member), c.StopIf) for member in it.subcons):
        return node
    closed = not low.bits and is_closed(it)
    return n.Opaque(origin=it, reason="StopIf", closed=closed, inner=node, shows="same")


def _switch(low: _Lowering, it: Any) -> n.Node:
    cases = {key: low.node(case) for key, case in it.cases.items()}
    default = None if refuses_others(it) else low.node(it.default)
    sizes = {case.size for case in (*cases.values(), *([default] if default else []))}
    size = sizes.pop() if len(sizes) == 1 else None
    return n.Switch(
        origin=it, size=size, key=as_expression(it.keyfunc), cases=cases, default=default
    )


def _remember_defaults() -> None:
    """Let a Switch know whether it was given a default.

    construct puts Pass where none is given, so that afterwards ``default=Pass`` looks the same.
    """
    switch: Any = c.Switch
    make = switch.__init__

    @functools.wraps(make)
    def init(self: Any, keyfunc: Any, cases: Any, default: Any = None) -> None:
        make(self, keyfunc, cases, default)
        self.default_given = default is not None

    switch.__init__ = init


_remember_defaults()


def refuses_others(switch: Any) -> bool:
    """Whether a Switch has no default, so that a strict protocol refuses keys without a case."""
    return switch.default is c.Pass and not getattr(switch, "default_given", False)


def _if(low: _Lowering, it: Any) -> n.Node:
    branches = []
    rest = it
    while isinstance(rest, c.IfThenElse):
        branches.append((as_expression(rest.condfunc), low.node(rest.thensubcon)))
        rest = unnamed(rest.elsesubcon) if _plain_name(rest.elsesubcon) else rest.elsesubcon
    branches.append((True, low.node(rest)))
    sizes = {branch.size for _, branch in branches}
    return n.If(origin=it, size=sizes.pop() if len(sizes) == 1 else None, branches=branches)


def _plain_name(node: Any) -> bool:
    """Whether its names can be looked through, which have no hook."""
    while isinstance(node, c.Renamed):
        if node.parsed is not None:
            return False
        node = node.subcon
    return True


def _select(low: _Lowering, it: Any) -> n.Node:
    choices = [low.node(choice) for choice in it.subcons]
    return n.Select(origin=it, choices=choices)


def _repeat(low: _Lowering, it: Any) -> n.Node:
    if it.discard:
        raise _Strange("discard")
    inner = low.node(it.subcon)
    if type(it) is c.GreedyRange:
        if low.bits:
            raise _Strange("an array among bits")
        return n.Repeat(origin=it, inner=inner, count=None)
    count = as_expression(it.count)
    number = _count(count)
    if low.bits or (inner.size == 0 and not (number is not None and number < 1000)):
        raise _Strange("an array among bits" if low.bits else "elements of no bytes")
    size = None if number is None or inner.size is None else number * inner.size
    return n.Repeat(origin=it, size=size, inner=inner, count=count)


# -- data within data -------------------------------------------------------------------------------


def _prefixed(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        raise _Strange("bytes among bits")
    length = low.node(it.lengthfield)
    if it.includelength and length.size is None:
        raise _Strange("a length of varying length")
    return n.Prefixed(
        origin=it, length=length, inner=low.node(it.subcon), inclusive=bool(it.includelength)
    )


def _window(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        raise _Strange("bytes among bits")
    length = as_expression(it.length)
    return n.Window(origin=it, size=_count(length), inner=low.node(it.subcon), length=length)


def _padded(low: _Lowering, it: Any) -> n.Node:
    length, inner = as_expression(it.length), low.node(it.subcon)
    number = _count(length)
    if low.bits and (not isinstance(inner, n.Nothing) or number is None or it.pattern != b"\x00"):
        raise _Strange("padding of an uncommon kind")
    if number is not None and inner.size is not None and number < inner.size:
        raise _Strange("a length that is too short")
    return n.Padded(origin=it, size=number, inner=inner, length=length, pattern=it.pattern)


def _aligned(low: _Lowering, it: Any) -> n.Node:
    if low.bits or not isinstance(it.modulus, int) or it.modulus < 2:
        raise _Strange("a modulus that is none")
    inner = low.node(it.subcon)
    size = None if inner.size is None else inner.size + -inner.size % it.modulus
    return n.Aligned(origin=it, size=size, inner=inner, modulus=it.modulus, pattern=it.pattern)


def _terminated(low: _Lowering, it: Any) -> n.Node:
    if low.bits or len(it.term) != 1 or it.include or not it.consume or not it.require:
        raise _Strange("NullTerminated of an uncommon kind")
    return n.Terminated(origin=it, inner=low.node(it.subcon), term=bytes(it.term))


def _stripped(low: _Lowering, it: Any) -> n.Node:
    if low.bits or len(it.pad) != 1:
        raise _Strange("NullStripped of several bytes")
    return n.Stripped(origin=it, inner=low.node(it.subcon), pad=bytes(it.pad))


def _transformed(low: _Lowering, it: Any) -> n.Node:
    size = it.decodeamount
    if it.decodefunc is not bytes2bits or it.encodefunc is not bits2bytes or low.bits:
        return low.opaque(it, "bytes that are transformed")
    if not isinstance(size, int) or size < 1 or size != it.encodeamount:
        return _bit_stream(low, it)
    inner = _inside_bits(low, it.subcon)
    if inner.size != 8 * size:
        return n.Opaque(origin=it, reason="bits of varying length", inner=inner, shows="same")
    return n.BitWord(origin=it, size=size, inner=inner)


def _bit_stream(low: _Lowering, it: Any) -> n.Node:
    closed = not low.bits and is_closed(it)
    inner = _inside_bits(low, it.subcon)
    return n.Opaque(
        origin=it, reason="bits of varying length", closed=closed, inner=inner, shows="same"
    )


def _inside_bits(low: _Lowering, construct: Any) -> n.Node:
    low.bits = True
    try:
        return low.node(construct)
    finally:
        low.bits = False


def _restreamed(low: _Lowering, it: Any) -> n.Node:
    if it.decoder is bytes2bits and not low.bits:
        return _bit_stream(low, it)
    return low.opaque(it, "bytes that are transformed")


def _raw(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        raise _Strange("bytes among bits")
    inner = low.node(it.subcon)
    return n.RawCopy(origin=it, size=inner.size, inner=inner)


# -- computed from bytes ----------------------------------------------------------------------------


def _checksum(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        raise _Strange("a checksum among bits")
    if it.over != "before" or it.key is not None:
        made = low.opaque(it, "a checksum of more than the bytes before it, or with a key")
        covered = {"before": "the bytes before", "rest": "what follows", "message": "all bytes"}
        what = "a part" if isinstance(it.over, tuple) else covered[it.over]
        made.note = f"{getattr(it.function, '__name__', 'checksum')} of {what}"
        return made
    inner = low.node(it.subcon)
    return n.Checksum(
        origin=it,
        size=inner.size,
        inner=inner,
        function=it.function,
        start=as_expression(it.start),
    )


def _hashed(low: _Lowering, it: Any) -> n.Node:
    inner = low.node(it.checksumfield)
    over = as_expression(it.bytesfunc)
    if low.bits or is_function(over):
        return low.opaque(it, "a function", it.checksumfield)
    return n.Hashed(origin=it, size=inner.size, inner=inner, function=it.hashfunc, over=over)


def _length(low: _Lowering, it: Any) -> n.Node:
    inner = low.node(it.subcon)
    return n.Length(origin=it, size=inner.size, inner=inner, rest=it.of == "rest", adjust=it.adjust)


# -- the rest ---------------------------------------------------------------------------------------


def _nothing(low: _Lowering, it: Any) -> n.Node:
    return n.Nothing(origin=it, size=0)


def _fail(low: _Lowering, it: Any) -> n.Node:
    return n.Fail(origin=it)


def _end(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        raise _Strange("an end among bits")
    return n.End(origin=it, size=0)


def _tell(low: _Lowering, it: Any) -> n.Node:
    if low.bits:
        raise _Strange("an offset among bits")
    return n.Tell(origin=it, size=0)


_METHODS = ("_parse", "_build", "_parsereport", "parse_stream", "build_stream")
_OWN_VALUES = n.Number | n.Integer | n.VarInteger | n.Bits | n.Data | n.Text | n.Adapted


def _other(low: _Lowering, it: Any) -> n.Node:
    """A class that is not in the table: construct's own, or somebody's."""
    for kind, why in _REFUSED.items():
        if isinstance(it, kind):
            raise ProtocolError(why)
    if isinstance(it, c.Adapter) and _only_adapts(it):
        functions = adapter_functions(it)
        if functions is not None:
            inner = low.node(it.subcon)
            if isinstance(inner, _OWN_VALUES):
                decode, encode, more = functions
                return n.Adapted(
                    origin=it, size=inner.size, inner=inner, decode=decode, encode=encode, more=more
                )
            return low.opaque(it, "an adapter of several values", shows="")
        return low.opaque(it, f"{type(it).__name__} may look at its context", shows="")
    shows, inner = _SHOWS.get(type(it), ("same" if isinstance(it, c.Subconstruct) else "", None))
    if isinstance(it, c.LazyBound):
        return low.lazy(it)
    if isinstance(it, c.Union | c.LazyStruct):
        return n.Opaque(origin=it, reason=type(it).__name__, members=low.members(it))
    made = low.opaque(it, type(it).__name__, inner, shows)
    if isinstance(it, Around):
        made.note = type(it).__name__.lower()
    return made


_REFUSED: dict[type, str] = {
    c.Rebuffered: "the message has a Rebuffered, which waits for ever for bytes that are not there",
    type(c.Pickled): "the message has a Pickled, which would execute what a datagram says",
}
_SHOWS: dict[type, tuple[str, Any]] = {
    c.RepeatUntil: ("list", None),
    c.LazyArray: ("list", None),
    c.Array: ("list", None),
    c.GreedyRange: ("list", None),
    c.Sequence: ("", None),
}


def _only_adapts(it: Any) -> bool:
    kind = type(it)
    return all(getattr(kind, name, None) is getattr(c.Adapter, name, None) for name in _METHODS)


def adapter_functions(it: Any) -> tuple[Callable[..., Any], Callable[..., Any], str] | None:
    """Both functions of an adapter, and what to call them with besides the value.

    None for an adapter that may look at its context.
    """
    if isinstance(it, c.ExprAdapter):
        # Its methods are lambdas of construct's that pass the context on to the user's functions.
        decode, encode = called_by(vars(it)["_decode"]), called_by(vars(it)["_encode"])
        return (decode, encode, ", None") if _alone(decode) and _alone(encode) else None
    if isinstance(it, c.ExprValidator):
        alone = _alone(called_by(vars(it)["_validate"]))
    elif isinstance(it, c.Validator):
        alone = ignores(it._validate, 1, 2)
    else:
        methods = [it._decode] if isinstance(it, c.SymmetricAdapter) else [it._decode, it._encode]
        alone = all(ignores(method, 1, 2) for method in methods)
    return (it._decode, it._encode, ", None, ''") if alone else None


def called_by(function: Any) -> Any:
    """What the lambda that construct made for an ExprAdapter calls."""
    cells = list(function.__closure__ or ())
    return cells[0].cell_contents if len(cells) == 1 else None


def _alone(function: Any) -> bool:
    return isinstance(function, BuiltinFunctionType) or ignores(function, 1)


_CLOSED: frozenset[type] = frozenset(
    {
        *(c.Aligned, c.Array, c.BitsInteger, c.Bytes, c.BytesInteger, c.Check, c.Compressed),
        *(c.Computed, c.Const, c.Default, c.Enum, c.FixedSized, c.FlagsEnum, c.FocusedSeq),
        *(c.FormatField, c.GreedyRange, c.Hex, c.HexDump, c.IfThenElse, c.Mapping),
        *(
            c.NamedTuple,
            c.NullStripped,
            c.NullTerminated,
            c.Padded,
            c.Peek,
            c.Prefixed,
            c.ProcessXor,
        ),
        *(c.ProcessRotateLeft, c.Rebuild, c.Renamed, c.RepeatUntil, c.Restreamed, c.Select),
        *(c.Sequence, c.StopIf, c.StringEncoded, c.Struct, c.Switch, c.Transformed, FlatStruct),
        *(c.Slicing, c.Indexing, Length, Wrapped),
        *(type(c.GreedyBytes), type(c.VarInt), type(c.ZigZag), type(c.Flag), type(c.Pass)),
        type(c.Error),
    }
)
_OPENING = (c.Struct, c.Sequence, c.FocusedSeq)
_STOPPING = (c.Struct, c.Sequence, c.GreedyRange)
_OUTSIDE = frozenset({"_root", "_io", "_index", "_params", "_subcons", "_sizing"})


def is_closed(construct: Any) -> bool:
    """Whether construct can do it alone: nothing in it looks outside, at its stream or at offsets."""
    return _closed(construct, 0, False, set())


def _closed(it: Any, depth: int, stops: bool, seen: set[tuple[int, int, bool]]) -> bool:
    """``depth`` contexts inside the construct that is asked about; ``stops``: a StopIf stops inside it."""
    if (id(it), depth, stops) in seen:
        return True
    seen.add((id(it), depth, stops))
    kind = type(it)
    if kind not in _CLOSED:
        if not (isinstance(it, c.Adapter) and _only_adapts(it)):
            return False
        if adapter_functions(it) is None:
            return False
        return _closed(it.subcon, depth, stops, seen)
    if kind is c.Renamed and it.parsed is not None:
        return False
    if kind is c.StopIf and not stops:
        return False
    inner = depth + isinstance(it, _OPENING)
    stops = stops or isinstance(it, _STOPPING)
    of_bytes = getattr(kind, "shapeless", ())
    for name, value in vars(it).items():
        if name in of_bytes:
            continue
        if is_expression(value):
            if not all(_stays_inside(steps, inner) for steps in paths(value)):
                return False
        elif is_function(value) and not isinstance(value, c.Construct):
            simple = as_expression(value)
            if is_expression(simple):
                if not all(_stays_inside(steps, inner) for steps in paths(simple)):
                    return False
            elif name == "predicate":
                if not ignores(value, 2):
                    return False
            elif _is_foreign(value) and kind not in (c.Transformed, c.Restreamed):
                return False
    return all(_closed(child, inner, stops, seen) for child in children(it))


def _is_foreign(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).partition(".")[0] != "construct"


def _stays_inside(steps: list[Any], depth: int) -> bool:
    """Whether a path, in a context at ``depth``, begins in a context of the construct itself."""
    ups = 0
    while ups < len(steps) and steps[ups] == "_":
        ups += 1
    return ups < depth and ups < len(steps) and steps[ups] not in _OUTSIDE


_KINDS: dict[type, Callable[[_Lowering, Any], n.Node]] = {
    c.FormatField: _number,
    c.BytesInteger: _integer,
    c.BitsInteger: _bits,
    c.Bytes: _data,
    c.StringEncoded: _text,
    c.Enum: _names,
    c.FlagsEnum: _names,
    c.Mapping: _names,
    c.Const: _const,
    c.Default: _default,
    c.Rebuild: _rebuilt,
    c.Hex: _same,
    c.HexDump: _same,
    c.Computed: _computed,
    c.Check: _check,
    c.Struct: _struct,
    FlatStruct: _struct,
    c.Sequence: _sequence,
    c.FocusedSeq: _focused,
    c.Switch: _switch,
    c.IfThenElse: _if,
    c.Select: _select,
    c.Array: _repeat,
    c.GreedyRange: _repeat,
    c.Prefixed: _prefixed,
    c.FixedSized: _window,
    c.Padded: _padded,
    c.Aligned: _aligned,
    c.NullTerminated: _terminated,
    c.NullStripped: _stripped,
    c.Transformed: _transformed,
    c.Restreamed: _restreamed,
    c.RawCopy: _raw,
    c.Checksum: _hashed,
    Cbor: _coded,
    Json: _coded,
    Payload: _coded,
    Text: _coded,
    Checksum: _checksum,
    Length: _length,
    Native: _native,
    Derived: _derived,
}
_ONES: dict[int, Callable[[_Lowering, Any], n.Node]] = {
    id(c.Flag): _flag,
    id(c.VarInt): _varint,
    id(c.ZigZag): _varint,
    id(c.GreedyBytes): _data,
    id(c.Pass): _nothing,
    id(c.Error): _fail,
    id(c.Terminated): _end,
    id(c.Tell): _tell,
}
