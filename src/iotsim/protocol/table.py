"""The field table: a pass over the nodes of a schema that notes its fields, and where they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.protocol import nodes as n
from iotsim.protocol.arithmetic import trace
from iotsim.protocol.field import Field
from iotsim.protocol.functions import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Table(NamedTuple):
    """The fields of a schema by path.

    ``free``    a message may have any others, too
    ``opaque``  there may be others, of which some hold what JSON has no form for
    """

    fields: dict[str, Field]
    free: bool
    opaque: bool


def field_table(message: n.Node) -> Table:
    """The fields of a schema."""
    table = _Table()
    table.message(message, _Place())
    return Table(table.fields, table.free, table.opaque)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a node stands: its path, and what the nodes around say of the field to come.

    ``unit`` is how many bits one of its sizes is: 8, or 1 within the bits of a word.
    """

    path: str = ""
    optional: bool = False
    required: bool = True
    doc: str = ""
    unit: int = 8

    def below(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


class _Table:
    def __init__(self) -> None:
        self.fields: dict[str, Field] = {}
        self.offset: int | None = 0
        self.free = False
        self.opaque = False

    # -- places ---------------------------------------------------------------------------------

    def skip(self, node: n.Node, place: _Place) -> None:
        """Pass by a node that is no field."""
        size = node.size
        if self.offset is not None:
            self.offset = None if size is None else self.offset + size * place.unit

    def after(self, start: int | None, node: n.Node, place: _Place) -> None:
        """What began at ``start`` ends with ``node``."""
        known = start is not None and node.size is not None
        self.offset = start + node.size * place.unit if known else None  # type: ignore[operator]

    def add(self, field: Field) -> None:
        old = self.fields.get(field.path)
        if old is not None:
            field = replace(
                old,
                kind=old.kind if old.kind == field.kind else "any",
                mixed=_is_mixed(old, field),
                wire=old.wire if field.wire in old.wire else f"{old.wire} or {field.wire}",
                names={**old.names, **field.names},
                aliases=_aliases(old, field) | _aliases(field, old),
                # What one alternative needs and another does not may be missing.
                optional=(old.optional and field.optional) or old.required != field.required,
                required=old.required or field.required,
                offset=old.offset if old.offset == field.offset else None,
                size=old.size if old.size == field.size else None,
                format=old.format if old.format == field.format else "",
                doc=old.doc or field.doc,
                odd=old.odd or field.odd,
                cases=_both(old.cases, field.cases),
            )
        self.fields[field.path] = field

    def make(self, node: n.Node, place: _Place, kind: str, wire: str, **more: Any) -> None:
        size = None if node.size is None else node.size * place.unit
        more.setdefault("required", place.required and node.given)
        found = Field(
            place.path,
            kind,
            wire,
            optional=place.optional,
            offset=self.offset,
            size=size,
            doc=place.doc,
            **more,
        )
        self.add(found)

    def amend(self, place: _Place, note: str = "", **changes: Any) -> None:
        """Say more of the field at ``place``, if it has become one."""
        found = self.fields.get(place.path)
        if found is not None:
            changes.setdefault("wire", found.wire + note)
            self.fields[place.path] = replace(found, **changes)

    def within(
        self, node: n.Wrapper, place: _Place, visit: Callable[[n.Node, _Place], None]
    ) -> None:
        """Visit what is inside ``node``, and go to the end of that."""
        start = self.offset
        if isinstance(node, n.Prefixed):
            self.skip(node.length, place)
        visit(node.inner, replace(place, unit=1) if isinstance(node, n.BitWord) else place)
        self.after(start, node, place)

    # -- the message, and what gives it its fields ------------------------------------------------

    def message(self, node: n.Node, place: _Place) -> None:
        if isinstance(node, n.Wrapper):
            self.within(node, place, self.message)
        elif isinstance(node, n.Struct) or _cases(node) is not None:
            self.embed(node, place)
        elif isinstance(node, n.RawCopy):
            self.raw_copy(node, place)
        elif isinstance(node, n.Native):
            self.offset = None
            self.message(node.like, place)
        elif isinstance(node, n.Opaque) and node.members:
            self.members(node.members, place)
        elif isinstance(node, n.Opaque) and node.inner is not None and node.shows == "same":
            self.offset = None
            self.message(node.inner, place)
        elif isinstance(node, n.Coded):
            self.free = node.kind == "any"
            self.opaque = node.odd
        else:
            self.free = isinstance(node, n.Adapted | n.Opaque)
            self.opaque = True

    def members(self, members: Iterable[n.Member], place: _Place) -> None:
        for member in members:
            if member.flat:
                self.embed(member.node, place)
            elif not member.name or (member.name.startswith("_") and not member.kept):
                self.skip(member.node, place)
            else:
                inside = replace(place, path=place.below(member.name), doc=member.doc)
                self.field(member.node, inside)

    def embed(self, node: n.Node, place: _Place) -> None:
        """An unnamed node whose structs give their fields to ``place``."""
        if isinstance(node, n.Struct):
            self.members(node.members, place)
        elif isinstance(node, n.Wrapper):
            self.within(node, place, self.embed)
        elif (cases := _cases(node)) is not None:
            self.alternatives(cases, place, self.embed)
        elif isinstance(node, n.Native):
            self.offset = None
            self.embed(node.like, place)
            self.offset = None
        elif isinstance(node, n.Opaque) and node.inner is not None and node.shows == "same":
            self.offset = None
            self.embed(node.inner, replace(place, optional=place.optional or not node.note))
            self.offset = None
        else:
            self.skip(node, place)

    def alternatives(
        self, cases: list[_Case], place: _Place, visit: Callable[[Any, _Place], None]
    ) -> None:
        """A field that not all alternatives have is optional."""
        start, before = self.offset, self.fields
        ends: set[int | None] = set()
        seen: list[dict[str, Field]] = []
        for _, case in cases:
            self.offset, self.fields = start, {}
            if not isinstance(case, n.Nothing):
                visit(case, place)
            seen.append(self.fields)
            ends.add(self.offset)
        self.fields = before
        for (label, _), fields in zip(cases, seen, strict=True):
            for path, field in fields.items():
                everywhere = all(path in other for other in seen)
                self.add(field if everywhere else _within(field, label))
        self.offset = ends.pop() if len(ends) == 1 else None

    # -- fields ---------------------------------------------------------------------------------

    def field(self, node: n.Node, place: _Place) -> None:
        """A node that is the field at ``place``."""
        if not node.given and not isinstance(node, n.Struct | n.BitWord):
            place = replace(place, required=False)
        if isinstance(node, n.Struct):
            self.make(node, place, "struct", "struct")
            self.members(node.members, place)
        elif isinstance(node, n.Filled):
            self.within(node, replace(place, required=False), self.field)
            self.amend(place, _note(node))
        elif isinstance(node, n.Wrapper):
            self.within(node, place, self.field)
        elif (cases := _cases(node)) is not None:
            self.alternatives(cases, place, self.field)
        elif isinstance(node, n.Focused):
            start = self.offset
            selected = next(m for m in node.members if m.name == node.selected)
            self.offset = None
            self.field(selected.node, place)
            # What comes before it, a count, is part of it.
            self.amend(place, offset=start)
            self.after(start, node, place)
        elif isinstance(node, n.Repeat):
            fixed = isinstance(node.count, int)
            self.repeat(node, node.inner, f"{node.count} times" if fixed else "repeated", place)
        elif isinstance(node, n.RawCopy):
            self.make(node, place, "struct", "struct")
            self.raw_copy(node, place)
        elif isinstance(node, n.Native | n.Derived):
            # What it is like is not at its place in the message, if it is in it at all.
            start, self.offset = self.offset, None
            self.field(node.like, place)
            self.amend(place, ", native", size=None)
            if isinstance(node, n.Derived):
                self.amend(place, wire="derived")
            self.after(start, node, place)
        elif isinstance(node, n.Opaque):
            self.left_to_construct(node, place)
        else:
            self.value(node, place)

    def raw_copy(self, node: n.RawCopy, place: _Place) -> None:
        """What `RawCopy` gives; of ``data`` and ``value`` one is needed."""
        start = self.offset
        needless = replace(place, required=False, doc="")
        data = replace(needless, path=place.below("data"))
        self.make(node, data, "bytes", "bytes", odd=True)
        self.field(node.inner, replace(needless, path=place.below("value")))
        for name in ("offset1", "offset2", "length"):
            found = Field(place.below(name), "int", "computed", optional=place.optional)
            self.add(replace(found, required=False))
        self.after(start, node, place)

    def repeat(self, node: n.Node, inner: n.Node, note: str, place: _Place) -> None:
        self.make(node, place, "array", note)
        start = self.offset
        self.offset = None
        self.field(
            inner, replace(place, path=f"{place.path}[]", required=True, doc="", optional=True)
        )
        element = self.fields.get(f"{place.path}[]")
        if element is not None:
            array = self.fields[place.path]
            self.amend(place, wire=f"{element.wire}, {array.wire}", format=element.format)
        self.after(start, node, place)

    def left_to_construct(self, node: n.Opaque, place: _Place) -> None:
        start = self.offset
        if node.members:
            self.make(node, place, "struct", "struct")
            self.offset = None
            self.members(node.members, place)
        elif node.inner is not None and node.shows == "same":
            alone = isinstance(node.inner, _SINGLE) and node.inner.size == node.size
            self.offset = start if alone else None
            self.field(node.inner, place)
            if node.note:
                self.amend(place, f", {node.note}", **({} if alone else {"size": None}))
        elif node.inner is not None and node.shows == "list":
            self.repeat(node, node.inner, "repeated", place)
        else:
            self.make(node, place, "any", type(node.origin).__name__, odd=True)
        self.after(start, node, place)

    def value(self, node: n.Node, place: _Place) -> None:
        """A field that is a single value."""
        kind, wire, more = _describe(node)
        self.make(node, place, kind, wire, **more)
        if kind == "flags":
            for name in more["names"]:
                flag = Field(place.below(name), "bool", "a flag", optional=place.optional)
                self.add(replace(flag, required=False))
        self.skip(node, place)


_SINGLE = (n.Number, n.Integer, n.Bits, n.Data)


# -- single values ----------------------------------------------------------------------------------

_NUMBERS = {
    **dict.fromkeys("BHLQ", "uint"),
    **dict.fromkeys("bhlq", "int"),
    **dict.fromkeys("efd", "float"),
}
_CONSTANTS = {bool: "bool", int: "int", float: "float", str: "string", bytes: "bytes"}


def _describe(node: n.Node) -> tuple[str, str, dict[str, Any]]:
    """Kind and wire of a single value, and what else is known of it."""
    size = node.size or 0
    if isinstance(node, n.Number):
        if node.code == "?":
            return "bool", "a flag", {}
        base = _NUMBERS[node.code]
        wire = f"{base}{8 * size}" + _order(size, node.order == "<")
        if base == "float":
            return "float", wire, {"format": (node.order or ">") + node.code}
        return "int", wire, {}
    if isinstance(node, n.Integer):
        base = "int" if node.signed else "uint"
        return "int", f"{base}{8 * size}" + _order(2, node.little), {}
    if isinstance(node, n.Bits):
        if node.flag:
            return "bool", "a flag", {}
        plural = "" if size == 1 else "s"
        return "int", f"{size} bit{plural}" + (", signed" if node.signed else ""), {}
    if isinstance(node, n.VarInteger):
        return "int", "ZigZag" if node.zigzag else "VarInt", {}
    if isinstance(node, n.Names):
        return _describe_names(node)
    if isinstance(node, n.Text):
        return "string", f"{node.encoding} text{_extent(node.inner)}", {}
    if isinstance(node, n.Data):
        return "bytes", f"bytes{_extent(node)}", {"odd": True}
    if isinstance(node, n.Computed):
        kind = _CONSTANTS.get(type(node.value), "any")
        return kind, "computed", {"odd": kind in ("any", "bytes")}
    if isinstance(node, n.Tell):
        return "int", "computed", {}
    if isinstance(node, n.Coded):
        return node.kind, node.wire, {"odd": node.odd}
    if isinstance(node, n.Adapted):
        return _describe_adapted(node)
    return "none", "nothing", {}


def _describe_names(node: n.Names) -> tuple[str, str, dict[str, Any]]:
    wire = _describe(node.inner)[1]
    if node.kind == "flags":
        return "flags", wire, {"names": dict(node.encoded)}
    if all(isinstance(name, str) for name in node.encoded):
        shown = {name: node.decoded[number] for name, number in node.encoded.items()}
        aliases = {name: meant for name, meant in shown.items() if name != meant}
        return "enum", wire, {"names": dict(node.encoded), "aliases": aliases}
    plain = all(isinstance(name, int | float | bool) for name in node.encoded)
    return ("int" if plain else "any"), wire, {"odd": not plain}


def _describe_adapted(node: n.Adapted) -> tuple[str, str, dict[str, Any]]:
    inner = _describe(node.inner)
    if node.validates:
        return inner
    found = None
    if inner[0] in ("int", "float"):
        found = trace(node.decode, *node.more, whole=inner[0] == "int")
    kind = "any" if found is None else "int" if found.whole else "float"
    return kind, type(node.origin).__name__, {"odd": True}


def _order(size: int, little: bool) -> str:
    if size == 1:
        return ""
    return " little-endian" if little else " big-endian"


def _extent(node: n.Node) -> str:
    """How many bytes a text or some bytes are, for people."""
    if isinstance(node, n.Prefixed):
        return ", length first"
    if isinstance(node, n.Terminated):
        return ", up to a zero"
    if node.size is not None:
        return f", {node.size} byte" + ("" if node.size == 1 else "s")
    varying = isinstance(node, n.Data | n.Window) and node.length is not None
    return ", of varying length" if varying else ", up to the end"


def _note(node: n.Node) -> str:
    """What a node that wraps a value says of it, for people."""
    if isinstance(node, n.Const):
        return f", always {node.value!r}"
    if isinstance(node, n.Default) and not callable(node.value):
        return f", {node.value!r} by default"
    if isinstance(node, n.Checksum):
        return f", {getattr(node.function, '__name__', 'checksum')} of the bytes before"
    if isinstance(node, n.Length):
        what = "what follows" if node.rest else "the message"
        return f", the length of {what}" + (f" {node.adjust:+d}" if node.adjust else "")
    return ""


def _aliases(field: Field, other: Field) -> dict[str, str]:
    """The aliases of `field` that messages do not show where they have `other` in its place."""
    shown = other.names.keys() - other.aliases.keys()
    return {name: meant for name, meant in field.aliases.items() if name not in shown}


def _is_mixed(old: Field, field: Field) -> bool:
    """Whether two alternatives of a field are of different kinds, all of which are known."""
    one_kind = old.kind == field.kind != "any"
    return not one_kind and all(one.kind != "any" or one.mixed for one in (old, field))


# -- alternatives -----------------------------------------------------------------------------------

_Case = tuple[str, n.Node]
"""An alternative, and what it is called; "" where that is not known."""


def _cases(node: n.Node) -> list[_Case] | None:
    """The alternatives of a node that has such, without those that refuse all."""
    if isinstance(node, n.Switch):
        cases = [(_label(node, key), case) for key, case in node.cases.items()]
        cases.append(("", node.default))
    elif isinstance(node, n.If):
        cases = [("", branch) for _, branch in node.branches]
    elif isinstance(node, n.Select):
        cases = [("", choice) for choice in node.choices]
    else:
        return None
    return [case for case in cases if not isinstance(case[1], n.Fail)]


def _label(node: n.Switch, key: Any) -> str:
    """``REPORT``, or ``type=3`` where the key says nothing by itself."""
    if isinstance(key, str):
        return str.__str__(key)
    names = [steps[-1] for steps in paths(node.key) if steps]
    return f"{names[-1]}={key}" if names else ""


def _within(field: Field, label: str) -> Field:
    """`field` as it is in the case `label` of a Switch that has others without it."""
    if not label or (field.optional and not field.cases and "[]" not in field.path):
        cases: tuple[str, ...] = ()
    elif field.cases:
        cases = tuple(f"{label} with {case}" for case in field.cases)
    else:
        cases = (label,)
    return replace(field, optional=True, cases=cases)


def _both(cases: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*cases, *others])) if cases and others else ()
