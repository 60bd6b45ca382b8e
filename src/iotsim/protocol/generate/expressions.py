"""``this`` expressions as Python source."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from construct.expr import BinExpr, FuncPath, Path, UniExpr

from iotsim.protocol import nodes as n
from iotsim.protocol.functions import Position, Simple, steps
from iotsim.protocol.generate.source import Scope, UnsupportedError, Value, literal

if TYPE_CHECKING:
    from collections.abc import Callable

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
_CONTEXT = {"_params", "_parsing", "_building", "_sizing", "_subcons", "_io", "_index"}
LONGEST = 2000
"""The most characters of source that an expression may become: an operand may occur in it many times."""


def evaluate(parameter: Any, scope: Scope, position: Callable[[], Value] | None = None) -> Value:
    """A parameter, a constant or an expression, as source; UnsupportedError if that cannot be.

    ``position`` gives the offset in the stream.
    """
    value = _translate(plain_form(parameter), scope, position)
    if len(value.source) > LONGEST:
        raise UnsupportedError("an expression without end")
    return value


def _translate(expression: Any, scope: Scope, position: Callable[[], Value] | None) -> Value:
    if isinstance(expression, Path):
        return _path(expression, scope)
    if isinstance(expression, Position):
        if position is None or scope.outside:
            raise UnsupportedError(repr(expression))
        return position()
    parts: Any = expression
    if isinstance(expression, BinExpr):
        left, right = (_translate(side, scope, position) for side in (parts.lhs, parts.rhs))
        sign = _BINARY.get(parts.op)
        if sign is None:
            raise UnsupportedError(f"the operator of {expression!r}")
        if left.known and right.known:
            return _fold(parts.op, left.constant, right.constant)
        return _odd(f"({left.source} {sign} {right.source})", left, right)
    if isinstance(expression, UniExpr):
        operand = _translate(parts.operand, scope, position)
        sign = _UNARY.get(parts.op)
        if sign is None:
            raise UnsupportedError(f"the operator of {expression!r}")
        if operand.known:
            return _fold(parts.op, operand.constant)
        return _odd(f"({sign}{operand.source})", operand)
    if isinstance(expression, FuncPath):
        function: Any = vars(expression)["_FuncPath__func"]
        inner = vars(expression)["_FuncPath__operand"]
        if inner is None or function not in _FUNCTIONS:
            raise UnsupportedError(f"the function of {expression!r}")
        if function is len and is_this(inner):
            operand = _path(inner, scope, "sized")
        else:
            operand = _translate(inner, scope, position)
        return _odd(f"{_FUNCTIONS[function]}({operand.source})", operand)
    if callable(expression):
        raise UnsupportedError("a function of the context")
    return literal(expression)


def _odd(source: str, *operands: Value) -> Value:
    """The value of an expression, which may be odd if an operand is."""
    odd = any(operand.plain is not None for operand in operands)
    return Value(source, plain=f"normalize({source})" if odd else None)


def _fold(function: Callable[..., Any], *constants: Any) -> Value:
    try:
        return literal(function(*constants))
    except Exception as error:
        raise UnsupportedError(f"an expression that fails: {error}") from error


def plain_form(parameter: Any) -> Any:
    """`parameter`, or the expression that a simple function is."""
    return parameter.expression if isinstance(parameter, Simple) else parameter


def is_this(expression: Any) -> bool:
    """Whether `expression` is a path that begins at ``this``."""
    return isinstance(expression, Path) and vars(expression)["_Path__name"] == "this"


def _path(expression: Path[Any], scope: Scope, guard: str = "scalar") -> Value:
    """A path; ``guard`` is that of its last field (`Scope.lookup`)."""
    if not is_this(expression):
        raise UnsupportedError(f"{expression!r} is not of this")
    here: Scope | None = scope
    value = Value("")
    path = steps(expression)
    for index, step in enumerate(path):
        if here is None:
            private = isinstance(step, str) and step.startswith("_")
            if private or value.known or value.scalar or value.murky:
                raise UnsupportedError(repr(expression))
            value = _odd(f"{value.source}[{step!r}]", value)
        elif step == "_":
            here = here.parent
            if here is None:
                raise UnsupportedError(f"{expression!r} is above the message")
        elif step == "_root":
            while here.parent is not None and not here.parent.top:
                here = here.parent
            if here.sealed or (here.parent is not None and here.parent.sealed):
                raise UnsupportedError(f"{expression!r} of an alternative")
        elif not isinstance(step, str) or step in _CONTEXT:
            raise UnsupportedError(repr(expression))
        else:
            value = here.lookup(step, guard if index == len(path) - 1 else "scalar")
            here = value.scope
    if not value.source or value.murky:
        raise UnsupportedError(f"{expression!r} as a whole")
    return value


def certain(node: n.Choice, scope: Scope) -> n.Node:
    """The node that is chosen, where that is known when the code is made, else ``node`` itself."""
    try:
        if isinstance(node, n.Switch):
            key = evaluate(node.key, scope)
            return node.cases.get(key.constant, node.default) if key.known else node
        assert isinstance(node, n.If)
        for parameter, branch in node.branches:
            condition = evaluate(parameter, scope)
            if not condition.known:
                break
            if condition.constant:
                return branch
    except UnsupportedError:
        pass
    return node
