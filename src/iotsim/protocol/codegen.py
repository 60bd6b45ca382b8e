"""What both generators share: lines of source, names, scopes, and the ``this`` expressions.

A `Value` is a piece of Python source that gives a field's value in the generated function, and the
value itself where it is known when the code is made. A `Scope` mirrors one of construct's contexts:
the fields of a struct that ``this`` can name, with ``this._`` as its parent.
"""

from __future__ import annotations

import builtins
import contextlib
import keyword
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from construct import (
    Aligned,
    Array,
    Bytes,
    BytesInteger,
    Check,
    Computed,
    Const,
    Construct,
    Default,
    Enum,
    FixedSized,
    Flag,
    FlagsEnum,
    FormatField,
    Hex,
    HexDump,
    IfThenElse,
    Padded,
    Pass,
    Rebuild,
    Renamed,
    Select,
    Sequence,
    StringEncoded,
    Struct,
    Switch,
    Tell,
    Transformed,
)
from construct import Mapping as ConstructMapping
from construct.expr import BinExpr, FuncPath, Path, UniExpr

from .constructs import AnyConstruct, Checksum, FlatStruct, Length, flat_names

PLAIN = {int, float, str, bytes, bool, type(None)}


class UnsupportedError(Exception):
    """The generator does not know this node, or not here: construct has to do it."""


@dataclass(frozen=True)
class Value:
    """Source that gives a value; ``scope`` if it is a struct whose fields are at hand.

    ``scalar`` tells that it is an int, str or bytes, and so has a hash.
    """

    source: str
    known: bool = False
    constant: Any = None
    scope: Scope | None = None
    scalar: bool = False
    maybe: bool = False
    """Whether it may turn out that there is no such field."""


def literal(constant: Any) -> Value:
    """The value of a plain constant."""
    constant = plain(constant)
    return Value(repr(constant), True, constant, scalar=isinstance(constant, int | str | bytes))


def plain(constant: Any) -> Any:
    """``constant`` as one of Python's own types; UnsupportedError if it is none."""
    kind = type(constant)
    if kind is float:
        # repr() of nan and inf is no Python source.
        if constant != constant or abs(constant) == float("inf"):
            raise UnsupportedError("a constant that is not finite")
        return constant
    if kind in PLAIN:
        return constant
    if isinstance(constant, str):
        return str.__str__(constant)
    if isinstance(constant, int):
        return int.__int__(constant)
    raise UnsupportedError(f"{kind.__name__} is no plain constant")


NONE = literal(None)


@dataclass
class Scope:
    """The names that ``this`` has in a struct.

    ``fields`` are those already done. While encoding, ``source`` is the mapping that the struct is
    built from, where ``this`` finds those still to come; ``allowed`` limits which. ``node`` and
    ``index`` are for the context that a lambda is given.
    """

    parent: Scope | None = None
    node: Construct[Any, Any] | None = None
    fields: dict[str, Value] = field(default_factory=dict)
    source: str | None = None
    allowed: frozenset[str] | None = None
    index: str | None = None
    spreads: list[tuple[Any, str]] = field(default_factory=list)
    """Nodes and variables of dicts whose fields belong here, too."""

    def lookup(self, name: str) -> Value:
        if name in self.fields:
            value = self.fields[name]
            if not value.source and value.scope is None:
                raise UnsupportedError(f"this.{name} is not known yet")
            return value
        if self.source is None or (self.allowed is not None and name not in self.allowed):
            raise UnsupportedError(f"this.{name} is not known")
        return Value(f"{self.source}[{name!r}]")

    def copy(self) -> Scope:
        """This scope, whose fields may differ from now on; the parents are shared."""
        return replace(self, fields=dict(self.fields), spreads=list(self.spreads))


# Names that generated code must not shadow.
_RESERVED = {*keyword.kwlist, *dir(builtins), "data", "message", "this"}


