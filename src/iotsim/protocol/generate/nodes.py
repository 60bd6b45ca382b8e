"""Questions about constructs that both generators ask: sizes, struct codes, names, cases."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from construct import (
    Aligned,
    Array,
    Bytes,
    BytesInteger,
    Check,
    Computed,
    Const,
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

from iotsim.protocol.checksums import INLINE
from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.generate.expressions import is_expression
from iotsim.protocol.generate.source import UnsupportedError, Value, Writer, literal
from iotsim.protocol.tree import children
from iotsim.protocol.verified import AnyConstruct, Checksum, Length

if TYPE_CHECKING:
    from collections.abc import Callable, Container

BIT_CODES = {1: "B", 2: "H", 4: "L", 8: "Q"}
"""The struct codes of numbers of so many bytes."""
TRANSPARENT: tuple[Any, ...] = (Rebuild, Default, Hex, HexDump)
"""What only passes on what it parses."""


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
    inner: list[Any] = []
    if isinstance(node, Switch):
        inner = [*node.cases.values(), node.default]
    elif isinstance(node, IfThenElse):
        inner = [node.thensubcon, node.elsesubcon]
    elif isinstance(node, Select):
        inner = list(node.subcons)
    elif hasattr(node, "subcon"):
        inner = [node.subcon]
    for child in inner:
        found = find_flat(child, name)
        if found is not None:
            return found
    return None


def hidden(node: Any) -> bool:
    return bool(node.name and node.name.startswith("_"))


def kind_name(node: Any) -> str:
    """What to call ``node`` in a note."""
    return type(node).__name__


_PARAMETERS = {
    "length",
    "count",
    "keyfunc",
    "condfunc",
    "func",
    "value",
    "start",
    "modulus",
    "predicate",
}


def uses_context(node: Any, seen: set[int]) -> bool:
    """Whether a parameter in ``node`` is an expression or a lambda."""
    if id(node) in seen:
        return False
    seen.add(id(node))
    own = any(callable(value) for name, value in vars(node).items() if name in _PARAMETERS)
    return own or any(uses_context(child, seen) for child in children(node))


def hides_context(node: Any, known: Container[Any], seen: set[int]) -> bool:
    """Whether something in ``node`` may look at any field: a lambda, or a node not ``known``."""
    if id(node) in seen:
        return False
    seen.add(id(node))
    if not (isinstance(node, Renamed) or type(node) in known or id(node) in known):
        return True
    parameters = (value for name, value in vars(node).items() if name in _PARAMETERS)
    if any(callable(value) and not is_expression(value) for value in parameters):
        return True
    return any(hides_context(child, known, seen) for child in children(node))


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
            order = "<" if sys.byteorder == "little" else ">"
        return ("" if node.length == 1 else order), code
    if node is Flag:
        return "", "?"
    return None


def is_int_node(node: Any) -> bool:
    """Whether ``node`` always parses to an int."""
    return isinstance(node, FormatField) and node.fmtstr[1] in "BHLQbhlq"


def checksum_call(writer: Writer, function: Any, covered: str) -> str:
    """Source that calls ``function`` on the source ``covered``."""
    inline = INLINE.get(function)
    if inline is not None:
        return inline.format(covered)
    name = getattr(function, "__name__", "checksum")
    return f"{writer.bind('checksum', function, name)}({covered})"


def switch_tests(
    writer: Writer, node: Any, key: Value, variable: Callable[[str], str]
) -> list[tuple[str, Any]]:
    """The condition of each case, as source. Writes a line if the key has to be looked up."""
    cases = list(node.cases.items())
    try:
        constants = [literal(constant) for constant, _ in cases]
    except UnsupportedError:
        constants = []
    if key.scalar and len(cases) <= 8 and constants:
        return [
            (f"{key.source} == {constant.source}", case)
            for constant, (_, case) in zip(constants, cases, strict=True)
        ]
    # A dict finds equal keys as construct does, and refuses those without a hash.
    index = {constant: number for number, (constant, _) in enumerate(cases)}
    table = writer.bind("cases", index, key=id(node))
    case_ = variable("case")
    writer.line(f"{case_} = {table}.get({key.source}, -1)")
    return [(f"{case_} == {number}", case) for number, (_, case) in enumerate(cases)]
