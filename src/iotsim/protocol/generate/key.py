"""The key: the field of the root struct that tells messages apart, if it stands at a fixed place."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple

from construct.expr import BinExpr

from iotsim.protocol import nodes as n
from iotsim.protocol.functions import steps
from iotsim.protocol.generate.expressions import is_this, plain_form

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Key(NamedTuple):
    """The field of the root that tells messages apart: where it is, and value -> number."""

    name: str
    offset: int
    size: int
    order: str
    signed: bool
    numbers: Mapping[str | int, int]
    closed: bool
    """Whether a message with any other value is refused."""

    def read(self) -> str:
        if self.size == 1 and not self.signed:
            return f"data[{self.offset}]"
        signed = ", signed=True" if self.signed else ""
        return (
            f"int.from_bytes(data[{self.offset}:{self.offset + self.size}], {self.order!r}{signed})"
        )


MAX_VALUES = 16
"""Messages that get a branch of their own."""


def find_key(message: n.Node) -> Key | None:
    """The field on which the messages of a schema turn, if there is one at a fixed place."""
    if not isinstance(message, n.Struct):
        return None
    offset = 0
    names = [name for member in message.members for name in (member.flat or (member.name,))]
    for member in message.members:
        size = member.node.size
        if size is None or isinstance(member.node, n.Opaque):
            return None
        if member.name and member.node.given and names.count(member.name) == 1:
            key = _key(message, member, offset)
            if key is not None:
                return key
        offset += size
    return None


def _key(root: n.Struct, member: n.Member, offset: int) -> Key | None:
    node, name = member.node, member.name
    number = node.inner if isinstance(node, n.Names) and node.kind == "enum" else node
    if isinstance(number, n.Number) and number.code in "BHLQbhlq":
        order = "little" if number.order == "<" else "big"
        signed = number.code.islower()
    elif isinstance(number, n.Integer):
        order, signed = ("little" if number.little else "big"), number.signed
    else:
        return None
    numbers: dict[str | int, int] = {}
    for value in _values(root, name, 0, set()):
        if isinstance(node, n.Names):
            if isinstance(value, str) and str.__str__(value) in node.encoded:
                numbers[str.__str__(value)] = node.encoded[str.__str__(value)]
        elif type(value) is int:
            numbers[value] = value
    # Two names of one number: the Enum parses it to one of them only.
    if not 0 < len(numbers) <= MAX_VALUES or len(set(numbers.values())) < len(numbers):
        return None
    if isinstance(node, n.Names) and any(node.decoded.get(v) != k for k, v in numbers.items()):
        return None
    closed = any(_closes(other.node, name, numbers) for other in root.members)
    assert number.size is not None
    return Key(name, offset, number.size, order, signed, numbers, closed)


def _closes(node: n.Node, name: str, numbers: Mapping[str | int, int]) -> bool:
    """Whether a member of the root is a Switch on ``name`` that refuses all but ``numbers``."""
    return (
        isinstance(node, n.Switch)
        and isinstance(node.default, n.Fail)
        and _is_field(node.key, [name])
        and all(case in numbers for case in node.cases)
    )


def _values(node: n.Node, name: str, depth: int, seen: set[tuple[int, int]]) -> Iterator[Any]:
    """The values that a Switch or an If compares the root's field ``name`` with."""
    if (id(node), depth) in seen:
        return
    seen.add((id(node), depth))
    here = ["_"] * (depth - 1) + [name]
    if isinstance(node, n.Switch) and _is_field(node.key, here):
        yield from node.cases
    if isinstance(node, n.If):
        for condition, _ in node.branches:
            parts: Any = plain_form(condition)
            equal = isinstance(parts, BinExpr) and vars(parts)["op"] is operator.eq
            if equal and _is_field(vars(parts)["lhs"], here) and not callable(vars(parts)["rhs"]):
                yield vars(parts)["rhs"]
    inside = depth + 1 if isinstance(node, n.Struct | n.Sequence | n.Focused) else depth
    for child in n.children(node):
        yield from _values(child, name, inside, seen)


def _is_field(expression: Any, path: list[str]) -> bool:
    expression = plain_form(expression)
    return is_this(expression) and steps(expression) == path