class Writer:
    """Collects the lines of a function, and the objects that they name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0
        self.bindings: dict[str, Any] = {}
        self.notes: dict[str, str] = {}
        self._used: set[str] = set()
        self._bound: dict[Any, str] = {}

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    @contextlib.contextmanager
    def block(self, header: str) -> Iterator[None]:
        """Lines below ``header``; an empty block gets a ``pass``."""
        self.line(header)
        self.depth += 1
        start = len(self.lines)
        try:
            yield
        finally:
            if len(self.lines) == start:
                self.line("pass")
            self.depth -= 1

    @contextlib.contextmanager
    def names(self) -> Iterator[None]:
        """Local names made inside may be made again afterwards: for branches that return."""
        saved = set(self._used)
        try:
            yield
        finally:
            self._used = saved

    def new(self, hint: str) -> str:
        """A local name that is not taken."""
        base = re.sub(r"\W", "_", hint, flags=re.ASCII).strip("_").lower() or "value"
        if base[0].isdigit() or base in _RESERVED or base in self.bindings:
            base = f"v_{base}"
        name, number = base, 1
        while name in self._used or name in self.bindings:
            number += 1
            name = f"{base}_{number}"
        self._used.add(name)
        return name

    def bind(self, prefix: str, value: Any, note: str = "", key: Any = None) -> str:
        """A global name for an object; the same for the same ``key``."""
        key = (prefix, id(value)) if key is None else (prefix, key)
        if key not in self._bound:
            number = sum(1 for name in self.bindings if name.rpartition("_")[0] == prefix) + 1
            name = f"{prefix}_{number}"
            self.bindings[name] = value
            self.notes[name] = note or repr(value)
            self._bound[key] = name
        return self._bound[key]

    def source(self) -> str:
        """The names and the lines, for people."""
        notes = [f"{name} = {note}" for name, note in self.notes.items()]
        return "\n".join([*notes, *([""] if notes else []), *self.lines])


class Unmatched(AnyConstruct):
    """Stands for the default that a strict Switch does not have."""


UNMATCHED = Unmatched()


def find_member(struct: Any, name: str) -> Any:
    """The node of a field in a struct, also of one that an unnamed member gives it; or None."""
    for member in getattr(struct, "subcons", ()):
        if member.name == name:
            return member
        if not member.name and isinstance(struct, FlatStruct) and name in flat_names(member):
            found = find_flat(member, name)
            if found is not None:
                return found
    return None


def find_flat(node: Any, name: str) -> Any:
    """As `find_member`, below a node that is not named."""
    if isinstance(node, Struct):
        return find_member(node, name)
    children: list[Any] = []
    if isinstance(node, Switch):
        children = [*node.cases.values(), node.default]
    elif isinstance(node, IfThenElse):
        children = [node.thensubcon, node.elsesubcon]
    elif isinstance(node, Select):
        children = list(node.subcons)
    elif hasattr(node, "subcon"):
        children = [node.subcon]
    for child in children:
        found = find_flat(child, name)
        if found is not None:
            return found
    return None


def unwrap(node: Any) -> Any:
    """``node`` without its names and docs."""
    while isinstance(node, Renamed):
        if node.parsed is not None:
            raise UnsupportedError("it has a hook")
        node = node.subcon
    return node


def hidden(node: Any) -> bool:
    return bool(node.name and node.name.startswith("_"))


# -- expressions --------------------------------------------------------------------------------

_BINARY: dict[Callable[..., Any], str] = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.truediv: "/",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.pow: "**",
    operator.xor: "^",
    operator.lshift: "<<",
    operator.rshift: ">>",
    operator.and_: "&",
    operator.or_: "|",
    operator.gt: ">",
    operator.ge: ">=",
    operator.lt: "<",
    operator.le: "<=",
    operator.eq: "==",
    operator.ne: "!=",
}
_UNARY: dict[Callable[..., Any], str] = {
    operator.not_: "not ",
    operator.neg: "-",
    operator.pos: "+",
}
_FUNCTIONS = {len: "len", sum: "sum", min: "min", max: "max", abs: "abs"}


def is_expression(parameter: Any) -> bool:
    return isinstance(parameter, Path | BinExpr | UniExpr | FuncPath)


def translate(expression: Any, scope: Scope) -> Value:
    """A ``this`` expression, or a constant, as source; UnsupportedError if that cannot be."""
    if isinstance(expression, Path):
        return _path(expression, scope)
    parts: Any = expression
    if isinstance(expression, BinExpr):
        left, right = translate(parts.lhs, scope), translate(parts.rhs, scope)
        sign = _BINARY.get(parts.op)
        if sign is None:
            raise UnsupportedError(f"the operator of {expression!r}")
        if left.known and right.known:
            return _fold(parts.op, left.constant, right.constant)
        return Value(f"({left.source} {sign} {right.source})")
    if isinstance(expression, UniExpr):
        operand = translate(parts.operand, scope)
        sign = _UNARY.get(parts.op)
        if sign is None:
            raise UnsupportedError(f"the operator of {expression!r}")
        return (
            _fold(parts.op, operand.constant)
            if operand.known
            else Value(f"({sign}{operand.source})")
        )
    if isinstance(expression, FuncPath):
        function: Any = vars(expression)["_FuncPath__func"]
        operand_expression = vars(expression)["_FuncPath__operand"]
        if operand_expression is None or function not in _FUNCTIONS:
            raise UnsupportedError(f"the function of {expression!r}")
        operand = translate(operand_expression, scope)
        return Value(f"{_FUNCTIONS[function]}({operand.source})")
    if callable(expression):
        raise UnsupportedError("a lambda")
    return literal(expression)


def _fold(function: Callable[..., Any], *constants: Any) -> Value:
    try:
        return literal(function(*constants))
    except Exception as error:
        raise UnsupportedError(f"an expression that fails: {error}") from error


def steps(expression: Any) -> list[Any]:
    """``["a", "b"]`` of ``this.a.b``; UnsupportedError if it does not begin at ``this``."""
    found: list[Any] = []
    state = vars(expression)
    while state["_Path__parent"] is not None:
        found.insert(0, state["_Path__field"])
        state = vars(state["_Path__parent"])
    if state["_Path__name"] != "this":
        raise UnsupportedError(f"{expression!r} is not of this")
    return found


def _path(expression: Any, scope: Scope) -> Value:
    here: Scope | None = scope
    value = Value("")
    for step in steps(expression):
        if here is None:
            if isinstance(step, str) and step.startswith("_"):
                raise UnsupportedError(repr(expression))
            value = Value(f"{value.source}[{step!r}]")
        elif step == "_":
            here = here.parent
            if here is None:
                raise UnsupportedError(f"{expression!r} is above the message")
        elif step == "_root":
            while here.parent is not None and here.parent.node is not None:
                here = here.parent
        elif not isinstance(step, str) or step in _CONTEXT:
            raise UnsupportedError(repr(expression))
        else:
            value = here.lookup(step)
            here = value.scope
    if here is not None and not value.source:
        raise UnsupportedError(f"{expression!r} is a struct as a whole")
    return value


_CONTEXT = {"_params", "_parsing", "_building", "_sizing", "_subcons", "_io", "_index"}


# -- sizes --------------------------------------------------------------------------------------

_WRAPPERS: tuple[Any, ...] = (
    Renamed,
    Const,
    Default,
    Rebuild,
    Enum,
    FlagsEnum,
    ConstructMapping,
    Checksum,
    Length,
    Hex,
    HexDump,
    StringEncoded,
)


def static_size(node: Any) -> int | None:
    """The bytes that ``node`` always takes, or None if that varies (or is not known)."""
    if isinstance(node, FormatField):
        return node.length
    if node is Flag:
        return 1
    if isinstance(node, Bytes | BytesInteger | Padded | FixedSized):
        length: Any = node.length
        return length if isinstance(length, int) and length >= 0 else None
    if isinstance(node, _WRAPPERS):
        return static_size(node.subcon)
    if isinstance(node, Transformed):
        amount: Any = node.decodeamount
        return amount if amount == node.encodeamount and isinstance(amount, int) else None
    if isinstance(node, Struct | Sequence):
        sizes = [static_size(member) for member in node.subcons]
        return None if None in sizes else sum(size for size in sizes if size is not None)
    if isinstance(node, Array) and isinstance(node.count, int):
        size = static_size(node.subcon)
        return None if size is None else size * node.count
    if isinstance(node, Aligned) and isinstance(node.modulus, int):
        size = static_size(node.subcon)
        return None if size is None else size + -size % node.modulus
    if isinstance(node, Computed | Check) or node is Pass or node is Tell:
        return 0
    return None


def struct_code(node: Any) -> tuple[str, str] | None:
    """Byte order (">", "<" or "" for one byte) and code of a node that is one of struct's."""
    if isinstance(node, FormatField):
        order, code = node.fmtstr[0], node.fmtstr[1]
        if order == "=":
            import sys

            order = "<" if sys.byteorder == "little" else ">"
        return ("" if node.length == 1 else order), code
    if node is Flag:
        return "", "?"
    return None


def is_int_node(node: Any) -> bool:
    """Whether ``node`` always parses to an int."""
    return isinstance(node, FormatField) and node.fmtstr[1] in "BHLQbhlq"
