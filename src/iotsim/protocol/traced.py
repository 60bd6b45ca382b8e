"""Traced schemas: copies that are strict, and that say where they failed.

In the copy (`Tracer.copy`) the classes of some nodes are other ones, or they are wrapped:

`places`   what notes the path and the offset of an error, and refuses elements of no bytes, of which hostile
           input could ask for ever
`strict`   what refuses what construct passes in silence
`guarded`  functions and adapters that are the user's, whose errors are errors of the message

The values are construct's own.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import construct as c

from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.functions import is_function
from iotsim.protocol.guarded import guarded, is_constructs, is_users
from iotsim.protocol.lower import lower
from iotsim.protocol.native import Around, Derived, Native
from iotsim.protocol.places import (
    Element,
    OtherStream,
    Parts,
    Place,
    QuickElement,
    Reached,
    Recorder,
    holds_lazy,
)
from iotsim.protocol.strict import (
    Branch,
    Conditional,
    Kept,
    LazyBound,
    NamedTuple,
    Selecting,
    StrictFlatStruct,
    StrictLazyStruct,
    StrictNative,
    StrictSelect,
    StrictStruct,
    StrictSwitch,
)
from iotsim.protocol.tree import AnyConstruct, children, is_kept, refuses_others, unnamed, zeroed
from iotsim.protocol.values import Restore, branch_restorers

if TYPE_CHECKING:
    from collections.abc import Mapping

# Nodes that parse from a stream of their own, whose offsets are not those of the message.
_OWN_STREAM = (
    c.Transformed,
    c.Restreamed,
    c.RestreamData,
    c.ProcessXor,
    c.ProcessRotateLeft,
    c.Tunnel,
    c.Rebuffered,
)
_ALONE = (
    *(c.FormatField, type(c.Pass), type(c.GreedyBytes)),
    *(type(c.Flag), type(c.VarInt), type(c.ZigZag)),
)
"""Kinds that have nothing to be copied for; some are told by their identity."""
_STRUCTS = (c.Struct, c.Union, c.LazyStruct)
_STRICT: dict[type, type] = {
    c.Struct: StrictStruct,
    FlatStruct: StrictFlatStruct,
    c.Select: StrictSelect,
    c.NamedTuple: NamedTuple,
}


class Tracer:
    """Copies schemas into traced ones; one per message and mode, so that copies are shared.

    Without ``places`` the copy does not say where it failed, and is quicker.
    """

    def __init__(
        self,
        strict: bool,
        recorder: Recorder | None = None,
        restorers: Mapping[int, Restore] | None = None,
        *,
        places: bool = True,
    ) -> None:
        self.strict = strict
        self.recorder = recorder
        self.restorers = restorers or {}
        self.places = places
        self.flats: list[set[str]] = []
        self.selecting = Selecting()
        self.depths = [0]
        self._copies: dict[tuple[int, bool], tuple[AnyConstruct, AnyConstruct]] = {}

    def knows(self, node: AnyConstruct) -> bool:
        return (id(node), False) in self._copies

    def anew(self, construct: AnyConstruct) -> Tracer:
        """One for another schema, which has made no copies yet."""
        restorers = branch_restorers(lower(construct, self.strict))
        made = Tracer(self.strict, self.recorder, restorers, places=self.places)
        made.depths = self.depths
        return made

    def copy(self, node: AnyConstruct, embedded: bool = False) -> AnyConstruct:
        """The traced copy of ``node``; ``embedded`` as in `StrictStruct`."""
        key = id(node), embedded
        if key not in self._copies:
            # The original is kept too, so that its id stays its own.
            self._copies[key] = node, self._copy(node, embedded)
        return self._copies[key][1]

    def _copy(self, node: AnyConstruct, embedded: bool) -> AnyConstruct:
        if isinstance(node, _ALONE):
            return node
        if isinstance(node, c.Compiled):
            return self.copy(unnamed(node), embedded)
        new: Any = copy.copy(node)
        self._copy_children(node, new, embedded)
        self._guard(node, new)
        self._see_to_branches(node, new)
        self._make_strict(node, new)
        new.embedded, new.flats, new.selecting = embedded, self.flats, self.selecting
        if type(node) is c.Renamed:
            new.flagbuildnone = new.subcon.flagbuildnone  # one of a Compiled is another
        elif isinstance(node, c.Array | c.GreedyRange | c.RepeatUntil):
            new.subcon = self._element(node, new.subcon)
        elif isinstance(node, c.RawCopy):
            new.subcon = self._place(new.subcon, "value")
        elif type(node) is c.Checksum:
            new.checksumfield = Reached(new.checksumfield)
        elif isinstance(node, _OWN_STREAM) and self.places:
            return self._other_stream(node, new)
        elif isinstance(node, Native) and node.parts and self.recorder is not None:
            return Parts(new, self.recorder)
        if not self.places:
            _shorten(node, new)
        return new  # type: ignore[no-any-return]

    def _make_strict(self, node: AnyConstruct, new: Any) -> None:
        """Let `new` be of a class that refuses what that of `node` passes in silence."""
        if type(node) is c.LazyStruct:
            # A dissection shows all fields in their turn.
            new.__class__ = StrictStruct if self.recorder is not None else StrictLazyStruct
        elif type(node) is c.Switch and self.strict and refuses_others(node):
            new.__class__ = StrictSwitch
        elif type(node) is Native and (names := flat_names(node.subcon)):
            new.__class__, new.strict, new.names = StrictNative, self.strict, frozenset(names)
        elif isinstance(node, c.LazyBound):
            new.__class__ = LazyBound
            new.tracer, new.last, new.depths = self, (None, None), self.depths
        elif type(node) in _STRICT:
            new.__class__, new.recorder = _STRICT[type(node)], self.recorder
        if isinstance(new, StrictStruct | StrictLazyStruct | StrictFlatStruct):
            new.strict = self.strict
            new.names = frozenset(m.name for m in new.subcons if m.name)
        if isinstance(new, StrictFlatStruct):
            new._plan()

    def _element(self, array: Any, element: AnyConstruct) -> AnyConstruct:
        kind = Element if self.places else QuickElement
        made = kind(element, "", self.recorder)
        made.greedy = isinstance(array, c.GreedyRange)
        made.lazy = made.greedy and holds_lazy(array.subcon)
        return made

    def _other_stream(self, node: AnyConstruct, new: AnyConstruct) -> AnyConstruct:
        made: Any = OtherStream(new)
        decode = getattr(node, "decodefunc", getattr(node, "decoder", None))
        made.bits = getattr(decode, "__name__", "") == "bytes2bits"
        made.recorder = self.recorder
        return made  # type: ignore[no-any-return]

    def _see_to_branches(self, node: AnyConstruct, new: Any) -> None:
        """Let branches and alternatives be built from values of construct's own."""
        if isinstance(node, c.IfThenElse):
            new.thensubcon = self._branch(node.thensubcon, new.thensubcon)
            new.elsesubcon = self._branch(node.elsesubcon, new.elsesubcon)
        elif isinstance(node, c.Switch):
            new.cases = {key: self._branch(node.cases[key], new.cases[key]) for key in node.cases}
            new.default = self._branch(node.default, new.default)
        elif isinstance(node, c.Select):
            new.subcons = list(map(self._branch, node.subcons, new.subcons))

    def _branch(self, original: AnyConstruct, copied: AnyConstruct) -> AnyConstruct:
        bare = unnamed(original)
        while isinstance(bare, c.Hex | c.HexDump):  # which have no node of their own
            bare = unnamed(bare.subcon)
        restore = self.restorers.get(id(bare))
        return Branch(copied, restore) if restore else copied

    def _place(self, node: Any, label: str) -> Any:
        return Place(node, label, self.recorder) if self.places else node

    def _guard(self, node: AnyConstruct, new: Any) -> None:
        """Put the user's functions in `new` behind a guard."""
        if isinstance(node, Native | Around | Derived):
            return  # theirs are behind a guard already
        for name, value in vars(node).items():
            if is_function(value) and not isinstance(value, type | c.Construct):
                if name == "parsed" or not is_users(value):
                    continue
                setattr(new, name, guarded(value, name))
        if isinstance(node, c.FocusedSeq) and callable(node.parsebuildfrom):
            # It fails with a NameError if it has no member of the name that its function gives.
            new._parse, new._build = (guarded(m, m.__name__) for m in (new._parse, new._build))
        if not is_constructs(type(node).__module__):
            for name in ("_decode", "_encode", "_validate", "_parse", "_build"):
                if isinstance(node, c.Adapter) == (name not in ("_parse", "_build")):
                    method = getattr(new, name, None)
                    if method is not None and name not in vars(node):
                        setattr(new, name, guarded(method, name))

    def _copy_children(self, node: AnyConstruct, new: Any, embedded: bool) -> None:
        embedded = embedded and not node.name and bool(flat_names(node))
        for name, value in vars(node).items():
            if isinstance(value, c.Construct):
                setattr(new, name, self.copy(value, embedded))
            elif (
                isinstance(value, list) and value and all(isinstance(v, c.Construct) for v in value)
            ):
                setattr(new, name, self._copy_members(node, value, embedded))
            elif isinstance(value, dict) and name == "cases":
                setattr(new, name, {k: self.copy(v, embedded) for k, v in value.items()})
        if hasattr(node, "_subcons") and "subcons" in vars(node):
            new._subcons = c.Container((m.name, m) for m in new.subcons if m.name)

    def _copy_members(
        self, node: AnyConstruct, members: list[AnyConstruct], embedded: bool
    ) -> list[Any]:
        if isinstance(node, c.Sequence):
            return [self._place(self.copy(m), str(i)) for i, m in enumerate(members)]
        if not isinstance(node, _STRUCTS):
            return [self.copy(member, embedded) for member in members]
        made = []
        for member in members:
            inside = isinstance(node, FlatStruct) and not member.name
            one: Any = self.copy(member, inside)
            if isinstance(node, c.Union):
                pass  # it is built from the first member that has a value
            elif isinstance(unnamed(member), c.IfThenElse | c.Switch) and not member.flagbuildnone:
                one = Conditional(one)
            elif is_kept(member):
                one = Kept(self.copy(zeroed(member)), member.name)
                one.selecting = self.selecting
            made.append(self._place(one, str(member.name)) if member.name else one)
        return made


def _shorten(node: AnyConstruct, new: Any) -> None:
    """Leave out calls of `new`, the copy of `node`, that come to nothing: a hook that it does not have, and
    a name in a path that nobody reads."""
    inner = new.subcon if type(node) is c.Renamed and node.parsed is None else None
    if inner is not None and not _reads_path(inner):
        new._build = inner._build
    else:
        inner = new
    if inner.parsed is None and type(inner)._parsereport is c.Construct._parsereport:
        new._parsereport = inner._parse
    else:
        new._parsereport = inner._parsereport


def _reads_path(node: AnyConstruct) -> bool:
    """Whether something in `node` may show the path, or give it to code of the user's."""
    if isinstance(node, c.LazyBound | c.Probe) or not is_constructs(type(node).__module__):
        return True
    return any(map(_reads_path, children(node)))
