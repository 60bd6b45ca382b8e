"""What a message on the gateway's other side has in common with the one of a device that it came of.

An expression over both says so, and is evaluated for a pair of messages. Where it is, or contains, the
comparison of something of the one with something of the other, as in ``north.json.value == msg.value``,
both sides are also computed by themselves: so those that a message may belong to are found in a
dictionary, and not by trying all. That is a short cut only: the expression itself decides.
"""

from __future__ import annotations

import ast
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from iotsim.errors import ExpressionError
from iotsim.expect import text
from iotsim.expect.heard import AsItWas
from iotsim.match import compile_expression
from iotsim.match.functions import as_double

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from iotsim.match import DeviceView, Expression, Names
    from iotsim.protocol.fields import Schema

Key: TypeAlias = Hashable
LOOSE: Key = None
"""The key of what cannot be looked up: it may belong to anything."""
OWN = ("msg", "state", "device", "t", "request")


class Equality(NamedTuple):
    """A part of the expression that all depends on: something of `north` equals something of its own."""

    north: Expression
    own: Expression


class AsSent(AsItWas):
    """A device as it was when it sent a message, and what came up."""

    __slots__ = ("north",)

    def __init__(self, device: DeviceView, *, remember: bool) -> None:
        super().__init__(device, remember=remember)
        self.north: Mapping[str, Any] | None = None


class Join:
    """The expression `written`, compiled. ExpressionError says what is wrong with it.

    `names` are those of the devices, with ``north`` among them; `schema` is that of their messages.
    """

    def __init__(self, written: str, names: Names, schema: Schema | None = None) -> None:
        self.expression = compile_expression(written, names, schema=schema)
        self.text = self.expression.text
        tree = ast.parse(self.text, mode="eval").body
        self.equalities: list[Equality] = []
        used = _names_in(tree)
        self.uses_state = "state" in used
        self.uses_north = "north" in used
        paths = dict.fromkeys(filter(None, map(_north_path, ast.walk(tree))))
        self.asked = [
            path for path in paths if not any(other.startswith(f"{path}.") for other in paths)
        ]
        """The fields of the northbound message that it names, as paths."""
        self.uses_own = bool(used & {*OWN, *names.signals})
        for conjunct in _conjuncts(tree):
            sides = _sides(conjunct, {*OWN, *names.signals})
            if sides is not None:
                north, own = (ast.unparse(side) for side in sides)
                self.equalities.append(
                    Equality(
                        compile_expression(north, names, schema=schema),
                        compile_expression(own, names, schema=schema),
                    )
                )

    def holds(self, message: Any, device: AsSent, t: float, north: Mapping[str, Any]) -> bool:
        """Whether `north` belongs to the message that `device` sent at `t`."""
        device.north = north
        try:
            return bool(self.expression.evaluate(message, device, t))
        except ExpressionError as error:
            if error.absent:
                return False
            raise
        finally:
            device.north = None

    def own_key(self, message: Any, device: AsSent, t: float) -> Key:
        """What a northbound message must have the same of; `LOOSE` if that cannot be told."""
        return _key(lambda: [_value(one.own, message, device, t) for one in self.equalities])

    def north_key(self, north: Mapping[str, Any], view: AsSent) -> Key:
        """The same of a northbound message."""
        view.north = north
        return _key(lambda: [_value(one.north, None, view, 0.0) for one in self.equalities])

    def differences(
        self, message: Any, device: AsSent, t: float, north: Mapping[str, Any]
    ) -> list[str]:
        """Each equality that does not hold: ``north.json.value was 21 instead of 20``."""
        device.north = north
        found = []
        for one in self.equalities:
            try:
                was = _value(one.north, message, device, t)
                right = _value(one.own, message, device, t)
            except ExpressionError as error:
                found.append(f"{one.north.text}: {error.reason}")
                continue
            if as_double(was) != as_double(right):
                found.append(f"{one.north.text} was {_shown(was)} instead of {_shown(right)}")
        device.north = None
        return found


class _Absent:
    """What an expression comes to whose field a message lacks: equal to itself alone."""


def _value(expression: Expression, message: Any, device: AsSent, t: float) -> Any:
    try:
        return expression.evaluate(message, device, t)
    except ExpressionError as error:
        if error.absent:
            return _Absent
        raise


def _key(compute: Callable[[], list[Any]]) -> Key:
    try:
        key = tuple(map(as_double, compute()))
        hash(key)
    except (TypeError, ExpressionError):
        return LOOSE
    return key or LOOSE


def _shown(value: Any) -> str:
    return "absent" if value is _Absent else text.value_text(value)


def _north_path(node: ast.AST) -> str:
    """``json.seq`` of ``north.json.seq``; "" of anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join(reversed(names)) if isinstance(node, ast.Name) and node.id == "north" else ""


def _names_in(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _conjuncts(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for value in node.values:
            yield from _conjuncts(value)
    else:
        yield node


def _sides(node: ast.expr, own: set[str]) -> tuple[ast.expr, ast.expr] | None:
    """The side of `north` and the other of a comparison ``==`` between the two."""
    if not (isinstance(node, ast.Compare) and len(node.ops) == 1):
        return None
    if not isinstance(node.ops[0], ast.Eq):
        return None
    left, right = node.left, node.comparators[0]
    for north, other in ((left, right), (right, left)):
        names = _names_in(north)
        if "north" in names and not names & own and "north" not in _names_in(other):
            return north, other
    return None
